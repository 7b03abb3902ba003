"""Which records are one and the same: equal up to the rounding of files, or but for a change that their kind looks through.

`memorisation` counts them; nothing here gives a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ganvas.metrics.recognition import Likest, Recogniser, likest

ROUNDING = 1e-3  # of the range of values, and of the usual distance of features, by which equal records may differ
SURE = 0.999  # likeness from which two records are the same but for a change
BLANK = 16  # numbers from which on a record of one value throughout holds nothing that could be copied


@dataclass(frozen=True)
class Same:
    """in_train, in_heldout (N,): whether each sample is one of these records. heldout_in_train (H,): whether each held-out
    record is a twin of a training record. changed (N,): whether a sample is in the training data but for a change. made,
    unseen: how samples and held-out records are like the training records, where their kind says."""

    in_train: np.ndarray
    in_heldout: np.ndarray
    heldout_in_train: np.ndarray
    changed: np.ndarray
    made: Likest | None = None
    unseen: Likest | None = None


def same_records(
    to_real: np.ndarray,
    heldout_to_train: np.ndarray,
    norm: float,
    records: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    recogniser: Recogniser | None,
    marks: np.ndarray | None,
    groups: np.ndarray,
) -> Same:
    """to_real (N, T + H), heldout_to_train (H, T): distances of features, training first. groups (T + H,).

    norm: the usual length of features about their mean. records: those that features are of (generated, train, heldout), in one
    spec; without them features decide. marks (T, D): of the training records.
    """
    t = heldout_to_train.shape[1]
    usual = float(np.median(heldout_to_train.min(axis=1)))
    limit = max(ROUNDING * usual, 2e-5 * norm)
    made = None if records is None else records[0]
    train, heldout = (None, None) if records is None else records[1:]
    in_train = _equal(to_real[:, :t], limit, made, train)
    in_heldout = _equal(to_real[:, t:], limit, made, heldout)
    heldout_in_train = _equal(heldout_to_train, limit, heldout, train)
    nothing = np.zeros(len(in_train), bool)
    if recogniser is None or records is None or marks is None:
        return Same(in_train, in_heldout, heldout_in_train, nothing)
    like = likest(recogniser, records[0], records[1], marks, groups[:t])
    unseen = likest(recogniser, records[2], records[1], marks, groups[:t])
    sure = like.likeness >= SURE
    asked = np.flatnonzero(sure | in_train)
    if len(asked):
        again = likest(recogniser, records[0][asked], records[2], recogniser.marks(records[2]), groups[t:])
        in_heldout[asked] |= again.likeness >= SURE
    twins = heldout_in_train | (unseen.likeness >= recogniser.twin)
    return Same(in_train | sure, in_heldout, twins, sure & ~in_train, like, unseen)


def _equal(distances: np.ndarray, limit: float, queries: np.ndarray | None, records: np.ndarray | None) -> np.ndarray:
    """(N,) whether the nearest record is the same: at a distance of about 0, and of the same values where these are given."""
    nearest = distances.argmin(axis=1)
    found: np.ndarray = distances[np.arange(len(distances)), nearest] <= limit
    if queries is None or records is None or not found.any():
        return found
    axes = tuple(range(records.ndim - 1))
    with np.errstate(invalid="ignore"):
        width = np.nanmax(records, axis=axes).astype(np.float64) - np.nanmin(records, axis=axes)
    for row in np.flatnonzero(found):
        one, other = np.asarray(queries[row], np.float64), np.asarray(records[nearest[row]], np.float64)
        gone = np.isnan(one)
        near = np.where(gone | np.isnan(other), gone == np.isnan(other), np.abs(one - other) <= ROUNDING * width)
        blank = one.size >= BLANK and bool((one == one.flat[0]).all())
        found[row] = bool(near.all()) and not blank
    return found
