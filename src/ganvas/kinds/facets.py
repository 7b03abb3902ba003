"""What only some kinds of data offer, as protocols: callers ask `isinstance(kind, Measured)`. Never base classes.

A member enters `Kind` when every kind needs it; until then it is a facet here. Not for what a system can do: `capabilities`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from ..metrics.measure import Measure
    from ..store.cache import Writer
    from ..store.records import Dataset

Side = tuple[np.ndarray, Any]
"""One side of a comparison: records (N, ...) in file units, and their spec."""


@runtime_checkable
class FromArrays(Protocol):
    """Takes records from memory: arrays that a user hands in, and those of phantoms without a spec of their own."""

    def takes(self, array: np.ndarray) -> bool:
        """Whether an array of this shape and type is records of this kind."""
        ...

    def fill_array(
        self, writer: Writer, values: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...],
        groups: np.ndarray | None, settings: Mapping[str, Any], progress: bool,
    ) -> None:  # fmt: skip
        """As `Kind.fill`, from records. groups: (N,) of those that belong together; None: to be found out."""
        ...


@runtime_checkable
class FromTexts(Protocol):
    """Takes records from the cells of a table: captions, attributes."""

    def fill_texts(self, writer: Writer, columns: Mapping[str, list[str]], settings: Mapping[str, Any]) -> None:
        """As `Kind.fill`, from one or several columns of text, (N,) each. Raises DataError."""
        ...


@runtime_checkable
class FromNumbers(Protocol):
    """Takes records from columns of numbers, whatever they are: properties of other records."""

    def of_numbers(self, columns: Mapping[str, np.ndarray], units: Sequence[str]) -> tuple[np.ndarray, Any]:
        """Records (N, columns) and their spec, of columns (N,) in their units, NaN where a number is not known."""
        ...


@runtime_checkable
class OwnsColumns(Protocol):
    """Has columns of a table that are known by their names (`neck_x`, `neck_y`), beside which others may stand. Offers
    `FromTexts`, too."""

    def own_columns(self, names: Sequence[str]) -> list[str]:
        """Those of the names that belong to a record of this kind; none where they make up no record."""
        ...


@runtime_checkable
class ListsFiles(Protocol):
    """Has files that hold records of many pictures or recordings, and name these."""

    def listed(self, path: Path) -> tuple[list[str], dict[str, list[str]]] | None:
        """(the names that a file tells, columns of cells (N,) as `fill_texts` takes them); None for a file of another form."""
        ...


@runtime_checkable
class Framed(Protocol):
    """Lies in the coordinates of pictures, and goes along when these are brought to another size. `Kind.fill`, `fill_texts` and
    `fill_array` find the (height, width) of the picture beside each row under `frames` in their settings, None where it is not
    known."""

    framed: bool
    """True."""


@runtime_checkable
class LooksInside(Protocol):
    """Has the files of another kind, and is told from it by what is in them (label maps among images)."""

    def looks_like(self, files: Sequence[Path]) -> bool:
        """Whether these files are of this kind."""
        ...


@runtime_checkable
class Lends(Protocol):
    """Has suffixes of other kinds, and is meant by them only where a system or `--kind` asks for it."""

    lent: tuple[str, ...]
    """Those of `Kind.suffixes` that mean another kind otherwise."""


@runtime_checkable
class Claims(Protocol):
    """Has suffixes of other kinds, and knows by a look inside that files are meant for it where nobody says what they are."""

    def claims(self, files: Sequence[Path]) -> bool:
        """Whether these files are surely of this kind."""
        ...


@runtime_checkable
class Bundles(Protocol):
    """Has records that several files make together: the frames of a clip. Tables and folders then speak of these."""

    def bundles(self, names: Sequence[str]) -> list[str]:
        """Of each file, by its name in the source, the name of what it is a part of; its own where it is whole."""
        ...


@runtime_checkable
class Beside(Protocol):
    """Reads further files that say what its records mean; when these change, records are made anew."""

    def beside(self, listing: Any) -> list[Path]:
        """Those that are there, of a `store.listing.Listing`."""
        ...


@runtime_checkable
class Learns(Protocol):
    """Has entries in its spec that are learnt from records: a scale, what always stands at a place.

    They come from the records that a system is trained on, and from no other: not from held-out ones, nor from classes that it
    is not to learn. `Kind.fill` gives a first spec, of all records.
    """

    learnt: tuple[str, ...]
    """The names of these entries."""

    def learn(self, spec: Any, values: np.ndarray, rows: np.ndarray) -> tuple[Any, str]:
        """The spec as the records at `rows` of values (N, ...) have it, and a line for the user (empty: nothing to tell)."""
        ...


@runtime_checkable
class Worded(Protocol):
    """Makes a record from words that a user types."""

    def encode_text(self, text: str, spec: Any) -> tuple[np.ndarray, list[str]]:
        """A record (1, ...) in file units, and notes on what of the text the spec does not know. Raises DataError."""
        ...


@runtime_checkable
class Spelled(Protocol):
    """Is read rather than looked at: captions, attributes."""

    def lines(self, record: np.ndarray, spec: Any) -> list[str]:
        """A record (...) in file units as lines of text; none where it is better looked at (melodies)."""
        ...


@runtime_checkable
class Columned(Protocol):
    """Has named columns, whose values can be written as texts: the attributes of other records."""

    def cells(self, records: np.ndarray, spec: Any) -> dict[str, list[str]]:
        """Column -> the text of each record (N,), empty where a value is missing."""
        ...

    def choices(self, spec: Any) -> dict[str, tuple[str, ...]]:
        """The columns that have values to choose from, of which there are two or more."""
        ...


@runtime_checkable
class Heard(Protocol):
    """Is listened to rather than looked at."""

    def heard(self, record: np.ndarray, spec: Any, most: int) -> tuple[bytes, str]:
        """A record (...) in file units as a WAV file of about `most` bytes at most, without a remark, and which part of it that
        is; an empty text where it is all."""
        ...


@runtime_checkable
class Sketched(Protocol):
    """Has a small drawing of one record that is made at once, where its picture takes long: for pages with many of them."""

    def sketch(self, record: np.ndarray, spec: Any) -> np.ndarray:
        """A record (...) in file units as a picture (H, W, 3) uint8."""
        ...


@runtime_checkable
class Sniffs(Protocol):
    """Knows its files by their first bytes too."""

    def sniff(self, path: Path) -> bool:
        """Whether a file whose suffix says nothing is one of this kind."""
        ...


@runtime_checkable
class Sided(Protocol):
    """Has sides in space, which its files tell before they are decoded."""

    def sides(self, path: Path) -> tuple[int, int] | None:
        """(height, width) as the file is shown; None where that is not known at a glance (volumes, arrays, damaged files)."""
        ...


@runtime_checkable
class Aliased(Protocol):
    """Has formats that people call by other names too."""

    format_aliases: Mapping[str, str]
    """Other name, lower case -> one of `Kind.formats`."""


@runtime_checkable
class Settles(Protocol):
    """Brings options into one form before the cache is asked."""

    def settle(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings (`Kind.fill`), equal ones equally written. Raises GanvasError for what cannot be meant."""
        ...


