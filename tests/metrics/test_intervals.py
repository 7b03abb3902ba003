"""Every interval of every metric holds its own value: also where sets are equal, tiny, or nothing in them varies."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ganvas import metrics
from ganvas.evaluation.findings.unintended import corrected_rate
from ganvas.metrics.memorisation import audit
from ganvas.metrics.sets import mean_interval, share_interval
from ganvas.metrics.spectrum import shifted_interval
from ganvas.studies.readers import _figures, _percentiles, exact_interval
from ganvas.uses.judging import area_interval
from toys import outside


def features(count: int, seed: int, move: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((count, 6)) + move).astype(np.float32)


def images(count: int, seed: int, side: int = 24, high: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, (count, side, side, 1)).astype(np.uint8)


def pairs(make: Callable[..., np.ndarray], *more: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Sets that are alike, the same, apart, and small."""
    first = make(60, 0)
    return [(first, make(80, 1)), (first, first), (first, make(60, 2, *more)), (make(8, 3), make(9, 4))]


def flat(value: int) -> np.ndarray:
    return np.full((12, 24, 24, 1), value, np.uint8)


FEATURES, IMAGES = pairs(features, 4.0), [*pairs(images, 24, 60), (flat(90), images(20, 5))]
P = [np.eye(3)[np.random.default_rng(seed).integers(0, kinds, 200)] for seed, kinds in enumerate((3, 2, 1))]
LABELS = [np.random.default_rng(seed).choice(5, 800, p=shares) for seed, shares in
          enumerate(([0.2] * 5, [0.2] * 5, [0.9, 0.1, 0, 0, 0], [0, 0, 0, 0.001, 0.999], [0.6, 0.4, 0, 0, 0]))]  # fmt: skip
FEW = [(0, 0), (0, 1), (1, 2), (2, 0), (3, 3), (3, 1), (4, 0), (4, None)]  # places in LABELS: generated, real
PALE, BLACK, WHITE = flat(7), flat(0), flat(255)
CALLS: dict[str, Callable[[], list[Any]]] = {
    "block_edges": lambda: [metrics.block_edges(a[:20], b[:20], replicates=60) for a, b in IMAGES[:4]],
    "checkerboard_energy": lambda: [metrics.checkerboard_energy(a, b, replicates=200) for a, b in IMAGES[:4]],
    "class_coverage": lambda: [
        metrics.class_coverage(LABELS[a][:n], 5, real=None if b is None else LABELS[b]) for a, b in FEW for n in (7, 800)
    ],
    "classifier_score": lambda: [metrics.classifier_score(p, classifier="mine", splits=4) for p in P],
    "diversity_ms_ssim": lambda: [metrics.diversity_ms_ssim(a[:8], real=b[:8], pairs=12) for a, b in IMAGES],
    "frechet_distance": lambda: [metrics.frechet_distance(a, b) for a, b in FEATURES],
    "frechet_extrapolated": lambda: [metrics.frechet_extrapolated(a, b) for a, b in FEATURES[:3]],
    "intensity_distance": lambda: [metrics.intensity_distance(a, b) for a, b in [*IMAGES, (BLACK, WHITE), (PALE, PALE)]],
    "kernel_distance": lambda: [metrics.kernel_distance(a, b) for a, b in FEATURES],
    "pairwise_diversity": lambda: [metrics.pairwise_diversity(a[:6], real=b[:6]) for a, b in IMAGES[:2]],
    "retrieval": lambda: [
        metrics.retrieval(made, true, np.arange(60), features="mine", among=among)
        for made, true in ((FEATURES[0][0], FEATURES[0][0]), (FEATURES[0][0], FEATURES[2][1]))
        for among in (5, 100)
    ],
    "precision_recall_density_coverage": lambda: [metrics.precision_recall_density_coverage(a, b) for a, b in FEATURES],
    "spectrum_distance": lambda: [metrics.spectrum_distance(a, b) for a, b in IMAGES[:4]],
}


def test_every_metric_with_an_interval_is_among_them() -> None:
    able = {name: getattr(metrics, name) for name in metrics.__all__ if inspect.isfunction(getattr(metrics, name))}
    assert {name for name, call in able.items() if "intervals" in inspect.signature(call).parameters} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_the_interval_holds_the_value(name: str) -> None:
    found = [m for made in CALLS[name]() for m in (made.values() if isinstance(made, dict) else [made])]
    assert any(m.low is not None for m in found)
    assert [text for m in found for text in outside(m, m.protocol)] == []


def test_the_intervals_of_the_audit_hold_their_values() -> None:
    for made in (features(60, 1)[:30], features(40, 2, 9.0)):
        assert list(outside(audit(made, features(60, 1), features(50, 3), features="given").to_dict())) == []


def test_numbers_below_nought_keep_theirs() -> None:
    """Decibels of noise louder than the sound: the interval was cut at 0, and the mean lay below it."""
    for values in (np.array([-9.0, -4.0, -7.5]), np.array([0.0, 0.1, 3.0]), np.zeros(4), np.array([-1.0, 1.0])):
        mean, low, high = mean_interval(values)
        assert low <= mean <= high
        assert mean == pytest.approx(values.mean())
    assert mean_interval(np.array([0.0, 0.1, 3.0]))[1] == 0.0


def test_shares_areas_and_corrected_rates_hold_their_values() -> None:
    for n in (1, 3, 10, 50, 977):
        for k in range(0, n + 1, max(1, n // 20)):
            for low, high in (share_interval(k / n, n), share_interval(k / n, n / 3), exact_interval(k / n, n)):
                assert low <= k / n <= high
            low, high = area_interval(k / n, n, 7)
            assert low <= k / n <= high
            for sensitivity, specificity in itertools.product((0.7, 0.95, 1.0), (0.7, 0.95, 1.0)):
                found = corrected_rate(k / n, n, sensitivity, 60, specificity, 400)
                assert found is None or found[1] <= found[0] <= found[2]


def test_resampled_numbers_hold_the_value_they_belong_to() -> None:
    """Where all draws are equal, their mean differs from them by rounding."""
    for constant in (0.1, 0.3, 1e-9, 1 / 3):
        low, high = shifted_interval(constant, np.full(1000, constant))
        assert low <= constant <= high


def test_areas_of_readers_hold_their_values() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        n, m = rng.integers(2, 30, 2)
        real, fake = (rng.multinomial(k, rng.dirichlet(np.full(6, 0.4))) for k in (n, m))
        value = float(_figures(real, fake)["auc"])
        drawn = _figures(rng.multinomial(n, real / n, 400), rng.multinomial(m, fake / m, 400))["auc"]
        low, high = _percentiles(drawn)
        assert low is None or high is None or low <= value <= high, (real, fake)
