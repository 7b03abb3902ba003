"""Augmentation whose strength a controller sets. Karras, Aittala, Hellsten, Laine, Lehtinen, Aila, 2020, "Training Generative
Adversarial Networks with Limited Data" (NeurIPS, arXiv 2006.06676), appendix B.

Each change is made to each record with probability p. As long as p stays below about 0.8 the generator cannot gain by
showing the changes itself. The controller keeps p and what it counts as buffers; when it moves is the system's business. A file
of its own, and not a part of the one system that uses it, for length.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..batches import Noise

SHIFT = 0.125  # whole pixels: at most this share of the side; fractions: the standard deviation
SCALE, BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.2, 0.5, 1.0  # standard deviations; all but brightness as powers of 2

MOST_PROBABLE = 0.8  # of a change; above it the changes leak into the samples (Karras et al. 2020, section 3)


class AdaptiveAugmentation(nn.Module):
    """Images (B, C, H, W) -> the same shape, changed with a probability p that a controller moves (section 3, r_t).

    target: mean sign of D(real) above which p rises; 0: nothing is ever changed. span: images in which p can go from 0 to 1.
    mirror, turns: of `augment_adaptively`.
    """

    p: Tensor
    signs: Tensor

    def __init__(self, target: float, span: float, *, mirror: bool = False, turns: bool = False) -> None:
        super().__init__()
        self.target, self.span, self.mirror, self.turns = target, span, mirror, turns
        self.register_buffer("p", torch.zeros(()))  # probability of each change
        self.register_buffer("signs", torch.zeros(2))  # of D(real) since the controller's last move: their sum, how many

    def forward(self, images: Tensor, noise: Noise) -> Tensor:
        if self.target == 0:
            return images
        return augment_adaptively(images, noise, self.p, mirror=self.mirror, turns=self.turns)

    def count(self, logits: Tensor) -> None:
        """Take notice of D's logits (B,) at real images, changed as D sees them."""
        self.signs += torch.stack([logits.detach().sign().sum(), torch.full_like(self.p, len(logits))])

    def adapt(self, world: int) -> None:
        """Move p up while D is surer of real images than the target, down otherwise; by the images seen since.

        world: number of processes, each of which counts its own share of them.
        """
        if self.target == 0:
            return
        mean = self.signs[0] / self.signs[1].clamp(min=1)
        step = (mean - self.target).sign() * self.signs[1] * (world / self.span)
        self.p.add_(step).clamp_(0, MOST_PROBABLE)
        self.signs.zero_()


def augment_adaptively(images: Tensor, noise: Noise, p: Tensor, *, mirror: bool = False, turns: bool = False) -> Tensor:
    """images (B, C, H, W) in [-1, 1] -> the same shape in full precision, each change made with probability p (a scalar).

    Moves: whole-pixel and fractional shifts, isotropic and anisotropic scaling, rotation; mirror: left-right flips, turns:
    by 90 degrees. Both are off by default, because radiographs have a left and an up. Light: brightness and contrast; with
    three channels also luma flip, hue and saturation. Differentiable once in the images (bicubic sampling); what comes in
    from outside is the reflected image. Nothing is read back from the device, and p = 0 gives the images back.
    """
    with torch.autocast(images.device.type, enabled=False):
        images = images.to(p.dtype)
        count = len(images)
        wanted = noise.uniform(count, 14) < p
        normal, uniform = noise.normal(count, 8), noise.uniform(count, 9) * 2 - 1
        images = _moved(images, _matrix(images, wanted, normal, uniform, p, mirror, turns))
        return _lit(images, wanted[:, 9:], normal[:, 5:], uniform[:, 7:])


def _matrix(images: Tensor, wanted: Tensor, normal: Tensor, uniform: Tensor, p: Tensor, mirror: bool, turns: bool) -> Tensor:
    """(B, 2, 3): from a place in the new image to one in the old, in pixels from the middle."""
    height, width = images.shape[2:]
    zero = torch.zeros_like(p)
    # Two rotations, before and after the anisotropic scaling: together as likely as one other change.
    rare = 1 - (1 - p.clamp(max=1.0)).sqrt()
    before = torch.where(uniform[:, 0].abs() < rare, uniform[:, 1] * math.pi, zero)
    after = torch.where(uniform[:, 2].abs() < rare, uniform[:, 3] * math.pi, zero)
    if turns:
        quarter = torch.where(wanted[:, 0], (uniform[:, 4] * 2).floor() * (math.pi / 2), zero)
        after = after + quarter
    size = torch.exp2(torch.where(wanted[:, 1], normal[:, 0] * SCALE, zero))
    aspect = torch.exp2(torch.where(wanted[:, 2], normal[:, 1] * SCALE, zero))
    across, down = size * aspect, size / aspect
    flip = torch.where(wanted[:, 3] & (normal[:, 4] < 0), -1.0, 1.0) if mirror else 1.0
    cos_b, sin_b, cos_a, sin_a = before.cos(), before.sin(), after.cos(), after.sin()
    # Rotation by `after` times diag(across, down) times rotation by `before`, written out.
    rows = [
        [cos_a * across * cos_b - sin_a * down * sin_b, -cos_a * across * sin_b - sin_a * down * cos_b],
        [sin_a * across * cos_b + cos_a * down * sin_b, -sin_a * across * sin_b + cos_a * down * cos_b],
    ]
    shifts = []
    for axis, side in enumerate((width, height)):
        whole = torch.where(wanted[:, 4], (uniform[:, 5 + axis] * (side * SHIFT)).round(), zero)
        shifts.append(whole + torch.where(wanted[:, 5], normal[:, 2 + axis] * (side * SHIFT), zero))
    lines = [torch.stack([row[0] * flip, row[1], shift], dim=1) for row, shift in zip(rows, shifts, strict=True)]
    return torch.stack(lines, dim=1)


