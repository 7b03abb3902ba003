"""By what a solid is known again: the quick sums against plain ones, voxel by voxel and pair by pair."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from ganvas.data.phantoms import make_phantom
from ganvas.data.twins import recogniser_of
from ganvas.kinds import kind_of
from ganvas.kinds.solid.kind import _coarse, _joined
from ganvas.kinds.solid.recognition import STRAY, boxes_of, marks, overlap, turned, turns
from ganvas.metrics import recognition
from ganvas.metrics.recognition import twin_groups
from ganvas.store.splits import join


@pytest.fixture(scope="module")
def solids() -> np.ndarray:
    """Furniture, some of it turned or moved, with dust, an empty cube and one without two voxels that touch."""
    made = np.asarray(make_phantom("solids", 40, 3, size=16).values).copy()
    rng = np.random.default_rng(5)
    made[30:36] = [turned(record, turns()[4 * k + 1]) for k, record in enumerate(made[:6])]
    made[36] = np.roll(made[6], 2, axis=1)
    made[20:26] |= rng.random((6, 16, 16, 16)) < 0.002
    made[38] = 0
    made[39] = 0
    made[39, ::3, ::3, ::3] = 1
    return made


def plainly_joined(solid: np.ndarray) -> np.ndarray:
    kept = np.zeros_like(solid)
    for place in np.argwhere(solid):
        for axis, step in itertools.product(range(3), (-1, 1)):
            other = place.copy()
            other[axis] += step
            if 0 <= other[axis] < len(solid) and solid[tuple(other)]:
                kept[tuple(place)] = 1
    return kept


def plain_box(joined: np.ndarray) -> list[list[int]]:
    """Along each axis, the planes between those at either end that together hold at most STRAY of the voxels."""
    found = []
    for axis in range(3):
        mass = np.moveaxis(joined, axis, 0).reshape(len(joined), -1).sum(1).tolist()
        first, last = 0, len(mass)
        while first < len(mass) and sum(mass[: first + 1]) <= STRAY * sum(mass):
            first += 1
        while last > 0 and sum(mass[last - 1 :]) <= STRAY * sum(mass):
            last -= 1
        found.append([first, last] if sum(mass) else [0, 0])
    return found


def plain_likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Of what lies in the boxes."""
    best = 0.0
    for turn in turns() if one.size and other.size else ():
        brought = turned(one, turn)
        if max(abs(a - b) for a, b in zip(brought.shape, other.shape, strict=True)) <= 1:
            a, b, c = np.minimum(brought.shape, other.shape)
            common = int((brought[:a, :b, :c] & other[:a, :b, :c]).sum())
            best = max(best, common / (int(brought.sum()) + int(other.sum()) - common))
    return best


def test_voxels_without_neighbours_are_left_out(solids: np.ndarray) -> None:
    assert np.array_equal(_joined(solids), [plainly_joined(solid) for solid in solids])
    # Full to the edge: no pair reaches from the end of one row to the start of the next.
    ends = np.zeros((2, 8, 8, 8), np.uint8)
    ends[:, :, ::2, 7] = 1
    ends[:, 1::2, 1::2, 0] = 1
    assert np.array_equal(_joined(ends), [plainly_joined(solid) for solid in ends])


def test_boxes_and_marks_are_the_plain_ones(solids: np.ndarray) -> None:
    joined = _joined(solids)
    boxes = boxes_of(joined)
    assert boxes.tolist() == [plain_box(solid) for solid in joined]
    made = marks(solids, joined, _coarse, True)
    assert not made[38:].any()
    assert np.array_equal(marks(solids, joined, _coarse, False)[:, 0], made[:, 0])
    for row in (0, 21, 37):
        cut = solids[row][tuple(slice(*ends) for ends in boxes[row])].astype(np.float32)
        for k in (0, 7, 23):  # turned first, and then taken means of
            cells = _coarse(turned(cut, turns()[k])[None])[0]
            told = np.concatenate([cells.reshape(-1) / np.linalg.norm(cells), np.array(turned(cut, turns()[k]).shape) / 16])
            assert made[row, k] == pytest.approx(told / np.linalg.norm(told), abs=1e-6)


def test_likeness_and_the_twins_are_those_of_every_pair_one_by_one(solids: np.ndarray) -> None:
    first, second = np.triu_indices(len(solids), 1)
    cut = [solid[tuple(slice(*ends) for ends in plain_box(plainly_joined(solid)))] > 0 for solid in solids]
    plain = np.array([plain_likeness(cut[a], cut[b]) for a, b in zip(first, second, strict=True)])
    quick = overlap(solids[first], solids[second], (_joined(solids)[first], _joined(solids)[second]))
    assert np.array_equal(quick, plain)
    known = recogniser_of(kind_of("solid"), kind_of("solid").example(16, 1))
    assert known is not None
    wanted = np.arange(len(solids))
    join(wanted, first[plain >= known.twin], second[plain >= known.twin])
    assert len(np.unique(wanted)) <= len(solids) - 7, "the planted twins are found"
    found, threshold = twin_groups(known, solids, np.arange(len(solids)))
    assert threshold == known.twin
    assert np.array_equal(found[:, None] == found, wanted[:, None] == wanted)


def test_marks_are_made_once_a_record(solids: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "BLOCK", 7)
    known = recogniser_of(kind_of("solid"), kind_of("solid").example(16, 1))
    assert known is not None
    asked: list[int] = []

    def prints(values: np.ndarray, changed: bool) -> np.ndarray:
        asked.append(len(values))
        return known.prints(values, changed)

    alone = np.arange(len(solids))
    found, _ = twin_groups(dataclasses.replace(known, prints=prints), solids, alone)
    assert sum(asked) == len(solids) + 1, "one more, to know how many changes there are"
    monkeypatch.undo()
    whole, _ = twin_groups(known, solids, alone)
    assert np.array_equal(found[:, None] == found, whole[:, None] == whole)
