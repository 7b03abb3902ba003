"""The networks of R3GAN: residual, without any norm, the discriminator the mirror image of the generator. Huang, Gokaslan,
Kuleshov, Tompkin, 2024, "The GAN is dead; long live the GAN! A Modern Baseline GAN" (NeurIPS, arXiv 2501.05441), section 4.
Not for the game: `systems/synthesis/r3gan.py`.

What norms do elsewhere, starting weights do here (fix-up): the last layer of each branch starts at zero, so that every block
starts as the identity, and the others are smaller the more blocks there are. Convolutions have no bias; the nonlinearities do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from .convolutional import LASTS, enlarging_last, middle, stages_and_base, surrounded

SLOPE = 0.2  # of leaky ReLU
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # what keeps the variance through it


@dataclass(frozen=True)
class Form:
    """width: channels at full resolution; doubles inwards, up to `most`. blocks: residual blocks at each size. expansion: how
    many times more channels inside a block. group: channels of each group of its 3x3 convolution; 0: one group of all. stride:
    pixels from one place of the largest maps to the next: 1 as in the paper, 2 for a quarter of the work there. last: one of
    LASTS, how G comes from such places to pixels: else before a 5x5 convolution. smoothed:
    deviation, in pixels, of the Gaussian that G's images pass at the end; 0: none.
    """

    width: int
    most: int
    blocks: int
    expansion: int
    group: int
    stride: int
    last: str = LASTS[0]
    smoothed: float = 0.0

    def stages(self, shape: tuple[int, int, int]) -> tuple[list[int], tuple[int, int], int]:
        """(channels from the smallest maps to the largest, (rows, columns) of the smallest, pixels of a place's side)."""
        stages, base = stages_and_base(shape[1], shape[2])
        stride = min(self.stride, 2**stages)
        levels = stages - int(math.log2(stride))
        return [min(self.most, self.width * stride * 2**level) for level in range(levels, -1, -1)], base, stride


def convolution(
    before: int, after: int, kernel: int = 1, *, groups: int = 1, gain: float = 1.0, bias: bool = False
) -> nn.Conv2d:  # fmt: skip
    """Weights from N(0, gain^2 / inputs of an output), the bias, if any, zero."""
    layer = nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=bias)
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def bend() -> nn.Module:
    """Leaky ReLU in the place of its input; its bias is that of the convolution before it, which saves a pass."""
    return nn.LeakyReLU(SLOPE, inplace=True)


def edge(before: int, after: int, stride: int, *, out: bool) -> nn.Module:
    """From pixels to the largest maps, or back: 1x1 as in the paper, else squares of twice `stride` that overlap by half."""
    if stride == 1:
        return convolution(before, after)
    made = nn.ConvTranspose2d if out else nn.Conv2d
    layer = made(before, after, 2 * stride, stride, stride // 2, bias=False)
    nn.init.normal_(layer.weight, 0.0, 1 / math.sqrt(before * (4 if out else 4 * stride**2)))
    return layer


class Block(nn.Module):
    """x + f(x), f: 1x1 to more channels, 3x3 in groups, 1x1 back (an inverted bottleneck). Starts as x.

    Two of f's three layers start at random: each smaller by the number of blocks to the power -1/4, f by its root.
    """

    def __init__(self, channels: int, form: Form, blocks: int) -> None:
        super().__init__()
        inner = channels * form.expansion
        groups = inner // form.group if form.group and inner % form.group == 0 else 1
        gain = GAIN * blocks**-0.25
        last = convolution(inner, channels)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(
            convolution(channels, inner, gain=gain, bias=True), bend(),
            convolution(inner, inner, 3, groups=groups, gain=gain, bias=True), bend(), last,
        )  # fmt: skip

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = maps + self.layers(maps)
        return result


def doubled(maps: Tensor) -> Tensor:
    """Bilinear, to twice the sides."""
    return functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)


def halved(maps: Tensor) -> Tensor:
    """Bilinear, to half the sides: the mean of each four places."""
    return functional.avg_pool2d(maps, 2)


