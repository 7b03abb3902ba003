"""Chords: their names, their notes, and which chord a handful of notes is. Numbered 0 (none), 1 (C), 2 (Cm) ...

A chord is a root and a quality. Inversions and single added notes are not kept: `C/E` is C, `C9` is C7, and both are told.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import cache

import numpy as np

from ...errors import DataError

NOTES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 7, 10), "m7": (0, 3, 7, 10), "maj7": (0, 4, 7, 11), "dim": (0, 3, 6),
    "dim7": (0, 3, 6, 9), "m7b5": (0, 3, 6, 10), "aug": (0, 4, 8), "sus4": (0, 5, 7), "sus2": (0, 2, 7), "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
}  # fmt: skip
"""Name behind the root -> semitones above it."""
ALSO = {
    "maj": "", "M": "", "major": "", "min": "m", "mi": "m", "-": "m", "minor": "m", "dom7": "7", "min7": "m7", "mi7": "m7",
    "-7": "m7", "M7": "maj7", "ma7": "maj7", "Δ": "maj7", "Δ7": "maj7", "°": "dim", "o": "dim", "°7": "dim7", "o7": "dim7",
    "ø": "m7b5", "ø7": "m7b5", "+": "aug", "sus": "sus4", "m-5": "dim", "mb5": "dim",
}  # fmt: skip
"""Other names of the same."""
PLAINER = {
    "5": "", "9": "7", "11": "7", "13": "7", "7b9": "7", "7#9": "7", "7sus4": "sus4", "9sus4": "sus4", "maj9": "maj7",
    "M9": "maj7", "m9": "m7", "m11": "m7", "add9": "", "add2": "", "2": "", "madd9": "m", "69": "6", "6/9": "6", "aug7": "aug",
    "+7": "aug", "mmaj7": "m", "mM7": "m",
}  # fmt: skip
"""Chords of more notes -> the one that they are taken as."""
NONE = 0
NO_CHORD = ("N", "NC", "N.C.", "n.c.", "N.C", "-")
LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
NAME = re.compile(r"([A-G])([#b♯♭]?)(.*)")
COUNT = 1 + 12 * len(QUALITIES)
"""How many chords there are, with none."""


def chord(root: int, quality: str) -> int:
    """The number of a chord. root: pitch class, 0 is C."""
    return 1 + root % 12 * len(QUALITIES) + list(QUALITIES).index(quality)


def parts_of(number: int) -> tuple[int, str] | None:
    """(root, quality) of a chord; None of none."""
    if number == NONE:
        return None
    root, place = divmod(int(number) - 1, len(QUALITIES))
    return root, list(QUALITIES)[place]


def name_of(number: int) -> str:
    """`Am`; `N` where there is no chord."""
    found = parts_of(number)
    return "N" if found is None else NOTES[found[0]] + found[1]


def parse(word: str) -> tuple[int, str]:
    """(number, what to tell the user, mostly nothing) of a chord's name. Raises DataError for one that nobody knows, with the
    nearest."""
    if word in NO_CHORD:
        return NONE, ""
    found = NAME.fullmatch(word)
    if found is not None:
        letter, sign, rest = found.groups()
        root = (LETTERS[letter] + {"#": 1, "♯": 1, "b": -1, "♭": -1}.get(sign, 0)) % 12
        rest = rest.replace("(", "").replace(")", "")
        quality, told = _quality(rest), ""
        if quality is None and "/" in rest and NAME.fullmatch(rest.rpartition("/")[2]):
            quality = _quality(rest.rpartition("/")[0])
        if quality is not None:
            number = chord(root, quality)
            if rest in PLAINER or "/" in rest:
                told = f"{word} is taken as {name_of(number)}"
            return number, told
    near = difflib.get_close_matches(word[:1].upper() + word[1:], _names(), n=2, cutoff=0.3)
    told = f"; nearest: {', '.join(near)}" if near else ", as C, Am, F# or Bb7 are"
    raise DataError(f"'{printable(word)}' is no chord{told}")


def printable(word: str) -> str:
    """A word of a file, cut and without signs that would break a line."""
    kept = "".join(sign if sign.isprintable() else "?" for sign in word)
    return kept if len(kept) <= 20 else kept[:19] + "…"


def _quality(rest: str) -> str | None:
    rest = PLAINER.get(rest, ALSO.get(rest, rest))
    return rest if rest in QUALITIES else None


@cache
def _names() -> list[str]:
    return [name + quality for name in (*NOTES, "C#", "D#", "Gb", "G#", "A#") for quality in QUALITIES]


@cache
def chroma() -> np.ndarray:
    """(COUNT, 12) float32: 1 at the pitch classes of each chord."""
    table = np.zeros((COUNT, 12), np.float32)
    for number in range(1, COUNT):
        root, quality = parts_of(number) or (0, "")
        table[number, [(root + step) % 12 for step in QUALITIES[quality]]] = 1
    return table


@cache
def roots() -> np.ndarray:
    """(COUNT, 12) float32: 1 at the root of each chord."""
    table = np.zeros((COUNT, 12), np.float32)
    for number in range(1, COUNT):
        table[number, (parts_of(number) or (0, ""))[0]] = 1
    return table


def moved(numbers: np.ndarray, semitones: int) -> np.ndarray:
    """Chords (...) so many semitones higher."""
    numbers = np.asarray(numbers)
    shift = semitones % 12 * len(QUALITIES)
    return np.where(numbers == NONE, NONE, (numbers - 1 + shift) % (COUNT - 1) + 1)


def pitches_of(number: int, low: int = 48) -> list[int]:
    """The notes by which a chord is written, its root the lowest, at or above the pitch `low`."""
    found = parts_of(number)
    if found is None:
        return []
    root = low + (found[0] - low) % 12
    return [root + step for step in QUALITIES[found[1]]]


def recognised(pitches: Iterable[int]) -> tuple[int, bool]:
    """(the chord that notes are, whether they are it exactly). Of several that fit, the one whose root is the lowest note."""
    own = sorted(set(pitches))
    if not own:
        return NONE, True
    classes = np.zeros(12, np.float32)
    classes[[pitch % 12 for pitch in own]] = 1
    both = chroma()[1:] @ classes
    either = chroma()[1:].sum(1) + classes.sum() - both
    bass = roots()[1:, own[0] % 12]
    likeness = both / either + 0.01 * bass
    best = int(likeness.argmax())
    return best + 1, bool(both[best] == either[best])
