"""How each class fares while a run trains, of systems that draw samples by class: one may collapse, or be drawn as another,
while the samples as a whole look well.

Two numbers a class, by pixels of pictures and features of other records: how far its samples lie from each other, over how far
its real records do; and how often the real record nearest to a sample is one of its class, beside the same of held-out ones.
Not for whether a system covers classes that it is not asked for: that is judged after training (`ganvas evaluate`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .samples import EARLY, distances, some_rows

EACH = 24  # samples a class that are looked at
REAL = 40  # training records, and held-out ones, of a class that they are compared with
LEAST = 8  # records of a class, and held-out ones, below which nothing is said of it
ALIKE = (
    (0.25, 2),
    (0.5, 4),
)  # mean distance of a class's samples over that of its real records, and in how many looks in a row
FOLLOWED, OTHERS = (
    0.5,
    0.8,
)  # share of the samples drawn as their class over that of held-out records; the other classes' median
CHANCE = 1e-3  # how likely so few are of samples that are as held-out records

Finding = tuple[str, str, int]


class Classes:
    """Compares the samples of each class with its real records.

    names: of the classes. labels: (N,) of all records. train, heldout: rows of either. features: rows -> (n, F).
    """

    def __init__(
        self, names: Sequence[str], labels: np.ndarray, train: np.ndarray, heldout: np.ndarray, features: Any, seed: int
    ) -> None:  # fmt: skip
        self.names = names
        rows = [some_rows(train[labels[train] == c], REAL, seed) for c in range(len(names))]
        self.known = [c for c, own in enumerate(rows) if len(own) >= LEAST]
        self.real = features(np.concatenate(rows)) if self.known else np.zeros((0, 1))
        self.of = np.concatenate([np.full(len(own), c) for c, own in enumerate(rows)])
        self.spread = {c: _mean_distance(self.real[self.of == c]) for c in self.known}
        held = [some_rows(heldout[labels[heldout] == c], REAL, seed) for c in range(len(names))]
        told = [c for c in self.known if len(held[c]) >= LEAST]
        unseen = features(np.concatenate([held[c] for c in told])) if told else self.real[:0]
        ends = np.cumsum([0, *(len(held[c]) for c in told)])
        self.expected = {c: self._as(unseen[a:b], c) for c, a, b in zip(told, ends[:-1], ends[1:], strict=True)}

    def wanted(self, drawn: np.ndarray, most: int, number: int) -> np.ndarray:
        """Labels of at most `most` further samples: what classes lack beside those `drawn` (n,), so that EACH are there.

        number: of the look. Where there are too many small classes, the next ones follow after two looks.
        """
        missing: list[int] = []
        first = number // 2 * max(1, most // EACH)
        for place in range(len(self.known)):
            c = self.known[(first + place) % len(self.known)]
            lacking = max(0, EACH - int((drawn == c).sum()))
            if len(missing) + lacking > most:
                break
            missing += [c] * lacking
        return np.array(missing, np.int64)

    def compare(self, made: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, float]]:
        """Class -> `spread`, and `own`, `expected`, `chance` where it has held-out records. made: (n, F); labels: (n,)."""
        found: dict[str, dict[str, float]] = {}
        for c in self.known:
            own = made[labels == c]
            if len(own) < EACH or not self.spread[c] > 0:
                continue
            entry = {"spread": round(_mean_distance(own) / self.spread[c], 4)}
            if c in self.expected:
                share, expected = self._as(own, c), self.expected[c]
                entry |= {"own": round(share, 4), "expected": round(expected, 4)}
                entry["chance"] = _at_most(round(share * len(own)), len(own), expected)
            found[self.names[c]] = entry
        return found

    def _as(self, made: np.ndarray, c: int) -> float:
        """Share of these whose nearest real record is of class c."""
        apart = np.square(self.real).sum(axis=1)[None] - 2 * made @ self.real.T
        return float((self.of[apart.argmin(axis=1)] == c).mean())


def findings(looks: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What the last looks at each class say: classes whose samples are all alike, and classes drawn as others."""
    sights: dict[str, list[tuple[Mapping[str, float], int]]] = {}
    for look in looks:
        if look["round"] >= EARLY[1]:
            for name, entry in look.get("classes", {}).items():
                sights.setdefault(name, []).append((entry, look["round"]))
    found: list[Finding] = []
    alike: dict[str, int] = {}
    for name, own in sights.items():
        for most, lasting in ALIKE:
            if len(own) >= lasting and all(entry["spread"] < most for entry, _ in own[-lasting:]):
                alike.setdefault(name, own[-lasting][1])
    if alike:
        name = min(alike, key=lambda other: sights[other][-1][0]["spread"])
        seen = f"samples of '{name}' differ by {sights[name][-1][0]['spread']:.0%} of what its real records do"
        found.append(("class collapse", seen + _others(alike, sights), alike[name]))
    judged = {name: own[-2:] for name, own in sights.items() if len(own) > 1 and "own" in own[-1][0]}
    followed = {name: max(entry["own"] / max(entry["expected"], 1e-9) for entry, _ in own) for name, own in judged.items()}
    if len(followed) > 1 and float(np.median(list(followed.values()))) >= OTHERS:
        bad = {
            name: own[0][1]
            for name, own in judged.items()
            if followed[name] < FOLLOWED and all(entry["chance"] < CHANCE for entry, _ in own)
        }
        if bad:
            name = min(bad, key=lambda other: followed[other])
            entry = judged[name][-1][0]
            seen = (
                f"{entry['own']:.0%} of the samples of '{name}' are nearest to real records of it, {entry['expected']:.0%} of "
                "held-out ones are"
            )
            found.append(("class not drawn", seen + _others(bad, sights), bad[name]))
    return found


def _others(those: Mapping[str, Any], every: Mapping[str, Any]) -> str:
    return f", {len(those)} of {len(every)} classes" if len(those) > 1 else ""


def _mean_distance(records: np.ndarray) -> float:
    apart = distances(records, tokens=False)
    return float(apart[np.triu_indices(len(apart), 1)].mean())


def _at_most(count: int, of: int, share: float) -> float:
    """How likely at most `count` of so many are, each with probability `share`."""
    return float(sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count + 1)))
