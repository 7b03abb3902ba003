"""Writing that leaves the old file or the new one, and says plainly why not."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ganvas.errors import RunError
from ganvas.files import disk_errors, sync_folder, write_atomically, write_json


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    write_json(tmp_path / "a.json", {"a": [1]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1]}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "a.json"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")

    def full(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"the disk is full: could not write .*a\.bin; what was saved before is intact"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"], "no half file stays"


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE with EFBIG as on Linux")
def test_a_write_that_stops_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    """A real short write: the process may not write more than 4096 bytes to a file."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from ganvas.files import write_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "path = Path(sys.argv[1]); write_atomically(path, b'old')\n"
        "try: write_atomically(path, bytes(100_000))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.bin")], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("RunError could not write")
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_folder_that_is_gone_or_a_file_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run is gone \(deleted or moved"):
        write_atomically(tmp_path / "run" / "a", b"")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file is gone"):
        write_atomically(tmp_path / "file" / "a", b"")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EACCES, "no permission to write .*a: make the folder writable"),
        (errno.EROFS, "no permission to write"),
        (errno.EIO, "could not write .*a: Input/output error"),
    ],
)
def test_other_refusals_are_explained(number: int, message: str) -> None:
    with pytest.raises(RunError, match=message), disk_errors(Path("folder/a")):
        raise OSError(number, os.strerror(number))


def test_syncing_a_folder_never_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Any] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    sync_folder(tmp_path)
    assert len(synced) == 1
    sync_folder(tmp_path / "absent")
