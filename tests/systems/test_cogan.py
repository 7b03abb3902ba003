"""CoGAN: images of one latent are the same thing in every class, because the first layers are shared, and only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.kinds.image.spec import ImageSpec
from ganvas.proofs.cogan import top_one
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis.cogan import CoGan, Config

SPEC = ImageSpec(1, 16, 16, classes=("bright", "dark"))


def build(**settings: Any) -> CoGan:
    torch.manual_seed(0)
    given = {"width": 8, "batch_size": 32, "learning_rate": 2e-3, "latent_size": 8, **settings}
    return CoGan(SPEC, build_config(Config, given))


def blocks(count: int = 512) -> Dataset:
    """A block anywhere, bright on dark in one class and dark on bright in the other."""
    rng = np.random.default_rng(0)
    images = np.full((count, 16, 16, 1), 40, np.uint8)
    for own in images:
        top, left = rng.integers(0, 9, 2)
        own[top : top + 7, left : left + 7] = 215
    labels = np.arange(count) % 2
    images = np.where(labels[:, None, None, None] == 1, 255 - images, images)
    return Dataset({"real": Field(SPEC, images)}, labels, np.arange(count), np.zeros(count, bool), "blocks", "")


def paired(rounds: int, **settings: Any) -> tuple[float, float]:
    """(share of blocks whose partner is nearest among 40, difference of the classes' means in [-1, 1]) after some rounds."""
    system = build(**settings)
    engine = Engine(system, {"data": open_stream(blocks(), system.feeds()["data"], 32, seed=0)}, seed=0)
    for _ in range(rounds):
        engine.play_round()
    with engine.watching() as board:
        noise = Noise(torch.Generator().manual_seed(5))
        bright, dark = (image.permute(0, 2, 3, 1).numpy() for image in board.average(noise.normal(40, 8), (0, 1)))
    return top_one(bright, -dark), float(dark.mean() - bright.mean())


def test_the_same_latent_is_the_same_thing_with_shared_layers_and_not_without() -> None:
    with_them, apart = paired(120)
    without, apart_without = paired(120, own_generator_layers=16, own_discriminator_layers=16)
    assert with_them > 0.7
    assert without < 0.2
    assert min(apart, apart_without) > 0.4, "both have learnt what the classes look like"


def test_layers_are_shared_as_the_settings_say() -> None:
    system = build(own_generator_layers=1, own_discriminator_layers=1)
    assert sum(1 for _ in system.generator.shared.parameters()) > 0
    assert len(system.generator.own) == len(system.discriminator.own) == 2
    nothing = build(own_generator_layers=16, own_discriminator_layers=16)
    assert not list(nothing.generator.shared.parameters()) + list(nothing.discriminator.shared.parameters())
    latents = torch.randn(3, 8)
    one, both = system.generator(latents, (1,)), system.generator(latents, (0, 1))
    assert one[0].shape == (3, 1, 16, 16)
    assert len(both) == 2


def test_one_seed_gives_the_same_things_in_both_classes() -> None:
    system = build().eval()
    noise = [Noise(torch.Generator().manual_seed(3)) for _ in range(3)]
    bright, dark = (system.sample(4, noise[k], torch.full((4,), k)) for k in (0, 1))
    latents = noise[2].normal(4, 8)
    assert torch.equal(bright, system.average(latents, (0,))[0])
    assert torch.equal(dark, system.average(latents, (1,))[0])
    panel = system.show(Batch(noise[2], {name: torch.zeros(4, 1, 16, 16) for name in SPEC.classes}), noise[2])
    assert panel.columns == ("bright", "dark")


def test_classes_are_dealt_without_pairs() -> None:
    system = build()
    stream = open_stream(blocks(), system.feeds()["data"], 32, seed=0)
    batch = stream.draw(Noise(torch.Generator().manual_seed(0)))
    assert float(batch["bright"].mean()) < float(batch["dark"].mean())


@pytest.mark.parametrize("classes", [(), ("one",), tuple("abcdefghi")])
def test_data_without_classes_or_with_too_many_is_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(GanvasError, match="couples 2 to 8 classes.*class folder"):
        CoGan(ImageSpec(1, 16, 16, classes=classes), Config())


def test_from_folders_to_files(tmp_path: Path) -> None:
    images = blocks(48)
    for number, (values, label) in enumerate(zip(images.fields["real"].values, images.labels, strict=True)):
        folder = tmp_path / "data" / SPEC.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(values)[..., 0]).save(folder / f"{number:02d}.png")
    small = {"width": 4, "latent_size": 4, "batch_size": 4}
    ganvas.train("cogan", tmp_path / "data", out=tmp_path / "run", budget="2r", config=small, quiet=True, precision="32")
    run = ganvas.load(tmp_path / "run")
    assert run.sample(6, label="dark", seed=1).shape == (6, 16, 16, 1)
    assert not np.array_equal(run.sample(6, label="dark", seed=1), run.sample(6, label="bright", seed=1))
