"""Networks that forget their activations: the same numbers, and less is kept."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganvas.engine import Engine
from ganvas.errors import GanvasError
from ganvas.memory.board import build_board, describe, play, seat
from ganvas.recomputing import forget_activations


class Network(nn.Module):
    """With everything that changes while it is played."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self.second = nn.utils.parametrizations.spectral_norm(nn.Conv2d(8, 16, 3, 2, 1))
        self.drop, self.last = nn.Dropout(0.3), nn.Linear(64, 1)

    def forward(self, x: Tensor, *, gain: float = 1.0) -> Tensor:
        x = nn.functional.leaky_relu(self.norm(self.first(x)), 0.2, inplace=True)
        return gain * self.last(self.drop(self.second(x).sin().flatten(1)))


def three_steps(forgets: bool) -> list[Tensor]:
    network = Network().double()
    if forgets:
        forget_activations(network)
    torch.manual_seed(1)
    found: list[Tensor] = []
    for _ in range(3):
        x = torch.randn(4, 3, 8, 8, dtype=torch.float64, requires_grad=True)
        first, second = network(x), network(2 * x, gain=0.5)
        (slope,) = torch.autograd.grad(first.sum(), x, create_graph=True)
        (first.mean() + second.square().mean() + slope.square().sum()).backward()
        found += [p.grad.clone() for p in network.parameters() if p.grad is not None]
        found += [own.clone() for own in network.buffers()] + [torch.rand(2)]
        with torch.no_grad():
            for p in network.parameters():
                p -= 0.1 * p.grad  # type: ignore[operator]
                p.grad = None
    return found


def test_gradients_of_every_order_statistics_and_chance_are_the_same() -> None:
    for own, other in zip(three_steps(True), three_steps(False), strict=True):
        assert torch.equal(own, other)


def test_what_lies_between_is_not_kept() -> None:
    def kept(forgets: bool) -> int:
        network = nn.Sequential(*[nn.Sequential(nn.Linear(256, 256), nn.Tanh()) for _ in range(8)])
        if forgets:
            forget_activations(network)
        held: list[Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: held.append(x) or x, lambda x: x):
            network(torch.randn(512, 256)).sum()
        return len(held)

    assert kept(True) < 3 < 10 < kept(False)


def test_a_copy_plays_itself() -> None:
    network = Network()
    forget_activations(network)
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.last.bias += 100
    assert other.eval()(torch.zeros(1, 3, 8, 8)).item() > 50 > network.eval()(torch.zeros(1, 3, 8, 8)).item()


def test_a_network_that_does_something_else_the_second_time_is_told_of() -> None:
    class Fickle(nn.Module):
        times = 0

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.times += 1
            return self.layer(x.sin() if self.times == 1 else x)

    network = Fickle()
    forget_activations(network)
    with pytest.raises(RuntimeError, match="the same twice"):
        network(torch.randn(2, 3, requires_grad=True)).sum().backward()


def test_an_engine_keeps_less_and_ends_in_the_same_bits() -> None:
    def played(**more: Any) -> Engine:
        case = describe("dcgan", size="16", channels=1, preset="paper", config={"width": 8}, batch=8, precision="32", threads=1)
        case = case.changed(**more)
        torch.manual_seed(0)
        engine = seat(case, build_board(case, "cpu"))
        play(engine)
        return engine

    plain, again = played(), played(recompute=True)
    for name, own in plain.system.state_dict().items():
        assert torch.equal(own, again.system.state_dict()[name]), name


def test_compiled_networks_are_not_asked_to_forget() -> None:
    case = describe("dcgan", size="16", channels=1, preset="paper", config={"width": 4}, batch=4, precision="32", threads=1)
    with pytest.raises(GanvasError, match="leave one out"):
        Engine(build_board(case, "cpu"), {}, compile_networks=True, recompute=True)
