"""Measures of pairs, whatever their kind. Retrieval: whether what was made of a record leads to the true one, among others.

For what has one right answer but need not match it place by place. Not for how near the two are: `facets.Paired` of each kind.
"""

from __future__ import annotations

import numpy as np

from ..errors import GanvasError
from .measure import Measure

AMONG = 100  # records to choose from, the right one with them
LEAST = 10  # different true records, below which finding one says little


def retrieval(
    made: np.ndarray, true: np.ndarray, identity: np.ndarray, *, features: str, seed: int = 0, among: int = AMONG,
    intervals: bool = True,
) -> Measure:  # fmt: skip
    """Top-1 retrieval: the share of made records whose own original is nearer than each of `among` - 1 others.

    made, true: (N, D) features of what was made and of the originals. identity: (N,) int64; equal numbers are the same
    original, which is no other of itself. Others are drawn at random, for each record anew, among originals that differ; all
    of them where there are fewer. Ties count against. low, high: Wilson's 95 % interval. `more` has `among`, and `chance`, what
    guessing gives.
    Raises GanvasError for fewer than ten different originals.
    """
    from scipy.spatial.distance import cdist
    from scipy.stats import binomtest

    different, first, of = np.unique(identity, return_index=True, return_inverse=True)
    if len(different) < LEAST:
        raise GanvasError(f"the true records are {len(different)} different ones: {LEAST} or more are needed to look among")
    count = min(among, len(different))
    rng = np.random.default_rng([seed, 0x2E7])
    right = 0
    for start in range(0, len(made), 256):
        rows = slice(start, start + 256)
        distances = cdist(np.asarray(made[rows], np.float64), np.asarray(true[first], np.float64))
        for own, found in zip(of[rows], distances, strict=True):
            others = np.delete(np.arange(len(different)), own)
            if count - 1 < len(others):
                others = rng.choice(others, count - 1, replace=False)
            right += bool(found[own] < found[others].min())
    interval = binomtest(right, len(made)).proportion_ci(method="wilson") if intervals else None
    low, high = (None, None) if interval is None else (float(interval.low), float(interval.high))
    protocol = f"retrieval/top-1/{features}/among={count}/n={len(made)}"
    return Measure(right / len(made), protocol, low, high, {"among": count, "chance": 1 / count})
