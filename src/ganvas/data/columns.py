"""Which columns of the rows on disk are the fields that a system asks for. How rows lie on disk: `layouts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zipfile import ZipFile, is_zipfile

from ..errors import DataError, did_you_mean
from ..kinds import kind_of
from ..kinds.facets import Columned, FromArrays, FromTexts, LooksInside, OwnsColumns
from ..store.listing import Source, check_there, some
from . import layouts
from .drawn import rows_of_phantom
from .layouts import WORDS, Column, Rows
from .lists import from_lists
from .pairing import refuse_swapped
from .phantoms import catalogue, is_phantom

__all__ = ["WORDS", "Column", "Rows", "find_rows", "holds_pairs", "parse_fields"]


def parse_fields(text: str | None) -> dict[str, str]:
    """`photo=photos,map=labels` -> {"photo": "photos", "map": "labels"}. Raises DataError."""
    found: dict[str, str] = {}
    for part in (text or "").split(","):
        name, sign, place = part.strip().partition("=")
        if part.strip() and (not sign or not name.strip() or not place.strip()):
            raise DataError(f"--fields '{text}' is not understood: write NAME=FOLDER, as in  --fields photo=photos,map=labels")
        if part.strip():
            found[name.strip()] = place.strip()
    return found


def find_rows(
    source: Source, wanted: Mapping[str, tuple[str, ...]] | None = None, by_hand: Mapping[str, str] | None = None,
    drawn: tuple[int, int] = (1, 0),
) -> Rows:  # fmt: skip
    """The rows of a source. drawn: of a phantom how many, and by which seed.

    wanted: field -> kinds that it may be of, as a system asks for; None: whatever is there. by_hand: field -> folder of the
    source (or anywhere), or column of its table. Raises DataError when fields are missing, and says which layout is wanted.
    """
    drawing = is_phantom(source.text)
    if not drawing:
        check_there(source)
    by_hand = by_hand or {}
    columns = by_hand  # of a table, or keys of an .npz; folders named by hand are called as their fields when they are read
    folders = bool(by_hand) and all(layouts.find_folder(source, place) is not None for place in by_hand.values())
    if drawing:
        found: Rows | None = rows_of_phantom(source.text, *drawn)
    elif source.path.is_file():
        found = layouts.from_arrays(source.path) or layouts.from_table(source) or from_lists(source)
    elif folders and (found := layouts.from_folders(source, wanted, by_hand)) is not None:
        columns = {name: name for name in by_hand}
        tables = [path.name for path in layouts.tables_in(source.path)]
        if tables:
            found.notes.append(
                f"folders were named by hand: {some(tables)} is not read, nor groups and a split that it may name"
            )
    else:  # also where a folder named by hand is a column of a table, which tells the other fields
        found = layouts.from_table(source) or from_lists(source) or layouts.from_stems(source)
        found = found or layouts.from_folders(source, wanted, {})
    if found is None:
        raise DataError(f"{source}: holds no records of several fields: {_layout(wanted)}")
    if wanted is not None:
        found.columns = _matched(source, found.columns, wanted, columns, found.notes)
        if not by_hand:  # who names them by hand means it
            refuse_swapped(source, found.columns, wanted)
    return found


def holds_pairs(source: Source, wanted: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a folder has sub-folders that are called as all these fields, or by the words for them: others are classes; or an
    `.npz` has arrays of these names."""
    if source.path.suffix.lower() == ".npz" and is_zipfile(source.path):
        with ZipFile(source.path) as archive:
            return {f"{name}.npy" for name in wanted} <= set(archive.namelist())
    if not source.path.is_dir():
        return False
    there = {layouts.plain(path.name) for path in source.path.iterdir() if path.is_dir()}
    words = [next((own for own in WORDS if name in own), (name,)) for name in wanted]
    return all(there & {layouts.plain(word) for word in own} for own in words)


def _layout(wanted: Mapping[str, tuple[str, ...]] | None) -> str:
    names = list(wanted or ("photo", "map"))
    written = {name: kind_of(kinds[0]) for name, kinds in (wanted or {}).items() if _from_texts(kinds)}
    if written:  # a table beside the files is all they can come from
        told = (
            f"a column for each of the {own}"
            if isinstance(kind, Columned)
            else "NAME_x and NAME_y of each point"
            if isinstance(kind, OwnsColumns)
            else own
            for own, kind in written.items()
        )
        return f"files with a metadata.csv beside them: file_name, {', '.join(told)}; a row for each file"
    folders = ", ".join(f"{name}/001.png" for name in names)
    hand = ",".join(f"{name}=FOLDER" for name in names)
    return f"sub-folders with equal names ({folders}), a metadata.csv with a column a field, or --fields {hand}"


def _from_texts(kinds: Sequence[str]) -> bool:
    return all(isinstance(kind_of(kind), FromTexts) for kind in kinds)


