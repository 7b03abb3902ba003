"""Tunes as a page shows them: each note lies in the roll where it is played, and sounds at its pitch when it is due."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from ganvas.errors import DataError
from ganvas.studio import tunes

pytest.importorskip("mido")


def tune(path: Path, notes: list[tuple[int, float]], tempo: float = 120.0) -> Path:
    """A MIDI file of notes one after the other: pitch, beats."""
    import mido

    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo), time=0))
    for pitch, beats in notes:
        track.append(mido.Message("note_on", note=pitch, velocity=90, time=0))
        track.append(mido.Message("note_off", note=pitch, velocity=0, time=round(480 * beats)))
    file.save(path)
    return path


def test_notes_are_seen_and_heard_where_they_are(tmp_path: Path) -> None:
    roll, sound, part = tunes.shown(tune(tmp_path / "a.mid", [(60, 2), (69, 2)]))
    inked = (roll == tunes.INKS[0]).all(-1)
    half = roll.shape[1] // 2
    low, high = (np.flatnonzero(side.any(1)).mean() for side in (inked[:, :half], inked[:, half:]))
    assert low > high and np.isclose(low - high, 9 * tunes.TALL, atol=2), "nine semitones higher is nine rows up"
    with wave.open(io.BytesIO(sound)) as handle:
        rate = handle.getframerate()
        heard = np.frombuffer(handle.readframes(handle.getnframes()), "<i2").astype(float)
    assert part == "" and abs(len(heard) / rate - 2) < 0.2, "four beats at 120 a minute"
    for start, hertz in ((0.2, 261.6), (1.2, 440.0)):
        piece = heard[round(start * rate) : round((start + 0.6) * rate)]
        found = np.abs(np.fft.rfft(piece * np.hanning(len(piece)))).argmax() * rate / len(piece)
        assert abs(found - hertz) < 3, (found, hertz)
    assert 0.5 < np.abs(heard).max() / 32768 <= 1


def test_a_long_tune_is_cut_and_says_so_and_what_is_no_tune_is_told(tmp_path: Path) -> None:
    _, sound, part = tunes.shown(tune(tmp_path / "long.mid", [(60, 240)]))
    assert "first" in part and len(sound) < 2 * tunes.RATE * (tunes.LONGEST + 2)
    broken = tmp_path / "broken.mid"
    broken.write_bytes(b"MThd no tune")
    with pytest.raises(DataError) as error:
        tunes.shown(broken)
    assert "\n" not in str(error.value)
