"""What every kind of data keeps to, whatever it is of, and what those keep to that offer a facet. Nothing here names a kind."""

from __future__ import annotations

import inspect
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from ..data import open_data
from ..data.aligning import aligned
from ..data.phantoms import is_phantom, make_phantom
from ..errors import GanvasError
from ..kinds import Kind, add_file, add_kind, describe, kind_names, kind_of, spec_from_dict
from ..kinds.facets import (
    FromArrays,
    Gridded,
    Learns,
    Lends,
    Mapped,
    Named,
    Piece,
    Reads,
    Recognises,
    Seen,
    Whole,
    WritesLike,
)
from ..specs import spec_to_dict
from .boards import CLASSES, small_of
from .learnt import what_is_learnt_comes_from_the_records_given
from .outcomes import Check, CheckFailed, Skipped, check_of, expect

RECORDS = 12
NOTE = {"run": "r"}
SETTINGS = {"axis": None, "fit": None, "seed": 0}
BAD = {"empty": b"", "bytes": b"\x00\x01\xff\xfe" * 40, "cut": b"\x89PNG\r\n\x1a\n"}
"""Contents of files that no kind reads."""


@dataclass
class KindCase:
    """A kind that is checked, in the table, and some records of it."""

    kind: Kind

    @property
    def file(self) -> str:
        """Where it is written, for messages."""
        return f"kind '{self.kind.name}' ({Path(inspect.getfile(type(self.kind))).name})"

    @cached_property
    def records(self) -> tuple[np.ndarray, Any]:
        """Some records (N, ...) and their spec: of its phantom, or random ones."""
        kind, (size, channels) = self.kind, small_of(self.kind)
        # Phantoms of kinds that take arrays are arrays without a spec.
        if is_phantom(kind.says.phantom or "-") and not isinstance(kind, FromArrays):
            count = 400 if isinstance(kind, Whole) else RECORDS
            try:
                made = make_phantom(kind.says.phantom, count, 0, **({} if isinstance(kind, Whole) else {"size": size}))
            except GanvasError:  # of one size only
                made = make_phantom(kind.says.phantom, count, 0)
            if made.spec is not None:
                return made.values, made.spec
        spec = kind.example(size, channels)
        return kind.blank(spec, RECORDS, np.random.default_rng(0)), spec

    def written(self, folder: Path, format: str | None = None) -> list[Path]:
        """The files that its records are written to."""
        values, spec = self.records
        folder.mkdir()
        return self.kind.write(values, spec, folder, format=format or self.kind.formats[0], depth=None, note=NOTE)

    def opened(self, paths: list[Path], cache: Path) -> Any:
        """A data set of files of one folder, at the size of the records."""
        place = paths[0] if len(paths) == 1 else Path(os.path.commonpath([path.parent for path in paths]))
        told = getattr(self.records[1], "size", None)  # what --size would have to be
        sides = tuple(int(side) for side in str(told).split("x")) if told else (None,)
        size = sides[0] if len(sides) == 1 else sides
        return open_data(place, size=size, kinds=(self.kind.name,), cache=cache, progress=False, heldout=0)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def kinds_of(kind: Any) -> list[Kind]:
    """The kinds of a name, a path FILE.py, a class or an object, in the table. Raises GanvasError in one line."""
    if isinstance(kind, type):
        kind = kind()
    if isinstance(kind, Kind):
        if kind.name not in kind_names() or type(kind_of(kind.name)) is not type(kind):
            try:
                add_kind(kind)
            except ValueError as error:
                raise GanvasError(f"{error}: give it another name") from error
        return [kind]
    names = add_file(Path(kind)) if str(kind).endswith(".py") else (str(kind),)
    return [kind_of(name) for name in names]


def kind_checks(kind: Any) -> Iterator[Check]:
    """The checks of a kind of data, chosen by what it offers.

    kind: a name, a path FILE.py, a class or an object. Raises GanvasError in one line for what cannot be opened.
    """
    for own in kinds_of(kind):
        yield from of_kind(own)


