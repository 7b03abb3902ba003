"""Hinge GAN. Lim and Ye, 2017, "Geometric GAN" (arXiv 1705.02894).

The discriminator stops caring about records it already tells apart with a margin of one:
    min_D  E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]          min_G  -E[D(G(z))]
so its gradients come from the records near the boundary, as in a support vector machine.

This is the worked example of CONTRIBUTING.md. It learns images and points, with the networks that the data suits.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn.functional import relu

from ganvas.batches import Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.pair import build_pair
from ganvas.optim import optimiser

CARD = {
    "title": "Geometric GAN",
    "authors": "Lim, Ye",
    "year": 2017,
    "paper": "arXiv 1705.02894",
    "summary": "hinge losses: the discriminator learns from the records near its boundary",
    "data": ["image", "points"],
}


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(64, "size of the latent vector", low=1)
    width: int = knob(32, "channels at full resolution (images) or units of a layer (points)", low=1, high=1024)
    layers: int = knob(3, "hidden layers of each network (points)", low=1, high=32)
    rate: float = knob(2e-4, "learning rate of both players (Adam)", low=0.0)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(64, "records in a batch", low=1)


PRESETS: dict[str, Any] = {"auto": {}, "small": {"width": 16}}


class MyGan(System):
    Config = Config
    couples_batch = "BatchNorm (images): micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Config) -> None:
        super().__init__(spec, config)
        self.generator, self.discriminator = build_pair(spec, config)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.rate, beta1=0.0)
        return (Player("discriminator", ("discriminator",), rule), Player("generator", ("generator",), rule))

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def discriminate(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        real = batch.real
        shared["fake"] = self._fake(batch)  # kept with its graph: the generator's turn goes on from here
        return {
            "real": relu(1 - self.discriminator(real)).mean(),
            "fake": relu(1 + self.discriminator(shared["fake"].detach())).mean(),
        }

    def fool(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch)
        return {"fool": -self.discriminator(fake).mean()}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self.average(noise.normal(count, self.config.latent_size))

    def _fake(self, batch: Any) -> Tensor:
        return self.generator(batch.noise.normal(len(batch), self.config.latent_size))
