"""Feature matching: what is generated shall look like the real thing to a network, layer by layer.

Salimans et al. 2016, "Improved Techniques for Training GANs" (arXiv 1606.03498), section 3.1; layer by layer and record by
record as in Wang et al. 2018, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs" (arXiv
1711.11585), eq. 4. The network may be the discriminator, or a frozen one that was trained for something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss


def feature_matching(
    made: Sequence[Tensor], wanted: Sequence[Tensor], distance: Callable[[Tensor, Tensor], Tensor] = l1_loss
) -> Tensor:
    """The mean over layers of distance(made, wanted), a scalar each; no gradient goes to `wanted`.

    made, wanted: features of as many layers, those of one layer in the same shape. Raises ValueError for another number.
    """
    return torch.stack([distance(own, other.detach()) for own, other in zip(made, wanted, strict=True)]).mean()


def relative_error(made: Tensor, wanted: Tensor) -> Tensor:
    """Squared error of features by their own size, so that levels, which differ in it, count alike."""
    return mse_loss(made, wanted) / wanted.square().mean()


def relative_difference(made: Tensor, wanted: Tensor) -> Tensor:
    """Absolute error of features by their own mean size."""
    return l1_loss(made, wanted) / wanted.abs().mean()
