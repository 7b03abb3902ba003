"""pix2pixHD. Wang, Liu, Zhu, Tao, Kautz, Catanzaro, 2018, "High-Resolution Image Synthesis and Semantic Manipulation with
Conditional GANs" (CVPR, arXiv 1711.11585).

A label map s becomes a photograph x from coarse to fine. A global generator G1 first learns alone, at half the size; then a
local enhancer G2 reads the map at full size, adds G1's last features to its own, and both learn on together (section 3.1).
PatchGANs D_1 .. D_K see map and photograph at scales that halve, and G also matches what photographs cause in them (eq. 2-5):
    min_G  sum_k (max_{D_k} L_GAN(G, D_k)) + lambda sum_k L_FM(G, D_k),    lambda = 10,
    L_FM(G, D_k) = E sum_i |D_k^(i)(s, x) - D_k^(i)(s, G(s))|_1 / N_i,     L_GAN of least squares.
A perceptual term matches layers of a pretrained network in the same way; EfficientNet-lite0 in the place of VGG-19.
A map of classes does not tell where one car ends and the next begins: beside the classes the networks get a boundary map, 1
where a pixel and one of its four neighbours belong to different things (section 3.3).
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
from ganvas.borders import settled
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.blocks import Norm
from ganvas.networks.features import DEPTHS, Features
from ganvas.networks.frozen import Frozen
from ganvas.networks.maps import as_picture, classes_as_channels, mirrored_together
from ganvas.networks.patch import PatchPyramid, halved, patch_depth
from ganvas.networks.pix2pixhd import CoarseToFine, boundaries_of
from ganvas.objectives.adversarial import least_squares
from ganvas.objectives.matching import feature_matching, relative_difference
from ganvas.objectives.schedules import linear_decay, until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs (pix2pixHD)",
    "authors": "Wang, Liu, Zhu, Tao, Kautz, Catanzaro",
    "year": 2018,
    "paper": "arXiv 1711.11585",
    "summary": "turns label maps into photographs from coarse to fine, and keeps touching things of one class apart",
    "data": {"photo": "image", "map": "label_map"},
    "aliases": ["pix2pix-hd"],
}

NORMS: dict[str, Norm] = {"instance": nn.InstanceNorm2d, "batch": nn.BatchNorm2d}
COARSE = "coarse"  # the first phase
UPSAMPLING = ("transposed", "resize")
NARROW, MEDIUM = 16, 128
SMALLEST = 12  # pixels of a side whose half still has patches to judge


@dataclass(frozen=True)
class Config:
    width: int = knob(32, "channels of the enhancer at full size; the global generator has twice as many at half size", low=1)
    depth: int = knob(0, "downsampling layers of the global generator; 0: 4, or fewer where 4 pixels are left", low=0, high=6)
    blocks: int = knob(9, "residual blocks of the global generator", low=0, high=32)
    enhancer_blocks: int = knob(3, "the same of the enhancer", low=0, high=32)
    enhancer: bool = knob(True, "learn from coarse to fine; off: the global generator alone, at full size")
    coarse_share: float = knob(0.5, "share of the budget in which the global generator learns alone", low=0.0, high=0.95)
    boundaries: bool = knob(True, "tell the networks where a pixel's neighbour belongs to another thing")
    instance_base: int = knob(0, "values from this on are class x this + number of the thing; 0: all are classes", low=0)
    norm: str = knob("instance", "normalisation of all networks; batch keeps what is uniform in a map", choices=tuple(NORMS))
    upsampling: str = knob(
        "transposed", "how G enlarges: transposed convolutions, or `resize` and convolve", choices=UPSAMPLING
    )
    discriminator_width: int = knob(64, "channels of D's first layer", low=1, high=1024)
    patch_depth: int = knob(3, "downsampling layers of D, as far as the size allows", low=1, high=5)
    scales: int = knob(3, "scales at which a PatchGAN looks", low=1, high=4)
    feature_weight: float = knob(10.0, "weight of feature matching (lambda)", low=0.0)
    perceptual_weight: float = knob(0.0, "weight of how far features of a pretrained network differ; 0: none", low=0.0)
    flip: bool = knob(True, "mirror half of the pairs left to right, map and photograph together")
    learning_rate: float = knob(2e-4, "learning rate of all players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.999, "second beta of Adam", low=0.0, high=0.99999)
    decay_start: float = knob(0.5, "share of the joint phase before learning rates fall, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the average of G that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(1, "pairs in a batch", low=1)


WORK_PER_PAIR = 2.5 / 16**2  # GFLOP of one round for one pair of 64x64, by the square of the width
WORK_OF_FEATURES = 0.7  # what the perceptual term takes as much time as, beside


def auto(situation: Situation) -> dict[str, Any]:
    """The largest width that sees every pair often enough within the budget; D twice as wide as the enhancer.
    Narrow networks take larger steps; all enlarge without transposed convolutions, whose grid short training leaves; of
    small photographs D sees less at once. What each is worth is on the system's page.
    """
    photo = situation.spec["photo"]
    pixels = photo.height * photo.width / 64**2
    patches = 1 if min(photo.height, photo.width) < MEDIUM else 3
    pairs = 40.0 * max(situation.records, 200)
    wanted = {8: 0.0, 12: pairs, 16: 2 * pairs, 24: 3 * pairs, 32: 5 * pairs}
    width = widest(situation, wanted, lambda width: (WORK_PER_PAIR * width**2 + WORK_OF_FEATURES) * pixels)
    narrow = {"learning_rate": 1e-3, "blocks": 3, "enhancer_blocks": 1} if width <= NARROW else {}
    own = {"width": width, "discriminator_width": 2 * width, "scales": 2, "patch_depth": patches, "coarse_share": 0.2}
    matched = {"feature_weight": 1.5, "perceptual_weight": 3.0}
    return {**own, **narrow, **matched, "upsampling": "resize", "batch_size": 4, "ema_half_life": 500.0}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


def _mean(values: Iterable[Tensor]) -> Tensor:
    """Of scalars."""
    return torch.stack(list(values)).mean()


class Pix2PixHD(System):
    Config = Config
    undecided = 0.25  # of least squares, halved
    couples_batch = "BatchNorm (norm=batch): micro-batches and processes normalise over their own share"
    class_of: Tensor
    joined: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        photo, labels = spec["photo"], spec["map"]
        size = (photo.height, photo.width)
        if (labels.height, labels.width) != size:
            raise GanvasError(f"pix2pixhd: maps and photographs of one size are needed, not {labels.size} and {photo.size}")
        if config.enhancer and min(size) < SMALLEST:
            raise GanvasError(f"pix2pixhd: sides of {labels.size} are too small to be halved first: add --set enhancer=off")
        fine = int(config.enhancer)
        most = min((side & -side).bit_length() - 1 for side in size) - fine  # how often 2 divides both, at the coarse size
        inner = (min(size) >> fine).bit_length() - 2  # the mirrored border needs two pixels
        depth = min(config.depth or min(4, max(1, inner - 1)), most, inner)
        if depth < 1:
            raise GanvasError(
                f"pix2pixhd: sides of {labels.size} cannot be halved {1 + fine} times: choose multiples of 16, as in --size 64"
            )
        self.multiple, self.coarse_share = 2 ** (depth + fine), config.coarse_share * fine
        base = config.instance_base
        if base and max(labels.values) < base:
            raise GanvasError(f"pix2pixhd: instance_base is {base}, but the largest value of the maps is {max(labels.values)}")
        numbers = [value // base if base and value >= base else value for value in labels.values]
        kinds = sorted(set(numbers))
        self.classes_of_map = len(kinds)
        self.register_buffer("class_of", torch.tensor([kinds.index(number) for number in numbers]))
        self.register_buffer("joined", torch.zeros(()))  # whether the enhancer has begun to learn
        norm, inputs = NORMS[config.norm], self.classes_of_map + int(config.boundaries)
        self.generator = CoarseToFine(
            inputs, photo.channels, config.width, depth, config.blocks, config.enhancer_blocks if fine else None, norm,
            config.upsampling == "resize",
        )  # fmt: skip
        patches = patch_depth(min(size), config.patch_depth)
        self.judges = PatchPyramid(inputs + photo.channels, config.discriminator_width, patches, min(size), config.scales, norm)
        # A scale that sees half-size photographs in the joint phase sees them in the coarse one too.
        self.first = min(1, len(self.judges.scales) - 1)
        self.config = config = replace(config, depth=depth, patch_depth=patches)
        if config.ema_half_life:
            self.average = copy.deepcopy(self.generator)
        if config.perceptual_weight:
            self.seen_by, self.extractors = Frozen(Features(DEPTHS)), ("effnet",)

    # The game

    def players(self) -> tuple[Player, ...]:
        config, share = self.config, self.coarse_share
        rule = optimiser("adam", config.learning_rate, beta1=config.beta1, beta2=config.beta2)
        fall = linear_decay(share + config.decay_start * (1 - share))
        judges = tuple(f"judges.scales.{place}" for place in range(self.first, len(self.judges.scales)))
        coarse = (Player("coarse judges", judges, rule), Player("coarse", ("generator.coarse",), rule))
        # What the global generator draws with alone is no part of both together.
        joined = ("generator.coarse.features", "generator.enhancer") if config.enhancer else ("generator",)
        both = (Player("judges", ("judges",), rule, fall), Player("generator", joined, rule, fall))
        return (*coarse, *both) if share else both

    def phases(self) -> tuple[Phase, ...]:
        coarse = (Turn("coarse judges", self.judge), Turn("coarse", self.draw))
        joint = Phase("joint", (Turn("judges", self.judge), Turn("generator", self.draw)))
        share = self.coarse_share
        return (Phase(COARSE, coarse, until=until_share(share)), joint) if share else (joint,)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),) if self.config.ema_half_life else ()

    def judge(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Least squares, 1 for photographs and 0 for what is made; the mean over the scales."""
        maps, photos, made, first = self._seen(batch, clock, shared)
        real, fake = (self.judges(torch.cat([maps, own], 1), first) for own in (photos, made.detach()))
        return {
            "real": _mean(least_squares(own[-1], 1.0) for own in real),
            "fake": _mean(least_squares(own[-1], 0.0) for own in fake),
        }

    def draw(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Eq. 5, the mean over the scales; its least squares are not halved. In the joint phase features of a pretrained
        network, too."""
        maps, photos, made, first = self._seen(batch, clock, shared)
        found = self.judges(torch.cat([maps, made], 1), first)
        terms = {"fool": _mean(2 * least_squares(own[-1], 1.0) for own in found)}
        if self.config.feature_weight:
            with torch.no_grad():
                wanted = self.judges(torch.cat([maps, photos], 1), first)
            matched = (len(own[:-1]) * feature_matching(own[:-1], true[:-1]) for own, true in zip(found, wanted, strict=True))
            terms["features"] = self.config.feature_weight * _mean(matched)
        if self.config.perceptual_weight and clock.phase != COARSE:
            with torch.no_grad():
                true = self.seen_by(photos)
            terms["perceptual"] = self.config.perceptual_weight * feature_matching(
                self.seen_by(made), true, relative_difference
            )
        return terms

    def _seen(self, batch: Batch, clock: Clock, shared: Shared) -> tuple[Tensor, Tensor, Tensor, int]:
        """Maps as channels, photographs, what is made of the maps, with its graph, and the first scale that looks at them. In
        the coarse phase the global generator is alone, and all is of half the size. The same for both turns of a round."""
        coarse = clock.phase == COARSE
        if "seen" not in shared:
            maps, photos = self._channels(batch["map"], batch["photo"].dtype), batch["photo"]
            if self.config.flip:
                maps, photos = mirrored_together(batch.noise, maps, photos)
            made = self.generator.draft(maps) if coarse else self.generator(maps)
            shared["seen"] = (halved(maps), halved(photos), made) if coarse else (maps, photos, made)
            self.joined.fill_(not coarse)
        maps, photos, made = shared["seen"]
        return maps, photos, made, self.first if coarse else 0

    def _channels(self, maps: Tensor, dtype: torch.dtype) -> Tensor:
        """Indices (B, H, W) -> a channel a class, and the boundary map."""
        channels = classes_as_channels(self.class_of[maps], self.classes_of_map, dtype)
        return torch.cat([channels, boundaries_of(maps).to(dtype)], 1) if self.config.boundaries else channels

    # What it can do

    def translate(self, maps: Tensor, target: int | None, noise: Noise) -> Tensor:
        """Maps (B, H, W) int64 -> photographs (B, C, H, W), sides multiples of `multiple`. While the global generator learns
        alone it is its photographs, enlarged."""
        best = self.average if self.config.ema_half_life else self.generator
        channels = self._channels(maps, next(self.parameters()).dtype)
        alone = self.coarse_share and not settled(self.joined.item)
        made: Tensor = interpolate(best.draft(channels), scale_factor=2, mode="bilinear") if alone else best(channels)
        return made

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """The map, what is made of it, and the true photograph."""
        maps, photos = batch["map"], batch["photo"]
        seen = as_picture(maps, self.spec["map"], photos.shape[1]).to(photos.dtype)
        return Panel(torch.stack([seen, self.translate(maps, None, noise), photos], 1), ("map", "made", "true"))
