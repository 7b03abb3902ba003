"""Opening data: a folder, a file, an array or a phantom becomes one memory-mapped array with a held-out part.

`open_data` lists the files, decodes and resizes them once into the cache, finds out what they are (the spec) and which
belong together, and splits whole groups off before training. Not for augmentation or batching, which happen later on
tensors, and not for writing files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, GanvasError
from ..kinds import Kind, kind_names, kind_of, spec_from_dict
from ..kinds.facets import Beside, Bundles, Framed, FromArrays, FromTexts, LooksInside, OwnsColumns, Sided, Whole
from ..specs import REAL, Spec
from ..store import cache as caching
from ..store.entry import conclude
from ..store.listing import Listing, Source, class_indices, some
from ..store.packed import PackedSource
from ..store.progress import busy
from ..store.records import Dataset, Field, Origins
from ..store.splits import hold_out, join
from . import phantoms
from .columns import WORDS, Column, Rows, find_rows, parse_fields
from .entries import entry_of
from .finding import existing, files_of, recognise, usual_kind
from .learning import learn
from .options import check_options, settled
from .pairing import refuse_other_shapes, rows_of_records, told_swapped_records
from .shards import open_shard_fields, open_shards

RULE = 2
"""Of splits: 2 joins twins of every kind and holds out groups of every size in proportion. 1 did neither; runs of its time keep
the split that they recorded (`run.opening`)."""
MOST_OF_FREE = 0.9  # of the records that may be held out, where others must not be


def open_data(
    source: str | Path | Source | np.ndarray | Dataset,
    *,
    size: Any = None,
    channels: int | None = None,
    fit: str | None = None,
    axis: int | None = None,
    up: str | None = None,
    frames: int | None = None,
    heldout: float = 0.2,
    seed: int = 0,
    strict: bool = False,
    cache: Path | None = None,
    phantom_count: int = 4000,
    progress: bool = True,
    limit: int | None = None,
    rate: int | None = None,
    kinds: tuple[str, ...] = (),
    fields: Mapping[str, tuple[str, ...]] | None = None,
    columns: str | None = None,
) -> Dataset:
    """A data set ready to train on.

    source: a folder of PNG, JPEG, BMP, TIFF, WebP, DICOM or NIfTI files (at any depth), one such file, an .npz or .npy
    array, a .csv of points, shards or tables of pictures (`store.packed`; not copied), the name of a phantom, an array
    (N, H, W), (N, H, W, C) or (N, D), or a Dataset (returned as it is). Labels come from `labels.csv` (file,label), else from
    class sub-folders; groups and the split from `groups.csv` (file,group,split).

    size: one number means a square of that side, a pair means (height, width); None keeps the size all files share.
    fit: how another aspect is met: `crop` the centre (default), `pad` with the border's median, `stretch`; or `patches`: every
    picture is cut at its own scale into pieces of `size`, which make one group; or `frames`: the same of sheets whose frames
    lie side by side, of which those of a single colour are left out. Of sound and sequences, `crop` takes the start of each,
    `patches` all of it in pieces; by default what suits their lengths. channels: 1 or 3 turns colour into grey or grey into
    RGB; None wants all files alike. axis: along which a volume is sliced.
    up: of meshes, the axis that points up in their files. frames: of video, how many a record has.
    heldout: share of the records held out, whole groups at a time, every label in proportion; a `split` column decides
    alone. Groups are those of `groups.csv`, else of the hashed PatientID, else of the volume, else near twins.
    seed: of the split, of `limit` and of a phantom. strict: an unreadable file is an error instead of a note.
    cache: folder for decoded data (default `$GANVAS_CACHE` or the user's cache folder). phantom_count: how many records
    of a phantom. limit: at most so many records, drawn at random. rate: of sound, in Hz. kinds: what the data may be, where
    its files leave that open (a CSV of points or of sensor series). For sound and series, size is the length of a record,
    for solids the voxels of a side. fields: name -> kinds, for records of several fields (`data.columns` says how these lie on
    disk), the main one first. columns: from where each is taken, `photo=photos,map=labels`.

    Raises DataError when nothing usable is there, when files disagree in size, channels or depth, and for tables that
    do not fit; GanvasError for settings out of range; RunError when the cache cannot be written.
    """
    if isinstance(source, Dataset):
        return source
    if not 0 <= heldout < 1:
        raise GanvasError(f"heldout {heldout} is out of range: give a share from 0 to below 1, as in 0.2")
    if channels is not None and not 1 <= channels <= 8:
        raise GanvasError(f"channels {channels} is out of range: give 1 for grey or 3 for colour")
    for name, number in (("limit", limit), ("phantom_count", phantom_count)):
        if number is not None and number < 1:
            raise GanvasError(f"{name} {number} is out of range: give 1 or more")
    if isinstance(source, np.ndarray):
        source = _checked(source)
    else:
        source = existing(source)
    options = {"size": size, "channels": channels, "fit": fit, "axis": axis, "rate": rate, "up": up, "frames": frames}
    if fields or columns:
        if isinstance(source, np.ndarray):
            raise GanvasError("an array holds one field: give a folder, or an .npz with a key a field")
        if isinstance(source, PackedSource) and columns:
            source = source.choosing(parse_fields(columns), fields)
        if isinstance(source, PackedSource) and fields:
            return open_shard_fields(source, fields, options, caching.Cache(cache), heldout, seed, strict, progress, limit)
        if not isinstance(source, PackedSource):
            count = phantom_count if limit is None else min(phantom_count, limit)
            store = caching.Cache(cache)
            return open_fields(source, fields, columns, options, heldout, seed, store, progress, limit, count)
    kind = kind_of(recognise(source, kinds))
    if not kinds or kind.name in kinds:  # what the asker does not learn from, he refuses himself
        check_options(options, [kind])
    settings = settled(kind, options)
    store = caching.Cache(cache)
    if isinstance(source, PackedSource):
        return open_shards(
            source, kind, settings, store, heldout=heldout, seed=seed, strict=strict, progress=progress, limit=limit
        )
    notes: list[str] = []
    if up is not None and (isinstance(source, np.ndarray) or phantoms.is_phantom(source.text)):
        raise GanvasError("--up is for files of meshes, and these records come from none: leave it out")
    if isinstance(source, np.ndarray):
        entry = _from_array(source, kind, settings, store, progress)
    else:
        entry, notes = _from_name(source, kind, settings, store, phantom_count, seed, strict, progress, limit)
    where = "the array" if isinstance(source, np.ndarray) else str(source)
    return _finish(entry, where, notes, heldout, seed, limit)


def _checked(array: np.ndarray) -> np.ndarray:
    """The array in a type that is kept. Raises DataError."""
    if array.dtype == np.float64 or array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype not in (np.uint8, np.uint16, np.float32):
        raise DataError(f"the array holds {array.dtype}: give uint8, uint16 or float32")
    if 0 in array.shape:
        raise DataError(f"the array has shape {array.shape}: give images (N, H, W), (N, H, W, C) or points (N, D)")
    if array.dtype == np.float32 and not np.isfinite(array).all():
        raise DataError("the array holds NaN or infinity: replace them first")
    return array


def _from_name(
    source: Source, kind: Kind, settings: dict[str, Any], store: caching.Cache, count: int, seed: int, strict: bool,
    progress: bool, limit: int | None,
) -> tuple[caching.Entry, list[str]]:  # fmt: skip
    notes: list[str] = []
    if phantoms.is_phantom(source.text):
        count = count if limit is None else min(count, limit)
        return _from_phantom(source.text, kind, settings, store, count, seed, progress), notes
    if source.text in phantoms.catalogue():
        notes.append(f"'{source}' is taken as the file or folder of that name, not as the phantom")
    listing = files_of(source, kind)
    parts = kind.bundles(listing.names) if isinstance(kind, Bundles) else listing.names
    own = np.unique(parts, return_inverse=True)[1].reshape(-1) if parts is not listing.names else np.arange(len(parts))
    if limit is not None and len(parts) and own.max() >= limit:
        chosen = np.random.default_rng([seed, 0x11]).choice(int(own.max()) + 1, limit, replace=False)
        listing = listing.chosen(np.flatnonzero(np.isin(own, chosen)))
    return _from_files(listing, kind, settings, store, strict, progress), notes


def _from_files(
    listing: Listing, kind: Kind, settings: dict[str, Any], store: caching.Cache, strict: bool, progress: bool
) -> caching.Entry:
    files = listing.files + listing.tables + (kind.beside(listing) if isinstance(kind, Beside) else [])
    # What was made of the names belongs to the key: the rules for folders and tables may change with a version.
    known = [listing.names, listing.labels, listing.groups, listing.heldout, listing.notes]
    content, looks = _content_key(files, [settings, *known], store, progress)

    def fill(writer: caching.Writer) -> None:
        kind.fill(writer, listing, settings, progress, strict)
        if "files" not in writer.facts and (len(listing.files) == 1 or len(listing.files) == len(writer.rows())):
            own = (
                np.arange(len(writer.rows()), dtype=np.int32)
                if len(listing.files) > 1
                else np.zeros(len(writer.rows()), np.int32)
            )
            writer.array("files", own)
            writer.facts["files"] = list(listing.names)
        for before, after in zip(looks, _looks(files)[0], strict=True):
            if before != after:  # the entry would carry the name of bytes it was not made from
                raise DataError(f"{before[0]}: changed while it was being read: wait until it is complete")

    entry = entry_of(store, content, fill, kind)
    if strict and entry.facts["skipped"]:
        name, reason = entry.facts["skipped"][0]
        raise DataError(reason if name in reason else f"{name}: {reason}")
    return entry


def _looks(files: list[Path]) -> tuple[list[list[Any]], bool]:
    try:
        return caching.look(files)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename}: vanished while it was being opened: is another program at work?") from error
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be reached ({error.strerror})") from error


def _content_key(files: list[Path], key: list[Any], store: caching.Cache, progress: bool) -> tuple[str, list[list[Any]]]:
    """The content key of files and settings, and how the files look."""
    looks, settled = _looks(files)
    look_key = caching.digest("files", key, looks)
    known = store.recall(look_key)
    if known is not None:
        return known, looks
    sums = list(caching.in_parallel(caching.file_digest, files, what="reading", progress=progress))
    content = caching.digest("files", key, sums)
    if settled:
        store.remember(look_key, content)
    return content, looks


def _from_array(array: np.ndarray, kind: Kind, settings: dict[str, Any], store: caching.Cache, progress: bool) -> caching.Entry:
    assert isinstance(kind, FromArrays)
    body = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    key = caching.digest("array", settings, body, array.shape, str(array.dtype))
    return entry_of(store, key, lambda writer: kind.fill_array(writer, array, None, (), None, settings, progress), kind)


def _from_phantom(
    text: str, kind: Kind, settings: dict[str, Any], store: caching.Cache, count: int, seed: int, progress: bool
) -> caching.Entry:
    wanted = settings.get("size")
    key = caching.digest("phantom", text, count, seed, settings)

    def fill(writer: caching.Writer) -> None:
        with busy(f"making {count} records of {text}", progress):
            made = phantoms.make_phantom(text, count, seed, **({} if wanted is None else {"size": wanted}))
        # Records of one subject (the T1 and the T2 of a head) belong together; without a subject each is its own.
        subjects = np.array([fact.get("subject", i) for i, fact in enumerate(made.facts)] or range(count))
        if made.spec is None:
            assert isinstance(kind, FromArrays)
            classes = () if made.labels is None else made.classes
            kind.fill_array(writer, made.values, made.labels, classes, subjects, settings, progress)
            return
        for name in ("rate", "channels", "frames"):
            asked = settings.get(name)
            if asked not in (None, own := getattr(made.spec, name, asked)):
                raise DataError(f"phantom '{text}': its {name} is {own}, not {asked}: leave out --{name}")
        for record in made.values:
            writer.row(record)
        conclude(writer, made.spec, made.labels if made.spec.classes else None, subjects, None, [])

    return entry_of(store, key, fill, kind, (phantoms.module_of(text), ()), (__name__, (_from_phantom.__name__,)))


def _held_out(
    spec: Spec, values: np.ndarray, groups: np.ndarray, labels: np.ndarray | None, share: float, seed: int, notes: list[str]
) -> np.ndarray:  # fmt: skip
    """`hold_out`, of the records that may be held out: the share is that of all, as far as there are enough."""
    kind = kind_of(spec.kind)
    kept = kind.kept(values, spec) if isinstance(kind, Whole) else None
    if kept is None or not share:
        return hold_out(groups, labels, share, seed)
    free = np.flatnonzero(~kept)
    wanted = share * len(values) / max(1, len(free))
    if wanted > MOST_OF_FREE:
        notes.append(f"only {len(free)} of {len(values)} records may be held out: {MOST_OF_FREE:.0%} of these are")
    out = np.zeros(len(values), bool)
    out[free] = hold_out(groups[free], None if labels is None else labels[free], min(wanted, MOST_OF_FREE), seed)
    return out


def _sides(
    spec: Any, values: np.ndarray, groups: np.ndarray, labels: np.ndarray | None, split: np.ndarray | None, share: float,
    seed: int, source: str, notes: list[str],
) -> np.ndarray:  # fmt: skip
    """(N,) bool, the records that are held out: those of the declared split, else a share of the groups."""
    if split is not None:
        out: np.ndarray = split == 1
        if not share:
            notes.append("the split column holds records out although a share of 0 was asked for")
        divided = int(np.isin(groups[out], groups[~out]).sum())
        if divided:
            notes.append(
                f"{divided} held-out records have twins among the training records: the split is the data's own, and was kept"
            )
    else:
        out = _held_out(spec, values, groups, labels, share, seed, notes)
        if share and not out.any():
            what = "one record" if len(values) == 1 else f"{len(values)} records in {len(np.unique(groups))} groups"
            notes.append(f"nothing is held out: {what} cannot be split, so no measure against unseen data will be possible")
    if not (~out).any():
        raise DataError(f"{source}: nothing is left to train on after the split: mark some files as 'train'")
    return out


def _finish(entry: caching.Entry, source: str, notes: list[str], heldout: float, seed: int, limit: int | None) -> Dataset:
    facts = entry.facts
    values: np.ndarray = entry.values
    labels = entry.arrays["labels"] if facts["labelled"] else None
    groups, persons = entry.arrays["joined"], entry.arrays["groups"]
    split = entry.arrays["split"] if facts["split"] else None
    spec = spec_from_dict(facts["spec"])
    notes = [*facts["notes"], *notes]
    origins = Origins(tuple(facts["files"]), entry.arrays["files"]) if "files" in facts else None
    if limit is not None and len(values) > limit:
        chosen = np.sort(np.random.default_rng([seed, 0x12]).choice(len(values), limit, replace=False))
        values, groups, persons = np.asarray(values[chosen]), groups[chosen], persons[chosen]
        labels = None if labels is None else labels[chosen]
        split = None if split is None else split[chosen]
        origins = None if origins is None else Origins(origins.files, origins.of[chosen])
        notes.append(f"limited to {limit} of {len(entry.values)} records")
    out = _sides(spec, values, groups, labels, split, heldout, seed, source, notes)
    key = [facts["fingerprint"], heldout if split is None else None, seed, limit]
    prints = (caching.digest(*key), caching.digest(*key, RULE))
    # What the data declares is the same by every rule.
    dataset = Dataset(
        {REAL: Field(spec, values, facts["declared"])}, labels, groups, out, source, prints[split is None], tuple(notes),
        split is not None, prints[: split is None], origins, persons,
    )  # fmt: skip
    return learn(dataset, dataset.train_indices())


# Records of several fields


def open_fields(
    source: Source, wanted: Mapping[str, tuple[str, ...]] | None, by_hand: str | None, options: dict[str, Any], heldout: float,
    seed: int, store: caching.Cache, progress: bool, limit: int | None, count: int,
) -> Dataset:  # fmt: skip
    """Each field opened by its kind, from the rows that have all of them; groups, split and labels are those of the row.
    count: records of a phantom."""
    rows = find_rows(source, wanted, parse_fields(by_hand), (count, seed))
    notes = [*rows.notes, *_told_lonely(rows.lonely, len(rows.names))]
    if not rows.names:
        raise DataError(f"{source}: no record has all of its fields ({some(rows.lonely, 2)})")
    chosen = np.arange(len(rows.names))
    if limit is not None and len(chosen) > limit:
        chosen = np.sort(np.random.default_rng([seed, 0x11]).choice(len(chosen), limit, replace=False))
        notes.append(f"limited to {limit} of {len(rows.names)} records")
    kinds = {
        name: kind_of(_kind_of_column(own, None if wanted is None else wanted[name], source))
        for name, own in rows.columns.items()
    }
    check_options(options, list(kinds.values()))
    if (
        wanted
        and any(kinds[name].name != own[0] for name, own in wanted.items())
        and (told := told_swapped_records(source, rows))
    ):
        raise DataError(f"{source}: {told}")
    settings = {name: settled(kind, options) for name, kind in kinds.items()}
    refuse_other_shapes(source, rows, chosen, kinds, settings)
    for name, kind in kinds.items():
        if isinstance(kind, Framed):
            settings[name]["frames"] = frames_beside(rows.columns, kinds, chosen, options)
    try:
        entries = {
            name: _open_column(column, kinds[name], source, chosen, rows, settings[name], store, progress)
            for name, column in rows.columns.items()
        }
    except DataError as error:
        if (told := told_swapped_records(source, rows)) is not None:
            raise DataError(f"{source}: {told}") from error
        raise
    row_of = rows_of_records(source, {name: _row_of(entry, len(chosen)) for name, entry in entries.items()}, rows, chosen)
    fields: dict[str, Field] = {}
    prints: list[Any] = []
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for name, entry in entries.items():
        # A caption or a row of a table has one record a row, and is said again of each patch or slice.
        again = slice(None) if len(entry.values) == len(row_of) else row_of
        fields[name] = Field(spec_from_dict(entry.facts["spec"]), entry.values[again], entry.facts["declared"])
        notes += [f"{name}: {note}" for note in entry.facts["notes"] if "twins" not in note]
        prints.append([name, entry.facts["fingerprint"]])
        found.append((entry.arrays["groups"][again], entry.arrays["joined"][again]))
    main = next(iter(fields))
    first = np.unique(row_of, return_index=True)[1]  # of each row the first record
    own = [rows.groups[k] for k in chosen]
    if any(group is not None for group in own):
        before = np.unique([str(group) for group in own], return_inverse=True)[1].reshape(-1)
    else:
        before = _with_shared_files(rows, chosen, found[0][0][first])
    before = before[row_of]
    groups = _united(before, found[0][1])
    sides = [rows.heldout[chosen[k]] for k in row_of]
    split = (
        np.array([-1 if side is None else int(side) for side in sides], np.int8) if any(s is not None for s in sides) else None
    )
    labels, classes = class_indices([rows.labels[chosen[k]] for k in row_of], source, "records", notes)
    fields[main] = replace(fields[main], spec=replace(fields[main].spec, classes=classes))
    out = _sides(fields[main].spec, fields[main].values, groups, labels, split, heldout, seed, str(source), notes)
    said = [None if labels is None else labels.tolist(), before.tolist()]
    key = [prints, said, heldout if split is None else out.tolist()]
    both = (caching.digest(key, seed, limit), caching.digest(key, seed, limit, RULE))
    origins = Origins(tuple(rows.names[k] for k in chosen), row_of)
    dataset = Dataset(
        fields, labels, groups, out, str(source), both[split is None], tuple(notes), split is not None,
        both[: split is None], origins, before,
    )  # fmt: skip
    return learn(dataset, dataset.train_indices())


def frames_beside(
    columns: Mapping[str, Column], kinds: Mapping[str, Kind], chosen: np.ndarray, options: Mapping[str, Any]
) -> list[tuple[int, int] | None] | None:
    """(height, width) of the picture beside each of the chosen rows, as its file is; None where there are no pictures, or they
    are drawn in the size that is asked for."""
    for name, column in columns.items():
        kind = kinds[name]
        if column.drawn is not None and options.get("fit") in ("pad", "stretch"):
            raise GanvasError("a phantom is drawn in the size that is asked for: leave out --fit")
        if column.files and isinstance(kind, Sided):
            return [kind.sides(column.files[k]) for k in chosen]
        if column.array is not None and column.array.ndim == 4:
            height, width = column.array.shape[1:3]
            return [(int(height), int(width))] * len(chosen)
    return None


def _united(groups: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Groups (N,) of which records are in one that are in one of either."""
    first, number = np.unique(groups, return_index=True, return_inverse=True)[1:]
    numbers = first[number.reshape(-1)].astype(np.int64)
    other, place = np.unique(others, return_index=True, return_inverse=True)[1:]
    join(numbers, np.arange(len(numbers)), other[place.reshape(-1)])
    return numbers


def _with_shared_files(rows: Rows, chosen: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Groups (N,) of which rows that have a file in common are in one."""
    parent = np.unique(groups, return_index=True, return_inverse=True)
    numbers = parent[1][parent[2].reshape(-1)].astype(np.int64)
    for column in rows.columns.values():
        first: dict[Path, int] = {}
        if column.files:
            pairs = [(first.setdefault(column.files[k], i), i) for i, k in enumerate(chosen)]
            join(numbers, *np.array(pairs, np.int64).T)
    return numbers


def _told_lonely(lonely: list[str], whole: int) -> list[str]:
    if not lonely:
        return []
    return [f"left out for want of a partner: {len(lonely)} beside {whole} whole records ({some(lonely)})"]


def _kind_of_column(column: Column, wanted: tuple[str, ...] | None, source: Source) -> str:
    """The kind of a field: of those wanted the one that its files are of."""
    able = wanted or kind_names()
    if column.drawn is not None:
        return phantoms.catalogue()[column.drawn[0].partition(":")[0]].kind
    if column.texts:
        able = tuple(name for name in able if isinstance(kind_of(name), FromTexts))
        owners = {name: kind_of(name) for name in able}
        sure = [name for name, kind in owners.items() if isinstance(kind, OwnsColumns) and kind.own_columns([*column.texts])]
        able = tuple(name for name in able if not isinstance(owners[name], OwnsColumns)) or able
        if sure:
            return sure[0]
        return able[0] if wanted else ("tokens" if next(iter(column.texts)).lower() in WORDS[2] else "table")
    for name in able:
        kind = kind_of(name)
        if column.files and isinstance(kind, LooksInside) and kind.looks_like(column.files):
            return name
    if column.array is not None:
        return recognise(_checked(column.array), able)
    # what a system asks for and only a look inside tells says itself what is wrong with the files
    sure = [name for name in able if not isinstance(kind_of(name), LooksInside)] or list(able)
    fitting = [name for name in sure if any(file.name.lower().endswith(kind_of(name).suffixes) for file in column.files)]
    if not fitting:
        suffixes = {"".join(file.suffixes[-2:]).lower() for file in column.files}
        raise DataError(f"{source}: {column.name} holds {some(sorted(suffixes))}, not {' or '.join(able)}")
    usual = usual_kind(column.files[0].name)
    return usual if usual in fitting else fitting[0]


def _open_column(
    column: Column, kind: Kind, source: Source, chosen: np.ndarray, rows: Rows, settings: dict[str, Any], store: caching.Cache,
    progress: bool,
) -> caching.Entry:  # fmt: skip
    if column.texts:
        assert isinstance(kind, FromTexts)
        cells = {name: [texts[k] for k in chosen] for name, texts in column.texts.items()}
        key = caching.digest("texts", kind.name, cells, settings)
        return entry_of(store, key, lambda writer: kind.fill_texts(writer, cells, settings), kind)
    if column.drawn is not None:
        text, count, seed = column.drawn
        return _from_phantom(text, kind, settings, store, count, seed, progress)
    if column.array is not None:
        return _from_array(_checked(column.array)[chosen], kind, settings, store, progress)
    files = [column.files[k] for k in chosen]
    empty: list[None] = [None] * len(files)
    names = [rows.names[k] for k in chosen]
    listing = Listing(source.path, files, names, [*empty], [*empty], [*empty])
    return _from_files(listing, kind, settings, store, True, progress)


def _row_of(entry: caching.Entry, count: int) -> np.ndarray:
    """The row (N,) of each record of a field that was opened from one file or cell a row."""
    if "files" not in entry.facts or len(entry.values) == count:
        return np.arange(len(entry.values))
    return np.asarray(entry.arrays["files"])
