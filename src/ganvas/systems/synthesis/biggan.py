"""BigGAN. Brock, Donahue, Simonyan, 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis" (ICLR,
arXiv 1809.11096).

Residual networks with spectral norm in both players and hinge losses,
    min_D  E[max(0, 1 - D(x, y))] + E[max(0, 1 + D(G(z, y), y))]          min_G  -E[D(G(z, y), y)] + beta R(G)
where D knows the class by projection, D(x, y) = w . f(x) + <e(y), f(x)>, and G by the scales and shifts of its BatchNorms: they
are linear in an embedding of the class that all blocks share and in a piece of the latent that each block has of its own.
    R(G) = sum over layers of ||W^T W (1 - I)||_F^2                                                          (eq. 3)
keeps filters apart, so that G is smooth and samples may be truncated: latents from the normal distribution within a threshold;
the smaller it is, the more typical and alike are the samples.

Networks: `ganvas.networks.biggan`. This is the small form; what the paper calls big are batches of 2048 and 96 channels.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import relu

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.biggan import Generator, ProjectionDiscriminator, orthogonal_penalty
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Large Scale GAN Training for High Fidelity Natural Image Synthesis (BigGAN)",
    "authors": "Brock, Donahue, Simonyan",
    "year": 2019,
    "paper": "arXiv 1809.11096",
    "summary": "images of many classes by residual networks; samples more typical or more varied, as you ask",
    "data": ["image"],
    "aliases": ["big-gan"],
}

UNTRUNCATED = 4.0  # threshold from which on latents are as they were in training


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(120, "size of the latent vector, cut into equal pieces for the blocks of G", low=1)
    class_size: int = knob(128, "size of a class's embedding in G, which all blocks share", low=1)
    width: int = knob(16, "channels at full resolution; doubles inwards, at most 16 times", low=1, high=1024)
    flat: bool = knob(False, "4 times `width` channels at every size, as the paper's networks for 32 pixels")
    attention: int = knob(0, "shorter side, in pixels, of the maps with self-attention; 0: none", low=0)
    critic_turns: int = knob(1, "moves of D for one of G, each on a batch of its own", low=1, high=100)
    orthogonal_weight: float = knob(1e-4, "weight of R(G), that filters are unlike each other (beta); 0: none", low=0.0)
    generator_learning_rate: float = knob(2e-4, "learning rate of G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(2e-4, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.0, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.999, "second beta of Adam", low=0.0, high=0.99999)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake images alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(32, "images in a batch", low=2)
    truncation: float = knob(
        UNTRUNCATED, "threshold within which latents are drawn; 4: as in training", low=0.02, high=UNTRUNCATED, later=True
    )


WORK_PER_IMAGE = 0.32 / 16**2 / 32**2  # GFLOP of a round for one image, by the square of the width and by pixels
IMAGES_WANTED = {8: 0, 12: 100_000, 16: 300_000, 24: 1_000_000, 32: 2_000_000, 64: 10_000_000}  # width -> to pay off
NARROW = 16


def auto(situation: Situation) -> dict[str, Any]:
    """Narrow, without attention and in large steps, so that minutes of a core give a result; wider where the budget pays."""
    spec = situation.spec
    width = widest(situation, IMAGES_WANTED, lambda width: WORK_PER_IMAGE * width**2 * spec.height * spec.width)
    steps = {"generator_learning_rate": 1e-3, "discriminator_learning_rate": 2e-3} if width <= NARROW else {}
    return {
        "width": width, "latent_size": 64, "class_size": 32, "batch_size": 16 if width <= NARROW else 32, **steps,
        "augment": ("translation", "cutout") if situation.records < 5_000 else (), "ema_half_life": 8_000.0,
    }  # fmt: skip


def paper(situation: Situation) -> dict[str, Any]:
    """At 32 pixels that of CIFAR-10, else that of ImageNet."""
    if min(situation.spec.height, situation.spec.width) <= 32:
        return {"width": 64, "flat": True, "critic_turns": 4, "batch_size": 50, "ema_half_life": 350_000.0}
    return {
        "width": 96, "attention": 64 if min(situation.spec.height, situation.spec.width) > 64 else 32, "critic_turns": 2,
        "generator_learning_rate": 5e-5, "discriminator_learning_rate": 2e-4, "batch_size": 2048, "ema_half_life": 14e6,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": paper}


def truncated(latents: Tensor, threshold: float) -> Tensor:
    """Standard normal numbers -> numbers of the normal distribution within +-threshold, in the same order.

    The paper draws again what lies beyond; this takes each number to the same quantile of what is left, which is the same
    distribution, and the same latent stays the same thing at every threshold.
    """
    if threshold >= UNTRUNCATED:
        return latents
    wide = latents.double()
    bound = torch.special.ndtr(torch.tensor(threshold, dtype=wide.dtype, device=wide.device))
    return torch.special.ndtri(1 - bound + torch.special.ndtr(wide) * (2 * bound - 1)).to(latents.dtype)


class BigGan(System):
    Config = Config
    undecided = 2.0  # of hinge losses
    couples_batch = "BatchNorm in G: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.classes = len(spec.classes)
        if self.classes < 2:
            raise GanvasError(
                "biggan needs labelled images of two classes or more: class sub-folders, labels.csv, or dcgan instead"
            )
        form = (spec.shape, config.width, config.flat, config.attention)
        self.generator = Generator(config.latent_size, self.classes, config.class_size, *form)
        self.discriminator = ProjectionDiscriminator(self.classes, *form)
        self.average = copy.deepcopy(self.generator)
        self.config = replace(config, latent_size=self.generator.latent_size)

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1, beta2=self.config.beta2)

        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate)),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate)),
        )

    def phases(self) -> tuple[Phase, ...]:
        critic = Turn("discriminator", self.discriminate, times=self.config.critic_turns, fresh=True)
        return (Phase("play", (critic, Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    # The game

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Hinge losses."""
        shared["fake"] = self._fake(batch)  # with its graph: the generator's turn goes on from here
        return {
            "real": relu(1 - self._judge(batch.real, batch)).mean(),
            "fake": relu(1 + self._judge(shared["fake"].detach(), batch)).mean(),
        }

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch)
        terms = {"fool": -self._judge(fake, batch).mean()}
        if self.config.orthogonal_weight:
            terms["likeness of filters"] = self.config.orthogonal_weight * orthogonal_penalty(self.generator)
        return terms

    def _fake(self, batch: Batch) -> Tensor:
        """Of the classes of the real batch, so that they come in the data's own proportions."""
        images: Tensor = self.generator(batch.noise.normal(len(batch), self.config.latent_size), batch.labels)
        return images

    def _judge(self, images: Tensor, batch: Batch) -> Tensor:
        """D's logits (B,) of images under the batch's classes."""
        logits: Tensor = self.discriminator(augment(images, batch.noise, self.config.augment), batch.labels)
        return logits

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        if labels is None:
            labels = noise.integers(self.classes, count)
        latents = truncated(noise.normal(count, self.config.latent_size), self.config.truncation)
        images: Tensor = self.average(latents, labels)
        return images
