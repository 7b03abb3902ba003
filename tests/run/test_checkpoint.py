"""Checkpoints: atomic, checked, harmless."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from ganvas.errors import GanvasError, RunError
from ganvas.run import checkpoint

PARTS = ("weights.safetensors", "state.pt", "manifest.json")


def put(run: Path, value: int) -> None:
    (run / "checkpoints").mkdir(exist_ok=True)
    weights = {"a": torch.full((3, 2), float(value)), "b": torch.tensor(value)}
    checkpoint.save(run / "checkpoints", weights, {"number": value, "tensor": torch.arange(value)}, {"round": value})


def value(run: Path, which: str = "last") -> int:
    loaded = checkpoint.load(run, which)
    assert loaded is not None
    weights, state, manifest = loaded
    assert weights["b"].item() == state["number"] == manifest["round"] == len(state["tensor"])
    assert torch.equal(weights["a"], torch.full((3, 2), float(state["number"])))
    return int(state["number"])


def names(run: Path) -> list[str]:
    return sorted(os.listdir(run / "checkpoints"))


def test_last_and_previous(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path) is None
    for number in (1, 2, 3):
        put(tmp_path, number)
    assert (value(tmp_path), value(tmp_path, "previous")) == (3, 2)
    assert names(tmp_path) == ["last", "previous"]
    with pytest.raises(GanvasError, match="has no checkpoint 'best'"):
        checkpoint.load(tmp_path, "best")


def test_networks_with_two_names_and_odd_layouts_are_saved(tmp_path: Path) -> None:
    tensor = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    whole = torch.arange(6.0)
    (tmp_path / "checkpoints").mkdir()
    weights = {"one": tensor, "two": tensor, "half": whole[::2], "tail": whole[3:], "none": torch.zeros(0)}
    checkpoint.save(tmp_path / "checkpoints", weights, {}, {})
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded[0].keys() == weights.keys()
    assert all(torch.equal(loaded[0][k], v) for k, v in weights.items())


@pytest.mark.parametrize("stop", range(1, 12))
def test_killed_between_any_two_steps_one_checkpoint_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Every rename, flush and removal of the third save is in turn the last thing that happens."""

    class Killed(BaseException):
        pass

    put(tmp_path, 1)
    put(tmp_path, 2)
    steps = 0

    def dying(original: Any) -> Any:
        def act(*arguments: Any, **options: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == stop:
                raise Killed
            return original(*arguments, **options)

        return act

    with monkeypatch.context() as patch:
        for module, name in ((os, "rename"), (os, "replace"), (os, "fsync"), (shutil, "rmtree")):
            patch.setattr(module, name, dying(getattr(module, name)))
        try:
            put(tmp_path, 3)
        except Killed:
            pass
        else:
            assert steps < stop
    assert value(tmp_path) in (2, 3)
    checkpoint.recover(tmp_path)
    assert value(tmp_path) in (2, 3)
    put(tmp_path, 4)
    assert value(tmp_path) == 4
    assert value(tmp_path, "previous") in (2, 3)
    assert names(tmp_path) == ["last", "previous"]


def test_a_kill_between_the_renames_is_finished_by_the_next_load(tmp_path: Path) -> None:
    put(tmp_path, 1)
    put(tmp_path, 2)
    folder = tmp_path / "checkpoints"
    (folder / "last").rename(folder / ".incoming")  # all is written, the old one is out of the way, the new one not yet in
    assert value(tmp_path) == 2, "a reader finds it"
    assert names(tmp_path) == [".incoming", "previous"], "and changes nothing: it may look into a run that is saving"
    checkpoint.recover(tmp_path)
    assert names(tmp_path) == ["last", "previous"]
    assert value(tmp_path) == 2
    (folder / "last").rename(folder / ".incoming")
    (folder / ".incoming" / "manifest.json").unlink()
    assert value(tmp_path) == 1, "without a whole new one the previous one is taken"
    checkpoint.recover(tmp_path)
    assert value(tmp_path) == 1


def test_a_kill_between_the_first_two_renames_keeps_both(tmp_path: Path) -> None:
    put(tmp_path, 1)
    put(tmp_path, 2)
    folder = tmp_path / "checkpoints"
    (folder / "previous").rename(folder / ".outgoing")
    checkpoint.recover(tmp_path)
    assert (value(tmp_path), value(tmp_path, "previous")) == (2, 1)


def test_reading_while_another_process_saves_never_fails(tmp_path: Path) -> None:
    """A reader in this thread, a writer in another: hundreds of looks at a checkpoint that is being replaced all the time."""
    import threading

    put(tmp_path, 1)
    done = threading.Event()

    def write() -> None:
        for number in range(2, 60):
            put(tmp_path, number)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not done.is_set():
        folder = checkpoint.sound(tmp_path)
        assert folder is not None
        seen.append(folder)
    writer.join()
    assert len(seen) > 10
    assert value(tmp_path) == 59


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "remove"])
def test_harm_is_named_and_the_previous_one_offered(tmp_path: Path, part: str, harm: str) -> None:
    put(tmp_path, 1)
    put(tmp_path, 2)
    path = tmp_path / "checkpoints" / "last" / part
    content = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "flip":
        content[len(content) // 3] ^= 0x80
        path.write_bytes(content)
    elif harm == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    expected = {"cut": "truncated|damaged", "flip": "changed since it was saved|damaged", "empty": "truncated|damaged"}
    offer = "The one before it is sound .round 1.: add  --checkpoint previous"
    message = f"last: {part} (is |was )?({expected.get(harm, 'missing')}).*{offer}"
    with pytest.raises(GanvasError, match=message) as failure:
        checkpoint.load(tmp_path)
    assert "\n" not in str(failure.value)
    assert value(tmp_path, "previous") == 1
    (tmp_path / "checkpoints" / "previous" / part).unlink()
    with pytest.raises(GanvasError, match="and no other checkpoint is sound"):
        checkpoint.load(tmp_path)


def forge(run: Path, name: str, content: bytes) -> None:
    """Replace a file and make the manifest agree, as someone with intent would."""
    folder = run / "checkpoints" / "last"
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


class Evil:
    """Unpickled carelessly, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["weights.safetensors", "state.pt"])
@pytest.mark.parametrize("kind", ["torch", "pickle", "old torch"])
def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, name: str, kind: str) -> None:
    put(tmp_path, 1)
    mark = tmp_path / "mark"
    if kind == "pickle":
        content = pickle.dumps(Evil(mark))
    else:
        buffer = io.BytesIO()
        torch.save({"engine": Evil(mark)}, buffer, _use_new_zipfile_serialization=kind == "torch")
        content = buffer.getvalue()
    forge(tmp_path, name, content)
    with pytest.raises(GanvasError, match=r"last: cannot be read \(\w+\), and no other checkpoint is sound"):
        checkpoint.load(tmp_path)
    assert not mark.exists()
    if kind == "torch":  # the trap is armed: a careless reader does step into it
        torch.load(io.BytesIO(content), weights_only=False)
        assert mark.exists()


def test_a_later_format_is_refused_by_number(tmp_path: Path) -> None:
    put(tmp_path, 1)
    path = tmp_path / "checkpoints" / "last" / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(GanvasError, match="has format 2, this version reads 1"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("written", range(4))
def test_a_disk_that_fills_up_leaves_the_older_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    put(tmp_path, 1)
    put(tmp_path, 2)
    original, count = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal count
        count += 1
        if count > written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        if written < 3:
            with pytest.raises(RunError, match=r"the disk is full: could not write .*what was saved before is intact"):
                put(tmp_path, 3)
        else:
            put(tmp_path, 3)  # only flushing folders fails: some systems cannot
    assert (value(tmp_path), value(tmp_path, "previous")) == ((2, 1) if written < 3 else (3, 2))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(RunError, match="checkpoints is gone"):
        checkpoint.save(tmp_path / "checkpoints", {"a": torch.zeros(1)}, {}, {})
    assert checkpoint.load(tmp_path) is None
