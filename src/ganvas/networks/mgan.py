"""Networks of `mgan`: a painter that sees what is near alone, what its pictures are looked at by, and judges of patches.
Li, Wand, 2016 (arXiv 1604.04382). Not for the game: `systems/synthesis/mgan.py`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad

from .blocks import ResidualBlock, convolution, enlarging, leaky_relu, relu
from .features import Features, with_random_weights
from .frozen import Frozen

COARSE = 4  # pixels that an underpainting is blurred over, and that noise stands for
TONES = 16  # pixels over which the tones of a photograph are kept: strokes are finer, and no concern of theirs
LEAST, PATCH = 12, 10  # pixels of pieces; places of a map, of which those at its border are left out, that a judge needs
NOISE = 4  # numbers of noise for so many pixels


def levels(side: int, wanted: int) -> int:
    """How many maps of `Looks` of pieces of a side are large enough to be judged, at most `wanted`."""
    return max([1, *(k + 1 for k in range(wanted) if (side - 3) >> k >= PATCH)])


class Painter(nn.Module):
    """Images (B, C, H, W) in [-1, 1] and noise (B, NOISE, ceil(H / 4), ceil(W / 4)) -> images of the same shape: two halvings,
    residual blocks, which the noise joins, so that strokes lie where a picture shows nothing; two doublings.

    No norm: a place is painted by what is near it alone, whatever the size of the picture, and in use as in training.
    underpainting: what the layers make is a change to the input, blurred over some pixels; they begin with it. Sides that four
    does not divide are continued by reflection, and cut off again.
    """

    def __init__(self, channels: int, width: int, blocks: int, underpainting: bool) -> None:
        super().__init__()
        inner = 4 * width
        self.underpainting = underpainting
        self.down = nn.Sequential(
            *convolution(channels, 2 * width, 4, 2, activation=relu, padding_mode="reflect"),
            *convolution(2 * width, inner, 4, 2, activation=relu, padding_mode="reflect"),
        )
        self.up = nn.Sequential(
            *convolution(inner + NOISE, inner, 3, activation=relu, padding_mode="reflect"),
            *[ResidualBlock(inner, padding_mode="reflect") for _ in range(blocks)],
            *(enlarging(inner, 2 * width, "resized", bias=True), relu()),
            *(nn.UpsamplingNearest2d(scale_factor=2), nn.Conv2d(2 * width, channels, 5, 1, 2, padding_mode="reflect")),
        )

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        height, width = images.shape[2:]
        right, below = -width % COARSE, -height % COARSE
        if right or below:
            images = pad(images, (0, right, 0, below), mode="reflect")
        made: Tensor = self.up(torch.cat([self.down(images), noise], 1))
        if self.underpainting:
            made = made + torch.atanh(0.95 * blurred(images))
        return torch.tanh(made)[:, :, :height, :width]


def blurred(images: Tensor) -> Tensor:
    """Images (B, C, H, W), sides multiples of `COARSE`, without what is finer than that."""
    return interpolate(avg_pool2d(images, COARSE), images.shape[2:], mode="bilinear", align_corners=False)


def tones(images: Tensor) -> Tensor:
    """Images (B, C, H, W) -> means over squares of `TONES` pixels, or over all where they are smaller."""
    return avg_pool2d(images, min(TONES, *images.shape[2:]), TONES // 2)


class Looks(nn.Module):
    """Images (B, C, H, W) -> the images, and what a network finds in them at 1/2, 1/4 ... of their size, `depth` maps in all.

    pretrained: with the weights of EfficientNet-lite0, which come with a package; else random ones, always the same. Nothing
    here is learnt, and nothing is kept in checkpoints.
    """

    def __init__(self, channels: int, depth: int, pretrained: bool) -> None:
        super().__init__()
        features = Features(depth - 1, enlarged=False)
        self.network = Frozen(features if pretrained else with_random_weights(features))
        times = 1 if channels in (1, 3) else channels
        self.sizes = (channels, *(times * size for size in Features.CHANNELS[: depth - 1]))

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.network(images)
        if len(maps[0]) != len(images):  # each channel was looked at as a grey image
            maps = [own.unflatten(0, (len(images), -1)).flatten(1, 2) for own in maps]
        return [images, *maps]


class PatchJudges(nn.Module):
    """Maps of `Looks` -> for each of them scores (B, 1, h, w), one a patch of 8x8 places; large for those of the style.

    No padding, and places at the border, where the maps know of a part of their surroundings alone, are left out.
    """

    def __init__(self, sizes: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                *(nn.Conv2d(size, width, 4, 2), leaky_relu()),
                *(nn.Conv2d(width, 2 * width, 3), leaky_relu()),
                nn.Conv2d(2 * width, 1, 1),
            )
            for size in sizes
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        return [head(own[:, :, 1:-1, 1:-1]) for head, own in zip(self.heads, maps, strict=False)]


def gram(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> products of channels (C, C), means over all places and images. Gatys et al. 2015 (arXiv 1508.06576)."""
    places = maps.movedim(1, -1).flatten(0, -2)
    return places.T @ places / len(places)


def mean_of(scores: list[Tensor]) -> Tensor:
    """The mean over levels of the means over patches."""
    return torch.stack([own.mean() for own in scores]).mean()
