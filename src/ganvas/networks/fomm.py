"""Networks of the first order motion model: keypoints with their local affine maps, dense motion, a generator that warps.

Siarohin, Lathuiliere, Tulyakov, Ricci, Sebe, 2019, "First Order Motion Model for Image Animation" (arXiv 2003.00196). Places
are (x, y) from -1 to 1 between the outer edges of a picture (`align_corners=False` everywhere), so they mean the same at every
size. Not the game: `systems/video/fomm.py`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

from ..batches import Noise
from .blocks import convolution, relu

VARIANCE = 0.01  # of the Gaussians that tell of keypoints
LEAST_DETERMINANT = 1e-2  # of a local map that is inverted
SMALLEST_MAP = 4  # a smaller one is not halved further
WIDE_HEAD = 48  # pixels of a map from which on heads have 7x7 convolutions, as in the paper; below it 3x3
TURNED, BENT, POSTS = 0.05, 0.005, 5
"""Standard deviations of a random transform: of its affine part, and of the pulls at POSTS x POSTS places that bend it."""


@dataclass
class Keypoints:
    """Places (B, K, 2) and the maps around them (B, K, 2, 2), None where only places are known."""

    places: Tensor
    maps: Tensor | None

    def __getitem__(self, rows: Any) -> Keypoints:
        return Keypoints(self.places[rows], None if self.maps is None else self.maps[rows])


def full(values: Tensor) -> Tensor:
    """At least in single precision: a place in half of it is off by a pixel."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def grid(height: int, width: int, like: Tensor) -> Tensor:
    """(height, width, 2): the places of the middles of pixels."""
    y, x = ((torch.arange(side, device=like.device, dtype=like.dtype) * 2 + 1) / side - 1 for side in (height, width))
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Of 2x2 matrices (..., 2, 2); by elements, because mixed precision would round a matrix product."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)


def applied(matrix: Tensor, vector: Tensor) -> Tensor:
    """(..., 2, 2), (..., 2) -> (..., 2)."""
    return (matrix * vector[..., None, :]).sum(-1)


def inverse(matrix: Tensor) -> Tensor:
    """Of (..., 2, 2); a determinant nearer to 0 than `LEAST_DETERMINANT` is taken for that, with its sign."""
    (a, b), (c, d) = (row.unbind(-1) for row in matrix.unbind(-2))
    determinant = a * d - b * c
    least = torch.where(determinant < 0, -LEAST_DETERMINANT, LEAST_DETERMINANT)
    determinant = torch.where(determinant.abs() < LEAST_DETERMINANT, least, determinant)
    return torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2) / determinant[..., None, None]


def warped(maps: Tensor, places: Tensor) -> Tensor:
    """Maps (B, C, H, W) looked up at places (B, h, w, 2); beyond the border lies what is at the border."""
    return grid_sample(full(maps), full(places), padding_mode="border", align_corners=False).to(maps.dtype)


def gaussians(places: Tensor, height: int, width: int) -> Tensor:
    """(B, K, 2) -> (B, K, height, width), 1 at a keypoint."""
    apart = grid(height, width, places) - places[:, :, None, None]
    return torch.exp(-0.5 * apart.square().sum(-1) / VARIANCE)


class Transforms:
    """Random maps of the plane for `count` frames: an affine part near the identity, bent by a thin-plate spline."""

    def __init__(self, noise: Noise, count: int) -> None:
        drawn = noise.normal(count, 2, 3)
        self.linear = torch.eye(2, device=drawn.device, dtype=drawn.dtype) + TURNED * drawn[..., :2]
        self.shift = TURNED * drawn[..., 2]
        self.posts = grid(POSTS, POSTS, drawn).view(-1, 2)
        self.pulls = BENT * noise.normal(count, POSTS**2, 2)

    def __call__(self, places: Tensor) -> Tensor:
        """(B, ..., 2) -> where they are moved to."""
        kept, places = places.shape, places.flatten(1, -2)
        square = (places[:, :, None] - self.posts).square().sum(-1)  # (B, N, posts)
        bent = ((square * (square + 1e-6).log())[..., None] * self.pulls[:, None]).sum(2)
        return (applied(self.linear[:, None], places) + self.shift[:, None] + bent).view(kept)

    def slopes(self, places: Tensor) -> Tensor:
        """(B, K, 2) -> T' there, (B, K, 2, 2)."""
        apart = places[:, :, None] - self.posts
        square = apart.square().sum(-1)
        rise = 2 * ((square + 1e-6).log() + square / (square + 1e-6))[..., None] * apart  # (B, K, posts, 2)
        return self.linear[:, None] + (self.pulls[:, None, :, :, None] * rise[:, :, :, None]).sum(2)


