"""Tables: what columns are, what is missing, and the way to tensors, files and measures and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ganvas.data import open_data
from ganvas.data.dataset import Dataset
from ganvas.data.finding import recognise
from ganvas.errors import DataError, GanvasError
from ganvas.kinds import kind_of, spec_from_dict
from ganvas.kinds.table.measures import correlation_difference, total_variation, wasserstein
from ganvas.kinds.table.pictures import panels
from ganvas.specs import spec_to_dict

KIND = kind_of("table")


def lines(count: int = 60) -> list[str]:
    rng = np.random.default_rng(0)
    made = ["age;smokes;stage;city;income"]
    for k in range(count):
        age = "" if k % 10 == 3 else str(rng.integers(20, 80))
        city = "NA" if k % 7 == 2 else ("Rome", "Oslo", "Bonn", "none")[rng.integers(4)]
        made.append(f"{age};{('no', 'yes')[rng.integers(2)]};{rng.integers(1, 4)};{city};{rng.uniform(0, 9):.2f}")
    return made


def opened(tmp_path: Path, text: list[str], name: str = "t.csv") -> Dataset:
    path = tmp_path / name
    path.write_text("\n".join(text) + "\n")
    return open_data(path, kinds=("table",), cache=tmp_path / "cache", progress=False)


def test_columns_are_typed_and_missing_values_are_told(tmp_path: Path) -> None:
    data = opened(tmp_path, lines())
    spec = data.spec
    assert spec.names == ("age", "smokes", "stage", "city", "income")
    assert spec.types == ("number", "binary", "class", "class", "number")
    assert spec.categories[1:4] == (("no", "yes"), ("1", "2", "3"), ("Bonn", "Oslo", "Rome", "none"))
    assert spec.missing == (True, False, False, True, False) and spec.decimals == (0, -1, -1, -1, 2)
    assert spec.shape == (2 + 1 + 3 + 5 + 1,)
    age = data.values[:, 0]
    learnt = age[~data.heldout]
    assert np.isnan(age).sum() == 6 and spec.centre[0] == pytest.approx(np.nanmean(learnt)) and spec.scale[0] > 1
    assert any("'NA'" in note and "age 6" in note and "city" in note for note in data.notes)
    assert any("count as classes: stage" in note for note in data.notes)
    assert spec_from_dict(spec_to_dict(spec)) == spec


def test_tensors_and_rows_are_the_same(tmp_path: Path) -> None:
    data = opened(tmp_path, lines())
    tensor = KIND.encode(data.values, data.spec, "cpu")
    assert tensor.shape == (60, *data.spec.shape) and bool(tensor.isfinite().all())
    np.testing.assert_array_equal(KIND.decode(tensor, data.spec), data.values)
    one_hot = tensor[:, 6:11]
    assert bool((one_hot.sum(1) == 1).all()) and bool((one_hot[np.isnan(data.values[:, 3]), 4] == 1).all())
    gaps = np.array([[40.0, 0.0, 0.0, np.nan, np.nan]], np.float32)
    with pytest.raises(DataError, match="'income' has missing values"):
        KIND.encode(gaps, data.spec, "cpu")


@pytest.mark.parametrize("format", ["csv", "parquet", "npz"])
def test_what_is_written_is_read_again(format: str, tmp_path: Path) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    data = opened(tmp_path, lines())
    out = tmp_path / "out"
    out.mkdir()
    (path,) = KIND.write(data.values, data.spec, out, format=format, depth=None, note={"run": "r"})
    assert b"SYNTHETIC" in path.read_bytes() or format == "npz"
    again = open_data(path, kinds=("table",), cache=tmp_path / "cache2", progress=False)
    np.testing.assert_allclose(again.values, data.values, rtol=1e-6)
    assert again.spec.categories == data.spec.categories and again.spec.types == data.spec.types
    with pytest.raises(GanvasError, match="--depth"):
        KIND.write(data.values, data.spec, out, format=format, depth=8, note={})


def test_label_group_and_split_are_of_the_row(tmp_path: Path) -> None:
    text = ["x,y,label,group,split"]
    text += [f"{k}.5,{k * k},{'ab'[k % 2]},g{k // 2},{'heldout' if k // 2 == 3 else 'train'}" for k in range(20)]
    data = opened(tmp_path, text)
    assert data.spec.names == ("x", "y") and data.spec.classes == ("a", "b")
    assert data.labels is not None and data.labels.tolist() == [0, 1] * 10
    assert data.heldout_indices().tolist() == [6, 7] and len(np.unique(data.groups)) == 10
    with pytest.raises(DataError, match="row 2 has split 'maybe'"):
        opened(tmp_path, ["x,split", "1.5,train", "2.5,maybe", "3.5,train"], "bad.csv")


def test_equal_rows_are_one_group(tmp_path: Path) -> None:
    data = opened(tmp_path, ["x,y", *[f"{k % 25}.5,{k % 25}" for k in range(50)]])
    assert len(np.unique(data.groups)) == 25
    assert not set(data.groups[data.heldout]) & set(data.groups[~data.heldout])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (["a,b"], "no rows"),
        (["a,b", "1,2", "3"], "line 3 has 1 cells, the header 2"),
        (["a,a", "1,2"], "'a' appears twice"),
        (["a,", "1,2"], "column 2 has no name"),
        (["a,b", "1,", "2,", "3,"], "column 'b' is empty"),
        (["a,name", *[f"{k},who {k}" for k in range(60)]], "column 'name' has 60 different texts"),
        (["a,b", "1,1e99", "2,2", "3,3"], "column 'b' has a number beyond"),
        (["a,b", *["1,2"] * 9], "all rows are the same"),
    ],
)
def test_bad_tables_are_refused_in_one_line(text: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said) as caught:
        opened(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_table_is_meant_only_where_it_is_asked_for(tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet", "a.png"):
        (tmp_path / name).touch()
    assert recognise(tmp_path / "a.csv") == "points" and recognise(tmp_path / "a.parquet") == "series"
    assert recognise(tmp_path / "a.png") == "image"
    assert recognise(tmp_path / "a.csv", ("table",)) == "table"
    assert recognise(np.zeros((4, 2), np.float32)) == "points"


def test_attributes_of_other_records(tmp_path: Path) -> None:
    from ganvas.store.cache import Cache

    cells = {"hair": ["long", "short"] * 10, "age": [f"{k}.5" for k in range(20)]}
    entry = Cache(tmp_path).make("k", lambda writer: KIND.fill_texts(writer, cells, {"size": (64, 64)}))
    spec = spec_from_dict(entry.facts["spec"])
    assert spec.types == ("binary", "number") and entry.values.shape == (20, 2)


def test_measures_against_known_answers(tmp_path: Path) -> None:
    assert wasserstein(np.array([0.0, 1, 3]), np.array([5.0, 6, 8])) == pytest.approx(5)
    assert wasserstein(np.array([0.0]), np.array([0.0, 2.0])) == pytest.approx(1)
    assert total_variation(np.array([0.0, 0, 1, np.nan]), np.array([0.0, 0, 0, 0]), 2) == pytest.approx(0.5)
    x = np.random.default_rng(0).normal(size=(4000, 1))
    assert correlation_difference(np.hstack([x, x]), np.hstack([x, -x])) == pytest.approx(2)
    data = opened(tmp_path, lines(200))
    side = (data.values, data.spec)
    same = KIND.measures(side, side, side, 0)
    assert set(same) == {"wasserstein", "total_variation", "correlation", "detection", "usefulness"}
    assert all(same[key].value == pytest.approx(0, abs=1e-9) for key in ("wasserstein", "total_variation", "correlation"))
    assert same["detection"].value < 0.5, "each row is on both sides: trees that saw it on one are misled"
    shifted = data.values.copy()
    shifted[:, 4] += 3 * data.spec.scale[4]
    moved = KIND.measures((shifted, data.spec), side, side, 0)["wasserstein"]
    assert moved.value == pytest.approx(1.5, rel=1e-5) and "ref=heldout" in moved.protocol
    assert moved.more["each"][moved.more["columns"].index("income")] == pytest.approx(3, rel=1e-5)


def test_pictures_and_properties(tmp_path: Path) -> None:
    data = opened(tmp_path, lines())
    picture = KIND.picture(data.values, data.spec)
    beside = panels(data.values[:5], data.spec, data.values)
    assert picture.dtype == np.uint8 and picture.shape == beside.shape and (picture != beside).any()
    found = KIND.properties(data.values, data.spec)
    assert set(found) == {"age", "smokes", "income"} and np.isnan(found["age"]).sum() == 6
    many = KIND.example(1, 40)
    assert KIND.picture(KIND.blank(many, 30, np.random.default_rng(0)), many).ndim == 3
