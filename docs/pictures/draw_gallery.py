"""The gallery of the README: what systems made in their proofs, cut out of the pictures that were recorded with them.

    python docs/pictures/draw_gallery.py            writes docs/pictures/gallery.png

Nothing is trained or chosen here: each tile is the left of the panel `system, seed 0` in benchmarks/proofs/results, or, of
systems whose proof shows real records or none, a part of the picture of their page.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "proofs" / "results"
PAGES = Path(__file__).parent
TILE, GAP, LABEL, HEAD, COLUMNS = 176, 12, 26, 34, 8
GALLERY = {
    "New images, from noise, a class, a tag, a few examples": {
        "dcgan": "dcgan: radiographs", "stylegan2": "stylegan2: emoji", "r3gan": "r3gan: emoji",
        "acgan": "acgan: digits by class", "infogan": "infogan: digits, no label read", "anime": "anime: faces by tags",
        "cogan": "cogan: one face, two looks", "biggan": "biggan: emoji by category", "progan": "progan: lesions",
        "fastgan": "fastgan: building fronts", "gon": "gon: digits, no G", "ternary-gan": "ternary-gan: weights of 2 bits",
        "cgan": "cgan: digits by class", "wgan-gp": "wgan-gp: 25 clusters", "lsgan": "lsgan: half a minute",
        "projected-gan": "projected-gan: unsteady",
    },
    "One look into another": {
        "pix2pix": "pix2pix: walls from maps", "pix2pixhd": "pix2pixhd: maps to streets", "spade": "spade: maps to streets",
        "cyclegan": "cyclegan: T1 to T2", "stargan": "stargan: attributes", "dtn": "dtn: digits in another look",
        "pixeldtgan": "pixeldtgan: what is worn", "discogan": "discogan: no pairs",
        "auto-painter": "auto-painter: lines, hints", "pg2": "pg2: other poses", "tp-gan": "tp-gan: side to front",
        "age-cgan": "age-cgan: other ages",
    },
    "Repair, texture, edit, find what is odd": {
        "srgan": "srgan: enlarged", "deblurgan": "deblurgan: shaken", "context-encoder": "context-encoder: holes",
        "dose-gan": "dose-gan: CT at low dose", "psgan": "psgan: textures", "icgan": "icgan: glasses on",
        "ian": "ian: repainted", "anogan": "anogan: nodules found", "semi-gan": "semi-gan: 100 labels",
        "ctgan": "ctgan: tables", "netgan": "netgan: a graph", "gan": "gan: five curves",
        "mgan": "mgan: brushwork", "perceptual-gan": "perceptual-gan: small signs", "gp-gan": "gp-gan: one light",
    },
    "Sound, music, film, words, space": {
        "wavegan": "wavegan: spoken digits", "specgan": "specgan: drums", "melgan": "melgan: voices from mel",
        "gan-tts": "gan-tts: speech from text", "midinet": "midinet: melodies", "fomm": "fomm: a still that moves",
        "vgan": "vgan: scenes that move", "gan-cls": "gan-cls: words to pictures", "stackgan": "stackgan: captions",
        "latent-gan-3d": "latent-gan-3d: furniture", "vae-gan-3d": "vae-gan-3d: from a picture",
        "patch-gan-3d": "patch-gan-3d: heads", "gan-3d": "gan-3d: furniture", "gansynth": "gansynth: notes",
        "gan-postfilter": "gan-postfilter: less dull", "deepremaster": "deepremaster: worn film",
    },
}  # fmt: skip
"""Heading -> system -> what is written below its tile."""
OF_PAGES = {
    "pixeldtgan": ("pixeldtgan.png", 60, 1.0), "latent-gan-3d": ("latent-gan-3d.png", 0, 1.0),
    "pix2pix": ("pix2pix.png", 0, 1.0), "srgan": ("srgan.png", 0, 1.0), "stargan": ("stargan.png", 0, 1.0),
    "dtn": ("dtn.png", 0, 2.4), "gan-cls": ("gan-cls.png", 0, 1.0), "deblurgan": ("deblurgan.png", 0, 1.0),
    "vae-gan-3d": ("vae-gan-3d.png", 0, 1.0),
    "pg2": ("pg2.png", 0, 1.0), "midinet": ("midinet.png", 0, 1.0),
    "gp-gan": ("gp-gan.png", 502, 1.0), "deepremaster": ("deepremaster.png", 90, 1.0), "mgan": ("mgan.jpg", 0, 1.496),
    "perceptual-gan": ("perceptual-gan.png", 150, 1.5),
    "acgan": ("acgan.png", 0, 1.0), "infogan": ("infogan.png", 0, 1.0), "anime": ("anime.png", 0, 1.5),
    "cogan": ("cogan.png", 0, 3.0), "fastgan": ("fastgan.png", 0, 1.5), "gon": ("gon.png", 0, 1.5),
    "ternary-gan": ("ternary-gan.png", 0, 1.5), "r3gan": ("r3gan.png", 0, 1.0), "progan": ("progan.png", 0, 1.5),
    "semi-gan": ("semi-gan.png", 0, 1.5),
}  # fmt: skip
"""Systems whose tile is a part of a picture beside this file: its name, where the part begins, its width by its
height."""


def panel_of(system: str) -> Image.Image:
    """The panel of the system in the picture of its proof: what lies below the second title, beyond the chart."""
    if system in OF_PAGES:
        name, left, aspect = OF_PAGES[system]
        picture = Image.open(PAGES / name).convert("RGB")
        return picture.crop((left, 0, min(picture.width, left + round(aspect * picture.height)), picture.height))
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
    panel = picture.crop((left, int(rows[0]), right, int(rows[-1]) + 1))
    if panel.width > 2 * panel.height:  # a strip: its beginning says enough
        panel = panel.crop((0, 0, 2 * panel.height, panel.height))
    return panel


def main() -> None:
    rows = sum(-(-len(own) // COLUMNS) for own in GALLERY.values())
    size = (COLUMNS * (TILE + GAP) + GAP, rows * (TILE + LABEL + GAP) + len(GALLERY) * HEAD + GAP)
    sheet = Image.new("RGB", size, "white")
    draw, font, large = ImageDraw.Draw(sheet), ImageFont.load_default(13), ImageFont.load_default(18)
    top = GAP
    for heading, tiles in GALLERY.items():
        draw.text((GAP, top + 4), heading, "black", large)
        top += HEAD
        for place, (system, told) in enumerate(tiles.items()):
            panel = panel_of(system)
            scale = TILE / max(panel.size)
            panel = panel.resize((round(scale * panel.width), round(scale * panel.height)), Image.Resampling.LANCZOS)
            left, above = GAP + place % COLUMNS * (TILE + GAP), top + place // COLUMNS * (TILE + LABEL + GAP)
            sheet.paste(panel, (left + (TILE - panel.width) // 2, above + (TILE - panel.height) // 2))
            draw.text((left + TILE // 2, above + TILE + 4), told, "black", font, anchor="ma")
        top += -(-len(tiles) // COLUMNS) * (TILE + LABEL + GAP)
    sheet.quantize(192).save(PAGES / "gallery.png", optimize=True)


if __name__ == "__main__":
    main()
