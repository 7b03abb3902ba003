"""Records that stay in shards (`store.shards`): a data set whose values are decoded when they are asked for.

A first pass makes an index in the cache: what the pictures are, their classes, groups and places. The held-out part is decoded
into the cache, as it is looked at again and again; what is trained on is read from the shards, in the background where the
stream says what comes next. Not for the order of records (`data.streams`).
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..errors import DataError, GanvasError, MixedData, RunError
from ..kinds import Kind, kind_of, spec_from_dict
from ..kinds.image import members
from ..registry import suited
from ..specs import REAL
from ..store import cache as caching
from ..store.addresses import is_address
from ..store.code import code_digest
from ..store.listing import counted
from ..store.reader import Reader
from ..store.records import Dataset, Field, Origins
from ..store.shards import Shards
from .classes import suits_of
from .learning import learn
from .options import settled
from .report import CheckReport

WINDOW = 10_000
"""Records among which the order of a training is shuffled, shard after shard; so many lie within reach at once."""
HELD_MOST = 10_000  # records that are held out where nobody says which, and that are decoded into the cache
AHEAD, AHEAD_BYTES = 4, 1 << 28  # batches that are decoded before they are asked for, and bytes of them at most
PIECE = 256  # records that a thread decodes at a time
COMPARED, COMPARED_BYTES = 20_000, 1 << 30  # training records that samples are compared with
WHOLE_BYTES = 4 << 30  # of records that are asked for all at once
RULE = 1  # of splits
NOTHING: tuple[np.ndarray, None] = (np.empty(0, np.int64), None)


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


def hold_out_by_hash(groups: np.ndarray, hashes: np.ndarray, share: float, seed: int) -> np.ndarray:
    """(N,) bool: whole groups, those whose hash is least, until `share` of the records is held out, `HELD_MOST` at most.

    A record that stays what it is stays on its side, but for those next to the threshold, when shards are added or arranged
    anew. A group of more than half of what is wanted is trained on where there are enough others.
    """
    n = len(groups)
    wanted = min(round(share * n), HELD_MOST)
    if wanted < 1 or n < 2:
        return np.zeros(n, bool)
    number, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    number = number.reshape(-1)
    mixed = _mixed(hashes, seed)
    least = np.full(len(sizes), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, number, mixed)
    small = np.flatnonzero(sizes <= max(1, wanted // 2))
    if sizes[small].sum() < 2 * wanted:
        small = np.arange(len(sizes))
    order = small[np.argsort(least[small], kind="stable")][: max(0, len(sizes) - 1)]
    chosen = order[: max(1, int(np.searchsorted(np.cumsum(sizes[order]), wanted, side="right")))]
    found: np.ndarray = np.isin(number, chosen)
    return found


def _mixed(hashes: np.ndarray, seed: int) -> np.ndarray:
    """Other 64-bit numbers for another seed (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    value = hashes + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def index_of(
    source: Shards, settings: dict[str, Any], store: caching.Cache, strict: bool, progress: bool
) -> caching.Entry:  # fmt: skip
    """The entry of these shards, made by a first pass if need be."""
    looks, settled = source.looks()
    key: list[Any] = ["shards", looks, settings, code_digest((members.__name__, ()))]
    files = [Path(place) for place in source.places if not is_address(place)]
    if not settled:  # a change within a tick of the clock would not be seen
        key.append(list(caching.in_parallel(caching.file_digest, files, what="reading", progress=progress)))
    own = caching.digest(*key)

    def fill(writer: caching.Writer) -> None:
        members.index(writer, source, settings, progress, strict, False)
        writer.facts["fingerprint"] = writer.content()
        if source.looks()[0] != looks:
            raise DataError(f"{source}: shards changed while they were being read: wait until they are complete")

    entry, note = store.open(own)
    if entry is None:
        entry = store.make(own, fill)
    if note:
        entry.facts["notes"].insert(0, note)
    if strict and (wrong := [*entry.facts["wrong"], *(reason for _, reason in entry.facts["skipped"])]):
        raise DataError(wrong[0])
    return entry


def open_shards(
    source: Shards, kind: Kind, settings: dict[str, Any], store: caching.Cache, *, heldout: float, seed: int, strict: bool,
    progress: bool, limit: int | None,
) -> Dataset:  # fmt: skip
    """The data set of some shards; arguments as of `dataset.open_data`. Raises DataError for other kinds than images."""
    if kind.spec is not members.ImageSpec:
        raise DataError(f"{source}: of shards pictures are read, not {kind.says.noun}: unpack them into a folder")
    entry = index_of(source, settings, store, strict, progress)
    facts, spec = entry.facts, spec_from_dict(entry.facts["spec"])
    place = {name: entry.arrays[name] for name in ("shard", "start", "size", "plain")}
    groups, hashes = entry.arrays["groups"], entry.arrays["hash"]
    labels = entry.arrays["labels"] if facts["labelled"] else None
    split = entry.arrays["split"] if facts["split"] else None
    notes, count = list(facts["notes"]), len(groups)
    if limit is not None and count > limit:
        chosen = np.sort(np.random.default_rng([seed, 0x12]).choice(count, limit, replace=False))
        place = {name: values[chosen] for name, values in place.items()}
        groups, hashes = groups[chosen], hashes[chosen]
        labels = None if labels is None else labels[chosen]
        split = None if split is None else split[chosen]
        notes.append(f"limited to {limit} of {count} records")
    out = hold_out_by_hash(groups, hashes, heldout, seed) if split is None else split == 1
    notes += _told_of_split(out, split, groups, heldout)
    if out.all():
        raise DataError(f"{source}: nothing is left to train on after the split: mark some shards as 'train'")
    prints = (facts["fingerprint"], heldout if split is None else None, seed, limit, RULE)
    shape, dtype = entry.values.shape[1:], entry.values.dtype
    values = ShardValues(Reader(source.places, store.folder), list(source.names), place, settings, shape, dtype, *NOTHING)
    rows = np.flatnonzero(out)[:HELD_MOST]
    if len(rows):
        values.held, values.kept = rows, _decoded_once(values, rows, caching.digest("held", prints, settings), store, progress)
    notes.append(
        f"{counted(count, 'record')} stay in {counted(len(source.places), 'shard')} and are read from there while training: "
        f"shard after shard, in another order each epoch, shuffled among {WINDOW:,} records"
    )
    origins = Origins(tuple(source.names), place["shard"])
    dataset = Dataset(
        {REAL: Field(spec, values, facts["declared"])}, labels, groups, out, str(source), caching.digest(*prints),  # type: ignore[arg-type]
        tuple(notes), split is not None, (), origins, groups, place["shard"],
    )  # fmt: skip
    return learn(dataset, dataset.train_indices())


def _told_of_split(out: np.ndarray, split: np.ndarray | None, groups: np.ndarray, share: float) -> list[str]:
    if split is not None:
        notes = [] if share else ["the shards hold records out although a share of 0 was asked for"]
        if divided := int(np.isin(groups[out], groups[~out]).sum()):
            notes.append(
                f"{divided} held-out records have twins among the training records: the split is the data's own, and was kept"
            )
        return notes
    if share and not out.any():
        return ["nothing is held out: too few groups to split, so no measure against unseen data will be possible"]
    if round(share * len(out)) > HELD_MOST:
        return [f"held out are {out.sum():,} of {len(out):,} records, by a hash of their keys and bytes: at most so many"]
    return []


def _decoded_once(values: ShardValues, rows: np.ndarray, key: str, store: caching.Cache, progress: bool) -> np.ndarray:
    """The records at `rows`, from the cache."""

    def fill(writer: caching.Writer) -> None:
        pieces = caching.in_parallel(lambda own: values[own], _pieces(rows), what="decoding", progress=progress)
        for piece in pieces:
            for record in piece:
                writer.row(record)

    entry, _ = store.open(key)
    found: np.ndarray = (entry or store.make(key, fill)).values
    return found


def _pieces(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + PIECE] for start in range(0, len(rows), PIECE)]


