"""Bringing one picture to a wanted shape: cut or pad to the aspect, resize with antialiasing, convert grey and colour.

For arrays of any depth and channel count, without precision lost and without wrap-around: 8-bit grey and RGB go through
Pillow's own fixed-point filter, all else channel by channel through its float filter (exact for 16 bits). Not for
augmentation during training, which works on tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import GanvasError

FITS = ("crop", "pad", "stretch", "patches", "crops", "frames")
MOST_CROPS = (
    1024  # of a picture: places of a texture of 128 pixels, by the hundred, and not more memory than a large set of pictures
)

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""Rec. ITU-R BT.601 luma weights, those of Pillow's own grey conversion."""


def parse_size(size: int | str | tuple[int, int] | None) -> tuple[int, int] | None:
    """(height, width) wanted, or None for the native size. A single number means a square; text is as in 64 or 96x64.

    Raises GanvasError for anything that is not a positive whole number or a pair of them.
    """
    if size is None:
        return None
    numbers: tuple[Any, ...] = (size, size) if isinstance(size, int) else tuple(size)
    if isinstance(size, str):
        parts = size.split("x")
        numbers = tuple(int(part) if part.isdecimal() else 0 for part in (parts if len(parts) > 1 else parts * 2))
    if len(numbers) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= 8192 for n in numbers):
        raise GanvasError(f"size {size!r}: give one number from 1 to 8192, or height and width as in 96x64")
    return numbers[0], numbers[1]


