"""Files of volumes: NIfTI, DICOM series (a folder of slices, or one file of many frames) and arrays; each becomes a `Scan`.

Values are those that the files declare: Hounsfield units stay Hounsfield units. Axes are turned, by flips and swaps alone, to
superior, posterior and left, as DICOM and ITK count slices, rows and columns; those of arrays are taken as they are. Pictures
are decoded by the readers of images. Not for bringing volumes to one size (`resampling`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...store.guard import failure, guard
from ...store.units import array_of
from ..image.dicom import pydicom_module
from ..image.nifti import nibabel_module
from ..image.picture import Picture
from ..image.rasters import sniff
from ..image.readers import read

NIFTI = (".nii", ".nii.gz")
DICOM = (".dcm", ".dicom", ".ima")
ARRAYS = (".npz", ".npy")
KEYS = ("volumes", "images", "x")
LABEL_KEYS = ("labels", "label", "y")
CHANNELS = 5  # from which on a last axis counts as voxels
VOXEL_LIMIT = 1_000_000_000
UNEVEN = 0.01  # of the usual distance between two slices: how far single ones may be off


@dataclass
class Scan:
    """A volume of a file or a series.

    values: (D, H, W) uint8, uint16 or float32, in the file's units. low, high: what it declares to be black and white, NaN
    where it does not. spacing: millimetres from slice to slice, row to row, column to column; affine: as `spec.VolumeSpec`;
    both () where nothing says them. absolute: values are in units of their own (Hounsfield). notes: for users.
    """

    values: np.ndarray
    low: float = math.nan
    high: float = math.nan
    spacing: tuple[float, ...] = ()
    affine: tuple[float, ...] = ()
    absolute: bool = False
    group: str | None = None
    label: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def depth(self) -> int:
        """Bits a value."""
        return 8 * self.values.dtype.itemsize


def is_dicom(name: str) -> bool:
    """Whether a file of that name is a slice of a series: by its suffix, or for want of one."""
    return name.lower().endswith(DICOM) or not name.lower().endswith((*NIFTI, *ARRAYS))


def bundles(names: Sequence[str]) -> list[str]:
    """Of which volume each file is: the DICOM files of a folder make one; others are volumes of their own."""
    return [(name.rpartition("/")[0] or "series") if is_dicom(name) else name for name in names]


def looks_like_dicom(path: Path) -> bool:
    """Whether a file without a suffix of its own is DICOM, by its first bytes."""
    suffix = path.suffix[1:]
    if suffix and not suffix.isdigit():
        return False
    try:
        with path.open("rb") as stream:
            return sniff(stream.read(132)) == "DICOM"
    except OSError:
        return False


def scans_of(files: Sequence[Path]) -> Iterator[Scan]:
    """The volumes of a file, or the one of a series' files. Raises DataError in one line for what is damaged, flat, in colour
    or of several series; MissingExtra without the reader."""
    first = files[0]
    name = first.name.lower()
    if name.endswith(NIFTI):
        yield _of_nifti(first)
    elif name.endswith(ARRAYS):
        yield from _of_array(first)
    else:
        yield _of_series(files)


# NIfTI


def _of_nifti(path: Path) -> Scan:
    pictures = list(read(path, axis=2))
    first = pictures[0]
    if len(pictures) < 2:
        raise failure(path, "is a single slice", "take it out, or train on images")
    plane = first.spacing
    spacing = () if plane is None or first.between is None else (first.between, *plane)
    values = np.stack([picture.pixels[..., 0] for picture in pictures])
    notes = tuple(dict.fromkeys(note for picture in pictures for note in picture.warnings))
    with guard(path, "NIfTI"):
        header = nibabel_module().load(path)
        affine = _turned_affine(np.asarray(header.affine, float), header.shape[:3])
    return Scan(values, first.low, first.high, spacing, affine, first.absolute, notes=notes)


def _turned_affine(affine: np.ndarray, shape: Sequence[int]) -> tuple[float, ...]:
    """The affine of (column, row, slice) of a scan, from that of a file's own axes."""
    nibabel = nibabel_module()
    shape = (*shape, 1, 1)[:3]
    turn = nibabel.io_orientation(affine) if np.isfinite(affine).all() else np.full((3, 2), np.nan)
    if not np.isfinite(turn).all():
        return ()
    upright = affine @ nibabel.orientations.inv_ornt_aff(turn, shape)
    lengths = np.empty(3)
    lengths[turn[:, 0].astype(int)] = shape
    back = np.diag([-1.0, -1.0, 1.0, 1.0])  # columns go to the left and rows backwards
    back[0, 3], back[1, 3] = lengths[0] - 1, lengths[1] - 1
    return tuple(float(number) for number in (upright @ back).reshape(-1))


