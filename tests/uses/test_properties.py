"""Samples by numbers: the field of properties, what is asked for and what came, and whether a small game obeys."""

from __future__ import annotations

import csv
import wave
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import ganvas
from ganvas._commands import _column_of
from ganvas.batches import Batch, Noise
from ganvas.cli import main
from ganvas.config import build_config
from ganvas.data.dataset import open_data
from ganvas.data.properties import with_properties
from ganvas.data.streams import open_stream
from ganvas.engine import Engine
from ganvas.errors import DataError, GanvasError
from ganvas.game import Clock
from ganvas.inference.sampling import draw_samples
from ganvas.kinds import kind_of
from ganvas.kinds.sound.envelopes import attacks_and_decays
from ganvas.run.draw import draw
from ganvas.specs import PROPERTIES
from ganvas.store.listing import Source
from ganvas.store.records import Dataset
from ganvas.systems.sound.specgan import Config, SpecGan
from ganvas.uses import Work
from ganvas.uses.properties import (
    asked_and_measured,
    asked_properties,
    judged_sweep,
    known_properties,
    properties_wanted,
    sweep_wanted,
    told_of_asked,
)
from learning import most_seeds

RATE = 8000
SMALL = {
    "width": 2,
    "max_width": 8,
    "bands": 8,
    "column_step": 0.016,
    "latent_size": 4,
    "batch_size": 4,
    "griffin_lim_rounds": 0,
    "learning_rate_fall": 1.0,
}


