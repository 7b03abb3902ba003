"""DeblurGAN. Kupyn, Budzan, Mykhailych, Mishkin, Matas, 2018, "DeblurGAN: Blind Motion Deblurring Using Conditional Adversarial
Networks" (CVPR, arXiv 1711.07064).

A generator G makes a sharp image of one that was blurred by an unknown motion; it adds what is missing to its input. It lowers
    L = -E D(G(blurred)) + 100 L_X;    L_X = |phi(sharp) - phi(G(blurred))|^2                                     (eq. 2 to 4)
with phi the features of a frozen classifier, in the place of squared error of pixels, whose best answer is the mean of all
sharp images that fit, and soft. D is a critic of patches under the gradient penalty of WGAN-GP; it sees the image alone, and
has five turns to one of G. Blur is made while training: every record gets a random trajectory of the camera of its own, as the
paper's algorithm draws them; or it comes as pairs. The features are those of EfficientNet-lite0, not of VGG-19.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.deblurgan import Generator
from ganvas.networks.features import DEPTHS, Features
from ganvas.networks.frozen import Frozen
from ganvas.networks.motion import blurred, kernels
from ganvas.networks.patch import PatchDiscriminator, patch_depth
from ganvas.objectives.matching import feature_matching, relative_error
from ganvas.objectives.penalties import interpolation_penalty
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "options": {"fit": "patches", "size": "96"},
    "title": "DeblurGAN: Blind Motion Deblurring Using Conditional Adversarial Networks",
    "authors": "Kupyn, Budzan, Mykhailych, Mishkin, Matas",
    "year": 2018,
    "paper": "arXiv 1711.07064",
    "summary": "makes sharp images of ones that were blurred by motion, without knowing the motion",
    "data": ["image"],
    "pairs": {"sharp": "image", "blurred": "image"},
    "aliases": ["deblur-gan"],
}

SHARP, BLURRED = "sharp", "blurred"
NORMS = {"instance": nn.InstanceNorm2d, "none": None}


@dataclass(frozen=True)
class Config:
    width: int = knob(64, "channels of the generator at full size, four times as many inside", low=1, high=1024)
    blocks: int = knob(9, "residual blocks of the generator", low=1, high=128)
    discriminator_width: int = knob(64, "channels of the critic's first layer; doubles inwards", low=1, high=1024)
    norm: str = knob("instance", "normalisation of both networks; none: tiles of large images fit", choices=tuple(NORMS))
    skips: bool = knob(False, "maps of the generator's first layers are added to those of its last ones")
    blur_size: int = knob(15, "pixels that the camera moves at most; ignored for pairs", low=3, high=63)
    crop_size: int = knob(0, "side of the random piece of each record that is trained on; 0: the whole", low=0)
    flip: bool = knob(True, "mirror half of the records left to right")
    critic_turns: int = knob(5, "turns of the critic in a round, all on what G made of the same batch", low=1, high=100)
    penalty_weight: float = knob(10.0, "weight of the gradient penalty (lambda)", low=0.0)
    adversarial_weight: float = knob(1.0, "weight of the critic's opinion; 0: no critic", low=0.0)
    perceptual_weight: float = knob(100.0, "weight of the error of features, relative to their own size", low=0.0)
    feature_depth: int = knob(3, "how many levels of features are compared, from fine to coarse", low=1, high=DEPTHS)
    pixel_weight: float = knob(0.0, "weight of the squared error of pixels", low=0.0)
    learning_rate: float = knob(1e-4, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    decay_start: float = knob(0.5, "share of the budget before learning rates fall, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the average of G that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(1, "records in a batch", low=1)


WORK_PER_PIECE = 60.0  # GFLOP of one round for one piece of 64x64, at the paper's widths
ROUNDS_WANTED = 20_000  # with fewer, the small networks end up better


def auto(situation: Situation) -> dict[str, Any]:
    """The paper's networks if the budget pays for enough rounds; else small ones. Squared error holds the colours in either."""
    weights = {"pixel_weight": 10.0, "perceptual_weight": 1.0, "adversarial_weight": 0.01}
    common = {**weights, "norm": "none", "skips": True, "ema_half_life": 500.0}
    if situation.pays_for(WORK_PER_PIECE * 4) >= ROUNDS_WANTED:
        return {**common, "batch_size": 4}
    small = {"width": 16, "blocks": 4, "discriminator_width": 16, "critic_turns": 2, "crop_size": 64}
    return {**common, **small, "batch_size": 4, "learning_rate": 3e-4}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


