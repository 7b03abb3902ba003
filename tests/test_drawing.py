"""Grids and scatters: the right pixel in the right place, the right grey, the tag, one clear line when it cannot be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganvas.drawing import BACKGROUND, GUTTER, TEXT_HEIGHT, headed, save_picture
from ganvas.errors import RunError
from ganvas.kinds import kind_of
from ganvas.kinds.image.grid import LARGEST_FACTOR
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.points.spec import PointsSpec


def save_grid(path: Path, samples: np.ndarray, spec: Any, **options: Any) -> np.ndarray:
    """The picture of the samples, saved."""
    picture: np.ndarray = kind_of(spec.kind).grid(samples, spec, **options)  # type: ignore[attr-defined]
    save_picture(path, picture)
    return picture


def flat(values: list[float], channels: int = 1, dtype: type = np.uint8, height: int = 6, width: int = 4) -> np.ndarray:
    """One image a value, every pixel the same."""
    return np.stack([np.full((height, width, channels), v, dtype) for v in values])


def cells(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The middle pixel of each cell, (rows, columns, 3), of an unlabelled grid."""
    height, width = (picture.shape[0] - GUTTER) // rows, (picture.shape[1] - GUTTER) // columns
    return picture[GUTTER + (height - GUTTER) // 2 :: height, GUTTER + (width - GUTTER) // 2 :: width][:rows, :columns]


def test_images_in_order_enlarged_by_a_whole_factor(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (6, 6, 4, 1), dtype=np.uint8)
    path = tmp_path / "grid.png"
    picture = save_grid(path, samples, ImageSpec(1, 6, 4), columns=3)
    f = LARGEST_FACTOR
    assert picture.shape == (2 * (6 * f + GUTTER) + GUTTER, 3 * (4 * f + GUTTER) + GUTTER, 3)
    assert (picture[:GUTTER] == BACKGROUND).all()
    for index in range(6):
        top, left = GUTTER + index // 3 * (6 * f + GUTTER), GUTTER + index % 3 * (4 * f + GUTTER)
        cell = picture[top : top + 6 * f, left : left + 4 * f]
        assert (cell[::f, ::f, 0] == samples[index, ..., 0]).all()
        assert (cell[f - 1 :: f, f - 1 :: f, 2] == samples[index, ..., 0]).all()
    with Image.open(path) as image:
        assert image.mode == "L"
        assert (np.asarray(image) == picture[..., 0]).all()
        assert "SYNTHETIC" in image.text["Description"]  # type: ignore[attr-defined]
    assert [p.name for p in tmp_path.iterdir()] == ["grid.png"]


@pytest.mark.parametrize(
    ("samples", "spec", "expected"),
    [
        (flat([0, 100, 255]), ImageSpec(1, 6, 4), [0, 100, 255]),
        (flat([0, 2048, 4095, 60000], dtype=np.uint16), ImageSpec(1, 6, 4, 16, 0, 4095), [0, 128, 255, 255]),
        (flat([0, 32768, 65535], dtype=np.uint16), ImageSpec(1, 6, 4, 8), [0, 128, 255]),  # asked for in more depth
        (flat([0, 128, 255]), ImageSpec(1, 6, 4, 16, 0, 4095), [0, 128, 255]),  # and in less
        (flat([-1e3, -10, 0, 10, np.inf, np.nan], dtype=np.float32), ImageSpec(1, 6, 4, 32, -10, 10), [0, 0, 128, 255, 255, 0]),
    ],
)
def test_values_become_the_right_grey(tmp_path: Path, samples: np.ndarray, spec: ImageSpec, expected: list[int]) -> None:
    picture = save_grid(tmp_path / "grid.png", samples, spec, columns=len(samples))
    assert cells(picture, 1, len(samples))[0, :, 0].tolist() == expected


def test_colour_stays_colour(tmp_path: Path) -> None:
    samples = flat([0, 0], 3)
    samples[0, ..., 0], samples[1, ..., 2] = 200, 90
    picture = save_grid(tmp_path / "grid.png", samples, ImageSpec(3, 6, 4), columns=2)
    assert cells(picture, 1, 2)[0].tolist() == [[200, 0, 0], [0, 0, 90]]
    with Image.open(tmp_path / "grid.png") as image:
        assert image.mode == "RGB"


@pytest.mark.parametrize("channels", [2, 4, 8])
def test_other_channels_stand_side_by_side(tmp_path: Path, channels: int) -> None:
    samples = flat([0], channels)
    samples[0] = np.arange(channels) * 30
    picture = save_grid(tmp_path / "grid.png", samples, ImageSpec(channels, 6, 4))
    row = picture[picture.shape[0] // 2, GUTTER:-GUTTER, 1]
    assert row.reshape(channels, -1).min(axis=1).tolist() == row.reshape(channels, -1).max(axis=1).tolist()
    assert row.reshape(channels, -1)[:, 0].tolist() == [30 * c for c in range(channels)]


@pytest.mark.parametrize(("count", "height", "width"), [(1, 64, 64), (64, 64, 64), (64, 96, 64), (64, 32, 128), (7, 512, 512)])
def test_any_number_fits_a_screen(tmp_path: Path, count: int, height: int, width: int) -> None:
    picture = save_grid(tmp_path / "grid.png", flat([255] * count, height=height, width=width), ImageSpec(1, height, width))
    assert max(picture.shape) <= max(1200, 4 * (512 + GUTTER) + GUTTER)
    assert min(picture.shape[:2]) >= 400
    assert 0.5 <= picture.shape[0] / picture.shape[1] <= 2
    white = int((picture[..., 0] == 255).sum())
    assert white % (count * height * width) == 0  # every image is there, whole
    assert white >= count * height * width


def test_labels_sort_into_named_rows(tmp_path: Path) -> None:
    samples, labels = flat([10, 200, 20, 210, 30], height=32, width=32), np.array([1, 0, 1, 0, 1])
    spec = ImageSpec(1, 32, 32, classes=("normal", "nodule"))
    picture = save_grid(tmp_path / "grid.png", samples, spec, labels=labels)
    f = LARGEST_FACTOR
    margin = picture.shape[1] - 3 * (32 * f + GUTTER) - GUTTER
    assert margin > 20
    assert (picture[:, :margin] > 150).sum() > 100  # something is written
    middle = cells(picture[:, margin:], 2, 3)[..., 0]
    assert middle.tolist() == [[200, 210, BACKGROUND], [10, 20, 30]]
    unnamed = save_grid(tmp_path / "more.png", samples, ImageSpec(1, 32, 32), labels=labels)
    assert unnamed.shape[1] < picture.shape[1]  # "0" and "1" are shorter


def ink(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of strongly blue pixels, the colour of the first panel."""
    signed = picture.astype(int)
    return np.nonzero(signed[..., 2] - signed[..., 0] > 90)


def test_points_lie_where_they_belong(tmp_path: Path) -> None:
    spec = PointsSpec(2, (10.0, -5.0), 2.0)
    points = np.tile([[11.0, -4.0]], (50, 1))
    rows, columns = ink(save_grid(tmp_path / "points.png", points, spec))
    height, width = Image.open(tmp_path / "points.png").size[::-1]
    assert rows.size > 10
    assert rows.max() < height / 2
    assert columns.min() > width / 2
    moved_rows, moved_columns = ink(save_grid(tmp_path / "moved.png", points - [2, 2], spec))
    assert moved_rows.mean() - rows.mean() == pytest.approx(moved_columns.mean() * -1 + columns.mean(), abs=1.5)  # equal axes
    assert moved_rows.mean() > height / 2


def test_points_outside_the_window_are_counted_not_hidden(tmp_path: Path) -> None:
    spec = PointsSpec(2, (0.0, 0.0), 1.0)
    inside = np.zeros((40, 2))
    outside = np.array([[9.0, 0.0], [np.nan, 0.0]])
    without = save_grid(tmp_path / "a.png", inside, spec)
    with_them = save_grid(tmp_path / "b.png", np.concatenate([inside, outside]), spec)
    changed = np.abs(without.astype(int) - with_them).max(axis=2) > 60
    assert changed[:80, 400:].any()  # the note stands in the upper right corner
    assert not changed[120:].any()


def test_a_panel_a_class_and_other_dimensions(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    spec = PointsSpec(2, (0.0, 0.0), 1.0, ("sine", "a $ b"))
    one = save_grid(tmp_path / "one.png", points, spec)
    two = save_grid(tmp_path / "two.png", points, spec, labels=np.arange(300) % 2)
    assert two.shape[1] == pytest.approx(2 * two.shape[0], abs=2)
    assert ink(two)[1].max() < two.shape[1] / 2  # the second class has another colour
    assert one.shape[0] == one.shape[1]
    for dimensions in (1, 3):
        spec = PointsSpec(dimensions, (0.0,) * dimensions, 1.0)
        picture = save_grid(tmp_path / "n.png", np.zeros((20, dimensions)), spec)
        assert ink(picture)[0].size > 10


def test_a_picture_is_reproducible(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(100, 2))
    for name in ("a.png", "b.png"):
        save_grid(tmp_path / name, points, PointsSpec(2, (0.0, 0.0), 3.0))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_missing_folder_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is gone") as caught:
        save_grid(tmp_path / "absent" / "grid.png", flat([1]), ImageSpec(1, 6, 4))
    assert "\n" not in str(caught.value)


def test_no_global_plotting_state_and_no_plotting_for_images() -> None:
    code = (
        "import sys, numpy as np; from ganvas.kinds import kind_of\n"
        "image, points = kind_of('image'), kind_of('points')\n"
        "image.picture(np.zeros((4, 8, 8, 1), np.uint8), image.example(8, 1))\n"
        "print('matplotlib' in sys.modules, 'torch' in sys.modules)\n"
        "points.picture(np.zeros((4, 2)), points.example(1, 2))\n"
        "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True", "False"]


def test_each_row_stands_under_its_own_text() -> None:
    rows = np.concatenate([np.full((GUTTER + 30, 100, 3), 100, np.uint8), np.full((GUTTER + 30, 100, 3), 200, np.uint8)])
    picture = np.concatenate([rows, np.full((GUTTER, 100, 3), BACKGROUND, np.uint8)])
    made = headed(picture, ("a bird", "many words " * 30))
    head = 3 * TEXT_HEIGHT + GUTTER
    assert made.shape == (GUTTER + 2 * (30 + GUTTER + head), 100, 3)
    for number, value in enumerate((100, 200)):
        top = number * (30 + GUTTER + head)
        assert (made[top + head : top + head + 30] == value).all(), "pictures are not written on"
        assert (made[top : top + head] != BACKGROUND).any(), "and stand under their text"
    assert (made[: TEXT_HEIGHT + GUTTER] == BACKGROUND).all(), "a short text stands at its row"
    grid: Any = kind_of("image").grid  # type: ignore[attr-defined]
    same = grid(np.zeros((4, 8, 8, 1), np.uint8), ImageSpec(1, 8, 8), captions=("a", "b"), rows=("x", "y"))
    plain = grid(np.zeros((4, 8, 8, 1), np.uint8), ImageSpec(1, 8, 8), captions=("a", "b"))
    assert same.shape[0] == plain.shape[0] + 2 * (TEXT_HEIGHT + GUTTER)
