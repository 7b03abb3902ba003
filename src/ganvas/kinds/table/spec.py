"""What a data set of rows is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass

NUMBER, BINARY, CLASS = "number", "binary", "class"


@dataclass(frozen=True)
class Part:
    """Where a column lies in a tensor (N, D): `width` values from `start` on. type: of the column, or `missing` for a state of
    its own (0 there, 1 missing), which stands behind its column."""

    name: str
    type: str
    start: int
    width: int


@dataclass(frozen=True)
class TableSpec:
    """Rows of named columns.

    names: of the columns. types: `number`, `binary` or `class`. categories: the texts of each column's values by index, none of
    numbers; a missing value is none of them. centre, scale: mean and standard deviation of each number in file units,
    (x - centre) / scale is about [-1, 1]; 0 and 1 of other columns. missing: whether values of the column may be missing.
    decimals: that numbers are written with; -1: as many as they have.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(tuple(own) for own in self.categories))  # JSON has lists only

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
    def shape(self) -> tuple[int]:
        """(D,): places of a tensor, more than there are columns."""
        last = self.parts[-1]
        return (last.start + last.width,)
