"""Simple dressed people of sticks and discs, with known pose, build and colours: the same person can be drawn in any pose.

For trying systems that put people into other poses, and for measuring against what is known: the true picture of that person in
that pose, the colour of each garment. Nobody is on them; bodies bend as no body may, so nothing measured here says how people
move.

Lengths are in units of the shorter side of the picture, seen from the front; pictures that are not square show more ground.
"""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np

from . import PhantomData, Progress

Array = np.ndarray

IN_A_ROW = 8
"""How many pictures of one person follow each other."""
NAMES = (
    "head", "neck", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_hand", "right_hand", "middle_hip",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_foot", "right_foot",
)  # fmt: skip
JOINED = (
    ("head", "neck"), ("neck", "left_shoulder"), ("neck", "right_shoulder"), ("left_shoulder", "left_elbow"),
    ("right_shoulder", "right_elbow"), ("left_elbow", "left_hand"), ("right_elbow", "right_hand"), ("neck", "middle_hip"),
    ("middle_hip", "left_hip"), ("middle_hip", "right_hip"), ("left_hip", "left_knee"), ("right_hip", "right_knee"),
    ("left_knee", "left_foot"), ("right_knee", "right_foot"),
)  # fmt: skip
PLACE = {name: k for k, name in enumerate(NAMES)}
SHIRTS = {"red": 0.99, "orange": 0.08, "green": 0.36, "cyan": 0.51, "blue": 0.62, "violet": 0.78}
TROUSERS = {"black": (0.10, 0.10, 0.12), "grey": (0.55, 0.55, 0.57), "brown": (0.42, 0.28, 0.16), "navy": (0.12, 0.16, 0.42)}
HAIR = {"black": (0.08, 0.07, 0.07), "brown": (0.35, 0.20, 0.10), "blond": (0.85, 0.70, 0.35), "red": (0.65, 0.22, 0.10)}
SLEEVES = ("short", "long")
TOLD_SIDE = 64  # in whose pixels poses are told; they go along with pictures of any other size


def persons(numbers: Array, seed: int = 0) -> list[dict[str, Any]]:
    """Who the people with these numbers are; of one seed always the same. Words for hair, shirt, trousers and sleeves; build:
    the width of limbs; tint: of skin, shirt and ground, from 0 to 1."""
    found = {}
    for number in sorted({int(own) for own in numbers}):
        rng = np.random.default_rng([seed, 0xF16, number])
        found[number] = {
            "hair": str(rng.choice(list(HAIR))), "shirt": str(rng.choice(list(SHIRTS))),
            "trousers": str(rng.choice(list(TROUSERS))), "sleeves": str(rng.choice(SLEEVES)),
            "build": float(rng.uniform(0.85, 1.2)), "tint": rng.random(4),
        }  # fmt: skip
    return [found[int(number)] for number in numbers]


def angles(n: int, seed: int) -> Array:
    """How each of `n` pictures is posed (N, 12): turn of the trunk and head, of both upper arms and forearms, thighs and shins,
    in degrees from hanging straight, outwards positive; and where the hip is, x and y. Picture k depends on seed and k alone.
    """
    found = np.zeros((n, 12))
    for k in range(n):
        rng = np.random.default_rng([seed, 0xA9, k])
        found[k, 0:2] = rng.normal(0, 6, 2)
        found[k, 2:4] = rng.uniform(5, 150, 2)
        found[k, 4:6] = rng.uniform(-20, 90, 2)
        found[k, 6:8] = rng.uniform(0, 45, 2)
        found[k, 8:10] = rng.uniform(-50, 5, 2)
        found[k, 10:12] = rng.uniform(-0.08, 0.08), rng.uniform(-0.03, 0.03)
    return found