# DICOM


def _of_series(files: Sequence[Path]) -> Scan:
    """The slices of one series in order, or the frames of one file."""
    where = files[0] if len(files) == 1 else files[0].parent
    placed: list[tuple[float, Picture]] = []
    heads, notes = [], []
    for path in files:
        pictures = list(read(path))
        with guard(path, "DICOM", private=True):
            head = pydicom_module().dcmread(path, stop_before_pixels=True, force=True)
            heads.append(head)
            for number, picture in enumerate(pictures):
                placed.append((_along(head, number, len(placed)), picture))
    series = {str(head.get("SeriesInstanceUID")) for head in heads}
    if len(series) > 1:
        raise failure(where, f"holds {len(series)} series", "put each into a folder of its own")
    if len({picture.pixels.shape for _, picture in placed}) > 1:
        raise failure(where, "holds slices of several sizes", "take out those that are no part of the volume (localizers)")
    if len(placed) < 2:
        raise failure(where, "is a single slice", "put the slices of a series into one folder, or train on images")
    if placed[0][1].pixels.shape[2] != 1:
        raise failure(where, "is in colour", "volumes hold one value a voxel")
    placed.sort(key=lambda item: item[0])
    steps = np.diff([place for place, _ in placed])
    if (steps <= 1e-6).any():
        raise failure(where, "has several slices at one place", "put each phase or echo into a folder of its own")
    told = all(_turn(head) is not None for head in heads)
    if told and np.ptp(steps) > UNEVEN * float(np.median(steps)):
        notes.append("its slices are not equally far apart, as where some are missing: they are taken as they come")
    pictures = [picture for _, picture in placed]
    kinds = {picture.pixels.dtype for picture in pictures}
    values = np.stack([picture.pixels[..., 0].astype(np.float32 if len(kinds) > 1 else None) for picture in pictures])
    ranges = {(picture.low, picture.high) for picture in pictures}
    low, high = ranges.pop() if len(ranges) == 1 else (math.nan, math.nan)
    plane, first = pictures[0].spacing, pictures[0]
    gap = float(np.median(steps)) if told else _thickness(heads[0])
    spacing = () if plane is None or gap is None else (gap, *plane)
    notes += dict.fromkeys(note for picture in pictures for note in picture.warnings)
    scan = Scan(values, low, high, spacing, (), first.absolute, first.group, notes=tuple(notes))
    turn = _turn(heads[0])
    if turn is None or not spacing:
        return _with_notes(scan, "does not say how it lies in space: slices are taken as they come")
    start = next(head for head in heads if _along(head, 0, 0) == placed[0][0]) if len(files) > 1 else heads[0]
    return _upright(scan, turn, _corner(start))


def _turn(head: Any) -> np.ndarray | None:
    """(3, 3): the directions of slices, rows and columns, left, posterior, superior; None where the file does not say."""
    item = _first_of(head, "PlaneOrientationSequence")
    given = item.get("ImageOrientationPatient")
    if given is None or len(given) != 6:
        return None
    across, down = np.array(given[:3], float), np.array(given[3:], float)
    normal = np.cross(across, down)
    turn = np.stack([normal, down, across])
    return turn if np.isfinite(turn).all() and abs(np.linalg.norm(normal) - 1) < 0.02 else None


def _first_of(head: Any, macro: str, frame: int = 0) -> Any:
    """Where a file of one frame or many keeps what a functional group says."""
    for name, at in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        groups = head.get(name)
        if groups and at < len(groups) and groups[at].get(macro):
            return groups[at].get(macro)[0]
    return head


def _corner(head: Any, frame: int = 0) -> np.ndarray:
    """(3,) millimetres of the middle of the first voxel: left, posterior, superior; 0 where the file does not say."""
    given = _first_of(head, "PlanePositionSequence", frame).get("ImagePositionPatient")
    return np.zeros(3) if given is None or len(given) != 3 else np.array(given, float)


def _along(head: Any, frame: int, number: int) -> float:
    """Where a slice lies along the normal, millimetres; its number where the file does not say."""
    turn = _turn(head)
    if turn is None or _first_of(head, "PlanePositionSequence", frame).get("ImagePositionPatient") is None:
        own = head.get("InstanceNumber")
        return float(number if own is None or frame else own)
    return float(_corner(head, frame) @ turn[0])


