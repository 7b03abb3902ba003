"""From decoded pictures to one array: bringing them to one shape and range, and working out labels, groups and spacing.

The middle of `dataset.open_data`, for data that comes as files or as an array of pictures. Not for finding files (`listing`),
splitting (`splits`) or keeping (`cache`).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError, MixedData
from ...store import cache as caching
from ...store.entry import conclude
from ...store.listing import Listing, class_indices
from ...store.splits import MOST, join, told_of_twins, with_fewer_links
from .picture import DECLARED, oblong
from .resize import PIECES, convert_channels, resize, thumbnail
from .spec import ImageSpec
from .tally import Names, Row, Tally, merged

if TYPE_CHECKING:
    from .readers import Picture

VOLUMES = ("nifti", "dicom")
FEW = 64
"""Files of 8 or 16 bits whose values all lie below hold labels or a mask: their greatest value counts as white."""
NARROW = 0.2
"""A class that fills less of black to white, where another fills three times as much, is told of."""
Shapes = dict[str, dict[Any, Names]]
"""What pictures are (`size`, `channels`, `depth`) -> value -> of which files."""
_WRITTEN = np.empty(0)  # in the place of pixels no longer needed: a view would keep them in memory


@dataclass
class _File:
    """One decoded file: its rows, or why there are none."""

    place: int
    rows: list[Row] = field(default_factory=list)
    error: str | None = None


class Unfit(DataError):
    """A readable file that cannot be brought to the settings: an error, where an unreadable one is skipped."""


def prepare(picture: Picture, settings: dict[str, Any], name: str) -> list[Row]:
    """The picture as one row, or as one row a patch or frame."""
    if settings["fit"] not in PIECES:
        return [_row(picture, settings, name)]
    try:
        pieces = PIECES[settings["fit"]](picture.pixels, settings["size"])
    except GanvasError as error:
        raise DataError(f"{name}: {error}") from error
    # Patches of one picture share its content: they are one group, as the pictures of a patient are.
    group = picture.group or hashlib.blake2b(os.fsencode(f"{name} {picture.index}"), digest_size=8).hexdigest()
    return [_row(replace(picture, pixels=piece, group=group), settings, name) for piece in pieces]


def _row(picture: Picture, settings: dict[str, Any], name: str) -> Row:
    pixels = picture.pixels
    native, colours = (pixels.shape[0], pixels.shape[1]), pixels.shape[2]
    if settings["channels"] is not None:
        try:
            pixels = convert_channels(pixels, settings["channels"])
        except GanvasError as error:
            raise Unfit(f"{name}: {error}") from error
    span, wanted = (1.0, 1.0), settings["size"]
    if wanted is not None and settings["fit"] not in PIECES:
        pixels, span = resize(pixels, wanted, settings["fit"])
    spacing = picture.spacing
    if spacing is not None:
        spacing = (spacing[0] * span[0], spacing[1] * span[1])
    pixels = np.ascontiguousarray(pixels)
    return Row(
        pixels, thumbnail(pixels).astype(np.float16), hashlib.blake2b(pixels.data, digest_size=16).digest(), native,
        colours, picture.depth, float(picture.low), float(picture.high), float(pixels.min()), float(pixels.max()),
        spacing, picture.group, None if picture.label is None else str(picture.label), tuple(picture.warnings),
        min(span) < 1, picture.axis, picture.heldout, picture.absolute,
    )  # fmt: skip


def _decode(listing: Listing, settings: dict[str, Any], pictures: Iterable[Picture] | None, progress: bool) -> Any:
    """Yields a `_File` per file in order; a source of one file is passed on picture by picture, as it may be large."""
    from .readers import read

    if pictures is None and len(listing.files) > 1:

        def work(place: int) -> _File:
            try:
                pictures = read(listing.files[place], axis=settings["axis"])
                rows = [row for picture in pictures for row in prepare(picture, settings, listing.names[place])]
                return _File(place, rows)
            except Unfit as error:
                raise DataError(str(error)) from error
            except DataError as error:
                return _File(place, error=str(error))

        yield from caching.in_parallel(work, list(range(len(listing.files))), what="decoding", progress=progress)
        return

    def one(picture: Picture) -> _File:
        return _File(0, prepare(picture, settings, listing.names[0]))

    source = pictures if pictures is not None else read(listing.files[0], axis=settings["axis"])
    yield from caching.in_parallel(one, source, what="decoding", progress=progress)


def fill(
    writer: caching.Writer, listing: Listing, settings: dict[str, Any], progress: bool, strict: bool,
    pictures: Iterable[Picture] | None = None,
) -> None:  # fmt: skip
    """Decode everything into the writer and work out spec, labels, groups and notes.

    Whole numbers and floats in one folder (volumes with and without negative values) are all kept as floats if no file
    declares a range of its own: the values then mean the same in both.
    """
    kept: list[Row] = []
    as_float = False
    places: list[int] = []
    skipped: list[tuple[str, str]] = []
    shapes = empty_shapes()
    tally = Tally(settings)
    budget = 200  # after the first disagreement, look this much further to say what there is
    for file in _decode(listing, settings, pictures, progress):
        name = listing.names[file.place]
        if file.error is not None:
            if strict:
                raise DataError(file.error)
            skipped.append((name, file.error))
            continue
        for row in file.rows:
            plain = np.isnan(row.low)
            if kept and plain and np.isnan(kept[0].low) and {row.depth, kept[0].depth} == {16, 32} and not as_float:
                as_float = True
                writer.as_type(np.float32)
                shapes["depth"] = {32: merged(shapes["depth"].values())}
                for earlier in kept:
                    earlier.depth = 32
            if as_float and plain and row.depth == 16:
                row.pixels, row.depth = row.pixels.astype(np.float32), 32
            if differs(shapes, row, name):
                budget -= 1
                if budget < 0:
                    break
                continue
            writer.row(row.pixels)
            row.pixels = _WRITTEN
            if len(kept) >= MOST:
                row.thumb = _WRITTEN
            kept.append(row)
            tally.add(row, name)
            places.append(file.place)
        if budget < 0:
            break
    agree(listing.source, shapes, partly=budget < 0)
    if not kept:
        if len(listing.files) == 1 and skipped:
            raise DataError(skipped[0][1])
        reason = f": {skipped[0][1]}" if skipped else ""
        raise DataError(f"{listing.source}: none of {len(listing.files)} files could be read{reason}")
    notes = tally.notes(listing.notes, skipped)
    low, high = value_range(writer, kept, notes)
    labels, classes = _labels(listing, kept, places, notes)
    if labels is not None and (told := scales_apart(class_ranges(writer.rows(), labels, classes), low, high)) is not None:
        notes.append(told)
    groups = _groups(listing, kept, places, settings["fit"] in PIECES, notes, overlapping=settings["fit"] == "crops")
    sides = [row.heldout if listing.heldout[p] is None else listing.heldout[p] for row, p in zip(kept, places, strict=True)]
    held = np.array([-1 if side is None else int(side) for side in sides], np.int8)
    rows, columns, colours = writer.rows().shape[1:]
    depth = kept[0].depth
    axes = {row.axis for row in kept}
    spec = ImageSpec(
        colours, rows, columns, depth, low, high, classes, _spacing(kept, notes), _format(listing, depth, colours),
        axis=axes.pop() if len(axes) == 1 else None,
    )  # fmt: skip
    writer.facts["skipped"] = skipped
    writer.facts.setdefault("declared", True)
    conclude(writer, spec, labels, groups, held if (held >= 0).any() else None, notes, [listing.names[p] for p in places])


def empty_shapes() -> Shapes:
    """Of no pictures."""
    return {"size": {}, "channels": {}, "depth": {}}


def differs(shapes: Shapes, row: Row, name: str) -> bool:
    """Count the size, channels and depth of a picture of the file `name`: whether there are different ones by now."""
    for what, value in (("size", row.pixels.shape[:2]), ("channels", row.pixels.shape[2]), ("depth", row.depth)):
        shapes[what].setdefault(value, Names()).add(name)
    return any(len(values) > 1 for values in shapes.values())


def agree(source: object, shapes: Shapes, partly: bool) -> None:
    """Raises DataError when the files differ in depth, channels or size."""

    def told(what: str, name: Any) -> str:
        groups = sorted(shapes[what].items(), key=lambda item: -item[1].count)
        shown = [f"{name(value)} ({files.count}: {files.some(2)})" for value, files in groups[:4]]
        more = f" and {len(groups) - 4} others" if len(groups) > 4 else ""
        return ", ".join(shown) + more + (", among those read so far" if partly else "")

    if len(shapes["depth"]) > 1:
        raise DataError(
            f"{source} mixes depths: {told('depth', lambda d: 'float' if d == 32 else f'{d}-bit')}: "
            "convert them to one depth or keep them in separate folders"
        )
    if len(shapes["channels"]) > 1:
        names = {1: "grey", 3: "colour"}
        fix = (
            "--channels 1 (all grey) or --channels 3 (all colour)"
            if set(shapes["channels"]) == {1, 3}
            else ("keep one kind in the folder")
        )
        what = f"{source} mixes channels: {told('channels', lambda c: names.get(c, f'{c} channels'))}: {fix}"
        raise MixedData(what, "channels", 3)
    if len(shapes["size"]) > 1:
        side = min(min(size) for size in shapes["size"])
        power = 1 << max(3, min(7, side.bit_length() - 1))
        raise MixedData(
            f"{source} mixes sizes: {told('size', lambda s: f'{s[0]}x{s[1]}')}: "
            f"choose one, as in --size {power} or --size {power}x{power * 3 // 2} (height x width)",
            "size",
            power,
        )


def scales_apart(ranges: Mapping[str, tuple[float, float]], low: float, high: float) -> str | None:
    """A warning where a class fills little of the values that mean black to white, and another much more of it.

    ranges: class -> (0.1, 99.9 percentile) of its values.
    """
    widths = {name: max(0.0, min(top, high) - max(bottom, low)) / (high - low) for name, (bottom, top) in ranges.items()}
    if len(widths) < 2 or not max(widths.values()) > 0:
        return None
    least = min(widths, key=lambda name: widths[name])
    if widths[least] > NARROW or max(widths.values()) < 3 * widths[least]:
        return None
    told = ", ".join(f"{name} {bottom:.5g} to {top:.5g}" for name, (bottom, top) in list(ranges.items())[:4])
    return (
        f"classes are on different scales ({told}), and {least} fills {widths[least]:.1%} of {low:.5g} to {high:.5g}, which "
        "means black to white in all: bring them to one scale"
    )


def few_values(sample: np.ndarray, most: int = 16) -> np.ndarray | None:
    """The distinct values of a large sample where these are whole and at most `most`: of a mask, or a map of labels."""
    distinct = np.unique(sample)
    few = len(distinct) <= most and len(sample) >= 64 * len(distinct)
    return distinct if few and (distinct == np.rint(distinct)).all() else None


def white_of(depth: int, most: float) -> float:
    """What counts as white in files of 8 or 16 bits that declare no more than that, by the greatest value in them.

    Sensors use 10, 12 or 14 of 16 bits. Files of 8 bits with less than 64 hold labels or a mask.
    """
    if depth == 8:
        return float(most) if 0 < most < FEW else 255.0
    return float(2 ** next(bits for bits in (8, 10, 12, 14, 16) if most < 2**bits) - 1)


def class_ranges(values: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Class -> (0.1, 99.9 percentile) of its values, from a few pictures of each; none where classes are very many."""
    if len(classes) > 50:
        return {}
    ranges = {}
    for number, name in enumerate(classes):
        own = np.flatnonzero(labels == number)
        if len(own):
            low, high = np.percentile(_sample(values, 200, places=own), (0.1, 99.9))
            ranges[name] = (float(low), float(high))
    return ranges


