"""The watch in a run: it disturbs nothing, says what it sees, keeps the best checkpoint, and does what it was told to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import ganvas
import toys
from ganvas.cli import main
from ganvas.errors import GanvasError
from ganvas.health import watch
from ganvas.health.alarms import ADVICE, BETTER_BEFORE, Alarm
from ganvas.report.facts import read_facts
from ganvas.run import checkpoint
from ganvas.run.logs import read_metrics

FROZEN = {**toys.SMALL, "generator_learning_rate": 0.0}


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peeks as often as there is anything to see: tiny runs are over before the first one would be due."""
    for name, value in {"PEEK_FIRST": 0.0, "PEEK_APART": 0.0, "PEEK_ROUNDS": 2, "PEEK_SHARE": 1e9}.items():
        monkeypatch.setattr(watch, name, value)


@pytest.fixture
def points(tmp_path: Path) -> Path:
    return toys.points_file(tmp_path / "points.csv", 300)


def train(data: Any, **options: Any) -> dict[str, Any]:
    fixed = {"sample_every": 0, "evaluations": 4, "evaluation_share": 1000, "check_every": 2, "config": toys.SMALL}
    return ganvas.train("gan", data, quiet=True, **{**fixed, **options})


def resume(run: Path, **options: Any) -> dict[str, Any]:
    return ganvas.train(resume=run, quiet=True, **options)


def test_a_watched_game_has_the_bits_of_an_unwatched_one(points: Path, tmp_path: Path) -> None:
    train(points, out=tmp_path / "a", budget="24r")
    train(points, out=tmp_path / "b", budget="24r", watch="off")
    assert toys.digests(tmp_path / "a") == toys.digests(tmp_path / "b")
    assert len(json.loads((tmp_path / "a" / "health.json").read_text())["looks"]) == 4
    assert not (tmp_path / "b" / "health.json").exists()


def test_a_resumed_watch_goes_on_where_it_was(points: Path, tmp_path: Path) -> None:
    train(points, out=tmp_path / "straight", budget="24r")
    train(points, out=tmp_path / "pieces", budget="24r", save_every=0)
    loaded = checkpoint.load(tmp_path / "pieces", "previous")
    assert loaded is not None
    assert loaded[2]["round"] < 24
    resume(tmp_path / "pieces", which="previous")
    assert toys.digests(tmp_path / "pieces") == toys.digests(tmp_path / "straight")

    def known(run: Path) -> Any:
        found = json.loads((run / "health.json").read_text())
        looks = [{k: v for k, v in x.items() if k not in ("seconds", "cost")} for x in found["looks"]]
        return looks, found["t0"], found["loss_after_t0"], found["alarms"]

    assert known(tmp_path / "pieces") == known(tmp_path / "straight")


def test_the_best_look_keeps_its_checkpoint(points: Path, tmp_path: Path) -> None:
    result = train(points, out=tmp_path / "run", budget="24r")
    looks = json.loads((tmp_path / "run" / "health.json").read_text())["looks"]
    assert result["best"]["value"] == min(x["value"] for x in looks)
    again = result["best"]["again"]  # by other samples: the best of many is flattered by having been chosen
    assert again["value"] != result["best"]["value"] and again["low"] <= again["value"] <= again["high"]
    assert again["protocol"] == result["best"]["protocol"] and not any("again" in look for look in looks)
    opened = ganvas.load(tmp_path / "run", which="best")
    assert opened.manifest["round"] == result["best"]["round"]
    assert opened.manifest["look"]["value"] == result["best"]["value"]
    assert opened.sample(3).shape == (3, 2)
    logged = [x for x in read_metrics(tmp_path / "run") if "health/kernel_distance" in x]
    assert [x["round"] for x in logged] == [6, 12, 18, 24]


def test_a_best_checkpoint_survives_a_kill_between_any_two_steps(points: Path, tmp_path: Path) -> None:
    train(points, out=tmp_path / "run", budget="24r")
    folder = tmp_path / "run" / "checkpoints"
    for name in (".incoming-best", ".outgoing-best"):
        (folder / "best").rename(folder / name)
        assert checkpoint.load(tmp_path / "run", "best") is not None, "it reads at every moment"
        checkpoint.recover(tmp_path / "run")
        assert (folder / "best").is_dir()
        assert not (folder / name).exists()


def test_a_better_look_that_was_not_kept_in_time_is_kept_on_resuming(points: Path, tmp_path: Path) -> None:
    result = train(points, out=tmp_path / "run", budget="24r", evaluations=1)
    assert result["best"]["round"] == 24
    for file in (tmp_path / "run" / "checkpoints" / "best").iterdir():
        file.unlink()
    (tmp_path / "run" / "checkpoints" / "best").rmdir()
    resume(tmp_path / "run")
    assert ganvas.load(tmp_path / "run", which="best").manifest["round"] == 24


