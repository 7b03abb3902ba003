"""The generator of DeblurGAN (Kupyn et al. 2018, figure 3): residual blocks at a quarter of the size, a skip over all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import Norm, ResidualBlock, convolution, relu


class Generator(nn.Module):
    """Blurred images (B, C, H, W) in [-1, 1], H and W multiples of 4 -> sharp ones in [-1, 1].

    A convolution of 7x7, two of 3x3 and stride 2, `blocks` residual blocks, two transposed ones, one of 7x7 and tanh: what is
    added to the input. It begins near 0, so that untrained the result is the input. width: channels at full size; doubled with
    each of the two halvings. norm: after all but the last; None: nowhere.
    """

    def __init__(self, channels: int, width: int, blocks: int, norm: Norm | None) -> None:
        super().__init__()
        layers = convolution(channels, width, 7, norm=norm, activation=relu, padding_mode="reflect")
        for before in (width, 2 * width):
            layers += convolution(before, 2 * before, 3, 2, norm=norm, activation=relu)
        layers += [ResidualBlock(4 * width, norm, padding_mode="reflect") for _ in range(blocks)]
        for before in (4 * width, 2 * width):
            after = before // 2
            layers.append(nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1, bias=norm is None))
            layers += [*([norm(after)] if norm is not None else []), relu()]
        final = nn.Conv2d(width, channels, 7, padding=3, padding_mode="reflect")
        with torch.no_grad():
            final.weight.mul_(0.1)
            nn.init.zeros_(final.bias)  # type: ignore[arg-type]
        self.layers = nn.Sequential(*layers, final, nn.Tanh())

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = (images + self.layers(images)).clamp(-1, 1)
        return made
