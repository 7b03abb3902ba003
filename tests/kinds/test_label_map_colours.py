"""Maps painted by hand, and maps in colour: the class of each pixel by its colour, and a line for what is of no class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from ganvas.data import open_data
from ganvas.errors import DataError
from ganvas.kinds import kind_of
from ganvas.kinds.label_map.files import colours_of
from ganvas.kinds.label_map.spec import LabelMapSpec

KIND = kind_of("label_map")
SPEC = LabelMapSpec(32, 40, ("sky", "road", "car"), (3, 7, 8), ("#808080", "#804080", "#400080"))


def painted(size: tuple[int, int] = (120, 90), smooth: int = 4) -> tuple[Image.Image, np.ndarray]:
    """A road under a sky with a car on it, with the soft edges that paint programs draw, and its true indices."""
    large = Image.new("P", (size[0] * smooth, size[1] * smooth), 0)
    large.putpalette(colours_of(SPEC).tobytes())
    draw = ImageDraw.Draw(large)
    draw.polygon([(0, large.height), (0, large.height // 2), (large.width, large.height // 3), (large.width, large.height)], 1)
    draw.ellipse([large.width // 3, large.height // 2, large.width // 2, large.height * 3 // 4], 2)
    soft = large.convert("RGB").resize(size, Image.Resampling.BOX)
    return soft, np.array(large.resize(size, Image.Resampling.NEAREST))


def read(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    (piece,) = KIND.read(path, SPEC, {})  # type: ignore[attr-defined]
    return piece.records[0], piece.notes


@pytest.mark.parametrize("alpha", [False, True])
def test_a_painted_map_with_soft_edges_is_read_by_its_colours(alpha: bool, tmp_path: Path) -> None:
    soft, true = painted()
    soft.convert("RGBA" if alpha else "RGB").save(tmp_path / "mine.png")
    found, notes = read(tmp_path / "mine.png")
    assert found.shape == (90, 120) and (found == true).mean() > 0.98
    edge = np.zeros(true.shape, bool)
    for axis in (0, 1):
        for step in (-1, 1):
            edge |= np.roll(true, step, axis) != true
    assert (found == true)[~edge].all(), "only edges were mixed"
    assert any("pixels at edges have mixed colours and are taken for the nearest class beside them" in note for note in notes)


def test_smoothed_edges_where_three_classes_meet_are_read_and_a_wide_brush_is_not(tmp_path: Path) -> None:
    soft, true = painted(smooth=1)
    smoothed = np.array(soft.filter(ImageFilter.GaussianBlur(0.8))).astype(int)
    smoothed = (smoothed + np.random.default_rng(0).integers(-3, 4, smoothed.shape)).clip(0, 255)
    Image.fromarray(smoothed.astype(np.uint8)).save(tmp_path / "mine.png")
    found, notes = read(tmp_path / "mine.png")
    assert (found == true).mean() > 0.98
    assert any("are taken for the nearest class beside them" in note for note in notes)
    soft.filter(ImageFilter.GaussianBlur(6)).save(tmp_path / "mine.png")
    with pytest.raises(DataError, match="holds colours of no class"):
        read(tmp_path / "mine.png")


def test_a_colour_that_is_a_little_wrong_is_taken_for_its_class_and_told(tmp_path: Path) -> None:
    soft, true = painted(smooth=1)
    pixels = np.array(soft)
    pixels[(pixels == (0x80, 0x40, 0x80)).all(2)] = (0x86, 0x3B, 0x7D)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    found, notes = read(tmp_path / "mine.png")
    np.testing.assert_array_equal(found, true)
    assert any("nearly of the colour of a class and taken for it (#863b7d as road)" in note for note in notes)


def test_an_unknown_colour_is_told_by_name_with_the_nearest_class(tmp_path: Path) -> None:
    soft, _ = painted()
    draw = ImageDraw.Draw(soft)
    draw.rectangle([2, 2, 21, 11], fill=(0x30, 0x10, 0xC0))
    draw.rectangle([30, 2, 34, 6], fill=(255, 255, 0))
    soft.save(tmp_path / "mine.png")
    with pytest.raises(DataError) as told:
        read(tmp_path / "mine.png")
    text = str(told.value)
    assert "mine.png: holds colours of no class: #3010c0 (1.9% of its pixels; the nearest is car #400080)" in text
    assert "#ffff00 (0.2% of its pixels; the nearest is sky #808080)" in text and "\n" not in text
    assert "paint with sky #808080, road #804080, car #400080" in text


def test_an_indexed_png_whose_palette_was_put_in_another_order_goes_by_its_colours(tmp_path: Path) -> None:
    _, true = painted()
    order = np.array([2, 0, 1])  # index of each class in the file
    image = Image.fromarray(order[true].astype(np.uint8), mode="P")
    image.putpalette(colours_of(SPEC)[[1, 2, 0]].tobytes())
    image.save(tmp_path / "mine.png")
    found, notes = read(tmp_path / "mine.png")
    np.testing.assert_array_equal(found, true)
    assert any("its colours count" in note for note in notes)


def test_an_indexed_png_of_other_colours_goes_by_its_numbers_and_says_so(tmp_path: Path) -> None:
    _, true = painted()
    image = Image.fromarray(np.array(SPEC.values)[true].astype(np.uint8), mode="P")
    image.putpalette([250, 250, 0] * 9)
    image.save(tmp_path / "mine.png")
    found, notes = read(tmp_path / "mine.png")
    np.testing.assert_array_equal(found, true)
    assert any("its numbers count" in note for note in notes)


def test_maps_in_colour_are_learnt_where_a_table_names_the_colours_and_refused_where_none_does(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "maps"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (4, 16, 12))
    for k, own in enumerate(truth):
        Image.fromarray(colours_of(SPEC)[own]).save(folder / f"{k}.png")
    with pytest.raises(DataError, match=r"in colour or with alpha: save the classes as numbers.*or give each its colour in"):
        open_data(folder, kinds=("label_map",), cache=tmp_path / "cache", progress=False)
    rows = [f"{value},{name},{colour}" for value, name, colour in zip(SPEC.values, SPEC.names, SPEC.palette, strict=True)]
    (folder.parent / "classes.csv").write_text("\n".join(["value,class,colour", *rows]))
    data = open_data(folder, kinds=("label_map",), cache=tmp_path / "cache", progress=False)
    np.testing.assert_array_equal(data.values, truth)
    assert data.spec.names == SPEC.names and KIND.looks_like(sorted(folder.iterdir()))  # type: ignore[attr-defined]
    (folder.parent / "classes.csv").write_text("value,class,colour\n3,sky,#808080\n7,road,#804080\n8,car,#804080\n")
    with pytest.raises(DataError, match="car shares its colour with another class"):
        open_data(folder, kinds=("label_map",), cache=tmp_path / "cache", progress=False)
