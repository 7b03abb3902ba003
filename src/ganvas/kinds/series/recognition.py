"""By what a window of a series is known again that begins a little earlier or later, or has other levels and scales. Not for
judging samples."""

from __future__ import annotations

import numpy as np

SHIFT = 8  # a window is known up to a shift of this part of its length: they begin a quarter of the length apart
LEAST = 1e-3  # variance over that of half a quantity's range below which nothing tells windows apart


def marks(values: np.ndarray, scale: np.ndarray, still: float, changed: bool) -> np.ndarray:
    """(N, V, D) float32 of windows (N, T, C): the course of their middle, each quantity about its mean, at its own spread.

    scale (C,): half the range of each quantity. still: spread, in that unit, from which on a quantity counts in full. changed:
    the middle of the window as it lies, and moved by each step up to an eighth of the length either way.
    """
    windows = np.asarray(values, np.float64) / scale
    most = windows.shape[1] // SHIFT
    shifts = sorted(range(-most, most + 1), key=abs) if changed else [0]
    made = []
    for shift in shifts:
        own = windows[:, most + shift : windows.shape[1] - most + shift]
        own = own - own.mean(axis=1, keepdims=True)
        own = own / np.sqrt(np.square(own).mean(axis=1, keepdims=True) + still**2)
        flat = own.reshape(len(own), -1)
        power = np.square(flat).mean(axis=1, keepdims=True)
        made.append(np.where(power > LEAST, flat / np.sqrt(np.maximum(power, LEAST) * flat.shape[1]), 0.0))
    return np.stack(made, axis=1).astype(np.float32)


def correlation(first: np.ndarray, second: np.ndarray, scale: np.ndarray, still: float) -> np.ndarray:
    """(P,) the correlation of the middles of pairs of windows (P, T, C) at the best shift, whichever their levels."""
    moved, own = marks(first, scale, still, True), marks(second, scale, still, False)[:, 0]
    return np.clip(np.einsum("pvd,pd->pv", moved, own).max(axis=1), 0.0, 1.0)
