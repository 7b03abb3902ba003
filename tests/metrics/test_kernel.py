"""Kernel distance against hand computation, a closed form, naive loops, and its interval against simulation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganvas.errors import GanvasError
from ganvas.metrics import Measure, kernel, kernel_distance, kernel_distance_by_subsets
from ganvas.metrics.features import image_features


def naive(x: np.ndarray, y: np.ndarray) -> float:
    """The U-statistic written as its definition, one pair at a time."""

    def k(p: np.ndarray, q: np.ndarray) -> float:
        return (float(np.dot(p, q)) / len(p) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(k(p, q) for p in x for q in y) / (n * m)


def test_hand_computation() -> None:
    # d = 1: k(0, 2) = 1; k(1, 3) = 4^3 = 64; across: k(0, .) = 1 twice, k(2, 1) = 27, k(2, 3) = 343.
    made = kernel_distance(np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]]), intervals=False)
    assert made.value == pytest.approx(1 + 64 - 2 * (1 + 1 + 27 + 343) / 4)
    assert (made.low, made.high, made.more) == (None, None, {"n": 2, "m": 2})
    assert float(made) == made.value


def test_agrees_with_naive_double_loop_in_one_block_and_in_many(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(23, 5)), rng.normal(0.3, 1.2, size=(17, 5))
    whole = kernel_distance(x, y)
    assert whole.value == pytest.approx(naive(x, y), rel=1e-12)
    monkeypatch.setattr(kernel, "_BLOCK", 4)
    blocks = kernel_distance(x, y)
    assert blocks.value == pytest.approx(whole.value, rel=1e-12)
    assert blocks.low == pytest.approx(whole.low, rel=1e-12)


def test_interval_is_the_jackknife_over_both_sets() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(9, 3)), rng.normal(0.5, 1, size=(7, 3))
    without_x = np.array([naive(np.delete(x, i, 0), y) for i in range(9)])
    without_y = np.array([naive(x, np.delete(y, j, 0)) for j in range(7)])
    half = 1.959964 * np.sqrt(8 * without_x.var() + 6 * without_y.var())
    made = kernel_distance(x, y)
    assert made.high - made.value == pytest.approx(half, rel=1e-6)
    assert made.value - made.low == pytest.approx(half, rel=1e-6)


def test_closed_form_of_two_normals() -> None:
    # d = 1: the squared distance is 3 (difference of means)^2 + 3 (of second moments)^2 + (of third moments)^2.
    truth = 3 * 0.5**2 + 3 * 0.25**2 + (0.5**3 + 3 * 0.5) ** 2
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(8000, 1)), rng.normal(0.5, 1, size=(8000, 1))
    made = kernel_distance(x, y)
    assert made.low < truth < made.high
    assert made.high - made.low < 0.5 * truth


def test_symmetric() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(30, 4)), rng.normal(1, 1, size=(20, 4))
    there, back = kernel_distance(x, y), kernel_distance(y, x)
    assert there.value == pytest.approx(back.value, rel=1e-12)
    assert there.high == pytest.approx(back.high, rel=1e-12)


def test_unbiased_not_clipped_and_interval_covers_zero_for_equal_distributions() -> None:
    rng = np.random.default_rng(4)
    made = [kernel_distance(rng.normal(size=(60, 8)), rng.normal(size=(40, 8))) for _ in range(300)]
    values = np.array([d.value for d in made])
    assert (values < 0).mean() > 0.2
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(300)
    assert np.mean([d.low <= 0 <= d.high for d in made]) >= 0.93


def test_interval_covers_the_truth_for_different_distributions() -> None:
    rng = np.random.default_rng(5)
    truth = 3 * 0.8**2 + 3 * 0.64**2 + (0.8**3 + 3 * 0.8) ** 2
    made = [kernel_distance(rng.normal(size=(150, 1)), rng.normal(0.8, 1, size=(120, 1))) for _ in range(300)]
    assert 0.90 <= np.mean([d.low <= truth <= d.high for d in made]) <= 0.99


def test_images_and_their_features_give_the_same_number() -> None:
    rng = np.random.default_rng(6)
    a = rng.integers(0, 256, (4, 20, 24), dtype=np.uint8)
    b = rng.integers(0, 128, (5, 20, 24), dtype=np.uint8)
    made = kernel_distance(a, b, size=(10, 12), reference="heldout")
    assert made.protocol == "kd/effnet-lite0/160/at=10x12/n=4/m=5/ref=heldout"
    again = kernel_distance(image_features(a, size=(10, 12)), image_features(b, size=(10, 12)), features="effnet-lite0")
    assert again.value == pytest.approx(made.value, rel=1e-9)
    assert again.protocol == "kd/effnet-lite0/n=4/m=5/ref=given"
    assert isinstance(made, Measure)


def test_tensors_are_taken_as_features() -> None:
    x, y = np.arange(12.0).reshape(4, 3), np.arange(9.0).reshape(3, 3)
    assert kernel_distance(torch.from_numpy(x), y).value == pytest.approx(naive(x, y), rel=1e-12)


def test_by_subsets_is_the_mean_over_subsets() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(12, 3)), rng.normal(0.4, 1, size=(9, 3))
    made = kernel_distance_by_subsets(x, y, subsets=4, size=6, seed=1)
    draw = np.random.RandomState(1)
    values = [naive(x[draw.choice(12, 6, replace=False)], y[draw.choice(9, 6, replace=False)]) for _ in range(4)]
    assert made.value == pytest.approx(np.mean(values), rel=1e-12)
    assert made.more["std"] == pytest.approx(np.std(values), rel=1e-12)
    assert made.protocol == "kd/given/n=12/m=9/subsets=4x6/seed=1/ref=given"
    assert made.low is None
    with pytest.raises(GanvasError, match="at least 10 samples"):
        kernel_distance_by_subsets(x, y, subsets=4, size=10)
    with pytest.raises(GanvasError, match="2 samples"):
        kernel_distance_by_subsets(x, y, size=1)


def test_by_subsets_of_everything_is_the_distance() -> None:
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(20, 3)), rng.normal(1, 1, size=(20, 3))
    made = kernel_distance_by_subsets(x, y, subsets=2, size=20)
    assert made.value == pytest.approx(kernel_distance(x, y).value, rel=1e-10)
    assert made.more["std"] < 1e-10


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        (np.zeros((5, 3)), np.zeros((5, 4)), "3 and 4 numbers"),
        (np.zeros((2, 3)), np.zeros((5, 3)), "at least 3 samples"),
        (np.full((5, 3), np.nan), np.zeros((5, 3)), "NaN"),
        (np.zeros((5, 3)), np.zeros((5, 8, 8), np.uint8), "both as features"),
    ],
    ids=["dimension", "too-few", "nan", "mixed"],
)
def test_refused_inputs(a: np.ndarray, b: np.ndarray, says: str) -> None:
    with pytest.raises(GanvasError, match=says):
        kernel_distance(a, b)
