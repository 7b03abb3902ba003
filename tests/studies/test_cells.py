"""Cells of a study: equal rounds out of a budget, losses of every round, resumption, failures that stay alone, launchers."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.data.dataset import RULE
from ganvas.errors import GanvasError, RunError
from ganvas.files import held
from ganvas.health.losses import LEARNING, STRETCH
from ganvas.run import checkpoint
from ganvas.run.train import train
from ganvas.studies._cell_job import STOPPED, judged_losses, look_rounds, play, series_of, stretch_ends
from ganvas.studies._cell_pool import Pool
from ganvas.studies.cells import Cell, Plan, affordable_rounds, expected_seconds, job_folder, run_cells

SMALL = {"width": 4, "latent_size": 8, "batch_size": 4}
SETTINGS = {"size": "16", "phantom_count": 40, "preset": "paper", "precision": "32", "channels_last": "off"}
JUDGE = """
import numpy as np
from ganvas.studies._cell_job import drawn_file, look_rounds

def judge(place, job):
    looks = [np.load(drawn_file(place, end))["samples"] for end in look_rounds(job["rounds"], job["looks"])]
    return {"shapes": [list(one.shape) for one in looks]}
"""


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A judge that costs nothing, also for child processes."""
    (tmp_path / "cheap_judge.py").write_text(JUDGE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(tmp_path))
    return "cheap_judge:judge"


def plan(judge: str, *cells: Cell, **more: Any) -> Plan:
    given = {"seeds": 1, "settings": SETTINGS, "looks": 3, "samples": 5, **more}
    return Plan("trial", cells or (Cell("one", "dcgan", "One", SMALL),), "chest", judge=judge, **given)


def job(folder: Path, judge: str, rounds: int = 12, **more: Any) -> Path:
    """A folder with the description of a job."""
    folder.mkdir(parents=True)
    common = {"study": "trial", "cell": "one", "seed": 3, "system": "dcgan", "data": "chest", "config": SMALL}
    common |= {
        "settings": SETTINGS,
        "rounds": rounds,
        "looks": 3,
        "samples": 5,
        "judge": judge,
        "judge_settings": {},
        "threads": 1,
    }
    (folder / "job.json").write_text(json.dumps({**common, **more}))
    return folder


# Rounds


@pytest.mark.parametrize(("rounds", "looks"), [(12, 3), (1500, 6), (7, 9), (151, 1), (3001, 7)])
def test_stretches_reach_every_look_and_lose_no_round(rounds: int, looks: int) -> None:
    ends, wanted = stretch_ends(rounds, looks), look_rounds(rounds, looks)
    assert ends[-1] == wanted[-1] == rounds
    assert set(wanted) <= set(ends)
    assert all(0 < b - a <= STRETCH for a, b in zip([0, *ends], ends, strict=False))


def test_a_budget_becomes_the_most_rounds_that_fit_for_every_cell_alike() -> None:
    two = plan("-", Cell("quick", "dcgan"), Cell("slow", "dcgan"), seeds=2)
    paces = {
        "quick": {"start": 1.0, "stretch": 0.5, "round": 0.1, "sample": 0.01},
        "slow": {"start": 1.0, "stretch": 0.5, "round": 0.3, "sample": 0.01},
    }
    assert expected_seconds(two, paces, 100, 1) == pytest.approx(2 * (2 * (1 + 3 * 0.5 + 15 * 0.01) + 100 * 0.4))
    for width in (1, 2, 4):
        rounds = affordable_rounds(two, paces, 400.0, width)
        assert expected_seconds(two, paces, rounds, width) <= 400.0 < expected_seconds(two, paces, rounds + 1, width)
    assert affordable_rounds(two, paces, 400.0, 4) > affordable_rounds(two, paces, 400.0, 1) > 100
    assert affordable_rounds(two, paces, 1.0, 1) == 0


# Losses


