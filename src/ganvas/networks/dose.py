"""Networks of the GAN for low-dose CT (Wolterink et al. 2017): convolutions without pooling, and a judge of small pieces."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from .blocks import Norm, convolution, leaky_relu

BEGINNING = 0.01  # of the usual size: the weights of the last convolution
AROUND = 5  # pixels of a side whose mean is what detail is measured from
MOST = 5.0  # times the size of noise: more is an edge, and edges of bone would drown everything else


def with_detail(images: Tensor, size: float) -> Tensor:
    """(B, C, H, W) -> (B, 2C, H, W): images, and beside them how far each pixel is from the mean around, in multiples of
    `size`, the size of noise. Of a range from air to bone noise is half a percent, which networks hardly see."""
    around = avg_pool2d(images, AROUND, 1, AROUND // 2, count_include_pad=False)
    return torch.cat([images, MOST * ((images - around) / (MOST * size)).tanh()], 1)


class Denoiser(nn.Module):
    """Images (B, C, H, W) in [-1, 1] at low dose -> at full dose, of any size from 2 pixels on.

    Convolutions of 3x3 without strides, `layers` of them, width to 4 width channels: what is added to the input, in multiples
    of `size`. It begins near 0, so that untrained the result is the input. norm: after all but the first and the last; None:
    nowhere.
    """

    def __init__(self, channels: int, width: int, layers: int, norm: Norm | None, size: float) -> None:
        super().__init__()
        self.size = size
        made: list[nn.Module] = []
        before = 2 * channels
        for place in range(layers - 1):
            after = width * 2 ** (3 * place // max(1, layers - 1))
            own = norm if place else None
            made += convolution(before, after, 3, norm=own, activation=leaky_relu, padding_mode="reflect")
            before = after
        final = nn.Conv2d(before, channels, 3, padding=1, padding_mode="reflect")
        with torch.no_grad():
            for name, parameter in final.named_parameters():
                parameter.mul_(BEGINNING if name == "weight" else 0.0)
        self.layers = nn.Sequential(*made, final)

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = (images + self.size * self.layers(with_detail(images, self.size))).clamp(-1, 1)
        return made


class DoseDiscriminator(nn.Module):
    """Images (B, C, H, W) -> logits (B, 1, h, w), one a place: nine convolutions of 3x3, every second of stride 2."""

    def __init__(self, channels: int, width: int, norm: Norm | None, size: float) -> None:
        super().__init__()
        self.size = size
        made: list[nn.Module] = []
        before = 2 * channels
        for place in range(8):
            after = width * 2 ** (place // 2)
            made += convolution(before, after, 3, 1 + place % 2, norm=norm if place else None, activation=leaky_relu)
            before = after
        self.layers = nn.Sequential(*made, nn.Conv2d(before, 1, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(with_detail(images, self.size))
        return logits
