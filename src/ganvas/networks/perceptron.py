"""Fully connected networks for points and vectors (and, flattened, for small images)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from .convolutional import activation


class Perceptron(nn.Module):
    """Vectors (B, inputs) [with a condition (B, condition) appended] -> (B, outputs), or (B, *shape) when shape is given.

    layers: number of hidden layers of `width` units.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 128,
        layers: int = 3,
        nonlinearity: str = "leaky-relu",
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

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        flat = values.flatten(1)
        made = self.layers(flat if condition is None else torch.cat([flat, condition], dim=1))
        return made if self.shape is None else made.view(-1, *self.shape)
