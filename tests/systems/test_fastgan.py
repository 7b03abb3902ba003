"""FastGAN: D that rebuilds what it judges knows other images of the kind, and not its training images alone; its networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.game import Clock
from ganvas.health.samples import Variety
from ganvas.kinds import encode
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.fastgan import Excitation, Gated, Generator, quarter
from ganvas.presets import Situation
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis.fastgan import PRESETS, Config, FastGan
from learning import most_seeds

SPEC = ImageSpec(1, 16, 16)
SMALL: dict[str, Any] = {"width": 4, "batch_size": 8, "latent_size": 8, "learning_rate": 1e-3, "ema_half_life": 200.0}


def build(spec: ImageSpec = SPEC, system: type[FastGan] = FastGan, seed: int = 0, **settings: Any) -> FastGan:
    torch.manual_seed(seed)
    return system(spec, build_config(Config, SMALL | {"augment": ()} | settings))


def batch_of(system: FastGan, count: int = 8) -> Batch:
    noise = Noise.seeded(0)
    return Batch(noise, {"real": noise.uniform(count, *system.spec.shape) * 2 - 1})


def discs(count: int, seed: int) -> np.ndarray:
    """A bright disc on dark, or a dark one on bright, of any size and at any place."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:16, :16]
    images = []
    for _ in range(count):
        (top, left), size = rng.uniform(5, 11, 2), rng.uniform(2, 5)
        inside = np.hypot(row - top, column - left) < size
        images.append(np.where(inside, rng.integers(170, 250), rng.integers(10, 90)))
    return np.stack(images).astype(np.uint8)[..., None]


def played(rounds: int, images: np.ndarray, system: type[FastGan] = FastGan, seed: int = 0, **settings: Any) -> FastGan:
    made = build(system=system, seed=seed, **settings)
    count = len(images)
    data = Dataset({"real": Field(SPEC, images)}, None, np.arange(count), np.zeros(count, bool), "discs", "")
    engine = Engine(made, {"data": open_stream(data, made.feeds()["data"], 8, seed=seed)}, seed=seed, check_every=50)
    for _ in range(rounds):
        engine.play_round()
    return made.eval()


class Untaught(FastGan):
    """Decoders learn to read D's maps, and D does not learn to be read."""

    def _unlike(self, maps: dict[str, Tensor], images: Tensor, batch: Batch) -> Tensor:
        return super()._unlike({name: value.detach() for name, value in maps.items()}, images, batch)


def rebuilt(system: type[FastGan], seed: int) -> float:
    """How far, after a short game, images that it never saw are from what is rebuilt of D's maps: mean absolute error."""
    judge = played(120, discs(200, 1), system, seed).discriminator
    others = encode(discs(200, 3), SPEC)
    with torch.no_grad():
        pairs = judge.rebuilt(judge(others, judge.reduced(others))[1], others, Noise.seeded(0))
        return float(torch.stack([(made - wanted).abs().mean() for made, wanted in pairs]).mean())


@most_seeds
def test_a_discriminator_keeps_what_images_show_because_it_is_taught_to(seed: int) -> None:
    taught, untaught = rebuilt(FastGan, seed), rebuilt(Untaught, seed)
    assert taught < 0.88 * untaught, (taught, untaught)


@most_seeds
def test_the_game_learns_discs(seed: int) -> None:
    """Samples have the tones of the data, are varied, and are nearer to it than those of an untrained generator."""
    real = encode(discs(200, 3), SPEC)

    def spectrum(images: Tensor) -> Tensor:
        return torch.fft.rfft2(images[:, 0]).abs().square().mean(0).clamp(min=1e-6).log()

    system = played(120, discs(200, 1), seed=seed)
    with torch.no_grad():
        made, raw = system.sample(200, Noise.seeded(1)), build().eval().sample(200, Noise.seeded(1))
    near, far = ((spectrum(images) - spectrum(real)).abs().mean() for images in (made, raw))
    assert float(near) < 0.6 * float(far)
    assert 0.6 < float(made.std(0).mean() / real.std(0).mean()) < 1.5


def test_only_real_images_are_rebuilt_and_a_weight_of_none_leaves_the_decoders_out() -> None:
    system = build()
    seen: list[int] = []
    for decoder in system.discriminator.decoders.values():
        decoder.register_forward_hook(lambda *given: seen.append(1))
    batch, shared = batch_of(system), {}
    terms = system.discriminate(batch, Clock(), shared)
    assert set(terms) == {"real", "fake", "rebuilt"} and len(seen) == 3
    system.fool(batch, Clock(), shared)
    assert len(seen) == 3
    bare = build(reconstruction_weight=0.0)
    assert not list(bare.discriminator.decoders.parameters())
    assert set(bare.discriminate(batch, Clock(), {})) == {"real", "fake"}


def test_margins_are_drawn_from_four_fifths_to_one() -> None:
    system = build()
    margins = system._margin(torch.zeros(4000, 2), batch_of(system))
    assert 0.8 <= float(margins.min()) < 0.81 and 0.99 < float(margins.max()) <= 1.0
    assert system.undecided == pytest.approx(1.8)


