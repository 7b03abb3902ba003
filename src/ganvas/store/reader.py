"""Bytes of packed files by their place, from threads; what does not lie as it is read, shards at an address and columns of
Parquet, is brought whole into the cache folder first.

Not for what the bytes are (`store.packed`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import DataError, RunError
from . import cache as caching
from .addresses import TELLING, info_of, is_address, reaching, system_of

KEPT_GB = 20.0
"""Fetched shards that were used longest ago are removed beyond this (`GANVAS_SHARDS_GB` overrides it)."""
TRIES, WAIT = 3, 1.0  # of fetching, and seconds before the second try, which grow fourfold
TRIES_TO_OPEN = 10
BROUGHT = (".tar", ".column")  # suffixes of what lies in the cache folder
OPEN = 64  # shards whose files stay open


class Reader:
    """Bytes of packed files by their place, from threads. What lies apart, shards at an address, is brought whole into the
    cache folder, and what was used longest ago is removed beyond `KEPT_GB`."""

    def __init__(self, places: list[str], kept: Path | None = None) -> None:
        self.places = places
        self.kept = caching.cache_folder(kept) / "shards"
        self._reset()

    def _reset(self) -> None:
        self._files: OrderedDict[int, tuple[BinaryIO, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()
        self._fetched: dict[int, Future[Path]] = {}
        self._fetching: ThreadPoolExecutor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"places": self.places, "kept": self.kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def read(self, shard: int, start: int, size: int) -> bytes:
        """So many bytes of a shard. Raises RunError when it has become shorter, OSError, DataError."""
        stream, lock = self._file(shard)
        with lock:
            stream.seek(start)
            data = stream.read(size)
        if len(data) != size:
            raise RunError(f"{self.places[shard]}: is shorter than it was when its records were counted: put it back")
        return data

    def want(self, shards: Iterable[int]) -> None:
        """These will be read soon: fetch them, or let the system read them ahead."""
        for shard in shards:
            if self._apart(self.places[shard]):
                self._later(shard)
            else:
                self._file(shard)

    def path(self, shard: int) -> Path:
        """The shard on disk. Raises DataError when it cannot be fetched."""
        place = self.places[shard]
        return self._later(shard).result() if self._apart(place) else Path(place)

    def lies_apart(self, shard: int) -> bool:
        """Whether the shard is read from a copy of it, or of what is read in it."""
        return self._apart(self.places[shard])

    def _apart(self, place: str) -> bool:
        """Whether its bytes are read from a copy in the cache folder."""
        return is_address(place)

    def _file(self, shard: int) -> tuple[BinaryIO, threading.Lock]:
        with self._lock:
            if shard in self._files:
                self._files.move_to_end(shard)
                return self._files[shard]
        stream = self._opened(shard)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
        with self._lock:
            own = self._files.setdefault(shard, (stream, threading.Lock()))
            while len(self._files) > OPEN:
                self._files.popitem(last=False)
            return own

    def _opened(self, shard: int) -> BinaryIO:
        """The file, which closes when nobody holds it. A fetched one may be gone already where there is room for few."""
        for _ in range(TRIES_TO_OPEN):
            with suppress(FileNotFoundError):
                return open(self.path(shard), "rb", buffering=0)
        raise RunError(
            f"{self.places[shard]}: is gone" + (": raise GANVAS_SHARDS_GB" if self._apart(self.places[shard]) else "")
        )

    def _later(self, shard: int) -> Future[Path]:
        with self._lock:
            known = self._fetched.get(shard)
            if known is not None and (not known.done() or (known.exception() is None and known.result().exists())):
                return known
            if self._fetching is None:
                self._fetching = ThreadPoolExecutor(2, thread_name_prefix="fetch")
            self._fetched[shard] = self._fetching.submit(self._fetch, self.places[shard])
            return self._fetched[shard]

    def _fetch(self, address: str) -> Path:
        told = info_of(address)
        files, inner = system_of(address)
        key = caching.digest(str(files.protocol), inner, [str(told.get(name)) for name in TELLING])

        def copy(target: BinaryIO) -> None:
            with reaching(address), files.open(inner, "rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
            if told.get("size") is not None and target.tell() != told["size"]:
                raise DataError(f"{address}: {target.tell():,} of {told['size']:,} bytes came: try again")

        for attempt in range(TRIES):
            try:
                return self._kept(f"{key}.tar", float(told.get("size") or 0), copy)
            except DataError:
                if attempt + 1 == TRIES:
                    raise
                time.sleep(WAIT * 4**attempt)
        raise AssertionError("unreachable")

    def _kept(self, name: str, size: float, write: Callable[[BinaryIO], None]) -> Path:
        """The file of that name in the cache folder, written if need be. size: bytes that it may take."""
        path, part = self.kept / name, self.kept / f".{uuid.uuid4().hex}"
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
            return path
        try:
            self.kept.mkdir(parents=True, exist_ok=True)
            _make_room(self.kept, size)
            with open(part, "wb") as target:
                write(target)
            os.replace(part, path)
        except OSError as error:
            raise RunError(f"{self.kept}: packed files cannot be kept there ({error.strerror}): set GANVAS_CACHE") from error
        finally:
            part.unlink(missing_ok=True)
        return path


def _make_room(folder: Path, wanted: float) -> None:
    """Remove the shards used longest ago beyond the limit; whoever reads one keeps it until he closes it."""
    try:
        limit = float(os.environ.get("GANVAS_SHARDS_GB", KEPT_GB)) * 1e9
    except ValueError:
        limit = KEPT_GB * 1e9
    found = []
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another reader made room meanwhile
            if file.suffix in BROUGHT:
                told = file.stat()
                found.append((told.st_mtime, told.st_size, file))
    found.sort()
    total = wanted + sum(size for _, size, _ in found)
    for _, size, file in found[:-1]:  # the newest may be in use
        if total <= limit:
            return
        file.unlink(missing_ok=True)
        total -= size
