"""Scores from classifiers and clusters against their bounds, hand computation, scipy, and intervals by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from ganvas.errors import GanvasError
from ganvas.metrics import class_coverage, classifier_score, different_bins


def test_score_is_between_one_and_the_number_of_classes() -> None:
    constant = np.tile([0.7, 0.2, 0.1], (400, 1))
    assert classifier_score(constant, classifier="mine").value == pytest.approx(1)
    sure = np.eye(4)[np.tile(np.arange(4), 100)]
    made = classifier_score(sure, classifier="mine", splits=1)
    assert made.value == pytest.approx(4)
    assert made.low is None
    assert made.protocol == "class-score/mine/splits=1/n=400"


def test_score_is_the_mean_over_splits_of_scipys_divergence() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=103)
    made = classifier_score(p, classifier="mine", splits=4, seed=5)
    order = np.random.default_rng(5).permutation(103)
    scores = [math.exp(np.mean([entropy(row, part.mean(axis=0)) for row in part])) for part in np.array_split(p[order], 4)]
    assert made.value == pytest.approx(np.mean(scores), rel=1e-12)
    assert made.more["std"] == pytest.approx(np.std(scores), rel=1e-9)
    half = 3.1824463 * np.std(scores, ddof=1) / 2  # Student's t with 3 degrees of freedom
    assert made.high - made.value == pytest.approx(half, rel=1e-6)


def test_sorted_samples_are_shuffled_first() -> None:
    """Classes one after another: unshuffled splits would hold one class each and score 1."""
    assert classifier_score(np.eye(4)[np.repeat(np.arange(4), 200)], classifier="mine").value > 3.7


def test_interval_of_the_score_covers_its_mean() -> None:
    rng = np.random.default_rng(1)
    made = [classifier_score(rng.dirichlet(np.ones(4) * 0.3, size=300), classifier="mine") for _ in range(100)]
    mean = np.mean([m.value for m in made])
    assert 0.88 <= np.mean([m.low <= mean <= m.high for m in made]) <= 1


@pytest.mark.parametrize(
    ("p", "says"),
    [
        (np.full((199, 2), 0.5), "give splits=9"),
        (np.full((500, 12), 1 / 12), "give splits=8"),
        (np.full((500, 2), 0.6), "softmax"),
        (np.full((500, 2), np.nan), "softmax"),
        (np.tile([1.5, -0.5], (500, 1)), "softmax"),
        (np.ones((500, 1)), "2 or more"),
    ],
    ids=["few", "few-a-class", "sum", "nan", "negative", "one-class"],
)
def test_score_refuses(p: np.ndarray, says: str) -> None:
    with pytest.raises(GanvasError, match=says):
        classifier_score(p, classifier="mine")


def test_coverage_by_hand() -> None:
    found = class_coverage([0] * 6 + [1] * 3 + [3], 4, least=2, classifier="mine")
    assert found["covered"].value == 2
    assert found["covered"].more["missing"] == [2, 3]
    assert found["covered"].protocol == "classes/mine/4/least=2/n=10/m=uniform/ref=given"
    share, low, high = found["covered"].more["shares"][0]
    assert share == 0.6
    assert (low, high) == pytest.approx((0.312674, 0.831820), abs=1e-5)  # Wilson
    assert found["kl"].more["observed"] == pytest.approx(entropy([0.6, 0.3, 0, 0.1], [0.25] * 4))
    assert found["js"].more["observed"] == pytest.approx(jensenshannon([0.6, 0.3, 0, 0.1], [0.25] * 4) ** 2)
    one = class_coverage(np.zeros(50, int), 4)
    assert one["kl"].value == pytest.approx(one["kl"].more["observed"]) == pytest.approx(math.log(4)), "nothing varies"


def test_a_perfect_generator_of_a_thousand_modes() -> None:
    """Stacked MNIST: 2000 draws cover 1000 (1 - (1 - 1/1000)^2000) = 864.8 modes on average."""
    found = class_coverage(np.random.default_rng(2).integers(0, 1000, 2000), 1000, intervals=False)
    assert found["covered"].more["expected_same"] == pytest.approx(864.8, abs=0.05)
    assert found["covered"].value == pytest.approx(864.8, abs=40)
    assert found["kl"].low is None


def test_probabilities_count_as_their_largest_class_and_real_shares_are_taken() -> None:
    p = np.array([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.5, 0.4, 0.1], [0.2, 0.5, 0.3]])
    found = class_coverage(p, 3, real=[0, 0, 2, 2, 1, 0], reference="heldout")
    np.testing.assert_allclose([s[0] for s in found["covered"].more["shares"]], [0.5, 0.25, 0.25])
    np.testing.assert_allclose(found["covered"].more["real_shares"], [1 / 2, 1 / 6, 1 / 3])
    assert found["js"].protocol == "class-js/unbiased/given/3/n=4/m=6/ref=heldout"


def test_a_class_that_no_real_sample_has() -> None:
    found = class_coverage([0, 1, 2], 3, real=[0, 1, 1])
    assert found["kl"].value == math.inf
    assert found["kl"].low is None
    assert found["kl"].protocol == "class-kl/observed/given/3/n=3/m=3/ref=given"
    assert found["js"].value < math.log(2)


def test_a_thousand_classes_of_which_draws_lose_some_leave_the_divergence_as_it_is() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(1000).repeat(2)
    found = class_coverage(rng.integers(0, 1000, 2000), 1000, real=labels)
    assert found["kl"].protocol.startswith("class-kl/observed/")
    assert found["kl"].low is None
    assert found["kl"].value == found["kl"].more["observed"]
    assert found["js"].protocol.startswith("class-js/unbiased/")


@pytest.mark.parametrize("shares", [[0.25, 0.25, 0.25, 0.25], [0.5, 0.3, 0.1, 0.1]])
def test_intervals_of_the_divergences_cover_the_truth(shares: list[float]) -> None:
    rng = np.random.default_rng(3)
    real = [0.25] * 4
    truths = {"kl": entropy(shares, real), "js": jensenshannon(shares, real) ** 2}
    made = [class_coverage(rng.choice(4, 300, p=shares), 4, real=rng.choice(4, 400, p=real), seed=i) for i in range(80)]
    for name, truth in truths.items():
        assert np.mean([m[name].low <= truth <= m[name].high for m in made]) >= 0.88, name
        observed, values = (np.array([f(m[name]) for m in made]) for f in (lambda m: m.more["observed"], lambda m: m.value))
        assert observed.mean() > truth + 0.001, "as it is observed, it is too large"
        assert abs(values.mean() - truth) < 0.4 * (observed.mean() - truth)
        assert all(m[name].low <= m[name].value <= m[name].high for m in made)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0, 4], "labels from 0 to 4"),
        ([-1, 0], "labels from -1"),
        ([0.5, 1.0], "integers"),
        (np.full((2, 3), 1 / 3), "3 classes"),
    ],
    ids=["above", "below", "floats", "columns"],
)
def test_coverage_refuses(labels: object, says: str) -> None:
    with pytest.raises(GanvasError, match=says):
        class_coverage(labels, 4)


def clusters(counts: list[int], seed: int) -> np.ndarray:
    """Tight, far clusters with given numbers of samples: k-means finds just these."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(20 * i, 0.1, size=(count, 2)) for i, count in enumerate(counts)])


