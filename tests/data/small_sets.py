"""Small real sets for the tests of data: smooth pictures, folders of them, volumes and DICOM files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def picture(seed: int, shape: tuple[int, ...] = (24, 24)) -> np.ndarray:
    """Smooth random blobs, uint8: unlike each other, and unharmed by resizing."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5, *shape[2:]), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def folder(root: Path, names: list[str], shape: tuple[int, ...] = (24, 24)) -> Path:
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed, shape)).save(root / name)
    return root


def volume(path: Path, seed: int, offset: int = 0) -> np.ndarray:
    nibabel = pytest.importorskip("nibabel")
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.stack([picture(seed * 10 + i, (20, 16)) for i in range(6)], -1).astype(np.int16) * 4 + offset
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 2.0, 5.0, 1.0])), path)
    return values


def dicom(path: Path, pixels: np.ndarray, patient: str, **tags: object) -> None:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    path.parent.mkdir(parents=True, exist_ok=True)
    record = pydicom.dataset.Dataset()
    record.file_meta = pydicom.dataset.FileMetaDataset()
    record.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    record.SOPClassUID, record.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    record.PatientID, record.Modality = patient, "DX"
    record.Rows, record.Columns = pixels.shape
    record.BitsAllocated, record.BitsStored, record.HighBit, record.PixelRepresentation = 16, 12, 11, 0
    record.SamplesPerPixel, record.PhotometricInterpretation = 1, "MONOCHROME2"
    for name, value in tags.items():
        setattr(record, name, value)
    record.PixelData = pixels.astype(np.uint16).tobytes()
    record.save_as(path, enforce_file_format=True)
