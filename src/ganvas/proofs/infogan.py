"""The proof of `infogan`: the category it finds by itself is the digit, and a number changes one thing gradually.

Q learns to read the code with and without the information term; without it nobody else hears of the code. What is read on
held-out digits, and what an independent classifier finds on samples, is matched one to one with the digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._classes import learnt, variety
from ganvas.proofs._judge import judge_of
from ganvas.uses.classify import matched

if TYPE_CHECKING:
    from ganvas.run.load import Run

SIDE = "16"
SETTINGS: dict[str, Any] = {
    "width": 16, "units": 128, "values": 10, "numbers": 2, "number_weight": 0.2, "generator_learning_rate": 1e-3,
    "discriminator_learning_rate": 5e-4, "batch_size": 64, "ema_half_life": 5_000.0,
}  # fmt: skip
EACH = 100  # samples of each value of the category
STEPS = np.linspace(-2.0, 2.0, 9)  # of a number, as far as the paper's figure goes
FOUND, RISING = 0.55, 0.9  # of the mark


def found(task: Task, information_weight: float) -> Outcome:
    """Train, read held-out images by Q, and have samples of each value of the category read by a classifier of real images."""
    settings: dict[str, Any] = {**SETTINGS, "information_weight": information_weight}
    if task.phantom:
        run, dataset, facts = learnt(task, "infogan", {**settings, "values": 5})
    else:
        run, dataset, facts = learnt(task, "infogan", settings, size=SIDE)
    assert dataset.labels is not None
    values, classes = run.system.config.values, len(run.spec.classes)
    held, train = dataset.heldout_indices(), dataset.train_indices()
    images, truth = np.asarray(dataset.values[held]), dataset.labels[held]
    said = np.asarray(run.use("classify", images)["class"])
    judge = judge_of(np.asarray(dataset.values[train]), dataset.labels[train], seed=0)
    made = np.concatenate([run.sample(EACH, seed=10_000 + task.seed, codes={"0": k}, depth=8) for k in range(values)])
    asked, seen = np.repeat(np.arange(values), EACH), judge(made)
    more: dict[str, Any] = {
        "by_class": {
            name: float((matched(said, truth, values, classes) == k)[truth == k].mean())
            for k, name in enumerate(run.spec.classes)
        },
        "samples_matched": float((matched(asked, seen, values, classes) == seen).mean()),
        "classes_drawn": int((np.bincount(seen, minlength=classes) >= 0.02 * len(seen)).sum()),
        "variety": variety(made, asked) / variety(np.asarray(dataset.values), dataset.labels),
        "judge_on_heldout": float((judge(images) == truth).mean()),
        "numbers": changes(run, task.seed),
    }
    shown = made.reshape(values, EACH, *made.shape[1:])[:6, :6].reshape(-1, *made.shape[1:])
    right = float((matched(said, truth, values, classes) == truth).mean())
    return Outcome(right, f"accuracy matched one to one/n={len(held)}", more | facts, shown)


def changes(run: Run, seed: int) -> dict[str, dict[str, Any]]:
    """Of each number: how far each property goes while the number goes over STEPS, in standard deviations that it has among
    samples (`range`), and its rank correlation with the number (`rising`), of means over samples alike but for it."""
    from scipy.stats import spearmanr

    usual = properties(run.sample(500, seed=20_000 + seed, depth=8))
    result: dict[str, dict[str, Any]] = {}
    for name in (code.name for code in run.system.known_codes() if not code.values):
        steps = [properties(run.sample(EACH, seed=30_000 + seed, codes={name: float(step)}, depth=8)) for step in STEPS]
        result[name] = {}
        for key, own in usual.items():
            means = np.array([step[key].mean() for step in steps])
            result[name][key] = {
                "rising": abs(float(spearmanr(STEPS, means).statistic)) if np.ptp(means) else 0.0,
                "range": float(np.ptp(means) / (own.std() + 1e-9)),
            }
    return result


def properties(images: np.ndarray) -> dict[str, np.ndarray]:
    """What can be measured of images (N, H, W, C) uint8, (N,) each: slant (how far a row's middle goes aside from row to row),
    width (standard deviation of the columns of ink, pixels), ink (mean brightness)."""
    ink = images.mean(3) / 255.0
    total = ink.sum((1, 2)) + 1e-6
    rows, columns = np.arange(ink.shape[1])[:, None], np.arange(ink.shape[2])[None, :]
    row = (ink * rows).sum((1, 2)) / total
    column = (ink * columns).sum((1, 2)) / total
    down, aside = rows - row[:, None, None], columns - column[:, None, None]
    spread = (ink * down**2).sum((1, 2)) / total
    return {
        "slant": (ink * down * aside).sum((1, 2)) / total / (spread + 1e-6),
        "width": np.sqrt((ink * aside**2).sum((1, 2)) / total),
        "ink": ink.mean((1, 2)),
    }


def gradual(numbers: dict[str, dict[str, Any]]) -> bool:
    """Whether some number changes slant, width or ink from end to end by a standard deviation or more, and always one way."""
    return any(own["rising"] >= RISING and own["range"] >= 1.0 for each in numbers.values() for own in each.values())


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(row.values["system"] >= FOUND and gradual(dict(row.more["system"]["numbers"])) for row in rows)


PROOF = Proof(
    claim="without labels, the category that the information term makes is the digit, and a number changes one thing gradually",
    baseline="the same game with the information term switched off: Q alone learns to read the code",
    metric="share of held-out images whose category, read by Q and matched one to one with the classes, is their class",
    direction=HIGHER,
    mark=f"with every seed at least {FOUND:.2f}, and a number that moves slant, width or ink by one standard deviation or "
    f"more, with a rank correlation of its nine steps of at least {RISING}",
    met=met,
    arms={"system": lambda task: found(task, 1.0), "baseline": lambda task: found(task, 0.0)},
    budget="192k",
    quick_budget="6k",
    real="mnist",
    phantom="chest",
    seeds=3,
    large_budget="6400k",
)
