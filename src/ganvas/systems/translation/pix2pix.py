"""pix2pix. Isola, Zhu, Zhou, Efros, 2017, "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR,
arXiv 1611.07004).

A generator G turns a map x (labels, edges, another contrast) into a photograph y, learnt from pairs. A discriminator D sees the
map beside a photograph and judges every patch by itself; an L1 term keeps the result near the true photograph (eq. 1 to 4):
    L_cGAN = E log D(x, y) + E log(1 - D(x, G(x, z)));    G* = arg min_G max_D L_cGAN + lambda E |y - G(x, z)|_1,  lambda = 100.
L1 alone is right on average and blurred; D asks for sharpness. G is a U-Net, whose only noise z is dropout, in use as in
training; D's objective is halved, which slows it beside G. Label maps enter as one channel a class, never as numbers.
"""

from __future__ import annotations

import copy
import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.blocks import UPSAMPLINGS
from ganvas.networks.maps import as_picture, classes_as_channels, mirrored_together
from ganvas.networks.patch import PatchDiscriminator, patch_depth
from ganvas.networks.unet import UNet
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import augment
from ganvas.objectives.penalties import held_down, with_range_for_slopes
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Image-to-Image Translation with Conditional Adversarial Networks (pix2pix)",
    "authors": "Isola, Zhu, Zhou, Efros",
    "year": 2017,
    "paper": "arXiv 1611.07004",
    "summary": "turns label maps, edges or another contrast into photographs, learnt from pairs",
    "data": {"photo": "image", "map": ["label_map", "image"]},
    "aliases": ["pix-2-pix"],
}

CHANGES = ("translation", "cutout")
NORMS = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}


@dataclass(frozen=True)
class Config:
    width: int = knob(64, "channels of the first layer of both networks; at most eight times as many inside", low=1, high=1024)
    depth: int = knob(0, "downsampling layers of the U-Net; 0: as many as the size allows, at most 8", low=0, high=9)
    patch_depth: int = knob(0, "downsampling layers of D: patches of 16, 34, 70 pixels; 0: 1 to 3, by size", low=0, high=5)
    norm: str = knob("batch", "normalisation of both networks; instance is the paper's at a batch of 1", choices=tuple(NORMS))
    upsampling: str = knob(
        "transposed", "how the decoder doubles sizes; `resized` before a convolution leaves no chequers", choices=UPSAMPLINGS
    )
    discriminator_norm: bool = knob(True, "normalise D too; without it D sees how bright a photograph is")
    r1_weight: float = knob(0.0, "gamma of R1, the slopes of D at true photographs; 0: off", low=0.0)
    r2_weight: float = knob(0.0, "gamma of R2, those at made ones; 0: off", low=0.0)
    augment: tuple[str, ...] = knob((), "changes that D sees on map and photograph alike, true and made", choices=CHANGES)
    dropout: float = knob(0.5, "share of features dropped in three layers of the decoder: the only noise", low=0.0, high=0.9)
    adversarial_weight: float = knob(1.0, "weight of the adversarial term; 0: L1 alone, the baseline", low=0.0)
    l1_weight: float = knob(100.0, "weight of the distance to the true photograph (lambda)", low=0.0)
    flip: bool = knob(True, "mirror half of the pairs left to right, map and photograph together")
    jitter: int = knob(0, "pixels by which pairs are shifted, up to so many in each direction", low=0, high=64)
    learning_rate: float = knob(2e-4, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.999, "second beta of Adam", low=0.0, high=0.99999)
    decay_start: float = knob(0.5, "share of the budget before learning rates fall, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the average of G that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(1, "pairs in a batch", low=1)


def shifted(images: Tensor, moves: Tensor) -> Tensor:
    """Images (B, C, H, W) moved by whole pixels (B, 2) down and right; beyond the border lies the mirrored image."""
    for axis in (2, 3):
        side = images.shape[axis]
        place = torch.arange(side, device=images.device)[None] - moves[:, axis - 2, None]
        place = place.abs()
        place = torch.where(place >= side, 2 * (side - 1) - place, place)
        shape = (len(images), 1, side, 1) if axis == 2 else (len(images), 1, 1, side)
        images = images.gather(axis, place.view(shape).expand_as(images))
    return images


NARROW = 32
GAMMA = 0.25  # for 32x32 pixels: logits are means over patches, whose slopes shrink with the number of pixels
WORK_PER_PAIR = 0.4 / 16**2  # GFLOP of one round for one pair of 64x64, by the square of the width
EPOCHS_WANTED = {16: 0, 24: 10, 32: 50, 48: 200, 64: 400}  # width -> how often each pair is seen before it pays off


def auto(situation: Situation) -> dict[str, Any]:
    """A discriminator without a norm, with flat slopes and changed pairs, a decoder that leaves no chequers, less L1; the width
    is the largest that sees every pair often enough. Narrow networks, for minutes, do without dropout and take larger steps."""
    photo = situation.spec["photo"]
    pixels = photo.height * photo.width / 64**2
    wanted = {width: epochs * max(situation.records, 200) for width, epochs in EPOCHS_WANTED.items()}
    width = widest(situation, wanted, lambda width: WORK_PER_PAIR * width**2 * pixels)
    narrow = {"dropout": 0.0, "learning_rate": 1e-3} if width <= NARROW else {}
    return {
        "width": width, "batch_size": 4, "ema_half_life": 500.0, "norm": "batch", "upsampling": "resized",
        "discriminator_norm": False, "r1_weight": 4 * GAMMA * pixels, "r2_weight": 4 * GAMMA * pixels,
        "augment": ("translation", "cutout"), "l1_weight": 60.0, **narrow,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"norm": "instance", "jitter": 15}}