def look_through(source: Shards, strict: bool, progress: bool) -> CheckReport:
    """The report of `check`: every shard is read once, nothing is kept."""
    kind = kind_of(members.ImageSpec.kind)
    report = CheckReport(str(source), f"{kind.says.noun} in shards", len(source.places))
    mixed: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        while True:
            try:
                entry = index_of(source, settled(kind, mixed), caching.Cache(Path(folder)), strict, progress)
                break
            except MixedData as error:  # for a look only: training asks for --size and --channels
                if error.option in mixed:
                    raise
                mixed[error.option] = error.value
                report.problems.append(str(error))
        facts, spec = entry.facts, spec_from_dict(entry.facts["spec"])
        report.records, report.exact_count, report.near_count = len(entry.arrays["shard"]), facts["doubles"], facts["near"]
        report.sizes = {} if mixed else {spec.size: report.records}
        report.depths, report.channels = {str(spec.depth): report.records}, {str(spec.channels): report.records}
        if facts["labelled"]:
            counts = np.bincount(entry.arrays["labels"], minlength=len(spec.classes))
            report.labels = dict(zip(spec.classes, counts.tolist(), strict=True))
        report.groups, report.group_source = len(np.unique(entry.arrays["groups"])), "what may be held out together"
        if facts["split"]:
            held = int((entry.arrays["split"] == 1).sum())
            report.split = {"train": report.records - held, "held out": held}
        report.unreadable = [(name, reason) for name, reason in facts["skipped"]]
        report.notes = [note for note in facts["notes"] if not note.startswith("skipped ")]
    chosen = "".join(f" --{name} {value}" for name, value in mixed.items())
    report.train = [
        f"ganvas train {card.name} --data {quote(source.text)}{chosen}" for card in suited(kind.name, suits_of(spec.classes))
    ]
    return report
