"""Series: windows of several quantities measured together, such as the sensors of a machine.

Tables with a row a step, or arrays of windows, become records (N, length, quantities) float32 in the units of the files. Not
for reading them (`_series_files`), and not for resampling: a window holds rows as they follow each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError
from ...store.listing import counted
from .. import Kind, KindSays
from . import pieces
from .files import Table, encoded_parquet, read_tables
from .pictures import draw_lines, sketch_lines
from .pieces import starts_of
from .recognition import correlation, marks
from .spec import SeriesSpec

if TYPE_CHECKING:
    from torch import Tensor

    from ...store.cache import Writer
    from ...store.listing import Listing
    from ..facets import Pairs, Piece, ScoredFile, Scores

LENGTH, LEAST = 60, 4  # steps of a window: unless told otherwise, and at least
SHORT = 240  # steps up to which files of one length count as windows
BLOCKS = 10  # pieces of a series that stands alone, of which whole ones are held out
COURSE = 10  # pieces whose means make the coarse course
MEASURED = 5_000  # windows that say the scale
STILL = 0.02  # standard deviation, of half a quantity's range, under which correlations count for little


def measured(values: np.ndarray, names: tuple[str, ...], step: float | None, classes: tuple[str, ...] = ()) -> SeriesSpec:
    """The spec of windows (N, T, C): the 0.1 and 99.9 percentiles of each quantity become -1 and 1.

    A quantity that hardly ever changes takes its whole range, a constant one the scale 1.
    """
    centre, scale = scale_of(values, np.arange(len(values)))
    return SeriesSpec(values.shape[1], names, centre, scale, step, classes)


def scale_of(values: np.ndarray, rows: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(centre, scale) of the windows at `rows` of values (N, T, C), by at most 5,000 of them: see `measured`."""
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MEASURED)).astype(int))]
    steps = np.asarray(values[chosen], np.float64).reshape(-1, values.shape[2])
    low, high = np.percentile(steps, (0.1, 99.9), axis=0)
    flat = ~(high > low)
    low[flat], high[flat] = steps[:, flat].min(0), steps[:, flat].max(0)
    scale = np.where(high > low, (high - low) / 2, 1.0)
    return tuple(float(c) for c in (high + low) / 2), tuple(float(s) for s in scale)


