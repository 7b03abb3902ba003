"""Gradient origin networks: images are given back from one gradient at the origin, if and only if F learns through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.capabilities import Projects
from ganvas.cli import main
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis.gon import Config, Gon

SPEC = ImageSpec(1, 16, 16)


class Unlinked(Gon):
    """Without the second derivative: F does not learn through the gradient that gives the latent."""

    def _latents(self, images: Tensor, learning: bool) -> Tensor:
        return super()._latents(images, learning=False).detach()


def build(kind: type[Gon] = Gon, spec: ImageSpec = SPEC, **settings: Any) -> Gon:
    torch.manual_seed(0)
    given = {"width": 8, "latent_size": 8, "batch_size": 32, "learning_rate": 3e-3, **settings}
    return kind(spec, build_config(Config, given))


def blocks(count: int, seed: int) -> np.ndarray:
    """A bright block of any place and size."""
    rng = np.random.default_rng(seed)
    images = np.full((count, 16, 16, 1), 30, np.uint8)
    for own in images:
        top, left = rng.integers(0, 9, 2)
        height, width = rng.integers(3, 8, 2)
        own[top : top + height, left : left + width] = 220
    return images


def tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def learnt(kind: type[Gon] = Gon, rounds: int = 250, **settings: Any) -> Engine:
    system, images = build(kind, **settings), blocks(384, 0)
    count = len(images)
    dataset = Dataset({"real": Field(SPEC, images)}, None, np.arange(count), np.zeros(count, bool), "blocks", "")
    engine = Engine(system, {"data": open_stream(dataset, system.feeds()["data"], 32, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    return engine


def error(engine: Engine) -> float:
    """Of unseen images, as a share of what the mean image would leave."""
    images = tensor(blocks(100, 1))
    with engine.watching() as system, torch.no_grad():
        again = system.reconstruct(system.project(images, Noise.seeded(0)))
    return float((again - images).square().mean() / images.var(0, correction=0).mean())


@pytest.fixture(scope="module")
def engine() -> Engine:
    return learnt()


def test_unseen_images_are_given_back_from_the_gradient_and_not_without(engine: Engine) -> None:
    assert error(engine) < 0.3
    assert error(learnt(rounds=100, step=0.0)) > 0.9, "all latents are the origin: the mean image is all there is"


def test_learning_through_the_gradient_is_better_than_taking_it_as_it_is(engine: Engine) -> None:
    assert error(learnt(Unlinked)) > 1.1 * error(engine)


def test_samples_are_like_the_images_and_follow_the_latents_that_were_seen(engine: Engine) -> None:
    images = tensor(blocks(300, 2))
    with engine.watching() as system:
        latents = system.project(images, Noise.seeded(0))
        made = system.sample(300, Noise.seeded(1))
        seen = float(1 - 0.99**system.batches)
        mean = system.latent_mean / seen
        spread = (system.latent_square / seen - mean[:, None] * mean).diagonal()
    assert torch.allclose(mean, latents.mean(0), atol=0.5 * float(latents.std()))
    assert torch.allclose(spread.sqrt(), latents.std(0), rtol=0.5)
    assert float(made.mean()) == pytest.approx(float(images.mean()), abs=0.15)
    assert float(made.std()) > 0.5 * float(images.std())


def test_the_latent_is_one_step_from_the_origin_of_each_image_alone() -> None:
    system = build().eval()
    images = tensor(blocks(4, 3))
    together = system.project(images, Noise.seeded(0))
    alone = torch.cat([system.project(image[None], Noise.seeded(0)) for image in images])
    assert torch.allclose(together, alone, atol=1e-5)
    assert isinstance(system, Projects)
    assert all(parameter.grad is None for parameter in system.parameters())


@pytest.mark.parametrize("network", ["convolutional", "implicit"])
def test_activations_have_a_second_derivative_and_nothing_looks_across_the_batch(network: str) -> None:
    system = build(network=network)
    kinds = {type(module) for module in system.modules()}
    assert not kinds & {nn.ReLU, nn.LeakyReLU, nn.BatchNorm2d}
    terms = system.reconstruct_batch(Batch(Noise.seeded(0), {"real": tensor(blocks(4, 4))}), Clock(), {})
    through = torch.autograd.grad(terms["error"], list(system.parameters()), allow_unused=True)
    assert all(own is not None and float(own.abs().sum()) > 0 for own in through)


@pytest.mark.parametrize(
    ("network", "shape"), [("convolutional", (3, 19, 30)), ("implicit", (3, 9, 31)), ("implicit", (1, 12, 8))]
)
def test_any_size_and_aspect(network: str, shape: tuple[int, int, int]) -> None:
    system = build(spec=ImageSpec(*shape), network=network, layers=2).eval()
    images = torch.zeros(2, *shape)
    latents = system.project(images, Noise.seeded(0))
    assert latents.shape == (2, 8)
    assert system.reconstruct(latents).shape == images.shape
    assert system.sample(3, Noise.seeded(0)).shape == (3, *shape)


def test_an_implicit_network_learns_as_well() -> None:
    assert error(learnt(rounds=150, network="implicit", width=32, layers=2, learning_rate=1e-3)) < 0.8


def test_the_autoencoder_to_compare_with_has_an_encoder_more() -> None:
    own, encoded = build(), build(latents="encoder")
    assert own.encoder is None and encoded.encoder is not None
    assert [player.networks for player in encoded.players()] == [("network", "encoder")]
    count = {system: sum(p.numel() for p in system.parameters()) for system in (own, encoded)}
    assert count[encoded] > 1.5 * count[own]


def test_from_files_to_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    for number, values in enumerate(blocks(24, 5)):
        Image.fromarray(values[..., 0]).save(tmp_path / "data" / f"{number:02d}.png")
    small = {"width": 4, "latent_size": 4, "batch_size": 8}
    ganvas.train("gon", tmp_path / "data", out=tmp_path / "run", budget="2r", config=small, quiet=True, precision="32")
    assert ganvas.load(tmp_path / "run").sample(3).shape == (3, 16, 16, 1)
    assert (
        main(["apply", str(tmp_path / "run"), str(tmp_path / "data"), "--as", "project", "--out", str(tmp_path / "out")]) == 0
    )
    assert np.load(tmp_path / "out" / "latents.npz")["latents"].shape == (24, 4)
    assert main(["sample", str(tmp_path / "run"), "-n", "2", "--out", str(tmp_path / "made")]) == 0
    capsys.readouterr()
