"""SpecGAN: pictures of sound. Donahue, McAuley, Puckette, 2018, "Adversarial Audio Synthesis" (ICLR 2019, arXiv 1802.04208).

A GAN of images learns log-magnitude spectrograms of clips, and what it draws is made audible by finding a phase: a picture says
at once where a clip has which tones, which a network of waveforms has to find out. The paper's game is WGAN-GP's,
    min_D  E[D(G(z))] - E[D(x)] + lambda E(||grad D(x^)|| - 1)^2          min_G  -E[D(G(z))]
and so is the preset `paper`. Minutes of a small machine go farther with each fake judged against a real picture and D kept flat
around both (Huang et al. 2024, arXiv 2501.05441),
    min_D  E[f(D(x) - D(G(z)))] + gamma / 2 (R1 + R2)          min_G  E[f(D(G(z)) - D(x))]          f(t) = log(1 + e^-t)
The level of a clip is a number of its own, which D sees as a plane beside the picture. Transform: `networks/spectrogram`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganvas.batches import Batch, Noise
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.networks.columns import KEPT
from ganvas.networks.convolutional import ConvolutionalDiscriminator, ConvolutionalGenerator
from ganvas.networks.r3gan import Discriminator, Form, Generator
from ganvas.networks.specgan import UNMEASURED, Drawn, Told, drawn_properties, remember_rows, spec_of
from ganvas.networks.spectrogram import CHANGES, Spectrogram, changed_sound
from ganvas.objectives.penalties import interpolation_penalty, squared_slopes
from ganvas.objectives.schedules import cosine_fall
from ganvas.optim import optimiser
from ganvas.presets import Situation, widest
from ganvas.specs import PROPERTIES

CARD = {
    "title": "Adversarial Audio Synthesis (SpecGAN)",
    "authors": "Donahue et al.",
    "year": 2018,
    "paper": "arXiv 1802.04208",
    "summary": "one-shots, words and other short sounds as spectrograms, by class; the quickest to learn on small machines",
    "data": ["sound"],
    "suits": {"sound": "anything"},
    "properties": True,
}


@dataclass(frozen=True)
class Config:
    latent_size: int = knob(64, "size of the latent vector", low=1)
    bands: int = knob(64, "rows of a picture, as many bands of the spectrum", low=8, high=1024)
    band_scale: str = knob("mel", "how bands divide the spectrum", choices=("mel", "linear"))
    column_step: float = knob(
        0.008, "seconds from column to column of a picture, to the next power of two samples", low=1e-4, high=0.1
    )
    floor: float = knob(80.0, "dB under the loudest place at which a picture ends", low=20.0, high=120.0)
    griffin_lim_rounds: int = knob(16, "rounds by which phases are bettered when samples are made audible", low=0, high=1000)
    network: str = knob(
        "residual", "kind of both networks; the paper's is convolutional", choices=("residual", "convolutional")
    )
    width: int = knob(8, "channels at full resolution; doubles inwards", low=1, high=1024)
    max_width: int = knob(128, "most channels of a layer's maps (residual)", low=1, high=4096)
    image_stride: int = knob(4, "places of a picture from one of the largest maps to the next (residual)", choices=(1, 2, 4))
    use_labels: bool = knob(True, "tell both players the class of labelled data, so that samples can be asked for by class")
    reading_weight: float = knob(1.0, "weight of what D reads of properties, on real clips for D, on made ones for G", low=0.0)
    loss: str = knob("relativistic", "of both players; the paper's is wasserstein", choices=("relativistic", "wasserstein"))
    critic_turns: int = knob(1, "moves of D, each on a fresh batch, for one of G", low=1, high=100)
    r1_weight: float = knob(4.0, "gamma of R1, at real pictures (relativistic); 0: off", low=0.0)
    r2_weight: float = knob(4.0, "gamma of R2, at generated pictures (relativistic); 0: off", low=0.0)
    penalties_every: int = knob(8, "moves between two times of R1 and R2, which then weigh as many times more", low=1)
    penalty_weight: float = knob(10.0, "weight of the gradient penalty (wasserstein)", low=0.0)
    learning_rate: float = knob(3e-3, "learning rate of both players (Adam)", low=0.0)
    learning_rate_fall: float = knob(0.25, "what is left of it at the end of the budget (cosine); 1: all", low=0.0, high=1.0)
    beta1: float = knob(0.0, "first beta of Adam", low=0.0, high=0.9999)
    beta2: float = knob(0.99, "second beta of Adam", low=0.0, high=0.99999)
    gradient_clip: float = knob(0.0, "most that the norm of a player's gradient may be; 0: no bound", low=0.0)
    augment: tuple[str, ...] = knob(CHANGES, "changes of sound that D sees on real and fake alike", choices=CHANGES)
    ema_half_life: float = knob(5_000.0, "half-life in samples of the G that samples are drawn from; 0: none", low=0.0)
    batch_size: int = knob(16, "clips in a batch", low=1)


WORK_PER_PLACE = 0.9e-6  # GFLOP of a round for one clip, by the square of the width and by places of its picture
CLIPS_WANTED = {8: 0, 16: 1_000_000, 32: 10_000_000}  # width -> clips it takes to pay off, as of pictures by `r3gan`
RATE = 3e-3 * 8  # by the width
GAMMA = 1 / 2048  # by places of a picture


def auto(situation: Situation) -> dict[str, Any]:
    """Narrow, in squares of four; on a GPU of two. The largest width that the budget can pay for."""
    (spec, properties), fast, plain = spec_of(situation.spec), situation.device == "cpu", Config()
    kinds: dict[str, Any] = {"bands": plain.bands, "scale": plain.band_scale, "step": plain.column_step, "floor": plain.floor}
    places = math.prod(Spectrogram(spec.length, spec.rate, **kinds).shape)
    work = (1 if fast else 4) * WORK_PER_PLACE * places
    width = widest(situation, CLIPS_WANTED, lambda width: work * width**2, share=0.3)
    return {
        "width": width, "max_width": 16 * width, "image_stride": 4 if fast else 2, "learning_rate": RATE / width,
        "r1_weight": GAMMA * places, "r2_weight": GAMMA * places, "gradient_clip": 1.0, "batch_size": 16 if fast else 32,
        "augment": CHANGES if properties is None else UNMEASURED,
    }  # fmt: skip


PAPER: dict[str, Any] = {
    "latent_size": 100, "bands": 128, "band_scale": "linear", "network": "convolutional", "width": 64, "use_labels": False,
    "loss": "wasserstein", "critic_turns": 5, "learning_rate": 1e-4, "learning_rate_fall": 1.0, "beta1": 0.5, "beta2": 0.9,
    "augment": (), "ema_half_life": 0.0, "batch_size": 64,
}  # fmt: skip
PRESETS: dict[str, Any] = {"auto": auto, "paper": PAPER}


class SpecGan(System):
    Config = Config
    rows: Tensor
    seen: Tensor

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        spec, properties = spec_of(spec)
        self.classes = len(spec.classes) if config.use_labels and len(spec.classes) > 1 else 0
        self.told = Told(self.classes, properties)
        self.transform = Spectrogram(
            spec.length, spec.rate, bands=config.bands, scale=config.band_scale, step=config.column_step, floor=config.floor
        )
        shape = (spec.channels + 1, *self.transform.shape)
        self.generator: nn.Module
        self.discriminator: Any
        if config.network == "residual":
            form = Form(config.width, config.max_width, 1, 1, 0, config.image_stride)
            drawing: nn.Module = Generator(config.latent_size, self.told.count, shape, form)
            self.discriminator = Discriminator(self.told.count + len(self.told.numbers), shape, form)
        elif properties is not None:
            raise GanvasError("specgan: networks of the kind convolutional are told no properties: leave --set network out")
        else:
            self.classes, self.told = 0, Told(0, None)
            drawing = ConvolutionalGenerator(config.latent_size, shape, config.width, batch_norm=False)
            self.discriminator = ConvolutionalDiscriminator(shape, config.width, batch_norm=False)
        self.generator = Drawn(drawing, self.transform, shape[0])
        self.average = copy.deepcopy(self.generator)
        if self.told.width:
            self.register_buffer("rows", torch.zeros(KEPT, self.told.width + 1))
            self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def players(self) -> tuple[Player, ...]:
        config = self.config

        def rule() -> Any:
            return optimiser("adam", config.learning_rate, beta1=config.beta1, beta2=config.beta2)

        # One gradient a thousand times as large as those before moves every weight by ten rates (Adam without momentum).
        rate, clip = cosine_fall(config.learning_rate_fall), config.gradient_clip or None
        return tuple(Player(name, (name,), rule(), rate=rate, clip=clip) for name in ("discriminator", "generator"))

    def phases(self) -> tuple[Phase, ...]:
        config = self.config
        if config.loss == "wasserstein":
            judging = [Turn("discriminator", self.estimate, times=config.critic_turns, fresh=True)]
        else:
            judging = [Turn("discriminator", self.discriminate, times=config.critic_turns, fresh=config.critic_turns > 1)]
            if config.r1_weight or config.r2_weight:
                judging.append(Turn("discriminator", self.flatten, every=config.penalties_every))
        return (Phase("play", (*judging, Turn("generator", self.fool))),)

    def averages(self) -> tuple[Average, ...]:
        return (Average("generator", "average", self.config.ema_half_life),)

    def reductions(self) -> Mapping[str, str]:
        return {"rows": "lead", "seen": "lead"} if self.told.width else {}

    # The game

    def estimate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        real, fake = self._real(batch, shared), self._fake(batch).detach()
        penalty = interpolation_penalty(lambda x: self._judge(x, batch)[0], real, fake, batch.noise.uniform(len(batch)))
        on_real, read = self._judge(real, batch)
        terms = {"distance": self._judge(fake, batch)[0].mean() - on_real.mean()}
        return terms | {"penalty": self.config.penalty_weight * penalty} | self._misread(read, batch)

    def discriminate(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """D reads real clips alone: of made ones it would learn what G makes of a number, right or wrong."""
        real, shared["fake"] = self._real(batch, shared), self._fake(batch)
        logits, read = self._judge(torch.cat([real, shared["fake"].detach()]), batch)  # no norm could mix them
        on_real, on_fake = logits.chunk(2)
        return {"relative": softplus(on_fake - on_real).mean(), **self._misread(read, batch)}

    def flatten(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """R1 and R2 of one pass, at pictures before they are changed."""
        fake = shared["fake"] if "fake" in shared else self._fake(batch)
        pictures = torch.cat([self._real(batch, shared), fake.detach()]).requires_grad_()
        slopes = squared_slopes(pictures, self._judge(pictures, batch)[0])
        real, fake = slopes.chunk(2)
        often = self.config.penalties_every / 2
        return {"r1": self.config.r1_weight * often * real.mean(), "r2": self.config.r2_weight * often * fake.mean()}

    def fool(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        fake = shared.pop("fake") if "fake" in shared else self._fake(batch)
        on_fake, read = self._judge(fake, batch)
        if self.config.loss == "wasserstein":
            return {"approach": -on_fake.mean(), **self._misread(read, batch)}
        with torch.no_grad():
            real = self._judge(self._real(batch, shared), batch)[0]
        return {"relative": softplus(real - on_fake).mean(), **self._misread(read, batch)}

    def sample(
        self, count: int, noise: Noise, labels: Tensor | None = None, *, properties: Tensor | None = None
    ) -> Tensor:  # fmt: skip
        """Noise comes before properties: with one seed, clips of other properties differ in nothing else."""
        latents = noise.normal(count, self.config.latent_size)
        if self.classes and labels is None:
            labels = noise.integers(self.classes, count)
        if self.told.width and properties is None:
            properties = drawn_properties(self.rows, self.seen, count, noise)
        made = self.average(latents, self.told.codes(labels, properties))
        return self.told.levelled(self.transform.clips(made, self.config.griffin_lim_rounds), properties)

    def learnt_properties(self) -> Tensor:
        return self.rows[: int(self.seen.clamp(max=KEPT))]

    def _real(self, batch: Batch, shared: Shared) -> Tensor:
        """(B, C + 1, bands, columns) of the batch's clips."""
        if "real" not in shared:
            with torch.no_grad():
                pictures, levels = self.transform.pictures(batch.real)
                shared["real"] = torch.cat([pictures, levels.view(-1, 1, 1, 1).expand_as(pictures[:, :1])], 1)
                if self.told.width:
                    remember_rows(self.rows, self.seen, batch[PROPERTIES], batch.labels)
        found: Tensor = shared["real"]
        return found

    def _fake(self, batch: Batch) -> Tensor:
        told = self.told.codes(batch.labels, batch.fields.get(PROPERTIES))
        made: Tensor = self.generator(batch.noise.normal(len(batch), self.config.latent_size), told)
        return made

    def _judge(self, pictures: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Logits of pictures: a batch of them, or two one after the other, each under what the batch tells; numbers read."""
        told = self.told.codes(batch.labels, batch.fields.get(PROPERTIES))
        changed = changed_sound(pictures, batch.noise, self.config.augment, self.transform.per_unit)
        if told is None:
            return self.discriminator(changed), None
        said, told = self.discriminator.answers(changed), told.repeat(len(pictures) // len(batch), 1)
        logits = (said[:, : told.shape[1]] * told).sum(1) / math.sqrt(told.shape[1])
        return logits, said[:, told.shape[1] :]

    def _misread(self, read: Tensor | None, batch: Batch) -> Terms:
        if read is None or not self.told.width:
            return {}
        return {"misread": self.config.reading_weight * self.told.misread(read[: len(batch)], batch[PROPERTIES])}
