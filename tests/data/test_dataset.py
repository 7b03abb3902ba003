"""Opening data: folders, tables, volumes, arrays and splits, on small real files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_sets import dicom, folder, picture, volume

from ganvas.data.dataset import Dataset, open_data
from ganvas.data.finding import files_of
from ganvas.errors import DataError, GanvasError, RunError
from ganvas.kinds import kind_of
from ganvas.kinds.image.resize import convert_channels, resize, thumbnail
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.points.spec import PointsSpec
from ganvas.store.listing import natural, split_word
from ganvas.store.splits import TWIN, hold_out, join, twin_pairs, twin_sets


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))


def one_line(error: BaseException) -> str:
    text = str(error)
    assert text and "\n" not in text
    return text


# folders and tables


def test_class_folders_give_labels_in_natural_order_and_a_balanced_split(tmp_path: Path) -> None:
    names = [f"{label}/{i}.png" for label in ("10", "2", "1") for i in range(20)]
    data = open_data(folder(tmp_path / "set", names))
    assert isinstance(data.spec, ImageSpec) and data.spec.classes == ("1", "2", "10")
    assert data.values.shape == (60, 24, 24, 1) and data.values.dtype == np.uint8
    assert data.labels is not None
    assert np.bincount(data.labels[data.heldout]).tolist() == [4, 4, 4]
    together = np.concatenate([data.train_indices(), data.heldout_indices()])
    assert sorted(together.tolist()) == list(range(60))


def test_values_are_the_pixels_of_the_files(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", ["b.png", "a.bmp", "c.png"])
    data = open_data(root)
    assert np.array_equal(data.values[0, :, :, 0], picture(1))  # a.bmp comes first
    assert np.array_equal(data.values[1, :, :, 0], picture(0))
    with pytest.raises(ValueError):
        data.values[0] = 0  # the map is read-only


def test_the_split_follows_the_seed_and_the_fingerprint_follows_both(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", [f"{i}.png" for i in range(30)])
    first, again, other = open_data(root), open_data(root), open_data(root, seed=1)
    assert np.array_equal(first.heldout, again.heldout) and first.fingerprint == again.fingerprint
    assert not np.array_equal(first.heldout, other.heldout) and first.fingerprint != other.fingerprint
    Image.fromarray(picture(99)).save(root / "3.png")
    assert open_data(root).fingerprint != first.fingerprint


def test_labels_csv_wins_over_folders_and_may_be_semicolon_separated(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", ["x/a.png", "x/b.png", "y/c.png"])
    (root / "labels.csv").write_text("\ufefffile;label\nx/a.png;sick\nb.png;well\ny\\c.png;sick\n", encoding="utf-8")
    data = open_data(root)
    assert data.spec.classes == ("sick", "well")
    assert data.labels is not None and data.labels.tolist() == [0, 1, 0]


TABLES = {
    "wrong file name": ("labels.csv", "file,label\na.png,x\nb.png,y\nd.png,x\n", "d.png"),
    "close file name": ("labels.csv", "file,label\na.png,x\nb.png,y\nc.pgn,x\n", "did you mean 'c.png'"),
    "misspelt column": ("labels.csv", "file,lable\na.png,x\nb.png,y\nc.png,x\n", "did you mean 'label'"),
    "no file column": ("labels.csv", "name,label\na.png,x\nb.png,y\nc.png,x\n", "'file'"),
    "only a file column": ("labels.csv", "file\na.png\nb.png\nc.png\n", "label, group, split"),
    "column twice": ("labels.csv", "file,label,label\na.png,x,x\n", "twice"),
    "file twice": ("labels.csv", "file,label\na.png,x\na.png,y\nb.png,x\nc.png,x\n", "lines 2 and 3"),
    "file missing": ("labels.csv", "file,label\na.png,x\nb.png,y\n", "c.png"),
    "short row": ("labels.csv", "file,label\na.png,x\nb.png\nc.png,x\n", "line 3"),
    "empty cell": ("labels.csv", "file,label\na.png,x\nb.png,\nc.png,x\n", "no label"),
    "empty table": ("labels.csv", "", "empty"),
    "not text": ("labels.csv", b"\xff\x00\x81", "UTF-8"),
    "open quote": ("labels.csv", 'file,label\na.png,"x\nb.png,y\n', "not a CSV table"),
    "odd split word": ("groups.csv", "file,group,split\na.png,1,train\nb.png,2,oops\nc.png,3,train\n", "line 3"),
    "all held out": ("groups.csv", "file,split\na.png,test\nb.png,val\nc.png,heldout\n", "nothing is left"),
    "divided group": ("groups.csv", "file,group,split\na.png,1,train\nb.png,1,test\nc.png,3,train\n", "both sides"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_does_not_fit_is_one_line_naming_it(tmp_path: Path, case: str) -> None:
    name, content, expected = TABLES[case]
    root = folder(tmp_path / "set", ["a.png", "b.png", "c.png"])
    (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        open_data(root)
    text = one_line(caught.value)
    assert name in text and expected in text


def test_further_columns_are_left_alone_with_a_note(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", ["a.png", "b.png", "c.png"])
    (root / "labels.csv").write_text("file,label,age\na.png,x,40\nb.png,y,50\n\nc.png,x,60\n")
    data = open_data(root)
    assert data.spec.classes == ("x", "y")
    assert any("age" in note for note in data.notes)


def test_groups_csv_split_is_honoured_whatever_the_share(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", [f"{i}.png" for i in range(8)])
    rows = [f"{i}.png,g{i // 2},{'development-heldout' if i >= 6 else 'train'}" for i in range(8)]
    (root / "groups.csv").write_text("\n".join(["file,group,split", *rows]))
    data = open_data(root, heldout=0.5)
    assert data.heldout.tolist() == [False] * 6 + [True] * 2
    assert data.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_groups_without_a_split_stay_together(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", [f"{i}.png" for i in range(40)])
    (root / "groups.csv").write_text("\n".join(["file,group", *[f"{i}.png,{i % 10}" for i in range(40)]]))
    data = open_data(root)
    assert 0 < data.heldout.sum() < 20
    for group in range(10):
        assert len(set(data.heldout[data.groups == group].tolist())) == 1


def test_train_and_test_folders_are_a_split_not_labels(tmp_path: Path) -> None:
    names = [f"{side}/{label}/{i}.png" for side in ("train", "test") for label in ("cat", "dog") for i in range(3)]
    data = open_data(folder(tmp_path / "set", names))
    assert data.spec.classes == ("cat", "dog")
    assert data.heldout.sum() == 6 and any("split taken from the folders" in note for note in data.notes)
    flat = open_data(folder(tmp_path / "flat", ["train/a.png", "train/b.png", "val/c.png"]))
    assert flat.labels is None and flat.heldout.tolist() == [False, False, True]


@pytest.mark.parametrize("form", ["{}{}", "{}_{}", "{}-{}"])
def test_folders_of_unpaired_translation_give_two_classes_and_the_split(tmp_path: Path, form: str) -> None:
    names = [form.format(side, domain) + f"/{i}.png" for side in ("Train", "test") for domain in "AB" for i in range(3)]
    data = open_data(folder(tmp_path / "set", names))
    assert data.spec.classes == ("A", "B") and data.declared_split
    listing = files_of(tmp_path / "set", kind_of("image"))
    for name, label, held in zip(listing.names, listing.labels, listing.heldout, strict=True):
        top = name.split("/")[0]
        assert (label, held) == (top[-1], top.startswith("test"))
    assert data.heldout.sum() == 6 and any("classes A and B and the split" in note for note in data.notes)


def test_two_training_domains_without_a_test_part_are_split_by_share(tmp_path: Path) -> None:
    data = open_data(folder(tmp_path / "set", [f"train{domain}/{i}.png" for domain in "ab" for i in range(10)]))
    assert data.spec.classes == ("A", "B") and not data.declared_split and data.heldout.sum() == 4
    with pytest.raises(DataError, match="nothing is left"):
        files_of(folder(tmp_path / "test", ["testA/1.png", "testB/2.png"]), kind_of("image"))
    one = files_of(folder(tmp_path / "one", ["trainA/1.png", "trainA/2.png", "other/3.png"]), kind_of("image"))
    assert set(one.labels) == {"trainA", "other"}, "a folder that is neither leaves all of them classes of their own"


def test_masks_hidden_files_and_links_that_lead_back_are_left_out(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", ["a.png", "b.png", "masks/a.png", "b.mask.png", ".hidden/c.png", "._d.png"])
    (root / "notes.txt").write_text("hello")
    os.symlink(root, root / "again")
    data = open_data(root)
    assert len(data) == 2
    assert any("2 mask files" in note for note in data.notes) and any("notes.txt" in note for note in data.notes)


# files that disagree or cannot be read


def test_unreadable_files_are_skipped_by_name_unless_strict(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", [f"{i}.png" for i in range(5)])
    (root / "text.png").write_text("this is no picture")
    (root / "cut.png").write_bytes((root / "0.png").read_bytes()[:60])
    (root / "empty.jpg").touch()
    for _ in range(2):  # from the files and from the cache
        data = open_data(root)
        assert len(data) == 5
        skipped = [note for note in data.notes if note.startswith("skipped")]
        assert [any(name in note for note in skipped) for name in ("text.png", "cut.png", "empty.jpg")] == [True] * 3
        with pytest.raises(DataError) as caught:
            open_data(root, strict=True)
        one_line(caught.value)
    for path in root.glob("?.png"):
        path.unlink()
    with pytest.raises(DataError, match="none of 3 files"):
        open_data(root)


def test_sizes_that_differ_are_named_with_the_way_out(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", ["a.png", "b.png"], (24, 24))
    folder(root, ["wide.png"], (20, 32))
    with pytest.raises(DataError) as caught:
        open_data(root)
    text = one_line(caught.value)
    assert "24x24" in text and "20x32" in text and "wide.png" in text and "--size" in text
    assert open_data(root, size=16).values.shape == (3, 16, 16, 1)
    assert open_data(root, size=(12, 20)).values.shape == (3, 12, 20, 1)


def test_grey_among_colour_is_an_error_until_channels_are_chosen(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", ["a.png", "b.png"])
    folder(root, ["tint.png"], (24, 24, 3))
    with pytest.raises(DataError) as caught:
        open_data(root)
    assert "tint.png" in one_line(caught.value) and "--channels" in str(caught.value)
    grey, colour = open_data(root, channels=1), open_data(root, channels=3)
    assert grey.values.shape[3] == 1 and colour.values.shape[3] == 3
    assert np.array_equal(colour.values[0, :, :, 0], colour.values[0, :, :, 2])
    with pytest.raises(DataError, match="3 channels cannot be turned into 2"):
        open_data(root, channels=2)


def test_mixed_depths_are_refused_by_name(tmp_path: Path) -> None:
    import tifffile

    root = folder(tmp_path / "set", ["a.png", "b.png"])
    tifffile.imwrite(root / "deep.tif", picture(3).astype(np.uint16) * 257)
    with pytest.raises(DataError) as caught:
        open_data(root)
    assert "deep.tif" in one_line(caught.value) and "16-bit" in str(caught.value)


@pytest.mark.parametrize("make", ["nothing", "empty", "other"])
def test_nothing_to_train_on_is_said_clearly(tmp_path: Path, make: str) -> None:
    root = tmp_path / "set"
    if make != "nothing":
        root.mkdir()
    if make == "other":
        (root / "song.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError) as caught:
        open_data(root)
    assert str(root) in one_line(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"size": 0}, {"size": -4}, {"size": (3, 0)}, {"size": "64x"}, {"fit": "squeeze"}, {"heldout": 1.0},
     {"heldout": -0.1}, {"channels": 0}, {"limit": 0}, {"axis": 5}],
)  # fmt: skip
def test_settings_out_of_range_are_usage_errors(tmp_path: Path, options: dict) -> None:
    root = folder(tmp_path / "set", ["a.png", "b.png"])
    with pytest.raises(GanvasError) as caught:
        open_data(root, **options)
    one_line(caught.value)


@pytest.mark.parametrize(("count", "held"), [(1, 0), (2, 0), (3, 1)])
def test_tiny_data_keeps_something_to_train_on(tmp_path: Path, count: int, held: int) -> None:
    data = open_data(folder(tmp_path / "set", [f"{i}.png" for i in range(count)]))
    assert len(data.train_indices()) == count - held and data.heldout.sum() == held
    assert any("nothing is held out" in note for note in data.notes) == (held == 0)


# depth, volumes, DICOM, arrays, points


def test_sixteen_bit_tiff_stays_sixteen_bit(tmp_path: Path) -> None:
    import tifffile

    root = tmp_path / "set"
    root.mkdir()
    originals = [picture(i, (96, 64)).astype(np.uint16) * 257 for i in range(6)]
    for i, pixels in enumerate(originals):
        tifffile.imwrite(root / f"{i}.tif", pixels)
    data = open_data(root)
    assert isinstance(data.spec, ImageSpec)
    assert (data.spec.shape, data.spec.depth, data.spec.format) == ((1, 96, 64), 16, "tiff")
    assert (data.spec.low, data.spec.high) == (0.0, 65535.0)
    assert np.array_equal(data.values[2, :, :, 0], originals[2])
    for i, pixels in enumerate(originals):
        tifffile.imwrite(root / f"{i}.tif", pixels >> 4)
    twelve = open_data(root)
    assert isinstance(twelve.spec, ImageSpec) and twelve.spec.high == 4095 and any("12 bits" in n for n in twelve.notes)


def test_volumes_with_and_without_negative_values_share_one_range_and_stay_whole(tmp_path: Path) -> None:
    for i in range(5):
        volume(tmp_path / "set" / f"v{i}.nii.gz", i, -200 if i in (1, 3) else 0)  # one of them at least is trained on
    data = open_data(tmp_path / "set")
    assert isinstance(data.spec, ImageSpec)
    assert data.values.shape == (30, 16, 20, 1) and data.values.dtype == np.float32
    assert data.values.min() == pytest.approx(-200, abs=100) and data.spec.low < -50 and data.spec.high > 800
    assert data.spec.spacing == (2.0, 1.0) and data.spec.format == "nifti"
    assert len(np.unique(data.groups)) == 5
    assert sorted(np.bincount(data.groups[data.heldout], minlength=5).tolist()) == [0, 0, 0, 0, 6]
    half = open_data(tmp_path / "set", size=(8, 10))
    assert isinstance(half.spec, ImageSpec) and half.spec.spacing == pytest.approx((4.0, 2.0))


def test_one_volume_is_split_in_runs_and_says_so(tmp_path: Path) -> None:
    volume(tmp_path / "v.nii", 1)
    data = open_data(tmp_path / "v.nii")
    assert data.heldout.sum() == 1 and any("not independent" in note for note in data.notes)


def test_dicom_at_any_depth_is_grouped_by_patient_and_keeps_no_id(tmp_path: Path) -> None:
    for i in range(10):
        pixels = picture(i).astype(np.uint16) * 16
        dicom(tmp_path / "set" / f"P{i // 2}" / "SER" / f"IM{i}", pixels, f"secret{i // 2}", PixelSpacing=[0.3, 0.2])
    data = open_data(tmp_path / "set")
    assert isinstance(data.spec, ImageSpec)
    assert (data.spec.depth, data.spec.high, data.spec.spacing, data.spec.format) == (16, 4095.0, (0.3, 0.2), "dicom")
    assert data.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] and data.labels is None
    assert data.heldout.sum() == 2
    for file in (tmp_path / "cache").rglob("*"):
        assert file.is_dir() or b"secret" not in file.read_bytes()


def test_patient_folders_are_no_labels(tmp_path: Path) -> None:
    for i in range(12):
        dicom(tmp_path / "set" / f"P{i // 4}" / f"{i}.dcm", picture(i).astype(np.uint16) * 16, f"id{i // 4}")
    data = open_data(tmp_path / "set")
    assert data.labels is None and any("one patient" in note for note in data.notes)


def test_each_window_maps_to_the_common_range(tmp_path: Path) -> None:
    pixels = np.linspace(0, 4000, 24 * 24).reshape(24, 24).astype(np.uint16)
    for i, (centre, width) in enumerate(((1000, 1001), (2000, 2001))):
        dicom(tmp_path / "set" / f"{i}.dcm", pixels, f"p{i}", WindowCenter=centre, WindowWidth=width)
    data = open_data(tmp_path / "set")
    assert isinstance(data.spec, ImageSpec) and (data.spec.low, data.spec.high) == (0.0, 65535.0)
    for i, (low, high) in enumerate(((499.5, 1499.5), (999.5, 2999.5))):
        expected = np.rint(np.clip((pixels - low) / (high - low), 0, 1) * 65535)
        assert np.abs(data.values[i, :, :, 0].astype(float) - expected).max() <= 1
    assert any("own" in note for note in data.notes)


def test_npz_with_labels_and_arrays_in_memory(tmp_path: Path) -> None:
    images = np.stack([picture(i) for i in range(20)])
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(20) % 2 + 7)
    data = open_data(tmp_path / "set.npz")
    assert data.spec.classes == ("7", "8") and np.array_equal(data.values[..., 0], images)
    same = open_data(images)
    assert same.labels is None and np.array_equal(same.values[..., 0], images)
    assert open_data(same) is same
    floats = open_data(images.astype(np.float64) / 255)
    assert isinstance(floats.spec, ImageSpec) and (floats.spec.low, floats.spec.high, floats.spec.depth) == (0, 1, 32)
    for bad in (images.astype(np.int64), images[0, 0], np.full((3, 4, 4), np.nan, np.float32), images[:0]):
        with pytest.raises(DataError):
            open_data(bad)


def test_float_data_gets_one_robust_range(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(1000, 100, (50, 16, 16)).astype(np.float32)
    images[0, 0, 0] = 1e6
    data = open_data(images)
    assert isinstance(data.spec, ImageSpec)
    assert data.spec.low == pytest.approx(1000 - 309, abs=30) and data.spec.high == pytest.approx(1000 + 309, abs=30)
    assert data.values.max() == 1e6 and any("saturate" in note for note in data.notes)
    with pytest.raises(DataError, match="nothing to learn"):
        open_data(np.full((4, 8, 8), 3.0, np.float32))


def test_points_from_csv(tmp_path: Path) -> None:
    x = np.linspace(0, 10, 200)
    (tmp_path / "p.csv").write_text("x,y\n" + "\n".join(f"{a},{b}" for a, b in zip(x, np.sin(x), strict=True)))
    data = open_data(tmp_path / "p.csv")
    assert isinstance(data.spec, PointsSpec) and data.spec.dimensions == 2
    scaled = (data.values - np.array(data.spec.centre)) / data.spec.scale
    assert np.abs(scaled).max() == pytest.approx(1, abs=0.02)
    assert data.heldout.sum() == 40


def test_points_may_carry_labels(tmp_path: Path) -> None:
    path = tmp_path / "set" / "p.csv"
    path.parent.mkdir()
    path.write_text("x,y,label\n" + "\n".join(f"{i},{i * i},{'ba'[i % 2]}" for i in range(30)))
    data = open_data(path)
    assert data.spec.classes == ("a", "b") and data.values.shape == (30, 2)
    assert data.labels is not None and data.labels[:3].tolist() == [1, 0, 1]
    for wrong in ("1,b", "1,nan,b", "1,2,", "1,zwei,b", "1,2,3,b"):
        path.write_text(f"x,y,label\n0,0,a\n{wrong}\n")
        with pytest.raises(DataError, match="line 3") as caught:
            open_data(path)
        assert "p.csv" in one_line(caught.value)
    path.write_text("x,y\n0,0\n1,2\n")
    assert len(open_data(tmp_path / "set", heldout=0.0)) == 2, "the only table of a folder is meant"
    (tmp_path / "set" / "q.csv").write_text("x,y\n0,0\n1,2\n")
    with pytest.raises(DataError, match=r"name the file.*p\.csv"):
        open_data(tmp_path / "set")


def test_phantoms_of_points_are_made_once_and_follow_the_seed(tmp_path: Path) -> None:
    first, again, other = (open_data("patterns", phantom_count=300, seed=seed) for seed in (0, 0, 1))
    assert isinstance(first.spec, PointsSpec) and len(first) == 300 and first.labels is not None
    assert first.spec.classes == ("sine", "square", "parabola", "sawtooth", "circle")
    assert np.array_equal(first.values, again.values) and not np.array_equal(first.values, other.values)
    assert first.heldout.sum() == 60
    assert len(open_data("formula:x**2", phantom_count=300, limit=40)) == 40
    with pytest.raises(DataError, match="did you mean 'patterns'"):
        open_data("paterns")


def test_a_folder_named_like_a_phantom_wins_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "gaussians", ["a.png", "b.png"])
    monkeypatch.chdir(tmp_path)
    data = open_data("gaussians")
    assert isinstance(data.spec, ImageSpec) and any("not as the phantom" in note for note in data.notes)


def test_phantom_pictures_come_in_the_size_and_channels_asked_for() -> None:
    data = open_data("chest", phantom_count=6, size=(48, 32), channels=3)
    assert isinstance(data.spec, ImageSpec) and data.spec.shape == (3, 48, 32) and data.spec.depth == 8
    assert data.values.std() > 20 and np.array_equal(data.values[..., 0], data.values[..., 2])
    assert (data.labels is None) == (data.spec.classes == ())


def test_limit_takes_that_many_of_all_classes(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", [f"{label}/{i}.png" for label in "ab" for i in range(20)])
    data = open_data(root, limit=12)
    assert len(data) == 12 and data.spec.classes == ("a", "b")
    assert len(open_data(np.stack([picture(i) for i in range(9)]), limit=4)) == 4


@pytest.mark.parametrize(("happens", "expected"), [("unlink", "vanished"), ("change", "changed while")])
def test_a_file_that_vanishes_or_changes_meanwhile_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, happens: str, expected: str
) -> None:
    from ganvas.data.dataset import _from_files
    from ganvas.store.cache import Cache

    root = folder(tmp_path / "set", ["a.png", "b.png"])
    listing, store = files_of(root, kind_of("image")), Cache(tmp_path / "cache")
    settings = {"size": None, "channels": None, "fit": "crop", "axis": None, "rate": None}
    if happens == "unlink":
        (root / "a.png").unlink()
    else:
        open_folder = store.make

        def make(key: str, fill: Any) -> Any:  # between the hash and the decoding
            Image.fromarray(picture(9)).save(root / "a.png")
            return open_folder(key, fill)

        monkeypatch.setattr(store, "make", make)
    with pytest.raises(DataError, match=expected) as caught:
        _from_files(listing, kind_of("image"), settings, store, False, False)
    assert "a.png" in one_line(caught.value)
    assert list((tmp_path / "cache" / "entries").iterdir()) == []


# near twins and the split


def test_near_twins_stay_on_one_side(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    for i in range(20):
        image = Image.fromarray(picture(i, (64, 64)))
        image.save(root / f"{i}.png")
        image.point(lambda v: v * 0.8 + 20).resize((60, 60)).resize((64, 64)).save(root / f"{i}-copy.jpg", quality=80)
    data = open_data(root)
    names = files_of(root, kind_of("image")).names
    for i in range(20):
        pair = [names.index(f"{i}.png"), names.index(f"{i}-copy.jpg")]
        assert data.groups[pair[0]] == data.groups[pair[1]]
        assert data.heldout[pair[0]] == data.heldout[pair[1]]
    assert len(np.unique(data.groups)) == 20 and data.heldout.sum() == 8


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(2, 40))
def test_twin_pairs_are_exactly_those_of_all_pairs(seed: int, count: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, count // 3), width))
    vectors = centres[rng.integers(0, len(centres), count)] + rng.normal(size=(count, width)) * rng.uniform(0, 0.3)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    full = vectors @ vectors.T
    sure = {(i, j) for i in range(count) for j in range(i + 1, count) if full[i, j] >= TWIN + 1e-5}
    near = {(i, j) for i in range(count) for j in range(i + 1, count) if full[i, j] >= TWIN - 1e-5}
    found = {tuple(pair) for pair in twin_pairs(vectors).tolist()}
    assert sure <= found <= near
    sets = twin_sets(vectors)
    assert all(sets[i] == sets[j] for i, j in found) and all(sets <= np.arange(count))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=60))
def test_join_is_connected_components(edges: list[tuple[int, int]]) -> None:
    parent = np.arange(30)
    if edges:
        join(parent, *np.array(edges).T)
    expected = list(range(30))
    for _ in range(30):
        for a, b in edges:
            expected[a] = expected[b] = min(expected[a], expected[b])
    assert parent.tolist() == expected


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 3)), min_size=2, max_size=200),
    st.floats(0.05, 0.6),
    st.integers(0, 99),
)
def test_hold_out_never_divides_a_group_or_takes_all(records: list[tuple[int, int]], share: float, seed: int) -> None:
    groups, labels = (np.array(column) for column in zip(*records, strict=True))
    out = hold_out(groups, labels, share, seed)
    assert not out.all()
    assert all(len(set(out[groups == group].tolist())) == 1 for group in set(groups.tolist()))
    if len(set(groups.tolist())) > 1 and share * len(groups) >= 0.5:
        assert out.any()


def test_hold_out_of_single_records_meets_its_share_for_every_label() -> None:
    labels = np.repeat([0, 1, 2], [500, 100, 10])
    out = hold_out(np.arange(610), labels, 0.2, 0)
    assert np.bincount(labels[out]).tolist() == [100, 20, 2]


def test_words_of_a_split_and_natural_order() -> None:
    assert [split_word(w) for w in ("Train", "development-heldout", "test", "VAL", "held_out")] == [
        False, True, True, True, True]  # fmt: skip
    assert split_word("fold1") is None
    assert sorted(["s10", "s2", "a", "s2b", "10", "9"], key=natural) == ["9", "10", "a", "s2", "s2b", "s10"]
    assert sorted(["m2", "m\u00b2", "1\u00b23"], key=natural) == ["1\u00b23", "m2", "m\u00b2"]


# resizing


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.integers(1, 40), st.integers(1, 40),
    st.sampled_from(["crop", "pad", "stretch"]), st.sampled_from([np.uint8, np.uint16, np.float32]), st.integers(0, 99),
)  # fmt: skip
def test_resize_keeps_range_dtype_and_constants(
    high: int, wide: int, channels: int, rows: int, columns: int, fit: str, dtype: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    top = 255 if dtype == np.uint8 else 65535
    pixels = (rng.integers(0, 2, (high, wide, channels)) * top).astype(dtype)  # only extremes: overshoot would wrap
    out, span = resize(pixels, (rows, columns), fit)
    assert out.shape == (rows, columns, channels) and out.dtype == dtype
    assert out.min() >= 0 and out.max() <= top and min(span) > 0
    flat, _ = resize(np.full_like(pixels, top), (rows, columns), fit)
    assert (flat == top).all()


def test_resize_is_antialiased_and_keeps_sixteen_bits() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 65536, (256, 256, 1)).astype(np.uint16)
    small, span = resize(noise, (16, 16))
    assert span == (16.0, 16.0)
    assert small.std() < 0.12 * noise.std()  # a filter that only looks at neighbours would keep most of it
    ramp = np.linspace(1000, 1255, 256).astype(np.uint16)[None, :, None].repeat(64, 0)
    fine, _ = resize(ramp, (64, 200))
    assert len(np.unique(fine)) > 180  # eight bits of 65536 would leave one or two levels
    by_float, _ = resize(noise.astype(np.float32), (40, 24))
    by_int, _ = resize(noise, (40, 24))
    assert np.abs(by_int - by_float).max() <= 0.51


def test_crop_cuts_the_centre_and_pad_keeps_all() -> None:
    pixels = np.zeros((20, 60, 1), np.uint8)
    pixels[:, 20:40] = 200
    cropped, _ = resize(pixels, (10, 10), "crop")
    assert cropped.min() >= 180
    padded, _ = resize(pixels, (30, 30), "pad")
    assert (padded[:9] == 0).all() and padded[15, 15] >= 190 and (padded[21:] == 0).all()


def test_channels_convert_by_luminance_or_not_at_all() -> None:
    colour = np.zeros((2, 2, 3), np.uint16)
    colour[..., 1] = 60000
    assert (convert_channels(colour, 1) == round(0.587 * 60000)).all()
    with pytest.raises(GanvasError):
        convert_channels(np.zeros((2, 2, 4), np.uint8), 3)


def test_thumbnails_are_blind_to_brightness_and_zero_for_flat_pictures() -> None:
    pixels = picture(0)[:, :, None]
    dim = (pixels * 0.5 + 30).astype(np.uint8)
    assert thumbnail(pixels) @ thumbnail(dim) > 0.999
    assert not thumbnail(np.full((9, 9, 3), 77, np.uint8)).any()


def test_real_radiographs_keep_their_split() -> None:
    root = Path(os.environ.get("GANVAS_DATA", Path(__file__).parents[3] / "shared" / "data")) / "chest-xray"
    if not root.is_dir():
        pytest.skip("the real radiographs are not here")
    data = open_data(root, size=32)
    assert isinstance(data, Dataset) and len(data) == 786
    assert data.heldout.sum() == 157 and data.spec.classes == ("covid", "no-finding", "pneumonia")


def test_a_cache_that_cannot_be_written_is_a_run_error(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", ["a.png", "b.png"])
    (tmp_path / "file").touch()
    with pytest.raises(RunError) as caught:
        open_data(root, cache=tmp_path / "file" / "cache")
    assert "GANVAS_CACHE" in one_line(caught.value)


def test_both_contrasts_of_a_phantom_head_stay_on_one_side_of_the_split() -> None:
    data = open_data("brain", phantom_count=400, size=32)
    assert len(np.unique(data.groups)) == 200
    assert data.heldout.sum() == 80
    assert np.array_equal(data.heldout[0::2], data.heldout[1::2])


def test_patches_keep_the_scale_and_stay_with_their_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(5):
        pixels = rng.integers(0, 256, (35, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    data = open_data(tmp_path, size=16, fit="patches", heldout=0.3, progress=False)
    assert data.values.shape == (5 * 2 * 3, 16, 16, 3)
    with Image.open(tmp_path / "0.png") as picture:
        whole = np.asarray(picture)
    assert (data.values[0] == whole[1:17, 1:17]).all(), "cut, not resized; what is left over is left out on both sides"
    assert len(np.unique(data.groups)) == 5
    held = np.unique(data.groups[data.heldout])
    assert len(held) >= 1
    assert not np.isin(data.groups[~data.heldout], held).any(), "whole pictures are held out"
    assert any("cut into 30 patches" in note for note in data.notes)
    Image.fromarray(rng.integers(0, 256, (12, 40, 3), dtype=np.uint8)).save(tmp_path / "small.png")
    notes = open_data(tmp_path, size=16, fit="patches", progress=False).notes
    assert any("small.png" in note and "less than one patch" in note for note in notes)
    with pytest.raises(DataError, match="less than one patch"):
        open_data(tmp_path / "small.png", size=16, fit="patches", progress=False)
    with pytest.raises(GanvasError, match="--size 96"):
        open_data(tmp_path, fit="patches", progress=False)
