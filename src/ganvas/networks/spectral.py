"""Spectral norm: weights divided by their largest singular value. Miyato, Kataoka, Koyama, Yoshida, 2018, "Spectral
Normalization for Generative Adversarial Networks" (ICLR, arXiv 1802.05957).

Unlike torch's own both kinds may be averaged over networks. Averages of directions are none: where the two largest singular
values of a weight change places, that of torch's form was half of the true one, and everything that was drawn by the moving
average of the network went astray.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrize import register_parametrization

FIRST_STEPS, STEPS = 15, 8  # of power iteration: before training, and in each use
TINY = 1e-12


class Spectral(nn.Module):
    """A weight over its largest singular value, by one step of power iteration a call.

    The direction found so far is kept in training alone: evaluation leaves no trace. Its length does not matter, so that a
    moving average of networks, which averages directions too, is divided by a singular value of its own weights.
    """

    direction: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("direction", normalize(torch.randn(len(weight)), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        with torch.no_grad():
            right = normalize(matrix.T @ self.direction.to(matrix.dtype), dim=0)
            left = normalize(matrix @ right, dim=0)
            if self.training:
                self.direction.copy_(left)
        return weight * torch.dot(left, matrix @ right).reciprocal()  # cheaper than to divide, forwards and back


class TwoSided(nn.Module):
    """Torch's own form (`torch.nn.utils.parametrizations.spectral_norm`), with its names and, in training, its bits: both
    directions are kept. In evaluation they are where the search for the largest singular value of the weight begins, and stay
    as they are."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("_u", normalize(matrix.new_empty(matrix.shape[0]).normal_(), dim=0, eps=TINY))
        self.register_buffer("_v", normalize(matrix.new_empty(matrix.shape[1]).normal_(), dim=0, eps=TINY))
        self._keep(*self._found(matrix, FIRST_STEPS))

    def forward(self, weight: Tensor) -> Tensor:
        place = weight.device.type if weight.device.type != "meta" else "cpu"  # where shapes alone are asked for
        with torch.autocast(place, enabled=False):  # a singular value in eight bits would be none
            matrix = weight.flatten(1)
            left, right = self._found(matrix.detach(), 1 if self.training else STEPS)
            if self.training:
                self._keep(left, right)
            return weight / torch.vdot(left, torch.mv(matrix, right))

    def _found(self, matrix: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        left, right = self._u, self._v
        for _ in range(steps):
            left = normalize(torch.mv(matrix, right), dim=0, eps=TINY)
            right = normalize(torch.mv(matrix.T, left), dim=0, eps=TINY)
        return left, right

    @torch.no_grad()
    def _keep(self, left: Tensor, right: Tensor) -> None:
        self._u.copy_(left)
        self._v.copy_(right)


def two_sided(layer: Any) -> Any:
    """The layer, with its starting weights, divided by their largest singular value in every use."""
    register_parametrization(layer, "weight", TwoSided(layer.weight))
    return layer


def spectral(layer: Any) -> Any:
    """The layer with orthogonal starting weights, divided by their largest singular value in every use."""
    nn.init.orthogonal_(layer.weight)
    if getattr(layer, "bias", None) is not None:
        nn.init.zeros_(layer.bias)
    register_parametrization(layer, "weight", Spectral(layer.weight))
    return layer
