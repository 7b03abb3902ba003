"""Networks of PG2, and what they are told of a pose: a map for each point, and a mask of the body. Ma et al., 2017 (arXiv
1705.09368), sections 3.1 and 3.2, and appendix.

Poses (B, K, 3) are those of the kind `pose`: x and y from -1 to 1 over the picture, visibility below -0.5 where a point is not
there. Not for reading poses from files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from ..batches import constant

DEEPEST = 6
LEAST = 4  # pixels of a side behind the last convolution of stride 2


def _pixels(poses: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Places (B, K, 2) in pixels, what is there (B, K), and the grid (H, W, 2)."""
    sides = constant((width, height), poses.device, poses.dtype)
    places = (poses[..., :2] + 1) / 2 * sides - 0.5
    rows = torch.arange(height, device=poses.device, dtype=poses.dtype)
    columns = torch.arange(width, device=poses.device, dtype=poses.dtype)
    grid = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], 2)
    return places, poses[..., 2] > -0.5, grid


def point_maps(poses: Tensor, height: int, width: int, radius: float) -> Tensor:
    """(B, K, H, W) from 0 to 1: a disc round each point, of `radius` of the shorter side, its edge a pixel soft; 0 where a
    point is not there."""
    places, there, grid = _pixels(poses, height, width)
    apart = (grid - places[:, :, None, None]).square().sum(4).sqrt()
    discs = (radius * min(height, width) - apart + 0.5).clamp(0, 1)
    return discs * there[..., None, None].to(discs.dtype)


def body_mask(poses: Tensor, links: Sequence[tuple[int, int]], height: int, width: int, radius: float) -> Tensor:
    """(B, 1, H, W), 1 on the body: what lies within `radius` of the shorter side of a bone or of a point. Without bones it is
    discs round the points."""
    places, there, grid = _pixels(poses, height, width)
    pairs = [*links, *((k, k) for k in range(poses.shape[1]))]
    first, second = (constant(tuple(pair[end] for pair in pairs), poses.device) for end in (0, 1))
    a, b = places[:, first], places[:, second]  # (B, L, 2)
    bone = b - a
    away = grid[None, None] - a[:, :, None, None]
    along = (away * bone[:, :, None, None]).sum(4) / bone.square().sum(2).clamp(min=1e-6)[:, :, None, None]
    apart = (away - along.clamp(0, 1)[..., None] * bone[:, :, None, None]).square().sum(4)
    known = (there[:, first] & there[:, second])[..., None, None]
    apart = torch.where(known, apart, math.inf)
    inside = apart.amin(1, keepdim=True) <= (radius * min(height, width)) ** 2
    return inside.to(poses.dtype)


def depth_for(height: int, width: int, fewer: int = 0) -> int:
    """How often networks halve pictures: to a shorter side of 4 pixels, at most 6 times; `fewer` times less, at least once."""
    return max(1, min(DEEPEST, int(math.log2(min(height, width) / LEAST))) - fewer)


class _Pair(nn.Module):
    """x + f(x), f: two 3x3 convolutions, each behind with a ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(inplace=True)
        )

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = maps + self.layers(maps)
        return result


class PoseNetwork(nn.Module):
    """A U-Net of residual pairs: maps (B, before, H, W) -> (B, after, H, W), not bounded.

    Level k has (k + 1) * width channels; convolutions of stride 2 lead down, repeated pixels up, to what was there on the way
    down. code_size: of the fully connected layer in the middle, through which all parts of a body reach all others; 0: none,
    which leaves the network to its convolutions (the second stage).
    """

    def __init__(
        self, before: int, after: int, size: tuple[int, int], width: int, depth: int, code_size: int = 0
    ) -> None:  # fmt: skip
        super().__init__()
        widths = [width * (k + 1) for k in range(depth + 1)]
        self.first = nn.Conv2d(before, widths[0], 3, 1, 1)
        self.down = nn.ModuleList(_Pair(own) for own in widths)
        self.smaller = nn.ModuleList(nn.Conv2d(widths[k], widths[k + 1], 3, 2, 1) for k in range(depth))
        inner = size
        for _ in range(depth):
            inner = (-(-inner[0] // 2), -(-inner[1] // 2))
        self.inner = (widths[-1], *inner)
        if code_size:
            many = math.prod(self.inner)
            self.code = nn.Sequential(nn.Flatten(), nn.Linear(many, code_size), nn.Linear(code_size, many))
        self.larger = nn.ModuleList(nn.Conv2d(widths[k + 1], widths[k], 1) for k in reversed(range(depth)))
        self.up = nn.ModuleList(_Pair(widths[k]) for k in reversed(range(depth)))
        self.last = nn.Conv2d(widths[0], after, 3, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        found = relu(self.first(maps))
        kept: list[Tensor] = []
        for place, pair in enumerate(self.down):
            found = pair(found)
            if place < len(self.smaller):
                kept.append(found)
                found = relu(self.smaller[place](found))
        if hasattr(self, "code"):
            found = self.code(found).unflatten(1, self.inner)
        for larger, pair in zip(self.larger, self.up, strict=True):
            beside = kept.pop()
            found = pair(larger(interpolate(found, size=beside.shape[2:], mode="nearest")) + beside)
        result: Tensor = self.last(found)
        return result
