"""Series files: tables with a row a step (CSV, TSV, Parquet) and arrays of windows (.npy, .npz), read as they are.

Parquet is encoded here too; CSV and .npz are, beside what they hold, in `kinds.series`.

Nothing is filled in, resampled or sorted: what is missing stays NaN, and what does not fit is an error that says where. Not
for cutting windows or splitting, which is `kinds.series`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ...errors import DataError, MissingExtra
from ...store.cells import Cells, bad_number, is_missing, number, numbers, read_cells, why_no_number
from .spec import SeriesSpec

TIME_NAMES = ("time", "timestamp", "time_stamp", "datetime", "date_time", "date", "seconds")
TRUTH_NAMES = ("label", "anomaly", "changepoint")
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

    stamps: (T,) the time column as written. clock: what it shows: `local` for dates without a zone, `UTC` for those with one,
    whose times are seconds since 1970; empty for plain seconds. truth: column (`label`, `anomaly`, `changepoint`) -> (T,)
    float64, NaN where empty; never part of the values. counts: what is worth telling -> how often. window: whether it is one of
    an array of windows.
    """

    names: tuple[str, ...]
    values: np.ndarray
    times: np.ndarray | None = None
    stamps: list[str] | None = None
    clock: str = ""
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
        return [_read_cells(path)]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DataError as error:  # names in a file may hold line breaks
        raise DataError(" ".join(str(error).splitlines())) from error


def _read_cells(path: Path) -> Table:
    """The series of a table, which must name its columns; how tables are read: `store.cells`."""
    cells = read_cells(path)
    table = _table(cells)
    table.notes += cells.notes
    table.counts |= cells.counts
    return table


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


def _table(cells: Cells) -> Table:
    """What the columns are: time, known truth, quantities. Raises DataError."""
    path, header = cells.path, cells.names
    if not len(cells):
        raise DataError(f"{path}: a header but no rows: nothing to learn from")
    time_place = _find_time(header, cells.columns)
    table = Table((), np.empty((len(cells), 0)))
    found, kept = [], []
    for index, (name, column) in enumerate(zip(header, cells.columns, strict=True)):
        if index == time_place:
            table.time_name = name
            table.times, table.clock = _times(cells, name, column, table.counts)
            table.stamps = list(column)
        elif name.lower() in TRUTH_NAMES:
            try:
                table.truth[name.lower()] = _numbers(cells, name, column, YES_NO)
            except DataError:
                table.notes.append(f"column '{name}' is not numbers and was left alone")
        else:
            kept.append(_numbers(cells, name, column))
            found.append(name)
    if not kept:
        raise DataError(f"{path}: no column of measurements beside {', '.join(header)}")
    table.names, table.values = tuple(found), np.stack(kept, axis=1)
    table.counts["rows lack a value: no window holds them"] = int((~np.isfinite(table.values)).any(axis=1).sum())
    return table


def _find_time(header: list[str], columns: Sequence[Sequence[str]]) -> int | None:
    """The column with a name for time, else the first whose first cells are dates and not numbers."""
    for name in TIME_NAMES:
        for index, given in enumerate(header):
            if given.lower() == name:
                return index
    for index, cells in enumerate(columns):
        looked = [cell for cell in cells[:20] if not is_missing(cell)]
        if looked and all(number(cell) is None and _moment(cell) is not None for cell in looked):
            return index
    return None


def _times(cells: Cells, name: str, column: Sequence[str], counts: dict[str, int]) -> tuple[np.ndarray, str]:
    """(seconds (T,) of stamps, their `Table.clock`): numbers are seconds, else dates. Raises DataError when they run back."""
    path = cells.path
    times = np.empty(len(column))
    zones = set()
    seconds = numbers(column)
    if seconds is not None:
        times = seconds
    for index, cell in enumerate(column if seconds is None else ()):
        value = number(cell)
        if value is None:
            moment = _moment(cell)
            if moment is None:
                raise DataError(
                    f"{path}: {cells.where(index)}: '{cell}' in column '{name}' is no time: "
                    "write 2020-03-09 10:14:33, or seconds"
                )
            zones.add(moment.tzinfo is None)
            # Without a zone the clock on the wall is taken for even: no hour is lost or doubled in autumn.
            value = (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()
        times[index] = value
    if len(zones) > 1:
        raise DataError(f"{path}: column '{name}' has times with and without a time zone: write all alike")
    if not np.isfinite(times).all():
        raise DataError(f"{path}: {cells.where(int(np.argmin(np.isfinite(times))))}: column '{name}' is not a finite time")
    steps = np.diff(times)
    if (steps < 0).any():
        back = int(np.argmax(steps < 0)) + 1
        raise DataError(f"{path}: {cells.where(back)}: time runs backwards (column '{name}'): sort the rows by time")
    step, tick = usual_step(times) if len(steps) else (0.0, 0.0)
    usual = max(step, tick)
    if usual > 0:
        late, jumps = int((steps > IRREGULAR * usual).sum()), int((steps > GAP * usual).sum())
        counts[f"steps are up to {GAP:g} times as long as usual (missed readings)"] = late - jumps
        counts[f"jumps in time of more than {GAP:g} usual steps: no window goes across"] = jumps
    counts["rows have the time of the row before"] = int((steps == 0).sum())
    return times, "" if not zones else "local" if zones == {True} else "UTC"


def _numbers(cells: Cells, name: str, column: Sequence[str], words: dict[str, float] | None = None) -> np.ndarray:
    """(T,) float64, NaN for what is missing. Raises DataError at the first cell that is no finite number."""
    values = numbers(column, words)
    if values is None:
        bad = bad_number(column, words) or 0
        raise DataError(f"{cells.path}: {cells.where(bad)}, column '{name}' is {why_no_number(column[bad])}")
    return values


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
