"""Intensities, checkerboards and structural similarity: closed forms, planted artefacts, honest errors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from ganvas.errors import GanvasError
from ganvas.metrics.pixels import (
    IntensityHistogram,
    checkerboard_energy,
    diversity_ms_ssim,
    intensity_distance,
    mean_of_pairs,
    ms_ssim,
    random_pairs,
    scales_for,
)


def natural(count: int, size: tuple[int, int] = (32, 32), seed: int = 0, channels: int = 1) -> np.ndarray:
    """Images (N, H, W, C) uint8 whose spectrum falls off as in nature: smoothed noise, no grid in it."""
    rng = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    fall = 1 / (0.03 + np.hypot(down, across)) ** 1.5
    drawn = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(count, channels, *size))) * fall, size)
    drawn = 128 + 40 * drawn / drawn.std(axis=(2, 3), keepdims=True)
    return np.rint(drawn.clip(0, 255)).astype(np.uint8).transpose(0, 2, 3, 1)


def planted(images: np.ndarray, pattern: np.ndarray, amplitude: float = 0.02) -> np.ndarray:
    """The images with a grid of `pattern` (-1 to 1) added, its amplitude in units of the range."""
    down, across = (-(-side // tile) for side, tile in zip(images.shape[1:3], pattern.shape, strict=True))
    grid = np.tile(pattern, (down, across))[: images.shape[1], : images.shape[2], None]
    return np.rint((images + 255 * amplitude * grid).clip(0, 255)).astype(np.uint8)


# Intensities


def test_constants_are_as_far_apart_as_their_values() -> None:
    dark, light = np.full((4, 6, 5), 30, np.uint8), np.full((3, 6, 5), 81, np.uint8)
    measure = intensity_distance(light, dark)
    assert measure.value == pytest.approx(51 / 255)
    assert measure.more["total_variation"] == pytest.approx(1)
    assert measure.more["mean_shift"] == pytest.approx(51 / 255)
    assert [measure.low, measure.high] == pytest.approx([51 / 255] * 2)
    assert measure.protocol == "intensity-w1/bins=256/n=3/m=4/ref=given"


def test_distance_is_that_of_sorted_values_channel_by_channel() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (7, 8, 9, 3)).astype(np.uint8)
    b = (rng.integers(0, 256, (7, 8, 9, 3)) // 2).astype(np.uint8)
    expected = np.mean(
        [np.abs(np.sort(a[..., c], None).astype(float) - np.sort(b[..., c], None)).mean() / 255 for c in range(3)]
    )
    assert intensity_distance(a, b, intervals=False).value == pytest.approx(expected)
    sixteen = intensity_distance(a.astype(np.uint16) * 257, b.astype(np.uint16) * 257, intervals=False)
    assert sixteen.value == pytest.approx(expected)
    tensors = [torch.from_numpy(part.astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1 for part in (a, b)]
    assert intensity_distance(*tensors, intervals=False).value == pytest.approx(expected, abs=1e-6)


def test_same_histogram_in_another_place_is_no_distance() -> None:
    images = natural(5)
    assert intensity_distance(images[:, ::-1], images, intervals=False).value == 0
    measure = intensity_distance(images, images)
    assert measure.low == 0 and measure.value == 0 < measure.more["chance"]


def test_chance_and_interval_tell_a_shift_from_none() -> None:
    inside = 0
    for seed in range(20):
        images = natural(120, (16, 16), seed=seed)
        alike = intensity_distance(images[:60], images[60:], replicates=200)
        inside += alike.value <= alike.more["chance"]
    assert inside >= 16  # 19 of 20 expected; 15 or fewer has a probability of 0.003
    images = natural(120, seed=1)
    shifted = intensity_distance(np.minimum(images[:60], 215) + 40, images[60:], replicates=300)
    assert shifted.low > shifted.more["chance"]
    assert shifted.low < shifted.value < shifted.high


def test_merged_histograms_equal_the_whole_exactly() -> None:
    images, real = natural(20, seed=2, channels=2), natural(15, seed=3, channels=2)
    merged, base = IntensityHistogram(), IntensityHistogram()
    for part in (images[:3], images[3:11], images[11:]):
        own = IntensityHistogram()
        own.update(part)
        merged.merge(IntensityHistogram.from_state(own.state()))
    merged.merge(IntensityHistogram.from_state(IntensityHistogram().state()))
    base.update(real)
    whole = intensity_distance(images, real, intervals=False, reference="train")
    measure = merged.compute(base, reference="train")
    assert measure.protocol == whole.protocol
    assert measure.value == pytest.approx(whole.value, abs=1e-12)
    assert measure.more == pytest.approx(whole.more)


# Checkerboards


@pytest.mark.parametrize("size", [(32, 32), (33, 27), (64, 48)])
def test_no_grid_is_near_zero_and_a_planted_one_is_not(size: tuple[int, int]) -> None:
    images, real = natural(60, size, seed=4), natural(60, size, seed=5)
    none = checkerboard_energy(images, real, replicates=300)
    assert abs(none.value) < 0.35
    assert none.low < 0 < none.high
    assert none.more["excess"] == pytest.approx(1, abs=0.35)
    board = planted(images, np.array([[1.0, -1.0], [-1.0, 1.0]]))
    seen = checkerboard_energy(board, real, replicates=300)
    assert seen.value > 1.5
    assert seen.low > 1
    assert seen.more["period_2"] > 2 > abs(seen.more["period_4"])
    assert seen.protocol == f"checkerboard/log-ratio/at={size[0]}x{size[1]}/n=60/m=60/ref=given"


def test_stripes_and_grids_of_four_are_found_in_their_family() -> None:
    images, real = natural(60, seed=6), natural(60, seed=7)
    stripes = checkerboard_energy(planted(images, np.array([[1.0], [-1.0]])), real, intervals=False)
    assert stripes.more["period_2"] > 1 > abs(stripes.more["period_4"])
    four = np.zeros((4, 4))
    four[0, 0] = 4.0
    dots = checkerboard_energy(planted(images, four), real, intervals=False)
    assert dots.more["period_4"] > 0.5
    assert dots.value > 0.5


def test_excess_of_white_noise_with_a_board_has_its_closed_form() -> None:
    """A board of amplitude a on noise of variance v has excess 1 + a^2 (sum w)^2 / (v sum w^2) at (1/2, 1/2)."""
    rng = np.random.default_rng(8)
    noise = rng.normal(0, 0.04, (400, 1, 32, 32))
    sign = (-1.0) ** np.add.outer(np.arange(32), np.arange(32))
    tensors = [torch.from_numpy(x.astype(np.float32)) for x in (noise + 0.01 * sign, noise)]
    measure = checkerboard_energy(*tensors, intervals=False)
    expected = (8 + 1 + (0.01 / 0.04) ** 2 * 32**2 / 1.5**2) / 9
    assert measure.more["excess"] == pytest.approx(expected, rel=0.08)
    assert measure.more["real_excess"] == pytest.approx(1, abs=0.08)


# Structural similarity


def test_identical_images_have_similarity_one_and_negatives_none() -> None:
    images = torch.from_numpy(natural(3, (44, 50), channels=3).astype(np.float32)).permute(0, 3, 1, 2) / 255
    np.testing.assert_allclose(ms_ssim(images, images).numpy(), 1, atol=1e-6)
    np.testing.assert_allclose(ms_ssim(images, 1 - images).numpy(), 0, atol=1e-6)  # no NaN from negative terms
    assert torch.equal(ms_ssim(images, images.flip(0)), ms_ssim(images.flip(0), images))


def test_constants_have_the_closed_form_of_luminance() -> None:
    a, b = torch.full((1, 1, 24, 24), 0.2), torch.full((1, 1, 24, 24), 0.6)
    luminance = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    # Two scales: luminance counts at the second, whose weight is 0.2856 of 0.0448 + 0.2856.
    assert float(ms_ssim(a, b)) == pytest.approx(luminance ** (0.2856 / 0.3304), rel=1e-4)
    assert float(ms_ssim(a, b, scales=1)) == pytest.approx(luminance, rel=1e-4)


def test_single_scale_is_ssim_by_its_formula() -> None:
    """On an image as large as the window there is one position: weighted moments say it all."""
    rng = np.random.default_rng(9)
    a, b = rng.random((2, 11, 11))
    bell = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weight = np.outer(bell, bell) / bell.sum() ** 2
    mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
    variance_a, variance_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
    covariance = (weight * (a - mean_a) * (b - mean_b)).sum()
    expected = (
        (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
        * (2 * covariance + 9e-4) / (variance_a + variance_b + 9e-4)
    )  # fmt: skip
    tensors = [torch.from_numpy(x.astype(np.float32))[None, None] for x in (a, b)]
    assert float(ms_ssim(*tensors)) == pytest.approx(max(expected, 0), abs=1e-5)


def test_scales_fit_the_size() -> None:
    assert [scales_for(side, 200) for side in (11, 21, 22, 28, 44, 64, 88, 128, 175, 176, 512)] == [
        1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5,
    ]  # fmt: skip


def test_a_collapsed_set_is_alike_and_the_ratio_says_so() -> None:
    real = natural(40, seed=10)
    copies = np.repeat(natural(1, seed=11), 30, axis=0)
    measure = diversity_ms_ssim(copies, real, pairs=100, reference="train")
    assert measure.value == pytest.approx(1, abs=1e-6)
    assert measure.more["ratio"] > 2
    assert measure.more["ratio_low"] > 1
    assert measure.protocol == "ms-ssim/scales=2/pairs=100/within=set/at=32x32/n=30/m=40/ref=train"
    alike = diversity_ms_ssim(natural(40, seed=12), real, pairs=200)
    assert alike.more["ratio_low"] < 1 < alike.more["ratio_high"]
    assert alike == diversity_ms_ssim(natural(40, seed=12), real, pairs=200)


def test_a_single_pair_has_no_interval() -> None:
    measure = diversity_ms_ssim(natural(1)[[0, 0]], natural(1, seed=1)[[0, 0]])
    assert measure.low is None and measure.high is None and "ratio_low" not in measure.more
    assert measure.value == measure.more["ratio"] == pytest.approx(1)


def test_labels_keep_pairs_within_their_class() -> None:
    images = np.concatenate([np.repeat(natural(1, seed=13 + k), 10, axis=0) for k in range(3)])
    labels = np.repeat(["a", "b", "c"], 10)
    assert diversity_ms_ssim(images, labels=labels, intervals=False).value == pytest.approx(1, abs=1e-6)
    assert diversity_ms_ssim(images, intervals=False).value < 0.9


@pytest.mark.parametrize("count", [2, 3, 4, 7, 10])
def test_pairs_are_all_different_and_balanced(count: int) -> None:
    first, second = random_pairs(count, pairs=10**6)
    found = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert len(found) == len(first) == count * (count - 1) // 2
    assert all(len(pair) == 2 for pair in found)
    first, second = random_pairs(100, pairs=250)
    uses = np.bincount(first, minlength=100) + np.bincount(second, minlength=100)
    assert len(first) == 250 and uses.min() >= 4 and uses.max() <= 6


def test_error_of_pairs_is_the_spread_over_fresh_images() -> None:
    """Pairs of numbers with value x_i + x_j + own noise: the error is compared with the spread over 400 repetitions."""
    rng = np.random.default_rng(14)
    means, errors, naive = [], [], []
    for seed in range(400):
        x = rng.normal(size=80)
        first, second = random_pairs(80, pairs=300, seed=seed)
        values = x[first] + x[second] + rng.normal(size=300)
        mean, error = mean_of_pairs(values, first, second)
        means.append(mean)
        errors.append(error)
        naive.append(values.std() / np.sqrt(300))
    spread = np.std(means)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(spread, rel=0.12)
    assert np.mean(naive) < 0.6 * spread  # what pairs taken for independent would say


def test_bad_input_is_one_line() -> None:
    grey, colour = natural(3), natural(3, channels=3)
    for wrong, words in [
        (lambda: intensity_distance(grey, colour), "1 and 3 channels"),
        (lambda: intensity_distance(grey[:1], grey), "at least 2 images"),
        (lambda: intensity_distance(grey[:0], grey), "empty"),
        (lambda: intensity_distance(grey, grey, bins=1), "2 or more"),
        (lambda: IntensityHistogram().shares(), "at least 1"),
        (lambda: IntensityHistogram(4).merge(IntensityHistogram(8)), "do not merge"),
        (lambda: checkerboard_energy(grey, natural(3, (32, 33))), "one size"),
        (lambda: checkerboard_energy(grey[:, :23], grey[:, :23]), "under 24 pixels"),
        (lambda: checkerboard_energy(grey * 0, grey), "no contrast"),
        (lambda: checkerboard_energy(grey[:1], grey), "at least 2 images"),
        (lambda: diversity_ms_ssim(grey[:, :10]), "11x11 or more"),
        (lambda: diversity_ms_ssim(grey, natural(3, (32, 33))), "different sizes"),
        (lambda: diversity_ms_ssim(grey, grey, labels=[0, 0, 1]), "one set only"),
        (lambda: diversity_ms_ssim(grey, labels=[0, 1, 2]), "no two images"),
        (lambda: diversity_ms_ssim(grey, labels=[0, 1]), "2 labels for 3 images"),
        (lambda: diversity_ms_ssim(grey, pairs=0), "1 or more"),
        (lambda: ms_ssim(torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32), scales=3), "room for 1 to 2"),
        (lambda: ms_ssim(torch.zeros(1, 1, 32, 32), torch.zeros(2, 1, 32, 32)), "one shape"),
    ]:
        with pytest.raises(GanvasError, match=words):
            wrong()


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, ganvas.metrics.pixels; assert not {'torch', 'matplotlib', 'scipy', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
