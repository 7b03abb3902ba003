"""pix2pixHD. Wang, Liu, Zhu, Tao, Kautz, Catanzaro, 2018, "High-Resolution Image Synthesis and Semantic Manipulation with
Conditional GANs" (CVPR, arXiv 1711.11585).

A label map becomes a photograph, coarse to fine: a global generator learns at half the size, then a local enhancer is set
around it, learns alone at the full size, and both go on together. Discriminators D_k, k = 1, 2, of the same form see map and
photograph at the full and at half the size; least squares as adversarial loss, and feature matching over their layers (eq. 5):
    min_G (max_D1,D2 sum_k L_GAN(G, D_k)) + lambda sum_k L_FM(G, D_k),
    L_FM = E sum_i 1/N_i |D_k^i(s, x) - D_k^i(s, G(s))|_1,    lambda = 10.
A class alone does not tell where one car ends and the next begins: a map of the edges between objects, 1 where a pixel's object
differs from a neighbour's, is one channel more for G and D (section 3.3).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.maps import as_picture, classes_as_channels, edges_of, mirrored_together
from ganvas.networks.patch import PatchPyramid, halved, patch_depth
from ganvas.networks.pix2pixhd import Generator
from ganvas.objectives.adversarial import least_squares
from ganvas.objectives.matching import feature_matching
from ganvas.objectives.schedules import linear_decay, until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs (pix2pixHD)",
    "authors": "Wang, Liu, Zhu, Tao, Kautz, Catanzaro",
    "year": 2018,
    "paper": "arXiv 1711.11585",
    "summary": "turns label maps, with the edges between objects, into photographs, coarse to fine",
    "data": {"photo": "image", "map": "label_map", "instances": "label_map"},
    "optional": ["instances"],
    "aliases": ["pix2pix-hd"],
}


@dataclass(frozen=True)
class Config:
    width: int = knob(64, "channels of the global generator's first layer; half as many of the enhancer's", low=2, high=1024)
    depth: int = knob(0, "downsampling layers of the global generator; 0: 4, or as many as leave 4 pixels", low=0, high=7)
    blocks: int = knob(9, "residual blocks of the global generator", low=0, high=32)
    local_blocks: int = knob(3, "residual blocks of the enhancer", low=0, high=32)
    edges: bool = knob(True, "edges as one channel more: between instances where the data has them, else between classes")
    discriminator_width: int = knob(64, "channels of D's first layer", low=1, high=1024)
    patch_depth: int = knob(3, "downsampling layers of D, as far as the size allows", low=1, high=5)
    scales: int = knob(2, "scales at which a PatchGAN looks; the paper's largest photographs have 3", low=1, high=4)
    feature_weight: float = knob(10.0, "weight of feature matching (lambda)", low=0.0)
    global_share: float = knob(0.5, "share of the budget for the global generator at half the size", low=0.0, high=1.0)
    enhancer_share: float = knob(0.05, "share of the budget for the enhancer alone, after it", low=0.0, high=1.0)
    flip: bool = knob(True, "mirror half of the pairs left to right, map and photograph together")
    learning_rate: float = knob(2e-4, "learning rate of all players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.999, "second beta of Adam", low=0.0, high=0.99999)
    decay_start: float = knob(0.5, "share of the budget before learning rates fall, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the average of G that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(1, "pairs in a batch", low=1)


NARROW = 32
WORK_PER_PAIR = 2.0 / 16**2  # GFLOP of one round for one pair of 64x64 at the full size, by the square of the width


def auto(situation: Situation) -> dict[str, Any]:
    """The largest width that sees every pair often enough within the budget; fewer blocks where it is narrow."""
    photo = situation.spec["photo"]
    pixels = photo.height * photo.width / 64**2
    pairs = 20.0 * max(situation.records, 200)
    wanted = {12: 0.0, 16: pairs, 32: 3 * pairs, 64: 5 * pairs}
    width = widest(situation, wanted, lambda width: WORK_PER_PAIR * width**2 * pixels)
    narrow = {"blocks": 3, "local_blocks": 2, "learning_rate": 1e-3} if width <= NARROW else {}
    return {"width": width, "discriminator_width": max(16, width), "batch_size": 4, "ema_half_life": 500.0, **narrow}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


def mean_of(values: Iterable[Tensor]) -> Tensor:
    """Of scalars."""
    return torch.stack(list(values)).mean()


class Pix2PixHd(System):
    Config = Config
    undecided = 0.25  # of halved least squares

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        photo, labels = spec["photo"], spec["map"]
        size = (photo.height, photo.width)
        if any((own.height, own.width) != size for own in spec.values()):
            raise GanvasError(
                f"pix2pixhd: maps and photographs of one size are needed, not {' and '.join(own.size for own in spec.values())}"
            )
        most = min((side & -side).bit_length() - 1 for side in size) - 1  # how often 2 divides both halves
        depth = min(config.depth or 4, most, (min(size) // 6).bit_length() - 1)
        if depth < 1:
            raise GanvasError(
                f"pix2pixhd: sides of {size[0]}x{size[1]} are not halved twice: choose multiples of 16, as --size 64"
            )
        self.multiple, self.classes_of_map = 2 ** (depth + 1), len(labels.names)
        patches = patch_depth(min(size), config.patch_depth)
        self.config = config = replace(config, depth=depth, patch_depth=patches)
        channels = self.classes_of_map + config.edges
        self.generator = Generator(channels, photo.channels, config.width, depth, config.blocks, config.local_blocks)
        # Its layers suit half the size as well, at which it begins.
        self.discriminator = PatchPyramid(
            channels + photo.channels,
            config.discriminator_width,
            patches,
            max(8, min(size) // 2),
            config.scales,
            nn.InstanceNorm2d,
        )
        self.register_buffer("enhanced", torch.zeros((), dtype=torch.bool))  # whether the enhancer has been taught
        if config.ema_half_life:
            self.average = copy.deepcopy(self.generator)

    # The game

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1, beta2=self.config.beta2)
        both = (
            "generator.coarse.features",
            "generator.enhancer",
        )  # not the global one's last layer, which the enhancer replaces
        owned = {
            "discriminator": ("discriminator",), "coarse": ("generator.coarse",), "enhancer": both[1:], "generator": both,
        }  # fmt: skip
        fall = linear_decay(self.config.decay_start)
        return tuple(Player(name, networks, rule, fall) for name, networks in owned.items())

    def phases(self) -> tuple[Phase, ...]:
        first, second = self.config.global_share, min(1.0, self.config.global_share + self.config.enhancer_share)
        half = (Turn("discriminator", self.discriminate_half), Turn("coarse", self.draw_half))
        whole = Turn("discriminator", self.discriminate)
        return (
            Phase("global", half, until=until_share(first)),
            Phase("enhancer", (whole, Turn("enhancer", self.draw)), until=until_share(second)),
            Phase("joint", (whole, Turn("generator", self.draw))),
        )

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),) if self.config.ema_half_life else ()

    def reductions(self) -> dict[str, str]:
        return {"enhanced": "lead"}

    def discriminate_half(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D's turn at half the size."""
        return self._told_apart(*(halved(own) for own in self._pairs(batch, shared)), shared, self.generator.coarse)

    def draw_half(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The global generator's turn, at half the size."""
        return self._drawn(*(halved(own) for own in self._pairs(batch, shared)), shared, self.generator.coarse)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D's turn at the full size."""
        self.enhanced.fill_(True)
        return self._told_apart(*self._pairs(batch, shared), shared, self.generator)

    def draw(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The turn of the enhancer, and later of the whole generator, at the full size."""
        return self._drawn(*self._pairs(batch, shared), shared, self.generator)

    def _told_apart(self, maps: Tensor, photos: Tensor, shared: Shared, network: Any) -> Terms:
        shared["made"] = network(maps)
        real, made = (self.discriminator(torch.cat([maps, own], 1)) for own in (photos, shared["made"].detach()))
        return {
            "real": mean_of(least_squares(own[-1], 1.0) for own in real),
            "fake": mean_of(least_squares(own[-1], 0.0) for own in made),
        }

    def _drawn(self, maps: Tensor, photos: Tensor, shared: Shared, network: Any) -> Terms:
        made = shared.pop("made") if "made" in shared else network(maps)
        found = self.discriminator(torch.cat([maps, made], 1))
        terms = {"fool": mean_of(2 * least_squares(own[-1], 1.0) for own in found)}
        if self.config.feature_weight:
            with torch.no_grad():
                wanted = self.discriminator(torch.cat([maps, photos], 1))
            matched = (4 * feature_matching(own[:-1], true[:-1]) for own, true in zip(found, wanted, strict=True))
            terms["features"] = self.config.feature_weight * mean_of(matched)
        return terms

    def _pairs(self, batch: Batch, shared: Shared) -> tuple[Tensor, ...]:
        """Maps as channels, and photographs, mirrored together; the same for both turns of a round."""
        if "pairs" not in shared:
            photos = batch["photo"]
            pairs = (self._channels(batch["map"], batch.fields.get("instances"), photos.dtype), photos)
            shared["pairs"] = mirrored_together(batch.noise, *pairs) if self.config.flip else pairs
        found: tuple[Tensor, ...] = shared["pairs"]
        return found

    def _channels(self, maps: Tensor, instances: Tensor | None, dtype: torch.dtype) -> Tensor:
        """A channel a class, and one of edges: between instances, or between classes where there are none."""
        found = classes_as_channels(maps, self.classes_of_map, dtype)
        if not self.config.edges:
            return found
        edges = edges_of(maps) if instances is None else edges_of(maps) | edges_of(instances)
        return torch.cat([found, edges.to(dtype)], 1)

    # What it can do

    def translate(self, maps: Tensor, target: int | None, noise: Noise, instances: Tensor | None = None) -> Tensor:
        """Maps (B, H, W) int64 -> photographs (B, C, H, W). instances: the number of each pixel's object (B, H, W); without
        them touching objects of one class are one. Before the enhancer was taught these are the global generator's, enlarged.
        Sides are multiples of `multiple`."""
        best: Any = self.average if self.config.ema_half_life else self.generator
        channels = self._channels(maps, instances, next(self.parameters()).dtype)
        if self.enhanced:
            made: Tensor = best(channels)
            return made
        return interpolate(best.coarse(halved(channels)), scale_factor=2, mode="bilinear", align_corners=False)

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """The map, what is made of it, and the true photograph."""
        maps, photos = batch["map"], batch["photo"]
        seen = as_picture(maps, self.spec["map"], photos.shape[1]).to(photos.dtype)
        made = self.translate(maps, None, noise, instances=batch.fields.get("instances"))
        return Panel(torch.stack([seen, made, photos], 1), ("map", "made", "true"))
