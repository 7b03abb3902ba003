"""Compressed pixel streams inside DICOM and TIFF files: their size from the header, and decoding through imagecodecs.

imagecodecs carries libjpeg-turbo (8 and 12 bit, lossless), CharLS and OpenJPEG, so every JPEG family of DICOM is read
by what ganvas installs anyway. The functions without underscore follow pydicom's decoder plugin interface. Not for
files: a stream here has no container.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
_JPEG_2000 = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203))

DECODER_DEPENDENCIES = dict.fromkeys((*_JPEG, *_JPEG_LS, *_JPEG_2000), ("imagecodecs",))


def stream_size(data: bytes) -> tuple[int, int, int]:
    """(height, width, components) that a JPEG, JPEG-LS or JPEG 2000 stream claims. Raises ValueError without a header.

    A decoder allocates what the stream claims, which a damaged byte can turn into gigabytes: compare first.
    """
    start = data.find(b"\xff\x4f\xff\x51")
    if start >= 0 and len(data) >= start + 42:  # JPEG 2000: SOC, then SIZ with reference grid, offsets, components
        right, lower, left, upper = struct.unpack_from(">IIII", data, start + 8)
        return lower - upper, right - left, struct.unpack_from(">H", data, start + 40)[0]
    position = 2
    while data.startswith(b"\xff\xd8") and position + 10 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):  # start of frame
            height, width, components = struct.unpack_from(">HHB", data, position + 5)
            return height, width, components
        else:
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    raise ValueError("no frame header in the compressed stream")


def stream_kind(data: bytes) -> str | None:
    """What a JPEG stream is where it is not of 8 bits, coded by Huffman with losses: `a lossless JPEG`; else None."""
    position = 2
    while position + 5 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xF7:
            return "a JPEG-LS stream"
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame: ITU-T T.81, table B.1
            bits = data[position + 4]
            if marker in (0xC3, 0xC7, 0xCB, 0xCF):
                return f"a lossless JPEG of {bits} bits"
            return None if bits == 8 else f"a JPEG of {bits} bits"
        fill = marker == 0xFF
        position += 1 if fill else 2 + struct.unpack_from(">H", data, position + 2)[0]
    return None


def ends_properly(data: bytes) -> bool:
    """Whether a JPEG, JPEG-LS or JPEG 2000 stream reaches its end marker (decoders fill what is missing with grey)."""
    return b"\xff\xd9" in data[-64:]


def is_available(uid: str) -> bool:
    """Whether the installed imagecodecs (builds differ) can decode this transfer syntax."""
    import imagecodecs

    if uid in _JPEG:
        return bool(imagecodecs.JPEG8.available)
    if uid in _JPEG_LS:
        return bool(imagecodecs.JPEGLS.available)
    return uid in DECODER_DEPENDENCIES and bool(imagecodecs.JPEG2K.available)


def decode_frame(data: bytes, runner: Any) -> bytearray:
    """Decode one frame for pydicom's `DecodeRunner` to the components as stored (no colour conversion).

    Raises ValueError when the stream does not match the DICOM header or was cut off.
    """
    import imagecodecs

    syntax = str(runner.transfer_syntax)
    height, width, components = stream_size(data)
    if (height, width, components) != (runner.rows, runner.columns, runner.samples_per_pixel):
        raise ValueError(
            f"the stream holds {width} x {height} x {components} values, "
            f"the header says {runner.columns} x {runner.rows} x {runner.samples_per_pixel}"
        )
    if not ends_properly(data):
        raise ValueError("the compressed stream was cut off")
    if syntax in _JPEG:
        # Naming the same colour space on both sides switches libjpeg's conversion off; pydicom converts afterwards.
        space = "YCBCR" if components == 3 else None
        pixels = imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace=space)
    elif syntax in _JPEG_LS:
        pixels = imagecodecs.jpegls_decode(data)
    else:
        pixels = imagecodecs.jpeg2k_decode(data)  # OpenJPEG takes the high-throughput kind as well
        if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):  # undone by the decoder itself
            runner.set_option("photometric_interpretation", "RGB")
    pixels = np.asarray(pixels)
    if pixels.size != height * width * components:
        raise ValueError("the compressed stream was cut off")
    if components > 1:
        runner.set_option("planar_configuration", 0)
    runner.set_option("bits_allocated", pixels.dtype.itemsize * 8)
    return bytearray(np.ascontiguousarray(pixels).tobytes())
