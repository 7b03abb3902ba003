"""Auxiliary Classifier GAN. Odena, Olah, Shlens, 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs" (ICML,
arXiv 1610.09585).

The generator is given a class c and noise z. The discriminator is not told the class: it gives the probability of each source
(real or fake) and, by a second head on the same features, that of each class. With
    L_S = E[log P(S = real | x)] + E[log P(S = fake | G(c, z))]
    L_C = E[log P(C = c | x)]    + E[log P(C = c | G(c, z))]
D maximises L_S + L_C, and G maximises L_C - L_S: a sample shall look real, and be recognised as what was asked for.

The networks are those of `cgan` and `dcgan`; D ends in 1 + K numbers in the place of one. For images and points with labels.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from ganvas.batches import Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.kinds.image.spec import ImageSpec
from ganvas.networks.convolutional import ConvolutionalEncoder, ConvolutionalGenerator
from ganvas.networks.pair import affordable_width
from ganvas.networks.perceptron import Perceptron
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Conditional Image Synthesis with Auxiliary Classifier GANs",
    "authors": "Odena, Olah, Shlens",
    "year": 2017,
    "paper": "arXiv 1610.09585",
    "summary": "records of a class you name, which D must recognise; needs labelled data",
    "data": ["image", "points"],
    "aliases": ["ac-gan"],
}


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(100, "size of the latent vector", low=1)
    width: int = knob(24, "channels at full resolution (images) or units of a layer (points)", low=1, high=1024)
    layers: int = knob(3, "hidden layers of each network (points)", low=1, high=32)
    class_weight: float = knob(1.0, "weight of L_C, that classes are recognised; 0: the source alone counts", low=0.0)
    learn_from_fakes: bool = knob(True, "D learns the classes from fakes as well; false: from real records alone")
    generator_learning_rate: float = knob(5e-4, "learning rate of G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(5e-4, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake images alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(32, "records in a batch", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """The width by the budget; augmentation without colour, which is often what tells classes apart."""
    if len(situation.spec.shape) < 3:  # points
        return {"width": 64}
    return {
        "width": affordable_width(situation),
        "augment": ("translation", "cutout") if situation.records < 2_000 else (),
    }


PRESETS: dict[str, Any] = {
    "auto": auto,
    "paper": {
        "latent_size": 110,
        "width": 64,
        "generator_learning_rate": 2e-4,
        "discriminator_learning_rate": 2e-4,
        "batch_size": 100,
        "ema_half_life": 0.0,
    },
}


class AcGan(System):
    Config = Config
    couples_batch = "BatchNorm (images): micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.classes = len(spec.classes)
        if self.classes < 2:
            raise GanvasError(
                "acgan needs labelled data with two classes or more: class sub-folders, labels.csv, or dcgan instead"
            )
        given, told = config.latent_size + self.classes, 1 + self.classes
        if isinstance(spec, ImageSpec):
            self.generator: Any = ConvolutionalGenerator(given, spec.shape, config.width)
            self.discriminator: Any = ConvolutionalEncoder(spec.shape, told, config.width)
        else:
            size, shape = math.prod(spec.shape), {"width": config.width, "layers": config.layers}
            self.generator = Perceptron(given, size, shape=spec.shape, **shape)
            self.discriminator = Perceptron(size, told, shape=(told,), **shape)
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
        """-(L_S + L_C)."""
        real = batch.real
        shared["fake"] = self._fake(batch)  # with its graph: the generator's turn goes on from here
        real_source, real_class = self._judge(real, batch)
        fake_source, fake_class = self._judge(shared["fake"].detach(), batch)
        terms = {
            "real": real_is_real(real_source),
            "fake": fake_is_fake(fake_source),
            "class of real": self._named(real_class, batch),
        }
        return {**terms, "class of fake": self._named(fake_class, batch)} if self.config.learn_from_fakes else terms

    def fool(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        """-(L_C - L_S), with the non-saturating form of L_S."""
        source, said = self._judge(shared.pop("fake") if "fake" in shared else self._fake(batch), batch)
        return {"fool": non_saturating(source), "class": self._named(said, batch)}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        if labels is None:
            labels = noise.integers(self.classes, count)
        latents = noise.normal(count, self.config.latent_size)
        return self.average(torch.cat([latents, one_hot(labels, self.classes).to(latents)], dim=1))

    def _fake(self, batch: Any) -> Tensor:
        """Of the classes of the real batch, so that they come in the data's own proportions."""
        latents = batch.noise.normal(len(batch), self.config.latent_size)
        return self.generator(torch.cat([latents, one_hot(batch.labels, self.classes).to(latents)], dim=1))

    def _judge(self, records: Tensor, batch: Any) -> tuple[Tensor, Tensor]:
        """Logits of the source (B,) and of the classes (B, K)."""
        if records.dim() == 4:
            records = augment(records, batch.noise, self.config.augment)
        told = self.discriminator(records)
        return told[:, 0], told[:, 1:]

    def _named(self, logits: Tensor, batch: Any) -> Tensor:
        """-log P(C = c), weighted."""
        return self.config.class_weight * cross_entropy(logits, batch.labels)
