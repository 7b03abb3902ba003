"""Data sets of Hugging Face on disk: folders that `datasets` saved (Arrow), and Parquet as the hub keeps it.

A row is a record: a column of pictures (a struct of `bytes` and `path`, or plain bytes), one of classes, and what else stands
in it. Arrow files are read where they lie, for the bytes of each picture stand in them as they are. The pages of Parquet are
compressed and no row can be read alone: its column of pictures is unpacked whole into the cache folder before it is read from,
as a shard at an address is fetched. pyarrow reads both; the package `datasets` maps files whole, brings sixty others along and
keeps no position either. Nothing is ever downloaded. Not for decoding (`kinds.image.members`), nor for tables of numbers and
words (`cells`).
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any, BinaryIO

import numpy as np

from ..errors import DataError, GanvasError, MissingExtra, did_you_mean
from . import cache as caching
from .guard import printable
from .listing import natural, some, split_word
from .packed import PackedRecord, PackedSource, Pass, Told, expanded, side_of
from .reader import KEPT_GB, Reader
from .rows import PICTURES, SOUNDS, Roles, arrow, batches, bytes_of, is_flat, pictured, roles_of, schema_of

SUFFIXES = (".parquet", ".arrow")
STATE, SPLITS, INFO = "state.json", "dataset_dict.json", "dataset_info.json"  # of `save_to_disk`
BESIDE = (".json", ".jsonl", ".txt", ".md", ".csv", ".tsv", ".yaml", ".yml", ".py", ".lock", ".sha256")
"""Suffixes of what may lie beside such files in their folder."""
EMBED = "save the set with its pictures in it (save_to_disk and push_to_hub of `datasets` do), or name the folder of pictures"
RUN = 100  # rows beside each other that are dealt about the same time
END = 1 << 16  # last bytes of Parquet, in which its schema stands
ROLES = ("label", "caption", "group", "split")
"""What a column may be beside the picture, as `--fields` calls it."""


def names_tables(text: str) -> bool:
    """Whether a user's text names such files, of pictures or sounds: some, also with braces or a star, or their folder."""
    path = Path(text).expanduser()
    if path.is_dir():
        if any((path / name).is_file() for name in (STATE, SPLITS)) and _is_saved(path):
            return True
        return _holds_records(_below(path))
    if not text.lower().endswith(SUFFIXES):
        return False
    try:
        places = [place for own in expanded(text) for place in _local(own)]
    except GanvasError:
        return True  # is told where it is opened
    return _holds_records(place for place in places if os.path.isfile(place))


