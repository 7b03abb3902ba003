"""The watch over one run: hears the Engine's reports, peeks at samples, looks at quality, and keeps to its share of the time.

It lives in the first process. `run.loop` asks it after every round what is due (`due`), lets it look, and carries out what it
wishes (`wish`). Its state is part of the checkpoint. Sampling uses generators of its own, under `Engine.watching`: a watched
game and an unwatched one have the same bits. Not for acting on a run.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import GanvasError
from ..kinds import kind_of
from ..kinds.facets import Seen
from .alarms import FINAL, HINT, Alarm
from .losses import LN2, Finding, Losses
from .quality import Quality
from .samples import (
    APART,
    APART_OTHER,
    COUNT,
    Stillness,
    Variety,
    can_look,
    data_findings,
    learnt_rows,
    some_rows,
    weight_marks,
)

LOOKS = 8
PEEK_SHARE, PEEK_FIRST, PEEK_APART, PEEK_ROUNDS = 0.012, 2.0, 0.5, 10  # share of the time, seconds, seconds, rounds
GROWTH = 1.08  # where a plateau is waited for: by how much the samples have grown from look to look
LATE_LOOK = 0.98  # of the budget: later than this only the closing look


def makers_of(system: Any) -> set[str]:
    """Names of the players that move what samples are drawn by: the networks that averages follow. Others may learn alone for a
    first part of a run, such as encoders of captions. None of a system without averages."""
    followed = [average.source.split(".") for average in system.averages()]
    owned = {player.name: [name.split(".") for name in player.networks] for player in system.players()}
    return {
        name
        for name, networks in owned.items()
        if any(own[: len(other)] == other or other[: len(own)] == own for own in networks for other in followed)
    }


class Watch:
    """Watches one run.

    engine: whose system and reports. settings: of the run. budget: parsed. Raises GanvasError when `--until plateau` was asked
    for and the run's samples cannot be judged while it trains.
    """

    def __init__(self, engine: Any, dataset: Any, settings: Any, budget: Any) -> None:
        self.engine, self.dataset, self.settings, self.budget = engine, dataset, settings, budget
        self.system = engine.system
        self.losses = Losses(self.system, engine.check_every)
        self.stillness = Stillness()
        self.variety: Variety | None = None
        self.peeks = can_look(self.system, dataset.spec)
        self.alarms: list[Alarm] = []
        self.fresh: list[Alarm] = []  # not yet shown
        self.pending: list[str] = []  # kinds that ask for an action
        self.raised: set[str] = set()
        self.moved: set[str] = set()
        self.makers = makers_of(self.system)
        self.begun = not self.makers  # whether one of them has moved
        self.tries = 0  # times the run went back
        self.mark = 0  # looks that the budget's share has called for and got
        self.seconds = self.look_seconds = 0.0  # spent on hearing and peeking, on looks
        self._peeked, self._peek_round, self._peek_cost = 0.0, 0, 0.0
        self._history: tuple[list[list[float]], list[float]] = ([], [])  # of `Variety`, until it is there
        self.planned = looks_planned(settings)
        self.quality: Quality | None = None
        self.again: dict[int, dict[str, Any]] = {}  # of the round that was best when the run stopped
        self.why = "" if self.planned else "no evaluations were asked for (--evaluations)"
        if self.planned:
            try:
                self.quality = Quality(self.system, dataset, settings.seed)
            except GanvasError as error:
                self.why = str(error)
        if settings.until == "plateau" and self.quality is None:
            raise GanvasError(f"--until plateau: {self.why}")
        self.open = budget.progress(1.0, 1, 1) == 0.0
        self.until_plateau = self.quality is not None and (
            settings.until == "plateau" or (settings.until is None and settings.budget is None)
        )
        # a plateau is known by many looks, of which a few shares of a budget would not be enough
        self.by_growth = self.open or (self.until_plateau and settings.evaluations is None)

    # Losses

    def begin(self) -> None:
        """Look at the data, once, before the first round."""
        if self.engine.clock.round == 0:
            started = time.perf_counter()
            self._note(data_findings(self.system, self.dataset, self.settings.seed))
            self.seconds += time.perf_counter() - started

    def hear(self, report: Any) -> None:
        """A report of the Engine."""
        started = time.perf_counter()
        if report.incident:
            self._note([("nan", report.incident, report.round)])
        self.moved |= {term.split("/")[0] for term in report.series}
        self.begun = self.begun or bool(self.makers & self.moved)
        self._note(self.losses.hear(report, self.engine.progress))
        self.seconds += time.perf_counter() - started

    # Samples

    def due(self, seconds: float) -> str:
        """`peek`, `look` or nothing, after `seconds` of training."""
        clock, progress = self.engine.clock, self._progress(seconds)
        if self.quality is not None and progress < LATE_LOOK and self._may_look(seconds):
            looks = self.quality.looks
            if self.by_growth and (not looks or clock.samples >= GROWTH * looks[-1]["samples"]):
                return "look"
            if not self.by_growth and int(progress * self.planned) > self.mark:
                return "look"
        apart = max(self._peek_cost / PEEK_SHARE, PEEK_APART)
        first = not self._peeked and seconds >= PEEK_FIRST
        later = self._peeked and seconds - self._peeked >= apart and clock.round - self._peek_round >= PEEK_ROUNDS
        return "peek" if self.peeks and (first or later) else ""

    def _progress(self, seconds: float) -> float:
        """Share of the budget that is used now (the Engine's is of before the round)."""
        clock = self.engine.clock
        return float(min(1.0, self.budget.progress(seconds, clock.samples, clock.round)))

    def closing_due(self, seconds: float) -> bool:
        """Whether to look once more at the end of the run."""
        looks = self.quality.looks if self.quality is not None else []
        fresh = not looks or looks[-1]["round"] < self.engine.clock.round
        return self.quality is not None and fresh and self._may_look(seconds)

    def _may_look(self, seconds: float) -> bool:
        looks = self.quality.looks if self.quality is not None else []
        guess = kind_of(self.dataset.spec.kind).says.look
        cost = looks[-1].get("cost", guess) if looks else guess
        return bool(self.look_seconds + cost <= self.settings.evaluation_share * seconds)

    def peek(self, seconds: float) -> None:
        """Draw a few samples and compare them; see whether each player moves."""
        from ..inference.sampling import draw_samples

        started = time.perf_counter()
        with self.engine.watching() as system:
            drawn = next(iter(draw_samples(system, COUNT, seed=self.settings.seed)))
        self._compare(drawn.numpy())
        clock, progress = self.engine.clock, self.engine.progress
        self._note(self.stillness.compare(weight_marks(self.engine), self.moved, clock.round, progress))
        self.moved = set()
        self._peek_cost = time.perf_counter() - started
        self._peeked, self._peek_round = max(seconds, 1e-9), clock.round
        self.seconds += self._peek_cost

    def _compare(self, samples: np.ndarray) -> None:
        from ..kinds import encode

        if self.variety is None:
            rows = some_rows(learnt_rows(self.system, self.dataset, self.dataset.train_indices()), COUNT, self.settings.seed)
            real = encode(np.asarray(self.dataset.values[rows]), self.dataset.spec).numpy()
            self.variety = Variety(real, kind_of(self.dataset.spec.kind).says.discrete)
            self.variety.history, self.variety.apart = self._history
        round = self.engine.clock.round
        if not self.begun or not np.isfinite(samples).all():  # an untrained generator makes all samples alike
            return
        self._note(self.variety.compare(samples, round, self.engine.progress))
        for player, balance in self.losses.balances.items():
            since = balance.guesses_since()
            image = isinstance(kind_of(self.dataset.spec.kind), Seen)
            if since is not None and (balance.able or image) and self.variety.differ(APART if image else APART_OTHER):
                what = "guesses" if balance.able else "never did better than guess"
                seen = f"{player} {what}, though samples and records differ (energy distance {self.variety.apart[-1]:.2f})"
                self._note([("discriminator gave up", seen, since)])

    def look(self, seconds: float) -> dict[str, Any]:
        """Measure the kernel distance now; returns the look."""
        assert self.quality is not None
        started = time.perf_counter()
        clock, progress = self.engine.clock, self._progress(seconds)
        with self.engine.watching():
            whole = self.budget.seconds or (seconds / progress if progress > 0 else 0.0)
            allowance = None if self.by_growth else self.settings.evaluation_share * whole / (self.planned + 3)
            self.quality.settle_count(allowance)
            entry, drawn = self.quality.look(clock.round, clock.samples, seconds)
        self._compare(drawn[:COUNT])
        entry["diversity"] = self.variety.last if self.variety else None
        self.mark = int(progress * self.planned)
        self._note(self.quality.findings())
        cost = time.perf_counter() - started
        entry["cost"] = round(cost, 3)
        self.look_seconds += cost
        if len(self.quality.looks) == 1:  # it made the features of the real records: the next ones cost a third
            entry["cost"] = round(cost / 3, 3)
        return entry

    def judge_best_again(self, fill: Callable[[Any], bool]) -> None:
        """Measure the distance of the best look by other samples as well, which is the one to tell (`summary`, `again`).

        fill: puts the weights of the best look into a copy of the system, or says that there are none.
        """
        best, looks = self.best, self.quality.looks if self.quality is not None else []
        if self.quality is None or best is None or len(looks) < 2:
            return
        started = time.perf_counter()
        with self.engine.watching():
            system = self.system
            if best["round"] != self.engine.clock.round:
                system = copy.deepcopy(self.system)
                if not fill(system):
                    return
            self.again = {best["round"]: self.quality.again(system)}
        self.look_seconds += time.perf_counter() - started

    # What follows

    def _note(self, findings: list[Finding]) -> None:
        clock = self.engine.clock
        for kind, seen, since in findings:
            if kind in self.raised:
                continue
            self.raised.add(kind)
            share = since / clock.round if clock.round else 0.0
            since = min(since, clock.round)
            alarm = Alarm(kind, seen, clock.round, clock.samples, since, int(min(1.0, share) * clock.samples))
            self.alarms.append(alarm)
            self.fresh.append(alarm)
            if kind not in HINT:
                self.pending.append(kind)

    def wish(self) -> str:
        """What should be done with the run now: nothing, `plateau`, `alarm` (stop), `rollback` or `restart`."""
        if self.until_plateau and self.quality is not None and self.quality.settled():
            return "plateau"
        action, pending = self.settings.on_alarm, self.pending
        if not pending or action == "warn":
            return ""
        return "alarm" if action == "stop" or any(kind in FINAL for kind in pending) else str(action)

    def failed(self, text: str) -> str:
        """The game itself cannot go on (NaN again and again): what is wished for then."""
        self.pending.append("nan")
        return self.wish()

    def went_back(self, round: int) -> None:
        """The run continues from an older round."""
        self.tries += 1
        self.pending, self.raised = [], self.raised & {"plateau"}
        self.losses.clear(round)
        self.stillness = Stillness()
        self._history = ([], [])
        self._peek_round = round
        if self.variety is not None:
            self.variety.clear()
        if self.quality is not None:
            self.quality.back_to(round)

    # What it knows

    @property
    def best(self) -> dict[str, Any] | None:
        """The best look, or None."""
        return self.quality.best if self.quality is not None else None

    def numbers(self) -> dict[str, float]:
        """What goes into the log beside the terms."""
        found = {"health/diversity": self.variety.last} if self.variety and self.variety.last is not None else {}
        return {k: v for k, v in found.items() if v is not None and math.isfinite(v)}

    def summary(self, seconds: float) -> dict[str, Any]:
        """Plain values, for `health.json` and for the run's result."""
        best = self.best
        if best is not None and best["round"] in self.again:
            best = {**best, "again": self.again[best["round"]]}
        after = {player: balance.after_t0() for player, balance in self.losses.balances.items()}
        return {
            "t0": self.losses.t0(),
            "loss_after_t0": {player: value for player, value in after.items() if value},
            "undecided": {player: 2 * LN2 * balance.weight for player, balance in self.losses.balances.items()},
            "alarms": [alarm.to_dict() for alarm in self.alarms],
            "best": best,
            "looks": self.quality.looks if self.quality is not None else [],
            "diversity": self.variety.last if self.variety is not None else None,
            "went_back": self.tries,
            "cost": {
                "watching": round(self.seconds / max(seconds, 1e-9), 5),
                "looks": round(self.look_seconds / max(seconds, 1e-9), 5),
            },
        }

    def state(self) -> dict[str, Any]:
        """Plain values that `restore` continues from."""
        return {
            "losses": self.losses.state(),
            "stillness": self.stillness.state(),
            "history": list((self.variety.history, self.variety.apart) if self.variety is not None else self._history),
            "quality": self.quality.state() if self.quality is not None else None,
            "alarms": [[a.kind, a.seen, a.round, a.samples, a.since_round, a.since_samples] for a in self.alarms],
            "raised": sorted(self.raised),
            "pending": list(self.pending),
            "moved": sorted(self.moved),
            "begun": self.begun,
            "numbers": [self.tries, self.mark, self.seconds, self.look_seconds],
            "peeked": [self._peeked, self._peek_round, self._peek_cost],
        }

    def restore(self, state: Mapping[str, Any], seconds: float) -> None:
        """Continue where `state` was taken, after `seconds` of training."""
        self.losses.restore(state["losses"])
        self.stillness.restore(state["stillness"])
        history, apart = state["history"]
        self._history = ([list(x) for x in history], list(apart))
        if self.quality is not None and state["quality"] is not None:
            self.quality.restore(state["quality"])
        self.alarms = [Alarm(*x) for x in state["alarms"]]
        self.raised, self.pending, self.moved = set(state["raised"]), list(state["pending"]), set(state["moved"])
        self.begun = bool(state.get("begun", True))
        self.tries, self.mark, self.seconds, self.look_seconds = state["numbers"]
        self.mark = min(self.mark, int(self._progress(seconds) * self.planned))  # the budget may have grown
        self._peeked, self._peek_round, self._peek_cost = state["peeked"]


def looks_planned(settings: Any) -> int:
    """How many looks a run is to have: as asked, else LOOKS; none where pictures were switched off as well."""
    if settings.watch == "off":
        return 0
    if settings.evaluations is not None:
        return int(settings.evaluations)
    return LOOKS if settings.sample_every > 0 or settings.until == "plateau" else 0
