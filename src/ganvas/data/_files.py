"""What every reader shares: the `Picture` record, limits on what a header may claim, and the guard that turns any
failure inside a file-format library into one line.

Not a reader itself: formats live in `_pictures`, `_tiff`, `_arrays`, `_dicom` and `_nifti`.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, GanvasError

PIXEL_LIMIT = 300_000_000  # height x width of one picture; beyond lies almost always an attack or a damaged header
CHANNEL_LIMIT = 8
FREE_CLAIM = 64 * 2**20  # bytes a header may claim whatever the size of its file
CLAIM_RATIO = 2000  # decoded bytes per byte of file beyond that: deflate reaches 1032, LZW on a blank page about 1400
EXACT_FLOAT32 = 2**24  # integers up to here are exact in float32

_LOGGERS = tuple(logging.getLogger(name) for name in ("pydicom", "tifffile", "nibabel.global"))


@dataclass
class Picture:
    """One image of a file: a frame, a page, a slice or a row of an array.

    pixels: (H, W, C) uint8, uint16 or float32, channels last, C from 1 to 8; the file's values after decoding, never
    stretched by their content. depth: 8 for uint8, 16 for uint16, 32 for float32 pixels.
    low, high: the values the file itself declares to be black and white (0 and 255, 0 and 65535, a DICOM window or
    the range of its stored bits after rescale); pixels may lie outside. Both NaN where nothing is declared.
    spacing: millimetres per pixel (row, column). group: a short hash of the patient's id, never the id.
    warnings: what a user should know of this file. label: of an array file that holds labels.
    index: number of the frame, page, slice or row within its file.
    """

    pixels: np.ndarray
    depth: int
    low: float
    high: float
    spacing: tuple[float, float] | None = None
    group: str | None = None
    warnings: tuple[str, ...] = ()
    label: str | int | None = None
    index: int = 0


def printable(text: str) -> str:
    """The text as one line of printable characters, whatever bytes a file name or a header holds."""
    text = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def named(path: Path) -> str:
    """The path for a message, without line breaks and control characters."""
    return printable(str(path))


def failure(path: Path, wrong: str, fix: str) -> DataError:
    """A DataError of one line: the file, what is wrong with it, what to do."""
    return DataError(printable(f"{named(path)} {wrong}: {fix}"))


def check_size(path: Path, height: int, width: int, channels: int, itemsize: int, file_bytes: int) -> None:
    """Refuse what a header claims before anything is allocated for it.

    Raises DataError when a side is not positive, the picture has more than `PIXEL_LIMIT` pixels or `CHANNEL_LIMIT`
    channels (one may be alpha), or the file is too small to hold what its header claims.
    """
    if height < 1 or width < 1:
        raise failure(path, f"claims a size of {width} x {height} pixels", "its header is damaged; copy it again")
    if height * width > PIXEL_LIMIT:
        raise failure(
            path,
            f"claims {width} x {height} pixels, more than the limit of {PIXEL_LIMIT // 10**6} megapixels",
            "crop it or make it smaller first",
        )
    if not 1 <= channels <= CHANNEL_LIMIT:
        raise failure(path, f"has {channels} channels", f"ganvas takes 1 to {CHANNEL_LIMIT}; save the ones you need")
    claim = height * width * channels * itemsize
    if claim > max(FREE_CLAIM, CLAIM_RATIO * file_bytes):
        raise failure(
            path,
            f"claims {width} x {height} x {channels} values but has only {file_bytes} bytes",
            "it is damaged or a decompression bomb; take it out",
        )


def integers_to_float32(path: Path, values: np.ndarray) -> np.ndarray:
    """Whole numbers as float32; raises DataError where float32 cannot hold them exactly."""
    if values.size and (int(values.min()) < -EXACT_FLOAT32 or int(values.max()) > EXACT_FLOAT32):
        raise failure(path, "holds whole numbers beyond 2^24", "save them as 16-bit or as float32")
    return values.astype(np.float32)


def finite_float32(path: Path, values: np.ndarray, what: str) -> np.ndarray:
    """Floats as float32; raises DataError naming `what` where one is NaN, infinite or beyond float32."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if not np.isfinite(single).all():
        bad = int((~np.isfinite(single)).sum())
        raise failure(path, f"holds {bad} values that are NaN, infinite or too large ({what})", "replace or mask them first")
    return single


