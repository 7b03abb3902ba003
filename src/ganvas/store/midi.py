"""Reading and writing MIDI: the notes of a file by parts, its tempos, meters and grid; and notes to a file again.

Which part is the melody, and what stands on which step, is found here too. What the notes become is up to the kinds of data.
"""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import DataError, MissingExtra
from .cells import decoded
from .guard import guard, named

MELODY_NAMES = ("melody", "lead", "vocal", "voice")  # of tracks; else the highest part is the melody
GRID_LEAST = 0.25  # beats that a note without an end lasts at least
GRIDS = (1, 2, 3, 4, 6, 8, 12)  # steps a beat that are tried, and the share of notes that must begin on a step
ON_GRID = 0.95
OFF = 0.06  # of a beat, by which a note may be early or late and still be on the grid
LONGEST = 10**6  # steps of a melody; more lies in damaged times only
DRUMS = 9  # the channel that General MIDI keeps for them
USUAL_TEMPO = 120.0  # beats a minute, where a file says nothing
USUAL_METER = (4, 4)
GRID_TEXT = re.compile(r"grid: (\d+) steps a beat, (\d+) steps")


NOTE_NAME = re.compile(r"([A-Ga-g])([#♯b♭]?)(-?\d{1,2})")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_BENT = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}


def note_number(text: str) -> int | None:
    """`C4`, `F#3`, `Bb5` or `60` -> the MIDI number, 60 for C4 (middle C); None for what is no note."""
    text = text.strip()
    if found := NOTE_NAME.fullmatch(text):
        return 12 * (int(found[3]) + 1) + _STEPS[found[1].upper()] + _BENT[found[2]]
    return int(float(text)) if re.fullmatch(r"-?\d+(\.0*)?", text) else None


def note_name(number: int) -> str:
    """60 -> `C4`."""
    return f"{('C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B')[number % 12]}{number // 12 - 1}"


@dataclass
class Note:
    """start, end: in beats. pitch: 0 to 127, 60 is middle C. velocity: how hard it is struck, 1 to 127."""

    start: float
    end: float
    pitch: int
    velocity: int = 90


@dataclass
class Score:
    """What a MIDI file holds.

    parts: (track, channel) -> notes. names: track -> its name, lower case. tempos: (from which beat on, beats a minute).
    meters: (from which beat on, number of beats in a bar, what a beat is, 4 for quarters). grid: (steps a beat, steps) that a
    file of ganvas was written with. end: the last beat. unended: notes whose end the file does not say.
    """

    parts: dict[tuple[int, int], list[Note]]
    names: dict[int, str] = field(default_factory=dict)
    tempos: list[tuple[float, float]] = field(default_factory=list)
    meters: list[tuple[float, int, int]] = field(default_factory=list)
    grid: tuple[int, int] | None = None
    end: float = 0.0
    unended: int = 0

    @property
    def tempo(self) -> tuple[float, int]:
        """(beats a minute that last longest, how many tempos there are)."""
        lasting = _tempos(self.tempos, self.end)
        return max(lasting, key=lambda own: lasting[own]), len(lasting)

    def seconds(self, beat: float) -> float:
        """When a beat is played."""
        ordered = sorted([(0.0, USUAL_TEMPO), *self.tempos], key=lambda own: own[0])
        passed = 0.0
        for (start, tempo), until in zip(ordered, [*(own[0] for own in ordered[1:]), math.inf], strict=True):
            passed += 60 * max(0.0, min(beat, until) - start) / tempo
        return passed

    @property
    def meter(self) -> tuple[tuple[int, int], int]:
        """((beats in a bar, what a beat is) of the meter that lasts longest, how many there are). 2/2 is told as 4/4."""
        ordered = sorted([(0.0, *USUAL_METER), *self.meters], key=lambda own: own[0])
        lasting: dict[tuple[int, int], float] = {}
        for (beat, *meter), until in zip(
            ordered, [*(own[0] for own in ordered[1:]), max(self.end, ordered[-1][0])], strict=True
        ):
            own = (4, 4) if tuple(meter) == (2, 2) else (meter[0], meter[1])
            if until > beat:
                lasting[own] = lasting.get(own, 0.0) + until - beat
        return max(lasting or {USUAL_METER: 0.0}, key=lambda own: lasting.get(own, 0.0)), max(1, len(lasting))


