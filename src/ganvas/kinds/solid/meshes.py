"""Mesh files as they are written: OBJ, STL and PLY become vertices and triangles, z up.

What a header counts must be there, no less and no more; nothing is repaired. Not for what lies inside a mesh (`mesh`).
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import MissingExtra
from ...store.guard import failure, guard
from .mesh import ears

TOO_MANY = 20_000_000  # triangles of a mesh
Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # rows: z up -> y up; the transpose goes back
UP = {".obj": "y", ".stl": "z", ".ply": "z"}
"""The axis that points up in files of meshes, by convention."""

_PLY_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_PLY_TYPES = {
    "char": "b", "int8": "b", "uchar": "B", "uint8": "B", "short": "h", "int16": "h", "ushort": "H", "uint16": "H",
    "int": "i", "int32": "i", "uint": "I", "uint32": "I", "float": "f", "float32": "f", "double": "d", "float64": "d",
}  # fmt: skip


def read_mesh(path: Path, up: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(vertices (V, 3) float64 with z up, triangles (T, 3)) of an OBJ, STL or PLY file. Raises DataError, MissingExtra.

    up: the axis that points up there, `y` or `z`, if not by convention (`UP`).
    """
    try:
        import trimesh
    except ImportError:
        raise MissingExtra("trimesh", "solids") from None
    suffix = path.suffix.lower().removeprefix(".")
    with guard(path, suffix.upper()):
        data = path.read_bytes()
        if suffix == "ply":
            vertices, faces = _read_ply(path, data)
        elif suffix == "obj":
            vertices, faces = _read_obj(path, data)
        else:
            opened = trimesh.load_scene(io.BytesIO(_whole_stl(path, data)), suffix, process=False).to_mesh()
            vertices, faces = np.asarray(opened.vertices, np.float64), np.asarray(opened.faces, np.int64)
    if not len(vertices) or not len(faces):
        raise failure(path, "holds no triangles", "export a mesh with faces, not points or lines")
    if len(faces) > TOO_MANY:
        raise failure(path, f"holds {len(faces)} triangles", f"reduce it to {TOO_MANY} or fewer first")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise failure(path, "has faces with vertices that do not exist", "it is damaged; export it again")
    used = vertices[np.unique(faces)]
    if not np.isfinite(used).all() or np.abs(used).max() > 1e12:
        raise failure(path, "has vertices that are NaN, infinite or beyond 10^12", "it is damaged; export it again")
    used_index = np.unique(faces, return_inverse=True)[1].reshape(-1, 3)
    return (used @ Y_UP if (up or UP[f".{suffix}"]) == "y" else used), used_index


def _triangles(path: Path, vertices: np.ndarray, polygons: Sequence[Sequence[int]]) -> np.ndarray:
    """Polygons as triangles (T, 3), so that their notches stay open. Raises DataError for corners that are not there."""
    if any(min(polygon, default=0) < 0 or max(polygon, default=0) >= len(vertices) for polygon in polygons):
        raise failure(path, "has faces with vertices that do not exist", "it is damaged; export it again")
    found: list[tuple[int, ...]] = []
    for polygon in polygons:
        if len(polygon) > 3:
            found += _cut(vertices, list(polygon))
        elif len(polygon) == 3:
            found.append(tuple(polygon))
    return np.array(found, np.int64).reshape(-1, 3)


def _cut(vertices: np.ndarray, polygon: list[int]) -> list[tuple[int, ...]]:
    """A polygon of more than three corners as triangles; the same ones, turned round, of the same polygon seen from behind."""
    places = [tuple(vertices[k].tolist()) for k in polygon]
    first = places.index(min(places))
    polygon, places = polygon[first:] + polygon[:first], places[first:] + places[:first]
    behind = places[1] > places[-1]
    if behind:
        polygon = [polygon[0], *polygon[:0:-1]]
    cut = [tuple(polygon[k] for k in ear) for ear in ears(vertices[polygon])]
    return [own[::-1] for own in cut] if behind else cut


