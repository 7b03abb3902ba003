"""Shards: .tar files laid out as WebDataset, on disk or in an object store, and where the members of each record lie in them.

Records are members of one key, the name up to its first dot: `0001.png`, `0001.cls`, `0001.json`. The headers of a shard are
read once; afterwards every member is read by its place, so that the order of a training is a function of seed and epoch and
one number is all that has to be saved of it. The package `webdataset` gives shards as streams whose position is kept nowhere
(its issue 271: "something WebDataset can't do for you"), so that exact resume would need all of this beside it; Python's
`tarfile` reads the headers. Not for decoding members (`kinds.image.members`), nor for the order of records (`data.streams`).
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import tarfile
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import DataError, GanvasError, MissingExtra, RunError
from . import cache as caching
from .guard import printable
from .listing import Source, natural, some, split_word

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")
MOST_SHARDS = 1_000_000  # that braces may stand for
KEPT_GB = 20.0
"""Fetched shards that were used longest ago are removed beyond this (`GANVAS_SHARDS_GB` overrides it)."""
TRIES, WAIT = 3, 1.0  # of fetching, and seconds before the second try, which grow fourfold
OPEN = 64  # shards whose files stay open
TELLING = ("size", "ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created", "md5Hash", "checksum")
"""What a store says of a file that tells one state of it from another."""
LABELS, CAPTIONS = ("label", "class", "cls"), ("caption", "text", "txt")
"""Entries of a record's .json, the first that is there."""
BESIDE = (".json", ".jsonl", ".txt", ".md", ".idx", ".index", ".csv", ".tsv", ".yaml", ".sha256")
"""Suffixes of what may lie beside shards in their folder."""


def is_address(text: str) -> bool:
    """Whether it names a place in an object store or on the web: `s3://`, `gs://`, `https://` ..."""
    return ADDRESS.match(text) is not None


def names_shards(text: str) -> bool:
    """Whether a user's text names shards: an address, .tar files (also with braces or a star), or a folder of them."""
    if is_address(text) or (text.lower().endswith(".tar") and not Path(text).expanduser().is_dir()):
        return True
    try:
        found = [entry for entry in os.scandir(Path(text).expanduser()) if not entry.name.startswith(".")]
    except OSError:
        return False
    tars = [entry for entry in found if entry.name.lower().endswith(".tar")]
    return bool(tars) and all(entry.is_file() and entry.name.lower().endswith((".tar", *BESIDE)) for entry in found)


def expanded(text: str) -> list[str]:
    """`a-{000..002}.tar` as three names, `{train,val}.tar` as two. Raises GanvasError for braces that say nothing."""
    found = BRACES.search(text)
    if found is None:
        return [text]
    inner = found[1]
    if (ends := RANGE.fullmatch(inner)) is not None:
        first, last = int(ends[1]), int(ends[2])
        if not 0 <= last - first < MOST_SHARDS:
            raise GanvasError(f"{text}: {{{inner}}} counts from {ends[1]} to {ends[2]}: give the smaller number first")
        words = [f"{number:0{len(ends[1])}d}" for number in range(first, last + 1)]
    elif "," in inner:
        words = inner.split(",")
    else:
        raise GanvasError(f"{text}: {{{inner}}} is neither a range, as in {{000..099}}, nor a list, as in {{train,val}}")
    return [whole for word in words for whole in expanded(text[: found.start()] + word + text[found.end() :])]


class Shards(Source):
    """The shards that a user's text names, in order. Raises DataError or GanvasError, one line, as it is looked at."""

    def __init__(self, text: str) -> None:
        super().__init__(Path(text) if is_address(text) else Path(text).expanduser(), text)

    @cached_property
    def names(self) -> list[str]:
        """The last part of each place, or more where these are not different."""
        last = [place.rpartition("/")[2] for place in self.places]
        return last if len(set(last)) == len(last) else list(self.places)

    @cached_property
    def places(self) -> list[str]:
        """A path or an address each."""
        found: list[str] = []
        for text in expanded(self.text):
            found += _stored(text) if is_address(text) else _local(text)
        missing = [place for place in found if not is_address(place) and not os.path.isfile(place)]
        if missing:
            names = some([place.rpartition("/")[2] for place in missing])
            raise DataError(f"{self.text}: {len(missing)} of {len(found)} shards are not there: {names}")
        if not found:
            raise DataError(f"{self.text}: no .tar file there: name shards, as in  shards/train-{{000..099}}.tar")
        return found

    @property
    def place(self) -> str:
        """What leads there from any folder."""
        return self.text if is_address(self.text) else os.path.abspath(self.path)

    def looks(self) -> tuple[list[list[Any]], bool]:
        """How the shards look without being read, and whether that can be trusted (`cache.look`)."""
        looks: list[list[Any]] = []
        settled = True
        for place in self.places:
            if is_address(place):
                told = _info(place)
                looks.append([place, *(str(told.get(name)) for name in TELLING)])
            else:
                own, left_alone = caching.look([Path(place)])
                settled &= left_alone
                looks += own
        return looks, settled

    def sides(self) -> list[bool | None]:
        """Whether the name of each shard says that it is held out (`val-0001.tar`) or trained on; nothing where none is."""
        found = []
        for name in self.names:
            words = re.split(r"[-_.\s]+", name.rpartition("/")[2].removesuffix(".tar"))
            found.append(next((side for side in map(split_word, words) if side is not None), None))
        return found if True in found else [None] * len(found)


