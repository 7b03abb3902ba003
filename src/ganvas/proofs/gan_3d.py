"""The proof of `gan-3d`: its furniture is nearer to furniture it has never seen than that of a linear model, and not copied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained
from ganvas.proofs._solids import COUNT, judged

COMPONENTS = 128  # of the linear model
SIDE = 32
QUICK_SHAPES = 800
MARGIN, COVERED, COPIED = 0.03, 0.9, 0.2


def game(task: Task) -> Outcome:
    """`ganvas train gan-3d --data solids`, no other option."""
    run, facts = trained(task, "gan-3d", phantom_count=QUICK_SHAPES if task.quick else None)
    return judged(data_of(run), run.sample(COUNT, seed=10_000 + task.seed), facts)


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
    return judged(dataset, np.concatenate(made), {"components": COMPONENTS})


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
    budget="200k",  # shapes, so that a busy machine is given the same; about an hour of one processor core
    quick_budget="30s",
    phantom="solids",
    note="The linear model of each class is reported beside: it is told the classes, the system is not.",
)
