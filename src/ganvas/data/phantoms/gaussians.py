"""Mixtures of round Gaussians in the plane, whose modes can be counted.

For asking whether a system covers every mode. The counting itself belongs to the metrics: it needs the centres and the
standard deviation, which stand here.

    ring   8 modes on a circle of radius 2, sigma 0.02 (Metz et al. 2017, Unrolled GANs, arXiv:1611.02163, appendix A)
    grid   25 modes at {-4, -2, 0, 2, 4}^2, sigma 0.05 (Srivastava et al. 2017, VEEGAN, arXiv:1705.07761; the same in
           Lin et al. 2018, PacGAN, arXiv:1712.04086)
"""

from __future__ import annotations

import numpy as np

from ganvas.data.phantoms import PhantomData, Progress

RING_RADIUS = 2.0
RING_SIGMA = 0.02
GRID_SPACING = 2.0
GRID_SIGMA = 0.05

_ANGLES = np.arange(8) * (2 * np.pi / 8)
RING_CENTRES = RING_RADIUS * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
"""(8, 2), counter-clockwise from (2, 0)."""

_STEPS = GRID_SPACING * np.arange(-2, 3)
GRID_CENTRES = np.stack(np.meshgrid(_STEPS, _STEPS, indexing="ij"), axis=-1).reshape(-1, 2)
"""(25, 2), row by row from (-4, -4)."""

MIXTURES = {"ring": (RING_CENTRES, RING_SIGMA), "grid": (GRID_CENTRES, GRID_SIGMA)}
"""Variant to (centres (modes, 2), standard deviation per axis); the modes are equally likely."""


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """Points of the ring (also without a variant) or the grid; the label is the index of the mode."""
    centres, sigma = MIXTURES[variant or "ring"]
    # Two streams, so that a longer draw begins with the shorter one.
    modes = np.random.default_rng([seed, 0]).integers(0, len(centres), n)
    noise = np.random.default_rng([seed, 1]).standard_normal((n, 2))
    values = (centres[modes] + sigma * noise).astype(np.float32)
    if progress is not None:
        progress(n, n)
    return PhantomData(values, modes.astype(np.int64), tuple(f"mode-{index:02d}" for index in range(len(centres))))
