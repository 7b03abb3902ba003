"""Cases of runs: a used folder of results, data that moved, the class of each sample, more memory than there is, a dry run."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ganvas
import toys
from ganvas.data.dataset import open_data
from ganvas.doctor import _memory_groups, memory_of
from ganvas.errors import DataError, GanvasError, RunError
from ganvas.evaluation.judge import evaluate
from ganvas.evaluation.sets import open_sets
from ganvas.run.apply import apply
from ganvas.run.draw import draw
from ganvas.run.load import Run
from ganvas.run.outputs import RECORD, free_name, results
from ganvas.run.settings import parse_memory
from ganvas.run.train import train

FAST: dict[str, Any] = {"threads": 1, "precision": "32", "channels_last": "off", "sample_every": 0.0, "quiet": True}
WORDS = ("--threads", 1, "--precision", 32, "--channels-last", "off", "--sample-every", 0)
CLASSES = {"dark": 30, "middle": 120, "bright": 220}


def noise(folder: Path, count: int = 60, side: int = 16) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for k, pixels in enumerate(toys.pictures(count, side, side)):
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred pictures of noise."""
    return noise(tmp_path_factory.mktemp("data") / "photos", 100)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on them; tests leave it as it is, but for its `generated`."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    train("lsgan", data, out=folder, budget="3r", config=toys.SMALL, **FAST)
    return folder


@pytest.fixture(scope="module")
def classed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of a known mean brightness, in sub-folders."""
    folder = tmp_path_factory.mktemp("classed") / "classes"
    rng = np.random.default_rng(0)
    for name, level in CLASSES.items():
        (folder / name).mkdir(parents=True)
        for k in range(60):
            pixels = np.clip(level + rng.integers(-20, 21, (8, 8)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{k}.png")
    return folder


@pytest.fixture(scope="module")
def conditional(classed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of cgan that has learnt the brightness of the classes."""
    folder = tmp_path_factory.mktemp("runs") / "conditional"
    config = {"width": 8, "latent_size": 4, "batch_size": 32, "ema_half_life": 0, "augment": ""}
    train("cgan", classed, out=folder, budget="250r", config=config, watch="off", **FAST)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def hidden(folder: Path) -> list[str]:
    """What unfinished calls have left in and beside a folder."""
    return [path.name for path in [*folder.parent.iterdir(), *folder.rglob("*")] if path.name.endswith(".unfinished")]


# A used folder