def of_kind(kind: Kind) -> Iterator[Check]:
    """As `kind_checks`, of one that is in the table."""
    case, name = KindCase(kind), kind.name
    for check in (
        it_says_what_it_is,
        a_spec_is_plain_values,
        blank_records_can_be_played_with,
        tensors_and_records_are_the_same,
    ):
        yield check_of(check, case, name)
    for format in kind.formats:
        yield check_of(what_is_written_is_read_again, case, f"{name} {format}", format)
    for check in (
        the_second_open_comes_from_the_cache,
        bad_files_are_refused_in_one_line,
        pictures_are_pictures,
        features_are_numbers,
    ):
        yield check_of(check, case, name)
    if not isinstance(kind, Whole):
        yield check_of(a_part_is_compared_as_within_the_whole, case, name)
    if isinstance(kind, Recognises):
        yield check_of(records_are_known_again, case, name)
    if isinstance(kind, Named) and not isinstance(kind, Whole):
        yield check_of(properties_have_a_number_a_record, case, name)
    if isinstance(kind, Learns):
        yield check_of(what_is_learnt_comes_from_the_records_given, case, name)
    if isinstance(kind, Reads) and isinstance(kind, WritesLike):
        yield check_of(what_is_put_to_use_comes_back_in_its_form, case, name)
    if isinstance(kind, Mapped):
        yield check_of(maps_are_shown_over_what_they_are_of, case, name)


def it_says_what_it_is(case: KindCase) -> None:
    """A kind has a name, suffixes and formats, and the words that help, card and report print."""
    kind, file = case.kind, case.file
    expect(kind.name.isidentifier() and kind.name == kind.name.lower(), f"{file}: its name must be one word in lower case")
    for suffix in (*kind.suffixes, *(kind.lent if isinstance(kind, Lends) else ())):
        expect(
            suffix == suffix.lower() and suffix[:1] == ".", f"{file}: suffix '{suffix}': write it in lower case, with its dot"
        )
        expect(suffix in kind.suffixes, f"{file}: '{suffix}' is lent, but not among its suffixes")
    expect(kind.suffixes and kind.formats, f"{file}: needs suffixes that it reads, and formats that it writes")
    for word in ("noun", "features", "limit"):
        expect(getattr(kind.says, word), f"{file}: says.{word} is empty: help, evaluation and model card print it")
    odd = sorted(set(kind.says.lossy) - set(kind.formats))
    expect(not odd, f"{file}: says.lossy names {', '.join(odd)}, which it does not write")


def a_spec_is_plain_values(case: KindCase) -> None:
    """A spec is a frozen dataclass of plain values, the same after YAML or JSON; it has a shape, carries classes, and is told
    in one line."""
    kind, file = case.kind, case.file
    expect(is_dataclass(kind.spec), f"{file}: spec is {kind.spec!r}: name a frozen dataclass")
    needed = {"classes", "kind"} - {field.name for field in fields(kind.spec)}
    expect(not needed, f"{file}: its spec has no field {', '.join(sorted(needed))}: every spec has classes and kind")
    size, channels = kind.says.example_size, kind.says.example_channels
    for spec in (case.records[1], kind.example(size, channels)):
        expect(isinstance(spec, kind.spec), f"{file}: example() gives a {type(spec).__name__}, not a {kind.spec.__name__}")
        expect(spec.kind == kind.name, f"{file}: the kind of its spec is '{spec.kind}': it must be '{kind.name}'")
        try:
            hash(spec)
        except TypeError as error:
            raise CheckFailed(
                f"{file}: its spec cannot be hashed ({error}): freeze it, and keep tuples in place of lists"
            ) from error
        again = spec_from_dict(json.loads(json.dumps(spec_to_dict(spec))))
        odd = [field.name for field in fields(spec) if getattr(spec, field.name) != getattr(again, field.name)]
        expect(
            again == spec,
            f"{file}: its spec is another one after JSON ({', '.join(odd)}): numbers, texts and tuples of them are kept",
        )
        told = describe(spec)
        expect(
            told and "\n" not in told, f"{file}: describe() gives {told!r}: say what records are in a few words, in one line"
        )
    if not isinstance(kind, Whole):
        expect(
            kind.example(size, channels, CLASSES).classes == CLASSES,
            f"{file}: example() leaves out the classes that it is given: hand them to the spec",
        )


def blank_records_can_be_played_with(case: KindCase) -> None:
    """blank() makes as many records as asked for, empty or random, that become tensors of the spec's shape."""
    kind = case.kind
    spec = kind.example(*small_of(kind))
    for rng in (None, np.random.default_rng(0)):
        values = kind.blank(spec, 3, rng)
        expect(len(values) == 3, f"{case.file}: blank(spec, 3) gives {len(values)} records")
        shape = tuple(kind.encode(values, spec, "cpu").shape)
        expect(
            shape == (3, *spec.shape),
            f"{case.file}: encode() of 3 records has shape {shape}, and the spec says {(3, *spec.shape)}",
        )


