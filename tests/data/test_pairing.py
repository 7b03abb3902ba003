"""Folders whose pairs do not fit: a line each, that names what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_files import dicom, nifti

from ganvas.data import open_data
from ganvas.data.check import check
from ganvas.data.layouts import told_shift
from ganvas.errors import DataError

EITHER = {"photo": ("image",), "map": ("label_map", "image")}  # as pix2pix asks
LABELS = {"photo": ("image",), "map": ("label_map",)}  # as spade asks


def photo(path: Path, size: tuple[int, int] = (24, 16), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)


def labels(seed: int, size: tuple[int, int] = (24, 16)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (size[1], size[0])).astype(np.uint8)


def palette_png(path: Path, numbers: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(numbers, mode="P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(path)


def folder(root: Path, photos: str = "photos", maps: str = "maps", count: int = 12, shift: int = 0) -> Path:
    for k in range(count):
        photo(root / photos / f"{k:02d}.png", seed=k)
        palette_png(root / maps / f"{k + shift:02d}.png", labels(k))
    return root


def opened(root: Path, fields: Any, **more: Any) -> Any:
    return open_data(root, fields=fields, cache=root.parent / "cache", progress=False, **more)


@pytest.mark.parametrize("fields", [EITHER, LABELS])
def test_a_missing_partner_is_left_out_and_named(fields: Any, tmp_path: Path) -> None:
    root = folder(tmp_path / "set")
    (root / "maps" / "05.png").unlink()
    data = opened(root, fields)
    assert len(data) == 11
    assert any("want of a partner: 1 beside 11 whole records (photos/05.png has no partner in maps)" in x for x in data.notes)
    assert "photos/05.png has no partner in maps" in "\n".join(check(root).lines())


@pytest.mark.parametrize(("count", "shift"), [(12, 1), (30, 2)])
def test_names_that_are_shifted_are_told(count: int, shift: int, tmp_path: Path) -> None:
    root = folder(tmp_path / "set", count=count, shift=shift)
    said = f"the names look shifted by {shift}: photos begins with 00 and maps ends with {count - 1 + shift}, which have no"
    assert any(said in note for note in opened(root, LABELS).notes)
    assert said in "\n".join(check(root).lines())


def test_only_what_lies_at_opposite_ends_looks_shifted() -> None:
    names = [f"{k}" for k in range(9, 30)]
    assert "maps begins with 9 and photos ends with 30" in str(told_shift({"photos": [*names[1:], "30"], "maps": names}))
    assert told_shift({"photos": names, "maps": names}) is None
    assert told_shift({"photos": names[1:], "maps": names}) is None, "one is missing at the end of one"
    assert told_shift({"photos": names[:10] + names[11:], "maps": names[:12] + names[13:]}) is None
    assert told_shift({"photos": names[:-1], "maps": names[1:]}) is not None


@pytest.mark.parametrize("fields", [EITHER, LABELS])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_swapped_maps_and_photographs_are_refused_unless_named_by_hand(fields: Any, suffix: str, tmp_path: Path) -> None:
    root = folder(tmp_path / "set", photos="map", maps="photo")
    if suffix == ".jpg":
        for path in sorted((root / "map").iterdir()):
            Image.open(path).save(path.with_suffix(".jpg"))
            path.unlink()
    with pytest.raises(DataError) as told:
        opened(root, fields)
    assert "photo holds label maps, and map does not: they look swapped: give  --fields photo=map,map=photo" in str(told.value)
    assert opened(root, fields, columns="photo=map,map=photo").fields["map"].spec.kind == "label_map"
    if fields is EITHER:  # photographs into maps, on purpose
        assert opened(root, fields, columns="photo=photo,map=map").fields["map"].spec.kind == "image"


def test_a_look_at_swapped_folders_says_so_and_proposes_the_other_way_round(tmp_path: Path) -> None:
    said = check(folder(tmp_path / "set", photos="map", maps="photo"))
    assert any("they look swapped: give  --fields photo=map,map=photo" in problem for problem in said.problems)
    assert said.train and all(line.endswith("--fields photo=map,map=photo") for line in said.train)
    assert not any("no system takes" in note for note in said.notes)


def test_no_system_is_proposed_that_would_refuse_a_field(tmp_path: Path) -> None:
    root = folder(tmp_path / "set")
    for path in sorted((root / "maps").iterdir()):
        Image.open(path).convert("RGB").save(path)
    proposed = {line.split()[2] for line in check(root).train}
    assert "pix2pix" in proposed and "spade" not in proposed, "a map in colours is an image"


@pytest.mark.parametrize("fields", [EITHER, LABELS])
def test_files_of_another_shape_are_refused_where_cropping_would_move_them(fields: Any, tmp_path: Path) -> None:
    root = folder(tmp_path / "set")
    palette_png(root / "maps" / "07.png", labels(7, (16, 16)))
    with pytest.raises(DataError) as told:
        opened(root, fields, size=8)
    text = str(told.value)
    assert "1 of 12 records have files of different shapes, the first photos/07.png (16x24) and maps/07.png (16x16)" in text
    assert "choose --fit stretch" in text and "\n" not in text
    assert len(opened(root, fields, size=8, fit="stretch")) == 12
    palette_png(root / "maps" / "07.png", np.kron(labels(7), np.ones((2, 2), np.uint8)))
    assert len(opened(root, fields, size=8)) == 12, "twice the size is the same place"


def sheet(path: Path, frames: list[np.ndarray | None]) -> None:
    """Frames of 8x8 side by side, four a row; None: nothing there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = np.zeros((8 * -(-len(frames) // 4), 32, 4), np.uint8)
    for k, frame in enumerate(frames):
        if frame is not None:
            whole[8 * (k // 4) : 8 * (k // 4) + 8, 8 * (k % 4) : 8 * (k % 4) + 8] = frame
    Image.fromarray(whole).save(path)


def drawn(seed: int) -> np.ndarray:
    own = np.random.default_rng(seed).integers(0, 256, (8, 8, 4), np.uint8)
    own[..., 3] = 255
    return own


def test_sheets_of_frames_are_cut_and_one_frame_goes_with_all_of_a_sheet(tmp_path: Path) -> None:
    """Empty frames are left out; all of a sheet lie on one side of the split; a picture of one frame is each one's partner."""
    root, fields = tmp_path / "set", {"photo": ("image",), "garment": ("image",)}
    for k in range(6):
        sheet(root / "photo" / f"{k}.png", [drawn(10 * k), drawn(10 * k + 1), None, drawn(10 * k + 2), drawn(10 * k + 3), None])
        sheet(root / "garment" / f"{k}.png", [drawn(10 * k + 9), None, None, None])
    data = opened(root, fields, size=8, fit="frames")
    assert len(data) == 24 and any("6 pictures were cut into 24 frames of 8x8" in note for note in data.notes)
    assert (data.fields["photo"].values[5] == drawn(11)[..., :3]).all()
    assert (data.fields["garment"].values[4:8] == drawn(19)[..., :3]).all()
    held = np.isin(np.arange(24), data.heldout_indices()).reshape(6, 4)
    assert (held.all(1) | ~held.any(1)).all() and held.any()
    photo(root / "photo" / "1.png", (30, 16))
    with pytest.raises(DataError, match=r"16x30 pixels are no whole number of frames of 8x8: --size is that of a frame"):
        opened(root, fields, size=8, fit="frames", strict=True)


def test_sheets_of_maps_are_cut_like_their_photographs(tmp_path: Path) -> None:
    root = folder(tmp_path / "set")
    data = opened(root, LABELS, size=8, fit="frames")
    assert len(data) == 12 * 6 and data.fields["map"].values.shape == (72, 8, 8)
    assert (data.fields["map"].values[1] == labels(0)[:8, 8:16]).all()


@pytest.mark.parametrize("fields", [EITHER, LABELS])
def test_pairs_are_cut_into_patches_that_fit(fields: Any, tmp_path: Path) -> None:
    """Both files of a pair at their own scale; all patches of a pair on one side of the split, under its name."""
    root = tmp_path / "set"
    for k in range(12):
        numbers = labels(k, (28, 20))
        numbers[:10, :14] = 0  # a patch of one class in every map: that ties no pairs together
        palette_png(root / "maps" / f"{k:02d}.png", numbers)
        (root / "photos").mkdir(exist_ok=True)
        Image.fromarray(np.repeat((numbers * 40)[..., None], 3, 2)).save(root / "photos" / f"{k:02d}.png")
    data = opened(root, fields, size=8, fit="patches")
    assert len(data) == 12 * 2 * 3
    np.testing.assert_array_equal(data.fields["photo"].values[..., 0], data.fields["map"].values * 40)
    assert data.origins is not None
    assert data.origins.names()[5:7] == ["00, record 6", "01, record 1"]
    held = data.heldout.reshape(12, 6)
    assert (held == held[:, :1]).all() and 0 < held[:, 0].sum() <= 4
    photo(root / "photos" / "03.png", size=(56, 40))
    with pytest.raises(DataError, match=r"files of different sizes, the first photos/03\.png \(40x56\).*leave --fit patches"):
        opened(root, fields, size=8, fit="patches")


def test_pairs_of_volumes_are_pairs_of_their_slices(tmp_path: Path) -> None:
    """Volumes with empty slices, which are alike in all of them and tie no two volumes together."""
    numbers = np.random.default_rng(0)
    for k in range(10):
        volume = numbers.integers(1, 200, (16, 12, 5)).astype(np.int16)
        volume[..., :2] = 0
        for name, values in (("mr", volume), ("ct", 3 * volume)):
            (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / name / f"{k}.nii.gz").write_bytes(nifti(values, packed=True))
    data = opened(tmp_path / "set", {"photo": ("image",), "map": ("image",)}, columns="photo=ct,map=mr")
    assert len(data) == 50 and 0 < data.heldout.sum() <= 20
    np.testing.assert_array_equal(data.fields["photo"].values.astype(int), 3 * data.fields["map"].values.astype(int))
    assert (data.heldout.reshape(10, 5) == data.heldout.reshape(10, 5)[:, :1]).all()
    (tmp_path / "set" / "ct" / "4.nii.gz").write_bytes(nifti(volume[..., :4], packed=True))
    with pytest.raises(DataError, match=r"1 of 10 rows have files with different numbers of records, the first .*4\.nii"):
        opened(tmp_path / "set", {"photo": ("image",), "map": ("image",)}, columns="photo=ct,map=mr")


def test_empty_slices_of_patients_tie_no_two_of_them_together(tmp_path: Path) -> None:
    """A file a slice, as scanners write them."""
    numbers = np.random.default_rng(0)
    (tmp_path / "scans").mkdir()
    for patient in range(10):
        for place in range(4):
            pixels = numbers.integers(1, 200, (12, 12)).astype(np.uint16) if place else np.zeros((12, 12), np.uint16)
            scan = dicom(pixels, PatientID=f"patient {patient}", SOPInstanceUID=f"1.2.{patient}.{place + 1}")
            (tmp_path / "scans" / f"{patient}-{place}.dcm").write_bytes(scan)
    data = open_data(tmp_path / "scans", cache=tmp_path / "cache", progress=False)
    assert len(set(data.groups.tolist())) == 10 and 0 < data.heldout.sum() <= 12


@pytest.mark.parametrize("fields", [EITHER, LABELS])
def test_palette_maps_and_maps_of_16_bits_are_read_by_their_numbers(fields: Any, tmp_path: Path) -> None:
    root = folder(tmp_path / "set")
    data = opened(root, fields)
    assert data.fields["map"].spec.palette == ("#000000", "#ff0000", "#00ff00")
    np.testing.assert_array_equal(data.fields["map"].values[3], labels(3))
    for k in range(12):
        Image.fromarray(labels(k).astype(np.uint16) * 1000).save(root / "maps" / f"{k:02d}.png")
    deep = opened(root, fields)
    assert deep.fields["map"].spec.values == (0, 1000, 2000)
    np.testing.assert_array_equal(deep.fields["map"].values[3], labels(3))


def test_maps_in_colour_are_refused_where_nothing_names_the_colours(tmp_path: Path) -> None:
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)
    root = folder(tmp_path / "set")
    for k in range(12):
        Image.fromarray(colours[labels(k)]).save(root / "maps" / f"{k:02d}.png")
    with pytest.raises(DataError, match=r"00\.png is a picture in colour.*give each its colour in classes\.csv"):
        opened(root, LABELS)
    assert opened(root, EITHER).fields["map"].spec.kind == "image", "pix2pix takes pictures of edges and contrasts, too"
    (root / "classes.csv").write_text("value,class,colour\n0,none,#000000\n1,wall,#ff0000\n2,door,#00ff00\n")
    for fields in (LABELS, EITHER):
        data = opened(root, fields)
        assert data.fields["map"].spec.names == ("none", "wall", "door")
        np.testing.assert_array_equal(data.fields["map"].values[3], labels(3))


@pytest.mark.parametrize("fields", [EITHER, LABELS])
def test_one_record_whose_files_are_swapped_is_named(fields: Any, tmp_path: Path) -> None:
    root = folder(tmp_path / "set")
    one, two, between = root / "photos" / "04.png", root / "maps" / "04.png", tmp_path / "04.png"
    one.rename(between)
    two.rename(one)
    between.rename(two)
    said = "photos/04.png looks like label maps and maps/04.png does not, the other way round than in 11 records of 12"
    with pytest.raises(DataError, match=said):
        opened(root, fields)
    assert said in "\n".join(check(root).lines())
    assert "--channels" not in "\n".join(check(root).lines())
