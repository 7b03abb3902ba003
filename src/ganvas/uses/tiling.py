"""The option of uses whose networks see only what is near: large records are worked on in pieces (`inference.tiles`)."""

from __future__ import annotations

from typing import Any

from ..errors import GanvasError

TILE_HELP = "work on large records in pieces of this side; 0: whole"
LEAST = 32


def takes_one_size(system: Any) -> bool:
    """Whether its networks take records of the size of training alone (`multiple` of 0)."""
    return getattr(system, "multiple", 1) == 0


def check_tile(tile: int) -> None:
    """Raises GanvasError for a side that leaves nothing between the overlaps."""
    if tile < 0 or 0 < tile < LEAST:
        raise GanvasError(f"--tile {tile} is too small: give {LEAST} or more pixels, or 0 for the whole image at once")
