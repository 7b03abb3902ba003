"""What is done with a run depends on that run and on the file in hand: not on its folder, other files or its precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import toys
from ganvas.cli import main
from ganvas.data.finding import recognise
from ganvas.errors import GanvasError
from ganvas.evaluation.judge import evaluate
from ganvas.run.apply import apply
from ganvas.run.load import Run
from ganvas.run.train import train


@pytest.fixture(scope="module")
def drawer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("same")
    data = toys.picture_folder(folder / "data", 60)
    given = {"budget": "2r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off", "precision": "64"}
    train("lsgan", data, out=folder / "run", config=toys.SMALL, **given)
    return folder / "run"


def test_a_run_in_memory_draws_as_it_is(drawer: Path, tmp_path: Path) -> None:
    run = Run(drawer)
    with torch.no_grad():
        for parameter in run.system.parameters():
            parameter.zero_()
    apply(run, [], out=tmp_path / "own", count=2)
    apply(drawer, [], out=tmp_path / "folder", count=2, device="cpu")
    own, folder = (np.asarray(Image.open(next((tmp_path / name).glob("sample-*.png")))) for name in ("own", "folder"))
    assert np.unique(own).size == 1 and np.unique(folder).size > 1, "the weights of the run that was given"
    for name, value in (("to", "light"), ("tile", 64)):
        with pytest.raises(GanvasError, match=f"--{name} is for"):
            apply(run, [], out=tmp_path / "no", **{name: value})


def test_a_run_of_64_bits_is_judged(drawer: Path) -> None:
    result = evaluate(drawer, count=20, features="pixels", audit=False)
    assert result["fake"]["n"] == 20 and np.isfinite(result["anchors"]["untrained"]["kid"]["value"])


@pytest.mark.slow
def test_a_score_does_not_depend_on_the_files_before(tmp_path: Path) -> None:
    data = toys.picture_folder(tmp_path / "data", 24, side=16)
    given = {"budget": "2r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}
    config = {"width": 4, "latent_size": 4, "batch_size": 8, "method": "search", "search_steps": 5}
    train("anogan", data, out=tmp_path / "run", config=config, **given)
    files = sorted(data.glob("*.png"))[:3]
    together = apply(tmp_path / "run", files, out=tmp_path / "all", device="cpu")["scores"]
    alone = apply(tmp_path / "run", files[2:], out=tmp_path / "one", device="cpu")["scores"]
    assert together[2] == alone[0]


def test_many_pictures_of_any_format_outweigh_one_sound(tmp_path: Path) -> None:
    for k in range(12):
        (tmp_path / f"{k}.tif").touch()
    (tmp_path / "note.wav").touch()
    assert recognise(tmp_path) == "image"


def test_a_third_partys_system_of_tokens_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "words.py"
    file.write_text(
        toys.SIMPLE_SYSTEM.replace('["image"]', '["tokens"]').replace("CAPABILITIES\n", "nothing(self):\n        return None\n")
    )
    text = file.read_text()
    file.write_text(text.replace("DOMAINS", "()"))
    assert main(["show", str(file)]) == 0
    assert "tokens" in capsys.readouterr().out
