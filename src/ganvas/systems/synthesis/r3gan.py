"""R3GAN. Huang, Gokaslan, Kuleshov, Tompkin, 2024, "The GAN is dead; long live the GAN! A Modern Baseline GAN" (NeurIPS,
arXiv 2501.05441).

Each generated image is judged against a real one, so that no mode can be left out without a price (Jolicoeur-Martineau 2019):
    min_D  E[f(D(x) - D(G(z)))]       min_G  E[f(D(G(z)) - D(x))]       f(t) = log(1 + e^-t)
With both penalties, gamma / 2 (R1 + R2),
    R1 = E ||grad_x D(x)||^2  at real images         R2 = E ||grad_x D(x)||^2  at generated ones
training converges locally; with R1 alone D may grow steep where the generated images are, and it does. That is all: no
minibatch statistics, no norms, no path length; Adam without momentum; residual networks (`ganvas.networks.r3gan`).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.r3gan import Discriminator, Form, Generator
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.penalties import zero_centred_penalty
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "The GAN is dead; long live the GAN! A Modern Baseline GAN (R3GAN)",
    "authors": "Huang, Gokaslan, Kuleshov, Tompkin",
    "year": 2024,
    "paper": "arXiv 2501.05441",
    "summary": "today's plain baseline: each fake is judged against a real image, and D kept flat around both",
    "data": ["image"],
    "aliases": ["r3-gan"],
}


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(64, "size of the latent vector", low=1)
    width: int = knob(16, "channels at full resolution; doubles inwards", low=1, high=1024)
    max_width: int = knob(128, "most channels of a layer's maps", low=1, high=4096)
    blocks: int = knob(1, "residual blocks at each size", low=1, high=16)
    expansion: int = knob(2, "how many times more channels inside a block", low=1, high=8)
    group: int = knob(16, "channels in a group of the 3x3 convolutions; 0: all together", low=0)
    patch: int = knob(2, "side in pixels of a place of the largest maps; 1: every pixel, as in the paper", choices=(1, 2, 4))
    r1_weight: float = knob(1.0, "gamma of R1, at real images; 0: off", low=0.0)
    r2_weight: float = knob(1.0, "gamma of R2, at generated images; 0: off", low=0.0)
    gamma_fall: float = knob(0.1, "what is left of both gammas at the end of the budget (cosine); 1: all", low=0.0, high=1.0)
    penalties_every: int = knob(4, "rounds between two times of the penalties, which then weigh as many times more", low=1)
    rate: float = knob(1e-3, "learning rate of both players (Adam)", low=0.0)
    rate_fall: float = knob(0.25, "what is left of the rate at the end of the budget (cosine); 1: all", low=0.0, high=1.0)
    beta2: float = knob(0.99, "second beta of Adam; the first is 0", low=0.0, high=0.99999)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake images alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(16, "images in a batch", low=1)


PRESETS: dict[str, Any] = {"auto": {}, "paper": {"patch": 1}}


def falling(clock: Clock, left: float) -> float:
    """From 1 at the start of the budget to `left` at its end, by half a cosine."""
    return left + (1 - left) * (0.5 + 0.5 * math.cos(math.pi * clock.progress))


class R3Gan(System):
    Config = Config

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.classes = len(spec.classes) if len(spec.classes) > 1 else 0
        form = Form(config.width, config.max_width, config.blocks, config.expansion, config.group, config.patch)
        self.generator = Generator(config.latent_size, self.classes, spec.shape, form)
        self.discriminator = Discriminator(self.classes, spec.shape, form)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        config = self.config
        lazy = config.penalties_every / (config.penalties_every + 1) if config.penalties_every > 1 else 1.0

        def rule(share: float) -> Any:
            return optimiser("adam", config.rate * share, beta1=0.0, beta2=config.beta2**share)

        def rate(clock: Clock) -> float:
            return falling(clock, config.rate_fall)

        return (
            Player("discriminator", ("discriminator",), rule(lazy), rate=rate),
            Player("generator", ("generator",), rule(1.0), rate=rate),
        )

    def phases(self) -> tuple[Phase, ...]:
        turns = [Turn("discriminator", self.discriminate)]
        if self.config.r1_weight or self.config.r2_weight:
            turns.append(Turn("discriminator", self.flatten, every=self.config.penalties_every))
        return (Phase("play", (*turns, Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    # The game

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._fake(batch)  # with its graph: the generator's turn goes on from here
        real, fake = self._judge(batch, shared["fake"].detach())
        return {"relative": softplus(fake - real).mean()}

    def flatten(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        weight = falling(clock, self.config.gamma_fall) * self.config.penalties_every / 2
        terms = {}
        with torch.autocast(batch.real.device.type, enabled=False):
            for name, gamma, images in (
                ("r1", self.config.r1_weight, batch.real), ("r2", self.config.r2_weight, shared["fake"])
            ):  # fmt: skip
                if gamma:
                    images = images.detach().to(batch.real.dtype).requires_grad_()
                    seen = augment(images, batch.noise, self.config.augment)
                    penalty = zero_centred_penalty(images, self.discriminator(seen, self._told(batch.labels)))
                    terms[name] = gamma * weight * penalty
        return terms

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch)
        real, fake = self._judge(batch, fake)
        return {"relative": softplus(real - fake).mean()}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        if self.classes and labels is None:
            labels = noise.integers(self.classes, count)
        return self.average(noise.normal(count, self.config.latent_size), self._told(labels)).clamp(-1, 1)

    def _fake(self, batch: Batch) -> Tensor:
        return self.generator(batch.noise.normal(len(batch), self.config.latent_size), self._told(batch.labels))

    def _told(self, labels: Tensor | None) -> Tensor | None:
        return one_hot(labels, self.classes).float() if self.classes else None

    def _judge(self, batch: Batch, fake: Tensor) -> tuple[Tensor, Tensor]:
        told = self._told(batch.labels)
        return tuple(self.discriminator(augment(x, batch.noise, self.config.augment), told) for x in (batch.real, fake))