def tensors_and_records_are_the_same(case: KindCase) -> None:
    """decode() gives back the records that encode() took, up to rounding; tensors are finite."""
    values, spec = case.records
    tensor = case.kind.encode(values, spec, "cpu")
    shape = tuple(tensor.shape[1:])
    expect(shape == tuple(spec.shape), f"{case.file}: encode() gives records of shape {shape}, and the spec says {spec.shape}")
    expect(tensor.isfinite().all(), f"{case.file}: encode() gives numbers that are not finite")
    again = case.kind.decode(tensor, spec)
    expect(again.shape == values.shape, f"{case.file}: decode() gives {again.shape}, and encode() took {values.shape}")
    worst = _difference(again, values, 1e-5, 1e-5)
    expect(
        worst is None,
        f"{case.file}: decode() is not the inverse of encode(): {worst}; mend the one or the other",
    )


def _difference(found: np.ndarray, wanted: np.ndarray, relative: float, absolute: float) -> str | None:
    """The largest difference in words; None where all are close."""
    a, b = np.asarray(found).astype(float), np.asarray(wanted).astype(float)
    if np.allclose(a, b, rtol=relative, atol=absolute, equal_nan=True):
        return None
    apart = np.abs(np.nan_to_num(a, nan=1e300) - np.nan_to_num(b, nan=1e300)) - relative * np.abs(np.nan_to_num(b))
    place = np.unravel_index(int(apart.argmax()), apart.shape)
    return f"{b[place]:.6g} became {a[place]:.6g}"


def what_is_written_is_read_again(case: KindCase, format: str) -> None:
    """Records written in a format are read again with the same values, unless the kind says that the format is lossy, or why
    files do not give the same records."""
    kind, (values, _) = case.kind, case.records
    with _folder() as folder:
        try:
            paths = case.written(folder / "out", format)
        except GanvasError as error:
            if format == kind.formats[0]:
                raise
            raise Skipped(str(error)) from error
        where = f"{case.file}: written as {format}"
        expect(paths, f"{where}: write() returns no paths: return the files that it wrote")
        empty = [path.name for path in paths if not path.is_file() or not path.stat().st_size]
        expect(not empty, f"{where}: {', '.join(empty[:3])} is not there, or empty")
        if format in kind.says.lossy:
            return
        again = case.opened(paths, folder / "cache")
        expect(again.spec.kind == kind.name and len(again), f"{where}: is read again as {again.spec.kind}")
        if kind.says.anew:
            return
        shape = again.values.shape
        expect(
            shape == values.shape,
            f"{where}: records {values.shape} are read again as {shape}: mend write() or fill(), or say why in says.anew",
        )
        wide = float(np.nanmax(np.abs(values.astype(float)))) or 1.0
        worst = _difference(again.values, values, 1e-3, 2e-3 * wide)
        expect(worst is None, f"{where}: loses values, {worst} when read again: write more digits, or name it in says.lossy")


def the_second_open_comes_from_the_cache(case: KindCase) -> None:
    """Opened again, data is not decoded again, and is the same."""

    def never(*arguments: Any, **more: Any) -> None:
        raise CheckFailed(f"{case.file}: decodes the same files again: fill() must depend on files and settings alone")

    with _folder() as folder:
        paths = case.written(folder / "out")
        first = case.opened(paths, folder / "cache")
        with mock.patch.object(type(case.kind), "fill", never):
            second = case.opened(paths, folder / "cache")
        expect(first.fingerprint == second.fingerprint, f"{case.file}: the same files have two fingerprints")
        expect(np.array_equal(first.values, second.values, equal_nan=True), f"{case.file}: the same files hold other records")


def bad_files_are_refused_in_one_line(case: KindCase) -> None:
    """An empty file, one of other bytes and one that is cut are refused by name, in one line."""
    with _folder() as folder:
        for suffix in case.kind.suffixes:
            for what, content in BAD.items():
                path = folder / f"bad{suffix}"
                path.write_bytes(content)
                where = f"{case.file}: fill() of a bad file ({what}, {suffix})"
                try:
                    case.opened([path], folder / "cache")
                except GanvasError as error:
                    expect("\n" not in str(error), f"{where} says more than one line")
                    expect("bad" in str(error), f"{where} does not name it: {error}")
                except Exception as error:
                    raise CheckFailed(
                        f"{where} raises {type(error).__name__}, not DataError: read within  with guard(path, 'what it is')"
                    ) from error
                else:
                    raise CheckFailed(f"{where} takes it for data: raise DataError that names the file and what is wrong")


