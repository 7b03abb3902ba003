"""By what a sequence is known again: its triples of symbols; of a melody its steps and durations, in whichever key. Not for
judging samples."""

from __future__ import annotations

import numpy as np

from .files import HOLD
from .hashing import hashes, mixed
from .spec import TokensSpec

BUCKETS = 1024  # into which triples are hashed
LEAST = 12  # symbols, or notes and rests, under which a sequence says too little
FIRST = 1000  # in the place of the step to the first note, which a key decides


def marks(values: np.ndarray, spec: TokensSpec) -> np.ndarray:
    """(N, 1, 1024) float32 of sequences (N, length): which triples of neighbours they hold, hashed, each hash with a sign."""
    tokens = np.asarray(values).astype(np.int64)
    made = np.zeros((len(tokens), BUCKETS), np.float32)
    own = hashes(spec.symbols, 3)
    rows, found = [], []
    for row, record in enumerate(tokens):
        ended = np.flatnonzero(record == 0)
        record = record[: ended[0]] if spec.ends and len(ended) else record
        symbols = own[record] if spec.rate is None else events([spec.symbols[index] for index in record.tolist()])
        if len(symbols) >= LEAST:
            found.append(symbols[:-2] + mixed(symbols[1:-1]) * np.uint64(31) + mixed(symbols[2:]) * np.uint64(961))
            rows.append(np.full(len(symbols) - 2, row))
    if not found:
        return made[:, None]
    triples = mixed(np.concatenate(found))
    signs = np.where(mixed(triples) % np.uint64(2), np.float32(1), np.float32(-1))
    np.add.at(made, (np.concatenate(rows), (triples % np.uint64(BUCKETS)).astype(np.int64)), signs)
    length = np.linalg.norm(made, axis=1, keepdims=True)
    return (made / np.where(length > 0, length, 1.0))[:, None]


def events(symbols: list[str]) -> np.ndarray:
    """A number (K,) uint64 for each note and rest of a melody: semitones from the note before, and duration."""
    found: list[tuple[int, int]] = []
    before: int | None = None
    for symbol in symbols:
        if symbol == HOLD and found:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        elif not symbol.isdigit():  # rests, and a note that began before
            found.append((-FIRST, 1))
        else:
            pitch = int(symbol)
            found.append((FIRST if before is None else pitch - before, 1))
            before = pitch
    return mixed(np.array([(step + 2 * FIRST) * 100_003 + length for step, length in found], np.uint64))


def share(first: np.ndarray, second: np.ndarray, spec: TokensSpec) -> np.ndarray:
    """(P,) the triples that pairs of sequences have in common (the cosine of their counts)."""
    return np.clip(np.einsum("nd,nd->n", marks(first, spec)[:, 0], marks(second, spec)[:, 0]), 0.0, 1.0)
