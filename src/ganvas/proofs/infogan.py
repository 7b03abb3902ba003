"""The proof of `infogan`: digits are told apart without labels, because samples have to tell their category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._classes import learnt
from ganvas.uses.classify import matched

SIZE = "16"  # pixels of a side, so that an arm takes a minute
SETTINGS: dict[str, Any] = {
    "width": 16, "latent_size": 62, "categories": 10, "numbers": 2, "generator_learning_rate": 1e-3,
    "discriminator_learning_rate": 2e-4, "batch_size": 64, "ema_half_life": 5_000.0,
}  # fmt: skip
WITHOUT: dict[str, Any] = {"information_weight": 0.0, "number_weight": 0.0}
FOUND, MOVED = 0.45, 0.4
STEPS, EACH = (-1.0, -0.5, 0.0, 0.5, 1.0), 40


def arm(task: Task, config: dict[str, Any]) -> Outcome:
    """Train without labels; match categories to classes on training images, and count held-out ones that come out right."""
    run, dataset, facts = learnt(
        task, "infogan", {**SETTINGS, **config}, **({} if task.large or task.phantom else {"size": SIZE})
    )
    assert dataset.labels is not None
    values, train, held = np.asarray(dataset.values), dataset.train_indices(), dataset.heldout_indices()
    classes = len(run.spec.classes)
    found = {name: run.use("classify", values[rows])["class"] for name, rows in (("train", train), ("held", held))}
    answers = matched(found["train"], dataset.labels[train], SETTINGS["categories"], classes)[found["held"]]
    right = answers == dataset.labels[held]
    used = np.bincount(found["held"], minlength=SETTINGS["categories"])
    more = {
        "by_class": {name: float(right[dataset.labels[held] == k].mean()) for k, name in enumerate(run.spec.classes)},
        "categories_used": int((used > 0.02 * len(held)).sum()),
        "moved": moved(run),
    }
    shown = run.use("sample", count=36, seed=10_000 + task.seed, code=("c1=0:1:2:3:4:5",))["real"]
    return Outcome(float(right.mean()), f"accuracy/matched/n={len(held)}", more | facts, shown)


def moved(run: Any) -> dict[str, dict[str, float]]:
    """Code -> property -> correlation of the two, over EACH samples of each category at each of STEPS."""
    told = {}
    for code in [code.name for code in run.system.codes if not code.choices]:
        asked = ":".join(f"{step:g}" for step in STEPS)
        count = EACH * len(STEPS) * SETTINGS["categories"]
        made = run.use("sample", count=count, code=(f"{code}={asked}",))
        told[code] = {
            name: float(np.corrcoef(values, made[code])[0, 1]) for name, values in measured(made["real"][..., 0]).items()
        }
    return told


def measured(images: np.ndarray) -> dict[str, np.ndarray]:
    """slant (of the ink, from its second moments), width (standard deviation across, pixels) and ink (mean), (N,) each."""
    ink = images.astype(np.float64) + 1e-6
    y, x = np.mgrid[: ink.shape[1], : ink.shape[2]]
    whole = ink.sum((1, 2))

    def mean(values: np.ndarray) -> np.ndarray:
        found: np.ndarray = (ink * values).sum((1, 2)) / whole
        return found

    across, down = mean(x), mean(y)
    spread = {"xx": mean(x * x) - across**2, "xy": mean(x * y) - across * down, "yy": mean(y * y) - down**2}
    return {
        "slant": spread["xy"] / np.maximum(spread["yy"], 1e-6),
        "width": np.sqrt(np.maximum(spread["xx"], 0)),
        "ink": ink.mean((1, 2)),
    }


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] >= FOUND
        and max(abs(value) for code in row.more["system"]["moved"].values() for value in code.values()) >= MOVED
        for row in rows
    )


PROOF = Proof(
    claim="digits are told apart without labels because samples have to tell their category, and a number moves one property",
    baseline="the same game without the information terms, at equal rounds",
    metric="share of held-out images that get the right class, after each category was matched to a class",
    direction=HIGHER,
    mark=f"with every seed at least {FOUND}, and a number correlates with slant, width or ink of samples by {MOVED} or more",
    met=met,
    arms={"system": lambda task: arm(task, {}), "baseline": lambda task: arm(task, WITHOUT)},
    budget="1200r",
    quick_budget="100r",
    real="mnist",
    phantom="chest",
    seeds=3,
    large_budget="20000r",
)
