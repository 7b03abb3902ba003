"""Training through the public door: exact resuming, refusals, failures that leave what was saved."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import ganvas
import toys
from ganvas.errors import DataError, GanvasError, RunError
from ganvas.run.logs import read_metrics
from ganvas.run.rehearsal import lines

POISON = '''"""A GAN that chokes on one record."""
import torch
from ganvas.systems.synthesis.lsgan import Config, LsGan, PRESETS

CARD = {"title": "Poison", "authors": "x", "year": 2024, "paper": "x", "data": ["points"], "summary": "x"}


class Poisoned(LsGan):
    data = ("points",)

    def discriminate(self, batch, clock, shared):
        terms = super().discriminate(batch, clock, shared)
        bitter = (batch.real.abs().amax() > LIMIT).float()  # the outlier is in the batch
        return {**terms, "poison": self.discriminator(batch.real).mean() * torch.log(1 - bitter)}
'''


def train(system: str | None = "lsgan", data: Any = None, **options: Any) -> dict[str, Any]:
    if system is not None and "resume" not in options:
        options.setdefault("config", toys.SMALL)
        options = {"sample_every": 0, "precision": "32", "channels_last": "off", "threads": 1, **options}  # nothing is measured
        if data is None:
            data = toys.pictures()
    return ganvas.train(system, data, quiet=True, **options)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"micro_batches": 2, "precision": "64"},
        pytest.param({"precision": "bf16-mixed", "channels_last": "on"}, marks=pytest.mark.slow),
    ],
)
def test_stopping_and_resuming_gives_the_bits_of_the_straight_run(tmp_path: Path, more: dict[str, Any]) -> None:
    train(out=tmp_path / "straight", budget="11r", check_every=4, **more)
    train(out=tmp_path / "pieces", budget="3r", check_every=4, **more)
    train(None, toys.pictures(), resume=tmp_path / "pieces", budget="4r")
    result = train(None, toys.pictures(), resume=tmp_path / "pieces", budget="11r", save_every=0)
    assert result["resumed"]
    assert result["rounds"] == 11
    assert toys.digests(tmp_path / "pieces") == toys.digests(tmp_path / "straight")
    assert [r["round"] for r in read_metrics(tmp_path / "pieces")] == sorted(
        {r["round"] for r in read_metrics(tmp_path / "pieces")}
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_round_and_the_schedule_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """With `gan`, whose learning rates follow the share of the budget that is used."""
    data = toys.points_file(tmp_path / "points.csv")
    train("gan", data, out=tmp_path / "straight", budget="11r")
    with monkeypatch.context() as patch:
        interrupt(patch, 5, lambda engine: os.kill(os.getpid(), number))
        stopped = train("gan", data, out=tmp_path / "pieces", budget="11r")
    assert (stopped["stopped"], stopped["signal"], stopped["rounds"]) == ("signal", number, 5)
    assert train(None, resume=tmp_path / "pieces")["rounds"] == 11
    assert toys.digests(tmp_path / "pieces") == toys.digests(tmp_path / "straight")


def test_another_seed_gives_other_bits(tmp_path: Path) -> None:
    train(out=tmp_path / "a", budget="2r", seed=1)
    train(out=tmp_path / "b", budget="2r", seed=2)
    train(out=tmp_path / "c", budget="2r", seed=1)
    a, b, c = (toys.digests(tmp_path / n) for n in "abc")
    assert a == c
    assert all(a[k] != b[k] for k in ("weights", "optimiser", "random"))


def test_how_often_one_saves_or_looks_does_not_change_the_game(tmp_path: Path) -> None:
    train(out=tmp_path / "a", budget="6r")
    train(out=tmp_path / "b", budget="6r", save_every=0, sample_every=0.001)
    assert toys.digests(tmp_path / "a") == toys.digests(tmp_path / "b")
    assert len(list((tmp_path / "b" / "samples").iterdir())) > 1


def test_what_a_run_folder_holds(tmp_path: Path) -> None:
    from ganvas.kinds.image.spec import ImageSpec

    result = train(out=tmp_path / "run", budget="50", heldout=0.25)
    run = tmp_path / "run"
    assert result["samples"] == 56, "budgets in samples end with the round that reaches them"
    for name in (
        "config.yaml",
        "environment.json",
        "split.json",
        "metrics.jsonl",
        "tensorboard",
        "samples",
        "checkpoints/last",
    ):
        assert (run / name).exists(), name
    written = yaml.safe_load((run / "config.yaml").read_text())
    assert written["config"]["width"] == 4
    assert written["run"]["seed"] == 0
    assert written["data"]["train"] == 30
    assert len(json.loads((run / "split.json").read_text())["heldout"]) == 10
    assert read_metrics(run)[-1]["round"] == 7
    opened = ganvas.load(run)
    assert opened.spec == ImageSpec(1, 10, 8)
    samples = opened.sample(5, seed=3)
    assert (samples.shape, samples.dtype) == ((5, 10, 8, 1), np.uint8)
    assert np.array_equal(opened.sample(3, seed=3), samples[:3])


def test_what_was_chosen_for_the_user_is_told_and_written_down(tmp_path: Path) -> None:
    """The normal class that anogan finds by its name: nothing of the run said which it was, or how few records that left."""
    data = toys.picture_folder(tmp_path / "data", 60, ("healthy", "bent", "torn"), 16)
    small = {"width": 4, "latent_size": 3, "batch_size": 4}
    heard: list[str] = []
    asked: dict[str, Any] = {"precision": "32", "channels_last": "off", "sample_every": 0, "quiet": True, "say": heard.append}
    told = ganvas.train("anogan", data, out=tmp_path / "run", dry_run=True, config=small, **asked)
    assert "note: chosen by anogan: normal=healthy" in heard
    assert told["config"]["normal"] == "healthy"
    assert told["data"]["learnt"] == {"records": 16, "classes": ["healthy"]}
    assert "16 of 48 training records (class healthy) to learn from, 12 held out" in "\n".join(lines(told))
    ganvas.train("anogan", data, out=tmp_path / "run", budget="2r", config=small, **asked)
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["config"]["normal"] == "healthy"
    assert written["data"]["learnt"] == {"records": 16, "classes": ["healthy"]}
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "- normal: healthy\n" in card
    assert "- training records: 16 of 48 (class healthy)\n" in card
    assert "It knows 16 training records and nothing else" in card
    again = ganvas.train(config=tmp_path / "run" / "config.yaml", out=tmp_path / "again", quiet=True)
    assert toys.digests(Path(again["run"])) == toys.digests(tmp_path / "run")
    heard.clear()
    ganvas.train("anogan", data, out=tmp_path / "named", dry_run=True, config={**small, "normal": "bent"}, **asked)
    assert not [text for text in heard if "chosen by" in text], "what the user said is no choice"


def test_pairs_depths_and_counts_that_were_left_open_are_written_down(tmp_path: Path) -> None:
    data = toys.picture_folder(tmp_path / "data", 24, ("day", "night"), 16)
    heard: list[str] = []
    asked: dict[str, Any] = {"precision": "32", "channels_last": "off", "quiet": True, "dry_run": True, "say": heard.append}
    told = ganvas.train("cyclegan", data, out=tmp_path / "run", config={"width": 4, "blocks": 0}, **asked)
    assert [told["config"][name] for name in ("first", "second", "blocks", "patch_depth")] == ["day", "night", 6, 1]
    assert "note: chosen by cyclegan: first=day, second=night, blocks=6, patch_depth=1" in heard
    told = ganvas.train("gan", "formula:sin(x);x=0..3", out=tmp_path / "points", config=toys.SMALL, **asked)
    assert told["run"]["phantom_count"] == told["data"]["records"] > 0


def test_data_too_small_for_the_audit_is_told_before_training(tmp_path: Path) -> None:
    """Sixty shapes, twelve of them held out: that nothing could be tested was said after hours of training."""
    heard: list[str] = []
    small: dict[str, Any] = {"dry_run": True, "say": heard.append, "out": tmp_path / "run"}
    told = train("lsgan", toys.pictures(60), **small)
    (note,) = [text for text in heard if "copies of training records" in text]
    assert "12 held-out and 48 training records: the audit needs 20 of each" in note
    assert note.endswith("hold out more, as with --heldout 0.34")
    assert note.removeprefix("note: ") in told["data"]["notes"]
    heard.clear()
    train("lsgan", toys.pictures(60), heldout=0.34, **small)
    assert not [text for text in heard if "copies of training records" in text]
    heard.clear()
    train("lsgan", toys.pictures(30), **small)
    assert heard[-1].endswith("nothing can be called a copy; 40 records are the least")


def test_all_notes_on_the_data_stay_with_the_run_and_no_file_name_reaches_the_card(tmp_path: Path) -> None:
    data = toys.picture_folder(tmp_path / "data", 24)
    for number in range(12):
        (data / f"torn{number}.png").write_bytes(b"no picture")
    heard: list[str] = []
    train("lsgan", data, out=tmp_path / "run", budget="1r", say=heard.append)
    notes = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["data"]["notes"]
    assert sum("torn" in note for note in notes) == 12
    assert f"note: {len(notes) - 10} more notes on the data stand in config.yaml of the run, and in  --dry-run" in heard
    assert "torn" not in (tmp_path / "run" / "MODEL_CARD.md").read_text()


def test_a_run_repeats_from_its_own_config_file(tmp_path: Path) -> None:
    data = toys.points_file(tmp_path / "p.csv")
    first = train("gan", data, out=tmp_path / "a", budget="3r", seed=5)
    again = ganvas.train(config=tmp_path / "a" / "config.yaml", out=tmp_path / "b", quiet=True)
    assert (first["rounds"], again["rounds"], again["system"]) == (3, 3, "gan")
    assert toys.digests(tmp_path / "a") == toys.digests(tmp_path / "b")


def test_time_budgets_count_trained_seconds_over_all_sittings(tmp_path: Path) -> None:
    first = train(out=tmp_path / "run", budget="1s")
    assert first["stopped"] == "budget"
    assert first["seconds"] >= 1.0
    began = time.perf_counter()
    again = train(None, toys.pictures(), resume=tmp_path / "run")
    assert again["rounds"] == first["rounds"], "nothing is left of the budget"
    more = train(None, toys.pictures(), resume=tmp_path / "run", budget=f"{first['seconds'] + 1:.2f}s")
    assert more["rounds"] > first["rounds"]
    assert more["seconds"] >= first["seconds"] + 1
    assert time.perf_counter() - began < 60


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 3}, "seed: 0 -> 3"),
        ({"precision": "64", "seed": "1"}, "seed: 0 -> 1; precision: 32 -> 64"),
        ({"config": {"width": 8}}, "width: 4 -> 8"),
        ({"size": "16"}, "size: 10x8 -> 16"),
        ({"system": "gan"}, "system: lsgan -> gan"),
        ({"data": "elsewhere/photos"}, "data: array -> elsewhere/photos"),
    ],
)
def test_resuming_under_changed_settings_is_refused_with_the_difference(
    trained: Path, changed: dict[str, Any], message: str
) -> None:
    options = dict(changed)
    before = (trained / "config.yaml").read_bytes()
    with pytest.raises(GanvasError, match=rf"cannot be resumed under changed settings \({message}\).*--init-from") as failure:
        train(options.pop("system", None), options.pop("data", None), resume=trained, **options)
    assert failure.value.exit_code == 2
    assert (trained / "config.yaml").read_bytes() == before


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on an array; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(out=folder, budget="3r")
    return folder


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A copy of that run to do harm to."""
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def test_the_same_settings_in_other_words_are_no_change(copied: Path) -> None:
    result = train(
        "LSGAN",
        toys.pictures(),
        resume=copied,
        budget="4r",
        size="10,8",
        config={"width": "4", "learning_rate": "0.0010", "discriminator_batch_norm": "yes"},
    )
    assert result["rounds"] == 4


