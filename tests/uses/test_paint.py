"""Painting: strokes of a list or of a picture, of any size of picture; what is no stroke is told in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganvas.errors import DataError
from ganvas.inference.strokes import borrowed, change_mask, followed, laid_on, moved, reduced
from ganvas.kinds.facets import Piece
from ganvas.kinds.image.spec import ImageSpec
from ganvas.run.apply import apply
from ganvas.run.load import Run
from ganvas.run.train import train
from ganvas.studio.using import page_of
from ganvas.uses import Work
from ganvas.uses.paint import strokes_spec
from ganvas.uses.stroking import read_strokes, settled

SPEC = ImageSpec(3, 40, 56)
ONE = {"x": 20, "y": 10, "radius": 5, "colour": "#ff0000"}


def listed(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def picture(spec: ImageSpec = SPEC) -> Piece:
    return Piece(np.full((1, spec.height, spec.width, spec.channels), 200, np.uint8), spec)


def on(path: Path, spec: ImageSpec = SPEC) -> np.ndarray:
    """(H, W, C + 1) of the strokes of a file on a picture of that spec."""
    return settled("a.png", read_strokes(path, spec), picture(spec), strokes_spec(spec)).records[0]


def test_a_list_is_drawn_in_its_order_with_colours_and_strength(tmp_path: Path) -> None:
    strokes = [ONE, {"x": 22, "y": 10, "radius": 3, "color": [0, 0, 255], "strength": 0.5}, {**ONE, "x": 50, "colour": "lime"}]
    made = on(listed(tmp_path / "s.json", {"width": 56, "height": 40, "strokes": strokes}))
    assert made[10, 16].tolist() == [255, 0, 0, 255]
    assert made[10, 22].tolist() == [0, 0, 255, 127.5], "later strokes lie on earlier ones"
    assert made[10, 50].tolist() == [0, 255, 0, 255]
    assert made[30, 20, 3] == 0
    assert 60 < (made[:, :30, 3] > 0).sum() < 100, "a disc of radius 5"
    grey = on(listed(tmp_path / "g.json", [{**ONE, "colour": "white"}]), ImageSpec(1, 40, 56))
    assert grey.shape == (40, 56, 2) and grey[10, 20].tolist() == [255, 255]
    dot = on(listed(tmp_path / "d.json", [{**ONE, "radius": 0.01}]))
    assert (dot[..., 3] > 0).any(), "a dot is never nothing"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[{", "s.json: no JSON"),
        ("[]", "s.json: holds no strokes"),
        ([5], "s.json, stroke 1: is no stroke"),
        ([{**ONE, "colour": "rad"}], 's.json, stroke 1: unknown colour "rad": write #rrggbb'),
        ([{**ONE, "colour": [0, 300, 0]}], "stroke 1: unknown colour [0, 300, 0]"),
        ([ONE, {**ONE, "x": 90}], "s.json, stroke 2: (90, 10) with radius 5 lies outside a.png, which is 56 wide and 40 high"),
        ([{**ONE, "radius": 0}], "stroke 1: radius 0: it is more than 0"),
        ([{**ONE, "strength": 2}], "stroke 1: strength 2: it is more than 0 and at most 1"),
        ([{**ONE, "radios": 3}], "unknown 'radios' (did you mean 'radius'?)"),
        ([{"x": 1, "y": 2, "radius": 3}], "stroke 1: has no colour"),
        ([{**ONE, "x": "far"}], 'stroke 1: x is "far": write a number'),
        ({"width": 64, "height": 64, "strokes": [ONE]}, "s.json: was painted on a picture of 64x64, a.png is of 56x40"),
        ([{**ONE, "radius": 500}], "its strokes cover 100% of it"),
    ],
)
def test_what_is_no_stroke_is_told_in_one_line(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(DataError) as error:
        on(listed(tmp_path / "s.json", content))
    assert told in str(error.value) and "\n" not in str(error.value), str(error.value)


# Following them


def test_latents_move_until_the_colour_is_there_and_only_what_changed_is_laid_on() -> None:
    torch.manual_seed(0)
    images = torch.rand(3, 3, 8, 8) * 0.2
    colours, strength = torch.full_like(images, -0.8), torch.zeros(3, 1, 8, 8)
    strength[:, :, 2:5, 2:5] = 1

    def draw(latents: torch.Tensor) -> torch.Tensor:  # two latents: the left half's grey, the right half's
        halves = torch.stack([latents[:, 0], latents[:, 1]], 1)[:, None, None, :].expand(-1, 3, 8, 2)
        return halves.repeat_interleave(4, 3)

    start = torch.zeros(3, 2)
    with torch.no_grad():
        found = moved(start, draw, colours, strength, 200, 0.05)
        before, after = draw(start), draw(found)
        made = laid_on(images, before, after)
    assert torch.allclose(found, torch.full((3, 2), -0.8), atol=0.02)
    asked, left, _ = followed(images, made, colours, strength)
    assert (left < 0.25 * asked).all()
    strength[:, :, :, 4:] = 0
    with torch.no_grad():
        left_alone = draw(moved(start, draw, colours, strength, 200, 0.05))
        made = laid_on(images, before, left_alone)
    assert torch.equal(made[..., 7], images[..., 7]), "what does not change stays bit by bit"
    assert torch.equal(laid_on(images, before, before), images)
    assert change_mask(before, after).max() <= 1


def test_strokes_at_another_size_keep_their_colour() -> None:
    colours, strength = torch.full((1, 3, 32, 32), 0.5), torch.zeros(1, 1, 32, 32)
    strength[..., 9, 9] = 1
    small, share = reduced(colours, strength, (8, 8))
    assert float(share[0, 0, 2, 2]) == pytest.approx(1 / 16) and float(small[0, 0, 2, 2]) == pytest.approx(0.5)
    assert reduced(colours, strength, (64, 64))[0].shape == (1, 3, 64, 64)
    wanted, where = borrowed(torch.rand(4, 3, 32, 32), 1 / 8, 0)
    assert wanted.shape == (4, 3, 32, 32) and 30 < float(where.sum()) / 4 < 70
    assert torch.equal(where, borrowed(torch.rand(4, 3, 32, 32), 1 / 8, 0)[1])


# Files


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paint")
    np.savez(
        folder / "data.npz",
        images=np.repeat(np.repeat(np.random.default_rng(1).integers(0, 256, (24, 2, 2, 3)).astype(np.uint8), 8, 1), 8, 2),
    )
    config = {"width": 8, "batch_size": 8, "latent_size": 4, "head_units": 8, "paint_steps": 60, "learning_rate": 5e-3}
    train("ian", folder / "data.npz", out=folder / "run", config=config, budget="60r", size=16, quiet=True, device="cpu")
    return folder / "run"


def test_pictures_of_any_size_follow_lists_and_painted_pictures(run: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    clear = np.zeros((40, 56, 4), np.uint8)
    clear[5:16, 15:26] = (255, 0, 0, 255)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    copy = pixels.copy()
    copy[5:16, 15:26] = (255, 0, 0)
    Image.fromarray(copy).save(tmp_path / "copy.png")
    for strokes in (listed(tmp_path / "s.json", [ONE]), tmp_path / "clear.png", tmp_path / "copy.png"):
        told = apply(run, [tmp_path / "a.png"], verb="paint", fields={"strokes": str(strokes)}, out=tmp_path / strokes.stem)
        assert told["verb"] == "paint" and any("strokes on" in note for note in told["notes"])
        made = np.asarray(Image.open(told["files"][0]))
        assert made.shape == pixels.shape and not np.array_equal(made, pixels)
    with pytest.raises(DataError, match="paint what\\? Add  --with strokes=FILE"):
        apply(run, [tmp_path / "a.png"], verb="paint", fields={}, out=tmp_path / "none")


def test_the_page_takes_lists_and_pictures(run: Path) -> None:
    opened = Run(run, which="last")
    work = Work(opened.system, {"real": opened.spec})
    page = page_of(opened.system, {"real": opened.spec}, opened.record.card, work)
    paint = next(use for use in page["uses"] if use["verb"] == "paint")
    (field,) = paint["fields"]
    assert field["name"] == "strokes" and ".json" in field["suffixes"] and ".png" in field["suffixes"]
    assert "over" in field["ways"]
