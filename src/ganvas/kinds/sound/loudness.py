"""How loud clips are, and bringing them to one loudness: peak, root mean square, or LUFS. Not for limiting or compressing."""

from __future__ import annotations

import numpy as np

from ...errors import GanvasError
from .files import resample

RATE = 48_000  # Hz, for which the standard gives its filters; other rates are resampled first
WEIGHTING = (  # ITU-R BS.1770, tables 1 and 2: the head's shelf, then the high-pass; b0 b1 b2, a0 a1 a2
    (1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585),
    (1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621),
)
BLOCK, STEP = 19_200, 4_800  # samples of a gating block, 400 ms, and from one to the next
QUIET, BELOW = -70.0, -10.0  # LUFS under which a block never counts; LU under the mean of those left, likewise
TOGETHER = 16  # clips measured at once: memory
RANGES = {"peak": (-120.0, 0.0), "rms": (-120.0, 0.0), "lufs": (QUIET, 0.0)}


def integrated_loudness(records: np.ndarray, rate: int) -> np.ndarray:
    """(N,) LUFS of clips (N, length, channels) in [-1, 1]: the gated loudness of ITU-R BS.1770-5, -inf for silence.

    Mono counts as one channel, stereo as the sum of two. A clip shorter than 400 ms is one block of its own length: there is
    nothing to gate, and silence at its end counts.
    """
    from scipy.signal import sosfilt

    found = []
    for start in range(0, len(records), TOGETHER):
        clips = np.asarray(records[start : start + TOGETHER], np.float32)
        count, length, channels = clips.shape
        waves = resample(clips.transpose(1, 0, 2).reshape(length, -1), rate, RATE).astype(np.float64)
        power = np.square(sosfilt(WEIGHTING, waves, axis=0)).reshape(len(waves), count, channels).sum(axis=2)
        block = min(BLOCK, len(power))
        total = np.concatenate([np.zeros((1, count)), power.cumsum(axis=0)])
        starts = np.arange(0, len(power) - block + 1, STEP)
        found += [_gated(blocks) for blocks in ((total[starts + block] - total[starts]) / block).T]
    return np.array(found)


def _gated(blocks: np.ndarray) -> float:
    """LUFS of the blocks' mean powers (K,) that pass both gates."""
    loud = blocks[blocks > _power(QUIET)]
    loud = loud[loud > loud.mean() * 10 ** (BELOW / 10)] if len(loud) else loud
    return float(10 * np.log10(loud.mean()) - 0.691) if len(loud) else -np.inf


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def normalised(records: np.ndarray, rate: int, level: str) -> tuple[np.ndarray, list[str]]:
    """Clips (N, length, channels) brought to one loudness, and notes: `peak:-1`, `rms:-20` (dB of full scale), `lufs:-16`.

    None is made louder than full scale allows: with `rms` and `lufs` a peaky one stays softer. Silence stays silent.
    Raises GanvasError for another text.
    """
    by, _, number = level.partition(":")
    try:
        decibels = float(number)
    except ValueError:
        decibels = np.nan
    low, high = RANGES.get(by, (np.nan, np.nan))
    if not low <= decibels <= high:
        raise GanvasError(
            f"--loudness {level} is not served: write peak:-1 or rms:-20 (-120 to 0 dB of full scale) or lufs:-16 (-70 to 0)"
        )
    notes = []
    peak = np.abs(records).max(axis=(1, 2)).astype(np.float64)
    if by == "peak":
        own = 20 * np.log10(np.maximum(peak, 1e-12))
    elif by == "rms":
        own = 10 * np.log10(np.maximum(np.square(records, dtype=np.float64).mean(axis=(1, 2)), 1e-24))
    else:
        own = integrated_loudness(records, rate)
        if records.shape[1] < 0.4 * rate:
            seconds = records.shape[1] / rate
            notes.append(f"clips of {seconds:.3g} s are too short for LUFS's gates of 0.4 s: measured as a whole")
    sounding = (peak > 1e-6) & np.isfinite(own)
    wanted = np.where(sounding, 10 ** ((decibels - np.where(sounding, own, 0.0)) / 20), 1.0)
    most = np.where(sounding, 1 / np.maximum(peak, 1e-12), np.inf)
    softer = int((wanted > most * (1 + 1e-6)).sum())
    if softer:
        notes.append(f"{softer} of {len(records)} sounds stay softer than {level}: full scale allows no more")
    gain = np.minimum(wanted, most)
    made: np.ndarray = (records * gain[:, None, None]).astype(np.float32)
    return made, notes
