"""What uses share that are asked for things by name: NAME=VALUE, attributes of a table, and what records show of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..capabilities import SortsCells
from ..errors import GanvasError, did_you_mean
from ..kinds import kind_of
from ..kinds.facets import Columned
from ..store.listing import some
from . import Work
from .judging import at_most

if TYPE_CHECKING:
    from ..metrics.attributes import Reader
    from ..store.records import Dataset

Value = TypeVar("Value")
MOST_READ = 4000  # training records that a reader of attributes learns from
TOLD = 8  # attributes that a message names with their values


def asked_by_name(
    option: str, words: Sequence[str], known: Sequence[str], noun: str, told: str, example: str,
    read: Callable[[str, str, str], Value],
) -> dict[str, Value]:  # fmt: skip
    """`a=1`, `b=2,c=3` -> {"a": read(...), ...}. noun: what the names are of; told: what may be asked for, as the end of a
    message; example: of NAME=VALUE. read(word, name, text) -> the value, or raises GanvasError.

    Raises GanvasError in one line for what is no NAME=VALUE, for names that are not known, and for two values of one name.
    """
    asked: dict[str, Value] = {}
    for word in _separate(words):
        name, equals, text = (part.strip() for part in word.partition("="))
        if not equals or not text:
            raise GanvasError(f"--{option} '{word}' is not NAME=VALUE, as in  --{option} {example}{told}")
        if name not in known:
            raise GanvasError(f"--{option} {word}: no {noun} '{name}'{did_you_mean(name, list(known))}{told}")
        value = read(word, name, text)
        if asked.get(name, value) != value:
            first, second = (own if isinstance(own, str) else f"{own:g}" for own in (asked[name], value))
            raise GanvasError(f"--{option}: {name} cannot be {first} and {second}: give one of them")
        asked[name] = value
    return asked


def _separate(words: Sequence[str]) -> list[str]:
    """At commas; a piece without `=` belongs to the value before it."""
    found: list[str] = []
    for word in words:
        first, *others = word.split(",")
        found.append(first.strip())
        for piece in others:
            if "=" in piece:
                found.append(piece.strip())
            else:
                found[-1] += f",{piece}"
    return found


def attributes_asked(
    option: str, known: Mapping[str, Sequence[str]], words: Sequence[str], system: Any = None
) -> dict[str, str]:  # fmt: skip
    """`glasses=round` -> {"glasses": "round"}. known: attribute -> its values. system: that may sort cells into them
    (`capabilities.SortsCells`). Raises GanvasError as `asked_by_name`, and for a value that the attribute never has."""

    def value(word: str, name: str, text: str) -> str:
        if isinstance(system, SortsCells) and (meant := system.value_of(name, text)) is not None:
            return meant
        if text not in known[name]:
            close = did_you_mean(text, list(known[name]))
            raise GanvasError(f"--{option} {word}: {name} is never '{text}'{close}: it is one of {some(list(known[name]), 12)}")
        return text

    told = f": this run has {attributes_told(known)}"
    return asked_by_name(option, words, list(known), "attribute", told, attribute_example(known), value)


def attributes_told(known: Mapping[str, Sequence[str]]) -> str:
    """`glasses: none, round; hair: black, blond`."""
    return "; ".join(f"{name}: {', '.join(values)}" for name, values in list(known.items())[:TOLD])


def attribute_example(known: Mapping[str, Sequence[str]]) -> str:
    """NAME=VALUE of the first attribute."""
    name, values = next(iter(known.items()))
    return f"{name}={values[-1]}"


def shown_by(work: Work, dataset: Dataset, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Of each attribute of the run, the index of the value that records have (N,), -1 where it is not known."""
    part = dataset.fields[work.system.described]
    kind = kind_of(part.spec.kind)
    assert isinstance(kind, Columned)
    cells = kind.cells(np.asarray(part.values[rows]), part.spec)
    found = {}
    for name, values in work.system.attributes().items():
        index = {value: place for place, value in enumerate(values)}
        own = cells[name]
        if isinstance(work.system, SortsCells):
            own = [work.system.value_of(name, cell) or "" for cell in own]
        found[name] = np.array([index.get(cell, -1) for cell in own], np.int64)
    return found


def reader_for(work: Work, dataset: Dataset) -> Reader:
    """A reader of the run's attributes that learnt from real training records alone."""
    from ..metrics.attributes import attribute_reader

    train = at_most(dataset.train_indices(), MOST_READ, work.seed)
    return attribute_reader(np.asarray(dataset.values[train]), shown_by(work, dataset, train), seed=work.seed)


def read_right(read: Mapping[str, np.ndarray], shown: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Attribute -> share of records (N,) whose value was read as it is, among those of which it is known."""
    return {name: float((read[name] == own)[own >= 0].mean()) for name, own in shown.items() if (own >= 0).any()}
