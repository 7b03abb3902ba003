"""Adam whose fused step takes weights as they lie in memory. Not for other devices than the CPU, where nothing is changed.

torch's fused step on the CPU goes through memory from front to back. Where all four tensors of a weight (itself, its
gradient, the two means) have their channels last, it first copies the gradient there and back, which takes twice as long as the
step; where they lie differently, it pairs numbers that do not belong together and says nothing. Here each is turned, without a
copy, so that memory is in order, and what lies differently from its weight is laid like it before.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

MEANS = ("exp_avg", "exp_avg_sq")


def _alike(first: Tensor, second: Tensor) -> bool:
    return first.stride() == second.stride() or (first.is_contiguous() and second.is_contiguous())


class _AsTheyLie:
    """Over an optimiser of torch that gathers weights, gradients and two means for its step."""

    state: Any

    def _init_group(self, group: Any, weights: list[Tensor], gradients: list[Tensor], *lists: list[Tensor]) -> Any:
        found = super()._init_group(group, weights, gradients, *lists)  # type: ignore[misc]
        if not group["fused"]:
            return found
        for place, weight in enumerate(weights):
            if weight.device.type != "cpu":
                continue
            if not _alike(weight, gradients[place]):
                gradients[place] = torch.empty_like(weight).copy_(gradients[place])
            for name, means in zip(MEANS, lists[:2], strict=True):
                if not _alike(weight, means[place]):
                    means[place] = self.state[weight][name] = torch.empty_like(weight).copy_(means[place])
            if weight.is_contiguous():
                continue
            order = sorted(range(weight.dim()), key=weight.stride, reverse=True)
            for tensors in (weights, gradients, *lists[:2]):
                tensors[place] = tensors[place].permute(order)
        return found


class Adam(_AsTheyLie, torch.optim.Adam):
    """`torch.optim.Adam`, to the bit what its step gives that is not fused in this way."""


class AdamW(_AsTheyLie, torch.optim.AdamW):
    """`torch.optim.AdamW`, likewise."""
