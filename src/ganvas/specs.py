"""What a data set is, in a few frozen fields: the `spec` that every system is built from. Free of torch.

A spec says nothing of where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ImageSpec:
    """Images of one shape.

    channels, height, width: pixels. depth: bits per channel of the files, 8, 16 or 32 (float).
    low, high: the values in file units that map to -1 and +1 (0 and 255 for 8-bit images; a NIfTI volume keeps its own
    robust range). classes: label names in index order, empty when unlabelled. spacing: millimetres per pixel
    (row, column) where the files give it, already scaled for resizing. format: the file format samples are written in
    when the user names none (`png`, `tiff`, `dicom`, `nifti`).
    """

    channels: int
    height: int
    width: int
    depth: int = 8
    low: float = 0.0
    high: float = 255.0
    classes: tuple[str, ...] = ()
    spacing: tuple[float, float] | None = None
    format: str = "png"
    kind: str = "image"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return (self.channels, self.height, self.width)


@dataclass(frozen=True)
class PointsSpec:
    """Points in a few dimensions. `centre` and `scale` map file units to about [-1, 1]: (x - centre) / scale."""

    dimensions: int
    centre: tuple[float, ...] = ()
    scale: float = 1.0
    classes: tuple[str, ...] = ()
    kind: str = "points"

    @property
    def shape(self) -> tuple[int]:
        """(dimensions,)."""
        return (self.dimensions,)


@dataclass(frozen=True)
class SoundSpec:
    """Clips of one length. length: samples. rate: samples a second. channels: 1 mono, 2 stereo. depth: bits of the files."""

    length: int
    rate: int
    channels: int = 1
    depth: int = 16
    classes: tuple[str, ...] = ()
    kind: str = "sound"

    @property
    def shape(self) -> tuple[int, int]:
        """(channels, length)."""
        return (self.channels, self.length)


@dataclass(frozen=True)
class SeriesSpec:
    """Windows of several quantities measured together. length: steps of a window. names: of the quantities.

    centre, scale: for each quantity, (x - centre) / scale is about [-1, 1]. step: seconds between rows, where it is known.
    """

    length: int
    names: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    step: float | None = None
    classes: tuple[str, ...] = ()
    kind: str = "series"

    @property
    def shape(self) -> tuple[int, int]:
        """(length, quantities)."""
        return (self.length, len(self.names))


@dataclass(frozen=True)
class SolidSpec:
    """Solid shapes as cubes of voxels, 1 inside and 0 outside. side: voxels. format: of the files (`obj`, `nifti` ...)."""

    side: int
    classes: tuple[str, ...] = ()
    format: str = "obj"
    kind: str = "solid"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(1, side, side, side)."""
        return (1, self.side, self.side, self.side)


@dataclass(frozen=True)
class TokensSpec:
    """Sequences of symbols of one length.

    length: places. symbols: the text of each, by index; the first is empty where sequences may end early: it means the end and
    fills what is behind. joined: what stands between symbols in a line of text. rate: of melodies, steps a beat; tempo: beats
    a minute; both None for anything else. format: of the files (`txt`, `csv`, `npz`, `mid`).
    """

    length: int
    symbols: tuple[str, ...]
    joined: str = " "
    rate: int | None = None
    tempo: float | None = None
    classes: tuple[str, ...] = ()
    format: str = "txt"
    kind: str = "tokens"

    @property
    def shape(self) -> tuple[int]:
        """(length,)."""
        return (self.length,)

    @property
    def ends(self) -> bool:
        """Whether sequences may be shorter than the length."""
        return self.symbols[0] == ""


@dataclass(frozen=True)
class GraphSpec:
    """Edges of one graph, undirected and simple. nodes: how many. names: of the nodes; empty where they are their numbers.

    format: of the file (`edges`, `graphml`, `csv`, `npz`).
    """

    nodes: int
    names: tuple[str, ...] = ()
    format: str = "edges"
    classes: tuple[str, ...] = ()
    kind: str = "graph"

    @property
    def shape(self) -> tuple[int]:
        """(2,): a record is an edge, a pair of nodes."""
        return (2,)


Spec = ImageSpec | PointsSpec | SoundSpec | SeriesSpec | SolidSpec | TokensSpec | GraphSpec


def spec_to_dict(spec: Spec) -> dict[str, Any]:
    """Plain values, for YAML and JSON."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(spec).items()}


def spec_from_dict(values: dict[str, Any]) -> Spec:
    """The inverse of `spec_to_dict`. Raises ValueError for an unknown kind."""
    known = (ImageSpec, PointsSpec, SoundSpec, SeriesSpec, SolidSpec, TokensSpec, GraphSpec)
    kinds: dict[str, Any] = {c.kind: c for c in known}
    if values.get("kind") not in kinds:
        raise ValueError(f"unknown data kind {values.get('kind')!r}")
    spec: Spec = kinds[values["kind"]](**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    return spec
