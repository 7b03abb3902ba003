"""Files of solid shapes: meshes (OBJ, STL, PLY), NIfTI volumes and voxel arrays are read; all but `.npy` are written.

Inside ganvas z points up. OBJ has y up by convention, so its axes are turned on the way in and out; STL and PLY have z up; the
user may say otherwise of all three. The axes of volumes are right, anterior, superior, those of arrays x, y, z. Nothing is
repaired: what a mesh lacks is told. Not for deciding what lies inside a mesh (`mesh`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...store.guard import failure, guard
from ...store.units import array_of
from .mesh import cuboids, fitted, single_sided, surface_net, voxelised
from .meshes import UP, Y_UP, read_mesh

SYNTHETIC = "SYNTHETIC solid made by ganvas"
MESHES = (".obj", ".stl", ".ply")
CHANNELS = 5  # from which on a last axis counts as voxels
LARGEST_ARRAY = 1024  # voxels along an axis
_KEYS = ("solids", "voxels", "x")
_LABEL_KEYS = ("labels", "label", "y")


@dataclass
class Shape:
    """A shape of a file. voxels: (side, side, side) uint8, 0 and 1. notes: what was done, in words common to many files."""

    voxels: np.ndarray
    label: str | None = None
    notes: tuple[str, ...] = ()


def read_shapes(path: Path, side: int, up: str | None = None) -> Iterator[Shape]:
    """The shapes of a file as voxels: one of a mesh or volume, one a record of an array.

    Meshes and volumes are fitted into the cube (`mesh.fitted`); arrays and volumes that are cubes keep their place. up: of
    meshes, the axis that points up (`y` or `z`) if not by convention. Raises DataError in one line for files that are damaged,
    empty or not solids, MissingExtra without their reader.
    """
    name = path.name.lower()
    if name.endswith(MESHES):
        yield _of_mesh(path, side, up)
    elif name.endswith((".nii", ".nii.gz")):
        yield _of_volume(path, side)
    else:
        yield from _of_array(path, side)


def _of_mesh(path: Path, side: int, up: str | None) -> Shape:
    vertices, faces = read_mesh(path, up)
    single = single_sided(vertices, faces)
    try:
        placed = fitted(vertices, side)
    except ValueError:
        raise failure(path, "has all its points at one place", "export it again") from None
    voxels, closed = voxelised(placed, single, side)
    if not voxels.any():
        raise failure(path, "encloses nothing at this size", "export it again, or choose a larger --size")
    notes = [] if closed else ["not watertight: the voxels of the surface were taken, with what they enclose"]
    if len(single) < len(faces):
        notes.append("every face is there twice, once for each side: one of the two was taken")
    if _is_rounded(vertices):
        notes.append("lies so far from its origin that the file has rounded its corners: move it there and export it again")
    return Shape(voxels, notes=tuple(notes))


def _is_rounded(vertices: np.ndarray) -> bool:
    """Whether coordinates in single precision are so large that their steps show in voxels."""
    single = np.abs(vertices).max(axis=0).astype(np.float32)
    coarse = np.spacing(single) > np.ptp(vertices, axis=0).max() / 256
    return bool(coarse.any() and (vertices == vertices.astype(np.float32)).all())


def _of_volume(path: Path, side: int) -> Shape:
    from ..image.nifti import read_nifti

    with guard(path, "NIfTI", private=True):
        slices = list(read_nifti(path, 2))
        across = next(read_nifti(path, 0)).spacing
    volume = np.stack([picture.pixels[::-1, ::-1, 0].T for picture in slices], axis=2)
    plane = slices[0].spacing
    spacing = np.array([plane[1], plane[0], across[0]]) if plane is not None and across is not None else np.ones(3)
    inside = _binary(path, volume, "the volume")
    return Shape(_resampled(path, inside, spacing, side, "the volume"), notes=slices[0].warnings)


def _of_array(path: Path, side: int) -> Iterator[Shape]:
    with guard(path, "NumPy array"):
        labels = None
        if path.name.lower().endswith(".npy"):
            array = np.load(path, allow_pickle=False, mmap_mode="r")
        else:
            with np.load(path, allow_pickle=False) as archive:
                array, labels = array_of(path, archive, _KEYS, "solids", _LABEL_KEYS)
        told: tuple[str, ...] = ()
        if (packed := _packed_side(array)) is not None:
            array = np.unpackbits(np.asarray(array), axis=1).reshape(-1, packed, packed, packed)
            told = (f"rows of packed bits (numpy.packbits), read as cubes of {packed}",)
        if array.ndim == 4 and array.shape[-1] == 1:  # one channel, which stands last
            array = array[..., 0]
        elif array.ndim == 4 and array.shape[-1] < CHANNELS and min(array.shape[:-1]) >= 2 * CHANNELS:
            raise failure(
                path, f"has the shape {array.shape}, whose last axis looks like channels", "save (N, D, H, W), no colours"
            )
        if array.ndim not in (3, 4) or 0 in array.shape or max(array.shape[-3:]) > LARGEST_ARRAY:
            raise failure(
                path,
                f"has the shape {array.shape}",
                "save voxels as (N, D, H, W) or (D, H, W), at most 1024 a side, or cubes as rows of packed bits",
            )
        if labels is not None and len(labels) != len(array):
            raise failure(path, f"holds {len(array)} solids but {len(labels)} labels", "give one label each")
    records = array[None] if array.ndim == 3 else array
    for index, record in enumerate(records):
        what = "the array" if len(records) == 1 else f"record {index}"
        inside = _binary(path, np.asarray(record), what)
        voxels = _resampled(path, inside, np.ones(3), side, what)
        edges = (inside[0], inside[-1], inside[:, 0], inside[:, -1], inside[..., 0], inside[..., -1])
        hollow = bool(all(edge.all() for edge in edges))
        notes = ("inside up to its edges on every side, with a hollow: 1 is inside, 0 outside",) if hollow else ()
        yield Shape(voxels, None if labels is None else str(labels[index]), (*told, *notes))


def _packed_side(array: np.ndarray) -> int | None:
    """The side of the cubes whose voxels the rows hold, eight to a byte; None where they cannot hold any."""
    if array.ndim != 2 or array.dtype != np.uint8:
        return None
    side = round((8 * array.shape[1]) ** (1 / 3))
    return side if side >= 8 and side**3 == 8 * array.shape[1] else None


def _binary(path: Path, values: np.ndarray, what: str) -> np.ndarray:
    """Where the voxels are inside: everything above the smaller of exactly two values. Raises DataError otherwise."""
    if values.dtype.kind == "b":
        return values
    if values.dtype.kind not in "iuf":
        raise failure(path, f"holds {values.dtype} values", "save 0 outside and 1 inside")
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise failure(path, f"holds NaN or infinity in {what}", "save 0 outside and 1 inside")
    if low == high:
        if low == 0:
            return np.zeros(values.shape, bool)
        raise failure(path, f"has the one value {low:g} everywhere in {what}", "save 0 outside and 1 inside")
    if not ((values == low) | (values == high)).all():
        raise failure(path, f"holds more than two values in {what}", "threshold it first: 0 outside and 1 inside")
    inside: np.ndarray = values == high
    return inside


def _resampled(path: Path, inside: np.ndarray, spacing: np.ndarray, side: int, what: str) -> np.ndarray:
    """Voxels of any shape and spacing at `side`. Raises DataError when there are none."""
    if not inside.any():
        raise failure(path, f"is empty: {what} has no voxel inside", "take it out")
    cube = len(set(inside.shape)) == 1 and np.ptp(spacing) < 0.001 * spacing.max()
    if cube and len(inside) == side:
        return inside.astype(np.uint8)
    vertices, faces = cuboids(inside)
    placed = vertices * (side / len(inside)) if cube else fitted(vertices * spacing, side)
    return voxelised(placed, faces, side)[0]


# Writing


def mesh_of(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smooth surface of voxels in the unit cube, watertight: vertices (V, 3) with z up, triangles (T, 3)."""
    vertices, faces = surface_net(voxels)
    return vertices / max(voxels.shape), faces


