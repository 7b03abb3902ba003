"""AnoGAN and f-AnoGAN: anomalies as what a generator of normal images cannot draw. Schlegl et al. 2017, "Unsupervised
Anomaly Detection with Generative Adversarial Networks to Guide Marker Discovery" (IPMI, arXiv 1703.05921); Schlegl et al.
2019, "f-AnoGAN: Fast unsupervised anomaly detection with generative adversarial networks" (Medical Image Analysis 54).

A DCGAN learns normal images x = G(z). Then an encoder E learns to find the latent of an image, with G and D frozen, on
normal images alone (izi_f of the second paper; f(x): the last features of D):
    min_E  mean (x - G(E(x)))^2 + kappa mean (f(x) - f(G(E(x))))^2.
An image is scored by how badly it is redrawn: with z = E(x) by the same two terms (`method=encoder`); or, as in the first
paper, z is searched for by gradient descent, image by image, on (1 - lambda) |x - G(z)| + lambda |f(x) - f(G(z))|, which
is then the score (`method=search`). The heat map is |x - G(z)|, smoothed lightly.

A score says how unlike the training images an image is, not what is wrong with it; it is no diagnosis.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.data.classes import find_normal
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Feed, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.search import search
from ganvas.networks.convolutional import ConvolutionalDiscriminator, ConvolutionalEncoder, ConvolutionalGenerator
from ganvas.networks.usual import Usual, heat_map
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.schedules import linear_decay, until_share
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "AnoGAN and f-AnoGAN: anomaly detection with a generator of normal images",
    "authors": "Schlegl et al.",
    "year": 2017,
    "paper": "arXiv 1703.05921",
    "summary": "learns normal images only; scores others by what it cannot redraw, with heat maps",
    "data": ["image"],
    "suits": {"image": "normal class"},
    "aliases": ["f-anogan", "fanogan"],
}


@dataclass(frozen=True)
class Config:
    normal: str = knob("", "class to learn as normal; empty: the usual name among the classes (normal, healthy, good ...)")
    latent_size: int = knob(128, "size of the latent vector", low=1)
    width: int = knob(32, "channels at full resolution; doubles inwards", low=1, high=1024)
    gan_share: float = knob(
        0.7, "of the budget for the GAN, the rest for the encoder; 0: no GAN, 1: no encoder", low=0.0, high=1.0
    )
    learning_rate: float = knob(2e-4, "learning rate of G and D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of their Adam", low=0.0, high=0.9999)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake alike", choices=POLICIES)
    encoder_learning_rate: float = knob(1e-3, "learning rate of the encoder (Adam), falling to 0", low=0.0)
    kappa: float = knob(1.0, "weight of D's features in the encoder's loss and score", low=0.0)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that is kept; 0: none", low=0.0)
    method: str = knob("encoder", "how an image's latent is found", choices=("encoder", "search"), later=True)
    search_steps: int = knob(500, "steps of the search", low=1, later=True)
    search_learning_rate: float = knob(0.05, "learning rate of the search (Adam)", low=0.0, later=True)
    search_weight: float = knob(0.1, "weight of D's features in the search (lambda)", low=0.0, high=1.0, later=True)
    intensity: str = knob(
        "as-is",
        "matched: brought to the mean and spread of normal images; relative scores need it",
        choices=("as-is", "matched"),
    )
    score: str = knob(
        "mean",
        "mean: over the image, as in the papers; peak: brightest spot of the heat map, for small findings; relative: mean of "
        "what is more than redrawing leaves of normal images at that place",
        choices=("mean", "peak", "relative"),
        later=True,
    )
    smoothing: float = knob(1.0, "standard deviation in pixels of the heat map's smoothing", low=0.0, later=True)
    batch_size: int = knob(64, "images in a batch", low=1)


def auto(situation: Situation) -> dict[str, Any]:
    """Small batches, little weight on features, augmentation when records are few; narrow networks on a CPU."""
    chosen: dict[str, Any] = {"batch_size": 32, "kappa": 0.02, "latent_size": 64, "intensity": "matched", "score": "relative"}
    if situation.records < 5_000:
        chosen["augment"] = POLICIES
    return {**chosen, "width": 16} if situation.device == "cpu" else chosen


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"width": 64, "ema_half_life": 0.0}}


class AnoGan(System):
    Config = Config
    mixed_is_safe = True
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        self._normal = find_normal(tuple(spec.classes), config.normal, "anogan")
        super().__init__(spec, replace(config, normal=spec.classes[self._normal[0]]) if self._normal else config)
        self.generator = ConvolutionalGenerator(config.latent_size, spec.shape, config.width)
        self.discriminator = ConvolutionalDiscriminator(spec.shape, config.width)
        self.encoder = ConvolutionalEncoder(spec.shape, config.latent_size, config.width)
        self.average = copy.deepcopy(self.generator)
        self.usual = Usual(*spec.shape[-2:]) if config.intensity == "matched" else None
        if config.score == "relative" and self.usual is None:
            raise GanvasError("score=relative needs a run that was trained with --set intensity=matched: take mean or peak")

    # The game

    def feeds(self) -> dict[str, Feed]:
        """The normal class alone; all records when there are no classes."""
        return {"data": Feed(of=dict(zip(("real",), self._normal, strict=False)))}

    def train(self, mode: bool = True) -> AnoGan:
        """The kept G never leaves evaluation mode: the encoder must not move its BatchNorm statistics."""
        super().train(mode)
        self.average.eval()
        return self

    def players(self) -> tuple[Player, ...]:
        adam = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        return (
            Player("discriminator", ("discriminator",), adam),
            Player("generator", ("generator",), adam),
            Player(
                "encoder",
                ("encoder",),
                optimiser("adam", self.config.encoder_learning_rate),
                linear_decay(self.config.gan_share),
            ),
        )

    def phases(self) -> tuple[Phase, ...]:
        share = self.config.gan_share
        turns = (Turn("discriminator", self.discriminate), Turn("generator", self.fool))
        adversarial = Phase("adversarial", turns, until=None if share == 1.0 else until_share(share))
        encoder = Phase("encoder", (Turn("encoder", self.invert),))
        return (encoder,) if share == 0.0 else (adversarial,) if share == 1.0 else (adversarial, encoder)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.half_life, ramp=math.inf),)

    def half_life(self, clock: Clock) -> float:
        """At most a tenth of the samples seen; endless once the encoder learns, so that G stays as it is."""
        return math.inf if clock.phase == "encoder" else min(self.config.ema_half_life, 0.1 * clock.samples)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._fake(batch)  # with its graph: the generator's turn goes on from here
        seen = self._seen(self._levelled(batch.real, learn=True), batch)
        real = self.discriminator(seen)  # real and fake apart: BatchNorm must not mix them
        fake = self.discriminator(self._seen(shared["fake"].detach(), batch))
        return {"real": real_is_real(real), "fake": fake_is_fake(fake)}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch)
        return {"fool": non_saturating(self.discriminator(self._seen(fake, batch)))}

    def invert(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        real = self._levelled(batch.real, learn=self.config.gan_share == 0.0)
        redrawn = self.average(self.encoder(real))
        with torch.no_grad():
            wanted = self._features(real)
            if self.usual is not None:
                self.usual.leave(heat_map(real, redrawn, self.config.smoothing))
        return {
            "residual": (real - redrawn).square().mean(),
            "features": self.config.kappa * (wanted - self._features(redrawn)).square().mean(),
        }

    def _fake(self, batch: Batch) -> Tensor:
        return self.generator(batch.noise.normal(len(batch), self.config.latent_size))

    def _seen(self, images: Tensor, batch: Batch) -> Tensor:
        return augment(images, batch.noise, self.config.augment)

    def _features(self, images: Tensor) -> Tensor:
        """(B, N): D's last layer but one, with the statistics D has learnt, whatever mode it is in."""
        training = self.discriminator.training
        try:
            return self.discriminator.eval().layers[:-1](images).flatten(1)
        finally:
            self.discriminator.train(training)

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self.average(noise.normal(count, self.config.latent_size))

    def _levelled(self, images: Tensor, learn: bool = False) -> Tensor:
        """Images as the networks see them."""
        if self.usual is None:
            return images
        if learn:
            self.usual.see(images)
        return self.usual.matched(images)

    def project(self, images: Tensor, noise: Noise) -> Tensor:
        """(B, latent): by the encoder, or by the search."""
        images = self._levelled(images)
        if self.config.method == "encoder" and self.config.gan_share < 1.0:
            return self.encoder(images)
        return self._search(images, noise)

    def reconstruct(self, latents: Tensor) -> Tensor:
        return self.average(latents)

    def anomaly(self, images: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Scores (B,) and heat maps (B, H, W)."""
        redrawn, images = self.reconstruct(self.project(images, noise)), self._levelled(images)
        heat = heat_map(images, redrawn, self.config.smoothing)
        if self.config.score == "peak":
            return heat.amax((1, 2)), heat
        if self.config.score == "relative" and self.usual is not None:
            heat = self.usual.excess(heat)
            return heat.mean((1, 2)), heat
        searched = self.config.method == "search" or self.config.gan_share == 1.0
        return self._unlike(images, redrawn) if searched else self._izi(images, redrawn), heat

    def show(self, batch: Batch, noise: Noise) -> Panel:
        redrawn, real = self.reconstruct(self.project(batch.real, noise)), self._levelled(batch.real)
        heat = heat_map(real, redrawn, self.config.smoothing)[:, None].expand_as(redrawn)
        sampled = self.sample(len(batch), noise)
        shown = torch.stack([real, redrawn, heat.clamp(max=1.0) * 2 - 1, sampled], 1)
        return Panel(shown, ("input", "redrawn", "difference", "sample"))

    def _search(self, images: Tensor, noise: Noise) -> Tensor:
        """Latents (B, latent) found by gradient descent from noise, each image for itself."""
        start = noise.normal(len(images), self.config.latent_size)
        steps, rate = self.config.search_steps, self.config.search_learning_rate
        return search(start, lambda z, _: self._unlike(images, self.average(z)), steps, rate)

    def _unlike(self, images: Tensor, redrawn: Tensor) -> Tensor:
        """(B,): loss of the search and score of the first paper, as means so that lambda does not depend on sizes."""
        weight = self.config.search_weight
        residual = (images - redrawn).abs().flatten(1).mean(1)
        return (1 - weight) * residual + weight * (self._features(images) - self._features(redrawn)).abs().mean(1)

    def _izi(self, images: Tensor, redrawn: Tensor) -> Tensor:
        """(B,): the encoder's loss of each image, the score of the second paper."""
        residual = (images - redrawn).square().flatten(1).mean(1)
        return residual + self.config.kappa * (self._features(images) - self._features(redrawn)).square().mean(1)