@runtime_checkable
class Suits(Protocol):
    """Knows at which size data is best trained when nobody says."""

    def suitable(self, source: Any) -> Any:
        """The size for what `open_data` takes as source, before anything is decoded; None leaves it as it is."""
        ...


@runtime_checkable
class Deep(Protocol):
    """Has a choice of bits a value."""

    def at_depth(self, spec: Any, depth: int) -> Any:
        """The spec in so many bits; a depth other than its own stretches to the full range."""
        ...

    def stored(self, spec: Any, format: str, depth: int | None) -> Any:
        """The spec as files of that format hold it. Raises GanvasError for a depth that the format has not."""
        ...


@runtime_checkable
class Streams(Protocol):
    """Deals its records by a stream of its own (`engine.Stream`)."""

    def stream(self, dataset: Dataset, batch_size: int, seed: int, world: int, options: Mapping[str, Any]) -> Any:
        """The training stream. options: of the system's `Feed`."""
        ...


@runtime_checkable
class Balanced(Protocol):
    """Has records that choose between values, rare ones among them, and can be dealt by these (`game.Feed.balanced`)."""

    def states(self, values: np.ndarray, spec: Any) -> np.ndarray:
        """(N, choices) int32: the value that records (N, ...) in file units show of each choice, numbered throughout."""
        ...


