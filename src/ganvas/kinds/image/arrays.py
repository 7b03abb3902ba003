"""Array files: `.npy` and `.npz` of images, and points from CSV. Nothing in them is ever executed (no pickle).

Images: (N, H, W), (N, H, W, C) or (N, C, H, W), or one picture (H, W). bool, uint8 and uint16 keep their depth; other
numbers become float32 and leave the choice of black and white to the data set. An `.npz` holds them under `images`,
`x` or its only key, and may hold `labels` (N,), whole numbers or text, `groups` and `split`; others are named in a
warning. Rows are read one by one, so a file larger than
memory works, and a damaged one may fail midway. Not for sparse data or several arrays of images in one file.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...store.guard import failure, finite_float32, integers_to_float32
from ...store.listing import some, split_word
from .picture import CHANNEL_LIMIT, DECLARED, Picture, check_size

_LABEL_KEYS = ("labels", "label", "y")
_ROW_KEYS = ("groups", "split")
_THREE = "holds 3 grey pictures: one in colour, channels first, is saved as image[None]"
_ROWS_LIMIT = 100_000_000


@dataclass(frozen=True)
class _Layout:
    """How an array's shape is read: `rows` pictures of height x width x channels, stored channels first or last."""

    rows: int
    height: int
    width: int
    channels: int
    channels_first: bool
    doubtful: str = ""  # what else the shape may mean

    @property
    def row(self) -> tuple[int, int, int]:
        if self.channels_first:
            return (self.channels, self.height, self.width)
        return (self.height, self.width, self.channels)


