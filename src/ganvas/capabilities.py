"""What a trained system can do, as protocols: command line, metrics and studio ask `isinstance(system, Samples)`.

A capability is never a base class. Protocols are added here when the first system offers them.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from .batches import Noise


@runtime_checkable
class Samples(Protocol):
    """Makes new records from noise."""

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """(count, *spec.shape) records in the game's units ([-1, 1] for images), from the best copy of the generator.

        labels: (count,) int64 class indices where the system is conditional; None draws them. Called in evaluation mode
        without gradients; must leave no trace.
        """
        ...
