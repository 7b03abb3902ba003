"""How long rounds take and what a budget buys, from a few real rounds on a copy of the system that is thrown away.

The very system plays with its very batches on the Engine that trains it, phase after phase, so nothing is reckoned from the
speed of some other computation. Neither the run's weights nor its random numbers are touched. Not for the memory of settings
that nobody has started (`ganvas memory`), and not for what samples will look like (`expect`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .budget import Budget

if TYPE_CHECKING:
    from ..game import Clock, Phase

PATIENCE, SHARE = 2.0, 0.05  # most that trying may take: seconds, and share of the budget
MOST_ROUNDS = 100  # of a phase that are tried, after the first, which sets everything up
STEPS = 2_000  # into which a budget is cut to see when phases end


@dataclass(frozen=True)
class PhasePace:
    """What rounds of one phase take. seconds, processor: a round, by the clock and of the processor; samples: records that a
    round draws; rounds: how many were tried."""

    name: str
    seconds: float
    processor: float
    samples: float
    rounds: int


@dataclass(frozen=True)
class Pace:
    """phases: from the one in play to the last. memory: bytes that the process held at most while they were tried; None where
    the system does not tell."""

    phases: tuple[PhasePace, ...]
    memory: int | None


def try_rounds(system: Any, seated: Callable[[Any], Any], budget: Budget, clock: Clock | None = None) -> Pace:
    """Play a few rounds of every phase that is still to come.

    system: is trained and thrown away. seated: makes an Engine on it. clock: of a run that goes on. At most PATIENCE seconds,
    or SHARE of the budget if that is less, once the first round of each phase is played.
    """
    import torch

    phases = system.phases()
    first = 0 if clock is None else [phase.name for phase in phases].index(clock.phase)
    trials = [_Trial(phase, patience(budget) / len(phases[first:]), most_rounds(budget)) for phase in phases[first:]]
    system.phases = lambda: tuple(trial.phase for trial in trials)
    devices = [p.device for p in list(system.parameters())[:1] if p.device.type == "cuda"]
    with torch.random.fork_rng(devices=devices):
        engine = seated(system)
        device = engine.processes.device
        if clock is not None:
            engine.clock = replace(clock, phase_round=0, phase_samples=0)
        before = memory_peak(device)
        found = tuple(trial.play(engine, lambda: _settled(device)) for trial in trials)
        after = memory_peak(device)
    held = memory_in_use(device)
    # What lay highest before the rounds (data that was decoded) need not come again; what they took besides it will.
    return Pace(found, max(held, after if after > before else 0) or None)


def patience(budget: Budget) -> float:
    """Seconds that rounds may be tried for."""
    return PATIENCE if budget.seconds is None else min(PATIENCE, SHARE * budget.seconds)


def most_rounds(budget: Budget) -> int:
    """Rounds of a phase that are tried at most; few of a run that has few itself."""
    return MOST_ROUNDS if budget.rounds is None else min(MOST_ROUNDS, max(1, int(SHARE * budget.rounds)))


class _Trial:
    """One phase that ends when it has been tried for long enough.

    Turns that come only every so many rounds come in every second one here, and are weighed by how rare they are.
    """

    def __init__(self, phase: Phase, seconds: float, most: int) -> None:
        rare = [turn.every for turn in phase.turns if turn.every > 1]
        self.share = sum(1 / every for every in rare) / len(rare) if rare else 0.0
        self.seconds, self.least, self.most = seconds, 3 if rare else 2, most
        self.begin, self.played, self.over = 0.0, 0, False
        turns = tuple(replace(turn, every=min(2, turn.every)) for turn in phase.turns)
        self.phase = replace(phase, turns=turns, rounds=None, samples=None, until=self._enough)

    def _enough(self, clock: Clock) -> bool:
        """Asked by the Engine at the end of every round."""
        self.played += 1
        spent = time.perf_counter() - self.begin
        if self.played < self.least:
            self.over = spent >= self.seconds
        else:
            self.over = self.played > self.most or spent * (1 + 1 / self.played) >= self.seconds
        return self.over

    def play(self, engine: Any, settled: Callable[[], None]) -> PhasePace:
        """Rounds, the first of which counts only where there is no other of its sort."""
        took: list[tuple[float, float]] = []
        before, self.begin = engine.clock.samples, time.perf_counter()
        while not self.over:
            now, processor = time.perf_counter(), time.process_time()
            engine.play_round()
            settled()
            took.append((time.perf_counter() - now, time.process_time() - processor))
        samples = (engine.clock.samples - before) / len(took)
        if self.share and len(took) > 1:
            full, usual = _mean(took[2::2] or took[:1]), _mean(took[1::2])
            mean = [self.share * a + (1 - self.share) * b for a, b in zip(full, usual, strict=True)]
        else:
            mean = [*_mean(took[1:] or took)]
        return PhasePace(self.phase.name, mean[0], mean[1], samples, max(1, len(took) - 1))


def _mean(took: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Of seconds by the clock and of the processor, without the slowest tenth: others use the machine as well."""
    kept = sorted(took)[: len(took) - len(took) // 10]
    return sum(clock for clock, _ in kept) / len(kept), sum(own for _, own in kept) / len(kept)


def _settled(device: Any) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def foretell(
    pace: Pace, phases: Sequence[Phase], clock: Clock, budget: Budget, seconds: float = 0.0
) -> tuple[Clock, float]:  # fmt: skip
    """(the clock, the seconds) at the end of the budget, or of the game if that comes before.

    phases: of the system, as they are played. clock, seconds: where the run is now. Raises ValueError for an open budget.
    """
    if budget == Budget():
        raise ValueError("an open budget has no end")
    by_name, left = {phase.name: phase for phase in phases}, list(pace.phases)
    while left:
        own, phase = left[0], by_name[left[0].name]
        done = budget.progress(seconds, clock.samples, clock.round)
        if done >= 1.0 or (budget.samples and not own.samples):
            break
        clock = replace(clock, phase=own.name, progress=done)
        if phase.finished(clock):
            left.pop(0)
            clock = replace(clock, phase_round=0, phase_samples=0)
            continue
        rounds = _stride(own, phase, clock, budget)
        drawn = round(rounds * own.samples)
        seconds += rounds * own.seconds
        clock = replace(
            clock, round=clock.round + rounds, samples=clock.samples + drawn,
            phase_round=clock.phase_round + rounds, phase_samples=clock.phase_samples + drawn,
        )  # fmt: skip
    return clock, seconds


def _stride(own: PhasePace, phase: Phase, clock: Clock, budget: Budget) -> int:
    """Rounds of the next step: a small part of the budget, and no further than the phase lasts."""
    if budget.seconds is not None:
        whole = budget.seconds / max(own.seconds, 1e-9)
    else:
        whole = budget.rounds if budget.rounds is not None else (budget.samples or 0) / own.samples
    bounds = [whole / STEPS]
    bounds += [phase.rounds - clock.phase_round] if phase.rounds is not None else []
    bounds += [(phase.samples - clock.phase_samples) / own.samples] if phase.samples is not None and own.samples else []
    return max(1, int(min(bounds)))


def memory_in_use(device: Any) -> int:
    """Bytes in use: the process's resident memory on the CPU, the allocator's peak on CUDA; 0 where neither is told."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return resident("VmRSS")


def memory_peak(device: Any) -> int:
    """Bytes that the process has held at most so far; on CUDA the allocator's count."""
    return memory_in_use(device) if device.type == "cuda" else resident("VmHWM")


def resident(key: str) -> int:
    """A line of /proc/self/status in bytes: VmRSS (now) or VmHWM (most ever); elsewhere the most ever, or 0."""
    import sys

    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
