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
    """The settings with what is chosen for the user: the options of data that a system's card names, records of a phantom."""
    from ..data.phantoms import is_phantom

    fit = settings.fit or card.options.get("fit", "crop")
    settings = dataclasses.replace(settings, fit=fit, size=settings.size or card.options.get("size"))
    if settings.phantom_count is None and is_phantom(settings.data) and place_of(settings.data) is None:
        settings = dataclasses.replace(settings, phantom_count=_phantom_count(settings.data))
    return settings


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
        fit=settings.fit or "crop",
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


def reopen(record: RunRecord, processes: Any) -> Any:
    if record.settings.data == "array":
        raise GanvasError(
            f"{record.path} was trained on an array in memory: resume it from Python,  ganvas.train(None, array, resume=...)"
        )
    from ..data.phantoms import is_phantom

    if not processes.leads:  # the first process fills the cache, the others read it
        processes.wait()
    origin = record.settings.data
    if place_of(origin) is None and not is_phantom(origin):
        raise DataError(
            f"{origin} is not there any more: put it back, or say where it is now:  ganvas train --resume {record.path} --data "
            "NEWPLACE"
        )
    dataset = open_run_data(record.settings, card=record.card)
    if processes.leads:
        processes.wait()
    return _unchanged(record, dataset)


def same_data(record: RunRecord, data: Any) -> Any:
    return _unchanged(record, open_run_data(record.settings, source=data, card=record.card))


def _unchanged(record: RunRecord, dataset: Any) -> Any:
    if dataset.fingerprint != record.data["fingerprint"]:
        raise GanvasError(
            f"{record.settings.data} has changed since {record.path} began: put the data back, name the place it was moved to "
            f"with --data, or start a new run with  --init-from {record.path}"
        )
    return dataset
