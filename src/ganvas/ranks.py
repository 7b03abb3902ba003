"""The processes that a launcher started (torchrun, SLURM ...), from their first word to their last: one run between them.

Each is a whole `ganvas train`. Process 0 prepares the run and speaks for all; the others follow its word. They talk through a
store of torch.distributed, where each says every second that it is alive, what went wrong with it, and which signal it was
sent: so nobody waits long for one that is gone. Not for the processes that ganvas starts itself (`parallel`).
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import secrets
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from .errors import GanvasError, RunError
from .files import disk_errors
from .launchers import Place
from .parallel import GRACE_SECONDS, TIMEOUT_SECONDS, Gone, Group, Processes, pick_device
from .version import __version__

JOIN_SECONDS = 300.0  # for all to come: a cluster does not start them at one moment
SHARE_SECONDS = 20.0  # for a file to be seen on the other machines: network file systems remember what was not there
BEAT_SECONDS = 1.0  # between two signs of life
SILENCE_SECONDS = TIMEOUT_SECONDS  # without one a process is given up
PATIENCE_SECONDS = 600.0  # for one that lives and does not come to an exchange, as while process 0 writes to a slow disk
TWICE_SECONDS = 2.0  # torchrun passes on a Ctrl-C that the terminal has sent to all already: that is one
EXIT_SECONDS = 60  # for a process to end after a failure; one with a broken group may hang on its way out
NETWORK = "GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME names the network where there are several, as in eth0"

_calls = 0  # in this process: each has keys of its own in the store


class Ranks:
    """This process and its peers, as a context that ends with all of them.

    place: where this one stands. words: what it was asked to do, name -> text, which must be the same for all.
    Entering raises RunError when not all come, GanvasError when they were not asked for the same.
    """

    def __init__(self, place: Place, words: Mapping[str, str]) -> None:
        global _calls
        _calls += 1
        self.place, self.words = place, dict(words)
        self.leads = place.rank == 0
        self.hosts: list[str] = []
        self.signal: int | None = None
        self._signalled = 0.0
        self._state = "preparing"
        self._trouble: str | None = None
        self._orphan = False
        self._closed = threading.Event()
        self._seen: dict[int, tuple[bytes, float]] = {}
        self._answered = time.monotonic()
        self._run = ""
        self._barriers = 0
        self._parent = os.getppid()
        self._agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # torchrun itself keeps the store
        self._old: dict[int, Any] = {}
        self._prefix = f"ganvas/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}/{_calls}"

    # Coming together

    def __enter__(self) -> Ranks:
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError):  # not the main thread: the signals are someone else's then
                self._old[number] = signal.signal(number, self._note)
        try:
            self._connect()
            self._roll_call()
        except BaseException as error:
            told = self._parting(error)
            if told is error:
                raise
            raise told from error
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._state == "ending":
            return  # the launcher ends all once one has failed: what went wrong is still to be told
        now = time.monotonic()
        first = self.signal is None
        if first:
            self.signal, self._signalled = number, now
        if self._state == "preparing" or (not first and now - self._signalled > TWICE_SECONDS):
            raise KeyboardInterrupt

    def _connect(self) -> None:
        place = self.place
        if place.local_world == place.world and sys.platform == "linux":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # one machine: its name need not lead anywhere
        hosting = self.leads and not self._agent

        def client(first: bool) -> Any:
            return torch.distributed.TCPStore(
                place.address, place.port, place.world, is_master=hosting and first, wait_for_workers=False,
                timeout=datetime.timedelta(seconds=JOIN_SECONDS), multi_tenant=hosting and first,
            )  # fmt: skip

        try:
            self._server = client(True)
            self._store = torch.distributed.PrefixStore(self._prefix, self._server)
            self._wire = torch.distributed.PrefixStore(self._prefix, client(False))  # a thread needs one of its own
        except (RuntimeError, ValueError) as error:
            verb = "could not be opened for the others" if hosting else f"did not answer within {JOIN_SECONDS:.0f} s"
            raise RunError(
                f"process {place.rank} of {place.world}: {place.address}:{place.port} {verb}: MASTER_ADDR and MASTER_PORT must "
                "name the machine of process 0 and a port of it that is free and open"
            ) from error

    def _roll_call(self) -> None:
        import socket

        place = self.place
        facts = {"host": socket.gethostname(), "ganvas": __version__, "torch": str(torch.__version__), **self.words}
        self._wire.set(f"beat/{place.rank}", "0")
        self._store.set(f"here/{place.rank}", json.dumps(facts))
        for part in (self._beat, self._judge):
            threading.Thread(target=part, name=f"ganvas{part.__name__}", daemon=True).start()
        if not self.leads:
            return
        limit = time.monotonic() + JOIN_SECONDS
        come: dict[int, dict[str, str]] = {}
        while len(come) < place.world:
            for rank in set(range(place.world)) - set(come):
                if self._store.check([f"here/{rank}"]):
                    come[rank] = json.loads(self._store.get(f"here/{rank}"))
            if time.monotonic() > limit:
                missing = sorted(set(range(place.world)) - set(come))
                raise RunError(
                    f"of {place.world} processes {len(come)} came within {JOIN_SECONDS:.0f} s, {_some(missing)} did not: start "
                    f"the command on each machine, and let each reach {place.address}:{place.port}"
                )
            self._rest(limit - time.monotonic())
        self.hosts = [come[rank]["host"] for rank in range(place.world)]
        for rank in range(1, place.world):
            for name, value in facts.items():
                if name != "host" and come[rank].get(name) != value:
                    raise GanvasError(
                        f"process {rank} on {self.hosts[rank]} was started with {name} {come[rank].get(name)}, process 0 with "
                        f"{value}: start all with the same command and installation (runs of their own: one job each, as in a "
                        "job array)"
                    )
        self._say("hosts", self.hosts)

    # Word and answer

    def _say(self, what: str, value: Any) -> None:
        self._store.set(f"word/{what}", json.dumps(value))

    def _hear(self, *names: str) -> tuple[str, Any]:
        """The first of these words that process 0 says; waits as long as it lives."""
        while True:
            for name in names:
                if self._store.check([f"word/{name}"]):
                    return name, json.loads(self._store.get(f"word/{name}"))
            self._rest()

    def _rest(self, most: float = 0.2) -> None:
        """A moment. Raises Gone when there is nobody left to wait for."""
        if self._trouble is not None:
            raise Gone(self._trouble)
        time.sleep(max(0.0, min(0.05, most)))

    def share(self, folder: Path) -> None:
        """Make sure that all see what process 0 writes into a run folder, which is made. Raises RunError when one does not."""
        token = secrets.token_hex(8)
        mark = folder / f".shared-{token}"
        made = not folder.exists()
        with disk_errors(mark):
            folder.mkdir(parents=True, exist_ok=True)
            mark.write_text(token)
        self._run = str(folder)
        try:
            self._say("share", [str(folder), token])
            for rank in range(1, self.place.world):
                while not self._store.check([f"seen/{rank}"]):
                    self._rest()
                if self._store.get(f"seen/{rank}") != b"yes":
                    raise RunError(
                        f"process {rank} on {self.hosts[rank]} does not see what process 0 on {self.hosts[0]} writes into "
                        f"{folder.resolve()}: --out must be in a folder that all machines share, and the command be started in "
                        "the same place on each"
                    )
        finally:
            mark.unlink(missing_ok=True)
            if made and sys.exc_info()[0] is not None:
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def _look_for(self, folder: str, token: str) -> None:
        mark, limit = Path(folder) / f".shared-{token}", time.monotonic() + SHARE_SECONDS
        seen = False
        while not seen and time.monotonic() < limit:
            with contextlib.suppress(OSError):
                os.listdir(mark.parent)  # what was not there a moment ago is remembered by network file systems
                seen = mark.read_text() == token
            if not seen:
                self._rest()
        self._run = folder
        self._store.set(f"seen/{self.place.rank}", "yes" if seen else "no")

    # Playing

    def launch(self, function: Callable[..., Any], arguments: tuple[Any, ...], *, processes: int, device: str) -> Any:
        """As `parallel.launch`, with the processes that are there. For process 0; the others do `follow(function)`."""
        wanted = self.place.accelerator if device == "auto" and self.place.accelerator is not None else device
        kind = str(pick_device(wanted, processes))
        self._say("play", [kind, list(arguments)])
        return self._play(function, kind, arguments)

    def follow(self, function: Callable[..., Any]) -> Any:
        """Do as process 0 says: `function(processes, *arguments)`, whose result is returned; None where nothing is played."""
        self.hosts = self._hear("hosts")[1]
        name, value = self._hear("share", "play", "end")
        if name == "share":
            self._look_for(*value)
            name, value = self._hear("play", "end")
        return None if name == "end" else self._play(function, value[0], tuple(value[1]))

    def _play(self, function: Callable[..., Any], kind: str, arguments: tuple[Any, ...]) -> Any:
        place = self.place
        device = pick_device(kind, place.world)
        if device.type == "cuda":
            device = torch.device("cuda", place.local_rank if torch.cuda.device_count() > 1 else 0)
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        try:
            torch.distributed.init_process_group(
                backend, store=torch.distributed.PrefixStore(f"{self._prefix}/group", self._server), rank=place.rank,
                world_size=place.world, timeout=datetime.timedelta(seconds=PATIENCE_SECONDS),
            )  # fmt: skip
            group = _Watched(self)
            processes = Processes(device, place.rank, place.world, group, self)
            group.all_reduce(torch.zeros(1, device=device), "sum")
        except (RuntimeError, ValueError) as error:
            raise Gone(
                f"process {place.rank} of {place.world} could not be joined with the others by {backend} "
                f"({_first_line(error)}): {NETWORK}"
            ) from error
        self._state = "playing"
        result = function(processes, *arguments)
        self.wait()
        self._state = "preparing"  # a signal interrupts what is left to do
        torch.distributed.destroy_process_group()
        self._farewell()
        return result

    def _farewell(self) -> None:
        """From here on each may go; who keeps the store goes last."""
        if not self._closed.is_set():
            self._closed.set()
            self._store.add("done", 1)
            limit = time.monotonic() + GRACE_SECONDS
            while self.leads and self._store.add("done", 0) < self.place.world and time.monotonic() < limit:
                time.sleep(0.05)

    def wait(self) -> None:
        """Return when all have called this, however long one of them works before; raises Gone when one is gone."""
        self._barriers += 1
        key = f"wait/{self._barriers}"
        self._store.add(key, 1)
        while self._store.add(key, 0) < self.place.world:
            self._rest()

    def poll(self) -> bool:
        """Whether a signal has come, to this process or, in process 0, to any. With `recv`, the line of `Processes`."""
        if self._orphan:
            raise EOFError
        return self.signal is not None

    def recv(self) -> int | None:
        """Its number."""
        return self.signal

    # Signs of life, in threads: one that talks, one that never waits for the store

    def _beat(self) -> None:
        place, count = self.place, 0
        others = range(1, place.world) if self.leads else range(1)
        passed_on = False
        while not self._closed.wait(BEAT_SECONDS):
            count += 1
            try:
                self._wire.set(f"beat/{place.rank}", str(count))
                for rank in others:
                    if self._wire.check([f"beat/{rank}"]):
                        value = self._wire.get(f"beat/{rank}")
                        if self._seen.get(rank, (b"", 0.0))[0] != value:
                            self._seen[rank] = value, time.monotonic()
                if self.leads:
                    if self._wire.add("failures", 0):
                        self._trouble = self._trouble or "another process has failed"
                    if self.signal is None and self._state == "playing" and self._wire.check(["signal"]):
                        self.signal, self._signalled = int(self._wire.get("signal")), time.monotonic()
                elif self._wire.check(["over"]):
                    self._trouble = self._trouble or "process 0 has failed"
                elif self.signal is not None and not passed_on:
                    self._wire.set("signal", str(self.signal))
                    passed_on = True
            except RuntimeError:  # the store is gone, and with it who kept it
                self._orphan = self._orphan or self._agent
                self._trouble = (
                    self._trouble or f"{f'the launcher ({place.launcher})' if self._agent else self._named(0)} is gone"
                )
                return
            self._answered = time.monotonic()

    def _judge(self) -> None:
        while self._trouble is None:
            if self._closed.wait(BEAT_SECONDS):
                return
            now = time.monotonic()
            silent = [rank for rank, (_, when) in self._seen.items() if now - when > SILENCE_SECONDS]
            if silent:
                self._trouble = self._trouble or f"{self._named(silent[0])} has been silent for {SILENCE_SECONDS:.0f} s"
            elif now - self._answered > SILENCE_SECONDS:
                self._trouble = self._trouble or f"{self._named(0)} has not answered for {SILENCE_SECONDS:.0f} s"
            elif self._agent and os.getppid() != self._parent:
                self._orphan, self._trouble = True, self._trouble or f"the launcher ({self.place.launcher}) is gone"
        # Whoever waits in an exchange finds out by itself, as a rule; not where a machine has gone without a word.
        if not self._closed.wait(GRACE_SECONDS):
            if self.leads or (self.place.rank == 1 and "process 0" in self._trouble):
                print(f"ganvas: {self._resumed(self._reason(self._trouble))}", file=sys.stderr, flush=True)
            os._exit(RunError.exit_code)

    def _named(self, rank: int) -> str:
        host = f" on {self.hosts[rank]}" if len(set(self.hosts)) > 1 else ""
        return f"process {rank} of {self.place.world}{host}"

    def _resumed(self, text: str) -> str:
        if not self._run or not torch.distributed.is_initialized():
            return text
        return f"{text}; what was saved is intact, start again as before with  ganvas train --resume {self._run}"

    # The end

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            with contextlib.suppress(RuntimeError):
                if self.leads:
                    self._say("end", None)
                self._farewell()
            for number, handler in self._old.items():
                signal.signal(number, handler)
            return
        told = self._parting(error)
        if told is not error:
            raise told from error

    def _parting(self, error: BaseException) -> BaseException:
        """Tell the others what went wrong here, or hear what did there; the error to raise."""
        self._state = "ending"
        self._closed.set()
        if (
            hasattr(signal, "alarm")
            and torch.distributed.is_initialized()
            and threading.current_thread() is threading.main_thread()
        ):
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(EXIT_SECONDS)
        if not hasattr(self, "_wire"):
            return error
        try:
            if self.leads:
                return self._led(error)
            return self._followed(error)
        except RuntimeError:  # the store is gone too
            return self._forsaken(error)

    def _led(self, error: BaseException) -> BaseException:
        told: BaseException = error
        if isinstance(error, Gone):
            before = self._beats()
            failures = self._failures(GRACE_SECONDS)
            lost = [rank for rank, beat in self._beats().items() if beat == before[rank] and rank not in failures]
            vague, code, text = min(failures.values(), default=(1, 1, self._trouble or str(error)))
            if vague == 0:
                told = RuntimeError(text) if code == 0 else (RunError if code == RunError.exit_code else GanvasError)(text)
            elif lost:
                told = RunError(self._resumed(f"{self._named(lost[0])} ended without a word (killed, or its machine is gone)"))
            else:
                told = RunError(self._resumed(text))
        self._store.set("over", "1")
        limit = time.monotonic() + 2 * BEAT_SECONDS + 1.0
        while self._store.add("failures", 0) < self.place.world - 1 and time.monotonic() < limit:
            time.sleep(0.05)  # with this process the store may go, and the others would say so
        return told

    def _beats(self) -> dict[int, bytes]:
        return {
            rank: self._store.get(f"beat/{rank}") for rank in range(1, self.place.world) if self._store.check([f"beat/{rank}"])
        }

    def _failures(self, seconds: float) -> dict[int, tuple[int, int, str]]:
        """By rank, of each process that has told: how little it explains, exit code or 0 for a mistake in the code, line."""
        limit, told = time.monotonic() + seconds, {}
        while time.monotonic() < limit:
            told = {
                rank: tuple(json.loads(self._store.get(f"failed/{rank}")))
                for rank in range(1, self.place.world)
                if self._store.check([f"failed/{rank}"])
            }
            if any(vague == 0 for vague, _, _ in told.values()):
                break
            time.sleep(0.1)
        self._store.set("heard", "1")
        return told

    def _reason(self, text: str) -> str:
        with contextlib.suppress(RuntimeError):
            failures = self._failures(1.0) if self.leads else {}
            return min(failures.values())[2] if failures else text
        return text

    def _followed(self, error: BaseException) -> BaseException:
        if isinstance(error, GanvasError):
            failure = (1 if isinstance(error, Gone) else 0, error.exit_code, str(error))
        elif isinstance(error, KeyboardInterrupt):
            failure = (0, RunError.exit_code, f"{self._named(self.place.rank)} was interrupted")
        else:
            failure = (0, 0, f"{self._named(self.place.rank)}:\n{''.join(traceback.format_exception(error))}")
        self._store.set(f"failed/{self.place.rank}", json.dumps(failure))
        self._store.add("failures", 1)
        limit = time.monotonic() + GRACE_SECONDS + 2 * BEAT_SECONDS
        while not self._store.check(["heard"]) and not self._store.check(["over"]):
            if time.monotonic() > limit:
                return self._forsaken(error)
            time.sleep(0.1)
        time.sleep(1.0)  # launchers end all once one has ended: process 0 is still to tell why
        return error if isinstance(error, GanvasError | KeyboardInterrupt) else RunError(str(error))

    def _forsaken(self, error: BaseException) -> BaseException:
        """What a process raises when there is nobody to tell it to."""
        if isinstance(error, Gone):
            error = RunError(self._resumed(self._trouble or (str(error) if self.leads else f"{self._named(0)} is gone")))
        if isinstance(error, GanvasError):
            beside = self._orphan and self.place.local_world == self.place.world  # process 0 lives, and says the same
            error.aloud = self.leads or (self.place.rank == 1 and not beside)
        return error


class _Watched(Group):
    """Collectives of processes that watch one another: nobody who is alive is given up while all wait."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__(PATIENCE_SECONDS)
        self.ranks = ranks

    def barrier(self) -> None:
        self.ranks.wait()


def _some(ranks: list[int]) -> str:
    return ", ".join(map(str, ranks[:8])) + (f" and {len(ranks) - 8} more" if len(ranks) > 8 else "")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
