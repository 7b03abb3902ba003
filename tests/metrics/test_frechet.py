"""Frechet distance against closed forms, scipy's matrix square root, merged accumulators, and intervals by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

from ganvas.errors import GanvasError
from ganvas.metrics import FeatureMoments, frechet_distance, frechet_extrapolated


def by_square_root(x: np.ndarray, y: np.ndarray) -> float:
    """The formula with a matrix square root, as it is written."""
    s_x, s_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    gap = x.mean(axis=0) - y.mean(axis=0)
    return float(gap @ gap + np.trace(s_x + s_y - 2 * scipy.linalg.sqrtm(s_x @ s_y).real))


def exact(n: int, d: int, scale: float = 1.0, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    """Samples with exactly the mean `shift` and the covariance scale^2 I."""
    x = np.random.default_rng(seed).normal(size=(n, d))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return scale * x + shift


def test_shifted_normals_are_apart_by_the_squared_shift() -> None:
    made = frechet_distance(exact(60, 8), exact(90, 8, shift=0.5, seed=1), intervals=False)
    assert made.value == pytest.approx(8 * 0.25, rel=1e-10)
    assert made.more["mean_term"] == pytest.approx(2.0, rel=1e-10)
    assert made.more["covariance_term"] == pytest.approx(0, abs=1e-10)
    assert made.more["full_rank"] and "advice" not in made.more
    assert made.protocol == "fd/given/n=60/m=90/ref=given"


def test_scaled_normals_have_the_closed_form() -> None:
    made = frechet_distance(exact(60, 8), exact(90, 8, scale=3.0, seed=1), intervals=False)
    assert made.value == pytest.approx(8 * (1 - 3) ** 2, rel=1e-10)


@pytest.mark.parametrize(("n", "m", "d"), [(60, 90, 8), (10, 90, 20), (10, 8, 20), (300, 280, 270), (21, 20, 20)])
def test_identical_sets_are_at_distance_nought_and_order_does_not_matter(n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(n, d)), rng.normal(0.2, 1.3, size=(m, d))
    spread = np.trace(np.cov(x, rowvar=False))
    assert frechet_distance(x, x[::-1], intervals=False).value < 1e-5 * spread
    there, back = (frechet_distance(*pair, intervals=False).value for pair in ((x, y), (y, x)))
    assert there == pytest.approx(back, rel=1e-6)


@pytest.mark.parametrize(("n", "m", "d"), [(200, 150, 12), (500, 450, 300)], ids=["small", "eigenvalues"])
def test_agrees_with_the_matrix_square_root(n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(3)
    mix = rng.normal(size=(d, d)) / np.sqrt(d)
    x, y = rng.normal(size=(n, d)) @ mix, rng.normal(0.1, 1, size=(m, d))
    assert frechet_distance(x, y, intervals=False).value == pytest.approx(by_square_root(x, y), rel=1e-6)


@pytest.mark.parametrize(("n", "m"), [(12, 15), (12, 200), (200, 12)])
def test_fewer_samples_than_numbers_equal_the_full_formula(n: int, m: int) -> None:
    """Against the definition through eigenvalues of S_x^(1/2) S_y S_x^(1/2), all 40 x 40, half of them 0."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(n, 40)), rng.normal(0.3, 1.5, size=(m, 40))
    s_x, s_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    values, vectors = np.linalg.eigh(s_x)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root @ s_y @ root), 0, None)).sum()
    full = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() + np.trace(s_x) + np.trace(s_y) - 2 * shared
    made = frechet_distance(x, y, intervals=False)
    assert made.value == pytest.approx(full, rel=1e-6)
    assert made.more["full_rank"] is False
    assert "kernel distance" in made.more["advice"]
    gathered = [FeatureMoments(), FeatureMoments()]
    for accumulator, part in zip(gathered, (x, y), strict=True):
        accumulator.update(part)
    assert gathered[0].compute(gathered[1]).value == pytest.approx(made.value, rel=1e-6)


