"""Precision, recall, density and coverage against their definitions, what theory expects, and intervals by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ganvas.errors import GanvasError
from ganvas.metrics import neighbours, precision_recall_density_coverage
from ganvas.metrics.prdc import NAMES
from ganvas.metrics.sets import share_interval


def naive(g: np.ndarray, r: np.ndarray, k: int) -> list[float]:
    """The definitions, on whole matrices in float64."""
    g, r = g.astype(np.float64), r.astype(np.float64)
    r_radius, g_radius = (np.sort(cdist(x, x), axis=1)[:, k] for x in (r, g))
    apart = cdist(g, r)
    in_real, in_made = apart < r_radius[None], apart < g_radius[:, None]
    return [in_real.any(axis=1).mean(), in_made.any(axis=0).mean(), in_real.sum() / k / len(g), in_real.any(axis=0).mean()]


def values(g: np.ndarray, r: np.ndarray, **options) -> list[float]:
    found = precision_recall_density_coverage(g, r, **options)
    return [found[name].value for name in NAMES]


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_agrees_with_the_definition_in_one_block_and_in_many(k: int, offset: float, monkeypatch) -> None:
    rng = np.random.default_rng(k)
    g, r = offset + 0.9 * rng.normal(0.2, 1, size=(150, 12)), offset + rng.normal(size=(150, 12))
    expected = naive(g, r, k)
    assert values(g, r, k=k) == pytest.approx(expected, abs=1e-12)
    monkeypatch.setattr(neighbours, "_BLOCK", 16)
    assert values(g, r, k=k) == pytest.approx(expected, abs=1e-12)


def test_points_on_a_grid_are_full_of_ties() -> None:
    """Distances of small integers are exact, so every tie has to come out as the strict inequality says."""
    rng = np.random.default_rng(0)
    g, r = rng.integers(0, 5, (120, 3)).astype(np.float32), rng.integers(0, 5, (120, 3)).astype(np.float32)
    for k in (1, 2, 5):
        assert values(g, r, k=k) == pytest.approx(naive(g, r, k), abs=1e-12)


def test_by_hand() -> None:
    # k = 1: real radii 1, 1, 3; generated radii 0.5, 0.5, 9.5.
    r, g = np.array([[0.0], [1.0], [4.0]]), np.array([[0.0], [0.5], [10.0]])
    # 0 lies in the ball of 0 alone (1 is at distance 1, not below), 0.5 in those of 0 and 1, 10 in none.
    assert values(g, r, k=1) == pytest.approx([2 / 3, 1.0, 3 / 3, 2 / 3])
    # Real 0: inside 0's (0 < 0.5); real 1 and 4: inside 10's ball only (9 and 6 < 9.5).


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_identical_sets_score_exactly_one(kind: type) -> None:
    x = np.random.default_rng(1).normal(size=(100, 64)).astype(kind)
    assert values(x, x[::-1]) == [1.0, 1.0, 1.0, 1.0]


def test_apart_sets_score_nought() -> None:
    x = np.random.default_rng(2).normal(size=(50, 4))
    found = precision_recall_density_coverage(x + 100, x)
    assert [found[name].value for name in NAMES] == [0, 0, 0, 0]
    assert found["precision"].low == 0
    assert 0 < found["precision"].high < 0.15
    assert found["density"].high == 0


def test_same_distribution_gives_the_expected_density_and_coverage() -> None:
    rng = np.random.default_rng(3)
    made = [precision_recall_density_coverage(rng.normal(size=(80, 6)), rng.normal(size=(80, 6)), k=3) for _ in range(60)]
    for name in ("density", "coverage"):
        found = np.array([m[name].value for m in made])
        assert abs(found.mean() - made[0][name].more["expected_same"]) < 4 * found.std() / np.sqrt(60)
    assert made[0]["coverage"].more["expected_same"] == pytest.approx(1 - (79 * 78 * 77) / (159 * 158 * 157))
    assert "expected_same" not in made[0]["precision"].more


@pytest.mark.parametrize(("d", "scale"), [(8, 0.8), (40, 1.0)])
def test_intervals_cover_the_mean(d: int, scale: float) -> None:
    rng = np.random.default_rng(4)
    made = [precision_recall_density_coverage(scale * rng.normal(size=(100, d)), rng.normal(size=(100, d))) for _ in range(60)]
    for name in NAMES:
        mean = np.mean([m[name].value for m in made])
        assert np.mean([m[name].low <= mean <= m[name].high for m in made]) >= 0.88, name
        assert all(m[name].low <= m[name].value <= m[name].high for m in made), name


def test_the_larger_set_is_drawn_down_and_the_protocol_says_so() -> None:
    rng = np.random.default_rng(5)
    g, r = rng.normal(size=(60, 3)), rng.normal(size=(100, 3))
    found = precision_recall_density_coverage(g, r, features="mine", reference="heldout", intervals=False)
    assert found["recall"].protocol == "recall/mine/k=5/n=60/m=60/drawn-from=60,100/seed=0/ref=heldout"
    assert found["recall"].more["m"] == 60
    assert found["recall"].low is None
    other = precision_recall_density_coverage(g, r, seed=1)
    assert any(found[name].value != other[name].value for name in NAMES)
    chosen = np.sort(np.random.default_rng(0).choice(100, 60, replace=False))
    assert [found[name].value for name in NAMES] == pytest.approx(naive(g, r[chosen], 5))
    equal = precision_recall_density_coverage(g, r[:60])
    assert equal["density"].protocol == "density/given/k=5/n=60/m=60/ref=given"


@pytest.mark.parametrize(("k", "n", "says"), [(0, 10, "k=0"), (5, 6, "at least 7 samples")])
def test_refused(k: int, n: int, says: str) -> None:
    with pytest.raises(GanvasError, match=says):
        precision_recall_density_coverage(np.zeros((n, 2)), np.zeros((10, 2)), k=k)


def test_share_interval_is_wilsons() -> None:
    low, high = share_interval(0.1, 50)
    assert (low, high) == pytest.approx((0.0434751, 0.2136017), abs=1e-6)
    for end in (low, high):  # where the score test is at its limit
        assert abs(0.1 - end) / np.sqrt(end * (1 - end) / 50) == pytest.approx(1.959964, rel=1e-5)
    assert share_interval(0, 20)[0] == 0
    assert share_interval(1, 20)[1] == 1
