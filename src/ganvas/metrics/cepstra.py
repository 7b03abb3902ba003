"""Mel-cepstra of sounds, and what is lost of them where speech was averaged: how far they move (global variance), how fast they
move (modulation spectrum), and how far they are from the true ones (mel-cepstral distortion). Not for training on.

Toda and Tokuda 2007 (doi 10.1093/ietisy/e90-d.5.816), Takamichi et al. 2016 (doi 10.1109/TASLP.2016.2522655), Kubichek 1993
(doi 10.1109/PACRIM.1993.407206).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WINDOW, STEP = 0.025, 0.005  # seconds
BANDS, ORDER = 32, 24
FLOOR, ACTIVE = 1e-5, 2.0  # least magnitude; log10 below the loudest moment down to which moments count
STRETCH, FASTEST = 64, 50.0  # columns of a stretch of a modulation spectrum, and Hz up to which it is compared


def cepstra(wave: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Of a sound (T,): coefficients (columns, ORDER) of log10 magnitudes, and loudness (columns,), log10 too."""
    from scipy.fft import dct, rfft

    step, size = max(1, round(STEP * rate)), max(8, round(WINDOW * rate))
    padded = np.pad(np.asarray(wave, np.float64), (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(wave) : step]
    window = np.hanning(size)
    length = max(256, 2 ** int(np.ceil(np.log2(size))))  # bands need some lines each
    magnitudes = np.abs(rfft(frames * window, length, axis=1)) * (2 / window.sum())
    bands = np.log10(np.maximum(magnitudes @ _filters(rate, length).T, FLOOR))
    found: np.ndarray = dct(bands, type=2, norm="ortho", axis=1)[:, :ORDER]
    return found, np.log10(np.maximum(np.sqrt((magnitudes**2).sum(1)), FLOOR))


def _filters(rate: int, length: int) -> np.ndarray:
    """(BANDS, length // 2 + 1): triangles, even on the mel scale of O'Shaughnessy, the weights of each add up to 1."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    lines = np.arange(length // 2 + 1) * rate / length
    below = (lines - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    above = (edges[2:, None] - lines) / (edges[2:] - edges[1:-1])[:, None]
    weights = np.maximum(np.minimum(below, above), 0)
    return weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)


def modulation(found: np.ndarray) -> np.ndarray:
    """(ORDER - 1, STRETCH // 2 + 1) dB: of coefficients (columns, ORDER) but the first the mean over stretches of the level of
    each modulation frequency."""
    length = max(STRETCH, len(found))
    padded = np.zeros((length, found.shape[1] - 1))
    padded[: len(found)] = found[:, 1:] - found[:, 1:].mean(0)
    starts = range(0, length - STRETCH + 1, STRETCH // 2)
    window = np.hanning(STRETCH)[:, None]
    power = [np.abs(np.fft.rfft(padded[start : start + STRETCH] * window, axis=0)) ** 2 for start in starts]
    level: np.ndarray = np.mean([10 * np.log10(own + 1e-6) for own in power], 0).T
    return level


def detail(made: Sequence[np.ndarray], true: Sequence[np.ndarray], rate: int) -> dict[str, float]:
    """Of sounds (T,) beside the true ones, over moments at which these are not silent, the first coefficient left out:

    modulation: mean difference of modulation spectra in dB, up to 50 Hz; variance: mean difference of the variance of each
    coefficient within each sound, in dB; variance_lost: the same with its sign, more than 0 where too little is left;
    distortion: mel-cepstral distortion in dB.
    """
    spectra, variances, distortions = [], [], []
    for own, other in zip(made, true, strict=True):
        (first, _), (second, loud) = cepstra(own, rate), cepstra(other, rate)
        active = loud > loud.max() - ACTIVE
        if active.sum() < 8:
            continue
        span = slice(int(np.argmax(active)), len(active) - int(np.argmax(active[::-1])))
        spectra.append((modulation(first[span]), modulation(second[span])))
        apart = first[active, 1:] - second[active, 1:]
        distortions.append(20 * np.sqrt((apart**2).sum(1) / BANDS).mean())
        variances.append([10 * np.log10(part[active, 1:].var(0) + 1e-8) for part in (first, second)])
    rates = np.fft.rfftfreq(STRETCH, STEP)
    heard = (rates > 0) & (rates <= FASTEST)
    levels = np.array(spectra).mean(0)[:, :, heard]
    lost = np.array([second - first for first, second in variances])
    return {
        "modulation": float(np.abs(levels[0] - levels[1]).mean()),
        "variance": float(np.abs(lost).mean()),
        "variance_lost": float(lost.mean()),
        "distortion": float(np.mean(distortions)),
    }
