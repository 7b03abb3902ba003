"""Records drawn by the values that they show, so that rare values are learnt as well. Not for making batches (`streams`)."""

from __future__ import annotations

import numpy as np

ASKED = "asked"
"""The name in the batch of the value that each record was drawn by."""


class Lots:
    """For each record: a choice, each as likely as another; one of its values, by the logarithm of how often it comes; and one
    of the records that show it. Xu et al. 2019 (arXiv 1907.00503), section 4.3.

    states: (N, choices), see `facets.Balanced`, of the records `rows` (N,). What is drawn at a position follows from it and the
    seed alone.
    """

    def __init__(self, states: np.ndarray, rows: np.ndarray, seed: int) -> None:
        self.seed, self.choices = seed, states.shape[1]
        self.rows = np.empty(states.T.shape, np.int64)  # of each choice, the records in the order of its values
        self.values: list[np.ndarray] = []
        self.starts: list[np.ndarray] = []
        self.shares: list[np.ndarray] = []
        for place, column in enumerate(states.T):
            order = np.argsort(column, kind="stable")
            self.rows[place] = rows[order]
            values, starts, counts = np.unique(column[order], return_index=True, return_counts=True)
            weights = np.log1p(counts)
            self.values.append(values)
            self.starts.append(np.append(starts, len(order)))
            self.shares.append(np.cumsum(weights / weights.sum()))

    def drawn(self, position: int, batch: int, own: slice) -> tuple[np.ndarray, np.ndarray]:
        """(records, numbers of the values that they were drawn by), those at `own` of the `batch` at a position."""
        numbers = np.random.default_rng([self.seed, position]).random((3, batch))[:, own]
        count = numbers.shape[1]
        rows, asked = np.empty(count, np.int64), np.empty(count, np.int64)
        choice = (numbers[0] * self.choices).astype(np.int64)
        for place in range(self.choices):
            here = np.flatnonzero(choice == place)
            value = np.searchsorted(self.shares[place], numbers[1, here], side="right").clip(max=len(self.values[place]) - 1)
            first, last = self.starts[place][value], self.starts[place][value + 1]
            rows[here] = self.rows[place, first + (numbers[2, here] * (last - first)).astype(np.int64)]
            asked[here] = self.values[place][value]
        return rows, asked
