"""Records of several fields on disk: which files, or cells of a table, make one record, and what has no partner.

Layouts, in this order: arrays in one `.npz`, a key a field; a table whose cells name files (`metadata.csv`, `.jsonl` or
`.parquet` with `file_name`, further `..._file_name` columns and value columns; `pairs.csv`, `captions.csv` and the like);
sub-folders named by hand (`--fields photo=FOLDER,map=FOLDER`) or as the fields, with equal stems. Not for decoding: each field
is opened by its kind, row by row as found here.
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
from ..store.listing import Source, natural, some, split_word

RESERVED = ("label", "labels", "class", "group", "split")
FIRST_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "records.csv", "pairs.csv", "captions.csv")
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
    found = (
        _from_arrays(source.path) if source.path.is_file() else _from_table(source) or _from_folders(source, wanted, by_hand)
    )
    if found is None:
        raise DataError(f"{source}: holds no records of several fields: {_layout(wanted)}")
    if wanted is not None:
        found.columns = _matched(source, found.columns, wanted, by_hand or {}, found.notes)
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

    columns = {name: Column(name, array=array) for name, array in arrays.items()}
    held = [None if word is None else split_word(word) for word in known("split")]
    return Rows([f"record {k}" for k in range(many)], columns, known("labels"), known("groups"), held)


def _tables(folder: Path) -> list[Path]:
    """Tables at the root, those with usual names first."""
    there = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in (".csv", ".jsonl", ".parquet") and p.is_file()]
    usual = [folder / name for name in FIRST_TABLES if folder / name in there]
    return (
        usual
        + [p for p in there if p not in usual and p.name not in ("labels.csv", "groups.csv", "classes.csv")]
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


def _from_table(source: Source) -> Rows | None:
    """A table at the root with at least one column that names files."""
    for path in _tables(source.path):
        names, cells = read_cells(path)
        if not cells:
            continue
        present = set(source.names)
        pointing = [n for n in names if _names_files(cells, n, present)]
        if not pointing or (path.name == "labels.csv" and set(map(str.lower, names)) <= {"file", *RESERVED}):
            continue
        return _of_table(source, path, names, cells, pointing)
    return None


def _names_files(cells: list[dict[str, str]], name: str, present: set[str]) -> bool:
    """Whether most of the first cells of a column are files of the source."""
    some_cells = [_clean(row[name]) for row in cells[:50] if row[name]]
    return bool(some_cells) and sum(cell in present for cell in some_cells) > len(some_cells) / 2


def _clean(text: str) -> str:
    return text.strip().replace("\\", "/").removeprefix("./")


def _field_name(column: str) -> str:
    """`file_name` and `file` are images, `mask_file_name` is `mask`."""
    lower = column.strip().lower()
    for end in ("_file_name", "_filename", "_file", "_path"):
        if lower.endswith(end):
            return lower[: -len(end)]
    return "image" if lower in ("file", "file_name", "filename", "path") else column.strip()


def _of_table(source: Source, path: Path, names: list[str], cells: list[dict[str, str]], pointing: list[str]) -> Rows:
    present, whole, lonely = set(source.names), [], []
    for number, row in enumerate(cells, start=1):
        missing = [name for name in pointing if _clean(row[name]) not in present]
        if missing:
            what = f"'{row[missing[0]]}' is not there" if row[missing[0]] else f"no {missing[0]}"
            lonely.append(f"{path.name}, row {number}: {what}")
        else:
            whole.append(row)
    columns = {
        _field_name(name): Column(_field_name(name), files=[source.path / _clean(row[name]) for row in whole])
        for name in pointing
    }
    lower = {name.lower(): name for name in names}
    values = [name for name in names if name not in pointing and name.lower() not in RESERVED]
    for name in values:
        columns.setdefault(name, Column(name, texts={name: [row[name].strip() for row in whole]}))

    def known(*wanted: str) -> list[str | None]:
        own = next((lower[word] for word in wanted if word in lower and lower[word] not in pointing), None)
        return [None] * len(whole) if own is None else [row[own].strip() or None for row in whole]

    held: list[bool | None] = []
    for number, word in enumerate(known("split"), start=1):
        side = None if word is None else split_word(word)
        if word is not None and side is None:
            raise DataError(f"{path}: row {number} has split '{word}': write 'train' or 'heldout'")
        held.append(side)
    used = {_clean(row[name]) for row in whole for name in pointing}
    folders = {Path(name).parent for name in used}
    unnamed = [
        n
        for n in source.names
        if n not in used and Path(n).parent in folders and Path(n).suffix == Path(next(iter(used))).suffix
    ]
    lonely += [f"{name} stands in no row of {path.name}" for name in sorted(unnamed, key=natural)]
    rows = [_clean(row[pointing[0]]) for row in whole]
    return Rows(rows, columns, known("label", "labels", "class"), known("group"), held, [], lonely, [path])


def _from_folders(
    source: Source, wanted: Mapping[str, tuple[str, ...]] | None, by_hand: Mapping[str, str] | None
) -> Rows | None:  # fmt: skip
    """Sub-folders with equal stems below; `train/photo/1.png`, `photo/train/1.png` and `photo/1.png` alike."""
    if by_hand and all((source.path / place).is_dir() or Path(place).expanduser().is_dir() for place in by_hand.values()):
        places = {
            name: (source.path / place if (source.path / place).is_dir() else Path(place).expanduser())
            for name, place in by_hand.items()
        }
        return _joined({name: {_stem(n): (place / n, n) for n in Source(place).names} for name, place in places.items()})
    usual = {word for words in WORDS for word in words} | {_plain(name) for name in (wanted or {})}
    if wanted is not None and set(wanted) <= {"a", "b"}:
        usual |= {"a", "b"}
    kept: dict[str, dict[str, tuple[Path, str]]] = {}
    for name in source.names:
        parts = name.split("/")
        place = next((i for i, part in enumerate(parts[:-1]) if part.lower() not in SPLITS), None)
        if place is None:
            continue
        rest = "/".join([*parts[:place], *parts[place + 1 :]])
        kept.setdefault(parts[place], {})[_stem(rest)] = (source.path / name, rest)
    known = {name: own for name, own in kept.items() if _plain(name) in usual or _plain(name.split("-")[0]) in usual}
    if len(known) < 2:
        return None
    first = max(known.values(), key=len)
    known = {name: own for name, own in known.items() if 2 * len(first.keys() & own.keys()) > min(len(first), len(own))}
    return _joined(known) if len(known) > 1 else None


def _joined(kept: Mapping[str, Mapping[str, tuple[Path, str]]]) -> Rows:
    """Rows of what has the same stem everywhere."""
    common = set.intersection(*(set(own) for own in kept.values()))
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
        able = [own for own in left if _suits(left[own], kinds)]
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


def _suits(column: Column, kinds: Sequence[str]) -> bool:
    """Whether the column can be of one of the kinds: files of them, or text."""
    if column.array is not None:
        return True
    if column.texts:
        from ..kinds.facets import FromTexts

        return any(isinstance(kind_of(kind), FromTexts) for kind in kinds)
    suffixes = tuple(suffix for kind in kinds for suffix in kind_of(kind).suffixes)
    return bool(column.files) and all(file.name.lower().endswith(suffixes) for file in column.files[:20])
