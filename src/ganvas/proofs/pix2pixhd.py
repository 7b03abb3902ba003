"""The proof of `pix2pixhd`: its photographs of held-out maps are nearer to real ones than those of pix2pix, and things of one
class that touch are kept apart by the boundary map.

All arms have the same data, batches, rates, average, numbers of weights in G and time, counted in rounds so that a busy
machine gives what an idle one gives. pix2pix plays in two forms: as its preset has it today, and as the paper does. pix2pixHD
matches features of EfficientNet-lite0; the judge is EfficientNet-lite2, which takes no part in any training. Of seams the truth
is drawn: crates of one shade that stand side by side. Settings were tried with seeds of none of the runs, on training records.
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
from ganvas.proofs._perceptual import PERCEPTUAL_JUDGE, perceptual_features
from ganvas.proofs.spade import streets
from ganvas.run.load import Run

SIZE, LARGE_SIZE = "32x40", "128x160"
PACE, PAPER_PACE = 1.4, 2.8  # rounds of the baselines in the time of one of the system, measured on one core
COMMON = {"batch_size": 8, "learning_rate": 1e-3, "ema_half_life": 1000.0}
QUICKLY = {"coarse_share": 0.15, "upsampling": "resize"}
MATCHED = {"feature_weight": 1.5, "perceptual_weight": 3.0}
TODAY = {
    "norm": "batch", "dropout": 0.0, "upsampling": "resized", "discriminator_norm": False, "r1_weight": 0.3125,
    "r2_weight": 0.3125, "augment": ("translation", "cutout"), "l1_weight": 60.0,
}  # fmt: skip
"""What the preset of pix2pix takes at this size."""
PAPER = {
    "norm": "batch", "dropout": 0.0, "upsampling": "transposed", "discriminator_norm": True, "r1_weight": 0.0, "r2_weight": 0.0,
    "augment": (), "l1_weight": 100.0,
}  # fmt: skip
ARMS: dict[str, dict[str, Any]] = {
    "system": {"width": 8, "blocks": 2, "enhancer_blocks": 1, "discriminator_width": 16, "patch_depth": 1, "scales": 2}
    | QUICKLY
    | MATCHED,
    "baseline": {"width": 28} | TODAY,
    "paper": {"width": 24} | PAPER,
}
LARGE: dict[str, dict[str, Any]] = {
    "system": {"width": 16, "blocks": 5, "learning_rate": 2e-4, "coarse_share": 0.3, "upsampling": "resize"} | MATCHED,
    "baseline": {"width": 92, "learning_rate": 2e-4} | TODAY | {"r1_weight": 5.0, "r2_weight": 5.0},
    "paper": {"width": 80, "learning_rate": 2e-4} | PAPER,
}
SEAM_ROUNDS = 200
SEAMS = {
    "width": 4, "blocks": 1, "enhancer_blocks": 1, "discriminator_width": 8, "scales": 2, "instance_base": 100,
    "feature_weight": 5.0, "perceptual_weight": 0.0,
} | QUICKLY  # fmt: skip
BASE = 100  # crate k of a map is of the value 100 + k
SHOWN = 36  # made photographs alone: real ones are no part of the project


def arm(task: Task, name: str, pace: float = 1.0) -> Outcome:
    """Train, translate every held-out map, and compare with held-out photographs. name: of ARMS."""
    system = "pix2pixhd" if name == "system" else "pix2pix"
    rounds = round(pace * int(task.budget.removesuffix("r")))
    source = str(streets(task.folder / "streets")) if task.phantom else task.data
    config = COMMON | (LARGE if task.large else ARMS)[name]
    own = replace(task, budget=f"{rounds}r")
    run, facts = trained(own, system, config, data=source, size=LARGE_SIZE if task.large else SIZE, threads=1, precision="32")
    dataset = data_of(run)
    maps, photos, held = dataset.fields["map"], dataset.fields["photo"], dataset.heldout_indices()
    images, true = translated(run, np.asarray(maps.values[held])), np.asarray(photos.values[held])
    value, protocol, more = distance_to_heldout(dataset, images, 1000, (PERCEPTUAL_JUDGE, perceptual_features))
    more |= {
        "l1": float(np.abs(images.astype(float) - true).mean() / 127.5),
        "weights of G": sum(part.numel() for part in run.system.generator.parameters()),
    }
    if system == "pix2pixhd":
        more |= {"seams": seams(task, boundaries=True), "seams without boundaries": seams(task, boundaries=False)}
    return Outcome(value, protocol, more | facts, images[:: max(1, len(images) // SHOWN)][:SHOWN])


def translated(run: Run, given: np.ndarray) -> np.ndarray:
    """Images (N, H, W, C) uint8 of maps (N, H, W) of indices."""
    photos, labels = run.system.spec["photo"], run.system.spec["map"]
    device = next(run.system.parameters()).device
    noise, made = Noise.seeded(10_000, device), []
    with torch.no_grad():
        for rows in np.array_split(given, len(given) // 16 + 1):
            made.append(decode(run.system.translate(encode(rows, labels).to(device), None, noise), photos, 8))
    return np.concatenate(made)


def seams(task: Task, boundaries: bool) -> float:
    """How dark the seams between crates are that touch, as a share of the true contrast, after a short training on them."""
    things, true, made = crates_drawn(task, boundaries)
    return contrast(made, things) / contrast(true, things)


def crates_drawn(task: Task, boundaries: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Held-out maps of crates (N, H, W), as values of the files; the true images (N, H, W, C), and those that are made."""
    folder = task.folder / f"crates-{boundaries}".lower()
    source = crates(folder / "set")
    own = replace(task, folder=folder, budget=f"{20 if task.quick else SEAM_ROUNDS}r")
    config = COMMON | SEAMS | {"boundaries": boundaries}
    run, _ = trained(own, "pix2pixhd", config, data=str(source), threads=1, precision="32")
    dataset = data_of(run)
    maps, held = dataset.fields["map"], dataset.heldout_indices()
    given, true = np.asarray(maps.values[held]), np.asarray(dataset.fields["photo"].values[held])
    return np.asarray(maps.spec.values)[given], true, translated(run, given)


