"""Colouring: hints of files, with transparency or on a copy; drawings of any size; what is no hint is told in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganvas.errors import DataError
from ganvas.inference.colouring import grey, no_hints
from ganvas.inference.painting import in_colour, painted
from ganvas.run.apply import apply
from ganvas.run.load import Run
from ganvas.run.train import train

FAST: dict[str, Any] = {"budget": "1r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}
RNG = np.random.default_rng(0)


def trained(folder: Path, source: str) -> Path:
    """A run of one round on noise of 16 pixels a side."""
    np.savez(folder / "data.npz", images=np.random.default_rng(1).integers(0, 256, (24, 16, 16, 3)).astype(np.uint8))
    config = {"width": 4, "batch_size": 4, "source": source}
    train("auto-painter", folder / "data.npz", out=folder / "run", config=config, size=16, **FAST)
    return folder / "run"


@pytest.fixture(scope="module")
def lined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("lines"), "lines")


@pytest.fixture(scope="module")
def greyed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("grey"), "grey")


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def drawing(height: int = 40, width: int = 56) -> np.ndarray:
    """A black frame on white paper, grey, 8 bits."""
    pixels = np.full((height, width), 255, np.uint8)
    pixels[8:32, 10:12] = pixels[8:32, 40:42] = pixels[8:10, 10:42] = pixels[30:32, 10:42] = 0
    return pixels


def made_by(run: Path, picture: Path, out: Path, **fields: Path) -> tuple[np.ndarray, list[str]]:
    told = apply(run, [picture], fields={name: str(path) for name, path in fields.items()}, out=out)
    assert told["verb"] == "colourise"
    return np.asarray(Image.open(out / picture.name)), told["notes"]


def test_a_grey_drawing_of_any_size_comes_back_in_colour_and_keeps_its_lines(lined: Path, tmp_path: Path) -> None:
    made, _ = made_by(lined, saved(tmp_path / "a.png", drawing()), tmp_path / "o")
    assert made.shape == (40, 56, 3)
    assert (made[drawing() == 0] == 0).all()
    assert (made.max(-1) != made.min(-1)).mean() > 0.5


def test_grey_values_of_a_photograph_stay(greyed: Path, tmp_path: Path) -> None:
    photo = RNG.integers(0, 256, (37, 50)).astype(np.uint8)
    made, _ = made_by(greyed, saved(tmp_path / "a.png", photo), tmp_path / "o")
    luminance = made.astype(float) @ (0.299, 0.587, 0.114)
    assert made.shape == (37, 50, 3) and np.abs(luminance - photo).max() <= 1


def test_hints_are_what_is_not_transparent_or_what_was_painted_on_a_copy(lined: Path, tmp_path: Path) -> None:
    picture = saved(tmp_path / "a.png", drawing())
    plain, _ = made_by(lined, picture, tmp_path / "plain")
    clear = np.zeros((40, 56, 4), np.uint8)
    clear[15:25, 20:30] = (200, 30, 30, 255)
    first, notes = made_by(lined, picture, tmp_path / "clear", hints=saved(tmp_path / "clear.png", clear))
    assert any("hints on 4.5%" in note for note in notes)
    copy = np.repeat(drawing()[..., None], 3, 2)
    copy[15:25, 20:30] = (200, 30, 30)
    second, _ = made_by(lined, picture, tmp_path / "copy", hints=saved(tmp_path / "copy.png", copy))
    assert (first == second).all() and (first != plain).any()
    flat = np.concatenate([clear[..., :3], clear[..., 3:]], -1)[None]
    again = Run(lined).use("colourise", np.repeat(drawing()[None, ..., None], 3, -1), hints=flat)["real"]
    assert (again[0] == first).all()


@pytest.mark.parametrize(
    ("hints", "told"),
    [
        (np.zeros((40, 56, 4), np.uint8), "hold no colour"),
        (np.repeat(drawing()[..., None], 3, 2), "hold no colour"),
        (np.full((40, 56, 3), 90, np.uint8), "cover 100% of it"),
        (np.full((20, 56, 4), 90, np.uint8), "its hints are of 20x56, it is of 40x56"),
    ],
)
def test_what_is_no_hint_is_told_in_a_line(lined: Path, tmp_path: Path, hints: np.ndarray, told: str) -> None:
    picture = saved(tmp_path / "a.png", drawing())
    with pytest.raises(DataError, match=told) as caught:
        made_by(lined, picture, tmp_path / "o", hints=saved(tmp_path / "hints.png", hints))
    assert "\n" not in str(caught.value)


def test_hints_in_memory_without_a_channel_that_says_where_count_everywhere(lined: Path) -> None:
    images, hints = np.full((1, 16, 16, 3), 255, np.uint8), np.full((1, 16, 16, 3), 77, np.uint8)
    all_over = np.concatenate([hints, np.full((1, 16, 16, 1), 255, np.uint8)], -1)
    first, second = (Run(lined).use("colourise", images, hints=own)["real"] for own in (hints, all_over))
    assert (first == second).all()


def test_a_picture_in_colour_is_told_to_be_coloured_anew(lined: Path, tmp_path: Path) -> None:
    colours = np.zeros((32, 32, 3), np.uint8)
    colours[:, :16], colours[:, 16:] = (250, 20, 20), (20, 20, 250)
    _, notes = made_by(lined, saved(tmp_path / "a.png", colours), tmp_path / "o")
    assert any("coloured anew" in note for note in notes)


def test_colours_are_found_at_the_size_of_training_and_meet_their_place() -> None:
    """A network that paints the left half red, the right half green: the aspect is kept, the colours lie where they belong."""
    seen = {}

    def halves(drawings: torch.Tensor, hints: torch.Tensor) -> torch.Tensor:
        seen["size"], seen["hints"] = tuple(drawings.shape[2:]), hints
        made = -torch.ones(1, 3, 16, 16)
        made[:, 0, :, :8] = made[:, 1, :, 8:] = 1
        return made

    sheet = torch.ones(1, 1, 40, 80)
    hints = no_hints(sheet.expand(-1, 3, -1, -1))
    hints[:, :3, 20, 70], hints[:, 3, 20, 70] = torch.tensor([1.0, -1.0, 0.5]), 1.0
    made = painted(halves, sheet, hints, (16, 16), keeps_luminance=False)
    assert seen["size"] == (16, 16) and made.shape == (1, 3, 40, 80)
    assert (made[:, 0, :, :32] > 0.9).all() and (made[:, 1, :, 48:] > 0.9).all()
    dab = seen["hints"]
    assert (dab[:, 3] > 0).sum() == 1, "a dab of one pixel does not vanish where it is made smaller"
    y, x = torch.nonzero(dab[0, 3] > 0)[0].tolist()
    assert (y, x) == (8, 14) and torch.allclose(dab[0, :3, y, x], torch.tensor([1.0, -1.0, 0.5]))


def test_specks_of_colour_make_no_picture_in_colour() -> None:
    images = torch.zeros(1, 3, 20, 20)
    images[0, 0, 3, 3] = 1
    assert not in_colour(images) and not in_colour(images[:, :1])
    images[0, 0, :3] = 1
    assert in_colour(images) and grey(images).shape == (1, 1, 20, 20)
