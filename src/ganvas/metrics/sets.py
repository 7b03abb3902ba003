"""Sets of features, checked and brought to one size, and the interval of a share: what the set metrics have in common.

Not a metric itself, and not for images: `ganvas.metrics.image_features` makes features of those.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ganvas.errors import GanvasError

NORMAL_95 = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution


def feature_matrix(features: Any) -> np.ndarray:
    """Features as an array (N, d) of finite float32 or float64, not copied where they already are one.

    Raises GanvasError for another number of dimensions, an empty side, NaN or infinity.
    """
    if hasattr(features, "detach"):
        features = features.detach().cpu()
    matrix = np.asarray(features)
    if matrix.dtype not in (np.float32, np.float64):
        matrix = matrix.astype(np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise GanvasError(f"a set of features has shape (N, d) with N and d above 0, not {matrix.shape}")
    step = max(1, 2**22 // matrix.shape[1])  # a block at a time: no mask as large as the set
    if not all(np.isfinite(matrix[start : start + step]).all() for start in range(0, len(matrix), step)):
        raise GanvasError("the features hold NaN or infinity; check the images they were taken from")
    return matrix


def feature_pair(a: Any, b: Any, *, least: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Both sets as `feature_matrix`, of one width and with at least `least` samples each, or a GanvasError about `what`."""
    x, y = feature_matrix(a), feature_matrix(b)
    if x.shape[1] != y.shape[1]:
        raise GanvasError(f"features of {x.shape[1]} and {y.shape[1]} numbers cannot be compared; use one extractor")
    if min(len(x), len(y)) < least:
        raise GanvasError(f"{what} needs at least {least} samples in each set, got {len(x)} and {len(y)}; add samples")
    return x, y


def drawn(count: int, size: int, seed: int) -> np.ndarray:
    """Indices of `size` of `count` samples, in their order: all of them, or a random part that depends on `seed` alone."""
    if size >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, size, replace=False))


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """(mean, low, high) of 2 or more independent numbers: the normal 95 % interval, not below 0 where none of them is."""
    mean, half = float(values.mean()), NORMAL_95 * float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean, max(mean - half, 0.0) if values.min() >= 0 else mean - half, mean + half


def share_interval(share: float, count: float) -> tuple[float, float]:
    """The 95 % interval of a share observed on `count` independent samples (Wilson 1927); `count` may be an effective one."""
    square = NORMAL_95**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = NORMAL_95 / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))  # rounding stays on its side
