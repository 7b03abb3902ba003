"""What tests of the studio share: a folder of runs with one that was really trained, a client with its cookie, a server of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the studio is an extra:  pip install 'ganvas[studio]'")
pytest.importorskip("httpx")

PORT = 8123
HEADERS = {"origin": f"http://127.0.0.1:{PORT}", "x-studio": "1"}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few rounds; tests copy it."""
    from ganvas.run.train import train

    folder = tmp_path_factory.mktemp("trained") / "sine"
    train("gan", "patterns:sine", out=folder, budget="40r", phantom_count=400, quiet=True, config={"width": 8, "batch_size": 32})
    return folder


@dataclass
class Studio:
    """The application in this process, with a client that has its cookie and one that has not."""

    places: object
    app: object
    client: object
    stranger: object
    token: str = "secret-token"
    headers: dict[str, str] = field(default_factory=lambda: dict(HEADERS))

    def post(self, name: str, values: dict[str, object]) -> object:
        return self.client.post(f"/api/{name}", json=values, headers=self.headers)  # type: ignore[attr-defined]


@pytest.fixture
def studio(tmp_path: Path, trained: Path) -> Iterator[Studio]:
    from starlette.testclient import TestClient

    from ganvas.studio.places import Places
    from ganvas.studio.server import application

    runs, data = tmp_path / "runs", tmp_path / "data"
    (data / "photos").mkdir(parents=True)
    shutil.copytree(trained, runs / "sine")
    places = Places(runs, [data])
    app = application(places, port=PORT, token=Studio.token)
    base = f"http://127.0.0.1:{PORT}"
    with TestClient(app, base_url=base) as client:  # type: ignore[arg-type]
        client.get(f"/?token={Studio.token}")
        yield Studio(places, app, client, TestClient(app, base_url=base))  # type: ignore[arg-type]


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
    assert line.startswith("ganvas studio: http://127.0.0.1:"), line + (process.stdout.read() if process.poll() is not None else "")
    assert time.monotonic() - began < 30
    return Server(line.split()[-1], process, runs, data)


def end(server: Server) -> None:
    """End a server and what it trains."""
    import contextlib
    import json
    import os
    import signal

    server.process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.process.wait(15)
    server.process.kill()
    for path in (server.runs / ".studio" / "jobs").glob("*.json"):
        job = json.loads(path.read_text())
        if job["state"] == "running" and job["pid"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(job["pid"], signal.SIGKILL)