class DeblurGan(System):
    Config = Config
    extractors = ("effnet",)
    multiple = 4

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.paired = isinstance(spec, dict)
        main = spec[SHARP] if isinstance(spec, dict) else spec
        if isinstance(spec, dict) and spec[BLURRED].shape != main.shape:
            raise GanvasError(f"deblurgan: pairs of one size are needed, not {spec[BLURRED].shape} and {main.shape}")
        if min(main.height, main.width) < 8:
            raise GanvasError(f"deblurgan: records of {main.height}x{main.width} are too small: take --size 32 or more")
        norm = NORMS[config.norm]
        self.generator = Generator(main.channels, config.width, config.blocks, norm, config.skips)
        side = min(config.crop_size or main.height, main.height, main.width) // 4 * 4
        self.critic = PatchDiscriminator(main.channels, config.discriminator_width, patch_depth(side), norm)
        self.average = copy.deepcopy(self.generator)
        self.features = Frozen(Features(config.feature_depth)) if config.perceptual_weight else None

    # The game

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        rate = linear_decay(self.config.decay_start)
        return tuple(Player(name, (name,), rule, rate=rate) for name in ("critic", "generator"))

    def phases(self) -> tuple[Phase, ...]:
        times = self.config.critic_turns if self.config.adversarial_weight else 0
        return (Phase("play", (Turn("critic", self.criticise, times=times), Turn("generator", self.sharpen))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def criticise(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The critic's turn (WGAN-GP): large for sharp images, small for what G makes; a place of its own for each record."""
        _, sharp = self._pair(batch, shared)
        made = self._made(batch, shared).detach()
        share = batch.noise.uniform(len(sharp))
        penalty = interpolation_penalty(lambda images: self.critic(images).mean((1, 2, 3)), sharp, made, share)
        return {
            "distance": self.critic(made).mean() - self.critic(sharp).mean(),  # minus the Wasserstein estimate
            "penalty": self.config.penalty_weight * penalty,
        }

    def sharpen(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G's turn (eq. 2)."""
        _, sharp = self._pair(batch, shared)
        made = self._made(batch, shared)
        shared.pop("made")
        terms = {}
        if self.config.adversarial_weight:
            terms["adversarial"] = -self.config.adversarial_weight * self.critic(made).mean()
        if self.config.pixel_weight:
            terms["pixel"] = self.config.pixel_weight * mse_loss(made, sharp)
        if self.features is not None:
            # On a grid that stood still, G would learn to please the pixels that the extractor's strides single out.
            down, right = clock.round % 4, clock.round // 4 % 4
            made, sharp = made[:, :, down:, right:], sharp[:, :, down:, right:]
            with torch.no_grad():
                wanted = self.features(sharp)
            terms["perceptual"] = self.config.perceptual_weight * feature_matching(self.features(made), wanted, relative_error)
        return terms

    def _made(self, batch: Batch, shared: Shared) -> Tensor:
        """What G makes of the batch, once a round."""
        if "made" not in shared:
            shared["made"] = self.generator(self._pair(batch, shared)[0])
        made: Tensor = shared["made"]
        return made

    def _pair(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor]:
        """(blurred, sharp): one random piece of each record, mirrored together; the same for all turns of a round."""
        if "pair" not in shared:
            noise = batch.noise
            sharp = batch[SHARP] if self.paired else batch.real
            soft = batch[BLURRED] if self.paired else self.blur(sharp, noise)
            places = []
            for side in sharp.shape[2:]:
                length = min(self.config.crop_size or side, side) // 4 * 4
                place = noise.integers(side - length + 1, len(sharp), 1)
                places.append(place + torch.arange(length, device=sharp.device))
            if self.config.flip:
                places[1] = torch.where(noise.uniform(len(sharp), 1) < 0.5, places[1], places[1].flip(1))
            record = torch.arange(len(sharp), device=sharp.device)[:, None, None]
            where = (record, slice(None), places[0][:, :, None], places[1][:, None, :])
            shared["pair"] = tuple(x[where].permute(0, 3, 1, 2).contiguous() for x in (soft, sharp))
        soft, sharp = shared["pair"]
        return soft, sharp

    # What it can do

    def blur(self, images: Tensor, noise: Noise) -> Tensor:
        """See `capabilities.Deblurs`: by a motion of its own for each record, rounded as a file of its depth would be."""
        height, width = images.shape[2:]
        side = min(self.config.blur_size, 2 * (min(height, width) // 2) - 1) // 2 * 2 + 1
        made = blurred(images, kernels(noise, len(images), side))
        spec = self.spec[SHARP] if isinstance(self.spec, dict) else self.spec
        if spec.depth == 32:
            return made
        step = 2 / (spec.high - spec.low)
        return ((made + 1) / step).round() * step - 1

    def deblur(self, images: Tensor, noise: Noise) -> Tensor:
        """See `capabilities.Deblurs`; nothing is drawn from `noise`."""
        made: Tensor = self.average(images)
        return made
