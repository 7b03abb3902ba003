"""InfoGAN. Chen, Duan, Houthooft, Schulman, Sutskever, Abbeel, 2016, "InfoGAN: Interpretable Representation Learning by
Information Maximizing Generative Adversarial Nets" (NeurIPS, arXiv 1606.03657).

Beside noise z the generator is given codes c of simple distributions, and a sample shall tell its codes:
    min_{G,Q} max_D  V(D, G) - lambda L_I(G, Q),     L_I = E_{c, x ~ G(z, c)}[log Q(c | x)] + H(c)  <=  I(c; G(z, c))
Q(c | x) shares all layers of D but the last ones. For a category it is a softmax, for a number a normal distribution of fixed
spread, so that log Q is a squared error. No label is used: the category comes to stand for what the data fall into, and each
number for something that changes steadily.

Codes are called c1 (the category, uniform over K), c2, c3 ... (numbers, uniform in -1 .. 1), as in the paper.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Code, Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.convolutional import ConvolutionalEncoder, ConvolutionalGenerator, initialise
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial Nets",
    "authors": "Chen, Duan, Houthooft, Schulman, Sutskever, Abbeel",
    "year": 2016,
    "paper": "arXiv 1606.03657",
    "summary": "classes and steady changes found without labels, and set when samples are drawn",
    "data": ["image"],
}

STEPS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)  # of a number, in the picture


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(62, "size of the latent vector z", low=1)
    categories: int = knob(10, "how many values the category c1 has; 0: there is no category", low=0, high=1000)
    numbers: int = knob(2, "how many numbers c2, c3 ... there are", low=0, high=100)
    width: int = knob(24, "channels at full resolution; doubles inwards", low=1, high=1024)
    information_weight: float = knob(
        1.0, "weight lambda of the information on the category; 0 with no numbers: a plain GAN", low=0.0
    )
    number_weight: float = knob(0.5, "weight lambda of the information on the numbers", low=0.0)
    generator_learning_rate: float = knob(1e-3, "learning rate of G and Q (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(2e-4, "learning rate of D, its layers and Q (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(64, "images in a batch", low=1)


WORK_PER_IMAGE = 0.223 / 20**2  # GFLOP of one round for one 64x64 image by the square of the width: that of dcgan
IMAGES_WANTED = {16: 0, 24: 100_000, 32: 500_000, 48: 1_500_000}  # width -> images it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """The width by the budget; as many categories as the data has classes, where it has some."""
    spec = situation.spec
    work = WORK_PER_IMAGE * spec.height * spec.width / 64**2
    width = widest(situation, IMAGES_WANTED, lambda width: work * width**2, share=0.7)
    return {"width": width, "categories": len(spec.classes) or 10}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"width": 64, "batch_size": 128, "ema_half_life": 0.0}}


class InfoGan(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        if config.categories == 1 or config.categories + config.numbers == 0:
            raise GanvasError("infogan needs a code to find: categories of 2 or more, or numbers of 1 or more")
        category = (Code("c1", choices=config.categories),) if config.categories else ()
        self.codes = (*category, *(Code(f"c{k + 2}", low=-1.0, high=1.0) for k in range(config.numbers)))
        self.class_names = tuple(f"c1={k}" for k in range(config.categories))
        told, features = config.categories + config.numbers, 16 * config.width
        self.generator = ConvolutionalGenerator(config.latent_size + told, spec.shape, config.width)
        self.trunk = nn.Sequential(ConvolutionalEncoder(spec.shape, features, config.width), nn.LeakyReLU(0.2))
        self.judge = nn.Linear(features, 1)
        hidden = (nn.Linear(features, 128, bias=False), nn.BatchNorm1d(128), nn.LeakyReLU(0.2))
        self.recogniser = nn.Sequential(*hidden, nn.Linear(128, told))
        self.judge.apply(initialise)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1)

        return (
            Player("discriminator", ("trunk", "judge", "recogniser"), rule(self.config.discriminator_learning_rate)),
            Player("generator", ("generator", "recogniser"), rule(self.config.generator_learning_rate)),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    # The game

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["codes"] = self._drawn(batch.noise, len(batch))
        shared["fake"] = self.generator(self._given(batch.noise, shared["codes"]))  # with its graph, for the generator's turn
        features = self.trunk(shared["fake"].detach())
        terms = {
            "real": real_is_real(self.judge(self.trunk(batch.real))),
            "fake": fake_is_fake(self.judge(features)),
        }
        return terms | self._untold(features, shared["codes"])

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        codes = shared["codes"] if "codes" in shared else self._drawn(batch.noise, len(batch))
        fake = shared.pop("fake") if "fake" in shared else self.generator(self._given(batch.noise, codes))
        features = self.trunk(fake)
        return {"fool": non_saturating(self.judge(features))} | self._untold(features, codes)

    def _untold(self, features: Tensor, codes: Tensor) -> Terms:
        """-lambda log Q(c | x), apart from constants: what the records do not tell of their codes."""
        config, told, place = self.config, self.recogniser(features), 0
        terms = {}
        if config.categories:
            terms["category"] = config.information_weight * cross_entropy(told[:, : config.categories], codes[:, 0].long())
            place = 1
        if config.numbers:
            missed = (told[:, config.categories :] - codes[:, place:]).square().sum(1).mean()
            terms["numbers"] = config.number_weight * missed / 2
        return terms

    def _drawn(self, noise: Noise, count: int, codes: Tensor | None = None) -> Tensor:
        """(count, codes) fresh codes; where `codes` has a number, that."""
        drawn = noise.uniform(count, len(self.codes)) * 2 - 1
        if self.config.categories:
            drawn[:, 0] = noise.integers(self.config.categories, count).to(drawn)
        return drawn if codes is None else torch.where(codes.isnan(), drawn, codes.to(drawn))

    def _given(self, noise: Noise, codes: Tensor, latents: Tensor | None = None) -> Tensor:
        """What the generator is given: z, the category as one of K, the numbers."""
        latents = noise.normal(len(codes), self.config.latent_size) if latents is None else latents
        if not self.config.categories:
            return torch.cat([latents, codes], dim=1)
        return torch.cat([latents, one_hot(codes[:, 0].long(), self.config.categories).to(latents), codes[:, 1:]], dim=1)

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None, *, codes: Tensor | None = None) -> Tensor:
        latents = noise.normal(count, self.config.latent_size)
        return self.average(self._given(noise, self._drawn(noise, count, codes), latents))

    def classify(self, records: Tensor, noise: Noise) -> Tensor:
        """Q(c1 | x), (B, K): the categories as they were found, which no label names."""
        return self.recogniser(self.trunk(records))[:, : self.config.categories].softmax(1)

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """A row for a category (or a z, where there is none): its z throughout, c2 in STEPS; without numbers other z."""
        rows, across = min(len(batch), self.config.categories or 8), len(STEPS)
        number = 1 if self.config.categories else 0
        varied = self.config.numbers > 0
        codes = torch.zeros(rows, across, len(self.codes), device=batch.real.device, dtype=noise.dtype)
        latents = noise.normal(rows, 1, self.config.latent_size).expand(-1, across, -1)
        if self.config.categories:
            codes[:, :, 0] = torch.arange(rows)[:, None].to(codes)
        if varied:
            codes[:, :, number] = torch.tensor(STEPS).to(codes)
        else:
            latents = noise.normal(rows, across, self.config.latent_size)
        made = self.average(self._given(noise, codes.flatten(0, 1), latents.flatten(0, 1)))
        columns = tuple(f"{self.codes[number].name}={step:+g}" if varied else "" for step in STEPS)
        names = tuple(f"c1={k}" for k in range(rows)) if self.config.categories else ()
        return Panel(made.unflatten(0, (rows, across)), columns, names)