class SeriesKind(Kind):
    name = "series"
    spec = SeriesSpec
    suffixes = (".csv", ".tsv", ".parquet", ".npz", ".npy")
    formats = ("csv", "parquet", "npz")
    format_aliases = {"pq": "parquet"}
    says = KindSays(
        noun="series",
        features="course",
        limit="Windows have one length; slower changes were not learnt. Not to be relied on for control or for raising alarms.",
        phantom="sensors",
        shown=6,
        threads=1,
        example_size=30,
        example_channels=3,
        small=(12, 3),
        anew="windows are cut anew from each file",
        overlooks="copies at another pace, or that begin more than an eighth of a window away from every training window",
        options={"size": "steps of a window"},
    )

    # Reading

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """See `Kind.fill`. Whole files are held out; one that is alone in its class is cut into blocks with gaps between."""
        from ...store.entry import conclude

        files, skipped = _read(listing, progress, strict)
        tables = [table for _, own in files for table in own]
        length = _length(tables, settings.get("size"), listing.source)
        notes = [*listing.notes, *_told(files, listing)]
        alone = _alone(files, listing)
        places: list[int] = []
        groups: list[str] = []
        bad: list[int] = []
        short = 0
        for place, own in files:
            group = listing.groups[place]
            for number, table in enumerate(own):
                stretches = table.stretches()
                blocks = _blocks(len(table.values), length) if place in alone and len(own) == 1 else [(0, len(table.values))]
                before = len(places)
                for block, (begin, end) in enumerate(blocks):
                    inside = [(max(a, begin), min(b, end)) for a, b in stretches]
                    if place in alone and len(own) > 1:
                        block = number * min(BLOCKS, len(own)) // len(own)
                    for start in starts_of(inside, length):
                        writer.row(table.values[start : start + length].astype(np.float32))
                        places.append(place)
                        groups.append(f"group {group}" if group is not None else f"{place} {block}")
                        bad.append(_marked(table, start, length))
                short += len(places) == before
        if not places:
            longest = max((b - a for table in tables for a, b in table.stretches()), default=0)
            raise DataError(
                f"{listing.source}: no stretch of {length} steps without a missing value or a jump in time (the longest "
                f"has {longest}): give a shorter --size"
            )
        if short:
            notes.append(f"{short} of {len(tables)} series have no unbroken stretch of {length} steps and gave no window")
        if alone and len(set(groups)) > 1:
            notes.append(
                f"a series that is alone is held out in blocks (tenths, with {length} steps between left out); they are not "
                "as independent as other series would be"
            )
        step = _common_step(tables, notes)
        labels, classes = _labels(places, bad, listing, notes)
        spec = measured(writer.rows(), tables[0].names, step, classes)
        notes.append(f"{len(places)} windows of {length} steps")
        held = np.array([-1 if listing.heldout[p] is None else int(bool(listing.heldout[p])) for p in places], np.int8)
        writer.facts["skipped"] = skipped
        sides = held if (held >= 0).any() else None
        conclude(writer, spec, labels, np.array(groups), sides, notes, [listing.names[p] for p in places])

    learnt = ("centre", "scale")

    def learn(self, spec: SeriesSpec, values: np.ndarray, rows: np.ndarray) -> tuple[SeriesSpec, str]:
        """The scale of each quantity; see `facets.Learns`."""
        centre, scale = scale_of(values, rows)
        first, moves = values[rows[0], 0], np.zeros(len(spec.names), bool)
        for part in np.array_split(rows, -(-len(rows) // MEASURED)):  # all of them may be more than memory holds
            moves |= (values[part] != first).any(axis=(0, 1))
        still = [name for name, moved in zip(spec.names, moves, strict=True) if not moved]
        told = f"scaled by the 0.1 and 99.9 percentiles of {counted(len(rows), 'window')} to learn from"
        return replace(spec, centre=centre, scale=scale), told + (f"; never changes there: {', '.join(still)}" if still else "")

    def encode(self, values: np.ndarray, spec: SeriesSpec, device: Any) -> Tensor:
        import torch

        scaled = (np.asarray(values, np.float64) - np.asarray(spec.centre)) / np.asarray(spec.scale)
        return torch.from_numpy(scaled.astype(np.float32)).to(device, non_blocking=True)

    def decode(self, tensor: Tensor, spec: SeriesSpec) -> np.ndarray:
        values = tensor.detach().cpu().double().numpy() * np.asarray(spec.scale) + np.asarray(spec.centre)
        return np.asarray(values, np.float32)

    # Writing

    def write(
        self, records: np.ndarray, spec: SeriesSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """One CSV or Parquet file a window, with a column `time` in seconds when the step is known; or all in one .npz."""
        from ...files import write_atomically

        if depth is not None:
            raise GanvasError("--depth means nothing to series: leave it out")
        mark = pieces.mark_of(note)
        if format == "npz":
            write_atomically(folder / "samples.npz", pieces.encoded_arrays(records, spec, mark))
            return [folder / "samples.npz"]
        paths = []
        digits = max(5, len(str(len(records))))
        for number, window in enumerate(records, start=1):
            paths.append(folder / f"sample-{number:0{digits}d}.{format}")
            body = encoded_parquet(window, spec, mark) if format == "parquet" else pieces.encoded_csv(window, spec, mark)
            write_atomically(paths[-1], body)
        return paths

    def picture(self, records: np.ndarray, spec: SeriesSpec) -> np.ndarray:
        """A row of panels a quantity (the first eight), windows side by side in each, on one scale."""
        return draw_lines(records[: self.says.shown], spec)

    def sketch(self, record: np.ndarray, spec: SeriesSpec) -> np.ndarray:
        """Lines without axes, a strip a quantity."""
        return sketch_lines(record, spec)

    # Put to use

    spread = 0

    def read(self, path: Path, spec: SeriesSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """See `pieces.read_pieces`."""
        return pieces.read_pieces(path, spec, settings)

    def format_like(self, path: Path) -> str:
        """Parquet and arrays as they are; else CSV."""
        return {".parquet": "parquet", ".npz": "npz", ".npy": "npz"}.get(path.suffix.lower(), "csv")

    def resized(self, spec: SeriesSpec, shape: tuple[int, ...], like: SeriesSpec | None, scale: int) -> SeriesSpec:
        """With steps that are as much shorter as there are more of them."""
        known = spec.step if like is None else like.step
        return replace(spec, length=shape[0], step=None if known is None else known / scale)

    def write_like(
        self, made: Sequence[Piece], stem: Path, source: Path | None, *, format: str, depth: int | None,
        settings: Mapping[str, Any], scale: int, note: Mapping[str, str],
    ) -> list[Path]:  # fmt: skip
        """See `pieces.write_like`."""
        if depth is not None:
            raise GanvasError("--depth means nothing to series: leave it out")
        return pieces.write_like(made, stem, format, note)

    def score(
        self, path: Path, name: str, spec: SeriesSpec, scored: Callable[[np.ndarray], Scores], out: Path,
        threshold: float | None,
    ) -> ScoredFile:  # fmt: skip
        """See `scoring.score_file`. The score of the file is that of its most unusual step."""
        from .scoring import score_file

        return score_file(path, name, spec, scored, out, threshold)

    def usual(self, values: np.ndarray, spec: SeriesSpec, scored: Callable[[np.ndarray], Scores]) -> np.ndarray:
        """See `scoring.usual_scores`."""
        from .scoring import usual_scores

        return usual_scores(values, scored)

    # Judging

    def vectors(self, values: np.ndarray, spec: SeriesSpec) -> np.ndarray:
        """(N, D) float32, of scaled values: mean, standard deviation and lag-1 autocorrelation of each quantity, correlations
        of each pair, and the means over ten pieces of the window.

        Correlations fade out for what varies by less than STILL: of a quantity that stands still they would tell of its last
        digits, and slight noise on a copied window would hide the copy.
        """
        scaled = (values.astype(np.float64) - np.asarray(spec.centre)) / np.asarray(spec.scale)
        count, length, quantities = scaled.shape
        mean, spread = scaled.mean(1), scaled.std(1)
        centred = scaled - mean[:, None]
        power = (centred**2).sum(1) + STILL**2 * length
        lagged = (centred[:, 1:] * centred[:, :-1]).sum(1) / power
        unit = centred / np.sqrt(power)[:, None]
        upper = np.triu_indices(quantities, 1)
        crossed = np.einsum("ntc,ntd->ncd", unit, unit)[:, upper[0], upper[1]]
        edges = np.linspace(0, length, min(COURSE, length) + 1).round().astype(int)
        course = np.stack([scaled[:, a:b].mean(1) for a, b in itertools.pairwise(edges)], 1).reshape(count, -1)
        return np.concatenate([mean, spread, lagged, crossed, course], 1).astype(np.float32)

    def aligned(self, values: np.ndarray, spec: SeriesSpec, other: SeriesSpec) -> tuple[np.ndarray, SeriesSpec, list[str]]:
        """The quantities of `other` in its order, in file units; see `facets.Aligned`."""
        lacking, more = (
            [name for name in a if name not in b] for a, b in ((other.names, spec.names), (spec.names, other.names))
        )
        if lacking or more:
            told = [f"lack '{lacking[0]}'"] if lacking else []
            told += [f"have '{more[0]}', which the real data has not"] if more else []
            raise GanvasError(f"the samples {' and '.join(told)}: both sides need the quantities {', '.join(other.names)}")
        notes = []
        if spec.step and other.step and not 0.9 < spec.step / other.step < 1.1:
            notes.append(f"the samples have a row every {spec.step:g} s, the real data one every {other.step:g} s")
        return np.asarray(values)[:, :, [spec.names.index(name) for name in other.names]], other, notes

    changes = "an earlier or later start of up to an eighth of the window, other levels and scales"
    twin, reach = 0.99, 0.4

    def prints(self, values: np.ndarray, spec: SeriesSpec, changed: bool = False) -> np.ndarray:
        """See `recognition.marks`: the course of each quantity, at several starts."""
        return marks(values, np.asarray(spec.scale), STILL, changed)

    def likeness(self, first: np.ndarray, second: np.ndarray, spec: SeriesSpec) -> np.ndarray:
        """The correlation of the courses at the best shift."""
        return correlation(first, second, np.asarray(spec.scale), STILL)

    def properties(self, records: np.ndarray, spec: SeriesSpec) -> dict[str, np.ndarray]:
        """spread: the standard deviation over the window, the mean of all scaled quantities. By its own name, the mean of each
        quantity over the window."""
        spread = (records.std(axis=1) / np.asarray(spec.scale)).mean(axis=1)
        return {"spread": spread, **{name: records[..., k].mean(axis=1) for k, name in enumerate(spec.names)}}

    pair_measure = "relative_error"

    def paired(self, made: np.ndarray, true: np.ndarray, spec: SeriesSpec, barred: tuple[str, ...]) -> Pairs:
        """The root mean square of the error, each quantity in its own scale (about half the range of the training data)."""
        errors = (made.astype(np.float64) - true) / np.asarray(spec.scale)
        return {"relative_error": (np.sqrt(np.square(errors).mean(axis=(1, 2))), "rmse/quantities in their scale")}

    def describe(self, spec: SeriesSpec) -> str:
        pace = "" if spec.step is None else f", one each {spec.step:g} s"
        what = "1 quantity" if len(spec.names) == 1 else f"{len(spec.names)} quantities"
        return f"series of {spec.length} steps of {what}{pace}"

    def example(self, size: int, channels: int, classes: tuple[str, ...] = ()) -> SeriesSpec:
        return SeriesSpec(size, tuple(f"q{i}" for i in range(channels)), (0.0,) * channels, (1.0,) * channels, classes=classes)


# What `fill` works out


def _read(listing: Listing, progress: bool, strict: bool) -> tuple[list[tuple[int, list[Table]]], list[tuple[str, str]]]:
    """[(place in the listing, its series)], and (name, reason) of files that cannot be read."""
    from ...store.progress import bar

    files: list[tuple[int, list[Table]]] = []
    skipped: list[tuple[str, str]] = []
    with bar("reading", listing.files, progress) as advance:
        for place, path in enumerate(listing.files):
            try:
                files.append((place, read_tables(path)))
            except DataError as error:
                if strict or len(listing.files) == 1:
                    raise
                skipped.append((listing.names[place], str(error)))
            advance()
    if not files:
        raise DataError(f"{listing.source}: none of {len(listing.files)} files could be read: {skipped[0][1]}")
    names = files[0][1][0].names
    arranged = [(place, [table.arranged(names, listing.files[place]) for table in own]) for place, own in files]
    listing.notes += [f"skipped {reason}" for _, reason in skipped[:20]]
    if len(skipped) > 20:
        listing.notes.append(f"skipped {len(skipped) - 20} more unreadable files")
    return arranged, skipped


def _length(tables: list[Table], size: Any, source: Path) -> int:
    """Steps of a window: as asked for, else 60, or the longest stretch when that is shorter.

    Windows of an array, and series that are all equally short, are taken whole: they have been cut already.
    """
    if size is not None:
        if not str(size).isdigit() or int(size) < LEAST:
            raise GanvasError(f"--size of series is the number of steps of a window, at least {LEAST}, as in --size {LENGTH}")
        return int(size)
    longest = max((b - a for table in tables for a, b in table.stretches()), default=0)
    if longest < LEAST:
        raise DataError(f"{source}: no {LEAST} steps in a row without a missing value or a jump in time: nothing to learn from")
    whole = {len(table.values) for table in tables}
    cut = len(whole) == 1 and longest in whole and (tables[0].window or (len(tables) > 1 and longest <= SHORT))
    return longest if cut else min(LENGTH, longest)


def _told(files: list[tuple[int, list[Table]]], listing: Listing) -> list[str]:
    """Notes on what was read: what was counted in all series together, and the rest with the files it is true of."""
    from ...store.listing import some

    told: dict[str, list[str]] = {}
    totals: dict[str, list[int]] = {}
    for place, own in files:
        for table in own:
            for note in table.notes:
                told.setdefault(note, []).append(listing.names[place])
            for what, count in table.counts.items():
                totals.setdefault(what, []).append(count)
    lines = [f"{sum(c)} {what} (in {np.count_nonzero(c)} of {len(c)} series)" for what, c in totals.items() if sum(c)]
    return lines + [f"{note} ({some(names)})" for note, names in told.items()]


def _alone(files: list[tuple[int, list[Table]]], listing: Listing) -> set[int]:
    """Places of files that are the only one of their class, and of which no table says on which side they are."""
    counts: dict[str | None, int] = {}
    for place, _ in files:
        counts[listing.labels[place]] = counts.get(listing.labels[place], 0) + 1
    return {
        place
        for place, _ in files
        if counts[listing.labels[place]] == 1 and listing.groups[place] is None and listing.heldout[place] is None
    }


def _blocks(rows: int, length: int) -> list[tuple[int, int]]:
    """(first row, row behind the last) of blocks with `length` rows between; one block when they would be short."""
    count = min(BLOCKS, rows // (4 * length))
    if count < 2:
        return [(0, rows)]
    edges = np.linspace(0, rows, count + 1).astype(int)
    return [(int(a), int(b) - (length if k < count - 1 else 0)) for k, (a, b) in enumerate(itertools.pairwise(edges))]


def _marked(table: Table, start: int, length: int) -> int:
    """1 for a window with a step that is marked as anomalous, 0 for one without, -1 when nothing is marked in the file."""
    truth = table.truth.get("anomaly", table.truth.get("label"))
    return -1 if truth is None else int((truth[start : start + length] > 0).any())


def _labels(places: list[int], bad: list[int], listing: Listing, notes: list[str]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Class indices of windows: of the file's class, else normal and anomalous where all files mark their steps."""
    from ...store.listing import class_indices

    names = [listing.labels[place] for place in places]
    if all(name is None for name in names):
        if 1 in bad and -1 in bad:
            notes.append("no labels: only some of the files have a column 'anomaly' or 'label'")
        elif len(set(bad)) == 2:
            notes.append("labels from the column 'anomaly' or 'label': a window with a marked step is anomalous")
            return np.array(bad, np.int64), ("normal", "anomalous")
        return None, ()
    return class_indices(names, listing.source, "series", notes)


def _common_step(tables: list[Table], notes: list[str]) -> float | None:
    """Seconds between rows, when all series have nearly the same; None, with a note, when they differ."""
    steps = np.array([table.step for table in tables if table.step])
    if len(steps) < len(tables):
        return None
    if steps.max() > 1.01 * steps.min():
        notes.append(f"the usual step differs between series ({steps.min():g} to {steps.max():g} s): windows mean other times")
        return None
    return float(np.median(steps))


KIND = SeriesKind()
