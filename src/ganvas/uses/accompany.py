"""Accompany: a melody over given chords."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Accompanies, Panel
from . import Fields, Judged, Use, UseSays, Work, first_of
from .judging import as_given, both, held_rows

if TYPE_CHECKING:
    from ..batches import Batch
    from ..store.records import Dataset


def run(work: Work, given: Fields, options: Any) -> Fields:
    tunes, _ = first_of(given)
    return {work.main: work.system.accompany(tunes, work.noise)}


def tell(work: Work, options: Any) -> str:
    return "melody written over the chords"


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Melodies over the chords of held-out tunes, against these tunes."""
    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    given = np.asarray(dataset.values[rows])
    made, untrained = both(work, fresh, {work.main: given}, lambda own, fields: run(own, fields, options)[own.main])
    return Judged(
        made,
        untrained,
        dataset,
        beside={"input": as_given(given)},
        notes=[f"judged: melodies over the chords of {len(rows)} held-out tunes, which have melodies of their own"],
    )


def show(work: Work, batch: Batch) -> Panel:
    """A melody over a tune's chords, and its own."""
    import torch

    true = batch[work.main]
    return Panel(torch.stack([work.system.accompany(true, work.noise), true], 1), ("made", "true"))


USE = Use(
    verb="accompany",
    done="accompanied",
    promise=Accompanies,
    order=41,
    run=run,
    tell=tell,
    judge=judge,
    show=show,
    says=UseSays(
        purpose="writing a melody over given chords",
        doing="accompanying",
        example="ganvas apply RUN chords.txt --as accompany --out FOLDER",
        caution="A melody follows what was usual over such chords in the data, and may repeat passages of it.",
    ),
)
