"""Distances of points and mode counting, against values known by hand, by theory or by another algorithm."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from ganvas.errors import GanvasError
from ganvas.metrics.points import count_modes, directions_of, sliced_wasserstein, wasserstein_on_line


def on_line(a: list[float], b: list[float]) -> float:
    return float(wasserstein_on_line(np.array(a)[:, None], np.array(b)[:, None])[0])


def area_between(a: list[float], b: list[float]) -> float:
    """The area between two empirical distribution functions, straight from its definition."""
    places = sorted({*a, *b})
    total = 0.0
    for left, right in itertools.pairwise(places):
        below_a, below_b = sum(x <= left for x in a) / len(a), sum(x <= left for x in b) / len(b)
        total += abs(below_a - below_b) * (right - left)
    return total


def test_on_a_line_by_hand() -> None:
    assert on_line([0, 1, 2], [2, 0, 1]) == 0
    assert on_line([0, 0], [1, 3]) == 2
    assert on_line([0], [0, 1]) == pytest.approx(0.5)
    assert on_line([0, 1], [0, 1, 2]) == pytest.approx(area_between([0, 1], [0, 1, 2])) == pytest.approx(0.5)


@pytest.mark.parametrize(("n", "m"), [(1, 7), (5, 5), (6, 4), (9, 10), (100, 77), (49, 98)])
def test_on_a_line_is_the_area_between_the_distribution_functions(n: int, m: int) -> None:
    rng = np.random.default_rng(n * 1000 + m)
    a, b = rng.normal(size=n).round(1).tolist(), rng.normal(1, 2, size=m).round(1).tolist()  # rounded: with ties
    assert on_line(a, b) == pytest.approx(area_between(a, b), abs=1e-12)


def test_on_a_line_is_the_best_assignment() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=6), rng.exponential(size=6)
    best = min(np.abs(a - b[list(order)]).mean() for order in itertools.permutations(range(6)))
    assert on_line(a.tolist(), b.tolist()) == pytest.approx(best)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 10])
def test_shifted_sets_are_apart_by_the_mean_projection_of_the_shift(dimensions: int) -> None:
    """E |<v, u>| over the sphere is |v| Gamma(D/2) / (sqrt(pi) Gamma((D+1)/2)): 2/pi in the plane, 1/2 in space."""
    points = np.random.default_rng(0).normal(size=(50, dimensions))
    shift = np.zeros(dimensions)
    shift[0] = 3.0
    expected = 3 * math.gamma(dimensions / 2) / (math.sqrt(math.pi) * math.gamma((dimensions + 1) / 2))
    assert sliced_wasserstein(points, points + shift, directions=20_000) == pytest.approx(expected, rel=0.02)


def test_in_the_plane_few_directions_are_enough() -> None:
    points = np.random.default_rng(1).normal(size=(200, 2))
    found = sliced_wasserstein(points, points + np.array([0.3, 0.4]))
    assert found == pytest.approx(0.5 * 2 / math.pi, rel=1e-4)


def test_metric_properties() -> None:
    rng = np.random.default_rng(2)
    a, b, c = rng.normal(size=(40, 2)), rng.uniform(size=(31, 2)), rng.normal(2, 1, size=(25, 2))
    assert sliced_wasserstein(a, a[rng.permutation(40)]) == 0
    assert sliced_wasserstein(a, b) == sliced_wasserstein(b, a) > 0
    assert sliced_wasserstein(a, c) <= sliced_wasserstein(a, b) + sliced_wasserstein(b, c)
    assert sliced_wasserstein(7 * a, 7 * b) == pytest.approx(7 * sliced_wasserstein(a, b))
    assert sliced_wasserstein(np.repeat(a, 3, axis=0), a) == pytest.approx(0, abs=1e-12)  # weights alone count


def test_directions_are_unit_vectors_and_repeatable() -> None:
    for dimensions in (1, 2, 5):
        lines = directions_of(dimensions, 64, seed=4)
        assert np.allclose(np.linalg.norm(lines, axis=0), 1)
        assert np.array_equal(lines, directions_of(dimensions, 64, seed=4))


def test_what_cannot_be_compared_is_refused() -> None:
    good = np.zeros((3, 2))
    for bad in (np.zeros(3), np.zeros((0, 2)), np.zeros((3, 3)), np.array([[0.0, np.nan]])):
        with pytest.raises(GanvasError):
            sliced_wasserstein(good, bad)
    with pytest.raises(GanvasError, match="directions"):
        sliced_wasserstein(good, good, directions=0)


CENTRES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def test_modes_by_hand() -> None:
    points = np.concatenate([
        np.repeat(CENTRES[:1], 20, axis=0),  # covered
        np.repeat(CENTRES[1:2] + np.array([2.9, 0.0]), 19, axis=0),  # within 3 sigma, one too few
        np.repeat(CENTRES[2:3] + np.array([2.5, 2.5]), 30, axis=0),  # 3.5 sigma away: not good
    ])  # fmt: skip
    found = count_modes(points, CENTRES, 1.0)
    assert (found.covered, found.modes, found.counts) == (1, 4, (20, 19, 0, 0))
    assert found.good == pytest.approx(39 / 69)
    expected = sum(p * math.log(4 * p) for p in (20 / 39, 19 / 39))
    assert found.divergence == pytest.approx(expected)
    assert found.protocol == "modes/4/within=3sigma/least=20/n=69"
    assert found.to_dict()["counts"] == [20, 19, 0, 0]


def test_true_samples_cover_every_mode() -> None:
    rng = np.random.default_rng(0)
    points = CENTRES[rng.integers(4, size=20_000)] + rng.normal(size=(20_000, 2)) * 0.5
    found = count_modes(points, CENTRES, 0.5)
    assert found.covered == 4
    assert found.good == pytest.approx(1 - math.exp(-4.5), abs=0.003)  # Rayleigh: P(r <= 3 sigma)
    assert found.divergence < 0.001


def test_a_collapsed_set_and_an_empty_handed_one() -> None:
    one = count_modes(np.zeros((100, 2)), CENTRES, 1.0)
    assert one.covered == 1
    assert one.divergence == pytest.approx(math.log(4))
    none = count_modes(np.full((100, 2), 5.0), CENTRES, 1.0)
    assert (none.covered, none.good, none.divergence) == (0, 0.0, math.inf)


def test_modes_refuse_what_does_not_fit() -> None:
    with pytest.raises(GanvasError, match="sigma"):
        count_modes(CENTRES, CENTRES, 0.0)
    with pytest.raises(GanvasError, match="dimensions"):
        count_modes(np.zeros((3, 3)), CENTRES, 1.0)
