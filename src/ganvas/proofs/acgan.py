"""The proof of `acgan`: a classifier of real digits recognises what was asked for, and classes are not narrowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ganvas.proofs import HIGHER, Proof, Row
from ganvas.proofs._classes import obeyed

SETTINGS: dict[str, Any] = {
    "width": 16, "latent_size": 100, "generator_learning_rate": 5e-4, "discriminator_learning_rate": 5e-4, "batch_size": 32,
    "ema_half_life": 5_000.0, "augment": (),
}  # fmt: skip
OBEYED, VARIED = 0.95, 0.7


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(row.values["system"] >= OBEYED and row.more["system"]["variety"] >= VARIED for row in rows)


PROOF = Proof(
    claim="a classifier in D: digits are recognised as what was asked for more often than where D is told the class",
    baseline="cgan, the same networks and settings, at equal samples",
    metric="share of generated images that a classifier of real ones gives the class that was asked for",
    direction=HIGHER,
    mark=f"with every seed at least {OBEYED:.2f}, and at least {VARIED} of the real variety inside classes",
    met=met,
    arms={
        "system": lambda task: obeyed(task, "acgan", SETTINGS),
        "baseline": lambda task: obeyed(task, "cgan", SETTINGS),
    },
    budget="40k",
    quick_budget="5k",
    real="mnist",
    phantom="chest",
    seeds=3,
    large_budget="2000k",
)
