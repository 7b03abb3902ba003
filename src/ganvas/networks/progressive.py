"""The networks of progressive growing for any size, aspect and number of channels: a generator and a critic that grow.

Karras, Aila, Laine, Lehtinen 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation"
(arXiv 1710.10196, appendix A). Every block is there from the start; `level` says how many of them are played with. Sizes halve
from the full one, rounded up, so that images of any size lead to the same grid. Equalised learning rates are those of `style`.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from .convolutional import stages_and_base
from .style import Convolution, Linear, channel_widths, full_precision, leaky, minibatch_deviation


def sizes_of(height: int, width: int) -> list[tuple[int, int]]:
    """(rows, columns) of every level, the smallest first: 4 to 8 pixels on the short side, then the double, less a row or a
    column where that is too much."""
    stages, _ = stages_and_base(height, width)
    return [(-(-height // 2**halvings), -(-width // 2**halvings)) for halvings in range(stages, -1, -1)]


def halved(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> half the size, rounded up: the mean of each four pixels, at the end of odd sides of what is there."""
    return functional.avg_pool2d(maps, 2, ceil_mode=True)


def doubled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size): every pixel four times, sides of 2h - 1 and 2w - 1 without the last."""
    return functional.interpolate(maps, scale_factor=2, mode="nearest")[:, :, : size[0], : size[1]]


def blended(coarse: Tensor, fine: Tensor, alpha: Tensor) -> Tensor:
    """`coarse` where alpha () is 0, `fine` where it is 1."""
    return torch.lerp(coarse, fine, alpha.to(fine.dtype))


def pixel_norm(x: Tensor) -> Tensor:
    """Vectors of channels (dimension 1) at the length sqrt(channels), everywhere (section 4.2)."""
    power = x.square().mean(1, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    return x * (power + 1e-8).rsqrt().to(x.dtype)


class _Repeating(Convolution):
    """A 3x3 convolution that finds the border repeated outside. Zeros there draw a frame at each size that comes in, which a
    short training does not unlearn."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        x = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        return functional.conv2d(x, self.weight * self.scale, self.bias * self.gain)


class _Smooth(nn.Module):
    """Two 3x3 convolutions, each followed by leaky ReLU and, if wanted, pixel norm. layer: makes one."""

    def __init__(
        self, before: int, between: int, after: int, norm: bool = False, layer: type[Convolution] = Convolution
    ) -> None:  # fmt: skip
        super().__init__()
        self.first, self.second = layer(before, between, 3), layer(between, after, 3)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.second):
            x = leaky(layer(x))
            x = pixel_norm(x) if self.norm else x
        return x


class ProgressiveGenerator(nn.Module):
    """Latents (B, latent) -> images (B, C, *sizes[level]), not bounded. shape: (C, H, W) of full size.

    width: channels at full size; doubles inwards, up to `most`. norm: pixel norm after each layer but those to images.
    """

    def __init__(self, latent: int, shape: tuple[int, int, int], width: int, most: int, norm: bool = True) -> None:
        super().__init__()
        self.sizes = sizes_of(*shape[1:])
        self.norm = norm
        widths = channel_widths(len(self.sizes) - 1, width, most)
        rows, columns = self.sizes[0]
        self.enter = Linear(latent, widths[0] * rows * columns)
        self.start = _Repeating(widths[0], widths[0], 3)
        self.blocks = nn.ModuleList(
            _Smooth(before, after, after, norm, _Repeating) for before, after in itertools.pairwise(widths)
        )
        self.to_image = nn.ModuleList(Convolution(size, shape[0], 1, gain=1.0) for size in widths)

    def forward(self, latents: Tensor, level: int, alpha: Tensor | None = None) -> Tensor:
        """level: index of `sizes`. alpha: (), how far that level has come in, over the one before; None: wholly."""
        before = x = self._begun(latents)
        for size, block in zip(self.sizes[1 : level + 1], self.blocks, strict=False):
            before, x = x, block(doubled(x, size))
        images: Tensor = self.to_image[level](x)
        if alpha is None or not level:
            return images
        return blended(doubled(self.to_image[level - 1](before), self.sizes[level]), images, alpha)

    def grown(self, latents: Tensor, levels: Tensor) -> Tensor:
        """Images (B, C, H, W) of full size, of a generator that has grown by `levels` (): 1.3 is the second level, and 0.3 of
        the third. Every block is played through, so that nobody waits for the number."""
        x = self._begun(latents)
        images: Tensor = self.to_image[0](x)
        for place, (size, block) in enumerate(zip(self.sizes[1:], self.blocks, strict=True), start=1):
            x = block(doubled(x, size))
            images = blended(doubled(images, size), self.to_image[place](x), (levels - place + 1).clamp(0, 1))
        return images

    def _begun(self, latents: Tensor) -> Tensor:
        x = leaky(self.enter(pixel_norm(latents))).view(len(latents), -1, *self.sizes[0])
        return self._normal(leaky(self.start(self._normal(x))))

    def _normal(self, x: Tensor) -> Tensor:
        return pixel_norm(x) if self.norm else x


class ProgressiveCritic(nn.Module):
    """Images (B, C, *sizes[level]) -> values (B,), of several `outputs` (B, outputs): the generator's mirror image.

    group: of records whose spread the last block sees (minibatch standard deviation, section 3); 0: none.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, most: int, group: int = 4, outputs: int = 1) -> None:
        super().__init__()
        sizes = sizes_of(*shape[1:])
        widths = channel_widths(len(sizes) - 1, width, most)
        self.group = group
        self.from_image = nn.ModuleList(Convolution(shape[0], size, 1) for size in widths)
        self.blocks = nn.ModuleList(_Smooth(after, after, before) for before, after in itertools.pairwise(widths))
        self.last = Convolution(widths[0] + bool(group), widths[0], 3)
        self.dense = Linear(widths[0] * sizes[0][0] * sizes[0][1], widths[0], gain=2**0.5)
        self.judge = Linear(widths[0], outputs)

    def forward(self, images: Tensor, level: int, alpha: Tensor | None = None) -> Tensor:
        """level, alpha: as of the generator."""
        x = leaky(self.from_image[level](images))
        for place in range(level, 0, -1):
            x = halved(self.blocks[place - 1](x))
            if place == level and alpha is not None:
                x = blended(leaky(self.from_image[level - 1](halved(images))), x, alpha)
        with full_precision(x):
            x = x.to(images.dtype)
            if self.group:
                x = torch.cat([x, minibatch_deviation(x, self.group)], 1)
            x = leaky(self.last(x))
            said: Tensor = self.judge(leaky(self.dense(x.flatten(1))))
            return said.flatten() if said.shape[1] == 1 else said
