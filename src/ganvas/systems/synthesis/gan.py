"""Generative Adversarial Nets. Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville, Bengio, 2014 (arXiv
1406.2661).

Two perceptrons play for the value  V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))].  D raises it; G lowers its second term
(`minimax`) or, because that saturates while D is winning, raises E[log D(G(z))] (`non-saturating`, the paper's advice).
At the optimum D is 1/2 everywhere and G draws from the data.

For points, vectors and small images. When the data has labels, both networks see the label as a one-hot vector, so that one
run learns every pattern of a set (`labels = false` ignores them).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn.functional import one_hot

from ganvas.batches import Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn, constant_rate
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.perceptron import Perceptron
from ganvas.objectives.adversarial import fake_is_fake, minimax, non_saturating, real_is_real
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import NAMES, optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Generative Adversarial Nets",
    "authors": "Goodfellow et al.",
    "year": 2014,
    "paper": "arXiv 1406.2661",
    "summary": "perceptrons on points, vectors and small images; minimax or non-saturating",
    "data": ["points", "image"],
    "suits": {"points": "anything"},
}


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(2, "size of the latent vector", low=1)
    width: int = knob(128, "units of each hidden layer", low=1)
    layers: int = knob(3, "hidden layers of each network", low=1, high=32)
    loss: str = knob("non-saturating", "the generator's loss", choices=("non-saturating", "minimax"))
    labels: bool = knob(True, "show labels, where the data has them, to both networks")
    optimiser: str = knob("adam", "optimiser of both networks", choices=NAMES)
    generator_learning_rate: float = knob(1e-3, "learning rate of the generator", low=0.0)
    discriminator_learning_rate: float = knob(2.5e-4, "learning rate of the discriminator", low=0.0)
    beta1: float = knob(0.0, "first beta of Adam, momentum of others", low=0.0, high=0.9999)
    linear_decay: bool = knob(True, "let the learning rates fall to zero, linearly over the budget")
    ema_half_life: float = knob(50_000.0, "half-life in samples of the generator that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(512, "records in a batch", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """Points: the defaults, with a latent vector as long as a point. Images: wider networks, longer latents, slower rates."""
    if situation.spec.kind == "points":
        return {"latent_size": max(2, situation.spec.dimensions)}
    return {
        "latent_size": 64,
        "width": 512,
        "generator_learning_rate": 2e-4,
        "discriminator_learning_rate": 2e-4,
        "beta1": 0.5,
        "batch_size": 64,
    }


PRESETS: dict[str, Any] = {
    "auto": auto,
    "paper": {
        "optimiser": "sgd",
        "generator_learning_rate": 0.1,
        "discriminator_learning_rate": 0.1,
        "beta1": 0.5,
        "batch_size": 100,
        "latent_size": 100,
        "width": 1200,
        "layers": 2,
        "linear_decay": False,
        "ema_half_life": 0.0,
    },
    "minimax": {"loss": "minimax"},
}


class Gan(System):
    Config = Config

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.classes = len(spec.classes) if config.labels else 0
        size = math.prod(spec.shape)
        shape = {"width": config.width, "layers": config.layers, "condition": self.classes}
        squash = isinstance(spec, ImageSpec)
        self.generator = Perceptron(config.latent_size, size, shape=spec.shape, squash=squash, **shape)
        self.discriminator = Perceptron(size, 1, **shape)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser(self.config.optimiser, rate, beta1=self.config.beta1)

        decay = linear_decay() if self.config.linear_decay else constant_rate
        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate), decay),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate), decay),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def discriminate(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        real = batch.real
        condition = self._condition(batch.labels)
        fake = self._fake(batch, condition).detach()
        return {
            "real": real_is_real(self.discriminator(real, condition)),
            "fake": fake_is_fake(self.discriminator(fake, condition)),
        }

    def fool(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        condition = self._condition(batch.labels)
        logits = self.discriminator(self._fake(batch, condition), condition)
        loss = non_saturating if self.config.loss == "non-saturating" else minimax
        return {"fool": loss(logits)}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        if labels is None and self.classes:
            labels = noise.integers(self.classes, count)
        latents = noise.normal(count, self.config.latent_size)
        return self.average(latents, self._condition(labels))

    def _fake(self, batch: Any, condition: Tensor | None) -> Tensor:
        latents = batch.noise.normal(len(batch), self.config.latent_size)
        return self.generator(latents, condition)

    def _condition(self, labels: Tensor | None) -> Tensor | None:
        if not self.classes or labels is None:
            return None
        return one_hot(labels, self.classes).to(next(self.generator.parameters()).dtype)
