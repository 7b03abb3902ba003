"""Convolutions with what follows them, and residual blocks: the parts that image networks share. No whole networks.

Norms and activations are handed in as factories (`nn.BatchNorm2d`, `nn.PReLU`), so that a paper's choice stands where its
network is built, and no name has to be looked up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn

Norm = Callable[[int], nn.Module]
"""Number of channels -> a layer that normalises maps of so many."""
Activation = Callable[[], nn.Module]
Border = Literal["zeros", "reflect", "replicate", "circular"]
"""What lies beyond the border of a map: as `padding_mode` of `nn.Conv2d`."""

UPSAMPLINGS = ("transposed", "resized")
"""How a layer doubles the size of maps: by a transposed convolution, or by repeating pixels before one of stride 1."""

relu: Activation = partial(nn.ReLU, inplace=True)
leaky_relu: Activation = partial(nn.LeakyReLU, 0.2, inplace=True)


def convolution(
    before: int,
    after: int,
    kernel: int,
    stride: int = 1,
    *,
    norm: Norm | None = None,
    activation: Activation | None = None,
    padding_mode: Border = "zeros",
) -> list[nn.Module]:
    """The layers convolution, norm, activation; None leaves one out.

    Maps (B, before, H, W) -> (B, after, H / stride, W / stride), one pixel less at stride 1 with an even kernel. A bias where
    no norm would take it away again. padding_mode: `reflect` puts the mirrored image beyond the border.
    """
    made: list[nn.Module] = [
        nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, bias=norm is None, padding_mode=padding_mode)
    ]
    if norm is not None:
        made.append(norm(after))
    if activation is not None:
        made.append(activation())
    return made


def enlarging(before: int, after: int, upsampling: str, bias: bool = False) -> nn.Module:
    """Maps (B, before, H, W) -> (B, after, 2H, 2W), by a way of `UPSAMPLINGS`; repeated pixels leave no chequers."""
    if upsampling == "transposed":
        return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)
    return nn.Sequential(nn.UpsamplingNearest2d(scale_factor=2), nn.Conv2d(before, after, 3, 1, 1, bias=bias))


class ResidualBlock(nn.Module):
    """x + f(x) for maps (B, width, H, W), f: 3x3 convolution, norm, activation, 3x3 convolution, norm."""

    def __init__(
        self, width: int, norm: Norm | None = None, activation: Activation = relu, *, padding_mode: Border = "zeros"
    ) -> None:
        super().__init__()
        first = convolution(width, width, 3, norm=norm, activation=activation, padding_mode=padding_mode)
        self.layers = nn.Sequential(*first, *convolution(width, width, 3, norm=norm, padding_mode=padding_mode))

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = features + self.layers(features)
        return result
