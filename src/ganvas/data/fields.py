"""What `ganvas data check` tells of records of several fields: which there are, what has no partner, a sheet to look at.

Decodes a few rows, not all. Not for finding the rows (`columns`) nor for opening them to train on (`dataset`).
"""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from ..drawing import BACKGROUND, GUTTER, INK, TEXT_HEIGHT, font
from ..errors import DataError, GanvasError, MixedData, SwappedFields
from ..kinds import kind_names, kind_of, spec_from_dict
from ..kinds.facets import Columned, Framed, Gridded, LooksInside, OwnsColumns, Spelled
from ..registry import Card, catalogue, suited
from ..store.cache import Cache
from ..store.listing import Source, some
from .columns import WORDS, Column, Rows, find_rows, gathered, holds_pairs
from .finding import claimed, files_of
from .pairing import told_swapped_records

LOOKED_AT = 200  # rows that are decoded to say what a field is
ROWS, CELL = 8, 160  # of a sheet: rows, pixels of a cell's side
SIDE = 64  # to which pictures of several sizes are brought for a look


@dataclass
class Found:
    """The fields of a source. kinds: field -> kind; told: field -> what its records are, or why they cannot be opened;
    columns: field -> names of its columns in a table. names: of the rows that have all fields. systems: those that take these
    fields together, in groups by how many fields of files they take, the most first. lonely: a line for each row or file
    without its partner. notes: on how they were found. swapped: why a system that takes fields of these names cannot.
    mixed: of each field whose files differ, the options that bring them to one."""

    rows: Rows
    kinds: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    train: list[str] = field(default_factory=list)
    systems: list[list[Card]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shown: dict[str, tuple[Any, np.ndarray]] = field(default_factory=dict)
    swapped: SwappedFields | None = None
    mixed: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def split(self) -> dict[str, int]:
        """Rows per side of a split that the data declares."""
        words = {True: "held out", False: "train", None: "not given"}
        counts = Counter(words[side] for side in self.rows.heldout)
        return dict(counts) if set(counts) != {"not given"} else {}

    def alone(self, path: Path) -> str:
        """The kind of the files below a folder, where all of them are those of one field: others stand in a table beside. Of
        files that are surely more than their suffixes say, such as pictures that move, it is that."""
        pointing = [name for name, column in self.rows.columns.items() if column.files]
        kind = self.kinds.get(pointing[0], "") if len(pointing) == 1 and path.is_dir() else ""
        files = {file for column in self.rows.columns.values() for file in column.files}
        return claimed(path) or kind if kind and set(files_of(path, kind_of(kind)).files) == files else ""


def look_at_fields(path: Path, text: str, by_hand: dict[str, str], cache: Path) -> Found | None:
    """The fields of a source; None where it holds records of one. cache: a folder for decoded rows, for the moment.

    Raises DataError for rows that do not fit together (two files of one record, arrays of different lengths).
    """
    source = Source(path, text)
    if path.is_file() and path.suffix.lower() not in (".npz", ".csv", ".tsv", ".jsonl", ".parquet"):
        return None
    try:
        rows = find_rows(source, None, by_hand)
    except DataError as error:
        if by_hand or "for one record" in str(error):
            raise
        return None
    rows.columns = _together(rows.columns)
    files = [column for column in rows.columns.values() if not column.texts]
    if len(rows.columns) < 2 or not files or (files[0].array is not None and len(files) < 2):
        return None
    found = Found(rows, notes=list(rows.notes))
    chosen = np.unique(np.linspace(0, max(0, len(rows.names) - 1), min(LOOKED_AT, len(rows.names))).astype(int))
    for name, column in rows.columns.items():
        _open_one(found, name, column, source, chosen, cache)
    apart = any(isinstance(kind_of(name), LooksInside) for name in found.kinds.values()) and not found.mixed
    told = None if apart and not found.problems else told_swapped_records(source, rows)
    if told is not None:
        found.problems.append(told)
    else:
        words = {"size": "of several sizes", "channels": "of several numbers of channels"}
        found.problems += [
            f"{name}: {words[key]}: --{key} {value} brings them to one"
            for name, mixed in found.mixed.items() for key, value in mixed.items()
        ]  # fmt: skip
    if not rows.names:
        found.problems.append(f"no record has all of its fields ({some(rows.lonely, 2)})")
    elif rows.lonely:
        found.problems.append(f"{len(rows.lonely)} without a partner are left out of training, listed below by name")
    found.systems = _able(source, by_hand, found)
    if not found.systems and found.swapped is not None and not by_hand:
        found.problems.append(str(found.swapped))
        by_hand = found.swapped.fields
        found.kinds |= {name: found.kinds[place] for name, place in by_hand.items() if place in found.kinds}
        found.shown |= {name: found.shown[place] for name, place in by_hand.items() if place in found.shown}
        found.systems = _able(source, by_hand, found)
    found.train = _lines(source, by_hand, found)
    return found


def _together(columns: dict[str, Column]) -> dict[str, Column]:
    """Captions apart, and what makes up records of a kind by its names; all other columns of values as one field,
    `attributes`."""
    for kind in map(kind_of, kind_names()):
        if isinstance(kind, OwnsColumns) and kind.name not in columns:
            columns = gathered(columns, kind.name, [kind])
    whole = {name for name, own in columns.items() if len(own.texts) > 1}
    captions = {name for name, own in columns.items() if own.texts and name.lower() in WORDS[2]}
    values = {name: own for name, own in columns.items() if own.texts and name not in captions | whole}
    kept = {name: own for name, own in columns.items() if name not in values}
    if values:
        name = "attributes" if "attributes" not in kept else "attributes (columns)"
        kept[name] = Column(name, texts={column: cells for own in values.values() for column, cells in own.texts.items()})
    return kept


def _open_one(found: Found, name: str, column: Column, source: Source, chosen: np.ndarray, cache: Path) -> None:
    from .dataset import _kind_of_column, _open_column, frames_beside
    from .options import settled

    try:
        kind = kind_of(_kind_of_column(column, None, source))
        found.kinds[name] = kind.name
        if not len(chosen):
            found.told[name] = kind.says.noun
            return
        mixed: dict[str, Any] = {}
        while True:
            try:
                settings = settled(kind, mixed)
                if isinstance(kind, Framed):
                    beside = {other: own for other, own in found.rows.columns.items() if other in found.kinds and other != name}
                    settings["frames"] = frames_beside(
                        beside, {other: kind_of(found.kinds[other]) for other in beside}, chosen, mixed
                    )
                entry = _open_column(column, kind, source, chosen, found.rows, settings, Cache(cache), False)
                break
            except MixedData as error:  # for a look only: training asks for --size and --channels
                if error.option in mixed:
                    raise
                mixed[error.option] = SIDE if error.option == "size" else error.value  # one for all fields
        if mixed:
            found.mixed[name] = mixed
        spec = spec_from_dict(entry.facts["spec"])
        found.told[name] = kind.describe(spec)
        found.shown[name] = (spec, np.array(entry.values[_few(len(chosen))]))
        found.notes += [f"{name}: {note}" for note in entry.facts["notes"] if "missing" in note or "count as" in note]
    except GanvasError as error:
        found.told[name] = "cannot be opened"
        found.problems.append(f"{name}: {error}")


def _few(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(ROWS, count)).astype(int))


