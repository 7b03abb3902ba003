"""What specs learn from records (`facets.Learns`), such as a scale, comes from those that are trained on.

Not for the split (`store.splits`), nor for which records a system is fed with (`streams.trained_rows`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..kinds import kind_of
from ..kinds.facets import Learns
from ..specs import REAL
from ..store.records import Dataset


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


def as_trained(dataset: Dataset, specs: Mapping[str, Any]) -> Dataset:
    """The data set of a run with what the run's specs, by field, learnt when it began."""
    fields = dict(dataset.fields)
    for name, field in dataset.fields.items():
        kind = kind_of(field.spec.kind)
        if isinstance(kind, Learns) and name in specs:
            learnt = {entry: getattr(specs[name], entry) for entry in kind.learnt}
            fields[name] = replace(field, spec=replace(field.spec, **learnt))
    return replace(dataset, fields=fields)
