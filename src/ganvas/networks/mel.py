"""Mel spectrograms as vocoders take them, with the settings that make two of them comparable, and Griffin-Lim as the way back
that learns nothing. Not for judging (`kinds/sound/spectra.py`), nor for pictures that a GAN draws (`spectrogram.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv_transpose1d, fold, pad

from ..batches import Noise
from ..borders import is_graph, is_traced, magnified, settled

UNMIXING = 60  # rounds in which magnitudes are found whose bands are those asked for
MOMENTUM = 0.99  # of fast Griffin-Lim (Perraudin, Balazs, Sondergaard 2013)


@dataclass(frozen=True)
class MelSettings:
    """What a spectrogram of bands means: log10 of magnitudes, floor at least. rate: Hz. hop: samples from column to column.
    window: samples of a Hann window. bands: triangles from `lowest` to `highest` Hz, even on Slaney's mel scale, each of area 1
    (librosa's usual ones)."""

    rate: int
    hop: int
    window: int
    bands: int
    lowest: float
    highest: float
    floor: float = 1e-5


class Mel(nn.Module):
    """The transform. No weights; its tables are no part of a checkpoint. A column is about the middle of its `hop` samples."""

    window: Tensor
    filters: Tensor

    def __init__(self, settings: MelSettings) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("window", torch.hann_window(settings.window), persistent=False)
        self.register_buffer("filters", slaney_filters(settings).float(), persistent=False)

    @property
    def beyond(self) -> int:
        """Samples at the beginning and at the end together that columns see beyond theirs."""
        return self.settings.window - self.settings.hop

    def continued(self, sounds: Tensor) -> Tensor:
        """Sounds (..., T) -> (..., columns * hop + beyond): at both ends by reflection (by silence, where they are too short
        for that), and by silence to whole columns."""
        before, flat = self.beyond // 2, sounds.reshape(-1, sounds.shape[-1])
        missing = -flat.shape[1] % self.settings.hop
        flat = pad(flat, (0, missing))
        if flat.shape[1] > self.beyond - before:
            flat = pad(flat[:, None], (before, self.beyond - before), mode="reflect")[:, 0]
        else:
            flat = pad(flat, (before, self.beyond - before))
        return flat.reshape(*sounds.shape[:-1], -1)

    def lines(self, continued: Tensor) -> Tensor:
        """What `continued` made (N, columns * hop + beyond) -> complex lines (N, window / 2 + 1, columns)."""
        own = self.settings
        return torch.stft(continued, own.window, own.hop, window=self.window, center=False, return_complex=True)

    def columns(self, continued: Tensor) -> Tensor:
        """What `continued` made (..., columns * hop + beyond) -> (..., bands, columns)."""
        magnitudes = self.lines(continued.reshape(-1, continued.shape[-1])).abs()
        found = torch.matmul(self.filters, magnitudes).clamp(min=self.settings.floor).log10()
        return found.reshape(*continued.shape[:-1], *found.shape[1:])

    def forward(self, sounds: Tensor) -> Tensor:
        """Sounds (..., T) -> (..., bands, columns), a column for each `hop` samples begun."""
        return self.columns(self.continued(sounds))

    def sounds(self, lines: Tensor) -> Tensor:
        """Lines (N, window / 2 + 1, columns) -> (N, columns * hop + beyond), by overlapping and adding; least squares."""
        own, count = self.settings, lines.shape[2]
        whole = (1, count * own.hop + self.beyond)
        frames = torch.fft.irfft(lines, own.window, dim=1) * self.window[:, None]
        weights = self.window.square()[:, None].expand(-1, count)[None]

        def laid(parts: Tensor) -> Tensor:
            return fold(parts, whole, (1, own.window), stride=(1, own.hop))[:, 0, 0]

        return laid(frames) / laid(weights).clamp(min=1e-6)


def unmixed(transform: Mel, mels: Tensor, rounds: int = UNMIXING, factors: Tensor | None = None) -> Tensor:
    """Spectrograms (N, bands, columns) -> magnitudes of lines (N, window / 2 + 1, columns) whose bands are those: least squares
    that are not negative, by multiplicative steps (Lee and Seung 2001), which keep what bands leave open as it is at first:
    every line has the mean of its bands, by their share in it, times its factor, where there are any (as magnitudes)."""
    filters, floor = transform.filters, math.log10(transform.settings.floor)
    bands = (10**mels).masked_fill(mels <= floor + 1e-6, 0.0)
    wanted = torch.matmul(filters.T, bands)
    share = filters.T / filters.sum(0).clamp(min=1e-9)[:, None]
    made = torch.matmul(share, bands / filters.sum(1).clamp(min=1e-9)[:, None]) + 1e-9
    if factors is not None:
        made = made * factors
    for _ in range(rounds):
        made = made * wanted / torch.matmul(filters.T, torch.matmul(filters, made)).clamp(min=1e-12)
    return made


STEADY = 8  # rounds of Griffin-Lim up to which rounding stays rounding


def griffin_lim(transform: Mel, magnitudes: Tensor, phase: Tensor, rounds: int, momentum: float = MOMENTUM) -> Tensor:
    """Sounds (N, columns * hop) of magnitudes of lines (N, window / 2 + 1, columns), whose phases are bettered in so many
    rounds (Griffin and Lim 1984). A sample depends on `griffin_lim_reach` columns on each side."""
    if is_graph():
        if rounds > STEADY:
            magnified(0.01)
        tables = settled(lambda: fourier_tables(transform))
        if is_traced():
            return real_griffin_lim(transform, tables, magnitudes, phase, rounds, momentum)
    lines = torch.polar(magnitudes, phase)
    last = torch.zeros_like(lines)
    for _ in range(rounds):
        found = transform.lines(transform.sounds(lines))
        lines = torch.polar(magnitudes, (found + momentum * (found - last)).angle())
        last = found
    before = transform.beyond // 2
    return transform.sounds(lines)[:, before : before + magnitudes.shape[2] * transform.settings.hop]


def fourier_tables(transform: Mel) -> tuple[Tensor, Tensor]:
    """Filters (window + 2, 1, window) of `lines`, whose first half are real parts, and of `sounds` before the division."""
    size = transform.settings.window
    turns = torch.outer(torch.arange(size // 2 + 1), torch.arange(size)) % size * (2 * math.pi / size)
    waves, window = torch.cat([turns.double().cos(), -turns.double().sin()]), transform.window.double().cpu()
    weights = torch.full((size // 2 + 1, 1), 2 / size, dtype=torch.float64)
    weights[0] = weights[-1] = 1 / size
    tables = (waves * window)[:, None], (waves * weights.repeat(2, 1) * window)[:, None]
    return tables[0].to(transform.window), tables[1].to(transform.window)


def real_griffin_lim(
    transform: Mel, tables: tuple[Tensor, Tensor], magnitudes: Tensor, phase: Tensor, rounds: int, momentum: float
) -> Tensor:
    """`griffin_lim` without complex numbers, for graphs: Fourier transforms are convolutions with `fourier_tables`."""
    hop, before = transform.settings.hop, transform.beyond // 2
    level = conv_transpose1d(torch.ones_like(magnitudes[:1, :1]), transform.window.square()[None, None], stride=hop)

    def sounds(parts: Tensor) -> Tensor:
        return conv_transpose1d(parts, tables[1], stride=hop) / level.clamp(min=1e-6)

    parts, last = torch.cat([magnitudes * phase.cos(), magnitudes * phase.sin()], 1), None
    for _ in range(rounds):
        found = conv1d(sounds(parts), tables[0], stride=hop)
        real, imaginary = (found + momentum * (found if last is None else found - last)).chunk(2, 1)
        size = (real.square() + imaginary.square()).sqrt()
        share = magnitudes / size.clamp(min=1e-18)
        parts, last = torch.cat([torch.where(size > 0, real * share, magnitudes), imaginary * share], 1), found
    return sounds(parts)[:, 0, before : before + magnitudes.shape[2] * hop]


def griffin_lim_reach(settings: MelSettings, rounds: int) -> int:
    """Columns on each side."""
    return (rounds + 1) * -(-settings.window // settings.hop)


def random_phase(count: int, magnitudes: Tensor, noise: Noise) -> Tensor:
    """Of magnitudes (N, lines, columns)."""
    return 2 * math.pi * noise.uniform(count, *magnitudes.shape[1:])


LINEAR, LOGARITHMIC = 3 / 200, 27 / math.log(6.4)  # of Slaney's scale, up to 1000 Hz and from there on


def slaney(hertz: float) -> float:
    """Hz on Slaney's mel scale (1998)."""
    return hertz * LINEAR if hertz < 1000 else 15 + LOGARITHMIC * math.log(hertz / 1000)


def slaney_filters(settings: MelSettings) -> Tensor:
    """(bands, window / 2 + 1) of weights, float64."""
    ends = slaney(settings.lowest), slaney(settings.highest)
    places = torch.linspace(*ends, settings.bands + 2, dtype=torch.float64)
    edges = torch.where(places < 15, places / LINEAR, 1000 * torch.exp((places - 15) / LOGARITHMIC))
    lines = torch.arange(settings.window // 2 + 1, dtype=torch.float64) * settings.rate / settings.window
    below = (lines - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    above = (edges[2:, None] - lines) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(below, above).clamp(min=0) * (2 / (edges[2:] - edges[:-2]))[:, None]
