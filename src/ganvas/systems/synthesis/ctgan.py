"""CTGAN. Xu, Skoularidou, Cuesta-Infante, Veeramachaneni, 2019, "Modeling Tabular Data using Conditional GAN" (NeurIPS,
arXiv 1907.00503).

Columns of a table have several modes and values of very different frequency; both defeat a plain GAN. Three answers.
Mode-specific normalisation: each number c has a variational Gaussian mixture, and is coded by the mode k that it is drawn to
belong to, one-hot, and its place in it, a = (c - mean_k) / (4 deviation_k). The conditional vector: one choice of the row and
its value, m; G must show it, and the critic C is told of it. Training by sampling: a choice is drawn, then a value by the
logarithm of its frequency, then a real row that shows it. C judges 10 rows together (PacGAN, arXiv 1712.04086), so that it sees
a collapse:
    min_C  E[C(G(z, m), m)] - E[C(r, m)] + 10 E[(||grad C(r^, m)||_2 - 1)^2],   r^ between real and made, packed rows
    min_G  -E[C(G(z, m), m)] + H(m, G's own answer at the choice)
G is residual, its outputs tanh and Gumbel-softmax of temperature 0.2.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, one_hot

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Feed, Phase, Player, Shared, System, Terms, Turn, constant_rate
from ganvas.networks.passing import passing
from ganvas.networks.tabular import Coding
from ganvas.objectives.penalties import interpolation_penalty
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "title": "Modeling Tabular Data using Conditional GAN (CTGAN)",
    "authors": "Xu et al.",
    "year": 2019,
    "paper": "arXiv 1907.00503",
    "summary": "new rows of a table: numbers with several modes, rare values, gaps",
    "data": ["table"],
    "suits": {"table": "anything"},
    "aliases": ["tabular"],
}

TRIES = 8  # draws of a row that is asked for by several values, before they are put in by hand


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(128, "size of the latent vector", low=1)
    width: int = knob(256, "units of a hidden layer", low=1, high=4096)
    layers: int = knob(2, "hidden layers of each network", low=1, high=16)
    pack: int = knob(10, "rows that the critic judges together; 1: each alone", low=1, high=100)
    dropout: float = knob(0.5, "share of the critic's units that are left out at random", low=0.0, high=0.9)
    gumbel_temperature: float = knob(0.2, "of the Gumbel softmax: the lower, the nearer to one value alone", low=0.01)
    by_modes: bool = knob(True, "code numbers by their modes; else by their least and greatest")
    by_value: bool = knob(True, "draw rows by the values they show, rare ones far more often; else as they come")
    condition_weight: float = knob(1.0, "weight of showing the value that was asked for", low=0.0)
    penalty_weight: float = knob(10.0, "weight of the gradient penalty", low=0.0)
    critic_turns: int = knob(1, "moves of the critic, each on a fresh batch, for one of G", low=1, high=100)
    generator_learning_rate: float = knob(2e-4, "learning rate of G (Adam)", low=0.0)
    critic_learning_rate: float = knob(2e-4, "learning rate of the critic (Adam)", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.9, "second beta of Adam", low=0.0, high=0.99999)
    linear_decay: bool = knob(False, "let the learning rates fall to zero, linearly over the budget")
    ema_half_life: float = knob(0.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(500, "rows in a batch", low=2)


LONG = 3600.0  # seconds from which the paper's packs are learnt within the budget


def auto(situation: Situation) -> dict[str, Any]:
    """The paper's sizes where there is time or a GPU. In minutes a critic of packs learns little: it judges single rows, with
    larger steps and a lighter penalty."""
    records = max(2, situation.records)
    if (situation.seconds or LONG) >= LONG or situation.device != "cpu":
        return {"linear_decay": True, "ema_half_life": 20_000.0, "batch_size": min(500, records)}
    return {
        "width": 128, "pack": 1, "dropout": 0.0, "penalty_weight": 1.0, "beta1": 0.0, "generator_learning_rate": 1e-3,
        "critic_learning_rate": 1e-3, "linear_decay": True, "ema_half_life": 20_000.0, "batch_size": min(200, records),
    }  # fmt: skip


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


class Generator(nn.Module):
    """(B, inputs) -> (B, outputs): each hidden layer is put beside what came before it."""

    def __init__(self, inputs: int, width: int, layers: int, outputs: int) -> None:
        super().__init__()
        sizes = [inputs + k * width for k in range(layers + 1)]
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(s, width), nn.BatchNorm1d(width), nn.ReLU()) for s in sizes[:-1])
        self.last = nn.Linear(sizes[-1], outputs)

    def forward(self, given: Tensor) -> Tensor:
        for layer in self.layers:
            given = torch.cat([layer(given), given], 1)
        said: Tensor = self.last(given)
        return said


class Critic(nn.Module):
    """Packs (P, inputs) -> (P, 1). Left out are the units that `chance`, one tensor (P, width) uniform a layer, says."""

    def __init__(self, inputs: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(inputs if k == 0 else width, width) for k in range(layers))
        self.last = nn.Linear(width, 1)
        self.dropout = dropout

    def forward(self, packs: Tensor, chance: list[Tensor]) -> Tensor:
        for layer, own in zip(self.layers, chance, strict=True):
            packs = leaky_relu(layer(packs), 0.2) * (own >= self.dropout) / (1 - self.dropout)
        said: Tensor = self.last(packs)
        return said


class CtGan(System):
    Config = Config
    couples_batch = "packs of rows, and BatchNorm in G: micro-batches and processes normalise over their own share"
    described = "real"
    leaves_open = True
    shares: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.coding = Coding(spec, config.by_modes)
        told = self.coding.values
        self.generator = Generator(config.latent_size + told, config.width, config.layers, self.coding.size)
        self.critic = Critic(config.pack * (self.coding.size + told), config.width, config.layers, config.dropout)
        self.average = copy.deepcopy(self.generator)
        even = [1 / width for _, width in self.coding.choices for _ in range(width)]
        self.register_buffer("shares", torch.tensor(spec.shares or even, dtype=torch.float32), persistent=False)

    # The game

    def feeds(self) -> Mapping[str, Feed]:
        return {"data": Feed(balanced=self.config.by_value)}

    def players(self) -> tuple[Player, ...]:
        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=self.config.beta1, beta2=self.config.beta2)

        fall = linear_decay() if self.config.linear_decay else constant_rate
        return (
            Player("critic", ("critic",), rule(self.config.critic_learning_rate), fall),
            Player("generator", ("generator",), rule(self.config.generator_learning_rate), fall),
        )

    def phases(self) -> tuple[Phase, ...]:
        critic = Turn("critic", self.estimate, times=self.config.critic_turns, fresh=True)
        return (Phase("play", (critic, Turn("generator", self.approach))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def estimate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        asked = self._asked_by(batch)
        modes = batch.noise.uniform(len(batch), *self.coding.means.shape)
        real = self._packed(self.coding.encode(batch.real, modes), asked)
        fake = self._packed(self._codes(self._said(self.generator, batch.noise, asked), batch.noise).detach(), asked)
        chances = [self._left_out(len(real), batch.noise) for _ in range(3)]
        share = batch.noise.uniform(len(real))
        return {
            "distance": self.critic(fake, chances[0]).mean() - self.critic(real, chances[1]).mean(),
            "penalty": self.config.penalty_weight
            * interpolation_penalty(lambda packs: self.critic(packs, chances[2]), real, fake, share),
        }

    def approach(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        asked = self._asked_by(batch)
        said = self._said(self.generator, batch.noise, asked)
        packs = self._packed(self._codes(said, batch.noise), asked)
        terms = {"approach": -self.critic(packs, self._left_out(len(packs), batch.noise)).mean()}
        if self.coding.values and self.config.condition_weight:
            terms["missed"] = self.config.condition_weight * self.coding.missed(said, asked).mean()
        return terms

    def _asked_by(self, batch: Batch) -> Tensor:
        """(B,) numbers of values: those that rows were drawn by; else what each shows of a choice by lot."""
        if "asked" in batch.fields or not self.coding.values:
            return batch.fields.get("asked", torch.zeros(len(batch), dtype=torch.int64, device=batch.real.device))
        shown = self.coding.shown(batch.real)
        choice = batch.noise.integers(shown.shape[1], len(batch), 1)
        return shown.gather(1, choice).squeeze(1)

    def _told(self, asked: Tensor) -> Tensor:
        """The conditional vector (B, values)."""
        return one_hot(asked, max(1, self.coding.values))[:, : self.coding.values].to(self.shares.dtype)

    def _said(self, generator: nn.Module, noise: Noise, asked: Tensor) -> Tensor:
        latents = noise.normal(len(asked), self.config.latent_size)
        said: Tensor = generator(torch.cat([latents, self._told(asked).to(latents.dtype)], 1))
        return said

    def _codes(self, said: Tensor, noise: Noise) -> Tensor:
        return self.coding.activated(said, noise.uniform(len(said), self.coding.size), self.config.gumbel_temperature)

    def _packed(self, codes: Tensor, asked: Tensor) -> Tensor:
        """Rows with what was asked of them, `pack` of them side by side; the first fill up the last pack."""
        rows = torch.cat([codes, self._told(asked).to(codes.dtype)], 1)
        packs = -(-len(rows) // self.config.pack)
        filled = torch.arange(packs * self.config.pack, device=rows.device) % len(rows)
        return rows[filled].reshape(packs, -1)

    def _left_out(self, packs: int, noise: Noise) -> list[Tensor]:
        return [noise.uniform(packs, self.config.width) for _ in range(self.config.layers)]

    # What it can do

    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        spec = self.spec
        return {spec.names[s.column]: spec.categories[s.column] for s in spec.states if len(spec.categories[s.column]) > 1}

    def learnt_rows(self) -> Tensor:
        return torch.zeros(0, len(self.attributes()), dtype=torch.int64)  # what is left open is drawn by `sample`

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None, *, shown: Tensor | None = None) -> Tensor:
        """What is not asked for is drawn as G draws it: a choice by lot, its value as often as real rows show it."""
        if shown is None or not self.coding.values:
            return self.coding.decode(self._drawn(noise, self._lot(count, noise)))
        wanted = self.coding.wanted(shown)  # (B, values): 1 at what is asked for
        keys = noise.uniform(count, self.coding.values) * wanted
        asked = torch.where(wanted.any(1), keys.argmax(1), self._lot(count, noise))
        first = self.coding.first_value
        codes = self._drawn(noise, asked)
        for _ in range(TRIES - 1):  # all that is asked for, as far as G can: it is told of one value at a time
            again = self._drawn(noise, asked)
            short = (self.coding.whole(codes)[:, first:] * wanted).sum(1) < wanted.sum(1)
            codes = torch.where(short[:, None], again, codes)
        return self.coding.decode(self.coding.insisted(codes, wanted))

    def _drawn(self, noise: Noise, asked: Tensor) -> Tensor:
        return self._codes(self._said(self.average, noise, asked), noise)

    def _lot(self, count: int, noise: Noise) -> Tensor:
        """(count,) numbers of values, as often as real rows show them."""
        chance = noise.uniform(count, 1)
        if not self.coding.values:
            return torch.zeros(count, dtype=torch.int64, device=chance.device)
        ends = (self.shares.cumsum(0) / len(self.coding.choices)).to(chance.dtype)
        return passing(ends, chance, right=False).squeeze(1).clamp(max=self.coding.values - 1)
