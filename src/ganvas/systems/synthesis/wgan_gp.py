"""Wasserstein GAN with gradient penalty. Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, 2017, "Improved Training of
Wasserstein GANs" (NeurIPS, arXiv 1704.00028).

The critic f estimates the Wasserstein distance, E[f(x)] - E[f(G(z))] under |grad f| <= 1. Weight clipping (WGAN) made it too
simple; here a penalty holds its gradient near norm 1 between real and fake records:
    min_f  E[f(G(z))] - E[f(x)] + lambda E[(||grad f(x^)||_2 - 1)^2],   x^ = x + u (G(z) - x),   u ~ U[0, 1] per record.
G raises E[f(G(z))]. The critic moves five times on fresh batches for each move of G, and has no BatchNorm: the penalty is
about single records.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ganvas.batches import Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn, constant_rate
from ganvas.networks.convolutional import LASTS
from ganvas.networks.pair import affordable_width, build_pair
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.penalties import interpolation_penalty
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Improved Training of Wasserstein GANs (WGAN-GP)",
    "authors": "Gulrajani et al.",
    "year": 2017,
    "paper": "arXiv 1704.00028",
    "summary": "a critic with bounded slope: hardly collapses, and its loss means something",
    "data": ["image", "points"],
    "aliases": ["wgangp", "improved-wgan"],
}


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(128, "size of the latent vector", low=1)
    width: int = knob(32, "channels at full resolution (images) or units of a layer (points)", low=1, high=1024)
    layers: int = knob(3, "hidden layers of each network (points)", low=1, high=32)
    critic_turns: int = knob(5, "moves of the critic, each on a fresh batch, for one of G", low=1, high=100)
    penalty_weight: float = knob(10.0, "weight of the gradient penalty (lambda)", low=0.0)
    generator_learning_rate: float = knob(1e-4, "learning rate of G (Adam)", low=0.0)
    critic_learning_rate: float = knob(1e-4, "learning rate of the critic (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.9, "second beta of Adam", low=0.0, high=0.99999)
    generator_last: str = knob("transposed", "how the last layer of G enlarges (images): else before a 5x5 one", choices=LASTS)
    augment: tuple[str, ...] = knob((), "changes that the critic sees on real and fake images alike", choices=POLICIES)
    linear_decay: bool = knob(False, "let the learning rates fall to zero, linearly over the budget")
    ema_half_life: float = knob(20_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(64, "records in a batch", low=1)


WORK = 1.2  # of a round for an image that is drawn, in rounds of dcgan: two moves of the critic and one of G for each two
WIDE = 32  # channels from which the paper's rates, batches and five moves of the critic are kept


def auto(situation: Situation) -> dict[str, Any]:
    """Points: small perceptrons, two fast critic moves, falling rates. Images: the largest width whose learning the budget can
    pay for; where that is a narrow one, small batches, two critic moves and faster rates, since few rounds are to be had."""
    if situation.spec.kind == "points":
        return {
            "latent_size": max(2, situation.spec.dimensions), "width": 128, "batch_size": 128, "critic_turns": 2,
            "penalty_weight": 0.1,
            "generator_learning_rate": 1e-3, "critic_learning_rate": 2e-3, "beta1": 0.0, "linear_decay": True,
            "ema_half_life": 100_000.0,
        }  # fmt: skip
    width = affordable_width(situation, WORK)
    seen = ("color", "translation", "cutout") if situation.records < 20_000 else ()
    if width >= WIDE:
        return {"width": width, "augment": seen, "generator_last": "nearest"}
    return {
        "width": width, "batch_size": 16, "critic_turns": 2, "generator_learning_rate": 5e-4, "critic_learning_rate": 5e-4,
        "ema_half_life": 2_000.0, "augment": seen, "generator_last": "nearest",
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"width": 64, "ema_half_life": 0.0}}


class WganGp(System):
    Config = Config
    couples_batch = "BatchNorm in G (images): micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.generator, self.critic = build_pair(spec, config, critic_norm=False)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1, beta2=self.config.beta2)

        decay = linear_decay() if self.config.linear_decay else constant_rate
        return (
            Player("critic", ("critic",), rule(self.config.critic_learning_rate), decay),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate), decay),
        )

    def phases(self) -> tuple[Phase, ...]:
        critic = Turn("critic", self.estimate, times=self.config.critic_turns, fresh=True)
        return (Phase("play", (critic, Turn("generator", self.approach))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def estimate(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        real, fake = self._seen(batch.real, batch), self._seen(self._fake(batch).detach(), batch)
        share = batch.noise.uniform(len(batch))
        return {
            "distance": self.critic(fake).mean() - self.critic(real).mean(),  # minus the Wasserstein estimate
            "penalty": self.config.penalty_weight * interpolation_penalty(self.critic, real, fake, share),
        }

    def approach(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        return {"approach": -self.critic(self._seen(self._fake(batch), batch)).mean()}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self.average(noise.normal(count, self.config.latent_size))

    def _fake(self, batch: Any) -> Tensor:
        return self.generator(batch.noise.normal(len(batch), self.config.latent_size))

    def _seen(self, records: Tensor, batch: Any) -> Tensor:
        return augment(records, batch.noise, self.config.augment)
