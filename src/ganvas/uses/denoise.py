"""Denoise: give records of low dose, few counts or much noise the look of those without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Denoises, Panel
from ..config import knob
from . import Fields, Given, Judged, Use, UseSays, Work, first_of
from .judging import as_given, both, decoded, held_rows, in_pieces, told_pairs
from .tiling import TILE_HELP, check_tile

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch
    from ..kinds.facets import Piece
    from ..store.records import Dataset

SCANNED = -1024.0, 3071.0  # Hounsfield units of 12 bits


@dataclass(frozen=True)
class Options:
    tile: int = knob(256, TILE_HELP)


def run(work: Work, given: Fields, options: Any) -> Fields:
    images, _ = first_of(given)
    return {work.main: work.system.denoise(images, work.noise)}


def tell(work: Work, options: Any) -> str:
    check_tile(options.tile)
    return "denoised"


def complete(name: str, given: Given) -> Given:
    """A note where values with a sign, which Hounsfield units are, go beyond what 12 bits hold."""
    pieces = list(given.pieces)
    signed = [piece.records for piece in pieces if piece.records.dtype.kind == "f" and piece.records.min() < 0]
    if signed:
        least, most = (float(pick([pick(own) for own in signed])) for pick in (np.min, np.max))
        if least < SCANNED[0] or most > SCANNED[1]:
            note = (
                f"{name}: values of {least:g} to {most:g} are beyond the 12 bits of Hounsfield units ({SCANNED[0]:g} to "
                f"{SCANNED[1]:g}), as of metal or another unit: those beyond black and white of the run stay as they are"
            )
            pieces[0] = replace(pieces[0], notes=(*pieces[0].notes, note))
    return Given(pieces, given.beside)


def mend(given: Piece, made: Piece, beside: Mapping[str, Piece]) -> Piece:
    """Values beyond black and white, which the run was never shown, stay; whole numbers stay whole, so files keep each unit."""
    before, after = given.records, made.records
    if before.dtype != after.dtype:  # another depth was asked for
        return made
    seen = (before >= given.spec.low) & (before <= given.spec.high)
    if before.dtype.kind == "f" and (before == np.rint(before)).all():
        after = np.rint(after)
    return replace(made, records=np.where(seen, after, before))


def noisy(work: Work, fields: Fields) -> Tensor:
    """Records with noise: the second field of pairs, else the main one, with noise as in training."""
    made: Tensor
    if len(work.fields) > 1:
        made = next(value for name, value in fields.items() if name != work.main)
    else:
        made = work.system.add_noise(fields[work.main], work.noise)
    return made


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out records, with noise and denoised, with the true ones beside."""
    from ..inference.tiles import continued

    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    given = {name: np.asarray(dataset.fields[name].values[rows]) for name in work.fields}

    def cleared(own: Work, fields: Fields) -> Tensor:
        images = noisy(own, fields)
        made: Tensor = own.system.denoise(continued(images, own.system.multiple, 2), own.noise)
        return made[:, :, : images.shape[2], : images.shape[3]]

    made, untrained = both(work, fresh, given, cleared)
    seen = decoded(work, in_pieces(work, given, lambda fields: noisy(work, fields)))
    how = "with their noise" if len(work.fields) > 1 else "with noise as in training"
    return Judged(
        made,
        untrained,
        dataset,
        originals=given[work.main],
        beside={"input": as_given(seen)},
        families=("distance", "look"),  # each stands for a held-out record: their spread and copies say nothing of the run
        notes=[f"judged: {len(rows)} held-out records {how}, denoised{told_pairs(work)}"],
    )


def show(work: Work, batch: Batch) -> Panel:
    """With noise, denoised, and true."""
    import torch

    fields = {name: batch[name] for name in work.fields}
    height, width = (side // work.system.multiple * work.system.multiple for side in fields[work.main].shape[2:])
    images = noisy(work, fields)[:, :, :height, :width]
    true = fields[work.main][:, :, :height, :width]
    return Panel(torch.stack([images, work.system.denoise(images, work.noise), true], 1), ("noisy", "denoised", "true"))


USE = Use(
    verb="denoise",
    done="denoised",
    promise=Denoises,
    Options=Options,
    order=36,
    run=run,
    tell=tell,
    complete=complete,
    mend=mend,
    judge=judge,
    show=show,
    says=UseSays(
        purpose="taking noise out of scans of low dose or few counts, and leaving texture in",
        doing="denoising",
        example="ganvas apply RUN FILE --out FOLDER",
        caution="Texture that it adds is invented, and small lesions may be lost or made. Do not measure or diagnose on it.",
    ),
)
