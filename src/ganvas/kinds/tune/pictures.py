"""Pictures of tunes: piano rolls with the notes of the chords behind the melody. For people to look at."""

from __future__ import annotations

import math

import numpy as np

from . import chords
from .files import settled
from .measures import sounding
from .spec import CHORDS, FIRST, MELODY, TuneSpec

ACROSS, TALL = 2, 4  # rolls side by side; pixels of a semitone
INK, PAPER, LINE, CHORD = (38, 70, 120), (255, 255, 255), (190, 190, 190), (252, 228, 190)


def draw_tunes(records: np.ndarray, spec: TuneSpec) -> np.ndarray:
    """A picture (H, W, 3) uint8, time to the right and pitch upwards, a line a bar; notes of the chords behind."""
    records = np.asarray(records)
    pitch = sounding(records[:, MELODY])
    heard = pitch[pitch >= 0]
    low, high = (int(heard.min()) - 2, int(heard.max()) + 2) if len(heard) else (58, 62)
    length = records.shape[2]
    step = max(2, min(8, 640 // length))
    height, width = (high - low + 1) * TALL, length * step
    sheet = np.full((math.ceil(len(records) / ACROSS) * (height + 8) + 8, ACROSS * (width + 8) + 8, 3), 245, np.uint8)
    for number, record in enumerate(records):
        roll = np.full((height, width, 3), PAPER, np.uint8)
        tones = chords.chroma()[record[CHORDS]]
        melody = settled(record[MELODY])
        for place in range(length):
            left = place * step
            for own in np.flatnonzero(tones[place, np.arange(low, high + 1) % 12] > 0):
                top = (high - low - int(own)) * TALL
                roll[top : top + TALL, left : left + step] = CHORD
            if place % spec.steps == 0:
                roll[:, left] = LINE
            if pitch[number, place] >= 0:
                top = (high - int(pitch[number, place])) * TALL
                roll[top : top + TALL, left + int(melody[place] >= FIRST) : left + step] = INK
        top, left = 8 + number // ACROSS * (height + 8), 8 + number % ACROSS * (width + 8)
        sheet[top : top + height, left : left + width] = roll
    return sheet