def is_there(text: str) -> bool:
    """Whether the first of the shards is there; an address is taken at its word."""
    if is_address(text):
        return True
    try:
        return bool(Shards(text).places)
    except GanvasError:
        return False


def _local(text: str) -> list[str]:
    path = os.path.expanduser(text)
    if os.path.isdir(path):
        names = [name for name in os.listdir(path) if name.lower().endswith(".tar") and not name.startswith(".")]
        return [f"{path.rstrip('/')}/{name}" for name in sorted(names, key=natural)]
    if any(sign in path for sign in "*?") and not os.path.exists(path):
        return sorted(glob.glob(path), key=natural)
    return [path]


def _stored(address: str) -> list[str]:
    """Places at an address: itself, what a star stands for, or the .tar files of a folder."""
    if address.lower().partition("?")[0].endswith(".tar") and "*" not in address:
        return [address]
    files, path = _system(address)
    with _reaching(address):
        wanted = path if "*" in path else f"{path.rstrip('/')}/*.tar"
        return [files.unstrip_protocol(name) for name in sorted(files.glob(wanted), key=natural)]


def _system(address: str) -> tuple[Any, str]:
    """(the file system of fsspec, the path in it). Raises MissingExtra, GanvasError."""
    try:
        import fsspec
    except ImportError:
        raise MissingExtra("fsspec", "remote") from None
    with _reaching(address):
        system, path = fsspec.core.url_to_fs(address)
        return system, str(path)


def _info(address: str) -> dict[str, Any]:
    files, path = _system(address)
    with _reaching(address):
        return dict(files.info(path))


class _reaching:
    """Every failure of a store is a DataError of one line."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, GanvasError) or not isinstance(error, Exception):
            return
        words = printable(str(error))[:160] or type(error).__name__
        if isinstance(error, ImportError | ValueError):  # no package for it, or no such protocol
            raise GanvasError(f"{self.address}: cannot be read here ({words})") from None
        if isinstance(error, FileNotFoundError):
            raise DataError(f"{self.address}: is not there") from None
        raise DataError(f"{self.address}: cannot be reached ({words}): try again, or copy the shards to disk") from None


# What a shard holds


@dataclass
class Sample:
    """A record of a shard. members: suffix, the name behind the first dot in lower case -> (first byte, bytes)."""

    key: str
    members: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What stands beside a picture: its class, its group, its side, its caption, and all entries of its .json."""

    label: str | None = None
    group: str | None = None
    heldout: bool | None = None
    caption: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


