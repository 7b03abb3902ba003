"""The proof of `gan`: two perceptrons learn five patterns in one run; the generator without its adversary does not."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained

if TYPE_CHECKING:
    from ganvas.game import System

COUNT = 1000  # generated and true points of each pattern
TYPICAL, WORST = 0.03, 0.06


def game(task: Task, loss: str) -> Outcome:
    """`ganvas train gan --data patterns`, with one of the two losses."""
    from ganvas.data.phantoms import PATTERNS

    run, facts = trained(task, "gan", {"loss": loss})
    return _judged(task, {name: run.sample(COUNT, seed=10_000 + task.seed, label=name) for name in PATTERNS}, facts)


def without_adversary(task: Task) -> Outcome:
    """The same generator on the same batches, each point moved towards the true point of its pattern that lies beside it."""
    import torch

    from ganvas.data import open_data
    from ganvas.data.streams import DatasetStream
    from ganvas.engine import Engine
    from ganvas.inference.sampling import draw_samples
    from ganvas.kinds import decode, kind_of
    from ganvas.run.budget import parse_budget

    dataset = open_data(task.data, seed=task.seed, phantom_count=kind_of("points").says.phantom_count, progress=False)
    torch.manual_seed(task.seed)
    system = _alone(dataset.spec)
    stream = DatasetStream(dataset, system.config.batch_size, seed=task.seed)
    engine, budget = Engine(system, {"data": stream}, seed=task.seed), parse_budget(task.budget)
    while engine.progress < 1.0:
        engine.play_round()
        engine.progress = min(1.0, budget.progress(0.0, engine.clock.samples, engine.clock.round))
    made = {}
    with engine.watching():
        for index, name in enumerate(dataset.spec.classes):
            drawn = draw_samples(system, COUNT, seed=10_000 + task.seed, labels=torch.full((COUNT,), index))
            made[name] = np.concatenate([decode(points, dataset.spec) for points in drawn])
    return _judged(task, made, {"rounds": engine.clock.round, "samples": engine.clock.samples})


def _alone(spec: Any) -> System:
    """A `gan` with its own settings and one player: the generator, whose objective knows no discriminator."""
    from torch.nn.functional import mse_loss

    from ganvas.game import Clock, Phase, Player, Shared, Terms, Turn
    from ganvas.systems.synthesis.gan import Config, Gan

    class Alone(Gan):
        def players(self) -> tuple[Player, ...]:
            return tuple(player for player in super().players() if player.name == "generator")

        def phases(self) -> tuple[Phase, ...]:
            return (Phase("play", (Turn("generator", self.approach),)),)

        def approach(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
            return {"distance": mse_loss(self._fake(batch, self._condition(batch.labels)), batch.real)}

    return Alone(spec, Config())


def _judged(task: Task, made: dict[str, np.ndarray], facts: dict[str, Any]) -> Outcome:
    """How far the points of each pattern are from true ones that training, which used the task's seed, never saw."""
    from ganvas.data.phantoms.patterns import diagonal, pattern_points
    from ganvas.metrics.points import DIRECTIONS, sliced_wasserstein

    true, other = ({n: pattern_points(n, COUNT, seed=s + task.seed) for n in made} for s in (20_000, 30_000))
    far = {name: sliced_wasserstein(made[name], true[name]) / diagonal(name) for name in made}
    least = {name: sliced_wasserstein(other[name], true[name]) / diagonal(name) for name in made}
    return Outcome(
        statistics.median(far.values()),
        f"sw1/{DIRECTIONS}/n={COUNT}/over the diagonal",
        {"by_pattern": far, "true_against_true": least, **facts},
        np.concatenate(list(made.values())),
        np.repeat(np.arange(len(made)), COUNT),
    )


def met(rows: Sequence[Row]) -> bool:
    """The median over patterns and seeds, and the worst of all."""
    distances = [x for row in rows for x in row.more["system"]["by_pattern"].values()]
    return statistics.median(distances) <= TYPICAL and max(distances) <= WORST


PROOF = Proof(
    claim="the game of two perceptrons learns sine, square, parabola, sawtooth and circle in one run",
    baseline="the same generator without its adversary (squared distance to true points of the pattern), at equal samples",
    metric="sliced Wasserstein distance between generated and fresh true points, median of the five patterns",
    direction=LOWER,
    mark=f"over patterns and seeds: median <= {TYPICAL}, worst <= {WORST}",
    met=met,
    arms={
        "system": lambda task: game(task, "non-saturating"),
        "baseline": without_adversary,
        "minimax loss": lambda task: game(task, "minimax"),
    },
    budget="3M",
    quick_budget="500k",
    phantom="patterns",
    note="The minimax loss is reported beside. It saturates only where the discriminator wins by far, which is rare here.",
)
