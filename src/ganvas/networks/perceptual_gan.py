"""The networks of `perceptual-gan`: a small classifier cut into parts, the residual generator of features, and the matrices that
make pictures as if they had been small. Nothing here is trained on anything else.

The parts are those of the paper (Li et al. 2017, section 3), at the size of crops instead of photographs: low-level features f
(its conv1), features F of a region (its pooled conv5), the branches of the discriminator on F.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..batches import Noise
from .blocks import ResidualBlock, convolution, leaky_relu, relu

EVEN = 0.05  # added to the deviation of a record that is evened: a blank one stays blank


class LowLevel(nn.Module):
    """Images (B, C, H, W) -> low-level features f (B, width, H / 2, W / 2).

    Each image is brought to mean 0 and deviation 1 first, over its channels together: signs at night and against the sky are
    the same signs.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*convolution(channels, width, 4, 2, activation=relu))

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean((1, 2, 3), keepdim=True)
        spread = (images - mean).square().mean((1, 2, 3), keepdim=True).sqrt()
        features: Tensor = self.layers((images - mean) / (spread + EVEN))
        return features


class Upper(nn.Sequential):
    """f (B, width, H / 2, W / 2) -> features F (B, 4 width, H / 8, W / 8), odd sides rounded up."""

    def __init__(self, width: int) -> None:
        super().__init__(
            *convolution(width, 2 * width, 3, 2, activation=relu), *convolution(2 * width, 4 * width, 3, 2, activation=relu)
        )


def sides_of(height: int, columns: int) -> tuple[int, int]:
    """The sides of the features F of images of that size."""
    high, wide = (-(-(-(-(side // 2) // 2)) // 2) for side in (height, columns))
    return high, wide


class FeatureGenerator(nn.Module):
    """G: f (B, width, H / 2, W / 2) -> what the features F of a small record lack (B, 4 width, H / 8, W / 8).

    3x3 convolutions bring f to the size of F, a 1x1 convolution to its width, then come residual blocks. The last layer begins
    near zero, so that G begins by changing next to nothing.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        before = [*convolution(width, 2 * width, 3, 2, activation=relu), *convolution(2 * width, 2 * width, 3, 2, activation=relu)]
        wide = convolution(2 * width, 4 * width, 1, activation=relu)
        self.layers = nn.Sequential(*before, *wide, *(ResidualBlock(4 * width) for _ in range(blocks)))
        self.last = nn.Conv2d(4 * width, 4 * width, 3, 1, 1)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            assert self.last.bias is not None
            self.last.bias.zero_()

    def forward(self, features: Tensor) -> Tensor:
        lacking: Tensor = self.last(self.layers(features))
        return lacking


class Perception(nn.Module):
    """The perception branch: F -> logits (B, K), by two shared layers of `units` and a classifier. dropout: share of inputs of
    each layer that are left out where noise is given."""

    def __init__(self, numbers: int, units: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.first, self.second, self.last = nn.Linear(numbers, units), nn.Linear(units, units), nn.Linear(units, classes)

    def forward(self, features: Tensor, noise: Noise | None = None) -> Tensor:
        def kept(values: Tensor) -> Tensor:
            if noise is None or not self.dropout:
                return values
            return values * (noise.uniform(*values.shape) >= self.dropout) / (1 - self.dropout)

        values = self.first(kept(features.flatten(1))).relu()
        logits: Tensor = self.last(kept(self.second(kept(values)).relu()))
        return logits


def adversarial_branch(numbers: int, units: int) -> nn.Sequential:
    """F -> logits (B, 1) of belonging to a large record, by three layers."""
    first, second = nn.Linear(numbers, units), nn.Linear(units, units)
    return nn.Sequential(nn.Flatten(), first, leaky_relu(), second, leaky_relu(), nn.Linear(units, 1))


def reductions(length: int, sides: list[int]) -> Tensor:
    """(len(sides), length, length) matrices: a line of `length` values averaged down to a side and enlarged again, bicubic."""
    line = torch.eye(length)[None, None]  # each column a value on its own: interpolation is linear
    found = []
    for side in sides:
        small = interpolate(line, (side, length), mode="bicubic", antialias=True, align_corners=False)
        found.append(interpolate(small, (length, length), mode="bicubic", align_corners=False)[0, 0])
    return torch.stack(found)
