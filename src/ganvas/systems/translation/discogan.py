"""DiscoGAN. Kim, Cha, Kim, Lee, Kim, 2017, "Learning to Discover Cross-Domain Relations with Generative Adversarial Networks"
(ICML, arXiv 1703.05192).

Two generators, G_AB and G_BA, learn from two heaps of images, without pairs, which image of the one belongs to which other:
    L_G = sum over both ways  (1 - r) (0.1 L_GAN + 0.9 L_FM) + r L_CONST,    L_CONST_A = |G_BA(G_AB(a)) - a|^2    (eq. 3 to 6)
    L_D = -E log D_B(b) - E log(1 - D_B(G_AB(a)))  and the same of D_A                                           (eq. 7, halved)
L_FM is the squared difference of the mean features of real and made images in D; r is 0.01 at first and then 0.5. A GAN alone
lets several images become one; one reconstruction makes G_AB injective, and lets it map into a part of B; two of them make the
relation one to one and onto (section 3.3). G narrows an image to 4x4 and draws it anew, so shapes may change with the domain.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
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
from ganvas.networks.blocks import convolution, leaky_relu
from ganvas.networks.convolutional import ConvolutionalDiscriminator, initialise, stages_and_base
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.matching import feature_matching
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Learning to Discover Cross-Domain Relations with Generative Adversarial Networks (DiscoGAN)",
    "authors": "Kim, Cha, Kim, Lee, Kim",
    "year": 2017,
    "paper": "arXiv 1703.05192",
    "summary": "finds which image of one class belongs to which of another, and draws it anew, learnt without pairs",
    "data": ["image"],
    "aliases": ["disco-gan"],
    "example": "brain",
}

RECONSTRUCTIONS = ("both", "first", "none")
SKIPS = ("none", "change")
MOST_HALVINGS = 5


@dataclass(frozen=True)
class Config:
    first: str = knob("", "class called A; empty: the data's two classes in their order")
    second: str = knob("", "class called B; empty: the data's two classes in their order")
    width: int = knob(64, "channels at half the resolution; doubles inwards, at most 8 times", low=1, high=1024)
    depth: int = knob(0, "halvings of a generator; 0: until 4 to 7 pixels are left, at most 5", low=0, high=8)
    skip: str = knob("none", "what goes past the middle: nothing; change: a translation begins as the input", choices=SKIPS)
    reconstruction: str = knob("both", "classes whose images must come back: both; first alone; none: GAN alone",
                               choices=RECONSTRUCTIONS)  # fmt: skip
    reconstruction_share: float = knob(0.5, "share of the loss that is reconstruction (r)", low=0.0, high=0.9999)
    early_share: float = knob(0.01, "the same at first", low=0.0, high=0.9999)
    early_samples: int = knob(640_000, "images of each class for which `early_share` holds", low=0)
    matching_share: float = knob(0.9, "share of the adversarial loss that matches features of D", low=0.0, high=1.0)
    generator_turns: int = knob(2, "moves of the generators for one of the discriminators", low=1, high=100)
    learning_rate: float = knob(2e-4, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.999, "second beta of Adam", low=0.0, high=0.99999)
    ema_half_life: float = knob(0.0, "half-life in samples of the generators that are used afterwards; 0: none", low=0.0)
    batch_size: int = knob(64, "images of each class in a batch", low=2)


WORK_PER_IMAGE = 0.06 / 16**2  # GFLOP of one round for a pair of 32x32 images, by the square of the width
IMAGES_WANTED = {16: 0, 32: 150_000, 48: 500_000, 64: 1_000_000}  # width -> images it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Small batches and an average; the width is the largest that the budget can pay for. Narrow networks, for minutes, begin
    with translations that are their inputs: what they would draw from nothing in that time is blurred, with hues exchanged."""
    pixels = situation.spec.height * situation.spec.width / 32**2
    width = widest(situation, IMAGES_WANTED, lambda width: WORK_PER_IMAGE * width**2 * pixels)
    return {
        "width": width, "batch_size": 16, "early_samples": 0, "ema_half_life": 2_000.0, "learning_rate": 2e-4,
        "skip": "change" if width < 48 else "none",
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


class Generator(nn.Module):
    """Images (B, C, H, W) in [-1, 1] -> the same, of the other domain: `depth` halvings to a small map, and as many doublings.

    width: channels at half the resolution; doubles inwards, at most 8 times. skip: with `change` what is drawn is added to the
    input, nothing at first, and cut off at black and white. Sides that 2^depth does not divide are continued by their last
    row or column, and cut off again.
    """

    def __init__(self, channels: int, width: int, depth: int, skip: str = SKIPS[0]) -> None:
        super().__init__()
        widths = [width * min(8, 2**place) for place in range(depth)]
        self.step, self.skip = 2**depth, skip
        layers = convolution(channels, widths[0], 4, 2, activation=leaky_relu)
        for before, after in itertools.pairwise(widths):
            layers += convolution(before, after, 4, 2, norm=nn.BatchNorm2d, activation=leaky_relu)
        for before, after in itertools.pairwise(widths[::-1]):
            doubled = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)
            layers += [doubled, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.layers, self.leave = nn.Sequential(*layers), nn.ConvTranspose2d(widths[0], channels, 4, 2, 1)
        self.apply(initialise)
        if skip == "change":
            nn.init.zeros_(self.leave.weight)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        right, below = -width % self.step, -height % self.step
        if right or below:
            images = pad(images, (0, right, 0, below), mode="replicate")
        drawn: Tensor = self.leave(self.layers(images))
        made = (images + drawn).clamp(-1, 1) if self.skip == "change" else torch.tanh(drawn)
        return made[:, :, :height, :width]


@contextmanager
def unrecorded(network: nn.Module) -> Iterator[None]:
    """BatchNorm normalises as ever, but what it sees meanwhile is not in the statistics that are used afterwards."""
    norms = [own for own in network.modules() if isinstance(own, nn.BatchNorm2d)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def judged(discriminator: ConvolutionalDiscriminator, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """(logits (B,), the mean over the batch of what follows each activation but the first, where there are several)."""
    features: list[Tensor] = []
    for layer in discriminator.layers:
        images = layer(images)
        if isinstance(layer, nn.LeakyReLU):
            features.append(images.mean(0))
    return images.flatten(), features[1:] or features


class DiscoGan(System):
    Config = Config
    couples_batch = "BatchNorm, and features are matched in the mean over the batch"

    def __init__(self, spec: Any, config: Any) -> None:
        self._domains = find_pair(spec.classes, config.first, config.second, "discogan")
        stages, _ = stages_and_base(spec.height, spec.width)
        first, second = (spec.classes[index] for index in self._domains)
        depth = min(config.depth or MOST_HALVINGS, stages)
        super().__init__(spec, replace(config, first=first, second=second, depth=depth))
        self.multiple = 2**depth
        self.to_a, self.to_b = (Generator(spec.channels, config.width, depth, config.skip) for _ in range(2))
        self.discriminator_a, self.discriminator_b = (ConvolutionalDiscriminator(spec.shape, config.width) for _ in range(2))
        if config.ema_half_life:
            self.average_a, self.average_b = copy.deepcopy(self.to_a), copy.deepcopy(self.to_b)

    def feeds(self) -> dict[str, Feed]:
        return {"data": Feed(of=dict(zip(("a", "b"), self._domains, strict=True)))}

    # The game

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1, beta2=self.config.beta2)
        return (
            Player("discriminators", ("discriminator_a", "discriminator_b"), rule),
            Player("generators", ("to_a", "to_b"), rule),
        )

    def phases(self) -> tuple[Phase, ...]:
        """Every batch is for one move: one of the discriminators, then several of the generators."""
        several = Turn("generators", self.translate_both, times=self.config.generator_turns, fresh=True)
        return (Phase("play", (Turn("discriminators", self.tell_apart), several)),)

    def averages(self) -> tuple[Average, ...]:
        if not self.config.ema_half_life:
            return ()
        half_life = self.config.ema_half_life
        return (Average("to_a", "average_a", half_life), Average("to_b", "average_b", half_life))

    def share(self, clock: Clock) -> float:
        """r: what share of the loss is reconstruction."""
        if self.config.reconstruction == "none":
            return 0.0
        early = clock.samples < self.config.early_samples
        return float(self.config.early_share if early else self.config.reconstruction_share)

    def translate_both(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The generators' turn: eq. 6."""
        a, b, r = batch["a"], batch["b"], self.share(clock)
        made_a, made_b = self.to_a(b), self.to_b(a)
        terms: Terms = {}
        ways = (("a", self.discriminator_a, a, made_a), ("b", self.discriminator_b, b, made_b))
        for name, discriminator, real, made in ways:
            logits, features = judged(discriminator, made)
            with torch.no_grad():
                _, wanted = judged(discriminator, real)
            matching = self.config.matching_share
            terms[f"fool {name}"] = (1 - r) * (1 - matching) * non_saturating(logits)
            # The sum over layers, as the authors have it.
            terms[f"features {name}"] = (1 - r) * matching * len(wanted) * feature_matching(features, wanted, mse_loss)
        # A quarter: images reach from -1 to 1 here, and from 0 to 1 in the paper.
        if self.config.reconstruction != "none":
            with unrecorded(self.to_a):
                terms["back a"] = r / 4 * mse_loss(self.to_a(made_b), a)
        if self.config.reconstruction == "both":
            with unrecorded(self.to_b):
                terms["back b"] = r / 4 * mse_loss(self.to_b(made_a), b)
        return terms

    def tell_apart(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """The discriminators' turn: eq. 7, halved. Real and made images are normalised apart."""
        with torch.no_grad():
            made_a, made_b = self.to_a(batch["b"]), self.to_b(batch["a"])
        of_a, of_b = self.discriminator_a, self.discriminator_b
        return {  # under names by which the watch knows who wins
            "real": 0.5 * (real_is_real(of_a(batch["a"])) + real_is_real(of_b(batch["b"]))),
            "fake": 0.5 * (fake_is_fake(of_a(made_a)) + fake_is_fake(of_b(made_b))),
        }

    # What it can do

    def _best(self) -> tuple[nn.Module, nn.Module]:
        return (self.average_a, self.average_b) if self.config.ema_half_life else (self.to_a, self.to_b)

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
