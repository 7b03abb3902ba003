"""Cases of meshes and voxels: one box of 30 x 20 x 10 in many hands; it is read as it is, told, or refused by name.

Sources: OBJ (Wavefront, appendix B1), PLY (Turk 1994), STL (3D Systems 1988).
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from ganvas.errors import DataError
from ganvas.kinds.solid.files import Shape, read_shapes

CORNERS = np.array([(x, y, z) for z in (0, 10) for y in (0, 20) for x in (0, 30)], float)
SQUARES = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
HALVES = [half for a, b, c, d in SQUARES for half in ((a, b, c), (a, c, d))]
MIXED = [*SQUARES[:3], *HALVES[6:]]
BEHIND = [face[::-1] for face in SQUARES]
VOXELS = np.pad(np.ones((30, 20, 10), np.uint8), 1)
Faces = list[tuple[int, ...]]


def obj(faces: Faces, blank: str = " ", back: int = 1) -> str:
    lines = [blank.join(["v", *map(str, (x, z, -y))]) for x, y, z in CORNERS]  # y is up
    return "\n".join(lines + [blank.join(["f", *(str(k + back) for k in face)]) for face in faces]) + "\n"


def ply(order: str, faces: Faces) -> bytes:
    form = {"": "ascii", "<": "binary_little_endian", ">": "binary_big_endian"}[order]
    head = [f"ply\nformat {form} 1.0\nelement vertex 8", *(f"property double {axis}" for axis in "xyz")]
    head += [f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"]
    if order:
        lists = b"".join(struct.pack(f"{order}B{len(face)}i", len(face), *face) for face in faces)
        return "\n".join(head).encode() + CORNERS.astype(order + "f8").tobytes() + lists
    lines = [" ".join(map(str, row)) for row in [*CORNERS.tolist(), *((len(face), *face) for face in faces)]]
    return ("\n".join(head) + "\n".join(lines) + "\n").encode()


def stl(count: int = 12, head: bytes = b"box", shift: float = 0.0, scale: float = 1.0) -> bytes:
    record = np.zeros(12, [("n", "<f4", 3), ("c", "<f4", (3, 3)), ("a", "<u2")])
    record["c"] = (CORNERS * scale + shift)[np.array(HALVES)]
    return head.ljust(80) + struct.pack("<I", count) + record.tobytes()


def stl_text(name: str = "box") -> str:
    def facet(face: tuple[int, ...]) -> str:
        lines = "".join("vertex {} {} {}\n".format(*CORNERS[k]) for k in face)
        return f"facet normal 0 0 0\nouter loop\n{lines}endloop\nendfacet\n"

    return f"solid {name}\n" + "".join(facet(face) for face in HALVES) + f"endsolid {name}\n"


def shapes(folder: Path, name: str, body: str | bytes) -> list[Shape]:
    path = folder / name
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    return list(read_shapes(path, 32))


BOXES: dict[str, str | bytes] = {
    "tabs.obj": obj(SQUARES, "\t"),
    "indents.obj": obj(SQUARES).replace("\nf", "\n  f").replace("\nv", "\n\tv"),
    "comments.obj": obj(SQUARES).replace("\n", " # corner \\ or face\n"),
    "continued.obj": obj(SQUARES).replace(" 4 2\n", " 4 \\\n 2\n"),
    "byte-order-mark.obj": "\ufeff" + obj(SQUARES),
    "latin.obj": "# caf\xe9\n".encode("latin-1") + obj(SQUARES).encode(),
    "returns.obj": obj(SQUARES).replace("\n", "\r"),
    "negative.obj": obj(SQUARES, back=-8),
    "faces-first.obj": "\n".join(sorted(obj(SQUARES).split("\n"), key=lambda line: line[:1] != "f")),
    "parts.obj": "o a\n" + obj(SQUARES).replace("f 1 2", "g b\nusemtl red\nf 1 2"),
    "turned.obj": obj(BEHIND),
    "twice.obj": obj(SQUARES + SQUARES),
    "text.ply": ply("", MIXED),
    "little.ply": ply("<", MIXED),
    "big.ply": ply(">", MIXED),
    "triangles.ply": ply(">", HALVES),
    "windows.ply": ply("", SQUARES).replace(b"\n", b"\r\n"),
    "windows-head.ply": ply("<", SQUARES).replace(b"end_header\n", b"end_header\r\n"),
    "binary.stl": stl(head=b"solid made by a program"),
    "capitals.stl": stl_text().upper(),
}


@pytest.mark.parametrize("name", BOXES)
def test_a_box_is_a_box(tmp_path: Path, name: str) -> None:
    (shape,) = shapes(tmp_path, name, BOXES[name])
    assert (shape.voxels.sum(), shape.notes) == (6000, ())
    assert shape.voxels[1:31, 6:26, 11:21].all()


REFUSED: dict[str, tuple[str, str | bytes]] = {
    "zero.obj": ("vertices that do not exist", obj([(0, 1, 2)], back=0)),
    "beyond.obj": ("vertices that do not exist", obj([(0, 1, 8)])),
    "curves.obj": ("holds free-form surfaces", obj(SQUARES) + "surf 0 1 0 1 1 2 3 4\n"),
    "cut.ply": ("cut short: it ends before its 6 rows of face", ply("", SQUARES)[:-5]),
    "cut-big.ply": ("cut short: it ends before its 6 rows of face", ply(">", SQUARES)[:-5]),
    "cut-mixed.ply": ("cut short: it ends before its 9 rows of face", ply("<", MIXED)[:-5]),
    "cut-corners.ply": ("cut short: it ends before its 8 rows of vertex", ply("<", SQUARES)[:250]),
    "more.ply": ("goes on behind what its header counts", ply("<", SQUARES) + bytes(13)),
    "points.ply": ("holds no triangles", ply("", [])),
    "none.stl": ("counts 0 triangles, which take 84 bytes, and has 684", stl(0)),
    "fewer.stl": ("counts 6 triangles", stl(6, b"solid")),
    "cut.stl": ("counts 12 triangles", stl()[:-50]),
    "cut-text.stl": ("cut short: 1 of 2 solids have an end", (stl_text() + stl_text("b"))[:-60]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_less_or_more_than_a_header_counts_is_refused(tmp_path: Path, name: str) -> None:
    words, body = REFUSED[name]
    with pytest.raises(DataError, match=words):
        shapes(tmp_path, name, body)


def test_faces_of_both_sides_enclose_what_they_enclose(tmp_path: Path) -> None:
    """Programs that draw write each face twice; all that one enters the other leaves, and the solid would be a shell."""
    (shape,) = shapes(tmp_path, "both.obj", obj(SQUARES + BEHIND))
    assert shape.voxels.sum() == 6000
    assert "every face is there twice" in shape.notes[0]
    (shape,) = shapes(tmp_path, "open.obj", obj(SQUARES[:5] + BEHIND[:5]))
    assert "not watertight" in shape.notes[0]
    # Two boxes side by side have a wall of two faces as well, and are whole.
    second = [tuple(k + 8 for k in face) for face in SQUARES]
    more = "".join(f"v {x + 30} {z} {-y}\n" for x, y, z in CORNERS)
    faces = "".join("f " + " ".join(str(k + 1) for k in face) + "\n" for face in second)
    (shape,) = shapes(tmp_path, "beside.obj", obj(SQUARES) + more + faces)
    assert (shape.voxels.sum(), shape.notes) == (30 * 10 * 5, ())


def test_corners_that_the_file_has_rounded_are_told(tmp_path: Path) -> None:
    """Single precision has steps of 0.008 at 100 000: a third of a box of 0.03."""
    (shape,) = shapes(tmp_path, "far.stl", stl(shift=1e5, scale=1e-3))
    assert any("has rounded its corners" in note for note in shape.notes)
    (shape,) = shapes(tmp_path, "near.stl", stl(shift=1e3))
    assert shape.notes == ()


def test_voxels_of_arrays(tmp_path: Path) -> None:
    def read(array: np.ndarray) -> list[Shape]:
        np.save(tmp_path / "a.npy", array)
        return list(read_shapes(tmp_path / "a.npy", 32))

    box = read(VOXELS)[0].voxels
    assert box.sum() == 6000
    for same in (
        VOXELS[..., None],
        VOXELS[None],
        np.asfortranarray(VOXELS),
        VOXELS.astype(">i4"),
        VOXELS > 0,
        VOXELS * 2.0 - 1,
    ):
        (shape,) = read(same)
        assert (shape.voxels == box).all()
        assert shape.notes == ()
    with pytest.raises(DataError, match="last axis looks like channels"):
        read(np.repeat(VOXELS[..., None], 3, axis=3))
    assert "inside up to its edges on every side" in read(1 - VOXELS)[0].notes[0]
