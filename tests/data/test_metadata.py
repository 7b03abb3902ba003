"""Labels, groups and sides of the `metadata.csv` of an `imagefolder`, where nothing else says them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganvas.data.check import check
from ganvas.data.dataset import open_data
from ganvas.errors import DataError
from ganvas.run.load import read_run
from ganvas.run.opening import data_again
from ganvas.run.train import train
from ganvas.store.listing import without_metadata

ROWS = [{"file_name": f"{k:02d}.png", "label": "ab"[k % 2], "group": str(k // 3), "note": "x"} for k in range(12)]


def folder_of(path: Path, count: int = 12) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        pixels = np.random.default_rng([len(path.name), k]).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(path / f"{k:02d}.png")
    return path


def table(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(",".join(rows[0]) + "\n" + "".join(",".join(row.values()) + "\n" for row in rows))


def opened(source: Path, cache: Path) -> Any:
    return open_data(str(source), cache=cache, progress=False)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_labels_and_groups_of_a_table_of_files(tmp_path: Path, name: str) -> None:
    table(folder_of(tmp_path / "d") / name, ROWS[::-1])  # in any order
    data = opened(tmp_path / "d", tmp_path / "c")
    assert data.spec.classes == ("a", "b")
    np.testing.assert_array_equal(data.labels, np.arange(12) % 2)
    assert len(np.unique(data.groups)) == 4
    assert {f"labels are those of {name}", f"groups are those of {name}"} <= set(data.notes)
    assert not any("left alone" in note or "nobody reads" in note for note in data.notes)
    assert check(str(tmp_path / "d"), progress=False).labels == {"a": 6, "b": 6}
    table(tmp_path / "d" / name, [row | {"label": "c"} for row in ROWS[:6]] + ROWS[6:])
    assert opened(tmp_path / "d", tmp_path / "c").spec.classes == ("a", "b", "c")


def test_a_table_in_each_folder_of_a_split(tmp_path: Path) -> None:
    for side in ("train", "test"):
        table(
            folder_of(tmp_path / "d" / side) / "metadata.csv", ROWS if side == "train" else [r | {"group": "t"} for r in ROWS]
        )
    data = opened(tmp_path / "d", tmp_path / "c")
    assert data.declared_split
    assert data.heldout.sum() == 12
    np.testing.assert_array_equal(np.bincount(data.labels), [12, 12])


def test_a_split_of_rows(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "d")
    table(
        folder / "metadata.csv",
        [{"file_name": row["file_name"], "split": "train" if k < 9 else "val"} for k, row in enumerate(ROWS)],
    )
    np.testing.assert_array_equal(opened(folder, tmp_path / "c").heldout, np.arange(12) >= 9)
    for word, told in (("left", r"metadata.csv: a row has split 'left': write"), ("test", "every file is held out")):
        table(folder / "metadata.csv", [{"file_name": row["file_name"], "split": word} for row in ROWS])
        with pytest.raises(DataError, match=told):
            opened(folder, tmp_path / "c")


def test_folders_and_labels_csv_go_before_and_some_are_not_enough(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "d")
    table(folder / "metadata.csv", ROWS[:10])
    data = opened(folder, tmp_path / "c")
    assert data.labels is None
    assert "2 of 12 files have no label in metadata.csv: its labels are left alone" in data.notes
    table(folder / "metadata.csv", ROWS)
    table(folder / "labels.csv", [{"file": row["file_name"], "label": "uvw"[k % 3]} for k, row in enumerate(ROWS)])
    assert opened(folder, tmp_path / "c").spec.classes == ("u", "v", "w")
    (folder / "labels.csv").unlink()
    (folder / "metadata.csv").write_bytes(b"file_name,label\n00.png,\xe9\n")
    data = opened(folder, tmp_path / "c")
    assert data.labels is None
    assert any(note.startswith("nothing is learnt of a table: ") and "metadata.csv" in note for note in data.notes)


def test_a_run_of_before_metadata_was_read_goes_on(tmp_path: Path) -> None:
    table(folder_of(tmp_path / "d") / "metadata.csv", ROWS)
    with without_metadata():
        train("dcgan", str(tmp_path / "d"), out=tmp_path / "run", budget="1r", quiet=True, sample_every=0.0)
    record = read_run(tmp_path / "run")
    again = data_again(record)
    assert again.labels is None and again.fingerprint == record.data["fingerprint"]
    assert opened(tmp_path / "d", tmp_path / "c").labels is not None
    assert train(None, resume=tmp_path / "run", budget="2r", quiet=True)["rounds"] == 2