def test_a_quarter_of_the_maps_is_the_same_quarter_of_the_image() -> None:
    images = torch.arange(64.0).view(1, 1, 8, 8).expand(4, 1, 8, 8)
    found = quarter(images, torch.arange(4))
    for place, (top, left) in enumerate(((0, 0), (0, 4), (4, 0), (4, 4))):
        assert torch.equal(found[place], images[place, :, top : top + 4, left : left + 4])


def test_the_gate_halves_channels_and_noise_begins_at_nothing() -> None:
    torch.manual_seed(0)
    layer = Gated(4, 6, noisy=True).eval()
    maps = torch.randn(2, 4, 5, 5)
    assert layer(maps, Noise.seeded(0)).shape == (2, 6, 5, 5)
    assert torch.equal(layer(maps, Noise.seeded(0)), layer(maps, Noise.seeded(1)))
    with torch.no_grad():
        layer.strength.fill_(0.5)  # type: ignore[union-attr]
    assert not torch.equal(layer(maps, Noise.seeded(0)), layer(maps, Noise.seeded(1)))


def test_an_excitation_weighs_channels_and_not_places() -> None:
    torch.manual_seed(0)
    large = torch.randn(2, 5, 16, 16)
    with torch.no_grad():
        weights = Excitation(7, 5)(torch.randn(2, 7, 8, 8), large) / large
    assert torch.allclose(weights, weights[:, :, :1, :1].expand_as(weights), atol=1e-4)
    assert float(weights.min()) > 0 and float(weights.max()) < 1


def test_excitations_reach_across_four_doublings_as_in_the_paper() -> None:
    made = Generator(8, (3, 256, 256), 4, excitation=True, noisy=True)
    assert list(made.excitations) == ["4", "5", "6"], "64 from 4, 128 from 8, 256 from 16 pixels"
    assert list(Generator(8, (1, 32, 32), 4, excitation=True, noisy=True).excitations) == ["3"], "where there are fewer, all"
    assert not Generator(8, (1, 32, 32), 4, excitation=False, noisy=True).excitations


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 14), (1, 16, 40), (3, 33, 20), (3, 64, 64)])
def test_sizes_and_channels(shape: tuple[int, int, int]) -> None:
    system = build(ImageSpec(*shape))
    terms = system.discriminate(batch_of(system), Clock(), {})
    assert all(bool(torch.isfinite(term)) for term in terms.values())
    images = system.sample(2, Noise.seeded(0))
    assert images.shape == (2, *shape) and float(images.detach().abs().max()) <= 1


def test_features_of_a_pretrained_network_may_say_how_alike_and_must_not_judge_then() -> None:
    plain, perceptual = build(), build(perceptual_weight=1.0)
    assert plain.extractors == () and perceptual.extractors == ("effnet",)
    batch = batch_of(perceptual, 2)
    alike = [float(system.discriminate(batch, Clock(), {})["rebuilt"]) for system in (plain, perceptual)]
    assert alike[1] > alike[0]
    assert not any("features" in name for name in perceptual.state_dict())


def test_the_presets_are_built_and_played() -> None:
    situation = Situation(ImageSpec(3, 64, 64), 200, 600.0, 60.0, "cpu")
    narrow, wide = PRESETS["auto"](situation), PRESETS["auto"](Situation(ImageSpec(3, 64, 64), 200, 36_000.0, 5e4, "cuda"))
    assert narrow["width"] < wide["width"]
    torch.manual_seed(0)
    paper = build_config(Config, PRESETS["paper"])
    assert paper.width == 64 and paper.batch_size == 8 and paper.perceptual_weight == 1
    system = FastGan(ImageSpec(3, 32, 32), build_config(Config, PRESETS["paper"] | {"width": 8}))  # else ten seconds
    shared: dict[str, Any] = {}
    batch = batch_of(system, 2)
    system.discriminate(batch, Clock(), shared)
    assert bool(torch.isfinite(system.fool(batch, Clock(), shared)["fool"]))


def test_a_planted_collapse_is_told() -> None:
    """Latents that do not reach the image: every sample is the same."""
    system = played(20, discs(40, 1))
    with torch.no_grad():
        system.average.enter.parametrizations.weight.original.mul_(0)
        same = system.sample(64, Noise.seeded(0)).nan_to_num(0).numpy()
    variety = Variety(encode(discs(64, 2), SPEC).numpy(), False)
    assert "collapse" in {kind for n in range(3) for kind, _, _ in variety.compare(same, 300 + 20 * n, 0.3)}


def test_from_files_to_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number, image in enumerate(discs(48, 0)):
        Image.fromarray(image[..., 0]).save(tmp_path / "data" / f"{number:02d}.png")
    small = SMALL | {"batch_size": 4}
    ganvas.train("fastgan", tmp_path / "data", out=tmp_path / "run", budget="2r", config=small, quiet=True, precision="32")
    run = ganvas.load(tmp_path / "run")
    images = run.sample(6, seed=1)
    assert images.shape == (6, 16, 16, 1)
    assert np.array_equal(images, run.sample(6, seed=1))