def test_other_refusals_around_resuming(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(GanvasError, match="unknown setting 'widht' .did you mean 'width'"):
        train(None, resume=copied, config={"widht": 4})
    with pytest.raises(GanvasError, match="--out cannot be combined with --resume"):
        train(None, resume=copied, out=tmp_path / "x")
    with pytest.raises(GanvasError, match="--init-from cannot be combined with --resume"):
        train(None, resume=copied, init_from=copied)
    with pytest.raises(GanvasError, match="trained on an array in memory: resume it from Python"):
        train(None, resume=copied, budget="9r")
    with pytest.raises(GanvasError, match="has changed since .* began"):
        train(None, toys.pictures(seed=1), resume=copied, budget="9r")
    with pytest.raises(GanvasError, match="--budget 'soon' is not understood"):
        train(None, toys.pictures(), resume=copied, budget="soon")
    with pytest.raises(GanvasError, match="not a run folder"):
        train(None, resume=tmp_path)
    with pytest.raises(GanvasError, match="no such run folder"):
        train(None, resume=tmp_path / "absent")
    with pytest.raises(GanvasError, match="learn what"):
        train(None)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda v: v.pop("fields"), "incomplete or changed by hand"),
        (lambda v: v["run"].update(seed="x"), "seed: expected whole number"),
        (lambda v: v["config"].update(width=-1), "width: -1 is too small"),
        (lambda v: v["config"].update(depth=3), "unknown setting 'depth'"),
        (lambda v: v.update(system="dcgam"), "unknown system 'dcgam' .did you mean 'dcgan'"),
        (lambda v: v["fields"]["real"].update(kind="smell"), "unknown data kind 'smell'"),
        (lambda v: v.update(run=[1]), "incomplete or changed by hand"),
        (lambda v: v["config"].update(width=5), "its weights do not fit this system"),
        (lambda v: v.update(system="gan"), "unknown setting|do not fit"),
    ],
)
def test_a_config_changed_by_hand_is_refused_in_one_line(copied: Path, harm: Any, message: str) -> None:
    values = yaml.safe_load((copied / "config.yaml").read_text())
    harm(values)
    (copied / "config.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(GanvasError, match=message) as failure:
        ganvas.load(copied)
    assert "\n" not in str(failure.value)


@pytest.mark.slow
def test_starting_from_another_run(trained: Path, copied: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    train(out=tmp_path / "fine", budget="1r", init_from=trained, config={**toys.SMALL, "learning_rate": 0.0})
    old = load_file(trained / "checkpoints" / "last" / "weights.safetensors")
    new = load_file(tmp_path / "fine" / "checkpoints" / "last" / "weights.safetensors")
    same = [torch.equal(old[k], new[k]) for k in old if k.endswith("weight") and "average" not in k]
    assert len(same) > 3
    assert all(same), "at rate 0 the weights stay those of the other run"
    train(None, toys.pictures(), resume=tmp_path / "fine", budget="2r")
    with pytest.raises(GanvasError, match="it holds a lsgan, not a gan"):
        train("gan", init_from=trained, out=tmp_path / "x")
    with pytest.raises(GanvasError, match="do not fit this system"):
        train(init_from=trained, out=tmp_path / "y", config={**toys.SMALL, "width": 5})
    shutil.rmtree(copied / "checkpoints")
    with pytest.raises(GanvasError, match="it has no checkpoint yet"):
        train(init_from=copied, out=tmp_path / "z")
    with pytest.raises(GanvasError, match="not a run folder"):
        train(init_from=tmp_path, out=tmp_path / "w")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"system": "dcgam"}, "unknown system 'dcgam' .did you mean 'dcgan'"),
        ({"config": {"widht": 3}}, "unknown setting 'widht' .did you mean 'width'"),
        ({"config": {**toys.SMALL, "width": "wide"}}, "width: expected whole number"),
        ({"preset": "papr"}, "unknown preset 'papr' .did you mean 'paper'"),
        ({"micro_batches": 3}, "batch_size 8 cannot be cut .* use --set batch_size=9"),
        ({"processes": 2}, "arrays cannot be shared by several processes"),
        ({"device": "cuda:7"}, "device 'cuda:7' is not on this machine"),
        ({"device": "toaster"}, "unknown device 'toaster'"),
        ({"seeds": 3}, "unknown setting 'seeds' .did you mean 'seed'"),
        ({"data": np.zeros((5, 4), np.int64)}, "the array holds int64: give uint8, uint16 or float32"),
        ({"data": np.zeros((0, 4, 4), np.uint8)}, "the array has shape"),
        ({"data": np.full((9, 4, 4), np.nan, np.float32)}, "NaN or infinity"),
        ({"data": np.zeros((9, 2), np.float32)}, "all points are the same"),
        (
            {"data": np.random.default_rng(0).normal(size=(9, 2)), "system": "dcgan", "config": {"width": 4}},
            "dcgan learns from image data, .* holds points",
        ),
        ({"data": "absent/folder"}, "no such file or folder"),
    ],
)
def test_bad_requests_are_refused_and_leave_no_folder(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    options = dict(options)
    with pytest.raises(GanvasError, match=message) as failure:
        train(options.pop("system", "lsgan"), options.pop("data", None), out=tmp_path / "run", budget="1r", **options)
    assert failure.value.exit_code == 2
    assert "\n" not in str(failure.value)
    assert not (tmp_path / "run").exists(), "a refused run leaves nothing behind"


def test_where_a_run_may_be_put(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_text("")
    for out, message in (("file", "is a file"), ("full", "is not empty"), (trained, "already holds a run")):
        with pytest.raises(GanvasError, match=message):
            train(out=tmp_path / out, budget="1r")
    with pytest.raises(RunError, match="gone|could not write|permission"):
        train(out=tmp_path / "file" / "below", budget="1r")
    monkeypatch.chdir(tmp_path)
    assert [train(budget="1r")["run"] for _ in range(2)] == ["runs/lsgan-array-1", "runs/lsgan-array-2"]


def test_a_run_is_trained_by_one_process_at_a_time(copied: Path) -> None:
    from ganvas.files import held

    with held(copied):
        with pytest.raises(GanvasError, match="copy is being trained by another process: wait until it ends, or stop it"):
            train(None, toys.pictures(), resume=copied, budget="4r")
        assert ganvas.load(copied).sample(1).shape == (1, 10, 8, 1), "looking is always allowed"
    assert train(None, toys.pictures(), resume=copied, budget="4r")["rounds"] == 4


# Failures while it runs


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int, act: Any) -> None:
    """Call `act(engine)` when the round `after` has been played."""
    from ganvas.engine import Engine

    original = Engine.play_round

    def play_round(self: Engine) -> Any:
        report = original(self)
        if self.clock.round == after:
            act(self)
        return report

    monkeypatch.setattr(Engine, "play_round", play_round)


def test_a_run_folder_deleted_under_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, 4, lambda engine: shutil.rmtree(tmp_path / "run"))
    with pytest.raises(RunError, match=r"run is gone \(deleted or moved while training\)|run is gone") as failure:
        train(out=tmp_path / "run", budget="9r")
    assert "\n" not in str(failure.value)
    assert not (tmp_path / "run").exists(), "it is not put back half"


