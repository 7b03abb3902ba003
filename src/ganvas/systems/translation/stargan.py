"""StarGAN. Choi, Choi, Kim, Ha, Kim, Choo, 2018, "StarGAN: Unified Generative Adversarial Networks for Multi-Domain
Image-to-Image Translation" (CVPR, arXiv 1711.09020).

One generator G(x, c) turns a picture x into what it would be with the attributes c, for all attributes at once; without it, k
domains need k (k - 1) generators. The discriminator says how real a picture is and which attributes it shows, D_src and D_cls:
    L_D = -L_adv + l_cls E[-log D_cls(c' | x)],   L_G = L_adv + l_cls E[-log D_cls(c | G(x, c))] + l_rec E |x - G(G(x, c), c')|,
    L_adv = E D_src(x) - E D_src(G(x, c)) - l_gp E (||grad D_src(x^)||_2 - 1)^2         (eq. 2 to 8; l_cls 1, l_rec 10, l_gp 10)
with c' the picture's own attributes, and c those of another picture of the batch. Ours, `judged=asked`: D_src(x, c) holds x
real as one that shows c, by a branch for each value (after StarGAN v2, arXiv 1912.01865): what D_cls takes for other hair must
look it. A column with several values is one code of as many numbers, of which one is 1: hair is never black and blond. What is
not known of a picture is 0 and counts in no loss. To change a picture by name, D_cls reads what it shows, and the rest stays.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, softplus

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.blocks import UPSAMPLINGS
from ganvas.networks.columns import Column, codes_of, columns_of, exclusive
from ganvas.networks.stargan import LABELS, SKIPS, EditGenerator, ReadingDiscriminator, deepest
from ganvas.objectives.penalties import interpolation_penalty, squared_slopes, with_range_for_slopes
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation",
    "authors": "Choi, Choi, Kim, Ha, Kim, Choo",
    "year": 2018,
    "paper": "arXiv 1711.09020",
    "summary": "changes any of many attributes of a picture by name, with one generator",
    "data": {"picture": "image", "attributes": "table"},
    "suits": {"table": "choices"},
    "aliases": ["star-gan"],
}

TOLD, JUDGED = ("wanted", "difference"), ("alone", "asked")


@dataclass(frozen=True)
class Config:
    attributes: tuple[str, ...] = knob((), "columns to learn, as in glasses,hair; empty: all that are no numbers")
    exclusive: tuple[str, ...] = knob(
        (), "binary columns of which at most one is on, joined by + (Black+Blond): one put on puts the others off", later=True
    )
    width: int = knob(64, "channels of G's first layer", low=1, high=1024)
    discriminator_width: int = knob(0, "channels of D's first layer; 0: as `width`", low=0, high=1024)
    blocks: int = knob(6, "residual blocks of the generator", low=0, high=32)
    patch_depth: int = knob(0, "downsampling layers of D; 0: as many as leave 2 pixels, at most 6", low=0, high=8)
    skip: str = knob("none", "what goes past the middle: features of the first layer, or by a mask the picture", choices=SKIPS)
    labels_enter: str = knob(
        "input", "where G gets attributes: beside the picture, or in norms of inner layers", choices=LABELS
    )
    upsampling: str = knob("transposed", "how G doubles sizes; `resized` leaves no chequers", choices=UPSAMPLINGS)
    fold: int = knob(1, "pixels of a side that enter as channels of one: 2 makes G work at half the size", choices=(1, 2, 4))
    r1_weight: float = knob(0.0, "above 0: D compares a picture with itself changed, its slopes held down by so much", low=0.0)
    told: str = knob("wanted", "what G is told: attributes as wanted, or their difference to the picture's own", choices=TOLD)
    judged: str = knob("alone", "what D holds real: any picture, or one that shows what was `asked`", choices=JUDGED)
    critic_turns: int = knob(5, "moves of D for one of G", low=1, high=100)
    class_weight: float = knob(1.0, "weight of the attributes that D reads (l_cls); 0: none", low=0.0)
    changed_share: float = knob(1.0, "share of the attributes that are asked of another picture", low=0.01, high=1.0)
    cycle_weight: float = knob(10.0, "weight of the way there and back (l_rec)", low=0.0)
    penalty_weight: float = knob(10.0, "weight of the gradient penalty (l_gp)", low=0.0)
    learning_rate: float = knob(1e-4, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.999, "second beta of Adam", low=0.0, high=0.99999)
    decay_start: float = knob(0.5, "share of the budget before the rates begin to fall, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the average of G that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(16, "records in a batch", low=2)


WORK_PER_ROUND = 0.6 / 16**2  # GFLOP of a round for a picture of 32x32 and one move of D, by the square of the width
WANTED = {16: 0.0, 24: 60_000.0, 32: 150_000.0, 48: 400_000.0, 64: 800_000.0}  # width -> pictures it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Attributes in the norms, the widest network that the budget pays. Small pictures are changed through a mask; in larger
    ones changes begin as nothing, one or two at once, told as the difference: minutes leave alone what they cannot change."""
    picture, columns = situation.spec["picture"], columns_of(situation.spec["attributes"], (), "stargan")
    pixels = picture.height * picture.width / 32**2
    width = widest(situation, WANTED, lambda width: WORK_PER_ROUND * width**2 * pixels)
    quick = width < 48
    form: dict[str, Any] = {"skip": "mask", "critic_turns": 2 if quick else 5}
    if pixels > 2 and picture.height % 8 == picture.width % 8 == 0:
        form = {"skip": "change", "fold": 2, "upsampling": "resized", "told": "difference", "critic_turns": 1}
        form |= {"changed_share": min(0.5, 2 / len(columns)), "r1_weight": 0.1, "class_weight": 0.2}
    form |= {"width": width, "discriminator_width": max(24, width), "blocks": 2 if quick else 6, "labels_enter": "norms"}
    return {**form, "judged": "asked", "learning_rate": 1e-3 if quick else 2e-4, "ema_half_life": 500.0}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


