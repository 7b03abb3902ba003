"""The proof of `pix2pix`: with the discriminator, translated maps are nearer to photographs than with L1 alone.

Both arms have the same U-Net, data and time, counted in rounds so that a busy machine gives what an idle one gives. The judge,
EfficientNet-lite0's features, takes no part in any training. Settings were tried with a seed of none of the runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganvas.batches import Noise
from ganvas.kinds import decode, encode
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, distance_to_heldout, trained

SIDE = 64
PACE = 2.1  # rounds of L1 alone in the time of one with the discriminator, measured on one core
COMMON: dict[str, Any] = {
    "width": 16, "batch_size": 4, "norm": "batch", "upsampling": "resized", "discriminator_norm": False, "r1_weight": 1.0,
    "r2_weight": 1.0, "augment": ("translation", "cutout"), "l1_weight": 100.0, "dropout": 0.0, "learning_rate": 1e-3,
    "ema_half_life": 500.0,
}  # fmt: skip
"""The form of `auto` for minutes, with the paper's weight of L1."""
LARGE_SIDE = 128
LARGE: dict[str, Any] = COMMON | {
    "width": 64, "batch_size": 8, "r1_weight": 4.0, "r2_weight": 4.0, "dropout": 0.5, "learning_rate": 2e-4,
    "ema_half_life": 0.0,
}  # fmt: skip
"""The paper's width, dropout and rate."""
MOST_L1 = 1.15  # of the baseline's L1
SHOWN = 6


def arm(task: Task, config: dict[str, Any], pace: float = 1.0) -> Outcome:
    """Train, translate every held-out map, and compare with the photographs that belong to them. pace: times the rounds."""
    task = replace(task, budget=f"{round(pace * int(task.budget.removesuffix('r')))}r")
    source = str(_walls(task.folder / "walls")) if task.phantom else task.data
    common, side = (LARGE, LARGE_SIDE) if task.large else (COMMON, SIDE)
    run, facts = trained(task, "pix2pix", common | config, data=source, size=str(side), threads=1, precision="32")
    dataset = data_of(run)
    maps, photos, held = dataset.fields["map"], dataset.fields["photo"], dataset.heldout_indices()
    noise = Noise(torch.Generator().manual_seed(10_000 + task.seed))
    made = []
    with torch.no_grad():
        for rows in np.array_split(held, max(1, len(held) // 16)):
            given = encode(np.asarray(maps.values[rows]), maps.spec)
            made.append(decode(run.system.translate(given, None, noise), photos.spec, 8))
    images, true = np.concatenate(made), np.asarray(photos.values[held])
    value, protocol, more = distance_to_heldout(dataset, images, 1000)
    more |= {"l1": float(np.abs(images.astype(float) - true).mean() / 127.5), "sharpness": sharpness(images) / sharpness(true)}
    shown = np.stack([images[:SHOWN], true[:SHOWN]], 1)
    return Outcome(value, protocol, more | facts, shown.reshape(-1, *shown.shape[2:]))


def sharpness(images: np.ndarray) -> float:
    """Mean difference between neighbours of images (N, H, W, C)."""
    pixels = images.astype(np.float64)
    return float((np.abs(np.diff(pixels, axis=1)).mean() + np.abs(np.diff(pixels, axis=2)).mean()) / 2)


def _walls(folder: Path, count: int = 160) -> Path:
    """Maps of a wall with windows, and photographs of it: bricks of any shade, whose joints the map does not tell."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for kind in ("map", "photo"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        labels = np.zeros((SIDE, SIDE), np.uint8)
        for _ in range(rng.integers(2, 6)):
            top, left = rng.integers(4, SIDE - 20, 2)
            labels[top : top + rng.integers(8, 16), left : left + rng.integers(6, 14)] = 1
        row, column = np.mgrid[:SIDE, :SIDE]
        joints = (row % 6 == 0) | ((column + 5 * (row // 6 % 2)) % 10 == 0)
        wall = np.where(joints, 200, 120) + rng.integers(-25, 26, (SIDE, SIDE)) + rng.integers(-20, 21)
        grey = np.where(labels == 1, 50 + rng.integers(0, 15, (SIDE, SIDE)), wall).clip(0, 255).astype(np.uint8)
        Image.fromarray(labels * 255).save(folder / "map" / f"{number:03d}.png")
        Image.fromarray(np.stack([grey, (grey * 0.8).astype(np.uint8), (grey * 0.7).astype(np.uint8)], 2)).save(
            folder / "photo" / f"{number:03d}.png"
        )
    return folder


def met(rows: Sequence[Row]) -> bool:
    """With every seed: nearer to photographs, and L1 not much larger."""
    return all(
        row.values["system"] < row.values["baseline"] and row.more["system"]["l1"] <= MOST_L1 * row.more["baseline"]["l1"]
        for row in rows
    )


PROOF = Proof(
    claim="a discriminator that sees map and photograph makes translations that are nearer to photographs than L1 alone does",
    baseline="the same U-Net trained with L1 alone, at equal time (2.1 times the rounds)",
    metric="kernel distance of translated held-out maps to held-out photographs (lower is better)",
    direction=LOWER,
    mark="with every seed a lower distance, at an L1 of at most 1.15 times the baseline's",
    met=met,
    arms={
        "system": lambda task: arm(task, {}),
        "baseline": lambda task: arm(task, {"adversarial_weight": 0.0}, PACE),
    },
    budget="2000r",
    quick_budget="150r",
    large_budget="6000r",
    phantom="brain",
    real="facades",
    seeds=5,
    note="Without the real data, walls of bricks are drawn, whose joints no map tells.",
)
