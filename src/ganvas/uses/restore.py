"""Restore: give back what a record has lost, enlarged where the system enlarges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Panel, Restores
from ..config import knob
from ..errors import GanvasError
from ..kinds import kind_of
from ..kinds.facets import WritesLike
from . import Beside, Fields, Judged, Use, UseSays, Work, fields_taken, first_of
from .judging import as_given, both, decoded, held_rows, in_pieces, told_pairs
from .tiling import TILE_HELP, check_tile

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch
    from ..store.records import Dataset


@dataclass(frozen=True)
class Options:
    tile: int = knob(256, TILE_HELP)


def run(work: Work, given: Fields, options: Options) -> Fields:
    images, more = first_of(given)
    return {work.main: work.system.restore(images, work.noise, **more)}


def tell(work: Work, options: Options) -> str:
    check_tile(options.tile)
    scale = work.system.scale
    return f"restored, {scale} times as large" if scale > 1 else "restored"


def again(work: Work, given: Fields, options: Options) -> Tensor:
    """Records degraded as in training, and restored."""
    images, more = first_of(given)
    return run(work, {work.main: work.system.degrade(images, work.noise), **more}, options)[work.main]


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Options) -> Judged:
    """Held-out records, degraded and restored, with the true ones beside."""
    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    first, more = fields_taken(USE, work.system, work.fields)
    assert first is not None
    given = {name: dataset.fields[name].values[rows] for name in (first, *more)}
    kind = kind_of(work.spec.kind)
    sides = work.spec.shape[len(work.spec.shape) - kind.spread :] if isinstance(kind, WritesLike) else ()
    if any(side % work.system.scale for side in sides):
        raise GanvasError(
            f"{work.place}: records of {'x'.join(map(str, sides))} cannot be reduced {work.system.scale} times "
            "without a rest: judge a run on a size that can"
        )
    made, untrained = both(work, fresh, given, lambda own, x: again(own, x, options))
    text = f"judged: {len(rows)} held-out records, degraded and restored"
    return Judged(
        made,
        untrained,
        dataset,
        originals=np.asarray(given[first]),
        beside=unrestored(work, given),
        families=("distance", "look"),  # each stands for a held-out record: their spread and copies say nothing of the run
        notes=[text + told_pairs(work)],
    )


ENLARGING = {3: "linear", 4: "bicubic", 5: "trilinear"}
"""By the dimensions of a batch: the usual interpolation."""


def unrestored(work: Work, given: dict[str, np.ndarray]) -> dict[str, Beside]:
    """The degraded records as they are; enlarged by interpolation, where degrading makes them smaller."""
    from torch.nn.functional import interpolate

    means: set[str] = set()

    def enlarged(fields: dict[str, Any]) -> Tensor:
        images, _ = first_of(fields)
        low = work.system.degrade(images, work.noise)
        if low.shape == images.shape:
            return low
        means.add(ENLARGING[images.dim()])
        return interpolate(low, size=images.shape[2:], mode=ENLARGING[images.dim()], align_corners=False)

    values = decoded(work, in_pieces(work, given, enlarged))
    if not means:
        return {"input": as_given(values)}
    (name,) = means
    return {name: Beside(values, f"the degraded records, enlarged by {name} interpolation")}


def show(work: Work, batch: Batch) -> Panel:
    """What is restored beside the true one."""
    import torch

    first, more = fields_taken(USE, work.system, work.fields)
    assert first is not None
    made = again(work, {name: batch[name] for name in (first, *more)}, Options())
    return Panel(torch.stack([made, batch[first]], 1), ("restored", "true"))


USE = Use(
    verb="restore",
    done="restored",
    promise=Restores,
    Options=Options,
    order=30,
    grows=lambda system: int(system.scale),
    run=run,
    tell=tell,
    judge=judge,
    show=show,
    says=UseSays(
        purpose="enlarging records, or giving back what they have lost",
        doing="restoring",
        example="ganvas apply RUN FILE --out FOLDER",
        caution="Restored detail is invented: likely, but not measured.",
    ),
)
