"""By what a sound is known again at another loudness, begun a little later, or under slight hiss. Not for judging samples."""

from __future__ import annotations

import numpy as np

from .spectra import RANGE, log_mel

BANDS, PIECES = 32, 32  # of the marks: bands of the spectrum, pieces of time
BEGINS, BEFORE = 0.05, 0.01  # share of the energy at which a sound counts as begun, and seconds kept before
SOUNDING = 1e-4  # peak under which a clip is silence: -80 dB of full scale


def marks(values: np.ndarray, rate: int) -> np.ndarray:
    """(N, 1, 1024) float32 of clips (N, length, channels): levels over the quietest that counts, each clip from its own
    beginning on and at its own loudness."""
    waves = np.asarray(values, np.float32).mean(axis=2)
    peak = np.abs(waves).max(axis=1, keepdims=True)
    energy = np.square(waves, dtype=np.float64).cumsum(axis=1)
    begun = (energy >= BEGINS * energy[:, -1:]).argmax(axis=1)
    place = np.maximum(begun - round(BEFORE * rate), 0)[:, None] + np.arange(waves.shape[1])
    inside = place < waves.shape[1]
    moved = np.where(inside, np.take_along_axis(waves, np.where(inside, place, 0), axis=1), 0.0)
    levels = log_mel((moved / np.maximum(peak, SOUNDING)).astype(np.float32), rate, BANDS)
    above = np.maximum(levels - (levels.max(axis=(1, 2), keepdims=True) - RANGE), 0.0)
    edges = np.linspace(0, above.shape[1], min(PIECES, above.shape[1]) + 1).round().astype(int)
    pooled = np.add.reduceat(above, edges[:-1], axis=1) / np.diff(edges)[:, None]
    made = np.where(peak >= SOUNDING, pooled.reshape(len(waves), -1), 0.0)
    length = np.linalg.norm(made, axis=1, keepdims=True)
    return (made / np.where(length > 0, length, 1.0)).astype(np.float32)[:, None]


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) the correlation of pairs of clips (P, length, channels) at the best delay, whichever their loudness and polarity;
    0 of silence."""
    from scipy.fft import irfft, next_fast_len, rfft

    made = np.zeros(len(first))
    size = next_fast_len(2 * first.shape[1], real=True)
    for start in range(0, len(first), 64):
        one, other = (np.asarray(side[start : start + 64], np.float32).transpose(0, 2, 1) for side in (first, second))
        both = irfft((rfft(one, size) * np.conj(rfft(other, size))).sum(axis=1), size)
        norms = [np.sqrt(np.square(side, dtype=np.float64).sum(axis=(1, 2))) for side in (one, other)]
        sounding = np.all([np.abs(side).max(axis=(1, 2)) >= SOUNDING for side in (one, other)], axis=0)
        most = np.abs(both).max(axis=1) / np.where(sounding, norms[0] * norms[1], 1.0)
        made[start : start + 64] = np.where(sounding, np.minimum(most, 1.0), 0.0)
    return made
