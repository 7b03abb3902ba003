"""What readers of several kinds do alike: look through the records that files make, and find the array of an archive.

Not for what a record is, which each kind says itself, nor for walking folders (`listing`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import DataError
from .guard import failure
from .listing import Listing, counted

Unit = TypeVar("Unit")


def looked_through(
    listing: Listing, bundles: Sequence[str], look: Callable[[str, list[int]], Unit], noun: str, *, progress: bool,
    strict: bool, skipped: list[tuple[str, str]],
) -> list[Unit]:  # fmt: skip
    """What `look` says of each record, in order: of its name and the places of its files in the listing.

    bundles: of which record each file is a part (`facets.Bundles`). What cannot be read goes to `skipped` with the reason; it
    is an error where it is the only record, where all are such, and when `strict`. Raises DataError.
    """
    from .cache import in_parallel

    parts: dict[str, list[int]] = {}
    for place, name in enumerate(bundles):
        parts.setdefault(name, []).append(place)

    def told(name: str) -> tuple[Unit | None, str]:
        try:
            return look(name, parts[name]), ""
        except DataError as error:
            return None, str(error)

    units = []
    for name, (unit, reason) in zip(parts, in_parallel(told, list(parts), what="looking", progress=progress), strict=True):
        if unit is not None:
            units.append(unit)
        elif strict or len(parts) == 1:
            raise DataError(reason)
        else:
            skipped.append((name, reason))
    if not units:
        raise DataError(f"{listing.source}: none of {counted(len(parts), noun)} could be read: {skipped[0][1]}")
    return units


def array_of(
    path: Path, archive: Any, keys: Sequence[str], noun: str, labels: Collection[str], beside: Collection[str] = ("note",)
) -> tuple[np.ndarray, np.ndarray | None]:
    """(the array, its labels) of an opened `.npz`: under the first of `keys` that is there, or under the only other name.

    noun: what the array holds, as in `solids`. labels: names under which labels may lie; beside: names of what is neither.
    Raises DataError.
    """
    members = list(archive.files)
    own = next((key for key in labels if key in members), None)
    others = [key for key in members if key not in (*labels, *beside)]
    key = next((key for key in keys if key in members), others[0] if len(others) == 1 else None)
    if key is None:
        found = ", ".join(sorted(members)[:8]) or "nothing"
        raise failure(path, f"has no array '{keys[0]}' but {found}", f"save the {noun} under the key '{keys[0]}'")
    classes = None if own is None else archive[own]
    if classes is not None and (classes.ndim != 1 or classes.dtype.kind not in "iubU"):
        told = f"has labels of {classes.dtype} {classes.shape}"
        raise failure(path, told, f"give one whole number or name per {noun.removesuffix('s')}")
    return archive[key], classes
