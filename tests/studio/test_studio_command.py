"""The command: one line with the address, and one line for whatever is wrong."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from ganvas.cli import main


def test_a_missing_server_is_one_line_that_teaches(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for words in (["studio", "--no-browser"], ["demo", "--studio"]):
        assert main(words) == 2
        told = capsys.readouterr()
        assert told.out == "" and told.err.count("\n") == 1 and "pip install 'ganvas[studio]'" in told.err


def test_a_taken_port_and_an_absent_folder_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["studio", "--no-browser", "--runs", str(tmp_path / "runs"), "--port", str(port)]) == 2
    assert f"port {port} is taken" in capsys.readouterr().err
    assert main(["studio", "--no-browser", "--data", str(tmp_path / "absent")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_it_prints_its_address_alone_and_ends_quietly(tmp_path: Path) -> None:
    import httpx
    from studio_server import end, serve

    (tmp_path / "data").mkdir()
    server = serve(tmp_path / "runs", tmp_path / "data")
    try:
        with httpx.Client() as client:
            assert client.get(server.base).status_code == 403
            opened = client.get(server.address)
            assert opened.status_code == 200 and 'url=/"' in opened.text
            assert client.get(f"{server.base}/api/about").json()["data"] == [str((tmp_path / "data").resolve())]
            then = client.get(f"{server.address}&open=run%3Fname%3Ddemo").text
            assert 'url=/#/run?name=demo"' in then
            assert "evil" not in client.get(f"{server.address}&open=%22%3E%3Cscript%3Eevil").text
    finally:
        end(server)
    assert server.process.stdout is not None and server.process.stdout.read() == ""


def test_the_server_stays_without_torch(tmp_path: Path) -> None:
    """What holds torch is the process at the desk: a studio that only shows runs is small."""
    import subprocess

    code = (
        "import sys, pathlib; from ganvas.studio.places import Places; from ganvas.studio.server import application; "
        f"application(Places(pathlib.Path({str(tmp_path / 'runs')!r})), port=1, token='x'); from ganvas.studio import making; "
        "making.wants(); making.systems(); print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
