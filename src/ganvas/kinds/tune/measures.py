"""What can be counted of tunes: how far a melody keeps to its chords and to a key, what comes again, how long notes are.

All of records (N, 2, T) in bars of `steps` steps; by these, numbers of samples are set beside those of held-out tunes.
"""

from __future__ import annotations

import numpy as np

from ...metrics.measure import Measure
from ..facets import Side
from . import chords
from .files import settled
from .spec import CHORDS, FIRST, MELODY, REST, TuneSpec

SCALE = (0, 2, 4, 5, 7, 9, 11)
LONGEST = 16  # steps; longer notes count as so long
LEAP = 12  # semitones; larger ones count as so large


def sounding(melody: np.ndarray) -> np.ndarray:
    """(N, T) the pitch that is heard at each step, -1 in silence. melody: codes (N, T)."""
    melody = settled(melody)
    found = np.full(melody.shape, -1, np.int64)
    pitch = np.full(len(melody), -1, np.int64)
    for step in range(melody.shape[1]):
        code = melody[:, step]
        pitch = np.where(code >= FIRST, code - FIRST, np.where(code == REST, -1, pitch))
        found[:, step] = pitch
    return found


def share_in_chord(records: np.ndarray) -> np.ndarray:
    """(N,) of the steps at which a note sounds over a chord, the share where it is one of the chord; NaN of none."""
    pitch, chord = sounding(records[:, MELODY]), np.asarray(records[:, CHORDS])
    both = (pitch >= 0) & (chord != chords.NONE)
    inside = chords.chroma()[chord, pitch % 12] > 0
    return _share((inside & both).sum(1), both.sum(1))


def share_in_key(records: np.ndarray) -> np.ndarray:
    """(N,) of the steps at which a note sounds, the share in the best of the twelve major scales; NaN where none does."""
    pitch = sounding(records[:, MELODY])
    counts = np.stack([((pitch % 12 == k) & (pitch >= 0)).sum(1) for k in range(12)], 1)
    scales = np.array([[(k - root) % 12 in SCALE for k in range(12)] for root in range(12)], float)
    return _share((counts @ scales.T).max(1), counts.sum(1))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def repeated(records: np.ndarray, steps: int, pitches: bool = True) -> np.ndarray:
    """(N,) the share of bars, from the second on, that an earlier bar of the record equals; without `pitches`, in rhythm."""
    melody = settled(records[:, MELODY])
    bars = melody.reshape(len(melody), -1, steps)
    if not pitches:
        bars = np.minimum(bars, FIRST)
    if bars.shape[1] < 2:
        return np.zeros(len(bars))
    again = [(bars[:, k : k + 1] == bars[:, :k]).all(2).any(1) for k in range(1, bars.shape[1])]
    found: np.ndarray = np.stack(again, 1).mean(1)
    return found


def lengths(records: np.ndarray) -> np.ndarray:
    """(LONGEST,) the share of notes that last 1, 2 ... steps, of all records together."""
    counts = np.zeros(LONGEST)
    for row in settled(records[:, MELODY]):
        begun = np.flatnonzero(row >= FIRST)
        ends = np.flatnonzero(np.append(row[1:] != 1, True))  # the last step of what sounds
        last = ends[np.searchsorted(ends, begun)] - begun + 1 if len(begun) else begun
        counts += np.bincount(np.minimum(last, LONGEST) - 1, minlength=LONGEST)
    return counts / max(1.0, counts.sum())


def leaps(records: np.ndarray) -> np.ndarray:
    """(2 * LEAP + 1,) the share of steps from note to note of -LEAP to LEAP semitones, of all records together."""
    counts = np.zeros(2 * LEAP + 1)
    for row in np.asarray(records[:, MELODY]):
        pitch = row[row >= FIRST].astype(int)
        counts += np.bincount(np.clip(np.diff(pitch), -LEAP, LEAP) + LEAP, minlength=2 * LEAP + 1)
    return counts / max(1.0, counts.sum())


def apart(first: np.ndarray, second: np.ndarray) -> float:
    """Half the sum of differences of two distributions: 0 equal, 1 nothing in common."""
    return 0.5 * float(np.abs(first - second).sum())


SHARES = {
    "in_chord": lambda records, steps: share_in_chord(records),
    "in_key": lambda records, steps: share_in_key(records),
    "bars_again": lambda records, steps: repeated(records, steps),
    "rhythms_again": lambda records, steps: repeated(records, steps, pitches=False),
}
SPREADS = {"note_lengths": lengths, "leaps": leaps}


def differences(made: np.ndarray, real: np.ndarray, steps: int) -> dict[str, float]:
    """How far records are from real ones, 0 to 1 each: shares by their difference, distributions by `apart`."""
    found = {
        name: abs(float(np.nanmean(share(made, steps)) - np.nanmean(share(real, steps)))) if _heard(made) else 1.0
        for name, share in SHARES.items()
    }
    return found | {name: apart(spread(made), spread(real)) for name, spread in SPREADS.items()}


def _heard(records: np.ndarray) -> bool:
    return bool((np.asarray(records[:, MELODY]) >= FIRST).any())


def measures(made: Side, train: Side, heldout: Side, seed: int) -> dict[str, Measure]:
    """The shares of samples, with those of held-out tunes (`real`); how far note lengths and leaps are from theirs, and how
    far those of training records are (`real`)."""
    from ...metrics.sets import mean_interval

    records, train_records, real = (np.asarray(side[0]) for side in (made, train, heldout))
    spec: TuneSpec = made[1]
    found = {}
    for name, share in SHARES.items():
        own = share(records, spec.steps)
        own = own[~np.isnan(own)]
        if len(own) < 2:
            continue
        value, low, high = mean_interval(own)
        more = {"real": float(np.nanmean(share(real, spec.steps)))}
        found[name] = Measure(value, f"share/mean of records/n={len(own)}", low, high, more)
    for name, spread in SPREADS.items():
        value = apart(spread(records), spread(real))
        more = {"real": apart(spread(train_records), spread(real))}
        found[name] = Measure(value, f"total variation to held-out/n={len(records)}/m={len(real)}", more=more)
    return found


def features(records: np.ndarray, spec: TuneSpec) -> np.ndarray:
    """(N, D) float32: of each record how often notes begin on each step of a bar, last so long and leap so far; which degrees
    above the root of the chord, and which of its key, sound; what comes again; how much is silent."""
    records = np.asarray(records)
    melody = settled(records[:, MELODY])
    pitch, chord = sounding(melody), records[:, CHORDS]
    root = chords.roots()[chord].argmax(2)
    begins = (melody >= FIRST).reshape(len(melody), -1, spec.steps).mean(1)
    above = np.where((pitch >= 0) & (chord != chords.NONE), (pitch - root) % 12, 12)
    degrees = np.stack([(above == k).mean(1) for k in range(12)], 1)
    shares = [np.nan_to_num(share(records, spec.steps)) for share in SHARES.values()]
    own = [np.concatenate([lengths(record[None]), leaps(record[None])]) for record in records]
    high = np.where(pitch >= 0, pitch, 0).sum(1) / np.maximum(1, (pitch >= 0).sum(1)) / 64
    parts = [begins, degrees, np.stack([*shares, (pitch < 0).mean(1), high], 1), np.stack(own)]
    return np.concatenate(parts, 1).astype(np.float32)
