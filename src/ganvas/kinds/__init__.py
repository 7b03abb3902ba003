"""Kinds of data beside images and points: what is special about sound, series, solids ... in one file each.

A kind says which files it reads and how they become records, how records become tensors and batches, how samples are written
and shown, and which features judge them. Everything else (cache, split, stream, run, evaluation, audit) is common to all.
Images and points are older than this table and live in `data/`, `batches.py` and `run/`. Free of torch until used.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GanvasError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from ..batches import Batch, Noise
    from ..data.cache import Writer
    from ..data.dataset import Dataset
    from ..data.listing import Listing
    from ..metrics.measure import Measure

SUFFIXES: dict[str, tuple[str, ...]] = {
    "sound": (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff", ".aifc"),
    "series": (".csv", ".tsv", ".parquet", ".npz", ".npy"),
    "solid": (".obj", ".stl", ".ply", ".nii", ".nii.gz", ".npz", ".npy"),
    "graph": (
        ".edges",
        ".edgelist",
        ".graphml",
        ".gml",
        ".txt",
        ".csv",
        ".tsv",
        ".npz",
        ".npy",
        ".gpickle",
        ".pickle",
        ".pkl",
    ),
    "tokens": (".txt", ".csv", ".tsv", ".npz", ".mid", ".midi"),
}
"""Kinds that have a module here, and the suffixes of their files; the name is the module's, and the spec's `kind`."""
NAMES = tuple(SUFFIXES)


class Kind:
    """What the rest of ganvas asks of a kind. Records are arrays (N, ...) in file units, samples tensors of the game."""

    name: str
    noun: str  # plural, for sentences
    formats: tuple[str, ...]  # in which samples are written, the default first
    shown: int = 16  # records in a picture during training
    usual: int = 64  # samples that are written when no number is given
    whole: bool = False  # all records together are one thing (the edges of a graph), made and judged as a whole
    features: str  # what `vectors` are, for protocols

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of its files, lower case."""
        return SUFFIXES[self.name]

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """Decode the files of `listing` into the writer and say what they are (`data._filling.conclude`).

        settings: `size` (text of --size or None), `channels`, `rate`, `fit`. Raises DataError in one line.
        """
        raise NotImplementedError

    def kept(self, values: np.ndarray, spec: Any) -> np.ndarray | None:
        """Records (N,) bool that must never be held out; None where all may be."""
        return None

    def stream(self, dataset: Dataset, batch_size: int, seed: int, world: int) -> Any:
        """A training stream of its own (`engine.Stream`); None for shuffled records, as of any other kind."""
        return None

    def encode(self, values: np.ndarray, spec: Any, device: Any) -> Tensor:
        """Records in file units -> tensors of the game, about [-1, 1]."""
        raise NotImplementedError

    def decode(self, tensor: Tensor, spec: Any) -> np.ndarray:
        """The inverse of `encode` up to rounding."""
        raise NotImplementedError

    def batch(self, noise: Noise, labels: Tensor | None, tensor: Tensor) -> Batch:
        """A batch of this kind."""
        raise NotImplementedError

    def write(
        self, records: np.ndarray, spec: Any, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """Write samples as files that say they are synthetic. Raises GanvasError for what the format cannot hold."""
        raise NotImplementedError

    def picture(self, path: Path, records: np.ndarray, spec: Any) -> np.ndarray:
        """Write one PNG of records for people to look at; returns it as (H, W, 3) uint8."""
        raise NotImplementedError

    def picture_beside(self, path: Path, records: np.ndarray, dataset: Dataset) -> np.ndarray:
        """The same with real records of the data set beside them, where a kind shows these."""
        return self.picture(path, records, dataset.spec)

    def vectors(self, values: np.ndarray, spec: Any) -> np.ndarray:
        """Features (N, D) float32 of records, by which samples are judged."""
        raise NotImplementedError

    def score(
        self, path: Path, name: str, spec: Any, anomaly: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], out: Path
    ) -> tuple[float, list[Path], list[str]]:
        """Score a file and write, as `out`/`name`..., where it is unusual: (score of the file, files written, notes).

        anomaly: records (N, ...) in file units -> scores (N,) and maps (N, ...). Raises DataError for a file that does not fit,
        GanvasError for kinds that are not scored.
        """
        raise GanvasError(f"{self.noun} are not scored file by file")

    def loudness(self, records: np.ndarray, spec: Any, level: str) -> tuple[np.ndarray, list[str]]:
        """Records brought to one loudness, `peak:-1`, `rms:-20` or `lufs:-16`, and notes for the user.

        Raises GanvasError for kinds that are not heard.
        """
        raise GanvasError(f"--loudness is for sound, not for {self.noun}")

    def properties(self, records: np.ndarray, spec: Any) -> dict[str, np.ndarray]:
        """Properties that people have words for, (N,) float each, NaN where a record has none; they name latent directions
        (`ganvas.inference.directions`). None unless a kind says so."""
        return {}

    def measures(
        self, made: tuple[np.ndarray, Any], train: tuple[np.ndarray, Any], heldout: tuple[np.ndarray, Any], seed: int
    ) -> dict[str, Measure]:
        """What the field measures of samples, by key, beside what is measured of `vectors`; nothing unless a kind says so.

        Each side: records (N, ...) in file units, and their spec.
        """
        return {}

    def vectors_beside(self, values: np.ndarray, others: np.ndarray, spec: Any) -> np.ndarray:
        """`vectors` of held-out records of a kind whose records are features of each other; others: those learnt from."""
        return self.vectors(values, spec)

    def anchors(
        self, train: tuple[np.ndarray, Any], heldout: tuple[np.ndarray, Any], seed: int
    ) -> dict[str, tuple[np.ndarray, Any]]:  # fmt: skip
        """Trivial samples by name, whose `measures` stand beside those of the samples: records and their spec."""
        return {}

    def audit(
        self, made: tuple[np.ndarray, Any], train: tuple[np.ndarray, Any], heldout: tuple[np.ndarray, Any], seed: int
    ) -> Any:
        """An audit (`metrics.memorisation.Audit`) in place of the common one on `vectors`; None for that one.

        Sides as for `measures`, by which the kind must have them too. Raises GanvasError for too few records.
        """
        return None

    def describe(self, spec: Any) -> str:
        """What records are, in a few words: `sounds of 16384 samples at 16000 Hz, mono`."""
        raise NotImplementedError