def read_npy(path: Path) -> Iterator[Picture]:
    """A picture for each row of a `.npy` file."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        shape, fortran, dtype = _header(path, stream, size, "the array")
        offset = stream.tell()
    layout = _layout(path, shape, dtype, size)
    array = np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")
    rows = array[None] if array.ndim == 2 else array
    for index in range(layout.rows):
        yield _picture(path, rows[index], layout, index)


def read_npz(path: Path) -> Iterator[Picture]:
    """A picture for each row of the images in a `.npz` file, with its label, group and side where the file holds them."""
    with zipfile.ZipFile(path) as archive:
        members = {Path(entry.filename).stem: entry for entry in archive.infolist() if not entry.is_dir()}
        labels_key = next((key for key in _LABEL_KEYS if key in members), None)
        others = [key for key in members if key not in (*_LABEL_KEYS, *_ROW_KEYS, "note")]
        key = next((key for key in ("images", "x") if key in members), others[0] if len(others) == 1 else None)
        if key is None:
            found = ", ".join(sorted(members)[:8]) or "nothing"
            raise failure(path, f"has no array 'images' but {found}", "save the pictures under the key 'images'")
        labels = _labels(path, archive, members[labels_key], "labels") if labels_key else None
        beside = {name: _labels(path, archive, members[name], name) for name in _ROW_KEYS if name in members}
        unread = sorted(set(members) - {key, labels_key, *beside, "note"})
        notes = (f"its arrays {some(unread)} are not read, only '{key}'",) if unread else ()
        with archive.open(members[key]) as stream:
            shape, fortran, dtype = _header(path, stream, members[key].file_size, f"'{key}'")
            layout = _layout(path, shape, dtype, members[key].compress_size)
            if labels is not None and len(labels) != layout.rows:
                raise failure(path, f"holds {layout.rows} pictures but {len(labels)} labels", "give one label each")
            for name, values in beside.items():
                if len(values) != layout.rows:
                    raise failure(path, f"holds {layout.rows} pictures but {len(values)} {name}", "give one each")
            groups, sides = beside.get("groups"), _sides(path, beside)
            if labels is not None:
                layout = replace(layout, doubtful="")  # a label each: three pictures
            if fortran and len(shape) > 1:
                raise failure(path, f"stores '{key}' column by column", "save np.ascontiguousarray(images)")
            count = math.prod(layout.row) * dtype.itemsize
            for index in range(layout.rows):
                data = stream.read(count)
                if len(data) != count:
                    raise failure(path, "ends before its pictures do", "it was cut off; copy it again")
                picture = _picture(path, np.frombuffer(data, dtype), layout, index)
                picture.label = labels[index] if labels is not None else None
                picture.group = f"{DECLARED}{groups[index]}" if groups is not None else None
                picture.heldout = sides[index] if sides is not None else None
                picture.warnings += notes
                if index == layout.rows - 1:
                    stream.read(1)  # reaching the end makes zipfile verify the checksum
                yield picture


def _header(path: Path, stream: IO[bytes], size: int, what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, Fortran order, dtype) from an array's header, refused when it claims more than `size` bytes hold."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise failure(path, f"has {what} in the unknown format {version}", "save it with numpy.save")
    if dtype.hasobject:
        raise failure(path, f"has Python objects in {what}, which could run code", "save plain numbers")
    if any(length < 0 for length in shape):
        raise failure(path, f"has the shape {shape} in {what}", "it is damaged; save it again")
    if math.prod(shape) * dtype.itemsize > size - stream.tell():
        raise failure(path, f"claims {what} of {shape} values but has only {size} bytes", "it was cut off; copy it again")
    return shape, fortran, dtype


def _sides(path: Path, beside: dict[str, list[Any]]) -> list[bool] | None:
    """Whether each row is held out, by `split`. Raises DataError for other words, and for a group on both sides."""
    if "split" not in beside:
        return None
    found: list[bool] = []
    for row, word in enumerate(beside["split"]):
        side = split_word(str(word))
        if side is None:
            raise failure(path, f"has split '{word}' in row {row}", "write 'train' or 'heldout'")
        found.append(side)
    if all(found):
        raise failure(path, "holds every row out", "mark some as 'train'")
    known: dict[Any, bool] = {}
    for group, side in zip(beside.get("groups", []), found, strict=False):
        if known.setdefault(group, side) != side:
            raise failure(path, f"has group '{group}' on both sides of the split", "put the whole group on one side")
    return found


def _labels(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, what: str) -> list[Any]:
    """Whole numbers or texts (N,) of an array; `what` is its name. Raises DataError for others, and for an empty text."""
    with archive.open(entry) as stream:
        shape, _, dtype = _header(path, stream, entry.file_size, f"'{what}'")
        if dtype.kind not in "iubUS" or math.prod(shape) != (shape[0] if shape else 0):
            raise failure(path, f"has {what} of {dtype} {shape}", "give one whole number or name per picture")
        if math.prod(shape) > _ROWS_LIMIT or dtype.itemsize > 4096:
            raise failure(path, f"claims {math.prod(shape)} {what} of {dtype}", "give one short word per picture")
        count = math.prod(shape) * dtype.itemsize
        values = np.frombuffer(stream.read(count), dtype)
        stream.read(1)
    if dtype.kind in "iub":
        return [int(value) for value in values]
    texts = [value.decode("utf-8") if dtype.kind == "S" else str(value) for value in values.tolist()]
    if (empty := next((row for row, text in enumerate(texts) if not text.strip()), None)) is not None:
        raise failure(path, f"has an empty text among its {what} (row {empty})", "fill it in or leave the row out")
    return texts


def _layout(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], file_bytes: int) -> _Layout:
    """Reads a shape as pictures; raises DataError naming the shape when it is not to be read, or not in one way."""
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise failure(path, f"holds {dtype} values", "save uint8, uint16 or float32")
    if math.prod(shape) == 0 and shape:
        raise failure(path, f"holds no values: its shape is {shape}", "save it again with pictures in it")
    if len(shape) not in (2, 3, 4):
        raise failure(path, f"has the shape {shape}", "save the pictures as (N, H, W) or (N, H, W, C)")
    if len(shape) < 4 and shape[-1] <= CHANNEL_LIMIT < min(shape[:-1]):
        fix = "points belong into a CSV" if len(shape) == 2 else "save one picture as image[None]"
        raise failure(path, f"has the shape {shape}, read as pictures {shape[-1]} pixels wide", fix)
    if len(shape) == 2:
        flat = f"is read as one picture of {shape[0]} x {shape[1]}: rows that are pictures are saved as (N, H, W)"
        layout = _Layout(1, shape[0], shape[1], 1, False, flat if max(shape) > 4 * min(shape) else "")
    elif len(shape) == 3:
        layout = _Layout(shape[0], shape[1], shape[2], 1, False, _THREE if shape[0] == 3 else "")
    elif _channels_first(path, shape):
        layout = _Layout(shape[0], shape[2], shape[3], shape[1], True)
    else:
        layout = _Layout(shape[0], shape[1], shape[2], shape[3], False)
    check_size(path, layout.height, layout.width, layout.channels, dtype.itemsize, file_bytes)
    return layout


def _channels_first(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether (N, a, b, c) is (N, C, H, W); raises DataError when it could be either."""
    first, last = shape[1] <= CHANNEL_LIMIT, shape[3] <= CHANNEL_LIMIT
    if first and last:  # tiny pictures: one or three channels are the likely reading
        first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first == last:
        fix = f"save it as (N, H, W, C) with at most {CHANNEL_LIMIT} channels"
        raise failure(path, f"has the shape {shape}, where the channels are not to be told", fix)
    return first


def _picture(path: Path, values: np.ndarray, layout: _Layout, index: int) -> Picture:
    declared = values.dtype.kind in "bu" and values.dtype.itemsize <= 2
    if values.dtype.kind == "b":
        pixels = values.astype(np.uint8) * 255
    elif declared:
        pixels = values.astype(values.dtype.newbyteorder("="))
    elif values.dtype.kind == "f":
        pixels = finite_float32(path, values, f"row {index}")
    else:
        pixels = integers_to_float32(path, values)
    pixels = pixels.reshape(layout.row)
    if layout.channels_first:
        pixels = np.moveaxis(pixels, 0, -1)
    low, high = (0.0, float(np.iinfo(pixels.dtype).max)) if declared else (math.nan, math.nan)
    notes = (layout.doubtful,) if layout.doubtful else ()
    return Picture(np.array(pixels, order="C"), pixels.dtype.itemsize * 8, low, high, index=index, warnings=notes)
