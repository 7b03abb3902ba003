"""Solids: shapes as cubes of voxels, from meshes, binary volumes or voxel arrays, and back as smooth meshes.

Records are (N, side, side, side) uint8, 1 inside and 0 outside, along x, y, z with z up. Not for colours, materials or open
sheets, which have no inside.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, GanvasError
from .. import Kind, KindSays
from .files import MESHES, SYNTHETIC, Shape, encoded, read_shapes
from .mesh import rays, surface_net, vertex_normals
from .meshes import UP
from .recognition import marks, overlap
from .spec import SolidSpec

if TYPE_CHECKING:
    from torch import Tensor

    from ...metrics.measure import Measure
    from ...store.cache import Writer
    from ...store.listing import Listing
    from ..facets import Side

SIDE, SMALLEST, LARGEST = 32, 8, 256
COARSE = 8  # voxels a side of the features
PIXELS = 160  # a side of one rendered solid
FITTED = tuple(mesh[1:] for mesh in MESHES)  # formats whose shapes are brought to the size of the cube
AT_ONCE = 2**18  # voxels that are looked at together: they stay in the processor's cache
NOTED = 20  # skipped files named in the notes

# The look: seen from the front and above, a warm key light and a cool one from the other side.
TURN, LIFT = np.radians(35.0), np.radians(24.0)
LIGHTS = (  # direction, colour, strength
    (np.array([-0.45, -0.5, 0.85]), np.array([1.0, 0.95, 0.86]), 0.92),
    (np.array([0.9, -0.35, 0.25]), np.array([0.62, 0.74, 1.0]), 0.42),
)
BASE, AMBIENT = np.array([0.95, 0.82, 0.66]), 0.24
GROUND, EDGE = np.array([0.965, 0.965, 0.97]), np.array([0.80, 0.81, 0.83])


class SolidKind(Kind):
    name = "solid"
    spec = SolidSpec
    suffixes = (".obj", ".stl", ".ply", ".nii", ".nii.gz", ".npz", ".npy")
    formats = ("obj", "stl", "ply", "npz", "npy", "nifti")
    format_aliases = {"nii": "nifti", "nii.gz": "nifti"}
    says = KindSays(
        noun="solids",
        features="voxels",
        limit="Shapes are as coarse as their voxels; nothing was checked for strength, fit or whether it can be made.",
        phantom="solids",
        shown=16,
        example_size=32,
        example_channels=1,
        small=(16, 1),
        lossy=("obj", "stl", "ply"),  # meshes, which are filled anew
        overlooks="copies that are mirrored, bent, stretched or turned by other than right angles, and parts of solids",
        options={
            "size": "voxels a side",
            "up": "the axis that points up in files of meshes, y or z; default: y in OBJ, z in STL and PLY",
        },
    )

    def fill(self, writer: Writer, listing: Listing, settings: Mapping[str, Any], progress: bool, strict: bool) -> None:
        """See `Kind.fill`. Equal shapes, and shapes of one group of `groups.csv`, are held out together."""
        from ...store import cache as caching
        from ...store.entry import conclude
        from ...store.listing import class_indices

        side, up = _side(settings.get("size")), settings.get("up")
        poses = _poses(listing, up)

        def work(place: int) -> tuple[list[Shape], str | None]:
            try:
                return list(read_shapes(listing.files[place], side, up)), None
            except DataError as error:
                return [], str(error)

        places: list[int] = []
        labels: list[str | None] = []
        keys: dict[Any, int] = {}
        groups: list[int] = []
        told: dict[str, list[str]] = {}
        skipped: list[tuple[str, str]] = []
        every = list(range(len(listing.files)))
        found = caching.in_parallel(work, every, what="voxelising", progress=progress)
        for place, (shapes, error) in zip(every, found, strict=True):
            if error is not None:
                if strict:
                    raise DataError(error)
                skipped.append((listing.names[place], error))
            for shape in shapes:
                row = len(places)
                writer.row(shape.voxels)
                own = listing.groups[place]
                key = ("group", own) if own is not None else np.packbits(shape.voxels).tobytes()
                groups.append(keys.setdefault(key, row))
                labels.append(shape.label if listing.labels[place] is None else listing.labels[place])
                places.append(place)
                for note in shape.notes:
                    names = told.setdefault(note, [])
                    if names[-1:] != [listing.names[place]]:
                        names.append(listing.names[place])
        if not places:
            reason = skipped[0][1]
            several = f"{listing.source}: none of {len(every)} files could be read: {reason}"
            raise DataError(reason if len(every) == 1 else several)
        notes = poses + _notes(
            listing, skipped, told, len(places) - len(set(groups)), any(own is not None for own in listing.groups)
        )
        indices, classes = class_indices(labels, listing.source, self.says.noun, notes)
        held = np.array([-1 if listing.heldout[p] is None else int(bool(listing.heldout[p])) for p in places], np.int8)
        writer.facts["skipped"] = skipped
        spec = SolidSpec(side, classes, _format(listing), up)
        sides = held if (held >= 0).any() else None
        conclude(writer, spec, indices, np.array(groups), sides, notes, [listing.names[p] for p in places])

    def encode(self, values: np.ndarray, spec: SolidSpec, device: Any) -> Tensor:
        """(N, side, side, side) 0 or 1 -> (N, 1, side, side, side) float32."""
        import torch

        solids: Tensor = torch.from_numpy(np.ascontiguousarray(values, np.uint8)).to(device, non_blocking=True)[:, None].float()
        return solids

    def decode(self, tensor: Tensor, spec: SolidSpec) -> np.ndarray:
        """Occupancies above one half are inside."""
        solids: np.ndarray = (tensor.detach()[:, 0] > 0.5).cpu().numpy().astype(np.uint8)
        return solids

    def write(
        self, records: np.ndarray, spec: SolidSpec, folder: Path, *, format: str, depth: int | None, note: Mapping[str, str]
    ) -> list[Path]:
        """One mesh or volume a record, or all in `samples.npz` (`solids`, `note`) or `synthetic.npy` (bare).

        Raises GanvasError for solids without a voxel inside, which no program could read.
        """
        from ...files import write_atomically

        if depth is not None:
            raise GanvasError("--depth means nothing to solids: leave it out")
        if (void := self.empty(records)).any():
            raise GanvasError(f"solid {int(void.argmax()) + 1} of {len(void)} has no voxel inside: leave it out")
        if format == "npy":
            plain = io.BytesIO()
            np.save(plain, np.asarray(records, np.uint8), allow_pickle=False)
            path = Path(folder) / "synthetic.npy"
            write_atomically(path, plain.getvalue())
            return [path]
        if format == "npz":
            buffer = io.BytesIO()
            words = [SYNTHETIC, *(f"{key}: {value}" for key, value in note.items())]
            np.savez_compressed(buffer, solids=np.asarray(records, np.uint8), note=np.array(words))
            path = Path(folder) / "samples.npz"
            write_atomically(path, buffer.getvalue())
            return [path]
        digits = max(4, len(str(len(records))))
        suffix = ".nii.gz" if format == "nifti" else f".{format}"
        paths = [Path(folder) / f"sample-{number:0{digits}d}{suffix}" for number in range(1, len(records) + 1)]
        for path, record in zip(paths, records, strict=True):
            write_atomically(path, encoded(record, format, note, spec.up))
        return paths

    def picture(self, records: np.ndarray, spec: SolidSpec) -> np.ndarray:
        """Rendered solids side by side."""
        drawn = np.stack([render(record) for record in records])
        count = len(drawn)
        # About square, with few empty places.
        columns = min(range(1, count + 1), key=lambda across: -count % across + 2 * abs(across - count**0.5))
        rows = -(-count // columns)
        sheet = np.full((rows * columns, *drawn.shape[1:]), np.round(EDGE * 255), np.uint8)
        sheet[:count] = drawn
        sheet = sheet.reshape(rows, columns, PIXELS, PIXELS, 3).transpose(0, 2, 1, 3, 4)
        grid: np.ndarray = sheet.reshape(rows * PIXELS, columns * PIXELS, 3)
        return grid

    def vectors(self, values: np.ndarray, spec: SolidSpec) -> np.ndarray:
        """How full each of 8^3 blocks is, and three silhouettes in 8^2 blocks: (N, 704) float32, 0 to 1.

        The silhouettes weigh holes and thin parts, which hardly fill a block. Voxels that stand alone cast none: a few of them,
        strewn over the cube, would hide which shape it is.
        """
        solids = np.asarray(values)
        joined = _joined(solids)
        silhouettes = [_coarse(joined.max(axis).astype(np.float32)).reshape(len(solids), -1) for axis in (1, 2, 3)]
        pieces = np.array_split(solids, -(-len(solids) // 64))
        full = [_coarse(piece.astype(np.float32)).reshape(len(piece), -1) for piece in pieces]
        return np.concatenate([np.concatenate(full), *silhouettes], axis=1)

    def aligned(self, values: np.ndarray, spec: SolidSpec, other: SolidSpec) -> tuple[np.ndarray, SolidSpec, list[str]]:
        """As they are; a note where one side was fitted into the cube and the other was not; see `facets.Aligned`."""
        fitted, placed = ([side for side in (spec, other) if (side.format in FITTED) is known] for known in (True, False))
        notes = []
        if fitted and placed:
            who = ("the samples", "the real data") if fitted[0] is spec else ("the real data", "the samples")
            notes.append(
                f"{who[0]} are meshes, which are fitted into the cube, {who[1]} voxels, which keep their place: size and place "
                "differ by that alone"
            )
        return np.asarray(values), other, notes

    changes = "a turn by right angles or another place in the cube"
    twin, reach = 0.9, 0.95

    def prints(self, values: np.ndarray, spec: SolidSpec, changed: bool = False) -> np.ndarray:
        """See `recognition.marks`: how full cells of the box that holds a solid are, in 24 turns."""
        solids = np.asarray(values)
        return marks(solids, _joined(solids), _coarse, changed)

    def likeness(self, first: np.ndarray, second: np.ndarray, spec: SolidSpec) -> np.ndarray:
        """The voxels that both have over those that either has (IoU), in the best of 24 turns."""
        first, second = np.asarray(first), np.asarray(second)
        return overlap(first, second, (_joined(first), _joined(second)))

    def properties(self, records: np.ndarray, spec: SolidSpec) -> dict[str, np.ndarray]:
        """volume: share of the voxels inside. width, depth, height: extents along x, y and z, as shares of the side."""
        filled: np.ndarray = np.asarray(records) > 0
        found = {"volume": filled.reshape(len(filled), -1).mean(axis=1)}
        for axis, name in enumerate(("width", "depth", "height"), start=1):
            other = tuple(k for k in (1, 2, 3) if k != axis)
            places = np.asarray(filled.any(axis=other))
            extent = places.shape[1] - places.argmax(axis=1) - places[:, ::-1].argmax(axis=1)
            found[name] = np.where(places.any(axis=1), extent / places.shape[1], 0.0)
        return found

    def empty(self, records: np.ndarray) -> np.ndarray:
        """Which have no voxel inside: (N,) bool."""
        return np.asarray(records).reshape(len(records), -1).max(axis=1) == 0

    def measures(self, made: Side, train: Side, heldout: Side, seed: int) -> dict[str, Measure]:
        """Overlap with held-out solids both ways, and the share in one piece (`measures.measures`)."""
        from .measures import measures

        return measures(made, train, heldout, seed)

    def describe(self, spec: SolidSpec) -> str:
        return f"solids of {spec.side}x{spec.side}x{spec.side} voxels"

    def blank(self, spec: SolidSpec, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
        shape = (count, spec.side, spec.side, spec.side)
        return np.zeros(shape, np.uint8) if rng is None else rng.integers(0, 2, shape, dtype=np.uint8)

    def example(self, size: int, channels: int, classes: tuple[str, ...] = ()) -> SolidSpec:
        return SolidSpec(size, classes=classes)


def _side(size: Any) -> int:
    """The side asked for. Raises GanvasError."""
    if isinstance(size, tuple | list) and len(set(size)) == 1:
        size = size[0]
    side = SIDE if size is None else size
    if not isinstance(side, int) or not SMALLEST <= side <= LARGEST:
        raise GanvasError(f"--size {size} does not fit solids: give the voxels of a side, {SMALLEST} to {LARGEST}, as in 32")
    return side


def _poses(listing: Listing, up: str | None) -> list[str]:
    """A note on which way up meshes are taken to be. Raises GanvasError where the user says so of none."""
    formats = sorted({path.suffix.lower() for path in listing.files} & set(UP))
    if up is not None:
        if not formats:
            raise GanvasError(f"--up is for meshes ({', '.join(UP)}), and {listing.source} holds none: leave it out")
        return []
    if all(UP[suffix] == "z" for suffix in formats):
        return []
    told = ", ".join(f"{UP[suffix]} in {suffix[1:].upper()}" for suffix in formats)
    return [
        f"meshes are taken to have {told} pointing up, by convention, and turned to one pose: --up y or --up z if they have not"
    ]


def _notes(
    listing: Listing, skipped: list[tuple[str, str]], told: dict[str, list[str]], equal: int, tabled: bool
) -> list[str]:  # fmt: skip
    from ...store.listing import some

    notes = list(listing.notes)
    notes += [f"skipped {reason}" if name in reason else f"skipped {name}: {reason}" for name, reason in skipped[:NOTED]]
    if len(skipped) > NOTED:
        notes.append(f"skipped {len(skipped) - NOTED} more files that could not be read")
    notes += [f"{note} ({some(names)})" for note, names in told.items()]
    if equal and not tabled:
        notes.append(f"{equal} solids are equal to others: equal ones stay on one side of the split")
    return notes


def _format(listing: Listing) -> str:
    """What samples are written as: the files' own format where they have one."""
    kinds = {path.suffix.lower() for path in listing.files}
    suffix = kinds.pop() if len(kinds) == 1 else ""
    known = {".npz": "npz", ".npy": "npz", ".nii": "nifti", ".gz": "nifti"} | {mesh: mesh[1:] for mesh in MESHES}
    return known.get(suffix, "obj")


