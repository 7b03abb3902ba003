"""What a number carries, and that unlike numbers are not compared."""

from __future__ import annotations

import pytest

from ganvas.errors import GanvasError
from ganvas.metrics import Measure


def test_like_numbers_compare_and_unlike_ones_do_not() -> None:
    a, b = Measure(0.2, "kd/x/n=5/m=5/ref=heldout"), Measure(0.3, "kd/x/n=5/m=5/ref=heldout")
    assert a < b and b > a and a - b == pytest.approx(-0.1)
    assert sorted([b, a])[0] is a
    for unlike in (Measure(0.1, "kd/x/n=9/m=5/ref=heldout"), Measure(0.1, "kd/x/n=5/m=5/ref=train")):
        with pytest.raises(GanvasError, match="unlike protocols are not compared"):
            _ = a < unlike
        with pytest.raises(GanvasError, match="measure both in one way"):
            _ = a - unlike


def test_a_measure_is_told_with_its_protocol() -> None:
    assert str(Measure(0.25, "p", 0.2, 0.3)) == "0.25 [0.2, 0.3] (p)"
    assert str(Measure(0.25, "p")) == "0.25 (p)" and float(Measure(0.25, "p")) == 0.25
    assert Measure(1.0, "p", more={"n": 3}).to_dict() == {"value": 1.0, "protocol": "p", "n": 3}
    assert Measure(1.0, "p", 0.0, 2.0).to_dict() == {"value": 1.0, "protocol": "p", "low": 0.0, "high": 2.0}
