"""Records of several fields on disk: which files, or cells of a table, make one record, and what has no partner.

Layouts, in this order: arrays in one `.npz`, a key a field; a table whose cells name files (`metadata.csv`, `.jsonl` or
`.parquet` with `file_name`, further `..._file_name` columns and value columns, at the root or in `train/` and `test/`;
`pairs.csv`, `captions.csv` and the like; a table beside the folder, with its name); a table with names that files of several
folders have; sub-folders as the fields, with equal stems. Folders named by hand (`--fields photo=FOLDER,map=FOLDER`) go before
all. Not for decoding: each field is opened by its kind, row by row as found here.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import DataError, MissingExtra, did_you_mean
from ..kinds import kind_of
from ..kinds.facets import FromTexts, LooksInside
from ..store.listing import Source, natural, some, split_word

RESERVED = ("label", "labels", "class", "group", "split")
FIRST_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "records.csv", "pairs.csv", "captions.csv")
TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
TOLD_APART = ("labels.csv", "groups.csv", "classes.csv")
"""Tables that are no records."""
WORDS: tuple[tuple[str, ...], ...] = (
    ("photo", "photograph", "picture", "image", "img", "rgb", "frame", "real"),
    ("map", "label", "mask", "annotation", "segmentation", "segment", "edge", "sketch", "vessel", "semantic"),
    ("caption", "text", "description", "prompt", "sentence"),
    ("attributes", "attribute", "tags", "tag"),
)
"""Words under which people keep the same thing: a field is looked for under its own name, then under these."""
SPLITS = ("train", "training", "test", "val", "valid", "validation", "heldout")


@dataclass
class Column:
    """One field of all rows: files, or texts by the name of their column in a table, or an array."""

    name: str
    files: list[Path] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    array: np.ndarray | None = None


@dataclass
class Rows:
    """Records as they lie on disk. names: one a row. labels, groups, heldout: None where nothing is known. lonely: one line for
    each row that was left out because a field is missing."""

    names: list[str]
    columns: dict[str, Column]
    labels: list[str | None]
    groups: list[str | None]
    heldout: list[bool | None]
    notes: list[str] = field(default_factory=list)
    lonely: list[str] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)


def parse_fields(text: str | None) -> dict[str, str]:
    """`photo=photos,map=labels` -> {"photo": "photos", "map": "labels"}. Raises DataError."""
    found: dict[str, str] = {}
    for part in (text or "").split(","):
        name, sign, place = part.strip().partition("=")
        if part.strip() and (not sign or not name.strip() or not place.strip()):
            raise DataError(f"--fields '{text}' is not understood: write NAME=FOLDER, as in  --fields photo=photos,map=labels")
        if part.strip():
            found[name.strip()] = place.strip()
    return found


def find_rows(
    source: Source, wanted: Mapping[str, tuple[str, ...]] | None = None, by_hand: Mapping[str, str] | None = None
) -> Rows:
    """The rows of a source.

    wanted: field -> kinds that it may be of, as a system asks for; None: whatever is there. by_hand: field -> folder of the
    source (or anywhere), or column of its table. Raises DataError when fields are missing, and says which layout is wanted.
    """
    if not source.path.exists():
        raise DataError(f"{source}: no such file or folder")
    by_hand = by_hand or {}
    if source.path.is_file():
        found = _from_arrays(source.path) or _from_table(source)
    elif by_hand and all(_folder(source, place) is not None for place in by_hand.values()):
        found = _from_folders(source, wanted, by_hand)
        tables = [path.name for path in _tables(source.path)]
        if found is not None and tables:
            found.notes.append(
                f"folders were named by hand: {some(tables)} is not read, nor groups and a split that it may name"
            )
    else:
        found = _from_table(source) or _from_stems(source) or _from_folders(source, wanted, {})
    if found is None:
        raise DataError(f"{source}: holds no records of several fields: {_layout(wanted)}")
    if wanted is not None:
        found.columns = _matched(source, found.columns, wanted, by_hand, found.notes)
    return found


def _layout(wanted: Mapping[str, tuple[str, ...]] | None) -> str:
    names = list(wanted or ("photo", "map"))
    folders = ", ".join(f"{name}/001.png" for name in names)
    hand = ",".join(f"{name}=FOLDER" for name in names)
    return f"sub-folders with equal names ({folders}), a metadata.csv with a column a field, or --fields {hand}"


# What lies there


def _from_arrays(path: Path) -> Rows | None:
    """One `.npz` with a key a field; `labels`, `groups` and `split` are those of the rows."""
    if path.suffix.lower() != ".npz":
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}): save arrays of numbers with numpy.savez") from error
    rows = {name: arrays.pop(name) for name in ("labels", "groups", "split", "note") if name in arrays}
    counts = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(arrays) < 2:
        return None
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(f"{path}: its arrays have different numbers of records ({told}): a record needs one of each")
    many = next(iter(counts.values()))

    def known(name: str) -> list[str | None]:
        return [str(value) for value in rows[name]] if name in rows and len(rows[name]) == many else [None] * many

    columns = {
        name: Column(name, texts={name: [str(value) for value in array]})
        if array.ndim == 1
        else Column(name, array=_small(array))
        for name, array in arrays.items()
    }
    held = _sides(known("split"), path, list(range(1, many + 1)))
    return Rows([f"record {k}" for k in range(many)], columns, known("labels"), known("groups"), held)


def _small(array: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 to 65535, as maps are kept in memory, in the type that files have; any other array as it is."""
    if array.dtype.kind not in "iub" or array.dtype.itemsize == 1 or not array.size or array.min() < 0 or array.max() > 65535:
        return array.astype(np.uint8) if array.dtype == bool else array
    return array.astype(np.uint8 if array.max() <= 255 else np.uint16)


