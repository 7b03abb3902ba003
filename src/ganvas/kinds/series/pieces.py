"""Series that a trained run is put to use on, whole or in windows, and what is written of series. Not for data sets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...files import disk_errors, write_atomically
from ..facets import Piece
from .files import Table, encoded_parquet, read_tables
from .spec import SeriesSpec

OVERLAP = 4  # a window starts every length / OVERLAP steps
OUTSIDE = 0.01  # share of a quantity's values outside of the range learnt from, above which it is told: there 0.002 are
SHOWN = 8  # quantities that a note names
SYNTHETIC = "SYNTHETIC: made by a generative model, not a measurement"


def starts_of(stretches: list[tuple[int, int]], length: int, *, whole: bool = False) -> np.ndarray:
    """First rows of the windows within the stretches, a quarter of the length apart. whole: the last row is in one too."""
    stride = max(1, length // OVERLAP)
    found: list[int] = []
    for begin, end in stretches:
        if end - begin < length:
            continue
        found += range(begin, end - length + 1, stride)
        if whole and found[-1] != end - length:
            found.append(end - length)
    return np.array(found, np.int64)


def read_pieces(path: Path, spec: SeriesSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
    """Each series of a file, whole; or the windows of the length of the spec that it holds, which overlap.

    Raises DataError for series with missing values or jumps in time, if they are to be whole.
    """
    for table in (own.arranged(spec.names, path) for own in read_tables(path)):
        notes = notes_on(table, spec, path)
        stretches, rows = table.stretches(), len(table.values)
        if settings.get("fit") is not None:
            starts = starts_of(stretches, spec.length, whole=True)
            if not len(starts):
                raise DataError(f"{path}: no stretch of {spec.length} steps without a missing value or a jump in time")
            windows = np.stack([table.values[a : a + spec.length] for a in starts]).astype(np.float32)
            yield Piece(windows, spec, tuple(notes))
            continue
        if stretches != [(0, rows)]:
            first = stretches[0][1] if stretches and stretches[0][0] == 0 else 0
            raise DataError(f"{path}: a value is missing or time jumps at row {first + 1}: give whole stretches")
        step = table.step or spec.step
        yield Piece(table.values[None].astype(np.float32), replace(spec, length=rows, step=step), tuple(notes))


def notes_on(table: Table, spec: SeriesSpec, path: Path) -> list[str]:
    """What a user should know of a series that a run is put to use on: another step, values that were never learnt."""
    notes = []
    if table.step and spec.step and not 0.9 < table.step / spec.step < 1.1:
        notes.append(f"{path}: a row every {table.step:g} s, the run was trained on one every {spec.step:g} s")
    scaled = (table.values - np.asarray(spec.centre)) / np.asarray(spec.scale)
    there = np.isfinite(scaled)
    shares = (there & (np.abs(scaled) > 1)).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    far = [k for k in np.argsort(-shares, kind="stable") if shares[k] > OUTSIDE]
    if far:
        told = [
            f"{shares[k]:.0%} of {spec.names[k]} ({spec.centre[k] - spec.scale[k]:.4g} to {spec.centre[k] + spec.scale[k]:.4g})"
            for k in far
        ]
        more = f" and of {len(told) - SHOWN} more" if len(told) > SHOWN else ""
        notes.append(f"{path}: outside of the range that was learnt from: {', '.join(told[:SHOWN])}{more}")
    return notes


def write_like(pieces: Sequence[Piece], stem: Path, format: str, note: Mapping[str, str]) -> list[Path]:
    """One file, or one a series; time begins at 0."""
    with disk_errors(stem):
        stem.parent.mkdir(parents=True, exist_ok=True)
    mark = mark_of(note)
    series = [(record, piece.spec) for piece in pieces for record in piece.records]
    if format == "npz" and len({len(record) for record, _ in series}) == 1:
        path = stem.with_name(f"{stem.name}.npz")
        write_atomically(path, encoded_arrays(np.stack([record for record, _ in series]), series[0][1], mark))
        return [path]
    written = []
    for number, (record, spec) in enumerate(series, start=1):
        path = stem.with_name(f"{stem.name}.{format}" if len(series) == 1 else f"{stem.name}-{number:05d}.{format}")
        if format == "npz":
            body = encoded_arrays(record[None], spec, mark)
        else:
            body = encoded_parquet(record, spec, mark) if format == "parquet" else encoded_csv(record, spec, mark)
        write_atomically(path, body)
        written.append(path)
    return written


def mark_of(note: Mapping[str, str]) -> str:
    """What every file says of itself."""
    return "; ".join([SYNTHETIC, *(f"{key} {value}" for key, value in note.items())])


def encoded_arrays(records: np.ndarray, spec: SeriesSpec, mark: str) -> bytes:
    """Series (N, T, C) in one .npz."""
    buffer = io.BytesIO()
    step: dict[str, Any] = {} if spec.step is None else {"step": np.array(spec.step)}
    np.savez_compressed(buffer, series=records, names=np.array(spec.names), note=np.array(mark), **step)
    return buffer.getvalue()


def encoded_csv(window: np.ndarray, spec: SeriesSpec, mark: str) -> bytes:
    """With a column `time` in seconds when the step is known."""
    text = io.StringIO()
    text.write(f"# {mark}\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*([] if spec.step is None else ["time"]), *spec.names])
    for place, row in enumerate(window):
        rows.writerow([*([] if spec.step is None else [f"{place * spec.step:.10g}"]), *(f"{v:.7g}" for v in row)])
    return text.getvalue().encode()