class Hourglass(nn.Module):
    """Maps (B, channels, H, W) -> (B, self.channels, H, W), down to maps of 4 pixels and up again, with what was seen on the
    way down beside. width: doubles at each of at most `most` halvings."""

    def __init__(self, channels: int, width: int, side: int, most: int = 5) -> None:
        super().__init__()
        levels = 0
        while levels < most and side >> (levels + 1) >= SMALLEST_MAP:
            levels += 1
        widths = [channels, *(width * 2 ** (level + 1) for level in range(levels))]
        self.down = nn.ModuleList(
            nn.Sequential(*convolution(before, after, 3, norm=nn.BatchNorm2d, activation=relu), nn.AvgPool2d(2, ceil_mode=True))
            for before, after in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList()
        carried = widths[-1]
        for level in range(levels - 1, -1, -1):
            after = width * 2**level
            self.up.append(nn.Sequential(*convolution(carried, after, 3, norm=nn.BatchNorm2d, activation=relu)))
            carried = after + widths[level]
        self.channels = carried

    def forward(self, maps: Tensor) -> Tensor:
        seen = [maps]
        for block in self.down:
            seen.append(block(seen[-1]))
        made = seen.pop()
        for block in self.up:
            beside = seen.pop()
            made = torch.cat([block(interpolate(made, size=beside.shape[2:])), beside], 1)
        return made


def head(before: int, after: int, side: int) -> nn.Conv2d:
    kernel = 7 if side >= WIDE_HEAD else 3
    return nn.Conv2d(before, after, kernel, padding=kernel // 2)


class KeypointDetector(nn.Module):
    """Frames (B, C, H, W) -> keypoints: heatmaps, of which a place is the mean; with `affine` also the maps round them."""

    def __init__(self, channels: int, count: int, width: int, side: int, affine: bool, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.hourglass = Hourglass(channels, width, side)
        self.heat = head(self.hourglass.channels, count, side)
        self.maps: nn.Conv2d | None = None
        if affine:
            self.maps = head(self.hourglass.channels, 4 * count, side)
            nn.init.zeros_(self.maps.weight)
            assert self.maps.bias is not None
            with torch.no_grad():
                self.maps.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 1.0]).repeat(count))

    def forward(self, frames: Tensor) -> Keypoints:
        seen = self.hourglass(frames)
        logits = full(self.heat(seen))
        count, points, height, width = logits.shape
        heat = (logits.flatten(2) / self.temperature).softmax(-1).view(count, points, height, width)
        places = (heat[..., None] * grid(height, width, heat)).sum((2, 3))
        if self.maps is None:
            return Keypoints(places, None)
        maps = full(self.maps(seen)).view(count, points, 4, height, width)
        return Keypoints(places, (heat[:, :, None] * maps).sum((3, 4)).view(count, points, 2, 2))


class DenseMotion(nn.Module):
    """The source and both frames' keypoints -> where each pixel comes from, and how much of it the source shows.

    warps: without it nothing is moved, and what the hourglass found is handed on in place of the field.
    """

    def __init__(self, channels: int, count: int, width: int, side: int, warps: bool) -> None:
        super().__init__()
        self.warps = warps
        self.hourglass = Hourglass((count + 1) * (channels + 1) if warps else count + channels, width, side)
        self.choice = head(self.hourglass.channels, count + 1, side) if warps else None
        self.shown = head(self.hourglass.channels, 1, side)

    def forward(self, source: Tensor, of_source: Keypoints, of_driving: Keypoints) -> tuple[Tensor, Tensor]:
        """source (B, C, h, w), at the scale of the motion -> places (B, h, w, 2), or what was found (B, channels, h, w); and
        how far the source shows each pixel, (B, 1, h, w) from 0 to 1."""
        count, channels, height, width = source.shape
        heat = gaussians(of_driving.places, height, width) - gaussians(of_source.places, height, width)
        if self.choice is None:
            seen = self.hourglass(torch.cat([heat.to(source.dtype), source], 1))
            return seen, torch.sigmoid(full(self.shown(seen)))
        moves = candidates(of_source, of_driving, height, width)  # (B, K + 1, h, w, 2), the first one stands still
        many = moves.shape[1]
        copies = warped(source.repeat_interleave(many, 0), moves.flatten(0, 1)).view(count, many * channels, height, width)
        heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], 1)
        seen = self.hourglass(torch.cat([heat.to(source.dtype), copies], 1))
        share = full(self.choice(seen)).softmax(1)
        return (share[..., None] * moves).sum(1), torch.sigmoid(full(self.shown(seen)))


def candidates(of_source: Keypoints, of_driving: Keypoints, height: int, width: int) -> Tensor:
    """T_k(z) = p_S + J_S J_D^-1 (z - p_D) near each keypoint (eq. 4), before them z itself: (B, K + 1, height, width, 2)."""
    here = grid(height, width, of_driving.places)
    apart = here - of_driving.places[:, :, None, None]
    if of_source.maps is not None and of_driving.maps is not None:
        apart = applied(product(of_source.maps, inverse(of_driving.maps))[:, :, None, None], apart)
    moves = apart + of_source.places[:, :, None, None]
    return torch.cat([here.expand(len(moves), 1, height, width, 2), moves], 1)


