"""The networks of TP-GAN. Huang et al., 2017, "Beyond Face Rotation" (ICCV, arXiv 1704.04086), sections 3.1 and 3.3: a
generator with a global and four local paths, and the network that knows who is on a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, normalize, pad

from .blocks import convolution, enlarging, leaky_relu, relu
from .convolutional import initialise

PLACES = 4
"""Eyes, nose and mouth; where nothing is known of landmarks, the four places of most detail."""
HIGH, WIDE = 4, 3.2
"""Sides of a patch, in those of the picture: 1 / HIGH, 1 / WIDE (the paper's eyes are 40 pixels of 128)."""
APART = 0.75
"""Share of its sides by which a place keeps away from those found before."""


LIFT = 2.0
"""What is added to values of parts that begin at -1, so that a place without a part is less than any."""


def patch_size(height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of a patch of a picture of this size; even, as a net that reads twice as wide halves it."""
    return max(2, round(height / HIGH / 2) * 2), max(2, round(width / WIDE / 2) * 2)


def detailed_places(mean: Tensor, size: tuple[int, int]) -> Tensor:
    """The mean picture (C, H, W) of front views -> top left corners (PLACES, 2) int64 of patches of `size`, apart.

    The places where neighbours differ most: what stays where it is over all pictures has edges in their mean. The outermost
    eighth, where heads and shoulders end, does not count.
    """
    height, width = mean.shape[1:]
    grey = mean.mean(0)
    edges = torch.zeros_like(grey)
    edges[:, 1:] += (grey[:, 1:] - grey[:, :-1]).abs()
    edges[1:] += (grey[1:] - grey[:-1]).abs()
    down, across = height // 8, width // 8
    inside = torch.zeros_like(grey)
    inside[down : height - down, across : width - across] = 1.0
    energy = avg_pool2d((edges * inside)[None, None], size, 1)[0, 0] + 1e-9
    rows = torch.arange(energy.shape[0], device=mean.device)[:, None]
    columns = torch.arange(energy.shape[1], device=mean.device)[None]
    found = []
    for _ in range(PLACES):
        best = energy.flatten().argmax()
        top, left = best // energy.shape[1], best % energy.shape[1]
        near = ((rows - top).abs() < APART * size[0]) & ((columns - left).abs() < APART * size[1])
        energy = torch.where(near, 0.5 * energy.min(), energy)
        found.append(torch.stack([top, left]))
    return torch.stack(found)


def patches(pictures: Tensor, place: Tensor, size: tuple[int, int]) -> Tensor:
    """The parts (B, C, *size) of pictures (B, C, H, W) whose top left corner is at place (2,) int64."""
    rows = torch.arange(size[0], device=place.device) + place[0]
    columns = torch.arange(size[1], device=place.device) + place[1]
    return pictures[:, :, rows[:, None], columns[None]]


def fused(parts: list[Tensor], places: Tensor, shape: Sequence[int]) -> Tensor:
    """Parts, each (B, C, h, w) of values above -LIFT, at their places (PLACES, 2) int64 of maps (B, C, *shape): the larger
    value where two meet, 0 where none is."""
    whole = parts[0].new_zeros(*parts[0].shape[:2], *shape)
    for part, place in zip(parts, places, strict=True):
        rows = (torch.arange(part.shape[2], device=place.device) + place[0])[:, None]
        columns = (torch.arange(part.shape[3], device=place.device) + place[1])[None]
        laid = torch.zeros_like(whole)
        laid[:, :, rows, columns] = part + LIFT
        whole = torch.maximum(whole, laid)
    return torch.where(whole > 0, whole - LIFT, 0.0)


class LocalPath(nn.Module):
    """Windows (B, C, h, 2 w) of side views -> (features (B, width, h, w), pictures (B, C, h, w) in [-1, 1]) of front views.

    The window is as high as the patch and twice as wide: a head that turns moves its eyes across, and not up or down.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.halve = nn.Conv2d(channels, width, (3, 4), (1, 2), 1)
        inner: list[nn.Module] = [nn.LeakyReLU(0.2)]
        for before, after in pairwise((width, 2 * width, 2 * width, width)):
            inner += convolution(before, after, 3, norm=nn.BatchNorm2d, activation=relu)
        self.inner, self.draw = nn.Sequential(*inner), nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        features = self.inner(self.halve(windows))
        return features, torch.tanh(self.draw(features))


class TwoPathways(nn.Module):
    """Side views (B, C, H, W) and places (PLACES, 2) -> front views by size, H / 4, H / 2 and H, and what the local paths draw.

    Global: convolutions that halve `depth` times, a code that keeps no place (max-out), and back beside the encoder's maps,
    drawing at the last three sizes. Local: a path for each place, pasted there, and where two meet the larger value. Both are
    joined at full size. H and W are multiples of 2^depth, depth >= 2. local: off for the global path alone.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, code: int, depth: int, *, local: bool) -> None:
        super().__init__()
        channels, height, columns = shape
        widths = [width * min(8, 2**place) for place in range(depth + 1)]
        self.base = (widths[-1], height >> depth, columns >> depth)
        whole = self.base[0] * self.base[1] * self.base[2]
        self.size = patch_size(height, columns)
        self.first = nn.Sequential(*convolution(channels, width, 5, activation=leaky_relu))
        self.down = nn.ModuleList(
            nn.Sequential(*convolution(before, after, 4, 2, norm=nn.BatchNorm2d, activation=leaky_relu))
            for before, after in pairwise(widths)
        )
        self.code, self.spread = nn.Linear(whole, 2 * code), nn.Linear(code, whole)
        self.up = nn.ModuleList(
            nn.Sequential(enlarging(2 * before, after, "resized"), nn.BatchNorm2d(after), nn.ReLU())
            for after, before in reversed(list(pairwise(widths)))
        )
        self.drawn = range(max(0, depth - 3), depth - 1)  # of `up`: those that lead to H / 4 and H / 2
        self.draw = nn.ModuleList(nn.Conv2d(2 * widths[depth - 1 - k], channels, 3, padding=1) for k in self.drawn)
        self.local = nn.ModuleList(LocalPath(channels, width) for _ in range(PLACES if local else 0))
        joined = 2 * width + (width + channels if local else 0)
        last = convolution(joined, width, 5, norm=nn.BatchNorm2d, activation=relu)
        self.join = nn.Sequential(*last, nn.Conv2d(width, channels, 3, padding=1), nn.Tanh())
        self.apply(initialise)

    def forward(self, views: Tensor, places: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        passed = [self.first(views)]
        for layer in self.down:
            passed.append(layer(passed[-1]))
        code = self.code(passed[-1].flatten(1)).unflatten(1, (2, -1)).amax(1)
        features = torch.relu(self.spread(code)).unflatten(1, self.base)
        found: list[Tensor] = []
        for number, layer in enumerate(self.up):
            features = layer(torch.cat([features, passed.pop()], 1))
            beside = torch.cat([features, passed[-1]], 1)
            if number in self.drawn:
                found.append(torch.tanh(self.draw[number - self.drawn.start](beside)))
        parts = [path(self.window(views, place)) for path, place in zip(self.local, places, strict=False)]
        if parts:
            beside = torch.cat([beside, fused([torch.cat(own, 1) for own in parts], places, views.shape[2:])], 1)
        return [*found, self.join(beside)], [picture for _, picture in parts]

    def window(self, views: Tensor, place: Tensor) -> Tensor:
        """(B, C, h, 2 w): what lies around a place in side views; beyond the border it goes on as at the border."""
        half = self.size[1] // 2
        wide = pad(views, (half, half, 0, 0), mode="replicate")
        return patches(wide, place, (self.size[0], 2 * self.size[1]))


class Recogniser(nn.Module):
    """Pictures (B, C, H, W) -> [maps, embeddings (B, size) of length 1]; who is on a picture, whatever the view.

    Without BatchNorm, whose statistics would go on moving when it is frozen. Sides of 8 pixels and more.
    """

    def __init__(self, shape: tuple[int, int, int], size: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before, height, columns = shape
        for place in range(3):
            after = width * 2**place
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.GroupNorm(1, after), nn.LeakyReLU(0.2)]
            before, height, columns = after, height // 2, columns // 2
        self.layers, self.out = nn.Sequential(*layers), nn.Linear(before * height * columns, size)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        maps = self.layers(pictures)
        return [maps, normalize(self.out(maps.flatten(1)))]


def total_variation(pictures: Tensor) -> Tensor:
    """Mean difference of neighbours of pictures (B, C, H, W)."""
    return (pictures[:, :, 1:] - pictures[:, :, :-1]).abs().mean() + (pictures[..., 1:] - pictures[..., :-1]).abs().mean()
