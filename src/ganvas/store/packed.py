"""Records that stay packed in files while they are learnt: what every form of packing answers (`shards`, `arrow`).

A record has a place, (file, first byte, bytes), from which `reader.Reader` reads what its picture is encoded as; the order of a
training is then a function of seed and epoch, and nothing of a position has to be saved. Not for decoding
(`kinds.image.members`), nor for the order of records (`data.streams`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, GanvasError
from . import cache as caching
from .addresses import TELLING, info_of, is_address
from .listing import Source, some, split_word
from .reader import Reader

LABELS, CAPTIONS = ("label", "class", "cls"), ("caption", "text", "txt")
"""Names under which the class and the words of a record stand beside its picture, the first that is there."""
BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")
MOST_FILES = 1_000_000  # that braces may stand for


@dataclass(frozen=True)
class Told:
    """What stands beside a picture: its class, its group, its side, its caption, and all other values by name."""

    label: str | None = None
    group: str | None = None
    heldout: bool | None = None
    caption: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class PackedRecord:
    """A record as it lies in its file, not decoded. name: what it is called to the user. place: first byte, bytes. error: why
    it cannot be used, one line."""

    shard: int
    key: str
    name: str
    place: tuple[int, int]
    data: bytes
    told: Told
    error: str | None = None


@dataclass
class Pass:
    """One pass through the files. strict: what is broken is an error. pictures: suffixes of what is read; known: of what is
    known besides; lonely: is told the name of each record without a picture. wrong, notes: what is broken, and what is left out
    of sound files, one line each. bare: the pictures themselves are not wanted."""

    reader: Reader
    pictures: tuple[str, ...]
    known: tuple[str, ...] = ()
    strict: bool = False
    lonely: Callable[[str], None] = lambda name: None
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bare: bool = False


class PackedSource(Source):
    """The files that a user's text names, in order. Raises DataError or GanvasError, one line, as it is looked at.

    noun, nouns, within: what one of its files is called, what they are, and where records are said to be. hints: what to do, by
    what is missing. choice: which column the user takes for what, where there are columns.
    """

    noun, nouns, within = "file", "packed files", ""
    hints: Mapping[str, str] = {}
    choice: Mapping[str, str] = {}

    def __init__(self, text: str) -> None:
        super().__init__(Path(text) if is_address(text) else Path(text).expanduser(), text)

    @property
    def remedy(self) -> str:
        """What to do about what is not read from it."""
        return "unpack them into a folder"

    @property
    def holds(self) -> str:
        """The kind of what is packed."""
        return "image"

    @cached_property
    def places(self) -> list[str]:
        """A path or an address each."""
        raise NotImplementedError

    def _all_there(self, found: list[str], empty: str) -> list[str]:
        """The places, or DataError: some are no files, or there are none, as `empty` says."""
        missing = [place for place in found if not is_address(place) and not os.path.isfile(place)]
        if missing:
            names = some([place.rpartition("/")[2] for place in missing])
            raise DataError(f"{self.text}: {len(missing)} of {len(found)} {self.noun}s are not there: {names}")
        if not found:
            raise DataError(f"{self.text}: {empty}")
        return found

    @cached_property
    def names(self) -> list[str]:
        """The last part of each place, or more where these are not different."""
        last = [place.rpartition("/")[2] for place in self.places]
        return last if len(set(last)) == len(last) else list(self.places)

    @property
    def place(self) -> str:
        """What leads there from any folder."""
        return self.text if is_address(self.text) else os.path.abspath(self.path)

    def is_there(self) -> bool:
        """Whether the files are there; an address is taken at its word."""
        if is_address(self.text):
            return True
        try:
            return bool(self.places)
        except GanvasError:
            return False

    def looks(self) -> tuple[list[list[Any]], bool]:
        """How the files look without being read, and whether that can be trusted (`cache.look`)."""
        looks: list[list[Any]] = []
        settled = True
        for place in self.places:
            if is_address(place):
                told = info_of(place)
                looks.append([place, *(str(told.get(name)) for name in TELLING)])
            else:
                own, left_alone = caching.look([Path(place)])
                settled &= left_alone
                looks += own
        return looks, settled

    def sides(self) -> list[bool | None]:
        """Whether the name of each file says that it is held out (`val-0001.tar`) or trained on; nothing where none is."""
        found = [side_of(re.split(r"[-_.\s]+", name.rpartition("/")[2].rpartition(".")[0])) for name in self.names]
        return found if True in found else [None] * len(found)

    def choosing(self, columns: Mapping[str, str], wanted: Mapping[str, tuple[str, ...]] | None) -> PackedSource:
        """The same with what the user says of columns. wanted: the fields of a system. Raises GanvasError."""
        raise NotImplementedError

    def turns(self, shard: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, str]:
        """(in which part (n,) each record lies, how they are gone through): an epoch goes through the parts in random order.
        shard, size: (n,) file and bytes of each record."""
        return shard, f"{self.noun} after {self.noun}"

    def said(self) -> list[Any]:
        """Whatever besides the bytes of the files decides what their records are."""
        return []

    def reader(self, kept: Path | None = None) -> Reader:
        """What reads bytes by their place. kept: the cache folder."""
        return Reader(self.places, kept)

    def records(self, going: Pass) -> Iterator[PackedRecord]:
        """Every record of every file that has a picture. Raises DataError when no file can be read."""
        raise NotImplementedError


def side_of(words: Sequence[str]) -> bool | None:
    """What the first of the words that means held out or trained on says."""
    return next((side for side in map(split_word, words) if side is not None), None)


def expanded(text: str) -> list[str]:
    """`a-{000..002}.tar` as three names, `{train,val}.tar` as two. Raises GanvasError for braces that say nothing."""
    found = BRACES.search(text)
    if found is None:
        return [text]
    inner = found[1]
    if (ends := RANGE.fullmatch(inner)) is not None:
        first, last = int(ends[1]), int(ends[2])
        if not 0 <= last - first < MOST_FILES:
            raise GanvasError(f"{text}: {{{inner}}} counts from {ends[1]} to {ends[2]}: give the smaller number first")
        words = [f"{number:0{len(ends[1])}d}" for number in range(first, last + 1)]
    elif "," in inner:
        words = inner.split(",")
    else:
        raise GanvasError(f"{text}: {{{inner}}} is neither a range, as in {{000..099}}, nor a list, as in {{train,val}}")
    return [whole for word in words for whole in expanded(text[: found.start()] + word + text[found.end() :])]
