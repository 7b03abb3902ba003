"""DiscoGAN. Kim, Cha, Kim, Lee, Kim, 2017, "Learning to Discover Cross-Domain Relations with Generative Adversarial Networks"
(ICML, arXiv 1703.05192).

Two heaps of images that have something in common nobody has named: which image of the one belongs to which of the other? Two
generators, G_AB and G_BA, each an encoder to a narrow code and a decoder, and a discriminator of each heap:
    L_G = (1 - r) (s adversarial + (1 - s) feature matching) + r |G_BA(G_AB(a)) - a|^2, and the same the other way round.
A translation may look right and still throw away which image it was made of. That each must lead back to where it began, on
both sides, makes the relation one to one (section 2.3). Unlike cyclegan nothing goes past the code: images are redrawn, and
may change their form. r begins small, so that looks are found first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, pad

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.data.classes import find_pair
from ganvas.game import Average, Clock, Feed, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.convolutional import (
    ConvolutionalDiscriminator,
    ConvolutionalEncoder,
    ConvolutionalGenerator,
    stages_and_base,
)
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.matching import feature_matching
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Learning to Discover Cross-Domain Relations with Generative Adversarial Networks (DiscoGAN)",
    "authors": "Kim, Cha, Kim, Lee, Kim",
    "year": 2017,
    "paper": "arXiv 1703.05192",
    "summary": "finds which images of two classes belong together, and redraws each as its partner; no pairs",
    "data": ["image"],
    "aliases": ["disco-gan"],
    "example": "brain",
}

WAYS = ("both", "first", "none")
IMAGE_RANGE = 4.0  # squared errors of images in [-1, 1] over those in [0, 1], which the paper's weights are for


@dataclass(frozen=True)
class Config:
    first: str = knob("", "class called A; empty: the data's two classes in their order")
    second: str = knob("", "class called B; empty: the data's two classes in their order")
    width: int = knob(64, "channels of the widest feature maps at full resolution; doubles inwards", low=1, high=1024)
    code_size: int = knob(100, "numbers that an image is narrowed to between encoder and decoder", low=1, high=4096)
    reconstruct: str = knob(
        "both", "ways that must lead back: there and back from both sides, from A alone, none", choices=WAYS
    )
    starting_reconstruction: float = knob(0.01, "weight r of the way back at the beginning", low=0.0, high=1.0)
    reconstruction: float = knob(0.5, "weight r of the way back afterwards; 1 - r is left for looks", low=0.0, high=1.0)
    starting_share: float = knob(0.1, "share of the budget with the weight of the beginning", low=0.0, high=1.0)
    adversarial_share: float = knob(
        0.1, "share of fooling D in what looks weigh; the rest is feature matching", low=0.0, high=1.0
    )
    discriminator_every: int = knob(
        3, "rounds of which one is the discriminators', the others the generators'", low=1, high=100
    )
    learning_rate: float = knob(2e-4, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(0.0, "half-life in samples of the generators that are used afterwards; 0: none", low=0.0)
    batch_size: int = knob(64, "images of each class in a batch", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """Narrow networks and small batches, a moving average, for minutes on a processor."""
    quick = situation.device == "cpu" and (situation.seconds is None or situation.seconds <= 3600)
    return {
        "width": 16 if quick else 32, "batch_size": 16 if quick else 32, "learning_rate": 1e-3 if quick else 5e-4,
        "ema_half_life": 2_000.0,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


class Redrawer(nn.Module):
    """Images (B, C, H, W) in [-1, 1] -> the same, of the other class: to a code and back. Sides that halving does not divide
    are continued at the edges, and cut off again."""

    def __init__(self, shape: tuple[int, int, int], width: int, code: int) -> None:
        super().__init__()
        channels, height, columns = shape
        stages, base = stages_and_base(height, columns)
        self.missing = base[0] * 2**stages - height, base[1] * 2**stages - columns
        self.encoder = ConvolutionalEncoder((channels, base[0] * 2**stages, base[1] * 2**stages), code, width)
        self.decoder = ConvolutionalGenerator(code, shape, width)

    def forward(self, images: Tensor) -> Tensor:
        down, across = self.missing
        if down or across:
            sides = (across // 2, across - across // 2, down // 2, down - down // 2)
            images = pad(images, sides, mode="replicate")
        result: Tensor = self.decoder(self.encoder(images))
        return result


class Seer(ConvolutionalDiscriminator):
    """A discriminator that says what it saw: (logits (B,), feature maps after each but the first activation)."""

    def seen(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps: list[Tensor] = []
        for layer in self.layers:
            images = layer(images)
            if isinstance(layer, nn.LeakyReLU):
                maps.append(images)
        return images.flatten(), maps[1:] or maps


def of_the_means(made: Tensor, wanted: Tensor) -> Tensor:
    """Squared difference of the means over the batch."""
    return mse_loss(made.mean(0), wanted.mean(0))


class DiscoGan(System):
    Config = Config
    mixed_is_safe = True
    couples_batch = "BatchNorm and means of features: micro-batches and processes take them over their own share"
    multiple = 1

    def __init__(self, spec: Any, config: Any) -> None:
        self._domains = find_pair(spec.classes, config.first, config.second, "discogan")
        first, second = (spec.classes[index] for index in self._domains)
        super().__init__(spec, replace(config, first=first, second=second))
        self.to_a, self.to_b = (Redrawer(spec.shape, config.width, config.code_size) for _ in range(2))
        self.discriminator_a, self.discriminator_b = (Seer(spec.shape, config.width) for _ in range(2))
        self.average_a, self.average_b = (Redrawer(spec.shape, config.width, config.code_size) for _ in range(2))
        self.average_a.load_state_dict(self.to_a.state_dict())
        self.average_b.load_state_dict(self.to_b.state_dict())
        self._judged = "ab" if config.reconstruct == "both" else "b"  # without a way back from B there is nothing to judge in A
        self.undecided *= 0.5 * len(self._judged)

    def feeds(self) -> dict[str, Feed]:
        return {"data": Feed(of=dict(zip(("a", "b"), self._domains, strict=True)))}

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        return (
            Player("discriminators", ("discriminator_a", "discriminator_b"), rule),
            Player("generators", ("to_a", "to_b"), rule),
        )

    def phases(self) -> tuple[Phase, ...]:
        every = self.config.discriminator_every
        turns = (
            Turn("discriminators", self.tell_apart, every=every),
            Turn("generators", self.translate_both, times=lambda clock: int(every == 1 or clock.phase_round % every != 0)),
        )
        return (Phase("play", turns),)

    def averages(self) -> tuple[Average, ...]:
        half_life = self.config.ema_half_life
        return (Average("to_a", "average_a", half_life), Average("to_b", "average_b", half_life))

    def tell_apart(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Half the cross entropy of real and of translated images, of each class."""
        terms = {}
        for name, discriminator, generator, source in (
            ("a", self.discriminator_a, self.to_a, batch["b"]),
            ("b", self.discriminator_b, self.to_b, batch["a"]),
        ):
            if name in self._judged:
                with torch.no_grad():
                    made = generator(source)
                terms[f"real {name}"] = 0.5 * real_is_real(discriminator(batch[name]))
                terms[f"made {name}"] = 0.5 * fake_is_fake(discriminator(made))
        return terms

    def translate_both(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Look as the other class does, and lead back."""
        a, b = batch["a"], batch["b"]
        back = self._back(clock) if self.config.reconstruct != "none" else 0.0
        looks, share = 1 - back, self.config.adversarial_share
        made_b = self.to_b(a)
        terms = self._looks("b", self.discriminator_b, made_b, b, looks, share)
        if back:
            terms["back a"] = back * mse_loss(self.to_a(made_b), a) / IMAGE_RANGE
        if self.config.reconstruct == "both":
            made_a = self.to_a(b)
            terms |= self._looks("a", self.discriminator_a, made_a, a, looks, share)
            terms["back b"] = back * mse_loss(self.to_b(made_a), b) / IMAGE_RANGE
        return terms

    def _back(self, clock: Clock) -> float:
        config = self.config
        return float(config.starting_reconstruction if clock.progress < config.starting_share else config.reconstruction)

    def _looks(self, name: str, discriminator: Seer, made: Tensor, real: Tensor, weight: float, share: float) -> Terms:
        with torch.no_grad():
            _, wanted = discriminator.seen(real)
        logits, found = discriminator.seen(made)
        return {
            f"fool {name}": weight * share * non_saturating(logits),
            f"matching {name}": weight * (1 - share) * len(found) * feature_matching(found, wanted, of_the_means),
        }

    def _best(self) -> tuple[nn.Module, nn.Module]:
        return self.average_a, self.average_b

    def translate(self, images: Tensor, target: int, noise: Noise) -> Tensor:
        if target not in self._domains:
            raise ValueError(f"class {target} is none of the two that were learnt, {self._domains[0]} and {self._domains[1]}")
        result: Tensor = self._best()[self._domains.index(target)](images)
        return result

    def show(self, batch: Batch, noise: Noise) -> Panel:
        to_a, to_b = self._best()
        first, second = (self.spec.classes[index] for index in self._domains)
        made_b, made_a = to_b(batch["a"]), to_a(batch["b"])
        cells = (batch["a"], made_b, to_a(made_b), batch["b"], made_a, to_b(made_a))
        return Panel(torch.stack(cells, 1), (first, f"as {second}", "back", second, f"as {first}", "back"))
