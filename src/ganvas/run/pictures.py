"""One picture of many samples: a grid of images, or a scatter of points, as an 8-bit PNG that says it is synthetic.

For people to look at. Not for keeping samples: a grid is stretched to 8 bits and enlarged; single files in full depth are
written elsewhere.
"""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..specs import ImageSpec, PointsSpec, Spec
from .files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST_SIDE = 1100  # pixels an enlarged grid may reach
LARGEST_FACTOR = 8
GUTTER = 4
BACKGROUND = 40
INK = 225
TEXT_HEIGHT = 15
MOST_NAME = 24  # letters of a class name that are shown
TAG = {"Description": "SYNTHETIC: made by a generative model, not a real record", "Software": f"ganvas {__version__}"}

MARGIN = 1.3  # of the spec's scale: the window of a scatter is the same all through a run
MOST_PANELS = 12
# Okabe and Ito 2008: distinct for colour-blind readers too
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#444444")


def save_grid(
    path: Path,
    samples: np.ndarray,
    spec: Spec,
    *,
    columns: int | None = None,
    labels: np.ndarray | None = None,
    captions: tuple[str, ...] = (),
) -> np.ndarray:
    """Write one PNG of all samples and return it as (H, W, 3) uint8.

    samples: of an ImageSpec (N, H, W, C) uint8, uint16 or float32 in file units, C from 1 up; of a PointsSpec (N, D).
    columns: images in a row; by default the grid is about square. labels: (N,) class indices: images are sorted into
    rows by class with the name in front, points get a panel a class (the first twelve). captions: what stands in each
    column of images, written above it; then columns is their number.

    One channel is grey and three are colour; other numbers of channels stand side by side as grey strips, a sample a
    strip. `low` .. `high` of the spec go from black to white, what lies outside saturates; a depth other than the
    spec's uses its full range; NaN is black. Images are enlarged by whole factors. Points show the first two dimensions
    (one dimension: a histogram) in the window that the spec declares, and how many fell outside.
    Raises RunError in one line when the file cannot be written.
    """
    if isinstance(spec, PointsSpec):
        picture = _scatter(np.asarray(samples, dtype=np.float64), spec, labels)
    else:
        assert isinstance(spec, ImageSpec)
        picture = _grid(_eight_bit(samples, spec), spec, len(captions) or columns, labels)
        if captions:
            picture = _captioned(picture, captions)
    save_picture(path, picture)
    return picture


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture (H, W, 3) uint8 as a PNG that says it is synthetic. Raises RunError in one line."""
    write_atomically(path, _png(picture))


def _png(picture: np.ndarray) -> bytes:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    tag = PngInfo()
    for key, text in TAG.items():
        tag.add_text(key, text)
    grey = bool((picture[..., :1] == picture).all())
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if grey else picture).save(buffer, format="PNG", pnginfo=tag)
    return buffer.getvalue()


# Images


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
        classes = [(_name(spec, int(k)), [int(i) for i in np.flatnonzero(labels == k)]) for k in np.unique(labels)]
        most = max((len(members) for _, members in classes), default=1)
        columns = columns or min(most, max(8, _square_columns(count, height, width)))
        for name, members in classes:
            for i in range(0, len(members), columns):
                rows.append((name if i == 0 else "", members[i : i + columns]))
    room = min(LONGEST_SIDE // (columns * width), LONGEST_SIDE // (max(1, len(rows)) * height))
    factor = max(1, min(LARGEST_FACTOR, room))
    cell_height, cell_width = height * factor + GUTTER, width * factor + GUTTER
    margin = _text_width([name for name, _ in rows])
    canvas = np.full((len(rows) * cell_height + GUTTER, margin + columns * cell_width + GUTTER, 3), BACKGROUND, np.uint8)
    for r, (_, members) in enumerate(rows):
        for c, index in enumerate(members):
            top, left = GUTTER + r * cell_height, margin + GUTTER + c * cell_width
            enlarged = pixels[index].repeat(factor, axis=0).repeat(factor, axis=1)
            canvas[top : top + height * factor, left : left + width * factor] = enlarged
    return _lettered(canvas, [name for name, _ in rows], cell_height) if margin else canvas


def _square_columns(count: int, height: int, width: int) -> int:
    """Columns that make the grid about square, rather wide than tall, and leave few places empty."""
    ideal = 1.15 * math.sqrt(max(1, count) * height / width)

    def cost(columns: int) -> float:
        empty = -(-count // columns) * columns - count
        return empty / max(1, count) + 0.5 * abs(math.log(columns / ideal))

    return min(range(1, max(1, count) + 1), key=cost)


def _name(spec: Spec, index: int) -> str:
    name = spec.classes[index] if 0 <= index < len(spec.classes) else str(index)
    return name if len(name) <= MOST_NAME else name[: MOST_NAME - 1] + "…"


def _font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(TEXT_HEIGHT)


def _text_width(names: list[str]) -> int:
    """Pixels in front of the rows; 0 when nothing is written there."""
    if not any(names):
        return 0
    font = _font()
    return round(max(font.getlength(name) for name in names)) + 4 * GUTTER


def _captioned(picture: np.ndarray, captions: tuple[str, ...]) -> np.ndarray:
    """The picture with a line of captions above its columns, in letters small enough for them."""
    from PIL import Image, ImageDraw, ImageFont

    step = (picture.shape[1] - GUTTER) / len(captions)
    longest = max(_font().getlength(caption) for caption in captions)
    font = ImageFont.load_default(max(8.0, min(TEXT_HEIGHT, TEXT_HEIGHT * (step - GUTTER) / max(longest, 1.0))))
    head = TEXT_HEIGHT + 2 * GUTTER
    image = Image.new("RGB", (picture.shape[1], picture.shape[0] + head), (BACKGROUND,) * 3)
    image.paste(Image.fromarray(picture), (0, head))
    draw = ImageDraw.Draw(image)
    for column, caption in enumerate(captions):
        draw.text((GUTTER + (column + 0.5) * step, head / 2), caption, fill=(INK,) * 3, font=font, anchor="mm")
    return np.array(image)


def _lettered(canvas: np.ndarray, names: list[str], cell_height: int) -> np.ndarray:
    from PIL import Image, ImageDraw

    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    for row, name in enumerate(names):
        middle = GUTTER + row * cell_height + (cell_height - GUTTER) // 2
        draw.text((2 * GUTTER, middle), name, fill=(INK, INK, INK), font=_font(), anchor="lm")
    return np.array(image)


# Points


def _scatter(points: np.ndarray, spec: PointsSpec, labels: np.ndarray | None) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: list[tuple[str, np.ndarray]] = [("", points)]
    if labels is not None:
        kinds = np.unique(labels)[:MOST_PANELS]
        panels = [(_name(spec, int(k)), points[labels == k]) for k in kinds]
    across = min(len(panels), 4 if len(panels) > 6 else 3)
    down = math.ceil(len(panels) / across)
    side = 6.0 if len(panels) == 1 else 3.4 if across <= 3 else 2.8
    tall = 0.6 if spec.dimensions == 1 else 1.0
    width, height = side * across, side * tall * down
    figure = Figure(figsize=(width, height), dpi=110, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    # Placed by hand, in inches: a layout engine draws everything twice.
    for position, (name, own) in enumerate(panels):
        row, column = divmod(position, across)
        left, bottom = side * column + 0.5, height - side * tall * (row + 1) + (0.55 if spec.dimensions > 2 else 0.35)
        inner = (side - 0.65, height - side * tall * row - 0.35 - bottom)
        axes = figure.add_axes((left / width, bottom / height, inner[0] / width, inner[1] / height))
        _panel(axes, own, spec, COLOURS[position % len(COLOURS)])
        if name:
            axes.set_title(name, fontsize=10, parse_math=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a class name in a script the font lacks
        canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()


def _panel(axes: Axes, points: np.ndarray, spec: PointsSpec, colour: str) -> None:
    centre = (spec.centre or (0.0,) * spec.dimensions)[:2]
    reach = MARGIN * spec.scale
    axes.set_xlim(centre[0] - reach, centre[0] + reach)
    axes.locator_params(nbins=5)
    axes.tick_params(labelsize=8, colors="#555555", length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#BBBBBB")
    shown = points[:, :2]
    inside = (np.abs(shown - np.asarray(centre)) <= reach).all(axis=1)  # false for NaN
    if spec.dimensions == 1:
        axes.hist(shown[inside, 0], bins=60, range=(centre[0] - reach, centre[0] + reach), color=colour, alpha=0.85)
    else:
        axes.set_ylim(centre[1] - reach, centre[1] + reach)
        axes.set_aspect("equal")
        axes.grid(color="#EEEEEE", linewidth=0.8)
        axes.set_axisbelow(True)
        count = max(1, len(points))
        size, alpha = min(14.0, max(3.0, 9000 / count)), min(0.9, max(0.15, 900 / count))
        axes.scatter(shown[inside, 0], shown[inside, 1], s=size, c=colour, alpha=alpha, linewidths=0)
        if spec.dimensions > 2:
            axes.set_xlabel(f"dimension 1 of {spec.dimensions}", fontsize=8)
            axes.set_ylabel(f"dimension 2 of {spec.dimensions}", fontsize=8)
    outside = len(points) - int(inside.sum())
    if outside:
        text = f"{outside:,} of {len(points):,} outside"
        axes.text(0.98, 0.98, text, transform=axes.transAxes, ha="right", va="top", fontsize=8, color="#AA3333")