def _thickness(head: Any) -> float | None:
    item = _first_of(head, "PixelMeasuresSequence")
    given = item.get("SpacingBetweenSlices") or item.get("SliceThickness")
    return None if given is None or not float(given) > 0 else float(given)


def _with_notes(scan: Scan, *notes: str) -> Scan:
    return Scan(**{**vars(scan), "notes": (*scan.notes, *notes)})


def _upright(scan: Scan, turn: np.ndarray, corner: np.ndarray) -> Scan:
    """Flipped and swapped so that slices go up, rows backwards and columns to the left."""
    cost = [(-sum(abs(turn[axis, 2 - k]) for k, axis in enumerate(order)), order) for order in itertools.permutations(range(3))]
    order = min(cost)[1]  # old axes, in the order superior, posterior, left
    values, steps, start = scan.values.transpose(order), [], corner.copy()
    spacing = [scan.spacing[axis] for axis in order]
    for k, axis in enumerate(order):
        step = turn[axis] * spacing[k]
        if step[2 - k] < 0:
            values = np.flip(values, k)
            start = start + step * (values.shape[k] - 1)
            step = -step
        steps.append(step)
    patient = np.diag([-1.0, -1.0, 1.0])  # NIfTI goes to the right and forwards
    affine = np.eye(4)
    affine[:3, :3] = patient @ np.stack(steps[::-1], axis=1)
    affine[:3, 3] = patient @ start
    kept = {"values": np.ascontiguousarray(values), "spacing": tuple(spacing)}
    return Scan(**{**vars(scan), **kept, "affine": tuple(float(number) for number in affine.reshape(-1))})


# Arrays


def _of_array(path: Path) -> Iterator[Scan]:
    with guard(path, "NumPy array"):
        labels = None
        spacing: tuple[float, ...] = ()
        if path.name.lower().endswith(".npy"):
            array = np.load(path, allow_pickle=False, mmap_mode="r")
        else:
            with np.load(path, allow_pickle=False) as archive:
                array, labels = array_of(path, archive, KEYS, "volumes", LABEL_KEYS, ("note", "spacing"))
                if "spacing" in archive.files and archive["spacing"].shape == (3,):
                    spacing = tuple(float(gap) for gap in archive["spacing"])
        if array.ndim == 5 and array.shape[-1] == 1:
            array = array[..., 0]
        if array.ndim == 5 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim == 4 and array.shape[-1] < CHANNELS and min(array.shape[1:-1]) >= 2 * CHANNELS:
            raise failure(path, f"has the shape {array.shape}, whose last axis looks like channels", "save (N, D, H, W)")
        if array.ndim not in (3, 4) or min(array.shape) < 1 or min(array.shape[-3:]) < 2:
            raise failure(path, f"has the shape {array.shape}", "save volumes as (N, D, H, W), or one as (D, H, W)")
        if array.dtype.kind not in "iuf" or math.prod(array.shape[-3:]) > VOXEL_LIMIT:
            raise failure(path, f"holds {array.dtype} {array.shape}", "save uint8, uint16, int16 or float32 volumes")
        if labels is not None and len(labels) != (1 if array.ndim == 3 else len(array)):
            raise failure(path, f"holds {array.shape} and {len(labels)} labels", "give one label each")
    for index, record in enumerate(array[None] if array.ndim == 3 else array):
        label = None if labels is None else str(labels[index])
        with guard(path, "NumPy array"):
            values = _kept(path, np.asarray(record), index)
        low, high = (0.0, 255.0) if values.dtype == np.uint8 else (math.nan, math.nan)
        yield Scan(values, low, high, spacing if all(gap > 0 for gap in spacing) else (), label=label)


def _kept(path: Path, values: np.ndarray, index: int) -> np.ndarray:
    """As uint8 or uint16 where they are such, else float32. Raises DataError for what is not finite."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise failure(path, f"holds NaN or infinity in volume {index}", "replace or mask them first")
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 65535:
        return values.astype(np.uint16)
    made = values.astype(np.float32)
    if not np.isfinite(made).all():
        raise failure(path, f"holds values beyond those of float32 in volume {index}", "rescale them first")
    return made


def one_of(files: Sequence[Path]) -> Scan:
    """The only volume of a file. Raises DataError where it holds several."""
    scans = list(itertools.islice(scans_of(files), 2))
    if len(scans) != 1:
        raise DataError(f"{files[0]}: holds several volumes: save each as a file of its own")
    return scans[0]
