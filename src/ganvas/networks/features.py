"""Frozen feature maps of images, for losses that compare what pictures show rather than their pixels.

Whoever uses them says so in `System.extractors`: what a system trains on may not judge it.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

DEPTHS = 4
SMALLEST_MAP = 4  # a smaller one is not reduced further


class Features(nn.Module):
    """Images (B, C, H, W) in [-1, 1] -> feature maps of a pretrained EfficientNet-lite0 at 1, 1/2, 1/4 and 1/8 of the size.

    The images are enlarged twice first: the network begins with a stride of two, and would see every other pixel alone. Without
    it (`enlarged`) the maps are at 1/2 to 1/16 of the size, at a quarter of the work, and pixels are to be seen by other means.
    Grey is repeated three times; each of any other number of channels counts as a grey image of its own. Raises what
    `ganvas.metrics.image_features` raises when the weights are not there.
    """

    STAGES = (1, 3, 5, 11)  # blocks before each halving but the first
    CHANNELS = (16, 24, 40, 112)

    def __init__(self, depth: int, enlarged: bool = True) -> None:
        super().__init__()
        from ganvas.metrics.features import extractor_network

        whole = copy.deepcopy(extractor_network("cpu"))  # its own copy: the metrics keep theirs where and as it is
        starts = (0, *self.STAGES)
        stem = nn.Sequential(whole._conv_stem, whole._bn0, nn.ReLU6())
        self.stages = nn.ModuleList(nn.Sequential(*whole._blocks[starts[i] : starts[i + 1]]) for i in range(depth))
        self.stages[0].insert(0, stem)  # type: ignore[operator]
        self.enlarged = enlarged

    def forward(self, images: Tensor) -> list[Tensor]:
        channels = images.shape[1]
        if channels not in (1, 3):
            images, channels = images.flatten(0, 1)[:, None], 1
        maps = images.expand(-1, 3, -1, -1) if channels == 1 else images
        if self.enlarged:
            maps = interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
        found: list[Tensor] = []
        for stage in self.stages:
            if found and min(maps.shape[2:]) < SMALLEST_MAP:
                break
            maps = stage(maps)
            found.append(maps)
        return found


def with_random_weights(network: nn.Module) -> nn.Module:
    """The same network with random convolutions, always the same, with which each layer keeps the variance it is given."""
    generator = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            spread = math.sqrt(2 / layer.weight[0].numel())
            with torch.no_grad():
                layer.weight.copy_(spread * torch.randn(layer.weight.shape, generator=generator, device="cpu"))
                if layer.bias is not None:
                    layer.bias.zero_()
    return network
