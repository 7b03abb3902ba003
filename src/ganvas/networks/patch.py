"""PatchGAN: a discriminator that judges every patch of an image by itself. Isola, Zhu, Zhou, Efros, 2017, "Image-to-Image
Translation with Conditional Adversarial Networks" (CVPR, arXiv 1611.07004), section 3.2.2.

What is coherent over more than a patch is left to other terms. A conditional discriminator gets the condition as further
channels (`torch.cat([condition, images], 1)`).
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from .blocks import Norm, convolution, leaky_relu
from .convolutional import initialise


class PatchDiscriminator(nn.Module):
    """Images (B, channels, H, W) -> logits (B, 1, h, w), each about one patch: 16, 34, 70 pixels wide at depth 1, 2, 3.

    depth: convolutions of stride 2; one of stride 1 and the last one follow. width: channels after the first; doubles with
    each further one, at most 8 times. norm: after all but the first and the last one; None: nowhere. With InstanceNorm the
    depth must leave maps of more than one pixel (`patch_depth`). The defaults are the paper's 70x70 PatchGAN.
    """

    def __init__(self, channels: int, width: int = 64, depth: int = 3, norm: Norm | None = nn.BatchNorm2d) -> None:
        super().__init__()
        widths = [width * min(8, 2**i) for i in range(depth + 1)]
        layers = convolution(channels, widths[0], 4, 2, activation=leaky_relu)
        for place in range(1, depth + 1):
            stride = 2 if place < depth else 1
            layers += convolution(widths[place - 1], widths[place], 4, stride, norm=norm, activation=leaky_relu)
        self.layers = nn.Sequential(*layers, *convolution(widths[-1], 1, 4))
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


def patch_depth(side: int, wanted: int = 0) -> int:
    """The depth for images whose short side is `side`, at least 8: `wanted`, or 1 below 32 pixels, 2 below 128, else 3.

    At most so deep that maps which are normalised keep more than one pixel.
    """
    depth = wanted or (1 if side < 32 else 2 if side < 128 else 3)
    return min(depth, int(math.log2(side)) - 2)
