"""The networks of BigGAN: conditional norms, residual blocks, self-attention, spectral norm. Brock, Donahue, Simonyan, 2019,
"Large Scale GAN Training for High Fidelity Natural Image Synthesis" (ICLR, arXiv 1809.11096), section 3 and appendix B. Not for
the game: `systems/synthesis/biggan.py`.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from ..errors import GanvasError
from .convolutional import middle, stages_and_base
from .spectral import spectral

MOST = 16  # times `width`: the widest layer
FLAT = 4  # times `width` at every size, in the paper's form for 32 pixels


class ConditionalNorm(nn.Module):
    """BatchNorm of maps (B, C, H, W), whose scales and shifts are linear in what is told (B, K); scales around 1."""

    def __init__(self, channels: int, told: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale, self.shift = (spectral(nn.Linear(told, channels, bias=False)) for _ in range(2))

    def forward(self, maps: Tensor, told: Tensor) -> Tensor:
        result: Tensor = self.norm(maps) * (1 + self.scale(told)[:, :, None, None]) + self.shift(told)[:, :, None, None]
        return result


class Attention(nn.Module):
    """Maps (B, C, H, W) plus what each place finds at all others, by a gate that starts at 0 (Zhang et al. 2019, "SAGAN")."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        small, half = max(1, channels // 8), max(1, channels // 2)
        self.query, self.key = (spectral(nn.Conv2d(channels, small, 1, bias=False)) for _ in range(2))
        self.value = spectral(nn.Conv2d(channels, half, 1, bias=False))
        self.leave = spectral(nn.Conv2d(half, channels, 1, bias=False))
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Tensor) -> Tensor:
        key, value = (max_pool2d(layer(maps), 2).flatten(2) for layer in (self.key, self.value))
        weights = (self.query(maps).flatten(2).transpose(1, 2) @ key).softmax(2)  # (B, H W, H W / 4)
        found = (value @ weights.transpose(1, 2)).view(len(maps), -1, *maps.shape[2:])
        result: Tensor = maps + self.gate * self.leave(found)
        return result


class GeneratorBlock(nn.Module):
    """Maps (B, before, H, W) -> (B, after, 2H, 2W): conditional norm, ReLU, doubling, 3x3; conditional norm, ReLU, 3x3."""

    def __init__(self, before: int, after: int, told: int) -> None:
        super().__init__()
        self.first, self.second = ConditionalNorm(before, told), ConditionalNorm(after, told)
        self.one, self.two = spectral(nn.Conv2d(before, after, 3, 1, 1)), spectral(nn.Conv2d(after, after, 3, 1, 1))
        self.across = spectral(nn.Conv2d(before, after, 1))

    def forward(self, maps: Tensor, told: Tensor) -> Tensor:
        made = self.one(_doubled(self.first(maps, told).relu()))
        made = self.two(self.second(made, told).relu())
        result: Tensor = made + _doubled(self.across(maps))
        return result


def _doubled(maps: Tensor) -> Tensor:
    return interpolate(maps, scale_factor=2, mode="nearest")


