"""TIFF files through tifffile: every page a picture, 1 to 16 bits or float, 1 to 8 channels. Not for other pictures.

Rules: WhiteIsZero is inverted, a colour map applied, CMYK becomes RGB (with a warning), declared alpha is dropped when
opaque, else laid on white; channels without a declared meaning are kept. Signed and 32-bit whole numbers become
float32. Reduced-resolution pages (thumbnails) are left out. The orientation tag is applied.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...store.guard import failure, finite_float32, integers_to_float32
from .codestreams import ends_properly, stream_size
from .picture import Picture, check_size, orient, without_alpha

# The rest are camera raw formats or decoders that few files need and that were never tried on damaged ones.
_PLAIN = {"NONE", "LZW", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "ZSTD", "LZMA"}
_STREAMS = {"JPEG", "JPEG2000", "APERIO_JP2000_YCBC", "APERIO_JP2000_RGB", "JPEG_2000_LOSSY"}


def read_tiff(path: Path) -> Iterator[Picture]:
    """A picture for each page of the file at full resolution."""
    import tifffile

    size = path.stat().st_size
    with tifffile.TiffFile(path) as file:
        index, seen = 0, set()
        whole = _one_directory(path, file, size)
        if whole is not None:
            yield from whole
            return
        for page in file.pages:
            if page.offset in seen:
                raise failure(path, "has pages that lead back to themselves", "it is damaged; save it again")
            seen.add(page.offset)
            if not isinstance(page, tifffile.TiffPage):
                page = page.aspage()
            if int(page.subfiletype) & 1:
                continue
            yield _read_page(path, page, index, size)
            index += 1
    if index == 0:
        raise failure(path, "holds no picture at full resolution", "take it out")


def _one_directory(path: Path, file: Any, size: int) -> Iterator[Picture] | None:
    """The planes of a stack with one directory for all, as ImageJ writes stacks over 4 GB; None for any other file."""
    if len(file.pages) != 1 or not (file.is_imagej or file.is_shaped) or not file.series:
        return None
    page, series = file.pages[0], file.series[0]
    planes = math.prod(series.shape) // max(1, math.prod(page.shape))
    if planes <= 1:
        return None
    if not series.axes.endswith(page.axes):
        raise failure(path, f"holds data along {series.axes} in one directory", "save it as pages of 2-D pictures")
    if planes * page.nbytes > size:
        raise failure(path, f"claims {planes} planes but has only {size} bytes", "it was cut off; copy it again")
    check_size(path, page.imagelength, page.imagewidth, int(page.samplesperpixel), page.dtype.itemsize, size)
    stack = series.asarray(maxworkers=1).reshape(planes, *page.shape)
    return (_picture(path, page, plane, index) for index, plane in enumerate(stack))


def _read_page(path: Path, page: Any, index: int, size: int) -> Picture:
    where = f"(page {index + 1})"
    if page.axes not in ("YX", "YXS", "SYX") or page.dtype is None:
        raise failure(path, f"holds {page.axes or 'unknown'} data {where}", "save it as pages of 2-D pictures")
    samples = int(page.samplesperpixel)
    check_size(path, page.imagelength, page.imagewidth, samples, page.dtype.itemsize, size)
    _check_segments(path, page, where, size)
    return _picture(path, page, page.asarray(maxworkers=1), index)


def _picture(path: Path, page: Any, pixels: np.ndarray, index: int) -> Picture:
    """The samples of a page or plane as a picture, by what the page says of them."""
    where, samples = f"(page {index + 1})", int(page.samplesperpixel)
    if page.axes == "YX":
        pixels = pixels[..., None]
    elif page.axes == "SYX":
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.shape != (page.imagelength, page.imagewidth, samples):
        raise failure(path, f"decodes to the shape {pixels.shape} {where}", "it is damaged; save it again")
    notes: list[str] = []
    _refuse_missing(path, page, pixels, where)
    pixels, low, high = _values(path, page, pixels, where, notes)
    tag = page.tags.valueof(274, 1)
    pixels = orient(pixels, int(tag))
    return Picture(pixels, pixels.dtype.itemsize * 8, low, high, warnings=tuple(notes), index=index)


def _refuse_missing(path: Path, page: Any, pixels: np.ndarray, where: str) -> None:
    """Values that stand for "no data" (GDAL's tag) are no brightness: a file that holds any is refused."""
    tag = page.tags.valueof(42113)
    try:
        missing = float(str(tag).strip("\0 ")) if tag is not None else math.nan
    except ValueError:
        return
    count = int((pixels == missing).sum())
    if count:
        told = f"holds {count} values without data (GDAL_NODATA {missing:g}) {where}"
        raise failure(path, told, "fill them or cut them out first")


def _values(path: Path, page: Any, pixels: np.ndarray, where: str, notes: list[str]) -> tuple[np.ndarray, float, float]:
    """Sample values as uint8, uint16 or float32 (H, W, C), with what the file declares as black and white."""
    meaning = getattr(page.photometric, "name", str(page.photometric))
    if meaning not in ("MINISBLACK", "MINISWHITE", "RGB", "PALETTE", "SEPARATED", "YCBCR", "MASK"):
        raise failure(path, f"has {meaning} colours {where}", "save it as grey or RGB")
    if pixels.dtype.kind == "f":
        return finite_float32(path, pixels, where.strip("()")), math.nan, math.nan
    if pixels.dtype.kind == "b":
        pixels, bits = pixels.astype(np.uint8) * 255, 8
    elif pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:
        bits = int(page.bitspersample)
    elif pixels.dtype.kind in "iu":
        return integers_to_float32(path, pixels), math.nan, math.nan
    else:
        raise failure(path, f"has {pixels.dtype} values {where}", "save it with 8, 16 or 32 bits")
    top = 2**bits - 1
    if meaning == "PALETTE":
        colours = page.colormap
        if colours is None or colours.shape[:-1] != (3,) or pixels.shape[2] != 1 or pixels.max() >= colours.shape[1]:
            raise failure(path, f"has no usable colour map {where}", "save it as RGB")
        # Colour maps hold 16 bits, but are 8-bit colours times 256 or 257 in every writer of note.
        pixels = (colours.T >> 8).astype(np.uint8)[pixels[..., 0]]
        if (pixels == pixels[..., :1]).all(axis=-1).all():
            pixels = pixels[..., :1]
        return np.ascontiguousarray(pixels), 0.0, 255.0
    if meaning == "MINISWHITE":
        pixels = top - pixels
    elif meaning == "SEPARATED":
        if pixels.shape[2] != 4:
            raise failure(path, f"has {pixels.shape[2]} inks {where}", "save it as RGB")
        notes.append("CMYK turned into RGB without a colour profile")
        ink = pixels.astype(np.uint32)
        pixels = (((top - ink[..., :3]) * (top - ink[..., 3:]) + top // 2) // top).astype(pixels.dtype)
    elif meaning == "YCBCR" and page.compression.name in _PLAIN:
        raise failure(path, f"has YCbCr colours {where}", "save it as RGB")
    if page.extrasamples and int(page.extrasamples[-1]) in (1, 2) and pixels.shape[2] in (2, 4):
        if bits not in (8, 16):
            raise failure(path, f"has alpha with {bits} bits {where}", "save it without alpha")
        pixels, note = without_alpha(pixels, premultiplied=int(page.extrasamples[-1]) == 1)
        notes.append(note)
    return np.ascontiguousarray(pixels), 0.0, float(top)


def _check_segments(path: Path, page: Any, where: str, size: int) -> None:
    """Refuse pages whose strips or tiles are missing, cut off or of another size than the page says.

    tifffile fills what is missing with zeros, and a decoder allocates what a damaged stream claims.
    """
    method = getattr(page.compression, "name", str(page.compression))
    if method not in _PLAIN | _STREAMS:
        raise failure(path, f"is compressed by {method} {where}", "save it with LZW or deflate")
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    planes = page.samplesperpixel if int(page.planarconfig) == 2 else 1
    if rows < 1 or columns < 1 or rows * columns > 2 * max(page.imagelength * page.imagewidth, 2**22):
        raise failure(path, f"has strips or tiles of {columns} x {rows} {where}", "it is damaged; save it again")
    expected = math.ceil(page.imagelength / rows) * math.ceil(page.imagewidth / columns) * planes
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if method == "NONE":
        bits = page.imagelength * page.imagewidth * page.samplesperpixel * page.bitspersample
        whole = 8 * sum(count for _, count in segments) >= bits
    else:
        whole = len(segments) >= expected
    if not whole or any(count < 1 or offset < 1 or offset + count > size for offset, count in segments):
        raise failure(path, f"ends before its picture does {where}", "it was cut off; copy it again")
    if method not in _STREAMS:
        return
    handle = page.parent.filehandle
    for offset, count in segments:
        handle.seek(offset)
        data = handle.read(count)
        height, width, components = stream_size(data)
        if height > rows or width > columns or components > page.samplesperpixel:
            raise failure(path, f"has a damaged {method} stream {where}", "copy it again or save it with LZW")
        if not ends_properly(data):
            raise failure(path, f"ends before its picture does {where}", "it was cut off; copy it again")
