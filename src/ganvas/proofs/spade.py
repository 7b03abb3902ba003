"""The proof of `spade`: photographs made of street maps show what the maps say, more than those of pix2pixHD's generator do.

Both arms have the same discriminators, losses, rates, data, numbers of weights in G (811 and 792 thousand) and time, counted in
rounds so that a busy machine gives what an idle one gives. The judge, a small segmenter taught on real photographs of
the training part, takes no part in any training. Settings were tried with a seed of none of the runs, on training records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganvas.batches import Noise
from ganvas.kinds import decode, encode
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, distance_to_heldout, trained
from ganvas.proofs._judge import overlap, segmenter_of

SIZE, LARGE_SIZE = (64, 80), (96, 128)
DRAWN = (32, 40)  # without real data
PACE = 1.8  # rounds of the baseline in the time of one of spade, measured on one core
COMMON = {
    "discriminator_width": 16, "generator_learning_rate": 1e-3, "discriminator_learning_rate": 1e-3, "ema_half_life": 500.0,
    "batch_size": 4,
}  # fmt: skip
ARMS: dict[str, dict[str, Any]] = {
    "system": {"width": 8, "modulation_width": 16, "latent_size": 32},
    "baseline": {"generator": "encoder-decoder", "width": 8, "blocks": 2},
}
LARGE: dict[str, dict[str, Any]] = {
    "system": {"width": 32, "modulation_width": 64, "latent_size": 128},
    "baseline": {"generator": "encoder-decoder", "width": 24, "blocks": 5},
}
LARGE_COMMON = COMMON | {
    "discriminator_width": 64, "generator_learning_rate": 2e-4, "discriminator_learning_rate": 8e-4, "batch_size": 8,
}  # fmt: skip
UNIFORM = 0.02  # classes with at least this share of all pixels are shown as uniform maps
STYLES = 6
SHOWN = 36  # made photographs alone: real ones are no part of the project
_judges: dict[str, Callable[[np.ndarray], np.ndarray]] = {}


def arm(task: Task, name: str, pace: float = 1.0) -> Outcome:
    """Train, translate every held-out map and uniform ones, and ask the segmenter what the results show."""
    task = replace(task, budget=f"{round(pace * int(task.budget.removesuffix('r')))}r")
    source = str(streets(task.folder / "streets")) if task.phantom else task.data
    height, width = LARGE_SIZE if task.large else DRAWN if task.phantom else SIZE
    config = LARGE_COMMON | LARGE[name] if task.large else COMMON | ARMS[name]
    run, facts = trained(task, "spade", config, data=source, size=f"{height}x{width}", threads=1, precision="32")
    dataset = data_of(run)
    maps, photos, held = dataset.fields["map"], dataset.fields["photo"], dataset.heldout_indices()
    classes = len(maps.spec.names)
    ignored = maps.spec.names.index("unlabelled") if "unlabelled" in maps.spec.names else None
    if dataset.fingerprint not in _judges:
        known = dataset.train_indices()
        _judges[dataset.fingerprint] = segmenter_of(np.asarray(photos.values[known]), np.asarray(maps.values[known]), classes)
    judge = _judges[dataset.fingerprint]
    device = next(run.system.parameters()).device
    noise = Noise.seeded(10_000 + task.seed, device)

    def made_of(given: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            pieces = [
                run.system.translate(encode(own, maps.spec).to(device), None, noise)
                for own in np.array_split(given, len(given) // 16 + 1)
            ]
        return np.concatenate([decode(piece, photos.spec, 8) for piece in pieces])

    given, true = np.asarray(maps.values[held]), np.asarray(photos.values[held])
    images = made_of(given)
    value, accuracy = overlap(judge(images), given, classes, ignored)
    ceiling, _ = overlap(judge(true), given, classes, ignored)
    usual = [k for k in range(classes) if k != ignored and (given == k).mean() >= UNIFORM]
    kept = [float((judge(made_of(np.full((8, height, width), k, np.uint8))) == k).mean()) for k in usual]
    styles = np.stack([made_of(given[:8]) for _ in range(STYLES)]).astype(float)
    distance, _, _ = distance_to_heldout(dataset, images, 1000)
    more = {
        "pixels right": accuracy, "mIoU of the real photographs": ceiling, "uniform maps kept": float(np.mean(kept)),
        "spread of styles": float(styles.mean((2, 3, 4)).std(0).mean() / 255), "kernel distance": distance,
        "weights of G": sum(own.numel() for own in run.system.generator.parameters()),
    }  # fmt: skip
    protocol = (
        f"mean IoU over {classes - (ignored is not None)} classes, segmenter of the training photographs, {len(held)} maps"
    )
    return Outcome(value, protocol, more | facts, images[:: max(1, len(images) // SHOWN)][:SHOWN])


def streets(folder: Path, count: int = 160) -> Path:
    """Maps of sky, houses, road and cars, and pictures of them whose grain and light no map tells."""
    from PIL import Image

    rng = np.random.default_rng(0)
    colours = np.array([[170, 200, 235], [150, 90, 70], [95, 95, 100], [30, 60, 140]])
    for kind in ("map", "photo"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    height, width = DRAWN
    for number in range(count):
        labels = np.zeros(DRAWN, np.uint8)
        for left in range(0, width, 8):
            labels[rng.integers(4, 18) :, left : left + 8] = 1
        labels[rng.integers(18, 24) :] = 2
        for _ in range(rng.integers(0, 4)):
            top, side = rng.integers(20, height - 6), rng.integers(0, width - 9)
            labels[top : top + 5, side : side + 8] = 3
        grain = rng.integers(-20, 21, (*DRAWN, 1)) + rng.integers(-30, 31)
        Image.fromarray(labels).save(folder / "map" / f"{number:03d}.png")
        photo = (colours[labels] + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(photo).save(folder / "photo" / f"{number:03d}.png")
    return folder


def met(rows: Sequence[Row]) -> bool:
    """With every seed: a higher mIoU, and more of the uniform maps keep their class."""
    return all(
        row.values["system"] > row.values["baseline"]
        and row.more["system"]["uniform maps kept"] > row.more["baseline"]["uniform maps kept"]
        for row in rows
    )


PROOF = Proof(
    claim="photographs made of label maps show the classes of the maps better where every layer is modulated by the map",
    baseline="pix2pixHD's generator of as many weights, which reads the map at its entry, at equal time (1.8 times the rounds)",
    metric="mIoU of a segmenter that was taught on real photographs, on translated held-out maps (higher is better)",
    direction=HIGHER,
    mark="with every seed a higher mIoU, and a larger share of uniform maps whose pixels the segmenter takes for their class",
    met=met,
    arms={"system": lambda task: arm(task, "system"), "baseline": lambda task: arm(task, "baseline", PACE)},
    budget="900r",
    seeds=5,
    quick_budget="40r",
    large_budget="6000r",
    phantom="brain",
    real="street-scenes",
    note="Without the real data, streets are drawn, whose grain and light no map tells.",
)
