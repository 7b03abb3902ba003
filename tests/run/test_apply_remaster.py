"""Films through `remaster`: references from a file or a folder, of any size; length, rate, times and sound stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganvas.errors import DataError, GanvasError
from ganvas.run.apply import apply
from ganvas.run.load import Run
from ganvas.run.train import train

SETTINGS = {
    "width": 4, "halvings": 1, "norm": "none", "skips": True, "initial_attention": 1.0, "matching": "alike", "references": 2,
    "optimiser": "adam", "learning_rate": 1e-3, "batch_size": 4, "ema_half_life": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("remaster")
    clips = np.random.default_rng(0).integers(0, 256, (24, 6, 16, 16, 3), dtype=np.uint8)
    np.savez(folder / "clips.npz", videos=clips, rate=10)
    fast: dict[str, Any] = {"budget": "2r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}
    train("deepremaster", str(folder / "clips.npz"), out=folder / "run", config=SETTINGS, size="16", **fast)
    return Run(folder / "run", which="last", device="cpu")


def frames_of(path: Path) -> np.ndarray:
    """(T, H, W, 3) of a GIF."""
    with Image.open(path) as image:
        found = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            found.append(np.asarray(image.convert("RGB")))
    return np.stack(found)


def gif(path: Path, frames: int, height: int, width: int, duration: int = 80) -> Path:
    rng = np.random.default_rng(1)
    pictures = [Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8)) for _ in range(frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=duration, loop=0)
    return path


@pytest.mark.parametrize(("frames", "height", "width"), [(2, 19, 33), (15, 40, 17)])
def test_a_film_keeps_its_length_size_and_time(run: Run, tmp_path: Path, frames: int, height: int, width: int) -> None:
    film = gif(tmp_path / "old.gif", frames, height, width)
    made = apply(run, [film], out=tmp_path / "clean", tile=32)
    assert made["verb"] == "remaster" and made["files"] == [str(tmp_path / "clean" / "old.gif")]
    assert frames_of(tmp_path / "clean" / "old.gif").shape == (frames, height, width, 3)
    with Image.open(tmp_path / "clean" / "old.gif") as image:
        assert image.info["duration"] == 80


def test_references_come_from_a_file_or_a_folder_whatever_their_size(run: Run, tmp_path: Path) -> None:
    film = gif(tmp_path / "old.gif", 8, 20, 24)
    (tmp_path / "stills").mkdir()
    rng = np.random.default_rng(2)
    for number, (height, width) in enumerate([(20, 24), (50, 40), (9, 9)]):
        flat = np.broadcast_to(rng.integers(0, 256, 3), (height, width, 3)).astype(np.uint8)
        Image.fromarray(flat).save(tmp_path / "stills" / f"{number}.png")
    found = {}
    for name, place in (("none", None), ("one", tmp_path / "stills" / "0.png"), ("all", tmp_path / "stills")):
        given = {} if place is None else {"reference": str(place)}
        apply(run, [film], out=tmp_path / name, fields=given)
        found[name] = frames_of(tmp_path / name / "old.gif").astype(int)
        assert found[name].shape == (8, 20, 24, 3)
    assert np.abs(found["one"] - found["none"]).mean() > 3 and np.abs(found["all"] - found["one"]).mean() > 1


def test_colours_are_new_or_the_films_own_or_none(run: Run, tmp_path: Path) -> None:
    film = gif(tmp_path / "old.gif", 4, 16, 16)
    apply(run, [film], out=tmp_path / "grey", colours="none")
    grey = frames_of(tmp_path / "grey" / "old.gif").astype(int)
    assert np.abs(grey[..., 0] - grey[..., 2]).max() <= 1
    with pytest.raises(GanvasError, match="colours"):
        apply(run, [film], out=tmp_path / "odd", colours="old")
    with pytest.raises(GanvasError, match="tile 5 is too small"):
        apply(run, [film], out=tmp_path / "small", tile=5)


def test_what_is_no_film_is_refused_in_one_line(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "broken.gif"
    bad.write_bytes(gif(tmp_path / "old.gif", 8, 20, 24).read_bytes()[:200])
    lone = tmp_path / "lone.gif"
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(lone)
    for path in (bad, lone):
        with pytest.raises((DataError, GanvasError)) as raised:
            apply(run, [path], out=tmp_path / "out")
        assert "\n" not in str(raised.value) and path.name in str(raised.value)
