"""Kernel distance: the unbiased squared maximum mean discrepancy of two sets of features.

For features x, y of d numbers the kernel is k(x, y) = (x.y / d + 1)^3: KID of Binkowski et al. 2018 (arXiv 1801.01401,
section 4). The value is the full U-statistic over all samples, not an average over random subsets, so it has no noise
of its own; it is unbiased, may be negative near 0, and is never clipped. The interval is 95 %, from the two-sample
delete-one jackknife, which is conservative (Efron and Stein 1981); the spread over subsets that others print is
not a standard error. It treats the images as independent. Not for comparing numbers of different features: the kernel
depends on d and on the extractor, which is why the protocol travels with the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import GanvasError
from ganvas.metrics.measure import Measure
from ganvas.metrics.sets import NORMAL_95, feature_pair

if TYPE_CHECKING:
    import torch

_BLOCK = 2048  # rows of one block of the kernel matrix: 2048 x 2048 float64 are 32 MB


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
) -> Measure:
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
    given_a, given_b = feature_pair(a, b, least=3 if intervals else 2, what="a kernel distance")
    x, y = given_a.astype(np.float64, copy=False), given_b.astype(np.float64, copy=False)
    n, m = len(x), len(y)

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
        half = NORMAL_95 * float(np.sqrt((n - 1) * without_x.var() + (m - 1) * without_y.var()))
        low, high = value - half, value + half
    return Measure(value, f"kd/{features}/n={n}/m={m}/ref={reference}", low, high, {"n": n, "m": m})


def kernel_distance_by_subsets(
    a: Any,
    b: Any,
    *,
    subsets: int = 100,
    size: int = 1000,
    seed: int = 2020,
    features: str = "given",
    reference: str = "given",
) -> Measure:
    """The kernel distance as other tools print it: the mean over random subsets of both sets. For agreement with them only.

    a, b: features (N, d) and (M, d), both of at least `size` samples. Subsets are drawn without repetition within each, in
    the order and from the generator of torch-fidelity 0.4 (whose seed is 2020). `more` has the spread over subsets as
    `std`; subsets overlap, so it is no standard error and there is no interval: `kernel_distance` has one.

    Raises GanvasError as `kernel_distance` does, for sets below `size` and for a size below 2.
    """
    if size < 2 or subsets < 1:
        raise GanvasError(f"subsets of {size} samples, {subsets} times: give 2 samples and 1 subset or more")
    given_a, given_b = feature_pair(a, b, least=size, what=f"a kernel distance by subsets of {size}")
    x, y = given_a.astype(np.float64, copy=False), given_b.astype(np.float64, copy=False)
    n, m = len(x), len(y)
    rng = np.random.RandomState(seed)  # the old generator, because theirs is
    values = np.empty(subsets)
    for i in range(subsets):
        part_x, part_y = x[rng.choice(n, size, replace=False)], y[rng.choice(m, size, replace=False)]
        within = _row_sums(part_x, part_x, skip_self=True)[0].sum() + _row_sums(part_y, part_y, skip_self=True)[0].sum()
        values[i] = within / (size * (size - 1)) - 2 * _row_sums(part_x, part_y)[0].sum() / size**2
    protocol = f"kd/{features}/n={n}/m={m}/subsets={subsets}x{size}/seed={seed}/ref={reference}"
    return Measure(float(values.mean()), protocol, more={"n": n, "m": m, "std": float(values.std())})


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
