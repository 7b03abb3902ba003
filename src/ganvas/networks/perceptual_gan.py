"""The networks of `perceptual-gan`: a small classifier cut into parts, the residual generator of features, and matrices
that make pictures as if they had been small.

The parts are those of the paper (Li et al. 2017, section 3), at the size of crops instead of photographs: low-level features f
(its conv1), features F of a region (its pooled conv5), the branches of the discriminator on F.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, leaky_relu

from ..batches import Noise
from .blocks import ResidualBlock, convolution, relu
from .features import DEPTHS, Features
from .frozen import Frozen

HALF = 0.5  # the deviation of photographs in [-1, 1], about
EVEN = 0.05  # added to the deviation of a record that is evened: a blank one stays blank


def evened(images: Tensor) -> Tensor:
    """Images (B, C, H, W), each brought to mean 0 and deviation 1 over its channels together: signs at night and against the
    sky are the same signs."""
    mean = images.mean((1, 2, 3), keepdim=True)
    spread = (images - mean).square().mean((1, 2, 3), keepdim=True).sqrt()
    return (images - mean) / (spread + EVEN)


class Backbone(nn.Module):
    """Images (B, C, H, W) -> low-level features f (B, c, about H / 2, W / 2) and features F (B, c', about H / 8, W / 8).

    Learnt with the classifier: `width` and 4 width channels. pretrained: frozen, the second and the last stage of an
    EfficientNet-lite0 that knows photographs (`networks.features`), which sees the images at twice their size; of channels that
    are no colours the mean. Both see evened images. shapes: (c, h, w) of f and of F.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, pretrained: bool) -> None:
        super().__init__()
        self.frozen = Frozen(Features(DEPTHS)) if pretrained else None
        if not pretrained:
            self.lower = nn.Sequential(*convolution(shape[0], width, 4, 2, activation=relu))
            inner = [convolution(many, 2 * many, 3, 2, activation=relu) for many in (width, 2 * width)]
            self.upper = nn.Sequential(*inner[0], *inner[1])
        with torch.no_grad():
            self.shapes = tuple(tuple(found.shape[1:]) for found in self(torch.zeros(1, *shape)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        images = evened(images)
        if self.frozen is None:
            low = self.lower(images)
            return low, self.upper(low)
        maps = self.frozen(HALF * (images if images.shape[1] in (1, 3) else images.mean(1, keepdim=True)))
        return maps[1], maps[-1]


class FeatureGenerator(nn.Module):
    """G: low-level features f -> what the features F of a small record lack. shapes: (channels, height, width) of f and of F.

    3x3 convolutions halve f twice, a 1x1 convolution brings it to 4 width channels, then come residual blocks. The last layer
    begins near zero, so that G begins by changing next to nothing.
    """

    def __init__(self, shapes: tuple[tuple[int, ...], ...], width: int, blocks: int) -> None:
        super().__init__()
        self.sides = (shapes[1][1], shapes[1][2])
        first = convolution(shapes[0][0], width, 3, 2, activation=relu)
        wide = convolution(width, 4 * width, 1, activation=relu)
        residual = [ResidualBlock(4 * width) for _ in range(blocks)]
        self.layers = nn.Sequential(*first, *convolution(width, width, 3, 2, activation=relu), *wide, *residual)
        self.last = nn.Conv2d(4 * width, shapes[1][0], 3, 1, 1)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            assert self.last.bias is not None
            self.last.bias.zero_()

    def forward(self, features: Tensor) -> Tensor:
        return adaptive_avg_pool2d(self.last(self.layers(features)), self.sides)  # odd sides are rounded otherwise


class Branch(nn.Module):
    """A branch of the discriminator: F -> logits (B, outputs), by two layers of `units` and a last one.

    dropout: share of the inputs of each layer that are left out where noise is given. Few records are learnt by heart
    otherwise, by the branch that names them and by the one that tells them apart.
    """

    def __init__(self, numbers: int, units: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.first, self.second, self.last = nn.Linear(numbers, units), nn.Linear(units, units), nn.Linear(units, outputs)

    def forward(self, features: Tensor, noise: Noise | None = None) -> Tensor:
        def kept(values: Tensor) -> Tensor:
            if noise is None or not self.dropout:
                return values
            return values * (noise.uniform(*values.shape) >= self.dropout) / (1 - self.dropout)

        values = leaky_relu(self.first(kept(features.flatten(1))), 0.2)
        logits: Tensor = self.last(kept(leaky_relu(self.second(kept(values)), 0.2)))
        return logits


def zoomed(images: Tensor, noise: Noise, share: float) -> Tensor:
    """Images (B, C, H, W), each seen larger or smaller and moved by up to `share` of its sides; linear between pixels, the
    border goes on. One may be cut a little tighter than another."""
    count, (height, columns) = len(images), images.shape[2:]
    scale = 1 + share * (2 * noise.uniform(count, 1, 1) - 1)
    lines = []
    for length in (height, columns):
        move = share * length * (2 * noise.uniform(count, 1, 1) - 1) / 2
        place = torch.arange(length, device=images.device, dtype=images.dtype)
        middle = (length - 1) / 2
        seen = ((place[:, None] - middle) * scale.to(images.dtype) + middle + move.to(images.dtype)).clamp(0, length - 1)
        lines.append((1 - (seen - place[None, None]).abs()).clamp(min=0))  # (B, length, length): each row sums to 1
    return lines[0][:, None] @ images @ lines[1][:, None].mT


def reductions(length: int, sides: list[int]) -> Tensor:
    """(len(sides), length, length) matrices: a line of `length` values averaged down to a side and enlarged again, bicubic."""
    line = torch.eye(length)[None, None]  # each column a value on its own: interpolation is linear
    found = []
    for side in sides:
        small = interpolate(line, (side, length), mode="bicubic", antialias=True, align_corners=False)
        found.append(interpolate(small, (length, length), mode="bicubic", align_corners=False)[0, 0])
    return torch.stack(found)
