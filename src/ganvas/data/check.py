"""`ganvas data check`: what a source holds and what may go wrong with it, before anything is trained.

Works on folders that `open_data` would refuse (mixed sizes, nothing but damaged files) and changes nothing. Values of
patient tags are never read into the report, only the names of tags that are filled in. Burned-in text is known from the
tags alone: a page of pixels is not searched for letters. Not for the quality of samples.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from ..errors import DataError, GanvasError
from ..kinds import kind_names, kind_of
from ..registry import suited
from ..store.listing import natural, some
from ..store.packed import PackedSource
from .columns import parse_fields
from .finding import claimed, files_of, possible, recognise, source_of
from .pictures import Unreadable, found_in, of_pictures
from .report import LISTED, CheckReport
from .shards import look_through

HELDOUT = 0.2  # share that is held out when nobody says

PICTURES = ("image", "points")
"""Kinds that are looked through file by file, not opened."""


def check(
    source: str | Path | np.ndarray,
    *,
    strict: bool = False,
    axis: int | None = None,
    kind: str | None = None,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    rate: int | None = None,
    fit: str | None = None,
    up: str | None = None,
    frames: int | None = None,
    fields: str | None = None,
    sheet: Path | None = None,
    progress: bool = True,
) -> CheckReport:
    """Look through a folder, file, array or phantom and report. Reads every file once and writes nothing but the sheet.

    kind: sound, series, solid, graph or tokens, where the files leave open what they are. size, channels, rate, fit, up,
    frames: as `open_data` takes them, of what is neither pictures nor points: of those the report tells every size and channel
    anyway.
    fields: where the fields of records of several lie, `photo=photos,map=labels`, when they are not found by themselves. sheet:
    a PNG to write, of some rows of such records, fields side by side, or of some records of one field.

    Raises DataError when there is nothing at all to look at, when a table does not fit the files, and with `strict` for
    the first unreadable file; GanvasError for settings that the data does not take.
    """
    settings = {"size": size, "channels": channels, "rate": rate, "fit": fit, "up": up, "frames": frames}
    given = {name: value for name, value in settings.items() if value is not None}
    report = _checked(source, strict, axis, kind, given, fields, sheet, progress)
    from ..metrics.memorisation import too_few
    from .phantoms import is_phantom

    held = report.split.get("held out", 0) if report.split else round(HELDOUT * report.records)
    told = "" if report.split else f" (of {report.records:,}, with --heldout {HELDOUT})"
    if report.records and not is_phantom(str(source)) and (found := too_few(report.records - held, held, told)) is not None:
        report.notes.append(f"copies of training records could not be told of a system trained on this: {found}")
    return report


def _checked(
    source: str | Path | np.ndarray, strict: bool, axis: int | None, kind: str | None, given: dict[str, Any],
    fields: str | None, sheet: Path | None, progress: bool,
) -> CheckReport:  # fmt: skip
    """As `check`, but for the audit. given: settings of what is neither pictures nor points."""
    path = None if isinstance(source, np.ndarray) else Path(source).expanduser()
    if not isinstance(source, np.ndarray) and isinstance(packed := source_of(source), PackedSource):
        if given or sheet:
            raise GanvasError(f"{source}: {packed.nouns} are looked through as they are: leave out other options than --strict")
        return look_through(packed.choosing(parse_fields(fields), None) if fields else packed, strict, progress)
    if path is not None and path.exists() and kind is None and not given:
        several = _of_fields(path, str(source), fields, sheet)
        if several is not None and not several.alone:
            return several
        if several is not None:  # records of one field with captions or attributes beside
            again = _checked(source, strict, axis, several.alone, {}, None, None, progress)
            return _joined(several, again)
    chosen = "image" if path is None else kind or claimed(path) or recognise(str(source))
    if fields or (sheet and chosen in PICTURES):
        which = "--fields" if fields else "--sheet"
        raise DataError(
            f"{source}: {which} is for records of several fields, which it does not hold, or not in a layout that is known"
        )
    if path is not None and chosen not in PICTURES:
        return _of_kind(str(source), chosen, strict, progress, given, sheet)
    try:
        report = of_pictures(source, strict, axis, progress)
    except Unreadable:
        raise
    except DataError as refused:  # neither points nor pictures: perhaps what only some systems learn from
        other = None if path is None else _some_kind(str(source), strict, progress, given)
        if other is None:
            raise refused
        return other
    if not report.records and path is not None and (other := _some_kind(str(source), strict, progress, given)) is not None:
        return other
    if not report.records and path is not None and (kinds := [k for k in possible(path) if k not in PICTURES]):
        report.problems.append(f"they were read as pictures: if they are something else, say --kind {' or '.join(kinds)}")
    if given:
        raise GanvasError(
            f"--{next(iter(given))} is not for a check of pictures and points, which lists what there is: leave it out, or say "
            f"--kind ({', '.join(kind_names())}) if they are something else"
        )
    return report


def _of_fields(path: Path, text: str, fields: str | None, sheet: Path | None) -> CheckReport | None:
    """The report of records of several fields; None where there is one."""
    import tempfile

    from .fields import look_at_fields
    from .fields import sheet as drawn

    with tempfile.TemporaryDirectory() as folder:
        found = look_at_fields(path, text, parse_fields(fields), Path(folder))
    if found is None:
        return None
    rows = found.rows
    files = {file for column in rows.columns.values() for file in column.files}
    report = CheckReport(text, f"records of {len(rows.columns)} fields", len(files) or 1, len(rows.names), notes=found.notes)
    report.fields, report.problems, report.train = found.told, found.problems, found.train
    report.lonely, report.lonely_count = rows.lonely[:LISTED], len(rows.lonely)
    report.exact_count = report.near_count = -1
    report.alone = found.alone(path)
    report.split = found.split
    labels = Counter(label for label in rows.labels if label is not None)
    report.labels = {name: labels[name] for name in sorted(labels, key=natural)}
    groups = {group for group in rows.groups if group is not None}
    if groups:
        report.groups, report.group_source = len(groups), some([table.name for table in rows.tables]) or "the file"
    if sheet is not None:
        _drawn(sheet, drawn(found), report)
    return report


def _drawn(sheet: Path, picture: np.ndarray, report: CheckReport) -> None:
    """Write a contact sheet."""
    import io

    from PIL import Image

    from ..files import write_atomically

    buffer = io.BytesIO()  # not by `drawing.png`, which calls what it writes synthetic
    Image.fromarray(picture).save(buffer, format="PNG")
    write_atomically(sheet, buffer.getvalue())
    report.sheet = str(sheet)


def _joined(several: CheckReport, usual: CheckReport) -> CheckReport:
    """The report of the files, with what the table beside them holds."""
    for name in ("fields", "lonely", "lonely_count", "sheet", "alone"):
        setattr(usual, name, getattr(several, name))
    for name in ("labels", "split", "groups", "group_source"):
        setattr(usual, name, getattr(usual, name) or getattr(several, name))
    usual.notes += several.notes
    usual.problems += several.problems
    usual.train = list(dict.fromkeys([*several.train, *usual.train]))
    return usual


def _some_kind(source: str, strict: bool, progress: bool, given: dict[str, Any]) -> CheckReport | None:
    """The report of the first kind that can make records of the files, where only their suffixes say what they may be."""
    for kind in possible(Path(source).expanduser()):
        if kind not in PICTURES:
            with contextlib.suppress(DataError):
                return _of_kind(source, kind, strict, progress, given)
    return None


def _of_kind(
    source: str, kind: str, strict: bool, progress: bool, given: dict[str, Any], sheet: Path | None = None
) -> CheckReport:
    """What data of a kind with a module of its own becomes when it is opened; the cache is one for the moment."""
    import tempfile

    from .dataset import open_data

    own = kind_of(kind)
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {"kinds": (kind,), "strict": strict, "progress": progress, "phantom_count": 200, **given}
        data = open_data(source, cache=Path(folder), **settings)
        path = Path(source).expanduser()
        files = len(files_of(path, own).files) if path.exists() else 0
        report = CheckReport(source, f"records, {own.describe(data.spec)},", files, len(data), notes=list(data.notes))
        if data.labels is not None:
            report.labels = {name: int((data.labels == k).sum()) for k, name in enumerate(data.spec.classes)}
        report.exact_count = report.near_count = -1
        report.groups, report.group_source = len(np.unique(data.groups)), "what may be held out together"
        if sheet is not None:
            some_of = np.unique(np.linspace(0, len(data) - 1, min(len(data), own.says.shown)).astype(int))
            _drawn(sheet, own.picture(np.asarray(data.values[some_of]), data.spec), report)
        del data  # its file is mapped
    chosen = "".join(f" --{n} {'x'.join(map(str, v)) if isinstance(v, tuple) else v}" for n, v in given.items())
    report.train = [
        f"ganvas train {card.name} --data {quote(source)}{chosen}" for card in suited(kind, found_in(report.labels))
    ]
    return report
