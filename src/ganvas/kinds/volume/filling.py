"""From volumes as they lie on disk to records: one side, one number format, values as declared. Not for decoding (`files`)."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError, MixedData
from ...store.entry import NOTED, conclude
from ...store.listing import Listing, class_indices, counted, some
from ...store.units import looked_through
from ..image.filling import robust_range
from .files import Scan, bundles, is_dicom, scans_of
from .resampling import FITS, at_side
from .spec import VolumeSpec

if TYPE_CHECKING:
    from ...store.cache import Writer

SMALLEST, LARGEST = 8, 512
USUAL = 64  # a side to propose
WHOLE = {8: (0.0, 255.0), 16: (0.0, 65535.0)}


@dataclass
class _Unit:
    """A file or a series. place: of its first file in the listing. scans: what was found in it, without their values."""

    name: str
    place: int
    files: list[Path]
    scans: list[Scan]
    shapes: list[tuple[int, ...]]
    depths: list[int]


def side_of(size: Any) -> int | None:
    """The side asked for. Raises GanvasError."""
    if size is None:
        return None
    if isinstance(size, tuple | list) and len(set(size)) == 1:
        size = size[0]
    if isinstance(size, str) and size.isdecimal():
        size = int(size)
    if not isinstance(size, int) or not SMALLEST <= size <= LARGEST:
        raise GanvasError(f"--size {size} does not fit volumes: give the voxels of a side, {SMALLEST} to {LARGEST}, as in 64")
    return size


def fill(writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
    """A record a volume, brought to one side (`resampling.at_side`); see `Kind.fill`. Raises DataError, GanvasError."""
    skipped: list[tuple[str, str]] = []
    units = _looked_at(listing, progress, strict, skipped)
    fit, notes = settings["fit"], list(listing.notes)
    side = _side(listing, settings.get("size"), units, fit)
    depths = Counter(depth for unit in units for depth in unit.depths)
    depth = next(iter(depths)) if len(depths) == 1 else 32
    if len(depths) > 1:
        told = ", ".join(f"{'floats' if bits == 32 else f'{bits} bits'} ({n})" for bits, n in depths.most_common())
        notes.append(f"volumes of several number formats ({told}): all are kept as floats, in their own values")
    dtype = {8: np.uint8, 16: np.uint16}.get(depth, np.float32)
    made = _resampled(writer, units, side, fit, dtype, progress)
    labels = [one.scan.label if listing.labels[one.place] is None else listing.labels[one.place] for one in made]
    low, high = _range(writer, [one.scan for one in made], depth, notes)
    notes += _told(made, side, fit, skipped)
    numbers, classes = class_indices(labels, listing.source, "volumes", notes)
    sides = np.array(
        [-1 if listing.heldout[one.place] is None else int(bool(listing.heldout[one.place])) for one in made], np.int8
    )
    apart = [one.apart for one in made if one.apart]
    spacing = tuple(float(f"{gap:.6g}") for gap in np.median(np.array(apart), 0)) if len(apart) == len(made) else ()
    arrays = all(not is_dicom(unit.name) and unit.name.lower().endswith((".npz", ".npy")) for unit in units)
    spec = VolumeSpec(side, depth, low, high, spacing, classes=classes, format="npz" if arrays else "nifti")
    writer.facts["skipped"] = skipped
    groups = _groups(listing, made, notes)
    conclude(writer, spec, numbers, groups, sides if (sides >= 0).any() else None, notes, [one.name for one in made])


@dataclass
class _Record:
    """What is known of a record that was written. apart: millimetres between its voxels, () where it is not known."""

    name: str
    place: int
    scan: Scan
    shape: tuple[int, ...]
    apart: tuple[float, ...]
    done: str
    content: bytes


def _looked_at(listing: Listing, progress: bool, strict: bool, skipped: list[tuple[str, str]]) -> list[_Unit]:
    """What every volume says of itself; those that cannot be read go to `skipped`."""

    def look(name: str, places: list[int]) -> _Unit:
        files = [listing.files[place] for place in places]
        unit = _Unit(name, places[0], files, [], [], [])
        for scan in scans_of(files):
            unit.scans.append(replace(scan, values=scan.values[:0]))
            unit.shapes.append(scan.values.shape)
            unit.depths.append(scan.depth)
        return unit

    parts = bundles(listing.names)
    return looked_through(listing, parts, look, "volume", progress=progress, strict=strict, skipped=skipped)


def _side(listing: Listing, asked: Any, units: list[_Unit], fit: str) -> int:
    """The side of all. Raises MixedData where volumes are no cubes, or of several sizes, and nobody says."""
    side = side_of(asked)
    if side is not None:
        return side
    shapes = Counter(shape for unit in units for shape in unit.shapes)
    (shape, _), *others = shapes.most_common()
    if others or len(set(shape)) > 1 or not SMALLEST <= shape[0] <= LARGEST:
        told = ", ".join("x".join(map(str, own)) + f" ({many})" for own, many in shapes.most_common(4))
        raise MixedData(
            f"{listing.source}: holds volumes of {told}: choose the side of a cube, as in --size {USUAL}", "size", USUAL
        )
    return int(shape[0])


def _resampled(writer: Writer, units: list[_Unit], side: int, fit: str, dtype: Any, progress: bool) -> list[_Record]:
    """Every volume at that side, written; what is known of each."""
    from ...store.cache import in_parallel

    def work(unit: _Unit) -> list[tuple[np.ndarray, _Record]]:
        found = []
        for scan in scans_of(unit.files):
            cube, apart, done = at_side(scan.values, side, scan.spacing or (1.0, 1.0, 1.0), fit)
            if dtype is not np.float32:
                cube = np.rint(cube)
            cube = np.ascontiguousarray(cube.astype(dtype))
            known = _Record(
                unit.name, unit.place, replace(scan, values=scan.values[:0]), scan.values.shape,
                apart if scan.spacing else (), done, hashlib.blake2b(cube.data, digest_size=16).digest(),
            )  # fmt: skip
            found.append((cube, known))
        return found

    made: list[_Record] = []
    for found in in_parallel(work, units, what="decoding", progress=progress):
        for cube, known in found:
            writer.row(cube)
            made.append(known)
    return made


def _range(writer: Writer, scans: Sequence[Scan], depth: int, notes: list[str]) -> tuple[float, float]:
    """The values that mean -1 and +1: those that all files declare alike, else percentiles, which are learnt (`Kind.learn`)."""
    declared = {(scan.low, scan.high) for scan in scans}
    if len(declared) == 1 and not math.isnan(next(iter(declared))[0]):
        low, high = next(iter(declared))
        if high > low and (low, high) != WHOLE.get(16):  # nobody fills 16 bits
            writer.facts["declared"] = True
            return low, high
    low, high, _ = robust_range(writer.rows())
    if not high > low:
        raise DataError(f"nearly all voxels have the value {low:g}: nothing to learn")
    why = "no range of values is declared" if len(declared) == 1 else "files declare several ranges of values"
    notes.append(f"{why}: the 0.1 and 99.9 percentiles of what is learnt from mean -1 and 1, values beyond are kept")
    return low, high


def _told(made: list[_Record], side: int, fit: str, skipped: list[tuple[str, str]]) -> list[str]:
    """Notes on what was skipped, resampled, padded or cut."""
    notes = [f"skipped {reason}" if name in reason else f"skipped {name}: {reason}" for name, reason in skipped[:NOTED]]
    if len(skipped) > NOTED:
        notes.append(f"skipped {len(skipped) - NOTED} more volumes that could not be read")
    seen: dict[str, list[str]] = {}
    for one in made:
        for note in one.scan.notes:
            seen.setdefault(note, []).append(one.name)
    notes += [f"{note} ({some(list(dict.fromkeys(names)))})" for note, names in seen.items()]
    for done in sorted({one.done for one in made} - {""}):
        own = [one for one in made if one.done == done]
        shape = Counter(one.shape for one in own).most_common(1)[0][0]
        how = {
            "areas": "means over the space that each new voxel covers",
            "trilinear": "trilinear interpolation, which adds no detail",
        }.get(done, "means over space where they shrink, trilinear interpolation where they grow")
        size = "x".join(map(str, shape))
        notes.append(f"{len(own)} of {counted(len(made), 'volume')} ({size} ...) were brought to {side}x{side}x{side}: {how}")
    odd = [one for one in made if _uncubic(one)]
    if odd:
        verb = {"pad": "padded with their least value", "crop": "cropped", "stretch": "stretched"}[fit]
        notes.append(f"{counted(len(odd), 'volume')} that fill no cube were {verb} (--fit chooses: {', '.join(FITS)})")
    unknown = sum(not one.scan.spacing for one in made)
    if unknown:
        notes.append(f"{counted(unknown, 'volume')} without a size of voxels: they are taken to be cubes")
    return notes


def _uncubic(one: _Record) -> bool:
    long = [length * gap for length, gap in zip(one.shape, one.scan.spacing or (1.0,) * 3, strict=True)]
    return max(long) > 1.02 * min(long)


def _groups(listing: Listing, made: list[_Record], notes: list[str]) -> np.ndarray:
    """Group numbers (N,): `groups.csv`, else the patient, else the file; equal volumes are joined always."""
    from ...store.splits import join

    keys: list[Any] = []
    for number, one in enumerate(made):
        own = listing.groups[one.place]
        keys.append(("group", own) if own is not None else ("patient", one.scan.group) if one.scan.group else number)
    if any(one.scan.group for one in made):
        notes.append("volumes of one patient (PatientID) stay on one side of the split")
    parent = np.arange(len(made), dtype=np.int64)
    for column in (keys, [one.content for one in made]):
        first: dict[Any, int] = {}
        pairs = [(first.setdefault(key, i), i) for i, key in enumerate(column)]
        join(parent, *np.array(pairs, np.int64).T)
    return parent
