"""Where summed chances pass a number: how one of many things is drawn by its share. Not for drawing the number."""

from __future__ import annotations

import torch
from torch import Tensor


def passing(summed: Tensor, numbers: Tensor, right: bool = True) -> Tensor:
    """`torch.searchsorted` of rising numbers (K,) or (N, K), for numbers of which the last axis may be any: the same shape,
    int64. right: how many are at most as large, else how many are less.

    ONNX has no such operator: a graph compares all and counts, to the same result, which takes K steps in the place of log K.
    """
    if not torch.compiler.is_exporting():
        return torch.searchsorted(summed, numbers, right=right)
    return counted(summed, numbers, right)


def counted(summed: Tensor, numbers: Tensor, right: bool = True) -> Tensor:
    """The same by comparing all."""
    row, wanted = summed[..., None, :], numbers[..., None]
    return (row <= wanted if right else row < wanted).sum(-1)
