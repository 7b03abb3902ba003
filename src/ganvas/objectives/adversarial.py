"""Adversarial losses as pure functions of logits; each returns a scalar, the mean over the batch.

Logits are raw outputs (no sigmoid): softplus keeps log D and log(1 - D) exact where a sigmoid would saturate.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def real_is_real(logits: Tensor) -> Tensor:
    """-log D(x), D = sigmoid(logits). Goodfellow et al. 2014, eq. 1, first term."""
    return softplus(-logits).mean()


def fake_is_fake(logits: Tensor) -> Tensor:
    """-log(1 - D(G(z))). Goodfellow et al. 2014, eq. 1, second term."""
    return softplus(logits).mean()


def non_saturating(logits: Tensor) -> Tensor:
    """-log D(G(z)): the generator's practical loss of Goodfellow et al. 2014, section 3."""
    return softplus(-logits).mean()


def minimax(logits: Tensor) -> Tensor:
    """log(1 - D(G(z))): the generator's side of the minimax value; saturates when D is sure."""
    return -softplus(logits).mean()


def least_squares(logits: Tensor, target: float) -> Tensor:
    """1/2 (D - target)^2. Mao et al. 2017, eq. 2."""
    return 0.5 * (logits - target).square().mean()
