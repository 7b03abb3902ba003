"""Perceptual GAN: small records are named by mended features, large ones as before; which are small; the game's terms."""

from __future__ import annotations

import csv
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy

import ganvas
from ganvas.batches import Batch, Noise
from ganvas.data.dataset import Dataset, Field
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.perceptual_gan import evened, reductions, zoomed
from ganvas.run.apply import apply
from ganvas.systems.detection.perceptual_gan import Config, PerceptualGan

NAMES = ("across", "plain", "upright")
SPEC = ImageSpec(channels=1, height=16, width=16, classes=NAMES)
SMALL = {"width": 6, "blocks": 1, "units": 24, "batch_size": 32, "dropout": 0.0, "learning_rate": 4e-3}


def noise(seed: int = 0) -> Noise:
    return Noise.seeded(seed)


def small(spec: Any = SPEC, **settings: Any) -> PerceptualGan:
    torch.manual_seed(0)
    return PerceptualGan(spec, Config(**{**SMALL, **settings}))


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(pictures (N, 16, 16, 1) uint8, 0 to 2): stripes of four pixels across, next to none, or upright, on a slope.

    Made small, stripes fade, and who learnt large pictures takes them for plain ones.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, count)
    place = np.arange(16) - 7.5
    waves = np.sin(2 * np.pi * (place[None] / 4 + rng.uniform(0, 1, (count, 1))))
    strength = np.where(kinds == 1, 8, 40)[:, None, None]
    lies = np.where(kinds == 1, rng.integers(0, 2, count), kinds == 0).astype(bool)[:, None, None]
    stripes = strength * np.where(lies, waves[:, :, None], waves[:, None, :])
    slopes = rng.choice([-1, 1], (2, count, 1, 1)) * rng.uniform(4, 7, (2, count, 1, 1))
    slope = slopes[0] * place[None, :, None] + slopes[1] * place[None, None]
    grey = 128 + stripes + slope + rng.normal(0, 4, (count, 16, 16))
    return grey.clip(0, 255)[..., None].astype(np.uint8), kinds


def tensor(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def shrunk(pictures: np.ndarray, side: int) -> np.ndarray:
    """As a file of `side` pixels, by means; (N, side, side, C)."""
    found = [np.asarray(Image.fromarray(own[..., 0]).resize((side, side), Image.Resampling.BOX)) for own in pictures]
    return np.stack(found)[..., None]


def enlarged(pictures: np.ndarray, size: int = 16) -> np.ndarray:
    """As `ganvas apply` reads files that are too small."""
    found = [np.asarray(Image.fromarray(own[..., 0]).resize((size, size), Image.Resampling.BICUBIC)) for own in pictures]
    return np.stack(found)[..., None]


def stream_of(system: PerceptualGan) -> dict[str, Any]:
    pictures, kinds = drawn(400, 1)
    data = Dataset({"real": Field(SPEC, pictures)}, kinds.astype(np.int64), np.arange(400), np.zeros(400, bool), "bars", "bars")
    return {name: open_stream(data, feed, 32, seed=0) for name, feed in system.feeds().items()}


@cache
def learnt(rounds: int = 240, **settings: Any) -> tuple[PerceptualGan, dict[str, Tensor]]:
    """(the system after its game, its weights as they were when the game began)."""
    system = small(**settings)
    engine = Engine(system, stream_of(system), seed=0, check_every=50)
    before: dict[str, Tensor] = {}
    for played in range(rounds):
        engine.progress = played / rounds
        if not before and engine.clock.phase == "game":
            before = {name: own.clone() for name, own in system.state_dict().items()}
        engine.play_round()
    return system.eval(), before


def accuracy(system: PerceptualGan, images: Tensor, kinds: np.ndarray, mended: bool) -> float:
    with torch.no_grad():
        logits = system.named(images, torch.full((len(images),), mended))
    return float((logits.argmax(1).numpy() == kinds).mean())


def test_small_records_are_named_by_mended_features_and_not_without() -> None:
    system, _ = learnt()
    pictures, kinds = drawn(300, 9)
    little = tensor(enlarged(shrunk(pictures, 9)))
    raw, mended = (accuracy(system, little, kinds, own) for own in (False, True))
    assert accuracy(system, tensor(pictures), kinds, False) > 0.95
    assert raw < 0.8 and mended > 0.93, (raw, mended)
    less = tensor(enlarged(shrunk(pictures, 7)))
    found = system.classify(less, noise()).argmax(1).numpy()  # who asks need not say which records are small
    assert (found == kinds).mean() > accuracy(system, less, kinds, False) + 0.2


def test_large_records_are_named_as_before_the_game() -> None:
    system, before = learnt()
    now = system.state_dict()
    for name, own in before.items():
        moved = not torch.equal(own, now[name])
        assert moved == name.startswith(("generator.", "discriminator.")), name


def test_records_are_small_by_their_detail_whatever_their_pixels() -> None:
    pictures, _ = drawn(100, 3)
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 255, pictures.shape).astype(np.uint8)
    system = small()
    assert system.config.small_side == 10 and system.config.least_side == 6
    assert not system.is_small(tensor(rough)).any()
    assert (
        system.is_small(tensor(enlarged(shrunk(rough, 6)))).all() and system.is_small(tensor(enlarged(shrunk(rough, 7)))).all()
    )


