"""Comparing runs: unlike protocols are not ranked and the reason is told; like ones are, and overlaps share a rank."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ganvas
from ganvas.cli import main
from ganvas.errors import GanvasError
from ganvas.report import compare
from ganvas.report.comparison import lines

CONFIG = {"latent_size": 2, "width": 4, "layers": 1, "batch_size": 16}
KD = "kd/pixels/n=100/m=80/ref=heldout"
PRECISION = "precision/pixels/k=5/n=100/m=80/ref=heldout"


def kid(value: float, low: float, high: float, protocol: str = KD) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "protocol": protocol}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "points"
    ganvas.train("gan", "patterns", config=CONFIG, out=out, phantom_count=400, budget="2r", device="cpu", quiet=True)
    return out


@pytest.fixture
def make(trained: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the run under a name, with these measures as its evaluation."""

    def made(name: str, measures: dict[str, Any] | None, **more: Any) -> Path:
        run = Path(shutil.copytree(trained, tmp_path / name))
        if measures is not None:
            values: dict[str, Any] = {
                "fake": {"source": str(run), "n": 100},
                "real": {"source": "patterns", "train": 320, "heldout": 80, "split": "run"},
                "features": {"name": "pixels", "is_inception": False},
                "protocol": "pixels/n=100/m=80/ref=heldout",
                "notes": [],
                **measures,
                **more,
            }
            (run / "evaluation").mkdir()
            (run / "evaluation" / "evaluation.json").write_text(json.dumps(values))
        return run

    return made


def row(result: dict[str, Any], key: str) -> dict[str, Any]:
    return next(one for one in result["metrics"] if one["key"] == key)


def test_alike_runs_are_ranked_and_overlaps_share_a_rank(make: Callable[..., Path]) -> None:
    worst = make("worst", {"kid": kid(0.9, 0.8, 1.0), "precision": kid(0.2, 0.1, 0.3, PRECISION)})
    best = make("best", {"kid": kid(0.1, 0.05, 0.15), "precision": kid(0.8, 0.7, 0.9, PRECISION)})
    near = make("near", {"kid": kid(0.14, 0.12, 0.2), "precision": kid(0.6, 0.5, 0.69, PRECISION)})
    result = compare([worst, best, near])
    assert result["ranked"]
    assert row(result, "kid")["ranks"] == [3, 1, 1], "lower is better"
    assert "cannot be told apart" in row(result, "kid")["why"]
    assert row(result, "precision")["ranks"] == [3, 1, 2], "higher is better"
    assert row(result, "precision")["why"] == ""
    text = "\n".join(lines(result))
    assert "0.1 [0.05, 0.15] (1)" in text
    assert "0.9 [0.8, 1] (3)" in text


@pytest.mark.slow
def test_runs_of_other_seeds_are_ranked_if_they_were_split_alike(tmp_path: Path) -> None:
    given: dict[str, Any] = {"config": CONFIG, "phantom_count": 400, "budget": "2r", "device": "cpu", "quiet": True}
    for name, seed, split in (("a", 0, 7), ("b", 1, 7), ("c", 2, None)):
        ganvas.train("gan", "patterns", out=tmp_path / name, seed=seed, split_seed=split, **given)
        ganvas.evaluate(tmp_path / name, count=100, anchors=False, audit=False, out=tmp_path / name / "evaluation")
    assert compare([tmp_path / "a", tmp_path / "b"])["ranked"]
    result = compare([tmp_path / "a", tmp_path / "c"])
    assert not result["ranked"] and "--split-seed" in " ".join(lines(result))
    again = ganvas.train(resume=tmp_path / "a", budget="3r", quiet=True)
    assert again["rounds"] == 3, "goes on with the same records"


def test_runs_that_all_overlap_cannot_be_told_apart(make: Callable[..., Path]) -> None:
    runs = [make(f"r{k}", {"kid": kid(0.1 * k, 0.1 * k - 0.2, 0.1 * k + 0.2)}) for k in range(1, 4)]
    result = compare(runs)
    assert row(result, "kid")["ranks"] == [1, 1, 1]
    assert row(result, "kid")["why"] == "cannot be told apart"


def test_near_zero_counts_from_both_sides(make: Callable[..., Path]) -> None:
    protocol = "checkerboard/log-ratio/at=8x8/n=100/m=80/ref=heldout"
    values = [(-0.5, -0.6, -0.4), (0.0, -0.1, 0.1), (0.2, 0.15, 0.3)]
    runs = [make(f"r{k}", {"checkerboard": kid(*three, protocol)}) for k, three in enumerate(values)]
    assert row(compare(runs), "checkerboard")["ranks"] == [3, 1, 2]


