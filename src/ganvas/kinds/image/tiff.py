"""TIFF files through tifffile: every page a picture, 1 to 16 bits or float, 1 to 8 channels. Not for other pictures.

Rules: WhiteIsZero is inverted, a colour map applied, CMYK becomes RGB (with a warning), declared alpha is dropped when
opaque, else laid on white (colours stored times alpha as they are); channels without a declared meaning are kept. Signed
and 32-bit whole numbers become float32. Reduced-resolution pages (thumbnails) are left out. The orientation tag is applied.
GDAL_NODATA and mask pages: black. GDAL's scale and offset and ImageJ's straight line are applied (float32); OME's
SignificantBits say what is white. A stack of ImageJ or tifffile in one directory gives all of its planes.
Curves, profiles and pixels that are not square are told, not applied. Of a label map the stored numbers are given instead.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ...store.guard import failure, finite_float32, integers_to_float32
from .codestreams import ends_properly, stream_size
from .picture import Picture, black_without_data, check_size, clear_of, oblong, orient, profile_note, without_alpha

# The rest are camera raw formats or decoders that few files need and that were never tried on damaged ones.
_PLAIN = {"NONE", "LZW", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "ZSTD", "LZMA"}
_STREAMS = {"JPEG", "JPEG2000", "APERIO_JP2000_YCBC", "APERIO_JP2000_RGB", "JPEG_2000_LOSSY"}
_CURVES = {291: "grey response curve", 301: "transfer function"}


def read_tiff(path: Path, numbers: bool = False, data: bytes | None = None) -> Iterator[Picture]:
    """A picture for each page of the file at full resolution, or for each plane of a stack in one directory.

    numbers: samples of one channel as they are stored, neither coloured, turned round nor scaled, and no data as any other.
    data: its bytes, where it lies in another file.
    """
    import tifffile

    size = path.stat().st_size if data is None else len(data)
    with tifffile.TiffFile(path if data is None else BytesIO(data)) as file:
        said = _said(path, file, size)
        index = 0
        for page, mask in _pages(path, file, said):
            for pixels in _planes(path, page, index, size, said):
                plain = numbers and pixels.shape[2] == 1
                yield _numbers(path, page, pixels, index) if plain else _picture(path, page, mask, pixels, index, size, said)
                index += 1
    if index == 0:
        raise failure(path, "holds no picture at full resolution", "take it out")


@dataclass
class _Said:
    """What a file as a whole says of its pages.

    planes: pictures in its one directory, all but the first behind it without any; 1 elsewhere. bits: significant ones of
    each value, or None. line: (slope, intercept) from stored values to those meant. notes: what a user should know.
    """

    planes: int = 1
    bits: int | None = None
    line: tuple[float, float] = (1.0, 0.0)
    first_only: bool = False
    notes: list[str] = field(default_factory=list)


def _said(path: Path, file: Any, size: int) -> _Said:
    """What ImageJ, tifffile, OME and slide scanners wrote into the file. Raises DataError where a part of it is not there."""
    said, first = _Said(), file.pages[0]
    alone = not file.pages.is_multipage
    count, channels = 1, 1
    if file.is_imagej:
        meta = file.imagej_metadata or {}
        stated = [meta.get(name, 1) for name in ("images", "channels", "slices", "frames")]
        if not all(isinstance(number, int) and 1 <= number < 10**7 for number in stated):
            raise failure(path, "has an unusable ImageJ description", "save it again")
        channels = stated[1] if first.samplesperpixel == 1 else 1
        count = max(stated[0], channels * stated[2] * stated[3])
        function = meta.get("cf", 20)  # ImageJ's Calibration: 0 is a straight line, 20 none
        if function == 0:
            said.line = (float(meta.get("c1", 1.0)), float(meta.get("c0", 0.0)))
        elif function != 20:
            said.notes.append("its ImageJ calibration is no straight line and was not applied")
    elif file.is_ome:
        text = first.description
        bits = {int(number) for number in re.findall(r'SignificantBits="(\d{1,2})"', text)}
        said.bits = bits.pop() if len(bits) == 1 else None
        colours = re.findall(r'<Pixels[^>]* SizeC="(\d{1,4})"', text)
        channels = max((int(number) for number in colours), default=1) // int(first.samplesperpixel)
    elif file.is_shaped:
        axes, shape, behind = _shape_of(first.description)
        channels = shape[axes.index("C")] if len(axes) == len(shape) and axes.count("C") == 1 else 1
        count = max(1, math.prod(shape) // max(1, math.prod(first.shape))) if alone and behind else 1
    elif file.is_stk:
        raise failure(path, "is a MetaMorph stack, whose pictures have no directories", "save it as pages of 2-D pictures")
    if first.tags.valueof(33445) == 2:  # MDFileTag of Molecular Dynamics' gel scanners
        raise failure(path, "stores square roots of its values (MD GEL)", "save it as linear 16-bit or float TIFF")
    if file.is_svs:
        said.first_only = True
        said.notes.append("a slide: only its picture at full resolution is read")
    if count > 1 and alone:
        whole = first.is_contiguous and first.fillorder == 1 and first.bitspersample == 8 * first.dtype.itemsize
        held = (size - first.dataoffsets[0]) // max(1, first.nbytes) if whole else 1
        if held < count:
            wrong = f"says that it holds {count} pictures, but has one directory and {held}"
            raise failure(path, wrong, "it was cut off, or its description is of another file: save it again")
        said.planes = count
    elif not alone and file.is_imagej and count > len(file.pages):
        said.notes.append(f"says that it holds {count} pictures, but has {len(file.pages)}")
    if channels > 1:
        said.notes.append(f"each of its {channels} channels is a picture of its own")
    return said


def _shape_of(description: Any) -> tuple[str, list[int], bool]:
    """What tifffile leaves, as JSON, in the description of a stack: (axes, shape, whether all of it is in one directory)."""
    with contextlib.suppress(ValueError, TypeError):
        told = json.loads(str(description))
        shape = told.get("shape") if isinstance(told, dict) else None
        if isinstance(shape, list) and all(isinstance(number, int) and number > 0 for number in shape):
            return str(told.get("axes", "")), shape, bool(told.get("truncated"))
    return "", [], False


def _pages(path: Path, file: Any, said: _Said) -> Iterator[tuple[Any, Any]]:
    """(page, the mask that follows it or None) at full resolution."""
    import tifffile

    seen: set[int] = set()
    held: Any = None
    for page in file.pages:
        if page.offset in seen:
            raise failure(path, "has pages that lead back to themselves", "it is damaged; save it again")
        seen.add(page.offset)
        if not isinstance(page, tifffile.TiffPage):
            page = page.aspage()
        kind = int(page.subfiletype)
        if kind & 1:
            continue
        if kind & 4 and held is not None and page.shape[:2] == (held.imagelength, held.imagewidth):
            yield held, page
            held = None
            continue
        if held is not None:
            yield held, None
            if said.first_only:
                return
        held = page
    if held is not None:
        yield held, None


def _planes(path: Path, page: Any, index: int, size: int, said: _Said) -> Iterator[np.ndarray]:
    """Sample values as stored, (H, W, C), of a page, or of each plane behind the one directory."""
    where = f"(page {index + 1})"
    if page.axes not in ("YX", "YXS", "SYX") or page.dtype is None:
        raise failure(path, f"holds {page.axes or 'unknown'} data {where}", "save it as pages of 2-D pictures")
    samples = int(page.samplesperpixel)
    check_size(path, page.imagelength, page.imagewidth, samples, page.dtype.itemsize, size)
    _check_segments(path, page, where, size)
    for plane in range(said.planes):
        if said.planes == 1:
            pixels = page.asarray(maxworkers=1)
        else:
            handle = page.parent.filehandle
            handle.seek(page.dataoffsets[0] + plane * page.nbytes)
            data = handle.read(page.nbytes)
            pixels = np.frombuffer(data, page.dtype.newbyteorder(page.parent.byteorder)).reshape(page.shape)
            pixels = pixels.astype(page.dtype.newbyteorder("="))
        if page.axes == "YX":
            pixels = pixels[..., None]
        elif page.axes == "SYX":
            pixels = np.moveaxis(pixels, 0, -1)
        if pixels.shape != (page.imagelength, page.imagewidth, samples):
            raise failure(path, f"decodes to the shape {pixels.shape} {where}", "it is damaged; save it again")
        yield pixels


def _picture(path: Path, page: Any, mask: Any, pixels: np.ndarray, index: int, size: int, said: _Said) -> Picture:
    where = f"(page {index + 1})"
    notes = list(said.notes)
    missing, declared = _missing(path, page, pixels, where)
    if mask is not None:
        check_size(path, mask.imagelength, mask.imagewidth, 1, 1, size)
        _check_segments(path, mask, where, size)
        outside = mask.asarray(maxworkers=1).reshape(pixels.shape[:2]) == 0
        missing, declared = (outside, "a mask") if missing is None else (missing | outside, f"{declared} and a mask")
    if missing is not None and not missing.any():
        missing = None
    free = pixels.dtype.kind in "if" or pixels.dtype.itemsize > 2
    if free and missing is not None:  # before anything is said of the others: the mark may be NaN or the least whole number
        pixels, note = black_without_data(path, pixels, missing, math.nan, math.nan, declared)
        notes.append(note)
    see_through = _alpha(page) is not None and pixels.dtype in (np.uint8, np.uint16) and pixels.shape[2] > 1
    clear = clear_of(pixels, 2 ** int(page.bitspersample) - 1) if see_through else None
    pixels, low, high = _values(path, page, pixels, where, notes)
    notes += _told(page)
    if said.bits is not None and high == 2.0 ** (8 * pixels.dtype.itemsize) - 1 and 0 < said.bits < 8 * pixels.dtype.itemsize:
        if pixels.max() < 2**said.bits:
            high = 2.0**said.bits - 1
        else:
            notes.append(f"declares {said.bits} significant bits but uses more: {high:g} counts as white")
    if missing is not None and not free:
        pixels, note = black_without_data(path, pixels, missing, low, high, declared)
        notes.append(note)
    line = _line(path, page, said, pixels.shape[2])
    if line is not None:
        pixels = finite_float32(path, pixels.astype(np.float64) * line[0] + line[1], where.strip("()"))
        low, high = math.nan, math.nan
        if missing is not None:  # again, as the least of the values meant
            pixels, _ = black_without_data(path, pixels, missing, low, high, declared)
    turned = int(page.tags.valueof(274, 1))
    pixels, clear = orient(pixels, turned), None if clear is None else orient(clear[..., None], turned)[..., 0]
    return Picture(pixels, pixels.dtype.itemsize * 8, low, high, warnings=tuple(notes), index=index, clear=clear)


def _numbers(path: Path, page: Any, pixels: np.ndarray, index: int) -> Picture:
    """A page of a label map, (H, W, 1) as stored. Raises DataError for one that was compressed with losses."""
    method = page.compression.name
    if method in _STREAMS:
        raise failure(
            path, f"is compressed by {method}, which changes values at every edge", "save label maps with LZW or deflate"
        )
    where = f"page {index + 1}"
    missing, declared = _missing(path, page, pixels, f"({where})")
    notes = (f"{declared} is a class like any other",) if missing is not None and missing.any() else ()
    if pixels.dtype.kind == "f":
        pixels = finite_float32(path, pixels, where)
    elif pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8)
    elif pixels.dtype.kind == "i" or pixels.dtype.itemsize > 2:
        pixels = integers_to_float32(path, pixels)
    pixels = orient(pixels, int(page.tags.valueof(274, 1)))
    return Picture(pixels, pixels.dtype.itemsize * 8, math.nan, math.nan, warnings=notes, index=index)


def _told(page: Any) -> list[str]:
    """Warnings of what a page declares and is not applied: curves (TIFF 6.0, sections 8 and 20), pixels that are not square."""
    told = [f"its {what} is not applied" for tag, what in _CURVES.items() if page.tags.valueof(tag) is not None]
    across, down = (page.tags.valueof(tag) for tag in (282, 283))  # pixels per unit, as fractions
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
        note = oblong(across[0] / across[1], down[0] / down[1])
        told += [] if note is None else [note]
    return told


def _missing(path: Path, page: Any, pixels: np.ndarray, where: str) -> tuple[np.ndarray | None, str]:
    """(where the page holds no data, (H, W), or None, what says so): the tag GDAL_NODATA."""
    text = page.tags.valueof(42113)
    if text is None:
        return None, ""
    try:
        number = float(str(text).strip().strip("\0"))
    except ValueError:
        raise failure(path, f"has a GDAL_NODATA that is no number {where}", "set it again (gdal_edit -a_nodata)") from None
    declared = f"GDAL_NODATA {number:.10g}"
    colours = pixels[..., : max(1, pixels.shape[2] - len(page.extrasamples))] if _alpha(page) is not None else pixels
    if math.isnan(number):
        return np.isnan(colours).all(axis=2), declared
    if pixels.dtype.kind == "f":
        if abs(number) > 1e30:  # the least of a type, which is written with six digits or with seventeen
            near = np.isclose(colours.astype(np.float64), number, rtol=1e-5, atol=0)
            return np.asarray(near.all(axis=2)), declared
        with np.errstate(over="ignore"):
            return (colours == colours.dtype.type(number)).all(axis=2), declared
    return (colours == number).all(axis=2), declared


def _line(path: Path, page: Any, said: _Said, channels: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(slope, intercept) of each channel where the values meant are not those stored, from ImageJ or GDAL's metadata."""
    slope, intercept = np.full(channels, said.line[0]), np.full(channels, said.line[1])
    text = str(page.tags.valueof(42112) or "")
    for role, values in (("scale", slope), ("offset", intercept)):
        for sample, number in re.findall(rf'<Item[^>]*sample="(\d+)"[^>]*role="{role}"[^>]*>([^<]*)</Item>', text):
            try:
                values[int(sample)] = float(number)
            except (ValueError, IndexError):
                raise failure(path, f"has an unusable {role} in its GDAL metadata", "set it again (gdal_edit)") from None
    if not (np.isfinite(slope).all() and np.isfinite(intercept).all() and (slope != 0).all()):
        raise failure(path, "declares values times 0 or infinity", "its metadata are damaged; save it again")
    return None if (slope == 1).all() and (intercept == 0).all() else (slope, intercept)


