"""Numbers of each record by which samples can then be asked for: a further field of the records, a table.

They are columns of a table beside the files (`sounds.csv`: file, hardness), or what the kind measures of each record
(`facets.Askable`: brightness, decay). Not for attributes that are choices, which are fields of their own (`columns`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..errors import DataError, GanvasError, did_you_mean
from ..kinds import kind_names, kind_of
from ..kinds.facets import Askable, FromNumbers, Named
from ..specs import PROPERTIES
from ..store import cache as caching
from ..store.cells import MISSING
from ..store.listing import Source, some
from ..store.records import Dataset, Field
from .layouts import from_table
from .learning import learn

MEASURED = "measured"
"""Stands for all that the kind measures."""
FEWEST = 2  # records of which a property has to be known


def with_properties(dataset: Dataset, text: str, source: Source | None = None) -> Dataset:
    """The data set with a further field `properties`. text: `brightness,decay`, or `measured`. source: where the files lie.

    A name that is a column is taken from there, whatever the kind measures. Values stay in their units; how they are scaled is
    learnt from the training records. Raises GanvasError for a name that is neither, DataError for a column of words and for
    what never changes.
    """
    kind = kind_of(dataset.spec.kind)
    askable = dict(kind.askable) if isinstance(kind, Askable) and isinstance(kind, Named) else {}
    names = [word.strip() for word in text.split(",") if word.strip()]
    names = list(dict.fromkeys(own for name in names for own in (askable if name == MEASURED and askable else [name])))
    columns = {} if source is None or dataset.origins is None else _columns(source)
    for name in names or [""]:
        if name not in columns and name not in askable:
            there = [f"measured of {kind.says.noun} are {', '.join(askable)}"] if askable else []
            there += [f"columns of the table are {some(list(columns), 8)}"] if columns else []
            close = did_you_mean(name, [*columns, *askable])
            raise GanvasError(f"--properties: no '{name}'{close}; {'; '.join(there) or 'no table lies beside the files'}")
    measured = kind.properties(np.asarray(dataset.values), dataset.spec) if isinstance(kind, Named) and askable else {}
    found: dict[str, np.ndarray] = {}
    notes, units, whole = [], [], names == list(askable) and text.strip() == MEASURED
    for name in names:
        own = _of_column(dataset, columns[name], name, source) if name in columns else np.asarray(measured[name], np.float32)
        known = own[dataset.train_indices()]
        known = known[np.isfinite(known)]
        if len(known) < FEWEST or np.ptp(known) == 0:
            told = (
                f"property '{name}' is known of {len(known)} training records"
                if len(known) < FEWEST
                else f"property '{name}' never changes"
            )
            if not whole:
                raise DataError(f"{dataset.source}: {told}: leave it out of --properties")
            notes.append(f"{told}, and was left out")
            continue
        if gaps := int((~np.isfinite(own)).sum()):
            notes.append(f"property '{name}' is not known of {gaps} of {len(own)} records, which is told as well")
        found[name] = np.where(np.isfinite(own), own, np.nan).astype(np.float32)
        units.append("" if name in columns else askable[name])
    if not found:
        raise DataError(f"{dataset.source}: no property is left to learn")
    table = next(kind_of(own) for own in kind_names() if isinstance(kind_of(own), FromNumbers))
    assert isinstance(table, FromNumbers)
    values, spec = table.of_numbers(found, units)
    key = [list(found), units, hashlib.sha256(values.tobytes()).hexdigest()]
    made = replace(
        dataset,
        fields={**dataset.fields, PROPERTIES: Field(spec, values)},
        notes=(*dataset.notes, *notes),
        fingerprint=caching.digest(dataset.fingerprint, key),
        earlier=tuple(caching.digest(print_, key) for print_ in dataset.earlier),
    )
    return learn(made, made.train_indices())


def _columns(source: Source) -> dict[str, dict[str, str]]:
    """Column of the table beside the files -> file, relative to the source -> cell."""
    rows = None if source.path.is_file() else from_table(source)
    if rows is None:
        return {}
    files = next((own.files for own in rows.columns.values() if own.files), [])
    names = [path.relative_to(source.path).as_posix() if path.is_relative_to(source.path) else path.name for path in files]
    texts = [(name, cells) for own in rows.columns.values() for name, cells in own.texts.items()]
    return {name: dict(zip(names, cells, strict=True)) for name, cells in texts}


def _of_column(dataset: Dataset, cells: Mapping[str, str], name: str, source: Source | None) -> np.ndarray:
    """(N,) float32, NaN where a cell is empty or the table lacks the file."""
    assert dataset.origins is not None
    found = []
    for file in dataset.origins.files:
        cell = cells.get(file, "")
        try:
            found.append(np.nan if cell in MISSING else float(cell))
        except ValueError:
            raise DataError(
                f"{source}: column '{name}' holds words (as '{cell[:30]}'), and properties are numbers: sort the files into "
                "sub-folders or a labels.csv by it, and ask for it with --label"
            ) from None
    return np.array(found, np.float32)[np.asarray(dataset.origins.of)]
