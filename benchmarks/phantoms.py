"""How near the chest and brain phantoms are to real pictures, beside plain ellipses, and how fast they are made.

    python benchmarks/phantoms.py --data ROOT --out phantoms.json [--pictures FOLDER] [--n 600]

ROOT holds `chest-xray/` and `brain-mr/`, each with class folders of pictures and a `groups.csv` (file, group, split);
pictures of the `train` split are the reference. Everything is compared at 64x64 by the kernel distance of
`ganvas.metrics` (the protocol stands beside each number). Ellipses are the baseline: the outlines that a quick
hand-made phantom has, with sizes and grey values that vary. The claim is a phantom at most half as far as they are.

Speed is processor time of one thread. FOLDER gets real pictures beside made ones to look at: keep it to yourself.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from PIL import Image

SIZE = 64
FOLDERS = {"chest": "chest-xray", "brain": "brain-mr"}
LARGEST_RATIO = 0.5
LEAST_SPEED = {"chest": 300.0}  # images a second at 64x64 on one core


def read_real(folder: Path, split: str) -> np.ndarray:
    """Grey pictures (N, H, W) uint8 of one split of `groups.csv`."""
    with open(folder / "groups.csv", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == split]
    pictures = []
    for name in names:
        with Image.open(folder / name) as image:
            pictures.append(np.asarray(image.convert("L")))
    return np.stack(pictures)


def ellipses(kind: str, n: int, seed: int) -> np.ndarray:
    """Plain ellipses (N, 64, 64) uint8. Chest: trunk, two lungs, heart. Brain: scalp, skull, brain, two ventricles."""
    rng = np.random.default_rng(seed)
    side = (np.arange(2 * SIZE) + 0.5) / SIZE - 1
    x, y = side[None], side[:, None]
    made = np.zeros((n, 2 * SIZE, 2 * SIZE), np.float32)
    for image in made:

        def draw(cx: float, cy: float, a: float, b: float, grey: float, image: np.ndarray = image) -> None:
            image[((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1] = grey

        u = rng.uniform
        dx, dy = rng.normal(0, 0.05, 2)
        if kind == "chest":
            body, lung = u(0.6, 0.95), u(0.25, 0.5)
            draw(dx, 0.15 + dy, u(0.85, 1.0), u(1.0, 1.3), body)
            for sign in (-1, 1):
                draw(dx + sign * u(0.38, 0.46), -0.05 + dy, u(0.24, 0.32), u(0.5, 0.65), lung)
            draw(dx + u(0.08, 0.18), 0.25 + dy, u(0.25, 0.38), u(0.25, 0.35), body * u(0.9, 1.0))
        else:
            a, b = u(0.6, 0.75), u(0.72, 0.9)
            draw(dx, dy, a, b, u(0.5, 1.0))
            draw(dx, dy, a - 0.07, b - 0.07, 0.03)
            draw(dx, dy, a - 0.13, b - 0.13, u(0.2, 0.6))
            ventricle = u(0.02, 0.2) if rng.random() < 0.7 else u(0.7, 1.0)
            for sign in (-1, 1):
                draw(dx + sign * u(0.07, 0.13), dy - 0.05, u(0.04, 0.09), u(0.15, 0.28), ventricle)
    made = made.reshape(n, SIZE, 2, SIZE, 2).mean((2, 4))
    made += rng.normal(0, 0.02, made.shape)
    return np.rint(made.clip(0, 1) * 255).astype(np.uint8)


def side_by_side(real: np.ndarray, made: np.ndarray, path: Path, seed: int) -> None:
    """48 real pictures on the left, 48 made ones on the right, at four times their size."""
    rng = np.random.default_rng(seed)
    sheets = []
    for pictures in (real, made):
        chosen = pictures[rng.permutation(len(pictures))[:48]]
        tiles = [np.asarray(Image.fromarray(p).resize((SIZE, SIZE), Image.Resampling.LANCZOS)) for p in chosen]
        rows = [np.hstack([np.pad(tile, 1) for tile in tiles[i : i + 6]]) for i in range(0, 48, 6)]
        sheets.append(np.vstack(rows))
    sheet = np.hstack([sheets[0], np.full((len(sheets[0]), 6), 255, np.uint8), sheets[1]])
    image = Image.fromarray(sheet)
    image.resize((image.width * 4, image.height * 4), Image.Resampling.NEAREST).save(path)


def measure(kind: str, root: Path, n: int, pictures: Path | None) -> dict:
    """Distances of phantom, ellipses and held-out pictures to the real `train` split, and the speed."""
    from ganvas.data.phantoms import make_phantom
    from ganvas.metrics.features import feature_protocol, image_features
    from ganvas.metrics.kernel import kernel_distance

    folder = root / FOLDERS[kind]
    real, heldout = read_real(folder, "train"), read_real(folder, "development-heldout")
    make_phantom(kind, 20, 1, size=SIZE)  # tables that are made once
    speeds = []
    for seed in range(3):
        start = time.process_time()
        made = make_phantom(kind, n, seed, size=SIZE)
        speeds.append(n / (time.process_time() - start))
    reference = image_features(real, size=SIZE)
    results = {}
    protocol = ""
    for name, images in (
        ("phantom", made.values[..., 0]),
        ("ellipses", ellipses(kind, n, 2)),
        ("real held-out", heldout),
    ):
        distance = kernel_distance(
            image_features(images, size=SIZE), reference, features=feature_protocol(SIZE), reference="train"
        )
        results[name] = {"value": distance.value, "low": distance.low, "high": distance.high, "protocol": distance.protocol}
        protocol = distance.protocol
        print(f"{kind:6} {name:14} {distance}", flush=True)
    ratio = results["phantom"]["value"] / results["ellipses"]["value"]
    speed = float(np.median(speeds))
    print(f"{kind:6} ratio {ratio:.3f} (at most {LARGEST_RATIO}), {speed:.0f} images/s on one core, {protocol.split('/n=')[0]}")
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        side_by_side(real, made.values[..., 0], pictures / f"{kind}-beside-real.png", 0)
    return {
        "distances": results,
        "ratio": ratio,
        "largest_ratio": LARGEST_RATIO,
        "images_per_second": speed,
        "least_images_per_second": LEAST_SPEED.get(kind),
        "passed": ratio <= LARGEST_RATIO and speed >= LEAST_SPEED.get(kind, 0.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with chest-xray/ and brain-mr/")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the figures")
    parser.add_argument("--pictures", type=Path, help="folder for real beside made pictures (not to be shared)")
    parser.add_argument("--n", type=int, default=600, help="pictures made of each kind")
    options = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    figures = {kind: measure(kind, options.data, options.n, options.pictures) for kind in FOLDERS}
    figures["command"] = f"python benchmarks/phantoms.py --data ROOT --out {options.out.name} --n {options.n}"
    figures["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
