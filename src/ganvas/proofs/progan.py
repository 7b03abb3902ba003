"""The proof of `progan`: grown from 4 pixels on, the same networks come nearer to real images than at full size from the start,
in the same time, and in half of it.

Both arms have the same networks, settings, data and processor time, counted in rounds so that a busy machine gives what an idle
one gives: a round at full size takes as long as several of the grown arm, whose rounds are mostly small ones. The large form
has radiographs beside the lesions. The judge, EfficientNet-lite0's features, takes no part in the training. Settings were tried
with a seed of none of the runs, on training records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganvas.errors import GanvasError
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, distance_to_heldout, trained

SIDE, LARGE_SIDE = 64, 128
COUNT = 500  # samples
PACE = 2.35  # rounds of the grown arm in the time of one at full size, measured on one core
LARGE_PACE = 2.35
HELDOUT = 0.4  # of 160 lesions, so that there is something to compare with
RADIOGRAPHS = "chest-xray"
COMMON: dict[str, Any] = {  # what `auto` takes for minutes, written out: the machine's speed must have no say
    "latent_size": 64, "width": 8, "max_width": 32, "generator_learning_rate": 4e-3, "critic_learning_rate": 4e-3,
    "coarse_rates": 1.4, "fade_share": 0.4, "rate_ramp": 500, "augment": ("color", "translation"), "ema_half_life": 1_000.0,
    "batch_size": 16,
    "stage_growth": 1.0,  # of rounds: in time each size has twice that of the one before
}  # fmt: skip
LARGE = COMMON | {
    "latent_size": 512, "width": 32, "max_width": 512, "generator_learning_rate": 1e-3, "critic_learning_rate": 1e-3,
    "coarse_rates": 1.0, "rate_ramp": 40_000, "ema_half_life": 10_000.0,
}  # fmt: skip
HALF = "half the time"


def arm(task: Task, *, grow: bool = True, share: float = 1.0) -> Outcome:
    """Distance of samples to held-out lesions after a share of the budget; in the large form to radiographs as well."""
    value, protocol, more, images = trial(task, task.data, "lesions", grow, share)
    if task.large:
        beside = task.data if task.phantom else str(_beside(task.data))
        other, other_protocol, facts, _ = trial(task, beside, "radiographs", grow, share)
        more |= {"radiographs": other, "radiographs_protocol": other_protocol, "of_radiographs": facts}
    return Outcome(value, protocol, more, images[:36])


def trial(task: Task, data: str, name: str, grow: bool, share: float) -> tuple[float, str, dict[str, Any], Any]:
    """Train on one set: (distance, its protocol, facts, samples)."""
    rounds = share * int(task.budget.removesuffix("r"))
    rounds = max(1, round(rounds if grow else rounds / (LARGE_PACE if task.large else PACE)))
    own = replace(task, budget=f"{rounds}r", folder=task.folder / name)
    settings: dict[str, Any] = {"size": LARGE_SIDE if task.large else SIDE, "channels_last": "on"}
    if name == "lesions" and not task.phantom:
        settings["heldout"] = HELDOUT
    config = (LARGE if task.large else COMMON) | {"grow": grow}
    if not task.large:
        settings |= {"threads": 1, "precision": "32"}
    run, facts = trained(own, "progan", config, data=data, **settings)
    images = run.sample(COUNT, seed=10_000 + task.seed, depth=8)
    value, protocol, more = distance_to_heldout(data_of(run), images, COUNT)
    return value, protocol, more | facts, images


def _beside(data: str) -> Path:
    """The radiographs in the folder of the data sets."""
    found = Path(data).parents[1] / RADIOGRAPHS
    if not found.is_dir():
        raise GanvasError(f"--data has no '{RADIOGRAPHS}': give the folder that holds the data sets")
    return found


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(max(row.values["system"], row.values[HALF]) < row.values["baseline"] for row in rows)


PROOF = Proof(
    claim="grown from 4 pixels on, the same networks come nearer to real images in the same time, and in half of it",
    baseline="the same networks and settings at full size from the start, at equal processor time",
    metric="kernel distance of samples to held-out skin lesions",
    direction=LOWER,
    mark="with every seed a lower distance than at full size from the start, in the same time and in half of it",
    met=met,
    arms={
        "system": arm,
        "baseline": lambda task: arm(task, grow=False),
        HALF: lambda task: arm(task, share=0.5),
    },
    budget="400r",
    quick_budget="60r",
    large_budget="30000r",
    real="skin-lesions/images",
    phantom="chest",
    note="Without the real data it trains on the radiographs of the phantom.",
)
