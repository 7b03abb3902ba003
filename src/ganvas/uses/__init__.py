"""What a trained system can be put to: a use is a function from fields to fields, one file each, and the table of them.

A use has a word (`translate`), the promise that a system must keep to offer it (a protocol of `capabilities`), the fields it
takes and gives, and options. Command line, `apply`, `evaluate`, report and model card read the table and know no use by name.

The table is the folder: `VERB.py` with an object `USE`; files without one serve the others. A package brings uses of its own
through the entry point group `ganvas.uses` (name = module), a system file by a list `USES`. Not for reading and writing files,
which kinds do and `run.apply` asks for. Free of torch until used.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import build_config, knobs
from ..errors import GanvasError, did_you_mean
from ..specs import PROPERTIES

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Batch, Noise
    from ..capabilities import Panel
    from ..kinds.facets import Piece
    from ..metrics.measure import Measure
    from ..store.records import Dataset
    from .desk import Desk

MADE = "(made)"
"""In `Use.takes` and `gives`: the main field, which the system makes."""
GIVEN = "(given)"
"""In `Use.takes`: what it is made of, the first other field; of records of one field, that one."""

AREA, COLOURS = "area", "colours"
"""In `Use.paints`: white where it is painted on and black elsewhere; colours as painted and transparent elsewhere."""

Fields = dict[str, Any]
"""Name -> tensor (N, ...) in the form of the game; what is drawn may come in pieces, an iterable of such tensors."""


@dataclass(frozen=True)
class UseSays:
    """Words. purpose: what it is for, as in `drawing new records from noise`. doing: as in `drawing`. example: a command, with
    RUN for the run's folder; of_fields: where records have several fields, if it is another one. caution: what must not be
    expected of the result, in a sentence or two, for the model card."""

    purpose: str
    doing: str
    example: str
    caution: str = ""
    of_fields: str = ""


@dataclass(frozen=True)
class NoOptions:
    """Of uses that have nothing to choose."""


@dataclass(frozen=True)
class Span:
    """Numbers that may be asked for, from low to high; usual: where a slider stands that nobody moved. whole: no fractions."""

    low: float
    high: float
    usual: float = 0.0
    whole: bool = False


Choices = Mapping[str, Any]
"""What may be asked for of one run: option -> values to choose from, or, of options that are NAME=VALUE, name -> values or a
`Span`."""


@dataclass
class Work:
    """What a use works with: a system in evaluation mode, the specs of its fields, and noise.

    fields: name -> spec, the main one first. seed: of the noise, which begins anew for each file (`renew`), so that no result
    depends on the files before it. name: of the system; place: of its run; for messages. learnt: training records. directions:
    of the latents, by name (`inference.directions`); None where no run keeps them. data: opens the data set that the run was
    trained on, with what it never saw; raises GanvasError where it is not there; None without a run. kept(name, facts, find):
    arrays that are found once for a run's weights, settings and facts (`store.kept`); None without a run.
    """

    system: Any
    fields: Mapping[str, Any]
    seed: int = 0
    name: str = "this system"
    place: str = "RUN"
    learnt: int = 0
    directions: Callable[[], Mapping[str, Any]] | None = None
    data: Callable[[], Dataset] | None = None
    kept: Callable[[str, Any, Callable[[], Mapping[str, np.ndarray]]], Mapping[str, np.ndarray]] | None = None
    noise: Noise = field(init=False)

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Noise as it is at the beginning."""
        from ..batches import Noise

        self.noise = Noise.seeded(self.seed, self.device, self.dtype)

    @property
    def main(self) -> str:
        """The name of the field that the system makes."""
        return next(iter(self.fields))

    @property
    def spec(self) -> Any:
        """Of the main field."""
        return self.fields[self.main]

    @property
    def device(self) -> Any:
        return next(self.system.parameters()).device

    @property
    def dtype(self) -> Any:
        return next(self.system.parameters()).dtype

    def encode(self, records: np.ndarray, spec: Any) -> Tensor:
        """Records in file units -> a tensor as the system takes it."""
        from ..kinds import encode

        made = encode(records, spec, self.device)
        return made.to(self.dtype) if made.is_floating_point() else made


