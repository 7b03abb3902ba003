"""Inpaint: draw what is missing of a picture, where a mask says so or where it is transparent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..borders import is_graph, left
from ..capabilities import Inpaints, Panel
from ..errors import DataError
from ..kinds.facets import Piece
from . import AREA, Beside, Fields, Given, Judged, Use, UseSays, Work, first_of
from .judging import both, decoded, held_rows, in_pieces, told_pairs

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch
    from ..metrics.measure import Measure
    from ..store.records import Dataset

MASK = "mask"
WHITE = 255
MOST_GREY = 0.5  # of a picture: with more it is no mask
REST = (
    "laid into the hole, moved to meet what is around it, pictures of other sizes window by window: "
    "ganvas.inference.holes.filled(graph, picture, share missing, size)"
)
"""What follows a graph, which draws one window."""
ON_WHITE = "transparent pixels laid on white"


@dataclass(frozen=True)
class Options:
    pass


def mask_spec(spec: Any) -> Any:
    """Grey, 8 bits: white is missing, black is kept, grey is mixed."""
    return replace(spec, channels=1, depth=8, low=0.0, high=float(WHITE), classes=())


def run(work: Work, given: Fields, options: Any) -> Fields:
    """Pictures (B, C, H, W) of any size, with their masks (B, 1, H, W) in [-1, 1]."""
    import torch

    from ..inference.holes import filled

    images, more = first_of(given)
    size = (work.spec.height, work.spec.width)
    if is_graph():  # of one window: where windows lie is read off the mask
        holes = (more[MASK] > -1).to(images.dtype)
        left({"drawn": work.system.fill(images * (1 - holes), holes, work.noise)}, REST)
    made = []
    for image, mask in zip(images, more[MASK], strict=True):
        share = (mask[None] + 1) / 2
        made.append(filled(lambda x, holes: work.system.fill(x, holes, work.noise), image[None], share, size))
    return {work.main: torch.cat(made)}


def tell(work: Work, options: Any) -> str:
    return "inpainted: what was missing is drawn"


# Files


def complete(name: str, given: Given) -> Given:
    """Masks are looked at before anything is drawn; where none was given, transparent pixels are what is missing."""
    pieces, beside = given.pieces, dict(given.beside)
    if MASK in beside:
        beside[MASK] = _settled(name, beside[MASK])
        return Given(pieces, beside)
    if all(piece.clear is None for piece in pieces):
        raise DataError(f"{name}: what is missing? Add  --with {MASK}=FILE, white there, or make those pixels transparent")
    beside[MASK] = _settled(name, [_mask_of(piece) for piece in pieces])
    return Given([_uncovered(piece) for piece in pieces], beside)


def _mask_of(piece: Piece) -> Piece:
    """What is transparent of a picture, as its mask."""
    clear = np.zeros(piece.records.shape[:3], np.float32) if piece.clear is None else piece.clear
    records = np.where(clear > 0, np.maximum(1, np.round(clear * WHITE)), 0).astype(np.uint8)
    return Piece(records[..., None], mask_spec(piece.spec))


def _uncovered(piece: Piece) -> Piece:
    """A picture without the white that lies under its half transparent pixels."""
    if piece.clear is None:
        return piece
    clear, top = piece.clear[..., None].astype(np.float64), float(np.iinfo(piece.records.dtype).max)
    own = (piece.records - top * clear) / np.maximum(1 - clear, 1e-6)
    records = np.where((clear > 0) & (clear < 1), np.round(own).clip(0, top), piece.records).astype(piece.records.dtype)
    return replace(piece, records=records, notes=tuple(note for note in piece.notes if not note.endswith(ON_WHITE)))


def share_of_mask(name: str, piece: Piece) -> tuple[np.ndarray, list[str]]:
    """(how far each pixel of a mask is white, 0 to 1; what is to be told of it): of two values that are not black and white the
    larger counts as white."""
    low, high = piece.spec.low, piece.spec.high
    share = ((piece.records.astype(np.float64) - low) / (high - low)).clip(0, 1)
    values = np.unique(piece.records)
    if len(values) == 2 and values[0] <= low < values[1] and share.max() < 1:
        notes = [f"{name}: its mask holds {values[0]:g} and {values[1]:g}: {values[1]:g} counts as white"]
        return (share > 0).astype(np.float64), notes
    return share, list(piece.notes)


def _settled(name: str, masks: list[Piece]) -> list[Piece]:
    """Masks in 8 bits. Raises DataError for what is none."""
    found = []
    for piece in masks:
        share, notes = share_of_mask(name, piece)
        grey = float(((share > 0.02) & (share < 0.98)).mean())
        if grey > MOST_GREY:
            raise DataError(f"{name}: {grey:.0%} of its mask is grey, as in a picture: draw it black, white what is missing")
        if share.min() > 0:
            raise DataError(f"{name}: its mask leaves nothing to go by: draw it black, and white only what is missing")
        if 0 < share.max() < 0.5:
            raise DataError(f"{name}: its mask is {share.max():.0%} grey at most: draw white what is missing; grey is mixed")
        if grey:
            notes.append(f"{name}: {grey:.1%} of its mask is grey: a soft edge, where what is drawn and what is there mix")
        records = np.where(share > 0, np.maximum(1, np.round(share * WHITE)), 0).astype(np.uint8)
        found.append(Piece(records, mask_spec(piece.spec), tuple(notes)))
    if not any(piece.records.any() for piece in found):
        raise DataError(f"{name}: its mask is black all over: nothing is missing; draw white what is to be filled")
    return found


def mend(given: Piece, made: Piece, beside: Mapping[str, Piece]) -> Piece:
    """What was not missing is given back bit by bit; whole numbers stay whole (Hounsfield units)."""
    same = (given.spec.depth, given.spec.low, given.spec.high) == (made.spec.depth, made.spec.low, made.spec.high)
    if not same or given.records.shape != made.records.shape:
        return made  # another depth was asked for
    records = made.records
    if records.dtype.kind == "f" and (given.records == np.round(given.records)).all():
        records = np.round(records)
    return replace(made, records=np.where(beside[MASK].records > 0, records, given.records).astype(given.records.dtype))


# Judging


def _holed(work: Work, images: Tensor) -> tuple[Tensor, Tensor]:
    """(images, masks as `run` takes them), with holes as in training."""
    return images, work.system.hole(images, work.noise) * 2 - 1


def _again(work: Work, given: Fields) -> Tensor:
    images, masks = _holed(work, given[work.main])
    made: Tensor = run(work, {work.main: images, MASK: masks}, None)[work.main]
    return made


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out pictures with holes as in training, filled, with the true ones beside."""
    from ..inference.membrane import membrane

    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    given = {work.main: np.asarray(dataset.values[rows])}
    made, untrained = both(work, fresh, given, _again)

    def grey(fields: dict[str, Any]) -> Tensor:
        images, masks = _holed(work, fields[work.main])
        return images * (1 - masks) / 2

    def smooth(fields: dict[str, Any]) -> Tensor:
        images, masks = _holed(work, fields[work.main])
        return membrane(images, (1 - masks) / 2)

    return Judged(
        made,
        untrained,
        dataset,
        originals=given[work.main],
        beside={
            "input": Beside(decoded(work, in_pieces(work, given, grey)), "the pictures with their holes, in grey"),
            "smooth": Beside(decoded(work, in_pieces(work, given, smooth)), "the border of each hole continued smoothly"),
        },
        families=("distance", "look"),  # each stands for a held-out record: their spread and copies say nothing of the run
        notes=[f"judged: {len(rows)} held-out records with holes as in training, filled{told_pairs(work)}"],
    )


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """Inside the holes alone, for the rest is what was given: error, and steps at the border by those of the true pictures."""
    from ..metrics.measure import Measure

    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    found: list[Any] = []

    def looked(fields: dict[str, Any]) -> Tensor:
        images, masks = _holed(work, fields[work.main])
        made = run(work, {work.main: images, MASK: masks}, None)[work.main]
        holes = (masks + 1) / 2
        inside = holes.expand_as(images) > 0
        found.append(
            ((made - images)[inside].abs().double().mean(), (made - images)[inside].square().double().mean(),
             steps(made, holes), steps(images, holes), len(images))
        )  # fmt: skip
        return made

    in_pieces(work, {work.main: np.asarray(dataset.values[rows])}, looked)
    weights = np.array([part[-1] for part in found], float)
    error, squared, made, true = (float(np.average([float(part[k]) for part in found], weights=weights)) for k in range(4))
    return {
        "hole_error": Measure(50 * error, f"percent/mean of pixels inside holes/n={len(rows)}"),
        "hole_psnr": Measure(float(-10 * np.log10(max(squared / 4, 1e-10))), f"psnr/inside holes/n={len(rows)}"),
        "hole_seam": Measure(made / max(true, 1e-9), f"steps across borders of holes, of those of true pictures/n={len(rows)}"),
    }


