"""Block edges: planted squares stand out by their size, blur and noise do not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ganvas.errors import GanvasError
from ganvas.metrics import block_edges

DATA = Path(os.environ.get("GANVAS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def natural(count: int, size: tuple[int, int] = (64, 64), seed: int = 0, channels: int = 1) -> np.ndarray:
    """Images (N, H, W, C) uint8 whose spectrum falls off as in nature."""
    rng = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    fall = 1 / (0.03 + np.hypot(down, across)) ** 1.5
    drawn = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(count, channels, *size))) * fall, size)
    drawn = 128 + 40 * drawn / drawn.std(axis=(2, 3), keepdims=True)
    return np.rint(drawn.clip(0, 255)).astype(np.uint8).transpose(0, 2, 3, 1)


def squared(images: np.ndarray, side: int, start: int = 0) -> np.ndarray:
    """Every square of that side in its mean colour; the first begins `start` pixels before the image."""
    rows, columns = ((np.arange(length) + start) // side for length in images.shape[1:3])
    sums = np.zeros((len(images), rows[-1] + 1, columns[-1] + 1, images.shape[3]))
    np.add.at(sums, (slice(None), rows[:, None], columns[None]), images)
    counts = np.zeros(sums.shape[1:3])
    np.add.at(counts, (rows[:, None], columns[None]), 1)
    return np.rint((sums / counts[..., None])[:, rows[:, None], columns[None]]).astype(np.uint8)


def blurred(images: np.ndarray, times: int) -> np.ndarray:
    out = images.astype(float)
    for _ in range(times):
        for axis in (1, 2):
            out = (np.roll(out, 1, axis) + 2 * out + np.roll(out, -1, axis)) / 4
    return np.rint(out).astype(np.uint8)


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (67, 61)])
def test_real_against_real_is_near_one_and_within_chance_mostly(size: tuple[int, int]) -> None:
    found = block_edges(natural(60, size, seed=1), natural(60, size, seed=2), replicates=100)
    assert 1.0 < found.value < 1.15
    assert found.low < found.value < found.high
    assert 1.0 < found.more["chance"] < 1.15
    assert found.protocol == f"block-edges/ratio/period=8/at={size[0]}x{size[1]}/n=60/m=60/ref=given"


@pytest.mark.parametrize(("side", "start"), [(2, 0), (4, 0), (4, 3), (8, 0), (8, 5), (16, 0)])
def test_squares_read_their_side_wherever_they_begin(side: int, start: int) -> None:
    real = natural(40, seed=3)
    found = block_edges(squared(natural(40, seed=4), side, start), real, replicates=50)
    assert found.value == pytest.approx(min(side, 8), rel=0.12)
    assert found.low > found.more["chance"]


def test_blur_and_noise_do_not_stand_out_but_blurred_squares_do() -> None:
    real, other = natural(60, seed=5), natural(60, seed=6)
    rng = np.random.default_rng(0)
    noise = (other + rng.normal(0, 20, other.shape)).clip(0, 255).astype(np.uint8)
    plain = block_edges(other, real, intervals=False).value
    for harmless in (blurred(other, 1), blurred(other, 8), noise, other // 2):
        assert block_edges(harmless, real, intervals=False).value < plain + 0.1
    for side in (4, 8):
        assert block_edges(blurred(squared(other, side), 2), real, intervals=False).value > 1.5


def test_edges_at_fixed_places_of_the_picture_are_no_grid() -> None:
    """A frame that every image has, as anatomy lies at its place in radiographs, is the same in both sets."""
    sets = []
    for seed in (7, 8):
        images = natural(40, seed=seed)
        images[:, 20:44, 12:50] = images[:, 20:44, 12:50] // 3
        sets.append(images)
    assert block_edges(*sets, intervals=False).value < 1.15


def test_constant_images_have_no_grid_and_colour_does_not_disturb() -> None:
    real = natural(30, seed=9)
    assert block_edges(np.full_like(real, 9), real, intervals=False).value < 1.15
    mixed = np.concatenate([natural(30, seed=10), np.full((10, 64, 64, 1), 7, np.uint8)])
    assert block_edges(mixed, real, intervals=False).value < 1.2
    colour = natural(20, seed=11, channels=3)
    assert block_edges(squared(colour, 4), natural(20, seed=12, channels=3), intervals=False).value == pytest.approx(4, rel=0.1)


def test_what_cannot_be_measured_is_said_in_one_line() -> None:
    real = natural(4)
    for images, other, period, said in (
        (real, natural(4, (32, 32)), 8, "bring both sets to one size"),
        (natural(4, (20, 20)), natural(4, (20, 20)), 8, "the least is 24"),
        (real, squared(real, 8), 8, "squares themselves"),
        (real, real, 1, "2 pixels or more"),
        (real[:0], real, 8, "empty"),
        (real[:1], real, 8, "at least 2 images"),
    ):
        with pytest.raises(GanvasError, match=said) as caught:
            block_edges(images, other, period=period)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not (DATA / "chest-xray").exists(), reason="needs real radiographs")
def test_real_radiographs_pixelated_stand_out_and_blurred_do_not() -> None:
    from PIL import Image

    files = sorted((DATA / "chest-xray").glob("*/*.png"))[::4]
    images = np.stack([np.asarray(Image.open(p).convert("L").resize((64, 64), Image.Resampling.BOX)) for p in files])[..., None]
    rng = np.random.default_rng(0)
    images = images[rng.permutation(len(images))]
    real, other = images[: len(images) // 2], images[len(images) // 2 :]
    given = {"intervals": False}
    assert block_edges(other, real, **given).value < 1.1
    assert block_edges(blurred(other, 6), real, **given).value < 1.1
    assert block_edges(squared(other, 4), real, **given).value == pytest.approx(4, rel=0.1)
    assert block_edges(squared(other, 8), real, **given).value == pytest.approx(8, rel=0.1)
