"""Assemble: things of many records that only count together, such as a graph of its edges; in the place of `sample`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..capabilities import Assembles
from ..config import knob
from . import Fields, Judged, Use, UseSays, Work

if TYPE_CHECKING:
    from torch import Tensor

    from ..store.records import Dataset


@dataclass(frozen=True)
class Options:
    count: int = knob(1, "how many", low=1)
    effort: float = knob(1.0, "of the usual work on each; less for a quick look", low=0.001, high=100.0)


def run(work: Work, given: Fields, options: Options) -> Fields:
    """(count, records, ...): as many records in each as were learnt from."""
    return {work.main: work.system.assemble(options.count, work.noise, work.learnt, effort=options.effort)}


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Options) -> Judged:
    """The records of one thing, as large as what was learnt from."""
    import torch

    from ..kinds import decode

    def records() -> Iterator[Tensor]:
        for system in (work.system, fresh):
            own = replace(work, system=system, learnt=len(dataset.train_indices()))
            yield run(own, {}, Options())[own.main][0]

    with torch.no_grad():
        made, untrained = (decode(one, work.spec) for one in records())
    return Judged(made, untrained, dataset)


USE = Use(
    verb="assemble",
    done="assembled",
    promise=Assembles,
    takes=(),
    Options=Options,
    order=70,
    replaces=("sample",),
    quick={"effort": 0.1},
    run=run,
    judge=judge,
    says=UseSays(
        purpose="making whole things of many records, such as graphs",
        doing="assembling",
        example="ganvas sample RUN -n 2",
    ),
)
