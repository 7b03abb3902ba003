"""Who started this process: torchrun, Fabric's launcher, SLURM, or nobody. Told by the environment alone, without torch.

Not for joining the others: that is `ranks`.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import GanvasError

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
FABRIC = {"LT_STRATEGY": ("auto", "ddp"), "LT_PRECISION": ("32", "32-true")}  # all else that `fabric run` may say is refused


@dataclass(frozen=True)
class Place:
    """This process among those that a launcher started.

    launcher: its name. rank, world: position among all, and their number. local_rank, local_world: the same on this machine.
    address, port: where process 0 can be reached. accelerator: `cpu`, `cuda` ... where the launcher was told one, else None.
    """

    launcher: str
    rank: int
    world: int
    local_rank: int
    local_world: int
    address: str
    port: int
    accelerator: str | None = None


def found(environment: Mapping[str, str] | None = None) -> Place | None:
    """The place that the environment tells, None where no launcher started this process. Raises GanvasError for half a one.

    SLURM counts inside of `srun` with several tasks: a batch script itself has SLURM's variables too, and is one process.
    """
    given = os.environ if environment is None else environment
    if given.get("RANK") and given.get("WORLD_SIZE"):
        return _named(given)
    if given.get("SLURM_PROCID") and int(_number(given, "SLURM_STEP_NUM_TASKS", "1")) > 1:
        return _slurm(given)
    return None


def leads() -> bool:
    """Whether this process talks to the user: process 0, or one that nobody else started."""
    try:
        place = found()
    except GanvasError:
        return True  # it is going to be told why
    return place is None or place.rank == 0


def neighbours(processes: int) -> int:
    """How many of a run's processes share this machine."""
    place = found()
    return processes if place is None or place.world != processes else place.local_world


def shown_apart() -> bool:
    """Whether the launcher may show each process a GPU of its own and no other, as `--gpus-per-task=1` of SLURM does."""
    place = found()
    return place is not None and place.launcher == "srun"


def hush() -> None:
    """Beside a launcher, keep the C++ side of torch from writing stacks about peers that have gone. Before torch is loaded."""
    with contextlib.suppress(GanvasError):  # which is told where it matters
        if found() is not None:
            os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def agreed(given: Mapping[str, Any], place: Place | None) -> dict[str, Any]:
    """The settings that were given, with the number of processes that a launcher started. Raises GanvasError for another."""
    if place is None:
        return dict(given)
    asked = given.get("processes")
    if asked is not None and asked != place.world:
        raise GanvasError(
            f"--processes {asked}, but {place.launcher} started {place.world}: leave --processes out, which starts processes "
            "itself, on one machine"
        )
    return {**given, "processes": place.world}


def _named(given: Mapping[str, str]) -> Place:
    if not given.get("LOCAL_RANK") and given.get("WORLD_SIZE") == "1":
        given = {**given, "LOCAL_RANK": "0"}
    if given.get("WORLD_SIZE") == "1":  # one process talks to nobody
        given = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", **given}
    missing = [name for name in NAMES if not given.get(name)]
    if missing:
        raise GanvasError(
            f"RANK and WORLD_SIZE say that this is one of several processes, but {', '.join(missing)} is not set: a launcher "
            "such as torchrun sets all; to train in one process, unset RANK and WORLD_SIZE"
        )
    rank, world, local = (int(_number(given, name)) for name in NAMES[:3])
    beside = int(_number(given, "LOCAL_WORLD_SIZE", str(local + 1)))
    if not (rank < world and local < beside <= world):
        raise GanvasError(
            f"RANK {rank} of WORLD_SIZE {world} and LOCAL_RANK {local} of LOCAL_WORLD_SIZE {beside} are no place among several "
            "processes: start them with torchrun, or number them from 0"
        )
    launcher, accelerator = "torchrun" if "TORCHELASTIC_RUN_ID" in given else "RANK and WORLD_SIZE", None
    if given.get("LT_CLI_USED") == "1":
        launcher, accelerator = "fabric run", given.get("LT_ACCELERATOR")
        accelerator = {"gpu": "cuda", "auto": None}.get(str(accelerator), accelerator)
        for name, usual in FABRIC.items():
            if given.get(name, usual[0]) not in usual:
                option = "--" + name.removeprefix("LT_").lower()
                raise GanvasError(
                    f"fabric run {option} {given[name]}: leave it out; ganvas averages gradients itself, and has a --precision "
                    "of its own, after the script"
                )
    port = int(_number(given, "MASTER_PORT"))
    return Place(launcher, rank, world, local, beside, given["MASTER_ADDR"], port, accelerator)


def _slurm(given: Mapping[str, str]) -> Place:
    rank, world = int(_number(given, "SLURM_PROCID")), int(_number(given, "SLURM_STEP_NUM_TASKS"))
    local, node = int(_number(given, "SLURM_LOCALID", "0")), int(_number(given, "SLURM_NODEID", "0"))
    counts = _tasks(given.get("SLURM_STEP_TASKS_PER_NODE", ""))
    beside = counts[node] if node < len(counts) else local + 1
    nodes = given.get("SLURM_STEP_NODELIST") or given.get("SLURM_JOB_NODELIST") or given.get("SLURM_NODELIST") or ""
    address = given.get("MASTER_ADDR") or first_host(nodes)
    if not address or rank >= world:
        raise GanvasError(
            f"SLURM_PROCID {rank} of SLURM_STEP_NUM_TASKS {world} with SLURM_STEP_NODELIST '{nodes}' does not say where the "
            "processes are: start them with srun, or export MASTER_ADDR in the batch script"
        )
    # Below the ports that systems give away by themselves; steps of one job, and jobs that follow one another, differ.
    usual = 10_000 + (int(_number(given, "SLURM_JOB_ID", "0")) * 16 + int(_number(given, "SLURM_STEP_ID", "0"))) % 20_000
    return Place("srun", rank, world, local, beside, address, int(_number(given, "MASTER_PORT", str(usual))))


def first_host(nodes: str) -> str:
    """The first name of a list as SLURM writes it: `gpu[003-005,9],login1` -> `gpu003`."""
    head = re.match(r"([^,\s\[]*)(?:\[([^\],-]*)[^\]]*\])?([^,\s\[]*)", nodes.strip())
    return "" if head is None else "".join(part or "" for part in head.groups())


def _tasks(text: str) -> list[int]:
    """`2(x3),1` -> [2, 2, 2, 1]."""
    found: list[int] = []
    for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", text):
        found += [int(count)] * int(times or 1)
    return found


def _number(given: Mapping[str, str], name: str, usual: str | None = None) -> str:
    text = given.get(name) or usual or ""
    if not text.isdecimal():
        raise GanvasError(f"{name}={text} is no whole number from 0: the launcher sets it, or unset it to train in one process")
    return text
