"""Cases of MIDI files and texts: no note is dropped without a word, and the tracks are those the header counts.

Source: Standard MIDI Files 1.0 (MMA 1996), and the habits of programs that write them.
"""

from __future__ import annotations

import struct
import unicodedata
from pathlib import Path

import pytest
from mido import Message, MetaMessage, MidiFile, MidiTrack

from ganvas.data.dataset import open_data
from ganvas.errors import DataError
from ganvas.kinds.tokens.files import read_held

TUNE = (60, 62, 64, 65, 67, 65, 64, 62)
Event = tuple[int, bool, int]


def track(events: list[Event]) -> MidiTrack:
    """Of (tick, begins, pitch)."""
    found, now = MidiTrack(), 0
    for tick, begins, pitch in events:
        found.append(Message("note_on" if begins else "note_off", note=pitch, velocity=90 * begins, time=tick - now))
        now = tick
    found.append(MetaMessage("end_of_track", time=480))
    return found


def saved(path: Path, events: list[Event]) -> bytes:
    MidiFile(type=0, ticks_per_beat=480, tracks=[track(events)]).save(path)
    return path.read_bytes()


def spoken(tune: tuple[int, ...], beat: int = 480, length: int = 480) -> list[Event]:
    return sorted(e for k, p in enumerate(tune) for e in ((beat * k, True, p), (beat * k + length, False, p)))


def test_an_end_that_stands_behind_the_next_beginning_is_of_the_note_before(tmp_path: Path) -> None:
    """C four times, each begun at the tick on which the one before ends, and before that end."""
    events = [(0, True, 60)]
    for k in range(1, 4):
        events += [(480 * k, True, 60), (480 * k, False, 60)]
    saved(tmp_path / "a.mid", [*events, (1920, False, 60)])
    held = read_held(tmp_path / "a.mid")
    assert [(note.start, note.end, note.pitch) for note in held.notes] == [(k, k + 1, 60) for k in range(4)]
    assert held.unended == 0


@pytest.mark.parametrize("short", [range(8), [3]])
def test_a_note_of_no_length_sounds(tmp_path: Path, short: list[int]) -> None:
    events = [e for k, p in enumerate(TUNE) for e in ((480 * k, True, p), (480 * (k + (k not in short)), False, p))]
    saved(tmp_path / "a.mid", events)
    held = read_held(tmp_path / "a.mid")
    assert [note.pitch for note in held.notes] == list(TUNE)
    assert held.unended == len(short)


def test_notes_that_the_grid_cannot_hold_are_counted(tmp_path: Path) -> None:
    """Sixty-four notes, sixteen a beat: a grid of four keeps every fourth."""
    for k in range(4):
        saved(tmp_path / f"{k}.mid", spoken(tuple(60 + (j * (k + 2)) % 7 for j in range(64)), 30, 30))
    notes = open_data(tmp_path, rate=4, heldout=0.0, progress=False).notes
    assert any("of 256 notes fell on the step of another and are gone" in note for note in notes)
    notes = open_data(tmp_path, rate=16, heldout=0.0, progress=False).notes
    assert not any("are gone" in note for note in notes)


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack(">I", len(body)) + body


def test_chunks_around_the_tracks_change_nothing_and_tracks_are_counted(tmp_path: Path) -> None:
    whole = saved(tmp_path / "plain.mid", spoken(TUNE))
    head, body = whole[:14], whole[14:]

    def counting(tracks: int) -> bytes:
        return head[:8] + struct.pack(">HH", 1, tracks) + head[12:]

    empty = chunk(b"MTrk", b"\0\xff\x2f\0")
    files = {
        "alien": head + chunk(b"XFIH", b"abcd") + body,
        "behind": whole + bytes(100),
        "longhead": b"MThd" + struct.pack(">I", 8) + head[8:] + b"\0\0" + body,
        "riff": b"RIFF" + struct.pack("<I", len(whole) + 12) + b"RMIDdata" + struct.pack("<I", len(whole)) + whole,
        "emptytracks": counting(3) + empty + body + empty,
    }
    for name, data in files.items():
        (tmp_path / f"{name}.mid").write_bytes(data)
        assert [note.pitch for note in read_held(tmp_path / f"{name}.mid").notes] == list(TUNE), name
    for name, data in {"1 tracks, and 2": counting(1) + empty + body, "3 tracks, and 1": counting(3) + body}.items():
        (tmp_path / "wrong.mid").write_bytes(data)
        with pytest.raises(DataError, match=f"its header says {name} are there"):
            read_held(tmp_path / "wrong.mid")


def test_accents_written_in_two_ways_are_told(tmp_path: Path) -> None:
    """Unicode TR 15: e with an accent is one sign or two, and looks the same."""
    lines = [f"un café numéro {k}" for k in range(6)]
    text = "\n".join(unicodedata.normalize("NFD", line) if k % 2 else line for k, line in enumerate(lines))
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    notes = open_data(tmp_path / "a.txt", kinds=("tokens",), heldout=0.0, progress=False).notes
    assert any("3 of 6 lines write accents as signs of their own" in note for note in notes)
