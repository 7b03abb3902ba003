"""Private gradients: the turn that sees real records moves by clipped and noised gradients of single records (DP-SGD).

Abadi et al. 2016, "Deep Learning with Differential Privacy" (arXiv 1607.00133), algorithm 1, for a game as in Xie et al. 2018
(arXiv 1802.06739): only D sees real records, so only its turn is made private, and what G becomes follows from it. Of D's terms
those that hang on real records are taken record by record, clipped and noised; those of fakes alone, which hang on no record,
take no noise. With S the sample, C the clip, B the batch size, sigma the noise and f the gradient of the other terms:

    g = ( sum over S of  g_i min(1, C / |g_i|)  +  sigma C N(0, 1) ) / B  +  f min(1, C / |f|)

The last clip costs no privacy and is there for the game: where real records may push by C at most and fakes by any force, D
soon takes everything for fake.

`seat` puts this in the place of an objective; the Engine plays on as ever. Not for what it costs in privacy (`run.privacy`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from ..batches import Batch, Noise
from ..errors import GanvasError
from ..game import Clock, Objective, Phase, Shared, System, Terms

CHUNK_BYTES, CHUNK_MOST = 128 * 2**20, 64  # of the gradients that are held at once; records taken at once
TERM = "private"  # what the logs say in the place of the terms of real records: their values would be no secret
TRIED = 4  # random records that a game is tried on

Blank = Callable[[int, Noise, Any], Batch]
"""(count, noise, generator of random values or None) -> records that are nobody's."""


