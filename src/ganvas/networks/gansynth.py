"""What GANSynth makes and is told: pictures of sound with a phase, columns that say what a note is, a discriminator that names
what it sees. Engel, Agrawal, Chen, Gulrajani, Donahue, Roberts 2019 (arXiv 1902.08710), sections 2 and 3.

Not for the game: `systems/sound/gansynth.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, log_softmax, one_hot, pad, softplus

from ..borders import settled
from ..errors import GanvasError, did_you_mean
from ..kinds.sound.files import resample
from ..kinds.table.spec import NUMBER
from ..store.midi import note_number
from .columns import Column, codes_of, columns_of
from .progressive import ProgressiveCritic, ProgressiveGenerator
from .r3gan import GAIN, Block, bend, convolution
from .spectrogram import Spectrogram, fast_griffin_lim

PITCH_NAMES = ("pitch", "midi_pitch", "midi", "note", "key")  # of columns
MOST_PITCHES = 128
HUSH = 40.0  # dB under a clip's loudest place at which phases count half
LOUDEST = 1.1  # of what a generator draws; real pictures end at 1


class PhasedSpectrogram(Spectrogram):
    """Pictures of clips with a phase beside the magnitudes, and back. phase: `frequency`, how fast phases turn from column to
    column, of which the first column keeps where they begin; or `phase`, where they are at each column."""

    share: Tensor

    def __init__(self, length: int, rate: int, *, phase: str, **form: Any) -> None:
        super().__init__(length, rate, **form)
        self.phase = phase
        share = self.filters.T / self.filters.sum(0).clamp(min=1e-6)[:, None]
        self.register_buffer("share", share, persistent=False)

    def whole(self, sounds: Tensor) -> Tensor:
        """Sounds (B, C, length) -> (B, 3 C + 1, bands, columns): C magnitudes as `pictures` makes them, cosines of C
        turns, their sines, and a plane of the level.

        Turns of a band are those of its loudest lines: the angle of the mean product of each line with the column before it.
        Lines are mixed before the angle is taken, so that nothing that has come round once is averaged with what has not; and
        a point on a circle does not jump where an angle would. It lies the nearer to the middle the softer the band is, halfway
        at -40 dB: what hiss does is no matter.
        """
        lines = self.lines(sounds)
        size = lines.abs()
        before = torch.cat([size[..., :1].to(lines.dtype), lines[..., :-1]], -1)
        turning = lines * before.conj() if self.phase == "frequency" else lines * size
        power, real, imaginary = self.filters @ torch.stack([size.square(), turning.real, turning.imag])
        pictures, levels = self.of_power(power)
        low = power.amax((1, 2, 3), keepdim=True).clamp(min=1e-10) * 10 ** (-HUSH / 10)
        sure = 1 / (torch.hypot(real, imaginary) + low)
        return torch.cat([pictures, real * sure, imaginary * sure, levels.view(-1, 1, 1, 1).expand_as(pictures[:, :1])], 1)

    def drawn(self, raw: Tensor) -> Tensor:
        """What a generator says, any numbers (B, 3 C + 1, bands, columns), as `whole` has it. Points of turns need no bound."""
        channels = raw.shape[1] // 3
        level = raw[:, -1:].mean((2, 3), keepdim=True).expand_as(raw[:, -1:])
        low = self.bounded(raw[:, :channels])
        loud = LOUDEST - softplus((LOUDEST - low) * self.per_unit) / self.per_unit  # no place is louder than the loudest
        return torch.cat([loud, raw[:, channels:-1], level], 1)

    def heard(self, whole: Tensor, rounds: int = 0) -> Tensor:
        """The way back: sounds (B, C, length) in [-1, 1]. rounds: of Griffin-Lim, by which phases are bettered."""
        channels = whole.shape[1] // 3
        real, imaginary = self.share @ torch.stack(whole[:, channels:-1].float().split(channels, 1))
        phase = torch.atan2(imaginary, real)
        if self.phase == "frequency":
            phase = phase.double().cumsum(-1).float()
        return self.sounding(whole[:, :channels], whole[:, -1].mean((1, 2)), phase, rounds)

    def played(self, spectrogram: Tensor, semitones: Tensor, rounds: int = 0) -> Tensor:
        """`heard`, each sound played faster until it is so many semitones (B,) higher."""
        return transposed(self.heard(spectrogram, rounds), semitones.tolist())

    def sounding(self, pictures: Tensor, levels: Tensor, phase: Tensor, rounds: int) -> Tensor:
        """Sounds of pictures (B, C, bands, columns), levels (B,) and phases of lines (B, C, F, columns)."""
        power = self.power(pictures)
        magnitudes = self._unmixed(power).sqrt()
        if rounds:
            phase = fast_griffin_lim(self, magnitudes, phase, rounds)
        return self.levelled(self.sounds(torch.polar(magnitudes, phase)), levels)


def spectrogram_of(sound: Any, config: Any) -> PhasedSpectrogram:
    """For clips as their spec says, by the settings of the system."""
    form = {"bands": config.bands, "scale": config.band_scale, "step": config.column_step, "floor": config.floor}
    return PhasedSpectrogram(sound.length, sound.rate, phase=config.phase, **form)


class NoteColumns:
    """What a table says of notes: a column of pitches, and the others that are choices.

    pitch: the column; empty: one that is called so, else the first number. others: whether the others count.
    columns: all of them, the pitches first. pitches: of their values, as MIDI numbers, in order.
    Raises GanvasError, in one line, for a table without pitches.
    """

    def __init__(self, spec: Any, pitch: str, others: bool, system: str) -> None:
        lower = {name.lower().replace(" ", "_"): name for name in reversed(spec.names)}
        numbers = [name for name, type_ in zip(spec.names, spec.types, strict=True) if type_ == NUMBER]
        name = pitch or next((lower[own] for own in PITCH_NAMES if own in lower), next(iter(numbers), ""))
        if name not in spec.names:
            there = ", ".join(spec.names)
            if not name:
                raise GanvasError(f"{system}: no column of pitches among {there}: add one, as in  pitch: 60, or C4")
            raise GanvasError(f"{system}: no column '{name}'{did_you_mean(name, list(spec.names))}: there are {there}")
        place = spec.names.index(name)
        self._turned: tuple[float, float] | None = None  # number = centre + scale * what the tensor says
        if name in numbers:
            self._turned = (spec.centre[place], spec.scale[place])
            bounds = spec.bounds[place] if spec.bounds else (self._turned[0] - 3 * self._turned[1], sum(self._turned) + 2)
            self.pitches = list(range(round(bounds[0]), round(bounds[1]) + 1))
            values = tuple(map(str, self.pitches))
            part = next(own for own in spec.parts if own.name == name)
            gap = next((own.start for own in spec.parts if own.name == name and own.type == "missing"), None)
            found = Column(name, values, 0, part.start, gap)
        else:
            found = columns_of(spec, (name,), system)[0]
            numbered = [note_number(value) for value in found.values]
            if None in numbered:
                odd = found.values[numbered.index(None)]
                raise GanvasError(f"{system}: '{odd}' in '{name}' is no pitch: write MIDI numbers or names, as in 60 or C4")
            self.pitches = [own for own in numbered if own is not None]
        if len(self.pitches) > MOST_PITCHES:
            raise GanvasError(
                f"{system}: '{name}' goes from {self.pitches[0]} to {self.pitches[-1]}: pitches are MIDI numbers (60 is C4, a "
                "semitone each): say which column has them, with  --set pitch=COLUMN"
            )
        self.columns = [found]
        known = [n for n, own in zip(spec.names, spec.categories, strict=True) if len(own) > 1 and n != name]
        for column in columns_of(spec, tuple(known), system) if others and known else ():
            self.columns.append(replace(column, start=column.start + len(found.values)))
        self.count = sum(len(column.values) for column in self.columns)

    def codes(self, table: Tensor) -> Tensor:
        """Rows of the table (B, D) in the form of the game -> (B, values of all columns): 1 at the value, 0 where not known."""
        if self._turned is None:
            return codes_of(self.columns, table)
        first = self.columns[0]
        centre, scale = self._turned
        index = (table[:, first.place] * scale + centre).round().long() - self.pitches[0]
        own = one_hot(index.clamp(0, len(self.pitches) - 1), len(self.pitches)).to(table)
        own = own if first.gap is None else own * (1 - table[:, first.gap, None])
        return torch.cat([own, codes_of(self.columns[1:], table)], 1) if len(self.columns) > 1 else own

    def value_of(self, name: str, text: str) -> str | None:
        """The value that a cell or a user means: `C4` is 60."""
        column = next((own for own in self.columns if own.name == name), None)
        if column is None or text in column.values:
            return text if column is not None else None
        if column is self.columns[0] and (number := note_number(text)) in self.pitches:
            return column.values[self.pitches.index(number)]
        return None

    def unlike(self, said: Tensor, codes: Tensor) -> Tensor:
        """-log P of what codes (B, K) say, by logits (B, K): the sum over columns, the mean over the batch."""
        each = [(codes[:, own] * log_softmax(said[:, own], 1)).sum(1) for own in (column.own for column in self.columns)]
        return -torch.stack(each).sum(0).mean()

    def learnt_nearest(self, shown: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """By how many semitones (B,) pitches asked for (B, columns) are higher than the nearest that a row (N, columns) shows;
        and the same with these in their place."""
        nearest, higher = settled(lambda: self._nearest(rows).to(shown.device))
        asked = shown[:, 0].clamp(min=0)
        open_ = shown[:, 0] < 0
        own = torch.where(open_, shown[:, 0], nearest[asked])
        return higher[asked].masked_fill(open_, 0), torch.cat([own[:, None], shown[:, 1:]], 1)

    def _nearest(self, rows: Tensor) -> Tensor:
        """(2, pitches): of each the nearest that was learnt, itself before others, and how many semitones it is above that."""
        learnt = sorted({place for place in rows[:, 0].tolist() if place >= 0}) or range(len(self.pitches))
        own = [min(learnt, key=lambda k: (abs(self.pitches[k] - self.pitches[a]), k != a)) for a in range(len(self.pitches))]
        return torch.tensor([own, [self.pitches[a] - self.pitches[k] for a, k in enumerate(own)]])


def transposed(sounds: Tensor, steps: Sequence[int]) -> Tensor:
    """Sounds (B, C, length), each played faster until it is so many semitones higher; what is missing then is silence."""
    if not any(steps):
        return sounds
    made = torch.zeros_like(sounds)
    for place, own in enumerate(steps):
        ratio = Fraction(2 ** (own / 12)).limit_denominator(200)
        samples = sounds[place].detach().float().cpu().T.numpy()
        moved = resample(samples, ratio.numerator, ratio.denominator) if own else samples
        moved = moved[: sounds.shape[2]]
        made[place, :, : len(moved)] = torch.from_numpy(moved.T.copy()).to(sounds)
    return made.clamp(-1, 1)


# Networks, both kinds called alike. size, come: of the one that grows, the size in play and how far it has come in.


class Drawing(nn.Module):
    """Latents (B, latent) and codes (B, K) -> pictures (B, 3 C + 1, bands, columns) as `PhasedSpectrogram.whole` makes them."""

    def __init__(self, network: nn.Module, transform: PhasedSpectrogram, grows: bool) -> None:
        super().__init__()
        self.network: Any = network
        self.transform, self.grows = transform, grows

    def forward(self, latents: Tensor, codes: Tensor, size: int, come: Tensor | None) -> Tensor:
        if self.grows:
            return self.transform.drawn(self.network(torch.cat([latents, codes], 1), size, come))
        return self.transform.drawn(self.network(latents, codes))

    def grown(self, latents: Tensor, codes: Tensor, sizes: Tensor) -> Tensor:
        """Of full size, by a network that has grown by so many sizes ()."""
        if self.grows:
            return self.transform.drawn(self.network.grown(torch.cat([latents, codes], 1), sizes))
        return self(latents, codes, 0, None)


STRIDE, LEAST = 4, 4  # columns of a picture to one of the largest maps; columns of the smallest, about
ROWS_TOGETHER = (
    4  # of the smallest maps, by which a picture is judged as a whole: as single rows notes would be learnt by heart
)


class Form:
    """What blocks of `r3gan` ask for."""

    expansion, group = 1, 0


def courses(columns: int, width: int, most: int) -> tuple[list[int], int]:
    """(channels from the smallest maps to the largest, columns of the smallest). Only time is halved: rows keep their own."""
    largest = -(-columns // STRIDE)
    halvings = max(0, int(math.log2(max(1, largest / LEAST))))
    return [min(most, width * 2**level) for level in range(halvings, -1, -1)], -(-largest // 2**halvings)


class Playing(nn.Module):
    """Latents (B, latent) and codes (B, K) -> numbers (B, *shape). Every row of the smallest maps is said by a dense layer,
    since where the partials of a pitch lie is no matter of neighbourhood; the course in time comes from doubling."""

    def __init__(self, latent: int, told: int, shape: tuple[int, int, int], width: int, most: int) -> None:
        super().__init__()
        planes, self.rows, self.columns = shape
        widths, self.base = courses(self.columns, width, most)
        self.enter = nn.Linear(latent + told, widths[0] * self.rows * self.base)
        nn.init.normal_(self.enter.weight, 0.0, 0.2 / math.sqrt(latent + told))  # little at first: noise has to find its place
        nn.init.zeros_(self.enter.bias)
        self.blocks = nn.ModuleList(Block(size, Form(), len(widths)) for size in widths)  # type: ignore[arg-type]
        self.narrower = nn.ModuleList(convolution(a, b) for a, b in pairwise(widths))
        self.polish = nn.Sequential(
            convolution(widths[-1], widths[-1], 3, bias=True), bend(), convolution(widths[-1], planes, 3, bias=True)
        )

    def forward(self, latents: Tensor, codes: Tensor) -> Tensor:
        maps = self.enter(torch.cat([latents, codes], 1)).view(latents.shape[0], -1, self.rows, self.base)
        maps = self.blocks[0](maps)
        for narrower, block in zip(self.narrower, list(self.blocks)[1:], strict=True):
            maps = block(interpolate(narrower(maps), scale_factor=(1, 2), mode="bilinear", align_corners=False))
        # A transposed convolution in its place left a beat of `STRIDE` columns in turns, and so in what is heard.
        maps = interpolate(maps, scale_factor=(1, STRIDE), mode="bilinear", align_corners=False)[..., : self.columns]
        made: Tensor = self.polish(maps)
        return made.to(latents.dtype)


class Naming(nn.Module):
    """Pictures (B, *shape) -> (B, 1 + K): whether they are real, and logits of what they show. Mirrors `Playing`."""

    def __init__(self, named: int, shape: tuple[int, int, int], width: int, most: int) -> None:
        super().__init__()
        planes, rows, columns = shape
        widths, base = courses(columns, width, most)
        widths = widths[::-1]
        self.missing = base * STRIDE * 2 ** (len(widths) - 1) - columns
        self.enter = nn.Sequential(
            convolution(planes, widths[0], 3, bias=True), bend(), nn.AvgPool2d((1, 2)),
            convolution(widths[0], widths[0], 3, gain=GAIN, bias=True), bend(), nn.AvgPool2d((1, STRIDE // 2)),
        )  # fmt: skip
        self.blocks = nn.ModuleList(Block(size, Form(), len(widths)) for size in widths)  # type: ignore[arg-type]
        self.wider = nn.ModuleList(convolution(a, b) for a, b in pairwise(widths))
        self.fewer = min(ROWS_TOGETHER, rows)
        self.places = convolution(widths[-1], 1)
        sizes = [(widths[-1] * (rows // self.fewer) * base, 1), (widths[-1] * rows * base, named)]
        self.whole, self.name = (nn.Linear(*size) for size in sizes)
        for layer in (self.whole, self.name):
            nn.init.normal_(layer.weight, 0.0, 1 / math.sqrt(layer.in_features))

    def forward(self, images: Tensor, size: Any = None, come: Any = None) -> Tensor:
        maps = self.blocks[0](self.enter(pad(images, (0, self.missing))))
        for wider, block in zip(self.wider, list(self.blocks)[1:], strict=True):
            maps = block(wider(avg_pool2d(maps, (1, 2))))
        with torch.autocast(images.device.type, enabled=False):
            maps = maps.to(images.dtype)
            near = self.places(maps).mean((2, 3))
            real = near + self.whole(avg_pool2d(maps, (self.fewer, 1)).flatten(1))
            return torch.cat([real, self.name(maps.flatten(1))], 1)


def networks_of(transform: PhasedSpectrogram, channels: int, named: int, config: Any) -> tuple[Drawing, nn.Module, int]:
    """(G, D, how many sizes they have). channels: of the sound. config: of the system."""
    shape, size = (3 * channels + 1, *transform.shape), (config.width, config.max_width)
    if config.network == "growing":
        made = ProgressiveGenerator(config.latent_size + named, shape, *size)
        return Drawing(made, transform, True), ProgressiveCritic(shape, *size, outputs=1 + named), len(made.sizes)
    playing = Playing(config.latent_size, named, shape, *size)
    return Drawing(playing, transform, False), Naming(named, shape, *size), 1
