"""`data check`: what it counts, lists and advises, on small real files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_sets import dicom, folder, picture, volume

from ganvas.data.check import LISTED, CheckReport, check
from ganvas.errors import DataError, GanvasError


def said(report: CheckReport) -> str:
    json.dumps(report.to_dict())
    lines = report.lines()
    assert all("\n" not in line for line in lines)
    return "\n".join(lines)


def test_counts_ranges_labels_and_the_next_step(tmp_path: Path) -> None:
    names = [f"{label}/{i}.png" for label in ("cat", "dog") for i in range(60)]
    report = check(folder(tmp_path / "a set", names))
    assert (report.records, report.files, report.unreadable) == (120, 120, [])
    assert report.sizes == {"24x24": 120} and report.depths == {"8-bit": 120} and report.channels == {"grey": 120}
    assert report.labels == {"cat": 60, "dog": 60}
    assert (report.least, report.most) == (0.0, 255.0) and sum(report.histogram) == pytest.approx(1, abs=1e-3)
    assert report.exact_count == 0 and report.problems == []
    assert report.train[0] == f"ganvas train dcgan --data '{tmp_path / 'a set'}'" and "cgan" in report.train[2]
    assert "cat (60)" in said(report)


def test_unreadable_files_are_listed_with_reasons_and_fatal_only_when_strict(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", [f"{i}.png" for i in range(3)])
    (root / "text.png").write_text("no picture")
    (root / "empty.jpg").touch()
    report = check(root)
    assert [name for name, _ in report.unreadable] == ["empty.jpg", "text.png"]
    assert report.records == 3 and "text.png" in said(report)
    with pytest.raises(DataError, match=r"empty\.jpg"):
        check(root, strict=True)
    for path in root.glob("?.png"):
        path.unlink()
    nothing = check(root)
    assert nothing.records == 0 and "nothing to train on" in said(nothing) and nothing.train == []


def test_exact_and_near_duplicates_are_told_apart_and_capped(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", [f"{i}.png" for i in range(10)])
    Image.fromarray(picture(2)).save(root / "copy.bmp")
    Image.fromarray((picture(4) * 0.7 + 20).astype(np.uint8)).save(root / "dim.png")
    report = check(root)
    assert report.exact == [("2.png", "copy.bmp")] and report.exact_count == 1
    assert report.near == [("4.png", "dim.png")] and report.near_count == 1
    many = tmp_path / "many"
    many.mkdir()
    for i in range(LISTED + 20):
        Image.fromarray(picture(0)).save(many / f"{i}.png")
    capped = check(many)
    assert capped.exact_count == LISTED + 19 and len(capped.exact) == LISTED


def test_twins_across_the_split_are_a_leak(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", [f"{i}.png" for i in range(6)])
    Image.fromarray((picture(1) * 0.8 + 10).astype(np.uint8)).save(root / "again.png")
    rows = [f"{i}.png,g{i},train" for i in range(6)] + ["again.png,other,heldout"]
    (root / "groups.csv").write_text("\n".join(["file,group,split", *rows]))
    report = check(root)
    assert report.leak_count == 1 and report.leaks == [("1.png", "again.png")]
    assert report.split == {"train": 6, "held out": 1} and (report.groups, report.group_source) == (7, "groups.csv")
    assert "divided by the split" in said(report)
    (root / "groups.csv").write_text("\n".join(["file,group,split", *rows]).replace("heldout", "train"))
    assert check(root).leak_count == 0


def test_mixed_folders_are_described_not_refused(tmp_path: Path) -> None:
    import tifffile

    root = folder(tmp_path / "set", ["a.png", "b.png"])
    folder(root, ["wide.png"], (300, 500, 3))
    report = check(root)
    text = said(report)
    assert report.sizes == {"24x24": 2, "300x500": 1} and report.channels == {"grey": 2, "colour": 1}
    assert "--size 64" in report.train[0] and "--channels 1" in report.train[0] and "only 3 pictures" in text
    tifffile.imwrite(root / "deep.tif", picture(3).astype(np.uint16) * 257)
    deep = check(root)
    assert any("depths are mixed" in problem for problem in deep.problems) and deep.train == []


def test_an_empty_folder_and_a_wrong_table_are_errors_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for make in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(DataError) as caught:
            check(make)
        assert "\n" not in str(caught.value)
    root = folder(tmp_path / "set", ["a.png"])
    (root / "labels.csv").write_text("file,label\nb.png,x\n")
    with pytest.raises(DataError, match=r"b\.png"):
        check(root)


def test_dicom_burned_in_text_and_the_names_of_patient_tags(tmp_path: Path) -> None:
    said_of = {"YES": 1, "NO": 2, "": 3}
    for word, count in said_of.items():
        for i in range(count):
            pixels = picture(10 * count + i).astype(np.uint16) * 16
            tags = {"PatientName": "Hidden^Henry", "PatientBirthDate": "19500101"}
            if word:
                tags["BurnedInAnnotation"] = word
            dicom(tmp_path / "set" / f"{word or 'none'}{i}.dcm", pixels, f"hidden-id-{count}-{i}", **tags)
    report = check(tmp_path / "set")
    assert report.burned_in == ["YES0.dcm"] and report.burned_in_unknown == 3
    assert report.patient_tags == {"PatientName": 6, "PatientID": 6, "PatientBirthDate": 6}
    assert (report.groups, report.group_source) == (6, "PatientID (hashed)")
    text = said(report) + json.dumps(report.to_dict())
    assert "hidden" not in text.lower().replace("hashed", "") and "1950" not in text


def test_volumes_of_both_signs_are_no_mixture(tmp_path: Path) -> None:
    volume(tmp_path / "set" / "a.nii.gz", 1)
    volume(tmp_path / "set" / "b.nii.gz", 2, -300)
    report = check(tmp_path / "set")
    assert report.records == 12 and report.files == 2
    assert not any("depth" in problem for problem in report.problems) and report.train


def test_arrays_and_points(tmp_path: Path) -> None:
    images = np.stack([picture(i, (12, 12)) for i in range(5)])
    assert check(images).records == 5
    np.savez(tmp_path / "set.npz", images=images, labels=[0, 0, 1, 1, 1])
    report = check(tmp_path / "set.npz")
    assert report.labels == {"0": 2, "1": 3} and report.records == 5
    (tmp_path / "p.csv").write_text("0,1\n1,2\n1,2\n")
    points = check(tmp_path / "p.csv")
    assert points.kind == "points" and points.records == 3 and points.exact_count == 1
    assert "ganvas train gan" in said(points)


def test_phantoms_are_described_too() -> None:
    points = check("gaussians:ring")
    assert points.kind == "points" and points.records == 200


def test_saturation_is_measured_against_the_declared_range(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    pixels = np.full((20, 20), 100, np.uint8)
    pixels[:5] = 255
    pixels[5:7] = 0
    Image.fromarray(pixels).save(root / "a.png")
    assert check(root).saturated == pytest.approx((0.1, 0.25))


def test_real_radiographs_are_found_clean() -> None:
    root = Path(os.environ.get("GANVAS_DATA", Path(__file__).parents[3] / "shared" / "data")) / "chest-xray"
    if not root.is_dir():
        pytest.skip("the real radiographs are not here")
    report = check(root)
    assert report.records == 786 and report.exact_count == 0 and report.leak_count == 0
    assert report.split == {"train": 629, "held out": 157}


def test_other_kinds_are_checked_as_they_would_be_trained_on(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    rng = np.random.default_rng(0)
    for number, channels in enumerate((1, 2, 2, 2)):
        soundfile.write(tmp_path / f"{number}.wav", rng.uniform(-0.5, 0.5, (1000, channels)), 8000)
    with pytest.raises(DataError, match="mixes channels.*--channels 1"):
        check(tmp_path)
    report = check(tmp_path, channels=1, rate=4000, size=128, fit="patches")
    assert report.records == 4 * 4 and "128 samples at 4000 Hz, mono" in said(report)
    assert report.train == [f"ganvas train specgan --data {tmp_path} --size 128 --channels 1 --rate 4000 --fit patches"]


def test_a_table_is_what_it_is_said_to_be_and_pictures_take_no_settings(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("x,y\n" + "".join(f"{k / 7},{k % 5}\n" for k in range(400)))
    assert "points" in said(check(table))
    assert "series of 20 steps of 2 quantities" in said(check(table, kind="series", size=20))
    with pytest.raises(GanvasError, match="--size is not for a check of pictures and points"):
        check(folder(tmp_path / "set", ["a.png", "b.png"]), size=64)


def test_an_array_that_is_no_picture_is_told_of_the_kinds_it_may_be(tmp_path: Path) -> None:
    source = tmp_path / "windows.npz"
    np.savez(source, series=np.zeros((60, 30, 2)), names=np.array(["flow", "time"]))
    report = check(source)
    assert report.records == 0 and "say --kind graph or series" in report.problems[-1]
    with pytest.raises(DataError, match="'time', which tables keep for times"):
        check(source, kind="series")


def test_what_is_too_small_to_be_audited_is_told(tmp_path: Path) -> None:
    small = check(folder(tmp_path / "small", [f"{k:02d}.png" for k in range(60)]))
    (note,) = [text for text in small.notes if "copies of training records" in text]
    assert "12 held-out and 48 training records (of 60, with --heldout 0.2): the audit needs 20 of each" in note
    assert note in said(small)
    enough = check(folder(tmp_path / "enough", [f"{k:03d}.png" for k in range(100)]))
    assert not [text for text in enough.notes if "copies of training records" in text]
    names = [f"{side}/{k:02d}.png" for side, count in (("train", 40), ("test", 20)) for k in range(count)]
    declared = check(folder(tmp_path / "declared", names))
    assert not [text for text in declared.notes if "copies of training records" in text], "its own split has enough"


def test_what_suits_the_data_is_proposed_by_the_cards_of_systems(tmp_path: Path) -> None:
    """Two folders were never proposed to cyclegan, nor photographs to srgan."""

    def proposed(place: Path) -> list[str]:
        return [line.split()[2] for line in check(place).train]

    folders = [f"{name}/{k:02d}.png" for name in ("horses", "zebras") for k in range(20)]
    assert proposed(folder(tmp_path / "two", folders)) == ["dcgan", "r3gan", "cgan", "cyclegan"]
    assert proposed(folder(tmp_path / "three", [*folders, "mules/0.png"])) == ["dcgan", "r3gan", "cgan"]
    lungs = [f"{name}/{k:02d}.png" for name in ("Healthy", "ill", "worse") for k in range(20)]
    assert proposed(folder(tmp_path / "lungs", lungs)) == ["dcgan", "r3gan", "cgan", "anogan"]
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number, (height, width) in enumerate(((200, 260), (300, 220), (240, 240))):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(tmp_path / "photos" / f"{number}.png")
    photographs = check(tmp_path / "photos")
    assert [line.split()[2] for line in photographs.train] == ["dcgan", "r3gan", "srgan"]
    assert photographs.train[0].endswith(" --size 128")
    assert photographs.train[2] == f"ganvas train srgan --data {tmp_path / 'photos'}", "its card says the size of patches"


def test_no_system_is_proposed_by_its_name_in_the_code() -> None:
    from ganvas.data import check as module
    from ganvas.registry import catalogue

    for path in (Path(module.__file__).with_name(name) for name in ("check.py", "pictures.py", "fields.py")):
        words = set(path.read_text().replace('"', " ").replace("'", " ").split())
        assert not words & set(catalogue()), path


def test_sub_folders_with_equal_names_may_be_pairs_and_that_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(12):
        for side in ("mr", "ct"):
            (tmp_path / side).mkdir(exist_ok=True)
            pixels = rng.integers(0, 256, (16, 16)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / side / f"{number:02}.png")
    report = check(tmp_path, progress=False)
    (told,) = [note for note in report.notes if "12 files of equal names" in note]
    assert "--fields" in told and "=ct," in told and told.endswith("=mr")
    (tmp_path / "ct" / "00.png").rename(tmp_path / "ct" / "a.png")
    for number in range(1, 12):
        (tmp_path / "ct" / f"{number:02}.png").rename(tmp_path / "ct" / f"b{number}.png")
    assert not any("equal names" in note for note in check(tmp_path, progress=False).notes)


def test_several_tables_are_a_table_and_neither_points_nor_symbols(tmp_path: Path) -> None:
    for name in ("a", "b"):
        rows = [f"{20 + k},{'abc'[k % 3]},{k * 10.5}" for k in range(60)]
        (tmp_path / f"{name}.csv").write_text("age,job,pay\n" + "\n".join(rows) + "\n", encoding="utf-8")
    report = check(tmp_path, progress=False)
    assert (report.records, report.files) == (120, 2) and "3 columns" in report.kind
    assert check(tmp_path / "a.csv", progress=False).records == 60, "the header is no record"
