"""GP-GAN. Wu, Zheng, Zhang, Huang, 2019, "GP-GAN: Towards Realistic High-Resolution Image Blending" (ACM Multimedia,
arXiv 1703.07195).

A part of one image (the source, where a mask is 1) is laid into another (the target), and the two are to look like one picture,
of any size. A blending GAN G sees the pasted image x at 64 pixels and makes its colours those of one light; it lowers
    L = 0.999 |G(x) - x_gt|^2 + 0.001 L_adv;    L_adv = -E D(G(x)),  D a critic with clipped weights (WGAN)         (eq. 1 to 4)
What G lacks is detail. From coarse to fine, the image X is then found that has the gradients v of source and target, and seen
through a Gaussian g the colours x_l of the level before (Gauss-Poisson equation, eq. 5), in closed form by cosine transforms:
    |grad X - v|^2 + beta |g(X) - g(x_l)|^2.
Pairs are made while training: a piece of an image, or of another, in another light, laid into it; x_gt has its own light.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, mse_loss

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.poisson import blended, reduced
from ganvas.networks.context_encoder import HOLES, ContextNetwork, holes_for
from ganvas.networks.convolutional import ConvolutionalDiscriminator
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "options": {"size": "64"},
    "title": "GP-GAN: Towards Realistic High-Resolution Image Blending",
    "authors": "Wu, Zheng, Zhang, Huang",
    "year": 2019,
    "paper": "arXiv 1703.07195",
    "summary": "lays a part of one picture into another without a seam, in the light of that one, at any size",
    "data": ["image"],
    "aliases": ["blending"],
}


@dataclass(frozen=True)
class Config:
    part: str = knob("centre", "what is laid in while training: the centre, blocks, or any: blocks and strokes", choices=HOLES)
    part_share: float = knob(0.5, "sides of the largest part, of those of the image", low=0.1, high=0.75)
    foreign: float = knob(0.0, "share of parts that are of another record, not of the same one", low=0.0, high=1.0)
    light: float = knob(0.3, "how far the light of a part is off: spread of its gain and offset", low=0.0)
    anew: bool = knob(True, "G draws the whole image anew; false: it finds what is to be added to the part")
    width: int = knob(64, "channels at half resolution of both networks; at most eight times as many inside", low=1, high=1024)
    code_size: int = knob(4000, "numbers of the code between encoder and decoder", low=1)
    reconstruction_weight: float = knob(0.999, "weight of the squared error", low=0.0)
    adversarial_weight: float = knob(0.001, "weight of the critic's opinion; 0: no critic", low=0.0)
    critic_turns: int = knob(5, "turns of the critic in a round", low=1, high=100)
    critic_burst: int = knob(100, "its turns in the first 25 rounds and every 500th; 0: as in all", low=0, high=1000)
    clip: float = knob(0.01, "weights of the critic are cut to this", low=1e-6)
    colour_weight: float = knob(1.0, "weight of colours beside gradients when blending (beta)", low=1e-6, later=True)
    colour_sigma: float = knob(0.5, "pixels of the Gaussian through which colours are compared", low=0.1, high=8.0, later=True)
    flip: bool = knob(True, "mirror half of the images left to right")
    generator_learning_rate: float = knob(2e-3, "learning rate of G (Adam)", low=1e-9)
    critic_learning_rate: float = knob(2e-4, "learning rate of the critic (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(0.0, "half-life in samples of the average of G that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(64, "images in a batch", low=2)


WORK_PER_IMAGE = 0.4 / 16**2  # GFLOP of one round for one image of 64x64, by the square of the width
IMAGES_WANTED = {16: 0.0, 32: 300_000.0, 64: 2_000_000.0}  # width -> images it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Parts of any form, half of them foreign, and what is to be added: colours are learnt in minutes, pictures are not."""
    pixels = situation.spec.height * situation.spec.width / 64**2
    width = widest(situation, IMAGES_WANTED, lambda width: WORK_PER_IMAGE * width**2 * pixels)
    learning = {"generator_learning_rate": 5e-4, "critic_turns": 1, "critic_burst": 0, "ema_half_life": 2_000.0}
    return {"part": "blocks", "foreign": 0.5, "anew": False, "width": width, "code_size": 256, "batch_size": 32, **learning}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}
