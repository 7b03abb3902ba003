"""Colourise: give colours to line drawings or grey pictures, and follow hints of colour where a user dabs some on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Colours, Panel
from ..errors import DataError
from ..kinds.facets import Piece
from . import COLOURS, Beside, Fields, Given, Judged, Use, UseSays, Work, first_of
from .judging import both, decoded, held_rows, in_pieces, told_pairs

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch
    from ..metrics.measure import Measure
    from ..store.records import Dataset

HINTS = "hints"
UNLIKE = 0.1  # of the range: a pixel of a copy of the picture that differs by more was dabbed on
MOST = 0.9  # of a picture: with more these are no hints


@dataclass(frozen=True)
class Options:
    pass


def hints_spec(spec: Any) -> Any:
    """In 8 bits: what is not transparent counts."""
    return replace(spec, depth=8, low=0.0, high=255.0, classes=())


def run(work: Work, given: Fields, options: Any) -> Fields:
    """Pictures (B, C, H, W) of any size, with hints (B, C + 1, H, W), of which C alone count everywhere, or without."""
    import torch

    from ..inference.colouring import no_hints
    from ..inference.painting import drawing_of

    system = work.system
    images, more = first_of(given)
    drawings = drawing_of(images, lambda x: system.drain(x, work.noise), system.keeps_luminance)
    hints = more.get(HINTS)
    if hints is None:
        hints = no_hints(images)
    elif hints.shape[1] == images.shape[1]:  # none is transparent: all of it counts
        hints = torch.cat([hints, torch.ones_like(hints[:, :1])], 1)
    where = (hints[:, -1:] > 0).to(images.dtype)
    hints = torch.cat([hints[:, :-1] * where, 2 * where - 1], 1)
    return {work.main: _coloured(work, drawings, hints)}


def _coloured(work: Work, drawings: Tensor, hints: Tensor) -> Tensor:
    from ..inference.painting import painted

    system, size = work.system, (work.spec.height, work.spec.width)
    return painted(
        lambda own, dabs: system.colour(own, dabs, work.noise), drawings, hints, size, keeps_luminance=system.keeps_luminance
    )


def tell(work: Work, options: Any) -> str:
    what = "grey values stay" if work.system.keeps_luminance else "from its lines"
    return f"colourised, {what}"


# Files


def complete(name: str, given: Given) -> Given:
    """Hints are what is not transparent of their picture, or what differs in it from the picture that is coloured."""
    pieces, beside = [_told(name, piece) for piece in given.pieces], dict(given.beside)
    if HINTS in beside:
        pictures = pieces if len(beside[HINTS]) == len(pieces) else [pieces[0]] * len(beside[HINTS])
        beside[HINTS] = [_settled(name, own, piece) for own, piece in zip(beside[HINTS], pictures, strict=True)]
    return Given(pieces, beside)


def _told(name: str, piece: Piece) -> Piece:
    records = _shares(piece)
    if records.shape[-1] < 3 or float(((records.max(-1) - records.min(-1)) > UNLIKE).mean()) <= 0.02:
        return piece
    return replace(piece, notes=(*piece.notes, f"{name}: is in colour: it is coloured anew, its own colours are not looked at"))


def _shares(piece: Piece) -> np.ndarray:
    """Records as shares of their range, 0 to 1."""
    low, high = piece.spec.low, piece.spec.high
    return np.asarray(((piece.records.astype(np.float32) - low) / (high - low)).clip(0, 1))


def _settled(name: str, hints: Piece, picture: Piece) -> Piece:
    """Hints with a fourth channel, which is white where they count. Raises DataError for what holds none."""
    own = _shares(hints)
    if own.shape[1:3] != picture.records.shape[1:3]:
        told = ("x".join(map(str, shape[1:3])) for shape in (own.shape, picture.records.shape))
        raise DataError(f"{name}: its hints are of {next(told)}, it is of {next(told)}: give them in the same size")
    if hints.clear is not None:
        where = hints.clear < 0.5
    else:
        where = (np.abs(own - _shares(picture)) > UNLIKE).any(-1)
    share = float(where.mean())
    if not share:
        raise DataError(f"{name}: its hints hold no colour: dab some on a transparent picture, or on a copy of this one")
    if share > MOST:
        raise DataError(f"{name}: its hints cover {share:.0%} of it: leave transparent what no colour is meant for")
    colours = np.where(where[..., None], np.round(255 * own), 127.5)
    records = np.concatenate([colours, 255.0 * where[..., None]], -1).astype(np.float32)
    note = f"{name}: hints on {share:.1%} of it"
    return Piece(records, replace(hints_spec(picture.spec), channels=records.shape[-1], depth=32), (note,))


# Judging


def _again(work: Work, given: Fields) -> Tensor:
    """Held-out pictures, drained and dabbed as in training, coloured."""
    images = given[work.main]
    return _coloured(work, work.system.drain(images, work.noise), work.system.dab(images, work.noise))


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out pictures, coloured from what is left of them with hints as in training, with the true ones beside."""
    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    given = {work.main: np.asarray(dataset.values[rows])}
    made, untrained = both(work, fresh, given, _again)

    def left(fields: dict[str, Any]) -> Tensor:
        drained: Tensor = work.system.drain(fields[work.main], work.noise)
        return drained.expand_as(fields[work.main])

    return Judged(
        made,
        untrained,
        dataset,
        originals=given[work.main],
        beside={"input": Beside(decoded(work, in_pieces(work, given, left)), "what was left of the pictures, without colours")},
        families=("distance", "look"),  # each stands for a held-out record: their spread and copies say nothing of the run
        notes=[f"judged: {len(rows)} held-out records, coloured with hints as in training{told_pairs(work)}"],
    )


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """How far colours are from the true ones where a hint gave them, and with and without hints over all."""
    from ..inference.colouring import no_hints
    from ..metrics.measure import Measure

    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    found: list[np.ndarray] = []

    def looked(fields: dict[str, Any]) -> Tensor:
        images = fields[work.main]
        drawings, hints = work.system.drain(images, work.noise), work.system.dab(images, work.noise)
        made, alone = (_coloured(work, drawings, h) for h in (hints, no_hints(images)))
        where = (hints[:, -1] > 0).to(images.dtype)
        error = (made - hints[:, :-1]).abs().mean(1)
        sums = [(error * where).sum(), where.sum(), (made - images).abs().mean((1, 2, 3)).sum(),
                (alone - images).abs().mean((1, 2, 3)).sum()]  # fmt: skip
        found.append(np.array([float(value) for value in sums]))
        return made

    in_pieces(work, {work.main: np.asarray(dataset.values[rows])}, looked)
    at, places, hinted, alone = np.sum(found, 0)
    return {
        "hint_error": Measure(50 * at / max(places, 1.0), f"percent/mean of channels where hints are/n={len(rows)}"),
        "colour_error": Measure(50 * hinted / len(rows), f"percent/mean of channels, with hints as in training/n={len(rows)}"),
        "colour_error_unhinted": Measure(50 * alone / len(rows), f"percent/mean of channels, without hints/n={len(rows)}"),
    }


def show(work: Work, batch: Batch) -> Panel:
    """What is left of it with its hints on it, coloured, and true."""
    import torch

    work.renew()
    images = batch[work.main]
    drawings, hints = work.system.drain(images, work.noise), work.system.dab(images, work.noise)
    given = torch.where(hints[:, -1:] > 0, hints[:, :-1], drawings)
    return Panel(torch.stack([given, _coloured(work, drawings, hints), images], 1), ("given", "coloured", "true"))


USE = Use(
    verb="colourise",
    done="colourised",
    aliases=("colorize", "colorise", "colourize", "colour", "color"),
    promise=Colours,
    method="colour",
    brings={HINTS: hints_spec},
    paints={HINTS: COLOURS},
    optional=(HINTS,),
    Options=Options,
    order=33,
    run=run,
    tell=tell,
    complete=complete,
    judge=judge,
    measure=measure,
    show=show,
    says=UseSays(
        purpose="colouring line drawings or grey pictures, with hints of colour or without",
        doing="colouring",
        example="ganvas apply RUN FILE --out FOLDER",
        caution="Colours that nobody hinted at are those that such pictures usually have; the true ones are not known to it.",
    ),
)
