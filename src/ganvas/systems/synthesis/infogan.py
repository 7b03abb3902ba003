"""InfoGAN. Chen, Duan, Houthooft, Schulman, Sutskever, Abbeel, 2016, "InfoGAN: Interpretable Representation Learning by
Information Maximizing Generative Adversarial Nets" (NeurIPS, arXiv 1606.03657).

The generator is given noise z and a code c: categories, drawn uniformly, and numbers, uniform in [-1, 1]. Nothing but the loss
makes c mean something: what is made must tell as much of its code as it can. The mutual information I(c; G(z, c)) has the bound
    L_I(G, Q) = E[log Q(c | G(z, c))] + H(c)                                                                        (eq. 5)
where Q reads the code back, on the features of D: a softmax of each category, a normal distribution around each number, whose
standard deviation is fixed at 1 (a squared error). H(c) is constant. The game is
    min_{G,Q} max_D  V(D, G) - lambda L_I(G, Q)                                                                     (eq. 6)
No label is read. On digits a category of ten values is found to be the digit, and numbers to be slant and width.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Code, Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.convolutional import ConvolutionalEncoder, ConvolutionalGenerator, initialise
from ganvas.networks.pair import affordable_width
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial Nets",
    "authors": "Chen, Duan, Houthooft, Schulman, Sutskever, Abbeel",
    "year": 2016,
    "paper": "arXiv 1606.03657",
    "summary": "finds classes and factors without labels, and makes samples by them",
    "data": ["image"],
    "aliases": ["info-gan"],
}


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(62, "size of the noise beside the code", low=1)
    categories: int = knob(1, "codes that are one of several values", low=0, high=100)
    values: int = knob(10, "values of each of these: about as many as you suppose classes", low=2, high=1000)
    numbers: int = knob(2, "codes that are numbers, for what changes gradually", low=0, high=100)
    width: int = knob(16, "channels at half the resolution", low=1, high=1024)
    units: int = knob(128, "units of D's fully connected layer; twice as many in G, half in Q", low=2, high=8192)
    information_weight: float = knob(1.0, "lambda; 0: nobody but Q hears of the code", low=0.0)
    number_weight: float = knob(0.2, "lambda of numbers, as a share of that of categories", low=0.0)
    generator_learning_rate: float = knob(1e-3, "learning rate of G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(5e-4, "learning rate of D and Q (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    augment: tuple[str, ...] = knob((), "changes that D and Q see on real and fake images alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(64, "images in a batch", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """The width by the budget; the fully connected layers grow with it."""
    width = affordable_width(situation)
    return {"width": width, "units": 8 * width}


PRESETS: dict[str, Any] = {
    "auto": auto,
    "paper": {
        "width": 64,
        "units": 1024,
        "number_weight": 1.0,
        "discriminator_learning_rate": 2e-4,
        "batch_size": 128,
        "ema_half_life": 0.0,
    },
}


class Generator(nn.Module):
    """Noise and code (B, N) -> images (B, C, H, W) in [-1, 1]: a fully connected layer, then transposed convolutions."""

    def __init__(self, given: int, shape: tuple[int, int, int], units: int, width: int) -> None:
        super().__init__()
        first = [nn.Linear(given, units, bias=False), nn.BatchNorm1d(units), nn.ReLU()]
        self.layers = nn.Sequential(*first, ConvolutionalGenerator(units, shape, width))
        first[0].apply(initialise)

    def forward(self, given: Tensor) -> Tensor:
        return self.layers(given)


class InfoGan(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.shares = [config.values] * config.categories + [1] * config.numbers  # columns of each code, as G is given it
        if not self.shares:
            raise GanvasError("infogan without codes is dcgan: set categories or numbers to 1 or more")
        told, units = sum(self.shares), config.units
        self.generator = Generator(config.latent_size + told, spec.shape, 2 * units, config.width)
        self.features = nn.Sequential(
            ConvolutionalEncoder(spec.shape, units, config.width), nn.BatchNorm1d(units), nn.LeakyReLU(0.2)
        )
        self.source = nn.Linear(units, 1)
        self.recogniser = nn.Sequential(
            nn.Linear(units, units // 2, bias=False), nn.BatchNorm1d(units // 2), nn.LeakyReLU(0.2), nn.Linear(units // 2, told)
        )
        self.source.apply(initialise), self.recogniser.apply(initialise)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1)

        return (
            Player("discriminator", ("features", "source", "recogniser"), rule(self.config.discriminator_learning_rate)),
            Player("generator", ("generator", "recogniser"), rule(self.config.generator_learning_rate)),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    # The game

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """-V - lambda L_I: what tells the code is learnt by D's own layers as well."""
        shared["codes"] = codes = self._drawn(len(batch), batch.noise)
        shared["fake"] = self._fake(batch, codes)  # with its graph: the generator's turn goes on from here
        source, _ = self._judge(batch.real, batch)
        fake_source, said = self._judge(shared["fake"].detach(), batch)
        return {"real": real_is_real(source), "fake": fake_is_fake(fake_source), **self._unread(said, codes)}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """V, in its non-saturating form, - lambda L_I."""
        codes = shared.pop("codes") if "codes" in shared else self._drawn(len(batch), batch.noise)
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch, codes)
        source, said = self._judge(fake, batch)
        return {"fool": non_saturating(source), **self._unread(said, codes)}

    # What it can do

    def known_codes(self) -> tuple[Code, ...]:
        """Categories first, then numbers; each is called by its place."""
        values = [self.config.values] * self.config.categories + [0] * self.config.numbers
        return tuple(Code(str(place), count) for place, count in enumerate(values))

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None, *, codes: Tensor | None = None) -> Tensor:
        """Noise comes before codes: with one seed, samples of two codes differ in nothing else."""
        latents = noise.normal(count, self.config.latent_size)
        return self.average(self._joined(latents, self._drawn(count, noise) if codes is None else codes))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The values of the first category, as they are asked for."""
        return tuple(f"0={value}" for value in range(self.config.values))

    def classify(self, records: Tensor, noise: Noise) -> Tensor:
        """What Q reads as the first category: probabilities (B, values)."""
        if not self.config.categories:
            raise GanvasError("this run has numbers and no category to read: train with categories=1 or more")
        return self.recogniser(self.features(records))[:, : self.config.values].softmax(1)

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """A row of the same noise: each value of the first category; without one, the first number from end to end."""
        count, config = len(batch), self.config
        latents, codes = noise.normal(count, config.latent_size), self._drawn(count, noise)
        values = range(config.values) if config.categories else torch.linspace(-2, 2, 9).tolist()
        images = []
        for value in values:
            asked = codes.clone()
            asked[:, 0] = value
            images.append(self.average(self._joined(latents, asked)))
        return Panel(torch.stack(images, 1), tuple(f"0={value:g}" for value in values))

    # Codes: (B, codes), categories as whole numbers, numbers as they are

    def _drawn(self, count: int, noise: Noise) -> Tensor:
        codes = 2 * noise.uniform(count, len(self.shares)) - 1
        if self.config.categories:
            codes[:, : self.config.categories] = noise.integers(self.config.values, count, self.config.categories).to(codes)
        return codes

    def _joined(self, latents: Tensor, codes: Tensor) -> Tensor:
        """What G is given: noise, categories one-hot, numbers."""
        named = one_hot(codes[:, : self.config.categories].long(), self.config.values).flatten(1).to(latents)
        return torch.cat([latents, named, codes[:, self.config.categories :].to(latents)], dim=1)

    def _fake(self, batch: Batch, codes: Tensor) -> Tensor:
        return self.generator(self._joined(batch.noise.normal(len(batch), self.config.latent_size), codes))

    def _judge(self, images: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits of the source (B,), and what Q says of the code (B, columns); with a lambda of 0 only Q learns from it."""
        features = self.features(augment(images, batch.noise, self.config.augment))
        return self.source(features)[:, 0], self.recogniser(features if self.config.information_weight else features.detach())

    def _unread(self, said: Tensor, codes: Tensor) -> Terms:
        """- lambda L_I without what is constant: cross-entropies of categories, squared errors of numbers."""
        weight = self.config.information_weight or 1.0
        categories = self.config.categories
        terms: Terms = {}
        if categories:
            logits = said[:, : categories * self.config.values].unflatten(1, (categories, self.config.values))
            terms["category"] = (
                weight * categories * cross_entropy(logits.flatten(0, 1), codes[:, :categories].long().flatten())
            )
        if self.config.numbers:
            squared = mse_loss(said[:, -self.config.numbers :], codes[:, categories:].to(said))
            terms["number"] = weight * self.config.number_weight * 0.5 * self.config.numbers * squared
        return terms
