"""Tables as named columns of text: header, row numbers, rows of one length, JSON lines, Parquet. Not for what columns mean."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import MissingExtra
from . import text as texts
from .text import MARKS, Sheet, refusal
from .values import bad_number, is_missing, number, numbers, why_no_number, with_points

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
NAMED, EITHER, NUMBERS = "named", "either", "numbers"
"""Whether the first line must name the columns, or does so when it is not numbers alone; the last: of a table of numbers."""
NAMELESS = ("", "unnamed: 0", "__index_level_0__")
"""What table libraries call a column of row numbers that has no name, in small letters."""
ROW_NUMBERS = ("id", "idx", "index", "row", "row_id", "rowid", "row_number", "rownames", "row_names", "nr", "level_0")
"""Names of a first column that is left out when it counts the rows."""


@dataclass
class Cells:
    """A table as text. columns: (N,) cells each, without blanks around them; "" is an empty one.

    lines: the number of each row's line in the file (of its row in Parquet: `unit` says which). named: whether the file names
    its columns; else they are x1, x2 ... notes, counts: what was left out or changed, to be told (`told`).
    """

    path: Path
    names: list[str]
    columns: list[Sequence[str]]
    lines: Sequence[int]
    named: bool = True
    unit: str = "line"
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str) -> Sequence[str]:
        """The cells of a column."""
        return self.columns[self.names.index(name)]

    def rows(self) -> list[dict[str, str]]:
        """Cells by the name of their column, a row each."""
        return [dict(zip(self.names, row, strict=True)) for row in zip(*self.columns, strict=True)]

    def where(self, row: int) -> str:
        """`line 7`."""
        return f"{self.unit} {self.lines[row]}"

    def told(self) -> list[str]:
        """Notes for the user, one line each."""
        return [*self.notes, *told(self.counts)]


@dataclass
class Matrix:
    """A table of numbers. values: (N, D) float64, NaN where one is missing. apart: columns of text by their name, (N,) each.
    lines: of each row in the file. told: notes for the user."""

    names: tuple[str, ...]
    values: np.ndarray
    lines: Sequence[int]
    named: bool
    apart: dict[str, Sequence[str]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)


def told(counts: dict[str, int]) -> list[str]:
    """`2 comment lines left out`, `1 comment line left out`."""
    return [re.sub(r"^1 (\w+) (line|row)s", r"1 \1 \2", f"{often} {what}") for what, often in counts.items() if often]


def read_cells(path: Path, *, names: str = NAMED, decimals: bool = True, counting: bool = True) -> Cells:
    """A table as named columns of text: CSV, TSV, JSON lines or Parquet, by its suffix.

    names: NAMED or EITHER. decimals: whether decimal commas become points. counting: whether a first column called `id`,
    `index` and the like is left out when it counts the rows, as one without a name is always. Raises DataError in one line,
    MissingExtra without pyarrow for Parquet.
    """
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        found = _of_json_lines(path)
    elif suffix == ".parquet":
        found = _of_parquet(path)
    else:
        found = _of_text(path, texts.decoded(path), names)
    return _finished(found, decimals, counting)


def read_matrix(path: Path, *, apart: Sequence[str] = ()) -> Matrix:
    """A table of numbers, with or without names of the columns. apart: columns that are text, in small letters.

    Raises DataError naming the line of a cell that is neither a number nor missing.
    """
    if path.suffix.lower() in (".jsonl", ".parquet"):
        found = read_cells(path)
    else:
        text = texts.decoded(path)
        quick = _quick_matrix(path, text, apart)
        if quick is not None:
            return quick
        found = _finished(_of_text(path, text, NUMBERS), True, True)
    aside = {name.lower(): found.column(name) for name in found.names if name.lower() in apart}
    kept = [(name, cells) for name, cells in zip(found.names, found.columns, strict=True) if name.lower() not in apart]
    values = np.empty((len(found), len(kept)))
    for k, (name, cells) in enumerate(kept):
        own = numbers(cells)
        if own is None:
            bad = bad_number(cells) or 0
            cell, why = cells[bad][:40], why_no_number(cells[bad]).partition(", ")[2] or why_no_number(cells[bad])
            raise refusal(path, f"has '{cell}' in {found.where(bad)} (column '{name}'), {why}")
        values[:, k] = own
    return Matrix(tuple(name for name, _ in kept), values, found.lines, found.named, aside, found.told())


def _quick_matrix(path: Path, text: str, apart: Sequence[str]) -> Matrix | None:
    """The same for text that is clean: no quotes, comments, empty lines or empty cells; None for any other."""
    text = text.rstrip("\n")
    if '"' in text or texts.MARKED.search(text) or texts.BLANK.search(text) or "\n" not in text:
        return None
    separator = texts.separator_of(path, text)
    if separator is None:
        separator = texts.ONE_COLUMN
    first = [cell.strip() for cell in text[: text.index("\n")].split(None if separator == " " else separator)]
    named = not all(number(cell) is not None for cell in first)
    if named and (any(name.lower() in apart for name in first) or _has_numbers(first) or len(set(first)) < len(first)):
        return None
    lines = text.split("\n")
    try:
        values = np.loadtxt(
            lines, delimiter=None if separator == " " else separator, comments=None, skiprows=int(named), ndmin=2
        )  # fmt: skip
    except ValueError:
        return None
    begin = 2 if named else 1
    if values.shape != (len(lines) + 1 - begin, len(first)) or not np.isfinite(values).all():
        return None
    names = first if named else [f"x{k + 1}" for k in range(len(first))]
    notes: list[str] = []
    if named and index_column(names, values[:, 0], counting=True):
        notes.append(_left_out(names[0]))
        names, values = names[1:], values[:, 1:]
    if "" in names:
        return None
    return Matrix(tuple(names), values, range(begin, len(lines) + 1), named, {}, notes)


def index_column(names: Sequence[str], first: Sequence[Any] | np.ndarray, *, counting: bool) -> bool:
    """Whether the first column holds row numbers: whole and different where it has no name; one more in each row where it is
    called as row numbers are, and `counting`. A table's only column is none."""
    name = names[0].strip().lower() if names else ""
    if len(names) < 2 or not len(first) or not (name in NAMELESS or (counting and name in ROW_NUMBERS and len(first) > 1)):
        return False
    values = first if isinstance(first, np.ndarray) else numbers(first)
    if values is None or not (np.isfinite(values) & (values == np.floor(values)) & (values >= 0)).all():
        return False
    return len(np.unique(values)) == len(values) if name in NAMELESS else bool((np.diff(values) == 1).all())


