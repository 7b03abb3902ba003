"""R3GAN. Huang, Gokaslan, Kuleshov, Tompkin, 2024, "The GAN is dead; long live the GAN! A Modern Baseline GAN" (NeurIPS,
arXiv 2501.05441).

Each generated image is judged against a real one, so that no mode can be left out without a price (Jolicoeur-Martineau 2019):
    min_D  E[f(D(x) - D(G(z)))]       min_G  E[f(D(G(z)) - D(x))]       f(t) = log(1 + e^-t)
With both penalties, gamma / 2 (R1 + R2),
    R1 = E ||grad_x D(x)||^2  at real images         R2 = E ||grad_x D(x)||^2  at generated ones
training converges locally; with R1 alone nothing keeps D flat where the generated images are. That is all: no minibatch
statistics, no norms, no path length; Adam without momentum; residual networks (`ganvas.networks.r3gan`).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.convolutional import LASTS
from ganvas.networks.r3gan import Discriminator, Form, Generator
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.penalties import squared_slopes, with_range_for_slopes
from ganvas.objectives.schedules import cosine_fall
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "The GAN is dead; long live the GAN! A Modern Baseline GAN (R3GAN)",
    "authors": "Huang, Gokaslan, Kuleshov, Tompkin",
    "year": 2024,
    "paper": "arXiv 2501.05441",
    "summary": "today's plain baseline: each fake is judged against a real image, and D kept flat around both",
    "data": ["image"],
    "suits": {"image": "anything"},
    "aliases": ["r3-gan"],
}


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(64, "size of the latent vector", low=1)
    width: int = knob(32, "channels at full resolution; doubles inwards", low=1, high=1024)
    max_width: int = knob(256, "most channels of a layer's maps", low=1, high=4096)
    blocks: int = knob(1, "residual blocks at each size", low=1, high=16)
    generator_blocks: int = knob(0, "residual blocks at each size of G alone; 0: as many as `blocks`", low=0, high=16)
    expansion: int = knob(2, "how many times more channels inside a block", low=1, high=8)
    group: int = knob(16, "channels in a group of the 3x3 convolutions; 0: all together", low=0)
    image_stride: int = knob(1, "pixels from one place of the largest maps to the next; paper: 1", choices=(1, 2, 4))
    generator_last: str = knob("transposed", "how the last layer of G enlarges: else before a 5x5 convolution", choices=LASTS)
    generator_smoothing: float = knob(0.0, "deviation, in pixels, of a Gaussian at the end of G; 0: none", low=0.0, high=4.0)
    use_labels: bool = knob(False, "tell both players the class of labelled data, so that samples can be asked for by class")
    r1_weight: float = knob(1.0, "gamma of R1, at real images; 0: off", low=0.0)
    r2_weight: float = knob(1.0, "gamma of R2, at generated images; 0: off", low=0.0)
    gamma_fall: float = knob(0.1, "what is left of both gammas at the end of the budget (cosine); 1: all", low=0.0, high=1.0)
    penalties_every: int = knob(8, "rounds between two times of the penalties, which then weigh as many times more", low=1)
    learning_rate: float = knob(4e-3, "learning rate of both players (Adam)", low=0.0)
    learning_rate_fall: float = knob(0.25, "what is left of it at the end of the budget (cosine); 1: all", low=0.0, high=1.0)
    beta2: float = knob(0.99, "second beta of Adam; the first is 0", low=0.0, high=0.99999)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake images alike", choices=POLICIES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    refinement_steps: int = knob(0, "steps that each sample is made better by, as D sees it; 0: none", low=0, later=True)
    refinement_rate: float = knob(0.1, "how far the latent goes in each of them", low=0.0, later=True)
    batch_size: int = knob(16, "images in a batch", low=1)


FAST: dict[str, Any] = {"image_stride": 2, "expansion": 1, "group": 0, "generator_last": "nearest", "generator_blocks": 2}
"""A quarter of the places, and plain 3x3 convolutions, which on a processor cost less than an inverted bottleneck in groups;
G's pixels are repeated before its last convolution, without which a grid of two pixels stays in plain areas; and G is deeper
than D, which is soon far ahead of it otherwise."""
SMOOTHING = 0.5  # pixels, of wide networks on a processor: nearer or level there, and at width 8 farther by one extractor
WORK_PER_IMAGE = 1.27e-6  # GFLOP of a round for one image in the fast form, by the square of the width and by pixels
IMAGES_WANTED = {8: 0, 16: 100_000, 32: 10_000_000}  # width -> images it takes to pay off; 16 had not with 75,000 at 64x64
RATE = 4e-3 * 8**0.5 * 32**2  # by the width's root and by pixels: at 8 and 32x32, 1e-2 ended in slopes without bound
PER_CLASS = 300  # records from which the class helps: it mostly did with 390 and more in each, and with 18 it did harm
GAMMA, GAMMA_PER_PIXEL = 2.0, 1 / 2048  # the paper's for 64x64, and as much by pixels beyond; 8 there left faces without eyes


def auto(situation: Situation) -> dict[str, Any]:
    """Narrow, in large steps, told the classes where each has its hundreds; on a GPU at every pixel, in the paper's blocks. The
    largest width that the budget can pay for."""
    spec, fast = situation.spec, situation.device == "cpu"
    pixels = spec.height * spec.width
    dearer = 1 if fast else 4  # as many times the places
    work, gamma = dearer * WORK_PER_IMAGE * pixels, max(GAMMA, GAMMA_PER_PIXEL * pixels)
    width = widest(situation, IMAGES_WANTED, lambda width: work * width**2, share=0.3)
    return {
        **(FAST if fast else {}), "width": width, "max_width": 8 * max(16, width),
        "generator_smoothing": SMOOTHING if fast and width > 8 else 0.0,
        "learning_rate": RATE / width**0.5 / max(32**2, pixels), "r1_weight": gamma, "r2_weight": gamma,
        "batch_size": 16 if fast else 32, "use_labels": 1 < len(spec.classes) <= situation.records / PER_CLASS,
    }  # fmt: skip


def paper(situation: Situation) -> dict[str, Any]:
    """The sizes of its networks by resolution; gammas of CIFAR-10, FFHQ-64 and FFHQ-256."""
    side = min(situation.spec.height, situation.spec.width)
    gamma = 0.05 if side <= 32 else 2.0 if side <= 64 else 150.0
    return {
        "width": max(1, min(768, 96 * 256 // side)), "max_width": 768, "blocks": 2, "r1_weight": gamma, "r2_weight": gamma,
        "penalties_every": 1, "learning_rate": 2e-4, "augment": POLICIES, "ema_half_life": 500_000.0,
        "batch_size": 512 if side <= 32 else 256,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": paper}


class R3Gan(System):
    Config = Config
    mixed_is_safe = True

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.classes = len(spec.classes) if config.use_labels else 0
        if config.use_labels and self.classes < 2:
            raise GanvasError("r3gan: use_labels needs two classes or more: give class sub-folders or labels.csv")
        form = Form(
            config.width, config.max_width, config.blocks, config.expansion, config.group, config.image_stride,
            config.generator_last, config.generator_smoothing,
        )  # fmt: skip
        deeper = replace(form, blocks=config.generator_blocks or config.blocks)
        self.generator = Generator(config.latent_size, self.classes, spec.shape, deeper)
        self.discriminator = Discriminator(self.classes, spec.shape, form)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        config = self.config
        lazy = config.penalties_every / (config.penalties_every + 1) if config.penalties_every > 1 else 1.0

        def rule(share: float) -> Any:
            return optimiser("adam", config.learning_rate * share, beta1=0.0, beta2=config.beta2**share)

        rate = cosine_fall(config.learning_rate_fall)
        return (
            Player("discriminator", ("discriminator",), rule(lazy), rate=rate),
            Player("generator", ("generator",), rule(1.0), rate=rate),
        )

    def phases(self) -> tuple[Phase, ...]:
        turns = [Turn("discriminator", self.discriminate)]
        if self.config.r1_weight or self.config.r2_weight:
            turns.append(Turn("discriminator", self.flatten, every=self.config.penalties_every))
        return (Phase("play", (*turns, Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    # The game

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._fake(batch)  # with its graph: the generator's turn goes on from here
        both = torch.cat([batch.real, shared["fake"].detach().to(batch.real.dtype)])  # no norm could mix them
        real, fake = self._judge(both, batch).chunk(2)
        return {"relative": softplus(fake - real).mean()}

    def flatten(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """R1 and R2 of one pass, at images before they are augmented."""
        config = self.config
        gammas = {"r1": (config.r1_weight, batch.real), "r2": (config.r2_weight, shared["fake"])}
        gammas = {name: (gamma, x.detach().to(batch.real.dtype)) for name, (gamma, x) in gammas.items() if gamma}
        weight = cosine_fall(config.gamma_fall)(clock) * config.penalties_every / 2
        with with_range_for_slopes(batch.real):
            images = torch.cat([x for _, x in gammas.values()]).requires_grad_()
            slopes = squared_slopes(images, self._judge(images, batch)).chunk(len(gammas))
        return {name: gamma * weight * own.mean() for (name, (gamma, _)), own in zip(gammas.items(), slopes, strict=True)}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch)
        with torch.no_grad():
            real = self._judge(batch.real, batch)
        return {"relative": softplus(real - self._judge(fake, batch)).mean()}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        if self.classes and labels is None:
            labels = noise.integers(self.classes, count)
        latents, told = noise.normal(count, self.config.latent_size), self._told(labels)
        for _ in range(self.config.refinement_steps):
            latents = latents + self.config.refinement_rate * self._uphill(latents, told)
        return self.average(latents, told).clamp(-1, 1)

    def _uphill(self, latents: Tensor, told: Tensor | None) -> Tensor:
        """grad_z D(G(z)), (B, latent): the way to what D takes for more real. Discriminator driven latent sampling (Che et al.
        2020, arXiv 2003.06060) without its noise and its pull to the prior, which a few steps do not need."""
        with torch.enable_grad():
            latents = latents.detach().requires_grad_()
            (slopes,) = torch.autograd.grad(self.discriminator(self.average(latents, told), told).sum(), latents)
        return slopes

    def _fake(self, batch: Batch) -> Tensor:
        return self.generator(batch.noise.normal(len(batch), self.config.latent_size), self._told(batch.labels))

    def _told(self, labels: Tensor | None) -> Tensor | None:
        return None if labels is None or not self.classes else one_hot(labels, self.classes).float()

    def _judge(self, images: Tensor, batch: Batch) -> Tensor:
        """Logits of images: a batch of them, or one after the other, each under the batch's classes."""
        told = self._told(batch.labels)
        if told is not None:
            told = told.repeat(len(images) // len(batch), 1)
        logits: Tensor = self.discriminator(augment(images, batch.noise, self.config.augment), told)
        return logits
