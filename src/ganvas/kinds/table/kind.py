"""Tables: rows of named columns, each a number, a binary value or a class, any of which may be missing.

Records are (N, columns) float32: numbers in file units, indices into the categories of the spec, NaN where a value is missing.
Tensors are (N, D): see `TableSpec.parts`. Not for series in time, nor for texts (captions are sequences).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError
from ...store.listing import class_indices, counted, some, split_word
from .. import Kind, KindSays
from . import columns as typing_of
from . import files
from .spec import BINARY, CLASS, NUMBER, TableSpec

if TYPE_CHECKING:
    from torch import Tensor

    from ...metrics.measure import Measure
    from ...store.cache import Writer
    from ...store.listing import Listing
    from ..facets import Pairs, Side

BESIDE = {"label": "label", "labels": "label", "group": "group", "split": "split"}
"""Columns that are no part of a row, in any case of letters: what they say of it."""


class TableKind(Kind):
    name = "table"
    spec = TableSpec
    suffixes = (".csv", ".tsv", ".parquet", ".jsonl", ".npz")
    lent = (".csv", ".tsv", ".parquet", ".npz")
    formats = ("csv", "parquet", "npz")
    format_aliases = {"pq": "parquet"}
    says = KindSays(
        noun="rows",
        features="columns",
        limit="Rows follow what columns had in common in the data: they tell of no person; rare combinations may be missing.",
        phantom="patients",
        shown=1_000,
        usual=1_000,
        threads=1,
        example_size=1,
        example_channels=6,
        small=(1, 3),
        overlooks="rows of which several values were changed",
    )

    # Reading

    def claims(self, own: Sequence[Path]) -> bool:
        """See `columns.is_table`, of the first of the files; see `facets.Claims`."""
        paths = [path for path in own if path.suffix.lower() in self.suffixes]
        try:
            return bool(paths) and typing_of.is_table(files.read_columns(paths[0])[0], tuple(BESIDE))
        except DataError:
            return False

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """See `Kind.fill`. Several files must have the same columns; `label`, `group` and `split` are not part of a row.

        Equal rows are held out together.
        """
        del progress
        cells: dict[str, list[str]] = {}
        places: list[int] = []
        skipped: list[tuple[str, str]] = []
        left: dict[str, list[str]] = {}
        for place, path in enumerate(listing.files):
            try:
                own, told = files.read_columns(path)
            except DataError as error:
                if strict or len(listing.files) == 1:
                    raise
                skipped.append((listing.names[place], str(error)))
                continue
            if cells and set(own) != set(cells):
                odd = sorted(set(own) ^ set(cells))[0]
                raise DataError(
                    f"{listing.source}: {listing.names[place]} and {listing.names[places[0]]} differ in columns "
                    f"('{odd}' is in one only): tables of one folder have the same columns, or name one file"
                )
            cells = {name: [*cells.get(name, []), *own[name]] for name in cells or own}
            places += [place] * len(next(iter(own.values())))
            for note in told:
                left.setdefault(note, []).append(listing.names[place])
        if not cells:
            raise DataError(f"{listing.source}: none of {len(listing.files)} tables could be read: {skipped[0][1]}")
        notes = [*listing.notes, *(f"skipped {reason}" for _, reason in skipped)]
        notes += [f"{note} ({some(own_names)})" for note, own_names in left.items()]
        beside = {
            BESIDE[name.lower()]: [None if cell in typing_of.MISSING else cell for cell in cells.pop(name)]
            for name in list(cells)
            if name.lower() in BESIDE
        }
        labels = beside.get("label", [listing.labels[p] for p in places])
        groups = beside.get("group", [listing.groups[p] for p in places])
        held = [listing.heldout[p] for p in places]
        if "split" in beside:
            held = [None if word is None else split_word(word) for word in beside["split"]]
            bad = next((k for k, word in enumerate(beside["split"]) if word is not None and held[k] is None), None)
            if bad is not None:
                raise DataError(
                    f"{listing.source}: row {bad + 1} has split '{beside['split'][bad]}': write 'train' or 'heldout'"
                )  # fmt: skip
        if beside:
            notes.append(f"not part of a row, but told of it: {', '.join(beside)}")
        writer.facts["skipped"] = skipped
        self._fill(writer, cells, labels, groups, held, listing.source, notes)

    def fill_texts(self, writer: Writer, columns: Mapping[str, list[str]], settings: Mapping[str, Any]) -> None:
        """Attributes of other records; see `facets.FromTexts`."""
        del settings
        many = len(next(iter(columns.values())))
        nothing: list[None] = [None] * many
        cells = {name: [cell.strip() for cell in own] for name, own in columns.items()}
        self._fill(writer, cells, nothing, nothing, nothing, "the table", [])

    def of_numbers(self, columns: Mapping[str, np.ndarray], units: Sequence[str]) -> tuple[np.ndarray, TableSpec]:
        """Every column is a number, few and whole ones too; see `facets.FromNumbers`."""
        own = {name: typing_of.Typed(NUMBER, (), np.asarray(values, np.float32)) for name, values in columns.items()}
        records = np.stack([column.values for column in own.values()], 1)
        return records, replace(typing_of.spec_of(own, ()), units=tuple(units))

    def takes(self, array: np.ndarray) -> bool:
        """(N, columns)."""
        return array.ndim == 2

    def fill_array(
        self, writer: Writer, values: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...],
        groups: np.ndarray | None, settings: Mapping[str, Any], progress: bool,
    ) -> None:  # fmt: skip
        """(N, columns) numbers, named x1, x2 ...; see `facets.FromArrays`."""
        del settings, progress
        names = [None] * len(values) if labels is None else [classes[k] for k in labels]
        own = [None] * len(values) if groups is None else [str(group) for group in groups]
        cells = {f"x{k + 1}": [str(value) for value in values[:, k]] for k in range(values.shape[1])}
        self._fill(writer, cells, names, own, [None] * len(values), "the array", [])

    def _fill(
        self, writer: Writer, cells: dict[str, list[str]], labels: Any, groups: Any, held: Any, source: object, notes: list[str]
    ) -> None:  # fmt: skip
        from ...store.entry import conclude

        if not cells:
            raise DataError(f"{source}: no columns beside label, group and split: nothing to learn")
        apart = [name for name, own in cells.items() if typing_of.tells_apart(name, own)]
        if len(apart) == len(cells):
            raise DataError(f"{source}: column '{apart[0]}' tells rows apart and nothing else: nothing to learn")
        if apart:
            notes.append(f"left out, because they only tell rows apart (ids): {some(apart, 8)}")
            cells = {name: own for name, own in cells.items() if name not in apart}
        columns = {name: typing_of.typed(name, own, source) for name, own in cells.items()}
        notes += typing_of.told(columns, cells)
        records = np.stack([own.values for own in columns.values()], 1)
        for row in records:
            writer.row(row)
        if len(records) > 1 and len({row.tobytes() for row in records}) == 1:
            raise DataError(f"{source}: all rows are the same: nothing to learn")
        numbers, classes = class_indices(labels, source, self.says.noun, notes)
        spec = typing_of.spec_of(columns, classes)
        sides = np.array([-1 if side is None else int(side) for side in held], np.int8)
        conclude(writer, spec, numbers, _groups(records, groups), sides if (sides >= 0).any() else None, notes)

    learnt = ("centre", "scale", "modes", "bounds", "order", "shares")

    def learn(self, spec: TableSpec, values: np.ndarray, rows: np.ndarray) -> tuple[TableSpec, str]:
        """Scale, modes, bounds and order of numbers, shares of values; see `facets.Learns`. Types and categories are those of
        all rows."""
        from . import learning

        own = np.asarray(values[rows])
        centre, scale = typing_of.scale_of(list(own.T), spec.types)
        scaled = replace(spec, centre=centre, scale=scale)
        return replace(
            scaled, modes=learning.modes_of(own, scaled), bounds=learning.bounds_of(own, spec),
            order=learning.order_of(own, spec), shares=learning.shares_of(self.states(own, spec), spec),
        ), ""  # fmt: skip

    def states(self, values: np.ndarray, spec: TableSpec) -> np.ndarray:
        """(N, choices): see `spec.states`; see `facets.Balanced`."""
        found = np.zeros((len(values), len(spec.states)), np.int32)
        for place, state in enumerate(spec.states):
            column = np.asarray(values[:, state.column])
            gone = np.isnan(column)
            found[:, place] = state.start + np.where(
                gone, state.width - 1, 0 if spec.types[state.column] == NUMBER else np.where(gone, 0, column)
            )
        return found

    # To and from the game

    def encode(self, values: np.ndarray, spec: TableSpec, device: Any) -> Tensor:
        """(N, D) float32: numbers scaled, binary values 0 and 1, classes one-hot; where one is missing, 0 (binary 0.5) and 1
        in its state `missing`, which a class has as its last category."""
        import torch

        return torch.from_numpy(self._tensor(np.asarray(values), spec)).to(device, non_blocking=True)

    def _tensor(self, values: np.ndarray, spec: TableSpec) -> np.ndarray:
        made = np.zeros((len(values), *spec.shape), np.float32)
        for part in spec.parts:
            k = spec.names.index(part.name)
            column = values[:, k].astype(np.float64)
            gone = np.isnan(column)
            if part.type == "missing":
                made[:, part.start] = gone
            elif part.type == CLASS:
                if gone.any() and not spec.missing[k]:
                    raise DataError(f"column '{part.name}' has missing values, which the data the run learnt from had not")
                places = np.where(gone, part.width - 1, column).astype(int)
                made[np.arange(len(values)), part.start + places] = 1.0
            elif gone.any() and not spec.missing[k]:
                raise DataError(f"column '{part.name}' has missing values, which the data the run learnt from had not")
            elif part.type == BINARY:
                made[:, part.start] = np.where(gone, 0.5, column)
            else:
                made[:, part.start] = np.where(gone, 0.0, (column - spec.centre[k]) / spec.scale[k])
        return made

    def decode(self, tensor: Tensor, spec: TableSpec) -> np.ndarray:
        """(N, columns): the largest place of a class, the nearer of two, numbers with the decimals of the data; missing where
        that state is nearer to 1."""
        values = tensor.detach().cpu().double().numpy()
        found = np.zeros((len(values), len(spec.names)), np.float64)
        for part in spec.parts:
            k = spec.names.index(part.name)
            own = values[:, part.start : part.start + part.width]
            if part.type == "missing":
                found[own[:, 0] >= 0.5, k] = np.nan
            elif part.type == CLASS:
                best = own.argmax(1)
                gone = (best == part.width - 1) & spec.missing[k]
                found[:, k] = np.where(gone, np.nan, best)
            elif part.type == BINARY:
                found[:, k] = own[:, 0] >= 0.5
            else:
                numbers = own[:, 0] * spec.scale[k] + spec.centre[k]
                found[:, k] = _rounded(numbers, spec.decimals[k])
        return found.astype(np.float32) + np.float32(0)  # no -0

    # Writing

    def write(
        self, records: np.ndarray, spec: TableSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """One file, `samples`, a row a record; a missing value is an empty cell (null in Parquet)."""
        from ...files import write_atomically

        if depth is not None:
            raise GanvasError("--depth means nothing to tables: leave it out")
        mark = "; ".join([files.SYNTHETIC, *(f"{key} {value}" for key, value in note.items())])
        path = folder / f"samples.{format}"
        write_atomically(path, files.encoded(records, spec, format, mark))
        return [path]

    def picture(self, records: np.ndarray, spec: TableSpec) -> np.ndarray:
        """A panel a column (the first twelve): a histogram of numbers, bars of the categories."""
        from .pictures import panels

        return panels(records, spec)

    # Judging

    def vectors(self, values: np.ndarray, spec: TableSpec) -> np.ndarray:
        """(N, D) float32: the tensor's values, one-hot places divided by the root of two, so that two classes are 1 apart."""
        made = self._tensor(np.asarray(values), spec)
        for part in spec.parts:
            if part.type == CLASS:
                made[:, part.start : part.start + part.width] /= np.float32(np.sqrt(2))
        return made

    def aligned(self, values: np.ndarray, spec: TableSpec, other: TableSpec) -> tuple[np.ndarray, TableSpec, list[str]]:
        """See `aligning.aligned`; see `facets.Aligned`."""
        from .aligning import aligned

        return aligned(np.asarray(values), spec, other), other, []

    def measures(self, made: Side, train: Side, heldout: Side, seed: int) -> dict[str, Measure]:
        """See `measures.measures`."""
        from .measures import measures

        del seed
        return measures(made, train, heldout, lambda values, spec: self._tensor(values, spec))

    def properties(self, records: np.ndarray, spec: TableSpec) -> dict[str, np.ndarray]:
        """Numbers by their names, in file units, and binary columns as 0 and 1."""
        return {
            name: records[:, k].astype(np.float64)
            for k, (name, type_) in enumerate(zip(spec.names, spec.types, strict=True))
            if type_ != CLASS
        }

    def lines(self, record: np.ndarray, spec: TableSpec) -> list[str]:
        """`name: value` of each column."""
        return [f"{name}: {cells[0] or '(missing)'}" for name, cells in files.cells_of(record[None], spec).items()]

    def cells(self, records: np.ndarray, spec: TableSpec) -> dict[str, list[str]]:
        """Column -> its cells as texts; see `facets.Columned`."""
        return files.cells_of(records, spec)

    def choices(self, spec: TableSpec) -> dict[str, tuple[str, ...]]:
        """See `facets.Columned`."""
        return {name: own for name, own in zip(spec.names, spec.categories, strict=True) if len(own) > 1}

    pair_measure = "relative_error"

    def paired(self, made: np.ndarray, true: np.ndarray, spec: TableSpec, barred: tuple[str, ...]) -> Pairs:
        """See `measures.paired`."""
        from .measures import paired

        return paired(made, true, spec)

    def describe(self, spec: TableSpec) -> str:
        counts = {type_: spec.types.count(type_) for type_ in (NUMBER, BINARY, CLASS)}
        words = {NUMBER: ("number", "numbers"), BINARY: ("binary", "binary"), CLASS: ("class", "classes")}
        what = ", ".join(f"{count} {words[type_][count > 1]}" for type_, count in counts.items() if count)
        gaps = sum(spec.missing)
        return f"rows of {counted(len(spec.names), 'column')} ({what})" + (f", {gaps} with missing values" if gaps else "")

    def example(self, size: int, channels: int, classes: tuple[str, ...] = ()) -> TableSpec:
        """channels: columns, in turn a number, a binary one and a class of three; of each three the last may be missing."""
        types = tuple((NUMBER, BINARY, CLASS)[k % 3] for k in range(channels))
        words = {NUMBER: (), BINARY: ("no", "yes"), CLASS: ("a", "b", "c")}
        zeros, ones = (0.0,) * channels, (1.0,) * channels
        gaps = tuple(k % 3 == 2 for k in range(channels))
        names = tuple(f"column{k + 1}" for k in range(channels))
        return TableSpec(names, types, tuple(words[t] for t in types), zeros, ones, gaps, (-1,) * channels, classes)

    def blank(self, spec: TableSpec, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        made = np.zeros((count, len(spec.names)), np.float32)
        for k, type_ in enumerate(spec.types):
            if type_ == NUMBER:
                numbers = spec.centre[k] + spec.scale[k] * (np.zeros(count) if rng is None else rng.normal(size=count))
                made[:, k] = _rounded(numbers, spec.decimals[k])
            elif rng is not None:
                made[:, k] = rng.integers(0, len(spec.categories[k]), count)
        return made


def _rounded(numbers: np.ndarray, decimals: int) -> np.ndarray:
    """Numbers with their decimals; dates as whole days."""
    if decimals == -1:
        return numbers
    rounded: np.ndarray = np.round(numbers, max(0, decimals))
    return rounded


def _groups(records: np.ndarray, groups: list[str | None]) -> np.ndarray:
    """Group numbers (N,): those named; equal rows are joined always."""
    from ...store.splits import join

    parent = np.arange(len(records), dtype=np.int64)
    for column in ([k if g is None else f"group {g}" for k, g in enumerate(groups)], [row.tobytes() for row in records]):
        first: dict[Any, int] = {}
        pairs = [(first.setdefault(key, i), i) for i, key in enumerate(column)]
        join(parent, *np.array(pairs, np.int64).T)
    return parent


KIND = TableKind()
