"""Brush strokes on an image that latents draw: latents move until the drawing has the colours that are wanted, and what that
changes goes onto the image itself. Brock et al. 2017, arXiv 1609.07093, section 3 (the Neural Photo Editor).

Strokes are colours (B, C, H, W) in [-1, 1] with a strength (B, 1, H, W) from 0 (none) to 1. Not for reading them from files.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, interpolate, pad

from .search import search

SOFTNESS = 0.7  # pixels: the standard deviation of the blur of the mask
GAIN = 2.0  # a change of half the range is taken whole


def moved(
    latents: Tensor, draw: Callable[[Tensor], Tensor], colours: Tensor, strength: Tensor, steps: int, rate: float
) -> Tensor:
    """Latents (B, ...) after `steps` steps against the mean squared error of what they draw to `colours`, as `strength` weighs
    it."""
    total = strength.sum((1, 2, 3)).clamp(min=1e-6) * colours.shape[1]

    def error(found: Tensor, share: float) -> Tensor:
        return ((draw(found) - colours).square() * strength).sum((1, 2, 3)) / total

    return search(latents, error, steps, rate)


def change_mask(before: Tensor, after: Tensor, gain: float = GAIN) -> Tensor:
    """(B, 1, H, W) from 0 to 1: how much two drawings differ, the mean over channels, blurred."""
    differ = ((after - before).abs().mean(1, keepdim=True) * gain / 2).clamp(0, 1)
    taps = torch.exp(-torch.arange(-2, 3, device=before.device, dtype=before.dtype).square() / (2 * SOFTNESS**2))
    taps = taps / taps.sum()
    return conv2d(pad(differ, (2, 2, 2, 2), mode="replicate"), (taps[:, None] * taps)[None, None])


def laid_on(images: Tensor, before: Tensor, after: Tensor, gain: float = GAIN) -> Tensor:
    """Images (B, C, H, W) with the change from one drawing to the other, in [-1, 1]: with the mask M of the change
    x + M (after - x), so that where nothing changed, nothing is drawn. Drawings of another size: what they add is enlarged."""
    size = before.shape[2:]
    small = images if images.shape[2:] == size else interpolate(images, size, mode="bilinear", antialias=True)
    added = change_mask(before, after, gain) * (after - small)
    if small is not images:
        added = interpolate(added, images.shape[2:], mode="bilinear", align_corners=False)
    return (images + added).clamp(-1, 1)


def reduced(colours: Tensor, strength: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Strokes at another size: colours are means over what was painted, so that a thin stroke keeps its colour."""
    if tuple(strength.shape[2:]) == tuple(size):
        return colours, strength
    if size[0] > strength.shape[2] or size[1] > strength.shape[3]:
        return interpolate(colours, size, mode="nearest"), interpolate(strength, size, mode="nearest")
    share = adaptive_avg_pool2d(strength, size)
    return adaptive_avg_pool2d(colours * strength, size) / share.clamp(min=1e-6), share


def borrowed(images: Tensor, radius: float, seed: int) -> tuple[Tensor, Tensor]:
    """(colours, strength): for each image one round stroke somewhere, of the mean colour that the next image has there, so that
    what is asked for is something such images have. radius: as a share of the short side."""
    count, _, height, width = images.shape
    draw = torch.Generator().manual_seed(seed)
    reach = max(1.0, radius * min(height, width))
    centre = torch.rand((count, 2), generator=draw).to(images) * 0.6 + 0.2  # things are rarely at the border
    rows = torch.arange(height, device=images.device).view(1, -1, 1) - centre[:, :1, None] * (height - 1)
    columns = torch.arange(width, device=images.device).view(1, 1, -1) - centre[:, 1:, None] * (width - 1)
    strength = ((rows.square() + columns.square()) <= reach**2).to(images.dtype)[:, None]
    other = images.roll(-1, 0)
    mean = (other * strength).sum((2, 3), keepdim=True) / strength.sum((2, 3), keepdim=True).clamp(min=1)
    return mean.expand_as(images), strength


def followed(images: Tensor, made: Tensor, colours: Tensor, strength: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B,) each, mean absolute differences of channels: to the colours under the strokes, of the images and of what was made of
    them; and between the two where no stroke is."""

    def mean(values: Tensor, where: Tensor) -> Tensor:
        return (values.abs().mean(1, keepdim=True) * where).sum((1, 2, 3)) / where.sum((1, 2, 3)).clamp(min=1e-6)

    return mean(images - colours, strength), mean(made - colours, strength), mean(made - images, 1 - strength)