def _sample(values: np.ndarray, pictures: int = 2000, pixels: int = 1000, places: np.ndarray | None = None) -> np.ndarray:
    """Values (float64) drawn evenly over the pictures, or those at `places`, and at seeded random places in each."""
    rng = np.random.default_rng(0)
    among = len(values) if places is None else len(places)
    chosen = np.unique(np.linspace(0, among - 1, min(among, pictures)).astype(np.int64))
    if places is not None:
        chosen = places[chosen]
    each = int(np.prod(values.shape[1:]))
    spots = rng.integers(0, each, min(each, pixels))
    if each <= pixels:
        spots = np.arange(each)
    return np.concatenate([np.asarray(values[i]).reshape(-1)[spots] for i in chosen]).astype(np.float64)


def value_range(writer: caching.Writer, kept: list[Row], notes: list[str]) -> tuple[float, float]:
    """The values that mean -1 and +1. See the notes it adds for the rules."""
    lows, highs = np.array([row.low for row in kept]), np.array([row.high for row in kept])
    least, most = min(row.least for row in kept), max(row.most for row in kept)
    depth = kept[0].depth
    top = {8: 255.0, 16: 65535.0}.get(depth, 1.0)
    if np.isnan(lows).any() or np.isnan(highs).any():
        if least >= 0 and 0.5 < most <= 1:
            return 0.0, 1.0
        if -1 <= least < -0.5 and most <= 1:
            return -1.0, 1.0
        if most > least and (few := few_values(_sample(writer.rows()))) is not None:
            notes.append(f"holds {len(few)} different values, as masks and maps of labels do: {least:g} to {most:g} is used")
            return least, most
        return _robust(writer, "no value range is declared", notes)
    if (lows != lows[0]).any() or (highs != highs[0]).any():
        if depth == 32 or any(row.absolute for row in kept):
            # Hounsfield units and the like mean the same in every file, whatever window it is shown with
            return _robust(writer, "files declare different windows or scales", notes)
        if (highs <= lows).any():
            raise DataError("a file declares an empty value range (low = high): take it out")

        def to_common(values: np.ndarray, where: slice) -> np.ndarray:
            shape = (-1, *[1] * (values.ndim - 1))
            low, width = lows[where].reshape(shape), (highs - lows)[where].reshape(shape)
            unit = np.clip((values.astype(np.float64) - low) / width, 0, 1) * top
            return np.rint(unit).astype(values.dtype)

        writer.rewrite(to_common)
        kinds = len(set(zip(lows.tolist(), highs.tolist(), strict=True)))
        notes.append(f"files declare {kinds} different value ranges: each was mapped by its own to 0 to {top:g}")
        return 0.0, top
    low, high = float(lows[0]), float(highs[0])
    if depth in (8, 16) and (low, high) == (0.0, top):
        sample = _sample(writer.rows())
        few = few_values(sample)
        high = float(most) if few is not None and 0 < most < FEW else white_of(depth, most)
        if depth == 16 and not high < FEW:
            ends = np.percentile(sample, (0.1, 99.9))
            if ends[1] - ends[0] < 0.5 * (high - low):
                return _robust(writer, f"values fill less than half of 0 to {high:.0f}", notes)
        if high < top:
            used = f"use 0 to {high:.0f} alone" if high < FEW else f"use {round(np.log2(high + 1))} bits"
            notes.append(f"{depth}-bit files that {used}: {high:.0f} counts as white")
        if (told := crowded(few, low, high)) is not None and high >= FEW:
            notes.append(told)
    return low, high


