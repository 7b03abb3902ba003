"""The networks of SPADE: modulation by a map, the generator, the encoder of styles. Park, Liu, Wang, Zhu, 2019, "Semantic Image
Synthesis with Spatially-Adaptive Normalization" (CVPR, arXiv 1903.07291), section 3 and appendix A.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, relu

from . import blocks
from .blocks import Norm
from .spectral import two_sided

GAIN = 0.7  # of starting weights


class Modulated(nn.Module):
    """Features (B, channels, h, w), normalised without learnt scales, times 1 + gamma(map) plus beta(map); eq. 1."""

    def __init__(self, channels: int, classes: int, hidden: int, norm: Norm) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.shared = nn.Conv2d(classes, hidden, 3, padding=1)
        self.gamma, self.beta = (nn.Conv2d(hidden, channels, 3, padding=1) for _ in range(2))

    def forward(self, features: Tensor, maps: Tensor) -> Tensor:
        own = relu(self.shared(interpolate(maps, features.shape[2:], mode="nearest")))
        result: Tensor = self.norm(features) * (1 + self.gamma(own)) + self.beta(own)
        return result


class Block(nn.Module):
    """Modulation, leaky ReLU and 3x3 convolution, twice, beside a shortcut that is modulated where channels change."""

    def __init__(self, before: int, after: int, classes: int, hidden: int, norm: Norm) -> None:
        super().__init__()
        middle = min(before, after)
        self.first, self.second = (Modulated(width, classes, hidden, norm) for width in (before, middle))
        self.one = two_sided(nn.Conv2d(before, middle, 3, padding=1))
        self.two = two_sided(nn.Conv2d(middle, after, 3, padding=1))
        if before != after:
            self.aside = Modulated(before, classes, hidden, norm)
            self.across = two_sided(nn.Conv2d(before, after, 1, bias=False))

    def forward(self, features: Tensor, maps: Tensor) -> Tensor:
        past = self.across(self.aside(features, maps)) if hasattr(self, "across") else features
        made = self.one(leaky_relu(self.first(features, maps), 0.2))
        result: Tensor = past + self.two(leaky_relu(self.second(made, maps), 0.2))
        return result


class Generator(nn.Module):
    """Maps (B, classes, H, W) of 0 and 1 and styles (B, latent) -> photographs (B, outputs, H, W) in [-1, 1].

    The style is the smallest grid, `depth` halvings below `size`; other sizes, which are multiples of 2^depth, stretch it.
    width: channels at full size; doubles inwards, at most 16 times. hidden: channels inside a modulation. norm: of so many
    channels, without learnt scales.
    """

    def __init__(
        self, classes: int, outputs: int, size: tuple[int, int], width: int, depth: int, hidden: int, latent_size: int,
        norm: Norm,
    ) -> None:  # fmt: skip
        super().__init__()
        own = (classes, hidden, norm)
        widths = [width * min(16, 2**level) for level in reversed(range(depth + 1))]
        self.grid = (widths[0], size[0] >> depth, size[1] >> depth)
        self.enter = nn.Linear(latent_size, self.grid[0] * self.grid[1] * self.grid[2])
        self.head = Block(widths[0], widths[0], *own)
        self.middle = Block(widths[1], widths[1], *own) if widths[1] == widths[0] else None
        pairs = pairwise(widths)
        self.blocks = nn.ModuleList(Block(before, after, *own) for before, after in pairs)
        self.leave = nn.Conv2d(widths[-1], outputs, 3, padding=1)
        self.apply(weights)

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        features = self.enter(style).view(-1, *self.grid)
        smallest = [side >> len(self.blocks) for side in maps.shape[2:]]
        if smallest != list(self.grid[1:]):
            features = interpolate(features, smallest, mode="bilinear", align_corners=False)
        features = self.head(features, maps)
        for place, block in enumerate(self.blocks):
            features = interpolate(features, scale_factor=2, mode="nearest")
            if place == 0 and self.middle is not None:
                features = self.middle(features, maps)
            features = block(features, maps)
        return torch.tanh(self.leave(leaky_relu(features, 0.2)))


class Encoder(nn.Module):
    """Photographs of any size, brought to `size` -> mean and logarithm of the variance of their styles, (B, latent) each."""

    def __init__(self, channels: int, width: int, size: tuple[int, int], latent_size: int) -> None:
        super().__init__()
        self.size, inputs, side = size, channels, min(size)
        layers: list[nn.Module] = []
        while side > 4 and len(layers) < 18:
            after = width * min(8, 2 ** (len(layers) // 3))
            layers += blocks.convolution(channels, after, 3, 2, norm=nn.InstanceNorm2d, activation=blocks.leaky_relu)
            channels, side = after, (side + 1) // 2
        self.layers = nn.Sequential(*layers, nn.Flatten())
        count = self.layers(torch.zeros(1, inputs, *size)).shape[1]
        self.mean, self.spread = nn.Linear(count, latent_size), nn.Linear(count, latent_size)
        self.apply(weights)

    def forward(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        found = self.layers(interpolate(photos, self.size, mode="bilinear", align_corners=False, antialias=True))
        return self.mean(found), self.spread(found)


def weights(module: nn.Module) -> None:
    """Starting weights: Glorot's, smaller. The authors' factor of 0.02 takes a map some hundred rounds to be seen through."""
    if isinstance(module, nn.Conv2d | nn.Linear) and not hasattr(module, "parametrizations"):
        nn.init.xavier_normal_(module.weight, GAIN)