class StarGan(System):
    Config = Config
    couples_batch = "a picture is asked to become as another one of its batch is"
    described = "attributes"
    multiple = 1

    def __init__(self, spec: Any, config: Any) -> None:
        picture = spec["picture"]
        self._columns = columns_of(spec["attributes"], config.attributes, "stargan")
        depth = deepest(picture.height, picture.width, config.patch_depth, config.fold)
        names = tuple(column.name for column in self._columns)
        wide = config.discriminator_width or config.width
        super().__init__(spec, replace(config, attributes=names, patch_depth=depth, discriminator_width=wide))
        self._groups = exclusive(self._columns, config.exclusive, "stargan")
        codes = sum(len(column.values) for column in self._columns)
        self.generator = EditGenerator(
            picture.channels, codes, config.width, config.blocks, config.skip, config.labels_enter, config.upsampling,
            config.fold,
        )  # fmt: skip
        self.discriminator = ReadingDiscriminator(
            picture.shape, codes, wide, depth, config.r1_weight > 0, config.judged == "asked"
        )
        if config.ema_half_life:
            self.average = copy.deepcopy(self.generator)

    # The game

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1, beta2=self.config.beta2)
        rate = linear_decay(self.config.decay_start)
        return tuple(Player(name, (name,), rule, rate) for name in ("discriminator", "generator"))

    def phases(self) -> tuple[Phase, ...]:
        critic = Turn("discriminator", self.judge_and_read, times=self.config.critic_turns, fresh=True)
        return (Phase("play", (critic, Turn("generator", self.change))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),) if self.config.ema_half_life else ()

    def judge_and_read(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D's turn: eq. 5 and 8."""
        real = batch["picture"]
        own, wanted = self._asked(batch, shared)
        with torch.no_grad():
            made = self.generator(real, self._told(own, wanted))
        if self.config.r1_weight:
            return self._compare(real, made, own, wanted)
        on_real, read = self.discriminator(real, own)
        penalty = interpolation_penalty(lambda x: self.discriminator(x, wanted)[0], real, made, batch.noise.uniform(len(real)))
        return {
            "distance": self.discriminator(made, wanted)[0].mean() - on_real.mean(),
            "penalty": self.config.penalty_weight * penalty,
            "misread": self.config.class_weight * self._misread(read, own).mean(),
        }

    def _compare(self, real: Tensor, made: Tensor, own: Tensor, wanted: Tensor) -> Terms:
        """Another game of D's (Huang et al. 2024, arXiv 2501.05441): a picture is more real than itself changed; R1 and R2, for
        what D reads too: flat reading is not met by a tint that no eye takes for another hair."""
        weight, made = self.config.r1_weight, made.to(real.dtype)
        with with_range_for_slopes(real):
            real, made = (pictures.detach().requires_grad_() for pictures in (real, made))
            (on_real, read), (on_made, _) = self.discriminator(real, own), self.discriminator(made, wanted)
        misread = self._misread(read, own)
        slopes = squared_slopes(real, on_real.mean((1, 2, 3)) + misread) + squared_slopes(made, on_made.mean((1, 2, 3)))
        terms = {"relative": softplus(on_made - on_real).mean(), "slopes": 0.5 * weight * slopes.mean()}
        return {**terms, "misread": self.config.class_weight * misread.mean()}

    def change(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """G's turn: eq. 6."""
        real = batch["picture"]
        own, wanted = self._asked(batch, shared)
        made = self.generator(real, self._told(own, wanted))
        on_made, read = self.discriminator(made, wanted)
        fooled = softplus(self.discriminator(real, own)[0].detach() - on_made) if self.config.r1_weight else -on_made
        terms = {"fool": fooled.mean(), "misread": self.config.class_weight * self._misread(read, wanted).mean()}
        if self.config.cycle_weight:
            terms["cycle"] = self.config.cycle_weight * (self.generator(made, self._told(wanted, own)) - real).abs().mean()
        return terms

    def _asked(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor]:
        """Codes of what the pictures show, and of what they are to show: those of others; what is not known there stays."""
        if "codes" not in shared:
            own = self.codes(batch["attributes"])
            other = own[batch.noise.uniform(len(own)).argsort()]
            for column in self._columns:
                known = other[:, column.own].sum(1, keepdim=True) > 0
                if self.config.changed_share < 1:
                    known &= batch.noise.uniform(len(own), 1) < self.config.changed_share
                other[:, column.own] = torch.where(known, other[:, column.own], own[:, column.own])
            shared["codes"] = own, other
        own, wanted = shared["codes"]
        return own, wanted

    def _told(self, before: Tensor, after: Tensor) -> Tensor:
        """What G is told when attributes `before` are to become `after`; codes (B, values of all columns)."""
        return after - before if self.config.told == "difference" else after

    def _misread(self, read: Tensor, codes: Tensor) -> Tensor:
        """(B,): -log D_cls, summed over attributes; one that is not known has a code of zeros, and adds nothing."""
        each = [(read[:, column.own].log_softmax(1) * codes[:, column.own]).sum(1) for column in self._columns]
        return -torch.stack(each).sum(0)

    def codes(self, attributes: Tensor) -> Tensor:
        """Rows of the table (B, D) -> codes (B, values of all columns)."""
        return codes_of(self._columns, attributes).to(next(self.parameters()).dtype)

    # What it can do

    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        return {column.name: column.values for column in self._columns}

    def read(self, pictures: Tensor) -> Tensor:
        """Codes (B, values) of what D sees in pictures of the spec's size: the likeliest value of each attribute."""
        read = self.discriminator(pictures)[1]
        return torch.cat([(read[:, c.own] == read[:, c.own].amax(1, keepdim=True)).to(read.dtype) for c in self._columns], 1)

    def edit(self, pictures: Tensor, changes: Mapping[str, str], noise: Noise) -> Tensor:
        """(B, C, H, W) with the named attributes changed. Of another size than the spec's, the change is made at that size and
        added to the picture."""
        picture, small = self.spec["picture"], pictures
        if tuple(pictures.shape[2:]) != (picture.height, picture.width):
            small = interpolate(pictures, (picture.height, picture.width), mode="bilinear", antialias=True)
        codes = (own := self.read(small)).clone()
        for column, value in self._settled(changes).items():
            codes[:, column.own] = 0
            codes[:, column.start + value] = 1
        best = self.average if self.config.ema_half_life else self.generator
        made: Tensor = best(small, self._told(own, codes))
        if small is pictures:
            return made
        grown = interpolate(made - small, pictures.shape[2:], mode="bilinear")
        return (pictures + grown).clamp(-1, 1)

    def _settled(self, changes: Mapping[str, str]) -> dict[Column, int]:
        """Which value each changed column gets, with those that exclude it put off."""
        found = {column: column.values.index(changes[column.name]) for column in self._columns if column.name in changes}
        for group in self._groups:
            if any(found.get(column) == 1 for column in group):
                found |= {column: 0 for column in group if found.get(column) != 1}
        return found

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """A picture, and what becomes of it with other values of the first attributes."""
        asked = [(column.name, value) for column in self._columns for value in column.values[-2:]][:6]
        made = [self.edit(batch["picture"], {name: value}, noise) for name, value in asked]
        return Panel(torch.stack([batch["picture"], *made], 1), ("given", *(f"{name}={value}" for name, value in asked)))