def encoded(voxels: np.ndarray, format: str, note: Mapping[str, str], up: str | None = None) -> bytes:
    """Voxels (D, H, W), some of them inside, as the bytes of an OBJ, STL, PLY or NIfTI file that says it is synthetic.

    up: as for `read_shapes`. Raises MissingExtra.
    """
    said = [SYNTHETIC, *(f"{key}: {value}" for key, value in note.items())]
    said = ["".join(c if " " <= c <= "~" else "?" for c in line) for line in said]
    if format == "nifti":
        return _nifti(voxels, said)
    vertices, faces = mesh_of(voxels)
    if (up or UP[f".{format}"]) == "y":
        vertices = vertices @ Y_UP.T
    return {"obj": _obj, "stl": _stl, "ply": _ply}[format](vertices, faces, said)


def _obj(vertices: np.ndarray, faces: np.ndarray, said: list[str]) -> bytes:
    out = io.StringIO()
    out.writelines(f"# {line}\n" for line in said)
    out.writelines("v {:.6g} {:.6g} {:.6g}\n".format(*point) for point in vertices)
    out.writelines("f {} {} {}\n".format(*face) for face in faces + 1)
    return out.getvalue().encode()


def _stl(vertices: np.ndarray, faces: np.ndarray, said: list[str]) -> bytes:
    corners = vertices[faces]
    record = np.zeros(len(faces), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    record["normal"] = across / np.linalg.norm(across, axis=1, keepdims=True).clip(1e-12)
    record["corners"] = corners
    head = "; ".join(said).encode()[:80].ljust(80)  # binary STL has no other place for words
    return head + np.uint32(len(faces)).tobytes() + record.tobytes()


def _ply(vertices: np.ndarray, faces: np.ndarray, said: list[str]) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {line}" for line in said)]
    lines += [f"element vertex {len(vertices)}", *(f"property float {axis}" for axis in "xyz")]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    record = np.zeros(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    record["count"], record["corners"] = 3, faces
    return "\n".join(lines).encode() + vertices.astype("<f4").tobytes() + record.tobytes()


def _nifti(voxels: np.ndarray, said: list[str]) -> bytes:
    import gzip

    from ..image.nifti import nibabel_module

    nibabel = nibabel_module()
    image = nibabel.Nifti1Image(np.asfortranarray(voxels.astype(np.uint8)), np.eye(4))
    image.header["descrip"] = said[0].encode()
    image.header["cal_min"], image.header["cal_max"] = 0.0, 1.0
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", "; ".join(said).encode()))
    return gzip.compress(image.to_bytes(), 6, mtime=0)