class Generator(nn.Module):
    """Latents (B, latent_size) and classes (B,) int64 -> images (B, *shape) in [-1, 1].

    The latent is cut into as many pieces as there are blocks, and one; the first makes the smallest maps, each further one is
    told to its block's norms together with the class, whose embedding all blocks share. `latent_size` is what is left of the
    wanted one after the cut. width: channels at full size, twice as many with each halving, at most 16 times; flat: 4 times
    as many throughout. attention: the shorter side of the maps that have it, 0: none.
    """

    def __init__(
        self, latent: int, classes: int, embedded: int, shape: tuple[int, int, int], width: int, flat: bool, attention: int
    ) -> None:  # fmt: skip
        super().__init__()
        channels, self.height, self.columns = shape
        stages, self.base = stages_and_base(self.height, self.columns)
        widths = [width * (FLAT if flat else min(MOST, 2**level)) for level in range(stages, -1, -1)]
        self.piece = max(1, latent // (stages + 1))
        self.latent_size = self.piece * (stages + 1)
        told = embedded + self.piece
        self.embedding = nn.Embedding(classes, embedded)
        nn.init.orthogonal_(self.embedding.weight)
        self.enter = spectral(nn.Linear(self.piece, widths[0] * self.base[0] * self.base[1]))
        self.blocks = nn.ModuleList(GeneratorBlock(before, after, told) for before, after in pairwise(widths))
        sides = [min(self.base) << level for level in range(1, stages + 1)]
        self.attention = Attention(widths[1 + _place(attention, sides)]) if attention else None
        self.place = _place(attention, sides) if attention else -1
        self.norm = nn.BatchNorm2d(widths[-1])
        self.leave = spectral(nn.Conv2d(widths[-1], channels, 3, 1, 1))

    def forward(self, latents: Tensor, classes: Tensor) -> Tensor:
        first, *pieces = latents.split(self.piece, 1)
        known = self.embedding(classes)
        maps = self.enter(first).view(len(latents), -1, *self.base)
        for place, (block, piece) in enumerate(zip(self.blocks, pieces, strict=True)):
            maps = block(maps, torch.cat([known, piece], 1))
            if place == self.place and self.attention is not None:
                maps = self.attention(maps)
        images = torch.tanh(self.leave(self.norm(maps).relu()))
        return middle(images, self.height, self.columns)


def _place(side: int, sides: list[int]) -> int:
    if side not in sides:
        raise GanvasError(f"biggan: attention={side}: maps have sides of {', '.join(map(str, sides))}, or 0 for none")
    return sides.index(side)


class DiscriminatorBlock(nn.Module):
    """Maps (B, before, H, W) -> (B, after, H, W) by ReLU, 3x3, ReLU, 3x3; where it halves, the mean of each four places."""

    def __init__(self, before: int, after: int, *, halves: bool, first: bool = False) -> None:
        super().__init__()
        self.halves, self.bend = halves, not first
        self.one, self.two = spectral(nn.Conv2d(before, after, 3, 1, 1)), spectral(nn.Conv2d(after, after, 3, 1, 1))
        self.across = spectral(nn.Conv2d(before, after, 1)) if halves or before != after else None

    def forward(self, maps: Tensor) -> Tensor:
        made = self.two(self.one(maps.relu() if self.bend else maps).relu())
        if self.halves:
            made, maps = avg_pool2d(made, 2), avg_pool2d(maps, 2)
        result: Tensor = made + (maps if self.across is None else self.across(maps))
        return result


class ProjectionDiscriminator(nn.Module):
    """Images (B, *shape) and classes (B,) int64 -> logits (B,): w . f(x) + <e(class), f(x)> (Miyato, Koyama 2018,
    arXiv 1802.05637), f: the sum over all places of what the blocks find. width, flat, attention: as of the generator; the flat
    form halves twice, and has two blocks more."""

    def __init__(self, classes: int, shape: tuple[int, int, int], width: int, flat: bool, attention: int) -> None:
        super().__init__()
        stages, _ = stages_and_base(*shape[1:])
        halvings = max(1, stages - 1) if flat else stages
        further = 2 if flat else 1
        widths = [width * (FLAT if flat else min(MOST, 2**level)) for level in range(halvings)]
        widths += [widths[-1]] * further
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(before, after, halves=place < halvings, first=place == 0)
            for place, (before, after) in enumerate(pairwise([shape[0], *widths]))
        )
        sides = [min(shape[1:]) >> level for level in range(1, halvings + 1)]
        self.place = sides.index(attention) if attention in sides else -1
        self.attention = Attention(widths[self.place]) if self.place >= 0 else None
        self.decide = spectral(nn.Linear(widths[-1], 1))
        self.embedding = spectral(nn.Embedding(classes, widths[-1]))

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        maps = images
        for place, block in enumerate(self.blocks):
            maps = block(maps)
            if place == self.place and self.attention is not None:
                maps = self.attention(maps)
        found = maps.relu().sum((2, 3))
        return self.decide(found)[:, 0] + (self.embedding(classes) * found).sum(1)


def orthogonal_penalty(network: nn.Module) -> Tensor:
    """Sum over all layers of ||W W^T (1 - I)||_F^2, eq. 3, W: filters as rows, before spectral norm; embeddings are left out.

    Only products of different filters count: their lengths are free. || W W^T || = || W^T W ||, so the smaller one is made.
    """
    total = []
    for name, weight in network.named_parameters():
        if weight.dim() < 2 or "embedding" in name:
            continue
        matrix = weight.flatten(1)
        product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
        total.append(product.square().sum() - matrix.square().sum(1).square().sum())
    return torch.stack(total).sum()
