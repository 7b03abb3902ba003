"""How close the image phantoms come to real images, and how fast they are drawn.

For `chest` (against radiographs) and `brain` (against head MR slices): the kernel distance at 64x64 between phantom images and
the real train part, beside that of a plain ellipse phantom (two dark ellipses on a bright one, with blur and noise) and that
of the real held-out part, which is the floor. Aim: at most half of the plain phantom's. Speed is images at 64x64 for a second
of processor time, summed over threads, the median of five runs after a first one. Aim for the chest: at least 300.

    python benchmarks/phantoms.py --data ../shared/data --out benchmarks/results/phantoms.json

--data names a folder with `chest-xray/groups.csv` and `brain-mr/groups.csv` (columns file, group, split) and the images they
list. With --pictures, a sheet of real and drawn images goes into the folder it names, and nowhere else.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganvas.data.phantoms import make_phantom
from ganvas.doctor import machine
from ganvas.metrics import feature_protocol, image_features, kernel_distance

SIDE = 64
FOLDERS = {"chest": "chest-xray", "brain": "brain-mr"}


def plain_ellipses(n: int, seed: int, side: int = SIDE) -> np.ndarray:
    """(n, side, side, 1) uint8: the phantom a newcomer draws, two dark ellipses on a bright one, smoothed, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side].astype(np.float32) / side - 0.5
    images = np.empty((n, side, side, 1), np.uint8)

    def ellipse(cx: float, cy: float, width: float, height: float) -> np.ndarray:
        return ((x - cx) / width) ** 2 + ((y - cy) / height) ** 2 < 1

    for image in images:
        body = ellipse(0, rng.uniform(0, 0.1), rng.uniform(0.4, 0.5), rng.uniform(0.45, 0.55))
        drawn = np.where(body, rng.uniform(0.6, 0.9), rng.uniform(0, 0.1))
        width, height = rng.uniform(0.1, 0.16), rng.uniform(0.2, 0.3)
        apart, level = rng.uniform(0.16, 0.22), rng.uniform(-0.1, 0.05)
        drawn[ellipse(-apart, level, width, height) | ellipse(apart, level, width, height)] = rng.uniform(0.15, 0.45)
        for _ in range(2):
            p = np.pad(drawn, 1, mode="edge")
            drawn = (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] + p[1:-1, 1:-1]) / 5
        drawn += rng.normal(0, 0.02, drawn.shape)
        image[..., 0] = np.clip(drawn, 0, 1) * 255
    return images


def real_images(folder: Path, split: str) -> np.ndarray:
    """(N, H, W, 1) uint8: the images of one part of a set, all of the same size."""
    with (folder / "groups.csv").open(newline="") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == split]
    return np.stack([np.asarray(Image.open(folder / name).convert("L")) for name in names])[..., None]


def speed(phantom: str) -> float:
    """Images for a second of processor time."""
    make_phantom(phantom, 64, seed=1, size=SIDE)
    rates = []
    for seed in range(2, 7):
        start = time.process_time()
        make_phantom(phantom, 256, seed=seed, size=SIDE)
        rates.append(256 / (time.process_time() - start))
    return statistics.median(rates)


def measure(phantom: str, folder: Path, n: int, seeds: int, pictures: Path | None) -> dict[str, Any]:
    reference = real_images(folder, "train")
    features = image_features(reference, size=SIDE)
    told: dict[str, Any] = {"reference": folder.name, "real": len(reference), "n": n, "features": feature_protocol(SIDE)}

    def distance(images: np.ndarray) -> float:
        made = image_features(images, size=SIDE)
        return kernel_distance(made, features, intervals=False).value

    told["heldout"] = distance(real_images(folder, "development-heldout"))
    for name, draw in (
        ("plain", plain_ellipses),
        ("phantom", lambda n, seed: make_phantom(phantom, n, seed=seed, size=SIDE).values),
    ):
        values = [distance(draw(n, seed)) for seed in range(seeds)]
        told[name] = {"values": values, "median": statistics.median(values)}
    told["ratio"] = told["phantom"]["median"] / told["plain"]["median"]
    told["images_per_second"] = speed(phantom)
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        sheet(reference, make_phantom(phantom, 24, size=SIDE).values).save(pictures / f"{phantom}.png")
    return told


def sheet(reference: np.ndarray, drawn: np.ndarray) -> Image.Image:
    """Three rows of eight real images, then three of the phantom's, four times as large."""
    chosen = np.random.default_rng(0).permutation(len(reference))[:24]
    real = [np.asarray(Image.fromarray(reference[k, ..., 0]).resize((SIDE, SIDE), Image.Resampling.BOX)) for k in chosen]
    rows = [np.concatenate(part[k : k + 8], axis=1) for part in (real, list(drawn[..., 0])) for k in (0, 8, 16)]
    whole = Image.fromarray(np.concatenate(rows, axis=0))
    return whole.resize((whole.width * 4, whole.height * 4), Image.Resampling.BICUBIC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--phantoms", nargs="+", choices=sorted(FOLDERS), default=sorted(FOLDERS, reverse=True))
    parser.add_argument("-n", type=int, default=600, help="images of each phantom and seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": machine()}
    for phantom in options.phantoms:
        results[phantom] = measure(phantom, options.data / FOLDERS[phantom], options.n, options.seeds, options.pictures)
        print(phantom, json.dumps(results[phantom]))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
