"""Series that are scored: windows step by step, as a whole, against a threshold, and what is written of it.

Not for the scores of windows, which a system gives, nor for choosing the threshold (`uses.score`).
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...drawing import save_picture
from ...errors import DataError
from ...files import disk_errors, write_atomically
from ..facets import ScoredFile, Scores
from .files import Table, read_tables
from .pictures import draw_scores
from .pieces import OVERLAP, notes_on, starts_of
from .spec import SeriesSpec

Scored = Callable[[np.ndarray], Scores]


def step_scores(table: Table, length: int, scored: Scored) -> tuple[np.ndarray, np.ndarray | None]:
    """(T,) the maps of all windows, averaged over those that cover a step, and (T, C) their parts; NaN where none does."""
    starts = starts_of(table.stretches(), length, whole=True)
    rows, quantities = table.values.shape
    if not len(starts):
        return np.full(rows, np.nan), None
    found = scored(np.stack([table.values[a : a + length] for a in starts]).astype(np.float32))
    return _averaged(found.maps, starts, rows), None if found.parts is None else _averaged(found.parts, starts, rows)


def _averaged(maps: np.ndarray, starts: np.ndarray, rows: int) -> np.ndarray:
    """(rows, ...) of maps (N, length, ...) that begin at `starts`: the mean at each step, NaN where there is none."""
    length = maps.shape[1]
    total, count = np.zeros((rows, *maps.shape[2:])), np.zeros((rows, *[1] * (maps.ndim - 2)))
    for start, own in zip(starts, maps, strict=True):
        total[start : start + length] += own
        count[start : start + length] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def usual_scores(values: np.ndarray, scored: Scored) -> np.ndarray:
    """(M,) scores of the steps that windows (N, T, C) cover. Windows that follow each other, as `Kind.fill` cuts them, overlap:
    their steps are averaged as those of a file are."""
    maps = scored(values).maps
    count, length = values.shape[:2]
    stride = max(1, length // OVERLAP)
    goes_on = (values[1:, :-stride] == values[:-1, stride:]).all(axis=(1, 2))
    edges = [0, *(np.flatnonzero(~goes_on) + 1).tolist(), count] if count else []
    found = [
        _averaged(maps[a:b], np.arange(b - a) * stride, (b - a - 1) * stride + length) for a, b in itertools.pairwise(edges)
    ]
    return np.concatenate(found) if found else np.zeros(0)


def score_file(path: Path, name: str, spec: SeriesSpec, scored: Scored, out: Path, threshold: float | None) -> ScoredFile:
    """See `facets.ScoredFiles`. One CSV a series: time, score, alarm (1 or 0), and the score of each quantity; a picture."""
    tables = [table.arranged(spec.names, path) for table in read_tables(path)]
    made = ScoredFile(0.0, [])
    highest, above, steps = [], 0, 0
    truth, judged = [], []
    for number, table in enumerate(tables, start=1):
        made.notes += [note for note in notes_on(table, spec, path) if note not in made.notes]
        scores, parts = step_scores(table, spec.length, scored)
        there = np.isfinite(scores)
        if not there.any():
            raise DataError(f"{path}: no stretch of {spec.length} steps without a missing value or a jump in time to score")
        if not there.all():
            made.notes.append(f"{path}: {int((~there).sum())} of {len(scores)} steps lie in no whole window: no score")
        highest.append(float(scores[there].max()))
        above, steps = above + int((scores[there] > (threshold or np.inf)).sum()), steps + int(there.sum())
        target = out / (f"{name}.csv" if len(tables) == 1 else f"{name}-{number:05d}.csv")
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, _encoded(table, spec, scores, parts, threshold))
        made.files.append(target)
        alarms = [] if threshold is None else stretches_above(scores, threshold, max(1, spec.length // OVERLAP))
        made.alarms += [_told(table, spec, scores, parts, place) for place in alarms]
        if len(tables) == 1:
            made.files.append(target.with_suffix(".png"))
            save_picture(made.files[-1], draw_scores(table, spec, scores, threshold, alarms, target.stem))
        if parts is not None:
            for k, quantity in enumerate(spec.names):
                key = f"score of {quantity}"
                made.numbers[key] = max(made.numbers.get(key, 0.0), float(np.nanmax(parts[:, k])))
        marked = table.truth.get("anomaly", table.truth.get("label"))
        if marked is not None:
            truth.append(marked[there] > 0)
            judged.append(scores[there])
    made.score = max(highest)
    own = {} if threshold is None else {"above threshold": above / steps}
    made.numbers = {**own, **_area(truth, judged), **made.numbers}
    return made


def stretches_above(scores: np.ndarray, threshold: float, patience: int) -> list[tuple[int, int]]:
    """(first step, step behind the last) of stretches above the threshold; those up to `patience` steps apart are one."""
    places = np.flatnonzero(np.nan_to_num(scores, nan=-np.inf) > threshold)
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > patience)
    first, last = places[np.concatenate([[0], breaks + 1])], places[np.concatenate([breaks, [len(places) - 1]])]
    return [(int(a), int(b) + 1) for a, b in zip(first, last, strict=True)]


def _told(
    table: Table, spec: SeriesSpec, scores: np.ndarray, parts: np.ndarray | None, place: tuple[int, int]
) -> dict[str, Any]:  # fmt: skip
    """An alarm as a row: when, how high, and the quantity whose mean score over it is the highest."""
    begin, end = place
    stamps = table.stamps or [str(k) for k in range(len(scores))]
    row: dict[str, Any] = {"from": stamps[begin], "to": stamps[end - 1], "steps": end - begin}
    row["score"] = float(np.nanmax(scores[begin:end]))
    if parts is not None:
        row["quantity"] = spec.names[int(np.nanmean(parts[begin:end], axis=0).argmax())]
    return row


def _area(truth: list[np.ndarray], scores: list[np.ndarray]) -> dict[str, float]:
    """`area`: under the ROC curve of the steps, where a file says itself which of them are anomalous."""
    marked = np.concatenate(truth) if truth else np.zeros(0, bool)
    if not marked.any() or marked.all():
        return {}
    from sklearn.metrics import roc_auc_score

    return {"area": float(roc_auc_score(marked, np.concatenate(scores)))}


def _encoded(
    table: Table, spec: SeriesSpec, scores: np.ndarray, parts: np.ndarray | None, threshold: float | None
) -> bytes:  # fmt: skip
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    named = ["score"] if threshold is None else ["score", "alarm"]
    further = [] if parts is None else [f"score of {quantity}" for quantity in spec.names]
    rows.writerow([table.time_name if table.stamps else "step", *named, *further])
    stamps = table.stamps or [str(k) for k in range(len(scores))]
    for k, (stamp, score) in enumerate(zip(stamps, scores, strict=True)):
        if not np.isfinite(score):
            rows.writerow([stamp, *[""] * (len(named) + len(further))])
            continue
        above = [] if threshold is None else [int(score > threshold)]
        rows.writerow([stamp, f"{score:.6g}", *above, *(f"{part:.6g}" for part in (() if parts is None else parts[k]))])
    return text.getvalue().encode()
