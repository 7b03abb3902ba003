"""DeepRemaster. Iizuka and Simo-Serra, 2019, "DeepRemaster: Temporal Source-Reference Attention Networks for Comprehensive
Video Enhancement" (ACM TOG 38(6), SIGGRAPH Asia, arXiv 2009.08692).

Old film becomes clean and gets colours. A network R of temporal convolutions cleans the luminance x of a clip; a network C
gives the clean clip its chroma, and looks at any number of pictures in colour, z, by source-reference attention
    A(s, r) = s + gamma softmax(Q(s) K(r)^T) V(r),        s: maps of the clip, r: of the pictures, gamma learnt
so that every place takes the colours of those places of the pictures that it resembles; with r = s (self-attention) colours
agree through all frames. Both lower the mean error
    L = |R(x') - x| + beta |C(R(x'), z) - c|,             x', c: the worn clip, and the true chroma
Clips are worn while training: blur, fading, flicker, grain, dust, scratches. Pictures are other frames of the same clip. It is
no GAN as published: it is taught by the truth alone.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganvas.batches import Batch, Noise, lay_out
from ganvas.config import knob
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.inference.colouring import chroma_of, framewise, grey, with_chroma
from ganvas.networks.deepremaster import NORMS, Colourisation, Restoration
from ganvas.networks.film import aged
from ganvas.objectives.schedules import linear_decay
from ganvas.optim import optimiser
from ganvas.presets import Situation

CARD = {
    "options": {"size": "64"},
    "title": "DeepRemaster: Temporal Source-Reference Attention Networks for Comprehensive Video Enhancement",
    "authors": "Iizuka, Simo-Serra",
    "year": 2019,
    "paper": "arXiv 2009.08692",
    "summary": "makes old film clean, and colours it after pictures that are given",
    "data": ["video"],
    "aliases": ["deep-remaster"],
}


MATCHING = ("own", "alike")


@dataclass(frozen=True)
class Config:
    width: int = knob(64, "channels of the first maps of both networks; more inside", low=1, high=1024)
    halvings: int = knob(3, "how often sides are halved before frames look at pictures", low=1, high=5)
    temporal: bool = knob(True, "convolutions and attention through time; off: frame by frame")
    norm: str = knob("batch", "normalisation of both networks", choices=tuple(NORMS))
    skips: bool = knob(False, "maps of the way down are added on the way up: finer detail and colours")
    initial_attention: float = knob(0.0, "gamma of each attention before training", low=0.0)
    matching: str = knob(
        "own", "how places of pictures are found: by a ladder of their own, or alike, by that of the frames", choices=MATCHING
    )
    references: int = knob(6, "pictures in colour that a clip is shown at most while training; 0: none, ever", low=0, high=64)
    length: int = knob(5, "frames of the random piece of each record that is trained on; 0: all", low=0)
    wear: float = knob(1.0, "how worn clips are at most while training", low=0.0, high=2.0)
    chroma_weight: float = knob(1.0, "weight of the error of chroma (beta)", low=0.0)
    flip: bool = knob(True, "mirror half of the clips, and half of the pictures, left to right")
    optimiser: str = knob("adadelta", "rule of the steps", choices=("adadelta", "adam"))
    learning_rate: float = knob(1.0, "learning rate", low=0.0)
    beta1: float = knob(0.9, "first beta of Adam", low=0.0, high=0.9999)
    decay_start: float = knob(1.0, "share of the budget before the learning rate falls, linearly, to 0", low=0.0, high=1.0)
    ema_half_life: float = knob(0.0, "half-life in samples of the average that is used afterwards; 0: none", low=0.0)
    batch_size: int = knob(20, "records in a batch", low=1)


WORK = 0.012  # GFLOP of a round for one frame of 64x64, for each width^2
ROUNDS_WANTED = 20_000  # with fewer, the small networks end up better


def auto(situation: Situation) -> dict[str, Any]:
    """Small networks that keep fine detail and learn to look at pictures early; wider ones where the budget pays for them."""
    common = {
        "norm": "none", "skips": True, "initial_attention": 1.0, "matching": "alike", "references": 4, "optimiser": "adam",
        "learning_rate": 5e-4, "decay_start": 0.5, "ema_half_life": 500.0, "batch_size": 4, "chroma_weight": 3.0,
    }  # fmt: skip
    spec = situation.spec
    side = min(spec.height, spec.width)
    halvings = 2 if side < 128 else 3
    frames = min(5, spec.frames) * spec.height * spec.width / 64**2 * common["batch_size"]
    width = 32 if situation.pays_for(WORK * 32**2 * frames) >= ROUNDS_WANTED else 12
    return {**common, "width": width, "halvings": halvings}


PRESETS: dict[str, Any] = {"auto": auto, "paper": {}}


class DeepRemaster(System):
    Config = Config
    couples_batch = "BatchNorm (norm=batch): micro-batches and processes normalise over their own share"

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__(spec, config)
        self.multiple = 2 ** (config.halvings + 1)
        if min(spec.height, spec.width) < self.multiple:
            raise GanvasError(
                f"deepremaster: clips of {spec.height}x{spec.width} cannot be halved {config.halvings + 1} times: take --size "
                f"{max(32, self.multiple)}, or fewer halvings"
            )
        time = 3 if config.temporal else 1
        self.restoration = Restoration(config.width, time, config.norm, config.skips)
        lay_out(self.restoration, channels_last=True)  # films pass 1.3 times as fast (measured, AVX512)
        self.average_restoration = copy.deepcopy(self.restoration)
        self.colourisation = self.average_colourisation = None
        if spec.channels == 3:  # grey clips are cleaned alone
            self.colourisation = Colourisation(
                config.width, config.halvings, time, config.norm, config.skips, config.initial_attention, config.references > 0,
                config.matching == "alike",
            )  # fmt: skip
            self.average_colourisation = copy.deepcopy(self.colourisation)

    # The game

    @property
    def names(self) -> tuple[str, ...]:
        """Of its networks."""
        return ("restoration", "colourisation") if self.colourisation is not None else ("restoration",)

    def players(self) -> tuple[Player, ...]:
        rule = optimiser(self.config.optimiser, self.config.learning_rate, beta1=self.config.beta1)
        return (Player("remaster", self.names, rule, rate=linear_decay(self.config.decay_start)),)

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("learn", (Turn("remaster", self.learn),)),)

    def averages(self) -> tuple[Average, ...]:
        return tuple(Average(name, f"average_{name}", self.config.ema_half_life) for name in self.names)

    def learn(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        """Both networks at once: colours are given to what was made clean."""
        clips = self._piece(batch)
        luminance = framewise(grey, clips)
        made = self.restoration(aged(luminance, batch.noise, self.config.wear))
        terms = {"luminance": (made - luminance).abs().mean()}
        if self.colourisation is not None:
            pictures, seen = self._pictures(batch)
            chroma = self.colourisation(made, pictures, seen)
            terms["chroma"] = self.config.chroma_weight * (chroma - framewise(chroma_of, clips)).abs().mean()
        return terms

    def _piece(self, batch: Batch) -> Tensor:
        """(B, C, T, H, W): some frames of each record, from a frame drawn at random on, mirrored or not."""
        noise, count = batch.noise, len(batch)
        all_frames, height, width = batch.real.shape[2:]
        length = min(self.config.length or all_frames, all_frames)
        frames = noise.integers(all_frames - length + 1, count, 1) + torch.arange(length, device=batch.real.device)
        return self._cut(batch, frames, noise.uniform(count, 1), noise.uniform(count, 2))

    def _pictures(self, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """(B, C, K, H, W): K frames of each record, drawn at random, and which of them are shown (B, K): none to all."""
        noise, count, most = batch.noise, len(batch), self.config.references
        if not most:
            return None, None
        frames = noise.integers(batch.real.shape[2], count, most)
        number = noise.integers(most + 1, count, 1)
        pictures = self._cut(batch, frames, noise.uniform(count, most), noise.uniform(count, 2))
        return pictures, torch.arange(most, device=frames.device) < number

    def _cut(self, batch: Batch, frames: Tensor, mirror: Tensor, place: Tensor) -> Tensor:
        """Frames (B, K) of each record, of sides that can be halved, mirrored where `mirror` (B, K) or (B, 1) is below 1/2."""
        clips = batch.real
        count = torch.arange(len(clips), device=clips.device)
        rows, columns = (
            (place[:, axis, None] * (side % self.multiple + 1)).long()
            + torch.arange(side - side % self.multiple, device=clips.device)
            for axis, side in enumerate(clips.shape[3:])
        )
        columns = columns[:, None].expand(-1, mirror.shape[1], -1)
        if self.config.flip:
            columns = torch.where(mirror[:, :, None] < 0.5, columns, columns.flip(2))
        where = (
            count[:, None, None, None],
            slice(None),
            frames[:, :, None, None],
            rows[:, None, :, None],
            columns[:, :, None, :],
        )
        return clips[where].permute(0, 4, 1, 2, 3).contiguous()

    # What it can do

    def age(self, clips: Tensor, noise: Noise) -> Tensor:
        """See `capabilities.Remasters`."""
        return aged(framewise(grey, clips), noise, self.config.wear).expand_as(clips)

    def clean(self, greys: Tensor, noise: Noise) -> Tensor:
        """See `capabilities.Remasters`; nothing is drawn from `noise`."""
        made: Tensor = self.average_restoration(greys)
        return made

    def tint(self, greys: Tensor, references: Tensor | None, noise: Noise) -> Tensor:
        """See `capabilities.Remasters`; nothing is drawn from `noise`."""
        if self.average_colourisation is None:
            return greys
        return framewise(with_chroma, greys, self.average_colourisation(greys, references))
