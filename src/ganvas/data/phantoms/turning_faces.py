"""Clips of heads that turn and nod: people of the phantom `faces`, who do not exist, before a still ground in a still light.

For trying and judging systems that learn motion, of which is known what anybody else would look like in the same motion, and
where eyes, nose and mouth are. Not for how people move: heads turn smoothly, and nothing else does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ganvas.data.phantoms import PhantomData, Progress
from ganvas.errors import DataError
from ganvas.kinds.video.spec import VideoSpec

from ._heads import GLASSES, MOUTHS, OLDEST, TRAITS, places
from .faces import PEOPLE, draw, people

FRAMES, RATE = 16, 10
IN_A_ROW = 4  # clips of one person that follow each other
LARGEST = 256
FARTHEST, NODS = 45.0, 15.0  # degrees that a head turns to a side, and up or down, at most
POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""Places that are known, as the viewer sees left and right."""


def motion(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(yaw, pitch) in degrees, (FRAMES,) each: a head that turns to and fro once or less, and nods a little."""
    t = np.arange(FRAMES) / (FRAMES - 1)
    found = []
    for most, least in ((FARTHEST, 0.45), (NODS, 0.2)):
        reach = most * rng.uniform(least, 1)
        wave = np.sin(2 * np.pi * (rng.random() + t * rng.uniform(0.5, 1.0)))
        found.append(reach * wave + rng.uniform(-1, 1) * (most - reach))
    return found[0], found[1]


def scene(rng: np.random.Generator) -> dict[str, Any]:
    """What stays the same in a clip, as `faces.draw` takes it."""
    return {
        "age": int(rng.integers(5, int(OLDEST))),
        "light": round(float(rng.uniform(-70, 70))),
        "strength": round(float(rng.uniform(0.2, 1)), 2),
        "glasses": int(rng.choice(len(GLASSES), p=(0.7, 0.15, 0.15))),
        "mouth": int(rng.integers(len(MOUTHS))),
        "backdrop": np.clip(rng.uniform(0.35, 0.9) + rng.normal(0, 0.06, 3), 0, 1),
        "shirt": rng.uniform(0.1, 0.8, 3),
    }


def clip(traits: np.ndarray, still: dict[str, Any], yaw: np.ndarray, pitch: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(T, height, width, 3) uint8 of a person with these traits (len(TRAITS),) in a motion (T,) each of yaw and pitch."""
    return draw(np.repeat(traits[None], len(yaw), 0), size, yaw=yaw, pitch=pitch, **still)


def known(traits: np.ndarray, age: float, yaw: np.ndarray, pitch: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where POINTS are in each frame: (T, len(POINTS), 2), x and y from 0 (left, top) to 1. Those on the side that is turned
    away may be hidden."""
    return places(np.repeat(traits[None], len(yaw), 0), np.full(len(yaw), age), yaw, pitch, size)


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """`n` clips of 16 frames at 10 a second, four in a row of one person.

    facts: subject (who it is; whole people are held out), age, light, strength, glasses, mouth, yaw and pitch in each frame,
    and the place of each of POINTS in each frame (0 to 1 from the left and from above). Raises DataError for sides out of
    range.
    """
    if max(size) > LARGEST:
        height, width = size
        raise DataError(f"phantom 'turning-faces': the size must be 16 to {LARGEST} pixels a side, not {height}x{width}")
    values, facts = np.zeros((n, FRAMES, *size, 3), np.uint8), []
    persons = np.arange(n) // IN_A_ROW % PEOPLE
    traits = people(persons, seed)
    for index in range(n):
        rng = np.random.default_rng([seed, index, 0x7F])
        still, (yaw, pitch) = scene(rng), motion(rng)
        values[index] = clip(traits[index], still, yaw, pitch, size)
        where = known(traits[index], still["age"], yaw, pitch, size)
        facts.append({
            "subject": int(persons[index]), **{name: still[name] for name in ("age", "light", "strength")},
            "glasses": GLASSES[still["glasses"]], "mouth": MOUTHS[still["mouth"]],
            "yaw": np.round(yaw, 1).tolist(), "pitch": np.round(pitch, 1).tolist(),
            **{name: np.round(where[:, k], 4).tolist() for k, name in enumerate(POINTS)},
            "traits": {name: round(float(value), 4) for name, value in zip(TRAITS, traits[index], strict=True)},
        })  # fmt: skip
        if progress is not None:
            progress(index + 1, n)
    return PhantomData(values, None, (), facts=facts, spec=VideoSpec(FRAMES, *size, 3, RATE))
