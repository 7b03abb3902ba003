"""Introspective adversarial network. Brock, Lim, Ritchie, Weston, 2017, "Neural Photo Editing with Introspective Adversarial
Networks" (ICLR, arXiv 1609.07093).

A VAE and a GAN in one. The encoder is a small head on the features f of the discriminator, so an image x has latents
    z = m(f(x)) + s(f(x)) * noise,  x' = G(z),
and the discriminator tells three things apart: real images x, reconstructions x', samples G(noise):
    L_D = -log D_real(x) - log D_rec(x') - log D_sample(G(noise)),      x' and G(noise) are constants in it
    L_G = -log D_real(x') - log D_real(G(noise)) + a |x - x'|_1 + b mean_l |f_l(x) - f_l(x')|^2 + c KL(z | N(0, 1)) + R,
    R = d sum |W W^T - I|  for every filter bank W of G (orthogonal regularisation).
The features see what a pixel-wise error does not (introspection), and the encoder costs two layers.

A brush stroke is a colour that is wanted in places: it moves z against the gradient of the squared error there. What that
changes of the reconstruction goes onto the image itself, as far as it changes (`inference.strokes`); all else stays.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, l1_loss, mse_loss

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.strokes import moved
from ganvas.networks.convolutional import ConvolutionalGenerator
from ganvas.networks.ian import NORMS, Features, Kinds, Latents, orthogonal_penalty
from ganvas.objectives.matching import feature_matching
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Neural Photo Editing with Introspective Adversarial Networks",
    "authors": "Brock, Lim, Ritchie, Weston",
    "year": 2017,
    "paper": "arXiv 1609.07093",
    "summary": "encodes images by its discriminator, draws them again and new ones, and follows brush strokes",
    "data": ["image"],
    "aliases": ["introspective-adversarial-network", "neural-photo-editor"],
}

REAL, RECONSTRUCTED, SAMPLED = 0, 1, 2  # what D tells apart
ENCODERS = ("shared", "own")


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(100, "size of the latent vector", low=1)
    width: int = knob(64, "channels of both networks at half the resolution; doubles inwards", low=1, high=1024)
    head_units: int = knob(1000, "units of the encoder's head", low=1, high=8192)
    encoder_features: str = knob("shared", "whether the encoder reads D's features, or has its own", choices=ENCODERS)
    norm: str = knob("batch", "how D's hidden maps, which the encoder reads, are normalised", choices=tuple(NORMS))
    adversarial_weight: float = knob(1.0, "weight of being taken for real, in G's turn", low=0.0)
    pixel_weight: float = knob(3.0, "weight of the mean absolute error of reconstructions (a)", low=0.0)
    feature_weight: float = knob(1.0, "weight of their error in D's features (b); 0: pixels alone", low=0.0)
    latent_weight: float = knob(1.0, "weight of the divergence of latents, a mean over their numbers (c)", low=0.0)
    orthogonal_weight: float = knob(1e-3, "weight of the orthogonal regularisation of G (d); 0: none", low=0.0)
    learning_rate: float = knob(2e-4, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the networks that are used afterwards; 0: none", low=0.0)
    paint_steps: int = knob(15, "steps of the latents that strokes make", low=1, high=1000, later=True)
    paint_rate: float = knob(0.1, "how far a step of the latents goes, in numbers of about 1", low=0.0, later=True)
    batch_size: int = knob(64, "images in a batch", low=2)


WORK_PER_IMAGE = 0.28 / 24**2 / 32**2  # GFLOP of a round for an image, by the square of the width and by pixels
WANTED = {16: 0.0, 24: 60_000.0, 32: 200_000.0, 48: 1_000_000.0, 64: 4_000_000.0}  # width -> images it takes to pay off


def auto(situation: Situation) -> dict[str, Any]:
    """Larger steps, smaller batches, reconstructions before looks, norms that mix no records: minutes give a result."""
    spec = situation.spec
    width = widest(situation, WANTED, lambda width: WORK_PER_IMAGE * width**2 * spec.height * spec.width)
    return {
        "width": width, "latent_size": 64, "head_units": 256, "norm": "layer", "adversarial_weight": 0.2, "pixel_weight": 10.0,
        "latent_weight": 0.1, "learning_rate": 1e-3 if width < 48 else 5e-4, "ema_half_life": 2_000.0, "batch_size": 16,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"width": 128, "batch_size": 16, "ema_half_life": 0.0}}


class Ian(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"
    undecided = 2 * math.log(3)  # of three things

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.features = Features(spec.shape, config.width, config.norm)
        self.kinds = Kinds(self.features.left)
        self.generator = ConvolutionalGenerator(config.latent_size, spec.shape, config.width)
        self.latents = Latents(self.features.left, config.head_units, config.latent_size)
        self.own = Features(spec.shape, config.width, config.norm) if config.encoder_features == "own" else None
        self.average = copy.deepcopy(self.generator)
        self.average_features = copy.deepcopy(self._read)
        self.average_latents = copy.deepcopy(self.latents)
        hears = config.adversarial_weight or config.feature_weight or self.own is None
        self._plain = not hears  # a VAE, without D

    @property
    def _read(self) -> Features:
        """What the encoder's head sits on."""
        return self.features if self.own is None else self.own

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        encoder = ("latents",) if self.own is None else ("latents", "own")
        player = Player("generator", ("generator", *encoder), rule)
        return (player,) if self._plain else (Player("discriminator", ("features", "kinds"), rule), player)

    def bystanders(self) -> tuple[str, ...]:
        return ("features", "kinds") if self._plain else ()

    def phases(self) -> tuple[Phase, ...]:
        turns = (Turn("discriminator", self.tell_apart), Turn("generator", self.redraw))
        return (Phase("play", turns[1:] if self._plain else turns),)

    def averages(self) -> tuple[Average, ...]:
        read, half = "features" if self.own is None else "own", self.config.ema_half_life
        pairs = (("generator", "average"), (read, "average_features"), ("latents", "average_latents"))
        return tuple(Average(source, target, half) for source, target in pairs)

    # The game

    def tell_apart(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """L_D. Each of the three is a batch of its own for BatchNorm."""
        made = shared["made"] = self._made(batch)  # with its graph: the generator's turn goes on from here
        asked = {"real": (batch.real, REAL), "reconstruction": (made[0], RECONSTRUCTED), "fake": (made[1], SAMPLED)}
        return {name: self._taken(self.features(images.detach()), kind) for name, (images, kind) in asked.items()}

    def redraw(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """L_G and the encoder's. D's features are those after its turn."""
        config = self.config
        again, drawn, mean, spread = shared.pop("made") if "made" in shared else self._made(batch)
        divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).mean()
        terms = {"pixels": config.pixel_weight * l1_loss(again, batch.real), "latents": config.latent_weight * divergence}
        if config.orthogonal_weight:
            terms["filters"] = config.orthogonal_weight * orthogonal_penalty(self.generator)
        if config.adversarial_weight or config.feature_weight:
            seen = self.features(again)
            with torch.no_grad():
                wanted = self.features(batch.real)
            terms["features"] = config.feature_weight * feature_matching(seen, wanted, mse_loss)
        if config.adversarial_weight:
            terms["fool by reconstruction"] = config.adversarial_weight * self._taken(seen, REAL)
            terms["fool"] = config.adversarial_weight * self._taken(self.features(drawn), REAL)
        return terms

    def _made(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Reconstructions, samples, and means and logarithms of variances of latents. The encoder's turn leaves D's features as
        they are."""
        last = self._read(batch.real)[-1]
        mean, spread = self.latents(last.detach() if self.own is None else last)
        latents = mean + (0.5 * spread).exp() * batch.noise.normal(*mean.shape)
        drawn = batch.noise.normal(*mean.shape)
        return self.generator(latents), self.generator(drawn), mean, spread

    def _taken(self, maps: list[Tensor], kind: int) -> Tensor:
        logits = self.kinds(maps[-1])
        return cross_entropy(logits, torch.full((len(logits),), kind, device=logits.device))

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self.average(noise.normal(count, self.config.latent_size))

    def project(self, images: Tensor, noise: Noise) -> Tensor:
        """Images of the spec's size -> the means of their latents (B, latent)."""
        mean, _ = self.average_latents(self.average_features(images)[-1])
        return mean

    def reconstruct(self, latents: Tensor) -> Tensor:
        return self.average(latents)

    def repaint(self, images: Tensor, colours: Tensor, strength: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W), colours that are wanted (B, C, H, W) and how much (B, 1, H, W) -> both drawings of latents, (B,
        C, H, W): as they are found, and moved until the strokes are followed."""
        before = self.project(images, noise)
        after = moved(before, self.reconstruct, colours, strength, self.config.paint_steps, self.config.paint_rate)
        return self.reconstruct(before), self.reconstruct(after)

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """An image, drawn again, and a new one."""
        again = self.reconstruct(self.project(batch.real, noise))
        return Panel(torch.stack([batch.real, again, self.sample(len(batch), noise)], 1), ("given", "drawn again", "new"))
