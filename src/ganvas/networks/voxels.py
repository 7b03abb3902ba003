"""Solids to codes and back: the autoencoder of `latent-gan-3d`. Not for the networks of 3D-GAN, which stand in its file.

Blocks of patch^3 voxels are read and drawn at once by one linear map, because most of the time of a convolution over whole
cubes goes into layers of few channels. A stage halves, or doubles, what is left, down to 4^3.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn

BOTTOM = 4  # places along a side of the smallest map


def stages_of(side: int, patch: int) -> int:
    """How many times the side of a map is halved: side = BOTTOM * patch * 2^stages."""
    return (side // (patch * BOTTOM)).bit_length() - 1


def folded(voxels: Tensor, patch: int) -> Tensor:
    """(B, 1, S, S, S) -> (B, patch^3, S/patch, S/patch, S/patch): each block of voxels as the channels of one place."""
    count, small = voxels.shape[0], voxels.shape[-1] // patch
    blocks = voxels.view(count, small, patch, small, patch, small, patch)
    return blocks.permute(0, 2, 4, 6, 1, 3, 5).reshape(count, patch**3, small, small, small)


def unfolded(maps: Tensor, patch: int) -> Tensor:
    """The inverse of `folded`."""
    count, small = maps.shape[0], maps.shape[-1]
    blocks = maps.view(count, patch, patch, patch, small, small, small)
    return blocks.permute(0, 4, 1, 5, 2, 6, 3).reshape(count, 1, *(small * patch,) * 3)


def without_crumbs(solids: Tensor, share: float) -> Tensor:
    """Occupancies (B, 1, S, S, S) in which crumbs are emptied: parts of fewer voxels than `share` of all that are inside.

    Inside is what is above one half; voxels that share a face are of one part. The largest part of a solid always stays.
    """
    from scipy.ndimage import label

    inside = (solids.detach() > 0.5).cpu().numpy()
    kept = np.ones_like(inside)
    for solid, stays in zip(inside[:, 0], kept[:, 0], strict=True):
        parts, count = label(solid)
        if count > 1:
            sizes = np.bincount(parts.reshape(-1))[1:]
            crumbs = 1 + np.flatnonzero((sizes < share * sizes.sum()) & (np.arange(count) != sizes.argmax()))
            stays[np.isin(parts, crumbs)] = False
    return solids.where(torch.from_numpy(kept).to(solids.device), solids.new_zeros(()))


class VoxelEncoder(nn.Module):
    """Occupancies (B, 1, side, side, side) -> codes (B, code), of mean 0 and variance 1 in each number.

    The last BatchNorm has no weights: codes of one scale are what a critic with one penalty can tell apart, and before there
    is a generator, normal numbers are codes already.
    """

    def __init__(self, side: int, code: int, width: int, patch: int) -> None:
        super().__init__()
        stages = stages_of(side, patch)
        self.patch = patch
        widths = [width * 2**k for k in range(stages + 1)]
        layers: list[nn.Module] = [nn.Conv3d(patch**3, width, 1)]
        for before, after in itertools.pairwise(widths):
            layers += [nn.BatchNorm3d(before), nn.LeakyReLU(0.1, inplace=True), nn.Conv3d(before, after, 4, 2, 1)]
        layers += [nn.BatchNorm3d(widths[-1]), nn.LeakyReLU(0.1, inplace=True), nn.Flatten()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1] * BOTTOM**3, code), nn.BatchNorm1d(code, affine=False))

    def forward(self, solids: Tensor) -> Tensor:
        codes: Tensor = self.layers(folded(solids, self.patch))
        return codes


class VoxelDecoder(nn.Module):
    """Codes (B, code) -> logits of occupancy (B, 1, side, side, side), no sigmoid."""

    def __init__(self, side: int, code: int, width: int, patch: int) -> None:
        super().__init__()
        stages = stages_of(side, patch)
        self.patch = patch
        widths = [width * 2**k for k in range(stages, -1, -1)]
        layers: list[nn.Module] = [nn.Linear(code, widths[0] * BOTTOM**3), nn.Unflatten(1, (widths[0], *(BOTTOM,) * 3))]
        for before, after in itertools.pairwise(widths):
            layers += [nn.BatchNorm3d(before), nn.ReLU(inplace=True), nn.ConvTranspose3d(before, after, 4, 2, 1)]
        layers += [nn.BatchNorm3d(widths[-1]), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv3d(widths[-1], patch**3, 1))

    def forward(self, codes: Tensor) -> Tensor:
        return unfolded(self.layers(codes), self.patch)
