"""AC-GAN: what its terms count, that classes are obeyed because D names them, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ganvas.batches import Batch, Noise
from ganvas.data.dataset import Dataset, Field
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.presets import Situation
from ganvas.systems.synthesis.acgan import AcGan, Config, auto

SPEC = ImageSpec(channels=1, height=8, width=8, classes=("left", "right", "both"))
SMALL = {"width": 8, "batch_size": 32, "latent_size": 8}


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def small(spec: Any = SPEC, **settings: Any) -> AcGan:
    torch.manual_seed(0)
    return AcGan(spec, Config(**{**SMALL, **settings}))


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(pictures (N, 8, 8, 1) uint8, labels): a bright block at the left, at the right or at both sides, of any height."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    pictures = np.full((count, 8, 8, 1), 30, np.uint8)
    for picture, label, top, tall in zip(pictures, labels, rng.integers(0, 4, count), rng.integers(2, 5, count), strict=True):
        for side in ((0,), (5,), (0, 5))[label]:
            picture[top : top + tall, side : side + 3] = 220
    return pictures, labels


def read(pictures: torch.Tensor) -> np.ndarray:
    """The class that pictures (N, 1, 8, 8) in [-1, 1] show: which sides are bright anywhere. No network."""
    bright = (pictures[:, 0, :, :3].mean(2).amax(1) > 0).numpy(), (pictures[:, 0, :, 5:].mean(2).amax(1) > 0).numpy()
    return np.select([bright[0] & ~bright[1], ~bright[0] & bright[1], bright[0] & bright[1]], [0, 1, 2], -1)


def batch(count: int = 6) -> Batch:
    pictures, labels = drawn(count, 1)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    return Batch(noise(1), {"real": images}, torch.from_numpy(labels))


def test_both_players_want_the_class_to_be_right() -> None:
    """On an undecided D each class term is the log of the number of classes, with the same sign for both."""
    system = small()
    for parameter in system.discriminator.parameters():
        torch.nn.init.zeros_(parameter)
    told, shared = batch(), {}
    terms = system.discriminate(told, Clock(), shared)
    assert set(terms) == {"real", "fake", "class of real", "class of fake"}
    for name in ("class of real", "class of fake"):
        assert terms[name].item() == pytest.approx(math.log(3), rel=1e-5)
    made = system.fool(told, Clock(), shared)
    assert made["class"].item() == pytest.approx(math.log(3), rel=1e-5) and made["fool"].item() == pytest.approx(
        math.log(2), rel=1e-5
    )
    assert small(class_weight=3.0).discriminate(told, Clock(), {})["class of real"].item() == pytest.approx(
        3 * small().discriminate(told, Clock(), {})["class of real"].item(), rel=1e-5
    )
    assert "class of fake" not in small(learn_from_fakes=False).discriminate(told, Clock(), {})


def test_the_class_term_of_the_generator_moves_the_generator() -> None:
    system, told = small(), batch()
    system.fool(told, Clock(), {})["class"].backward()
    gradient = system.generator.layers[0].weight.grad
    assert gradient is not None and gradient.abs().sum() > 0


def test_data_without_classes_is_refused_with_what_to_do() -> None:
    with pytest.raises(GanvasError, match="acgan needs labelled data with two classes or more"):
        small(ImageSpec(channels=1, height=8, width=8))


def test_auto_takes_more_width_for_more_time_and_augments_few_images() -> None:
    short, long = (auto(Situation(SPEC, 500, seconds, 50.0, "cpu")) for seconds in (2.0, 36000.0))
    assert short["width"] < long["width"] and short["augment"]
    assert not auto(Situation(SPEC, 50_000, 60.0, 50.0, "cpu"))["augment"]


def obeys(rounds: int = 250, **settings: Any) -> float:
    """Share of pictures that are of the class that was asked for, after a short game."""
    pictures, labels = drawn(600, 0)
    data = Dataset({"real": Field(SPEC, pictures)}, labels, np.arange(600), np.zeros(600, bool), "sides", "sides")
    system = small(ema_half_life=500.0, generator_learning_rate=1e-3, discriminator_learning_rate=1e-3, **settings)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 32, seed=0)}, seed=0, check_every=50)
    for _ in range(rounds):
        engine.play_round()
    asked = np.repeat(np.arange(3), 60)
    with engine.watching():
        made = system.sample(180, noise(), torch.from_numpy(asked))
    return float((read(made) == asked).mean())


def test_classes_are_obeyed_because_the_discriminator_names_them() -> None:
    obedient, deaf = obeys(), obeys(class_weight=0.0)
    assert obedient > 0.85, obedient
    assert deaf < 0.6, "without the class terms nobody tells G what a class looks like"
