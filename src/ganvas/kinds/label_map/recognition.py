"""By what a label map is known again, mirrored or with a few pixels changed. Not for judging samples."""

from __future__ import annotations

import numpy as np


def marks(shares: np.ndarray, changed: bool) -> np.ndarray:
    """(N, V, D) float32 of the shares of classes in cells (N, K, rows, columns): each class about its mean over the map.

    changed: also mirrored left to right.
    """
    ways = [shares, shares[..., ::-1]] if changed else [shares]
    made = np.stack([(own - own.mean(axis=(2, 3), keepdims=True)).reshape(len(own), -1) for own in ways], axis=1)
    length = np.linalg.norm(made, axis=2, keepdims=True)
    return (made / np.where(length > 1e-6, length, 1.0) * (length > 1e-6)).astype(np.float32)


def overlap(first: np.ndarray, second: np.ndarray, classes: int) -> np.ndarray:
    """(P,) the mean over the classes of pairs of maps (P, H, W) of their overlap (IoU), plain or mirrored; 0 of maps that are
    all of one class."""
    found = []
    for one in (first, first[..., ::-1]):
        total, present = np.zeros(len(first)), np.zeros(len(first))
        for k in range(classes):
            a, b = one == k, second == k
            either = (a | b).sum(axis=(1, 2))
            total += (a & b).sum(axis=(1, 2)) / np.maximum(either, 1)
            present += either > 0
        found.append(total / np.maximum(present, 1))
    plain = (first.min(axis=(1, 2)) == first.max(axis=(1, 2))) | (second.min(axis=(1, 2)) == second.max(axis=(1, 2)))
    return np.where(plain, 0.0, np.maximum(*found))
