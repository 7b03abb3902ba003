"""One process or many: launch, rank, collectives and autocast, on Lightning Fabric.

No module is wrapped: the Engine averages the gradients that a turn owns in one flat all-reduce, so unused parameters,
overlapping players and double backward need no special care. Not for data or rounds, nor for processes that somebody else
started (`ranks`).
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from .errors import GanvasError, RunError
from .launchers import neighbours, shown_apart

TIMEOUT_SECONDS = 60  # a process that is silent for so long is given up
GRACE_SECONDS = 8.0  # for the others to end by themselves once one is gone
PRECISIONS = ("32", "bf16-mixed", "16-mixed", "64")


class Gone(RunError):
    """One of several processes died or fell silent, for no reason that it could tell."""


class Group:
    """The collectives of processes that have joined one another; of torch.distributed, whoever started them.

    patience: seconds after which torch gives up a silent peer.
    """

    def __init__(self, patience: float = TIMEOUT_SECONDS) -> None:
        self.patience = patience

    def all_reduce(self, tensor: Tensor, reduce_op: str) -> Tensor:
        """The sum or the mean over all, in place."""
        distributed = torch.distributed
        if reduce_op == "mean" and distributed.get_backend() == "nccl":
            distributed.all_reduce(tensor, op=distributed.ReduceOp.AVG)
            return tensor
        distributed.all_reduce(tensor, op=distributed.ReduceOp.SUM)
        return tensor if reduce_op == "sum" else tensor.div_(distributed.get_world_size())

    def broadcast(self, value: Any, src: int) -> Any:
        """What process `src` has, plain values and tensors."""
        box = [value]
        torch.distributed.broadcast_object_list(box, src)
        return box[0]

    def barrier(self) -> None:
        """Return when all have called it."""
        torch.distributed.barrier()


class Processes:
    """This process among its peers.

    rank, world: position and number of processes. device: where this one computes. group: their collectives; one process needs
    none. line: connection to the parent process.
    """

    def __init__(self, device: torch.device, rank: int = 0, world: int = 1, group: Any = None, line: Any = None) -> None:
        self.device = device
        self.rank = rank
        self.world = world
        self.group = group
        self.line = line
        self._told: int | None = None

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
            flat = self._collective(functools.partial(self.group.all_reduce, flat, reduce_op="mean"))
            for tensor, piece in zip(group, flat.split([t.numel() for t in group]), strict=True):
                tensor.copy_(piece.view_as(tensor))

    def sum_(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its sum over the processes."""
        if self.world > 1:
            for tensor in tensors:
                tensor.copy_(self._collective(functools.partial(self.group.all_reduce, tensor, reduce_op="sum")))

    def lead_(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by rank 0's."""
        if self.world > 1:
            for tensor in tensors:
                tensor.copy_(self._collective(functools.partial(self.group.broadcast, tensor, src=0)))

    def any(self, flag: bool) -> bool:
        """True on every process when it is true on one."""
        if self.world == 1:
            return flag
        total = torch.tensor([float(flag)], device=self.device)
        self.sum_([total])
        return bool(total.item() > 0)

    def agree(self, value: Any) -> Any:
        """Rank 0's value, on every process (clocks differ between processes; decisions must not)."""
        return value if self.world == 1 else self._collective(lambda: self.group.broadcast(value, src=0))

    def gather(self, value: Any) -> list[Any]:
        """Every process's plain value, in rank order, on every process."""
        if self.world == 1:
            return [value]
        collected: list[Any] = [None] * self.world
        self._collective(lambda: torch.distributed.all_gather_object(collected, value))
        return collected

    def wait(self) -> None:
        """Return when every process has called this."""
        if self.world > 1:
            self._collective(self.group.barrier)

    def told(self) -> int | None:
        """The number of the signal that the parent process passed on; None before that, and with one process.

        Raises RunError when the parent process is gone: a run that nobody can stop must not go on.
        """
        try:
            while self.line is not None and self._told is None and self.line.poll():
                self._told = self.line.recv()
        except (EOFError, OSError) as error:
            raise RunError("the process that started the training is gone") from error
        return self._told

    def _collective(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except RuntimeError as error:  # gloo and nccl raise RuntimeError when a peer is gone or silent
            raise Gone(
                f"process {self.rank} of {self.world} lost touch with another one (it ended, or was silent for "
                f"{self.group.patience:.0f} s)"
            ) from error


class Agreement:
    """How the processes keep the mutable buffers of a System alike, by the rule of each (`System.reductions`).

    Raises ValueError for an unknown rule.
    """

    RULES = ("mean", "sum", "lead", "rank")

    def __init__(self, processes: Any, buffers: dict[str, Tensor], rules: Mapping[str, str]) -> None:
        self.processes = processes
        self._groups: dict[str, dict[str, Tensor]] = {rule: {} for rule in self.RULES}
        for name, rule in rules.items():
            if rule not in self.RULES:
                raise ValueError(f"buffer '{name}' has the unknown rule '{rule}'; rules: {', '.join(self.RULES)}")
        for name, buffer in buffers.items():
            default = "mean" if buffer.is_floating_point() else "lead"
            chosen = next((r for key, r in rules.items() if name == key or name.endswith("." + key)), default)
            self._groups[chosen][name] = buffer
        self.mark()

    def state(self) -> dict[str, dict[str, Tensor]]:
        """What this process has to itself: buffers kept per rank and, among several, all others until the next agreement.

        buffers: by name. base: what summed buffers held at the last agreement; a sum counts only what came after.
        """
        own = dict(self._groups["rank"])
        if self.processes.world > 1:
            own |= {name: buffer for group in self._groups.values() for name, buffer in group.items()}
        return {"buffers": own, "base": self._base}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        for name, buffer in self.state()["buffers"].items():
            buffer.copy_(state["buffers"][name])
        for name, value in self._base.items():
            value.copy_(state["base"][name])

    def mark(self) -> None:
        """What summed buffers hold now is agreed on."""
        self._base = {name: buffer.clone() for name, buffer in self._groups["sum"].items()}

    @torch.no_grad()
    def reach(self) -> None:
        """Make the buffers alike now. Every process must call it."""
        if self.processes.world == 1:
            return
        self.processes.average_(list(self._groups["mean"].values()))
        self.processes.lead_(list(self._groups["lead"].values()))
        for name, buffer in self._groups["sum"].items():
            news = buffer - self._base[name]
            self.processes.sum_([news])
            buffer.copy_(self._base[name] + news)
        self.mark()


def pick_device(name: str, processes: int = 1) -> torch.device:
    """`auto`, `cpu`, `cuda`, `cuda:1` or `mps` -> a device that exists, one for each process here unless it is the CPU.

    A launcher may show each process one GPU, its own. Raises GanvasError when there are too few.
    """
    device = _device(name)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # the same bits each time, see `exactly`
    here = neighbours(processes)
    found = {"cpu": here, "cuda": torch.cuda.device_count()}.get(device.type, 1)
    if here > found and not (found == 1 and shown_apart()):
        raise GanvasError(f"--processes {processes} needs as many {device.type} devices, this machine has {found}: use {found}")
    return device


def _device(name: str) -> torch.device:
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


def exactly(device: torch.device, wanted: bool = True) -> None:
    """On a GPU, let torch take algorithms that give the same bits each time; an operation without one is warned of, once.

    Changes this process's global state: call it where a run begins. Needs an environment variable that cuBLAS reads when it is
    first used, which `pick_device` sets.
    """
    if device.type == "cuda":
        torch.use_deterministic_algorithms(wanted, warn_only=True)


def launch(function: Callable[..., Any], arguments: tuple[Any, ...], *, processes: int, device: str) -> Any:
    """Run `function(processes, *arguments)` in `processes` processes and return rank 0's (picklable) result.

    With one process it is a plain call. With several, SIGINT and SIGTERM reach this process alone, which passes the first
    one on (`Processes.told`) and ends everything at the second. Raises what a process raised, GanvasError or RunError, in
    one line, and Gone when a process dies; the others have ended by then.
    """
    place = pick_device(device, processes)
    if processes == 1:
        return function(Processes(place), *arguments)
    if multiprocessing.parent_process() is not None:
        raise GanvasError(
            "training on several processes was started by one of them: put the call under  if __name__ == '__main__':"
        )
    with _Crew(processes, place.type, function, arguments) as crew:
        return crew.result()


class _Crew:
    """The processes of one run, seen from the one that started them."""

    def __init__(self, world: int, kind: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        from lightning_fabric.plugins.environments.lightning import find_free_network_port

        context = multiprocessing.get_context("spawn")
        port = find_free_network_port()
        self.lines: list[Any] = []
        self.members: list[Any] = []
        self.signal: int | None = None
        for rank in range(world):
            here, there = context.Pipe()
            self.lines.append(here)
            self.members.append(
                (context.Process(target=_member, args=(rank, world, kind, port, there, function, arguments)), there)
            )

    def __enter__(self) -> _Crew:
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # it meddles with the mask of blocked signals when it starts
        self._old = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError):  # not the main thread: the signals are someone else's then
                self._old[number] = signal.signal(number, self._pass_on)
        # Members are born with both signals blocked and leave them so: a Ctrl-C in the terminal reaches every process of
        # the group, at any moment of their start, and only this one may act on it.
        quiet = {"TORCH_CPP_LOG_LEVEL": "ERROR"} | ({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {})
        quiet = {key: value for key, value in quiet.items() if key not in os.environ}
        mask = hasattr(signal, "pthread_sigmask")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM)) if mask else None
        os.environ.update(quiet)
        try:
            for process, line in self.members:
                process.start()
                line.close()  # the member has its own; what remains open here would hide its death
        finally:
            for key in quiet:
                del os.environ[key]
            if before is not None:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self

    def _pass_on(self, number: int, frame: Any) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        for line in self.lines:
            with contextlib.suppress(OSError):  # that one has ended
                line.send(number)

    def result(self) -> Any:
        """Rank 0's result, once all have ended well."""
        waiting: dict[Any, int] = dict(zip(self.lines, range(len(self.lines)), strict=True))
        answers: dict[int, Any] = {}
        failures: list[tuple[int, int, str]] = []  # (how little it explains, exit code, line)
        deadline: float | None = None
        while waiting:
            patience = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready: list[Any] = multiprocessing.connection.wait(list(waiting), patience)
            if not ready:
                break  # the others do not notice that one is gone
            for line in ready:
                rank = waiting.pop(line)
                value: Any
                try:
                    kind, value = line.recv()
                except (EOFError, OSError):
                    kind, value = "failed", (1, RunError.exit_code, self._epitaph(rank))
                if kind == "done":
                    answers[rank] = value
                elif kind == "failed":
                    failures.append(value)
                else:
                    raise RuntimeError(f"process {rank} of {len(self.lines)}:\n{value}")
            if failures and deadline is None:
                deadline = time.monotonic() + GRACE_SECONDS
        if failures:
            vague, code, text = min(failures)
            raise (Gone if vague else RunError if code == RunError.exit_code else GanvasError)(text)
        return answers[0]

    def _epitaph(self, rank: int) -> str:
        process = self.members[rank][0]
        process.join(GRACE_SECONDS)
        code = process.exitcode
        how = f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        return f"process {rank} of {len(self.lines)} died ({how})"

    def __exit__(self, *exception: Any) -> None:
        for process, _ in self.members:
            if process.pid is not None:
                if exception[0] is None:
                    process.join(GRACE_SECONDS)
                process.kill()
                process.join()
        for number, handler in self._old.items():
            signal.signal(number, handler)


def _member(
    rank: int, world: int, kind: str, port: int, line: Any, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    """The life of one process of several: join the group, run the function, report to the parent."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment
    from lightning_fabric.strategies import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    try:
        strategy = DDPStrategy(
            cluster_environment=LightningEnvironment(),
            process_group_backend="nccl" if kind == "cuda" else "gloo",
            timeout=datetime.timedelta(seconds=TIMEOUT_SECONDS),
        )
        fabric: Any = Fabric(accelerator=kind, devices=world, strategy=strategy)
        fabric.launch()
        result = function(Processes(fabric.device, rank, world, Group(), line), *arguments)
        message: tuple[str, Any] = ("done", result if rank == 0 else None)
    except GanvasError as error:
        message = ("failed", (2 if isinstance(error, Gone) else 0, error.exit_code, str(error)))
    except BaseException:
        message = ("broke", traceback.format_exc())
    with contextlib.suppress(OSError):  # the parent is gone: nobody is left to tell
        line.send(message)
    if message[0] != "done":
        os._exit(1)  # a broken process group can hang on its way out
    torch.distributed.destroy_process_group()
