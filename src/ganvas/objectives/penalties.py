"""Gradient penalties: pure functions of a critic and points in its input space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from .second_order import slopes


def interpolation_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """E (||grad critic(x^)||_2 - 1)^2 at x^ = x + share (G(z) - x). Gulrajani et al. 2017, eq. 3.

    real, fake: (B, ...). share: (B,) uniform, one number a record. The norm runs over all values of a record. Without autocast,
    whatever the precision of the game.
    """
    with torch.autocast(real.device.type, enabled=False):
        real, fake = real.detach(), fake.detach().to(real.dtype)
        share = share.to(real.dtype).view(-1, *([1] * (real.dim() - 1)))
        points = (real + share * (fake - real)).requires_grad_()
        gradient = slopes(critic(points), points)
        # The small constant keeps the derivative of the root finite where the gradient is exactly zero.
        norm = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()
        return (norm - 1).square().mean()


def zero_centred_penalty(samples: Tensor, logits: Tensor) -> Tensor:
    """E ||grad_x D(x)||_2^2: R1 where samples are real, R2 where they are generated. Mescheder et al. 2018 (arXiv 1801.04406),
    eq. 9 and 10, without gamma / 2.

    samples: (B, ...) with `requires_grad`, detached from what made them. logits = D(samples), computed from them. Unlike its
    neighbour it gets what D said, so full precision is the caller's business (`torch.autocast(..., enabled=False)`).
    """
    return squared_slopes(samples, logits).mean()


def held_down(gammas: Mapping[str, float], seen: Iterable[Tensor], said: Iterable[Tensor]) -> dict[str, Tensor]:
    """Terms gamma / 2 E ||grad_x D(x)||^2, by the names in `gammas` (R1 of real samples, R2 of made ones), but for gammas of 0.

    seen: samples (B, ...) with `requires_grad` for each name, in its order. said: what D said of them, (B,) each.
    """
    each = zip(gammas.items(), seen, said, strict=True)
    return {name: 0.5 * gamma * zero_centred_penalty(own, logits) for (name, gamma), own, logits in each if gamma}


def squared_slopes(samples: Tensor, logits: Tensor) -> Tensor:
    """(B,): ||grad_x D(x)||_2^2 of each record, for real and generated ones in one pass. Arguments as its neighbour's."""
    gradient = slopes(logits, samples)
    return gradient.square().sum(tuple(range(1, gradient.dim())))


def with_range_for_slopes(samples: Tensor) -> torch.autocast:
    """A context in which slopes of slopes can be taken: autocast as it is, and off where it is float16, which has not the
    range that bfloat16 has."""
    place = samples.device.type
    kind = torch.get_autocast_dtype(place)
    return torch.autocast(place, kind, enabled=torch.is_autocast_enabled(place) and kind is torch.bfloat16)
