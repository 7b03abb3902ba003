"""Radial spectra: closed forms, all shapes, merging, and what chance makes of two halves."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from ganvas.errors import GanvasError
from ganvas.metrics.spectrum import FLOOR, SpectrumMoments, draw_spectrum, radial_spectrum, spectrum_distance

SIZES = [(32, 32), (33, 33), (24, 40), (31, 20)]


def noise(count: int, size: tuple[int, int] = (32, 32), sd: float = 0.1, seed: int = 0) -> torch.Tensor:
    """White noise (N, 1, H, W) whose variance is sd^2 in units of the range (which is 2 for these tensors)."""
    drawn = np.random.default_rng(seed).normal(0, 2 * sd, (count, 1, *size))
    return torch.from_numpy(drawn.clip(-1, 1).astype(np.float32))


def cosine(size: tuple[int, int], down: float, across: float, amplitude: float = 0.5) -> torch.Tensor:
    """One image of a single frequency, in cycles per pixel."""
    y, x = np.ogrid[: size[0], : size[1]]
    wave = amplitude * np.cos(2 * np.pi * (down * y + across * x) + 0.4)
    return torch.from_numpy(wave.astype(np.float32))[None, None]


@pytest.mark.parametrize("size", SIZES)
def test_white_noise_is_flat_at_its_variance(size: tuple[int, int]) -> None:
    spectrum = radial_spectrum(noise(300, size))
    short = min(size)
    np.testing.assert_allclose(spectrum.frequencies, np.arange(1, short // 2 + 1) / short)
    assert spectrum.frequencies[-1] <= 0.5
    # The mean of logarithms lies below the logarithm of the mean where few coefficients are averaged.
    np.testing.assert_allclose(spectrum.mean[4:], np.log(0.1**2), atol=0.08)
    assert (spectrum.mean[:4] < np.log(0.1**2) + 0.08).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("direction", ["down", "across", "oblique"])
def test_a_cosine_has_its_ring(size: tuple[int, int], direction: str) -> None:
    height, width = size
    down, across = {"down": (6 / height, 0), "across": (0, 6 / width), "oblique": (5 / height, 4 / width)}[direction]
    spectrum = radial_spectrum(cosine(size, down, across))
    loudest = spectrum.frequencies[np.argmax(spectrum.mean)]
    assert abs(loudest - np.hypot(down, across)) <= 0.5 / min(size) + 1e-9
    far = np.abs(spectrum.frequencies - np.hypot(down, across)) > 2.5 / min(size)
    assert (spectrum.mean[far] < np.log(1e-9)).all()


def test_a_constant_has_no_power_and_brightness_does_not_count() -> None:
    grey = np.full((3, 16, 16), 90, np.uint8)
    np.testing.assert_allclose(radial_spectrum(grey).mean, np.log(FLOOR), atol=1e-6)
    drawn = np.random.default_rng(1).integers(0, 200, (5, 16, 16)).astype(np.uint8)
    assert spectrum_distance(drawn + 50, drawn, intervals=False).value < 1e-6


def test_blur_lowers_the_top_third_and_only_that_is_far() -> None:
    sharp = np.random.default_rng(2).integers(0, 256, (60, 33, 32)).astype(np.uint8)
    wide = sharp.astype(np.float64)
    blurred = sum(np.roll(wide, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
    measure = spectrum_distance(np.rint(blurred).astype(np.uint8), sharp)
    assert measure.more["top_third"] < -3
    assert measure.more["top_third_low"] < measure.more["top_third"] < measure.more["top_third_high"] < -3
    assert measure.value > 1
    assert measure.low < measure.value < measure.high
    gap = np.array(measure.more["generated"]) - np.array(measure.more["real"])
    # The box has the transfer function (1 + 2 cos 2 pi f) / 3 along an axis; the lowest ring is nearly untouched.
    assert gap[0] == pytest.approx(np.log(((1 + 2 * np.cos(2 * np.pi / 32)) / 3) ** 2), abs=0.05)
    assert measure.protocol == "spectrum/log-radial-hann/at=33x32/n=60/m=60/ref=given"


def test_scaling_contrast_shifts_the_whole_curve() -> None:
    images = noise(20)
    measure = spectrum_distance(images * 0.5, images, intervals=False)
    assert measure.value == pytest.approx(np.log(4), abs=1e-4)
    assert measure.more["top_third"] == pytest.approx(-np.log(4), abs=1e-4)


def test_channels_are_averaged_after_the_logarithm() -> None:
    two = torch.cat([noise(50, sd=0.05, seed=1), noise(50, sd=0.2, seed=2)], dim=1)
    expected = (radial_spectrum(two[:, :1]).mean + radial_spectrum(two[:, 1:]).mean) / 2
    np.testing.assert_allclose(radial_spectrum(two).mean, expected, rtol=1e-9)


def test_depth_of_the_file_does_not_matter() -> None:
    eight = np.random.default_rng(3).integers(0, 256, (4, 20, 20, 3)).astype(np.uint8)
    sixteen = eight.astype(np.uint16) * 257
    np.testing.assert_allclose(radial_spectrum(eight).mean, radial_spectrum(sixteen).mean, atol=1e-5)


def test_two_halves_of_one_set_stay_below_chance_and_two_kinds_do_not() -> None:
    inside = 0
    for seed in range(20):
        images = noise(60, (16, 16), seed=seed)
        measure = spectrum_distance(images[:30], images[30:], replicates=200)
        inside += measure.value <= measure.more["chance"]
    assert inside >= 16  # 19 of 20 expected; 15 or fewer has a probability of 0.003
    other = spectrum_distance(noise(30, (16, 16)) * 0.7, noise(30, (16, 16), seed=9), replicates=200)
    assert other.value > 2 * other.more["chance"]
    assert other.low > 0


def test_interval_covers_the_distance_of_the_populations() -> None:
    """Noise of twice the variance is at distance log 2 in every ring."""
    covered = 0
    for seed in range(40):
        measure = spectrum_distance(
            noise(25, (16, 16), 0.05 * np.sqrt(2), seed), noise(25, (16, 16), 0.05, 1000 + seed), replicates=200
        )
        covered += measure.low <= np.log(2) <= measure.high
    assert covered >= 33


def test_merged_equals_whole() -> None:
    images, real = noise(30, (24, 17), seed=4), noise(20, (24, 17), seed=5)
    whole = spectrum_distance(images, real, intervals=False, reference="heldout")
    parts = [SpectrumMoments() for _ in range(3)]
    for part, slice_ in zip(parts, (images[:7], images[7:8], images[8:]), strict=True):
        part.update(slice_)
    merged = SpectrumMoments()
    for part in parts:
        merged.merge(SpectrumMoments.from_state(part.state()))
    merged.merge(SpectrumMoments.from_state(SpectrumMoments().state()))  # an empty process
    base = SpectrumMoments()
    base.update(real)
    measure = merged.compute(base, reference="heldout")
    assert measure.protocol == whole.protocol
    assert measure.value == pytest.approx(whole.value, abs=1e-9)
    assert measure.more["top_third"] == pytest.approx(whole.more["top_third"], abs=1e-9)
    np.testing.assert_allclose(merged.spectrum().sd, radial_spectrum(images).sd, atol=1e-9)


def test_the_same_seed_gives_the_same_interval() -> None:
    images, real = noise(10), noise(12, seed=1)
    assert spectrum_distance(images, real, replicates=50) == spectrum_distance(images, real, replicates=50)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_picture_is_written_and_the_same_each_time(tmp_path, ending: str) -> None:
    path = tmp_path / f"spectrum.{ending}"
    draw_spectrum(path, noise(6) * 0.9, noise(6, seed=1), {"heldout": noise(6, seed=2)})
    first = path.read_bytes()
    draw_spectrum(path, noise(6) * 0.9, radial_spectrum(noise(6, seed=1)), {"heldout": noise(6, seed=2)})
    assert path.read_bytes() == first
    assert first.startswith(b"\x89PNG" if ending == "png" else b"<?xml")


def test_bad_input_is_one_line() -> None:
    with pytest.raises(GanvasError, match="one size"):
        spectrum_distance(noise(3), noise(3, (32, 31)))
    with pytest.raises(GanvasError, match="8x8 or more"):
        radial_spectrum(noise(3, (7, 30)))
    with pytest.raises(GanvasError, match="at least 1"):
        radial_spectrum(np.zeros((0, 16, 16), np.uint8))
    with pytest.raises(GanvasError, match="at least 2 images"):
        spectrum_distance(noise(1), noise(3))
    with pytest.raises(GanvasError, match=r"\.png or \.svg"):
        draw_spectrum("spectrum.pdf", noise(3), noise(3))
    with pytest.raises(GanvasError, match="images must"):
        radial_spectrum(np.zeros((3, 16, 16)))


def test_importing_it_does_not_import_torch_or_matplotlib() -> None:
    code = "import sys, ganvas.metrics.spectrum; assert not {'torch', 'matplotlib', 'scipy', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
