"""The generator of CycleGAN, for any size, and what may go past its middle. Zhu et al. 2017 (arXiv 1703.10593), section 7.2."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from .blocks import UPSAMPLINGS, ResidualBlock, convolution, relu
from .convolutional import initialise

SKIPS = ("none", "features", "input", "change")

layer = partial(convolution, norm=nn.InstanceNorm2d, activation=relu)


def upsampled(before: int, after: int, upsampling: str) -> list[nn.Module]:
    """Twice the size: by a transposed convolution, or by repeating pixels before one of stride 1."""
    if upsampling == "transposed":
        larger = nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1, bias=False)
        return [larger, nn.InstanceNorm2d(after), nn.ReLU(inplace=True)]
    return [nn.UpsamplingNearest2d(scale_factor=2), *layer(before, after, 3, padding_mode="reflect")]


class Generator(nn.Module):
    """Images (B, C, H, W) in [-1, 1] -> the same, of the other domain: two downsamplings, residual blocks, two upsamplings.

    skip: with `features` the last layer gets the features of the first beside those of the upsamplings; with `input`, what it
    makes is a change to the input as well; with `change` one that is nothing at first, and is cut off at black and white. Sides
    that four does not divide are continued by reflection, and cut off again.
    """

    def __init__(self, channels: int, width: int, blocks: int, skip: str = SKIPS[0], upsampling: str = UPSAMPLINGS[0]) -> None:
        super().__init__()
        inner = 4 * width
        self.skip = skip
        self.enter = nn.Sequential(*layer(channels, width, 7, padding_mode="reflect"))
        self.middle = nn.Sequential(
            *layer(width, 2 * width, 3, 2),
            *layer(2 * width, inner, 3, 2),
            *[ResidualBlock(inner, nn.InstanceNorm2d, padding_mode="reflect") for _ in range(blocks)],
            *upsampled(inner, 2 * width, upsampling),
            *upsampled(2 * width, width, upsampling),
        )
        (self.leave,) = convolution(width if skip == "none" else 2 * width, channels, 7, padding_mode="reflect")
        self.apply(initialise)
        if skip == "change":
            for parameter in self.leave.parameters():
                nn.init.zeros_(parameter)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        right, below = -width % 4, -height % 4
        if right or below:
            images = pad(images, (0, right, 0, below), mode="reflect")
        first = self.enter(images)
        features = self.middle(first)
        result: Tensor = self.leave(features if self.skip == "none" else torch.cat([features, first], 1))
        if self.skip == "change":
            return (images + result).clamp(-1, 1)[:, :, :height, :width]
        if self.skip == "input":
            result = result + torch.atanh(0.98 * images)  # no change gives the input; white and black stay finite
        return torch.tanh(result)[:, :, :height, :width]
