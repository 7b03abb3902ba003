"""Edit: named attributes of a record changed (glasses, hair), and the others left as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import Edits
from ..config import knob
from ..errors import GanvasError
from ..kinds import kind_of
from ..kinds.facets import Seen
from . import Fields, Judged, Use, UseSays, Work, first_of
from .asking import attribute_example, attributes_asked, attributes_told, read_right, reader_for, shown_by
from .judging import as_given, decoded, held_rows, in_pieces

if TYPE_CHECKING:
    from ..metrics.measure import Measure
    from ..store.records import Dataset


@dataclass(frozen=True)
class Options:
    change: tuple[str, ...] = knob(
        (), "NAME=VALUE: an attribute to change, as in glasses=round, several with commas or one by one"
    )


def changes_of(work: Work, words: Sequence[str]) -> dict[str, str]:
    """`glasses=round` -> {"glasses": "round"}. Raises GanvasError for what the run did not learn, in one line."""
    return attributes_asked("change", work.system.attributes(), words, work.system)


def run(work: Work, given: Fields, options: Options) -> Fields:
    records, _ = first_of(given)
    return {work.main: work.system.edit(records, changes_of(work, options.change), work.noise)}


def tell(work: Work, options: Options) -> str:
    changes = changes_of(work, options.change)
    if not changes:
        known = work.system.attributes()
        raise GanvasError(f"change what? Add  --change {attribute_example(known)}  ({attributes_told(known)})")
    return "edited: " + ", ".join(f"{name}={value}" for name, value in changes.items())


def trials(work: Work) -> list[dict[str, Any]]:
    """Each attribute set to its first and to its last value."""
    return [{"change": (f"{name}={value}",)} for name, own in work.system.attributes().items() for value in (own[0], own[-1])]


# Judging


def asked_of(work: Work, shown: Mapping[str, np.ndarray]) -> list[tuple[str, int]]:
    """For each record one attribute, and a value that it has not, both drawn from the seed."""
    rng = np.random.default_rng([work.seed, 0xED17])
    known = work.system.attributes()
    names, count = list(known), len(next(iter(shown.values())))
    found = []
    for place in range(count):
        name = names[rng.integers(len(names))]
        others = [value for value in range(len(known[name])) if value != shown[name][place]]
        found.append((name, others[rng.integers(len(others))]))
    return found


def edited(work: Work, records: np.ndarray, asked: Sequence[tuple[str, int]]) -> np.ndarray:
    """Records (N, ...) in file units, each with its own change (attribute, index of its value)."""
    made = np.empty_like(records)
    for name, value in sorted(set(asked)):
        rows = [place for place, one in enumerate(asked) if one == (name, value)]
        change = {name: work.system.attributes()[name][value]}

        def changed(given: dict[str, Any], change: dict[str, str] = change) -> Any:
            return work.system.edit(given[work.main], change, work.noise)

        made[rows] = decoded(work, in_pieces(work, {work.main: records[rows]}, changed))
    return made


def judge(work: Work, fresh: Any, dataset: Dataset, count: int, options: Options) -> Judged:
    """Held-out records, each with one attribute changed, against real ones."""
    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    given = np.asarray(dataset.values[rows])
    asked = asked_of(work, shown_by(work, dataset, rows))
    sides = [edited(own, given, asked) for own in (work, replace(work, system=fresh))]
    return Judged(
        sides[0],
        sides[1],
        dataset,
        beside={"input": as_given(given)},
        families=("distance", "look"),  # each stands for a held-out record: spread and copies say nothing of the run
        notes=[f"judged: {len(rows)} held-out records, each with one attribute changed to a value that it has not"],
    )


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """Whether edits of held-out records show what was asked for and still show the rest, by a reader that learnt from real
    training records alone; its own errors on real records stand beside."""
    from ..metrics.measure import Measure

    if not isinstance(kind_of(dataset.spec.kind), Seen):
        return {}
    rows = held_rows(dataset, count, work.seed, USE.says.doing)
    given = np.asarray(dataset.values[rows])
    shown = shown_by(work, dataset, rows)
    reader = reader_for(work, dataset)
    asked = asked_of(work, shown)
    before, after = reader(given), reader(edited(work, given, asked))

    def as_asked(read: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.array([read[name][place] == value for place, (name, value) in enumerate(asked)])

    def kept(read: Mapping[str, np.ndarray]) -> float:
        same = {name: read[name] == before[name] for name in read}
        return float(np.mean([same[name][k] for k, (own, _) in enumerate(asked) for name in same if name != own]))

    right, names = as_asked(after), np.array([name for name, _ in asked])
    by = {str(name): round(float(right[names == name].mean()), 4) for name in np.unique(names)}
    read = float(np.mean(list(read_right(before, shown).values())))
    words = "the given records as they are"
    protocol = f"reader=cnn of real training records/n={len(rows)}/held out"
    beside = {"input": {"value": float(as_asked(before).mean()), "words": words}}
    found = {
        "attributes_as_asked": Measure(
            float(right.mean()),
            f"share of edits that show the value asked for/{protocol}",
            more={"by_attribute": by, "real": read, "beside": beside},
        )
    }
    if len(shown) > 1:
        protocol = f"share of other attributes read as before/{protocol}"
        found["attributes_kept"] = Measure(kept(after), protocol, more={"beside": {"input": {"value": 1.0, "words": words}}})
    return found


USE = Use(
    verb="edit",
    done="edited",
    promise=Edits,
    Options=Options,
    order=25,
    run=run,
    tell=tell,
    trials=trials,
    choices=lambda work: {"change": dict(work.system.attributes())},
    judge=judge,
    measure=measure,
    says=UseSays(
        purpose="changing named attributes of a record, and leaving the others",
        doing="editing",
        example="ganvas apply RUN FILE --change NAME=VALUE --out FOLDER",
        caution="An edited record shows what is usual for the value asked for, and other things may change with it. It is no "
        "evidence of anything.",
    ),
)
