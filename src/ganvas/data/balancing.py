"""A training stream that deals records by the values that they show, so that rare values are learnt as well as frequent ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..batches import Batch, Noise
from ..game import Feed
from ..kinds import kind_of
from ..kinds.facets import Balanced
from .dataset import Dataset
from .streams import DatasetStream, fields_of, labels_of

ASKED = "asked"


class BalancedStream(DatasetStream):
    """For each record: a choice, each as likely as another; one of its values, by the logarithm of how often it comes; and one
    of the training records that show it. Xu et al. 2019 (arXiv 1907.00503), section 4.3.

    The batch has the number of the value under `asked` (B,) int64. Data without choices is dealt as ever, without `asked`. The
    position is the count of records drawn, as of other streams: what is drawn at it follows from it and the seed alone.
    """

    def __init__(self, dataset: Dataset, batch_size: int, *, seed: int = 0, world: int = 1, feed: Feed | None = None) -> None:
        super().__init__(dataset, batch_size, seed=seed, world=world, feed=feed)
        kind = kind_of(dataset.spec.kind)
        assert isinstance(kind, Balanced)
        own = next(iter(self.orders.values())).indices
        states = kind.states(np.asarray(dataset.values[own]), dataset.spec)
        self.choices = states.shape[1]
        self.rows = np.empty(states.T.shape, np.int64)  # of each choice, the records in the order of its values
        self.values, self.starts, self.shares = [], [], []
        for place, column in enumerate(states.T):
            order = np.argsort(column, kind="stable")
            self.rows[place] = own[order]
            values, starts, counts = np.unique(column[order], return_index=True, return_counts=True)
            weights = np.log1p(counts)
            self.values.append(values)
            self.starts.append(np.append(starts, len(order)))
            self.shares.append(np.cumsum(weights / weights.sum()))

    def draw(self, noise: Noise) -> Batch:
        """The next batch: this process's share. Raises RunError when the cached data has vanished."""
        if not self.choices:
            return super().draw(noise)
        share, start = self.batch_size // noise.world, self.position
        self.position += self.batch_size
        numbers = np.random.default_rng([self.seed, start]).random((3, self.batch_size))
        rows, asked = self._drawn(numbers[:, noise.rank * share : (noise.rank + 1) * share])
        return self._batch(rows, asked, noise)

    def _drawn(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(records (B,), numbers of the values that they were drawn by (B,)) of uniform numbers (3, B)."""
        count = numbers.shape[1]
        rows, asked = np.empty(count, np.int64), np.empty(count, np.int64)
        choice = (numbers[0] * self.choices).astype(np.int64)
        for place in range(self.choices):
            own = np.flatnonzero(choice == place)
            value = np.searchsorted(self.shares[place], numbers[1, own], side="right").clip(max=len(self.values[place]) - 1)
            first, last = self.starts[place][value], self.starts[place][value + 1]
            rows[own] = self.rows[place, first + (numbers[2, own] * (last - first)).astype(np.int64)]
            asked[own] = self.values[place][value]
        return rows, asked

    def example(self, count: int, noise: Noise) -> Batch:
        """`count` records of the stream's beginning, which are not counted."""
        if not self.choices:
            return super().example(count, noise)
        return self._batch(*self._drawn(np.random.default_rng([self.seed, 0]).random((3, count))), noise)

    def _batch(self, rows: np.ndarray, asked: np.ndarray, noise: Noise) -> Batch:
        fields: dict[str, Any] = fields_of(self.dataset, self.names, dict.fromkeys(self.names, rows), noise)
        fields[ASKED] = torch.from_numpy(asked).to(noise.generator.device, non_blocking=True)
        return Batch(noise, fields, labels_of(self.dataset, rows, noise))
