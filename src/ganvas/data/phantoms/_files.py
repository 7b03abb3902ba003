"""Writing a phantom as files: images in class folders, masks beside them under `masks/`, what is true in `facts.jsonl`, and in
`metadata.csv` where it fits a table.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...files import disk_errors, write_atomically
from ...kinds import format_named, kind_of
from ...kinds.image.spec import ImageSpec
from . import PhantomData, catalogue, make_phantom


def write_phantom(
    text: str,
    n: int,
    out: Path,
    *,
    seed: int = 0,
    size: int | tuple[int, int] | None = None,
    depth: int = 8,
    format: str | None = None,
    spacing: tuple[float, float] | None = None,
) -> list[Path]:
    """Write `n` records of a phantom into `out` and return the files.

    format: None means PNG for images, CSV for points, the first of its own for any other kind. size: None means the phantom's
    own. Files of a format that says what its values stand for hold these: Hounsfield units of CT. All but points go into one
    folder a class; masks, as PNG, into `masks/` with the image's name; facts, one JSON line a record, into `facts.jsonl`
    (`file` names its file). Points go into `points.csv`.
    Raises DataError for unknown names and for a folder that is not empty, GanvasError for unknown formats, RunError when it
    cannot be written.
    """
    name = text.partition(":")[0]
    kind = catalogue()[name].kind if name in catalogue() else "image"
    format = format_named(kind_of(kind), format or kind_of(kind).formats[0])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not an empty folder: choose a new one with --out")
    made = make_phantom(text, n, seed, size=size, depth=depth)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    if kind == "points":
        return _write_points(made, out, format)
    note = {"phantom": text, "seed": str(seed)}
    if made.spec is not None:
        return _write_kind(made, out, format, note)
    _, height, width, channels = made.values.shape
    spec = ImageSpec(channels, height, width, depth, 0.0, 255.0 if depth == 8 else 65535.0, made.classes, spacing, format)
    from ...kinds.image.writers import MEANING, write_samples

    values = made.values
    if made.scale is not None and format in MEANING:
        values, spec = _in_units(made, spec)
    files: list[Path] = []
    order = np.arange(n)
    labels = made.labels if made.labels is not None else np.zeros(n, np.int64)
    folders = made.classes if made.labels is not None and made.classes else ("",)
    facts: list[dict[str, Any]] = []
    for index, folder in enumerate(folders):
        rows = order[labels == index]
        if len(rows) == 0:
            continue
        where = out / folder if folder else out
        with disk_errors(where):
            where.mkdir(parents=True, exist_ok=True)
        names = tuple(f"{name}-{row:05d}" for row in rows)
        written = write_samples(values[rows], spec, where, format=format, note=note, seed=seed + index, names=names)
        files += written
        single = len(written) == len(rows)
        for place, row in enumerate(rows):
            path = written[place] if single else written[0]
            fact = {"file": path.relative_to(out).as_posix(), **({} if single else {"slice": place})}
            facts.append(fact | (made.facts[row] if made.facts else {}) | ({"class": folder} if folder else {}))
            files += _write_masks(made, int(row), out / "masks" / folder / f"{name}-{row:05d}")
    lines = "".join(json.dumps(f) + "\n" for f in facts)
    write_atomically(out / "facts.jsonl", lines.encode())
    return [*files, out / "facts.jsonl", *_write_columns(made, out, facts)]


def _in_units(made: PhantomData, spec: ImageSpec) -> tuple[np.ndarray, ImageSpec]:
    """The images as the values they stand for, (N, H, W, C) float32, and their spec. Hounsfield units are whole, as scanners
    write them."""
    assert made.scale is not None
    low, high, unit = made.scale
    values = (low + (high - low) / spec.high * made.values).astype(np.float32)
    return np.rint(values) if unit == "HU" else values, replace(spec, depth=32, low=low, high=high)


def _write_columns(made: PhantomData, out: Path, facts: list[dict[str, Any]]) -> list[Path]:
    """`metadata.csv`, a row a file, and `groups.csv`, which is read where the pictures alone are; none of files that hold
    several records."""
    if not made.columns or any("slice" in fact for fact in facts):
        return []
    tables = {"metadata.csv": {"file_name": [fact["file"] for fact in facts], **made.columns}}
    if "group" in made.columns:
        tables["groups.csv"] = {"file": tables["metadata.csv"]["file_name"], "group": made.columns["group"]}
    for name, columns in tables.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([list(columns), *zip(*columns.values(), strict=True)])
        write_atomically(out / name, text.getvalue().encode())
    return [out / name for name in tables]


def _write_kind(made: PhantomData, out: Path, format: str, note: dict[str, str]) -> list[Path]:
    """Records of a kind with a module of its own: one folder a class, and `facts.jsonl`."""
    assert made.spec is not None
    kind = kind_of(made.spec.kind)
    labels = np.zeros(len(made.values), np.int64) if made.labels is None else made.labels
    files: list[Path] = []
    lines = ""
    for index in np.unique(labels):
        rows = np.flatnonzero(labels == index)
        where = out / made.classes[index] if made.classes else out
        with disk_errors(where):
            where.mkdir(parents=True, exist_ok=True)
        written = kind.write(made.values[rows], made.spec, where, format=format, depth=None, note=note)
        files += written
        single = len(written) == len(rows)
        for place, row in enumerate(rows):
            path = written[place] if single else written[0]
            fact = {"file": path.relative_to(out).as_posix(), **({} if single else {"record": place})}
            fact |= made.facts[row] if made.facts else {}
            lines += json.dumps(fact | ({"class": made.classes[index]} if made.classes else {})) + "\n"
    write_atomically(out / "facts.jsonl", lines.encode())
    return [*files, out / "facts.jsonl"]


def _write_masks(made: PhantomData, row: int, stem: Path) -> list[Path]:
    """The masks of one record that are not empty, as PNG."""
    from PIL import Image

    files = []
    for name, masks in made.masks.items():
        if not masks[row].any():
            continue
        buffer = io.BytesIO()
        Image.fromarray(masks[row] * np.uint8(255 if masks[row].max() == 1 else 1)).save(buffer, format="PNG")
        with disk_errors(stem.parent):
            stem.parent.mkdir(parents=True, exist_ok=True)
        files.append(stem.with_name(f"{stem.name}-{name}.png"))
        write_atomically(files[-1], buffer.getvalue())
    return files


def _write_points(made: PhantomData, out: Path, format: str) -> list[Path]:
    path = out / f"points.{format}"
    buffer = io.BytesIO()
    if format == "npz":
        labels = {} if made.labels is None else {"labels": made.labels}
        np.savez_compressed(buffer, x=made.values, **labels)
        write_atomically(path, buffer.getvalue())
        return [path]
    header = "x,y" + (",label" if made.labels is not None else "")
    rows = [
        ",".join(f"{v:.6g}" for v in point) + ("" if made.labels is None else f",{made.classes[made.labels[i]]}")
        for i, point in enumerate(made.values)
    ]
    write_atomically(path, ("\n".join([header, *rows]) + "\n").encode())
    return [path]
