"""Kinds of data: what is special about images, points, sound, series ... in one file or folder each, and the table of them.

A kind says which files it reads and how they become records, how records become tensors and back, how samples are written and
shown, and which features judge them. Everything else (finding files, cache, split, streams, run, evaluation, audit) is common
to all and asks this table; nothing outside names a kind. What only some kinds offer are facets (`kinds.facets`), asked for by
`isinstance`. Free of torch until used.

The table is the folder: `NAME.py` or `NAME/kind.py` with an object `KIND`. A package brings kinds of its own through the entry
point group `ganvas.kinds` (name = module), a system file by `KIND` or a list `KINDS`, whose items may be the names of files
beside it; any other file through `add_file`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GanvasError, did_you_mean
from ..registry import brought, load_file
from ..specs import REAL, Spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

    from ..batches import Batch, Noise
    from ..store.cache import Writer
    from ..store.listing import Listing


@dataclass(frozen=True)
class KindSays:
    """Words and usual numbers of a kind.

    noun: plural, for sentences. features: what `Kind.vectors` are, for protocols. limit: for the model card, what was not
    learnt. phantom: one to try. shown: records in a picture. usual: samples that are written when no number is given.
    phantom_count: how many records of a phantom are trained on when nobody says. threads: that help its networks; None: as many
    as there are. measures_speed: whether its networks are convolutions, whose speed decides on precision and layout. discrete:
    whether records are made of symbols, step by step, so that equal ones mean nothing and no latent can be walked through.
    plain: whether records are their own features. walks: why a walk through latents shows nothing, if it does not. look:
    seconds that a first look at samples is expected to take. example_size, example_channels: what `Kind.example` makes when
    nobody says.
    small: (size, channels) of the records that systems are checked with, the smallest that their networks suit; None: the
    example's. others: further ones, which a system takes or refuses by their size. lossy: those of `Kind.formats` that change
    values by their nature. anew: why files do not give the same records again, if they do not (windows are cut anew).
    overlooks: what copies of its records the audit does not find, for its verdict. ended: whether records may end before their
    length, so that two sets are compared at the longer of theirs. options: what the options of data (`size`, `rate`)
    mean here, a few words for their help; those that are not named mean nothing here, and are refused (`data.options`).
    """

    noun: str
    features: str
    limit: str
    phantom: str
    shown: int = 16
    usual: int = 64
    phantom_count: int = 4_000
    threads: int | None = None
    measures_speed: bool = False
    discrete: bool = False
    plain: bool = False
    walks: str = ""
    look: float = 0.3
    example_size: int = 64
    example_channels: int = 1
    small: tuple[Any, int] | None = None
    others: tuple[tuple[Any, int], ...] = ()
    lossy: tuple[str, ...] = ()
    anew: str = ""
    overlooks: str = "copies that were changed by more than slight noise, and parts of records"
    ended: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


class Kind(ABC):
    """What the rest of ganvas asks of every kind. Records are arrays (N, ...) in file units, samples tensors of the game.

    name: that of its module, and of its specs' `kind`. spec: the class of its specs. suffixes: of its files, lower case.
    formats: in which samples are written, the default first.
    """

    name: str
    spec: type[Any]
    suffixes: tuple[str, ...]
    formats: tuple[str, ...]
    says: KindSays

    @abstractmethod
    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """Decode the files of `listing` into the writer and say what they are (`store.entry.conclude`).

        settings: the options that `says.options` names (`size` as asked), None where nothing was said. Raises DataError in one
        line.
        """

    @abstractmethod
    def encode(self, values: np.ndarray, spec: Any, device: Any) -> Tensor:
        """Records in file units -> tensors of the game (N, *spec.shape), continuous ones about [-1, 1]."""

    @abstractmethod
    def decode(self, tensor: Tensor, spec: Any) -> np.ndarray:
        """The inverse of `encode` up to rounding."""

    @abstractmethod
    def write(
        self, records: np.ndarray, spec: Any, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """Write samples as files that say they are synthetic. Raises GanvasError for what the format cannot hold."""

    @abstractmethod
    def picture(self, records: np.ndarray, spec: Any) -> np.ndarray:
        """One picture (H, W, 3) uint8 of records for people to look at."""

    @abstractmethod
    def vectors(self, values: np.ndarray, spec: Any) -> np.ndarray:
        """Features (N, D) float32 of records, by which samples are judged."""

    @abstractmethod
    def describe(self, spec: Any) -> str:
        """What records are, in a few words: `sounds of 16384 samples at 16000 Hz, mono`."""

    @abstractmethod
    def example(self, size: int, channels: int, classes: tuple[str, ...] = ()) -> Any:
        """A spec without data: for tests, and for `ganvas memory`. size, channels: as the options of training mean them."""

    def blank(self, spec: Any, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        """`count` records in file units, empty ones or random ones: for tests, memory and the expectation of a run."""
        shape = (count, *spec.shape)
        return np.zeros(shape, np.float32) if rng is None else rng.uniform(-1, 1, shape).astype(np.float32)


_added: dict[str, Kind] = {}
_looked: dict[Path, Any] = {}
"""Files of systems whose kinds are in the table: path -> card."""
_broken: dict[str, str] = {}
"""Kinds of installed packages that do not load, and why."""


@cache
def _homes() -> dict[str, str]:
    """Name -> module of the kinds in this folder and of installed packages."""
    from importlib.metadata import entry_points

    here = Path(__file__).parent
    homes = {f.parent.name: f"{__name__}.{f.parent.name}.kind" for f in sorted(here.glob("*/kind.py"))}
    homes |= {f.stem: f"{__name__}.{f.stem}" for f in sorted(here.glob("*.py")) if f.stem not in ("__init__", "facets")}
    guests: dict[str, str] = {}
    for point in entry_points(group="ganvas.kinds"):
        try:
            guests[import_module(point.value).KIND.name] = point.value
        except Exception as error:  # whatever its code runs into; asked for by its name it will say why
            _broken[point.name] = " ".join(f"{type(error).__name__}: {error}".split())
    return {**guests, **homes}


def _own() -> dict[str, Kind]:
    """Kinds that were added in this process, those of the systems that were named by path among them."""
    for card in brought():
        if {"KIND", "KINDS"} & set(card.brings) and _looked.get(card.path) is not card:
            _looked[card.path] = card
            try:
                add_file(card.path)
            except GanvasError:
                del _looked[card.path]
                raise
    return _added


def kind_names() -> tuple[str, ...]:
    """The names of all kinds."""
    return (*_homes(), *_own())


def kind_of(name: str) -> Kind:
    """The kind of that name. Raises GanvasError for unknown ones, with the nearest."""
    own = _own()
    if name in own:
        return own[name]
    if name not in _homes():
        if name in _broken:
            raise GanvasError(
                f"kind '{name}' of an installed package cannot be loaded ({_broken[name]}): install what it needs"
            )
        close = did_you_mean(name, kind_names())
        raise GanvasError(f"unknown kind of data '{name}'{close}; known: {', '.join(kind_names())}")
    kind: Kind = import_module(_homes()[name]).KIND
    return kind


def add_kind(kind: Kind) -> None:
    """Put a kind into the table for this process. Raises ValueError for a name that is taken."""
    if kind.name in _homes() or _added.get(kind.name, kind) is not kind:
        raise ValueError(f"there is a kind '{kind.name}' already")
    _added[kind.name] = kind


def add_file(path: Path) -> tuple[str, ...]:
    """Put the kinds of a file into the table for this process, in the place of those that it, or another file, brought before
    under their names; returns the names. Raises GanvasError in one line.
    """
    found = kinds_in(load_file(path), path)
    if not found:
        raise GanvasError(f"{path}: brings no kind of data: end it with  KIND = MyKind()")
    for kind in found:
        if kind.name in _homes():
            raise GanvasError(f"{path}: ganvas has a kind '{kind.name}' already: give it another name")
        _added[kind.name] = kind
    return tuple(kind.name for kind in found)


def kinds_in(module: Any, path: Path) -> list[Kind]:
    """The kinds that a module brings: `KIND`, and those of `KINDS`, where a text names a file beside it.

    Raises GanvasError for what is no kind.
    """
    found: list[Kind] = []
    for item in [*([module.KIND] if hasattr(module, "KIND") else []), *getattr(module, "KINDS", ())]:
        if isinstance(item, str):
            beside = path.parent / item
            if not beside.is_file():
                raise GanvasError(f"{path}: KINDS names '{item}', which does not lie beside it")
            found += kinds_in(load_file(beside), beside)
        elif isinstance(item, Kind):
            found.append(item)
        else:
            told = f"{item.__name__} itself" if isinstance(item, type) else repr(item)
            raise GanvasError(f"{path}: KIND is {told}, not an object of a class of ganvas.kinds.Kind: write  KIND = MyKind()")
    return found


def spec_from_dict(values: Mapping[str, Any]) -> Any:
    """The inverse of `specs.spec_to_dict`. Raises ValueError for an unknown kind."""
    name = values.get("kind")
    if name not in kind_names():
        raise ValueError(f"unknown data kind {name!r}")
    return kind_of(str(name)).spec(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


# Short forms for callers who hold a spec


def encode(values: np.ndarray, spec: Spec, device: torch.device | str = "cpu") -> Tensor:
    """Records in file units -> tensors of the game: see `Kind.encode` of the spec's kind."""
    return kind_of(spec.kind).encode(values, spec, device)


