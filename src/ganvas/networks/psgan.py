"""Networks of `psgan`: a generator without borders, a discriminator that judges every place, and waves in its noise."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from .convolutional import initialise

HALO = 2
"""Cells of noise beyond each end of what is made: as many as a place can see."""


GAIN = 15.0
"""How many times as fast as weights the wave numbers are learnt: they have further to go."""


class BorderlessGenerator(nn.Module):
    """Noise (B, Z, h + 4, w + 4) -> images (B, C, h * 2^layers, w * 2^layers) in [-1, 1].

    Transposed convolutions of stride 2. What a layer draws beside the end of its map, where it knows a part of its surroundings
    alone, is cut off, so that a place is made in one way wherever it lies, and pieces made apart fit together. width: channels
    next to the image; doubles towards the noise, at most 8 times. kernel: 4 or 5.
    """

    def __init__(self, noise: int, channels: int, width: int, layers: int, kernel: int) -> None:
        super().__init__()
        sizes = [noise, *(width * min(8, 2**k) for k in reversed(range(layers - 1))), channels]
        steps: list[nn.Module] = []
        for place, (before, after) in enumerate(itertools.pairwise(sizes)):
            last = place == layers - 1
            steps.append(nn.ConvTranspose2d(before, after, kernel, 2, kernel // 2 - (kernel == 4), kernel % 2, bias=last))
            steps.append(Inside(2))
            steps += [nn.Tanh()] if last else [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*steps)
        self.apply(initialise)

    def forward(self, noise: Tensor) -> Tensor:
        made: Tensor = self.layers(noise)
        return made[:, :, 2:-2, 2:-2]


class Inside(nn.Module):
    """Maps without so many places at each end."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places = places

    def forward(self, maps: Tensor) -> Tensor:
        return maps[:, :, self.places : -self.places, self.places : -self.places]


class PlaceDiscriminator(nn.Module):
    """Images (B, C, H, W) -> logits (B, h, w), one a place, by 5x5 convolutions of stride 2; no sigmoid. BatchNorm but in the
    first and the last layer. What recurs must do so within what a place sees: 29 pixels with 3 layers, 61 with 4."""

    def __init__(self, channels: int, width: int, layers: int) -> None:
        super().__init__()
        sizes = [channels, *(width * min(8, 2**k) for k in range(layers - 1)), 1]
        steps: list[nn.Module] = []
        for place, (before, after) in enumerate(itertools.pairwise(sizes)):
            first, last = place == 0, place == layers - 1
            steps.append(nn.Conv2d(before, after, 5, 2, 2, bias=first or last))
            if not last:
                steps += [*([] if first else [nn.BatchNorm2d(after)]), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*steps)
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)[:, 0]


STARTS = ("axes", "spread")
"""How waves begin: going down and across (the authors' start), or in all directions."""


class Waves(nn.Module):
    """The wave numbers of plane waves, for each style: (B, S) -> (B, waves, 2), radians a cell down and across.

    With `axes` half of them begin as going down and half as going across, with 2 to 4 cells a period, in even steps; with
    `spread` they begin in all directions, far from each other. Without styles (S of 0) they are the same for all.
    """

    def __init__(self, waves: int, styles: int, units: int, start: str = STARTS[0]) -> None:
        super().__init__()
        self.numbers = nn.Parameter((spread_out(waves) if start == "spread" else along_axes(waves)) / GAIN)
        self.by_style: nn.Module | None = None
        if styles:
            last = nn.Linear(units, 2 * waves, bias=False)
            nn.init.normal_(last.weight, 0.0, 0.02)
            self.by_style = nn.Sequential(nn.Linear(styles, units), nn.ReLU(), last)

    def forward(self, styles: Tensor) -> Tensor:
        shared = (GAIN * self.numbers).expand(len(styles), *self.numbers.shape)
        return shared if self.by_style is None else shared + self.by_style(styles).view_as(shared)


def along_axes(waves: int) -> Tensor:
    """(waves, 2) wave numbers of pi/2 to pi, half of them down, half across."""
    half = -(-waves // 2)
    band = math.pi * (0.5 * (torch.arange(half) + 1) / half + 0.5)
    found = torch.zeros(waves, 2)
    found[:half, 0], found[half:, 1] = band, band[: waves - half]
    return found


def spread_out(waves: int) -> Tensor:
    """(waves, 2) wave numbers, 0 to pi down and -pi to pi across, each far from the others (the additive recurrence of the
    plastic number, Roberts 2018)."""
    plastic = 1.3247179572447460
    place = (0.5 + torch.arange(1, waves + 1)[:, None] * torch.tensor([1 / plastic, 1 / plastic**2])) % 1
    return math.pi * (place * torch.tensor([1.0, 2.0]) - torch.tensor([0.0, 1.0]))
