"""Sample: new records from noise, of a class where the system takes labels, of a caption where it takes captions, of
codes where it has found some, with named attributes where it learnt from a table of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Code, Samples, TakesAttributes, TakesCodes
from ..config import knob
from ..errors import GanvasError, did_you_mean
from ..kinds import kind_of
from ..kinds.facets import Named, Seen
from ..specs import PROPERTIES
from . import ALL, Fields, Judged, Span, Use, UseSays, Work, fields_taken
from .asking import asked_by_name, attributes_asked, read_right, reader_for, shown_by
from .judging import at_most, decoded, held_rows, only
from .properties import Property, asked_properties, known_properties, properties_wanted, sweep_wanted

if TYPE_CHECKING:
    from torch import Tensor

    from ..metrics.measure import Measure
    from ..store.records import Dataset


@dataclass(frozen=True)
class Options:
    count: int = knob(64, "how many (default 64; of graphs 1)", low=1)
    label: str | None = knob(None, "class, by name or number (systems that take labels; default: the classes in turn)")
    code: tuple[str, ...] = knob(
        (),
        "NAME=VALUE: a code to ask for, as in 0=3 or 1=+2, several with commas or one by one (systems that find codes by "
        "themselves; default: of categories each in turn, of others what comes)",
    )
    attributes: tuple[str, ...] = knob(
        (),
        "NAME=VALUE: an attribute to show, as in hair=blue or glasses=on, several with commas or one by one (systems that "
        "learnt new records with a table; default: as the records have them that were learnt from)",
    )
    set_attribute: tuple[str, ...] = knob(
        (),
        "NAME=VALUE: a number that samples are to have, as in decay=0.2 (in its own unit, here seconds) or brightness=+1sd (in "
        "standard deviations), several with commas or one by one (runs trained with --properties; others are drawn as they go "
        "with it); of systems with attributes that are choices the same as --attributes",
    )
    sweep: str | None = knob(
        None,
        "NAME=LOW..HIGH:STEPS: series of samples that differ in one number alone, as in brightness=-2..2:9 (in standard "
        "deviations) or decay=0.05..0.5s:9 (a unit behind it, or own: in that); -n is the number of series (default 4)",
    )
    move: tuple[str, ...] = knob(
        (),
        "NAME=AMOUNT: change a property of all samples by so many standard deviations of the latents, as in brightness=+2 "
        "(sound: brightness, loudness, length, pitch, attack, decay; images: brightness, contrast; solids: volume, height, "
        "width, depth; clips: brightness, motion; series: spread, and each quantity by its name)",
    )


def labels_of(work: Work, count: int, label: str | int | None = None) -> np.ndarray | None:
    """Which classes are asked for: (count,) int64 indices, or None for a system without labels.

    label: one for all; without it the classes come in turn, so that each is there as often as any other. Raises GanvasError
    for a class the run does not know.
    """
    if label is not None:
        return np.full(count, class_index(work, label), np.int64)
    if not work.spec.classes or getattr(work.system, "classes", 0) == 0:
        return None
    return np.arange(count, dtype=np.int64) % len(work.spec.classes)


def class_index(work: Work, label: str | int) -> int:
    """The index of a class given by name or number. Raises GanvasError when the run has no such class."""
    classes = work.spec.classes
    if not classes:
        raise GanvasError(f"{work.place}: its data had no labels, so --label means nothing here")
    if work.system.classes == 0:
        raise GanvasError(f"'{work.name}' does not take labels: use cgan for samples of one class")
    if str(label) in classes:
        return int(classes.index(str(label)))
    if str(label).lstrip("-").isdigit():
        if 0 <= int(label) < len(classes):
            return int(label)
        raise GanvasError(f"--label {label} is out of range: classes are 0 to {len(classes) - 1}")
    raise GanvasError(f"unknown label '{label}'{did_you_mean(str(label), list(classes))}; classes: {', '.join(classes)}")


REACH = 3.0  # how far beyond the middle a code may be asked for, in halves of the range that was learnt


def codes_known(work: Work) -> dict[str, Code]:
    """The codes of the system by name, in order; none where it has found none."""
    return {code.name: code for code in work.system.known_codes()} if isinstance(work.system, TakesCodes) else {}


def ends_of(code: Code) -> tuple[float, float]:
    """The least and the largest value that may be asked for."""
    if code.values:
        return 0, code.values - 1
    middle, half = (code.low + code.high) / 2, (code.high - code.low) / 2
    return middle - REACH * half, middle + REACH * half


def codes_asked(work: Work, words: Sequence[str]) -> dict[str, float]:
    """`0=3`, `1=+2,2=-1` -> {"0": 3.0, "1": 2.0, "2": -1.0}. Raises GanvasError for a code that is not there, in one line."""
    known = codes_known(work)
    if words and not known:
        raise GanvasError(f"'{work.name}' has no codes: leave --code out (--move changes a property by its name)")
    ranges = {name: ends_of(code) for name, code in known.items()}
    told = ", ".join(
        f"{name}: {'one of' if known[name].values else 'a number from'} {low:g} to {high:g}"
        for name, (low, high) in ranges.items()
    )

    def value(word: str, name: str, text: str) -> float:
        low, high = ranges[name]
        try:
            found = float(text)
        except ValueError:
            found = float("nan")
        if not low <= found <= high or (known[name].values and found != int(found)):
            raise GanvasError(f"--code {word}: '{text}' is no value of code {name}; codes: {told}")
        return found

    return asked_by_name("code", words, list(known), "code", f"; codes: {told}", f"{next(iter(known), '0')}=1", value)


def codes_of(work: Work, count: int, words: Sequence[str] = ()) -> np.ndarray | None:
    """The codes that samples are made of (count, codes), or None for a system without codes.

    What is not asked for: of categories each in turn, of others a number drawn from the range that was learnt; the first are
    the same whatever the count. Raises GanvasError as `codes_asked`.
    """
    asked, known = codes_asked(work, words), codes_known(work)
    if not known:
        return None
    codes = np.random.default_rng([work.seed, 0xC0DE]).uniform(size=(count, len(known)))
    for place, code in enumerate(known.values()):
        if code.name in asked:
            codes[:, place] = asked[code.name]
        elif code.values:
            codes[:, place] = np.arange(count) % code.values
        else:
            codes[:, place] = code.low + (code.high - code.low) * codes[:, place]
    return codes


def attributes_known(work: Work) -> dict[str, tuple[str, ...]]:
    """The attributes that samples may be asked for, each with its values; none where the system takes none."""
    return dict(work.system.attributes()) if isinstance(work.system, TakesAttributes) else {}


def attributes_wanted(work: Work, words: Sequence[str]) -> dict[str, str]:
    """`hair=blue,glasses=on` -> {"hair": "blue", "glasses": "on"}. Raises GanvasError for what the run did not learn."""
    known = attributes_known(work)
    if words and not known:
        properties_wanted(work, words)  # numbers are asked for by the same words
    return attributes_asked("attributes", known, words, work.system) if known else {}


def attributes_of(work: Work, count: int, words: Sequence[str] = ()) -> np.ndarray | None:
    """What samples are to show (count, attributes) int64, indices of values; None for a system without attributes.

    What is not asked for is drawn from records that were learnt from: from those that show what is asked for, where there are
    any, so that things stand together as they do there; to a system that draws it itself it is left. The first are the same
    whatever the count. Raises GanvasError as `attributes_wanted`.
    """
    asked, known = attributes_wanted(work, words), attributes_known(work)
    if not known:
        return None
    places = {name: place for place, name in enumerate(known)}
    told = {places[name]: known[name].index(value) for name, value in asked.items()}
    if getattr(work.system, "leaves_open", False):
        open_ = np.full((count, len(known)), -1, np.int64)
        open_[:, list(told)] = list(told.values())
        return open_ if told else None
    rows = work.system.learnt_rows().cpu().numpy()
    fit = np.all([rows[:, place] == value for place, value in told.items()], 0) if told else np.ones(len(rows), bool)
    pool = rows[fit] if fit.any() else rows
    numbers = np.random.default_rng([work.seed, 0xA77]).uniform(size=(count, 1 + len(known)))
    shown = pool[(numbers[:, 0] * len(pool)).astype(int)] if len(pool) else np.full((count, len(known)), -1)
    for name, place in places.items():  # what is not known of a record comes from another, before training from none
        own = rows[rows[:, place] >= 0, place]
        own = own if len(own) else np.arange(len(known[name]))
        drawn = own[(numbers[:, 1 + place] * len(own)).astype(int)]
        shown[:, place] = told.get(place, np.where(shown[:, place] >= 0, shown[:, place], drawn))
    return shown.astype(np.int64)


def moves_of(words: Sequence[str]) -> dict[str, float]:
    """`brightness=+2` -> {"brightness": 2.0}. Raises GanvasError."""
    moves = {}
    for word in words:
        name, _, amount = word.rpartition("=")
        try:
            moves[name.strip()] = float(amount)
        except ValueError:
            name = ""
        if not name:
            raise GanvasError(f"--move '{word}' is not NAME=AMOUNT, for example  --move brightness=+2")
    return moves


def run(work: Work, given: Fields, options: Options) -> Fields:
    """given: fields by which records are asked for, (n, ...) each, that are taken in turn. The records come in pieces, drawn as
    they are asked for; beside them stand `label` where the system takes labels, `codes` (n, codes) where it has codes, and
    `shown` (n, attributes) where it takes attributes."""
    import torch

    words = (*options.attributes, *options.set_attribute)
    labels, codes = labels_of(work, options.count, options.label), codes_of(work, options.count, options.code)
    shown = attributes_of(work, options.count, words)
    asked = None if PROPERTIES in given else asked_properties(work, options.count, labels, words, options.sweep)
    if asked is None and options.sweep:
        sweep_wanted(work, options.sweep)  # says why not
    moves = moves_of(options.move)
    if moves and options.sweep:
        raise GanvasError("--move and --sweep both change latents or what is asked for, one by one: leave one of them out")
    move = None
    if moves:
        from ..inference.directions import move_along

        if work.directions is None:
            raise GanvasError("--move needs the latent directions of a run")
        move = move_along(work.directions(), moves)
    count = options.count if asked is None else len(asked.rows)
    turns = torch.arange(count)
    fields = {name: value.cpu()[turns % len(value)] for name, value in given.items()}
    beside: Fields = {} if labels is None else {"label": torch.from_numpy(labels)}
    if codes is not None:
        fields["codes"] = beside["codes"] = torch.from_numpy(codes).to(work.dtype)
    if shown is not None:
        fields["shown"] = torch.from_numpy(shown)
        if work.system.described != work.main:  # else each record says it itself
            beside["shown"] = fields["shown"]
    if asked is not None:
        fields[PROPERTIES] = beside[PROPERTIES] = asked.rows
        if asked.labels is not None:
            beside["label"] = torch.from_numpy(asked.labels)
        labels = asked.labels
    return {work.main: drawn(work, count, labels, move, fields, 1 if asked is None else asked.steps), **beside}


def drawn(
    work: Work, count: int, labels: np.ndarray | None, move: Tensor | None, fields: dict[str, Tensor], held: int = 1
) -> Iterator[Tensor]:  # fmt: skip
    """Pieces of at most 64 records."""
    import torch

    from ..inference.sampling import draw_samples

    given = None if labels is None else torch.from_numpy(np.asarray(labels))
    return draw_samples(work.system, count, seed=work.seed, labels=given, move=move, fields=fields, held=held)


def tell(work: Work, options: Options) -> str:
    told = "drawn" if options.label is None else f"drawn as {options.label}"
    asked = codes_asked(work, options.code)
    told += f" of code {coded(asked)}" if asked else ""
    words = (*options.attributes, *options.set_attribute)
    attributes_wanted(work, words)  # says what is wrong with them
    sweep_wanted(work, options.sweep)
    return told + (f" with {', '.join(words)}" if words else "") + (f" along {options.sweep}" if options.sweep else "")


def coded(asked: Mapping[str, float]) -> str:
    """As it is typed: `0=3, 1=+2`."""
    return ", ".join(f"{name}={value:g}" for name, value in asked.items())


def trials(work: Work) -> list[dict[str, Any]]:
    """As it comes, each code at its ends, and each attribute with its first and its last value."""
    ends = [(name, value) for name, code in codes_known(work).items() for value in ends_of(code)]
    values = [(name, value) for name, own in attributes_known(work).items() for value in (own[0], own[-1])]
    codes = [{"code": (f"{name}={value:g}",)} for name, value in ends]
    numbers = [{"set_attribute": (f"{name}=+1sd",)} for name in known_properties(work)]
    return [{}, *numbers, *codes, *({"attributes": (f"{name}={value}",)} for name, value in values)]


def choices(work: Work) -> dict[str, Any]:
    """Classes, codes, attributes and properties, as far as the run has them."""
    found: dict[str, Any] = {}
    if work.spec.classes and getattr(work.system, "classes", 0):
        found["label"] = tuple(work.spec.classes)
    spans = {name: (code, ends_of(code)) for name, code in codes_known(work).items()}
    if spans:
        found["code"] = {name: Span(*ends, usual=ends[0], whole=bool(code.values)) for name, (code, ends) in spans.items()}
    if known := attributes_known(work):
        found["attributes"] = known
    if numbers := known_properties(work):
        found["set_attribute"] = {name: _span(own) for name, own in numbers.items()}
    kind = kind_of(work.spec.kind)
    if isinstance(kind, Named):
        names = kind.properties(kind.blank(work.spec, 2, np.random.default_rng(0)), work.spec)
        found["move"] = {name: Span(-3.0, 3.0) for name in names}
    return found


def _span(own: Property) -> Span:
    """The range learnt, in the unit of users."""
    low, high, usual = (float(f"{own.own(value):.4g}") for value in (own.low, own.high, 0.0))
    return Span(low, high, usual)


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Options) -> Judged:
    """Samples: of classes as the training data has them, with fields that must be given as held-out records have them; of a
    system that learns one class, against it."""
    from ..data.classes import is_unlabelled
    from ..data.streams import dealt_classes

    dealt = dealt_classes(work.system)
    if len(dealt) == 1:
        dataset = only(dataset, dealt[0])
    labels, fields = None, {}
    needed = [name for name, must in fields_taken(USE, work.system, work.fields)[1].items() if must]
    if needed:  # what is asked for, as held-out records have it
        held = dataset.heldout_indices()
        rows = np.resize(at_most(held if len(held) else dataset.train_indices(), count, work.seed), count)
        fields = {name: work.encode(np.asarray(dataset.fields[name].values[rows]), work.fields[name]) for name in needed}
        labels = None if dataset.labels is None or not work.system.classes else dataset.labels[rows]
    elif work.system.classes and dataset.labels is not None:
        # The classes in the proportions of the training data, as the reference has them.
        pool = dataset.labels[dataset.train_indices()]
        labels = np.random.default_rng([work.seed, 0xE7A1]).choice(pool, count)
    sides = [
        decoded(work, list(drawn(replace(work, system=system), count, labels, None, fields))) for system in (work.system, fresh)
    ]
    if any(is_unlabelled(name) for name in dataset.spec.classes):  # a class of everything says nothing of samples
        return Judged(sides[0], sides[1], dataset, labels, families=tuple(family for family in ALL if family != "classes"))
    return Judged(sides[0], sides[1], dataset, labels)


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """Of a system that takes attributes: whether samples show what held-out records show and they were asked for, by a reader
    that learnt from real training records alone; its own errors on real records stand beside."""
    import torch

    from ..metrics.measure import Measure

    if not attributes_known(work) or not isinstance(kind_of(dataset.spec.kind), Seen):
        return {}
    rows = np.resize(held_rows(dataset, count, work.seed, USE.says.doing), count)
    shown = shown_by(work, dataset, rows)
    fields = {"shown": torch.from_numpy(np.stack(list(shown.values()), 1))}
    made = decoded(work, list(drawn(work, count, None, None, fields)))
    reader = reader_for(work, dataset)
    by, real = read_right(reader(made), shown), read_right(reader(np.asarray(dataset.values[rows])), shown)
    more = {"by_attribute": {name: round(value, 4) for name, value in by.items()}, "real": float(np.mean(list(real.values())))}
    protocol = f"share of attributes read as asked for/reader=cnn of real training records/n={count}"
    return {"attributes_as_asked": Measure(float(np.mean(list(by.values()))), protocol, more=more)}


USE = Use(
    verb="sample",
    done="drawn",
    promise=Samples,
    takes=(),
    Options=Options,
    aliases=("generate",),
    order=10,
    run=run,
    tell=tell,
    trials=trials,
    choices=choices,
    judge=judge,
    measure=measure,
    says=UseSays(
        purpose="drawing new records from noise",
        doing="drawing",
        example="ganvas sample RUN -n 64",
    ),
)
