"""Opening data: a folder, a file, an array or a phantom becomes one memory-mapped array with a held-out part.

`open_data` lists the files, decodes and resizes them once into the cache, finds out what they are (the spec) and which
belong together, and splits whole groups off before training. Not for augmentation or batching, which happen later on
tensors, and not for writing files.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, GanvasError, did_you_mean
from ..specs import ImageSpec, PointsSpec, Spec, spec_from_dict, spec_to_dict
from . import cache as caching
from .listing import Listing, list_files, natural, some
from .resize import FITS, convert_channels, parse_size, resize, thumbnail
from .splits import MOST, hold_out, join, with_fewer_links

if TYPE_CHECKING:
    from .readers import Picture

NOTED = 20
"""At most this many skipped files are named in the notes; `ganvas data check` lists all."""


@dataclass
class Dataset:
    """Records of one kind, in file units, with what belongs to each.

    values: memory-mapped, read-only: images (N, H, W, C) uint8, uint16 or float32, or points (N, D) float32. The spec's
    low and high (or centre and scale) map them to about [-1, 1]; a few values may lie outside.
    labels: (N,) int64, an index into `spec.classes`, or None. groups: (N,) int64; records of one group (a patient, a
    volume, near twins) are never on both sides of the split. heldout: (N,) bool. source: as the user named it.
    fingerprint: a hash of the content and of every setting that changes the values or the split. notes: what was
    skipped, changed or is worth knowing, one line each.
    """

    spec: Spec
    values: np.ndarray
    labels: np.ndarray | None
    groups: np.ndarray
    heldout: np.ndarray
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def train_indices(self) -> np.ndarray:
        """Indices (int64, ascending) of the records to train on."""
        return np.flatnonzero(~self.heldout)

    def heldout_indices(self) -> np.ndarray:
        """Indices (int64, ascending) of the records kept away from training."""
        return np.flatnonzero(self.heldout)


def open_data(
    source: str | Path | np.ndarray | Dataset,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    fit: str = "crop",
    axis: int | None = None,
    heldout: float = 0.2,
    seed: int = 0,
    strict: bool = False,
    cache: Path | None = None,
    phantom_count: int = 4000,
    progress: bool = True,
    limit: int | None = None,
) -> Dataset:
    """A data set ready to train on.

    source: a folder of PNG, JPEG, BMP, TIFF, WebP, DICOM or NIfTI files (at any depth), one such file, an .npz or .npy
    array, a .csv of points, the name of a phantom, an array (N, H, W), (N, H, W, C) or (N, D), or a Dataset (returned
    as it is). Labels come from `labels.csv` (file,label), else from class sub-folders; groups and the split from
    `groups.csv` (file,group,split).

    size: one number means a square of that side, a pair means (height, width); None keeps the size all files share.
    fit: how another aspect is met: `crop` the centre, `pad` with the border's median, `stretch`. channels: 1 or 3 turns
    colour into grey or grey into RGB; None wants all files alike. axis: along which a volume is sliced.
    heldout: share of the records held out, whole groups at a time, every label in proportion; a `split` column decides
    alone. Groups are those of `groups.csv`, else of the hashed PatientID, else of the volume, else near twins.
    seed: of the split, of `limit` and of a phantom. strict: an unreadable file is an error instead of a note.
    cache: folder for decoded data (default `$GANVAS_CACHE` or the user's cache folder). phantom_count: how many records
    of a phantom. limit: at most so many records, drawn at random.

    Raises DataError when nothing usable is there, when files disagree in size, channels or depth, and for tables that
    do not fit; GanvasError for settings out of range; RunError when the cache cannot be written.
    """
    if isinstance(source, Dataset):
        return source
    wanted = parse_size(size)
    if fit not in FITS:
        raise GanvasError(f"fit '{fit}' is not known: choose one of {', '.join(FITS)}")
    if not 0 <= heldout < 1:
        raise GanvasError(f"heldout {heldout} is out of range: give a share from 0 to below 1, as in 0.2")
    if channels is not None and not 1 <= channels <= 8:
        raise GanvasError(f"channels {channels} is out of range: give 1 for grey or 3 for colour")
    for name, number in (("limit", limit), ("phantom_count", phantom_count)):
        if number is not None and number < 1:
            raise GanvasError(f"{name} {number} is out of range: give 1 or more")
    settings = {"size": wanted, "channels": channels, "fit": fit, "axis": axis}
    store = caching.Cache(cache)
    notes: list[str] = []
    if isinstance(source, np.ndarray):
        entry = _from_array(source, settings, store, progress)
    else:
        entry, notes = _from_name(source, settings, store, phantom_count, seed, strict, progress, limit)
    where = "the array" if isinstance(source, np.ndarray) else str(source)
    return _finish(entry, where, notes, heldout, seed, limit)


def _from_name(
    source: str | Path, settings: dict[str, Any], store: caching.Cache, count: int, seed: int, strict: bool,
    progress: bool, limit: int | None,
) -> tuple[caching.Entry, list[str]]:  # fmt: skip
    path = Path(source).expanduser()
    notes: list[str] = []
    if len(path.parts) == 1 or not path.exists():
        from . import phantoms

        if path.exists() and str(source) in phantoms.catalogue():
            notes.append(f"'{source}' is taken as the file or folder of that name, not as the phantom")
        elif phantoms.is_phantom(str(source)):
            count = count if limit is None else min(count, limit)
            return _from_phantom(str(source), settings, store, count, seed, progress), notes
        elif not path.exists() and len(path.parts) == 1:
            close = did_you_mean(str(source), list(phantoms.catalogue()))
            if close:
                raise DataError(f"{source}: neither a file, a folder nor a phantom{close}: see  ganvas data list")
    if path.suffix.lower() == ".csv":
        entry = _from_points(path, store)
    else:
        listing = list_files(path)
        if limit is not None and len(listing.files) > limit:
            chosen = np.random.default_rng([seed, 0x11]).choice(len(listing.files), limit, replace=False)
            listing = listing.chosen(np.sort(chosen))
        entry = _from_files(listing, settings, store, strict, progress)
    return entry, notes


def _entry(store: caching.Cache, content_key: str, fill: Any, code: Path = Path(__file__).parent) -> caching.Entry:
    """The entry of this content, made if need be by the modules in `code`.

    Its facts carry the fingerprint of the content, whatever code read it.
    """
    key = caching.digest(content_key, caching.code_digest(code))

    def fill_and_sign(writer: caching.Writer) -> None:
        fill(writer)
        writer.facts["fingerprint"] = caching.digest(content_key, writer.facts.get("made"))

    entry, note = store.open(key)
    if entry is None:
        entry = store.make(key, fill_and_sign)
    if note:
        entry.facts["notes"].insert(0, note)
    return entry


def _from_files(
    listing: Listing, settings: dict[str, Any], store: caching.Cache, strict: bool, progress: bool
) -> caching.Entry:
    files = listing.files + listing.tables
    content, looks = _content_key(files, [settings, listing.names], store, progress)

    def fill(writer: caching.Writer) -> None:
        _fill(writer, listing, settings, progress, strict)
        for before, after in zip(looks, _looks(files)[0], strict=True):
            if before != after:  # the entry would carry the name of bytes it was not made from
                raise DataError(f"{before[0]}: changed while it was being read: wait until it is complete")

    entry = _entry(store, content, fill)
    if strict and entry.facts["skipped"]:
        name, reason = entry.facts["skipped"][0]
        raise DataError(reason if name in reason else f"{name}: {reason}")
    return entry


def _looks(files: list[Path]) -> tuple[list[list[Any]], bool]:
    try:
        return caching.look(files)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename}: vanished while it was being opened: is another program at work?") from error
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be reached ({error.strerror})") from error


def _content_key(files: list[Path], key: list[Any], store: caching.Cache, progress: bool) -> tuple[str, list[list[Any]]]:
    """The content key of files and settings, and how the files look."""
    looks, settled = _looks(files)
    look_key = caching.digest("files", key, looks)
    known = store.recall(look_key)
    if known is not None:
        return known, looks
    sums = list(caching.in_parallel(caching.file_digest, files, what="reading", progress=progress))
    content = caching.digest("files", key, sums)
    if settled:
        store.remember(look_key, content)
    return content, looks


def _from_array(array: np.ndarray, settings: dict[str, Any], store: caching.Cache, progress: bool) -> caching.Entry:
    if array.dtype == np.float64 or array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype not in (np.uint8, np.uint16, np.float32):
        raise DataError(f"the array holds {array.dtype}: give uint8, uint16 or float32")
    if array.ndim not in (2, 3, 4) or 0 in array.shape:
        raise DataError(f"the array has shape {array.shape}: give images (N, H, W), (N, H, W, C) or points (N, D)")
    if array.dtype == np.float32 and not np.isfinite(array).all():
        raise DataError("the array holds NaN or infinity: replace them first")
    body = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    if array.ndim == 2:
        points = array.astype(np.float32)
        key = caching.digest("points", body, points.shape)
        return _entry(store, key, lambda writer: _fill_points(writer, points, None, ()))
    images = array[..., None] if array.ndim == 3 else array
    if images.shape[3] > 8:
        raise DataError(f"the array has shape {array.shape}: channels come last, 1 to 8 of them")
    listing = Listing(Path("the array"), [Path("array.npy")], ["the array"], [None], [None], [None])
    key = caching.digest("array", settings, body, images.shape, str(images.dtype))

    def fill(writer: caching.Writer) -> None:
        _fill(writer, listing, settings, progress, False, _rows(images))

    return _entry(store, key, fill)


def _rows(images: np.ndarray) -> Iterator[Picture]:
    from .readers import Picture

    depth = images.dtype.itemsize * 8
    low, high = (np.nan, np.nan) if depth == 32 else (0.0, float(2**depth - 1))
    for index, pixels in enumerate(images):
        yield Picture(pixels=pixels, depth=depth, low=low, high=high, index=index)


def _from_points(path: Path, store: caching.Cache) -> caching.Entry:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    content, _ = _content_key([path], ["points"], store, False)
    return _entry(store, content, lambda writer: _fill_points(writer, *read_labelled_points(path)))


def read_labelled_points(path: Path) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Points (N, D) float32 of a CSV, with labels (N,) int64 and class names where its header has a column `label`.

    Raises DataError naming the line that is not a row of finite numbers.
    """
    from .readers import read_points

    try:
        rows = list(csv.reader(path.read_bytes().decode("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error):
        rows = []  # the reader says what is wrong
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if header.count("label") != 1 or len(header) < 2:
        return read_points(path)[0], None, ()
    place = header.index("label")
    names, points = [], []
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        try:
            values = [float(cell) for k, cell in enumerate(row) if k != place]
        except ValueError:
            values = []
        if len(row) != len(header) or not np.isfinite(values).all() or not values or not row[place].strip():
            raise DataError(f"{path}: line {number} is not {len(header) - 1} numbers and a label: mend that line")
        names.append(row[place].strip())
        points.append(values)
    if not points:
        raise DataError(f"{path}: a header but no points: write one point a line, as in  0.5,1.2,a")
    classes = tuple(sorted(set(names), key=natural))
    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index[name] for name in names], np.int64)
    return np.array(points, np.float32), *((labels, classes) if len(classes) > 1 else (None, ()))


def _from_phantom(
    text: str, settings: dict[str, Any], store: caching.Cache, count: int, seed: int, progress: bool
) -> caching.Entry:
    from . import phantoms

    wanted = settings["size"]
    key = caching.digest("phantom", text, count, seed, settings)

    def fill(writer: caching.Writer) -> None:
        with caching.busy(f"making {count} records of {text}", progress):
            made = phantoms.make_phantom(text, count, seed, **({} if wanted is None else {"size": wanted}))
        # Other code may make other records under the same name and seed, which the fingerprint must show.
        writer.facts["made"] = hashlib.sha256(np.ascontiguousarray(made.values).data).hexdigest()
        classes = () if made.labels is None else made.classes
        if made.values.ndim == 2:
            _fill_points(writer, made.values, made.labels, classes)
            return
        for pixels in made.values:
            writer.row(pixels if settings["channels"] is None else convert_channels(pixels, settings["channels"]))
        depth = made.values.dtype.itemsize * 8
        rows, columns, colours = writer.rows().shape[1:]
        spec = ImageSpec(colours, rows, columns, depth, 0.0, float(2**depth - 1), classes)
        # Records of one subject (the T1 and the T2 of a head) belong together; without a subject each is its own.
        subjects = np.array([fact.get("subject", i) for i, fact in enumerate(made.facts)] or range(count))
        _conclude(writer, spec, made.labels, subjects, None, [])

    return _entry(store, key, fill, Path(phantoms.__file__).parent)


def _fill_points(writer: caching.Writer, points: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...]) -> None:
    for row in np.ascontiguousarray(points, np.float32):
        writer.row(row)
    low, high = np.percentile(points.astype(np.float64), (0.1, 99.9), axis=0)
    scale = float((high - low).max() / 2)
    if not scale > 0:
        raise DataError("all points are the same: nothing to learn")
    centre = tuple(float(c) for c in (low + high) / 2)
    spec = PointsSpec(points.shape[1], centre, scale, classes)
    # Equal points must stay on one side of the split, as equal pictures do.
    groups = np.unique(points, axis=0, return_inverse=True)[1].reshape(-1)
    _conclude(writer, spec, labels, groups, None, [])


_WRITTEN = np.empty(0)  # in the place of pixels no longer needed: a view would keep them in memory


@dataclass
class _Row:
    """One decoded picture, ready to be written."""

    pixels: np.ndarray
    thumb: np.ndarray
    content: bytes
    native: tuple[int, int]
    colours: int
    depth: int
    low: float
    high: float
    least: float
    most: float
    spacing: tuple[float, float] | None
    group: str | None
    label: str | None
    warnings: tuple[str, ...]
    enlarged: bool


@dataclass
class _File:
    """One decoded file: its rows, or why there are none."""

    place: int
    rows: list[_Row] = field(default_factory=list)
    error: str | None = None


class _Unfit(DataError):
    """A readable file that cannot be brought to the settings: an error, where an unreadable one is skipped."""


def _prepare(picture: Picture, settings: dict[str, Any], name: str) -> _Row:
    pixels = picture.pixels
    native, colours = (pixels.shape[0], pixels.shape[1]), pixels.shape[2]
    if settings["channels"] is not None:
        try:
            pixels = convert_channels(pixels, settings["channels"])
        except GanvasError as error:
            raise _Unfit(f"{name}: {error}") from error
    span, wanted = (1.0, 1.0), settings["size"]
    if wanted is not None:
        pixels, span = resize(pixels, wanted, settings["fit"])
    spacing = picture.spacing
    if spacing is not None:
        spacing = (spacing[0] * span[0], spacing[1] * span[1])
    pixels = np.ascontiguousarray(pixels)
    return _Row(
        pixels, thumbnail(pixels).astype(np.float16), hashlib.blake2b(pixels.data, digest_size=16).digest(), native,
        colours, picture.depth, float(picture.low), float(picture.high), float(pixels.min()), float(pixels.max()),
        spacing, picture.group, None if picture.label is None else str(picture.label), tuple(picture.warnings),
        min(span) < 1,
    )  # fmt: skip


def _decode(listing: Listing, settings: dict[str, Any], pictures: Iterable[Picture] | None, progress: bool) -> Any:
    """Yields a `_File` per file in order; a source of one file is passed on picture by picture, as it may be large."""
    from .readers import read

    if pictures is None and len(listing.files) > 1:

        def work(place: int) -> _File:
            try:
                pictures = read(listing.files[place], axis=settings["axis"])
                return _File(place, [_prepare(picture, settings, listing.names[place]) for picture in pictures])
            except _Unfit as error:
                raise DataError(str(error)) from error
            except DataError as error:
                return _File(place, error=str(error))

        yield from caching.in_parallel(work, list(range(len(listing.files))), what="decoding", progress=progress)
        return

    def one(picture: Picture) -> _File:
        return _File(0, [_prepare(picture, settings, listing.names[0])])

    source = pictures if pictures is not None else read(listing.files[0], axis=settings["axis"])
    yield from caching.in_parallel(one, source, what="decoding", progress=progress)


def _fill(
    writer: caching.Writer, listing: Listing, settings: dict[str, Any], progress: bool, strict: bool,
    pictures: Iterable[Picture] | None = None,
) -> None:  # fmt: skip
    """Decode everything into the writer and work out spec, labels, groups and notes.

    Whole numbers and floats in one folder (volumes with and without negative values) are all kept as floats if no file
    declares a range of its own: the values then mean the same in both.
    """
    kept: list[_Row] = []
    as_float = False
    places: list[int] = []
    skipped: list[tuple[str, str]] = []
    shapes: dict[str, dict[Any, list[str]]] = {"size": {}, "channels": {}, "depth": {}}
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
                shapes["depth"] = {32: [name for names in shapes["depth"].values() for name in names]}
                for earlier in kept:
                    earlier.depth = 32
            if as_float and plain and row.depth == 16:
                row.pixels, row.depth = row.pixels.astype(np.float32), 32
            size = row.pixels.shape[:2]
            for what, value in (("size", size), ("channels", row.pixels.shape[2]), ("depth", row.depth)):
                names = shapes[what].setdefault(value, [])
                if not names or names[-1] != name:
                    names.append(name)
            if any(len(values) > 1 for values in shapes.values()):
                budget -= 1
                if budget < 0:
                    break
                continue
            writer.row(row.pixels)
            row.pixels = _WRITTEN
            if len(kept) >= MOST:
                row.thumb = _WRITTEN
            kept.append(row)
            places.append(file.place)
        if budget < 0:
            break
    _agree(listing, shapes, partly=budget < 0)
    if not kept:
        if len(listing.files) == 1 and skipped:
            raise DataError(skipped[0][1])
        reason = f": {skipped[0][1]}" if skipped else ""
        raise DataError(f"{listing.source}: none of {len(listing.files)} files could be read{reason}")
    notes = _notes(listing, kept, places, skipped, settings)
    low, high = _value_range(writer, kept, notes)
    labels, classes = _labels(listing, kept, places, notes)
    groups = _groups(listing, kept, places, notes)
    held = np.array([-1 if listing.heldout[p] is None else int(bool(listing.heldout[p])) for p in places], np.int8)
    rows, columns, colours = writer.rows().shape[1:]
    depth = kept[0].depth
    spec = ImageSpec(colours, rows, columns, depth, low, high, classes, _spacing(kept, notes), _format(listing, depth, colours))
    writer.facts["skipped"] = skipped
    _conclude(writer, spec, labels, groups, held if (held >= 0).any() else None, notes)


def _conclude(
    writer: caching.Writer, spec: Spec, labels: np.ndarray | None, groups: np.ndarray, held: np.ndarray | None,
    notes: list[str],
) -> None:  # fmt: skip
    if labels is not None:
        writer.array("labels", np.asarray(labels, np.int64))
    writer.array("groups", np.unique(groups, return_inverse=True)[1].reshape(-1).astype(np.int64))
    if held is not None:
        writer.array("split", held)
    writer.facts.update(spec=spec_to_dict(spec), notes=notes, labelled=labels is not None, split=held is not None)
    writer.facts.setdefault("skipped", [])


def _agree(listing: Listing, shapes: dict[str, dict[Any, list[str]]], partly: bool) -> None:
    """Raises DataError when the files differ in depth, channels or size."""

    def told(what: str, name: Any) -> str:
        groups = sorted(shapes[what].items(), key=lambda item: -len(item[1]))
        shown = [f"{name(value)} ({len(files)}: {some(files, 2)})" for value, files in groups[:4]]
        more = f" and {len(groups) - 4} others" if len(groups) > 4 else ""
        return ", ".join(shown) + more + (", among those read so far" if partly else "")

    if len(shapes["depth"]) > 1:
        raise DataError(
            f"{listing.source} mixes depths: {told('depth', lambda d: 'float' if d == 32 else f'{d}-bit')}: "
            "convert them to one depth or keep them in separate folders"
        )
    if len(shapes["channels"]) > 1:
        names = {1: "grey", 3: "colour"}
        fix = (
            "--channels 1 (all grey) or --channels 3 (all colour)"
            if set(shapes["channels"]) == {1, 3}
            else ("keep one kind in the folder")
        )
        raise DataError(f"{listing.source} mixes channels: {told('channels', lambda c: names.get(c, f'{c} channels'))}: {fix}")
    if len(shapes["size"]) > 1:
        side = min(min(size) for size in shapes["size"])
        power = 1 << max(3, min(7, side.bit_length() - 1))
        raise DataError(
            f"{listing.source} mixes sizes: {told('size', lambda s: f'{s[0]}x{s[1]}')}: "
            f"choose one, as in --size {power} or --size {power}x{power * 3 // 2} (height x width)"
        )


def _notes(
    listing: Listing, kept: list[_Row], places: list[int], skipped: list[tuple[str, str]], settings: dict[str, Any]
) -> list[str]:
    notes = list(listing.notes)
    for name, reason in skipped[:NOTED]:
        notes.append(f"skipped {reason}" if name in reason else f"skipped {name}: {reason}")
    if len(skipped) > NOTED:
        notes.append(f"skipped {len(skipped) - NOTED} more unreadable files: ganvas data check lists them all")
    warned: dict[str, list[str]] = {}
    for row, place in zip(kept, places, strict=True):
        for warning in row.warnings:
            names = warned.setdefault(warning, [])
            if not names or names[-1] != listing.names[place]:
                names.append(listing.names[place])
    notes += [f"{warning} ({some(names)})" for warning, names in warned.items()]
    if wanted := settings["size"]:
        enlarged = sum(row.enlarged for row in kept)
        if enlarged:
            notes.append(f"{enlarged} of {len(kept)} pictures were smaller than {wanted[0]}x{wanted[1]} and enlarged")
        odd = Counter(row.native for row in kept if abs(row.native[0] * wanted[1] / (row.native[1] * wanted[0]) - 1) > 0.02)
        if odd:
            (high, wide), many = odd.most_common(1)[0]
            verb = {"crop": "cropped", "pad": "padded", "stretch": "stretched"}[settings["fit"]]
            notes.append(
                f"{sum(odd.values())} of {len(kept)} pictures were {verb} to {wanted[0]}x{wanted[1]} ({many} are {high}x{wide})"
            )
    if (colours := settings["channels"]) is not None:
        changed = sum(row.colours != colours for row in kept)
        if changed:
            notes.append(f"{changed} of {len(kept)} pictures were turned into {'grey' if colours == 1 else 'colour'}")
    return notes


def _sample(values: np.ndarray, pictures: int = 2000, pixels: int = 1000) -> np.ndarray:
    """Values (float64) drawn evenly over the pictures and at seeded random places in each."""
    rng = np.random.default_rng(0)
    chosen = np.unique(np.linspace(0, len(values) - 1, min(len(values), pictures)).astype(np.int64))
    flat = values.reshape(len(values), -1)
    places = rng.integers(0, flat.shape[1], min(flat.shape[1], pixels))
    if flat.shape[1] <= pixels:
        places = np.arange(flat.shape[1])
    return np.concatenate([flat[i][places] for i in chosen]).astype(np.float64)


def _value_range(writer: caching.Writer, kept: list[_Row], notes: list[str]) -> tuple[float, float]:
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
        return _robust(writer, "no value range is declared", notes)
    if (lows != lows[0]).any() or (highs != highs[0]).any():
        if depth == 32:  # Hounsfield units and the like mean the same in every file, whatever window it is shown with
            return _robust(writer, "files declare different windows", notes)
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
    if depth == 16 and (low, high) == (0.0, 65535.0):
        bits = next(bits for bits in (8, 10, 12, 14, 16) if most < 2**bits)  # what sensors come in
        high = float(2**bits - 1)
        ends = np.percentile(_sample(writer.rows()), (0.1, 99.9))
        if ends[1] - ends[0] < 0.5 * (high - low):
            return _robust(writer, f"values fill less than half of 0 to {high:.0f}", notes)
        if bits < 16:
            notes.append(f"16-bit files that use {bits} bits: {high:.0f} counts as white")
    return low, high


def _robust(writer: caching.Writer, why: str, notes: list[str]) -> tuple[float, float]:
    sample = _sample(writer.rows())
    low, high = (float(v) for v in np.percentile(sample, (0.1, 99.9)))
    if not high > low:
        low, high = float(sample.min()), float(sample.max())
    if not high > low:
        raise DataError(f"nearly all pixels have the value {low:g}: nothing to learn")
    clipped = float(((sample < low) | (sample > high)).mean())
    notes.append(f"{why}: {low:.6g} to {high:.6g} (0.1 and 99.9 percentile) is used, {clipped:.2%} of pixels saturate")
    return low, high


def _labels(
    listing: Listing, kept: list[_Row], places: list[int], notes: list[str]
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
    if all(name is None for name in names):
        return None, ()
    if any(name is None for name in names):
        raise DataError(f"{listing.source}: some records have a label and some have none: label all or none")
    classes = sorted({str(name) for name in names}, key=natural)
    if len(classes) == 1:
        notes.append(f"no labels: all records are of the one class '{classes[0]}'")
        return None, ()
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[str(name)] for name in names], np.int64), tuple(classes)


