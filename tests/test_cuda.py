"""The contract on a GPU, for every system; skipped without one. What a card adds: no hidden waits, mixed precision, layouts."""

from __future__ import annotations

import os

import pytest
import torch

from ganvas.batches import Noise
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.kinds import kind_of
from ganvas.kinds.facets import Streams
from ganvas.parallel import Processes
from ganvas.registry import catalogue, find
from ganvas.testing import Check, system_checks
from ganvas.testing.boards import BATCH, Case, subject_of, tiny_data

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch asks for it where algorithms must be deterministic

CHECKS = [
    pytest.param(check, id=f"{name}-{check.name}") for name in catalogue() for check in system_checks(name, device="cuda")
]


@pytest.mark.parametrize("check", CHECKS)
def test_a_system_keeps_the_contract_on_a_gpu(check: Check) -> None:
    check.run()


def engine_of(name: str, **settings: object) -> Engine:
    case = Case(subject_of(name, device="cuda"), find(name).data[0])
    torch.manual_seed(0)
    system = case.system().to("cuda")
    data = tiny_data(system.spec)
    streams = {key: open_stream(data, feed, BATCH, seed=0) for key, feed in system.feeds().items()}
    return Engine(system, streams, processes=Processes(torch.device("cuda")), seed=0, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(catalogue()))
def test_rounds_never_wait_for_the_gpu(name: str) -> None:
    engine = engine_of(name, check_every=1000)
    for _ in range(3):  # optimisers' states, workspaces
        engine.play_round()
    kind = kind_of(find(name).data[0])
    if isinstance(kind, Streams) or any(callable(turn.times) for phase in engine.phases for turn in phase.turns):
        pytest.skip("walks are drawn by the processor; how often a player moves hangs on a buffer")
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(2):
            engine.play_round()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("name", list(catalogue()))
def test_mixed_precision_plays_and_makes_finite_records(name: str, precision: str) -> None:
    engine = engine_of(name, precision=precision, channels_last=True, check_every=2)
    for _ in range(6):
        report = engine.play_round()
        assert report is None or report.incident is None
    with engine.watching() as system:
        if hasattr(system, "sample"):
            made = system.sample(3, Noise.seeded(0, torch.device("cuda"), torch.float32))
            assert torch.isfinite(made.double()).all()
