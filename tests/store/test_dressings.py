"""One table in a dozen dressings, given to every reader of tables: equal records, or a refusal of one line by name."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_sets import folder

from ganvas.data.dataset import open_data
from ganvas.errors import DataError
from ganvas.store.listing import list_files

Rows = list[list[str]]


def joined(rows: Sequence[Sequence[str]], separator: str = ",", end: str = "\n", last: str = "") -> str:
    return "".join(separator.join(row) + last + end for row in rows)


def quoted(rows: Rows) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue()


def with_commas(rows: Rows) -> Rows:
    return [
        [cell.replace(".", ",") if cell.replace(".", "").replace("-", "").isdigit() else cell for cell in row] for row in rows
    ]


def indexed(rows: Rows, name: str = "", first: int = 0) -> Rows:
    return [[name, *rows[0]], *([str(k), *row] for k, row in enumerate(rows[1:], start=first))]


DRESSINGS: dict[str, Callable[[Rows], str | bytes]] = {
    "semicolons": lambda rows: joined(rows, ";"),
    "semicolons and decimal commas": lambda rows: joined(with_commas(rows), ";"),
    "tabs": lambda rows: joined(rows, "\t"),
    "tabs and decimal commas": lambda rows: joined(with_commas(rows), "\t"),
    "blanks": lambda rows: joined(rows, "  "),
    "blanks around cells": lambda rows: joined(rows, " , "),
    "byte-order mark": lambda rows: b"\xef\xbb\xbf" + joined(rows).encode(),
    "UTF-16": lambda rows: joined(rows, "\t").encode("utf-16"),
    "UTF-16, the other order": lambda rows: b"\xfe\xff" + joined(rows).encode("utf-16-be"),
    "CRLF": lambda rows: joined(rows, end="\r\n"),
    "CR": lambda rows: joined(rows, end="\r"),
    "row numbers without a name": lambda rows: joined(indexed(rows)),
    "row numbers of pandas": lambda rows: joined(indexed(rows, "Unnamed: 0")),
    "row numbers called id": lambda rows: joined(indexed(rows, "id", 1)),
    "row numbers, quoted": lambda rows: quoted(indexed(rows, first=1)),
    "comments": lambda rows: "# made by hand, on a Monday\n% and checked\n" + joined(rows) + "# the end\n",
    "comments with quotes": lambda rows: '# a "table", "unclosed\n' + joined(rows),
    "quotes": quoted,
    "trailing separator": lambda rows: joined(rows, last=","),
    "trailing separator below the header": lambda rows: joined(rows[:1]) + joined(rows[1:], last=","),
    "empty lines": lambda rows: "\n\n" + joined(rows[:3]) + "  \n" + joined(rows[3:]) + "\n\n",
}
TOLD = {
    "row numbers without a name": "row numbers", "row numbers of pandas": "row numbers", "row numbers called id": "row numbers",
    "row numbers, quoted": "row numbers", "comments": "3 comment lines", "comments with quotes": "1 comment line",
}  # fmt: skip
"""What the notes must say."""


def numbers(count: int = 24) -> list[tuple[float, float]]:
    return [(math.cos(k * 2.4) * 3, math.sin(k * 2.4) * 2 - 1) for k in range(count)]


def edges() -> Rows:
    return [[f"née{k}", f"n{(k * 5 + 2) % 23}"] for k in range(23)] + [[f"née{k}", f"n{(k * 7 + 1) % 23}"] for k in range(23)]


TABLES: dict[str, Rows] = {
    "points": [["höhe", "x"], *([f"{a:.3f}", f"{b:.4f}"] for a, b in numbers())],
    "series": [["time", "wärme", "flow"], *([f"{k / 4:.2f}", f"{a:.3f}", f"{b:.4f}"] for k, (a, b) in enumerate(numbers()))],
    "graph": [["source", "target"], *edges()],
    "table": [
        ["größe", "stadt", "raucht"],
        *([f"{a:.3f}", ("Köln", "Oslo", "Rom")[k % 3], ("no", "yes")[k % 2]] for k, (a, _) in enumerate(numbers())),
    ],
    "tokens": [["t1", "t2", "t3"], *([("le", "été", "a")[k % 3], ("est", "b")[k % 2], f"w{k}"] for k in range(12))],
}


def read(kind: str, path: Path) -> Any:
    return open_data(path, kinds=(kind,), cache=path.parent / "cache", progress=False, heldout=0.0)


def same(data: Any, other: Any) -> bool:
    spec, its = data.spec, other.spec
    if any(getattr(spec, name, None) != getattr(its, name, None) for name in ("names", "symbols", "types", "classes", "step")):
        return False
    return bool(np.array_equal(np.asarray(data.values), np.asarray(other.values), equal_nan=True))


def saved(path: Path, body: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


def parquet_of(path: Path, rows: Rows, index: bool = False) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {name: list(column) for name, column in zip(rows[0], zip(*rows[1:], strict=True), strict=True)}
    held = {name: [float(c) if c.lstrip("-").replace(".", "").isdigit() else c for c in own] for name, own in columns.items()}
    if index:
        held["__index_level_0__"] = held.pop(rows[0][0])
        held = {"__index_level_0__": list(range(len(rows) - 1)), rows[0][0]: held.pop("__index_level_0__"), **held}
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(held), path)
    return path


@pytest.mark.parametrize("kind", list(TABLES))
@pytest.mark.parametrize("dressing", list(DRESSINGS))
def test_dressings_hold_the_same_records(kind: str, dressing: str, tmp_path: Path) -> None:
    plain = read(kind, saved(tmp_path / "plain" / "t.csv", joined(TABLES[kind])))
    assert len(plain) > 0
    data = read(kind, saved(tmp_path / "dressed" / "t.csv", DRESSINGS[dressing](TABLES[kind])))
    assert same(data, plain)
    assert TOLD.get(dressing, "") in "\n".join(data.notes)
    assert ("decimal commas are read as points" in " ".join(data.notes)) == (
        "decimal" in dressing and kind in ("points", "series", "table")
    )


@pytest.mark.parametrize("kind", list(TABLES))
@pytest.mark.parametrize("index", [False, True])
def test_parquet_and_json_lines_hold_the_same_records(kind: str, index: bool, tmp_path: Path) -> None:
    import json

    rows = TABLES[kind]
    plain = read(kind, saved(tmp_path / "plain" / "t.csv", joined(rows)))
    assert same(read(kind, parquet_of(tmp_path / "held" / "t.parquet", rows, index)), plain)
    if kind != "series":
        lines = [json.dumps(dict(zip(rows[0], row, strict=True)), ensure_ascii=False) for row in rows[1:]]
        assert same(read(kind, saved(tmp_path / "lines" / "t.jsonl", "\n".join(lines))), plain)


@pytest.mark.parametrize("kind", list(TABLES))
def test_other_encodings_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "t.csv", joined(TABLES[kind]).encode("latin-1"))
    with pytest.raises(DataError, match=r"t\.csv: not UTF-8 text \(byte \d+.*save it as UTF-8") as caught:
        read(kind, path)
    assert "\n" not in str(caught.value)
    saved(path, joined(TABLES[kind]).encode("utf-16-le"))
    with pytest.raises(DataError, match=r"t\.csv: (not UTF-8 text|holds zero bytes).*save it as UTF-8"):
        read(kind, path)


@pytest.mark.parametrize("kind", list(TABLES))
def test_a_ragged_row_is_refused_by_its_line(kind: str, tmp_path: Path) -> None:
    rows = [list(row) for row in TABLES[kind]]
    rows[4] += ["1", "2"]
    path = saved(tmp_path / "t.csv", "# a remark\n" + joined(rows))
    if kind == "tokens":  # sequences may have any length
        assert read(kind, path).spec.length == 5
        return
    with pytest.raises(DataError, match=r"t\.csv: line 6 has ") as caught:
        read(kind, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["points", "series", "table"])
@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["1,234.5", "2,000.25"], "has marks between thousands"),
        (["1'234.5", "2'000.25"], "has marks between thousands"),
        (["1,234", "2,000"], "may have a mark between thousands"),
        (["1,5", "2.5"], "write decimal points in all numbers"),
    ],
)
def test_numbers_that_may_mean_two_things_are_refused(kind: str, cells: list[str], says: str, tmp_path: Path) -> None:
    rows = [["x", "y"], *([str(k), cells[k % 2]] for k in range(12))]
    with pytest.raises(DataError, match=rf"t\.csv: .*line 2.*{says}"):
        read(kind, saved(tmp_path / "t.csv", quoted(rows)))


@pytest.mark.parametrize("word", ["", "NA", "NaN", "null", "None", "-", "?"])
def test_missing_values(word: str, tmp_path: Path) -> None:
    rows = [["x", "y", "name"], *([f"{k / 3:.3f}", f"{k * k / 7:.3f}", "ab"[k % 2]] for k in range(24))]
    rows[5][1] = word
    table = read("table", saved(tmp_path / "t.csv", joined(rows)))
    assert np.isnan(table.values[4, 1]) and table.spec.types == ("number", "number", "binary")
    bare = [row[:2] for row in rows]
    with pytest.raises(DataError, match="lacks a value in line 6"):
        read("points", saved(tmp_path / "p.csv", joined(bare)))
    series = open_data(saved(tmp_path / "s.csv", joined(bare)), kinds=("series",), cache=tmp_path, progress=False, size=4)
    assert any("1 rows lack a value" in note for note in series.notes)
    edges_with = [["source", "target"], ["a", word], *edges()]
    with pytest.raises(DataError, match="line 2 does not name two nodes"):
        read("graph", saved(tmp_path / "g.csv", joined(edges_with)))
    root = folder(tmp_path / "set", ["a.png", "b.png"])
    saved(root / "labels.csv", joined([["file", "label"], ["a.png", "x"], ["b.png", word]]))
    with pytest.raises(DataError, match="line 3 has no label"):
        list_files(root, (".png",), "pictures")


FILES = ["a é.png", "b.png", "c.png", "d.png", "e.png"]
LABELS = [["file", "label"], *([name, "xy"[k % 2]] for k, name in enumerate(FILES))]
GROUPS = [["file", "group", "split"], *([name, f"g{k}", ("train", "heldout")[k % 2]] for k, name in enumerate(FILES))]


@pytest.mark.parametrize("name", ["labels", "groups"])
@pytest.mark.parametrize("dressing", [*DRESSINGS, "Parquet", "Latin-1"])
def test_labels_and_groups_in_all_dressings(name: str, dressing: str, tmp_path: Path) -> None:
    rows = [list(row) for row in (LABELS if name == "labels" else GROUPS)]
    if dressing == "blanks":
        rows[1][0] = '"a é.png"'
    root = folder(tmp_path / "set", FILES)
    if dressing == "Parquet":
        parquet_of(root / f"{name}.parquet", rows, index=True)
    else:
        body = joined(rows).encode("latin-1") if dressing == "Latin-1" else DRESSINGS[dressing](rows)
        saved(root / f"{name}.csv", body)
    if dressing == "Latin-1":
        with pytest.raises(DataError, match=rf"{name}\.csv: not UTF-8 text"):
            list_files(root, (".png",), "pictures")
        return
    listing = list_files(root, (".png",), "pictures")
    assert listing.names == FILES
    if name == "labels":
        assert listing.labels == [row[1] for row in LABELS[1:]]
    else:
        assert listing.groups == [row[1] for row in GROUPS[1:]] and listing.heldout == [k % 2 == 1 for k in range(5)]
    assert TOLD.get(dressing, "") in "\n".join(listing.notes)


def test_two_tables_of_labels_are_refused(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", FILES)
    for suffix in ("csv", "tsv"):
        saved(root / f"labels.{suffix}", joined(LABELS, "," if suffix == "csv" else "\t"))
    with pytest.raises(DataError, match=r"labels\.csv and labels\.tsv: keep one"):
        list_files(root, (".png",), "pictures")
