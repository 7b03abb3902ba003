"""The pictures of docs/systems/cyclegan.md, and the paintings that one of them is learnt from.

    python docs/pictures/draw_translations.py paint PHOTOS OUT          photographs and paintings, a folder each
    python docs/pictures/draw_translations.py sheet OUT.png DIR DIR...  the same files of each folder, one row a folder

No painter's work is at hand, so paintings are photographs (others than those beside them) redrawn by the algorithm of Hertzmann
1998, "Painterly Rendering with Curved Brush Strokes of Multiple Sizes" (SIGGRAPH): layers from coarse to fine, in each of
which, where the canvas differs from the blurred photograph, curved strokes of one colour follow lines of equal brightness.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

SIDE = 512  # longest, of photographs and paintings
RADII = (8, 4, 2)  # of the brushes, in pixels
DIFFERENT = 0.07  # mean difference of the canvas (colours in 0 .. 1) from which a place is painted over
SHORTEST, LONGEST = 3, 12  # steps of a stroke, each as long as the brush's radius
CURVED = 0.8  # how much of a new direction is followed


def painted(photo: np.ndarray, seed: int) -> np.ndarray:
    """Photograph (H, W, 3) uint8 -> the painting, of the same shape."""
    source = photo.astype(np.float32) / 255
    canvas = Image.new("RGB", photo.shape[1::-1], tuple(int(v) for v in photo.reshape(-1, 3).mean(0)))
    rng = np.random.default_rng(seed)
    for radius in RADII:
        wanted = ndimage.gaussian_filter(source, (radius / 2, radius / 2, 0))
        painted_so_far = np.asarray(canvas, dtype=np.float32) / 255
        difference = np.abs(painted_so_far - wanted).mean(2)
        brightness = wanted @ np.array([0.30, 0.59, 0.11], np.float32)
        slope = ndimage.sobel(brightness, 1), ndimage.sobel(brightness, 0)
        starts = []
        for top in range(0, photo.shape[0], radius):
            for left in range(0, photo.shape[1], radius):
                place = difference[top : top + radius, left : left + radius]
                if place.mean() > DIFFERENT:
                    row, column = np.unravel_index(place.argmax(), place.shape)
                    starts.append((left + int(column), top + int(row)))
        brush = ImageDraw.Draw(canvas)
        for index in rng.permutation(len(starts)):
            points = stroke(starts[index], wanted, painted_so_far, slope, radius)
            x, y = starts[index]
            colour = tuple(int(v) for v in np.clip(255 * wanted[y, x] + rng.normal(0, 4), 0, 255))
            if len(points) > 1:
                brush.line(points, fill=colour, width=2 * radius, joint="curve")
            for x, y in (points[0], points[-1]):
                brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return np.asarray(canvas)


def stroke(
    start: tuple[int, int], wanted: np.ndarray, canvas: np.ndarray, slope: tuple[np.ndarray, np.ndarray], radius: int
) -> list[tuple[float, float]]:
    """Points (x, y) of a curved stroke: across the slope, until its colour fits worse than what is there."""
    height, width = wanted.shape[:2]
    x, y = float(start[0]), float(start[1])
    colour, points = wanted[start[1], start[0]], [(x, y)]
    before = (0.0, 0.0)
    for step in range(1, LONGEST + 1):
        row, column = int(y), int(x)
        here = wanted[row, column]
        if step > SHORTEST and np.abs(here - canvas[row, column]).sum() < np.abs(here - colour).sum():
            break
        right, down = -float(slope[1][row, column]), float(slope[0][row, column])
        if right * before[0] + down * before[1] < 0:
            right, down = -right, -down
        right, down = (CURVED * new + (1 - CURVED) * old for new, old in zip((right, down), before, strict=True))
        length = (right * right + down * down) ** 0.5
        if length < 1e-4:
            break
        before = right / length, down / length
        x, y = x + radius * before[0], y + radius * before[1]
        if not (0 <= x < width and 0 <= y < height):
            break
        points.append((x, y))
    return points


def paint(photos: Path, out: Path) -> None:
    """Every other photograph into out/photo, the rest, redrawn, into out/painting."""
    for place, path in enumerate(sorted(photos.glob("*.jpg"))):
        image = Image.open(path).convert("RGB")
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        target = out / ("painting" if place % 2 else "photo")
        target.mkdir(parents=True, exist_ok=True)
        pixels = painted(np.asarray(image), place) if place % 2 else np.asarray(image)
        Image.fromarray(pixels).save(target / f"{path.stem}.png")


def sheet(out: Path, folders: list[Path], height: int = 160, columns: int = 5) -> None:
    """Rows of the files that all folders hold, at one height."""
    names = sorted(set.intersection(*({p.stem for p in folder.glob("*.*")} for folder in folders)))[:columns]
    rows = []
    for folder in folders:
        images = [Image.open(next(folder.glob(f"{name}.*"))).convert("RGB") for name in names]
        scaled = [i.resize((round(i.width * height / i.height), height), Image.Resampling.LANCZOS) for i in images]
        rows.append(np.concatenate([np.pad(np.asarray(i), ((2, 2), (2, 2), (0, 0)), constant_values=255) for i in scaled], 1))
    Image.fromarray(np.concatenate(rows, 0)).save(out, quality=88)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="pictures of the page on cyclegan")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("paint", help="photographs and paintings, a folder each")
    making.add_argument("photos", type=Path)
    making.add_argument("out", type=Path)
    showing = commands.add_parser("sheet", help="the same files of several folders, one row a folder")
    showing.add_argument("out", type=Path)
    showing.add_argument("folders", type=Path, nargs="+")
    given = parser.parse_args()
    if given.command == "paint":
        paint(given.photos, given.out)
    else:
        sheet(given.out, given.folders)
