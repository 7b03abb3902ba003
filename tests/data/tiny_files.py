"""Tiny valid files of every format the readers take, made in memory: the ground the reader tests stand on."""

from __future__ import annotations

import gzip
import io
from typing import Any

import nibabel
import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder

HEIGHT, WIDTH = 9, 13
UIDS = pydicom.uid


def ramp(dtype: Any = np.uint8, channels: int = 1, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(H, W, C) values that differ from pixel to pixel and use the whole range of the type, but for its last value."""
    count = height * width * channels
    top = 1.0 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max - 1
    values = np.linspace(0, top, count)[np.random.default_rng(count).permutation(count)]
    return values.astype(dtype).reshape(height, width, channels)


def pillow(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(compressed: bool = True, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def nifti(volume: np.ndarray, affine: np.ndarray | None = None, packed: bool = False, **header: Any) -> bytes:
    image = nibabel.Nifti1Image(volume, np.diag([1.0, 1.0, 2.0, 1.0]) if affine is None else affine)
    image.header.set_xyzt_units("mm")
    for key, value in header.items():
        image.header[key] = value
    data = image.to_bytes()
    return gzip.compress(data, mtime=0) if packed else data


def dicom(pixels: np.ndarray, syntax: Any = None, encode: Any = None, **tags: Any) -> bytes:
    """A DICOM file of (H, W), (H, W, 3), (N, H, W) or (N, H, W, 3) pixels; `tags` by keyword, None leaves one out.

    syntax: the transfer syntax, explicit little endian by default. encode: a frame -> its compressed bytes, where
    pydicom has no encoder of its own.
    """
    syntax = syntax or UIDS.ExplicitVRLittleEndian
    colour = pixels.shape[-1] == 3 and pixels.ndim > 2
    frames = pixels if pixels.ndim == 3 + colour else pixels[None]
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = UIDS.SecondaryCaptureImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3.4"
    ds.PatientID = "patient 7"
    ds.PatientName = "Doe^Jane"
    ds.Rows, ds.Columns = frames.shape[1:3]
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    if len(frames) > 1:
        ds.NumberOfFrames = len(frames)
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.dtype.itemsize
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    for key, value in tags.items():
        if value is None:
            delattr(ds, key)
        else:
            setattr(ds, key, value)
    if encode is not None:
        ds.PixelData = encapsulate([encode(frame) for frame in frames])
    elif syntax == UIDS.RLELossless:
        coder = get_encoder(syntax)
        names = ("rows", "columns", "samples_per_pixel", "bits_allocated", "bits_stored", "pixel_representation")
        values = (*frames.shape[1:3], ds.SamplesPerPixel, ds.BitsAllocated, ds.BitsStored, ds.PixelRepresentation)
        options: Any = dict(zip(names, values, strict=True)) | {"number_of_frames": 1, "planar_configuration": 0}
        options["photometric_interpretation"] = ds.PhotometricInterpretation
        ds.PixelData = encapsulate([coder.encode(frame, encoding_plugin="pydicom", **options) for frame in frames])
    else:
        data = frames.astype(frames.dtype.newbyteorder("<")).tobytes()
        ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 or syntax.is_compressed else "OW"
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def every_kind() -> dict[str, bytes]:
    """File name -> bytes, at least one for every path through the readers."""
    import imagecodecs

    grey, colour = Image.fromarray(ramp()[..., 0]), Image.fromarray(ramp(channels=3))
    alpha = Image.fromarray(ramp(channels=4))
    deep, rgb16 = ramp(np.uint16), ramp(np.uint16, 3)
    volume = ramp(np.uint16, 4)
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "grey.png": pillow(grey, "PNG"),
        "rgb.png": pillow(colour, "PNG"),
        "alpha.png": pillow(alpha, "PNG", exif=exif),
        "palette.png": pillow(colour.quantize(16), "PNG", transparency=3),
        "bit.png": pillow(grey.convert("1"), "PNG"),
        "deep.png": bytes(imagecodecs.png_encode(deep[..., 0])),
        "rgb16.png": bytes(imagecodecs.png_encode(rgb16)),
        "grey.jpg": pillow(grey, "JPEG"),
        "rgb.jpg": pillow(colour, "JPEG", exif=exif),
        "progressive.jpg": pillow(colour, "JPEG", progressive=True),
        "cmyk.jpg": pillow(colour.convert("CMYK"), "JPEG"),
        "grey.bmp": pillow(grey, "BMP"),
        "rgb.bmp": pillow(colour, "BMP"),
        "palette.gif": pillow(colour.quantize(16), "GIF"),
        "animated.gif": pillow(grey, "GIF", save_all=True, append_images=[grey.rotate(90)]),
        "lossy.webp": pillow(colour, "WEBP"),
        "lossless.webp": pillow(alpha, "WEBP", lossless=True, exact=True),
        "animated.webp": pillow(colour, "WEBP", save_all=True, append_images=[colour.rotate(180)]),
        "grey.tif": tiff(ramp()[..., 0]),
        "deep.tiff": tiff(deep[..., 0], compression="lzw", predictor=True),
        "rgb16.tiff": tiff(rgb16, photometric="rgb", compression="deflate"),
        "pages.tif": tiff(np.moveaxis(volume, -1, 0), photometric="minisblack"),
        "planes.tif": tiff(np.moveaxis(ramp(channels=5), -1, 0), planarconfig="separate", photometric="minisblack"),
        "tiles.tif": tiff(ramp(height=40, width=40)[..., 0], tile=(16, 16), compression="packbits"),
        "float.tif": tiff(ramp(np.float32)[..., 0], compression="zstd"),
        "jpeg.tif": tiff(ramp(channels=3, height=32, width=32), photometric="rgb", compression="jpeg"),
        "jpeg2000.tif": tiff(ramp(height=32, width=32)[..., 0], compression="jpeg2000"),
        "palette.tif": pillow(colour.quantize(16), "TIFF"),
        "bit.tif": tiff(ramp()[..., 0] > 99),
        "alpha.tif": tiff(ramp(channels=4), photometric="rgb", extrasamples=["unassalpha"]),
        "grey.npy": npy(ramp(channels=3).transpose(2, 0, 1)),
        "float.npy": npy(ramp(np.float64, 2)[None]),
        "whole.npy": npy(ramp(np.int16, 3).transpose(2, 0, 1).astype(np.int64)),
        "stored.npz": npz(False, images=ramp(np.uint16, 3).transpose(2, 0, 1), labels=np.arange(3)),
        "packed.npz": npz(x=ramp(channels=3)[None], labels=np.array(["cat"])),
        "grey.dcm": dicom(ramp()[..., 0]),
        "deep.dcm": dicom(ramp(np.uint16)[..., 0] >> 4, BitsStored=12, HighBit=11, WindowCenter=2000, WindowWidth=900),
        "signed.dcm": dicom(ramp(np.int16)[..., 0] - np.int16(9000), RescaleSlope="1", RescaleIntercept="-1024"),
        "implicit.dcm": dicom(ramp(np.uint16)[..., 0], UIDS.ImplicitVRLittleEndian, PixelSpacing=[0.5, 0.7]),
        "rgb.dcm": dicom(ramp(channels=3)),
        "frames.dcm": dicom(np.moveaxis(volume, -1, 0)),
        "rle.dcm": dicom(np.moveaxis(volume, -1, 0), UIDS.RLELossless),
        "jpeg.dcm": dicom(
            ramp(channels=3), UIDS.JPEGBaseline8Bit, imagecodecs.jpeg8_encode, PhotometricInterpretation="YBR_FULL"
        ),
        "lossless.dcm": dicom(ramp(np.uint16)[..., 0], UIDS.JPEGLosslessSV1, lambda frame: imagecodecs.ljpeg_encode(frame)),
        "jpegls.dcm": dicom(ramp(np.uint16)[..., 0], UIDS.JPEGLSLossless, imagecodecs.jpegls_encode),
        "jpeg2000.dcm": dicom(
            ramp(np.uint16)[..., 0],
            UIDS.JPEG2000Lossless,
            lambda frame: imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True),
        ),
        "htj2k.dcm": dicom(ramp(np.uint16)[..., 0], UIDS.HTJ2KLossless, lambda f: imagecodecs.htj2k_encode(f)),
        "deflated.dcm": dicom(ramp(np.uint16)[..., 0], UIDS.DeflatedExplicitVRLittleEndian),
        "IM0001": dicom(ramp()[..., 0]),
        "volume.nii": nifti(volume),
        "signed.nii": nifti(ramp(np.int16, 4) - np.int16(9000)),
        "float.nii.gz": nifti(ramp(np.float32, 4), packed=True),
        "scaled.nii.gz": nifti(volume, packed=True, scl_slope=0.5, scl_inter=-3.0, cal_max=100.0),
    }
