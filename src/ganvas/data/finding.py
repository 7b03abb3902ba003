"""Which kind of data a source holds, and its files of that kind. Decodes nothing."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Container
from pathlib import Path

import numpy as np

from ..errors import DataError, did_you_mean
from ..kinds import Kind, kind_names, kind_of
from ..kinds.facets import Bundles, Claims, FromArrays, Lends, LooksInside, Sniffs
from ..store.arrow import ArrowTables, names_tables
from ..store.listing import Listing, Source, check_there, list_files
from ..store.packed import PackedSource
from ..store.shards import Shards, names_shards
from .phantoms import catalogue, is_phantom

USUALLY = {".csv": "points", ".npz": "image", ".npy": "image", ".nii": "image", ".nii.gz": "image"}
"""What a suffix that several kinds have means to a system that asks for none of them."""


def source_of(place: str | Path | Source) -> Source:
    """What a user named, to be walked once however often it is looked at."""
    if isinstance(place, Source):
        return place
    return packed_of(str(place)) or Source(Path(place).expanduser(), str(place))


def packed_of(text: str) -> PackedSource | None:
    """The packed files that a user's text names; None where it names none."""
    if names_shards(text):
        return Shards(text)
    return ArrowTables(text) if names_tables(text) else None


def existing(name: str | Path | Source) -> Source:
    """The file or folder of that name, or the phantom, which is made when it is opened. Raises DataError for what is neither,
    with the nearest name."""
    source = source_of(name)
    if is_phantom(source.text):
        return source
    if isinstance(source, PackedSource):
        _ = source.places  # looked for here, where a place that is not there is told
        return source
    if len(Path(source.text).parts) == 1 and not source.path.exists():
        close = did_you_mean(source.text, list(catalogue()))
        if close:
            raise DataError(f"{source.text}: neither a file, a folder nor a phantom{close}: see  ganvas data list")
    check_there(source)
    return source


def recognise(place: str | Path | Source | np.ndarray, wanted: tuple[str, ...] = ()) -> str:
    """The kind that most files are of, by their suffixes; of a phantom its own, of an array the one that takes its shape.

    wanted: kinds that a system learns from; where a suffix may mean several (`.csv`, `.npz`), these decide. Where nothing is
    of any kind, the first one wanted, or images. Raises DataError for an array that no kind takes.
    """
    if isinstance(place, np.ndarray):
        for name in (*wanted, *kind_names()):
            kind = kind_of(name)
            if isinstance(kind, FromArrays) and kind.takes(place):
                return name
        raise DataError(f"the array has shape {place.shape}: give images (N, H, W), (N, H, W, C) or points (N, D)")
    source = source_of(place)
    if is_phantom(source.text):
        return catalogue()[source.text.partition(":")[0]].kind
    if isinstance(source, PackedSource):
        return source.holds
    kinds = [kind_of(name) for name in kind_names()]
    owners: dict[str, list[str]] = {}
    for kind in kinds:
        for suffix in kind.suffixes:
            owners.setdefault(suffix, []).append(kind.name)
    endings = Counter(_ending(path) for path in source.names)  # a few, of however many files
    counts: Counter[str] = Counter()
    for ending, files in endings.items():
        counts.update(dict.fromkeys(_claimants(ending, owners, wanted), files))
    if not counts:
        return "image" if "image" in wanted or not wanted else wanted[0]
    return max(counts, key=lambda name: (counts[name], name in wanted, name == "image"))


def _ending(name: str) -> tuple[str, ...]:
    """What may be the suffix of a file: (".nii.gz", ".gz") of `a.nii.gz`, nothing of a name without a dot."""
    parts = name.rpartition("/")[2].lower().split(".")
    return tuple("." + ".".join(parts[-count:]) for count in (2, 1) if len(parts) > count)


