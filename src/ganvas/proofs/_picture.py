"""The picture of a proof: every seed's pair of values, and samples of each arm beside each other."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from ..drawing import COLOURS, TAG
from ..files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

    from . import Row

PANEL = 4.2  # inches
MOST_IMAGES = 36
MOST_POINTS = 2500
RESOLUTION = 110
VISIBLE = 0.1  # of the largest value: where all lie nearer together, an axis from 0 would hide how they differ


def draw(
    path: Path, result: Mapping[str, Any], rows: Sequence[Row], samples: Mapping[str, tuple[np.ndarray, np.ndarray | None]]
) -> None:
    """Write the picture as a PNG that says its samples are synthetic. samples: by arm; none gives the values alone.

    Raises RunError in one line when the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = 1 + len(samples)
    width = max(count, 1.7)  # in panels; the title needs room where nothing stands beside the values
    figure = Figure(figsize=(PANEL * width, PANEL * 1.25), dpi=RESOLUTION, facecolor="white")
    FigureCanvasAgg(figure)
    passed = {True: "passed", False: "NOT passed", None: "quick form, no mark"}[result["passed"]]
    figure.suptitle(fill(f"{result['system']}: {result['claim']} ({passed})", int(58 * width)), fontsize=10)
    parts = list(figure.subfigures(1, count, squeeze=False).flat)
    _values(parts[0], result, rows)
    for part, (arm, (records, labels)) in zip(parts[1:], samples.items(), strict=True):
        part.text(0.5, 0.85, f"{arm}, seed 0", ha="center", fontsize=9)
        if records.ndim == 2:
            _points(part, records, labels)
        else:
            _images(part, records)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata=TAG)
    write_atomically(path, buffer.getvalue())


def _values(part: SubFigure, result: Mapping[str, Any], rows: Sequence[Row]) -> None:
    axes = part.add_axes((0.2, 0.12, 0.75, 0.68))
    arms = list(rows[0].values)
    for row in rows:
        axes.plot(range(len(arms)), [row.values[a] for a in arms], "-", color="#BBBBBB", linewidth=1, zorder=1)
    for place, arm in enumerate(arms):
        axes.scatter([place] * len(rows), [r.values[arm] for r in rows], color=COLOURS[place % len(COLOURS)], zorder=2)
    axes.set_xticks(range(len(arms)), [fill(a, 12, break_long_words=False) for a in arms], fontsize=8)
    axes.set_xlim(-0.5, len(arms) - 0.5)
    least, most = (find(find(r.values.values()) for r in rows) for find in (min, max))
    if least >= 0 and most - least >= VISIBLE * most:
        axes.set_ylim(0, 1.08 * most or 1.0)
    elif least >= 0:
        axes.set_xlabel("the axis does not begin at 0", fontsize=7, color="#666666")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(fill(f"{result['metric'].split('[')[0].strip()}; {result['direction']}", 48), fontsize=8)


def _points(part: SubFigure, points: np.ndarray, labels: np.ndarray | None) -> None:
    groups = [points] if labels is None else [points[labels == k] for k in np.unique(labels)]
    across = math.ceil(math.sqrt(len(groups)))
    down = math.ceil(len(groups) / across)
    low, high = points.min(0), points.max(0)
    centre, reach = (low + high) / 2, 0.55 * float((high - low).max()) or 1.0
    for place, own in enumerate(groups):
        row, column = divmod(place, across)
        axes = part.add_axes((0.04 + 0.94 * column / across, 0.8 - 0.74 * (row + 1) / down, 0.9 / across, 0.7 / down))
        own = own[:MOST_POINTS]
        axes.scatter(own[:, 0], own[:, 1], s=max(1.0, 4.0 / across), c=COLOURS[place % len(COLOURS)], linewidths=0)
        axes.set_xlim(centre[0] - reach, centre[0] + reach)
        axes.set_ylim(centre[1] - reach, centre[1] + reach)
        axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])


def _images(part: SubFigure, images: np.ndarray) -> None:
    side = math.isqrt(min(MOST_IMAGES, len(images)))
    chosen = images[: side * side]
    if chosen.shape[3] not in (1, 3):
        chosen = chosen[..., :1]
    height, width, channels = chosen.shape[1:]
    sheet = chosen.reshape(side, side, height, width, channels).transpose(0, 2, 1, 3, 4)
    sheet = np.repeat(sheet.reshape(side * height, side * width, channels), 3 // channels, axis=2)
    axes = part.add_axes((0.03, 0.06, 0.94, 0.76))
    axes.imshow(sheet, interpolation="nearest")
    axes.set_axis_off()
