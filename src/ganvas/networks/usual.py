"""Heat maps of redrawn images, and what is usual of normal ones, for `anogan`: their levels, and what redrawing leaves of them.

No network: numbers that are learnt beside networks, and kept with their weights. Not for any other kind of data.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

LATEST = 0.01  # share of a batch in what redrawing usually leaves


def heat_map(images: Tensor, redrawn: Tensor, smoothing: float) -> Tensor:
    """|x - G(z)| (B, H, W): the mean over channels, smoothed by a Gaussian of that many pixels."""
    heat = (images - redrawn).abs().mean(1, keepdim=True)
    if smoothing > 0:
        reach = min(math.ceil(3 * smoothing), min(heat.shape[2:]) - 1)
        bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=heat.device, dtype=heat.dtype) / smoothing) ** 2)
        bell = bell / bell.sum()
        heat = pad(heat, (reach, reach, reach, reach), mode="reflect")
        heat = conv2d(conv2d(heat, bell.view(1, 1, -1, 1)), bell.view(1, 1, 1, -1))
    return heat[:, 0]


class Usual(nn.Module):
    """Running means over batches of normal images (B, C, H, W).

    level: the mean and the spread of an image, and how many batches were seen. left: of |x - G(z)| at each place, the mean and
    the mean square (2, H, W).
    """

    level: Tensor
    left: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.register_buffer("level", torch.tensor([0.0, 1.0, 0.0]))
        self.register_buffer("left", torch.zeros(2, height, width))

    @torch.no_grad()
    def see(self, images: Tensor) -> None:
        """Counts a batch into `level`."""
        flat = images.flatten(1).to(self.level.dtype)
        self.level[2] += 1
        self.level[:2] += (torch.stack([flat.mean(), flat.std(1).mean()]) - self.level[:2]) / self.level[2]

    def matched(self, images: Tensor) -> Tensor:
        """Images with the mean and the spread that normal ones have: brightness and contrast tell nothing then."""
        mean, spread = images.mean((1, 2, 3), keepdim=True), images.std((1, 2, 3), keepdim=True)
        return (images - mean) / (spread + 1e-3) * self.level[1] + self.level[0]

    @torch.no_grad()
    def leave(self, heat: Tensor) -> None:
        """Counts heat maps (B, H, W) of a batch into `left`."""
        heat = heat.to(self.left.dtype)
        self.left.lerp_(torch.stack([heat.mean(0), heat.square().mean(0)]), LATEST)

    def excess(self, heat: Tensor) -> Tensor:
        """Heat maps in standard deviations above what is usual at each place; 0 below it."""
        spread = (self.left[1] - self.left[0].square()).clamp(min=0).sqrt()
        return ((heat - self.left[0]) / (spread + 0.5 * spread.mean() + 1e-6)).clamp(min=0)
