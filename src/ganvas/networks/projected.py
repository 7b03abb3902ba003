"""What the discriminators of Projected GAN look at, and these. Sauer, Chitta, Mueller, Geiger, 2021, "Projected GANs Converge
Faster" (NeurIPS, arXiv 2111.01007), section 3. Not for the game: `systems/synthesis/projected_gan.py`.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from .blocks import leaky_relu
from .features import with_random_weights
from .frozen import Frozen
from .spectral import spectral

SCALES = 4
STEP = 32  # how often the pretrained network halves, altogether: sides that it sees are multiples of half of it
LAST = 8  # pixels of the maps that a discriminator judges, about


class Backbone(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] -> maps of an EfficientNet-lite0 at 1/4, 1/8, 1/16 and 1/32 of the size.

    pretrained: with its ImageNet weights, which come with a package; else random ones, always the same, with which each layer
    keeps the variance it is given. Raises what `ganvas.metrics.image_features` raises when the weights are not there.
    """

    ENDS = (3, 5, 11, 16)  # blocks before the end of each scale
    CHANNELS = (24, 40, 112, 320)

    def __init__(self, pretrained: bool) -> None:
        super().__init__()
        from ganvas.metrics.features import extractor_network

        whole = copy.deepcopy(extractor_network("cpu"))  # its own copy: the metrics keep theirs where and as it is
        starts = (0, *self.ENDS)
        scales = [[*whole._blocks[starts[i] : starts[i + 1]]] for i in range(SCALES)]
        scales[0].insert(0, nn.Sequential(whole._conv_stem, whole._bn0, nn.ReLU6()))
        self.scales = nn.ModuleList(nn.Sequential(*blocks) for blocks in scales)
        if not pretrained:
            with_random_weights(self)

    def forward(self, images: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        for scale in self.scales:
            images = scale(images)
            found.append(images)
        return found


class Projection(nn.Module):
    """Images (B, C, H, W) in [-1, 1] -> four maps, the finest first, at 1/2, 1/4, 1/8 and 1/16 of the size that is looked at.

    Features of a frozen network are mixed across channels, by random 1x1 convolutions, and across scales: the coarsest are
    enlarged and mixed again, the next finer ones are added to them, and so on (section 3.2). Nothing here is learnt; the mixing
    is drawn anew for each run, and kept in its checkpoint. side: the shorter side is brought to it first, if it is smaller.
    width: channels of the finest mixed features; twice as many with each coarser scale. across: whether scales are mixed too.

    One channel is repeated three times; of any other number but three each is looked at alone, and all are mixed.
    """

    def __init__(self, shape: tuple[int, int, int], side: int, width: int, *, pretrained: bool, across: bool) -> None:
        super().__init__()
        channels, height, columns = shape
        larger = max(1.0, side / min(height, columns))
        half = STEP // 2
        self.size = tuple(max(2 * STEP, round(length * larger / half) * half) for length in (height, columns))
        self.backbone = Frozen(Backbone(pretrained))
        self.across, self.apart = across, channels if channels not in (1, 3) else 1
        inner = [width * 2**scale for scale in range(SCALES)]
        self.channels = [max(width, many // 2) for many in inner]
        for scale, (before, mixed, after) in enumerate(zip(Backbone.CHANNELS, inner, self.channels, strict=True)):
            self.register_buffer(f"mix_{scale}", _random(mixed, before * self.apart))
            self.register_buffer(f"out_{scale}", _random(after, mixed))
        self.sides = [min(self.size) // 2 ** (scale + 1) for scale in range(SCALES)]

    def forward(self, images: Tensor, moved: tuple[int, int] = (0, 0)) -> list[Tensor]:
        """moved: pixels by which what the network sees is shifted, down and to the right, round the border. Its strides single
        out pixels: on a grid that stood still, the generator would draw stripes between them."""
        count = len(images)
        if self.apart > 1:
            images = images.flatten(0, 1)[:, None]
        seen = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        if tuple(seen.shape[2:]) != self.size:
            seen = interpolate(seen, size=self.size, mode="bilinear", align_corners=False)
        if any(moved):
            seen = seen.roll(moved, (2, 3))
        maps = [found.reshape(count, -1, *found.shape[2:]) for found in self.backbone(seen)]
        projected: list[Tensor] = []
        above: Tensor | None = None
        for scale in reversed(range(SCALES)):
            mixed = conv2d(maps[scale], self.get_buffer(f"mix_{scale}").to(maps[scale].dtype))
            if above is not None and self.across:
                mixed = mixed + interpolate(above, size=mixed.shape[2:], mode="bilinear", align_corners=False)
            larger = interpolate(mixed, scale_factor=2.0, mode="bilinear", align_corners=False)
            above = conv2d(larger, self.get_buffer(f"out_{scale}").to(larger.dtype))
            projected.append(above)
        return projected[::-1]


def _random(after: int, before: int) -> Tensor:
    """Weights (after, before, 1, 1) of a convolution that keeps the variance of what it is given (He et al. 2015)."""
    weight = torch.empty(after, before, 1, 1)
    nn.init.kaiming_normal_(weight, nonlinearity="linear")
    return weight


class Judges(nn.Module):
    """Four discriminators, one a scale: maps of a projection -> logits (B, K), those of all places of all scales.

    Each halves its maps to about 8 pixels by 4x4 convolutions with spectral norm, and judges by one more. width: channels at 64
    pixels of a scale's maps; 8 times at 8.
    """

    def __init__(self, channels: list[int], sides: list[int], width: int) -> None:
        super().__init__()
        self.judges = nn.ModuleList(self._judge(before, side, width) for before, side in zip(channels, sides, strict=True))

    @staticmethod
    def _judge(before: int, side: int, width: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for left in reversed(range(max(0, round(math.log2(side / LAST))))):
            after = max(2, 8 * width // 2**left)
            layers += [spectral(nn.Conv2d(before, after, 4, 2, 1, bias=False)), nn.BatchNorm2d(after), leaky_relu()]
            before = after
        return nn.Sequential(*layers, spectral(nn.Conv2d(before, 1, 4, bias=False)))

    def forward(self, maps: list[Tensor]) -> Tensor:
        return torch.cat([judge(own).flatten(1) for judge, own in zip(self.judges, maps, strict=True)], 1)