def _sides(words: list[str | None], path: Path, numbers: list[int]) -> list[bool | None]:
    """Whether each row is held out. Raises DataError for a word that says neither."""
    held: list[bool | None] = []
    for number, word in zip(numbers, words, strict=True):
        side = None if word is None else split_word(word)
        if word is not None and side is None:
            raise DataError(f"{path}: row {number} has split '{word}': write 'train' or 'heldout'")
        held.append(side)
    return held


def _folder(source: Source, place: str) -> Path | None:
    """A folder of the source, or anywhere."""
    return next((path for path in (source.path / place, Path(place).expanduser()) if path.is_dir()), None)


def _tables(folder: Path) -> list[Path]:
    """Tables at the root, those with usual names first."""
    there = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in TABLES and p.is_file()]
    usual = [folder / name for name in FIRST_TABLES if folder / name in there]
    return (
        usual
        + [p for p in there if p not in usual and p.name not in TOLD_APART]
        + [folder / name for name in ("labels.csv",) if folder / name in there]
    )


def read_cells(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a table as text: CSV, JSON lines or Parquet. Raises DataError in one line."""
    try:
        if path.suffix.lower() == ".jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
            if not all(isinstance(row, dict) for row in rows):
                raise DataError(f"{path}: not one JSON object a line")
        elif path.suffix.lower() == ".parquet":
            try:
                from pyarrow import parquet
            except ImportError as error:
                raise MissingExtra("pyarrow", "series") from error
            rows = parquet.read_table(path).to_pylist()
        else:
            text = path.read_bytes().decode("utf-8-sig")
            while text.startswith("#"):  # remarks above the header, as samples have them
                text = text.partition("\n")[2]
            head = text.splitlines()[0] if text.strip() else ""
            separator = max(",;\t", key=head.count)
            columns = next(csv.reader([head], delimiter=separator), [])
            twice = next((name for name in columns if columns.count(name) > 1), None)
            if twice is not None:
                raise DataError(f"{path}: column '{twice}' appears twice: keep one")
            rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
            if any(None in row or None in row.values() for row in rows):
                number = next(k for k, row in enumerate(rows, 2) if None in row or None in row.values())
                raise DataError(f"{path}: line {number} has another number of cells than the header: mend that line")
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({' '.join(str(error).split())[:120]})") from error
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    return names, [{name: "" if row.get(name) is None else str(row[name]) for name in names} for row in rows]


@dataclass
class _Table:
    """A table that names files. pointing: its columns that do, whose cells are paths relative to `root`."""

    path: Path
    root: Path
    names: list[str]
    cells: list[dict[str, str]]
    pointing: list[str]
    present: set[str]


def _from_table(source: Source) -> Rows | None:
    """A table with at least one column that names files: the source itself, one at its root, in its `train` and `test`, or of
    its own name beside it."""
    if source.path.is_file():
        if source.path.suffix.lower() not in TABLES:
            return None
        table = _pointing(source.path, Source(source.path.parent).names)
        return None if table is None else _of_table(table)
    found = [t for t in (_pointing(path, source.names) for path in _tables(source.path)) if t is not None]
    if found:
        table = found[0] if found[0].path.name in FIRST_TABLES else max(found, key=lambda own: len(own.cells))
        rows = _of_table(table)
        others = [own.path.name for own in found if own is not table]
        if others:
            rows.notes.append(f"{table.path.name} is read; {some(others)} name files, too (give --data one of them to read it)")
        return rows
    parted = _of_splits(source)
    if parted is not None:
        return _of_table(parted)
    for path in (source.path.parent / f"{source.path.name}{suffix}" for suffix in TABLES):
        if path.is_file():
            inside = [f"{source.path.name}/{name}" for name in source.names]
            table = _pointing(path, inside) or _pointing(path, source.names, source.path)
            if table is not None:
                rows = _of_table(table)
                rows.notes.append(f"the table {path.name} lies beside the folder")
                return rows
    return None


def _pointing(path: Path, present: Sequence[str], root: Path | None = None) -> _Table | None:
    """The table, if a column of it names files and it holds more than labels."""
    names, cells = read_cells(path)
    there = set(present)
    pointing = [name for name in names if _names_files(cells, name, there)]
    if not pointing or (path.name == "labels.csv" and set(map(str.lower, names)) <= {"file", *RESERVED}):
        return None
    return _Table(path, root or path.parent, names, cells, pointing, there)


def _of_splits(source: Source) -> _Table | None:
    """`train/metadata.csv`, `test/metadata.csv` and so on, each with names below its own folder, as one table."""
    names: list[str] = []
    cells: list[dict[str, str]] = []
    pointing: list[str] = []
    first: Path | None = None
    for folder in sorted(path for path in source.path.iterdir() if path.is_dir() and split_word(path.name) is not None):
        path = next((folder / name for name in FIRST_TABLES if (folder / name).is_file()), None)
        inside = [name.partition("/")[2] for name in source.names if name.startswith(f"{folder.name}/")]
        own = None if path is None else _pointing(path, inside)
        if own is None:
            continue
        first = first or own.path
        names += [name for name in own.names if name not in names]
        pointing += [name for name in own.pointing if name not in pointing]
        for row in own.cells:
            moved = {name: f"{folder.name}/{_clean(row[name])}" for name in own.pointing if row[name]}
            cells.append({**row, "split": row.get("split") or folder.name, **moved})
    if first is None:
        return None
    names = names if "split" in names else [*names, "split"]
    cells = [{name: row.get(name, "") for name in names} for row in cells]
    return _Table(first, source.path, names, cells, pointing, set(source.names))


def _from_stems(source: Source) -> Rows | None:
    """A table at the root with a column of names that files of folders have: `id` and `google/ID.png`, `twitter/ID.png`.

    Every folder that holds such files must hold most of them: folders of classes, which share them out, are none.
    """
    folders: dict[str, dict[str, list[str]]] = {}
    for name in source.names:
        top, slash, rest = name.partition("/")
        if slash and "/" not in rest:
            folders.setdefault(top, {}).setdefault(_stem(rest), []).append(name)
    if not folders:
        return None
    for path in _tables(source.path):
        names, cells = read_cells(path)
        for column in names:
            keys = [row[column].strip() for row in cells]
            if len(keys) < 2 or len(set(keys)) < len(keys):
                continue
            shares = {top: sum(key in own for key in keys) / len(keys) for top, own in folders.items()}
            having = {top: folders[top] for top, share in shares.items() if share > 0}
            if not having or min(shares[top] for top in having) <= 0.5:
                continue
            if any(len(own[key]) > 1 for own in having.values() for key in keys if key in own):
                continue
            lines = [
                {**row, **{top: own.get(key, [""])[0] for top, own in having.items()}}
                for row, key in zip(cells, keys, strict=True)
            ]
            kept = [name for name in names if name != column]
            table = _Table(path, source.path, [*having, *kept], lines, list(having), set(source.names))
            rows = _of_table(table)
            rows.notes.append(f"files are those that '{column}' of {path.name} names, in {some(list(having))}")
            return rows
    return None


def _names_files(cells: list[dict[str, str]], name: str, present: set[str]) -> bool:
    """Whether a tenth of a column's first cells or more are files of the source; the rest are rows without their file."""
    some_cells = [_clean(row[name]) for row in cells[:50] if row[name]]
    return bool(some_cells) and sum(cell in present for cell in some_cells) >= max(1, len(some_cells) / 10)


def _clean(text: str) -> str:
    return text.strip().replace("\\", "/").removeprefix("./")


def _field_name(column: str, example: str) -> str:
    """`mask_file_name` is `mask`; `file_name` and `file` are what the files are: `image`, `sound`."""
    from .finding import usual_kind

    lower = column.strip().lower()
    for end in ("_file_name", "_filename", "_file", "_path"):
        if lower.endswith(end):
            return lower[: -len(end)]
    return (usual_kind(example) or "image") if lower in ("file", "file_name", "filename", "path") else column.strip()


def _of_table(table: _Table) -> Rows:
    """The rows of a table whose files are all there."""
    names, pointing, path = table.names, table.pointing, table.path
    whole: list[dict[str, str]] = []
    numbers: list[int] = []
    lonely = []
    for number, row in enumerate(table.cells, start=1):
        missing = [name for name in pointing if _clean(row[name]) not in table.present]
        if missing:
            what = f"'{row[missing[0]]}' is not there" if row[missing[0]] else f"no {missing[0]}"
            lonely.append(f"{path.name}, row {number}: {what}")
        else:
            whole.append(row)
            numbers.append(number)
    columns: dict[str, Column] = {}
    for name in pointing:
        own = _field_name(name, _clean(whole[0][name]) if whole else "")
        own = name if own in columns else own
        columns[own] = Column(own, files=[table.root / _clean(row[name]) for row in whole])
    lower = {name.lower(): name for name in names}
    values = [name for name in names if name not in pointing and name.lower() not in RESERVED]
    for name in values:
        own = f"{name} (column)" if name in columns else name
        columns[own] = Column(own, texts={name: [row[name].strip() for row in whole]})

    def known(*wanted: str) -> list[str | None]:
        own = next((lower[word] for word in wanted if word in lower and lower[word] not in pointing), None)
        return [None] * len(whole) if own is None else [row[own].strip() or None for row in whole]

    held = _sides(known("split"), path, numbers)
    used = {_clean(row[name]) for row in table.cells for name in pointing if row[name]}
    folders = {Path(name).parent for name in used}
    suffixes = {Path(name).suffix.lower() for name in used}
    unnamed = [
        n
        for n in table.present
        if n not in used and Path(n).parent in folders and Path(n).suffix.lower() in suffixes - {*TABLES}
    ]
    lonely += [f"{name} stands in no row of {path.name}" for name in sorted(unnamed, key=natural)]
    notes = []
    for name in pointing:
        twice = len(whole) - len({_clean(row[name]) for row in whole})
        if twice:
            notes.append(f"{twice} rows of {path.name} name a {name} that another names, too")
    rows = [_clean(row[pointing[0]]) for row in whole]
    return Rows(rows, columns, known("label", "labels", "class"), known("group"), held, notes, lonely, [path])


def _from_folders(
    source: Source, wanted: Mapping[str, tuple[str, ...]] | None, by_hand: Mapping[str, str] | None
) -> Rows | None:  # fmt: skip
    """Sub-folders with equal stems below; `train/photo/1.png`, `photo/train/1.png` and `photo/1.png` alike."""
    if by_hand:
        named: dict[str, dict[str, tuple[Path, str]]] = {}
        for field_name, text in by_hand.items():
            folder = _folder(source, text) or Path(text)
            for inner in Source(folder).names:
                _keep(named.setdefault(field_name, {}), folder / inner, inner)
        return _joined(named) if len(named) > 1 else None
    usual = {word for words in WORDS for word in words} | {_plain(name) for name in (wanted or {})}
    if wanted is not None and set(wanted) <= {"a", "b"}:
        usual |= {"a", "b"}
    kept: dict[str, dict[str, tuple[Path, str]]] = {}
    for name in source.names:
        parts = name.split("/")
        place = next((i for i, part in enumerate(parts[:-1]) if part.lower() not in SPLITS), None)
        if place is None or parts[-1] in TOLD_APART:
            continue
        rest = "/".join([*parts[:place], *parts[place + 1 :]])
        _keep(kept.setdefault(parts[place], {}), source.path / name, rest)
    known = {name: own for name, own in kept.items() if _plain(name) in usual or _plain(name.split("-")[0]) in usual}
    if len(known) < 2:
        return None
    first = max(known.values(), key=len)
    known = {name: own for name, own in known.items() if 2 * len(first.keys() & own.keys()) > min(len(first), len(own))}
    return _joined(known) if len(known) > 1 else None


def _keep(own: dict[str, tuple[Path, str]], path: Path, rest: str) -> None:
    """A file under its stem; a second one of that stem under its name, which `_joined` refuses where it matters."""
    stem = _stem(rest)
    own[rest if stem in own else stem] = (path, rest)


def _joined(kept: Mapping[str, Mapping[str, tuple[Path, str]]]) -> Rows:
    """Rows of what has the same stem everywhere."""
    common = set.intersection(*(set(own) for own in kept.values()))
    for name, own in kept.items():
        double = next(
            (key for key, (_, rest) in own.items() if key == rest and _stem(rest) in common and _stem(rest) != rest), None
        )
        if double is not None:
            other = own[_stem(double)][1]
            raise DataError(f"{name} has {other} and {double} for one record: keep one of them")
    stems = sorted(common, key=lambda stem: (natural(stem), stem))
    lonely = []
    for name, own in kept.items():
        for stem in sorted(set(own) - common, key=lambda stem: (natural(stem), stem)):
            lacks = [other for other in kept if stem not in kept[other]]
            lonely.append(f"{name}/{own[stem][1]} has no partner in {', '.join(lacks)}")
    columns = {name: Column(name, files=[own[stem][0] for stem in stems]) for name, own in kept.items()}
    words = [stem.split("/")[0].lower() if "/" in stem else "" for stem in stems]
    held = [split_word(word) if word in SPLITS else None for word in words]
    empty: list[str | None] = [None] * len(stems)
    rows = Rows(stems, columns, [*empty], [*empty], held if any(h is True for h in held) else [None] * len(stems), [], lonely)
    if any(h is True for h in held):
        rows.notes.append(f"split taken from the folders {', '.join(sorted({w for w in words if w}))}")
    return rows


def _stem(name: str) -> str:
    lower = name.lower()
    for suffix in (".nii.gz",):
        if lower.endswith(suffix):
            return name[: -len(suffix)]
    return name.rpartition(".")[0] or name


def _plain(name: str) -> str:
    """`Photos` and `photo` are the same word."""
    word = re.sub(r"[^a-z]", "", name.lower())
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


# What is wanted


def _matched(
    source: Source, columns: Mapping[str, Column], wanted: Mapping[str, tuple[str, ...]], by_hand: Mapping[str, str],
    notes: list[str],
) -> dict[str, Column]:  # fmt: skip
    """The wanted fields in their order, each from the column that is meant. Raises DataError."""
    unknown = next((name for name in by_hand if name not in wanted), None)
    if unknown is not None:
        raise DataError(f"--fields: no field '{unknown}'{did_you_mean(unknown, list(wanted))}: fields are {', '.join(wanted)}")
    found: dict[str, Column] = {}
    left = dict(columns)
    for name in wanted:
        place = by_hand.get(name, name)
        if place in left:
            found[name] = left.pop(place)
        elif name in by_hand and name not in left:
            there = f"{did_you_mean(place, list(left))}: there are {some(list(columns), 8)}"
            raise DataError(f"{source}: no '{place}' for the field {name}{there}")
    for name, kinds in wanted.items():
        if name in found:
            continue
        words = next((w for w in WORDS if _plain(name) in map(_plain, w)), (name,))
        able = _able(left, kinds)
        same = [own for own in able if _plain(own) in map(_plain, words)]
        near = [own for own in able if any(_plain(own).startswith(_plain(word)) for word in words)]
        if "table" in kinds and not same:  # every value column together
            rest = [own for own in left if left[own].texts]
            if rest:
                found[name] = Column(name, texts={own: left.pop(own).texts[own] for own in rest})
                continue
        chosen = same or near or (able if len(able) == 1 else [])
        if len(chosen) != 1:
            there = f"it has {some(list(columns), 8)}" if columns else "it has none"
            which = f"the field {name} may be {' or '.join(chosen)}" if chosen else f"there is no {name}"
            raise DataError(f"{source}: {which} ({there}): {_layout(wanted)}")
        found[name] = left.pop(chosen[0])
        if _plain(chosen[0]) != _plain(name):
            notes.append(f"the field {name} is taken from '{chosen[0]}' (--fields {name}=... chooses another)")
    unused = [own for own in left if left[own].files or left[own].array is not None]
    if unused:
        notes.append(f"not used: {some(unused)}")
    return {name: found[name] for name in wanted}


def _able(left: Mapping[str, Column], kinds: Sequence[str]) -> list[str]:
    """Columns that can be of one of the kinds; of several, those that a look inside tells to be."""
    able = [own for own in left if _suits(left[own], kinds)]
    looking = [kind_of(name) for name in kinds]
    inside = [kind for kind in looking if isinstance(kind, LooksInside)]
    if len(able) > 1 and len(inside) == len(looking):
        sure = [own for own in able if left[own].files and any(kind.looks_like(left[own].files) for kind in inside)]
        return sure or able
    return able


def _suits(column: Column, kinds: Sequence[str]) -> bool:
    """Whether the column can be of one of the kinds: files of them, or text."""
    if column.array is not None:
        return True
    if column.texts:
        return any(isinstance(kind_of(kind), FromTexts) for kind in kinds)
    suffixes = tuple(suffix for kind in kinds for suffix in kind_of(kind).suffixes)
    return bool(column.files) and all(file.name.lower().endswith(suffixes) for file in column.files[:20])
