"""What a round exchanges, counted by the benchmark's formula and as the code passes it on; the model's corner cases."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from ganvas.parallel import Processes


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "scaling.py"
    spec = importlib.util.spec_from_file_location("scaling", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


class Listening:
    """Stands for the collectives of two processes that always have the same."""

    patience = 1.0

    def __init__(self) -> None:
        self.bytes: list[int] = []
        self.said: list[Any] = []

    def all_reduce(self, tensor: torch.Tensor, reduce_op: str) -> torch.Tensor:
        assert reduce_op == "mean"
        self.bytes.append(tensor.numel() * tensor.element_size())
        return tensor

    def broadcast(self, value: Any, src: int) -> Any:
        self.said.append(value)
        return value


def test_a_round_exchanges_the_gradients_of_each_turn_and_nothing_else(bench: ModuleType) -> None:
    group = Listening()
    engine = bench.board(Processes(torch.device("cpu"), 0, 2, group), 4, 4)
    engine.play_round()
    owned = {name: sum(p.numel() for p in seat.owned) for name, seat in engine.seats.items()}
    assert len(set(owned.values())) == len(owned) == 2
    expected = [4 * owned[turn.player] for turn in engine.phases[0].turns]
    assert group.bytes == bench.formula(engine) == expected
    assert group.said == []


def test_the_model_of_an_exchange(bench: ModuleType) -> None:
    assert bench.all_reduce_seconds(1e6, 2, 1e6, 0.0) == pytest.approx(1.0), "half to the other, half back"
    assert bench.all_reduce_seconds(1e6, 1, 1e6, 1.0) == 0.0
    assert bench.all_reduce_seconds(0, 8, 1e6, 0.5) == pytest.approx(7.0), "14 steps"
    rows = bench.table({"small": ([10**6, 10**6], 0.01), "large": ([10**6, 10**6], 1.0)})
    weak = {(row["case"], row["machines"]): row["weak"] for row in rows}
    for name in bench.MACHINES:
        assert weak["small", name] < weak["large", name] <= 1
    assert all(row["strong"] <= row["weak"] for row in rows), "shared work takes less time and is exchanged as much"
