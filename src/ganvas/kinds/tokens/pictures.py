"""Pictures of sequences: melodies as piano rolls, texts as rows of symbols. For people to look at."""

from __future__ import annotations

import functools
import hashlib
import math

import numpy as np

from .files import HOLD
from .spec import TokensSpec

ACROSS = 4  # piano rolls side by side
MOST_PLACES = 64  # of a row of symbols
INK, PAPER, LINE = (38, 70, 120), (255, 255, 255), (225, 225, 225)


def draw_rolls(rows: list[list[str]], spec: TokensSpec) -> np.ndarray:
    """A picture (H, W, 3) uint8 of melodies, time to the right and pitch upwards, a line a beat."""
    pitches = [int(s) for row in rows for s in row if s.isdigit()] or [60]
    low, high = min(pitches) - 1, max(pitches) + 1
    step, tall = max(3, min(8, 256 // spec.length)), 4
    height, width = (high - low + 1) * tall, spec.length * step
    down = math.ceil(len(rows) / ACROSS)
    sheet = np.full((down * (height + 8) + 8, ACROSS * (width + 8) + 8, 3), 245, np.uint8)
    for number, row in enumerate(rows):
        roll = np.full((height, width, 3), PAPER, np.uint8)
        roll[:, :: step * (spec.rate or 1)] = LINE
        begun: int | None = None
        for place, symbol in enumerate(row):
            if symbol != HOLD:
                begun = int(symbol) if symbol.isdigit() else None
            if begun is not None:
                top, left = (high - begun) * tall, place * step
                roll[top : top + tall, left + (symbol != HOLD) : left + step] = INK
        top, left = 8 + number // ACROSS * (height + 8), 8 + number % ACROSS * (width + 8)
        sheet[top : top + height, left : left + width] = roll
    return sheet


def draw_symbols(rows: list[list[str]], spec: TokensSpec) -> np.ndarray:
    """A picture (H, W, 3) uint8 with a row a sequence, each symbol on a colour of its own.

    A symbol is written where a font of this machine knows its signs; the colours show repetition and structure in any case.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    places = min(MOST_PLACES, spec.length)
    widest = max((len(s) for row in rows for s in row[:places]), default=1)
    cell = min(1.0, 0.16 + 0.07 * widest)
    figure = Figure(figsize=(max(2.0, cell * places), max(1.0, 0.28 * len(rows))), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    colours = np.ones((len(rows), places, 3))
    fonts, known = _fonts()
    for down, row in enumerate(rows):
        for across, symbol in enumerate(row[:places]):
            digest = hashlib.blake2b(symbol.encode("utf-8", "surrogatepass"), digest_size=3).digest()
            colours[down, across] = 0.6 + 0.4 * np.frombuffer(digest, np.uint8) / 255
            if all(ord(c) in known for c in symbol):
                plain = symbol if len(symbol) <= 12 else symbol[:11] + "…"
                axes.text(across, down, plain, ha="center", va="center", fontsize=8, family=fonts, parse_math=False)
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    axes.set_axis_off()
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()


@functools.cache
def _fonts() -> tuple[list[str], frozenset[int]]:
    """Families to write with, in order, and the code points they know: the usual one, and one of Chinese if it is there."""
    from matplotlib import font_manager

    wanted = ("CJK", "WenQuanYi", "Source Han", "Noto Serif SC", "SimSun", "PingFang", "Droid Sans Fallback", "AR PL")
    chosen = [str(font_manager.findfont("DejaVu Sans"))]
    names = ["DejaVu Sans"]
    for entry in font_manager.fontManager.ttflist:
        if any(word in entry.name for word in wanted):
            chosen.append(str(entry.fname))
            names.append(entry.name)
            break
    known: set[int] = set()
    for file in chosen:
        known |= set(font_manager.get_font(file).get_charmap())
    return names, frozenset(known)
