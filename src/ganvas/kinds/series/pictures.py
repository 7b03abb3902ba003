"""Pictures of series: windows side by side, and a whole series above its scores. For people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .spec import SeriesSpec

if TYPE_CHECKING:
    from .files import Table

MOST_ROWS = 8
"""Quantities in a picture."""
SKETCH = (220, 40)  # pixels of a strip
ALARM = "#D55E00"  # the second of `drawing.COLOURS`; lines take the first


def draw_lines(windows: np.ndarray, spec: SeriesSpec) -> np.ndarray:
    """A picture (H, W, 3) uint8: a panel a quantity (eight at most), windows (N, T, C) side by side in each, on one scale."""
    count, length = windows.shape[:2]
    names = spec.names[:MOST_ROWS]
    places = np.arange(count)[:, None] * (length * 1.1) + np.arange(length)
    limits = [(centre - 1.3 * scale, centre + 1.3 * scale) for centre, scale in zip(spec.centre, spec.scale, strict=True)]
    title = "" if len(spec.names) == len(names) else f"{len(names)} of {len(spec.names)} quantities"
    rows: list[Row] = [(name, places, windows[..., k].astype(np.float64), limits[k]) for k, name in enumerate(names)]
    return _panels(rows, title, f"{count} windows of {length} steps")


def sketch_lines(window: np.ndarray, spec: SeriesSpec) -> np.ndarray:
    """A picture (H, W, 3) uint8 of one window (T, C): a strip a quantity (eight at most), on the scale of `draw_lines`."""
    from PIL import Image, ImageDraw

    from ...drawing import COLOURS

    shown = min(MOST_ROWS, window.shape[1])
    picture = Image.new("RGB", (SKETCH[0], shown * SKETCH[1]), "white")
    pen = ImageDraw.Draw(picture)
    x = np.linspace(2, SKETCH[0] - 3, len(window))
    for k in range(shown):
        low, span = spec.centre[k] - 1.3 * spec.scale[k], 2.6 * spec.scale[k]
        part = (np.clip(window[:, k].astype(np.float64), low, low + span) - low) / span
        y = (k + 1) * SKETCH[1] - 4 - part * (SKETCH[1] - 8)
        pen.line([(0, (k + 1) * SKETCH[1] - 1), (SKETCH[0], (k + 1) * SKETCH[1] - 1)], fill="#dddddd")
        pen.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=COLOURS[0], width=1)
    return np.asarray(picture)


def draw_scores(
    table: Table, spec: SeriesSpec, scores: np.ndarray, threshold: float | None, alarms: Sequence[tuple[int, int]], title: str
) -> np.ndarray:  # fmt: skip
    """A picture with the quantities of a series (the first eight) over time, and the score of each step (T,) below them.

    threshold: drawn dashed. alarms: (first step, step behind the last) of stretches, shaded in all panels.
    """
    place, below = _time_axis(table)
    gaps = np.flatnonzero(table.gaps())
    x = np.insert(place, gaps, place[gaps])[None]  # lines break where time jumps

    def row(name: str, values: np.ndarray) -> Row:
        return name, x, np.insert(values, gaps, np.nan)[None], None

    rows = [row(name, table.values[:, k]) for k, name in enumerate(spec.names[:MOST_ROWS])]
    spans = [(place[begin], place[end - 1]) for begin, end in alarms]
    return _panels([*rows, row("score", scores)], title, below, threshold, spans)


def _time_axis(table: Table) -> tuple[np.ndarray, str]:
    """(places (T,) on the axis: dates, seconds or steps; what stands below it)."""
    if table.times is None:
        return np.arange(len(table.values)), "step"
    if not table.clock:
        return table.times, f"{table.time_name} (s)"
    dates = (table.times * 1e6).round().astype("int64").astype("datetime64[us]")
    return dates, table.time_name + (" (UTC)" if table.clock == "UTC" else "")


Row = tuple[str, np.ndarray, np.ndarray, tuple[float, float] | None]
"""Name, x (N, T), y (N, T), and the ends of the y axis (None: those of the data)."""


def _panels(
    rows: list[Row], title: str, below: str, threshold: float | None = None, spans: Sequence[tuple[Any, Any]] = ()
) -> np.ndarray:  # fmt: skip
    """threshold: a line in the last panel. spans: (begin, end) on the x axis, shaded."""
    from matplotlib import dates
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ...drawing import COLOURS

    height = 0.8 + 0.95 * len(rows)
    figure = Figure(figsize=(10, height), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, x, y, limits) in zip(panels, rows, strict=True):
        for k in range(len(x)):
            axes.plot(x[k], y[k], color=COLOURS[k % len(COLOURS)], linewidth=1)
        for begin, end in spans:
            axes.axvspan(begin, end, color=ALARM, alpha=0.25, linewidth=0)
        if limits is not None:
            axes.set_ylim(*limits)
        shown = name if len(name) <= 18 else name[:17] + "…"
        axes.set_ylabel(shown, fontsize=7, rotation=0, ha="right", va="center", parse_math=False)
        axes.tick_params(labelsize=6, colors="#555555", length=2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.locator_params(axis="y", nbins=3)
    if threshold is not None:
        panels[-1].axhline(threshold, color=ALARM, linewidth=1, linestyle="--")
    if rows[-1][1].dtype.kind == "M":
        locator = dates.AutoDateLocator()
        panels[-1].xaxis.set_major_locator(locator)
        panels[-1].xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
        panels[-1].xaxis.get_offset_text().set_fontsize(6)
    panels[-1].set_xlabel(below, fontsize=8, parse_math=False)
    figure.suptitle(title, fontsize=9, y=1 - 0.12 / height, parse_math=False)
    figure.subplots_adjust(left=0.17, right=0.985, top=1 - 0.35 / height, bottom=0.45 / height, hspace=0.3)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()
