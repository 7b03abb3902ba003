"""Projected GAN: features of a pretrained network teach G sooner than those of a random one; what is frozen stays frozen."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.config import build_config
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.kinds.image.spec import ImageSpec
from ganvas.store.records import Dataset, Field
from ganvas.systems.synthesis.projected_gan import Config, ProjectedGan

SPEC = ImageSpec(1, 16, 16)
SMALL: dict[str, Any] = {
    "width": 4, "discriminator_width": 4, "projection_side": 64, "batch_size": 8, "latent_size": 8, "learning_rate": 1e-3,
    "ema_half_life": 200.0,
}  # fmt: skip


def build(spec: ImageSpec = SPEC, **settings: Any) -> ProjectedGan:
    torch.manual_seed(0)
    return ProjectedGan(spec, build_config(Config, SMALL | {"augment": ()} | settings))


def batch_of(system: ProjectedGan, count: int = 4) -> Batch:
    noise = Noise.seeded(0)
    return Batch(noise, {"real": noise.uniform(count, *system.spec.shape) * 2 - 1})


def rings(count: int, seed: int) -> np.ndarray:
    """A bright ring or cross on dark, of any size and at any place."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:16, :16]
    images = []
    for _ in range(count):
        (top, left), size = rng.uniform(5, 11, 2), rng.uniform(3, 5)
        down, across = np.abs(row - top), np.abs(column - left)
        far = np.hypot(down, across)
        inside = (far < size) & (far > size - 1.6) if rng.random() < 0.5 else (np.minimum(down, across) < 1) & (far < size)
        images.append(np.where(inside, rng.integers(170, 250), rng.integers(10, 60)))
    return np.stack(images).astype(np.uint8)[..., None]


def played(rounds: int, images: np.ndarray, **settings: Any) -> ProjectedGan:
    made = build(**settings)
    count = len(images)
    data = Dataset({"real": Field(SPEC, images)}, None, np.arange(count), np.zeros(count, bool), "rings", "")
    engine = Engine(made, {"data": open_stream(data, made.feeds()["data"], 8, seed=0)}, seed=0, check_every=50)
    for _ in range(rounds):
        engine.play_round()
    return made.eval()


def far_from(images: Tensor, others: Tensor) -> float:
    """Energy distance of pixels, over the mean distance of the others."""
    x, y = images.flatten(1), others.flatten(1)
    between, own, their = torch.cdist(x, y).mean(), torch.cdist(x, x).mean(), torch.cdist(y, y).mean()
    return float((2 * between - own - their) / their)
