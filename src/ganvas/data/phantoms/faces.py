"""Heads of people who do not exist, with known person, age, pose, light, glasses and mouth. How they are drawn: `_heads`.

For trying systems that learn of faces without any, and for measuring against what is known: whether a changed picture still
shows the same person, how old it looks, which way it faces. Nobody is on them; proportions and what the years change are set by
eye, so nothing that is measured here says how people look or age.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import PhantomData, Progress
from ._heads import GLASSES, MOUTHS, OLDEST, STYLES, TRAITS, render, style_of

Array = np.ndarray

PEOPLE, IN_A_ROW = 200, 10
"""How many there are, and how many pictures of one follow each other; behind the last one comes the first again."""
YOUNGEST = 5
POSES = {None: (22.0, 60.0, 7.0), "front": (5.0, 12.0, 3.0), "turned": (0.0, 90.0, 4.0)}
"""Variant -> standard deviation and bound of yaw (0: any up to the bound alike), standard deviation of pitch, in degrees."""


def people(numbers: Array, seed: int = 0) -> Array:
    """Traits (N, len(TRAITS)) float32 from 0 to 1 of the people with these numbers; of one seed always the same."""
    own = {number: np.random.default_rng([seed, 0xFACE, number]).random(len(TRAITS), np.float32) for number in set(numbers)}
    return np.stack([own[number] for number in numbers])


def draw(traits: Array, size: int | tuple[int, int] = 64, depth: int = 8, **asked: Any) -> Array:
    """Pictures (N, height, width, 3) of people as they are asked for; what is not asked for is plain.

    traits: (N, len(TRAITS)), as of `people`. asked: of `_heads.render`, for all alike or (N,) each: age (35 years), yaw and
    pitch (0 degrees), light (20 degrees to the right), strength (0.5), glasses and mouth (0: none, neutral), backdrop and
    shirt. So the same person is drawn at another age, in another pose or light, and nothing else changes.
    """
    plain = {"age": 35.0, "yaw": 0.0, "pitch": 0.0, "light": 20.0, "strength": 0.5, "glasses": 0, "mouth": 0}
    colours = {"backdrop": (0.62, 0.64, 0.66), "shirt": (0.25, 0.32, 0.45)}
    many = len(traits)
    given = {name: np.broadcast_to(np.asarray(asked.pop(name, value)), many) for name, value in plain.items()}
    given |= {name: np.broadcast_to(np.asarray(asked.pop(name, value)), (many, 3)) for name, value in colours.items()}
    if asked:
        raise TypeError(f"draw: no {', '.join(asked)}: there are {', '.join(given)}")
    sides = (size, size) if isinstance(size, int) else size
    return render(np.asarray(traits), size=sides, depth=depth, **given)


def scenes(variant: str | None, n: int, seed: int) -> dict[str, Array]:
    """How each of `n` pictures is drawn, as `draw` takes it, and `person` (N,); picture k depends on the seed and k alone."""
    spread, bound, nod = POSES[variant]
    found: dict[str, list[Any]] = {}
    for k in range(n):
        rng = np.random.default_rng([seed, k])
        yaw = rng.uniform(-bound, bound) if not spread else np.clip(rng.normal(0, spread), -bound, bound)
        scene = {
            "person": k // IN_A_ROW % PEOPLE,
            "age": int(rng.integers(YOUNGEST, int(OLDEST))),
            "yaw": round(float(yaw)),
            "pitch": round(float(np.clip(rng.normal(0, nod), -2.5 * nod, 2.5 * nod))),
            "light": round(float(rng.uniform(-70, 70))),
            "strength": round(float(rng.uniform(0.2, 1)), 2),
            "glasses": int(rng.choice(len(GLASSES), p=(0.6, 0.2, 0.2))),
            "mouth": int(rng.integers(len(MOUTHS))),
            "backdrop": np.clip(rng.uniform(0.35, 0.9) + rng.normal(0, 0.06, 3), 0, 1),
            "shirt": rng.uniform(0.1, 0.8, 3),
        }
        for name, value in scene.items():
            found.setdefault(name, []).append(value)
    return {name: np.array(own) for name, own in found.items()}


def told(variant: str | None, n: int, seed: int) -> dict[str, list[str]]:
    """Column -> cells (N,): what is true of the pictures. `group`: who must not be on both sides of a split."""
    drawn = scenes(variant, n, seed)
    names = [f"p{number:03d}" for number in drawn["person"]]
    traits = people(drawn["person"], seed)
    cells = {"group": names, "person": names}
    cells |= {name: [f"{value:g}" for value in drawn[name]] for name in ("age", "yaw", "pitch", "light", "strength")}
    cells |= {name: [words[k] for k in drawn[name]] for name, words in (("glasses", GLASSES), ("mouth", MOUTHS))}
    return cells | {"hair": [STYLES[k] for k in style_of(traits[:, TRAITS.index("style")])]}


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """`n` faces of `size` (height, width) pixels. facts: what `told` says, the person's traits, and `subject`, who it is."""
    drawn = scenes(variant, n, seed)
    persons = drawn.pop("person")
    traits = people(persons, seed)
    pieces = []
    for start in range(0, n, 64):
        rows = slice(start, min(start + 64, n))
        pieces.append(draw(traits[rows], size, depth, **{name: own[rows] for name, own in drawn.items()}))
        if progress is not None:
            progress(rows.stop, n)
    columns = told(variant, n, seed)
    numbers = ("age", "yaw", "pitch", "light", "strength")
    facts = [
        {
            "subject": int(persons[k]),
            **{name: float(own[k]) if name in numbers else own[k] for name, own in columns.items() if name != "group"},
            "traits": {name: round(float(value), 4) for name, value in zip(TRAITS, traits[k], strict=True)},
        }
        for k in range(n)
    ]
    return PhantomData(np.concatenate(pieces), None, (), facts=facts, columns=columns)
