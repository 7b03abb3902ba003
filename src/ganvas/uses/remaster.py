"""Remaster: make old films clean, and colour them after pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Panel, Remasters
from ..config import knob
from ..errors import GanvasError
from . import Fields, Judged, Use, UseSays, Work, first_of
from .judging import as_given, both, decoded, held_rows, in_pieces, told_pairs
from .tiling import TILE_HELP, check_tile

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch
    from ..metrics.measure import Measure
    from ..store.records import Dataset

REFERENCE = "reference"
COLOURS = ("new", "own", "none")
SHOWN = 4  # frames of a held-out clip that are its references
LEAST_LINES = 64
FINER = 2  # times the sides of training: the size that references are brought to before that at which colours are found


@dataclass(frozen=True)
class Options:
    tile: int = knob(256, TILE_HELP)
    lines: int = knob(
        480, "shorter side at which larger films are cleaned; what changes is laid over their own pixels. 0: their own", low=0
    )
    colours: str = knob("new", "new: as learnt, or as the references have them; own: the film's; none: grey", choices=COLOURS)


def reference_spec(spec: Any) -> Any:
    """Of pictures in colour."""
    from ..kinds.image.spec import ImageSpec

    return ImageSpec(3, FINER * spec.height, FINER * spec.width)


def run(work: Work, given: Fields, options: Any) -> Fields:
    """Clips (B, C, T, H, W) of any size, with references (K, 3, h, w) that all of them are shown, or without."""
    clips, more = first_of(given)
    references = more.get(REFERENCE)
    if references is not None:
        references = references.transpose(0, 1)[None].expand(len(clips), -1, -1, -1, -1)
    return {work.main: _remastered(work, clips, references, options)}


def _remastered(work: Work, clips: Tensor, references: Tensor | None, options: Any) -> Tensor:
    import torch

    from ..inference.colouring import chroma_of, framewise, grey, with_chroma
    from ..inference.remastering import cleaned, coloured

    system, size = work.system, (work.spec.height, work.spec.width)
    greys = cleaned(lambda x: system.clean(x, work.noise), framewise(grey, clips), options.tile, system.multiple,
                    options.lines)  # fmt: skip
    if clips.shape[1] == 1:
        return greys
    if options.colours == "none":
        return greys.expand_as(clips)
    if options.colours == "own":
        frames = [framewise(lambda x, y: with_chroma(y, chroma_of(x)), clips[:, :, t, None], greys[:, :, t, None])
                  for t in range(clips.shape[2])]  # fmt: skip
        return torch.cat(frames, 2)
    return coloured(lambda x, pictures: system.tint(x, pictures, work.noise), greys, references, size, system.multiple)


def tell(work: Work, options: Any) -> str:
    check_tile(options.tile)
    if options.lines and options.lines < LEAST_LINES:
        raise GanvasError(f"--lines: at least {LEAST_LINES}, or 0 for the film's own size, not {options.lines}")
    size = f", cleaned at {options.lines} lines at most (--lines)" if options.lines else ""
    return f"remastered{size}" if options.colours == "new" else f"remastered{size}, {options.colours} colours"


# Judging


def _references(clips: Tensor, count: int) -> Tensor | None:
    """`count` frames of clips (B, C, T, H, W), evenly spread."""
    frames = clips.shape[2]
    return None if not count or clips.shape[1] != 3 else clips[:, :, [int((k + 0.5) * frames / count) for k in range(count)]]


def _again(work: Work, clips: Tensor, count: int = SHOWN) -> Tensor:
    """Clips worn as in training, remastered with frames of themselves as references."""
    return _remastered(work, work.system.age(clips, work.noise), _references(clips, count), Options(tile=0))


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out clips, worn and remastered, with the true ones beside."""
    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    given = {work.main: np.asarray(dataset.values[rows])}
    made, untrained = both(work, fresh, given, lambda own, fields: _again(own, fields[work.main]))
    worn = decoded(work, in_pieces(work, given, lambda fields: work.system.age(fields[work.main], work.noise)))
    return Judged(
        made,
        untrained,
        dataset,
        originals=given[work.main],
        beside={"input": as_given(worn)},
        families=("distance", "look"),  # each stands for a held-out record: their spread and copies say nothing of the run
        notes=[f"judged: {len(rows)} held-out records, worn as in training, with {SHOWN} of their frames as references"
               f"{told_pairs(work)}"],
    )  # fmt: skip


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """How far colours are from the true ones with no reference, one, and four; frames that were shown do not count."""
    from ..inference.colouring import chroma_of, framewise
    from ..metrics.measure import Measure

    if work.spec.channels != 3:
        return {}
    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    found: list[np.ndarray] = []

    def looked(fields: dict[str, Any]) -> Tensor:
        clips = fields[work.main]
        before = work.noise.generator.get_state()
        shown = {int((k + 0.5) * clips.shape[2] / many) for many in (1, SHOWN) for k in range(many)}
        kept = [frame for frame in range(clips.shape[2]) if frame not in shown] or list(range(clips.shape[2]))
        true = framewise(chroma_of, clips)[:, :, kept]
        for many in (0, 1, SHOWN):
            work.noise.generator.set_state(before)
            made = _again(work, clips, many)
            found.append((framewise(chroma_of, made)[:, :, kept] - true).abs().mean((1, 2, 3, 4)).float().cpu().numpy())
        return made

    in_pieces(work, {work.main: np.asarray(dataset.values[rows])}, looked)
    names = {"chroma_error_alone": "no reference", "chroma_error_one": "1 reference", "chroma_error": f"{SHOWN} references"}
    return {
        name: Measure(50 * float(np.concatenate(found[place::3]).mean()), f"percent/mean of Cb and Cr, {words}/n={len(rows)}")
        for place, (name, words) in enumerate(names.items())
    }


def show(work: Work, batch: Batch) -> Panel:
    """Worn, remastered, and true."""
    import torch

    work.renew()
    clips = batch[work.main]
    worn = work.system.age(clips, work.noise)
    columns, made = ["worn"], [worn]
    for count in (0, SHOWN) if clips.shape[1] == 3 else (0,):
        columns.append("remastered" if not count else f"with {count} references")
        made.append(_remastered(work, worn, _references(clips, count), Options(tile=0)))
    return Panel(torch.stack([*made, clips], 1), (*columns, "true"))


USE = Use(
    verb="remaster",
    done="remastered",
    promise=Remasters,
    method="tint",
    brings={REFERENCE: reference_spec},
    optional=(REFERENCE,),
    together=(REFERENCE,),
    cuts=True,
    Options=Options,
    order=29,
    run=run,
    tell=tell,
    judge=judge,
    measure=measure,
    show=show,
    says=UseSays(
        purpose="making old films clean, and colouring them after pictures that are given",
        doing="remastering",
        example="ganvas apply RUN FILE --out FOLDER",
        caution=(
            "What a scratch or a speck hid is guessed. Colours come from the references; where these show nothing like it, "
            "they are those that such clips usually have, and the true ones are not known to it."
        ),
    ),
)