@runtime_checkable
class Whole(Protocol):
    """All records together are one thing (the edges of a graph), made and judged as a whole."""

    def kept(self, values: np.ndarray, spec: Any) -> np.ndarray:
        """Records (N,) bool that must never be held out."""
        ...

    def picture_beside(self, records: np.ndarray, dataset: Dataset) -> np.ndarray:
        """As `Kind.picture`, with real records of the data set beside them."""
        ...

    def vectors_beside(self, values: np.ndarray, others: np.ndarray, spec: Any) -> np.ndarray:
        """`Kind.vectors` of held-out records, which are features of each other; others: those learnt from."""
        ...


@runtime_checkable
class Seen(Protocol):
    """Is looked at: extractors that were trained on pictures judge its records, pixel by pixel measures apply."""

    def common(self, values: np.ndarray, spec: Any, other: Any) -> np.ndarray:
        """Records (N, H, W, C) of `spec` as uint8 or uint16 in the range of `other`, the same form for both sides."""
        ...

    def alike(self, values: np.ndarray) -> dict[str, Any]:
        """Options of `open_data` by which other data becomes records of the same form as these."""
        ...


@runtime_checkable
class Compared(Protocol):
    """Has measures of two sets of records that need nothing else, so that every anchor can have them too."""

    def compared(self, values: np.ndarray, heldout: np.ndarray) -> dict[str, Measure]:
        """Measures by key of `Kind.vectors` of samples against those of held-out records."""
        ...


@runtime_checkable
class Measured(Protocol):
    """Has measures of its own beside what is measured of `Kind.vectors`."""

    def measures(self, made: Side, train: Side, heldout: Side, seed: int) -> dict[str, Measure]:
        """What the field measures of samples, by key."""
        ...


Pairs = dict[str, tuple[np.ndarray, str]]
"""Measures of pairs by key: a number for each pair (N,), NaN where a pair has none, and the protocol."""


@runtime_checkable
class Paired(Protocol):
    """Has measures of how near a record that was made is to the true one that it stands for."""

    pair_measure: str
    """The first of these, as notes name it."""

    def paired(self, made: np.ndarray, true: np.ndarray, spec: Any, barred: tuple[str, ...]) -> Pairs:
        """Measures of pairs (N, ...) in file units. barred: extractors that must not judge."""
        ...


@runtime_checkable
class Anchored(Protocol):
    """Has trivial samples, whose own measures stand beside those of the samples."""

    def anchors(self, train: Side, heldout: Side, seed: int) -> dict[str, Side]:
        """Trivial samples by name."""
        ...


@runtime_checkable
class Likened(Protocol):
    """Has a trivial translation of one heap of records into another, which stands beside what a system makes of them."""

    likening: str
    """What it is, in words."""

    def likened(self, records: np.ndarray, source: np.ndarray, target: np.ndarray, spec: Any) -> np.ndarray:
        """Records (N, ...) of the heap `source`, moved to `target`; all in file units."""
        ...


@runtime_checkable
class Audited(Protocol):
    """Has an audit in place of the common one on `Kind.vectors`."""

    def audit(self, made: Side, train: Side, heldout: Side, seed: int) -> Any:
        """A `metrics.memorisation.Audit`; None for the common one. Raises GanvasError for too few records."""
        ...


@runtime_checkable
class MayBeEmpty(Protocol):
    """Has records in which there is nothing (a solid without a voxel inside): such samples are told, and not written."""

    def empty(self, records: np.ndarray) -> np.ndarray:
        """Which of records (N, ...) in file units have nothing in them: (N,) bool."""
        ...


