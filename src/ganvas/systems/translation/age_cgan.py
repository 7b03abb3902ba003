"""Age-cGAN. Antipov, Baccouche, Dugelay, 2017, "Face Aging With Conditional Generative Adversarial Networks" (ICIP,
arXiv 1702.01983).

A conditional GAN learns faces of age groups: G(z, y), with D(x, y) told the group as well. To age a given face x of group y0, a
latent is looked for whose face shows the same person: an encoder E, which learns from made pairs (G(z, y), z), says where to
start, and from there the latent moves until a network FR that tells people apart sees no difference (eq. 2):
    z0 = E(x),    z* = argmin_z || FR(x) - FR(G(z, y0)) ||,    aged face = G(z*, y_target)
Differences of pixels in the place of FR's blur the face and lose the person; y0 stays what it is, and z within a box.

FR learns here: who is who, where a column names people, else that two views of one picture are the same. A third network reads
the age group of a picture that has no table.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, normalize, one_hot

from ganvas.batches import Batch, Noise
from ganvas.borders import no_graph
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.search import pyramid_error, search
from ganvas.networks.age_cgan import Groups, ToldDiscriminator
from ganvas.networks.columns import codes_of, columns_of
from ganvas.networks.convolutional import LASTS, ConvolutionalEncoder, ConvolutionalGenerator
from ganvas.networks.pair import affordable_width
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.schedules import linear_decay, until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Face Aging With Conditional Generative Adversarial Networks",
    "authors": "Antipov, Baccouche, Dugelay",
    "year": 2017,
    "paper": "arXiv 1702.01983",
    "summary": "faces at another age that stay the same person, by a latent that is looked for",
    "data": {"picture": "image", "attributes": "table"},
    "example": "faces:front",
    "suits": {"table": "ages"},
    "aliases": ["agecgan", "acgan-age"],
}

KEPT = ("identity", "pixels", "encoder")
SHARPNESS = 16.0  # of the softmax over cosines, by which FR says who it is


@dataclass(frozen=True)
class Config:
    age: str = knob("", "column of the age, numbers or ordered words; empty: `age`, or the first of numbers")
    ages: tuple[int, ...] = knob((18, 29, 39, 49, 59), "last year of each group but the oldest, of a column of numbers")
    person: str = knob("person", "column that names who it is; without it FR learns from two views of each picture")
    latent_size: int = knob(100, "size of the latent vector", low=1)
    width: int = knob(64, "channels of G and D at full resolution", low=1, high=1024)
    generator_last: str = knob("transposed", "how the last layer of G enlarges: else before a 5x5 convolution", choices=LASTS)
    recogniser_width: int = knob(32, "channels of FR and of the reader of ages at full resolution", low=1, high=1024)
    features: int = knob(128, "numbers by which FR tells people apart", low=2)
    recogniser_share: float = knob(0.25, "share of the budget, first, in which FR and the reader learn", low=0.0, high=0.5)
    encoder_share: float = knob(0.2, "share of the budget, last, in which the encoder learns", low=0.01, high=0.5)
    learning_rate: float = knob(2e-4, "learning rate of G and D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of their Adam", low=0.0, high=0.9999)
    encoder_learning_rate: float = knob(1e-3, "learning rate of the encoder, of FR and of the reader (Adam)", low=0.0)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that is kept; 0: none", low=0.0)
    keep: str = knob("identity", "what a latent is looked for to keep; encoder: it is not looked for", choices=KEPT, later=True)
    search_steps: int = knob(60, "steps of the search for a latent", low=1, later=True)
    search_learning_rate: float = knob(0.05, "learning rate of the search (Adam)", low=0.0, later=True)
    box: float = knob(2.5, "each number of a latent stays between minus this and this", low=0.1, later=True)
    batch_size: int = knob(64, "records in a batch", low=2)


def auto(situation: Situation) -> dict[str, Any]:
    """Narrow networks and higher rates on a CPU."""
    chosen: dict[str, Any] = {"latent_size": 64, "learning_rate": 5e-4, "batch_size": 32, "generator_last": "bilinear"}
    chosen |= {"encoder_learning_rate": 3e-3}
    chosen |= {"augment": ("translation",)} if situation.records < 10_000 else {}
    if situation.device == "cpu":
        chosen |= {"width": affordable_width(replace(situation, spec=situation.spec["picture"])), "recogniser_width": 16}
    return chosen


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"ema_half_life": 0.0}}


class AgeCGan(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share; two views are told from others"
    described = "attributes"
    multiple = 1

    def __init__(self, spec: Any, config: Any) -> None:
        picture, table = spec["picture"], spec["attributes"]
        self._groups = Groups(table, config.age, config.ages, "age-cgan")
        named = config.person in table.names and config.person != self._groups.name
        self._people = columns_of(table, (config.person,), "age-cgan") if named else []
        super().__init__(spec, replace(config, age=self._groups.name, person=config.person if named else ""))
        shape, groups = picture.shape, len(self._groups.values)
        self.generator = ConvolutionalGenerator(config.latent_size + groups, shape, config.width, last=config.generator_last)
        self.discriminator = ToldDiscriminator(shape, groups, config.width)
        self.encoder = ConvolutionalEncoder(shape, config.latent_size, config.width)
        self.recogniser = ConvolutionalEncoder(shape, config.features, config.recogniser_width)
        self.people = nn.Linear(config.features, len(self._people[0].values) if named else config.features, bias=False)
        self.reader = ConvolutionalEncoder(shape, groups, config.recogniser_width)
        self.average = copy.deepcopy(self.generator)

    # The game

    def train(self, mode: bool = True) -> AgeCGan:
        """The kept G never leaves evaluation mode: made pairs must not move its BatchNorm statistics, nor join their faces."""
        super().train(mode)
        self.average.eval()
        return self

    def players(self) -> tuple[Player, ...]:
        adam = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        fast = optimiser("adam", self.config.encoder_learning_rate)
        first, last = self.config.recogniser_share, self.config.encoder_share
        return (
            Player("recogniser", ("recogniser", "people", "reader"), fast, linear_decay(0.5 * first, first)),
            Player("discriminator", ("discriminator",), adam),
            Player("generator", ("generator",), adam),
            Player("encoder", ("encoder",), fast, linear_decay(1 - 0.5 * last)),
        )

    def phases(self) -> tuple[Phase, ...]:
        game = (Turn("discriminator", self.discriminate), Turn("generator", self.fool))
        return (
            Phase("recognise", (Turn("recogniser", self.recognise),), until=until_share(self.config.recogniser_share)),
            Phase("play", game, until=until_share(1 - self.config.encoder_share)),
            Phase("encode", (Turn("encoder", self.invert),)),
        )

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.half_life, ramp=math.inf),)

    def half_life(self, clock: Clock) -> float:
        """At most a tenth of the samples of the game; endless once the encoder learns, so that G stays as it is."""
        return math.inf if clock.phase == "encode" else min(self.config.ema_half_life, 0.1 * clock.phase_samples)

    def recognise(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """FR and the reader of ages, on real pictures."""
        pictures, codes = batch["picture"], self._groups.codes(batch["attributes"])
        changes = ("translation",) if self._people else ("translation", "color")  # colours of skin and hair tell people apart
        views = [augment(pictures, batch.noise, changes) for _ in range(1 if self._people else 2)]
        seen = self.recogniser(torch.cat(views))
        if self._people:
            cosines = normalize(seen) @ normalize(self.people.weight).t()
            who = -((SHARPNESS * cosines).log_softmax(1) * codes_of(self._people, batch["attributes"])).sum(1).mean()
        else:  # the other view of a picture is to be found among all others (NT-Xent of SimCLR)
            told, many = normalize(self.people(seen)), len(pictures)
            alike = SHARPNESS * told @ told.t() - 1e4 * torch.eye(2 * many, device=told.device)
            who = cross_entropy(alike, torch.arange(2 * many, device=told.device).roll(many))
        read = self.reader(views[0]).log_softmax(1)
        return {"who": who, "age": -(read * codes).sum(1).mean()}

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        codes = self._groups.codes(batch["attributes"])
        shared["fake"] = self._fake(batch, codes)  # with its graph: the generator's turn goes on from here
        real = self.discriminator(self._seen(batch["picture"], batch), codes)  # apart: BatchNorm must not mix them
        fake = self.discriminator(self._seen(shared["fake"].detach(), batch), codes)
        return {"real": real_is_real(real), "fake": fake_is_fake(fake)}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        codes = self._groups.codes(batch["attributes"])
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch, codes)
        return {"fool": non_saturating(self.discriminator(self._seen(fake, batch), codes))}

    def invert(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The encoder's turn, on made pairs: of real pictures nobody knows the latent."""
        latents = batch.noise.normal(len(batch), self.config.latent_size)
        with torch.no_grad():
            made = self._made(latents, self._groups.codes(batch["attributes"]))
        return {"latents": (self.encoder(made) - latents).square().mean()}

    def _fake(self, batch: Batch, codes: Tensor) -> Tensor:
        fake: Tensor = self.generator(torch.cat([batch.noise.normal(len(batch), self.config.latent_size), codes], 1))
        return fake

    def _seen(self, images: Tensor, batch: Batch) -> Tensor:
        return augment(images, batch.noise, self.config.augment)

    def _made(self, latents: Tensor, codes: Tensor) -> Tensor:
        """Faces (B, C, H, W) of the kept G."""
        made: Tensor = self.average(torch.cat([latents, codes.to(latents)], 1))
        return made

    # What it can do

    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        return {self._groups.name: self._groups.values}

    def value_of(self, name: str, text: str) -> str | None:
        """`42` is in the group `40-49`."""
        return self._groups.of(text)

    def read(self, pictures: Tensor) -> Tensor:
        """Codes (B, groups) of the age group that pictures of the spec's size seem to be of."""
        return one_hot(self.reader(pictures).argmax(1), len(self._groups.values)).to(pictures)

    def latents(self, pictures: Tensor, codes: Tensor) -> Tensor:
        """z* (B, latent) of pictures of the spec's size whose groups are `codes`, which stay as they are."""
        box, keep = self.config.box, self.config.keep
        start = self.encoder(pictures).clamp(-box, box)
        if keep == "encoder":
            return start
        no_graph("it searches for a latent by gradient descent", {"keep": "encoder"})
        person = normalize(self.recogniser(pictures))

        def unlike(latents: Tensor, _: float) -> Tensor:
            made = self._made(latents, codes)
            if keep == "pixels":
                return pyramid_error(pictures, made)
            return (person - normalize(self.recogniser(made))).square().sum(1)

        return search(start, unlike, self.config.search_steps, self.config.search_learning_rate, within=box)

    def edit(self, pictures: Tensor, changes: Mapping[str, str], noise: Noise) -> Tensor:
        """(B, C, H, W), drawn anew at the age asked for. Of another size than the spec's, it is drawn at that and resized."""
        picture, name = self.spec["picture"], self._groups.name
        size, same = pictures.shape[2:], tuple(pictures.shape[2:]) == (picture.height, picture.width)
        small = pictures if same else interpolate(pictures, (picture.height, picture.width), mode="bilinear", antialias=True)
        own = self.read(small)
        wanted = own
        if name in changes:
            wanted = torch.zeros_like(own)
            wanted[:, self._groups.values.index(changes[name])] = 1
        made = self._made(self.latents(small, own), wanted)
        return made if same else interpolate(made, size, mode="bilinear", antialias=True)

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """A picture, itself drawn anew, and at each age."""
        pictures, values = batch["picture"], self._groups.values
        own = self.read(pictures)
        latents = self.latents(pictures, own)
        made = [self._made(latents, own)]
        for place in range(len(values)):
            made.append(self._made(latents, torch.zeros_like(own).index_fill(1, torch.tensor(place, device=own.device), 1.0)))
        return Panel(torch.stack([pictures, *made], 1), ("given", "anew", *values))
