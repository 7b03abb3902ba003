"""DCGAN's options beyond the paper: the loss on the mean spectrum, and the presets' last layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import ganvas
from ganvas.batches import Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.convolutional import OfRepeated
from ganvas.networks.rings import Rings
from ganvas.presets import Situation
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis.dcgan import PRESETS, Config, DcGan

SPEC = ImageSpec(1, 16, 16)


def grainy(count: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(64, 192, (count, 16, 16, 1)).astype(np.uint8)


def gap_after(weight: float, rounds: int = 60) -> float:
    """The gap in the spectrum of samples to that of grain, after a short game."""
    torch.manual_seed(0)
    settings = {"latent_size": 8, "width": 8, "batch_size": 16, "spectrum_weight": weight}
    system = DcGan(SPEC, build_config(Config, settings))
    images = grainy()
    dataset = Dataset({"real": Field(SPEC, images)}, None, np.arange(64), np.zeros(64, bool), "grain", "")
    stream = open_stream(dataset, system.feeds()["data"], 16, seed=0)
    engine = Engine(system, {"data": stream}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    engine.settle()
    rings = Rings(16, 16)
    rings.learn(torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1)
    with engine.watching():
        return float(rings.gap(system.sample(64, Noise.seeded(0))))


def test_the_loss_on_the_spectrum_brings_detail_that_the_game_alone_has_not_yet() -> None:
    assert gap_after(1.0) < 0.5 * gap_after(0.0)


def test_a_run_with_it_is_resumed_with_its_running_mean(tmp_path: Path) -> None:
    given = {"width": 4, "spectrum_weight": 0.3, "latent_size": 4}
    common = {"quiet": True, "sample_every": 0.0, "size": 16, "phantom_count": 60}
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    ganvas.train("dcgan", "chest", out=whole, config=given, budget="6r", **common)
    ganvas.train("dcgan", "chest", out=parted, config=given, budget="3r", **common)
    ganvas.train(resume=parted, budget="6r", quiet=True)
    one, other = (ganvas.load(place, which="last").system.state_dict() for place in (whole, parted))
    assert bool(one["rings.real"].any())
    assert all(torch.equal(one[name], other[name]) for name in one if name.startswith("rings"))


@pytest.mark.parametrize("name", ["auto", "fcc"])
def test_presets_repeat_pixels_before_the_last_convolution(name: str) -> None:
    chosen = PRESETS[name](Situation(ImageSpec(1, 64, 64), 500, 600.0, 60.0, "cpu"))
    system = DcGan(SPEC, build_config(Config, {**chosen, "width": 4}))
    assert isinstance(list(system.generator.layers)[-2], OfRepeated)
    assert (system.config.generator_connected == "deep") == (name == "fcc")
