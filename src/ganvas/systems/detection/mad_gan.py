"""MAD-GAN: anomalies in the readings of many sensors. Li, Chen, Jin, Shi, Goh, Ng, 2019, "MAD-GAN: Multivariate Anomaly
Detection for Time Series Data with Generative Adversarial Networks" (ICANN, arXiv 1901.04997).

Both players are LSTMs over a window of T steps: G reads a latent z_t at every step and writes x_t, D reads x and says at every
step how real it looks. They play the usual game, with means over the steps:
    D:  min  -E[log D(x)] - E[log(1 - D(G(z)))],      G:  min  -E[log D(G(z))].
A window is scored by how badly G can redraw it and how little D believes in it. Latents are searched for by gradient descent,
window by window, on mean (x - G(z))^2 + prior mean z^2; then each step has the DR-score
    weight (1 - D(x)_t) + (1 - weight) mean_c |x_tc - G(z*)_tc|.

A score says how unlike the training windows a step is, not what is wrong.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.data.classes import find_normal
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Feed, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.search import search
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "MAD-GAN: multivariate anomaly detection for time series",
    "authors": "Li et al.",
    "year": 2019,
    "paper": "arXiv 1901.04997",
    "summary": "learns normal windows of many sensors; scores every step by what it cannot redraw and does not believe",
    "data": ["series"],
    "aliases": ["madgan", "mad"],
}

TOGETHER = 512  # windows searched for at once
BOTH = 0.75  # share of the window in the score of a step: one step has much more noise than the mean of all


@dataclass(frozen=True)
class Config:
    normal: str = knob("", "class to learn as normal; empty: the usual name among the classes (normal, anomaly-free, ok ...)")
    latent_size: int = knob(15, "numbers of the latent at each step", low=1)
    static_latent_size: int = knob(0, "of them, how many stay the same all through a window", low=0)
    width: int = knob(100, "units of an LSTM layer", low=1, high=4096)
    layers: int = knob(1, "LSTM layers of G; D has one", low=1, high=8)
    generator_learning_rate: float = knob(1e-3, "learning rate of G (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(0.1, "learning rate of D", low=0.0)
    discriminator_optimiser: str = knob("sgd", "rule of D's steps", choices=("sgd", "adam"))
    generator_turns: int = knob(3, "moves of G for one of D", low=1, high=100)
    ema_half_life: float = knob(0.0, "half-life in samples of the G that is kept; 0: none", low=0.0)
    batch_size: int = knob(500, "windows in a batch", low=1)
    search_steps: int = knob(100, "steps of the search for latents", low=1, later=True)
    search_learning_rate: float = knob(0.1, "learning rate of the search (Adam)", low=0.0, later=True)
    prior_weight: float = knob(0.1, "weight in the search of mean z^2, which keeps latents likely", low=0.0, later=True)
    difference_weight: float = knob(
        0.1, "share of D in the score (lambda); the rest is the residual", low=0.0, high=1.0, later=True
    )
    residual_score: str = knob(
        "mean", "mean over the quantities, as in the paper, or the largest", choices=("mean", "largest"), later=True
    )
    resolution: str = knob(
        "step",
        "step: each has its own score; window: the mean of a window is that of all its steps, for faults that last; both: a "
        "quarter of the first and three of the second",
        choices=("step", "window", "both"),
        later=True,
    )


def auto(situation: Situation) -> dict[str, Any]:
    """Small batches and Adam for both: many more moves in the same time. Few latents, most of which last. Scores for faults of
    any length, that may move one quantity of many."""
    return {
        "width": 64, "latent_size": 6, "static_latent_size": 4, "batch_size": 64, "generator_turns": 1,
        "discriminator_optimiser": "adam",
        "discriminator_learning_rate": 1e-3, "ema_half_life": 5_000.0, "residual_score": "largest", "resolution": "both",
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {"layers": 3}}


class Recurrent(nn.Module):
    """(B, T, inputs) -> (B, T, outputs): LSTM layers, then one linear layer at each step."""

    def __init__(self, inputs: int, width: int, outputs: int, layers: int = 1) -> None:
        super().__init__()
        self.memory = nn.LSTM(inputs, width, layers, batch_first=True)
        self.output = nn.Linear(width, outputs)
        for name, parameter in self.memory.named_parameters():
            if name.startswith("bias_ih"):  # forget gates begin open: else what lies ten steps back is lost
                nn.init.ones_(parameter.data[width : 2 * width])

    def forward(self, steps: Tensor) -> Tensor:
        return self.output(self.memory(steps)[0])


class Generator(Recurrent):
    """(B, T, latent) -> (B, T, quantities) in [-1, 1]. Of the first `static` latents those of the first step hold for all."""

    def __init__(self, latent: int, static: int, width: int, quantities: int, layers: int) -> None:
        super().__init__(latent, width, quantities, layers)
        self.static = static

    def forward(self, steps: Tensor) -> Tensor:
        if self.static:
            kept = steps[:, :1, : self.static].expand(-1, steps.shape[1], -1)
            steps = torch.cat([kept, steps[..., self.static :]], 2)
        return super().forward(steps).tanh()


class MadGan(System):
    Config = Config

    def __init__(self, spec: Any, config: Any) -> None:
        self._normal = find_normal(tuple(spec.classes), config.normal, "mad-gan")
        super().__init__(spec, replace(config, normal=spec.classes[self._normal[0]]) if self._normal else config)
        self.length, quantities = spec.shape
        if config.static_latent_size > config.latent_size:
            raise GanvasError(
                f"mad-gan: static_latent_size {config.static_latent_size} is more than latent_size "
                f"{config.latent_size}: lower it"
            )
        self.generator = Generator(config.latent_size, config.static_latent_size, config.width, quantities, config.layers)
        self.discriminator = Recurrent(quantities, config.width, 1)
        self.average = copy.deepcopy(self.generator)

    # The game

    def feeds(self) -> dict[str, Feed]:
        """The normal class alone; all windows when there are no classes."""
        return {"data": Feed(of=dict(zip(("real",), self._normal, strict=False)))}

    def players(self) -> tuple[Player, ...]:
        rule = self.config.discriminator_optimiser
        momentum = 0.0 if rule == "sgd" else 0.5
        return (
            Player(
                "discriminator", ("discriminator",), optimiser(rule, self.config.discriminator_learning_rate, beta1=momentum)
            ),
            Player("generator", ("generator",), optimiser("adam", self.config.generator_learning_rate, beta1=0.5)),
        )

    def phases(self) -> tuple[Phase, ...]:
        fool = Turn("generator", self.fool, times=self.config.generator_turns)
        return (Phase("play", (Turn("discriminator", self.discriminate), fool)),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake = self._fake(batch).detach()
        return {"real": real_is_real(self.discriminator(batch.real)), "fake": fake_is_fake(self.discriminator(fake))}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        return {"fool": non_saturating(self.discriminator(self._fake(batch)))}

    def _fake(self, batch: Batch) -> Tensor:
        return self.generator(batch.noise.normal(len(batch), self.length, self.config.latent_size))

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        return self.average(noise.normal(count, self.length, self.config.latent_size))

    def project(self, records: Tensor, noise: Noise) -> Tensor:
        """(B, T, latent): the latents from which G redraws each window best, found from noise by gradient descent."""
        return torch.cat([self._search(piece, noise) for piece in records.split(TOGETHER)])

    def reconstruct(self, latents: Tensor) -> Tensor:
        return self.average(latents)

    def anomaly(self, records: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Scores (B,), the mean over the steps, and the DR-score of each step (B, T)."""
        scores, maps, _ = self.anomaly_by_part(records, noise)
        return scores, maps

    def anomaly_by_part(self, records: Tensor, noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
        """The same, and (B, T, C) the DR-score with the residual of each quantity alone."""
        doubt, apart = self._compared(records, noise)
        share = self.config.difference_weight
        parts = share * doubt[..., None] + (1 - share) * apart
        maps = share * doubt + (1 - share) * self._together(apart)
        scores = maps.mean(1)
        weight = {"step": 0.0, "both": BOTH, "window": 1.0}[self.config.resolution]
        if weight:
            maps, parts = (torch.lerp(each, each.mean(1, keepdim=True).expand_as(each), weight) for each in (maps, parts))
        return scores, maps, parts

    def parts(self, records: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """What the DR-score is mixed of, each (B, T): 1 - D(x), and the mean or the largest |x - G(z*)| of the quantities."""
        doubt, apart = self._compared(records, noise)
        return doubt, self._together(apart)

    def _compared(self, records: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """1 - D(x) (B, T), and |x - G(z*)| (B, T, C)."""
        apart = (records - self.reconstruct(self.project(records, noise))).abs()
        return torch.sigmoid(-self.discriminator(records)[..., 0]), apart

    def _together(self, apart: Tensor) -> Tensor:
        """Of the quantities (B, T, C), as one number a step (B, T)."""
        return apart.mean(2) if self.config.residual_score == "mean" else apart.amax(2)

    def _search(self, records: Tensor, noise: Noise) -> Tensor:
        def loss(latents: Tensor, _: float) -> Tensor:
            error = (records - self.average(latents)).square().mean((1, 2))
            return error + self.config.prior_weight * latents.square().mean((1, 2))

        start = noise.normal(len(records), self.length, self.config.latent_size)
        with torch.backends.cudnn.flags(enabled=False):  # cuDNN's LSTM has no backward in evaluation mode
            return search(start, loss, self.config.search_steps, self.config.search_learning_rate)
