"""The study of augmentation: what each side may see, what synthetic records that are as good as real ones and worthless ones
come to, verdicts, and the command from beginning to end."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganvas.data.dataset import open_data
from ganvas.errors import GanvasError
from ganvas.studies import _augmentation_job as job_module
from ganvas.studies._augmentation_job import ARMS, PREDICTIONS, SAMPLES, classify, fraction_of, generate, opened, sieved
from ganvas.studies._augmentation_judge import Predictions, answers, sentence, verdict
from ganvas.studies._augmentation_kinds import Images, varied
from ganvas.studies.augmentation import augmentation

ROOT = Path(__file__).resolve().parents[2]


def blobs(count: int, seed: int, side: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images: of class 1 a spot is on the left, of class 0 on the right; (N, H, W) uint8 and classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    y, x = np.mgrid[:side, :side]
    centres = np.where(labels == 1, 4.5, 10.5) + rng.normal(0, 1.5, count)
    heights = rng.uniform(4, side - 4, count)
    spots = np.exp(-((x - centres[:, None, None]) ** 2 + (y - heights[:, None, None]) ** 2) / 6)
    images = 60 * spots + rng.normal(90, 40, (count, side, side))
    return images.clip(0, 255).astype(np.uint8), labels


@pytest.fixture
def data(tmp_path: Path) -> Path:
    images, labels = blobs(400, 0)
    np.savez(tmp_path / "spots.npz", images=images, labels=np.array(["right", "left"])[labels])
    return tmp_path / "spots.npz"


def a_job(data: Path, **own: Any) -> dict[str, Any]:
    options = {"channels": None, "phantom_count": 100}
    common = {
        "data": str(data),
        "size": "16",
        "options": options,
        "steps": 60,
        "samples": 50,
        "flip": False,
        "seed": 0,
        "share": 0.1,
    }
    return {
        **common,
        "generator": 0,
        "conditional": False,
        "system": "dcgan",
        "config": {},
        "seconds": 1.0,
        "threads": 1,
        **own,
    }


# Fractions


def test_a_fraction_holds_whole_groups_of_every_class_and_no_held_out_record(data: Path) -> None:
    dataset = open_data(data, seed=0, progress=False)
    dataset = dataclasses.replace(dataset, groups=np.arange(len(dataset)) // 4)
    dataset = dataclasses.replace(dataset, heldout=dataset.groups % 5 == 0)
    before: set[int] = set()
    for share in (0.02, 0.1, 0.25, 1.0):
        rows = fraction_of(dataset, share, 3)
        assert not dataset.heldout[rows].any() and before <= set(rows)
        assert np.isin(np.flatnonzero(np.isin(dataset.groups, dataset.groups[rows])), rows).all()  # no group is torn
        assert set(dataset.labels[rows]) == {0, 1}  # type: ignore[index]
        assert abs(len(rows) - max(share * 320, 4)) <= 8
        before = set(rows)
    assert set(fraction_of(dataset, 0.1, 4)) != set(fraction_of(dataset, 0.1, 3))


def test_what_cannot_be_studied_is_refused_in_a_line(tmp_path: Path) -> None:
    images, labels = blobs(40, 0)
    np.save(tmp_path / "bare.npy", images)
    with pytest.raises(GanvasError, match="two classes or more"):
        opened(a_job(tmp_path / "bare.npy"))
    (tmp_path / "chairs").mkdir()
    (tmp_path / "chairs" / "a.stl").write_bytes(b"solid")
    with pytest.raises(GanvasError, match="is of labelled images or sounds, these are solids"):
        opened(a_job(tmp_path / "chairs"))
    with pytest.raises(GanvasError, match="--rate is not for images"):
        augmentation(str(tmp_path / "bare.npy"), tmp_path / "out", rate=8000)
    with pytest.raises(GanvasError, match="--fractions"):
        augmentation(str(tmp_path / "bare.npy"), tmp_path / "out", fractions=[0, 10])


def test_a_study_of_images_that_was_begun_before_there_were_other_kinds_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its settings are those that are written in its folder, no more and no fewer."""
    seen: list[dict[str, Any]] = []

    def survey(common: dict[str, Any]) -> None:
        seen.append(dict(common))
        raise GanvasError("seen")

    monkeypatch.setattr("ganvas.studies.augmentation._survey", survey)
    with pytest.raises(GanvasError, match="seen"):
        augmentation(str(data), tmp_path / "out")
    assert seen == [
        {
            "study": "augmentation", "data": str(data), "size": "48", "system": "dcgan", "config": {}, "seconds": 600.0,
            "steps": 400, "samples": 250, "flip": False, "options": {"channels": None, "phantom_count": 2000},
        }
    ]  # fmt: skip
    before = json.loads((ROOT / "benchmarks/studies/augmentation-brain-mr/augmentation.json").read_text())
    assert {arm: words.format(classic=Images.classic) for arm, words in ARMS.items()} == before["arms"]


