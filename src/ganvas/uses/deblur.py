"""Deblur: make sharp what was blurred by motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Deblurs, Panel
from ..config import knob
from . import Fields, Judged, Use, UseSays, Work, first_of
from .judging import as_given, both, decoded, held_rows, in_pieces, told_pairs
from .tiling import TILE_HELP, check_tile

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch
    from ..store.records import Dataset


@dataclass(frozen=True)
class Options:
    tile: int = knob(256, TILE_HELP)


def run(work: Work, given: Fields, options: Any) -> Fields:
    images, _ = first_of(given)
    return {work.main: work.system.deblur(images, work.noise)}


def tell(work: Work, options: Any) -> str:
    check_tile(options.tile)
    return "deblurred"


def soft(work: Work, fields: Fields) -> Tensor:
    """Blurred records: the second field of pairs, else the main one, blurred as in training."""
    made: Tensor
    if len(work.fields) > 1:
        made = next(value for name, value in fields.items() if name != work.main)
    else:
        made = work.system.blur(fields[work.main], work.noise)
    return made


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out records, blurred and made sharp, with the true ones beside."""
    from ..inference.tiles import continued

    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    given = {name: np.asarray(dataset.fields[name].values[rows]) for name in work.fields}

    def repaired(own: Work, fields: Fields) -> Tensor:
        images = soft(own, fields)
        made: Tensor = own.system.deblur(continued(images, own.system.multiple, 2), own.noise)
        return made[:, :, : images.shape[2], : images.shape[3]]

    made, untrained = both(work, fresh, given, repaired)
    blurred = decoded(work, in_pieces(work, given, lambda fields: soft(work, fields)))
    how = "with their blur" if len(work.fields) > 1 else "blurred as in training"
    return Judged(
        made,
        untrained,
        dataset,
        originals=given[work.main],
        beside={"input": as_given(blurred)},
        families=("distance", "look"),  # each stands for a held-out record: their spread and copies say nothing of the run
        notes=[f"judged: {len(rows)} held-out records {how}, made sharp{told_pairs(work)}"],
    )


def show(work: Work, batch: Batch) -> Panel:
    """Blurred, made sharp, and true."""
    import torch

    fields = {name: batch[name] for name in work.fields}
    height, width = (side // work.system.multiple * work.system.multiple for side in fields[work.main].shape[2:])
    images = soft(work, fields)[:, :, :height, :width]
    true = fields[work.main][:, :, :height, :width]
    return Panel(torch.stack([images, work.system.deblur(images, work.noise), true], 1), ("blurred", "deblurred", "true"))


USE = Use(
    verb="deblur",
    done="deblurred",
    promise=Deblurs,
    Options=Options,
    order=31,
    run=run,
    tell=tell,
    judge=judge,
    show=show,
    says=UseSays(
        purpose="making sharp what was blurred by motion",
        doing="deblurring",
        example="ganvas apply RUN FILE --out FOLDER",
        caution="Detail that the blur took away is invented: likely, but not measured. Do not read number plates on it.",
    ),
)
