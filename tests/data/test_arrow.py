"""Data sets of Hugging Face on disk: which files are taken, what is read, told and refused, and going on to the same bits."""

from __future__ import annotations

import builtins
import io
import json
import os
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import ipc, parquet

import toys
from ganvas.batches import Noise
from ganvas.data.check import check
from ganvas.data.dataset import open_data
from ganvas.data.finding import packed_of, recognise
from ganvas.data.shard_values import ShardValues
from ganvas.data.streams import open_stream
from ganvas.data.unpacking import unpack
from ganvas.errors import DataError, GanvasError, MissingExtra, MixedData, RunError
from ganvas.game import Feed
from ganvas.kinds import kind_of
from ganvas.run.load import place_of
from ganvas.run.settings import Settings
from ganvas.store.arrow import ArrowTables, names_tables

STRUCT = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
NAMES = ["cat", "dog", "bird"]
FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": NAMES, "_type": "ClassLabel"},
    "caption": {"dtype": "string", "_type": "Value"},
    "age": {"dtype": "int32", "_type": "Value"},
}


def encoded(seed: int, kind: str = "PNG", size: tuple[int, int] = (8, 8), dtype: Any = np.uint8, colour: bool = True) -> bytes:
    shape = (*size, 3) if colour else size
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def rows_of(start: int, stop: int) -> list[dict[str, Any]]:
    return [
        {
            "image": {"bytes": encoded(k), "path": f"{k:04d}.png"},
            "label": k % 3,
            "caption": f"a {NAMES[k % 3]} of size {k % 4}",
            "age": k,
        }
        for k in range(start, stop)
    ]


def table_of(rows: Sequence[dict[str, Any]], features: dict[str, Any] | None = FEATURES, **types: Any) -> Any:
    known = {"image": STRUCT, "label": pyarrow.int64(), "caption": pyarrow.string(), "age": pyarrow.int32()} | types
    names = [name for name in known if rows and name in rows[0]] if rows else list(known)
    table = pyarrow.Table.from_pylist(list(rows), pyarrow.schema([(name, known[name]) for name in names]))
    return table.replace_schema_metadata(
        {} if features is None else {"huggingface": json.dumps({"info": {"features": features}})}
    )


def in_parquet(path: Path, rows: Sequence[dict[str, Any]], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table_of(rows, **more), path, row_group_size=7)
    return path