def _claimants(ending: tuple[str, ...], owners: dict[str, list[str]], wanted: tuple[str, ...]) -> list[str]:
    """Kinds whose file this may be."""
    for suffix in ending:
        if suffix in owners:
            asked = [name for name in owners[suffix] if name in wanted]
            able = [name for name in owners[suffix] if name in asked or suffix not in _lent(name)]
            usual = [USUALLY[suffix]] if suffix in USUALLY else []
            return able if len(able) == 1 else asked or usual
    return []


def _lent(name: str) -> tuple[str, ...]:
    """Suffixes of that kind which mean another one to those who do not ask for it."""
    kind = kind_of(name)
    return kind.lent if isinstance(kind, Lends) else ()


def is_plain(source: Source) -> bool:
    """Whether suffixes alone say of what kind the files are."""
    return not any(name.lower().endswith(tuple(USUALLY)) for name in source.names)


def usual_kind(name: str) -> str | None:
    """The kind that a file of that name is of when nobody says; None where it is of none, or may be of several."""
    owners: dict[str, list[str]] = {}
    for own in kind_names():
        for suffix in kind_of(own).suffixes:
            owners.setdefault(suffix, []).append(own)
    found = _claimants(_ending(name), owners, ())
    return found[0] if len(found) == 1 else None


def possible(path: Path) -> list[str]:
    """Kinds that the files may be, those whose suffixes usually mean another last."""
    able = [kind for kind in kind_names() if recognise(path, (kind,)) == kind]
    return sorted(able, key=lambda kind: _borrowed(path, kind))


def claimed(place: str | Path | Source) -> str | None:
    """The kind that is sure of the files by what they hold (`facets.Claims`), where their suffixes leave it open; else None."""
    source = source_of(place)
    able: list[str] = []
    with contextlib.suppress(DataError):
        able = possible(source.path)
    for name in able:
        kind = kind_of(name)
        if isinstance(kind, Claims):
            with contextlib.suppress(DataError):  # no files of that kind
                if kind.claims(files_of(source, kind).files):
                    return name
    return None


def _borrowed(path: Path, name: str) -> bool:
    """Whether all of its files have suffixes that mean another kind to those who do not ask for this one."""
    kind = kind_of(name)
    if not isinstance(kind, Lends):
        return False
    own = [file.lower() for file in Source(path).names if file.lower().endswith(kind.suffixes)]
    return bool(own) and all(file.endswith(kind.lent) for file in own)


def files_of(place: str | Path | Source, kind: Kind, others: tuple[str, ...] = ()) -> Listing:
    """The source's files of that kind, and those of other suffixes, with their labels, groups and sides. Raises DataError as
    `list_files`."""
    sniff = kind.sniff if isinstance(kind, Sniffs) else None
    bundles = kind.bundles if isinstance(kind, Bundles) else None
    return list_files(
        source_of(place), (*kind.suffixes, *others), kind.says.noun, sniff, masks=isinstance(kind, LooksInside), bundles=bundles
    )


def wholes_of(listing: Listing, kind: Kind, left: Container[str] = ()) -> list[tuple[Path, str]]:
    """(file, name) of each record's file, but for names that are left out; where several files make one (`facets.Bundles`),
    their folder. Raises DataError for a folder with parts of several."""
    pairs = list(zip(listing.files, listing.names, strict=True))
    if not isinstance(kind, Bundles) or listing.source.is_file():
        return [(file, name) for file, name in pairs if name not in left]
    found: dict[Path, tuple[str, str]] = {}
    for (file, name), part in zip(pairs, kind.bundles(listing.names), strict=True):
        if name in left:
            continue
        if part == name:
            found[file] = (part, name)
            continue
        folder = file.parent
        if found.setdefault(folder, (part, part if "/" in name else listing.source.name))[0] != part:
            raise DataError(f"{folder}: holds parts of several {kind.says.noun}: put those of each into a folder of its own")
    return [(path, name) for path, (_, name) in found.items()]
