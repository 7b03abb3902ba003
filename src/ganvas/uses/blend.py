"""Blend: lay what a mask shows of one picture into another, so that the two look like one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Blends, Panel
from ..errors import DataError
from ..kinds.facets import Piece
from . import AREA, Beside, Fields, Given, Judged, Use, UseSays, Work, first_of
from .inpaint import MASK, WHITE, mask_spec, share_of_mask, steps
from .judging import both, decoded, held_rows, in_pieces, told_pairs
from .spoiling import told_beyond, unseen_kept

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch
    from ..metrics.measure import Measure
    from ..store.records import Dataset

SOURCE = "source"
HINT = f"add  --with {SOURCE}=FILE --with {MASK}=FILE, both of its size; white in the mask is what is taken of the {SOURCE}"


@dataclass(frozen=True)
class Options:
    pass


def run(work: Work, given: Fields, options: Any) -> Fields:
    """Pictures and sources (B, C, H, W) of any size, masks (B, 1, H, W) in [-1, 1]."""
    images, more = first_of(given)
    return {work.main: work.system.blend(images, more[SOURCE], (more[MASK] + 1) / 2, work.noise)}


def tell(work: Work, options: Any) -> str:
    return f"blended: a part of another picture ({SOURCE}) laid into it"


# Files


def complete(name: str, given: Given) -> Given:
    """Both were given, are of the picture's size, and the mask is one. Raises DataError in a line."""
    beside = dict(given.beside)
    lacking = [own for own in (SOURCE, MASK) if own not in beside]
    if lacking:
        raise DataError(f"{name}: no {' and no '.join(lacking)} to blend with it: {HINT}")
    sides = given.pieces[0].records.shape[1:3]
    for own in (SOURCE, MASK):
        other = beside[own][0].records.shape[1:3]
        if other != sides:
            told, wanted = ("x".join(map(str, size)) for size in (other, sides))
            raise DataError(
                f"{name}: its {own} is of {told}, it is of {wanted}: lay the {own} on a canvas of {wanted}, or cut it to that"
            )
    beside[MASK] = [_settled(name, piece) for piece in beside[MASK]]
    return told_beyond(name, Given(given.pieces, beside))


def mend(given: Piece, made: Piece, beside: Mapping[str, Piece]) -> Piece:
    """Where the source gives nothing, what lies beyond black and white of the run (metal in a CT) stays; whole numbers stay
    whole."""
    kept = unseen_kept(given, made, beside)
    if kept is made:
        return made
    before, after = given.records, made.records
    inside = np.rint(after) if before.dtype.kind == "f" and (before == np.rint(before)).all() else after
    return replace(kept, records=np.where(beside[MASK].records > 0, inside, kept.records))


def _settled(name: str, piece: Piece) -> Piece:
    """A mask in 8 bits. Raises DataError for one that shows nothing, or all."""
    share, notes = share_of_mask(name, piece)
    if share.max() == 0:
        raise DataError(f"{name}: its mask is black all over: draw white what is to be taken of the {SOURCE}")
    if share.min() > 0:
        raise DataError(f"{name}: its mask leaves nothing of the picture itself: draw it black, white what the {SOURCE} gives")
    grey = float(((share > 0.02) & (share < 0.98)).mean())
    if grey:
        notes.append(f"{name}: {grey:.1%} of its mask is grey: picture and {SOURCE} mix there, in that share")
    return Piece(np.round(share * WHITE).astype(np.uint8), mask_spec(piece.spec), tuple(notes))


# Judging


def _composed(work: Work, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(sources, masks, what is wanted), as in training; the masks as `run` takes them."""
    source, mask, wanted = work.system.compose(images, work.noise)
    return source, mask * 2 - 1, wanted


def _again(work: Work, given: Fields) -> Tensor:
    source, mask, _ = _composed(work, given[work.main])
    made: Tensor = run(work, {work.main: given[work.main], SOURCE: source, MASK: mask}, None)[work.main]
    return made


def _pasted(work: Work, given: Fields) -> Tensor:
    source, mask, _ = _composed(work, given[work.main])
    share = (mask + 1) / 2
    return source * share + given[work.main] * (1 - share)


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out pictures with a part of another light in them, blended, beside what they would be in one light."""
    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    given = {work.main: np.asarray(dataset.values[rows])}
    made, untrained = both(work, fresh, given, _again)
    wanted = decoded(work, in_pieces(work, given, lambda fields: _composed(work, fields[work.main])[2]))
    pasted = decoded(work, in_pieces(work, given, lambda fields: _pasted(work, fields)))
    return Judged(
        made,
        untrained,
        dataset,
        originals=wanted,
        beside={"input": Beside(pasted, "the parts pasted as they are")},
        families=("distance", "look"),  # each stands for a held-out record: their spread and copies say nothing of the run
        notes=[f"judged: {len(rows)} held-out records with parts as in training, blended{told_pairs(work)}"],
    )


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """By how much the mean colour of what was laid in is off, pasted and blended, and steps at its border by the true ones."""
    from ..metrics.measure import Measure

    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    found: list[Any] = []

    def looked(fields: dict[str, Any]) -> Tensor:
        images = fields[work.main]
        source, mask, wanted = _composed(work, images)
        made = run(work, {work.main: images, SOURCE: source, MASK: mask}, None)[work.main]
        share = (mask + 1) / 2
        pasted = source * share + images * (1 - share)
        off = [colour_error(x, wanted, share).double().mean() for x in (made, pasted)]
        found.append((*off, steps(made, share), steps(images, share), len(images)))
        return made

    in_pieces(work, {work.main: np.asarray(dataset.values[rows])}, looked)
    weights = np.array([part[-1] for part in found], float)
    blended, pasted, made, true = (float(np.average([float(part[k]) for part in found], weights=weights)) for k in range(4))
    return {
        "blend_colour": Measure(50 * blended, f"percent/mean colour of the part laid in/n={len(rows)}"),
        "pasted_colour": Measure(50 * pasted, f"percent/mean colour of the part laid in/n={len(rows)}"),
        "blend_seam": Measure(made / max(true, 1e-9), f"steps across the border, of those of the pictures/n={len(rows)}"),
    }


def colour_error(made: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """(B,): the mean colour inside the mask (B, 1, H, W) of images (B, C, H, W), off by how much; mean of the channels."""
    inside = ((made - wanted) * mask).sum((2, 3)) / mask.sum((2, 3)).clamp(min=1)
    return inside.abs().mean(1)


def show(work: Work, batch: Batch) -> Panel:
    """Pasted, blended, and as it would be in one light."""
    import torch

    work.renew()
    images = batch[work.main]
    source, mask, wanted = _composed(work, images)
    share = (mask + 1) / 2
    made = run(work, {work.main: images, SOURCE: source, MASK: mask}, None)[work.main]
    return Panel(torch.stack([source * share + images * (1 - share), made, wanted], 1), ("pasted", "blended", "in one light"))


USE = Use(
    verb="blend",
    done="blended",
    promise=Blends,
    brings={SOURCE: lambda spec: spec, MASK: mask_spec},
    paints={MASK: AREA},
    order=35,
    run=run,
    tell=tell,
    complete=complete,
    mend=mend,
    judge=judge,
    measure=measure,
    show=show,
    says=UseSays(
        purpose="laying a part of one picture into another without a seam, in its light",
        doing="blending",
        example=f"ganvas apply RUN FILE --with {SOURCE}=OTHER --with {MASK}=MASK --out FOLDER",
        caution="A blended picture shows what never was together: say so where you show it.",
    ),
)