def convert_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Pixels (H, W, C) as (H, W, `channels`), same dtype: grey repeated, RGB to luminance, equal counts left alone.

    Raises GanvasError for any other pair of counts: which channels to keep is the user's decision.
    """
    have = pixels.shape[2]
    if have == channels:
        return pixels
    if have == 1:
        return np.repeat(pixels, channels, axis=2)
    if have == 3 and channels == 1:
        grey = pixels.astype(np.float32) @ LUMINANCE
        return _back(grey, pixels.dtype)[:, :, None]
    raise GanvasError(f"{have} channels cannot be turned into {channels}: only grey and RGB convert into each other")


def resize(
    pixels: np.ndarray, size: tuple[int, int], fit: str = "crop", nearest: bool = False
) -> tuple[np.ndarray, tuple[float, float]]:
    """Pixels (H, W, C) at `size` (height, width), and how many old pixels one new pixel spans (rows, columns).

    fit: `crop` cuts the centre to the wanted aspect, `pad` keeps everything and fills with the median of the border,
    `stretch` changes the aspect. Bicubic, antialiased when shrinking (Pillow's convolution resampling). Values never
    leave the range the picture had. nearest: take the nearest pixel and pad with the border's most frequent value, so that
    no value appears that was not there (label maps).
    """
    high, wide = pixels.shape[:2]
    rows, columns = size
    if (high, wide) == (rows, columns):
        return pixels, (1.0, 1.0)
    box, inner = _placed((high, wide), size, fit)
    span = ((box[3] - box[1]) / inner[0], (box[2] - box[0]) / inner[1])
    small = _resample(pixels, inner, box, nearest)
    if inner != (rows, columns):
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        whole = np.empty((rows, columns, pixels.shape[2]), pixels.dtype)
        whole[...] = _commonest(border) if nearest else _back(np.median(border.astype(np.float32), axis=0), pixels.dtype)
        top, left = (rows - inner[0]) // 2, (columns - inner[1]) // 2
        whole[top : top + inner[0], left : left + inner[1]] = small
        small = whole
    return small, span


def _placed(
    sides: tuple[int, int], size: tuple[int, int], fit: str
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """(box (left, top, right, bottom) of the picture that is kept, (height, width) that it has afterwards)."""
    (high, wide), (rows, columns) = sides, size
    if fit == "stretch":
        box, inner = (0.0, 0.0, float(wide), float(high)), (rows, columns)
    elif fit == "crop":
        step = min(high / rows, wide / columns)
        top, left = (high - step * rows) / 2, (wide - step * columns) / 2
        box, inner = (left, top, left + step * columns, top + step * rows), (rows, columns)
    elif fit == "pad":
        step = max(high / rows, wide / columns)
        inner = (min(rows, max(1, round(high / step))), min(columns, max(1, round(wide / step))))
        box = (0.0, 0.0, float(wide), float(high))
    else:
        raise GanvasError(f"fit {fit!r} does not resize: choose crop, pad or stretch")
    # A box may end a rounding error outside the picture, which Pillow refuses.
    return (max(0.0, box[0]), max(0.0, box[1]), min(float(wide), box[2]), min(float(high), box[3])), inner


def carried(places: np.ndarray, sides: tuple[int, int], size: tuple[int, int], fit: str = "crop") -> np.ndarray:
    """Places (..., 2), x and y in a picture of `sides` (height, width), where `resize` puts what is there; the middle of the
    first pixel is (0, 0)."""
    if sides == size:
        return places
    box, inner = _placed(sides, size, fit)
    start = np.array(box[:2])
    span = np.array([(box[2] - box[0]) / inner[1], (box[3] - box[1]) / inner[0]])
    aside = np.array([(size[1] - inner[1]) // 2, (size[0] - inner[0]) // 2])
    found: np.ndarray = (places + 0.5 - start) / span - 0.5 + aside
    return found


def patches(pixels: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """Pixels (H, W, C) cut at their own scale into a centred grid of (height, width) pieces that do not overlap.

    What does not fill a piece is left out on both sides alike. Raises GanvasError when the picture is smaller than a piece.
    """
    (high, wide), (rows, columns) = pixels.shape[:2], size
    down, across = high // rows, wide // columns
    if not down or not across:
        raise GanvasError(f"{high}x{wide} pixels are less than one patch of {rows}x{columns}: lower --size")
    top, left = (high - down * rows) // 2, (wide - across * columns) // 2
    return [
        pixels[top + i * rows : top + (i + 1) * rows, left + k * columns : left + (k + 1) * columns]
        for i in range(down)
        for k in range(across)
    ]


def crops(pixels: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """Pieces (height, width) of pixels (H, W, C) at their own scale, at random places, each place once, that overlap: one
    picture is data enough for what looks alike everywhere. At most `MOST_CROPS`.

    The places go by the sizes alone, so that a photograph and its map are cut alike. Raises GanvasError when the picture is
    smaller than a piece.
    """
    (high, wide), (rows, columns) = pixels.shape[:2], size
    if high < rows or wide < columns:
        raise GanvasError(f"{high}x{wide} pixels are less than one crop of {rows}x{columns}: lower --size")
    across = wide - columns + 1
    places = (high - rows + 1) * across
    chosen = np.random.default_rng([high, wide, rows, columns]).permutation(places)[:MOST_CROPS]
    return [pixels[top : top + rows, left : left + columns] for top, left in zip(*divmod(np.sort(chosen), across), strict=True)]


def frames(pixels: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """A sheet (H, W, C) of frames of (height, width), row by row; frames of a single colour hold nothing and are left out.

    Raises GanvasError when the sheet is no whole number of frames high or wide, or holds nothing.
    """
    (high, wide), (rows, columns) = pixels.shape[:2], size
    if high % rows or wide % columns:
        raise GanvasError(f"{high}x{wide} pixels are no whole number of frames of {rows}x{columns}: --size is that of a frame")
    found = [own for own in patches(pixels, size) if (own != own[:1, :1]).any()]
    if not found:
        raise GanvasError("every frame of it is of a single colour")
    return found


PIECES: dict[str, Callable[[np.ndarray, tuple[int, int]], list[np.ndarray]]] = {
    "patches": patches,
    "crops": crops,
    "frames": frames,
}
"""The fits that make several records of a picture, at its own scale."""


def records_of(pixels: np.ndarray, size: tuple[int, int], fit: str | None, *, nearest: bool = False) -> list[np.ndarray]:
    """What a picture (H, W, C) gives to a run on records of `size`: itself at any size where `fit` is None, else one that is
    brought to size, or the frames of a sheet. Raises GanvasError as `frames` does."""
    if fit is None:
        return [pixels]
    if fit == "frames" and pixels.shape[:2] != size:
        return frames(pixels, size)
    return [resize(pixels, size, "crop" if fit in PIECES else fit, nearest=nearest)[0]]


def thumbnail(pixels: np.ndarray, side: int = 32) -> np.ndarray:
    """Pixels (H, W, C) as a flat float32 vector of `side`^2 C area means, mean removed, length 1 (0 if constant).

    The product of two thumbnails is the correlation of their pictures: blind to brightness and contrast.
    """
    planes = [
        np.asarray(_image(np.ascontiguousarray(pixels[:, :, c], np.float32)).resize((side, side), _filter("BOX")))
        for c in range(pixels.shape[2])
    ]
    flat = np.concatenate([plane.ravel() for plane in planes]).astype(np.float64)
    centred = flat - flat.mean()
    length = float(np.linalg.norm(centred))
    if length <= 1e-6 * (1e-30 + float(np.abs(flat).max())) * side:
        return np.zeros(flat.shape, np.float32)
    return (centred / length).astype(np.float32)


def _commonest(border: np.ndarray) -> np.ndarray:
    """The most frequent value of each channel of (N, C)."""
    found = [np.unique(border[:, c], return_counts=True) for c in range(border.shape[1])]
    return np.array([values[counts.argmax()] for values, counts in found], border.dtype)


def _resample(
    pixels: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float], nearest: bool
) -> np.ndarray:  # fmt: skip
    channels = pixels.shape[2]
    if nearest:
        places = []
        for low, high, count, most in ((box[1], box[3], size[0], pixels.shape[0]), (box[0], box[2], size[1], pixels.shape[1])):
            middles = low + (np.arange(count) + 0.5) * (high - low) / count
            places.append(np.minimum(middles.astype(int), most - 1))
        return pixels[places[0][:, None], places[1][None]]
    shape, bicubic = (size[1], size[0]), _filter("BICUBIC")
    if pixels.dtype == np.uint8 and channels in (1, 3):
        image = _image(np.ascontiguousarray(pixels[:, :, 0] if channels == 1 else pixels))
        return np.asarray(image.resize(shape, bicubic, box=box)).reshape(*size, channels)
    # Pillow weighs RGB by alpha when it sees four 8-bit channels and has no mode for other counts: plane by plane.
    out = np.empty((*size, channels), pixels.dtype)
    for c in range(channels):
        plane = np.ascontiguousarray(pixels[:, :, c], np.float32)
        result = np.asarray(_image(plane).resize(shape, bicubic, box=box))
        out[:, :, c] = _back(np.clip(result, plane.min(), plane.max()), pixels.dtype)
    return out


def _back(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    if np.issubdtype(dtype, np.integer):
        return np.clip(np.rint(values), 0, np.iinfo(dtype).max).astype(dtype)
    return values.astype(dtype)


def _image(array: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(array)


def _filter(name: str) -> Any:
    from PIL import Image

    return Image.Resampling[name]
