"""Link: how likely pairs of nodes of a graph are to be joined, `ganvas apply RUN pairs.csv --as link`.

The example of what one new verb costs: a promise of ten lines in `capabilities`, and this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import ScoresLinks
from . import Fields, Use, UseSays, Work, first_of
from .desk import shortened
from .judging import LEAST, area_interval

if TYPE_CHECKING:
    from ..metrics.measure import Measure
    from ..store.records import Dataset
    from .desk import Desk


def run(work: Work, given: Fields, options: Any) -> Fields:
    pairs, more = first_of(given)
    return {"score": work.system.link_scores(pairs, work.noise, **more)}


def keep(work: Work, desk: Desk, names: list[str], given: Fields, made: Fields) -> None:
    """A row a pair in `scores.csv`: the two nodes by their names, and the score."""
    called = work.spec.names or [str(node) for node in range(work.spec.nodes)]
    for name, (a, b), score in zip(names, first_of(given)[0].tolist(), made.pop("score").tolist(), strict=True):
        desk.row(name, {"first": called[a], "second": called[b], "score": shortened(score)})


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """How well held-out edges are told from as many pairs without one (nothing when fewer than ten are held out).

    Adamic-Adar's scores on the same pairs stand beside.
    """
    import torch

    from ..metrics.graphs import adamic_adar, link_prediction, without_edge
    from ..metrics.measure import Measure

    held, learnt = (np.asarray(dataset.values[rows]) for rows in (dataset.heldout_indices(), dataset.train_indices()))
    if len(held) < LEAST:
        return {}
    nodes = work.spec.nodes
    pairs = np.concatenate([held, without_edge(np.asarray(dataset.values), nodes, len(held), seed=work.seed)])
    work.renew()
    with torch.no_grad():
        scores = run(work, {work.main: work.encode(pairs, work.spec)}, None)["score"].cpu().numpy()
    simple = adamic_adar(learnt, nodes, pairs)
    found = link_prediction(scores[: len(held)], scores[len(held) :])
    beside = {f"adamic_adar_{k}": v for k, v in link_prediction(simple[: len(held)], simple[len(held) :]).items()}
    more = {"average_precision": found["average_precision"], **beside}
    protocol = f"auroc/links/n={len(held)}/m={len(held)}/held out"
    return {"link_auroc": Measure(found["auroc"], protocol, *area_interval(found["auroc"], len(held), len(held)), more)}


USE = Use(
    verb="link",
    done="scored",
    promise=ScoresLinks,
    method="link_scores",
    gives=("score",),
    order=80,
    batch=0,
    fitted=True,
    run=run,
    keep=keep,
    measure=measure,
    says=UseSays(
        purpose="saying which pairs of nodes are likely to be joined",
        doing="scoring pairs",
        example="ganvas apply RUN pairs.csv --as link --out FOLDER",
        caution="A score ranks pairs of the nodes it was trained on; it is no probability, and says nothing of new nodes.",
    ),
)
