"""Spectra of sound: as features by which it is judged, as properties with names, and as pictures. Not for training on."""

from __future__ import annotations

import functools

import numpy as np

from .envelopes import attacks_and_decays

BANDS = 64
SEGMENTS, COARSE = 8, 8  # of the time course: pieces of time, groups of bands
FLOOR = 1e-7  # of full scale's power, -70 dB: what is softer counts as silence
RANGE = 50.0  # dB under a clip's loudest band and moment, likewise for features: slight hiss on a copy must not hide the copy


def log_mel(values: np.ndarray, rate: int, bands: int = BANDS) -> np.ndarray:
    """(N, length) in [-1, 1] -> levels (N, frames, bands) in dB of a full-scale sine, -70 at least.

    Hann windows of about 64 ms (a power of two of samples), four of them over each moment; triangular bands on the mel
    scale of O'Shaughnessy, each at least as wide as the spectrum's resolution.
    """
    from scipy.fft import rfft

    size = max(16, min(2 ** round(np.log2(0.064 * rate)), 2 ** int(np.log2(values.shape[1]))))
    step = size // 4
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    padded = np.pad(np.asarray(values, np.float32), ((0, 0), (size // 2, size // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::step]
    power = np.square(np.abs(rfft(frames * window, axis=2)) * np.float32(2 / window.sum()))
    return 10 * np.log10(power @ _mel_bands(rate, size, bands).T + np.float32(FLOOR))


@functools.lru_cache(8)
def _mel_bands(rate: int, size: int, bands: int) -> np.ndarray:
    """(bands, size // 2 + 1): weights of the spectrum's lines, 1 at a band's centre."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    lines, line = np.arange(size // 2 + 1) * rate / size, rate / size
    centre = edges[1:-1, None]
    below, above = np.maximum(centre - edges[:-2, None], line), np.maximum(edges[2:, None] - centre, line)
    weights = np.where(lines < centre, 1 - (centre - lines) / below, 1 - (lines - centre) / above)
    return np.maximum(weights, 0).astype(np.float32)


def statistics(values: np.ndarray, rate: int) -> np.ndarray:
    """Features (N, 192 or 256) float32 of (N, length, channels): see `Sound.vectors`."""
    levels = log_mel(values.mean(axis=2), rate)
    top = levels.max(axis=(1, 2), keepdims=True)
    levels = np.maximum(levels, top - RANGE) / 20
    pieces = np.array_split(levels, min(SEGMENTS, levels.shape[1]), axis=1)
    course = np.stack([piece.mean(axis=1) for piece in pieces], axis=1)
    course = course.reshape(len(values), len(pieces), COARSE, BANDS // COARSE).mean(axis=3).reshape(len(values), -1)
    parts = [levels.mean(axis=1), levels.std(axis=1), course]
    if values.shape[2] == 2:
        apart = log_mel((values[..., 0] - values[..., 1]) / 2, rate)
        parts.append(np.maximum(apart, top - RANGE).mean(axis=1) / 20)
    return np.concatenate(parts, axis=1).astype(np.float32)


def spectral_distance(made: np.ndarray, true: np.ndarray, rate: int) -> np.ndarray:
    """Log-spectral distances (N,) in dB of clips (N, length, channels): over the 64 bands of `log_mel` the root of the mean
    square of the difference, the mean over moments and channels (Gray and Markel 1976). Silence is -70 dB."""
    apart = [log_mel(made[..., k], rate) - log_mel(true[..., k], rate) for k in range(true.shape[2])]
    return np.mean([np.sqrt(np.square(own).mean(axis=2)).mean(axis=1) for own in apart], axis=0)


def si_sdr(made: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Scale-invariant signal-to-distortion ratios (N,) in dB of clips (N, length, channels), the mean over channels.

    Le Roux, Wisdom, Erdogan, Hershey 2019: the made clip is split into its part along the true one and the rest. Between -100
    and 100 dB; NaN where a true clip is silent.
    """
    made, true = (x.astype(np.float64) - x.mean(axis=1, keepdims=True, dtype=np.float64) for x in (made, true))
    power = np.square(true).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = (made * true).sum(axis=1, keepdims=True) / power[:, None] * true
        ratio = 10 * np.log10(np.square(along).sum(axis=1) / np.square(made - along).sum(axis=1))
    # a silent made clip is nothing of the true one: 0 / 0 is the worst, not unknown
    ratio = np.where(np.square(made).sum(axis=1) > 0, ratio, -100.0)
    return np.where(power > SOUNDING * true.shape[1], np.clip(ratio, -100, 100), np.nan).mean(axis=1)


SOUNDING = 1e-10  # mean power above which a clip is not silent: -100 dB of full scale
LOWEST, HIGHEST = 40.0, 2000.0  # Hz of a pitch
VOICED = 0.5  # correlation of a clip with itself a period later, from which it has a pitch


def properties(records: np.ndarray, rate: int) -> dict[str, np.ndarray]:
    """Properties (N,) of clips (N, length, channels), by name; NaN where a clip has none.

    brightness: log2 of the spectrum's centre of power in Hz. loudness: the root mean square in dB of full scale. length:
    seconds until 95 % of the energy has passed. pitch: log2 of the fundamental in Hz, by autocorrelation; none in noise.
    attack, decay: log2 of seconds (`envelopes`).
    """
    parts = [_properties(np.asarray(records[k : k + 64], np.float64).mean(axis=2), rate) for k in range(0, len(records), 64)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _properties(waves: np.ndarray, rate: int) -> dict[str, np.ndarray]:
    from scipy.fft import irfft, next_fast_len, rfft

    length = waves.shape[1]
    energy = np.square(waves)
    size = next_fast_len(2 * length, real=True)
    power = np.square(np.abs(rfft(waves, size, axis=1)))
    lines = np.arange(power.shape[1]) * rate / size
    with np.errstate(divide="ignore", invalid="ignore"):  # of silence
        centre = np.log2((power @ lines) / power.sum(axis=1))
        level = 10 * np.log10(energy.mean(axis=1))
        passed = energy.cumsum(axis=1) / energy.sum(axis=1, keepdims=True)
        lags = np.arange(1, max(2, min(length // 2, int(rate / LOWEST)) + 1))
        alike = irfft(power, size, axis=1)
        # Later lags have fewer samples in common: without the factor periods would seem shorter than they are.
        alike = np.nan_to_num(alike[:, lags] / alike[:, :1] * (length / (length - lags)))
    # Behind the first fall below zero: what is near lag 0 is likeness of neighbours, not a period.
    fallen = np.maximum.accumulate(alike < 0, axis=1) & (lags >= rate / HIGHEST)
    alike = np.where(fallen, alike, 0.0)
    best = alike.max(axis=1)
    # The peak of the first period that is nearly as good as the best: later ones are its multiples.
    first = np.argmax(alike >= 0.9 * best[:, None], axis=1)[:, None]
    there = (np.arange(len(lags)) >= first) & (lags <= 1.15 * lags[first])
    period = lags[np.where(there, alike, -1.0).argmax(axis=1)]
    sounding = energy.sum(axis=1) > SOUNDING * length
    voiced = sounding & (best >= VOICED)
    attack, decay = attacks_and_decays(waves, rate)
    return {
        "brightness": np.where(sounding, centre, np.nan),
        "loudness": np.where(sounding, level, np.nan),
        "length": np.where(sounding, (passed >= 0.95).argmax(axis=1) / rate, np.nan),
        "pitch": np.where(voiced, np.log2(rate / period), np.nan),
        "attack": np.where(sounding, np.log2(attack), np.nan),
        "decay": np.where(sounding, np.log2(decay), np.nan),
    }


WAVE, TALL, WIDE, GAP = 36, 128, 240, 6  # pixels of a cell: waveform, spectrogram, both, and between cells
BACKGROUND, INK = 24, (120, 200, 255)


def sheet(records: np.ndarray, rate: int) -> np.ndarray:
    """(H, W, 3) uint8: spectrogram and waveform of every record, in rows of four."""
    from matplotlib import colormaps

    across = min(4, len(records))
    down = -(-len(records) // across)
    made = np.full((down * (WAVE + TALL + GAP) + GAP, across * (WIDE + GAP) + GAP, 3), BACKGROUND, np.uint8)
    mono = np.clip(np.nan_to_num(np.asarray(records, np.float32)), -1, 1).mean(axis=2)
    levels = log_mel(mono, rate)
    colours = (colormaps["magma"](np.clip(levels / 70 + 1, 0, 1))[..., :3] * 255).astype(np.uint8)
    columns = np.arange(WIDE) * levels.shape[1] // WIDE
    rows = (BANDS - 1) - np.arange(TALL) * BANDS // TALL
    for k, (wave, picture) in enumerate(zip(mono, colours, strict=True)):
        top, left = GAP + (k // across) * (WAVE + TALL + GAP), GAP + (k % across) * (WIDE + GAP)
        for x, piece in enumerate(np.array_split(wave, min(WIDE, len(wave)))):
            high, low = (round((WAVE / 2 - 1) * (1 - float(edge))) for edge in (piece.max(), piece.min()))
            made[top + high : top + low + 1, left + x] = INK
        made[top + WAVE : top + WAVE + TALL, left : left + WIDE] = picture.transpose(1, 0, 2)[rows][:, columns]
    return made