def read_score(path: Path) -> Score:
    """The parts of a file, drums left out. Raises DataError in one line, also where nothing is left; MissingExtra."""
    try:
        import mido
    except ImportError as error:
        raise MissingExtra("mido", "tokens") from error
    with guard(path, "MIDI"):
        if path.stat().st_size > 50_000_000:
            raise DataError(f"{named(path)}: more than 50 MB of MIDI: take it out")
        opened = mido.MidiFile(file=io.BytesIO(_tracks_alone(path, path.read_bytes())))
        if opened.type == 2:
            raise DataError(f"{named(path)}: a MIDI file of type 2 (pieces without a common time): save it as type 0 or 1")
        if not 0 < opened.ticks_per_beat < 2**15:
            raise DataError(f"{named(path)}: its times are no beats (SMPTE): save it with ticks a beat")
        score = Score({})
        parts, drums = score.parts, False
        for number, track in enumerate(opened.tracks):
            place = 0
            open_notes: dict[tuple[int, int], float] = {}
            begun: dict[int, list[float]] = {}
            lost: list[tuple[int, int, float]] = []
            struck: dict[tuple[int, int, float], int] = {}  # (channel, pitch, beginning) -> velocity
            again: set[tuple[int, int]] = set()  # begun anew at this moment while the same note was sounding
            beat = 0.0
            for message in track:
                place += message.time
                if message.time:
                    again.clear()
                beat = place / opened.ticks_per_beat
                if message.type == "track_name":
                    score.names[number] = message.name.lower()
                elif message.type == "set_tempo" and message.tempo:
                    score.tempos.append((beat, 6e7 / message.tempo))
                elif message.type == "time_signature" and message.numerator:
                    score.meters.append((beat, message.numerator, message.denominator))
                elif message.type == "text" and (found := GRID_TEXT.search(message.text)):
                    score.grid = int(found[1]), int(found[2])
                elif message.type in ("note_on", "note_off") and message.channel == DRUMS:
                    drums = True
                elif message.type in ("note_on", "note_off"):
                    key = message.channel, message.note
                    begins = message.type == "note_on" and message.velocity > 0
                    if begins and key in open_notes:  # begins again without an end
                        if open_notes[key] < beat:
                            again.add(key)
                        lost.append((*key, open_notes.pop(key)))
                    elif (
                        not begins and key in again
                    ):  # the end of the note before, which stands behind the next one's beginning
                        again.discard(key)
                        begin = lost.pop(max(k for k, own in enumerate(lost) if own[:2] == key))[2]
                        parts.setdefault((number, message.channel), []).append(
                            Note(begin, beat, message.note, struck[*key, begin])
                        )
                    elif not begins and key in open_notes:
                        begin = open_notes.pop(key)
                        if begin < beat:
                            parts.setdefault((number, message.channel), []).append(
                                Note(begin, beat, message.note, struck[*key, begin])
                            )
                        else:  # a note of no length sounds all the same
                            lost.append((*key, begin))
                    if begins:
                        open_notes[key] = beat
                        struck[*key, beat] = message.velocity
                        begun.setdefault(message.channel, []).append(beat)
            score.end = max(score.end, beat)
            lost += [(*key, begin) for key, begin in open_notes.items()]
            score.unended += len(lost)
            for channel, pitch, begin in lost:
                # It stops where the next note begins; the last lasts as long as is usual, at most to the track's end.
                following = [start for start in begun[channel] if start > begin]
                own = parts.setdefault((number, channel), [])
                usual = float(np.median(np.diff(sorted(set(begun[channel]))))) if len(set(begun[channel])) > 1 else 1.0
                last = min(begin + usual, max(beat, begin + GRID_LEAST))
                own.append(Note(begin, min(following) if following else last, pitch, struck[channel, pitch, begin]))
    if not parts:
        raise DataError(f"{named(path)}: {'no notes but drums' if drums else 'holds no notes'}: take it out")
    if score.grid is not None and not (1 <= score.grid[0] <= 960 and 1 <= score.grid[1] <= LONGEST):
        score.grid = None
    return score