def test_numbers_that_never_vary_change_nothing() -> None:
    """A singular covariance of many samples: Cholesky fails there."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(50, 6)), rng.normal(0.2, 1, size=(60, 6))
    plain = frechet_distance(x, y)
    widened = frechet_distance(*(np.hstack([part, np.zeros((len(part), 3)), part[:, :1] * 0 + 7]) for part in (x, y)))
    assert widened.value == pytest.approx(plain.value, rel=1e-6)
    assert widened.high == pytest.approx(plain.high, rel=1e-4)


def test_a_far_mean_costs_no_digits() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(100, 5)), rng.normal(0.5, 1, size=(100, 5))
    plain = frechet_distance(x, y, intervals=False).value
    assert frechet_distance(x + 1e5, y + 1e5, intervals=False).value == pytest.approx(plain, rel=1e-6)


def test_merged_moments_equal_those_of_the_whole_set() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.normal(3, 1, size=(500, 10)).astype(np.float32), rng.normal(size=(300, 10))
    reference = FeatureMoments()
    reference.update(torch.from_numpy(y))
    whole = frechet_distance(x, y, intervals=False).value
    parts = []
    for piece in np.array_split(x, 7):
        part = FeatureMoments()
        for batch in np.array_split(piece, 3):
            part.update(batch)
        parts.append(FeatureMoments.from_state(part.state()))
    for order in (range(7), reversed(range(7))):
        merged = FeatureMoments()
        for i in order:
            merged.merge(parts[i])
        merged.merge(FeatureMoments())
        assert merged.n == 500
        np.testing.assert_allclose(merged.covariance, np.cov(x.astype(np.float64), rowvar=False), rtol=1e-9, atol=1e-12)
        made = merged.compute(reference, features="mine", reference="heldout")
        assert made.value == pytest.approx(whole, rel=1e-6)
        assert made.protocol == "fd/mine/n=500/m=300/ref=heldout"
        assert made.low is None


def test_interval_is_a_jackknife_over_groups() -> None:
    """With two samples a group and 40 in all, against the definition."""
    rng = np.random.default_rng(8)
    for d in (3, 60):  # more samples than numbers, and fewer
        x, y = rng.normal(size=(40, d)), rng.normal(0.3, 1, size=(40, d))
        made = frechet_distance(x, y)
        group = np.random.default_rng(0).permutation(40) % 20
        without = [frechet_distance(x[group != g], y[group != g], intervals=False).value for g in range(20)]
        half = 2.0930240544 * np.sqrt(19 * np.var(without))
        assert made.high - made.value == pytest.approx(half, rel=1e-6)
        assert made.value - made.low == pytest.approx(min(half, made.value), rel=1e-6)


@pytest.mark.parametrize(("n", "d", "shift"), [(100, 3, 0.5), (100, 3, 0.0), (25, 30, 0.5)])
def test_interval_covers_the_mean_at_these_sizes(n: int, d: int, shift: float) -> None:
    rng = np.random.default_rng(9)
    made = [frechet_distance(rng.normal(size=(n, d)), rng.normal(shift, 1, size=(n, d))) for _ in range(60)]
    mean = np.mean([f.value for f in made])
    assert np.mean([f.low <= mean <= f.high for f in made]) >= 0.88
    assert np.mean([f.high - f.low for f in made]) < 8 * np.std([f.value for f in made])


def test_extrapolation_takes_the_bias_off() -> None:
    rng = np.random.default_rng(10)
    truth, d = 0.9, 10
    made = [frechet_extrapolated(rng.normal(size=(80, d)), rng.normal(0.3, 1, size=(80, d)), repetitions=3) for _ in range(12)]
    values = np.array([f.value for f in made])
    plain = np.mean([f.more["full_size"] for f in made])
    assert plain > truth + 0.5  # what is to be taken off
    assert abs(values.mean() - truth) < 3 * values.std() / np.sqrt(len(made)) + 0.1
    assert np.mean([f.low <= truth <= f.high for f in made]) >= 0.75
    assert made[0].more["slope"] > 0
    assert made[0].protocol == "fd-infinity/given/n=80/m=80/sizes=20-80/ref=given"


def test_extrapolation_depends_on_its_seed_alone() -> None:
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(70, 4))
    made = frechet_extrapolated(x, y, intervals=False)
    assert made.value == frechet_extrapolated(x, y, intervals=False).value
    assert made.value != frechet_extrapolated(x, y, intervals=False, seed=1).value


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        (np.zeros((5, 3)), np.zeros((5, 4)), "3 and 4 numbers"),
        (np.zeros((3, 3)), np.zeros((5, 3)), "at least 4 samples"),
        (np.full((5, 3), np.inf), np.zeros((5, 3)), "NaN"),
        (np.zeros(5), np.zeros((5, 3)), "shape"),
    ],
    ids=["dimension", "too-few", "infinite", "shape"],
)
def test_refused_inputs(a: np.ndarray, b: np.ndarray, says: str) -> None:
    with pytest.raises(GanvasError, match=says):
        frechet_distance(a, b)


def test_extrapolation_and_moments_refuse_what_they_cannot_serve() -> None:
    x = np.random.default_rng(12).normal(size=(79, 20))
    with pytest.raises(GanvasError, match="at least 80 samples"):
        frechet_extrapolated(x, x)
    with pytest.raises(GanvasError, match="repetitions"):
        frechet_extrapolated(x[:, :5], x[:, :5], repetitions=1)
    moments, wider = FeatureMoments(), FeatureMoments()
    moments.update(x)
    with pytest.raises(GanvasError, match="cannot join"):
        moments.update(x[:, :5])
    with pytest.raises(GanvasError, match="at least 4 samples"):
        moments.compute(wider)
    wider.update(np.zeros((9, 21)))
    with pytest.raises(GanvasError, match="cannot be compared"):
        moments.compute(wider)
