"""The study of augmentation of sounds: who is held out, what a fraction is of, what a recogniser hears, what recordings that
are as good as real ones and worthless ones come to."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganvas.cli import _parse
from ganvas.data.dataset import open_data
from ganvas.errors import GanvasError
from ganvas.files import write_atomically
from ganvas.kinds.sound.files import encode_sound
from ganvas.kinds.sound.spec import SoundSpec
from ganvas.studies._augmentation_job import ARMS, PREDICTIONS, SAMPLES, classify, fraction_of, opened
from ganvas.studies._augmentation_judge import Predictions, verdict
from ganvas.studies._augmentation_kinds import Sounds, _played
from ganvas.studies.augmentation import augmentation

RATE = 4000
SPEAKERS = ("anna", "ben", "carl", "dora")


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two words, each said six times by four people."""
    folder, rng = tmp_path / "recordings", np.random.default_rng(0)
    for word in ("no", "yes"):
        (folder / word).mkdir(parents=True)
        for name in SPEAKERS:
            for take in range(6):
                wave = rng.uniform(-0.5, 0.5, (512, 1)).astype(np.float32)
                made = encode_sound(wave, RATE, format="wav", depth=16, note={})
                write_atomically(folder / word / f"{word}_{name}_{take}.wav", made)
    return folder


def a_job(data: Path | str, **own: Any) -> dict[str, Any]:
    options = {"channels": None, "phantom_count": 200, **own.pop("options", {})}
    common = {"data": str(data), "size": None, "options": options, "steps": 30, "samples": 50, "flip": False, "seed": 0}
    return {**common, "share": 0.1, "generator": 0, "system": "specgan", "config": {}, **own}


# Who is held out


def test_a_speaker_is_held_out_by_name_and_fractions_are_of_recordings(recordings: Path) -> None:
    dataset = opened(a_job(recordings, options={"hold_out": ["carl"]}))
    names = dataset.names()
    assert {names[k].split("_")[1] for k in dataset.heldout_indices()} == {"carl"} and dataset.heldout.sum() == 12
    rows = fraction_of(dataset, 1 / 3, 0)
    assert len(rows) == 12 and np.bincount(dataset.labels[rows]).tolist() == [6, 6]  # type: ignore[index]
    assert {names[k].split("_")[1] for k in rows} <= {"anna", "ben", "dora"}
    assert len(np.unique(dataset.groups[dataset.heldout_indices()])) == 12  # recordings are drawn again, not the one speaker
    assert dataset.fingerprint != opened(a_job(recordings, options={"hold_out": ["ben"]})).fingerprint


def test_a_table_of_speakers_holds_out_as_it_says(recordings: Path) -> None:
    with (recordings / "groups.csv").open("w", newline="") as stream:
        rows = [
            (f"{word}/{word}_{name}_{take}.wav", name, "heldout" if name == "dora" else "train")
            for word in ("no", "yes")
            for name in SPEAKERS
            for take in range(6)
        ]
        csv.writer(stream).writerows([("file", "group", "split"), *rows])
    dataset = opened(a_job(recordings))
    assert {dataset.names()[k].split("_")[1] for k in dataset.heldout_indices()} == {"dora"}
    assert len(fraction_of(dataset, 1 / 6, 0)) == 6  # of eighteen recordings of each word three, not whole speakers
    facts = Sounds(dataset.spec).facts(dataset)
    assert facts["groups_named"] == 1 and "1 of the groups alone" in Sounds.warnings({**facts, "phantom": False})[0]
    with pytest.raises(GanvasError, match="would tear 4 groups"):
        opened(a_job(recordings, options={"hold_out": ["no"]}))


def test_of_many_speakers_the_bootstrap_draws_speakers(recordings: Path) -> None:
    dataset = opened(a_job(recordings, options={"hold_out": ["carl"]}))
    many = np.arange(48) // 2
    dataset.groups, dataset.heldout = many, many % 2 == 0  # 24 speakers of two recordings, half of them held out
    assert len(np.unique(Sounds.settled(dataset).groups[dataset.heldout])) == 12
    assert len(np.unique(Sounds.settled(dataset).groups[~dataset.heldout])) == 24


def test_what_cannot_be_held_out_is_refused_in_a_line(recordings: Path, tmp_path: Path) -> None:
    with pytest.raises(GanvasError, match=r"--hold-out car: .*did you mean 'carl'"):
        opened(a_job(recordings, options={"hold_out": ["car"]}))
    with pytest.raises(GanvasError, match="class no has no record in the training part"):
        opened(a_job(recordings, options={"hold_out": ["no"]}))
    for words in ({"flip": True}, {"channels": 3}):
        with pytest.raises(GanvasError, match="is not for sounds"):
            augmentation(str(recordings), tmp_path / "out", **words)


def test_unnamed_speakers_are_warned_of(recordings: Path) -> None:
    dataset = opened(a_job(recordings))
    facts = {**Sounds(dataset.spec).facts(dataset), "phantom": False}
    assert "--hold-out" in Sounds.warnings(facts)[0]
    assert "carl alone" in Sounds.warnings({**facts, "hold_out": ["carl"]})[0]


# What a recogniser hears


