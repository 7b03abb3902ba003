"""The proof of `latent-gan-3d`: in the same time its solids are nearer to unseen ones than 3D-GAN's, and more often whole.

Time is counted in rounds, so that a busy machine gives what an idle one gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ganvas.kinds.solid.measures import pieces
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained
from ganvas.proofs._solids import COUNT, judged

PACE = 4  # rounds of latent-gan-3d in the time of one of gan-3d, measured on one core
QUICK_SHAPES = 800
MARGIN, WHOLE, NEAR, COPIED = 0.03, 0.6, 0.6, 0.2


def arm(task: Task, system: str, pace: float = 1.0) -> Outcome:
    """`ganvas train SYSTEM --data solids`, no option but the budget."""
    task = replace(task, budget=f"{round(int(task.budget.removesuffix('r')) / pace)}r")
    run, facts = trained(task, system, phantom_count=QUICK_SHAPES if task.quick else None)
    if system == "latent-gan-3d":  # how much of it being whole is owed to the crumbs that are left out
        whole, run.system.config = run.system.config, replace(run.system.config, crumbs=0.0)
        drawn = run.sample(COUNT, seed=10_000 + task.seed)
        run.system.config = whole
        facts |= {"one_piece_with_crumbs": float((pieces(drawn) == 1).mean())}
    return judged(data_of(run), run.sample(COUNT, seed=10_000 + task.seed), facts)


def met(rows: Sequence[Row]) -> bool:
    """With every seed: nearer than the older system and near by itself, whole, and not copied."""
    return all(
        row.values["system"] >= max(NEAR, row.values["baseline"] + MARGIN)
        and row.more["system"]["one_piece"] >= WHOLE
        and row.more["system"]["copied"] <= COPIED
        for row in rows
    )


PROOF = Proof(
    claim="in equal time it draws furniture nearer to unseen furniture than gan-3d's, mostly in one piece, without copying",
    baseline="gan-3d at equal time (a quarter of the rounds)",
    metric="overlap (intersection over union) with the nearest, of samples with held-out shapes and the other way, mean",
    direction=HIGHER,
    mark=(
        f"with every seed at least {NEAR} and {MARGIN} above gan-3d, at least {WHOLE:.0%} of samples in one piece, and at most "
        f"{COPIED:.0%} of samples nearer to a training shape than 95 % of held-out shapes are"
    ),
    met=met,
    arms={"system": lambda task: arm(task, "latent-gan-3d"), "baseline": lambda task: arm(task, "gan-3d", PACE)},
    budget="3000r",  # ten minutes of one processor core
    quick_budget="200r",
    phantom="solids",
)