def smooth(images: Tensor, deviation: float) -> Tensor:
    """Images (B, C, H, W) through a Gaussian of that many pixels, cut off at twice as many; borders count what is there."""
    reach, channels = math.ceil(2 * deviation), images.shape[1]
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    side = (-0.5 * (places / deviation).square()).exp().expand(channels, 1, 1, -1)

    def passed(maps: Tensor) -> Tensor:
        down = functional.conv2d(maps, side.transpose(2, 3), padding=(reach, 0), groups=channels)
        return functional.conv2d(down, side, padding=(0, reach), groups=channels)

    with torch.autocast(images.device.type, enabled=False):  # pixels keep their digits
        return passed(images) / passed(torch.ones_like(images[:1]))


class Generator(nn.Module):
    """Latents (B, latent) and what is told (B, told) -> images (B, *shape), not bounded.

    A learned basis of the smallest maps, each channel scaled by a linear map of the latent; at every size the residual blocks,
    after bilinear doubling. The smallest maps have 4 to 7 places on the short side; what is too much at the end is cut off.
    """

    def __init__(self, latent: int, told: int, shape: tuple[int, int, int], form: Form) -> None:
        super().__init__()
        channels, self.height, self.columns = shape
        widths, base, self.stride = form.stages(shape)
        self.smoothed = form.smoothed
        blocks = form.blocks * len(widths)
        self.basis = nn.Parameter(torch.randn(widths[0], *base))
        self.scales = nn.Linear(latent + told, widths[0], bias=False)
        nn.init.normal_(self.scales.weight, 0.0, 1 / math.sqrt(latent + told))
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width, form, blocks) for _ in range(form.blocks))) for width in widths
        )
        self.narrower = nn.ModuleList(
            convolution(before, after) if before != after else nn.Identity() for before, after in pairwise(widths)
        )
        if form.last == LASTS[0] or self.stride == 1:
            self.leave = edge(widths[-1], channels, self.stride, out=True)
        else:
            larger, last = enlarging_last(widths[-1], channels, self.stride, form.last, bias=False)
            nn.init.normal_(last.weight, 0.0, 1 / math.sqrt(25 * widths[-1]))
            self.leave = nn.Sequential(larger, last)

    def forward(self, latents: Tensor, told: Tensor | None = None) -> Tensor:
        known = latents if told is None else torch.cat([latents, told], 1)
        maps = self.stages[0](self.basis * self.scales(known)[:, :, None, None])
        for narrower, stage in zip(self.narrower, list(self.stages)[1:], strict=True):
            maps = stage(doubled(narrower(maps)))
        images = middle(self.leave(maps).to(latents.dtype), self.height, self.columns)
        return smooth(images, self.smoothed) if self.smoothed else images


class Discriminator(nn.Module):
    """Images (B, *shape) and what is told (B, told) -> logits (B,): the generator backwards.

    At the end each channel of the smallest maps is weighed by a basis of its own (a depthwise convolution as large as they
    are), and a linear layer decides; told classes by projection.
    """

    def __init__(self, told: int, shape: tuple[int, int, int], form: Form) -> None:
        super().__init__()
        channels = shape[0]
        widths, base, self.stride = form.stages(shape)
        halved_to = self.stride * 2 ** (len(widths) - 1)
        self.size = (base[0] * halved_to, base[1] * halved_to)  # that halves to the smallest maps
        widths = widths[::-1]
        blocks = form.blocks * len(widths)
        self.enter = edge(channels, widths[0], self.stride, out=False)
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width, form, blocks) for _ in range(form.blocks))) for width in widths
        )
        self.wider = nn.ModuleList(
            convolution(before, after) if before != after else nn.Identity() for before, after in pairwise(widths)
        )
        self.basis = nn.Parameter(torch.randn(widths[-1], *base) / math.sqrt(base[0] * base[1]))
        self.decide = nn.Linear(widths[-1], max(1, told), bias=False)
        nn.init.normal_(self.decide.weight, 0.0, 1 / math.sqrt(widths[-1]))

    def answers(self, images: Tensor) -> Tensor:
        """(B, max(1, told)), before anything is told."""
        maps = self.enter(surrounded(images, *self.size))
        for place, stage in enumerate(self.stages):
            if place:
                maps = self.wider[place - 1](halved(maps))
            maps = stage(maps)
        with torch.autocast(images.device.type, enabled=False):  # logits are compared: no 16-bit floats from here
            said: Tensor = self.decide((maps.to(images.dtype) * self.basis).sum((2, 3)))
        return said

    def forward(self, images: Tensor, told: Tensor | None = None) -> Tensor:
        said = self.answers(images)
        return said[:, 0] if told is None else (said * told).sum(1) / math.sqrt(told.shape[1])
