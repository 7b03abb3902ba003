"""`ganvas studio` as a process of its own, for tests that kill it or open it in a browser."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Server:
    """`ganvas studio` as a process."""

    address: str
    process: subprocess.Popen[str]
    runs: Path
    data: Path

    @property
    def base(self) -> str:
        return self.address.split("/?")[0]


def serve(runs: Path, data: Path, port: int | None = None) -> Server:
    """Start the command, and wait for its line."""
    words = [sys.executable, "-m", "ganvas", "studio", "--no-browser", "--runs", str(runs), "--data", str(data)]
    words += ["--port", str(port)] if port else []
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=runs.parent)
    assert process.stdout is not None
    began = time.monotonic()
    line = process.stdout.readline()
    assert line.startswith("ganvas studio: http://127.0.0.1:"), line + (
        process.stdout.read() if process.poll() is not None else ""
    )
    assert time.monotonic() - began < 30
    return Server(line.split()[-1], process, runs, data)


def end(server: Server) -> None:
    """End a server and what it trains."""
    server.process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.process.wait(15)
    server.process.kill()
    for path in (server.runs / ".studio" / "jobs").glob("*.json"):
        job = json.loads(path.read_text())
        if job["state"] == "running" and job["pid"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(job["pid"], signal.SIGKILL)
