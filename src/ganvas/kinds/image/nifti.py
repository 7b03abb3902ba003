"""NIfTI volumes (`.nii`, `.nii.gz`) as slices, through nibabel's header and numpy. Not for header/image pairs.

Orientation: a volume is first turned (flips and swaps only) to the axes right, anterior, superior, so that axis 0
gives sagittal, 1 coronal and 2 axial slices however the file stores them. Without a chosen axis it is the one with the
clearly largest spacing (the one it was acquired along), else axis 2. A slice is shown as radiologists look at it:
superior or anterior up, the patient's right (in a sagittal slice the face) on the left.
Values: uint8 keeps 0 to 255. Whole numbers that all lie in 0 to 65535 become uint16, everything else float32; black and
white are `cal_min` and `cal_max` where the header sets them (a `cal_max` of 0 is not set), else left to the data set. Of a 4-D
file the first volume is read, with a warning; so are files whose two descriptions of space disagree, and labels by intent.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ...errors import MissingExtra
from ...store.guard import CLAIM_RATIO, FREE_CLAIM, failure, finite_float32, integers_to_float32
from .picture import Picture, check_size

VOXEL_LIMIT = 1_000_000_000
_CHUNK = 2**20
_IN_PLANE = {0: (2, 1), 1: (2, 0), 2: (1, 0)}  # axis of slicing -> axes of rows and columns
_LABELS = 1002  # NIFTI_INTENT_LABEL
_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001}


def nibabel_module() -> Any:
    """nibabel, or MissingExtra."""
    try:
        import nibabel
    except ImportError:
        raise MissingExtra("nibabel", "medical") from None
    return nibabel


def read_nifti(path: Path, axis: int | None) -> Iterator[Picture]:
    """A picture for each slice of the volume along `axis` (0 sagittal, 1 coronal, 2 axial, None: see above)."""
    nibabel = nibabel_module()
    size = path.stat().st_size
    opener: Any = gzip.open if path.name.lower().endswith(".gz") else open
    notes: list[str] = []
    with opener(path, "rb") as stream:
        header = _header(path, nibabel, stream)
        raw = _voxels(path, header, stream, size, notes)
    if math.isinf(header["scl_slope"]) or math.isinf(header["scl_inter"]):  # NaN means none
        raise failure(path, "has an infinite scl_slope or scl_inter", "it is damaged; save it again")
    slope, intercept = header.get_slope_inter()
    scaled = slope is not None and (float(slope), float(intercept or 0)) != (1.0, 0.0)
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        bad = int((~np.isfinite(raw)).sum())
        raise failure(path, f"holds {bad} voxels that are NaN or infinite", "replace or mask them first")
    low, high = float(header["cal_min"]), float(header["cal_max"])
    if not (math.isfinite(low) and math.isfinite(high) and high > low and high != 0):
        low, high = math.nan, math.nan
    if not scaled and raw.dtype == np.uint8:
        target: Any = np.uint8
        low, high = (low, high) if high > low else (0.0, 255.0)
    elif not scaled and raw.dtype.kind in "iu" and raw.min() >= 0 and raw.max() <= 65535:
        target = np.uint16
    else:
        target = np.float32
    if int(header["intent_code"]) == _LABELS:
        notes.append("declares that its values are labels: as an image they are read as brightness")
    volume, spacing = _upright(path, nibabel, header, raw, notes)
    axis = _sliced_along(spacing) if axis is None else axis
    row_axis, column_axis = _IN_PLANE[axis]
    distances = (float(spacing[row_axis]), float(spacing[column_axis]))
    unknown = header.get_xyzt_units()[0] not in _MILLIMETRES and distances == (1.0, 1.0)
    for index in range(volume.shape[axis]):
        values = np.take(volume, index, axis=axis)[::-1, ::-1].T
        if target is not np.float32:
            pixels = values.astype(target)
        elif scaled:
            pixels = finite_float32(path, values.astype(np.float64) * slope + (intercept or 0), f"slice {index}")
        elif values.dtype.kind == "f":
            pixels = finite_float32(path, values, f"slice {index}")
        else:
            pixels = integers_to_float32(path, values)
        pixels = np.ascontiguousarray(pixels)[..., None]
        yield Picture(
            pixels,
            pixels.dtype.itemsize * 8,
            low,
            high,
            spacing=None if unknown else distances,
            warnings=tuple(notes),
            index=index,
            axis=axis,
            between=None if unknown else float(spacing[axis]),
        )


def _sliced_along(spacing: np.ndarray) -> int:
    """The axis with the clearly largest spacing, else 2."""
    order = np.argsort(spacing)
    return int(order[2]) if spacing[order[2]] > 1.01 * spacing[order[1]] else 2


def volume_like(
    path: Path, slices: np.ndarray, axis: int | None, scale: int = 1, through: int = 1
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Slices (N, H, W) as `read_nifti` of `path` gave them, put back: (volume as stored there, its affine).

    scale: how many times as large the slices are in both directions; the affine then has smaller voxels at the same place.
    through: how many times as many slices there are.
    """
    nibabel = nibabel_module()
    size = path.stat().st_size
    opener: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as stream:
        header = _header(path, nibabel, stream)
        raw = _voxels(path, header, stream, size, [])
    upright, spacing = _upright(path, nibabel, header, raw, [])
    axis = _sliced_along(spacing) if axis is None else axis
    volume = np.stack([picture.T[::-1, ::-1] for picture in slices], axis=axis)
    affine = np.asarray(header.get_best_affine(), np.float64)
    turn = nibabel.io_orientation(affine) if np.isfinite(affine).all() else np.full((3, 2), np.nan)
    if not np.isfinite(turn).all():
        affine, turn = np.diag([*spacing, 1.0]), np.array([[0, 1], [1, 1], [2, 1]])
    shrink = np.eye(4)
    for k in range(3):
        own = through if int(turn[k, 0]) == axis else scale
        shrink[k, k], shrink[k, 3] = 1 / own, -(own - 1) / (2 * own)  # a new voxel i' is centred on i'/own - (own - 1)/(2 own)
    back = np.empty_like(turn)
    for k in range(3):
        back[int(turn[k, 0])] = (k, turn[k, 1])
    return nibabel.apply_orientation(volume, back), affine @ shrink


