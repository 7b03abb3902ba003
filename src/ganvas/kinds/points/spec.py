"""What a data set of points is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PointsSpec:
    """Points in a few dimensions. `centre` and `scale` map file units to about [-1, 1]: (x - centre) / scale."""

    dimensions: int
    centre: tuple[float, ...] = ()
    scale: float = 1.0
    classes: tuple[str, ...] = ()
    kind: str = "points"

    @property
    def shape(self) -> tuple[int]:
        """(dimensions,)."""
        return (self.dimensions,)
