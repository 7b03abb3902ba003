"""Solids: meshes, volumes and arrays become voxels and voxels become meshes; what is no solid is refused in one line."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.cli import main
from ganvas.data import open_data
from ganvas.data.finding import recognise
from ganvas.data.phantoms import SOLID_CLASSES, make_phantom
from ganvas.errors import DataError, GanvasError
from ganvas.kinds import kind_of
from ganvas.kinds.solid.files import encoded, read_mesh, read_shapes
from ganvas.kinds.solid.kind import render
from ganvas.kinds.solid.mesh import cuboids, fitted, is_closed, rays, surface_net, voxelised
from ganvas.kinds.solid.spec import SolidSpec

MESHES = ("obj", "stl", "ply")
KIND = kind_of("solid")
WRITTEN: dict[str, Any] = {"format": "obj", "depth": None, "note": {}}


@pytest.fixture(scope="module")
def made() -> Any:
    return make_phantom("solids", 12, seed=1)


def box(low: tuple[float, ...], high: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = cuboids(np.ones((1, 1, 1), np.uint8))
    return vertices * (np.array(high) - low) + np.array(low), faces


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def one(path: Path, side: int = 32) -> Any:
    (shape,) = read_shapes(path, side)
    return shape


# Geometry


def test_a_box_becomes_its_voxels_and_overlapping_or_inverted_ones_stay_solid() -> None:
    first, second = box((2, 3, 4), (9, 8, 7)), box((5, 5, 5), (14, 14, 14))
    vertices = np.concatenate([first[0], second[0]])
    faces = np.concatenate([first[1], second[1] + len(first[0])])
    expected = np.zeros((16, 16, 16), np.uint8)
    expected[2:9, 3:8, 4:7] = 1
    expected[5:14, 5:14, 5:14] = 1
    for turned in (faces, faces[:, ::-1]):
        voxels, closed = voxelised(vertices, turned, 16)
        assert closed
        assert np.array_equal(voxels, expected)


def test_the_volume_of_a_sphere() -> None:
    grid = np.indices((40, 40, 40)) + 0.5
    vertices, faces = surface_net((((grid - 20) ** 2).sum(0) <= 15**2).astype(np.uint8))
    voxels, closed = voxelised(fitted(vertices, 64), faces, 64)
    assert closed
    assert voxels.sum() == pytest.approx(4 / 3 * np.pi * 30**3, rel=0.03)


def test_parts_thinner_than_a_voxel_are_kept() -> None:
    sheet, rod = box((2, 2, 6.1), (14, 14, 6.4)), box((4.05, 4.05, 6.1), (4.45, 4.45, 15))
    voxels, _ = voxelised(np.concatenate([sheet[0], rod[0]]), np.concatenate([sheet[1], rod[1] + 8]), 16)
    assert voxels[2:14, 2:14, 6].all()
    assert voxels[4, 4, 6:15].all()


def test_an_open_box_is_its_walls_alone_and_a_hole_less_than_a_voxel_wide_is_filled() -> None:
    vertices, faces = box((2, 2, 2), (13.5, 13.5, 13.5))
    top = np.flatnonzero((vertices[faces][:, :, 2] == 13.5).all(1))
    voxels, closed = voxelised(vertices, np.delete(faces, top, 0), 16)
    assert not closed
    assert not voxels[8, 8, 8]
    assert voxels[2, 2:13, 2:13].all()
    lifted = vertices.copy()[faces].reshape(-1, 3)  # every triangle for itself, the lid a little apart
    lifted[np.concatenate([3 * top, 3 * top + 1, 3 * top + 2])] += (0, 0, 0.3)
    voxels, closed = voxelised(lifted, np.arange(len(lifted)).reshape(-1, 3), 16)
    assert not closed
    assert voxels[8, 8, 8]


@pytest.mark.parametrize("seed", range(4))
def test_surfaces_are_closed_and_keep_the_middle_of_every_voxel_on_its_side(seed: int) -> None:
    voxels = (np.random.default_rng(seed).random((9, 10, 11)) < 0.4).astype(np.uint8)
    for vertices, faces in (cuboids(voxels), surface_net(voxels)):
        assert is_closed(vertices, faces)
        hits = rays(vertices[faces], 9, 10)
        for k in range(11):
            below = hits.depth < k + 0.5
            winding = np.bincount(hits.line[below], hits.sign[below], 90).reshape(9, 10)
            assert np.array_equal(winding, voxels[:, :, k])


def around(vertices: np.ndarray, faces: np.ndarray) -> int:
    """The largest number of rings of triangles around one vertex."""
    opposite: dict[int, list[tuple[int, int]]] = {}
    for a, b, c in faces.tolist():
        for own, first, second in ((a, b, c), (b, c, a), (c, a, b)):
            opposite.setdefault(own, []).append((first, second))
    most = 0
    for links in opposite.values():
        onward, rings = dict(links), 0
        while onward:
            start, place = onward.popitem()
            rings += 1
            while place != start:
                place = onward.pop(place)
        most = max(most, rings)
    return most


TOUCHING = {
    "at an edge": [(0, 0, 0), (1, 1, 0)],
    "at a corner": [(0, 0, 0), (1, 1, 1)],
    "at an edge of two voxels": [(0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1)],
    "at an edge whose ends are joined": [
        *((x, y, 0) for x in range(2) for y in range(2)), (0, 0, 1), (1, 1, 1), *((x, y, 2) for x in range(2) for y in range(2))
    ],
}  # fmt: skip


@pytest.mark.parametrize("format", MESHES)
@pytest.mark.parametrize("density", [0.1, 0.3, 0.5, 0.8, *TOUCHING])
def test_meshes_are_watertight_however_voxels_touch(density: Any, format: str) -> None:
    trimesh = pytest.importorskip("trimesh")
    if isinstance(density, str):
        voxels = np.zeros((4, 4, 4), np.uint8)
        voxels[tuple(np.array(TOUCHING[density]).T)] = 1
    else:
        voxels = (np.random.default_rng(1).random((7, 8, 9)) < density).astype(np.uint8)
    mesh = trimesh.load(io.BytesIO(encoded(voxels, format, {})), file_type=format)  # which joins what lies at one place
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
    assert around(*surface_net(voxels)) == 1
    as_it_is = cuboids(voxels)
    assert not trimesh.Trimesh(*as_it_is, process=False).is_watertight or around(*as_it_is) > 1, "or nothing was to be done"


def test_nothing_has_no_surface() -> None:
    vertices, faces = surface_net(np.zeros((5, 5, 5), np.uint8))
    assert vertices.shape == (0, 3) and faces.shape == (0, 3)


def test_fitting_keeps_orientation_and_proportions() -> None:
    vertices, faces = box((100, 0, 0), (104, 2, 1))
    placed = fitted(vertices, 32)
    assert np.ptp(placed, axis=0) == pytest.approx([30, 15, 7.5])
    assert voxelised(placed, faces, 32)[0].any(axis=(1, 2)).sum() == 30


# Files


@pytest.mark.parametrize("format", MESHES)
def test_meshes_come_back_and_say_that_they_are_synthetic(format: str, made: Any, tmp_path: Path) -> None:
    for index, voxels in enumerate(made.values[:4]):
        path = tmp_path / f"{index}.{format}"
        path.write_bytes(encoded(voxels, format, {"system": "gan-3d", "seed": "1"}))
        assert b"SYNTHETIC" in path.read_bytes()[:100]
        shape = one(path)
        assert iou(shape.voxels, voxels) > 0.97
        assert shape.notes == ()
    vertices, _ = read_mesh(tmp_path / f"0.{format}")
    tall = np.ptp(vertices, axis=0).argmax()
    assert tall == 2, "chairs stand upright in every format"


def test_obj_files_have_y_up(made: Any) -> None:
    lines = encoded(made.values[0], "obj", {}).decode().splitlines()
    points = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    assert np.ptp(points, axis=0).argmax() == 1


@pytest.mark.parametrize(("format", "up"), [("obj", "z"), ("stl", "y"), ("ply", "y"), ("obj", "y")])
def test_meshes_are_read_and_written_with_the_axis_up_that_the_user_names(
    format: str, up: str, made: Any, tmp_path: Path
) -> None:
    meshes, cache = tmp_path / "meshes", tmp_path / "cache"
    meshes.mkdir()
    for index, voxels in enumerate(made.values[:4]):
        (meshes / f"{index}.{format}").write_bytes(encoded(voxels, format, {}, up))
    raw = read_mesh(meshes / f"0.{format}", "z")[0]  # as it stands in the file
    assert np.ptp(raw, axis=0).argmax() == "xyz".index(up)
    data = open_data(meshes, up=up, cache=cache, progress=False)
    assert all(iou(values, voxels) > 0.97 for values, voxels in zip(data.values, made.values, strict=False))
    assert not any("pointing up" in note for note in data.notes), "the user has said it"
    wrong = open_data(meshes, up={"y": "z", "z": "y"}[up], cache=cache, progress=False)
    assert all(iou(values, voxels) < 0.7 for values, voxels in zip(wrong.values, made.values, strict=False))
    (tmp_path / "out").mkdir()
    kind = kind_of("solid")
    back = kind.write(np.asarray(data.values), data.spec, tmp_path / "out", format=data.spec.format, depth=None, note={})
    assert back[0].suffix == f".{format}"
    assert np.ptp(read_mesh(back[0], "z")[0], axis=0).argmax() == "xyz".index(up)


def test_two_conventions_in_one_folder_are_told_and_up_is_for_meshes_alone(made: Any, tmp_path: Path, capsys: Any) -> None:
    meshes, cache = tmp_path / "meshes", tmp_path / "cache"
    meshes.mkdir()
    for index, format in enumerate(("obj", "stl")):
        (meshes / f"{index}.{format}").write_bytes(encoded(made.values[index], format, {}))
    mixed = open_data(meshes, cache=cache, progress=False)
    assert any("y in OBJ, z in STL pointing up" in note for note in mixed.notes)
    (meshes / "0.obj").unlink()
    assert not any("pointing up" in note for note in open_data(meshes, cache=cache, progress=False).notes)
    (tmp_path / "voxels").mkdir()
    np.save(tmp_path / "voxels" / "a.npy", made.values)
    for source in (tmp_path / "voxels", "solids"):
        with pytest.raises(GanvasError, match="--up is for"):
            open_data(source, kinds=("solid",), up="y", cache=cache, progress=False)
    with pytest.raises(GanvasError, match="--up means nothing to images"):
        open_data("chest", up="y", cache=cache, progress=False)
    assert main(["data", "check", str(meshes / "1.stl"), "--up", "y"]) == 0
    assert main(["data", "check", str(meshes / "1.stl"), "--up", "x"]) == 2
    assert "--up" in capsys.readouterr().err


def test_volumes_and_arrays_come_back_exactly(made: Any, tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(encoded(made.values[0], "nifti", {"seed": "1"}))
    assert np.array_equal(one(tmp_path / "a.nii.gz").voxels, made.values[0])
    np.save(tmp_path / "b.npy", made.values)
    assert np.array_equal([s.voxels for s in read_shapes(tmp_path / "b.npy", 32)], made.values)
    np.save(tmp_path / "c.npy", made.values[0].astype(bool))
    assert np.array_equal(one(tmp_path / "c.npy").voxels, made.values[0])
    np.savez(tmp_path / "d.npz", solids=made.values * np.float32(1), labels=np.array(["x"] * 12))
    assert [s.label for s in read_shapes(tmp_path / "d.npz", 32)] == ["x"] * 12


def test_packed_bits_are_read_as_cubes_and_told(made: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", packed=np.packbits(made.values.reshape(12, -1), axis=1))
    shapes = list(read_shapes(tmp_path / "a.npz", 32))
    assert np.array_equal([shape.voxels for shape in shapes], made.values)
    assert all("packed bits" in note and "cubes of 32" in note for shape in shapes for note in shape.notes)
    np.savez(tmp_path / "b.npz", packed=np.zeros((3, 4095), np.uint8))
    with pytest.raises(DataError, match="rows of packed bits"):
        list(read_shapes(tmp_path / "b.npz", 32))


def test_arrays_of_another_size_are_resampled(made: Any, tmp_path: Path) -> None:
    large = make_phantom("solids", 4, seed=1, size=64)
    np.save(tmp_path / "a.npy", large.values)
    for shape, original, facts in zip(read_shapes(tmp_path / "a.npy", 32), large.values, large.facts, strict=True):
        assert int(shape.voxels.sum()) * 8 == pytest.approx(int(original.sum()), rel=0.35), facts
    volume = np.zeros((20, 10, 5), np.uint8)
    volume[:, 2:6] = 1
    np.save(tmp_path / "b.npy", volume)
    extent = [one(tmp_path / "b.npy").voxels.any(axis=tuple({0, 1, 2} - {k})).sum() for k in range(3)]
    assert extent == pytest.approx([30, 6, 7.5], abs=0.6)


REFUSED = {
    "empty.npy": (np.zeros((8, 8, 8), np.uint8), "empty"),
    "full.npy": (np.ones((8, 8, 8), np.uint8), "one value"),
    "map.npy": (np.arange(512).reshape(8, 8, 8), "more than two values"),
    "nan.npy": (np.full((8, 8, 8), np.nan), "NaN"),
    "flat.npy": (np.ones((8, 8)), "shape"),
    "words.npy": (np.full((2, 2, 2), "a"), "values"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_arrays_that_are_no_solids_are_refused(name: str, tmp_path: Path) -> None:
    array, word = REFUSED[name]
    np.save(tmp_path / name, array)
    with pytest.raises(DataError, match=word) as error:
        list(read_shapes(tmp_path / name, 32))
    assert name in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "v 0 0 0\nv 1 0 0\n", "v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n"]
)
def test_meshes_that_are_no_solids_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.obj"
    path.write_text(text)
    with pytest.raises(DataError, match="bad.obj"):
        list(read_shapes(path, 32))


@pytest.mark.parametrize("format", [*MESHES, "nifti", "npz"])
def test_damaged_files_are_read_or_refused_in_one_line(format: str, made: Any, tmp_path: Path) -> None:
    small = made.values[:1, ::2, ::2, ::2]
    if format == "npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, solids=small)
        whole = buffer.getvalue()
    else:
        whole = encoded(small[0], format, {})
    chance = random.Random(0)
    path = tmp_path / {"nifti": "a.nii.gz"}.get(format, f"a.{format}")
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8))):
            place = chance.randrange(min(len(damaged), chance.choice((100, 400, len(whole)))))
            kind = chance.choice(("flip", "cut", "insert", "number"))
            if kind == "flip":
                damaged[place] ^= 1 << chance.randrange(8)
            elif kind == "cut":
                del damaged[place : place + chance.choice((1, 50, len(whole)))]
            elif kind == "insert":
                damaged[place:place] = chance.randbytes(4)
            else:
                damaged[place : place + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"9999"))
            damaged = damaged or bytearray(b"\0")
        path.write_bytes(bytes(damaged))
        said = ""
        try:
            for shape in read_shapes(path, 16):
                assert shape.voxels.shape == (16, 16, 16) and shape.voxels.any() and shape.voxels.max() == 1
        except DataError as error:
            said = str(error)
            refused += 1
        assert "\n" not in said and (not said or path.name in said)
    assert refused > 5


# Data sets


def test_a_folder_of_meshes_becomes_a_labelled_data_set(made: Any, tmp_path: Path) -> None:
    for index, voxels in enumerate(made.values):
        folder = tmp_path / "set" / made.classes[made.labels[index]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index}.stl").write_bytes(encoded(voxels, "stl", {}))
    (folder / "same.stl").write_bytes(encoded(made.values[11], "stl", {}))
    (folder / "broken.stl").write_bytes(b"solid nothing")
    vertices, faces = box((0, 0, 0), (1, 2, 3))
    (folder / "open.obj").write_text(
        "".join("v {} {} {}\n".format(*v) for v in vertices) + "".join("f {} {} {}\n".format(*f) for f in faces[2:] + 1)
    )
    assert recognise(tmp_path / "set") == "solid"
    data = open_data(tmp_path / "set", size=24, cache=tmp_path / "cache", progress=False)
    assert data.spec == SolidSpec(24, tuple(sorted(SOLID_CLASSES)), "obj")
    assert data.values.shape == (14, 24, 24, 24) and data.values.dtype == np.uint8
    assert data.labels is not None and np.bincount(data.labels).tolist() == [5, 3, 3, 3]
    assert len(np.unique(data.groups)) == 13
    notes = "\n".join(data.notes)
    assert "broken.stl" in notes and "not watertight" in notes and "open.obj" in notes and "equal" in notes
    with pytest.raises(DataError, match=r"broken\.stl"):
        open_data(tmp_path / "set", size=24, cache=tmp_path / "cache", progress=False, strict=True)
    with pytest.raises(GanvasError, match="voxels of a side"):
        open_data(tmp_path / "set", size=(24, 32), cache=tmp_path / "cache", progress=False)


def test_encoding_and_features(made: Any) -> None:
    tensor = KIND.encode(made.values, made.spec, "cpu")
    assert tensor.shape == (12, 1, 32, 32, 32) and set(tensor.unique().tolist()) == {0.0, 1.0}
    assert np.array_equal(KIND.decode(tensor, made.spec), made.values)
    vectors = KIND.vectors(made.values, made.spec)
    assert vectors.shape == (12, 704) and vectors.dtype == np.float32
    assert vectors[:, :512].mean() == pytest.approx(made.values.mean(), rel=1e-5)
    assert np.allclose(KIND.vectors(made.values.repeat(2, 1).repeat(2, 2).repeat(2, 3), SolidSpec(64)), vectors, atol=1e-6)
    assert KIND.vectors(make_phantom("solids", 1, size=20).values, SolidSpec(20)).shape == (1, 704)


def test_pictures_show_the_solid_and_not_the_empty(made: Any, tmp_path: Path) -> None:
    empty = render(np.zeros((32, 32, 32), np.uint8))
    for voxels in made.values[:4]:
        assert 0.02 < (np.abs(render(voxels).astype(int) - empty).max(2) > 20).mean() < 0.6
    upright = render(np.pad(np.ones((4, 4, 24), np.uint8), ((14, 14), (14, 14), (4, 4))))
    seen = (np.abs(upright.astype(int) - empty).max(2) > 20).nonzero()
    assert np.ptp(seen[0]) > 2 * np.ptp(seen[1]), "z points up"
    grid = KIND.picture(made.values, made.spec)
    assert grid.ndim == 3 and grid.dtype == np.uint8


def test_writing_every_format(made: Any, tmp_path: Path) -> None:
    for format in KIND.formats:
        folder = tmp_path / format
        folder.mkdir()
        files = KIND.write(made.values[:3], made.spec, folder, format=format, depth=None, note={"seed": "0"})
        assert len(files) == (1 if format in ("npz", "npy") else 3)
        assert sum(len(list(read_shapes(file, 32))) for file in files) == 3
    with pytest.raises(GanvasError, match="depth"):
        KIND.write(made.values[:1], made.spec, tmp_path, format="obj", depth=8, note={})
    with pytest.raises(GanvasError, match="solid 2 of 2 has no voxel inside"):
        KIND.write(made.values[:2] * np.array([1, 0], np.uint8)[:, None, None, None], made.spec, tmp_path, **WRITTEN)
    assert not list(tmp_path.glob("*.obj"))
    nothing = tmp_path / "nothing.ply"
    nothing.write_text("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
                       "element face 0\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n")  # fmt: skip
    with pytest.raises(DataError, match="no triangles"):
        list(read_shapes(nothing, 32))


# Phantom


@pytest.mark.parametrize("side", [16, 32, 48])
def test_furniture_is_in_one_piece_and_its_parts_are_all_of_it(side: int) -> None:
    from scipy.ndimage import label

    made = make_phantom("solids", 40, seed=3, size=side)
    assert made.classes == SOLID_CLASSES and np.bincount(made.labels).tolist() == [10] * 4
    for voxels, facts in zip(made.values, made.facts, strict=True):
        assert label(voxels)[1] == 1
        within = np.zeros_like(voxels)
        for part in facts["parts"]:
            block = tuple(slice(a, b) for a, b in zip(part["low"], part["high"], strict=True))
            within[block] = 1
            assert voxels[block].any()
        assert not (voxels & ~within & 1).any()
        extents = [np.ptp(np.flatnonzero(voxels.any(axis=tuple({0, 1, 2} - {k})))) + 1 for k in range(3)]
        assert max(extents) == side - 2 * max(1, round(side / 32))
    json.dumps(made.facts)
    assert np.array_equal(make_phantom("solids", 5, seed=3, size=side).values, made.values[:5])


def test_the_phantom_opens_as_data_and_is_written_as_files(tmp_path: Path, capsys: Any) -> None:
    data = open_data("solids", phantom_count=20, cache=tmp_path / "cache", progress=False)
    assert data.spec == SolidSpec(32, SOLID_CLASSES)
    assert data.values.shape == (20, 32, 32, 32)
    coarse = open_data("solids", size=16, phantom_count=200, cache=tmp_path / "cache", progress=False)
    # Equal ones are together, and turned ones, and those that differ in a tenth of their voxels.
    assert 150 < len(np.unique(coarse.groups)) < len(np.unique(coarse.values.reshape(200, -1), axis=0)) < 200
    with pytest.raises(DataError, match="16 to 256"):
        open_data("solids", size=300, phantom_count=2, cache=tmp_path / "cache", progress=False)
    assert main(["data", "make", "solids:chair", "-n", "2", "--size", "16", "--out", str(tmp_path / "made")]) == 0
    capsys.readouterr()
    lines = [json.loads(line) for line in (tmp_path / "made" / "facts.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == ["chair/sample-0001.obj", "chair/sample-0002.obj"]
    assert lines[0]["parts"][0]["part"] in ("leg", "column")