def _header(path: Path, nibabel: Any, stream: IO[bytes]) -> Any:
    head = stream.read(540)
    if len(head) < 352:
        raise failure(path, "is too short for a NIfTI header", "it was cut off; copy it again")
    sizes = {int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")}
    if 348 in sizes and head[344:348] == b"n+1\0":
        header = nibabel.Nifti1Header(head[:348])
    elif 540 in sizes and head[4:8] == b"n+2\0" and len(head) == 540:
        header = nibabel.Nifti2Header(head)
    elif 348 in sizes:
        raise failure(path, "is an Analyze file or half of a header/image pair", "convert it to a single .nii")
    else:
        raise failure(path, "is not a NIfTI file", "give it its right suffix or take it out")
    offset = float(header["vox_offset"])
    if not 352 <= offset <= 2**27 or offset != int(offset):
        raise failure(path, f"claims that its voxels start at byte {offset:g}", "it is damaged; copy it again")
    return header


def _voxels(path: Path, header: Any, stream: IO[bytes], size: int, notes: list[str]) -> np.ndarray:
    """The first volume as stored, (X, Y, Z). The rest is read through as well, so that a cut or flipped gzip shows."""
    shape, dtype = tuple(int(length) for length in header.get_data_shape()), header.get_data_dtype()
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (2, 3, 4) or min(shape, default=0) < 1:
        raise failure(path, f"has the shape {shape}", "save it as one 3-D volume")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        code = int(header["datatype"])
        what = {128: "RGB", 2304: "RGBA"}.get(code, str(dtype))
        raise failure(path, f"holds {what} voxels (datatype {code})", "save it as int16, uint16 or float32")
    if len(shape) == 4:
        notes.append(f"holds {shape[3]} volumes: only the first is read")
    volume = (*shape[:3], 1)[:3] if len(shape) < 4 else shape[:3]
    count = math.prod(volume) * dtype.itemsize
    rest = (math.prod(shape) - math.prod(volume)) * dtype.itemsize
    packed = path.name.lower().endswith(".gz")
    if math.prod(volume) > VOXEL_LIMIT:
        raise failure(path, f"claims {math.prod(volume)} voxels, more than 10^9", "crop it or resample it first")
    if count + rest > (max(FREE_CLAIM, CLAIM_RATIO * size) if packed else size):
        raise failure(path, f"claims {shape} voxels but has only {size} bytes", "it was cut off; copy it again")
    check_size(path, volume[0], volume[1], 1, dtype.itemsize, CLAIM_RATIO * size)
    cut = failure(path, "ends before its voxels do", "it was cut off; copy it again")
    try:
        skip = int(header["vox_offset"]) - stream.tell()
        if skip > 0:
            stream.read(skip)
        else:
            stream.seek(skip, 1)
        data = stream.read(count)
        if len(data) < count:
            raise cut
        while rest > 0:
            block = stream.read(min(rest, _CHUNK))
            if not block:
                raise cut
            rest -= len(block)
        while packed and stream.read(_CHUNK):  # to the end, where gzip keeps its checksum
            pass
    except EOFError:
        raise cut from None
    return np.frombuffer(data, dtype).reshape(cast("tuple[int, int, int]", volume), order="F")


def _upright(path: Path, nibabel: Any, header: Any, raw: np.ndarray, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The volume along right, anterior, superior, and millimetres per voxel along each."""
    zooms = np.ones(3)
    stored = np.abs(np.asarray(header.get_zooms()[:3], np.float64))
    zooms[: len(stored)] = stored
    zooms *= _MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    if not np.isfinite(zooms).all() or (zooms <= 0).any():
        raise failure(path, f"has voxels of {tuple(float(z) for z in zooms)} mm", "set the voxel sizes in its header")
    affine = np.asarray(header.get_best_affine(), np.float64)
    turn = nibabel.io_orientation(affine) if np.isfinite(affine).all() else np.full((3, 2), np.nan)
    if not np.isfinite(turn).all():
        notes.append("its orientation is unusable: slices are shown as stored")
        return raw, zooms
    if int(header["qform_code"]) <= 0 and int(header["sform_code"]) <= 0:
        notes.append("says nothing of its orientation (no qform, no sform): left and right may be swapped")
    notes += _disagreements(nibabel, header, affine, zooms)
    spacing = np.empty(3)
    spacing[turn[:, 0].astype(int)] = zooms
    return nibabel.apply_orientation(raw, turn), spacing


def _disagreements(nibabel: Any, header: Any, affine: np.ndarray, zooms: np.ndarray) -> list[str]:
    """Warnings where a header says two things of space: by qform and sform, of which sform is taken, or by pixdim and sform."""
    told = []
    if int(header["qform_code"]) > 0 and int(header["sform_code"]) > 0:
        other = nibabel.io_orientation(np.asarray(header.get_qform(), np.float64))
        if np.isfinite(other).all() and (other != nibabel.io_orientation(affine)).any():
            told.append("its qform and sform disagree on directions: sform is taken, left and right may be swapped")
    scale = _MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    own = min(3, len(header.get_zooms()))  # of one slice the third is not stored
    zooms, sizes = zooms[:own], np.sqrt((affine[:3, :own] ** 2).sum(axis=0)) * scale
    if int(header["sform_code"]) > 0 and (np.abs(sizes / zooms - 1) > 0.01).any():
        of = [" x ".join(f"{size:.4g}" for size in each) for each in (zooms, sizes)]
        told.append(f"its pixdim and sform disagree on voxels ({of[0]} and {of[1]} mm): pixdim is taken")
    return told
