"""Pictures of series: windows side by side, and a whole series above its scores. For people to look at."""

from __future__ import annotations

import numpy as np

from .spec import SeriesSpec

MOST_ROWS = 8
"""Quantities in a picture."""


def draw_lines(windows: np.ndarray, spec: SeriesSpec) -> np.ndarray:
    """A picture (H, W, 3) uint8: a panel a quantity (eight at most), windows (N, T, C) side by side in each, on one scale."""
    count, length = windows.shape[:2]
    names = spec.names[:MOST_ROWS]
    places = np.arange(count)[:, None] * (length * 1.1) + np.arange(length)
    limits = [(centre - 1.3 * scale, centre + 1.3 * scale) for centre, scale in zip(spec.centre, spec.scale, strict=True)]
    title = "" if len(spec.names) == len(names) else f"{len(names)} of {len(spec.names)} quantities"
    rows: list[Row] = [(name, places, windows[..., k].astype(np.float64), limits[k]) for k, name in enumerate(names)]
    return _panels(rows, title, f"{count} windows of {length} steps")


def draw_scores(values: np.ndarray, names: tuple[str, ...], scores: np.ndarray, title: str) -> np.ndarray:
    """A picture with the quantities (T, C) (the first eight), and the score of each step (T,) below them."""
    place = np.arange(len(scores))[None]
    rows: list[Row] = [(name, place, values[None, :, k], None) for k, name in enumerate(names[:MOST_ROWS])]
    return _panels([*rows, ("score", place, scores[None], None)], title, "step")


Row = tuple[str, np.ndarray, np.ndarray, tuple[float, float] | None]
"""Name, x (N, T), y (N, T), and the ends of the y axis (None: those of the data)."""


def _panels(rows: list[Row], title: str, below: str) -> np.ndarray:
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
    return np.array(canvas.buffer_rgba())[..., :3].copy()
