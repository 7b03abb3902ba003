"""Pictures of docs/systems of what a run draws from noise: its first samples, or a class, a value of a code, a tag in each row.

    python docs/pictures/draw_samples.py RUN OUT.png                            the first thirty-six samples of seed 0
    python docs/pictures/draw_samples.py RUN OUT.png --rows label               a class a row, each of the same noise
    python docs/pictures/draw_samples.py RUN OUT.png --rows code --name 0 --of 10    a value of a code a row
    python docs/pictures/draw_samples.py RUN OUT.png --rows attributes --name hair_colour --of black,blond

Nothing is chosen: the samples are the first ones, in their order. `which="last"`: the generator as the run left it. The
pages hold the commands that the runs were made with. Not for systems that need a picture, a text or a pose to begin with
(`draw_learnt.py`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from ganvas.run.load import Run

GAP = 2


def rows_of(run: Run, what: str, name: str, of: str, columns: int) -> list[np.ndarray]:
    """Rows of images (columns, H, W, C) uint8."""
    if what == "label":
        return [run.sample(columns, seed=0, label=own, depth=8) for own in run.spec.classes]
    if what == "code":
        return [run.sample(columns, seed=0, codes={name: value}, depth=8) for value in range(int(of))]
    if what == "attributes":
        return [run.sample(columns, seed=0, attributes={name: value}, depth=8) for value in of.split(",")]
    made = run.sample(36, seed=0, depth=8)
    return [made[k : k + columns] for k in range(0, 36, columns)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", choices=("label", "code", "attributes"), default="")
    parser.add_argument("--name", default="", help="of the code or the attribute")
    parser.add_argument("--of", default="", help="how many values the code has; the attribute's values, with commas")
    parser.add_argument("--columns", type=int, default=9)
    parser.add_argument("--times", type=int, default=1, help="how much larger than the samples")
    options = parser.parse_args()
    rows = rows_of(Run(options.run, which="last"), options.rows, options.name, options.of, options.columns)
    high, wide = rows[0].shape[1:3]
    canvas = np.full((len(rows) * (high + GAP) - GAP, options.columns * (wide + GAP) - GAP, 3), 255, np.uint8)
    for down, row in enumerate(rows):
        for across, pixels in enumerate(row):
            top, left = down * (high + GAP), across * (wide + GAP)
            canvas[top : top + high, left : left + wide] = pixels
    large = (options.times * canvas.shape[1], options.times * canvas.shape[0])
    Image.fromarray(canvas).resize(large, Image.Resampling.NEAREST).save(options.file, optimize=True)


if __name__ == "__main__":
    main()