def pictures_are_pictures(case: KindCase) -> None:
    """picture() is (H, W, 3) uint8 and shows something; so is grid(), where it is offered."""
    kind, (values, spec) = case.kind, case.records
    pictures = {"picture()": kind.picture(values, spec)}
    if isinstance(kind, Gridded):
        pictures["grid()"] = kind.grid(values[:4], spec, columns=2)
    for name, picture in pictures.items():
        expect(_is_picture(picture), f"{case.file}: {name} gives {_form(picture)}, not (H, W, 3) uint8")
        expect(len(np.unique(picture)) > 1, f"{case.file}: {name} of {len(values)} records is of one colour")


def _is_picture(found: Any) -> bool:
    return isinstance(found, np.ndarray) and found.ndim == 3 and found.shape[2] == 3 and found.dtype == np.uint8


def _form(found: Any) -> str:
    return f"{found.shape} {found.dtype}" if isinstance(found, np.ndarray) else type(found).__name__


def features_are_numbers(case: KindCase) -> None:
    """vectors() gives finite float32 features (N, D), a row a record."""
    values, spec = case.records
    found = case.kind.vectors(values, spec)
    expect(found.ndim == 2 and found.dtype == np.float32, f"{case.file}: vectors() gives {_form(found)}, not (N, D) float32")
    expect(np.isfinite(found).all(), f"{case.file}: vectors() gives numbers that are not finite: look for / or log of 0")
    expect(
        isinstance(case.kind, Whole) or len(found) == len(values),
        f"{case.file}: vectors() gives {len(found)} rows for {len(values)} records",
    )


