"""AdaS: the published algorithm to the sixth digit, what is mended in it, and the manners of an optimiser of torch."""

from __future__ import annotations

import copy
import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

import ganvas
import toys
from ganvas.config import knobs
from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.game import Clock, Phase, Player, System, Turn
from ganvas.kinds.points.spec import PointsSpec
from ganvas.optim import NAMES, optimiser
from ganvas.optim.adas import Adas, input_groups
from ganvas.registry import catalogue, load_system

LIVELY = {"lr": 1e-2, "lr2": 0.05, "lr3": 0.05, "betas": (0.99, 0.97, 0.95)}
"""Rates with which a hundred steps change the step sizes several times over."""


class Scalars:
    """One tensor under the published algorithm, number by number; `axis` counts outputs."""

    def __init__(
        self, weights: np.ndarray, axis: int, single: bool, lr: float, lr2: float, lr3: float, betas: Any, eps: float
    ) -> None:
        self.w = np.moveaxis(weights, axis, 0) if weights.ndim else weights.reshape(1)  # a view: outputs first
        self.axis, self.lr3, self.betas, self.eps, self.t = axis, lr3, betas, eps, 0
        self.number = np.float32 if single else np.float64
        inputs = self.w.shape[1:]
        self.m, self.v = np.zeros(self.w.shape), np.zeros(self.w.shape)
        self.e, self.m1, self.v1 = np.full(inputs, lr), np.zeros(inputs), np.zeros(inputs)
        self.k, self.v2 = self.number(lr2), 0.0

    def normalised(self, value: float, square: float) -> tuple[float, float]:
        b1 = self.betas[0]
        square = b1 * square + (1 - b1) * value * value
        return value * math.sqrt(1 - b1**self.t) / (math.sqrt(square) + self.eps), square

    def step(self, gradient: np.ndarray) -> None:
        g = np.moveaxis(gradient, self.axis, 0) if gradient.ndim else gradient.reshape(1)
        self.t += 1
        b2, b3 = self.betas[1:]
        total = 0.0
        for i in np.ndindex(self.w.shape[1:]):
            h = 0.0
            for o in range(self.w.shape[0]):
                n, self.v[(o, *i)] = self.normalised(g[(o, *i)], self.v[(o, *i)])
                self.w[(o, *i)] -= self.e[i] * n
                h += self.m[(o, *i)] * g[(o, *i)]
                self.m[(o, *i)] = b3 * self.m[(o, *i)] + (1 - b3) * n
            n1, self.v1[i] = self.normalised(h, self.v1[i])
            self.e[i] += self.k * self.e[i] * n1
            total += self.m1[i] * h
            self.m1[i] = b2 * self.m1[i] + (1 - b2) * n1
        n2, self.v2 = self.normalised(total, self.v2)
        self.k = self.number(self.k + self.lr3 * self.k * n2)


