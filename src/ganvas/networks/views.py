"""Pictures of solids, shaded, from sides that are asked for: what `vae-gan-3d` learns to read. Not for looking at results,
which `kinds.solid.kind.render` draws finer and from one side alone.

All on the device of the solids, without loops over records: the volume is turned by two resamplings in a plane each, and a
ray ends in the first place that is filled.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

PIXELS = 2  # of a picture's side for each voxel of a solid's
WIDE = 1.5  # what a picture shows, in sides of the cube; the corners of a full cube would be cut off
FILLED = 0.15  # of the smoothed volume: a leg of one voxel is still seen
LOWEST, HIGHEST = math.radians(0.0), math.radians(40.0)  # lifts that are drawn at random
AMBIENT, BRIGHTEST = 0.25, 0.8  # of 1, which is the white ground


def drawn_sides(numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Uniform numbers (B, 5) -> turns about the vertical (B,) and lifts of the camera (B,) in radians, lights (B, 3).

    Lights are directions in the picture (right, up, towards the camera), of length one, from in front and mostly from above.
    """
    turns = 2 * math.pi * numbers[:, 0]
    lifts = LOWEST + (HIGHEST - LOWEST) * numbers[:, 1]
    lights = torch.stack([1.6 * numbers[:, 2] - 0.8, 1.2 * numbers[:, 3], 0.6 + 0.8 * numbers[:, 4]], 1)
    return turns, lifts, lights / lights.norm(dim=1, keepdim=True)


def _smooth(volumes: Tensor) -> Tensor:
    """(B, S, S, S) weighed 1, 2, 1 along each axis, with nothing outside."""
    for axis in (1, 2, 3):
        around = [0, 0] * (3 - axis) + [1, 1] + [0, 0] * (axis - 1)
        wide, count = pad(volumes, around), volumes.shape[axis]
        volumes = (wide.narrow(axis, 0, count) + 2 * volumes + wide.narrow(axis, 2, count)) / 4
    return volumes


def _within(planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(B, C, H, W) read at places (B, h, w) from -1 to 1 along H and W; nothing lies outside."""
    return grid_sample(planes, torch.stack([columns, rows], 3), mode="bilinear", padding_mode="zeros", align_corners=False)


def views(solids: Tensor, turns: Tensor, lifts: Tensor, lights: Tensor) -> Tensor:
    """Solids (B, 1, S, S, S), along x, y and z, in [0, 1] -> grey pictures (B, 1, 2 S, 2 S) in [-1, 1], on white.

    turns, lifts: (B,) radians. At 0 and 0 the camera looks along y, with x to the right; a turn moves it about the vertical, a
    lift raises it. lights: (B, 3), see `drawn_sides`. Orthographic; surfaces are shaded by Lambert's law.
    """
    side = solids.shape[-1]
    pixels, deep = PIXELS * side, side
    turns, lifts = turns[:, None, None], lifts[:, None, None]
    across, away = (WIDE * (2 * torch.arange(n, device=solids.device, dtype=solids.dtype) + 1 - n) / n for n in (pixels, deep))
    first, second = across[:, None], away[None, :]
    x, y = first * turns.cos() - second * turns.sin(), first * turns.sin() + second * turns.cos()
    flat = _within(_smooth(solids[:, 0]).permute(0, 3, 1, 2), x, y)  # (B, z, right, away)
    level, z = second * lifts.cos() + first * lifts.sin(), first * lifts.cos() - second * lifts.sin()
    seen = _within(flat.transpose(1, 2), z, level / WIDE)  # (B, right, up, away)
    places = torch.arange(deep, device=solids.device)
    depth = torch.where(seen > FILLED, places, deep).amin(3, keepdim=True)
    at = depth.clamp(1, deep - 2)
    slopes = []
    for axis, count, step in ((1, pixels, across), (2, pixels, across)):
        inner = at.narrow(axis, 1, count - 2)
        after, before = (seen.narrow(axis, start, count - 2).gather(3, inner) for start in (2, 0))
        around = [0, 0] * (3 - axis) + [1, 1]
        slopes.append(pad((before - after)[..., 0], around[2:]) / (step[1] - step[0]))
    slopes.append((seen.gather(3, at + 1) - seen.gather(3, at - 1))[..., 0] / (away[1] - away[0]))
    normals = torch.stack(slopes, 3)
    normals = normals / normals.norm(dim=3, keepdim=True).clamp(min=1e-6)
    shade = AMBIENT + (1 - AMBIENT) * (normals * lights[:, None, None]).sum(3).clamp(min=0)
    drawn = torch.where(depth[..., 0] < deep, BRIGHTEST * shade, torch.ones_like(shade))
    return (2 * drawn - 1).transpose(1, 2).flip(1)[:, None]