def crowded(few: np.ndarray | None, low: float, high: float) -> str | None:
    """A warning where labels stand too near to each other to be told apart as shades of grey: 0, 1, 2 and 255."""
    if few is None or len(few) < 3 or np.diff(few).min() > (high - low) / 32:
        return None
    told = ", ".join(f"{value:g}" for value in few[:6]) + (", ..." if len(few) > 6 else "")
    return (
        f"holds {len(few)} different values ({told}), as maps of labels do: some are next to each other between black and "
        "white; spread them if they shall be learnt apart"
    )


def _robust(writer: caching.Writer, why: str, notes: list[str]) -> tuple[float, float]:
    writer.facts["declared"] = False
    low, high, _ = robust_range(writer.rows())
    if not high > low:
        raise DataError(f"nearly all pixels have the value {low:g}: nothing to learn")
    notes.append(f"{why}: the 0.1 and 99.9 percentiles of what is learnt from are black and white")
    return low, high


def robust_range(values: np.ndarray, places: np.ndarray | None = None) -> tuple[float, float, float]:
    """(0.1 percentile, 99.9 percentile, share of values beyond them) of pictures, or of those at `places`; the extremes where
    the percentiles are the same."""
    sample = _sample(values, places=places)
    low, high = (float(v) for v in np.percentile(sample, (0.1, 99.9)))
    if not high > low:
        low, high = float(sample.min()), float(sample.max())
    return low, high, float(((sample < low) | (sample > high)).mean())


