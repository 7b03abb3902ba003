"""The Engine's rules, on small hand-made games whose outcome is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ganvas.batches import Batch, Noise
from ganvas.engine import Diverged, Engine, _beside
from ganvas.errors import GanvasError
from ganvas.game import Average, Clock, Phase, Player, Shared, System, Terms, Turn
from ganvas.kinds.points.spec import PointsSpec
from ganvas.optim import optimiser

SPEC = PointsSpec(dimensions=1, centre=(0.0,))


class Counting:
    """A stream of (4, 1) points that counts its batches: batch k is all k."""

    batch_size = 4

    def __init__(self) -> None:
        self.drawn = 0
        self.overrides: list[dict[str, Any]] = []

    def draw(self, noise: Noise) -> Batch:
        self.drawn += 1
        return Batch(noise, {"real": torch.full((4, 1), float(self.drawn))})

    def configure(self, **overrides: Any) -> None:
        self.overrides.append(overrides)

    def state(self) -> dict[str, Any]:
        return {"drawn": self.drawn}

    def restore(self, state: Any) -> None:
        self.drawn = state["drawn"]


@dataclass(frozen=True)
class Config:
    pass


class Game(System):
    """Two one-weight players; `turns` and other parts are set by each test."""

    Config = Config
    data = ("points",)

    def __init__(self, phases: Any = None, players: Any = None) -> None:
        super().__init__(SPEC, Config())
        self.first, self.second = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        self.average = nn.Linear(1, 1, bias=False)
        for network in (self.first, self.second, self.average):
            nn.init.ones_(network.weight)
        self.log: list[tuple[str, float, Clock, Shared]] = []
        self._phases, self._players = phases, players
        self.bad = 0.0

    def players(self) -> tuple[Player, ...]:
        rule = optimiser("sgd", 0.5, beta1=0.0)
        return self._players or (Player("one", ("first",), rule), Player("two", ("second",), rule))

    def phases(self) -> tuple[Phase, ...]:
        return self._phases(self) if self._phases else (Phase("play", (Turn("one", self.pull), Turn("two", self.push))),)

    def pull(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        self.log.append(("pull", float(batch.real[0]), clock, shared))
        return {"both": self.first.weight.sum() * 2 + self.second.weight.sum()}

    def push(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
        self.log.append(("push", float(batch.real[0]), clock, shared))
        return {"a": self.second.weight.sum() + self.bad, "b": self.first.weight.sum() * 3}


def play(game: Game, rounds: int = 1, **more: Any) -> tuple[Engine, Counting]:
    stream = Counting()
    engine = Engine(game, {"data": stream}, **more)
    for _ in range(rounds):
        engine.play_round()
    return engine, stream


def test_only_the_owner_moves() -> None:
    game = Game()
    play(game)
    assert game.first.weight.item() == pytest.approx(1 - 0.5 * 2)  # two's loss mentions first too: it must not move it
    assert game.second.weight.item() == pytest.approx(1 - 0.5 * 1)


def test_turns_share_a_batch_and_its_scraps_unless_fresh() -> None:
    game = Game()
    _, stream = play(game, 2)
    assert [(n, b) for n, b, _, _ in game.log] == [("pull", 1), ("push", 1), ("pull", 2), ("push", 2)]
    assert game.log[0][3] is game.log[1][3]
    assert game.log[1][3] is not game.log[2][3]
    assert stream.drawn == 2


def test_repeated_fresh_lazy_and_skipped_turns() -> None:
    def phases(g: Game) -> tuple[Phase, ...]:
        skip = Turn("one", g.push, times=lambda clock: 0)
        return (Phase("p", (Turn("one", g.pull, times=3, fresh=True), skip, Turn("two", g.push, every=2))),)

    game = Game(phases)
    play(game, 2)
    assert [(n, b) for n, b, _, _ in game.log] == [
        ("pull", 1), ("pull", 2), ("pull", 3), ("push", 3), ("pull", 4), ("pull", 5), ("pull", 6),
    ]  # fmt: skip
    assert [c.samples for _, _, c, _ in game.log] == [4, 8, 12, 12, 16, 20, 24]


def test_phases_follow_each_other_with_loader_overrides_and_the_game_ends() -> None:
    def phases(g: Game) -> tuple[Phase, ...]:
        small = Phase("small", (Turn("one", g.pull),), rounds=2, loader={"batch_size": 2})
        return (small, Phase("large", (Turn("two", g.push),), samples=8))

    game = Game(phases)
    engine, stream = play(game, 4)
    assert [c.phase for _, _, c, _ in game.log] == ["small", "small", "large", "large"]
    assert [c.phase_round for _, _, c, _ in game.log] == [0, 1, 0, 1]
    assert stream.overrides == [{"batch_size": 2}, {}]
    assert engine.over


def test_a_phase_ends_when_enough_is_learnt() -> None:
    def phases(g: Game) -> tuple[Phase, ...]:
        first = Phase("first", (Turn("one", g.pull),), enough=lambda clock: clock.phase_round >= 3)
        return (first, Phase("second", (Turn("two", g.push),)))

    game = Game(phases)
    assert not phases(game)[0].finished(Clock(phase="first", phase_round=9)), "forecasts do not ask what is learnt"
    play(game, 5)
    assert [c.phase for _, _, c, _ in game.log] == ["first"] * 3 + ["second"] * 2


def test_a_stream_that_the_system_makes() -> None:
    class Made(Game):
        def sources(self) -> Any:
            return {"own": lambda clock, noise: Batch(noise, {"real": torch.full((4, 1), 77.0)})}

    game = Made(lambda g: (Phase("p", (Turn("one", g.pull, source="own"), Turn("two", g.push))),))
    engine, _ = play(game)
    assert [(n, b) for n, b, _, _ in game.log] == [("pull", 77), ("push", 1)]
    assert engine.clock.samples == 4, "generated records are not counted as data"


def test_averages_have_a_half_life_in_samples() -> None:
    class Averaged(Game):
        def averages(self) -> tuple[Average, ...]:
            return (Average("first", "average", 8.0, ramp=math.inf),)

    game = Averaged()
    play(game, 2)  # first goes 1 -> 0 -> -1; each round is 4 samples, half a half-life
    keep = 0.5**0.5
    assert game.average.weight.item() == pytest.approx(keep * (keep * 1 + (1 - keep) * 0) + (1 - keep) * -1)


def test_directions_of_spectral_norms_are_copied_and_not_averaged() -> None:
    """A mean of two directions is none: torch's own form would divide the weights of the average by too little."""
    from torch.nn.utils.parametrizations import spectral_norm

    class Averaged(Game):
        def __init__(self) -> None:
            super().__init__()
            self.normed, self.followed = (spectral_norm(nn.Linear(4, 4, bias=False)) for _ in range(2))

        def averages(self) -> tuple[Average, ...]:
            return (Average("normed", "followed", 8.0, ramp=math.inf),)

    game = Averaged()
    own, kept = (dict(network.named_buffers()) for network in (game.normed, game.followed))
    turned = {name: -buffer.flip(0) for name, buffer in own.items()}
    weights = [network.parametrizations.weight.original.clone() for network in (game.normed, game.followed)]
    with torch.no_grad():
        for name, buffer in own.items():
            buffer.copy_(turned[name])
    play(game)
    assert len(kept) == 2
    assert all(torch.equal(kept[name], turned[name]) for name in kept)
    mean = torch.lerp(weights[1], weights[0], 1 - 0.5**0.5)
    torch.testing.assert_close(game.followed.parametrizations.weight.original.data, mean)