def joints(turned: Array) -> Array:
    """Places (N, K, 2) of the points, x and y from the middle of the picture in its shorter sides. turned: see `angles`."""

    def step(degrees: Array, length: float) -> Array:
        """From straight down, turned to the right of the picture."""
        radians = np.deg2rad(degrees)
        return np.stack([np.sin(radians), np.cos(radians)], 1) * length

    at = np.zeros((len(turned), len(NAMES), 2))
    hip = np.stack([turned[:, 10], 0.07 + turned[:, 11]], 1)
    up = -step(turned[:, 0], 1.0)
    across = np.stack([-up[:, 1], up[:, 0]], 1)  # to the right of the picture: the person's left
    at[:, PLACE["middle_hip"]] = hip
    neck = at[:, PLACE["neck"]] = hip + 0.24 * up
    at[:, PLACE["head"]] = neck - step(turned[:, 0] + turned[:, 1], 0.11)
    for sign, side, own in ((1, "left", 0), (-1, "right", 1)):
        shoulder = at[:, PLACE[f"{side}_shoulder"]] = neck + sign * 0.075 * across - 0.015 * up
        elbow = at[:, PLACE[f"{side}_elbow"]] = shoulder + step(sign * turned[:, 2 + own], 0.125)
        at[:, PLACE[f"{side}_hand"]] = elbow + step(sign * (turned[:, 2 + own] + turned[:, 4 + own]), 0.125)
        thigh = at[:, PLACE[f"{side}_hip"]] = hip + sign * 0.045 * across
        knee = at[:, PLACE[f"{side}_knee"]] = thigh + step(sign * turned[:, 6 + own], 0.165)
        at[:, PLACE[f"{side}_foot"]] = knee + step(sign * (turned[:, 6 + own] + turned[:, 8 + own]), 0.165)
    return at


def in_pixels(places: Array, size: tuple[int, int]) -> Array:
    """Places of `joints` in a picture of (height, width); the middle of the first pixel is (0, 0)."""
    found: Array = places * min(size) + (np.array([size[1], size[0]]) - 1) / 2
    return found


def draw(
    people: list[dict[str, Any]], turned: Array, size: int | tuple[int, int] = 64, *, grain: Array | None = None, depth: int = 8
) -> Array:
    """Pictures (N, height, width, 3) uint8, or uint16 of 16 bits, of people (`persons`) in poses (`angles`). grain: (N,) whole
    numbers that the texture of the ground is drawn by; None: a plain ground."""
    sides = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    at = in_pixels(joints(turned), sides)
    unit = min(sides)
    rows, columns = np.mgrid[: sides[0], : sides[1]].astype(np.float32)
    white, whole = 2**depth - 1, np.uint8 if depth == 8 else np.uint16
    made = np.empty((len(people), *sides, 3), whole)
    for number, (who, places) in enumerate(zip(people, at, strict=True)):
        drawn = _one(who, places, unit, rows, columns, None if grain is None else int(grain[number]))
        made[number] = (drawn * white).round().astype(whole)
    return made