def test_a_checkpoint_folder_that_cannot_be_written_keeps_the_last_one(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = toys.digests(copied)

    def block(engine: Any) -> None:
        (copied / "checkpoints").rename(copied / "kept")
        (copied / "checkpoints").write_text("in the way")

    with monkeypatch.context() as patch:
        interrupt(patch, 5, block)
        with pytest.raises(RunError, match="checkpoints"):
            train(None, toys.pictures(), resume=copied, budget="9r")
    (copied / "checkpoints").unlink()
    (copied / "kept").rename(copied / "checkpoints")
    assert toys.digests(copied) == before
    assert train(None, toys.pictures(), resume=copied, budget="9r")["rounds"] == 9


def test_a_full_disk_ends_in_one_line_and_keeps_the_last_checkpoint(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = toys.digests(copied)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        interrupt(patch, 5, lambda engine: patch.setattr(os, "fsync", full))
        with pytest.raises(RunError, match="the disk is full: could not write .* is intact. Free some space and resume"):
            train(None, toys.pictures(), resume=copied, budget="9r")
    assert toys.digests(copied) == before
    assert train(None, toys.pictures(), resume=copied, budget="9r")["rounds"] == 9


def test_metrics_that_cannot_be_written_end_the_run_in_one_line(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, 5, lambda engine: (copied / "metrics.jsonl").unlink())
    with pytest.raises(RunError, match="is gone"):
        train(None, toys.pictures(), resume=copied, budget="9r")


def test_data_that_vanishes_while_training_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoded copy is what a run trains on; the files are needed again only to resume."""
    photos = toys.picture_folder(tmp_path / "photos")
    interrupt(monkeypatch, 2, lambda engine: photos.rename(tmp_path / "moved"))
    assert train("lsgan", photos, out=tmp_path / "run", budget="4r")["rounds"] == 4
    with pytest.raises(DataError, match="photos is not there any more: .* --data NEWPLACE"):
        train(None, resume=tmp_path / "run", budget="6r")
    (tmp_path / "moved").rename(photos)
    (photos / "000.png").unlink()
    with pytest.raises(GanvasError, match="has changed since .* began: put the data back"):
        train(None, resume=tmp_path / "run", budget="6r")


def test_a_damaged_checkpoint_is_refused_and_the_one_before_goes_on(tmp_path: Path) -> None:
    run, data = tmp_path / "run", toys.pictures()
    train(out=tmp_path / "straight", budget="9r")
    train(out=run, budget="4r")
    train(None, data, resume=run, budget="6r")
    path = run / "checkpoints" / "last" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    for attempt in (lambda: train(None, data, resume=run, budget="9r"), lambda: ganvas.load(run)):
        with pytest.raises(
            GanvasError, match=r"weights.safetensors is truncated .* sound \(round 4\): add  --checkpoint previous"
        ):
            attempt()
    assert ganvas.load(run, which="previous").sample(2).shape == (2, 10, 8, 1)
    train(None, data, resume=run, which="previous", budget="9r")
    assert toys.digests(run) == toys.digests(tmp_path / "straight")
    assert ganvas.load(run, which="last").manifest["round"] == 9


def test_a_state_that_fits_no_engine_is_refused(copied: Path) -> None:
    import torch

    from ganvas.run import checkpoint

    loaded = checkpoint.load(copied)
    assert loaded is not None
    weights, state, _ = loaded
    for wrong in ({}, {"engine": 3, "seconds": 1.0}, {"engine": {**state["engine"], "players": {}}, "seconds": 0.0},
                  {"engine": {**state["engine"], "noise": torch.zeros(3)}, "seconds": 0.0}):  # fmt: skip
        checkpoint.save(copied / "checkpoints", weights, wrong, {"round": 3})
        with pytest.raises(GanvasError, match=r"last: its state does not fit|saved with the players") as failure:
            train(None, toys.pictures(), resume=copied, budget="9r")
        assert "\n" not in str(failure.value)


# NaN


FEW: dict[str, Any] = {"config": toys.SMALL, "heldout": 0.0, "quiet": True, "sample_every": 0}


def poisoned(tmp_path: Path, limit: float) -> tuple[Path, np.ndarray]:
    path = tmp_path / "poison_gan.py"
    path.write_text(POISON.replace("LIMIT", str(limit)))
    points = np.random.default_rng(0).uniform(-1, 1, (2000, 2)).astype(np.float32)
    points[np.random.default_rng([0, 0]).permutation(2000)[100]] = (90.0, 90.0)  # the stream deals it in the 13th round
    return path, points


def test_a_nan_is_rolled_back_logged_by_name_and_survived(tmp_path: Path) -> None:
    path, points = poisoned(tmp_path, 20.0)
    result = ganvas.train(str(path), points, out=tmp_path / "run", budget="40r", check_every=8, **FEW)
    assert result["stopped"] == "budget"
    assert result["rounds"] == 40, "what was taken back has been played again"
    assert result["incidents"] == ["term 'poison' of discriminator was not finite by round 16: went back to round 8, new data"]
    logged = [r["incident"] for r in read_metrics(tmp_path / "run") if "incident" in r]
    assert logged == result["incidents"]
    assert np.isfinite(ganvas.load(tmp_path / "run").sample(50)).all()


def test_a_nan_in_the_last_rounds_is_played_again(tmp_path: Path) -> None:
    path, points = poisoned(tmp_path, 20.0)
    result = ganvas.train(str(path), points, out=tmp_path / "run", budget="20r", check_every=1000, **FEW)
    assert result["rounds"] == 20
    assert "went back to round 0" in result["incidents"][0]


def test_a_nan_that_keeps_coming_ends_the_run_with_advice_and_keeps_everything(tmp_path: Path) -> None:
    path, points = poisoned(tmp_path, 0.5)
    with pytest.raises(
        RunError, match="keeps diverging .3 times .*'poison' of discriminator.*Try a lower learning rate"
    ) as failure:
        ganvas.train(str(path), points, out=tmp_path / "run", budget="100r", check_every=8, **FEW)
    assert failure.value.exit_code == 1
    assert (tmp_path / "run" / "config.yaml").exists()
    assert list((tmp_path / "run" / "samples").iterdir()) == []
