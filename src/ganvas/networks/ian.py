"""The networks of the introspective adversarial network (Brock et al. 2017, arXiv 1609.07093) beside its generator, which is
that of `convolutional`: D's features and the two heads that sit on them. Not for the game: `systems/synthesis/ian.py`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .blocks import convolution, leaky_relu
from .convolutional import initialise, sizes_for, stages_and_base

NORMS: dict[str, Any] = {"batch": nn.BatchNorm2d, "layer": lambda channels: nn.GroupNorm(1, channels), "none": None}


class Features(nn.Module):
    """Images (B, *shape) -> a list of maps, one of each halving, until 4 to 7 pixels are left of the short side."""

    def __init__(self, shape: tuple[int, int, int], width: int, norm: str) -> None:
        super().__init__()
        channels, height, columns = shape
        stages, _ = stages_and_base(height, columns)
        sizes = [channels, *sizes_for(width, [2] * stages)]
        norms = [None, *[NORMS[norm]] * (stages - 1)]
        self.stages = nn.ModuleList(
            nn.Sequential(*convolution(before, after, 4, 2, norm=own, activation=leaky_relu))
            for before, after, own in zip(sizes[:-1], sizes[1:], norms, strict=True)
        )
        self.left = (sizes[-1], height >> stages, columns >> stages)
        self.apply(initialise)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            images = stage(images)
            maps.append(images)
        return maps


class Latents(nn.Module):
    """The encoder's head: D's last map (B, C, h, w) -> means and logarithms of variances, (B, latent) each."""

    def __init__(self, left: tuple[int, int, int], units: int, latent: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(left), units), nn.ELU(), nn.Linear(units, 2 * latent))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        mean, spread = self.layers(features).chunk(2, 1)
        return mean, spread.clamp(-10, 10)


class Kinds(nn.Module):
    """D's last map (B, C, h, w) -> logits (B, 3) of being real, a reconstruction, a sample."""

    def __init__(self, left: tuple[int, int, int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(left), 3))

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layers(features)
        return logits


def orthogonal_penalty(network: nn.Module) -> Tensor:
    """Sum over filter banks of |W W^T - I|: rows of W are the filters; of more rows than columns, columns."""
    found = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            bank = layer.weight.flatten(1)
            bank = bank.T if bank.shape[0] > bank.shape[1] else bank
            found.append((bank @ bank.T - torch.eye(len(bank), device=bank.device, dtype=bank.dtype)).abs().sum())
    return torch.stack(found).sum()
