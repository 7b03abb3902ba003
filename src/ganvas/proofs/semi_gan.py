"""The proof of `semi-gan`: digits named from a few labels and thousands of records without one, against the labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganvas.data.dataset import open_data
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.proofs._classes import images_of

SIZE = "14"  # pixels of a side: half of the digits' own, so that an arm takes a minute
SETTINGS: dict[str, Any] = {
    "network": "perceptron", "width": 64, "batch_size": 100, "learning_rate": 3e-3, "ema_half_life": 10_000.0,
    "input_noise": 0.3, "hidden_noise": 0.5, "augment": (), "centred_latents": False,  # as the preset had them then
}  # fmt: skip
LABELS = 100
MOST_OF_BASELINE = 0.75


def arm(task: Task, unlabelled_weight: float, few: int = LABELS) -> Outcome:
    """Give `few` of the training images their label, the others none; then count the held-out images that are misnamed."""
    images, classes, held = images_of(task)
    rng, kinds = np.random.default_rng([task.seed, few]), np.unique(classes)
    names = np.array(["unlabelled"] * len(images))
    for k in kinds:  # as many of each class
        names[rng.choice(np.flatnonzero((classes == k) & ~held), few // len(kinds), replace=False)] = str(k)
    file = task.folder / f"{few}.npz"
    if not file.exists():
        np.savez(file, images=images[~held], labels=names[~held])
    settings = {**SETTINGS, "unlabelled_weight": unlabelled_weight}
    run, facts = trained(task, "semi-gan", settings, data=str(file), heldout=0.0, size=None if task.large else SIZE)
    shown = open_data(images[held], size=run.spec.shape[1:], heldout=0.0, progress=False).values
    said = run.use("classify", np.asarray(shown))["class"]
    wrong = np.array([int(name) for name in run.system.class_names])[said] != classes[held]
    more = {"labels": few, "by_class": {str(k): float(wrong[classes[held] == k].mean()) for k in kinds}}
    made = run.sample(36, seed=10_000 + task.seed, depth=8)
    return Outcome(float(wrong.mean()), f"error/n={int(held.sum())}", more | facts, made)


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(row.values["system"] <= MOST_OF_BASELINE * row.values["baseline"] for row in rows)


PROOF = Proof(
    claim="records without a label teach a classifier: of 100 labelled digits and 6,300 others it names digits better",
    baseline="the same classifier, noise and rounds on the labelled records alone",
    metric="share of held-out images that get the wrong class",
    direction=LOWER,
    mark=f"with every seed at most {MOST_OF_BASELINE} of the baseline's errors",
    met=met,
    arms={"system": lambda task: arm(task, 1.0), "baseline": lambda task: arm(task, 0.0)},
    budget="1500r",
    quick_budget="100r",
    real="mnist",
    phantom="chest",
    seeds=3,
    large_budget="40000r",
)
