"""One image laid into another without a seam: gradients of both, colours of a third, solved exactly at every size.

Wu, Zheng, Zhang, Huang, 2019, "GP-GAN: Towards Realistic High-Resolution Image Blending" (arXiv 1703.07195), section 3.3: the
Gauss-Poisson equation. Not for saying which colours those are, nor for filling holes (`membrane`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

SMALLEST = 4  # pixels of a side of the coarsest level
LEAST = 1e-3  # share of a side of the mask in a place, below which it is not asked


def blended(
    target: Tensor,
    source: Tensor,
    mask: Tensor,
    change: Callable[[Tensor, Tensor], Tensor],
    side: int,
    weight: float,
    sigma: float,
) -> Tensor:
    """The source (B, C, H, W), where the mask (B, 1, H, W) is 1, laid into the target, from coarse to fine.

    change: (composite, its mask), both of the image's own size -> what is to be added to the colours of the composite, of any
    size. side: pixels of the longer side from which the levels begin. weight: of colours beside gradients (beta). sigma: in
    pixels, of the Gaussian through which colours are compared. Levels halve the sides, rounded; any sizes and aspects will do.
    """
    correction = change(source * mask + target * (1 - mask), mask)
    for size in sizes(target.shape[2], target.shape[3], side):
        at, of = (reduced(image, *size) for image in (target, source))
        own = _at(mask, size)
        correction = _enlarged(correction, _at(mask, correction.shape[2:]), own)
        composite = of * own + at * (1 - own)
        correction = gauss_poisson(*seams(at, of, own, composite), correction, weight, sigma)
    return composite + correction


def _at(mask: Tensor, size: Sequence[int]) -> Tensor:
    """The mask at another size, not interpolated: no pixel becomes one of both."""
    return mask if tuple(mask.shape[2:]) == tuple(size) else interpolate(mask, size=tuple(size), mode="nearest-exact")


def _enlarged(correction: Tensor, before: Tensor, mask: Tensor) -> Tensor:
    """The correction at the size of the mask; what it is inside the mask does not run out of it, nor the other way round."""
    size = mask.shape[2:]
    if correction.shape[2:] == size:
        return correction
    plain = interpolate(correction, size=size, mode="bilinear", align_corners=False)
    made = torch.zeros_like(plain)
    for known, wanted in ((before, mask), (1 - before, 1 - mask)):
        value, share = (interpolate(x, size=size, mode="bilinear", align_corners=False) for x in (correction * known, known))
        made = made + wanted * torch.where(share > LEAST, value / share.clamp(min=LEAST), plain)
    return made


def sizes(height: int, width: int, side: int) -> list[tuple[int, int]]:
    """(rows, columns) of every level, coarsest first: halved until the longer side is at most `side`."""
    found = [(height, width)]
    while max(found[-1]) > side and min(found[-1]) >= 2 * SMALLEST:
        times = 2 ** len(found)
        found.append((round(height / times), round(width / times)))
    return found[::-1]


def reduced(image: Tensor, height: int, width: int) -> Tensor:
    """The image (B, C, h, w) at that size; smaller ones do not alias."""
    if image.shape[2:] == (height, width):
        return image
    return interpolate(image, size=(height, width), mode="bilinear", align_corners=False, antialias=True)


def seams(target: Tensor, source: Tensor, mask: Tensor, composite: Tensor) -> tuple[Tensor, Tensor]:
    """(down, across): the gradients that are wanted less those of the composite. Only at the border of the mask they differ.

    Between two pixels of the source its gradient is wanted, elsewhere the target's, also from the one to the other: there
    the two images have no step in common. Masks may be grey: of two pixels the lower share counts.
    """
    found = []
    for axis in (2, 3):
        length = mask.shape[axis] - 1
        share = torch.minimum(mask.narrow(axis, 0, length), mask.narrow(axis, 1, length))
        wanted = share * source.diff(dim=axis) + (1 - share) * target.diff(dim=axis)
        found.append(wanted - composite.diff(dim=axis))
    return found[0], found[1]


def gauss_poisson(down: Tensor, across: Tensor, colour: Tensor, weight: float, sigma: float) -> Tensor:
    """The image X (B, C, H, W) that lowers |grad X - (down, across)|^2 + weight |g(X) - g(colour)|^2, exactly (eq. 5 to 7).

    down: (B, C, H - 1, W), differences to the pixel below; across: (B, C, H, W - 1), to that on the right. g: a Gaussian of
    `sigma` pixels; beyond the border lies the mirrored image, and no gradient is asked for across it. Cosines are the
    eigenvectors of both: one transform there and one back. Channel by channel, so that memory stays that of some planes.
    """
    height, width = colour.shape[2:]
    slope, smooth = (_spectrum(height, width, sigma, colour, which) for which in ("slope", "smooth"))
    colours = weight * smooth.square()
    planes = []
    for channel in range(colour.shape[1]):
        steps = _towards(down[:, channel], 1) + _towards(across[:, channel], 2)
        right = _cosines(steps) + colours * _cosines(colour[:, channel])
        planes.append(_cosines(right / (slope + colours), back=True))
    return torch.stack(planes, 1).to(colour.dtype)


def _towards(steps: Tensor, axis: int) -> Tensor:
    """The transpose of taking differences along an axis: minus the divergence."""
    shape = list(steps.shape)
    shape[axis] = 1
    edge = steps.new_zeros(shape)
    return -torch.cat([edge, steps, edge], axis).diff(dim=axis)


def _spectrum(height: int, width: int, sigma: float, like: Tensor, which: str) -> Tensor:
    """(H, W): by how much each cosine is multiplied, by taking differences and back (`slope`) or by the Gaussian (`smooth`)."""
    angles = [math.pi * torch.arange(side, device=like.device, dtype=_precise(like)) / side for side in (height, width)]
    if which == "slope":
        rows, columns = (2 - 2 * angle.cos() for angle in angles)
        return rows[:, None] + columns[None]
    reach = max(1, math.ceil(4 * sigma))
    taps = [math.exp(-0.5 * (place / sigma) ** 2) for place in range(-reach, reach + 1)]
    rows, columns = (
        torch.stack([tap * (place * angle).cos() for place, tap in enumerate(taps, -reach)]).sum(0) / sum(taps)
        for angle in angles
    )
    return rows[:, None] * columns[None]


def _precise(like: Tensor) -> torch.dtype:
    """Transforms know no half precision."""
    return like.dtype if like.dtype in (torch.float32, torch.float64) else torch.float32


def _cosines(planes: Tensor, back: bool = False) -> Tensor:
    """The cosine transform (DCT-II) of planes (B, H, W), or its inverse."""
    planes = planes.to(_precise(planes))
    for _ in range(2):
        planes = (_line_back if back else _line)(planes).transpose(1, 2)
    return planes


def _line(values: Tensor) -> Tensor:
    """DCT-II along the last axis by one real Fourier transform (Makhoul 1980, doi 10.1109/TASSP.1980.1163351)."""
    length = values.shape[-1]
    made = torch.fft.rfft(torch.cat([values[..., ::2], values[..., 1::2].flip(-1)], -1)) * _turns(length, values, -1)
    return torch.cat([made.real, -made.imag[..., 1 : (length + 1) // 2].flip(-1)], -1)


def _line_back(values: Tensor) -> Tensor:
    """The inverse of `_line`."""
    length = values.shape[-1]
    half = length // 2 + 1
    mirrored = torch.cat([torch.zeros_like(values[..., :1]), values[..., 1:].flip(-1)], -1)[..., :half]
    made = torch.fft.irfft(torch.complex(values[..., :half], -mirrored) * _turns(length, values, 1), n=length)
    result = torch.empty_like(values)
    middle = (length + 1) // 2
    result[..., ::2], result[..., 1::2] = made[..., :middle], made[..., middle:].flip(-1)
    return result


def _turns(length: int, like: Tensor, sign: int) -> Tensor:
    angle = sign * math.pi / (2 * length) * torch.arange(length // 2 + 1, device=like.device, dtype=like.dtype)
    return torch.polar(torch.ones_like(angle), angle)
