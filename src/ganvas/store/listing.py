"""What a source holds before anything is decoded: files, their labels, groups and splits.

Labels come from `labels.csv`, else from class sub-folders; groups and splits from `groups.csv`; all of them else from
`metadata.csv`, as an `imagefolder` of Hugging Face has it. Not for reading pixels.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from ..errors import DataError, MissingExtra, did_you_mean
from .masks import masks_of
from .tables import METADATA, is_about_files, read_metadata, read_table, tables_of

RUN = "config.yaml"  # in the folder of a run: its settings
RESULTS = ".ganvas.json"  # in each folder of results: what wrote it, and which files
HELDOUT_WORDS = (
    "heldout", "held out", "holdout", "hold out", "test", "tests", "testing", "tst", "val", "valid", "validate", "validation",
    "dev", "eval", "evaluation",
)  # fmt: skip
TRAIN_WORDS = ("train", "training", "trn", "trainval", "train val", "development", "development train")
PART_WORDS = ("set", "sets", "data", "dataset", "images", "imgs", "pictures", "photos", "files", "samples", "split", "part")
"""What may stand beside such a word, as in `train_images`, `test set` and `imagesTs`."""
FOLD = re.compile(r"(folds?|splits?|cv|shards?|chunks?)[\s_-]*\d+", re.IGNORECASE)
OTHERS_FOLDERS = ("@eaDir", "$RECYCLE.BIN", "System Volume Information", "__MACOSX")
"""Droppings of other programs, which may hold small copies of pictures."""
OVERVIEW_NAME = re.compile(r"(^|/)(grid|round-[0-9]+)\.png$")
OVERVIEW_MARK = b"Content\0overview"  # a tEXt chunk of `drawing.png`
_METADATA_READ: ContextVar[bool] = ContextVar("metadata_read", default=True)


@dataclass
class Listing:
    """Files of one source in a fixed order, with what is known about each (None where nothing is).

    names: paths relative to the source, with forward slashes. notes: one line each.
    """

    source: Path
    files: list[Path]
    names: list[str]
    labels: list[str | None]
    groups: list[str | None]
    heldout: list[bool | None]
    tables: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    labels_from_folders: bool = False

    def chosen(self, indices: np.ndarray) -> Listing:
        """The same listing with only these files."""

        def pick(values: list) -> list:
            return [values[i] for i in indices]

        return Listing(
            self.source, pick(self.files), pick(self.names), pick(self.labels), pick(self.groups), pick(self.heldout),
            self.tables, self.notes, self.labels_from_folders,
        )  # fmt: skip


def natural(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sorting key by which `slice2` comes before `slice10`, and `01` and `1` always in the same order."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text) if part], text


def class_indices(
    names: Sequence[object | None], source: object, noun: str, notes: list[str]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """(indices (N,) int64, class names in natural order) of one label a record; (None, ()) without labels or with one class.

    noun: what records are called. Raises DataError when only some have a label.
    """
    # A name that is no Unicode (bytes of an old archive) is escaped: it could not be written down.
    names = [None if name is None else str(name).encode("utf-8", "backslashreplace").decode() for name in names]
    if all(name is None for name in names):
        return None, ()
    if any(name is None for name in names):
        raise DataError(
            f"{source}: some {noun} have a label and some have none: label all or none, or call the others 'unlabelled', for "
            "systems that learn from both"
        )
    classes = sorted({str(name) for name in names}, key=natural)
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(" ".join(normalize("NFC", name).casefold().split()), []).append(name)
    for same in alike.values():
        if len(same) > 1:
            told = " and ".join(f"'{name}'" for name in same)
            notes.append(f"classes {told} differ in capitals, blanks or accents alone: are they one?")
    if len(classes) == 1:
        notes.append(f"no labels: all {noun} are of the one class '{classes[0]}'")
        return None, ()
    notes.extend(f"classes {told}" for told in written_alike(classes))
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[str(name)] for name in names], np.int64), tuple(classes)


def split_word(text: str) -> bool | None:
    """True for a word that means held out, False for one that means training, None for any other.

    Capitals, numbers behind (`val2017`), separators and words for a set do not matter: `Test_Images`, `training set`.
    """
    text = re.sub(r"(images|labels)(Tr|Ts)$", lambda m: f"{m[1]} {'train' if m[2] == 'Tr' else 'test'}", text.strip())
    words = re.sub(r"[\s_-]*\d*$", "", text.lower()).replace("_", " ").replace("-", " ").split()
    kept = [word for word in words if word not in PART_WORDS] if len(words) > 1 else words
    word = " ".join(kept)
    for own in (word, word.removesuffix("set")):
        if own in HELDOUT_WORDS or own.endswith(("heldout", "held out")):
            return True
        if own in TRAIN_WORDS:
            return False
    return None


def split_and_domain(text: str) -> tuple[bool, str] | None:
    """(held out, `A` or `B`) for the folder names of unpaired translation (`trainA`, `test_B`), None for any other."""
    word, domain = text.strip()[:-1].rstrip("_- "), text.strip()[-1:].upper()
    held = split_word(word)
    return None if held is None or domain not in ("A", "B") else (held, domain)


def some(names: list[str], most: int = 3) -> str:
    """`a.png, b.png, c.png and 7 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


class Source:
    """A file or folder that is looked at several times and walked once."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.path = path
        self.text = str(path) if text is None else text  # as the user wrote it

    def __str__(self) -> str:
        return self.text

    @cached_property
    def names(self) -> list[str]:
        """Names of all files, relative to a folder; of a file its own; hidden ones are left out. Raises DataError."""
        if self.path.is_dir():
            return list(_walk(str(self.path)))
        return [self.path.name] if self.path.is_file() else []


def check_there(place: Path | Source) -> None:
    """Raise DataError where there is no such file or folder, with the nearest name beside it."""
    path = place.path if isinstance(place, Source) else place
    if path.exists():
        return
    try:
        close = did_you_mean(path.name, os.listdir(path.parent)) if path.parent.is_dir() else ""
    except OSError:
        close = ""
    raise DataError(f"{path}: no such file or folder{close}")


def list_files(
    place: Path | Source, suffixes: tuple[str, ...], noun: str, sniff: Callable[[Path], bool] | None = None, *,
    masks: bool = False, bundles: Callable[[Sequence[str]], list[str]] | None = None,
) -> Listing:  # fmt: skip
    """Every readable file of a file or folder, sorted naturally.

    Hidden files are left out, and mask folders unless `masks` are wanted. Raises DataError when the source does not exist,
    cannot be entered, holds nothing readable, or when a table does not fit the files. suffixes: of the files that are wanted,
    whose records are called `noun`. sniff: whether a file of another suffix, or none, is one of them all the same. bundles: of
    what each file is a part, where several make one (`facets.Bundles`): folders and tables tell of these.
    """
    source = place.path if isinstance(place, Source) else place
    place = place if isinstance(place, Source) else Source(place)
    check_there(source)
    if source.is_file():
        return Listing(source, [source], [source.name], [None], [None], [None])
    names: list[str] = []
    hidden: list[str] = []
    others: list[str] = []
    dead: list[str] = []
    beside = set() if masks else masks_of(place.names)
    overviews = 0
    for name in place.names:
        folders, _, base = name.rpartition("/")
        if not folders and is_about_files(base):
            continue
        if name in beside:
            hidden.append(name)
        elif OVERVIEW_NAME.search(name) and _is_overview(source / name):
            overviews += 1
        elif base.lower().endswith(suffixes) or (sniff is not None and sniff(source / name)):
            path = f"{source}/{name}"
            (dead if os.path.islink(path) and not os.path.exists(path) else names).append(name)
        else:
            others.append(name)
    names.sort(key=natural)
    unknown: list[None] = [None] * len(names)
    listing = Listing(source, [source / name for name in names], names, [*unknown], [*unknown], [*unknown])
    if hidden:
        listing.notes.append(
            f"{counted(len(hidden), 'mask file')} left out ({some(hidden, 2)}): pictures of the same names lie beside them; "
            "rename the folder or the files to keep them, or train a system that takes masks"
        )
    if overviews:
        listing.notes.append(f"{counted(overviews, 'picture')} of many samples at once (grid.png) left out")
    if own := results_among(source, names):
        listing.notes.append(f"{counted(len(own), 'file')} of these were made by ganvas ({some(own)}): put them elsewhere")
    if dead:
        listing.notes.append(f"{counted(len(dead), 'link')} left out that leads nowhere: {some(sorted(dead, key=natural))}")
    place_of_note = len(listing.notes)
    listing.notes += _groups_elsewhere(source, others)
    if not names:
        direct = [name for name in others if "/" not in name and name.endswith(".csv")]
        if direct:
            raise DataError(f"{source}: no {noun}, but {some(direct)}; for points, name the file: {source / direct[0]}")
        what = f"only files of other kinds ({some(sorted(others))})" if others else "an empty folder"
        raise DataError(f"{source}: {what}; no {noun} to train on: put files of {', '.join(suffixes)} there")
    metadata = [source / name for name in others if name.rpartition("/")[2].lower() in METADATA]
    if bundles is None:
        _told_of(listing, metadata)
    else:
        _told_of_bundles(listing, bundles(names), metadata)
    left = sorted(name for name in others if source / name not in listing.tables)
    if left:
        listing.notes.insert(place_of_note, f"{counted(len(left), 'file')} of other kinds left alone: {some(left)}")
    return listing


def _groups_elsewhere(source: Path, others: list[str]) -> list[str]:
    """A note of each table left alone that says which files belong together or are held out, where no table of groups is."""
    if any(path.stem == "groups" for path in tables_of(source)):
        return []
    notes = []
    for name in sorted(name for name in others if "/" not in name and name.lower().endswith(".csv")):
        if name.lower() in METADATA:
            continue  # which is read
        try:
            with open(source / name, encoding="utf-8-sig", errors="replace") as table:
                header = [cell.strip().strip('"').lower() for cell in table.readline(10_000).split(",")]
        except OSError:
            continue
        told = [column for column in ("group", "split") if column in header]
        if told:
            notes.append(
                f"{name} has a column {' and a column '.join(told)}, which nobody reads there: to hold out by it, save it as "
                f"groups.csv with the columns file, {', '.join(told)}"
            )
    return notes


def _told_of(listing: Listing, metadata: list[Path]) -> None:
    """Labels, groups and sides, by folders and tables."""
    _folder_labels(listing)
    _apply_tables(listing)
    _apply_metadata(listing, metadata)
    _check_groups(listing)


def _told_of_bundles(listing: Listing, bundles: list[str], metadata: list[Path]) -> None:
    """The same of what each file is a part of: the parts of one have its label, group and side."""
    place = {name: number for number, name in enumerate(dict.fromkeys(bundles))}
    names, unknown = list(place), [None] * len(place)
    files = [listing.source / name for name in names]
    whole = Listing(listing.source, files, names, [*unknown], [*unknown], [*unknown], notes=listing.notes)
    _told_of(whole, metadata)
    listing.tables, listing.labels_from_folders = whole.tables, whole.labels_from_folders
    own = [place[name] for name in bundles]
    listing.labels, listing.groups = [whole.labels[k] for k in own], [whole.groups[k] for k in own]
    listing.heldout = [whole.heldout[k] for k in own]


def is_filled_by_ganvas(folder: Path) -> bool:
    """Whether it is the folder of a run, or of results."""
    return (folder / RESULTS).is_file() or ((folder / RUN).is_file() and (folder / "checkpoints").is_dir())


def results_among(source: Path, names: Iterable[str]) -> list[str]:
    """Those of the files that lie in a sub-folder which ganvas filled with its results."""
    marked: dict[str, bool] = {"": False}  # the source itself may be such a folder: it was named

    def made(folder: str) -> bool:
        if folder not in marked:
            marked[folder] = (source / folder / RESULTS).is_file() or made(folder.rpartition("/")[0])
        return marked[folder]

    return [name for name in names if made(name.rpartition("/")[0])]


def _is_overview(path: Path) -> bool:
    """Whether a PNG says that it is a picture of many samples, as ganvas draws beside them."""
    try:
        with path.open("rb") as handle:
            return OVERVIEW_MARK in handle.read(2048)
    except OSError:
        return False  # the reader says what is wrong


def _walk(root: str) -> Iterator[str]:
    """Files below `root` as paths relative to it. Follows links, but not one that leads back."""
    seen = set()
    for folder, inner, files in os.walk(root, followlinks=True, onerror=_cannot_enter):
        real = os.path.realpath(folder)
        inner[:] = [] if real in seen else sorted(n for n in inner if not n.startswith(".") and n not in OTHERS_FOLDERS)
        if real in seen:
            continue
        seen.add(real)
        start = "" if folder == root else os.path.relpath(folder, root).replace(os.sep, "/") + "/"
        for name in files:
            # hidden files and Thumbs.db are droppings of other programs; DICOMDIR is an index, not a picture
            if not name.startswith(".") and name not in ("Thumbs.db", "DICOMDIR"):
                yield start + name


def _cannot_enter(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be opened ({error.strerror}): give yourself the right to read it")


def _folder_labels(listing: Listing) -> None:
    """Class sub-folders give labels; `train` and `test` folders give a split, above the classes or below them, and so do
    `trainA`, `testB`. Folders of a cross-validation (`fold_1`) are neither."""
    parts = [name.split("/") for name in listing.names]
    while len({p[0] for p in parts}) == 1 and all(len(p) > 2 for p in parts):  # `images/train/...`: one folder around all
        parts = [p[1:] for p in parts]
    tops = {p[0] for p in parts if len(p) > 1}
    sides = {top: split_and_domain(top) for top in tops}
    if len(tops) > 1 and all(FOLD.fullmatch(top) for top in tops) and all(len(p) in (2, 3) for p in parts):
        listing.notes.append(
            f"the folders {some(sorted(tops, key=natural))} are parts of a cross-validation: neither classes nor a split"
        )
        if all(len(p) == 3 for p in parts):
            listing.labels = [p[1] for p in parts]
    elif _sides_by_folder(listing, parts):
        pass
    elif all(len(p) == 3 for p in parts) and len(tops) > 1 and all(split_word(top) is not None for top in tops):
        listing.heldout = [split_word(p[0]) for p in parts]
        listing.labels = [p[1] for p in parts]
        listing.notes.append(f"split taken from the folders {', '.join(sorted(tops))}")
    elif all(len(p) == 2 for p in parts) and len(tops) > 1:
        words = {split_word(top) for top in tops}
        if words == {True}:
            listing.heldout = [True] * len(parts)
        elif words == {False}:
            listing.notes.append(f"no labels: the folders {', '.join(sorted(tops))} are all training")
        elif {side[1] for side in sides.values() if side} == {"A", "B"} and all(sides.values()):
            found = [sides[p[0]] or (False, "") for p in parts]
            listing.labels = [domain for _, domain in found]
            if any(held for held, _ in found):  # trainA and trainB alone leave the choice to the share that is held out
                listing.heldout = [held for held, _ in found]
            what = "classes A and B and the split" if any(listing.heldout) else "classes A and B"
            listing.notes.append(f"{what} taken from the folders {', '.join(sorted(tops))}")
        else:
            listing.labels = [p[0] for p in parts]
    elif len(tops) > 1:
        listing.notes.append(_unlabelled(parts))
    if len(tops) > 1 and all(held is None for held in listing.heldout):
        said = {top: split_word(top) for top in sorted(tops)}
        what = "taken for a class and" if any(listing.labels) else "not held out but"
        deep = sorted({"/".join(p[:-1]) for p in parts if any(split_word(part) for part in p[1:-1])})
        if deep:
            listing.notes.append(f"the folder '{deep[0]}' is trained on: put the others into train/ to hold it out")
        if odd := [top for top, word in said.items() if word]:
            listing.notes.append(f"the folder '{odd[0]}' is {what} trained on: put the others into train/")
        elif any(listing.labels) and (odd := [top for top, word in said.items() if word is False]) and None in said.values():
            listing.notes.append(
                f"the folder '{odd[0]}' is taken for a class, as the others are: call them test/ to hold them out"
            )
    if any(h is not None for h in listing.heldout) and not any(h is False for h in listing.heldout):
        raise DataError(f"{listing.source}: every folder is named as held out; nothing is left to train on")
    classes = Counter(listing.labels)
    if len(classes) == 1:
        listing.labels = [None] * len(listing.files)
    elif len(classes) > 2 and len(classes) > len(listing.files) / 2:
        listing.labels = [None] * len(listing.files)
        listing.notes.append(f"no labels: {len(classes)} sub-folders of hardly more than one file are no classes")
    listing.labels_from_folders = any(label is not None for label in listing.labels)


def _unlabelled(parts: list[list[str]]) -> str:
    where = "at several depths" if len({len(p) for p in parts}) > 1 else "deeper than one level of sub-folders"
    return f"no labels: files lie {where} (labels.csv can name labels)"


def _sides_by_folder(listing: Listing, parts: list[list[str]]) -> bool:
    """Whether some folders of one level mean training and others held out; then that is the split, and the one level that
    is left, if there is one, gives the classes. What lies elsewhere counts as training."""
    for level in range(max(map(len, parts)) - 1):
        names = {p[level] for p in parts if len(p) > level + 1}
        words = {name: split_word(name) for name in names}
        loose = any(len(p) <= level + 1 for p in parts)
        alone = loose and level == 0 and set(words.values()) == {True}  # `test/` beside files in no folder
        if not alone and not {True, False} <= set(words.values()):
            continue
        own = [words[p[level]] if len(p) > level + 1 else None for p in parts]
        listing.heldout = [bool(side) for side in own]
        others = sorted(name for name, word in words.items() if word is None)
        if loose:
            others.append("what lies in no such folder")
        more = f"; {', '.join(others)} counts as training" if others else ""
        listing.notes.append(f"split taken from the folders {', '.join(sorted(names))}{more}")
        rest = [p[:level] + p[level + 1 :] for p in parts]
        sorted_ones = {p[0] for p, side in zip(rest, own, strict=True) if side is not None}  # classes of the parts
        if not loose and all(len(p) == 2 and p[0] in sorted_ones for p in rest):
            listing.labels = [p[0] for p in rest]
        elif any(len(p) > 1 for p in rest):
            listing.notes.append(_unlabelled(parts))
        return True
    return False


def written_alike(names: Iterable[str]) -> list[str]:
    """Notes on names that differ in nothing but capitals, accents' encoding, blanks or the way to write a number."""

    def key(name: str) -> str:
        plain = " ".join(normalize("NFKC", name).casefold().split())
        return f"{float(plain):g}" if re.fullmatch(r"[+-]?\d{1,15}(\.\d+)?", plain) else plain

    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        found.setdefault(key(name), []).append(name)
    several = [" and ".join(f"'{name}'" for name in sorted(own, key=natural)) for own in found.values() if len(own) > 1]
    return [f"{some(several)} differ only in how they are written, and count as different"] if several else []


def _apply_tables(listing: Listing) -> None:
    # Accents may be written in two ways, which look alike: as one sign, or as letter and accent (macOS).
    place = {normalize("NFC", name): i for i, name in enumerate(listing.names)}
    by_base: dict[str, list[int]] = {}
    for i, path in enumerate(listing.files):
        by_base.setdefault(normalize("NFC", path.name), []).append(i)
    for path in tables_of(listing.source):
        table = path.name
        columns, rows, ignored, left_out = read_table(path)
        listing.tables.append(path)
        listing.notes += [f"{table}: {note}" for note in left_out]
        if ignored:
            listing.notes.append(f"{table}: columns not used: {', '.join(ignored)}")
        seen: dict[int, int] = {}
        for number, row in rows:
            name = normalize("NFC", row["file"].replace("\\", "/").removeprefix("./"))
            index = place.get(name)
            if index is None and "/" not in name and len(by_base.get(name, [])) == 1:
                index = by_base[name][0]
            if index is None:
                near = did_you_mean(name, listing.names) if len(listing.names) <= 20_000 else ""
                raise DataError(f"{path}: line {number} names '{row['file']}', which is not in {listing.source}{near}")
            if index in seen:
                raise DataError(f"{path}: '{name}' stands in lines {seen[index]} and {number}: keep one")
            seen[index] = number
        missing = [listing.names[i] for i in range(len(listing.files)) if i not in seen]
        if missing:
            unknown = " ('unlabelled' where nobody knows the label)" if "label" in columns else ""
            raise DataError(
                f"{path}: {len(missing)} of {counted(len(listing.files), 'file')} without a line ({some(missing)}): "
                f"add the lines{unknown} or move the files"
            )
        apart = {label for label in listing.labels if label is not None}
        told = any(row.get("label") != listing.labels[index] for index, (_, row) in zip(seen, rows, strict=True))
        if "label" in columns and apart and told:
            listing.notes.append(f"labels are those of {table}, not the folders {some(sorted(apart, key=natural))}")
        for index, (_, row) in zip(seen, rows, strict=True):
            if "label" in columns:
                listing.labels[index] = row["label"]
                listing.labels_from_folders = False
            if "group" in columns:
                listing.groups[index] = row["group"]
            if "split" in columns:
                held = split_word(row["split"])
                if held is None:
                    raise DataError(f"{path}: line {seen[index]} has split '{row['split']}': write 'train' or 'heldout'")
                listing.heldout[index] = held
        if "split" in columns and all(listing.heldout):
            raise DataError(f"{path}: every file is held out; nothing is left to train on: mark some as 'train'")
    listing.notes += [f"groups {told}" for told in written_alike(group for group in listing.groups if group is not None)]


@contextmanager
def without_metadata() -> Iterator[None]:
    """Folders are listed as before `metadata.csv` was read, for runs that began then."""
    token = _METADATA_READ.set(False)
    try:
        yield
    finally:
        _METADATA_READ.reset(token)


def _apply_metadata(listing: Listing, metadata: list[Path]) -> None:
    """Labels, groups and sides of `metadata.csv` where nothing else says them, and of all files: the table may be one of
    captions of some."""
    if not _METADATA_READ.get():
        return
    found: dict[str, dict[str, str]] = {}
    used: dict[str, Path] = {}
    for path in metadata:
        try:
            rows = read_metadata(path)
        except (DataError, MissingExtra) as error:
            listing.notes.append(f"nothing is learnt of a table: {error}")
            continue
        folder = path.parent.relative_to(listing.source).as_posix()
        for name, row in rows.items():
            found[normalize("NFC", name if folder == "." else f"{folder}/{name}")] = row
            used.update(dict.fromkeys(row, path))
    places: dict[str, list[Any]] = {"label": listing.labels, "group": listing.groups, "split": listing.heldout}
    for role, values in places.items():
        own = [found.get(normalize("NFC", name), {}).get(role) for name in listing.names]
        missing = own.count(None)
        if missing == len(own) or any(value is not None for value in values):
            continue
        if missing:
            told = f"{missing} of {counted(len(own), 'file')} have no {role} in {used[role].name}: its {role}s are left alone"
            listing.notes.append(told)
            continue
        values[:] = _sides_of(used[role], own) if role == "split" else own
        listing.tables += [path for path in metadata if path not in listing.tables]
        listing.notes.append(f"{role}s are those of {used[role].name}")


def _sides_of(path: Path, words: Sequence[str | None]) -> list[bool]:
    sides = [split_word(str(word)) for word in words]
    odd = next((word for word, side in zip(words, sides, strict=True) if side is None), None)
    if odd is not None:
        raise DataError(f"{path}: a row has split '{odd}': write 'train' or 'heldout'")
    if all(sides):
        raise DataError(f"{path}: every file is held out; nothing is left to train on: mark some as 'train'")
    return [bool(side) for side in sides]


def _check_groups(listing: Listing) -> None:
    sides: dict[str, tuple[bool | None, str]] = {}
    for group, held, name in zip(listing.groups, listing.heldout, listing.names, strict=True):
        if group is None or held is None:
            continue
        other = sides.setdefault(group, (held, name))
        if other[0] != held:
            raise DataError(
                f"{listing.tables[-1]}: group '{group}' is on both sides of the split "
                f"({other[1]} and {name}): put the whole group on one side"
            )