def test_samples_of_two_calls_do_not_mix(run: Path, data: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    draw(run, count=10, seed=5, out=made, device="cpu")
    before = {name: (made / name).read_bytes() for name in names(made)}
    done = toys.ganvas("sample", run, "-n", 4, "--seed", 9, "--out", made)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "made is not empty" in done.stderr
    assert "--overwrite" in done.stderr
    assert {name: (made / name).read_bytes() for name in names(made)} == before
    dataset = open_data(made, size=16, progress=False)
    assert len(dataset) == 10, "the grid is not one sample more"
    assert any("grid.png" in note for note in dataset.notes)
    done = toys.ganvas("data", "check", made)
    assert "10 pictures in 10 files" in done.stdout
    done = toys.ganvas("evaluate", made, "--real", data, "--size", 16, "--features", "pixels", "--no-audit", "--no-anchors",
                       "--out", tmp_path / "judged", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["fake"]["n"] == 10
    made_now = draw(run, count=4, seed=9, out=made, overwrite=True, device="cpu")
    assert names(made) == [RECORD, "grid.png", *(f"sample-{k:04d}.png" for k in range(1, 5))]
    assert all(Path(file).is_file() for file in [*made_now["files"], made_now["grid"]])


def test_a_picture_of_ones_own_that_is_called_grid_counts(tmp_path: Path) -> None:
    """Only what says that it is an overview is left out, not what is called like one."""
    folder = noise(tmp_path / "own", 12)
    shutil.copy(folder / "3.png", folder / "grid.png")
    assert len(open_data(folder, progress=False)) == 13


def test_files_of_ones_own_are_never_replaced(run: Path, tmp_path: Path) -> None:
    draw(run, count=2, out=tmp_path / "made", device="cpu")
    (tmp_path / "made" / "thesis.doc").write_text("years of work")
    with pytest.raises(GanvasError, match=r"only what ganvas wrote, and .*made holds other files \(thesis.doc\)"):
        draw(run, count=2, out=tmp_path / "made", overwrite=True, device="cpu")
    own = noise(tmp_path / "own", 3)
    for overwrite in (False, True):
        with pytest.raises(GanvasError, match="own"):
            draw(run, count=2, out=own, overwrite=overwrite, device="cpu")
    assert names(own) == ["0.png", "1.png", "2.png"]


def test_without_out_samples_get_a_folder_of_their_own(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    folders = [draw(copy, count=n, device="cpu")["folder"] for n in (3, 2)]
    assert folders == [str(copy / "generated"), str(copy / "generated-2")]
    assert [len(list(Path(folder).glob("sample-*"))) for folder in folders] == [3, 2]
    assert draw(copy, count=1, overwrite=True, device="cpu")["folder"] == str(copy / "generated")
    assert len(list((copy / "generated").glob("sample-*"))) == 1


def test_results_of_apply_and_of_sample_do_not_mix(run: Path, tmp_path: Path) -> None:
    data = noise(tmp_path / "in", 3, 8)
    scorer = toys.simple_run(tmp_path, "score", toys.picture_folder(tmp_path / "learnt"))
    draw(run, count=2, out=tmp_path / "made", device="cpu")
    with pytest.raises(GanvasError, match="is not empty"):
        apply(scorer, [data], out=tmp_path / "made", device="cpu")
    with pytest.raises(GanvasError, match="is not empty"):
        apply(run, [], out=tmp_path / "made", device="cpu", count=2)  # it generates
    out = apply(scorer, [data], out=tmp_path / "scores", device="cpu")
    assert all(Path(file).is_file() for file in out["files"])
    assert Path(out["folder"]) == tmp_path / "scores"
    (data / "0.png").unlink()
    apply(scorer, [data], out=tmp_path / "scores", device="cpu", overwrite=True)
    assert not (tmp_path / "scores" / "maps" / "0.npz").exists(), "nothing of the call before is left"
    assert len((tmp_path / "scores" / "scores.csv").read_text().splitlines()) == 3


def test_a_failed_call_leaves_neither_half_a_folder_nor_a_changed_one(run: Path, tmp_path: Path) -> None:
    scorer = toys.simple_run(tmp_path, "score", toys.picture_folder(tmp_path / "learnt"))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png"):
        apply(scorer, [tmp_path / "broken.png"], out=tmp_path / "new" / "deep", device="cpu")
    assert not (tmp_path / "new").exists()
    draw(run, count=2, out=tmp_path / "made", device="cpu")
    before = names(tmp_path / "made")
    with pytest.raises(DataError):
        apply(scorer, [tmp_path / "broken.png"], out=tmp_path / "made", device="cpu", overwrite=True)
    assert names(tmp_path / "made") == before
    assert hidden(tmp_path / "made") == []


def test_a_call_that_is_killed_leaves_nothing_that_looks_whole(run: Path, tmp_path: Path) -> None:
    """One process writes a first file and is killed; its folder is not there, and the next call takes the place."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom ganvas.run.outputs import results\n"
        "with results(Path(sys.argv[1]), 'sample') as place:\n"
        "    (place / 'sample-0001.png').write_bytes(b'half')\n    print('begun', flush=True)\n    time.sleep(600)\n"
    )
    made = tmp_path / "made"
    words = [sys.executable, "-c", code, str(made)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=toys.environment())
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    with pytest.raises(GanvasError, match="another process is writing into .*made"):
        draw(run, count=2, out=made, device="cpu")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not made.exists()
    draw(run, count=2, out=made, device="cpu")
    assert names(made) == [RECORD, "grid.png", "sample-0001.png", "sample-0002.png"]
    assert hidden(made) == []


def test_where_results_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GanvasError, match="is a file"), results(tmp_path / "file", "sample"):
        pass
    with pytest.raises(RunError, match="gone|could not write|permission"), results(tmp_path / "file" / "below", "sample"):
        pass
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / ".DS_Store").write_text("a file browser was here")
    monkeypatch.chdir(tmp_path / "here")
    with results(Path("."), "sample") as place:  # the working folder is filled, not exchanged
        (place / "a" / "b").mkdir(parents=True)
        (place / "a" / "b" / "c.txt").write_text("c")
    assert names(tmp_path / "here") == [".DS_Store", RECORD, "a/b/c.txt"]
    assert json.loads((tmp_path / "here" / RECORD).read_text())["files"] == ["a/b/c.txt"]
    with results(Path("."), "sample", overwrite=True) as place:
        (place / "d.txt").write_text("d")
    assert names(tmp_path / "here") == [".DS_Store", RECORD, "d.txt"]
    assert not (tmp_path / "here" / "a").exists()
    assert free_name(tmp_path / "here") == tmp_path / "here-2"
    assert free_name(tmp_path / "absent") == tmp_path / "absent"


def test_a_record_changed_by_hand_removes_nothing_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with results(tmp_path / "made", "sample") as place:
        (place / "a.txt").write_text("a")
    (tmp_path / "made" / RECORD).write_text(json.dumps({"files": ["a.txt", "../precious.txt", str(tmp_path / "precious.txt")]}))
    with results(tmp_path / "made", "sample", overwrite=True) as place:
        (place / "b.txt").write_text("b")
    assert (tmp_path / "precious.txt").read_text() == "mine"
    assert names(tmp_path / "made") == [RECORD, "b.txt"]


@pytest.mark.slow
def test_two_evaluations_do_not_mix(run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick: dict[str, Any] = {"features": "pixels", "anchors": False, "count": 12}
    out = tmp_path / "judged"
    evaluate(run, out=out, **quick)
    assert names(out) == [RECORD, "audit.html", "evaluation.json", "spectrum.png"]
    with pytest.raises(GanvasError, match="is not empty"):
        evaluate(run, out=out, audit=False, **quick)
    found = evaluate(run, out=out, audit=False, overwrite=True, **quick)
    assert names(out) == [RECORD, "evaluation.json", "spectrum.png"], "no audit of other samples beside these numbers"
    assert {Path(file).parent for file in found["files"].values()} == {out}
    draw(run, count=12, out=tmp_path / "made", device="cpu")
    monkeypatch.chdir(tmp_path)
    words = ("evaluate", "made", "--real", data, "--features", "pixels", "--no-audit", "--no-anchors", "--json")
    places = []
    for _ in range(2):
        done = toys.ganvas(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        places.append(Path(json.loads(done.stdout)["files"]["json"]).parent)
    assert places == [Path("evaluations/made"), Path("evaluations/made-2")]


def test_pages_are_not_replaced_unasked(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("a page of somebody's")
    for words in (("report", run), ("compare", run, run.parent / "other")):
        if words[0] == "compare":
            shutil.copytree(run, run.parent / "other", dirs_exist_ok=True)
        done = toys.ganvas(*words, "--out", page)
        assert done.returncode == 2
        assert done.stderr.startswith(f"ganvas: {page} exists")
        assert page.read_text() == "a page of somebody's"


def test_a_run_does_not_begin_among_pictures_of_ones_own(tmp_path: Path) -> None:
    """`samples` and `checkpoints` are names of a run's folders, and of anybody's."""
    noise(tmp_path / "mine" / "samples", 2)
    with pytest.raises(GanvasError, match="not empty"):
        train("lsgan", toys.pictures(), out=tmp_path / "mine", budget="1r", config=toys.SMALL, **FAST)
    for name in ("checkpoints", "samples"):  # all that a run leaves which ended before it began
        (tmp_path / "begun" / name).mkdir(parents=True)
    (tmp_path / "begun" / "environment.json").write_text("{}")
    assert train("lsgan", toys.pictures(), out=tmp_path / "begun", budget="1r", config=toys.SMALL, **FAST)["rounds"] == 1
    done = toys.ganvas("demo", "--out", tmp_path / "mine", "--budget", "1r")
    assert done.returncode == 2
    assert "is not empty" in done.stderr


# Data that moved


@pytest.fixture
def moved(tmp_path: Path) -> tuple[Path, Path]:
    """A run whose data has gone from `here`, and is in `elsewhere`."""
    noise(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "elsewhere")
    train("lsgan", tmp_path / "here", out=tmp_path / "run", budget="4r", seed=3, config=toys.SMALL, **FAST)
    (tmp_path / "here").rename(tmp_path / "gone")
    return tmp_path / "run", tmp_path / "elsewhere"


def test_a_run_goes_on_with_data_that_moved(moved: tuple[Path, Path], tmp_path: Path) -> None:
    run, elsewhere = moved
    with pytest.raises(DataError, match=r"here is not there any more: .* ganvas train --resume .*run --data NEWPLACE"):
        train(None, resume=run, budget="9r")
    said: list[str] = []
    assert train(None, elsewhere, resume=run, budget="9r", say=said.append)["rounds"] == 9
    assert any("elsewhere now, with the same records" in text for text in said)
    straight = tmp_path / "straight"
    train("lsgan", elsewhere, out=straight, budget="9r", seed=3, config=toys.SMALL, **FAST)
    assert toys.digests(run) == toys.digests(straight), "the same bits as in one go"
    assert train(None, resume=run, budget="10r")["rounds"] == 10, "the new place was written down"


def test_other_data_is_still_refused(moved: tuple[Path, Path]) -> None:
    run, elsewhere = moved
    before = (run / "config.yaml").read_bytes()
    with Image.open(elsewhere / "7.png") as picture:
        pixels = np.array(picture)
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(elsewhere / "7.png")
    with pytest.raises(GanvasError, match=r"data: .*here -> .*elsewhere, which holds other records"):
        train(None, elsewhere, resume=run, budget="9r")
    with pytest.raises(GanvasError, match="data: .* -> patterns, which holds other records|learns from"):
        train(None, "patterns", resume=run, budget="9r")
    with pytest.raises(DataError, match=r"nowhere: no such file or folder"):
        train(None, elsewhere.with_name("nowhere"), resume=run, budget="9r")
    assert (run / "config.yaml").read_bytes() == before


def test_a_relative_place_is_found_from_another_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise(tmp_path / "work" / "photos")
    monkeypatch.chdir(tmp_path / "work")
    train("lsgan", "photos", out="run", budget="2r", config=toys.SMALL, **FAST)
    noise(tmp_path / "other" / "photos", 20)  # of the same name there, and another thing
    monkeypatch.chdir(tmp_path / "other")
    assert train(None, resume="../work/run", budget="4r")["rounds"] == 4
    found = evaluate("../work/run", features="pixels", anchors=False, audit=False, count=12)
    assert found["real"]["split"] == "run"
    # The whole project elsewhere: the recorded place is gone, the name as it was given is right.
    shutil.move(tmp_path / "work", tmp_path / "carried")
    monkeypatch.chdir(tmp_path / "carried")
    assert train(None, resume="run", budget="6r")["rounds"] == 6


# The class of each sample


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def brightness(path: Path) -> float:
    with Image.open(path) as picture:
        return float(np.array(picture).mean())


def test_every_sample_says_which_class_was_asked_for(conditional: Path, classed: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    result = draw(conditional, count=30, seed=1, out=made, device="cpu")
    found = rows(made)
    assert [row["file"] for row in found] == [Path(file).name for file in result["files"]]
    assert [row["label"] for row in found] == result["labels"]
    assert {name: sum(row["label"] == name for row in found) for name in CLASSES} == dict.fromkeys(CLASSES, 10)
    assert all(Path(row["file"]).stem.endswith(f"-{row['label']}") for row in found)
    mean = {n: np.mean([brightness(made / r["file"]) for r in found if r["label"] == n]) for n in CLASSES}
    assert mean["dark"] + 30 < mean["middle"], "the label is the one the generator was given"
    assert mean["middle"] + 30 < mean["bright"]
    dataset, real = open_data(made, heldout=0.0, progress=False), open_data(classed, heldout=0.0, progress=False)
    assert dataset.spec.classes == real.spec.classes
    assert dataset.labels is not None
    assert [dataset.spec.classes[k] for k in dataset.labels] == result["labels"]
    sets = open_sets(made, classed, progress=False)
    assert sets.asked
    assert [sets.classes[k] for k in sets.generated.labels] == result["labels"]  # type: ignore[union-attr]


def test_samples_in_one_file_carry_their_classes_too(conditional: Path, tmp_path: Path) -> None:
    pictures = draw(conditional, count=12, seed=1, out=tmp_path / "png", device="cpu")
    made = draw(conditional, count=12, seed=1, out=tmp_path / "npz", format="npz", device="cpu")
    dataset = open_data(made["files"][0], heldout=0.0, progress=False)
    assert dataset.labels is not None
    assert [dataset.spec.classes[k] for k in dataset.labels] == made["labels"] == pictures["labels"]
    others = open_data(tmp_path / "png", heldout=0.0, progress=False)
    assert (np.asarray(dataset.values) == np.asarray(others.values)).all()


@pytest.mark.parametrize("label", ["dark", "1"])
def test_samples_of_one_class(conditional: Path, tmp_path: Path, label: str) -> None:
    done = toys.ganvas("sample", conditional, "-n", 5, "--label", label, "--out", tmp_path / "made", "--json")
    assert done.returncode == 0, done.stderr
    assert [row["label"] for row in rows(tmp_path / "made")] == ["dark"] * 5 == json.loads(done.stdout)["labels"]
    assert np.mean([brightness(path) for path in (tmp_path / "made").glob("sample-*")]) < 75
    with pytest.raises(GanvasError, match="unknown label 'drak' .did you mean 'dark'"):
        draw(conditional, label="drak", out=tmp_path / "no", device="cpu")
    assert not (tmp_path / "no").exists()


def test_the_first_of_many_are_the_same_as_few(conditional: Path) -> None:
    run = Run(conditional)
    assert (run.sample(70, seed=2)[:9] == run.sample(9, seed=2)).all()
    assert (run.labels_for(70)[:9] == run.labels_for(9)).all()


def test_a_run_without_labels_has_no_labels(run: Path, tmp_path: Path) -> None:
    result = draw(run, count=2, out=tmp_path / "made", device="cpu")
    assert result["labels"] is None
    assert not (tmp_path / "made" / "labels.csv").exists()


AWKWARD = ("007", "7", "a/b, c", 'quoted "x"', "Ärger", "…")


def test_awkward_names_of_classes_come_back_as_they_were(tmp_path: Path) -> None:
    """Leading zeros, separators, quotes: the table is what is read, the name of the file as near as one can be."""
    folder = tmp_path / "real"
    folder.mkdir()
    with (folder / "labels.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file", "label"])
        for k, pixels in enumerate(toys.pictures(36, 8, 8)):
            Image.fromarray(pixels).save(folder / f"{k}.png")
            writer.writerow([f"{k}.png", AWKWARD[k % len(AWKWARD)]])
    config = {"width": 2, "latent_size": 2, "batch_size": 8}
    train("cgan", folder, out=tmp_path / "run", budget="1r", config=config, **FAST)
    real = open_data(folder, heldout=0.0, progress=False)
    for format in ("png", "npz"):
        made = draw(tmp_path / "run", count=18, out=tmp_path / format, format=format, device="cpu")
        read = open_data(tmp_path / format if format == "png" else made["files"][0], heldout=0.0, progress=False)
        assert read.spec.classes == real.spec.classes
        assert read.labels is not None
        assert [read.spec.classes[k] for k in read.labels] == made["labels"]
    assert (tmp_path / "png" / "sample-0001-007.png").is_file()


def test_points_of_classes_come_back_with_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [f"{x:.4f},{y:.4f},{'near' if k % 2 else 'far'}" for k, (x, y) in enumerate(rng.normal(size=(80, 2)))]
    (tmp_path / "points.csv").write_text("\n".join(["x,y,label", *lines]))
    train("cgan", tmp_path / "points.csv", out=tmp_path / "run", budget="2r", config={"batch_size": 8, "width": 4}, **FAST)
    made = draw(tmp_path / "run", count=10, out=tmp_path / "made", device="cpu")
    dataset = open_data(made["files"][0], heldout=0.0, progress=False)
    assert dataset.labels is not None
    assert [dataset.spec.classes[k] for k in dataset.labels] == made["labels"]
    assert dataset.values.shape == (10, 2)
    packed = draw(tmp_path / "run", count=10, out=tmp_path / "packed", format="npz", device="cpu")
    with np.load(packed["files"][0], allow_pickle=False) as held:
        assert held["labels"].tolist() == made["labels"]
        assert held["x"].shape == (10, 2)


# More memory than there is


@pytest.mark.slow
def test_a_run_that_does_not_fit_is_refused_before_it_begins(tmp_path: Path) -> None:
    """Pictures of 4096 x 4096 in batches of 64: more than any machine has."""
    ramp = (np.arange(4096) // 16).astype(np.uint8)
    (tmp_path / "large").mkdir()
    for k in range(3):
        picture = np.roll(np.add.outer(ramp // 2, ramp // 2), 500 * k, axis=0)
        Image.fromarray(picture).save(tmp_path / "large" / f"{k}.png")
    words = ("--size", 4096, "--set", "batch_size=64", "--set", "width=16", "--budget", "1r", *WORDS)
    done = toys.ganvas("train", "dcgan", "--data", tmp_path / "large", "--out", tmp_path / "run", *words)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ganvas: batches of 64 records of 1x4096x4096 are expected to need ")
    assert f"and this machine has {memory_of('cpu')[0] / 1e9:.1f} GB: it would fit with  --set batch_size=" in last
    assert "ganvas memory dcgan --data" in last
    assert "--memory any" in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_would_fit_does_fit(tmp_path: Path) -> None:
    """The settings that a refusal names are not refused, and those it leaves are."""
    given = {"budget": "1r", "memory": "720MB", **FAST}
    config = {"width": 32, "batch_size": 128, "latent_size": 8}
    with pytest.raises(
        GanvasError, match=r"--memory allows 0\.7 GB: it would fit with  --micro-batches 2  or  --set batch_size=64;"
    ) as caught:
        ganvas.train("dcgan", toys.pictures(128, 64, 64), out=tmp_path / "run", config=config, **given)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()
    for name, changes in (("pieces", {"micro_batches": 2}), ("small", {"config": {**config, "batch_size": 64}})):
        result = ganvas.train(
            "dcgan", toys.pictures(128, 64, 64), out=tmp_path / name, **{"config": config, **given, **changes}
        )
        assert result["rounds"] == 1
    told = ganvas.train("dcgan", toys.pictures(128, 64, 64), out=tmp_path / "any", config=config, **{**given, "memory": "any"})
    assert told["rounds"] == 1
    with pytest.raises(GanvasError, match="--memory allows 0.7 GB"):  # it goes on elsewhere, where there is less
        ganvas.train(None, toys.pictures(128, 64, 64), resume=tmp_path / "any", budget="2r", memory="720MB")


def test_amounts_of_memory() -> None:
    assert parse_memory("1.5GiB") == 3 * 2**29
    assert parse_memory("800 MB") == 800_000_000
    assert parse_memory("any") == 0
    assert parse_memory(None) is None
    for text in ("much", "12", "GB", "-1GB"):
        with pytest.raises(GanvasError, match=f"--memory '{text}' is not an amount of memory"):
            parse_memory(text)


def test_the_limit_of_a_control_group_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the process's own group and of those above it, in either version: schedulers set them deep."""
    first = _memory_groups("9:cpu:/x\n4:cpu,memory:/job/step\n", tmp_path)
    assert tmp_path / "memory" / "job" / "step" in first
    assert tmp_path / "memory" / "job" in first
    second = _memory_groups("0::/slurm/job_7/task\n", tmp_path)
    assert tmp_path / "slurm" / "job_7" in second
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr("ganvas.doctor._memory_groups", lambda told: [tmp_path, tmp_path / "job"])
    all_of_it = memory_of("cpu")[0]
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "memory.max").write_text(f"{2**28}\n")
    (tmp_path / "job" / "memory.current").write_text(f"{2**27}\n")
    assert memory_of("cpu") == (2**28, 2**27)
    assert all_of_it > 2**28
    (tmp_path / "job" / "memory.max").unlink()
    (tmp_path / "job" / "memory.limit_in_bytes").write_text(f"{2**27}\n")
    assert memory_of("cpu")[0] == 2**27


# A dry run


def tree(folder: Path) -> list[str]:
    return sorted(path.as_posix() for path in folder.rglob("*"))


def test_a_dry_run_tells_what_would_happen_and_writes_nothing(classed: Path, tmp_path: Path) -> None:
    words = ("train", "cgan", "--data", classed, "--budget", "10m", "--set", "width=8", "--set", "batch_size=16", *WORDS)
    before = tree(tmp_path)
    done = toys.ganvas(*words, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path) == before
    out = done.stdout
    assert "nothing was written but the cache of decoded data" in out
    assert "180 images of 8x8 pixels, grey, 8 bits; 144 training records to learn from, 36 held out" in out
    assert "labels  bright (60), dark (60), middle (60)" in out
    assert "width=8" in out
    assert "MB in use" in out
    assert "10 min: about" in out
    done = toys.ganvas(*words, "--dry-run", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert tree(tmp_path) == before
    assert (found["dry_run"], found["system"], found["folder"]) == (True, "cgan", "runs/cgan-classes-1")
    assert found["data"]["labels"] == dict.fromkeys(("bright", "dark", "middle"), 60)
    assert (found["data"]["records"], found["data"]["train"], found["data"]["heldout"]) == (180, 144, 36)
    assert (found["config"]["width"], found["config"]["batch_size"]) == (8, 16)
    assert found["pace"]["rounds"] > 0
    # The seconds are told rounded: of short rounds the two differ by a few.
    assert (
        found["pace"]["in_budget"] == pytest.approx(600 / found["pace"]["seconds"], rel=0.05, abs=1)
        or found["pace"]["seconds"] < 1e-5
    )
    assert found["memory"]["in_use_mb"] > 50
    result = json.loads(toys.ganvas(*words[:5], "2r", *words[6:], "--json", cwd=tmp_path).stdout)
    assert result["run"] == found["folder"], "the real run lies where the dry one said"
    weights = sum(found["parameters"].values())
    system = Run(tmp_path / result["run"]).system
    assert weights == sum(p.numel() for p in system.parameters())
    assert found["parameters"]["generator"] == sum(p.numel() for p in system.generator.parameters())


def test_a_dry_run_does_not_change_the_run_after_it(tmp_path: Path) -> None:
    given: dict[str, Any] = {"budget": "3r", "config": toys.SMALL, **FAST}
    train("lsgan", toys.pictures(), out=tmp_path / "a", **given)
    assert train("lsgan", toys.pictures(), out=tmp_path / "b", dry_run=True, **given)["dry_run"]
    assert not (tmp_path / "b").exists()
    train("lsgan", toys.pictures(), out=tmp_path / "b", **given)
    assert toys.digests(tmp_path / "a") == toys.digests(tmp_path / "b")


def test_a_dry_run_refuses_what_the_run_would_refuse(run: Path, data: Path, tmp_path: Path) -> None:
    for words, message in (
        (("train", "dcgam", "--data", data), "unknown system 'dcgam'"),
        (("train", "cgan", "--data", data), "cgan needs labelled data"),
        (("train", "lsgan", "--data", data, "--out", run), "already holds a run"),
        (("train", "dcgan", "--data", data, "--init-from", run), "it holds a lsgan"),
        (("train", "--resume", run), "--dry-run is for a run that is still to begin"),
    ):
        done = toys.ganvas(*words, "--dry-run", cwd=tmp_path)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.splitlines()[-1].startswith("ganvas: ")
    assert tree(tmp_path) == []
