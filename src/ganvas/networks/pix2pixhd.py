"""The generators of pix2pixHD. Wang et al., 2018, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional
GANs" (CVPR, arXiv 1711.11585), section 3.1 and appendix A. The global one is also what SPADE's paper measures itself against.

Not for classes as channels (`networks.maps`), nor for the discriminators (`networks.patch`).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from .blocks import Norm, ResidualBlock, convolution, relu
from .convolutional import initialise
from .patch import halved

WIDEST = 16
"""At most so many times the channels of the first layer."""


def _down(before: int, after: int, norm: Norm) -> list[nn.Module]:
    return convolution(before, after, 3, 2, norm=norm, activation=relu)


def _up(before: int, after: int, norm: Norm, resized: bool) -> list[nn.Module]:
    """Twice the size. A transposed convolution of 3x3 reaches some pixels more often than others, which leaves a grid after
    short training; resized: the nearest pixel and a convolution, which treat all alike."""
    if resized:
        larger = [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1, bias=False, padding_mode="reflect")]
    else:
        larger = [nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1, bias=False)]
    return [*larger, norm(after), nn.ReLU(inplace=True)]


def _entry(inputs: int, width: int, norm: Norm) -> list[nn.Module]:
    return convolution(inputs, width, 7, norm=norm, activation=relu, padding_mode="reflect")


def boundaries_of(things: Tensor) -> Tensor:
    """Indices (B, H, W) -> (B, 1, H, W) of 0 and 1: whether one of the four neighbours has another index; what lies
    beyond the border has none. Section 3.3."""
    found = torch.zeros_like(things, dtype=torch.bool)
    across, down = things[:, :, 1:] != things[:, :, :-1], things[:, 1:] != things[:, :-1]
    found[:, :, 1:] |= across
    found[:, :, :-1] |= across
    found[:, 1:] |= down
    found[:, :-1] |= down
    return found[:, None]


class GlobalGenerator(nn.Module):
    """Maps (B, inputs, H, W) -> images (B, outputs, H, W) in [-1, 1]; sides are multiples of 2^downs, at least 2 * 2^downs.

    A 7x7 convolution, `downs` of 3x3 and stride 2, `blocks` residual ones, as many transposed ones, a last one of 7x7; a norm
    after each but the last. width: channels at full size; doubles inwards, at most 16 times. resized: enlarged by the nearest
    pixel and a convolution instead of transposed ones. The defaults are the paper's.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 64,
        downs: int = 4,
        blocks: int = 9,
        norm: Norm = nn.InstanceNorm2d,
        resized: bool = False,
    ) -> None:
        super().__init__()
        widths = [width * min(WIDEST, 2**place) for place in range(downs + 1)]
        steps = list(pairwise(widths))
        layers = _entry(inputs, width, norm)
        for before, after in steps:
            layers += _down(before, after, norm)
        layers += [ResidualBlock(widths[-1], norm, padding_mode="reflect") for _ in range(blocks)]
        for after, before in reversed(steps):
            layers += _up(before, after, norm, resized)
        self.features = nn.Sequential(*layers)
        (self.leave,) = convolution(width, outputs, 7, padding_mode="reflect")
        self.apply(initialise)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.tanh(self.leave(self.features(maps)))


class LocalEnhancer(nn.Module):
    """Maps (B, inputs, H, W) and features (B, 2 width, H/2, W/2) of a global generator -> images (B, outputs, H, W) in [-1, 1].

    A 7x7 convolution and one of 3x3 and stride 2, to which the features are added; `blocks` residual ones, a transposed one, a
    last one of 7x7. width: channels at full size, half of the global generator's. resized: as there.
    """

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int, norm: Norm, resized: bool) -> None:
        super().__init__()
        self.front = nn.Sequential(*_entry(inputs, width, norm), *_down(width, 2 * width, norm))
        inner = [ResidualBlock(2 * width, norm, padding_mode="reflect") for _ in range(blocks)]
        self.back = nn.Sequential(
            *inner,
            *_up(2 * width, width, norm, resized),
            *convolution(width, outputs, 7, padding_mode="reflect"),
            nn.Tanh(),
        )
        self.apply(initialise)

    def forward(self, maps: Tensor, features: Tensor) -> Tensor:
        made: Tensor = self.back(self.front(maps) + features)
        return made


class CoarseToFine(nn.Module):
    """A global generator at half the size, and a local enhancer that goes on from its features; maps and images as for both.

    width: channels at full size; the global generator has twice as many at its own. enhancer_blocks: None for the global
    generator alone, at full size. downs, blocks, norm, resized: see there.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        downs: int,
        blocks: int,
        enhancer_blocks: int | None,
        norm: Norm,
        resized: bool,
    ) -> None:
        super().__init__()
        self.coarse = GlobalGenerator(inputs, outputs, 2 * width, downs, blocks, norm, resized)
        self.enhancer = (
            None if enhancer_blocks is None else LocalEnhancer(inputs, outputs, width, enhancer_blocks, norm, resized)
        )

    def forward(self, maps: Tensor) -> Tensor:
        if self.enhancer is None:
            found: Tensor = self.coarse(maps)
            return found
        made: Tensor = self.enhancer(maps, self.coarse.features(halved(maps)))
        return made

    def draft(self, maps: Tensor) -> Tensor:
        """What the global generator makes alone: images of half the size."""
        made: Tensor = self.coarse(halved(maps))
        return made
