"""Filling holes: masks of files, transparent pixels, holes of any size in windows, borders without steps, values kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import ganvas
from ganvas.errors import DataError, GanvasError
from ganvas.inference.holes import filled, windows
from ganvas.inference.membrane import grown, membrane
from ganvas.run.apply import apply
from ganvas.run.load import Run
from ganvas.run.train import train
from ganvas.uses.inpaint import steps

FAST: dict[str, Any] = {"budget": "1r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}
RNG = np.random.default_rng(0)


def trained(folder: Path, channels: int, dtype: Any = np.uint8) -> Path:
    """A run of one round on noise of 16 pixels a side."""
    top = np.iinfo(dtype).max
    shape = (24, 16, 16) if channels == 1 else (24, 16, 16, channels)
    np.savez(folder / "data.npz", images=np.random.default_rng(1).integers(0, top + 1, shape).astype(dtype))
    config = {"width": 4, "code_size": 8, "batch_size": 4}
    train("context-encoder", folder / "data.npz", out=folder / "run", config=config, size=16, **FAST)
    return folder / "run"


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("colour"), 3)


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("grey"), 1, np.uint16)


def hole_of(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 : height // 2, width // 3 : 2 * width // 3] = 255
    return mask


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


# Files


def test_a_mask_says_what_is_filled_and_the_rest_comes_back_bit_by_bit(colour: Path, tmp_path: Path) -> None:
    photo, mask = RNG.integers(0, 256, (41, 67, 3)).astype(np.uint8), hole_of(41, 67)
    mask[13, 22] = 128  # a soft edge
    saved(tmp_path / "photo.png", photo)
    saved(tmp_path / "mask.png", mask)
    told = apply(
        colour, [tmp_path / "photo.png"], verb="inpaint", fields={"mask": str(tmp_path / "mask.png")}, out=tmp_path / "o"
    )
    made = np.asarray(Image.open(tmp_path / "o" / "photo.png"))
    assert made.shape == photo.shape and (made[mask == 0] == photo[mask == 0]).all()
    assert (made[mask == 255] != photo[mask == 255]).any(axis=1).mean() > 0.9
    assert any("soft edge" in note for note in told["notes"])
    again = Run(colour).use("inpaint", photo[None], mask=mask[None, ..., None])["real"]
    assert (again[0][mask > 0] == made[mask > 0]).all() and (again[0][mask == 0] == photo[mask == 0]).all()


def test_transparent_pixels_are_the_hole_and_white_does_not_shine_through(colour: Path, tmp_path: Path) -> None:
    photo = np.full((32, 32, 4), (10, 20, 30, 255), np.uint8)
    photo[10:20, 10:20, 3] = 0
    photo[10:20, 9, 3] = 254  # hardly transparent: as it was, not whiter
    saved(tmp_path / "photo.png", photo)
    told = apply(colour, [tmp_path / "photo.png"], out=tmp_path / "o")
    made = np.asarray(Image.open(tmp_path / "o" / "photo.png")).astype(int)
    outside = photo[..., 3] == 255
    assert made.shape == (32, 32, 3) and (made[outside] == (10, 20, 30)).all()
    assert (np.abs(made[10:20, 9] - (10, 20, 30)) <= 2).all() and not any("white" in note for note in told["notes"])
    folder = tmp_path / "tiff"
    folder.mkdir()
    deep = photo.astype(np.uint16) * 257
    tifffile.imwrite(folder / "photo.tif", deep, photometric="rgb", extrasamples=[2])
    apply(colour, [folder / "photo.tif"], out=tmp_path / "t")
    result = tifffile.imread(tmp_path / "t" / "photo.tiff")
    assert result.dtype == np.uint16 and (result[outside] == deep[outside][:, :3]).all()


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (np.zeros((32, 32), np.uint8), "black all over"),
        (np.full((32, 32), 255, np.uint8), "nothing to go by"),
        (np.full((32, 32), 128, np.uint8), "100% of its mask is grey"),
        (np.pad(np.array([[40, 60]], np.uint8), ((10, 21), (10, 20))), "24% grey at most"),
        (hole_of(16, 32), "its mask is of 16x32, it is of 32x32"),
        (None, "what is missing\\? Add  --with mask=FILE"),
    ],
)
def test_what_is_no_mask_is_told_in_a_line(colour: Path, tmp_path: Path, mask: np.ndarray | None, told: str) -> None:
    saved(tmp_path / "photo.png", np.zeros((32, 32, 3), np.uint8))
    fields = {} if mask is None else {"mask": str(saved(tmp_path / "mask.png", mask))}
    with pytest.raises(DataError, match=told) as caught:
        apply(colour, [tmp_path / "photo.png"], fields=fields, out=tmp_path / "o")
    assert "\n" not in str(caught.value)


def test_masks_of_two_values_and_in_colour_count(colour: Path, tmp_path: Path) -> None:
    saved(tmp_path / "photo.png", RNG.integers(0, 256, (32, 32, 3)).astype(np.uint8))
    saved(tmp_path / "mask.png", hole_of(32, 32) // 255)
    told = apply(colour, [tmp_path / "photo.png"], fields={"mask": str(tmp_path / "mask.png")}, out=tmp_path / "a")
    assert any("1 counts as white" in note for note in told["notes"])
    saved(tmp_path / "mask.png", np.repeat(hole_of(32, 32)[..., None], 3, 2))
    apply(colour, [tmp_path / "photo.png"], fields={"mask": str(tmp_path / "mask.png")}, out=tmp_path / "b")
    first, second = (np.asarray(Image.open(tmp_path / name / "photo.png")) for name in "ab")
    assert (first == second).all()


def test_sixteen_bits_and_hounsfield_units_are_kept(grey: Path, tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    from ganvas.kinds.image.readers import read
    from ganvas.kinds.image.spec import ImageSpec
    from ganvas.kinds.image.writers import write_dicom

    mask = hole_of(48, 40)
    saved(tmp_path / "mask.png", mask)
    deep = RNG.integers(0, 65536, (48, 40)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", deep)
    apply(grey, [tmp_path / "deep.tif"], fields={"mask": str(tmp_path / "mask.png")}, out=tmp_path / "a")
    made = tifffile.imread(tmp_path / "a" / "deep.tiff")
    assert made.dtype == np.uint16 and (made[mask == 0] == deep[mask == 0]).all() and (made != deep).any()
    units = RNG.integers(-1024, 12000, (48, 40, 1)).astype(np.float32)  # beyond twelve bits, and beyond the window
    write_dicom(tmp_path / "slice.dcm", units, ImageSpec(1, 48, 40, 32, -160.0, 240.0), note={}, seed=0)
    apply(grey, [tmp_path / "slice.dcm"], fields={"mask": str(tmp_path / "mask.png")}, out=tmp_path / "b")
    (picture,) = read(next((tmp_path / "b").glob("*.dcm")))
    assert (picture.pixels[mask == 0] == units[mask == 0]).all()
    inside = picture.pixels[mask > 0]
    assert (inside >= -160).all() and (inside <= 240).all() and (inside == np.round(inside)).all()


def test_a_volume_is_filled_slice_by_slice(grey: Path, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    volume = RNG.normal(0, 500, (20, 24, 5)).astype(np.float32)
    mask = np.zeros((20, 24, 5), np.uint8)
    mask[5:9, 6:12, 2] = 1
    for name, values in (("head", volume), ("mask", mask)):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / f"{name}.nii.gz")
    apply(grey, [tmp_path / "head.nii.gz"], fields={"mask": str(tmp_path / "mask.nii.gz")}, out=tmp_path / "o")
    made = np.asarray(nibabel.load(tmp_path / "o" / "head.nii.gz").dataobj)
    assert made.shape == volume.shape
    assert (made[mask == 0] == volume[mask == 0]).all() and (made[mask > 0] != volume[mask > 0]).all()


def test_the_public_call_takes_masks_by_name(colour: Path, tmp_path: Path) -> None:
    saved(tmp_path / "photo.png", np.zeros((32, 32, 3), np.uint8))
    saved(tmp_path / "mask.png", hole_of(32, 32))
    made = ganvas.apply(colour, [tmp_path / "photo.png"], out=tmp_path / "o", mask=str(tmp_path / "mask.png"))
    assert made["verb"] == "inpaint" and len(made["files"]) == 1
    with pytest.raises(GanvasError, match="needs mask to inpaint"):
        Run(colour).use("inpaint", np.zeros((1, 32, 32, 3), np.uint8))


# Windows and borders


def test_the_command_line_takes_a_field_that_the_use_brings_by_its_name(
    colour: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ganvas.cli import main

    picture = saved(tmp_path / "photo.png", RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    mask = saved(tmp_path / "hole.png", hole_of(20, 24))
    words = ["apply", str(colour), str(picture), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*words, "--mask", str(mask)]) == 0
    assert (tmp_path / "out" / "photo.png").exists()
    assert main([*words, "--masc", str(mask)]) == 2 and "did you mean '--mask'?" in capsys.readouterr().err


def test_every_missing_pixel_lies_in_a_cell_and_views_show_what_is_around() -> None:
    missing = np.zeros((300, 400), bool)
    missing[20:24, 30:34] = missing[26:30, 38:41] = True  # two small ones, together
    missing[100:220, 150:300] = True  # larger than half a window
    missing[280:283, 10:390] = True  # long and thin
    missing[0:5, 395:400] = True  # at the corner
    plan = list(windows(missing, (64, 64)))
    covered = np.zeros_like(missing)
    for cell, view in plan:
        covered[cell.where] = True
        assert 0 <= view.top <= cell.top and cell.bottom <= view.bottom <= 300 and view.left <= cell.left
        assert missing[view.where].mean() <= 0.5
    assert covered[missing].all()
    sides = sorted({view.rows for _, view in plan})
    assert sides[0] == 64 and max(sides) >= 240
    assert sum(view.rows == 64 for _, view in plan) <= 16, "small ones share a window, the long one takes several"
    everything = list(windows(np.ones((50, 90), bool), (64, 64)))
    assert [(cell.rows, view.columns) for cell, view in everything] == [(50, 90)]


def test_what_is_drawn_meets_its_border_without_a_step() -> None:
    """A network that is wrong by a constant, on a slope: moved to its border it is the slope again."""
    slope = torch.linspace(-0.8, 0.8, 200).expand(1, 1, 120, 200).contiguous()
    holes = torch.zeros(1, 1, 120, 200)
    holes[:, :, 30:90, 60:140] = 1
    exact = {}

    def wrong(images: torch.Tensor, lack: torch.Tensor) -> torch.Tensor:
        exact["size"] = tuple(images.shape[2:])
        return images + lack * membrane(images, 1 - lack) + 0.3

    made = filled(wrong, slope, holes, (32, 32))
    assert exact["size"] == (32, 32)
    assert float(steps(made, holes)) < 3 * float(steps(slope, holes)) + 1e-3
    assert float((made - slope).abs().max()) < 0.08
    assert torch.equal(made[holes == 0], slope[holes == 0])


def test_the_membrane_is_the_harmonic_one() -> None:
    """A harmonic function, cut out, comes back; and constants stay constants."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 60), torch.linspace(-1, 69 / 59 * 2 - 1, 70), indexing="ij")
    true = (rows**2 - columns**2 + rows * columns)[None, None]
    hole = torch.zeros(1, 1, 60, 70)
    hole[:, :, 12:50, 15:60] = 1
    assert float((membrane(true, 1 - hole) - true).abs().max()) < 0.03
    assert float((membrane(torch.full_like(true, 0.7), grown(hole, 1) - hole) * hole - 0.7 * hole).abs().max()) < 1e-4


def test_a_line_that_runs_into_something_thick_does_not_cut_it_into_cells() -> None:
    rows, columns = np.mgrid[:200, :300]
    blob = ((rows - 100) / 30) ** 2 + ((columns - 150) / 40) ** 2 < 1
    line = (np.abs(rows - columns * 0.6) < 2) & (columns > 5) & (columns < 290)
    plan = list(windows(blob | line, (32, 32)))
    inside = np.argwhere(blob)
    holding = [
        cell
        for cell, _ in plan
        if (inside.min(0) >= (cell.top, cell.left)).all() and (inside.max(0) < (cell.bottom, cell.right)).all()
    ]
    assert len(holding) == 1  # all of it in one view, and so without a seam
    lacking = blob | line
    for cell, _ in plan:
        lacking[cell.where] = False
    assert not lacking.any()
    assert [view.rows for _, view in plan] == sorted(view.rows for _, view in plan)  # the line before what it runs into
