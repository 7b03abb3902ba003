"""The mixtures: points scatter about the published centres with the stated width, all modes alike."""

from __future__ import annotations

import numpy as np
import pytest

from ganvas.data.phantoms import make_phantom
from ganvas.data.phantoms.gaussians import GRID_CENTRES, GRID_SIGMA, MIXTURES, RING_CENTRES, RING_RADIUS


@pytest.mark.parametrize("variant", list(MIXTURES))
def test_points_scatter_about_their_mode(variant: str) -> None:
    centres, sigma = MIXTURES[variant]
    made = make_phantom(f"gaussians:{variant}", 20000, 2)
    assert made.labels is not None
    offset = made.values - centres[made.labels]
    assert offset.std(0) == pytest.approx([sigma, sigma], rel=0.03)
    assert abs(offset.mean(0)).max() < 0.03 * sigma
    share = np.bincount(made.labels, minlength=len(centres)) / 20000
    assert share == pytest.approx(np.full(len(centres), 1 / len(centres)), rel=0.15)
    nearest = np.linalg.norm(made.values[:, None] - centres, axis=2).argmin(1)
    assert np.array_equal(nearest, made.labels)
    assert len(made.classes) == len(centres)


def test_centres_are_those_of_the_papers() -> None:
    assert len(RING_CENTRES) == 8
    assert np.linalg.norm(RING_CENTRES, axis=1) == pytest.approx(np.full(8, RING_RADIUS))
    assert set(map(tuple, GRID_CENTRES.tolist())) == {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert GRID_SIGMA == 0.05


def test_ring_is_the_default() -> None:
    assert np.array_equal(make_phantom("gaussians", 50).values, make_phantom("gaussians:ring", 50).values)
