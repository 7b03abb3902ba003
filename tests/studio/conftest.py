"""What tests of the studio share: a folder of runs with one that was really trained, and a client with its cookie."""

from __future__ import annotations

import shutil
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
    train(
        "gan", "patterns:sine", out=folder, budget="40r", phantom_count=400, quiet=True, config={"width": 8, "batch_size": 32}
    )
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