def _one(who: dict[str, Any], at: Array, unit: float, rows: Array, columns: Array, grain: int | None) -> Array:
    tint, thick = who["tint"], who["build"] * unit
    skin = np.array([0.55, 0.36, 0.25]) + tint[0] * np.array([0.40, 0.42, 0.42])
    shirt = np.array(colorsys.hsv_to_rgb(SHIRTS[who["shirt"]], 0.75, 0.65 + 0.3 * tint[1]))
    ground = np.array(colorsys.hsv_to_rgb(tint[2], 0.18, 0.75 + 0.2 * tint[3]))
    trousers, hair = np.array(TROUSERS[who["trousers"]]), np.array(HAIR[who["hair"]])
    picture = np.broadcast_to(ground, (*rows.shape, 3)).copy()
    if grain is not None:
        rng = np.random.default_rng([grain, 0x6A])
        turn, wave, phase = rng.uniform(0, np.pi), rng.uniform(0.15, 0.35), rng.uniform(0, 2 * np.pi)
        along = (np.cos(turn) * columns + np.sin(turn) * rows) / unit
        picture += 0.07 * np.sin(2 * np.pi * along / wave + phase)[..., None]

    def limb(one: Any, other: Any, radius: float, colour: Array) -> None:
        """A capsule from one place to another, its edge a pixel soft."""
        a, b = (at[PLACE[own]] if isinstance(own, str) else own for own in (one, other))
        ab = b - a
        share = ((columns - a[0]) * ab[0] + (rows - a[1]) * ab[1]) / max(float(ab @ ab), 1e-9)
        share = share.clip(0, 1)
        apart = np.hypot(columns - a[0] - share * ab[0], rows - a[1] - share * ab[1])
        cover = (radius - apart + 0.5).clip(0, 1)[..., None]
        picture[...] = picture * (1 - cover) + cover * colour

    for side in ("left", "right"):
        limb(f"{side}_hip", f"{side}_knee", 0.038 * thick, trousers)
        limb(f"{side}_knee", f"{side}_foot", 0.032 * thick, trousers)
        limb(f"{side}_foot", f"{side}_foot", 0.038 * thick, np.array([0.15, 0.10, 0.08]))
    for share in (-0.5, 0.0, 0.5):  # a trunk as wide as the shoulders
        across = share * (at[PLACE["left_shoulder"]] - at[PLACE["right_shoulder"]])
        limb(at[PLACE["neck"]] + across, at[PLACE["middle_hip"]] + 0.8 * across, 0.042 * thick, shirt)
    limb("neck", "head", 0.025 * thick, skin)
    for side in ("left", "right"):
        limb(f"{side}_shoulder", f"{side}_elbow", 0.03 * thick, shirt)
        limb(f"{side}_elbow", f"{side}_hand", 0.026 * thick, shirt if who["sleeves"] == "long" else skin)
        limb(f"{side}_hand", f"{side}_hand", 0.03 * thick, skin)
    top = at[PLACE["head"]] + 0.35 * (at[PLACE["head"]] - at[PLACE["neck"]])
    limb(top, top, 0.068 * unit, hair)
    limb("head", "head", 0.062 * unit, skin)
    found: Array = picture.clip(0, 1)
    return found


def told(variant: str | None, n: int, seed: int) -> dict[str, list[str]]:
    """Column -> cells (N,): who is drawn, in which clothes, and the pose in pixels of a picture of 64. `group`: who must not be
    on both sides of a split."""
    numbers = np.arange(n) // IN_A_ROW
    people = persons(numbers, seed)
    places = in_pixels(joints(angles(n, seed)), (TOLD_SIDE, TOLD_SIDE))
    names = [f"p{number:04d}" for number in numbers]
    cells = {"group": names, "person": names}
    cells |= {word: [own[word] for own in people] for word in ("hair", "shirt", "trousers", "sleeves")}
    for k, name in enumerate(NAMES):
        cells |= {f"{name}_{axis}": [f"{value:.3f}" for value in places[:, k, i]] for i, axis in enumerate("xy")}
    cells |= {word: [str(TOLD_SIDE)] * n for word in ("height", "width")}
    return cells | {"links": ["; ".join(f"{one}-{other}" for one, other in JOINED)] * n}


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """`n` figures of `size` (height, width) pixels. facts: who it is, what is worn, the angles and the points in pixels."""
    numbers = np.arange(n) // IN_A_ROW
    people, turned = persons(numbers, seed), angles(n, seed)
    pieces = []
    for start in range(0, n, 64):
        rows = slice(start, min(start + 64, n))
        grain = np.array([seed * 1_000_003 + k for k in range(rows.start, rows.stop)])
        pieces.append(draw(people[rows], turned[rows], size, grain=grain, depth=depth))
        if progress is not None:
            progress(rows.stop, n)
    values = np.concatenate(pieces)
    places = in_pixels(joints(turned), size)
    columns = told(variant, n, seed)
    for k, name in enumerate(NAMES):  # as the pictures are, for who writes them as files
        columns |= {f"{name}_{axis}": [f"{value:.3f}" for value in places[:, k, i]] for i, axis in enumerate("xy")}
    columns |= {"height": [str(size[0])] * n, "width": [str(size[1])] * n}
    facts = [
        {
            "subject": int(numbers[k]),
            **{name: columns[name][k] for name in ("person", "hair", "shirt", "trousers", "sleeves")},
            "angles": [round(float(value), 3) for value in turned[k]],
            "points": {name: [round(float(value), 2) for value in places[k, i]] for i, name in enumerate(NAMES)},
        }
        for k in range(n)
    ]
    return PhantomData(values, None, (), facts=facts, columns=columns)
