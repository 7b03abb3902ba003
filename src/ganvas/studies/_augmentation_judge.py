"""What is concluded from the classifiers of the study of augmentation: their scores, paired differences with intervals, and
verdicts by rules that stand here. Not for training anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

REPLICATES = 2000
QUESTIONS: tuple[tuple[str, str, str, str], ...] = (
    ("adds", "both", "classic", "Do synthetic records add to classic augmentation?"),
    ("beats", "mixed", "classic", "Are they better than classic augmentation?"),
    ("instead", "mixed", "oversampled", "Do they help where nothing else is done?"),
    ("filter", "filtered", "both", "Does it help to keep only those that are read as what was asked for?"),
    ("alone", "synthetic", "oversampled", "Are they as good as real records, alone?"),
)
"""(key, arm, against, the question)."""
RULE = (
    "yes: the 95 % interval of the difference in balanced accuracy lies above 0; no: it lies below 0; else it cannot be told "
    "here. Bootstrap over held-out groups, generators and classifiers, each arm against the other with the same first weights"
)


class Predictions:
    """What the classifiers of one fraction said. said: (generator, classifier) -> arm -> (N, K) shares."""

    def __init__(self, truth: np.ndarray, groups: np.ndarray, said: Mapping[tuple[int, int], Mapping[str, np.ndarray]]) -> None:
        self.truth, self.said = truth, said
        self.groups = np.unique(groups, return_inverse=True)[1]
        self.generators = sorted({key[0] for key in said})
        self.classifiers = {g: sorted(c for own, c in said if own == g) for g in self.generators}

    def scores(self, arm: str) -> dict[str, Any]:
        """balanced_accuracy and auc (mean over the classes of one against the rest), means over classifiers; low and high: the
        least and most balanced accuracy; recall: by class."""
        each = [own[arm] for own in self.said.values()]
        recalls = np.array([self._recalls(own.argmax(1)) for own in each])
        accuracies = recalls.mean(1)
        return {
            "balanced_accuracy": float(accuracies.mean()), "low": float(accuracies.min()), "high": float(accuracies.max()),
            "auc": float(np.mean([_auc(self.truth, own) for own in each])), "recall": recalls.mean(0).tolist(),
            "classifiers": len(each),
        }  # fmt: skip

    def _recalls(self, said: np.ndarray) -> list[float]:
        return [float((said[self.truth == k] == k).mean()) for k in np.unique(self.truth)]

    def difference(self, arm: str, other: str, seed: int = 0) -> dict[str, float]:
        """value, low and high of the balanced accuracy of one arm less that of another."""
        rng = np.random.default_rng([seed, 0xD1F])
        keys = [(g, c) for g in self.generators for c in self.classifiers[g]]
        right = [[self.said[key][name].argmax(1) == self.truth for name in (arm, other)] for key in keys]
        gained = np.stack([one.astype(np.float64) - two for one, two in right])
        classes = np.unique(self.truth)
        of_class = (self.truth[:, None] == classes).astype(np.float64)
        places = {g: np.array([n for n, key in enumerate(keys) if key[0] == g]) for g in self.generators}

        def mean(runs: np.ndarray, records: np.ndarray) -> float:
            weighed = of_class * records[:, None]
            there = weighed.sum(0)
            shares = (runs @ gained @ weighed)[there > 0] / there[there > 0]
            return float(shares.mean())

        value = mean(np.full(len(keys), 1 / len(keys)), np.ones(len(self.truth)))
        count, found = int(self.groups.max()) + 1, []
        for _ in range(REPLICATES):
            runs = np.zeros(len(keys))
            for g in rng.choice(self.generators, len(self.generators)):
                own = places[int(g)]
                np.add.at(runs, rng.choice(own, len(own)), 1 / len(own) / len(self.generators))
            records = np.bincount(rng.integers(0, count, count), minlength=count)[self.groups].astype(np.float64)
            found.append(mean(runs, records))
        low, high = np.quantile(found, [0.025, 0.975])
        return {"value": value, "low": float(low), "high": float(high)}


def _auc(truth: np.ndarray, said: np.ndarray) -> float:
    """Mean over the classes of the area under the ROC curve of one class against the rest."""
    from scipy.stats import rankdata

    found = []
    for k in np.unique(truth):
        own = truth == k
        ranks = rankdata(said[:, k])
        found.append((ranks[own].sum() - own.sum() * (own.sum() + 1) / 2) / (own.sum() * (~own).sum()))
    return float(np.mean(found))


def verdict(difference: Mapping[str, float]) -> str:
    """See RULE."""
    return "yes" if difference["low"] > 0 else "no" if difference["high"] < 0 else "cannot tell"


def answers(fractions: Mapping[str, Predictions]) -> list[dict[str, Any]]:
    """Every question at every fraction: key, question, arm, against, and by fraction value, low, high and verdict."""
    told = []
    for key, arm, other, question in QUESTIONS:
        own: dict[str, Any] = {}
        for name, predictions in fractions.items():
            found = predictions.difference(arm, other)
            own[name] = {**found, "verdict": verdict(found)}
        told.append({"key": key, "question": question, "arm": arm, "against": other, "fractions": own})
    return told


def sentence(told: Sequence[Mapping[str, Any]]) -> str:
    """The study in one sentence: what synthetic records add to classic augmentation, by fraction."""
    own = next(one for one in told if one["key"] == "adds")["fractions"]
    by_verdict: dict[str, list[str]] = {}
    for name, found in own.items():
        words = f"{name} ({100 * found['value']:+.1f} points, {100 * found['low']:+.1f} to {100 * found['high']:+.1f})"
        by_verdict.setdefault(found["verdict"], []).append(words)
    says = {"yes": "helped at", "no": "harmed at", "cannot tell": "made no difference that can be told at"}
    parts = [f"{says[key]} {', '.join(by_verdict[key])}" for key in says if key in by_verdict]
    return f"Added to classic augmentation, synthetic records {'; '.join(parts)} of the real records."
