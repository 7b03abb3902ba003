"""What is known around a hole, continued smoothly into it: the solution of Laplace's equation, from coarse to fine.

Added to something that was drawn, it takes the step at the border away and leaves what is inside (Perez, Gangnet, Blake, 2003,
"Poisson Image Editing", eq. 10). Not for drawing anything.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, pad

SMALL = 128  # pixels of a side up to which a level is settled whole; larger ones have little left to settle
SWEEPS, MANY = 30, 100


def membrane(values: Tensor, known: Tensor) -> Tensor:
    """values (B, C, H, W) where known (B, 1, H, W) is 1, and between them a surface without bends; 0 where nothing is known.

    By successive overrelaxation, red and black places in turn: within about a hundredth of the span of the known values of the
    exact solution.
    """
    height, width = values.shape[2:]
    values = values * known
    if max(height, width) > 2:
        down, across = height % 2, width % 2
        wide, seen = (pad(x, (0, across, 0, down)) for x in (values, known))
        share = avg_pool2d(seen, 2)
        coarse = membrane(avg_pool2d(wide, 2) / share.clamp(min=0.2), (share > 0).to(values.dtype))
        guess = interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)[:, :, :height, :width]
    else:
        guess = (values.sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1)).expand_as(values)
    found = torch.where(known > 0, values, guess)
    rows, columns = (torch.arange(side, device=values.device) for side in (height, width))
    black = (rows[:, None] + columns[None]) % 2 == 0
    relaxed = 2 / (1 + math.sin(math.pi / max(4, min(height, width))))  # the best for a square of that side
    turns = [(1 - known) * place for place in (black, ~black)]
    for _ in range(MANY if max(height, width) <= SMALL else SWEEPS):
        for free in turns:
            edged = pad(found, (1, 1, 1, 1), mode="replicate")
            around = edged[:, :, :-2, 1:-1] + edged[:, :, 2:, 1:-1] + edged[:, :, 1:-1, :-2] + edged[:, :, 1:-1, 2:]
            found = found + relaxed * free * (around / 4 - found)
    return found


def grown(holes: Tensor, reach: int) -> Tensor:
    """Holes (B, 1, H, W) with all places that are at most `reach` pixels away in each direction."""
    return max_pool2d(holes, 2 * reach + 1, 1, reach) if reach else holes
