"""Reading and writing tunes: MIDI files with a melody and chords on parts of their own, and chords as text.

A lead sheet in text: names between blanks, a bar each, as in `C Am F G`. Where bars are drawn (`| C Am | F |`) the chords
between two lines share the bar; `%` repeats. Lines that begin with `;` are remarks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...store.cells import decoded
from ...store.guard import named
from ...store.midi import LONGEST, Note, Score, encode_score, melody_of, read_score, steps_of
from . import chords
from .spec import CHORDS, FIRST, HOLD, MELODY, REST, TuneSpec

CHORD_NAMES = ("chord", "harmon", "accomp")  # of tracks; else chords are where most notes come in threes
TOGETHER = 3  # notes at once that are a chord
USUALLY = 0.5  # share of a part's moments that must be chords
GAP = 4.0  # beats without a note through which a chord goes on
BARS = 1000  # most that a lead sheet may ask for
SYNTHETIC = "SYNTHETIC: made by a generative model"


@dataclass
class Sheet:
    """A file. melody: notes, none where the file has chords alone. harmony: (from which beat on, chord). odd: chords that are
    taken as the nearest known one."""

    score: Score
    melody: list[Note]
    harmony: list[tuple[float, int]]
    odd: int


def read_sheet(path: Path) -> Sheet:
    """A MIDI file. Raises DataError in one line for one without notes, of drums alone, or without chords; MissingExtra."""
    score = read_score(path)
    place = _chord_part(score)
    if place is None:
        raise DataError(
            f"{named(path)}: no chords: none of its parts has {TOGETHER} notes at once most of the time; give the chords a "
            "track of their own, beside that of the melody"
        )
    harmony, odd = _harmony(score.parts[place])
    if score.grid is None:  # of broken or short chords; files of ganvas say where there is none
        ends = [beat for beat, _ in harmony[1:]]
        harmony = [
            own for own, end in zip(harmony, [*ends, np.inf], strict=True) if own[1] != chords.NONE or not end - own[0] <= GAP
        ]
    rest = {key: notes for key, notes in score.parts.items() if key != place}
    melody = melody_of(rest, score.names) if rest else []
    if max(note.end for note in (*melody, *score.parts[place])) > LONGEST / 48:
        raise DataError(f"{named(path)}: lasts {score.end:.3g} beats: its times are damaged")
    return Sheet(score, melody, harmony, odd)


def _chord_part(score: Score) -> tuple[int, int] | None:
    """The part that is called so, else the one that most often has several notes at once."""
    called = [key for key in score.parts if any(name in score.names.get(key[0], "") for name in CHORD_NAMES)]
    shares = {key: _together(notes) for key, notes in score.parts.items()}
    able = [key for key in (called or shares) if shares[key] >= USUALLY]
    return max(able, key=lambda key: (shares[key], len(score.parts[key]), -key[0], -key[1])) if able else None


def _together(notes: list[Note]) -> float:
    """The share of moments at which notes begin that are chords."""
    _, counts = np.unique(np.round([note.start for note in notes], 2), return_counts=True)
    return float((counts >= TOGETHER).mean())


def _harmony(notes: list[Note]) -> tuple[list[tuple[float, int]], int]:
    """[(from which beat on, chord)], none where nothing sounds; and how many of them are the nearest known one."""
    moments = np.unique(np.round([time for note in notes for time in (note.start, note.end)], 3))
    found: list[tuple[float, int]] = []
    odd = 0
    ordered = sorted(notes, key=lambda note: note.start)
    sounding: list[Note] = []
    place = 0
    for moment in moments.tolist():
        while place < len(ordered) and ordered[place].start <= moment + 1e-3:
            sounding.append(ordered[place])
            place += 1
        sounding = [note for note in sounding if note.end > moment + 1e-3]
        number, exactly = chords.recognised(note.pitch for note in sounding)
        if not found or found[-1][1] != number:
            odd += not exactly
            found.append((moment, number))
    return found, odd


def codes_of(sheet: Sheet, rate: int, bar: int) -> np.ndarray:
    """(2, T) int32 of whole bars of `bar` steps: the melody's codes and the chord at each step."""
    melody = steps_of(sheet.melody, rate) if sheet.melody else np.full((0, 2), -1, np.int64)
    last = max(len(melody), round(sheet.harmony[-1][0] * rate) if sheet.harmony else 0)
    if sheet.score.grid is not None and sheet.score.grid[0] == rate:
        last = max(last, sheet.score.grid[1])
    length = max(1, -(-last // bar)) * bar
    codes = np.zeros((2, length), np.int32)
    codes[MELODY, : len(melody)] = melody_codes(melody)
    for beat, number in sheet.harmony:
        codes[CHORDS, round(beat * rate) :] = number
    return codes


def melody_codes(steps: np.ndarray) -> np.ndarray:
    """(T,) codes of (T, 2) numbers of notes and their pitches, -1 for none."""
    number, pitch = steps[:, 0], steps[:, 1]
    before = np.concatenate([[-1], number[:-1]])
    return np.where(number < 0, REST, np.where(number == before, HOLD, pitch + FIRST)).astype(np.int32)


def settled(melody: np.ndarray) -> np.ndarray:
    """Melodies (..., T) as they are heard: what holds nothing is silence."""
    melody = np.array(melody)
    silent = np.ones(melody.shape[:-1], bool)
    for step in range(melody.shape[-1]):
        own = melody[..., step]
        silent = (own == REST) | ((own == HOLD) & silent)
        melody[..., step] = np.where(silent, REST, own)
    return melody


def read_text(path: Path, bar: int) -> tuple[np.ndarray, list[str]]:
    """Chords of a text file: (2, T) int32 without a melody, and notes. Raises DataError with the line and the nearest chord."""
    text = decoded(path)
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if not line.lstrip().startswith(";")]
    drawn = any("|" in line for _, line in lines)
    bars: list[list[int]] = []
    notes: dict[str, None] = {}
    for number, line in lines:
        for part in line.replace(":", " ").split("|") if drawn else line.split():
            own: list[int] = []
            for word in part.split() if drawn else [part]:
                if word == "%":
                    before = own or (bars[-1] if bars else [])
                    own += before[-1:] if own or len(part.split()) > 1 else before
                    continue
                try:
                    found, told = chords.parse(word)
                except DataError as error:
                    raise DataError(f"{named(path)}: line {number}: {error}") from None
                own.append(found)
                if told:
                    notes[f"{path.name}: {told}"] = None
            if own:
                bars.append(own)
        if len(bars) > BARS:
            raise DataError(f"{named(path)}: more than {BARS} bars: give fewer")
    if not bars:
        raise DataError(f"{named(path)}: holds no chord: write their names, a bar each, as in  C Am F G")
    if (most := max(map(len, bars))) > bar:
        raise DataError(f"{named(path)}: {most} chords in one bar of {bar} steps: give fewer, or more lines between bars")
    codes = np.zeros((2, len(bars) * bar), np.int32)
    for place, own in enumerate(bars):
        for k, number in enumerate(own):
            codes[CHORDS, place * bar + k * bar // len(own) : (place + 1) * bar] = number
    return codes, list(notes)


def encode_tune(record: np.ndarray, spec: TuneSpec, note: Mapping[str, str]) -> bytes:
    """A MIDI file of two tracks, melody and chords. record: (2, T)."""
    mark = "; ".join([SYNTHETIC, *(f"{key} {value}" for key, value in note.items())])
    melody: list[Note] = []
    for step, code in enumerate(settled(record[MELODY]).tolist()):
        if code >= FIRST:
            melody.append(Note(step, step + 1, code - FIRST))
        elif code == HOLD:
            melody[-1].end = step + 1
    harmony: list[Note] = []
    for start, end, number in stretches(record[CHORDS]):
        harmony += [Note(start, end, pitch) for pitch in chords.pitches_of(number)]
    tracks = [("melody, SYNTHETIC", 0, melody), ("chords, SYNTHETIC", 1, harmony)]
    return encode_score(tracks, record.shape[1], spec.rate, spec.tempo, mark, spec.meter)


def stretches(row: np.ndarray) -> list[tuple[int, int, int]]:
    """[(from, to, what)] of a row of numbers, where they do not change."""
    row = np.asarray(row)
    starts: Sequence[int] = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist()]
    return [(a, b, int(row[a])) for a, b in zip(starts, [*starts[1:], len(row)], strict=True)]