def test_what_is_reduced_looks_as_a_small_file_that_was_enlarged() -> None:
    pictures, _ = drawn(8, 4)
    own = reductions(16, [8])[0]
    made = own @ tensor(pictures) @ own.mT
    file = [Image.fromarray(one[..., 0]).resize((8, 8), Image.Resampling.BICUBIC) for one in pictures]
    wanted = tensor(enlarged(np.stack([np.asarray(one) for one in file])[..., None]))
    assert (made - wanted).abs().max() < 0.03, "three grey levels of 255, for rounding"
    system = small()
    found = system.reduced(tensor(np.repeat(pictures[:1], 64, 0)), noise())
    kinds = {tuple(one.flatten().tolist()) for one in found}
    assert len(kinds) == 5, "sides of 6 to 10 pixels"


def test_evened_records_forget_light_and_zoomed_ones_keep_their_means() -> None:
    pictures = tensor(drawn(6, 5)[0])
    torch.testing.assert_close(evened(pictures), evened(0.5 * pictures + 0.2), atol=0.1, rtol=0.2)
    assert torch.equal(evened(torch.ones(1, 1, 8, 8)), torch.zeros(1, 1, 8, 8))
    torch.testing.assert_close(zoomed(pictures, noise(), 0.0), pictures)
    flat = torch.full((4, 1, 16, 12), 0.7)
    torch.testing.assert_close(zoomed(flat, noise(), 0.3), flat)
    assert (zoomed(pictures, noise(), 0.3) - pictures).abs().mean() > 0.02


def test_terms_are_those_of_the_paper() -> None:
    system = small(class_weight=2.0, adversarial_weight=3.0)
    rng = np.random.default_rng(0)
    rough = tensor(rng.integers(0, 255, (4, 16, 16, 1)).astype(np.uint8))
    batch = Batch(noise(), {"real": rough}, torch.tensor([0, 1, 2, 0]))
    assert system.discriminator is not None
    torch.nn.init.zeros_(system.discriminator.last.weight)
    torch.nn.init.zeros_(system.discriminator.last.bias)
    shared: dict[str, Any] = {}
    told = system.tell_apart(batch, Clock(), shared)
    assert told["real"].item() == pytest.approx(math.log(2)) == told["fake"].item()
    wanted = cross_entropy(system.perception(shared["mended"]), torch.tensor([0, 1, 2, 0])).item()
    made = system.super_resolve(batch, Clock(), shared)
    assert made["adversarial"].item() == pytest.approx(3 * math.log(2))
    assert made["class"].item() == pytest.approx(2 * wanted, rel=1e-5)
    flat = tensor(enlarged(shrunk(drawn(4, 1)[0], 6)))
    few = system.tell_apart(Batch(noise(), {"real": flat}, batch.labels), Clock(), {})
    assert few["real"].item() < told["real"].item(), "records that are small themselves are no example of large ones"
    assert "discriminator" not in [player.name for player in small(adversarial_weight=0.0).players()]


def test_data_and_settings_that_cannot_be_are_refused_in_one_line() -> None:
    with pytest.raises(GanvasError, match="needs two or more: a sub-folder for each"):
        small(ImageSpec(channels=1, height=16, width=16, classes=("cat", "unlabelled")))
    for settings in ({"small_side": 16}, {"small_side": 8, "least_side": 9}):
        with pytest.raises(GanvasError, match="smaller than the size of training, 16"):
            small(**settings)
    with pytest.raises(GanvasError, match="too small: take --size 16"):
        small(ImageSpec(channels=1, height=4, width=16, classes=NAMES))


def test_files_of_any_size_are_named_in_a_table(tmp_path: Path) -> None:
    pictures, kinds = drawn(60, 0)
    for place, (picture, kind) in enumerate(zip(pictures, kinds, strict=True)):
        (tmp_path / "data" / NAMES[kind]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(tmp_path / "data" / NAMES[kind] / f"{place:03d}.png")
    (tmp_path / "new").mkdir()
    Image.fromarray(shrunk(pictures[:1], 7)[0, ..., 0]).save(tmp_path / "new" / "far.png")
    Image.fromarray(pictures[1, ..., 0]).save(tmp_path / "new" / "near.png")
    ganvas.train(
        "perceptual-gan",
        tmp_path / "data",
        size="16",
        out=tmp_path / "run",
        config=SMALL,
        budget="6r",
        quiet=True,
        sample_every=0.0,
    )
    apply(tmp_path / "run", [tmp_path / "new"], out=tmp_path / "table", verb="classify")
    with (tmp_path / "table" / "scores.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["file"] for row in rows] == ["far.png", "near.png"]
    for row in rows:
        assert row["class"] in NAMES and sum(float(row[f"p({name})"]) for name in NAMES) == pytest.approx(1, abs=1e-4)
