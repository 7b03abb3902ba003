"""CoGAN. Liu, Tuzel, 2016, "Coupled Generative Adversarial Networks" (NeurIPS, arXiv 1606.07536).

One GAN for each class of images, G_k and D_k, without any image of one class being paired with one of another. What ties them:
    G_k = own_k o shared      (the first layers, from the latent on, decide what is seen: they are one and the same)
    D_k = shared' o own'_k    (the last layers, which decide on what was seen, as well)
    max_G min_D  sum_k  E[log D_k(x_k)] + E[log(1 - D_k(G_k(z)))]                      (equation 5; G plays non-saturating)
The classes' own layers can only render what the shared ones decided on. So images of one latent, G_1(z), G_2(z), ..., become
the same thing in several looks: a joint distribution, learnt from its margins.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Feed, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.convolutional import ConvolutionalDiscriminator, ConvolutionalGenerator, middle
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Coupled Generative Adversarial Networks (CoGAN)",
    "authors": "Liu, Tuzel",
    "year": 2016,
    "paper": "arXiv 1606.07536",
    "summary": "the same thing in the look of each class, from one latent; learnt from classes that are not paired",
    "data": ["image"],
}

MOST_CLASSES = 8  # each has networks of its own


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(100, "size of the latent vector", low=1)
    width: int = knob(64, "channels of the widest feature maps at full resolution; doubles inwards", low=1, high=1024)
    own_generator_layers: int = knob(
        1, "last layers of G that each class has for itself; the others are shared", low=1, high=16
    )
    own_discriminator_layers: int = knob(1, "first layers of D that each class has for itself", low=1, high=16)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake alike", choices=POLICIES)
    learning_rate: float = knob(2e-4, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(0.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(64, "images of each class in a batch", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """Small batches and a moving average; a narrow network on a processor, which minutes can train."""
    quick = situation.device == "cpu" and (situation.seconds is None or situation.seconds <= 3600)
    return {
        "width": 16 if quick else 32, "batch_size": 16 if situation.device == "cpu" else 32, "learning_rate": 5e-4,
        "augment": ("color", "translation", "cutout") if situation.records < 1_000 else (), "ema_half_life": 5_000.0,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


def stages_of(network: ConvolutionalGenerator | ConvolutionalDiscriminator) -> list[nn.Sequential]:
    """The layers of a network as stages: each begins with a convolution."""
    stages: list[list[nn.Module]] = []
    for layer in network.layers:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) or not stages:
            stages.append([])
        stages[-1].append(layer)
    return [nn.Sequential(*stage) for stage in stages]


class CoupledGenerator(nn.Module):
    """Latents (B, latent) -> a list of images (B, C, H, W), one of each class asked for, from the same features."""

    def __init__(self, spec: Any, config: Any, classes: int) -> None:
        super().__init__()
        _, self.height, self.columns = spec.shape
        whole = [stages_of(ConvolutionalGenerator(config.latent_size, spec.shape, config.width)) for _ in range(classes)]
        cut = max(0, len(whole[0]) - config.own_generator_layers)
        self.shared = nn.Sequential(*whole[0][:cut])
        self.own = nn.ModuleList(nn.Sequential(*stages[cut:]) for stages in whole)

    def forward(self, latents: Tensor, classes: tuple[int, ...]) -> list[Tensor]:
        features = self.shared(latents[:, :, None, None])
        return [self._cut(self.own[index](features)) for index in classes]

    def _cut(self, images: Tensor) -> Tensor:
        return middle(images, self.height, self.columns)


class CoupledDiscriminator(nn.Module):
    """Images (B, C, H, W) of a class -> logits (B,)."""

    def __init__(self, spec: Any, config: Any, classes: int) -> None:
        super().__init__()
        whole = [stages_of(ConvolutionalDiscriminator(spec.shape, config.width)) for _ in range(classes)]
        cut = min(len(whole[0]), config.own_discriminator_layers)
        self.own = nn.ModuleList(nn.Sequential(*stages[:cut]) for stages in whole)
        self.shared = nn.Sequential(*whole[0][cut:])

    def forward(self, images: Tensor, index: int) -> Tensor:
        return self.shared(self.own[index](images)).flatten()


class CoGan(System):
    Config = Config
    mixed_is_safe = True
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.classes = len(spec.classes)
        if not 2 <= self.classes <= MOST_CLASSES:
            raise GanvasError(
                f"cogan couples 2 to {MOST_CLASSES} classes, and this data has {self.classes}: put the images of each look "
                "into a class folder of its own"
            )
        self.generator = CoupledGenerator(spec, config, self.classes)
        self.discriminator = CoupledDiscriminator(spec, config, self.classes)
        self.average = copy.deepcopy(self.generator)
        self._all = tuple(range(self.classes))
        self.undecided *= self.classes  # the terms of the classes are added up

    def feeds(self) -> dict[str, Feed]:
        return {"data": Feed(of={name: index for index, name in enumerate(self.spec.classes)})}

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        return (Player("discriminator", ("discriminator",), rule), Player("generator", ("generator",), rule))

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fakes"] = self._fakes(batch)  # with their graph: the generator's turn goes on from here
        reals, fakes = [], []
        for index, name in enumerate(self.spec.classes):
            reals.append(real_is_real(self._judged(batch[name], index, batch)))
            fakes.append(fake_is_fake(self._judged(shared["fakes"][index].detach(), index, batch)))
        return {"real": torch.stack(reals).sum(), "fake": torch.stack(fakes).sum()}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fakes = shared.pop("fakes") if "fakes" in shared else self._fakes(batch)
        terms = [non_saturating(self._judged(fake, index, batch)) for index, fake in enumerate(fakes)]
        return {"fool": torch.stack(terms).sum()}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """Latents come before labels: with one seed, samples of two classes are the same things."""
        latents = noise.normal(count, self.config.latent_size)
        if labels is None:
            labels = noise.integers(self.classes, count)
        images = torch.stack(self.average(latents, self._all), 1)
        return images[torch.arange(count, device=images.device), labels.to(images.device)]

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """A row of each latent: what it is in every class."""
        images = self.average(noise.normal(len(batch), self.config.latent_size), self._all)
        return Panel(torch.stack(images, 1), tuple(self.spec.classes))

    def _fakes(self, batch: Batch) -> list[Tensor]:
        return self.generator(batch.noise.normal(len(batch), self.config.latent_size), self._all)

    def _judged(self, images: Tensor, index: int, batch: Batch) -> Tensor:
        return self.discriminator(augment(images, batch.noise, self.config.augment), index)