def steps(images: Tensor, holes: Tensor) -> Tensor:
    """The mean difference of neighbours of which one is missing: images (B, C, H, W), holes (B, 1, H, W) of 0 and 1."""
    total, count = images.new_zeros(()), images.new_zeros(())
    for axis in (2, 3):
        across = holes.diff(dim=axis).abs()
        total = total + (images.diff(dim=axis).abs() * across).sum()
        count = count + across.sum() * images.shape[1]
    return total / count.clamp(min=1)


def show(work: Work, batch: Batch) -> Panel:
    """With its hole, filled, and true."""
    import torch

    work.renew()
    images, masks = _holed(work, batch[work.main])
    made = run(work, {work.main: images, MASK: masks}, None)[work.main]
    return Panel(torch.stack([images * (1 - masks) / 2, made, images], 1), ("given", "filled", "true"))


USE = Use(
    verb="inpaint",
    done="inpainted",
    promise=Inpaints,
    method="fill",
    brings={MASK: mask_spec},
    paints={MASK: AREA},
    order=32,
    run=run,
    tell=tell,
    complete=complete,
    mend=mend,
    judge=judge,
    measure=measure,
    show=show,
    says=UseSays(
        purpose="filling holes in pictures, where a mask is white or they are transparent",
        doing="inpainting",
        example="ganvas apply RUN FILE --out FOLDER",
        caution="What fills a hole is invented: it fits what is around it, and may be nothing like what was there.",
    ),
)
