"""Files of label maps: the numbers in them as they are, the table that names them, and files written from indices.

Lossless files alone: JPEG and lossy WebP invent values at every edge. Not for bringing maps to one size (`kind`).
"""

from __future__ import annotations

import colorsys
import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...store.cells import read_cells
from ...store.guard import failure, guard
from ...store.listing import Listing
from ..image.rasters import png_in_colour, read_png_numbers, sniff
from ..image.readers import read
from .colours import known_share, numbers_of, triples
from .spec import LabelMapSpec

LOSSY = (".jpg", ".jpeg", ".webp")
LOSSLESS = (".png", ".tif", ".tiff", ".nii", ".nii.gz", ".npz", ".npy")
MOST_CLASSES = 256
LOOKED_AT, MOST_VALUES = 24, 32  # files that are looked into, and different values up to which they are maps
TABLE = "classes.csv"
COLOUR = re.compile(r"#?([0-9a-fA-F]{6})")
SYNTHETIC = "SYNTHETIC: made by a generative model, not a real record"


@dataclass
class Map:
    """One map: numbers (H, W) int64 as the file holds them, and the palette of an indexed PNG."""

    numbers: np.ndarray
    palette: tuple[str, ...] = ()
    label: str | None = None
    group: str | None = None
    heldout: bool | None = None
    warnings: tuple[str, ...] = ()


def read_maps(
    path: Path, axis: int | None = None, classes: Mapping[int, tuple[str, str]] | None = None
) -> Iterator[Map]:  # fmt: skip
    """The maps of a file: one, or one a slice, page or row. Raises DataError for lossy files and for what are not numbers.

    classes: number -> (name, `#rrggbb`), by which a PNG in colour becomes numbers (`colours.numbers_of`).
    """
    with guard(path, "a label map"):
        if path.name.lower().endswith(LOSSY):
            raise lossy(path)
        with path.open("rb") as stream:
            head = sniff(stream.read(132))
        if head in ("JPEG", "WEBP"):  # whatever its suffix says
            raise lossy(path)
        if head == "PNG":
            data = path.read_bytes()
            if png_in_colour(path, data):
                yield _of_colours(path, axis, classes)
                return
            numbers, palette = read_png_numbers(path, data)
            yield Map(numbers.astype(np.int64), palette)
            return
    for picture in read(path, axis=axis, numbers=True):
        pixels = picture.pixels
        if pixels.shape[2] != 1:
            raise failure(path, f"has {pixels.shape[2]} channels", "save the classes as numbers, in one channel")
        numbers = pixels[..., 0]
        if picture.depth == 32 and not (numbers == np.rint(numbers)).all():
            raise failure(
                path, "has values between whole numbers", "a label map holds a whole number a pixel; it may be an image"
            )
        label = None if picture.label is None else str(picture.label)
        told = tuple(warning for warning in picture.warnings if "its values are labels" not in warning)
        yield Map(numbers.astype(np.int64), (), label, picture.group, picture.heldout, told)


