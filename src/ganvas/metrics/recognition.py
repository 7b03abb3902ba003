"""Records that are known again after a change that their field makes to them, such as a sound at another loudness.

What a change is, a kind of data says (`kinds.facets.Recognises`); here are the searches: twins within a data set, which no
split may divide, and the training records that samples are like. Marks sort out candidates among all records, likeness compares
these one by one. Not for a verdict: `memorisation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ganvas.store.splits import join

CANDIDATES = 8  # records that each one is compared with in detail
BLOCK, NUMBERS = 128, 2**23  # records that are taken together, at most, and numbers of them: memory
PAIRED = 2**20  # numbers of records that are compared together: few, which stay in the processor's cache
MOST = 20_000
"""Twins are looked for among at most this many records: the search compares all pairs."""
STRICTER = (1.0, 0.5, 0.1, 0.01)  # shares of the unlikeness of twins that are tried
LARGEST = 0.2
"""Share of the records above which a chain of twins is cut: a chain of everything could not be split."""


@dataclass(frozen=True)
class Recogniser:
    """How records of one spec are known again: see `kinds.facets.Recognises`.

    prints: (records, changed) -> marks (N, V, D). likeness: of pairs of records -> (N,). twin, reach, changes: as there.
    """

    prints: Callable[[np.ndarray, bool], np.ndarray]
    likeness: Callable[[np.ndarray, np.ndarray], np.ndarray]
    twin: float
    reach: float
    changes: str

    def marks(self, records: np.ndarray) -> np.ndarray:
        """(N, D) of the records themselves."""
        return np.concatenate([self.prints(np.asarray(records[part]), False)[:, 0] for part in _blocks(records, BLOCK)])

    def compared(self, first: np.ndarray, rows: np.ndarray, second: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Likeness (P,) of the pairs first[rows], second[columns]."""
        made = np.zeros(len(rows))
        step = max(1, PAIRED // max(1, int(np.prod(first.shape[1:]))))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            made[part] = self.likeness(np.asarray(first[rows[part]]), np.asarray(second[columns[part]]))
        return made


def _blocks(records: np.ndarray, most: int) -> Iterator[slice]:
    """Records (N, ...) a few at a time."""
    step = max(1, min(most, NUMBERS // max(1, int(np.prod(records.shape[1:])))))
    for start in range(0, len(records), step):
        yield slice(start, start + step)


def _products(made: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """(n, T): the best product of any change of each record, of the marks (n, V, D), with the marks (T, D)."""
    best = made[:, 0] @ marks.T
    for k in range(1, made.shape[1]):
        np.maximum(best, made[:, k] @ marks.T, out=best)
    return np.asarray(best)


def _foremost(products: np.ndarray, count: int) -> np.ndarray:
    """(n, count) columns of the largest products of each row, in no order."""
    count = min(count, products.shape[1])
    return np.argpartition(products, -count, axis=1)[:, -count:]


def twin_groups(recogniser: Recogniser, records: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, float]:
    """(groups (N,) with twins joined, the likeness from which they were).

    groups (N,) int64: of records that belong together anyway; only twins of different groups are looked for. The likeness is
    the recogniser's, and is raised while one chain of twins would hold over a fifth of the records.
    """
    first, second, likeness = _pairs(recogniser, records, groups)
    number, start = np.unique(groups, return_inverse=True, return_index=True)[2:0:-1]
    parent = start[number.reshape(-1)].astype(np.int64)
    largest = max(2.0, LARGEST * len(groups), float(np.bincount(parent).max()))
    threshold = recogniser.twin
    for threshold in (1 - (1 - recogniser.twin) * share for share in STRICTER):
        joined, sure = parent.copy(), likeness >= threshold
        join(joined, first[sure], second[sure])
        if np.bincount(joined).max() <= largest:
            break
    return joined, threshold


def _pairs(recogniser: Recogniser, records: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of different groups that may be twins, (P,) each: first, second, and their likeness."""
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    alone = recogniser.prints(np.asarray(records[:1]), True).shape[1] == 1  # what is looked through leaves no trace in them
    marks = np.empty((0, 0), np.float32)
    # What changes undo is undone the other way round as well: each pair is looked at once, of each block with those behind it.
    # So, the last block first, the marks are there when they are needed, without being made twice.
    for part in reversed(list(_blocks(records, BLOCK))):
        start = part.start
        made = recogniser.prints(np.asarray(records[part]), not alone)
        if not len(marks):
            marks = np.empty((len(records), made.shape[2]), made.dtype)
        marks[part] = made[:, 0]
        products = _products(made, marks[start:])
        products[groups[part, None] == groups[None, start:]] = -1
        near = _foremost(products, CANDIDATES)
        row, place = np.nonzero(np.take_along_axis(products, near, axis=1) >= recogniser.reach)
        rows.append(row + start)
        columns.append(near[row, place] + start)
    first, second = np.concatenate(rows), np.concatenate(columns)
    return first, second, recogniser.compared(records, first, records, second)


@dataclass(frozen=True)
class Likest:
    """The training records that each query is most like. likeness: (n,) of the likest; other: (n,) of the likest one of another
    group; index: (n,) of the likest."""

    likeness: np.ndarray
    other: np.ndarray
    index: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """(n,) how much of the difference to the next record is left to the likest: 0 for a copy, 1 where both are unlike."""
        apart = 1 - self.other
        return np.where(apart > 0, (1 - self.likeness) / np.where(apart > 0, apart, 1.0), 1.0)


def likest(
    recogniser: Recogniser,
    queries: np.ndarray,
    records: np.ndarray,
    marks: np.ndarray,
    groups: np.ndarray,
    excluded: np.ndarray | None = None,
) -> Likest:
    """The records (T, ...) that queries (n, ...) are most like. marks (T, D), groups (T,): of the records. excluded (n,): a
    group that does not count for each query (its own)."""
    found: list[tuple[np.ndarray, ...]] = []
    for block in _blocks(queries, BLOCK):
        part = np.asarray(queries[block])
        products = _products(recogniser.prints(part, True), marks)
        if excluded is not None:
            products[excluded[block, None] == groups[None, :]] = -2
        near = _foremost(products, CANDIDATES)
        there = np.take_along_axis(products, near, axis=1) > 0
        like = np.zeros(near.shape)
        rows, places = np.nonzero(there)
        like[rows, places] = recogniser.compared(part, rows, records, near[rows, places])
        best = like.argmax(axis=1)
        line = np.arange(len(part))
        index = near[line, best]
        others = np.where(groups[near] == groups[index][:, None], 0.0, like)
        found.append((like[line, best], others.max(axis=1), index))
    return Likest(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