class Network(nn.Module):
    """Every shape that matters: convolution, transposed convolution, linear layer, vector, single number."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 2, 2)
        self.turned = nn.ConvTranspose2d(3, 2, 2)
        self.linear = nn.Linear(18, 2)
        self.strength = nn.Parameter(torch.tensor(0.7))

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.turned(torch.tanh(self.conv(images)))
        return self.linear(torch.tanh(self.strength * hidden).flatten(1))


def network(dtype: torch.dtype = torch.float64) -> Network:
    torch.manual_seed(0)
    return Network().to(dtype)


def loss(board: nn.Module, step: int, dtype: torch.dtype = torch.float64) -> Tensor:
    images = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(step)).to(dtype)
    wanted = torch.stack([images.mean((1, 2, 3)), images.amax((1, 2, 3))], 1)
    return (board(images) - wanted).square().mean()


def walk(rule: Any, board: nn.Module, steps: int, first: int = 0, sign: float = 1.0) -> list[Tensor]:
    """Weights after some steps."""
    dtype = next(board.parameters()).dtype
    for step in range(first, first + steps):
        rule.zero_grad()
        (sign * loss(board, step, dtype)).backward()
        rule.step()
    return [p.detach().clone() for p in board.parameters()]


def apart(one: list[Tensor], other: list[Tensor]) -> float:
    return max((a - b).abs().max().item() for a, b in zip(one, other, strict=True))


DEFAULTS = {"lr": 1e-3, "lr2": 5e-3, "lr3": 5e-4, "betas": (0.999, 0.999, 0.9999), "eps": 1e-8}


@pytest.mark.parametrize("options", [{}, LIVELY], ids=["defaults", "lively"])
@pytest.mark.parametrize("as_published", [True, False])
def test_a_hundred_steps_are_those_of_the_algorithm_written_out_in_scalars(options: dict[str, Any], as_published: bool) -> None:
    ours, theirs = network(), network()
    rule = Adas(input_groups(ours), as_published=as_published, **options)
    scalars = {}
    for name, parameter in theirs.named_parameters():
        axis = 1 if name == "turned.weight" and not as_published else 0
        scalars[name] = Scalars(parameter.detach().numpy(), axis, as_published, **{**DEFAULTS, **options})
    for step in range(100):
        walk(rule, ours, 1, step)
        theirs.zero_grad()
        loss(theirs, step).backward()
        for name, parameter in theirs.named_parameters():
            assert parameter.grad is not None
            scalars[name].step(parameter.grad.numpy())
    assert apart(list(theirs.parameters()), list(network().parameters())) > 0.05, "the oracle walks"
    assert apart(list(ours.parameters()), list(theirs.parameters())) < 1e-6
    group = rule.param_groups[0]
    learned = max((state["growth"] - 1).abs().max().item() for state in rule.state.values())
    assert learned > (1.0 if options else 0.1), "step sizes have changed"
    for name, parameter in ours.named_parameters():
        state, oracle = rule.state[parameter], scalars[name]
        steps = (group["lr"] * state["growth"]).numpy().reshape(oracle.e.shape)
        assert np.allclose(steps, oracle.e, rtol=1e-5), name
        assert state["pace"].item() * group["lr2"] == pytest.approx(oracle.k, rel=1e-5)


def test_the_axis_of_the_outputs_makes_a_difference_and_only_where_it_is_another() -> None:
    plain = network()
    published, named, mended = network(), network(), network()
    flat = walk(Adas(plain.parameters(), **LIVELY), plain, 40)
    same = walk(Adas(input_groups(published), as_published=True, **LIVELY), published, 40)
    other = walk(Adas(input_groups(mended), **LIVELY), mended, 40)
    assert apart(flat, same) < 1e-6
    assert apart(flat, other) > 1e-3
    groups = input_groups(named)
    assert [len(group["params"]) for group in groups] == [6, 1]
    assert groups[1]["params"][0] is named.turned.weight
    rule = Adas(groups)
    walk(rule, named, 1)
    assert rule.state[named.turned.weight]["growth"].shape == (3, 1, 2, 2), "a step size for each input and tap"
    assert rule.state[named.conv.weight]["growth"].shape == (1, 1, 2, 2)
    assert rule.state[named.linear.bias]["growth"].shape == (1,), "a bias is one input, the constant 1"
    assert rule.state[named.strength]["growth"].shape == ()
    frozen = nn.Embedding(3, 2).requires_grad_(False)
    assert [g["output_axis"] for g in input_groups(nn.Sequential(nn.Embedding(5, 2), frozen))] == [1]


def test_step_sizes_grow_while_the_gradient_keeps_its_sign_and_shrink_while_it_turns() -> None:
    steady, turning = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(2, 3))
    rule = Adas([steady, turning], betas=(0.999, 0.999, 0.9))
    for step in range(200):
        steady.grad = torch.ones(2, 3)
        turning.grad = torch.full((2, 3), 1.0 if step % 2 else -1.0)
        rule.step()
    assert rule.state[steady]["growth"].min() > 1.5
    assert rule.state[turning]["growth"].max() < 0.7


def test_a_schedule_scales_the_steps_and_leaves_what_was_learned_alone() -> None:
    def after(factor: float | None, steps: int) -> tuple[list[Tensor], Any]:
        board = network()
        rule = Adas(board.parameters(), **LIVELY)
        if factor is not None:
            LambdaLR(rule, lambda step: factor)
        return walk(rule, board, steps), rule

    begin = [p.detach().clone() for p in network().parameters()]
    full, half, none = after(None, 1)[0], after(0.5, 1)[0], after(0.0, 1)[0]
    assert apart(full, begin) > 1e-3
    assert apart([b + (f - b) / 2 for b, f in zip(begin, full, strict=True)], half) < 1e-12
    assert apart(none, begin) == 0.0
    resting, rule = after(0.0, 30)
    assert apart(resting, begin) == 0.0, "the rate is 0 in later steps as well"
    assert max((s["growth"] - 1).abs().max().item() for s in rule.state.values()) > 0.05, "and step sizes go on learning"
    board = network()
    rule = Adas(board.parameters(), lr=1e-2)
    schedule = CosineAnnealingLR(rule, 5)
    for step in range(5):
        walk(rule, board, 1, step)
        schedule.step()
    before = [p.detach().clone() for p in board.parameters()]
    assert apart(walk(rule, board, 1, 5), before) < 1e-12, "the cosine has come down to 0"


def test_a_changed_rate_acts_at_once() -> None:
    one, other = network(), network()
    first, second = Adas(one.parameters()), Adas(other.parameters())
    walk(first, one, 10)
    walk(second, other, 10)
    before = [p.detach().clone() for p in one.parameters()]
    second.param_groups[0]["lr"] = 3e-3
    moved = [a - b for a, b in zip(walk(first, one, 1, 10), before, strict=True)]
    faster = [a - b for a, b in zip(walk(second, other, 1, 10), before, strict=True)]
    assert apart([3 * step for step in moved], faster) < 1e-12


def test_the_rate_of_a_player_has_its_effect() -> None:
    class Points:
        def draw(self, noise: Any) -> Any:
            return ganvas.batches.Batch(noise, {"real": torch.ones(4, 1)})

        def configure(self, **overrides: Any) -> None:
            return None

    class Game(System):
        def __init__(self, factor: float) -> None:
            super().__init__(PointsSpec(dimensions=1, centre=(0.0,)), None)
            self.network = nn.Linear(1, 1)
            nn.init.ones_(self.network.weight)
            self.factor = factor

        def players(self) -> tuple[Player, ...]:
            return (Player("one", ("network",), optimiser("adas", 1e-2), self.fade),)

        def fade(self, clock: Clock) -> float:
            return self.factor ** (clock.round + 1)

        def phases(self) -> tuple[Phase, ...]:
            return (Phase("play", (Turn("one", self.pull),)),)

        def pull(self, batch: Any, clock: Any, shared: Any) -> dict[str, Tensor]:
            return {"pull": self.network(batch.real).sum()}

    def moved(factor: float, rounds: int) -> float:
        game = Game(factor)
        engine = Engine(game, {"data": Points()})  # type: ignore[dict-item]
        for _ in range(rounds):
            engine.play_round()
        return 1 - game.network.weight.item()

    assert moved(1.0, 1) == pytest.approx(1e-2, rel=1e-4)
    assert moved(0.5, 1) == pytest.approx(5e-3, rel=1e-4)
    assert moved(0.5, 8) == pytest.approx(1e-2, rel=0.02), "halved every round, the steps add up to one"


def test_groups_keep_their_own_options() -> None:
    grouped, single, other = network(), network(), network()
    options = {"lr": 4e-3, "lr2": 0.02, "lr3": 0.01, "betas": (0.9, 0.95, 0.99), "eps": 1e-4, "maximize": True}
    rule = Adas([{"params": [*grouped.conv.parameters()], **options}, {"params": [*grouped.linear.parameters()]}], lr=2e-3)
    rules = [Adas(single.conv.parameters(), **options), Adas(single.linear.parameters(), lr=2e-3)]
    for step in range(20):
        for board, steppers in ((grouped, [rule]), (single, rules)):
            board.zero_grad()
            loss(board, step).backward()
            for stepper in steppers:
                stepper.step()
    assert apart(list(grouped.parameters()), list(single.parameters())) == 0.0
    late = Adas(other.conv.parameters())
    walk(late, other, 3)
    late.add_param_group({"params": [other.strength], "lr": 1e-2})
    before = other.strength.item()
    walk(late, other, 1, 3)
    assert abs(other.strength.item() - before) == pytest.approx(1e-2, rel=1e-4), "its own first step"
    assert [late.state[p]["step"].item() for p in (other.conv.weight, other.strength)] == [4, 1]


def test_a_state_goes_out_and_comes_back(tmp_path: Path) -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        straight, broken, fresh = network(dtype), network(dtype), network(dtype)
        expected = walk(Adas(straight.parameters(), **LIVELY), straight, 12)
        rule = Adas(broken.parameters(), **LIVELY)
        walk(rule, broken, 5)
        buffer = io.BytesIO()
        torch.save({"weights": broken.state_dict(), "rule": rule.state_dict()}, buffer)
        buffer.seek(0)
        saved = torch.load(buffer, weights_only=True)
        fresh.load_state_dict(saved["weights"])
        again = Adas(fresh.parameters())
        again.load_state_dict(saved["rule"])
        assert again.param_groups[0]["betas"] == LIVELY["betas"]
        assert apart(walk(again, fresh, 7, 5), expected) == 0.0, dtype
    twin = Adas(broken.parameters())
    twin.load_state_dict(rule.state_dict())
    assert twin.state[broken.strength]["mean"].data_ptr() != rule.state[broken.strength]["mean"].data_ptr()
    assert copy.deepcopy(rule).state_dict()["param_groups"] == rule.state_dict()["param_groups"]


def test_numbers_of_every_width() -> None:
    exact, single, half = network(), network(torch.float32), network(torch.bfloat16)
    rules = {board: Adas(board.parameters(), lr=3e-3) for board in (exact, single, half)}
    ends = [walk(rule, board, 60) for board, rule in rules.items()]
    assert apart(ends[0], [p.double() for p in ends[1]]) < 1e-4
    assert all(p.dtype == torch.bfloat16 for p in ends[2])
    state = rules[half].state[half.linear.weight]
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert (state["growth"] - 1).abs().max() > 0.01, "changes of a thousandth are not lost"
    first = sum(loss(network(), step).item() for step in range(100, 120))
    for board in rules:
        dtype = next(board.parameters()).dtype
        assert sum(loss(board, step, dtype).item() for step in range(100, 120)) < 0.8 * first
    # Of both widths in one group
    mixed = nn.ModuleList([nn.Linear(2, 2).double(), nn.Linear(2, 2)])
    rule = Adas(mixed.parameters())
    for parameter in mixed.parameters():
        parameter.grad = torch.ones_like(parameter)
    rule.step()
    assert {rule.state[p]["growth"].dtype for p in mixed.parameters()} == {torch.float64, torch.float32}


def test_nothing_on_the_device_is_read() -> None:
    """A device without contents stands for CUDA, where reading a number would wait for all that was asked before."""
    board = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 2, 3), nn.BatchNorm2d(2)).to("meta")
    rule = Adas(input_groups(board))
    for _ in range(2):
        for parameter in board.parameters():
            parameter.grad = torch.empty_like(parameter)
        rule.step()
    assert {p.device.type for p in board.parameters()} == {"meta"}
    assert rule.state[board[0].weight]["step"].item() == 2


def test_large_and_small_tensors_in_any_order_are_each_stepped_once() -> None:
    sizes = (300_000, 5, 200_000, 100_000, 7, 500_000, 1)
    parameters = [nn.Parameter(torch.zeros(size)) for size in sizes]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    Adas(parameters, lr=0.5).step()
    assert all(torch.allclose(p, torch.tensor(-0.5)) for p in parameters)


def test_what_has_no_gradient_rests() -> None:
    board = network()
    rule = Adas(board.parameters())
    loss(board, 0).backward()
    board.linear.weight.grad = None
    before = board.linear.weight.detach().clone()
    rule.step()
    assert torch.equal(board.linear.weight, before)
    assert board.linear.weight not in rule.state
    assert rule.state[board.conv.weight]["step"].item() == 1


def test_gradients_that_it_cannot_use_are_refused_before_anything_moves() -> None:
    table, plain = nn.Embedding(4, 2, sparse=True), nn.Linear(2, 1)
    rule = Adas([*plain.parameters(), *table.parameters()])
    plain(table(torch.tensor([1]))).sum().backward()
    before = plain.weight.detach().clone()
    with pytest.raises(GanvasError, match=r"^adas cannot use the sparse gradient of a \(4, 2\) parameter: use .*$"):
        rule.step()
    assert torch.equal(plain.weight, before)
    number = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    number.grad = torch.ones_like(number)
    with pytest.raises(GanvasError, match="complex gradient"):
        Adas([number]).step()


def test_climbing_is_descending_upside_down() -> None:
    down, up = network(), network()
    below = walk(Adas(down.parameters(), **LIVELY), down, 30)
    above = walk(Adas(up.parameters(), maximize=True, **LIVELY), up, 30, sign=-1.0)
    assert apart(below, above) == 0.0


def test_a_closure_is_called_with_gradients_and_its_loss_returned() -> None:
    board, other = network(), network()
    rule = Adas(board.parameters())

    def closure() -> Tensor:
        rule.zero_grad()
        value = loss(board, 0)
        value.backward()
        return value

    with torch.no_grad():
        assert rule.step(closure).item() == loss(network(), 0).item()
    assert apart(list(board.parameters()), walk(Adas(other.parameters()), other, 1)) == 0.0
    assert rule.step() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "lr is -1.0"),
        ({"lr2": math.nan}, "lr2 is nan"),
        ({"lr3": math.inf}, "lr3 is inf"),
        ({"eps": -1e-8}, "eps is"),
        ({"betas": (0.9, 0.999)}, "three numbers"),
        ({"betas": (0.9, 0.999, 1.0)}, "less than 1"),
        ({"output_axis": -1}, "output_axis is -1"),
        ({"output_axis": 1}, "more axes than"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Adas([nn.Parameter(torch.zeros(3))], **options)
    rule = Adas([nn.Parameter(torch.zeros(3))])
    with pytest.raises(ValueError, match=message):
        rule.add_param_group({"params": [nn.Parameter(torch.zeros(2))], **options})
    assert len(rule.param_groups) == 1


def test_every_system_that_lets_one_choose_takes_it() -> None:
    found = 0
    for name in catalogue():
        _, _, system = load_system(name)
        for knob in knobs(system.Config):  # type: ignore[attr-defined]
            if knob.name == "optimiser" and tuple(knob.choices) == NAMES:
                board: Any = system.__new__(system)
                nn.Module.__init__(board)
                board.config = replace(system.Config(), optimiser="adas")  # type: ignore[attr-defined]
                for player in board.players():
                    weight = nn.Parameter(torch.ones(2, 2))
                    rule = player.optimiser([("weight", weight)])
                    assert isinstance(rule, Adas)
                    assert rule.param_groups[0]["as_published"]
                    weight.grad = torch.ones(2, 2)
                    rule.step()
                    assert torch.allclose(weight, torch.tensor(1.0 - rule.param_groups[0]["lr"]))
                found += 1
    assert found >= 3


@pytest.mark.slow
def test_a_run_of_dcgan_stops_and_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    straight, pieces = tmp_path / "straight", tmp_path / "pieces"
    words = (
        "--data chest --size 16 --phantom-count 40 --threads 1 --device cpu --precision 32 --channels-last off --sample-every 0"
    )
    rule = "--set optimiser=adas --set width=2 --set latent_size=4 --set batch_size=4"
    done = toys.ganvas("train", "dcgan", *words.split(), *rule.split(), "--budget", "7r", "--out", straight)
    assert done.returncode == 0, done.stderr
    config = {"optimiser": "adas", "width": 2, "latent_size": 4, "batch_size": 4}
    settings: dict[str, Any] = {"threads": 1, "device": "cpu", "precision": "32", "channels_last": "off", "sample_every": 0}
    ganvas.train("dcgan", "chest", size="16", phantom_count=40, out=pieces, config=config, budget="3r", quiet=True, **settings)
    assert ganvas.train(resume=pieces, budget="7r", quiet=True)["resumed"]
    assert toys.digests(pieces) == toys.digests(straight)