def test_micro_batches_add_up_to_the_whole_batch() -> None:
    class Mean(Game):
        def pull(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
            return {"mean": (self.first(batch.real) * torch.arange(len(batch))).mean() * 0 + self.first(batch.real).mean()}

    whole, parts = Mean(), Mean()
    play(whole)
    play(parts, micro_batches=2)
    assert parts.first.weight.item() == pytest.approx(whole.first.weight.item())
    with pytest.raises(ValueError, match="cannot be cut"):
        play(Mean(), micro_batches=3)


def test_rates_clipping_and_projection() -> None:
    game = Game()

    def project() -> None:
        game.second.weight.clamp_(0.9, 1.1)

    rule = optimiser("sgd", 0.5, beta1=0.0)
    game._players = (
        Player("one", ("first",), rule, rate=lambda clock: 0.1 if clock.round else 1.0, clip=1.0),
        Player("two", ("second",), rule, after_step=project),
    )
    play(game, 2)
    assert game.first.weight.item() == pytest.approx(1 - 0.5 - 0.05, abs=1e-5)  # gradient 2 clipped to 1
    assert game.second.weight.item() == pytest.approx(0.9)


def test_overlapping_players_keep_their_own_state() -> None:
    game = Game()
    rule = optimiser("adam", 0.1)
    game._players = (Player("one", ("first", "second"), rule), Player("two", ("second",), rule))
    engine, _ = play(game)
    state = engine.state()["players"]
    assert state["one"]["optimiser"].keys() == {"first.weight", "second.weight"}
    assert state["two"]["optimiser"].keys() == {"second.weight"}
    one, two = (state[p]["optimiser"]["second.weight"]["exp_avg"] for p in ("one", "two"))
    assert one.data_ptr() != two.data_ptr()


def test_nan_is_rolled_back_named_and_survived() -> None:
    class Fails(Game):
        def push(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
            value = math.nan if float(batch.real[0]) == 6 else 1.0
            return {"good": self.second.weight.sum(), "wicked": self.second.weight.sum() * value}

    game = Fails()
    engine = Engine(game, {"data": Counting()}, check_every=4)
    reports = [r for _ in range(8) if (r := engine.play_round())]
    assert [bool(r.incident) for r in reports] == [False, True]
    assert "term 'wicked' of two" in str(reports[1].incident)
    assert engine.clock.round == 4, "back at the last good look"
    assert torch.isfinite(game.second.weight).all()
    before = game.second.weight.item()
    engine.play_round()
    assert game.second.weight.item() == pytest.approx(before - 0.5 * 2), "goes on with new data"
    assert engine.streams["data"].state()["drawn"] == 9


def test_infinite_gradient_behind_finite_terms_is_seen() -> None:
    class Root(Game):
        def push(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
            weight = self.second.weight.sum()
            return {"root": (weight - weight.detach()).sqrt() if clock.round == 1 else weight}

    game = Root()
    engine = Engine(game, {"data": Counting()}, check_every=2)
    engine.play_round()
    report = engine.play_round()
    assert report is not None
    assert "gradient of two" in str(report.incident)


def test_three_incidents_end_the_run() -> None:
    game = Game()
    game.bad = math.inf
    engine = Engine(game, {"data": Counting()}, check_every=2)
    with pytest.raises(Diverged, match="keeps diverging.*lower learning rate"):
        for _ in range(10):
            engine.play_round()
    assert torch.isfinite(game.second.weight).all()


def test_roll_back_restores_optimiser_state_exactly() -> None:
    class Fails(Game):
        def push(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
            return {"x": self.second.weight.square().sum() * (math.nan if float(batch.real[0]) == 3 else 1.0)}

    rule = optimiser("adam", 0.1)
    game = Fails(players=(Player("one", ("first",), rule), Player("two", ("second",), rule)))
    engine = Engine(game, {"data": Counting()}, check_every=2)
    engine.play_round()
    engine.play_round()
    good = {k: v.clone() for k, v in engine.state()["players"]["two"]["optimiser"]["second.weight"].items()}
    engine.play_round()
    assert engine.play_round().incident  # type: ignore[union-attr]
    back = engine.state()["players"]["two"]["optimiser"]["second.weight"]
    assert all(torch.equal(back[k], v) for k, v in good.items())


@pytest.mark.parametrize("name", ["adam", "adas", "rmsprop", "sgd"])
def test_optimiser_state_is_put_beside_its_parameter(name: str) -> None:
    """As when a run that was read on the CPU goes on on a graphics card; `meta` stands for the card."""
    here, there = (nn.Parameter(torch.ones(3, device=device)) for device in ("cpu", "meta"))
    first, second = (optimiser(name, 0.1)([("w", parameter)]) for parameter in (here, there))
    here.grad = torch.ones(3)
    first.step()
    found = _beside(first.state[here], there, second)
    counted_there = second.param_groups[0].get("fused")
    for key, value in found.items():
        if isinstance(value, torch.Tensor):
            assert value.device.type == ("cpu" if key == "step" and not counted_there else "meta"), key
            assert value.data_ptr() != first.state[here][key].data_ptr() or value.device.type == "meta"


def test_a_first_window_that_fails_forgets_the_optimiser_state_of_that_window() -> None:
    game = Game(players=None)
    rule = optimiser("adam", 0.1)
    game._players = (Player("one", ("first",), rule), Player("two", ("second",), rule))
    game.bad = math.nan
    engine = Engine(game, {"data": Counting()}, check_every=2)
    engine.play_round()
    assert engine.play_round().incident  # type: ignore[union-attr]
    assert engine.state()["players"]["one"]["optimiser"] == {}
    assert game.second.weight.item() == 1.0


@pytest.mark.parametrize("precision", ["bf16-mixed", "64"])
def test_precisions_play(precision: str) -> None:
    game = Game()
    engine, _ = play(game, 3, precision=precision)
    assert game.first.weight.dtype == (torch.float64 if precision == "64" else torch.float32)
    assert engine.clock.round == 3


def test_maps_and_weights_of_pictures_and_of_volumes_lie_with_channels_last_where_asked() -> None:
    values = {"picture": torch.rand(2, 3, 4, 4), "clip": torch.rand(2, 3, 4, 4, 4), "point": torch.rand(2, 3)}
    last = Batch(Noise.seeded(0), values).to(torch.float32, True)
    assert last["picture"].is_contiguous(memory_format=torch.channels_last) and not last["picture"].is_contiguous()
    assert last["clip"].is_contiguous(memory_format=torch.channels_last_3d) and not last["clip"].is_contiguous()
    first = last.to(torch.float32, False)
    assert all(first[name].is_contiguous() and torch.equal(first[name], value) for name, value in values.items())
    game = Game()
    game.flat, game.deep = nn.Conv2d(2, 3, 3), nn.Conv3d(2, 3, 3)
    Engine(game, {"data": Counting()}, channels_last=True)
    assert game.flat.weight.is_contiguous(memory_format=torch.channels_last)
    assert game.deep.weight.is_contiguous(memory_format=torch.channels_last_3d)


def test_float16_overflow_is_the_scalers_business() -> None:
    class Large(Game):
        def push(self, batch: Any, clock: Clock, shared: Shared) -> Terms:
            return {"large": self.second.weight.sum() * 1e34}  # finite alone, infinite once scaled

    game = Large()
    engine = Engine(game, {"data": Counting()}, precision="16-mixed", check_every=2)
    reports = [r for _ in range(4) if (r := engine.play_round())]
    assert all(r.incident is None for r in reports)
    assert torch.isfinite(game.second.weight).all()


def test_wrong_games_are_refused() -> None:
    rule = optimiser("sgd", 0.1)
    with pytest.raises(ValueError, match="who is no player"):
        play(Game(lambda g: (Phase("p", (Turn("nobody", g.pull),)),)))
    with pytest.raises(ValueError, match="is no stream"):
        play(Game(lambda g: (Phase("p", (Turn("one", g.pull, source="nowhere"),)),)))
    with pytest.raises(ValueError, match="does not have"):
        play(Game(players=(Player("one", ("third",), rule),)))
    with pytest.raises(GanvasError, match="unknown precision"):
        play(Game(), precision="8")


def test_noise_is_the_same_for_one_process_and_for_two() -> None:
    def noise(rank: int, world: int) -> Noise:
        return Noise(torch.Generator().manual_seed(5), rank, world)

    whole = noise(0, 1).normal(8, 3)
    halves = torch.cat([noise(0, 2).normal(4, 3), noise(1, 2).normal(4, 3)])
    assert torch.equal(whole, halves)


def test_watching_changes_nothing() -> None:
    game = Game()
    engine, _ = play(game)
    game.first.eval()
    state = torch.get_rng_state()
    with engine.watching() as system:
        assert not any(m.training for m in system.modules())
        assert not torch.is_grad_enabled()
        torch.randn(3)
    assert not game.first.training
    assert game.second.training
    assert torch.equal(torch.get_rng_state(), state)
    assert np.isfinite(engine.clock.samples)


class Pair:
    """Two processes in one: what the other one holds is given beforehand."""

    device = torch.device("cpu")
    rank, world, leads = 0, 2, True

    def __init__(self, other: float) -> None:
        self.other = other

    def autocast(self, precision: str) -> Any:
        import contextlib

        return contextlib.nullcontext()

    def average_(self, tensors: list[torch.Tensor]) -> None:
        for tensor in tensors:
            tensor.copy_((tensor + self.other) / 2)

    def sum_(self, tensors: list[torch.Tensor]) -> None:
        for tensor in tensors:
            tensor.add_(self.other)

    def lead_(self, tensors: list[torch.Tensor]) -> None:
        for tensor in tensors:
            tensor.fill_(5)

    def any(self, flag: bool) -> bool:
        return flag

    def agree(self, value: Any) -> Any:
        return value


def test_buffers_agree_by_their_rules_and_sums_do_not_count_twice() -> None:
    class Buffered(Game):
        def __init__(self) -> None:
            super().__init__()
            for name in ("average_of", "seen", "own"):
                self.register_buffer(name, torch.tensor(2.0))
            self.register_buffer("number", torch.tensor(2))

        def reductions(self) -> dict[str, str]:
            return {"seen": "sum", "own": "rank"}

    game = Buffered()
    engine = Engine(game, {"data": Counting()}, processes=Pair(4.0))  # type: ignore[arg-type]
    engine.agreement.reach()
    assert [float(game.get_buffer(n)) for n in ("average_of", "seen", "own", "number")] == [3, 6, 2, 5]
    game.get_buffer("seen").add_(1)  # this process saw one more; the other four more
    engine.agreement.reach()
    assert float(game.get_buffer("seen")) == 6 + 1 + 4


def test_an_unknown_rule_for_a_buffer_is_refused() -> None:
    class Mistyped(Game):
        def reductions(self) -> dict[str, str]:
            return {"seen": "meen"}

    with pytest.raises(ValueError, match="unknown rule 'meen'"):
        Engine(Mistyped(), {"data": Counting()})