def decode(tensor: Tensor, spec: Spec, depth: int | None = None) -> np.ndarray:
    """Samples of the game -> records in file units: see `Kind.decode`. depth: bits of a value, where the kind has a choice."""
    from .facets import Deep

    kind = kind_of(spec.kind)
    return kind.decode(tensor, kind.at_depth(spec, depth) if depth is not None and isinstance(kind, Deep) else spec)


def format_named(kind: Kind, format: str) -> str:
    """The one of the kind's formats that a user means: by its name, another usual one, or the suffix of its files.

    Raises GanvasError with the nearest.
    """
    from ..errors import GanvasError, did_you_mean
    from .facets import Aliased

    aliases = kind.format_aliases if isinstance(kind, Aliased) else {}
    name = format.lower().removeprefix(".")
    chosen = aliases.get(name, name)
    if chosen not in kind.formats:
        close = did_you_mean(name, [*kind.formats, *aliases])
        raise GanvasError(f"--format '{format}' is not served for {kind.says.noun}{close}; formats: {', '.join(kind.formats)}")
    return chosen


def spelled(tensor: Tensor, spec: Spec) -> tuple[str, ...]:
    """Samples of the game (N, ...) as a line of text each: the sentence of a caption. Empty for kinds that are not read."""
    from .facets import Spelled

    kind = kind_of(spec.kind)
    return tuple("; ".join(kind.lines(record, spec)) for record in decode(tensor, spec)) if isinstance(kind, Spelled) else ()


def describe(spec: Spec) -> str:
    """What records are, in a few words."""
    return kind_of(spec.kind).describe(spec)


def make_batch(values: np.ndarray, labels: np.ndarray | None, spec: Spec, noise: Noise) -> Batch:
    """Records of one field, and labels (N,), as a batch on the noise's device."""
    import torch

    from ..batches import Batch

    device = noise.generator.device
    indices = None if labels is None else torch.from_numpy(np.asarray(labels, dtype=np.int64)).to(device)
    return Batch(noise, {REAL: encode(values, spec, device)}, indices)
