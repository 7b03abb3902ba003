"""The compression study: its cells change what they say, costs are counted right, its rules decide as they say."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ganvas.config import build_config
from ganvas.errors import RunError
from ganvas.kinds.image.spec import ImageSpec
from ganvas.studies import catalogue
from ganvas.studies._compression_claims import conclusions, excess, reference, together
from ganvas.studies._compression_judge import cost
from ganvas.studies._xray_claims import FAILS, HOLDS, OPEN
from ganvas.studies._xray_claims import conclusions as xray_conclusions
from ganvas.studies.cells import Plan, run_cells
from ganvas.studies.compression import cells, lines, summarised
from ganvas.systems.synthesis.dcgan import PRESETS, Config

SPEC = ImageSpec(channels=1, height=64, width=64)
FULL = cells(width=16, batch=32, full=True)


def settings(name: str) -> Any:
    cell = next(cell for cell in FULL if cell.name == name)
    return build_config(Config, {**PRESETS[str(cell.settings["preset"])], **cell.config})


# Cells and what they cost

CHANGES: dict[str, set[str]] = {
    "baseline": set(),
    "stride-4": {"generator_stride", "generator_overlap", "discriminator_stride"},
    "stride-8": {"generator_stride", "generator_overlap", "discriminator_stride"},
    "overlap": {"generator_stride", "discriminator_stride"},
    "d": {"discriminator_stride"},
    "g": {"generator_stride", "generator_overlap"},
    "connected-d": {"discriminator_connected"},
    "connected-g": {"generator_connected"},
    "connected": {"generator_connected", "discriminator_connected"},
    "fcc": {"generator_connected", "discriminator_connected"},
    "20": {"latent_size"},
    "500": {"latent_size"},
    "half": {"width"},
    "double": {"width"},
    "deeper": {"generator_extra", "discriminator_extra"},
}


def test_cells_differ_from_their_reference_in_what_they_say() -> None:
    assert len({cell.name for cell in FULL}) == len(FULL) == 24
    assert cells(width=16, batch=32) == FULL[:14]
    for cell in FULL:
        own, other = (dataclasses.asdict(settings(name)) for name in (cell.name, reference(cell.name)))
        changed = {key for key in own if own[key] != other[key]}
        last = cell.name if cell.name in CHANGES else cell.name.split("-")[-1]
        if "connected-" in cell.name:
            last = f"connected-{last}"
        assert changed == CHANGES[last], cell.name


def test_costs_are_those_of_the_papers_accounting_and_of_counting_by_hand() -> None:
    wide = cost("dcgan", dataclasses.asdict(build_config(Config, PRESETS["xray-memory"])), SPEC)
    assert wide["generator"]["mib"] == pytest.approx(53.96, abs=0.05)
    assert wide["discriminator"]["mib"] == pytest.approx(46.72, abs=0.05)
    found = cost("dcgan", dataclasses.asdict(settings("stride-4")), SPEC)
    g, d = found["generator"], found["discriminator"]
    assert (g["layers"], d["layers"]) == (3, 3)
    # Width 16: 100 -> 128 at 4x4, 128 -> 32 at 16x16, 32 -> 1 at 64x64 with kernels of 4; back with kernels of 8, 8 and 4.
    assert g["multiply_adds"] == 100 * 128 * 16 + 128 * 32 * 16 * 16 + 32 * 1 * 16 * 256
    assert d["multiply_adds"] == 1 * 32 * 64 * 256 + 32 * 128 * 64 * 16 + 128 * 16
    assert g["parameters"] == 100 * 128 * 16 + 2 * 128 + 128 * 32 * 16 + 2 * 32 + 32 * 16 + 1
    assert d["parameters"] == 32 * 64 + 32 + 32 * 128 * 64 + 2 * 128 + 128 * 16 + 1
    connected = cost("dcgan", dataclasses.asdict(settings("stride-4-connected")), SPEC)
    assert connected["generator"]["multiply_adds"] - g["multiply_adds"] == 2 * 4096 * 512
    assert connected["discriminator"]["layers"] == 5
    deeper = cost("dcgan", dataclasses.asdict(settings("baseline-deeper")), SPEC)
    assert deeper["generator"]["layers"] == 9


# Rules


def run(distance: float, squares: float, layers: int = 6, seed: int = 0) -> dict[str, Any]:
    """The result of a run with these figures."""
    part = {"parameters": 1000, "mib": 1.0, "multiply_adds": 9e5, "layers": layers // 2}
    look = {
        "round": 1500,
        "squares": {"value": squares, "protocol": "block-edges"},
        "frechet": {"value": distance, "protocol": "fd/effnet-lite0/160/n=5/m=5/ref=heldout"},
        "kernel": {"value": distance / 200, "protocol": "kd"},
        "top_third": {"value": -0.5, "protocol": "s"},
        "diversity": {"value": 0.9, "protocol": "d"},
    }
    losses = {"t0": 300, "whole": {"mean": 1.0, "sd": 0.5, "variance": 0.25}, "after_t0": None, "asleep": 0.1}
    return {
        "seed": seed, "rounds": 1500, "losses": losses, "alarms": [], "seconds": 9.0, "memory_mib": 300.0, "looks": [look],
        "real": {"squares": {"value": 1.03}, "frechet": {"value": 9.0}, "kernel": {"value": 0.01}},
        "cost": {"generator": part, "discriminator": part},
    }  # fmt: skip


def three(distance: float, squares: float, layers: int = 6) -> dict[int, dict[str, Any]]:
    """Three seeds that scatter by a few percent."""
    return {s: run(distance * f, 1 + (squares - 1) * f, layers, s) for s, f in enumerate((0.98, 1.0, 1.03))}


def verdicts(runs: dict[str, Any]) -> dict[str, str]:
    return {str(one["key"]): str(one["verdict"]) for one in conclusions(runs)}


PAPER = {
    "baseline": three(100.0, 1.08, 10),
    "stride-4-d": three(120.0, 1.2, 8),
    "stride-4-g": three(150.0, 1.7, 8),
    "stride-4": three(180.0, 2.0, 6),
    "stride-4-overlap": three(170.0, 1.2, 6),
    **{f"stride-4-{name}": three(185.0, 1.95) for name in ("connected-d", "connected-g", "connected", "fcc", "latent-20")},
    **{f"stride-4-{name}": three(175.0, 2.1) for name in ("latent-500", "width-half", "width-double")},
    "stride-4-deeper": three(150.0, 1.5, 10),
}


def test_the_papers_story_holds_everywhere() -> None:
    found = verdicts(PAPER)
    assert set(found.values()) == {HOLDS}
    assert next(iter(found)) == "compression"


def test_what_helps_or_removes_squares_is_seen() -> None:
    found = verdicts({**PAPER, "stride-4-fcc": three(120.0, 1.1)})
    assert found["connected-do-not-help"] == found["compression"] == found["connected-keep-squares"] == FAILS
    assert found["strides-do-not-help"] == HOLDS
    assert verdicts({**PAPER, "stride-4": three(80.0, 2.0)})["strides-do-not-help"] == FAILS
    assert verdicts({**PAPER, "stride-4": three(100.0, 2.0)})["out-of-reach"] == FAILS
    assert verdicts({**PAPER, "stride-4-latent-20": three(180.0, 1.1)})["latent-keeps-squares"] == FAILS
    assert verdicts({**PAPER, "stride-4-overlap": three(180.0, 1.9)})["overlap-removes-squares"] == FAILS
    assert verdicts({**PAPER, "stride-4-deeper": three(150.0, 2.6, 10)})["deeper-at-equal-strides"] == FAILS


def test_no_squares_one_seed_or_no_cells_cannot_tell() -> None:
    none = {**PAPER, "stride-4": {s: run(180.0, 1.03 + d, 6, s) for s, d in enumerate((-0.02, 0.01, 0.02))}}
    found = verdicts(none)
    assert found["connected-keep-squares"] == found["width-keeps-squares"] == found["overlap-removes-squares"] == OPEN
    single = {name: {0: own[0]} for name, own in PAPER.items()}
    assert set(verdicts(single).values()) == {OPEN}
    assert set(verdicts({"baseline": three(100.0, 1.1)}).values()) == {OPEN}
    torn = {**PAPER, "stride-4-g": {0: run(50.0, 1.7), 1: run(200.0, 1.7), 2: run(90.0, 1.7)}}
    assert verdicts(torn)["strides-do-not-help"] == OPEN


def test_all_of_several() -> None:
    assert [together(v) for v in ([], [HOLDS, HOLDS], [HOLDS, OPEN], [OPEN, FAILS, HOLDS])] == [OPEN, HOLDS, OPEN, FAILS]
    assert excess(run(1.0, 1.53)) == pytest.approx(0.5)


def test_a_study_is_summed_up_and_the_ablation_takes_its_conclusion_over(tmp_path: Path) -> None:
    from ganvas.files import write_json

    plan = Plan("compression", cells(width=16, batch=32), "chest", seeds=3, settings={"size": "64"})
    failed = [{"cell": "stride-4-fcc", "seed": 0, "error": "out of memory"}]
    runs = {name: own for name, own in PAPER.items() if name != "stride-4-fcc"}
    played = {"results": runs, "failed": failed, "rounds": 1500, "jobs": 2, "threads": 1, "seconds": 60.0}
    result = summarised(plan, played)
    own = result["cells"]["stride-4"]["figures"]["squares"]
    assert own["low"] < own["value"] < own["high"]
    assert result["cells"]["stride-4-fcc"]["seeds"] == []
    text = "\n".join(lines({**result, "page": "study.html"}))
    assert "FAILED  stride-4-fcc, seed 0: out of memory" in text
    (tmp_path / "compression").mkdir()
    write_json(tmp_path / "compression" / "compression.json", result)
    taken = {one["key"]: one for one in xray_conclusions({}, 1500, tmp_path / "xray")}["compression"]
    assert taken["verdict"] == HOLDS
    assert "stride-4-overlap" in taken["sentence"]
    with pytest.raises(RunError, match="out of memory"):
        summarised(plan, {**played, "results": {}})


# The whole


def test_the_study_is_in_the_catalogue() -> None:
    assert catalogue()["compression"].startswith("Compression of DCGAN")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "16"], "the least is 32"),
        (["--width", "1"], "the least is 2"),
        (["--preset", "paper"], "xray-relu, xray-table-ii"),
        (["--budget", "50k"], "is not a time"),
        (["--inception", "nothing.pth"], "no such file"),
    ],
)
def test_wrong_options_are_one_line(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ganvas.cli import main

    assert main(["study", "compression", "--out", str(tmp_path / "study"), *words]) == 2
    error = capsys.readouterr().err
    assert re.search(said, error)
    assert len(error.strip().splitlines()) == 1


def test_the_command_answers_in_a_process_of_its_own() -> None:
    words = [sys.executable, "-m", "ganvas", "study", "compression", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "--preset" in done.stdout
    assert "--launcher" in done.stdout


@pytest.mark.slow
def test_cells_are_played_judged_and_drawn(tmp_path: Path) -> None:
    from ganvas.studies._compression_page import write_page

    chosen = [cell for cell in cells(width=4, batch=4) if cell.name in ("baseline", "stride-4", "stride-4-fcc")]
    plan = Plan(
        "compression", tuple(chosen), "chest", seeds=1, settings={"size": "32", "phantom_count": 40}, looks=2, samples=8,
        judge="ganvas.studies._compression_judge:judge_compression", judge_settings={"inception": None},
    )  # fmt: skip
    result = summarised(plan, run_cells(tmp_path / "study", plan, rounds=6, jobs=2))
    write_page(tmp_path / "study", plan, result)
    assert result["failed"] == []
    assert result["protocols"]["squares"].startswith("block-edges/ratio/period=8/at=32x32/n=8/")
    page = (tmp_path / "study" / "study.html").read_text()
    assert "says nothing of radiographs" in page
    assert set(re.findall(r'src="([^":]+)', page)) == {"data"}
    text = (tmp_path / "study" / "study.md").read_text()
    pictures = re.findall(r"\]\((figures/[^)]+)\)", text)
    assert {"figures/samples.png", "figures/squares.png", "figures/cost.png"} <= set(pictures)
    assert all((tmp_path / "study" / name).stat().st_size > 2000 for name in pictures)
    held = json.loads((tmp_path / "study" / "compression.json").read_text())
    assert held["claims"][0]["key"] == "compression"
    assert str(tmp_path) not in json.dumps({key: value for key, value in held.items() if key != "runs"})