FIRST, EVERY = 25, 500  # rounds at the beginning, and later on one of so many, in which the critic has a burst of turns


class GpGan(System):
    Config = Config
    couples_batch = "BatchNorm, and parts of other records: micro-batches and processes have their own share of both"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        if min(spec.height, spec.width) < 8:
            raise GanvasError(f"images of {spec.height}x{spec.width} are too small to blend: the least is 8 (see --size)")
        self.generator = ContextNetwork(spec.shape, config.code_size, config.width)
        self.critic = ConvolutionalDiscriminator(spec.shape, config.width)
        if config.ema_half_life:
            self.average = copy.deepcopy(self.generator)

    # The game

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1)

        return (
            Player("critic", ("critic",), rule(self.config.critic_learning_rate), after_step=self.clip),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate)),
        )

    def clip(self) -> None:
        """The critic's weights within [-clip, clip], so that its slope is bounded (WGAN)."""
        for parameter in self.critic.parameters():
            parameter.clamp_(-self.config.clip, self.config.clip)

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("critic", self.criticise, times=self.turns), Turn("generator", self.blend_colours))),)

    def turns(self, clock: Clock) -> int:
        """Of the critic, in the round that begins."""
        if not self.config.adversarial_weight:
            return 0
        burst = self.config.critic_burst and (clock.round < FIRST or clock.round % EVERY == 0)
        return self.config.critic_burst if burst else self.config.critic_turns

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),) if self.config.ema_half_life else ()

    def criticise(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The critic's turn: large for pictures of one light, small for what G makes."""
        wanted, made = self._pair(batch, shared)
        return {"distance": self.critic(made.detach()).mean() - self.critic(wanted).mean()}  # minus the Wasserstein estimate

    def blend_colours(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G's turn (eq. 1)."""
        wanted, made = self._pair(batch, shared)
        terms = {"reconstruction": self.config.reconstruction_weight * mse_loss(made, wanted)}
        if self.config.adversarial_weight:
            terms["adversarial"] = -self.config.adversarial_weight * self.critic(made).mean()
        return terms

    def _pair(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor]:
        """(what is wanted, what G makes of the pasted image); the same for all turns of a round."""
        if "pair" not in shared:
            images = batch.real
            if self.config.flip:
                images = torch.where(batch.noise.uniform(len(images), 1, 1, 1) < 0.5, images, images.flip(3))
            source, mask, wanted = self.compose(images, batch.noise)
            pasted = source * mask + images * (1 - mask)
            shared["pair"] = wanted, pasted + self._change(self.generator, pasted, mask)
        found: tuple[Tensor, Tensor] = shared["pair"]
        return found

    def _change(self, network: Any, pasted: Tensor, mask: Tensor) -> Tensor:
        """What G adds to the pasted images (B, C, H, W), of its own size."""
        made: Tensor = network(pasted, mask)
        return made - pasted if self.config.anew else made * mask

    # What it can do

    def compose(self, images: Tensor, noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
        """See `capabilities.Blends`."""
        count, channels, height, width = images.shape
        mask = holes_for(noise, count, height, width, self.config.part, self.config.part_share).to(images.dtype)
        foreign = noise.uniform(count, 1, 1, 1) < self.config.foreign
        part = torch.where(foreign, images.roll(1, 0), images)
        gain, offset = (noise.normal(count, 1, 1, 1) + noise.normal(count, channels, 1, 1) for _ in range(2))
        strength = self.config.light * 0.5**0.5
        source = ((part + 1) * (strength * gain).exp() - 1 + strength * offset).clamp(-1, 1)
        return source, mask, part * mask + images * (1 - mask)

    def blend(self, images: Tensor, source: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        """See `capabilities.Blends`; nothing is drawn from `noise`."""
        network = self.average if self.config.ema_half_life else self.generator
        size = (self.spec.height, self.spec.width)

        def change(pasted: Tensor, own: Tensor) -> Tensor:
            small = own if own.shape[2:] == size else interpolate(own, size=size, mode="nearest-exact")
            return self._change(network, reduced(pasted, *size), small)

        made = blended(images, source, mask, change, max(size), self.config.colour_weight, self.config.colour_sigma)
        return made.clamp(-1, 1)