def between(things: np.ndarray) -> np.ndarray:
    """Where (N, H, W) a crate touches another one, for values (N, H, W) of maps."""
    found = np.zeros(things.shape, bool)
    touch = (things[..., 1:] != things[..., :-1]) & (things[..., 1:] >= BASE) & (things[..., :-1] >= BASE)
    found[..., 1:] |= touch
    found[..., :-1] |= touch
    return found


def contrast(images: np.ndarray, things: np.ndarray) -> float:
    """By how much seams between crates are darker than the crates: images (N, H, W, C) of values (N, H, W)."""
    seam, shade = between(things), images.astype(float).mean(-1)
    return float(shade[(things >= BASE) & ~seam].mean() - shade[seam].mean())


def crates(folder: Path, count: int = 160, side: int = 32) -> Path:
    """Maps of crates that stand side by side, each with a number of its own, and pictures of them: all of one shade, with
    grain, and a dark seam where two touch. Where they touch no map of classes tells."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for kind in ("map", "photo"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        things = np.zeros((side, side), np.int64)
        left, floor = int(rng.integers(0, 5)), side - int(rng.integers(2, 8))
        top = floor - int(rng.integers(10, 18))
        for own in range(int(rng.integers(2, 6))):
            right = left + int(rng.integers(5, 11))
            things[top:floor, left:right] = BASE + own
            left = right
        grain = rng.integers(-15, 16, things.shape) + rng.integers(-15, 16)
        shade = np.where(between(things), 60, np.where(things >= BASE, 170, 110)) + grain
        Image.fromarray(things.astype(np.uint8)).save(folder / "map" / f"{number:03d}.png")
        Image.fromarray(shade.clip(0, 255).astype(np.uint8)).save(folder / "photo" / f"{number:03d}.png")
    return folder


SEAMS_KEPT, SEAMS_LOST = 0.7, 0.4  # of the true contrast, with the boundary map and without


def met(rows: Sequence[Row]) -> bool:
    """With every seed: nearer to photographs than both forms, and seams are there with the boundary map alone."""
    return all(
        row.values["system"] < min(row.values["baseline"], row.values["paper"])
        and row.more["system"]["seams"] >= SEAMS_KEPT
        and row.more["system"]["seams without boundaries"] <= SEAMS_LOST
        for row in rows
    )


PROOF = Proof(
    claim="photographs drawn from coarse to fine are nearer to real ones, and things of one class that touch are kept apart",
    baseline="pix2pix with as many weights in G, at equal time",
    metric="kernel distance of translated held-out maps to held-out photographs (lower is better)",
    direction=LOWER,
    mark="with every seed a lower distance, also than that of the paper's form of pix2pix; and on drawn crates that touch, at "
    "least 0.7 of the true contrast of their seams with the boundary map, at most 0.4 without",
    met=met,
    arms={
        "system": lambda task: arm(task, "system"),
        "baseline": lambda task: arm(task, "baseline", PACE),
        "paper": lambda task: arm(task, "paper", PAPER_PACE),
    },
    budget="480r",
    quick_budget="40r",
    large_budget="6000r",
    phantom="brain",
    real="street-scenes",
    seeds=5,
    note="Without the real data, streets are drawn, whose grain and light no map tells.",
)
