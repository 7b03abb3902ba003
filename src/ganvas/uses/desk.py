"""Where the results of a use go: files of its own, rows of a table, arrays, notes. Not for what a kind writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import disk_errors, write_atomically
from ..kinds import kind_of
from ..kinds.facets import Deep

if TYPE_CHECKING:
    from ..kinds.facets import Piece
    from . import Use

TABLE = "scores.csv"
BEYOND = 0.1  # of the range from black to white: scanned and resampled values go beyond it by a little


def shortened(number: Any) -> float:
    """Six digits: what a table of scores tells."""
    return float(f"{float(number):.6g}")


class Desk:
    """The results of one call in the folder `out`.

    written: files so far. rows: of the table of numbers, `file` and what was found of it, with `record` where a file holds
    several; stems: the names that results of these have, without suffix. several: of files that hold several records, which
    file, the name of its results, those of its records in order, and the settings it was read with. arrays: name -> one for
    each record, places: of these.
    kept: whatever a use has to remember until it finishes. facts: plain values that belong to all files, which the call
    returns. notes: for the user, each told once.
    """

    def __init__(self, out: Path, say: Callable[[str], None] = lambda text: None) -> None:
        self.out, self.say = out, say
        self.written: list[Path] = []
        self.rows: list[dict[str, Any]] = []
        self.stems: list[str] = []
        self.arrays: dict[str, list[np.ndarray]] = {}
        self.places: list[dict[str, Any]] = []
        self._origins: dict[str, dict[str, Any]] = {}
        self.several: list[tuple[Path, str, list[str], Mapping[str, Any]]] = []
        self.kept: list[Any] = []
        self.facts: dict[str, Any] = {}
        self.notes: list[str] = []
        self._first: set[str] = set()

    def note(self, text: str) -> None:
        """Tell the user, unless it was told before."""
        if text not in self.notes:
            self.notes.append(text)
            self.say(f"note: {text}")

    def note_first(self, what: str, text: str) -> None:
        """As `note`, of the first file of which it is true: a folder may have hundreds. what: any name of the matter."""
        if what not in self._first:
            self._first.add(what)
            self.note(f"{text} (told of the first such file)")

    def values_beyond(self, file: str, pieces: Sequence[Piece], use: Use) -> None:
        """A note where values go well beyond what is black and white of a file (metal in a CT), and the use does not give them
        back; of the first such file, for a series has hundreds."""
        if not pieces or use.mend is not None or not isinstance(kind_of(pieces[0].spec.kind), Deep):
            return
        low, high = (getattr(pieces[0].spec, name, None) for name in ("low", "high"))
        if low is None or high is None:
            return
        room = BEYOND * (high - low)
        if any(piece.records.min() < low - room or piece.records.max() > high + room for piece in pieces):
            told = f"{file}: values beyond {low:g} to {high:g}, which are black and white here, are taken as these"
            self.note_first("values beyond", told)

    def comes_from(self, name: str, file: str, record: int | None = None) -> None:
        """The input that results of that name are of: its file as the user calls it, and which record of several."""
        self._origins[name] = {"file": file} if record is None else {"file": file, "record": record}

    def row(self, name: str, found: Mapping[str, Any]) -> None:
        """A row of the table: what was found of the record whose results have that name."""
        self.rows.append({**self._origins.get(name, {"file": name}), **found})
        self.stems.append(name)

    def path(self, name: str) -> Path:
        """The place of a file of that name, relative and with its suffix; its folder is made."""
        path = self.out / name
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def save(self, name: str, content: bytes) -> Path:
        """Write a file. Raises RunError."""
        path = self.path(name)
        write_atomically(path, content)
        self.written.append(path)
        return path

    def take(self, names: list[str], made: dict[str, Any]) -> None:
        """Numbers (N,) become rows, arrays (N, ...) are kept; both are written by `finish`. names: of the N records."""
        import torch

        found = {key: value.float().cpu().numpy() if isinstance(value, torch.Tensor) else value for key, value in made.items()}
        numbers = {key: value for key, value in found.items() if value.ndim == 1}
        if numbers:
            for place, name in enumerate(names):
                self.row(name, {key: shortened(value[place]) for key, value in numbers.items()})
        others = {key: value for key, value in found.items() if value.ndim > 1}
        for key, value in others.items():
            self.arrays.setdefault(key, []).extend(value)
        self.places += [self._origins.get(name, {"file": name}) for name in names] if others else []

    def finish(self) -> None:
        """Write the table of numbers and the arrays."""
        if self.rows:
            found = dict.fromkeys(key for row in self.rows for key in row)
            columns = sorted(found, key=lambda key: {"file": 0, "record": 1}.get(key, 2))
            text = io.StringIO()
            table = csv.writer(text, lineterminator="\n")
            table.writerow(columns)
            for row in self.rows:
                cells = (row.get(key, "") for key in columns)
                table.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in cells])
            self.save(TABLE, text.getvalue().encode())
        for name, values in self.arrays.items():
            buffer = io.BytesIO()
            arrays: dict[str, Any] = {f"{name}s": np.stack(values), "files": np.array([place["file"] for place in self.places])}
            if any("record" in place for place in self.places):
                arrays["records"] = np.array([place.get("record", 1) for place in self.places])
            np.savez_compressed(buffer, **arrays)
            self.save(f"{name}s.npz", buffer.getvalue())
