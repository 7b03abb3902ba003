"""The convolutional pair of Radford et al. 2015 for any size, aspect and number of channels.

Used by the image systems that vary the game and not the networks. Weights start at N(0, 0.02), BatchNorm scales at
N(1, 0.02), as in the paper. The stride, the depth and fully connected layers can be varied, as Belmekki et al. 2022 (Table III)
did: a layer of stride s has kernels of 2s and a padding of s/2, which by their equation 5 makes it s times smaller exactly.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import GanvasError

SMALLEST_SIDE = 8
STRIDES = (2, 4, 8)
CONNECTED = ("none", "image", "deep")
"""Fully connected layers: none, next to the image (G's output, D's input), or at the deep end (G's latent, D's decision)."""
UNITS = 512  # between the two layers next to an image; from every pixel to every pixel would be 17 million weights at 64x64
LASTS = ("transposed", "nearest", "bilinear")
"""How G's last layer doubles the size: by a transposed convolution, or by enlarging before a convolution of 5x5."""
LATENT_UNITS, DECISION_UNITS = (64, 512), (512, 64, 16)  # narrow first and narrow last, as in FCC-GAN (Barua et al. 2019)


def activation(name: str) -> nn.Module:
    """`relu`, `leaky-relu` (slope 0.2), `elu`, `tanh` or `silu`."""
    made = {"relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh, "silu": nn.SiLU}
    if name == "leaky-relu":
        return nn.LeakyReLU(0.2, inplace=True)
    return made[name](inplace=True) if name in ("relu", "elu", "silu") else made[name]()


def stages_and_base(height: int, width: int) -> tuple[int, tuple[int, int]]:
    """How often to double, and from which (rows, columns): the short side starts at 4 to 7 pixels.

    The base times 2^stages is at least the size; what is too much is cut off symmetrically.
    """
    if min(height, width) < SMALLEST_SIDE:
        raise GanvasError(f"images of {height}x{width} are too small to learn: the least is {SMALLEST_SIDE} (see --size)")
    stages = int(math.log2(min(height, width) / 4))
    return stages, (math.ceil(height / 2**stages), math.ceil(width / 2**stages))


def middle(images: Tensor, height: int, width: int) -> Tensor:
    """The middle (B, C, height, width) of images (B, C, H, W) that are at least as large: what G draws too much is cut off."""
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]


