"""Nearest neighbours against scikit-learn, at sizes and numbers where float32 products go wrong."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from ganvas.errors import GanvasError
from ganvas.metrics import nearest, neighbours, radii


def by_sklearn(x: np.ndarray, y: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """A tree works on differences in float64, so it does not cancel."""
    return NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(y.astype(np.float64)).kneighbors(x.astype(np.float64))


@pytest.mark.parametrize("offset", [0.0, 1e4, -3e6])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_agrees_with_a_tree_however_far_from_nought(offset: float, kind: type, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    x, y = ((rng.normal(size=(n, 6)) + offset).astype(kind) for n in (70, 90))
    distances, indices = nearest(x, y, 4)
    expected, where = by_sklearn(x, y, 4)
    np.testing.assert_allclose(distances, expected, rtol=1e-12, atol=1e-12)
    if kind is np.float64:  # float32 far from nought has ties
        np.testing.assert_array_equal(indices, where)
    monkeypatch.setattr(neighbours, "_BLOCK", 16)
    again, where = nearest(x, y, 4)
    np.testing.assert_array_equal(again, distances)
    np.testing.assert_array_equal(where, indices)


def test_identical_points_are_at_distance_nought() -> None:
    x = (1000 + np.random.default_rng(1).normal(size=(60, 1280))).astype(np.float32)
    distances, indices = nearest(x, x[::-1], 1)
    assert (distances == 0).all()
    np.testing.assert_array_equal(indices[:, 0], np.arange(60)[::-1])


def test_a_close_pair_in_a_wide_set_is_not_lost() -> None:
    """1e-4 apart in a set 1e3 wide: far below what a float32 product of these numbers resolves."""
    rng = np.random.default_rng(2)
    y = rng.normal(size=(200, 50)) * 1e3
    x = y + rng.normal(size=y.shape) * 1e-5
    x[7] = y[7]
    close = y[:20] + 1e-4  # a second, slightly farther copy of twenty points
    distances, indices = nearest(x, np.vstack([y, close]), 2)
    np.testing.assert_array_equal(indices[:, 0], np.arange(200))
    np.testing.assert_array_equal(indices[:20, 1], 200 + np.arange(20))
    np.testing.assert_allclose(distances, by_sklearn(x, np.vstack([y, close]), 2)[0], rtol=1e-9)
    assert distances[7, 0] == 0


def test_many_near_twins_are_told_apart_in_float64() -> None:
    """More near-equal points than candidates, so float32 alone would pick among them at random."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(size=(1, 8)) * 1e3 + 1e-5 * rng.normal(size=(60, 8)), 1e3 * rng.normal(size=(20, 8))])
    distances, indices = nearest(x, x, 3, exclude_self=True)
    expected, where = by_sklearn(x, x, 4)
    np.testing.assert_allclose(distances, expected[:, 1:], rtol=1e-6)
    np.testing.assert_array_equal(indices[:, 0], where[:, 1])


def test_self_is_excluded_but_not_its_twin() -> None:
    x = np.array([[0.0, 0], [0, 0], [3, 4], [6, 8]])
    distances, indices = nearest(x, x, 2, exclude_self=True)
    np.testing.assert_array_equal(distances, [[0, 5], [0, 5], [5, 5], [5, 10]])
    np.testing.assert_array_equal(indices[:2, 0], [1, 0])
    np.testing.assert_array_equal(radii(x, 2), [5, 5, 5, 10])


@pytest.mark.parametrize("unit", [1e-30, 1e25])
def test_tiny_and_huge_units(unit: float) -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(30, 5)), rng.normal(size=(40, 5))
    np.testing.assert_allclose(nearest(x * unit, y * unit, 3)[0], nearest(x, y, 3)[0] * unit, rtol=1e-9)


def test_all_points_equal() -> None:
    assert (nearest(np.full((20, 3), 7.0), np.full((30, 3), 7.0), 5)[0] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"k": 10}, "k=10"),
        ({"k": 0}, "k=0"),
        ({"k": 9, "exclude_self": True}, "1 to 8"),
        ({"queries": np.zeros((4, 2)), "exclude_self": True}, "same set"),
        ({"queries": np.zeros((4, 3))}, "3 and 2 numbers"),
        ({"queries": np.full((4, 2), np.nan)}, "NaN"),
    ],
    ids=["too-many", "none", "self", "two-sets", "width", "nan"],
)
def test_refused(arguments: dict, says: str) -> None:
    with pytest.raises(GanvasError, match=says):
        nearest(**({"queries": np.zeros((9, 2)), "references": np.zeros((9, 2))} | arguments))