def _labels(
    listing: Listing, kept: list[Row], places: list[int], notes: list[str]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    names = [row.label if listing.labels[place] is None else listing.labels[place]
             for row, place in zip(kept, places, strict=True)]  # fmt: skip
    if listing.labels_from_folders and all(row.group is not None for row in kept):
        patients: dict[str | None, set[str | None]] = {}
        for row, name in zip(kept, names, strict=True):
            patients.setdefault(name, set()).add(row.group)
        distinct = len({row.group for row in kept})
        if all(len(p) == 1 for p in patients.values()) and distinct == len(patients):
            notes.append("no labels: every sub-folder holds one patient (labels.csv can name labels)")
            return None, ()
    return class_indices(names, listing.source, "records", notes)


def _groups(
    listing: Listing, kept: list[Row], places: list[int], cut: bool, notes: list[str], *, overlapping: bool = False
) -> np.ndarray:  # fmt: skip
    """Group numbers (N,): `groups.csv`, else patient and volume, else near twins; equal pictures are joined always.

    But for those of one value that are slices of a volume or patches of a picture: nearly every volume has empty ones, which
    say nothing about where the rest comes from, and would tie all volumes into one group.
    """
    n = len(kept)
    parent = np.arange(n, dtype=np.int64)

    def unite(keys: list[Any]) -> None:
        first: dict[Any, int] = {}
        pairs = [(first.setdefault(key, i), i) for i, key in enumerate(keys) if key is not None]
        if pairs:
            join(parent, *np.array(pairs, np.int64).T)

    if any(group is not None for group in listing.groups):
        unite([listing.groups[place] for place in places])
        return parent
    several = {place for place, count in Counter(places).items() if count > 1}
    patients = [row.group for row in kept]
    if len(set(patients)) == 1 and patients[0] is not None and not patients[0].startswith(DECLARED) and n > 1:
        if len(listing.files) > 1:
            notes.append(
                "every file has the same PatientID, so near twins make the groups: if these are slices of one scan, "
                "the held-out part is not independent"
            )
        patients = [None] * n
    volumes = [place if place in several and len(listing.files) > 1 else None for place in places]
    unite(patients)
    unite(volumes)
    stacks = {place for place in volumes if place is not None}
    parts = {place for place in places if cut or place in stacks or file_kind(listing.files[place]) in VOLUMES}
    unite([None if p in parts and row.least == row.most else row.content for row, p in zip(kept, places, strict=True)])
    known = [p is not None or v is not None for p, v in zip(patients, volumes, strict=True)]
    if all(known):
        return parent
    if overlapping:
        notes.append(
            "crops of one picture overlap, so none can be held out: to judge a run, name another picture with --heldout"
        )
        join(parent, np.zeros(n, np.int64), np.arange(n))
        return parent
    if len(listing.files) == 1 and n > 1 and file_kind(listing.files[0]) in VOLUMES:
        notes.append("one volume: the held-out part is a run of neighbouring slices of it, so it is not independent")
        join(parent, *_runs(n))
        return parent
    if n > MOST:
        notes.append(f"near twins were not looked for among {n} pictures (at most {MOST}): give groups.csv")
        return parent
    sets, threshold = with_fewer_links(np.stack([row.thumb for row in kept]), seed=0)
    join(parent, sets, np.arange(n))
    linked = n - len(np.unique(sets))
    if linked:
        notes.append(told_of_twins(linked, n, threshold))
    return parent


def _runs(n: int, pieces: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring slices in ten runs: (first of the run, slice)."""
    run = np.arange(n) * min(pieces, n) // n
    first = np.searchsorted(run, run)
    return first, np.arange(n)


def _spacing(kept: list[Row], notes: list[str]) -> tuple[float, float] | None:
    known = [row.spacing for row in kept if row.spacing is not None]
    if not known:
        return None
    array = np.array(known)
    if len(known) < len(kept) or (array.max(axis=0) > 1.01 * array.min(axis=0)).any():
        low, high = array.min(), array.max()
        notes.append(f"pixel spacing differs between files ({low:.3g} to {high:.3g} mm) or is missing: none is kept")
        return None
    if (told := oblong(*array[0])) is not None:
        notes.append(told.replace("its pixels", f"pixels of {array[0, 0]:.4g} x {array[0, 1]:.4g} mm", 1))
    return float(array[0, 0]), float(array[0, 1])


def file_kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return "nifti"
    if name.endswith((".tif", ".tiff")):
        return "tiff"
    if name.endswith((".dcm", ".dicom", ".ima")) or "." not in name:
        return "dicom"
    try:
        with open(path, "rb") as stream:
            return "dicom" if stream.read(132)[128:] == b"DICM" else "png"
    except OSError:
        return "png"


def _format(listing: Listing, depth: int, colours: int) -> str:
    """What samples are written as: the files' own kind; TIFF where PNG cannot hold the depth or the channels."""
    kinds = {file_kind(path) for path in listing.files}
    kind = kinds.pop() if len(kinds) == 1 else "png"
    if kind == "png" and (depth == 32 or colours not in (1, 3)):
        return "tiff"
    return kind
