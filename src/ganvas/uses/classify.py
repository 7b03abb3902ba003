"""Classify: of which class a record is, `ganvas apply RUN FOLDER --as classify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Classifies
from . import Fields, Use, UseSays, Work, first_of
from .desk import shortened
from .judging import LEAST, at_most, in_pieces

if TYPE_CHECKING:
    from ..metrics.measure import Measure
    from ..store.records import Dataset
    from .desk import Desk

MOST = 2000  # labelled training records that neighbours are looked for among
NEAREST = "the class of the nearest labelled training record, by mean squared difference"
COMMONEST = "the commonest class of the labelled training records"


def run(work: Work, given: Fields, options: Any) -> Fields:
    """`class`: the likeliest, an index; `probability`: its own; `probabilities`: (N, K) of all."""
    records, more = first_of(given)
    found = work.system.classify(records, work.noise, **more)
    most, index = found.max(dim=1)
    return {"class": index, "probability": most, "probabilities": found}


def keep(work: Work, desk: Desk, names: list[str], given: Fields, made: Fields) -> None:
    """A row a record in `scores.csv`: the class by its name, its probability, and the probability of each class."""
    classes = work.system.class_names
    chosen, likeliest = made.pop("class").tolist(), made.pop("probability").tolist()
    for name, index, most, all_of_them in zip(names, chosen, likeliest, made.pop("probabilities").tolist(), strict=True):
        each = {f"p({one})": shortened(value) for one, value in zip(classes, all_of_them, strict=True)}
        desk.row(name, {"class": classes[index], "probability": shortened(most), **each})


def finish(work: Work, desk: Desk, options: Any) -> None:
    """How many of each class."""
    found = [row["class"] for row in desk.rows]
    counts = {name: found.count(name) for name in work.system.class_names if name in found}
    desk.facts["classes"] = counts
    desk.note("classes: " + ", ".join(f"{name} {count}" for name, count in counts.items()))


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """How many of the held-out records with a label are put into their class (nothing when fewer than ten have one).

    Classes that a system found without labels have names of their own: each stands for the class of the data that makes the
    number largest, no two for the same. Beside it the commonest class and the nearest labelled training record.
    """
    from scipy.stats import binomtest

    from ..data.classes import is_unlabelled
    from ..metrics.measure import Measure

    if dataset.labels is None:
        return {}
    classes = dataset.spec.classes
    named = [k for k, name in enumerate(classes) if not is_unlabelled(name)]
    labelled = np.flatnonzero(np.isin(dataset.labels, named))
    held = at_most(np.intersect1d(dataset.heldout_indices(), labelled), count, work.seed)
    known = at_most(np.intersect1d(dataset.train_indices(), labelled), MOST, work.seed)
    if len(held) < LEAST or not len(known):
        return {}

    records, truth = np.asarray(dataset.values[held]), dataset.labels[held]
    found = in_pieces(work, {work.main: records}, lambda given: run(work, given, None)["class"].cpu().numpy())
    own = work.system.class_names
    if set(own) <= set(classes):
        answers, how = np.array([classes.index(name) for name in own])[np.concatenate(found)], "held out"
    else:  # found without labels
        answers, how = matched(np.concatenate(found), truth, len(own), len(classes)), "held out/matched one to one"
    right = int((answers == truth).sum())
    interval = binomtest(right, len(held)).proportion_ci(method="wilson")
    commonest = np.bincount(dataset.labels[known]).argmax()
    near = nearest(np.asarray(dataset.values[known]), records)
    beside = {
        "commonest": {"value": float((truth == commonest).mean()), "words": COMMONEST},
        "nearest": {"value": float((dataset.labels[known][near] == truth).mean()), "words": NEAREST},
    }
    more = {
        "by_class": {classes[k]: float((answers[truth == k] == k).mean()) for k in np.unique(truth)},
        "labelled": len(known),
        "beside": beside,
    }
    protocol = f"accuracy/classes={len(named)}/n={len(held)}/{how}"
    return {"classified": Measure(right / len(held), protocol, float(interval.low), float(interval.high), more)}


def matched(found: np.ndarray, truth: np.ndarray, values: int, classes: int) -> np.ndarray:
    """(N,) the class for which each found value (N,) stands: the one-to-one matching that agrees most with the truth (N,); -1
    for values that are left over."""
    from scipy.optimize import linear_sum_assignment

    counts = np.zeros((values, classes), np.int64)
    np.add.at(counts, (found, truth), 1)
    stands = np.full(values, -1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    stands[rows] = columns
    answers: np.ndarray = stands[found]
    return answers


def nearest(known: np.ndarray, records: np.ndarray) -> np.ndarray:
    """(N,) the place of the nearest known record of each, over all values."""
    from sklearn.neighbors import NearestNeighbors

    def flat(values: np.ndarray) -> np.ndarray:
        return values.reshape(len(values), -1).astype(np.float32)

    found: np.ndarray = NearestNeighbors(n_neighbors=1).fit(flat(known)).kneighbors(flat(records), return_distance=False)[:, 0]
    return found


USE = Use(
    verb="classify",
    done="classified",
    promise=Classifies,
    gives=("class", "probability"),
    order=45,
    fitted=True,
    run=run,
    keep=keep,
    finish=finish,
    measure=measure,
    says=UseSays(
        purpose="saying of which class a record is",
        doing="classifying",
        example="ganvas apply RUN FOLDER --as classify --out TABLE",
        caution="It knows the classes that it was taught, and puts every record into one of them, whatever it shows.",
    ),
)
