"""The generators of StackGAN and what their captions are told by. Zhang et al., 2017, "StackGAN" (ICCV, arXiv 1612.03242),
sections 3.2 to 3.4. Its discriminators are those of `networks.caption`.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from .blocks import ResidualBlock, convolution, enlarging, relu
from .convolutional import initialise, middle, stages_and_base

WIDEST = 8
"""At most so many times the channels at full resolution."""
COARSE = 16
"""Pixels of the short side at which stage two meets the caption, at most."""
CLOSE = -2.0
"""Logarithm of the variance at first: samples that begin as far apart as captions do say little of them."""
INSIDE = 0.95
"""As near to black and white an enlarged picture is let to be: the inverse of tanh has no value at 1."""


class ConditioningAugmentation(nn.Module):
    """Embeddings (B, text) and normal noise (B, size) -> (condition, mean, logarithm of the variance), each (B, size).

    Section 3.2. Nothing bends the two outputs: a ReLU on the logarithm of the variance would hold every variance above 1.
    """

    def __init__(self, text: int, size: int) -> None:
        super().__init__()
        self.mean, self.spread = nn.Linear(text, size), nn.Linear(text, size)
        nn.init.constant_(self.spread.bias, CLOSE)

    def forward(self, embeddings: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, spread = self.mean(embeddings), self.spread(embeddings)
        return mean + torch.exp(0.5 * spread) * noise, mean, spread


def divergence(mean: Tensor, spread: Tensor) -> Tensor:
    """KL(N(mean, exp(spread)) || N(0, 1)), the mean over records and numbers (B, size); spread: logarithm of the variance."""
    return 0.5 * (mean.square() + spread.exp() - 1 - spread).mean()


def _up(before: int, after: int) -> list[nn.Module]:
    return [enlarging(before, after, "resized"), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]


class Stage(nn.Module):
    """What a stage is given, embeddings (B, text) and normal noise (B, condition) -> (pictures, mean, logarithm of the
    variance of the condition): conditioning augmentation, and `draw`, to which its sample is handed."""

    def __init__(self, text: int, condition: int, draw: nn.Module) -> None:
        super().__init__()
        self.tell, self.draw = ConditioningAugmentation(text, condition), draw

    def forward(self, given: Tensor, embeddings: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        condition, mean, spread = self.tell(embeddings, noise)
        return self.draw(given, condition), mean, spread


class StageOne(nn.Module):
    """Noise (B, latent) and conditions (B, condition) -> small pictures (B, *shape) in [-1, 1]; sides of 8 pixels and more.

    A linear layer to the smallest map, then nearest pixels and 3x3 convolutions. width: channels at the pictures' size;
    doubles inwards, at most 8 times.
    """

    def __init__(self, latent: int, condition: int, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        channels, self.height, self.columns = shape
        stages, self.base = stages_and_base(self.height, self.columns)
        widths = [width * min(WIDEST, 2**place) for place in reversed(range(stages + 1))]
        self.start = nn.Linear(latent + condition, widths[0] * self.base[0] * self.base[1], bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
        for before, after in pairwise(widths):
            layers += _up(before, after)
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1), nn.Tanh())
        self.apply(initialise)

    def forward(self, latents: Tensor, condition: Tensor) -> Tensor:
        start = self.start(torch.cat([latents, condition], 1)).unflatten(1, (-1, *self.base))
        return middle(self.layers(start), self.height, self.columns)


class StageTwo(nn.Module):
    """Small pictures (B, C, h, w) and conditions (B, condition) -> pictures (B, C, H, W) in [-1, 1], H <= times * h.

    The picture is encoded to at most COARSE pixels (halved once at least), the condition stands beside it at every place,
    a convolution mixes both, `blocks` residual ones follow, then nearest pixels and 3x3 convolutions. times: a power of 2.
    width: channels at half of the full size, as of D; doubles inwards, at most 4 times as many. kept: what is drawn is added to
    the enlarged picture, before tanh, so that it begins as that.
    """

    def __init__(
        self,
        condition: int,
        shape: tuple[int, int, int],
        small: tuple[int, int],
        times: int,
        width: int,
        blocks: int,
        *,
        kept: bool,
    ) -> None:
        super().__init__()
        channels, self.height, self.columns = shape
        self.times, self.kept = times, kept
        downs = 1
        while min(small) >> downs > COARSE:
            downs += 1
        self.multiple = 2**downs
        ups, width = downs + times.bit_length() - 1, max(1, width // 2)
        widths = [width * min(WIDEST, 2**place) for place in range(ups + 1)]
        down = convolution(channels, widths[-1 - downs], 3, activation=relu)
        for before, after in pairwise(widths[-1 - downs :]):
            down += convolution(before, after, 4, 2, norm=nn.BatchNorm2d, activation=relu)
        inner = widths[-1]
        self.encode = nn.Sequential(*down)
        self.mix = nn.Sequential(*convolution(inner + condition, inner, 3, norm=nn.BatchNorm2d, activation=relu))
        layers: list[nn.Module] = [ResidualBlock(inner, nn.BatchNorm2d) for _ in range(blocks)]
        for after, before in reversed(list(pairwise(widths))):
            layers += _up(before, after)
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1))
        self.apply(initialise)

    def forward(self, pictures: Tensor, condition: Tensor) -> Tensor:
        down, across = -pictures.shape[2] % self.multiple, -pictures.shape[3] % self.multiple
        even = pad(pictures, (across // 2, across - across // 2, down // 2, down - down // 2), mode="replicate")
        seen = self.encode(even)
        told = condition[:, :, None, None].expand(-1, -1, *seen.shape[2:])
        drawn = self.layers(self.mix(torch.cat([seen, told], 1)))
        if self.kept:
            drawn = drawn + self.enlarged(even).clamp(-INSIDE, INSIDE).atanh()
        return middle(torch.tanh(drawn), self.height, self.columns)

    def enlarged(self, pictures: Tensor) -> Tensor:
        """(B, C, times * h, times * w), between the pixels."""
        return interpolate(pictures, scale_factor=self.times, mode="bilinear", align_corners=False)