def tones(folder: Path, count: int = 40) -> Path:
    """Tones that fade, of many pitches and lengths, and a table beside them."""
    folder.mkdir(parents=True)
    rng, t, rows = np.random.default_rng(0), np.arange(1024) / RATE, []
    for k in range(count):
        own = 0.7 * np.sin(2 * np.pi * rng.uniform(300, 2400) * t) * np.exp(-t * np.exp(rng.uniform(3, 5)))
        with wave.open(str(folder / f"{k:02d}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes((own * 32767).astype("<i2").tobytes())
        rows.append((f"{k:02d}.wav", k % 5 + 1, "wood" if k % 2 else "sand"))
    with open(folder / "sounds.csv", "w", newline="") as table:
        csv.writer(table).writerows([("file", "hardness", "surface"), *rows])
    return folder


def opened(folder: Path, text: str) -> Dataset:
    return with_properties(open_data(folder, kinds=("sound",), progress=False), text, Source(folder, str(folder)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tones(tmp_path_factory.mktemp("data") / "tones")


def trained(folder: Path, out: Path, rounds: int, **more: Any) -> Path:
    ganvas.train(
        "specgan", folder, out=out, properties="brightness,decay,hardness", budget=f"{rounds}r", config=SMALL, quiet=True,
        evaluations=0, sample_every=0, watch="off", device="cpu", **more,
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(folder, tmp_path_factory.mktemp("runs") / "run", 4)


# What is measured


def test_attack_and_decay_are_what_they_are_called() -> None:
    t = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 1000 * t)
    waves = np.stack(
        [np.minimum(1, t / rise) * np.exp(-np.maximum(0, t - rise) / fade) for rise, fade in ((0.1, 0.1), (0.02, 0.05))]
    )
    attack, decay = attacks_and_decays(waves * tone, RATE)
    assert attack == pytest.approx([0.08, 0.016], abs=0.004), "from a tenth to nine tenths of a straight rise"
    assert decay == pytest.approx([0.23, 0.115], rel=0.06), "energy falls by 20 dB in 2.3 time constants of it"


def test_properties_are_a_field_in_their_units_scaled_by_training_records(folder: Path) -> None:
    data = opened(folder, "brightness,decay,hardness")
    own = data.fields[PROPERTIES]
    assert own.spec.names == ("brightness", "decay", "hardness")
    assert own.spec.units == ("log2 Hz", "log2 s", "")
    assert own.spec.types == ("number",) * 3, "few whole numbers are numbers here"
    assert own.values[:5, 2].tolist() == [1, 2, 3, 4, 5]
    train = own.values[data.train_indices()].astype(np.float64)
    assert own.spec.centre == pytest.approx(train.mean(0), rel=1e-5)
    assert own.spec.scale == pytest.approx(train.std(0), rel=1e-5)
    assert opened(folder, "measured").fields[PROPERTIES].spec.names[:2] == ("brightness", "attack")
    plain = open_data(folder, kinds=("sound",), progress=False)
    assert len({plain.fingerprint, data.fingerprint, opened(folder, "brightness").fingerprint}) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("brigtness", "did you mean 'brightness'"),
        ("hardnes", "did you mean 'hardness'"),
        ("surface", "holds words"),
        ("", "measured of sounds are brightness, attack"),
    ],
)
def test_a_wrong_name_gets_the_right_one(folder: Path, text: str, told: str) -> None:
    with pytest.raises((GanvasError, DataError), match=told) as caught:
        opened(folder, text)
    assert "\n" not in str(caught.value)


def test_systems_that_are_told_nothing_say_who_is(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GanvasError, match="wavegan is told no properties.*specgan"):
        ganvas.train("wavegan", folder, out=tmp_path / "run", properties="decay", budget="1r", quiet=True)


# What is asked for


def test_numbers_are_in_their_own_unit_or_in_standard_deviations(run: Path) -> None:
    work = ganvas.load(run).work()
    decay = known_properties(work)["decay"]
    assert decay.own(decay.deviations(0.05)) == pytest.approx(0.05)
    assert properties_wanted(work, ["decay=0.05", "brightness=+1sd"]) == {
        "decay": pytest.approx(decay.deviations(0.05)), "brightness": 1.0,
    }  # fmt: skip
    assert properties_wanted(work, ["decay=0.05s"]) == properties_wanted(work, ["decay=0.05own"])
    plain, seconds = sweep_wanted(work, "decay=-2..2:9"), sweep_wanted(work, "decay=0.02..0.1s:3")
    assert plain is not None and seconds is not None
    assert plain.values == pytest.approx(np.linspace(-2, 2, 9))
    assert decay.own(seconds.values) == pytest.approx([0.02, 0.02 * 5**0.5, 0.1]), "equal steps of octaves"


@pytest.mark.parametrize(
    ("words", "sweep", "told"),
    [
        (["decai=0.1"], None, "did you mean 'decay'"),
        (["decay=0.1kg"], None, "sd or own or s"),
        (["decay=-1"], None, "nothing that can be"),
        (["decay=60"], None, "standard deviations from what is usual; learnt were"),
        ([], "decai=-2..2:3", "did you mean 'decay'"),
        ([], "decay=-2", "is not NAME=LOW..HIGH:STEPS"),
        ([], "decay=-2..2:1", "out of range: 2 to 64"),
        (["decay=0.05"], "decay=-2..2:3", "is set as well"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_told_in_a_line(run: Path, words: list[str], sweep: str | None, told: str) -> None:
    with pytest.raises(GanvasError, match=told) as caught:
        asked_properties(ganvas.load(run).work(), 2, None, words, sweep)
    assert "\n" not in str(caught.value)


def test_along_a_sweep_noise_and_all_else_are_held(run: Path) -> None:
    work = ganvas.load(run).work(3)
    asked = asked_properties(work, 3, None, ("hardness=2",), "decay=-1..1:4")
    assert asked is not None
    rows, known = asked.rows.reshape(3, 4, -1).numpy(), known_properties(work)
    assert rows[..., known["decay"].place] == pytest.approx(np.tile(np.linspace(-1, 1, 4), (3, 1)), abs=1e-6)
    others = np.delete(rows, known["decay"].place, 2)
    assert (others == others[:, :1]).all()
    same = asked.rows.clone()
    same[:, known["decay"].place] = 0
    made = torch.cat(list(draw_samples(work.system, 12, seed=3, fields={PROPERTIES: same}, held=4))).reshape(3, 4, -1)
    assert torch.equal(made, made[:, :1].expand_as(made)), "the same noise along a series"
    assert not torch.equal(made[0], made[1])
    fewer = asked_properties(work, 2, None, ("hardness=2",), "decay=-1..1:4")
    assert fewer is not None and torch.equal(fewer.rows, asked.rows[:8])


def test_what_no_record_had_is_brought_to_the_nearest_that_was_learnt(run: Path) -> None:
    work = ganvas.load(run).work()
    decay = known_properties(work)["decay"]
    asked = asked_properties(work, 1, None, (), "decay=-3.5..3.5:3")
    assert asked is not None
    assert asked.rows[:, decay.place].tolist() == pytest.approx([decay.low, 0.0, decay.high])
    assert decay.range in told_of_asked(work, (), "decay=-3.5..3.5:3")[0]
    assert not told_of_asked(work, (), "decay=-0.5..0.5:3")


def test_what_is_not_asked_for_goes_with_what_is(folder: Path, run: Path) -> None:
    """In records, low hardness comes with long decays: so it does beside an asked-for hardness."""
    work = ganvas.load(run).work()
    learnt = torch.randn(400, 4)
    learnt[:, 1] = -learnt[:, 2]
    board = SimpleNamespace(learnt_properties=lambda: learnt, sample=work.system.sample)
    fake = SimpleNamespace(system=board, fields=work.fields, seed=0, place="run", dtype=torch.float32, name="specgan")
    asked = asked_properties(fake, 64, None, ("hardness=+1.5sd",), None)  # type: ignore[arg-type]
    assert asked is not None
    assert float(asked.rows[:, 2].min()) == 1.5
    assert float(asked.rows[:, 1].mean()) == pytest.approx(-1.5, abs=0.3)


# From run to files


def test_asked_and_measured_stand_beside_the_samples(run: Path, tmp_path: Path) -> None:
    made = draw(run, count=2, sweep="decay=-3..3:3", set_attribute=["hardness=3"], out=tmp_path / "out")
    with open(tmp_path / "out" / "attributes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == made["count"] == 6
    assert list(rows[0])[:3] == ["file", "brightness asked (Hz)", "brightness measured (Hz)"]
    assert [row["hardness asked"] for row in rows] == ["3"] * 6
    assert {row["hardness measured"] for row in rows} == {""}, "nobody can measure a column of a table"
    asked = [float(row["decay asked (s)"]) for row in rows]
    assert asked[:3] == asked[3:] and asked[0] < asked[1] < asked[2]
    assert made["properties"]["decay"]["asked"] == pytest.approx(asked, rel=1e-4)
    assert any("beyond what was learnt" in note for note in made["notes"])
    assert any("asked and measured correlate" in note for note in made["notes"])
    records = ganvas.load(run).sample(2, sweep="decay=-3..3:3", attributes={"hardness": 3})
    assert records.shape == (6, 1024, 1)
    again = kind_of("sound").properties(records, ganvas.load(run).spec)["decay"]  # type: ignore[attr-defined]
    assert np.exp2(again) == pytest.approx([float(row["decay measured (s)"]) for row in rows], rel=1e-3)


def test_what_samples_show_is_an_option_by_its_own_name(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(run), "--decay", "0.05", "--hardness", "2", "-n", "2", "--out", str(tmp_path / "out")]) == 0
    with open(tmp_path / "out" / "attributes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["decay asked (s)"]) for row in rows] == pytest.approx([0.05, 0.05])
    assert [row["hardness asked"] for row in rows] == ["2", "2"]
    capsys.readouterr()
    assert main(["sample", str(run), "--hardnes", "2", "--out", str(tmp_path / "no")]) != 0
    assert "did you mean '--hardness'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "column"), [("pitch", "midi_pitch"), ("hair-colour", "hair_colour"), ("colour", None), ("hue", None)]
)
def test_the_end_of_a_column_is_enough_where_it_is_the_only_one(name: str, column: str | None) -> None:
    assert _column_of(name, ["midi_pitch", "hair_colour", "eye_colour", "instrument"]) == column


def test_a_run_that_goes_on_equals_the_straight_one(folder: Path, run: Path, tmp_path: Path) -> None:
    straight = ganvas.load(run).system.state_dict()
    part = trained(folder, tmp_path / "part", 2)
    ganvas.train(resume=part, budget="4r", quiet=True)
    for name, value in ganvas.load(part).system.state_dict().items():
        assert torch.equal(value, straight[name]), name
    assert int(straight["seen"]) == 16


def test_a_run_without_properties_says_how_to_have_some(folder: Path, tmp_path: Path) -> None:
    ganvas.train(
        "specgan", folder, out=tmp_path / "run", budget="1r", config=SMALL, quiet=True, evaluations=0, sample_every=0,
        watch="off", device="cpu",
    )  # fmt: skip
    for asked in ({"set_attribute": ["decay=0.1"]}, {"sweep": "decay=-2..2:3"}):
        with pytest.raises(GanvasError, match="--properties"):
            draw(tmp_path / "run", count=1, out=tmp_path / "out", **asked)


# The game


def test_gaps_are_told_and_not_read(folder: Path) -> None:
    data = opened(folder, "brightness,decay")
    part = data.fields[PROPERTIES]
    spec = replace(part.spec, missing=(False, True))
    system = SpecGan({"real": data.spec, PROPERTIES: spec}, build_config(Config, SMALL))
    rows = torch.tensor([[0.5, 0.0, 1.0], [0.5, 2.0, 0.0]])
    read = torch.tensor([[0.5, 9.0], [0.5, 2.0]])
    assert float(system.told.misread(read, rows)) == 0
    batch = Batch(Noise.seeded(0), {"real": torch.randn(2, 1, 1024), PROPERTIES: rows})
    terms = system.discriminate(batch, Clock(), {})
    assert set(terms) == {"relative", "misread"}
    assert torch.equal(system.learnt_properties()[:, :3], rows)


LEARNING = {
    "width": 8, "max_width": 64, "bands": 16, "column_step": 0.008, "batch_size": 16, "learning_rate": 4e-3,
    "ema_half_life": 500.0, "augment": (), "r1_weight": 0.125, "r2_weight": 0.125,
}  # fmt: skip


def obeyed(data: Dataset, seed: int, **more: Any) -> float:
    """The least correlation of asked and measured, of two sweeps, after a short game."""
    spec = {name: part.spec for name, part in data.fields.items()}
    torch.manual_seed(seed)
    config = build_config(Config, {**SMALL, **LEARNING, **more})
    system = SpecGan(spec, config)
    engine = Engine(system, {"data": open_stream(data, system.feeds()["data"], 16, seed=seed)}, seed=seed)
    for _ in range(250):
        engine.play_round()
    found = []
    with engine.watching() as board, torch.no_grad():
        work = Work(board, spec, seed)
        for text in ("brightness=-1.5..1.5:5", "decay=-1.5..1.5:5"):
            asked, swept = asked_properties(work, 8, None, (), text), sweep_wanted(work, text)
            assert asked is not None and swept is not None
            pieces = draw_samples(board, 40, seed=seed, fields={PROPERTIES: asked.rows}, held=5)
            records = torch.cat(list(pieces)).transpose(1, 2).numpy()
            scores = judged_sweep(work, swept, asked_and_measured(work, asked.rows.numpy(), records, spec["real"]))
            found.append(0.0 if scores is None else scores["correlation"])
    return min(found)


@most_seeds
def test_sounds_have_what_they_are_asked_to_have(folder: Path, seed: int) -> None:
    assert obeyed(opened(folder, "brightness,decay"), seed) >= 0.7
