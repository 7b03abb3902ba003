"""The proof of `gan-3d`: its furniture is nearer to furniture it has never seen than that of a linear model, and not copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained

COUNT = 500  # samples; as many held-out shapes at most
COMPONENTS = 128  # of the linear model
SIDE = 32
PICTURED = 36
QUICK_SHAPES = 800
MARGIN, COVERED, COPIED = 0.03, 0.9, 0.2


def game(task: Task) -> Outcome:
    """`ganvas train gan-3d --data solids`, no other option."""
    run, facts = trained(task, "gan-3d", phantom_count=QUICK_SHAPES if task.quick else None)
    return _judged(data_of(run), run.sample(COUNT, seed=10_000 + task.seed), facts)


def linear(task: Task, by_class: bool) -> Outcome:
    """Principal components of the training voxels, each drawn from a normal distribution of its own variance, cut at one half.

    by_class: a model of each class, in equal parts; it then knows the labels, which the system is not told.
    """
    from sklearn.decomposition import PCA

    from ganvas.data import open_data
    from ganvas.kinds import kind_of

    count = QUICK_SHAPES if task.quick else kind_of("solid").says.phantom_count
    dataset = open_data(task.data, size=SIDE, seed=task.seed, phantom_count=count, progress=False, kinds=("solid",))
    rows = dataset.train_indices()
    labels = np.zeros(len(dataset.values), np.int64) if dataset.labels is None or not by_class else dataset.labels
    rng = np.random.default_rng([task.seed, 0x9CA])
    kinds = np.unique(labels[rows])
    made = []
    for place, kind in enumerate(kinds):
        own = dataset.values[rows[labels[rows] == kind]].reshape(-1, SIDE**3).astype(np.float32)
        model = PCA(min(COMPONENTS, len(own) - 1), svd_solver="randomized", random_state=task.seed).fit(own)
        share = COUNT // len(kinds) + (place < COUNT % len(kinds))
        drawn = rng.standard_normal((share, model.n_components_)) * np.sqrt(model.explained_variance_)
        made.append((model.inverse_transform(drawn) > 0.5).astype(np.uint8).reshape(-1, SIDE, SIDE, SIDE))
    return _judged(dataset, np.concatenate(made), {"components": COMPONENTS})


def overlaps(solids: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair of voxel records: (N, M) float32; of two empty ones 0."""
    a, b = (x.reshape(len(x), -1).astype(np.float32) for x in (solids, others))
    common = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1) - common
    result: np.ndarray = common / np.maximum(union, 1)
    return result


def _judged(dataset: Any, solids: np.ndarray, facts: dict[str, Any]) -> Outcome:
    """Both ways between samples and held-out shapes, and how near samples come to training shapes.

    value: mean of fidelity (of each sample, the overlap with the nearest held-out shape) and recall (of each held-out shape,
    that with the nearest sample). covered: share of held-out shapes that are the nearest of some sample, over the same share
    for as many training shapes. copied: share of samples nearer to a training shape than 95 % of held-out shapes are.
    pieces: median number of connected parts.
    """
    from scipy.ndimage import label

    from ganvas.kinds.solid.kind import render

    rng = np.random.default_rng(0)
    held = np.asarray(dataset.values[np.sort(rng.permutation(dataset.heldout_indices())[:COUNT])])
    train = np.asarray(dataset.values[dataset.train_indices()])
    real = train[np.sort(rng.permutation(len(train))[: len(solids)])]
    between = overlaps(solids, held)
    floor = overlaps(real, held)
    novel = overlaps(solids, train).max(1)
    near = overlaps(held, train).max(1)
    covered, usual = (len(np.unique(table.argmax(1)[table.max(1) > 0])) / len(held) for table in (between, floor))
    fidelity, recall = float(between.max(1).mean()), float(between.max(0).mean())
    more = {
        "fidelity": fidelity,
        "recall": recall,
        "training_shapes": float((floor.max(1).mean() + floor.max(0).mean()) / 2),
        "covered": covered / usual,
        "copied": float((novel > np.quantile(near, 0.95)).mean()),
        "nearest_training": float(novel.mean()),
        "nearest_training_of_heldout": float(near.mean()),
        "pieces": float(np.median([label(solid)[1] for solid in solids])),
        "empty": float((solids.reshape(len(solids), -1).max(1) == 0).mean()),
    }
    pictures = np.stack([render(solid) for solid in solids[rng.permutation(len(solids))[:PICTURED]]])
    protocol = f"iou/{solids.shape[1]}^3/n={len(solids)}/m={len(held)}/both ways/ref=heldout"
    return Outcome((fidelity + recall) / 2, protocol, more | facts, pictures)


def met(rows: Sequence[Row]) -> bool:
    """Better than the linear model by a margin, all of the kinds of shapes, and no copies, with every seed."""
    return all(
        row.values["system"] >= row.values["baseline"] + MARGIN
        and row.more["system"]["covered"] >= COVERED * row.more["baseline"]["covered"]
        and row.more["system"]["copied"] <= COPIED
        for row in rows
    )


PROOF = Proof(
    claim="makes furniture that is nearer to unseen furniture than that of a linear model of voxels, without copying",
    baseline=f"principal components of the training voxels ({COMPONENTS}, normal coefficients, cut at one half)",
    metric="overlap (intersection over union) with the nearest, of samples with held-out shapes and the other way, mean",
    direction=HIGHER,
    mark=(
        f"at least {MARGIN} above the baseline with every seed, covering at least {COVERED} times as many held-out shapes, and "
        f"at most {COPIED:.0%} of samples nearer to a training shape than 95 % of held-out shapes are"
    ),
    met=met,
    arms={
        "system": game,
        "baseline": lambda task: linear(task, False),
        "components of each class": lambda task: linear(task, True),
    },
    budget="200k",  # shapes, so that a busy machine is given the same; some 20 minutes of one processor core
    quick_budget="30s",
    phantom="solids",
    note="The linear model of each class is reported beside: it is told the classes, the system is not.",
)