def _joined(solids: np.ndarray) -> np.ndarray:
    """The voxels (N, side, side, side) that share a face with another one inside."""
    solids = np.asarray(solids)
    made, side = np.empty_like(solids), solids.shape[3]
    step = max(1, AT_ONCE // side**3)
    for start in range(0, len(solids), step):
        part = solids[start : start + step]
        inside = part > 0
        beside = np.empty(inside.shape, bool)
        # Along z as one long row, which is several times as fast as many short ones; no pair reaches from one row to the next.
        flat, pairs = inside.reshape(-1), np.empty(inside.size + 1, bool)
        np.logical_and(flat[1:], flat[:-1], out=pairs[1:-1])
        pairs[::side] = False
        np.logical_or(pairs[1:], pairs[:-1], out=beside.reshape(-1))
        for axis in (1, 2):
            front, back = ((*(slice(None),) * axis, half) for half in (slice(1, None), slice(None, -1)))
            both = inside[front] & inside[back]
            beside[front] |= both
            beside[back] |= both
        np.multiply(part, beside, out=made[start : start + step])
    return made


@cache
def _shares(side: int) -> np.ndarray:
    """(COARSE, side) float32: how much of the mean over each block each voxel along an axis has."""
    edges, ends = np.linspace(0, side, COARSE + 1), np.arange(side + 1)
    share = (np.minimum(edges[1:, None], ends[1:]) - np.maximum(edges[:-1, None], ends[:-1])).clip(0)
    weights: np.ndarray = (share / share.sum(1, keepdims=True)).astype(np.float32)
    return weights


def _coarse(values: np.ndarray) -> np.ndarray:
    """Means over COARSE blocks along every axis but the first, whatever the side."""
    for axis in range(1, values.ndim):
        values = np.moveaxis(np.tensordot(values, _shares(values.shape[axis]), axes=(axis, 1)), -1, axis)
    return values


def render(voxels: np.ndarray, pixels: int = PIXELS) -> np.ndarray:
    """A shaded picture (pixels, pixels, 3) uint8 of voxels (side, side, side), from the front and a little above."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    side, fine = max(voxels.shape), 2 * pixels
    vertices, faces = surface_net(voxels)
    # Axes of the view: right, down, away; orthographic.
    right = np.array([np.cos(TURN), -np.sin(TURN), 0.0])
    away = np.array([np.sin(TURN) * np.cos(LIFT), np.cos(TURN) * np.cos(LIFT), -np.sin(LIFT)])
    down = np.cross(away, right)
    view = np.stack([down, right, away])
    middle, scale = side / 2, fine / (1.5 * side)
    seen = (vertices - middle) @ view.T * scale
    seen[:, :2] += fine / 2
    shade = np.linspace(1.0, 0.0, fine)[:, None, None] ** 1.5
    canvas = np.broadcast_to(EDGE * (1 - shade) + GROUND * shade, (fine, fine, 3)).copy()
    hits = rays(seen[faces], fine, fine)
    if len(hits.line):
        order = np.lexsort((hits.depth, hits.line))
        first = order[np.concatenate([[True], np.diff(hits.line[order]) > 0])]
        line, weights, corner = hits.line[first], hits.weights[first], faces[hits.face[first]]
        normals = (weights[..., None] * vertex_normals(vertices, faces)[corner]).sum(1)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-9)
        points = (weights[..., None] * vertices[corner]).sum(1)
        # How much of the sky a point sees: what is filled around a place a little outside the surface.
        around = np.pad(voxels.astype(np.float32), 2)
        hidden = sum(
            map_coordinates(gaussian_filter(around, s * side / 32), (points + 1.6 * s * side / 32 * normals + 1.5).T, order=1)
            for s in (1.0, 2.5)
        )
        open_share = (1 - 0.75 * hidden).clip(0.25, 1)[:, None]
        light = np.full((len(line), 3), AMBIENT)
        for direction, colour, strength in LIGHTS:
            light += strength * (normals @ (direction / np.linalg.norm(direction))).clip(0)[:, None] * colour
        canvas.reshape(-1, 3)[line] = (BASE * light * open_share).clip(0, 1)
    small = (canvas.reshape(pixels, 2, pixels, 2, 3) ** 2.2).mean((1, 3)) ** (1 / 2.2)
    picture: np.ndarray = np.rint(small * 255).astype(np.uint8)
    return picture


KIND = SolidKind()
