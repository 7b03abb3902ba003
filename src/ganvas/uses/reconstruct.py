"""Reconstruct: a solid of one picture of it. Of pairs the pictures are those of the data, else they are made as in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Panel, Reconstructs
from ..config import knob
from . import Beside, Fields, Judged, Use, UseSays, Work, first_of
from .judging import PIECE, at_most, both, held_rows, in_pieces, told_pairs

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch
    from ..metrics.measure import Measure
    from ..store.records import Dataset

PICTURE = "picture"
SIDES = 8  # of each training solid, in whose pictures the nearest is looked for
MOST = 1000  # training solids


@dataclass(frozen=True)
class Options:
    codes: int = knob(
        1, "solids for each picture: the likeliest first, then others that the picture leaves open", low=1, high=64
    )


def picture_spec(spec: Any) -> Any:
    """Of the pictures that are made of solids."""
    from ..kinds.image.spec import ImageSpec
    from ..networks.views import PIXELS

    return ImageSpec(1, PIXELS * spec.side, PIXELS * spec.side)


def run(work: Work, given: Fields, options: Any) -> Fields:
    """Pictures (B, C, H, W) of the size of training -> B solids, or as many times B, those of a picture one after the other."""
    import torch

    pictures, _ = first_of(given)
    made = [work.system.build(pictures, work.noise, drawn=number > 0) for number in range(options.codes)]
    return {work.main: torch.stack(made, 1).flatten(0, 1)}


def tell(work: Work, options: Any) -> str:
    return "reconstructed from one picture"


def pictured(work: Work, fields: Fields) -> Tensor:
    """Pictures of records: their own, or made."""
    made: Tensor = fields[PICTURE] if PICTURE in fields else work.system.depict(fields[work.main], work.noise)
    return made


def rebuilt(work: Work, fields: Fields) -> Tensor:
    made: Tensor = work.system.build(pictured(work, fields), work.noise)
    return made


def nearest(work: Work, dataset: Dataset, pictures: np.ndarray) -> np.ndarray:
    """For each picture (N, ...) in the units of the game the training solid that has the picture most like it (squared error),
    of its own picture or of SIDES that are made: (N, side, side, side)."""
    rows = at_most(dataset.train_indices(), MOST, work.seed)
    given = {name: np.asarray(dataset.fields[name].values[rows]) for name in work.fields}
    wanted = pictures.reshape(len(pictures), -1)
    best, which = np.full(len(wanted), np.inf), np.zeros(len(wanted), np.int64)
    work.renew()
    for _ in range(1 if PICTURE in work.fields else SIDES):
        start = 0
        for piece in _pieces(work, given, lambda fields: pictured(work, fields)):
            known = piece.reshape(len(piece), -1)
            apart = (wanted**2).sum(1)[:, None] + (known**2).sum(1) - 2 * wanted @ known.T
            least = apart.argmin(1)
            nearer = apart[np.arange(len(wanted)), least] < best
            best[nearer], which[nearer] = apart[nearer, least[nearer]], start + least[nearer]
            start += len(piece)
    return np.asarray(given[work.main][which])


def _pieces(work: Work, given: dict[str, np.ndarray], function: Any) -> Any:
    """`in_pieces`, one after the other, with noise that goes on: pictures of all training solids at once would not fit."""
    import torch

    count = len(next(iter(given.values())))
    with torch.no_grad():
        for start in range(0, count, PIECE):
            part = {name: work.encode(values[start : start + PIECE], work.fields[name]) for name, values in given.items()}
            yield function(part).float().cpu().numpy()


def overlap(made: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Voxels that both solids of a pair have over those that either has: (N,)."""
    one, other = (np.asarray(side).reshape(len(side), -1) > 0 for side in (made, true))
    shares: np.ndarray = (one & other).sum(1) / np.maximum((one | other).sum(1), 1)
    return shares


def _held(work: Work, dataset: Dataset, count: int) -> dict[str, np.ndarray]:
    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    return {name: np.asarray(dataset.fields[name].values[rows]) for name in work.fields}


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out solids, made of a picture each, with the true ones beside."""
    given = _held(work, dataset, count)
    made, untrained = both(work, fresh, given, rebuilt)
    pictures = np.concatenate(
        [own.float().cpu().numpy() for own in in_pieces(work, given, lambda fields: pictured(work, fields))]
    )
    words = "the training solid that has the picture most like it"
    how = "their own picture" if PICTURE in given else "a picture from a random side"
    return Judged(
        made,
        untrained,
        dataset,
        originals=given[work.main],
        beside={"nearest": Beside(nearest(work, dataset, pictures), words)},
        families=("distance", "look"),  # each stands for a held-out record: their spread and copies say nothing of the run
        notes=[f"judged: {len(made)} held-out solids, made of {how}{told_pairs(work)}"],
    )


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """Overlap with the true solid, of what is made and of the training solid whose picture is nearest."""
    from ..kinds import decode
    from ..metrics.measure import Measure

    given = _held(work, dataset, count)
    pictures: list[np.ndarray] = []
    made: list[np.ndarray] = []

    def looked(fields: Fields) -> Tensor:
        seen = pictured(work, fields)
        pictures.append(seen.float().cpu().numpy())
        solids: Tensor = work.system.build(seen, work.noise)
        made.append(decode(solids, work.spec))
        return solids

    in_pieces(work, given, looked)
    true, told = given[work.main], f"iou/one picture/n={len(given[work.main])}"
    known = nearest(work, dataset, np.concatenate(pictures))
    return {
        "overlap": Measure(float(overlap(np.concatenate(made), true).mean()), told),
        "overlap_of_nearest_picture": Measure(float(overlap(known, true).mean()), f"{told}/training solid"),
    }


def show(work: Work, batch: Batch) -> Panel:
    """Made of a picture, and true."""
    import torch

    work.renew()
    fields = {name: batch[name] for name in work.fields}
    return Panel(torch.stack([rebuilt(work, fields), fields[work.main]], 1), ("of a picture", "true"))


USE = Use(
    verb="reconstruct",
    done="reconstructed",
    promise=Reconstructs,
    method="build",
    takes=(PICTURE,),
    brings={PICTURE: picture_spec},
    writes="stl",  # data of voxels too: a mesh is what one has a solid made for
    Options=Options,
    order=5,
    fitted=True,
    run=run,
    tell=tell,
    judge=judge,
    measure=measure,
    show=show,
    says=UseSays(
        purpose="making a solid of one picture of it",
        doing="reconstructing",
        example="ganvas apply RUN PICTURE --as reconstruct --out FOLDER",
        caution="What a picture does not show, the far side above all, is what such solids usually have. It is no measurement.",
    ),
)