def test_bins_by_hand() -> None:
    real, made = clusters([100, 60, 60, 40], 0), clusters([100, 20, 100, 40], 1)
    found = different_bins(made, real, bins=4)
    # z = (20/260 - 60/260) / sqrt(p (1 - p) 2/260), p = 80/520: -4.86; for 100 against 60: 3.80; nought for the others.
    assert found.value == 0.5
    assert found.more["different"] == 2
    assert found.more["js"] == pytest.approx(jensenshannon([100, 20, 100, 40], [100, 60, 60, 40]) ** 2)
    assert found.more["few_expected"] == 0
    assert found.protocol == "ndb/given/bins=4/level=0.05/n=260/m=260/ref=given"
    assert different_bins(real, real, bins=4).value == 0


def test_a_borderline_bin_follows_the_level() -> None:
    real, made = clusters([130, 130], 0), clusters([152, 108], 1)  # z = 1.937, p = 0.0528
    assert different_bins(made, real, bins=2).value == 0
    assert different_bins(made, real, bins=2, level=0.053).value == 1


def test_bins_are_lowered_for_few_real_samples_and_thin_ones_are_counted() -> None:
    found = different_bins(clusters([10, 0], 1), clusters([100, 30], 0))
    assert found.protocol == "ndb/given/bins=2(asked=100)/level=0.05/n=10/m=130/ref=given"
    assert found.more["few_expected"] == 1  # 30/140 of 10 samples


def test_same_distribution_gives_about_the_level() -> None:
    rng = np.random.default_rng(4)
    found = [different_bins(rng.normal(size=(1000, 3)), rng.normal(size=(1000, 3)), seed=i) for i in range(5)]
    low, high = found[0].more["same_range"]
    assert low <= np.mean([f.more["different"] for f in found]) <= high
    assert (low, high) == (0, 3)
    collapsed = different_bins(rng.normal(size=(1000, 3)) * 0.2, rng.normal(size=(1000, 3)))
    assert collapsed.value > 0.5


def test_bins_refuse() -> None:
    with pytest.raises(GanvasError, match="at least 100 real"):
        different_bins(np.zeros((50, 2)), np.zeros((99, 2)))
    with pytest.raises(GanvasError, match="bins=1"):
        different_bins(np.zeros((50, 2)), np.zeros((200, 2)), bins=1)
