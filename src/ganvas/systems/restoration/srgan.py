"""Super-resolution GAN. Ledig et al., 2016, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
Network" (CVPR 2017, arXiv 1609.04802).

The mean of all sharp images that fit a small one is blurred, and that mean is what squared error asks for. So the generator,
a residual network that ends in pixel shuffles, is first trained on squared error alone (the paper's SRResNet), and then
against a discriminator, with squared error of a pretrained classifier's feature maps in the place of that of pixels:

    l_SR = l_features + 10^-3 * (-log D(G(small)))                                                        (eq. 3, 5 and 6)

The small image is made from the large one by antialiased bicubic reduction, so any photographs will do. Details that the
small image does not hold are invented: likely, not true. The feature maps come from EfficientNet-lite0, not from VGG-19.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.features import DEPTHS, Features
from ganvas.networks.frozen import Frozen
from ganvas.networks.srgan import Discriminator, Generator, resized
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.matching import feature_matching, relative_error
from ganvas.objectives.schedules import until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "options": {"fit": "patches", "size": "96"},
    "title": "Photo-Realistic Single Image Super-Resolution Using a GAN (SRGAN)",
    "authors": "Ledig, Theis, Huszar, Caballero, Cunningham, Acosta, Aitken, Tejani, Totz, Wang, Shi",
    "year": 2016,
    "paper": "arXiv 1609.04802",
    "summary": "enlarges images two or four times, with likely detail in the place of blur",
    "data": ["image"],
    "suits": {"image": "large records"},
}


@dataclass(frozen=True)
class Config:
    scale: int = knob(4, "how many times larger the result is, on each side", choices=(2, 4))
    width: int = knob(64, "channels of the generator", low=1, high=1024)
    blocks: int = knob(16, "residual blocks of the generator", low=1, high=128)
    generator_batch_norm: bool = knob(True, "BatchNorm in the generator's residual blocks")
    bicubic_residual: bool = knob(
        False, "the generator adds to the bicubic enlargement, in the place of making the whole image"
    )
    discriminator_width: int = knob(64, "channels of the discriminator's first layers; doubles inwards", low=1, high=1024)
    discriminator_batch_norm: bool = knob(True, "BatchNorm in the discriminator")
    crop_size: int = knob(0, "side of the random piece of each record that is trained on, in pixels; 0: the whole", low=0)
    flip: bool = knob(True, "mirror and turn the pieces at random")
    rounding: bool = knob(True, "round the small image as its file would (8 or 16 bits)")
    pretraining_share: float = knob(0.9, "share of the budget for squared error alone (1: nothing else)", low=0.0, high=1.0)
    pretraining_learning_rate: float = knob(1e-4, "learning rate of G meanwhile (Adam)", low=0.0)
    generator_learning_rate: float = knob(1e-4, "learning rate of G in the adversarial game (Adam)", low=1e-9)
    discriminator_learning_rate: float = knob(1e-4, "learning rate of D (Adam)", low=0.0)
    learning_rate_drop: float = knob(0.5, "share of each phase after which its learning rates are a tenth", low=0.0, high=1.0)
    beta1: float = knob(0.9, "first beta of Adam", low=0.0, high=0.9999)
    pixel_weight: float = knob(0.0, "weight of the squared error of pixels in the adversarial game", low=0.0)
    perceptual_weight: float = knob(0.03, "weight of the error of features, relative to their own size", low=0.0)
    adversarial_weight: float = knob(1e-3, "weight of the adversarial term", low=0.0)
    feature_depth: int = knob(DEPTHS, "how many levels of features are compared, from fine to coarse", low=1, high=DEPTHS)
    ema_half_life: float = knob(0.0, "half-life in samples of the generator that restores; 0: none", low=0.0)
    batch_size: int = knob(16, "pieces in a batch", low=1)


WORK_PER_PIECE = 22.0  # GFLOP of one round of the game for one piece of 96x96, at the paper's widths
ROUNDS_WANTED = 10_000  # with fewer, the small networks end up better


def auto(situation: Situation) -> dict[str, Any]:
    """The paper's networks if the budget pays for enough rounds; else small ones that start from the bicubic enlargement."""
    weights = {"pixel_weight": 0.3, "perceptual_weight": 0.06, "adversarial_weight": 2e-3}
    common = {
        **weights,
        "generator_batch_norm": False,
        "bicubic_residual": True,
        "pretraining_share": 0.8,
        "learning_rate_drop": 0.7,
        "ema_half_life": 500.0,
    }
    if situation.pays_for(WORK_PER_PIECE * 16) >= ROUNDS_WANTED:
        rates = {"pretraining_learning_rate": 2e-4, "generator_learning_rate": 1e-4, "discriminator_learning_rate": 1e-4}
        return {**common, **rates}
    rates = {"pretraining_learning_rate": 1e-3, "generator_learning_rate": 3e-4, "discriminator_learning_rate": 3e-4}
    return {**common, **rates, "width": 32, "blocks": 6, "discriminator_width": 24, "crop_size": 64}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


