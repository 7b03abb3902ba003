"""What readers of images share: the `Picture` record, limits on what a header may claim, what is done to pixels of any format.

Not a reader itself: formats live in `rasters`, `tiff`, `arrays`, `dicom` and `nifti`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...store.guard import CLAIM_RATIO, FREE_CLAIM, failure

PIXEL_LIMIT = 300_000_000  # height x width of one picture; beyond lies almost always an attack or a damaged header
CHANNEL_LIMIT = 8
DECLARED = "group "
"""How groups begin that an array file names itself; all others are hashes of a patient's id."""


@dataclass
class Picture:
    """One image of a file: a frame, a page, a slice or a row of an array.

    pixels: (H, W, C) uint8, uint16 or float32, channels last, C from 1 to 8; the file's values after decoding, never
    stretched by their content. depth: 8 for uint8, 16 for uint16, 32 for float32 pixels.
    low, high: the values the file itself declares to be black and white (0 and 255, 0 and 65535, a DICOM window or
    the range of its stored bits after rescale); pixels may lie outside. Both NaN where nothing is declared.
    spacing: millimetres per pixel (row, column). group: a short hash of the patient's id, never the id.
    warnings: what a user should know of this file. label: of an array file that holds labels.
    index: number of the frame, page, slice or row within its file. axis: along which a volume was cut (0 sagittal, 1
    coronal, 2 axial). heldout: of an array file that says which side each row is on. absolute: values are in units of their
    own (rescaled ones of DICOM), which mean the same in files of another range. clear: of a file that is transparent in places,
    how far each pixel is, (H, W) float32 from 0 to 1; pixels are then laid on white. between: millimetres to the next slice of
    a NIfTI volume.
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
    axis: int | None = None
    heldout: bool | None = None
    absolute: bool = False
    clear: np.ndarray | None = None
    between: float | None = None


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


def profile_note(profile: Any) -> str | None:
    """A warning where a file carries a colour profile other than sRGB (None, no bytes: none): profiles are not applied."""
    if not isinstance(profile, bytes) or not profile or b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile:
        return None
    return "its colour profile, not sRGB, is not applied"


def oblong(high: float, wide: float) -> str | None:
    """A warning where pixels are declared to be taller or wider than square by over 1 %: pictures are not stretched."""
    if not (0 < high < float("inf") and 0 < wide < float("inf")) or 0.99 < high / wide < 1.01:
        return None
    least = min(high, wide)
    return f"its pixels are not square ({high / least:.3g} high to {wide / least:.3g} wide): taken as stored, not stretched"


def orient(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (H, W, C) upright by the EXIF/TIFF orientation tag (1 to 8; anything else means upright)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def black_without_data(
    path: Path, pixels: np.ndarray, missing: np.ndarray, low: float, high: float, declared: str
) -> tuple[np.ndarray, str]:
    """Pixels (H, W, C) with those that a file declares to be no data (`missing`, (H, W)) black; returns (pixels, a warning).

    low, high: as of `Picture`. Black is `low`, or the least of the other values where the data set chooses the range by what
    it finds: else the mark itself (-9999) would count as black, and all that matters as nearly white.
    declared: what says so, for the warning. Raises DataError where nothing else is left.
    """
    if missing.all():
        raise failure(path, f"holds nothing but values without data ({declared})", "take it out")
    chosen_by_data = pixels.dtype.kind == "f" or not high > low or (low, high) == (0.0, 65535.0)
    black = pixels[~missing].min(axis=0) if chosen_by_data else np.asarray(max(low, 0), pixels.dtype)
    pixels = pixels.copy()
    pixels[missing] = black
    return pixels, f"holds values without data ({declared}): they count as black"


def clear_of(pixels: np.ndarray, top: int | None = None) -> np.ndarray | None:
    """How far pixels (H, W, C) are transparent by their last channel, alpha: (H, W) float32, 1 quite; None where none is."""
    top = int(np.iinfo(pixels.dtype).max) if top is None else top
    alpha = pixels[..., -1]
    return None if int(alpha.min()) == top else (1 - alpha.astype(np.float32) / top).astype(np.float32)


def without_alpha(pixels: np.ndarray, top: int | None = None, multiplied: bool = False) -> tuple[np.ndarray, str]:
    """Drop the last channel, alpha, of (H, W, C) uint8 or uint16 pixels; returns (pixels, a warning).

    An opaque alpha is dropped; a real one is laid on white, since that is how a viewer shows most drawings. top: the value
    of white and of opaque, by default the greatest of the type. multiplied: the colours are stored times alpha.
    """
    top = int(np.iinfo(pixels.dtype).max) if top is None else top
    colour, alpha = pixels[..., :-1], pixels[..., -1:]
    if int(alpha.min()) == top:
        return np.ascontiguousarray(colour), "alpha channel dropped: it is opaque everywhere"
    colour, alpha = colour.astype(np.uint32), alpha.astype(np.uint32)
    if multiplied:
        return np.minimum(colour + (top - alpha), top).astype(pixels.dtype), "transparent pixels laid on white"
    # 65535 * 65535 + 65535 // 2 still fits 32 bits: colour * alpha + top * (top - alpha) never exceeds top * top
    flat = (colour * alpha + top * (top - alpha) + top // 2) // top
    return flat.astype(pixels.dtype), "transparent pixels laid on white"
