"""Points in files: what `ganvas sample --format npz` writes is data again, with its classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ganvas.data.dataset import open_data
from ganvas.errors import DataError
from ganvas.kinds.points.files import read_points_file

POINTS = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)


def opened(path: Path) -> object:
    return open_data(path, kinds=("points",), cache=path.parent / "cache", progress=False)


def test_an_archive_with_classes_is_data(tmp_path: Path) -> None:
    names = np.array(["b", "a"] * 20)
    np.savez(tmp_path / "samples.npz", x=POINTS, labels=names)
    data = opened(tmp_path / "samples.npz")
    assert np.array_equal(data.values, POINTS) and data.spec.classes == ("a", "b")
    assert [data.spec.classes[k] for k in data.labels] == names.tolist()
    np.savez(tmp_path / "other.npz", anything=POINTS.astype(np.float64))
    assert opened(tmp_path / "other.npz").labels is None, "the only array will do"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": POINTS[0]}, r"shape \(3,\)"),
        ({"a": POINTS, "b": POINTS}, "no array 'x' but a, b"),
        ({"x": POINTS, "labels": np.arange(3)}, "3 labels for 40 points"),
        ({"x": np.where(POINTS > 1, np.nan, POINTS)}, "NaN"),
        ({"x": np.array([["a", "b"]])}, "<U1"),
    ],
)
def test_bad_archives_are_told_in_one_line(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        read_points_file(tmp_path / "p.npz")
    assert "\n" not in str(caught.value)


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "p.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(DataError, match="p.npz"):
        read_points_file(tmp_path / "p.npz")
