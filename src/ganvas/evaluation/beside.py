"""What stands beside the numbers of samples: anchors, which say what a number is worth, and what was had without the run.

`real`: training records in place of the samples, the best that can be expected. `linear`: draws from a Gaussian over 64
principal components of the training data, which knows the mean and the coarsest variation and nothing else. `untrained`: the
system's own networks with fresh weights (runs only). `noise`: random values, of what is no picture. Where records are changed
and not drawn, others stand beside: the records as they were given, and what the trivial method makes of them. All are measured
in the same way and at the same number as the samples. Whether a metric tells them apart: `anchors`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..kinds import kind_of
from ..kinds.facets import Anchored, Measured, Whole
from .bench import Bench
from .sets import Part, Sets
from .table import LOWER, ROWS, number

ANCHORS = {
    "real": "training records in place of samples",
    "linear": "draws from a Gaussian over components of the training data",
    "untrained": "the same system with fresh weights",
    "noise": "random values",
}
LINEAR = 64  # principal components of the trivial anchor


def noisy(sets: Sets) -> bool:
    """Whether random values are an anchor: of what is no picture, and comes in more than one record."""
    return sets.train.records is not None and not isinstance(kind_of(sets.kind), Whole)


def anchors(bench: Bench, quick: bool = False) -> dict[str, dict[str, Any]]:
    """The same metrics of real training records, of a linear sampler and, for runs, of the untrained system.

    quick: the first alone, without those metrics that take long.
    """
    n = len(bench.sets.generated)
    rng = np.random.default_rng([bench.seed, 0xA2C4])
    chosen = np.sort(rng.permutation(len(bench.sets.train))[:n])
    real = bench.sets.train.take(chosen)
    # Every side with classes or none: numbers within classes do not compare with numbers over the whole set.
    asked = bench.sets.generated.labels
    labelled = asked is not None and bench.sets.train.labels is not None
    given: dict[str, tuple[np.ndarray, np.ndarray | None, Any]] = {
        "real": (real.values, real.labels if labelled else None, bench.train[chosen]),
    }
    # Of other kinds the parts hold features: a Gaussian over features would be no trivial sampler of records.
    if kind_of(bench.sets.kind).says.plain and not quick:
        linear = linear_samples(bench.sets.train, n, seed=bench.seed, labels=asked if labelled else None)
        given["linear"] = (linear, asked if labelled else None, None)
    if bench.sets.untrained is not None:
        given["untrained"] = (bench.sets.untrained, asked, None)
    if noisy(bench.sets) and bench.sets.train.records is not None:
        kind, spec = kind_of(bench.sets.kind), bench.sets.train.records[1]
        given["noise"] = (kind.vectors(kind.blank(spec, n, np.random.default_rng([bench.seed, 0x401])), spec), None, None)
    if len(chosen) < n:
        bench.notes.append(f"the anchor `real` has {len(chosen)} records, all there are for training, and not {n}")
    given |= {name: (part.values, None, None) for name, part in bench.sets.beside.items()}
    found = {}
    for name, (values, labels, features) in given.items():
        bench.stages.begin(f"anchor {name}", f"anchor {name}: {(ANCHORS | bench.sets.words)[name]}")
        bench.sources[name] = values
        made = bench.measure(
            values,
            labels,
            intervals=False,
            features=bench.features(values) if features is None else features,
            dear=not quick,
        )
        if name in bench.sets.beside and bench.sets.originals is not None:
            made |= bench.against_originals(bench.sets.beside[name])
        found[name] = {key: measure.to_dict() for key, measure in made.items()}
    kind, sides = kind_of(bench.sets.kind), bench.records()
    if sides is not None and isinstance(kind, Measured):
        _, train, held = sides
        trivial = kind.anchors(train, held, bench.seed) if isinstance(kind, Anchored) else {}
        if isinstance(kind, Whole):
            trivial = {"real": train, **trivial}
        for name, side in trivial.items():
            bench.stages.begin(f"own {name}", f"anchor {name}, by the measures of {kind.says.noun}")
            own = {key: measure.to_dict() for key, measure in kind.measures(side, train, held, bench.seed).items()}
            found[name] = found.get(name, {}) | own
    for key, measure in bench.sets.measures.items():
        if "real" in measure.more:  # a kind's own measures come with what real records have
            found["real"][key] = {"value": measure.more["real"], "protocol": measure.protocol}
        for name, plain_one in measure.more.get("beside", {}).items():  # a use's own comes with that of the trivial method
            found.setdefault(name, {})[key] = {"value": plain_one["value"], "protocol": measure.protocol}
            bench.sets.words[name] = plain_one["words"]
    return found


def nothing_gained(result: dict[str, Any], keys: Iterable[str]) -> list[str]:
    """A sentence for each thing beside the run that is better than what the run made by one of the numbers named, beyond the
    interval of the run's own."""
    found = []
    for key in keys:
        own = result.get(key)
        if own is None or own.get("low") is None or key not in ROWS:
            continue
        name, better = ROWS[key]
        for side, words in result["beside"].items():
            other = result["anchors"][side].get(key, {}).get("value")
            if other is not None and (other < own["low"] if better == LOWER else other > own["high"]):
                ends = f"{number(own['value'])} [{number(own['low'])}, {number(own['high'])}]"
                found.append(f"{words}: better than what the run makes, by {name}: {number(other)} against {ends}")
    return found


def linear_samples(train: Part, count: int, *, seed: int = 0, labels: np.ndarray | None = None) -> np.ndarray:
    """`count` draws from a Gaussian over the first 64 principal components of training records, in their number format.

    labels (count,): classes to draw, each then from a Gaussian of its own where it has 20 training records or more. What
    such a sampler cannot do is what a generator is for.
    """
    rows = train.values.reshape(len(train), -1)
    rng = np.random.default_rng([seed, 0x11EB])
    made = np.empty((count, rows.shape[1]))
    kinds = np.zeros(count, np.int64) if labels is None else labels
    for kind in np.unique(kinds):
        of_kind = np.flatnonzero(train.labels == kind) if labels is not None else np.arange(len(rows))
        wanted = kinds == kind
        made[wanted] = _gaussian(rows[of_kind] if len(of_kind) >= 20 else rows, int(wanted.sum()), rng)
    made = made.reshape(count, *train.values.shape[1:])
    if train.values.dtype.kind == "f":
        return np.asarray(made, np.float32)
    limit = np.iinfo(train.values.dtype).max
    return np.asarray(np.clip(np.round(made), 0, limit)).astype(train.values.dtype)


def _gaussian(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    from sklearn.decomposition import PCA

    kept = rows[rng.permutation(len(rows))[:5000]].astype(np.float32)
    solver = "randomized" if min(kept.shape) > 2 * LINEAR else "full"
    basis = PCA(min(LINEAR, *kept.shape), svd_solver=solver, random_state=int(rng.integers(2**31))).fit(kept)
    drawn = rng.standard_normal((count, basis.n_components_)) * np.sqrt(basis.explained_variance_)
    return np.asarray(basis.inverse_transform(drawn))
