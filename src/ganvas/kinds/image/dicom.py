"""DICOM files through pydicom: every frame a picture in modality units, with the range the file declares.

Values are stored values times RescaleSlope plus RescaleIntercept. Whole ones from 0 up stay uint8 or uint16; others
(Hounsfield units of a CT) become float32. Black and white are the window (first one; LINEAR or LINEAR_EXACT) or,
without one, the range of BitsStored after rescale; signed values of 16 stored bits without a window declare nothing
(NaN). A SIGMOID window or a VOI LUT is applied and leaves 0 to 65535 or the LUT's range. MONOCHROME1 is inverted within
the range of BitsStored, so that white is always high. A value stands in the bits from HighBit down to HighBit - BitsStored
+ 1; what lies in the others (overlays of old devices) is left out. Pixels of PixelPaddingValue are no data: black.
DoseGridScaling is a slope. Colour profiles, supplemental palettes and pixels that are not square are told, not applied.
Every JPEG family is decoded by imagecodecs, RLE by pydicom. Nothing of the patient leaves this module but a hash.
Not for video, 32-bit or floating-point pixels, structured reports, segmentations and parametric maps.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import MissingExtra
from ...store.guard import CLAIM_RATIO, FREE_CLAIM, failure
from . import codestreams as _codestreams
from .picture import Picture, black_without_data, check_size, oblong, profile_note

_PLUGIN = "ganvas"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_NEEDED = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_REFUSED = ("YBR_PARTIAL_422", "YBR_PARTIAL_420", "HSV", "ARGB", "CMYK", "XYB")  # of the standard, named in the refusal
_NO_PICTURES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "masks of segments",
    "1.2.840.10008.5.1.4.1.1.66.7": "numbers of segments",
    "1.2.840.10008.5.1.4.1.1.30": "measures that a RealWorldValueMapping explains",
}
"""Objects that lie among pictures and have pixels, but are none: UID -> what their pixels are (PS3.3 A.51, A.75, C.8.20)."""
_LOSSLESS = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (57, 70, 80, 90, 201, 202))


def pydicom_module() -> Any:
    """pydicom, or MissingExtra."""
    try:
        import pydicom
    except ImportError:
        raise MissingExtra("pydicom", "medical") from None
    return pydicom


def read_dicom(path: Path) -> Iterator[Picture]:
    """A picture for each frame of the file."""
    pydicom = pydicom_module()
    data = path.read_bytes()
    # Without the preamble of 128 bytes a file must at least begin as data sets do: group 2 or 8, low byte first.
    bare = data[:2] in (b"\x02\0", b"\x08\0") and data[128:132] != b"DICM"
    if not bare and data[128:132] != b"DICM":
        raise failure(path, "is not a DICOM file", "give it its right suffix or take it out")
    _check_deflated(path, data, pydicom)
    dataset = pydicom.dcmread(BytesIO(data), force=bare)
    if "PixelData" not in dataset:
        kind = _uid_name(dataset.get("SOPClassUID"))
        raise failure(path, f"holds no pixels ({kind})", "take it out")
    if (held := _NO_PICTURES.get(str(dataset.get("SOPClassUID")))) is not None:
        what = f"holds {held} ({_uid_name(dataset.get('SOPClassUID'))}), no pictures"
        raise failure(path, what, "keep it elsewhere, or save its frames as PNG or NIfTI label maps")
    missing = [name for name in _NEEDED if dataset.get(name) is None]
    if missing:
        raise failure(path, f"lacks the DICOM tag {', '.join(missing)}", "export it again from its source")
    notes: list[str] = []
    frames = _frames(path, dataset, pydicom, len(data), notes)
    group = _group(dataset)
    if str(dataset.get("BurnedInAnnotation", "")).strip().upper() == "YES":
        notes.append("BurnedInAnnotation is YES: its pixels may show a name or a date")
    if str(dataset.get("RecognizableVisualFeatures", "")).strip().upper() == "YES":
        notes.append("RecognizableVisualFeatures is YES: its pixels may show a face")
    notes += _told(dataset)
    for index, frame in enumerate(frames):
        stored, padding = _stored(path, dataset, np.asarray(frame))
        pixels, low, high = _values(path, dataset, stored, index, notes)
        if padding is not None and padding.any():
            pixels, note = black_without_data(path, pixels, padding, low, high, "PixelPaddingValue")
            if note not in notes:
                notes.append(note)
        yield Picture(
            np.ascontiguousarray(pixels),
            pixels.dtype.itemsize * 8,
            low,
            high,
            spacing=_spacing(dataset, index),
            group=group,
            warnings=tuple(notes),
            index=index,
            absolute=_slope(dataset, index) != (1.0, 0.0) or "ModalityLUTSequence" in dataset,
        )


def _told(dataset: Any) -> list[str]:
    """Warnings of what a file declares of its colours and the shape of its pixels, and is not applied."""
    paths = dataset.get("OpticalPathSequence") or [{}]
    profile = dataset.get("ICCProfile") or paths[0].get("ICCProfile")
    aspect = dataset.get("PixelAspectRatio")
    told = [profile_note(profile)]
    if "LOCALIZER" in [str(word).strip() for word in dataset.get("ImageType") or ()]:
        told.append("is a localizer (ImageType), which shows where other pictures lie")
    if _spacing(dataset, 0) is None and aspect is not None and len(aspect) == 2:
        told.append(oblong(float(aspect[0]), float(aspect[1])))
    if str(dataset.get("PixelPresentation", "")).strip() == "COLOR":
        told.append("its supplemental palette of colours is not applied: it is taken as grey")
    return [note for note in told if note is not None]


def _check_deflated(path: Path, data: bytes, pydicom: Any) -> None:
    """Refuse a deflated file that swells beyond reason, before pydicom inflates it in one go."""
    if data[128:132] != b"DICM" or _DEFLATED.encode() not in data[:1024]:
        return
    length = int(pydicom.filereader.read_file_meta_info(path).get("FileMetaInformationGroupLength", 0))
    inflater, swollen = zlib.decompressobj(-zlib.MAX_WBITS), 0
    block = data[144 + length :]  # after preamble, magic word, the length's own element and the rest of group 2
    while block and not inflater.eof:
        swollen += len(inflater.decompress(block, 2**20))
        block = inflater.unconsumed_tail
        if swollen > max(FREE_CLAIM, CLAIM_RATIO * len(data) // 8):
            raise failure(path, f"swells to over {swollen} bytes", "it is damaged or a decompression bomb; take it out")


def _frames(path: Path, dataset: Any, pydicom: Any, size: int, notes: list[str]) -> Iterator[np.ndarray]:
    """Decoded frames as stored, (H, W) or (H, W, 3): whole words where `_in_words`, else values; YBR turned into RGB."""
    bits = int(dataset.BitsAllocated)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if bits not in (1, 8, 16):
        raise failure(path, f"holds pixels of {bits} bits", "convert it to 16-bit DICOM or to NIfTI")
    check_size(path, int(dataset.Rows), int(dataset.Columns), samples, max(1, bits // 8), size)
    if not 1 <= int(dataset.BitsStored) <= bits:
        raise failure(path, f"stores {dataset.BitsStored} of {bits} bits", "its header is damaged; export it again")
    high = _high_bit(dataset)
    if not int(dataset.BitsStored) - 1 <= high < bits:
        wrong = f"has HighBit {high}, where {dataset.BitsStored} of {bits} bits are stored"
        raise failure(path, wrong, "its header is damaged; export it again")
    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if syntax is None:
        implicit, little = dataset.original_encoding
        syntax = (
            pydicom.uid.ImplicitVRLittleEndian
            if implicit
            else pydicom.uid.ExplicitVRLittleEndian
            if little
            else pydicom.uid.ExplicitVRBigEndian
        )
        if not hasattr(dataset, "file_meta"):
            dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        notes.append("names no transfer syntax: read as uncompressed")
    try:
        decoder = pydicom.pixels.get_decoder(syntax)
    except NotImplementedError:
        raise failure(
            path,
            f"is compressed as {_uid_name(syntax)}, which no decoder reads",
            "decompress it (dcmdjpeg, gdcmconv)",
        ) from None
    plugin = "pydicom" if syntax == pydicom.uid.RLELossless else ""
    if str(syntax) in _codestreams.DECODER_DEPENDENCIES:
        if not _codestreams.is_available(str(syntax)):
            fix = "run  pip install -U imagecodecs  or decompress it (dcmdjpeg, gdcmconv)"
            raise failure(path, f"is compressed as {_uid_name(syntax)}, which needs a codec of imagecodecs", fix)
        # Never pydicom's choice of plugins: gdcm, where installed, aborts the whole process on damaged streams.
        plugin = _PLUGIN
        if plugin not in decoder.available_plugins:
            with contextlib.suppress(ValueError):  # another thread was faster
                decoder.add_plugin(plugin, (_codestreams.__name__, "decode_frame"))
    if high != int(dataset.BitsStored) - 1 and not _in_words(dataset):
        fix = "decompress it, or export it again with the value in the lowest bits"
        raise failure(path, f"has HighBit {high} of {dataset.BitsStored} stored bits in compressed or YBR pixels", fix)
    if not decoder.is_encapsulated and len(dataset.PixelData) < pydicom.pixels.utils.get_expected_length(dataset):
        raise failure(path, "ends before its pixels do", "it was cut off; copy it again")
    try:
        given = {"bits_stored": bits} if _whole_words(dataset) else {}
        for frame, _ in decoder.iter_array(dataset, raw=False, decoding_plugin=plugin, **given):
            yield frame
    except (MemoryError, GeneratorExit):
        raise
    except Exception:  # every codec raises what it likes
        fix = "it was cut off or damaged; export it again"
        raise failure(path, f"has pixels ({_uid_name(syntax)}) that do not decode", fix) from None


def _high_bit(dataset: Any) -> int:
    """The highest bit of a stored value, from 0; without the tag the highest of BitsStored."""
    given = dataset.get("HighBit")
    return int(dataset.BitsStored) - 1 if given is None else int(given)


def _in_words(dataset: Any) -> bool:
    """Whether frames are decoded as whole words of BitsAllocated: uncompressed and RLE, but for YBR, which pydicom converts."""
    syntax = dataset.file_meta.TransferSyntaxUID
    plain = not syntax.is_encapsulated or str(syntax) == "1.2.840.10008.1.2.5"
    return plain and not str(dataset.PhotometricInterpretation).startswith("YBR")


def _whole_words(dataset: Any) -> bool:
    """Whether frames come with all bits that were written: also from a lossless codec, but for colour, which is converted."""
    grey = str(dataset.PhotometricInterpretation).strip().startswith("MONOCHROME")
    return _in_words(dataset) or (grey and str(dataset.file_meta.TransferSyntaxUID) in _LOSSLESS)


def _stored(path: Path, dataset: Any, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """(stored values of a frame, where they are padding or None): bits beside the value left out, the sign bit carried on."""
    allocated, bits, high = int(dataset.BitsAllocated), int(dataset.BitsStored), _high_bit(dataset)
    signed = bool(dataset.PixelRepresentation)
    whole = _whole_words(dataset)
    values = frame
    if _in_words(dataset) and bits < allocated > 1:
        values = _own_bits(frame >> (high + 1 - bits), bits, signed)
    elif bits < 8 * frame.itemsize and frame.ndim == 2:
        # A codec carries whole words as well: other bits beside the value, or a negative one without its sign.
        if whole or (frame.min() >= 0 and frame.max() < 2**bits):
            values = _own_bits(frame, bits, signed)
        else:  # what a lossy one adds beyond the ends
            values = np.clip(frame, -(2 ** (bits - 1)) if signed else 0, 2 ** (bits - signed) - 1)
    ends = [dataset.get(name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None or not str(dataset.PhotometricInterpretation).strip().startswith("MONOCHROME"):
        return values, None
    if not all(end is None or isinstance(end, int) for end in ends):
        raise failure(path, "has an unusable PixelPaddingValue", "export it again from its source")
    # The tag may be written with the other sign; some devices pad with a word that lies outside the stored bits.
    first, last = sorted(_signed_as(end, allocated, signed) for end in (ends[0], ends[0] if ends[1] is None else ends[1]))
    lowest = -(2 ** (bits - 1)) if signed else 0
    if lowest <= first and last < lowest + 2**bits:
        return values, (first <= values) & (values <= last)
    if whole and high == bits - 1:
        return values, (first <= frame.astype(np.int64)) & (frame <= last)
    return values, None  # no value can be it


def _own_bits(words: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """The lowest bits of each word as a number."""
    values = words & (2**bits - 1)
    return np.where(values >= 2 ** (bits - 1), values - 2**bits, values).astype(words.dtype) if signed else values


def _signed_as(number: int, bits: int, signed: bool) -> int:
    """A number of `bits` that was read with the wrong sign, with the right one."""
    if signed and number >= 2 ** (bits - 1):
        return number - 2**bits
    return number + 2**bits if number < 0 and not signed else number


def _uid_name(uid: Any) -> str:
    """What the standard calls a UID. An unknown one is not quoted: in a damaged file it may run on into a name."""
    from pydicom.uid import UID_dictionary

    return str(UID_dictionary[uid][0]) if uid in UID_dictionary else "of unknown kind"


def _values(path: Path, dataset: Any, frame: np.ndarray, index: int, notes: list[str]) -> tuple[np.ndarray, float, float]:
    """One frame in modality units, (H, W, C), with the values of black and white."""
    meaning = str(dataset.PhotometricInterpretation).strip()
    bits, signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    if meaning in _COLOUR:
        if meaning == "PALETTE COLOR":
            from pydicom.pixels import apply_color_lut

            frame = apply_color_lut(frame, dataset)
            bits = 8 * frame.dtype.itemsize
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype.kind != "u" or frame.dtype.itemsize > 2:
            raise failure(path, f"has {meaning} pixels of shape {frame.shape}", "export it again as RGB")
        return frame, 0.0, float(2**bits - 1)
    if meaning not in ("MONOCHROME1", "MONOCHROME2") or frame.ndim != 2:
        named = f" but {meaning}" if meaning in _REFUSED else ""
        raise failure(path, f"has pixels that are neither grey nor RGB, YBR or palette{named}", "export it as grey or RGB")
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    values, bottom, top = _rescaled(path, dataset, frame, index, lowest, highest)
    values, window, bottom, top = _windowed(dataset, values, index, bottom, top, notes)
    silent = signed and bits == 16  # the whole container of a signed number: a default, not a declaration
    low, high = window or ((math.nan, math.nan) if silent else (float(bottom), float(top)))
    if meaning == "MONOCHROME1":
        values, low, high = bottom + top - values, bottom + top - high, bottom + top - low
    if values.dtype.kind == "f":
        return values.astype(np.float32)[..., None], low, high
    kind = np.uint8 if top <= 255 and bits <= 8 else np.uint16
    return values.astype(kind)[..., None], low, high


def _rescaled(
    path: Path, dataset: Any, frame: np.ndarray, index: int, lowest: int, highest: int
) -> tuple[np.ndarray, float, float]:
    """Stored to modality values: (values, the least and the greatest possible one).

    The values are int64 where every possible one is whole and within 0 to 65535, else float64.
    """
    if "ModalityLUTSequence" in dataset:
        from pydicom.pixels import apply_modality_lut

        depth = int(dataset.ModalityLUTSequence[0].LUTDescriptor[2])
        return apply_modality_lut(frame, dataset).astype(np.int64), 0, 2 ** (8 if depth <= 8 else depth) - 1
    slope, intercept = _slope(dataset, index)
    if not (math.isfinite(slope) and math.isfinite(intercept) and 0 < abs(slope) < 1e6 and abs(intercept) < 1e9):
        raise failure(
            path, "has an unusable RescaleSlope, RescaleIntercept or DoseGridScaling", "export it again from its source"
        )
    bottom, top = sorted((lowest * slope + intercept, highest * slope + intercept))
    if slope.is_integer() and intercept.is_integer() and bottom >= 0 and top <= 65535:
        return frame.astype(np.int64) * int(slope) + int(intercept), int(bottom), int(top)
    return frame.astype(np.float64) * slope + intercept, bottom, top


def _slope(dataset: Any, index: int) -> tuple[float, float]:
    """(slope, intercept) of a frame: of the modality, or the DoseGridScaling of a dose (PS3.3 C.8.8.3)."""
    transform = _functional(dataset, index, "PixelValueTransformationSequence")
    given = dataset.get("DoseGridScaling") if transform.get("RescaleSlope") is None else transform.RescaleSlope
    return 1.0 if given is None else float(given), float(transform.get("RescaleIntercept") or 0.0)


def _windowed(
    dataset: Any, values: np.ndarray, index: int, bottom: float, top: float, notes: list[str]
) -> tuple[np.ndarray, tuple[float, float] | None, float, float]:
    """(values, (low, high) or None, bottom, top): a linear window sets low and high, any other is applied.

    Formulas: DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3.
    """
    item = _functional(dataset, index, "FrameVOILUTSequence")
    centre, width = _first(item.get("WindowCenter")), _first(item.get("WindowWidth"))
    if centre is None or width is None:
        if item.get("VOILUTSequence"):
            from pydicom.pixels import apply_voi

            _, first, depth = (int(number) for number in item.VOILUTSequence[0].LUTDescriptor)
            # Of values below 0 (Hounsfield units) the first may be -1024, which pydicom reads without its sign.
            shift = 2**16 if bottom < 0 and first >= 2**15 else 0
            places = np.rint(values).astype(np.int64) + shift
            return apply_voi(places, item).astype(np.int64), (0.0, float(2**depth - 1)), 0, 2**depth - 1
        return values, None, bottom, top
    shape = str(item.get("VOILUTFunction") or "LINEAR").strip()
    if shape not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        note = "its VOILUTFunction is none of the standard: the window is taken as LINEAR"
        if note not in notes:
            notes.append(note)
        shape = "LINEAR"
    if not (math.isfinite(centre) and math.isfinite(width)) or width <= (1 if shape == "LINEAR" else 0):
        note = f"its window of width {width:g} is left out: it has no range"
        if note not in notes:
            notes.append(note)
        return values, None, bottom, top
    if shape == "SIGMOID":
        exponent = np.clip(-4.0 * (values - centre) / width, -60.0, 60.0)
        return np.rint(65535.0 / (1.0 + np.exp(exponent))).astype(np.int64), (0.0, 65535.0), 0, 65535
    if shape == "LINEAR_EXACT":
        return values, (centre - width / 2, centre + width / 2), bottom, top
    return values, (centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2), bottom, top


def _functional(dataset: Any, index: int, macro: str) -> Any:
    """Where a frame's attributes stand: the macro's item of the frame, of all frames, else the data set itself."""
    for groups, number in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
        items = dataset.get(groups)
        if items and number < len(items) and items[number].get(macro):
            return items[number].get(macro)[0]
    return dataset


def _first(value: Any) -> float | None:
    """The first number of a DICOM element that may hold several, or none."""
    if value is None or value == "":
        return None
    if isinstance(value, (str, int, float)):
        return float(value)
    return float(value[0]) if len(value) else None


def _spacing(dataset: Any, index: int) -> tuple[float, float] | None:
    item = _functional(dataset, index, "PixelMeasuresSequence")
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        value = item.get(name)
        if value is not None and not isinstance(value, (str, float)) and len(value) == 2:
            row, column = float(value[0]), float(value[1])
            if 0 < row < math.inf and 0 < column < math.inf:
                return row, column
    return None


def _group(dataset: Any) -> str | None:
    """Twelve hex digits that tell patients apart without naming them (guessable ids can still be found by trying)."""
    identity = str(dataset.get("PatientID") or "").strip()
    return hashlib.sha256(f"ganvas patient {identity}".encode()).hexdigest()[:12] if identity else None
