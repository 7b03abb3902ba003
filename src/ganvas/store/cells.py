"""Tables as text: columns and cells of CSV, TSV, JSON lines and Parquet. Not for what the cells mean."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from ..errors import DataError, MissingExtra


def read_cells(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a table as text: CSV, JSON lines or Parquet. Raises DataError in one line."""
    try:
        if path.suffix.lower() == ".jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
            if not all(isinstance(row, dict) for row in rows):
                raise DataError(f"{path}: not one JSON object a line")
        elif path.suffix.lower() == ".parquet":
            try:
                from pyarrow import parquet
            except ImportError as error:
                raise MissingExtra("pyarrow", "series") from error
            rows = parquet.read_table(path).to_pylist()
        else:
            text = path.read_bytes().decode("utf-8-sig")
            while text.startswith("#"):  # remarks above the header, as samples have them
                text = text.partition("\n")[2]
            head = text.splitlines()[0] if text.strip() else ""
            separator = max(",;\t", key=head.count)
            columns = next(csv.reader([head], delimiter=separator), [])
            twice = next((name for name in columns if columns.count(name) > 1), None)
            if twice is not None:
                raise DataError(f"{path}: column '{twice}' appears twice: keep one")
            rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
            if any(None in row or None in row.values() for row in rows):
                number = next(k for k, row in enumerate(rows, 2) if None in row or None in row.values())
                raise DataError(f"{path}: line {number} has another number of cells than the header: mend that line")
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({' '.join(str(error).split())[:120]})") from error
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    return names, [{name: "" if row.get(name) is None else str(row[name]) for name in names} for row in rows]
