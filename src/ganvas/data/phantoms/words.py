"""Four made-up words as sound: a buzzing voice whose two formants glide, with its own pitch, onset, speed and hiss each time.

For trying a system that makes sound without recordings, and for tests. Not speech: nothing learnt here says how well real
voices are made.

    ya  from a closed to an open vowel      ay  the way back
    wi  from a rounded to a front vowel     uw  the way back

Labels differ in the course of the formants alone; pitch, onset, length, loudness and hiss are drawn alike for all. 4000
samples a second, so that everything audible of it lies below 2000 Hz.
"""

from __future__ import annotations

import numpy as np

from ganvas.data.phantoms import WORDS, PhantomData, Progress
from ganvas.errors import DataError
from ganvas.kinds.sound.spec import SoundSpec

RATE = 4000
FORMANTS = {"ya": ((270, 1750), (730, 1090)), "ay": ((730, 1090), (270, 1750)),
            "wi": ((320, 700), (290, 1800)), "uw": ((290, 1800), (320, 700))}  # fmt: skip
"""First and second formant in Hz, at the beginning and at the end."""


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """Clips (N, size, 1) float32 in [-1, 1]; label: the word. size: samples."""
    length = size[0]
    if size[1] != length:
        raise DataError(f"phantom 'words': size must be one number, the samples of a clip, not {size[0]}x{size[1]}")
    made, labels, facts = np.zeros((n, length, 1), np.float32), np.zeros(n, np.int64), []
    for k in range(n):
        rng = np.random.default_rng([seed, k])  # its own stream, so that a longer draw begins with the shorter one
        labels[k] = rng.integers(len(WORDS)) if variant is None else WORDS.index(variant)
        wave, fact = _word(WORDS[labels[k]], length, rng)
        made[k, :, 0] = wave
        facts.append({"word": WORDS[labels[k]], **fact})
        if progress is not None and ((k + 1) % 256 == 0 or k + 1 == n):
            progress(k + 1, n)
    classes = WORDS if variant is None else (variant,)
    spec = SoundSpec(length, RATE, classes=classes if len(classes) > 1 else ())
    return PhantomData(made, labels if variant is None else np.zeros(n, np.int64), classes, facts=facts, spec=spec)


def told(variant: str | None, n: int, seed: int) -> dict[str, list[str]]:
    """`text`: the word of each of n clips, as `make` draws them."""
    drawn = (int(np.random.default_rng([seed, k]).integers(len(WORDS))) for k in range(n))
    return {"text": [WORDS[own] for own in drawn] if variant is None else [variant] * n}


def _word(word: str, length: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    pitch, glide = float(rng.uniform(90, 220)), float(rng.uniform(-0.2, 0.2))
    onset, share = float(rng.uniform(0, 0.2)), float(rng.uniform(0.55, 0.8))
    loudness, hiss = float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.002, 0.01))
    start, count = int(onset * length), int(share * length)
    course = np.linspace(0, 1, count)
    tone = pitch * (1 + glide * course)
    phase = 2 * np.pi * np.cumsum(tone) / RATE
    glides = 1 / (1 + np.exp(-10 * (course - 0.5)))  # slow, fast, slow
    first, last = FORMANTS[word]
    harmonic = np.arange(1, int(0.95 * RATE / 2 / tone.max()) + 1)[:, None]
    heights = harmonic * tone
    strength = np.zeros_like(heights)
    for before, after, weight, width in zip(first, last, (1.0, 0.6), (90, 140), strict=True):
        strength += weight / (1 + ((heights - (before + (after - before) * glides)) / width) ** 2)
    voice = (strength * np.sin(harmonic * phase + rng.uniform(0, 2 * np.pi, (len(harmonic), 1)))).sum(axis=0)
    voice *= np.sin(np.pi * course) ** 0.5
    wave = hiss * rng.standard_normal(length)
    wave[start : start + count] += loudness * 0.95 * voice / max(float(np.abs(voice).max()), 1e-9)
    fact = {"pitch": pitch, "glide": glide, "onset": onset, "share": share, "loudness": loudness, "hiss": hiss}
    return np.clip(wave, -1, 1).astype(np.float32), fact
