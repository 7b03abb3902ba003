"""What uses share that take from records what spoils them, blur or noise: of pairs the spoiled one is given, else it is made as
in training; and that values which a run was never shown come back as they were. Not for records that come back in another
size: `restore`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Panel
from . import Fields, Given, Judged, Work
from .judging import as_given, both, decoded, held_rows, in_pieces, told_pairs

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch
    from ..kinds.facets import Piece
    from ..store.records import Dataset

Change = Callable[[Any, "Tensor", Any], "Tensor"]
"""(system, records (B, C, H, W), noise) -> the same, spoiled or repaired."""
SCANNED = -1024.0, 3071.0  # Hounsfield units of 12 bits


def told_beyond(name: str, given: Given) -> Given:
    """`Use.complete`: a note where values with a sign, which Hounsfield units are, go beyond what 12 bits hold."""
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


def unseen_kept(given: Piece, made: Piece, beside: Mapping[str, Piece]) -> Piece:
    """`Use.mend`: values beyond black and white, which the run was never shown, stay; whole numbers stay whole, so that files
    keep each unit."""
    before, after = given.records, made.records
    if before.dtype != after.dtype or before.shape != after.shape:  # another depth was asked for
        return made
    seen = (before >= given.spec.low) & (before <= given.spec.high)
    if before.dtype.kind == "f" and (before == np.rint(before)).all():
        after = np.rint(after)
    return replace(made, records=np.where(seen, after, before))


@dataclass(frozen=True)
class Spoiling:
    """spoil, repair: what a system does. doing: as in `restoring`. given, made: of spoiled records of pairs, and of those
    spoiled here, as a note tells them. repaired: what then happened to them. titles: of the spoiled and the repaired.
    """

    spoil: Change
    repair: Change
    doing: str
    given: str
    made: str
    repaired: str
    titles: tuple[str, str]

    def spoiled(self, work: Work, fields: Fields) -> Tensor:
        """Spoiled records: the second field of pairs, else the main one, spoiled as in training."""
        if len(work.fields) > 1:
            found: Tensor = next(value for name, value in fields.items() if name != work.main)
            return found
        return self.spoil(work.system, fields[work.main], work.noise)

    def judge(self, work: Work, fresh: Any, dataset: Dataset, count: int) -> Judged:
        """Held-out records, spoiled and repaired, with the true ones beside."""
        from ..inference.tiles import continued

        rows = held_rows(dataset, count, work.seed, self.doing)
        given = {name: np.asarray(dataset.fields[name].values[rows]) for name in work.fields}

        def repaired(own: Work, fields: Fields) -> Tensor:
            images = self.spoiled(own, fields)
            made = self.repair(own.system, continued(images, own.system.multiple, 2), own.noise)
            return made[:, :, : images.shape[2], : images.shape[3]]

        made, untrained = both(work, fresh, given, repaired)
        seen = decoded(work, in_pieces(work, given, lambda fields: self.spoiled(work, fields)))
        how = self.given if len(work.fields) > 1 else self.made
        return Judged(
            made,
            untrained,
            dataset,
            originals=given[work.main],
            beside={"input": as_given(seen)},
            families=("distance", "look"),  # each stands for a held-out record: their spread and copies say nothing of the run
            notes=[f"judged: {len(rows)} held-out records {how}, {self.repaired}{told_pairs(work)}"],
        )

    def show(self, work: Work, batch: Batch) -> Panel:
        """Spoiled, repaired, and true."""
        import torch

        fields = {name: batch[name] for name in work.fields}
        height, width = (side // work.system.multiple * work.system.multiple for side in fields[work.main].shape[2:])
        images = self.spoiled(work, fields)[:, :, :height, :width]
        true = fields[work.main][:, :, :height, :width]
        return Panel(torch.stack([images, self.repair(work.system, images, work.noise), true], 1), (*self.titles, "true"))