def in_arrow(path: Path, table: Any, chunk: int = 7, compression: str | None = None, whole: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = ipc.IpcWriteOptions(compression=compression)
    new = ipc.new_file if whole else ipc.new_stream
    with new(str(path), table.schema, options=options) as writer:
        writer.write_table(table, chunk)
    return path


def saved(folder: Path, tables: Sequence[Any], chunk: int = 7) -> Path:
    """As `Dataset.save_to_disk` writes it."""
    names = [f"data-{k:05d}-of-{len(tables):05d}.arrow" for k in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        in_arrow(folder / name, table, chunk)
    folder.mkdir(parents=True, exist_ok=True)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "x", "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    return folder


def opened(source: Any, cache: Path, **more: Any) -> Any:
    return open_data(str(source), cache=cache, progress=False, **more)


def dealt(stream: Any, batches: int) -> list[np.ndarray]:
    noise = Noise.seeded(0)
    return [stream.draw(noise).real.numpy() for _ in range(batches)]


# Forms


def one_parquet(path: Path) -> str:
    return str(in_parquet(path / "one.parquet", rows_of(0, 24)))


def hub(path: Path) -> str:
    for part in range(3):
        in_parquet(path / "data" / f"train-{part:05d}-of-00003.parquet", rows_of(8 * part, 8 * part + 8))
    (path / "README.md").write_text("---\n---\n")
    (path / ".gitattributes").write_text("x")
    return str(path)


def a_star(path: Path) -> str:
    hub(path)
    in_parquet(path / "data" / "test-00000-of-00001.parquet", rows_of(50, 55))
    return f"{path}/data/train-*.parquet"


def braces(path: Path) -> str:
    return a_star(path).replace("train-*", "train-{00000..00002}-of-00003")


def saved_whole(path: Path) -> str:
    return str(saved(path / "s", [table_of(rows_of(0, 24))]))


def saved_in_parts(path: Path) -> str:
    """With what is left in such a folder: the cache of a `map`, a part of an earlier save."""
    folder = saved(path / "s", [table_of(rows_of(0, 10)), table_of(rows_of(10, 24))])
    in_arrow(folder / "cache-0123.arrow", table_of(rows_of(60, 70)))
    in_arrow(folder / "data-00000-of-00001.arrow", table_of(rows_of(60, 70)))
    return str(folder)


def names_beside(path: Path) -> str:
    """The names of classes stand in dataset_info.json alone."""
    return str(saved(path / "s", [table_of(rows_of(0, 24), None)]))


def with_an_index(path: Path) -> str:
    return str(in_arrow(path / "a.arrow", table_of(rows_of(0, 24)), whole=True))


def compressed(path: Path) -> str:
    return str(in_arrow(path / "a.arrow", table_of(rows_of(0, 24)), compression="zstd", whole=True))


def words_kept_once(path: Path) -> str:
    table = table_of(rows_of(0, 24))
    return str(in_arrow(path / "a.arrow", table.set_column(2, "caption", table["caption"].dictionary_encode())))


@pytest.mark.parametrize(
    "form",
    [one_parquet, hub, a_star, braces, saved_whole, saved_in_parts, names_beside, with_an_index, compressed, words_kept_once],
)
def test_records_are_those_of_the_same_files_in_a_folder(tmp_path: Path, form: Any) -> None:
    for k, row in enumerate(rows_of(0, 24)):
        place = tmp_path / "files" / NAMES[k % 3] / row["image"]["path"]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(row["image"]["bytes"])
    files = opened(tmp_path / "files", tmp_path / "c")
    order = np.argsort([name.split("/")[-1] for name in files.names()])
    mine = opened(form(tmp_path / "set"), tmp_path / "c")
    assert isinstance(mine.values, ShardValues)
    assert mine.spec == files.spec
    np.testing.assert_array_equal(np.asarray(mine.values), np.asarray(files.values)[order])
    np.testing.assert_array_equal(mine.labels, files.labels[order])
    assert any("captions of 24 records are left alone" in note for note in mine.notes)
    again = pickle.loads(pickle.dumps(mine.values))
    np.testing.assert_array_equal(again[np.arange(24)], np.asarray(mine.values))


def test_arrow_is_read_where_it_lies_and_parquet_is_unpacked(tmp_path: Path) -> None:
    opened(saved_whole(tmp_path), tmp_path / "c")
    assert not list((tmp_path / "c").glob("shards/*.column"))
    opened(hub(tmp_path / "h"), tmp_path / "c")
    assert len(list((tmp_path / "c").glob("shards/*.column"))) == 3
    check(hub(tmp_path / "h"), progress=False)


@pytest.mark.parametrize("form", ["dict", "hub", "folders"])
def test_declared_splits_are_kept(tmp_path: Path, form: str) -> None:
    train, test, odd = rows_of(0, 12), rows_of(12, 18), rows_of(18, 21)
    if form == "dict":
        for name, rows in (("train", train), ("test", test), ("extra", odd)):
            saved(tmp_path / "s" / name, [table_of(rows)])
        (tmp_path / "s" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test", "extra"]}))
        saved(tmp_path / "s" / "left", [table_of(rows_of(30, 33))])  # is no split of the set
    elif form == "hub":
        for name, rows in (("train", train), ("validation", test), ("extra", odd)):
            in_parquet(tmp_path / "s" / "data" / f"{name}-00000-of-00001.parquet", rows)
    else:
        for name, rows in (("train", train), ("test", test), ("extra", odd)):
            in_parquet(tmp_path / "s" / "default" / name / "0000.parquet", rows)
    data = opened(tmp_path / "s", tmp_path / "c")
    assert data.declared_split
    assert len(data) == 21
    held = {own.tobytes() for own in np.asarray(data.values[data.heldout_indices()])}
    assert held == {np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))).tobytes() for row in test}
    assert any("names that say neither count as training: " in note and "extra" in note for note in data.notes)
    assert check(str(tmp_path / "s"), progress=False).split == {"train": 15, "held out": 6}


