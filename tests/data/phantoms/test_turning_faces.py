"""The phantom turning-faces: heads turn and nothing else does, places lie where they are drawn, and all move as others do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ganvas.data.dataset import open_data
from ganvas.data.phantoms import make_phantom
from ganvas.data.phantoms._files import write_phantom
from ganvas.data.phantoms._heads import TRAITS
from ganvas.data.phantoms.faces import draw, people
from ganvas.data.phantoms.turning_faces import FARTHEST, IN_A_ROW, NODS, POINTS, clip, known, motion, scene
from ganvas.errors import DataError


def test_a_clip_is_what_faces_draws_of_its_facts_and_does_not_depend_on_how_many_there_are() -> None:
    made = make_phantom("turning-faces", 5, 3, size=32)
    assert made.values.shape == (5, 16, 32, 32, 3)
    assert np.array_equal(made.values[:2], make_phantom("turning-faces", 2, 3, size=32).values)
    assert [fact["subject"] for fact in made.facts] == [0] * IN_A_ROW + [1]
    corner = made.values[:, :, :3, :3].astype(int)
    assert np.ptp(corner, axis=1).max() == 0, "the ground stands still"
    assert (made.values.astype(int).std(1).mean((1, 2, 3)) > 2).all(), "heads do not"


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (40.0, 0.0), (-30.0, 12.0), (10.0, -14.0)])
def test_eyes_and_mouth_are_where_they_are_said_to_be(yaw: float, pitch: float) -> None:
    """Where a picture changes when the eyes get another colour, and when the mouth opens, are the eyes, and the mouth."""
    side, rows, columns = 96, *np.mgrid[:96, :96]
    who = people(np.array([4]), 1)
    who[:, TRAITS.index("skin")] = 0.1
    places = known(who[0], 35, np.array([yaw]), np.array([pitch]), (side, side))[0] * side - 0.5
    other = who.copy()
    other[:, TRAITS.index("eye_colour")] = 1 - np.round(who[:, TRAITS.index("eye_colour")])
    plain = draw(who, side, yaw=yaw, pitch=pitch).astype(int)
    eyes = np.abs(draw(other, side, yaw=yaw, pitch=pitch) - plain).sum(3)[0] > 20
    apart = [np.hypot(columns - x, rows - y) for x, y in places]
    assert eyes.any()
    assert np.minimum(apart[0], apart[1])[eyes].max() < 6
    mouth = np.abs(draw(who, side, yaw=yaw, pitch=pitch, mouth=2) - plain).sum(3)[0] > 60
    middle = (places[3] + places[4]) / 2
    found = np.array([columns[mouth].mean(), rows[mouth].mean()])
    assert np.abs(found - middle).max() < 4


def test_another_person_in_the_same_motion_is_known() -> None:
    rng = np.random.default_rng(0)
    (yaw, pitch), first, second = motion(rng), scene(rng), scene(rng)
    who = people(np.arange(2), 0)
    clips = [clip(who[k], own, yaw, pitch, (32, 32)) for k, own in enumerate((first, second))]
    assert np.abs(clips[0].astype(int) - clips[1]).mean() > 10
    places = [known(who[k], own["age"], yaw, pitch, (32, 32)) for k, own in enumerate((first, second))]
    moved = [own - own[:1] for own in places]
    assert np.corrcoef(moved[0][:, 2, 0], moved[1][:, 2, 0])[0, 1] > 0.99, "noses go the same way"
    assert np.array_equal(clips[0], clip(who[0], first, yaw, pitch, (32, 32)))


def test_motions_are_smooth_bounded_and_large_enough_to_be_seen() -> None:
    yaws, pitches = zip(*(motion(np.random.default_rng(k)) for k in range(200)), strict=True)
    assert np.abs(yaws).max() <= FARTHEST
    assert np.abs(pitches).max() <= NODS
    assert np.abs(np.diff(yaws, axis=1)).max() < 25
    assert np.ptp(yaws, axis=1).mean() > 25


def test_whole_people_are_held_out_and_files_tell_the_truth(tmp_path: Path) -> None:
    dataset = open_data("turning-faces", size=16, phantom_count=80, progress=False, kinds=("video",))
    held = set(dataset.groups[dataset.heldout_indices()])
    assert held
    assert not held & set(dataset.groups[dataset.train_indices()])
    write_phantom("turning-faces", 2, tmp_path / "heads", size=16)
    lines = [json.loads(line) for line in (tmp_path / "heads" / "facts.jsonl").read_text().splitlines()]
    assert (tmp_path / "heads" / lines[1]["file"]).suffix == ".gif"
    assert all(len(line[name]) == 16 for line in lines for name in ("yaw", *POINTS))


def test_a_size_out_of_range_is_refused_in_one_line() -> None:
    with pytest.raises(DataError, match="16 to 256"):
        make_phantom("turning-faces", 1, size=300)
