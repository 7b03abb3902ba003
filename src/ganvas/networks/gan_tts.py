"""The networks of GAN-TTS (Binkowski et al. 2020, sections 3.1 and 3.2) and what they are told: features of a text for each
frame, a generator from these to samples, and discriminators that look at random windows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, one_hot, relu

from ..batches import Noise, constant
from ..borders import settled
from ..kinds.tokens.phones import LENGTHS, PHONES, UNVOICED, indices, phones_of
from .spectral import spectral
from .spectrogram import overlapped

SILENT = 0  # the place of silence among phones
SOFT = 28.0  # dB under a clip's loudest moment at which its words begin and end
AROUND = 0.02  # seconds over which loudness is averaged
LOWEST, HIGHEST = 65.0, 400.0  # Hz of voices
PERIODIC = 0.5  # correlation of a wave with itself a period later, from which on it is voiced
USUAL = 150.0  # Hz
QUIET, SHARE = -3.0, 0.01  # logarithm of a filter's gains, and share of what is added to filtered sources, at first
NUMBERS = 6  # features beside the three phones
COURSE = 8  # parts of a text of which the pitch is remembered
LENGTH, TAIL = 0.08, 0.1  # seconds of a phone of length 1 where nothing was heard yet, and of silence behind the last
FAR = 0.3  # seconds after the last phone that are told apart


# What is told


def loud_span(waves: Tensor, hop: int, rate: int) -> tuple[Tensor, Tensor]:
    """Waves (B, T) -> first frame that is sounding, and the one behind the last, (B,) each; frames of `hop` samples."""
    power = waves.float().unfold(1, hop, hop).square().mean(2)
    reach = max(1, round(AROUND * rate / hop)) // 2
    course = nn.functional.avg_pool1d(power[:, None], 2 * reach + 1, 1, reach, count_include_pad=False)[:, 0]
    loud = course >= 10 ** (-SOFT / 10) * course.amax(1, keepdim=True).clamp(min=1e-10)
    first = loud.to(torch.uint8).argmax(1)
    last = loud.shape[1] - loud.flip(1).to(torch.uint8).argmax(1)
    return first, torch.where(loud.any(1), last, first + 1)


def pitch_of(waves: Tensor, hop: int, rate: int) -> tuple[Tensor, Tensor]:
    """Waves (B, T) -> octaves of their pitch over 150 Hz, and whether they are voiced, (B, frames) each.

    The highest peak of the autocorrelation within 1/400 .. 1/65 s, over what a window of two of its longest periods has left of
    it at that lag; a later peak must be clearly higher, for twice the period fits as well.
    """
    waves = waves.float()
    window = 2 * math.ceil(rate / LOWEST)
    padded = nn.functional.pad(waves, (window // 2 - hop // 2, window))
    parts = padded.unfold(1, window, hop)[:, : waves.shape[1] // hop]
    parts = (parts - parts.mean(2, keepdim=True)) * torch.hann_window(window, device=waves.device)
    size = 2 ** math.ceil(math.log2(2 * window))
    alike = torch.fft.irfft(torch.fft.rfft(parts, size).abs().square(), size)[..., : window // 2 + 1]
    shape = torch.hann_window(window, device=waves.device)
    left = torch.fft.irfft(torch.fft.rfft(shape, size).abs().square(), size)[: window // 2 + 1]
    alike = alike / alike[..., :1].clamp(min=1e-8) / (left / left[0])
    low, high = max(2, int(rate / HIGHEST)), min(window // 2, math.ceil(rate / LOWEST))
    lags = torch.arange(low, high + 1, device=waves.device)
    peak, place = (alike[..., low : high + 1] - 0.15 * lags / high).max(2)
    chosen = lags[place]
    correlation = alike.gather(2, chosen[..., None])[..., 0]
    return (rate / chosen / USUAL).log2(), (correlation > PERIODIC) & (parts.square().mean(2) > 1e-7)


def lengths_of(phones: Tensor) -> Tensor:
    """(B, K) indices of phones, -1 behind the end -> how long each lasts beside the others, 0 behind the end."""
    table = constant(tuple(LENGTHS.values()), phones.device)
    return torch.where(phones < 0, 0.0, table[phones.clamp(min=0)])


def features_of(
    phones: Tensor, first: Tensor, last: Tensor, seconds: float, octaves: Tensor, voiced: Tensor | None = None
) -> Tensor:  # fmt: skip
    """What is told of each frame, (B, FEATURES, frames).

    phones (B, K), -1 behind the end, are laid from the frame `first` to `last` (B,), each as long as its table says beside the
    others; silence is around them. seconds: of a frame. octaves: (B, frames) over 150 Hz; voiced: likewise, None: as phones
    are. Told are the phone, the one before and the one behind; how much of it is over and left, how much of all phones is
    over, the octaves of its length, pitch and voicing.
    """
    frames = octaves.shape[1]
    lengths = lengths_of(phones)
    whole = lengths.sum(1, keepdim=True).clamp(min=1e-6)
    ends = torch.cat([torch.zeros_like(whole), lengths.cumsum(1)], 1) / whole
    span = (last - first).clamp(min=1)[:, None]
    over = (torch.arange(frames, device=phones.device) + 0.5 - first[:, None]) / span
    count = (phones >= 0).sum(1, keepdim=True)
    place = (over[:, :, None] >= ends[:, None, 1:]).sum(2).clamp(max=phones.shape[1])
    place = torch.where(over < 0, -1, torch.where(over >= 1, count, torch.minimum(place, count)))
    edged = nn.functional.pad(phones.clamp(min=SILENT), (2, 3), value=SILENT)  # silence on both sides
    edged = torch.where(torch.arange(edged.shape[1], device=phones.device) < count + 2, edged, SILENT)
    near = [one_hot(edged.gather(1, place + 2 + step), len(PHONES)) for step in (0, -1, 1)]
    inside = (place >= 0) & (place < count)
    if voiced is None:
        voiced = (near[0] * constant(tuple(phone not in UNVOICED for phone in PHONES), phones.device)).sum(2)
    begin, end = (ends.gather(1, (place + step).clamp(0, ends.shape[1] - 1)) for step in (0, 1))
    share = torch.where(inside, (over - begin) / (end - begin).clamp(min=1e-6), 0.0)
    behind = ((over - 1) * span * seconds / FAR).clamp(0, 1)
    share = torch.where(place >= count, behind, torch.where(place < 0, 1.0, share)).clamp(0, 1)
    length = torch.where(inside, ((end - begin) * span * seconds / 0.08).clamp(min=0.05).log2(), 0.0)
    numbers = torch.stack([share, 1 - share, over.clamp(0, 1), length, octaves * voiced, voiced.to(octaves.dtype)], 2)
    return torch.cat([*near, numbers], 2).transpose(1, 2).to(octaves.dtype)


FEATURES = 3 * len(PHONES) + NUMBERS


def hum_of(octaves: Tensor, voiced: Tensor, hop: int, rate: int) -> Tensor:
    """(B, frames) each -> a wave (B, frames * hop) of all harmonics of the pitch, alike loud, 0 where nothing is voiced."""
    hertz = interpolate(USUAL * 2 ** octaves.float()[:, None], scale_factor=hop, mode="linear")[:, 0]
    loud = interpolate(voiced.float()[:, None], scale_factor=hop, mode="linear")[:, 0]
    turns = hertz / rate
    # Torch adds up in float64 on a CPU, whatever it is given; ONNX Runtime does not.
    turns = turns.double().cumsum(1).float() if torch.compiler.is_exporting() else turns.cumsum(1)
    turns = turns.remainder(1.0)
    many = (0.45 * rate / hertz).floor()
    half = (math.pi * turns).sin()
    flat = half.abs() < 1e-3  # the sum of cosines of all multiples, by its closed form
    wave = torch.where(flat, many, ((2 * many + 1) * math.pi * turns).sin() / torch.where(flat, 1.0, 2 * half) - 0.5)
    return wave * (2 / many).sqrt() * loud


def sources_of(features: Tensor, hop: int, rate: int, noise: Noise) -> Tensor:
    """Features (B, FEATURES, frames) -> a hum of their pitch, and a hiss, (B, 2, frames * hop)."""
    hum = hum_of(features[:, -2], features[:, -1], hop, rate)
    return torch.stack([hum.to(features.dtype), noise.normal(*hum.shape)], 1)


class Spelling(nn.Module):
    """Texts (B, words), places among `symbols` -> places in `PHONES` (B, K), -1 behind the end."""

    table: Tensor

    def __init__(self, symbols: Sequence[str]) -> None:
        super().__init__()
        said = [indices(phones_of(symbol)[0]) for symbol in symbols]
        most = max(1, *map(len, said))
        table = torch.tensor([[*own, *[-1] * (most - len(own))] for own in said])
        self.register_buffer("table", table, persistent=False)

    def forward(self, text: Tensor) -> Tensor:
        spelt = self.table[text].flatten(1)
        places = torch.arange(spelt.shape[1], device=spelt.device)  # a key of its own each: a stable sort is in no graph
        return spelt.gather(1, ((spelt < 0) * spelt.shape[1] + places).argsort(dim=1))

    def heard(self) -> list[str]:
        """The phones that words are made of."""
        return [PHONES[place] for place in sorted(set(self.table.flatten().tolist()) - {-1})]


class Voices(nn.Module):
    """What is usual of each speaker: how long a phone of length 1 lasts, when the first begins, and the course of the pitch
    over a text. Means over the recordings heard; of one who was not heard, those of all.

    seconds: of a frame. sums: (speakers, 3 + 2 x COURSE) recordings, seconds of a length, seconds before the first phone, then
    octaves of voiced frames in each part of the text, and how many these are.
    """

    sums: Tensor

    def __init__(self, speakers: int, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.register_buffer("sums", torch.zeros(speakers, 3 + 2 * COURSE))

    def places(self, labels: Tensor | None, count: int) -> Tensor:
        """(count,) places of speakers; the first of what has no label."""
        if labels is None or len(self.sums) == 1:
            return torch.zeros(count, dtype=torch.int64, device=self.sums.device)
        return labels.clamp(min=0)

    def hear(
        self, speaker: Tensor, phones: Tensor, first: Tensor, last: Tensor, octaves: Tensor, voiced: Tensor
    ) -> None:  # fmt: skip
        """Count recordings in: speaker, first and last (B,), phones (B, K), octaves and voiced (B, frames)."""
        dtype, frames = self.sums.dtype, octaves.shape[1]
        whole, span = lengths_of(phones).sum(1), (last - first).to(dtype)
        said = (whole > 0).to(dtype)
        course = ((torch.arange(frames, device=phones.device) - first[:, None]) / span[:, None] * COURSE).floor()
        parts = (course[:, :, None] == torch.arange(COURSE, device=phones.device)).to(dtype) * voiced.to(dtype)[:, :, None]
        basic = [said, said * span * self.seconds / whole.clamp(min=1e-6), said * first * self.seconds]
        found = torch.cat([torch.stack(basic, 1), (parts * octaves.to(dtype)[:, :, None]).sum(1), parts.sum(1)], 1)
        self.sums.index_add_(0, speaker, found)

    def usual(self, speaker: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """speaker (B,) -> seconds of a length, seconds before the first (B,), and octaves (B, COURSE)."""
        everybody = self.sums.sum(0, keepdim=True)
        sums = torch.where(self.sums[:, :1] > 0, self.sums, everybody)[speaker]
        count, many = sums[:, 0], sums[:, 3 + COURSE :]
        octaves = sums[:, 3 : 3 + COURSE] / many.clamp(min=1)
        mean = sums[:, 3 : 3 + COURSE].sum(1, keepdim=True) / many.sum(1, keepdim=True).clamp(min=1)
        pace = torch.where(count > 0, sums[:, 1] / count.clamp(min=1), LENGTH)
        return pace, sums[:, 2] / count.clamp(min=1), torch.where(many > 0, octaves, mean)

    def laid(self, speaker: Tensor, phones: Tensor, frames: int = 0, pace: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        """Where phones (B, K) begin and end, in frames (B,), and octaves of pitch (B, frames).

        frames: of what is made, into which longer texts are pressed; 0: as many as the longest takes, with some silence.
        """
        length, onset, course = self.usual(speaker)
        span = (lengths_of(phones).sum(1) * length / pace / self.seconds).round().long().clamp(min=1)
        first, tail = (onset / self.seconds).round().long(), round(TAIL / self.seconds)
        if not frames:
            frames = settled(lambda: int((first + span).max()) + tail, "frames")
        first = torch.minimum(first, (frames - 1 - span).clamp(min=0))
        last = torch.minimum(first + span, torch.full_like(span, frames))
        over = (torch.arange(frames, device=phones.device) + 0.5 - first[:, None]) / (last - first)[:, None] * COURSE - 0.5
        below = over.floor().clamp(0, COURSE - 1)
        share = (over - below).clamp(0, 1)
        ends = [course.gather(1, (below.long() + step).clamp(max=COURSE - 1)) for step in (0, 1)]
        return first, last, torch.lerp(ends[0], ends[1], share)


# The generator


class Told(nn.Module):
    """BatchNorm whose scale and shift are linear in a condition (B, size), 1 and 0 at first."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.tell = nn.Linear(size, 2 * width)
        nn.init.normal_(self.tell.weight, 0, 0.02)
        nn.init.zeros_(self.tell.bias)

    def forward(self, maps: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.tell(condition)[:, :, None].chunk(2, 1)
        return self.norm(maps) * (1 + scale) + shift


class GBlock(nn.Module):
    """Two residual pairs of convolutions of 3 with dilations 1, 2 and 4, 8, of which the first makes maps longer."""

    def __init__(self, before: int, after: int, factor: int, condition: int) -> None:
        super().__init__()
        self.factor = factor
        widths = (before, after, after, after)
        self.norms = nn.ModuleList(Told(width, condition) for width in widths)
        self.layers = nn.ModuleList(nn.Conv1d(w, after, 3, padding=2**k, dilation=2**k) for k, w in enumerate(widths))
        self.shortcut = nn.Conv1d(before, after, 1)

    def forward(self, maps: Tensor, condition: Tensor) -> Tensor:
        own = self._longer(relu(self.norms[0](maps, condition)))
        own = self.layers[1](relu(self.norms[1](self.layers[0](own), condition)))
        maps = self._longer(self.shortcut(maps)) + own
        own = self.layers[2](relu(self.norms[2](maps, condition)))
        made: Tensor = maps + self.layers[3](relu(self.norms[3](own, condition)))
        return made

    def _longer(self, maps: Tensor) -> Tensor:
        return maps.repeat_interleave(self.factor, 2) if self.factor > 1 else maps


class Generator(nn.Module):
    """Features (B, FEATURES, frames) and a condition (B, size) -> waves (B, frames * hop) in [-1, 1].

    blocks: at the rate of frames, `max_width` wide; factors: of those that make maps longer, `width` wide at last and twice as
    much inwards, half of `max_width` at most. at_once: samples that the last layer makes at a place. lines: of a spectrum, by
    which maps of frames filter sources (B, 2, frames * hop), a hum and a hiss; it then adds to what comes of that. 0: it makes
    waves from nothing.
    """

    def __init__(
        self, condition: int, blocks: int, factors: Sequence[int], width: int, max_width: int, at_once: int, lines: int
    ) -> None:  # fmt: skip
        super().__init__()
        widths = [*[max_width] * blocks, *_widths(width, max_width, len(factors))]
        self.at_once, self.lines, self.slow = at_once, lines, blocks
        self.first = nn.Conv1d(FEATURES, widths[0], 3, padding=1)
        steps = [*[1] * blocks, *factors]
        befores = [widths[0], *widths[:-1]]
        self.blocks = nn.ModuleList(GBlock(b, a, s, condition) for b, a, s in zip(befores, widths, steps, strict=True))
        self.norm = Told(widths[-1], condition)
        self.last = nn.Conv1d(widths[-1], at_once, 3, padding=1)
        if lines:
            self.told = Told(max_width, condition)
            self.filters = nn.Conv1d(max_width, 2 * lines, 1)
            assert self.filters.bias is not None
            assert self.last.bias is not None
            nn.init.zeros_(self.filters.weight)
            nn.init.constant_(self.filters.bias, QUIET)
            self.seen = nn.Conv1d(at_once, widths[-1], 7, padding=3)
            self.share = nn.Parameter(torch.full((), SHARE))
            nn.init.normal_(self.last.weight, 0, 0.02)  # until it learns, next to nothing is added
            nn.init.zeros_(self.last.bias)

    def frames(self, features: Tensor, condition: Tensor) -> Tensor:
        """Maps (B, max_width, frames) at the rate of frames."""
        maps: Tensor = self.first(features)
        for block in self.blocks[: self.slow]:
            maps = block(maps, condition)
        return maps

    def start(self, maps: Tensor, condition: Tensor, sources: Tensor) -> Tensor:
        """Sources, filtered as the maps of `frames` say: (B, frames * hop)."""
        size = 2 * (self.lines - 1)
        hop, count = sources.shape[2] // maps.shape[2], sources.shape[0]
        gains = self.filters(relu(self.told(maps, condition))).float().clamp(-12, 6).exp()
        gains = nn.functional.pad(gains, (0, 1), mode="replicate").unflatten(1, (2, self.lines))
        window = torch.hann_window(size, device=sources.device)
        flat = sources.float().flatten(0, 1)
        padding = "reflect" if flat.shape[1] > size // 2 else "constant"
        lines = torch.stft(flat, size, hop, window=window, return_complex=True, pad_mode=padding)
        mixed = (lines.unflatten(0, (count, 2)) * gains).sum(1)
        return overlapped(mixed, window, hop, flat.shape[1]).to(maps.dtype)

    def filtered(self, features: Tensor, condition: Tensor, sources: Tensor) -> Tensor:
        """Filtered sources alone."""
        return self.start(self.frames(features, condition), condition, sources)

    def forward(self, features: Tensor, condition: Tensor, sources: Tensor | None = None) -> Tensor:
        maps = self.frames(features, condition)
        start = None if sources is None else self.start(maps, condition, sources)
        for block in self.blocks[self.slow :]:
            maps = block(maps, condition)
        if start is None:
            return self.last(relu(self.norm(maps, condition))).tanh().transpose(1, 2).flatten(1)
        maps = maps + self.seen(start.unflatten(1, (-1, self.at_once)).transpose(1, 2))
        added = self.last(relu(self.norm(maps, condition))).transpose(1, 2).flatten(1)
        made: Tensor = (start + self.share * added).tanh()
        return made


def _widths(width: int, max_width: int, steps: int) -> list[int]:
    return [max(width, min(max_width // 2, width << k)) for k in range(steps - 1, -1, -1)]


# The discriminators


class DBlock(nn.Module):
    """Maps made shorter by a factor, and two convolutions of 3 with dilations 1 and 2; condition: channels of what is told."""

    def __init__(self, before: int, after: int, factor: int, condition: int = 0, first: bool = False) -> None:
        super().__init__()
        self.factor, self.first = factor, first
        self.layers = nn.ModuleList([_layer(before, after, 3, 1), _layer(after, after, 3, 2)])
        self.shortcut = _layer(before, after, 1)
        self.tell = _layer(condition, after, 1) if condition else None

    def forward(self, maps: Tensor, told: Tensor | None = None) -> Tensor:
        if self.factor > 1:
            maps = nn.functional.avg_pool1d(maps, self.factor)
        own = self.layers[0](maps if self.first else relu(maps))
        if self.tell is not None and told is not None:
            own = own + self.tell(told)
        made: Tensor = self.shortcut(maps) + self.layers[1](relu(own))
        return made


def _layer(before: int, after: int, kernel: int, dilation: int = 1) -> nn.Module:
    made: nn.Module = spectral(nn.Conv1d(before, after, kernel, padding=dilation * (kernel // 2), dilation=dilation))
    return made


class Judge(nn.Module):
    """Windows (N, frames * hop), for one that is told features also these (N, FEATURES, frames) -> scores (N,).

    Samples are folded into channels, as many as divide the hop and half the window's frames at most (1, 2, 4, 8, 15 of the
    paper's windows), so that all windows are maps of about one length; features join where a place is a frame.
    """

    def __init__(self, frames: int, hop: int, told: bool, width: int) -> None:
        super().__init__()
        self.frames, self.fold = frames, fold_of(frames, hop)
        factors = factors_of(hop // self.fold, 8)
        parts = [DBlock(self.fold, width, 1, first=True)]
        parts += [DBlock(width if k == 0 else 2 * width, 2 * width, own) for k, own in enumerate(factors[:-1])]
        before = 2 * width if len(factors) > 1 else width
        parts.append(DBlock(before, 2 * width, factors[-1] if factors else 1, FEATURES if told else 0))
        parts.append(DBlock(2 * width, 2 * width, 1))
        self.parts = nn.ModuleList(parts)
        self.last = spectral(nn.Linear(2 * width, 1))

    def forward(self, windows: Tensor, told: Tensor | None = None) -> Tensor:
        maps = windows.unflatten(1, (-1, self.fold)).transpose(1, 2)
        for place, part in enumerate(self.parts):
            maps = part(maps, told if place == len(self.parts) - 2 else None)
        scores: Tensor = self.last(relu(maps).mean(2)).flatten()
        return scores


class Judges(nn.Module):
    """For each window (frames) one that is told the features of its frames, and one that is not (`plain`)."""

    def __init__(self, windows: Sequence[int], hop: int, width: int, plain: bool = True) -> None:
        super().__init__()
        self.hop = hop
        self.told = nn.ModuleList(Judge(window, hop, True, width) for window in windows)
        self.plain = nn.ModuleList(Judge(window, hop, False, width) for window in windows) if plain else nn.ModuleList()

    def forward(self, waves: Tensor, features: Tensor, starts: Tensor) -> Tensor:
        """Waves (N, frames * hop), features (N, FEATURES, frames), starts (N, judges) in 0 .. 1 -> scores (N, judges).

        Windows of those that are told begin with a frame, others anywhere.
        """
        found = []
        for place, judge in enumerate([*self.told, *self.plain]):
            assert isinstance(judge, Judge)
            free, size, own = features.shape[2] - judge.frames, judge.frames * self.hop, starts[:, place]
            if place < len(self.told):
                frame = (own * (free + 1)).long().clamp(max=free)
                index = frame[:, None] + torch.arange(judge.frames, device=waves.device)
                told = features.gather(2, index[:, None].expand(-1, features.shape[1], -1))
                found.append(judge(_window(waves, frame * self.hop, size), told))
            else:
                found.append(judge(_window(waves, (own * (free * self.hop + 1)).long().clamp(max=free * self.hop), size)))
        return torch.stack(found, 1)

    @property
    def count(self) -> int:
        return len(self.told) + len(self.plain)


def _window(waves: Tensor, starts: Tensor, size: int) -> Tensor:
    return waves.gather(1, starts[:, None] + torch.arange(size, device=waves.device))


def fold_of(frames: int, hop: int) -> int:
    """Samples that are folded into channels: the largest divisor of the hop up to half the frames, and up to 15."""
    return max(k for k in range(1, max(1, min(15, frames // 2)) + 1) if hop % k == 0)


def factors_of(number: int, most: int) -> tuple[int, ...]:
    """Factors of a number, the smallest first, small primes together as long as they stay within `most`: 120 is 4 5 6 of 6."""
    found: list[int] = []
    prime = 2
    primes = []
    while number > 1:
        while number % prime == 0:
            primes.append(prime)
            number //= prime
        prime += 1
    for own in sorted(primes, reverse=True):
        place = next((k for k, other in enumerate(found) if other * own <= most), None)
        if place is None:
            found.append(own)
        else:
            found[place] *= own
    return tuple(sorted(found))
