"""The mean spectrum of images over rings of equal frequency, as a loss for generators. Durall, Keuper, Keuper, 2020, "Watch
your Up-Convolution" (CVPR, arXiv 2003.01826).

A discriminator pays little heed to how much fine detail there is, and generators leave a gap in the highest octaves. The paper
compares azimuthally averaged spectra by cross-entropy; here the logarithms of the power of a batch are held against a running
mean of the real ones by their squared difference, so that every ring counts alike whatever its power. Not for measuring
samples: that is `ganvas.metrics.spectrum`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FLOOR = 1e-8  # of the power: an empty ring has a logarithm
NEW = 0.05  # weight of a batch in the running mean


class Rings(nn.Module):
    """Log power of images (B, C, H, W) over rings of one step of frequency, up to 0.5 cycles per pixel; zero is left out."""

    ring: Tensor
    share: Tensor
    real: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        count = min(height, width) // 2
        high, wide = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
        ring = ((high.square() + wide.square()).sqrt() * 2 * count).round().long().flatten()
        ring = torch.where((ring < 1) | (ring > count), 0, ring)
        self.register_buffer("ring", ring, persistent=False)
        self.register_buffer("share", 1 / ring.bincount(minlength=count + 1)[1:].float(), persistent=False)
        self.register_buffer("real", torch.zeros(count))

    def forward(self, images: Tensor) -> Tensor:
        """(R,) natural logarithms of the mean power over images, channels and a ring."""
        with torch.autocast(images.device.type, enabled=False):
            power = torch.fft.rfft2(images.float(), norm="ortho").abs().square().mean((0, 1)).flatten()
            rings = power.new_zeros(len(self.share) + 1).index_add(0, self.ring, power)
            return (rings[1:] * self.share + FLOOR).log()

    @torch.no_grad()
    def learn(self, images: Tensor) -> None:
        """Take real images into the running mean; the first are the mean."""
        new = self(images)
        self.real.copy_(torch.where((self.real == 0).all(), new, self.real.lerp(new, NEW)))

    def gap(self, images: Tensor) -> Tensor:
        """Mean over rings of the squared difference between the images' log power and that of real ones."""
        return (self(images) - self.real).square().mean()
