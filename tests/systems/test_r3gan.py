"""R3GAN: with its penalties places are found, and without them not; pairs, slopes, starting weights are what they should be."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import softplus

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.r3gan import Block, Discriminator, Form, Generator, smooth
from ganvas.presets import Situation
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis.r3gan import PRESETS, Config, R3Gan
from learning import most_seeds

SPEC = ImageSpec(1, 8, 8)
SMALL: dict[str, Any] = {
    "width": 16, "max_width": 32, "group": 0, "expansion": 1, "latent_size": 16, "batch_size": 32, "learning_rate": 5e-3,
    "penalties_every": 2, "ema_half_life": 500.0, "gamma_fall": 1.0,
}  # fmt: skip


def build(spec: ImageSpec = SPEC, seed: int = 0, **settings: Any) -> R3Gan:
    torch.manual_seed(seed)
    return R3Gan(spec, build_config(Config, SMALL | settings))


def places(spec: ImageSpec = SPEC, count: int = 640) -> Dataset:
    """A bright square of two pixels a side in one of sixteen places."""
    rng = np.random.default_rng(0)
    images = np.full((count, 8, 8, 1), 30, np.uint8)
    for number, own in enumerate(images):
        row, column = divmod(number % 16, 4)
        own[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = rng.integers(200, 250)
    labels = np.arange(count) % 16 // 8 if spec.classes else None
    return Dataset({"real": Field(spec, images)}, labels, np.arange(count), np.zeros(count, bool), "places", "")


def engine_of(system: R3Gan, seed: int = 0, **more: Any) -> Engine:
    stream = open_stream(places(system.spec), system.feeds()["data"], system.config.batch_size, seed=seed)
    return Engine(system, {"data": stream}, seed=seed, **more)


def lit(images: Tensor) -> Tensor:
    """The places (M,) of those of images (N, 1, 8, 8) that have one bright square."""
    squares = images[:, 0].unflatten(1, (4, 2)).unflatten(3, (4, 2)).mean((2, 4)).flatten(1)
    return squares.argmax(1)[((squares > 0).sum(1) == 1) & (squares.amax(1) > 0.3)]


def found(seed: int, **settings: Any) -> int:
    """How many of the sixteen places 400 samples show, after 400 rounds."""
    engine = engine_of(build(seed=seed, **settings), seed)
    for _ in range(400):
        engine.play_round()
    with engine.watching() as board, torch.no_grad():
        return len(set(lit(board.sample(400, Noise.seeded(5))).tolist()))


@partial(most_seeds, of=5)
def test_with_penalties_places_are_found_and_without_them_none(seed: int) -> None:
    assert found(seed) >= 10
    assert found(seed, r1_weight=0.0, r2_weight=0.0) <= 3


def batch_of(count: int = 4, seed: int = 0) -> Batch:
    noise = Noise.seeded(seed)
    return Batch(noise, {"real": noise.normal(count, 1, 8, 8)})


def test_each_fake_is_judged_against_a_real_image_of_its_own() -> None:
    system, batch = build(), batch_of()
    shared: dict[str, Any] = {}
    with torch.no_grad():
        for weight in system.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
        loss = system.discriminate(batch, Clock(), shared)["relative"]
        real, fake = system.discriminator(batch.real), system.discriminator(shared["fake"])
        assert torch.allclose(loss, softplus(-(real - fake)).mean(), atol=1e-6)
        assert not torch.allclose(loss, softplus(-(real.mean() - fake.mean())), atol=1e-4), "pairs, and not means"
        assert torch.allclose(system.fool(batch, Clock(), shared)["relative"], softplus(-(fake - real)).mean(), atol=1e-6)
    assert not shared


def test_penalties_are_half_gamma_of_both_slopes_times_their_interval_and_fall() -> None:
    system, batch = build(r1_weight=3.0, r2_weight=0.5, penalties_every=4, gamma_fall=0.1), batch_of()
    shared: dict[str, Any] = {}
    system.discriminate(batch, Clock(), shared)
    found = system.flatten(batch, Clock(), shared)
    for name, gamma, images in (("r1", 3.0, batch.real), ("r2", 0.5, shared["fake"])):
        images = images.detach().requires_grad_()
        (slope,) = torch.autograd.grad(system.discriminator(images).sum(), images)
        wanted = gamma / 2 * 4 * slope.square().sum((1, 2, 3)).mean()
        assert torch.allclose(found[name], wanted, rtol=1e-4), name
    late = system.flatten(batch, Clock(progress=1.0), shared)
    assert float(late["r1"].detach()) == pytest.approx(0.1 * float(found["r1"].detach()), rel=1e-4)


def test_a_penalty_that_is_switched_off_is_not_computed_and_without_both_there_is_no_turn() -> None:
    shared: dict[str, Any] = {"fake": torch.zeros(4, 1, 8, 8)}
    assert set(build(r1_weight=0.0).flatten(batch_of(), Clock(), shared)) == {"r2"}
    assert set(build(r2_weight=0.0).flatten(batch_of(), Clock(), shared)) == {"r1"}
    assert len(build(r1_weight=0.0, r2_weight=0.0).phases()[0].turns) == 2


def test_there_is_no_norm_and_no_momentum_and_blocks_start_as_the_identity() -> None:
    system = build()
    kinds = {type(module).__name__ for module in system.modules()}
    assert not {name for name in kinds if "Norm" in name}
    assert all(player.optimiser([("w", nn.Parameter(torch.zeros(1)))]).defaults["betas"][0] == 0 for player in system.players())
    maps = torch.randn(2, 32, 4, 4)
    block = Block(32, Form(8, 32, 2, 2, 16, 1), 6)
    assert torch.equal(block(maps), maps)
    assert block.layers[2].groups == 4, "64 inner channels in groups of 16"


def test_a_wide_network_starts_with_signals_of_one_size() -> None:
    torch.manual_seed(0)
    form = Form(64, 256, 2, 2, 16, 1)
    with torch.no_grad():
        images = Generator(64, 0, (3, 32, 32), form)(torch.randn(64, 64))
        logits = Discriminator(0, (3, 32, 32), form)(torch.randn(64, 3, 32, 32))
    assert 0.2 < float(images.std()) < 2
    assert 0.02 < float(logits.std()) < 2


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 37), (4, 33, 16)])
def test_any_size_and_aspect(shape: tuple[int, int, int], stride: int) -> None:
    form = Form(4, 16, 1, 2, 4, stride)
    images = Generator(8, 0, shape, form)(torch.randn(2, 8))
    assert images.shape == (2, *shape)
    assert Discriminator(0, shape, form)(images).shape == (2,)


def test_a_smoothed_generator_has_less_of_the_finest_detail_and_plain_areas_stay_as_they_are() -> None:
    plain, smoothed = build(ImageSpec(3, 16, 20)), build(ImageSpec(3, 16, 20), generator_smoothing=0.5)
    latents = torch.randn(2, 16)
    with torch.no_grad():
        assert torch.allclose(smoothed.generator(latents), smooth(plain.generator(latents), 0.5), atol=1e-6)
    chequers = (-1.0) ** (torch.arange(16)[:, None] + torch.arange(20))
    for deviation, most in ((0.5, 0.4), (0.85, 0.02)):
        assert smooth(chequers[None, None], deviation)[..., 3:-3, 3:-3].abs().max() < most
    assert torch.allclose(smooth(torch.full((1, 3, 16, 20), 0.7), 0.85), torch.full((1, 3, 16, 20), 0.7), atol=1e-6)
    bright = torch.zeros(1, 1, 9, 9)
    bright[..., 4, 4] = 1
    weights = torch.tensor([0.1065, 0.7870, 0.1065])
    assert torch.allclose(smooth(bright, 0.5)[0, 0, 3:6, 3:6], weights[:, None] * weights, atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        assert smooth(bright, 0.5).dtype == torch.float32, "pixels keep their digits"


def test_bfloat16_slopes_are_close_to_those_of_full_precision() -> None:
    system, batch = build(), batch_of(16)
    shared = {"fake": torch.randn(16, 1, 8, 8)}
    full = system.flatten(batch, Clock(), shared)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = system.flatten(batch, Clock(), shared)
    assert all(torch.allclose(mixed[name], full[name], rtol=0.03) for name in full)


def test_classes_are_told_when_asked_for_and_samples_come_by_class() -> None:
    spec = replace(SPEC, classes=("upper", "lower"))
    assert build(spec).classes == 0
    system = build(spec, use_labels=True)
    engine = engine_of(system)
    for _ in range(150):
        engine.play_round()
    asked = torch.arange(200) % 2
    with engine.watching() as board, torch.no_grad():
        light = board.sample(200, Noise.seeded(5), asked)[:, 0].mean(2)
    lower = light[:, 4:].sum(1) > light[:, :4].sum(1)
    assert float((lower == (asked == 1)).float().mean()) > 0.8
    with pytest.raises(GanvasError, match="two classes or more"):
        build(use_labels=True)


def test_repeated_pixels_draw_plain_areas_without_a_grid() -> None:
    """Behind the last layer a plain map is plain away from the border; a transposed convolution draws squares of two pixels."""
    torch.manual_seed(0)
    form = Form(4, 16, 1, 1, 0, 2)
    maps = torch.randn(1, 8, 1, 1).expand(1, 8, 16, 16)
    steps = {}
    for last in ("transposed", "nearest", "bilinear"):
        made = Generator(8, 0, (3, 32, 32), replace(form, last=last))
        images = made.leave(maps)
        assert images.shape == (1, 3, 32, 32)
        steps[last] = float(images[..., 4:-4, 4:-4].detach().diff(dim=-1).abs().max())
        assert made(torch.randn(2, 8)).shape == (2, 3, 32, 32)
    assert steps["transposed"] > 0.1
    assert max(steps["nearest"], steps["bilinear"]) < 1e-5
    assert Generator(8, 0, (1, 30, 42), replace(form, last="nearest"))(torch.randn(2, 8)).shape == (2, 1, 30, 42)
    chosen = PRESETS["auto"](Situation(SPEC, 1000, 60.0, 50.0, "cpu"))
    assert (chosen["generator_last"], chosen["generator_blocks"]) == ("nearest", 2)


@pytest.mark.parametrize(("seconds", "width", "rate", "smoothing"), [(600.0, 8, 1e-3, 0.0), (3600.0, 16, 7.07e-4, 0.5)])
def test_the_preset_is_wider_where_the_budget_pays_for_it(seconds: float, width: int, rate: float, smoothing: float) -> None:
    chosen = PRESETS["auto"](Situation(ImageSpec(3, 64, 64), 4832, seconds, 380.0, "cpu"))
    assert (chosen["width"], chosen["max_width"], chosen["generator_smoothing"]) == (width, 128, smoothing)
    assert chosen["learning_rate"] == pytest.approx(rate, rel=1e-3)


def test_the_preset_tells_the_classes_where_each_has_hundreds_of_records() -> None:
    def told(records: int, *classes: str) -> bool:
        return PRESETS["auto"](Situation(replace(SPEC, classes=classes), records, 60.0, 50.0, "cpu"))["use_labels"]

    assert told(1000, "upper", "lower")
    assert not told(300, "upper", "lower")
    assert not told(1000)
    assert not told(1000, "upper")


def test_the_generator_may_be_deeper_than_the_discriminator() -> None:
    def blocks(network: nn.Module) -> int:
        return sum(isinstance(part, Block) for part in network.modules())

    alike, deeper = build(), build(generator_blocks=3)
    assert blocks(deeper.generator) == blocks(deeper.average) == 3 * blocks(alike.generator)
    assert blocks(deeper.discriminator) == blocks(alike.discriminator) == blocks(alike.generator)
    twice = build(blocks=2)
    assert blocks(twice.generator) == blocks(twice.discriminator) == 2 * blocks(alike.generator)


def test_the_papers_own_preset_makes_a_step() -> None:
    chosen = PRESETS["paper"](Situation(SPEC, 50_000, None, 0.0, "cuda"))
    assert (chosen["width"], chosen["batch_size"], chosen["penalties_every"]) == (768, 512, 1)
    assert PRESETS["paper"](Situation(ImageSpec(3, 256, 256), 70_000, None, 0.0, "cuda"))["width"] == 96
    system = R3Gan(SPEC, build_config(Config, {**chosen, "batch_size": 2}))
    engine = engine_of(system)
    engine.play_round()
    assert all(bool(torch.isfinite(weight).all()) for weight in system.parameters())


def test_from_files_to_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number, own in enumerate(places(count=48).fields["real"].values):
        Image.fromarray(np.asarray(own)[..., 0]).save(tmp_path / "data" / f"{number:02d}.png")
    ganvas.train("r3gan", tmp_path / "data", out=tmp_path / "run", budget="2r", quiet=True, precision="32")
    run = ganvas.load(tmp_path / "run")
    assert run.sample(5, seed=1).shape == (5, 8, 8, 1)
    assert np.array_equal(run.sample(5, seed=1), run.sample(5, seed=1))


def test_refined_samples_are_more_real_to_the_discriminator() -> None:
    system, drawn = build(), []
    engine = engine_of(system)
    for _ in range(40):
        engine.play_round()
    engine.settle()
    system.eval()
    for steps in (0, 5, 10):
        system.config = replace(system.config, refinement_steps=steps, refinement_rate=0.1)
        with torch.no_grad():
            drawn.append(system.sample(64, Noise.seeded(3)))
    first, some, more = (system.discriminator(images).mean().item() for images in drawn)
    assert first < some < more
    assert torch.equal(system.sample(64, Noise.seeded(3)), drawn[2])  # the seed alone decides
    assert all(p.grad is None or not p.grad.any() for p in system.average.parameters())
