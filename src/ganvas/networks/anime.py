"""The networks of Jin et al. 2017, "Towards the Automatic Anime Characters Creation with Generative Adversarial Networks"
(arXiv 1708.05509, section 4): the generator of SRGAN (SRResNet) that begins with noise in the place of a small image, and a
discriminator of residual blocks without norm. Not for the game: `systems/synthesis/anime.py`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import GanvasError
from .blocks import ResidualBlock, convolution, leaky_relu, relu
from .convolutional import SMALLEST_SIDE, middle

MOST = 32  # times the width of D's first layer: its widest


class Generator(nn.Module):
    """What is given, noise and tags (B, N) -> images (B, C, H, W) in [-1, 1].

    A fully connected layer makes maps 2^`doublings` times smaller than the image; residual blocks work on these, with a way
    around them all; each doubling is a convolution to four times as many channels, whose values become four pixels. width:
    channels throughout. What is too much is cut off symmetrically.
    """

    def __init__(self, given: int, shape: tuple[int, int, int], width: int, blocks: int, doublings: int) -> None:
        super().__init__()
        channels, self.height, self.columns = shape
        base = (math.ceil(self.height / 2**doublings), math.ceil(self.columns / 2**doublings))
        self.enter = nn.Sequential(
            nn.Linear(given, width * math.prod(base), bias=False),
            nn.Unflatten(1, (width, *base)),
            nn.BatchNorm2d(width),
            relu(),
        )
        self.blocks = nn.Sequential(*(ResidualBlock(width, nn.BatchNorm2d) for _ in range(blocks)))
        self.after = nn.Sequential(nn.BatchNorm2d(width), relu())
        grow: list[nn.Module] = []
        for _ in range(doublings):
            spread = nn.Conv2d(width, 4 * width, 3, padding=1, bias=False)
            with torch.no_grad():  # the four pixels of one begin alike: no chequered pattern (Aitken et al. 2017)
                spread.weight.copy_(spread.weight[::4].repeat_interleave(4, dim=0))
            grow += [spread, nn.PixelShuffle(2), nn.BatchNorm2d(width), relu()]
        self.grow = nn.Sequential(*grow, nn.Conv2d(width, channels, 9, padding=4), nn.Tanh())

    def forward(self, given: Tensor) -> Tensor:
        first = self.enter(given)
        images = self.grow(first + self.after(self.blocks(first)))
        return middle(images, self.height, self.columns)


class TaggingDiscriminator(nn.Module):
    """Images (B, *shape) -> logits (B,) of being real, and of each tag (B, tags).

    Convolutions of 4x4 and stride 2, twice as wide each, at most 32 times; before each but the first stand `blocks` residual
    blocks. No norm: the gradient penalty is one of every image for itself. `halvings`: how many, until 2 or 3 pixels are left.
    """

    def __init__(self, shape: tuple[int, int, int], tags: int, width: int, blocks: int) -> None:
        super().__init__()
        channels, height, columns = shape
        if min(height, columns) < SMALLEST_SIDE:
            raise GanvasError(f"images of {height}x{columns} are too small to learn: the least is {SMALLEST_SIDE} (see --size)")
        self.halvings = int(math.log2(min(height, columns))) - 1
        layers: list[nn.Module] = convolution(channels, width, 4, 2, activation=leaky_relu)
        before = width
        for level in range(1, self.halvings):
            after = width * min(MOST, 2**level)
            layers += [ResidualBlock(before, activation=leaky_relu) for _ in range(blocks)]
            layers += [leaky_relu(), *convolution(before, after, 4, 2, activation=leaky_relu)]
            before = after
        self.layers = nn.Sequential(*layers, nn.Flatten())
        size = before * (height >> self.halvings) * (columns >> self.halvings)
        self.source, self.tags = nn.Linear(size, 1), nn.Linear(size, tags)
        for layer in self.layers.modules():  # with torch's smaller weights so many layers say the same of every image
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.2)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for block in self.layers.modules():  # each block begins as a small change, or the sum grows with every one
            if isinstance(block, ResidualBlock):
                last: Any = block.layers[-1]
                nn.init.normal_(last.weight, 0.0, 0.1 / math.sqrt(9 * last.in_channels))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layers(images)
        return self.source(features)[:, 0], self.tags(features)
