"""The proof of `lsgan`: without BatchNorm in the discriminator, least squares get closer to the data than cross-entropy."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, distance_to_heldout, trained

COUNT = 500
HELDOUT = 500
SHARE = 0.9
RATE = 1e-3  # the rate of the paper on scenes
NETWORKS = {"latent_size": 64, "width": 16, "beta1": 0.5, "ema_half_life": 5_000.0, "batch_size": 64}


def arm(task: Task, system: str, config: dict[str, Any]) -> Outcome:
    """Train, and measure the kernel distance of samples to the held-out part."""
    # `paper`, and not what each system's own preset would choose: the arms may differ in the loss alone.
    run, facts = trained(task, system, NETWORKS | config, preset="paper", size="32", precision="32", channels_last="off")
    images = run.sample(COUNT, seed=10_000 + task.seed, depth=8)
    value, protocol, more = distance_to_heldout(data_of(run), images, HELDOUT)
    return Outcome(value, protocol, more | facts, images[:64])


def least_squares(task: Task) -> Outcome:
    """lsgan with targets 0, 1, 1."""
    return arm(task, "lsgan", {"learning_rate": RATE, "discriminator_batch_norm": False})


def cross_entropy(task: Task) -> Outcome:
    """dcgan: the same networks, weights to start from, rates, batches and averaging."""
    rates = {"generator_learning_rate": RATE, "discriminator_learning_rate": RATE}
    return arm(task, "dcgan", {**rates, "discriminator_batch_norm": False, "augment": ()})


def met(rows: Sequence[Row]) -> bool:
    """The mean over seeds, against the baseline's."""
    system, baseline = (statistics.fmean(row.values[name] for row in rows) for name in ("system", "baseline"))
    return system <= SHARE * baseline


PROOF = Proof(
    claim="without BatchNorm in the discriminator, least squares get closer to the data than cross-entropy",
    baseline="the same networks with the cross-entropy (non-saturating) loss: dcgan without BatchNorm in D, at equal samples",
    metric="kernel distance of samples to the held-out part, at 32x32",
    direction=LOWER,
    mark=f"mean over seeds at most {SHARE} of the baseline's",
    met=met,
    arms={"system": least_squares, "baseline": cross_entropy},
    budget="40k",
    quick_budget="5k",
    real="emoji",
    phantom="chest",
    seeds=8,
)