def kind_of(name: str) -> Kind:
    """The kind of that name. Raises KeyError for images, points and unknown ones."""
    if name not in NAMES:
        raise KeyError(name)
    kind: Kind = import_module(f"{__name__}.{name}").KIND
    return kind


def is_kind(name: str) -> bool:
    """Whether the name is one of this table's."""
    return name in NAMES


def recognise(path: Path, wanted: tuple[str, ...] = ()) -> str | None:
    """The kind that most files under `path` are of, by their suffixes, or that of a phantom.

    None for pictures, points and anything else. wanted: kinds that a system learns from; where a suffix may mean several
    (`.csv`, `.npz`), these decide.
    """
    from ..data.listing import walk_names
    from ..data.phantoms import catalogue, is_phantom

    if is_phantom(str(path)):
        made = catalogue()[str(path).partition(":")[0]].kind
        return made if is_kind(made) else None
    names = [path.name] if path.is_file() else list(walk_names(path)) if path.is_dir() else []
    counts: dict[str, int] = {}
    for name in names:
        lower = name.lower()
        for kind in NAMES:
            if lower.endswith(SUFFIXES[kind]) and (kind in wanted or not lower.endswith(AMBIGUOUS)):
                counts[kind] = counts.get(kind, 0) + 1
    pictures = sum(name.lower().endswith((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".dcm")) for name in names)
    best = max(counts, key=lambda kind: (counts[kind], kind in wanted), default=None)
    return best if best is not None and counts[best] >= pictures else None


AMBIGUOUS = (".csv", ".npz", ".npy", ".txt", ".nii", ".nii.gz", ".tsv", ".parquet")
"""Suffixes that images and points have as well: they mean another kind only to a system that asks for it."""
