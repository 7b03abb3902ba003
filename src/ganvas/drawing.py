"""PNG files that say they are synthetic, and letters and colours on them. For people to look at.

Not for what a picture of some kind of data shows (`ganvas.kinds`), nor for samples in full depth.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_atomically
from .specs import Spec
from .version import __version__

GUTTER = 4
BACKGROUND = 40
INK = 225
TEXT_HEIGHT = 15
LINES = 3  # of a text above a row of pictures
MOST_NAME = 24  # letters of a class name that are shown
TAG = {
    "Description": "SYNTHETIC: made by a generative model, not a real record",
    "Software": f"ganvas {__version__}",
    "Content": "overview",  # by which `store.listing` tells it from the samples beside it
}
# Okabe and Ito 2008: distinct for colour-blind readers too
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#444444")


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture (H, W, 3) uint8 as a PNG that says it is synthetic. Raises RunError in one line."""
    write_atomically(path, png(picture))


def png(picture: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8 as a PNG that says it is synthetic; grey ones in one channel."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    tag = PngInfo()
    for key, text in TAG.items():
        tag.add_text(key, text)
    grey = bool((picture[..., :1] == picture).all())
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if grey else picture).save(buffer, format="PNG", pnginfo=tag)
    return buffer.getvalue()


def class_name(spec: Spec, index: int) -> str:
    """The class of that index, cut where it is long."""
    name = spec.classes[index] if 0 <= index < len(spec.classes) else str(index)
    return name if len(name) <= MOST_NAME else name[: MOST_NAME - 1] + "…"


def font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(TEXT_HEIGHT)


def text_width(names: list[str]) -> int:
    """Pixels in front of the rows; 0 when nothing is written there."""
    if not any(names):
        return 0
    letters = font()
    return round(max(letters.getlength(name) for name in names)) + 4 * GUTTER


def captioned(picture: np.ndarray, captions: tuple[str, ...]) -> np.ndarray:
    """The picture with a line of captions above its columns, in letters small enough for them."""
    from PIL import Image, ImageDraw, ImageFont

    step = (picture.shape[1] - GUTTER) / len(captions)
    longest = max(font().getlength(caption) for caption in captions)
    small = ImageFont.load_default(max(8.0, min(TEXT_HEIGHT, TEXT_HEIGHT * (step - GUTTER) / max(longest, 1.0))))
    head = TEXT_HEIGHT + 2 * GUTTER
    image = Image.new("RGB", (picture.shape[1], picture.shape[0] + head), (BACKGROUND,) * 3)
    image.paste(Image.fromarray(picture), (0, head))
    draw = ImageDraw.Draw(image)
    for column, caption in enumerate(captions):
        draw.text((GUTTER + (column + 0.5) * step, head / 2), caption, fill=(INK,) * 3, font=small, anchor="mm")
    return np.array(image)


def headed(picture: np.ndarray, rows: tuple[str, ...]) -> np.ndarray:
    """The picture of equally tall rows with a text above each, in at most LINES lines of the picture's width."""
    from PIL import Image, ImageDraw, ImageFont

    wide, step = picture.shape[1] - 2 * GUTTER, (picture.shape[0] - GUTTER) // len(rows)
    small = ImageFont.load_default(0.8 * TEXT_HEIGHT)
    texts = [_wrapped(text, small, wide) for text in rows]
    head = max(len(lines) for lines in texts) * TEXT_HEIGHT + GUTTER
    image = Image.new("RGB", (picture.shape[1], GUTTER + len(rows) * (step + head)), (BACKGROUND,) * 3)
    draw = ImageDraw.Draw(image)
    for number, lines in enumerate(texts):
        top = number * (step + head)
        above = top + head - len(lines) * TEXT_HEIGHT  # a short text stands at its row, not at the one before
        for place, line in enumerate(lines):
            draw.text((GUTTER, above + place * TEXT_HEIGHT), line, fill=(INK,) * 3, font=small)
        image.paste(Image.fromarray(picture[number * step : (number + 1) * step + GUTTER]), (0, top + head))
    return np.array(image)


def _wrapped(text: str, letters: Any, wide: float) -> list[str]:
    """The text in lines of that many pixels, cut with an ellipsis where it needs more than LINES."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if letters.getlength(longer) <= wide or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    kept = lines[:LINES]
    cut = len(lines) > LINES
    for number, line in enumerate(kept):
        end = "…" if cut and number == LINES - 1 else ""
        while line and letters.getlength(line + end) > wide:
            line, end = line[:-1], "…"
        kept[number] = line + end
    return kept


def lettered(canvas: np.ndarray, names: list[str], cell_height: int) -> np.ndarray:
    from PIL import Image, ImageDraw

    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    for row, name in enumerate(names):
        middle = GUTTER + row * cell_height + (cell_height - GUTTER) // 2
        draw.text((2 * GUTTER, middle), name, fill=(INK, INK, INK), font=font(), anchor="lm")
    return np.array(image)
