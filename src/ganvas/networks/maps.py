"""Label maps on their way into a network, and into a picture of what it does: shared by systems that make photographs of maps.

Not for reading maps from files (`kinds.label_map`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..batches import Noise


def classes_as_channels(maps: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Indices (B, H, W) int64 -> (B, classes, H, W) of 0 and 1: a class is a channel, never a number."""
    return one_hot(maps, classes).permute(0, 3, 1, 2).to(dtype)


def mirrored_together(noise: Noise, *parts: Tensor) -> tuple[Tensor, ...]:
    """Half of the records mirrored left to right, every part of a record alike. parts: (B, C, H, W) each."""
    turned = noise.uniform(len(parts[0]), 1, 1, 1) < 0.5
    return tuple(torch.where(turned, own.flip(3), own) for own in parts)


def as_picture(maps: Tensor, spec: Any, channels: int) -> Tensor:
    """What is shown of maps beside images of so many channels: (B, channels, H, W) in [-1, 1].

    Label maps (B, H, W) in the colours of their spec; images (B, C, H, W) as they are, or as their mean over channels.
    """
    if not hasattr(spec, "palette"):
        return maps if maps.shape[1] == channels else maps.mean(1, keepdim=True).expand(-1, channels, -1, -1)
    colours = [[int(colour[place : place + 2], 16) / 127.5 - 1 for place in (1, 3, 5)] for colour in spec.palette]
    seen = torch.tensor(colours, device=maps.device)[maps].permute(0, 3, 1, 2)
    return seen if channels == 3 else seen.mean(1, keepdim=True).expand(-1, channels, -1, -1)