class SrGan(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"
    extractors = ("effnet",)
    multiple = 1

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.scale = config.scale
        if min(spec.height, spec.width) < 2 * self.scale:
            raise GanvasError(
                f"pieces of {spec.height}x{spec.width} are too small to be reduced {self.scale} times: take a larger --size"
            )
        self.generator = Generator(
            spec.channels,
            config.width,
            config.blocks,
            config.scale,
            batch_norm=config.generator_batch_norm,
            residual=config.bicubic_residual,
        )
        self.discriminator = Discriminator(
            spec.channels, config.discriminator_width, batch_norm=config.discriminator_batch_norm
        )
        self.average = copy.deepcopy(self.generator)
        self.features = Frozen(Features(config.feature_depth)) if config.perceptual_weight else None

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1)

        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate), rate=self._rate),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate), rate=self._generator_rate),
        )

    def phases(self) -> tuple[Phase, ...]:
        share = self.config.pretraining_share
        content = Phase("content", (Turn("generator", self.resemble),), until=until_share(share))
        game = Phase("adversarial", (Turn("discriminator", self.discriminate), Turn("generator", self.convince)))
        if share == 1:
            return (Phase("content", content.turns),)
        return (content, game) if share > 0 else (game,)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def resemble(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Squared error of pixels (eq. 4)."""
        small, large = self._pair(batch)
        return {"pixel": mse_loss(self.generator(small), large)}

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        small, shared["true"] = self._pair(batch)
        shared["fake"] = self.generator(small)  # with its graph: the generator's turn goes on from here
        real, fake = self.discriminator(shared["true"]), self.discriminator(shared["fake"].detach())
        return {"real": real_is_real(real), "fake": fake_is_fake(fake)}

    def convince(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Features (eq. 5), the discriminator (eq. 6) and, if wanted, pixels."""
        if "fake" not in shared:
            small, shared["true"] = self._pair(batch)
            shared["fake"] = self.generator(small)
        fake, true = shared.pop("fake"), shared.pop("true")
        terms = {"adversarial": self.config.adversarial_weight * non_saturating(self.discriminator(fake))}
        if self.config.pixel_weight:
            terms["pixel"] = self.config.pixel_weight * mse_loss(fake, true)
        if self.features is not None:
            # The extractor's strides single out pixels: on a grid that stood still, the generator would learn to please those
            # and draw a pattern. So the grid moves from round to round.
            down, right = clock.round % 4, clock.round // 4 % 4
            fake, true = fake[:, :, down:, right:], true[:, :, down:, right:]
            with torch.no_grad():
                wanted = self.features(true)
            error = feature_matching(self.features(fake), wanted, relative_error)
            terms["perceptual"] = self.config.perceptual_weight * error
        return terms

    def degrade(self, images: Tensor, noise: Noise) -> Tensor:
        """What a user would have: reduced, within range, and rounded to the steps of its file."""
        height, width = (side // self.scale * self.scale for side in images.shape[2:])
        small = resized(images[:, :, :height, :width], 1 / self.scale).clamp(-1, 1)
        if not self.config.rounding or self.spec.depth == 32:
            return small
        step = 2 / (self.spec.high - self.spec.low)
        return ((small + 1) / step).round() * step - 1

    def restore(self, images: Tensor, noise: Noise) -> Tensor:
        return self.average(images).clamp(-1, 1)

    def show(self, batch: Batch, noise: Noise) -> Panel:
        small = self.degrade(batch.real, noise)
        height, width = (side * self.scale for side in small.shape[2:])
        true = batch.real[:, :, :height, :width]
        shown = [resized(small, self.scale).clamp(-1, 1), self.restore(small, noise), true]
        return Panel(torch.stack(shown, dim=1), ("bicubic", "restored", "true"))

    def _pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(small, large) of one random piece of each record."""
        images, noise = batch.real, batch.noise
        count, _, *sides = images.shape
        piece = [min(self.config.crop_size or side, side) // self.scale * self.scale for side in sides]
        places = []
        for side, length in zip(sides, piece, strict=True):
            place = noise.integers(side - length + 1, count, 1) + torch.arange(length, device=images.device)
            if self.config.flip:
                place = torch.where(noise.uniform(count, 1) < 0.5, place, place.flip(1))
            places.append(place)
        record = torch.arange(count, device=images.device)[:, None, None]
        large = images[record, :, places[0][:, :, None], places[1][:, None, :]].permute(0, 3, 1, 2)
        if self.config.flip and piece[0] == piece[1]:
            large = torch.where(noise.uniform(count, 1, 1, 1) < 0.5, large, large.transpose(2, 3))
        large = large.contiguous()
        return self.degrade(large, noise), large

    def _rate(self, clock: Clock) -> float:
        """A tenth, from `learning_rate_drop` of the phase on."""
        share = self.config.pretraining_share
        if clock.phase == "content":
            passed = clock.progress / share
        else:
            passed = (clock.progress - share) / (1 - share)
        return 0.1 if passed >= self.config.learning_rate_drop else 1.0

    def _generator_rate(self, clock: Clock) -> float:
        factor = (
            self.config.pretraining_learning_rate / self.config.generator_learning_rate if clock.phase == "content" else 1.0
        )
        return factor * self._rate(clock)
