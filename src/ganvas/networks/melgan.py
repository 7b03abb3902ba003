"""The networks of MelGAN (Kumar et al. 2019, figures 1 and 2): a generator from columns of bands to samples, which may be given
waves to start from, and window-based discriminators at several rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d
from torch.nn.utils.parametrizations import weight_norm

from ..errors import GanvasError
from .mel import Mel, MelSettings, griffin_lim, griffin_lim_reach, unmixed

SLOPE = 0.2
DILATIONS = (1, 3, 9)  # powers of the kernel's size: what a block sees has no gaps
SHARE = 0.01  # of what is added to waves that it starts from, at first
GUESSING, FARTHEST = 3, 8.0  # layers by which magnitudes are guessed, and the largest logarithm of a factor
PERIOD, UNMIXED = 1009, 30  # columns after which the first phases come again, and rounds in which magnitudes are found
CENTRE, SPREAD = 2.0, 0.5  # log10 magnitudes lie in about -5 .. 1


def _convolution(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Module:
    return weight_norm(nn.Conv1d(inputs, outputs, kernel, dilation=dilation))


class _Reflected(nn.Module):
    """Continued by reflection, where that is possible, on both sides: short records are repeated at their ends."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places = places

    def forward(self, features: Tensor) -> Tensor:
        mode = "reflect" if features.shape[2] > self.places else "replicate"
        return nn.functional.pad(features, (self.places, self.places), mode=mode)


