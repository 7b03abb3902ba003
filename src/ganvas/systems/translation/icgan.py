"""Invertible conditional GAN. Perarnau, van de Weijer, Raducanu, Alvarez, 2016, "Invertible Conditional GANs for image editing"
(NIPS workshop on adversarial training, arXiv 1611.06355).

A conditional GAN draws a picture from noise z and attributes y. Two encoders turn it round: E_z finds the z of a picture, E_y
its y. A picture is edited by encoding it, changing y, and drawing it again: G(E_z(x), y'). First the game,
    L_D = -E[log D(x, y)] - 1/2 E[log(1 - D(x, y-))] - 1/2 E[log(1 - D(G(z, y), y))],   L_G = -E[log D(G(z, y), y)],
where y are those of the training pictures and y- those of another picture: real, but not of this one. Then the encoders,
    L_Ez = E ||z - E_z(G(z, y))||^2  on made pictures, whose z is known,    L_Ey = E ||y - E_y(x)||^2  on real ones,
each by itself. y enters G beside z, and D as constant planes behind its first convolution. All networks are told attributes as
1 (has it), -1 (has it not) and 0 (not known); what E_y says is brought to the nearest of these before anything is changed.
"""

from __future__ import annotations

import copy
import math
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
from ganvas.networks.columns import KEPT, codes_for, codes_of, columns_of, drawn_rows, remember, remembered
from ganvas.networks.convolutional import ConvolutionalGenerator
from ganvas.networks.icgan import Encoder, TellingDiscriminator
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.schedules import linear_decay, until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Invertible Conditional GANs for image editing",
    "authors": "Perarnau, van de Weijer, Raducanu, Alvarez",
    "year": 2016,
    "paper": "arXiv 1611.06355",
    "summary": "draws pictures of named attributes, and given ones again with an attribute changed",
    "data": {"picture": "image", "attributes": "table"},
    "suits": {"table": "choices"},
    "aliases": ["ic-gan", "invertible-conditional-gan"],
}

WRONG = 0.5  # weight of each half of what is not to be taken for real: a wrong y, and a made picture


@dataclass(frozen=True)
class Config:
    attributes: tuple[str, ...] = knob((), "columns to learn, as in glasses,hair; empty: all that are no numbers")
    latent_size: int = knob(100, "size of the noise beside the attributes (z)", low=1)
    width: int = knob(64, "channels of G and D at half the resolution; doubles inwards", low=1, high=1024)
    encoder_width: int = knob(32, "channels of the encoders' first layer; doubles with each halving", low=1, high=1024)
    encoder_units: int = knob(0, "units of E_z before its last layer; 0: as many as its last map has numbers", low=0, high=8192)
    attribute_units: int = knob(512, "the same of E_y", low=1, high=8192)
    wrong_pairs: bool = knob(True, "D also sees real pictures with attributes of others, as not real; off: only made ones")
    game_share: float = knob(0.625, "share of the budget for the game, before the encoders learn", low=0.05, high=0.95)
    generator_learning_rate: float = knob(2e-4, "learning rate of G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(2e-4, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam in the game", low=0.0, high=0.9999)
    encoder_learning_rate: float = knob(1e-4, "learning rate of the encoders (Adam)", low=0.0)
    encoder_beta1: float = knob(0.1, "of Adam of the encoders", low=0.0, high=0.9999)
    augment: tuple[str, ...] = knob((), "changes that D and E_y see on all pictures alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that is used afterwards; 0: none", low=0.0)
    edits: str = knob("redrawn", "an edit is drawn again, or adds what differs", choices=("redrawn", "difference"), later=True)
    batch_size: int = knob(64, "records in a batch", low=2)


