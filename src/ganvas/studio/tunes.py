"""MIDI files as a page can show them: a piano roll, and a player with plain tones. A browser has neither.

Of any file, whoever wrote it: a tune that was made, notes that were given. Not for sound that systems make of notes.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..kinds.sound.files import plain_wav
from ..store.midi import Score, read_score

SUFFIXES = (".mid", ".midi")
RATE = 16_000  # samples a second of the player
LONGEST = 90.0  # seconds of it
ATTACK, RELEASE, FADE = 0.006, 0.06, 1.2  # seconds: until a tone is full, after it ends, until it has lost most of its strength
OVERTONES = (1.0, 0.42, 0.2, 0.09)
WIDE, TALL, LEAST = 640, 6, 13  # pixels of a roll, and of a semitone; semitones at least
INKS = ((38, 70, 120), (214, 138, 52), (74, 140, 84), (150, 84, 150), (190, 72, 66))
PAPER, BLACK_KEYS, LINE = (255, 255, 255), (243, 244, 247), (205, 208, 216)


def shown(path: Path) -> tuple[np.ndarray, bytes, str]:
    """(piano roll (H, W, 3) uint8, WAV file, which part of it that is; empty: all). Raises DataError; MissingExtra."""
    score = read_score(path)
    sound, part = played(score)
    return roll(score), sound, part


def roll(score: Score) -> np.ndarray:
    """Time to the right, pitch upwards, a line every four beats, a colour for each part; long notes are drawn behind short."""
    notes = [note for own in score.parts.values() for note in own]
    low, high = min(note.pitch for note in notes) - 2, max(note.pitch for note in notes) + 2
    low = min(low, high - LEAST)
    end = max(note.end for note in notes)
    across = WIDE / max(end, 1e-6)
    sheet = np.full(((high - low + 1) * TALL, WIDE, 3), PAPER, np.uint8)
    for pitch in range(low, high + 1):
        if pitch % 12 in (1, 3, 6, 8, 10):
            sheet[(high - pitch) * TALL : (high - pitch + 1) * TALL] = BLACK_KEYS
    for beat in range(0, math.ceil(end), max(4, 4 * math.ceil(end / 4 / 64))):
        sheet[:, min(WIDE - 1, round(beat * across))] = LINE
    parts = sorted(score.parts.items(), key=lambda part: -float(np.mean([note.end - note.start for note in part[1]])))
    inks = {key: INKS[place % len(INKS)] for place, key in enumerate(reversed([key for key, _ in parts]))}
    for key, own in parts:
        for note in own:
            left, right = round(note.start * across), round(note.end * across)
            top = (high - note.pitch) * TALL
            sheet[top : top + TALL - 1, left : max(left + 1, right - 1)] = inks[key]
    return sheet


def played(score: Score) -> tuple[bytes, str]:
    """The notes as tones that fade like those of a plucked string, in 16 bits; and which part of the file that is."""
    notes = [
        (score.seconds(note.start), score.seconds(note.end), note.pitch, note.velocity)
        for own in score.parts.values()
        for note in own
    ]
    whole = max(end for _, end, _, _ in notes)
    length = min(LONGEST, whole)
    made = np.zeros(round((length + RELEASE) * RATE) + 1)
    for start, end, pitch, velocity in notes:
        if start >= length:
            continue
        at = round(start * RATE)
        time = np.arange(min(round((end - start + RELEASE) * RATE), len(made) - at)) / RATE
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        tone = sum(
            share * np.sin(2 * np.pi * hertz * number * time)
            for number, share in enumerate(OVERTONES, start=1)
            if hertz * number < RATE / 2
        )
        shape = np.minimum(1, time / ATTACK) * np.exp(-time / FADE) * np.clip((end - start + RELEASE - time) / RELEASE, 0, 1)
        made[at : at + len(time)] += velocity / 127 * shape * tone
    made *= 0.8 / max(1e-9, float(np.abs(made).max()))
    return plain_wav(made[:, None], RATE), "" if whole <= LONGEST else f"the first {LONGEST:g} s"