def _of_colours(path: Path, axis: int | None, classes: Mapping[int, tuple[str, str]] | None) -> Map:
    """The map that a PNG in colour shows."""
    if not classes:
        raise failure(
            path, "is a picture in colour or with alpha",
            f"save the classes as numbers, in a grey or indexed PNG, or give each its colour in {TABLE} (value,class,colour)",
        )  # fmt: skip
    picture = next(iter(read(path, axis=axis)))
    pixels = picture.pixels if picture.depth == 8 else (picture.pixels // 257).astype(np.uint8)
    pixels = np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels
    numbers, notes = numbers_of(path, pixels, classes)
    return Map(numbers, (), warnings=(*picture.warnings, *notes))


def read_for(path: Path, axis: int | None, spec: LabelMapSpec) -> Iterator[Map]:
    """The maps of a file that are to be of the classes of a spec: by their numbers, or by their colours.

    An indexed PNG whose palette shows other colours than the spec under its numbers, as paint programs save it, goes by its
    colours where most of its pixels have those of classes, else by its numbers where all are known; either is told.
    """
    classes = {value: (name, colour) for value, name, colour in zip(spec.values, spec.names, spec.palette, strict=True)}
    for own in read_maps(path, axis, classes):
        found = np.unique(own.numbers).tolist()
        if not own.palette or all(value in classes and own.palette[value] == classes[value][1] for value in found):
            yield own
            continue
        pixels = triples(own.palette).astype(np.uint8)[own.numbers]
        if all(value in classes for value in found) and known_share(pixels, spec.palette) < 0.5:
            told = "its palette has other colours than the maps that were learnt: its numbers count"
            yield replace(own, warnings=(*own.warnings, told))
            continue
        numbers, notes = numbers_of(path, pixels, classes)
        told = "its palette has another order than that of the maps that were learnt: its colours count"
        yield replace(own, numbers=numbers, palette=(), warnings=(*own.warnings, told, *notes))


def lossy(path: Path) -> DataError:
    """JPEG and WebP change values at the edges of classes."""
    return failure(path, "is a lossy picture, which changes values at every edge", "save label maps as PNG or TIFF")


def look(files: Sequence[Path]) -> bool:
    """Whether files are label maps: lossless, in one channel, with few different whole values over a sample of them, and of
    indexed PNG with one palette, unless a `classes.csv` lies beside. Files of 0 and 255 are maps of
    two classes; files that number their objects are none."""
    chosen = [files[k] for k in sorted({round(k) for k in np.linspace(0, len(files) - 1, min(LOOKED_AT, len(files)))})]
    found: set[int] = set()
    palettes: dict[int, str] = {}
    counting: list[int] = []
    tables = [folder / TABLE for folder in (files[0].parent, files[0].parent.parent)] if files else []
    table = next((own for own in tables if own.is_file()), None)
    named, shown = table is not None, None
    if table is not None:
        with contextlib.suppress(DataError):  # which says so where it is read to train on
            shown = read_classes(table).shown
    for path in chosen:
        if not path.name.lower().endswith(LOSSLESS):
            return False
        try:
            first = next(read_maps(path, classes=shown))
        except (DataError, StopIteration):
            return False
        own = np.unique(first.numbers).tolist()
        found.update(own)
        if len(found) > MOST_VALUES:
            return False
        if own == list(range(len(own))):
            counting.append(len(own))
        for value in own:
            colour = first.palette[value] if value < len(first.palette) else ""
            if palettes.setdefault(value, colour) != colour and not named:
                return False
    objects = len(set(counting)) > 3 and len(counting) > 0.7 * len(chosen)  # 0 to n in each file, n its own: they are counted
    return len(found) > 1 and (named or not objects)


# The table of classes


@dataclass
class Classes:
    """What a `classes.csv` says. named: value -> class. colours: value -> `#rrggbb`, where it has them."""

    path: Path
    named: dict[int, str]
    colours: dict[int, str]

    @property
    def shown(self) -> dict[int, tuple[str, str]]:
        """Value -> (class, colour); empty unless every class has one."""
        whole = len(self.colours) == len(self.named)
        return {value: (name, self.colours[value]) for value, name in self.named.items()} if whole else {}


def table_beside(listing: Listing) -> Path | None:
    """The `classes.csv` in the folder of the files, at the root of the source, or beside it."""
    folders = {path.parent for path in listing.files}
    source = listing.source if listing.source.is_dir() else listing.source.parent
    places = [*(folders if len(folders) == 1 else ()), source, source.parent]
    return next((place / TABLE for place in places if (place / TABLE).is_file()), None)


def read_classes(path: Path) -> Classes:
    """A table with the columns value, class and perhaps colour. Raises DataError in one line."""
    cells = read_cells(path, decimals=False)
    rows = cells.rows()
    lower = {name.lower(): name for name in cells.names}
    if not {"value", "class"} <= set(lower) or not rows:
        raise DataError(f"{path}: needs the columns value,class (and colour, if you like), as in  0,background,#000000")
    found = Classes(path, {}, {})
    for line, row in zip(cells.lines, rows, strict=True):
        value, name = row[lower["value"]], row[lower["class"]]
        if not re.fullmatch(r"\d{1,5}", value) or int(value) > 65535:
            raise DataError(f"{path}: line {line} has the value '{value}': write a whole number from 0 to 65535")
        if not name:
            raise DataError(f"{path}: line {line} has no class: name it")
        if int(value) in found.named:
            raise DataError(f"{path}: the value {value} has two lines: keep one")
        if name in found.named.values():
            raise DataError(f"{path}: two values are called '{name}': give each a name of its own")
        found.named[int(value)] = name
        colour = next((row[lower[word]] for word in ("colour", "color") if word in lower), "")
        if colour:
            matched = COLOUR.fullmatch(colour)
            if matched is None:
                raise DataError(f"{path}: line {line} has the colour '{colour}': write it as #rrggbb")
            found.colours[int(value)] = f"#{matched[1].lower()}"
    return found


def usual_colour(index: int) -> str:
    """A colour that neighbours in a list of classes do not share; black first."""
    if index == 0:
        return "#000000"
    shade = colorsys.hsv_to_rgb(index * 0.618034 % 1, (0.85, 0.5)[index // 8 % 2], (0.95, 0.65)[index // 4 % 2])
    return "#" + "".join(f"{round(255 * part):02x}" for part in shade)


def colours_of(spec: LabelMapSpec) -> np.ndarray:
    """(K, 3) uint8."""
    return triples(spec.palette).astype(np.uint8)


# Writing


def encoded_png(indices: np.ndarray, spec: LabelMapSpec, note: dict[str, str]) -> bytes:
    """One map (H, W) as an indexed PNG whose numbers are those of the files it was learnt from; 16-bit grey beyond 255."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    numbers = np.asarray(spec.values)[indices]
    tag = PngInfo()
    for key, text in {"Description": SYNTHETIC, **note}.items():
        tag.add_text(key, text)
    buffer = io.BytesIO()
    if max(spec.values) > 255:
        Image.fromarray(numbers.astype(np.uint16)).save(buffer, format="PNG", pnginfo=tag)
        return buffer.getvalue()
    image = Image.fromarray(numbers.astype(np.uint8), mode="P")
    table = np.zeros((256, 3), np.uint8)
    table[list(spec.values)] = colours_of(spec)
    image.putpalette(table.tobytes())
    image.save(buffer, format="PNG", pnginfo=tag, bits=8)
    return buffer.getvalue()


def encoded_table(spec: LabelMapSpec) -> bytes:
    """The `classes.csv` of a spec."""
    import csv

    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["value", "class", "colour"])
    rows.writerows(zip(spec.values, spec.names, spec.palette, strict=True))
    return text.getvalue().encode()


def palette_of(values: list[int], known: Classes | None, palettes: set[tuple[str, ...]]) -> tuple[str, ...]:
    """A colour each: that of `classes.csv`, else of the palette that all files share, else a usual one."""
    shared = next(iter(palettes)) if len(palettes) == 1 else ()
    given = {} if known is None else known.colours
    found = []
    for index, value in enumerate(values):
        own = shared[value] if value < len(shared) else usual_colour(index)
        found.append(given.get(value, own))
    return tuple(found)
