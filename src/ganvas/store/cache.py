"""The decoded data on disk: made once, memory-mapped ever after, shared by every run with the same files and settings.

Two keys. The *content key* is a hash of every file's name and bytes and of the settings: it is the data's fingerprint
and, with a hash of the code that shapes records (`store.code`), names the entry; copies and fresh checkouts share one, a
changed byte makes another. Reading all bytes at every start would be slow, so the *look key* (path, size, modification and
change time, inode of every file) leads to the content key; like git's index it is only trusted for files that were left
alone for two seconds before they were read, because two changes within one tick of the clock look alike.

An entry is written in a folder of its own and renamed when complete: a killed run leaves nothing that could be taken
for data, and of two runs that start at once the later one uses the entry of the first. Not for checkpoints or results.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import RunError
from .progress import bar

LIMIT_GB = 50.0
"""Entries used longest ago are removed when all together exceed this (`GANVAS_CACHE_LIMIT_GB` overrides it)."""

SETTLED = 2.0
"""Seconds a file must have been left alone before its look is trusted."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def cache_folder(folder: Path | None = None) -> Path:
    """`folder`, else `$GANVAS_CACHE`, else the user's cache folder (`$XDG_CACHE_HOME/ganvas`, `~/.cache/ganvas`)."""
    if folder is not None:
        return Path(folder)
    if os.environ.get("GANVAS_CACHE"):
        return Path(os.environ["GANVAS_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "ganvas"


def digest(*parts: Any) -> str:
    """A hash of plain values, 40 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, default=str).encode()
    return hashlib.sha256(text).hexdigest()[:40]


def look(files: Iterable[Path]) -> tuple[list[list[Any]], bool]:
    """Path, size, times and inode of every file, and whether all were left alone for `SETTLED` seconds.

    Raises FileNotFoundError when a file has vanished since it was listed.
    """
    looks, newest = [], 0.0
    for path in files:
        s = os.stat(path)
        looks.append([os.path.abspath(path), s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino])
        newest = max(newest, s.st_mtime, s.st_ctime)
    return looks, newest < time.time() - SETTLED


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes; of its name and the error when it cannot be read (it will be reported later)."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.errno}"


def in_parallel(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    what: str,
    progress: bool = True,
    threads: int | None = None,
) -> Iterator[Result]:
    """`work` of every item in order, on threads, with a progress bar on stderr when a person watches.

    Threads, not processes: Pillow, imagecodecs, hashing and NumPy let go of the interpreter while they work (two
    threads decoded 512x512 PNG 1.8 times as fast as one), and nothing has to be started or copied. At most a few
    results per thread wait at a time, so memory stays bounded.
    """
    from collections import deque
    from concurrent.futures import ThreadPoolExecutor

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = threads or min(16, cores)
    with ThreadPoolExecutor(count) as pool, bar(what, items, progress) as advance:
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 4 * count:
                    yield waiting.popleft().result()
                    advance()
            while waiting:
                yield waiting.popleft().result()
                advance()
        finally:
            for future in waiting:
                future.cancel()


class Cache:
    """The entries of one cache folder. Raises RunError, one line, when the folder cannot be made or written."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = cache_folder(folder)
        self.entries, self.looks = self.folder / "entries", self.folder / "looks"
        with self._writing():
            self.entries.mkdir(parents=True, exist_ok=True)
            self.looks.mkdir(parents=True, exist_ok=True)

    def recall(self, look_key: str) -> str | None:
        """The content key that was last read behind these looks, or None."""
        try:
            text = (self.looks / look_key).read_text()
            os.utime(self.looks / look_key)
        except OSError:
            return None
        return text if len(text) == 40 else None

    def remember(self, look_key: str, content_key: str) -> None:
        """Lead these looks to a content key from now on."""
        with self._writing():
            temporary = self.looks / f".{uuid.uuid4().hex}"
            temporary.write_text(content_key)
            os.replace(temporary, self.looks / look_key)

    def open(self, key: str) -> tuple[Entry | None, str | None]:
        """The entry of a key, or None; and a note when there was one but it was damaged (it is then removed)."""
        folder = self.entries / key
        if not folder.is_dir():
            return None, None
        try:
            entry = Entry(folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._discard(folder)
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            return None, f"the cached data was damaged ({reason}) and has been made anew"
        with contextlib.suppress(OSError):
            os.utime(folder / "entry.json")  # used now: what is used longest ago is removed first
        return entry, None

    def make(self, key: str, fill: Callable[[Writer], None]) -> Entry:
        """The entry of a content key, written by `fill`; the one of another run if that was quicker.

        Raises RunError when the disk is full or the folder cannot be written, and whatever `fill` raises; in each case
        nothing is left behind.
        """
        self._sweep()
        folder = self.entries / f".{key}.{_host()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        with self._writing():
            folder.mkdir()
        writer = Writer(folder)
        try:
            fill(writer)
            with self._writing():
                writer.finish()
                try:
                    os.rename(folder, self.entries / key)
                except OSError:
                    entry, _ = self.open(key)
                    if entry is None:
                        os.rename(folder, self.entries / key)  # the entry in the way was damaged and is now gone
        except OSError as error:
            raise self._cannot_write(error) from error
        finally:
            writer.close()
            if folder.exists():
                shutil.rmtree(folder, ignore_errors=True)
        entry, _ = self.open(key)
        if entry is None:
            raise RunError(f"{self.folder}: new cached data was removed at once: raise GANVAS_CACHE_LIMIT_GB")
        return entry

    def _discard(self, folder: Path) -> None:
        """Out of the way in one step, then deleted: nobody sees half an entry."""
        with self._writing():
            away = self.entries / f".{folder.name}.{_host()}.0.{uuid.uuid4().hex[:8]}"
            with contextlib.suppress(FileNotFoundError):
                os.rename(folder, away)
                shutil.rmtree(away, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what killed runs left, and entries used longest ago while all together are over the limit."""
        entries = []
        for folder in list(self.entries.iterdir()):
            try:
                if folder.name.startswith("."):
                    host, process = folder.name.split(".")[2:4]
                    old = time.time() - folder.stat().st_mtime > 7 * 86400
                    if old or (host == _host() and not _alive(int(process))):
                        shutil.rmtree(folder, ignore_errors=True)
                else:
                    size = sum(file.stat().st_size for file in folder.iterdir())
                    entries.append(((folder / "entry.json").stat().st_mtime, size, folder))
            except (OSError, ValueError):
                continue
        try:
            limit = float(os.environ.get("GANVAS_CACHE_LIMIT_GB", LIMIT_GB)) * 1e9
        except ValueError:
            limit = LIMIT_GB * 1e9
        total = sum(size for _, size, _ in entries)
        for _, size, folder in sorted(entries, key=lambda entry: entry[0]):
            if total <= limit:
                break
            self._discard(folder)  # runs that have it mapped keep it until they end
            total -= size
        for link in list(self.looks.iterdir()):
            with contextlib.suppress(OSError):
                if link.stat().st_mtime < time.time() - 90 * 86400:
                    link.unlink()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> RunError:
        reason = error.strerror or str(error)
        return RunError(
            f"{self.folder}: the data cache cannot be written ({reason}): make room there, or set GANVAS_CACHE to a "
            "folder with space that you may write to"
        )


class Writer:
    """Files of an entry being made: one row-wise array written as it comes, small arrays, and one table of facts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = {}
        self._rows: Any = None
        self._shape: tuple[int, ...] = ()
        self._dtype = np.dtype(np.uint8)
        self.count = 0

    def row(self, values: np.ndarray) -> None:
        """Append one record; all have the shape and dtype of the first.

        Ordinary writes, not a memory map: on a full disk a map ends the process, a write raises.
        """
        if self._rows is None:
            self._rows = open(self.folder / "values.bin", "w+b", buffering=1 << 20)
            self._shape, self._dtype = values.shape, values.dtype
        if values.shape != self._shape or values.dtype != self._dtype:
            raise ValueError(f"a record of {values.shape} {values.dtype} among {self._shape} {self._dtype}")
        self._rows.write(np.ascontiguousarray(values).data)
        self.count += 1

    def rows(self) -> np.ndarray:
        """All records so far (N, ...), read-only, mapped."""
        self._rows.flush()
        return np.memmap(self.folder / "values.bin", self._dtype, "r", shape=(self.count, *self._shape))

    def rewrite(self, change: Callable[[np.ndarray, slice], np.ndarray], block: int = 256) -> None:
        """Replace the records block by block: `change(values, where)` returns values of the same shape and dtype."""
        size = int(np.prod(self._shape)) * self._dtype.itemsize
        for start in range(0, self.count, block):
            where = slice(start, min(self.count, start + block))
            self._rows.seek(start * size)
            raw = self._rows.read((where.stop - start) * size)
            values = np.frombuffer(raw, self._dtype).reshape(-1, *self._shape)
            self._rows.seek(start * size)
            self._rows.write(np.ascontiguousarray(change(values, where), self._dtype).data)
        self._rows.seek(0, os.SEEK_END)

    def as_type(self, dtype: Any) -> None:
        """Convert all records so far, and expect the new dtype from now on."""
        values, self._dtype = self.rows(), np.dtype(dtype)
        self._rows.close()
        self._rows = open(self.folder / "converted.bin", "w+b", buffering=1 << 20)
        for row in values:
            self._rows.write(row.astype(dtype).data)
        os.replace(self.folder / "converted.bin", self.folder / "values.bin")

    def content(self) -> str:
        """A hash of the records, the arrays and the spec so far."""
        if self._rows is not None:
            self._rows.flush()
        return digest("content", [[f.name, file_digest(f)] for f in sorted(self.folder.iterdir())], self.facts.get("spec"))

    def array(self, name: str, values: np.ndarray) -> None:
        """A small array of its own."""
        np.save(self.folder / f"{name}.npy", values, allow_pickle=False)

    def close(self) -> None:
        """Close the file of rows, if any."""
        if self._rows is not None:
            with contextlib.suppress(OSError):
                self._rows.close()

    def finish(self) -> None:
        """Everything on disk, then the facts with the size and checksum of every file."""
        if self._rows is not None:
            self._rows.flush()
            os.fsync(self._rows.fileno())
            self._rows.close()
        files = {file.name: [file.stat().st_size, checksum(file)] for file in sorted(self.folder.iterdir())}
        body = {
            "facts": self.facts, "files": files,
            "shape": [self.count, *self._shape], "dtype": self._dtype.name,
        }  # fmt: skip
        text = json.dumps(body, indent=1)
        with open(self.folder / "entry.json", "w") as stream:
            stream.write(json.dumps({"body": text, "checksum": zlib.crc32(text.encode())}))
            stream.flush()
            os.fsync(stream.fileno())


class Entry:
    """A finished entry: `values` mapped, the small `arrays` by name in memory, so that nothing is opened later.

    Raises ValueError or OSError when anything about it is not as written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        whole = json.loads((folder / "entry.json").read_text())
        if zlib.crc32(whole["body"].encode()) != whole["checksum"]:
            raise ValueError("entry.json does not match its checksum")
        body = json.loads(whole["body"])
        for name, (size, expected) in body["files"].items():
            if (folder / name).stat().st_size != size:
                raise ValueError(f"{name} is {(folder / name).stat().st_size} bytes, not {size}")
            if checksum(folder / name) != expected:
                raise ValueError(f"{name} does not match its checksum")
        self.facts: dict[str, Any] = body["facts"]
        self.arrays: dict[str, np.ndarray] = {
            name.removesuffix(".npy"): np.load(folder / name, allow_pickle=False)
            for name in body["files"]
            if name.endswith(".npy")
        }
        self.values: np.ndarray = np.memmap(folder / "values.bin", np.dtype(body["dtype"]), "r", shape=tuple(body["shape"]))


def checksum(path: Path, block: int = 1 << 20, most: int = 64) -> int:
    """CRC-32 of up to 64 blocks of 1 MiB spread evenly over a file: all of it up to 64 MiB, a sample beyond."""
    size = path.stat().st_size
    value = 0
    with open(path, "rb") as stream:
        starts = range(0, size, block)
        if len(starts) > most:
            starts = np.linspace(0, size - block, most).astype(np.int64).tolist()
        for start in starts:
            stream.seek(start)
            value = zlib.crc32(stream.read(block), value)
    return value


def _host() -> str:
    return socket.gethostname().replace(".", "-")


def _alive(process: int) -> bool:
    if process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
