"""One process or many: launch, rank, collectives and autocast, on Lightning Fabric.

No module is wrapped: the Engine averages the gradients that a turn owns in one flat all-reduce, so unused parameters,
overlapping players and double backward need no special care. Not for data or rounds.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .errors import GanvasError, RunError

TIMEOUT_SECONDS = 60
PRECISIONS = ("32", "bf16-mixed", "16-mixed", "64")


class Processes:
    """This process among its peers.

    rank, world: position and number of processes. device: where this one computes. fabric: Lightning Fabric when there
    are several processes; one process needs no collectives and spares the import.
    """

    def __init__(self, device: torch.device, rank: int = 0, world: int = 1, fabric: Any = None) -> None:
        self.device = device
        self.rank = rank
        self.world = world
        self.fabric = fabric

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0

    def autocast(self, precision: str) -> contextlib.AbstractContextManager[Any]:
        """The context in which objectives run: bfloat16 or float16 where that is safe, or no change."""
        if precision == "bf16-mixed":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        if precision == "16-mixed":
            return torch.autocast(self.device.type, dtype=torch.float16)
        return contextlib.nullcontext()

    def average_(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in one flat all-reduce per dtype."""
        if self.world == 1 or not tensors:
            return
        for dtype in {t.dtype for t in tensors}:
            group = [t for t in tensors if t.dtype == dtype]
            flat = torch.cat([t.reshape(-1) for t in group])
            flat = self._collective(lambda flat=flat: self.fabric.all_reduce(flat, reduce_op="mean"))
            for tensor, piece in zip(group, flat.split([t.numel() for t in group]), strict=True):
                tensor.copy_(piece.view_as(tensor))

    def sum_(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its sum over the processes."""
        if self.world > 1:
            for tensor in tensors:
                tensor.copy_(self._collective(lambda t=tensor: self.fabric.all_reduce(t, reduce_op="sum")))

    def lead_(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by rank 0's."""
        if self.world > 1:
            for tensor in tensors:
                tensor.copy_(self._collective(lambda t=tensor: self.fabric.broadcast(t, src=0)))

    def any(self, flag: bool) -> bool:
        """True on every process when it is true on one."""
        if self.world == 1:
            return flag
        total = torch.tensor([float(flag)], device=self.device)
        self.sum_([total])
        return bool(total.item() > 0)

    def agree(self, value: Any) -> Any:
        """Rank 0's value, on every process (clocks differ between processes; decisions must not)."""
        return value if self.world == 1 else self._collective(lambda: self.fabric.broadcast(value, src=0))

    def gather(self, value: Any) -> list[Any]:
        """Every process's plain value, in rank order, on every process."""
        if self.world == 1:
            return [value]
        collected: list[Any] = [None] * self.world
        self._collective(lambda: torch.distributed.all_gather_object(collected, value))
        return collected

    def _collective(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except RuntimeError as error:  # gloo and nccl raise RuntimeError when a peer is gone or silent
            raise RunError(
                f"process {self.rank} of {self.world} lost touch with another process (it ended or was silent for "
                f"{TIMEOUT_SECONDS} s): resume with  ganvas train --resume RUN"
            ) from error


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda`, `cuda:1` or `mps` -> a device that exists. Raises GanvasError when it does not."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise GanvasError(f"unknown device '{name}': use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise GanvasError(f"device '{name}' is not on this machine: use --device cpu, or see  ganvas doctor")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise GanvasError("device 'mps' is not on this machine: use --device cpu, or see  ganvas doctor")
    return device


def _main(fabric: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(Processes(fabric.device, fabric.global_rank, fabric.world_size, fabric), *arguments)


def launch(function: Callable[..., Any], arguments: tuple[Any, ...], *, processes: int, device: str) -> Any:
    """Run `function(processes, *arguments)` in `processes` processes and return rank 0's (picklable) result.

    With one process it is a plain call. Raises RunError when a process dies.
    """
    place = pick_device(device)
    if processes == 1:
        return function(Processes(place), *arguments)
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    strategy = DDPStrategy(
        start_method="spawn",
        process_group_backend="nccl" if place.type == "cuda" else "gloo",
        timeout=datetime.timedelta(seconds=TIMEOUT_SECONDS),
    )
    fabric: Any = Fabric(accelerator=place.type, devices=processes, strategy=strategy)
    try:
        return fabric.launch(_main, function, arguments)
    except torch.multiprocessing.ProcessExitedException as error:
        raise RunError(
            f"process {error.error_index} of {processes} died ({error.signal_name or error.exit_code}): nothing saved "
            "is damaged; resume with  ganvas train --resume RUN"
        ) from error
    except torch.multiprocessing.ProcessRaisedException as error:
        line = next((x for x in reversed(str(error).strip().splitlines()) if x.strip()), "no message")
        if "GanvasError" in line or "RunError" in line or "DataError" in line:
            raise RunError(line.split(": ", 1)[-1]) from error
        raise
