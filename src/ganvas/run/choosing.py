"""Which system to train, where the user leaves it open: from what the data holds, and from what was measured of each system.

Of the systems whose cards say that they suit such data, and which do the same work, the one is taken that came nearest to
unseen records of sets like it in as much time (`systems/nearness.json`), or where they were not compared, farthest within the
budget (`systems/stages.json`). Decodes little where suffixes say what files are. Not for settings (`presets`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError, GanvasError, MixedData
from ..registry import Card, catalogue, suited
from ..store.listing import Source
from ..store.packed import PackedSource
from .budget import Budget, describe_seconds
from .nearness import Likeness, compared, nearest
from .stages import PROOF, STAGES, rows_of

USUAL_SECONDS = 600.0  # of a budget that says nothing of time
ENOUGH = 50  # records, from which a reading is the right one
FEW = 4  # others that are named


@dataclass(frozen=True)
class Choice:
    """card: of the system to train. told: one line, why it and what else would do."""

    card: Card
    told: str


def choose(data: Any, fields: str | None, budget: Budget) -> Choice:
    """The system for some data. data: a path, the name of a phantom, an array or a Dataset. fields: as `--fields` takes them.

    Raises GanvasError where no system learns such data.
    """
    what, groups, kind = _able(data, fields)
    cards = next((cards for cards in groups if cards), None)
    if cards is None:
        raise GanvasError(f"no system was found for {what}: name one (ganvas systems), and look at it with  ganvas data check")
    seconds = budget.seconds or USUAL_SECONDS
    lead = next((card for card in cards if _reached(card, seconds)[0]), cards[0])  # the first that was seen to come anywhere
    same = [card for card in cards if card.task == lead.task]
    best = max(same, key=lambda card: _reached(card, seconds))  # the first of equals
    reason = _reason(best, len(same), seconds)
    names = [card.name for card in same]
    near = nearest(names, kind, _like(data, kind), seconds) if compared(names, kind, seconds) else None
    if near is not None:
        best = next(card for card in same if card.name == near[0])
        took = describe_seconds(near[1].seconds)
        reason = f"nearest to unseen records of {near[1].data}, the set most like it, in {took} of one core"
    others = [card.name for group in groups for card in group if card is not best]
    why = f"the one for {what}" if len(same) == 1 else f"{what}; {reason}"
    also = f"; also: {', '.join(others[:FEW])}{' ...' if len(others) > FEW else ''} (ganvas show NAME)" if others else ""
    return Choice(best, f"{best.name}, {why}{also}")


def _able(data: Any, fields: str | None) -> tuple[str, list[list[Card]], str]:
    """(what the data is, in words; the systems that suit it, in groups, those to choose from first; its kind, "" of fields)."""
    from ..data.columns import parse_fields
    from ..data.dataset import open_data
    from ..data.finding import existing, recognise
    from ..data.phantoms import is_phantom
    from ..kinds import kind_of
    from ..kinds.facets import Suits

    if not isinstance(data, str | Path):
        spec = getattr(data, "spec", None)
        kind = recognise(data) if spec is None else spec.kind
        labels = () if spec is None else spec.classes
        return _words(kind, labels), [_suited(kind, labels)], kind
    source = existing(data)
    if isinstance(source, PackedSource):
        if fields:
            source = source.choosing(parse_fields(fields), None)
        own = kind_of(recognise(source))
        dataset = open_data(source, size=own.suitable(source) if isinstance(own, Suits) else None, progress=False)
        spec = dataset.spec
        return _words(spec.kind, spec.classes), [_suited(spec.kind, spec.classes)], spec.kind
    alone, what, together = _of_fields(source.path, source.text, fields) if not is_phantom(source.text) else ("", "", [])
    if together and not alone:
        return what, together, ""
    kind = alone or _kind_of(source)
    labels = _labels(source, kind_of(kind))
    return _words(kind, labels), [_suited(kind, labels), *together], kind


def _like(data: Any, kind: str) -> Likeness:
    """How many records there are, and by the first few of them their channels."""
    from ..data.dataset import open_data
    from ..data.finding import existing, files_of
    from ..kinds import kind_of
    from ..kinds.facets import Suits

    if not isinstance(data, str | Path):
        spec = getattr(data, "spec", None)
        return Likeness(len(getattr(data, "values", data)), getattr(spec or open_data(data[:FEW]).spec, "channels", None))
    source = existing(data)
    own = kind_of(kind)
    size = own.suitable(source) if isinstance(own, Suits) else None
    folder = not isinstance(source, PackedSource) and source.path.is_dir()
    records, channels = 0, None
    with contextlib.suppress(GanvasError):  # of several sizes, or grey and colour: told when they are opened
        records = len(files_of(source, own).files) if folder else 0
        found = open_data(source, size=size, kinds=(kind,), limit=FEW if folder else None, progress=False)
        records, channels = records or len(found.values), getattr(found.spec, "channels", None)
    return Likeness(records, channels)


def _kind_of(source: Source) -> str:
    """The kind of the files; where suffixes leave it open, the first that makes enough records of them, or else most.

    Raises DataError where none makes any.
    """
    from ..data.dataset import open_data
    from ..data.finding import claimed, files_of, is_plain, possible, recognise
    from ..data.phantoms import is_phantom
    from ..kinds import kind_of
    from ..kinds.facets import Claims

    usual = recognise(source)
    if is_phantom(source.text):
        return usual
    learnt = {kind for card in catalogue().values() if not card.fields for kind in card.data}
    if (sure := claimed(source)) in learnt:
        return str(sure)
    with contextlib.suppress(DataError):
        named = source.path.is_dir() or source.path.name.lower().endswith(kind_of(usual).suffixes)
        if named and is_plain(source) and files_of(source, kind_of(usual)).files:
            return usual
    counts: dict[str, int] = {}
    refused: DataError | None = None
    for kind in dict.fromkeys(
        (usual, *(kind for kind in possible(source.path) if kind in learnt and not isinstance(kind_of(kind), Claims)))
    ):
        try:
            counts[kind] = len(open_data(source, kinds=(kind,), progress=False))
        except DataError as error:
            if isinstance(error, MixedData):  # they can be read: one size, or as many channels, is to be chosen
                counts[kind] = len(files_of(source, kind_of(kind)).files)
            refused = refused or error
        if counts.get(kind, 0) >= ENOUGH:
            return kind
    if not counts:
        raise refused or DataError(f"{source}: nothing in it can be read")
    return max(counts, key=lambda kind: counts[kind])


def _of_fields(path: Path, text: str, fields: str | None) -> tuple[str, str, list[list[Card]]]:
    """(the kind of all its files, if that is one; what it is; systems for it, in groups) of records of several fields; else
    nothing."""
    import tempfile

    from ..data.columns import parse_fields
    from ..data.fields import look_at_fields

    with tempfile.TemporaryDirectory() as folder:
        found = look_at_fields(path, text, parse_fields(fields), Path(folder))
    if found is None or not found.systems:
        return "", "", []
    names = list(found.rows.columns)
    return ("" if fields else found.alone(path)), f"records of {', '.join(names[:-1])} and {names[-1]}", found.systems


def _labels(source: Source, kind: Any) -> tuple[str, ...]:
    """The labels of a source, `(none)` among them where some records have none."""
    from ..data.finding import files_of
    from ..data.phantoms import is_phantom, make_phantom

    if is_phantom(source.text):
        return tuple(make_phantom(source.text, 1, 0).classes)
    if source.path.is_file():
        return ()
    found = set(files_of(source, kind).labels)
    return tuple(sorted("(none)" if label is None else str(label) for label in found)) if found != {None} else ()


def _suited(kind: str, labels: Sequence[str]) -> list[Card]:
    from ..data.classes import suits_of

    return suited(kind, suits_of(labels))


def _words(kind: str, labels: Sequence[str]) -> str:
    from ..kinds import kind_of

    named = [name for name in labels if name != "(none)"]
    return f"{kind_of(kind).says.noun}{f' in {len(named)} classes' if len(named) > 1 else ''}"


def _reached(card: Card, seconds: float) -> tuple[int, float]:
    """(the last stage that was reached within so many seconds: 0 for none, its seconds)."""
    best = (0, 0.0)
    for kind in card.data:
        for row in rows_of(card.name, kind):
            for place, stage in enumerate((PROOF, *STAGES), 1):
                if stage in row.reached and row.reached[stage][1] <= seconds:
                    best = max(best, (place, -row.reached[stage][1]))
    return best


def _reason(card: Card, of: int, seconds: float) -> str:
    place, took = _reached(card, seconds)
    if not place:
        return f"of {of} systems for it none was measured to come far in {describe_seconds(seconds)}: the first"
    stage = (PROOF, *STAGES)[place - 1]
    words = "the mark of its proof" if stage == PROOF else stage
    return f"of {of} systems for it the one that came farthest, to {words} in {describe_seconds(-took)} of one core"