@runtime_checkable
class Recognises(Protocol):
    """Knows a record again after what its field does to such records: played softer, begun later, transposed, turned.

    Two records that are the same but for that are twins: they are held out together, and a sample that is a twin of a training
    record is a copy of it (`metrics.recognition`).
    """

    changes: str
    """What it looks through, for sentences: `another loudness or a late start`."""
    twin: float
    """Likeness from which two records are twins."""
    reach: float
    """Product of prints under which two records are no twins."""

    def prints(self, values: np.ndarray, spec: Any, changed: bool = False) -> np.ndarray:
        """Marks (N, V, D) float32 of records, of length 1, or 0 where a record holds too little to be known again.

        changed: also of what changes make of each record; the first of V are those of the record itself. The product of a
        record's own marks with the best of another's says how alike the two may be.
        """
        ...

    def likeness(self, first: np.ndarray, second: np.ndarray, spec: Any) -> np.ndarray:
        """How alike pairs of records (N, ...) are, changes aside: (N,), 1 the same, 0 nothing in common."""
        ...


@runtime_checkable
class Aligned(Protocol):
    """Has records whose numbers mean what their spec says: names, categories, units. Two sides are compared by one spec."""

    def aligned(self, values: np.ndarray, spec: Any, other: Any) -> tuple[np.ndarray, Any, list[str]]:
        """Records (N, ...) of `spec` beside those of `other`: (records, spec, notes).

        The spec that comes back is `other`, or one by which records mean the same as by `other`. notes: in words, where the two
        sides differ in what no number shows. Raises GanvasError for what does not compare.
        """
        ...


@runtime_checkable
class Named(Protocol):
    """Has properties that people have words for; they name latent directions (`ganvas.inference.directions`)."""

    def properties(self, records: np.ndarray, spec: Any) -> dict[str, np.ndarray]:
        """Name -> (N,) float, NaN where a record has none."""
        ...


@runtime_checkable
class Askable(Protocol):
    """Has properties that records can be learnt with and asked for by. Offers `Named`, too."""

    askable: Mapping[str, str]
    """Property -> its unit, as `dB`; of `log2 Hz` values are binary logarithms of Hz, and users speak of Hz."""


@runtime_checkable
class Levelled(Protocol):
    """Is heard, at a loudness."""

    def loudness(self, records: np.ndarray, spec: Any, level: str) -> tuple[np.ndarray, list[str]]:
        """Records brought to one loudness, `peak:-1`, `rms:-20` or `lufs:-16`, and notes for the user."""
        ...


@runtime_checkable
class Gridded(Protocol):
    """Is shown as a grid, whose rows can have a class and whose columns a caption."""

    def grid(
        self, records: np.ndarray, spec: Any, *, columns: int | None = None, labels: np.ndarray | None = None,
        captions: tuple[str, ...] = (), rows: tuple[str, ...] = (),
    ) -> np.ndarray:  # fmt: skip
        """As `Kind.picture`, in order. captions: one above each column; then rows may have one above each row."""
        ...


@dataclass
class Scores:
    """Of N records: scores (N,) and maps (N, ...), which say where; parts (N, ..., C), one for each quantity measured together,
    where the system tells, else None."""

    scores: np.ndarray
    maps: np.ndarray
    parts: np.ndarray | None = None


@dataclass
class ScoredFile:
    """Of one file. score: of its most unusual place. files: those written. notes: for the user. numbers: others of it, by name.
    alarms: its stretches above the threshold, each a row of a table."""

    score: float
    files: list[Path]
    notes: list[str] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    alarms: list[dict[str, Any]] = field(default_factory=list)


@runtime_checkable
class ScoredFiles(Protocol):
    """Is scored file by file."""

    def score(
        self, path: Path, name: str, spec: Any, scored: Callable[[np.ndarray], Scores], out: Path, threshold: float | None
    ) -> ScoredFile:
        """Score a file and write, as `out`/`name`..., where it is unusual. Raises DataError for a file that does not fit.

        scored: of records (N, ...) in file units. threshold: above which a score is an alarm; None where none is known.
        """
        ...

    def usual(self, values: np.ndarray, spec: Any, scored: Callable[[np.ndarray], Scores]) -> np.ndarray:
        """(M,) what `score` would give the places of a file, of records (N, ...) in order: by those of normal records a
        threshold is chosen."""
        ...


