"""GAN-TTS: speech of a text. Binkowski, Donahue, Dieleman, Clark, Elsen, Casagrande, Cobo, Simonyan, 2020, "High Fidelity
Speech Synthesis with Adversarial Networks" (ICLR, arXiv 1909.11646).

A feed-forward G makes sound x of noise z and of what linguistic features c say of each frame of 5 ms: the phone and its
neighbours, how far it has come, how long it lasts, and the pitch. An ensemble judges it (RWDs): for each of five lengths one
discriminator that is told the features of its window and one that is not, at windows of x that are drawn anew each time:
    min_D  mean_k E[max(0, 1 - D_k(x))] + E[max(0, 1 + D_k(G(z, c)))]       min_G  -mean_k E[D_k(G(z, c))]
z and the speaker reach G as scale and shift of its BatchNorm. Random windows are what makes it learn (section 5): one
discriminator of the whole does not (`windows`: 0 is the whole piece).

Texts become phones by a plain table, phones lie evenly, by usual lengths, where a recording is loud; pitch is measured. For
minutes of one core G filters a hum of that pitch and a hiss and betters what comes of it (`filters_sources`), magnitudes are
compared (`spectral_weight`), and discriminators come late (`discriminators_from`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot, relu

from ganvas.batches import Batch, Noise
from ganvas.capabilities import Panel
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.kinds import spelled
from ganvas.networks.caption import CaptionMemory
from ganvas.networks.gan_tts import (
    Generator,
    Judges,
    Spelling,
    Voices,
    factors_of,
    features_of,
    loud_span,
    pitch_of,
    sources_of,
)
from ganvas.objectives.schedules import cosine_fall, until_share
from ganvas.objectives.spectra import stft_distances
from ganvas.optim import optimiser

CARD = {
    "title": "High Fidelity Speech Synthesis with Adversarial Networks (GAN-TTS)",
    "authors": "Binkowski et al.",
    "year": 2020,
    "paper": "arXiv 1909.11646",
    "summary": "speaks a text with the voice you name; learnt from recordings with what is said in them",
    "data": {"sound": "sound", "text": "tokens"},
    "aliases": ["text-to-speech", "tts"],
}

FRAMES = 200  # a second, in the paper
RESOLUTIONS = (0.008, 0.032, 0.064)  # seconds of windows by which magnitudes are compared
SHOWN = 2
Told = tuple[Tensor, Tensor | None, Tensor]  # features, sources and speakers


@dataclass(frozen=True)
class Config:
    hop: int = knob(0, "samples of a frame; 0: 5 ms", low=0, high=4096)
    latent_size: int = knob(16, "size of the noise z", low=1)
    blocks: int = knob(1, "blocks of the generator at the rate of frames", low=1, high=16)
    width: int = knob(32, "channels of the generator's last maps; doubles inwards", low=1, high=1024)
    max_width: int = knob(64, "most channels of the generator's maps; half of it where they are longer than frames", low=2)
    samples_at_once: int = knob(4, "samples that the generator's last layer makes at a place", low=1, high=64)
    filters_sources: bool = knob(
        True, "the generator shapes a hum of the asked pitch and a hiss; off: it makes waves from nothing"
    )
    windows: tuple[int, ...] = knob((2, 4, 8, 16, 30), "frames of the random windows that discriminators look at; 0: all")
    unconditional: bool = knob(True, "for each window a discriminator that is not told the features, too")
    discriminator_width: int = knob(16, "channels of a discriminator's first maps; twice as many inwards", low=1, high=1024)
    segment: int = knob(64, "frames of the piece of a recording that is learnt", low=2)
    spectral_weight: float = knob(1.0, "weight of the distance of magnitudes at three resolutions; 0: off", low=0.0)
    adversarial_weight: float = knob(1.0, "weight of the discriminators' answers", low=0.0)
    discriminators_from: float = knob(
        0.3, "share of the budget from which discriminators play; before it magnitudes alone count", low=0.0, high=1.0
    )
    generator_learning_rate: float = knob(4e-3, "learning rate of the generator (Adam)", low=0.0)
    discriminator_learning_rate: float = knob(5e-4, "learning rate of the discriminators (Adam)", low=0.0)
    learning_rate_fall: float = knob(0.1, "what is left of rates at the end of the budget (cosine); 1: all", low=0.0, high=1.0)
    discriminator_turns: int = knob(1, "moves of the discriminators for one of the generator", low=1, high=16)
    beta1: float = knob(0.0, "first beta of Adam", low=0.0, high=0.9999)
    ema_half_life: float = knob(2_000.0, "half-life in clips of the G that speaks; 0: none", low=0.0)
    batch_size: int = knob(8, "clips in a batch", low=2)


PAPER: dict[str, Any] = {
    "latent_size": 128, "blocks": 2, "width": 96, "max_width": 768, "samples_at_once": 1, "filters_sources": False,
    "discriminator_width": 64, "segment": 400, "spectral_weight": 0.0, "discriminators_from": 0.0, "learning_rate_fall": 1.0,
    "generator_learning_rate": 5e-5, "discriminator_learning_rate": 1e-4, "discriminator_turns": 2, "ema_half_life": 7e6,
    "batch_size": 1024,
}  # fmt: skip
PRESETS: dict[str, Any] = {"auto": {}, "paper": PAPER}


def settled(spec: Any, config: Config) -> Config:
    """Config with a hop, a piece and windows that fit. Raises GanvasError for clips that are too short."""
    hop = config.hop or max(2, round(spec.rate / FRAMES))
    if spec.length < 2 * hop:
        raise GanvasError(f"clips of {spec.length} samples are too short to learn: two frames of {hop} at least (see --size)")
    segment = min(config.segment, spec.length // hop)
    windows = tuple(dict.fromkeys(min(window or segment, segment) for window in config.windows)) or (segment,)
    return replace(config, hop=hop, segment=segment, windows=windows, samples_at_once=math.gcd(config.samples_at_once, hop))


class GanTts(System):
    Config = Config
    couples_batch = "BatchNorm: micro-batches and processes normalise over their own share"
    undecided = 2.0  # of hinge losses

    def __init__(self, spec: Any, config: Any) -> None:
        sound, words = spec["sound"], spec["text"]
        config = settled(sound, config)
        super().__init__(spec, config)
        self.rate, self.classes = sound.rate, len(sound.classes)
        self.windows = tuple(2 ** round(math.log2(max(8.0, seconds * sound.rate))) for seconds in RESOLUTIONS)
        factors = factors_of(config.hop // config.samples_at_once, 5)
        condition, lines = config.latent_size + self.classes, 2 * config.hop + 1 if config.filters_sources else 0
        sizes = config.blocks, factors, config.width, config.max_width, config.samples_at_once, lines
        self.generator = Generator(condition, *sizes)
        self.discriminators = Judges(config.windows, config.hop, config.discriminator_width, config.unconditional)
        self.average = copy.deepcopy(self.generator)
        self.memory = CaptionMemory(words.length)
        self.voices = Voices(max(1, self.classes), config.hop / sound.rate)
        self.spelling = Spelling(words.symbols)

    # The game

    def players(self) -> tuple[Player, ...]:
        config, fall = self.config, cosine_fall(self.config.learning_rate_fall)
        rates = {"discriminators": config.discriminator_learning_rate, "generator": config.generator_learning_rate}
        return tuple(
            Player(name, (name,), optimiser("adam", rate, beta1=config.beta1), rate=fall) for name, rate in rates.items()
        )

    def phases(self) -> tuple[Phase, ...]:
        times = self.config.discriminator_turns
        turn = Turn("discriminators", self.discriminate, times=times, fresh=times > 1)
        play = Phase("play", (turn, Turn("generator", self.fool)))
        if not (self.config.discriminators_from and self.config.spectral_weight):
            return (play,)
        alone = Phase("magnitudes", (Turn("generator", self.approach),), until=until_share(self.config.discriminators_from))
        return (alone, play)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def reductions(self) -> Mapping[str, str]:
        return {"memory.captions": "lead", "memory.seen": "lead", "voices.sums": "sum"}

    def approach(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Without D; where sources are filtered, these filters alone: rounds of a fifth of the time."""
        true, told = self._piece(batch, shared)
        network = self.generator.filtered if self.config.filters_sources else self.generator
        return self._magnitudes(self._made(network, told, batch.noise), true)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        true, told = self._piece(batch, shared)
        shared["fake"] = self._made(self.generator, told, batch.noise)
        both = torch.cat([true, shared["fake"].detach()])
        starts = batch.noise.uniform(2 * len(batch), self.discriminators.count)
        real, fake = self.discriminators(both, told[0].repeat(2, 1, 1), starts).chunk(2)
        return {"real": relu(1 - real).mean(), "fake": relu(1 + fake).mean()}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        true, told = self._piece(batch, shared)
        made = shared.pop("fake") if "fake" in shared else self._made(self.generator, told, batch.noise)
        starts = batch.noise.uniform(len(batch), self.discriminators.count)
        terms = {"fool": -self.config.adversarial_weight * self.discriminators(made, told[0], starts).mean()}
        return terms | (self._magnitudes(made, true) if self.config.spectral_weight else {})

    def _magnitudes(self, made: Tensor, true: Tensor) -> Terms:
        convergence, logarithms = stft_distances(made, true, self.windows)
        weight = self.config.spectral_weight
        return {"convergence": weight * convergence, "logarithms": weight * logarithms}

    def _piece(self, batch: Batch, shared: Shared) -> tuple[Tensor, Told]:
        """Of each clip a piece about a moment that is spoken: waves (B, T), and what G is told of it."""
        if "piece" not in shared:
            waves, hop, segment = batch["sound"].mean(1), self.config.hop, self.config.segment
            frames = waves.shape[1] // hop
            with torch.no_grad():
                phones, speaker = self.spelling(batch["text"]), self.voices.places(batch.labels, len(batch))
                first, last = loud_span(waves, hop, self.rate)
                octaves, voiced = (own.to(waves.dtype) for own in pitch_of(waves, hop, self.rate))
                features = features_of(phones, first, last, hop / self.rate, octaves, voiced)
                self.memory.remember(batch["text"])
                self.voices.hear(speaker, phones, first, last, octaves, voiced)
                middle = torch.lerp(first.to(waves.dtype), last.to(waves.dtype), batch.noise.uniform(len(batch)))
                start = (middle.round().long() - segment // 2).clamp(0, frames - segment)[:, None]
                index = start + torch.arange(segment, device=waves.device)
                features = features.gather(2, index[:, None].expand(-1, features.shape[1], -1))
                samples = start * hop + torch.arange(segment * hop, device=waves.device)
            shared["piece"] = waves.gather(1, samples), (features, self._sources(features, batch.noise), speaker)
        found: tuple[Tensor, Told] = shared["piece"]
        return found

    def _sources(self, features: Tensor, noise: Noise) -> Tensor | None:
        return sources_of(features, self.config.hop, self.rate, noise) if self.config.filters_sources else None

    def _made(self, network: Any, told: Told, noise: Noise) -> Tensor:
        features, sources, speaker = told
        latents = noise.normal(len(features), self.config.latent_size)
        if self.classes:
            latents = torch.cat([latents, one_hot(speaker, self.classes).to(latents.dtype)], 1)
        made: Tensor = network(features, latents, sources)
        return made

    # What it can do

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None, text: Tensor | None = None) -> Tensor:
        """Clips (count, C, length). text: (count, words) int64, what each says; None: texts that it met."""
        text = self.memory.drawn(count, noise) if text is None else text
        labels = noise.integers(self.classes, count) if labels is None and self.classes else labels
        sound = self.spec["sound"]
        made = self.utter(self.spelling(text), noise, labels, frames=sound.length // self.config.hop)[..., : sound.length]
        return torch.nn.functional.pad(made, (0, sound.length - made.shape[2]))

    def utter(
        self, phones: Tensor, noise: Noise, labels: Tensor | None = None, *, frames: int = 0, pace: float = 1.0,
        higher: float = 0.0,
    ) -> Tensor:  # fmt: skip
        """Phones (B, K) -> (B, C, T). frames: at most, 0: as many as they take. pace: how much faster; higher: octaves."""
        speaker = self.voices.places(labels, phones.shape[0])
        first, last, octaves = self.voices.laid(speaker, phones, frames, pace)
        features = features_of(phones, first, last, self.config.hop / self.rate, octaves + higher)
        features = features.to(next(self.average.parameters()).dtype)
        made = self._made(self.average, (features, self._sources(features, noise), speaker), noise)
        return made[:, None].expand(-1, self.spec["sound"].channels, -1)

    def show(self, batch: Batch, noise: Noise) -> Panel:
        """A recording, and what is made of its text alone."""
        made = [self.sample(len(batch), noise, batch.labels, batch["text"]) for _ in range(SHOWN)]
        columns = ("true", *(f"made {k}" for k in range(1, SHOWN + 1)))
        return Panel(torch.stack([batch["sound"], *made], 1), columns, spelled(batch["text"], self.spec["text"]))
