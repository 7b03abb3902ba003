"""The proof of `projected-gan`: nearer to other drawings than `stylegan2` after equal time, by a judge of its own.

The judge is a classifier that was trained on the drawings themselves and their classes: the network that projects took no part
in it. Equal time is equal time of a processor: rounds were set to it before the run, and what each arm took is written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.proofs._drawings import emoji, shapes

SIDE = 64
COUNT = 300  # samples
NEARER = 0.85  # of the baseline's distance, which the mark asks for
SPREAD = 8.0  # root mean square length of the judge's features, of training drawings
WIDER = 4  # times, in the large form
OWN: dict[str, Any] = {
    "width": 8, "discriminator_width": 8, "projection_side": 64, "latent_size": 64, "learning_rate": 2e-3,
    "noise_inputs": False, "augment": ("translation",), "ema_half_life": 1_000.0, "batch_size": 16,
}  # fmt: skip
# What the preset of the other chooses for so short a time, written out.
STYLES: dict[str, Any] = {
    "width": 8, "max_width": 64, "layers": 2, "latent_size": 128, "noise_inputs": False, "path_weight": 0.0,
    "r1_weight": 80.0, "ada_target": 0.0, "ema_half_life": 5_000.0, "batch_size": 16,
}  # fmt: skip
AS_MANY = {"projected-gan": 1.0, "stylegan2": 1.5}  # rounds for one of projected-gan: as long, on one core


def arm(task: Task, system: str, config: dict[str, Any]) -> Outcome:
    """Train; kernel distance of samples to drawings that nobody learnt from, in features of the judge."""
    from ganvas.metrics import kernel_distance, train_classifier

    images, labels, groups, aside = _drawn(task)
    path = task.folder / "drawings.npz"
    if not path.exists():
        np.savez(path, images=images[~aside])
    wide = {name: config[name] * (WIDER if task.large else 1) for name in ("width", "discriminator_width") if name in config}
    own = replace(task, budget=f"{round(int(task.budget.removesuffix('r')) * AS_MANY[system])}r")
    run, facts = trained(own, system, config | wide, data=str(path), heldout=0.0, threads=1, precision="32")
    samples = run.sample(COUNT, seed=10_000 + task.seed, depth=8)
    known = images[~aside]
    judge = train_classifier(known, labels[~aside], groups=groups[~aside], size=SIDE, cache=task.folder.parent)
    first = judge.features(known)
    middle = first.mean(0)
    scale = SPREAD / float(np.sqrt(((first - middle) ** 2).sum(1).mean()))
    said, there = (scale * (judge.features(pictures) - middle) for pictures in (samples, images[aside]))
    found = kernel_distance(said, there, features=judge.name, reference="heldout")
    floor = kernel_distance(scale * (first - middle), there, intervals=False, features=judge.name, reference="heldout")
    more: dict[str, Any] = {
        "low": found.low, "high": found.high, "floor": floor.value, "judge_on_unseen": judge.facts["accuracy"],
        "spread": float(samples.std(0, dtype=np.float64).mean() / images[aside].std(0, dtype=np.float64).mean()),
    }  # fmt: skip
    return Outcome(found.value, found.protocol, more | facts, samples[:36])


def _drawn(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(images (N, 64, 64, 3), class (N,), group (N,), whether each is held out (N,)). A class is a category of a house; what
    both have drawn is a group."""
    drawn = shapes() if task.phantom else emoji(Path(task.data))
    images = drawn.images.repeat(SIDE // drawn.images.shape[1], 1).repeat(SIDE // drawn.images.shape[2], 2)
    names = [f"{category} by {house}" for category, house in zip(drawn.category, drawn.house, strict=True)]
    return images, np.unique(names, return_inverse=True)[1], drawn.code, drawn.aside


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(row.values["system"] <= NEARER * row.values["baseline"] for row in rows)


PROOF = Proof(
    claim="projected to features of a pretrained network, nearer to other drawings than stylegan2 after equal time",
    baseline="stylegan2 with what its preset takes for so short a time, for as long on one core",
    metric="kernel distance of samples to drawings that nobody learnt from, by a classifier trained on drawings",
    direction=LOWER,
    mark=f"with every seed at most {NEARER:.2f} of the baseline's distance",
    met=met,
    arms={
        "system": lambda task: arm(task, "projected-gan", OWN),
        "baseline": lambda task: arm(task, "stylegan2", STYLES),
    },
    budget="350r",
    quick_budget="20r",
    large_budget="20000r",
    real="emoji",
    phantom="patterns",
    note="Without the real data, coloured shapes are drawn in the place of the phantom.",
)
