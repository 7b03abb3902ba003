"""Spectral norm: weights divided by their largest singular value. Miyato, Kataoka, Koyama, Yoshida, 2018, "Spectral
Normalization for Generative Adversarial Networks" (ICLR, arXiv 1802.05957).

Unlike torch's own it may be averaged over networks: averaged directions are shorter than 1, which does not matter here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrize import register_parametrization


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


def spectral(layer: Any) -> Any:
    """The layer with orthogonal starting weights, divided by their largest singular value in every use."""
    nn.init.orthogonal_(layer.weight)
    if getattr(layer, "bias", None) is not None:
        nn.init.zeros_(layer.bias)
    register_parametrization(layer, "weight", Spectral(layer.weight))
    return layer