def test_losses_are_told_by_the_definitions_of_training_health() -> None:
    rng = np.random.default_rng(0)
    asleep, awake = 0.02 + 0.01 * rng.random(200), 1.0 + 0.1 * rng.random(400)
    total = np.concatenate([asleep, awake])
    terms = {"discriminator.real": total / 2, "discriminator.fake": total / 2, "generator.fool": 1 / total}
    found = judged_losses(terms, total, "discriminator")
    assert found["t0"] == 200 + 25  # the median of 50 rounds passes when half of them are awake
    assert found["whole"]["mean"] == pytest.approx(total.mean())
    assert found["whole"]["sd"] == pytest.approx(total.std(ddof=1))
    assert found["after_t0"]["mean"] == pytest.approx(total[found["t0"] :].mean())
    assert found["asleep"] == pytest.approx(224 / 600)
    assert found["asleep_soon"] == 0.0
    late = np.concatenate([awake[:150], asleep, asleep])  # a slow start, and the opening after it
    found_late = judged_losses(dict.fromkeys(terms, late), late, "discriminator")
    assert found_late["t0"] == 50
    assert found_late["asleep_soon"] > 0.7
    strong = np.concatenate([total, np.full(300, 1.0), np.full(2000, 0.02)])  # D becomes too strong in the end
    assert judged_losses(dict.fromkeys(terms, strong), strong, "discriminator")["asleep_soon"] == 0.0
    assert [alarm["kind"] for alarm in found["alarms"]] == ["discriminator too strong"]


def test_an_explosion_of_all_losses_is_told_and_one_of_a_single_player_is_not() -> None:
    flat, steep = np.full(500, 1.0), np.concatenate([np.full(300, 1.0), np.exp(np.linspace(0, 8, 200))])
    both = {"discriminator.real": steep, "discriminator.fake": steep, "generator.fool": steep}
    assert "losses explode" in [a["kind"] for a in judged_losses(both, 2 * steep, "discriminator")["alarms"]]
    one = {**both, "generator.fool": flat}
    assert "losses explode" not in [a["kind"] for a in judged_losses(one, 2 * steep, "discriminator")["alarms"]]
    never = judged_losses(both, np.full(500, LEARNING / 2), "discriminator")
    assert never["t0"] is None
    assert never["after_t0"] is None
    assert never["asleep"] == 1.0


# One job


def test_a_job_in_stretches_plays_the_game_of_one_run_and_keeps_every_loss(judge: str, tmp_path: Path) -> None:
    folder = job(tmp_path / "job", judge)
    result = play(folder)
    fixed = {"seed": 3, "threads": 1, "evaluations": 0, "sample_every": 0.0, "until": "budget", "quiet": True}
    train("dcgan", "chest", out=tmp_path / "straight", config=SMALL, **SETTINGS, **fixed, budget="12r")
    loaded = checkpoint.load(tmp_path / "straight")
    assert loaded is not None
    straight = loaded[1]["watch"]["losses"]["rise"]["values"]
    for term, values in straight.items():
        assert series_of(folder)[term.replace("/", ".")].tolist() == values
    assert len(straight["discriminator/real"]) == 12
    own = checkpoint.load(folder / "run")
    assert own is not None
    assert all((own[0][name] == tensor).all() for name, tensor in loaded[0].items())
    total = np.add(straight["discriminator/real"], straight["discriminator/fake"])
    assert result["losses"]["whole"]["mean"] == pytest.approx(total.mean())
    assert [one["round"] for one in result["checkpoints"]] == [4, 8, 12]
    assert result["checkpoints"][0]["mean"] == pytest.approx(total[:4].mean())
    assert result["shapes"] == [[5, 16, 16, 1]] * 3
    assert play(folder) == result  # finished: nothing is played again


def test_a_job_that_lost_its_last_steps_makes_them_again(judge: str, tmp_path: Path) -> None:
    folder = job(tmp_path / "job", judge)
    before = play(folder)
    kept = series_of(folder)["discriminator"].tolist()
    (folder / "result.json").unlink()
    for path in (folder / "looks").glob("*12.npz"):
        path.unlink()
    with np.load(folder / "losses.npz") as whole:  # killed between the training to round 12 and the notes of it
        np.savez(folder / "losses.npz", **{name: whole[name][:8] for name in whole.files})
    again = play(folder)
    assert series_of(folder)["discriminator"].tolist() == kept
    assert again == before


# A study


