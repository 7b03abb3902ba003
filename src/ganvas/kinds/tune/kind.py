"""Tunes: melodies over chords, in bars, from MIDI files that have both on parts of their own.

Records are (N, 2, steps) int32: what the melody does at each step (`spec`), and which chord there is (`chords`). Not for
melodies without chords, which are sequences of symbols (`kinds.tokens`), nor for several voices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError
from ...store.listing import Listing, class_indices, counted
from ...store.midi import grid_of, on_grid
from .. import Kind, KindSays
from ..facets import Piece
from . import chords
from .files import Sheet, codes_of, encode_tune, read_sheet, read_text
from .measures import features, measures
from .spec import CHORDS, FIRST, LEAST, MELODY, MOST, TuneSpec, meter_told, steps_of_bar

if TYPE_CHECKING:
    from torch import Tensor

    from ...metrics.measure import Measure
    from ...store.cache import Writer
    from ..facets import Side

BARS = 8  # of a record, where nobody says
TEXTS = (".txt",)
LOOKED_INTO = 5  # files, where nobody says what they are


def _is_a_tune(path: Path) -> bool:
    try:
        return bool(read_sheet(path).melody)
    except GanvasError:  # other MIDI, damaged, or nothing there to read it with
        return False


class TuneKind(Kind):
    name = "tune"
    spec = TuneSpec
    suffixes = (".mid", ".midi", ".txt")
    lent = (".mid", ".midi", ".txt")
    formats = ("mid",)
    format_aliases = {"midi": "mid"}
    says = KindSays(
        noun="tunes",
        features="notes+chords",
        limit="Melodies follow what was usual over such chords in the data, in its meter alone, and may repeat passages of it.",
        phantom="tunes",
        shown=8,
        discrete=True,
        example_size=8,
        small=(2, 1),
        others=((3, 1),),
        overlooks="copies in another key or at another pace, and passages that begin in the middle of a training record",
        options={"size": "bars of a record", "rate": "steps a quarter note; default: what their notes need"},
    )

    # Reading

    def claims(self, own: Sequence[Path]) -> bool:
        """Whether most of the first MIDI files have a melody and chords, on parts of their own; see `facets.Claims`."""
        paths = [path for path in own if path.suffix.lower() not in TEXTS][:LOOKED_INTO]
        return 2 * sum(_is_a_tune(path) for path in paths) > len(paths)

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """See `Kind.fill`. The most common meter counts; each tune gives consecutive pieces of `size` bars, in one group."""
        from ...store.entry import NOTED, conclude

        sheets, skipped = _read(listing, progress, strict)
        notes = [*listing.notes, *(f"skipped {reason}" for _, reason in skipped[:NOTED])]
        if len(skipped) > NOTED:
            notes.append(f"skipped {len(skipped) - NOTED} more files that could not be read")
        sheets, meter = _of_one_meter(sheets, notes)
        rate = _rate(settings.get("rate"), [sheet for _, sheet in sheets], meter, notes)
        bar = steps_of_bar(meter, rate)
        tunes = [(place, _begun(codes_of(sheet, rate, bar), bar, sheet)) for place, sheet in sheets]
        size = _size(settings.get("size"), max(tune.shape[1] // bar for _, tune in tunes))
        places: list[int] = []
        short = silent = 0
        for place, tune in tunes:
            count = tune.shape[1] // (size * bar)
            short += not count
            for piece in np.split(tune[:, : count * size * bar], max(1, count), axis=1)[:count]:
                if (piece[MELODY] >= FIRST).any():
                    writer.row(piece)
                    places.append(place)
                else:
                    silent += 1
        if not places:
            raise DataError(f"{listing.source}: no tune has {counted(size, 'bar')} with a melody: give a shorter --size")
        notes.append(
            f"{counted(len(tunes), 'tune')} in {meter_told(meter)} cut into {len(places)} pieces of {counted(size, 'bar')}"
        )
        if short:
            notes.append(f"{counted(short, 'tune')} of fewer bars left out (--size takes less)")
        if silent:
            notes.append(f"{counted(silent, 'piece')} without a melody left out")
        odd = sum(sheet.odd for _, sheet in sheets)
        if odd:
            notes.append(f"{counted(odd, 'chord')} taken as the nearest known one")
        rows = writer.rows()
        sung = rows[:, MELODY][rows[:, MELODY] >= FIRST] - FIRST
        numbers, classes = class_indices([listing.labels[p] for p in places], listing.source, self.says.noun, notes)
        tempo = float(np.median([sheet.score.tempo[0] for _, sheet in sheets]))
        spec = TuneSpec(size, rate, meter, tempo, int(sung.min()), int(sung.max()), classes)
        sides = np.array([-1 if listing.heldout[p] is None else int(bool(listing.heldout[p])) for p in places], np.int8)
        writer.facts["skipped"] = skipped
        split = sides if (sides >= 0).any() else None
        conclude(writer, spec, numbers, _groups(listing, places, rows, notes), split, notes, [listing.names[p] for p in places])

    def read(self, path: Path, spec: TuneSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """Chords as text, or a MIDI file with chords, of any number of bars; see `facets.Reads`."""
        notes: list[str] = []
        tempo = spec.tempo
        if path.suffix.lower() in TEXTS:
            codes, notes = read_text(path, spec.steps)
        else:
            sheet = read_sheet(path)
            meter = sheet.score.meter[0]
            if meter != spec.meter:
                told = f"{path}: its bars are of {meter_told(meter)}, the run learnt {meter_told(spec.meter)}"
                raise DataError(f"{told}: give chords in that meter, or their names as text, a bar each")
            codes, tempo = codes_of(sheet, spec.rate, spec.steps), sheet.score.tempo[0]
            if sheet.odd:
                notes.append(f"{path.name}: {counted(sheet.odd, 'chord')} taken as the nearest known one")
        if settings.get("fit") is not None:
            codes = codes[:, : spec.shape[1]]
            codes = np.pad(codes, ((0, 0), (0, spec.shape[1] - codes.shape[1])))
        yield Piece(codes[None], replace(spec, bars=codes.shape[1] // spec.steps, tempo=tempo), tuple(notes))

    def encode(self, values: np.ndarray, spec: TuneSpec, device: Any) -> Tensor:
        """(N, 2, steps) int64."""
        import torch

        return torch.from_numpy(np.asarray(values).astype(np.int64)).to(device, non_blocking=True)

    def decode(self, tensor: Tensor, spec: TuneSpec) -> np.ndarray:
        """(N, 2, steps) int32; numbers may have passed through floats."""
        found: np.ndarray = tensor.detach().cpu().round().numpy().astype(np.int32)
        return found

    # Writing

    spread = 1

    def write(
        self, records: np.ndarray, spec: TuneSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """A MIDI file of two tracks a tune."""
        digits = max(4, len(str(len(records))))
        paths = [folder / f"sample-{number:0{digits}d}.mid" for number in range(1, len(records) + 1)]
        return _written(list(records), [spec] * len(records), paths, depth, note)

    def format_like(self, path: Path) -> str:
        """MIDI, of text too."""
        return "mid"

    def resized(self, spec: TuneSpec, shape: tuple[int, ...], like: TuneSpec | None, scale: int) -> TuneSpec:
        """Of as many bars."""
        return replace(spec, bars=shape[1] // spec.steps)

    def write_like(
        self, pieces: Sequence[Piece], stem: Path, source: Path | None, *, format: str, depth: int | None,
        settings: Mapping[str, Any], scale: int, note: Mapping[str, str],
    ) -> list[Path]:  # fmt: skip
        """One file, or one a record, at the tempo of what it was made of."""
        tunes = [(record, piece.spec) for piece in pieces for record in piece.records]
        many = len(tunes) > 1
        paths = [stem.with_name(f"{stem.name}-{k:04d}.mid" if many else f"{stem.name}.mid") for k in range(1, len(tunes) + 1)]
        return _written([record for record, _ in tunes], [spec for _, spec in tunes], paths, depth, note)

    def picture(self, records: np.ndarray, spec: TuneSpec) -> np.ndarray:
        """Piano rolls, the notes of the chords behind the melody."""
        from .pictures import draw_tunes

        return draw_tunes(records[: self.says.shown], spec)

    # Judging

    def vectors(self, values: np.ndarray, spec: TuneSpec) -> np.ndarray:
        """See `measures.features`."""
        return features(values, spec)

    def measures(self, made: Side, train: Side, heldout: Side, seed: int) -> dict[str, Measure]:
        """See `measures.measures`."""
        return measures(made, train, heldout, seed)

    def aligned(self, values: np.ndarray, spec: TuneSpec, other: TuneSpec) -> tuple[np.ndarray, TuneSpec, list[str]]:
        """As they are: numbers mean the same in every spec. Raises GanvasError for other bars; see `facets.Aligned`."""
        if spec.steps != other.steps:
            told = (f"{counted(own.steps, 'step')} a bar ({meter_told(own.meter)})" for own in (spec, other))
            raise GanvasError(f"the samples have {next(told)}, the real data {next(told)}: give both the same meter and --rate")
        return np.asarray(values), replace(spec, low=other.low, high=other.high, classes=other.classes), []

    def describe(self, spec: TuneSpec) -> str:
        return f"tunes of {counted(spec.bars, 'bar')} in {meter_told(spec.meter)}, {spec.steps} steps each, with chords"

    def blank(self, spec: TuneSpec, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        values = np.zeros((count, *spec.shape), np.int32)
        if rng is not None:
            values[:, MELODY] = rng.choice([0, 1, *range(spec.low + FIRST, spec.high + FIRST + 1)], values[:, MELODY].shape)
            values[:, CHORDS] = np.repeat(rng.integers(0, chords.COUNT, (count, spec.bars)), spec.steps, axis=1)
        return values

    def example(self, size: int, channels: int, classes: tuple[str, ...] = ()) -> TuneSpec:
        return TuneSpec(size, classes=classes)


def _written(
    records: Sequence[np.ndarray], specs: Sequence[TuneSpec], paths: list[Path], depth: int | None, note: Mapping[str, str]
) -> list[Path]:  # fmt: skip
    from ...files import disk_errors, write_atomically

    if depth is not None:
        raise GanvasError("--depth means nothing to tunes: leave it out")
    for record, spec, path in zip(records, specs, paths, strict=True):
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, encode_tune(record, spec, note))
    return paths


# What `fill` works out


def _read(listing: Listing, progress: bool, strict: bool) -> tuple[list[tuple[int, Sheet]], list[tuple[str, str]]]:
    """[(place in the listing, what it holds)], and (name, reason) of files that cannot be read."""
    from ...store.progress import bar

    sheets: list[tuple[int, Sheet]] = []
    skipped: list[tuple[str, str]] = []
    with bar("reading", listing.files, progress) as advance:
        for place, path in enumerate(listing.files):
            try:
                if path.suffix.lower() in TEXTS:
                    raise DataError(f"{path}: a text has chords and no melody to learn: give MIDI files with both")
                sheet = read_sheet(path)
                if not sheet.melody:
                    raise DataError(f"{path}: chords without a melody: nothing to learn from")
                sheets.append((place, sheet))
            except DataError as error:
                if strict or len(listing.files) == 1:
                    raise
                skipped.append((listing.names[place], str(error)))
            advance()
    if not sheets:
        raise DataError(f"{listing.source}: none of {len(listing.files)} files could be read: {skipped[0][1]}")
    return sheets, skipped


def _of_one_meter(
    sheets: list[tuple[int, Sheet]], notes: list[str]
) -> tuple[list[tuple[int, Sheet]], tuple[int, int]]:  # fmt: skip
    """The tunes in the most common meter, and it; those that change it, or have another, are told and left out."""
    changing = sum(sheet.score.meter[1] > 1 for _, sheet in sheets)
    kept = [own for own in sheets if own[1].score.meter[1] == 1] or sheets
    counts = Counter(sheet.score.meter[0] for _, sheet in kept)
    meter = max(counts, key=lambda own: (counts[own], own))
    others = {own: count for own, count in counts.items() if own != meter}
    if changing and len(kept) < len(sheets):
        notes.append(f"{counted(changing, 'tune')} that change the meter left out")
    if others:
        told = ", ".join(f"{meter_told(own)} ({count})" for own, count in sorted(others.items(), key=lambda item: -item[1]))
        count = counted(sum(others.values()), "tune")
        notes.append(f"{count} in other meters left out ({told}): give them a folder of their own")
    return [own for own in kept if own[1].score.meter[0] == meter], meter


def _rate(asked: int | None, sheets: Sequence[Sheet], meter: tuple[int, int], notes: list[str]) -> int:
    """Steps a quarter note: as asked for, as the files of ganvas say, or what their notes need."""
    if asked is not None and not 1 <= asked <= 48:
        raise GanvasError(f"--rate {asked} is out of range for tunes: steps a quarter note, 1 to 48")
    grids = {sheet.score.grid[0] if sheet.score.grid else None for sheet in sheets}
    known = next(iter(grids)) if len(grids) == 1 else None
    rate = asked or known or grid_of([sheet.melody for sheet in sheets])[0]
    try:
        steps_of_bar(meter, rate)
    except ValueError:
        if asked is not None:
            raise GanvasError(
                f"--rate {asked}: a bar of {meter_told(meter)} ends between two steps: give {2 * asked}"
            ) from None
        rate = rate * meter[1] // 4
    share = on_grid(np.concatenate([[note.start for note in sheet.melody] for sheet in sheets]), rate)
    notes.append(
        f"{rate} steps a quarter note; {1 - share:.1%} of the notes begin between steps and were moved (--rate takes more)"
    )
    return rate


def _begun(codes: np.ndarray, bar: int, sheet: Sheet) -> np.ndarray:
    """A tune from its first full bar on: a bar of upbeat, mostly silent and without a chord at its beginning, would put phrases
    across records."""
    upbeat = codes[:, :bar]
    leads = sheet.score.grid is None and (upbeat[MELODY, : bar // 2] < FIRST).all() and upbeat[CHORDS, 0] == chords.NONE
    return codes[:, bar:] if leads and codes.shape[1] > bar else codes


def _size(asked: Any, longest: int) -> int:
    """Bars of a record."""
    if asked is None:
        return min(BARS, longest)
    if not str(asked).isdigit() or not LEAST <= int(asked) <= MOST:
        raise GanvasError(f"--size {asked}: of tunes it is the number of bars, {LEAST} to {MOST}, as in --size 8")
    return int(asked)


def _groups(listing: Listing, places: Sequence[int], rows: np.ndarray, notes: list[str]) -> np.ndarray:
    """Group numbers (N,): the tune, or what `groups.csv` says; equal melodies are joined always. Of a lone tune, its pieces."""
    from ...store.splits import join

    alone = len(set(places)) == 1
    if alone and len(places) > 1:
        notes.append("one tune: the held-out part is a stretch of it, so it is not independent")
    keys: list[Any] = list(range(len(places))) if alone else [
        ("file", place) if listing.groups[place] is None else ("group", listing.groups[place]) for place in places
    ]  # fmt: skip
    parent = np.arange(len(places), dtype=np.int64)
    for column in (keys, [row[MELODY].tobytes() for row in rows]):
        first: dict[Any, int] = {}
        pairs = [(first.setdefault(key, i), i) for i, key in enumerate(column)]
        join(parent, *np.array(pairs, np.int64).T)
    return parent


KIND = TuneKind()
