"""What a run will take and what may be expected of it, said before it starts: memory, disk, rounds, and how far samples come.

Rounds and memory come from a few real rounds (`pace`), how far samples come from what was measured of the system before
(`stages`). Corrected while the run goes on. Not for refusing a run (`memory.guarding`).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from .budget import Budget, describe_seconds
from .opening import seated
from .pace import Pace, foretell, try_rounds
from .settings import Settings
from .stages import Goal, outlook

LOOKS, OTHERS = 0.75, 0.03  # of the share that looks may take, what they do take; and peeks, pictures and checkpoints
OFF = 1.5  # a forecast that is off by this factor is corrected, from EARLY of the budget on
EARLY = 0.1


@dataclass(frozen=True)
class Forecast:
    """What a run is expected to take.

    rounds, samples: when it ends; seconds: that it trains; None where the budget is open or rounds were not tried. memory,
    disk: bytes; memory is the most that the process holds at once, on CUDA what the allocator does.
    """

    rounds: int | None
    samples: int | None
    seconds: float | None
    memory: int | None
    disk: int


class Expectation:
    """What to expect of a run, and whether it comes so.

    system: on its device; it is copied. dataset, settings, size: of the run (records in a batch). budget: parsed. clock,
    seconds: of a run that goes on. looked: whether samples are judged while it trains.
    """

    def __init__(
        self, system: Any, dataset: Any, settings: Settings, size: int, device: Any, budget: Budget, *,
        seed: int, looked: bool, clock: Any = None, seconds: float = 0.0,
    ) -> None:  # fmt: skip
        from ..game import Clock

        self.phases, self.budget, self.settings, self.device = system.phases(), budget, settings, device
        self.clock = clock or Clock(phase=self.phases[0].name)
        self.seconds = seconds
        self.share = 1.0 - OTHERS - (min(0.9, LOOKS * settings.evaluation_share) if looked else 0.0)
        self.state = sum(t.numel() * t.element_size() for t in system.state_dict().values())
        self.parameters = sum(p.numel() for p in system.parameters())
        self.looks = look_bytes(dataset.spec, budget, settings, device) if looked else 0
        # Compiled networks take minutes before their first round: what others would take says nothing of them.
        self.pace = None if settings.compile else self._tried(system, dataset, size, seed, clock)
        self.told = self._forecast()
        self._mark = (self.clock.phase, self.clock.round, seconds)

    def _tried(self, system: Any, dataset: Any, size: int, seed: int, clock: Any) -> Pace:
        """The pace of one process with its share of the batch; what it says of records is for all."""
        from ..parallel import Processes

        world, one = self.settings.processes, Processes(self.device)

        def board(copied: Any) -> Any:
            return seated(copied, dataset, self.settings, max(1, size // world), one, seed=seed)

        pace = try_rounds(copy.deepcopy(system), board, self.budget, clock)
        return replace(pace, phases=tuple(replace(own, samples=own.samples * world) for own in pace.phases))

    def _forecast(self) -> Forecast:
        disk = 3 * 3 * self.state + 20_000_000  # checkpoints: last, previous and best
        if self.pace is None:
            return Forecast(None, None, None, None, disk)
        # What is written to a checkpoint is put together in memory: weights, two moments, and the copy for roll-backs.
        memory = None if self.pace.memory is None else self.pace.memory + self.looks + self.state
        if self.budget == Budget():
            return Forecast(None, None, None, memory, disk)
        end, seconds = foretell(self._slowed(), self.phases, self.clock, self.budget, self.seconds)
        return Forecast(end.round, end.samples, seconds, memory, disk)

    def _slowed(self) -> Pace:
        """The pace with all that a run does beside its rounds."""
        assert self.pace is not None
        phases = tuple(replace(own, seconds=own.seconds / self.share) for own in self.pace.phases)
        return replace(self.pace, phases=phases)

    def seconds_to(self, samples: int) -> float | None:
        """Trained seconds after which so many records have been drawn; None where that is not known."""
        if self.pace is None:
            return None
        return foretell(self._slowed(), self.phases, self.clock, Budget(samples=max(1, samples)), self.seconds)[1]

    def line(self, *, plateau: bool = False) -> str:
        """Parameters, memory, disk and end. plateau: whether the run ends by itself."""
        told, budget = self.told, self.budget
        memory = "" if told.memory is None else f"{told.memory / 1e9:.2f} GB of memory, "
        end = "until the kernel distance stops improving" if plateau else "no end: stop with Ctrl-C"
        text = (
            f"{self.parameters / 1e6:.2f} M parameters; expects {memory}{told.disk / 1e6:.0f} MB of disk, "
            f"{end if budget == Budget() else f'{budget}, or {end}' if plateau else budget}"
        )
        if budget.seconds and told.rounds:
            return f"{text} (about {told.rounds:,} rounds, {told.samples or 0:,} samples)"
        return f"{text} (about {describe_seconds(told.seconds)})" if told.seconds else text

    def outlook(self, card: Any, spec: Any) -> str:
        """One line: how far samples come within the budget, as far as that was measured (`stages.outlook`)."""
        return outlook(card, spec, Goal(self.told.samples, self.budget, self.seconds_to))

    def corrected(self, clock: Any, seconds: float) -> str:
        """What to say when rounds come much faster or more slowly than was told; an empty string while they do not."""
        if clock.phase != self._mark[0]:
            self._mark = (clock.phase, clock.round, seconds)
        played = clock.round - self._mark[1]
        if self.pace is None or self.told.rounds is None or not self.budget.seconds or played < 1:
            return ""
        if seconds - self._mark[2] < EARLY * self.budget.seconds:
            return ""
        real = (seconds - self._mark[2]) / played
        left = self._slowed().phases
        left = left[[own.name for own in left].index(clock.phase) :]
        pace = replace(self.pace, phases=(replace(left[0], seconds=real), *left[1:]))
        rounds = foretell(pace, self.phases, clock, self.budget, seconds)[0].round
        if max(rounds, 1) / max(self.told.rounds, 1) < OFF and self.told.rounds / max(rounds, 1) < OFF:
            return ""
        before, self.told = self.told.rounds, replace(self.told, rounds=rounds)
        return f"rounds take {1000 * real:,.3g} ms: about {rounds:,} by the end, where {before:,} were expected"


def look_bytes(spec: Any, budget: Budget, settings: Settings, device: Any) -> int:
    """Bytes that looks at quality take beside the rounds, roughly: of the extractor, and of the records that are compared."""
    from ..health.quality import bytes_of_look

    return 0 if device.type != "cpu" else bytes_of_look(spec, budget.seconds, settings.evaluation_share)
