"""Auto-painter. Liu, Qin, Luo, Wang, 2017, "Auto-painter: Cartoon Image Generation from Sketch by Using Conditional Generative
Adversarial Networks" (arXiv 1705.01908).

A generator G colours a drawing x, or a grey photograph, as pix2pix turns maps into photographs, and listens to hints h: colours
that somebody dabbed on it in places. A discriminator D judges patches of what is coloured beside what it was made from:
    L = E log D(x, h, y) + E log(1 - D(x, h, G(x, h))) + w_p |y - G|_1 + w_f |phi(y) - phi(G)|^2 + w_tv TV(G),
with phi the features of a frozen classifier and TV the total variation, for flat colours without specks. Pictures in colour are
all that it learns from: their lines, or grey values, are taken while training, and hints are dabs of their own colours, from
none to many, so that what nobody hinted at is coloured as it usually is.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.colouring import grey, hints_of, lines, recoloured, spread, with_luminance
from ganvas.networks.features import DEPTHS, Features
from ganvas.networks.frozen import Frozen
from ganvas.networks.maps import mirrored_together
from ganvas.networks.patch import PatchDiscriminator, patch_depth
from ganvas.networks.unet import UNet
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.matching import feature_matching
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Auto-painter: Cartoon Image Generation from Sketch by Using Conditional GANs",
    "authors": "Liu, Qin, Luo, Wang",
    "year": 2017,
    "paper": "arXiv 1705.01908",
    "summary": "colours line drawings or grey photographs, and listens to dabs of colour",
    "data": ["image"],
    "aliases": ["colourisation", "colorization", "autopainter"],
}

SOURCES = ("lines", "grey")


@dataclass(frozen=True)
class Config:
    source: str = knob("lines", "what is left of a picture: its lines, or its grey values (which stay)", choices=SOURCES)
    hints: int = knob(8, "dabs of colour that a record has at most while training; 0: the run takes no hints", low=0, high=64)
    hint_reach: int = knob(3, "pixels from the middle of a dab to its side, at most", low=0, high=64)
    recoloured: float = knob(0.5, "share of records of which one colour is another while training", low=0.0, high=1.0)
    width: int = knob(64, "channels of the first layer of both networks; at most eight times as many inside", low=1, high=1024)
    depth: int = knob(0, "downsampling layers of the U-Net; 0: as many as the size allows, at most 8", low=0, high=9)
    dropout: float = knob(0.5, "share of features dropped in three layers of the decoder", low=0.0, high=0.9)
    adversarial_weight: float = knob(1.0, "weight of the adversarial term; 0: no discriminator", low=0.0)
    l1_weight: float = knob(100.0, "weight of the distance to the true picture", low=0.0)
    perceptual_weight: float = knob(0.01, "weight of the squared error of features; 0: none", low=0.0)
    total_variation_weight: float = knob(1e-4, "weight of the total variation, a sum over pixels", low=0.0)
    flip: bool = knob(True, "mirror half of the records left to right")
    learning_rate: float = knob(2e-4, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    decay_start: float = knob(0.5, "share of the budget before learning rates fall, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the average of G that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(4, "records in a batch", low=1)


NARROW = 24
WORK_PER_IMAGE = 0.25 / 16**2  # GFLOP of one round for one image of 64x64, by the square of the width, as of pix2pix


def auto(situation: Situation) -> dict[str, Any]:
    """The largest width that sees every picture often enough within the budget; narrow ones take larger steps."""
    spec = situation.spec
    pixels = spec.height * spec.width / 64**2
    wanted = {16: 0.0} | dict.fromkeys((24, 32, 48, 64), 40.0 * max(situation.records, 200))
    width = widest(situation, wanted, lambda width: WORK_PER_IMAGE * width**2 * pixels)
    narrow = {"dropout": 0.0, "learning_rate": 1e-3} if width <= NARROW else {}
    return {"width": width, "perceptual_weight": 0.0, "ema_half_life": 500.0, "batch_size": 8, **narrow}


def from_grey(situation: Situation) -> dict[str, Any]:
    """Grey photographs into colour; else as `auto`. No total variation: photographs have grain."""
    return {**auto(situation), "source": "grey", "total_variation_weight": 0.0}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}, "grey": from_grey}


class AutoPainter(System):
    Config = Config
    undecided = math.log(2)  # D's objective is halved
    extractors = ("effnet",)
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        if spec.channels != 3 and config.source == "grey":
            raise GanvasError("auto-painter: these pictures are grey already: give some in colour, or leave source at lines")
        most = min((side & -side).bit_length() - 1 for side in (spec.height, spec.width))  # how often 2 divides both
        depth = min(config.depth or 8, most)
        if depth < 2:
            raise GanvasError(
                f"auto-painter: {spec.height}x{spec.width} cannot be halved twice: choose multiples of 8, as in --size 64"
            )
        patches = patch_depth(min(spec.height, spec.width), 0)
        super().__init__(spec, replace(config, depth=depth))
        colours, hints = spec.channels, spec.channels + 1  # a hint is a colour, and where it counts
        given = 1 + (2 * hints if config.hints else 0)
        self.generator = UNet(given, hints if config.hints else colours, config.width, depth, nn.BatchNorm2d, config.dropout)
        self.discriminator = PatchDiscriminator(given + colours, config.width, patches, nn.BatchNorm2d)
        self.average = copy.deepcopy(self.generator)
        self.features = Frozen(Features(DEPTHS)) if config.perceptual_weight else None

    # The game

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        rate = linear_decay(self.config.decay_start)
        return tuple(Player(name, (name,), rule, rate=rate) for name in ("discriminator", "generator"))

    def phases(self) -> tuple[Phase, ...]:
        times = int(self.config.adversarial_weight > 0)
        return (Phase("play", (Turn("discriminator", self.discriminate, times=times), Turn("generator", self.paint_well))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """1 for a drawing beside its picture, 0 for one beside what G made of it."""
        given, pictures = self._drawn(batch, shared)
        shared["made"] = self._painted(self.generator, given, batch.noise)
        real = self.discriminator(torch.cat([given, pictures], 1))
        made = self.discriminator(torch.cat([given, shared["made"].detach()], 1))
        return {"real": 0.5 * real_is_real(real), "fake": 0.5 * fake_is_fake(made)}

    def paint_well(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G's turn."""
        given, pictures = self._drawn(batch, shared)
        made = shared.pop("made") if "made" in shared else self._painted(self.generator, given, batch.noise)
        terms = {"l1": self.config.l1_weight * (made - pictures).abs().mean()}
        if self.config.adversarial_weight:
            fooled = non_saturating(self.discriminator(torch.cat([given, made], 1)))
            terms["fool"] = self.config.adversarial_weight * fooled
        if self.config.total_variation_weight:
            steps = sum(made.diff(dim=axis).abs().sum() for axis in (2, 3)) / len(made)
            terms["variation"] = self.config.total_variation_weight * steps
        if self.features is not None:
            with torch.no_grad():
                wanted = self.features(pictures)
            terms["perceptual"] = self.config.perceptual_weight * feature_matching(self.features(made), wanted, mse_loss)
        return terms

    def _drawn(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor]:
        """(drawings with their hints as channels, pictures), mirrored together; the same for both turns of a round."""
        if "drawn" not in shared:
            pictures = batch.real
            if self.config.flip:
                (pictures,) = mirrored_together(batch.noise, pictures)
            places = None
            if self.config.recoloured and self.config.hints:  # else a hint of a colour that no picture has is not followed
                pictures, places = recoloured(pictures, batch.noise, self.config.recoloured)
            given = self.drain(pictures, batch.noise)
            if self.config.hints:
                dabs = hints_of(pictures, batch.noise, self.config.hints, self.config.hint_reach, places)
                given = self._with_hints(given, dabs)
            shared["drawn"] = given, pictures
        given, pictures = shared["drawn"]
        return given, pictures

    def _with_hints(self, drawings: Tensor, hints: Tensor) -> Tensor:
        """Drawings with hints as they were given, and as they run to the nearest lines, as channels."""
        barriers = lines(drawings, drawings.new_zeros(len(drawings))) if self.config.source == "grey" else drawings
        reach = max(self.spec.height, self.spec.width) // 2
        return torch.cat([drawings, hints, spread(hints, barriers, reach)], 1)

    def _painted(self, network: nn.Module, given: Tensor, noise: Noise | None) -> Tensor:
        """What a network makes of drawings with hints; one more channel says where hints that ran to the lines are taken
        as they are, which keeps flat colours flat. Grey values that were given stay."""
        made: Tensor = network(given, noise)
        if self.config.hints:
            own, run = made[:, :-1], given[:, -made.shape[1] :]
            share = (made[:, -1:] + 1) / 2 * (run[:, -1:] > -1)
            made = own + share * (run[:, :-1] - own)
        return with_luminance(made, given[:, :1]) if self.config.source == "grey" else made

    # What it can do

    @property
    def keeps_luminance(self) -> bool:
        return bool(self.config.source == "grey")

    def drain(self, images: Tensor, noise: Noise) -> Tensor:
        """See `capabilities.Colours`. Lines are of a thickness by chance."""
        return grey(images) if self.config.source == "grey" else lines(images, noise.uniform(len(images)))

    def dab(self, images: Tensor, noise: Noise) -> Tensor:
        """See `capabilities.Colours`."""
        return hints_of(images, noise, max(1, self.config.hints), self.config.hint_reach)

    def colour(self, drawings: Tensor, hints: Tensor, noise: Noise) -> Tensor:
        """See `capabilities.Colours`; nothing is dropped, nor drawn from `noise`."""
        given = self._with_hints(drawings, hints) if self.config.hints else drawings
        return self._painted(self.average, given, None)
