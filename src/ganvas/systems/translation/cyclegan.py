"""CycleGAN. Zhu, Park, Isola, Efros, 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks"
(ICCV, arXiv 1703.10593).

Two generators, G: A -> B and F: B -> A, learn from two heaps of images without pairs. A discriminator of each domain tells
its real images from translated ones, patch by patch, and both translations in a row must lead back to where they began:
    L(G, D_B) + L(F, D_A) + lambda (E |F(G(a)) - a| + E |G(F(b)) - b|) + identity lambda (E |F(a) - a| + E |G(b) - b|),
with least squares as the adversarial loss L, and discriminators that see fakes out of a pool of past ones. Here for any
size, aspect and number of channels: the number of blocks and the depth of the discriminators follow the size.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.data.classes import find_pair
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Feed, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.blocks import UPSAMPLINGS
from ganvas.networks.colours import ColourMap
from ganvas.networks.convolutional import SMALLEST_SIDE
from ganvas.networks.cyclegan import SKIPS, Generator
from ganvas.networks.patch import PatchDiscriminator, patch_depth
from ganvas.networks.pool import ImagePool
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.penalties import squared_slopes, with_range_for_slopes
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (CycleGAN)",
    "authors": "Zhu, Park, Isola, Efros",
    "year": 2017,
    "paper": "arXiv 1703.10593",
    "summary": "turns images of one class into another and back, learnt without pairs",
    "data": ["image"],
    "suits": {"image": "two classes"},
    "aliases": ["cycle-gan"],
    "example": "brain",
}


@dataclass(frozen=True)
class Config:
    first: str = knob("", "class called A; empty: the data's two classes in their order")
    second: str = knob("", "class called B; empty: the data's two classes in their order")
    width: int = knob(64, "channels of the widest feature maps at full resolution; four times as many inside", low=1, high=1024)
    blocks: int = knob(0, "residual blocks of a generator; 0: 6, and 9 from 256 pixels on", low=0, high=32)
    skip: str = knob(
        "none", "what goes past the middle: features of the first layer; the input as well; change: it begins as the input",
        choices=SKIPS,
    )  # fmt: skip
    upsampling: str = knob(
        "transposed", "how sizes are doubled; `resized` before a convolution leaves no chequers", choices=UPSAMPLINGS
    )
    patch_depth: int = knob(0, "downsampling layers of D: patches of 16, 34, 70 pixels; 0: 1 to 3, by size", low=0, high=5)
    cycle_weight: float = knob(10.0, "weight of the way there and back (lambda)", low=0.0)
    identity_weight: float = knob(
        0.5, "weight, as a share of cycle_weight, of leaving alone what is of the target class already", low=0.0
    )
    colours: bool = knob(False, "translations begin with the linear map that gives one class the colours of the other")
    discriminator_norm: bool = knob(True, "InstanceNorm in the discriminators; without it they see how bright a picture is")
    r1_weight: float = knob(0.0, "gamma of R1, the slopes of discriminators at real images; 0: off", low=0.0)
    r2_weight: float = knob(0.0, "gamma of R2, those at translated images; 0: off", low=0.0)
    augment: tuple[str, ...] = knob((), "changes that discriminators see on real and translated alike", choices=POLICIES)
    pool_size: int = knob(50, "translated images kept for the discriminators, of each class; 0: none", low=0, high=10_000)
    learning_rate: float = knob(2e-4, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.999, "second beta of Adam", low=0.0, high=0.99999)
    decay_start: float = knob(0.5, "share of the budget before the rates begin to fall, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the generators that are used afterwards; 0: none", low=0.0)
    batch_size: int = knob(1, "images of each class in a batch", low=1)


WORK_PER_IMAGE = 1.2 / 16**2  # GFLOP of one round for a pair of 32x32 images and four blocks, by the square of the width
GAMMA = 0.5  # of images of 32x32: logits are means over patches, whose slopes shrink with the number of pixels
IMAGES_WANTED = {16: 0, 24: 40_000, 32: 100_000, 48: 300_000, 64: 500_000}  # width -> images it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Translations begin as their inputs in the target's colours, and discriminators without a norm and with flat slopes lead
    from there: minutes leave alone what they cannot change well. The width is the largest that the budget can pay for."""
    spec = situation.spec
    pixels = spec.height * spec.width / 32**2
    width = widest(situation, IMAGES_WANTED, lambda width: WORK_PER_IMAGE * width**2 * pixels)
    quick = width < 32
    return {
        "width": width, "blocks": 4 if quick else 0, "skip": "change", "upsampling": "resized", "ema_half_life": 500.0,
        "colours": True, "identity_weight": 0.0, "discriminator_norm": False,
        "r1_weight": GAMMA * pixels, "r2_weight": GAMMA * pixels, "augment": ("translation", "cutout"),
        "learning_rate": 5e-4 if quick else 2e-4,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


class CycleGan(System):
    Config = Config
    mixed_is_safe = True
    multiple = 4

    def __init__(self, spec: Any, config: Any) -> None:
        self._domains = find_pair(spec.classes, config.first, config.second, "cyclegan")
        side = min(spec.height, spec.width)
        if side < SMALLEST_SIDE:
            raise GanvasError(f"images of {spec.height}x{spec.width} are too small to translate: the least is 8 (see --size)")
        first, second = (spec.classes[index] for index in self._domains)
        blocks = config.blocks or (6 if side < 256 else 9)
        depth = patch_depth(side, config.patch_depth)
        config = replace(config, first=first, second=second, blocks=blocks, patch_depth=depth)
        super().__init__(spec, config)
        self.to_a = Generator(spec.channels, config.width, blocks, config.skip, config.upsampling)
        self.to_b = Generator(spec.channels, config.width, blocks, config.skip, config.upsampling)
        norm = nn.InstanceNorm2d if config.discriminator_norm else None
        self.discriminator_a = PatchDiscriminator(spec.channels, config.width, depth, norm)
        self.discriminator_b = PatchDiscriminator(spec.channels, config.width, depth, norm)
        if config.colours:
            self.colours = ColourMap(spec.channels)
        if config.ema_half_life:
            self.average_a, self.average_b = copy.deepcopy(self.to_a), copy.deepcopy(self.to_b)
        self.pool_a, self.pool_b = ImagePool(config.pool_size, spec.shape), ImagePool(config.pool_size, spec.shape)

    def feeds(self) -> dict[str, Feed]:
        return {"data": Feed(of=dict(zip(("a", "b"), self._domains, strict=True)))}

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1, beta2=self.config.beta2)
        decay = linear_decay(self.config.decay_start)
        return (
            Player("generators", ("to_a", "to_b"), rule, decay),
            Player("discriminators", ("discriminator_a", "discriminator_b"), rule, decay),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("generators", self.translate_both), Turn("discriminators", self.tell_apart))),)

    def averages(self) -> tuple[Average, ...]:
        if not self.config.ema_half_life:
            return ()
        half_life = self.config.ema_half_life
        return (Average("to_a", "average_a", half_life), Average("to_b", "average_b", half_life))

    def reductions(self) -> dict[str, str]:
        return ImagePool.REDUCTIONS

    def translate_both(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The generators' turn: fool both discriminators, find the way back, leave alone what is right already."""
        a, b = batch["a"], batch["b"]
        own = self.config.cycle_weight * self.config.identity_weight
        # One pass for the other domain's images and its own: every record is normalised by itself.
        if self.config.colours:
            self.colours.learn(a, b)
        made_a, *same_a = self._translated(torch.cat([b, a]) if own else b, 0).split(len(a))
        made_b, *same_b = self._translated(torch.cat([a, b]) if own else a, 1).split(len(a))
        shared["a"], shared["b"] = made_a.detach(), made_b.detach()
        terms = {
            "fool a": (self.discriminator_a(self._seen(made_a, batch)) - 1).square().mean(),
            "fool b": (self.discriminator_b(self._seen(made_b, batch)) - 1).square().mean(),
        }
        if self.config.cycle_weight:
            terms["cycle a"] = self.config.cycle_weight * (self._translated(made_b, 0) - a).abs().mean()
            terms["cycle b"] = self.config.cycle_weight * (self._translated(made_a, 1) - b).abs().mean()
        if own:
            terms["identity a"] = own * (same_a[0] - a).abs().mean()
            terms["identity b"] = own * (same_b[0] - b).abs().mean()
        return terms

    def tell_apart(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The discriminators' turn: 1 for real images, 0 for translated ones out of the pools."""
        made_a = self.pool_a(shared.pop("a").to(batch["a"].dtype), batch.noise)
        made_b = self.pool_b(shared.pop("b").to(batch["b"].dtype), batch.noise)
        flat = bool(self.config.r1_weight or self.config.r2_weight)
        terms = {}
        for name, discriminator, real, made in (
            ("a", self.discriminator_a, batch["a"], made_a),
            ("b", self.discriminator_b, batch["b"], made_b),
        ):
            seen = torch.cat([self._seen(real, batch), self._seen(made, batch)]).requires_grad_(flat)
            with with_range_for_slopes(seen) if flat else nullcontext():
                logits = discriminator(seen)
            on_real, on_made = logits.split(len(real))
            terms[f"real {name}"] = 0.5 * (on_real - 1).square().mean()
            terms[f"made {name}"] = 0.5 * on_made.square().mean()
            if flat:
                at_real, at_made = squared_slopes(seen, logits.mean((1, 2, 3))).split(len(real))
                terms[f"r1 {name}"] = 0.5 * self.config.r1_weight * at_real.mean()
                terms[f"r2 {name}"] = 0.5 * self.config.r2_weight * at_made.mean()
        return terms

    def _seen(self, images: Tensor, batch: Batch) -> Tensor:
        return augment(images, batch.noise, self.config.augment)

    def _translated(self, images: Tensor, place: int, generator: nn.Module | None = None) -> Tensor:
        """Images of the other class -> of the first (0) or second (1); generator: if not the one in training."""
        if self.config.colours:
            images = self.colours(images, place)
        made: Tensor = (generator or (self.to_a, self.to_b)[place])(images)
        return made

    def _best(self) -> tuple[nn.Module, nn.Module]:
        return (self.average_a, self.average_b) if self.config.ema_half_life else (self.to_a, self.to_b)

    def translate(self, images: Tensor, target: int, noise: Noise) -> Tensor:
        if target not in self._domains:
            raise ValueError(f"class {target} is none of the two that were learnt, {self._domains[0]} and {self._domains[1]}")
        place = self._domains.index(target)
        return self._translated(images, place, self._best()[place])

    def show(self, batch: Batch, noise: Noise) -> Panel:
        to_a, to_b = (partial(self._translated, place=place, generator=best) for place, best in enumerate(self._best()))
        first, second = (self.spec.classes[index] for index in self._domains)
        made_b, made_a = to_b(batch["a"]), to_a(batch["b"])
        cells = (batch["a"], made_b, to_a(made_b), batch["b"], made_a, to_b(made_a))
        return Panel(torch.stack(cells, 1), (first, f"as {second}", "back", second, f"as {first}", "back"))