def _groups(listing: Listing, kept: list[_Row], places: list[int], notes: list[str]) -> np.ndarray:
    """Group numbers (N,): `groups.csv`, else patient and volume, else near twins; equal pictures are joined always."""
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
    if len(set(patients)) == 1 and patients[0] is not None and n > 1:
        if len(listing.files) > 1:
            notes.append(
                "every file has the same PatientID, so near twins make the groups: if these are slices of one scan, "
                "the held-out part is not independent"
            )
        patients = [None] * n
    volumes = [place if place in several and len(listing.files) > 1 else None for place in places]
    unite(patients)
    unite(volumes)
    unite([row.content for row in kept])
    known = [p is not None or v is not None for p, v in zip(patients, volumes, strict=True)]
    if all(known):
        return parent
    if len(listing.files) == 1 and n > 1 and _kind(listing.files[0]) in ("nifti", "dicom"):
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
        notes.append(
            f"{linked} of {n} pictures are near twins of others (correlation {threshold:g} or more): "
            "twins stay on one side of the split"
        )
    return parent


def _runs(n: int, pieces: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring slices in ten runs: (first of the run, slice)."""
    run = np.arange(n) * min(pieces, n) // n
    first = np.searchsorted(run, run)
    return first, np.arange(n)


def _spacing(kept: list[_Row], notes: list[str]) -> tuple[float, float] | None:
    known = [row.spacing for row in kept if row.spacing is not None]
    if not known:
        return None
    array = np.array(known)
    if len(known) < len(kept) or (array.max(axis=0) > 1.01 * array.min(axis=0)).any():
        low, high = array.min(), array.max()
        notes.append(f"pixel spacing differs between files ({low:.3g} to {high:.3g} mm) or is missing: none is kept")
        return None
    return float(array[0, 0]), float(array[0, 1])


def _kind(path: Path) -> str:
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
    kinds = {_kind(path) for path in listing.files}
    kind = kinds.pop() if len(kinds) == 1 else "png"
    if kind == "png" and (depth == 32 or colours not in (1, 3)):
        return "tiff"
    return kind


def _finish(entry: caching.Entry, source: str, notes: list[str], heldout: float, seed: int, limit: int | None) -> Dataset:
    facts = entry.facts
    values: np.ndarray = entry.values
    labels = entry.arrays["labels"] if facts["labelled"] else None
    groups = entry.arrays["groups"]
    split = entry.arrays["split"] if facts["split"] else None
    spec = spec_from_dict(facts["spec"])
    notes = [*facts["notes"], *notes]
    if limit is not None and len(values) > limit:
        chosen = np.sort(np.random.default_rng([seed, 0x12]).choice(len(values), limit, replace=False))
        values, groups = np.asarray(values[chosen]), groups[chosen]
        labels = None if labels is None else labels[chosen]
        split = None if split is None else split[chosen]
        notes.append(f"limited to {limit} of {len(entry.values)} records")
    if split is not None:
        out = split == 1
        if not heldout:
            notes.append("the split column holds records out although a share of 0 was asked for")
    else:
        out = hold_out(groups, labels, heldout, seed)
        if heldout and not out.any():
            what = "one record" if len(values) == 1 else f"{len(values)} records in {len(np.unique(groups))} groups"
            notes.append(f"nothing is held out: {what} cannot be split, so no measure against unseen data will be possible")
    if not (~out).any():
        raise DataError(f"{source}: nothing is left to train on after the split: mark some files as 'train'")
    fingerprint = caching.digest(facts["fingerprint"], heldout if split is None else None, seed, limit)
    return Dataset(spec, values, labels, groups, out, source, fingerprint, tuple(notes))
