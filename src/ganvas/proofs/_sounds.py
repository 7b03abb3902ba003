"""What proofs of sound share: how bright clips are, how sharply they begin and how long they last, and how sets differ in that."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

WINDOW = 0.002  # seconds over which power is averaged
LOW, HIGH = 0.1, 0.9  # of the largest amplitude, between which a clip begins
DECAYED = 20.0  # dB under its largest amplitude at which it counts as over
TRAITS = ("centroid", "attack", "decay")


def traits(clips: np.ndarray, rate: int) -> dict[str, np.ndarray]:
    """Traits (N,) of clips (N, length, channels) by name, each in octaves; NaN of silence.

    centroid: log2 Hz of the spectrum's centre of power. attack: log2 seconds from a tenth to nine tenths of the largest amplitude
    (means over 2 ms; a millisecond at least). decay: log2 seconds from there until it stays 20 dB below (likewise).
    """
    from ..kinds.sound.spectra import properties

    power = np.square(np.asarray(clips, np.float64)).mean(axis=2)
    size = max(2, round(WINDOW * rate))
    summed = np.concatenate([np.zeros((len(power), 1)), power.cumsum(axis=1)], axis=1)
    course = np.sqrt(np.maximum(summed[:, size:] - summed[:, :-size], 0) / size)
    peak = course.max(axis=1, keepdims=True)
    start, full = (course >= LOW * peak).argmax(axis=1), (course >= HIGH * peak).argmax(axis=1)
    over = course.shape[1] - 1 - (course >= 10 ** (-DECAYED / 20) * peak)[:, ::-1].argmax(axis=1)
    sounding = peak[:, 0] > 1e-5

    def octaves(samples: np.ndarray) -> np.ndarray:
        return np.where(sounding, np.log2(np.maximum(samples / rate, 1e-3)), np.nan)

    centroid = properties(np.asarray(clips), rate)["brightness"]
    return {"centroid": centroid, "attack": octaves(full - start), "decay": octaves(over - full)}


def kolmogorov(first: np.ndarray, second: np.ndarray) -> float:
    """Largest difference of the distribution functions of two sets of numbers; what is NaN counts as smaller than any."""
    first, second = (np.nan_to_num(x, nan=-1e9) for x in (first, second))
    at = np.concatenate([first, second])
    return float(np.abs([np.mean(first <= x) - np.mean(second <= x) for x in at]).max())


def compared(made: Mapping[str, np.ndarray], real: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Of each trait the Kolmogorov distance, and the spread (standard deviation) as a share of the real one."""
    return {
        "kolmogorov": {name: round(kolmogorov(made[name], real[name]), 4) for name in TRAITS},
        "spread": {name: round(float(np.nanstd(made[name]) / np.nanstd(real[name])), 4) for name in TRAITS},
    }


def nearest(vectors: np.ndarray) -> float:
    """The least distance of two of some vectors (N, D)."""
    from scipy.spatial.distance import pdist

    return float(pdist(vectors).min())