def _lines(source: Source, by_hand: dict[str, str], found: Found) -> list[str]:
    """Commands to run next: systems whose fields are there, else those that learn from the first field alone."""
    hand = ",".join(f"{name}={place}" for name, place in by_hand.items())
    chosen = f" --fields {quote(hand)}" if hand else ""
    lines = [f"ganvas train {card.name} --data {quote(source.text)}{chosen}" for group in found.systems for card in group]
    if lines:
        return lines
    for name, column in found.rows.columns.items():
        folders = {file.parent for file in column.files}
        systems = suited(found.kinds.get(name, ""), ("anything",))
        if len(folders) == 1 and systems:
            lines.append(f"ganvas train {systems[0].name} --data {quote(str(folders.pop()))}")
            found.notes.append(f"no system takes these fields together yet: {name} alone can be learnt")
            break
    return lines


def _able(source: Source, by_hand: dict[str, str], found: Found) -> list[list[Card]]:
    """The systems whose fields are there, with what they need in them; in groups by how many fields of files they take, the
    most first: a table beside pairs leads nobody away from the pairs."""
    able: dict[int, list[Card]] = {}
    for card in catalogue().values():
        if fields := card.fields or (card.pairs if card.pairs and holds_pairs(source, card.pairs) else {}):
            try:
                columns = find_rows(source, fields, by_hand).columns
            except SwappedFields as error:
                found.swapped = error
                continue
            except DataError:
                continue
            if all(_serves(card, fields[role], column, found) for role, column in columns.items()):
                able.setdefault(sum(not column.texts for column in columns.values()), []).append(card)
    # An age among other columns leads nobody away from what learns them all.
    return [sorted(able[files], key=lambda card: "ages" in card.suits.values()) for files in sorted(able, reverse=True)]


