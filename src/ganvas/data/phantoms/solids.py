"""Furniture in voxels: chairs, tables, shelves and beds of boxes and cylinders, with every part known.

For trying and judging systems that learn solid shapes. Proportions, numbers of parts and their styles are drawn at random
within what furniture allows; shapes stand upright (z up) and face one way (the front is at small y), as collections of models
that were aligned do. Not for teaching anything about furniture.

A part's faces lie between voxels and it is at least one voxel thick, so every shape is in one piece at every resolution.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ganvas.data.phantoms import SOLID_CLASSES, PhantomData, Progress
from ganvas.errors import DataError
from ganvas.kinds.solid.spec import SolidSpec

SMALLEST, LARGEST = 16, 256


@dataclass
class _Draft:
    """Parts of one piece of furniture, in its own units: (name, shape, low (3), high (3)). Cylinders stand upright."""

    parts: list[tuple[str, str, np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(self, name: str, low: tuple[float, ...], high: tuple[float, ...], shape: str = "box") -> None:
        self.parts.append((name, shape, np.array(low, float), np.array(high, float)))

    def round(self, name: str, x: float, y: float, radius: float, low: float, high: float) -> None:
        self.add(name, (x - radius, y - radius, low), (x + radius, y + radius, high), "cylinder")


def _legs(
    draft: _Draft, rng: np.random.Generator, width: float, depth: float, height: float, thick: float, inset: float
) -> None:
    """Four legs below a board of width x depth that lies at `height`."""
    shape = "cylinder" if rng.random() < 0.4 else "box"
    for x in (inset, width - inset - thick):
        for y in (inset, depth - inset - thick):
            draft.add("leg", (x, y, 0.0), (x + thick, y + thick, height), shape)


def _chair(draft: _Draft, rng: np.random.Generator) -> None:
    width, depth = rng.uniform(0.8, 1.2), rng.uniform(0.8, 1.1)
    seat, thick = rng.uniform(0.7, 1.1), rng.uniform(0.07, 0.2)
    tall, back = rng.uniform(0.7, 1.4), rng.uniform(0.07, 0.16)
    if rng.random() < 0.2:  # on one column with a foot
        radius = rng.uniform(0.06, 0.12)
        draft.round("column", width / 2, depth / 2, radius, 0, seat)
        draft.round("foot", width / 2, depth / 2, rng.uniform(0.3, 0.42), 0, 0.08)
    else:
        _legs(draft, rng, width, depth, seat, rng.uniform(0.08, 0.16), 0.0)
    draft.add("seat", (0, 0, seat), (width, depth, seat + thick))
    top = seat + thick + tall
    if rng.random() < 0.4:  # a back of slats between two posts
        post, slats = rng.uniform(0.08, 0.14), int(rng.integers(2, 4))
        for x in (0.0, width - post):
            draft.add("post", (x, depth - back, seat), (x + post, depth, top))
        for k in range(slats):
            high = top - k * tall / slats
            draft.add("slat", (0, depth - back, high - 0.5 * tall / slats), (width, depth, high))
    else:
        draft.add("back", (0, depth - back, seat), (width, depth, top))
    if rng.random() < 0.4:
        arm, rest = rng.uniform(0.07, 0.14), rng.uniform(0.25, 0.45)
        for x in (0.0, width - arm):
            draft.add("arm", (x, 0, seat + thick + rest), (x + arm, depth, seat + thick + rest + arm))
            draft.add("support", (x, 0, seat), (x + arm, arm, seat + thick + rest))


def _table(draft: _Draft, rng: np.random.Generator) -> None:
    width, depth = rng.uniform(1.2, 2.4), rng.uniform(0.9, 1.3)
    height, thick = rng.uniform(0.5, 1.2), rng.uniform(0.06, 0.18)
    if rng.random() < 0.3:  # round, on one column
        middle = rng.uniform(0.55, 0.9)
        radius, foot = rng.uniform(0.07, 0.16), rng.uniform(0.3, 0.5)
        draft.round("column", middle, middle, radius, 0, height)
        draft.round("foot", middle, middle, foot, 0, 0.08)
        draft.round("top", middle, middle, middle, height, height + thick)
        return
    leg = rng.uniform(0.09, 0.2)
    _legs(draft, rng, width, depth, height, leg, rng.choice([0.0, 0.08]))
    draft.add("top", (0, 0, height), (width, depth, height + thick))
    if rng.random() < 0.4:
        low = rng.uniform(0.15, 0.4) * height
        draft.add("lower board", (0, 0, low), (width, depth, low + 0.08))


def _shelf(draft: _Draft, rng: np.random.Generator) -> None:
    width, depth, height = rng.uniform(0.8, 1.6), rng.uniform(0.4, 0.7), rng.uniform(1.3, 2.4)
    wall, boards = rng.uniform(0.07, 0.13), int(rng.integers(2, 6))
    for x in (0.0, width - wall):
        draft.add("side", (x, 0, 0), (x + wall, depth, height))
    for k in range(boards + 1):
        z = k * (height - wall) / boards
        draft.add("board", (0, 0, z), (width, depth, z + wall))
    if rng.random() < 0.6:
        draft.add("back", (0, depth - 0.07, 0), (width, depth, height))
    if rng.random() < 0.3:
        middle = width / 2
        draft.add("divider", (middle - wall / 2, 0, 0), (middle + wall / 2, depth, height))


def _bed(draft: _Draft, rng: np.random.Generator) -> None:
    width, depth = rng.uniform(0.9, 1.8), rng.uniform(1.9, 2.2)
    under, thick = rng.uniform(0.12, 0.35), rng.uniform(0.2, 0.4)
    _legs(draft, rng, width, depth, under, rng.uniform(0.1, 0.18), 0.0)
    draft.add("mattress", (0, 0, under), (width, depth, under + thick))
    head = under + thick + rng.uniform(0.2, 0.7)
    draft.add("head board", (0, depth - 0.12, 0), (width, depth, head))
    if rng.random() < 0.5:
        draft.add("foot board", (0, 0, 0), (width, 0.12, under + thick + rng.uniform(0.08, 0.3)))
    high, long = rng.uniform(0.1, 0.18), rng.uniform(0.25, 0.4)
    count = 2 if width > 1.3 else 1
    for k in range(count):
        step = width / count
        low = (k * step + 0.12 * step, depth - 0.12 - long, under + thick)
        draft.add("pillow", low, (low[0] + 0.76 * step, low[1] + long, low[2] + high))


_DRAFTS = dict(zip(SOLID_CLASSES, (_chair, _table, _shelf, _bed), strict=True))


def _in_voxels(draft: _Draft, side: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The parts as one (side, side, side) uint8 that fills the cube up to the margin, and what is known of each."""
    low = np.min([part[2] for part in draft.parts], axis=0)
    extent = np.max([part[3] for part in draft.parts], axis=0) - low
    margin = max(1, round(side / 32))
    scale = (side - 2 * margin) / extent.max()
    whole = np.maximum(np.rint(extent * scale).astype(int), 1)
    shift = (side - whole) // 2
    voxels, facts = np.zeros((side, side, side), np.uint8), []
    for name, shape, start, end in draft.parts:
        first = np.minimum(np.rint((start - low) * scale).astype(int), whole - 1) + shift
        last = np.minimum(np.maximum(np.rint((end - low) * scale).astype(int) + shift, first + 1), whole + shift)
        block = voxels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
        if shape == "cylinder":
            x, y = (np.arange(n) + 0.5 - n / 2 for n in block.shape[:2])
            radius = np.array(block.shape[:2]) / 2
            # A disc of so few voxels is a square.
            block[((x[:, None] / radius[0]) ** 2 + (y / radius[1]) ** 2 <= 1) | (radius.max() <= 1)] = 1
        else:
            block[...] = 1
        facts.append({"part": name, "shape": shape, "low": first.tolist(), "high": last.tolist()})
    return voxels, facts


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """`n` solids in cubes of `size` voxels a side: the four classes in turn, or one of them.

    facts: the parts of each (`part`, `shape`, `low`, `high`: voxels from low to below high along x, y, z); subject: the first
    solid that is equal to it, since coarse voxels leave no other difference between some.
    Raises DataError for sides out of range.
    """
    side = size[0]
    if not SMALLEST <= side <= LARGEST or size[0] != size[1]:
        raise DataError(f"phantom 'solids': the side must be {SMALLEST} to {LARGEST} voxels, not {size[0]}x{size[1]}")
    values, facts = np.zeros((n, side, side, side), np.uint8), []
    labels = np.arange(n, dtype=np.int64) % len(SOLID_CLASSES) if variant is None else np.zeros(n, np.int64)
    classes = SOLID_CLASSES if variant is None else (variant,)
    equal: dict[bytes, int] = {}
    for index in range(n):
        draft = _Draft()
        _DRAFTS[classes[labels[index]]](draft, np.random.default_rng([seed, index, 0x50]))
        values[index], parts = _in_voxels(draft, side)
        first = equal.setdefault(hashlib.blake2b(values[index].tobytes(), digest_size=16).digest(), index)
        facts.append({"subject": first, "parts": parts})
        if progress is not None:
            progress(index + 1, n)
    return PhantomData(values, labels, classes, facts=facts, spec=SolidSpec(side, classes if variant is None else ()))
