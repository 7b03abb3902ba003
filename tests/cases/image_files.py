"""Bytes of image files whose headers may say anything, for the cases of images."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import tifffile
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless, SecondaryCaptureImageStorage

from ganvas.kinds.image.readers import Picture, read


def one(path: Path) -> Picture:
    (picture,) = read(path)
    return picture


def tiff(pixels: np.ndarray, *tags: tuple[int, str, int, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, extratags=[(*tag, True) for tag in tags], **options)
    return buffer.getvalue()


def no_data(mark: str) -> tuple[int, str, int, str]:
    return 42113, "s", 0, mark


def dicom(pixels: np.ndarray, syntax: UID = ExplicitVRLittleEndian, **tags: Any) -> bytes:
    """One grey or colour frame; `tags` are set after the pixels are encoded, so a header may say anything. None: no tag."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    ds.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.itemsize
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    if syntax == RLELossless:
        ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    elif syntax == JPEGLSLossless:
        import imagecodecs

        ds.PixelData = pydicom.encaps.encapsulate([imagecodecs.jpegls_encode(pixels)])
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = syntax
    for name, value in tags.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def lookup(values: np.ndarray, first: int, bits: int) -> pydicom.Dataset:
    item = pydicom.Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item.LUTData = values.astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


def png(width: int, height: int, bits: int, colour: int, row: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    extra = b"".join(chunk(*one) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress((b"\0" + row) * height)) + chunk(b"IEND", b"")


def volume(values: np.ndarray, spacing: tuple[float, float, float] = (1, 1, 3), affine: Any = 0, **header: Any) -> bytes:
    image = nibabel.Nifti1Image(values, np.diag([*spacing, 1.0]) if affine is not None else None)
    for key, value in header.items():
        image.header[key] = value
    return image.to_bytes()
