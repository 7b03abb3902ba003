"""The convolutional pair of Radford et al. 2015 for any size, aspect and number of channels.

Used by the image systems that vary the game and not the networks. Weights start at N(0, 0.02), BatchNorm scales at
N(1, 0.02), as in the paper.
"""

from __future__ import annotations

import itertools
import math

from torch import Tensor, nn

from ..errors import GanvasError

SMALLEST_SIDE = 8


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


def initialise(module: nn.Module) -> None:
    """The paper's starting weights; for `network.apply`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class ConvolutionalGenerator(nn.Module):
    """Latent (B, latent) -> images (B, C, H, W) in [-1, 1], by 4x4 stride-2 transposed convolutions.

    shape: (C, H, W). width: channels of the last hidden layer; doubles towards the latent, at most 8 times.
    """

    def __init__(
        self, latent: int, shape: tuple[int, int, int], width: int, *, nonlinearity: str = "relu", batch_norm: bool = True
    ) -> None:
        super().__init__()
        channels, self.height, self.columns = shape
        stages, base = stages_and_base(self.height, self.columns)
        widths = [width * min(8, 2 ** (stages - 1 - i)) for i in range(stages)]

        def hidden(convolution: nn.Module, size: int) -> list[nn.Module]:
            return [convolution, *([nn.BatchNorm2d(size)] if batch_norm else []), activation(nonlinearity)]

        bias = not batch_norm
        layers = hidden(nn.ConvTranspose2d(latent, widths[0], base, bias=bias), widths[0])
        for before, after in itertools.pairwise(widths):
            layers += hidden(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias), after)
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1), nn.Tanh())
        self.apply(initialise)

    def forward(self, latents: Tensor) -> Tensor:
        images = self.layers(latents[:, :, None, None])
        top, left = (images.shape[2] - self.height) // 2, (images.shape[3] - self.columns) // 2
        return images[:, :, top : top + self.height, left : left + self.columns]


class ConvolutionalDiscriminator(nn.Module):
    """Images (B, C, H, W) -> logits (B,), by 4x4 stride-2 convolutions; no sigmoid.

    width: channels after the first layer; doubles with each halving, at most 8 times. BatchNorm, when used, is left out of
    the first and the last layer (the paper's rule).
    """

    def __init__(
        self, shape: tuple[int, int, int], width: int, *, nonlinearity: str = "leaky-relu", batch_norm: bool = True
    ) -> None:
        super().__init__()
        channels, height, columns = shape
        stages, _ = stages_and_base(height, columns)
        widths = [width * min(8, 2**i) for i in range(stages)]
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1), activation(nonlinearity)]
        for before, after in itertools.pairwise(widths):
            layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(after)] if batch_norm else []
            layers.append(activation(nonlinearity))
        final = nn.Conv2d(widths[-1], 1, (height // 2**stages, columns // 2**stages))
        self.layers = nn.Sequential(*layers, final)
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).flatten()
