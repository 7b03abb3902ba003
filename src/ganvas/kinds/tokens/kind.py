"""Tokens: sequences of symbols, such as words or characters of a text, and melodies on a grid of time.

Files become records (N, length) int32, indices into the symbols of the spec; tensors are the same in int64. Not for reading
files (`_tokens_files`), and not for taking words apart: a symbol is what the file separates.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError
from ...store.cells import decoded
from ...store.listing import Listing, class_indices, counted
from ...store.midi import USUAL_TEMPO, grid_of, on_grid, steps_of
from .. import Kind, KindSays
from ..facets import Piece
from . import files, forms
from .hashing import hashes, mixed
from .recognition import marks, share
from .spec import LEAST, MOST, VOCABULARY, WHOLE, TokensSpec, symbol_order, texts

if TYPE_CHECKING:
    from torch import Tensor

    from ...metrics.measure import Measure
    from ...store.cache import Writer
    from ..facets import Side

MELODY = 32  # steps that longer melodies give
STRETCHES = 10  # of a lone melody, so that one can be held out
BUCKETS = 256  # into which symbols, and pairs of symbols, are hashed
SYNTHETIC = "SYNTHETIC: made by a generative model"


@dataclass
class _Sequence:
    """One sequence. symbols: their texts, or the steps of a melody before it is cut. group: what it belongs to."""

    place: int
    symbols: list[Any]
    group: Any


class TokensKind(Kind):
    name = "tokens"
    spec = TokensSpec
    suffixes = (".txt", ".csv", ".tsv", ".npz", ".mid", ".midi", ".parquet", ".jsonl")
    lent = (".parquet", ".jsonl")
    formats = ("txt", "csv", "npz", "mid")
    format_aliases = {"text": "txt", "midi": "mid"}
    says = KindSays(
        noun="sequences",
        features="symbols+pairs",
        limit="Sequences of symbols follow what was common in the data: they state no facts, and may repeat passages of it.",
        phantom="melodies",
        shown=16,
        discrete=True,
        example_size=20,
        example_channels=5_000,
        small=(8, 5),
        anew="the vocabulary is that of the symbols which are there",
        ended=True,
        overlooks=(
            "copies with every fourth symbol changed, passages that begin in the middle of a training sequence, "
            "and melodies at another pace"
        ),
        options={
            "size": "symbols of a record",
            "rate": "steps a beat, of melodies; default: what their notes need",
            "fit": "crop: the start of each; patches: all of it in pieces",
        },
    )

    # Reading

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """See `Kind.fill`. Longer sequences are cut at the length; with `--fit patches`, and for melodies, they give
        consecutive pieces, all in one group. A last piece counts when it fills half the length. `rate`: of melodies, steps a
        beat."""
        from ...store.entry import NOTED, conclude

        held, skipped = _read(listing, progress, strict)
        notes = [*listing.notes, *(f"skipped {reason}" for _, reason in skipped[:NOTED])]
        if len(skipped) > NOTED:
            notes.append(f"skipped {len(skipped) - NOTED} more unreadable files")
        sequences, like = _taken_apart(held, listing, settings.get("rate"), notes)
        melodies = like.rate is not None
        length = _length(settings.get("size"), [len(s.symbols) for s in sequences], melodies)
        pieces = _cut(sequences, length, settings.get("fit") == "patches" or like.format == "mid", like, notes)
        if not pieces:
            raise DataError(f"{listing.source}: nothing is left that fills half of {length} symbols: give a shorter --size")
        declared = {symbol for _, own in held for symbol in own.declared}
        found = Counter(symbol for piece in pieces for symbol in piece.symbols)
        symbols = sorted({*found, *declared}, key=symbol_order)
        if len(found) < 2:
            raise DataError(f"{listing.source}: holds one symbol only ('{symbols[0]}'): nothing to learn")
        if len(symbols) > VOCABULARY:
            raise DataError(f"{listing.source}: {len(symbols)} symbols, more than {VOCABULARY}: split words into parts")
        short = sum(len(piece.symbols) < length for piece in pieces)
        if short:
            symbols.insert(0, "")
            notes.append(f"{short} of {len(pieces)} sequences are shorter than {length} symbols and have an end")
        rare = sum(count == 1 for count in found.values())
        if rare > len(symbols) / 4:
            notes.append(f"{rare} of {len(symbols)} symbols occur once: little can be learnt of them")
        index = {symbol: k for k, symbol in enumerate(symbols)}
        for piece in pieces:
            row = np.zeros(length, np.int32)
            row[: len(piece.symbols)] = [index[symbol] for symbol in piece.symbols]
            writer.row(row)
        places = [piece.place for piece in pieces]
        numbers, classes = class_indices([listing.labels[p] for p in places], listing.source, self.says.noun, notes)
        spec = TokensSpec(length, tuple(symbols), like.joined, like.rate, like.tempo, classes, like.format)
        sides = np.array([-1 if listing.heldout[p] is None else int(bool(listing.heldout[p])) for p in places], np.int8)
        writer.facts["skipped"] = skipped
        split = sides if (sides >= 0).any() else None
        conclude(writer, spec, numbers, _groups(pieces, writer.rows()), split, notes, [listing.names[p] for p in places])

    def fill_texts(self, writer: Writer, columns: Mapping[str, list[str]], settings: Mapping[str, Any]) -> None:
        """Captions: one column of text, taken apart into words (`captions.words_of`), with an end. See `facets.FromTexts`.

        Settings are of what the captions belong to. The length is that of the longest caption, up to 64 words.
        """
        from .captions import fill

        del settings
        fill(writer, columns)

    def encode_text(self, text: str, spec: TokensSpec) -> tuple[np.ndarray, list[str]]:
        """(1, length) int32 of words as `fill_texts` takes them; unknown ones are left out and named in a note.

        Raises DataError where no word is known.
        """
        from .captions import encode

        return encode(text, spec)

    def lines(self, record: np.ndarray, spec: TokensSpec) -> list[str]:
        """The text of a record; none of a melody."""
        return [spec.joined.join(texts(record, spec))] if spec.rate is None else []

    def read(self, path: Path, spec: TokensSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """The lines of a text file, a caption each, as `encode_text` takes them; see `facets.Reads`."""
        lines = [line for line in decoded(path).split("\n") if line.strip()]
        if not lines:
            raise DataError(f"{path}: holds no line of text")
        found = [self.encode_text(line, spec) for line in lines]
        yield Piece(np.concatenate([record for record, _ in found]), spec, tuple(note for _, own in found for note in own))

    learnt = ("forms", "shares", "apart")

    def learn(self, spec: TokensSpec, values: np.ndarray, rows: np.ndarray) -> tuple[TokensSpec, str]:
        """What always stands at a place: see `forms.learn`."""
        return forms.learn(spec, values, rows)

    def encode(self, values: np.ndarray, spec: TokensSpec, device: Any) -> Tensor:
        """(N, length) int64."""
        import torch

        return torch.from_numpy(np.asarray(values).astype(np.int64)).to(device, non_blocking=True)

    def decode(self, tensor: Tensor, spec: TokensSpec) -> np.ndarray:
        """(N, length) int32; indices may have passed through floats."""
        found: np.ndarray = tensor.detach().cpu().round().numpy().astype(np.int32)
        return found

    # Writing

    def write(
        self, records: np.ndarray, spec: TokensSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """All in one file, `synthetic.txt` (plain text has no place for a remark), `samples.csv` or `samples.npz`; or one MIDI
        file a melody."""
        from ...files import write_atomically

        if depth is not None:
            raise GanvasError("--depth means nothing to sequences: leave it out")
        mark = "; ".join([SYNTHETIC, *(f"{key} {value}" for key, value in note.items())])
        rows = [texts(row, spec) for row in records]
        if format == "mid":
            if spec.rate is None:
                raise GanvasError("--format mid is for melodies: these sequences were not learnt from MIDI files")
            digits = max(4, len(str(len(rows))))
            paths = [folder / f"sample-{number:0{digits}d}.mid" for number in range(1, len(rows) + 1)]
            for path, row in zip(paths, rows, strict=True):
                write_atomically(path, files.encode_melody(row, spec.rate, spec.tempo or USUAL_TEMPO, mark))
            return paths
        path = folder / ("synthetic.txt" if format == "txt" else f"samples.{format}")
        if format == "txt":
            if spec.joined and any(any(c.isspace() for c in symbol) for symbol in spec.symbols):
                raise GanvasError("--format txt cannot tell symbols apart that hold spaces: take csv or npz")
            body = "".join(spec.joined.join(row) + "\n" for row in rows).encode()
        elif format == "csv":
            body = files.encode_rows(rows, ",", mark)
        else:
            shift = int(spec.ends)  # the end is -1 in files
            ended = np.cumsum(records == 0, axis=1) > 0 if spec.ends else np.zeros(records.shape, bool)
            melody = {} if spec.rate is None else {"rate": np.array(spec.rate), "tempo": np.array(spec.tempo)}
            body = files.array_bytes(np.where(ended, -1, records - shift), spec.symbols[shift:], mark, melody)
        write_atomically(path, body)
        return [path]

    def picture(self, records: np.ndarray, spec: TokensSpec) -> np.ndarray:
        """Melodies as piano rolls; anything else as rows of symbols on colours of their own, which need no font."""
        from .pictures import draw_rolls, draw_symbols

        rows = [texts(row, spec) for row in records[: self.says.shown]]
        return draw_rolls(rows, spec) if spec.rate is not None else draw_symbols(rows, spec)

    # Judging

    def vectors(self, values: np.ndarray, spec: TokensSpec) -> np.ndarray:
        """(N, 512) float32: how often each symbol, and each pair of neighbours, occurs, hashed into 256 buckets each.

        Hashes are of the symbols' texts, so that sets with other vocabularies compare. A hash has a sign, which keeps
        expected products of different symbols at zero (Weinberger et al. 2009). The end counts as a symbol.
        """
        tokens = np.asarray(values).astype(np.int64)
        tables = [hashes(spec.symbols, salt) for salt in (1, 2)]
        first, second = tables[0][tokens], tables[1][tokens]
        inside = np.ones(tokens.shape, bool)
        if spec.ends:
            inside[:, 1:] = np.cumsum(tokens[:, :-1] == 0, axis=1) == 0  # up to the first end
        made = np.zeros((len(tokens), 2, 2 * BUCKETS), np.float32)  # twice as wide, for the signs
        rows = np.broadcast_to(np.arange(len(tokens))[:, None], tokens.shape)
        pairs = mixed(first[:, :-1] + second[:, 1:] * np.uint64(31))
        for k, (hashed, kept) in enumerate(((mixed(first), inside), (pairs, inside[:, 1:]))):
            places = (hashed % np.uint64(2 * BUCKETS)).astype(np.int64)
            np.add.at(made[:, k], (rows[:, : places.shape[1]][kept], places[kept]), 1.0)
        return (made[:, :, :BUCKETS] - made[:, :, BUCKETS:]).reshape(len(tokens), -1)

    changes = "another key (of melodies) or a symbol or two"
    twin, reach = 0.8, 0.8

    def prints(self, values: np.ndarray, spec: TokensSpec, changed: bool = False) -> np.ndarray:
        """See `recognition.marks`: triples of symbols, of a melody those of steps and durations."""
        return marks(values, spec)

    def likeness(self, first: np.ndarray, second: np.ndarray, spec: TokensSpec) -> np.ndarray:
        """The triples that both have."""
        return share(first, second, spec)

    def aligned(self, values: np.ndarray, spec: TokensSpec, other: TokensSpec) -> tuple[np.ndarray, TokensSpec, list[str]]:
        """See `measures.aligned`; see `facets.Aligned`."""
        from .measures import aligned

        return aligned(np.asarray(values), spec, other)

    def measures(self, made: Side, train: Side, heldout: Side, seed: int) -> dict[str, Measure]:
        """See `measures.measures`."""
        from .measures import measures

        return measures(made, train, heldout, seed)

    def describe(self, spec: TokensSpec) -> str:
        if spec.rate is not None:
            return f"melodies of {spec.length} steps, {spec.rate} a beat, {len(spec.symbols)} symbols"
        return f"sequences of {spec.length} out of {len(spec.symbols)} symbols"

    def blank(self, spec: TokensSpec, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        shape = (count, spec.length)
        return np.zeros(shape, np.int32) if rng is None else rng.integers(0, len(spec.symbols), shape).astype(np.int32)

    def example(self, size: int, channels: int, classes: tuple[str, ...] = ()) -> TokensSpec:
        return TokensSpec(size, ("", *(str(i) for i in range(1, channels))), classes=classes)


# What `fill` works out


def _read(listing: Listing, progress: bool, strict: bool) -> tuple[list[tuple[int, files.Held]], list[tuple[str, str]]]:
    """[(place in the listing, what it holds)], and (name, reason) of files that cannot be read."""
    from ...store.progress import bar

    held: list[tuple[int, files.Held]] = []
    skipped: list[tuple[str, str]] = []
    with bar("reading", listing.files, progress) as advance:
        for place, path in enumerate(listing.files):
            try:
                held.append((place, files.read_held(path)))
            except DataError as error:
                if strict or len(listing.files) == 1:
                    raise
                skipped.append((listing.names[place], str(error)))
            advance()
    if not held:
        raise DataError(f"{listing.source}: none of {len(listing.files)} files could be read: {skipped[0][1]}")
    families = {own.family: listing.names[place] for place, own in held}
    if len(families) > 1:
        told = ", ".join(f"{family} ({name})" for family, name in families.items())
        raise DataError(f"{listing.source} mixes ways to write sequences: {told}: keep one in a folder")
    return held, skipped


@dataclass
class _Like:
    """How all sequences are written."""

    joined: str = " "
    rate: int | None = None
    tempo: float | None = None
    format: str = "txt"


def _taken_apart(
    held: list[tuple[int, files.Held]], listing: Listing, rate: int | None, notes: list[str]
) -> tuple[list[_Sequence], _Like]:  # fmt: skip
    """All sequences, and how they are written."""
    blank = sum(own.blank for _, own in held)
    if blank:
        notes.append(f"{counted(blank, 'empty line')} left out")
    notes += dict.fromkeys(note for _, own in held for note in own.told)
    family = held[0][1].family
    unended = sum(own.unended for _, own in held)
    if unended:
        notes.append(
            f"{unended} notes have no end in their files, or end as they begin: each lasts until the next one, the last as "
            "long as is usual there"
        )
    if family == "melody":
        return _melodies(held, listing, rate, notes)
    if family == "table":
        rates = {own.rate for _, own in held}
        kept = rates.pop() if len(rates) == 1 else None
        if rate not in (None, kept):
            raise GanvasError(f"--rate {rate} is for MIDI files: leave it out")
        tempo = None if kept is None else float(np.median([own.tempo or USUAL_TEMPO for _, own in held]))
        format = "npz" if held[0][1].declared else "csv"
        rows = [(place, row) for place, own in held for row in own.rows]
        like = _Like(rate=kept, tempo=tempo, format=format)
    else:
        if rate is not None:
            raise GanvasError(f"--rate {rate} is for MIDI files: leave it out")
        lines = [(place, line) for place, own in held for line in own.lines]
        characters = files.is_written_without_spaces([line for _, line in lines])
        notes.append("a symbol is a character, a space is one too" if characters else "a symbol is what stands between spaces")
        apart = sum(not unicodedata.is_normalized("NFC", line) for _, line in lines)
        if apart:
            told = f"{apart} of {len(lines)} lines write accents as signs of their own"
            notes.append(f"{told}: other symbols than letters with accents (save all as NFC)")
        rows = [(place, list(line) if characters else line.split()) for place, line in lines]
        like = _Like(joined="" if characters else " ")
    groups = [listing.groups[place] for place, _ in rows]
    return [
        _Sequence(place, row, ("line", k) if group is None else ("group", group))
        for k, ((place, row), group) in enumerate(zip(rows, groups, strict=True))
    ], like


def _melodies(
    held: list[tuple[int, files.Held]], listing: Listing, rate: int | None, notes: list[str]
) -> tuple[list[_Sequence], _Like]:  # fmt: skip
    if rate is not None and not 1 <= rate <= 48:
        raise GanvasError(f"--rate {rate} is out of range for melodies: steps a beat, 1 to 48")
    grids = {own.grid[0] if own.grid else None for _, own in held}
    melodies = [own.notes for _, own in held]
    if rate is None:
        rate = next(iter(grids)) if len(grids) == 1 and None not in grids else None
    if rate is None:
        rate = grid_of(melodies)[0]
    share = on_grid(np.concatenate([[n.start for n in own] for own in melodies]), rate)
    notes.append(f"{rate} steps a beat; {1 - share:.1%} of the notes begin between steps and were moved (--rate takes more)")
    sequences = []
    lost = 0
    for place, own in held:
        steps = steps_of(own.notes, rate)
        lost += files.crowded(own.notes, steps, rate)
        if own.grid is not None and own.grid[0] == rate:  # silence at the end belongs to what was written
            steps = np.pad(steps, ((0, max(0, own.grid[1] - len(steps))), (0, 0)), constant_values=-1)
        group = listing.groups[place]
        key = ("file", place) if group is None else ("group", group)
        sequences.append(_Sequence(place, steps.tolist(), key))
    if lost:
        told = f"{lost} of {sum(map(len, melodies))} notes fell on the step of another and are gone"
        notes.append(f"{told} (--rate takes more steps a beat)")
    tempo = float(np.median([own.tempo or USUAL_TEMPO for _, own in held]))
    if changing := sum(own.tempos > 1 for _, own in held):
        notes.append(
            f"{counted(changing, 'file')} with several tempos: the one that lasts longest counts, steps are beats all the same"
        )
    return sequences, _Like(rate=rate, tempo=tempo, format="mid")


def _length(size: Any, lengths: list[int], melodies: bool) -> int:
    """Symbols of a record: as asked for, else that of the longest sequence up to 64; beyond, 64, and 32 of melodies."""
    if size is not None:
        if not str(size).isdigit() or not LEAST <= int(size) <= MOST:
            raise GanvasError(f"--size {size}: of sequences it is the number of symbols, {LEAST} to {MOST}, as in --size 20")
        return int(size)
    longest = max(lengths, default=LEAST)
    return max(LEAST, longest) if longest <= WHOLE else MELODY if melodies else WHOLE


def _cut(sequences: list[_Sequence], length: int, consecutive: bool, like: _Like, notes: list[str]) -> list[_Sequence]:
    """Pieces of at most `length` symbols; of melodies the steps become symbols now."""
    pieces: list[_Sequence] = []
    silent = over = 0
    for sequence in sequences:
        over += len(sequence.symbols) > length
        count = max(1, (2 * len(sequence.symbols) + length) // (2 * length)) if consecutive else 1
        for k in range(count):
            own = sequence.symbols[k * length : (k + 1) * length]
            if like.format == "mid":
                own = files.melody_symbols(np.array(own, np.int64).reshape(-1, 2))
                if all(symbol == files.REST for symbol in own):
                    silent += 1
                    continue
            group = sequence.group
            if like.format == "mid" and len(sequences) == 1:
                group = ("stretch", k * min(STRETCHES, count) // count)
            pieces.append(_Sequence(sequence.place, own, group))
    if consecutive and over:
        notes.append(f"{counted(len(sequences), 'sequence')} cut into {len(pieces)} consecutive pieces of {length} symbols")
    elif over:
        of = f"{over} of {len(sequences)} sequences are longer than {length} symbols"
        notes.append(f"{of} and were cut there (--size takes more)")
    if silent:
        notes.append(f"{counted(silent, 'piece')} without a note left out")
    if like.format == "mid" and len(sequences) == 1 and len(pieces) > 1:
        notes.append("one melody: the held-out part is a stretch of it, so it is not independent")
    return pieces


def _groups(pieces: list[_Sequence], rows: np.ndarray) -> np.ndarray:
    """Group numbers (N,): what a piece belongs to; equal pieces are joined always."""
    from ...store.splits import join

    parent = np.arange(len(pieces), dtype=np.int64)
    for column in ([piece.group for piece in pieces], [row.tobytes() for row in rows]):
        first: dict[Any, int] = {}
        pairs = [(first.setdefault(key, i), i) for i, key in enumerate(column)]
        join(parent, *np.array(pairs, np.int64).T)
    return parent


KIND = TokensKind()
