"""Heavy work as processes that outlive the studio, one after the other: training, evaluations, reports.

A job is a JSON file in `.studio/jobs`, its standard output and error beside it. Each process has a session of its own and low
priority; a studio that was killed finds its jobs again by their files, and goes on with those that wait. Not for work that a
person waits for: `desk`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import GanvasError
from ..files import holder, write_json
from . import lines
from .places import Places

PRIORITY = 5
OPEN = ("waiting", "running")


@dataclass(frozen=True)
class Job:
    """id: name of its files. words: of the command. run: the name of the run it is about. does: `train`, `evaluate`, `report`.

    state: waiting, running, done, failed, paused, stopped, cancelled. said: the last line of a failed one. began: `since boot`
    of the process, which tells it from a later one of the same number. result: what the command printed.
    """

    id: str
    does: str
    words: tuple[str, ...]
    run: str
    state: str = "waiting"
    created: float = 0.0
    pid: int | None = None
    began: int | None = None
    asked: str = ""
    said: str = ""
    result: dict[str, Any] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Plain values for pages."""
        return {
            "id": self.id, "does": self.does, "run": self.run, "state": self.state, "created": self.created,
            "line": lines.told(self.words), "said": self.said, "result": self.result,
        }  # fmt: skip


class Jobs:
    """The queue. at_once: processes beside each other."""

    def __init__(self, places: Places, at_once: int = 1) -> None:
        self.places, self.at_once = places, at_once
        self.folder = places.own("jobs")
        self._lock = threading.RLock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._jobs: dict[str, Job] = {}
        for path in sorted(self.folder.glob("*.json")):
            with contextlib.suppress(OSError, ValueError, TypeError):
                values = json.loads(path.read_text(encoding="utf-8"))
                self._jobs[path.stem] = Job(**{**values, "words": tuple(values["words"])})

    def all(self) -> list[Job]:
        """Oldest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.created)

    def of(self, run: str) -> list[Job]:
        """The jobs of a run, newest last."""
        return [job for job in self.all() if job.run == run]

    def get(self, id: str) -> Job:
        """Raises GanvasError."""
        with self._lock:
            if id not in self._jobs:
                raise GanvasError("there is no such job")
            return self._jobs[id]

    def add(self, does: str, words: Sequence[str], run: str) -> Job:
        """Put a command into the queue; it begins at once where there is room."""
        with self._lock:
            number, id = 1, run.replace("/", "--") if does == "train" else f"{run.replace('/', '--')}.{does}"
            stem = id
            while id in self._jobs:
                number += 1
                id = f"{stem}.{number}"
            job = Job(id, does, (*words, "--json"), run, created=time.time())
            self._keep(job)
        self.turn()
        return self.get(job.id)

    def turn(self) -> None:
        """Look after everything once: who has ended, who may begin."""
        with self._lock:
            for job in self.all():
                if job.state == "running" and not self._alive(job):
                    self._ended(job)
            running = sum(job.state == "running" for job in self._jobs.values())
            for job in self.all():
                if job.state == "waiting" and running < self.at_once:
                    self._begin(job)
                    running += 1

    def ask(self, run: str, what: str) -> None:
        """`pause` or `stop` the training of a run, whoever began it; a job that waits is taken out. Raises GanvasError."""
        with self._lock:
            own = [job for job in self.of(run) if job.state in OPEN and job.does == "train"]
            if own and own[-1].state == "waiting":
                self._keep(replace(own[-1], state="cancelled"))
                return
            try:
                pid = holder(self.places.run(run))
            except GanvasError:  # not begun yet: the process reads its data
                pid = own[-1].pid if own else None
            pid = pid or (own[-1].pid if own else None)
            if not pid:
                raise GanvasError("nothing trains there now")
            if own:
                self._keep(replace(own[-1], asked=what))
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM)

    def cancel(self, id: str) -> None:
        """Take a job out, or end it. Raises GanvasError."""
        with self._lock:
            job = self.get(id)
            if job.state == "waiting":
                self._keep(replace(job, state="cancelled"))
            elif job.state == "running" and job.pid:
                self._keep(replace(job, asked="stop"))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(job.pid, signal.SIGTERM)

    def log(self, id: str, most: int = 4000) -> str:
        """The end of what a job said."""
        return _end_of(self.folder / f"{id}.log", most)

    def _keep(self, job: Job) -> None:
        self._jobs[job.id] = job
        write_json(self.folder / f"{job.id}.json", {**asdict(job), "words": list(job.words)})

    def _begin(self, job: Job) -> None:
        with (self.folder / f"{job.id}.out").open("wb") as out, (self.folder / f"{job.id}.log").open("wb") as log:
            child = subprocess.Popen(
                lines.process(job.words), stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True
            )
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, child.pid, PRIORITY)
        self._children[job.id] = child
        self._keep(replace(job, state="running", pid=child.pid, began=_began(child.pid)))

    def _alive(self, job: Job) -> bool:
        child = self._children.get(job.id)
        if child is not None:
            return child.poll() is None
        if job.pid is None:
            return False
        began = _began(job.pid)
        if began is None:
            return False
        return job.began is None or began == job.began

    def _ended(self, job: Job) -> None:
        self._children.pop(job.id, None)
        text = _end_of(self.folder / f"{job.id}.out", 200_000)
        try:
            result = json.loads(text)
        except ValueError:
            result = {}
        result = result if isinstance(result, dict) else {}
        said = str(result.get("error", ""))
        if result.get("stopped") == "signal":
            state = "stopped" if job.asked == "stop" else "paused"
        elif result and not said:
            state, said = "done", str(result.get("stopped", ""))
        elif job.asked:
            state = "stopped" if job.asked == "stop" else "paused"
        else:
            state, said = "failed", said or _last_line(self.log(job.id)) or "the process was killed"
        kept = {key: result[key] for key in ("stopped", "rounds", "samples", "seconds", "page") if key in result}
        self._keep(replace(job, state=state, said=said, result=kept))


def _began(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; None for one that is not there, 0 where that is not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
        return None if fields[0] == "Z" else int(fields[19])
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except (OSError, ValueError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return 0


def _end_of(path: Path, most: int) -> str:
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - most))
            return handle.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _last_line(text: str) -> str:
    found = [line.strip() for line in text.splitlines() if line.strip()]
    return found[-1].removeprefix("ganvas: ") if found else ""
