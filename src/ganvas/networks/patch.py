"""PatchGAN: a discriminator that judges every patch of an image by itself. Isola, Zhu, Zhou, Efros, 2017, "Image-to-Image
Translation with Conditional Adversarial Networks" (CVPR, arXiv 1611.07004), section 3.2.2.

What is coherent over more than a patch is left to other terms. A conditional discriminator gets the condition as further
channels (`torch.cat([condition, images], 1)`).
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch.nn.utils.parametrizations import spectral_norm

from .blocks import Norm, convolution, leaky_relu
from .convolutional import initialise

SMALLEST = 8
"""Pixels of a side below which there are no patches to judge."""


class PatchDiscriminator(nn.Module):
    """Images (B, channels, H, W) -> logits (B, 1, h, w), each about one patch: 16, 34, 70 pixels wide at depth 1, 2, 3.

    depth: convolutions of stride 2; one of stride 1 and the last one follow. width: channels after the first; doubles with
    each further one, at most 8 times. norm: after all but the first and the last one; None: nowhere. With InstanceNorm the
    depth must leave maps of more than one pixel (`patch_depth`). spectral: every convolution has a spectral norm of 1. The
    defaults are the paper's 70x70 PatchGAN.
    """

    def __init__(
        self, channels: int, width: int = 64, depth: int = 3, norm: Norm | None = nn.BatchNorm2d, spectral: bool = False
    ) -> None:
        super().__init__()
        widths = [width * min(8, 2**i) for i in range(depth + 1)]
        layers = convolution(channels, widths[0], 4, 2, activation=leaky_relu)
        for place in range(1, depth + 1):
            stride = 2 if place < depth else 1
            layers += convolution(widths[place - 1], widths[place], 4, stride, norm=norm, activation=leaky_relu)
        self.layers = nn.Sequential(*layers, *convolution(widths[-1], 1, 4))
        self.apply(initialise)
        for layer in self.layers if spectral else ():
            if isinstance(layer, nn.Conv2d):
                spectral_norm(layer)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits

    def features(self, images: Tensor) -> list[Tensor]:
        """What follows each activation, and the logits last."""
        found: list[Tensor] = []
        for layer in self.layers:
            images = layer(images)
            if isinstance(layer, nn.LeakyReLU):
                found.append(images)
        return [*found, images]


class PatchPyramid(nn.Module):
    """PatchGANs that look at the same images at several scales, each at half the size of the one before. Wang et al., 2018,
    "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs" (arXiv 1711.11585), section 3.2.

    Images (B, channels, H, W) -> for each scale what `PatchDiscriminator.features` gives, the logits last. side: the shorter
    side of the images; scales below 8 pixels are left out, and none is deeper than its size bears. The other arguments are
    those of `PatchDiscriminator`.
    """

    def __init__(
        self, channels: int, width: int, depth: int, side: int, scales: int, norm: Norm | None, spectral: bool = False
    ) -> None:
        super().__init__()
        sides = [side >> place for place in range(scales) if side >> place >= SMALLEST]
        self.scales = nn.ModuleList(
            PatchDiscriminator(channels, width, patch_depth(own, depth), norm, spectral) for own in sides
        )

    def forward(self, images: Tensor, first: int = 0) -> list[list[Tensor]]:
        """first: the scale that sees the images as they are, the ones before it see nothing: for images of half the size, 1."""
        found = []
        for place, scale in enumerate(self.scales[first:]):
            if place:
                images = halved(images)
            found.append(scale.features(images))  # type: ignore[operator]
        return found


def halved(images: Tensor) -> Tensor:
    """(B, C, H, W) -> half the size, by the mean of 3x3 pixels; beyond the border nothing is counted."""
    return avg_pool2d(images, 3, 2, 1, count_include_pad=False)


def patch_depth(side: int, wanted: int = 0) -> int:
    """The depth for images whose short side is `side`, at least 8: `wanted`, or 1 below 32 pixels, 2 below 128, else 3.

    At most so deep that maps which are normalised keep more than one pixel.
    """
    depth = wanted or (1 if side < 32 else 2 if side < 128 else 3)
    return min(depth, int(math.log2(side)) - 2)