@dataclass(frozen=True)
class Beside:
    """What is had of the same records without the run: by leaving them alone, or by the trivial method. values: (N, ...) in
    file units. words: what it is, as in `the given records as they are`."""

    values: np.ndarray
    words: str


PROPERTY = "--set-attribute NAME=NUMBER"
"""How the field of properties is given: by single numbers."""
ALL = ("distance", "spread", "look", "classes", "audit")
"""Families of numbers by which records are judged: distance to the real ones; their spread (precision, coverage, diversity);
what is seen on the records themselves; their classes; whether training records were copied."""


@dataclass
class Judged:
    """What a use makes to be judged. values, untrained: (N, ...) in file units, of the run and of the same system with fresh
    weights. dataset: the real data they answer to. labels: (N,) that were asked for. originals: (N, ...) what each value stands
    for. beside: name -> the same without the run. families: those of `ALL` that say something of them. notes: for the reader.
    """

    values: np.ndarray
    untrained: np.ndarray
    dataset: Dataset
    labels: np.ndarray | None = None
    originals: np.ndarray | None = None
    beside: dict[str, Beside] = field(default_factory=dict)
    families: tuple[str, ...] = ALL
    notes: list[str] = field(default_factory=list)


@dataclass
class Given:
    """What a user gave for one file. pieces: of the file; beside: further fields by name, in pieces of their own."""

    pieces: list[Piece]
    beside: dict[str, list[Piece]]


@dataclass(frozen=True)
class Use:
    """One thing that systems are put to.

    verb: its word; done: the past participle; aliases: other words. promise: the protocol that a system must keep; method: that
    of its methods which takes the fields, if it is not called as the verb.
    takes, gives: names of fields, or MADE, or GIVEN; without takes it makes records from noise. What it gives beside fields is
    numbers (N,), which stand in `scores.csv`, or arrays (N, ...), `NAMEs.npz`. Further fields that the method has keywords for
    are taken as well (`fields_taken`).
    brings: further fields that no record has and a user gives with what is worked on: name -> the spec of it, from that of the
    main field (a mask of what is missing); or, named in takes, what is worked on itself, where records need not have it (a
    picture of a solid). optional: those of them that may be left out. together: those of which all files that are given go with
    each input, at one size (pictures to take colours from). paints: those that a person paints over what is worked on, and how:
    `AREA` or `COLOURS`; pages have a brush for them.
    Options: a frozen dataclass of knobs. `tile` among them: large records are worked on in pieces of that side; cuts: by the
    use itself, which has to see something of them whole. `fitted` among them: whether records are brought to the size of
    training is the user's choice.
    writes: format of what is made, where the user asks for none; empty: that of the data.
    reads: suffix -> reads a file of what it brings that no kind reads, (path, spec) -> a piece that `complete` makes a record
    of; raises DataError.
    order: the lowest first, where a system can be put to several. replaces: verbs in whose place it stands where both are
    offered. fitted: whether it takes records of the size of training; others are taken as they are. batch: how many of these at
    once, 0: all. grows: how many times as large the result is. quick: options for a look in passing.

    complete: looks at a file as it was read, and at the further fields given, before it is worked on; returns both, with what
    the file itself holds of fields that were not given; raises DataError. mend: (given, made, further fields) of one record in
    file units -> what is written in the place of made.
    run: given fields -> made fields. tell: what is done, for the note in each file; raises GanvasError for options that do not
    go with the run. file: does a whole file in its own way, and returns whether it did, or what it made, to be written like any
    other. suffixes: of files that no kind reads but `file`. keep: writes what needs a form of its
    own, and takes it out of what was made; a field that it leaves there is written like the input. finish: writes what belongs
    to all files. judge: makes records of a data set's held-out part, to be judged; measure: measures what needs no judge. show:
    what is to be looked at of a batch of the stream. trials: options with which a run can be tried, where it needs some.
    choices: what may be chosen for options where the run decides, for forms.
    """

    verb: str
    done: str
    promise: type
    says: UseSays
    run: Callable[[Work, Fields, Any], Fields]
    takes: tuple[str, ...] = (MADE,)
    gives: tuple[str, ...] = (MADE,)
    brings: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    paints: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, Callable[[Path, Any], Piece]] = field(default_factory=dict)
    Options: type = NoOptions
    cuts: bool = False
    writes: str = ""
    method: str = ""
    aliases: tuple[str, ...] = ()
    order: int = 100
    replaces: tuple[str, ...] = ()
    fitted: bool = False
    batch: int = 32
    quick: Mapping[str, Any] = field(default_factory=dict)
    grows: Callable[[Any], int] = lambda system: 1
    tell: Callable[[Work, Any], str] | None = None
    complete: Callable[[str, Given], Given] | None = None
    mend: Callable[[Piece, Piece, Mapping[str, Piece]], Piece] | None = None
    file: Callable[[Work, Desk, Path, str, Any], bool | list[Piece]] | None = None
    suffixes: tuple[str, ...] = ()
    keep: Callable[[Work, Desk, list[str], Fields, Fields], None] | None = None
    finish: Callable[[Work, Desk, Any], None] | None = None
    judge: Callable[[Work, Any, Dataset, int, Any], Judged] | None = None
    measure: Callable[[Work, Dataset, int], dict[str, Measure]] | None = None
    show: Callable[[Work, Batch], Panel] | None = None
    trials: Callable[[Work], Sequence[Mapping[str, Any]]] | None = None
    choices: Callable[[Work], Choices] | None = None

    @property
    def does(self) -> str:
        """The verb after `this run`."""
        return self.verb + ("es" if self.verb.endswith(("s", "x", "ch", "sh")) else "s")


