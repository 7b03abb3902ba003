"""MelGAN: sound of mel spectrograms, in one pass. Kumar et al., 2019, "MelGAN: Generative Adversarial Networks for Conditional
Waveform Synthesis" (NeurIPS, arXiv 1910.06711).

A spectrogram s of 80 bands says how loud a sound x is where, and nothing of phases. A convolutional G, without noise, makes
samples of it; three D_k of windows look at the sound itself, at a half and at a quarter of its rate:
    min_Dk  E[max(0, 1 - D_k(x))] + E[max(0, 1 + D_k(G(s)))]
    min_G   sum_k -E[D_k(G(s))] + 10 sum_k FM_k         FM = sum_i |D^i(x) - D^i(G(s))|, features of D's layers, by their number
Spectrograms are those of `networks/mel`: log10 of magnitudes in bands of Slaney's scale.

Here G may guess magnitudes within bands, and better waves of some rounds of Griffin-Lim, not make them from nothing
(`griffin_lim_rounds`); magnitudes may be compared (`spectral_weight`: Parallel WaveGAN, arXiv 1910.11480), for a first part of
the budget without D (`discriminators_from`); and it may make several samples at a place: what minutes of one core pay for.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import relu

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.mel import Mel, MelSettings, slaney
from ganvas.networks.melgan import Generator, Judges, Vocoder, steps_of
from ganvas.objectives.matching import feature_matching
from ganvas.objectives.schedules import cosine_fall, until_share
from ganvas.objectives.spectra import LEAST, stft_distances
from ganvas.optim import optimiser

CARD = {
    "title": "MelGAN: generative adversarial networks for conditional waveform synthesis",
    "authors": "Kumar et al.",
    "year": 2019,
    "paper": "arXiv 1910.06711",
    "summary": "a vocoder: sound of mel spectrograms, of any length, in one pass",
    "data": ["sound"],
}

SHORTEST = 64  # samples of a clip
COLUMN, BANDS, TOP = 256 / 22050, 80, 11025.0  # seconds of a column, and bands up to so many Hz, in the paper
PEAK, SOFTEST = 0.95, 0.3  # of a training clip, and the least factor by which it is made softer
SOFT = 1e-3  # peak below which a clip is not made louder
RESOLUTIONS = (1, 2, 4)  # windows by which magnitudes are compared, in columns


@dataclass(frozen=True)
class Config:
    hop: int = knob(0, "samples from column to column; 0: the power of two nearest to 11.6 ms", low=0, high=8192)
    bands: int = knob(0, "bands of a spectrogram; 0: as dense as 80 up to 11 kHz", low=0, high=1024)
    lowest: float = knob(0.0, "Hz at which bands begin", low=0.0)
    highest: float = knob(0.0, "Hz at which bands end; 0: half the rate", low=0.0)
    width: int = knob(16, "channels of the generator's last maps; doubles inwards", low=1, high=1024)
    max_width: int = knob(256, "most channels of the generator's maps", low=1, high=4096)
    factors: tuple[int, ...] = knob((), "factors by which maps become longer; none: found by the hop")
    samples_at_once: int = knob(4, "samples that the generator's last layer makes at a place", low=1, high=64)
    griffin_lim_rounds: int = knob(48, "rounds of Griffin-Lim whose waves the generator betters; 0: none", low=0, high=64)
    guess_width: int = knob(192, "channels of the network that guesses the magnitudes for these rounds", low=1, high=4096)
    discriminators: int = knob(2, "discriminators, each at half the rate of the one before", low=1, high=6)
    discriminator_width: int = knob(8, "channels of a discriminator's first maps; four times as many inwards", low=1, high=256)
    discriminator_max_width: int = knob(128, "most channels of a discriminator's maps", low=1, high=4096)
    segment: int = knob(4096, "samples of a piece of a clip that is learnt", low=64)
    places: int = knob(2, "places drawn for a piece, of which the loudest is learnt", low=1, high=16)
    matching_weight: float = knob(10.0, "weight of the match of the discriminators' features", low=0.0)
    spectral_weight: float = knob(20.0, "weight of the distance of magnitudes at three resolutions; 0: off", low=0.0)
    guess_weight: float = knob(20.0, "weight of the error of guessed magnitudes", low=0.0)
    discriminators_from: float = knob(
        0.3, "share of the budget from which discriminators play; before it magnitudes alone count", low=0.0, high=1.0
    )
    generator_learning_rate: float = knob(2e-3, "learning rate of the generator (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(5e-4, "learning rate of the discriminators (Adam)", low=0.0)
    learning_rate_fall: float = knob(0.1, "what is left of rates at the end of the budget (cosine); 1: all", low=0.0, high=1.0)
    beta1: float = knob(0.5, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.9, "second beta of Adam", low=0.0, high=0.99999)
    ema_half_life: float = knob(2_000.0, "half-life in clips of the G that is put to use; 0: none", low=0.0)
    batch_size: int = knob(8, "clips in a batch", low=1)


PAPER: dict[str, Any] = {
    "bands": 80, "width": 32, "discriminators": 3, "max_width": 512, "samples_at_once": 1, "griffin_lim_rounds": 0,
    "discriminator_width": 16, "discriminator_max_width": 1024, "segment": 8192, "places": 1, "spectral_weight": 0.0,
    "discriminators_from": 0.0, "generator_learning_rate": 1e-4, "discriminator_learning_rate": 1e-4,
    "learning_rate_fall": 1.0, "ema_half_life": 0.0, "batch_size": 16,
}  # fmt: skip
PRESETS: dict[str, Any] = {"auto": {}, "paper": PAPER}


def settled(spec: Any, config: Config) -> Config:
    """Config with a hop, bands and factors. Raises GanvasError for clips that are too short, and what does not fit."""
    if spec.length < SHORTEST:
        raise GanvasError(f"clips of {spec.length} samples are too short to learn: the least is {SHORTEST} (see --size)")
    hop = config.hop or min(2 ** round(math.log2(max(8.0, COLUMN * spec.rate))), 2 ** int(math.log2(spec.length / 8)))
    if 2 * hop > spec.length:
        raise GanvasError(f"a hop of {hop} samples is too long for clips of {spec.length}: at most half of them")
    highest = config.highest or spec.rate / 2
    if not config.lowest < highest <= spec.rate / 2:
        told = f"bands from {config.lowest:g} to {highest:g} Hz do not fit sound of {spec.rate} Hz"
        raise GanvasError(f"{told}: end at most at its half")
    bands = config.bands or max(8, round(BANDS * slaney(highest) / slaney(TOP)))
    at_once = math.gcd(config.samples_at_once, hop)
    factors = config.factors or steps_of(hop // at_once)
    if math.prod(factors) * at_once != hop or min(factors, default=1) < 1:
        told = f"{'x'.join(map(str, factors))} with {at_once} samples at once"
        raise GanvasError(f"factors of {told} make {math.prod(factors) * at_once} samples of a column, the hop is {hop}")
    return replace(config, hop=hop, bands=bands, highest=highest, factors=tuple(factors), samples_at_once=at_once)


class MelGan(System):
    Config = Config
    usual: Tensor
    heard: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        config = settled(spec, config)
        super().__init__(spec, config)
        self.mel = Mel(MelSettings(spec.rate, config.hop, 4 * config.hop, config.bands, config.lowest, config.highest))
        self.segment = max(1, min(config.segment, spec.length) // config.hop) * config.hop
        rounds = config.griffin_lim_rounds
        network = Generator(config.bands, config.width, config.max_width, config.factors, config.samples_at_once, rounds > 0)
        self.generator = Vocoder(self.mel.settings, network, rounds, config.guess_width)
        self.reach = self.generator.reach
        self.discriminators = Judges(config.discriminators, config.discriminator_width, config.discriminator_max_width)
        self.average = copy.deepcopy(self.generator)
        self.undecided = 2.0 * config.discriminators  # of hinge losses, added up
        self.windows = tuple(times * config.hop for times in RESOLUTIONS)
        self.register_buffer("usual", torch.zeros(()))  # the mean over clips of the loudest value of a spectrogram
        self.register_buffer("heard", torch.zeros(()))  # batches that it is the mean of

    def players(self) -> tuple[Player, ...]:
        config, fall = self.config, cosine_fall(self.config.learning_rate_fall)

        def rule(rate: float) -> Any:
            return optimiser("adam", rate, beta1=config.beta1, beta2=config.beta2)

        return (
            Player("discriminators", ("discriminators",), rule(config.discriminator_learning_rate), rate=fall),
            Player("generator", ("generator",), rule(config.generator_learning_rate), rate=fall),
        )

    def phases(self) -> tuple[Phase, ...]:
        play = Phase("play", (Turn("discriminators", self.discriminate), Turn("generator", self.fool)))
        if not (self.config.discriminators_from and self.config.spectral_weight):
            return (play,)
        alone = Phase("magnitudes", (Turn("generator", self.approach),), until=until_share(self.config.discriminators_from))
        return (alone, play)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def reductions(self) -> Mapping[str, str]:
        return {"heard": "lead"}

    # The game

    def approach(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Without waves, where magnitudes are guessed: rounds of a tenth of the time."""
        mels, true = self._piece(batch, shared)
        return self._guessed(mels, shared) or self._magnitudes(self._waves(mels, batch, shared), true)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        mels, true = self._piece(batch, shared)
        shared["fake"] = self._waves(mels, batch, shared)
        real, fake = self.discriminators(true), self.discriminators(shared["fake"].detach())
        return {
            "real": torch.stack([relu(1 - own[-1]).mean() for own in real]).sum(),
            "fake": torch.stack([relu(1 + own[-1]).mean() for own in fake]).sum(),
        }

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        mels, true = self._piece(batch, shared)
        made = shared.pop("fake") if "fake" in shared else self._waves(mels, batch, shared)
        fake = self.discriminators(made)
        terms = {"fool": -torch.stack([own[-1].mean() for own in fake]).sum()}
        if self.config.matching_weight:
            with torch.no_grad():
                real = self.discriminators(true)
            matched = [feature_matching(own[:-1], other[:-1]) for own, other in zip(fake, real, strict=True)]
            layers = len(fake[0]) - 1
            # Each layer weighs 4 / (4 + 1), as its authors have it for 4 convolutions with steps.
            terms["features"] = self.config.matching_weight * 0.8 * layers * torch.stack(matched).mean()
        return terms | self._guessed(mels, shared) | self._magnitudes(made, true)

    def _guessed(self, mels: Tensor, shared: Shared) -> Terms:
        """The relative and the logarithmic error of guessed magnitudes; nothing where none are."""
        if not self.config.griffin_lim_rounds:
            return {}
        guess, lines = self.generator.magnitudes(self.mel, mels), shared["lines"]
        far = (guess - lines).abs().sum() / lines.sum().clamp(min=LEAST)
        return {
            "guess": self.config.guess_weight
            * (far + (guess.clamp(min=LEAST).log() - lines.clamp(min=LEAST).log()).abs().mean())
        }

    def _magnitudes(self, made: Tensor, true: Tensor) -> Terms:
        if not self.config.spectral_weight:
            return {}
        convergence, logarithms = stft_distances(made, true, self.windows)
        return {
            "convergence": self.config.spectral_weight * convergence,
            "logarithms": self.config.spectral_weight * logarithms,
        }

    def _waves(self, mels: Tensor, batch: Batch, shared: Shared) -> Tensor:
        if "start" not in shared:
            shared["start"] = self.generator.start(self.mel, mels, batch.noise.integers(1000, 1))
        made: Tensor = self.generator(mels, shared["start"])
        return made

    def _piece(self, batch: Batch, shared: Shared) -> tuple[Tensor, Tensor]:
        """Of each record and channel a spectrogram (B * C, bands, columns), and its waves (B * C, segment), at a random level.
        Columns at the ends see what lies beyond, as they do in a long recording."""
        if "piece" not in shared:
            sounds, config = batch.real, self.config
            count, places = len(sounds), self.segment + self.mel.beyond
            continued = self.mel.continued(sounds)
            starts = batch.noise.integers(continued.shape[2] - places + 1, count, config.places)
            index = starts[:, :, None, None] + torch.arange(places, device=sounds.device)
            index = index.expand(-1, -1, sounds.shape[1], -1)
            pieces = continued[:, None].expand(-1, config.places, -1, -1).gather(3, index)
            loudest = pieces.square().sum((2, 3)).argmax(1)
            chosen = pieces[torch.arange(count, device=sounds.device), loudest]
            gain = SOFTEST + (1 - SOFTEST) * batch.noise.uniform(count, 1, 1)
            scale = PEAK * gain / sounds.abs().amax((1, 2), keepdim=True).clamp(min=SOFT)
            chosen, before = (chosen * scale).flatten(0, 1), self.mel.beyond // 2
            with torch.no_grad():
                self._remember(self.mel(sounds * scale).amax((1, 2, 3)).mean())
                mels, shared["lines"] = self.mel.columns(chosen), self.mel.lines(chosen).abs()
            shared["piece"] = mels, chosen[:, before : before + self.segment]
        found: tuple[Tensor, Tensor] = shared["piece"]
        return found

    def _remember(self, loudest: Tensor) -> None:
        self.heard += 1
        self.usual += (loudest - self.usual) / self.heard.clamp(max=1000)

    # Put to use

    def vocode(self, mels: Tensor, noise: Noise, first: int = 0) -> Tensor:
        """Spectrograms (N, bands, columns) -> waves (N, columns * hop)."""
        made: Tensor = self.average(mels, self.average.start(self.mel, mels, first))
        return made
