"""Label maps: numbers as they are in the files, nothing in between, names by a table, and the way back to files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.data import open_data
from ganvas.data.dataset import Dataset
from ganvas.errors import DataError
from ganvas.kinds import describe, kind_of, spec_from_dict
from ganvas.kinds.image.resize import resize
from ganvas.kinds.label_map.files import read_maps
from ganvas.specs import spec_to_dict

KIND = kind_of("label_map")
COLOURS = [0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 9, 255, 7, 7, 7, 200, 100, 0]


def numbers(seed: int, top: int = 5, shape: tuple[int, int] = (18, 14)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, top + 1, shape).astype(np.uint8)


def palette_png(path: Path, values: np.ndarray, **more: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values, mode="P")
    image.putpalette(COLOURS)
    image.save(path, **more)


def folder(root: Path, count: int = 8) -> Path:
    for k in range(count):
        palette_png(root / f"{k}.png", numbers(k))
    return root


def opened(source: Path, tmp_path: Path, **more: object) -> Dataset:
    return open_data(source, kinds=("label_map",), cache=tmp_path / "cache", progress=False, **more)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_numbers_are_read_raw(bits: int, tmp_path: Path) -> None:
    values = numbers(0, min(5, 2**bits - 1))
    palette_png(tmp_path / "a.png", values, bits=bits)
    (own,) = read_maps(tmp_path / "a.png")
    np.testing.assert_array_equal(own.numbers, values)
    assert own.palette[1] == "#ff0000"


def test_grey_one_bit_sixteen_bits_tiff_arrays_and_volumes_are_read(tmp_path: Path) -> None:
    import tifffile

    mask = numbers(1, 1)
    Image.fromarray(mask * 255).convert("1").save(tmp_path / "one.png")
    np.testing.assert_array_equal(next(read_maps(tmp_path / "one.png")).numbers, mask)
    Image.fromarray(mask * 255).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(next(read_maps(tmp_path / "grey.png")).numbers, mask * 255)
    many = numbers(2).astype(np.uint16) * 300
    Image.fromarray(many).save(tmp_path / "many.png")
    np.testing.assert_array_equal(next(read_maps(tmp_path / "many.png")).numbers, many)
    tifffile.imwrite(tmp_path / "a.tif", numbers(3))
    np.testing.assert_array_equal(next(read_maps(tmp_path / "a.tif")).numbers, numbers(3))
    np.savez(tmp_path / "a.npz", images=np.stack([numbers(4), numbers(5)]))
    assert [own.numbers.tolist() for own in read_maps(tmp_path / "a.npz")] == [numbers(4).tolist(), numbers(5).tolist()]
    nibabel = pytest.importorskip("nibabel")
    volume = np.stack([numbers(k) for k in range(6)], 2).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "v.nii.gz")
    slices = list(read_maps(tmp_path / "v.nii.gz", 2))
    assert len(slices) == 6 and sorted(slices[0].numbers.ravel()) == sorted(numbers(0).ravel())


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch", "patches"])
@pytest.mark.parametrize("size", [(5, 7), (11, 9), (16, 12)])
def test_no_new_value_appears(fit: str, size: tuple[int, int], tmp_path: Path) -> None:
    for k in range(6):
        palette_png(tmp_path / "maps" / f"{k}.png", np.where(numbers(k) > 2, 5, 0).astype(np.uint8))
    data = opened(tmp_path / "maps", tmp_path, size=size, fit=fit)
    assert data.spec.values == (0, 5) and set(np.unique(data.values)) == {0, 1}
    assert data.values.shape[1:] == size and data.values.dtype == np.uint8


def test_maps_and_pictures_are_cropped_in_the_same_place() -> None:
    ramp = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[:, None, None], (60, 30, 1)).copy()
    for fit in ("crop", "stretch", "pad"):
        smooth, near = (resize(ramp, (20, 20), fit, nearest=nearest)[0].astype(int) for nearest in (False, True))
        assert np.abs(smooth[:, 10] - near[:, 10]).max() <= 8, fit


def test_values_are_the_classes_where_nothing_names_them(tmp_path: Path) -> None:
    data = opened(folder(tmp_path / "maps"), tmp_path)
    assert data.spec.names == ("0", "1", "2", "3", "4", "5") and data.spec.palette[1] == "#ff0000"
    np.testing.assert_array_equal(data.values[3], numbers(3))
    assert "18x14" in describe(data.spec) and spec_from_dict(spec_to_dict(data.spec)) == data.spec


def test_a_table_names_them_and_a_change_of_it_is_seen(tmp_path: Path) -> None:
    root = folder(tmp_path / "set" / "labels").parent
    table = root / "classes.csv"
    rows = [f"{10 - k},class {k},#0000{k:02d}" for k in range(5, 11)]
    table.write_text("\n".join(["value,class,colour", *rows]))
    data = opened(root / "labels", tmp_path)
    assert data.spec.names == ("class 10", "class 9", "class 8", "class 7", "class 6", "class 5")
    assert data.spec.palette[0] == "#000010"
    table.write_text(table.read_text().replace("class 5", "window"))
    assert "window" in opened(root / "labels", tmp_path).spec.names
    table.write_text("value,class\n0,a\n1,b\n2,c\n3,d\n4,e\n")
    with pytest.raises(DataError, match=r"0\.png: holds the value 5, which .*classes\.csv does not name"):
        opened(root / "labels", tmp_path)
    for text, said in (
        ("value,name\n0,a", "needs the columns value,class"),
        ("value,class\nx,a", "line 2 has the value 'x'"),
        ("value,class\n0,a\n0,b", "the value 0 has two lines"),
        ("value,class\n0,a\n1,a", "two values are called 'a'"),
        ("value,class,colour\n0,a,red", "colour 'red'"),
    ):
        table.write_text(text)
        with pytest.raises(DataError, match=said):
            opened(root / "labels", tmp_path)


@pytest.mark.parametrize("format", ["png", "npz"])
def test_what_is_written_is_read_again(format: str, tmp_path: Path) -> None:
    data = opened(folder(tmp_path / "maps"), tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    made = np.zeros_like(data.values[:3])  # samples need not have every class
    made[0, :9] = 4
    made[2] = 1
    KIND.write(made, data.spec, out, format=format, depth=None, note={"run": "r"})
    again = opened(out, tmp_path)
    np.testing.assert_array_equal(again.values, made)
    assert (again.spec.names, again.spec.values, again.spec.palette) == (data.spec.names, data.spec.values, data.spec.palette)


def test_lossy_colour_and_unsteady_files_are_refused_by_name(tmp_path: Path) -> None:
    Image.fromarray(numbers(0)).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg is a lossy picture"):
        opened(tmp_path / "a.jpg", tmp_path)
    Image.fromarray(np.stack([numbers(k) for k in range(3)], 2)).save(tmp_path / "c.png")
    with pytest.raises(DataError, match="in colour or with alpha"):
        next(read_maps(tmp_path / "c.png"))
    np.save(tmp_path / "f.npy", np.full((2, 20, 20), 0.5, np.float32))
    with pytest.raises(DataError, match="between whole numbers"):
        next(read_maps(tmp_path / "f.npy"))
    palette_png(tmp_path / "one" / "a.png", numbers(0) * 0)
    with pytest.raises(DataError, match="every pixel has the value 0"):
        opened(tmp_path / "one", tmp_path)
    palette_png(tmp_path / "two" / "a.png", numbers(0))
    palette_png(tmp_path / "two" / "b.png", numbers(0, shape=(9, 9)))
    with pytest.raises(DataError, match="several sizes"):
        opened(tmp_path / "two", tmp_path)


def test_maps_are_told_from_images(tmp_path: Path) -> None:
    maps = sorted(folder(tmp_path / "maps").iterdir())
    assert KIND.looks_like(maps)
    Image.fromarray(numbers(0, 1) * 255).save(tmp_path / "mask.png")
    assert KIND.looks_like([tmp_path / "mask.png"])
    Image.fromarray(numbers(0, 200, (40, 40))).save(tmp_path / "photo.png")
    assert not KIND.looks_like([tmp_path / "photo.png"]) and not KIND.looks_like([])
    other = Image.fromarray(numbers(9), mode="P")
    other.putpalette(COLOURS[::-1])
    other.save(tmp_path / "other.png")
    assert not KIND.looks_like([*maps, tmp_path / "other.png"])  # drawings, each with its own colours
    Image.fromarray(numbers(0)).save(tmp_path / "a.jpg")
    assert not KIND.looks_like([tmp_path / "a.jpg"])


def test_one_map_for_each_class_decodes_to_the_largest() -> None:
    spec = KIND.example(6, 4)
    maps = KIND.blank(spec, 3, np.random.default_rng(0))
    indices = KIND.encode(maps, spec, "cpu")
    import torch

    soft = torch.nn.functional.one_hot(indices, 4).permute(0, 3, 1, 2).float() * 3 - 1
    np.testing.assert_array_equal(KIND.decode(soft, spec), maps)
    shares = KIND.vectors(maps, spec).reshape(3, 4, 64)
    assert shares.sum(1).max() == pytest.approx(1)
    assert KIND.properties(maps, spec)["2"][0] == pytest.approx((maps[0] == 2).mean())


@pytest.mark.skipif("GANVAS_DATA" not in os.environ, reason="real data is not here")
def test_real_sets_are_found(tmp_path: Path) -> None:
    root = Path(os.environ["GANVAS_DATA"])
    wanted = {"photo": ("image",), "map": ("image", "label_map")}
    for name, kind in (("facades", "label_map"), ("street-scenes", "label_map"), ("retina", "image")):
        data = open_data(root / name, fields=wanted, size=32, cache=tmp_path, progress=False, limit=40)
        assert data.fields["map"].spec.kind == kind, name
