"""How good samples are while a run trains: their kernel distance to held-out records, again and again in one way.

At every look the same number of samples, from the same latents, is compared with the same held-out records, so the numbers of
a run compare with each other; the protocol says with what else. The best look is what `checkpoints/best` keeps. The look also
asks whether samples lie nearer to training records than to held-out ones. Not the judgement of a finished run: that is
`ganvas evaluate`, with more samples, more measures and the whole audit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import GanvasError
from ..kinds import kind_of
from ..kinds.facets import Seen
from .classes import Classes
from .classes import findings as of_classes
from .samples import can_look, learnt_rows, some_rows, thinned

LEAST, MOST = 50, 500  # samples of a look
OPEN_COUNT = 256  # without a budget from which a number follows
HELDOUT_LEAST = 30
SECONDS_MOST = 20.0  # of one look: other processes wait for it
PERMUTATIONS = 1000
BESIDE, PIXELS = 240, 4096  # further samples a look, of classes that have few among its own; pixels of each
NEARER, CHANCE = 0.6, 0.002  # share of samples nearer to training records, and how likely without any copying
FEWEST, PATIENCE, FROM, SCATTER, SURE, LASTING = 8, 5, 1 / 3, 1.5, 0.95, 1.5
"""No progress: of at least FEWEST looks those after FROM of the samples, PATIENCE or more, show by their trend that as
much training again would bring, with probability SURE, less than half the half-width of their interval, or less than SCATTER
times what looks scatter around the trend; and all looks said so, two at least, while the samples have become LASTING times as
many. To compare the best look with an earlier one would not do: looks scatter, and half the distance in twice the time, which
GANs keep up for long, hides between neighbours. Nor would a shorter part or a single verdict do: quality stands still for a
while and moves on.
"""

PLANNED, PER_IMAGE, PER_RECORD = 11, 0.03, 0.001  # looks of a run, and seconds that one sample of a look takes
IMAGE_BYTES, OTHER_BYTES, COPIES = 64 * 2**20, 16 * 2**20, 4  # measured by benchmarks/forecasts.py

Finding = tuple[str, str, int]
OTHER_SEED = 7_919  # of the samples that the best look is judged by again, beyond the usual one


class Quality:
    """Looks at the quality of samples.

    Raises GanvasError, in one line, for a system or data that cannot be judged while it trains: no samples, too few held-out
    records, records that only count together.
    """

    def __init__(self, system: Any, dataset: Any, seed: int) -> None:
        if not can_look(system, dataset.spec):
            raise GanvasError("samples of this system are not judged while it trains: give a --budget")
        self.system, self.dataset, self.spec, self.seed = system, dataset, dataset.spec, seed
        self.train = learnt_rows(system, dataset, dataset.train_indices())
        self.heldout = learnt_rows(system, dataset, dataset.heldout_indices())
        if min(len(self.heldout), len(self.train)) < HELDOUT_LEAST:
            raise GanvasError(
                f"{len(self.heldout)} held-out records are too few to judge samples while training ({HELDOUT_LEAST}): give a "
                "--budget, or more with --heldout"
            )
        self.count: int | None = None  # samples a look, settled at the first one
        self.looks: list[dict[str, Any]] = []
        self._real: tuple[np.ndarray, np.ndarray] | None = None
        self._extractor: Any = None
        self._classes: Classes | None = None
        self.name = ""

    @classmethod
    def able(cls, system: Any, dataset: Any, seed: int) -> bool:
        """Whether samples of this system can be judged while it trains."""
        try:
            cls(system, dataset, seed)
        except GanvasError:
            return False
        return True

    # What is measured

    def settle_count(self, allowance: float | None) -> None:
        """Choose the number of samples from the seconds that a look may take (None: a usual number), by timing a few."""
        if self.count is not None:
            return
        if allowance is None:
            self.count = OPEN_COUNT
            return
        self._prepare()
        few = 16
        start = time.perf_counter()
        self._features(self._drawn(few, self._labels(few)))
        pace = (time.perf_counter() - start) / few
        self.count = int(min(MOST, max(LEAST, min(allowance, SECONDS_MOST) / max(pace, 1e-6))))

    def _prepare(self) -> None:
        """The extractor, fitted to training records where it has to be."""
        if self._extractor is not None:
            return
        from ..metrics.extractors import find_extractor

        kind = kind_of(self.spec.kind)
        image = isinstance(kind, Seen)
        if image and "effnet" not in self.system.extractors:
            self._extractor = find_extractor(
                "effnet", size=(self.spec.height, self.spec.width), device=str(next(self.system.parameters()).device)
            )
        else:
            rows = some_rows(self.train, 2000, self.seed)
            size = (self.spec.height, self.spec.width) if image else None
            self._extractor = find_extractor("pixels", real=self._values(rows), size=size)
        self.name = self._extractor.name
        if not kind.says.plain:
            self.name = f"{kind.says.features}/{self.name}"

    def _values(self, rows: np.ndarray) -> Any:
        """Real records in the form that the extractor takes."""
        from ..kinds import encode

        values = np.asarray(self.dataset.values[rows])
        if isinstance(kind_of(self.spec.kind), Seen):
            return encode(values, self.spec)
        return kind_of(self.spec.kind).vectors(values, self.spec)

    @property
    def by_class(self) -> bool:
        """Whether samples are drawn by class."""
        return bool(self.system.classes and self.dataset.labels is not None)

    def _drawn(self, count: int, labels: np.ndarray | None = None, system: Any = None, seed: int | None = None) -> Any:
        """Tensors (count, ...) of the game; labels (count,), if samples are drawn by class. system, seed: others than usual."""
        import torch

        from ..inference.sampling import draw_samples

        given = None if labels is None else torch.from_numpy(labels)
        drawn = draw_samples(system or self.system, count, seed=self.seed if seed is None else seed, labels=given)
        return torch.cat(list(drawn))

    def _labels(self, count: int) -> np.ndarray | None:
        """(count,) labels in the proportions of the training data, always the same; None where nothing is drawn by class."""
        if not self.by_class:
            return None
        rng = np.random.default_rng([self.seed, 0xC1A55])
        found: np.ndarray = rng.choice(self.dataset.labels[self.train], count).astype(np.int64)
        return found

    def _features(self, records: Any) -> np.ndarray:
        """Features of tensors of the game (samples)."""
        from ..kinds import decode

        if isinstance(kind_of(self.spec.kind), Seen):
            given: Any = records.float().clamp(-1, 1)
        else:
            given = decode(records, self.spec)
            given = kind_of(self.spec.kind).vectors(given, self.spec)
        found: np.ndarray = self._extractor.features(given)
        return found

    def look(self, round: int, samples: int, seconds: float) -> tuple[dict[str, Any], np.ndarray]:
        """Measure now; the system must be in evaluation mode. Returns (the look, the samples as an array).

        Keys: round, samples, seconds, value, low, high, protocol, nearer (share nearer to training records), chance; classes
        (`Classes.compare`), where samples are drawn by class.
        """
        from ..metrics.kernel import kernel_distance

        heldout, train = self._sides()
        count = self.count or OPEN_COUNT
        labels = self._labels(count)
        drawn = self._drawn(count, labels)
        made = self._features(drawn)
        entry: dict[str, Any] = {"round": round, "samples": samples, "seconds": round_to(seconds)}
        if np.isfinite(made).all():
            found = kernel_distance(made, heldout, features=self.name, reference="heldout")
            entry |= {"value": found.value, "low": found.low, "high": found.high, "protocol": found.protocol}
            entry |= self._nearer(made, heldout[: len(train)], train)
            if labels is not None:
                entry["classes"] = self._of_classes(drawn, made, labels)
        else:
            entry |= {"value": math.inf, "low": math.inf, "high": math.inf, "protocol": f"kd/{self.name}: not finite"}
            entry |= {"nearer": 0.5, "chance": 1.0}
        self.looks.append(entry)
        return entry, drawn.numpy()

    def _sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Features of held-out and of training records, made once."""
        self._prepare()
        if self._real is None:
            count = self.count or OPEN_COUNT
            size = min(len(self.train), len(self.heldout), count)
            self._rows = (some_rows(self.heldout, count, self.seed), some_rows(self.train, size, self.seed))
            heldout, train = (self._extractor.features(self._values(rows)) for rows in self._rows)
            self._real = heldout, train
        return self._real

    def again(self, system: Any, other: int = OTHER_SEED) -> dict[str, Any]:
        """The kernel distance of a system, in evaluation mode, by other samples than looks have: value, low, high, protocol.

        other: added to the seed that looks draw by. The best of many looks is flattered by having been chosen; so judged
        again, it is not.
        """
        from ..metrics.kernel import kernel_distance

        heldout, _ = self._sides()
        count = self.count or OPEN_COUNT
        made = self._features(self._drawn(count, self._labels(count), system, self.seed + other))
        found = kernel_distance(made, heldout, features=self.name, reference="heldout")
        return {"value": found.value, "low": found.low, "high": found.high, "protocol": found.protocol}

    def _of_classes(self, drawn: Any, made: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, float]]:
        """What is to be said of each class; small ones get samples of their own. made: features of `drawn`.

        Pictures are compared by their pixels: the extractor would take longer than all else of a look.
        """
        image = isinstance(kind_of(self.spec.kind), Seen)

        def flat(records: Any) -> np.ndarray:
            return thinned(np.asarray(records), PIXELS).astype(np.float32)

        def features(rows: np.ndarray) -> np.ndarray:
            return flat(self._values(rows)) if image else np.asarray(self._extractor.features(self._values(rows)))

        if self._classes is None:
            of = np.asarray(self.dataset.labels)
            self._classes = Classes(self.spec.classes, of, self.train, self.heldout, features, self.seed)
        known = flat(drawn) if image else made
        more = self._classes.wanted(labels, BESIDE, len(self.looks))
        if len(more):
            beside = self._drawn(len(more), more)
            known = np.concatenate([known, flat(beside) if image else self._features(beside)])
        return self._classes.compare(known, np.concatenate([labels, more]))

    def _nearer(self, made: np.ndarray, heldout: np.ndarray, train: np.ndarray) -> dict[str, float]:
        """Share of samples whose nearest real record is one that was learnt from, among as many of either sort; and how likely
        that many are when whole groups are dealt to the two sorts at random (few records are near to many samples)."""
        pool = np.concatenate([train, heldout]).astype(np.float64)
        apart = np.square(pool).sum(axis=1)[None] - 2 * made.astype(np.float64) @ pool.T
        votes = np.bincount(apart.argmin(axis=1), minlength=len(pool))
        held_rows, train_rows = self._rows
        rows = np.concatenate([train_rows, held_rows[: len(heldout)]])
        groups = np.unique(self.dataset.groups[rows], return_inverse=True)[1].ravel()
        by_group = np.bincount(groups, votes)
        share = float(votes[: len(train)].sum() / max(1, votes.sum()))
        swapped = np.random.default_rng([self.seed, 0x5A7]).random((PERMUTATIONS, len(by_group))) < 0.5
        chance = float(((swapped @ by_group) / max(1, votes.sum()) >= share).mean())
        return {"nearer": share, "chance": chance}

    # What follows from it

    @property
    def best(self) -> dict[str, Any] | None:
        """The look with the smallest distance."""
        finite = [x for x in self.looks if math.isfinite(x["value"])]
        return min(finite, key=lambda x: float(x["value"])) if finite else None

    def findings(self) -> list[Finding]:
        """What the looks so far say: a plateau, a fall, memorisation."""
        best = self.best
        found: list[Finding] = []
        if best is None or len(self.looks) < 2:
            return found
        last, before = self.looks[-1], self.looks[-2]
        if self.settled():
            seen = (
                f"kernel distance {last['value']:.4g}, best {best['value']:.4g} at round {best['round']:,}, no trend any more"
            )
            found.append(("plateau", seen, best["round"]))
        worse = best["high"] + 2 * (best["high"] - best["value"])
        if all(x["low"] > worse and x["value"] > 2 * abs(best["value"]) and x is not best for x in (before, last)):
            seen = f"kernel distance {last['value']:.4g}, after {best['value']:.4g} at round {best['round']:,}"
            found.append(("quality fell", seen, before["round"]))
        if all(x["nearer"] > NEARER and x["chance"] < CHANCE for x in (before, last)):
            seen = f"{last['nearer']:.0%} of samples lie nearer to training than to held-out records, 50% expected"
            found.append(("memorisation", seen, before["round"]))
        return found + of_classes(self.looks)

    def settled(self) -> bool:
        """Whether the kernel distance has stopped improving: for long its late trend has promised no more than its noise."""
        if not self.looks:
            return False
        late = sum(x["samples"] >= self.looks[-1]["samples"] / LASTING for x in self.looks)
        return all(flat(self.looks[: len(self.looks) - back]) for back in range(max(2, late)))

    def back_to(self, round: int) -> None:
        """Forget looks at later rounds."""
        self.looks = [x for x in self.looks if x["round"] <= round]

    def state(self) -> dict[str, Any]:
        """Plain values that `restore` continues from."""
        return {"count": self.count, "looks": [dict(x) for x in self.looks]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.count, self.looks = state["count"], [dict(x) for x in state["looks"]]


def bytes_of_look(spec: Any, seconds: float | None, share: float) -> int:
    """Bytes that a look takes at most, roughly: the extractor at work, and records as files hold them and as games see them.

    seconds: of the budget, None where it is not a time. share: of the time that looks may take.
    """
    kind = kind_of(spec.kind)
    image = isinstance(kind, Seen)
    count = float(OPEN_COUNT) if seconds is None else share * seconds / PLANNED / (PER_IMAGE if image else PER_RECORD)
    count = min(MOST, max(LEAST, count))
    numbers = int(np.prod(spec.shape))
    return int((IMAGE_BYTES if image else OTHER_BYTES) + COPIES * 4 * numbers * count)


def flat(looks: Sequence[dict[str, Any]]) -> bool:
    """Whether the trend of these looks promises no more than their noise."""
    from scipy.special import stdtrit  # scipy.stats takes two seconds to load

    late = [x for x in looks if x["samples"] >= FROM * looks[-1]["samples"]]
    if len(looks) < FEWEST or len(late) < PATIENCE:
        return False
    values = np.array([x["value"] for x in late])
    if not np.isfinite(values).all():
        return False
    doublings = np.log2([x["samples"] for x in late])
    doublings -= doublings.mean()
    spread = float(np.square(doublings).sum())
    slope = float((doublings * values).sum() / spread)
    scatter = math.sqrt(float(np.square(values - values.mean() - slope * doublings).sum()) / (len(late) - 2))
    gain = -slope + float(stdtrit(len(late) - 2, SURE)) * scatter / math.sqrt(spread)
    width = float(np.mean([x["high"] - x["value"] for x in late]))
    return gain <= max(width / 2, SCATTER * scatter)


def round_to(seconds: float) -> float:
    """Seconds to the millisecond."""
    return round(seconds, 3)
