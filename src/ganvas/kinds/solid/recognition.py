"""By what a solid is known again that was turned by right angles, or moved within its cube. Not for judging samples."""

from __future__ import annotations

import itertools
from collections.abc import Callable
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


def boxes_of(joined: np.ndarray) -> np.ndarray:
    """(N, 3, 2): from where to where each solid (N, side, side, side) lies along each axis, 0 to 0 where it is empty. joined:
    voxels without those alone."""
    inside = (np.asarray(joined) > 0).view(np.uint8)
    across = inside.sum(axis=1, dtype=np.uint16)  # (N, side, side): along y and z
    planes = inside.reshape(*inside.shape[:2], -1).sum(axis=2, dtype=np.uint32)
    ends = np.zeros((len(inside), 3, 2), np.int64)
    for axis, mass in enumerate((planes, across.sum(2), across.sum(1))):
        most = STRAY * mass.sum(1, keepdims=True)
        ends[:, axis, 0] = (mass.cumsum(1) > most).argmax(1)
        ends[:, axis, 1] = mass.shape[1] - (mass[:, ::-1].cumsum(1) > most).argmax(1)
    ends[~planes.any(axis=1)] = 0
    return ends


def _within(record: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The part of a solid (side, side, side) in its box."""
    (a, b), (c, d), (e, f) = box.tolist()
    return record[a:b, c:d, e:f]


@cache
def _places() -> np.ndarray:
    """(24, 8^3): from which of the cells, counted in order, each of a turned solid comes."""
    cells = np.arange(CELLS**3).reshape(CELLS, CELLS, CELLS)
    return np.stack([turned(cells, turn).reshape(-1) for turn in turns()])


def marks(
    values: np.ndarray, joined: np.ndarray, coarse: Callable[[np.ndarray], np.ndarray], changed: bool
) -> np.ndarray:  # fmt: skip
    """(N, V, 515) float32 of solids (N, side, side, side): how full each of 8^3 cells of the box that holds a solid is, and
    its extents. joined: as for `boxes_of`. coarse: takes means over 8^3 cells, of any (N, X, Y, Z) float32. changed: in all 24
    turns."""
    side = values.shape[1]
    order = np.array([axes for axes, _ in turns()])[: None if changed else 1]
    made = np.zeros((len(values), len(order), CELLS**3 + 3), np.float32)
    boxes = boxes_of(joined)
    extents = boxes[:, :, 1] - boxes[:, :, 0]
    for row in np.flatnonzero(extents[:, 0]):
        cells = coarse(_within(values[row], boxes[row])[None].astype(np.float32))[0]
        made[row, :, :-3] = (cells / np.linalg.norm(cells)).reshape(-1)[_places()[: len(order)]]
        made[row, :, -3:] = (extents[row] / side)[order]
    length = np.linalg.norm(made, axis=2, keepdims=True)
    return made / np.where(length > 0, length, 1.0)


def overlap(first: np.ndarray, second: np.ndarray, joined: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(P,) the voxels that pairs of solids (P, side, side, side) share over all that either has, in the best turn and moved to
    the same corner of their boxes; 0 where no turn brings their extents within a voxel of each other."""
    made = np.zeros(len(first))
    boxes, others = (boxes_of(side) for side in joined)
    own, its = (ends[:, :, 1] - ends[:, :, 0] for ends in (boxes, others))
    order = np.array([axes for axes, _ in turns()])
    sides = np.minimum(own[:, order], its[:, None])  # (P, 24, 3)
    fits = (abs(own[:, order] - its[:, None]) <= 1).all(axis=2) & (own[:, :1] > 0) & (its[:, :1] > 0)
    for row in np.flatnonzero(fits.any(axis=1)):
        one, other = _within(first[row], boxes[row]) > 0, _within(second[row], others[row]) > 0
        both = np.count_nonzero(one) + np.count_nonzero(other)
        for k in np.flatnonzero(fits[row]):
            a, b, c = sides[row, k]
            common = np.count_nonzero(turned(one, turns()[k])[:a, :b, :c] & other[:a, :b, :c])
            made[row] = max(made[row], common / (both - common))
    return made
