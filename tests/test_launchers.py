"""Who started a process, by its environment alone: places that are whole, and one line for those that are not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ganvas import launchers
from ganvas.cli import main
from ganvas.errors import GanvasError
from ganvas.launchers import Place, agreed, first_host, found, leads, neighbours
from ganvas.parallel import pick_device

TORCHRUN = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29400", "TORCHELASTIC_RUN_ID": "none",
}  # fmt: skip
SRUN = {
    "SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "6", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_STEP_ID": "2",
    "SLURM_STEP_TASKS_PER_NODE": "4,2", "SLURM_STEP_NODELIST": "gpu[017-018]", "SLURM_JOB_ID": "4711",
}  # fmt: skip


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {*TORCHRUN, *SRUN, "LT_CLI_USED", "LT_ACCELERATOR", "LT_STRATEGY", "LT_PRECISION"}:
        monkeypatch.delenv(name, raising=False)


def test_nobody_started_a_process() -> None:
    assert found({}) is None
    assert found({"WORLD_SIZE": "8", "MASTER_ADDR": "a"}) is None, "of a script that only prepares"
    batch = {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "a"}
    assert found(batch) is None, "a batch script is one process, whatever its job may start"
    assert found({**SRUN, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None
    assert leads()
    assert neighbours(3) == 3
    assert agreed({"processes": 2}, None) == {"processes": 2}


def test_places() -> None:
    assert found(TORCHRUN) == Place("torchrun", 3, 4, 1, 2, "10.0.0.1", 29400)
    fabric = {**TORCHRUN, "LT_CLI_USED": "1", "LT_ACCELERATOR": "gpu", "LT_STRATEGY": "ddp"}
    assert found(fabric) == Place("fabric run", 3, 4, 1, 2, "10.0.0.1", 29400, "cuda")
    by_hand = {name: TORCHRUN[name] for name in launchers.NAMES}
    assert found(by_hand) == Place("RANK and WORLD_SIZE", 3, 4, 1, 2, "10.0.0.1", 29400)
    assert found({"RANK": "0", "WORLD_SIZE": "1"}) == Place("RANK and WORLD_SIZE", 0, 1, 0, 1, "127.0.0.1", 29500)
    place = found(SRUN)
    assert place == Place("srun", 5, 6, 1, 2, "gpu017", 10_000 + (4711 * 16 + 2) % 20_000)
    assert found({**SRUN, "MASTER_ADDR": "head", "MASTER_PORT": "1234"}) == Place("srun", 5, 6, 1, 2, "head", 1234)
    assert found({**SRUN, **TORCHRUN}) == found(TORCHRUN), "torchrun that srun started, one on each machine"


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("gpu[003-005,9],login1", "gpu003"), ("a", "a"), ("a,b", "a"), ("n[1]x,m", "n1x"), ("10.0.0.1", "10.0.0.1"), ("", "")],
)
def test_the_first_host_of_a_list(nodes: str, first: str) -> None:
    assert first_host(nodes) == first


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"RANK": "0", "WORLD_SIZE": "2"}, "LOCAL_RANK, MASTER_ADDR, MASTER_PORT is not set"),
        ({**TORCHRUN, "RANK": "4"}, "RANK 4 of WORLD_SIZE 4 and LOCAL_RANK 1 of LOCAL_WORLD_SIZE 2 are no place"),
        ({**TORCHRUN, "RANK": "-1"}, "RANK=-1 is no whole number from 0"),
        ({**TORCHRUN, "MASTER_PORT": "auto"}, "MASTER_PORT=auto is no whole number"),
        ({**SRUN, "SLURM_STEP_NODELIST": ""}, "does not say where the processes are: .* export MASTER_ADDR"),
        ({**TORCHRUN, "LT_CLI_USED": "1", "LT_PRECISION": "16-mixed"}, "fabric run --precision 16-mixed: leave it out"),
        ({**TORCHRUN, "LT_CLI_USED": "1", "LT_STRATEGY": "fsdp"}, "fabric run --strategy fsdp: leave it out"),
    ],
)
def test_half_a_place_is_refused_in_a_line(environment: dict[str, str], line: str) -> None:
    with pytest.raises(GanvasError, match=line) as refusal:
        found(environment)
    assert "\n" not in str(refusal.value)


def test_processes_beside_a_launcher() -> None:
    place = found(TORCHRUN)
    assert agreed({"seed": 1}, place) == {"seed": 1, "processes": 4}
    assert agreed({"processes": 4}, place) == {"processes": 4}
    with pytest.raises(GanvasError, match="^--processes 2, but torchrun started 4: leave --processes out"):
        agreed({"processes": 2}, place)


def test_only_process_0_tells_what_all_find_wrong(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "no-such-system", "--budgt", "1r"]
    for rank, lines in (("0", 1), ("3", 0)):
        for name, value in {**TORCHRUN, "RANK": rank}.items():
            monkeypatch.setenv(name, value)
        assert main(words) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert len(re.findall("^ganvas: unknown option '--budgt'", said.err, re.MULTILINE)) == lines
        assert main(["show", "no-such-system"]) == 2, "commands that one process does are not silent in any"
        assert "no-such-system" in capsys.readouterr().err


def test_devices_are_counted_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def seen(gpus: int, environment: dict[str, str]) -> Any:
        for name in {*TORCHRUN, *SRUN}:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        return pick_device("cuda", 4 if environment is TORCHRUN else 6)

    assert seen(2, TORCHRUN).type == "cuda"
    with pytest.raises(GanvasError, match="this machine has 1"):
        seen(1, TORCHRUN)
    assert seen(1, SRUN).type == "cuda", "SLURM shows each task its own GPU alone"