def _read_obj(path: Path, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The corners and faces of all objects of an OBJ file. Comments, continued lines, tabs and indents may stand anywhere.

    Raises DataError for surfaces of curves, which are no faces.
    """
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = re.sub(rb"#[^\n]*", b"", data).replace(b"\\\n", b" ")
    corners: list[list[float]] = []
    polygons: list[list[int]] = []
    for line in data.split(b"\n"):
        words = line.split()
        if words[:1] == [b"v"]:
            x, y, z = words[1:4]
            corners.append([float(x), float(y), float(z)])
        elif words[:1] == [b"f"]:
            index = [int(word.partition(b"/")[0]) for word in words[1:]]
            # From 1 on; negative numbers count back from the corners above. 0 is none.
            polygons.append([k - 1 if k > 0 else len(corners) + k if k else -1 for k in index])
        elif words[:1] == [b"surf"]:
            raise failure(path, "holds free-form surfaces", "export it as a mesh of faces")
    vertices = np.array(corners, np.float64).reshape(-1, 3)
    return vertices, _triangles(path, vertices, polygons)


def _whole_stl(path: Path, data: bytes) -> bytes:
    """An STL file as it is. Raises DataError where less or more is there than it says: a binary one counts its triangles, each
    part of one of text has an end."""
    count = int.from_bytes(data[80:84], "little")
    if len(data) == 84 + 50 * count:
        return data
    if data.lstrip()[:5].lower() != b"solid" or b"facet" not in data.lower() or b"\0" in data:
        told = f"counts {count} triangles, which take {84 + 50 * count} bytes, and has {len(data)}"
        raise failure(path, told, "it is damaged; export it again")
    begun, ended = (len(re.findall(rb"^[ \t]*" + word + rb"\b", data, re.M | re.I)) for word in (b"solid", b"endsolid"))
    if ended < begun:
        raise failure(path, f"is cut short: {ended} of {begun} solids have an end", "export it again")
    return data


def _read_ply(path: Path, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The corners and faces of a PLY file (Turk 1994, "The PLY Polygon File Format").

    Raises DataError where less or more is there than the header says.
    """
    found = re.match(rb"ply\s.*?[\r\n][ \t]*end_header[ \t]*(\r\n|\n|\r)", data, re.DOTALL)
    if found is None:
        raise failure(path, "has no header of a PLY file", "export it again")
    order: str | None = None
    elements: list[tuple[str, int, list[tuple[str, str]]]] = []  # name, rows, (name, types) of its properties
    for line in re.split(r"[\r\n]+", found[0].decode("latin-1")):
        words = line.split()
        if words[:1] == ["format"]:
            order = _PLY_ORDERS[words[1]]
        elif words[:1] == ["element"]:
            elements.append((words[1], int(words[2]), []))
        elif words[:1] == ["property"]:
            kinds = words[2:-1] if words[1] == "list" else words[1:-1]
            elements[-1][2].append((words[-1], "".join(_PLY_TYPES[word] for word in kinds)))
    if order is None:
        raise failure(path, "does not say how it is written (format)", "export it again")
    body = _Body(data[found.end() :], order)
    held: dict[str, dict[str, Any]] = {}
    for name, count, properties in elements:
        try:
            held[name] = body.rows(count, properties)
        except EOFError:
            raise failure(path, f"is cut short: it ends before its {count} rows of {name}", "copy or export it again") from None
    if body.left:
        raise failure(path, f"goes on behind what its header counts ({body.left} more)", "it is damaged; export it again")
    points, faces = held.get("vertex", {}), held.get("face", {})
    if not all(axis in points for axis in "xyz"):
        raise failure(path, "has no corners x, y, z", "export it again")
    vertices = np.stack([np.asarray(points[axis], np.float64) for axis in "xyz"], axis=1)
    polygons = faces.get("vertex_indices", faces.get("vertex_index", []))
    if isinstance(polygons, np.ndarray) and polygons.shape[1] == 3:
        return vertices, polygons.astype(np.int64)
    return vertices, _triangles(path, vertices, [[int(k) for k in polygon] for polygon in polygons])


class _Body:
    """What stands behind the header of a PLY file, read from its beginning: words, or binary in an order of bytes."""

    def __init__(self, data: bytes, order: str) -> None:
        self.order = order
        self.data: Any = data if order else data.split()
        self.place = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.place

    def take(self, kind: str, count: int = 1) -> tuple[float, ...]:
        """The next `count` numbers of a type of `struct`. Raises EOFError."""
        size = count * (struct.calcsize(self.order + kind) if self.order else 1)
        if count < 0 or size > self.left:
            raise EOFError
        start, self.place = self.place, self.place + size
        if self.order:
            return struct.unpack_from(f"{self.order}{count}{kind}", self.data, start)
        return tuple(float(word) for word in self.data[start : self.place])

    def rows(self, count: int, properties: list[tuple[str, str]]) -> dict[str, Any]:
        """Columns of `count` rows; a list of each row is an array (N, K) where all are of one length, else a list of tuples.

        types: one letter of a number; two of a list, of its length and of its numbers. Raises EOFError.
        """
        start = self.place
        first = [len(own) for own in self._row(properties)] if count else [0] * len(properties)
        self.place = start
        fast = self._alike(count, properties, first)
        if fast is not None:
            return fast
        found = [self._row(properties) for _ in range(count)]
        return {
            name: [row[k] for row in found] if len(kinds) > 1 else np.array([row[k][0] for row in found])
            for k, (name, kinds) in enumerate(properties)
        }

    def _row(self, properties: list[tuple[str, str]]) -> list[tuple[float, ...]]:
        return [
            self.take(kinds[-1], int(self.take(kinds[0])[0]) if len(kinds) > 1 else 1) for _, kinds in properties
        ]  # fmt: skip

    def _alike(self, count: int, properties: list[tuple[str, str]], lengths: list[int]) -> dict[str, Any] | None:
        """All rows at once where each has lists of the lengths of the first; None where they differ. Raises EOFError."""
        fields: list[tuple[str, str, tuple[int, ...]]] = []
        for k, ((_, kinds), length) in enumerate(zip(properties, lengths, strict=True)):
            if len(kinds) > 1:
                fields.append((f"length {k}", self.order + kinds[0] if self.order else "f8", ()))
            shape = (length,) if len(kinds) > 1 else ()
            fields.append((f"value {k}", self.order + kinds[-1] if self.order else "f8", shape))
        kind = np.dtype(fields)
        size = count * kind.itemsize // (1 if self.order else 8)
        if size > self.left:
            if all(len(kinds) == 1 for _, kinds in properties):
                raise EOFError
            return None
        if self.order:
            table = np.frombuffer(self.data, kind, count, self.place)
        else:
            table = np.array(self.data[self.place : self.place + size], "S").astype(np.float64).view(kind)
        lists = [k for k, (_, kinds) in enumerate(properties) if len(kinds) > 1]
        if not all((table[f"length {k}"] == lengths[k]).all() for k in lists):
            return None
        self.place += size
        return {name: table[f"value {k}"] for k, (name, _) in enumerate(properties)}
