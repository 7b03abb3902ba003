"""Tables of what belongs to each file: `labels.csv` and `groups.csv`, as rows. Not for which files they name (`listing`)."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

from ..errors import DataError, did_you_mean

TABLE_COLUMNS = ("file", "label", "group", "split")


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]], list[str]]:
    """Known columns, rows with their line numbers, and ignored columns of a `labels.csv` or `groups.csv`.

    Columns: file, and any of label, group, split; comma, semicolon or tab. Raises DataError for a table without them,
    with a misspelt column, an empty cell or a row of another length.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}): save the table as UTF-8 CSV") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    lines = text.split("\n")
    if not text.strip():
        raise DataError(f"{path}: empty; its first line must name the columns, as in  file,label")
    separator = max(",;\t", key=lines[0].count)
    try:
        # Not line by line: a name in quotes may hold line breaks of any kind.
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV table ({error}): write one line a file, as in  a.png,normal") from error
    header = [cell.strip().lower() for cell in rows[0]]
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"{path}: column '{twice[0]}' appears twice: keep one")
    ignored = []
    for name in header:
        if name not in TABLE_COLUMNS:
            near = did_you_mean(name, TABLE_COLUMNS)
            if near:
                raise DataError(f"{path}: unknown column '{name}'{near}: columns are {', '.join(TABLE_COLUMNS)}")
            ignored.append(name)
    if "file" not in header or not set(header) & {"label", "group", "split"}:
        raise DataError(f"{path}: columns are '{', '.join(header)}'; needed is 'file' with one or more of label, group, split")
    found = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise DataError(f"{path}: line {number} has {len(row)} cells, the header {len(header)}: mend that line")
        values = {name: cell.strip() for name, cell in zip(header, row, strict=True) if name in TABLE_COLUMNS}
        empty = [name for name, cell in values.items() if not cell]
        if empty:
            raise DataError(f"{path}: line {number} has no {empty[0]}: fill it in or remove the line")
        found.append((number, values))
    return [name for name in header if name in TABLE_COLUMNS], found, ignored
