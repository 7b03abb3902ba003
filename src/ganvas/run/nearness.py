"""How near systems came to held-out records in equal time: what was measured, and which of some systems it speaks for.

The table is `systems/nearness.json`, made by `benchmarks/equal_time.py`. It compares systems for one kind of data on several
sets; how far a single system comes after how much training is `stages`. Not a promise: other data may prefer another system.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OTHER_CHANNELS = 2.0  # halvings of the number of records that grey for colour, or colour for grey, counts for
TABLE = Path(__file__).parents[1] / "systems" / "nearness.json"


@dataclass(frozen=True)
class Near:
    """One system on one set.

    kind, channels, records (those learnt from): of the set that `data` names. seconds: of one core that all systems had on it.
    distances: kernel distances to its held-out part by each extractor, means over seeds.
    """

    system: str
    kind: str
    data: str
    channels: int
    records: int
    seconds: float
    distances: tuple[float, ...]


@cache
def rows() -> tuple[Near, ...]:
    """Every row of the table."""
    values = json.loads(TABLE.read_text(encoding="utf-8"))
    return tuple(
        Near(row["system"], row["kind"], row["data"], row["channels"], row["records"], row["seconds"], tuple(row["distances"]))
        for row in values["rows"]
    )


@dataclass(frozen=True)
class Likeness:
    """What is known of the data: how many records, and their channels, None where that is not known."""

    records: int
    channels: int | None

    def distance(self, row: Near) -> float:
        """How unlike a set is, in halvings of the number of records."""
        return abs(math.log2(max(1, self.records) / row.records)) + OTHER_CHANNELS * (self.channels not in (None, row.channels))


def compared(systems: Collection[str], kind: str, seconds: float) -> bool:
    """Whether the table has two of some systems on a kind of data within so many seconds."""
    return len({row.system for row in rows() if row.system in systems and row.kind == kind and row.seconds <= seconds}) > 1


def nearest(systems: Collection[str], kind: str, like: Likeness, seconds: float) -> tuple[str, Near] | None:
    """(the system that came nearest on the set most like the data, its row), None where no two of them were compared.

    Of the times that were measured the longest within `seconds` in which two were compared counts; by the mean of log distances
    over extractors. How many records there are weighs more than colour: with few, what D knows by heart decides.
    """
    able = [row for row in rows() if row.system in systems and row.kind == kind and row.seconds <= seconds]
    for time in sorted({row.seconds for row in able}, reverse=True):
        of = [row for row in able if row.seconds == time]
        beside = [row for row in of if sum(other.data == row.data for other in of) > 1]
        if beside:
            data = min(beside, key=like.distance).data
            best = min((row for row in beside if row.data == data), key=_log_mean)
            return best.system, best
    return None


def _log_mean(row: Near) -> float:
    return statistics.fmean(math.log(distance) for distance in row.distances)
