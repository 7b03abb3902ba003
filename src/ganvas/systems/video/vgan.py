"""VGAN. Vondrick, Pirsiavash, Torralba, 2016, "Generating Videos with Scene Dynamics" (NIPS, arXiv 1609.02612).

Clips of a camera that stands still. G has two streams from one latent z ~ N(0, I): a foreground f and a mask m by transposed
3-D convolutions, a background b by 2-D ones, which is one picture for all frames:
    G(z) = m(z) * f(z) + (1 - m(z)) * b(z)
A sparse mask leaves to the background all that does not move. D tells real clips by 3-D convolutions, through time and space:
    min_G max_D  E[log D(x)] + E[log(1 - D(G(z)))] + lambda E|m(z)|,    lambda = 0.1
G's turn is the non-saturating one. Networks double in time and space from 2x4x4 (kernel 4, stride 2, BatchNorm, ReLU; in D
leaky ReLU 0.2). The paper's own comparison is one stream, f alone (`streams=one`).
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.convolutional import stages_and_base
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "options": {"size": "32"},
    "title": "Generating Videos with Scene Dynamics (VGAN)",
    "authors": "Vondrick, Pirsiavash, Torralba",
    "year": 2016,
    "paper": "arXiv 1609.02612",
    "summary": "clips before a background that stands still",
    "data": ["video"],
    "aliases": ["videogan"],
}


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(100, "size of the latent vector", low=1)
    width: int = knob(64, "channels at half the size; doubles towards the latent", low=1, high=1024)
    streams: str = knob("two", "two: foreground, mask and background; one: all in one, as many weights", choices=("two", "one"))
    mask_weight: float = knob(0.1, "weight of the mean mask (lambda): more, and less moves", low=0.0)
    initial_mask: float = knob(0.5, "how much of the foreground an untrained G shows", low=0.01, high=0.99)
    generator_learning_rate: float = knob(2e-4, "learning rate of G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(2e-4, "learning rate of D (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(0.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(64, "clips in a batch", low=1)


ONE_STREAM = 19 / 16  # of the width: as many weights as in two streams
WORK = 2.0e-4  # GFLOP of a clip of 16 frames of 32x32 in a round, for each width^2
WANTED = {16: 0.0, 32: 60_000.0, 64: 1_000_000.0}  # clips after which a width pays off


def auto(situation: Situation) -> dict[str, Any]:
    """The widest networks whose learning the budget pays for; small batches, larger steps and an average on a CPU."""
    spec = situation.spec
    values = spec.frames * spec.height * spec.width / (16 * 32**2)
    width = widest(situation, WANTED, lambda width: WORK * values * width**2)
    if situation.device != "cpu":
        return {"width": max(32, width), "initial_mask": 0.2, "ema_half_life": 5_000.0}
    return {
        "width": width, "latent_size": 64, "generator_learning_rate": 5e-4, "discriminator_learning_rate": 5e-4,
        "initial_mask": 0.2, "ema_half_life": 5_000.0, "batch_size": 16,
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


def plan(frames: int, height: int, width: int) -> tuple[tuple[int, int, int], list[int]]:
    """Where G starts, (frames, rows, columns), and by how much each stage multiplies time (1 or 2; space is doubled by each).

    Time is doubled from 2 or 3 frames on, in the last stages. Raises GanvasError for sides below 8.
    """
    stages, (rows, columns) = stages_and_base(height, width)
    doublings = min(stages, int(math.log2(frames / 2)))
    return (math.ceil(frames / 2**doublings), rows, columns), [1] * (stages - doublings) + [2] * doublings


def initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Conv3d | nn.ConvTranspose3d):
        nn.init.normal_(module.weight, 0.0, 0.01)
    elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
        nn.init.normal_(module.weight, 1.0, 0.01)


def doubled(before: int, after: int, step: int, bias: bool = False) -> nn.Module:
    """A transposed convolution that doubles space, and time where step is 2."""
    return nn.ConvTranspose3d(before, after, (4 if step == 2 else 3, 4, 4), (step, 2, 2), 1, bias=bias)


class ClipGenerator(nn.Module):
    """Latents (B, latent) -> clips (B, C, T, H, W) in [-1, 1] and masks (B, 1, T, H, W) in [0, 1], None with one stream."""

    def __init__(self, latent: int, shape: Sequence[int], width: int, two: bool, initial_mask: float) -> None:
        super().__init__()
        channels, *self.shape = shape
        base, steps = plan(*self.shape)
        widths = [width * 2**k for k in range(len(steps) - 1, -1, -1)]
        layers: list[nn.Module] = [nn.ConvTranspose3d(latent, widths[0], base, bias=False)]
        for (before, after), step in zip(itertools.pairwise(widths), steps[:-1], strict=True):
            layers += [nn.BatchNorm3d(before), nn.ReLU(inplace=True), doubled(before, after, step)]
        self.moving = nn.Sequential(*layers, nn.BatchNorm3d(width), nn.ReLU(inplace=True))
        self.foreground = doubled(width, channels, steps[-1], bias=True)
        self.mask = doubled(width, 1, steps[-1], bias=True) if two else None
        self.background = None
        if two:
            layers = [nn.ConvTranspose2d(latent, widths[0], base[1:], bias=False)]
            for before, after in itertools.pairwise(widths):
                layers += [
                    nn.BatchNorm2d(before),
                    nn.ReLU(inplace=True),
                    nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
                ]
            last = nn.ConvTranspose2d(width, channels, 4, 2, 1)
            self.background = nn.Sequential(*layers, nn.BatchNorm2d(width), nn.ReLU(inplace=True), last)
        self.apply(initialise)
        if self.mask is not None:
            assert isinstance(self.mask.bias, Tensor)
            nn.init.constant_(self.mask.bias, math.log(initial_mask / (1 - initial_mask)))

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor | None]:
        moving = self.moving(latents[:, :, None, None, None])
        foreground = torch.tanh(self._middle(self.foreground(moving)))
        if self.mask is None or self.background is None:
            return foreground, None
        mask = torch.sigmoid(self._middle(self.mask(moving)))
        behind = torch.tanh(self._middle(self.background(latents[:, :, None, None])[:, :, None]))  # one frame, for all
        return mask * foreground + (1 - mask) * behind, mask

    def _middle(self, clips: Tensor) -> Tensor:
        """What is drawn too much, of sides that are no multiple of the base, is cut off on both sides."""
        for axis, size in enumerate(self.shape, start=2):
            if clips.shape[axis] > size:
                clips = clips.narrow(axis, (clips.shape[axis] - size) // 2, size)
        return clips


class ClipDiscriminator(nn.Module):
    """Clips (B, C, T, H, W) -> logits (B,), no sigmoid."""

    def __init__(self, shape: Sequence[int], width: int) -> None:
        super().__init__()
        channels, *sizes = shape
        _, steps = plan(*sizes)
        widths = [channels, *(width * 2**k for k in range(len(steps)))]
        layers: list[nn.Module] = []
        for number, ((before, after), step) in enumerate(zip(itertools.pairwise(widths), reversed(steps), strict=True)):
            kernel = (4 if step == 2 else 3, 4, 4)
            layers.append(nn.Conv3d(before, after, kernel, (step, 2, 2), 1, bias=not number))
            layers += [nn.BatchNorm3d(after)] if number else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            sizes = [(size + 2 - own) // stride + 1 for size, own, stride in zip(sizes, kernel, (step, 2, 2), strict=True)]
        self.layers = nn.Sequential(*layers, nn.Conv3d(widths[-1], 1, (sizes[0], sizes[1], sizes[2])))
        self.apply(initialise)

    def forward(self, clips: Tensor) -> Tensor:
        return self.layers(clips).flatten()  # not squeezed: a batch of one stays a batch


class Vgan(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        if spec.frames < 2:
            raise GanvasError("vgan makes clips of 2 frames or more: add --frames 16")
        two = config.streams == "two"
        width = config.width if two else math.ceil(ONE_STREAM * config.width)
        self.generator = ClipGenerator(config.latent_size, spec.shape, width, two, config.initial_mask)
        self.discriminator = ClipDiscriminator(spec.shape, config.width)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1)

        return (
            Player("discriminator", ("discriminator",), rule(self.config.discriminator_learning_rate)),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate)),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        shared["fake"] = self._fake(batch)  # with its graph: the generator's turn goes on from here
        real = self.discriminator(batch.real)  # real and fake apart: BatchNorm must not mix them
        return {"real": real_is_real(real), "fake": fake_is_fake(self.discriminator(shared["fake"][0].detach()))}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        clips, mask = shared.pop("fake") if "fake" in shared else self._fake(batch)
        terms = {"fool": non_saturating(self.discriminator(clips))}
        if mask is not None and self.config.mask_weight:
            terms["mask"] = self.config.mask_weight * mask.mean()
        return terms

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        clips: Tensor = self.average(noise.normal(count, self.config.latent_size))[0]
        return clips

    def masks(self, count: int, noise: Noise) -> Tensor:
        """How much of the foreground each pixel of `sample` shows: (count, 1, T, H, W), 0 to 1; all 1 with one stream."""
        clips, mask = self.average(noise.normal(count, self.config.latent_size))
        return torch.ones_like(clips[:, :1]) if mask is None else mask

    def _fake(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        made: tuple[Tensor, Tensor | None] = self.generator(batch.noise.normal(len(batch), self.config.latent_size))
        return made
