"""What an evaluation is doing, a line a stage, and how long the rest will take. Not for doing it.

The time left is what the stages still to come take at the pace at which features are made here (measured by some records),
times how much longer than that the stages took so far. It is a guess to wait by: features that are found in the cache take no
time, and other programs take their share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

PAIRED = 200  # pictures that go through the network once more, for their diversity
MEASURED = 3.0  # seconds of what is measured on features
CLASSIFIER, DETECTOR = 5_000, 10_000  # pictures whose features take as long as training what judges classes, and findings
QUICK = 0.1  # of what a stage usually takes: it found its features in the cache, and says nothing of the machine


def usual_work(
    made: int, train: int, heldout: int, *, look: float, network: float = 0.0, seen: bool, classes: bool = False,
    findings: bool = False, audit: bool = False, anchors: Sequence[str],
) -> dict[str, float]:  # fmt: skip
    """The stages of an evaluation in order, and the seconds that each usually takes here.

    made, train, heldout: numbers of records. look: seconds that the features of one take, as measured; network: the same by
    effnet. seen: whether they are pictures. classes, findings, audit: whether a classifier and a detector are trained, and
    copies looked for. anchors: their names.
    """
    again = look * min(made, PAIRED) if seen else 0.0
    work = {"classifier": CLASSIFIER * network} if classes else {}
    work |= {"real": look * (train + heldout), "samples": look * made, "measures": 2 * MEASURED + 2 * again}
    work |= {"findings": DETECTOR * network} if findings else {}
    work |= {"audit": MEASURED + look * (train + heldout)} if audit else {}
    # Features of training records are known by then.
    return work | {f"anchor {name}": MEASURED + again + (0.0 if name == "real" else look * made) for name in anchors}


class Stages:
    """Tells each stage as it begins.

    say: takes a line. now: the time in seconds.
    """

    def __init__(self, say: Callable[[str], None], now: Callable[[], float] = time.perf_counter) -> None:
        self.say, self.now = say, now
        self.work: dict[str, float] = {}
        self.usual = self.taken = 0.0
        self._since, self._stage = now(), ""

    def plan(self, work: Mapping[str, float]) -> None:
        """The stages still to come, in order, with the seconds that each usually takes."""
        self.work = dict(work)

    def begin(self, stage: str, text: str) -> None:
        """A stage begins, and the one before it is over. text: what is done, as the user is to read it."""
        self._end()
        self._stage = stage
        if stage not in self.work:  # of unknown length
            self.say(text)
            return
        number, left = list(self.work).index(stage), self.left(stage)
        self.say(f"{number + 1} of {len(self.work)}: {text}{f'; about {left} left' if left else ''}")

    def left(self, stage: str) -> str:
        """The time of this stage and of those behind it, in words; empty when it is not worth telling."""
        from ..run.budget import describe_seconds

        scale = self.taken / self.usual if self.usual else 1.0
        seconds = scale * sum(list(self.work.values())[list(self.work).index(stage) :])
        if seconds < 5:
            return ""
        step = 5 if seconds < 60 else 10 if seconds < 300 else 60
        return describe_seconds(step * round(seconds / step))

    def _end(self) -> None:
        took, self._since = self.now() - self._since, self.now()
        usual = self.work.get(self._stage)
        if usual is None:
            return
        if took >= QUICK * usual:
            self.usual, self.taken = self.usual + usual, self.taken + took
