"""Rows of one table by the spec of another: columns by their names, categories by their texts. Not for reading files."""

from __future__ import annotations

import numpy as np

from ...errors import GanvasError
from ...store.cells import NUMERAL
from ...store.listing import some
from .spec import NUMBER, TableSpec


def aligned(values: np.ndarray, spec: TableSpec, other: TableSpec) -> np.ndarray:
    """(N, columns of `other`) float32 of rows (N, columns) of `spec`.

    Whether a column is numbers or classes, each table says by its own cells; here `other` decides. Raises GanvasError for
    columns, categories and missing values that it has not.
    """
    for ours, theirs, told in ((other, spec, "lack the column"), (spec, other, "have a column that the real data has not,")):
        odd = [name for name in ours.names if name not in theirs.names]
        if odd:
            raise GanvasError(f"the samples {told} '{odd[0]}': both sides need the columns {some(list(other.names), 12)}")
    made = np.empty((len(values), len(other.names)), np.float32)
    for place, name in enumerate(other.names):
        k = spec.names.index(name)
        column = _as_texts(values[:, k], spec.categories[k]) if other.types[place] != NUMBER else None
        if column is None:
            made[:, place] = _as_numbers(values[:, k], spec.categories[k], name)
        else:
            made[:, place] = _as_indices(column, other.categories[place], name)
        if np.isnan(made[:, place]).any() and not other.missing[place]:
            raise GanvasError(
                f"the samples lack values in the column '{name}', which the real data has everywhere: fill them in"
            )
    return made


def _as_numbers(column: np.ndarray, categories: tuple[str, ...], name: str) -> np.ndarray:
    """A column as numbers; few whole ones may have counted as classes."""
    if not categories:
        return column
    odd = next((text for text in categories if not NUMERAL.fullmatch(text)), None)
    if odd is not None:
        raise GanvasError(
            f"the samples hold '{odd}' in the column '{name}', which is numbers in the real data: leave numbers only"
        )
    numbers = np.array([*(float(text) for text in categories), np.nan])
    return numbers[np.where(np.isnan(column), len(categories), column).astype(int)]


def _as_texts(column: np.ndarray, categories: tuple[str, ...]) -> list[str | None]:
    """A column as texts, None where a value is missing; whole numbers without a point."""
    cells: list[str | None] = []
    for value in column.tolist():
        if value != value:
            cells.append(None)
        elif categories:
            cells.append(categories[int(value)])
        else:
            cells.append(f"{value:.0f}" if float(value).is_integer() else f"{value:g}")
    return cells


def _as_indices(cells: list[str | None], categories: tuple[str, ...], name: str) -> np.ndarray:
    index: dict[str | None, float] = {text: float(k) for k, text in enumerate(categories)}
    index[None] = np.nan
    odd = next((cell for cell in cells if cell not in index), None)
    if odd is not None:
        raise GanvasError(
            f"the samples hold '{odd}' in the column '{name}', the real data {some(list(categories), 8)}: write them alike, or "
            "take the rows out"
        )
    return np.array([index[cell] for cell in cells])
