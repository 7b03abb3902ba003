"""A pool of past generated images, of which discriminators see some again. Shrivastava et al. 2017, "Learning from Simulated
and Unsupervised Images through Adversarial Training" (CVPR, arXiv 1612.07828), section 2.3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..batches import Noise


class ImagePool(nn.Module):
    """Images (B, C, H, W) -> the same number: while it fills the same ones, then each with probability 1/2 one of the past.

    What is handed out of the pool leaves it, the new one takes its place. Nothing is read back from the device, each record has
    a place of its own, and what a pool smaller than a batch has no place for goes past it. size: images kept; 0: none, the
    pool does nothing. shape: (C, H, W).

    REDUCTIONS is for `System.reductions`: every process keeps a pool of its own.
    """

    REDUCTIONS = {"past": "rank", "filled": "rank"}
    past: Tensor
    filled: Tensor

    def __init__(self, size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.size = size
        if size:
            self.register_buffer("past", torch.zeros(size, *shape))
            self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, images: Tensor, noise: Noise) -> Tensor:
        if not self.size:
            return images
        images = images.to(self.past.dtype)
        count, full = min(len(images), self.size), self.filled >= self.size
        in_turn = self.filled + torch.arange(count, device=self.filled.device)
        place = torch.where(full, noise.uniform(1, self.size).argsort()[0, :count], in_turn % self.size)
        exchanged = full & (noise.uniform(len(images))[:count] < 0.5)
        kept = exchanged | (in_turn < self.size)
        before = self.past[place]
        self.past[place] = torch.where(kept[:, None, None, None], images[:count], before)
        self.filled.copy_((self.filled + count).clamp(max=self.size))
        return torch.cat([torch.where(exchanged[:, None, None, None], before, images[:count]), images[count:]])