class PlainBlock(nn.Module):
    """x + f(x), f: twice norm, activation and 3x3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        made: Tensor = maps + self.layers(maps)
        return made


class WarpingGenerator(nn.Module):
    """The source (B, C, H, W) and a field -> frames of the same shape in [-1, 1].

    halvings: before the warp. beside: channels of what is handed on in place of a field, 0 with one. copies: whether the warped
    source itself stands where it is shown.
    """

    def __init__(self, channels: int, width: int, halvings: int, blocks: int, beside: int, copies: bool) -> None:
        super().__init__()
        self.copies = copies
        widths = [width * min(8, 2**level) for level in range(halvings + 1)]
        self.first = nn.Sequential(*convolution(channels, width, 7, norm=nn.BatchNorm2d, activation=relu))
        self.down = nn.ModuleList(
            nn.Sequential(*convolution(before, after, 3, norm=nn.BatchNorm2d, activation=relu), nn.AvgPool2d(2, ceil_mode=True))
            for before, after in itertools.pairwise(widths)
        )
        self.join = nn.Conv2d(widths[-1] + beside, widths[-1], 1) if beside else None
        self.middle = nn.Sequential(*(PlainBlock(widths[-1]) for _ in range(blocks)))
        self.up = nn.ModuleList(
            nn.Sequential(*convolution(before, after, 3, norm=nn.BatchNorm2d, activation=relu))
            for before, after in itertools.pairwise(reversed(widths))
        )
        self.last = nn.Conv2d(width, channels, 7, padding=3)

    def forward(self, source: Tensor, field: Tensor, shown: Tensor) -> Tensor:
        """field, shown: as `DenseMotion` gives them, at any scale."""
        maps, sizes = self.first(source), []
        for block in self.down:
            sizes.append(maps.shape[2:])
            maps = block(maps)
        if self.join is None:
            maps = warped(maps, resized(field.movedim(-1, 1), maps.shape[2:]).movedim(1, -1))
        else:
            maps = self.join(torch.cat([maps, resized(field, maps.shape[2:]).to(maps.dtype)], 1))
        maps = self.middle(maps * resized(shown, maps.shape[2:]).to(maps.dtype))
        for block, size in zip(self.up, reversed(sizes), strict=True):
            maps = block(interpolate(maps, size=size))
        made: Tensor = torch.tanh(self.last(maps))
        if not self.copies:
            return made
        moved = source
        if self.join is None:
            moved = warped(source, resized(field.movedim(-1, 1), source.shape[2:]).movedim(1, -1))
        share = resized(shown, source.shape[2:]).to(made.dtype)
        return share * moved + (1 - share) * made


def resized(maps: Tensor, size: Any) -> Tensor:
    """(B, C, h, w) at another size, by straight lines between pixels."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


class Animator(nn.Module):
    """All that makes frames: keypoints, motion, generator. motion: `affine`, `shift` (no local maps) or `none` (no field)."""

    def __init__(
        self, shape: tuple[int, int, int], count: int, width: int, generator_width: int, blocks: int, halvings: int, scale: int,
        motion: str, copies: bool, temperature: float,
    ) -> None:  # fmt: skip
        super().__init__()
        channels, *sides = shape
        self.scale, self.warps = scale, motion != "none"
        side = min(sides) // scale
        self.detector = KeypointDetector(channels, count, width, side, motion == "affine", temperature)
        self.motion = DenseMotion(channels, count, width, side, self.warps)
        beside = 0 if self.warps else self.motion.hourglass.channels
        self.generator = WarpingGenerator(channels, generator_width, halvings, blocks, beside, copies)

    def small(self, frames: Tensor) -> Tensor:
        """At the scale at which keypoints and motion are found."""
        if self.scale == 1:
            return frames
        size = [max(1, side // self.scale) for side in frames.shape[2:]]
        return interpolate(frames, size=size, mode="area")

    def keypoints(self, frames: Tensor) -> Keypoints:
        found: Keypoints = self.detector(self.small(frames))
        return found

    def drawn(self, source: Tensor, of_source: Keypoints, of_driving: Keypoints) -> tuple[Tensor, Tensor, Tensor]:
        """The source as the driving keypoints have it, the field (or what stands for it) and how much the source shows."""
        field, shown = self.motion(self.small(source), of_source, of_driving)
        return self.generator(source, field, shown), field, shown

    def forward(self, source: Tensor, of_source: Keypoints, of_driving: Keypoints) -> Tensor:
        return self.drawn(source, of_source, of_driving)[0]
