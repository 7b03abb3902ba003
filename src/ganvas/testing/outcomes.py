"""Checks with names, and what became of them. Not for what is checked: `systems`, `used`, `kinds`."""

from __future__ import annotations

import inspect
import time
import traceback
import unittest
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import GanvasError, MissingExtra

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


class CheckFailed(AssertionError):
    """Something that must hold does not: one line with what was found, what was expected, and where to mend it."""


class Skipped(unittest.SkipTest):
    """A check that has nothing to look at here, and why. pytest and unittest know it as a skipped test."""


class Check(NamedTuple):
    """A named check. run: takes nothing; raises CheckFailed, Skipped, or whatever the checked code runs into."""

    name: str
    run: Callable[[], None]

    @property
    def says(self) -> str:
        """What must hold, in plain words."""
        return " ".join((inspect.getdoc(getattr(self.run, "func", self.run)) or "").split())


@dataclass(frozen=True)
class Outcome:
    """What became of a check. result: `passed`, `failed` or `skipped`; line: why, if it did not pass."""

    name: str
    says: str
    result: str
    line: str = ""
    seconds: float = 0.0


def check_of(function: Callable[..., None], case: Any, on: str = "", *more: Any) -> Check:
    """A function that takes a case (and perhaps more) as a check of its name. on: what of the case, `points` or `score`."""
    return Check(function.__name__ + (f"[{on}]" if on else ""), partial(function, case, *more))


def expect(holds: Any, line: str) -> None:
    """Raise CheckFailed with that line unless it holds."""
    if not holds:
        raise CheckFailed(" ".join(line.split()))


def examine(
    checks: Iterable[Check], files: Iterable[Path] = (), began: Callable[[str], None] = lambda name: None
) -> list[Outcome]:
    """Run every check. files: of what is checked, so that a line can say where in them an exception was raised.

    began: called with the name of each before it runs.
    """
    own = {str(file.resolve()) for file in files}
    outcomes = []
    for check in checks:
        began(check.name)
        start = time.monotonic()
        result, line = _run(check, own)
        outcomes.append(Outcome(check.name, check.says, result, line, round(time.monotonic() - start, 3)))
    return outcomes


def _run(check: Check, own: set[str]) -> tuple[str, str]:
    try:
        check.run()
    except CheckFailed as error:
        return FAILED, str(error)
    except (unittest.SkipTest, MissingExtra) as error:
        return SKIPPED, str(error)
    except GanvasError as error:
        return FAILED, f"refused: {' '.join(str(error).split())}"
    except Exception as error:  # the code that is checked may raise whatever it runs into
        return FAILED, f"{_told(error)}{_place(error, own)}"
    return PASSED, ""


def _told(error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:300]}" if words else type(error).__name__


def _place(error: Exception, own: set[str]) -> str:
    """Where it was raised: the last line of the checked files that led there, else the last line of all."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if str(Path(frame.filename).resolve()) in own]
    frame = (theirs or list(frames))[-1]
    return f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"


def raised(outcomes: list[Outcome], of: str) -> list[Outcome]:
    """The outcomes, if none failed. Raises CheckFailed with the line of the first that did, and the names of the others."""
    failed = [outcome for outcome in outcomes if outcome.result == FAILED]
    if failed:
        others = f" (failed as well: {', '.join(outcome.name for outcome in failed[1:])})" if failed[1:] else ""
        raise CheckFailed(f"{of}: {failed[0].name}: {failed[0].line}{others}")
    return outcomes
