"""Animate: a still picture moves as another one's video does. Judged on held-out clips, each drawn from its first frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Animates, Panel
from ..config import knob
from . import Beside, Fields, Judged, Use, UseSays, Work
from .judging import both, decoded, held_rows, in_pieces, told_pairs

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch
    from ..kinds.facets import Piece
    from ..metrics.measure import Measure
    from ..store.records import Dataset

PICTURE, DRIVING = "picture", "driving"


@dataclass(frozen=True)
class Options:
    absolute: bool = knob(
        False,
        "the picture takes the driving video's own pose; else it moves as that has since its first frame, which should "
        "show about the pose of the picture",
    )


def picture_spec(spec: Any) -> Any:
    """Of a frame."""
    from ..kinds.image.spec import ImageSpec

    return ImageSpec(spec.channels, spec.height, spec.width, spec.depth, 0.0, float(spec.white))


def mend(given: Piece, made: Piece, beside: Mapping[str, Piece]) -> Piece:
    """The clip at the rate of the driving video."""
    return replace(made, spec=replace(made.spec, rate=beside[DRIVING].spec.rate))


def run(work: Work, given: Fields, options: Any) -> Fields:
    """Pictures (B, C, H, W) and one driving clip, or as many, -> clips (B, C, T, H, W) of the length of the driving one."""
    made = work.system.animate(given[PICTURE], work.noise, given[DRIVING], relative=not options.absolute)
    return {work.main: made}


def tell(work: Work, options: Any) -> str:
    return f"animated by a driving video{', in its own pose' if options.absolute else ''}"


def again(work: Work, fields: Fields) -> Tensor:
    """Clips, each drawn from its first frame by its own motion."""
    clips = fields[work.main]
    made: Tensor = work.system.animate(clips[:, :, 0], work.noise, clips)
    return made


def _held(work: Work, dataset: Dataset, count: int) -> np.ndarray:
    return np.asarray(dataset.fields[work.main].values[held_rows(dataset, count, work.seed, USE.says.doing)])


def still(clips: np.ndarray) -> np.ndarray:
    """Clips (N, T, ...) that stay at their first frame."""
    return np.repeat(clips[:, :1], clips.shape[1], axis=1)


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out clips drawn from their first frames, with the true ones beside."""
    clips = _held(work, dataset, count)
    made, untrained = both(work, fresh, {work.main: clips}, again)
    return Judged(
        made,
        untrained,
        dataset,
        originals=clips,
        beside={"input": Beside(still(clips), "their first frames, which stand still")},
        families=("distance", "look"),  # each stands for a held-out record: their spread and copies say nothing of the run
        notes=[f"judged: {len(clips)} held-out clips, each drawn from its first frame by its own motion{told_pairs(work)}"],
    )


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """Mean absolute error to the true clip behind its first frame, of what is made and of a first frame that stands still."""
    from ..metrics.measure import Measure

    clips = _held(work, dataset, count)
    made = decoded(work, in_pieces(work, {work.main: clips}, lambda fields: again(work, fields)))
    found = {"animated_error": made, "still_error": still(clips)}
    told = f"l1/of white/n={len(clips)}"
    return {name: Measure(error(own, clips, work.spec.white), told) for name, own in found.items()}


def error(made: np.ndarray, true: np.ndarray, white: int) -> float:
    """Mean absolute difference of clips (N, T, ...) behind their first frame, of black to white."""
    return float(np.abs(made[:, 1:].astype(np.float32) - true[:, 1:]).mean() / white)


def show(work: Work, batch: Batch) -> Panel:
    """Clips, drawn again from their first frame, and first frames that move as the clip of the next row does."""
    import torch

    clips = batch[work.main]
    others = work.system.animate(clips[:, :, 0], work.noise, clips.roll(-1, 0))
    cells = torch.stack([clips, again(work, {work.main: clips}), others], 1)
    return Panel(cells, ("true", "from its first frame", "by the next row's motion"))


USE = Use(
    verb="animate",
    done="animated",
    promise=Animates,
    takes=(PICTURE,),
    brings={PICTURE: picture_spec, DRIVING: lambda spec: spec},
    Options=Options,
    order=39,
    fitted=True,
    mend=mend,
    run=run,
    tell=tell,
    judge=judge,
    measure=measure,
    show=show,
    trials=lambda work: ({}, {"absolute": True}),
    says=UseSays(
        purpose="making a still picture move as another one's video does",
        doing="animating",
        example="ganvas apply RUN PICTURE --as animate --out FOLDER",
        caution="Nobody moved like this or said anything: a picture of a person is made to move as somebody else did. What the "
        "picture does not show, such as the other side of a head, is made up.",
    ),
)
