"""The data of a run is opened again as it was, also by runs that were begun before settings meant what they mean now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.data.dataset import open_data
from ganvas.errors import GanvasError
from ganvas.run.load import read_run
from ganvas.run.opening import data_again, open_record_data
from ganvas.run.settings import FILE, read_yaml, write_yaml
from ganvas.run.train import train

soundfile = pytest.importorskip("soundfile")

SMALL = {"width": 2, "latent_size": 3, "batch_size": 4, "critic_turns": 1}


def recordings(folder: Path, seconds: float = 5.0, rate: int = 1000) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(4):
        soundfile.write(folder / f"{k}.wav", rng.uniform(-0.5, 0.5, round(seconds * rate)), rate)
    return folder


def begun(data: Path, out: Path, **more: Any) -> Path:
    train(
        "wavegan", data, out=out, budget="1r", config=SMALL, quiet=True, threads=1, precision="32", channels_last="off", **more
    )
    return out


def test_nothing_said_of_fit_stays_nothing_said(tmp_path: Path) -> None:
    data = recordings(tmp_path / "long")
    run = begun(data, tmp_path / "run")
    assert read_yaml(run / FILE)["run"]["fit"] is None
    assert open_record_data(read_run(run)).values.shape == (20, 1024, 1)
    cropped = begun(data, tmp_path / "cropped", fit="crop")
    assert read_yaml(cropped / FILE)["run"]["fit"] == "crop"
    assert data_again(read_run(cropped)).values.shape == (4, 1024, 1)


@pytest.mark.parametrize(("seconds", "fit", "clips"), [(5.0, None, 20), (3.0, "patches", 12)])
def test_sounds_of_a_run_from_before_are_cut_as_they_were(tmp_path: Path, seconds: float, fit: str | None, clips: int) -> None:
    """Such a run says `crop`, which nobody had said, and sounds of more than two clips were cut all the same."""
    data = recordings(tmp_path / "long", seconds)
    run = begun(data, tmp_path / "run", size="1024", fit=fit)
    values = read_yaml(run / FILE)
    values["run"]["fit"] = "crop"
    write_yaml(run / FILE, values)
    assert data_again(read_run(run)).values.shape == (clips, 1024, 1)
    train(resume=run, budget="2r", quiet=True)
    soundfile.write(data / "4.wav", np.zeros(100), 1000)
    with pytest.raises(GanvasError, match="has changed since"):
        data_again(read_run(run))


def test_open_data_cuts_and_crops_as_it_is_told(tmp_path: Path) -> None:
    data = recordings(tmp_path / "long")
    shapes = {fit: open_data(data, fit=fit, size=1024, progress=False).values.shape for fit in (None, "crop", "patches")}
    assert shapes == {None: (20, 1024, 1), "crop": (4, 1024, 1), "patches": (20, 1024, 1)}


def test_a_file_of_several_arrays_is_trained_at_their_size_unasked(tmp_path: Path) -> None:
    """The size was looked for under the key `images`, which a file of pairs has not."""
    rng = np.random.default_rng(0)
    pairs = {name: rng.integers(0, 256, (40, 24, 32, 1), dtype=np.uint8) for name in ("map", "photo")}
    np.savez(tmp_path / "pairs.npz", **pairs)
    told = train("pix2pix", tmp_path / "pairs.npz", out=tmp_path / "run", dry_run=True, quiet=True, precision="32",
                        channels_last="off", config={"width": 4})  # fmt: skip
    assert "24x32" in str(told["data"]) or "32x24" in str(told["data"]), told["data"]


def test_data_of_another_kind_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """What a system asks of its own kind (a size) is not held against another one, and nothing is read for nothing."""
    from ganvas.registry import find
    from ganvas.run.opening import open_run_data, with_options
    from ganvas.run.settings import build_settings

    (tmp_path / "a.wav").write_bytes(b"not even a sound")
    for name, data, told in (
        ("vgan", str(tmp_path), "video data, but .* holds sound"),
        ("gan-3d", "chest", "solid data, but chest"),
    ):
        card = find(name)
        with pytest.raises(GanvasError, match=f"{name} learns from {told}"):
            open_run_data(with_options(build_settings({"data": data}), card), card=card)
