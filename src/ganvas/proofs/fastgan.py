"""The proof of `fastgan`: from two hundred photographs, nearer to others of their kind than `stylegan2` after equal time.

Equal time is equal time of a processor: rounds were set to it before the run, and what each arm took is written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.proofs._few import FEW, few_images

if TYPE_CHECKING:
    from ganvas.run.load import Run

SIDE, LARGE_SIDE = 64, 128
COUNT = 300  # samples
NEARER = 0.85  # of the baseline's distance, which the mark asks for
WIDER = 4  # times, in the large form
OWN: dict[str, Any] = {
    "width": 8, "latent_size": 64, "learning_rate": 2e-3, "noise_inputs": False, "ema_half_life": 1_000.0, "batch_size": 8,
}  # fmt: skip
# What the preset of the other chooses for so few images and two minutes of a core, written out.
STYLES: dict[str, Any] = {
    "width": 8, "max_width": 64, "layers": 2, "latent_size": 128, "noise_inputs": False, "path_weight": 0.0,
    "r1_weight": 80.0, "ada_target": 0.3, "ada_span": 20_000.0, "ema_half_life": 5_000.0, "batch_size": 16,
}  # fmt: skip
AS_MANY = {"fastgan": 1.0, "stylegan2": 0.8}  # rounds for one of fastgan: as long, on one core
LARGE_AS_MANY = {"fastgan": 1.0, "stylegan2": 1.7}  # on an H200: 136 and 80 ms
_features: dict[str, np.ndarray] = {}  # of the images that are compared with: every arm needs them


def arm(task: Task, system: str, config: dict[str, Any]) -> Outcome:
    """Train on few images; kernel distance of samples to others."""
    from ganvas.metrics import feature_protocol, image_features, kernel_distance

    side = LARGE_SIDE if task.large else SIDE
    few, held = few_images(task, side)
    config = config | {"width": config["width"] * (WIDER if task.large else 1)}
    own = replace(
        task, budget=f"{round(int(task.budget.removesuffix('r')) * (LARGE_AS_MANY if task.large else AS_MANY)[system])}r"
    )
    run, facts = trained(own, system, config, data=few, heldout=0.0, threads=1, precision="32")
    images = run.sample(COUNT, seed=10_000 + task.seed, depth=8)
    key = f"{task.data}/{side}"
    if key not in _features:
        _features[key] = image_features(held, size=(side, side))
    name = feature_protocol((side, side))
    found = kernel_distance(image_features(images, size=(side, side)), _features[key], features=name, reference="heldout")
    more: dict[str, Any] = {"low": found.low, "high": found.high}
    if system == "fastgan":
        with np.load(few, allow_pickle=False) as kept:
            more["known_above_others"] = gap(run, kept["images"][: len(held)], held)
    return Outcome(found.value, found.protocol, more | facts, images[:16])


def gap(run: Run, known: np.ndarray, others: np.ndarray) -> float:
    """By how much D finds images that it learnt from more real than others: difference of mean logits, in deviations of the
    others'."""
    import torch

    from ganvas.kinds import encode

    judge = run.system.discriminator
    with torch.no_grad():
        said = [
            torch.cat([judge(part, judge.reduced(part))[0].mean(1) for part in encode(images, run.spec).split(50)])
            for images in (known, others)
        ]
    return float((said[0].mean() - said[1].mean()) / said[1].std())


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(row.values["system"] <= NEARER * row.values["baseline"] for row in rows)


PROOF = Proof(
    claim=f"from {FEW} photographs, nearer to others of their kind than stylegan2 after equal time",
    baseline="stylegan2 with what its preset takes for so few images and so short a time, for as long on one core",
    metric="kernel distance of samples to photographs that nobody learnt from, at 64x64",
    direction=LOWER,
    mark=f"with every seed at most {NEARER:.2f} of the baseline's distance",
    met=met,
    arms={
        "system": lambda task: arm(task, "fastgan", OWN),
        "baseline": lambda task: arm(task, "stylegan2", STYLES),
    },
    budget="1200r",
    quick_budget="40r",
    large_budget="1500r",
    seeds=5,
    real="facades",
    phantom="chest",
    note=(
        "Before, with 300 rounds and 3 seeds, it was nearer with every seed, but not surely enough. A pilot with seed 7 made "
        "the rounds 1,200 (0.275, stylegan2 1.178); the number of seeds is all else that was changed. stylegan2 has eight "
        "rounds for ten, which take as long."
    ),
)
