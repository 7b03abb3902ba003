"""By what a solid is known again that was turned by right angles, or moved within its cube. Not for judging samples."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

CELLS = 8  # of the marks, along each side of the box that holds a solid
STRAY = 0.002  # share of the voxels that may lie outside that box at either end: single ones tell nothing of its extent


@cache
def turns() -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """The 24 turns of a cube, none first: (the axes in their new order, those that are reversed then)."""
    found = []
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            even = axes in ((0, 1, 2), (1, 2, 0), (2, 0, 1))
            if even == (sum(flips) % 2 == 0):  # the others are mirror images
                found.append((axes, tuple(k for k in range(3) if flips[k])))
    return tuple(found)


def turned(voxels: np.ndarray, turn: tuple[tuple[int, ...], tuple[int, ...]]) -> np.ndarray:
    """An array (..., X, Y, Z) turned."""
    first = voxels.ndim - 3
    moved = np.transpose(voxels, (*range(first), *(first + axis for axis in turn[0])))
    return np.flip(moved, tuple(first + axis for axis in turn[1])) if turn[1] else moved


def box_of(joined: np.ndarray) -> tuple[slice, ...]:
    """Where a solid lies in its cube (side, side, side). joined: its voxels without those that stand alone."""
    found = []
    for axis in range(3):
        mass = joined.sum(axis=tuple(k for k in range(3) if k != axis), dtype=np.int64)
        up, down, most = mass.cumsum(), mass[::-1].cumsum(), STRAY * mass.sum()
        found.append(slice(int((up > most).argmax()), len(mass) - int((down > most).argmax())))
    return tuple(found)


def marks(values: np.ndarray, joined: np.ndarray, coarse: object, changed: bool) -> np.ndarray:
    """(N, V, 515) float32 of solids (N, side, side, side): how full each of 8^3 cells of the box that holds a solid is, and
    its extents. joined: as for `box_of`. coarse: a function that takes means over 8^3 cells. changed: in all 24 turns."""
    side = values.shape[1]
    made = np.zeros((len(values), len(turns()) if changed else 1, CELLS**3 + 3), np.float32)
    for row, (record, own) in enumerate(zip(values, joined, strict=True)):
        if not own.any():
            continue
        box = box_of(own)
        cells = coarse(record[box][None].astype(np.float32))[0]  # type: ignore[operator]
        extents = np.array([place.stop - place.start for place in box]) / side
        full = np.linalg.norm(cells)
        for k, turn in enumerate(turns()[: made.shape[1]]):
            made[row, k, :-3] = turned(cells, turn).reshape(-1) / full
            made[row, k, -3:] = extents[list(turn[0])]
    length = np.linalg.norm(made, axis=2, keepdims=True)
    return made / np.where(length > 0, length, 1.0)


def overlap(first: np.ndarray, second: np.ndarray, joined: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(P,) the voxels that pairs of solids (P, side, side, side) share over all that either has, in the best turn and moved to
    the same corner of their boxes; 0 where no turn brings their extents within a voxel of each other."""
    made = np.zeros(len(first))
    for row, (one, other, own, its) in enumerate(zip(first, second, *joined, strict=True)):
        if not own.any() or not its.any():
            continue
        one, other = one[box_of(own)] > 0, other[box_of(its)] > 0
        for turn in turns():
            moved = turned(one, turn)
            if any(abs(a - b) > 1 for a, b in zip(moved.shape, other.shape, strict=True)):
                continue
            shared = tuple(slice(0, min(a, b)) for a, b in zip(moved.shape, other.shape, strict=True))
            common = int((moved[shared] & other[shared]).sum())
            made[row] = max(made[row], common / (int(moved.sum()) + int(other.sum()) - common))
    return made
