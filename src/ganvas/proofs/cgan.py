"""The proof of `cgan`: a digit of the class that was asked for, as a classifier of real digits judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained
from ganvas.proofs._judge import judge_of

EACH = 100  # images of each class
OBEYED = 0.90


def arm(task: Task, shuffled: bool) -> Outcome:
    """Train on the labels as they are, or shuffled; then ask for every class and let the judge say what came."""
    file = task.folder / "labelled.npz"
    if not file.exists():
        _write(file, task, shuffled)
    run, facts = trained(task, "cgan", data=str(file))
    dataset = data_of(run)
    true = _labelled(task)[1]
    held, train = dataset.heldout_indices(), dataset.train_indices()
    judge = judge_of(dataset.values[train], true[train], seed=0)
    asked = np.repeat(np.arange(len(run.spec.classes)), EACH)
    made = [run.sample(EACH, seed=10_000 + task.seed, label=k, depth=8) for k in range(len(run.spec.classes))]
    images = np.concatenate(made)
    said = judge(images)
    more: dict[str, Any] = {
        "by_class": {name: float((said[asked == k] == k).mean()) for k, name in enumerate(run.spec.classes)},
        "judge_on_heldout": float((judge(dataset.values[held]) == true[held]).mean()),
    }
    shown = images.reshape(len(made), EACH, *images.shape[1:])[:6, :6].reshape(-1, *images.shape[1:])
    protocol = f"accuracy/judge=small-cnn/n={len(images)}"
    return Outcome(float((said == asked).mean()), protocol, more | facts, shown)


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
