"""The referee: plays the rounds of a System. Backward, steps, averages, counting, and the watch for NaN.

Only the Engine writes gradients of parameters or steps them. It knows no system, no folder, no clock on the wall: budgets,
checkpoints, logs and signals live in `run/`; processes in `parallel.py`.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .batches import Batch, Noise, lay_out
from .errors import GanvasError, RunError
from .game import Clock, Phase, Player, Shared, System, Terms, Turn, constant_rate
from .parallel import PRECISIONS, Agreement, Processes
from .recomputing import forget_activations

INCIDENTS_ALLOWED = 2  # within INCIDENT_WINDOW rounds; one more ends the run
INCIDENT_WINDOW = 1000
DIRECTIONS = ("._u", "._v")  # buffers of torch's spectral norm: a mean of directions is none


class Stream(Protocol):
    """An endless supply of batches with a position that can be saved."""

    def draw(self, noise: Noise) -> Batch:
        """The next batch (this process's share of it)."""
        ...

    def configure(self, **overrides: Any) -> None:
        """Apply a phase's loader overrides; called with none it returns to the run's own settings."""
        ...

    def state(self) -> dict[str, Any]:
        """Plain values that `restore` continues from."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        ...


@dataclass
class Report:
    """What the Engine says every `check_every` rounds.

    terms: mean of each term since the last report, as `player/term`; series: its value at every move. norms: gradient
    norm of each player's last move. incident: what was not finite and what was done about it, or None.
    """

    round: int
    samples: int
    phase: str
    terms: dict[str, float] = field(default_factory=dict)
    series: dict[str, list[float]] = field(default_factory=dict)
    norms: dict[str, float] = field(default_factory=dict)
    incident: str | None = None


class Diverged(RunError):
    """NaN or infinity came back too often."""


class _Seat:
    """A player at the table: its parameters, optimiser and scaler."""

    def __init__(self, player: Player, parameters: list[tuple[str, nn.Parameter]], scaler: Any) -> None:
        self.player = player
        self.names = [name for name, _ in parameters]
        self.owned = [parameter for _, parameter in parameters]
        self.optimiser = player.optimiser(parameters)
        self.scaler = scaler
        for group in self.optimiser.param_groups:
            group.setdefault("initial_lr", group["lr"])


class Engine:
    """Plays a System on its streams.

    system: on its device already. streams: by name; `data` is the real one. precision: `32`, `bf16-mixed`, `16-mixed`
    or `64`. micro_batches: pieces into which each batch is cut to save memory. check_every: rounds between two looks at
    the finite-flags (the only device synchronisation). channels_last: memory layout of 4-D and 5-D tensors. compile_networks:
    hand every owned network to `torch.compile`. recompute: have them forget their activations (`recomputing`). seed: of the
    game's own noise.
    Raises GanvasError for a setting that cannot be served, ValueError for a System that breaks the contract.
    """

    def __init__(
        self,
        system: System,
        streams: Mapping[str, Stream],
        *,
        processes: Processes | None = None,
        precision: str = "32",
        micro_batches: int = 1,
        check_every: int = 32,
        channels_last: bool = False,
        compile_networks: bool = False,
        recompute: bool = False,
        seed: int = 0,
    ) -> None:
        if precision not in PRECISIONS:
            raise GanvasError(f"unknown precision '{precision}': use one of {', '.join(PRECISIONS)}")
        if recompute and compile_networks:
            raise GanvasError(
                "--compile and --recompute-activations: a compiled network has its own plan of what it keeps: leave one out"
            )
        self.system = system
        self.streams = dict(streams)
        self.makers = dict(system.sources())  # streams that the System makes itself: nothing of them to save
        self.processes = processes or Processes(torch.device("cpu"))
        self.precision = precision
        self.micro_batches = micro_batches
        self.check_every = check_every
        device = self.processes.device
        self.dtype = torch.float64 if precision == "64" else torch.float32
        self.channels_last = channels_last
        if channels_last:
            lay_out(system, channels_last)
        system.to(self.dtype)
        generator = torch.Generator(device=device).manual_seed(seed)
        self.noise = Noise(generator, self.processes.rank, self.processes.world, self.dtype)
        self.seats = {player.name: self._seat(player) for player in system.players()}
        self.phases = system.phases()
        self.averages = system.averages()
        self._check_contract()
        self.agreement = Agreement(self.processes, dict(system.named_buffers()), system.reductions())
        self._averaged = [(a, *self._pairs(a.source, a.target)) for a in self.averages]
        for name in {network for seat in self.seats.values() for network in seat.player.networks}:
            if recompute:
                forget_activations(system.get_submodule(name))
            if compile_networks:
                system.get_submodule(name).compile()
        self.clock = Clock(phase=self.phases[0].name)
        self.progress = 0.0  # share of the budget, written by whoever keeps the budget
        self.over = False
        self.incidents: list[tuple[int, str]] = []
        self.played = 0  # rounds played, including those a roll-back took back
        self._phase = 0
        self._ledger: list[tuple[str, Terms]] = []  # since the last look: who, and which terms
        self._norms: dict[str, Tensor] = {}
        self._memory: dict[str, Any] | None = None
        self.system.train()
        self.streams["data"].configure(**self.phases[0].loader)

    # Setting up

    def _seat(self, player: Player) -> _Seat:
        prefixes = tuple(f"{network}." for network in player.networks)
        for network in player.networks:
            if network not in dict(self.system.named_modules()) and network not in dict(self.system.named_parameters()):
                raise ValueError(f"player '{player.name}' owns '{network}', which the system does not have")
        parameters = [
            (name, parameter)
            for name, parameter in self.system.named_parameters()
            if parameter.requires_grad and (name.startswith(prefixes) or name in player.networks)
        ]
        # From 2**10: torch's 2**16 overflows in the first moves, which are skipped then, of one player more than of the other.
        scaler = torch.amp.GradScaler(self.processes.device.type, 2.0**10) if self.precision == "16-mixed" else None
        return _Seat(player, parameters, scaler)

    def _check_contract(self) -> None:
        if not self.phases:
            raise ValueError(f"{type(self.system).__name__} declares no phases")
        for phase in self.phases:
            for turn in phase.turns:
                if turn.player not in self.seats:
                    raise ValueError(f"phase '{phase.name}' gives a turn to '{turn.player}', who is no player")
                if turn.source not in {*self.streams, *self.makers}:
                    raise ValueError(f"turn '{turn.name}' draws from '{turn.source}', which is no stream")

    def _pairs(self, source: str, target: str) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        ours, theirs = self.system.get_submodule(source), self.system.get_submodule(target)
        own = dict(ours.named_parameters()) | dict(ours.named_buffers())
        average = dict(theirs.named_parameters()) | dict(theirs.named_buffers())
        moving = [name for name in average if average[name].is_floating_point() and not name.endswith(DIRECTIONS)]
        fixed = [name for name in average if name not in moving]
        for parameter in theirs.parameters():
            parameter.requires_grad_(False)
        return ([own[n] for n in moving], [average[n] for n in moving], [own[n] for n in fixed], [average[n] for n in fixed])

    # Playing

    def play_round(self) -> Report | None:
        """One round of the current phase. Returns a Report every `check_every` rounds, else None."""
        phase = self.phases[self._phase]
        before = self.clock.samples
        table: dict[str, tuple[list[Batch], list[Shared]]] = {}
        if self._memory is None:
            self._remember()
        for turn in phase.turns:
            if self.clock.phase_round % turn.every:
                continue
            # A function may read buffers that differ between processes; what is played must not.
            times = self.processes.agree(turn.times(self.clock)) if callable(turn.times) else turn.times
            for _ in range(times):
                if turn.fresh or turn.source not in table:
                    table[turn.source] = self._deal(turn.source)
                self._play(turn, *table[turn.source])
        self._follow(self.clock.samples - before)
        self.played += 1
        self.clock = replace(
            self.clock, round=self.clock.round + 1, phase_round=self.clock.phase_round + 1, progress=self.progress
        )
        report = None
        if self.clock.round % self.check_every == 0:
            self.agreement.reach()
            report = self.settle()
        return self._turn_page(phase) or report

    def _deal(self, source: str) -> tuple[list[Batch], list[Shared]]:
        make = self.makers.get(source)
        batch = self.streams[source].draw(self.noise) if make is None else make(self.clock, self.noise)
        batch = batch.to(self.dtype, self.channels_last)
        if source == "data":
            count = len(batch) * self.processes.world
            clock = self.clock
            self.clock = replace(clock, samples=clock.samples + count, phase_samples=clock.phase_samples + count)
        pieces = batch.split(self.micro_batches)
        return pieces, [{} for _ in pieces]

    def _play(self, turn: Turn, pieces: list[Batch], shared: list[Shared]) -> None:
        seat = self.seats[turn.player]
        scaler, optimiser, player = seat.scaler, seat.optimiser, seat.player
        if player.rate is not constant_rate:
            rate = player.rate(self.clock)
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * rate
        for piece, scraps in zip(pieces, shared, strict=True):
            with self.processes.autocast(self.precision):
                terms = turn.objective(piece, self.clock, scraps)
                total = functools.reduce(operator.add, terms.values())
            if len(pieces) > 1:
                total = total / len(pieces)
            if scaler is not None:
                total = scaler.scale(total)
            # Only the owner's parameters receive gradients; weight gradients that nobody uses are not even computed.
            total.backward(inputs=seat.owned)
            # Detached: parts of the graph that this backward did not visit would keep their activations alive.
            self._ledger.append((turn.player, {name: term.detach() for name, term in terms.items()}))
        if self.processes.world > 1:
            self.processes.average_([p.grad for p in seat.owned if p.grad is not None])
        if scaler is not None:
            scaler.unscale_(optimiser)
        looked_at = (self.clock.round + 1) % self.check_every == 0
        if looked_at or player.clip is not None:
            gradients = [p.grad for p in seat.owned if p.grad is not None]
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            if player.clip is not None:
                torch._foreach_mul_(gradients, (player.clip / (norm + 1e-6)).clamp(max=1.0))
            self._norms[turn.player] = norm
        if scaler is not None:  # an overflow of float16 is the scaler's business: it skips the step and scales down
            scaler.step(optimiser)
            scaler.update()
        else:
            optimiser.step()
        for parameter in seat.owned:
            parameter.grad = None
        if player.after_step is not None:
            with torch.no_grad():
                player.after_step()

    @torch.no_grad()
    def _follow(self, samples: int) -> None:
        """Move the averages: after `half_life` samples half of what they were is left."""
        for average, source, target, exact_source, exact_target in self._averaged:
            half_life = average.half_life(self.clock) if callable(average.half_life) else average.half_life
            half_life = min(half_life, average.ramp * self.clock.samples)
            weight = 1.0 - 0.5 ** (samples / half_life) if half_life > 0 else 1.0
            torch._foreach_lerp_(target, source, weight)
            if exact_target:
                torch._foreach_copy_(exact_target, exact_source)

    def _turn_page(self, phase: Phase) -> Report | None:
        """Go to the next phase when this one is over; the game is over after the last."""
        if phase is not self.phases[self._phase]:
            return None
        looked = None if phase.enough is None else phase.enough(self.clock)
        enough = looked is not None and self.processes.any(looked)  # they agree where they have looked, not in every round
        if not (enough or phase.finished(self.clock)):
            return None
        if self._phase + 1 == len(self.phases):
            self.over = True
            return None
        self._phase += 1
        upcoming = self.phases[self._phase]
        self.clock = replace(self.clock, phase=upcoming.name, phase_round=0, phase_samples=0)
        self.streams["data"].configure(**upcoming.loader)
        return self.settle()  # the memory for roll-backs now lies within the new phase

    # Watching for NaN

    def settle(self) -> Report:
        """Read the finite-flags now: report, and roll back to the last good state when something was not finite.

        Changes nothing else, so it may be called at any time. Raises Diverged on the third incident within 1000 rounds.
        """
        report, culprit = self._read_ledger()
        culprit = culprit or self._sick_weights()
        if self.processes.any(culprit is not None):
            report.incident = self._roll_back(culprit or "a term on another process")
            report.terms, report.series = {}, {}
        else:
            self._remember()
        return report

    def _read_ledger(self) -> tuple[Report, str | None]:
        report = Report(self.clock.round, self.clock.samples, self.clock.phase)
        ledger, self._ledger = self._ledger, []
        norms, self._norms = self._norms, {}
        if not ledger:
            return report, None
        names = [(player, name) for player, terms in ledger for name in terms]
        flat = [value.reshape(()).float() for _, terms in ledger for value in terms.values()]
        numbers = torch.stack(flat + [n.float() for n in norms.values()]).tolist()  # the one synchronisation
        sums: dict[str, list[float]] = {}
        culprit: str | None = None
        for (player, name), number in zip(names, numbers[: len(names)], strict=True):
            sums.setdefault(f"{player}/{name}", []).append(number)
            if culprit is None and not math.isfinite(number) and self.precision != "16-mixed":
                culprit = f"term '{name}' of {player}"
        report.terms, report.series = {name: sum(values) / len(values) for name, values in sums.items()}, sums
        report.norms = dict(zip(norms, numbers[len(names) :], strict=True))
        return report, culprit

    def _sick_weights(self) -> str | None:
        """Whose weights are not finite. An infinite gradient ends up there with every optimiser, so none goes unseen."""
        tensors = {n: t.detach() for n, t in self.system.state_dict().items() if t.is_floating_point() and t.numel()}
        if not tensors:
            return None
        peaks = torch.stack([n.float() for n in torch._foreach_norm(list(tensors.values()), math.inf)])
        if bool(torch.isfinite(peaks).all().item()):
            return None
        sick = {name for name, peak in zip(tensors, peaks.tolist(), strict=True) if not math.isfinite(peak)}
        for player, seat in self.seats.items():
            found = next((name for name in seat.names if name in sick), None)
            if found is not None:
                return f"a gradient of {player} (it reached '{found}')"
        return f"'{sorted(sick)[0]}'"

    def _live(self) -> dict[str, Tensor]:
        tensors = {f"system/{name}": t.detach() for name, t in self.system.state_dict().items()}
        tensors |= {f"agreed/{name}": t for name, t in self.agreement.state()["base"].items()}
        for name, seat in self.seats.items():
            for parameter_name, parameter in zip(seat.names, seat.owned, strict=True):
                for key, value in seat.optimiser.state.get(parameter, {}).items():
                    if isinstance(value, Tensor):
                        tensors[f"{name}/{parameter_name}/{key}"] = value
        return tensors

    @torch.no_grad()
    def _remember(self) -> None:
        live = self._live()
        memory = self._memory
        if memory is not None and memory["tensors"].keys() == live.keys():
            torch._foreach_copy_(list(memory["tensors"].values()), list(live.values()))
        else:
            memory = {"tensors": {name: tensor.clone() for name, tensor in live.items()}}
        memory["clock"] = self.clock
        memory["phase"] = self._phase
        memory["scalers"] = {n: s.scaler.state_dict() for n, s in self.seats.items() if s.scaler is not None}
        self._memory = memory

    @torch.no_grad()
    def _roll_back(self, culprit: str) -> str:
        memory = self._memory
        assert memory is not None  # settle() is only reached after a round, and each round starts with a memory
        here = self.clock.round
        text = f"{culprit} was not finite by round {here}: went back to round {memory['clock'].round}, new data"
        self.incidents = [x for x in self.incidents if self.played - x[0] < INCIDENT_WINDOW]
        self.incidents.append((self.played, text))
        live = self._live()
        for name, tensor in live.items():
            if name in memory["tensors"]:
                tensor.copy_(memory["tensors"][name])
        for name, seat in self.seats.items():
            for parameter_name, parameter in zip(seat.names, seat.owned, strict=True):
                state = seat.optimiser.state.get(parameter, {})
                if any(f"{name}/{parameter_name}/{key}" not in memory["tensors"] for key in state):
                    seat.optimiser.state.pop(parameter)  # there was no state yet when the memory was taken
            if seat.scaler is not None:
                seat.scaler.load_state_dict(memory["scalers"][name])
        if memory["phase"] != self._phase:
            self._phase = memory["phase"]
            self.streams["data"].configure(**self.phases[self._phase].loader)
        self.clock = memory["clock"]
        self.over = False
        if len(self.incidents) > INCIDENTS_ALLOWED:
            raise Diverged(
                f"training keeps diverging ({len(self.incidents)} times in {INCIDENT_WINDOW} rounds, last: {culprit}); "
                "everything saved is kept. Try a lower learning rate, --precision 32, or gradient clipping"
            )
        return text

    # Looking without touching

    @contextlib.contextmanager
    def watching(self) -> Iterator[System]:
        """The system in evaluation mode, without gradients; modes and random numbers are as before afterwards."""
        modes = {module: module.training for module in self.system.modules()}
        devices = [self.processes.device] if self.processes.device.type == "cuda" else []
        self.system.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=devices):
                yield self.system
        finally:
            for module, training in modes.items():
                module.training = training

    # State

    def state(self) -> dict[str, Any]:
        """Everything but the weights, as plain values and tensors: continue from it and from `system.state_dict()`.

        Call after `settle()`. With several processes every one must call it.
        """
        device = self.processes.device
        own = {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            **self.agreement.state(),
        }
        players = {}
        for name, seat in self.seats.items():
            saved = {
                parameter_name: dict(seat.optimiser.state[parameter])
                for parameter_name, parameter in zip(seat.names, seat.owned, strict=True)
                if parameter in seat.optimiser.state
            }
            scaler = seat.scaler.state_dict() if seat.scaler is not None else None
            players[name] = {"optimiser": saved, "scaler": scaler}
        return {
            "clock": {**self.clock.__dict__},
            "phase": self._phase,
            "over": self.over,
            "played": self.played,
            "incidents": [list(x) for x in self.incidents],
            "players": players,
            "streams": {name: s.state() for name, s in self.streams.items()},
            "noise": self.noise.generator.get_state(),
            "ranks": self.processes.gather(own),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`; the weights are loaded by the caller.

        Raises GanvasError when players, parameters or the number of processes differ from those that saved it.
        """
        if len(state["ranks"]) != self.processes.world:
            raise GanvasError(f"this run was saved by {len(state['ranks'])} process(es): resume with as many")
        if state["players"].keys() != self.seats.keys():
            raise GanvasError(f"this run was saved with the players {', '.join(state['players'])}; its code has changed")
        for name, seat in self.seats.items():
            saved = state["players"][name]
            by_name = dict(zip(seat.names, seat.owned, strict=True))
            for parameter_name, values in saved["optimiser"].items():
                if parameter_name not in by_name:
                    raise GanvasError(f"the saved optimiser of {name} knows '{parameter_name}', which the system lacks")
                seat.optimiser.state[by_name[parameter_name]] = _beside(values, by_name[parameter_name], seat.optimiser)
            if seat.scaler is not None and saved["scaler"] is not None:
                seat.scaler.load_state_dict(saved["scaler"])
        self._phase = state["phase"]
        self.clock = Clock(**state["clock"])
        self.over, self.played = state["over"], state["played"]
        self.incidents = [(int(r), str(t)) for r, t in state["incidents"]]
        self.streams["data"].configure(**self.phases[self._phase].loader)
        for name, position in state["streams"].items():
            self.streams[name].restore(position)
        self.noise.generator.set_state(state["noise"])
        own = state["ranks"][self.processes.rank]
        self.agreement.restore(own)
        torch.set_rng_state(own["torch"])
        if own["cuda"] is not None and self.processes.device.type == "cuda":
            torch.cuda.set_rng_state(own["cuda"], self.processes.device)
        self._ledger.clear()
        self._norms.clear()
        self._memory = None
        self._remember()


def _beside(values: Mapping[str, Any], parameter: nn.Parameter, optimiser: Any) -> dict[str, Any]:
    """A copy of an optimiser's state on its parameter's device; a count of steps stays where the optimiser wants it."""
    group = next(g for g in optimiser.param_groups if any(p is parameter for p in g["params"]))
    counted_there = bool(group.get("fused") or group.get("capturable"))
    return {
        key: value.to(parameter.device, copy=True)
        if isinstance(value, Tensor) and (key != "step" or counted_there)
        else copy.deepcopy(value)
        for key, value in values.items()
    }