def _left_out(name: str) -> str:
    called = f"'{name}'" if name else "without a name"
    return f"the first column ({called}) holds row numbers and is left out"


def _has_numbers(header: Sequence[str]) -> bool:
    return any(number(cell) is not None for cell in header)


# Text


def _of_text(path: Path, text: str, names: str) -> Cells:
    sheet = texts.cut(path, text, texts.separator_of(path, text))
    if not sheet.rows:
        raise refusal(path, "empty; its first line must name the columns, as in  time,flow,pressure")
    notes: list[str] = []
    _without_marked(sheet, notes)
    width, index_unnamed = _settle_width(sheet, names)
    first = sheet.rows[0]
    named = _is_header(path, first, sheet.lines[0], names)
    header = first if named else [f"x{k + 1}" for k in range(width)]
    if index_unnamed:
        header = ["", *header]
    body = sheet.rows[1:] if named else sheet.rows
    lines = sheet.lines[1:] if named else sheet.lines
    columns: list[Sequence[str]] = list(zip(*body, strict=True)) if body else [()] * len(header)
    if named and header[0].startswith(MARKS):
        header = [header[0].lstrip("#%/").strip(), *header[1:]]
        notes.append(f"the first line begins with a mark of comments and names the columns ({', '.join(header)[:60]})")
    return Cells(path, list(header), columns, lines, named, "line", notes, sheet.counts)


def _without_marked(sheet: Sheet, notes: list[str]) -> None:
    """Take for comments the lines that begin as one does and cannot be a row, for they have other cells than the rest."""
    marked = [bool(row) and row[0].startswith(MARKS) for row in sheet.rows]
    if not any(marked) or all(marked):
        return
    width = len(next(row for row, own in zip(sheet.rows, marked, strict=True) if not own))
    keep = [not own or len(row) == width for row, own in zip(sheet.rows, marked, strict=True)]
    left = len(keep) - sum(keep)
    if left:
        sheet.kept(keep)
        sheet.count("comment lines left out", left)
    kept = sum(row[0].startswith(MARKS) for row in sheet.rows[1:])
    if kept:
        notes.append(f"{kept} rows begin with a mark of comments and are taken as rows (a comment has a blank behind its mark)")


def _settle_width(sheet: Sheet, names: str) -> tuple[int, bool]:
    """Bring all rows to one length, and say which, and whether they have one cell more than the header: row numbers.

    Empty cells at the end that no name stands above are left out, and told. Raises DataError naming a row of another length.
    """
    rows = sheet.rows
    lengths = set(map(len, rows))
    width = len(rows[0])
    if lengths == {width} and rows[0][-1] and (names == NAMED or any(row[-1] for row in rows)):
        return _without_end(sheet, width), False
    filled = len(texts.ended(rows[0])) or 1
    if filled < width and not any(any(row[filled:]) for row in rows[1:]):
        width = filled
    below = rows[1:]
    if below and all(len(row) == width + 1 for row in below) and any(row[-1] for row in below):
        counts = numbers([row[0] for row in below])
        if counts is not None and index_column(["", "x"], counts, counting=False) and not _all_numeric(rows[0]):
            return width, True  # R writes row numbers so
    trimmed = 0
    for k, row in enumerate(rows):
        if len(row) == width:
            continue
        if len(row) < width or any(row[width:]):
            other = "the header" if k and (names == NAMED or not _all_numeric(rows[0])) else "the first line"
            raise refusal(sheet.path, f"line {sheet.lines[k]} has {len(row)} cells, {other} {width}: mend that line")
        rows[k] = row[:width]
        trimmed += 1
    sheet.count("lines end in a separator, behind which no column was taken", trimmed)
    return _without_end(sheet, width), False


