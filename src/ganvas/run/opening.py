"""The data of a run: opened at the size it trains at, opened again when it goes on, refused when it has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import GanvasError
from ..kinds import recognise
from .load import RunRecord
from .settings import Settings, parse_size

NATIVE_SIDE = 96  # images up to this size are trained as they are; larger ones are first shrunk to SMALL_SIDE
SMALL_SIDE = 64
PHANTOM_IMAGES, PHANTOM_POINTS = 4_000, 20_000


def suitable_size(height: int, width: int) -> tuple[int, int]:
    """The size a run trains at when none is asked for: the own one up to 96 pixels, else 64 on the short side."""
    if max(height, width) <= NATIVE_SIDE:
        return height, width
    scale = SMALL_SIDE / min(height, width)
    return round(height * scale / 4) * 4, round(width * scale / 4) * 4


def open_run_data(settings: Settings, *, source: Any = None, progress: bool = False, kinds: tuple[str, ...] = ()) -> Any:
    """The data set of a run, from its settings (from the cache when it was opened before).

    kinds: what the run's system learns from, where the files leave open what they are.
    """
    from ..data.dataset import open_data
    from ..data.survey import native_size

    origin = settings.data if source is None else source
    size = parse_size(settings.size)
    other = recognise(Path(origin).expanduser(), kinds) if isinstance(origin, str | Path) else None
    if size is None and other is None:
        # What does not exist is left to open_data, which knows names that are near.
        missing = isinstance(origin, str | Path) and not Path(origin).expanduser().exists()
        native = None if missing else native_size(origin)
        size = suitable_size(*native) if native is not None else SMALL_SIDE
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
    )


def _phantom_count(origin: Any) -> int:
    """How many records of a phantom are enough: points cost nothing, and few of them are learnt by heart."""
    from ..data.phantoms import catalogue

    phantom = catalogue().get(str(origin).partition(":")[0])
    if phantom is not None and phantom.count is not None:
        return phantom.count
    return PHANTOM_POINTS if phantom is not None and phantom.kind == "points" else PHANTOM_IMAGES


def reopen(record: RunRecord, processes: Any) -> Any:
    if record.settings.data == "array":
        raise GanvasError(
            f"{record.path} was trained on an array in memory: resume it from Python,  ganvas.train(None, array, resume=...)"
        )
    if not processes.leads:  # the first process fills the cache, the others read it
        processes.wait()
    dataset = open_run_data(record.settings, kinds=record.card.data)
    if processes.leads:
        processes.wait()
    return _unchanged(record, dataset)


def same_data(record: RunRecord, data: Any) -> Any:
    return _unchanged(record, open_run_data(record.settings, source=data, kinds=record.card.data))


def _unchanged(record: RunRecord, dataset: Any) -> Any:
    if dataset.fingerprint != record.data["fingerprint"]:
        raise GanvasError(
            f"{record.settings.data} has changed since {record.path} began: put the data back, or start a new run with "
            f"--init-from {record.path}"
        )
    return dataset
