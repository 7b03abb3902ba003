"""What proofs of sound share: how bright clips are, how sharply they begin, how long they last, and how sets differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

WINDOW = 0.002  # seconds over which power is averaged
LOW, HIGH = 0.1, 0.9  # of the largest amplitude, between which a clip begins
DECAYED = 20.0  # dB under its largest amplitude at which it counts as over
TRAITS = ("centroid", "attack", "decay")


def traits(clips: np.ndarray, rate: int) -> dict[str, np.ndarray]:
    """Traits (N,) of clips (N, length, channels) by name, each in octaves; NaN of silence.

    centroid: log2 Hz of the spectrum's centre of power. attack: log2 seconds from a tenth to nine tenths of the largest
    amplitude (means over 2 ms; a millisecond at least). decay: log2 seconds from there until it stays 20 dB below (likewise).
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


def nearest_draws(made: np.ndarray, real: np.ndarray, count: int = 64, draws: int = 100) -> dict[str, float]:
    """How near the two nearest of `count` of the made vectors (N, D) come, the median over draws; and beside it, of as many
    real ones, the median and the 5 % of draws with the nearest."""
    rng = np.random.default_rng(0)
    most = min(count, len(made), len(real))

    def least(vectors: np.ndarray) -> list[float]:
        return [nearest(vectors[rng.choice(len(vectors), most, replace=False)]) for _ in range(draws)]

    own, other = least(made), least(real)
    return {
        "made": float(np.median(own)), "real": float(np.median(other)), "real_low": float(np.quantile(other, 0.05))
    }  # fmt: skip


def class_spread(made: np.ndarray, said: np.ndarray, real: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance of two vectors of the same class, the mean over classes that have three or more of both, as a share of that
    of real ones; 0 where there is no such class."""
    from scipy.spatial.distance import pdist

    shared = [k for k in np.unique(labels) if min((said == k).sum(), (labels == k).sum()) >= 3]
    if not shared:
        return 0.0
    own, other = (np.mean([pdist(x[y == k]).mean() for k in shared]) for x, y in ((made, said), (real, labels)))
    return float(own / other)


def bright_course(clips: np.ndarray, rate: int) -> np.ndarray:
    """(2, 64): mean over clips of the mean and of the standard deviation over time of the levels in 64 bands, dB."""
    levels = _levels(clips, rate)
    return np.stack([levels.mean((0, 1)), levels.std(1).mean(0)])


def modulation_course(clips: np.ndarray, rate: int) -> np.ndarray:
    """(8, 8): mean modulation spectrum in dB: of levels in 8 groups of bands, how much of their change over time lies in each
    of 8 octave-like groups of modulation frequencies."""
    levels = _levels(clips, rate)
    grouped = levels.reshape(*levels.shape[:2], 8, -1).mean(3)
    power = np.square(np.abs(np.fft.rfft(grouped - grouped.mean(1, keepdims=True), axis=1)))[:, 1:]
    edges = np.unique(np.geomspace(1, power.shape[1] + 1, 9).round().astype(int)) - 1
    pooled = np.add.reduceat(power, edges[:-1], axis=1) / np.diff(edges)[None, :, None]
    course: np.ndarray = 10 * np.log10(pooled.mean(0) + 1e-3)
    return course


def _levels(clips: np.ndarray, rate: int) -> np.ndarray:
    """(N, frames, 64) in dB under each clip's own loudest band and moment, -50 at least."""
    from ..kinds.sound.spectra import RANGE, log_mel

    parts = [log_mel(np.asarray(clips[k : k + 64]).mean(axis=2), rate) for k in range(0, len(clips), 64)]
    levels = np.concatenate(parts)
    below: np.ndarray = np.maximum(levels - levels.max(axis=(1, 2), keepdims=True), -RANGE)
    return below
