"""The proof of `ian`: held-out pictures are found by the discriminator's own features, nearer than a GAN trained as long finds
them by searching, and brush strokes on them are followed.

A stroke on each held-out picture asks for the colour that another one has there; latents move by the same steps in all arms.
All arms have the same generator and the same processor time. Beside them stands the same generator as a VAE, without adversary.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganvas.batches import Noise
from ganvas.inference.search import search
from ganvas.inference.strokes import borrowed, followed, laid_on, moved
from ganvas.kinds import decode, encode
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, distance_to_heldout, trained

SIDE, LARGE_SIDE, MOST, SHOWN = 32, 64, 160, 8
NEARER, FOLLOWED, ELSEWHERE = 0.9, 0.4, 0.8
STEPS, RATE, RADIUS = 15, 0.1, 1 / 8
SEARCH_STEPS = 100  # of a latent of the GAN
COMMON: dict[str, Any] = {"width": 16, "latent_size": 64, "ema_half_life": 1000.0, "batch_size": 16}
GAN = COMMON | {"generator_learning_rate": 1e-3, "discriminator_learning_rate": 1e-3}
OWN = (
    COMMON
    | {"learning_rate": 1e-3, "head_units": 128, "norm": "layer", "latent_weight": 0.1}
    | {
        "adversarial_weight": 0.2,
        "pixel_weight": 10.0,
    }
)
VAE = {"encoder_features": "own", "adversarial_weight": 0.0, "feature_weight": 0.0}
GAN_ALONE, VAE_ALONE = "baseline", "vae"
TIMES = {"system": 1.0, GAN_ALONE: 1.47, VAE_ALONE: 1.87}
"""Rounds for one of the system, by processor time measured with a seed that the proof does not use."""


def arm(task: Task, name: str) -> Outcome:
    """Train, draw held-out pictures again, and paint on them."""
    rounds = max(1, round(TIMES[name] * int(task.budget.removesuffix("r"))))
    system, config = ("dcgan", GAN) if name == GAN_ALONE else ("ian", OWN | (VAE if name == VAE_ALONE else {}))
    data = task.data if task.phantom else str(Path(task.data) / "avataaars")
    side = LARGE_SIDE if task.large else SIDE
    config = config | ({"width": 64} if task.large else {})
    run, facts = trained(task, system, config, data=data, size=str(side), budget=f"{rounds}r", threads=1, precision="32")
    dataset, board, spec = data_of(run), run.system, run.spec
    held = dataset.heldout_indices()[:MOST]
    given = encode(np.asarray(dataset.values[held]), spec).to(next(board.parameters()))
    noise = Noise.seeded(task.seed, given.device)
    with torch.no_grad():
        latents = searched(board, given, noise) if name == GAN_ALONE else board.project(given, noise)
        colours, strength = borrowed(given, RADIUS, 100 + task.seed)
        before = board.average(latents)
        after = board.average(moved(latents, board.average, colours, strength, STEPS, RATE))
        made = laid_on(given, before, after)
        asked, left, outside = (float(part.mean()) / 2 for part in followed(given, made, colours, strength))
        drawn_asked, drawn_left, _ = (float(part.mean()) / 2 for part in followed(before, after, colours, strength))
        new = board.sample(MOST, noise)
    new_distance, again_distance = (distance_to_heldout(dataset, decode(x.cpu(), spec), MOST)[0] for x in (new, before))
    value = float((before - given).abs().mean()) / 2
    more = {
        "new": new_distance,
        "again": again_distance,
        "followed": 1 - left / asked,
        "followed_in_drawing": 1 - drawn_left / drawn_asked,
        "outside": outside,
    }
    marked = torch.where(strength > 0, colours, given)
    shown = torch.stack([part[:SHOWN] for part in (given, before, marked, after, made)], 1).flatten(0, 1)
    return Outcome(value, f"mean absolute error/n={len(held)} held out/{side}px", more | facts, decode(shown.cpu(), spec))


def searched(board: Any, images: Tensor, noise: Noise) -> Tensor:
    """Latents of a GAN that was not taught to encode: by descent on the squared error of pixels, from the origin."""
    start = torch.zeros(len(images), board.config.latent_size, device=images.device)
    return search(start, lambda z, share: (board.average(z) - images).square().mean((1, 2, 3)), SEARCH_STEPS, RATE)


def met(rows: Sequence[Row]) -> bool:
    """With every seed: nearer by enough, strokes followed, and less changed elsewhere."""
    return all(
        row.values["system"] <= NEARER * row.values["baseline"]
        and row.more["system"]["followed"] >= FOLLOWED
        and row.more["system"]["outside"] <= ELSEWHERE * row.more["baseline"]["outside"]
        for row in rows
    )


PROOF = Proof(
    claim="an encoder of two layers on D's features finds held-out pictures as no search in a GAN does, and strokes move them",
    baseline="a GAN of the same generator, trained as long without an encoder, whose latents are searched for",
    metric="mean absolute error of held-out pictures that are drawn again, as a share of the range",
    direction=LOWER,
    mark=(
        f"with every seed at most {NEARER} of the error of the searched GAN; at least {FOLLOWED} of the colour error under "
        f"strokes gone, and elsewhere at most {ELSEWHERE} of the change that the GAN's latents make of the picture"
    ),
    met=met,
    arms={name: functools.partial(arm, name=name) for name in TIMES},
    budget="700r",
    quick_budget="40r",
    large_budget="20000r",
    real="cartoon-faces",
    phantom="faces",
    note="Without real data it trains on drawn faces.",
)
