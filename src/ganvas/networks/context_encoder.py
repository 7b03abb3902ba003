"""The network of context encoders (Pathak et al. 2016, section 3.1), and the holes that it is taught to fill (section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..batches import Noise, constant
from .convolutional import ConvolutionalEncoder, ConvolutionalGenerator

HOLES = ("any", "centre", "blocks")
BLOCKS, STROKES = 4, 4  # at most


class ContextNetwork(nn.Module):
    """Images (B, C, H, W) whose holes (B, 1, H, W) are 0 -> images (B, C, H, W) in [-1, 1], through a code that keeps no place.

    Every output pixel sees all of the input by way of the code, as the paper's channel-wise dense layer has it. width: channels
    at half resolution; doubles inwards, at most 8 times.
    """

    def __init__(self, shape: tuple[int, int, int], code: int, width: int) -> None:
        super().__init__()
        channels, height, columns = shape
        self.encoder = ConvolutionalEncoder((channels + 1, height, columns), code, width)
        self.norm = nn.Sequential(nn.BatchNorm1d(code), nn.LeakyReLU(0.2))
        self.decoder = ConvolutionalGenerator(code, shape, width)

    def forward(self, images: Tensor, holes: Tensor) -> Tensor:
        made: Tensor = self.decoder(self.norm(self.encoder(torch.cat([images, holes], 1))))
        return made


def centre_sides(height: int, width: int, share: float) -> tuple[int, int]:
    """(rows, columns) of the hole in the middle, even where the sides are, at least 2."""
    rows, columns = (max(2, 2 * round(side * share / 2) + side % 2) for side in (height, width))
    return rows, columns


def holes_for(noise: Noise, count: int, height: int, width: int, kind: str, share: float) -> Tensor:
    """(count, 1, height, width), 1 where something is missing and 0 elsewhere.

    kind: `centre`, a block in the middle whose sides are `share` of the image's; `blocks`, up to four anywhere, the first of
    up to those sides and the others of up to half of them; `any`: blocks, or up to four strokes, one image the one and one the
    other.
    """
    device = noise.generator.device
    rows = torch.arange(height, device=device, dtype=noise.dtype).view(1, 1, height, 1)
    columns = torch.arange(width, device=device, dtype=noise.dtype).view(1, 1, 1, width)
    if kind == "centre":
        high, wide = centre_sides(height, width, share)
        top, left = (height - high) // 2, (width - wide) // 2
        inside = (rows >= top) & (rows < top + high) & (columns >= left) & (columns < left + wide)
        return inside.to(noise.dtype).expand(count, 1, height, width)
    blocks = _blocks(noise, count, rows, columns, share)
    if kind == "blocks":
        return blocks
    strokes = _strokes(noise, count, rows, columns)
    return torch.where(noise.uniform(count, 1, 1, 1) < 0.5, blocks, strokes)


def _blocks(noise: Noise, count: int, rows: Tensor, columns: Tensor, share: float) -> Tensor:
    """Rectangles; the first is always there, each other one with a probability of a half."""
    largest = constant((1.0,) + (0.5,) * (BLOCKS - 1), rows.device, rows.dtype)
    there = noise.uniform(count, BLOCKS) < largest
    inside = there[:, :, None, None]
    for axis in (rows, columns):
        side = axis.numel()
        length = (side * share * largest * (0.5 + 0.5 * noise.uniform(count, BLOCKS))).round().clamp(min=2)
        start = ((side - length + 1) * noise.uniform(count, BLOCKS)).floor()
        inside = inside & (axis >= start[:, :, None, None]) & (axis < (start + length)[:, :, None, None])
    return inside.any(1, keepdim=True).to(rows.dtype)


def _strokes(noise: Noise, count: int, rows: Tensor, columns: Tensor) -> Tensor:
    """Lines from anywhere to anywhere, 1/20 to 1/7 as wide as the image."""
    ends = noise.uniform(count, STROKES, 2, 2, 1, 1)
    side = min(rows.numel(), columns.numel())
    down, across = ends[:, :, 0] * rows.numel(), ends[:, :, 1] * columns.numel()  # (B, K, 2, 1, 1)
    run = torch.stack([down[:, :, 1] - down[:, :, 0], across[:, :, 1] - across[:, :, 0]])
    away = torch.stack(torch.broadcast_tensors(rows - down[:, :, 0], columns - across[:, :, 0]))
    along = ((away * run).sum(0) / run.square().sum(0).clamp(min=1e-6)).clamp(0, 1)
    distance = (away - along * run).square().sum(0).sqrt()
    radius = side * (0.025 + 0.045 * noise.uniform(count, STROKES, 1, 1))
    there = noise.uniform(count, STROKES, 1, 1) < constant((1.0,) + (0.5,) * (STROKES - 1), rows.device).view(-1, 1, 1)
    return ((distance <= radius.clamp(min=0.75)) & there).any(1, keepdim=True).to(rows.dtype)
