"""The picture of docs/systems/pix2pixhd.md: crates that stand side by side, drawn with the boundary map and without.

    python docs/pictures/draw_pix2pixhd.py            writes docs/pictures/pix2pixhd.png

The crates are those of the proof (`ganvas.proofs.pix2pixhd.crates`), and so is the training; maps are held-out ones.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ganvas.proofs import Task
from ganvas.proofs.pix2pixhd import crates_drawn

SHOWN, SCALE, GAP, LEFT = 6, 4, 8, 170
COLOURS = np.array([[40, 40, 40], [230, 120, 60], [70, 160, 220], [120, 190, 80], [200, 90, 170], [240, 210, 70]])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        task = Task(11, "", True, Path(folder), "", False, print)
        (things, true, told), (_, _, untold) = (crates_drawn(task, boundaries=own) for own in (True, False))
    numbers = np.where(things >= 100, things - 99, 0)
    rows = {
        "map, a colour a crate": COLOURS[numbers].astype(np.uint8),
        "with the boundary map": told,
        "without": untold,
        "true": true,
    }
    step = things.shape[1] * SCALE + GAP
    sheet = Image.new("RGB", (LEFT + SHOWN * step, len(rows) * step), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for down, (name, images) in enumerate(rows.items()):
        draw.text((6, down * step + step / 2), name, fill="black", font=font, anchor="lm")
        for across in range(SHOWN):
            cell = Image.fromarray(np.broadcast_to(images[across], (*things.shape[1:], 3)).astype(np.uint8))
            sheet.paste(cell.resize((step - GAP, step - GAP), Image.Resampling.NEAREST), (LEFT + across * step, down * step))
    sheet.save(Path(__file__).parent / "pix2pixhd.png", optimize=True)


if __name__ == "__main__":
    main()
