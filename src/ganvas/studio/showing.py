"""Files as a page can show them: pictures, players with a spectrogram, lines of text, tables. Made once, beside the results.

What a kind offers decides (`kinds.facets`). Not for making results.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..drawing import png
from ..errors import GanvasError
from ..files import write_atomically
from ..kinds import kind_of
from ..kinds.facets import Heard, Reads, Spelled, Whole, WritesLike
from ..run.draw import reading
from ..uses import Use, fields_given, fields_taken, spec_given
from ..uses.desk import TABLE
from . import tunes

SEEN = (".png", ".jpg", ".jpeg", ".webp", ".gif")
FOLDER = "shown"  # in the folder of results: what is for the page alone
MESH, TURNED = ".obj", 4  # files that a page turns in space, and how many of them
MOST = 64
LONGEST_SOUND = 2_000_000  # bytes of a player


def results_shown(run: Any, use: Use, made: Mapping[str, Any], out: Path) -> list[dict[str, Any]]:
    """An entry for each result that can be shown: `file`, and `picture`, `sound`, `text` or `rows`, relative to `out`."""
    fields = run.record.fields
    given = [name for name in fields_given(use, list(fields)) if name in fields]
    spec = fields[given[0]] if given else run.record.spec
    labels = made.get("labels")
    found: list[dict[str, Any]] = []
    grid = Path(str(made["grid"])) if made.get("grid") else None
    files = [Path(str(file)) for file in made["files"]]
    for place, path in enumerate(files[:MOST]):
        shown = _shown(path, spec, run, out, f"after-{place + 1}")
        if shown is not None:
            found.append({**shown, "file": _relative(path, out)})
            if labels and len(labels) == len(files):
                found[-1]["label"] = labels[place]
    told = any(entry.get("sound") or entry.get("text") for entry in found)
    # All of them in one picture, where not each file can be shown or one file holds many records.
    if grid is not None and ((not told and len(found) != len(files)) or len(files) < int(made.get("count", 0))):
        found = [{"file": grid.name, "picture": grid.name, "whole": True}]
    found += [{"file": _relative(path, out), "solid": _relative(path, out)} for path in files[:TURNED] if path.suffix == MESH]
    table = out / TABLE
    if table.is_file():
        found.append({"file": TABLE, "rows": table_rows(table)})
    return found


def inputs_shown(run: Any, use: Use, inputs: Sequence[str], out: Path) -> list[dict[str, Any]]:
    """The same of what was given, in the order of the inputs."""
    fields = run.record.fields
    first, _ = fields_taken(use, run.system, fields)
    found = []
    for place, name in enumerate(inputs[:MOST]):
        shown = (
            None
            if first is None
            else _shown(Path(name), spec_given(use, run.work(0), first), run, out, f"before-{place + 1}", anew=True)
        )
        found.append({"name": Path(name).name, **(shown or {})})
    return found


def file_shown(run: Any, use: Use, field: str, path: Path, out: Path) -> dict[str, Any]:
    """A file as a field that a use takes. out: a folder for its picture. size: (height, width) of its records, where they have
    such. Raises GanvasError for what cannot be read."""
    first, more = fields_taken(use, run.system, run.record.fields)
    if field != first and field not in more:
        raise GanvasError(f"there is no field '{field}' to {use.verb}")
    spec, suffix = spec_given(use, run.work(0), field), path.suffix.lower()
    if field == first and suffix in use.suffixes:
        seen = _of_tune(path, out, "given") if suffix in tunes.SUFFIXES else {}
        return {**seen, "count": 1, "of": "", "notes": []}  # the use reads it in its own way, and says then what is wrong
    if field in use.brings and suffix in use.reads:
        piece = use.reads[suffix](path, spec)
        return {"count": 1, "of": "", "notes": list(piece.notes)}
    kind = kind_of(spec.kind)
    if not isinstance(kind, Reads):
        raise GanvasError(f"there is no way yet to read files of {kind.says.noun} here")
    pieces = list(kind.read(path, spec, reading(run, fitted=False)))
    shown = _of_piece(pieces[0].records, pieces[0].spec, out, "given")
    count = sum(len(piece.records) for piece in pieces)
    notes = [note for piece in pieces for note in piece.notes]
    flat = isinstance(kind, WritesLike) and kind.spread == 2
    size = list(pieces[0].spec.shape[-2:]) if flat else None
    return {**shown, "count": count, "of": kind.describe(pieces[0].spec), "notes": notes, "size": size}


def _shown(path: Path, spec: Any, run: Any, out: Path, name: str, anew: bool = False) -> dict[str, Any] | None:
    suffix = path.suffix.lower()
    kind = kind_of(spec.kind)
    if suffix in SEEN and not anew:
        return {"picture": _relative(path, out)}
    if suffix in tunes.SUFFIXES:
        with contextlib.suppress(GanvasError):
            return _of_tune(path, out, name)
    if suffix == ".csv" and not isinstance(kind, Reads):
        return {"rows": table_rows(path)}
    if not isinstance(kind, Reads):
        return None
    try:
        pieces = list(kind.read(path, spec, reading(run, fitted=False)))
    except GanvasError:
        return None
    if not pieces:
        return None
    return _of_piece(pieces[0].records, pieces[0].spec, out, name)


def _of_tune(path: Path, out: Path, name: str) -> dict[str, Any]:
    """A MIDI file as a piano roll with a player. Raises GanvasError."""
    roll, sound, part = tunes.shown(path)
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{name}.png", png(roll))
    write_atomically(folder / f"{name}.wav", sound)
    return {"picture": f"{FOLDER}/{name}.png", "sound": f"{FOLDER}/{name}.wav", "part": part}


def _of_piece(records: np.ndarray, spec: Any, out: Path, name: str) -> dict[str, Any]:
    """The first record, or all of them where they are one picture."""
    kind = kind_of(spec.kind)
    found: dict[str, Any] = {}
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    first = records[:1]
    if isinstance(kind, Heard):
        sound, part = kind.heard(first[0], spec, LONGEST_SOUND)
        write_atomically(folder / f"{name}.wav", sound)
        found |= {"sound": f"{FOLDER}/{name}.wav", "part": part}
    if isinstance(kind, Spelled):
        lines = [line for record in records[:MOST] for line in kind.lines(record, spec)]
        if lines:
            return {**found, "text": lines}
    # Where records are many for one picture (points), or one thing together (edges of a graph), all of them are shown.
    together = isinstance(kind, Whole) or kind.says.shown > MOST
    alone = kind.picture(records if together else first, spec)
    write_atomically(folder / f"{name}.png", png(_bare(alone, spec)))
    return {**found, "picture": f"{FOLDER}/{name}.png"}


def _bare(picture: np.ndarray, spec: Any) -> np.ndarray:
    """A picture of one record without the frame that a grid has, where it is a whole number of times as large."""
    shape: tuple[int, ...] = getattr(spec, "shape", ())
    height, width = shape[-2:] if len(shape) >= 2 else (0, 0)
    tall, wide = picture.shape[:2]
    if not height or not width or tall < height or wide < width:
        return picture
    scale = min(tall // height, wide // width)
    extra = tall - scale * height, wide - scale * width
    if scale and extra[0] == extra[1] and extra[0] <= 16:
        start = extra[0] // 2
        return picture[start : start + scale * height, start : start + scale * width]
    return picture


def table_rows(path: Path, most: int = 200) -> list[list[str]]:
    """The first rows of a CSV file, its head first."""
    with path.open(encoding="utf-8", newline="") as handle:
        return [row for row, _ in zip(csv.reader(handle), range(most + 1), strict=False)]


def _relative(path: Path, out: Path) -> str:
    try:
        return path.relative_to(out).as_posix()
    except ValueError:
        return path.name
