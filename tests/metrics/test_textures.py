"""Measures of textures: what recurs is found at its lag, ends that fit are told from ends that do not, patches are compared."""

from __future__ import annotations

import numpy as np
import pytest

from ganvas.metrics.textures import autocorrelation, patch_distance, periods, recurrence, seam

RNG = np.random.default_rng(0)


def lattice(side: int = 96, noise: float = 0.0) -> np.ndarray:
    """Dots, 12 pixels apart down and 9 across."""
    rows, columns = np.mgrid[:side, :side]
    dots = np.cos(2 * np.pi * rows / 12) + np.cos(2 * np.pi * columns / 9)
    return np.asarray((dots + noise * RNG.normal(size=dots.shape))[..., None])


def test_a_picture_is_like_itself_where_it_recurs() -> None:
    found = autocorrelation(lattice(), (30, 30))
    assert found.shape == (31, 61) and found[0, 30] == pytest.approx(1)
    assert found[12, 30] == pytest.approx(1, abs=0.05) and found[0, 39] == pytest.approx(1, abs=0.05)
    assert found[12, 39] == pytest.approx(found[12, 21], abs=0.05) and found[6, 30] < 0.1
    flat = autocorrelation(np.full((8, 9, 3), 7.0), (4, 20))
    assert flat.shape == (5, 17) and flat[0, 8] == 1 and flat.sum() == 1


def test_two_periods_are_found_and_their_multiples_looked_at() -> None:
    found = periods(lattice(noise=0.3), 5, 20)
    assert {tuple(map(abs, lag)) for _, lag in found} <= {(12, 0), (0, 9), (0, 18), (12, 9)} and len(found) == 2
    assert recurrence(lattice(noise=0.3), (0, 9), 20, 60) > 0.8
    assert recurrence(RNG.normal(size=(96, 96, 1)), (0, 9), 20, 60) < 0.3
    assert periods(np.zeros((20, 20, 1)), 30, 40) == []


def test_a_seam_is_where_ends_do_not_fit() -> None:
    fits = lattice(36)  # whole numbers of both periods
    assert seam(fits) < 1.05 < 1.2 < seam(lattice(42))
    tiles = np.concatenate([lattice(42)[:, :40], lattice(42)[:, :40]], 1)
    assert seam(tiles[:40], tile=40) > 1.2 and seam(lattice(72), tile=36) < 1.05


def test_patches_of_one_texture_are_near_each_other() -> None:
    first, second, other = (RNG.normal(size=(64, 64, 1)) for _ in range(3))
    assert patch_distance(first, second, 6) < 0.3 * patch_distance(first, 2 * other, 6)
