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
    from ..data.listing import Listing

SUFFIXES: dict[str, tuple[str, ...]] = {
    "sound": (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff", ".aifc"),
    "series": (".csv", ".tsv", ".parquet", ".npz", ".npy"),
    "solid": (".obj", ".stl", ".ply", ".nii", ".nii.gz", ".npz", ".npy"),
}
"""Kinds that have a module here, and the suffixes of their files; the name is the module's, and the spec's `kind`."""
NAMES = tuple(SUFFIXES)


class Kind:
    """What the rest of ganvas asks of a kind. Records are arrays (N, ...) in file units, samples tensors of the game."""

    name: str
    noun: str  # plural, for sentences
    formats: tuple[str, ...]  # in which samples are written, the default first
    shown: int = 16  # records in a picture during training
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

    def loudness(self, records: np.ndarray, level: str) -> np.ndarray:
        """Records brought to one loudness, `peak:-1` or `rms:-20`. Raises GanvasError for kinds that are not heard."""
        raise GanvasError(f"--loudness is for sound, not for {self.noun}")

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
