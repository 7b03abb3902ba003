"""Deep Convolutional GAN. Radford, Metz, Chintala, 2015, "Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks" (ICLR 2016, arXiv 1511.06434).

The guidelines that made convolutional GANs train: strided and transposed convolutions instead of pooling, BatchNorm in both
networks (not on G's output, not on D's input), no hidden fully connected layers, ReLU in G with tanh at the end, leaky ReLU
in D, Adam with beta1 = 0.5 and weights from N(0, 0.02). The loss is the non-saturating one of Goodfellow et al. 2014.

Here for any size, aspect and number of channels; with a moving average of G, differentiable augmentation, and nonlinearity,
BatchNorm, optimiser and rate, stride, depth and fully connected layers of each player as settings (the questions of Belmekki
et al. 2022).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.convolutional import CONNECTED, LASTS, STRIDES, ConvolutionalDiscriminator, ConvolutionalGenerator
from ganvas.networks.pair import WORK_PER_IMAGE, affordable_width
from ganvas.networks.rings import Rings
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.augmentation import POLICIES, augment
from ganvas.objectives.schedules import cosine_fall
from ganvas.optim import NAMES, optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Unsupervised Representation Learning with Deep Convolutional GANs (DCGAN)",
    "authors": "Radford, Metz, Chintala",
    "year": 2015,
    "paper": "arXiv 1511.06434",
    "summary": "convolutional GAN for images of any size, aspect, depth and number of channels",
    "data": ["image"],
    "suits": {"image": "anything"},
}

NONLINEARITIES = ("relu", "leaky-relu", "elu")


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(100, "size of the latent vector", low=1)
    width: int = knob(64, "channels of the widest feature maps at full resolution; doubles inwards", low=1, high=1024)
    generator_nonlinearity: str = knob("relu", "after each hidden layer of G", choices=NONLINEARITIES)
    discriminator_nonlinearity: str = knob("leaky-relu", "after each hidden layer of D", choices=NONLINEARITIES)
    generator_batch_norm: bool = knob(True, "BatchNorm in G")
    discriminator_batch_norm: bool = knob(True, "BatchNorm in D")
    generator_stride: int = knob(2, "how many times each layer of G enlarges; kernels are twice that", choices=STRIDES)
    discriminator_stride: int = knob(2, "how many times each layer of D reduces; kernels are twice that", choices=STRIDES)
    generator_overlap: bool = knob(True, "false: kernels of G as large as its strides, so that squares lie side by side")
    generator_extra: int = knob(0, "layers that keep the size, after each hidden one of G", low=0, high=8)
    discriminator_extra: int = knob(0, "layers that keep the size, after each hidden one of D", low=0, high=8)
    generator_last: str = knob("transposed", "how the last layer of G enlarges: else before a 5x5 convolution", choices=LASTS)
    generator_connected: str = knob("none", "fully connected layers of G: next to its image, or its latent", choices=CONNECTED)
    discriminator_connected: str = knob(
        "none", "fully connected layers of D: next to its image, or its decision", choices=CONNECTED
    )
    spectrum_weight: float = knob(0.0, "weight of G's loss on the mean spectrum of a batch, in log power; 0: off", low=0.0)
    optimiser: str = knob("adam", "optimiser of both players", choices=NAMES)
    generator_learning_rate: float = knob(2e-4, "learning rate of G", low=0.0)
    discriminator_learning_rate: float = knob(2e-4, "learning rate of D", low=0.0)
    learning_rate_fall: float = knob(1.0, "what is left of both at the end of the budget (cosine); 1: all", low=0.0, high=1.0)
    beta1: float = knob(0.5, "first beta of Adam, momentum of others", low=0.0, high=0.9999)
    beta2: float = knob(0.999, "second beta of Adam", low=0.0, high=0.99999)
    augment: tuple[str, ...] = knob((), "changes that D sees on real and fake alike", choices=POLICIES)
    ema_half_life: float = knob(0.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(128, "images in a batch", low=1)


HASTY, HASTY_RATE = 100_000, 5e-4  # images that a run sees at most, and its rate


def auto(situation: Situation) -> dict[str, Any]:
    """Small batches, augmentation, a moving average, and pixels repeated before the last convolution, for fewer chequers;
    the width is the largest whose learning the budget can pay for. Short runs take larger steps."""
    width = affordable_width(situation)
    pixels = situation.spec.height * situation.spec.width / 64**2
    images = situation.pays_for(WORK_PER_IMAGE * width**2 * pixels, share=0.7)
    rate = HASTY_RATE if images < HASTY else 2e-4
    return {
        "generator_last": "nearest",
        "width": width,
        "generator_learning_rate": rate,
        "discriminator_learning_rate": rate,
        "batch_size": 16 if situation.device == "cpu" else 32,
        "augment": ("color", "translation", "cutout") if situation.records < 20_000 else (),
        "ema_half_life": 5_000.0,
    }


def fcc(situation: Situation) -> dict[str, Any]:
    """FCC-GAN (Barua et al. 2019): narrow fully connected layers next to G's latent and D's decision; else as `auto`."""
    return {**auto(situation), "generator_connected": "deep", "discriminator_connected": "deep"}


XRAY: dict[str, Any] = {  # Belmekki et al. 2022, section III; what it leaves open is told in the page of the chest X-ray study
    "latent_size": 100,
    "width": 64,
    "batch_size": 128,
    "optimiser": "adas",
    "beta1": 0.5,
    "beta2": 0.999,
    "discriminator_batch_norm": True,
    "augment": (),
    "ema_half_life": 0.0,
}

PRESETS: dict[str, Any] = {
    "auto": auto,
    "paper": {"width": 128},
    "fcc": fcc,
    "xray-table-ii": {  # its best: ELU in both, BatchNorm only within D, two time scales
        **XRAY,
        "generator_nonlinearity": "elu",
        "discriminator_nonlinearity": "elu",
        "generator_batch_norm": False,
        "generator_learning_rate": 1e-4,
        "discriminator_learning_rate": 4e-4,
    },
    "xray-relu": {  # its DCGAN (ReLU, LReLU): BatchNorm in both, one time scale
        **XRAY,
        "generator_nonlinearity": "relu",
        "discriminator_nonlinearity": "leaky-relu",
        "generator_batch_norm": True,
        "generator_learning_rate": 2e-4,
        "discriminator_learning_rate": 2e-4,
    },
    "xray-memory": {"width": 128, "batch_size": 64},  # 1024-512-256-128 at 64x64: the network whose memory the study tells
}


class DcGan(System):
    Config = Config
    mixed_is_safe = True
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.generator = ConvolutionalGenerator(
            config.latent_size,
            spec.shape,
            config.width,
            nonlinearity=config.generator_nonlinearity,
            batch_norm=config.generator_batch_norm,
            stride=config.generator_stride,
            overlap=config.generator_overlap,
            extra=config.generator_extra,
            connected=config.generator_connected,
            last=config.generator_last,
        )
        self.discriminator = ConvolutionalDiscriminator(
            spec.shape,
            config.width,
            nonlinearity=config.discriminator_nonlinearity,
            batch_norm=config.discriminator_batch_norm,
            stride=config.discriminator_stride,
            extra=config.discriminator_extra,
            connected=config.discriminator_connected,
        )
        self.average = copy.deepcopy(self.generator)
        if config.spectrum_weight:
            self.rings = Rings(spec.height, spec.width)

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser(self.config.optimiser, rate, beta1=self.config.beta1, beta2=self.config.beta2)

        fall = cosine_fall(self.config.learning_rate_fall)
        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate), rate=fall),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate), rate=fall),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        if self.config.spectrum_weight:
            self.rings.learn(batch.real)
        shared["fake"] = self._fake(batch)  # with its graph: the generator's turn goes on from here
        real = self.discriminator(self._seen(batch.real, batch))  # real and fake apart: BatchNorm must not mix them
        fake = self.discriminator(self._seen(shared["fake"].detach(), batch))
        return {"real": real_is_real(real), "fake": fake_is_fake(fake)}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch)
        terms = {"fool": non_saturating(self.discriminator(self._seen(fake, batch)))}
        if self.config.spectrum_weight:
            terms["spectrum"] = self.config.spectrum_weight * self.rings.gap(fake)
        return terms

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self.average(noise.normal(count, self.config.latent_size))

    def _fake(self, batch: Batch) -> Tensor:
        return self.generator(batch.noise.normal(len(batch), self.config.latent_size))

    def _seen(self, images: Tensor, batch: Batch) -> Tensor:
        return augment(images, batch.noise, self.config.augment)
