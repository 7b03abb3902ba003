"""Blur as of a hand that moves while the shutter is open: random trajectories become kernels, kernels blur images.

Boracchi and Foi, 2012, "Modeling the Performance of Image Restoration from Motion Blur" (doi 10.1109/TIP.2012.2192126), as
Kupyn et al. 2018 (arXiv 1711.07064), algorithm 1, use it. Each record has a trajectory of its own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from ..batches import Noise

STEPS = 48  # of a trajectory; the paper takes 2,000, of which a kernel of some pixels shows nothing
IMPULSE, INERTIA, BIG_SHAKE, GAUSSIAN = 0.2, 0.7, 0.2, 0.7  # upper bounds, of which each trajectory has a share


def trajectories(noise: Noise, count: int, reach: float) -> Tensor:
    """(count, STEPS, 2): places (down, across) in pixels of `count` moves, none longer than `reach`, their middle at 0.

    A velocity that turns by little shakes, is pulled back to where it began, and now and then is thrown round.
    """
    shares = noise.uniform(count, 5)
    angle = 2 * math.pi * noise.uniform(count)
    normal, thrown = noise.normal(count, STEPS, 2), noise.uniform(count, STEPS, 2)
    big, gauss, pull = BIG_SHAKE * shares[:, :1], GAUSSIAN * shares[:, 1:2], INERTIA * shares[:, 2:3]
    length = reach * (0.2 + 0.8 * shares[:, 3:4])
    speed = length / (STEPS - 1)
    velocity = torch.stack([angle.sin(), angle.cos()], 1) * speed
    place = torch.zeros_like(velocity)
    places = [place]
    for step in range(STEPS - 1):
        turned = math.pi + thrown[:, step, 1] - 0.5
        cosine, sine = turned.cos(), turned.sin()
        down, across = velocity.unbind(1)
        turning = torch.stack([down * cosine + across * sine, across * cosine - down * sine], 1)
        shaken = torch.where(thrown[:, step, :1] < big * IMPULSE, 2 * turning, 0.0)
        velocity = velocity + shaken + (gauss * normal[:, step] - pull * place / length.clamp(min=1e-3)) * speed
        velocity = velocity / velocity.norm(dim=1, keepdim=True).clamp(min=1e-6) * speed
        place = place + velocity
        places.append(place)
    path = torch.stack(places, 1)
    return path - (path.amax(1, keepdim=True) + path.amin(1, keepdim=True)) / 2


def kernels(noise: Noise, count: int, side: int) -> Tensor:
    """(count, side, side): how long the shutter saw each place; every kernel sums to 1. side: odd."""
    half = side // 2
    path = trajectories(noise, count, side - 1.0)
    grid = torch.arange(-half, half + 1, device=path.device, dtype=path.dtype)
    down, across = (torch.relu(1 - (path[:, :, axis, None] - grid).abs()) for axis in (0, 1))  # (count, STEPS, side)
    made = torch.einsum("bti,btj->bij", down, across)
    return made / made.sum((1, 2), keepdim=True)


def blurred(images: Tensor, own: Tensor) -> Tensor:
    """Images (B, C, H, W), each blurred by its kernel (B, K, K); beyond the border lies the mirrored image."""
    count, channels, height, width = images.shape
    half = own.shape[1] // 2
    if half >= min(height, width):
        raise ValueError(f"images of {height}x{width} cannot be blurred by kernels of {own.shape[1]}")
    wide = pad(images, (half, half, half, half), mode="reflect")
    weight = own.to(images.dtype).repeat_interleave(channels, 0)[:, None]
    made = conv2d(wide.reshape(1, count * channels, *wide.shape[2:]), weight, groups=count * channels)
    return made.view(count, channels, height, width)