def test_unlike_protocols_are_not_ranked_and_it_says_why(
    make: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    one = make("one", {"kid": kid(0.1, 0.05, 0.15)})
    few = make("few", {"kid": kid(0.9, 0.8, 1.0, KD.replace("n=100", "n=50"))})
    other = make("other", {"kid": kid(0.5, 0.4, 0.6, KD.replace("pixels", "effnet-lite0/160/at=32x32"))})
    result = compare([one, few, other])
    assert not result["ranked"]
    found = row(result, "kid")
    assert found["ranks"] is None
    assert "n differs: 100 (one), 50 (few), 100 (other)" in found["why"]
    assert "ganvas evaluate RUN -n N" in found["why"]
    assert "features differs: kd/pixels (one), kd/pixels (few), kd/effnet-lite0/160 (other)" in found["why"]
    assert "same --features" in found["why"]
    assert main(["compare", str(one), str(few), str(other)]) == 0
    printed = capsys.readouterr().out
    assert "nothing is ranked" in printed
    assert not re.search(r"\] \(\d\)", printed)


def test_one_protocol_on_other_records_is_not_ranked(make: Callable[..., Path]) -> None:
    one, two = make("one", {"kid": kid(0.1, 0.05, 0.15)}), make("two", {"kid": kid(0.9, 0.8, 1.0)})
    split = json.loads((two / "split.json").read_text())
    split["heldout"] = [*split["heldout"][1:], min(set(range(400)) - set(split["heldout"]))]
    (two / "split.json").write_text(json.dumps(split))
    found = row(compare([one, two]), "kid")
    assert found["ranks"] is None
    assert "other real records" in found["why"]


def test_what_was_not_measured_and_what_has_no_better_side_is_not_ranked(make: Callable[..., Path]) -> None:
    protocol = "ms-ssim/n=100"
    one = make("one", {"kid": kid(0.1, 0.05, 0.15), "ms_ssim": kid(0.5, 0.4, 0.6, protocol)})
    two = make("two", {"ms_ssim": kid(0.5, 0.4, 0.6, protocol)})
    result = compare([one, two])
    assert row(result, "kid")["why"] == "not measured for two"
    assert row(result, "ms_ssim")["ranks"] is None
    assert row(result, "ms_ssim")["alike"]
    bare = make("bare", None)
    result = compare([one, bare])
    assert "has not been evaluated" in result["notes"][0]
    assert not result["ranked"]


def test_correlations_need_four_and_say_how_many(make: Callable[..., Path]) -> None:
    def measured(k: int) -> dict[str, Any]:
        return {"kid": kid(0.1 * k, 0.0, 1.0), "precision": kid(1 - 0.2 * k, 0.0, 1.0, PRECISION)}

    runs = [make(f"r{k}", measured(k)) for k in range(4)]
    assert compare(runs[:3])["correlations"] == []
    told = lines(compare(runs))
    place = next(k for k, line in enumerate(told) if line.startswith("rank correlations over"))
    assert told[place + 1].split() == [f"({k})" for k in range(1, len(told[place + 1].split()) + 1)], "the columns have heads"
    assert [line.split()[0] for line in told[place + 2 : place + 2 + len(told[place + 1].split())]] == told[place + 1].split()
    (found,) = compare(runs)["correlations"]
    assert (found["over"], found["n"], found["metrics"]) == ("runs", 4, ["kernel distance", "precision"])
    assert np.allclose(found["matrix"], [[1, -1], [-1, 1]])
    looks = [
        {"round": k, "samples": k, "seconds": k, "value": v, "protocol": "kd/x", "nearer": n}
        for k, v, n in ((1, 0.4, 0.1), (2, 0.3, 0.2), (3, 0.2, 0.4), (4, 0.1, 0.3))
    ]
    (runs[0] / "health.json").write_text(json.dumps({"t0": None, "alarms": [], "looks": looks}))
    found = compare(runs[:2])["correlations"][0]
    assert (found["over"], found["n"]) == ("checkpoints of r0", 4)
    assert found["matrix"][0][1] == pytest.approx(-0.8)


def test_the_page_and_its_plots(make: Callable[..., Path], tmp_path: Path) -> None:
    runs = [make(f"r{k}", {"kid": kid(0.1 * k, 0.1 * k - 0.01, 0.1 * k + 0.01)}) for k in range(1, 3)]
    for k, run in enumerate(runs):
        looks = [
            {"round": i, "samples": 10 * i, "seconds": i, "value": 1 / i + k, "low": 0, "high": 2, "protocol": "kd/x"}
            for i in (1, 2)
        ]
        (run / "health.json").write_text(json.dumps({"looks": looks}))
    result = compare(runs, out=tmp_path / "out" / "both.html")
    page = (tmp_path / "out" / "both.html").read_text()
    assert not re.search(r"https?:|<script|<link|url\(", page)
    assert page.count('src="data:image/png') == 3
    made = {path.name for path in (tmp_path / "out" / "both-plots").iterdir() if not path.name.startswith(".")}
    assert made == {f"{n}.{kind}" for n in ("intervals", "metrics", "metrics-seconds") for kind in ("png", "svg")}
    assert len(result["plots"]) == 6
    looks = [{"round": 1, "samples": 9, "seconds": 1, "value": 1.0, "protocol": "kd/other"}]
    (runs[1] / "health.json").write_text(json.dumps({"looks": looks}))
    result = compare(runs, out=tmp_path / "again.html")
    assert any("not drawn together: features differs: kd/x (r1), kd/other (r2)" in note for note in result["notes"])
    assert not (tmp_path / "again-plots" / "metrics.png").exists()


def test_one_run_twice_and_alone_and_none(make: Callable[..., Path], tmp_path: Path) -> None:
    run = make("one", None)
    for runs, reason in (
        ([run], "two runs or more"),
        ([run, run], "named twice"),
        ([run, tmp_path / "no"], "no such run folder"),
    ):
        with pytest.raises(GanvasError, match=reason):
            compare(runs)
    (tmp_path / "a").mkdir()
    same = Path(shutil.copytree(run, tmp_path / "a" / "one"))
    assert [r["name"] for r in compare([run, same])["runs"]] == [f"{tmp_path.name}/one", "a/one"]


def test_json_holds_the_same(make: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make(f"r{k}", {"kid": kid(0.1 * k, 0.1 * k - 0.01, 0.1 * k + 0.01)}) for k in range(1, 3)]
    assert main(["compare", *map(str, runs), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"][0]["ranks"] == [1, 2]
