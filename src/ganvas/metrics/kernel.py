"""Kernel distance: the unbiased squared maximum mean discrepancy of two sets of features.

For features x, y of d numbers the kernel is k(x, y) = (x.y / d + 1)^3: KID of Binkowski et al. 2018 (arXiv 1801.01401,
section 4). The value is the full U-statistic over all samples, not an average over random subsets, so it has no noise
of its own; it is unbiased, may be negative near 0, and is never clipped. The interval is 95 %, from the two-sample
delete-one jackknife, which is conservative (Efron and Stein 1981); the spread over subsets that others print is
not a standard error. It treats the images as independent. Not for comparing numbers of different features: the kernel
depends on d and on the extractor, which is why the protocol travels with the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import GanvasError

if TYPE_CHECKING:
    import torch

_BLOCK = 2048  # rows of one block of the kernel matrix: 2048 x 2048 float64 are 32 MB
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class KernelDistance:
    """value: the squared distance; low, high: its 95 % interval (None unless asked for); n, m: sizes of the sets."""

    value: float
    low: float | None
    high: float | None
    protocol: str
    n: int
    m: int

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.5f}, {self.high:.5f}]"
        return f"{self.value:.5f}{interval} ({self.protocol})"


def kernel_distance(
    a: np.ndarray | torch.Tensor,
    b: np.ndarray | torch.Tensor,
    *,
    intervals: bool = True,
    size: int | tuple[int, int] | None = None,
    features: str = "given",
    reference: str = "given",
    batch: int = 64,
    device: str = "cpu",
) -> KernelDistance:
    """Kernel distance between set `a` (generated) and set `b` (reference), with a 95 % interval.

    a, b: feature matrices (N, d) and (M, d), or both images as `ganvas.metrics.image_features` takes them; then
    features are taken at the resolution `size` (batch and device go there too). features: the name of features that are
    given, for the protocol. reference: what `b` is, for the protocol (`heldout`, `train`, ...). The protocol reads
    `kd/<features>/n=N/m=M/ref=<reference>`. Nothing here is random.

    Raises GanvasError when the two sets are of different kinds or dimensions, hold NaN or infinity, or have fewer than
    2 samples (3 with intervals).
    """
    if a.ndim != b.ndim and 2 in (a.ndim, b.ndim):
        raise GanvasError("one set is features (N, d) and the other images; give both as features or both as images")
    if a.ndim != 2:
        from ganvas.metrics.features import feature_protocol, image_features

        features = feature_protocol(size)
        a = image_features(a, size=size, batch=batch, device=device)
        b = image_features(b, size=size, batch=batch, device=device)
    x, y = _matrix(a), _matrix(b)
    n, m = len(x), len(y)
    if x.shape[1] != y.shape[1]:
        raise GanvasError(f"features of {x.shape[1]} and {y.shape[1]} numbers cannot be compared; use one extractor")
    least = 3 if intervals else 2
    if min(n, m) < least:
        raise GanvasError(f"a kernel distance needs at least {least} samples in each set, got {n} and {m}")

    # Row sums are all that the value and the jackknife need; the kernel matrix itself is never held.
    within_x, within_y = _row_sums(x, x, skip_self=True)[0], _row_sums(y, y, skip_self=True)[0]
    across_x, across_y = _row_sums(x, y)
    total_x, total_y, total = within_x.sum(), within_y.sum(), across_x.sum()
    mean_x, mean_y, mean_across = total_x / (n * (n - 1)), total_y / (m * (m - 1)), total / (n * m)
    value = float(mean_x + mean_y - 2 * mean_across)
    low = high = None
    if intervals:
        without_x = (total_x - 2 * within_x) / ((n - 1) * (n - 2)) + mean_y - 2 * (total - across_x) / ((n - 1) * m)
        without_y = mean_x + (total_y - 2 * within_y) / ((m - 1) * (m - 2)) - 2 * (total - across_y) / (n * (m - 1))
        half = _NORMAL_95 * float(np.sqrt((n - 1) * without_x.var() + (m - 1) * without_y.var()))
        low, high = value - half, value + half
    return KernelDistance(value, low, high, f"kd/{features}/n={n}/m={m}/ref={reference}", n, m)


def _matrix(features: Any) -> np.ndarray:
    """A feature matrix as finite float64."""
    if hasattr(features, "detach"):
        features = features.detach().cpu()
    matrix = np.asarray(features, dtype=np.float64)
    if not np.isfinite(matrix).all():
        raise GanvasError("the features hold NaN or infinity; check the images they were taken from")
    return matrix


def _row_sums(x: np.ndarray, y: np.ndarray, *, skip_self: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Sums of k(x_i, y_j) over j (n,) and over i (m,), in blocks. skip_self leaves i = j out (x is y)."""
    rows, columns = np.zeros(len(x)), np.zeros(len(y))
    for i in range(0, len(x), _BLOCK):
        for j in range(0, len(y), _BLOCK):
            block = x[i : i + _BLOCK] @ y[j : j + _BLOCK].T
            block /= x.shape[1]
            block += 1
            block *= block * block
            if skip_self and i == j:
                np.fill_diagonal(block, 0.0)
            rows[i : i + _BLOCK] += block.sum(axis=1)
            columns[j : j + _BLOCK] += block.sum(axis=0)
    return rows, columns
