"""What an evaluation says while it goes on: a line a stage with the time left, also where no terminal shows a bar."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest

import toys
from ganvas.errors import DataError
from ganvas.evaluation.bench import pace
from ganvas.evaluation.judge import evaluate
from ganvas.evaluation.sets import open_sets
from ganvas.evaluation.stages import Stages, usual_work
from ganvas.run.train import train
from ganvas.store import progress


@pytest.fixture(scope="module")
def run_and_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("run")
    data = toys.points_file(folder / "points.csv")
    train("gan", data, out=folder / "run", budget="1r", quiet=True, threads=1, precision="32", channels_last="off")
    return folder / "run", data


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_the_time_left_follows_what_stages_took() -> None:
    said: list[str] = []
    clock = Clock()
    stages = Stages(said.append, clock)
    stages.begin("opening", "opening photos")
    clock.seconds = 500.0  # of unknown length: no measure of the machine
    stages.plan({"real": 20.0, "samples": 10.0, "audit": 30.0})
    stages.begin("real", "features of 400 real records")
    clock.seconds += 60.0  # three times as long as usual
    stages.begin("samples", "features of 200 samples")
    clock.seconds += 0.01  # out of the cache
    stages.begin("audit", "audit")
    assert said == [
        "opening photos",
        "1 of 3: features of 400 real records; about 60 s left",
        "2 of 3: features of 200 samples; about 2 min left",
        "3 of 3: audit; about 90 s left",
    ]


def test_a_stage_that_is_left_out_takes_no_time_and_the_last_seconds_are_not_told() -> None:
    said: list[str] = []
    stages = Stages(said.append, Clock())
    stages.plan(usual_work(1000, 4000, 1000, look=0.02, seen=True, anchors=()))
    stages.begin("real", "features")
    assert said[0].startswith("1 of 3: features; about ")
    assert stages.work["real"] == pytest.approx(5000 * 0.02)
    points = usual_work(1000, 4000, 1000, look=1e-4, seen=False, anchors=())
    stages.plan({**points, "measures": 1.0})
    assert stages.left("real") == ""
    stages.plan({"classifier": 60.0, "real": 20.0})
    stages.begin("real", "features")
    assert said[-1] == "2 of 2: features; about 20 s left", "no classifier was trained"


class Slow:
    """An extractor that takes 4 ms a record, once its network is loaded, which takes half a second."""

    name, dimensions, is_inception = "slow", 1, False

    def __init__(self) -> None:
        self.loaded = False

    def features(self, images: np.ndarray) -> np.ndarray:
        time.sleep(0.004 * len(images) + (0.0 if self.loaded else 0.5))
        self.loaded = True
        return np.zeros((len(images), 1), np.float32)


def test_the_pace_is_measured_and_the_time_told_goes_by_it(tmp_path: Path) -> None:
    sets = open_sets("gaussians", "gaussians", count=200, progress=False)
    look = pace(Slow(), sets)
    assert 0.004 <= look < 0.012, "without the loading, which would be 0.03"
    said: list[str] = []
    stages = Stages(said.append)
    stages.plan({"real": 5000 * look})
    stages.begin("real", "features")
    assert 20 <= float(said[0].partition("about ")[2].split()[0]) <= 60
    slow, quick = (usual_work(100, 400, 100, look=of, network=of, seen=True, classes=True, anchors=()) for of in (0.05, 0.01))
    assert slow["classifier"] == pytest.approx(5 * quick["classifier"]), "a slow machine trains slowly as well"


def test_evaluate_speaks_where_its_output_goes_to_a_file(tmp_path: Path) -> None:
    data = toys.points_file(tmp_path / "real.csv", 120)
    made = toys.points_file(tmp_path / "made.csv", 90)
    done = toys.ganvas("evaluate", made, "--real", data, "--json", "--out", tmp_path / "judged")
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert told[0] == f"opening {made} and {data}"
    numbered = [line for line in told if " of 7: " in line]
    assert [line.split(" ")[0] for line in numbered] == ["1", "2", "3", "4", "5", "6", "7"]
    assert any("audit: looking for copies" in line for line in numbered)
    assert any("anchor linear: draws from a Gaussian" in line for line in numbered)
    assert any("anchor noise: random values" in line for line in numbered)


def test_bars_and_signs_of_life_are_lines_where_no_terminal_shows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_LINE", 0.05)
    monkeypatch.setattr(progress, "NEXT_LINE", 60.0)
    monkeypatch.setattr("sys.stderr", out := io.StringIO())
    with progress.bar("reading", range(40)) as advance:
        for _ in range(10):
            advance()
        assert out.getvalue() == "", "what is over at once says nothing"
        time.sleep(0.06)
        for _ in range(10):
            advance()
    (line,) = out.getvalue().splitlines()
    assert line.startswith("reading: 11 of 40, about ")
    assert line.endswith(" s left")
    with progress.busy("making 4000 records"):
        time.sleep(0.2)
    with progress.busy("making 10 records"):
        pass
    with progress.busy("making 9000 records", False):
        time.sleep(0.1)
    assert out.getvalue().splitlines()[1:] == ["making 4000 records"]


@pytest.mark.parametrize(
    ("fake", "more"),
    [
        ("nowhere", {}),
        ("nowhere", {"real": "gaussians"}),
        ("gaussians", {"real": "nowhere"}),
        ("gaussians", {"real": "gaussians", "heldout": "nowhere"}),
        ("run", {"real": "nowhere"}),
        ("run", {"heldout": "nowhere"}),
    ],
)
def test_nothing_is_told_before_every_place_is_known_to_exist(
    run_and_data: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: str, more: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        evaluate(run_and_data[0] if fake == "run" else fake, say=said.append, **more)
    assert said == []


def test_nor_before_the_data_of_a_run_is(run_and_data: tuple[Path, Path]) -> None:
    run, data = run_and_data
    moved = data.rename(data.with_name("moved.csv"))
    said: list[str] = []
    try:
        with pytest.raises(DataError, match="no such file or folder"):
            evaluate(run, say=said.append)
    finally:
        moved.rename(data)
    assert said == []
