"""What is foretold of a run: the pace of real rounds, where a budget ends, what is said and when it is corrected."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import toys
from ganvas.batches import Batch, Noise
from ganvas.engine import Engine
from ganvas.game import Clock, Phase, Player, System, Turn
from ganvas.kinds.points.spec import PointsSpec
from ganvas.objectives.schedules import until_share
from ganvas.optim import optimiser
from ganvas.run.budget import Budget, parse_budget
from ganvas.run.expect import Expectation, Forecast
from ganvas.run.pace import Pace, PhasePace, foretell, try_rounds
from ganvas.run.settings import Settings
from ganvas.run.train import train


class Points:
    """A stream of (4, 1) points."""

    batch_size = 4

    def draw(self, noise: Noise) -> Batch:
        return Batch(noise, {"real": torch.ones(4, 1)})

    def configure(self, **overrides: Any) -> None:
        return None

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Any) -> None:
        return None


@dataclass(frozen=True)
class Config:
    batch_size: int = 4


class Sleeper(System):
    """Turns that take as long as they say."""

    Config = Config

    def __init__(self, *phases: tuple[str, dict[str, Any], tuple[tuple[float, int], ...]]) -> None:
        super().__init__(PointsSpec(dimensions=1, centre=(0.0,)), Config())
        self.network = nn.Linear(1, 1)
        self.made = phases

    def players(self) -> tuple[Player, ...]:
        return (Player("one", ("network",), optimiser("adam", 1e-3)),)

    def phases(self) -> tuple[Phase, ...]:
        return tuple(
            Phase(name, tuple(Turn("one", self.taking(took), every=every) for took, every in turns), **ends)
            for name, ends, turns in self.made
        )

    def taking(self, seconds: float) -> Any:
        def play(batch: Batch, clock: Clock, shared: Any) -> dict[str, torch.Tensor]:
            time.sleep(seconds)
            return {"loss": self.network(batch["real"]).square().mean()}

        return play


def seated(system: System) -> Engine:
    return Engine(system, {"data": Points()})


def test_every_phase_is_tried_and_rare_turns_count_as_rarely_as_they_come() -> None:
    game = Sleeper(("long", {"rounds": 1000}, ((0.002, 1),)), ("play", {}, ((0.001, 1), (0.030, 10))))
    weights = game.network.weight.clone()
    pace = try_rounds(game, seated, parse_budget("20s"))
    assert [own.name for own in pace.phases] == ["long", "play"]
    long, play = pace.phases
    assert 0.002 < long.seconds < 0.004
    assert 0.004 < play.seconds < 0.007, "1 ms a round, and 30 ms in every tenth"
    assert (long.samples, play.samples) == (4, 4)
    assert long.processor < long.seconds
    assert pace.memory is not None and pace.memory > 50e6
    assert not torch.equal(weights, game.network.weight), "these were real rounds"


def test_slow_rounds_are_not_tried_for_long() -> None:
    game = Sleeper(("play", {}, ((0.15, 1),)))
    begin = time.perf_counter()
    pace = try_rounds(game, seated, parse_budget("1s"))
    assert time.perf_counter() - begin < 0.5
    assert pace.phases[0].rounds == 1
    assert pace.phases[0].seconds == pytest.approx(0.15, rel=0.2)


def test_trying_goes_on_from_the_phase_that_is_played() -> None:
    game = Sleeper(("before", {"rounds": 10}, ((0.0, 1),)), ("play", {}, ((0.001, 1),)))
    pace = try_rounds(game, seated, parse_budget("5s"), Clock(round=12, samples=48, phase="play", phase_round=2))
    assert [own.name for own in pace.phases] == ["play"]


PHASES = (
    Phase("first", (), rounds=100),
    Phase("second", (), samples=4_000),
    Phase("third", (), until=until_share(0.5)),
    Phase("last", ()),
)
PACE = Pace(
    (PhasePace("first", 0.01, 0.01, 10, 5), PhasePace("second", 0.1, 0.1, 40, 5), PhasePace("third", 1.0, 1.0, 10, 5),
     PhasePace("last", 0.5, 0.5, 20, 5)),
    None,
)  # fmt: skip


def test_where_a_budget_ends_goes_through_the_phases() -> None:
    """100 rounds (1 s), 100 rounds (10 s), to half of 100 s (39 rounds), the rest (100 rounds)."""
    clock, seconds = foretell(PACE, PHASES, Clock(phase="first"), Budget(seconds=100))
    assert clock.phase == "last"
    assert clock.round == pytest.approx(100 + 100 + 39 + 100, abs=2)
    assert clock.samples == pytest.approx(1_000 + 4_000 + 390 + 2_000, abs=30)
    assert seconds == pytest.approx(100, abs=1)
    clock, seconds = foretell(PACE, PHASES, Clock(phase="first"), Budget(rounds=150))
    assert (clock.round, clock.samples, clock.phase) == (150, 3_000, "second")
    assert seconds == pytest.approx(1 + 5)
    clock, seconds = foretell(PACE, PHASES, Clock(phase="first"), Budget(samples=1_000))
    assert (clock.round, seconds) == (100, pytest.approx(1))
    with pytest.raises(ValueError, match="no end"):
        foretell(PACE, PHASES, Clock(phase="first"), Budget())


def test_a_run_that_goes_on_is_foretold_from_where_it_is() -> None:
    at = Clock(round=239, samples=5_390, phase="last", phase_round=0, progress=0.5)
    pace = replace(PACE, phases=PACE.phases[3:])
    clock, _ = foretell(pace, PHASES, at, Budget(seconds=100), 50.0)
    assert (clock.round, clock.samples) == (pytest.approx(339, abs=1), pytest.approx(7_390, abs=20))


def test_a_game_that_ends_before_its_budget() -> None:
    pace = replace(PACE, phases=PACE.phases[:2])
    clock, seconds = foretell(pace, PHASES[:2], Clock(phase="first"), Budget(seconds=1_000))
    assert (clock.round, seconds) == (200, pytest.approx(11))


def expected(pace: Pace, budget: Budget) -> Expectation:
    """An Expectation of a game of one phase, with a pace that is given."""
    own = Expectation.__new__(Expectation)
    own.phases, own.budget, own.settings = (Phase("play", ()),), budget, Settings()
    own.clock, own.seconds, own.share, own.pace = Clock(phase="play"), 0.0, 1.0, pace
    own.state, own.looks, own.parameters = 0, 0, 1_000_000
    own.told, own._mark = own._forecast(), ("play", 0, 0.0)
    return own


def test_a_forecast_that_turns_out_wrong_is_corrected_once() -> None:
    own = expected(Pace((PhasePace("play", 0.1, 0.1, 4, 5),), 500_000_000), Budget(seconds=100))
    assert own.told.rounds == pytest.approx(1_000, abs=1)
    own.told = Forecast(1_000, 4_000, 100.0, 500_000_000, 20_000_000)
    assert own.line() == (
        "1.00 M parameters; expects 0.50 GB of memory, 20 MB of disk, 100 s (about 1,000 rounds, 4,000 samples)"
    )
    assert own.corrected(Clock(round=10, phase="play", phase_round=10), 5.0) == "", "too early to say"
    assert own.corrected(Clock(round=90, phase="play", phase_round=90), 12.0) == "", "near enough"
    said = own.corrected(Clock(round=30, phase="play", phase_round=30), 15.0)
    assert said == "rounds take 500 ms: about 200 by the end, where 1,000 were expected"
    assert own.corrected(Clock(round=40, phase="play", phase_round=40), 20.0) == ""


def test_trying_rounds_leaves_the_run_as_it_would_have_been(tmp_path: Path) -> None:
    """A quiet run tells nothing, and tries nothing."""
    given: dict[str, Any] = {
        "budget": "6r", "config": toys.SMALL, "threads": 1, "precision": "32", "channels_last": "off", "device": "cpu",
        "sample_every": 0.0,
    }  # fmt: skip
    train("lsgan", toys.pictures(), out=tmp_path / "told", **given)
    train("lsgan", toys.pictures(), out=tmp_path / "quiet", quiet=True, **given)
    assert toys.digests(tmp_path / "told") == toys.digests(tmp_path / "quiet")


def test_rounds_that_are_foretold_are_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the very pace of the run; the machine may be busy, which touches both."""
    result = train(
        "lsgan", toys.pictures(), out=tmp_path / "run", budget="3s", config=toys.SMALL, threads=1, precision="32",
        channels_last="off", device="cpu", sample_every=0.0, watch="off",
    )  # fmt: skip
    line = next(text for text in capsys.readouterr().err.splitlines() if "parameters; expects" in text)
    told = int(line.split("about ")[1].split(" rounds")[0].replace(",", ""))
    assert 0.4 < told / result["rounds"] < 2.5
    gigabytes = float(line.split("expects ")[1].split(" GB")[0])
    assert 0.05 < gigabytes < 3
