"""Whether the fields of records fit together: swapped folders, swapped files, files of other shapes or numbers of slices. Each
is refused in one line.

Not for finding the rows (`layouts`, `columns`).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, SwappedFields
from ..kinds import Kind, kind_names, kind_of
from ..kinds.facets import LooksInside, Sided
from ..store.listing import Source
from .layouts import Column, Rows

MOSTLY = 0.8  # share of records from which on a few others may be the wrong way round
FIRST_LOOK, SEARCHED = 24, 5000  # records that are looked into: to know how they lie, and to find those that lie otherwise
ALIKE = 0.03  # by which the shapes of files of one record may differ, as sizes that were rounded do


def refuse_swapped(source: Source, columns: Mapping[str, Column], wanted: Mapping[str, tuple[str, ...]]) -> None:
    """SwappedFields where a look inside tells that a field holds something else, and that another holds what it should."""
    for name, kinds in wanted.items():
        inside = [kind for kind in map(kind_of, kinds) if isinstance(kind, LooksInside)]
        files = columns[name].files
        if not inside or not files or any(kind.looks_like(files) for kind in inside):
            continue
        for other, others in wanted.items():
            own = columns[other].files
            if set(kinds) <= set(others) or not own or other == name:
                continue
            kind = next((kind for kind in inside if kind.looks_like(own)), None)
            if kind is not None:
                first, second = columns[name].name, columns[other].name
                raise SwappedFields(
                    f"{source}: {second} holds {kind.says.noun}, and {first} does not: they look swapped: give  "
                    f"--fields {other}={first},{name}={second}",
                    {other: first, name: second},
                )


def told_swapped_records(source: Source, rows: Rows) -> str | None:
    """What to do about a few records whose files lie in each other's folder: nearly all have what looks like a kind (a label
    map) in the one and something else in the other, and these have it the other way round. Where most files look right, all
    are decoded. None where no records look swapped."""
    inside = [kind for kind in map(kind_of, kind_names()) if isinstance(kind, LooksInside)]
    columns = [column for column in rows.columns.values() if column.files]
    count = len(rows.names)
    few = np.unique(np.linspace(0, count - 1, min(count, FIRST_LOOK)).astype(int))
    for kind in inside if len(columns) > 1 else ():

        def looks(column: Column, chosen: np.ndarray, kind: LooksInside = kind) -> np.ndarray:
            return np.array([kind.looks_like([column.files[k]]) for k in chosen])

        for one, two in permutations(columns, 2):
            if (looks(one, few) & ~looks(two, few)).sum() < MOSTLY * len(few):
                continue
            at = np.arange(min(count, SEARCHED))
            first, second = looks(one, at), looks(two, at)
            wrong = np.flatnonzero(~first & second)
            if len(wrong):
                names = [_inside(source, own.files[wrong[0]]) for own in (two, one)]
                more = f" ({len(wrong) - 1} more like them)" if len(wrong) > 1 else ""
                return (
                    f"{names[0]} looks like {kind.says.noun} and {names[1]} does not, the other way round than in "
                    f"{(first & ~second).sum()} records of {len(at)}: they look swapped{more}: exchange these files"
                )
    return None


def refuse_other_shapes(
    source: Source, rows: Rows, chosen: np.ndarray, kinds: Mapping[str, Kind], settings: Mapping[str, Mapping[str, Any]]
) -> None:
    """Raises DataError where files of one record differ in shape and would be cropped, each its own way; where they are cut
    into patches at their own scale, where they differ in size. Sheets of frames may have as many as they like: one frame goes
    with all of another sheet."""
    sided = {name: kind for name, kind in kinds.items() if isinstance(kind, Sided) and rows.columns[name].files}
    if len(sided) < 2 or all(settings[name].get("size") is None or settings[name].get("fit") == "stretch" for name in sided):
        return
    if all(settings[name].get("fit") == "frames" for name in sided):
        return
    cut = any(settings[name].get("fit") == "patches" for name in sided)
    odd: list[tuple[Path, Path, str, str]] = []
    for k in chosen:
        files = [rows.columns[name].files[k] for name in sided]
        sides = [kind.sides(file) for kind, file in zip(sided.values(), files, strict=True)]
        (one, first), *others = zip(files, sides, strict=True)
        for other, own in others:
            if first and own and (own != first if cut else abs(first[0] * own[1] / (first[1] * own[0]) - 1) > ALIKE):
                odd.append((one, other, "x".join(map(str, first)), "x".join(map(str, own))))
                break
    if odd:
        one, other, its_size, other_size = odd[0]
        places = [_inside(source, path) for path in (one, other)]
        what, fix = ("shapes", "cropped to one size they would not fit: bring both to one shape, or choose --fit stretch")
        if cut:
            what, fix = ("sizes", "patches of them would not fit: bring both to one size, or leave --fit patches out")
        raise DataError(
            f"{source}: {len(odd)} of {len(chosen)} records have files of different {what}, the first {places[0]} ({its_size}) "
            f"and {places[1]} ({other_size}): {fix}"
        )


def rows_of_records(source: Source, found: Mapping[str, np.ndarray], rows: Rows, chosen: np.ndarray) -> np.ndarray:
    """The row (N,) of each record, where the files of a row hold several: slices of volumes, patches of pictures, frames of
    sheets.

    found: of each field the row of each of its records. Fields with one record a row go with any number.
    Raises DataError where two fields of a row hold different numbers of records.
    """
    counts = {name: np.bincount(own, minlength=len(chosen)) for name, own in found.items()}
    (most, many), *others = sorted(counts.items(), key=lambda pair: -len(found[pair[0]]))
    for name, own in others:
        if (odd := np.flatnonzero(own != many)).size and (own != 1).any():
            k = odd[0]
            one, other = (_inside(source, rows.columns[field].files[chosen[k]]) for field in (most, name))
            raise DataError(
                f"{source}: {len(odd)} of {len(chosen)} rows have files with different numbers of records, the first {one} "
                f"({many[k]}) and {other} ({own[k]}): slices, patches and frames of one row must fit"
            )
    return np.repeat(np.arange(len(chosen)), many)


def _inside(source: Source, path: Path) -> str:
    return str(path.relative_to(source.path)) if path.is_relative_to(source.path) else str(path)