def a_part_is_compared_as_within_the_whole(case: KindCase) -> None:
    """Some of the records, given as files of their own, are compared as what they are among all: by the spec of these.

    What a spec takes from the data (percentiles, categories, symbols) is another one there.
    """
    kind, (values, spec) = case.kind, case.records
    format = next((name for name in kind.formats if name not in kind.says.lossy), kind.formats[0])
    order = np.argsort([float(np.nanmax(np.asarray(record, float))) for record in values], kind="stable")
    chosen = np.sort(order[: len(values) // 2])  # without the largest values
    with _folder() as folder:
        sides = {}
        for name, records in (("whole", values), ("part", values[chosen])):
            (folder / name).mkdir()
            paths = kind.write(records, spec, folder / name, format=format, depth=None, note=NOTE)
            sides[name] = case.opened(paths, folder / "cache")
        whole, part = sides["whole"], sides["part"]
        if len(whole) != len(values) or len(part) != len(chosen):
            raise Skipped(kind.says.anew or "files do not give the same records again")
        records, own, _ = aligned(part.values, part.spec, whole.spec)
        beside, other, _ = aligned(whole.values, whole.spec, own)
        if isinstance(kind, Seen):
            found, wanted = kind.common(records, part.spec, whole.spec), kind.common(beside, whole.spec, whole.spec)
        else:
            found, wanted = kind.vectors(records, own), kind.vectors(beside, other)
        there = np.abs(wanted.astype(float)[np.isfinite(wanted)])
        worst = _difference(found, wanted[chosen], 1e-3, 1e-3 * (float(there.max(initial=0)) or 1.0))
        expect(
            worst is None,
            f"{case.file}: half of the records, given as files of their own, are compared as others ({worst}): bring records "
            "to another spec in aligned() (facets.Aligned), or let vectors() be of what files hold",
        )


def records_are_known_again(case: KindCase) -> None:
    """Marks are of length 1 or 0, of a record and of its changes; a record is like itself, no likeness is above 1."""
    kind, (values, spec), file = case.kind, case.records, case.file
    assert isinstance(kind, Recognises)
    expect(0 < kind.twin <= 1 and 0 < kind.reach <= 1, f"{file}: twin and reach must be above 0 and at most 1")
    expect(kind.changes, f"{file}: changes is empty: say what prints() and likeness() look through")
    plain, changed = kind.prints(values, spec), kind.prints(values, spec, True)
    for name, made in (("prints()", plain), ("prints(changed=True)", changed)):
        expect(made.ndim == 3 and made.shape[0] == len(values), f"{file}: {name} gives {_form(made)}, not (N, V, D)")
        length = np.linalg.norm(made, axis=2)
        sound = (np.abs(length - 1) < 1e-3) | (length == 0)
        expect(made.dtype == np.float32 and sound.all(), f"{file}: {name} must be float32 of length 1, or 0 throughout")
    expect(
        np.allclose(plain[:, 0], changed[:, 0], atol=1e-5), f"{file}: the first of prints(changed=True) is not the record's own"
    )
    alike = kind.likeness(values, values, spec)
    known = np.linalg.norm(plain[:, 0], axis=1) > 0
    expect(alike.shape == (len(values),), f"{file}: likeness() gives {_form(alike)}, not ({len(values)},)")
    expect(np.allclose(alike[known], 1, atol=1e-3), f"{file}: likeness() of a record with itself is {alike.min():.4g}, not 1")
    other = kind.likeness(values, values[::-1], spec)
    expect(bool((other >= 0).all() and (other <= 1 + 1e-6).all()), f"{file}: likeness() leaves 0 to 1")


def properties_have_a_number_a_record(case: KindCase) -> None:
    """properties() gives a number a record under each name."""
    values, spec = case.records
    assert isinstance(case.kind, Named)
    found = case.kind.properties(values, spec)
    expect(found, f"{case.file}: properties() gives none: leave the method out")
    for name, own in found.items():
        expect(own.shape == (len(values),), f"{case.file}: property '{name}' has shape {own.shape}, not ({len(values)},)")


def what_is_put_to_use_comes_back_in_its_form(case: KindCase) -> None:
    """Read for use, written like its file and read again: the same records under the same name, also in a folder below."""
    kind, (values, spec), file = case.kind, case.records, case.file
    assert isinstance(kind, Reads) and isinstance(kind, WritesLike)
    if kind.spread:
        axes = kind.encode(values[:1], spec, "cpu").dim()
        expect(axes > kind.spread, f"{file}: spread is {kind.spread}, and its tensors have {axes - 1} axes")
    with _folder() as folder:
        for record, path in list(zip(values, case.written(folder / "made"), strict=False))[:2]:
            (piece,) = kind.read(path, spec, SETTINGS)
            worst = _difference(piece.records[0], record, 1e-4, 1e-4)
            expect(worst is None, f"{file}: read() of what write() wrote: {worst}")
            shape = tuple(kind.encode(piece.records, piece.spec, "cpu").shape[1:])
            expect(
                kind.resized(piece.spec, shape, piece.spec, 1).shape == shape, f"{file}: resized() to {shape} has another shape"
            )
            format = kind.format_like(path)
            expect(format in kind.formats, f"{file}: format_like() says '{format}', which it does not write")
            given: dict[str, Any] = {"format": format, "depth": None, "settings": SETTINGS, "scale": 1, "note": NOTE}
            result = kind.write_like([piece], folder / "out" / "deep" / path.name.partition(".")[0], path, **given)
            named = [one.relative_to(folder / "out").as_posix() for one in result]
            expect(named == [f"deep/{path.name}"], f"{file}: write_like() of deep/{path.name} writes {', '.join(named)}")
            (again,) = kind.read(result[0], spec, SETTINGS)
            worst = _difference(again.records, piece.records, 1e-4, 1e-4)
            expect(worst is None, f"{file}: write_like() loses values: {worst}")
            two = [piece, Piece(piece.records, piece.spec)]
            more = kind.write_like(two, folder / "two" / path.name.partition(".")[0], None, **given)
            expect(len(set(more)) == len(more) <= 2, f"{file}: write_like() of two pieces gives {len(set(more))} files")
            (fitted,) = kind.read(path, spec, {**SETTINGS, "fit": "crop"})
            expect(
                fitted.records.shape[1:] == values.shape[1:], f"{file}: read() with fit='crop' is not of the size of training"
            )


def maps_are_shown_over_what_they_are_of(case: KindCase) -> None:
    """mapped() shows a map over its record as a picture (H, W, 3) uint8."""
    kind, (values, spec) = case.kind, case.records
    assert isinstance(kind, Mapped)
    seen = kind.decode(kind.encode(values[:1], spec, "cpu"), kind.screen(spec))[0]
    picture = kind.mapped(seen, np.linspace(0, 1, seen[..., 0].size).reshape(seen.shape[:2]))
    expect(_is_picture(picture), f"{case.file}: mapped() gives {_form(picture)}, not (H, W, 3) uint8")
