"""What loss terms and gradient norms tell: who wins, when the opening ends, what explodes, what vanishes.

They are read where the Engine reads them for its own check, so watching them costs no device synchronisation. Each finding is
a pure function of the values in their order, however they were dealt out in reports: saving more often changes nothing.
Not for quality: a loss is a score against an opponent who learns as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

LN2 = math.log(2)
WINDOW = 50  # moves of a running median, and how long it has to stay above LEARNING for the opening to be over
LEARNING = 0.25 * 2 * LN2  # of the sum of both cross entropies
SURE = 0.1 * 2 * LN2
"""Below this sum D is right in more than 90 % of cases: each wrong answer costs at least ln 2, so the share of wrong ones is at
most the mean cross entropy over ln 2."""
WRONG = 2 * math.log(10)  # above this sum D gives the truth less than 10 %, in the geometric mean
ABLE, GUESSING = 0.9 * 2 * LN2, 0.97 * 2 * LN2  # D has told them apart at some time; D guesses
GIVEN_UP = 75  # moves of guessing, of a D that could do better; one that never could has PATIENCE
PATIENCE = 150  # moves that D is sure or wrong before it is said
PATIENT_SHARE = 0.1  # and of the budget, where there is one
OPENING_SHARE, OPENING_MOVES = 0.4, 300  # of the budget and moves, whichever is later, by which the opening should be over
OPENING_OPEN = 3000  # moves, without a budget
STRETCH, RECENT, EVERY = 150, 25, 16  # values that are looked back on, that are "now", and between two comparisons
RISE = 30.0  # from the median of the first RECENT of the stretch to that of the last
FLOOR = 1.0, 10.0  # below this a loss is small: cross entropies, and losses in other units
NORMS = 8  # gradient norms that make the reference, and that must have vanished

Finding = tuple[str, str, int]  # kind, what was seen, since which round


def cross_entropies(system: Any) -> tuple[str, ...]:
    """Players whose terms `real` and `fake` are the cross entropies of a probability, so that their sum has a meaning.

    A system says so by its objective: one that calls both `real_is_real` and `fake_is_fake` of `objectives.adversarial` and
    names their results `real` and `fake`. Any other system is not watched for who wins.
    """
    from ..objectives.adversarial import fake_is_fake, real_is_real

    found = []
    for phase in system.phases():
        for turn in phase.turns:
            method = getattr(turn.objective, "__func__", turn.objective)
            code, names = getattr(method, "__code__", None), getattr(method, "__globals__", {})
            if code is None or turn.player in found:
                continue
            called = {id(names.get(name)) for name in code.co_names}
            if {id(real_is_real), id(fake_is_fake)} <= called and {"real", "fake"} <= _texts(code):
                found.append(turn.player)
    return tuple(found)


def _texts(code: Any) -> set[str]:
    """String constants of a function, those in tuples of dictionary keys among them."""
    texts = {c for c in code.co_consts if isinstance(c, str)}
    for constant in code.co_consts:
        if isinstance(constant, tuple):
            texts |= {c for c in constant if isinstance(c, str)}
    return texts


class Balance:
    """Who wins, for one player whose terms are cross entropies: T0, the loss after it, and too sure or too wrong for long.

    t0: the first round whose 50-round median of the sum stays above 0.25 x 2 ln 2 for 50 rounds; None before that. What is
    counted are the player's moves, which are rounds where it has one turn a round. undecided: the loss of a discriminator
    that guesses (`System.undecided`); where terms are weighted it is not 2 ln 2, and losses are brought to that scale first.
    """

    def __init__(self, player: str, undecided: float = 2 * LN2) -> None:
        self.player = player
        self.weight = undecided / (2 * LN2)  # of the terms, 1 as they are in Goodfellow et al. 2014
        self.t0: int | None = None
        self.clear()

    def clear(self) -> None:
        """Forget the recent values, as after going back to an older checkpoint."""
        self._moves = 0
        self._last: list[float] = []
        self._above: list[float] = []  # [values above, round of the first]
        self._sure: list[float] = []  # [round of the first, progress there, moves before]
        self._wrong: list[float] = []
        self._able = False
        self._guessing: list[float] = []  # the same
        self._untaught = False  # and long enough to say so of one that never could do better
        self._moments = [0.0, 0.0, 0.0]  # count, mean, sum of squared deviations of the loss after T0 (Welford 1962)

    def take(self, value: float, round: int, progress: float) -> list[Finding]:
        """One move: the sum of both cross entropies. progress: share of the budget, 0 when it is open."""
        self._moves += 1
        self._last = [*self._last[-WINDOW + 1 :], value / self.weight]
        if self.t0 is not None and math.isfinite(value):
            count, mean, squares = self._moments
            step = value - mean
            mean += step / (count + 1)
            self._moments = [count + 1, mean, squares + step * (value - mean)]
        if len(self._last) < WINDOW:
            return []
        middle = sorted(self._last)[WINDOW // 2]
        self._above = [self._above[0] + 1, self._above[1]] if self._above else [1.0, float(round)]
        if not middle > LEARNING:
            self._above = []
        elif self.t0 is None and self._above[0] >= WINDOW:
            self.t0 = int(self._above[1])
        found = []
        self._able = self._able or middle < ABLE
        self._guessing = self._held(GUESSING < middle < WRONG, self._guessing, round, progress)
        least = PATIENCE if progress > 0 else OPENING_OPEN  # at first every discriminator guesses for a while
        self._untaught = bool(self._guessing) and self._moves >= least and self._long(self._guessing, progress)
        self._sure = self._held(middle < SURE, self._sure, round, progress)
        self._wrong = self._held(middle > WRONG, self._wrong, round, progress)
        if self._long(self._sure, progress):
            right = math.floor(100 - 50 * middle / LN2)
            seen = f"{self.player} is right in more than {right} % of cases, so the generator learns little"
            found.append(("discriminator too strong", seen, int(self._sure[0])))
        if self._long(self._wrong, progress):
            seen = f"{self.player} gives the truth a probability of {math.exp(-middle / 2):.1%}"
            found.append(("discriminator too weak", seen, int(self._wrong[0])))
        least = OPENING_MOVES if progress > 0 else OPENING_OPEN
        late = self._moves >= least and (progress == 0 or progress >= OPENING_SHARE)
        if self.t0 is None and late and middle <= LEARNING:
            total, bound = middle * self.weight, LEARNING * self.weight
            seen = f"the cross entropies of {self.player} sum to {total:.3f} and never stayed above {bound:.3f}"
            found.append(("opening does not end", seen, 0))
        return found

    def _held(self, true: bool, since: list[float], round: int, progress: float) -> list[float]:
        return (since or [float(round), progress, float(self._moves)]) if true else []

    def _long(self, since: list[float], progress: float) -> bool:
        patient = bool(since) and self._moves - since[2] >= PATIENCE
        return patient and (progress == 0 or progress - since[1] >= PATIENT_SHARE)

    def guesses_since(self) -> int | None:
        """The round since which the discriminator guesses, when that is long; else None."""
        if not self._guessing:
            return None
        moves = self._moves - self._guessing[2]
        if moves < GIVEN_UP if self._able else not self._untaught or moves < PATIENCE:
            return None
        return int(self._guessing[0])

    @property
    def able(self) -> bool:
        """Whether it could tell samples from records at some time."""
        return self._able

    def after_t0(self) -> dict[str, float] | None:
        """mean, variance and sd of the loss after T0, with the number of moves; None before it."""
        count, mean, squares = self._moments
        if count < 2:
            return None
        variance = squares / (count - 1)
        return {"moves": int(count), "mean": mean, "variance": variance, "sd": math.sqrt(variance)}

    def state(self) -> dict[str, Any]:
        """Plain values that `restore` continues from."""
        return {key.lstrip("_"): value for key, value in vars(self).items() if key not in ("player", "weight")}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.t0 = state["t0"]
        self._able, self._moves, self._untaught = state["able"], state["moves"], state["untaught"]
        self._last, self._above, self._sure, self._wrong, self._guessing, self._moments = (
            list(state[key]) for key in ("last", "above", "sure", "wrong", "guessing", "moments")
        )


class Rise:
    """Whether the losses of every player rise together, thirtyfold within 150 moves.

    sure_units: players whose losses are cross entropies, for which 1 is much; losses in other units start small.
    """

    def __init__(self, sure_units: Sequence[str]) -> None:
        self.sure_units = tuple(sure_units)
        self.values: dict[str, list[float]] = {}
        self.counts: dict[str, int] = {}
        self.risen: dict[str, list[float]] = {}  # term -> [from, to, round]

    def take(self, term: str, value: float, round: int) -> list[Finding]:
        """One value of `player/term`."""
        kept = self.values[term] = [*self.values.get(term, [])[-STRETCH + 1 :], abs(value)]
        self.counts[term] = self.counts.get(term, 0) + 1
        if len(kept) < STRETCH or self.counts[term] % EVERY:
            return []
        before, now = (sorted(part)[RECENT // 2] for part in (kept[:RECENT], kept[-RECENT:]))
        floor = FLOOR[0] if self.sure_units else FLOOR[1]
        if now > RISE * max(before, floor):
            self.risen[term] = [before, now, float(round)]
        else:
            self.risen.pop(term, None)
        if not self._together():
            return []
        since = int(min(r[2] for r in self.risen.values())) - STRETCH + RECENT
        seen = ", ".join(f"{name} {a:.3g} -> {b:.3g}" for name, (a, b, _) in self.risen.items())
        return [("losses explode", seen, max(0, since))]

    def _together(self) -> bool:
        players = {term.split("/")[0] for term in self.values}
        return len(players) > 1 and players == {term.split("/")[0] for term in self.risen}

    def state(self) -> dict[str, Any]:
        """Plain values that `restore` continues from."""
        return {"values": self.values, "counts": self.counts, "risen": self.risen}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.values = {k: list(v) for k, v in state["values"].items()}
        self.counts, self.risen = dict(state["counts"]), {k: list(v) for k, v in state["risen"].items()}


class Slopes:
    """Whether a player's gradient norm vanishes or explodes, against the median of the first eight that were seen."""

    def __init__(self) -> None:
        self.first: dict[str, list[float]] = {}
        self.last: dict[str, list[float]] = {}

    def take(self, player: str, norm: float, round: int, every: int) -> list[Finding]:
        """A norm, read every `every` rounds."""
        first = self.first.setdefault(player, [])
        if len(first) < NORMS:
            first.append(norm)
            return []
        last = self.last[player] = [*self.last.get(player, [])[-NORMS + 1 :], norm]
        usual = sorted(first)[NORMS // 2]
        if len(last) == NORMS and max(last) < max(1e-7, 1e-4 * usual):
            return [("gradients vanish", f"{player}'s fell from {usual:.3g} to {norm:.3g}", max(0, round - NORMS * every))]
        if len(last) >= 4 and min(last[-4:]) > max(1000.0, 100 * usual):
            return [("gradients explode", f"{player}'s rose from {usual:.3g} to {norm:.3g}", max(0, round - 4 * every))]
        return []

    def state(self) -> dict[str, Any]:
        """Plain values that `restore` continues from."""
        return {"first": self.first, "last": self.last}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.first, self.last = ({k: list(v) for k, v in state[key].items()} for key in ("first", "last"))


class Losses:
    """All of the above on the Engine's reports."""

    def __init__(self, system: Any, check_every: int) -> None:
        self.players, self.check_every = cross_entropies(system), check_every
        self.balances = {player: Balance(player, system.undecided) for player in self.players}
        self.rise, self.slopes = Rise(self.players), Slopes()
        self.heard = 0  # round of the last report
        self.share: float | None = 0.0  # of the budget, then; None where the next report has to say

    def clear(self, round: int) -> None:
        """Forget what is recent, as after going back to an older round, from which the next report counts."""
        self.heard, self.share = round, None
        for balance in self.balances.values():
            balance.clear()
        self.rise, self.slopes = Rise(self.players), Slopes()

    def hear(self, report: Any, progress: float) -> list[Finding]:
        """An Engine's report."""
        found: list[Finding] = []
        series: Mapping[str, list[float]] = report.series

        def spread(values: Sequence[float]) -> Callable[[int], int]:
            span = (report.round - self.heard) / max(1, len(values))  # the moves lie evenly between two reports
            return lambda index: self.heard + math.ceil((index + 1) * span)

        for player, balance in self.balances.items():
            real, fake = series.get(f"{player}/real", ()), series.get(f"{player}/fake", ())
            before = progress if self.share is None else self.share
            at, step = spread(real), (progress - before) / max(1, len(real))
            for index, (a, b) in enumerate(zip(real, fake, strict=False)):
                found += balance.take(a + b, at(index), before + (index + 1) * step)
        for term, values in series.items():
            at = spread(values)
            for index, value in enumerate(values):
                found += self.rise.take(term, value, at(index))
        if report.round % self.check_every == 0:  # a norm read at another time (saving) is one more for some players only
            for player, norm in report.norms.items():
                found += self.slopes.take(player, norm, report.round, self.check_every)
        self.heard, self.share = report.round, progress
        return found

    def t0(self) -> int | None:
        """The round in which the opening ended, of the first player that is watched for it."""
        return next((b.t0 for b in self.balances.values()), None)

    def state(self) -> dict[str, Any]:
        """Plain values that `restore` continues from."""
        balances = {player: balance.state() for player, balance in self.balances.items()}
        return {
            "heard": [self.heard, self.share],
            "balances": balances,
            "rise": self.rise.state(),
            "slopes": self.slopes.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.heard, self.share = state["heard"]
        for player, balance in self.balances.items():
            balance.restore(state["balances"][player])
        self.rise.restore(state["rise"])
        self.slopes.restore(state["slopes"])
