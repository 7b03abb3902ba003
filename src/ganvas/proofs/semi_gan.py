"""The proof of `semi-gan`: digits named from a few labels and thousands of records without one, against the labels alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.proofs._classes import images_of

SETTINGS: dict[str, Any] = {
    "network": "convolutional", "width": 12, "batch_size": 64, "learning_rate": 1e-3, "ema_half_life": 5_000.0,
    "input_noise": 0.3, "hidden_noise": 0.5, "augment": ("translation",),
}  # fmt: skip
MOST_OF_BASELINE = 0.6
LABELS = (100, 50, 10)


def arm(task: Task, labels: int, alone: bool) -> Outcome:
    """Give `labels` of the training images their label, the others none; then count the held-out images that are misnamed."""
    images, classes, held = images_of(task)
    rng = np.random.default_rng([task.seed, labels])
    names = np.array(["unlabelled"] * len(images), dtype="U16")
    for k in np.unique(classes):  # as many of each class
        names[rng.choice(np.flatnonzero((classes == k) & ~held), labels // len(np.unique(classes)), replace=False)] = (
            f"class {k}"
        )
    file = task.folder / "few.npz"
    if not file.exists():
        np.savez(file, images=images[~held], labels=names[~held])
    run, facts = trained(
        task, "semi-gan", {**SETTINGS, "unlabelled_weight": 0.0 if alone else 1.0}, data=str(file), heldout=0.0
    )
    said = run.use("classify", images[held])["class"]
    answers = np.array([int(name.split()[1]) for name in run.system.class_names])[np.asarray(said)]
    wrong = answers != classes[held]
    more = {"labels": labels, "by_class": {str(k): float(wrong[classes[held] == k].mean()) for k in np.unique(classes)}}
    shown = run.sample(36, seed=10_000 + task.seed, depth=8)
    return Outcome(float(wrong.mean()), f"error/n={int(held.sum())}", more | facts, shown)


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself, with 100 labels."""
    return all(row.values["system"] <= MOST_OF_BASELINE * row.values["baseline"] for row in rows)


def arms() -> dict[str, Callable[[Task], Outcome]]:
    """100 labels are `system` and `baseline`; 50 and 10 are told beside them."""

    def made(labels: int, alone: bool) -> Callable[[Task], Outcome]:
        return lambda task: arm(task, labels, alone)

    found = {"system": made(LABELS[0], False), "baseline": made(LABELS[0], True)}
    for labels in LABELS[1:]:
        found |= {f"{labels} labels": made(labels, False), f"{labels} labels alone": made(labels, True)}
    return found


PROOF = Proof(
    claim="records without a label teach a classifier: of 100 labelled digits and 6,300 others it names digits better",
    baseline="the same classifier, noise and rounds on the labelled records alone",
    metric="share of 1,600 held-out images that get the wrong class",
    direction=LOWER,
    mark=f"with every seed at most {MOST_OF_BASELINE} of the baseline's errors",
    met=met,
    arms=arms(),
    budget="500r",
    quick_budget="50r",
    real="mnist",
    phantom="chest",
    seeds=3,
    large_budget="20000r",
)
