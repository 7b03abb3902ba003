"""BigGAN: samples are of the class asked for because D is told it; truncation, spectral norm and R(G) are what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.biggan import Attention, orthogonal_penalty
from ganvas.networks.spectral import spectral
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis.biggan import BigGan, Config, truncated
from learning import most_seeds

SPEC = ImageSpec(1, 16, 16, classes=("left", "right", "wide"))
SMALL: dict[str, Any] = {
    "width": 4, "batch_size": 16, "latent_size": 12, "class_size": 8, "generator_learning_rate": 2e-3,
    "discriminator_learning_rate": 4e-3, "ema_half_life": 200.0,
}  # fmt: skip


def build(system: type[BigGan] = BigGan, seed: int = 0, **settings: Any) -> BigGan:
    torch.manual_seed(seed)
    return system(SPEC, build_config(Config, SMALL | settings))


def bars(count: int = 384) -> Dataset:
    """Bright columns on dark: to the left, to the right, or a row across; where exactly, and how bright, differs."""
    rng = np.random.default_rng(0)
    images, labels = np.full((count, 16, 16, 1), 30, np.uint8), np.arange(count) % 3
    for own, label in zip(images, labels, strict=True):
        place, light = rng.integers(0, 4), rng.integers(170, 250)
        if label == 2:
            own[6 + place // 2 : 10 + place // 2] = light
        else:
            own[:, place + 8 * label : place + 8 * label + 4] = light
    return Dataset({"real": Field(SPEC, images)}, labels, np.arange(count), np.zeros(count, bool), "bars", "")


def looks_like(images: Tensor) -> Tensor:
    """The class (N,) of bars (N, 1, 16, 16)."""
    bright = images[:, 0] > 0
    columns, rows = bright.float().mean(1), bright.float().mean(2)
    wide = rows.amax(1) > columns.amax(1)
    right = columns[:, 8:].sum(1) > columns[:, :8].sum(1)
    return torch.where(wide, 2, right.long())


class Untold(BigGan):
    """D is told the same class of every image."""

    def _judge(self, images: Tensor, batch: Batch) -> Tensor:
        return super()._judge(images, replace(batch, labels=torch.zeros_like(batch.labels)))  # type: ignore[type-var,arg-type]


def obeyed(system: type[BigGan], seed: int, rounds: int) -> tuple[float, float]:
    """(share of samples of the class that was asked for, mean deviation of pixels inside classes)."""
    made = build(system, seed)
    engine = Engine(made, {"data": open_stream(bars(), made.feeds()["data"], 16, seed=seed)}, seed=seed)
    for _ in range(rounds):
        engine.play_round()
    asked = torch.arange(120) % 3
    with engine.watching() as board, torch.no_grad():
        images = board.sample(120, Noise.seeded(5), asked)
    spread = torch.stack([images[asked == k].std(0).mean() for k in range(3)]).mean()
    return float((looks_like(images) == asked).float().mean()), float(spread)


@most_seeds
def test_samples_are_of_the_class_asked_for_where_d_is_told_it_and_not_otherwise(seed: int) -> None:
    right, spread = obeyed(BigGan, seed, 300)
    untold, _ = obeyed(Untold, seed, 150)
    assert right > 0.85
    assert spread > 0.1, "no single image of each class"
    assert untold < 0.7


def test_truncated_latents_are_those_of_the_normal_distribution_within_the_threshold() -> None:
    latents = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(truncated(latents, 4.0), latents), "as in training"
    within = truncated(latents, 1.0)
    assert float(within.abs().max()) <= 1.0
    assert abs(float(within.var()) - 0.2911) < 0.01, "the variance of a normal distribution cut off at 1"
    assert bool((within[latents.argsort()].diff() >= 0).all()), "the same latent stays the same quantile"
    assert bool(torch.isfinite(truncated(torch.tensor([-9.0, 9.0]), 0.5)).all())


def test_a_smaller_threshold_gives_samples_that_are_more_alike() -> None:
    system = build().eval()
    labels = torch.zeros(64, dtype=torch.int64)
    spreads = []
    for threshold in (4.0, 1.0, 0.3):
        system.config = replace(system.config, truncation=threshold)
        with torch.no_grad():
            spreads.append(float(system.sample(64, Noise.seeded(0), labels).std(0).mean()))
    assert spreads[0] > spreads[1] > spreads[2]


def test_spectral_norm_is_found_in_training_and_evaluation_leaves_no_trace() -> None:
    torch.manual_seed(0)
    layer = spectral(nn.Conv2d(3, 5, 3))
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(torch.randn(5, 3, 3, 3))
    for _ in range(60):
        kept = layer.weight
    assert float(torch.linalg.matrix_norm(kept.detach().flatten(1), 2)) == pytest.approx(1, abs=1e-3)
    layer.eval()
    before = layer.parametrizations.weight[0].direction.clone()
    assert torch.allclose(layer.weight, kept, atol=1e-4)
    assert torch.equal(layer.parametrizations.weight[0].direction, before), "no power iteration is kept in evaluation"
    layer.parametrizations.weight[0].direction.mul_(0.4)  # as an average of directions is shorter
    assert torch.allclose(layer.weight, kept, atol=1e-4)


def test_every_weight_of_d_and_all_but_the_embedding_and_norms_of_g_have_spectral_norm() -> None:
    system = build(attention=8)
    for name, weight in [*system.generator.named_parameters(), *system.discriminator.named_parameters()]:
        assert weight.dim() < 2 or "parametrizations.weight" in name or name == "embedding.weight", name


def test_filters_at_right_angles_cost_nothing_and_others_what_equation_3_says() -> None:
    layer = nn.Conv2d(4, 3, 3, bias=False)
    nn.init.orthogonal_(layer.weight)
    assert orthogonal_penalty(layer).item() == pytest.approx(0, abs=1e-5)
    for shape in ((3, 8), (8, 3)):
        linear = nn.Linear(shape[1], shape[0], bias=False)
        product = linear.weight @ linear.weight.T
        wanted = (product * (1 - torch.eye(shape[0]))).square().sum()
        assert torch.allclose(orthogonal_penalty(linear), wanted, rtol=1e-4)


def test_each_block_has_a_piece_of_the_latent_of_its_own() -> None:
    system = build(latent_size=14).eval()
    assert system.config.latent_size == 12, "what is left over is cut off, and the config says so"
    assert len(system.generator.blocks) == 2
    entered: list[Tensor] = []
    system.generator.blocks[1].register_forward_pre_hook(lambda module, given: entered.append(given[0]))
    latents = torch.randn(2, 12)
    latents[1] = latents[0]
    latents[1, 8:] += 1  # the last block's own
    images = system.generator(latents, torch.zeros(2, dtype=torch.int64))
    assert torch.allclose(entered[0][0], entered[0][1])
    assert not torch.allclose(images[0], images[1])


def test_samples_do_not_depend_on_the_others_of_their_batch() -> None:
    system = build()
    system.generator(torch.randn(16, 12), torch.arange(16) % 3)
    system.eval()
    latents, labels = torch.randn(8, 12), torch.arange(8) % 3
    assert torch.allclose(system.average(latents, labels)[:3], system.average(latents[:3], labels[:3]), atol=1e-5)


def test_attention_starts_as_nothing_and_its_place_is_checked() -> None:
    maps = torch.randn(2, 8, 4, 4)
    assert torch.equal(Attention(8)(maps), maps)
    assert build(attention=8).sample(2, Noise.seeded(0)).shape == (2, 1, 16, 16)
    with pytest.raises(GanvasError, match="attention=5: maps have sides of 8, 16"):
        build(attention=5)


@pytest.mark.parametrize("shape", [(3, 12, 20), (1, 9, 9), (3, 32, 32)])
@pytest.mark.parametrize("flat", [False, True])
def test_sizes_and_forms(shape: tuple[int, int, int], flat: bool) -> None:
    system = BigGan(ImageSpec(*shape, classes=("a", "b")), build_config(Config, SMALL | {"flat": flat}))
    images = system.sample(2, Noise.seeded(0))
    assert images.shape == (2, *shape)
    assert system.discriminator(images, torch.tensor([0, 1])).shape == (2,)


@pytest.mark.parametrize("classes", [(), ("one",)])
def test_data_without_classes_is_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(GanvasError, match="two classes or more"):
        BigGan(ImageSpec(1, 16, 16, classes=classes), Config())


def test_from_folders_to_files(tmp_path: Path) -> None:
    data = bars(48)
    for number, (values, label) in enumerate(zip(data.fields["real"].values, np.asarray(data.labels), strict=True)):
        folder = tmp_path / "data" / SPEC.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(values)[..., 0]).save(folder / f"{number:02d}.png")
    small = SMALL | {"batch_size": 4}
    ganvas.train("biggan", tmp_path / "data", out=tmp_path / "run", budget="2r", config=small, quiet=True, precision="32")
    run, narrow = (ganvas.load(tmp_path / "run", config=own) for own in ({}, {"truncation": 0.1}))
    images = run.sample(6, label="wide", seed=1)
    assert images.shape == (6, 16, 16, 1)
    assert narrow.sample(6, label="wide", seed=1).std(0).mean() < images.std(0).mean()
