"""Latents that make what is wanted, found by gradient descent: for projection, and for scores of what cannot be redrawn.

The networks stay as they are: gradients are taken with respect to the latents alone. What is searched for and how far off a
latent is (the loss) are the system's business.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..borders import no_graph
from ..optim.idle import leave_compiler_idle


def search(
    start: Tensor,
    loss: Callable[[Tensor, float], Tensor],
    steps: int,
    rate: float | Callable[[float], float],
    within: float | None = None,
) -> Tensor:
    """Latents shaped as `start` (B, ...), after `steps` steps of Adam; without gradient, and `start` is left as it was.

    loss: (latents, share of the steps already made, 0 <= share < 1) -> (B,), how far off each record is. The sum over records
    is what goes down, so no record's steps depend on its neighbours. rate: the learning rate, or a function of that share.
    within: each number stays between minus this and this.
    """
    no_graph("it searches for latents by gradient descent")
    leave_compiler_idle()
    found = start.detach().clone()
    descent = torch.optim.Adam([found])
    for step in range(steps):
        share = step / steps
        descent.param_groups[0]["lr"] = rate(share) if callable(rate) else rate
        with torch.enable_grad():
            point = found.detach().requires_grad_()
            (found.grad,) = torch.autograd.grad(loss(point, share).sum(), point)
        descent.step()
        if within is not None:
            found.clamp_(-within, within)
    found.grad = None
    return found


def pyramid_error(images: Tensor, others: Tensor) -> Tensor:
    """(B,): for images (B, C, H, W), the mean squared differences at full, half, quarter ... size down to 4 pixels, added up.

    Coarse sizes lead a search on where fine ones are flat.
    """
    gap = images - others
    total = torch.zeros(len(gap), dtype=gap.dtype, device=gap.device)
    while min(gap.shape[2:]) >= 4:
        total = total + gap.square().mean((1, 2, 3))
        gap = avg_pool2d(gap, 2)
    return total