def _is_saved(folder: Path) -> bool:
    """Whether the `state.json` is one of `datasets`; other programs write such files, too."""
    if (folder / SPLITS).is_file() or (folder / INFO).is_file():
        return True
    try:
        return '"_data_files"' in (folder / STATE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def _below(folder: Path) -> list[str]:
    """Such files below a folder in which nothing lies but these, and tables and texts."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith(".") or "." not in name:
                continue
            if not name.lower().endswith((*SUFFIXES, *BESIDE)):
                return []  # at the first file of another kind, of however many
            if name.lower().endswith(SUFFIXES):
                found.append(os.path.join(place, name))
    return found


def _holds_records(places: Iterable[str]) -> bool:
    """Whether the first file that can be read holds pictures or sounds; other tables are read by `cells`. Without pyarrow as
    its last bytes say."""
    for place in places:
        if not place.lower().endswith(".parquet"):
            return True
        try:
            return bool(pictured(schema_of(place)))
        except MissingExtra:
            with open(place, "rb") as stream:
                stream.seek(max(0, os.path.getsize(place) - END))
                end = stream.read()
            return any(f'"_type": "{kind}"'.encode() in end for kind in (*PICTURES, *SOUNDS))
        except DataError:  # of which all are told where they are opened
            continue
    return False


class ArrowTables(PackedSource):
    """The Parquet and Arrow files that a user's text names, in order. Raises DataError or GanvasError, one line, as it is
    looked at, MissingExtra without pyarrow.

    choice: which column is taken for what, as the user says: `image`, or one of `ROLES`.
    """

    noun, nouns = "file", "Parquet and Arrow files"
    hints: Mapping[str, str] = {
        "picture": "are there rows, and does a column hold the bytes of pictures?",
        "class": "take rows without one out, by naming files as in  --data 'FOLDER/train-*.parquet'",
        "caption": "take these rows out, or name another column, as in  --fields caption=COLUMN",
        "attributes": "no column beside the picture has values to learn as {name}: see  ganvas data check",
        "groups": "add a column `group`",
    }

    def __init__(self, text: str, choice: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.choice = dict(choice or {})

    @property
    def remedy(self) -> str:
        return f"make files of them:  ganvas data unpack {quote(self.text)} --out FOLDER"

    @property
    def holds(self) -> str:
        """The kind of what the columns hold, sounds where these alone."""
        with suppress(DataError):
            files = pictured(schema_of(self.places[0]), Path(self.places[0]).parent / INFO)
            return "sound" if files and all(files.values()) else "image"
        return "image"

    @cached_property
    def places(self) -> list[str]:
        arrow()
        found = [place for own in expanded(self.text) for place in _local(os.path.expanduser(own))]
        return self._all_there(found, "no rows there: is the data set empty?")

    @cached_property
    def names(self) -> list[str]:
        """Of each file its path below the folder that holds all."""
        if len(self.places) == 1:
            return [os.path.basename(self.places[0])]
        below = os.path.commonpath([os.path.dirname(os.path.abspath(place)) for place in self.places])
        return [os.path.relpath(os.path.abspath(place), below).replace(os.sep, "/") for place in self.places]

    def sides(self) -> list[bool | None]:
        """Whether path or name of each file says that it is held out (`data/test-00000-of-00001.parquet`, `test/`); nothing
        where none is, nor where all are: who names the files of a test set alone means these."""
        found = [side_of(_words(name)) for name in self.names]
        return found if True in found and not all(found) else [None] * len(found)

    def turns(self, shard: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, str]:
        """Runs of rows: one file may hold a whole set, sorted by class. Files where all together are more than what is kept
        unpacked, or else each would be unpacked again and again."""
        if size.sum() > KEPT_GB * 1e9 or not len(shard):
            return super().turns(shard, size)
        begins = np.flatnonzero(np.diff(shard, prepend=shard[0] - 1))
        place = np.arange(len(shard)) - np.repeat(begins, np.diff(begins, append=len(shard)))
        starts = place % RUN == 0
        return (np.cumsum(starts) - 1).astype(np.int32), f"run after run of {RUN} rows"

    def choosing(self, columns: Mapping[str, str], wanted: Mapping[str, tuple[str, ...]] | None) -> ArrowTables:
        """The same with what the user says of columns: `image=COLUMN`, or a field of a system, `ROLE=COLUMN`.

        Raises GanvasError for what there is not.
        """
        fields = list(wanted or ())
        known = ["image", *ROLES, *fields]
        choice = {}
        for name, column in columns.items():
            if name not in known:
                near = did_you_mean(name, known)
                raise GanvasError(f"--fields: no field '{name}'{near}: fields are {', '.join(dict.fromkeys(known))}")
            choice[name] = column
        for name, kinds in (wanted or {}).items():
            if name in choice and "table" in kinds:
                raise GanvasError(f"--fields: {name} are all columns with one value a row: leave {name} out")
            if name in choice and name not in ("image", *ROLES):
                choice["image" if "image" in kinds else "caption"] = choice.pop(name)
        return ArrowTables(self.text, choice)

    @cached_property
    def roles(self) -> Roles:
        """What the columns of the first file that can be read are. Raises DataError."""
        failure: DataError | None = None
        for place in self.places:
            try:
                schema = schema_of(place)
            except DataError as error:
                failure = failure or error
                continue
            return roles_of(str(self), schema, Path(place).parent / INFO, self.choice, self.remedy)
        raise failure or DataError(f"{self}: no file there")

    def said(self) -> list[Any]:
        return [self.roles.told()]

    def reader(self, kept: Path | None = None) -> Reader:
        return ColumnReader(self.places, kept, self.roles.picture)

    def records(self, going: Pass) -> Iterator[PackedRecord]:
        roles, read = self.roles, 0
        going.notes += roles.notes
        for shard, (place, name) in enumerate(zip(self.places, self.names, strict=True)):
            try:
                if lacking := roles.lacking(schema_of(place)):
                    raise DataError(f"{name}: has no column {' and '.join(lacking)}, as {self.names[0]} has")
            except DataError as error:
                if going.strict or (shard + 1 == len(self.places) and not read):
                    raise
                going.wrong.append(f"left out whole: {error}")
                continue
            read += 1
            count = 0
            try:
                for count, record in _rows(place, f"{name}: row ", shard, roles, going):  # noqa: B007
                    if record is not None:
                        yield record
            except DataError as error:
                what = str(error).removeprefix(f"{os.path.basename(place)}: ")
                told = f"{name}: its first {count} rows are used, the rest {what}"
                if going.strict:
                    raise DataError(told) from error
                going.wrong.append(told)
        others = [name for name in self.names if side_of(_words(name)) is None]
        if others and True in self.sides():
            going.notes.append(f"names that say neither count as training: {some(others)}")


def _words(name: str) -> list[str]:
    """The words of a path below the folder: `data/train-00000-of-00003.parquet` is data, train, 00000 ..."""
    parts = name.rpartition(".")[0].split("/")
    return [word for part in parts for word in (part, *part.replace("_", "-").replace(".", "-").split("-"))]


def _rows(
    place: str, called: str, shard: int, roles: Roles, going: Pass
) -> Iterator[tuple[int, PackedRecord | None]]:  # fmt: skip
    """(number, record) of every row of a file; nothing where it has no picture."""
    row = base = 0
    flat = not going.reader.lies_apart(shard)
    for batch, body in batches(place, [roles.picture, *roles.beside]):
        values = bytes_of(batch.column(roles.picture))
        start = values.starts - values.starts[0] + base
        if flat:
            if body is None or not body.holds(values):
                raise DataError("is compressed, unlike what stands before: save it again")
            start = body.places(values)
        base += int(values.starts[-1] - values.starts[0])
        beside = batch.select(roles.beside).to_pylist() if roles.beside else [{}] * len(batch)
        for k, cells in enumerate(beside):
            row += 1
            name = f"{called}{row}"
            if not values.present[k]:
                if values.paths[k] is None:
                    going.lonely(name)
                    yield row, None
                    continue
                why = f"{name} names the file {printable(str(values.paths[k]))} and does not hold it: {EMBED}"
                yield row, PackedRecord(shard, "", name, (0, 0), b"", Told(), why)
                continue
            size = int(values.starts[k + 1] - values.starts[k])
            try:
                told = _told(name, cells, roles)
            except DataError as error:
                yield row, PackedRecord(shard, "", name, (0, 0), b"", Told(), str(error))
                continue
            data = b"" if going.bare else values.of(k)
            key = "" if values.paths[k] is None else os.path.basename(str(values.paths[k]))
            yield row, PackedRecord(shard, key, name, (int(start[k]), size), data, told)


def _told(name: str, cells: Mapping[str, Any], roles: Roles) -> Told:
    """What stands in a row beside the picture. Raises DataError."""
    side = None if roles.split is None else cells[roles.split]
    heldout = None if side is None else split_word(str(side))
    if side is not None and heldout is None:
        raise DataError(f"{name}: its split '{printable(str(side))[:40]}' is neither train nor test")
    said = {own: roles.value(own, cells[own], name) for own in roles.beside}

    def word(column: str | None) -> str | None:
        return None if column is None or said[column] is None else str(said[column])

    attributes = {own: said[own] for own in roles.values}
    return Told(word(roles.label), word(roles.group), heldout, word(roles.caption), attributes)


class ColumnReader(Reader):
    """Bytes of the pictures of Arrow and Parquet files. column: theirs."""

    def __init__(self, places: list[str], kept: Path | None, column: str) -> None:
        super().__init__(places, kept)
        self.column = column
        self._flat: dict[str, bool] = {}

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"column": self.column, "_flat": {}}

    def _apart(self, place: str) -> bool:
        if place not in self._flat:
            self._flat[place] = is_flat(place, self.column)
        return not self._flat[place]

    def _fetch(self, address: str) -> Path:
        looks, _ = caching.look([Path(address)])
        key = caching.digest("column", looks, self.column)

        def unpack(target: BinaryIO) -> None:
            try:
                for batch, _ in batches(address, [self.column]):
                    target.write(bytes_of(batch.column(0)).whole())
            except DataError:
                if not target.tell():
                    raise  # else the index was told of it, and knows the rows before

        return self._kept(f"{key}.column", float(os.path.getsize(address)), unpack)


def _local(text: str) -> list[str]:
    """Paths of the files that a text without braces names: one, those of a star, those that a folder holds."""
    if os.path.isdir(text):
        return _of_folder(Path(text))
    if any(sign in text for sign in "*?") and not os.path.exists(text):
        return sorted(glob.glob(text, recursive=True), key=natural)
    return [text]


def _of_folder(folder: Path) -> list[str]:
    """The files that `save_to_disk` names, of which others may lie beside; else all below the folder."""
    if (folder / SPLITS).is_file():
        splits = _read(folder / SPLITS, "splits")
        return [place for split in splits for place in _saved(folder / str(split))]
    if (folder / STATE).is_file():
        return _saved(folder)
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        own = [name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith((".", "cache-"))]
        found += [os.path.join(place, name) for name in own]
    return sorted(found, key=natural)


def _saved(folder: Path) -> list[str]:
    files = _read(folder / STATE, "_data_files")
    if _read(folder / STATE, "_indices_data_files"):
        raise DataError(f"{folder}: its rows are reordered by a list beside them: save it again after  flatten_indices()")
    return [str(folder / str(own["filename"])) for own in files]


def _read(path: Path, entry: str) -> list[Any]:
    """An entry, a list, of a JSON file; empty where it has none. Raises DataError."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        found = held.get(entry) or []
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read ({printable(str(error))[:80]}): save the data set again") from None
    if not isinstance(found, list):
        raise DataError(f"{path}: '{entry}' is no list: save the data set again")
    return found