def _serves(card: Card, kinds: tuple[str, ...], column: Column, found: Found) -> bool:
    """Whether a field is of one of the kinds that the card asks for, and holds what the card says that its kind must hold for
    the system to be proposed (`registry.SUITS`). Of an array nobody knows whether it holds grey values or classes."""
    name = column.name
    own = {
        text
        for other, kind in found.kinds.items()
        if isinstance(kind_of(kind), OwnsColumns)
        for text in found.rows.columns[other].texts
    }
    if own & set(column.texts) and not any(isinstance(kind_of(kind), OwnsColumns) for kind in kinds):
        return False  # places of points are no attributes
    if column.array is None and found.kinds.get(name, kinds[0]) not in kinds:
        return False
    wanted = card.suits.get(found.kinds.get(name, ""))
    if wanted is None or name not in found.shown:
        return True
    kind = kind_of(found.kinds[name])
    names = getattr(found.shown[name][0], "names", ())
    return (
        wanted == "anything"
        or (wanted == "ages" and "age" in map(str.lower, names))
        or (wanted == "choices" and isinstance(kind, Columned) and bool(kind.choices(found.shown[name][0])))
    )


def sheet(found: Found) -> np.ndarray:
    """Rows of the source (a few spread over all) as one picture (H, W, 3) uint8: a column a field, its name above, texts as
    text."""
    if not found.shown:
        raise DataError("no field could be opened: there is nothing to draw")
    from PIL import Image, ImageDraw

    count = min(len(values) for _, values in found.shown.values())
    head, step = TEXT_HEIGHT + 2 * GUTTER, CELL + GUTTER
    canvas = Image.new("RGB", (GUTTER + len(found.shown) * step, head + count * step + GUTTER), (BACKGROUND,) * 3)
    draw = ImageDraw.Draw(canvas)
    for across, (name, (spec, values)) in enumerate(found.shown.items()):
        left = GUTTER + across * step
        draw.text((left + CELL / 2, head / 2), name[:22], fill=(INK,) * 3, font=font(), anchor="mm")
        for down in range(count):
            top = head + down * step
            text = _as_text(found.kinds[name], values[down], spec)
            if text is not None:
                lines = [part for line in text for part in textwrap.wrap(line, 22)] or ["(empty)"]
                draw.multiline_text((left, top), "\n".join(lines[:8]), fill=(INK,) * 3, font=font(), spacing=2)
                continue
            own = Image.fromarray(_drawn(found.kinds[name], values[down : down + 1], spec))
            scale = min(CELL / own.width, CELL / own.height)
            small = (max(1, round(own.width * scale)), max(1, round(own.height * scale)))
            own = own.resize(small, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX)
            canvas.paste(own, (left + (CELL - own.width) // 2, top + (CELL - own.height) // 2))
    return np.array(canvas)


def _as_text(kind: str, record: np.ndarray, spec: Any) -> list[str] | None:
    """Lines of a record that is read rather than looked at; None for any other."""
    own = kind_of(kind)
    return (own.lines(record, spec) or None) if isinstance(own, Spelled) else None


def _drawn(kind: str, record: np.ndarray, spec: Any) -> np.ndarray:
    own = kind_of(kind)
    return own.grid(record, spec, columns=1) if isinstance(own, Gridded) else own.picture(record, spec)
