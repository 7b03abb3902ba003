"""The one rule by which tables are read: separators, comments, headers, row numbers; and that nothing is lost."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganvas.errors import DataError
from ganvas.store.cells import EITHER, Cells, number, numbers, read_cells, read_matrix, read_sheet


def put(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def read(tmp_path: Path, text: str, name: str = "t.csv", **options: object) -> Cells:
    return read_cells(put(tmp_path / name, text), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b\n1,2\n", [["1"], ["2"]]),
        ("a;b\nx, y;2\n", [["x, y"], ["2"]]),
        ("a,b\nx;y,2\nz,3\n", [["x;y", "z"], ["2", "3"]]),
        ('a,b\n"x, ""y""",2\n', [['x, "y"'], ["2"]]),
        ('a,b\n"x\ny",2\nz,3\n', [["x\ny", "z"], ["2", "3"]]),
        ('a, b\nx, "y, z"\n', [["x"], ["y, z"]]),
        ("a b\n1  2\n", [["1"], ["2"]]),
        ("caption\na dog runs\nso it is\n", [["a dog runs", "so it is"]]),
        ("a\tb, c\n1\tx, y\n", [["1"], ["x, y"]]),
        ("1,5;2,5\n3,1;4,25\n", [["1.5", "3.1"], ["2.5", "4.25"]]),
        ("name;size\nx;1,5\ny;\n", [["x", "y"], ["1.5", ""]]),
        ("#x,y\n1,2\n", [["1"], ["2"]]),
        ("a,b\n#x,2\n% rest\n", [["#x"], ["2"]]),
        ("a,b\nx,2\n#rest\n", [["x"], ["2"]]),
        ("x y\n1 0.5 3\n2 0.25 4\n", [["0.5", "0.25"], ["3", "4"]]),
        ("a,b,\n1,2,\n3,4,\n", [["1", "3"], ["2", "4"]]),
        ("a,b\n1,2\n,\n,\n", [["1"], ["2"]]),
        ("a,b\n1,\n2,\n", [["1", "2"], ["", ""]]),
        (",0,1\n0,a,b\n1,c,d\n", [["a", "c"], ["b", "d"]]),
    ],
)
def test_cells(text: str, columns: list[list[str]], tmp_path: Path) -> None:
    assert [list(own) for own in read(tmp_path, text, names=EITHER).columns] == columns


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("# a remark\n", "empty"),
        ("1,2\n3,4\n", "line 1 holds numbers only"),
        ("a,b\n1,2\n\n1,2,3\n", "line 4 has 3 cells, the header 2: mend that line"),
        ("a,b\n1\n", "line 2 has 1 cells"),
        ("a,a\n1,2\n", "column 'a' appears twice"),
        ("a,\n1,2\n", "column 2 has no name"),
        (",a\nx,2\ny,3\n", "column 1 has no name"),
        (",a\n5,2\n5,3\n", "column 1 has no name"),
        ('a,b\n1,"2\n', "line 2: not a CSV table"),
        ("a,b;c\nx,y;z\n", "semicolons and commas may both separate"),
        ("a,b\n1\0,2\n", "zero bytes"),
        ("x;y\n1.234;5,6\n", "'5,6' in line 2 has a decimal comma, '1.234' in line 2 a decimal point"),
    ],
)
def test_what_is_doubtful_is_refused_in_one_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert says in str(caught.value) and "t.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_json_lines(tmp_path: Path) -> None:
    found = read(tmp_path, '{"a": 1, "b": null}\n\n{"b": true, "c": 0.5}\n', "t.jsonl")
    assert (found.names, [list(own) for own in found.columns]) == (["a", "b", "c"], [["1", ""], ["", "True"], ["", "0.5"]])
    assert list(found.lines) == [1, 3]
    for text, says in (
        ('{"a": 1, "a": 2}', "line 1 .*'a' appears twice"),
        ("{}\n[1]", "line 2: not one JSON"),
        ("{", "line 1"),
    ):
        with pytest.raises(DataError, match=says):
            read(tmp_path, text, "t.jsonl")


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, "# made\nid,x,\n1,5,\n\n2,6,\n3,7,\n,,\n")
    assert (found.names, list(found.columns[0]), list(found.lines)) == (["x"], ["5", "6", "7"], [3, 5, 6])
    told = "\n".join(found.told())
    for what in ("1 comment line left out", "'id') holds row numbers", "5 lines end in", "1 empty line left", "1 last line"):
        assert what in told, told
    assert read(tmp_path, "id,x\n1,5\n2,6\n", counting=False).names == ["id", "x"]
    assert read(tmp_path, "id,x\n1,5\n3,6\n").names == ["id", "x"], "it does not count the rows"


