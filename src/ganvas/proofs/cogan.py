"""The proof of `cogan`: images of one latent are the same thing in the look of each class, though no two were ever paired.

Both arms draw from the same latents; without shared layers they are two GANs. A generator that ignored the class would pair
perfectly as well, so an independent classifier of real images has to find the class that was asked for.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganvas.batches import Noise
from ganvas.kinds import decode
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, distance_to_heldout, trained
from ganvas.proofs._judge import judge_of

SIDE = 32
AMONG, ROUNDS_OF = 100, 5  # images among which the partner is looked for, and how often
COMMON = {"width": 16, "batch_size": 16, "learning_rate": 5e-4, "ema_half_life": 2000.0}
PAIRED, RIGHT = 0.8, 0.85  # shares that the mark asks for
SEPARATE = 16  # layers of its own: more than there are


def arm(task: Task, changes: dict[str, Any]) -> Outcome:
    """Train, draw both classes of the same latents, and look for each image's partner among 100 of the other class."""
    path = task.folder / "two.npz"
    if not path.exists():
        images, labels = _shapes() if task.phantom else _faces(Path(task.data))
        np.savez(path, images=images, labels=labels)
    run, facts = trained(task, "cogan", COMMON | changes, data=str(path), size=str(SIDE), threads=1, precision="32")
    dataset = data_of(run)
    noise = Noise(torch.Generator().manual_seed(10_000 + task.seed))
    with torch.no_grad():
        latents = noise.normal(AMONG * ROUNDS_OF, run.system.config.latent_size)
        first, second = (decode(images, run.spec, 8) for images in run.system.average(latents, (0, 1)))
    learnt, labels = dataset.train_indices(), np.asarray(dataset.labels)
    judge = judge_of(np.asarray(dataset.values[learnt]), labels[learnt])
    right = [float((judge(images) == index).mean()) for index, images in enumerate((first, second))]
    value = float(np.mean([top_one(a, b) for a, b in zip(_parts(first), _parts(second), strict=True)]))
    mixed = np.concatenate([first[::2], second[1::2]])
    distance, _, _ = distance_to_heldout(dataset, mixed, 500)
    held = dataset.heldout_indices()
    more = {
        "right_class": right,
        "kernel_distance": distance,
        "judge_on_heldout": float((judge(dataset.values[held]) == labels[held]).mean()),
    }
    shown = np.stack([first[:12], second[:12]], 1).reshape(-1, *first.shape[1:])
    return Outcome(value, f"top-1 among {AMONG}, nearest in normalised pixels/n={len(first)}", more | facts, shown)


def _parts(images: np.ndarray) -> list[np.ndarray]:
    return np.split(images, ROUNDS_OF)


def top_one(first: np.ndarray, second: np.ndarray) -> float:
    """Share of the first images (N, H, W, C) whose own partner is the nearest of the second.

    Each side is taken without its mean image and brought to one scale: what a class has in common, a pair of glasses or a dark
    ground, is no likeness.
    """

    def ready(images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1).astype(np.float64)
        flat -= flat.mean(0)
        return flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9)

    likeness = ready(first) @ ready(second).T
    return float((likeness.argmax(1) == np.arange(len(first))).mean())


def _faces(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Drawn faces with and without glasses: images (N, 64, 64, 3) and labels; no face is in both classes."""
    from PIL import Image

    with open(folder / "avataaars.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    images = np.stack([np.asarray(Image.open(folder / row["file"]).convert("RGB")) for row in rows])
    return images, np.array([int(row["glasses"] != "none") for row in rows])


def _shapes(count: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    """Discs and squares anywhere, bright on dark in one class, dark on bright with a frame in the other; images (N, 32, 32)."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:SIDE, :SIDE]
    labels = rng.integers(0, 2, count)
    images = np.zeros((count, SIDE, SIDE), np.uint8)
    for number, label in enumerate(labels):
        top, left = rng.integers(9, SIDE - 9, 2)
        size = rng.integers(4, 8)
        down, across = np.abs(row - top), np.abs(column - left)
        thing = (down**2 + across**2 <= size**2) if rng.random() < 0.5 else (np.maximum(down, across) <= size)
        images[number] = np.where(thing, 220, 30)
        if label:
            images[number] = 255 - images[number]
            images[number][[0, 1, -1, -2]] = 0
    return images, labels


def met(rows: Sequence[Row]) -> bool:
    """With every seed: partners found, and both classes as they were asked for."""
    return all(row.values["system"] >= PAIRED and min(row.more["system"]["right_class"]) >= RIGHT for row in rows)


PROOF = Proof(
    claim="images of one latent are the same thing in the look of each class, learnt without a single pair",
    baseline="the same networks without a shared layer: two GANs that draw from the same latents, at equal images",
    metric=f"share of images whose own partner is nearest among {AMONG} of the other class (higher is better)",
    direction=HIGHER,
    mark=(
        f"with every seed at least {PAIRED:.2f}, and the class that was asked for at least {RIGHT:.2f} of the time in "
        "either class"
    ),
    met=met,
    arms={
        "system": lambda task: arm(task, {}),
        "baseline": lambda task: arm(task, {"own_generator_layers": SEPARATE, "own_discriminator_layers": SEPARATE}),
    },
    budget="900r",
    quick_budget="40r",
    phantom="chest",
    real="cartoon-faces",
    note="Without the real data, discs and squares are drawn, bright on dark and dark on bright.",
)