WORK_PER_PICTURE = 0.14 / 24**2 / 32**2  # GFLOP of a round of the game for a picture, by the square of the width and by pixels
WANTED = {24: 0.0, 32: 400_000.0, 48: 1_500_000.0, 64: 4_000_000.0}  # width -> pictures it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Larger steps and smaller batches, so that minutes give a result; the widest that the budget pays for."""
    picture = situation.spec["picture"]
    width = widest(situation, WANTED, lambda width: WORK_PER_PICTURE * width**2 * picture.height * picture.width)
    rate = 1e-3 if width < 48 else 5e-4
    return {
        "width": width, "latent_size": 64, "encoder_width": max(16, width // 2), "encoder_units": 256, "attribute_units": 128,
        "generator_learning_rate": rate, "discriminator_learning_rate": rate, "encoder_learning_rate": 2 * rate,
        "encoder_beta1": 0.5, "ema_half_life": 1_000.0, "augment": ("translation",) if situation.records < 20_000 else (),
        "batch_size": 32,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"ema_half_life": 0.0}}


class IcGan(System):
    Config = Config
    couples_batch = "BatchNorm, and wrong attributes are those of others of the batch"
    described, multiple = "attributes", 1
    rows: Tensor
    seen: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        picture = spec["picture"]
        self._columns = columns_of(spec["attributes"], config.attributes, "icgan")
        told = sum(len(column.values) for column in self._columns)
        super().__init__(spec, replace(config, attributes=tuple(column.name for column in self._columns)))
        self.undecided = (1 + (WRONG if config.wrong_pairs else 1)) * math.log(2)
        self.discriminator = TellingDiscriminator(picture.shape, told, config.width)
        self.generator = ConvolutionalGenerator(config.latent_size + told, picture.shape, config.width)
        self.average = copy.deepcopy(self.generator)
        self.latent_encoder = Encoder(picture.shape, config.latent_size, config.encoder_width, config.encoder_units)
        self.attribute_encoder = Encoder(picture.shape, told, config.encoder_width, config.attribute_units)
        self.register_buffer("rows", torch.full((KEPT, len(self._columns)), -1, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    # The game

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1)

        encoders = optimiser("adam", self.config.encoder_learning_rate, beta1=self.config.encoder_beta1)
        fall = linear_decay((1 + self.config.game_share) / 2)
        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate)),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate)),
            Player("latent_encoder", ("latent_encoder",), encoders, fall),
            Player("attribute_encoder", ("attribute_encoder",), encoders, fall),
        )

    def phases(self) -> tuple[Phase, ...]:
        game = (Turn("discriminator", self.judge), Turn("generator", self.fool))
        encoders = (Turn("latent_encoder", self.find_latents), Turn("attribute_encoder", self.find_attributes))
        return (Phase("game", game, until=until_share(self.config.game_share)), Phase("encoders", encoders))

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.half_life, ramp=math.inf),)

    def half_life(self, clock: Clock) -> float:
        """Once the encoders learn, what they turn round stays as it is."""
        return math.inf if clock.phase == "encoders" else min(self.config.ema_half_life, 0.1 * clock.samples)

    def reductions(self) -> Mapping[str, str]:
        return {"rows": "lead", "seen": "lead"}

    def judge(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """L_D. Made pictures are asked for what real ones of the batch show: what never goes together is not asked for."""
        codes = self.codes(batch["attributes"])
        remember(self.rows, self.seen, self._columns, codes)
        told, real = self.told(codes), augment(batch["picture"], batch.noise, self.config.augment)
        shared["fake"] = self.generator(torch.cat([self._latents(batch), told], 1))  # with its graph, for G's turn
        fake = augment(shared["fake"].detach(), batch.noise, self.config.augment)
        weight, on_fake = WRONG if self.config.wrong_pairs else 1.0, self.discriminator(fake, told)
        terms = {"real": real_is_real(self.discriminator(real, told)), "fake": weight * fake_is_fake(on_fake)}
        if self.config.wrong_pairs:
            other = told[batch.noise.uniform(len(told)).argsort()]
            wrong = ((other * told).amin(1) < 0).to(told)  # differs in something known of both, else it is as right as the own
            each = softplus(self.discriminator(real, other)) * wrong
            terms["wrong"] = WRONG * each.sum() / wrong.sum().clamp(min=1)
        return terms

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """L_G."""
        told = self.told(self.codes(batch["attributes"]))
        fake = shared.pop("fake") if "fake" in shared else self.generator(torch.cat([self._latents(batch), told], 1))
        return {"fool": non_saturating(self.discriminator(augment(fake, batch.noise, self.config.augment), told))}

    def find_latents(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """L_Ez, a mean over the numbers of z: on made pictures, as they come in use."""
        latents, told = self._latents(batch), self.told(self.codes(batch["attributes"]))
        return {"latent": (self.latent_encoder(self._drawn(latents, told)) - latents).square().mean()}

    def find_attributes(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """L_Ey, a mean over the numbers of y that are known."""
        told = self.told(self.codes(batch["attributes"]))
        found = self.attribute_encoder(augment(batch["picture"], batch.noise, self.config.augment))
        known = told.square()
        return {"attributes": ((found - told).square() * known).sum() / known.sum().clamp(min=1)}

    @torch.no_grad()
    def _drawn(self, latents: Tensor, told: Tensor) -> Tensor:
        """By G as it is used: in evaluation mode, or its BatchNorm would draw other pictures of one z, and go on moving."""
        training, given = self.average.training, torch.cat([latents, told], 1)
        try:
            return self.average.eval()(given)
        finally:
            self.average.train(training)

    def _latents(self, batch: Batch) -> Tensor:
        return batch.noise.normal(len(batch), self.config.latent_size)

    def codes(self, attributes: Tensor) -> Tensor:
        """Rows of the table (B, D) -> codes (B, values of all columns), 0 or 1."""
        return codes_of(self._columns, attributes).to(next(self.parameters()).dtype)

    def told(self, codes: Tensor) -> Tensor:
        """Codes (B, values of all columns) -> y, the one scale of all networks: 1, -1, and 0 for a column that is not known."""
        known = [codes[:, c.own].sum(1, keepdim=True).expand(-1, len(c.values)) for c in self._columns]
        return 2 * codes - torch.cat(known, 1)

    # What it can do

    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        return {column.name: column.values for column in self._columns}

    def learnt_rows(self) -> Tensor:
        return remembered(self.rows, self.seen)

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None, *, shown: Tensor | None = None) -> Tensor:
        """Noise comes before attributes: with one seed, samples of others differ in nothing else."""
        latents = noise.normal(count, self.config.latent_size)
        if shown is None:
            shown = drawn_rows(self.rows, self.seen, count, noise)
        return self._drawn(latents, self.told(codes_for(self._columns, shown).to(latents)))

    def read(self, pictures: Tensor) -> Tensor:
        """Codes (B, values) of what E_y sees in pictures of the spec's size: the likeliest value of each attribute."""
        found = self.attribute_encoder(pictures)
        best = torch.stack([found[:, column.own].argmax(1) for column in self._columns], 1)
        return codes_for(self._columns, best).to(found.dtype)

    def edit(self, pictures: Tensor, changes: Mapping[str, str], noise: Noise) -> Tensor:
        """(B, C, H, W): G(E_z(x), y'), or by `edits=difference` x + G(E_z(x), y') - G(E_z(x), y). Of another size than the
        spec's, pictures are encoded at that one, and what is made is enlarged."""
        size, small = self.spec["picture"].shape[1:], pictures
        if tuple(pictures.shape[2:]) != tuple(size):
            small = interpolate(pictures, tuple(size), mode="bilinear", antialias=True)
        latents, own = self.latent_encoder(small), self.read(small)
        codes = own.clone()
        for column in (column for column in self._columns if column.name in changes):
            codes[:, column.own] = 0
            codes[:, column.start + column.values.index(changes[column.name])] = 1
        made, differ = self._drawn(latents, self.told(codes)), self.config.edits == "difference"
        if differ:
            made = made - self._drawn(latents, self.told(own))
        if small is not pictures:
            made = interpolate(made, pictures.shape[2:], mode="bilinear")
        return (pictures + made).clamp(-1, 1) if differ else made

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """A picture, drawn again, and what becomes of it with other values of the first attributes."""
        asked = [(column.name, value) for column in self._columns for value in column.values[-2:]][:5]
        made = [self.edit(batch["picture"], changes, noise) for changes in ({}, *({name: value} for name, value in asked))]
        told = ("given", "drawn again", *(f"{name}={value}" for name, value in asked))
        return Panel(torch.stack([batch["picture"], *made], 1), told)
