"""Opening data: a folder, a file, an array or a phantom becomes one memory-mapped array with a held-out part.

`open_data` lists the files, decodes and resizes them once into the cache, finds out what they are (the spec) and which
belong together, and splits whole groups off before training. Not for augmentation or batching, which happen later on
tensors, and not for writing files.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, GanvasError, did_you_mean
from ..kinds import is_kind, kind_of
from ..specs import ImageSpec, PointsSpec, Spec, spec_from_dict
from . import cache as caching
from ._filling import conclude
from ._filling import fill as fill_from
from .listing import Listing, list_files, natural
from .resize import FITS, convert_channels, parse_size
from .splits import hold_out

if TYPE_CHECKING:
    from .readers import Picture


MOST_OF_FREE = 0.9  # of the records that may be held out, where others must not be


@dataclass
class Dataset:
    """Records of one kind, in file units, with what belongs to each.

    values: memory-mapped, read-only: images (N, H, W, C) uint8, uint16 or float32, or points (N, D) float32. The spec's
    low and high (or centre and scale) map them to about [-1, 1]; a few values may lie outside.
    labels: (N,) int64, an index into `spec.classes`, or None. groups: (N,) int64; records of one group (a patient, a
    volume, near twins) are never on both sides of the split. heldout: (N,) bool. source: as the user named it.
    fingerprint: a hash of the content and of every setting that changes the values or the split. notes: what was
    skipped, changed or is worth knowing, one line each. declared_split: whether the data itself says what is held out (a
    `split` column, `train` and `test` folders).
    """

    spec: Spec
    values: np.ndarray
    labels: np.ndarray | None
    groups: np.ndarray
    heldout: np.ndarray
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()
    declared_split: bool = False

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
    rate: int | None = None,
    kinds: tuple[str, ...] = (),
) -> Dataset:
    """A data set ready to train on.

    source: a folder of PNG, JPEG, BMP, TIFF, WebP, DICOM or NIfTI files (at any depth), one such file, an .npz or .npy
    array, a .csv of points, the name of a phantom, an array (N, H, W), (N, H, W, C) or (N, D), or a Dataset (returned
    as it is). Labels come from `labels.csv` (file,label), else from class sub-folders; groups and the split from
    `groups.csv` (file,group,split).

    size: one number means a square of that side, a pair means (height, width); None keeps the size all files share.
    fit: how another aspect is met: `crop` the centre, `pad` with the border's median, `stretch`; or `patches`: every picture
    is cut at its own scale into pieces of `size`, which make one group. channels: 1 or 3 turns colour into grey or grey
    into RGB; None wants all files alike. axis: along which a volume is sliced.
    heldout: share of the records held out, whole groups at a time, every label in proportion; a `split` column decides
    alone. Groups are those of `groups.csv`, else of the hashed PatientID, else of the volume, else near twins.
    seed: of the split, of `limit` and of a phantom. strict: an unreadable file is an error instead of a note.
    cache: folder for decoded data (default `$GANVAS_CACHE` or the user's cache folder). phantom_count: how many records
    of a phantom. limit: at most so many records, drawn at random. rate: of sound, in Hz. kinds: what the data may be, where
    its files leave that open (a CSV of points or of sensor series). For sound and series, size is the length of a record,
    for solids the voxels of a side.

    Raises DataError when nothing usable is there, when files disagree in size, channels or depth, and for tables that
    do not fit; GanvasError for settings out of range; RunError when the cache cannot be written.
    """
    if isinstance(source, Dataset):
        return source
    other = None
    if isinstance(source, str | Path):
        from ..kinds import recognise

        other = recognise(Path(source).expanduser(), kinds)
    wanted = size if other is not None else parse_size(size)
    if fit not in FITS:
        raise GanvasError(f"fit '{fit}' is not known: choose one of {', '.join(FITS)}")
    if fit == "patches" and wanted is None:
        raise GanvasError("patches of which size? Give one, as in --size 96")
    if not 0 <= heldout < 1:
        raise GanvasError(f"heldout {heldout} is out of range: give a share from 0 to below 1, as in 0.2")
    if channels is not None and not 1 <= channels <= 8:
        raise GanvasError(f"channels {channels} is out of range: give 1 for grey or 3 for colour")
    for name, number in (("limit", limit), ("phantom_count", phantom_count)):
        if number is not None and number < 1:
            raise GanvasError(f"{name} {number} is out of range: give 1 or more")
    settings = {"size": wanted, "channels": channels, "fit": fit, "axis": axis}
    if other is not None:
        settings |= {"kind": other, "rate": rate}
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
    if path.suffix.lower() == ".csv" and "kind" not in settings:
        entry = _from_points(path, store)
    else:
        kind = kind_of(settings["kind"]) if "kind" in settings else None
        listing = list_files(path) if kind is None else list_files(path, kind.suffixes, kind.noun)
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
        writer.facts.setdefault("fingerprint", caching.digest(content_key, writer.facts.get("made")))

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
        if "kind" in settings:
            kind_of(settings["kind"]).fill(writer, listing, settings, progress, strict)
            # A length that was found and the same length asked for give the same records: they are named by what they are.
            writer.facts["fingerprint"] = writer.content()
        else:
            fill_from(writer, listing, settings, progress, strict)
        for before, after in zip(looks, _looks(files)[0], strict=True):
            if before != after:  # the entry would carry the name of bytes it was not made from
                raise DataError(f"{before[0]}: changed while it was being read: wait until it is complete")

    code = Path(__file__).parent if "kind" not in settings else Path(__file__).parents[1] / "kinds"
    entry = _entry(store, content, fill, code)
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
        fill_from(writer, listing, settings, progress, False, _rows(images))

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
        if made.values.ndim == 2 and made.spec is None:
            _fill_points(writer, made.values, made.labels, classes)
            return
        # Records of one subject (the T1 and the T2 of a head) belong together; without a subject each is its own.
        subjects = np.array([fact.get("subject", i) for i, fact in enumerate(made.facts)] or range(count))
        if made.spec is not None:
            for name in ("rate", "channels"):
                asked = settings.get(name)
                if asked not in (None, own := getattr(made.spec, name, asked)):
                    raise DataError(f"phantom '{text}': its {name} is {own}, not {asked}: leave out --{name}")
            for record in made.values:
                writer.row(record)
            conclude(writer, made.spec, made.labels if made.spec.classes else None, subjects, None, [])
            writer.facts["fingerprint"] = writer.content()
            return
        for pixels in made.values:
            writer.row(pixels if settings["channels"] is None else convert_channels(pixels, settings["channels"]))
        depth = made.values.dtype.itemsize * 8
        rows, columns, colours = writer.rows().shape[1:]
        spec = ImageSpec(colours, rows, columns, depth, 0.0, float(2**depth - 1), classes)
        conclude(writer, spec, made.labels, subjects, None, [])

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
    conclude(writer, spec, labels, groups, None, [])


def _held_out(
    spec: Spec, values: np.ndarray, groups: np.ndarray, labels: np.ndarray | None, share: float, seed: int, notes: list[str]
) -> np.ndarray:  # fmt: skip
    """`hold_out`, of the records that may be held out: the share is that of all, as far as there are enough."""
    kept = kind_of(spec.kind).kept(values, spec) if is_kind(spec.kind) else None
    if kept is None or not share:
        return hold_out(groups, labels, share, seed)
    free = np.flatnonzero(~kept)
    wanted = share * len(values) / max(1, len(free))
    if wanted > MOST_OF_FREE:
        notes.append(f"only {len(free)} of {len(values)} records may be held out: {MOST_OF_FREE:.0%} of these are")
    out = np.zeros(len(values), bool)
    out[free] = hold_out(groups[free], None if labels is None else labels[free], min(wanted, MOST_OF_FREE), seed)
    return out


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
        out = _held_out(spec, values, groups, labels, heldout, seed, notes)
        if heldout and not out.any():
            what = "one record" if len(values) == 1 else f"{len(values)} records in {len(np.unique(groups))} groups"
            notes.append(f"nothing is held out: {what} cannot be split, so no measure against unseen data will be possible")
    if not (~out).any():
        raise DataError(f"{source}: nothing is left to train on after the split: mark some files as 'train'")
    fingerprint = caching.digest(facts["fingerprint"], heldout if split is None else None, seed, limit)
    return Dataset(spec, values, labels, groups, out, source, fingerprint, tuple(notes), split is not None)
