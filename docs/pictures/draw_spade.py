"""The picture of docs/systems/spade.md: a street map painted here, as a paint program leaves it, and what a run makes of it.

    python docs/pictures/draw_spade.py RUN            writes docs/pictures/spade.png

RUN learnt street-scenes (`ganvas train spade`); no photograph of the data is in the picture.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ganvas.run.apply import apply

COLOURS = {
    "sky": "#808080", "building": "#800000", "road": "#804080", "pavement": "#3c28de", "tree": "#808000", "car": "#400080",
}  # fmt: skip
WIDTH, HEIGHT, SMOOTH, SEEDS = 320, 240, 3, 4


def paint() -> Image.Image:
    """A street between houses and trees, with a car, at five times the size of training and with soft edges."""
    w, h = WIDTH * SMOOTH, HEIGHT * SMOOTH
    image = Image.new("RGB", (w, h), COLOURS["sky"])
    draw = ImageDraw.Draw(image)
    draw.polygon([(0, h * 0.1), (w * 0.3, h * 0.35), (w * 0.3, h * 0.7), (0, h)], COLOURS["building"])
    draw.ellipse([w * 0.6, h * 0.1, w * 1.1, h * 0.65], COLOURS["tree"])
    draw.polygon([(w * 0.25, h * 0.5), (w, h * 0.5), (w, h * 0.88), (0, h * 0.88)], COLOURS["building"])
    draw.polygon(
        [(0, h * 0.85), (w * 0.42, h * 0.56), (w * 0.58, h * 0.56), (w, h * 0.85), (w, h), (0, h)], COLOURS["pavement"]
    )
    draw.polygon([(w * 0.1, h), (w * 0.45, h * 0.56), (w * 0.55, h * 0.56), (w * 0.9, h)], COLOURS["road"])
    draw.rounded_rectangle([w * 0.58, h * 0.58, w * 0.74, h * 0.72], w * 0.02, COLOURS["car"])
    return image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)


def main(run: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "painted.png"
        paint().save(source)
        cells = [paint()]
        for seed in range(SEEDS):
            out = Path(place) / str(seed)
            apply(run, [source], out=out, seed=seed, fitted=True, say=print if seed == 0 else None)
            cells.append(Image.open(out / "painted.png").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
        sheet = np.concatenate([np.asarray(cell.convert("RGB")) for cell in cells], 1)
    Image.fromarray(sheet).save(Path(__file__).parent / "spade.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