def surrounded(images: Tensor, height: int, width: int) -> Tensor:
    """Images (B, C, H, W) in the middle of (B, C, height, width), zeros around: the inverse of `middle`, for D."""
    down, across = height - images.shape[2], width - images.shape[3]
    if not down and not across:
        return images
    return functional.pad(images, (across // 2, across - across // 2, down // 2, down - down // 2))


def strides_for(stages: int, stride: int) -> list[int]:
    """The stride of every layer, from the image inwards: as many of `stride` as fit, then what is left to 2^stages."""
    whole, left = divmod(stages, int(math.log2(stride)))
    return [stride] * whole + ([2**left] if left else [])


def sizes_for(width: int, strides: list[int]) -> list[int]:
    """Channels between the layers, from the image inwards: `width` at half the resolution, doubled with each halving, at most
    8 times. So a map of one size has as many channels whatever the strides are."""
    halvings = itertools.accumulate(int(math.log2(stride)) for stride in strides)
    return [width * min(8, 2 ** (count - 1)) for count in halvings]


class OfRepeated(nn.Conv2d):
    """A convolution of 5x5 of maps whose pixels are repeated `step` (2 or more) times along both sides: (B, before, H, W) ->
    (B, after, step * H, step * W).

    They are not repeated: at each of the step * step places inside a pixel several of the 25 weights meet the same pixel, so
    their sums, 3x3, are weights of an ordinary convolution at the small size with as many outputs more (Shi et al. 2016, "Is
    the deconvolution layer the same as a convolutional layer?"). The same function, but for rounding, in a quarter of the time.
    """

    def __init__(self, before: int, after: int, step: int, *, bias: bool = True) -> None:
        super().__init__(before, after, 5, 1, 2, bias=bias)
        self.step = step
        meets = torch.zeros(step, 3, 5)  # (place inside a pixel, pixel, weight), along one side
        for place in range(step):
            for weight in range(5):
                meets[place, (place + weight - 2) // step + 1, weight] = 1.0
        self.register_buffer("meets", meets, persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        with torch.autocast(maps.device.type, enabled=False):  # sums of weights, in their own precision
            sums = torch.einsum("ocij,pai,qbj->opqcab", self.weight, self.meets, self.meets)
        bias = None if self.bias is None else self.bias.repeat_interleave(self.step**2)
        return functional.pixel_shuffle(functional.conv2d(maps, sums.flatten(0, 2), bias, padding=1), self.step)


def enlarging_last(before: int, after: int, step: int, how: str, *, bias: bool = True) -> tuple[nn.Module, nn.Conv2d]:
    """Maps `step` times as large, by repeating pixels (`nearest`) or between them (`bilinear`), and a convolution of 5x5."""
    if how == "nearest":
        return nn.Identity(), OfRepeated(before, after, step, bias=bias)  # two, so that weights keep their names
    return nn.Upsample(scale_factor=step, mode=how, align_corners=False), nn.Conv2d(before, after, 5, 1, 2, bias=bias)


def next_to_image(shape: tuple[int, int, int], bend: nn.Module) -> nn.Sequential:
    """Two fully connected layers from an image (C, H, W) to an image."""
    size = math.prod(shape)
    return nn.Sequential(nn.Flatten(), nn.Linear(size, UNITS), bend, nn.Linear(UNITS, size), nn.Unflatten(1, shape))


def initialise(module: nn.Module) -> None:
    """The paper's starting weights; for `network.apply`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class Layers:
    """Hidden layers of one network: a convolution, BatchNorm if any, the nonlinearity, then `extra` that keep the size."""

    def __init__(self, nonlinearity: str, batch_norm: bool, extra: int) -> None:
        self.nonlinearity, self.batch_norm, self.extra = nonlinearity, batch_norm, extra

    def bend(self) -> nn.Module:
        return activation(self.nonlinearity)

    def hidden(self, convolution: nn.Module, size: int, *, norm: bool = True) -> list[nn.Module]:
        made = [convolution, *([nn.BatchNorm2d(size)] if norm and self.batch_norm else []), self.bend()]
        for _ in range(self.extra):
            made.append(nn.Conv2d(size, size, 3, 1, 1, bias=not self.batch_norm))
            made += [*([nn.BatchNorm2d(size)] if self.batch_norm else []), self.bend()]
        return made

    def connected(self, before: int, sizes: tuple[int, ...], kernel: tuple[int, int] = (1, 1)) -> list[nn.Module]:
        """Fully connected layers: the first takes in a whole map of `kernel` pixels, the others one of a single pixel."""
        made: list[nn.Module] = []
        for size in sizes:
            made.append(nn.Conv2d(before, size, kernel, bias=not self.batch_norm))
            made += [*([nn.BatchNorm2d(size)] if self.batch_norm else []), self.bend()]
            before, kernel = size, (1, 1)
        return made


class ConvolutionalGenerator(nn.Module):
    """Latent (B, latent) -> images (B, C, H, W) in [-1, 1], by 4x4 stride-2 transposed convolutions.

    shape: (C, H, W). width: channels of the last hidden layer; doubles towards the latent, at most 8 times. stride: of each
    layer, with kernels of twice that; without overlap as large as that, so that every layer draws square beside square. extra:
    layers of stride 1 after each hidden one. connected: one of CONNECTED. last: one of LASTS, for the layer next to the image.
    """

    def __init__(
        self,
        latent: int,
        shape: tuple[int, int, int],
        width: int,
        *,
        nonlinearity: str = "relu",
        batch_norm: bool = True,
        stride: int = 2,
        overlap: bool = True,
        extra: int = 0,
        connected: str = "none",
        last: str = LASTS[0],
    ) -> None:
        super().__init__()
        channels, self.height, self.columns = shape
        stages, base = stages_and_base(self.height, self.columns)
        strides = strides_for(stages, stride)
        widths = sizes_for(width, strides)[::-1]
        strides = strides[::-1]
        make = Layers(nonlinearity, batch_norm, extra)
        layers: list[nn.Module] = []

        def enlarging(before: int, after: int, step: int, bias: bool) -> nn.Module:
            kernel, padding = (2 * step, step // 2) if overlap else (step, 0)
            return nn.ConvTranspose2d(before, after, kernel, step, padding, bias=bias)

        if connected == "deep":
            layers, latent = make.connected(latent, LATENT_UNITS), LATENT_UNITS[-1]
        layers += make.hidden(nn.ConvTranspose2d(latent, widths[0], base, bias=not batch_norm), widths[0])
        for (before, after), step in zip(itertools.pairwise(widths), strides[:-1], strict=True):
            layers += make.hidden(enlarging(before, after, step, not batch_norm), after)
        if last == LASTS[0]:
            layers.append(enlarging(widths[-1], channels, strides[-1], True))
        else:
            layers += enlarging_last(widths[-1], channels, strides[-1], last)
        bound = nn.Tanh()
        self.connected = nn.Sequential(next_to_image(shape, make.bend()), bound) if connected == "image" else None
        self.layers = nn.Sequential(*layers, *([bound] if self.connected is None else []))
        self.apply(initialise)

    def forward(self, latents: Tensor) -> Tensor:
        images = middle(self.layers(latents[:, :, None, None]), self.height, self.columns)
        return images if self.connected is None else self.connected(images)


class ConvolutionalDiscriminator(nn.Module):
    """Images (B, C, H, W) -> logits (B,), by 4x4 stride-2 convolutions; no sigmoid.

    width: channels after the first layer; doubles with each halving, at most 8 times. BatchNorm, when used, is left out of
    the first and the last layer (the paper's rule). stride, extra, connected: as of the generator.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int,
        *,
        nonlinearity: str = "leaky-relu",
        batch_norm: bool = True,
        stride: int = 2,
        extra: int = 0,
        connected: str = "none",
    ) -> None:
        super().__init__()
        channels, height, columns = shape
        stages, _ = stages_and_base(height, columns)
        strides = strides_for(stages, stride)
        widths = sizes_for(width, strides)
        make = Layers(nonlinearity, batch_norm, extra)
        step = strides[0]
        layers: list[nn.Module] = [next_to_image(shape, make.bend())] if connected == "image" else []
        layers += make.hidden(nn.Conv2d(channels, widths[0], 2 * step, step, step // 2), widths[0], norm=False)
        for (before, after), step in zip(itertools.pairwise(widths), strides[1:], strict=True):
            layers += make.hidden(nn.Conv2d(before, after, 2 * step, step, step // 2, bias=not batch_norm), after)
        whole, size = (height // 2**stages, columns // 2**stages), widths[-1]
        if connected == "deep":
            layers += make.connected(size, DECISION_UNITS, whole)
            whole, size = (1, 1), DECISION_UNITS[-1]
        self.layers = nn.Sequential(*layers, nn.Conv2d(size, 1, whole))
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).flatten()


class ConvolutionalEncoder(nn.Module):
    """Images (B, C, H, W) -> latents (B, latent): the discriminator's shape, with `latent` outputs in the place of one."""

    def __init__(self, shape: tuple[int, int, int], latent: int, width: int) -> None:
        super().__init__()
        *hidden, final = ConvolutionalDiscriminator(shape, width).layers
        assert isinstance(final, nn.Conv2d)
        outputs = nn.Conv2d(final.in_channels, latent, (final.kernel_size[0], final.kernel_size[1]))
        self.layers = nn.Sequential(*hidden, outputs.apply(initialise))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).flatten(1)
