"""What a few samples tell, now and then: do they differ, do they repeat, does each player move? And is the data varied?

64 samples are drawn from the averaged generator, always from the same latents, and compared with 64 real records by mean
distance in the game's own units (pixels, amplitudes; for tokens the share of places that differ). Cheap: no extractor, and
one pass of the generator. Not a measure of quality, and not for kinds whose records only count together (graphs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..data.streams import dealt_classes
from ..kinds import kind_of
from ..kinds.facets import Whole

COUNT = 64
NUMBERS = 16_384  # of a record that are compared, evenly spread over it
COLLAPSED = 0.05  # mean distance of samples over that of real records
IDENTICAL = 0.002, 20  # the same, for samples that not even an untrained generator makes so alike; and rounds
REPEATED = 0.5  # share of samples that have a twin, beyond that of real records
TWINS = {"few": 1e-3, "many": 2e-2}  # nearer than this share of the real mean distance; points lie dense, pictures do not
IN_A_ROW = 3
APART, APART_OTHER = 0.04, 0.07
"""Energy distance over the mean distance of real records, of images and of others; about 0 of two halves of real records.
Recurrent players of series are farther apart for long, while a discriminator moved by plain gradient descent guesses."""
MANY = 64  # numbers of a record from which samples of a young generator cannot be mistaken
EARLY = 0.1, 100  # of the budget and rounds, whichever is later: an untrained generator draws one grey picture
EARLY_OPEN = 300  # rounds, without a budget
LATE = 0.9  # of the budget: rates that fade to zero end there
BYTES = 2**25  # of the data that are looked at for copies
DISTINCT = 0.5  # share of distinct records below which data is called repeated

Finding = tuple[str, str, int]


def can_look(system: Any, spec: Any) -> bool:
    """Whether samples of this system can be compared record by record."""
    from ..capabilities import Samples

    return isinstance(system, Samples) and not isinstance(kind_of(spec.kind), Whole)


def learnt_rows(system: Any, dataset: Any, rows: np.ndarray) -> np.ndarray:
    """Those of the rows that the system's stream deals from (one class, for systems that learn one)."""
    dealt = dealt_classes(system)
    if not dealt or dataset.labels is None:
        return rows
    return rows[np.isin(dataset.labels[rows], dealt)]


