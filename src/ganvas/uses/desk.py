"""Where the results of a use go: files of its own, rows of a table, arrays, notes. Not for what a kind writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..files import disk_errors, write_atomically

TABLE = "scores.csv"


def shortened(number: Any) -> float:
    """Six digits: what a table of scores tells."""
    return float(f"{float(number):.6g}")


class Desk:
    """The results of one call in the folder `out`.

    written: files so far. rows: of the table of numbers, `file` and what was found of it. arrays: name -> one for each record,
    files: the names of these. kept: whatever a use has to remember until it finishes. facts: plain values that belong to all
    files, which the call returns. notes: for the user, each told once.
    """

    def __init__(self, out: Path, say: Callable[[str], None] = lambda text: None) -> None:
        self.out, self.say = out, say
        self.written: list[Path] = []
        self.rows: list[dict[str, Any]] = []
        self.arrays: dict[str, list[np.ndarray]] = {}
        self.files: list[str] = []
        self.kept: list[Any] = []
        self.facts: dict[str, Any] = {}
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Tell the user, unless it was told before."""
        if text not in self.notes:
            self.notes.append(text)
            self.say(f"note: {text}")

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
                self.rows.append({"file": name, **{key: shortened(value[place]) for key, value in numbers.items()}})
        others = {key: value for key, value in found.items() if value.ndim > 1}
        for key, value in others.items():
            self.arrays.setdefault(key, []).extend(value)
        self.files += names if others else []

    def finish(self) -> None:
        """Write the table of numbers and the arrays."""
        if self.rows:
            columns = list(dict.fromkeys(key for row in self.rows for key in row))
            text = io.StringIO()
            table = csv.writer(text, lineterminator="\n")
            table.writerow(columns)
            for row in self.rows:
                cells = (row.get(key, "") for key in columns)
                table.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in cells])
            self.save(TABLE, text.getvalue().encode())
        for name, values in self.arrays.items():
            buffer = io.BytesIO()
            arrays: dict[str, Any] = {f"{name}s": np.stack(values), "files": np.array(self.files)}
            np.savez_compressed(buffer, **arrays)
            self.save(f"{name}s.npz", buffer.getvalue())
