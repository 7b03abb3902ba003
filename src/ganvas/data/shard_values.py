"""Records in shards as an array: read by their places and decoded when they are asked for, or before where that is known.

Not for what is in shards (`shards`), nor for the order of records (`streams`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..errors import DataError, GanvasError, RunError
from ..kinds.image import members
from ..store.reader import Reader
from ..store.records import Dataset

WINDOW = 10_000
"""Records among which the order of a training is shuffled, shard after shard; so many lie within reach at once."""
AHEAD, AHEAD_BYTES = 4, 1 << 28  # batches that are decoded before they are asked for, and bytes of them at most
PIECE = 256  # records that a thread decodes at a time
COMPARED, COMPARED_BYTES = 20_000, 1 << 30  # training records that samples are compared with
WHOLE_BYTES = 4 << 30  # of records that are asked for all at once


@runtime_checkable
class Expects(Protocol):
    """Values that are read as they are asked for, and can be told before."""

    def expect(self, rows: np.ndarray) -> None: ...

    def want(self, rows: np.ndarray) -> None: ...

    def forget(self) -> None: ...


class ShardValues:
    """Records (N, H, W, C) like an array that is indexed along its first axis, read from shards and decoded as asked for.

    place: (shard, first byte, bytes, plain) of each record, as `members.index` writes them. held: rows that lie decoded in
    `kept`, ascending. Raises RunError when shards have changed or cannot be reached.
    """

    ndim = 4

    def __init__(
        self, reader: Reader, names: list[str], place: dict[str, np.ndarray], settings: dict[str, Any], shape: tuple[int, ...],
        dtype: np.dtype, held: np.ndarray, kept: np.ndarray | None,
    ) -> None:  # fmt: skip
        self.reader, self.names, self.place, self.settings = reader, names, place, settings
        self.shape, self.dtype = (len(place["shard"]), *shape), np.dtype(dtype)
        self.held, self.kept = held, kept
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._coming: dict[bytes, Future[np.ndarray]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Values of all records together."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of all records if they were decoded at once."""
        return self.size * self.dtype.itemsize

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.nbytes > WHOLE_BYTES:
            raise GanvasError(
                f"all {len(self):,} records of the shards at once would take {self.nbytes / 1e9:.0f} GB of memory, which this "
                "asks for: take fewer shards for it"
            )
        values = self[:]
        return values if dtype is None else values.astype(dtype)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, rows: Any) -> np.ndarray:
        """A record (H, W, C) of a number, else records of a slice, a mask or an array of numbers."""
        if isinstance(rows, int | np.integer):
            return self[np.array([range(len(self))[int(rows)]])][0]
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        rows = np.where(rows < 0, rows + len(self), rows)
        with self._lock:
            coming = self._coming.pop(rows.tobytes(), None)
        if coming is not None:
            return coming.result()
        if len(rows) <= PIECE:
            return self._decoded(rows)
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        pieces = [slice(start, start + PIECE) for start in range(0, len(rows), PIECE)]
        for piece, values in zip(pieces, self._threads().map(lambda own: self._decoded(rows[own]), pieces), strict=True):
            out[piece] = values
        return out

    def expect(self, rows: np.ndarray) -> None:
        """These will be asked for soon, as they are: decode them in the background, if not too many are waiting already."""
        key = rows.tobytes()
        each = max(1, len(rows) * int(np.prod(self.shape[1:])) * self.dtype.itemsize)
        with self._lock:
            if key in self._coming or len(self._coming) >= max(1, min(AHEAD, AHEAD_BYTES // each)):
                return
            self._coming[key] = self._threads().submit(self._decoded, rows)

    def want(self, rows: np.ndarray) -> None:
        """These will be asked for, not at once: have their shards at hand."""
        with suppress(GanvasError, OSError):  # whoever reads them is told
            self.reader.want(np.unique(self.place["shard"][rows]).tolist())

    def forget(self) -> None:
        """What was expected does not come."""
        with self._lock:
            waiting, self._coming = self._coming, {}
        for future in waiting.values():
            future.cancel()

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            self._pool = ThreadPoolExecutor(min(AHEAD, cores), thread_name_prefix="decode")
        return self._pool

    def _decoded(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        at = np.minimum(np.searchsorted(self.held, rows), max(0, len(self.held) - 1))
        known = self.held[at] == rows if len(self.held) else np.zeros(len(rows), bool)
        if known.any():
            assert self.kept is not None
            out[known] = self.kept[at[known]]
        own = np.flatnonzero(~known)
        shard, start, size, plain = (self.place[name][rows[own]] for name in ("shard", "start", "size", "plain"))
        for k in np.lexsort((start, shard)):  # as they lie on disk
            name = self.names[shard[k]]
            try:
                data = self.reader.read(int(shard[k]), int(start[k]), int(size[k]))
                pixels = members.decode(data, bool(plain[k]), f"{name}: the picture at byte {start[k]}", self.settings)
                if pixels.shape != self.shape[1:] or pixels.dtype != self.dtype:
                    raise DataError("its picture is another one")
            except (DataError, OSError) as error:
                raise RunError(f"{name}: has changed since its records were counted, or cannot be read ({error})") from error
            out[own[k]] = pixels
        return out


def in_memory(dataset: Dataset, seed: int) -> tuple[Dataset, list[str]]:
    """(the data set with its records in memory, what was left out): all that are held out, and at most `COMPARED` of those
    that are trained on, or `COMPARED_BYTES`, drawn at random. The same one where records lie in the cache."""
    if dataset.shards is None:
        return dataset, []
    train, held = dataset.train_indices(), dataset.heldout_indices()
    most = max(1, min(COMPARED, COMPARED_BYTES * len(dataset) // max(1, dataset.values.nbytes)))
    notes = []
    if len(train) > most:
        notes.append(f"of {len(train):,} training records in shards {most:,} were drawn at random to compare with")
        train = np.sort(np.random.default_rng([seed, 0x13]).choice(train, most, replace=False))
    return chosen_of(dataset, np.sort(np.concatenate([train, held]))), notes


def chosen_of(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """The records at `rows` alone, decoded."""
    return replace(
        dataset,
        fields={name: replace(part, values=np.asarray(part.values[rows])) for name, part in dataset.fields.items()},
        labels=None if dataset.labels is None else dataset.labels[rows],
        groups=dataset.groups[rows],
        heldout=dataset.heldout[rows],
        origins=None if dataset.origins is None else dataset.origins.at(rows),
        persons=None if dataset.persons is None else dataset.persons[rows],
        shards=None,
    )
