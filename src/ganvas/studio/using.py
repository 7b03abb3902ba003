"""The page on which a trained run is put to use, as data: made from the table of uses, the run's fields and the help of
options.

A new system or use has its page by that alone. How a field is given follows from what its kind offers: words, a palette to
paint with, a picture to draw, files. Not for doing it: `work`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import knobs
from ..kinds import describe, kind_of
from ..kinds.facets import Reads, Seen, Worded, WritesLike
from ..registry import Card
from ..specs import REAL
from ..uses import GIVEN, MADE, Span, Use, Work, example_of, fields_given, fields_taken, spec_given, uses_of
from .making import field

PLAIN = ("count", "label", "to", "code", "attributes", "set_attribute", "change", "move")
"""Options that come first; others wait behind `more`."""
FEW = 16  # records that a page draws when nobody says


def page_of(system: Any, fields: Mapping[str, Any], card: Card, work: Work) -> dict[str, Any]:
    """system: built, in evaluation mode. fields: name -> spec, the main one first."""
    able = uses_of(system)
    best = [use for use in able if not any(use.verb in other.replaces for other in able)]
    main = next(iter(fields))
    return {
        "system": card.name,
        "title": card.title,
        # What most come for: where a system is not for new records, what it does to given ones.
        "lead": next((use.verb for use in best if use.takes and card.task != "synthesis"), best[0].verb if best else ""),
        "makes": describe(fields[main]),
        "noun": kind_of(fields[main].kind).says.noun,
        "formats": list(kind_of(fields[main].kind).formats),
        "uses": [_use(use, system, fields, work) for use in best],
        "later": [field(item, True) for item in knobs(type(system.config)) if item.later],
        "classes": list(fields[main].classes),
    }


def _use(use: Use, system: Any, fields: Mapping[str, Any], work: Work) -> dict[str, Any]:
    first, more = fields_taken(use, system, fields)
    main = next(iter(fields))
    choices = {} if use.choices is None else use.choices(work)
    given = None if first is None else spec_given(use, work, first)
    reads = given is None or isinstance(kind_of(given.kind), Reads)
    return {
        "verb": use.verb,
        "done": use.done,
        "purpose": use.says.purpose,
        "doing": use.says.doing,
        "caution": use.says.caution,
        "example": example_of(use, system, list(fields)),
        "first": None if first is None else given_as(first, given, True, _more_suffixes(use, first)),
        "fields": [_further(use, name, spec_given(use, work, name), must) for name, must in more.items()],
        "options": [_option(item, use, choices) for item in knobs(use.Options)],
        "gives": list(fields_given(use, list(fields))),
        "makes": any(name in fields for name in fields_given(use, list(fields))),
        # Before and after lie on top of each other where what is made lies where the given was.
        "beside": first is not None and (MADE in use.gives) and (MADE in use.takes or GIVEN in use.takes),
        # What was made may be given once more.
        "again": first == main and MADE in use.gives,
        "able": reads,
        "why": "" if reads or first is None else _unread(given),
    }  # fmt: skip


def _more_suffixes(use: Use, name: str) -> tuple[str, ...]:
    """Those of files that the use itself reads as what it works on."""
    return (*use.suffixes, *(use.reads if name in use.brings else ()))


def _further(use: Use, name: str, spec: Any, must: bool) -> dict[str, Any]:
    """A field that goes with what is worked on. What the use brings may be in the file itself, as transparent pixels are."""
    own = name in use.brings
    made = given_as(name, spec, must and not own, tuple(use.reads) if own else ())
    made |= {"several": name in use.together, "aside": not must}
    if name not in use.paints:
        return made
    ways = ["over", *(way for way in made["ways"] if way == "file")]
    return {**made, "ways": ways, "over": use.paints[name]}


def _unread(spec: Any) -> str:
    return f"there is no way yet to read files of {kind_of(spec.kind).says.noun} here"


def _option(item: Any, use: Use, choices: Mapping[str, Any]) -> dict[str, Any]:
    shown = field(item, item.name in PLAIN)
    if item.name == "count":
        shown["default"] = FEW if not isinstance(item.default, int) or item.default > FEW else item.default
    if item.type.startswith("list of") and item.name not in choices:
        return {**shown, "hidden": True}  # nothing of that is known to this run
    if item.name in choices:
        found = choices[item.name]
        if isinstance(found, Mapping):
            return {**shown, "named": [{"name": name, **_one(values)} for name, values in found.items()]}
        return {**shown, "choices": [str(value) for value in found]}
    return {**shown, "hidden": item.name in ("label", "to", "code", "attributes", "set_attribute", "change", "move")}


def _one(values: Any) -> dict[str, Any]:
    if isinstance(values, Span):
        return {"low": values.low, "high": values.high, "usual": values.usual, "whole": values.whole}
    return {"values": [str(value) for value in values]}


def given_as(name: str, spec: Any, must: bool, others: tuple[str, ...] = ()) -> dict[str, Any]:
    """How a field can be given on a page: `words`, `paint` with a palette, `draw`, `over` (painted over what is worked on), or
    a file. others: suffixes of files that the use reads beside those of the kind."""
    kind = kind_of(spec.kind)
    ways = []
    if isinstance(kind, Worded):
        ways.append("words")
    found: dict[str, Any] = {
        "name": name, "title": kind.says.noun if name == REAL else name, "noun": kind.says.noun, "of": describe(spec),
        "must": must, "suffixes": [*others, *kind.suffixes],
    }  # fmt: skip
    if isinstance(kind, WritesLike) and kind.spread == 2 and getattr(spec, "palette", None):
        found |= {"palette": [{"name": n, "colour": c} for n, c in zip(spec.names, spec.palette, strict=True)]}
        ways.append("paint")
    if isinstance(kind, Reads):
        ways.append("file")
    if isinstance(kind, Seen) and not isinstance(kind, Worded) and "paint" not in ways:
        ways.append("draw")
    size = spec.shape[-2:] if isinstance(kind, WritesLike) and kind.spread == 2 else ()
    colours = getattr(spec, "channels", None)
    return {**found, "ways": ways, "height": size[0] if size else None, "width": size[1] if size else None, "channels": colours}
