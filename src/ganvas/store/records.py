"""Records in memory, as all that trains, draws and judges finds them. Not for opening files: `data.dataset`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Field:
    """One field of all records. values: (N, ...) in file units, as the spec's kind keeps them, memory-mapped, read-only.

    declared: whether the files themselves say what the spec says of values, so that nothing of it is learnt from records. told:
    the note on what was learnt, one of those of the data set.
    """

    spec: Any
    values: np.ndarray
    declared: bool = False
    told: str = ""


@dataclass(frozen=True)
class Origins:
    """Of which files records are. files: their names, relative to the source. of: (N,), an index into them for each record."""

    files: tuple[str, ...]
    of: np.ndarray

    def at(self, rows: np.ndarray) -> Origins:
        """Of the records at `rows` alone, called as they are among all."""
        names = np.array(self.names(), object)[rows].tolist()
        return Origins(tuple(names), np.arange(len(names)))

    def names(self) -> list[str]:
        """One a record: the file, and which of its records where it holds several (`scan.nii.gz, record 3`)."""
        many = np.bincount(self.of, minlength=len(self.files))
        seen = np.zeros(len(self.files), np.int64)
        found = []
        for file in self.of.tolist():
            seen[file] += 1
            found.append(self.files[file] if many[file] == 1 else f"{self.files[file]}, record {seen[file]}")
        return found


@dataclass
class Dataset:
    """Records of named fields, in file units, with what belongs to each.

    fields: by name; the first is the main one, which systems make, `spec` and `values` are its own. Records of one field call
    it `real`. labels: (N,) int64, an index into `spec.classes`, or None. groups: (N,) int64; records of one group (a patient, a
    volume, near twins) are never on both sides of the split. heldout: (N,) bool. source: as the user named it.
    fingerprint: a hash of the content and of every setting that changes the values or the split. notes: what was
    skipped, changed or is worth knowing, one line each. declared_split: whether the data itself says what is held out (a
    `split` column, `train` and `test` folders). earlier: the fingerprints that these records had by earlier rules of splitting.
    origins: of which files the records are; None where there are none. persons: (N,) int64, the groups as the data names them
    (a patient, a volume), before near twins were joined to them; None where nobody says. shards: (N,) int32, in which shard
    each record lies, where values are read from these as they are asked for (`data.shards`); None where they are at hand.
    """

    fields: dict[str, Field]
    labels: np.ndarray | None
    groups: np.ndarray
    heldout: np.ndarray
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()
    declared_split: bool = False
    earlier: tuple[str, ...] = ()
    origins: Origins | None = None
    persons: np.ndarray | None = None
    shards: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def main(self) -> str:
        """The name of the main field."""
        return next(iter(self.fields))

    @property
    def spec(self) -> Any:
        """What records of the main field are."""
        return self.fields[self.main].spec

    @property
    def values(self) -> np.ndarray:
        """The main field of all records (N, ...)."""
        return self.fields[self.main].values

    def names(self) -> list[str]:
        """What the user may call each record by: its file, or its number."""
        return [f"record {k + 1}" for k in range(len(self))] if self.origins is None else self.origins.names()

    def train_indices(self) -> np.ndarray:
        """Indices (int64, ascending) of the records to train on."""
        return np.flatnonzero(~self.heldout)

    def heldout_indices(self) -> np.ndarray:
        """Indices (int64, ascending) of the records kept away from training."""
        return np.flatnonzero(self.heldout)
