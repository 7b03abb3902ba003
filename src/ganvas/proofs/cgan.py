"""The proof of `cgan`: a digit of the class that was asked for, as a classifier of real digits judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._classes import obeyed

OBEYED = 0.90


def arm(task: Task, shuffled: bool) -> Outcome:
    """Train on the labels as they are, or shuffled; then ask for every class and let the judge say what came."""
    file = task.folder / "labelled.npz"
    if not file.exists():
        _write(file, task, shuffled)
    return obeyed(task, "cgan", {}, truth=_labelled(task)[1], data=str(file))


def _labelled(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """(images (N, H, W) or (N, H, W, C), labels (N,)) of the real data, or of the phantom."""
    if not task.phantom:
        from pathlib import Path

        (file,) = Path(task.data).glob("*.npz")
        with np.load(file, allow_pickle=False) as held:
            return held["images"], held["labels"]
    from ganvas.data.phantoms import make_phantom

    made = make_phantom(task.data, 2000, 0, size=32)
    return made.values, np.asarray(made.labels)


def _write(file: Any, task: Task, shuffled: bool) -> None:
    images, labels = _labelled(task)
    if shuffled:
        labels = np.random.default_rng([task.seed, 1]).permutation(labels)
    np.savez(file, images=images, labels=labels)


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(row.values["system"] >= OBEYED for row in rows)


PROOF = Proof(
    claim="the label decides the class: generated digits are what was asked for",
    baseline="the same networks trained on shuffled labels, at equal samples",
    metric="share of generated images that a classifier of real ones gives the class that was asked for",
    direction=HIGHER,
    mark=f"at least {OBEYED:.2f} with every seed",
    met=met,
    arms={"system": lambda task: arm(task, False), "baseline": lambda task: arm(task, True)},
    budget="100k",
    quick_budget="5k",
    real="mnist",
    phantom="chest",
    seeds=3,
)
