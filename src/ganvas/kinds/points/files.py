"""Points of a table x,y(,z...): with or without a header, with or without a column `label`; or of an `.npz`. Not for
series in time.

How tables are read: `store.cells`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...store.cells import is_missing, read_matrix
from ...store.guard import failure, finite_float32, guard
from ...store.listing import natural

LABEL = "label"


@dataclass
class PointsFile:
    """Points (N, D) float32 with the names of their columns. labels: (N,) int64, None where all are of one class. notes: what
    was left out or changed."""

    points: np.ndarray
    names: tuple[str, ...]
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def read_points(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Points of a table x,y(,z...), with or without a header: float32 (N, D), and the D column names.

    Raises DataError naming the line that is not a row of finite numbers.
    """
    found = read_points_file(Path(path))
    return found.points, found.names


def read_points_file(path: Path) -> PointsFile:
    """Points of a table or `.npz`, with labels and class names where its header has a column `label`, or the archive an array
    `labels`.

    Raises DataError naming the line that is not a row of finite numbers (and a label).
    """
    if path.suffix.lower() == ".npz":
        with guard(path, "archive of points"):
            return _read_archive(path)
    try:
        table = read_matrix(path, apart=(LABEL,))
    except DataError as error:
        if ": empty; " in str(error):
            raise failure(path, "holds no points", "write one point a line, as x,y") from None
        raise
    if not len(table.values):
        raise failure(path, "holds a header but no points", "write one point a line, as x,y")
    if not table.names:
        raise failure(path, "holds labels but no numbers", "write one point a line, as x,y,label")
    gone = np.argwhere(np.isnan(table.values))
    if len(gone):
        row, column = gone[0]
        raise failure(
            path, f"lacks a value in line {table.lines[row]} (column '{table.names[column]}' is empty, NaN or the like)",
            "fill it in or remove the line, for a point is all of its numbers",
        )  # fmt: skip
    points = finite_float32(path, table.values, "points")
    cells = table.apart.get(LABEL)
    if cells is None:
        return PointsFile(points, table.names, notes=table.told)
    blank = next((k for k, cell in enumerate(cells) if is_missing(cell)), None)
    if blank is not None:
        raise failure(path, f"has no label in line {table.lines[blank]}", "fill it in or remove the line")
    return _labelled(points, table.names, cells, table.told)


def _labelled(points: np.ndarray, names: tuple[str, ...], cells: Sequence[str], told: list[str]) -> PointsFile:
    """With the classes in order; without labels where all are of one class."""
    classes = tuple(sorted(set(cells), key=natural))
    if len(classes) == 1:
        return PointsFile(points, names, notes=[*told, f"no labels: all points are of the one class '{classes[0]}'"])
    index = {name: i for i, name in enumerate(classes)}
    return PointsFile(points, names, np.array([index[cell] for cell in cells], np.int64), classes, told)


def _read_archive(path: Path) -> PointsFile:
    """As `ganvas sample --format npz` writes them: (N, D) under `x`, or under the only key, and names (N,) under `labels`."""
    with np.load(path, allow_pickle=False) as archive:
        others = [key for key in archive.files if key != "labels"]
        key = "x" if "x" in others else others[0] if len(others) == 1 else None
        if key is None:
            raise failure(path, f"has no array 'x' but {', '.join(others[:8]) or 'nothing'}", "save the points under 'x'")
        points = archive[key]
        cells = [str(name) for name in archive["labels"]] if "labels" in archive.files else []
    if points.ndim != 2 or not points.size or points.dtype.kind not in "fiu":
        raise failure(path, f"holds {points.dtype} of shape {points.shape}", "give numbers (N, D), a point a row")
    if cells and len(cells) != len(points):
        raise failure(path, f"has {len(cells)} labels for {len(points)} points", "give one for each")
    points = finite_float32(path, points, "points")
    names = tuple(f"x{column + 1}" for column in range(points.shape[1]))
    return _labelled(points, names, cells, []) if cells else PointsFile(points, names)
