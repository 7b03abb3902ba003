"""The networks of IcGAN (Perarnau et al. 2016, arXiv 1611.06355) beside its generator, which is that of `convolutional`: a
discriminator that is told attributes, and the encoders. Not for the game: `systems/translation/icgan.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import convolution, leaky_relu, relu
from .convolutional import initialise, sizes_for, stages_and_base

LEFT = 4  # pixels of a side at which encoders stop halving: four times at 64


class TellingDiscriminator(nn.Module):
    """Pictures (B, *shape) and what they are said to show (B, told) -> logits (B,) of being real, and of these.

    What is told lies as constant planes behind the first convolution. Convolutions of 4x4 and stride 2 until 4 to 7 pixels are
    left, all but the first with BatchNorm. width: channels of the first; doubles with each halving, at most 8 times.
    """

    def __init__(self, shape: tuple[int, int, int], told: int, width: int) -> None:
        super().__init__()
        channels, height, columns = shape
        stages, _ = stages_and_base(height, columns)
        sizes = sizes_for(width, [2] * stages)
        self.first = nn.Sequential(*convolution(channels, sizes[0], 4, 2, activation=leaky_relu))
        layers: list[nn.Module] = []
        before = sizes[0] + told
        for after in sizes[1:]:
            layers += convolution(before, after, 4, 2, norm=nn.BatchNorm2d, activation=leaky_relu)
            before = after
        self.rest = nn.Sequential(*layers, nn.Conv2d(before, 1, (height >> stages, columns >> stages)))
        self.apply(initialise)

    def forward(self, pictures: Tensor, told: Tensor) -> Tensor:
        maps = self.first(pictures)
        planes = told[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        logits: Tensor = self.rest(torch.cat([maps, planes.to(maps)], 1)).flatten()
        return logits


class Encoder(nn.Module):
    """Pictures (B, *shape) -> (B, numbers): 5x5 convolutions of stride 2 until 4 pixels are left, each twice as wide as the one
    before, then `units` and a linear layer. units: 0 for as many as the last map has numbers."""

    def __init__(self, shape: tuple[int, int, int], numbers: int, width: int, units: int) -> None:
        super().__init__()
        before, height, columns = shape
        layers: list[nn.Module] = []
        while min(height, columns) > LEFT:
            layers += convolution(before, width, 5, 2, norm=nn.BatchNorm2d, activation=relu)
            before, width, height, columns = width, 2 * width, -(-height // 2), -(-columns // 2)
        flat = before * height * columns
        units = units or flat
        within = [nn.Flatten(), nn.Linear(flat, units, bias=False), nn.BatchNorm1d(units), relu()]
        self.layers = nn.Sequential(*layers, *within, nn.Linear(units, numbers))

    def forward(self, pictures: Tensor) -> Tensor:
        found: Tensor = self.layers(pictures)
        return found
