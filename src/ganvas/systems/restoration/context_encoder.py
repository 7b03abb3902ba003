"""Context encoder. Pathak, Krahenbuhl, Donahue, Darrell, Efros, 2016, "Context Encoders: Feature Learning by Inpainting"
(CVPR, arXiv 1604.07379).

A network F draws what is missing of an image x from what is around it; M is 1 where it is missing. Squared error alone asks
for the mean of all that fits, which is blurred. A discriminator that sees what is drawn in the hole, and nothing of what is
around it, asks for one of them (eq. 1 to 3):
    L_rec = |M (x - F((1 - M) x))|^2;    L_adv = max_D E log D(x) + E log(1 - D(F((1 - M) x)));
    L = 0.999 L_rec + 0.001 L_adv.
F predicts a border of what is known as well, whose error counts ten times, so that what is drawn continues what is there.
Were D shown the surroundings, it would know the seam. Holes are made while training: the middle, blocks, or any.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.membrane import grown
from ganvas.networks.context_encoder import HOLES, ContextNetwork, centre_sides, holes_for
from ganvas.networks.convolutional import ConvolutionalDiscriminator, middle
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "options": {"fit": "patches", "size": "64"},
    "title": "Context Encoders: Feature Learning by Inpainting",
    "authors": "Pathak, Krahenbuhl, Donahue, Darrell, Efros",
    "year": 2016,
    "paper": "arXiv 1604.07379",
    "summary": "fills holes in images from what is around them: one likely content, not the blur of all",
    "data": ["image"],
    "aliases": ["inpainting"],
}


@dataclass(frozen=True)
class Config:
    hole: str = knob("any", "what is missing while training: the centre, blocks, or any: blocks and strokes", choices=HOLES)
    hole_share: float = knob(0.5, "sides of the largest hole, of those of the image", low=0.1, high=0.75)
    overlap: int = knob(4, "pixels around the hole that are predicted as well", low=0, high=32)
    overlap_weight: float = knob(10.0, "weight of their error, beside 1 inside the hole", low=0.0)
    width: int = knob(64, "channels at half resolution of both networks; at most eight times as many inside", low=1, high=1024)
    code_size: int = knob(4000, "numbers of the code between encoder and decoder", low=1)
    reconstruction_weight: float = knob(0.999, "weight of the squared error", low=0.0)
    adversarial_weight: float = knob(0.001, "weight of the adversarial term; 0: squared error alone", low=0.0)
    flip: bool = knob(True, "mirror half of the images left to right")
    generator_learning_rate: float = knob(2e-3, "learning rate of F (Adam)", low=1e-9)
    discriminator_learning_rate: float = knob(2e-4, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(0.0, "half-life in samples of the average of F that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(64, "images in a batch", low=2)


WORK_PER_IMAGE = 0.55 / 16**2  # GFLOP of one round for one image of 64x64, by the square of the width
IMAGES_WANTED = {16: 0.0, 24: 60_000.0, 32: 150_000.0, 48: 500_000.0, 64: 1_500_000.0}  # width -> images it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Small batches and a short code, so that minutes give many rounds; the width is the largest that the budget pays for."""
    pixels = situation.spec.height * situation.spec.width / 64**2
    width = widest(situation, IMAGES_WANTED, lambda width: WORK_PER_IMAGE * width**2 * pixels)
    quick = {"batch_size": 16, "code_size": 512} if width <= 32 else {"batch_size": 32, "code_size": 2000}
    rates = {"generator_learning_rate": 5e-4, "discriminator_learning_rate": 5e-4}
    return {"width": width, "ema_half_life": 1_000.0, "adversarial_weight": 0.01, **rates, **quick}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"hole": "centre"}}


class ContextEncoder(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        if min(spec.height, spec.width) < 8:
            raise GanvasError(f"images of {spec.height}x{spec.width} are too small to have a hole: the least is 8 (see --size)")
        self.generator = ContextNetwork(spec.shape, config.code_size, config.width)
        channels, height, width = spec.shape
        if config.hole == "centre":  # D sees the hole and what is predicted around it, cut out
            sides = zip(centre_sides(height, width, config.hole_share), (height, width), strict=True)
            self.seen = tuple(max(8, min(side, hole + 2 * config.overlap)) for hole, side in sides)
        else:
            self.seen, channels = (height, width), channels + 1
        self.discriminator = ConvolutionalDiscriminator((channels, *self.seen), config.width)
        if config.ema_half_life:
            self.average = copy.deepcopy(self.generator)

    # The game

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1)

        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate)),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate)),
        )

    def phases(self) -> tuple[Phase, ...]:
        times = int(self.config.adversarial_weight > 0)
        return (Phase("play", (Turn("discriminator", self.discriminate, times=times), Turn("generator", self.complete))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),) if self.config.ema_half_life else ()

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D's turn: what is in the hole, of the image and of F."""
        images, holes, made = self._filled(batch, shared)
        region = grown(holes, self.config.overlap)
        real, fake = (self.discriminator(self._seen(x, region)) for x in (images, made.detach()))
        return {"real": real_is_real(real), "fake": fake_is_fake(fake)}

    def complete(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """F's turn: eq. 3."""
        images, holes, made = self._filled(batch, shared)
        region = grown(holes, self.config.overlap)
        weight = holes + self.config.overlap_weight * (region - holes)
        error = (weight * (made - images).square()).mean(1).sum() / region.sum()
        terms = {"reconstruction": self.config.reconstruction_weight * error}
        if self.config.adversarial_weight:
            fooled = non_saturating(self.discriminator(self._seen(made, region)))
            terms["fool"] = self.config.adversarial_weight * fooled
        return terms

    def _filled(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor, Tensor]:
        """Images, their holes, and what F draws; the same for both turns of a round."""
        if "filled" not in shared:
            images = batch.real
            if self.config.flip:
                images = torch.where(batch.noise.uniform(len(images), 1, 1, 1) < 0.5, images, images.flip(3))
            holes = self.hole(images, batch.noise)
            shared["filled"] = images, holes, self.generator(images * (1 - holes), holes)
        found: tuple[Tensor, Tensor, Tensor] = shared["filled"]
        return found

    def _seen(self, images: Tensor, region: Tensor) -> Tensor:
        """What D is shown: the hole and what is predicted around it; elsewhere nothing, and where that is."""
        if self.config.hole == "centre":
            return middle(images, *self.seen)
        return torch.cat([images * region, region], 1)

    # What it can do

    def hole(self, images: Tensor, noise: Noise) -> Tensor:
        """See `capabilities.Inpaints`."""
        count, _, height, width = images.shape
        return holes_for(noise, count, height, width, self.config.hole, self.config.hole_share).to(images.dtype)

    def fill(self, images: Tensor, holes: Tensor, noise: Noise) -> Tensor:
        """See `capabilities.Inpaints`; nothing is drawn from `noise`."""
        best = self.average if self.config.ema_half_life else self.generator
        made: Tensor = best(images * (1 - holes), holes)
        return made
