"""Pictures of series: windows side by side, and a whole series above its scores. For people to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..specs import SeriesSpec

MOST_ROWS = 8
"""Quantities in a picture."""


def draw_lines(path: Path, windows: np.ndarray, spec: SeriesSpec) -> np.ndarray:
    """Write a PNG with a panel a quantity (the first eight) and the windows (N, T, C) side by side in each, on one scale.

    Returns it as (H, W, 3) uint8.
    """
    count, length = windows.shape[:2]
    names = spec.names[:MOST_ROWS]
    places = np.arange(count)[:, None] * (length * 1.1) + np.arange(length)
    limits = [(centre - 1.3 * scale, centre + 1.3 * scale) for centre, scale in zip(spec.centre, spec.scale, strict=True)]
    title = "" if len(spec.names) == len(names) else f"{len(names)} of {len(spec.names)} quantities"
    rows: list[Row] = [(name, places, windows[..., k].astype(np.float64), limits[k]) for k, name in enumerate(names)]
    return _panels(path, rows, title, f"{count} windows of {length} steps")


def draw_scores(path: Path, values: np.ndarray, names: tuple[str, ...], scores: np.ndarray) -> None:
    """Write a PNG with the quantities (T, C) (the first eight), and the score of each step (T,) below them."""
    place = np.arange(len(scores))[None]
    rows: list[Row] = [(name, place, values[None, :, k], None) for k, name in enumerate(names[:MOST_ROWS])]
    _panels(path, [*rows, ("score", place, scores[None], None)], path.stem, "step")


Row = tuple[str, np.ndarray, np.ndarray, tuple[float, float] | None]
"""Name, x (N, T), y (N, T), and the ends of the y axis (None: those of the data)."""


def _panels(path: Path, rows: list[Row], title: str, below: str) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ..run.files import write_atomically
    from ..run.pictures import COLOURS, _png

    height = 0.8 + 0.95 * len(rows)
    figure = Figure(figsize=(10, height), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, x, y, limits) in zip(panels, rows, strict=True):
        for k in range(len(x)):
            axes.plot(x[k], y[k], color=COLOURS[k % len(COLOURS)], linewidth=1)
        if limits is not None:
            axes.set_ylim(*limits)
        shown = name if len(name) <= 18 else name[:17] + "…"
        axes.set_ylabel(shown, fontsize=7, rotation=0, ha="right", va="center", parse_math=False)
        axes.tick_params(labelsize=6, colors="#555555", length=2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.locator_params(axis="y", nbins=3)
    panels[-1].set_xlabel(below, fontsize=8)
    figure.suptitle(title, fontsize=9, y=1 - 0.12 / height, parse_math=False)
    figure.subplots_adjust(left=0.17, right=0.985, top=1 - 0.35 / height, bottom=0.45 / height, hspace=0.3)
    canvas.draw()
    picture = np.array(canvas.buffer_rgba())[..., :3].copy()
    write_atomically(path, _png(picture))
    return picture