def _matched(
    source: Source, columns: Mapping[str, Column], wanted: Mapping[str, tuple[str, ...]], by_hand: Mapping[str, str],
    notes: list[str],
) -> dict[str, Column]:  # fmt: skip
    """The wanted fields in their order, each from the column that is meant. Raises DataError."""
    unknown = next((name for name in by_hand if name not in wanted), None)
    if unknown is not None:
        raise DataError(f"--fields: no field '{unknown}'{did_you_mean(unknown, list(wanted))}: fields are {', '.join(wanted)}")
    found: dict[str, Column] = {}
    left = dict(columns)
    for name, kinds in wanted.items():
        if name not in left and name not in by_hand:
            left = gathered(left, name, [kind for kind in map(kind_of, kinds) if isinstance(kind, OwnsColumns)])
    for name in wanted:
        place = by_hand.get(name, name)
        if place in left:
            found[name] = left.pop(place)
        elif name in by_hand and name not in left:
            there = f"{did_you_mean(place, list(left))}: there are {some(list(columns), 8)}"
            raise DataError(f"{source}: no '{place}' for the field {name}{there}")
    for name, kinds in wanted.items():
        if name in found:
            continue
        words = next((w for w in WORDS if layouts.plain(name) in map(layouts.plain, w)), (name,))
        able = _able(left, kinds)
        same = [own for own in able if layouts.plain(own) in map(layouts.plain, words)]
        near = [own for own in able if any(layouts.plain(own).startswith(layouts.plain(word)) for word in words)]
        if "table" in kinds and not same:  # every value column together
            rest = [own for own in left if left[own].texts]
            if rest:
                found[name] = Column(name, texts={own: left.pop(own).texts[own] for own in rest})
                continue
        guessed = [own for own in able if _speaks(left[own]) and not _means_other(own, words)]
        chosen = same or near or (guessed if len(able) == 1 else [])
        if len(chosen) != 1:
            there = f"it has {some(list(columns), 8)}" if columns else "it has none"
            files = [own for own in able if left[own].files]
            if may := (chosen or files)[:6]:
                which = f"the field {name} may be {' or '.join(may)}"
                raise DataError(f"{source}: {which} ({there}): say which, as in  --fields {name}={may[0]}")
            raise DataError(f"{source}: there is no {name} ({there}): {_layout(wanted)}")
        found[name] = left.pop(chosen[0])
        if layouts.plain(chosen[0]) != layouts.plain(name):
            notes.append(f"the field {name} is taken from '{chosen[0]}' (--fields {name}=... chooses another)")
    unused = [own for own in left if left[own].files or left[own].array is not None]
    if unused:
        notes.append(f"not used: {some(unused)}")
    return {name: found[name] for name in wanted}


def gathered(columns: Mapping[str, Column], name: str, kinds: Sequence[OwnsColumns]) -> dict[str, Column]:
    """The columns, those of values that make up a record of one of the kinds as one of that name."""
    texts = {own: column for own, column in columns.items() if column.texts}
    for kind in kinds:
        if own := kind.own_columns(list(texts)):
            kept = {other: column for other, column in columns.items() if other not in own}
            cells = {column: cells for one in own for column, cells in texts[one].texts.items()}
            return {**kept, name: Column(name, texts=cells)}
    return dict(columns)


def _able(left: Mapping[str, Column], kinds: Sequence[str]) -> list[str]:
    """Columns that can be of one of the kinds; of several, those that a look inside tells to be."""
    able = [own for own in left if _suits(left[own], kinds)]
    looking = [kind_of(name) for name in kinds]
    inside = [kind for kind in looking if isinstance(kind, LooksInside)]
    if len(able) > 1 and len(inside) == len(looking):
        sure = [own for own in able if left[own].files and any(kind.looks_like(left[own].files) for kind in inside)]
        return sure or able
    return able


def _means_other(name: str, words: Sequence[str]) -> bool:
    """Whether a column's name is a word for something else than these words say: a `map` is no garment."""
    known = [one for one in WORDS if layouts.plain(name) in map(layouts.plain, one)]
    return bool(known) and tuple(words) not in known


def _speaks(column: Column) -> bool:
    """Whether a column may be taken without its name saying so: files and arrays, and texts most of which have several words;
    a column of codes or numbers is no caption."""
    said = [text for texts in column.texts.values() for text in texts if text.strip()]
    return not column.texts or 2 * sum(len(text.split()) > 1 for text in said) > len(said)


def _suits(column: Column, kinds: Sequence[str]) -> bool:
    """Whether the column can be of one of the kinds: files of them, text, or an array of their shape."""
    if column.drawn is not None:
        return catalogue()[column.drawn[0].partition(":")[0]].kind in kinds
    if column.array is not None:
        return any(isinstance(kind, FromArrays) and kind.takes(column.array) for kind in map(kind_of, kinds))
    if column.texts:
        return any(isinstance(kind_of(kind), FromTexts) for kind in kinds)
    suffixes = tuple(suffix for kind in kinds for suffix in kind_of(kind).suffixes)
    return bool(column.files) and all(file.name.lower().endswith(suffixes) for file in column.files[:20])
