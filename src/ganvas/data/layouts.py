"""Records of several fields on disk: which files, or cells of a table, make one record, and what has no partner.

Layouts, in this order: arrays in one `.npz`, a key a field; a table whose cells name files (`metadata.csv`, `.jsonl` or
`.parquet` with `file_name`, further `..._file_name` columns and value columns, at the root or in `train/` and `test/`;
`pairs.csv`, `captions.csv` and the like; a table beside the folder, with its name); a table with names that files of several
folders have; sub-folders as the fields, with equal stems. Folders named by hand (`--fields photo=FOLDER,map=FOLDER`) go before
all. Not for decoding: each field is opened by its kind, row by row as found here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..store.cells import EITHER, SUFFIXES, is_missing, read_cells
from ..store.listing import Source, natural, some, split_word
from ..store.masks import masks_of
from ..store.tables import is_about_files

RESERVED = ("label", "labels", "class", "group", "split")
FIRST_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "records.csv", "pairs.csv", "captions.csv")
MOST_SHIFTED = 0.1  # of the names; with more that have no partner they are other data
CLASSES = "classes.csv"  # names of values, no records; nor are tables of labels and groups
WORDS: tuple[tuple[str, ...], ...] = (
    ("photo", "photograph", "picture", "image", "img", "rgb", "frame", "real"),
    ("map", "label", "mask", "annotation", "segmentation", "segment", "edge", "sketch", "vessel", "semantic"),
    ("caption", "text", "description", "prompt", "sentence"),
    ("attributes", "attribute", "tags", "tag"),
    ("garment", "product", "outfit", "clothes", "clothing"),
    ("sharp",),
    ("blurred", "blur", "blurry"),
    ("full", "full dose", "routine dose"),
    ("low", "low dose", "quarter dose"),
    ("pose", "keypoint", "skeleton", "openpose", "joint"),
)
"""Words under which people keep the same thing: a field is looked for under its own name, then under these."""


@dataclass
class Column:
    """One field of all rows: files, or texts by the name of their column in a table, or an array, or what a phantom draws
    (its text, how many, seed)."""

    name: str
    files: list[Path] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    array: np.ndarray | None = None
    drawn: tuple[str, int, int] | None = None


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


def from_arrays(path: Path) -> Rows | None:
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


def find_folder(source: Source, place: str) -> Path | None:
    """A folder of the source, or anywhere."""
    return next((path for path in (source.path / place, Path(place).expanduser()) if path.is_dir()), None)


def _is_apart(name: str) -> bool:
    """Whether a table tells of files or values, and is no record itself."""
    return name == CLASSES or is_about_files(name)


def tables_in(folder: Path) -> list[Path]:
    """Tables at the root, those with usual names first."""
    there = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES and p.is_file()]
    usual = [folder / name for name in FIRST_TABLES if folder / name in there]
    return usual + [p for p in there if p not in usual and not _is_apart(p.name)] + [p for p in there if p.stem == "labels"]


@dataclass
class Table:
    """A table that names files. pointing: its columns that do, whose cells are paths relative to `root`.
    notes: what was left out when it was read."""

    path: Path
    root: Path
    names: list[str]
    cells: list[dict[str, str]]
    pointing: list[str]
    present: set[str]
    notes: list[str] = field(default_factory=list)


def from_table(source: Source) -> Rows | None:
    """A table with at least one column that names files: the source itself, one at its root, in its `train` and `test`, or of
    its own name beside it."""
    if source.path.is_file():
        if source.path.suffix.lower() not in SUFFIXES:
            return None
        table = _pointing(source.path, Source(source.path.parent).names)
        return None if table is None else of_table(table)
    found = [t for t in (_pointing(path, source.names) for path in tables_in(source.path)) if t is not None]
    if found:
        table = found[0] if found[0].path.name in FIRST_TABLES else max(found, key=lambda own: len(own.cells))
        rows = of_table(table)
        others = [own.path.name for own in found if own is not table]
        if others:
            rows.notes.append(f"{table.path.name} is read; {some(others)} name files, too (give --data one of them to read it)")
        return rows
    parted = _of_splits(source)
    if parted is not None:
        return of_table(parted)
    for path in (source.path.parent / f"{source.path.name}{suffix}" for suffix in SUFFIXES):
        if path.is_file():
            inside = [f"{source.path.name}/{name}" for name in source.names]
            table = _pointing(path, inside) or _pointing(path, source.names, source.path)
            if table is not None:
                rows = of_table(table)
                rows.notes.append(f"the table {path.name} lies beside the folder")
                return rows
    return None


def _pointing(path: Path, present: Sequence[str], root: Path | None = None) -> Table | None:
    """The table, if a column of it names files and it holds more than labels."""
    read = read_cells(path, names=EITHER, counting=False)
    names, cells = read.names, read.rows()
    there = set(present)
    pointing = [name for name in names if names_files(cells, name, there)]
    if not pointing or (path.stem == "labels" and set(map(str.lower, names)) <= {"file", *RESERVED}):
        return None
    return Table(path, root or path.parent, names, cells, pointing, there, read.told())


def _of_splits(source: Source) -> Table | None:
    """`train/metadata.csv`, `test/metadata.csv` and so on, each with names below its own folder, as one table."""
    names: list[str] = []
    cells: list[dict[str, str]] = []
    pointing: list[str] = []
    notes: list[str] = []
    first: Path | None = None
    for folder in sorted(path for path in source.path.iterdir() if path.is_dir() and split_word(path.name) is not None):
        path = next((folder / name for name in FIRST_TABLES if (folder / name).is_file()), None)
        inside = [name.partition("/")[2] for name in source.names if name.startswith(f"{folder.name}/")]
        own = None if path is None else _pointing(path, inside)
        if own is None:
            continue
        first = first or own.path
        notes += [note for note in own.notes if note not in notes]
        names += [name for name in own.names if name not in names]
        pointing += [name for name in own.pointing if name not in pointing]
        for row in own.cells:
            moved = {name: f"{folder.name}/{clean(row[name])}" for name in own.pointing if row[name]}
            cells.append({**row, "split": row.get("split") or folder.name, **moved})
    if first is None:
        return None
    names = names if "split" in names else [*names, "split"]
    cells = [{name: row.get(name, "") for name in names} for row in cells]
    return Table(first, source.path, names, cells, pointing, set(source.names), notes)


def from_stems(source: Source) -> Rows | None:
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
    for path in tables_in(source.path):
        read = read_cells(path, names=EITHER, counting=False)
        names, cells = read.names, read.rows()
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
            table = Table(path, source.path, [*having, *kept], lines, list(having), set(source.names), read.told())
            rows = of_table(table)
            rows.notes.append(f"files are those that '{column}' of {path.name} names, in {some(list(having))}")
            return rows
    return None


def names_files(cells: list[dict[str, str]], name: str, present: set[str]) -> bool:
    """Whether a tenth of a column's first cells or more are files of the source; the rest are rows without their file."""
    some_cells = [clean(row[name]) for row in cells[:50] if row[name]]
    return bool(some_cells) and sum(cell in present for cell in some_cells) >= max(1, len(some_cells) / 10)


