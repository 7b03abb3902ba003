"""What was restored or made of a record is compared with the true one, whatever the kind: a denoiser, a vocoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.errors import GanvasError
from ganvas.evaluation.judge import evaluate
from ganvas.evaluation.table import ROWS, lines
from ganvas.kinds import kind_names, kind_of
from ganvas.kinds.facets import Paired
from ganvas.kinds.sound.spectra import si_sdr, spectral_distance
from ganvas.kinds.table.spec import TableSpec
from ganvas.metrics import retrieval
from ganvas.run.train import train
from toys import outside

PAIRED = [name for name in kind_names() if isinstance(kind_of(name), Paired)]
BEST = {"psnr": 100.0, "ms_ssim_to_original": 1.0, "log_spectral_distance": 0.0, "si_sdr": 100.0, "relative_error": 0.0}
BEST |= {"flicker": 0.0}
BEST |= {"point_distance": 0.0, "right_points": 1.0, "same_values": 1.0, "same_labels": 1.0, "overlap": 1.0}


@pytest.mark.parametrize("name", PAIRED)
def test_nothing_is_nearer_to_a_record_than_itself(name: str) -> None:
    kind: Any = kind_of(name)
    spec = kind.example(max(16, kind.says.example_size), kind.says.example_channels)
    true, other = (kind.blank(spec, 6, np.random.default_rng(seed)) for seed in (0, 1))
    same, apart = kind.paired(true, true, spec, ("effnet",)), kind.paired(other, true, spec, ("effnet",))
    assert kind.pair_measure in same and same.keys() <= ROWS.keys()
    for key, (values, protocol) in same.items():
        assert values.shape == (6,) and protocol
        assert values == pytest.approx(BEST[key], abs=1e-5)
        worse = apart[key][0] < values if ROWS[key][1] == "higher" else apart[key][0] > values
        assert worse.all(), key


def test_sound_is_measured_in_decibels() -> None:
    rng = np.random.default_rng(0)
    true = (0.1 * rng.standard_normal((3, 4000, 2))).astype(np.float32)
    noise = (0.01 * rng.standard_normal(true.shape)).astype(np.float32)
    assert si_sdr(true + noise, true) == pytest.approx(20, abs=0.5)
    assert si_sdr(0.3 * (true + noise), true) == pytest.approx(20, abs=0.5), "the loudness does not count"
    assert spectral_distance(2 * true, true, 8000) == pytest.approx(20 * np.log10(2), abs=0.01)
    assert (si_sdr(0 * true, true) == -100).all() and np.isnan(si_sdr(true, 0 * true)).all()


def test_gaps_of_a_table_are_compared_as_values() -> None:
    spec = TableSpec(
        ("a", "b", "c"), ("number", "number", "class"), ((), (), ("x", "y")), (0.0, 0.0, 0.0), (2.0, 1.0, 1.0),
        (False, True, True), (1, 1, -1),
    )  # fmt: skip
    true = np.array([[0, 1, 0], [0, np.nan, np.nan], [0, 1, 1]], float)
    made = np.array([[2, 1, 0], [2, np.nan, 0], [2, np.nan, 1]], float)
    found = kind_of("table").paired(made, true, spec, ())  # type: ignore[attr-defined]
    assert found["relative_error"][0] == pytest.approx([np.sqrt(0.5), 1.0, 1.0])
    assert found["same_values"][0] == pytest.approx([1.0, 0.5, 0.5])


SYSTEM = '''
"""Gives back half of what it was given, which is degraded to 0.8 of what it was."""
from dataclasses import dataclass
import torch
from torch import nn
from ganvas.config import knob
from ganvas.game import Phase, Player, System, Turn
from ganvas.optim import optimiser

CARD = {"title": "t", "authors": "a", "year": 2020, "paper": "p", "summary": "s", "data": ["KIND"]}

@dataclass(frozen=True)
class Config:
    batch_size: int = knob(4, "records", low=1)

class Halves(System):
    Config = Config
    multiple = scale = 1
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.weight = nn.Linear(1, 1)
    def players(self):
        return (Player("one", ("weight",), optimiser("adam", 1e-3)),)
    def phases(self):
        return (Phase("play", (Turn("one", self.play),)),)
    def play(self, batch, clock, shared):
        return {"loss": self.weight(torch.ones(1, 1)).square().sum()}
    def degrade(self, records, noise):
        return 0.8 * records
    def restore(self, records, noise):
        return 0.5 * records
PRESETS = {"auto": {}}
'''


def judged(kind: str, data: str, folder: Path, made: str = "0.5 * records", **more: Any) -> dict[str, Any]:
    file = folder / "halves.py"
    file.write_text(SYSTEM.replace("KIND", kind).replace("0.5 * records", made))
    given: dict[str, Any] = {"budget": "1r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}
    train(str(file), data, out=folder / "run", phantom_count=60, **given, **more)
    return evaluate(folder / "run", system=file)


def test_a_denoiser_of_series_is_judged_by_its_error(tmp_path: Path) -> None:
    result = judged("series", "sensors", tmp_path)
    import ganvas

    data = ganvas.open_data("sensors", phantom_count=60, progress=False)
    spec = data.spec
    scaled = (data.values[data.heldout].astype(np.float64) - np.array(spec.centre)) / np.array(spec.scale)
    wanted = 0.6 * np.sqrt(np.square(scaled).mean((1, 2)))
    found = result["relative_error"]
    assert found["value"] == pytest.approx(wanted.mean(), rel=1e-4) and found["low"] < found["value"] < found["high"]
    assert found["protocol"].endswith(f"/n={len(wanted)}")
    assert any("degraded and restored; relative_error compares pairs" in note for note in result["notes"])
    text = "\n".join(lines(result))
    assert "relative error to the original" in text
    # Degraded records have a third of the error of what the run makes of them: it is said that leaving them alone is better.
    alone = result["anchors"]["input"]["relative_error"]
    assert alone["value"] == pytest.approx(wanted.mean() / 3, rel=1e-4)
    assert "note: the given records as they are: better than what the run makes, by relative error to the original" in text
    assert "input: the given records as they are" in text
    # Each stands for a held-out record: their spread says nothing of the run, and copies of training records do not either.
    assert not {"precision", "coverage", "memorisation"} & set(result)
    assert "copies of training records were not looked for" in text


def test_a_vocoder_is_judged_by_what_is_heard(tmp_path: Path) -> None:
    result = judged("sound", "words", tmp_path, size="1024")
    assert 0 < result["log_spectral_distance"]["value"] < 9, "20 log10(0.4) dB are 8, less where it is silent"
    assert result["si_sdr"]["value"] > 60, "only the loudness differs, and the rounding of files"


def test_intervals_hold_their_values_below_nought_decibels(tmp_path: Path) -> None:
    """They were cut at 0, as are those of numbers that cannot be negative."""
    result = judged("sound", "words", tmp_path, made="records.flip(-1)", size="1024")
    assert result["si_sdr"]["high"] < 0, "sounds from back to front"
    assert list(outside(result)) == []


def test_a_kind_without_such_a_measure_has_retrieval_and_says_so(tmp_path: Path) -> None:
    result = judged("points", "gaussians", tmp_path, made="records")
    assert "points are judged as a set, and compared with their originals by retrieval alone" in " ".join(result["notes"])
    assert result["fd"]["value"] > 0
    found = result["retrieval"]
    assert found["among"] == 12 and found["chance"] == pytest.approx(1 / 12), "a fifth of 60 records is held out"
    assert found["value"] > 0.3 and found["low"] < found["value"] < found["high"], "0.8 of a point still lies near it"
    assert "own original is the nearest" in "\n".join(lines(result))
    (tmp_path / "lost").mkdir()
    lost = judged("points", "gaussians", tmp_path / "lost", made="0 * records")
    assert lost["retrieval"]["value"] < 0.2, "one point for all leads to one original"


def test_retrieval_looks_among_others_that_differ() -> None:
    rng = np.random.default_rng(0)
    true = rng.standard_normal((400, 6))
    every = np.arange(400)
    found = retrieval(true + 0.01 * rng.standard_normal(true.shape), true, every, features="plain")
    assert (found.value, found.more) == (
        1.0,
        {"among": 100, "chance": 0.01},
    ) and found.protocol == "retrieval/top-1/plain/among=100/n=400"
    assert found.low is not None and 0.98 < found.low < 1
    assert retrieval(rng.permutation(true), true, every, features="plain").value < 0.05, "another's record leads elsewhere"
    # Two records of each original: the other one is no wrong answer.
    twice, pairs = np.repeat(true[:50], 2, 0), np.repeat(every[:50], 2)
    assert retrieval(twice, twice, pairs, features="plain").value == 1.0
    assert retrieval(twice, twice, pairs, features="plain").more["among"] == 50
    assert retrieval(twice, twice, np.arange(100), features="plain").value == 0.0, "a tie is not found"
    with pytest.raises(GanvasError, match="9 different ones: 10 or more"):
        retrieval(true[:20], true[:20], np.arange(20) % 9, features="plain")
