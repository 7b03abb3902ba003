"""Whether a number may be called better: what nobody would take for real must not come out as well as real records do.

Precision of a collapsed set, for one, is 1 wherever its one record is near a real one. Not for computing anchors (`judge`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .table import HIGHER, LOWER, ROWS, ZERO

WORTHLESS = ("untrained", "noise")
"""Anchors that every useful number puts behind `real`."""


def misleading(result: Mapping[str, Any]) -> dict[str, str]:
    """Metric -> the worthless anchor that it finds no worse than real records: here it does not tell good from bad."""
    anchors = result.get("anchors", {})
    found = {}
    for key, (_, better) in ROWS.items():
        real = badness(anchors.get("real"), key, better)
        for name in WORTHLESS:
            other = badness(anchors.get(name), key, better)
            if key in result and real is not None and other is not None and other <= real:
                found[key] = name
                break
    return found


def badness(side: Mapping[str, Any] | None, key: str, better: str) -> float | None:
    """The value, turned so that less is better; None where there is none, or where neither way is better."""
    value = (side or {}).get(key, {}).get("value")
    if value is None or better not in (LOWER, HIGHER, ZERO):
        return None
    return float({LOWER: value, HIGHER: -value, ZERO: abs(value)}[better])
