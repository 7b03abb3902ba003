"""Points in a few dimensions, from a table of numbers.

Records are (N, D) float32 in file units, tensors the same, (x - centre) / scale of the spec. Not for windows of series.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError
from ...files import write_atomically
from ...store.entry import conclude
from .. import Kind, KindSays
from ..facets import Piece
from .files import read_points_file
from .scatter import scatter
from .spec import PointsSpec

if TYPE_CHECKING:
    from torch import Tensor

    from ...metrics.measure import Measure
    from ...store.cache import Writer
    from ...store.listing import Listing


class PointsKind(Kind):
    name = "points"
    spec = PointsSpec
    suffixes = (".csv", ".tsv", ".jsonl", ".parquet", ".npz")
    lent = (".tsv", ".jsonl", ".parquet", ".npz")
    formats = ("csv", "npz")
    says = KindSays(
        noun="points",
        features="points",
        limit="Where the data has no points, samples may lie; outside the range of the data, density says nothing.",
        phantom="patterns",
        shown=2_000,
        phantom_count=20_000,  # they cost nothing, and few of them are learnt by heart
        threads=1,
        plain=True,
        walks="a walk between two points shows nothing that the picture of all does not",
        example_size=1,
        example_channels=2,
        small=(1, 2),
        overlooks="points that were moved by as much as neighbours are apart",
    )

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """Raises DataError unless there is just one file."""
        if len(listing.files) != 1:
            from ...store.listing import some

            raise DataError(
                f"{listing.source}: {len(listing.files)} tables ({some(listing.names)}); for points, name the file: "
                f"{listing.files[0]}"
            )
        found = read_points_file(listing.files[0])
        self._fill(writer, found.points, found.labels, found.classes, [*listing.notes, *found.notes])

    def takes(self, array: np.ndarray) -> bool:
        """(N, D)."""
        return array.ndim == 2

    def fill_array(
        self, writer: Writer, values: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...],
        groups: np.ndarray | None, settings: Mapping[str, Any], progress: bool,
    ) -> None:  # fmt: skip
        """(N, D) numbers. Equal points are one group, and so stay on one side of the split, whatever `groups` says."""
        self._fill(writer, values, labels, classes, [])

    def _fill(
        self, writer: Writer, values: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...], notes: list[str]
    ) -> None:
        points = np.ascontiguousarray(values, np.float32)
        for row in points:
            writer.row(row)
        centre, scale = scale_of(points)
        if not scale > 0:
            raise DataError("all points are the same: nothing to learn")
        same = np.unique(points, axis=0, return_inverse=True)[1].reshape(-1)
        conclude(writer, PointsSpec(points.shape[1], centre, scale, classes), labels, same, None, notes)

    learnt = ("centre", "scale")

    def learn(self, spec: PointsSpec, values: np.ndarray, rows: np.ndarray) -> tuple[PointsSpec, str]:
        """Centre and scale, as they are where these points are all the same; see `facets.Learns`."""
        centre, scale = scale_of(np.asarray(values[rows]))
        return (replace(spec, centre=centre, scale=scale) if scale > 0 else spec), ""

    def read(self, path: Path, spec: PointsSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """All points of a file; see `facets.Reads`."""
        found = read_points_file(path)
        points = found.points
        if points.shape[1] != spec.dimensions:
            raise DataError(f"{path}: points of {points.shape[1]} numbers, and the run was trained on {spec.dimensions}")
        yield Piece(points, spec, tuple(f"{path.name}: {note}" for note in found.notes))

    def encode(self, values: np.ndarray, spec: PointsSpec, device: Any) -> Tensor:
        import torch

        centre = np.asarray(spec.centre or (0.0,) * spec.dimensions, dtype=np.float32)
        scaled = (np.asarray(values, dtype=np.float32) - centre) / np.float32(spec.scale)
        return torch.from_numpy(scaled).to(device, non_blocking=True)

    def decode(self, tensor: Tensor, spec: PointsSpec) -> np.ndarray:
        centre = np.asarray(spec.centre or (0.0,) * spec.dimensions, dtype=np.float32)
        points: np.ndarray = tensor.detach().float().cpu().numpy() * np.float32(spec.scale) + centre
        return points

    def write(
        self, records: np.ndarray, spec: PointsSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """One file, `samples`, a point a line."""
        if depth is not None:
            raise GanvasError("--depth is for images; this run makes points")
        path = folder / f"samples.{format}"
        buffer = io.BytesIO()
        if format == "npz":
            np.savez_compressed(buffer, x=records)
        else:
            names = ",".join("xyzuvw"[i] if i < 6 else f"x{i}" for i in range(records.shape[1]))
            np.savetxt(buffer, records, delimiter=",", header=names, comments="", fmt="%.6g")
        write_atomically(path, buffer.getvalue())
        return [path]

    def picture(self, records: np.ndarray, spec: PointsSpec) -> np.ndarray:
        return scatter(np.asarray(records, np.float64), spec)

    def grid(
        self, records: np.ndarray, spec: PointsSpec, *, columns: int | None = None, labels: np.ndarray | None = None,
        captions: tuple[str, ...] = (), rows: tuple[str, ...] = (),
    ) -> np.ndarray:  # fmt: skip
        """With labels a panel a class (the first twelve)."""
        return scatter(np.asarray(records, np.float64), spec, labels)

    def vectors(self, values: np.ndarray, spec: PointsSpec) -> np.ndarray:
        """The points themselves."""
        return np.asarray(values, np.float32)

    def aligned(self, values: np.ndarray, spec: PointsSpec, other: PointsSpec) -> tuple[np.ndarray, PointsSpec, list[str]]:
        """As they are: points are in file units; see `facets.Aligned`."""
        return np.asarray(values), other, []

    def compared(self, values: np.ndarray, heldout: np.ndarray) -> dict[str, Measure]:
        """The sliced Wasserstein distance."""
        from ...metrics.measure import Measure
        from ...metrics.points import sliced_wasserstein

        protocol = f"sw1/n={len(values)}/m={len(heldout)}/ref=heldout"
        return {"sliced_wasserstein": Measure(sliced_wasserstein(values, heldout), protocol)}

    def describe(self, spec: PointsSpec) -> str:
        return f"points of {spec.dimensions} numbers"

    def example(self, size: int, channels: int, classes: tuple[str, ...] = ()) -> PointsSpec:
        return PointsSpec(channels, classes=classes)


def scale_of(points: np.ndarray) -> tuple[tuple[float, ...], float]:
    """(centre, scale) of points (N, D): the 0.1 and 99.9 percentiles of the widest dimension become -1 and 1."""
    low, high = np.percentile(points.astype(np.float64), (0.1, 99.9), axis=0)
    return tuple(float(c) for c in (low + high) / 2), float((high - low).max() / 2)


KIND = PointsKind()
