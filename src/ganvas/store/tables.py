"""Tables of what belongs to each file: `labels.csv` and `groups.csv`, as rows. Not for which files they name (`listing`), nor
for how tables are written (`cells`)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ..errors import DataError, did_you_mean
from .cells import EITHER, SUFFIXES, is_missing, read_cells

TABLES = ("labels", "groups")
"""Tables about the files beside them, each `.csv` or what tables may be written as besides."""
METADATA = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet")
"""Tables of an `imagefolder` or `audiofolder`: `file_name`, below the folder of the table, and columns of values."""
METADATA_COLUMNS = {"label": ("label", "labels", "class", "cls"), "group": ("group",), "split": ("split",)}
TABLE_COLUMNS = ("file", "label", "group", "split")


def is_about_files(name: str) -> bool:
    """Whether a file of that name is a table of labels or groups of the files beside it."""
    stem, _, suffix = name.rpartition(".")
    return stem in TABLES and f".{suffix}" in SUFFIXES


def tables_of(source: Path) -> list[Path]:
    """The tables of labels and groups. Raises DataError for two of one name."""
    found = []
    for stem in TABLES:
        own = [path for suffix in SUFFIXES if (path := source / f"{stem}{suffix}").is_file()]
        if len(own) > 1:
            raise DataError(f"{source}: has {own[0].name} and {own[1].name}: keep one of them")
        found += own
    return found


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]], list[str], list[str]]:
    """Known columns, rows with their line numbers, ignored columns, and what was left out, of a `labels.csv` or `groups.csv`.

    Columns: file, and any of label, group, split; how tables are read: `cells`. Raises DataError for a table without them,
    with a misspelt column, an empty cell or a row of another length.
    """
    cells = read_cells(path, decimals=False)
    header = [name.lower() for name in cells.names]
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
    known = [(name, column) for name, column in zip(header, cells.columns, strict=True) if name in TABLE_COLUMNS]
    found = []
    for place, row in enumerate(zip(*(column for _, column in known), strict=True)):
        values = {name: cell for (name, _), cell in zip(known, row, strict=True)}
        gone = next((name for name, cell in values.items() if not cell or (name != "file" and is_missing(cell))), None)
        if gone is not None:
            why = f" ('{values[gone]}' means a missing value)" if values[gone] else ""
            raise DataError(f"{path}: {cells.where(place)} has no {gone}{why}: fill it in or remove the line")
        found.append((cells.lines[place], values))
    return [name for name, _ in known], found, ignored, cells.told()


def read_metadata(path: Path) -> dict[str, dict[str, str]]:
    """name of a file -> what a `metadata.csv` says of it: label, group, split, as far as it has them. Raises DataError."""
    cells = read_cells(path, names=EITHER, counting=False)
    lower = {name.lower(): name for name in cells.names}
    columns = {role: next((lower[word] for word in words if word in lower), None) for role, words in METADATA_COLUMNS.items()}
    known = {role: column for role, column in columns.items() if column is not None}
    if "file_name" not in lower or not known:
        return {}
    return {
        row[lower["file_name"]].strip().replace("\\", "/").removeprefix("./"): {
            role: row[column] for role, column in known.items() if not is_missing(row[column])
        }
        for row in cells.rows()
    }