def _alpha(page: Any) -> int | None:
    """1 or 2 where an extra sample is alpha that the colours are, or are not, stored times; else None."""
    return next((int(extra) for extra in page.extrasamples if int(extra) in (1, 2)), None)


def _values(path: Path, page: Any, pixels: np.ndarray, where: str, notes: list[str]) -> tuple[np.ndarray, float, float]:
    """Sample values as uint8, uint16 or float32 (H, W, C), with what the file declares as black and white."""
    meaning = getattr(page.photometric, "name", str(page.photometric))
    if meaning not in ("MINISBLACK", "MINISWHITE", "RGB", "PALETTE", "SEPARATED", "YCBCR", "MASK"):
        raise failure(path, f"has {meaning} colours {where}", "save it as grey or RGB")
    alpha = _alpha(page)
    if (alpha is not None and int(page.extrasamples[-1]) not in (1, 2)) or sum(int(e) in (1, 2) for e in page.extrasamples) > 1:
        raise failure(path, f"has alpha among other extra channels {where}", "save the channels you need without alpha")
    bits = int(page.bitspersample)
    if pixels.dtype.kind in "if" or (pixels.dtype.kind == "u" and pixels.dtype.itemsize > 2):
        if meaning in ("MINISWHITE", "PALETTE", "SEPARATED", "YCBCR"):
            raise failure(path, f"has {meaning} colours in {pixels.dtype} values {where}", "save it as grey or RGB")
        if alpha is not None:
            opaque = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
            if (pixels[..., -1] != opaque).any():
                raise failure(path, f"has alpha in {pixels.dtype} values {where}", "save it without alpha")
            pixels = pixels[..., :-1]
            notes.append("alpha channel dropped: it is opaque everywhere")
        if pixels.dtype.kind == "f":
            return finite_float32(path, pixels, where.strip("()")), math.nan, math.nan
        return integers_to_float32(path, pixels), math.nan, math.nan
    if pixels.dtype.kind == "b":
        pixels, bits = pixels.astype(np.uint8) * (1 if meaning == "PALETTE" else 255), 8
    elif pixels.dtype.kind != "u":
        raise failure(path, f"has {pixels.dtype} values {where}", "save it with 8, 16 or 32 bits")
    top = 2**bits - 1
    if meaning == "PALETTE":
        colours = page.colormap
        if colours is None or colours.shape[:-1] != (3,) or pixels.shape[2] != 1 or pixels.max() >= colours.shape[1]:
            raise failure(path, f"has no usable colour map {where}", "save it as RGB")
        # Colour maps hold 16 bits, but are 8-bit colours times 256 or 257 in every writer of note; some forget the factor.
        pixels = (colours.T >> (8 if colours.max() > 255 else 0)).astype(np.uint8)[pixels[..., 0]]
        if (pixels == pixels[..., :1]).all(axis=-1).all():
            pixels = pixels[..., :1]
        return np.ascontiguousarray(pixels), 0.0, 255.0
    if meaning == "MINISWHITE":
        if alpha == 1:
            raise failure(path, f"has MINISWHITE colours stored times alpha {where}", "save it as grey or RGB")
        pixels = np.concatenate([top - pixels[..., :-1], pixels[..., -1:]], axis=2) if alpha else top - pixels
    elif meaning == "SEPARATED":
        if pixels.shape[2] != 4 or int(page.tags.valueof(332, 1)) != 1:
            raise failure(path, f"has {pixels.shape[2]} inks or channels that are not CMYK alone {where}", "save it as RGB")
        ends = page.tags.valueof(336)
        if ends is not None and int(ends[0]) > int(ends[1]):
            raise failure(path, f"has inverted inks (DotRange) {where}", "save it as RGB")
        notes.append("CMYK turned into RGB without a colour profile")
        ink = pixels.astype(np.uint32)
        pixels = (((top - ink[..., :3]) * (top - ink[..., 3:]) + top // 2) // top).astype(pixels.dtype)
    elif meaning == "YCBCR" and page.compression.name in _PLAIN:
        raise failure(path, f"has YCbCr colours {where}", "save it as RGB")
    elif (note := profile_note(page.tags.valueof(34675))) is not None:
        notes.append(note)
    if alpha is not None and pixels.shape[2] > 1:
        pixels, note = without_alpha(pixels, top, multiplied=alpha == 1)
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