def test_an_alarm_warns_by_default_and_is_written_down(
    points: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(points, out=tmp_path / "run", budget="60r", config=FROZEN)
    assert result["stopped"] == "budget"
    (text,) = result["alarms"]
    assert text.startswith("alarm: player does not move (since round ")
    assert "generator makes moves, but none of its weights has changed; try: raise its learning rate" in text
    assert "\n" not in text
    logged = [x for x in read_metrics(tmp_path / "run") if "alarm" in x]
    assert [x["alarm"] for x in logged] == ["player does not move"]
    assert train(points, out=tmp_path / "healthy", budget="60r")["alarms"] == []


def test_stop(points: Path, tmp_path: Path) -> None:
    result = train(points, out=tmp_path / "run", budget="400r", config=FROZEN, on_alarm="stop")
    assert result["stopped"] == "alarm"
    assert result["rounds"] < 100
    assert ganvas.load(tmp_path / "run").manifest["round"] == result["rounds"]


def test_rollback_goes_back_to_an_older_checkpoint_and_gives_up_after_its_retries(points: Path, tmp_path: Path) -> None:
    result = train(
        points,
        out=tmp_path / "run",
        budget="400r",
        config=FROZEN,
        on_alarm="rollback",
        retries=1,
        evaluations=100,
        check_every=4,
    )
    assert result["stopped"] == "alarm"
    found = json.loads((tmp_path / "run" / "health.json").read_text())
    assert found["went_back"] == 1
    first, second = found["alarms"]
    loaded = checkpoint.load(tmp_path / "run")
    assert loaded is not None
    assert loaded[1]["engine"]["played"] > loaded[1]["engine"]["clock"]["round"], "rounds were taken back"


def test_restart_takes_another_seed_and_keeps_the_failed_record_beside(points: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = train(points, out=run, budget="400r", config=FROZEN, on_alarm="restart", retries=1)
    assert (result["stopped"], result["restarts"]) == ("alarm", 1)
    values = yaml.safe_load((run / "config.yaml").read_text())
    assert (values["attempt"], values["run"]["seed"]) == (1, 0)
    failed = run / "failed-1"
    assert {p.name for p in failed.iterdir()} >= {"checkpoints", "metrics.jsonl", "health.json"}
    assert json.loads((failed / "health.json").read_text())["alarms"]
    old, new = (json.loads((p / "checkpoints" / "last" / "manifest.json").read_text()) for p in (failed, run))
    assert old["files"]["weights.safetensors"]["sha256"] != new["files"]["weights.safetensors"]["sha256"]
    assert resume(run, on_alarm="warn", budget=f"{result['rounds'] + 4}r")["rounds"] == result["rounds"] + 4


def test_without_a_budget_a_run_ends_at_the_plateau(points: Path, tmp_path: Path) -> None:
    result = train(points, out=tmp_path / "run", config=FROZEN, evaluations=None, until="plateau")
    assert result["stopped"] == "plateau"
    assert len(json.loads((tmp_path / "run" / "health.json").read_text())["looks"]) >= 8
    assert ganvas.load(tmp_path / "run", which="best").manifest["round"] == result["best"]["round"]


def test_a_plateau_is_noticed_long_before_a_large_budget_is_spent(points: Path, tmp_path: Path) -> None:
    """Eight looks spread over the budget would be too few to tell before its end."""
    result = train(points, out=tmp_path / "run", budget="1000000r", config=FROZEN, evaluations=None, until="plateau")
    assert (result["stopped"], result["rounds"] < 100_000) == ("plateau", True)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that said `plateau`, and whose best look is older than its last weights."""
    folder = tmp_path_factory.mktemp("settled")
    data = toys.points_file(folder / "points.csv", 300)
    result = train(data, out=folder / "run", config=FROZEN, evaluations=None, until="plateau")
    assert result["best"]["round"] < result["rounds"]
    return folder / "run"


def test_after_an_alarm_that_says_so_the_best_checkpoint_is_used_and_told(
    settled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best, last = (ganvas.load(settled, which=which) for which in ("best", "last"))
    assert best.notes == last.notes == [], "what was asked for needs no word"
    chosen = ganvas.load(settled)
    assert (chosen.which, chosen.manifest) == ("best", best.manifest)
    assert chosen.notes == [
        f"weights of checkpoints/best, round {best.manifest['round']:,}: the run's alarm says 'plateau'; --checkpoint last "
        f"takes those of round {last.manifest['round']:,}"
    ]
    told = "note: weights of checkpoints/best, round"
    for number, more in enumerate(([], ["--checkpoint", "last"])):
        assert main(["sample", str(settled), "-n", "4", "--out", str(tmp_path / f"drawn{number}"), *more]) == 0
        assert (told in capsys.readouterr().out) == (not more)
        assert main(["apply", str(settled), "--out", str(tmp_path / f"applied{number}"), *more]) == 0
        assert (told in capsys.readouterr().out) == (not more)
        judged = tmp_path / f"judged{number}"
        words = ["evaluate", str(settled), "-n", "20", "--no-audit", "--no-anchors", "--out", str(judged), *more]
        assert main(words) == 0
        assert (told in capsys.readouterr().out) == (not more)
        weights = json.loads((judged / "evaluation.json").read_text())["fake"]["checkpoint"]
        assert weights["which"] == ("last" if more else "best")
        assert weights["round"] == (last if more else best).manifest["round"]


def test_the_report_and_the_card_are_about_the_weights_that_evaluate_judges(settled: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(settled, tmp_path / "run"))
    assert main(["evaluate", str(run), "-n", "20", "--no-audit", "--no-anchors"]) == 0
    facts = read_facts(run)
    assert (facts.which, facts.stale) == ("best", False)
    assert "checkpoints/best, round" in (run / "MODEL_CARD.md").read_text()
    assert read_facts(run, which="last").stale


def test_which_alarms_prefer_the_best_checkpoint(settled: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(settled, tmp_path / "run"))
    values = json.loads((run / "health.json").read_text())
    for kind in ADVICE:
        values["alarms"] = [Alarm(kind, "seen", 9, 90, 8, 80).to_dict()]
        (run / "health.json").write_text(json.dumps(values))
        assert (checkpoint.preferred(run)[0] == "best") == (kind in BETTER_BEFORE)
        assert "checkpoints/best" not in ADVICE[kind] or kind in BETTER_BEFORE, "what is advised is what is done"
    values["alarms"] = [Alarm("quality fell", "seen", 9, 90, 8, 80).to_dict()]
    (run / "health.json").write_text(json.dumps(values))
    shutil.rmtree(run / "checkpoints" / "last")
    shutil.copytree(run / "checkpoints" / "best", run / "checkpoints" / "last")
    assert checkpoint.preferred(run) == ("last", ""), "they are the same weights"
    shutil.rmtree(run / "checkpoints" / "best")
    assert checkpoint.preferred(run) == ("last", ""), "there are no others"


def test_until_plateau_is_refused_where_nothing_can_be_judged(points: Path, tmp_path: Path) -> None:
    with pytest.raises(GanvasError, match="--until plateau measures the kernel distance"):
        train(points, out=tmp_path / "run", until="plateau", evaluations=0)
    with pytest.raises(GanvasError, match="too few to judge"):
        train(points, out=tmp_path / "run", until="plateau", heldout=0.0)
    assert not (tmp_path / "run").exists()


def test_a_system_without_samples_is_watched_by_its_losses(tmp_path: Path) -> None:
    data = toys.picture_folder(tmp_path / "pictures", 12, ("first", "second"), 16)
    small = {"width": 4, "blocks": 1, "batch_size": 2}
    result = ganvas.train(
        "cyclegan", data, out=tmp_path / "run", budget="3r", quiet=True, sample_every=0, config=small, precision="32",
        channels_last="off",
    )  # fmt: skip
    assert (result["alarms"], result["best"], result["t0"]) == ([], None, None)


def test_samples_are_compared_once_what_draws_them_has_moved(
    points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def peeks(run: Path) -> int:
        loaded = checkpoint.load(run, "last")
        assert loaded is not None
        return len(loaded[1]["watch"]["history"][0])

    train(points, out=tmp_path / "plays", budget="24r")
    monkeypatch.setattr(watch, "makers_of", lambda system: {"somebody who never moves"})
    train(points, out=tmp_path / "encodes", budget="24r")
    assert peeks(tmp_path / "plays") == 3 and peeks(tmp_path / "encodes") == 0


def test_who_draws_samples_is_who_moves_what_averages_follow() -> None:
    def system(players: dict[str, tuple[str, ...]], *followed: str) -> Any:
        return SimpleNamespace(
            players=lambda: [SimpleNamespace(name=name, networks=networks) for name, networks in players.items()],
            averages=lambda: [SimpleNamespace(source=source) for source in followed],
        )

    own = {"encoders": ("text",), "judge": ("discriminator",), "first": ("generator.coarse",), "second": ("generators",)}
    assert watch.makers_of(system(own, "generator")) == {"first"}
    assert watch.makers_of(system(own, "generators.deep", "discriminator")) == {"second", "judge"}
    assert watch.makers_of(system(own)) == set(), "nobody knows"