@pytest.mark.slow
def test_a_failed_cell_takes_no_other_with_it_and_what_is_done_is_kept(judge: str, tmp_path: Path) -> None:
    said: list[str] = []
    bad = Cell("bad", "dcgan", "Bad", {**SMALL, "optimiser": "magic"})
    trial = plan(judge, Cell("good", "dcgan", "Good", SMALL), bad)
    found = run_cells(tmp_path / "study", trial, rounds=4, jobs=2, say=said.append)
    assert found["results"]["good"][0]["shapes"] == [[5, 16, 16, 1]] * 3
    assert [(one["cell"], one["seed"]) for one in found["failed"]] == [("bad", 0)]
    assert "magic" in found["failed"][0]["error"]
    assert any(line.startswith("FAILED bad, seed 0") for line in said)
    result = job_folder(tmp_path / "study", "good", 0) / "result.json"
    before = result.stat().st_mtime_ns
    with pytest.raises(GanvasError, match="rounds: 4 -> 5"):
        run_cells(tmp_path / "study", trial, rounds=5)
    with pytest.raises(GanvasError, match="samples: 5 -> 6"):
        run_cells(tmp_path / "study", plan(judge, *trial.cells, samples=6))
    again = run_cells(tmp_path / "study", plan(judge, Cell("good", "dcgan", "Good", SMALL)), jobs=1)
    assert again["failed"] == []
    assert again["rounds"] == 4
    assert result.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_study_of_an_earlier_rule_of_the_split_is_not_mixed_with_todays(judge: str, tmp_path: Path) -> None:
    place = tmp_path / "study"
    found = run_cells(place, plan(judge, looks=1), rounds=3, jobs=1)
    record = json.loads((place / "study.json").read_text())
    assert record.pop("split_rule") == RULE
    (place / "study.json").write_text(json.dumps(record))  # as it was before there was more than one
    assert run_cells(place, plan(judge, looks=1), jobs=1)["results"].keys() == found["results"].keys(), "nothing is left of it"
    assert json.loads((place / "study.json").read_text())["split_rule"] == 1
    more = plan(judge, Cell("another", "dcgan", "Another", SMALL), looks=1)
    with pytest.raises(GanvasError, match="1 of 1 jobs are left, which would be judged on other records than the rest"):
        run_cells(place, more, jobs=1)


def test_two_studies_do_not_share_a_folder(judge: str, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    with held(tmp_path / "study"), pytest.raises(GanvasError, match="another process"):
        run_cells(tmp_path / "study", plan(judge), rounds=4)
    (tmp_path / "study" / "thesis.txt").write_text("mine")
    with pytest.raises(GanvasError, match="not empty"):
        run_cells(tmp_path / "study", plan(judge), rounds=4)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"seeds": 0}, "--seeds 0"), ({"looks": 0}, "--looks 0"), ({"samples": 3}, "--samples 3"), ({"launcher": "pbs"}, "slurm")],
)
def test_what_cannot_be_served_is_said_before_anything_is_made(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    launcher = change.pop("launcher", "local")
    with pytest.raises(GanvasError, match=said):
        run_cells(tmp_path / "study", plan("-", **change), rounds=4, launcher=launcher)
    assert not (tmp_path / "study").exists()


def test_a_damaged_file_is_named(judge: str, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.json").write_text('{"cells": [')
    with pytest.raises(RunError, match=r"study.json is damaged"):
        run_cells(tmp_path / "study", plan(judge), rounds=4)


@pytest.mark.slow
def test_a_job_ends_by_itself_when_its_study_is_gone(judge: str, tmp_path: Path) -> None:
    folder = job(tmp_path / "job", judge, rounds=100_000)
    words = [sys.executable, "-m", "ganvas.studies._cell_job", str(folder)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 60
    while not (folder / "losses.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process.stdin is not None
    process.stdin.close()  # what the system does when the parent is killed
    assert process.wait(timeout=60) in (STOPPED, -signal.SIGTERM)
    assert (folder / "run" / "config.yaml").exists()
    assert not (folder / "result.json").exists()
    assert not (folder / "failed.json").exists()


@pytest.mark.slow
def test_jobs_through_submitit_on_this_machine(judge: str, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    found = run_cells(tmp_path / "study", plan(judge, looks=1), rounds=3, jobs=1, launcher="submitit")
    assert found["failed"] == []
    assert found["results"]["one"][0]["shapes"] == [[5, 16, 16, 1]]
    assert math.isfinite(found["results"]["one"][0]["losses"]["whole"]["mean"])


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    if subprocess.run(["sh", "-c", "command -v srun"], capture_output=True).returncode == 0:
        pytest.skip("there is a cluster here")
    with pytest.raises(GanvasError, match="--launcher slurm"):
        run_cells(tmp_path / "study", plan("-"), rounds=3, launcher="slurm")


def test_threads_are_the_share_of_the_cores_at_most(tmp_path: Path) -> None:
    cores = Pool(tmp_path, "local", 1, {}).threads
    assert cores >= Pool(tmp_path, "local", 10**6, {}).threads == 1
    assert Pool(tmp_path, "slurm", 5, {"cpus_per_task": 3}).threads == 3
