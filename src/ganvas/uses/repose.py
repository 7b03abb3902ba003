"""Repose: the person or thing of a picture, drawn in another pose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Panel, Reposes
from ..errors import GanvasError
from . import Fields, Judged, NoOptions, Use, UseSays, Work, fields_taken, first_of
from .judging import LEAST, as_given, at_most, both, decoded, in_pieces, told_pairs

if TYPE_CHECKING:
    from ..batches import Batch
    from ..metrics.measure import Measure
    from ..store.records import Dataset


def run(work: Work, given: Fields, options: Any) -> Fields:
    images, more = first_of(given)
    return {work.main: work.system.repose(images, work.noise, **more)}


def _posed(work: Work) -> str:
    """The field of poses."""
    return next(iter(fields_taken(USE, work.system, work.fields)[1]))


def tell(work: Work, options: Any) -> str:
    return f"{work.main} drawn in another {_posed(work)}"


def pairs(dataset: Dataset, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Held-out rows, and of each another of its group, the next one. Raises GanvasError for fewer than ten."""
    held = dataset.heldout_indices()
    order = held[np.argsort(dataset.groups[held], kind="stable")]
    groups = dataset.groups[order]
    start = np.r_[True, groups[1:] != groups[:-1]]
    first = np.flatnonzero(start)[np.cumsum(start) - 1]  # of each group its first place
    last = np.r_[start[1:], True]
    place = np.arange(len(order))
    other = np.where(last, first, place + 1)
    alone = other == place
    rows, others = order[~alone], order[other[~alone]]
    if len(rows) < LEAST:
        raise GanvasError(
            f"{dataset.source} holds out {len(rows)} records that have another of their group: {LEAST} or more are needed"
        )
    chosen = at_most(np.arange(len(rows)), count, seed)
    return rows[chosen], others[chosen]


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Any) -> Judged:
    """Held-out records in the pose of another one of their group, beside that one."""
    rows, others = pairs(dataset, count, work.seed)
    posed = _posed(work)
    given = {work.main: np.asarray(dataset.values[rows]), posed: np.asarray(dataset.fields[posed].values[others])}
    made, untrained = both(work, fresh, given, lambda own, fields: run(own, fields, options)[own.main])
    return Judged(
        made,
        untrained,
        dataset,
        originals=np.asarray(dataset.values[others]),
        beside={"input": as_given(given[work.main])},
        families=("distance", "look"),
        notes=[f"judged: {len(rows)} held-out records in the pose of another of their group{told_pairs(work)}"],
    )


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """SSIM with the true picture on the body alone, of what is made and of the given picture as it is."""
    from ..metrics.masked import masked_ssim
    from ..metrics.measure import Measure

    rows, others = pairs(dataset, count, work.seed)
    posed = _posed(work)
    given = {work.main: np.asarray(dataset.values[rows]), posed: np.asarray(dataset.fields[posed].values[others])}
    made = decoded(work, in_pieces(work, given, lambda fields: run(work, fields, None)[work.main]))
    bodies = in_pieces(work, {posed: given[posed]}, lambda fields: work.system.body(fields[posed]))
    masks = np.concatenate([own.float().cpu().numpy() for own in bodies])[:, 0]
    low, high = work.spec.low, work.spec.high
    true = np.asarray(dataset.values[others])
    spread = 255.0 / max(high - low, 1e-9)
    found = {
        name: float(np.nanmean(masked_ssim((own - low) * spread, (true - low) * spread, masks)))
        for name, own in (("reposed_body", made.astype(float)), ("given_body", given[work.main].astype(float)))
    }
    return {name: Measure(value, f"ssim on the body/n={len(rows)}") for name, value in found.items()}


def show(work: Work, batch: Batch) -> Panel:
    """The given record, and what it becomes in another pose."""
    import torch

    posed = _posed(work)
    images = batch[work.main]
    made = run(work, {work.main: images, posed: batch[posed]}, None)[work.main]
    return Panel(torch.stack([images, made], 1), ("given", "in another pose"))


USE = Use(
    verb="repose",
    done="reposed",
    promise=Reposes,
    Options=NoOptions,
    order=38,
    run=run,
    tell=tell,
    judge=judge,
    measure=measure,
    show=show,
    says=UseSays(
        purpose="drawing the person of a picture in another pose",
        doing="reposing",
        example="ganvas apply RUN FILE --out FOLDER",
        caution="What the given picture does not show, such as a back or a hidden hand, is made up; nobody stood like this.",
    ),
)
