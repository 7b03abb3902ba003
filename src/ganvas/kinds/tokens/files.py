"""Reading and writing sequences of symbols: lines of text, tables of tokens, arrays of indices, melodies of MIDI files (which
`store.midi` takes apart).

Nothing is cut, padded or numbered here, which is `kinds.tokens`. What does not fit is an error of one line that says where.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...store.cells import MARKS, Sheet, decoded, index_column, is_missing, read_cells, read_sheet, told
from ...store.guard import named
from ...store.midi import GRIDS, LONGEST, OFF, Note, encode_score, melody_of, read_score

HOLD, REST = "hold", "rest"
"""The symbols of a melody that are no pitch: the note before goes on; silence."""
COLUMNS = (".parquet", ".jsonl")
TEXT_NAMES = ("text", "texts", "sequence", "sentence", "caption", "tokens", "words", "line", "verse", "smiles")
"""Names of a column that holds a whole sequence a cell, in small letters."""
NUMBERED = re.compile(r"([^\W\d]*[ _.-]?)(\d{1,4})")
MELODY_SUFFIXES = (".mid", ".midi")


@dataclass
class Held:
    """What one file holds.

    family: `text` (lines, not yet taken apart), `table` (rows of symbols) or `melody` (notes). declared: symbols an array
    names, whether they occur or not. tempo: beats a minute, in melodies that which lasts longest;
    tempos: how many there are. rate: steps a beat of melodies in an array. grid: (steps a beat, steps) that a melody file was
    written with. blank: empty lines left out. unended: notes whose end the file does not say, or that end when they begin.
    told: what else was left out, for the user.
    """

    family: str
    lines: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    declared: tuple[str, ...] = ()
    tempo: float | None = None
    tempos: int = 0
    rate: int | None = None
    grid: tuple[int, int] | None = None
    blank: int = 0
    unended: int = 0
    told: list[str] = field(default_factory=list)


def read_held(path: Path) -> Held:
    """What a file holds. Raises DataError in one line, MissingExtra for MIDI without mido."""
    name = path.name.lower()
    try:
        if name.endswith(MELODY_SUFFIXES):
            return _read_melody(path)
        if name.endswith(".npz"):
            return _read_array(path)
        if name.endswith((".csv", ".tsv", *COLUMNS)):
            return _read_table(path)
        lines = [line.strip() for line in decoded(path).split("\n")]
    except OSError as error:
        raise DataError(f"{named(path)}: cannot be read ({error.strerror or error})") from error
    kept = [line for line in lines if line]
    if not kept:
        raise DataError(f"{named(path)}: empty: write one sequence a line")
    return Held("text", lines=kept, blank=max(0, len(lines) - len(kept) - 1))


def _read_table(path: Path) -> Held:
    """A row a sequence, or a sequence in a column of text; how tables are read: `store.cells`. Raises DataError."""
    notes: list[str] = []
    blank = 0
    if path.suffix.lower() in COLUMNS:
        cells = read_cells(path, decimals=False)
        names, rows, places, unit = (
            cells.names,
            [list(row) for row in zip(*cells.columns, strict=True)],
            cells.lines,
            cells.unit,
        )
        notes += cells.told()
    else:
        sheet = read_sheet(path, ragged=True, blanks=False)
        if not sheet.rows:
            raise DataError(f"{named(path)}: empty: write one sequence a line, as in  a,b,c")
        blank = sheet.counts.pop("empty lines left out", 0)
        notes += told(sheet.counts)
        if marked := sum(row[0].startswith(MARKS) for row in sheet.rows):
            notes.append(f"{marked} lines begin with a mark of comments and are sequences (a comment has a blank behind it)")
        names = _without_header(sheet, notes)
        if not names and sheet.separator is None and any(" " in row[0] for row in sheet.rows):
            words = replace(sheet, rows=[row[0].split() for row in sheet.rows])
            headed = _without_header(words, notes)
            lines = [" ".join(row) for row in words.rows] if headed else [row[0] for row in sheet.rows]
            return Held("text", lines=lines, blank=blank, told=notes)
        rows, places, unit = sheet.rows, sheet.lines, "line"
    text = next((k for k in range(len(names)) if _is_text(names, rows, k)), None)
    if text is not None:
        lines = [row[text].strip() if text < len(row) else "" for row in rows]
        others = [name for k, name in enumerate(names) if k != text]
        more = f", {', '.join(others)[:60]} left out" if others else ""
        notes.append(f"sequences are the texts of the column '{names[text]}'{more}")
        kept_lines = [line for line in lines if not is_missing(line)]
        if not kept_lines:
            raise DataError(f"{named(path)}: the column '{names[text]}' is empty: write one sequence a line")
        return Held("text", lines=kept_lines, blank=blank + len(lines) - len(kept_lines), told=notes)
    kept = []
    for place, row in zip(places, rows, strict=True):
        own = list(row)
        while own and not own[-1]:  # a table has rows of one length: what is missing at the end is not there
            own.pop()
        if "" in own:
            raise DataError(f"{named(path)}: {unit} {place} has an empty cell within: fill it in, or leave the rest empty")
        blank += not own
        if own:
            kept.append(own)
    if not kept:
        raise DataError(f"{named(path)}: no line has a symbol: write one sequence a line, as in  a,b,c")
    return Held("table", rows=kept, blank=blank, told=notes)


def _without_header(sheet: Sheet, notes: list[str]) -> list[str]:
    """Leave out a first row that names the columns, and row numbers; the names, none where the first row is a sequence.

    A first row names the columns when it stands above row numbers or a column of text, or when it numbers the columns (t1, t2,
    t3; 0, 1, 2 above no numbers) and no sequence has these symbols.
    """
    header, below = list(sheet.rows[0]), sheet.rows[1:]
    while len(header) > 1 and not header[-1]:
        header.pop()
    if not below:
        return []
    if index_column(header, [row[0] for row in below], counting=True):
        notes.append("the first line names the columns, and the first column holds row numbers: left out")
        sheet.rows, sheet.lines = [row[1:] for row in below], sheet.lines[1:]
        return header[1:]
    numbered = [NUMBERED.fullmatch(cell) for cell in header]
    running = len(header) > 1 and all(numbered) and len({own[1] for own in numbered if own}) == 1
    running = running and bool((np.diff([int(own[2]) for own in numbered if own]) == 1).all())
    used = {cell for row in below for cell in row} if running else set()
    if running and not (any(c.isdigit() for c in used) if header[0].isdigit() else used & set(header)):
        notes.append(f"the first line ({', '.join(header)[:60]}) names the columns and is left out")
    elif not any(_is_text(header, below, k) for k in range(len(header))):
        return []
    sheet.rows, sheet.lines = below, sheet.lines[1:]
    return header


def _is_text(names: Sequence[str], rows: Sequence[Sequence[str]], place: int) -> bool:
    """Whether a column is called as texts are and holds them: most have a blank within, or it is the only column."""
    if names[place].lower() not in TEXT_NAMES:
        return False
    blanks = sum(place < len(row) and " " in row[place] for row in rows)
    return len(names) == 1 or 2 * blanks > len(rows)


def _read_array(path: Path) -> Held:
    try:
        with np.load(path, allow_pickle=False) as held:
            if "tokens" not in held.files:
                raise DataError(f"{named(path)}: holds {', '.join(held.files) or 'nothing'}: name the indices (N, T) 'tokens'")
            tokens = held["tokens"]
            symbols = [str(s) for s in held["symbols"]] if "symbols" in held.files else None
            rate = int(held["rate"]) if "rate" in held.files else None
            tempo = float(held["tempo"]) if "tempo" in held.files else None
    except DataError:
        raise
    except OSError:
        raise
    except Exception as error:  # a damaged archive may raise whatever zlib, zipfile and the header's parser raise
        raise DataError(f"{named(path)}: not a readable NumPy file ({' '.join(str(error).split())[:120]})") from error
    if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or 0 in tokens.shape:
        raise DataError(f"{named(path)}: tokens are {tokens.dtype} {tokens.shape}: give whole numbers (N, T), -1 past the end")
    tokens = tokens.astype(np.int64)
    count = int(tokens.max()) + 1 if symbols is None else len(symbols)
    if tokens.max() >= count or tokens.min() < -1:
        found = f"tokens run from {tokens.min()} to {tokens.max()}"
        raise DataError(f"{named(path)}: {found}: give 0 to {count - 1}, -1 past the end")
    if symbols is not None and (len(set(symbols)) < count or "" in symbols):
        raise DataError(f"{named(path)}: 'symbols' has equal or empty entries: give each its own text")
    if count > LONGEST:
        raise DataError(f"{named(path)}: tokens up to {tokens.max()}: number the symbols from 0 without gaps")
    words = symbols or [str(k) for k in range(count)]
    rows = []
    for number, own in enumerate(tokens):
        length = int((own >= 0).sum())
        if (own[:length] < 0).any():
            raise DataError(f"{named(path)}: row {number} goes on behind its end (-1): end it once")
        if length:
            rows.append([words[k] for k in own[:length]])
    if not rows:
        raise DataError(f"{named(path)}: no row has a symbol before its end: nothing to learn from")
    if rate is not None and not 1 <= rate <= 960:
        raise DataError(f"{named(path)}: 'rate' {rate} is not a number of steps a beat: 1 to 960")
    return Held("table", rows=rows, declared=tuple(words), rate=rate, tempo=tempo, blank=len(tokens) - len(rows))


# Melodies


def _read_melody(path: Path) -> Held:
    score = read_score(path)
    notes = melody_of(score.parts, score.names)
    if max(note.end for note in notes) * GRIDS[-1] > LONGEST:
        raise DataError(f"{named(path)}: its melody lasts {max(note.end for note in notes):.3g} beats: its times are damaged")
    tempo, tempos = score.tempo
    return Held("melody", notes=notes, tempo=tempo, tempos=tempos, grid=score.grid, unended=score.unended)


def crowded(notes: list[Note], steps: np.ndarray, rate: int) -> int:
    """How many notes are heard at no step because another, of another moment, begins on the same one."""
    heard = set(steps[:, 0].tolist())
    near = min(OFF, 0.25 / rate)
    count = 0
    for number, note in enumerate(notes):
        step = round(note.start * rate)
        if number not in heard and (over := int(steps[step, 0])) >= 0:
            other = notes[over].start
            count += round(other * rate) == step and abs(other - note.start) > near
    return count


def melody_symbols(steps: np.ndarray) -> list[str]:
    """Steps of `steps_of`, or a stretch of them, as symbols; a note that began before the stretch begins anew."""
    symbols, before = [], -1
    for number, pitch in steps.tolist():
        symbols.append(REST if number < 0 else HOLD if number == before else str(pitch))
        before = number
    return symbols


def encode_melody(symbols: list[str], rate: int, tempo: float, mark: str) -> bytes:
    """A MIDI file of one track: symbols as `melody_symbols` gives them. Symbols that are no pitch, rest or hold are silence.

    Raises MissingExtra without mido.
    """
    notes: list[Note] = []
    sounding = False
    for place, symbol in enumerate(symbols):
        if symbol == HOLD and sounding:
            notes[-1].end = place + 1
        elif sounding := symbol.isdigit() and int(symbol) < 128:
            notes.append(Note(place, place + 1, int(symbol)))
    return encode_score([("melody, SYNTHETIC", 0, notes)], len(symbols), rate, tempo, mark)


def encode_rows(rows: list[list[str]], separator: str, mark: str) -> bytes:
    """A table: a comment that says what it is, then one sequence a line."""
    text = io.StringIO()
    text.write(f"# {mark}\n")
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def is_written_without_spaces(lines: list[str]) -> bool:
    """Whether symbols are characters: no line has a space within, or most letters are Chinese, Japanese or Thai."""
    if not any(any(c.isspace() for c in line) for line in lines):
        return True
    letters = [c for line in lines[:2000] for c in line if c.isalpha()]
    return 2 * sum(_no_spaces(ord(c)) for c in letters) > len(letters)


def _no_spaces(code: int) -> bool:
    blocks: tuple[tuple[int, int], ...] = (
        (0x0E00, 0x0E7F), (0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF),
    )  # fmt: skip
    return any(low <= code <= high for low, high in blocks)


def array_bytes(tokens: np.ndarray, symbols: Sequence[str], mark: str, more: dict[str, Any]) -> bytes:
    """A compressed .npz of indices (N, T), -1 behind the end, with their symbols."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, tokens=tokens, symbols=np.array(symbols), note=np.array(mark), **more)
    return buffer.getvalue()
