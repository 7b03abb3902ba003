"""What a first pass over pictures counts, and the notes that come of it: what was skipped, changed, or is worth knowing.

Holds counts and a few names, so that its size does not grow with the number of pictures. Not for reading them (`filling`,
`members`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...store.entry import NOTED
from ...store.listing import some
from .resize import PIECES

PLANES = ("sagittal", "coronal", "axial")
FIRST = 4  # names that are kept of many


@dataclass
class Row:
    """One decoded picture, ready to be written."""

    pixels: np.ndarray
    thumb: np.ndarray
    content: bytes
    native: tuple[int, int]
    colours: int
    depth: int
    low: float
    high: float
    least: float
    most: float
    spacing: tuple[float, float] | None
    group: str | None
    label: str | None
    warnings: tuple[str, ...]
    enlarged: bool
    axis: int | None
    heldout: bool | None
    absolute: bool


class Names:
    """How many names, and the first of them; a name that comes again at once counts once."""

    def __init__(self) -> None:
        self.count, self.first, self._last = 0, list[str](), ""

    def add(self, name: str) -> None:
        if self.count and name == self._last:
            return
        self.count, self._last = self.count + 1, name
        if self.count <= FIRST:
            self.first.append(name)

    def some(self, most: int = 3) -> str:
        """`a.png, b.png, c.png and 7 more`."""
        shown = ", ".join(self.first[:most])
        return shown if self.count <= most else f"{shown} and {self.count - most} more"


def merged(several: Iterable[Names]) -> Names:
    """All names of several together."""
    found = Names()
    for names in several:
        found.count += names.count
        found.first = (found.first + names.first)[:FIRST]
    return found


class Tally:
    """Of the pictures of a data set, with the settings that they are brought to."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.count = 0
        self.warned: dict[str, Names] = {}
        self.beyond = Names()
        self.cut: dict[tuple[int, str], None] = {}
        self.groups: set[str | None] = set()
        self.enlarged = self.changed = 0
        self.odd: Counter[tuple[int, int]] = Counter()

    def add(self, row: Row, name: str) -> None:
        """Count a picture of the file `name`."""
        self.count += 1
        for warning in row.warnings:
            self.warned.setdefault(warning, Names()).add(name)
        if row.axis is not None:
            self.cut[row.axis, name] = None
        if row.high > row.low and row.most > row.least and (row.least >= row.high or row.most <= row.low):
            self.beyond.add(name)
        if self.settings["fit"] in PIECES:
            self.groups.add(row.group)
        elif wanted := self.settings["size"]:
            self.enlarged += row.enlarged
            if abs(row.native[0] * wanted[1] / (row.native[1] * wanted[0]) - 1) > 0.02:
                self.odd[row.native] += 1
        if self.settings["channels"] is not None:
            self.changed += row.colours != self.settings["channels"]

    def notes(self, before: list[str], skipped: list[tuple[str, str]]) -> list[str]:
        """One line each, behind those of the listing. skipped: (file, why)."""
        notes = list(before)
        for name, reason in skipped[:NOTED]:
            notes.append(f"skipped {reason}" if name in reason else f"skipped {name}: {reason}")
        if len(skipped) > NOTED:
            notes.append(f"skipped {len(skipped) - NOTED} more unreadable files: ganvas data check lists them all")
        notes += [f"{warning} ({names.some()})" for warning, names in self.warned.items()]
        if (told := axes_apart(list(self.cut))) is not None:
            notes.append(told)
        if self.beyond.count:
            notes.append(
                "all values lie beyond the black and white that the file declares, so nothing would be seen "
                f"({self.beyond.some()})"
            )
        if (fit := self.settings["fit"]) in PIECES:
            high, wide = self.settings["size"]
            notes.append(f"{len(self.groups)} pictures were cut into {self.count} {fit} of {high}x{wide} at their own scale")
        elif wanted := self.settings["size"]:
            if self.enlarged:
                notes.append(f"{self.enlarged} of {self.count} pictures were smaller than {wanted[0]}x{wanted[1]} and enlarged")
            if self.odd:
                (high, wide), many = self.odd.most_common(1)[0]
                verb = {"crop": "cropped", "pad": "padded", "stretch": "stretched"}[self.settings["fit"]]
                notes.append(
                    f"{sum(self.odd.values())} of {self.count} pictures were {verb} to {wanted[0]}x{wanted[1]} ({many} are "
                    f"{high}x{wide})"
                )
        if (colours := self.settings["channels"]) is not None and self.changed:
            notes.append(f"{self.changed} of {self.count} pictures were turned into {'grey' if colours == 1 else 'colour'}")
        return notes


def axes_apart(cut: Sequence[tuple[int | None, str]]) -> str | None:
    """A warning where volumes were cut along different axes: their slices are different pictures. cut: (axis, file) of each."""
    files: dict[int, dict[str, None]] = {}
    for axis, name in cut:
        if axis is not None:
            files.setdefault(axis, {})[name] = None
    if len(files) < 2:
        return None
    told = ", ".join(f"{PLANES[axis]} {some(list(names), 2)}" for axis, names in sorted(files.items()))
    common = max(files, key=lambda axis: len(files[axis]))
    return f"volumes were cut along different axes ({told}): --axis {common} cuts all into {PLANES[common]} slices"
