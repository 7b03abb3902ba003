"""Drawings and grey pictures of any size through a network that colours those of one size: the colours are found there, and
brought back to the size of the picture, whose own lines or grey values stay. Not for reading hints from files.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_max_pool2d, avg_pool2d, interpolate, pad

from .colouring import grey, with_luminance

COLOURED, SHARE = 0.2, 0.02  # of 2: channels that are further apart are a colour; with so many of these it is no drawing


def in_colour(images: Tensor) -> bool:
    """Whether images (B, C, H, W) hold colours, more than specks of them."""
    if images.shape[1] < 3:
        return False
    return bool(((images.amax(1) - images.amin(1)) > COLOURED).float().mean() > SHARE)


def painted(
    function: Callable[[Tensor, Tensor], Tensor],
    drawings: Tensor,
    hints: Tensor,
    size: tuple[int, int],
    *,
    keeps_luminance: bool,
) -> Tensor:
    """`function` over drawings (B, 1, H, W), white 1, with hints (B, C + 1, H, W) -> images (B, C, H, W).

    function: (drawings, hints) of `size` -> images. Drawings of another size are brought to it with their aspect kept, and
    white, or the border, beside them. Lines do not fade where they are made smaller, and nor do hints.
    """
    height, width = drawings.shape[2:]
    if (height, width) == size:
        return function(drawings, hints)
    scale = min(size[0] / height, size[1] / width)
    inner = (max(1, min(size[0], round(height * scale))), max(1, min(size[1], round(width * scale))))
    small = _reduced(drawings, inner, keeps_luminance)
    given = (hints[:, -1:] + 1) / 2
    if inner[0] < height:
        share = adaptive_avg_pool2d(given, inner)
        colours = adaptive_avg_pool2d(hints[:, :-1] * given, inner) / share.clamp(min=1e-6)
    else:
        share = interpolate(given, size=inner, mode="nearest")
        colours = interpolate(hints[:, :-1], size=inner, mode="nearest")
    kept = (share > 0).to(given.dtype)
    right, below = size[1] - inner[1], size[0] - inner[0]
    border = (right // 2, right - right // 2, below // 2, below - below // 2)
    if keeps_luminance:
        small = pad(small, border, mode="replicate")
    else:
        small = pad(small, border, value=1.0)
    dabs = torch.cat([pad(colours * kept, border), pad(2 * kept - 1, border, value=-1.0)], 1)
    made = function(small, dabs)
    if not keeps_luminance:
        made = _without_lines(made, small)
    made = made[:, :, border[2] : border[2] + inner[0], border[0] : border[0] + inner[1]]
    large = interpolate(made, size=(height, width), mode="bicubic", align_corners=False).clamp(-1, 1)
    if keeps_luminance:
        return with_luminance(large, drawings)
    return (large + 1) * (drawings + 1) / 2 - 1


def _reduced(drawings: Tensor, size: tuple[int, int], plain: bool) -> Tensor:
    if plain or size[0] >= drawings.shape[2]:
        return interpolate(drawings, size=size, mode="bilinear", align_corners=False, antialias=True).clamp(-1, 1)
    return 1 - adaptive_max_pool2d(1 - drawings, size)  # a thin line would be a shade of grey in the mean


def _without_lines(images: Tensor, drawings: Tensor, rounds: int = 2) -> Tensor:
    """Images whose lines are filled with the colours beside them, so that none is drawn twice."""
    weight = ((drawings + 1) / 2).square()
    total, count = images * weight, weight
    found, known = images, weight
    for _ in range(rounds):
        total, count = (avg_pool2d(pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1) for x in (total, count))
        found = known * found + (1 - known) * total / count.clamp(min=1e-4)
        known = torch.maximum(known, (count > 0.2).to(known.dtype))
    return found.clamp(-1, 1)


def drawing_of(images: Tensor, drain: Callable[[Tensor], Tensor], keeps_luminance: bool) -> Tensor:
    """What is to be coloured of images as they were given: drawings as they are; of pictures in colour what is left of them."""
    return drain(images) if in_colour(images) and not keeps_luminance else grey(images)
