"""What an evaluation says while it goes on: a line a stage with the time left, also where no terminal shows a bar."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

import toys
from ganvas.errors import DataError
from ganvas.evaluation.judge import evaluate
from ganvas.evaluation.stages import LOOK, Stages, usual_work
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
    stages.plan(usual_work(1000, 4000, 1000, seen=True, classes=False, findings=False, audit=False, anchors=()))
    stages.begin("real", "features")
    assert said[0].startswith("1 of 3: features; about ")
    assert stages.work["real"] == pytest.approx(5000 * LOOK)
    points = usual_work(1000, 4000, 1000, seen=False, classes=False, findings=False, audit=False, anchors=())
    stages.plan({**points, "measures": 1.0})
    assert stages.left("real") == ""
    stages.plan({"classifier": 60.0, "real": 20.0})
    stages.begin("real", "features")
    assert said[-1] == "2 of 2: features; about 20 s left", "no classifier was trained"


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
