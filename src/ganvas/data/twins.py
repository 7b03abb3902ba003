"""Records of a data set that are the same but for a change of their field (`kinds.facets.Recognises`), joined into groups.

A split divides no group. Near twins of pictures are found where pictures are decoded (`kinds.image.filling`). Not for copies
among samples: `metrics.memorisation`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kinds import Kind
from ..kinds.facets import Recognises

if TYPE_CHECKING:
    from ..metrics.recognition import Recogniser


def recogniser_of(kind: Kind, spec: Any) -> Recogniser | None:
    """How records of this spec are known again; None for kinds that do not say."""
    if not isinstance(kind, Recognises):
        return None
    from ..metrics.recognition import Recogniser

    return Recogniser(
        lambda values, changed: kind.prints(values, spec, changed), partial(kind.likeness, spec=spec), kind.twin, kind.reach,
        kind.changes,
    )  # fmt: skip


def join_twins(kind: Kind, values: np.ndarray, spec: Any, groups: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(groups (N,) with the twins among records joined, notes for the user). groups: of records that belong together anyway."""
    recogniser = recogniser_of(kind, spec)
    if recogniser is None or len(values) < 2:
        return groups, []
    from ..metrics.recognition import MOST, twin_groups

    count, noun = len(values), kind.says.noun
    if count > MOST:
        return groups, [f"twins were not looked for among {count} {noun} (at most {MOST}): give groups.csv"]
    joined, threshold = twin_groups(recogniser, values, groups)
    joined = np.unique(joined, return_inverse=True)[1].reshape(-1).astype(np.int64)
    # A group that several of the groups before lie in: how many records that is true of.
    pairs = np.unique(np.stack([joined, groups], axis=1), axis=0)
    several = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    linked = int(np.isin(joined, several).sum())
    if not linked:
        return groups, []
    looser = (
        "" if threshold == recogniser.twin else f" (a likeness of {threshold:g} was asked for: else nearly all hang together)"
    )
    told = f"{linked} of {count} {noun} have twins, the same but for {recogniser.changes}{looser}"
    return joined, [f"{told}: twins stay on one side of the split"]
