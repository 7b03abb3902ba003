"""The data of a run: opened at the size it trains at, opened again when it goes on, refused when it has changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, GanvasError
from ..kinds import kind_of
from ..kinds.facets import Suits
from ..registry import Card
from ..store.listing import Source
from .load import RunRecord, place_of
from .settings import Settings, parse_size


def with_options(settings: Settings, card: Card) -> Settings:
    """The settings with the options of data that a system's card names, where the user names none."""
    return dataclasses.replace(
        settings, fit=settings.fit or card.options.get("fit"), size=settings.size or card.options.get("size")
    )


def open_run_data(settings: Settings, *, source: Any = None, progress: bool = False, card: Card) -> Any:
    """The data set of a run, from its settings (from the cache when it was opened before).

    card: of the system, which says what it learns from where the files leave that open, and which fields.
    """
    from ..data.dataset import open_data
    from ..data.finding import recognise, source_of

    kinds, fields = card.data, card.fields or None
    origin = settings.data if source is None else source
    if isinstance(origin, str | Path):
        origin = source_of(origin)  # walked once, however often it is looked at
    size = parse_size(settings.size)
    if size is None and isinstance(origin, Source | np.ndarray):
        kind = kind_of(recognise(origin, kinds))
        size = kind.suitable(origin) if isinstance(kind, Suits) else None
    return open_data(
        origin,
        size=size,
        channels=settings.channels,
        fit=settings.fit,
        axis=settings.axis,
        heldout=settings.heldout,
        seed=settings.seed if settings.split_seed is None else settings.split_seed,
        strict=settings.strict,
        phantom_count=settings.phantom_count or _phantom_count(origin),
        progress=progress,
        rate=settings.rate,
        kinds=kinds,
        fields=fields,
        columns=settings.fields,
    )


def _phantom_count(origin: Any) -> int:
    """How many records of a phantom are enough."""
    from ..data.phantoms import catalogue

    phantom = catalogue().get(str(origin).partition(":")[0])
    if phantom is None:
        return 1
    return phantom.count or kind_of(phantom.kind).says.phantom_count


def data_of(record: RunRecord, *, source: Any = None, progress: bool = False) -> Any:
    """The data set that a run was trained on, with what its specs learnt then (a scale); other data, in `source`, as it is."""
    from ..data.learning import as_trained

    dataset = records_of(record, source=source, progress=progress)
    return as_trained(dataset, record.fields) if dataset.fingerprint == record.data["fingerprint"] else dataset


def records_of(record: RunRecord, *, source: Any = None, progress: bool = False) -> Any:
    """The data set that a run's settings lead to now."""
    dataset = open_run_data(record.settings, source=source, progress=progress, card=record.card)
    if dataset.fingerprint == record.data["fingerprint"] or record.settings.fit != "crop":
        return dataset
    # Runs from before say `crop` where nobody did, also of recordings that were cut into clips.
    before = dataclasses.replace(record.settings, fit=None)
    other = open_run_data(before, source=source, progress=progress, card=record.card)
    return other if other.fingerprint == record.data["fingerprint"] else dataset


def data_again(record: RunRecord) -> Any:
    """The data set that a run was trained on. Raises DataError when it is not there any more, GanvasError when it has changed
    or was an array in memory."""
    from ..data.phantoms import is_phantom

    origin = record.settings.data
    if origin == "array":
        raise GanvasError(
            f"{record.path} was trained on an array in memory: resume it from Python,  ganvas.train(None, array, resume=...)"
        )
    if place_of(origin) is None and not is_phantom(origin):
        raise DataError(
            f"{origin} is not there any more: put it back, or say where it is now:  ganvas train --resume {record.path} --data "
            "NEWPLACE"
        )
    return _unchanged(record, data_of(record))


def reopen(record: RunRecord, processes: Any) -> Any:
    """The same in each of several processes: the first one fills the cache, the others read it."""
    if not processes.leads:
        processes.wait()
    dataset = data_again(record)
    if processes.leads:
        processes.wait()
    return dataset


def same_data(record: RunRecord, data: Any) -> Any:
    return _unchanged(record, data_of(record, source=data))


def _unchanged(record: RunRecord, dataset: Any) -> Any:
    if dataset.fingerprint != record.data["fingerprint"]:
        raise GanvasError(
            f"{record.settings.data} has changed since {record.path} began: put the data back, name the place it was moved to "
            f"with --data, or start a new run with  --init-from {record.path}"
        )
    return dataset
