"""Volumes as files that say they are synthetic: NIfTI, `.npz`. Not for pictures of them (`kind`)."""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...files import write_atomically
from ..image.nifti import nibabel_module, volume_like
from .spec import VolumeSpec

SYNTHETIC = "SYNTHETIC volume made by ganvas"


def affine_of(spec: VolumeSpec) -> np.ndarray:
    """(4, 4) of (column, row, slice) in millimetres (right, anterior, superior): the record's own, or centred on the origin."""
    if spec.affine:
        return np.array(spec.affine, float).reshape(4, 4)
    slices, rows, columns = spec.shape[1:]
    up, back, left = spec.spacing or (1.0, 1.0, 1.0)
    affine = np.diag([-left, -back, up, 1.0])
    affine[:3, 3] = [left * (columns - 1) / 2, back * (rows - 1) / 2, -up * (slices - 1) / 2]
    return affine


def encoded(record: np.ndarray, spec: VolumeSpec, note: Mapping[str, str]) -> bytes:
    """A record (D, H, W) as a gzipped NIfTI file, stored along right, anterior, superior. Raises MissingExtra."""
    columns, rows = record.shape[2], record.shape[1]
    back = np.diag([-1.0, -1.0, 1.0, 1.0])
    back[0, 3], back[1, 3] = columns - 1, rows - 1
    return stored(record.transpose(2, 1, 0)[::-1, ::-1], affine_of(spec) @ back, spec, note)


def encoded_like(record: np.ndarray, spec: VolumeSpec, source: Path, scale: int, note: Mapping[str, str]) -> bytes:
    """A record made of that NIfTI file, `scale` times as large, stored along the file's own axes at the same place in space."""
    volume, affine = volume_like(source, record, 2, scale, scale)
    return stored(volume, affine, spec, note)


def stored(volume: np.ndarray, affine: np.ndarray, spec: VolumeSpec, note: Mapping[str, str]) -> bytes:
    """The bytes of a NIfTI file, marked synthetic in its header: `descrip`, and a comment with what else is to be said."""
    nibabel = nibabel_module()
    kind = nibabel.Nifti1Image if max(volume.shape) < 2**15 else nibabel.Nifti2Image
    image = kind(np.asfortranarray(volume), affine)
    image.header.set_xyzt_units("mm" if spec.spacing else "unknown")
    image.header["descrip"] = SYNTHETIC.encode()
    if math.isfinite(spec.low) and math.isfinite(spec.high):
        image.header["cal_min"], image.header["cal_max"] = spec.low, spec.high
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", "; ".join(words(note)).encode()))
    return gzip.compress(image.to_bytes(), 6, mtime=0)


def words(note: Mapping[str, str]) -> list[str]:
    """What every file carries, as printable ASCII."""
    lines = [SYNTHETIC, *(f"{key}: {value}" for key, value in note.items())]
    return ["".join(c if " " <= c <= "~" else "?" for c in " ".join(line.split())) for line in lines]


def write_archive(path: Path, records: np.ndarray, spec: VolumeSpec, note: Mapping[str, str]) -> None:
    """All records (N, D, H, W) as `volumes`, with `spacing` where it is known and `note`."""
    buffer = io.BytesIO()
    more: dict[str, Any] = {"spacing": np.array(spec.spacing)} if spec.spacing else {}
    np.savez_compressed(buffer, volumes=records, note=np.array(words(note)), **more)
    write_atomically(path, buffer.getvalue())


def enlarged(spec: VolumeSpec, shape: tuple[int, ...], scale: int) -> VolumeSpec:
    """The spec of a record (1, D, H, W) of that shape, with `scale` times as many voxels along each axis, at the same place."""
    cube = len(set(shape[1:])) == 1
    affine = spec.affine
    if affine and scale > 1:
        shrink = np.diag([1 / scale, 1 / scale, 1 / scale, 1.0])
        shrink[:3, 3] = -(scale - 1) / (2 * scale)
        affine = tuple(float(number) for number in (np.array(affine).reshape(4, 4) @ shrink).reshape(-1))
    return replace(
        spec,
        side=shape[1] if cube else max(shape[1:]),
        sides=() if cube else tuple(shape[1:]),
        spacing=tuple(gap / scale for gap in spec.spacing),
        affine=affine,
    )
