"""Emoji by category, and shapes that are drawn where they are not at hand, for proofs about drawings and their classes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError

FEWEST, MOST = 60, 200  # emoji of a category
HELD = 5  # one drawing in so many is never learnt from
SIDE_OF_SHAPES = 32
HELDOUT = 0.2  # of the emoji of both houses, by caption


@dataclass
class Drawings:
    """images (N, H, W, 3) uint8; of each its category, who drew it, what it shows, and whether it is kept for comparison."""

    images: np.ndarray
    category: np.ndarray
    house: np.ndarray
    code: np.ndarray
    aside: np.ndarray


def emoji(folder: Path) -> Drawings:
    """Emoji of 64 pixels by two houses, without those that differ in the tone of the skin alone. One that is held out is so in
    both houses."""
    from PIL import Image

    with open(folder / "captions.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["skin_tone"]]
    rng = np.random.default_rng(0)
    images, told = [], []
    for name in sorted({row["category"] for row in rows}):
        codes = [row["code"] for row in rows if row["category"] == name]
        if len(codes) < FEWEST:
            continue
        for place, code in enumerate(rng.permutation(codes)[:MOST]):
            for house in ("google", "twitter"):
                with Image.open(folder / house / f"{code}.png") as opened:
                    images.append(np.asarray(opened.convert("RGB")))
                told.append((name, house, str(code), place % HELD == 0))
    category, house_of, code_of, aside = (np.array(column) for column in zip(*told, strict=True))
    return Drawings(np.stack(images), category, house_of, code_of, aside)


def houses(source: Path, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both drawings (N, side, side, 3) of every emoji, google's and twitter's, its kind, its part: 0 held out, 1 trained as
    google's, 2 as twitter's.

    An emoji in all its skin tones is one: it has one caption, and goes to one part.
    """
    from ..data import open_data
    from ..data.finding import files_of
    from ..kinds import kind_of

    dataset = open_data(source, size=side, progress=False)
    assert dataset.labels is not None
    names = [Path(name).name for name in files_of(source, kind_of("image")).names]
    half = len(names) // 2
    if dataset.spec.classes != ("google", "twitter") or len(dataset) != len(names) or names[:half] != names[half:]:
        raise DataError(f"{source}: the folders google and twitter must hold the same file names, all of them readable")
    with (source / "captions.csv").open(newline="", encoding="utf-8") as stream:
        captions = {f"{row['code']}.png": row["caption"] for row in csv.DictReader(stream)}
    kinds, of = np.unique([captions.get(name, name) for name in names[:half]], return_inverse=True)
    place = np.random.default_rng(0).permutation(len(kinds))[of] / len(kinds)
    part = np.digitize(place, [HELDOUT, (1 + HELDOUT) / 2])
    return dataset.values[:half], dataset.values[half:], of, part


def shapes(count: int = 1500) -> Drawings:
    """Discs, squares, crosses, rings and bars of any colour, place and size on white, of 32 pixels; the category is which."""
    rng = np.random.default_rng(0)
    names = ["bar", "cross", "disc", "ring", "square"]
    row, column = np.mgrid[:SIDE_OF_SHAPES, :SIDE_OF_SHAPES]
    labels = rng.integers(0, len(names), count)
    images = np.full((count, SIDE_OF_SHAPES, SIDE_OF_SHAPES, 3), 255, np.uint8)
    for place, label in enumerate(labels):
        (top, left), size = rng.integers(11, SIDE_OF_SHAPES - 11, 2), rng.integers(5, 10)
        down, across = np.abs(row - top), np.abs(column - left)
        far, wide = np.hypot(down, across), np.maximum(down, across)
        thin = size // 3
        inside = {
            "disc": far <= size, "ring": (far <= size) & (far >= size - 2), "square": wide <= size,
            "bar": (wide <= size) & (down <= thin), "cross": (wide <= size) & (np.minimum(down, across) <= thin),
        }[names[label]]  # fmt: skip
        images[place][inside] = rng.integers(0, 200, 3)
    number = np.arange(count)
    return Drawings(images, np.array(names)[labels], np.array(["drawn"] * count), number, number % HELD == 0)