def test_what_is_read_of_the_data_is_told_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among it a split that the data declares where nobody reads it, which would leave twins on both sides."""
    images, labels = blobs(40, 0)
    for k, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / "spots" / "ab"[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "spots" / "ab"[label] / f"{k}.png")
    (tmp_path / "spots" / "slices.csv").write_text("file,group,split\n")
    monkeypatch.setattr("ganvas.studies.augmentation._same_study", lambda *given: pytest.fail("told in time"))
    said: list[str] = []
    with pytest.raises(pytest.fail.Exception):
        augmentation(str(tmp_path / "spots"), tmp_path / "out", say=said.append)
    assert any(line.startswith("note: slices.csv has a column group and a column split") for line in said)


# What each side sees


def test_a_generator_sees_its_fraction_and_nothing_else(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Drawn:
        def sample(self, count: int, **how: Any) -> np.ndarray:
            return np.zeros((count, 16, 16, 1), np.uint8)

    def learnt(folder: Path, dataset: Any, job: Any, parts: int) -> Drawn:
        seen.append(dataset)
        return Drawn()

    monkeypatch.setattr(job_module, "_learnt", learnt)
    job = a_job(data, steps=2)
    found = generate(tmp_path, job)
    dataset = opened(job)
    rows = fraction_of(dataset, 0.1, 0)
    assert [len(own) for own in seen] == list(found["records"].values()) and sum(len(own) for own in seen) == len(rows)
    taken = np.concatenate([own.values for own in seen])
    expected = np.asarray(dataset.values[rows])
    assert sorted(map(bytes, taken)) == sorted(map(bytes, expected))
    assert not any(own.heldout.any() for own in seen) and len({own.fingerprint for own in seen}) == 2
    assert np.allclose(np.sum(found["read_as"], 1), 1)


def test_records_as_good_as_real_ones_help_and_noise_does_not(data: Path, tmp_path: Path) -> None:
    """A perfect generator is played by unseen real records; a worthless one by noise with labels at random."""
    noise = np.random.default_rng(1).integers(0, 256, (400, 16, 16), dtype=np.uint8)
    worth = {}
    for name, (images, labels) in {"perfect": blobs(400, 9), "noise": (noise, np.arange(400) % 2)}.items():
        gained = {}
        for seed in range(3):
            place = tmp_path / name / f"classifiers-0-{seed}"
            place.mkdir(parents=True)
            (tmp_path / name / "generator-0").mkdir(exist_ok=True)
            # the classes of the data are in the order of their names: left, right
            np.savez(tmp_path / name / "generator-0" / SAMPLES, samples=images[..., None], labels=1 - labels)
            classify(place, a_job(data, share=0.03, seed=seed))
            with np.load(place / PREDICTIONS) as held:
                gained[0, seed] = {arm: held[arm] for arm in ARMS}
                truth, groups = held["truth"], held["groups"]
        worth[name] = Predictions(truth, groups, gained)
    perfect, noisy = (worth[name].difference("mixed", "oversampled") for name in ("perfect", "noise"))
    assert perfect["low"] > 0.02 and verdict(perfect) == "yes"
    assert noisy["value"] < perfect["value"] - 0.05 and verdict(noisy) != "yes"
    alone = worth["noise"].scores("synthetic")
    assert abs(alone["balanced_accuracy"] - 0.5) < 0.15  # nothing can be learnt of it


def test_the_filter_keeps_what_is_read_as_asked_and_loses_no_class() -> None:
    said = np.zeros((40, 2))
    said[:20, 0] = 1  # of the first class all are read as it
    said[20:, 0], said[20:, 1] = 0.9, 0.1  # of the second none
    said[25] = [0.6, 0.4]
    kept = sieved(said, np.repeat([0, 1], 20))
    assert kept[:20].all() and kept[20:].sum() == 2 and kept[25]


def test_classic_changes_move_and_mirror_only_when_asked() -> None:
    import torch

    images = torch.zeros(64, 1, 16, 16)
    images[:, :, :, :4] = 1  # light on the left
    plain, mirrored = (varied(images, torch.Generator().manual_seed(0), flip) for flip in (False, True))
    left = [float((own[..., :8].mean((1, 2, 3)) > own[..., 8:].mean((1, 2, 3))).float().mean()) for own in (plain, mirrored)]
    assert left[0] == 1 and 0.3 < left[1] < 0.7
    assert not torch.equal(plain[0], plain[1])


# Verdicts


def planted(gain: float, records: int = 300, seed: int = 0) -> Predictions:
    """Two arms of two generators and three classifiers each: right in 60 % of the records, and in `gain` more."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, records)
    said = {}
    for g in range(2):
        for c in range(3):
            own = {}
            for arm in ARMS:
                right = rng.random(records) < 0.6 + (gain if arm in ("both", "mixed") else 0)
                answer = np.where(right, truth, (truth + 1) % 3)
                own[arm] = np.eye(3)[answer]
            said[g, c] = own
    return Predictions(truth, np.arange(records), said)


