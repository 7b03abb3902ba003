"""Skeletons as pictures: bones in colours of their own, points as discs, hidden ones thin. For people to look at."""

from __future__ import annotations

import colorsys

import numpy as np

from .files import HIDDEN
from .spec import PoseSpec

FINE = 4  # times as large as it is drawn, for smooth edges
GROUND = (16, 16, 20)


def colours(count: int) -> list[tuple[int, int, int]]:
    """As many colours, round the circle of hues."""
    found = [colorsys.hsv_to_rgb(k / max(1, count), 0.75, 1.0) for k in range(count)]
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in found]


def skeletons(records: np.ndarray, spec: PoseSpec) -> np.ndarray:
    """Poses (N, K, 3) as pictures (N, H, W, 3) uint8 of the size of the spec."""
    from PIL import Image, ImageDraw

    thick = max(1.0, min(spec.height, spec.width) / 40)
    of_links, of_points = colours(len(spec.links)), colours(len(spec.names))
    made = np.empty((len(records), spec.height, spec.width, 3), np.uint8)
    for number, record in enumerate(np.asarray(records, np.float64)):
        image = Image.new("RGB", (spec.width * FINE, spec.height * FINE), GROUND)
        draw = ImageDraw.Draw(image)
        place = (record[:, :2] + 0.5) * FINE
        for (one, other), colour in zip(spec.links, of_links, strict=True):
            if record[one, 2] and record[other, 2]:
                hidden = HIDDEN in (record[one, 2], record[other, 2])
                ends = [(float(x), float(y)) for x, y in place[[one, other]]]
                draw.line(ends, fill=colour, width=round(FINE * thick * (0.5 if hidden else 1)) or 1)
        for (x, y), mark, colour in zip(place, record[:, 2], of_points, strict=True):
            if mark:
                radius = FINE * thick * (0.6 if mark == HIDDEN else 1.0)
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        made[number] = np.asarray(image.resize((spec.width, spec.height), Image.Resampling.BOX))
    return made
