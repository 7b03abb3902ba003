"""The networks of StarGAN (Choi et al. 2018, arXiv 1711.09020, tables 4 and 5): a generator that is told attributes, a
discriminator that reads them, and the codes of both. Not for the game: `systems/translation/stargan.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_unshuffle

from ..errors import GanvasError
from .blocks import UPSAMPLINGS, convolution, enlarging
from .convolutional import SMALLEST_SIDE

SKIPS = ("none", "features", "mask", "change")
LABELS = ("input", "norms")
DEEPEST = 6  # of the paper, at 128 pixels


class Told(nn.Module):
    """Instance norm of maps (B, C, H, W), scaled and shifted by what is told (B, K); of itself where K is 0.

    A code that lies beside the input as constant planes is taken away again by the instance norm behind the first convolution,
    but for the border; here it comes after the norm.
    """

    def __init__(self, channels: int, codes: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels, affine=codes == 0)
        self.told = nn.Linear(codes, 2 * channels) if codes else None

    def forward(self, maps: Tensor, code: Tensor) -> Tensor:
        normed: Tensor = self.norm(maps)
        if self.told is None:
            return normed
        scale, shift = self.told(code)[:, :, None, None].chunk(2, 1)
        return normed * (1 + scale) + shift


class Layer(nn.Module):
    """A convolution, its norm, and ReLU where wanted."""

    def __init__(self, layer: nn.Module, channels: int, codes: int, bend: bool = True) -> None:
        super().__init__()
        self.layer, self.norm, self.bend = layer, Told(channels, codes), bend

    def forward(self, maps: Tensor, code: Tensor) -> Tensor:
        made: Tensor = self.norm(self.layer(maps), code)
        return made.relu() if self.bend else made


class EditGenerator(nn.Module):
    """Images (B, C, H, W) in [-1, 1] and codes (B, K) -> images of the same size: two downsamplings, residual blocks of two 3x3
    convolutions, two upsamplings. Sides are multiples of 4.

    width: channels at full size. labels: `input`, the paper's: a code lies beside the image as K constant planes; `norms`: it
    scales and shifts the norms of all layers but the first. skip: with `features` the last layer gets those of the first as
    well; with `mask`, G says at each pixel how much of what it makes stands in the place of the image (Pumarola et al.
    2018, "GANimation", arXiv 1807.09251, eq. 1): what is left alone is left exactly; with `change`, G makes a change to the
    image, which is nothing at first and is cut off at black and white. fold: so many pixels of a side enter as channels of one,
    and G works at that part of the size until its last layer, which sees the image as well.
    """

    def __init__(
        self, channels: int, codes: int, width: int, blocks: int, skip: str = "none", labels: str = "input",
        upsampling: str = UPSAMPLINGS[0], fold: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.skip, self.planes, self.fold = skip, labels == "input", fold
        told = 0 if self.planes else codes
        wide, inner = 2 * width, 4 * width
        self.enter = Layer(nn.Conv2d(channels * fold**2 + codes * self.planes, width, 7, 1, 3, bias=False), width, 0)
        self.down = nn.ModuleList(
            [
                Layer(nn.Conv2d(width, wide, 4, 2, 1, bias=False), wide, told),
                Layer(nn.Conv2d(wide, inner, 4, 2, 1, bias=False), inner, told),
            ]
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList([Layer(nn.Conv2d(inner, inner, 3, 1, 1, bias=False), inner, told, bend) for bend in (True, False)])
            for _ in range(blocks)
        )
        self.up = nn.ModuleList(
            [Layer(enlarging(before, after, upsampling), after, told) for before, after in ((inner, wide), (wide, width))]
        )
        if skip == "change":  # what is told meets detail again, or changes are blurred
            self.meet = nn.ModuleList([Layer(nn.Conv2d(2 * own, own, 3, 1, 1, bias=False), own, told) for own in (wide, width)])
        made = channels + (skip == "mask")
        left = width * (2 if skip == "features" else 1)
        # Pixels of one channel each (`pixel_shuffle`) would be learnt apart, and leave a grid; so the image is seen once more.
        self.leave = nn.Conv2d(left + channels * (fold > 1), made, 7 if fold == 1 else 5, 1, "same", bias=skip != "none")
        if skip == "change":
            for parameter in self.leave.parameters():
                nn.init.zeros_(parameter)

    def forward(self, images: Tensor, codes: Tensor) -> Tensor:
        given = pixel_unshuffle(images, self.fold) if self.fold > 1 else images
        if self.planes:
            planes = codes[:, :, None, None].expand(-1, -1, *given.shape[2:])
            given = torch.cat([given, planes.to(images.dtype)], 1)
        first: Tensor = self.enter(given, codes)
        maps = first
        passed = [first]
        for layer in self.down:
            maps = layer(maps, codes)
            passed.append(maps)
        for block in self.blocks:
            kept = maps
            for layer in block:  # type: ignore[attr-defined]
                maps = layer(maps, codes)
            maps = kept + maps
        for place, layer in enumerate(self.up):
            maps = layer(maps, codes)
            if self.skip == "change":
                maps = self.meet[place](torch.cat([maps, passed[1 - place]], 1), codes)
        maps = torch.cat([maps, first], 1) if self.skip == "features" else maps
        if self.fold > 1:
            maps = torch.cat([interpolate(maps, scale_factor=float(self.fold), mode="nearest"), images], 1)
        made: Tensor = self.leave(maps)
        if self.skip == "change":
            return (images + made).clamp(-1, 1)
        if self.skip == "mask":
            share = torch.sigmoid(made[:, -1:])
            return share * torch.tanh(made[:, :-1]) + (1 - share) * images
        return torch.tanh(made)


class ReadingDiscriminator(nn.Module):
    """Images (B, *shape) -> a map of how real each patch is (B, 1, h, w), and what is read (B, K): `depth` convolutions of 4x4
    and stride 2 with leaky ReLU(0.01) and no norm, twice as wide each, and two heads. sees: with He's starting weights, which
    keep sizes from layer to layer; with torch's own, smaller ones cross entropy moves next to nothing for some hundred rounds.
    fits: a third head says of each value how real a patch is as one that shows it (Choi et al. 2020, StarGAN v2, arXiv
    1912.01865, whose branches are domains), and `real` adds those of the values in a code (B, K).
    """

    def __init__(
        self, shape: tuple[int, int, int], codes: int, width: int, depth: int, sees: bool = False, fits: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before, after = shape[0], width
        for _ in range(depth):
            layers += convolution(before, after, 4, 2, activation=lambda: nn.LeakyReLU(0.01))
            before, after = after, 2 * after
        self.layers = nn.Sequential(*layers)
        self.real = nn.Conv2d(before, 1, 3, 1, 1, bias=False)
        self.read = nn.Conv2d(before, codes, (shape[1] >> depth, shape[2] >> depth), bias=False)
        self.fits = nn.Conv2d(before, codes, 3, 1, 1, bias=False) if fits else None
        for layer in self.layers if sees else ():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.01)

    def forward(self, images: Tensor, codes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        maps = self.layers(images)
        real: Tensor = self.real(maps)
        if self.fits is not None and codes is not None:
            real = real + (self.fits(maps) * codes[:, :, None, None]).sum(1, keepdim=True)
        return real, self.read(maps).flatten(1)


def deepest(height: int, width: int, wanted: int = 0, fold: int = 1) -> int:
    """The depth of the discriminator: `wanted`, or as many halvings as leave 2 pixels, at most 6; always at least one pixel.

    Raises GanvasError for sides that 4 (times `fold`) does not divide, and for small ones.
    """
    side = min(height, width)
    step = 4 * fold
    if side < SMALLEST_SIDE or height % step or width % step:
        raise GanvasError(
            f"stargan: sides of {height}x{width}: multiples of {step}, from {SMALLEST_SIDE} on, are needed (see --size)"
        )
    most = side.bit_length() - 1
    return min(wanted or min(most - 1, DEEPEST), most)
