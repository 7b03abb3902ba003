"""Projected GAN. Sauer, Chitta, Mueller, Geiger, 2021, "Projected GANs Converge Faster" (NeurIPS, arXiv 2111.01007).

Discriminators do not see images, but what a network that was trained for something else finds in them: its features at four
scales, mixed by random layers across channels and scales (P_l), so that no easy part of them can be had alone. With one small
discriminator D_l a scale (eq. 4), and hinge losses,
    min_D  sum_l E[max(0, 1 - D_l(P_l(x)))] + E[max(0, 1 + D_l(P_l(G(z))))]          min_G  -sum_l E[D_l(P_l(G(z)))]
The network and the mixing stay as they are; gradients pass through them to the generator. Images are changed at random before
they are projected, real and generated ones alike. The generator is that of `fastgan`.

Networks: `ganvas.networks.projected`. What projects is the network by which `ganvas evaluate` judges by default, so it must not
judge this system (`extractors`): another does.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn.functional import relu

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.fastgan import Generator
from ganvas.networks.projected import Judges, Projection
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Projected GANs Converge Faster",
    "authors": "Sauer, Chitta, Mueller, Geiger",
    "year": 2021,
    "paper": "arXiv 2111.01007",
    "summary": "judged by features of a pretrained network: things take shape after few images",
    "data": ["image"],
    "aliases": ["projectedgan"],
}


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(256, "size of the latent vector", low=1)
    width: int = knob(16, "channels of G at 128 pixels; 16 times at its smallest maps", low=1, high=1024)
    discriminator_width: int = knob(16, "channels of the finest mixed features, and of D at 64 pixels", low=1, high=1024)
    projection_side: int = knob(64, "shorter side, in pixels, to which smaller images are enlarged for the features", low=64)
    pretrained: bool = knob(True, "features of a pretrained network; false: of the same network with random weights")
    cross_scale: bool = knob(True, "mix features across scales, and not only across channels")
    excitation: bool = knob(True, "small maps of G weigh the channels of large ones")
    noise_inputs: bool = knob(True, "give G a map of noise at every second size, for what is random in detail")
    learning_rate: float = knob(2e-4, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.0, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.99, "second beta of Adam", low=0.0, high=0.99999)
    augment: tuple[str, ...] = knob(
        ("color", "translation", "cutout"), "changes that D sees on real and fake images alike", choices=POLICIES
    )
    ema_half_life: float = knob(20_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(16, "images in a batch", low=2)


WORK_PER_IMAGE = 0.3 / 8**2 / 64**2  # GFLOP of G in a round, for one image, by the square of the width and by pixels
IMAGES_WANTED = {8: 0, 16: 100_000, 32: 500_000, 64: 2_000_000, 128: 8_000_000}  # width -> images it takes to pay off
NARROW = 16


def auto(situation: Situation) -> dict[str, Any]:
    """Narrow, in large steps, on features of images as large as they are, for minutes of a core; else enlarged twice."""
    spec = situation.spec
    side = min(spec.height, spec.width)
    width = widest(situation, IMAGES_WANTED, lambda width: WORK_PER_IMAGE * width**2 * spec.height * spec.width)
    narrow = width < NARROW
    return {
        "width": width, "discriminator_width": min(64, width), "latent_size": 64, "noise_inputs": not narrow,
        "projection_side": max(64, side) if narrow else max(64, min(224, 2 * side)), "augment": ("translation",),
        "learning_rate": 2e-3 if narrow else 5e-4, "ema_half_life": 1_000.0 if narrow else 5_000.0, "batch_size": 16,
    }  # fmt: skip


PAPER: dict[str, Any] = {"width": 128, "discriminator_width": 64, "projection_side": 224, "batch_size": 64}

PRESETS: dict[str, Any] = {"auto": auto, "paper": PAPER}


class ProjectedGan(System):
    Config = Config
    extractors = ("effnet",)
    undecided = 2.0  # of hinge losses
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        form = {"excitation": config.excitation, "noisy": config.noise_inputs, "small": False}
        self.generator = Generator(config.latent_size, spec.shape, config.width, **form)
        how = {"pretrained": config.pretrained, "across": config.cross_scale}
        self.projection = Projection(spec.shape, config.projection_side, config.discriminator_width, **how)
        self.discriminator = Judges(self.projection.channels, self.projection.sides, config.discriminator_width)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1, beta2=self.config.beta2)
        return (Player("discriminator", ("discriminator",), rule), Player("generator", ("generator",), rule))

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def bystanders(self) -> tuple[str, ...]:
        return ("projection",)

    # The game

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._projected_fake(batch, clock)  # with its graph: the generator's turn goes on from here
        real = self.discriminator(self._projected(batch.real, batch, clock))
        fake = self.discriminator([maps.detach() for maps in shared["fake"]])
        return {"real": relu(1 - real).mean(), "fake": relu(1 + fake).mean()}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        maps = shared.pop("fake") if "fake" in shared else self._projected_fake(batch, clock)
        return {"fool": -self.discriminator(maps).mean()}

    def _projected_fake(self, batch: Batch, clock: Clock) -> list[Tensor]:
        images = self.generator(batch.noise.normal(len(batch), self.config.latent_size), batch.noise)
        return self._projected(images, batch, clock)

    def _projected(self, images: Tensor, batch: Batch, clock: Clock) -> list[Tensor]:
        """The grid of the network's strides moves from round to round."""
        moved = (clock.round % 4, clock.round // 4 % 4)
        maps: list[Tensor] = self.projection(augment(images, batch.noise, self.config.augment), moved)
        return maps

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        images: Tensor = self.average(noise.normal(count, self.config.latent_size), noise)
        return images
