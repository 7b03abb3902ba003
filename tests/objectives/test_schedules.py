"""Schedules: where they begin, where they end, and what an open budget and an overrun one make of them."""

from __future__ import annotations

import pytest

from ganvas.game import Clock
from ganvas.objectives.schedules import cosine_fall, linear_decay, until_share

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    ("start", "factors"),
    [(0.0, [1, 0.75, 0.5, 0.25, 0]), (0.5, [1, 1, 1, 0.5, 0]), (0.75, [1, 1, 1, 1, 0]), (1.0, [1, 1, 1, 1, 0])],
)
def test_rates_are_constant_and_then_fall_linearly_to_nothing(start: float, factors: list[float]) -> None:
    factor = linear_decay(start)
    assert [factor(Clock(progress=share)) for share in SHARES] == pytest.approx(factors)
    assert factor(Clock(progress=1.2)) == 0.0, "a run may overrun its budget by a round, and never climbs back up the slope"
    assert factor(Clock(round=10**9, samples=10**9)) == 1.0, "an open budget has no end"


def test_rates_fall_by_half_a_cosine_to_what_is_left() -> None:
    factor = cosine_fall(0.2)
    assert [factor(Clock(progress=share)) for share in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.6, 0.2])
    assert factor(Clock(progress=0.1)) > 0.95, "flat at first"
    assert factor(Clock(round=10**9)) == 1.0, "an open budget has no end"
    assert cosine_fall(1.0)(Clock(progress=0.7)) == 1.0


def test_a_phase_ends_once_its_share_is_used() -> None:
    assert [until_share(0.5)(Clock(progress=share)) for share in SHARES] == [False, False, True, True, True]
    assert not until_share(1.0)(Clock(progress=0.999))
