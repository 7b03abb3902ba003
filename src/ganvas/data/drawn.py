"""Records of several fields from a phantom: what it draws, and the columns that tell of it. How they lie on disk: `layouts`."""

from __future__ import annotations

from ..errors import DataError
from ..store.listing import some
from .layouts import RESERVED, Column, Rows
from .phantoms import catalogue, told


def rows_of_phantom(text: str, count: int, seed: int) -> Rows:
    """What a phantom draws, and the columns that tell of it. Raises DataError for one that tells nothing."""
    columns = told(text, count, seed)
    if not columns:
        able = [name for name, phantom in catalogue().items() if phantom.told is not None]
        raise DataError(f"phantom '{text}' has no table of what its records show: take {some(able)}, or files with a table")
    values = {name: Column(name, texts={name: cells}) for name, cells in columns.items() if name not in RESERVED}
    kind = catalogue()[text.partition(":")[0]].kind
    empty: list[None] = [None] * count
    groups: list[str | None] = list(columns.get("group", empty))
    names = [f"record {k}" for k in range(count)]
    return Rows(names, {kind: Column(kind, drawn=(text, count, seed)), **values}, [*empty], groups, [*empty])
