"""Mixtures of Gaussians in two dimensions, whose modes can be counted: a ring of 8 and a grid of 25.

Sizes are those in common use since Metz et al. 2017 ("Unrolled GANs") and Srivastava et al. 2017 ("VEEGAN").
"""

from __future__ import annotations

import numpy as np

from . import PhantomData

RING_CENTRES = np.stack([2 * np.cos(np.arange(8) * np.pi / 4), 2 * np.sin(np.arange(8) * np.pi / 4)], 1)
RING_SIGMA = 0.02
GRID_CENTRES = np.stack(np.meshgrid(np.arange(-4, 5, 2), np.arange(-4, 5, 2)), -1).reshape(-1, 2).astype(float)
GRID_SIGMA = 0.05


def modes(variant: str) -> tuple[np.ndarray, float]:
    """(centres (K, 2), sigma) of `ring` or `grid` (the default)."""
    return (RING_CENTRES, RING_SIGMA) if variant == "ring" else (GRID_CENTRES, GRID_SIGMA)


def make(variant: str, n: int, seed: int) -> PhantomData:
    """`n` points, every mode equally likely. facts: the mode each came from."""
    centres, sigma = modes(variant)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(centres), size=n)
    values = centres[chosen] + rng.normal(scale=sigma, size=(n, 2))
    return PhantomData(values.astype(np.float32), facts=[{"mode": int(k)} for k in chosen])
