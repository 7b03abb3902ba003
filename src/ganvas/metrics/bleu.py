"""BLEU of sequences of symbols: against references, and of each sequence against the others (self-BLEU).

BLEU says how much of a sequence's short pieces occur in real ones; self-BLEU how alike the samples are to each other. Neither
means anything without the other: one good sentence, said again and again, has a BLEU of 1. Not for whole corpora of
translations, where each hypothesis has references of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

SMOOTHED = 0.1  # matches counted where there are none (Chen and Cherry 2014, method 1), so that one order cannot undo the rest

Sentence = Sequence[Hashable]


def bleu(made: Sequence[Sentence], references: Sequence[Sentence], order: int) -> np.ndarray:
    """(N,) float64 in 0 to 1: BLEU of each sequence with all references at once, as sequence generators are judged.

    Papineni et al. 2002 (ACL, section 2): the geometric mean over 1 .. order of the share of n-grams that occur in some
    reference, each at most as often as there, times the brevity penalty for the reference nearest in length.
    Raises ValueError without references or for an order below 1.
    """
    if order < 1 or not references:
        raise ValueError(f"BLEU needs an order of 1 or more (got {order}) and references (got {len(references)})")
    tables = [_most(references, n) for n in range(1, order + 1)]
    lengths = sorted({len(reference) for reference in references})
    found = []
    for own in made:
        known = [{g: t[g][0] for g in c if g in t} for c, t in _pairs(own, tables)]
        found.append(_one(own, order, known, lengths))
    return np.array(found)


def self_bleu(made: Sequence[Sentence], order: int) -> np.ndarray:
    """(N,) float64 in 0 to 1: BLEU of each sequence with all others as references (Zhu et al. 2018, "Texygen").

    It grows with the number of sequences: compare equal numbers. Raises ValueError for fewer than two.
    """
    if order < 1 or len(made) < 2:
        raise ValueError(f"self-BLEU needs an order of 1 or more (got {order}) and two sequences (got {len(made)})")
    tables = [_most(made, n) for n in range(1, order + 1)]
    lengths = Counter(len(own) for own in made)
    found = []
    for place, own in enumerate(made):
        # The most often in any other: the second most where this one is the first.
        known = [{g: t[g][1] if t[g][2] == place else t[g][0] for g in c} for c, t in _pairs(own, tables)]
        others = sorted(length for length, count in lengths.items() if count > (length == len(own)))
        found.append(_one(own, order, known, others))
    return np.array(found)


Table = dict[tuple[Hashable, ...], tuple[int, int, int]]
"""n-gram -> (the most often it occurs in one sequence, the most often in any other, place of that one)."""


def _grams(own: Sentence, n: int) -> Counter[tuple[Hashable, ...]]:
    return Counter(zip(*(own[k:] for k in range(n)), strict=False))


def _most(sentences: Iterable[Sentence], n: int) -> Table:
    table: Table = {}
    for place, own in enumerate(sentences):
        for gram, count in _grams(own, n).items():
            first, second, owner = table.get(gram, (0, 0, -1))
            table[gram] = (count, first, place) if count > first else (first, max(second, count), owner)
    return table


def _pairs(own: Sentence, tables: list[Table]) -> list[tuple[Counter[tuple[Hashable, ...]], Table]]:
    return [(_grams(own, n), table) for n, table in enumerate(tables, start=1)]


def _one(own: Sentence, order: int, known: list[dict[tuple[Hashable, ...], int]], lengths: list[int]) -> float:
    if not len(own):
        return 0.0
    logs = 0.0
    for n in range(1, order + 1):
        counts = _grams(own, n)
        matched = sum(min(count, known[n - 1].get(gram, 0)) for gram, count in counts.items())
        logs += float(np.log((matched or SMOOTHED) / max(1, sum(counts.values()))))
    nearest = min(lengths, key=lambda length: (abs(length - len(own)), length))
    brevity = min(0.0, 1 - nearest / len(own))
    return float(np.exp(brevity + logs / order))
