"""Tunes of known rules: over four chords that come round, with bars that take up the rhythm and the shape of earlier ones.

For trying a system that writes melodies over chords, and for tests. Not music anybody wrote.

    chords   I vi IV V or I IV ii V, a bar each, in any major key
    bar      begins on a note of its chord and walks along the scale
    form     every other bar has the rhythm of the one before it, and the same walk from a first note of its own
"""

from __future__ import annotations

import numpy as np

from ganvas.data.phantoms import PhantomData, Progress
from ganvas.kinds.tune.chords import QUALITIES, chord
from ganvas.kinds.tune.spec import CHORDS, FIRST, HOLD, MELODY, TuneSpec

RATE = 2  # steps a quarter note: bars of eighths
LOW, HIGH = 60, 83
SCALE = (0, 2, 4, 5, 7, 9, 11)
LOOPS = (((0, ""), (9, "m"), (5, ""), (7, "")), ((0, ""), (5, ""), (2, "m"), (7, "")))  # semitones above the key, quality
HELD = 0.45  # how likely a step holds the note before


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """(n, 2, steps) int32 of `size` bars. facts: key (0 to 11, 0 is C) and loop."""
    spec = TuneSpec(size[0], RATE, low=LOW, high=HIGH)
    values = np.zeros((n, *spec.shape), np.int32)
    facts = []
    for k in range(n):
        rng = np.random.default_rng([seed, k])  # of its own, so that a longer draw begins with the shorter one
        key, loop = int(rng.integers(12)), int(rng.integers(len(LOOPS)))
        values[k] = _tune(key, loop, spec, rng)
        facts.append({"key": key, "loop": loop})
        if progress is not None and ((k + 1) % 256 == 0 or k + 1 == n):
            progress(k + 1, n)
    return PhantomData(values, None, (), facts=facts, spec=spec)


def _tune(key: int, loop: int, spec: TuneSpec, rng: np.random.Generator) -> np.ndarray:
    record = np.zeros(spec.shape, np.int32)
    scale = [pitch for pitch in range(LOW, HIGH + 1) if (pitch - key) % 12 in SCALE]
    last = len(scale) // 2
    begins, walk = np.zeros(0, bool), np.zeros(0, int)
    for bar in range(spec.bars):
        above, quality = LOOPS[loop][bar % 4]
        tones = {(key + above + third) % 12 for third in QUALITIES[quality]}
        if bar % 2 == 0:
            begins = np.concatenate([[True], rng.random(spec.steps - 1) > HELD])
            walk = np.concatenate([[0], np.cumsum(rng.choice([-1, 1], int(begins.sum()) - 1))])
        able = [place for place, pitch in enumerate(scale) if pitch % 12 in tones and 3 <= place < len(scale) - 3]
        last = min(able, key=lambda place: (abs(place - last), place))
        codes = np.full(spec.steps, HOLD, np.int32)
        codes[begins] = [scale[min(max(last + int(step), 0), len(scale) - 1)] + FIRST for step in walk]
        where = slice(bar * spec.steps, (bar + 1) * spec.steps)
        record[MELODY, where] = codes
        record[CHORDS, where] = chord(key + above, quality)
    return record
