"""Everyday picture files: PNG through libpng (imagecodecs), JPEG, BMP, GIF and WebP through Pillow. Not TIFF (`_tiff`).

Pillow reads 16-bit colour PNG as 8-bit without a word and is half as fast on small PNG, hence the two ways.
Rules: an indexed picture becomes RGB, or grey when its whole palette is grey; one bit becomes 0 and 255; CMYK becomes
RGB without a colour profile; alpha is dropped when opaque, else laid on white; the EXIF orientation is applied; of an
animation the first frame is taken. Each of the lossy ones adds a warning, as does a colour profile or gamma other than
sRGB's and a shape of pixels that is not square, which are not applied. JPEG of another kind than 8 bits with losses is refused.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ...store.guard import failure
from .codestreams import stream_kind
from .picture import Picture, check_size, clear_of, oblong, orient, profile_note, without_alpha

_EXIF_ORIENTATION = 0x0112
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}  # by colour type
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def sniff(head: bytes) -> str | None:
    """The format of a file by its first 132 bytes: PNG, JPEG, BMP, GIF, WEBP, TIFF, DICOM or None."""
    if head.startswith(_PNG_MAGIC):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    if head[128:132] == b"DICM":
        return "DICOM"
    if head.startswith(b"BM"):
        return "BMP"
    return None


def read_picture(path: Path, kind: str, data: bytes | None = None) -> Iterator[Picture]:
    """The one picture of a PNG, JPEG, BMP, GIF or WebP file (`kind` as `sniff` names it). data: its bytes, where it lies in
    another file."""
    data = path.read_bytes() if data is None else data
    if kind == "PNG":
        yield _read_png(path, data)
        return
    from PIL import Image, ImageFile

    # A caller may have switched it on; it would let cut-off files through, grey where pixels are missing.
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise failure(path, "is read with PIL.ImageFile.LOAD_TRUNCATED_IMAGES set", "set it to False")
    notes: list[str] = []
    if kind == "JPEG" and (other := stream_kind(data)) is not None:
        raise failure(path, f"is {other}, not one of 8 bits", "save it as PNG or TIFF")
    with Image.open(BytesIO(data), formats=[kind]) as image:
        check_size(path, image.height, image.width, len(image.getbands()), 1, len(data))
        orientation = int(image.getexif().get(_EXIF_ORIENTATION, 1))
        pictures = int(getattr(image, "n_frames", 1))
        if pictures > 1:
            notes.append(f"holds {pictures} pictures: only the first is used")
            image.seek(0)
        image.load()
        if kind == "BMP" and image.mode == "RGBA" and not np.asarray(image)[..., 3].any():
            # Many programs declare an alpha and leave it 0; browsers show such a picture, too.
            notes.append("alpha channel dropped: it is 0 everywhere")
            pixels, clear = _plain(path, image.convert("RGB"), notes)
        else:
            pixels, clear = _plain(path, image, notes)
        across, down = image.info.get({"JPEG": "jfif_density", "BMP": "dpi"}.get(kind, ""), (1, 1))
        if across > 0 and down > 0 and (note := oblong(1 / down, 1 / across)) is not None:
            notes.append(note)
    yield _finish(pixels, orientation, notes, clear)


def _finish(pixels: np.ndarray, orientation: int, notes: list[str], clear: np.ndarray | None = None) -> Picture:
    depth = pixels.dtype.itemsize * 8
    upright = None if clear is None else orient(clear[..., None], orientation)[..., 0]
    return Picture(orient(pixels, orientation), depth, 0.0, float(2**depth - 1), warnings=tuple(notes), clear=upright)


def _plain(path: Path, image: Any, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """A loaded Pillow image as (H, W, C) uint8 or uint16 without palette, mask, ink or alpha; and how far it is transparent."""
    grey, profile = False, image.info.get("icc_profile")
    if image.mode == "P":
        colours = np.array(image.getpalette() or [0, 0, 0]).reshape(-1, 3)
        grey = bool((colours == colours[:, :1]).all())
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode in ("CMYK", "YCbCr", "RGBX"):
        if image.mode == "CMYK":
            notes.append("CMYK turned into RGB without a colour profile")
            if image.format == "JPEG" and "adobe" not in image.info:
                # Pillow takes every CMYK JPEG for one of Adobe's, which hold the inks inverted.
                from PIL import ImageChops

                image = ImageChops.invert(image)
        image = image.convert("RGB")
    elif image.mode in ("PA", "RGBa"):
        image = image.convert("RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("L", "RGB") and "transparency" in image.info:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    if not notes and (note := profile_note(profile)) is not None:
        notes.append(note)
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise failure(path, f"has pixels of Pillow's kind '{image.mode}'", "save it as 8-bit PNG or 16-bit TIFF")
    pixels = np.asarray(image)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    clear = None
    if image.mode in ("LA", "RGBA"):
        clear = clear_of(pixels)
        pixels, note = without_alpha(pixels)
        notes.append(note)
    return pixels[..., :1] if grey else pixels, clear


def _read_png(path: Path, data: bytes) -> Picture:
    """A PNG of any kind.

    libpng warns on stderr or fills in where a file is not quite right, so it is handed a rebuilt one of known good
    parts (no colour profile, no text) after every checksum and the length of the picture data were checked here.
    """
    parts = _png_parts(path, data)
    header = parts.get(b"IHDR", b"")
    if b"CgBI" in parts:
        raise failure(path, "is a PNG for iPhone programs (CgBI)", "turn it back (pngcrush -revert-iphone-optimizations)")
    if len(header) != 13:
        raise failure(path, "is a PNG without a header", "copy it again")
    width, height, bits, colour, *methods, interlaced = struct.unpack(">IIBBBBB", header)
    if bits not in _PNG_BITS.get(colour, ()) or methods != [0, 0] or interlaced not in (0, 1):
        raise failure(path, "has a PNG header of no known kind", "it is damaged; copy it again")
    channels = _PNG_CHANNELS[colour]
    # Packed pixels grow when they are unpacked to bytes
    check_size(path, height, width, channels, max(1, bits // 8), len(data) * max(1, 8 // bits))
    passes = _png_passes(width, height, bits * channels, bool(interlaced))
    expected = sum(size for *_, size in passes)
    raw = zlib.decompressobj().decompress(parts.get(b"IDAT", b""), expected + 1)
    if len(raw) < expected:
        raise failure(path, "ends before its picture does", "it was cut off; copy it again")
    colours = _png_colours(path, parts, bits, colour)
    if len(passes) == 1:
        pixels = _png_decode(height, width, bits, colour, colours, raw[:expected])
    else:  # each pass of an interlaced PNG is a small one of its own
        parted, start = [], 0
        for _, rows, columns, size in passes:
            parted.append(_png_decode(rows, columns, bits, colour, colours, raw[start : start + size]))
            start += size
        pixels = np.empty((height, width, parted[0].shape[2]), parted[0].dtype)
        for (grid, *_), part in zip(passes, parted, strict=True):
            pixels[grid] = part
    notes: list[str] = []
    clear = None
    if pixels.shape[2] in (2, 4):
        clear = clear_of(pixels)
        pixels, note = without_alpha(pixels)
        notes.append(note)
    palette = parts.get(b"PLTE", b"")
    if colour == 3 and palette[0::3] == palette[1::3] == palette[2::3]:
        pixels = pixels[..., :1]
    if b"acTL" in parts:
        notes.append("holds an animation: only its first picture is used")
    if (colours_note := _png_colour_space(parts)) is not None:
        notes.append(colours_note)
    across, down = struct.unpack(">II", parts[b"pHYs"][:8]) if len(parts.get(b"pHYs", b"")) == 9 else (1, 1)
    if across and down and (shape_note := oblong(1 / down, 1 / across)) is not None:  # pixels per unit across and down
        notes.append(shape_note)
    return _finish(pixels, _exif_orientation(parts[b"eXIf"]) if b"eXIf" in parts else 1, notes, clear)


def png_in_colour(path: Path, data: bytes) -> bool:
    """Whether a PNG holds colours, or alpha, in the place of numbers of a palette or of grey."""
    header = _png_parts(path, data).get(b"IHDR", b"")
    return len(header) == 13 and header[9] not in (0, 3)


def read_png_numbers(path: Path, data: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
    """The numbers (H, W) that a grey or indexed PNG holds, neither coloured nor stretched, and its palette as `#rrggbb`.

    It is read as the grey one that it would be without a palette. Raises DataError for one in colour or with alpha.
    """
    parts = _png_parts(path, data)
    header = parts.get(b"IHDR", b"")
    bits, colour = (header[8], header[9]) if len(header) == 13 else (8, 0)
    if colour not in (0, 3):
        raise failure(path, "is a picture in colour or with alpha", "save the classes as numbers, in a grey or indexed PNG")
    palette = parts.get(b"PLTE", b"").hex() if colour == 3 else ""
    plain = _PNG_MAGIC + _chunk(b"IHDR", header[:9] + b"\0" + header[10:])
    plain += b"".join(_chunk(name, parts[name]) for name in (b"eXIf", b"IDAT") if name in parts) + _chunk(b"IEND", b"")
    pixels = _read_png(path, plain).pixels[..., 0]
    if bits < 8:
        pixels = pixels // (255 // (2**bits - 1))
    return pixels, tuple(f"#{palette[i : i + 6]}" for i in range(0, len(palette), 6))


def _png_colour_space(parts: dict[bytes, bytes]) -> str | None:
    """A warning where a PNG declares other colours than sRGB's: by a profile, HDR's code points, or a gamma."""
    if b"cICP" in parts and parts[b"cICP"][:2] != b"\1\r":  # primaries 1, transfer 13: sRGB
        return "its colour space (cICP), not sRGB, is not applied"
    if b"iCCP" in parts:
        name, _, packed = parts[b"iCCP"].partition(b"\0")
        try:  # after the name and one byte for the method; a damaged profile is of no consequence, as none is applied
            profile = name + zlib.decompressobj().decompress(packed[1:], 2**24)
        except zlib.error:
            profile = name
        return profile_note(profile)
    if b"gAMA" in parts and b"sRGB" not in parts and len(parts[b"gAMA"]) == 4:
        (gamma,) = struct.unpack(">I", parts[b"gAMA"])
        if not 44_000 <= gamma <= 47_000:  # 45455, that is 1/2.2, is what sRGB is like
            return f"its gamma of {gamma / 100_000:g}, not sRGB's, is not applied"
    return None


def _png_colours(path: Path, parts: dict[bytes, bytes], bits: int, colour: int) -> bytes:
    """The palette and transparency chunks that the pixels need, checked."""
    chunks = b""
    palette = parts.get(b"PLTE", b"")
    if colour == 3:
        if len(palette) % 3 or not 3 <= len(palette) <= 3 * 2**bits:
            raise failure(path, "has no usable palette", "it is damaged; save it again")
        chunks += _chunk(b"PLTE", palette)
    if b"tRNS" in parts:
        clear = parts[b"tRNS"]
        if len(clear) != {0: 2, 2: 6}.get(colour) and not (colour == 3 and 3 <= 3 * len(clear) <= len(palette)):
            raise failure(path, "has an unusable list of transparent colours", "it is damaged; save it again")
        chunks += _chunk(b"tRNS", clear)
    return chunks


def _png_decode(rows: int, columns: int, bits: int, colour: int, colours: bytes, raw: bytes) -> np.ndarray:
    """Filtered rows of a PNG, not interlaced, as (rows, columns, C) uint8 or uint16; alpha last."""
    import imagecodecs

    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, bits, colour, 0, 0, 0))
    body = _chunk(b"IDAT", zlib.compress(raw, 0)) + _chunk(b"IEND", b"")
    pixels: np.ndarray = imagecodecs.png_decode(_PNG_MAGIC + head + colours + body)
    return pixels.reshape(rows, columns, -1)


def _png_parts(path: Path, data: bytes) -> dict[bytes, bytes]:
    """The chunks of a PNG by name, those of one name joined; checksums verified where a picture depends on them."""
    parts: dict[bytes, list[bytes]] = {}
    position = 8
    while b"IEND" not in parts:
        if position + 12 > len(data):
            raise failure(path, "ends before its picture does", "it was cut off; copy it again")
        (length,) = struct.unpack_from(">I", data, position)
        name, end = data[position + 4 : position + 8], position + 12 + length
        if end > len(data):
            raise failure(path, "ends before its picture does", "it was cut off; copy it again")
        body = data[position + 8 : end - 4]
        if name in (b"IHDR", b"PLTE", b"IDAT", b"tRNS"):
            if zlib.crc32(name + body) != struct.unpack_from(">I", data, end - 4)[0]:
                raise failure(path, f"has a wrong checksum in its {name.decode()} part", "copy it again")
            if name in parts and name != b"IDAT":
                raise failure(path, f"has two {name.decode()} parts", "it is damaged; save it again")
        parts.setdefault(name, []).append(body)
        position = end
    return {name: b"".join(bodies) for name, bodies in parts.items()}


def _png_passes(width: int, height: int, bits: int, interlaced: bool) -> list[tuple[Any, int, int, int]]:
    """The passes of a PNG of `bits` per pixel: (where its pixels belong, rows, columns, bytes of filtered rows)."""
    passes: list[tuple[Any, int, int, int]] = []
    for left, top, across, down in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            grid = (slice(top, None, down), slice(left, None, across))
            passes.append((grid, rows, columns, rows * (1 + (columns * bits + 7) // 8)))
    return passes


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _exif_orientation(body: bytes) -> int:
    from PIL import Image

    exif = Image.Exif()
    exif.load(body)
    return int(exif.get(_EXIF_ORIENTATION, 1))
