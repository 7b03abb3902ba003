"""Options of data: each kind says which it takes, in its own words; no other reaches it unsaid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.config import knobs
from ganvas.data import open_data
from ganvas.data.options import check_options, meanings, settled
from ganvas.errors import GanvasError
from ganvas.kinds import Kind, kind_names, kind_of
from ganvas.run.settings import Settings

KINDS = [kind_of(name) for name in kind_names()]
NAMES = ("size", "channels", "fit", "rate", "axis", "up", "frames")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_a_kind_takes_is_an_option_of_training_and_what_it_does_not_is_refused(kind: Kind) -> None:
    known = {knob.name for knob in knobs(Settings)}
    assert set(kind.says.options) <= known
    for name in NAMES:
        if name in kind.says.options:
            check_options({name: 1}, [kind])
            continue
        with pytest.raises(GanvasError, match=f"--{name} means nothing to {kind.says.noun}: leave it out"):
            check_options({name: 1}, [kind])
    check_options(dict.fromkeys(NAMES), [kind])


def test_an_option_reaches_the_fields_that_take_it_alone(tmp_path: Path) -> None:
    """Channels are the photograph's and not the map's; a rate is nobody's."""
    rng = np.random.default_rng(0)
    for name in ("photo", "map"):
        (tmp_path / name).mkdir()
        for number in range(8):
            values = rng.integers(0, 3 if name == "map" else 255, (16, 16), dtype=np.uint8)
            Image.fromarray(values).save(tmp_path / name / f"{number}.png")
    fields = {"photo": ("image",), "map": ("label_map",)}
    found = open_data(tmp_path, fields=fields, channels=3, progress=False, cache=tmp_path / "cache")
    assert found.fields["photo"].spec.channels == 3
    assert found.fields["map"].spec.kind == "label_map"
    with pytest.raises(GanvasError, match="--rate means nothing to images and label maps"):
        open_data(tmp_path, fields=fields, rate=8000, progress=False, cache=tmp_path / "cache")
    assert "channels" not in settled(kind_of("label_map"), {"channels": 3, "fit": None, "size": None})


def test_help_says_what_an_option_means_to_each_kind() -> None:
    told = meanings("rate", KINDS)
    assert "of sounds: samples a second" in told
    assert "of sequences: steps a beat" in told
    assert meanings("fit", KINDS).count("native scale") == 1, "kinds that mean the same are told together"
    assert meanings("budget", KINDS) == ""