class Persons(Protocol):
    """Where the real records and the noise of a step come from (`data.poisson.PoissonStream`)."""

    batch_size: int

    def sample(self, noise: Noise) -> Batch:
        """The real records of the next step."""
        ...

    def shade(self, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Standard normal numbers of these shapes, for that step."""
        ...


@dataclass(frozen=True)
class Seen:
    """What of a game sees real records. turn: name of the objective. terms: those of its terms that hang on them. networks:
    that move by it. times: moves a round, the most of any phase, or None where it depends."""

    turn: str
    terms: tuple[str, ...]
    networks: tuple[str, ...]
    times: float | None


class _Called(nn.Module):
    """An objective as a module, so that parameters can be put in the place of its system's."""

    def __init__(self, system: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.system = system
        self.objective = objective

    def forward(self, batch: Batch, clock: Clock) -> Terms:
        """Its terms, on a batch that shares with nobody."""
        return self.objective(batch, clock, {})


class _OneHot(TorchFunctionMode):
    """Codes of classes without a look at the values, which records that are taken one by one do not allow."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = {**dict(zip(("tensor", "num_classes"), args, strict=False)), **(kwargs or {})}
        if func is torch.nn.functional.one_hot and known.get("num_classes", -1) > 0:
            labels = known["tensor"]
            return (labels.unsqueeze(-1) == torch.arange(known["num_classes"], device=labels.device)).long()
        return func(*args, **(kwargs or {}))


class PrivateObjective:
    """Stands in the place of the objective that sees real records.

    The batch that it is called with is blank. Its terms are those of the objective that hang on no real record, as numbers, and
    `private`, whose value is 0 and whose gradient is the whole: of those terms, clipped, and of the others, clipped and noised.
    clip: bound C on the norm of a record's gradient. noise: sigma, the deviation of the noise in units of C.
    """

    def __init__(
        self, system: System, objective: Objective, seen: Seen, persons: Persons, *, clip: float, noise: float
    ) -> None:  # fmt: skip
        self.__name__ = seen.turn
        self.system, self.objective, self.seen, self.persons, self.clip, self.noise = (
            system, objective, seen, persons, clip, noise,
        )  # fmt: skip

    def __call__(self, batch: Batch, clock: Clock, shared: Shared) -> Terms:
        terms = self.objective(batch, clock, shared)
        free = {name: term for name, term in terms.items() if name not in self.seen.terms}
        owned = owned_by(self.system, self.seen.networks)
        moved = self.gradient(batch, clock)
        for name, value in self.of_fakes(free, owned).items():
            moved[name] += value
        total = torch.stack([(owned[name] * moved[name]).sum() for name in owned]).sum()
        return {TERM: total - total.detach(), **{name: term.detach() for name, term in free.items()}}

    def of_fakes(self, free: Terms, owned: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
        """The gradient of terms that hang on no real record, by parameter, of norm `clip` at most."""
        hanging = [term for term in free.values() if term.requires_grad]
        if not hanging:
            return {}
        found = torch.autograd.grad(torch.stack(hanging).sum(), list(owned.values()), allow_unused=True)
        moved = {name: value for name, value in zip(owned, found, strict=True) if value is not None}
        norm = torch.stack([value.norm() for value in moved.values()]).norm()
        return {name: value * (self.clip / (norm + 1e-12)).clamp(max=1.0) for name, value in moved.items()}

    def gradient(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """The private gradient of the next step, by parameter; takes a sample. batch: for its noise and the form of fields."""
        real = like(self.persons.sample(batch.noise), batch)
        found = self.clipped(real, clock)
        for name, noise in self.persons.shade(found).items():
            found[name].add_(noise, alpha=self.noise * self.clip).div_(self.persons.batch_size)
        return found

    def clipped(self, real: Batch, clock: Clock) -> dict[str, Tensor]:
        """The sum of the records' gradients, each of norm `clip` at most, by parameter. One that is not finite is none."""
        owned = {name: parameter.detach() for name, parameter in owned_by(self.system, self.seen.networks).items()}
        total = {name: torch.zeros_like(parameter) for name, parameter in owned.items()}
        size = sum(parameter.numel() * parameter.element_size() for parameter in owned.values())
        step = min(CHUNK_MOST, max(1, CHUNK_BYTES // size))
        for first in range(0, len(real), step):
            of = slice(first, first + step)
            piece = Batch(real.noise, {name: value[of] for name, value in real.fields.items()})
            piece.labels = None if real.labels is None else real.labels[of]
            each = record_gradients(self.system, self.objective, self.seen, piece, clock, owned)
            norms = torch.stack([value.flatten(1).norm(dim=1) for value in each.values()]).norm(dim=0)
            factors = torch.where(norms.isfinite(), (self.clip / norms.clamp(min=1e-12)).clamp(max=1.0), 0.0)
            for name, value in each.items():
                total[name] += torch.einsum("n,n...->...", factors, torch.nan_to_num(value))
        return total


def record_gradients(
    system: System, objective: Objective, seen: Seen, batch: Batch, clock: Clock, owned: Mapping[str, Tensor]
) -> dict[str, Tensor]:  # fmt: skip
    """The gradient of each record's terms with respect to `owned`, (B, ...) by parameter.

    Each record is a batch of its own: what is not on turn (G, with its BatchNorm) stands in evaluation mode, and what
    buffers would become is dropped.
    """
    called = _Called(system, objective)
    buffers = {f"system.{name}": value for name, value in system.named_buffers()}

    def loss(parameters: dict[str, Tensor], fields: dict[str, Tensor], labels: Tensor | None) -> Tensor:
        one = Batch(
            batch.noise, {name: value[None] for name, value in fields.items()}, None if labels is None else labels[None]
        )
        own = {f"system.{name}": value for name, value in parameters.items()} | {n: b.clone() for n, b in buffers.items()}
        terms = functional_call(called, own, (one, clock))
        return torch.stack([terms[name] for name in seen.terms]).sum()

    with torch.no_grad(), _others_at_rest(system, seen.networks), _OneHot():
        labels = batch.labels
        dims = (None, 0, None if labels is None else 0)
        found: dict[str, Tensor] = vmap(grad(loss), in_dims=dims, randomness="different")(dict(owned), batch.fields, labels)
    return found


def owned_by(system: nn.Module, networks: tuple[str, ...]) -> dict[str, nn.Parameter]:
    """The parameters of these networks that learn, by name."""
    within = tuple(f"{network}." for network in networks)
    return {n: p for n, p in system.named_parameters() if p.requires_grad and (n.startswith(within) or n in networks)}


def like(batch: Batch, other: Batch) -> Batch:
    """The records in the number format and memory layout of another batch's."""
    fields = {}
    for name, value in batch.fields.items():
        known = other.fields[name]
        fields[name] = value.to(known.dtype) if value.is_floating_point() else value
    return replace(batch, fields=fields)


@contextlib.contextmanager
def _others_at_rest(system: nn.Module, networks: tuple[str, ...]) -> Iterator[None]:
    own = {module for name in networks for module in _modules(system, name)}
    modes = {module: module.training for module in system.modules() if module not in own}
    for module in modes:
        module.training = False
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _modules(system: nn.Module, name: str) -> list[nn.Module]:
    found = dict(system.named_modules()).get(name)
    return [] if found is None else list(found.modules())


def seat(engine: Any, persons: Any, *, clip: float, noise: float) -> Seen:
    """Make an Engine's game private: the turn that sees real records gets private gradients, all others blank records.

    persons: its stream `data`. Raises GanvasError for a game that may not be (see `seen_in`).
    """
    seen = seen_in(engine.system, engine.phases, persons.blank, engine.makers)

    def changed(phase: Phase) -> Phase:
        turns = (
            replace(t, objective=PrivateObjective(engine.system, t.objective, seen, persons, clip=clip, noise=noise))
            if t.name == seen.turn
            else t
            for t in phase.turns
        )
        return replace(phase, turns=tuple(turns))

    engine.phases = tuple(changed(phase) for phase in engine.phases)
    return seen


# Which games may


class _Steady(Noise):
    """Random numbers that are the same for each record of a batch, so that what a record's term is can hang on others alone."""

    def __init__(self, noise: Noise) -> None:
        super().__init__(noise.generator, dtype=noise.dtype)

    def normal(self, count: int, *shape: int) -> Tensor:
        """(count, *shape) standard normal numbers, each row the same."""
        return super().normal(1, *shape).expand(count, *shape)

    def uniform(self, count: int, *shape: int) -> Tensor:
        """(count, *shape) numbers in [0, 1), each row the same."""
        return super().uniform(1, *shape).expand(count, *shape)

    def integers(self, high: int, count: int, *shape: int) -> Tensor:
        """(count, *shape) integers in 0 .. high - 1, each row the same."""
        return super().integers(high, 1, *shape).expand(count, *shape)


class _Differentiates(TorchFunctionMode):
    """Notes whether anything is differentiated within an objective, as gradient penalties do."""

    found = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found |= func is torch.autograd.grad
        return func(*args, **(kwargs or {}))


def seen_in(system: System, phases: tuple[Phase, ...], blank: Blank, makers: Mapping[str, Any]) -> Seen:
    """What of a game sees real records, found by playing its turns on random ones. Nothing of the system is changed.

    Raises GanvasError, in one line, for a game that cannot be made private: none or several of its turns see real records, the
    network that does has BatchNorm, a gradient penalty, or a loss that hangs on several records at once.
    """
    device, dtype = _form(system)
    found: dict[str, tuple[Any, set[str]]] = {}
    for phase in phases:
        if phase.loader:
            raise GanvasError(f"--privacy: phase '{phase.name}' of this system has batches of its own, which is not supported")
        for turn, terms in _hanging(system, phase, blank, makers, device, dtype):
            known = found.setdefault(turn.name, (turn, set()))
            known[1].update(terms)
    seeing = {name: (turn, terms) for name, (turn, terms) in found.items() if terms}
    if len(seeing) != 1:
        told = f"{' and '.join(seeing)} do" if seeing else "none does"
        raise GanvasError(
            f"--privacy needs a game of which one turn alone sees real records, and here {told}: take another system or preset"
        )
    name, (turn, terms) = next(iter(seeing.items()))
    networks = next(player.networks for player in system.players() if player.name == turn.player)
    seen = Seen(name, tuple(sorted(terms)), networks, _times(phases, name))
    _refuse_norms(system, seen)
    _refuse_coupling(system, turn, phases[0].name, seen, blank, device, dtype)
    return seen


def _form(system: nn.Module) -> tuple[torch.device, torch.dtype]:
    first = next(system.parameters())
    return first.device, first.dtype


def _times(phases: tuple[Phase, ...], name: str) -> float | None:
    most = 0.0
    for phase in phases:
        turns = [turn for turn in phase.turns if turn.name == name]
        if any(callable(turn.times) for turn in turns):
            return None
        most = max(most, sum(turn.times / turn.every for turn in turns if not callable(turn.times)))
    return most


@contextlib.contextmanager
def _untouched(system: nn.Module) -> Iterator[None]:
    """Buffers, modes and random numbers are afterwards as before."""
    kept = {name: value.clone() for name, value in system.named_buffers()}
    modes = {module: module.training for module in system.modules()}
    device, _ = _form(system)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        try:
            yield
        finally:
            for name, value in system.named_buffers():
                value.data.copy_(kept[name])
            for module, training in modes.items():
                module.training = training


def _hanging(
    system: System, phase: Phase, blank: Blank, makers: Mapping[str, Any], device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[Any, set[str]]]:
    """Each turn of a phase, with the names of its terms that hang on the values of records."""
    import numpy as np

    rounds, buffers, clock = [], [], Clock(phase=phase.name)
    for seed in (1, 2):
        with _untouched(system):
            system.train()
            told: list[Terms] = []
            tables: dict[str, tuple[Batch, Shared]] = {}
            for turn in phase.turns:
                noise = Noise.seeded(0, device, dtype)
                if turn.source not in tables:
                    make = makers.get(turn.source)
                    batch = blank(TRIED, noise, np.random.default_rng(seed)) if make is None else make(clock, noise)
                    tables[turn.source] = batch.to(dtype, False), {}
                batch, shared = tables[turn.source]
                with _Differentiates() as penalty:
                    terms = turn.objective(replace(batch, noise=noise), clock, shared)
                told.append(
                    {name: term.detach() for name, term in terms.items()} | ({"": torch.ones(())} if penalty.found else {})
                )
            rounds.append(told)
            buffers.append({name: value.clone() for name, value in system.named_buffers()})
    for name, value in buffers[0].items():
        if not torch.equal(torch.nan_to_num(value), torch.nan_to_num(buffers[1][name])) and not _of_norm(system, name):
            raise GanvasError(
                f"--privacy: this game keeps something of real records beside its gradients, in '{name}': turn it off"
            )
    for turn, first, second in zip(phase.turns, *rounds, strict=True):
        hang = {name for name in first if not torch.equal(torch.nan_to_num(first[name]), torch.nan_to_num(second[name]))}
        if hang and "" in first:
            raise GanvasError(
                f"--privacy: '{turn.name}' sees real records and has a gradient penalty, which cannot be clipped record by "
                "record here: take a system without one"
            )
        yield turn, hang


def _of_norm(system: nn.Module, name: str) -> bool:
    return isinstance(system.get_submodule(name.rpartition(".")[0]), _BatchNorm)


def _refuse_norms(system: nn.Module, seen: Seen) -> None:
    for network in seen.networks:
        for module in _modules(system, network):
            if isinstance(module, _BatchNorm):
                setting = f"{network}_batch_norm"
                off = f"use  --set {setting}=false" if hasattr(getattr(system, "config", None), setting) else "take another"
                raise GanvasError(f"--privacy: the {network} has BatchNorm, by which records mix: {off}")


def _refuse_coupling(
    system: System, turn: Any, phase: str, seen: Seen, blank: Blank, device: torch.device, dtype: torch.dtype
) -> None:
    """The term of a batch has to be the mean of its records' terms, and to be differentiable record by record."""
    import numpy as np

    clock = Clock(phase=phase)
    with _untouched(system):
        batch = blank(TRIED, Noise.seeded(0, device, dtype), np.random.default_rng(3)).to(dtype, False)
        system.eval()

        def value(pick: slice) -> float:
            fields = {name: field[pick] for name, field in batch.fields.items()}
            labels = None if batch.labels is None else batch.labels[pick]
            terms = turn.objective(Batch(_Steady(Noise.seeded(0, device, dtype)), fields, labels), clock, {})
            return math.fsum(float(terms[name].detach()) for name in seen.terms)

        whole, parts = value(slice(None)), [value(slice(k, k + 1)) for k in range(TRIED)]
        if not math.isclose(whole, sum(parts) / TRIED, rel_tol=1e-3, abs_tol=1e-4):
            raise GanvasError(
                f"--privacy: the loss of '{turn.name}' hangs on several records at once ({whole:.4g} for {TRIED} together, "
                f"{sum(parts) / TRIED:.4g} for each alone): take a system whose loss is a mean over records"
            )
    with _untouched(system):
        system.train()
        owned = {name: parameter.detach() for name, parameter in owned_by(system, seen.networks).items()}
        try:
            record_gradients(system, turn.objective, seen, batch, clock, owned)
        except (RuntimeError, NotImplementedError, ValueError) as error:
            told = " ".join(str(error).split())
            raise GanvasError(f"--privacy: '{turn.name}' cannot be taken record by record here ({told:.120})") from error
