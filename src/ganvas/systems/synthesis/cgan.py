"""Conditional GAN. Mirza, Osindero, 2014, "Conditional Generative Adversarial Nets" (arXiv 1411.1784).

Both players see the label y:  V(D, G) = E[log D(x | y)] + E[log(1 - D(G(z | y) | y))].  If only G saw it, it could ignore it; D
must be able to call a good image of the wrong class a fake. Fakes take the labels of the real batch, so the classes come in
the data's own proportions.

For images (convolutional networks, the label as planes beside the image) and points (perceptrons). The data must have labels:
class sub-folders, a labels.csv, or labels in an .npz.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ganvas.batches import Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.convolutional import ConvolutionalDiscriminator, ConvolutionalGenerator
from ganvas.networks.perceptron import Perceptron
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.optim import optimiser

CARD = {
    "title": "Conditional Generative Adversarial Nets",
    "authors": "Mirza, Osindero",
    "year": 2014,
    "paper": "arXiv 1411.1784",
    "summary": "records of a class you name; needs labelled data",
    "data": ["image", "points"],
    "suits": {"image": "classes", "points": "classes"},
    "aliases": ["conditional-gan"],
}


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(100, "size of the latent vector", low=1)
    width: int = knob(24, "channels at full resolution (images) or units of a layer (points)", low=1, high=1024)
    layers: int = knob(3, "hidden layers of each network (points)", low=1, high=32)
    generator_learning_rate: float = knob(5e-4, "learning rate of G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(5e-4, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake images alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(32, "records in a batch", low=1)


PRESETS: dict[str, Any] = {"auto": {}, "paper": {"batch_size": 100, "ema_half_life": 0.0}}


class CGan(System):
    Config = Config
    couples_batch = "BatchNorm (images): micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.classes = len(spec.classes)
        if self.classes < 2:
            raise GanvasError(
                "cgan needs labelled data with two classes or more: class sub-folders, labels.csv, or dcgan instead"
            )
        if isinstance(spec, ImageSpec):
            channels, height, columns = spec.shape
            self.generator: Any = ConvolutionalGenerator(config.latent_size + self.classes, spec.shape, config.width)
            self.discriminator: Any = ConvolutionalDiscriminator((channels + self.classes, height, columns), config.width)
        else:
            size, shape = math.prod(spec.shape), {"width": config.width, "layers": config.layers}
            self.generator = Perceptron(config.latent_size + self.classes, size, shape=spec.shape, **shape)
            self.discriminator = Perceptron(size + self.classes, 1, **shape)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1)

        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate)),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate)),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def discriminate(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        real = batch.real
        shared["fake"] = self._fake(batch)
        return {
            "real": real_is_real(self._judge(real, batch)),
            "fake": fake_is_fake(self._judge(shared["fake"].detach(), batch)),
        }

    def fool(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch)
        return {"fool": non_saturating(self._judge(fake, batch))}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        if labels is None:
            labels = noise.integers(self.classes, count)
        latents = noise.normal(count, self.config.latent_size)
        return self.average(torch.cat([latents, one_hot(labels, self.classes).to(latents)], dim=1))

    def _fake(self, batch: Any) -> Tensor:
        latents = batch.noise.normal(len(batch), self.config.latent_size)
        return self.generator(torch.cat([latents, one_hot(batch.labels, self.classes).to(latents)], dim=1))

    def _judge(self, records: Tensor, batch: Any) -> Tensor:
        """D's logits of records under the batch's labels."""
        label = one_hot(batch.labels, self.classes).to(records)
        if records.dim() == 2:
            return self.discriminator(torch.cat([records, label], dim=1))
        records = augment(records, batch.noise, self.config.augment)
        planes = label[:, :, None, None].expand(-1, -1, *records.shape[2:])
        return self.discriminator(torch.cat([records, planes], dim=1))
