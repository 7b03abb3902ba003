"""Noise of a scan at less dose: drawn on every line through the body, filtered and projected back, as reconstruction does.

What quantum noise looks like in a slice (streaks along bone, more of it in the middle, hardly any low frequencies) comes from
that way through the sinogram. Reconstruction is linear, so what less dose adds to a slice is the reconstruction of what it adds
to the lines (Yu et al. 2012, doi 10.1097/RCT.0b013e318258e891), and only the piece that is trained on has to be reconstructed.

Approximations, all for speed: parallel rays in one plane; at most `VIEWS` of them; line integrals of the picture shrunk to
`COARSE` pixels, for they are smooth; normal numbers of the variance that counts of photons and electronics have together, which
for fewer than some ten photons is not their distribution; no blur of the detector, no scatter, no hardening of the beam.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate, pad

from ..batches import Noise

WATER_PER_MM = 0.02  # attenuation of water at 70 keV
REFERENCE_MM = 200.0  # of water: where `noise` is what it says
VIEWS = 180  # angles at most; 1.5 for each pixel of the side where that is less
COARSE = 32
BETWEEN = 8  # steps from line to line, of which the nearest is taken in back projection
TOGETHER = 2**17  # places that are projected back at once: few enough for the cache
KEPT = 2 / 3 - 2 / math.pi**2
"""Of the variance of what the ramp filter leaves, by linear interpolation between lines (mean over places)."""


def angles(count: int, like: Tensor) -> Tensor:
    """(count,) directions within half a turn, in radians."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) * (math.pi / count)


@lru_cache(maxsize=4)
def _shares(side: int, views: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(views, lines, side, side): how much of each pixel lies on each line, shared between neighbouring ones."""
    lines = math.ceil(side * 1.5)
    middle = torch.arange(side, device=device, dtype=dtype) - (side - 1) / 2
    turn = angles(views, middle)[:, None, None]
    place = middle[None, None, :] * turn.cos() + middle[None, :, None] * turn.sin()
    line = torch.arange(lines, device=device, dtype=dtype) - (lines - 1) / 2
    return torch.relu(1 - (place[:, None] - line[:, None, None]).abs())


def line_integrals(density: Tensor, views: int) -> Tensor:
    """Densities (B, S, S) per pixel -> sums along lines (B, views, lines), a line each S / COARSE pixels, or each pixel.

    Nothing lies beyond the picture. The lines cover its diagonal; their middle is that of the picture.
    """
    side = density.shape[1]
    small = min(COARSE, side)
    coarse = adaptive_avg_pool2d(density[:, None], small)[:, 0]
    share = _shares(small, views, density.device, density.dtype)
    return torch.einsum("vlij,bij->bvl", share, coarse) * (side / small)


def reconstructed(sinogram: Tensor, top: Tensor, left: Tensor, height: int, width: int, side: int) -> Tensor:
    """Filtered back projection of (B, V, L), a line a pixel, in pieces (B, height, width) that begin at `top`, `left` (B,) of a
    picture of `side`."""
    count, views, lines = sinogram.shape
    ramp = torch.fft.rfftfreq(lines, device=sinogram.device, dtype=sinogram.dtype)
    filtered = torch.fft.irfft(torch.fft.rfft(sinogram) * ramp, lines)
    fine = interpolate(filtered, scale_factor=BETWEEN, mode="linear", align_corners=False)
    turn, middle = angles(views, sinogram)[None, :, None], (side - 1) / 2
    down, across = (
        (corner[:, None] + torch.arange(length, device=corner.device) - middle).to(sinogram.dtype)[:, None, :]
        for corner, length in ((top, height), (left, width))
    )
    row, column = BETWEEN * (down * turn.sin() + lines / 2), BETWEEN * (across * turn.cos())  # (B, V, height or width)
    made = sinogram.new_zeros(count, height, width)
    step = max(1, TOGETHER // made.numel())
    for first in range(0, views, step):
        some = slice(first, first + step)
        place = (row[:, some, :, None] + column[:, some, None, :]).long()
        made += fine[:, some].gather(2, place.flatten(2)).view(place.shape).sum(1)
    return made * (math.pi / views)


def dose_noise(
    noise: Noise, density: Tensor, top: Tensor, left: Tensor, height: int, width: int, *,
    size: float, dose: float, electronic: float, millimetres: float, emitted: bool = False,
) -> Tensor:  # fmt: skip
    """What a scan with the share `dose` adds to slices (B, H, W): in their units, for pieces (B, height, width) that begin at
    `top`, `left` (B,).

    density: attenuation in multiples of water (CT), or activity in multiples of white (`emitted`, PET); none below 0.
    size: standard deviation that the full dose has in the middle of 200 mm of density 1. electronic: the variance of the
    electronics' noise as a share of the photons counted there; of CT alone. millimetres: side of a pixel.
    """
    count, *sides = density.shape
    side = max(sides)
    views = min(VIEWS, max(16, math.ceil(1.5 * side)))
    beyond = [side - own for own in sides]
    square = pad(density.clamp(min=0), (beyond[1] // 2, beyond[1] - beyond[1] // 2, beyond[0] // 2, beyond[0] - beyond[0] // 2))
    per_pixel = WATER_PER_MM * millimetres
    coarse = line_integrals(square * per_pixel, min(views, 3 * COARSE // 2))
    lines = math.ceil(1.5 * side)
    path = interpolate(coarse[:, None], (views, lines), mode="bilinear", align_corners=False)[:, 0]
    reference = WATER_PER_MM * REFERENCE_MM
    variance = (size * per_pixel) ** 2 * 12 * views / (math.pi**2 * KEPT)  # of a line through the reference, at full dose
    if emitted:
        added = variance * path / reference * (1 / dose - 1)
    else:
        photons = (reference - path).exp() / variance
        sparse = (photons * dose).clamp(min=1.0)  # where none comes through, scanners put one in its place
        photons = torch.maximum(photons, sparse)
        own = electronic / variance
        added = 1 / sparse - 1 / photons + own * (1 / sparse**2 - 1 / photons**2)
    drawn = noise.normal(count, views, lines).to(density.dtype) * added.clamp(min=0).sqrt()
    corner = (top + beyond[0] // 2, left + beyond[1] // 2)
    return reconstructed(drawn, *corner, height, width, side) / per_pixel