def test_columns_of_numbers(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "x,y,Label\n1,2,a\n3,NA,b\n")
    found = read_matrix(path, apart=("label",))
    assert found.names == ("x", "y") and list(found.apart["label"]) == ["a", "b"] and list(found.lines) == [2, 3]
    np.testing.assert_array_equal(found.values, [[1, 2], [3, np.nan]])
    with pytest.raises(DataError, match="line 1 holds numbers, but '2x'"):
        read_matrix(put(path, "1.5,2x\n3,4\n"))
    assert (number("1_0"), number("٣"), number("1e3"), number("")) == (None, None, 1000.0, None)
    assert numbers(["1", "inf"]) is None and numbers(["yes"], {"yes": 1.0}) is not None


WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=5)
NAMES = st.lists(st.text("abcdefgh", min_size=1, max_size=4).map(lambda name: f"n{name}"), min_size=2, max_size=4, unique=True)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(), separator=st.sampled_from(",;\t"), end=st.sampled_from(["\n", "\r\n"]), mark=st.sampled_from(["", "\ufeff"])
)
def test_what_is_written_quoted_is_read_again(data: st.DataObject, separator: str, end: str, mark: str, tmp_path: Path) -> None:
    names = data.draw(NAMES)
    words = WORDS.filter(lambda word: not word.startswith(("#", "%", "//")))
    rows = data.draw(st.lists(st.lists(words, min_size=len(names), max_size=len(names)), min_size=1, max_size=6))
    text = io.StringIO()
    csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator=end).writerows([names, *rows])
    found = read(tmp_path, mark + text.getvalue(), decimals=False)
    assert found.names == names and [list(row) for row in zip(*found.columns, strict=True)] == rows
    assert list(found.lines) == list(range(2, len(rows) + 2)) and found.told() == []


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(*[st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: f"{v:.4f}")] * 3), min_size=2, max_size=9, unique=True
    ),
    separator=st.sampled_from([",", ";", "\t", " "]),
    named=st.booleans(),
    commented=st.booleans(),
)
def test_the_quick_way_reads_as_the_careful_one(
    rows: list[tuple[str, ...]], separator: str, named: bool, commented: bool, tmp_path: Path
) -> None:
    lines = [separator.join(row) for row in ([("p", "q", "r")] if named else []) + rows]
    text = "\n".join(lines) + "\n"
    quick = read_matrix(put(tmp_path / "t.csv", text))
    careful = read_matrix(put(tmp_path / "u.csv", text + ("# end\n" if commented else "\n\n \n")))
    np.testing.assert_array_equal(quick.values, np.array(rows, np.float64))
    np.testing.assert_array_equal(careful.values, quick.values)
    assert (quick.names, list(quick.lines), quick.named) == (careful.names, list(careful.lines), careful.named)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(st.binary(max_size=60), st.text(" ,;\t\n\"'#%ab12.-é", max_size=60).map(str.encode)))
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl"])
def test_any_bytes_are_read_or_refused_in_one_line(name: str, body: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(body)
    for reader in (read_cells, read_matrix, lambda own: read_sheet(own, ragged=True, braces=True)):
        said = name
        try:
            reader(path)  # type: ignore[operator]
        except DataError as error:
            said = str(error)
        assert name in said and said.isprintable()
