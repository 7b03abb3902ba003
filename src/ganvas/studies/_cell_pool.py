"""Where the jobs of a study run: a pool of processes on this machine, or a cluster reached through submitit.

Not for what a job does (`_cell_job`), nor for which jobs there are (`cells`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..errors import GanvasError, MissingExtra
from ..files import disk_errors
from ._cell_job import FAILED, LOG, PATIENCE, STOPPED, Played, read_plain

LAUNCHERS = ("local", "slurm", "submitit")
POLL = 0.2  # seconds
WALLTIME = 24 * 60  # minutes that a cluster is asked for, unless told otherwise; a job that needs longer goes on in another


class Stopped(KeyboardInterrupt):
    """The user stopped the study; what was done is kept. signal: its number."""

    def __init__(self, number: int) -> None:
        super().__init__("every finished cell is kept, and running ones are saved; go on with the same command")
        self.signal = number


class Job(Protocol):
    """A job that was started."""

    def poll(self) -> bool:
        """Whether it has ended."""

    def stop(self, hard: bool) -> None:
        """Ask it to save and end (hard: end it at once)."""

    def why(self) -> str:
        """What to say when it has left no result."""


class Pool:
    """Starts jobs, so many at a time, and waits for them; passes a signal on to all of them."""

    def __init__(self, out: Path, launcher: str, width: int, cluster: dict[str, Any]) -> None:
        from ..doctor import machine

        facts = machine()
        self.out, self.launcher, self.width, self.cluster = out, launcher, width, cluster
        share = int(cluster.get("cpus_per_task", 1)) if launcher == "slurm" else max(1, facts["cores"] // width)
        self.threads = share if launcher == "slurm" else _useful(share)
        self.gpus = len(facts["gpus"])
        self.running: dict[Path, Job] = {}
        self.told: int | None = None
        self._old: dict[int, Any] = {}
        self._executor: Any = None

    def __enter__(self) -> Pool:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._old[number] = signal.signal(number, self._note)
            except ValueError:  # not the main thread: the signals are someone else's then
                break
        return self

    def _note(self, number: int, frame: Any) -> None:
        hard = self.told is not None
        self.told = number
        for job in self.running.values():
            job.stop(hard)

    def __exit__(self, *exception: Any) -> None:
        for job in self.running.values():
            job.stop(hard=True)
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def play(self, waiting: Sequence[Path], wanted: str, tell: Callable[[Path, str | None], None]) -> dict[Path, str]:
        """Play the jobs of these folders; `wanted` is the file each leaves when it is done. Returns {folder: why it failed}.

        Raises Stopped after a signal, once all jobs have ended.
        """
        queue, failed, deadline = list(waiting), {}, 0.0
        while queue or self.running:
            while queue and len(self.running) < self.width and self.told is None:
                place = queue.pop(0)
                self.running[place] = self._start(place)
            for place, job in list(self.running.items()):
                if not job.poll():
                    continue
                del self.running[place]
                if (place / wanted).exists():
                    tell(place, None)
                elif self.told is None:
                    failed[place] = read_plain(place / FAILED)["error"] if (place / FAILED).exists() else job.why()
                    tell(place, failed[place])
            if self.told is not None:
                deadline = deadline or time.monotonic() + PATIENCE
                if not self.running:
                    break
                if time.monotonic() > deadline:
                    for job in self.running.values():
                        job.stop(hard=True)
            time.sleep(POLL)
        if self.told is not None:
            raise Stopped(self.told)
        return failed

    def _start(self, place: Path) -> Job:
        if self.launcher == "local":
            taken = [job.gpu for job in self.running.values() if isinstance(job, _Process)]
            gpu = min(range(self.gpus), key=taken.count) if self.gpus else None
            return _Process(place, self.threads, gpu)
        if self._executor is None:
            self._executor = self._make_executor()
        return _Submitted(self._executor.submit(Played(), str(place.resolve())))

    def _make_executor(self) -> Any:
        kind = "slurm" if self.launcher == "slurm" else "local"
        given = {"timeout_min": WALLTIME, "cpus_per_task": self.threads, **self.cluster}
        try:
            executor = need_submitit().AutoExecutor(folder=self.out / "submitit", cluster=kind)
            executor.update_parameters(name="ganvas-study", **given)
        except (RuntimeError, NameError, ValueError, TypeError) as error:
            raise GanvasError(f"--launcher {self.launcher}: {str(error).splitlines()[0]}") from error
        return executor


def _useful(share: int) -> int:
    """The threads of a job: all of its share of the cores, or one where it is measured that sharing out does not pay."""
    if share == 1:
        return 1
    from ..doctor import on_threads, useful_threads

    with on_threads(share):
        return useful_threads()


def need_submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise MissingExtra("submitit", "cluster") from None
    return submitit


class _Process:
    """A job in a process of this machine, with a session of its own: Ctrl-C reaches the study alone, which passes it on."""

    def __init__(self, place: Path, threads: int, gpu: int | None) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.gpu = gpu
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = str(gpu)
        words = [sys.executable, "-m", "ganvas.studies._cell_job", str(place)]
        with disk_errors(place), (place / LOG).open("ab") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def poll(self) -> bool:
        return self.process.poll() is not None

    def stop(self, hard: bool) -> None:
        if self.process.poll() is None:
            self.process.kill() if hard else self.process.terminate()

    def why(self) -> str:
        code = self.process.returncode
        if code < 0:
            name = signal.Signals(-code).name
            return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        return "told to stop by someone else" if code == STOPPED else f"ended with code {code}"


class _Submitted:
    """A job that submitit started."""

    def __init__(self, job: Any) -> None:
        self.job = job
        self.checked = 0.0

    def poll(self) -> bool:
        if time.monotonic() - self.checked < 1.0:  # a cluster is not to be asked five times a second
            return False
        self.checked = time.monotonic()
        return bool(self.job.done())

    def stop(self, hard: bool) -> None:
        self.job.cancel(check=False)

    def why(self) -> str:
        return f"job {self.job.job_id} is {self.job.state}; see {self.job.paths.stderr}"
