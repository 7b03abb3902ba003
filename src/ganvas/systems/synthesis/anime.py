"""Anime characters. Jin, Zhang, Li, Tian, Zhu, Fang, 2017, "Towards the Automatic Anime Characters Creation with Generative
Adversarial Networks" (arXiv 1708.05509).

Pictures whose tags are asked for by name. The generator is given noise z and tags c, and has the form of SRResNet: many blocks
on small maps, then sub-pixel convolutions. The discriminator says whether a picture is real, and which tags it shows:
    L_adv(D) = -E[log D(x)] - E[log(1 - D(G(z, c)))]                         L_adv(G) = -E[log D(G(z, c))]
    L_cls(D) = -E[log P_D(c_x | x)] - E[log P_D(c | G(z, c))]                L_cls(G) = -E[log P_D(c | G(z, c))]
    L_gp(D)  = E[(||grad D(x^)||_2 - 1)^2],  x^ = x + a (x_p - x),  x_p: x with noise  (DRAGAN, arXiv 1705.07215)
    L(D) = L_cls + l_adv L_adv + l_gp L_gp,   L(G) = l_adv L_adv + L_cls;   l_adv: the number of tags, l_gp 0.5
log P_D is the sum over tags of yes or no. A tag is a value of a column of the table that comes with the pictures; what is not
known of a picture is 0 in what G is told, and counts in no loss. The penalty keeps D smooth around real pictures alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.anime import Generator, TaggingDiscriminator
from ganvas.networks.columns import KEPT, codes_for, codes_of, columns_of, drawn_rows, remember, remembered
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.penalties import interpolation_penalty
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Towards the Automatic Anime Characters Creation with Generative Adversarial Networks",
    "authors": "Jin, Zhang, Li, Tian, Zhu, Fang",
    "year": 2017,
    "paper": "arXiv 1708.05509",
    "summary": "new pictures that show what you ask for by name: hair, glasses, any attribute of a table",
    "data": {"picture": "image", "attributes": "table"},
    "suits": {"table": "choices"},
    "aliases": ["anime-characters"],
}


@dataclass(frozen=True)
class Config:
    attributes: tuple[str, ...] = knob((), "columns to learn, as in glasses,hair; empty: all that are no numbers")
    latent_size: int = knob(128, "size of the noise beside the tags", low=1)
    width: int = knob(64, "channels of G", low=1, high=1024)
    blocks: int = knob(16, "residual blocks of G", low=0, high=64)
    doublings: int = knob(3, "sub-pixel convolutions of G: its blocks work on maps 2^this times smaller", low=0, high=6)
    discriminator_width: int = knob(32, "channels of D's first layer; doubles with each halving", low=1, high=1024)
    discriminator_blocks: int = knob(2, "the same of D, at each size", low=0, high=16)
    adversarial_weight: float = knob(0.0, "weight of real or not against the tags (l_adv); 0: the number of tags", low=0.0)
    tag_weight: float = knob(1.0, "weight of the tags (l_cls); 0: nobody tells G what a tag looks like", low=0.0)
    penalty_weight: float = knob(0.5, "weight of the gradient penalty (l_gp); 0: none", low=0.0)
    penalty_reach: float = knob(0.5, "how far from real pictures it looks, in standard deviations of the batch", low=0.0)
    generator_learning_rate: float = knob(2e-4, "learning rate of G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(2e-4, "learning rate of D (Adam)", low=0.0)
    gradient_clip: float = knob(0.0, "most that the norm of a player's gradient may be; 0: no bound", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    decay_start: float = knob(0.5, "share of the budget before the rates begin to fall, linearly, to 0", low=0.0, high=1.0)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake pictures alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(64, "records in a batch", low=2)


WORK_PER_PICTURE = 0.5 / 32**2 / 32**2  # GFLOP of a round for one picture, by the square of the width and by pixels
WANTED = {16: 0.0, 32: 100_000.0, 48: 400_000.0, 64: 1_000_000.0}  # width -> pictures it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Few blocks and large steps, so that minutes of a core give a result; the paper's sizes where the budget pays."""
    picture = situation.spec["picture"]
    width = widest(situation, WANTED, lambda width: WORK_PER_PICTURE * width**2 * picture.height * picture.width)
    quick = width < 64
    steps = {
        "generator_learning_rate": 6e-3, "discriminator_learning_rate": 3e-3, "gradient_clip": 10.0, "adversarial_weight": 3.0,
        "penalty_weight": 2.0, "ema_half_life": 2_000.0, "batch_size": 32,
    }  # fmt: skip
    return {
        "width": width, "blocks": 3 if quick else 16, "discriminator_width": max(16, width // 2),
        "discriminator_blocks": 1 if quick else 2,
        "doublings": max(0, min(3, int(math.log2(min(picture.height, picture.width) / 6)))),  # blocks see 6 pixels or more
        "augment": ("translation",) if situation.records < 5_000 and width > min(WANTED) else (), **(steps if quick else {}),
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"ema_half_life": 0.0}}


