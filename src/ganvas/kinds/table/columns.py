"""What the columns of a table are, and their cells as numbers. Not for reading files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import DataError
from ...store.cells import MISSING, MISSING_AMONG_NUMBERS, NUMERAL
from ...store.listing import natural, some
from .spec import BINARY, CLASS, DATE, NUMBER, TableSpec

FEW = 8  # different whole numbers up to which a column counts as classes
MOST_CATEGORIES = 200
MOST_DECIMALS = 6
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
OTHER_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b")
ID_NAME = re.compile(r"(.*[_\s.-])?(id|ids|uuid|guid|key|record|mrn|ssn)|.*[a-z]I[Dd]", re.IGNORECASE)
LONGEST_WORD = 40  # letters of a value; more are a sentence
FEWEST_IDS = 20  # different cells from which a column that never repeats may be one of ids


@dataclass
class Typed:
    """A column: its type, the texts of its values by index, its records (N,) float32 with NaN where a value is missing, and
    decimals of its numbers."""

    type: str
    categories: tuple[str, ...]
    values: np.ndarray
    decimals: int = -1


def typed(name: str, cells: list[str], source: object) -> Typed:
    """What a column is, by its cells. Raises DataError for texts that are neither numbers nor few enough for classes."""
    there = [cell for cell in cells if cell not in MISSING]
    if not there:
        raise DataError(f"{source}: column '{name}' is empty: remove it")
    counts = Counter(there)
    if all(ISO_DATE.fullmatch(cell) for cell in counts):
        return Typed(NUMBER, (), _days(name, cells, source), DATE)
    numerals = all(NUMERAL.fullmatch(cell) for cell in counts)
    if not numerals and (words := [cell for cell in counts if cell.lower() in MISSING_AMONG_NUMBERS]):
        others = [cell for cell in counts if cell not in words]
        if others and all(NUMERAL.fullmatch(cell) for cell in others):  # `none` among numbers
            cells = ["" if cell in words else cell for cell in cells]
            there = [cell for cell in cells if cell not in MISSING]
            counts, numerals = Counter(there), True
    distinct = {float(cell) for cell in counts} if numerals else set()
    whole = bool(distinct) and all(v.is_integer() for v in distinct)
    if numerals and not (whole and len(distinct) <= FEW and len(there) > 2 * len(distinct)):
        values = np.array([np.nan if cell in MISSING else float(cell) for cell in cells])
        with np.errstate(over="ignore"):
            single = values.astype(np.float32)
        if np.isinf(single).any():
            raise DataError(
                f"{source}: column '{name}' has a number beyond the range of float32: remove it or rescale the column"
            )
        return Typed(NUMBER, (), single, _decimals(counts))
    if numerals:  # 1 and 1.0 are the same class
        cells = [cell if cell in MISSING else f"{float(cell):.0f}" for cell in cells]
        counts = Counter(cell for cell in cells if cell not in MISSING)
    if len(counts) > MOST_CATEGORIES or (len(counts) > 20 and len(counts) > len(there) / 2):
        odd = next((cell for cell in counts if not NUMERAL.fullmatch(cell)), "")
        if OTHER_DATE.match(odd):
            raise DataError(
                f"{source}: column '{name}' seems to hold dates (as '{odd[:30]}'): write them as 2024-03-31, without an hour"
            )
        raise DataError(
            f"{source}: column '{name}' has {len(counts)} different texts (as '{odd[:30]}'): neither numbers nor classes "
            f"(at most {MOST_CATEGORIES}): remove the column or group its values"
        )
    categories = tuple(sorted(counts, key=natural))
    index = {category: float(k) for k, category in enumerate(categories)}
    values = np.array([index.get(cell, np.nan) for cell in cells], np.float32)
    return Typed(BINARY if len(categories) == 2 else CLASS, categories, values)


def is_table(columns: dict[str, list[str]], beside: tuple[str, ...]) -> bool:
    """Whether columns are surely rows of a table, and neither points, series in time nor texts: three or more beside those that
    tell of a row, none a time, and one of them words that come again or two of them few whole numbers."""
    own = {name: cells for name, cells in columns.items() if name.lower() not in beside}
    if len(own) < 3 or any(word in name.lower() for name in own for word in ("time", "second", "step")):
        return False
    words = whole = 0
    for cells in own.values():
        there = {cell for cell in cells if cell not in MISSING}
        if not 2 <= len(there) <= min(MOST_CATEGORIES, len(cells) / 4):
            continue
        if not any(NUMERAL.fullmatch(cell) for cell in there):
            words += max(map(len, there)) <= LONGEST_WORD
        else:
            whole += len(there) <= FEW and all(cell.lstrip("-").isdigit() for cell in there)
    return words > 0 or whole > 1


def tells_apart(name: str, cells: list[str]) -> bool:
    """Whether a column does nothing but tell rows apart, so that what is learnt of it could only be copied.

    It never repeats, and is either words without spaces or whole numbers under a name that ids have.
    """
    there = [cell for cell in cells if cell not in MISSING]
    if len(there) < FEWEST_IDS or len(set(there)) < len(there):
        return False
    if all(NUMERAL.fullmatch(cell) for cell in there):
        return bool(ID_NAME.fullmatch(name)) and all(float(cell).is_integer() for cell in there)
    return not any(" " in cell or OTHER_DATE.match(cell) for cell in there)


def _days(name: str, cells: list[str], source: object) -> np.ndarray:
    """Days since 1970-01-01 (N,) float32, NaN where a date is missing."""
    try:
        dates = np.array(["NaT" if cell in MISSING else cell for cell in cells], "datetime64[D]")
    except ValueError:
        raise DataError(f"{source}: column '{name}' holds a day that no calendar has: correct it (2024-03-31)") from None
    days: np.ndarray = np.where(np.isnat(dates), np.nan, dates.astype(np.int64)).astype(np.float32)
    return days


def _decimals(counts: Counter[str]) -> int:
    """The most digits behind the point; -1 for many, or exponents."""
    if any("e" in cell.lower() for cell in counts):
        return -1
    most = max(len(cell.rstrip("0").partition(".")[2]) if "." in cell else 0 for cell in counts)
    return most if most <= MOST_DECIMALS else -1


def spec_of(columns: dict[str, Typed], classes: tuple[str, ...]) -> TableSpec:
    """The spec of typed columns: mean and standard deviation of the numbers that are there, scale 1 of constant ones."""
    types = tuple(own.type for own in columns.values())
    centre, scale = scale_of([own.values for own in columns.values()], types)
    return TableSpec(
        tuple(columns),
        types,
        tuple(own.categories for own in columns.values()),
        centre,
        scale,
        tuple(bool(np.isnan(own.values).any()) for own in columns.values()),
        tuple(own.decimals for own in columns.values()),
        classes,
    )


def scale_of(columns: Sequence[np.ndarray], types: Sequence[str]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(centre, scale) of columns of values: mean and standard deviation of a number's, NaN left out, 0 and 1 of any other.

    A number that is always the same has the scale 1, and one that is always missing the centre 0.
    """
    centre, scale = [], []
    for values, type_ in zip(columns, types, strict=True):
        kept = values[~np.isnan(values)].astype(np.float64)
        number = type_ == NUMBER and len(kept) > 0
        centre.append(float(kept.mean()) if number else 0.0)
        scale.append(float(kept.std()) if number and np.ptp(kept) > 0 else 1.0)
    return tuple(centre), tuple(scale)


def told(columns: dict[str, Typed], cells: dict[str, list[str]]) -> list[str]:
    """Notes for the user: which whole numbers became classes, what is missing, what never changes."""
    notes = []
    few = [n for n, own in columns.items() if own.type != NUMBER and all(NUMERAL.fullmatch(c) for c in own.categories)]
    few = [name for name in few if len(columns[name].categories) > 2]
    if few:
        notes.append(f"whole numbers of at most {FEW} values count as classes: {some(few, 8)}")
    dates = [name for name, own in columns.items() if own.decimals == DATE]
    if dates:
        notes.append(f"dates, as days: {some(dates, 8)}")
    gaps = {name: int(np.isnan(own.values).sum()) for name, own in columns.items()}
    words = sorted({cell for own in cells.values() for cell in own if cell in MISSING and cell})
    if any(gaps.values()):
        shown = some([f"{name} {count}" for name, count in gaps.items() if count], 8)
        how = f" (also {', '.join(repr(word) for word in words)})" if words else ""
        notes.append(f"missing values are a state of their own{how}: {shown}")
    still = [name for name, own in columns.items() if len(np.unique(own.values)) == 1]
    if still:
        notes.append(f"never changes: {some(still, 8)}")
    return notes
