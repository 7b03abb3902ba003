"""A network that the game uses and nobody trains, such as a feature extractor: frozen, and no part of what is saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class Frozen(nn.Module):
    """Calls `network`, whose weights come from elsewhere and never change.

    It is in none of state_dict, parameters, buffers and modules of the system: checkpoints stay small, `train()` does not reach
    it, no player can own it. It follows `.to(device)`. Gradients pass through it to its input. Whoever builds the system
    builds the same network again, so a system that holds one must name where the weights come from.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        network.eval().requires_grad_(False)
        self._held = (network,)  # in a tuple, so that it is not registered

    @property
    def network(self) -> nn.Module:
        """The network itself."""
        return self._held[0]

    def forward(self, *values: Tensor) -> Any:
        return self.network(*values)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Frozen:
        self.network._apply(fn, recurse)
        return self
