"""Which pitch a sound has, and how coherent its waves are. Not for pitches of whole data sets, which `spectra` takes from one
autocorrelation a clip."""

from __future__ import annotations

import numpy as np

FRAME = 2048  # samples of a window, at most
ONSET = 0.1  # seconds that say little of a pitch
DIP = 0.15  # YIN's threshold
LOWEST, HIGHEST = 60.0, 1200.0  # Hz
LATER = 0.032  # seconds after which a wave is compared with itself
SOFT = 1e-9  # mean power below which a window is silent


def fundamental(wave: np.ndarray, rate: int) -> float:
    """Hz of a wave (T,): the median over windows behind the onset; NaN of silence.

    YIN (de Cheveigne and Kawahara 2002, steps 1 to 5): the first dip of the cumulative mean normalised difference below a
    threshold, else its lowest, and a parabola through it.
    """
    frame = min(FRAME, len(wave) // 4)
    found = []
    for start in range(min(round(ONSET * rate), len(wave) // 4), len(wave) - 2 * frame + 1, max(1, frame // 2)):
        part = wave[start : start + 2 * frame].astype(np.float64)
        if np.square(part).mean() < SOFT:
            continue
        energy = np.concatenate([[0.0], np.cumsum(np.square(part))])
        alike = np.fft.irfft(np.fft.rfft(part[:frame], 4 * frame).conj() * np.fft.rfft(part, 4 * frame))[:frame]
        off = energy[frame] + energy[frame : 2 * frame] - energy[:frame] - 2 * alike
        off[0] = 0.0
        mean = off * np.arange(frame) / np.maximum(np.cumsum(off), 1e-12)
        first, last = max(1, int(rate / HIGHEST)), min(frame - 2, int(rate / LOWEST))
        if last <= first:
            continue
        dips = np.flatnonzero(mean[first:last] < DIP)
        place = first + (int(dips[0]) if len(dips) else int(mean[first:last].argmin()))
        while place + 1 < last and mean[place + 1] < mean[place]:
            place += 1
        before, here, after = off[place - 1 : place + 2]
        bend = before - 2 * here + after
        found.append(rate / (place + (0.5 * (before - after) / bend if bend > 0 else 0.0)))
    return float(np.median(found)) if found else float("nan")


def coherence(wave: np.ndarray, rate: int, hertz: float) -> float:
    """The correlation of a wave (T,) with itself about 32 ms later, a whole number of periods of `hertz`, an eighth of one off
    at most; 0 where there is no pitch."""
    if not np.isfinite(hertz):
        return 0.0
    period = rate / hertz
    whole = max(1, round(LATER * rate / period)) * period
    part = wave[round(ONSET * rate) : round(0.8 * len(wave))].astype(np.float64)
    best = 0.0
    for lag in range(max(1, int(whole - period / 8)), int(np.ceil(whole + period / 8)) + 1):
        own, later = part[:-lag], part[lag:]
        if len(own):
            best = max(best, float((own * later).sum() / np.sqrt(max(1e-20, np.square(own).sum() * np.square(later).sum()))))
    return best


def semitones_off(hertz: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    """How many semitones sounds (N,) are above MIDI pitches (N,); far away where there is no sound."""
    found: np.ndarray = 12 * np.log2(np.nan_to_num(hertz, nan=1.0) / 440) + 69 - pitches
    return found
