"""The form of sequences, learnt from records: places at which the same symbol always stands, such as the spaces of a verse.

A system that writes sequences need not learn these and may be given them (`networks.forms`). Not for what is likely: a place
counts where all records of that length agree. Only of a separator, which stands at such places and nowhere else, may one record
in a hundred be without it: a line that somebody forgot to break does not undo the form of all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...store.listing import counted, some
from .spec import FREE, TokensSpec

if TYPE_CHECKING:
    from ...metrics.measure import Measure
    from ..facets import Side

FEWEST = 20  # records of a length, by which a form can be told from chance
MOST = 16  # forms
COVERED = 0.98  # share of the records that have one of the forms
NEARLY = 0.99  # share of the records that must have a separator where it belongs; of other symbols, those that lack it are told


@dataclass
class _Found:
    """Records of one length that have a form. given: (length of the spec,) symbol at each place, FREE where several stand."""

    rows: np.ndarray
    length: int
    given: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """Places within the sequence that always hold the same symbol."""
        return np.flatnonzero(self.given[: self.length] != FREE)


def learn(spec: TokensSpec, values: np.ndarray, rows: np.ndarray) -> tuple[TokensSpec, str]:
    """The spec with the forms of the records at `rows` of values (N, length), and what a user should know of them."""
    records = np.asarray(values[rows])
    lengths = lengths_of(records, spec)
    found = [_form(records, np.flatnonzero(lengths == length), int(length)) for length in np.unique(lengths)]
    many = sorted((own for own in found if len(own.rows) >= FEWEST), key=lambda own: -len(own.rows))
    forms = [own for own in many if len(own.kept)]
    count = sum(len(own.rows) for own in forms)
    bare = replace(spec, forms=(), shares=(), apart=())
    if not 0 < len(forms) <= MOST or count < COVERED * len(records):
        return bare, _nearly(records, spec, many)
    free = {int(s) for own in forms for s in np.unique(records[own.rows][:, own.given == FREE])}
    apart = sorted({int(s) for own in forms for s in own.given[own.given != FREE]} - free)
    learnt = replace(
        spec,
        forms=tuple(tuple(int(s) for s in own.given) for own in forms),
        shares=tuple(len(own.rows) / count for own in forms),
        apart=tuple(apart),
    )
    told = "; ".join(_told(own, spec, len(own.rows) / count) for own in forms)
    rest = len(records) - count
    return learnt, f"form, given to what writes sequences: {told}" + (
        f"; {rest} of {len(records)} have another form, which is not written" if rest else ""
    )


def lengths_of(records: np.ndarray, spec: TokensSpec) -> np.ndarray:
    """(N,) symbols up to the end."""
    if not spec.ends:
        return np.full(len(records), spec.length)
    ended = records == 0
    return np.where(ended.any(axis=1), ended.argmax(axis=1), spec.length)


def in_form(records: np.ndarray, spec: TokensSpec) -> np.ndarray:
    """(N,) bool: whether sequences have one of the spec's forms: its symbols at its places, and at no others."""
    records = np.asarray(records)
    fits = np.zeros(len(records), bool)
    for form in np.asarray(spec.forms, np.int64).reshape(-1, spec.length):
        given = form != FREE
        fits |= (records[:, given] == form[given]).all(axis=1) & ~np.isin(records[:, ~given], spec.apart).any(axis=1)
    return fits


def measured(made: Side, train: Side, heldout: Side) -> dict[str, Measure]:
    """`in_form`: the share of samples that have a form of the training records, and that of held-out ones (`real`); nothing
    where these have none. All sides have one vocabulary."""
    from ...metrics.measure import Measure
    from ...metrics.sets import share_interval

    spec, _ = learn(train[1], train[0], np.arange(len(train[0])))
    if not spec.forms:
        return {}
    value, count = float(in_form(made[0], spec).mean()), len(made[0])
    more = {"real": float(in_form(heldout[0], spec).mean()), "forms": len(spec.forms)}
    return {"in_form": Measure(value, f"share in form/n={count}", *share_interval(value, count), more)}


def _form(records: np.ndarray, rows: np.ndarray, length: int) -> _Found:
    """What records (at `rows`) of one length agree on, and those of them that do."""
    rows = rows[_separated(records[rows], length)]
    own = records[rows]
    return _Found(rows, length, np.where((own == own[0]).all(axis=0), own[0], FREE).astype(np.int64))


def _separated(own: np.ndarray, length: int) -> np.ndarray:
    """(N,) bool: records (N, T) that have every separator of nearly all where it belongs, and nowhere else."""
    agreed = np.array([np.bincount(column).max() for column in own.T[:length]])
    common = np.array([np.bincount(column).argmax() for column in own.T[:length]])
    places = np.flatnonzero(agreed >= NEARLY * len(own))
    keeps = np.ones(len(own), bool)
    for symbol in np.unique(common[places]):
        here = places[common[places] == symbol]
        found = own[:, :length] == symbol
        fits = found[:, here].all(axis=1) & (found.sum(axis=1) == len(here))
        if fits.mean() >= NEARLY:
            keeps &= fits
    return keeps if keeps.mean() >= NEARLY else np.ones(len(own), bool)


def _told(own: _Found, spec: TokensSpec, share: float) -> str:
    of = f"of {counted(own.length, 'symbol')}" + ("" if share == 1 else f" ({share:.0%})")
    return f"{_places(spec, own.kept, own.given[own.kept])} {of}"


def _places(spec: TokensSpec, places: Sequence[int] | np.ndarray, symbols: Sequence[int] | np.ndarray) -> str:
    """`'/' at 6, 12, '.' at 18`, places counted from 1."""
    at: dict[str, list[str]] = {}
    for place, symbol in zip(places, symbols, strict=True):
        at.setdefault(spec.symbols[symbol], []).append(str(place + 1))
    return ", ".join(f"'{symbol}' at {some(own, 8)}" for symbol, own in at.items())


def _nearly(records: np.ndarray, spec: TokensSpec, forms: list[_Found]) -> str:
    """A line on a form that a few records do not have."""
    if not forms:
        return ""
    own = records[forms[0].rows]
    most = np.array([np.bincount(column).max() for column in own.T])
    places = [p for p in range(forms[0].length) if most[p] >= NEARLY * len(own)]
    common = [int(np.bincount(own[:, p]).argmax()) for p in places]
    odd = int((own[:, places] != common).any(axis=1).sum()) if places else 0
    if not odd or odd > (1 - NEARLY) * len(own):
        return ""
    told = _places(spec, places, common)
    return f"all but {odd} of {len(own)} sequences have {told}: without them this would be kept as their form"
