"""A scatter of points as one picture. For people to look at."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from ...drawing import COLOURS, class_name
from .spec import PointsSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN = 1.3  # of the spec's scale: the window of a scatter is the same all through a run
MOST_PANELS = 12


def scatter(points: np.ndarray, spec: PointsSpec, labels: np.ndarray | None = None) -> np.ndarray:
    """Points (N, D) as (H, W, 3) uint8, with labels (N,) a panel a class (the first twelve).

    The first two dimensions are shown (one dimension: a histogram) in the window that the spec declares, with the number that
    fell outside.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: list[tuple[str, np.ndarray]] = [("", points)]
    if labels is not None:
        kinds = np.unique(labels)[:MOST_PANELS]
        panels = [(class_name(spec, int(k)), points[labels == k]) for k in kinds]
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
