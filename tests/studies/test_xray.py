"""The chest X-ray ablation: its networks are Table II's, its rules decide as they say, its page holds what was found."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from ganvas.config import build_config
from ganvas.errors import GanvasError
from ganvas.kinds.image.spec import ImageSpec
from ganvas.studies import _xray_claims as claims
from ganvas.studies import catalogue
from ganvas.studies._xray_claims import FAILS, HOLDS, OPEN, conclusions, correlations, decide, swapped, t0_ratio
from ganvas.studies.xray import TABLE_I, cells, figure, lines, summarised
from ganvas.systems.synthesis.dcgan import PRESETS, Config, DcGan

SPEC = ImageSpec(channels=1, height=64, width=64)


# Table II


def layers(network: nn.Module) -> list[Any]:
    """(kind, channels in, channels out, kernel) of convolutions, (kind, channels) of BatchNorm, kind of the rest."""
    found: list[Any] = []
    for module in network.layers:  # type: ignore[union-attr]
        kind = type(module).__name__
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            found.append((kind, module.in_channels, module.out_channels, module.kernel_size[0]))
        else:
            found.append((kind, module.num_features) if isinstance(module, nn.BatchNorm2d) else kind)
    return found


def test_the_preset_is_table_ii() -> None:
    system = DcGan(SPEC, build_config(Config, PRESETS["xray-table-ii"]))
    up, down = "ConvTranspose2d", "Conv2d"
    assert layers(system.generator) == [
        (up, 100, 512, 4), "ELU", (up, 512, 256, 4), "ELU", (up, 256, 128, 4), "ELU", (up, 128, 64, 4), "ELU",
        (up, 64, 1, 4), "Tanh",
    ]  # fmt: skip
    assert layers(system.discriminator) == [
        (down, 1, 64, 4), "ELU", (down, 64, 128, 4), ("BatchNorm2d", 128), "ELU",
        (down, 128, 256, 4), ("BatchNorm2d", 256), "ELU", (down, 256, 512, 4), ("BatchNorm2d", 512), "ELU", (down, 512, 1, 4),
    ]  # fmt: skip
    assert system.config.generator_learning_rate != system.config.discriminator_learning_rate


def test_the_other_preset_is_dcgan_with_relu_and_leaky_relu() -> None:
    system = DcGan(SPEC, build_config(Config, PRESETS["xray-relu"]))
    generator, discriminator = layers(system.generator), layers(system.discriminator)
    assert [x for x in generator if x in ("ReLU", "ELU")] == ["ReLU"] * 4
    assert [x for x in discriminator if x in ("LeakyReLU", "ELU")] == ["LeakyReLU"] * 4
    assert len([x for x in generator if x[0] == "BatchNorm2d"]) == 4
    assert len([x for x in discriminator if x[0] == "BatchNorm2d"]) == 3


def test_cells_are_the_design_and_differ_in_what_they_say() -> None:
    four, eight = cells(width=8, batch=32), cells(width=8, batch=32, full=True)
    assert [cell.name for cell in four] == list(TABLE_I)
    assert len({cell.name for cell in eight}) == 8
    assert eight[:4] == four
    for cell in eight:
        config = build_config(Config, {**PRESETS[cell.settings["preset"]], **cell.config})
        assert config.optimiser == cell.name.split("-")[0]
        assert (config.generator_nonlinearity == "elu") == ("elu" in cell.name.split("-"))
        assert (config.generator_learning_rate != config.discriminator_learning_rate) == ("ttur" in cell.name)
        assert (config.width, config.batch_size, config.augment, config.ema_half_life) == (8, 32, (), 0.0)
    extra = cells(width=8, batch=64, extras=True)[4:]
    assert [cell.config["batch_size"] for cell in extra] == [16, 128, 64, 64]
    assert [cell.config["generator_learning_rate"] for cell in extra] == [2e-4, 2e-4, 1e-4, 1e-3]


def test_the_study_is_in_the_catalogue_and_its_machinery_is_not() -> None:
    assert catalogue()["xray"].startswith("The chest X-ray ablation")
    assert "cells" not in catalogue()


# Rules


@pytest.mark.parametrize(
    ("low", "high", "threshold", "side", "verdict"),
    [
        (0.2, 0.6, 0.75, "below", HOLDS),
        (0.2, 0.8, 0.75, "below", OPEN),
        (0.8, 0.9, 0.75, "below", FAILS),
        (1.2, 1.9, 1.0, "above", HOLDS),
        (0.9, 1.9, 1.0, "above", OPEN),
        (0.5, 0.9, 1.0, "above", FAILS),
        (None, None, 1.0, "above", OPEN),
        (math.nan, math.nan, 1.0, "above", OPEN),
    ],
)
def test_a_whole_interval_decides(low: Any, high: Any, threshold: float, side: str, verdict: str) -> None:
    assert decide(low, high, threshold, side) == verdict


def run(
    t0: int | None = 400, mean: float = 1.0, sd: float = 0.5, frechet: float = 100.0, top: float = -0.5, *, batch: int = 32,
    asleep: float = 0.1, late: float = 0.0, alarms: tuple[str, ...] = (), seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """The result of a run with these figures; earlier looks are worse."""
    moments = {"mean": mean, "sd": sd, "variance": sd**2, "rounds": 1500}
    looks, checkpoints = [], []
    for place in (1, 2, 3):
        value = frechet * (4 - place)
        frech = {"value": value, "protocol": "fd/effnet-lite0/160/n=5/m=5/ref=heldout"}
        kernel = {"value": value / 200, "protocol": "kd"}
        curve = {"generated": [top, top], "real": [0.0, 0.0], "frequencies": [0.25, 0.5]}
        third = {"value": top, "protocol": "s", **curve}
        looks.append({"round": 500 * place, "frechet": frech, "kernel": kernel, "top_third": third,
                      "diversity": {"value": 0.9, "protocol": "d"}})  # fmt: skip
        checkpoints.append({"round": 500 * place, **moments})
    losses = {
        "t0": t0,
        "whole": moments,
        "after_t0": None if t0 is None else moments,
        "asleep": asleep,
        "asleep_soon": None if t0 is None else late,
        "largest": 3.0,
    }
    return {
        "study": "xray-ablation", "seed": seed, "rounds": 1500, "threads": 1, "config": {"batch_size": batch}, "losses": losses,
        "checkpoints": checkpoints, "alarms": [{"kind": kind, "since_round": 9} for kind in alarms], "seconds": 9.0,
        "memory_mib": 300.0, "looks": looks, "real": looks[-1],
    }  # fmt: skip


def three(**figures: Any) -> dict[int, dict[str, Any]]:
    """Three seeds that scatter by a few percent around the same figures."""
    scale = (0.98, 1.0, 1.03)
    return {
        seed: run(**{k: v * scale[seed] if isinstance(v, float) else v for k, v in figures.items()}, seed=seed)
        for seed in range(3)
    }


def verdict(runs: dict[str, Any], key: str, folder: Path = Path("nowhere/at/all")) -> str:
    found = [one for one in conclusions(runs, 1500, folder) if one["key"] == key]
    assert len(found) == 1
    return str(found[0]["verdict"])


def test_partners_differ_in_one_thing() -> None:
    runs: dict[str, Any] = {cell.name: {} for cell in cells(width=8, batch=32, full=True, extras=True)}
    assert len(swapped(runs, "adas", "adam")) == 4
    assert ("adas-relu-ttur", "adas-relu") in swapped(runs, "ttur", "")
    assert len(swapped(runs, "ttur", "")) == 4


def test_t0_that_halves_holds_and_one_that_does_not_fails() -> None:
    halved = {"adas-elu": {0: run(200), 1: run(210), 2: run(190)}, "adam-elu": {s: run(400 + 10 * s) for s in range(3)}}
    assert verdict(halved, "t0-halves") == HOLDS
    equal = {"adas-elu": {s: run(400 + 9 * s) for s in range(3)}, "adam-elu": {s: run(405 + 5 * s) for s in range(3)}}
    assert verdict(equal, "t0-halves") == FAILS
    torn = {"adas-elu": {0: run(100), 1: run(800)}, "adam-elu": {0: run(400), 1: run(400)}}
    assert verdict(torn, "t0-halves") == OPEN
    assert verdict({"adas-elu": {0: run(100)}, "adam-elu": {0: run(400)}}, "t0-halves") == OPEN


def test_openings_that_cannot_be_seen_do_not_count_and_endless_ones_count_as_the_whole_training() -> None:
    assert t0_ratio(run(50), run(50)) is None
    assert t0_ratio(run(None), run(None)) is None
    assert t0_ratio(run(50, late=0.9), run(400)) is None  # the loss began high, and the opening came after
    assert t0_ratio(run(150), run(None)) == pytest.approx(math.log(150 / 1500))


def test_each_claim_follows_what_is_planted() -> None:
    paper = {
        "adas-elu": three(mean=0.85, sd=0.8, frechet=104.0, top=-0.4),
        "adam-elu": three(mean=0.42, sd=0.45, frechet=238.0, top=-0.6),
        "adas-elu-ttur": three(t0=200, mean=1.2, sd=2.0, frechet=90.0, top=-0.3),
        "adas-relu": three(mean=1.13, sd=0.97, frechet=150.0, top=-0.5),
    }
    found = {one["key"]: one["verdict"] for one in conclusions(paper, 1500, Path("nowhere/at/all"))}
    assert found["ttur-shortens-t0"] == HOLDS
    assert found["adas-varies"] == HOLDS
    assert found["relu-mean-loss"] == HOLDS
    assert found["relu-quality"] == FAILS
    assert found["lacks-detail"] == HOLDS
    assert found["top"] == HOLDS
    assert found["collapse-explodes"] == OPEN
    assert found["memory-growth"] == found["compression"] == claims.ELSEWHERE
    assert found["slow-rate"] == found["batch-lengthens-t0"] == OPEN
    worse = {**paper, "adam-elu": three(frechet=50.0)}
    assert verdict(worse, "top") == FAILS
    alike = {**paper, "adas-relu": {0: run(frechet=93.0), 1: run(frechet=88.0), 2: run(frechet=91.0)}}
    assert verdict(alike, "top") == OPEN


def test_batches_and_rates() -> None:
    grows = {
        "adam-elu": {s: run(200 + s) for s in range(3)},
        "adam-elu-batch-64": {s: run(300 + 4 * s, batch=64) for s in range(3)},
        "adam-elu-batch-128": {s: run(450 + s, batch=128) for s in range(3)},
        "adam-elu-rate-0.0001": three(frechet=150.0, asleep=0.01),
        "adam-elu-rate-0.001": three(frechet=300.0, asleep=0.9),
    }
    assert verdict(grows, "batch-lengthens-t0") == HOLDS
    endless = {name: {s: run(None, batch=k) for s in range(2)} for k, name in enumerate(grows, 16) if "rate" not in name}
    (told,) = [one for one in conclusions(endless, 1500, Path("nowhere")) if one["key"] == "batch-lengthens-t0"]
    assert told["verdict"] == OPEN and "not ended in 6 of 6 runs" in told["sentence"]
    assert verdict(grows, "slow-rate") == HOLDS
    assert verdict(grows, "stable-rate") == HOLDS
    assert verdict(grows, "vanishing-rate") == HOLDS
    grows["adam-elu-rate-0.001"] = three(asleep=0.01)
    assert verdict(grows, "vanishing-rate") == FAILS


def test_collapses_with_and_without_explosions() -> None:
    loud = {"adam-elu": {s: run(alarms=("collapse", "losses explode")) for s in range(8)}}
    assert verdict(loud, "collapse-explodes") == HOLDS
    quiet = {"adam-elu": {s: run(alarms=("collapse",)) for s in range(8)}}
    assert verdict(quiet, "collapse-explodes") == FAILS
    assert verdict({"adam-elu": {0: run(alarms=("collapse",))}}, "collapse-explodes") == OPEN


def test_correlations_find_an_inverse_one_and_say_when_time_alone_makes_it() -> None:
    rng = np.random.default_rng(0)
    means = rng.uniform(0.3, 1.2, 12)
    planted = {"adas-elu": {s: run(mean=float(m), frechet=100 / float(m)) for s, m in enumerate(means)}}
    found = correlations(planted)
    assert found is not None
    assert found["equal_rounds"]["value"] == pytest.approx(-1.0)
    assert found["equal_rounds"]["high"] < -0.9
    assert found["n"] == 36
    assert verdict(planted, "loss-predicts") == HOLDS
    unlike = {"adas-elu": {s: run(mean=float(m), frechet=float(rng.uniform(90, 110))) for s, m in enumerate(means)}}
    for own in unlike["adas-elu"].values():  # the loss grows while the distance shrinks, in every run alike
        for place, checkpoint in enumerate(own["checkpoints"]):
            checkpoint["mean"] += 10 * place
    found = correlations(unlike)
    assert found is not None
    assert found["pairs"]["Frechet distance / mean of D's loss"]["value"] < -0.6
    assert found["equal_rounds"]["value"] > -0.6
    assert verdict(unlike, "loss-predicts") != HOLDS
    assert correlations({"adas-elu": {0: run()}}) is None


def test_conclusions_of_other_studies_are_taken_from_beside(tmp_path: Path) -> None:
    for study, key in (("memory", "memory-growth"), ("compression", "compression")):
        (tmp_path / study).mkdir()
        held = {"claims": [{"key": key, "verdict": FAILS, "sentence": f"told by {study}"}]}
        (tmp_path / study / f"{study}.json").write_text(json.dumps(held))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "memory.json").write_text("{")
    found = {one["key"]: one for one in conclusions({"adam-elu": {0: run()}}, 1500, tmp_path / "xray")}
    assert found["memory-growth"]["sentence"] == "told by memory"
    assert found["compression"]["verdict"] == FAILS
    assert found["batch-norm-memory"]["verdict"] == claims.ELSEWHERE


@pytest.mark.slow
def test_what_the_memory_study_writes_is_understood(tmp_path: Path) -> None:
    from ganvas.studies.memory import memory_study

    memory_study(tmp_path / "memory", features=(8, 16, 24, 32), sides=(64,), measured=False)
    found = {one["key"]: one for one in conclusions({"adam-elu": {0: run()}}, 1500, tmp_path / "xray")}
    assert found["memory-growth"]["verdict"] == FAILS
    assert "quadratic" in found["memory-growth"]["sentence"]
    assert "%" in found["batch-norm-memory"]["sentence"]


# The whole


def test_a_study_is_summed_up_with_intervals_and_protocols(tmp_path: Path) -> None:
    from ganvas.studies.cells import Plan

    plan = Plan("xray-ablation", cells(width=16, batch=32), "chest", seeds=3, settings={"size": "64"})
    runs = {"adas-elu": three(mean=0.85), "adam-elu": {0: run(None), 1: run(300), 2: run(500)}, "adas-relu": three()}
    failed = [{"cell": "adas-elu-ttur", "seed": 0, "error": "out of memory"}]
    played = {"results": runs, "failed": failed, "rounds": 1500, "jobs": 2, "threads": 1, "seconds": 60.0, "paces": {}}
    result = summarised(plan, played, beside=tmp_path)
    assert result["phantom"]
    assert not result["fid"]
    own = result["cells"]["adas-elu"]["figures"]["mean"]
    assert own["low"] < 0.85 < own["high"]
    assert result["cells"]["adam-elu"]["figures"]["t0"]["n"] == 2
    assert result["cells"]["adas-elu-ttur"]["seeds"] == []
    assert figure(runs["adam-elu"][0], "mean_after_t0") is None
    text = "\n".join(lines({**result, "page": "study.html"}))
    assert "FAILED  adas-elu-ttur, seed 0: out of memory" in text
    assert "none, 300, 500" in text
    with pytest.raises(GanvasError, match="out of memory"):
        summarised(plan, {**played, "results": {}}, beside=tmp_path)


OPTIONS = {
    "size": 16,
    "width": 4,
    "batch": 4,
    "rounds": 6,
    "seeds": 1,
    "looks": 2,
    "samples": 8,
    "phantom-count": 40,
    "jobs": 2,
}
SMALL = [word for name, value in OPTIONS.items() for word in (f"--{name}", str(value))]


def command(folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "ganvas", "study", "xray-ablation", "--out", str(folder), *SMALL, *more]


@pytest.mark.slow
def test_a_study_that_was_stopped_goes_on_and_writes_its_page(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command(tmp_path / "study"), stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "study").glob("cells/*/*/job.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 143, said
    assert "go on with the same command" in said
    assert not (tmp_path / "study" / "results.json").exists()

    done = subprocess.run(command(tmp_path / "study", "--json"), capture_output=True, text=True, env=environment, timeout=280)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [cell["seeds"] for cell in result["cells"].values()] == [[0]] * 4
    assert result["failed"] == []
    assert result["protocols"]["frechet"].startswith("fd/effnet")
    page = (tmp_path / "study" / "study.html").read_text()
    assert "says nothing of radiographs" in page
    assert "These runs are short" in page
    assert set(re.findall(r'src="([^":]+)', page)) == {"data"}
    assert "http" not in page.replace("http-equiv", "")
    text = (tmp_path / "study" / "study.md").read_text()
    pictures = re.findall(r"\]\((figures/[^)]+)\)", text)
    assert {"figures/figure-2.png", "figures/figure-3.png", "figures/figure-4.png", "figures/figure-6.png"} <= set(pictures)
    assert all((tmp_path / "study" / name).stat().st_size > 2000 for name in pictures)
    assert json.loads((tmp_path / "study" / "results.json").read_text())["claims"] == result["claims"]

    refused = subprocess.run(command(tmp_path / "study", "--width", "8"), capture_output=True, text=True, env=environment)
    assert refused.returncode == 2
    assert "cannot go on under changed settings" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "50k"], "is not a time"),
        (["--size", "8"], "the least is 16"),
        (["--inception", "nothing.pth"], "no such file"),
        (["--data", "nowhere"], "nowhere: no such file or folder"),
        (["--cluster", "gpu"], "KEY=VALUE"),
        (["--launcher", "pbs"], "invalid choice|unknown command"),
    ],
)
def test_wrong_options_are_one_line(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ganvas.cli import main

    assert main(["study", "xray-ablation", "--out", str(tmp_path / "study"), *words]) == 2
    error = capsys.readouterr().err
    assert re.search(said, error)
    assert len(error.strip().splitlines()) == 1
