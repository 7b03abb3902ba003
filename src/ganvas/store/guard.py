"""What readers of every kind share: the guard that turns any failure inside a file-format library into one line.

Not a reader itself: formats live with their kinds.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, GanvasError

FREE_CLAIM = 64 * 2**20  # bytes a header may claim whatever the size of its file
CLAIM_RATIO = 2000  # decoded bytes per byte of file beyond that: deflate reaches 1032, LZW on a blank page about 1400
EXACT_FLOAT32 = 2**24  # integers up to here are exact in float32

_LOGGERS = tuple(logging.getLogger(name) for name in ("pydicom", "tifffile", "nibabel.global"))


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
    except ImportError as error:
        raise GanvasError(
            f"{path}: reading {kind} needs {error.name}, which is not installed: run  pip install {error.name}"
        ) from None
    except Exception as error:  # the libraries raise whatever their parsers run into, RecursionError included
        words = "" if private else " ".join(str(error).split())[:120]
        reason = f"{type(error).__name__}: {words}" if words else type(error).__name__
        raise failure(path, f"cannot be read as {kind} ({reason})", fix) from None
