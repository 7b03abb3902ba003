"""Columns of a table as panels of one picture. For people to look at."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from ...drawing import COLOURS
from .spec import NUMBER, TableSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS, MOST_BARS, BINS = 12, 12, 24
REACH = 3.5  # standard deviations from the mean that a histogram shows


def panels(records: np.ndarray, spec: TableSpec, real: np.ndarray | None = None) -> np.ndarray:
    """Rows (N, columns) as (H, W, 3) uint8: a panel for each of the first twelve columns. real: rows behind, in grey."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = min(len(spec.names), MOST_PANELS)
    across = min(4, shown)
    down = math.ceil(shown / across)
    wide, tall = 2.7, 2.1
    figure = Figure(figsize=(wide * across, tall * down + 0.25), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    width, height = wide * across, tall * down + 0.25
    for k in range(shown):
        row, column = divmod(k, across)
        left, bottom = wide * column + 0.4, height - tall * (row + 1) + 0.4
        axes = figure.add_axes((left / width, bottom / height, (wide - 0.6) / width, (tall - 0.75) / height))
        _panel(axes, records[:, k], spec, k, None if real is None else real[:, k])
    if shown < len(spec.names):
        figure.text(0.01, 0.01, f"and {len(spec.names) - shown} more columns", fontsize=8, color="#555555")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()


def _panel(axes: Axes, values: np.ndarray, spec: TableSpec, k: int, real: np.ndarray | None) -> None:
    axes.set_title(spec.names[k][:28], fontsize=9, parse_math=False)
    axes.tick_params(labelsize=7, colors="#555555", length=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#BBBBBB")
    sides = [(values, COLOURS[0], 0.75)] if real is None else [(real, "#999999", 0.8), (values, COLOURS[0], 0.6)]
    if spec.types[k] == NUMBER:
        low, high = spec.centre[k] - REACH * spec.scale[k], spec.centre[k] + REACH * spec.scale[k]
        for own, colour, alpha in sides:
            own = own[~np.isnan(own)]
            counts, edges = np.histogram(own, BINS, (low, high))
            axes.stairs(counts / max(1, len(own)), edges, color=colour, alpha=alpha, fill=True)
    else:
        names = list(spec.categories[k]) + (["(missing)"] if spec.missing[k] else [])
        all_shares = []
        for own, _, _ in sides:
            indices = np.where(np.isnan(own), len(spec.categories[k]), own).astype(int)
            all_shares.append(np.bincount(indices, minlength=len(names))[: len(names)] / max(1, len(own)))
        order = (
            np.argsort(-np.max(all_shares, axis=0), kind="stable")[:MOST_BARS]
            if len(names) > MOST_BARS
            else np.arange(len(names))
        )
        for place, (shares, (_, colour, alpha)) in enumerate(zip(all_shares, sides, strict=True)):
            bar = 0.8 / len(sides)
            axes.bar(
                np.arange(len(order)) + (place - (len(sides) - 1) / 2) * bar, shares[order], bar, color=colour, alpha=alpha
            )
        axes.set_xticks(range(len(order)), [names[i][:8] for i in order], rotation=45 if len(order) > 3 else 0)
        for label in axes.get_xticklabels():
            label.set_parse_math(False)
    gone = float(np.isnan(values).mean())
    if gone and spec.types[k] == NUMBER:
        axes.text(
            0.98, 0.96, f"{gone:.0%} missing", transform=axes.transAxes, ha="right", va="top", fontsize=7, color="#AA3333"
        )
