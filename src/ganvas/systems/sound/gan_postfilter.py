"""GAN postfilter: natural detail for speech that was averaged. Kaneko, Kameoka, Hojo, Ijima, Hiramatsu, Kashino, 2017,
"Generative adversarial network-based postfilter for statistical parametric speech synthesis" (ICASSP, pp. 4910-4914).

An acoustic model that is trained by squared errors says what mel-cepstra are to be expected; what varies around that is lost,
and speech becomes dull. From such y and noise z, as maps of time by coefficients, G makes what D cannot tell from natural x:
    min_D  -E[log D(x, y)] - E[log(1 - D(G(y, z), y))]          min_G  -E[log D(G(y, z), y)]          G(y, z) = y + g(y, z)
Low coefficients pass as they are, and convolutions alone take any length.

Most of what is lost are slow movements, which need no invention: where `widening`, y are first stretched about the mean of the
moments nearby until they move nearly as much as natural ones (global variance: Toda and Tokuda 2007), and G adds to that: where
`centred`, nothing that lasts. What it adds with any noise is another course than the speaker's; what differs from noise to
noise is fine movement, and costs less likeness: `mean_detail` and `detail` say how much of each is used. D's slopes may be
held down at natural and made cepstra (R1 and R2: Mescheder et al. 2018, arXiv 1801.04406).

There is no synthesiser here: y are natural cepstra as a small network expects them of few numbers, learnt by squared errors for
a first part of the budget. Cepstra are the cosine transform of mel spectrograms (`networks/mel`), and what is put to use is the
difference they make: sounds are filtered by it, and keep their waves.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ganvas.batches import Batch
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.mel import Mel, MelSettings, slaney
from ganvas.networks.postfilter import AcousticModel, Judge, Postfilter, Widening, cosine_transform, others
from ganvas.objectives.adversarial import fake_is_fake, non_saturating, real_is_real
from ganvas.objectives.penalties import held_down, with_range_for_slopes
from ganvas.objectives.schedules import linear_decay, until_share
from ganvas.optim import optimiser

CARD = {
    "title": "Generative adversarial network-based postfilter for statistical parametric speech synthesis",
    "authors": "Kaneko et al.",
    "year": 2017,
    "paper": "doi 10.1109/ICASSP.2017.7953090",
    "summary": "gives dull, averaged speech the fine structure of natural speech",
    "data": ["sound"],
}

SHORTEST = 256  # samples of a clip
SECONDS, BANDS, TOP = 0.008, 40, 8000.0  # from column to column, and bands up to so many Hz
DEPTH = 3.5  # log10 below the loudest band and moment at which silence lies
LOUD = 2.0  # log10 of what a sound may be made louder or softer


@dataclass(frozen=True)
class Config:
    hop: int = knob(0, "samples from column to column; 0: the power of two nearest to 8 ms", low=0, high=8192)
    bands: int = knob(0, "bands of a spectrogram; 0: as dense as 40 up to 8 kHz", low=0, high=256)
    order: int = knob(
        24, "mel-cepstral coefficients, the first of which is the loudness; at most as many as bands", low=2, high=256
    )
    kept: int = knob(1, "low coefficients that pass as they are", low=1, high=64)
    embedding_size: int = knob(4, "numbers by which the acoustic model knows a stretch of speech", low=1, high=1024)
    stretch: int = knob(4, "columns of such a stretch", low=1, high=64)
    acoustic_width: int = knob(64, "channels of the acoustic model", low=1, high=4096)
    acoustic_share: float = knob(0.25, "share of the budget in which the acoustic model alone learns", low=0.01, high=1.0)
    width: int = knob(24, "channels of the postfilter", low=1, high=1024)
    layers: int = knob(4, "convolutions of the postfilter", low=1, high=16)
    discriminator_width: int = knob(16, "channels of the discriminator's first maps; doubles inwards", low=1, high=1024)
    segment: int = knob(48, "columns of the piece of a clip that is learnt", low=8)
    places: int = knob(3, "places drawn for a piece, of which the loudest is learnt", low=1, high=16)
    widening: bool = knob(False, "whether coefficients are stretched before G adds to them, to move as much as natural ones")
    widening_share: float = knob(1.0, "how far: the power of the factor by which they move too little", low=0.0, high=1.5)
    centred: bool = knob(False, "whether the mean of moments nearby is taken out of what G adds, so that nothing is shifted")
    detail: float = knob(1.0, "how much of what G adds is put to use: 0 none, 1 all", low=0.0, high=2.0, later=True)
    mean_detail: float = knob(-1.0, "the same of its mean over noises; -1: as `detail`", low=-1.0, high=2.0, later=True)
    r1_weight: float = knob(0.0, "gamma of R1, the slopes of D at natural cepstra; 0: off", low=0.0)
    r2_weight: float = knob(0.0, "gamma of R2, those at made ones; 0: off", low=0.0)
    error_weight: float = knob(0.0, "weight of the squared error beside the game", low=0.0)
    acoustic_learning_rate: float = knob(2e-3, "learning rate of the acoustic model (Adam)", low=0.0)
    learning_rate: float = knob(1e-3, "learning rate of postfilter and discriminator (Adam), which falls to nothing", low=0.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(1_000.0, "half-life in clips of the G that is put to use; 0: none", low=0.0)
    batch_size: int = knob(16, "clips in a batch", low=1)


PAPER: dict[str, Any] = {
    "width": 64, "layers": 5, "discriminator_width": 64, "acoustic_width": 256, "segment": 128, "places": 1,
    "learning_rate": 2e-4, "ema_half_life": 0.0, "batch_size": 32,
}  # fmt: skip
AUTO: dict[str, Any] = {
    "widening": True, "widening_share": 0.7, "centred": True, "detail": 0.7, "mean_detail": 0.2,
    "r1_weight": 1.0, "r2_weight": 1.0,
}  # fmt: skip
PRESETS: dict[str, Any] = {"auto": AUTO, "paper": PAPER}


def settled(spec: Any, config: Config) -> Config:
    """Config with a hop and bands. Raises GanvasError for clips that are too short, and what does not fit."""
    if spec.length < SHORTEST:
        raise GanvasError(f"clips of {spec.length} samples are too short to learn: the least is {SHORTEST} (see --size)")
    hop = config.hop or min(2 ** round(math.log2(max(4.0, SECONDS * spec.rate))), 2 ** int(math.log2(spec.length / 16)))
    if 8 * hop > spec.length:
        raise GanvasError(f"a hop of {hop} samples is too long for clips of {spec.length}: at most an eighth of them")
    bands = config.bands or max(8, round(BANDS * slaney(spec.rate / 2) / slaney(TOP)))
    order = min(config.order, bands)
    if config.kept >= order:
        raise GanvasError(f"of {order} coefficients {config.kept} would be kept: leave some to change (--set kept=1)")
    return replace(config, hop=hop, bands=bands, order=order)


class GanPostfilter(System):
    Config = Config
    cosines: Tensor
    centre: Tensor
    spread: Tensor
    usual: Tensor
    heard: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        config = settled(spec, config)
        super().__init__(spec, config)
        self.mel = Mel(MelSettings(spec.rate, config.hop, 4 * config.hop, config.bands, 0.0, spec.rate / 2))
        self.acoustic = AcousticModel(config.order, config.embedding_size, config.stretch, config.acoustic_width)
        self.generator = Postfilter(config.width, config.layers, config.kept, config.centred)
        self.discriminator = Judge(config.order, config.discriminator_width)
        self.average = copy.deepcopy(self.generator)
        self.widening = Widening(config.order, config.kept, config.widening_share) if config.widening else None
        beside = self.widening.reach if self.widening else 0
        self.latents, self.reach = config.order, max(self.generator.reach + beside, self.acoustic.reach)
        self.register_buffer("cosines", cosine_transform(config.bands)[: config.order], persistent=False)
        self.register_buffer("centre", torch.zeros(config.order, 1))
        self.register_buffer("spread", torch.ones(config.order, 1))
        self.register_buffer("usual", torch.zeros(()))  # the mean over clips of the loudest value of a spectrogram
        self.register_buffer("heard", torch.zeros(()))  # batches that these are the means of

    def players(self) -> tuple[Player, ...]:
        config = self.config
        rule = optimiser("adam", config.learning_rate, beta1=config.beta1)
        return (
            Player("acoustic model", ("acoustic",), optimiser("adam", config.acoustic_learning_rate)),
            Player("discriminator", ("discriminator",), rule, rate=linear_decay(config.acoustic_share)),
            Player("generator", ("generator",), rule, rate=linear_decay(config.acoustic_share)),
        )

    def phases(self) -> tuple[Phase, ...]:
        expecting = Phase("averages", (Turn("acoustic model", self.expect),), until=until_share(self.config.acoustic_share))
        return (expecting, Phase("play", (Turn("discriminator", self.discriminate), Turn("generator", self.fool))))

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def reductions(self) -> Mapping[str, str]:
        return {"heard": "lead", "compared": "lead"}

    # The game

    def expect(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        natural = self._piece(batch, shared, remember=True)
        return {"error": (self.acoustic(natural) - natural).square().mean()}

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        natural, dull = self._pair(batch, shared)
        shared["fake"] = self.generator(dull, batch.noise.normal(*dull.shape))
        gammas = {"r1": self.config.r1_weight, "r2": self.config.r2_weight}
        flat = any(gammas.values())
        seen = [own.detach().requires_grad_(flat) for own in (natural, shared["fake"])]
        with with_range_for_slopes(natural) if flat else nullcontext():
            on_real, on_fake = (self.discriminator(own, dull) for own in seen)
        terms = {"real": real_is_real(on_real), "fake": fake_is_fake(on_fake)}
        return terms | held_down(gammas, seen, (on_real.mean(1), on_fake.mean(1)))

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        natural, dull = self._pair(batch, shared)
        fake = shared.pop("fake") if "fake" in shared else self.generator(dull, batch.noise.normal(*dull.shape))
        terms = {"fool": non_saturating(self.discriminator(fake, dull))}
        if self.config.error_weight:
            terms["error"] = self.config.error_weight * (fake - natural).square().mean()
        return terms

    # Put to use

    def smoothing(self, mels: Tensor, drawn: Tensor) -> Tensor:
        cepstra = self.cepstra(mels)
        return self.difference(self.acoustic(cepstra) - cepstra)

    def sharpening(self, mels: Tensor, drawn: Tensor) -> Tensor:
        cepstra = self.cepstra(mels)
        wide = self.widening(cepstra) if self.widening else cepstra
        detail, of_mean = self.config.detail, self.config.mean_detail
        added = detail * (self.average(wide, drawn) - wide)
        if of_mean >= 0 and of_mean != detail:
            added = added + (of_mean - detail) * (torch.stack([self.average(wide, z) for z in others(drawn)]).mean(0) - wide)
        return self.difference(wide - cepstra + added)

    # Cepstra

    def cepstra(self, mels: Tensor) -> Tensor:
        """Spectrograms (N, bands, T) at the usual level -> (N, order, T) in units of the spread of each coefficient."""
        level = (mels - self.usual).clamp(min=-DEPTH)
        return (torch.matmul(self.cosines, level) - self.centre) / self.spread

    def difference(self, cepstra: Tensor) -> Tensor:
        """Differences of such cepstra -> of spectrograms."""
        return torch.matmul(self.cosines.T, cepstra * self.spread).clamp(-LOUD, LOUD)

    def _piece(self, batch: Batch, shared: Shared, remember: bool = False) -> Tensor:
        """Of each record and channel the cepstra (B * C, order, segment) of the loudest of some pieces."""
        if "piece" not in shared:
            config = self.config
            with torch.no_grad():
                mels = self.mel(batch.real.flatten(0, 1))
                columns = min(config.segment, mels.shape[2])
                starts = batch.noise.integers(mels.shape[2] - columns + 1, len(batch), config.places)
                starts = starts.repeat_interleave(batch.real.shape[1], 0)
                index = starts[:, :, None, None] + torch.arange(columns, device=mels.device)
                index = index.expand(-1, -1, mels.shape[1], -1)
                pieces = mels[:, None].expand(-1, config.places, -1, -1).gather(3, index)
                chosen = pieces[torch.arange(len(mels), device=mels.device), pieces.mean((2, 3)).argmax(1)]
                loudest = mels.amax((1, 2), keepdim=True)
                chosen = chosen - loudest + self.usual
                if remember:
                    self._remember(chosen - self.usual, loudest.mean())
                shared["piece"] = self.cepstra(chosen)
        found: Tensor = shared["piece"]
        return found

    def _remember(self, level: Tensor, loudest: Tensor) -> None:
        """Centre and spread of the coefficients of natural speech, as means over batches."""
        cepstra = torch.matmul(self.cosines, level.clamp(min=-DEPTH))
        share = 1 / (self.heard + 1).clamp(max=1000)
        self.heard += 1
        self.usual += (loudest - self.usual) * share
        centre = cepstra.mean((0, 2))[:, None]
        self.centre += (centre - self.centre) * share
        apart = (cepstra - self.centre).square().mean((0, 2)).clamp(min=1e-6).sqrt()[:, None]
        self.spread += (apart - self.spread) * share

    def _pair(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor]:
        """Natural cepstra, and those that are to be expected in their place."""
        natural = self._piece(batch, shared)
        if "dull" not in shared:
            with torch.no_grad():
                dull = self.acoustic(natural)
                shared["dull"] = self.widening.learn(natural, dull) if self.widening else dull
        found: Tensor = shared["dull"]
        return natural, found