def clean(text: str) -> str:
    return text.strip().replace("\\", "/").removeprefix("./")


def _field_name(column: str, example: str) -> str:
    """`mask_file_name` is `mask`; `file_name` and `file` are what the files are: `image`, `sound`."""
    from .finding import usual_kind

    lower = column.strip().lower()
    for end in ("_file_name", "_filename", "_file", "_path"):
        if lower.endswith(end):
            return lower[: -len(end)]
    return (usual_kind(example) or "image") if lower in ("file", "file_name", "filename", "path") else column.strip()


def of_table(table: Table) -> Rows:
    """The rows of a table whose files are all there."""
    names, pointing, path = table.names, table.pointing, table.path
    whole: list[dict[str, str]] = []
    numbers: list[int] = []
    lonely = []
    for number, row in enumerate(table.cells, start=1):
        missing = [name for name in pointing if clean(row[name]) not in table.present]
        if missing:
            what = f"'{row[missing[0]]}' is not there" if row[missing[0]] else f"no {missing[0]}"
            lonely.append(f"{path.name}, row {number}: {what}")
        else:
            whole.append(row)
            numbers.append(number)
    columns: dict[str, Column] = {}
    for name in pointing:
        own = _field_name(name, clean(whole[0][name]) if whole else "")
        own = name if own in columns else own
        columns[own] = Column(own, files=[table.root / clean(row[name]) for row in whole])
    lower = {name.lower(): name for name in names}
    values = [name for name in names if name not in pointing and name.lower() not in RESERVED]
    for name in values:
        own = f"{name} (column)" if name in columns else name
        columns[own] = Column(own, texts={name: [row[name].strip() for row in whole]})

    def known(*wanted: str) -> list[str | None]:
        own = next((lower[word] for word in wanted if word in lower and lower[word] not in pointing), None)
        return [None] * len(whole) if own is None else [None if is_missing(row[own]) else row[own] for row in whole]

    held = _sides(known("split"), path, numbers)
    used = {clean(row[name]) for row in table.cells for name in pointing if row[name]}
    folders = {Path(name).parent for name in used}
    suffixes = {Path(name).suffix.lower() for name in used}
    unnamed = [
        n
        for n in table.present
        if n not in used and Path(n).parent in folders and Path(n).suffix.lower() in suffixes - {*SUFFIXES}
    ]
    lonely += [f"{name} stands in no row of {path.name}" for name in sorted(unnamed, key=natural)]
    notes = [f"{path.name}: {note}" for note in table.notes]
    for name in pointing:
        twice = len(whole) - len({clean(row[name]) for row in whole})
        if twice:
            notes.append(f"{twice} rows of {path.name} name a {name} that another names, too")
    rows = [clean(row[pointing[0]]) for row in whole]
    return Rows(rows, columns, known("label", "labels", "class"), known("group"), held, notes, lonely, [path])


