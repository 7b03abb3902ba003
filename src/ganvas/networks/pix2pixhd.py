"""The generators of pix2pixHD. Wang et al., 2018, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional
GANs" (CVPR, arXiv 1711.11585), section 3.1 and appendix A. The global one is also what SPADE's paper measures itself against.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from .blocks import ResidualBlock, convolution, relu
from .convolutional import initialise

WIDEST = 16
"""At most so many times the channels of the first layer."""


def _down(before: int, after: int) -> list[nn.Module]:
    return convolution(before, after, 3, 2, norm=nn.InstanceNorm2d, activation=relu)


def _up(before: int, after: int) -> list[nn.Module]:
    larger = nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1, bias=False)
    return [larger, nn.InstanceNorm2d(after), nn.ReLU(inplace=True)]


def _entry(inputs: int, width: int) -> list[nn.Module]:
    return convolution(inputs, width, 7, norm=nn.InstanceNorm2d, activation=relu, padding_mode="reflect")


class GlobalGenerator(nn.Module):
    """Maps (B, inputs, H, W) -> images (B, outputs, H, W) in [-1, 1]; sides are multiples of 2^downs, at least 2 * 2^downs.

    A 7x7 convolution, `downs` of 3x3 and stride 2, `blocks` residual ones, as many transposed ones, a last one of 7x7;
    InstanceNorm everywhere. width: channels at full size; doubles inwards, at most 16 times. 64, 4 and 9 are the paper's.
    """

    def __init__(self, inputs: int, outputs: int, width: int = 64, downs: int = 4, blocks: int = 9) -> None:
        super().__init__()
        widths = [width * min(WIDEST, 2**place) for place in range(downs + 1)]
        steps = list(pairwise(widths))
        layers = _entry(inputs, width)
        for before, after in steps:
            layers += _down(before, after)
        layers += [ResidualBlock(widths[-1], nn.InstanceNorm2d, padding_mode="reflect") for _ in range(blocks)]
        for after, before in reversed(steps):
            layers += _up(before, after)
        self.features = nn.Sequential(*layers)
        (self.leave,) = convolution(width, outputs, 7, padding_mode="reflect")
        self.apply(initialise)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.tanh(self.leave(self.features(maps)))
