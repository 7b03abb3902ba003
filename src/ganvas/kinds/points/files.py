"""Points of a table x,y(,z...): with or without a header, with or without a column `label`. Not for series in time.

How tables are read: `store.cells`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...store.cells import is_missing, read_matrix
from ...store.guard import failure, finite_float32
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
    """Points of a table, with labels and class names where its header has a column `label`.

    Raises DataError naming the line that is not a row of finite numbers (and a label).
    """
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
    classes = tuple(sorted(set(cells), key=natural))
    if len(classes) == 1:
        return PointsFile(
            points, table.names, notes=[*table.told, f"no labels: all points are of the one class '{classes[0]}'"]
        )
    index = {name: i for i, name in enumerate(classes)}
    return PointsFile(points, table.names, np.array([index[cell] for cell in cells], np.int64), classes, table.told)
