"""Poses: named points in the coordinates of a picture, and whether each is seen: the joints of a body, the corners of a face.

Records are (N, K, 3) float32: x and y in pixels and visibility (2 seen, 1 hidden, 0 not there, at (0, 0)). Tensors are the same
with x and y from -1 to 1 over the picture's sides and visibility less 1. Beside pictures they go along when these are resized.
Not for heat maps, which systems make themselves, nor for several people in one picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError, MixedData
from ...store.listing import class_indices, some
from .. import Kind, KindSays
from ..facets import Pairs, Piece
from ..image import grid as grids
from ..image.kind import KIND as IMAGES
from ..image.resize import PIECES, carried
from ..image.spec import ImageSpec
from . import files
from .skeletons import usual_links
from .spec import PoseSpec

if TYPE_CHECKING:
    from torch import Tensor

    from ...store.cache import Writer
    from ...store.listing import Listing

BEYOND = 1.0  # pixels by which a point may lie outside its picture, as rounding leaves it
NEAR = 0.1  # of the longer side of a pose: a point so near to the true one is right (PCK)


class PoseKind(Kind):
    name = "pose"
    spec = PoseSpec
    suffixes = (".json", ".csv", ".tsv", ".npz")
    lent = suffixes
    formats = ("json", "csv", "npz", "png")
    framed = True
    says = KindSays(
        noun="poses",
        features="places",
        limit="Poses are those of the data; a made one is no measurement of a body.",
        phantom="",
        shown=64,
        example_channels=7,
        small=((16, 12), 5),
        lossy=("png",),
        overlooks="poses that are mirrored, or moved by more than a few pixels",
        options={
            "size": IMAGES.says.options["size"],
            "fit": "how pictures of another aspect are met, with which they go along: crop, pad or stretch",
        },
    )

    # Reading

    def claims(self, own: Sequence[Path]) -> bool:
        """Whether the first of the files that may be poses are; see `facets.Claims`."""
        paths = [path for path in own if path.suffix.lower() in self.suffixes][:3]
        if not paths or not all(_may_be(path) for path in paths):
            return False
        try:
            return all(len(files.read_poses(path).points) > 0 for path in paths)
        except DataError:
            return False

    def own_columns(self, names: Sequence[str]) -> list[str]:
        """See `files.own_columns`; see `facets.OwnsColumns`."""
        return files.own_columns(names)

    def listed(self, path: Path) -> tuple[list[str], dict[str, list[str]]] | None:
        """See `files.listed`; see `facets.ListsFiles`."""
        return files.listed(path)

    def settle(self, settings: dict[str, Any]) -> dict[str, Any]:
        """As for images. Raises GanvasError where these would be cut into pieces."""
        if settings.get("fit") in PIECES:
            raise GanvasError(
                f"poses cannot go along when pictures are cut by --fit {settings['fit']}: choose crop, pad or stretch"
            )
        return IMAGES.settle(settings)

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """See `Kind.fill`. Equal poses are held out together."""
        from ...store import cache as caching

        def work(place: int) -> tuple[int, files.Poses | None, str]:
            try:
                return place, files.read_poses(listing.files[place]), ""
            except DataError as error:
                return place, None, str(error)

        skipped: list[tuple[str, str]] = []
        rows = _Rows(settings)
        frames = settings.get("frames")
        order = list(range(len(listing.files)))
        for place, found, wrong in caching.in_parallel(work, order, what="reading", progress=progress):
            if found is None:
                if strict or len(listing.files) == 1:
                    raise DataError(wrong)
                skipped.append((listing.names[place], wrong))
                continue
            frame = None if frames is None else frames[place]
            rows.add(found, place, listing.names[place], [frame] * len(found.points))
        if not rows.places:
            raise DataError(f"{listing.source}: none of {len(listing.files)} files could be read: {skipped[0][1]}")
        writer.facts["skipped"] = skipped
        rows.notes[:0] = [*listing.notes, *(f"skipped {reason}" for _, reason in skipped[:20])]
        labels, groups, held = ([own[p] for p in rows.places] for own in (listing.labels, listing.groups, listing.heldout))
        self._conclude(writer, rows, labels, groups, held, listing.source, [listing.names[p] for p in rows.places])

    def fill_texts(self, writer: Writer, columns: Mapping[str, list[str]], settings: Mapping[str, Any]) -> None:
        """Columns `NAME_x`, `NAME_y`, `NAME_v`; see `facets.FromTexts`."""
        if not files.own_columns(list(columns)):
            raise DataError(f"a pose is columns NAME_x and NAME_y of two points or more, not {some(list(columns), 6)}")
        found = files.of_columns(columns, "the table")
        rows = _Rows(settings)
        rows.add(found, 0, "the table", settings.get("frames") or [None] * len(found.points), by_row=True)
        empty: list[None] = [None] * len(found.points)
        self._conclude(writer, rows, empty, empty, empty, "the table", None)

    def takes(self, array: np.ndarray) -> bool:
        """(N, points, 3), x, y and visibility."""
        return array.ndim == 3 and array.shape[2] == 3 and array.dtype.kind == "f"

    def fill_array(
        self, writer: Writer, values: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...],
        groups: np.ndarray | None, settings: Mapping[str, Any], progress: bool,
    ) -> None:  # fmt: skip
        """(N, points, 3), of which nobody says names; see `facets.FromArrays`. Beside no pictures they reach from 0 to the
        farthest point."""
        del progress
        points = files.checked_array(values, "the array")
        names = files.numbered(points.shape[1])
        frames = settings.get("frames")
        reach = (int(points[..., 1].max()) + 1, int(points[..., 0].max()) + 1)
        sides: list[Any] = [reach if settings["size"] is None or frames is None else None] * len(points)
        rows = _Rows(settings)
        found = files.Poses(names, usual_links(names), points, sides if frames is None else [None] * len(points), [])
        rows.add(found, 0, "the array", frames or [None] * len(points), by_row=True)
        told = [None] * len(points) if labels is None else [classes[k] for k in labels]
        own = [None] * len(points) if groups is None else [str(group) for group in groups]
        self._conclude(writer, rows, told, own, [None] * len(points), "the array", None)

    def _conclude(
        self, writer: Writer, rows: _Rows, labels: Any, groups: Any, held: Any, source: object, origins: Any
    ) -> None:  # fmt: skip
        from ...store.entry import conclude
        from ...store.splits import join

        size = rows.size()
        for record in rows.records:
            writer.row(record)
        notes = rows.notes
        if rows.cut:
            notes.append(f"{rows.cut} points lie outside what was kept of their pictures: they count as not there")
        numbers, classes = class_indices(labels, source, self.says.noun, notes)
        parent = np.arange(len(rows.records), dtype=np.int64)
        for column in (groups, [record.tobytes() for record in rows.records]):
            first: dict[Any, int] = {}
            pairs = [(first.setdefault(key, i), i) for i, key in enumerate(column) if key is not None]
            join(parent, *np.array(pairs, np.int64).reshape(-1, 2).T)
        sides = np.array([-1 if side is None else int(side) for side in held], np.int8)
        spec = PoseSpec(*size, rows.names, rows.links, classes)
        conclude(writer, spec, numbers, parent, sides if (sides >= 0).any() else None, notes, origins)

    # To and from the game

    def encode(self, values: np.ndarray, spec: PoseSpec, device: Any) -> Tensor:
        """(N, K, 3) float32: x and y from -1 to 1 between the outer edges of the picture, visibility from -1 to 1."""
        import torch

        made = np.array(values, np.float32)
        made[..., :2] = (made[..., :2] + 0.5) * 2 / np.array([spec.width, spec.height], np.float32) - 1
        made[..., 2] -= 1
        made[..., :2] = np.where(made[..., 2:] < 0, 0, made[..., :2])
        return torch.from_numpy(made).to(device, non_blocking=True)

    def decode(self, tensor: Tensor, spec: PoseSpec) -> np.ndarray:
        """(N, K, 3); the nearest visibility, and points that are not there at (0, 0)."""
        made = tensor.detach().float().cpu().numpy().copy()
        made[..., 2] = np.clip(np.rint(made[..., 2] + 1), 0, files.SEEN)
        made[..., :2] = (made[..., :2] + 1) / 2 * np.array([spec.width, spec.height], np.float32) - 0.5
        made[made[..., 2] == 0] = 0
        found: np.ndarray = made
        return found

    # Writing and showing

    def write(
        self, records: np.ndarray, spec: PoseSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """All in one file, `samples`, in COCO's form, as a table or archive; or a drawing of each as PNG."""
        from ...files import write_atomically

        if depth is not None:
            raise GanvasError("--depth means nothing to poses: leave it out")
        if format == "png":
            drawn = self._drawn(records, spec)
            picture = ImageSpec(3, spec.height, spec.width, classes=spec.classes)
            return IMAGES.write(drawn, picture, folder, format="png", depth=None, note=note)
        mark = "; ".join([files.SYNTHETIC, *(f"{key} {value}" for key, value in note.items())])
        path = folder / f"samples.{format}"
        write_atomically(path, files.encoded(records, spec, format, mark))
        return [path]

    def _drawn(self, records: np.ndarray, spec: PoseSpec) -> np.ndarray:
        from .drawing import skeletons

        return skeletons(np.asarray(records), spec)

    def picture(self, records: np.ndarray, spec: PoseSpec) -> np.ndarray:
        return self.grid(records, spec)

    def grid(
        self, records: np.ndarray, spec: PoseSpec, *, columns: int | None = None, labels: np.ndarray | None = None,
        captions: tuple[str, ...] = (), rows: tuple[str, ...] = (),
    ) -> np.ndarray:  # fmt: skip
        """Skeletons; see `image.grid.grid`."""
        image = ImageSpec(3, spec.height, spec.width, classes=spec.classes)
        drawn = self._drawn(records, spec)
        return grids.grid(drawn, image, columns=columns, labels=labels, captions=captions, rows=rows)

    # Put to use

    def read(self, path: Path, spec: PoseSpec, settings: Mapping[str, Any]) -> Iterator[Piece]:
        """A pose a piece, by the names of the spec and in the size of its pictures; see `facets.Reads`."""
        found = files.read_poses(path).ordered(spec.names, path)
        size, fit = (spec.height, spec.width), settings.get("fit") or "crop"
        notes = [f"{path.name}: {note}" for note in found.notes]
        if any(side is None for side in found.sides):
            notes.append(f"{path.name} does not say how large its picture is: taken as {spec.size}, the size that was learnt")
        for points, side in zip(found.points, found.sides, strict=True):
            record, cut = brought(points, side or size, size, "crop" if fit in PIECES else fit, spec.names, path)
            told = [f"{path.name}: {cut} points lie outside what is kept of its picture"] if cut else []
            yield Piece(record[None], spec, (*notes, *told))
            notes = []

    # Judging

    def vectors(self, values: np.ndarray, spec: PoseSpec) -> np.ndarray:
        """(N, 3 K) float32: places in units of the longer side, the middle where a point is not there; and which are."""
        own = np.asarray(values, np.float32)
        there = own[..., 2:] > 0
        middle = (np.array([spec.width, spec.height], np.float32) - 1) / 2
        places = np.where(there, own[..., :2] - middle, 0) / max(spec.width, spec.height)
        return np.concatenate([places, 0.25 * there], 2).reshape(len(own), -1).astype(np.float32)

    def aligned(self, values: np.ndarray, spec: PoseSpec, other: PoseSpec) -> tuple[np.ndarray, PoseSpec, list[str]]:
        """Points by their names, places by the sides of their pictures; see `facets.Aligned`."""
        if set(spec.names) != set(other.names):
            raise GanvasError(
                f"the samples have the points {some(list(spec.names), 8)}, the real poses {some(list(other.names), 8)}: only "
                "the same ones compare"
            )
        made = np.asarray(values, np.float32)[:, [spec.names.index(name) for name in other.names]].copy()
        notes = []
        if spec.size != other.size:
            made[..., :2] = (made[..., :2] + 0.5) * [other.width / spec.width, other.height / spec.height] - 0.5
            made[made[..., 2] == 0] = 0
            notes = [f"the samples lie in pictures of {spec.size}, the real poses of {other.size}: brought to these"]
        return made, other, notes

    def properties(self, records: np.ndarray, spec: PoseSpec) -> dict[str, np.ndarray]:
        """x and y of each point, NaN where it is not there."""
        own = np.where(np.asarray(records)[..., 2:] > 0, np.asarray(records, np.float64), np.nan)
        return {f"{name}_{axis}": own[:, k, i] for k, name in enumerate(spec.names) for i, axis in enumerate("xy")}

    pair_measure = "point_distance"

    def paired(self, made: np.ndarray, true: np.ndarray, spec: PoseSpec, barred: tuple[str, ...]) -> Pairs:
        """The mean distance of points in pixels, and the share of points that are right (PCK)."""
        one, other = np.asarray(made, np.float64), np.asarray(true, np.float64)
        there = (one[..., 2] > 0) & (other[..., 2] > 0)
        apart = np.where(there, np.linalg.norm(one[..., :2] - other[..., :2], axis=2), np.nan)
        seen = np.where(other[..., 2:] > 0, other[..., :2], np.nan)
        with np.errstate(all="ignore"):
            reach = (np.nanmax(seen, 1, initial=-np.inf) - np.nanmin(seen, 1, initial=np.inf)).max(1)
            counts = there.sum(1)
            distance = np.where(counts > 0, np.nansum(apart, 1) / np.maximum(counts, 1), np.nan)
            wanted = (other[..., 2] > 0).sum(1)
            right = (np.nan_to_num(apart, nan=np.inf) <= NEAR * reach[:, None]).sum(1)
        share = np.where(wanted > 0, right / np.maximum(wanted, 1), np.nan)
        return {"point_distance": (distance, "pixels"), "right_points": (share, f"pck/{NEAR:g} of a pose's longer side")}

    def describe(self, spec: PoseSpec) -> str:
        return f"poses of {len(spec.names)} points in pictures of {spec.size} pixels"

    def example(self, size: int | tuple[int, int], channels: int, classes: tuple[str, ...] = ()) -> PoseSpec:
        """channels: points, at least two, each joined to the one before."""
        height, width = size if isinstance(size, tuple) else (size, size)
        names = files.numbered(max(2, channels))
        return PoseSpec(height, width, names, tuple((k, k + 1) for k in range(len(names) - 1)), classes)

    def blank(self, spec: PoseSpec, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        made = np.zeros((count, *spec.shape), np.float32)
        if rng is not None:
            made[..., 0] = rng.uniform(0, spec.width - 1, made.shape[:2])
            made[..., 1] = rng.uniform(0, spec.height - 1, made.shape[:2])
            made[..., 2] = rng.choice((0, 1, 2), made.shape[:2], p=(0.1, 0.1, 0.8))
            made[made[..., 2] == 0] = 0
        return made


def _may_be(path: Path) -> bool:
    """By its first bytes, so that no large table is read to find that it holds no poses."""
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return "poses" in archive.files
    head = path.read_bytes()[:4096] if path.stat().st_size < 1 << 28 else b""
    if path.suffix.lower() == ".json":
        return b'"people"' in head or b'"keypoints"' in head or b'"images"' in head or b'"annotations"' in head
    first = next((line for line in head.splitlines() if line[:1] != b"#"), b"")
    return b"_x" in first or b"point" in first or b"joint" in first


def brought(
    points: np.ndarray, sides: tuple[int, int], size: tuple[int, int], fit: str, names: tuple[str, ...], where: object
) -> tuple[np.ndarray, int]:
    """Points (K, 3) in a picture of `sides` (height, width), brought to `size` with it, and how many are cut off: these are not
    there any more. Raises DataError for a point outside its picture."""
    there = points[:, 2] > 0
    most = np.array([sides[1], sides[0]]) - 1
    outside = there & ((points[:, :2] < -BEYOND) | (points[:, :2] > most + BEYOND)).any(1)
    if outside.any():
        k = int(outside.argmax())
        x, y = points[k, :2]
        raise DataError(
            f"{where}: its point '{names[k]}' ({x:g}, {y:g}) lies outside its picture, which is {sides[0]}x{sides[1]} (height "
            "x width): are they of another size?"
        )
    made = points.astype(np.float64)
    made[:, :2] = carried(made[:, :2].clip(-0.5, most + 0.5), sides, size, fit)
    edge = np.array([size[1], size[0]]) - 0.5
    gone = there & ((made[:, :2] < -0.5) | (made[:, :2] > edge)).any(1)
    made[gone | ~there] = 0
    return made.astype(np.float32), int(gone.sum())


class _Rows:
    """Poses on their way into the cache: by one list of names, in pictures of one size."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.names: tuple[str, ...] = ()
        self.links: tuple[tuple[int, int], ...] = ()
        self.records: list[np.ndarray] = []
        self.places: list[int] = []
        self.sizes: dict[tuple[int, int], str] = {}
        self.notes: list[str] = []
        self.cut = 0

    def add(self, found: files.Poses, place: int, name: str, frames: Sequence[Any], by_row: bool = False) -> None:
        """frames: (height, width) of the picture beside each pose, None where there is none. Raises DataError for points that
        are others than before, lie outside, or are told to lie in a picture of another size; MixedData for several sizes."""
        if not self.names:
            self.names, self.links = found.names, found.links
        found = found.ordered(self.names, name)
        self.links = self.links or found.links
        for note in found.notes:
            if note not in self.notes:
                self.notes.append(note)
        for row, (points, told, frame) in enumerate(zip(found.points, found.sides, frames, strict=True), start=1):
            where = f"{name}, row {row}" if by_row or len(found.points) > 1 else name
            if told is not None and frame is not None and tuple(told) != tuple(frame):
                one, other = ("x".join(map(str, own)) for own in (told, frame))
                raise DataError(
                    f"{where}: tells of a picture of {one}, and the one beside is {other}: give the one it belongs to"
                )
            sides = frame or told
            if sides is None:
                raise DataError(f"{where}: does not say how large its picture is: add columns height and width")
            if not (points[:, 2] > 0).any():
                raise DataError(f"{where}: none of its points is there: leave its picture out")
            sides = (int(sides[0]), int(sides[1]))
            self.sizes.setdefault(sides, where)
            size = self.settings.get("size")
            if size is None and len(self.sizes) > 1:
                (one_size, first), (other_size, second) = list(self.sizes.items())[:2]
                raise MixedData(
                    f"poses in pictures of several sizes: {one_size[0]}x{one_size[1]} ({first}), "
                    f"{other_size[0]}x{other_size[1]} ({second}): choose one, as in --size 64",
                    "size",
                    64,
                )
            record, cut = brought(points, sides, size or sides, self.settings.get("fit") or "crop", self.names, where)
            self.records.append(record)
            self.places.append(place)
            self.cut += cut

    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures, as asked for or as they are."""
        wanted: tuple[int, int] = self.settings.get("size") or next(iter(self.sizes))
        return wanted


KIND = PoseKind()