def test_classic_changes_of_sound_are_what_they_are_said_to_be() -> None:
    time = torch.arange(2048) / RATE
    tone = torch.sin(2 * torch.pi * 500 * time)[None].repeat(3, 1)
    still = _played(tone, torch.ones(3), torch.tensor([0.0, 40.0, -40.0]))
    assert torch.allclose(still[0], tone[0], atol=1e-5)
    assert torch.allclose(still[1, 40:], tone[0, :-40], atol=1e-5) and not still[1, :39].any()
    assert torch.allclose(still[2, :-40], tone[0, 40:], atol=1e-5) and not still[2, -38:].any()
    faster = _played(tone[:1], torch.tensor([1.1]), torch.zeros(1))[0]
    assert abs(float(torch.fft.rfft(faster[:1800]).abs().argmax()) * RATE / 1800 - 550) < 4
    assert not faster[1900:].any()  # it is over sooner

    kind, rng = Sounds(SoundSpec(2048, RATE)), torch.Generator().manual_seed(0)
    plain, changed = kind.seen(tone), kind.varied(tone, rng, False)
    assert plain.shape == changed.shape == (3, 1, 40, 64) and float(plain.min()) >= -1
    again = kind.varied(tone, torch.Generator().manual_seed(0), False)
    assert torch.equal(changed, again) and not torch.equal(changed[0], changed[1])
    assert torch.allclose(kind.seen(tone * 0.1), plain, atol=1e-3)  # loudness is no word


def test_samples_are_kept_in_16_bits() -> None:
    kind = Sounds(SoundSpec(2048, RATE))
    waves = np.random.default_rng(0).uniform(-1.2, 1.2, (4, 2048, 1)).astype(np.float32)
    again = kind.read(kind.kept(waves))
    assert np.abs(again.numpy() - waves[..., 0].clip(-1, 1)).max() < 1e-4
    shown = kind.shown(kind.kept(waves), {"rate": RATE})
    assert shown.dtype == np.uint8 and shown.shape[0] == 4 and shown.shape[3] == 3


def test_words_as_good_as_real_ones_help_and_noise_does_not(tmp_path: Path) -> None:
    """A perfect generator is played by unseen words of the phantom; a worthless one by noise with labels at random."""
    job = a_job("words", size="512", options={"phantom_count": 200}, share=0.05)
    unseen = open_data("words", size=512, phantom_count=200, seed=9, progress=False)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (200, 512, 1)).astype(np.float32)
    worth = {}
    for name, waves in {"perfect": np.asarray(unseen.values), "noise": noise}.items():
        (tmp_path / name / "generator-0").mkdir(parents=True)
        np.savez(tmp_path / name / "generator-0" / SAMPLES, samples=Sounds.kept(waves), labels=np.asarray(unseen.labels))
        place = tmp_path / name / "classifiers-0-0"
        place.mkdir()
        classify(place, job)
        with np.load(place / PREDICTIONS) as held:
            said = {arm: held[arm] for arm in ARMS}
            worth[name] = Predictions(held["truth"], held["groups"], {(0, 0): said})
    perfect, noisy = (worth[name].difference("mixed", "oversampled") for name in ("perfect", "noise"))
    assert verdict(perfect) == "yes" and perfect["value"] > 0.1
    assert verdict(noisy) != "yes" and noisy["value"] < perfect["value"] - 0.1
    assert worth["perfect"].scores("synthetic")["balanced_accuracy"] > 0.6
    assert abs(worth["noise"].scores("synthetic")["balanced_accuracy"] - 0.25) < 0.15  # nothing can be learnt of it


# The command


def test_both_names_are_one_study() -> None:
    speech, plain = (_parse(["study", name]) for name in ("speech-augmentation", "augmentation"))
    assert (speech.data, speech.fractions, speech.out) == ("words", "5,10,25", Path("studies/speech-augmentation"))
    assert (plain.data, plain.fractions, plain.out) == (None, "5,10,25,100", Path("studies/augmentation"))
    assert speech.study is plain.study and set(vars(speech)) == set(vars(plain))


def test_from_recordings_to_the_page_and_on(recordings: Path, tmp_path: Path) -> None:
    """With a generator of two seconds; again it begins nothing anew, and another speaker asks for another folder."""
    out, told = tmp_path / "study", list[str]()
    how: dict[str, Any] = {
        "hold_out": ["dora"], "fractions": [50], "generators": 1, "classifiers": 1, "seconds": 2.0, "steps": 3, "samples": 4,
        "config": {"width": 1, "batch_size": 2, "griffin_lim_rounds": 0}, "jobs": 1, "say": told.append,
    }  # fmt: skip
    found = augmentation(str(recordings), out, **how)
    assert found["kind"] == "sound" and found["conditional"] and found["system"] == "specgan" and len(found["answers"]) == 5
    assert any("dora alone" in own for own in found["warnings"]) and found["heldout"] == [6, 6]
    page = (out / "study.md").read_text()
    assert "log-mel pictures" in page and "masks" in page and "pixels" not in page and str(tmp_path) not in page
    assert (out / "figures" / "samples.png").stat().st_size > 2000
    before = sorted(own.stat().st_mtime_ns for own in out.rglob("result.json"))
    assert augmentation(str(recordings), out, **how)["answers"] == found["answers"]
    assert sorted(own.stat().st_mtime_ns for own in out.rglob("result.json")) == before
    with pytest.raises(GanvasError, match="cannot go on under changed settings"):
        augmentation(str(recordings), out, **{**how, "hold_out": ["ben"]})
