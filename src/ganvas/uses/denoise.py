"""Denoise: give records of low dose, few counts or much noise the look of those without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..capabilities import Denoises
from ..config import knob
from . import Fields, Judged, Use, UseSays, Work, first_of
from .spoiling import Spoiling, told_beyond, unseen_kept
from .tiling import TILE_HELP, check_tile

if TYPE_CHECKING:
    from ..store.records import Dataset


@dataclass(frozen=True)
class Options:
    tile: int = knob(256, TILE_HELP)


def run(work: Work, given: Fields, options: Any) -> Fields:
    images, _ = first_of(given)
    return {work.main: work.system.denoise(images, work.noise)}


def tell(work: Work, options: Any) -> str:
    check_tile(options.tile)
    return "denoised"


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
    complete=told_beyond,
    mend=unseen_kept,
    judge=judge,
    show=NOISE.show,
    says=UseSays(
        purpose="taking noise out of scans of low dose or few counts, and leaving texture in",
        doing="denoising",
        example="ganvas apply RUN FILE --out FOLDER",
        caution="Texture that it adds is invented, and small lesions may be lost or made. Do not measure or diagnose on it.",
    ),
)
