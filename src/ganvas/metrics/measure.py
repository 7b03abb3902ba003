"""What a metric returns: a number that never travels without its protocol. Not for computing anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ganvas.errors import GanvasError


@dataclass(frozen=True)
class Measure:
    """A measured number.

    value: the number. protocol: how it was measured: metric, features, set sizes and reference; numbers of unlike
    protocols are not compared. low, high: its 95 % interval, None where none was asked for or none is known.
    more: further figures that belong to it (plain numbers, strings and lists).
    """

    value: float
    protocol: str
    low: float | None = None
    high: float | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def __float__(self) -> float:
        return self.value

    def __sub__(self, other: Measure) -> float:
        """The difference of two values. Raises GanvasError when they were measured in different ways."""
        return self.value - self._like(other).value

    def __lt__(self, other: Measure) -> bool:
        """Whether this value is the smaller. Raises GanvasError when they were measured in different ways."""
        return self.value < self._like(other).value

    def _like(self, other: Measure) -> Measure:
        if self.protocol != other.protocol:
            raise GanvasError(
                f"numbers of unlike protocols are not compared: {self.protocol} and {other.protocol}; measure both in one way"
            )
        return other

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.5g}, {self.high:.5g}]"
        return f"{self.value:.5g}{interval} ({self.protocol})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: value, protocol, low and high where there is an interval, then `more`."""
        interval = {} if self.low is None else {"low": self.low, "high": self.high}
        return {"value": self.value, "protocol": self.protocol, **interval, **self.more}
