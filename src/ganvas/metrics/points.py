"""Distances between sets of points, and the counting of modes: for points and small vectors whose truth is known.

`sliced_wasserstein` compares two sets through their shadows on many lines, where the transport distance is exact and
cheap: sort and subtract. `count_modes` says how many modes of a known mixture a set covers. Not for images: those are
compared through features (`ganvas.metrics.kernel_distance`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ganvas.errors import GanvasError

DIRECTIONS = 256


def wasserstein_on_line(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Exact 1-Wasserstein distance of samples on lines: a (N, K), b (M, K) -> (K,), one distance a column.

    It is the area between the two empirical distribution functions; for N = M the mean distance of sorted values.
    """
    a, b = np.sort(a, axis=0), np.sort(b, axis=0)
    if len(a) == len(b):
        equal: np.ndarray = np.abs(a - b).mean(axis=0)
        return equal
    # Both quantile functions are steps: between two neighbouring steps of either, neither of them changes.
    edges = np.union1d(np.arange(len(a) + 1) / len(a), np.arange(len(b) + 1) / len(b))
    middle = (edges[1:] + edges[:-1]) / 2
    gaps = np.abs(a[(middle * len(a)).astype(int)] - b[(middle * len(b)).astype(int)])
    return np.asarray(np.diff(edges) @ gaps)


def directions_of(dimensions: int, count: int, seed: int = 0) -> np.ndarray:
    """`count` unit vectors (dimensions, count): evenly spread over the half circle in 2-D, drawn at random above."""
    if dimensions == 1:
        return np.ones((1, 1))
    if dimensions == 2:
        angles = np.pi * (np.arange(count) + 0.5) / count  # opposite directions give the same distance
        return np.stack([np.cos(angles), np.sin(angles)])
    drawn = np.random.default_rng(seed).normal(size=(dimensions, count))
    unit: np.ndarray = drawn / np.linalg.norm(drawn, axis=0)
    return unit


def sliced_wasserstein(a: Any, b: Any, *, directions: int = DIRECTIONS, seed: int = 0) -> float:
    """Sliced 1-Wasserstein distance of two sets of points (N, D) and (M, D), in their own unit.

    The mean, over `directions` unit vectors, of the exact 1-Wasserstein distance of the projections (Rabin et al. 2011,
    with exponent 1; Bonneel et al. 2015). Evenly spaced directions in 2-D, so nothing is random there; from `seed` in
    more dimensions; exact in 1-D. Two finite samples of one distribution are not at distance 0: state N and M with it.

    Raises GanvasError for sets of other shapes, empty sets, NaN or infinity, and less than one direction.
    """
    x, y = _points(a), _points(b)
    if x.shape[1] != y.shape[1]:
        raise GanvasError(f"points of {x.shape[1]} and {y.shape[1]} dimensions cannot be compared")
    if directions < 1:
        raise GanvasError(f"directions {directions}: give 1 or more")
    lines = directions_of(x.shape[1], directions, seed)
    return float(wasserstein_on_line(x @ lines, y @ lines).mean())


@dataclass(frozen=True)
class ModeCount:
    """What `count_modes` finds.

    covered: modes with at least `least` samples within `radius`. modes: how many there are. good: share of all samples
    within `radius` of any mode. divergence: KL(share of good samples by mode || uniform), in nats; 0 when every mode has
    its due, log(modes) when one has all; infinite when no sample is good. counts: good samples of each mode.
    """

    covered: int
    modes: int
    good: float
    divergence: float
    counts: tuple[int, ...]
    protocol: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"counts": list(self.counts)}


def count_modes(points: Any, centres: Any, sigma: float, *, within: float = 3.0, least: int = 20) -> ModeCount:
    """Modes of a mixture of equal Gaussians that a set of points covers.

    points: (N, D). centres: (K, D). sigma: standard deviation of a mode; a point is good within `within` sigma of its
    nearest centre (3, as in Srivastava et al. 2017, "VEEGAN"); a mode is covered by `least` good points or more.
    In 2-D 1.1 % of true points lie farther than 3 sigma. The protocol reads `modes/K/within=3sigma/least=20/n=N`.
    Raises GanvasError for shapes that do not fit, NaN or infinity, and a sigma that is not positive.
    """
    x, middle = _points(points), _points(centres)
    if x.shape[1] != middle.shape[1]:
        raise GanvasError(f"points of {x.shape[1]} dimensions have no modes in {middle.shape[1]} dimensions")
    if not sigma > 0:
        raise GanvasError(f"sigma {sigma} is not positive")
    squared = ((x[:, None] - middle[None]) ** 2).sum(axis=2)
    nearest = squared.argmin(axis=1)
    good = squared[np.arange(len(x)), nearest] <= (within * sigma) ** 2
    counts = np.bincount(nearest[good], minlength=len(middle))
    share = counts / max(1, counts.sum())
    positive = share[share > 0]
    divergence = float((positive * np.log(positive * len(middle))).sum()) if len(positive) else float("inf")
    protocol = f"modes/{len(middle)}/within={within:g}sigma/least={least}/n={len(x)}"
    return ModeCount(
        int((counts >= least).sum()), len(middle), float(good.mean()), divergence, tuple(int(c) for c in counts), protocol
    )


def _points(values: Any) -> np.ndarray:
    """A set of points as finite float64 (N, D)."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 2 or 0 in points.shape:
        raise GanvasError(f"a set of points has shape (N, D) with N and D above 0, not {points.shape}")
    if not np.isfinite(points).all():
        raise GanvasError("the points hold NaN or infinity")
    return points
