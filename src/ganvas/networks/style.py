"""The networks of StyleGAN2 for any size, aspect and number of channels: mapping, synthesis with skips, residual discriminator.

Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN" (arXiv 1912.04958). Every operation is plain
PyTorch and can be differentiated twice, on any device. Here, and not in the system's file, for length: the game and its
networks read better apart.

A gain of sqrt(2) that would follow each nonlinearity is folded into the weights before it: leaky ReLU is homogeneous.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .convolutional import middle, stages_and_base, surrounded

SLOPE = 0.2  # of leaky ReLU
ROOT = math.sqrt(2.0)


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU in the place of its input."""
    return functional.leaky_relu(x, SLOPE, inplace=True)


def full_precision(x: Tensor) -> torch.autocast:
    """No 16-bit floats in here: for sums and statistics that do not bear them."""
    return torch.autocast(x.device.type, enabled=False)


class Linear(nn.Module):
    """A linear layer with equalised learning rate: weights are N(0, 1 / rate^2) and scaled when used, so that one step of Adam
    moves every layer by the same share. rate: multiplier on the learning rate. start: of the bias.
    """

    def __init__(self, inputs: int, outputs: int, *, gain: float = 1.0, rate: float = 1.0, start: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), start / rate))
        self.scale, self.bias_scale = gain * rate / math.sqrt(inputs), gain * rate

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.scale, self.bias * self.bias_scale)


