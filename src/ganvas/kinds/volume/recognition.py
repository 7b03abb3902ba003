"""By what a volume is known again that is brighter, of more contrast, or mirrored left to right. Not for judging samples.

Heads are alike, and so are all volumes of one part of the body: what tells two of them apart is detail. So two things must
agree: the volume as a whole, and what is left when its coarse shape is taken off.
"""

from __future__ import annotations

import numpy as np

from .features import coarse, parts

WHOLE, FINE = 12, 24  # cells a side of the marks, and of the comparison
SMOOTH = 3  # cells a side over which the coarse shape is averaged
FAINT = 1e-6  # of the greatest value: the deviation below which a volume is of one value


def _unit(flat: np.ndarray) -> np.ndarray:
    """Rows (N, D) less their mean, of length 1; 0 where they hardly differ."""
    top = np.abs(flat).max(axis=1, keepdims=True)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    there = length > FAINT * np.maximum(top, 1e-30) * np.sqrt(flat.shape[1])
    return np.where(there, flat / np.maximum(length, 1e-30), 0).astype(np.float32)


def _smooth(cells: np.ndarray) -> np.ndarray:
    from scipy.ndimage import uniform_filter

    smooth: np.ndarray = uniform_filter(cells, (0, SMOOTH, SMOOTH, SMOOTH), mode="nearest")
    return smooth


def _cells(values: np.ndarray, side: int) -> np.ndarray:
    return np.concatenate([coarse(part.astype(np.float32), min(side, *part.shape[1:])) for part in parts(values)])


def _mark(cells: np.ndarray) -> np.ndarray:
    """(N, D): the whole and what is fine in it, each half of the mark."""
    halves = [_unit(own.reshape(len(own), -1)) for own in (cells, cells - _smooth(cells))]
    mark = np.concatenate(halves, axis=1)
    length = np.linalg.norm(mark, axis=1, keepdims=True)
    return (mark / np.where(length > 0, length, 1.0)).astype(np.float32)


def marks(values: np.ndarray, changed: bool) -> np.ndarray:
    """(N, V, D) float32 of volumes (N, D, H, W). changed: also of the mirrored volume."""
    cells = _cells(values, WHOLE)
    return np.stack([_mark(own) for own in ((cells, cells[..., ::-1]) if changed else (cells,))], axis=1)


def likeness(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) how alike pairs of volumes are, mirrored or not: the lesser of the correlations of the whole and of what is fine;
    0 to 1."""
    one, other = _cells(first, FINE), _cells(second, FINE)
    best = np.zeros(len(one))
    for own in (one, one[..., ::-1]):
        found = []
        for a, b in ((own, other), (own - _smooth(own), other - _smooth(other))):
            found.append((_unit(a.reshape(len(a), -1)) * _unit(b.reshape(len(b), -1))).sum(axis=1))
        best = np.maximum(best, np.minimum(*found))
    result: np.ndarray = best.clip(0, 1)
    return result