def test_a_gain_that_is_there_is_told_and_none_is_not() -> None:
    told = answers({"10 %": planted(0.2), "100 %": planted(0.0)})
    adds = next(one for one in told if one["key"] == "adds")["fractions"]
    assert adds["10 %"]["verdict"] == "yes" and abs(adds["10 %"]["value"] - 0.2) < 0.06
    assert adds["100 %"]["verdict"] == "cannot tell"
    words = sentence(told)
    assert "helped at 10 %" in words and "made no difference that can be told at 100 %" in words
    assert verdict({"low": -0.3, "high": -0.1}) == "no"


def test_intervals_hold_what_is_true() -> None:
    """Of no gain at all, at most one interval in ten leaves out 0 (the aim is one in twenty, of 40)."""
    outside = sum(verdict(planted(0.0, seed=seed).difference("both", "classic")) != "cannot tell" for seed in range(40))
    assert outside <= 4


# The command


def test_from_the_command_line_to_its_page_and_on(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    words = [
        sys.executable, "-m", "ganvas", "study", "augmentation", "--data", str(data), "--out", str(out), "--system", "cgan",
        "--set", "width=4", "--size", "16", "--budget", "2s", "--steps", "10", "--samples", "12", "--fractions", "20,100",
        "--generators", "1", "--seeds", "1", "--json",
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["conditional"] and set(found["fractions"]) == {"20 %", "100 %"} and len(found["answers"]) == 5
    assert found["warnings"] and "--generators" in found["warnings"][-1]
    page = (out / "study.md").read_text()
    assert str(tmp_path) not in page + (out / "augmentation.json").read_text() and "ganvas study augmentation" in page
    assert all(
        (out / "figures" / f"{name}.png").stat().st_size > 2000 for name in ("accuracy", "differences", "samples", "read")
    )
    before = sorted(p.stat().st_mtime_ns for p in out.rglob("samples.npz"))

    (out / "fractions" / "20-per-cent" / "classifiers-0-0" / "result.json").unlink()
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 0 and sorted(p.stat().st_mtime_ns for p in out.rglob("samples.npz")) == before
    assert json.loads(again.stdout)["answers"] == found["answers"]  # the same bits

    changed = subprocess.run([*words, "--steps", "11"], capture_output=True, text=True)
    assert changed.returncode == 2 and "steps: 10 -> 11" in changed.stderr and "Traceback" not in changed.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--budget", "100r"], "is not a time"),
        (["--fractions", "5,many"], "give per cents"),
        (["--system", "cyclegan"], "cyclegan"),
        (["--set", "width"], "KEY=VALUE"),
    ],
)
def test_bad_options_are_one_line(data: Path, tmp_path: Path, words: list[str], told: str) -> None:
    command = [
        sys.executable,
        "-m",
        "ganvas",
        "study",
        "augmentation",
        "--data",
        str(data),
        "--size",
        "16",
        "--out",
        str(tmp_path / "o"),
    ]
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    assert done.returncode == 2 and told in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_another_study_in_the_folder_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x.json").write_text("{}")
    with pytest.raises(GanvasError, match="is not empty"):
        augmentation(str(data), tmp_path / "full", size=16, seconds=1)
