"""Points of a CSV of x,y(,z...), with or without a header and a column `label`, or of an `.npz`. Not for series in time."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...store.guard import failure, finite_float32, guard
from ...store.listing import natural


def read_points(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Points of a CSV of x,y(,z...), with or without a header: float32 (N, D), and the D column names.

    Raises DataError naming the line that is not a row of finite numbers.
    """
    path = Path(path)
    with guard(path, "CSV of points"):
        return _read_plain(path)


def read_labelled_points(path: Path) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Points (N, D) float32 of a CSV or `.npz`, with labels (N,) int64 and class names where its header has a column `label`,
    or the archive an array `labels`.

    Raises DataError naming the line that is not a row of finite numbers.
    """
    if path.suffix.lower() == ".npz":
        with guard(path, "archive of points"):
            return _read_archive(path)
    try:
        rows = list(csv.reader(path.read_bytes().decode("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error):
        rows = []  # the reader says what is wrong
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if header.count("label") != 1 or len(header) < 2:
        return read_points(path)[0], None, ()
    _named(path, header)
    place = header.index("label")
    names, points = [], []
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        try:
            values = [float(cell) for k, cell in enumerate(row) if k != place]
        except ValueError:
            values = []
        if len(row) != len(header) or not np.isfinite(values).all() or not values or not row[place].strip():
            raise DataError(f"{path}: line {number} is not {len(header) - 1} numbers and a label: mend that line")
        names.append(row[place].strip())
        points.append(values)
    if not points:
        raise DataError(f"{path}: a header but no points: write one point a line, as in  0.5,1.2,a")
    return np.array(points, np.float32), *_classes(names)


def _classes(names: list[str]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels (N,) int64 and the classes in order; none where all are of one class."""
    classes = tuple(sorted(set(names), key=natural))
    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index[name] for name in names], np.int64)
    return (labels, classes) if len(classes) > 1 else (None, ())


def _read_archive(path: Path) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """As `ganvas sample --format npz` writes them: (N, D) under `x`, or under the only key, and names (N,) under `labels`."""
    with np.load(path, allow_pickle=False) as archive:
        others = [key for key in archive.files if key != "labels"]
        key = "x" if "x" in others else others[0] if len(others) == 1 else None
        if key is None:
            raise failure(path, f"has no array 'x' but {', '.join(others[:8]) or 'nothing'}", "save the points under 'x'")
        points = archive[key]
        names = [str(name) for name in archive["labels"]] if "labels" in archive.files else []
    if points.ndim != 2 or not points.size or points.dtype.kind not in "fiu":
        raise failure(path, f"holds {points.dtype} of shape {points.shape}", "give numbers (N, D), a point a row")
    if names and len(names) != len(points):
        raise failure(path, f"has {len(names)} labels for {len(points)} points", "give one for each")
    return finite_float32(path, points, "points"), *(_classes(names) if names else (None, ()))


def _read_plain(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Points of a CSV file (comma, semicolon, tab or blanks; one optional header line): (N, D) float32, column names.

    Raises DataError naming the line that is not a row of finite numbers.
    """
    text = path.read_bytes().decode("utf-8-sig")
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise failure(path, "holds no points", "write one point a line, as x,y")
    separator = next((mark for mark in (";", "\t", ",") if mark in lines[0][1]), None)

    def cells(line: str) -> list[str]:
        parts = line.split() if separator is None else next(csv.reader([line], delimiter=separator))
        return [part.strip() for part in parts]

    names: tuple[str, ...] = ()
    if not all(_number(cell) is not None for cell in cells(lines[0][1])):
        names = _named(path, cells(lines[0][1]))
        lines = lines[1:]
        if not lines:
            raise failure(path, "holds a header but no points", "write one point a line, as x,y")
    width = len(names) or len(cells(lines[0][1]))
    points = np.empty((len(lines), width), np.float64)
    for row, (number, line) in enumerate(lines):
        values = [_number(cell) for cell in cells(line)]
        if len(values) != width:
            raise failure(path, f"has {len(values)} values in line {number} but {width} before", "give as many in each")
        bad = next((cell for cell, value in zip(cells(line), values, strict=True) if value is None), None)
        if bad is not None:
            raise failure(path, f"has {bad[:40]!r} in line {number}", "write numbers only, with a decimal point")
        points[row] = values
    return finite_float32(path, points, "points"), names or tuple(f"x{column + 1}" for column in range(width))


def _named(path: Path, header: list[str]) -> tuple[str, ...]:
    """The names of the columns. Raises DataError for a column without one: table libraries write row numbers there."""
    unnamed = next((place for place, name in enumerate(header, start=1) if not name), None)
    if unnamed is not None:
        raise failure(
            path, f"has a column without a name (column {unnamed})", "take it out if it holds row numbers, or name it"
        )
    return tuple(header)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
