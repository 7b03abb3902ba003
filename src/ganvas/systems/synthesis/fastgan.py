"""FastGAN. Liu, Zhu, Song, Elgammal, 2021, "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image
Synthesis" (ICLR, arXiv 2101.04775).

G passes its small maps to the channels of its large ones (skip-layer excitation, eq. 2): y = F(x_low) . x_high, F: pooling to
4x4, a 4x4 convolution, Swish, 1x1, sigmoid. D is also an encoder: small decoders rebuild real images from its maps, the whole
one and a random quarter (eq. 4), so that it must keep what an image shows and cannot live on details of images that it knows:
    L_D = E[max(0, m - D(x))] + E[max(0, m + D(G(z)))] + E |decode(f) - T(x)|,  f: maps of D, T: reduced or cropped,
    L_G = -E[D(G(z))],  m: drawn from 0.8 to 1 for each place (0.2 of label smoothing)
D sees real and generated images through the same random changes, both whole and small.

Networks: `ganvas.networks.fastgan`. The distance |.| is a perceptual one in the paper; see the page.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, relu

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.fastgan import Discriminator, Generator
from ganvas.networks.features import DEPTHS, Features
from ganvas.networks.frozen import Frozen
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.matching import feature_matching
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis (FastGAN)",
    "authors": "Liu, Zhu, Song, Elgammal",
    "year": 2021,
    "paper": "arXiv 2101.04775",
    "summary": "new images from a hundred or a thousand, in a short training; D rebuilds what it judges",
    "data": ["image"],
    "aliases": ["fast-gan", "lightweight-gan"],
}

MARGIN, SMOOTHED = 0.8, 0.2  # of the hinge: drawn from 0.8 to 1


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(256, "size of the latent vector", low=1)
    width: int = knob(64, "channels of G at 128 pixels; 16 times at its smallest maps", low=1, high=1024)
    excitation: bool = knob(True, "small maps of G weigh the channels of large ones")
    noise_inputs: bool = knob(True, "give G a map of noise at every second size, for what is random in detail")
    reconstruction_weight: float = knob(1.0, "weight of the images that D rebuilds from its maps; 0: none", low=0.0)
    perceptual_weight: float = knob(0.0, "weight of features beside pixels in what D rebuilds", low=0.0)
    learning_rate: float = knob(2e-4, "learning rate of both players (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    augment: tuple[str, ...] = knob(("color", "translation"), "changes that D sees on all images alike", choices=POLICIES)
    ema_half_life: float = knob(5_500.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(8, "images in a batch", low=2)


WORK_PER_IMAGE = 0.66 / 8**2 / 64**2  # GFLOP of a round for one image, by the square of the width and by pixels
IMAGES_WANTED = {8: 0, 16: 100_000, 32: 500_000, 64: 2_000_000}  # width -> images it takes to pay off
NARROW = 16


def auto(situation: Situation) -> dict[str, Any]:
    """Narrow, in large steps and without noise, for minutes of a core; wider where the budget pays."""
    spec = situation.spec
    width = widest(situation, IMAGES_WANTED, lambda width: WORK_PER_IMAGE * width**2 * spec.height * spec.width)
    steps = {"learning_rate": 2e-3, "ema_half_life": 1_000.0} if width < NARROW else {"learning_rate": 5e-4}
    return {"width": width, "latent_size": 64, "noise_inputs": width >= NARROW, **steps}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"perceptual_weight": 1.0}}


def relative_error(made: Tensor, wanted: Tensor) -> Tensor:
    """Absolute error of features by their own size, so that the levels, which differ in it, count alike."""
    return l1_loss(made, wanted) / wanted.abs().mean()


class FastGan(System):
    Config = Config
    undecided = 2 * (MARGIN + SMOOTHED / 2)  # of hinge losses
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        form = {"excitation": config.excitation, "noisy": config.noise_inputs}
        self.generator = Generator(config.latent_size, spec.shape, config.width, **form)
        self.discriminator = Discriminator(spec.shape, config.width, decodes=config.reconstruction_weight > 0)
        self.average = copy.deepcopy(self.generator)
        self.features = Frozen(Features(DEPTHS)) if config.perceptual_weight and config.reconstruction_weight else None
        if self.features is not None:
            self.extractors = ("effnet",)

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("adam", self.config.learning_rate, beta1=self.config.beta1)
        return (Player("discriminator", ("discriminator",), rule), Player("generator", ("generator",), rule))

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    # The game

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._fake(batch)  # with its graph: the generator's turn goes on from here
        image, small = shared["fake"]
        seen = augment(batch.real, batch.noise, self.config.augment)
        real, maps = self.discriminator(seen, self.discriminator.reduced(seen))
        fake = self._judge(image.detach(), None if small is None else small.detach(), batch)
        terms = {
            "real": relu(self._margin(real, batch) - real).mean(),
            "fake": relu(self._margin(fake, batch) + fake).mean(),
        }
        if self.config.reconstruction_weight:  # of real images alone
            terms["rebuilt"] = self.config.reconstruction_weight * self._unlike(maps, seen, batch)
        return terms

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        image, small = shared.pop("fake") if "fake" in shared else self._fake(batch)
        return {"fool": -self._judge(image, small, batch).mean()}

    def _fake(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Images and small images."""
        made: tuple[Tensor, Tensor | None] = self.generator.both(
            batch.noise.normal(len(batch), self.config.latent_size), batch.noise
        )
        return made

    def _judge(self, image: Tensor, small: Tensor | None, batch: Batch) -> Tensor:
        """D's logits (B, K) of generated images, each changed in its own way."""
        if small is not None:
            small = augment(small, batch.noise, self.config.augment)
        logits: Tensor = self.discriminator(augment(image, batch.noise, self.config.augment), small)[0]
        return logits

    def _margin(self, logits: Tensor, batch: Batch) -> Tensor:
        return MARGIN + SMOOTHED * batch.noise.uniform(*logits.shape)

    def _unlike(self, maps: dict[str, Tensor], images: Tensor, batch: Batch) -> Tensor:
        """How far what D's decoders make of its maps is from the images, summed over the decoders."""
        total = []
        for made, wanted in self.discriminator.rebuilt(maps, images, batch.noise):
            total.append(l1_loss(made, wanted))
            if self.features is not None:
                with torch.no_grad():
                    there = self.features(wanted)
                error = feature_matching(self.features(made), there, relative_error)
                total.append(self.config.perceptual_weight * error)
        return torch.stack(total).sum()

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        images: Tensor = self.average(noise.normal(count, self.config.latent_size), noise)
        return images
