"""The gallery of the README: what systems made in their proofs, cut out of the pictures that were recorded with them.

    python docs/pictures/draw_gallery.py            writes docs/pictures/gallery.png

Nothing is trained or chosen here: each tile is the left of the panel `system, seed 0` in benchmarks/proofs/results, or, of
systems whose proof shows real records, the left of the picture of their page, which was made of drawn worlds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "proofs" / "results"
TILE, GAP, LABEL, COLUMNS = 256, 14, 30, 4
TILES = {
    "dcgan": "dcgan: radiographs",
    "stylegan2": "stylegan2: emoji",
    "latent-gan-3d": "latent-gan-3d: chairs",
    "infogan": "infogan: digits, no label read",
    "cogan": "cogan: one face, two looks",
    "spade": "spade: streets from maps",
    "gan": "gan: five curves",
    "wavegan": "wavegan: spoken digits",
    "netgan": "netgan: a graph",
    "wgan-gp": "wgan-gp: 25 modes",
    "anogan": "anogan: nodules found",
    "pixeldtgan": "pixeldtgan: what is worn",
}
"""System -> what is written below its tile."""
OF_PAGES = {"pixeldtgan": 60, "latent-gan-3d": 0}
"""Systems whose tile is the left of docs/pictures/NAME.png -> how wide the words beside it are, which are left out."""


def panel_of(system: str) -> Image.Image:
    """The panel of the system in the picture of its proof: what lies below the second title, beyond the chart."""
    if system in OF_PAGES:
        picture = Image.open(Path(__file__).parent / f"{system}.png").convert("RGB")
        words = OF_PAGES[system]
        return picture.crop((words, 0, min(picture.width, words + picture.height), picture.height))
    picture = Image.open(RESULTS / f"{system}.png").convert("RGB")
    pixels = np.asarray(picture)
    inked = (pixels < 250).any(2)
    columns = inked[90:].any(0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], columns.astype(int), [0]])))
    spans = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    joined: list[tuple[int, int]] = []
    for span in spans:
        if joined and span[0] - joined[-1][1] < 12:
            joined[-1] = joined[-1][0], span[1]
        else:
            joined.append(span)
    wide = [span for span in joined if span[0] > 300 and span[1] - span[0] > 100]
    left, right = wide[0]
    rows = np.flatnonzero(inked[110:, left:right].any(1)) + 110
    return picture.crop((left, int(rows[0]), right, int(rows[-1]) + 1))


def main() -> None:
    rows = -(-len(TILES) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (TILE + GAP) + GAP, rows * (TILE + LABEL + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for place, (system, told) in enumerate(TILES.items()):
        panel = panel_of(system)
        panel.thumbnail((TILE, TILE), Image.Resampling.LANCZOS)
        left = GAP + place % COLUMNS * (TILE + GAP)
        top = GAP + place // COLUMNS * (TILE + LABEL + GAP)
        sheet.paste(panel, (left + (TILE - panel.width) // 2, top + (TILE - panel.height) // 2))
        draw.text((left + TILE // 2, top + TILE + 4), told, "black", font, anchor="ma")
    sheet.quantize(128).save(Path(__file__).parent / "gallery.png", optimize=True)


if __name__ == "__main__":
    main()
