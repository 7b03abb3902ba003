"""The linear map that gives the colours of one heap of images to another, found while training, on any device, without waiting
for it; of images at hand `kinds.image.colours` finds the same.

Not for lighting that differs over a picture, nor for what a thing is: one matrix for all pixels of all images.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganvas.kinds.image.colours import LEAST

STEPS = 12  # of Denman and Beavers: matrices of so few channels are exact long before


class ColourMap(nn.Module):
    """Images (B, C, H, W) in [-1, 1] of the other of two classes -> the same with the colours of class `target`, 0 or 1.

    Of all linear maps that bring mean and covariance of the colours to those of the target, the one that moves them least
    (Pitie, Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping for example-based colour transfer", eq. 5); those
    of the two targets undo each other, but for what is cut off at black and white. `learn` gathers both over training.
    """

    images: Tensor
    mean: Tensor
    square: Tensor
    matrix: Tensor
    offset: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(2, channels))
        self.register_buffer("square", torch.eye(channels).repeat(2, 1, 1))
        self.register_buffer("matrix", torch.eye(channels).repeat(2, 1, 1))
        self.register_buffer("offset", torch.zeros(2, channels))

    @torch.no_grad()
    def learn(self, first: Tensor, second: Tensor) -> None:
        """Add as many images (B, C, H, W) of either class, and find the maps anew. Nothing is read back from the device."""
        with torch.autocast(first.device.type, enabled=False):
            self.images += len(first)
            share = len(first) / self.images
            for side, images in enumerate((first, second)):
                pixels = images.float().movedim(1, -1).flatten(0, -2)
                self.mean[side].lerp_(pixels.mean(0), share)
                self.square[side].lerp_(pixels.T @ pixels / len(pixels), share)
            mean = self.mean.double()
            least = LEAST * torch.eye(mean.shape[1], dtype=mean.dtype, device=mean.device)
            covariance = self.square.double() - mean[:, :, None] * mean[:, None] + least
            root, back = _roots(covariance.flip(0))  # of the source of each target
            matrix = back @ _roots(root @ covariance @ root)[0] @ back
            self.matrix.copy_(matrix)
            self.offset.copy_(mean - (matrix @ mean.flip(0)[:, :, None])[:, :, 0])

    def forward(self, images: Tensor, target: int) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            moved = torch.einsum("dc,bchw->bdhw", self.matrix[target], images.float()) + self.offset[target][:, None, None]
            return moved.clamp(-1, 1).to(images.dtype)


def _roots(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Positive matrices (N, C, C) -> their square roots, and the inverses of these (Denman, Beavers 1976)."""
    size = matrices.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    root, back = matrices / size, torch.eye(matrices.shape[1], dtype=matrices.dtype, device=matrices.device).expand_as(matrices)
    for _ in range(STEPS):
        root, back = (root + torch.linalg.inv_ex(back)[0]) / 2, (back + torch.linalg.inv_ex(root)[0]) / 2
    return root * size.sqrt(), back / size.sqrt()