class Pix2Pix(System):
    Config = Config
    undecided = math.log(2)  # D's objective is halved
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        photo, self.classes_of_map = spec["photo"], len(getattr(spec["map"], "names", ()))
        height, width = photo.height, photo.width
        if tuple(spec["map"].shape[-2:]) != (height, width):
            raise GanvasError(
                f"pix2pix: maps and photographs of one size are needed, not {spec['map'].shape} and {photo.shape}"
            )
        most = min((side & -side).bit_length() - 1 for side in (height, width))  # how often 2 divides both
        depth = min(config.depth or 8, most)
        if depth < 2:
            raise GanvasError(
                f"pix2pix: sides of {height}x{width} cannot be halved twice: choose multiples of 8, as in --size 64"
            )
        self.multiple = 2**depth
        channels = self.classes_of_map or spec["map"].channels
        norm = NORMS[config.norm]
        self.generator = UNet(channels, photo.channels, config.width, depth, norm, config.dropout, config.upsampling)
        patches = patch_depth(min(height, width), config.patch_depth)
        judged = norm if config.discriminator_norm else None
        self.discriminator = PatchDiscriminator(channels + photo.channels, config.width, patches, judged)
        self.config = replace(config, depth=depth, patch_depth=patches)
        if config.ema_half_life:
            self.average = copy.deepcopy(self.generator)

    # The game

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1, beta2=self.config.beta2)
        rate = linear_decay(self.config.decay_start)
        return tuple(Player(name, (name,), rule, rate=rate) for name in ("discriminator", "generator"))

    def phases(self) -> tuple[Phase, ...]:
        times = int(self.config.adversarial_weight > 0)
        return (Phase("play", (Turn("discriminator", self.discriminate, times=times), Turn("generator", self.translate_well))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),) if self.config.ema_half_life else ()

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """1 for a map with its photograph, 0 for a map with what G made of it."""
        maps, photos = self._pairs(batch, shared)
        shared["made"] = self.generator(maps, batch.noise)
        weights = {"r1": self.config.r1_weight, "r2": self.config.r2_weight}
        flat = any(weights.values())
        seen = [self._seen(maps, own, batch).requires_grad_(flat) for own in (photos, shared["made"].detach().to(photos.dtype))]
        with with_range_for_slopes(photos) if flat else nullcontext():
            on_real, on_made = (self.discriminator(own) for own in seen)
        terms = {"real": 0.5 * real_is_real(on_real), "fake": 0.5 * fake_is_fake(on_made)}
        return terms | held_down(weights, seen, (own.mean((1, 2, 3)) for own in (on_real, on_made)))

    def translate_well(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G's turn: eq. 4."""
        maps, photos = self._pairs(batch, shared)
        made = shared.pop("made") if "made" in shared else self.generator(maps, batch.noise)
        terms = {"l1": self.config.l1_weight * (made - photos).abs().mean()}
        if self.config.adversarial_weight:
            fooled = non_saturating(self.discriminator(self._seen(maps, made, batch)))
            terms["fool"] = self.config.adversarial_weight * fooled
        return terms

    def _seen(self, maps: Tensor, photos: Tensor, batch: Batch) -> Tensor:
        """What D sees: map and photograph as channels of one image, changed together."""
        return augment(torch.cat([maps, photos], 1), batch.noise, self.config.augment)

    def _pairs(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor]:
        """Maps as channels, and photographs, mirrored and shifted together; the same for both turns of a round."""
        if "pairs" not in shared:
            maps, photos = self._channels(batch["map"], batch["photo"].dtype), batch["photo"]
            if self.config.flip:
                maps, photos = mirrored_together(batch.noise, maps, photos)
            if self.config.jitter:
                reach = self.config.jitter
                moves = batch.noise.integers(2 * reach + 1, len(photos), 2) - reach
                maps, photos = (shifted(x, moves) for x in (maps, photos))
            shared["pairs"] = maps, photos
        maps, photos = shared["pairs"]
        return maps, photos

    def _channels(self, maps: Tensor, dtype: torch.dtype) -> Tensor:
        """Maps as G takes them: indices (B, H, W) become one channel a class, images stay what they are."""
        return classes_as_channels(maps, self.classes_of_map, dtype) if self.classes_of_map else maps

    # What it can do

    def translate(self, maps: Tensor, target: int | None, noise: Noise) -> Tensor:
        """Maps (B, H, W) int64 or (B, C, H, W) -> photographs (B, C, H, W), sides multiples of `multiple`."""
        best = self.average if self.config.ema_half_life else self.generator
        found: Tensor = best(self._channels(maps, next(self.parameters()).dtype), noise)
        return found

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """The map, what is made of it, and the true photograph."""
        maps, photos = batch["map"], batch["photo"]
        seen = as_picture(maps, self.spec["map"], photos.shape[1]).to(photos.dtype)
        return Panel(torch.stack([seen, self.translate(maps, None, noise), photos], 1), ("map", "made", "true"))
