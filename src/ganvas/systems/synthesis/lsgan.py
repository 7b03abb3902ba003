"""Least Squares GAN. Mao, Li, Xie, Lau, Wang, Smolley, 2017 (ICCV, arXiv 1611.04076).

The cross-entropy loss hardly moves fakes that D already takes for real but that lie far from the data. Least squares pull
them towards the boundary:
    min_D 1/2 E[(D(x) - b)^2] + 1/2 E[(D(G(z)) - a)^2]      min_G 1/2 E[(D(G(z)) - c)^2]
With b - c = 1 and b - a = 2 the game minimises the Pearson chi-squared divergence; (a, b, c) = (0, 1, 1) is the usual coding.
D's output is linear: there is no sigmoid.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ganvas.batches import Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.convolutional import LASTS
from ganvas.networks.pair import affordable_width, build_pair
from ganvas.objectives.adversarial import least_squares
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.optim import NAMES, optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Least Squares Generative Adversarial Networks",
    "authors": "Mao et al.",
    "year": 2017,
    "paper": "arXiv 1611.04076",
    "summary": "least-squares losses: gradients also for fakes that already fool D",
    "data": ["image", "points"],
}


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(100, "size of the latent vector", low=1)
    width: int = knob(32, "channels at full resolution (images) or units of a layer (points)", low=1, high=1024)
    layers: int = knob(3, "hidden layers of each network (points)", low=1, high=32)
    fake_target: float = knob(0.0, "a: what D should say of fakes")
    real_target: float = knob(1.0, "b: what D should say of real records")
    fool_target: float = knob(1.0, "c: what G wants D to say")
    discriminator_batch_norm: bool = knob(True, "BatchNorm in D (images)")
    optimiser: str = knob("adam", "optimiser of both players", choices=NAMES)
    learning_rate: float = knob(1e-3, "learning rate of both players", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam, momentum of others", low=0.0, high=0.9999)
    generator_last: str = knob("transposed", "how the last layer of G enlarges (images): else before a 5x5 one", choices=LASTS)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake images alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(32, "records in a batch", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """Points: latents as long as a point, wide layers and large batches, with which the ring of 8 Gaussians keeps its modes;
    with the networks for images it loses all but one or two. Images: what `dcgan` has, in whose networks the game is played:
    the width whose learning the budget can pay for, small batches, augmentation."""
    if situation.spec.kind == "points":
        return {"latent_size": max(2, situation.spec.dimensions), "width": 128, "batch_size": 256}
    return {
        "width": affordable_width(situation),
        "batch_size": 16 if situation.device == "cpu" else 32,
        "augment": ("color", "translation", "cutout") if situation.records < 20_000 else (),
        "generator_last": "nearest",
    }


PRESETS: dict[str, Any] = {
    "auto": auto,
    "paper": {"width": 64, "batch_size": 64, "ema_half_life": 0.0},
    "pearson": {"fake_target": -1.0, "real_target": 1.0, "fool_target": 0.0},
}


class LsGan(System):
    Config = Config
    mixed_is_safe = True
    couples_batch = "BatchNorm (images): micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.generator, self.discriminator = build_pair(spec, config, critic_norm=config.discriminator_batch_norm)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        rule = optimiser(self.config.optimiser, self.config.learning_rate, beta1=self.config.beta1)
        return (Player("discriminator", ("discriminator",), rule), Player("generator", ("generator",), rule))

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def discriminate(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._fake(batch)
        real, fake = self._seen(batch.real, batch), self._seen(shared["fake"].detach(), batch)
        return {
            "real": least_squares(self.discriminator(real), self.config.real_target),
            "fake": least_squares(self.discriminator(fake), self.config.fake_target),
        }

    def fool(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch)
        return {"fool": least_squares(self.discriminator(self._seen(fake, batch)), self.config.fool_target)}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self.average(noise.normal(count, self.config.latent_size))

    def _fake(self, batch: Any) -> Tensor:
        return self.generator(batch.noise.normal(len(batch), self.config.latent_size))

    def _seen(self, records: Tensor, batch: Any) -> Tensor:
        return augment(records, batch.noise, self.config.augment)
