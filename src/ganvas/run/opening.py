"""The data of a run and its Engine: opened at the size it trains at, opened again when it goes on, refused when changed.

A run keeps the held-out part that it recorded when it began (`split.json`), whatever rule later versions split by.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, GanvasError
from ..kinds import kind_of
from ..kinds.facets import Settles, Suits
from ..registry import Card, catalogue
from ..store.listing import Source, without_metadata
from ..store.packed import PackedSource
from .load import RunRecord, place_of
from .settings import Settings, parse_size

SPLIT = "split.json"
HELDOUT = 0.2  # share of the groups that is kept out of training where neither user nor system says
EARLIER = (
    "the held-out part is the one that the run recorded, by an earlier rule: twins are more of it than of the data, or divided "
    "by it; a new run splits by the rule of today"
)


def with_options(settings: Settings, card: Card) -> Settings:
    """The settings with what is chosen for the user: the options of data that a system's card names, records of a phantom."""
    from ..data.phantoms import is_phantom

    fit = settings.fit or card.options.get("fit")
    settings = dataclasses.replace(settings, fit=fit, size=settings.size or card.options.get("size"))
    if settings.rate is None and "rate" in card.options and not is_phantom(settings.data):
        settings = dataclasses.replace(settings, rate=int(card.options["rate"]))
    if settings.heldout is None:
        settings = dataclasses.replace(settings, heldout=float(card.options.get("heldout", HELDOUT)))
    if settings.phantom_count is None and is_phantom(settings.data):
        settings = dataclasses.replace(settings, phantom_count=_phantom_count(settings.data))
    return settings


def open_run_data(settings: Settings, *, source: Any = None, progress: bool = False, card: Card) -> Any:
    """The data set of a run, from its settings (from the cache when it was opened before).

    card: of the system, which says what it learns from where the files leave that open, and which fields.
    """
    from ..data.columns import find_rows, holds_pairs, parse_fields
    from ..data.dataset import open_data
    from ..data.finding import recognise, source_of

    kinds, fields = card.data, card.fields or None
    if settings.properties and not card.properties:
        able = [name for name, own in catalogue().items() if own.properties]
        raise GanvasError(f"{card.name} is told no properties: leave --properties out, or train {' or '.join(able)}")
    origin = settings.data if source is None else source
    if isinstance(origin, str | Path):
        origin = source_of(origin)  # walked once, however often it is looked at
    packed = isinstance(origin, PackedSource)
    if settings.properties and isinstance(origin, PackedSource):
        raise GanvasError(f"{origin}: --properties are measured of records in the cache: {origin.remedy}")
    if settings.fields and isinstance(origin, PackedSource):
        origin = origin.choosing(parse_fields(settings.fields), fields)
    if not packed and card.pairs and isinstance(origin, Source) and (settings.fields or holds_pairs(origin, card.pairs)):
        fields = card.pairs
    if not fields and isinstance(origin, Source):
        check_kind(card, settings.data, recognise(origin, kinds))  # before any of it is decoded
    size = parse_size(settings.size)
    if size is None and isinstance(origin, Source | np.ndarray):
        sized = origin
        if fields and isinstance(origin, Source) and origin.path.is_file() and not packed:  # a file of several arrays
            main = find_rows(origin, fields, parse_fields(settings.fields)).columns[next(iter(fields))]
            sized = origin if main.array is None else main.array
        kind = kind_of(recognise(sized, kinds))
        size = kind.suitable(sized) if isinstance(kind, Suits) else None
    dataset = open_data(
        origin,
        size=size,
        channels=settings.channels,
        fit=settings.fit,
        axis=settings.axis,
        up=settings.up,
        frames=settings.frames,
        heldout=HELDOUT if settings.heldout is None else settings.heldout,
        seed=settings.seed if settings.split_seed is None else settings.split_seed,
        strict=settings.strict,
        phantom_count=settings.phantom_count or _phantom_count(origin),
        progress=progress,
        rate=settings.rate,
        kinds=kinds,
        fields=fields,
        columns=settings.fields,
    )
    if settings.properties:
        from ..data.properties import with_properties

        dataset = with_properties(dataset, settings.properties, origin if isinstance(origin, Source) else None)
    return dataset


def check_kind(card: Card, data: Any, kind: str) -> None:
    """Raises GanvasError for data of a kind that a system does not learn from."""
    if kind not in card.data:
        raise GanvasError(f"{card.name} learns from {' or '.join(card.data)} data, but {data} holds {kind}")


def _phantom_count(origin: Any) -> int:
    """How many records of a phantom are enough."""
    from ..data.phantoms import catalogue

    phantom = catalogue().get(str(origin).partition(":")[0])
    if phantom is None:
        return 1
    return phantom.count or kind_of(phantom.kind).says.phantom_count


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
    return _unchanged(record, open_record_data(record))


def reopen(record: RunRecord, processes: Any) -> Any:
    """The same in each of several processes: the first one fills the cache, the others read it, or fill their machine's."""
    if not processes.leads:
        processes.wait()
    dataset = data_again(record)
    if processes.leads:
        processes.wait()
    processes.wait()  # nobody waits in an exchange of the game, for which there is little time, while another one still reads
    return dataset