def test_files_of_a_test_set_alone_are_split_as_any(tmp_path: Path) -> None:
    in_parquet(tmp_path / "test-00000-of-00001.parquet", rows_of(0, 20))
    data = opened(tmp_path / "test-00000-of-00001.parquet", tmp_path / "c")
    assert not data.declared_split
    assert data.heldout.sum() == 4


def test_group_and_side_of_each_row(tmp_path: Path) -> None:
    rows = [row | {"group": k // 4, "split": "test" if k // 4 == 1 else "train"} for k, row in enumerate(rows_of(0, 12))]
    data = opened(
        in_parquet(tmp_path / "a.parquet", rows, group=pyarrow.int64(), split=pyarrow.string()), tmp_path / "c"
    )  # fmt: skip
    np.testing.assert_array_equal(data.groups, np.arange(12) // 4)
    np.testing.assert_array_equal(data.heldout, np.arange(12) // 4 == 1)


def test_tables_of_numbers_and_pictures_beside_tables_are_none(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"x": [0.0, 1.0], "y": [1.0, 2.0]}), tmp_path / "points.parquet")
    assert not names_tables(str(tmp_path / "points.parquet"))
    assert not names_tables(str(tmp_path))
    folder = tmp_path / "f"
    in_parquet(folder / "metadata.parquet", rows_of(0, 3))
    (folder / "a.png").write_bytes(encoded(0))
    assert not names_tables(str(folder))
    assert not names_tables(str(tmp_path / "nothing.parquet"))
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "a-0.parquet").write_bytes(b"not at all")
    in_parquet(tmp_path / "g" / "a-1.parquet", rows_of(0, 8))
    data = opened(tmp_path / "g", tmp_path / "c")
    assert len(data) == 8
    assert any(note.startswith("left out whole: a-0.parquet: cannot be read") for note in data.notes)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [in_parquet(tmp_path / "a.parquet", rows_of(0, 3)), saved(tmp_path / "s", [table_of(rows_of(0, 3))])]
    usual = builtins.__import__

    def lacking(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return usual(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", lacking)
    for place in places:
        assert isinstance(packed_of(str(place)), ArrowTables)
        with pytest.raises(MissingExtra, match=r"pip install 'ganvas\[parquet\]'"):
            opened(place, tmp_path / "c")


# Columns


def test_depths_and_channels(tmp_path: Path) -> None:
    """16 bits as `datasets` keeps them, in TIFF, and in PNG; grey; raw bytes without a struct, called by no usual name."""
    for kind in ("TIFF", "PNG"):
        rows = [{"image": {"bytes": encoded(k, kind, dtype=np.uint16, colour=False), "path": None}} for k in range(6)]
        deep = opened(in_parquet(tmp_path / f"{kind}.parquet", rows), tmp_path / "c")
        assert (deep.values.dtype, deep.values.shape) == (np.uint16, (6, 8, 8, 1))
        assert np.asarray(deep.values).max() > 60_000
    grey = [{"scan": encoded(k, colour=False), "class": "ab"[k % 2]} for k in range(6)]
    plain = opened(
        in_parquet(tmp_path / "g.parquet", grey, features=None, scan=pyarrow.large_binary(), **{"class": pyarrow.string()}),
        tmp_path / "c",
    )
    assert plain.values.shape == (6, 8, 8, 1)
    assert plain.spec.classes == ("a", "b")


def test_of_several_columns_of_classes_the_first_is_taken_and_told(tmp_path: Path) -> None:
    rows = [{"image": row["image"], "coarse": k % 2, "fine": k % 4} for k, row in enumerate(rows_of(0, 12))]
    features = {
        "image": {"_type": "Image"},
        "coarse": {"_type": "ClassLabel", "names": ["u", "v"]},
        "fine": {"_type": "ClassLabel", "names": list("wxyz")},
    }
    path = in_parquet(tmp_path / "a.parquet", rows, features=features, coarse=pyarrow.int64(), fine=pyarrow.int64())
    data = opened(path, tmp_path / "c")
    assert data.spec.classes == ("u", "v")
    assert "labels are those of the column coarse; fine would do as well (--fields label=fine)" in data.notes
    other = opened(path, tmp_path / "c", columns="label=fine")
    assert other.spec.classes == ("w", "x", "y", "z")
    np.testing.assert_array_equal(other.labels, np.arange(12) % 4)
    assert other.fingerprint != data.fingerprint


def pairs(path: Path) -> Path:
    rows = [
        {"before": {"bytes": encoded(k), "path": None}, "after": {"bytes": encoded(100 + k), "path": None}} for k in range(10)
    ]
    return in_parquet(path, rows, features=None, before=STRUCT, after=STRUCT)


def test_of_several_columns_of_pictures_one_is_chosen(tmp_path: Path) -> None:
    path = pairs(tmp_path / "two.parquet")
    with pytest.raises(DataError, match=r"2 columns hold pictures \(before, after\): say which, as in  --fields image=before"):
        opened(path, tmp_path / "c")
    data = opened(path, tmp_path / "c", columns="image=after")
    np.testing.assert_array_equal(data.values[3], np.asarray(Image.open(io.BytesIO(encoded(103)))))
    report = check(str(path), fields="image=after", progress=False)
    assert report.train[0].endswith(f"--data {path} --fields image=after")
    assert any("columns left alone: before" in note for note in data.notes)
    for columns, told in (
        ("image=afer", r"no column 'afer' for image \(did you mean 'after'\?\): its columns are before \(struct"),
        ("imge=after", r"--fields: no field 'imge' \(did you mean 'image'\?\): fields are image, label, caption, group, split"),
        ("image=after,label=before", "the column before holds struct.*: no labels"),
    ):
        with pytest.raises(GanvasError, match=told):
            opened(path, tmp_path / "c", columns=columns)
    with pytest.raises(DataError, match="of Parquet and Arrow files one picture a record is read, not photo and map"):
        opened(path, tmp_path / "c", fields={"photo": ("image",), "map": ("image",)}, columns="photo=before,map=after")


def test_captions_and_attributes_are_fields_beside_the_picture(tmp_path: Path) -> None:
    path = hub(tmp_path / "h")
    with pytest.raises(GanvasError, match="--fields: attributes are all columns with one value a row"):
        opened(path, tmp_path / "c", fields={"picture": ("image",), "attributes": ("table",)}, columns="attributes=age")
    data = opened(path, tmp_path / "c", fields={"picture": ("image",), "caption": ("tokens",)})
    words: Any = kind_of("tokens")
    spec = data.fields["caption"].spec
    lines = [words.lines(own, spec)[0] for own in np.asarray(data.fields["caption"].values)]
    assert lines == [row["caption"] for row in rows_of(0, 24)]
    table = opened(path, tmp_path / "c", fields={"picture": ("image",), "attributes": ("table",)})
    own: Any = kind_of("table")
    cells = own.cells(np.asarray(table.fields["attributes"].values), table.fields["attributes"].spec)
    assert cells == {"age": [str(k) for k in range(24)]}
    chosen = opened(
        path, tmp_path / "c", fields={"picture": ("image",), "words": ("tokens",)}, columns="words=caption,picture=image"
    )
    assert list(chosen.fields) == ["picture", "words"]
    report = check(path, progress=False)
    assert "gan-cls" in report.train[0]
    assert not any("pg2" in line for line in report.train)  # which wants poses


def test_lists_of_captions_and_columns_of_other_types(tmp_path: Path) -> None:
    rows = [row | {"captions": ["one red", "two blue"], "boxes": [[1.0, 2.0]]} for row in rows_of(0, 6)]
    for row in rows:
        del row["caption"]
    kinds = {"captions": pyarrow.list_(pyarrow.string()), "boxes": pyarrow.list_(pyarrow.list_(pyarrow.float32()))}
    data = opened(
        in_parquet(tmp_path / "a.parquet", rows, **kinds),
        tmp_path / "c",
        fields={"picture": ("image",), "caption": ("tokens",)},
    )
    words: Any = kind_of("tokens")
    caption = data.fields["caption"]
    assert words.lines(np.asarray(caption.values)[0], caption.spec)[0] == "one red"
    assert "of the list in captions the first caption is taken" in data.notes
    assert "columns left alone: boxes" in data.notes


def test_sounds_and_sets_without_pictures_are_refused_by_what_they_hold(tmp_path: Path) -> None:
    rows = [{"audio": {"bytes": b"RIFF", "path": "a.wav"}, "label": 0}]
    features = {"audio": {"_type": "Audio"}}
    path = in_parquet(tmp_path / "a.parquet", rows, features=features, audio=STRUCT)
    assert recognise(path) == "sound"
    with pytest.raises(
        DataError, match="of Parquet and Arrow files pictures are read, not sounds: make files of them:  ganvas data unpack"
    ):
        opened(path, tmp_path / "c", kinds=("sound",))
    words = saved(tmp_path / "s", [pyarrow.table({"text": ["a", "b"], "label": [0, 1]})])
    with pytest.raises(
        DataError, match=r"no column holds the bytes of pictures: its columns are text \(string\), label \(int64\)"
    ):
        opened(words, tmp_path / "c")


# What is wrong is told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image": {"bytes": encoded(9)[:-20], "path": "x"}}, r"skipped a.parquet: row 4 ends before its picture does"),
        ({"image": {"bytes": b"hello", "path": "x"}}, r"skipped a.parquet: row 4 is no picture"),
        ({"image": {"bytes": b"", "path": "x"}}, r"skipped a.parquet: row 4 is empty \(0 bytes\)"),
        (
            {"image": {"bytes": None, "path": "b/x.png"}},
            r"skipped a.parquet: row 4 names the file b/x.png and does not hold it: save",
        ),
        ({"image": None}, r"left out for want of a picture: 1 beside 9 whole records \(a.parquet: row 4\)"),
        ({"image": {"bytes": None, "path": None}}, r"left out for want of a picture: 1 beside 9 whole records"),
        ({"label": 7}, r"skipped a.parquet: row 4: its label is 7, and classes have the numbers 0 to 2"),
        ({"image": {"bytes": encoded(0), "path": "x"}}, r"1 of 10 pictures are copies of others, to the last pixel"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    import re

    rows = rows_of(0, 10)
    rows[3] |= change
    path = in_parquet(tmp_path / "a.parquet", rows)
    for place in (path, in_arrow(tmp_path / "a" / "a.parquet.arrow", table_of(rows))):
        data = opened(place, tmp_path / "c")
        assert len([note for note in data.notes if re.search(told.replace("a.parquet", place.name), note)]) == 1, data.notes
        assert not any("\n" in note for note in data.notes)
        assert len(data) == 9 + ("copies" in told)
        right = [k for k in range(10) if k != 3 or "copies" in told]
        for k, pixels in zip(right, np.asarray(data.values), strict=True):
            np.testing.assert_array_equal(pixels, np.asarray(Image.open(io.BytesIO(rows[k]["image"]["bytes"]))))
    if told.startswith("skipped"):
        with pytest.raises(DataError, match=told.removeprefix("skipped ")):
            opened(path, tmp_path / "c", strict=True)


def test_rows_without_a_class_among_others_are_refused(tmp_path: Path) -> None:
    rows = rows_of(0, 10)
    rows[3]["label"], rows[5]["label"] = -1, None
    with pytest.raises(
        DataError, match=r"2 of 10 records have no class \(a.parquet: row 4, a.parquet: row 6\): take rows without"
    ):
        opened(in_parquet(tmp_path / "a.parquet", rows), tmp_path / "c")
    for row in rows:
        row["label"] = -1
    assert opened(in_parquet(tmp_path / "b.parquet", rows), tmp_path / "c").labels is None


def test_a_set_of_no_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows there: is the data set empty"):
        opened(saved(tmp_path / "s", []), tmp_path / "c")
    with pytest.raises(DataError, match="no picture in 1 file could be read: are there rows"):
        opened(in_parquet(tmp_path / "a.parquet", []), tmp_path / "c")


def test_a_state_that_says_nothing_of_use(tmp_path: Path) -> None:
    folder = saved(tmp_path / "s", [table_of(rows_of(0, 3))])
    state = json.loads((folder / "state.json").read_text())
    for text, told in (
        ("{", r"state.json: cannot be read \(.*\): save the data set again"),
        (json.dumps({"_data_files": 3}), "state.json: '_data_files' is no list"),
        (json.dumps(state | {"_indices_data_files": [{"filename": "i.arrow"}]}), r"save it again after  flatten_indices\(\)"),
        (json.dumps({"_data_files": [{"filename": "gone.arrow"}]}), "1 of 1 files are not there: gone.arrow"),
    ):
        (folder / "state.json").write_text(text)
        with pytest.raises(DataError, match=told):
            opened(folder, tmp_path / "c")


def test_arrow_that_was_cut_off(tmp_path: Path) -> None:
    whole = in_arrow(tmp_path / "a.arrow", table_of(rows_of(0, 20)), chunk=5).read_bytes()
    path = tmp_path / "cut.arrow"
    path.write_bytes(whole[: len(whole) * 7 // 10])
    data = opened(path, tmp_path / "c")
    assert len(data) in (10, 15)
    assert any(
        note.startswith(f"cut.arrow: its first {len(data)} rows are used, the rest cannot be read") for note in data.notes
    )
    with pytest.raises(DataError, match="cut.arrow: its first"):
        opened(path, tmp_path / "c", strict=True)


def test_parquet_that_is_damaged_within(tmp_path: Path) -> None:
    """Of what stands before, the bytes that are trained on come from the same rows."""
    path = in_parquet(tmp_path / "a.parquet", rows_of(0, 21))
    place = parquet.ParquetFile(path).metadata.row_group(1).column(0).dictionary_page_offset
    place = place or parquet.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    whole = bytearray(path.read_bytes())
    whole[place : place + 40] = b"\xff" * 40
    path.write_bytes(whole)
    data = opened(path, tmp_path / "c", heldout=0.0)
    assert len(data) == 7
    assert any(note.startswith("a.parquet: its first 7 rows are used, the rest cannot be read (") for note in data.notes)
    right = [np.asarray(Image.open(io.BytesIO(encoded(k)))) for k in range(7)]
    np.testing.assert_array_equal(np.asarray(data.values), right)


def test_a_file_with_other_columns_is_left_out_and_named(tmp_path: Path) -> None:
    hub(tmp_path)
    rows = [{"image": row["image"]} for row in rows_of(30, 33)]
    in_parquet(tmp_path / "data" / "train-00009-of-00003.parquet", rows)
    data = opened(tmp_path, tmp_path / "c")
    assert len(data) == 24
    told = [note for note in data.notes if note.startswith("left out whole: train-00009-of-00003.parquet: has no column label")]
    assert len(told) == 1


def test_mixed_sizes_and_what_such_files_are_not_for(tmp_path: Path) -> None:
    rows = rows_of(0, 6)
    rows[2]["image"]["bytes"] = encoded(2, size=(16, 16))
    path = in_parquet(tmp_path / "a.parquet", rows)
    with pytest.raises(
        MixedData, match=r"mixes sizes: 8x8 \(5: a.parquet: row 1, a.parquet: row 2 and 3 more\), 16x16 \(1: a.parq"
    ):
        opened(path, tmp_path / "c")
    assert opened(path, tmp_path / "c", size=8, channels=1, limit=4).values.shape == (4, 8, 8, 1)
    with pytest.raises(GanvasError, match="pictures of Parquet and Arrow files are not cut into pieces"):
        opened(path, tmp_path / "c", fit="patches", size=4)
    pages = io.BytesIO()
    first, second = (Image.fromarray(np.zeros((8, 8), np.uint8)) for _ in range(2))
    first.save(pages, "TIFF", save_all=True, append_images=[second])
    rows[2]["image"]["bytes"] = pages.getvalue()
    data = opened(in_parquet(tmp_path / "b.parquet", rows), tmp_path / "c")
    assert any("skipped b.parquet: row 3 holds 2 pictures" in note for note in data.notes)


# Going on


def test_moved_files_are_the_same_data_and_changed_ones_are_not(tmp_path: Path) -> None:
    first = opened(hub(tmp_path / "s"), tmp_path / "c")
    shutil.copytree(tmp_path / "s", tmp_path / "t")
    assert opened(tmp_path / "t", tmp_path / "c").fingerprint == first.fingerprint
    in_parquet(tmp_path / "t" / "data" / "train-00001-of-00003.parquet", rows_of(90, 98))
    assert opened(tmp_path / "t", tmp_path / "c").fingerprint != first.fingerprint
    star = f"{tmp_path}/t/data/train-*.parquet"
    assert place_of(star) == star
    assert place_of(f"{tmp_path}/t/data/val-*.parquet") is None


@pytest.mark.parametrize("form", [hub, saved_in_parts])
def test_a_stream_goes_on_to_the_same_bits_with_room_for_one_file(
    tmp_path: Path, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganvas.data.streams.WINDOW", 6)
    monkeypatch.setattr("ganvas.store.reader.OPEN", 1)
    monkeypatch.setenv("GANVAS_SHARDS_GB", "0.000002")
    source = form(tmp_path / "s")
    stream = open_stream(opened(source, tmp_path / "c"), Feed(), 6, seed=1)
    dealt(stream, 7)
    state = pickle.loads(pickle.dumps(stream.state()))
    rest = dealt(stream, 9)
    shutil.rmtree(tmp_path / "c")  # what was unpacked is gone with the rest
    later = open_stream(opened(source, tmp_path / "c"), Feed(), 6, seed=1)
    later.restore(state)
    for expected, found in zip(rest, dealt(later, 9), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_a_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    import ganvas

    data = hub(tmp_path / "s")
    fixed: dict[str, Any] = {"precision": "32", "channels_last": "off", "threads": 1, "sample_every": 0, "quiet": True}
    ganvas.train("lsgan", data, out=tmp_path / "straight", budget="9r", config=toys.SMALL, **fixed)
    ganvas.train("lsgan", data, out=tmp_path / "pieces", budget="5r", config=toys.SMALL, **fixed)
    ganvas.train(None, None, resume=tmp_path / "pieces", budget="9r", quiet=True)
    assert toys.digests(tmp_path / "pieces") == toys.digests(tmp_path / "straight")


def test_the_chosen_column_stays_chosen_when_a_run_goes_on(tmp_path: Path) -> None:
    import ganvas

    data = str(pairs(tmp_path / "two.parquet"))
    fixed: dict[str, Any] = {"threads": 1, "sample_every": 0, "quiet": True, "fields": "image=after"}
    ganvas.train("lsgan", data, out=tmp_path / "run", budget="2r", config=toys.SMALL, **fixed)
    ganvas.train(None, None, resume=tmp_path / "run", budget="3r", quiet=True)
    assert "fields: image=after" in (tmp_path / "run" / "config.yaml").read_text()
    assert Settings  # what keeps it


def test_a_file_that_changes_while_training_ends_the_run_in_one_line(tmp_path: Path) -> None:
    arrow, packed = Path(saved_whole(tmp_path / "s")), Path(one_parquet(tmp_path / "p"))
    data = opened(arrow, tmp_path / "a", heldout=0.0)
    for path in arrow.glob("*.arrow"):
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(RunError, match=r"is shorter than it was|has changed since"):
        dealt(open_stream(data, Feed(), 20), 1)
    data = opened(packed, tmp_path / "b", heldout=0.0)
    in_parquet(packed, rows_of(5, 15))
    with pytest.raises(RunError, match=r"is shorter than it was|has changed since"):
        dealt(open_stream(data, Feed(), 20), 1)


def test_an_index_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = hub(tmp_path / "s")
    for path in (tmp_path / "s").rglob("*.parquet"):  # left alone for long
        os.utime(path, (1e9, 1e9))
    monkeypatch.setattr("ganvas.store.cache.SETTLED", -1.0)
    first = opened(source, tmp_path / "c")
    monkeypatch.setattr("ganvas.kinds.image.members.index", None)
    assert opened(source, tmp_path / "c").fingerprint == first.fingerprint


def test_rows_that_are_sorted_by_class_are_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file of 60 rows, sorted: runs of few rows come in random order, and both classes soon; of sets that are larger than
    what is kept unpacked, file after file."""
    monkeypatch.setattr("ganvas.store.arrow.RUN", 5)
    monkeypatch.setattr("ganvas.data.streams.WINDOW", 8)
    rows = [row | {"label": k // 30} for k, row in enumerate(rows_of(0, 60))]
    data = opened(in_parquet(tmp_path / "a.parquet", rows), tmp_path / "c", heldout=0.0)
    np.testing.assert_array_equal(data.shards, np.arange(60) // 5)
    assert any("run after run of 5 rows, in another order each epoch" in note for note in data.notes)
    batch = open_stream(data, Feed(), 20, seed=0).draw(Noise.seeded(0))
    assert 4 <= int(batch.labels.sum()) <= 16
    source = ArrowTables(hub(tmp_path / "h"))
    shard, size = np.repeat([0, 1, 2], [8, 7, 9]), np.full(24, 500)
    np.testing.assert_array_equal(source.turns(shard, size)[0], [0] * 5 + [1] * 3 + [2] * 5 + [3] * 2 + [4] * 5 + [5] * 4)
    monkeypatch.setattr("ganvas.store.arrow.KEPT_GB", 1e-6)
    np.testing.assert_array_equal(source.turns(shard, size)[0], shard)


# Files made of rows


def test_pairs_of_pictures_become_folders_with_a_table(tmp_path: Path) -> None:
    """What systems of pairs learn from, and what the command line says."""
    done = toys.ganvas("data", "unpack", pairs(tmp_path / "two.parquet"), "--out", tmp_path / "files")
    assert done.returncode == 0, done.stderr
    assert "10 rows as files in" in done.stdout
    for k in range(10):
        assert (tmp_path / "files" / "before" / f"{k + 1:07d}.png").read_bytes() == encoded(k)
    wanted = {"photo": ("image",), "map": ("image",)}
    data = opened(tmp_path / "files", tmp_path / "c", fields=wanted, columns="photo=before,map=after")
    for k, name in enumerate(("photo", "map")):
        right = np.asarray(Image.open(io.BytesIO(encoded(100 * k + 3))))
        np.testing.assert_array_equal(np.asarray(data.fields[name].values)[3], right)
    again = toys.ganvas("data", "unpack", tmp_path / "two.parquet", "--out", tmp_path / "files")
    assert again.returncode == 2
    assert "is not an empty folder" in again.stderr


def test_sounds_become_files_with_labels_and_sides(tmp_path: Path) -> None:
    import wave

    features = {"audio": {"_type": "Audio"}, "label": {"_type": "ClassLabel", "names": ["low", "high"]}}
    for side, start in (("train", 0), ("test", 8)):
        rows = []
        for k in range(start, start + 8):
            buffer = io.BytesIO()
            with wave.open(buffer, "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(np.random.default_rng(k).integers(-9000, 9000, 800).astype("<i2").tobytes())
            rows.append({"audio": {"bytes": buffer.getvalue(), "path": f"{k}.wav"}, "label": k % 2})
        rows[3]["audio"] = {"bytes": b"hello", "path": None}
        in_parquet(tmp_path / "s" / f"{side}-00000-of-00001.parquet", rows, features=features, audio=STRUCT)
    told = unpack(ArrowTables(str(tmp_path / "s")), tmp_path / "files")
    assert told["rows"] == 16
    assert told["notes"] == [
        "without a picture or a sound: 2 cells (test-00000-of-00001.parquet: row 4, train-00000-of-00001.parquet: row 4)"
    ]
    data = opened(tmp_path / "files", tmp_path / "c", kinds=("sound",))
    assert data.spec.kind == "sound"
    assert data.spec.classes == ("high", "low")
    assert (len(data), int(data.heldout.sum()), data.declared_split) == (14, 7, True)
    with pytest.raises(DataError, match="no column holds the bytes of pictures or sounds: its columns are text"):
        unpack(ArrowTables(str(saved(tmp_path / "t", [pyarrow.table({"text": ["a"]})]))), tmp_path / "none")


def test_the_class_that_is_chosen_is_the_label_of_the_files(tmp_path: Path) -> None:
    rows = [row | {"fine": "uvwx"[k % 4], "caption": "two\nlines"} for k, row in enumerate(rows_of(0, 12))]
    path = in_parquet(tmp_path / "a.parquet", rows, fine=pyarrow.string())
    unpack(ArrowTables(str(path), {"label": "fine"}), tmp_path / "files")
    data = opened(tmp_path / "files", tmp_path / "c")
    assert data.spec.classes == ("u", "v", "w", "x")
    np.testing.assert_array_equal(data.labels, np.arange(12) % 4)
    assert (tmp_path / "files" / "metadata.csv").read_text().splitlines()[:2] == [
        "file_name,label,caption,label (other),age", "0000001.png,u,two lines,cat,0",
    ]  # fmt: skip