def samples_of(path: Path, name: str) -> tuple[list[Sample], list[str]]:
    """(records in the order of their first members, what is wrong with the shard, one line each).

    Members of a key need not lie side by side. Raises DataError for what is no tar at all.
    """
    found: dict[str, Sample] = {}
    notes: list[str] = []
    others: list[str] = []
    twice: list[str] = []
    size = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as tar:
            end = 0
            while (member := _next(tar)) is not None:
                if not member.isfile():
                    if not member.isdir():
                        others.append(member.name)
                    continue
                end = member.offset_data + member.size
                if end > size:
                    notes.append(f"{name}: ends within {printable(member.name)}: it was cut off, what stands before is used")
                    break
                folder, _, base = member.name.removeprefix("./").rpartition("/")
                stem, dot, suffix = base.partition(".")
                if not stem or not dot:
                    others.append(member.name)
                    continue
                key = f"{folder}/{stem}" if folder else stem
                own = found.setdefault(key, Sample(key))
                if suffix.lower() in own.members:
                    twice.append(member.name)
                    continue
                own.members[suffix.lower()] = (member.offset_data, member.size)
            else:
                notes += _unended(path, name, size, tar.offset, len(found))
    except (tarfile.TarError, EOFError) as error:
        with open(path, "rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        if packed:
            raise DataError(f"{name}: is compressed, so its members have no places: unpack it with  gunzip") from None
        if not found:
            raise DataError(f"{name}: is no tar file ({printable(str(error))}): copy it again or take it out") from None
        notes.append(f"{name}: is damaged after {len(found)} records ({printable(str(error))}): these are used")
    if others:
        notes.append(f"{name}: left alone without a key or a suffix: {some([printable(own) for own in others])}")
    if twice:
        notes.append(f"{name}: holds twice, of which the first is used: {some([printable(own) for own in twice])}")
    return list(found.values()), notes


def _next(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    member = tar.next()
    tar.members = []  # else it keeps them all
    return member


def _unended(path: Path, name: str, size: int, offset: int, count: int) -> list[str]:
    """What is wrong where the headers end: a tar ends with blocks of zeros."""
    with open(path, "rb") as stream:
        stream.seek(offset)
        block = stream.read(512)
    if not block:
        return [f"{name}: has no end mark after {count} records: was it cut off?"]
    if block.strip(b"\0"):
        return [f"{name}: is damaged at byte {offset:,} of {size:,}: the {count} records before are used"]
    return []


def told_of(sample: Sample, read: Any) -> Told:
    """What the members beside a picture say. read: (first byte, bytes) -> bytes. Raises DataError, with the member's name."""
    attributes: dict[str, Any] = {}
    if "json" in sample.members:
        try:
            attributes = json.loads(read(*sample.members["json"]))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{sample.key}.json: is no JSON ({printable(str(error))[:80]})") from None
        if not isinstance(attributes, dict):
            raise DataError(f"{sample.key}.json: holds no entries with names")
    label = _text(sample, "cls", read)
    if label is None:
        label = next((str(attributes[name]) for name in LABELS if attributes.get(name) is not None), None)
    caption = _text(sample, "txt", read)
    if caption is None:
        caption = next((str(attributes[name]) for name in CAPTIONS if attributes.get(name) is not None), None)
    group, side = attributes.get("group"), attributes.get("split")
    heldout = None if side is None else split_word(str(side))
    if side is not None and heldout is None:
        raise DataError(f"{sample.key}.json: its split '{printable(str(side))[:40]}' is neither train nor test")
    return Told(label, None if group is None else str(group), heldout, caption, attributes)


def _text(sample: Sample, suffix: str, read: Any) -> str | None:
    if suffix not in sample.members:
        return None
    try:
        return str(read(*sample.members[suffix]).decode("utf-8-sig").strip())
    except UnicodeDecodeError:
        raise DataError(f"{sample.key}.{suffix}: is no UTF-8 text") from None


# Bytes by their place


class Reader:
    """Bytes of shards by their place, from threads. Shards at an address are fetched whole into the cache folder, and those
    used longest ago are removed beyond `KEPT_GB`."""

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
            if is_address(self.places[shard]):
                self._later(shard)
            else:
                self._file(shard)

    def path(self, shard: int) -> Path:
        """The shard on disk. Raises DataError when it cannot be fetched."""
        place = self.places[shard]
        return self._later(shard).result() if is_address(place) else Path(place)

    def _file(self, shard: int) -> tuple[BinaryIO, threading.Lock]:
        with self._lock:
            if shard in self._files:
                self._files.move_to_end(shard)
                return self._files[shard]
        stream: BinaryIO = open(self.path(shard), "rb", buffering=0)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
        with self._lock:
            own = self._files.setdefault(shard, (stream, threading.Lock()))
            while len(self._files) > OPEN:
                self._files.popitem(last=False)
            return own

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
        told = _info(address)
        path = self.kept / f"{caching.digest(address, [str(told.get(name)) for name in TELLING])}.tar"
        if path.exists():
            os.utime(path)
            return path
        files, inner = _system(address)
        for attempt in range(TRIES):
            part = self.kept / f".{uuid.uuid4().hex}"
            try:
                self.kept.mkdir(parents=True, exist_ok=True)
                _make_room(self.kept, float(told.get("size") or 0))
                with _reaching(address), files.open(inner, "rb") as source, open(part, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                if told.get("size") is not None and part.stat().st_size != told["size"]:
                    raise DataError(f"{address}: {part.stat().st_size:,} of {told['size']:,} bytes came: try again")
                os.replace(part, path)
                return path
            except DataError:
                if attempt + 1 == TRIES:
                    raise
                time.sleep(WAIT * 4**attempt)
            except OSError as error:
                raise RunError(f"{self.kept}: shards cannot be kept there ({error.strerror}): set GANVAS_CACHE") from error
            finally:
                part.unlink(missing_ok=True)
        raise AssertionError("unreachable")


def _make_room(folder: Path, wanted: float) -> None:
    """Remove the shards used longest ago beyond the limit; whoever reads one keeps it until he closes it."""
    try:
        limit = float(os.environ.get("GANVAS_SHARDS_GB", KEPT_GB)) * 1e9
    except ValueError:
        limit = KEPT_GB * 1e9
    found = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in folder.glob("*.tar"))
    total = wanted + sum(size for _, size, _ in found)
    for _, size, file in found[:-1]:  # the newest may be in use
        if total <= limit:
            return
        file.unlink(missing_ok=True)
        total -= size


def each_shard(reader: Reader, names: list[str], strict: bool, notes: list[str]) -> Iterator[tuple[int, list[Sample]]]:
    """(number, records) of every shard in order. What is wrong with one is a note, with `strict` an error.

    Raises DataError when none can be read.
    """
    read = 0
    for shard, name in enumerate(names):
        if shard + 1 < len(names):
            reader.want([shard + 1])
        try:
            samples, wrong = samples_of(reader.path(shard), name)
        except DataError as error:
            if strict or (shard + 1 == len(names) and not read):
                raise
            notes.append(f"left out whole: {error}")
            continue
        if strict and wrong:
            raise DataError(wrong[0])
        notes += wrong
        read += 1
        yield shard, samples
