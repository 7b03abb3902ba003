"""Convolutions whose weights are -1, 0 or 1 times one scale, after Li et al. 2016, "Ternary Weight Networks" (arXiv
1605.04711).

`ternarise` makes any network learn so: full-precision weights stay behind, for the optimiser to move, and what convolves is
made of them anew each time. `packed` is the same network with 2 bits a weight in memory. Norms and biases stay as they are.
Not for arithmetic in 2 bits: a layer's weights are unpacked for the moment in which it convolves.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d
from torch.nn.utils import parametrize

RULES = ("mean", "largest")
LARGEST = 1.0  # size of a full-precision weight from which on no gradient passes
PLACES = (0, 2, 4, 6)  # of the four codes of a byte, in bits

Convolution = nn.Conv2d | nn.ConvTranspose2d


def signs_and_scale(weight: Tensor, threshold: float, rule: str) -> tuple[Tensor, Tensor]:
    """(-1, 0 or 1 of each weight, in its type; the scale, a scalar not negative).

    A weight is 0 where its size is not above `threshold` times the mean size of the layer's weights (rule `mean`: Li et al.,
    equation 6, with 0.7) or times the largest (`largest`: He et al. 2018, arXiv 1807.07948, with 0.05). The scale is the mean
    size of the others (equation 4), and 0 where there are none.
    """
    size = weight.abs()
    above = size > threshold * (size.mean() if rule == "mean" else size.amax())
    scale = (size * above).sum() / above.sum().clamp(min=1)
    return weight.sign().mul_(above), scale


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, weight: Tensor, threshold: float, rule: str) -> Tensor:
        context.save_for_backward(weight)
        signs, scale = signs_and_scale(weight, threshold, rule)
        return signs.mul_(scale)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = context.saved_tensors
        return gradient * (weight.abs() <= LARGEST), None, None


class Ternary(nn.Module):
    """Full-precision weights -> ternary ones of the same shape; gradients go straight through to the former, but not to
    weights beyond `LARGEST`, which would only run away. For `torch.nn.utils.parametrize`."""

    def __init__(self, threshold: float, rule: str) -> None:
        super().__init__()
        self.threshold, self.rule = threshold, rule

    def forward(self, weight: Tensor) -> Tensor:
        made: Tensor = _StraightThrough.apply(weight, self.threshold, self.rule)
        return made


def convolutions(network: nn.Module) -> dict[str, Convolution]:
    """The convolutions of a network by name, in the order in which they were put in."""
    return {name: own for name, own in network.named_modules() if isinstance(own, nn.Conv2d | nn.ConvTranspose2d)}


def ternarise(network: nn.Module, threshold: float = 0.7, rule: str = "mean", *, full: int | None = None) -> None:
    """Let every convolution of a network compute with ternary weights from now on. full: the place of one that does not, as 0
    or -1."""
    layers = list(convolutions(network).values())
    spared = None if full is None else layers[full]
    for layer in layers:
        if layer is not spared:
            parametrize.register_parametrization(layer, "weight", Ternary(threshold, rule))


def is_ternary(layer: nn.Module) -> bool:
    """Whether a convolution was made ternary."""
    return parametrize.is_parametrized(layer, "weight")


def pack(signs: Tensor) -> Tensor:
    """-1, 0 and 1 of any shape -> four of them in a byte, the first in the lowest bits: (ceil(n / 4),) uint8."""
    codes = (signs.flatten() + 1).to(torch.uint8)
    codes = torch.cat([codes, codes.new_zeros(-len(codes) % len(PLACES))]).reshape(-1, len(PLACES))
    joined = codes[:, 0].clone()
    for place, bits in enumerate(PLACES[1:], start=1):
        joined |= codes[:, place] << bits
    return joined


def unpack(joined: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The reverse of `pack`."""
    codes = torch.stack([(joined >> bits) & 3 for bits in PLACES], 1).flatten()[: math.prod(shape)]
    return codes.to(dtype).sub_(1).reshape(shape)  # in place: a second copy would be most of what sampling takes


class PackedConvolution(nn.Module):
    """A ternary convolution with 2 bits a weight. Buffers: `codes` (ceil(n / 4),) uint8, `scale` ()."""

    codes: Tensor
    scale: Tensor

    def __init__(self, layer: Convolution) -> None:
        super().__init__()
        self.transposed = isinstance(layer, nn.ConvTranspose2d)
        self.stride, self.padding, self.shape = layer.stride, layer.padding, tuple(layer.weight.shape)
        count, device = -(-math.prod(self.shape) // len(PLACES)), layer.weight.device
        self.register_buffer("codes", torch.zeros(count, dtype=torch.uint8, device=device))
        self.register_buffer("scale", torch.zeros((), dtype=layer.weight.dtype, device=device))
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())

    def forward(self, maps: Tensor) -> Tensor:
        weight = unpack(self.codes, self.shape, self.scale.dtype).mul_(self.scale)
        apply: Any = conv_transpose2d if self.transposed else conv2d
        return apply(maps, weight, self.bias, self.stride, self.padding)


def packed(network: nn.Module) -> nn.Module:
    """A copy of a network in which every ternary convolution is packed; it computes the same, to the last bit."""
    made = copy.deepcopy(network)
    for name, layer in convolutions(made).items():
        if not is_ternary(layer):
            continue
        own = PackedConvolution(layer)
        hidden: Any = layer.parametrizations.weight  # type: ignore[union-attr]
        with torch.no_grad():
            signs, scale = signs_and_scale(hidden.original, hidden[0].threshold, hidden[0].rule)
            own.codes.copy_(pack(signs))
            own.scale.copy_(scale)
        parent, _, last = name.rpartition(".")
        setattr(made.get_submodule(parent), last, own.train(layer.training))
    return made