def same_data(record: RunRecord, data: Any) -> Any:
    return _unchanged(record, open_record_data(record, source=data))


def same_records(record: RunRecord, source: Any) -> bool:
    """Whether data at another place holds the records that a run was trained on."""
    from ..data.finding import recognise

    if len(record.fields) == 1 and recognise(source, tuple(record.card.data)) != record.spec.kind:
        return False  # what its own settings would not even open
    return is_of(record, _opened(record, source, False))


def open_record_data(record: RunRecord, *, source: Any = None, progress: bool = False) -> Any:
    """The data set of a run that was begun, with the held-out part that it recorded and what its specs learnt then (a scale).
    source: another place of it, or other data, which is as it is.

    Raises GanvasError when the record of the split is gone or is not the run's.
    """
    from ..data.learning import as_trained

    dataset = _opened(record, source, progress)
    if not is_of(record, dataset):
        return dataset
    return as_trained(_with_recorded_split(record, dataset), record.fields)


def _opened(record: RunRecord, source: Any, progress: bool) -> Any:
    """What the settings of a run lead to."""
    dataset = open_run_data(record.settings, source=source, progress=progress, card=record.card)
    if not is_of(record, dataset) and isinstance(record.settings.data, str):
        with without_metadata(), contextlib.suppress(GanvasError):  # of which runs of before knew nothing
            other = open_run_data(record.settings, source=source, progress=progress, card=record.card)
            if is_of(record, other):
                return other
    settled = all(isinstance(kind_of(spec.kind), Settles) for spec in record.fields.values())
    if is_of(record, dataset) or record.settings.fit != "crop" or settled:
        return dataset
    # Runs of before say `crop` where nobody did, also of sounds that were cut into clips, short ones too.
    for fit in (None, "patches"):
        unsaid = dataclasses.replace(record.settings, fit=fit)
        with contextlib.suppress(GanvasError):  # data that has changed need not suit them
            other = open_run_data(unsaid, source=source, progress=progress, card=record.card)
            if is_of(record, other):
                return other
    return dataset


def is_of(record: RunRecord, dataset: Any) -> bool:
    """Whether these are the records that a run was trained on."""
    return record.data["fingerprint"] in (dataset.fingerprint, *dataset.earlier)


def _with_recorded_split(record: RunRecord, dataset: Any) -> Any:
    path, wanted = record.path / SPLIT, record.data["fingerprint"]
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        held = np.zeros(len(dataset), bool)
        held[np.asarray(kept["heldout"], np.int64)] = True
        sound = kept["fingerprint"] == wanted and kept["records"] == len(dataset)
    except FileNotFoundError:
        if wanted == dataset.fingerprint:
            return dataset  # by the rule of today it is the same
        sound = False
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        sound = False
    if not sound:
        raise GanvasError(
            f"{path}: is missing, damaged or of another run; it says which records were held out: copy it back, or start a new "
            f"run with  --init-from {record.path}"
        )
    notes = dataset.notes if wanted == dataset.fingerprint else (*dataset.notes, EARLIER)
    return dataclasses.replace(dataset, heldout=held, fingerprint=wanted, notes=notes, earlier=())


def _unchanged(record: RunRecord, dataset: Any) -> Any:
    if dataset.fingerprint != record.data["fingerprint"]:
        raise GanvasError(
            f"{record.settings.data} has changed since {record.path} began: put the data back, name the place it was moved to "
            f"with --data, or start a new run with  --init-from {record.path}"
        )
    return dataset


def seated(
    system: Any, dataset: Any, settings: Settings, size: int, processes: Any, *, seed: int, compiled: bool = False
) -> Any:  # fmt: skip
    """An Engine on the system, with streams of the data, as these settings of a run have it.

    size: records in a batch, over all processes. seed: of the order of records and of the noise. compiled: hand the networks
    to `torch.compile`.
    """
    import torch

    from ..data.poisson import PoissonStream, new_key
    from ..data.streams import open_stream
    from ..engine import Engine
    from ..optim.private import seat as make_private
    from .privacy import parse_privacy

    feeds = system.feeds().items()
    private = None if settings.privacy is None else parse_privacy(settings.privacy)
    streams: dict[str, Any] = {}
    if private is None:
        streams = {name: open_stream(dataset, feed, size, seed=seed, world=processes.world) for name, feed in feeds}
    else:
        key = private.key or new_key()
        streams = {name: PoissonStream(dataset, feed, size, key=key) for name, feed in feeds}
        seed = int(key, 16) % 2**63  # of fakes and of all else by chance: who knows it knows which record stood where
        torch.manual_seed(seed)
    engine = Engine(
        system,
        streams,
        processes=processes,
        precision=settings.precision,
        micro_batches=settings.micro_batches,
        check_every=settings.check_every,
        channels_last=settings.channels_last == "on",
        compile_networks=compiled,
        recompute=settings.recompute_activations,
        seed=seed,
    )
    if private is not None:
        assert private.noise is not None  # settled before the run began
        make_private(engine, streams["data"], clip=private.clip, noise=private.noise)
    return engine
