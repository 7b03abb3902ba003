"""The generator of DeblurGAN (Kupyn et al. 2018, figure 3): residual blocks at a quarter of the size, a skip over all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import Norm, ResidualBlock, convolution, leaky_relu, relu

BEGINNING = 0.01  # of the usual size: the weights of the last convolution
BRANCH = 0.1  # the same of a residual block, where no norm brings its size back


class Generator(nn.Module):
    """Blurred images (B, C, H, W) in [-1, 1], H and W multiples of 4 -> sharp ones in [-1, 1].

    A convolution of 7x7, two of 3x3 and stride 2, `blocks` residual blocks, two transposed ones, one of 7x7 and tanh: what is
    added to the input. It begins near 0, so that untrained the result is the input. width: channels at full size; doubled with
    each of the two halvings. norm: after all but the last; None: nowhere, and then units leak (slope 0.2) and weights begin at
    the size that keeps that of the maps (He et al. 2015): without both, nine units of ten of the blocks died within 300 rounds
    at a rate of 1e-3, and what was left added nothing. skips: the maps before each halving are added to those of that size
    behind; fine detail then need not pass through the blocks.
    """

    def __init__(self, channels: int, width: int, blocks: int, norm: Norm | None, skips: bool = False) -> None:
        super().__init__()
        bend = relu if norm is not None else leaky_relu
        self.skips = skips
        self.first = nn.Sequential(*convolution(channels, width, 7, norm=norm, activation=bend, padding_mode="reflect"))
        self.down = nn.ModuleList(
            nn.Sequential(*convolution(before, 2 * before, 3, 2, norm=norm, activation=bend)) for before in (width, 2 * width)
        )
        self.blocks = nn.Sequential(*(ResidualBlock(4 * width, norm, bend, padding_mode="reflect") for _ in range(blocks)))
        self.up = nn.ModuleList()
        for after in (2 * width, width):
            enlarged = nn.ConvTranspose2d(2 * after, after, 3, 2, 1, output_padding=1, bias=norm is None)
            self.up.append(nn.Sequential(enlarged, *([norm(after)] if norm is not None else []), bend()))
        self.final = nn.Conv2d(width, channels, 7, padding=3, padding_mode="reflect")
        if norm is None:
            self.apply(_initialise)
            for block in self.blocks:
                with torch.no_grad():
                    block.layers[-1].weight.mul_(BRANCH)  # type: ignore[index, union-attr]
        with torch.no_grad():
            self.final.weight.mul_(BEGINNING)
            nn.init.zeros_(self.final.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        maps, kept = self.first(images), []
        for layers in self.down:
            kept.append(maps)
            maps = layers(maps)
        maps = self.blocks(maps)
        for layers in self.up:
            maps = layers(maps)
            before = kept.pop()
            maps = maps + before if self.skips else maps
        made: Tensor = (images + self.final(maps).tanh()).clamp(-1, 1)
        return made


def _initialise(module: nn.Module) -> None:
    """Weights that keep the size of maps behind leaky units, for `Module.apply`."""
    if isinstance(module, nn.Conv2d):
        inputs = module.weight[0].numel()
    elif isinstance(module, nn.ConvTranspose2d):  # of a stride of 2: a quarter of the places of its kernel reach a pixel
        inputs = module.weight[:, 0].numel() // 4
    else:
        return
    nn.init.normal_(module.weight, 0.0, (2 / (1 + 0.2**2) / inputs) ** 0.5)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
