"""Phantoms: synthetic worlds with known truth, seeded and fast, for learning, testing and demonstrations.

A phantom is named where data is named: `--data chest`, `--data patterns:sine`, `--data formula:sin(3*x)*x`. Not for reading
files. Nothing heavy is imported before a phantom is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, did_you_mean


@dataclass(frozen=True)
class Phantom:
    """One entry of the catalogue.

    kind: `image` or `points`. variants: what may follow the name after a colon. make: (variant, n, seed, size, depth) ->
    PhantomData.
    """

    name: str
    kind: str
    summary: str
    variants: tuple[str, ...]
    make: Callable[[str, int, int, tuple[int, int], int], PhantomData]


@dataclass
class PhantomData:
    """Records and what is true of them.

    values: images (N, H, W, C) uint8 or uint16, or points (N, D) float32. labels: (N,) int64 into `classes`, or None.
    masks: name -> (N, H, W) uint8, 0 or 255. facts: one JSON-able dictionary a record.
    """

    values: np.ndarray
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    facts: list[dict[str, Any]] = field(default_factory=list)


def _patterns(variant: str, n: int, seed: int, size: tuple[int, int], depth: int) -> PhantomData:
    from .patterns import make

    return make(variant, n, seed)


def _formula(variant: str, n: int, seed: int, size: tuple[int, int], depth: int) -> PhantomData:
    from .patterns import make_formula

    return make_formula(variant, n, seed)


def _gaussians(variant: str, n: int, seed: int, size: tuple[int, int], depth: int) -> PhantomData:
    from .gaussians import make

    return make(variant, n, seed)


def _chest(variant: str, n: int, seed: int, size: tuple[int, int], depth: int) -> PhantomData:
    from .chest import make

    return make(variant, n, seed, size, depth)


def _brain(variant: str, n: int, seed: int, size: tuple[int, int], depth: int) -> PhantomData:
    from .brain import make

    return make(variant, n, seed, size, depth)


_CATALOGUE = (
    Phantom(
        "patterns", "points", "five 1-D patterns as points (x, y), one class each",
        ("sine", "square", "parabola", "sawtooth", "circle"), _patterns,
    ),
    Phantom("formula", "points", "your own pattern: formula:sin(3*x)*x, or formula:x**2;x=-1..2", (), _formula),
    Phantom("gaussians", "points", "2-D mixtures for counting modes", ("ring", "grid"), _gaussians),
    Phantom(
        "chest", "image", "simulated frontal chest radiographs with findings, masks and rules",
        ("normal", "nodule", "effusion", "cardiomegaly", "pneumothorax"), _chest,
    ),
    Phantom("brain", "image", "simulated head MR slices, T1 and T2 of the same anatomy, some with a lesion", ("t1", "t2"), _brain),
)  # fmt: skip


def catalogue() -> dict[str, Phantom]:
    """Every phantom by name."""
    return {p.name: p for p in _CATALOGUE}


def is_phantom(text: str) -> bool:
    """Whether `text` names a phantom. An existing path of that name wins."""
    return text.split(":", 1)[0] in catalogue() and not Path(text).exists()


def make_phantom(
    text: str, n: int, seed: int = 0, *, size: int | tuple[int, int] = 64, depth: int = 8, progress: Any = None
) -> PhantomData:
    """`n` records of the phantom named by `text` (`chest`, `chest:nodule`, `patterns:sine`, `formula:x**2;x=-1..1`).

    size: of images, a side or (height, width). depth: 8 or 16 bits. progress: called with the number of records done.
    The same text, n, seed, size and depth always give the same records.
    Raises DataError for an unknown name or variant, a formula that cannot be read, or numbers out of range.
    """
    name, _, variant = text.partition(":")
    phantoms = catalogue()
    if name not in phantoms:
        raise DataError(f"unknown phantom '{name}'{did_you_mean(name, list(phantoms))}; phantoms: {', '.join(phantoms)}")
    phantom = phantoms[name]
    if variant and phantom.variants and variant not in phantom.variants:
        close = did_you_mean(variant, list(phantom.variants))
        raise DataError(f"phantom '{name}' has no variant '{variant}'{close}; variants: {', '.join(phantom.variants)}")
    if n < 1:
        raise DataError(f"phantom '{name}': {n} records cannot be made, ask for 1 or more")
    height, width = (size, size) if isinstance(size, int) else size
    if phantom.kind == "image" and not (16 <= height <= 2048 and 16 <= width <= 2048):
        raise DataError(f"phantom '{name}': size {height}x{width} is out of range, use 16 to 2048")
    if depth not in (8, 16):
        raise DataError(f"phantom '{name}': depth {depth} is not served, use 8 or 16")
    made = phantom.make(variant, n, seed, (height, width), depth)
    if progress is not None:
        progress(n)
    return made
