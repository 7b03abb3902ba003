"""What a data set of rows is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...specs import ADDED

NUMBER, BINARY, CLASS = "number", "binary", "class"


@dataclass(frozen=True)
class Part:
    """Where a column lies in a tensor (N, D): `width` values from `start` on. type: of the column, or `missing` for a state of
    its own (0 there, 1 missing), which stands behind its column."""

    name: str
    type: str
    start: int
    width: int


DATE = -2
"""Decimals of a number that is a date: days since 1970-01-01."""


@dataclass(frozen=True)
class State:
    """A choice that each row makes of `width` values, numbered from `start` on throughout the table: a binary value or a class
    (a gap is its last value), and of a number that may be missing whether it is (0 there, 1 missing). column: its place."""

    column: int
    start: int
    width: int


@dataclass(frozen=True)
class TableSpec:
    """Rows of named columns.

    names: of the columns. types: `number`, `binary` or `class`. categories: the texts of each column's values by index, none of
    numbers; a missing value is none of them. centre, scale: mean and standard deviation of each number in file units,
    (x - centre) / scale is about [-1, 1]; 0 and 1 of other columns. missing: whether values of the column may be missing.
    decimals: that numbers are written with; -1: as many as they have; -2 (`DATE`): days, written as dates.

    units: of columns of properties (`facets.Askable`), empty words where nobody knows; none of other tables.

    Learnt like the scale: modes: (weight, mean, standard deviation) of the Gaussians that a number is mixed of, in the units of
    a tensor. bounds: (least, greatest) of each number in file units. order: pairs of columns of which the first is never above
    the second. shares: of the values of `states`. All are empty where nothing was learnt.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    missing: tuple[bool, ...]
    decimals: tuple[int, ...]
    classes: tuple[str, ...] = ()
    kind: str = "table"
    modes: tuple[tuple[tuple[float, float, float], ...], ...] = field(default=(), metadata=ADDED)
    bounds: tuple[tuple[float, float], ...] = field(default=(), metadata=ADDED)
    order: tuple[tuple[int, int], ...] = field(default=(), metadata=ADDED)
    shares: tuple[float, ...] = field(default=(), metadata=ADDED)
    units: tuple[str, ...] = field(default=(), metadata=ADDED)

    def __post_init__(self) -> None:  # JSON has lists only
        for name in ("categories", "bounds", "order"):
            object.__setattr__(self, name, tuple(tuple(own) for own in getattr(self, name)))
        object.__setattr__(self, "modes", tuple(tuple(tuple(mode) for mode in own) for own in self.modes))
        object.__setattr__(self, "shares", tuple(self.shares))
        object.__setattr__(self, "units", tuple(self.units))

    @property
    def parts(self) -> tuple[Part, ...]:
        """The columns as they lie in a tensor: a number and a binary one take one place, a class as many as it has categories
        (and one more when it may be missing); number and binary are followed by a state `missing` where they may be."""
        found: list[Part] = []
        at = 0
        for name, type_, own, gaps in zip(self.names, self.types, self.categories, self.missing, strict=True):
            width = len(own) + gaps if type_ == CLASS else 1
            found.append(Part(name, type_, at, width))
            at += width
            if gaps and type_ != CLASS:
                found.append(Part(name, "missing", at, 1))
                at += 1
        return tuple(found)

    @property
    def states(self) -> tuple[State, ...]:
        """The choices of two values or more, in the order of the columns."""
        found: list[State] = []
        at = 0
        for column, (type_, own, gaps) in enumerate(zip(self.types, self.categories, self.missing, strict=True)):
            width = (2 if gaps else 0) if type_ == NUMBER else len(own) + gaps
            if width > 1:
                found.append(State(column, at, width))
                at += width
        return tuple(found)

    @property
    def shape(self) -> tuple[int]:
        """(D,): places of a tensor, more than there are columns."""
        last = self.parts[-1]
        return (last.start + last.width,)
