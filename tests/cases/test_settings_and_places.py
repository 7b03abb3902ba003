"""Cases of settings files and places: a key counts once, numbers are decimal, results are no input, names keep their number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import toys
from ganvas.errors import GanvasError
from ganvas.run.apply import apply
from ganvas.run.settings import read_yaml, write_yaml
from ganvas.run.train import train

FAST: dict[str, Any] = {"threads": 1, "precision": "32", "channels_last": "off", "sample_every": 0.0, "quiet": True}


def pictures(folder: Path, count: int = 12, side: int = 16) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for k, pixels in enumerate(toys.pictures(count, side, side)):
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


@pytest.mark.parametrize("text", ["width: 8\nwidth: 16\n", "run:\n  a: 1\n  b: 2\n  a: 3\n"])
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, text: str) -> None:
    """YAML 1.2, 3.2.1.3: keys of a mapping are unique. The last one won without a word."""
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(GanvasError, match=r"a\.yaml: '(width|a)' stands in lines \d and \d: keep one"):
        read_yaml(tmp_path / "a.yaml")


def test_numbers_are_decimal_and_texts_come_back(tmp_path: Path) -> None:
    """YAML 1.1 reads 010 as eight and 1:30 as ninety; people mean neither."""
    (tmp_path / "a.yaml").write_text("a: 010\nb: 1:30\nc: 12\nd: -3\ne: 0.5\nf: true\ng: [1, 2]\n")
    read = read_yaml(tmp_path / "a.yaml")
    assert read == {"a": "010", "b": "1:30", "c": 12, "d": -3, "e": 0.5, "f": True, "g": [1, 2]}
    texts = {
        name: name for name in ("010", "08", "1:30", "1e5", "1e-4", "0x10", "1_000", "12", "no", "~", "2024-01-02", "a: b")
    }
    write_yaml(tmp_path / "b.yaml", texts)
    assert read_yaml(tmp_path / "b.yaml") == texts


def test_results_below_an_input_are_no_input(tmp_path: Path) -> None:
    """Applied into a folder of the inputs, and again: the second call works on the inputs alone."""
    folder = pictures(tmp_path / "photos", 4)
    train(
        "srgan", folder, out=tmp_path / "run", budget="1r", size=16, watch="off", config={"width": 2, "batch_size": 4}, **FAST
    )
    heard: list[str] = []
    for name in ("once", "again"):
        made = apply(tmp_path / "run", [folder], out=folder / name, device="cpu", say=heard.append)
        assert made["inputs"] == 4
        assert len(list((folder / name).glob("*.png"))) == 4
    assert any("4 files left out that ganvas made (once/0.png" in note for note in made["notes"])
    assert apply(tmp_path / "run", [folder / "once"], out=tmp_path / "more", device="cpu")["inputs"] == 4, "named, it is one"


def test_classes_at_other_numbers_are_told(tmp_path: Path) -> None:
    """Weights of a class go by its number: begun from another run, `dark` would go on as `middle`."""
    for name in ("bright", "dark", "middle"):
        pictures(tmp_path / "a" / name, 8, 8)
        pictures(tmp_path / "b" / (name if name != "dark" else "zdark"), 8, 8)
    given = {"config": {"width": 2, "latent_size": 2, "batch_size": 4}, "budget": "1r", **FAST}
    train("cgan", tmp_path / "a", out=tmp_path / "one", **given)
    for data, told in (("a", False), ("b", True)):
        heard: list[str] = []
        train("cgan", tmp_path / data, out=tmp_path / f"from-{data}", init_from=tmp_path / "one", say=heard.append, **given)
        said = "".join(heard)
        assert ("'dark' is now 'middle', 'middle' is now 'zdark'" in said) == told


def test_a_place_whose_name_is_no_unicode(tmp_path: Path) -> None:
    """Latin-1 bytes in the name of the data's folder and of a class: training, samples and a card end without a traceback."""
    folder = tmp_path / "caf\udce9"
    for name in ("b", "\udce4"):
        pictures(folder / name, 8, 8)
    words = ("--set", "width=2", "--set", "batch_size=4", "--budget", "1r", "--threads", 1)
    done = toys.ganvas("train", "cgan", "--data", folder, *words, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "MODEL_CARD.md").is_file()
    done = toys.ganvas("sample", tmp_path / "run", "-n", 4, "--out", tmp_path / "made")
    assert done.returncode == 0, done.stderr
    assert np.all([rf"{name}" in (tmp_path / "made" / "labels.csv").read_text() for name in (",b", r",\udce4")])
