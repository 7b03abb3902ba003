"""The proof of `gan`: the non-saturating game learns five patterns at once, closer than the minimax loss does."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained

COUNT = 1000  # generated and true points of each pattern
TYPICAL, WORST = 0.03, 0.06


def arm(task: Task, loss: str) -> Outcome:
    """Train on all five patterns in one run; how far are the points of each from fresh true ones?"""
    from ganvas.data.phantoms import PATTERNS
    from ganvas.data.phantoms.patterns import diagonal, pattern_points
    from ganvas.metrics.points import DIRECTIONS, sliced_wasserstein

    run, facts = trained(task, "gan", {"loss": loss})
    made = {name: run.sample(COUNT, seed=10_000 + task.seed, label=name) for name in PATTERNS}
    # Training used the task's seed: these true points were never seen.
    true = {name: pattern_points(name, COUNT, seed=20_000 + task.seed) for name in PATTERNS}
    other = {name: pattern_points(name, COUNT, seed=30_000 + task.seed) for name in PATTERNS}
    far = {name: sliced_wasserstein(made[name], true[name]) / diagonal(name) for name in PATTERNS}
    least = {name: sliced_wasserstein(other[name], true[name]) / diagonal(name) for name in PATTERNS}
    return Outcome(
        statistics.median(far.values()),
        f"sw1/{DIRECTIONS}/n={COUNT}/over the diagonal",
        {"by_pattern": far, "true_against_true": least, **facts},
        np.concatenate(list(made.values())),
        np.repeat(np.arange(len(PATTERNS)), COUNT),
    )


def met(rows: Sequence[Row]) -> bool:
    """The median over patterns and seeds, and the worst of all."""
    distances = [x for row in rows for x in row.more["system"]["by_pattern"].values()]
    return statistics.median(distances) <= TYPICAL and max(distances) <= WORST


PROOF = Proof(
    claim="the non-saturating game learns sine, square, parabola, sawtooth and circle in one run",
    baseline="the same networks with the saturating minimax loss of the generator, at equal samples",
    metric="sliced Wasserstein distance between generated and fresh true points, median of the five patterns",
    direction=LOWER,
    mark=f"over patterns and seeds: median <= {TYPICAL}, worst <= {WORST}",
    met=met,
    arms={"system": lambda task: arm(task, "non-saturating"), "baseline": lambda task: arm(task, "minimax")},
    budget="3M",
    quick_budget="200k",
    phantom="patterns",
)