def _moved(images: Tensor, matrix: Tensor) -> Tensor:
    height, width = images.shape[2:]
    y = torch.arange(height, device=images.device, dtype=images.dtype) - (height - 1) / 2
    x = torch.arange(width, device=images.device, dtype=images.dtype) - (width - 1) / 2
    places = torch.stack([x.repeat(height), y.repeat_interleave(width), torch.ones_like(x).repeat(height)])
    found = (matrix @ places).view(-1, 2, height, width)
    grid = torch.stack([found[:, 0] * (2 / width), found[:, 1] * (2 / height)], dim=3)
    if images.is_cuda and torch.are_deterministic_algorithms_enabled():
        return sampled(images, grid)
    return functional.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def sampled(images: Tensor, grid: Tensor) -> Tensor:
    """What `grid_sample` (bicubic, reflection, corners not aligned) gives, of sums whose gradients can be added up in a fixed
    order on a GPU; images (B, C, H, W), grid (B, h, w, 2) of x and y in -1 to 1. Sixteen times the memory."""
    near, weights = [], []
    for axis, side in enumerate(reversed(images.shape[2:])):
        place = ((grid[..., axis] + 1) * side - 1) / 2
        first = place.floor()
        taps = torch.arange(-1, 3, device=grid.device, dtype=grid.dtype)
        away = (place - first)[..., None] - taps
        far = away.abs()
        inner, outer = ((1.25 * far - 2.25) * far * far + 1, ((-0.75 * far + 3.75) * far - 6) * far + 3)
        weights.append(torch.where(far <= 1, inner, outer))
        index = (first[..., None] + taps).long().remainder(2 * side)
        near.append(torch.where(index < side, index, 2 * side - 1 - index))
    index = (near[1][..., :, None] * images.shape[3] + near[0][..., None, :]).flatten(1)
    both = (weights[1][..., :, None] * weights[0][..., None, :]).flatten(3)
    flat = images.flatten(2)
    found = flat.gather(2, index[:, None].expand(-1, flat.shape[1], -1)).unflatten(2, both.shape[1:])
    return (found * both[:, None]).sum(-1)


def _lit(images: Tensor, wanted: Tensor, normal: Tensor, uniform: Tensor) -> Tensor:
    """Brightness, contrast and, with three channels, luma flip, hue and saturation as one matrix per record."""
    zero = torch.zeros_like(normal[0, 0])
    bright = torch.where(wanted[:, 0], normal[:, 0] * BRIGHTNESS, zero)
    contrast = torch.exp2(torch.where(wanted[:, 1], normal[:, 1] * CONTRAST, zero))
    if images.shape[1] != 3:
        return (images + bright[:, None, None, None]) * contrast[:, None, None, None]
    identity = torch.eye(3, dtype=images.dtype, device=images.device)
    grey = torch.full_like(identity, 1 / 3)  # projects a colour onto the grey axis
    cross = (identity.roll(1, 0) - identity.roll(1, 1)) / math.sqrt(3)  # the cross product with that axis
    hue = torch.where(wanted[:, 3], uniform[:, 0] * math.pi, zero)[:, None, None]
    saturation = torch.exp2(torch.where(wanted[:, 4], normal[:, 2] * SATURATION, zero))[:, None, None]
    luma = torch.where(wanted[:, 2] & (uniform[:, 1] < 0), -1.0, 1.0)[:, None, None]
    # Along the grey axis: luma's sign. Across it: a rotation (Rodrigues) by the hue, times the saturation.
    matrix = luma * grey + saturation * (hue.cos() * (identity - grey) + hue.sin() * cross)
    matrix = matrix * contrast[:, None, None]
    return torch.einsum("bij,bjhw->bihw", matrix, images + bright[:, None, None, None])
