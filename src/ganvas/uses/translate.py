"""Translate: a record of one class as another would show it, or the main field made of another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Panel, Translates
from ..config import knob
from ..errors import GanvasError, did_you_mean
from ..kinds import kind_of
from ..kinds.facets import Likened
from . import GIVEN, Beside, Fields, Judged, Use, UseSays, Work, fields_taken, first_of
from .judging import LEAST, as_given, at_most, both, held_rows, only, told_pairs
from .tiling import TILE_HELP, check_tile

if TYPE_CHECKING:
    from ..batches import Batch
    from ..store.records import Dataset

LIKENED = 2000  # training records of either side that the trivial translation is found from


@dataclass(frozen=True)
class Options:
    to: str | None = knob(None, "CLASS: what to translate to")
    tile: int = knob(512, TILE_HELP)
    fitted: bool = knob(False, "bring a field, such as a map, to the size of training first; what is made of it has that size")


def classes_of(work: Work) -> dict[str, int]:
    """The classes that the system translates to, by name."""
    from ..data.streams import target_classes

    able = list(target_classes(work.system)) or list(range(len(work.spec.classes)))
    return {work.spec.classes[index]: index for index in able}


def target_of(work: Work, to: str | None) -> int | None:
    """The index of the class; None where a field is made of another one. Raises GanvasError for a class it does not know."""
    if len(work.fields) > 1:
        if to is not None:
            raise GanvasError(f"--to is for runs that translate between classes; {work.name} makes {work.main}")
        return None
    known = classes_of(work)
    if to is None and len(known) == 1:
        return next(iter(known.values()))
    if to is None:
        raise GanvasError(f"translate to which? Add  --to {' or  --to '.join(known)}")
    if to not in known:
        close = did_you_mean(to, list(known))
        raise GanvasError(f"--to '{to}' is not known to this run{close}: choose {' or '.join(known)}")
    return known[to]


def choices(work: Work) -> dict[str, Any]:
    """The classes to translate to, where there are several."""
    known = tuple(classes_of(work)) if len(work.fields) == 1 else ()
    return {"to": known} if len(known) > 1 else {}


def run(work: Work, given: Fields, options: Options) -> Fields:
    images, more = first_of(given)
    return {work.main: work.system.translate(images, target_of(work, options.to), work.noise, **more)}


def tell(work: Work, options: Options) -> str:
    check_tile(options.tile)
    if options.fitted and len(work.fields) == 1:
        raise GanvasError(
            f"--fitted is for runs that make a field of another; {work.name} gives back each record in its own size"
        )
    target = target_of(work, options.to)
    if target is None:
        return f"{work.main} made of {fields_taken(USE, work.system, work.fields)[0]}"
    return f"translated to {work.spec.classes[target]}"


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Options) -> Judged:
    """Held-out records of other classes that it was taught, translated, against real ones of the target (the last one that it
    translates to, unless told otherwise); or the main field of held-out records made of their others, with the true one
    beside."""
    if len(work.fields) > 1:
        target_of(work, options.to)
        return _judged_fields(work, fresh, dataset, count, options)
    from ..data.streams import dealt_classes

    known = classes_of(work)
    taught = dealt_classes(work.system) or tuple(known.values())
    name = list(known)[-1] if options.to is None else options.to
    options = replace(options, to=name)
    target = target_of(work, name)
    held = dataset.heldout_indices()
    labels = np.zeros(0) if dataset.labels is None else dataset.labels
    rows = held[np.isin(labels[held], [index for index in taught if index != target])] if len(labels) else held[:0]
    if len(rows) < LEAST:
        raise GanvasError(f"{dataset.source} holds out {len(rows)} records to translate to {name}: {LEAST} or more")
    rows = at_most(rows, count, work.seed)
    text = f"judged: {len(rows)} held-out records translated to {name}, against real ones of it"
    given = np.asarray(dataset.values[rows])
    made, untrained = both(work, fresh, {work.main: given}, lambda own, x: run(own, x, options)[own.main])
    assert target is not None
    beside = {"input": as_given(given)}
    kind = kind_of(work.spec.kind)
    if isinstance(kind, Likened):
        rows = dataset.train_indices()
        heaps = (at_most(rows[(labels[rows] == target) == side], LIKENED, work.seed) for side in (False, True))
        source, wanted = (np.asarray(dataset.values[heap]) for heap in heaps)
        beside["colours"] = Beside(kind.likened(given, source, wanted, work.spec), kind.likening)
    return Judged(made, untrained, only(dataset, target), beside=beside, notes=[text])


def _known(work: Work) -> tuple[str, list[str]]:
    """What is worked on, and the further fields of the same record. The main one, where a system takes an example of it, is not
    among them: it is the hidden truth."""
    first, more = fields_taken(USE, work.system, work.fields)
    assert first is not None
    return first, [name for name in more if name != work.main or len(work.fields) == 1]


def _judged_fields(work: Work, fresh: Any, dataset: Dataset, count: int, options: Options) -> Judged:
    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    first, more = _known(work)
    given = {name: dataset.fields[name].values[rows] for name in (first, *more)}
    text = f"judged: the {work.main} of {len(rows)} held-out records, made of their {' and '.join(given)}"
    made, untrained = both(work, fresh, given, lambda own, x: run(own, x, options)[own.main])
    beside = {}
    if work.fields[first].kind == work.spec.kind and given[first].shape == made.shape:
        beside["input"] = as_given(np.asarray(given[first]))
    if not kind_of(work.spec.kind).says.discrete:
        beside["mean"] = _mean(dataset, len(rows))
    notes = [text + told_pairs(work)]
    return Judged(made, untrained, dataset, originals=np.asarray(dataset.values[rows]), beside=beside, notes=notes)


def _mean(dataset: Dataset, count: int) -> Beside:
    """The mean of the training records, as often as asked: what is right on average and shows nothing."""
    values, rows = dataset.values, dataset.train_indices()
    total = sum(np.asarray(values[piece], np.float64).sum(0) for piece in np.array_split(rows, max(1, len(rows) // 256)))
    mean = np.asarray(total / len(rows))
    whole = np.round(mean) if np.issubdtype(values.dtype, np.integer) else mean
    return Beside(np.broadcast_to(whole.astype(values.dtype), (count, *mean.shape)).copy(), "the mean of all training records")


def show(work: Work, batch: Batch) -> Panel:
    """What is made beside the true one; of classes, a record beside what it becomes in each of them."""
    import torch

    first, more = _known(work)
    given = {name: batch[name] for name in (first, *more)}
    if len(work.fields) > 1:
        made = run(work, given, Options())[work.main]
        return Panel(torch.stack([made, batch[work.main]], 1), ("made", "true"))
    become = [run(work, given, Options(to=name))[work.main] for name in classes_of(work)]
    return Panel(torch.stack([given[first], *become], 1), ("given", *classes_of(work)))


def trials(work: Work) -> list[dict[str, Any]]:
    """Each class that it was taught."""
    return [{"to": name} for name in classes_of(work)] if len(work.fields) == 1 and work.spec.classes else [{}]


USE = Use(
    verb="translate",
    done="translated",
    promise=Translates,
    takes=(GIVEN,),
    Options=Options,
    order=20,
    run=run,
    choices=choices,
    tell=tell,
    judge=judge,
    show=show,
    trials=trials,
    says=UseSays(
        purpose="turning a record into what it would be in another class, or into another field",
        doing="translating",
        example="ganvas apply RUN FILE --to CLASS --out FOLDER",
        of_fields="ganvas apply RUN FILE --out FOLDER",
        caution="A translated record may show what is usual instead of what was there: things may be added or "
        "taken away. It is no measurement.",
    ),
)
