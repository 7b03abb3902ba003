"""Melodies over four chords that come round and round: what is sung follows the chord, in a key of its own.

For trying a system that makes sequences against a known rule, and for tests. Not music anybody wrote.

    major  I V vi IV, in a major key       minor  i VI III VII, in a minor key

A chord lasts four steps, two steps a beat. On its first step a note of the chord begins, most often the one nearest to the
last; then the melody walks along the scale, holds, or rests.
"""

from __future__ import annotations

import numpy as np

from ganvas.data.phantoms import MELODY_CLASSES, PhantomData, Progress
from ganvas.kinds.tokens.files import HOLD, REST
from ganvas.kinds.tokens.spec import TokensSpec

RATE, TEMPO = 2, 100.0
LOW, HIGH = 55, 79  # G below middle C to the G above the next
CHORD = 4  # steps
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
LOOPS = {"major": (0, 4, 5, 3), "minor": (0, 5, 2, 6)}  # degrees on which the chords stand
SYMBOLS = (*(str(pitch) for pitch in range(LOW, HIGH + 1)), HOLD, REST)


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """(N, size) int32, indices into the symbols; label: the mode. facts: key (0 to 11, 0 is C) and mode."""
    length = size[0]
    values, labels = np.zeros((n, length), np.int32), np.zeros(n, np.int64)
    facts = []
    for k in range(n):
        rng = np.random.default_rng([seed, k])  # of its own, so that a longer draw begins with the shorter one
        labels[k] = rng.integers(2) if variant is None else MELODY_CLASSES.index(variant)
        mode = MELODY_CLASSES[labels[k]]
        key = int(rng.integers(12))
        values[k] = _melody(mode, key, length, rng)
        facts.append({"mode": mode, "key": key})
        if progress is not None and ((k + 1) % 256 == 0 or k + 1 == n):
            progress(k + 1, n)
    classes = MELODY_CLASSES if variant is None else ()
    spec = TokensSpec(length, SYMBOLS, rate=RATE, tempo=TEMPO, classes=classes, format="mid")
    return PhantomData(values, labels if classes else None, classes, facts=facts, spec=spec)


def chord_at(mode: str, key: int, step: int) -> set[int]:
    """Pitch classes of the chord at a step."""
    root = LOOPS[mode][step // CHORD % len(LOOPS[mode])]
    return {(key + SCALES[mode][(root + third) % 7]) % 12 for third in (0, 2, 4)}


def _melody(mode: str, key: int, length: int, rng: np.random.Generator) -> list[int]:
    scale = [p for p in range(LOW, HIGH + 1) if (p - key) % 12 in SCALES[mode]]
    last = int(rng.choice(scale[len(scale) // 4 : -len(scale) // 4]))
    found = []
    for step in range(length):
        drawn = rng.random()
        if step % CHORD == 0:
            tones = sorted((p for p in scale if p % 12 in chord_at(mode, key, step)), key=lambda p: (abs(p - last), p))
            last = tones[0] if drawn < 0.6 else tones[int(rng.integers(1, 4))]
        elif drawn < 0.4:
            found.append(SYMBOLS.index(HOLD))
            continue
        elif drawn < 0.46:
            found.append(SYMBOLS.index(REST))
            continue
        else:
            place = scale.index(last) + (1 if rng.random() < 0.5 else -1)
            last = scale[min(max(place, 0), len(scale) - 1)]
        found.append(SYMBOLS.index(str(last)))
    return found
