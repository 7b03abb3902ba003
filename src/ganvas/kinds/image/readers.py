"""Reads image files of every supported format into `Picture` records, losslessly, or says in one line why not.

PNG, JPEG, BMP, GIF, WebP, TIFF, `.npy`, `.npz`, DICOM and NIfTI. Pixels keep the file's values and
depth: bringing several files to one size, channel count and range is the data set's work, not done here.
The rules of each format stand in `_pictures`, `_tiff`, `_arrays`, `_dicom` and `_nifti`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...errors import GanvasError
from ...store.guard import failure, guard
from . import arrays as _arrays
from .dicom import read_dicom
from .nifti import read_nifti
from .picture import Picture
from .rasters import read_picture, sniff
from .tiff import read_tiff

__all__ = ["SUFFIXES", "Picture", "read", "readable"]

SUFFIXES: dict[str, str] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"), "picture"),
    ".npy": "npy",
    ".npz": "npz",
    ".dcm": "DICOM",
    ".dicom": "DICOM",
    ".ima": "DICOM",
    ".nii": "NIfTI",
    ".nii.gz": "NIfTI",
}
"""Lower-case suffix -> kind. Pictures are told apart by their first bytes, whatever their suffix says."""


def readable(path: Path) -> bool:
    """Whether `read` takes this file: by its suffix; without one, or with a number for one, by DICOM's magic word."""
    return _kind(Path(path)) is not None


def read(path: Path, *, axis: int | None = None, numbers: bool = False) -> Iterator[Picture]:
    """The pictures of a file, in order: one per frame, page, slice or array row.

    axis: of NIfTI volumes, 0 sagittal, 1 coronal, 2 axial; None takes the axis of acquisition (see `_nifti`).
    numbers: of TIFF, samples of one channel as they are stored, which is what label maps are (see `_tiff`).
    Files are decoded as pictures are asked for, so a damaged one may fail after some of its pictures.

    Raises DataError (one line: the file, what is wrong, what to do), MissingExtra when DICOM or NIfTI lack their
    package, GanvasError for an axis other than 0, 1, 2.
    """
    if axis is not None and axis not in (0, 1, 2):
        raise GanvasError(f"axis {axis} does not exist: choose 0 (sagittal), 1 (coronal) or 2 (axial)")
    return _guarded(Path(path), axis, numbers)


def _guarded(path: Path, axis: int | None, numbers: bool) -> Iterator[Picture]:
    """Steps through the reader under the guard, and out of it whenever the caller has the word."""
    with guard(path, "a picture"):
        kind, pictures = _open(path, axis, numbers)
    while True:
        with guard(path, kind, private=kind == "DICOM"):
            picture = next(pictures, None)
        if picture is None:
            return
        yield picture


def _open(path: Path, axis: int | None, numbers: bool) -> tuple[str, Iterator[Picture]]:
    kind = _kind(path)
    with path.open("rb") as stream:
        head = stream.read(132)
    if not head:
        raise failure(path, "is empty (0 bytes)", "copy it again or delete it")
    if kind == "picture":
        kind = sniff(head)
        if kind is None:
            text = "text" if head[:64].isascii() and b"\0" not in head[:64] else "something else"
            raise failure(path, f"is no picture but {text}", "give it its right suffix or take it out")
    if kind == "TIFF":
        return kind, read_tiff(path, numbers)
    if kind == "DICOM":
        return kind, read_dicom(path)
    if kind == "NIfTI":
        return kind, read_nifti(path, axis)
    if kind == "npy":
        return kind, _arrays.read_npy(path)
    if kind == "npz":
        return kind, _arrays.read_npz(path)
    if kind is None:
        raise failure(path, "is of no kind that is read", f"convert it to one of {' '.join(SUFFIXES)}")
    return kind, read_picture(path, kind)


def _kind(path: Path) -> str | None:
    name = path.name.lower()
    suffix = ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    # DICOM files often have no suffix, or their UID for a name, whose last part looks like one
    if not suffix or suffix[1:].isdigit():
        try:
            with path.open("rb") as stream:
                return "DICOM" if sniff(stream.read(132)) == "DICOM" else None
        except OSError:
            return None
    return None
