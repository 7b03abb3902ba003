"""What a preset may look at, and how it finds out what a budget pays for.

A system's `PRESETS` maps names to settings, or to a function from a Situation to settings. Which widths pay off after how many
records is written in the system's own file, where it was measured; only the sums are here. Free of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

HOUR = 3600.0


@dataclass(frozen=True)
class Situation:
    """What a preset is told.

    spec: of the data, or a mapping of them by field. records: in the training part. seconds: of the budget, None when it is not
    a time. speed: convolution speed of the device in GFLOP/s, measured when the run starts; 0 for kinds of data whose systems
    do not convolve. device: `cpu`, `cuda` or `mps`. shown: how many records the budget shows, where it says that instead of a
    time.
    """

    spec: Any
    records: int
    seconds: float | None
    speed: float
    device: str
    shown: float | None = None

    def pays_for(self, work: float, share: float = 0.5) -> float:
        """How many units of `work` GFLOP the budget pays for; an hour, where it says neither a time nor how many records.

        share: of the measured speed that a system reaches in its rounds.
        """
        if self.seconds is None and self.shown is not None:
            return self.shown
        return share * self.speed * (HOUR if self.seconds is None else self.seconds) / work


def widest(situation: Situation, wanted: Mapping[int, float], work: Callable[[int], float], share: float = 0.5) -> int:
    """The largest width of `wanted` (width -> units it takes to pay off) for which the budget pays; the smallest is always
    paid for. work: GFLOP of a unit (an image, a round) at a width."""
    paid = [width for width, units in wanted.items() if situation.pays_for(work(width), share) >= units]
    return max([min(wanted), *paid])
