"""What a data set of series is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SeriesSpec:
    """Windows of several quantities measured together. length: steps of a window. names: of the quantities.

    centre, scale: for each quantity, (x - centre) / scale is about [-1, 1]. step: seconds between rows, where it is known.
    """

    length: int
    names: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    step: float | None = None
    classes: tuple[str, ...] = ()
    kind: str = "series"

    @property
    def shape(self) -> tuple[int, int]:
        """(length, quantities)."""
        return (self.length, len(self.names))

    @property
    def size(self) -> str:
        """What `--size` would have to be."""
        return str(self.length)