class Anime(System):
    Config = Config
    couples_batch = "BatchNorm in G: micro-batches and processes normalise over their own share"
    described = "attributes"
    rows: Tensor
    seen: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        picture = spec["picture"]
        self._columns = columns_of(spec["attributes"], config.attributes, "anime")
        tags = sum(len(column.values) for column in self._columns)
        names = tuple(column.name for column in self._columns)
        super().__init__(spec, replace(config, attributes=names, adversarial_weight=config.adversarial_weight or float(tags)))
        self.undecided = 2 * math.log(2) * self.config.adversarial_weight
        self.generator = Generator(config.latent_size + tags, picture.shape, config.width, config.blocks, config.doublings)
        self.discriminator = TaggingDiscriminator(picture.shape, tags, config.discriminator_width, config.discriminator_blocks)
        self.average = copy.deepcopy(self.generator)
        self.register_buffer("rows", torch.full((KEPT, len(names)), -1, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    # The game

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1)

        fall, clip = linear_decay(self.config.decay_start), self.config.gradient_clip or None
        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate), fall, clip),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate), fall, clip),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.judge_and_tag), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def reductions(self) -> Mapping[str, str]:
        return {"rows": "lead", "seen": "lead"}

    def judge_and_tag(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D's turn. Fakes are asked for the tags of the batch's real pictures: what never goes together is not asked for."""
        codes = self.codes(batch["attributes"])
        remember(self.rows, self.seen, self._columns, codes)
        shared["fake"] = self._fake(batch, codes)  # with its graph: the generator's turn goes on from here
        real, weight = batch["picture"], self.config.adversarial_weight
        on_real, tags = self._judge(real, batch)
        on_fake, fake_tags = self._judge(shared["fake"].detach(), batch)
        terms = {
            "real": weight * real_is_real(on_real), "fake": weight * fake_is_fake(on_fake),
            **self._mistagged(tags, codes, "tags"), **self._mistagged(fake_tags, codes, "tags of fakes"),
        }  # fmt: skip
        if self.config.penalty_weight:
            share = batch.noise.uniform(len(real))
            penalty = interpolation_penalty(self._source, real, self._perturbed(real, batch.noise), share)
            terms["penalty"] = self.config.penalty_weight * penalty
        return terms

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        codes = self.codes(batch["attributes"])
        on_fake, tags = self._judge(shared.pop("fake") if "fake" in shared else self._fake(batch, codes), batch)
        return {"fool": self.config.adversarial_weight * non_saturating(on_fake), **self._mistagged(tags, codes, "tags")}

    def _fake(self, batch: Batch, codes: Tensor) -> Tensor:
        images: Tensor = self.generator(torch.cat([batch.noise.normal(len(batch), self.config.latent_size), codes], 1))
        return images

    def _judge(self, pictures: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        source, tags = self.discriminator(augment(pictures, batch.noise, self.config.augment))
        return source, tags

    def _source(self, pictures: Tensor) -> Tensor:
        source: Tensor = self.discriminator(pictures)[0]
        return source

    def _perturbed(self, real: Tensor, noise: Noise) -> Tensor:
        """Noise to both sides, so that no brightness is preferred."""
        return real + self.config.penalty_reach * real.std() * (2 * noise.uniform(len(real), *real.shape[1:]) - 1)

    def _mistagged(self, logits: Tensor, codes: Tensor, name: str) -> Terms:
        """-log P_D, summed over tags; those of an attribute that is not known add nothing."""
        if not self.config.tag_weight:
            return {}
        known = torch.cat([codes[:, c.own].sum(1, keepdim=True).expand(-1, len(c.values)) for c in self._columns], 1)
        each = binary_cross_entropy_with_logits(logits, codes, reduction="none")
        return {name: self.config.tag_weight * (each * known).sum(1).mean()}

    def codes(self, attributes: Tensor) -> Tensor:
        """Rows of the table (B, D) -> tags (B, values of all columns)."""
        return codes_of(self._columns, attributes).to(next(self.parameters()).dtype)

    # What it can do

    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        return {column.name: column.values for column in self._columns}

    def learnt_rows(self) -> Tensor:
        return remembered(self.rows, self.seen)

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None, *, shown: Tensor | None = None) -> Tensor:
        """Noise comes before tags: with one seed, samples of other tags differ in nothing else."""
        latents = noise.normal(count, self.config.latent_size)
        if shown is None:
            shown = drawn_rows(self.rows, self.seen, count, noise)
        images: Tensor = self.average(torch.cat([latents, codes_for(self._columns, shown).to(latents)], 1))
        return images

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """A row of the same noise and the tags of a record, with other values of the first attributes."""
        latents, given = noise.normal(len(batch), self.config.latent_size), self.codes(batch["attributes"])
        images, told = [self.average(torch.cat([latents, given], 1))], ["as a record"]
        for column in self._columns:
            for place, value in list(enumerate(column.values))[-2:]:
                codes = given.clone()
                codes[:, column.own] = 0
                codes[:, column.start + place] = 1
                images.append(self.average(torch.cat([latents, codes], 1)))
                told.append(f"{column.name}={value}")
        return Panel(torch.stack(images[:7], 1), tuple(told[:7]))
