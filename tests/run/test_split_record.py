"""A run keeps the held-out part that it recorded, whatever rule later versions split by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import toys
from ganvas.errors import GanvasError
from ganvas.evaluation.sets import open_sets
from ganvas.run.load import read_run
from ganvas.run.opening import EARLIER, open_record_data, reopen
from ganvas.run.settings import read_yaml, write_yaml
from ganvas.run.train import train


class Alone:
    """One process."""

    leads = True

    def wait(self) -> None: ...


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("split")
    train("gan", toys.points_file(place / "points.csv"), out=place / "run", budget="2r", quiet=True, sample_every=0)
    return place / "run"


def as_of_before(run: Path, to: Path, heldout: list[int]) -> Path:
    """The run as an earlier version left it: its fingerprint by the rule of then, and another held-out part."""
    import shutil

    shutil.copytree(run, to)
    values = read_yaml(to / "config.yaml")
    (earlier,) = open_record_data_now(run).earlier
    values["data"]["fingerprint"] = earlier
    write_yaml(to / "config.yaml", values)
    split = json.loads((to / "split.json").read_text())
    (to / "split.json").write_text(json.dumps({**split, "fingerprint": earlier, "heldout": heldout}))
    return to


def open_record_data_now(run: Path):
    from ganvas.run.opening import open_run_data

    record = read_run(run)
    return open_run_data(record.settings, card=record.card)


def test_a_run_of_an_earlier_rule_keeps_its_held_out_part_everywhere(begun: Path, tmp_path: Path) -> None:
    now = open_record_data_now(begun)
    held = [int(i) for i in np.flatnonzero(~now.heldout)[: now.heldout.sum()]]  # none of those of today's rule
    old = as_of_before(begun, tmp_path / "old", held)
    for dataset in (open_record_data(read_run(old)), reopen(read_run(old), Alone())):
        assert dataset.heldout_indices().tolist() == held and EARLIER in dataset.notes
    result = train(resume=old, budget="4r", quiet=True)
    assert result["rounds"] == 4 and json.loads((old / "split.json").read_text())["heldout"] == held
    sets = open_sets(str(old), count=20, progress=False)
    assert sets.split == "run" and len(sets.heldout) == len(held) and EARLIER in sets.notes
    assert np.array_equal(sets.heldout.values, np.asarray(now.values)[held])
    assert not np.array_equal(sets.heldout.values, np.asarray(now.values)[now.heldout])


def test_a_run_of_today_is_told_by_its_fingerprint_and_keeps_its_part_too(begun: Path) -> None:
    record = read_run(begun)
    dataset = open_record_data(record)
    assert dataset.fingerprint == record.data["fingerprint"] and EARLIER not in dataset.notes
    kept = json.loads((begun / "split.json").read_text())
    assert kept["heldout"] == dataset.heldout_indices().tolist()
    other = open_record_data_now(begun)
    assert other.fingerprint == dataset.fingerprint != other.earlier[0]


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text("{"),
        lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), "records": 3})),
        lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), "fingerprint": "another"})),
        lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), "heldout": [10**6]})),
    ],
    ids=["gone", "cut", "other records", "of another run", "out of range"],
)
def test_without_its_record_no_other_part_is_taken(begun: Path, tmp_path: Path, harm) -> None:
    old = as_of_before(begun, tmp_path / "old", [0, 1, 2])
    harm(old / "split.json")
    with pytest.raises(GanvasError, match=r"split\.json: is missing, damaged or of another run") as caught:
        open_record_data(read_run(old))
    assert "\n" not in str(caught.value)


def test_other_data_is_opened_as_it_is(begun: Path, tmp_path: Path) -> None:
    other = toys.points_file(tmp_path / "other.csv")
    text = other.read_text().splitlines()
    other.write_text("\n".join(text[:-5]) + "\n")
    dataset = open_record_data(read_run(begun), source=str(other))
    assert dataset.fingerprint != read_run(begun).data["fingerprint"] and len(dataset.earlier) == 1