# The table


_broken: dict[str, str] = {}
"""Uses of installed packages that do not load, and why."""


@cache
def table() -> tuple[Use, ...]:
    """Every use of ganvas and of installed packages, by `Use.order`."""
    from importlib.metadata import entry_points

    here = Path(__file__).parent
    modules = [import_module(f"{__name__}.{path.stem}") for path in sorted(here.glob("*.py")) if path.stem != "__init__"]
    found: dict[str, Use] = {module.USE.verb: module.USE for module in modules if hasattr(module, "USE")}
    for point in entry_points(group="ganvas.uses"):
        try:
            found.setdefault(point.name, import_module(point.value).USE)
        except Exception as error:  # whatever its code runs into; asked for by its word it will say why
            _broken[point.name] = " ".join(f"{type(error).__name__}: {error}".split())
    return tuple(sorted(found.values(), key=lambda use: (use.order, use.verb)))


def uses_of(system: Any) -> list[Use]:
    """What a system, or a class of systems, offers: uses of the table and of its own file, whose promise it keeps.

    Of a class it is not known what it sets when it is built, nor its fields: it offers what has all methods.
    """
    kind = system if isinstance(system, type) else type(system)
    found = {use.verb: use for use in table()}
    for base in reversed(kind.__mro__):
        found |= {use.verb: use for use in getattr(sys.modules.get(base.__module__), "USES", ())}
    return sorted((use for use in found.values() if _offers(use, system)), key=lambda use: (use.order, use.verb))


def _offers(use: Use, system: Any) -> bool:
    if isinstance(system, type):
        promised = [name for name, member in vars(use.promise).items() if inspect.isfunction(member) and name[0] != "_"]
        return all(callable(getattr(system, name, None)) for name in promised)
    if not isinstance(system, use.promise):
        return False
    spec = getattr(system, "spec", None)
    return set(use.takes) - {MADE, GIVEN, *use.brings} <= set(spec if isinstance(spec, dict) else ())


def verbs_of(system: Any) -> list[str]:
    """What a system, or a class of systems, can be put to, in words."""
    return [use.verb for use in uses_of(system)]


def find_use(system: Any, verb: str, name: str = "this system") -> Use:
    """The use of that word. Raises GanvasError when the system does not offer it."""
    able = uses_of(system)
    for use in able:
        if verb in (use.verb, *use.aliases):
            return use
    if verb in _broken:
        raise GanvasError(f"'{verb}' of an installed package cannot be loaded ({_broken[verb]}): install what it needs")
    can = [use.verb for use in able]
    raise GanvasError(f"{name} cannot {verb}{did_you_mean(verb, can)}: it can {', '.join(can) or 'do nothing yet'}")


def drawing(system: Any, fields: Iterable[str] | None = None) -> Use | None:
    """By which use records are drawn from noise; None for a system that needs something to work on.

    fields: those of its records; with them only uses that need none of these are named.
    """
    able = [use for use in uses_of(system) if not use.takes]
    if fields is not None:
        names = list(fields)
        able = [use for use in able if not any(fields_taken(use, system, names)[1].values())]
    better = {verb for use in able for verb in use.replaces}
    return next((use for use in able if use.verb not in better), None)


