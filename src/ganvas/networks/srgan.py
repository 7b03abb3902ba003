"""The networks of SRGAN (Ledig et al. 2016, figure 4), and the reduction and enlargement of images that they build upon."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .blocks import ResidualBlock, convolution, leaky_relu


def resized(images: Tensor, factor: float) -> Tensor:
    """Cubic convolution (Keys 1981, a = -1/2), antialiased when it reduces; what image programs call bicubic."""
    size = [round(side * factor) for side in images.shape[2:]]
    return interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)


class Generator(nn.Module):
    """Small images (B, C, h, w) in [-1, 1] -> (B, C, scale * h, scale * w), about [-1, 1] (the paper's SRResNet, figure 4)."""

    def __init__(self, channels: int, width: int, blocks: int, scale: int, *, batch_norm: bool, residual: bool) -> None:
        super().__init__()
        self.scale = scale if residual else 0
        self.first = nn.Sequential(nn.Conv2d(channels, width, 9, padding=4), nn.PReLU())
        norm = nn.BatchNorm2d if batch_norm else None
        last = convolution(width, width, 3, norm=norm)
        self.body = nn.Sequential(*(ResidualBlock(width, norm, nn.PReLU) for _ in range(blocks)), *last)
        enlarge: list[nn.Module] = []
        for _ in range(scale.bit_length() - 1):
            spread = nn.Conv2d(width, 4 * width, 3, padding=1)
            with torch.no_grad():  # the four pixels of one begin alike: no chequered pattern (Aitken et al. 2017)
                spread.weight.copy_(spread.weight[::4].repeat_interleave(4, dim=0))
                nn.init.zeros_(spread.bias)  # type: ignore[arg-type]
            enlarge += [spread, nn.PixelShuffle(2), nn.PReLU()]
        final = nn.Conv2d(width, channels, 9, padding=4)
        if residual:  # begins near the bicubic enlargement
            with torch.no_grad():
                final.weight.mul_(0.1)
                nn.init.zeros_(final.bias)  # type: ignore[arg-type]
        self.enlarge = nn.Sequential(*enlarge, final)

    def forward(self, small: Tensor) -> Tensor:
        features = self.first(small)
        large = self.enlarge(features + self.body(features))
        return large + resized(small, self.scale) if self.scale else large


class Discriminator(nn.Module):
    """Images (B, C, H, W) -> logits (B, 1, about H / 16, about W / 16): one verdict for every place.

    The paper's eight convolutions; its two dense layers are convolutions of 1x1 here, so that any size will do.
    """

    def __init__(self, channels: int, width: int, *, batch_norm: bool) -> None:
        super().__init__()
        norm = nn.BatchNorm2d if batch_norm else None
        layers = convolution(channels, width, 3, activation=leaky_relu)
        before = width
        for after, stride in [(width, 2)] + [(width * k, s) for k in (2, 4, 8) for s in (1, 2)]:
            layers += convolution(before, after, 3, stride, norm=norm, activation=leaky_relu)
            before = after
        layers += [nn.Conv2d(before, 2 * before, 1), nn.LeakyReLU(0.2), nn.Conv2d(2 * before, 1, 1)]
        self.layers = nn.Sequential(*layers)
        for layer in self.layers:  # with torch's smaller weights ten layers without BatchNorm say the same of every image
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.2)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)
