"""The contract: what a GAN is, in five nouns. A GAN is a game.

`Player` (who moves), `Turn` (what move), `Phase` (when), `Clock` (how far), `System` (the board: every network, the
players, the phases, one short method per objective). The `Engine` plays it and is the only one that writes gradients of
parameters or steps them. This file holds no mechanism, no logging, no paths, and imports nothing of ganvas.

    class MySystem(System):
        def critic_loss(self, batch, clock, shared): ...  # -> {"hinge": scalar, "penalty": scalar}; their sum is the loss
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer

Terms = dict[str, Tensor]
"""Weighted scalar terms by name. The loss is their sum; the names are the names in the logs."""

Shared = dict[str, Any]
"""What turns on the same batch hand to each other (the fake batch, features of the real one). Lives as long as the batch."""

Objective = Callable[[Any, "Clock", Shared], Terms]


@dataclass(frozen=True)
class Clock:
    """How far the game is, at the moment of a turn.

    round: finished rounds of the whole game. samples: records drawn from the stream `data` so far, over all processes
    (counting the batch on the table), so that schedules mean the same at every batch size. phase, phase_round,
    phase_samples: the same within the phase. progress: share of the budget used, 0 to 1; 0 when the budget is open.
    """

    round: int = 0
    samples: int = 0
    phase: str = ""
    phase_round: int = 0
    phase_samples: int = 0
    progress: float = 0.0


def constant_rate(clock: Clock) -> float:
    """The factor 1 on the learning rates, at any time."""
    return 1.0


@dataclass(frozen=True)
class Player:
    """Who moves.

    networks: dotted names of the System's sub-modules whose parameters this player owns. Players may overlap (InfoGAN):
    each keeps its own optimiser state, keyed by player and parameter name.
    optimiser: builds the optimiser from a list of (name, parameter) pairs.
    rate: factor on the optimiser's learning rates at a given clock. clip: upper bound on the norm of the owned gradients.
    after_step: a projection of the weights after each step (WGAN's weight clipping); runs without gradients.
    """

    name: str
    networks: tuple[str, ...]
    optimiser: Callable[[list[tuple[str, nn.Parameter]]], Optimizer]
    rate: Callable[[Clock], float] = constant_rate
    clip: float | None = None
    after_step: Callable[[], None] | None = None


@dataclass(frozen=True)
class Turn:
    """What move: `player` lowers `objective`.

    times: repetitions in a row; a number, or a function of the clock (and, as a bound method, of the System's buffers);
    0 skips the turn. every: play only in rounds whose number within the phase is a multiple of this (lazy penalties).
    fresh: draw a new batch for each repetition; otherwise the turn plays on the batch already on the table, together with
    what earlier turns left in `shared`. source: the named stream that feeds it.
    """

    player: str
    objective: Objective
    times: int | Callable[[Clock], int] = 1
    every: int = 1
    fresh: bool = False
    source: str = "data"

    @property
    def name(self) -> str:
        """The objective's method name; prefixes its terms in the logs."""
        return str(getattr(self.objective, "__name__", "objective"))


@dataclass(frozen=True)
class Phase:
    """When: one round is `turns` in order, repeated for `rounds`, `samples` or until `until(clock)` says so.

    The last phase may leave all three open: the budget ends it. enough: the same of what the networks have learnt; it is asked
    while playing alone, not by forecasts, and one process that says so ends the phase for all; None by the clock, the same in
    all of them, where it does not look. loader: overrides for the
    stream `data` while the phase lasts (`batch_size`, `size`), as progressive growing needs.
    """

    name: str
    turns: tuple[Turn, ...]
    rounds: int | None = None
    samples: int | None = None
    until: Callable[[Clock], bool] | None = None
    enough: Callable[[Clock], bool | None] | None = None
    loader: Mapping[str, Any] = field(default_factory=dict)

    def finished(self, clock: Clock) -> bool:
        """Whether the phase is over at this clock."""
        return (
            (self.rounds is not None and clock.phase_round >= self.rounds)
            or (self.samples is not None and clock.phase_samples >= self.samples)
            or (self.until is not None and self.until(clock))
        )


@dataclass(frozen=True)
class Average:
    """`target`, a sub-network that nobody owns, follows `source` as an exponential moving average.

    half_life: in samples, a number or a function of the clock. ramp: while the game is young the half-life is at most this
    share of the samples seen, so that the first weights are soon forgotten. Floating-point buffers (BatchNorm statistics)
    are averaged like the weights, because statistics of today's weights do not fit yesterday's; integer buffers, and the
    directions of torch's spectral norm, are copied.
    """

    source: str
    target: str
    half_life: float | Callable[[Clock], float]
    ramp: float = 0.1


@dataclass(frozen=True)
class Feed:
    """What a stream of the data deals.

    fields: name in the batch -> field of the data; empty: every field under its own name. of: name -> class (index) whose
    records alone are dealt under it, or several classes; several names are then unpaired, each in an order of its own
    (CycleGAN); with one name it is that class alone (AnoGAN's normal records). told: name in the batch -> name of `of`;
    under it stand the classes (B,) int64 of the records dealt there. second: names that are dealt from another record of the
    same group (the same person in another pose); records that are alone in their group are not dealt. labelled: only records
    with a label, which those of a class called `unlabelled` have not. balanced: records are drawn by the values that they
    show, rare ones far more often than they come; under `asked` stands the number of the value that each was drawn by
    (`facets.Balanced`). options: of the kind's own stream (the length of a walk).
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    of: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    second: tuple[str, ...] = ()
    labelled: bool = False
    balanced: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


class System(nn.Module):
    """The board: every network and buffer of one GAN, its players, its phases, its objectives, its capabilities.

    Built as `System(spec, config)`: `spec` says what the data is (`ganvas.specs`), `config` is a frozen instance of the
    class's `Config`, whose field docs are the help; a system that settles what was left open there replaces `self.config` by
    one that says so, which is what a run keeps. An objective is pure up to random numbers and declared buffers;
    randomness that belongs to records comes from `batch.noise`, so that one process or many play the same game.
    """

    Config: ClassVar[type[Any]]
    mixed_is_safe: ClassVar[bool] = False  # whether bfloat16 may be chosen for it unasked, because it was tried
    couples_batch: ClassVar[str] = ""  # why its loss is not a mean over records (BatchNorm, ...); empty when it is
    extractors: tuple[str, ...] = ()  # feature extractors its objectives use: none of these may judge it
    undecided: float = 2 * math.log(2)  # the sum of D's terms `real` and `fake` where it gives every record one half
    classes: int = 0  # how many classes its samples can be asked for by label; 0: none

    def __init__(self, spec: Any, config: Any) -> None:
        super().__init__()
        self.spec = spec
        self.config = config

    def feeds(self) -> Mapping[str, Feed]:
        """What the streams deal that come from the data: `data`, which counts the samples, and any that a turn names beside."""
        return {"data": Feed()}

    def players(self) -> tuple[Player, ...]:
        """Every player of the game, in a fixed order, with distinct names."""
        raise NotImplementedError(f"{type(self).__name__} declares no players")

    def phases(self) -> tuple[Phase, ...]:
        """The phases in order; at least one."""
        raise NotImplementedError(f"{type(self).__name__} declares no phases")

    def averages(self) -> tuple[Average, ...]:
        """Moving averages that the Engine keeps after every round."""
        return ()

    def sources(self) -> Mapping[str, Callable[[Clock, Any], Any]]:
        """Streams that the System itself makes (SeqGAN's negatives): name -> function(clock, noise) -> batch."""
        return {}

    def bystanders(self) -> tuple[str, ...]:
        """Networks nobody trains (roll-out copies, frozen extractors). Targets of averages need not be listed."""
        return ()

    def reductions(self) -> Mapping[str, str]:
        """How processes agree on a mutable buffer: name (or suffix after a dot) -> rule. They do at every settling.

        `mean`: the mean. `sum`: each process counts its own records from zero, the sum is kept. `lead`: rank 0's. `rank`:
        each keeps its own (image pools). Unlisted floating-point buffers are averaged (BatchNorm's statistics), integer ones
        are rank 0's.
        """
        return {}
