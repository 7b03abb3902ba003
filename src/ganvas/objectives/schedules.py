"""What changes while a game is played, as functions of the clock: factors on learning rates, and ends of phases.

They read the share of the budget that is used, so they mean the same whether a budget is seconds, samples or rounds. An open
budget has no end: its share stays 0. What one paper alone schedules stays in its system.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..game import Clock


def linear_decay(start: float = 0.0, end: float = 1.0) -> Callable[[Clock], float]:
    """A factor that is 1 until the share `start` of the budget, and then falls linearly to 0 at the share `end`.

    start, end: in [0, 1]; a start of 1 never falls before the end.
    """

    def factor(clock: Clock) -> float:
        return min(1.0, max(0.0, end - clock.progress) / max(end - start, 1e-9))

    return factor


def cosine_fall(left: float) -> Callable[[Clock], float]:
    """A factor that goes from 1 at the start of the budget to `left` at its end, by half a cosine (1: it stays 1)."""

    def factor(clock: Clock) -> float:
        return left + (1 - left) * (0.5 + 0.5 * math.cos(math.pi * clock.progress))

    return factor


def until_share(share: float) -> Callable[[Clock], bool]:
    """For `Phase.until`: whether the share of the budget, in [0, 1], is used."""
    return lambda clock: clock.progress >= share
