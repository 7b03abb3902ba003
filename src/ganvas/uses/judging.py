"""What uses share that make records to be judged, or measure: pieces through a network, rows, an area under a curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GanvasError
from ..kinds import kind_of
from ..kinds.facets import Paired
from . import Beside, Work

if TYPE_CHECKING:
    from ..store.records import Dataset

PIECE = 32  # records that go through a network together
LEAST = 10  # held-out records, to judge by


def random_rows(count: int, wanted: int, seed: int) -> np.ndarray:
    """`wanted` of `count` places, in order, from the seed alone."""
    return np.sort(np.random.default_rng([seed, 0x5E7]).choice(count, wanted, replace=False))


def at_most(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The rows, or `count` of them."""
    return rows if len(rows) <= count else rows[random_rows(len(rows), count, seed)]


def held_rows(dataset: Dataset, count: int, seed: int, doing: str) -> np.ndarray:
    """At most `count` held-out rows. Raises GanvasError when there are fewer than ten. doing: as in `restoring`."""
    held = dataset.heldout_indices()
    if len(held) < LEAST:
        raise GanvasError(f"{dataset.source} holds out {len(held)} records: {doing} is judged on {LEAST} or more")
    return at_most(held, count, seed)


def told_pairs(work: Work) -> str:
    """For a note: whether made records of this kind are compared with the true ones, and by what."""
    kind = kind_of(work.spec.kind)
    if isinstance(kind, Paired):
        return f"; {kind.pair_measure} compares pairs"
    return f"; {kind.says.noun} are judged as a set, and compared with their originals by retrieval alone"


def as_given(records: np.ndarray) -> Beside:
    """Nothing done: the anchor of every use that changes records."""
    return Beside(records, "the given records as they are")


def in_pieces(work: Work, fields: dict[str, np.ndarray], function: Callable[[dict[str, Any]], Any]) -> list[Any]:
    """Fields in file units, name -> (N, ...), through a function of game tensors; what it makes, a piece after the other.

    Noise begins anew, and goes on from piece to piece.
    """
    import torch

    work.renew()
    made = []
    count = len(next(iter(fields.values())))
    with torch.no_grad():
        for start in range(0, count, PIECE):
            given = {
                name: work.encode(np.asarray(values[start : start + PIECE]), work.fields[name])
                for name, values in fields.items()
            }
            made.append(function(given))
    return made


def decoded(work: Work, made: list[Any]) -> np.ndarray:
    """Tensors of the main field -> records in file units."""
    from ..kinds import decode

    return np.concatenate([decode(piece, work.spec) for piece in made])


def both(
    work: Work, fresh: Any, fields: dict[str, np.ndarray], function: Callable[[Work, dict[str, Any]], Any]
) -> tuple[np.ndarray, np.ndarray]:
    """What the run makes of fields in file units, and what the system makes with fresh weights."""

    def side(own: Work) -> np.ndarray:
        return decoded(own, in_pieces(own, fields, lambda given: function(own, given)))

    return side(work), side(replace(work, system=fresh))


def only(dataset: Dataset, index: int) -> Dataset:
    """The records of one class, without labels."""
    from ..store.records import Field

    if dataset.labels is None:
        return dataset
    rows = np.flatnonzero(dataset.labels == index)
    return replace(
        dataset,
        fields={
            name: Field(replace(part.spec, classes=()), np.asarray(part.values[rows])) for name, part in dataset.fields.items()
        },
        labels=None,
        groups=dataset.groups[rows],
        heldout=dataset.heldout[rows],
        origins=None if dataset.origins is None else replace(dataset.origins, of=dataset.origins.of[rows]),
    )


def area_interval(value: float, m: int, n: int) -> tuple[float, float]:
    """95 % of an area under the ROC curve of m and n records (Hanley and McNeil 1982, doi 10.1148/radiology.143.1.7063747,
    eq. 2)."""
    first, second = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value) + (m - 1) * (first - value**2) + (n - 1) * (second - value**2)
    error = float(np.sqrt(max(spread, 0.0) / (m * n)))
    return max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error)
