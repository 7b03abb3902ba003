"""How far samples come: a row for every system, taken from what was measured; and what a run is told of it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import toys
from ganvas.registry import catalogue, find
from ganvas.run import stages
from ganvas.run.budget import Budget
from ganvas.run.stages import PROOF, STAGES, Goal, Row, outlook, rows
from ganvas.run.train import train

ROOT = Path(__file__).parents[2]


def script() -> Any:
    """`benchmarks/stages.py` as a module."""
    made = importlib.util.spec_from_file_location("stages_script", ROOT / "benchmarks" / "stages.py")
    assert made is not None and made.loader is not None
    module = importlib.util.module_from_spec(made)
    made.loader.exec_module(module)
    return module


def test_every_system_has_a_row_with_its_source() -> None:
    assert {row.system for row in rows()} == set(catalogue())
    for row in rows():
        assert row.kind in find(row.system).data, row
        assert set(row.reached) <= set(row.asked) <= {*STAGES, PROOF}
        assert (ROOT / row.source).is_file(), row
        assert row.seen > 0 and row.seconds > 0
        reached = [row.reached[stage][0] for stage in row.asked if stage in row.reached]
        assert reached == sorted(reached) and all(samples <= row.seen for samples in reached)
        assert list(row.reached) == list(row.asked[: len(row.reached)]), "no stage is reached before the one below it"


def test_the_table_is_what_its_sources_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = script()
    monkeypatch.setattr(own, "TABLE", tmp_path / "stages.json")
    own.write_table(json.loads(own.RESULT.read_text()) if own.RESULT.exists() else {"runs": {}})
    assert json.loads((tmp_path / "stages.json").read_text()) == json.loads(stages.TABLE.read_text()), (
        "make it anew:  python benchmarks/stages.py --table"
    )


def test_a_stage_is_reached_when_it_is_kept() -> None:
    looks = [
        {"samples": 10 * k, "seconds": float(k), "value": value} for k, value in enumerate([0.9, 0.5, 0.7, 0.55, 0.3, 0.35])
    ]
    run = {
        "system": "dcgan", "kind": "image", "data": "chest", "records": "images", "untrained": 1.0, "looks": looks,
    }  # fmt: skip
    made = script().row_of(run)
    assert made["reached"] == {
        "outlines": {"samples": 30, "seconds": 3.0},
        "recognisable": {"samples": 40, "seconds": 4.0},
    }
    assert (made["seen"], made["asked"]) == (50, ["outlines", "recognisable", "good"])


QUICK = Row("dcgan", "image", "chest", 100_000, 200.0, {"outlines": (4_000, 8.0), "recognisable": (20_000, 40.0)}, STAGES, "x")
SLOW = Row("lsgan", "image", "chest", 100_000, 400.0, {"outlines": (50_000, 200.0)}, STAGES, "x")
NEVER = Row("wgan-gp", "image", "chest", 30_000, 600.0, {}, STAGES, "x")
PROVED = Row("srgan", "image", "photos", 20_000, 250.0, {PROOF: (20_000, 250.0)}, (PROOF,), "x")
MISSED = Row("cyclegan", "image", "emoji", 64_000, 250.0, {}, (PROOF,), "x")
IMAGE = SimpleNamespace(kind="image")


def said(name: str, samples: int | None, budget: str = "60s", per_sample: float = 0.002) -> str:
    seconds = {"60s": Budget(seconds=60), "k": Budget(samples=samples), "open": Budget()}[budget]
    return outlook(find(name), IMAGE, Goal(samples, seconds, lambda count: count * per_sample))


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "rows", lambda: (QUICK, SLOW, NEVER, PROVED, MISSED))


@pytest.mark.usefixtures("table")
def test_what_is_said_of_a_budget() -> None:
    assert said("dcgan", 30_000) == (
        "expect recognisable samples: on chest dcgan came to outlines after 4,000 samples (8 s here), "
        "recognisable after 20,000 samples (40 s here), good not within 100,000"
    )
    assert said("dcgan", 5_000).startswith("expect outlines: on chest dcgan came to outlines after 4,000 samples")
    assert said("dcgan", None, "open").startswith("expect: on chest dcgan came to outlines after 4,000 samples (8 s here)")


@pytest.mark.usefixtures("table")
def test_what_is_hopeless_names_what_would_do() -> None:
    told = said("lsgan", 15_000, per_sample=0.004)
    assert told.startswith(
        "expect no more than blurs: on chest lsgan came to outlines after 50,000 samples (3 min here), recogn"
    )
    assert told.endswith("and this budget sees about 15,000; take --budget 4m or more, or dcgan (recognisable after 40 s here)")
    # The machine is ten times as slow as the one that was measured: dcgan comes to outlines alone.
    told = said("lsgan", 1_500, per_sample=0.02)
    assert told.endswith("--budget 17m or more, or dcgan (outlines after 40 s here)")
    told = said("wgan-gp", 3_000, per_sample=0.02)
    assert told.startswith("expect no more than blurs: on chest wgan-gp came not to outlines within 30,000 samples, and this")
    assert told.endswith("take a budget that is many times as large, or dcgan (recognisable after 40 s here)")
    assert said("lsgan", 5_000, "k").endswith("take --budget 50k or more, or dcgan (outlines)")


@pytest.mark.usefixtures("table")
def test_what_was_not_measured_is_not_made_up() -> None:
    told = said("srgan", 3_000)
    assert told == (
        "expect: on photos srgan came to the mark of its proof after 20,000 samples (40 s here) (outlines, recognisable, good: "
        "not measured), and this budget sees about 3,000"
    )
    assert said("srgan", 30_000).startswith("expect what its proof asks for: on photos srgan came to the mark of its proof")
    told = said("cyclegan", 3_000)
    assert "came not to the mark of its proof within 64,000 samples" in told
    points = outlook(find("dcgan"), SimpleNamespace(kind="points"), Goal(1, Budget(), lambda count: None))
    assert points == "expect: how far dcgan comes on points data was not measured"


def test_a_run_says_what_to_expect_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {
        "config": toys.SMALL, "threads": 1, "precision": "32", "channels_last": "off", "device": "cpu", "sample_every": 0.0,
    }  # fmt: skip
    train("lsgan", toys.pictures(), out=tmp_path / "run", budget="8", **given)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("expect")]
    (row,) = [row for row in rows() if (row.system, row.kind) == ("lsgan", "image")]
    assert len(lines) == 1 and f"on {row.data} lsgan came" in lines[0]
    dry = train("lsgan", toys.pictures(), out=tmp_path / "dry", budget="8", dry_run=True, **given)
    assert dry["expect"].split(" (")[0] == lines[0].split(" (")[0]
