"""How far samples come after how much training: what was measured of each system, and what that means for a run to begin.

The table is `systems/stages.json`; `benchmarks/stages.py` measures its rows and takes those that only a proof has measured from
the proof's results. What was not measured is said not to be. Not a promise: other data learns faster or more slowly.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .budget import Budget, describe_seconds

TABLE = Path(__file__).parents[1] / "systems" / "stages.json"
STAGES = ("outlines", "recognisable", "good")  # the earliest first
PROOF = "proof"  # in the place of stages, where a system was measured by its proof alone
SAID = {
    "outlines": "outlines",
    "recognisable": "recognisable samples",
    "good": "good samples",
    PROOF: "what its proof asks for",
}


@dataclass(frozen=True)
class Row:
    """What was measured of one system.

    system, kind: of the data it was measured on, which `data` names. seen: samples (records drawn) that it was followed for;
    seconds: of the processor that these took. reached: stage -> (samples, seconds) until it was reached; a stage that is not in
    it was not reached, or not asked about (`asked`). source: where the figures come from.
    """

    system: str
    kind: str
    data: str
    seen: int
    seconds: float
    reached: dict[str, tuple[int, float]]
    asked: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Goal:
    """What a run is to reach. samples: expected in its budget, None where that is not known. seconds_to: trained seconds until
    so many samples, None where that is not known."""

    samples: int | None
    budget: Budget
    seconds_to: Callable[[int], float | None]


@cache
def rows() -> tuple[Row, ...]:
    """Every row of the table."""
    values = json.loads(TABLE.read_text(encoding="utf-8"))
    return tuple(
        Row(
            row["system"], row["kind"], row["data"], int(row["seen"]), float(row["seconds"]),
            {stage: (int(found["samples"]), float(found["seconds"])) for stage, found in row["reached"].items()},
            tuple(row["asked"]), row["source"],
        )
        for row in values["rows"]
    )  # fmt: skip


def rows_of(system: str, kind: str) -> list[Row]:
    """What was measured of a system on data of a kind."""
    return [row for row in rows() if row.system == system and row.kind == kind]


def outlook(card: Any, spec: Any, goal: Goal) -> str:
    """One line: what to expect of a run, and what to do instead where that is nothing.

    card: of the system (`registry.Card`). spec: of the records that it makes.
    """
    known = rows_of(card.name, spec.kind)
    if not known:
        return f"expect: how far {card.name} comes on {spec.kind} data was not measured"
    row = max(known, key=lambda own: (PROOF not in own.asked, own.seen))
    came = f"on {row.data} {row.system} came {_came(row, goal)}"
    if unknown := [stage for stage in STAGES if stage not in row.asked]:
        came += f" ({', '.join(unknown)}: not measured)"
    if goal.samples is None:
        return f"expect: {came}"
    there = [stage for stage in row.asked if stage in row.reached and row.reached[stage][0] <= goal.samples]
    if there:
        return f"expect {SAID[there[-1]]}: {came}"
    sees = f"this budget sees about {_digits(goal.samples):,}"
    if PROOF in row.asked:
        return f"expect: {came}, and {sees}"
    less = "no more than blurs" if row.asked[0] == STAGES[0] else f"less than {SAID[row.asked[0]]}"
    return f"expect {less}: {came}, and {sees}; {_instead(card, row, goal)}"


def _came(row: Row, goal: Goal) -> str:
    """To which stages, and how long that takes here."""
    words = {**{stage: stage for stage in STAGES}, PROOF: "the mark of its proof"}
    parts = []
    for stage in row.asked:
        if stage in row.reached:
            samples = row.reached[stage][0]
            here = goal.seconds_to(samples)
            took = "" if here is None else f" ({describe_seconds(here)} here)"
            parts.append(f"{words[stage]} after {_digits(samples):,} samples{took}")
    missed = [stage for stage in row.asked if stage not in row.reached]
    if missed and not parts:
        return f"not to {words[missed[0]]} within {_digits(row.seen):,} samples"
    return f"to {', '.join([*parts, *(f'{words[own]} not within {_digits(row.seen):,}' for own in missed[:1])])}"


def _digits(count: float) -> int:
    """To two digits: more would be pretended."""
    return int(float(f"{count:.2g}"))


def _instead(card: Any, row: Row, goal: Goal) -> str:
    """A budget that would do, and another system that would do with this one."""
    ways = []
    if row.asked[0] in row.reached:
        samples = row.reached[row.asked[0]][0]
        seconds = goal.seconds_to(samples) if goal.budget.seconds else None
        ways.append(f"--budget {_budget(seconds) if seconds else f'{-(-samples // 1000)}k'} or more")
    else:
        ways.append("a budget that is many times as large")
    other = _other(card, row, goal)
    if other is not None:
        ways.append(f"{other[0]} ({other[1]} after {other[2]} here)" if goal.budget.seconds else f"{other[0]} ({other[1]})")
    return f"take {', or '.join(ways)}"


def _other(card: Any, row: Row, goal: Goal) -> tuple[str, str, str] | None:
    """(name, stage, time) of the system for the same task that comes farthest within the budget; None where none does.

    Machines and data differ from those that were measured as much for the other as for this one.
    """
    from ..registry import find

    here = goal.seconds_to(row.seen)
    slower = 1.0 if here is None or row.seconds <= 0 else here / row.seconds
    found = []
    for own in rows():
        if own.kind != row.kind or own.system == row.system or find(own.system).task != card.task:
            continue
        for place, stage in enumerate(STAGES):
            if stage in own.reached:
                samples, seconds = own.reached[stage]
                fits = slower * seconds <= goal.budget.seconds if goal.budget.seconds else samples <= (goal.samples or 0)
                if fits:
                    found.append((place, -seconds, own.system, stage, describe_seconds(slower * seconds)))
    return max(found)[2:] if found else None


def _budget(seconds: float) -> str:
    """As --budget takes it, rounded up."""
    return f"{-(-int(seconds) // 60)}m" if seconds < 3600 else f"{-(-int(seconds) // 3600)}h"
