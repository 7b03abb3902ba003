"""Series files: tables with a row a step (CSV, TSV, Parquet) and arrays of windows (.npy, .npz), read as they are.

Parquet is encoded here too; CSV and .npz are, beside what they hold, in `kinds.series`.

Nothing is filled in, resampled or sorted: what is missing stays NaN, and what does not fit is an error that says where. Not
for cutting windows or splitting, which is `kinds.series`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, MissingExtra
from .spec import SeriesSpec

TIME_NAMES = ("time", "timestamp", "time_stamp", "datetime", "date_time", "date", "seconds")
TRUTH_NAMES = ("label", "anomaly", "changepoint")
MISSING = ("", "nan", "na", "n/a", "null", "none")
YES_NO = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
GAP = 3.0
"""A jump of more than this many usual steps ends a stretch. One or two missed readings do not: in many logs one is missed
every few rows (in the SKAB pump logs every 17th), and nothing would be left."""
IRREGULAR = 1.5  # a step longer than this many usual ones is counted and told


def usual_step(times: np.ndarray) -> tuple[float, float]:
    """(seconds between rows, seconds between stamps that differ) of times (T,), in order, two at least.

    Where several rows share a stamp (ten readings a second, written in whole seconds), the first is the second divided by
    how many rows usually share one.
    """
    step = float(np.median(np.diff(times)))
    stamps, rows = np.unique(times, return_counts=True)
    if step > 0 or len(stamps) < 2:
        return step, step
    tick = float(np.median(np.diff(stamps)))
    return tick / max(1.0, float(np.median(rows))), tick


@dataclass
class Table:
    """One series. values: (T, C) float64, NaN where a value is missing. times: (T,) seconds, or None when it has none.

    stamps: (T,) the time column as written. truth: column (`label`, `anomaly`, `changepoint`) -> (T,) float64, NaN where empty;
    never part of the values. counts: what is worth telling -> how often. window:
    whether it is one of an array of windows.
    """

    names: tuple[str, ...]
    values: np.ndarray
    times: np.ndarray | None = None
    stamps: list[str] | None = None
    time_name: str = "time"
    truth: dict[str, np.ndarray] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    window: bool = False

    @property
    def step(self) -> float | None:
        """Median of the seconds between rows; None without times. Of stamps that are coarser than the rows: what is likely."""
        return None if self.times is None or len(self.times) < 2 else usual_step(self.times)[0]

    def gaps(self) -> np.ndarray:
        """(T,) bool: whether a jump in time lies before the row."""
        before = np.zeros(len(self.values), bool)
        if self.times is not None and self.step:
            before[1:] = np.diff(self.times) > GAP * max(usual_step(self.times))
        return before

    def stretches(self) -> list[tuple[int, int]]:
        """(first row, row behind the last) of every stretch without a missing value and without a jump in time."""
        whole = np.isfinite(self.values).all(axis=1)
        border = self.gaps()
        border[1:] |= whole[1:] != whole[:-1]
        starts = np.flatnonzero(border | (np.arange(len(whole)) == 0))
        ends = np.append(starts[1:], len(whole))
        return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True) if whole[a]]

    def arranged(self, names: tuple[str, ...], path: Path) -> Table:
        """The same with its quantities in this order. Raises DataError when it has others."""
        if self.names == names:
            return self
        lacking = [name for name in names if name not in self.names]
        more = [name for name in self.names if name not in names]
        if lacking or more:
            told = [f"has no column '{lacking[0]}'"] if lacking else []
            told += [f"has a column '{more[0]}' too many"] if more else []
            raise DataError(f"{path}: {' and '.join(told)}: expected are the quantities {', '.join(names)}")
        return replace(self, names=names, values=self.values[:, [self.names.index(name) for name in names]])


def read_tables(path: Path) -> list[Table]:
    """The series of a file: one of a table, each window of an array. Raises DataError in one line."""
    name = path.name.lower()
    try:
        if name.endswith((".npy", ".npz")):
            return _read_array(path)
        if name.endswith(".parquet"):
            return [_read_parquet(path)]
        return [_read_text(path)]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DataError as error:  # names in a file may hold line breaks
        raise DataError(" ".join(str(error).splitlines())) from error


def _read_text(path: Path) -> Table:
    body = path.read_bytes()
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}): save the table as UTF-8 CSV") from error
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None)
    if first is None:
        raise DataError(f"{path}: empty; its first line must name the columns, as in  time,flow,pressure")
    separator = "\t" if path.name.lower().endswith(".tsv") else max(",;\t", key=lines[first].count)
    try:
        rows = list(csv.reader(lines[first:], delimiter=separator, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV table ({error}): write one line a step, as in  0.5,1.2,7") from error
    header = [cell.strip() for cell in rows[0]]
    if all(_number(cell) is not None for cell in header):
        raise DataError(f"{path}: line {first + 1} holds numbers only: put a line with the names of the columns first")
    numbers, cells = [], []
    for place, row in enumerate(rows[1:], start=first + 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise DataError(f"{path}: line {place} has {len(row)} cells, the header {len(header)}: mend that line")
        numbers.append(place)
        cells.append([cell.strip() for cell in row])
    columns: list[Sequence[Any]] = list(zip(*cells, strict=True)) if cells else [()] * len(header)
    return _table(path, header, columns, numbers)


def _read_parquet(path: Path) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "series") from error
    try:
        held = parquet.read_table(path)
        columns: list[Sequence[Any]] = []
        for column in held.columns:
            # Times lose nothing as text, and go the way that those of a CSV go.
            kind = str(column.type)
            values = column.to_pylist()
            timed = kind.startswith(("timestamp", "date"))
            columns.append([str(value) if timed and value is not None else value for value in values])
        names = [str(name) for name in held.column_names]
    except (ArrowException, ValueError, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error
    return _table(path, names, columns, list(range(1, held.num_rows + 1)), "row")


def encoded_parquet(window: np.ndarray, spec: SeriesSpec, note: str) -> bytes:
    """A Parquet file of a window (T, C), with `time` in seconds where the step is known, and `note` in the schema's metadata.

    Raises MissingExtra without pyarrow.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "series") from error
    columns = {} if spec.step is None else {"time": np.arange(len(window)) * spec.step}
    columns |= {name: np.ascontiguousarray(window[:, k]) for k, name in enumerate(spec.names)}
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata({"note": note}), buffer)
    return buffer.getvalue()


