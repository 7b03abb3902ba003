"""Samples of a table judged by models that learn from rows: can they be told from real ones, can they stand in for them.

The models are trees grown by gradient boosting, which see numbers, classes and gaps as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...metrics.measure import Measure
from .spec import NUMBER, TableSpec

MOST = 2_000  # rows that a model learns from, and as many that it is asked about
FEWEST = 40  # rows of each side below which nothing is said
TREES = 60
FOLDS = 4
MOST_BINS = 200  # categories that the trees take as such; of more the rest is together


def measures(made: np.ndarray, train: np.ndarray, heldout: np.ndarray, spec: TableSpec) -> dict[str, Measure]:
    """detection: how well samples are told from held-out rows (area under the ROC curve, cross-validated; 0.5: not at all).
    usefulness: how well models that learn from samples foretell a column of held-out rows by all others. `real` has the same of
    as many training rows; rows with missing values take part."""
    rng = np.random.default_rng(0)
    count = min(len(made), len(train), MOST)
    found: dict[str, Measure] = {}
    if min(count, len(heldout)) < FEWEST or len(spec.names) < 2:
        return found
    sides = [side[np.sort(rng.permutation(len(side))[:count])] for side in (made, train)]
    asked = heldout[np.sort(rng.permutation(len(heldout))[:MOST])]
    told, real = (detection(side, asked, spec) for side in sides)
    sizes = f"n={count}/m={len(asked)}/ref=heldout"
    found["detection"] = Measure(told, f"c2st/gradient boosting, {FOLDS} folds, auroc/{sizes}", more={"real": real})
    target = target_of(spec)
    values = [usefulness(side, asked, spec, target) for side in sides]
    if all(value is not None for value in values):
        name, how = spec.names[target], "r2" if spec.types[target] == NUMBER else "auroc"
        protocol = f"tstr/gradient boosting, {how} of '{name}'/{sizes}"
        found["usefulness"] = Measure(values[0] or 0.0, protocol, more={"real": values[1]})
    return found


def target_of(spec: TableSpec) -> int:
    """The column that is foretold: the last with values to choose from, else the last."""
    named = [k for k, own in enumerate(spec.categories) if len(own) > 1]
    return named[-1] if named else len(spec.names) - 1


def detection(one: np.ndarray, other: np.ndarray, spec: TableSpec) -> float:
    """Area under the ROC curve of telling rows (N, columns) from rows (M, columns), by trees that did not see them."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    rows = np.concatenate([one, other])
    side = np.repeat([1, 0], [len(one), len(other)])
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    said = cross_val_predict(_trees(spec, number=False), rows, side, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(side, said))


def usefulness(learnt: np.ndarray, asked: np.ndarray, spec: TableSpec, target: int) -> float | None:
    """How well trees that learn from rows foretell the column `target` of others: R^2 of a number, else the area under the ROC
    curve, the mean over its values against the rest. None where either side shows one value alone."""
    from sklearn.metrics import r2_score, roc_auc_score

    others = [k for k in range(len(spec.names)) if k != target]
    learnt, asked = (side[~np.isnan(side[:, target])] for side in (learnt, asked))
    truth, number = asked[:, target], spec.types[target] == NUMBER
    if len(learnt) < FEWEST or len(np.unique(truth)) < 2:
        return None
    if len(np.unique(learnt[:, target])) < 2:
        return 0.0 if number else 0.5
    model = _trees(spec, others, number=number)
    model.fit(learnt[:, others], learnt[:, target])
    if number:
        return float(r2_score(truth, model.predict(asked[:, others])))
    said = model.predict_proba(asked[:, others])
    known = {value: place for place, value in enumerate(model.classes_.tolist())}
    areas = []
    for value in np.unique(truth):
        if 0 < (truth == value).sum() < len(truth):
            areas.append(roc_auc_score(truth == value, said[:, known[value]]) if value in known else 0.5)
    return float(np.mean(areas))


def _trees(spec: TableSpec, columns: list[int] | None = None, *, number: bool) -> Any:
    """Trees for these columns of a table, all by default. number: that foretell a number."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    columns = list(range(len(spec.names))) if columns is None else columns
    classes = [spec.types[k] == "class" and len(spec.categories[k]) <= MOST_BINS for k in columns]
    make = HistGradientBoostingRegressor if number else HistGradientBoostingClassifier
    return make(max_iter=TREES, categorical_features=classes if any(classes) else None, random_state=0, early_stopping=False)
