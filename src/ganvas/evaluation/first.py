"""A first table of few records, for those who wait. Not for numbers that are kept: their intervals are wide."""

from __future__ import annotations

from typing import Any

from ..kinds import kind_of
from ..kinds.facets import Seen
from ..metrics.features import Extractor
from .anchors import misleading
from .bench import Bench
from .beside import anchors, noisy
from .sets import Sets
from .stages import Stages, usual_work

QUICK = 100  # records of each side that a first table is made of


def few(sets: Sets, seed: int) -> Sets:
    """What a first table is made of: at most 100 records of each side, without classes, and without an audit for copies."""
    small = sets.thinned(QUICK, seed)
    small.families = tuple(family for family in sets.families if family not in ("classes", "audit"))
    return small


def first_table(small: Sets, extractor: Extractor, seed: int, device: str, stages: Stages, look: float = 0.0) -> dict[str, Any]:
    """What can be said soon: the measures of few records that go by features and pixels, beside those of training records.

    small: as `few` makes it; its notes come first. look: see `usual_work`.
    """
    sides = [len(part) for part in (small.generated, small.train, small.heldout)]
    seen = isinstance(kind_of(small.kind), Seen)
    told = ["real", *(["noise"] if noisy(small) else [])]
    stages.plan(usual_work(*sides, look=look, seen=seen, anchors=told))
    bench = Bench(small, extractor, seed, device, stages)
    stages.begin("measures", "distances, fidelity and their intervals")
    measures = bench.measure(small.generated.values, small.generated.labels, intervals=True, dear=False)
    paired = {} if small.originals is None else bench.against_originals(small.generated)
    result = bench.head() | {key: own.to_dict() for key, own in (measures | small.measures | paired).items()}
    result["anchors"] = anchors(bench, quick=True)
    result["misleading"] = misleading(result)
    note = (
        f"quick: {sides[0]} samples, {sides[1]} training and {sides[2]} held-out records were looked at; classes, diversity "
        "and copies of training records were not"
    )
    return result | {"quick": True, "notes": [*small.notes, *bench.notes, note]}
