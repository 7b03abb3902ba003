"""MidiNet: melodies over chords, bar by bar. Yang, Chou, Yang, 2017, "MidiNet: A Convolutional Generative Adversarial Network
for Symbolic-domain Music Generation" (ISMIR, arXiv 1703.10847).

A bar is a picture of one line, steps of time by pitches. G draws it from noise z, the chord y and the bar before, which a
conditioner network C, a mirror of G, hands to each of G's layers; D, told the same, tells real bars from drawn ones:
    min_D  - E[log D(x | y)] - E[log(1 - D(G(z, y, C(before)) | y))]
    min_G  - E[log D(G(z, y, C(before)) | y)] + l1 |E f(x) - E f(G)|^2 + l2 |E x - E G|^2     f: D's first layer
so that a tune is written by feeding each bar back as the one before. The melody is one voice: one row a step.

Here each step is silent, goes on, or begins a pitch, which G chooses by a draw that passes gradients on (Jang et al. 2016,
arXiv 1611.01144), so that D sees bars of one form; bars before the last may be looked at (`looks_back`); and D's slopes at real
and drawn bars are penalised (R1 and R2: Mescheder et al. 2018, arXiv 1801.04406), without which what is learnt is lost again.
With `leaps` the steps of a bar are chosen one after the other, each by how far it would go from the note before.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot, pad

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.kinds.tune.spec import CHORDS, FIRST, MELODY
from ganvas.networks.midinet import Bars, Judge, Writer, following
from ganvas.objectives.penalties import held_down
from ganvas.objectives.schedules import cosine_fall
from ganvas.optim import optimiser

CARD = {
    "title": "MidiNet: a convolutional generative adversarial network for symbolic-domain music generation",
    "authors": "Yang et al.",
    "year": 2017,
    "paper": "arXiv 1703.10847",
    "summary": "melodies over given chords, bar by bar: each answers the bars before it",
    "data": ["tune"],
    "options": {"rate": "4"},
    "suits": {"tune": "anything"},
}

KEPT = 2048  # chord progressions of training records that are kept, to draw tunes without any given


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(32, "size of the latent vector of a bar", low=1)
    width: int = knob(32, "maps of the generator's layers", low=1, high=4096)
    judge_width: int = knob(48, "maps of the discriminator's first layer; doubles inwards", low=1, high=4096)
    before_width: int = knob(16, "maps of the conditioner's layers, of earlier bars", low=1, high=4096)
    looks_back: tuple[int, ...] = knob((1, 2, 4), "which earlier bars both players see: 1 is the one before")
    judge_looks_back: bool = knob(True, "whether the discriminator sees earlier bars too; the paper's sees the chord alone")
    leaps: bool = knob(False, "whether steps are chosen one after the other, each by how far it goes from the note before, too")
    key: str = knob("common", "common: tunes are moved so that their chords are in C; own: not", choices=("common", "own"))
    choice: str = knob(
        "drawn",
        "of G's rows at each step: one drawn by its share, the largest, or soft shares",
        choices=("drawn", "largest", "soft"),
    )
    temperature: float = knob(1.0, "of drawn samples: below 1 safer, above 1 bolder", low=0.01, high=100.0, later=True)
    smoothing: float = knob(0.1, "by how much the answer for real bars is below 1", low=0.0, high=0.5)
    features_weight: float = knob(0.1, "weight of the match of D's first features, in the mean", low=0.0)
    bars_weight: float = knob(0.1, "weight of the match of bars and what stands beside them, in the mean", low=0.0)
    generator_turns: int = knob(1, "moves of G for one of D", low=1, high=10)
    r1_weight: float = knob(0.05, "gamma of R1, the slopes of the discriminator at real bars; 0: off", low=0.0)
    r2_weight: float = knob(0.05, "gamma of R2, those at drawn bars; 0: off", low=0.0)
    generator_learning_rate: float = knob(1e-3, "learning rate of the generator (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(2e-3, "learning rate of the discriminator (Adam)", low=0.0)
    learning_rate_fall: float = knob(0.05, "what is left of rates at the end of the budget (cosine); 1: all", low=0.0, high=1.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(64, "tunes in a batch, of each of which one bar is looked at", low=1)


PAPER: dict[str, Any] = {
    "latent_size": 100, "width": 256, "judge_width": 64, "before_width": 16, "looks_back": (1,), "judge_looks_back": False,
    "key": "own", "choice": "soft", "bars_weight": 0.01,
    "generator_turns": 2, "r1_weight": 0.0, "r2_weight": 0.0, "generator_learning_rate": 2e-4,
    "discriminator_learning_rate": 2e-4, "learning_rate_fall": 1.0, "ema_half_life": 0.0, "batch_size": 72,
}  # fmt: skip
PRESETS: dict[str, Any] = {"auto": {"leaps": True}, "paper": PAPER}


class MidiNet(System):
    Config = Config
    couples_batch = "BatchNorm in the generator, and means over the batch that are matched"
    progressions: Tensor
    heard: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.steps = spec.steps
        self.bars = Bars(spec.low, spec.high, config.key == "common")
        back, rows = len(config.looks_back), self.bars.rows
        self.generator = Writer(
            config.latent_size, rows, back, self.steps, config.width, config.before_width, self.bars.lowest, config.leaps
        )
        seen = back if config.judge_looks_back else 0
        self.discriminator = Judge(rows, seen, self.steps, config.judge_width, self.bars.lowest)
        self.average = copy.deepcopy(self.generator)
        self.register_buffer("progressions", torch.zeros(KEPT, spec.shape[1], dtype=torch.int16))
        self.register_buffer("heard", torch.zeros((), dtype=torch.int64))

    def players(self) -> tuple[Player, ...]:
        config, fall = self.config, cosine_fall(self.config.learning_rate_fall)
        rates = {"discriminator": config.discriminator_learning_rate, "generator": config.generator_learning_rate}
        return tuple(
            Player(name, (name,), optimiser("adam", rate, beta1=config.beta1), rate=fall) for name, rate in rates.items()
        )

    def phases(self) -> tuple[Phase, ...]:
        fooling = Turn("generator", self.fool, times=self.config.generator_turns)
        return (Phase("play", (Turn("discriminator", self.discriminate), fooling)),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def reductions(self) -> Mapping[str, str]:
        return {"progressions": "rank", "heard": "rank"}

    # The game

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        real_bars, chords, before, last = self._dealt(batch, shared)
        self._remember(batch.real[:, CHORDS])
        shared["fake"], _ = self._drawn(self.generator, batch.noise, chords, before, last)
        config, place = self.config, real_bars.device.type
        gammas = {"r1": config.r1_weight, "r2": config.r2_weight}
        bars = [own.detach().requires_grad_() for own in (real_bars, shared["fake"])]
        mixed = torch.is_autocast_enabled(place) and not any(gammas.values())  # slopes want full precision
        with torch.autocast(place, torch.get_autocast_dtype(place), enabled=mixed):
            real, fake = (self._judge(own, chords, before)[0] for own in bars)
            terms = {
                "real": binary_cross_entropy_with_logits(real, torch.full_like(real, 1 - config.smoothing)),
                "fake": binary_cross_entropy_with_logits(fake, torch.zeros_like(fake)),
            }
            terms |= held_down(gammas, bars, (real, fake))
        return terms

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        config = self.config
        real_bars, chords, before, last = self._dealt(batch, shared)
        fake = shared.pop("fake") if "fake" in shared else self._drawn(self.generator, batch.noise, chords, before, last)[0]
        logits, planes, features = self._judge(fake, chords, before)
        with torch.no_grad():
            _, true_planes, wanted = self._judge(real_bars, chords, before)

        def apart(made: Tensor, real: Tensor) -> Tensor:
            return 0.5 * (made.mean(0) - real.mean(0)).square().sum()

        return {
            "fool": binary_cross_entropy_with_logits(logits, torch.ones_like(logits)),
            "features": config.features_weight * apart(features, wanted),
            "bars": config.bars_weight * apart(planes, true_planes),
        }

    # Put to use

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """Over chords of training tunes."""
        kept = self.heard.clamp(min=1, max=KEPT)
        chosen = (noise.uniform(count) * kept).long()
        tunes = torch.zeros(count, *self.spec.shape, dtype=torch.int64, device=self.heard.device)
        tunes[:, CHORDS] = self.progressions[chosen].long()
        return self.accompany(tunes, noise)

    def accompany(self, tunes: Tensor, noise: Noise) -> Tensor:
        """Tunes (B, 2, T) of whole bars, of which the chords count -> the same chords under a melody."""
        tunes, shift = self.bars.common(tunes.long())
        count, length = len(tunes), tunes.shape[2]
        planes = self.bars.chord_planes(tunes[:, CHORDS])
        nothing = torch.zeros(count, self.bars.rows, self.steps, dtype=noise.dtype, device=tunes.device)
        pictures: list[Tensor] = []
        rows: list[Tensor] = []
        for start in range(0, length, self.steps):
            place = start // self.steps
            before = torch.cat([pictures[place - back] if back <= place else nothing for back in self.config.looks_back], 1)
            last = (pictures[-1] if pictures else nothing)[:, FIRST:, -1]
            chords = planes[:, :, start : start + self.steps]
            picture, own = self._drawn(self.average, noise, chords, before, last, self.config.temperature)
            pictures.append(picture)
            rows.append(own)
        melody = self.bars.codes(torch.cat(rows, 1), shift)
        return torch.stack([melody, self.bars.shifted(tunes[:, CHORDS], -shift)], 1)

    # Bars and codes

    def _dealt(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of each record the picture (B, rows, S) of one bar, its chords, earlier bars (nothing before the first), and the
        pitch (B, rows - FIRST) that sounds as it begins."""
        if "dealt" not in shared:
            tunes, _ = self.bars.common(batch.real)
            count, bars = len(tunes), tunes.shape[2] // self.steps
            chosen = batch.noise.integers(bars, count)
            pictures = self.bars.pictures(tunes[:, MELODY]).unflatten(2, (bars, self.steps))
            planes = self.bars.chord_planes(tunes[:, CHORDS]).unflatten(2, (bars, self.steps))
            each = torch.arange(count, device=tunes.device)

            def earlier(back: int) -> Tensor:
                there = (chosen >= back).to(pictures.dtype)
                return pictures[each, :, (chosen - back).clamp(min=0)] * there[:, None, None]

            before = torch.cat([earlier(back) for back in self.config.looks_back], 1)
            shared["dealt"] = pictures[each, :, chosen], planes[each, :, chosen], before, earlier(1)[:, FIRST:, -1]
        found: tuple[Tensor, Tensor, Tensor, Tensor] = shared["dealt"]
        return found

    def _drawn(
        self, network: Any, noise: Noise, chords: Tensor, before: Tensor, last: Tensor, temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """A picture (B, rows, S), and the row of each step (B, S). But for `soft` it is of these; gradients are of shares."""
        logits, leaps = network(noise.normal(len(chords), self.config.latent_size), chords, before)
        chance = noise.uniform(*logits.shape).clamp(1e-6, 1 - 1e-6) if self.config.choice == "drawn" else None
        if leaps is None:
            shares, rows = self._chosen(logits, chance, temperature)
            return self.bars.played(shares, last), rows
        each, pitch, gains = [], last, following(leaps, last.shape[1])
        for step in range(self.steps):
            able = logits[:, :, step] + pad((gains[..., step] * pitch[:, None]).sum(2), (FIRST, 0))
            each.append(self._chosen(able, None if chance is None else chance[:, :, step], temperature))
            begun = each[-1][0][:, FIRST:]
            pitch = begun + (1 - begun.sum(1, keepdim=True)) * pitch
        shares, rows = (torch.stack(own, -1) for own in zip(*each, strict=True))
        return self.bars.played(shares, last), rows

    def _chosen(self, logits: Tensor, chance: Tensor | None, temperature: float) -> tuple[Tensor, Tensor]:
        """Shares of rows (B, rows, ...), and the row that has the largest (B, ...); the others of `soft` alone are not 0."""
        if chance is not None:
            logits = logits / temperature - (-chance.log()).log()
        shares = logits.softmax(1)
        rows = shares.argmax(1)
        if self.config.choice != "soft":
            shares = one_hot(rows, self.bars.rows).movedim(-1, 1).to(shares.dtype) + shares - shares.detach()
        return shares, rows

    def _judge(self, bars: Tensor, chords: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = before if self.config.judge_looks_back else None
        found: tuple[Tensor, Tensor, Tensor] = self.discriminator(bars, chords, seen)
        return found

    def _remember(self, chords: Tensor) -> None:
        """Chords (B, T) of records, the oldest make room."""
        rows = (self.heard + torch.arange(len(chords), device=chords.device)) % KEPT
        self.progressions[rows] = chords.to(self.progressions.dtype)
        self.heard += len(chords)
