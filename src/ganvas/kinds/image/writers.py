"""Writes samples as files that say they are synthetic: PNG, TIFF, WebP, JPEG, DICOM, NIfTI, `.npz`.

Pixels are in file units (uint8, uint16 or float32, as `Picture.pixels`) and are stored without loss, except by JPEG and
by DICOM of fractions. A format that cannot hold them is refused, with the name of one that can. A file appears under
its name only when it is complete. Not for real pictures: all is marked synthetic.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import math
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import GanvasError, RunError, did_you_mean
from ...store.guard import guard, named
from .dicom import pydicom_module
from .nifti import nibabel_module, volume_like
from .spec import ImageSpec

__all__ = ["FORMATS", "write_dicom", "write_image", "write_nifti", "write_nifti_like", "write_samples"]

FORMATS: dict[str, str] = {
    "png": ".png",
    "tiff": ".tiff",
    "webp": ".webp",
    "jpg": ".jpg",
    "dicom": ".dcm",
    "nifti": ".nii.gz",
    "npz": ".npz",
}
"""Format name -> suffix of the files `write_samples` makes."""

MEANING = ("dicom", "nifti")
"""Formats whose files say what a stored value stands for."""

SYNTHETIC = "SYNTHETIC image made by ganvas"
_JPEG_QUALITY = 95


def write_samples(
    pixels: np.ndarray,
    spec: ImageSpec,
    out: Path,
    *,
    format: str,
    note: Mapping[str, str],
    seed: int,
    labels: Sequence[int | str] | None = None,
    names: Sequence[str] = (),
) -> list[Path]:
    """Write (N, H, W, C) pixels into the folder `out`, made if need be; returns the files of pictures.

    format: a key of `FORMATS`. note: what else to say of the samples (system, run, seed ...), stored in each file.
    seed: makes DICOM UIDs repeatable. labels: one per sample, indices into `spec.classes` or names; they go to
    `labels.csv` (file, label) beside the pictures, for `nifti` to `slices.csv` (slice, label), for `npz` into the file.
    names: file names without suffix, else sample-0001, sample-0002 ... `nifti` and `npz` make one file, `samples`.

    Raises GanvasError when the format cannot hold the pixels, RunError when the folder cannot be written.
    """
    if format not in FORMATS:
        known = list(FORMATS)
        raise GanvasError(f"unknown format '{format}'{did_you_mean(format, known)}: choose one of {', '.join(known)}")
    if pixels.ndim != 4 or len(pixels) == 0:
        raise GanvasError(f"samples of shape {pixels.shape} cannot be written: give (N, H, W, C) with N >= 1")
    if labels is not None and len(labels) != len(pixels):
        raise GanvasError(f"{len(labels)} labels for {len(pixels)} samples: give one each")
    if names and (len(names) != len(pixels) or len(set(names)) != len(names)):
        raise GanvasError(f"{len(set(names))} different names for {len(pixels)} samples: give one each")
    for name in names:
        if not name or Path(name).name != name or name.startswith("."):
            raise GanvasError(f"'{name}' is no file name: leave out folders and leading dots")
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from None
    texts = None if labels is None else [_class_name(spec, label) for label in labels]
    suffix = FORMATS[format]
    if format == "npz":
        path = out / f"samples{suffix}"
        arrays: dict[str, Any] = {"images": pixels, "note": np.array([f"{k}: {v}" for k, v in _notes(note, spec)])}
        if texts is not None:
            arrays["labels"] = np.array(texts)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        _write(path, buffer.getvalue())
        return [path]
    if format == "nifti":
        path = out / f"samples{suffix}"
        if pixels.shape[3] != 1:
            raise GanvasError(f"NIfTI holds grey slices, not {pixels.shape[3]} channels: choose --format tiff or npz")
        write_nifti(path, pixels[..., 0], spec, note=note)
        written, entries = [path], [str(index) for index in range(len(pixels))]
    else:
        digits = max(4, len(str(len(pixels))))
        stems = names or [f"sample-{number:0{digits}d}" for number in range(1, len(pixels) + 1)]
        written = [out / f"{stem}{suffix}" for stem in stems]
        entries = [path.name for path in written]
        for index, path in enumerate(written):
            own = note if texts is None else {**note, "label": texts[index]}
            if format == "dicom":
                write_dicom(path, pixels[index], spec, note=own, seed=seed, index=index)
            else:
                write_image(path, pixels[index], spec, note=own)
    if texts is not None:
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["slice" if format == "nifti" else "file", "label"])
        rows.writerows(zip(entries, texts, strict=True))
        _write(out / ("slices.csv" if format == "nifti" else "labels.csv"), table.getvalue().encode())
    return written


def write_image(path: Path, pixels: np.ndarray, spec: ImageSpec, *, note: Mapping[str, str]) -> None:
    """Write (H, W, C) pixels as PNG, TIFF, WebP or JPEG by the suffix of `path`, marked synthetic, with `note`.

    PNG: uint8 or uint16, grey or RGB. TIFF: uint8, uint16 or float32, 1 to 8 channels (deflate). WebP (lossless;
    grey is stored as RGB) and JPEG (quality 95): uint8, grey or RGB. Raises GanvasError, RunError as `write_samples`.
    """
    path = Path(path)
    _check(pixels, 3)
    suffix, channels = path.suffix.lower(), pixels.shape[2]
    entries = _notes(note, spec)
    if suffix in (".tif", ".tiff"):
        _write(path, _tiff(pixels, entries))
        return
    if suffix not in (".png", ".webp", ".jpg", ".jpeg"):
        raise GanvasError(f"{named(path)} has no suffix of an image: use .png, .tiff, .webp or .jpg")
    name = {".png": "PNG", ".webp": "WebP"}.get(suffix, "JPEG")
    if channels not in (1, 3):
        raise GanvasError(f"{name} holds 1 or 3 channels, not {channels}: choose --format tiff or npz")
    if pixels.dtype == np.float32 or (suffix != ".png" and pixels.dtype != np.uint8):
        bits = "8 or 16" if suffix == ".png" else "8"
        other = "tiff" if pixels.dtype == np.float32 else "png or tiff"
        raise GanvasError(f"{name} holds {bits} bits, not {pixels.dtype}: choose --format {other}, or --depth 8")
    if suffix == ".png":
        _write(path, _png(pixels, entries))
        return
    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    exif = Image.Exif()
    exif[0x010E] = _description(entries)  # ImageDescription
    exif[0x0131] = "ganvas"  # Software
    buffer = io.BytesIO()
    if suffix == ".webp":
        image.convert("RGB").save(buffer, "WEBP", lossless=True, exif=exif.tobytes())
    else:
        image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0, exif=exif.tobytes())
    _write(path, buffer.getvalue())


def write_dicom(path: Path, pixels: np.ndarray, spec: ImageSpec, *, note: Mapping[str, str], seed: int, index: int = 0) -> None:
    """Write (H, W, 1 or 3) pixels as a Secondary Capture image that says it is synthetic and names no patient.

    uint8 and uint16 are stored as they are; float32 (grey only) is stored in 16 bits with RescaleSlope and
    RescaleIntercept: exactly where the values are whole and span at most 65535, else in 65535 steps from low to high, or
    as far as the values go beyond these. The window is `spec.low` to `spec.high`, the spacing `spec.spacing`.
    UIDs follow from seed, index, note and pixels: the same call gives the same file. index: number of the instance.

    Raises GanvasError, RunError as `write_samples`, MissingExtra without pydicom.
    """
    pydicom = pydicom_module()
    path = Path(path)
    _check(pixels, 3)
    if pixels.shape[2] not in (1, 3) or (pixels.shape[2] == 3 and pixels.dtype == np.float32):
        what = f"{pixels.shape[2]} channels of {pixels.dtype}"
        raise GanvasError(f"DICOM holds grey or 8- and 16-bit RGB, not {what}: choose --format tiff or npz")
    entries = _notes(note, spec)
    series = [str(seed), *(f"{key}={value}" for key, value in entries if key != "label")]
    picture = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()

    def uid(kind: str, *more: str) -> Any:
        return pydicom.uid.generate_uid(entropy_srcs=["ganvas", kind, *series, *more])

    stored, slope, intercept, bits_stored = _stored(pixels, spec)
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = uid("instance", str(index), picture)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("study"), uid("series")
    ds.PatientName = "SYNTHETIC"
    # Required to be present, though they may be empty (type 2)
    ds.PatientID = ds.PatientBirthDate = ds.PatientSex = ""
    ds.StudyDate = ds.StudyTime = ds.StudyID = ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.Laterality = ds.PatientOrientation = ""
    ds.Modality, ds.ConversionType = "OT", "SYN"
    ds.SeriesNumber, ds.InstanceNumber = 1, index + 1
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.ContentQualification = "RESEARCH"
    ds.BurnedInAnnotation = "NO"
    ds.StudyDescription = ds.SeriesDescription = SYNTHETIC
    ds.Manufacturer = ds.ManufacturerModelName = "ganvas"
    ds.DerivationDescription = "Generated by a neural network; shows no patient"
    ds.ImageComments = _description(entries)[:10240]
    ds.Rows, ds.Columns, ds.SamplesPerPixel = *pixels.shape[:2], pixels.shape[2]
    ds.BitsAllocated = 8 * stored.dtype.itemsize
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits_stored, bits_stored - 1, 0
    if pixels.shape[2] == 3:
        ds.PhotometricInterpretation, ds.PlanarConfiguration = "RGB", 0
    else:
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = _decimal(slope), _decimal(intercept), "US"
        if math.isfinite(spec.low) and math.isfinite(spec.high) and spec.high > spec.low:
            # PS3.3 C.11.2.1.2.1: black at centre - 0.5 - (width - 1) / 2, white at centre - 0.5 + (width - 1) / 2
            ds.WindowCenter = _decimal((spec.low + spec.high + 1) / 2)
            ds.WindowWidth = _decimal(spec.high - spec.low + 1)
    if spec.spacing is not None:
        ds.PixelSpacing = [_decimal(distance) for distance in spec.spacing]
    data = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 else "OW"
    buffer = io.BytesIO()
    with guard(path, "DICOM"):
        pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    _write(path, buffer.getvalue())


def write_nifti(path: Path, stack: np.ndarray, spec: ImageSpec, *, note: Mapping[str, str]) -> None:
    """Write (N, H, W) pixels as one volume whose axial slices, read back, are the N pictures in order.

    uint8, uint16 and float32 are stored as they are; in-plane spacing from `spec`, `cal_min` and `cal_max` from
    `spec.low` and `spec.high`. The N pictures are independent: the distance between slices means nothing.
    Raises GanvasError, RunError as `write_samples`, MissingExtra without nibabel.
    """
    path = Path(path)
    _check(stack, 3)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise GanvasError(f"{named(path)} has no suffix of NIfTI: use .nii or .nii.gz")
    row, column = spec.spacing or (1.0, 1.0)
    # Readers slice along the axis of largest spacing: keep that the third, whatever the spacing in the plane.
    affine = np.diag([column, row, max(row, column, 1.0), 1.0])
    volume = stack.transpose(2, 1, 0)[::-1, ::-1]
    _write_volume(path, volume, affine, spec, note)


def write_nifti_like(
    path: Path, stack: np.ndarray, source: Path, spec: ImageSpec, *, axis: int | None, scale: int = 1, note: Mapping[str, str]
) -> None:
    """Write (N, H, W) pixels, made of the N slices of the volume `source` along `axis`, as a volume at the same place in space.

    scale: how many times as large they are as the slices. Of the header of `source` nothing is taken over but the affine.
    Raises GanvasError, RunError as `write_samples`.
    """
    _check(stack, 3)
    with guard(source, "NIfTI"):
        volume, affine = volume_like(Path(source), stack, axis, scale)
    _write_volume(Path(path), volume, affine, spec, note)


def _write_volume(path: Path, volume: np.ndarray, affine: np.ndarray, spec: ImageSpec, note: Mapping[str, str]) -> None:
    nibabel = nibabel_module()
    with guard(path, "NIfTI"):
        kind = nibabel.Nifti1Image if max(volume.shape) < 2**15 else nibabel.Nifti2Image
        image = kind(np.asfortranarray(volume), affine)
        image.header.set_xyzt_units("unknown" if spec.spacing is None else "mm")
        image.header["descrip"] = SYNTHETIC.encode()
        if math.isfinite(spec.low) and math.isfinite(spec.high):
            image.header["cal_min"], image.header["cal_max"] = spec.low, spec.high
        comment = nibabel.nifti1.Nifti1Extension("comment", _description(_notes(note, spec)).encode())
        image.header.extensions.append(comment)
        data = image.to_bytes()
    _write(path, gzip.compress(data, 6, mtime=0) if path.name.lower().endswith(".gz") else data)


def _check(pixels: np.ndarray, dimensions: int) -> None:
    if pixels.ndim != dimensions or 0 in pixels.shape or pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise GanvasError(f"pixels of {pixels.dtype} {pixels.shape} cannot be written: give uint8, uint16 or float32 pictures")
    if pixels.dtype == np.float32 and not np.isfinite(pixels).all():
        raise GanvasError("the samples hold NaN or infinite values: the run has diverged, sample an earlier checkpoint")


def _class_name(spec: ImageSpec, label: int | str) -> str:
    if isinstance(label, str):
        return label
    if spec.classes and not 0 <= label < len(spec.classes):
        raise GanvasError(f"label {label} does not exist: choose 0 to {len(spec.classes) - 1}")
    return spec.classes[label] if spec.classes else str(int(label))


def _notes(note: Mapping[str, str], spec: ImageSpec) -> list[tuple[str, str]]:
    """The entries every file carries, as printable ASCII: the least that EXIF, TIFF, PNG and DICOM all take."""
    entries = [("Description", SYNTHETIC), ("Software", "ganvas"), *note.items()]
    if math.isfinite(spec.low) and math.isfinite(spec.high):
        entries.append(("Range", f"{spec.low:g} is black, {spec.high:g} is white"))
    return [(_ascii(key)[:79] or "note", _ascii(value)) for key, value in entries]


def _ascii(text: object) -> str:
    words = " ".join(str(text).split())
    return "".join(c if c.isprintable() else "?" for c in words.encode("ascii", "backslashreplace").decode())


def _description(entries: list[tuple[str, str]]) -> str:
    return "; ".join([SYNTHETIC, *(f"{key}: {value}" for key, value in entries if key != "Description")])


def _png(pixels: np.ndarray, entries: list[tuple[str, str]]) -> bytes:
    import imagecodecs

    flat = np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)  # the encoder takes no strides
    data = bytes(imagecodecs.png_encode(flat, level=6))
    texts = b""
    for key, value in entries:
        body = b"tEXt" + key.encode() + b"\0" + value.encode()
        texts += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    header = 8 + 25  # signature and the IHDR chunk; text may stand anywhere after it
    return data[:header] + texts + data[header:]


def _tiff(pixels: np.ndarray, entries: list[tuple[str, str]]) -> bytes:
    import tifffile

    channels = pixels.shape[2]
    colour = channels == 3 and pixels.dtype != np.float32
    extra: dict[str, Any] = {"planarconfig": "contig"} if channels > 1 else {}
    if channels > 1 and not colour:
        extra["extrasamples"] = ["unspecified"] * (channels - 1)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        pixels if channels > 1 else pixels[..., 0],
        photometric="rgb" if colour else "minisblack",
        compression="deflate",
        description=_description(entries),
        software="ganvas",
        metadata=None,
        **extra,
    )
    return buffer.getvalue()


def _stored(pixels: np.ndarray, spec: ImageSpec) -> tuple[np.ndarray, float, float, int]:
    """What DICOM stores for the pixels: (unsigned integers, slope, intercept, BitsStored)."""
    if pixels.dtype != np.float32:
        bits, top = 8 * pixels.dtype.itemsize, float(spec.high)
        # 10- and 12-bit data keep saying so, as long as the pixels agree
        if spec.low == 0 and top.is_integer() and 1 <= top < 2**bits and (int(top) & (int(top) + 1)) == 0:
            bits = max(int(top).bit_length(), int(pixels.max()).bit_length())
        return pixels, 1.0, 0.0, bits
    least, most = float(pixels.min()), float(pixels.max())
    low = min(spec.low, least) if math.isfinite(spec.low) else least
    high = max(spec.high, most) if math.isfinite(spec.high) else most
    if high - math.floor(low) <= 65535 and (pixels == np.rint(pixels)).all():
        slope, intercept = 1.0, float(math.floor(low))
    else:
        high = high if high > low else low + 1.0
        slope, intercept = float(_decimal((high - low) / 65535)), float(_decimal(low))
    steps = (pixels.astype(np.float64) - intercept) / slope
    return np.rint(steps.clip(0, 65535)).astype(np.uint16), slope, intercept, 16


def _decimal(value: float) -> str:
    """A DICOM decimal string: at most 16 characters, as precise as they allow."""
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    for digits in range(16, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    raise GanvasError(f"{value} does not fit a DICOM decimal string: rescale the data")


def _write(path: Path, data: bytes) -> None:
    """All or nothing: the bytes under another name first, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> RunError:
    reason = (error.strerror or type(error).__name__).lower()
    return RunError(f"{named(path)} cannot be written ({reason}): free space there or choose another --out")
