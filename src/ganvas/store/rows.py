"""Rows of Parquet and Arrow files, some at a time: what their columns are, and where the bytes of a column of pictures lie.

What a column is stands in the schema where `datasets` wrote it (`Image`, `ClassLabel` with its names); of files by others it is
told by name and type. Memory holds a batch of rows, however long the file. Not for which files there are (`arrow`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, MissingExtra, did_you_mean
from .guard import printable
from .listing import some
from .packed import CAPTIONS, LABELS

ROWS = 64  # of Parquet that are unpacked at a time
BUFFER = 1 << 20  # bytes of a file that are read ahead
FILE_MAGIC = b"ARROW1"  # of the form of Arrow that has an index at its end; the messages begin behind
PICTURES, SOUNDS = ("Image",), ("Audio",)  # types of `datasets`
MISSING = -1  # a class that `datasets` writes where there is none
MOST_TYPE = 40  # characters of a type in a message


def arrow() -> Any:
    """The package `pyarrow`. Raises MissingExtra without it."""
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    return pyarrow


def failures() -> tuple[type[BaseException], ...]:
    """What pyarrow raises of a file that is damaged, or is another one than its name says."""
    return (arrow().ArrowException, ValueError, OSError, KeyError, StopIteration)


def _unreadable(place: str, error: BaseException) -> DataError:
    what = printable(str(error))[:100] or "it ends too early"
    return DataError(f"{Path(place).name}: cannot be read ({what}): copy it again or take it out")


def schema_of(place: str) -> Any:
    """Names, types and metadata of the columns. Raises DataError."""
    pyarrow = arrow()
    try:
        if _is_parquet(place):
            return pyarrow.parquet.read_schema(place)
        with pyarrow.OSFile(place) as file:
            return _messages(file)[1]
    except failures() as error:
        raise _unreadable(place, error) from None


def _is_parquet(place: str) -> bool:
    return place.lower().endswith(".parquet")


def _messages(file: Any) -> tuple[Any, Any]:
    """(reader of the messages behind the schema, the schema) of an Arrow file of either form."""
    pyarrow = arrow()
    file.seek(8 if file.read(len(FILE_MAGIC)) == FILE_MAGIC else 0)
    reader = pyarrow.ipc.MessageReader.open_stream(file)
    return reader, pyarrow.ipc.read_schema(reader.read_next_message())


@dataclass(frozen=True)
class Body:
    """What the buffers of some rows lie in, when these are bytes of the file as they are: its address in memory, its bytes, and
    at which byte of the file it begins."""

    address: int
    size: int
    start: int

    def holds(self, values: Values) -> bool:
        """Whether the bytes of a column lie in it."""
        ends = values.address + int(values.starts[-1])
        return not values.starts[-1] or (self.address <= values.address and ends <= self.address + self.size)

    def places(self, values: Values) -> np.ndarray:
        """(n + 1,) bytes of the file at which those of a column begin and end."""
        return values.starts + (values.address - self.address + self.start)


def batches(place: str, columns: list[str]) -> Iterator[tuple[Any, Body | None]]:
    """(rows, body): some rows of a file with these columns, and what they lie in; None in Parquet. Raises DataError."""
    try:
        if _is_parquet(place):
            with arrow().parquet.ParquetFile(place, buffer_size=BUFFER, pre_buffer=False) as held:
                for group in range(held.num_row_groups):  # one by one: what stands before a damaged one is read
                    for batch in held.iter_batches(ROWS, row_groups=[group], columns=columns, use_threads=False):
                        yield batch, None
        else:
            yield from _arrow_batches(place, columns)
    except failures() as error:
        raise _unreadable(place, error) from None


def _arrow_batches(place: str, columns: list[str]) -> Iterator[tuple[Any, Body | None]]:
    pyarrow = arrow()
    with pyarrow.OSFile(place) as file:
        reader, schema = _messages(file)
        while True:
            try:
                message = reader.read_next_message()
            except StopIteration:
                return
            if message.type != "record batch":
                break
            own = message.body
            body = Body(own.address, own.size, file.tell() - own.size)
            yield pyarrow.ipc.read_record_batch(message, schema).select(columns), body
    with pyarrow.OSFile(place) as file:  # words that are kept once for all rows: pyarrow puts these together
        whole = file.read(len(FILE_MAGIC)) == FILE_MAGIC
        file.seek(0)
        if whole:
            held = pyarrow.ipc.open_file(file)
            parts: Any = (held.get_batch(k) for k in range(held.num_record_batches))
        else:
            parts = pyarrow.ipc.open_stream(file)
        for batch in parts:
            yield batch.select(columns), None


@dataclass
class Values:
    """The bytes of a column in some rows. starts: (n + 1,) where they begin and end in `buffer`. present: (n,) which have any.
    paths: what the file of each was called, or None."""

    buffer: Any
    starts: np.ndarray
    present: np.ndarray
    paths: list[str | None]

    @property
    def address(self) -> int:
        """Of the buffer in memory."""
        return 0 if self.buffer is None else int(self.buffer.address)

    def of(self, row: int) -> bytes:
        """A copy."""
        return bytes(self.buffer[int(self.starts[row]) : int(self.starts[row + 1])])

    def whole(self) -> Any:
        """All of them, one behind the other."""
        return b"" if self.buffer is None else memoryview(self.buffer)[int(self.starts[0]) : int(self.starts[-1])]


def bytes_of(column: Any) -> Values:
    """The bytes in a column: a struct of `bytes` and `path`, or plain bytes."""
    pyarrow = arrow()
    column = getattr(column, "storage", column)  # of a type of its own
    present = _valid(column)
    paths: list[str | None] = [None] * len(column)
    if pyarrow.types.is_struct(column.type):
        names = [column.type.field(k).name for k in range(column.type.num_fields)]
        if "path" in names:  # below a struct that is null anything may stand
            paths = [path if there else None for path, there in zip(column.field("path").to_pylist(), present, strict=True)]
        column = column.field("bytes")
        present &= _valid(column)
    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pyarrow.types.is_binary(column.type) or pyarrow.types.is_large_binary(column.type)):
        column = column.cast(pyarrow.large_binary())
    kind = np.int64 if pyarrow.types.is_large_binary(column.type) else np.int32
    _, ends, buffer = column.buffers()
    if ends is None or not len(column):
        return Values(buffer, np.zeros(len(column) + 1, np.int64), present, paths)
    starts = np.frombuffer(ends, kind)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    return Values(buffer, starts, present, paths)


def _valid(column: Any) -> np.ndarray:
    found: np.ndarray = column.is_valid().to_numpy(zero_copy_only=False).copy()
    return found


def is_flat(place: str, column: str) -> bool:
    """Whether the bytes of a column stand in the file as they are: in Arrow that is not compressed. Raises DataError."""
    if _is_parquet(place):
        return False
    for batch, body in batches(place, [column]):
        values = bytes_of(batch.column(0))
        if body is None or not body.holds(values):
            return False
        if values.starts[-1]:
            return True
    return True


# What columns are


@dataclass(frozen=True)
class Roles:
    """Which column is what. values: others with one value a row. classes: names by number, of columns that have them. notes:
    one line each, on what was chosen and left out."""

    picture: str
    label: str | None = None
    caption: str | None = None
    group: str | None = None
    split: str | None = None
    values: tuple[str, ...] = ()
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def beside(self) -> list[str]:
        """All columns but that of pictures."""
        return list(dict.fromkeys(own for own in (self.label, self.caption, self.group, self.split, *self.values) if own))

    def told(self) -> list[Any]:
        """Plain values."""
        names = {name: list(own) for name, own in self.classes.items()}
        return [self.picture, self.label, self.caption, self.group, self.split, list(self.values), names]

    def lacking(self, schema: Any) -> list[str]:
        """Columns that a schema does not have."""
        return [name for name in (self.picture, *self.beside) if name not in schema.names]

    def value(self, column: str, cell: Any, name: str) -> Any:
        """A cell as it is said: the name of a class, the first of a list. Raises DataError. name: of the row."""
        names = self.classes.get(column)
        if isinstance(cell, list):
            return cell[0] if cell else None
        if names is None or cell is None or isinstance(cell, str):
            return cell
        if cell == MISSING:
            return None
        if not 0 <= cell < len(names):
            raise DataError(f"{name}: its {column} is {cell}, and classes have the numbers 0 to {len(names) - 1}")
        return names[cell]


def features_of(schema: Any, info: Path) -> dict[str, Any]:
    """What `datasets` wrote of the columns: into the schema, or a file beside; nothing where it did not."""
    try:
        held = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        try:
            held = json.loads(info.read_text(encoding="utf-8"))["features"]
        except (OSError, KeyError, ValueError, TypeError):
            held = {}
    return held if isinstance(held, dict) else {}


def _type_of(features: Mapping[str, Any], name: str) -> str:
    own = features.get(name)
    return str(own.get("_type")) if isinstance(own, dict) else ""


def pictured(schema: Any, info: Path = Path("none")) -> dict[str, bool]:
    """Columns that hold bytes of files -> whether these are sounds, as `datasets` says; others are taken for pictures."""
    types, features = arrow().types, features_of(schema, info)
    found = {}
    for own in schema:
        kind = getattr(own.type, "storage_type", own.type)
        if types.is_struct(kind):
            inner = [kind.field(k) for k in range(kind.num_fields)]
            kind = next((one.type for one in inner if one.name == "bytes"), None)
        if kind is not None and (types.is_binary(kind) or types.is_large_binary(kind) or str(kind) == "binary_view"):
            found[own.name] = _type_of(features, own.name) in SOUNDS
    return found


def told_of_columns(schema: Any) -> str:
    """`text (string), label (int64)`."""
    return some([f"{printable(own.name)[:MOST_TYPE]} ({str(own.type)[:MOST_TYPE]})" for own in schema], 12)


def _is_text(kind: Any) -> bool:
    return str(kind) in ("string", "large_string", "string_view")


def roles_of(source: str, schema: Any, info: Path, choice: Mapping[str, str], remedy: str = "take one out") -> Roles:
    """Which column is what, by the user's choice, by what `datasets` wrote, by name and type.

    Raises DataError where none or several hold pictures, and for a choice that is no column.
    """
    unknown = next((own for own in choice.items() if own[1] not in schema.names), None)
    if unknown is not None:
        near = did_you_mean(unknown[1], schema.names)
        raise DataError(f"{source}: no column '{unknown[1]}' for {unknown[0]}{near}: its columns are {told_of_columns(schema)}")
    types, features = arrow().types, features_of(schema, info)
    files = pictured(schema, info)
    pictures = [name for name, sound in files.items() if not sound]
    picture = choice.get("image") or (pictures[0] if len(pictures) == 1 else None)
    if picture is None and pictures:
        told = f"{len(pictures)} columns hold pictures ({some(pictures, 8)})"
        raise DataError(f"{source}: {told}: say which, as in  --fields image={pictures[0]}, or {remedy}")
    if picture not in files:
        what = "no column holds the bytes of pictures" if picture is None else f"the column {picture} holds no pictures"
        raise DataError(f"{source}: {what}: its columns are {told_of_columns(schema)}")

    def type_of(name: str) -> Any:
        kind = schema.field(name).type
        return kind.value_type if types.is_dictionary(kind) else kind

    def is_word(name: str) -> bool:
        return _is_text(type_of(name))

    def is_words(name: str) -> bool:
        kind = type_of(name)
        return _is_text(kind) or bool((types.is_list(kind) or types.is_large_list(kind)) and _is_text(kind.value_type))

    def is_class(name: str) -> bool:
        kind = type_of(name)
        return _is_text(kind) or bool(types.is_integer(kind) or types.is_boolean(kind))

    def named(words: tuple[str, ...], suits: Any) -> str | None:
        return next((name for word in words for name in schema.names if name.lower() == word and suits(name)), None)

    classes = {
        name: tuple(map(str, features[name].get("names") or ()))
        for name in schema.names
        if _type_of(features, name) == "ClassLabel" and types.is_integer(schema.field(name).type)
    }
    classes = {name: names for name, names in classes.items() if names}
    notes = []
    label = choice.get("label") or named((*LABELS, "labels"), is_class) or next(iter(classes), None)
    if label is not None and label.lower() not in LABELS and "label" not in choice:
        others = [name for name in classes if name != label]
        more = f"; {some(others)} would do as well (--fields label={others[0]})" if others else ""
        notes.append(f"labels are those of the column {label}{more}")
    caption = choice.get("caption") or named((*CAPTIONS, "captions"), is_words)
    group, split = choice.get("group") or named(("group",), is_class), choice.get("split") or named(("split",), is_word)
    if caption is not None and not is_word(caption):
        notes.append(f"of the list in {caption} the first caption is taken")
    for role, name, suits in (("label", label, is_class), ("caption", caption, is_words), ("split", split, is_word)):
        if name is not None and not suits(name):
            raise DataError(f"{source}: the column {name} holds {str(schema.field(name).type)[:MOST_TYPE]}: no {role}s")
    taken = {picture, label, caption, group, split}
    rest = [name for name in schema.names if name not in taken]
    values = tuple(name for name in rest if not types.is_nested(schema.field(name).type) and name not in files)
    left = [name for name in rest if name not in values]
    if left:
        notes.append(f"columns left alone: {some(left, 8)}")
    return Roles(picture, label, caption, group, split, values, classes, tuple(notes))
