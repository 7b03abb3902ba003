"""Perceptual GAN. Li, Liang, Wei, Xu, Feng, Yan, 2017, "Perceptual Generative Adversarial Networks for Small Object Detection"
(CVPR, arXiv 1706.05274).

A classifier that has learnt what large objects look like reads small ones badly. A generator G takes the low-level features f
of a small object and adds to its features F_s what they lack, so that they look like the features F_l of large ones. A
discriminator on features has two branches: the adversarial one D tells the two apart, the perception branch names the class.
    min_G max_D  E log D(F_l) + E log(1 - D(F_s + G(f)))                                    adversarial
    G lowers     w1 [-log D(F_s + G(f))] + w2 [-log p(class | F_s + G(f))]                  w1 = w2 = 1
The classifier learns first and is then left alone: large records are named as before. Small ones are made of large ones
while training, averaged down to a random side and enlarged again. In use a record goes through G where
it has no more detail than a small one, whatever its number of pixels.

Crops of one object each; finding where objects are is another matter (the page has an example).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.data.classes import is_unlabelled
from ganvas.errors import GanvasError
from ganvas.game import Clock, Feed, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.perceptual_gan import (
    Backbone,
    Branch,
    FeatureGenerator,
    reductions,
    zoomed,
)  # fmt: skip
from ganvas.objectives.adversarial import fake_is_fake, non_saturating
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.schedules import linear_decay, until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Perceptual Generative Adversarial Networks for Small Object Detection",
    "authors": "Li, Liang, Wei, Xu, Feng, Yan",
    "year": 2017,
    "paper": "arXiv 1706.05274",
    "summary": "names small crops by making their features look like those of large ones",
    "data": ["image"],
    "options": {"size": "32"},
    "aliases": ["perceptual-generative-adversarial-network"],
}

LEAST, SMALL = 3 / 8, 5 / 8  # of the shorter side: 12 and 20 of 32 pixels
FINE = 0.2  # a record with less detail beyond the small side, as a share of that in the octave below, is a small one


@dataclass(frozen=True)
class Config:
    width: int = knob(32, "channels at half the resolution; four times as many at an eighth", low=1, high=1024)
    pretrained: bool = knob(False, "features of a frozen network that knows photographs; false: learnt with the classifier")
    blocks: int = knob(2, "residual blocks of the generator", low=0, high=64)
    units: int = knob(128, "units of the layers of both branches", low=1)
    small_side: int = knob(0, "a record with no more detail than so many pixels a side is small; 0: 5/8 of the size", low=0)
    least_side: int = knob(0, "pixels a side of the smallest records that are learnt; 0: 3/8 of the size", low=0)
    reduced_share: float = knob(0.0, "share of the records that the classifier learns small", low=0.0, high=1.0)
    classifier_share: float = knob(0.5, "share of the budget for the classifier, before the game", low=0.001, high=0.99)
    adversarial_weight: float = knob(1.0, "weight of looking like features of large records; 0: no discriminator", low=0.0)
    class_weight: float = knob(1.0, "weight of being named rightly by the perception branch", low=0.0)
    dropout: float = knob(0.3, "share of features left out in both branches while training", low=0.0, high=0.9)
    augment: tuple[str, ...] = knob((), "changes of all records while training", choices=POLICIES)
    zoom: float = knob(0.0, "records are seen larger, smaller and aside by up to this share while training", low=0.0, high=0.5)
    learning_rate: float = knob(1e-3, "learning rate of all players (Adam); falls in the second half of each phase", low=0.0)
    beta1: float = knob(0.9, "first beta of Adam", low=0.0, high=0.9999)
    batch_size: int = knob(64, "records in a batch", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """Frozen features, which few records are enough for; half of the records small for the classifier too; records seen
    larger and smaller, as crops are; a wider generator for half an hour and more."""
    return {
        "width": 8 if (situation.seconds or 3600.0) < 1800.0 else 32,
        "pretrained": True,
        "reduced_share": 0.5,
        "adversarial_weight": 0.3,
        "zoom": 0.15,
        "batch_size": 32,
    }


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"pretrained": True, "width": 96, "blocks": 6, "units": 4096, "dropout": 0.5}}


class PerceptualGan(System):
    Config = Config
    multiple = 0  # the branches read whole records
    place_of: Tensor
    rows: Tensor
    columns: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        height, width = spec.height, spec.width
        shorter = min(height, width)
        small = config.small_side or max(2, round(SMALL * shorter))
        least = config.least_side or min(small, max(1, round(LEAST * shorter)))
        super().__init__(spec, replace(config, small_side=small, least_side=least))
        self.class_names = tuple(name for name in spec.classes if not is_unlabelled(name))
        if len(self.class_names) < 2:
            raise GanvasError("perceptual-gan names classes and needs two or more: a sub-folder for each, or labels.csv")
        if shorter < 8:
            raise GanvasError(f"perceptual-gan: records of {height}x{width} are too small: take --size 16 or more")
        if not 1 <= least <= small < shorter or small < 2:
            raise GanvasError(
                f"perceptual-gan: small_side={small} and least_side={least}: least_side may not be the larger, and small "
                f"records are smaller than the size of training, {shorter}"
            )
        self.backbone = Backbone(spec.shape, config.width, config.pretrained)
        numbers = math.prod(self.backbone.shapes[1])
        self.extractors = ("effnet",) if config.pretrained else ()
        self.perception = Branch(numbers, config.units, len(self.class_names), config.dropout)
        self.generator = FeatureGenerator(self.backbone.shapes, config.width, config.blocks)
        self.discriminator = Branch(numbers, config.units, 1, config.dropout) if config.adversarial_weight else None
        index = {name: place for place, name in enumerate(self.class_names)}
        place_of = torch.tensor([index.get(name, 0) for name in spec.classes])
        self.register_buffer("place_of", place_of, persistent=False)  # class of the data -> place among the named ones
        # Half the small side, and then all sides from the least to the small one.
        sides = [max(1, small // 2), *range(least, small + 1)]
        for name, length in (("rows", height), ("columns", width)):
            own = [max(1, round(side * length / shorter)) for side in sides]
            self.register_buffer(name, reductions(length, own), persistent=False)

    # The game

    def feeds(self) -> Mapping[str, Feed]:
        return {"data": Feed(labelled=True)}

    def players(self) -> tuple[Player, ...]:
        config = self.config
        rule, share = optimiser("adam", config.learning_rate, beta1=config.beta1), config.classifier_share
        early, late = linear_decay(share / 2, share), linear_decay((1 + share) / 2)
        learnt = () if config.pretrained else ("backbone",)
        players: tuple[Player, ...] = (Player("classifier", (*learnt, "perception"), rule, rate=early),)
        if self.discriminator is not None:
            players += (Player("discriminator", ("discriminator",), rule, rate=late),)
        return (*players, Player("generator", ("generator",), rule, rate=late))

    def phases(self) -> tuple[Phase, ...]:
        tell = () if self.discriminator is None else (Turn("discriminator", self.tell_apart),)
        return (
            Phase("classifier", (Turn("classifier", self.name_large),), until=until_share(self.config.classifier_share)),
            Phase("game", (*tell, Turn("generator", self.super_resolve))),
        )

    def name_large(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The first phase: the classes of records as they are, of some of them as if they were small."""
        images = self._moved(batch)
        if self.config.reduced_share:
            chosen = batch.noise.uniform(len(batch)) < self.config.reduced_share
            images = torch.where(chosen[:, None, None, None], self.reduced(images, batch.noise), images)
        logits = self.perception(self.backbone(images)[1], batch.noise)
        return {"class": cross_entropy(logits, self.place_of[batch.labels])}

    def tell_apart(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D's turn: features of records that are large, against mended features of small ones. Means over all records."""
        large, mended = self._features(batch, shared)
        truly = shared["is large"].to(large.dtype)
        assert self.discriminator is not None
        real = softplus(-self.discriminator(large, batch.noise).flatten())
        return {"real": (truly * real).mean(), "fake": fake_is_fake(self.discriminator(mended.detach(), batch.noise))}

    def super_resolve(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G's turn: look like features of large records, and be named rightly by what learnt from these."""
        _, mended = self._features(batch, shared)
        shared.clear()
        named = cross_entropy(self.perception(mended, batch.noise), self.place_of[batch.labels])
        terms = {"class": self.config.class_weight * named}
        if self.discriminator is not None:
            terms["adversarial"] = self.config.adversarial_weight * non_saturating(self.discriminator(mended, batch.noise))
        return terms

    def _features(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor]:
        """(F_l, F_s + G(f)) of a batch, once a round. The classifier is left alone, so no graph is kept of it."""
        if "mended" not in shared:
            with torch.no_grad():
                images = self._moved(batch)
                shared["is large"] = ~self.is_small(batch.real)
                shared["large"] = self.backbone(images)[1]
                low, small = self.backbone(self.reduced(images, batch.noise))
            shared["mended"] = small + self.generator(low)
        return shared["large"], shared["mended"]

    def _moved(self, batch: Batch) -> Tensor:
        images = zoomed(batch.real, batch.noise, self.config.zoom) if self.config.zoom else batch.real
        return augment(images, batch.noise, self.config.augment)

    # Small records

    def reduced(self, images: Tensor, noise: Noise) -> Tensor:
        """Images (B, C, H, W), each as it looks when a file of `least_side` to `small_side` pixels is enlarged."""
        which = 1 + noise.integers(len(self.rows) - 1, len(images))
        return self._reduced(images, self.rows[which], self.columns[which])

    def is_small(self, images: Tensor) -> Tensor:
        """(B,) whether images have no more detail than small ones: next to nothing of what they show is finer than the small
        side, compared with what is coarser by up to an octave. Noise and sharp edges are finer."""
        fine, coarse = (self._reduced(images, self.rows[k], self.columns[k]) for k in (-1, 0))
        beyond, below = (images - fine).square().mean((1, 2, 3)), (fine - coarse).square().mean((1, 2, 3))
        return beyond <= FINE * below

    @staticmethod
    def _reduced(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        rows, columns = (own if own.dim() == 2 else own[:, None] for own in (rows, columns))
        return (rows.to(images.dtype) @ images @ columns.to(images.dtype).mT).clamp(-1, 1)

    # What it can do

    def classify(self, records: Tensor, noise: Noise) -> Tensor:
        """Probabilities (B, K) of `class_names`; the features of small records are mended first."""
        return self.named(records, self.is_small(records)).softmax(1)

    def named(self, records: Tensor, small: Tensor) -> Tensor:
        """Logits (B, K) of records. small: (B,) whose features are mended."""
        low, features = self.backbone(records)
        logits: Tensor = self.perception(torch.where(small[:, None, None, None], features + self.generator(low), features))
        return logits

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """Records, and the same as small ones; beside them what they are, and what the small ones are taken for."""
        small = self.reduced(batch.real, noise)
        every = torch.ones(len(small), dtype=torch.bool, device=small.device)
        raw, mended = (self.named(small, own).argmax(1).tolist() for own in (~every, every))
        true = self.place_of[batch.labels].tolist() if batch.labels is not None else raw
        name = self.class_names
        rows = tuple(f"{name[t]}: {name[a]}, mended {name[b]}" for t, a, b in zip(true, raw, mended, strict=True))
        return Panel(torch.stack([batch.real, small], 1), ("record", "small"), rows)
