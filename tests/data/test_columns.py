"""Records of several fields on disk: layouts, partners that lack, groups and splits, and what `data check` tells of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.data import open_data
from ganvas.data.check import check
from ganvas.data.columns import find_rows, parse_fields
from ganvas.errors import DataError
from ganvas.store.listing import Source

FIELDS = {"photo": ("image",), "map": ("label_map", "image")}


def photo(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)


def mask(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 3, (12, 12), dtype=np.uint8)).save(path)


def pairs(root: Path, count: int = 10, a: str = "photos", b: str = "maps") -> Path:
    for k in range(count):
        photo(root / a / f"{k:02d}.png", k)
        mask(root / b / f"{k:02d}.png", k)
    return root


def table(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def opened(root: Path, tmp_path: Path, fields: object = FIELDS, **more: object) -> object:
    return open_data(root, fields=fields, cache=tmp_path / "cache", progress=False, **more)


def test_sub_folders_with_equal_stems_and_mixed_suffixes(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set")
    (root / "photos" / "03.png").unlink()
    photo(root / "photos" / "03.jpg", 3)
    rows = find_rows(Source(root), FIELDS)
    assert list(rows.columns) == ["photo", "map"] and len(rows.names) == 10 and rows.lonely == []
    assert rows.columns["photo"].files[3].name == "03.jpg"
    data = opened(root, tmp_path)
    assert [own.spec.kind for own in data.fields.values()] == ["image", "label_map"] and len(data) == 10


def test_what_has_no_partner_is_named(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set")
    photo(root / "photos" / "99.png")
    (root / "photos" / "02.png").unlink()
    rows = find_rows(Source(root))
    assert len(rows.names) == 9
    assert sorted(rows.lonely) == ["maps/02.png has no partner in photos", "photos/99.png has no partner in maps"]
    assert any("left out for want of a partner: 2 beside 9" in note for note in opened(root, tmp_path).notes)
    report = check(root)
    assert report.records == 9 and report.lonely_count == 2 and "99.png" in "\n".join(report.lines())


def test_two_files_for_one_record_are_refused(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set")
    photo(root / "photos" / "04.jpg", 4)
    with pytest.raises(DataError, match=r"photos has .*04\.(png|jpg) and .*04\.(png|jpg) for one record"):
        find_rows(Source(root))
    with pytest.raises(DataError, match="for one record"):
        check(root)


def test_folders_named_by_hand_go_before_all(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set", a="left", b="right")
    hand = "photo=left,map=right"
    assert list(find_rows(Source(root), FIELDS, parse_fields(hand)).columns) == ["photo", "map"]
    assert len(opened(root, tmp_path, columns=hand)) == 10
    table(root / "pairs.csv", ["photo,map", "left/00.png,right/00.png", "left/01.png,right/01.png"])
    rows = find_rows(Source(root), FIELDS, parse_fields(hand))
    assert len(rows.names) == 10 and "pairs.csv is not read" in rows.notes[0]
    assert check(root, fields=hand).fields.keys() == {"photo", "map"}
    with pytest.raises(DataError, match="no field 'foto'"):
        find_rows(Source(root), FIELDS, parse_fields("foto=left,map=right"))
    with pytest.raises(DataError, match="write NAME=FOLDER"):
        parse_fields("photo")


def test_what_the_line_about_two_folders_asks_for_is_enough(tmp_path: Path) -> None:
    """One field named by hand, whose folder is a column of a table as well: the table still tells the others."""
    root = pairs(tmp_path / "set", a="left", b="right")
    names = sorted(path.stem for path in (root / "left").iterdir())
    table(root / "captions.csv", ["code,caption", *(f'{name},"a house of {k} windows"' for k, name in enumerate(names))])
    wanted = {"picture": ("image",), "caption": ("tokens",)}
    with pytest.raises(DataError, match="may be left or right .*--fields picture=left"):
        find_rows(Source(root), wanted)
    for side in ("left", "right"):
        rows = find_rows(Source(root), wanted, parse_fields(f"picture={side}"))
        assert list(rows.columns) == ["picture", "caption"]
        assert all(file.parent.name == side for file in rows.columns["picture"].files)
        assert rows.columns["caption"].texts["caption"][3] == "a house of 3 windows"


def test_split_words_of_folders(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for side, count in (("train", 6), ("test", 3)):
        pairs(root / side, count)
    data = opened(root, tmp_path)
    assert data.declared_split and data.heldout.sum() == 3 and len(data) == 9


def test_groups_splits_and_labels_of_a_table(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set", 12)
    words = ["train", "development-heldout", "train", "val"]
    lines = [f"photos/{k:02d}.png,maps/{k:02d}.png,g{k // 3},{words[k // 3]},{'ab'[k // 6]}" for k in range(12)]
    table(root / "pairs.csv", ["photo,map,group,split,class", *lines])
    data = opened(root, tmp_path)
    assert data.heldout.tolist() == [k // 3 in (1, 3) for k in range(12)] and len(np.unique(data.groups)) == 4
    assert data.spec.classes == ("a", "b") and data.labels.tolist() == [0] * 6 + [1] * 6
    report = check(root)
    assert report.labels == {"a": 6, "b": 6} and report.groups == 4 and report.split == {"train": 6, "held out": 6}
    table(root / "pairs.csv", ["photo,map,split", "photos/00.png,maps/00.png,train", "photos/01.png,maps/01.png,perhaps"])
    with pytest.raises(DataError, match="row 2 has split 'perhaps'"):
        find_rows(Source(root))


def test_rows_of_a_table_without_their_file_are_named(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set", 4)
    lines = ["photos/00.png,maps/00.png", "photos/01.png,maps/77.png", "photos/02.png,"]
    table(root / "pairs.csv", ["photo,map", *lines])
    rows = find_rows(Source(root))
    assert rows.names == ["photos/00.png"]
    assert rows.lonely[:2] == ["pairs.csv, row 2: 'maps/77.png' is not there", "pairs.csv, row 3: no map"]
    assert "photos/03.png stands in no row of pairs.csv" in rows.lonely


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("parted", [False, True])
def test_the_layout_of_hugging_face(form: str, parted: bool, tmp_path: Path) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    root = tmp_path / "set"
    for side in ("train", "test") if parted else ("",):
        folder = root / side
        rows = []
        for k in range(8 if side != "test" else 3):
            photo(folder / f"{k}.png", k)
            mask(folder / "m" / f"{k}.png", k)
            text = ("a frog", "a pig, green", "an owl")[k % 3]
            rows.append(
                {"file_name": f"{k}.png", "mask_file_name": f"m/{k}.png", "text": text, "size": k * 1.5, "hair": "ab"[k % 2]}
            )
        if form == "csv":
            import csv

            with (folder / "metadata.csv").open("w", newline="") as stream:
                writer = csv.DictWriter(stream, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        elif form == "jsonl":
            (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        else:
            import pyarrow
            from pyarrow import parquet

            parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "metadata.parquet")
    rows = find_rows(Source(root))
    assert list(rows.columns) == ["image", "mask", "text", "size", "hair"] and rows.lonely == []
    assert len(rows.names) == (11 if parted else 8)
    wanted = {"picture": ("image",), "mask": ("label_map",), "caption": ("tokens",), "attributes": ("table",)}
    data = opened(root, tmp_path, wanted)
    assert [own.spec.kind for own in data.fields.values()] == ["image", "label_map", "tokens", "table"]
    assert data.fields["attributes"].spec.names == ("size", "hair")
    assert not parted or (data.declared_split and data.heldout.sum() == 3)
    report = check(root, sheet=tmp_path / "sheet.png")
    assert set(report.fields) == {"image", "mask", "text", "attributes"} and "label maps" in report.fields["mask"]
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 4 * 100 and "SYNTHETIC" not in str(sheet.info)


def test_a_table_of_names_and_several_folders(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set", 6, "google", "twitter")
    table(root / "captions.csv", ["code,caption", *[f"{k:02d},thing {k}" for k in range(6)]])
    rows = find_rows(Source(root))
    assert list(rows.columns) == ["google", "twitter", "caption"] and len(rows.names) == 6


def test_a_folder_of_classes_stays_what_it_is(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for k in range(12):
        photo(root / ("cat", "dog")[k % 2] / f"{k // 2}.png", k)
    report = check(root)
    assert report.fields == {} and report.labels == {"cat": 6, "dog": 6}
    table(root / "ids.csv", ["id,owner", *[f"{k},who" for k in range(3)]])
    for k in range(6):
        (root / "dog" / f"{k}.png").rename(root / "dog" / f"d{k}.png")
    table(root / "ids.csv", ["id,owner", *[f"{k},who" for k in range(6)], *[f"d{k},who" for k in range(6)]])
    assert check(root).fields == {}  # each folder has half of the ids: these are classes
    with pytest.raises(DataError, match="--sheet is for records of several fields"):
        check(root, sheet=tmp_path / "s.png")


def test_a_table_beside_its_folder_and_as_the_source(tmp_path: Path) -> None:
    for k in range(5):
        photo(tmp_path / "all" / "faces" / f"{k}.png", k)
    lines = [f"faces/{k}.png,{('round', 'none')[k % 2]}" for k in range(5)]
    beside = table(tmp_path / "all" / "faces.csv", ["file,glasses", *lines])
    table(tmp_path / "all" / "edits.csv", ["file,edited_file", "faces/0.png,faces/1.png", "faces/0.png,faces/2.png"])
    for source in (tmp_path / "all" / "faces", beside, tmp_path / "all"):
        rows = find_rows(Source(source))
        assert list(rows.columns) == ["image", "glasses"] and len(rows.names) == 5
    assert any("edits.csv name files, too" in note for note in rows.notes)
    data = opened(tmp_path / "all" / "edits.csv", tmp_path, {"edited": ("image",), "image": ("image",)}, heldout=0)
    assert len(np.unique(data.groups)) == 1  # both rows have the same original


def test_one_npz_with_several_keys(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "set.npz"
    photos = rng.integers(0, 256, (20, 12, 12, 3), dtype=np.uint8)
    maps = rng.integers(0, 4, (20, 12, 12))
    np.savez(path, photo=photos, map=maps, age=np.arange(20) * 1.5, labels=np.arange(20) % 2, groups=np.arange(20) // 2)
    data = opened(path, tmp_path, {"photo": ("image",), "map": ("label_map",), "attributes": ("table",)})
    np.testing.assert_array_equal(data.fields["map"].values, maps)
    np.testing.assert_allclose(data.fields["attributes"].values[:, 0], np.arange(20) * 1.5)
    assert data.spec.classes == ("0", "1") and len(np.unique(data.groups)) == 10
    assert set(check(path).fields) == {"photo", "map", "attributes"}
    np.savez(path, photo=photos, map=maps[:7])
    with pytest.raises(DataError, match=r"different numbers of records \(photo 20, map 7\)"):
        opened(path, tmp_path)


def test_missing_fields_are_told_with_the_layout(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set")
    with pytest.raises(DataError, match="a metadata.csv beside them: file_name, caption; a row") as caught:
        find_rows(Source(root), {"photo": ("image",), "caption": ("tokens",)})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "taken"),
    [("A tall, red house {}.", True), ("house {}", True), ("0016E5-{}", False), ("{}", False)],
)
def test_only_a_column_of_words_is_taken_for_captions_without_being_called_so(tmp_path: Path, said: str, taken: bool) -> None:
    root = pairs(tmp_path / "set")
    names = sorted((root / "photos").iterdir())
    lines = [f'photos/{name.name},"{said.format(k)}"' for k, name in enumerate(names)]
    table(root / "pairs.csv", ["photo,remark", *lines])
    wanted = {"photo": ("image",), "caption": ("tokens",)}
    by_hand = find_rows(Source(root), wanted, {"caption": "remark"})
    assert list(by_hand.columns) == ["photo", "caption"], "named by hand, anything goes"
    assert [line.split()[2] for line in check(root).train if "gan-cls" in line] == (["gan-cls"] if taken else [])
    if taken:
        assert find_rows(Source(root), wanted).columns["caption"].texts
    else:
        with pytest.raises(DataError, match="there is no caption"):
            find_rows(Source(root), wanted)


def test_an_array_is_taken_for_a_field_only_where_it_has_the_shape_of_its_kind(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "pairs.npz"
    np.savez(path, photo=rng.integers(0, 255, (30, 16, 16, 3), np.uint8), map=rng.integers(0, 4, (30, 16, 16), np.uint8))
    assert [line.split()[2] for line in check(path).train] == ["pix2pix", "pix2pixhd", "spade"]
    with pytest.raises(DataError, match="there is no caption"):
        find_rows(Source(path), {"photo": ("image",), "caption": ("tokens",)})


@pytest.mark.skipif("GANVAS_DATA" not in os.environ, reason="real data is not here")
def test_real_sets(tmp_path: Path) -> None:
    root = Path(os.environ["GANVAS_DATA"])
    fields = {
        name: set(check(root / name, progress=False).fields) for name in ("facades", "retina", "captioned-stamps", "emoji")
    }
    assert fields["facades"] == {"photo", "labels"} and fields["retina"] >= {"photo", "vessels", "second_observer"}
    assert fields["captioned-stamps"] == {"image", "caption", "attributes"} and fields["emoji"] >= {
        "google",
        "twitter",
        "caption",
    }
    assert check(root / "drums", progress=False).fields == {}


@pytest.mark.parametrize(
    ("kind", "told"), [("tokens", "file_name, said; a row"), ("table", "file_name, a column for each of the said; a row")]
)
def test_what_can_only_stand_in_a_table_is_not_looked_for_in_folders(tmp_path: Path, kind: str, told: str) -> None:
    photo(tmp_path / "photos" / "00.png")
    with pytest.raises(DataError, match="a metadata.csv beside them") as caught:
        find_rows(Source(tmp_path), {"photo": ("image",), "said": (kind,)})
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_folders_that_have_each_others_names_are_taken_as_they_were_named_by_hand(tmp_path: Path) -> None:
    root = pairs(tmp_path / "set", a="photo", b="map")
    found = find_rows(Source(root), FIELDS, {"photo": "map", "map": "photo"})
    assert {name: own.files[0].parent.name for name, own in found.columns.items()} == {"photo": "map", "map": "photo"}
    found = find_rows(Source(root), FIELDS, {"photo": "map"} | {"map": str(root / "photo")})
    assert {name: own.files[0].parent.name for name, own in found.columns.items()} == {"photo": "map", "map": "photo"}


def test_masks_and_tables_beside_a_field_are_no_records_of_it(tmp_path: Path) -> None:
    """What `ganvas data make` writes: masks in a folder of their own, and what is true in a table."""
    for name in ("map", "photo"):
        for number in range(6):
            for place in (tmp_path / name / "lesion", *([tmp_path / name / "masks" / "lesion"] if number < 2 else [])):
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((8, 8), 30 * number, np.uint8)).save(place / f"{number}.png")
        (tmp_path / name / "facts.jsonl").write_text('{"file": "lesion/0.png", "size": 3}\n')
    rows = find_rows(Source(tmp_path), None, {})
    assert rows.names == [f"lesion/{number}" for number in range(6)]
    assert not rows.lonely
    assert any(note.startswith("map: facts.jsonl, masks/lesion/0.png and 1 more left out") for note in rows.notes)


@pytest.mark.parametrize(("cells", "proposed"), [(("7.25", "8.5", "3.125"), False), (("yes", "no", "no"), True)])
def test_a_system_is_proposed_only_for_columns_that_it_can_learn(
    tmp_path: Path, cells: tuple[str, ...], proposed: bool
) -> None:
    """A table of numbers alone has no attributes to choose from: what learns these refused the data it was proposed for."""
    lines = ["file_name,measured"]
    for number in range(30):
        photo(tmp_path / f"{number:02d}.png")
        lines.append(f"{number:02d}.png,{cells[number % 3]}{number if not proposed else ''}")
    (tmp_path / "metadata.csv").write_text("\n".join(lines) + "\n")
    assert ("stargan" in [line.split()[2] for line in check(tmp_path).train]) is proposed