def some_rows(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """At most `count` of the rows, in order, from `seed` alone."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng([seed, 0x4EA17]).choice(rows, count, replace=False))


def data_findings(system: Any, dataset: Any, seed: int) -> list[Finding]:
    """Whether what is to be made is always the same, or few records are repeated, in all of their fields. For records of
    continuous numbers."""
    spec = dataset.spec
    if kind_of(spec.kind).says.discrete:  # records may well be equal
        return []
    values = dataset.values
    size = max(1, values[:1].nbytes)
    rows = some_rows(learnt_rows(system, dataset, dataset.train_indices()), max(64, min(4096, BYTES // size)), seed)
    if len(rows) < 16:
        return []

    def different(fields: list[Any]) -> int:
        prints = set()
        for row in rows:
            own = hashlib.blake2b(digest_size=16)
            for field in fields:
                own.update(np.ascontiguousarray(field.values[row]).tobytes())
            prints.add(own.digest())
        return len(prints)

    if different([dataset.fields[dataset.main]]) == 1:
        return [("constant data", f"all of {len(rows):,} records are the same", 0)]
    kinds = different(list(dataset.fields.values()))  # one garment on many photographs makes many records
    if kinds < DISTINCT * len(rows):
        return [("repeated data", f"{kinds:,} different ones among {len(rows):,} records", 0)]
    return []


def distances(records: np.ndarray, tokens: bool) -> np.ndarray:
    """(N, N) distances: Euclidean, root mean square over the numbers; of tokens the share of places that differ."""
    if tokens:
        return np.stack([(records != row).mean(axis=1) for row in records]).astype(np.float64)
    x = records.astype(np.float64)
    x -= x.mean(axis=0)  # so that the difference of squares keeps its digits
    squares = np.square(x).sum(axis=1)
    gram = squares[:, None] + squares[None] - 2 * x @ x.T
    return np.asarray(np.sqrt(np.maximum(gram, 0) / x.shape[1]))


class Variety:
    """Compares samples with real records.

    real: (N, ...) tensors of the game as an array. tokens: whether they are symbols.
    """

    def __init__(self, real: np.ndarray, tokens: bool) -> None:
        self.tokens = tokens
        flat = thinned(real)
        self.twin = TWINS["many" if flat.shape[1] >= MANY and not tokens else "few"]
        self.flat = flat
        self.real, self.real_twins = self._spread(flat)
        self.apart: list[float] = []  # energy distances of the last IN_A_ROW
        self.history: list[list[float]] = []  # [round, diversity, repeated], the last IN_A_ROW
        self.last: float | None = None

    def _spread(self, flat: np.ndarray, usual: float | None = None) -> tuple[float, float]:
        """(mean distance, share that has a twin)."""
        apart = distances(flat, self.tokens)
        upper = apart[np.triu_indices(len(apart), 1)]
        mean = float(upper.mean())
        np.fill_diagonal(apart, np.inf)
        return mean, float((apart.min(axis=1) <= self.twin * (mean if usual is None else usual)).mean())

    def compare(self, samples: np.ndarray, round: int, progress: float) -> list[Finding]:
        """Samples (N, ...) of the game's tensors; keeps `last`, the mean distance over that of real records."""
        if not self.real > 0:  # constant data has been told of already
            return []
        flat = thinned(samples)
        mean, twins = self._spread(flat, self.real)
        self.last = mean / self.real
        both = distances(np.concatenate([flat, self.flat]), self.tokens)[: len(flat), len(flat) :]
        # Szekely and Rizzo 2013 (doi 10.1016/j.jspi.2013.03.018), eq. 5, without the pairs of a record with itself
        self.apart = [*self.apart[-IN_A_ROW + 1 :], (2 * float(both.mean()) - mean - self.real) / self.real]
        self.history = [*self.history[-IN_A_ROW + 1 :], [float(round), self.last, twins - self.real_twins]]
        if len(self.history) < IN_A_ROW:
            return []
        since = int(self.history[0][0])
        early = (0 < progress < EARLY[0]) or since < (EARLY[1] if progress > 0 else EARLY_OPEN)
        identical = round >= IDENTICAL[1] and max(h[1] for h in self.history) < IDENTICAL[0]
        if early and not identical:
            return []
        if max(h[1] for h in self.history) < COLLAPSED:
            return [("collapse", f"samples differ by {self.last:.1%} of what real records do", since)]
        if min(h[2] for h in self.history) > REPEATED:
            return [("repeated samples", f"{twins:.0%} of samples have a twin, {self.real_twins:.0%} of real records", since)]
        return []

    def clear(self) -> None:
        """Forget what is recent."""
        self.history, self.apart = [], []

    def differ(self, least: float = APART) -> bool:
        """Whether samples have been farther than that from real records each of the last times (of records of many numbers)."""
        return self.flat.shape[1] >= MANY and len(self.apart) == IN_A_ROW and min(self.apart) > least


def thinned(records: np.ndarray, most: int = NUMBERS) -> np.ndarray:
    """(N, n) at most so many numbers of each record, evenly spread over it."""
    flat = np.asarray(records).reshape(len(records), -1)
    return flat[:, :: -(-flat.shape[1] // most)]


class Stillness:
    """Whether a player that makes moves changes any of its weights."""

    def __init__(self) -> None:
        self.marks: dict[str, list[float]] = {}  # player -> sums over its weights
        self.still: dict[str, list[float]] = {}  # player -> [looks without a change, round of the first]

    def compare(self, marks: Mapping[str, list[float]], moved: set[str], round: int, progress: float) -> list[Finding]:
        """marks: sums over each player's weights. moved: players that have made moves since the last time."""
        found: list[Finding] = []
        for player, mark in marks.items():
            same = player in moved and self.marks.get(player) == mark and progress <= LATE
            if player in moved or player not in self.marks:
                count, since = self.still.get(player, [0.0, float(round)])
                self.still[player] = [count + 1, since] if same else [0.0, float(round)]
                self.marks[player] = list(mark)
            if self.still[player][0] >= IN_A_ROW:
                seen = f"{player} makes moves, but none of its weights has changed"
                found.append(("player does not move", seen, int(self.still[player][1])))
        return found

    def state(self) -> dict[str, Any]:
        """Plain values that `restore` continues from."""
        return {"marks": self.marks, "still": self.still}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.marks, self.still = ({k: list(v) for k, v in state[key].items()} for key in ("marks", "still"))


def weight_marks(engine: Any, most: int = 16) -> dict[str, list[float]]:
    """Two sums over the weights of each player, of at most `most` of its tensors; equal as long as none of them changes."""
    import torch

    marks = {}
    for name, seat in engine.seats.items():
        tensors = [p.detach() for p in seat.owned[:: -(-len(seat.owned) // most)]] if seat.owned else []
        if tensors:
            sums = torch.stack([f(t.double()) for t in tensors for f in (torch.sum, torch.linalg.vector_norm)])
            marks[name] = sums.tolist()
    return marks