def orient(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (H, W, C) upright by the EXIF/TIFF orientation tag (1 to 8; anything else means upright)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def without_alpha(pixels: np.ndarray) -> tuple[np.ndarray, str]:
    """Drop the last channel, alpha, of (H, W, C) uint8 or uint16 pixels; returns (pixels, a warning).

    An opaque alpha is dropped; a real one is laid on white, since that is how a viewer shows most drawings.
    """
    top = int(np.iinfo(pixels.dtype).max)
    colour, alpha = pixels[..., :-1], pixels[..., -1:]
    if int(alpha.min()) == top:
        return np.ascontiguousarray(colour), "alpha channel dropped: it is opaque everywhere"
    colour, alpha = colour.astype(np.uint32), alpha.astype(np.uint32)
    # 65535 * 65535 + 65535 // 2 still fits 32 bits: colour * alpha + top * (top - alpha) never exceeds top * top
    flat = (colour * alpha + top * (top - alpha) + top // 2) // top
    return flat.astype(pixels.dtype), "transparent pixels laid on white"


class _Quiet:
    """Silences the file-format libraries while at least one reader is at work.

    `warnings.catch_warnings` alone is not safe when several threads read: the first to leave would restore the
    filters under the others, and the last would leave 'ignore' behind. Counting readers avoids both.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.readers = 0
        self.caught: warnings.catch_warnings[Any] | None = None
        self.disabled: list[bool] = []
        self.bomb_limit: int | None = None

    def __enter__(self) -> None:
        with self.lock:
            self.readers += 1
            if self.readers == 1:
                from PIL import Image

                self.bomb_limit = Image.MAX_IMAGE_PIXELS
                Image.MAX_IMAGE_PIXELS = None  # `check_size` has a limit of its own, for every format
                self.caught = warnings.catch_warnings()
                self.caught.__enter__()
                warnings.simplefilter("ignore")
                self.disabled = [logger.disabled for logger in _LOGGERS]
                for logger in _LOGGERS:
                    logger.disabled = True

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.readers -= 1
            if self.readers == 0 and self.caught is not None:
                from PIL import Image

                Image.MAX_IMAGE_PIXELS = self.bomb_limit
                self.caught.__exit__(None, None, None)
                for logger, disabled in zip(_LOGGERS, self.disabled, strict=True):
                    logger.disabled = disabled


_quiet = _Quiet()


@contextmanager
def guard(path: Path, kind: str, *, private: bool = False) -> Iterator[None]:
    """Run the code of a file-format library: silent, and every failure a DataError of one line.

    kind: the format, for the message. private: leave out the library's own words, which may quote a patient's data.
    """
    fix = "it is damaged or of an unusual kind; save it again or take it out"
    try:
        with _quiet:
            yield
    except GanvasError:
        raise
    except FileNotFoundError:
        raise failure(path, "does not exist", "check the path") from None
    except IsADirectoryError:
        raise failure(path, "is a folder", "give the files in it") from None
    except PermissionError:
        raise failure(path, "may not be read", "change its permissions (chmod +r)") from None
    except MemoryError:
        raise failure(path, "needs more memory than is free", "make it smaller or take it out") from None
    except Exception as error:  # the libraries raise whatever their parsers run into, RecursionError included
        words = "" if private else " ".join(str(error).split())[:120]
        reason = f"{type(error).__name__}: {words}" if words else type(error).__name__
        raise failure(path, f"cannot be read as {kind} ({reason})", fix) from None
