"""WaveGAN: raw sound from noise. Donahue, McAuley, Puckette, 2018, "Adversarial Audio Synthesis" (ICLR 2019, arXiv
1802.04208).

DCGAN flattened to one dimension: kernels of 25 samples and steps of 4 in the place of 5x5 and 2x2, since sound is periodic
where images are flat. G: a dense layer makes 16 moments, transposed convolutions multiply them by 4 until the clip is full.
D is its mirror image. Neither has BatchNorm; the game is WGAN-GP's, five moves of the critic for one of G.

Transposed convolutions leave a pitched pattern whose phase is always the same, by which D could tell fakes at once. Phase
shuffle takes that away: between D's layers every record is moved by -n .. n samples, drawn anew each time, what is missing
is filled in by reflection.
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.objectives.penalties import interpolation_penalty
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "Adversarial Audio Synthesis (WaveGAN)",
    "authors": "Donahue et al.",
    "year": 2018,
    "paper": "arXiv 1802.04208",
    "summary": "one-shots, words and other short sounds as raw waveforms, mono or stereo, at any rate",
    "data": ["sound"],
}

KERNEL, STRIDE = 25, 4
FIRST, SHORTEST = 16, 64  # moments that G starts from, at least; samples of a clip, at least


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(100, "size of the latent vector", low=1)
    width: int = knob(32, "channels next to the waveform; doubles with every layer inwards", low=1, high=512)
    phase_shuffle: int = knob(
        2, "samples by which D's features are moved at most (phase shuffle); 0: not at all", low=0, high=32
    )
    critic_turns: int = knob(5, "moves of the critic, each on a fresh batch, for one of G", low=1, high=100)
    penalty_weight: float = knob(10.0, "weight of the gradient penalty (lambda)", low=0.0)
    generator_learning_rate: float = knob(1e-4, "learning rate of G (Adam)", low=0.0)
    critic_learning_rate: float = knob(1e-4, "learning rate of the critic (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.9, "second beta of Adam", low=0.0, high=0.99999)
    upsampling: str = knob("transposed", "how G lengthens its features", choices=("transposed", "nearest"))
    post_filter_size: int = knob(
        0, "taps of a filter that G learns for its output, 512 in the paper; 0: none", low=0, high=4096
    )
    ema_half_life: float = knob(20_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(64, "clips in a batch", low=1)


WORK_PER_SAMPLE = 4e-7  # GFLOP of a clip in one move of the critic, for each width squared and sample of its length
CLIPS_WANTED = {16: 0, 24: 500_000, 32: 1_000_000, 48: 3_000_000, 64: 6_000_000}  # seen by D before a width pays off


def auto(situation: Situation) -> dict[str, Any]:
    """On a CPU small batches and fast rates: of spoken digits, at width 16, 126 rounds at 4e-4 gave the loudness course and
    colour of words, 80 rounds at 1e-4 still a hum (one seed each).

    The width is the largest whose learning the budget can pay for (without a time budget: an hour).
    """
    length = situation.spec.length
    width = widest(situation, CLIPS_WANTED, lambda width: WORK_PER_SAMPLE * width**2 * length, share=1.0)
    if situation.device == "cpu":
        return {
            "width": width,
            "batch_size": 16,
            "generator_learning_rate": 4e-4,
            "critic_learning_rate": 4e-4,
            "ema_half_life": 5_000.0,
        }
    return {"width": width}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"width": 64, "ema_half_life": 0.0}}


def layers_and_base(length: int) -> tuple[int, int]:
    """How often to multiply by 4, and the number of moments to start from: 16 to 63, so that little is cut off.

    4096 and 16384 start from 16 as in the paper, 8192 and 32768 from 32. Raises GanvasError for clips below 64 samples.
    """
    if length < SHORTEST:
        raise GanvasError(f"clips of {length} samples are too short to learn: the least is {SHORTEST} (see --size)")
    layers = ((length // FIRST).bit_length() - 1) // 2
    return layers, math.ceil(length / STRIDE**layers)


def initialise(module: nn.Module) -> None:
    """Glorot's uniform weights and no bias, as the reference implementation has them; for `network.apply`."""
    if isinstance(module, nn.Conv1d | nn.ConvTranspose1d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """Latents (B, latent) -> sounds (B, channels, length) in [-1, 1]."""

    def __init__(self, latent: int, shape: tuple[int, int], width: int, *, upsampling: str, post_filter: int) -> None:
        super().__init__()
        channels, self.length = shape
        layers, self.base = layers_and_base(self.length)
        widths = [*(width << k for k in reversed(range(layers))), channels]
        self.first = nn.Linear(latent, self.base * widths[0])

        def longer(before: int, after: int) -> list[nn.Module]:
            if upsampling == "nearest":
                return [nn.Upsample(scale_factor=STRIDE), nn.Conv1d(before, after, KERNEL, padding=KERNEL // 2)]
            return [nn.ConvTranspose1d(before, after, KERNEL, STRIDE, padding=11, output_padding=1)]

        made: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            made += [nn.ReLU(), *longer(before, after)]
        if post_filter:
            made += [nn.ConstantPad1d(((post_filter - 1) // 2, post_filter // 2), 0.0)]
            made += [nn.Conv1d(channels, channels, post_filter, bias=False)]
        self.layers = nn.Sequential(*made, nn.Tanh())
        self.apply(initialise)

    def forward(self, latents: Tensor) -> Tensor:
        features = self.first(latents).view(len(latents), -1, self.base)
        return self.layers(features)[:, :, : self.length]


class Critic(nn.Module):
    """Sounds (B, channels, length) -> scores (B,).

    shifts: (B, layers - 1) whole numbers, by which each record is moved after each layer but the last; None moves nothing.
    """

    def __init__(self, shape: tuple[int, int], width: int) -> None:
        super().__init__()
        channels, length = shape
        layers, base = layers_and_base(length)
        self.missing = base * STRIDE**layers - length  # silence that is added at the end
        widths = [channels, *(width << k for k in range(layers))]
        self.layers = nn.ModuleList(nn.Conv1d(a, b, KERNEL, STRIDE, padding=11) for a, b in itertools.pairwise(widths))
        self.last = nn.Linear(base * widths[-1], 1)
        self.apply(initialise)

    def forward(self, sounds: Tensor, shifts: Tensor | None = None) -> Tensor:
        features = pad(sounds, (0, self.missing))
        for number, layer in enumerate(self.layers):
            features = leaky_relu(layer(features), 0.2)
            if shifts is not None and number < len(self.layers) - 1:
                features = shifted(features, shifts[:, number])
        return self.last(features.flatten(1)).flatten()


def shifted(features: Tensor, shifts: Tensor) -> Tensor:
    """(B, C, L), each record moved by its own number of places (B,) towards the end, filled in by reflection.

    Positive moves to the right, and the values before the beginning are those behind it, without the first: the padding
    that is called `reflect`. Gathered by index, so that gradients of gradients pass.
    """
    length = features.shape[2]
    places = torch.arange(length, device=features.device) - shifts[:, None]
    places = (length - 1) - ((length - 1) - places.abs()).abs()
    return features.gather(2, places[:, None].expand_as(features))


class WaveGan(System):
    Config = Config

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        kinds = {"upsampling": config.upsampling, "post_filter": config.post_filter_size}
        self.generator = Generator(config.latent_size, spec.shape, config.width, **kinds)
        self.critic = Critic(spec.shape, config.width)
        self.average = copy.deepcopy(self.generator)

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1, beta2=self.config.beta2)

        return (
            Player("critic", ("critic",), rule(self.config.critic_learning_rate)),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate)),
        )

    def phases(self) -> tuple[Phase, ...]:
        critic = Turn("critic", self.estimate, times=self.config.critic_turns, fresh=True)
        return (Phase("play", (critic, Turn("generator", self.approach))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def estimate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake = self._fake(batch).detach()
        share = batch.noise.uniform(len(batch))
        on_fake, on_real, between = (self._shifts(batch) for _ in range(3))
        penalty = interpolation_penalty(lambda x: self.critic(x, between), batch.real, fake, share)
        return {
            "distance": self.critic(fake, on_fake).mean() - self.critic(batch.real, on_real).mean(),
            "penalty": self.config.penalty_weight * penalty,
        }

    def approach(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        return {"approach": -self.critic(self._fake(batch), self._shifts(batch)).mean()}

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self.average(self._latents(noise, count))

    def _fake(self, batch: Batch) -> Tensor:
        return self.generator(self._latents(batch.noise, len(batch)))

    def _latents(self, noise: Noise, count: int) -> Tensor:
        """(count, latent), uniform in -1 .. 1."""
        return 2 * noise.uniform(count, self.config.latent_size) - 1

    def _shifts(self, batch: Batch) -> Tensor | None:
        reach, layers = self.config.phase_shuffle, len(self.critic.layers)
        if reach == 0 or layers < 2:
            return None
        return batch.noise.integers(2 * reach + 1, len(batch), layers - 1) - reach