def _read_array(path: Path) -> list[Table]:
    names: tuple[str, ...] = ()
    times: np.ndarray | None = None
    try:
        held = np.load(path, allow_pickle=False)
        if isinstance(held, np.ndarray):
            values = held
        else:
            with held:
                key = next((key for key in ("series", "windows", "x") if key in held.files), None)
                if key is None:
                    raise DataError(f"{path}: holds {', '.join(held.files) or 'nothing'}: name the windows (N, T, C) 'series'")
                values = held[key]
                names = tuple(str(name) for name in held["names"]) if "names" in held.files else ()
                step = float(held["step"]) if "step" in held.files else 0.0
                times = np.arange(values.shape[1]) * step if step > 0 and values.ndim > 1 else None
    except DataError:
        raise
    except Exception as error:  # a damaged archive may raise whatever zlib, zipfile and the header's parser raise
        raise DataError(f"{path}: not a readable NumPy file ({' '.join(str(error).split())[:120]})") from error
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3 or 0 in values.shape or values.dtype.kind not in "fiu":
        raise DataError(f"{path}: holds {values.dtype} {values.shape}: give numbers (N, T, C): windows, steps, quantities")
    names = names or tuple(f"quantity-{k + 1}" for k in range(values.shape[2]))
    if len(names) != values.shape[2]:
        raise DataError(f"{path}: names {len(names)} quantities, its windows have {values.shape[2]}: mend 'names'")
    kept = next((name for name in names if name.lower() in (*TIME_NAMES, *TRUTH_NAMES)), None)
    if kept is not None:  # written as a table and read again, it would be no quantity
        raise DataError(f"{path}: 'names' has a quantity '{kept}', which tables keep for times and labels: call it otherwise")
    if len(set(names)) < len(names) or not all(names):
        raise DataError(f"{path}: 'names' has an empty name or one twice: give each quantity a name of its own")
    values = values.astype(np.float64)
    if np.isinf(values).any():
        raise DataError(f"{path}: holds infinity: replace it (NaN means missing)")
    return [Table(names, window, times, window=True) for window in values]


def _table(path: Path, header: list[str], columns: list[Sequence[Any]], places: list[int], where: str = "line") -> Table:
    """Columns of cells (text, numbers, None) -> Table. places: the number of each row in the file."""
    if any(not name for name in header):
        raise DataError(f"{path}: column {header.index('') + 1} has no name: give it one, or remove it")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: column '{twice}' appears twice: keep one")
    if not places:
        raise DataError(f"{path}: a header but no rows: nothing to learn from")
    time_place = _find_time(header, columns)
    table = Table((), np.empty((len(places), 0)))
    found, kept = [], []
    for index, (name, cells) in enumerate(zip(header, columns, strict=True)):
        if index == time_place:
            table.time_name = name
            table.times = _times(path, name, cells, places, where, table.counts)
            table.stamps = ["" if cell is None else str(cell) for cell in cells]
        elif name.lower() in TRUTH_NAMES:
            try:
                table.truth[name.lower()] = _numbers(path, name, cells, places, where, YES_NO)
            except DataError:
                table.notes.append(f"column '{name}' is not numbers and was left alone")
        else:
            kept.append(_numbers(path, name, cells, places, where))
            found.append(name)
    if not kept:
        raise DataError(f"{path}: no column of measurements beside {', '.join(header)}")
    table.names, table.values = tuple(found), np.stack(kept, axis=1)
    table.counts["rows lack a value: no window holds them"] = int((~np.isfinite(table.values)).any(axis=1).sum())
    return table


