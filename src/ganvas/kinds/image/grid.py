"""A grid of images as one picture. For people to look at: it is stretched to 8 bits and enlarged."""

from __future__ import annotations

import math

import numpy as np

from ...drawing import BACKGROUND, GUTTER, captioned, class_name, headed, lettered, text_width
from .spec import ImageSpec

LONGEST_SIDE = 1100  # pixels an enlarged grid may reach
LARGEST_FACTOR = 8


def grid(
    samples: np.ndarray,
    spec: ImageSpec,
    *,
    columns: int | None = None,
    labels: np.ndarray | None = None,
    captions: tuple[str, ...] = (),
    rows: tuple[str, ...] = (),
) -> np.ndarray:
    """One picture (H, W, 3) uint8 of all samples (N, H, W, C) uint8, uint16 or float32 in file units, C from 1 up.

    columns: images in a row; by default the grid is about square. labels: (N,) class indices: images are sorted into
    rows by class with the name in front. captions: what stands in each column of images, written above it; then columns is
    their number. rows: what stands above each row of images, whole sentences too: in as many lines as they need.

    One channel is grey and three are colour; other numbers of channels stand side by side as grey strips, a sample a
    strip. `low` .. `high` of the spec go from black to white, what lies outside saturates; a depth other than the
    spec's uses its full range; NaN is black. Images are enlarged by whole factors.
    """
    picture = _grid(_eight_bit(samples, spec), spec, len(captions) or columns, labels)
    if any(rows):
        picture = headed(picture, rows)
    return captioned(picture, captions) if captions else picture


def _eight_bit(samples: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """(N, H, W, C) in file units -> (N, H, W', 3) uint8."""
    depth = samples.dtype.itemsize * 8
    low, high = spec.low, spec.high
    if depth != spec.depth and depth < 32:
        low, high = 0.0, 2.0**depth - 1
    unit = (np.nan_to_num(samples.astype(np.float32), nan=low) - np.float32(low)) / np.float32(high - low)
    pixels = np.rint(unit.clip(0, 1) * 255).astype(np.uint8)
    count, height, width, channels = pixels.shape
    if channels == 3:
        return pixels
    strips = pixels.transpose(0, 1, 3, 2).reshape(count, height, channels * width)
    return np.repeat(strips[..., None], 3, axis=3)


def _grid(pixels: np.ndarray, spec: ImageSpec, columns: int | None, labels: np.ndarray | None) -> np.ndarray:
    count, height, width, _ = pixels.shape
    rows: list[tuple[str, list[int]]] = []
    if labels is None:
        columns = columns or _square_columns(count, height, width)
        rows = [("", list(range(i, min(i + columns, count)))) for i in range(0, count, columns)]
    else:
        classes = [(class_name(spec, int(k)), [int(i) for i in np.flatnonzero(labels == k)]) for k in np.unique(labels)]
        most = max((len(members) for _, members in classes), default=1)
        columns = columns or min(most, max(8, _square_columns(count, height, width)))
        for name, members in classes:
            for i in range(0, len(members), columns):
                rows.append((name if i == 0 else "", members[i : i + columns]))
    room = min(LONGEST_SIDE // (columns * width), LONGEST_SIDE // (max(1, len(rows)) * height))
    factor = max(1, min(LARGEST_FACTOR, room))
    cell_height, cell_width = height * factor + GUTTER, width * factor + GUTTER
    margin = text_width([name for name, _ in rows])
    canvas = np.full((len(rows) * cell_height + GUTTER, margin + columns * cell_width + GUTTER, 3), BACKGROUND, np.uint8)
    for r, (_, members) in enumerate(rows):
        for c, index in enumerate(members):
            top, left = GUTTER + r * cell_height, margin + GUTTER + c * cell_width
            enlarged = pixels[index].repeat(factor, axis=0).repeat(factor, axis=1)
            canvas[top : top + height * factor, left : left + width * factor] = enlarged
    return lettered(canvas, [name for name, _ in rows], cell_height) if margin else canvas


def _square_columns(count: int, height: int, width: int) -> int:
    """Columns that make the grid about square, rather wide than tall, and leave few places empty."""
    ideal = 1.15 * math.sqrt(max(1, count) * height / width)

    def cost(columns: int) -> float:
        empty = -(-count // columns) * columns - count
        return empty / max(1, count) + 0.5 * abs(math.log(columns / ideal))

    return min(range(1, max(1, count) + 1), key=cost)
