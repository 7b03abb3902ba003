"""The trivial translation of images: one linear map of colours for all of them. Not for what differs within a picture."""

from __future__ import annotations

import numpy as np

from .spec import ImageSpec

LEAST = 1e-3
"""Variance, of values in [-1, 1], that every colour is taken to have: noise of grey pictures becomes no colour."""


def likened(images: np.ndarray, source: np.ndarray, target: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """Images (N, H, W, C) of the class `source` with the colours of the class `target`, in file units.

    Of all linear maps that bring mean and covariance of the one to those of the other, the one that moves colours least
    (Pitie, Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping for example-based colour transfer", eq. 5).
    """
    middle, half = (spec.high + spec.low) / 2, max(spec.high - spec.low, 1e-12) / 2

    def pixels(values: np.ndarray) -> np.ndarray:
        return (values.reshape(-1, values.shape[-1]).astype(np.float64) - middle) / half

    means, covariances = [], []
    for heap in (source, target):
        seen = pixels(np.asarray(heap))
        means.append(seen.mean(0))
        covariances.append(np.atleast_2d(np.cov(seen.T)) + LEAST * np.eye(seen.shape[1]))
    root, back = _power(covariances[0], 0.5), _power(covariances[0], -0.5)
    matrix = back @ _power(root @ covariances[1] @ root, 0.5) @ back
    moved = np.clip((pixels(images) - means[0]) @ matrix + means[1], -1, 1) * half + middle
    whole = np.round(moved) if np.issubdtype(images.dtype, np.integer) else moved
    return np.asarray(whole.reshape(images.shape).astype(images.dtype))


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * values**exponent) @ vectors.T)
