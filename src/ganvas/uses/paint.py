"""Paint: brush strokes on a picture say which colours are wanted where, and the picture follows them as such pictures can."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Repaints
from ..errors import DataError
from . import COLOURS, Fields, Given, Use, UseSays, Work, first_of
from .judging import held_rows, in_pieces
from .stroking import read_strokes, settled

if TYPE_CHECKING:
    from torch import Tensor

    from ..metrics.measure import Measure
    from ..store.records import Dataset

STROKES = "strokes"
RADIUS = 1 / 8  # of the short side: of strokes that a run is tried with
TRIED = 256  # records at most


def strokes_spec(spec: Any) -> Any:
    """In 8 bits: what is not transparent counts."""
    return replace(spec, depth=8, low=0.0, high=255.0, classes=())


def run(work: Work, given: Fields, options: Any) -> Fields:
    """Pictures (B, C, H, W) of any size, with strokes (B, C + 1, H, W), of which C alone count everywhere."""
    import torch

    images, more = first_of(given)
    strokes = more[STROKES]
    if strokes.shape[1] == images.shape[1]:
        strokes = torch.cat([strokes, torch.ones_like(strokes[:, :1])], 1)
    return {work.main: painted(work, images, strokes[:, :-1], (strokes[:, -1:] + 1) / 2)}


def painted(work: Work, images: Tensor, colours: Tensor, strength: Tensor) -> Tensor:
    """Images (B, C, H, W) of any size that follow strokes: colours (B, C, H, W) with a strength (B, 1, H, W) from 0 to 1."""
    from torch.nn.functional import interpolate

    from ..inference.strokes import laid_on, reduced

    size = tuple(work.spec.shape[1:])
    small = images if tuple(images.shape[2:]) == size else interpolate(images, size, mode="bilinear", antialias=True)
    before, after = work.system.repaint(small, *reduced(colours, strength, size), work.noise)
    return laid_on(images, before, after)


def tell(work: Work, options: Any) -> str:
    return "painted: strokes followed, and what they changed laid on the picture"


def complete(name: str, given: Given) -> Given:
    """Strokes of a list, or what is not transparent of their picture, or what differs in it from the picture itself."""
    beside = dict(given.beside)
    if STROKES not in beside:
        raise DataError(f"{name}: paint what? Add  --with {STROKES}=FILE, a list in JSON or a picture that is transparent else")
    picture = given.pieces[0]
    beside[STROKES] = [settled(name, own, picture, strokes_spec(picture.spec)) for own in beside[STROKES]]
    return Given(given.pieces, beside)


def _tried(work: Work, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(images that follow a stroke each, colours, strength)."""
    from ..inference.strokes import borrowed

    colours, strength = borrowed(images, RADIUS, work.seed)
    return painted(work, images, colours, strength), colours, strength


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """How far a stroke on a held-out picture is followed, of a colour that another has there, and what else changes."""
    from ..inference.strokes import followed
    from ..metrics.measure import Measure

    rows = held_rows(dataset, min(count, TRIED), work.seed, USE.says.doing)
    found: list[np.ndarray] = []

    def looked(fields: dict[str, Any]) -> Tensor:
        images = fields[work.main]
        made, colours, strength = _tried(work, images)
        found.append(np.stack([part.cpu().numpy() for part in followed(images, made, colours, strength)]))
        return made

    in_pieces(work, {work.main: np.asarray(dataset.values[rows])}, looked)
    before, after, outside = np.concatenate(found, 1).mean(1)
    protocol = f"one stroke each of a colour that another picture has there/n={len(rows)}/held out"
    return {
        "strokes_followed": Measure(float(1 - after / max(before, 1e-6)), f"share of the colour error that is gone/{protocol}"),
        "changed_outside": Measure(float(50 * outside), f"percent of the range, where no stroke is/{protocol}"),
    }


USE = Use(
    verb="paint",
    done="painted",
    promise=Repaints,
    method="repaint",
    brings={STROKES: strokes_spec},
    paints={STROKES: COLOURS},
    reads={".json": read_strokes},
    order=46,
    run=run,
    tell=tell,
    complete=complete,
    measure=measure,
    says=UseSays(
        purpose="brush strokes on a picture, which it follows as such pictures can",
        doing="painting",
        example="ganvas apply RUN FILE --as paint --out FOLDER",
        caution="A painted picture shows what is usual for the colours asked for, and other things may change with them. It is "
        "no evidence of anything.",
    ),
)
