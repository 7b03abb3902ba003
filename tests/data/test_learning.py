"""What specs learn from records comes from those that are trained on, and stays what it was when a run began."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ganvas
from ganvas.data.dataset import Dataset, open_data
from ganvas.data.learning import learn
from ganvas.data.streams import trained_rows
from ganvas.evaluation.sets import open_sets
from ganvas.game import Feed
from ganvas.kinds import kind_of
from ganvas.kinds.facets import Learns
from ganvas.run.load import Run, read_run
from ganvas.run.opening import open_record_data
from ganvas.run.settings import FILE, read_yaml, write_yaml
from ganvas.run.train import train

SMALL: dict[str, Any] = {"width": 4, "latent_size": 3, "static_latent_size": 0, "batch_size": 8, "search_steps": 2}


def pump(folder: Path, *, high: float = 50.0) -> Path:
    """Four series of a class `good` about 10 and four of a class `bad` about `high`; the last of each is held out."""
    rng = np.random.default_rng(0)
    groups = ["file,group,split"]
    for name, centre in (("good", 10.0), ("bad", high)):
        (folder / name).mkdir(parents=True)
        for k in range(4):
            # the held-out series are elsewhere again
            values = centre + (1000.0 if k == 3 else 0.0) + rng.uniform(-1, 1, (90 + k, 2))
            lines = ["time,flow,heat", *(f"{t},{a:.5f},{b:.5f}" for t, (a, b) in enumerate(values))]
            (folder / name / f"{k}.csv").write_text("\n".join(lines))
            groups.append(f"{name}/{k}.csv,{name}{k},{'heldout' if k == 3 else 'train'}")
    (folder / "groups.csv").write_text("\n".join(groups))
    return folder


def opened(source: Path, **more: Any) -> Dataset:
    return open_data(source, progress=False, **more)


def test_the_scale_of_series_is_that_of_the_training_part(tmp_path: Path) -> None:
    data = opened(pump(tmp_path / "pump"), kinds=("series",))
    assert np.allclose(data.spec.centre, 30, atol=0.2) and np.allclose(data.spec.scale, 21, atol=0.2)
    assert "scaled by the 0.1 and 99.9 percentiles of 18 windows to learn from" in data.notes


def test_a_chosen_class_gives_the_scale_alone(tmp_path: Path) -> None:
    data = opened(pump(tmp_path / "pump"), kinds=("series",))
    good = data.spec.classes.index("good")
    rows = trained_rows(data, {"data": Feed(of={"real": good})})
    assert rows.tolist() == [k for k in data.train_indices() if data.labels is not None and data.labels[k] == good]
    learnt = learn(data, rows)
    assert np.allclose(learnt.spec.centre, 10, atol=0.1) and np.allclose(learnt.spec.scale, 1, atol=0.1)
    told = [note for note in learnt.notes if "percentiles" in note]
    assert told == ["scaled by the 0.1 and 99.9 percentiles of 9 windows to learn from"]
    assert learn(learnt, rows) is learnt


def test_which_records_a_system_is_trained_on_follows_from_its_feeds(tmp_path: Path) -> None:
    data = opened(pump(tmp_path / "pump"), kinds=("series",))
    everything = data.train_indices().tolist()
    assert trained_rows(data, {"data": Feed()}).tolist() == everything
    assert trained_rows(data, {"data": Feed(of={"a": 0, "b": 1})}).tolist() == everything
    assert trained_rows(data, {"data": Feed(of={"real": 0}), "all": Feed()}).tolist() == everything
    assert len(trained_rows(data, {"data": Feed(of={"real": 0})})) == len(everything) // 2


def test_a_run_learns_the_scale_of_its_class_and_says_so(tmp_path: Path) -> None:
    told: list[str] = []
    train("mad-gan", pump(tmp_path / "pump"), out=tmp_path / "run", budget="3r", config={**SMALL, "normal": "good"}, quiet=True,
          threads=1, say=told.append)  # fmt: skip
    record = read_run(tmp_path / "run")
    assert np.allclose(record.spec.centre, 10, atol=0.1)
    assert open_record_data(record).spec == record.spec
    assert "note: scaled by the 0.1 and 99.9 percentiles of 9 windows to learn from" in told
    sets = open_sets(tmp_path / "run", count=12, progress=False)
    assert sets.train.records is not None and sets.train.records[1].centre == record.spec.centre


def test_a_run_from_before_keeps_the_scale_that_it_was_trained_with(tmp_path: Path) -> None:
    """Its spec holds the scale of all windows."""
    run = tmp_path / "run"
    train("mad-gan", pump(tmp_path / "pump"), out=run, budget="3r", config={**SMALL, "normal": "good"}, quiet=True, threads=1)
    values = read_yaml(run / FILE)
    values["fields"]["real"] |= {"centre": [500.0, 500.0], "scale": [600.0, 600.0]}
    write_yaml(run / FILE, values)
    made = Run(run).sample(4, seed=1)
    assert np.abs(made - 500).max() <= 600 and made.std() > 20
    train(resume=run, budget="6r", quiet=True)
    assert read_run(run).spec.centre == (500.0, 500.0)
    assert open_record_data(read_run(run)).spec.centre == (500.0, 500.0)
    assert np.abs(Run(run).sample(4, seed=1) - 500).max() <= 600


def test_samples_and_real_records_are_compared_on_one_scale(tmp_path: Path) -> None:
    """Each on a scale of its own, samples of twice the height would look like the real ones."""
    rng = np.random.default_rng(0)
    real, fake = (height * rng.standard_normal((60, 12, 2)).astype(np.float32) for height in (1.0, 2.0))
    np.savez(tmp_path / "real.npz", series=real)
    np.savez(tmp_path / "fake.npz", series=fake)
    sets = open_sets(tmp_path / "fake.npz", tmp_path / "real.npz", kind="series", progress=False)
    spread = slice(2, 4)  # after the means of both quantities
    assert sets.generated.values[:, spread].mean() == pytest.approx(2 * sets.train.values[:, spread].mean(), rel=0.1)


POINTS = np.concatenate([np.random.default_rng(0).normal(size=(400, 2)), [[90.0, 90.0]] * 40]).astype(np.float32)


def test_points_and_tables_learn_from_the_training_part() -> None:
    for kind in ("points", "table"):
        data = open_data(POINTS, kinds=(kind,), progress=False)
        own = kind_of(kind)
        assert isinstance(own, Learns)
        wanted, _ = own.learn(data.spec, np.asarray(data.values)[~data.heldout], np.arange(int((~data.heldout).sum())))
        assert data.spec == wanted
        assert data.spec != own.learn(data.spec, np.asarray(data.values), np.arange(len(data)))[0]


def test_only_a_range_that_no_file_declares_is_learnt(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    floats = rng.normal(100, 10, (40, 8, 8, 1)).astype(np.float32)
    data = open_data(floats, progress=False)
    low, high = np.percentile(floats[~data.heldout], (0.1, 99.9))
    assert (data.spec.low, data.spec.high) == pytest.approx((low, high))
    assert any("32 images to learn from" in note and "saturate" in note for note in data.notes)
    whole = open_data((40 + floats).clip(0, 255).astype(np.uint8), progress=False)
    assert (whole.spec.low, whole.spec.high) == (0.0, 255.0)
    assert learn(whole, np.arange(3)) is whole


def test_dry_runs_tell_the_scale_that_the_run_would_have(tmp_path: Path) -> None:
    found = ganvas.train(
        "mad-gan", pump(tmp_path / "pump"), dry_run=True, quiet=True, threads=1, config={**SMALL, "normal": "good"}
    )
    assert any("9 windows to learn from" in note for note in found["data"]["notes"])
    assert not any("18 windows to learn from" in note for note in found["data"]["notes"])