class Convolution(nn.Module):
    """A convolution with equalised learning rate; with `down` it blurs first ([1, 3, 3, 1]) and keeps every second pixel."""

    taps: Tensor

    def __init__(
        self, inputs: int, outputs: int, size: int, *, gain: float = ROOT, bias: bool = True, down: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.gain, self.down = gain / math.sqrt(inputs * size**2), gain, down
        if down:
            self.register_buffer("taps", blur_taps(1.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        size = self.weight.shape[2]
        if self.down:
            x = blur(x, self.taps, 2 if size == 3 else 1)
        stride, margin = (2, 0) if self.down else (1, size // 2)
        bias = None if self.bias is None else self.bias * self.gain
        return functional.conv2d(x, self.weight * self.scale, bias, stride=stride, padding=margin)


def blur_taps(gain: float) -> Tensor:
    """The low-pass filter [1, 3, 3, 1] x [1, 3, 3, 1] with the sum `gain`; (1, 1, 4, 4)."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return (line[:, None] * line * (gain / 64))[None, None]


def blur(x: Tensor, taps: Tensor, margin: int) -> Tensor:
    """Each channel filtered by `taps`, zeros outside."""
    channels = x.shape[1]
    return functional.conv2d(x, taps.expand(channels, 1, 4, 4), padding=margin, groups=channels)


class Mapping(nn.Module):
    """Latents z (B, latent) -> styles w (B, latent). The buffer `mean` is the mean style, for truncation and projection."""

    mean: Tensor

    def __init__(self, latent: int, layers: int, rate: float = 0.01) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Linear(latent, latent, gain=ROOT, rate=rate) for _ in range(layers))
        self.register_buffer("mean", torch.zeros(latent))

    def forward(self, latents: Tensor) -> Tensor:
        with full_precision(latents):
            x = latents * torch.rsqrt(latents.square().mean(1, keepdim=True) + 1e-8)
            for layer in self.layers:
                x = leaky(layer(x))
            return x


class Styled(nn.Module):
    """A modulated 3x3 convolution with per-pixel noise (section 2.2); with `up` it doubles the size first.

    The style scales the input channels, and the output channels are divided by the norm of the weights so scaled. That
    equals scaling the weights of each record, but is one convolution for the batch: the grouped convolution of the
    original is from 1.1 (16 channels) to 19 times (128) slower on a CPU.
    """

    taps: Tensor

    def __init__(self, inputs: int, outputs: int, latent: int, up: bool = False) -> None:
        super().__init__()
        self.style = Linear(latent, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))
        self.strength = nn.Parameter(torch.zeros(()))
        self.up = up
        self.register_buffer("taps", blur_taps(4.0), persistent=False)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """x (B, inputs, H, W), style (B, latent), noise (B, 1, H', W') or None for none."""
        with full_precision(style):
            scales = self.style(style)
            norms = scales.square() @ self.weight.square().sum((2, 3)).t()
            shrink = torch.rsqrt(norms + 1e-8)[:, :, None, None] * ROOT
        x = x * scales[:, :, None, None].to(x.dtype)
        if self.up:
            x = blur(functional.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2), self.taps, 1)
        else:
            x = functional.conv2d(x, self.weight, padding=1)
        x = torch.addcmul((self.bias * ROOT).to(x.dtype), x, shrink.to(x.dtype))
        if noise is not None:
            x = x + (noise * (self.strength * ROOT)).to(x.dtype)
        return leaky(x)


class ToImage(nn.Module):
    """A modulated 1x1 convolution to the image's channels, without demodulation."""

    def __init__(self, inputs: int, channels: int, latent: int) -> None:
        super().__init__()
        self.style = Linear(latent, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        with full_precision(style):
            scales = self.style(style) * (1 / math.sqrt(x.shape[1]))
        x = x * scales[:, :, None, None].to(x.dtype)
        return functional.conv2d(x, self.weight, self.bias)


class Synthesis(nn.Module):
    """Styles (B, style_layers, latent) and noise (B, noise_size) -> images (B, C, H, W), not bounded.

    width: channels at full resolution; doubles inwards, up to `most`. The learned constant has 4 to 7 pixels on its short
    side; what is too much at the end is cut off on both sides alike.
    """

    def __init__(self, latent: int, shape: tuple[int, int, int], width: int, most: int) -> None:
        super().__init__()
        channels, self.height, self.columns = shape
        stages, (rows, columns) = stages_and_base(self.height, self.columns)
        widths = channel_widths(stages, width, most)
        self.constant = nn.Parameter(torch.randn(1, widths[0], rows, columns))
        layers, self.sizes = [Styled(widths[0], widths[0], latent)], [(rows, columns)]
        for stage, (before, after) in enumerate(itertools.pairwise(widths), start=1):
            layers += [Styled(before, after, latent, up=True), Styled(after, after, latent)]
            self.sizes += [(rows * 2**stage, columns * 2**stage)] * 2
        self.layers = nn.ModuleList(layers)
        self.to_image = nn.ModuleList(ToImage(size, channels, latent) for size in widths)
        self.style_layers = 2 * stages + 2
        self.noise_size = sum(r * c for r, c in self.sizes)

    def forward(self, styles: Tensor, noise: Tensor | None) -> Tensor:
        x = self.constant.expand(len(styles), -1, -1, -1)
        if noise is None:
            maps: list[Tensor | None] = [None] * len(self.sizes)
        else:
            pieces = noise.split([r * c for r, c in self.sizes], dim=1)
            maps = [piece.view(-1, 1, *size) for piece, size in zip(pieces, self.sizes, strict=True)]
        image: Tensor | None = None
        for place, layer in enumerate(self.layers):
            x = layer(x, styles[:, place], maps[place])
            if place % 2 == 0:  # the last layer of its resolution
                skip = self.to_image[place // 2](x, styles[:, place + 1]).to(styles.dtype)
                # Bilinear doubling is upsampling by [1, 3, 3, 1].
                image = skip if image is None else skip + functional.interpolate(image, scale_factor=2, mode="bilinear")
        assert image is not None
        return middle(image, self.height, self.columns)


class ResidualDiscriminator(nn.Module):
    """Images (B, C, H, W) -> logits (B,). Residual blocks; the last one also sees how much records of a group of at most
    `group` differ (minibatch standard deviation, Karras et al. 2018), which tells it of a lack of variety.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, most: int, group: int = 4) -> None:
        super().__init__()
        channels, height, columns = shape
        stages, base = stages_and_base(height, columns)
        widths = channel_widths(stages, width, most)[::-1]
        self.size = (base[0] * 2**stages, base[1] * 2**stages)  # that halves to the smallest maps
        self.group = group
        self.from_image = Convolution(channels, widths[0], 1)
        self.blocks = nn.ModuleList(_Block(before, after) for before, after in itertools.pairwise(widths))
        self.last = Convolution(widths[-1] + 1, widths[-1], 3)
        self.dense = Linear(widths[-1] * base[0] * base[1], widths[-1], gain=ROOT)
        self.judge = Linear(widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        x = leaky(self.from_image(surrounded(images, *self.size)))
        for block in self.blocks:
            x = block(x)
        with full_precision(x):
            x = x.to(images.dtype)
            x = torch.cat([x, minibatch_deviation(x, self.group)], dim=1)
            x = leaky(self.last(x))
            return self.judge(leaky(self.dense(x.flatten(1)))).flatten()


class _Block(nn.Module):
    """Two convolutions beside a shortcut, both at half the size afterwards; their sum is scaled to the variance of one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = Convolution(inputs, inputs, 3)
        self.second = Convolution(inputs, outputs, 3, gain=1.0, down=True)
        self.shortcut = Convolution(inputs, outputs, 1, gain=1 / ROOT, bias=False, down=True)

    def forward(self, x: Tensor) -> Tensor:
        return leaky(self.second(leaky(self.first(x)))) + self.shortcut(x)


def minibatch_deviation(x: Tensor, most: int) -> Tensor:
    """(B, 1, H, W) of maps (B, C, H, W): the standard deviation over the records of each group, averaged over everything else.
    Groups are neighbours in the batch, the largest number up to `most` that divides it."""
    count, _, height, width = x.shape
    group = max(size for size in range(1, min(most, count) + 1) if count % size == 0)
    x = x.reshape(-1, group, *x.shape[1:])
    variance = (x - x.mean(1, keepdim=True)).square().mean(1)  # several times as fast as `var` here
    deviation = (variance + 1e-8).sqrt().mean((1, 2, 3))
    return deviation.repeat_interleave(group)[:, None, None, None].expand(-1, 1, height, width)


def channel_widths(stages: int, width: int, most: int) -> list[int]:
    """Channels from the smallest resolution to the full one."""
    return [max(width, min(most, width * 2 ** (stages - stage))) for stage in range(stages + 1)]
