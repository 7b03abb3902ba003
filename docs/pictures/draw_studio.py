"""Draws the small pictures of built-in data that the studio's gallery shows, into the package.

python docs/pictures/draw_studio.py [NAME ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import ganvas.studio
from ganvas.data.dataset import open_data
from ganvas.data.phantoms import catalogue
from ganvas.kinds import kind_of

FOLDER = Path(ganvas.studio.__file__).parent / "static" / "data"
BOX = (560, 320)
SHOWN = {"image": 6, "points": 2000, "sound": 2, "series": 2, "solid": 3, "table": 600, "tokens": 4, "video": 4}


def draw(name: str, kind: str) -> Path:
    """A picture of some records, cut to the shape of a card."""
    count = SHOWN.get(kind, 1)
    dataset = open_data(name, progress=False, phantom_count=600 if kind == "graph" else max(count, 40))
    rows = np.arange(len(dataset.values) if kind == "graph" else count)
    picture = kind_of(dataset.spec.kind).picture(np.asarray(dataset.values[rows]), dataset.spec)
    image = Image.fromarray(picture)
    scale = max(BOX[0] / image.width, 0.1)
    image = image.resize((BOX[0], max(1, round(image.height * scale))), Image.Resampling.LANCZOS)
    if image.height > BOX[1]:
        top = 0 if kind in ("sound", "tokens") else (image.height - BOX[1]) // 2
        image = image.crop((0, top, BOX[0], top + BOX[1]))
    path = FOLDER / f"{name}.webp"
    image.save(path, format="WEBP", quality=80)
    return path


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for phantom in catalogue().values():
        if phantom.name != "formula" and (len(sys.argv) < 2 or phantom.name in sys.argv[1:]):
            path = draw(phantom.name, phantom.kind)
            print(f"{path} ({path.stat().st_size} bytes)")