@dataclass
class Normal:
    """Of the one thing that was learnt, as it was. records: (N, ...) all of it; heldout: (N,) bool, which it never saw; scores:
    (M,) of such records, as `ScoredFiles.usual` gives them."""

    records: np.ndarray
    heldout: np.ndarray
    scores: np.ndarray


@runtime_checkable
class ScoredStates(ScoredFiles, Protocol):
    """Is one whole thing (a graph), of which files are later states: they are set against what it was."""

    def score_state(
        self, path: Path, name: str, spec: Any, scored: Callable[[np.ndarray], Scores], out: Path, threshold: float | None,
        normal: Normal | None,
    ) -> ScoredFile:  # fmt: skip
        """As `score`; normal: None where the data that was learnt from is not at hand."""
        ...


@dataclass
class Piece:
    """Part of a file that a run is put to use on: records (N, ...) in file units, their spec, and what a user should know.

    clear: of pictures that are transparent in places, how far they are, (N, H, W) float32 from 0 to 1; these lie on white.
    follows: of a stretch of something longer (a window of a film), how much of it lies in the piece before too, in steps or
    frames; None: it goes on from nothing.
    """

    records: np.ndarray
    spec: Any
    notes: tuple[str, ...] = ()
    clear: np.ndarray | None = None
    follows: int | None = None


@runtime_checkable
class Reads(Protocol):
    """Reads a file for a trained run to be put to use on."""

    def read(self, path: Path, spec: Any, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """The file's pieces, in order, each as it is: of its own size, depth and range, with the channels of `spec`.

        spec: of the data that the run was trained on. settings: `axis`, along which volumes were cut, and `fit`: None, or how a
        record is brought to the size of the spec (`crop`, `pad`, `stretch`); `seed`; `whole`: of what could be cut into
        stretches (`Flows`), one piece each. Raises DataError.
        """
        ...


@runtime_checkable
class Flows(Protocol):
    """Has files that are larger than memory: their pieces are read, worked on and written one after the other. `write_like`
    then takes any iterable."""

    def pieces_in(self, path: Path, spec: Any, settings: Mapping[str, Any]) -> int:
        """How many `read` gives of that file. Raises DataError."""
        ...


@runtime_checkable
class WritesLike(Protocol):
    """Writes what was made of a file as a file of that form."""

    spread: int
    """How many of the last axes of its tensors lie side by side in space, so that work can be cut there; 0: none."""

    def format_like(self, path: Path) -> str:
        """The format in which a result of this file is written when the user names none."""
        ...

    def resized(self, spec: Any, shape: tuple[int, ...], like: Any, scale: int) -> Any:
        """The spec for a record whose tensor has that shape. like: the spec of what it was made of, where that is of the same
        kind, else None. scale: how many times as large it is as that."""
        ...

    def write_like(
        self, pieces: Sequence[Piece], stem: Path, source: Path | None, *, format: str, depth: int | None,
        settings: Mapping[str, Any], scale: int, note: Mapping[str, str],
    ) -> list[Path]:  # fmt: skip
        """Write what was made of a file's pieces as `stem` with a suffix, or several numbered ones.

        source: the file, where it is of the same kind; settings: as it was read with. depth: as the user asked for. Raises
        GanvasError for what the format cannot hold.
        """
        ...


@runtime_checkable
class Mapped(Protocol):
    """Can show where in a record something is."""

    def screen(self, spec: Any) -> Any:
        """The spec of the same records with the values of a screen."""
        ...

    def mapped(self, record: np.ndarray, found: np.ndarray) -> np.ndarray:
        """A picture (H, W, 3) uint8 of a record of the `screen` spec and its map, of which 1 is the most."""
        ...


@runtime_checkable
class MapsBack(Protocol):
    """Has files that hold several records side by side in space, as slices of a volume, and can lay maps of them back there."""

    def map_back(
        self,
        maps: Sequence[np.ndarray],
        path: Path,
        stem: Path,
        spec: Any,
        settings: Mapping[str, Any],
        note: Mapping[str, str],
    ) -> list[Path]:
        """Write maps, one for each record of the file in order, where the records lie in it, as `stem` with a suffix; a value
        below all others, by 1 at least, where none looked. Nothing, and an empty list, for files whose records lie nowhere.
        settings: as it was read with."""
        ...
