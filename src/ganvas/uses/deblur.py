"""Deblur: make sharp what was blurred by motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..capabilities import Deblurs
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
    return {work.main: work.system.deblur(images, work.noise)}


def tell(work: Work, options: Any) -> str:
    check_tile(options.tile)
    return "deblurred"


BLUR = Spoiling(
    spoil=lambda system, images, noise: system.blur(images, noise),
    repair=lambda system, images, noise: system.deblur(images, noise),
    doing="deblurring",
    given="with their blur",
    made="blurred as in training",
    repaired="made sharp",
    titles=("blurred", "deblurred"),
)


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out records, blurred and made sharp, with the true ones beside."""
    return BLUR.judge(work, fresh, dataset, count)


USE = Use(
    verb="deblur",
    done="deblurred",
    promise=Deblurs,
    Options=Options,
    order=31,
    run=run,
    tell=tell,
    complete=told_beyond,
    mend=unseen_kept,
    judge=judge,
    show=BLUR.show,
    says=UseSays(
        purpose="making sharp what was blurred by motion",
        doing="deblurring",
        example="ganvas apply RUN FILE --out FOLDER",
        caution="Detail that the blur took away is invented: likely, but not measured. Do not read number plates on it.",
    ),
)
