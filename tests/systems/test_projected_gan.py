"""Projected GAN: G learns from what a frozen network finds; what is frozen stays frozen; who projects must not judge."""

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
from ganvas.errors import GanvasError
from ganvas.evaluation.judge import evaluate
from ganvas.game import Clock
from ganvas.kinds import encode
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.projected import SCALES, Judges, Projection
from ganvas.presets import Situation
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis.projected_gan import PRESETS, Config, ProjectedGan

SPEC = ImageSpec(1, 16, 16)
SMALL: dict[str, Any] = {
    "width": 4, "discriminator_width": 4, "projection_side": 64, "batch_size": 8, "latent_size": 8, "learning_rate": 1e-3,
    "ema_half_life": 200.0,
}  # fmt: skip


def build(spec: ImageSpec = SPEC, **settings: Any) -> ProjectedGan:
    torch.manual_seed(0)
    return ProjectedGan(spec, build_config(Config, SMALL | {"augment": ()} | settings))


def batch_of(system: ProjectedGan, count: int = 4) -> Batch:
    noise = Noise.seeded(0)
    return Batch(noise, {"real": noise.uniform(count, *system.spec.shape) * 2 - 1})


def rings(count: int, seed: int) -> np.ndarray:
    """A bright ring or cross on dark, of any size and at any place."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:16, :16]
    images = []
    for _ in range(count):
        (top, left), size = rng.uniform(5, 11, 2), rng.uniform(3, 5)
        down, across = np.abs(row - top), np.abs(column - left)
        far = np.hypot(down, across)
        inside = (far < size) & (far > size - 1.6) if rng.random() < 0.5 else (np.minimum(down, across) < 1) & (far < size)
        images.append(np.where(inside, rng.integers(170, 250), rng.integers(10, 60)))
    return np.stack(images).astype(np.uint8)[..., None]


def played(rounds: int, images: np.ndarray, **settings: Any) -> ProjectedGan:
    made = build(**settings)
    count = len(images)
    data = Dataset({"real": Field(SPEC, images)}, None, np.arange(count), np.zeros(count, bool), "rings", "")
    engine = Engine(made, {"data": open_stream(data, made.feeds()["data"], 8, seed=0)}, seed=0, check_every=50)
    for _ in range(rounds):
        engine.play_round()
    return made.eval()


def far_from(images: Tensor, others: Tensor) -> float:
    """Energy distance of pixels, over the mean distance of the others."""
    x, y = images.flatten(1), others.flatten(1)
    between, own, their = torch.cdist(x, y).mean(), torch.cdist(x, x).mean(), torch.cdist(y, y).mean()
    return float((2 * between - own - their) / their)


def test_g_learns_from_what_a_frozen_network_finds() -> None:
    """With random weights, which teach drawings so small and plain sooner than those learnt from photographs do."""
    real = encode(rings(300, 3), SPEC)
    settings = {"pretrained": False, "noise_inputs": False, "learning_rate": 3e-3}
    systems = (build(**settings).eval(), played(80, rings(300, 1), **settings))
    with torch.no_grad():
        before, after = (far_from(system.sample(200, Noise.seeded(1)), real) for system in systems)
    assert before > 1.0
    assert after < 0.4


def test_pretrained_features_tell_g_where_it_is_wrong_and_stay_as_they_are() -> None:
    system = build()
    kept = [value.clone() for value in system.projection.backbone.network.parameters()]
    mixing = {name: value.clone() for name, value in system.projection.named_buffers()}
    batch, shared = batch_of(system), {}
    system.discriminate(batch, Clock(), shared)
    system.fool(batch, Clock(), shared)["fool"].backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in system.generator.parameters() if p.grad is not None and p.dim() > 1)
    assert any(p.grad is not None for p in system.generator.parameters())
    for before, now in zip(kept, system.projection.backbone.network.parameters(), strict=True):
        assert torch.equal(before, now) and now.grad is None and not now.requires_grad
    system.train()
    assert not system.projection.backbone.network.training
    assert all(torch.equal(mixing[name], value) for name, value in system.projection.named_buffers())


def test_the_mixing_is_kept_and_the_pretrained_network_is_not() -> None:
    system = build()
    state = system.state_dict()
    assert sum(name.startswith("projection.") for name in state) == 2 * SCALES
    torch.manual_seed(9)
    other = ProjectedGan(SPEC, system.config)
    images = batch_of(system).real
    assert not torch.equal(other.projection(images)[0], system.projection(images)[0]), "drawn anew for each run"
    other.load_state_dict(state)
    assert torch.equal(other.projection(images)[0], system.projection(images)[0])


def test_scales_are_mixed_from_the_coarsest_to_the_finest() -> None:
    """What the coarsest features say reaches the finest maps, unless scales are kept apart."""
    for across in (True, False):
        torch.manual_seed(0)
        projection = Projection((3, 64, 64), 64, 4, pretrained=True, across=across)
        images = torch.rand(2, 3, 64, 64) * 2 - 1
        first = projection(images)
        projection.get_buffer("mix_3").zero_()
        second = projection(images)
        assert [tuple(maps.shape[1:]) for maps in first] == [(4, 32, 32), (4, 16, 16), (8, 8, 8), (16, 4, 4)]
        assert torch.equal(first[0], second[0]) != across


def test_one_discriminator_a_scale_halves_to_about_eight_pixels() -> None:
    projection = Projection((3, 32, 32), 224, 4, pretrained=False, across=True)
    assert projection.sides == [112, 56, 28, 14], "as in the paper"
    judges = Judges(projection.channels, projection.sides, 4)
    halvings = [sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in judge) for judge in judges.judges]
    assert halvings == [4, 3, 2, 1]
    logits = judges(
        [torch.randn(2, many, side, side) for many, side in zip(projection.channels, projection.sides, strict=True)]
    )
    assert logits.shape == (2, 4 * 16)


def test_what_the_network_sees_is_shifted_and_nothing_is_lost() -> None:
    projection = Projection((1, 16, 16), 64, 4, pretrained=True, across=True)
    images = batch_of(build()).real
    seen: list[Tensor] = []
    projection.backbone.network.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    projection(images)
    projection(images, (1, 2))
    assert torch.equal(seen[0].roll((1, 2), (2, 3)), seen[1])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 14), (2, 16, 40), (3, 100, 70)])
def test_sizes_and_channels(shape: tuple[int, int, int]) -> None:
    system = build(ImageSpec(*shape))
    shared: dict[str, Any] = {}
    batch = batch_of(system)
    terms = system.discriminate(batch, Clock(), shared) | system.fool(batch, Clock(), shared)
    assert all(bool(torch.isfinite(term)) for term in terms.values())
    images = system.sample(2, Noise.seeded(0))
    assert images.shape == (2, *shape) and float(images.detach().abs().max()) <= 1


def test_the_presets_are_built_and_played() -> None:
    auto = PRESETS["auto"](Situation(ImageSpec(3, 64, 64), 500, 600.0, 60.0, "cpu"))
    assert auto["width"] == 8 and auto["projection_side"] == 64
    wide = PRESETS["auto"](Situation(ImageSpec(3, 64, 64), 500, 36_000.0, 5e4, "cuda"))
    assert wide["width"] > 8
    torch.manual_seed(0)
    paper = build_config(Config, PRESETS["paper"])
    assert (paper.width, paper.projection_side, paper.batch_size) == (128, 224, 64)
    system = ProjectedGan(ImageSpec(3, 16, 16), build_config(Config, PRESETS["paper"] | {"width": 8}))  # else half a minute
    shared: dict[str, Any] = {}
    batch = batch_of(system, 2)
    system.discriminate(batch, Clock(), shared)
    assert bool(torch.isfinite(system.fool(batch, Clock(), shared)["fool"]))


def test_from_files_to_files_and_the_network_that_projects_does_not_judge(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number, image in enumerate(rings(60, 0)):
        Image.fromarray(image[..., 0]).save(tmp_path / "data" / f"{number:02d}.png")
    small = SMALL | {"batch_size": 4}
    ganvas.train(
        "projected-gan", tmp_path / "data", out=tmp_path / "run", budget="2r", config=small, quiet=True, precision="32"
    )
    run = ganvas.load(tmp_path / "run")
    images = run.sample(6, seed=1)
    assert images.shape == (6, 16, 16, 1) and np.array_equal(images, run.sample(6, seed=1))
    with pytest.raises(GanvasError, match="trained with 'effnet', which must not judge it"):
        evaluate(tmp_path / "run", features="effnet", count=20)
    result = evaluate(tmp_path / "run", count=20, quick=True)
    assert "effnet" not in result["protocol"]
    assert any("must not judge" in note for note in result["notes"])
