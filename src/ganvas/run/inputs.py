"""The files that a run is put to use on, and what their results are called. Not for reading them (`apply`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..data.finding import files_of, wholes_of
from ..errors import GanvasError
from ..kinds import Kind
from ..store.listing import counted, natural, results_among, some
from .given import stem


@dataclass
class Input:
    """A file to be worked on. known: its name for the user, relative. name: where its result goes, relative, without suffix.
    format: of its result; nothing where it has a file of its own."""

    path: Path
    known: str
    name: str
    format: str


def inputs_of(
    places: Sequence[str | Path], kind: Kind, others: tuple[str, ...], format: Callable[[Path], str], *, alone: bool,
    note: Callable[[str], None],
) -> list[Input]:  # fmt: skip
    """The files of a kind, and of other suffixes, in files and folders, in order, each with the name of its result.

    format: of the result of a file. alone: no two results may be told apart by the suffix of their file alone. Raises
    GanvasError when two would share a name, DataError for a place that is not there.
    """
    found: list[Input] = []
    for given in places:
        listing = files_of(Path(given).expanduser(), kind, others)
        own = set(results_among(listing.source, listing.names)) if listing.source.is_dir() else set()
        if own:
            note(f"{counted(len(own), 'file')} left out that ganvas made ({some(sorted(own, key=natural))})")
        for file, name in wholes_of(listing, kind, own):
            found.append(Input(file, name, name if file.is_dir() else stem(name), format(file)))
    if not found:
        raise GanvasError("on what? Name files or folders:  ganvas apply RUN FILE ... --out FOLDER")
    if not alone:  # nothing forbids to call results by the whole name, as a.png and a.jpg need it
        shared = Counter(one.name for one in found)
        found = [replace(one, name=one.known) if shared[one.name] > 1 else one for one in found]
    taken: dict[tuple[str, str], Path] = {}
    for one in found:
        other = taken.setdefault((one.name, one.format), one.path)
        if other is not one.path:
            raise GanvasError(f"{other} and {one.path} would both be written as {one.name}: apply them into two folders")
    return found
