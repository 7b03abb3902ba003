"""From files to arrays: readers, the cache, splits, checks and the phantoms. Nothing is imported before it is used.

`ganvas.data.check.check` reports on data without opening it for training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dataset import Dataset, open_data
    from .readers import Picture, read, read_points, readable

__all__ = ["Dataset", "Picture", "open_data", "read", "read_points", "readable"]

_HOMES = {
    "Dataset": "dataset",
    "Picture": "readers",
    "open_data": "dataset",
    "read": "readers",
    "read_points": "readers",
    "readable": "readers",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
