"""Pictures in packed files: the first pass that counts them and works out what they are, and decoding one from its bytes.

The pass keeps some 70 bytes a record, a few pictures, and thumbnails as long as there are no more than 50,000; never all
pictures. What it says and refuses is what `filling` says and refuses of files. Not for finding them (`store.packed`), nor
for when a record is read (`data.shard_values`).
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, GanvasError
from ...store import cache as caching
from ...store.entry import conclude
from ...store.guard import guard
from ...store.listing import class_indices, counted
from ...store.packed import PackedRecord, PackedSource, Pass, Told
from ...store.reader import Reader
from ...store.splits import MOST, join, told_of_twins, with_fewer_links
from .filling import Unfit, agree, class_ranges, differs, empty_shapes, prepare, scales_apart, value_range
from .picture import Picture
from .rasters import read_picture, sniff
from .readers import SUFFIXES
from .resize import PIECES, convert_channels, resize
from .spec import ImageSpec
from .tally import Names, Row, Tally
from .tiff import read_tiff

PICTURES = tuple(suffix for suffix, kind in SUFFIXES.items() if kind == "picture" and not suffix.startswith(".tif"))
SIMPLE = frozenset((b"IHDR", b"IDAT", b"IEND", b"pHYs", b"tIME", b"tEXt"))
"""Chunks of PNG that no decoder has a word to say about."""
SHOWN, SHOWN_BYTES = 512, 1 << 26  # pictures that the pass keeps, for the range of values, and bytes of them at most
BUDGET = 200  # records after the first disagreement, to say what there is
MISSING = -1
CAPTIONS = ": systems of pictures and captions learn from them"
"""How the note ends that is of no use to one of these."""


def read_member(name: str, data: bytes) -> Picture:
    """The picture in the bytes of a member. Raises DataError, one line with its name."""
    path = Path(name)
    if not data:
        raise DataError(f"{name} is empty (0 bytes): pack it again")
    kind = sniff(data[:132])
    if kind is None or kind == "DICOM":
        what = "is no picture" if kind is None else f"is {kind}"
        raise DataError(
            f"{name} {what}: of packed pictures {', '.join((*PICTURES, '.tif'))} are read; put other files into a folder"
        )
    with guard(path, kind):
        pictures = list(read_tiff(path, data=data) if kind == "TIFF" else read_picture(path, kind, data))
    if len(pictures) > 1:
        raise DataError(f"{name} holds {len(pictures)} pictures: of packed files one a record is read: put it into a folder")
    return pictures[0]


def _quick(data: bytes) -> np.ndarray | None:
    """Pixels (H, W, C) by the library alone, without any of the rules of `rasters`; None where it is not tried."""
    import imagecodecs

    try:
        if data.startswith(b"\x89PNG"):
            pixels = imagecodecs.png_decode(data)
        elif data.startswith(b"\xff\xd8\xff"):
            pixels = imagecodecs.jpeg8_decode(data)
        else:
            return None
    except Exception:  # the long way says what is wrong
        return None
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _is_plain(data: bytes, pixels: np.ndarray) -> bool:
    """Whether the short way to decode gives the very pixels that the rules of `rasters` lead to."""
    if data.startswith(b"\x89PNG"):
        place = 8
        while place + 8 <= len(data):
            if data[place + 4 : place + 8] not in SIMPLE:
                return False
            place += 12 + int.from_bytes(data[place : place + 4], "big")
    quick = _quick(data)
    return quick is not None and quick.dtype == pixels.dtype and np.array_equal(quick, pixels)


def decode(data: bytes, plain: bool, name: str, settings: dict[str, Any]) -> np.ndarray:
    """(H, W, C) of a member as `settings` bring it to size and channels. plain: as the first pass found it."""
    pixels = _quick(data) if plain else None
    if pixels is None:
        pixels = read_member(name, data).pixels
    if settings["channels"] is not None:
        pixels = convert_channels(pixels, settings["channels"])
    if settings["size"] is not None:
        pixels = resize(pixels, settings["size"], settings["fit"])[0]
    return pixels


def first_sizes(source: PackedSource, most: int) -> Counter[tuple[int, int]]:
    """How many of the first pictures of the first file that can be read have each (height, width). Raises DataError."""
    sizes = Counter[tuple[int, int]]()
    failure: DataError | None = None
    for packed in source.records(Pass(source.reader(), PICTURES, tuple(SUFFIXES))):
        try:
            if packed.error is not None:
                raise DataError(packed.error)
            height, width = read_member(packed.name, packed.data).pixels.shape[:2]
        except DataError as error:
            failure = failure or error
            continue
        sizes[height, width] += 1
        if sizes.total() >= most:
            break
    if not sizes:
        raise failure or DataError(f"{source}: no picture in its {source.noun}s: {source.hints['picture']}")
    return sizes


@dataclass
class _Seen:
    packed: PackedRecord
    row: Row | None
    plain: bool
    error: str | None
    hash: int = 0


class _Book:
    """What is kept of every record, in numbers."""

    def __init__(self) -> None:
        self.shard, self.start, self.size = array("i"), array("q"), array("q")
        self.plain, self.side = array("b"), array("b")
        self.label, self.group = array("i"), array("q")
        self.content, self.hash, self.told = array("Q"), array("Q"), array("Q")
        self.names: dict[str, int] = {}  # classes
        self.thumbs: list[np.ndarray] = []
        self.lonely, self.unlabelled, self.captions = Names(), Names(), 0
        self.kept: dict[tuple[Any, ...], Row] = {}
        self.shown: list[tuple[np.ndarray, int]] = []
        self.rng = np.random.default_rng(0)

    def add(self, seen: _Seen, side: bool | None) -> None:
        row, packed = seen.row, seen.packed
        assert row is not None
        told = packed.told
        self.shard.append(packed.shard)
        self.start.append(packed.place[0])
        self.size.append(packed.place[1])
        self.plain.append(seen.plain)
        if told.label is None:
            self.unlabelled.add(packed.name)
        label = MISSING if told.label is None else self.names.setdefault(told.label, len(self.names))
        self.label.append(label)
        self.group.append(MISSING if told.group is None else _number(told.group.encode("utf-8", "surrogateescape")) >> 1)
        side = side if told.heldout is None else told.heldout
        self.side.append(MISSING if side is None else int(side))
        self.content.append(int.from_bytes(row.content[:8], "little"))
        self.hash.append(seen.hash)
        words = json.dumps([told.caption, told.attributes], sort_keys=True, default=str)
        self.told.append(_number(words.encode("utf-8", "surrogatepass")))
        self.captions += told.caption is not None
        if len(self.shard) <= MOST:
            self.thumbs.append(row.thumb)
        else:
            self.thumbs.clear()
        self._show(row, label)
        same = (row.low, row.high, row.depth, row.absolute)
        if same in self.kept:
            known = self.kept[same]
            known.least, known.most = min(known.least, row.least), max(known.most, row.most)
        else:
            self.kept[same] = replace(row, pixels=np.empty(0), thumb=np.empty(0))

    def _show(self, row: Row, label: int) -> None:
        """Keep a fair sample (reservoir sampling, Vitter 1985, algorithm R)."""
        most = max(1, min(SHOWN, SHOWN_BYTES // max(1, row.pixels.nbytes)))
        if len(self.shown) < most:
            self.shown.append((row.pixels, label))
        elif (place := int(self.rng.integers(len(self.shard)))) < most:
            self.shown[place] = row.pixels, label


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def index(writer: caching.Writer, source: PackedSource, settings: dict[str, Any], progress: bool, strict: bool) -> None:
    """Go through all files once and write down what there is: places, classes, groups, sides, spec and notes.

    The rows of the entry are a sample of the pictures. Raises DataError as `filling.fill`.
    """
    if settings["fit"] in PIECES:
        fit = settings["fit"]
        raise GanvasError(f"--fit {fit}: pictures of {source.nouns} are not cut into pieces: cut them before packing")
    book, tally = _Book(), Tally(settings)
    going = Pass(source.reader(), PICTURES, tuple(SUFFIXES), strict, book.lonely.add)
    notes, wrong = going.notes, going.wrong
    skipped: list[tuple[str, str]] = []
    shapes, budget = empty_shapes(), BUDGET
    sides = source.sides()

    def look(packed: PackedRecord) -> _Seen:
        if packed.error is not None:
            return _Seen(packed, None, False, packed.error)
        try:
            picture = read_member(packed.name, packed.data)
            row = prepare(picture, settings, packed.name)[0]
        except Unfit:
            raise
        except DataError as error:
            return _Seen(packed, None, False, str(error))
        own = _number(packed.key.encode("utf-8", "surrogateescape") + b"\0" + packed.data)
        seen = _Seen(packed, row, _is_plain(packed.data, picture.pixels), None, own)
        packed.data = b""
        return seen

    for seen in caching.in_parallel(look, source.records(going), what="indexing", progress=progress):
        name = seen.packed.name
        if seen.row is None:
            if strict:
                raise DataError(str(seen.error))
            skipped.append((name, str(seen.error)))
            continue
        if differs(shapes, seen.row, name):
            budget -= 1
            if budget < 0:
                break
            continue
        book.add(seen, sides[seen.packed.shard])
        tally.add(seen.row, name)
    agree(source, shapes, partly=budget < 0)
    if not book.shard:
        lonely = f" ({book.lonely.some()})" if book.lonely.count else f": {source.hints['picture']}"
        reason = f": {skipped[0][1]}" if skipped else f": {wrong[0]}" if wrong else lonely
        raise DataError(f"{source}: no picture in {counted(len(source.names), source.noun)} could be read{reason}")
    if book.lonely.count:
        notes.append(
            f"left out for want of a picture: {book.lonely.count} beside {len(book.shard)} whole records ({book.lonely.some()})"
        )
    if book.captions:
        notes.append(f"captions of {book.captions} records are left alone{CAPTIONS}")
    if True in sides:
        notes.append(f"split taken from the names of the {source.noun}s")
    _conclude(writer, source, settings, book, tally.notes([*wrong, *notes], skipped))
    writer.facts["skipped"], writer.facts["wrong"] = skipped, wrong
    writer.facts["captions"] = book.captions


def _conclude(writer: caching.Writer, source: PackedSource, settings: dict[str, Any], book: _Book, notes: list[str]) -> None:
    for pixels, _ in book.shown:
        writer.row(pixels)
    low, high = value_range(writer, list(book.kept.values()), notes)
    if book.names and book.unlabelled.count:
        raise DataError(
            f"{source}: {book.unlabelled.count} of {len(book.label)} records have no class ({book.unlabelled.some()}): "
            f"{source.hints['class']}, or call them 'unlabelled', for systems that learn from both"
        )
    # By the names alone: one a record would be held a million times.
    numbers, classes = class_indices(list(book.names), source, "records", notes)
    labels = None if numbers is None else numbers[np.array(book.label, np.int64)]
    if labels is not None:
        assert numbers is not None
        own = numbers[np.array([label for _, label in book.shown], np.int64)]
        if (told := scales_apart(class_ranges(writer.rows(), own, classes), low, high)) is not None:
            notes.append(told)
    groups, writer.facts["doubles"], writer.facts["near"] = _groups(book, notes, source.hints["groups"])
    height, width, channels = writer.rows().shape[1:]
    depth = next(iter(book.kept.values())).depth
    spec = ImageSpec(channels, height, width, depth, low, high, classes)
    writer.facts.setdefault("declared", True)
    held = np.array(book.side, np.int8)
    for name, kept, kind in (
        ("shard", book.shard, np.int32), ("start", book.start, np.int64), ("size", book.size, np.int64),
        ("plain", book.plain, bool), ("hash", book.hash, np.uint64), ("told", book.told, np.uint64),
    ):  # fmt: skip
        writer.array(name, np.array(kept, kind))
    writer.facts["shards"] = list(source.names)
    conclude(writer, spec, labels, groups, held if (held >= 0).any() else None, notes)


def _groups(book: _Book, notes: list[str], hint: str) -> tuple[np.ndarray, int, int]:
    """(group numbers (N,), records that are the very pixels of others, near twins or -1 where these were not looked for): the
    groups that the records name, else copies and near twins."""
    n = len(book.shard)
    parent = np.arange(n, dtype=np.int64)
    content = np.array(book.content, np.uint64)
    first, back = np.unique(content, return_index=True, return_inverse=True)[1:]
    doubles = n - len(first)
    if doubles:
        notes.append(f"{doubles} of {n} pictures are copies of others, to the last pixel: copies stay on one side of the split")
    named = np.array(book.group, np.int64)
    if (named >= 0).any():
        own = np.flatnonzero(named >= 0)
        start, of = np.unique(named[own], return_index=True, return_inverse=True)[1:]
        join(parent, own[start[of.reshape(-1)]], own)
        return parent, doubles, MISSING
    join(parent, first[back.reshape(-1)], np.arange(n))
    if not book.thumbs:
        notes.append(f"near twins were not looked for among {n} pictures (at most {MOST}): {hint}")
        return parent, doubles, MISSING
    thumbs = np.stack(book.thumbs)
    book.thumbs.clear()  # or they are there twice
    sets, threshold = with_fewer_links(thumbs, seed=0)
    before = len(np.unique(parent))
    join(parent, sets, np.arange(n))
    linked = before - len(np.unique(parent))
    if linked:
        notes.append(told_of_twins(linked, n, threshold))
    return parent, doubles, linked


def beside(source: PackedSource, reader: Reader, shard: np.ndarray, start: np.ndarray) -> list[Told]:
    """What stands beside each picture of an index: one that lies at byte `start` of its shard."""
    found = [Told()] * len(shard)
    own: dict[int, int] = {}
    number = -1
    for packed in source.records(Pass(reader, PICTURES, tuple(SUFFIXES), bare=True)):
        if packed.shard != number:
            number = packed.shard
            rows = np.flatnonzero(shard == number)
            own = dict(zip(start[rows].tolist(), rows.tolist(), strict=True))
        if packed.error is None and (row := own.get(packed.place[0])) is not None:
            found[row] = packed.told
    return found
