"""Opening records that stay in shards, or in other packed files (`store.packed`).

A first pass makes an index in the cache: what the pictures are, their classes, groups and places. The held-out part is decoded
into the cache, as it is looked at again and again; what is trained on is read from the shards (`shard_values`). Not for the
order of records (`streams`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from ..errors import DataError, MixedData
from ..kinds import Kind, kind_of, spec_from_dict
from ..kinds.facets import Columned, FromTexts, OwnsColumns
from ..kinds.image import members
from ..registry import Card, catalogue, suited
from ..specs import REAL
from ..store import cache as caching
from ..store.addresses import is_address
from ..store.code import code_digest
from ..store.listing import counted, some
from ..store.packed import CAPTIONS, LABELS, PackedSource, Told
from ..store.records import Dataset, Field, Origins
from .classes import suits_of
from .entries import entry_of
from .learning import learn
from .options import check_options, settled
from .report import CheckReport
from .shard_values import PIECE, WINDOW, ShardValues

HELD_MOST = 10_000  # records that are held out where nobody says which, and that are decoded into the cache
RULE = 1  # of splits
NOTHING: tuple[np.ndarray, None] = (np.empty(0, np.int64), None)


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
    source: PackedSource, settings: dict[str, Any], store: caching.Cache, strict: bool, progress: bool
) -> caching.Entry:  # fmt: skip
    """The entry of these shards, made by a first pass if need be."""
    looks, settled = source.looks()
    starts = ((members.__name__, ()), (type(source).__module__, ()))
    key: list[Any] = ["shards", looks, settings, code_digest(*starts), *source.said()]
    files = [Path(place) for place in source.places if not is_address(place)]
    if not settled:  # a change within a tick of the clock would not be seen
        key.append(list(caching.in_parallel(caching.file_digest, files, what="reading", progress=progress)))
    own = caching.digest(*key)

    def fill(writer: caching.Writer) -> None:
        members.index(writer, source, settings, progress, strict)
        writer.facts["fingerprint"] = writer.content()
        if source.looks()[0] != looks:
            raise DataError(f"{source}: {source.noun}s changed while they were being read: wait until they are complete")

    entry, note = store.open(own)
    if entry is None:
        entry = store.make(own, fill)
    if note:
        entry.facts["notes"].insert(0, note)
    if strict and (wrong := [*entry.facts["wrong"], *(reason for _, reason in entry.facts["skipped"])]):
        raise DataError(wrong[0])
    return entry


def open_shards(
    source: PackedSource, kind: Kind, settings: dict[str, Any], store: caching.Cache, *, heldout: float, seed: int,
    strict: bool, progress: bool, limit: int | None,
) -> Dataset:  # fmt: skip
    """The data set of some shards; arguments as of `dataset.open_data`. Raises DataError for other kinds than images."""
    if kind.spec is not members.ImageSpec:
        raise DataError(f"{source}: of {source.nouns} pictures are read, not {kind.says.noun}: {source.remedy}")
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
    notes += _told_of_split(source, out, split, groups, heldout)
    if out.all():
        raise DataError(f"{source}: nothing is left to train on after the split: mark some {source.noun}s as 'train'")
    prints = (facts["fingerprint"], heldout if split is None else None, seed, limit, RULE)
    shape, dtype = entry.values.shape[1:], entry.values.dtype
    values = ShardValues(source.reader(store.folder), list(source.names), place, settings, shape, dtype, *NOTHING)
    rows = np.flatnonzero(out)[:HELD_MOST]
    if len(rows):
        values.held, values.kept = rows, _decoded_once(values, rows, caching.digest("held", prints, settings), store, progress)
    turns, going = source.turns(place["shard"], place["size"])
    notes.append(
        f"{counted(count, 'record')} stay in {counted(len(source.places), source.noun)} and are read from there while "
        f"training: {going}, in another order each epoch, shuffled among {WINDOW:,} records"
    )
    origins = Origins(tuple(source.names), place["shard"])
    dataset = Dataset(
        {REAL: Field(spec, values, facts["declared"])}, labels, groups, out, str(source), caching.digest(*prints),  # type: ignore[arg-type]
        tuple(notes), split is not None, (), origins, groups, turns,
    )  # fmt: skip
    return learn(dataset, dataset.train_indices())


def open_shard_fields(
    source: PackedSource, wanted: Mapping[str, tuple[str, ...]], options: dict[str, Any], store: caching.Cache, heldout: float,
    seed: int, strict: bool, progress: bool, limit: int | None,
) -> Dataset:  # fmt: skip
    """Records of a picture and of what is written beside it: captions, or the entries of its .json as a table.

    wanted: field -> kinds that it may be of. Raises DataError for systems of other fields, and where a caption is missing.
    """
    kinds = {name: _kind_in_shards(source, name, able) for name, able in wanted.items()}
    pictures = [name for name, kind in kinds.items() if kind.spec is members.ImageSpec]
    if len(pictures) != 1:
        raise DataError(
            f"{source}: of {source.nouns} one picture a record is read, not {' and '.join(wanted)}: {source.remedy}"
        )
    check_options(options, list(kinds.values()))
    kind = kinds[pictures[0]]
    base = open_shards(
        source, kind, settled(kind, options), store, heldout=heldout, seed=seed, strict=strict, progress=progress, limit=limit
    )
    values: Any = base.values
    told: list[Told] = []
    fields, prints, notes = (
        dict[str, Field](),
        list[str](),
        [note for note in base.notes if not note.endswith(members.CAPTIONS)],
    )
    for name, own in kinds.items():
        if name == pictures[0]:
            fields[name] = base.fields[REAL]
            continue
        assert isinstance(own, FromTexts)
        settings = settled(own, options)

        def fill(writer: caching.Writer, name: str = name, own: Any = own, settings: dict[str, Any] = settings) -> None:
            if not told:
                told.extend(members.beside(source, values.reader, values.place["shard"], values.place["start"]))
            own.fill_texts(writer, _cells(source, name, own, told, base), settings)

        entry = entry_of(store, caching.digest("beside", own.name, base.fingerprint, settings), fill, own)
        fields[name] = Field(spec_from_dict(entry.facts["spec"]), entry.values, entry.facts["declared"])
        prints.append(entry.facts["fingerprint"])
        notes += [f"{name}: {note}" for note in entry.facts["notes"] if "twins" not in note]
    dataset = replace(base, fields=fields, fingerprint=caching.digest(base.fingerprint, prints), notes=tuple(notes))
    return learn(dataset, dataset.train_indices())


def _kind_in_shards(source: PackedSource, name: str, able: tuple[str, ...]) -> Kind:
    """The kind of a field: images, or what is made of texts."""
    found = [kind for kind in map(kind_of, able) if kind.spec is members.ImageSpec or isinstance(kind, FromTexts)]
    if not found:
        raise DataError(f"{source}: {name} ({' or '.join(able)}) is not read from {source.nouns}: {source.remedy}")
    return found[0]


def _cells(source: PackedSource, name: str, kind: Kind, told: list[Told], base: Dataset) -> dict[str, list[str]]:
    """The columns of a field, a cell a record."""
    if not isinstance(kind, Columned):
        lacking = [base.names()[k] for k, own in enumerate(told) if own.caption is None]
        if lacking:
            raise DataError(
                f"{source}: {len(lacking)} of {len(told)} records have no caption ({some(lacking)}): {source.hints['caption']}"
            )
        return {name: [str(own.caption) for own in told]}
    names = dict.fromkeys(
        entry for own in told for entry, value in own.attributes.items() if not isinstance(value, dict | list)
    )
    columns = [entry for entry in names if entry not in (*LABELS, *CAPTIONS, "group", "split")]
    if not columns:
        raise DataError(f"{source}: {source.hints['attributes'].format(name=name)}")
    return {entry: [_cell(own.attributes.get(entry)) for own in told] for entry in columns}


def _cell(value: Any) -> str:
    return "" if value is None else str(int(value)) if isinstance(value, bool) else str(value)


def _told_of_split(
    source: PackedSource, out: np.ndarray, split: np.ndarray | None, groups: np.ndarray, share: float
) -> list[str]:
    if split is not None:
        notes = [] if share else [f"the {source.noun}s hold records out although a share of 0 was asked for"]
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


def look_through(source: PackedSource, strict: bool, progress: bool) -> CheckReport:
    """The report of `check`: every shard is read once, nothing is kept."""
    kind = kind_of(members.ImageSpec.kind)
    report = CheckReport(str(source), f"{kind.says.noun}{source.within}", len(source.places))
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
        captions = facts["captions"] == report.records
    chosen = "".join(f" --{name} {value}" for name, value in mixed.items())
    chosen += (
        f" --fields {quote(','.join(f'{name}={column}' for name, column in source.choice.items()))}" if source.choice else ""
    )
    cards = [*(_of_captions() if captions else ()), *suited(kind.name, suits_of(spec.classes))]
    report.train = [f"ganvas train {card.name} --data {quote(source.text)}{chosen}" for card in cards]
    return report


def _of_captions() -> list[Card]:
    """Systems that learn from pictures and captions."""

    def fits(kinds: tuple[str, ...]) -> bool:
        return isinstance(kind_of(kinds[0]), FromTexts) and not isinstance(kind_of(kinds[0]), Columned | OwnsColumns)

    able = [card for card in catalogue().values() if len(card.fields) == 2]
    return [card for card in able if fits(list(card.fields.values())[1]) and members.ImageSpec.kind in card.data]
