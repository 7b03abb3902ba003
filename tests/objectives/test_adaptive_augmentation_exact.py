"""The sums that stand in for `grid_sample` on a GPU, where its gradients are added up in any order."""

from __future__ import annotations

import torch
from torch.nn.functional import grid_sample

from ganvas.objectives.adaptive_augmentation import sampled


def test_they_are_grid_sample_and_its_gradients() -> None:
    torch.manual_seed(0)
    images = torch.randn(3, 2, 7, 9, dtype=torch.float64, requires_grad=True)
    grid = 1.7 * torch.randn(3, 6, 5, 2, dtype=torch.float64)  # most of it beyond the borders, where images are mirrored
    given = grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    torch.testing.assert_close(sampled(images, grid), given)
    (wanted,) = torch.autograd.grad(given.square().sum(), images)
    (found,) = torch.autograd.grad(sampled(images, grid).square().sum(), images)
    torch.testing.assert_close(found, wanted)
