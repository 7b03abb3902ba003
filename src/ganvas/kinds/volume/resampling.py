"""Volumes of any size and spacing at one side: areas where they shrink, linear interpolation where they grow.

Middles stay middles: voxel i of a side of n covers i/n to (i + 1)/n of its extent, however many voxels there are, so nothing
moves by half a voxel. Not for the game's own resampling (`networks.patch_gan_3d`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

FITS = ("pad", "crop", "stretch")


@lru_cache(maxsize=64)
def shares(before: int, after: int, extent: float) -> np.ndarray:
    """(after, before) float32: how much of each old voxel along an axis a new one has; rows sum to 1, and to 0 outside.

    extent: how many old voxels lie across all new ones, centred on the old middle.
    """
    step = extent / after
    edges = (before - extent) / 2 + step * np.arange(after + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    made = np.zeros((after, before))
    if step > 1:
        ends = np.arange(before + 1)
        made = (np.minimum(edges[1:, None], ends[1:]) - np.maximum(edges[:-1, None], ends[:-1])).clip(0)
    else:
        place = (middles - 0.5).clip(0, before - 1)
        low = np.minimum(np.floor(place).astype(int), max(0, before - 2))
        made[np.arange(after), low] = 1 - (place - low)
        made[np.arange(after), np.minimum(low + 1, before - 1)] += place - low
    made[(middles < 0) | (middles > before)] = 0
    total = made.sum(1, keepdims=True)
    weights: np.ndarray = np.divide(made, total, out=np.zeros_like(made), where=total > 0).astype(np.float32)
    return weights


def extents(shape: Sequence[int], spacing: Sequence[float], fit: str) -> tuple[float, ...]:
    """How many old voxels lie across the new cube along each axis, so that a millimetre is as long along all of them.

    `pad`: the longest side fills the cube; `crop`: the shortest does; `stretch`: each does, whatever becomes of the shape.
    """
    if fit == "stretch":
        return tuple(float(length) for length in shape)
    long = [length * gap for length, gap in zip(shape, spacing, strict=True)]
    across = max(long) if fit == "pad" else min(long)
    return tuple(across / gap for gap in spacing)


def at_side(volume: np.ndarray, side: int, spacing: Sequence[float], fit: str) -> tuple[np.ndarray, tuple[float, ...], str]:
    """A volume (D, H, W) as (side, side, side) float32, what a voxel then is across along each axis (in the unit of `spacing`),
    and what was done, in a word (empty: nothing). What lies outside has the volume's least value."""
    across = extents(volume.shape, spacing, fit)
    apart = tuple(extent / side * gap for extent, gap in zip(across, spacing, strict=True))
    if all(length == side and abs(extent - side) < 1e-6 for length, extent in zip(volume.shape, across, strict=True)):
        return volume.astype(np.float32), apart, ""
    floor = float(volume.min())
    made = volume.astype(np.float32) - np.float32(floor)
    for axis, (length, extent) in enumerate(zip(volume.shape, across, strict=True)):
        made = np.moveaxis(np.tensordot(shares(length, side, round(extent, 6)), made, axes=(1, axis)), 0, axis)
    shrinks = [extent > side for extent in across]
    done = "areas" if all(shrinks) else "trilinear" if not any(shrinks) else "areas and trilinear"
    return np.ascontiguousarray(made + np.float32(floor)), apart, done
