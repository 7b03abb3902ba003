"""Columns of a table as codes, which networks are told and read: the attributes of pictures. No networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..borders import settled
from ..errors import GanvasError, did_you_mean

if TYPE_CHECKING:
    from ..batches import Noise

KEPT = 4096  # rows of a table that are remembered: what is shown together, for samples that leave it open


@dataclass(frozen=True)
class Column:
    """An attribute: its values, its place in the codes, and in the tensors of the table (`gap`: of the state `missing`)."""

    name: str
    values: tuple[str, ...]
    start: int
    place: int
    gap: int | None

    @property
    def own(self) -> slice:
        return slice(self.start, self.start + len(self.values))


def columns_of(spec: Any, wanted: tuple[str, ...], system: str) -> list[Column]:
    """The columns of a table that can be learnt, those of `wanted` or all. system: its name, for messages.

    Raises GanvasError for one that the table has not, and for numbers.
    """
    values = {name: own for name, own in zip(spec.names, spec.categories, strict=True) if len(own) > 1}
    for name in wanted:
        if name not in spec.names:
            raise GanvasError(f"{system}: no column '{name}'{did_you_mean(name, list(values))}: there are {', '.join(values)}")
        if name not in values:
            raise GanvasError(f"{system}: '{name}' has no values to choose from: columns that have are {', '.join(values)}")
    if not values:
        raise GanvasError(
            f"{system} needs a column of words or of few whole numbers, and the table has none: add one (glasses: yes, no)"
        )
    places = {part.name: part for part in spec.parts if part.type != "missing"}
    gaps = {part.name: part.start for part in spec.parts if part.type == "missing"}
    found: list[Column] = []
    for name in wanted or values:
        found.append(Column(name, values[name], sum(len(c.values) for c in found), places[name].start, gaps.get(name)))
    return found


def exclusive(columns: Sequence[Column], groups: Sequence[str], system: str) -> list[list[Column]]:
    """Binary columns of which at most one is on, from names joined by `+`. Raises GanvasError for another kind of column."""
    known = {column.name: column for column in columns}
    for name in (name for group in groups for name in group.split("+")):
        if len(known[name].values if name in known else ()) != 2:
            binary = ", ".join(own for own, column in known.items() if len(column.values) == 2) or "none"
            raise GanvasError(f"{system}: exclusive names '{name}', which is no binary column that is learnt: {binary}")
    return [[known[name] for name in group.split("+")] for group in groups]


def codes_of(columns: Sequence[Column], attributes: Tensor) -> Tensor:
    """Rows of a table (B, D) in the form of the game -> codes (B, values of all columns): 1 at the value, 0 throughout where it
    is not known."""
    found = []
    for column in columns:
        if len(column.values) == 2:
            on = attributes[:, column.place, None]
            own = torch.cat([1 - on, on], 1)
            found.append(own if column.gap is None else own * (1 - attributes[:, column.gap, None]))
        else:
            found.append(attributes[:, column.place : column.place + len(column.values)])
    return torch.cat(found, 1)


def shown_in(columns: Sequence[Column], codes: Tensor) -> Tensor:
    """Codes (B, values of all columns) -> the index of each attribute's value (B, attributes) int64, -1 where not known."""
    found = [torch.where(own.sum(1) > 0, own.argmax(1), -1) for own in (codes[:, column.own] for column in columns)]
    return torch.stack(found, 1)


def codes_for(columns: Sequence[Column], shown: Tensor) -> Tensor:
    """The way back of `shown_in`: (B, attributes) int64 -> codes (B, values of all columns) int64."""
    found = []
    for place, column in enumerate(columns):
        known = shown[:, place, None] >= 0
        found.append(one_hot(shown[:, place].clamp(min=0), len(column.values)) * known)
    return torch.cat(found, 1)


# The latest rows that were learnt from, in two buffers of a system: rows (KEPT, columns) int64 and seen (), how many there were


def remember(rows: Tensor, seen: Tensor, columns: Sequence[Column], codes: Tensor) -> None:
    """Write the rows of codes (B, values of all columns) over the oldest ones, without waiting for the device."""
    latest = shown_in(columns, codes[-KEPT:])
    rows[(seen + torch.arange(len(latest), device=latest.device)) % KEPT] = latest
    seen += len(latest)


def remembered(rows: Tensor, seen: Tensor) -> Tensor:
    """Those that are there (N, columns)."""
    return rows[: settled(lambda: int(seen.clamp(max=KEPT)))]


def drawn_rows(rows: Tensor, seen: Tensor, count: int, noise: Noise) -> Tensor:
    """(count, columns) of those that are there, drawn at random."""
    return rows[noise.integers(KEPT, count) % seen.clamp(1, KEPT)]
