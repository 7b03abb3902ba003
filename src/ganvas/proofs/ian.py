"""The proof of `ian`: an autoencoder and a GAN in one. What it draws again of held-out pictures, and what brush strokes make of
it, looks more like real pictures than a VAE's, and is nearer to the given picture than what a GAN alone is searched for.

A stroke on each held-out picture asks for the colour that another one has there; latents move by the same steps in all arms.
All arms have the same generator and the same processor time.
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
REAL_LOOK, NEARER, FOLLOWED, OUTSIDE = 0.8, 0.8, 0.5, 0.03
STEPS, RATE, RADIUS = 30, 0.1, 1 / 8
SEARCH_STEPS = 100  # of a latent of the GAN
COMMON: dict[str, Any] = {"width": 16, "latent_size": 64, "ema_half_life": 1000.0, "batch_size": 16}
GAN = COMMON | {"generator_learning_rate": 1e-3, "discriminator_learning_rate": 1e-3}
OWN = COMMON | {"learning_rate": 1e-3, "units": 128, "norm": "layer", "latent_weight": 0.1}
VAE = {"encoder": "own", "adversarial_weight": 0.0, "feature_weight": 0.0}
TIMES = {"system": 1.0, "baseline": 2.6, "gan": 2.6}
"""Rounds for one of the system, by processor time measured with a seed that the proof does not use."""


def arm(task: Task, name: str) -> Outcome:
    """Train, draw held-out pictures again, and paint on them."""
    rounds = max(1, round(TIMES[name] * int(task.budget.removesuffix("r"))))
    system, config = ("dcgan", GAN) if name == "gan" else ("ian", OWN | (VAE if name == "baseline" else {}))
    data = task.data if task.phantom else str(Path(task.data) / "avataaars")
    side = LARGE_SIDE if task.large else SIDE
    config = config | ({"width": 64, "learning_rate": 2e-4} if task.large else {})
    run, facts = trained(task, system, config, data=data, size=str(side), budget=f"{rounds}r", threads=1, precision="32")
    dataset, board, spec = data_of(run), run.system, run.spec
    held = dataset.heldout_indices()[:MOST]
    given = encode(np.asarray(dataset.values[held]), spec).to(next(board.parameters()))
    noise = Noise.seeded(task.seed, given.device)
    with torch.no_grad():
        latents = searched(board, given, noise) if name == "gan" else board.project(given, noise)
        colours, strength = borrowed(given, RADIUS, 100 + task.seed)
        before = board.average(latents)
        after = board.average(moved(latents, board.average, colours, strength, STEPS, RATE))
        made = laid_on(given, before, after)
        asked, left, outside = (float(part.mean()) / 2 for part in followed(given, made, colours, strength))
        drawn_asked, drawn_left, _ = (float(part.mean()) / 2 for part in followed(before, after, colours, strength))
        new = board.sample(len(given), noise)
    painted, again, samples = (decode(part.cpu(), spec) for part in (after, before, new))
    value, protocol, more = distance_to_heldout(dataset, painted, MOST)
    more |= {
        "again": distance_to_heldout(dataset, again, MOST)[0],
        "new": distance_to_heldout(dataset, samples, MOST)[0],
        "error": float((before - given).abs().mean()) / 2,
        "followed": 1 - left / asked,
        "followed_in_drawing": 1 - drawn_left / drawn_asked,
        "outside": outside,
    }
    marked = torch.where(strength > 0, colours, given)
    shown = torch.stack([part[:SHOWN] for part in (given, before, marked, after, made)], 1).flatten(0, 1)
    return Outcome(value, f"{protocol}/painted drawings of held-out pictures", more | facts, decode(shown.cpu(), spec))


def searched(board: Any, images: Tensor, noise: Noise) -> Tensor:
    """Latents of a GAN that was not taught to encode: by descent on the squared error of pixels, from the origin."""
    start = torch.zeros(len(images), board.config.latent_size, device=images.device)
    return search(start, lambda z, share: (board.average(z) - images).square().mean((1, 2, 3)), SEARCH_STEPS, RATE)


def met(rows: Sequence[Row]) -> bool:
    """With every seed: more real than the VAE, nearer than the GAN, strokes followed and the rest left."""
    return all(
        row.values["system"] <= REAL_LOOK * row.values["baseline"]
        and row.more["system"]["error"] <= NEARER * row.more["gan"]["error"]
        and row.more["system"]["followed"] >= FOLLOWED
        and row.more["system"]["outside"] <= OUTSIDE
        for row in rows
    )


PROOF = Proof(
    claim="a VAE and a GAN in one: what it makes of strokes looks more real than a VAE's, and it finds pictures as no GAN does",
    baseline="the same generator as a VAE with an encoder of its own, for the same processor time",
    metric="kernel distance of painted drawings of held-out pictures to the real ones",
    direction=LOWER,
    mark=(
        f"with every seed at most {REAL_LOOK} of the VAE's distance; drawn again with at most {NEARER} of the error of a GAN "
        f"trained as long, whose latents are searched for; at least {FOLLOWED} of the colour error under strokes gone, and the "
        f"picture changed by at most {OUTSIDE} of the range elsewhere"
    ),
    met=met,
    arms={name: functools.partial(arm, name=name) for name in TIMES},
    budget="900r",
    quick_budget="40r",
    large_budget="20000r",
    real="cartoon-faces",
    phantom="faces",
    note="Without real data it trains on a phantom.",
)