def from_folders(
    source: Source, wanted: Mapping[str, tuple[str, ...]] | None, by_hand: Mapping[str, str] | None
) -> Rows | None:  # fmt: skip
    """Sub-folders with equal stems below; `train/photo/1.png`, `photo/train/1.png` and `photo/1.png` alike."""
    if by_hand:
        named: dict[str, dict[str, tuple[Path, str]]] = {}
        for field_name, text in by_hand.items():
            folder = find_folder(source, text) or Path(text)
            for inner in Source(folder).names:
                _keep(named.setdefault(field_name, {}), folder / inner, inner)
        return _joined(named) if len(named) > 1 else None
    usual = {plain(word) for words in WORDS for word in words} | {plain(name) for name in (wanted or {})}
    if wanted is not None and set(wanted) <= {"a", "b"}:
        usual |= {"a", "b"}
    kept: dict[str, dict[str, tuple[Path, str]]] = {}
    for name in source.names:
        parts = name.split("/")
        place = next((i for i, part in enumerate(parts[:-1]) if not _is_side(part)), None)
        if place is None or _is_apart(parts[-1]):
            continue
        rest = "/".join([*parts[:place], *parts[place + 1 :]])
        _keep(kept.setdefault(parts[place], {}), source.path / name, rest)
    known = {name: own for name, own in kept.items() if plain(name) in usual or plain(name.split("-")[0]) in usual}
    if len(known) < 2:
        return None
    aside = {name: _aside([rest for _, rest in own.values()]) for name, own in known.items()}
    known = {name: {k: one for k, one in own.items() if one[1] not in aside[name]} for name, own in known.items()}
    first = max(known.values(), key=len)
    known = {name: own for name, own in known.items() if 2 * len(first.keys() & own.keys()) > min(len(first), len(own))}
    if len(known) < 2:
        return None
    rows = _joined(known)
    rows.notes += [
        f"{name}: {some(sorted(aside[name]), 2)} left out: masks, or tables beside other files" for name in known if aside[name]
    ]
    return rows


def _aside(names: list[str]) -> set[str]:
    """Of the files of one field those that are masks of others among them, or tables beside what are no tables."""
    tables = {name for name in names if Path(name).suffix.lower() in SUFFIXES}
    return masks_of(names) | (tables if 2 * len(tables) < len(names) else set())


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
    shift = told_shift({name: list(own) for name, own in kept.items()})
    columns = {name: Column(name, files=[own[stem][0] for stem in stems]) for name, own in kept.items()}
    words = [stem.split("/")[0].lower() if "/" in stem else "" for stem in stems]
    held = [split_word(word) if _is_side(word) else None for word in words]
    empty: list[str | None] = [None] * len(stems)
    rows = Rows(stems, columns, [*empty], [*empty], held if any(h is True for h in held) else [None] * len(stems), [], lonely)
    if shift is not None:
        rows.notes.append(shift)
    if any(h is True for h in held):
        rows.notes.append(f"split taken from the folders {', '.join(sorted({w for w in words if w}))}")
    return rows


def told_shift(names: Mapping[str, Sequence[str]]) -> str | None:
    """A warning where the names in two folders look shifted against each other: what has no partner is the first of one and the
    last of the other. names: folder -> stems."""
    if len(names) != 2:
        return None
    (one, first), (two, second) = ((name, sorted(own, key=natural)) for name, own in names.items())
    early, late = [x for x in first if x not in set(second)], [x for x in second if x not in set(first)]
    if second and first and natural(second[0]) < natural(first[0]):
        one, two, first, second, early, late = two, one, second, first, late, early
    count = len(early)
    if not count or count != len(late) or count > max(1, MOST_SHIFTED * len(first)):
        return None
    if first[:count] != early or second[-count:] != late:
        return None
    return (
        f"the names look shifted by {count}: {one} begins with {early[0]} and {two} ends with {late[-1]}, which have no "
        f"partner; if {one}/{early[0]} belongs to {two}/{second[0]}, rename one folder, or each record gets another's {two}"
    )


def _is_side(folder: str) -> bool:
    """Whether a folder's name says on which side of the split it is, and not which field it holds (`images_train`)."""
    return split_word(folder) is not None and re.fullmatch(r"(?!images|labels)[A-Za-z]+[\s_-]*\d*", folder) is not None


def _stem(name: str) -> str:
    lower = name.lower()
    for suffix in (".nii.gz", "_keypoints.json"):  # as OpenPose calls what it finds in a picture
        if lower.endswith(suffix):
            return name[: -len(suffix)]
    return name.rpartition(".")[0] or name


def plain(name: str) -> str:
    """`Photos` and `photo` are the same word."""
    word = re.sub(r"[^a-z]", "", name.lower())
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word