class Residual(nn.Module):
    """x + f(x), f a dilated convolution of 3 and one of 1; x by a convolution of 1."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            _Reflected(dilation),
            _convolution(width, width, 3, dilation),
            nn.LeakyReLU(SLOPE),
            _convolution(width, width, 1),
        )
        self.shortcut = _convolution(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        made: Tensor = self.shortcut(features) + self.path(features)
        return made


class Generator(nn.Module):
    """Spectrograms (N, bands, columns) -> waves (N, columns * hop) in [-1, 1], hop = product of steps * at_once.

    width: channels after the last step; doubles inwards up to max_width. steps: factors by which columns become longer.
    at_once: samples that the last convolution makes at a place; the paper's 1. starts: whether it is given waves
    (N, columns * hop), sees them in its last maps, and adds what it makes to them; the paper's does not.
    reach: columns on each side that a sample depends on, at most.
    """

    def __init__(
        self, bands: int, width: int, max_width: int, steps: Sequence[int], at_once: int = 1, starts: bool = False
    ) -> None:  # fmt: skip
        super().__init__()
        widths = [min(max_width, width * 2**k) for k in range(len(steps), -1, -1)]
        first: list[nn.Module] = [_Reflected(3), _convolution(bands, widths[0], 7)]
        blocks: list[nn.Module] = []
        for step, before, after in zip(steps, widths, widths[1:], strict=False):
            larger = nn.ConvTranspose1d(
                before, after, 2 * step, stride=step, padding=step // 2 + step % 2, output_padding=step % 2
            )
            first += [*blocks, nn.LeakyReLU(SLOPE), weight_norm(larger)]
            blocks = [Residual(after, dilation) for dilation in DILATIONS]
        self.at_once, self.reach = at_once, _reach(steps)
        self.first = nn.Sequential(*first)
        self.last = nn.Sequential(*blocks, nn.LeakyReLU(SLOPE), _Reflected(3), _convolution(widths[-1], at_once, 7), nn.Tanh())
        if starts:
            self.seen = nn.Sequential(_Reflected(3), _convolution(at_once, widths[-1], 7))
            self.share = nn.Parameter(torch.full((), SHARE))

    def forward(self, mels: Tensor, start: Tensor | None = None) -> Tensor:
        features = self.first((mels + CENTRE) * SPREAD)
        if start is None:
            return self.last(features).transpose(1, 2).flatten(1)
        features = features + self.seen(start.unflatten(1, (-1, self.at_once)).transpose(1, 2))
        return start + self.share * self.last(features).transpose(1, 2).flatten(1)


def _reach(steps: Sequence[int]) -> int:
    """Columns on each side that a sample depends on, at most."""
    reach, rate = 3.0, 1
    for step in steps:
        reach += 1 / rate  # of a transposed convolution of two steps
        rate *= step
        reach += sum(DILATIONS) / rate
    return math.ceil(reach + 3 / rate) + 1


class Guess(nn.Module):
    """Spectrograms (N, bands, columns) -> logarithms of factors (N, lines, columns), by which magnitudes of lines differ from
    what their bands say: harmonics within a band, and what lies between them."""

    def __init__(self, bands: int, lines: int, width: int) -> None:
        super().__init__()
        widths = [bands, *[width] * GUESSING]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [_Reflected(2), nn.Conv1d(before, after, 5), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*parts, nn.Conv1d(width, lines, 1))
        self.reach = 2 * GUESSING

    def forward(self, mels: Tensor) -> Tensor:
        made: Tensor = self.layers((mels + CENTRE) * SPREAD)
        return made.clamp(-FARTHEST, FARTHEST)


class Vocoder(nn.Module):
    """A generator, and the waves that it starts from, if any: so many rounds of Griffin-Lim, of magnitudes that `guess` says.

    The first phases belong to the number of a column in the whole, so that pieces of a long spectrogram fit together.
    """

    drawn: Tensor

    def __init__(self, settings: MelSettings, generator: Generator, rounds: int, width: int) -> None:
        super().__init__()
        self.generator, self.rounds, lines = generator, rounds, settings.window // 2 + 1
        self.reach = generator.reach
        if rounds:
            self.guess = Guess(settings.bands, lines, width)
            drawn = torch.rand(PERIOD, lines, generator=torch.Generator().manual_seed(0))
            self.register_buffer("drawn", 2 * math.pi * drawn.T, persistent=False)
            self.reach = max(self.reach, griffin_lim_reach(settings, rounds) + self.guess.reach + 4)

    def magnitudes(self, transform: Mel, mels: Tensor) -> Tensor:
        """Of lines (N, window / 2 + 1, columns), as they are guessed."""
        return unmixed(transform, mels, 0, self.guess(mels).exp())

    def start(self, transform: Mel, mels: Tensor, first: Tensor | int = 0) -> Tensor | None:
        """Waves (N, columns * hop) without gradients; None where it makes them from nothing."""
        if not self.rounds:
            return None
        with torch.no_grad():
            columns = (torch.arange(mels.shape[2], device=mels.device) + first) % PERIOD
            lines = unmixed(transform, mels, UNMIXED, self.guess(mels).exp())
            return griffin_lim(transform, lines, self.drawn[:, columns].expand(len(mels), -1, -1), self.rounds)

    def forward(self, mels: Tensor, start: Tensor | None = None) -> Tensor:
        made: Tensor = self.generator(mels, start)
        return made


class Judge(nn.Module):
    """Waves (N, T) -> features of every layer; the last are the scores, one for each window."""

    def __init__(self, width: int, max_width: int, layers: int = 4) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Sequential(_Reflected(7), _convolution(1, width, 15), nn.LeakyReLU(SLOPE))]
        for _ in range(layers):
            wider = min(4 * width, max_width)
            groups = math.gcd(max(1, width // 4), math.gcd(width, wider))
            down = weight_norm(nn.Conv1d(width, wider, 41, stride=4, padding=20, groups=groups))
            parts.append(nn.Sequential(down, nn.LeakyReLU(SLOPE)))
            width = wider
        parts.append(nn.Sequential(weight_norm(nn.Conv1d(width, width, 5, padding=2)), nn.LeakyReLU(SLOPE)))
        parts.append(weight_norm(nn.Conv1d(width, 1, 3, padding=1)))
        self.parts = nn.ModuleList(parts)

    def forward(self, waves: Tensor) -> list[Tensor]:
        found = [waves[:, None]]
        for part in self.parts:
            found.append(part(found[-1]))
        return found[1:]


class Judges(nn.Module):
    """One for the waves as they are, others for every second sample (their mean over 4), every fourth ..."""

    def __init__(self, scales: int, width: int, max_width: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(Judge(width, max_width) for _ in range(scales))

    def forward(self, waves: Tensor) -> list[list[Tensor]]:
        found = []
        for judge in self.scales:
            found.append(judge(waves))
            waves = avg_pool1d(waves[:, None], 4, 2, 1, count_include_pad=False)[:, 0]
        return found


def steps_of(hop: int, most: int = 8) -> tuple[int, ...]:
    """Factors whose product is hop, as the paper has 8, 8, 2, 2 for 256: two that are as large as possible up to `most`, the
    others prime, the largest first. Raises GanvasError for a hop with a prime factor above 16."""
    found: list[int] = []
    while len(found) < 2 and hop > 1:
        step = next((k for k in range(min(most, hop), 1, -1) if hop % k == 0), None)
        if step is None:
            break
        found.append(step)
        hop //= step
    primes = []
    for prime in (2, 3, 5, 7, 11, 13):
        while hop % prime == 0:
            primes.append(prime)
            hop //= prime
    if hop > 1:
        raise GanvasError(f"a hop has the large prime factor {hop}: choose one such as 256 or 300")
    return (*found, *sorted(primes, reverse=True))
