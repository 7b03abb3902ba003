"""The phantom faces: what its table says is what is drawn, the same person in any state, and pictures with a table for systems
of several fields."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ganvas.data.dataset import open_data
from ganvas.data.phantoms import make_phantom, told
from ganvas.data.phantoms._files import write_phantom
from ganvas.data.phantoms._heads import GLASSES, MOUTHS, STYLES, TRAITS
from ganvas.data.phantoms.faces import IN_A_ROW, PEOPLE, draw, people
from ganvas.errors import DataError

FIELDS = {"picture": ("image",), "attributes": ("table",)}


def someone(count: int = 6, **traits: float) -> np.ndarray:
    """The same people, with some traits set."""
    made = people(np.arange(count), 4)
    for name, value in traits.items():
        made[:, TRAITS.index(name)] = value
    return made


def grey(pictures: np.ndarray) -> np.ndarray:
    """Mean light of each picture (N,) in its upper middle, where hair is."""
    side = pictures.shape[1]
    return pictures[:, side // 8 : side // 4, 3 * side // 8 : 5 * side // 8].mean((1, 2, 3))


def test_what_is_not_asked_for_stays_as_it_is() -> None:
    who = someone()
    plain = draw(who).astype(int)
    assert np.array_equal(plain, draw(who))
    for asked in ({"glasses": 2}, {"mouth": 2}, {"age": 70.0}):
        changed = np.abs(draw(who, **asked) - plain).sum(3) > 0
        assert changed.any((1, 2)).all(), asked
        assert not changed[:, :, :2].any(), "the ground is far from the head"
    mouth = np.abs(draw(who, mouth=1) - plain).sum(3) > 0
    assert not mouth[:, :30].any(), "a smile does not reach the eyes"


def test_years_turn_hair_white_and_children_have_lower_eyes() -> None:
    dark = someone(hair_dark=0.9, balding=0.0, style=0.1)
    young, old = draw(dark, age=25), draw(dark, age=82)
    assert (grey(old) > grey(young) + 60).all()
    bald = someone(balding=1.0, style=0.1, skin=0.1, hair_dark=1.0)
    assert (grey(draw(bald, age=80)) > grey(draw(bald, age=20)) + 60).all(), "and fall out, where they are to"


def test_a_turned_head_is_the_mirror_of_one_turned_the_other_way_and_light_comes_from_where_it_is_said_to() -> None:
    who = someone(part=0.5)
    right, left = (draw(who, yaw=yaw, light=0.0).astype(int) for yaw in (40.0, -40.0))
    assert np.abs(right - left[:, :, ::-1]).mean() < 1.0 < np.abs(right - left).mean()
    lit = draw(who, light=60.0, strength=1.0).astype(float)[:, 24:44, 22:42]
    assert (lit[:, :, 10:].mean((1, 2, 3)) > 1.15 * lit[:, :, :10].mean((1, 2, 3))).all()


def test_two_sizes_show_the_same_picture_and_two_people_do_not() -> None:
    who = someone()
    small, large = draw(who).astype(float), draw(who, 128).astype(float)
    halved = large.reshape(6, 64, 2, 64, 2, 3).mean((2, 4))
    assert np.abs(halved - small).mean() < 5
    apart = np.abs(small[:, None] - small).mean((2, 3, 4))
    assert apart[~np.eye(6, dtype=bool)].min() > 5


def test_the_table_tells_what_is_drawn() -> None:
    made = make_phantom("faces", 25, 3)
    assert made.columns == told("faces", 25, 3)
    for k, fact in enumerate(made.facts):
        assert fact["person"] == made.columns["person"][k] == f"p{k // IN_A_ROW:03d}"
        assert fact["subject"] == k // IN_A_ROW
        assert f"{fact['age']:g}" == made.columns["age"][k]
        assert fact["glasses"] in GLASSES and fact["mouth"] in MOUTHS and fact["hair"] in STYLES
        assert set(fact["traits"]) == set(TRAITS)
        assert abs(fact["yaw"]) <= 60
    again = [fact["traits"] for fact in make_phantom("faces:turned", 11, 3).facts]
    assert again[0] == made.facts[0]["traits"], "a variant draws the same people in other poses"
    assert told("faces", PEOPLE * IN_A_ROW + 1, 0)["person"][-1] == "p000"
    assert max(abs(fact["yaw"]) for fact in make_phantom("faces:turned", 40, 0, size=16).facts) > 60
    assert max(abs(fact["yaw"]) for fact in make_phantom("faces:front", 40, 0, size=16).facts) <= 12
    with pytest.raises(TypeError, match="no hat: there are age"):
        draw(someone(), hat=1)


def test_a_system_of_pictures_and_attributes_opens_it_by_name_and_as_files(tmp_path: Path) -> None:
    named = open_data("faces:front", size=16, fields=FIELDS, phantom_count=60, progress=False, cache=tmp_path / "cache")
    assert list(named.fields) == ["picture", "attributes"] and named.values.shape == (60, 16, 16, 3)
    assert "group" not in named.fields["attributes"].spec.names
    person = np.arange(60) // IN_A_ROW
    held = set(person[named.heldout_indices()])
    assert held and not held & set(person[named.train_indices()]), "a person is on one side alone"
    files = write_phantom("faces:front", 60, tmp_path / "made", size=16)
    assert {"metadata.csv", "groups.csv", "facts.jsonl"} <= {path.name for path in files}
    rows = list(csv.DictReader((tmp_path / "made" / "metadata.csv").open()))
    assert [row["age"] for row in rows] == told("faces:front", 60)["age"]
    opened = open_data(tmp_path / "made", fields=FIELDS, progress=False, cache=tmp_path / "cache")
    assert np.array_equal(opened.values, named.values)
    alone = open_data(tmp_path / "made", progress=False, cache=tmp_path / "cache")
    held = set(person[alone.heldout_indices()])
    assert held and not held & set(person[alone.train_indices()]), "of the pictures without their table, too"
    with pytest.raises(DataError, match="phantom 'chest' has no table of what its records show: take faces"):
        open_data("chest", fields=FIELDS, progress=False, cache=tmp_path / "cache")
