"""GANSynth: notes of an asked pitch. Engel, Agrawal, Chen, Gulrajani, Donahue, Roberts, 2019, "GANSynth: Adversarial Neural
Audio Synthesis" (ICLR, arXiv 1902.08710).

A GAN of images learns notes as two pictures: the logarithm of the magnitudes, and the instantaneous frequency, the turn of the
phase from column to column. A steady tone turns steadily, so that where a picture of phases is stripes, this one is flat, and
waves of what is drawn are coherent. G is told the pitch beside the noise, and D names the pitches that it sees:
    min_D  E[D(G(z, p))] - E[D(x)] + 10 E(||grad D||  - 1)^2 + 0.001 E[D(x)^2] - 10 E[log P(p | x)]        on real notes alone
    min_G  -E[D(G(z, p))] - 10 E[log P(p | G(z, p))]
with networks that grow (the preset `paper`). For minutes each fake is judged against a real picture, D is kept flat around both
(Huang et al. 2024, arXiv 2501.05441), networks are residual and do not grow. Other columns that are choices (the instrument)
are told and named like the pitch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ganvas.batches import Batch, Noise
from ganvas.borders import finished
from ganvas.config import knob
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.columns import KEPT, codes_for, drawn_rows, remember, remembered
from ganvas.networks.gansynth import NoteColumns, networks_of, spectrogram_of
from ganvas.networks.progressive import blended, doubled, halved
from ganvas.objectives.penalties import interpolation_penalty, squared_slopes
from ganvas.objectives.schedules import cosine_fall
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest

CARD = {
    "title": "GANSynth: Adversarial Neural Audio Synthesis",
    "authors": "Engel et al.",
    "year": 2019,
    "paper": "arXiv 1902.08710",
    "summary": "notes of a pitch and an instrument you name, coherent waves; plays MIDI files",
    "data": {"note": "sound", "attributes": "table"},
}

OPEN_STAGE = 10_000  # clips of a size, where the budget says nothing of its end


@dataclass(frozen=True)
class Config:
    pitch: str = knob("", "column of pitches (60 or C4); empty: one called so, as midi_pitch, else the first number")
    others: bool = knob(True, "G is told, and D names, the columns of choices too, such as the instrument")
    latent_size: int = knob(64, "size of the latent vector", low=1)
    bands: int = knob(128, "rows of a picture, as many bands of the spectrum", low=8, high=2048)
    band_scale: str = knob("mel", "how bands divide the spectrum", choices=("mel", "linear"))
    column_step: float = knob(
        0.016, "seconds from column to column of a picture, to the next power of two samples", low=1e-4, high=0.2
    )
    floor: float = knob(80.0, "dB under the loudest place at which a picture ends", low=20.0, high=120.0)
    phase: str = knob(
        "frequency", "beside magnitudes: turns from column to column, or where phases are", choices=("frequency", "phase")
    )
    griffin_lim_rounds: int = knob(0, "rounds by which phases are bettered afterwards", low=0, high=1000, later=True)
    network: str = knob("residual", "kind of both networks; the paper's grows", choices=("residual", "growing"))
    width: int = knob(8, "channels at full resolution; doubles inwards", low=1, high=1024)
    max_width: int = knob(32, "most channels of a layer's maps", low=1, high=4096)
    stage_samples: int = knob(0, "clips while a size comes in, and after it (growing); 0: shares of the budget", low=0)
    loss: str = knob("relativistic", "of both players; the paper's is wasserstein", choices=("relativistic", "wasserstein"))
    naming_weight: float = knob(1.0, "weight of what D names, on real notes for D, on made ones for G", low=0.0)
    flatness_weight: float = knob(4.0, "gamma of R1 and R2, at real and at made pictures (relativistic); 0: off", low=0.0)
    penalties_every: int = knob(8, "moves between two times of R1 and R2, which then weigh as many times more", low=1)
    penalty_weight: float = knob(10.0, "weight of the gradient penalty (wasserstein)", low=0.0)
    drift_weight: float = knob(1e-3, "weight that keeps D's answers near 0 (wasserstein)", low=0.0)
    learning_rate: float = knob(3e-3, "learning rate of both players (Adam)", low=0.0)
    learning_rate_fall: float = knob(0.25, "what is left of it at the end of the budget (cosine); 1: all", low=0.0, high=1.0)
    beta2: float = knob(0.99, "second beta of Adam, whose first is 0", low=0.0, high=0.99999)
    ema_half_life: float = knob(3_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(16, "clips in a batch", low=1)


WORK_PER_PLACE = 6e-7  # GFLOP of a round for one clip, by the square of the width and by places of its picture
CLIPS_WANTED = {8: 0, 16: 200_000, 32: 2_000_000}  # width -> clips it takes to pay off
RATE = 3e-3 * 8  # by the width
GAMMA = 1 / 2048  # by places of a picture


def auto(situation: Situation) -> dict[str, Any]:
    """The largest width that the budget can pay for. Nothing grows."""
    rows, columns = spectrogram_of(situation.spec["note"], Config()).shape
    width = widest(situation, CLIPS_WANTED, lambda width: WORK_PER_PLACE * rows * columns * width**2, share=0.3)
    return {
        "width": width, "max_width": 4 * width, "learning_rate": RATE / width, "flatness_weight": GAMMA * rows * columns,
        "batch_size": 16 if situation.device == "cpu" else 32,
    }  # fmt: skip


PAPER: dict[str, Any] = {
    "others": False, "latent_size": 256, "bands": 1024, "column_step": 0.032, "network": "growing", "width": 32,
    "max_width": 256, "stage_samples": 800_000, "loss": "wasserstein", "naming_weight": 10.0, "learning_rate": 8e-4,
    "learning_rate_fall": 1.0, "ema_half_life": 5_500.0, "batch_size": 8,
}  # fmt: skip
PRESETS: dict[str, Any] = {"auto": auto, "paper": PAPER}


class GanSynth(System):
    Config = Config
    described = "attributes"
    rows: Tensor
    seen: Tensor
    grown: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        sound = spec["note"]
        self.told = NoteColumns(spec["attributes"], config.pitch, config.others, "gansynth")
        self.transform = spectrogram_of(sound, config)
        self.generator, self.discriminator, self.sizes = networks_of(self.transform, sound.channels, self.told.count, config)
        self.average = copy.deepcopy(self.generator)
        self.register_buffer("grown", torch.zeros(()))  # 1.3: the second size, and 0.3 of the third; it never falls
        self.register_buffer("rows", torch.full((KEPT, len(self.told.columns)), -1, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def players(self) -> tuple[Player, ...]:
        config, fall = self.config, cosine_fall(self.config.learning_rate_fall)
        rule = optimiser("adam", config.learning_rate, beta1=0.0, beta2=config.beta2)
        return tuple(Player(name, (name,), rule, rate=fall) for name in ("discriminator", "generator"))

    def phases(self) -> tuple[Phase, ...]:
        """One for each size; it comes in over the first half."""
        config, turns = self.config, [Turn("discriminator", self.discriminate)]
        if config.loss == "relativistic" and config.flatness_weight:
            turns.append(Turn("discriminator", self.flatten, every=config.penalties_every))
        turns.append(Turn("generator", self.fool))
        names = [f"size {size + 1}" for size in range(self.sizes)] if self.sizes > 1 else ["play"]
        until = [self._over(name, size) for size, name in enumerate(names[:-1])]
        return tuple(Phase(name, tuple(turns), until=end) for name, end in zip(names, [*until, None], strict=True))

    def _over(self, name: str, size: int) -> Callable[[Clock], bool]:
        return lambda clock: self._come(clock, size) >= 1.0

    def _come(self, clock: Clock, size: int) -> float:
        """How much of the phase of a size is over, 0 to 1 and beyond."""
        if self.config.stage_samples or not clock.progress:
            return clock.phase_samples / (2 * (self.config.stage_samples or OPEN_STAGE))
        return clock.progress * self.sizes - size

    def _stage(self, clock: Clock) -> tuple[int, Tensor | None]:
        """The size in play, and how far it has come in (), None: wholly."""
        size = int(clock.phase.removeprefix("size ")) - 1 if clock.phase.startswith("size ") else 0
        share = min(1.0, max(0.0, 2 * self._come(clock, size))) if size else 1.0
        self.grown.copy_(torch.maximum(self.grown, torch.full_like(self.grown, size - 1 + share)))
        return size, (self.grown - (size - 1)).clamp(0, 1) if size and share < 1 else None

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def reductions(self) -> Mapping[str, str]:
        return {"rows": "lead", "seen": "lead", "grown": "lead"}

    # The game

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D names real notes alone: of made ones it would learn what G makes of a name, right or wrong."""
        real, codes = self._real(batch, clock, shared), shared["codes"]
        shared["fake"] = self._fake(batch, clock, codes)
        stage = self._stage(clock)
        answer, fake = self.discriminator(real, *stage), shared["fake"].detach()
        on_real, on_fake = answer[:, 0], self.discriminator(fake, *stage)[:, 0]
        named = {"pitch and others": self.config.naming_weight * self.told.unlike(answer[:, 1:], codes)}
        if self.config.loss == "relativistic":
            return {"relative": softplus(on_fake - on_real).mean(), **named}
        share = batch.noise.uniform(len(batch))
        penalty = interpolation_penalty(lambda x: self.discriminator(x, *stage)[:, 0], real, fake, share)
        return {
            "distance": on_fake.mean() - on_real.mean(), "penalty": self.config.penalty_weight * penalty,
            "drift": self.config.drift_weight * on_real.square().mean(), **named,
        }  # fmt: skip

    def flatten(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """R1 and R2 of one pass."""
        real = self._real(batch, clock, shared)
        fake = shared["fake"] if "fake" in shared else self._fake(batch, clock, shared["codes"])
        pictures = torch.cat([real, fake.detach()]).requires_grad_()
        on_real, on_fake = squared_slopes(pictures, self.discriminator(pictures, *self._stage(clock))[:, 0]).chunk(2)
        weight = self.config.flatness_weight * self.config.penalties_every / 2
        return {"r1": weight * on_real.mean(), "r2": weight * on_fake.mean()}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        real, codes = self._real(batch, clock, shared), shared["codes"]
        fake, stage = shared.pop("fake") if "fake" in shared else self._fake(batch, clock, codes), self._stage(clock)
        answer = self.discriminator(fake, *stage)
        named = {"pitch and others": self.config.naming_weight * self.told.unlike(answer[:, 1:], codes)}
        if self.config.loss == "wasserstein":
            return {"approach": -answer[:, 0].mean(), **named}
        with torch.no_grad():
            on_real = self.discriminator(real, *stage)[:, 0]
        return {"relative": softplus(on_real - answer[:, 0]).mean(), **named}

    def _real(self, batch: Batch, clock: Clock, shared: Shared) -> Tensor:
        """(B, 3 C + 1, bands, columns) of the batch's notes, at the size in play; `codes` of them beside it."""
        if "real" not in shared:
            with torch.no_grad():
                pictures, (size, alpha) = self.transform.whole(batch["note"]), self._stage(clock)
                for _ in range(self.sizes - 1 - size):
                    pictures = halved(pictures)
                if alpha is not None:
                    pictures = blended(doubled(halved(pictures), (pictures.shape[2], pictures.shape[3])), pictures, alpha)
                shared["real"], shared["codes"] = pictures, self.told.codes(batch["attributes"])
                remember(self.rows, self.seen, self.told.columns, shared["codes"])
        found: Tensor = shared["real"]
        return found

    def _fake(self, batch: Batch, clock: Clock, codes: Tensor) -> Tensor:
        made: Tensor = self.generator(batch.noise.normal(len(batch), self.config.latent_size), codes, *self._stage(clock))
        return made

    # What it can do

    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        return {column.name: column.values for column in self.told.columns}

    def learnt_rows(self) -> Tensor:
        return remembered(self.rows, self.seen)

    def value_of(self, name: str, text: str) -> str | None:
        """`C4` is the pitch 60."""
        return self.told.value_of(name, text)

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None, *, shown: Tensor | None = None) -> Tensor:
        """Noise comes before attributes: with one seed, notes of other pitches differ in nothing else."""
        latents = self.latents(count, noise)
        if shown is None:
            shown = drawn_rows(self.rows, self.seen, count, noise)
        return self.play(latents, shown)

    def pitches(self) -> tuple[int, ...]:
        return tuple(self.told.pitches)

    def latents(self, count: int, noise: Noise) -> Tensor:
        return noise.normal(count, self.config.latent_size)

    def play(self, latents: Tensor, shown: Tensor) -> Tensor:
        """A pitch that was never learnt is made of the nearest one that was, played faster or slower."""
        steps, shown = self.told.learnt_nearest(shown, self.learnt_rows())
        codes = codes_for(self.told.columns, shown).to(latents)
        parts = {"spectrogram": self.average.grown(latents, codes, self.grown), "semitones": steps}
        return finished(self.transform.played, parts, self.config.griffin_lim_rounds)
