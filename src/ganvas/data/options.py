"""Options of data (`--size`, `--rate` ...): each kind says what those mean to it that it takes, and no other reaches it.

Their names and types are those of `run.settings`; what they mean stands in `KindSays.options`. Not for settings of systems.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import GanvasError
from ..kinds import Kind
from ..kinds.facets import Settles


def check_options(options: Mapping[str, Any], kinds: Sequence[Kind]) -> None:
    """Raise GanvasError for an option that was given and means nothing to any of the kinds."""
    for name, value in options.items():
        if value is None or any(name in kind.says.options for kind in kinds):
            continue
        nouns = " and ".join(dict.fromkeys(kind.says.noun for kind in kinds))
        taken = ", ".join(sorted({f"--{own}" for kind in kinds for own in kind.says.options}))
        raise GanvasError(f"--{name} means nothing to {nouns}: leave it out{f' (they take {taken})' if taken else ''}")


def settled(kind: Kind, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a kind takes, None where nothing was said, in its own form (`facets.Settles`)."""
    settings = {name: options.get(name) for name in kind.says.options} | {"kind": kind.name}
    return kind.settle(settings) if isinstance(kind, Settles) else settings


def meanings(name: str, kinds: Iterable[Kind]) -> str:
    """What an option means to each kind that takes it, for its help: `images: ...; sounds: ...`; empty where it is no option of
    data."""
    told: dict[str, list[str]] = {}
    for kind in kinds:
        if name in kind.says.options:
            told.setdefault(kind.says.options[name], []).append(kind.says.noun)
    return "; ".join(f"of {' and '.join(nouns)}: {words}" for words, nouns in told.items())
