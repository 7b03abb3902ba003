"""What is measured of solids: overlaps by hand, pieces, and what blurred, repeated and broken samples get."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ganvas.data.phantoms import make_phantom
from ganvas.evaluation import evaluate
from ganvas.evaluation.table import lines
from ganvas.kinds import kind_of
from ganvas.kinds.facets import Measured
from ganvas.kinds.solid.measures import overlaps, pieces

KIND = kind_of("solid")


@pytest.fixture(scope="module")
def made() -> Any:
    return make_phantom("solids", 240, seed=1, size=16)


def test_overlaps_are_intersection_over_union() -> None:
    solids = np.zeros((3, 4, 4, 4), np.uint8)
    solids[0, :2] = 1  # 32 voxels
    solids[1, 1:3] = 1  # 16 of them in common, 48 together
    found = overlaps(solids, solids)
    assert found == pytest.approx(np.array([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]]))


def test_overlaps_in_blocks_are_the_same(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = overlaps(made.values[:30], made.values[30:70])
    monkeypatch.setattr("ganvas.kinds.solid.measures._BLOCK", 7 * 16**3)
    assert np.array_equal(overlaps(made.values[:30], made.values[30:70]), whole)


def test_voxels_that_touch_at_an_edge_are_two_pieces() -> None:
    solids = np.zeros((3, 4, 4, 4), np.uint8)
    solids[0, 0, 0, 0] = solids[0, 1, 1, 0] = 1
    solids[1, 0, 0, 0] = solids[1, 1, 0, 0] = 1
    assert pieces(solids).tolist() == [2, 1, 0]


def test_broken_repeated_and_true_samples_are_told_apart(made: Any) -> None:
    assert isinstance(KIND, Measured)
    values, spec = made.values, made.spec
    train, held = (values[:120], spec), (values[120:180], spec)
    broken = values[180:].copy()
    broken[:, ::3] = 0
    sides = {"true": values[180:], "one": values[180:181].repeat(60, 0), "broken": broken}
    found = {name: KIND.measures((side, spec), train, held, 0) for name, side in sides.items()}
    value = {name: {key: measure.value for key, measure in own.items()} for name, own in found.items()}
    assert value["true"]["one_piece"] == 1 and value["broken"]["one_piece"] < 0.1
    assert value["true"]["overlap_of_samples"] > value["broken"]["overlap_of_samples"] + 0.1
    assert value["true"]["overlap_of_heldout"] > value["one"]["overlap_of_heldout"] + 0.2
    true = found["true"]["overlap_of_heldout"]
    assert true.low is not None and true.high is not None and true.low < true.value < true.high
    assert true.more["real"] == pytest.approx(true.value, abs=0.1)
    coarse = KIND.measures((values[180:, ::2, ::2, ::2], spec), train, held, 0)
    assert set(coarse) == {"one_piece"}, "solids of two sizes do not overlap"


def test_an_evaluation_tells_them(made: Any, tmp_path: Any) -> None:
    for name, rows in (("real", slice(0, 160)), ("fake", slice(160, 240))):
        np.savez_compressed(tmp_path / f"{name}.npz", solids=made.values[rows])
    result = evaluate(tmp_path / "fake.npz", tmp_path / "real.npz", kind="solid")
    assert result["one_piece"]["value"] == 1
    assert 0.3 < result["overlap_of_samples"]["value"] < 1
    text = "\n".join(lines(result))
    assert "solids in one piece" in text and "IoU of samples, nearest held-out" in text
