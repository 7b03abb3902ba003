"""The proof of `gon`: unseen images come back from one gradient with less error than from an encoder that is learnt beside.

Both arms train the same F, at equal rounds, data and settings. The baseline has an encoder, the D of dcgan with as many
outputs as a latent has, and so about twice the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import distance_to_heldout
from ganvas.proofs._classes import learnt

SIDE = "16"
SETTINGS: dict[str, Any] = {"width": 16, "latent_size": 32, "step": 0.05, "batch_size": 64, "learning_rate": 1e-2}
MOST = 500  # samples whose distance to held-out images is reported beside


def given_back(task: Task, latents: str) -> Outcome:
    """Train, reconstruct held-out images, and draw new ones."""
    settings: dict[str, Any] = {**SETTINGS, "latents": latents}
    run, dataset, facts = learnt(task, "gon", settings, **({} if task.phantom else {"size": SIDE}))
    held = np.asarray(dataset.values[dataset.heldout_indices()])
    again = np.asarray(run.use("project", held)[run.work().main])
    error = float(np.mean((held / 255.0 - again / 255.0) ** 2))
    mean = np.asarray(dataset.values[dataset.train_indices()]).mean(0) / 255.0
    more: dict[str, Any] = {
        "parameters": sum(parameter.numel() for parameter in run.system.parameters()),
        "error_of_the_mean_image": float(np.mean((held / 255.0 - mean) ** 2)),
    }
    if latents == "gradient":
        distance, _, beside = distance_to_heldout(dataset, run.sample(MOST, seed=10_000 + task.seed, depth=8), MOST)
        more |= {"kernel_distance_of_samples": distance, "kernel_distance_floor": beside["floor"]}
    shown = np.stack([held[:18], again[:18]], 1).reshape(-1, *held.shape[1:])
    return Outcome(error, f"mean squared error, values from 0 to 1/n={len(held)}/held out", more | facts, shown)


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] <= row.values["baseline"]
        and row.more["system"]["parameters"] <= 0.51 * row.more["baseline"]["parameters"]
        for row in rows
    )


PROOF = Proof(
    claim="early in training, with half of the parameters, unseen images come back from one gradient with a smaller error",
    baseline="the same network with an encoder beside it, an autoencoder of twice the parameters, at equal rounds",
    metric="mean squared error of held-out images that went through their latents",
    direction=LOWER,
    mark="with every seed at most the baseline's error, with at most 0.51 of its parameters",
    met=met,
    arms={"system": lambda task: given_back(task, "gradient"), "baseline": lambda task: given_back(task, "encoder")},
    budget="32k",
    quick_budget="8k",
    real="mnist",
    phantom="chest",
    seeds=3,
    large_budget="1000k",
)
