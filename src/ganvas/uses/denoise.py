"""Denoise: give records of low dose, few counts or much noise the look of those without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Denoises
from ..config import knob
from . import Fields, Given, Judged, Use, UseSays, Work, first_of
from .spoiling import Spoiling
from .tiling import TILE_HELP, check_tile

if TYPE_CHECKING:
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


NOISE = Spoiling(
    spoil=lambda system, images, noise: system.add_noise(images, noise),
    repair=lambda system, images, noise: system.denoise(images, noise),
    doing="denoising",
    given="with their noise",
    made="with noise as in training",
    repaired="denoised",
    titles=("noisy", "denoised"),
)


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out records, with noise and denoised, with the true ones beside."""
    return NOISE.judge(work, fresh, dataset, count)


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
    show=NOISE.show,
    says=UseSays(
        purpose="taking noise out of scans of low dose or few counts, and leaving texture in",
        doing="denoising",
        example="ganvas apply RUN FILE --out FOLDER",
        caution="Texture that it adds is invented, and small lesions may be lost or made. Do not measure or diagnose on it.",
    ),
)