def _find_time(header: list[str], columns: list[Sequence[Any]]) -> int | None:
    """The column with a name for time, else the first whose first cells are dates and not numbers."""
    for name in TIME_NAMES:
        for index, given in enumerate(header):
            if given.lower() == name:
                return index
    for index, cells in enumerate(columns):
        looked = [str(cell) for cell in cells[:20] if str(cell).strip()]
        if looked and all(_number(cell) is None and _moment(cell) is not None for cell in looked):
            return index
    return None


def _times(
    path: Path, name: str, cells: Sequence[Any], places: list[int], where: str, counts: dict[str, int]
) -> np.ndarray:  # fmt: skip
    """Seconds (T,) of stamps: numbers are seconds, else dates. Raises DataError when they run backwards."""
    times = np.empty(len(cells))
    zones = set()
    for index, cell in enumerate(cells):
        number = _number(cell)
        if number is None:
            moment = _moment(str(cell))
            if moment is None:
                raise DataError(
                    f"{path}: {where} {places[index]}: '{cell}' in column '{name}' is no time: "
                    "write 2020-03-09 10:14:33, or seconds"
                )
            zones.add(moment.tzinfo is None)
            # Without a zone the clock on the wall is taken for even: no hour is lost or doubled in autumn.
            number = (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()
        times[index] = number
    if len(zones) > 1:
        raise DataError(f"{path}: column '{name}' has times with and without a time zone: write all alike")
    if not np.isfinite(times).all():
        raise DataError(f"{path}: {where} {places[int(np.argmin(np.isfinite(times)))]}: column '{name}' is not a finite time")
    steps = np.diff(times)
    if (steps < 0).any():
        back = int(np.argmax(steps < 0)) + 1
        raise DataError(f"{path}: {where} {places[back]}: time runs backwards (column '{name}'): sort the rows by time")
    step, tick = usual_step(times) if len(steps) else (0.0, 0.0)
    usual = max(step, tick)
    if usual > 0:
        late, jumps = int((steps > IRREGULAR * usual).sum()), int((steps > GAP * usual).sum())
        counts[f"steps are up to {GAP:g} times as long as usual (missed readings)"] = late - jumps
        counts[f"jumps in time of more than {GAP:g} usual steps: no window goes across"] = jumps
    counts["rows have the time of the row before"] = int((steps == 0).sum())
    return times


def _numbers(
    path: Path, name: str, cells: Sequence[Any], places: list[int], where: str, words: dict[str, float] | None = None
) -> np.ndarray:
    """(T,) float64, NaN for what is missing. Raises DataError at the first cell that is no finite number."""
    try:
        values = np.array(cells, dtype=np.float64)
        if np.isfinite(values).all():
            return values
    except (ValueError, TypeError):
        pass
    values = np.empty(len(cells))
    for index, cell in enumerate(cells):
        text = "" if cell is None else str(cell).strip()
        number = math.nan if text.lower() in MISSING else (words or {}).get(text.lower(), _number(cell))
        if number is None or math.isinf(number):
            if number is not None:
                why = "infinity: leave the cell empty when a value is missing"
            elif _number(text.replace(",", ".")) is not None:
                why = f"'{text}', with a decimal comma: write decimal points"
            else:
                why = f"'{text[:30]}', not a number: remove the column or write numbers"
            raise DataError(f"{path}: {where} {places[index]}, column '{name}' is {why}")
        values[index] = number
    return values


def _number(cell: Any) -> float | None:
    """The number in a cell, NaN and infinity included; None for anything else. `1_000` is no number here."""
    if isinstance(cell, str) and "_" in cell:
        return None
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _moment(text: str) -> datetime | None:
    """A date with time, written as ISO 8601 (also with slashes) or day first with dots; None for anything else."""
    text = text.strip()
    try:
        return datetime.fromisoformat(text.replace("/", "-", 2) if text[:4].isdigit() else text)
    except ValueError:
        pass
    for form in ("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y"):
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