def read_notes(path: Path) -> Score:
    """Notes of a text file, one part: `C4 E4:2 - G4+B4+D5:0.5`, each a beat or as many as stand behind a colon, `+` together,
    `-` for silence; a word `tempo=90` says how many beats a minute. Lines that begin with `;` are remarks. Raises DataError."""
    score, beat = Score({}, {0: path.stem.lower()}), 0.0
    notes: list[Note] = []
    for number, line in enumerate(decoded(path).splitlines(), start=1):
        for word in line.split() if not line.lstrip().startswith(";") else ():
            name, _, length = word.partition(":")
            try:
                if name.startswith("tempo="):
                    score.tempos.append((beat, 6e7 / max(1.0, 6e7 / float(name[6:]))))
                    continue
                beats = float(length or 1)
            except (ValueError, ZeroDivisionError):
                beats = math.nan
            pitches = [] if name == "-" else [note_number(own) for own in name.split("+")]
            if not 0 < beats <= LONGEST or any(pitch is None or not 0 <= pitch <= 127 for pitch in pitches):
                raise DataError(f"{named(path)}: line {number}: '{word}' is no note: write them as in  C4 E4:2 - G4+B4+D5:0.5")
            notes += [Note(beat, beat + beats, pitch) for pitch in pitches if pitch is not None]
            beat += beats
    if not notes:
        raise DataError(f"{named(path)}: holds no note: write their names, as in  C4 E4:2 - G4+B4+D5:0.5")
    score.parts[0, 0], score.end = notes, beat
    return score


def _tempos(changes: list[tuple[float, float]], end: float) -> dict[float, float]:
    """Beats a minute -> seconds in all. changes: (from which beat on, beats a minute), before it the usual. end: last beat."""
    ordered = sorted([(0.0, USUAL_TEMPO), *changes], key=lambda own: own[0])
    lasting: dict[float, float] = {}
    for (beat, tempo), until in zip(ordered, [*(own[0] for own in ordered[1:]), end], strict=True):
        if until > beat:
            lasting[tempo] = lasting.get(tempo, 0.0) + 60 * (until - beat) / tempo
    return lasting or {ordered[-1][1]: 0.0}


def _tracks_alone(path: Path, data: bytes) -> bytes:
    """A MIDI file of its header and its tracks. Chunks of other kinds are passed over, as the standard asks for, and the frame
    of RIFF files is taken off. Raises DataError where more or fewer tracks are there than the header says."""
    if data[:4] == b"RIFF" and data[8:12] == b"RMID" and (start := data.find(b"MThd", 12, 64)) > 0:
        data = data[start:]
    if data[:4] != b"MThd" or len(data) < 14:
        return data  # mido says what is wrong
    length, _, declared, _ = struct.unpack(">IHHH", data[4:14])
    place, found, kept = 8 + length, 0, [data[: 8 + length]]
    while place + 8 <= len(data) and data[place : place + 4].isalnum():
        (size,) = struct.unpack(">I", data[place + 4 : place + 8])
        if data[place : place + 4] == b"MTrk":
            found += 1
            kept.append(data[place : place + 8 + size])
        place += 8 + size
    if found != declared:
        raise DataError(f"{named(path)}: its header says {declared} tracks, and {found} are there: copy or save it again")
    return b"".join(kept)


