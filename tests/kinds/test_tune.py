"""Tunes: melodies over chords out of MIDI files, chords as text, what is written, what is counted, and what is refused."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest

from ganvas.data import open_data
from ganvas.data.finding import claimed
from ganvas.data.phantoms import make_phantom
from ganvas.errors import DataError, GanvasError
from ganvas.kinds import kind_of
from ganvas.kinds.tune import chords, measures
from ganvas.kinds.tune.files import encode_tune, read_sheet, read_text, settled
from ganvas.kinds.tune.spec import CHORDS, FIRST, HOLD, MELODY, REST, TuneSpec, steps_of_bar
from ganvas.store.midi import Note, encode_score, read_score

TUNE = kind_of("tune")
C4 = 60 + FIRST


def opened(place: Path, cache: Path, **more: Any) -> Any:
    return open_data(place, kinds=("tune",), cache=cache, progress=False, **more)


def midi(path: Path, tracks: list[tuple[str, int, list[Note]]], steps: int = 32, meter: tuple[int, int] = (4, 4)) -> Path:
    """A file as other programs write them: nothing in it says which grid it was written on."""
    body = mido.MidiFile(file=io.BytesIO(encode_score(tracks, steps, 4, 100.0, "made by hand", meter)))
    for track in body.tracks:
        track[:] = [message for message in track if message.type != "text"]
    body.save(path)
    return path


def triad(root: int, start: int, end: int) -> list[Note]:
    return [Note(start, end, root + step) for step in (0, 4, 7)]


def song(path: Path, bars: int = 8, meter: tuple[int, int] = (4, 4), **more: Any) -> Path:
    """C and G by turns, with a note a beat."""
    bar = 4 * 4 * meter[0] // meter[1]
    melody = [Note(k, k + 2, 60 + 2 * (k // 4 % 5)) for k in range(0, bars * bar, 4)]
    harmony = [note for k in range(bars) for note in triad(48 if k % 2 == 0 else 55, k * bar, (k + 1) * bar)]
    return midi(path, [("", 0, melody), ("", 0, harmony)], bars * bar, meter)


# Chords


@pytest.mark.parametrize(
    ("word", "notes"),
    [
        ("C", {0, 4, 7}),
        ("Am", {9, 0, 4}),
        ("F#m7b5", {6, 9, 0, 4}),
        ("Bb", {10, 2, 5}),
        ("G♭maj7", {6, 10, 1, 5}),
        ("Dmin", {2, 5, 9}),
        ("Esus", {4, 9, 11}),
        ("C°", {0, 3, 6}),
        ("N.C.", set()),
    ],
)
def test_names_of_chords(word: str, notes: set[int]) -> None:
    number, told = chords.parse(word)
    assert set(np.flatnonzero(chords.chroma()[number])) == notes
    assert not told


def test_what_a_chord_loses_is_told() -> None:
    assert chords.parse("C9") == (chords.parse("C7")[0], "C9 is taken as C7")
    assert chords.parse("Am/E") == (chords.parse("Am")[0], "Am/E is taken as Am")


@pytest.mark.parametrize(("word", "near"), [("Amm", "Am"), ("c", "C"), ("Bbx", "Bb"), ("Gsuss4", "Gsus4")])
def test_unknown_chords_name_the_nearest(word: str, near: str) -> None:
    with pytest.raises(DataError, match=f"'{word}' is no chord; nearest: .*{near}"):
        chords.parse(word)


def test_every_chord_is_recognised_by_its_notes() -> None:
    for number in range(1, chords.COUNT):
        assert chords.recognised(chords.pitches_of(number)) == (number, True), chords.name_of(number)
        assert chords.parse(chords.name_of(number))[0] == number
    assert chords.recognised([])[0] == chords.NONE
    assert chords.recognised([52, 55, 60]) == (chords.parse("C")[0], True)  # an inversion
    found, exactly = chords.recognised([48, 52, 55, 62, 66])
    assert not exactly and chords.name_of(found).startswith("C")


def test_chords_move_as_their_notes_do() -> None:
    own = np.arange(chords.COUNT)
    assert np.array_equal(chords.chroma()[chords.moved(own, 3)], np.roll(chords.chroma()[own], 3, 1))


# Files


def test_a_tune_is_read_by_bars(tmp_path: Path) -> None:
    song(tmp_path / "a.mid")
    data = opened(tmp_path / "a.mid", tmp_path / "cache", rate=4, size=2)
    assert data.spec == TuneSpec(2, 4, (4, 4), 100.0, 60, 68)
    assert data.values.shape == (4, 2, 32)
    record = np.asarray(data.values[0])
    assert record[MELODY, :8].tolist() == [C4, HOLD, REST, REST, C4 + 2, HOLD, REST, REST]
    assert [chords.name_of(own) for own in record[CHORDS, ::16]] == ["C", "G"]


def test_six_eight_and_the_most_common_meter(tmp_path: Path) -> None:
    folder = tmp_path / "tunes"
    folder.mkdir()
    for name in "abc":
        song(folder / f"{name}.mid", 8, (6, 8))
    song(folder / "d.mid", 8, (4, 4))
    data = opened(folder, tmp_path / "cache", rate=4)
    assert (data.spec.meter, data.spec.steps, data.spec.bars) == ((6, 8), 12, 8)
    assert any("1 tune in other meters left out (4/4 (1)): give them" in note for note in data.notes)
    with pytest.raises(GanvasError, match="--rate 1: a bar of 6/8|3/8"):
        song(tmp_path / "e.mid", 8, (3, 8))
        opened(tmp_path / "e.mid", tmp_path / "cache", rate=1)


def test_an_upbeat_does_not_shift_phrases(tmp_path: Path) -> None:
    melody = [Note(12, 16, 67)] + [Note(k, k + 4, 60) for k in range(16, 16 * 5, 4)]
    harmony = [note for k in range(1, 5) for note in triad(48, 16 * k, 16 * k + 16)]
    midi(tmp_path / "a.mid", [("", 0, melody), ("", 0, harmony)], 80)
    data = opened(tmp_path / "a.mid", tmp_path / "cache", rate=4, size=4)
    assert data.values.shape == (1, 2, 64)
    assert data.values[0, MELODY, 0] == C4


@pytest.mark.parametrize("channel", [0, 1])
def test_the_part_with_chords_is_found(channel: int, tmp_path: Path) -> None:
    high = [Note(k, k + 4, 76) for k in range(0, 32, 4)]
    low = triad(48, 0, 16) + triad(53, 16, 32)
    for order in ([("", 0, high), ("", channel, low)], [("", channel, low), ("", 0, high)]):
        sheet = read_sheet(midi(tmp_path / "a.mid", order))
        assert {note.pitch for note in sheet.melody} == {76}
        assert [(beat, chords.name_of(number)) for beat, number in sheet.harmony][:2] == [(0.0, "C"), (4.0, "F")]


def test_short_chords_go_on(tmp_path: Path) -> None:
    melody = [Note(0, 32, 72)]
    harmony = [note for k in range(0, 32, 4) for note in triad(48, k, k + 1)]
    data = opened(midi(tmp_path / "a.mid", [("", 0, melody), ("", 1, harmony)]), tmp_path / "cache", rate=4, size=1)
    assert set(data.values[0, CHORDS].tolist()) == {chords.parse("C")[0]}


MELODY_ALONE = [("", 0, [Note(k, k + 1, 60) for k in range(16)])]
DRUMS = [("", 9, [Note(k, k + 1, 36) for k in range(16)])]


@pytest.mark.parametrize(
    ("tracks", "wrong"),
    [
        ([("", 0, [])], "a.mid: holds no notes: take it out"),
        (DRUMS, "a.mid: no notes but drums: take it out"),
        (MELODY_ALONE, "a.mid: no chords: none of its parts has 3 notes at once most of the time; give the chords a track"),
        ([("", 0, triad(48, 0, 16))], "a.mid: chords without a melody"),
    ],
)
def test_files_that_teach_nothing_are_refused_in_one_line(tracks: list[Any], wrong: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        opened(midi(tmp_path / "a.mid", tracks), tmp_path / "cache")
    assert wrong in str(error.value) and "\n" not in str(error.value)


def test_such_files_among_others_are_skipped_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "tunes"
    folder.mkdir()
    song(folder / "a.mid")
    midi(folder / "b.mid", MELODY_ALONE)
    data = opened(folder, tmp_path / "cache")
    assert any("b.mid: no chords" in note for note in data.notes)
    with pytest.raises(DataError, match="b.mid: no chords"):
        opened(folder, tmp_path / "cache", strict=True)


def test_songs_are_known_as_tunes_and_melodies_are_not(tmp_path: Path) -> None:
    songs, melodies = tmp_path / "songs", tmp_path / "melodies"
    for folder in (songs, melodies):
        folder.mkdir()
    for name in "bcd":
        song(songs / f"{name}.mid")
        midi(melodies / f"{name}.mid", MELODY_ALONE)
    midi(songs / "a.mid", MELODY_ALONE)
    song(melodies / "a.mid")
    assert claimed(songs) == "tune" and claimed(songs / "b.mid") == "tune"
    assert claimed(melodies) is None
    (tmp_path / "broken.mid").write_bytes(b"MThd, and no more")
    assert claimed(tmp_path / "broken.mid") is None


def test_chords_as_text(tmp_path: Path) -> None:
    path = tmp_path / "song.txt"
    path.write_text("; a remark\nC Am\nF G7\n")
    codes, notes = read_text(path, 16)
    assert [chords.name_of(own) for own in codes[CHORDS, ::16]] == ["C", "Am", "F", "G7"]
    assert notes == [] and not codes[MELODY].any()
    path.write_text("| C Am | F/A | % |\n| G |")
    codes, notes = read_text(path, 16)
    assert [chords.name_of(own) for own in codes[CHORDS, ::8]] == ["C", "Am", "F", "F", "F", "F", "G", "G"]
    assert notes == ["song.txt: F/A is taken as F"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("C Hm\nG", "song.txt: line 1: 'Hm' is no chord; nearest: "),
        ("C\n\nG Amm", "song.txt: line 3: 'Amm' is no chord; nearest: Am"),
        ("; nothing\n", "song.txt: holds no chord: write their names"),
        ("| " + "C " * 17 + "|", "song.txt: 17 chords in one bar of 16 steps"),
        ("C " * 1001, "song.txt: more than 1000 bars"),
    ],
)
def test_texts_that_are_no_chords(text: str, wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "song.txt"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_text(path, 16)
    assert wrong in str(error.value) and "\n" not in str(error.value)


def test_a_text_cannot_be_trained_on(tmp_path: Path) -> None:
    (tmp_path / "song.txt").write_text("C Am F G")
    with pytest.raises(DataError, match="a text has chords and no melody to learn: give MIDI files"):
        opened(tmp_path / "song.txt", tmp_path / "cache")


def test_another_meter_is_refused_when_put_to_use(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its bars are of 6/8, the run learnt 4/4: give chords in that meter, or their names"):
        list(TUNE.read(song(tmp_path / "a.mid", 8, (6, 8)), TuneSpec(8), {}))


# What is written


def test_what_is_written_opens_in_another_reader(tmp_path: Path) -> None:
    """Two tracks, melody and chords, at the tempo and in bars of the spec; notes sound when and as long as the codes say."""
    made = make_phantom("tunes", 1, 0)
    spec = replace(made.spec, tempo=96.0, meter=(4, 4))
    path = tmp_path / "a.mid"
    path.write_bytes(encode_tune(made.values[0], spec, {}))
    held = mido.MidiFile(path)
    assert (held.type, len(held.tracks)) == (1, 2)
    names, tempos, meters = [], [], []
    sounded: dict[int, list[tuple[float, float, int]]] = {0: [], 1: []}
    for number, track in enumerate(held.tracks):
        now, begun = 0, {}
        for message in track:
            now += message.time
            if message.type == "track_name":
                names.append(message.name)
            elif message.type == "set_tempo":
                tempos.append(round(mido.tempo2bpm(message.tempo), 3))
            elif message.type == "time_signature":
                meters.append((message.numerator, message.denominator))
            elif message.type == "note_on" and message.velocity:
                begun[message.note] = now
            elif message.type in ("note_off", "note_on"):
                sounded[number].append((begun.pop(message.note), now, message.note))
        assert not begun and now == 8 * 4 * held.ticks_per_beat  # eight bars of four quarters, each note ended
    assert names == ["melody, SYNTHETIC", "chords, SYNTHETIC"] and tempos == [96.0] and meters == [(4, 4)]
    assert abs(held.length - 8 * 4 * 60 / 96) < 0.01
    ticks = held.ticks_per_beat // spec.rate
    codes = made.values[0, MELODY]
    assert [(start // ticks, pitch) for start, _, pitch in sorted(sounded[0])] == [
        (step, code - FIRST) for step, code in enumerate(codes.tolist()) if code >= FIRST
    ]
    assert {start % (4 * held.ticks_per_beat) for start, _, _ in sounded[1]} == {0}  # chords begin with bars
    assert len(sounded[1]) == 8 * 3


def test_tempo_and_meter_of_a_file(tmp_path: Path) -> None:
    score = read_score(song(tmp_path / "a.mid", 8, (3, 4)))
    assert (round(score.tempo[0]), score.meter) == (100, ((3, 4), 1))
    assert steps_of_bar((6, 8), 4) == 12
    with pytest.raises(ValueError, match="9/8"):
        steps_of_bar((9, 8), 1)


def test_what_holds_nothing_is_silence() -> None:
    assert settled(np.array([HOLD, C4, HOLD, REST, HOLD, C4])).tolist() == [REST, C4, HOLD, REST, REST, C4]


# What is counted


def record(melody: list[int], chord: str = "C") -> np.ndarray:
    return np.array([[melody, [chords.parse(chord)[0]] * len(melody)]])


def test_shares_and_lengths_are_those_of_hand() -> None:
    own = record([C4, HOLD, C4 + 2, REST, C4 + 4, HOLD, C4 + 6, REST])
    assert measures.share_in_chord(own)[0] == pytest.approx(4 / 6)  # C C . E E of six steps that sound
    assert measures.share_in_key(own)[0] == pytest.approx(1.0)  # C D E F# are in G
    assert measures.lengths(own)[:3].tolist() == [0.5, 0.5, 0.0]
    assert measures.leaps(own)[12 + 2] == 1.0
    twice = record([C4, HOLD, C4 + 2, REST, C4 + 1, HOLD, C4 + 3, REST, C4, HOLD, C4 + 2, REST])
    assert measures.repeated(twice, 4)[0] == pytest.approx(0.5)
    assert measures.repeated(twice, 4, pitches=False)[0] == pytest.approx(1.0)
    assert np.isnan(measures.share_in_chord(record([REST] * 4))[0])
    long = record([C4] + [HOLD] * 31)
    assert measures.lengths(long)[-1] == 1.0


def test_the_phantom_keeps_its_rules() -> None:
    made = make_phantom("tunes", 50, 0)
    assert np.nanmean(measures.share_in_key(made.values)) > 0.98
    again = measures.repeated(made.values, made.spec.steps, pitches=False)
    assert again.mean() >= 4 / 7 - 1e-9  # every second bar
    assert measures.differences(made.values, made.values, made.spec.steps) == dict.fromkeys(
        [*measures.SHARES, *measures.SPREADS], 0.0
    )
    other = make_phantom("tunes", 50, 1)
    silent = np.zeros_like(made.values)
    assert sum(measures.differences(silent, made.values, 8).values()) > 10 * sum(
        measures.differences(other.values, made.values, 8).values()
    )