def flag(name: str) -> str:
    """An option as it is typed."""
    return f"--{name.replace('_', '-')}"


def build_options(use: Use, given: Mapping[str, Any], known: Sequence[Use] = ()) -> Any:
    """The options of a use; None and empty tuples count as not given. known: uses that other options may belong to.

    Raises GanvasError in one line.
    """
    values = {name: value for name, value in given.items() if value is not None and value != ()}
    own = [knob.name for knob in knobs(use.Options)]
    for name in values:
        if name.replace("-", "_") in own:
            continue
        others = {other.says.doing: None for other in (*known, *table()) if name in {k.name for k in knobs(other.Options)}}
        if others:
            *first, last = others
            told = f"{', '.join(first)} and {last}" if first else last
            takes = f", which takes {', '.join(map(flag, own))}" if own else ""
            raise GanvasError(f"{flag(name)} is for {told}; this run {use.does}{takes}")
        raise GanvasError(f"unknown option '--{name}'{did_you_mean(name, own)}: to {use.verb} takes {', '.join(own) or 'none'}")
    return build_config(use.Options, values, where=use.verb)


# The fields of a use


def fields_taken(use: Use, system: Any, fields: Iterable[str]) -> tuple[str | None, dict[str, bool]]:
    """(the field that is worked on, further fields that the system takes by keyword: name -> whether it has to be given).

    fields: those of the records, the main one first. The first is None where records are made from noise.
    """
    names = list(fields)
    method = use.method or use.verb
    promised = set(inspect.signature(getattr(use.promise, method)).parameters)
    own = list(inspect.signature(getattr(system, method)).parameters.items())
    more = {
        name: parameter.default is parameter.empty
        for place, (name, parameter) in enumerate(own)
        if name in names and name not in promised and not (use.takes and place == 0)
    }
    more |= {name: name not in use.optional for name in (*(name for name in use.takes[1:] if name in names), *use.brings)}
    if not use.takes:
        return None, more
    first = use.takes[0]
    if first == MADE:
        first = names[0]
    elif first == GIVEN:
        first = next((name for name in names[1:] if name not in more), names[0])
    more.pop(first, None)
    return first, more


def spec_given(use: Use, work: Work, name: str) -> Any:
    """The spec of a field that is given: that of the records, or what the use says of one that it brings."""
    return work.fields[name] if name in work.fields else use.brings[name](work.spec)


def fields_given(use: Use, fields: Iterable[str]) -> tuple[str, ...]:
    """The names of what a use gives, MADE by its own."""
    main = next(iter(fields))
    return tuple(main if name == MADE else name for name in use.gives)


def example_of(use: Use, system: Any, fields: Iterable[str]) -> str:
    """A command for a system, or its class, with the further fields it takes, in brackets what may be left out.

    fields: of its records, the main one first.
    """
    names = list(fields)
    text = use.says.of_fields if len(names) > 1 and use.says.of_fields else use.says.example
    more = {
        PROPERTY if name == PROPERTIES else f"--{name} {name.upper()}": needed
        for name, needed in fields_taken(use, system, names)[1].items()
        if f"--with {name}=" not in text
    }
    return " ".join([text, *(option if needed else f"[{option}]" for option, needed in more.items())])


def offered(system: Any, fields: Iterable[str]) -> dict[str, tuple[str, str]]:
    """What a system, or its class, is to be put to, but for what another use does better: verb -> (command, purpose)."""
    names, able = list(fields), uses_of(system)
    best = [use for use in able if not any(use.verb in other.replaces for other in able)]
    return {use.verb: (example_of(use, system, names), use.says.purpose) for use in best}


def first_of(given: Fields) -> tuple[Any, Fields]:
    """(the field that is worked on, the further ones by name)."""
    (_, first), *rest = given.items()
    return first, dict(rest)


def pieces_of(made: Any) -> Iterator[Tensor]:
    """The tensors of a field, one after the other, on the CPU."""
    import torch

    for piece in [made] if isinstance(made, torch.Tensor) else made:
        yield piece.cpu()
