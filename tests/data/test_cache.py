"""The cache of decoded data: found again, noticed when stale, safe against kills, races, damage and full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.data.dataset import open_data
from ganvas.errors import DataError, RunError
from ganvas.store import cache as caching


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(caching, "SETTLED", -1.0)  # the files of these tests are all younger than two seconds
    return tmp_path / "cache"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    root.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(root / f"{i}.png")
    return root


def entries(cache: Path) -> list[Path]:
    return [folder for folder in (cache / "entries").iterdir() if not folder.name.startswith(".")]


def unfinished(cache: Path) -> list[Path]:
    return [folder for folder in (cache / "entries").iterdir() if folder.name.startswith(".")]


OPEN = "import sys; from ganvas.data import open_data; d = open_data(sys.argv[1]); print(d.fingerprint, len(d))"


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(caching.__file__).parents[2])},
    )  # fmt: skip


def test_the_folder_is_the_argument_the_variable_or_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert caching.cache_folder(tmp_path) == tmp_path
    assert caching.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("GANVAS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert caching.cache_folder() == tmp_path / "xdg" / "ganvas"


def test_decoding_happens_once(pictures: Path, own_cache: Path) -> None:
    first = open_data(pictures)
    made = (entries(own_cache)[0] / "values.bin").stat().st_mtime_ns
    second = open_data(pictures)
    assert (entries(own_cache)[0] / "values.bin").stat().st_mtime_ns == made
    assert isinstance(second.values, np.memmap) and np.array_equal(first.values, second.values)
    assert first.notes == second.notes and first.fingerprint == second.fingerprint


def test_a_remembered_look_spares_reading_the_files(pictures: Path) -> None:
    data = open_data(pictures)
    spied: list[Path] = []
    real = caching.file_digest
    try:
        caching.file_digest = lambda path: (spied.append(path), real(path))[1]
        assert open_data(pictures).fingerprint == data.fingerprint and spied == []
        os.utime(pictures / "3.png")
        assert open_data(pictures).fingerprint == data.fingerprint and len(spied) == 12  # touched, not changed
    finally:
        caching.file_digest = real


def test_a_change_of_the_same_size_and_time_is_noticed(pictures: Path) -> None:
    data = open_data(pictures)
    path = pictures / "3.png"
    before = path.stat()
    flipped = bytearray(path.read_bytes())
    other = bytes((pictures / "4.png").read_bytes())
    if len(other) == len(flipped):
        path.write_bytes(other)
    else:  # incompressible pictures of one size give files of one size; make it so if a build of zlib does not
        path.write_bytes(other[: len(flipped)].ljust(len(flipped), b"\0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and path.stat().st_mtime_ns == before.st_mtime_ns
    assert open_data(pictures).fingerprint != data.fingerprint


def test_the_look_of_fresh_files_is_not_trusted(pictures: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "SETTLED", 2.0)
    open_data(pictures)
    assert list((own_cache / "looks").iterdir()) == []
    monkeypatch.setattr(caching, "SETTLED", -1.0)
    open_data(pictures)
    assert len(list((own_cache / "looks").iterdir())) == 1 and len(entries(own_cache)) == 1


def test_a_copy_elsewhere_shares_the_entry(pictures: Path, own_cache: Path, tmp_path: Path) -> None:
    import shutil

    data = open_data(pictures)
    shutil.copytree(pictures, tmp_path / "copy")
    assert open_data(tmp_path / "copy").fingerprint == data.fingerprint
    assert len(entries(own_cache)) == 1


def test_settings_have_entries_of_their_own(pictures: Path, own_cache: Path) -> None:
    shapes = [open_data(pictures, **options).values.shape for options in ({}, {"size": 8}, {"channels": 3})]
    assert shapes == [(12, 16, 16, 1), (12, 8, 8, 1), (12, 16, 16, 3)]
    assert len(entries(own_cache)) == 3
    open_data(pictures, heldout=0.5, seed=3)
    assert len(entries(own_cache)) == 3  # the split is made anew, the pixels are not


def damage_truncate(entry: Path) -> None:
    with open(entry / "values.bin", "r+b") as stream:
        stream.truncate(100)


def damage_flip(entry: Path) -> None:
    with open(entry / "values.bin", "r+b") as stream:
        stream.seek(700)
        byte = stream.read(1)
        stream.seek(700)
        stream.write(bytes([byte[0] ^ 1]))


def damage_table(entry: Path) -> None:
    (entry / "entry.json").write_text("{}")


def damage_fact(entry: Path) -> None:
    text = (entry / "entry.json").read_text()
    (entry / "entry.json").write_text(text.replace("255.0", "254.0"))


def damage_missing(entry: Path) -> None:
    (entry / "groups.npy").unlink()


@pytest.mark.parametrize("damage", [damage_truncate, damage_flip, damage_table, damage_fact, damage_missing])
def test_a_damaged_entry_is_made_anew_with_a_note(pictures: Path, own_cache: Path, damage: object) -> None:
    data = open_data(pictures)
    expected = np.array(data.values)
    assert callable(damage)
    damage(entries(own_cache)[0])
    again = open_data(pictures)
    assert np.array_equal(again.values, expected) and again.fingerprint == data.fingerprint
    assert any("damaged" in note for note in again.notes)
    assert not any("damaged" in note for note in open_data(pictures).notes)


def test_two_processes_at_once_end_with_one_entry(pictures: Path, own_cache: Path) -> None:
    code = "import sys, pathlib, time\nfrom ganvas.data import open_data\nimport ganvas.data.dataset\n"
    code += "pathlib.Path(sys.argv[2]).touch()\nwhile not pathlib.Path(sys.argv[3]).exists(): time.sleep(0.001)\n"
    code += "d = open_data(sys.argv[1]); print(d.fingerprint, int(d.values.sum(dtype='int64')))"
    ready = [own_cache.parent / f"ready{i}" for i in range(2)]
    go = own_cache.parent / "go"
    children = [child(code, str(pictures), str(flag), str(go)) for flag in ready]
    while not all(flag.exists() for flag in ready):
        assert all(c.poll() is None for c in children), [c.communicate() for c in children if c.poll() is not None]
        time.sleep(0.005)
    go.touch()
    results = [c.communicate(timeout=60) for c in children]
    assert [c.returncode for c in children] == [0, 0], results
    assert results[0][0] == results[1][0] != ""
    assert len(entries(own_cache)) == 1 and unfinished(own_cache) == []


def test_many_threads_at_once_end_with_one_entry(pictures: Path, own_cache: Path) -> None:
    barrier, found, wrong = threading.Barrier(6), [], []

    def run() -> None:
        barrier.wait()
        try:
            found.append(open_data(pictures, size=8).fingerprint)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and len(found) == 6 and len(set(found)) == 1
    assert len(entries(own_cache)) == 1 and unfinished(own_cache) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_kill_while_caching_leaves_nothing_that_counts(own_cache: Path, tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    rng = np.random.default_rng(0)
    for i in range(600):
        Image.fromarray(rng.integers(0, 256, (48, 48), dtype=np.uint8)).save(root / f"{i}.png")
    killed = False
    for _ in range(5):
        process = child(OPEN, str(root))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if (own_cache / "entries").is_dir() and any((f / "values.bin").exists() for f in unfinished(own_cache)):
                process.kill()
                break
            time.sleep(0.001)
        process.communicate()
        killed = process.returncode == -signal.SIGKILL and bool(unfinished(own_cache))
        if killed:
            break
        for entry in entries(own_cache):
            caching.Cache()._discard(entry)
    assert killed and entries(own_cache) == []
    data = open_data(root)
    assert len(data) == 600 and unfinished(own_cache) == []
    assert np.array_equal(data.values[0, :, :, 0], np.asarray(Image.open(root / "0.png")))


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX matter")
def test_a_full_disk_is_one_line_and_leaves_nothing(pictures: Path, own_cache: Path) -> None:
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from ganvas.data import open_data\nfrom ganvas.errors import RunError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
        "try: open_data(sys.argv[1])\nexcept RunError as error: print(error)"
    )
    out, errors = child(code, str(pictures)).communicate(timeout=60)
    assert "cannot be written" in out and "GANVAS_CACHE" in out and out.count("\n") == 1, (out, errors)
    assert entries(own_cache) == [] and unfinished(own_cache) == []


def test_a_failure_while_decoding_leaves_nothing(pictures: Path, own_cache: Path) -> None:
    Image.new("RGB", (16, 16)).save(pictures / "tint.png")
    with pytest.raises(DataError):
        open_data(pictures)
    assert entries(own_cache) == [] and unfinished(own_cache) == []


def test_entries_used_longest_ago_make_room(pictures: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = open_data(pictures)
    os.utime(entries(own_cache)[0] / "entry.json", (1, 1))
    monkeypatch.setenv("GANVAS_CACHE_LIMIT_GB", "0.000001")
    expected = np.array(old.values)
    open_data(pictures, size=8)
    assert len(entries(own_cache)) == 1
    assert np.array_equal(old.values, expected)  # who has it mapped keeps it
    monkeypatch.delenv("GANVAS_CACHE_LIMIT_GB")
    assert np.array_equal(open_data(pictures).values, expected)


def test_what_other_hosts_left_stays_until_it_is_old(own_cache: Path, pictures: Path) -> None:
    open_data(pictures)
    foreign = own_cache / "entries" / f".{'0' * 40}.elsewhere.1.abcd"
    dead = own_cache / "entries" / f".{'0' * 40}.{caching._host()}.99999999.abcd"
    for folder in (foreign, dead):
        folder.mkdir()
    open_data(pictures, size=8)
    assert foreign.exists() and not dead.exists()
    os.utime(foreign, (1, 1))
    open_data(pictures, size=9)
    assert not foreign.exists()


def test_a_read_only_folder_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError) as caught:
        caching.Cache(tmp_path / "file" / "below")
    assert "\n" not in str(caught.value) and "GANVAS_CACHE" in str(caught.value)


def test_work_in_parallel_keeps_order_bounds_and_errors() -> None:
    started: list[int] = []

    def items():
        for i in range(200):
            started.append(i)
            yield i

    def slow(i: int) -> int:
        time.sleep(0.001 * (i % 3))
        return i * i

    results = caching.in_parallel(slow, items(), what="testing", threads=3)
    assert next(results) == 0
    assert len(started) <= 13  # the source is not read far ahead of what is taken
    assert list(results) == [i * i for i in range(1, 200)]

    def fail(i: int) -> int:
        if i == 5:
            raise DataError("five")
        return i

    with pytest.raises(DataError, match="five"):
        list(caching.in_parallel(fail, range(100), what="testing"))


def test_writer_rewrites_and_converts(tmp_path: Path) -> None:
    writer = caching.Writer(tmp_path)
    rows = np.random.default_rng(0).integers(0, 1000, (700, 3, 2)).astype(np.uint16)
    for row in rows:
        writer.row(row)
    writer.rewrite(lambda values, where: values + where.start % 2, block=101)
    expected = rows + (np.arange(700) // 101 * 101 % 2)[:, None, None]
    assert np.array_equal(writer.rows(), expected)
    writer.as_type(np.float32)
    writer.row(np.full((3, 2), 0.5, np.float32))
    assert writer.rows().dtype == np.float32 and np.array_equal(writer.rows()[:700], expected.astype(np.float32))
    with pytest.raises(ValueError):
        writer.row(np.zeros((2, 3), np.float32))
    writer.close()


def test_the_checksum_sees_changes_in_small_files_and_in_the_ends_of_large_ones(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(range(256)) * 4)
    before = caching.checksum(path)
    path.write_bytes(bytes(range(256)) * 3 + bytes(256))
    assert caching.checksum(path) != before
    with open(path, "wb") as stream:
        stream.truncate(200 * 2**20)  # sparse
    before = caching.checksum(path)
    for place in (0, 200 * 2**20 - 1):
        with open(path, "r+b") as stream:
            stream.seek(place)
            stream.write(b"x")
        assert caching.checksum(path) != before
        before = caching.checksum(path)
