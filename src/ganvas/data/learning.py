"""What specs learn from records (`facets.Learns`), such as a scale, comes from those that are trained on.

Not for the split (`store.splits`), nor for dealing records (`streams`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kinds import kind_of
from ..kinds.facets import Learns
from ..specs import REAL
from ..store.records import Dataset

if TYPE_CHECKING:
    from ..game import Feed


def learn(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """The data set with specs learnt from the records at `rows` (indices); the same one where nothing changes."""
    fields, notes, changed = dict(dataset.fields), list(dataset.notes), False
    for name, field in dataset.fields.items():
        kind = kind_of(field.spec.kind)
        if field.declared or not isinstance(kind, Learns) or not len(rows):
            continue
        spec, told = kind.learn(field.spec, field.values, rows)
        told = told if name == REAL or not told else f"{name}: {told}"
        notes = [note for note in notes if note != field.told or not note] + ([told] if told else [])
        changed |= spec != field.spec or told != field.told
        fields[name] = replace(field, spec=spec, told=told)
    return replace(dataset, fields=fields, notes=tuple(notes)) if changed else dataset


def trained_rows(dataset: Dataset, feeds: Mapping[str, Feed]) -> np.ndarray:
    """Indices (ascending) of the training records that a system's streams deal: all, or those of the classes it chose."""
    rows = dataset.train_indices()
    if dataset.labels is None or any(not feed.of and not feed.labelled for feed in feeds.values()):
        return rows
    labels = dataset.labels[rows]
    dealt = np.zeros(len(rows), bool)
    for feed in feeds.values():
        dealt |= np.isin(labels, list(feed.of.values())) if feed.of else labels >= 0
    return rows[dealt]


def as_trained(dataset: Dataset, specs: Mapping[str, Any]) -> Dataset:
    """The data set of a run with what the run's specs, by field, learnt when it began."""
    fields = {
        name: replace(field, spec=as_learnt(field.spec, specs[name])) if name in specs else field
        for name, field in dataset.fields.items()
    }
    return replace(dataset, fields=fields)


def as_learnt(spec: Any, other: Any) -> Any:
    """The spec with what another one of its kind learnt: records of both on one scale. As it is, where their parts (quantities,
    columns, symbols) are others: nothing of the one is said of the other."""
    kind = kind_of(spec.kind)
    if not isinstance(kind, Learns) or other.kind != spec.kind:
        return spec
    if any(getattr(spec, parts, ()) != getattr(other, parts, ()) for parts in ("names", "symbols")):
        return spec
    return replace(spec, **{name: getattr(other, name) for name in kind.learnt})
