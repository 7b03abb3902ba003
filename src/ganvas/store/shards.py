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
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from ..errors import DataError, GanvasError
from .addresses import is_address, stored
from .guard import printable
from .listing import natural, some, split_word
from .packed import CAPTIONS, LABELS, PackedRecord, PackedSource, Pass, Told, expanded
from .reader import Reader

BESIDE = (".json", ".jsonl", ".txt", ".md", ".idx", ".index", ".csv", ".tsv", ".yaml", ".sha256")
"""Suffixes of what may lie beside shards in their folder."""


def names_shards(text: str) -> bool:
    """Whether a user's text names shards: an address, .tar files (also with braces or a star), or a folder of them."""
    if is_address(text) or (text.lower().endswith(".tar") and not Path(text).expanduser().is_dir()):
        return True
    found = False
    try:
        for entry in os.scandir(Path(text).expanduser()):
            name = entry.name.lower()
            if name.startswith("."):
                continue
            if not name.endswith((".tar", *BESIDE)) or not entry.is_file():
                return False  # at the first file of another kind, of however many
            found |= name.endswith(".tar")
    except OSError:
        return False
    return found


class Shards(PackedSource):
    """The shards that a user's text names, in order. Raises DataError or GanvasError, one line, as it is looked at."""

    noun, nouns, within = "shard", "shards", " in shards"
    hints: Mapping[str, str] = {
        "picture": "are they laid out as WebDataset (0001.png, 0001.cls)?",
        "class": "add their .cls",
        "caption": "add a .txt",
        "attributes": "no .json of a record has entries to learn as {name}: pack them as 0001.json",
        "groups": "name groups in the .json of records",
    }

    @cached_property
    def places(self) -> list[str]:
        """A path or an address each."""
        found: list[str] = []
        for text in expanded(self.text):
            found += stored(text) if is_address(text) else _local(text)
        return self._all_there(found, "no .tar file there: name shards, as in  shards/train-{000..099}.tar")

    def choosing(self, columns: Mapping[str, str], wanted: Mapping[str, tuple[str, ...]] | None) -> NoReturn:
        raise GanvasError(f"{self}: --fields is not for shards, whose members say by their suffixes what they are")

    def records(self, going: Pass) -> Iterator[PackedRecord]:
        for shard, samples in each_shard(going.reader, self.names, going.strict, going.wrong, going.notes):

            def read(start: int, size: int, shard: int = shard) -> bytes:
                return going.reader.read(shard, start, size)

            for sample in samples:
                name = f"{self.names[shard]}: {sample.key}"
                try:
                    suffix = picture_in(sample, going.pictures)
                    told = told_of(sample, read)
                except DataError as error:
                    yield PackedRecord(shard, sample.key, name, (0, 0), b"", Told(), f"{self.names[shard]}: {error}")
                    continue
                if suffix is None:
                    other = next((own for own in sample.members if f".{own}".endswith(going.known)), None)
                    if other is None:
                        going.lonely(f"{name}.{next(iter(sample.members))}")
                        continue
                    no_picture = f"{name}.{other} is no {', '.join(going.pictures)}: put other files into a folder"
                    yield PackedRecord(shard, sample.key, name, (0, 0), b"", told, no_picture)
                    continue
                place = sample.members[suffix]
                data = b"" if going.bare else read(*place)
                yield PackedRecord(shard, sample.key, f"{name}.{suffix}", place, data, told)


def _local(text: str) -> list[str]:
    path = os.path.expanduser(text)
    if os.path.isdir(path):
        names = [name for name in os.listdir(path) if name.lower().endswith(".tar") and not name.startswith(".")]
        return [f"{path.rstrip('/')}/{name}" for name in sorted(names, key=natural)]
    if any(sign in path for sign in "*?") and not os.path.exists(path):
        return sorted(glob.glob(path), key=natural)
    return [path]


# What a shard holds


@dataclass
class Sample:
    """A record of a shard. members: suffix, the name behind the first dot in lower case -> (first byte, bytes)."""

    key: str
    members: dict[str, tuple[int, int]] = field(default_factory=dict)


def samples_of(path: Path, name: str) -> tuple[list[Sample], list[str], list[str]]:
    """(records in the order of their first members, what is wrong with the shard, what else is left out), one line each.

    Members of a key need not lie side by side. Raises DataError for what is no tar at all.
    """
    found: dict[str, Sample] = {}
    wrong: list[str] = []
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
                    wrong.append(f"{name}: ends within {printable(member.name)}: it was cut off, what stands before is used")
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
                wrong += _unended(path, name, size, tar.offset, len(found))
    except (tarfile.TarError, EOFError) as error:
        with open(path, "rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        if packed:
            raise DataError(f"{name}: is compressed, so its members have no places: unpack it with  gunzip") from None
        if not found:
            raise DataError(f"{name}: is no tar file ({printable(str(error))}): copy it again or take it out") from None
        wrong.append(f"{name}: is damaged after {len(found)} records ({printable(str(error))}): these are used")
    notes: list[str] = []
    if others:
        notes.append(f"{name}: left alone without a key or a suffix: {some([printable(own) for own in others])}")
    if twice:
        notes.append(f"{name}: holds twice, of which the first is used: {some([printable(own) for own in twice])}")
    return list(found.values()), wrong, notes


def _next(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    member = tar.next()
    tar.members = []  # type: ignore[attr-defined]  # else it keeps them all
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


def picture_in(sample: Sample, pictures: tuple[str, ...]) -> str | None:
    """The suffix of the one picture of a record; None where it has none. Raises DataError for several."""
    found = [suffix for suffix in sample.members if f".{suffix}".endswith(pictures)]
    if len(found) > 1:
        names = " and ".join(f"{sample.key}.{suffix}" for suffix in found[:2])
        raise DataError(f"{sample.key}: holds several pictures ({names}): of shards one a record is read")
    return found[0] if found else None


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


def each_shard(
    reader: Reader, names: list[str], strict: bool, wrong: list[str], notes: list[str]
) -> Iterator[tuple[int, list[Sample]]]:  # fmt: skip
    """(number, records) of every shard in order. What is wrong with one goes to `wrong`, with `strict` it is an error; what is
    left out of a sound one goes to `notes`.

    Raises DataError when none can be read.
    """
    read = 0
    for shard, name in enumerate(names):
        if shard + 1 < len(names):
            reader.want([shard + 1])
        try:
            samples, broken, told = samples_of(reader.path(shard), name)
        except DataError as error:
            if strict or (shard + 1 == len(names) and not read):
                raise
            wrong.append(f"left out whole: {error}")
            continue
        if strict and broken:
            raise DataError(broken[0])
        wrong += broken
        notes += told
        read += 1
        yield shard, samples
