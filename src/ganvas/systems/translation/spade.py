"""SPADE (GauGAN). Park, Liu, Wang, Zhu, 2019, "Semantic Image Synthesis with Spatially-Adaptive Normalization" (CVPR,
arXiv 1903.07291).

A label map m becomes a photograph. Networks that read the map at their entry lose it: normalisation washes a uniform map out to
nothing. Here G begins with a style z, and every layer is normalised and then modulated by the map, at its own size (eq. 1):
    gamma(m) (h - mean) / deviation + beta(m),    with gamma = 1 + a convolution of m, beta another.
Two PatchGANs at two scales see map and photograph; with hinge losses, feature matching between the layers of D (weight 10), and
z ~ N(0, 1), or, with an encoder, z ~ N(mu(x), sigma(x)) of the photograph x at 0.05 KL(z | N(0, 1)). So one map has many
styles, and can take that of a given picture. Spectral norm in both networks; D learns four times as fast as G.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.blocks import Norm
from ganvas.networks.maps import as_picture, classes_as_channels, mirrored_together
from ganvas.networks.patch import PatchPyramid, patch_depth
from ganvas.networks.pix2pixhd import GlobalGenerator
from ganvas.networks.spade import Encoder, Generator
from ganvas.objectives.matching import feature_matching
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Semantic Image Synthesis with Spatially-Adaptive Normalization (SPADE, GauGAN)",
    "authors": "Park, Liu, Wang, Zhu",
    "year": 2019,
    "paper": "arXiv 1903.07291",
    "summary": "turns label maps, painted ones too, into photographs in the style of noise or of a given picture",
    "data": {"photo": "image", "map": "label_map"},
    "aliases": ["gaugan"],
}

NORMS: dict[str, Norm] = {"batch": partial(nn.BatchNorm2d, affine=False), "instance": nn.InstanceNorm2d}
NARROW = 32
GENERATORS = ("spade", "encoder-decoder")


@dataclass(frozen=True)
class Config:
    generator: str = knob("spade", "`encoder-decoder` is pix2pixHD's, which reads the map at its entry", choices=GENERATORS)
    width: int = knob(64, "channels of G at full size; doubles inwards, at most 16 times", low=1, high=1024)
    depth: int = knob(0, "how often G doubles the size; 0: 5, or fewer where 4 pixels are left", low=0, high=7)
    blocks: int = knob(9, "residual blocks of the generator `encoder-decoder`", low=0, high=32)
    modulation_width: int = knob(128, "channels between the map and the two maps of a modulation", low=1, high=1024)
    norm: str = knob("batch", "what is normalised before it is modulated", choices=tuple(NORMS))
    latent_size: int = knob(256, "size of the style", low=1)
    encoder: bool = knob(True, "learn an encoder, by which a given picture lends its style")
    discriminator_width: int = knob(64, "channels of D's and the encoder's first layer", low=1, high=1024)
    patch_depth: int = knob(3, "downsampling layers of D, as far as the size allows", low=1, high=5)
    scales: int = knob(2, "scales at which a PatchGAN looks", low=1, high=4)
    feature_weight: float = knob(10.0, "weight of feature matching", low=0.0)
    kl_weight: float = knob(0.05, "weight that keeps the encoder's styles near the noise", low=0.0)
    flip: bool = knob(True, "mirror half of the pairs left to right, map and photograph together")
    generator_learning_rate: float = knob(1e-4, "learning rate of G and the encoder (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(4e-4, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.0, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.9, "second beta of Adam", low=0.0, high=0.99999)
    decay_start: float = knob(0.5, "share of the budget before learning rates fall, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the average of G that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(8, "pairs in a batch", low=1)


WORK_PER_PAIR = 3.6 / 16**2  # GFLOP of one round for one pair of 64x64, by the square of the width


def auto(situation: Situation) -> dict[str, Any]:
    """The largest width that sees every pair often enough within the budget; D as wide, modulations twice as wide.

    Narrow networks take larger steps: by mIoU, street scenes of 32x40 and width 8 were after 300 rounds where half the rate and
    smaller starting weights had them after 600.
    """
    photo = situation.spec["photo"]
    pixels = photo.height * photo.width / 64**2
    pairs = 20.0 * max(situation.records, 200)
    wanted = {8: 0.0, 12: pairs, 16: pairs, 32: 3 * pairs, 64: 5 * pairs}
    width = widest(situation, wanted, lambda width: WORK_PER_PAIR * width**2 * pixels)
    rates = {"generator_learning_rate": 1e-3, "discriminator_learning_rate": 1e-3} if width <= NARROW else {}
    own = {"width": width, "discriminator_width": max(16, width), "modulation_width": 2 * width, "latent_size": 64}
    return {**own, **rates, "batch_size": 4, "ema_half_life": 500.0}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"batch_size": 32}}


def _mean(values: Iterable[Tensor]) -> Tensor:
    """Of scalars."""
    return torch.stack(list(values)).mean()


class Spade(System):
    Config = Config
    undecided = 2.0  # of hinge losses
    couples_batch = "BatchNorm (norm=batch): micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        photo, labels = spec["photo"], spec["map"]
        size = (photo.height, photo.width)
        if (labels.height, labels.width) != size:
            raise GanvasError(f"spade: maps and photographs of one size are needed, not {labels.size} and {photo.size}")
        most = min((side & -side).bit_length() - 1 for side in size)  # how often 2 divides both
        depth = min(config.depth or 5, most, min(size).bit_length() - 3)
        if depth < 1:
            raise GanvasError(f"spade: sides of {size[0]}x{size[1]} cannot be halved: choose multiples of 16, as in --size 64")
        self.multiple, self.classes_of_map = 2**depth, len(labels.names)
        patches = patch_depth(min(size), config.patch_depth)
        self.config = config = replace(config, depth=depth, patch_depth=patches)
        self.adaptive = config.generator == "spade"
        self.generator: nn.Module
        if self.adaptive:
            self.generator = Generator(
                self.classes_of_map, photo.channels, size, config.width, depth, config.modulation_width, config.latent_size,
                NORMS[config.norm],
            )  # fmt: skip
        else:
            self.generator = GlobalGenerator(self.classes_of_map, photo.channels, config.width, min(depth, 4), config.blocks)
        self.discriminator = PatchPyramid(
            self.classes_of_map + photo.channels, config.discriminator_width, patches, min(size), config.scales,
            nn.InstanceNorm2d, spectral=True,
        )  # fmt: skip
        if config.encoder and self.adaptive:
            self.encoder = Encoder(photo.channels, config.discriminator_width, size, config.latent_size)
        if config.ema_half_life:
            self.average = copy.deepcopy(self.generator)

    # The game

    def players(self) -> tuple[Player, ...]:
        config, fall = self.config, linear_decay(self.config.decay_start)
        made = ("generator", "encoder") if hasattr(self, "encoder") else ("generator",)
        rules = [
            optimiser("adam", rate, beta1=config.beta1, beta2=config.beta2)
            for rate in (config.discriminator_learning_rate, config.generator_learning_rate)
        ]
        return (Player("discriminator", ("discriminator",), rules[0], fall), Player("generator", made, rules[1], fall))

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),) if self.config.ema_half_life else ()

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Hinge losses, the mean over the scales."""
        maps, photos = self._pairs(batch, shared)
        made = self._made(batch, shared).detach()
        real, fake = (self.discriminator(torch.cat([maps, own], 1)) for own in (photos, made))
        return {
            "real": _mean(relu(1 - own[-1]).mean() for own in real),
            "fake": _mean(relu(1 + own[-1]).mean() for own in fake),
        }

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G's turn, and the encoder's."""
        maps, photos = self._pairs(batch, shared)
        found = self.discriminator(torch.cat([maps, self._made(batch, shared)], 1))
        with torch.no_grad():
            wanted = self.discriminator(torch.cat([maps, photos], 1))
        terms = {"fool": -_mean(own[-1].mean() for own in found)}
        if self.config.feature_weight:
            matched = (len(own) * feature_matching(own[:-1], true[:-1]) for own, true in zip(found, wanted, strict=True))
            terms["features"] = self.config.feature_weight * _mean(matched)
        if "style" in shared:
            mean, spread = shared.pop("style")
            divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(1).mean()
            terms["divergence"] = self.config.kl_weight * divergence
        del shared["made"]
        return terms

    def _pairs(self, batch: Batch, shared: Shared) -> tuple[Tensor, ...]:
        """Maps as channels, and photographs, mirrored together; the same for both turns of a round."""
        if "pairs" not in shared:
            pairs = (classes_as_channels(batch["map"], self.classes_of_map, batch["photo"].dtype), batch["photo"])
            shared["pairs"] = mirrored_together(batch.noise, *pairs) if self.config.flip else pairs
        found: tuple[Tensor, ...] = shared["pairs"]
        return found

    def _made(self, batch: Batch, shared: Shared) -> Tensor:
        """G's photographs of the batch, with their graph, in the style of noise or of the true ones."""
        if "made" not in shared:
            maps, photos = self._pairs(batch, shared)
            if not self.adaptive:
                shared["made"] = self.generator(maps)
                return shared["made"]
            style = batch.noise.normal(len(photos), self.config.latent_size)
            if hasattr(self, "encoder"):
                mean, spread = shared["style"] = self.encoder(photos)
                style = mean + (0.5 * spread).exp() * style
            shared["made"] = self.generator(maps, style)
        made: Tensor = shared["made"]
        return made

    # What it can do

    def translate(self, maps: Tensor, target: int | None, noise: Noise, photo: Tensor | None = None) -> Tensor:
        """Maps (B, H, W) int64 -> photographs (B, C, H, W), in the style of noise or of given photographs (B or 1, C, h, w),
        which may have any size. Sides are multiples of `multiple`."""
        best = self.average if self.config.ema_half_life else self.generator
        channels = classes_as_channels(maps, self.classes_of_map, next(self.parameters()).dtype)
        if not self.adaptive:
            made: Tensor = best(channels)
            return made
        style = noise.normal(len(maps), self.config.latent_size)
        if photo is not None:
            if not hasattr(self, "encoder"):
                raise GanvasError("this run learnt no encoder (encoder=false): leave out the photo, styles come from --seed")
            style = self.encoder(photo)[0].expand_as(style)
        result: Tensor = best(channels, style)
        return result

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """The map, what is made of it in two styles, and the true photograph."""
        maps, photos = batch["map"], batch["photo"]
        seen = as_picture(maps, self.spec["map"], photos.shape[1]).to(photos.dtype)
        cells = (seen, *(self.translate(maps, None, noise) for _ in range(2)), photos)
        return Panel(torch.stack(cells, 1), ("map", "made", "another style", "true"))
