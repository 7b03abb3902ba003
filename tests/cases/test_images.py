"""Image files whose values, planes or ranges mean something else than they seem to: read as declared, or refused by name."""

from __future__ import annotations

from pathlib import Path

import inputs
import numpy as np
import pytest

from ganvas.data.dataset import Dataset, open_data
from ganvas.errors import DataError
from ganvas.kinds.image.readers import read
from ganvas.run.apply import apply
from ganvas.run.train import train


def opened(path: Path, **options: object) -> Dataset:
    return open_data(path, progress=False, **{"heldout": 0.0, **options})  # type: ignore[arg-type]


def test_dicom_values_that_do_not_begin_at_bit_zero_are_the_same(tmp_path: Path) -> None:
    inputs.dicom_high_bit(tmp_path)
    plain = next(iter(read(tmp_path / "plain.dcm"))).pixels[..., 0]
    row, column = np.mgrid[:16, :20]
    assert (plain == (row * 20 + column) * 12 % 4096).all()
    for name in ("high13.dcm", "high15.dcm"):
        assert (next(iter(read(tmp_path / name))).pixels[..., 0] == plain).all()


@pytest.mark.parametrize(("kind", "value"), [("float", "-9999"), ("whole", "-32768")])
def test_values_without_data_are_no_brightness(tmp_path: Path, kind: str, value: str) -> None:
    inputs.geotiff_nodata(tmp_path)
    try:
        data = opened(tmp_path / kind)
    except DataError as error:
        told = str(error)
    else:
        assert data.spec.low == pytest.approx(1500, abs=10) and data.spec.high == pytest.approx(1800, abs=10)
        told = " ".join(data.notes)
    assert "without data" in told or "no data" in told, told
    assert value in told, told


@pytest.mark.parametrize("name", ["large.tif", "shaped.tif", "small.tif"])
def test_a_stack_in_one_directory_gives_all_its_planes(tmp_path: Path, name: str) -> None:
    inputs.imagej_one_directory(tmp_path)
    planes = [picture.pixels for picture in read(tmp_path / name)]
    assert len(planes) == 7
    assert all((plane == 500 * k).all() and plane.shape == (20, 24, 1) for k, plane in enumerate(planes))


@pytest.mark.parametrize("kind", ["png", "nifti"])
def test_label_maps_of_few_values_are_not_black(tmp_path: Path, kind: str) -> None:
    inputs.label_maps_zero_one(tmp_path)
    data = opened(tmp_path / kind)
    assert (data.spec.low, data.spec.high) == (0.0, 1.0)
    assert any("1 counts as white" in note for note in data.notes)


def test_volumes_cut_along_different_axes_are_told(tmp_path: Path) -> None:
    inputs.nifti_mixed_planes(tmp_path)
    (note,) = [note for note in opened(tmp_path).notes if "different axes" in note]
    assert "axial a.nii.gz, c.nii.gz" in note and "sagittal b.nii.gz" in note and "--axis" in note
    assert not any("different axes" in note for note in opened(tmp_path, axis=2).notes)


def test_colours_that_are_stored_times_alpha_are_not_dimmed_twice(tmp_path: Path) -> None:
    inputs.tiff_premultiplied_alpha(tmp_path)
    found = {path.stem: next(iter(read(path))).pixels for path in sorted(tmp_path.glob("*.tif*"))}
    for name, pixels in found.items():
        top = np.iinfo(pixels.dtype).max
        assert (pixels[..., 0] == top).all(), name
        assert (pixels[..., 1] == pixels[..., 2]).all(), name
    eight = [pixels.astype(int) for pixels in found.values() if pixels.dtype == np.uint8]
    assert len(eight) == 2 and np.abs(eight[0] - eight[1]).max() <= 1


def test_putting_to_use_knows_files_of_twelve_bits(tmp_path: Path) -> None:
    inputs.apply_twelve_bits(tmp_path / "data")
    settings = {"width": 4, "depth": 1, "discriminator_width": 4, "batch_size": 4}
    train("srgan", tmp_path / "data" / "train", size="32", budget="2r", out=tmp_path / "run", config=settings, quiet=True)
    made = apply(tmp_path / "run", [tmp_path / "data" / "scenes"], out=tmp_path / "out")
    import tifffile

    full, twelve = (tifffile.imread(tmp_path / "out" / f"{name}.tiff").astype(float) for name in ("full", "twelve"))
    assert np.abs(full / 65535 - twelve / 4095).mean() < 0.01
    assert any("twelve.tif" in note and "4095 counts as white" in note for note in made["notes"])


def test_classes_of_different_scales_are_told(tmp_path: Path) -> None:
    inputs.translate_two_scales(tmp_path)
    (note,) = [note for note in opened(tmp_path, size=16).notes if "different scales" in note]
    assert "B fills 3.4%" in note