def _without_end(sheet: Sheet, width: int) -> int:
    """Leave out rows without any value at the end of the table, as spreadsheets write them."""
    count = 0
    while len(sheet.rows) > 1 and width > 1 and not any(sheet.rows[-1]):
        sheet.rows.pop()
        count += 1
    if count:
        sheet.lines = sheet.lines[: len(sheet.rows)]
        sheet.count("last lines without any value left out", count)
    return width


def _all_numeric(row: Sequence[str]) -> bool:
    """Whether a row holds numbers (with commas or points) and missing values only."""
    return all(is_missing(cell) or number(cell) is not None or texts.COMMA.fullmatch(cell) for cell in row) and any(row)


def _is_header(path: Path, first: Sequence[str], line: int, names: str) -> bool:
    """Whether the first row names the columns. Raises DataError where it must and does not, or where both may be."""
    if _all_numeric(first):
        nameless = first[0].lower() in NAMELESS and len(first) > 1  # row numbers, and columns that are numbered from 0
        if nameless and [number(cell) for cell in first[1:]] == list(range(len(first) - 1)):
            return True
        if names == NAMED:
            raise refusal(path, f"line {line} holds numbers only: put a line with the names of the columns first")
        return False
    found = [value for cell in first if (value := number(cell)) is not None]
    if names == NUMBERS and found and found != list(range(len(found))):
        odd = next(cell for cell in first if number(cell) is None)
        raise refusal(path, f"line {line} holds numbers, but '{odd[:30]}' as well: mend that line, or name all columns there")
    return True


# JSON lines and Parquet


def _of_json_lines(path: Path) -> Cells:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f"'{twice}' appears twice: keep one")
        return dict(pairs)

    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for place, line in enumerate(texts.decoded(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=once)
        except (ValueError, RecursionError) as error:
            raise refusal(
                path, f"line {place} cannot be read as JSON ({' '.join(str(error).split())[:100]}): mend it"
            ) from None
        if not isinstance(row, dict):
            raise refusal(path, f'line {place}: not one JSON object a line, as in  {{"x": 1, "y": 2}}')
        rows.append(row)
        lines.append(place)
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    if not names:
        raise refusal(path, 'empty; each line must be a JSON object, as in  {"x": 1, "y": 2}')
    columns: list[Sequence[str]] = [[_plain(row.get(name)) for row in rows] for name in names]
    return Cells(path, names, columns, lines)


def _of_parquet(path: Path) -> Cells:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "series") from error
    try:
        held = parquet.read_table(path)
        names = [str(name) for name in held.column_names]
        columns: list[Sequence[str]] = [[_plain(value) for value in column.to_pylist()] for column in held.columns]
    except (ArrowException, ValueError, OSError) as error:
        what = " ".join(str(error).split())[:120]
        raise refusal(path, f"not a readable Parquet file ({what}): write it again") from None
    return Cells(path, names, columns, range(1, held.num_rows + 1), unit="row")


def _plain(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _finished(found: Cells, decimals: bool, counting: bool) -> Cells:
    """Names checked, row numbers left out, decimal commas as points."""
    if index_column(found.names, found.columns[0] if found.columns else (), counting=counting):
        found.notes.append(_left_out(found.names[0]))
        found.names, found.columns = found.names[1:], found.columns[1:]
    nameless = next((k for k, name in enumerate(found.names) if not name.strip()), None)
    if nameless is not None:
        raise refusal(
            found.path, f"a column without a name: column {nameless + 1} has no name: name it, or remove it (row numbers must "
            "be whole and different to be left out)"
        )  # fmt: skip
    twice = next((name for name in found.names if found.names.count(name) > 1), None)
    if twice is not None:
        raise refusal(found.path, f"column '{twice}' appears twice: keep one")
    if decimals:
        found.columns, changed = with_points(found.columns, found.names, found.where, lambda what: refusal(found.path, what))
        if changed:
            shown = ", ".join(changed[:5]) + (" ..." if len(changed) > 5 else "")
            found.notes.append(f"decimal commas are read as points: {shown}")
    return found