def melody_of(parts: dict[tuple[int, int], list[Note]], names: dict[int, str]) -> list[Note]:
    """The part whose track is called so, else the highest of those that sound a quarter as long as the longest."""
    called = {key: own for key, own in parts.items() if any(name in names.get(key[0], "") for name in MELODY_NAMES)}
    lasting = {key: sum(note.end - note.start for note in own) for key, own in (called or parts).items()}
    enough = [key for key in lasting if 4 * lasting[key] >= max(lasting.values())]
    best = max(enough, key=lambda key: (np.mean([note.pitch for note in parts[key]]), -key[0], -key[1]))
    return sorted(parts[best], key=lambda note: (note.start, note.pitch))


def grid_of(melodies: Sequence[list[Note]]) -> tuple[int, float]:
    """(steps a beat, share of notes that begin on one): the coarsest grid that 95 % of the notes keep to."""
    starts = np.concatenate([[note.start for note in notes] for notes in melodies])
    shares = {rate: on_grid(starts, rate) for rate in GRIDS}
    rate = next((rate for rate in GRIDS if shares[rate] >= ON_GRID), max(GRIDS, key=lambda r: (shares[r], -r)))
    return rate, shares[rate]


def on_grid(starts: np.ndarray, rate: int) -> float:
    """The share of starts (beats) that are near a step."""
    return float((np.abs(starts - np.round(starts * rate) / rate) <= min(OFF, 0.25 / rate)).mean())


def steps_of(notes: list[Note], rate: int) -> np.ndarray:
    """(T, 2) int64: the number of the note that sounds at each step, the highest of several, and its pitch; -1 for none."""
    places = [(round(n.start * rate), round(n.end * rate), n.pitch) for n in notes]
    steps = np.full((max(max(a + 1, b) for a, b, _ in places), 2), -1, np.int64)
    for number, (begin, end, pitch) in sorted(enumerate(places), key=lambda item: (item[1][2], item[0])):
        steps[begin : max(begin + 1, end)] = number, pitch
    return steps


def encode_score(
    tracks: Sequence[tuple[str, int, Sequence[Note]]], steps: int, rate: int, tempo: float, mark: str,
    meter: tuple[int, int] | None = None,
) -> bytes:  # fmt: skip
    """A MIDI file. tracks: (name, channel, notes, whose times are steps). steps: in all, at `rate` a beat; the file says so,
    and `mark`, in a text of its first track. One track gives type 0, several type 1. Raises MissingExtra without mido.
    """
    try:
        import mido
    except ImportError as error:
        raise MissingExtra("mido", "tokens") from error
    beat = math.lcm(480, rate) if math.lcm(480, rate) < 2**15 else rate
    step = beat // rate
    written = []
    for number, (name, channel, notes) in enumerate(tracks):
        track = mido.MidiTrack()
        track.append(mido.MetaMessage("track_name", name=name))
        if number == 0:
            track.append(mido.MetaMessage("text", text=f"{mark}; grid: {rate} steps a beat, {steps} steps"))
            track.append(mido.MetaMessage("set_tempo", tempo=min(2**24 - 1, max(1, round(6e7 / tempo)))))
            if meter is not None:
                track.append(mido.MetaMessage("time_signature", numerator=meter[0], denominator=meter[1]))
        moments = [(round(note.end), 0, note.pitch) for note in notes] + [(round(note.start), 1, note.pitch) for note in notes]
        passed = 0
        for place, begins, pitch in sorted(moments):  # ends before beginnings
            kind, velocity = ("note_on", 90 if number == 0 else 60) if begins else ("note_off", 0)
            track.append(mido.Message(kind, channel=channel, note=pitch, velocity=velocity, time=(place - passed) * step))
            passed = place
        track.append(mido.MetaMessage("end_of_track", time=max(0, steps - passed) * step))
        written.append(track)
    buffer = io.BytesIO()
    mido.MidiFile(type=int(len(written) > 1), ticks_per_beat=beat, tracks=written, charset="utf-8").save(file=buffer)
    return buffer.getvalue()
