"""Sound as pictures of its levels, and back: what systems learn that make spectrograms in the place of waveforms.

A picture is the logarithm of the power in bands, from a clip's loudest band and moment down to a floor, and the level of that
place is a number beside it. Back again the phase is found twice over: from the picture's own slopes (phase gradient heap
integration: Prusa, Balazs, Sondergaard 2017; used for GANs by Marafioti et al. 2019, arXiv 1902.04072), which puts onsets where
they belong, then by rounds of fast Griffin-Lim (Perraudin, Balazs, Sondergaard 2013). Not for judging:
`kinds/sound/spectra.py`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import fold, interpolate, pad, softplus

from ..batches import Noise
from ..borders import finished
from ..errors import GanvasError

SHORTEST = 64  # samples of a clip, at least
LEVELS = (-60.0, 0.0)  # dB of full scale that stand for -1 and 1
MOMENTUM = 0.99  # of fast Griffin-Lim
UNMIXING = 30  # rounds in which lines are found whose bands have the powers asked for


def overlapped(lines: Tensor, window: Tensor, hop: int, length: int) -> Tensor:
    """Lines (B, size / 2 + 1, columns) of `torch.stft` with that window (size,) -> waves (B, length): overlapped and added.

    What `torch.istft` does; that reads back whether the windows leave a gap, for which a GPU is waited for.
    """
    size, columns = len(window), lines.shape[2]
    parts = torch.fft.irfft(lines, size, dim=1) * window[:, None]
    weights = window.square()[None, :, None].expand(1, size, columns)
    whole = (1, size + hop * (columns - 1))
    made, weight = (fold(own, whole, (1, size), stride=(1, hop))[:, 0, 0, size // 2 :] for own in (parts, weights))
    found: Tensor = made[:, :length] / weight[:, :length].clamp(min=1e-11)
    return found


class Spectrogram(nn.Module):
    """The transform for clips of one length. No weights; its tables are no part of a checkpoint.

    length: samples. rate: Hz. bands: rows of a picture. scale: of the bands, `mel` or `linear`, triangles at least as wide as a
    line. step: seconds from one column to the next, taken to the next power of two samples. floor: dB under the loudest place
    at which a picture is -1; power of that size is added everywhere, to real clips here and to generated ones by `bounded`,
    so that what is softer fades out. Raises GanvasError for clips below 64 samples.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, length: int, rate: int, *, bands: int, scale: str, step: float, floor: float) -> None:
        super().__init__()
        if length < SHORTEST:
            raise GanvasError(f"clips of {length} samples are too short to learn: the least is {SHORTEST} (see --size)")
        self.length, self.floor = length, floor
        self.hop = min(2 ** round(math.log2(max(4.0, step * rate))), 2 ** int(math.log2(length / 8)))
        self.size = 4 * self.hop
        self.frames = -(-length // self.hop)
        self.bands = max(8, min(bands, self.size // 2 if scale == "linear" else bands))
        self.per_unit = floor * math.log(10) / 20  # natural logarithms of power in one unit of a picture, which has two
        # Gauss's bell whose spread suits the steps in time and frequency alike: gamma = hop * size.
        self.gamma = float(self.hop * self.size)
        places = torch.arange(self.size, dtype=torch.float64, device="cpu") - self.size / 2  # read below, whatever is default
        window = torch.exp(-math.pi * places.square() / self.gamma).float()
        self.full = float(window.sum() / 2) ** 2  # power of a line at a sine of full scale
        self.register_buffer("window", window.to(torch.get_default_device()), persistent=False)
        self.register_buffer("filters", band_filters(rate, self.size, self.bands, scale).float(), persistent=False)

    @property
    def shape(self) -> tuple[int, int]:
        """(bands, columns) of a picture."""
        return (self.bands, self.frames)

    def lines(self, sounds: Tensor) -> Tensor:
        """Sounds (B, C, length) -> complex lines (B, C, size / 2 + 1, columns); the first column is about the first sample."""
        flat = pad(sounds.flatten(0, 1), (self.size // 2, self.hop * (self.frames - 1) + self.size // 2 - self.length))
        found = torch.stft(flat, self.size, self.hop, window=self.window, center=False, return_complex=True)
        return found.unflatten(0, sounds.shape[:2])

    def sounds(self, lines: Tensor) -> Tensor:
        """The other way round, by overlapping and adding: exact for the lines of a sound."""
        frames = torch.fft.irfft(lines.flatten(0, 1).transpose(1, 2), self.size) * self.window
        whole = self.hop * (self.frames - 1) + self.size
        # Columns that are `size` apart do not overlap: every fourth of them side by side, four times over.
        waves = frames.new_zeros(len(frames), whole + self.size)
        weights = frames.new_zeros(whole + self.size)
        for first in range(4):
            own = frames[:, first::4]
            start, end = first * self.hop, first * self.hop + own.shape[1] * self.size
            waves[:, start:end] += own.flatten(1)
            weights[start:end] += self.window.square().repeat(own.shape[1])
        waves = (waves / weights.clamp(min=1e-8))[:, self.size // 2 : self.size // 2 + self.length]
        return waves.unflatten(0, lines.shape[:2])

    def pictures(self, sounds: Tensor) -> tuple[Tensor, Tensor]:
        """Sounds (B, C, length) -> (pictures (B, C, bands, columns) in [-1, about 1], levels (B,) in about [-1, 1]).

        The peak is that of all channels together. Of silence: -1 throughout, at the lowest level.
        """
        return self.of_power(torch.einsum("bl,nclt->ncbt", self.filters, self.lines(sounds).abs().square()))

    def of_power(self, power: Tensor) -> tuple[Tensor, Tensor]:
        """The same of the power in bands (B, C, bands, columns)."""
        peak = power.amax((1, 2, 3), keepdim=True)
        low = 10 ** (LEVELS[0] / 10) * self.full
        above = torch.log1p(power / peak.clamp(min=low) * 10 ** (self.floor / 10))  # over a floor that is added
        level = 10 * torch.log10((peak / self.full).clamp(min=1e-12)).flatten()
        return above / self.per_unit - 1, (2 * (level - LEVELS[0]) / (LEVELS[1] - LEVELS[0]) - 1).clamp(-1, 1.5)

    def bounded(self, raw: Tensor) -> Tensor:
        """What a generator says, any number, as a picture that has the floor added: never below -1."""
        return softplus((raw + 1) * self.per_unit) / self.per_unit - 1

    def inverse(self, pictures: Tensor, levels: Tensor, rounds: int) -> Tensor:
        """Sounds (B, C, length) in [-1, 1] of pictures and levels. rounds: of Griffin-Lim, after the phase of the slopes.

        Channels have one phase, that of their mean power: stereo is a matter of levels alone.
        """
        magnitudes = self._unmixed(self.power(pictures)).sqrt()
        mono = magnitudes.square().mean(1, keepdim=True).sqrt()
        phase = fast_griffin_lim(self, mono, integrated_phase(mono, self.hop, self.size, self.gamma), rounds)
        return self.levelled(self.sounds(torch.polar(magnitudes, phase.expand_as(magnitudes))), levels)

    def clips(self, drawn: Tensor, rounds: int) -> Tensor:
        """`inverse` of what a generator draws, pictures and a plane of their level (B, C + 1, bands, columns)."""
        return finished(self.inverse, {"log_spectrogram": drawn[:, :-1], "level": drawn[:, -1].mean((1, 2))}, rounds)

    def power(self, pictures: Tensor) -> Tensor:
        """Of the bands, the loudest place 1."""
        power = torch.expm1((pictures.float() + 1).clamp(0, 2.2) * self.per_unit) * 10 ** (-self.floor / 10)
        found: Tensor = power / power.amax((1, 2, 3), keepdim=True).clamp(min=1e-20)
        return found

    def levelled(self, sounds: Tensor, levels: Tensor) -> Tensor:
        """Sounds whose loudest place is 1, at their levels, and turned down where that is beyond full scale."""
        decibels = LEVELS[0] + (levels.float().clamp(-1, 1.5) + 1) / 2 * (LEVELS[1] - LEVELS[0])
        made = sounds * (10 ** (decibels / 10) * self.full).sqrt()[:, None, None]
        return made / made.abs().amax((1, 2), keepdim=True).clamp(min=1.0)

    def _unmixed(self, power: Tensor) -> Tensor:
        """Powers of bands (B, C, bands, T) -> of lines (B, C, lines, T) whose bands have those: not negative, and smooth at
        first. Multiplicative steps of Lee and Seung 2001, for the Kullback-Leibler divergence."""
        filters = self.filters
        reach = filters.sum(1)
        share = filters.T / filters.sum(0).clamp(min=1e-6)[:, None]
        made = torch.einsum("lb,ncbt->nclt", share, power / reach[None, None, :, None])
        for _ in range(UNMIXING):
            ratio = power / torch.einsum("bl,nclt->ncbt", filters, made).clamp(min=1e-20)
            made = made * torch.einsum("lb,ncbt->nclt", share, ratio)
        return made


def band_filters(rate: int, size: int, bands: int, scale: str) -> Tensor:
    """(bands, size / 2 + 1) of weights, float64; every line but the first and the last is in some band."""
    lines = torch.arange(size // 2 + 1, dtype=torch.float64) * rate / size
    line, top = rate / size, rate / 2
    if scale == "linear":
        edges = torch.linspace(0, top, bands + 2, dtype=torch.float64)
    else:
        highest = 2595 * math.log10(1 + top / 700)
        edges = 700 * (10 ** (torch.linspace(0, highest, bands + 2, dtype=torch.float64) / 2595) - 1)
    centre = edges[1:-1, None]
    below, above = (centre - edges[:-2, None]).clamp(min=line), (edges[2:, None] - centre).clamp(min=line)
    return torch.where(lines < centre, 1 - (centre - lines) / below, 1 - (lines - centre) / above).clamp(min=0)


def integrated_phase(magnitudes: Tensor, hop: int, size: int, gamma: float) -> Tensor:
    """Phases (B, C, F, T) whose slopes are those that magnitudes (B, C, F, T) of a Gaussian window imply. Prusa et al. 2017:

        along time       d phi / dn = 2 pi hop m / size + hop size / gamma * d log|X| / dm
        along frequency  d phi / dm = -gamma / (hop size) * d log|X| / dn - pi

    for lines m and columns n, phases counted from each column's first sample. From the loudest place on phases spread to
    neighbours, always from the loudest places first. The original takes them from a heap; that order is Prim's, so a spanning
    tree over edges that are the dearer the softer their softer end is gives the same, and sums along a tree take few steps.
    """
    import numpy as np
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    logs = magnitudes.detach().double().cpu().clamp(min=1e-10).log()
    lines = torch.arange(magnitudes.shape[2], dtype=logs.dtype)[:, None]
    slopes = (
        2 * math.pi * hop / size * lines + hop * size / gamma * torch.gradient(logs, dim=2)[0],
        -gamma / (hop * size) * torch.gradient(logs, dim=3)[0] - math.pi,
    )
    height, width = magnitudes.shape[2:]
    here = np.arange(height * width)
    place = here.reshape(height, width)
    first = np.concatenate([place[:, :-1].ravel(), place[:-1].ravel()])
    second = np.concatenate([place[:, 1:].ravel(), place[1:].ravel()])
    found = np.zeros((math.prod(magnitudes.shape[:2]), height * width))
    for row, (own, along, across) in enumerate(zip(*(x.flatten(0, 1).numpy() for x in (logs, *slopes)), strict=True)):
        loud = own.ravel()
        softer, louder = np.sort([loud[first], loud[second]], axis=0)
        dear = 1 + 1.001 * loud.max() - softer - 1e-3 * louder  # above 0; of equals, the edge with the louder other end
        tree = minimum_spanning_tree(csr_array((dear, (first, second)), shape=(len(here), len(here))))
        before = breadth_first_order(tree, int(loud.argmax()), directed=False)[1]
        before = np.where(before < 0, here, before)  # the loudest place has none before it
        to_next_column = np.pad((along[:, :-1] + along[:, 1:]) / 2, ((0, 0), (0, 1))).ravel()
        to_next_line = np.pad((across[:-1] + across[1:]) / 2, ((0, 1), (0, 0))).ravel()
        lower = np.minimum(before, here)
        step = np.where(np.abs(here - before) == 1, to_next_column[lower], to_next_line[lower]) * np.sign(here - before)
        while (before != before[before]).any():  # each time sums over twice as long a way to the loudest place
            step, before = step + step[before], before[before]
        found[row] = step
    return torch.from_numpy(found).view_as(logs).to(magnitudes)


def fast_griffin_lim(transform: Spectrogram, magnitudes: Tensor, phase: Tensor, rounds: int) -> Tensor:
    """Phases that fit the magnitudes (B, C, F, T) better, from `phase` on."""
    lines = torch.polar(magnitudes, phase)
    last = lines
    for _ in range(rounds):
        found = transform.lines(transform.sounds(lines))
        lines = torch.polar(magnitudes, (found + MOMENTUM * (found - last)).angle())
        last = found
    return lines.angle()


CHANGES = ("shift", "gain", "equalisation")
LATER, LOUDER, TILT = 0.06, 0.1, 6.0  # share of the columns, of the level's unit (3 dB), and dB, all at most
OFTEN = 0.5  # how often each change is made: what is made seldom enough does not leak into samples
MOST = 40.0  # natural logarithms of power over the floor, up to which it is multiplied


def changed_sound(seen: Tensor, noise: Noise, changes: tuple[str, ...], per_unit: float) -> Tensor:
    """Pictures with a plane of their level (B, C + 1, bands, columns), each a little later, louder or coloured: changes after
    which a sound is still one. Not earlier, which would cut onsets off; no holes and no other speed. per_unit: the transform's.
    """
    count, _, bands, columns = seen.shape
    pictures, level = seen[:, :-1], seen[:, -1:]

    def some() -> Tensor:
        return (noise.uniform(count) < OFTEN).to(noise.dtype)

    if "gain" in changes:
        level = level + (LOUDER * (2 * noise.uniform(count) - 1) * some()).view(-1, 1, 1, 1)
    if "equalisation" in changes:
        knots = (2 * noise.uniform(count, 4) - 1) * TILT / 10 * math.log(10) * some()[:, None]
        curve = interpolate(knots[:, None], bands, mode="linear", align_corners=True)[:, :, :, None]
        above = (pictures + 1).clamp(min=0) * per_unit
        most = above.clamp(max=MOST)  # of a wild generator: exp would overflow, and nothing else matters so far up
        # Power over the floor is multiplied, the floor itself stays.
        pictures = (torch.log1p(curve.exp() * torch.expm1(most)) + above - most) / per_unit - 1
    if "shift" in changes:
        later = noise.integers(round(LATER * columns) + 1, count) * some().long()
        source = torch.arange(columns, device=seen.device)[None] - later[:, None]
        moved = pictures.gather(3, source.clamp(min=0)[:, None, None].expand_as(pictures))
        pictures = moved.masked_fill((source < 0)[:, None, None], -1.0)
    return torch.cat([pictures, level], 1)
