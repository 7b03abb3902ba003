"""Tables of rows: CSV, TSV, Parquet, JSON lines and arrays, read as text by column, and written. Not for what columns mean."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, GanvasError, MissingExtra
from ...store.cells import read_cells
from .spec import DATE, NUMBER, TableSpec

SYNTHETIC = "SYNTHETIC: made by a generative model, not a real record"


def read_columns(path: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Column name -> its cells as text, (N,) each, and what was left out, for the user. Raises DataError in one line.

    How tables are read: `store.cells`.
    """
    if path.suffix.lower() == ".npz":
        return _of_arrays(path), []
    cells = read_cells(path)
    if not len(cells):
        raise DataError(f"{path}: no rows: its first line must name the columns, each further line is a record")
    return {name: list(column) for name, column in zip(cells.names, cells.columns, strict=True)}, cells.told()


def _of_arrays(path: Path) -> dict[str, list[str]]:
    """An `.npz` with an array (N,) a column; NaN and the empty text are missing."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name != "note"}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as arrays of columns ({' '.join(str(error).split())[:120]})") from error
    bad = next((name for name, array in arrays.items() if array.ndim != 1 or array.dtype.kind not in "biufUS"), None)
    if bad is not None or not arrays:
        raise DataError(f"{path}: {bad or 'nothing'} is no column: save one array (N,) of numbers or texts a column")
    if len({len(array) for array in arrays.values()}) > 1:
        told = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        raise DataError(f"{path}: columns of different lengths ({told}): a row needs a cell of each")
    return {name: [str(cell) for cell in (a.astype("U") if a.dtype.kind == "S" else a)] for name, a in arrays.items()}


def cells_of(records: np.ndarray, spec: TableSpec) -> dict[str, list[str]]:
    """Column name -> its cells as text, "" where a value is missing. The inverse of what filling does."""
    found: dict[str, list[str]] = {}
    for k, (name, type_) in enumerate(zip(spec.names, spec.types, strict=True)):
        own = spec.categories[k]
        column = records[:, k]
        if type_ == NUMBER:
            places = spec.decimals[k]
            if places == DATE:
                whole = np.where(np.isnan(column), 0, column).round().astype(np.int64).astype("datetime64[D]")
                found[name] = ["" if np.isnan(v) else str(day) for v, day in zip(column, whole, strict=True)]
                continue
            found[name] = ["" if np.isnan(v) else f"{v:.{places}f}" if places >= 0 else f"{v:.9g}" for v in column]
        else:
            found[name] = ["" if np.isnan(v) else own[int(v)] for v in column]
    return found


def encoded(records: np.ndarray, spec: TableSpec, format: str, mark: str) -> bytes:
    """All rows as one file of that format. Raises MissingExtra without pyarrow for Parquet."""
    cells = cells_of(records, spec)
    buffer = io.BytesIO()
    if format == "csv":
        text = io.StringIO()
        text.write(f"# {mark}\n")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(spec.names)
        rows.writerows(zip(*cells.values(), strict=True))
        return text.getvalue().encode()
    if format not in ("npz", "parquet"):
        raise GanvasError(f"tables are not written as {format}: choose csv, parquet or npz")
    columns: dict[str, Any] = {}
    for k, name in enumerate(spec.names):
        number = spec.types[k] == NUMBER and spec.decimals[k] != DATE
        columns[name] = records[:, k].astype(np.float32) if number else np.array(cells[name], dtype=np.str_)
    if format == "npz":
        if "note" in columns:
            raise GanvasError("--format npz keeps its remark under 'note', which is a column here: take csv or parquet")
        np.savez_compressed(buffer, note=np.array(mark), **columns)
        return buffer.getvalue()
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "series") from error
    arrays = {
        name: pyarrow.array(
            [None if cell == "" else value for cell, value in zip(cells[name], column.tolist(), strict=True)],
            type=pyarrow.float32() if column.dtype.kind == "f" else pyarrow.string(),
        )
        for k, (name, column) in enumerate(columns.items())
    }
    parquet.write_table(pyarrow.table(arrays).replace_schema_metadata({"note": mark}), buffer)
    return buffer.getvalue()
