"""Differentiable augmentation of what the discriminator sees (Zhao et al. 2020, "DiffAugment").

Real and fake pass the same random family of changes, so the generator is not taught the changes themselves. No left-right
flip: a mirrored radiograph shows a heart on the wrong side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..batches import Noise

POLICIES = ("color", "translation", "cutout")


def augment(images: Tensor, noise: Noise, policies: tuple[str, ...]) -> Tensor:
    """images (B, C, H, W) in [-1, 1] -> the same shape, changed by each policy in turn, differently for each record."""
    for policy in policies:
        images = _CHANGES[policy](images, noise)
    return images


def _color(images: Tensor, noise: Noise) -> Tensor:
    """Brightness +-0.25, contrast x 0.75..1.25, saturation x 0.5..1.5 (of colour images).

    Half as strong as in the original: radiographs differ in little but brightness and contrast, and lose their difference
    otherwise.
    """
    count, channels = images.shape[:2]
    draw = noise.uniform(count, 3)[:, :, None, None, None]
    images = images + (draw[:, 0] - 0.5) * 0.5
    if channels == 3:
        grey = images.mean(1, keepdim=True)
        images = (images - grey) * (draw[:, 1] + 0.5) + grey
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * (draw[:, 2] * 0.5 + 0.75) + mean


def _translation(images: Tensor, noise: Noise, ratio: float = 0.125) -> Tensor:
    """A shift of up to an eighth of the size; the border is repeated where nothing comes in.

    The original fills with zeros. A constant bar is a mark of its own, and generators have been seen to draw it.
    """
    count, _, height, width = images.shape
    rows, columns = round(height * ratio), round(width * ratio)
    down = noise.integers(2 * rows + 1, count)[:, None]
    right = noise.integers(2 * columns + 1, count)[:, None]
    y = (torch.arange(height, device=images.device)[None] + down - rows).clamp(0, height - 1)
    x = (torch.arange(width, device=images.device)[None] + right - columns).clamp(0, width - 1)
    record = torch.arange(count, device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[record, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def _cutout(images: Tensor, noise: Noise, ratio: float = 0.5) -> Tensor:
    """A square of half the size set to mid-grey."""
    count, _, height, width = images.shape
    rows, columns = round(height * ratio), round(width * ratio)
    top = noise.integers(height + 1 - rows % 2, count)[:, None] - rows // 2
    left = noise.integers(width + 1 - columns % 2, count)[:, None] - columns // 2
    y = torch.arange(height, device=images.device)[None]
    x = torch.arange(width, device=images.device)[None]
    inside_rows = (y >= top) & (y < top + rows)
    inside_columns = (x >= left) & (x < left + columns)
    hole = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
    return images.masked_fill(hole, 0.0)


_CHANGES = {"color": _color, "translation": _translation, "cutout": _cutout}
