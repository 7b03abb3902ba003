"""What one cell holds: a number, nothing, or text; decimal commas and marks between thousands. Not for whole tables."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

MISSING = ("", "NA", "N/A", "n/a", "<NA>", "NaN", "nan", "NaT", "null", "Null", "NULL", "None", "-", "?")
"""What a cell without a value holds. `none` and `na` are words ("no beard"), except among numbers."""
MISSING_AMONG_NUMBERS = frozenset(word.lower() for word in MISSING)
NUMERAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
"""A number with a decimal comma."""
THOUSANDS = re.compile(
    r"[+-]?\d{1,3}((,\d{3})+(\.\d*)?|(\.\d{3})+,\d*|(\.\d{3}){2,}|(['’\u00a0\u202f ]\d{3})+([.,]\d*)?)", re.ASCII
)
"""A number with marks between thousands, in the ways of several countries."""
MARK_WITHIN = re.compile(r"\d[,.'’\u00a0\u202f ]\d{3}(?![\d])", re.ASCII)  # what a column with such numbers must hold
MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+", re.ASCII)


def is_missing(cell: str) -> bool:
    """Whether a cell, without blanks around it, holds no value."""
    return cell in MISSING


def number(cell: str) -> float | None:
    """The number in a cell, NaN and infinity included; None for anything else. `1_000` is no number, nor are other digits."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return None if "_" in cell or not cell.isascii() else value


def numbers(cells: Sequence[str], words: Mapping[str, float] | None = None) -> np.ndarray | None:
    """(N,) float64, NaN where a value is missing; None when a cell is no finite number (`bad_number` says which).

    words: what further words mean, in small letters.
    """
    try:
        values = np.array(cells, dtype=np.float64)
    except (ValueError, TypeError):
        pass
    else:
        if np.isfinite(values).all() and not any("_" in cell for cell in cells):
            return values
    words = words or {}
    found = np.empty(len(cells))
    for index, cell in enumerate(cells):
        value = number(cell)
        if value is None or math.isnan(value):
            low = cell.lower()
            value = math.nan if low in MISSING_AMONG_NUMBERS else words.get(low)
        if value is None or math.isinf(value):
            return None
        found[index] = value
    return found


def bad_number(cells: Sequence[str], words: Mapping[str, float] | None = None) -> int | None:
    """The place of the first cell that is neither a finite number nor missing."""
    return next((k for k, cell in enumerate(cells) if numbers([cell], words) is None), None)


def why_no_number(cell: str) -> str:
    """What is wrong with a cell that should hold a number, and what to do: `'open', not a number: ...`."""
    value = number(cell)
    if value is not None and math.isinf(value):
        return "infinity: leave the cell empty when a value is missing"
    if THOUSANDS.fullmatch(cell):
        return f"'{cell[:30]}', with marks between thousands: write numbers without them, with decimal points"
    if COMMA.fullmatch(cell):
        return f"'{cell[:30]}', with a decimal comma: write decimal points"
    return f"'{cell[:30]}', not a number: remove the column or write numbers"


def with_points(
    columns: Sequence[Sequence[str]], names: Sequence[str], where: Callable[[int], str], refuse: Callable[[str], Exception]
) -> tuple[list[Sequence[str]], list[str]]:
    """Columns with decimal points in place of decimal commas, and the names of the columns that had commas.

    A column has decimal commas when all its values are numbers then. where: the place of a row in the file, as text; refuse:
    the error to raise for numbers that may be read in two ways: marks between thousands, points beside commas.
    """
    found: list[Sequence[str]] = list(columns)
    changed: list[str] = []
    comma_at = point_at = ""
    for k, (name, cells) in enumerate(zip(names, columns, strict=True)):
        joined = "\n".join(cells)
        comma = "," in joined
        if not comma and not MARK_WITHIN.search(joined):
            continue
        there = {cell for cell in set(cells) if cell.lower() not in MISSING_AMONG_NUMBERS}
        odd = {cell for cell in there if number(cell) is None}
        if not odd or not all(COMMA.fullmatch(cell) or THOUSANDS.fullmatch(cell) for cell in odd):
            continue
        sure = next((cell for cell in cells if cell in odd and not COMMA.fullmatch(cell)), None)
        doubtful = sure or (None if not all(MAYBE_THOUSANDS.fullmatch(c) for c in odd) else next(c for c in cells if c in odd))
        if doubtful is not None:
            place = where(list(cells).index(doubtful))
            what = "has marks between thousands" if sure else "may have a mark between thousands, or a decimal comma"
            raise refuse(f"{place}: '{doubtful[:30]}' in column '{name}' {what}: write numbers without marks, as 1234.5")
        first = next(i for i, cell in enumerate(cells) if cell in odd)
        comma_at = comma_at or f"'{cells[first]}' in {where(first)}"
        found[k] = [cell.replace(",", ".") if cell in odd else cell for cell in cells]
        changed.append(name)
        pointed = next((i for i, cell in enumerate(cells) if "." in cell and cell not in odd and cell in there), None)
        point_at = point_at or ("" if pointed is None else f"'{cells[pointed]}' in {where(pointed)}")
    if changed and not point_at:
        point_at = _pointed(columns, [k for k, name in enumerate(names) if name not in changed], where)
    if changed and point_at:
        raise refuse(f"{comma_at} has a decimal comma, {point_at} a decimal point: write decimal points in all numbers")
    return found, changed


def _pointed(columns: Sequence[Sequence[str]], places: list[int], where: Callable[[int], str]) -> str:
    """The first number with a decimal point in a column of numbers."""
    for k in places:
        there: Any = {cell for cell in columns[k] if cell.lower() not in MISSING_AMONG_NUMBERS}
        if any("." in cell for cell in there) and all(number(cell) is not None for cell in there):
            first = next(i for i, cell in enumerate(columns[k]) if "." in cell)
            return f"'{columns[k][first]}' in {where(first)}"
    return ""
