"""From files to arrays: readers, the cache, splits, checks and the phantoms. Nothing is imported before it is used.

`ganvas.data.check.check` reports on data without opening it for training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..kinds.image.picture import Picture
    from ..kinds.image.readers import read, readable
    from ..kinds.points.files import read_points
    from .dataset import Dataset, open_data

__all__ = ["Dataset", "Picture", "open_data", "read", "read_points", "readable"]

_HOMES = {
    "Dataset": ".dataset",
    "Picture": "..kinds.image.picture",
    "open_data": ".dataset",
    "read": "..kinds.image.readers",
    "read_points": "..kinds.points.files",
    "readable": "..kinds.image.readers",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
