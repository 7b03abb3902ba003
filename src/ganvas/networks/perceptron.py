"""Fully connected networks for points and vectors (and, flattened, for small images)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from .convolutional import activation


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


class Perceptron(nn.Module):
    """Vectors (B, inputs) [with a condition (B, condition) appended] -> (B, outputs), or (B, *shape) when shape is given.

    layers: number of hidden layers of `width` units. Weights start as in He et al. 2015 (arXiv 1502.01852, eq. 10): with
    PyTorch's smaller ones both players begin nearly linear, and fine structure (25 small modes) is learnt late or never.
    Rectifiers, not leaky ones, since a generator must be able to map whole regions onto one small mode.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 128,
        layers: int = 3,
        nonlinearity: str = "relu",
        condition: int = 0,
        shape: tuple[int, ...] | None = None,
        squash: bool = False,
    ) -> None:
        super().__init__()
        sizes = [inputs + condition, *([width] * layers)]
        hidden: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            hidden += [nn.Linear(before, after), activation(nonlinearity)]
        self.layers = nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs), *([nn.Tanh()] if squash else []))
        self.shape = shape
        self.apply(_initialise)

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        flat = values.flatten(1)
        made = self.layers(flat if condition is None else torch.cat([flat, condition], dim=1))
        return made if self.shape is None else made.view(-1, *self.shape)
