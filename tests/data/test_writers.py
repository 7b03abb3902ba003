"""Every format the writers offer: read back unchanged, marked synthetic, all or nothing."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_files import HEIGHT, WIDTH, ramp

from ganvas.errors import GanvasError, RunError
from ganvas.kinds.image.readers import read
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.image.writers import FORMATS, write_dicom, write_image, write_nifti, write_samples

NOTE = {"system": "dcgan", "run": "größe\nline", "seed": "7"}


def spec_of(pixels: np.ndarray, **fields) -> ImageSpec:
    height, width, channels = pixels.shape[-3:]
    depth = 8 * pixels.itemsize
    low, high = (-1000.0, 3000.0) if depth == 32 else (0.0, float(2**depth - 1))
    return ImageSpec(channels, height, width, depth, **{"low": low, "high": high, **fields})


def texts_of(path: Path) -> str:
    """Whatever words a file carries for people, by the means of its format."""
    if path.suffix in (".tif", ".tiff"):
        with tifffile.TiffFile(path) as file:
            return file.pages[0].description
    with Image.open(path) as image:
        if path.suffix == ".png":
            return "; ".join(f"{key}: {value}" for key, value in image.text.items())
        return str(image.getexif()[0x010E])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.integers(1, 8),
    dtype=st.sampled_from([np.uint8, np.uint16, np.float32]),
    suffix=st.sampled_from([".png", ".tiff", ".webp"]),
)
def test_images_of_any_shape_come_back_or_are_refused(tmp_path, height, width, channels, dtype, suffix) -> None:
    pixels = ramp(dtype, channels, height, width)
    path = tmp_path / f"a{suffix}"
    fits = {
        ".png": dtype != np.float32 and channels in (1, 3),
        ".tiff": True,
        ".webp": dtype == np.uint8 and channels in (1, 3),
    }[suffix]
    if not fits:
        with pytest.raises(GanvasError, match="choose --format"):
            write_image(path, pixels, spec_of(pixels), note=NOTE)
        return
    write_image(path, pixels, spec_of(pixels), note=NOTE)
    (picture,) = read(path)
    expected = pixels.repeat(3, axis=2) if suffix == ".webp" and channels == 1 else pixels
    np.testing.assert_array_equal(picture.pixels, expected)
    assert picture.pixels.dtype == dtype
    assert picture.warnings == ()


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp", ".jpg"])
def test_every_image_says_that_it_is_synthetic(tmp_path, suffix) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, ramp(channels=3), spec_of(ramp(channels=3)), note=NOTE)
    words = texts_of(path)
    assert "SYNTHETIC image made by ganvas" in words
    assert "system: dcgan" in words
    assert "seed: 7" in words
    assert words.isprintable()


def test_jpeg_is_close_and_refuses_sixteen_bits(tmp_path) -> None:
    smooth = np.linspace(0, 255, 64 * 64).reshape(64, 64, 1).astype(np.uint8)
    write_image(tmp_path / "a.jpg", smooth, spec_of(smooth), note=NOTE)
    (picture,) = read(tmp_path / "a.jpg")
    assert np.abs(picture.pixels.astype(int) - smooth).mean() < 2
    with pytest.raises(GanvasError, match="JPEG holds 8 bits, not uint16: choose --format png or tiff, or --depth 8"):
        write_image(tmp_path / "b.jpg", ramp(np.uint16), spec_of(ramp(np.uint16)), note=NOTE)


# DICOM


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3]),
    dtype=st.sampled_from([np.uint8, np.uint16]),
)
def test_dicom_of_any_shape_comes_back(tmp_path, height, width, channels, dtype) -> None:
    pixels = ramp(dtype, channels, height, width)
    spec = spec_of(pixels, spacing=(0.123456789012345, 1 / 3))
    write_dicom(tmp_path / "a.dcm", pixels, spec, note=NOTE, seed=1)
    (picture,) = read(tmp_path / "a.dcm")
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert (picture.depth, picture.low, picture.high) == (spec.depth, spec.low, spec.high)
    assert picture.spacing == pytest.approx(spec.spacing, rel=1e-12)
    assert picture.group is None
    assert picture.warnings == ()


def test_dicom_says_that_it_is_synthetic_and_passes_pydicoms_validation(tmp_path) -> None:
    pixels = ramp(np.uint16)
    pydicom.config.settings.reading_validation_mode = pydicom.config.RAISE
    try:
        write_dicom(tmp_path / "a.dcm", pixels, spec_of(pixels, spacing=(0.5, 0.7)), note=NOTE, seed=3, index=4)
        ds = pydicom.dcmread(tmp_path / "a.dcm")
        for element in ds.iterall():
            assert element.value is not None or element.is_empty
    finally:
        pydicom.config.settings.reading_validation_mode = pydicom.config.WARN
    assert ds.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage
    assert list(ds.ImageType) == ["DERIVED", "SECONDARY"]
    assert "SYNTHETIC" in ds.SeriesDescription
    assert "SYNTHETIC" in ds.StudyDescription
    assert ds.ContentQualification == "RESEARCH"
    assert ds.ConversionType == "SYN"
    assert ds.BurnedInAnnotation == "NO"
    assert ds.PatientName == "SYNTHETIC"
    assert not ds.PatientID
    assert not ds.PatientBirthDate
    assert not ds.PatientSex
    assert ds.InstanceNumber == 5
    assert list(ds.PixelSpacing) == [0.5, 0.7]
    assert "system: dcgan" in ds.ImageComments
    # Nothing in the patient group but the four elements that must be present
    assert [element.keyword for element in ds.group_dataset(0x0010)] == [
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    ]  # fmt: skip


def test_dicom_uids_are_new_for_each_picture_and_repeatable(tmp_path) -> None:
    pixels = np.stack([ramp(), 255 - ramp(), ramp()])
    spec = spec_of(pixels)

    def uids(folder: str, seed: int) -> list[tuple[str, str, str]]:
        paths = write_samples(pixels, spec, tmp_path / folder, format="dicom", note=NOTE, seed=seed)
        sets = [pydicom.dcmread(path) for path in paths]
        return [(str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID), str(ds.SOPInstanceUID)) for ds in sets]

    first, again, other = uids("a", 1), uids("b", 1), uids("c", 2)
    assert first == again
    assert len({instance for _, _, instance in first}) == 3
    assert len({study for study, _, _ in first}) == len({series for _, series, _ in first}) == 1
    assert not {uid for row in first for uid in row} & {uid for row in other for uid in row}
    assert (tmp_path / "a/sample-0002.dcm").read_bytes() == (tmp_path / "b/sample-0002.dcm").read_bytes()


def test_dicom_keeps_twelve_bits_and_windows(tmp_path) -> None:
    pixels = ramp(np.uint16) >> 4
    write_dicom(tmp_path / "a.dcm", pixels, spec_of(pixels, high=4095.0), note=NOTE, seed=1)
    assert pydicom.dcmread(tmp_path / "a.dcm").BitsStored == 12
    (picture,) = read(tmp_path / "a.dcm")
    assert (picture.low, picture.high) == (0.0, 4095.0)
    np.testing.assert_array_equal(picture.pixels, pixels)
    write_dicom(tmp_path / "b.dcm", pixels, spec_of(pixels, low=100.0, high=900.5), note=NOTE, seed=1)
    (picture,) = read(tmp_path / "b.dcm")
    assert (picture.low, picture.high) == (100.0, 900.5)


def test_dicom_of_hounsfield_units_is_exact_and_of_fractions_close(tmp_path) -> None:
    whole = (ramp(np.uint16).astype(np.int32) // 16 - 1024).astype(np.float32)
    write_dicom(tmp_path / "a.dcm", whole, spec_of(whole, low=-1024.0, high=3071.0), note=NOTE, seed=1)
    (picture,) = read(tmp_path / "a.dcm")
    np.testing.assert_array_equal(picture.pixels, whole)
    assert (picture.depth, picture.low, picture.high) == (32, -1024.0, 3071.0)
    parts = ramp(np.float32) * np.float32(0.02) - np.float32(0.01)
    write_dicom(tmp_path / "b.dcm", parts, spec_of(parts, low=-0.01, high=0.01), note=NOTE, seed=1)
    (picture,) = read(tmp_path / "b.dcm")
    np.testing.assert_allclose(picture.pixels, parts, atol=0.02 / 65535)
    assert (picture.low, picture.high) == pytest.approx((-0.01, 0.01))


def test_dicom_keeps_metal_beyond_the_window_whose_values_are_not_whole(tmp_path) -> None:
    values = ramp(np.float32) * np.float32(4000) - np.float32(1000.3)
    values[0, 0], values[1, 1] = 14_000.25, -1500.5
    write_dicom(tmp_path / "a.dcm", values, spec_of(values, low=-1024.0, high=3071.0), note=NOTE, seed=1)
    (picture,) = read(tmp_path / "a.dcm")
    np.testing.assert_allclose(picture.pixels, values, atol=15_500 / 65535)
    assert (picture.low, picture.high) == (-1024.0, 3071.0)


# NIfTI


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(1, 6),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    dtype=st.sampled_from([np.uint8, np.uint16, np.float32]),
    spacing=st.sampled_from([None, (1.0, 1.0), (0.5, 0.75), (3.0, 3.0), (4.0, 2.0)]),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
)
def test_nifti_of_any_shape_comes_back(tmp_path, count, height, width, dtype, spacing, suffix) -> None:
    stack = np.stack([np.roll(ramp(dtype, 1, height, width)[..., 0], index) for index in range(count)])
    spec = spec_of(stack[..., None], spacing=spacing)
    write_nifti(tmp_path / f"a{suffix}", stack, spec, note=NOTE)
    pictures = list(read(tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(np.stack([picture.pixels[..., 0] for picture in pictures]), stack)
    assert pictures[0].spacing == (spacing and pytest.approx(spacing))
    assert pictures[0].depth == 8 * stack.itemsize
    assert (pictures[0].low, pictures[0].high) == (spec.low, spec.high)


def test_nifti_says_that_it_is_synthetic_and_lies_as_nibabel_expects(tmp_path) -> None:
    stack = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)
    write_nifti(tmp_path / "a.nii.gz", stack, spec_of(stack[..., None], spacing=(0.5, 0.75)), note=NOTE)
    image = nibabel.load(tmp_path / "a.nii.gz")
    assert image.shape == (6, 5, 4)
    assert image.header.get_zooms()[:2] == (0.75, 0.5)
    assert b"SYNTHETIC" in bytes(image.header["descrip"])
    assert "system: dcgan" in image.header.extensions[0].text
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    # The first row of a picture is the front of the patient, its first column the right side
    assert np.asarray(image.dataobj)[5, 4, 2] == stack[2, 0, 0]


# Sets of samples


@pytest.mark.parametrize("name", FORMATS)
def test_samples_of_every_format_come_back(tmp_path, name) -> None:
    pixels = np.stack([ramp(), np.roll(ramp(), 5), 255 - ramp()])
    spec = spec_of(pixels, classes=("cat", "dog"))
    paths = write_samples(pixels, spec, tmp_path / "out", format=name, note=NOTE, seed=1, labels=[1, 0, 1])
    pictures = [picture for path in paths for picture in read(path)]
    assert len(pictures) == 3
    if name != "jpg":
        np.testing.assert_array_equal(np.stack([picture.pixels[..., :1] for picture in pictures]), pixels)
    if name in ("npz", "nifti"):
        assert [path.name for path in paths] == [f"samples{FORMATS[name]}"]
    else:
        assert [path.name for path in paths] == [f"sample-{n:04d}{FORMATS[name]}" for n in (1, 2, 3)]
    if name == "npz":
        assert [picture.label for picture in pictures] == ["dog", "cat", "dog"]
        assert "SYNTHETIC" in str(np.load(paths[0])["note"])
    else:
        table = tmp_path / "out" / ("slices.csv" if name == "nifti" else "labels.csv")
        rows = list(csv.reader(table.read_text().splitlines()))
        first = ["0", "1", "2"] if name == "nifti" else [path.name for path in paths]
        assert rows[0] == ["slice" if name == "nifti" else "file", "label"]
        assert rows[1:] == [[entry, label] for entry, label in zip(first, ("dog", "cat", "dog"), strict=True)]
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.endswith(".tmp")]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "jpg"])
def test_views_with_strides_are_written_as_they_look(tmp_path, name) -> None:
    pixels = np.stack([ramp(height=8, width=10), 255 - ramp(height=8, width=10)])[:, ::-2, ::3]
    paths = write_samples(pixels, spec_of(pixels), tmp_path, format=name, note={}, seed=1)
    found = np.stack([picture.pixels[..., :1] for path in paths for picture in read(path)])
    np.testing.assert_array_equal(found, pixels)


def test_samples_take_names_and_enough_digits(tmp_path) -> None:
    pixels = ramp()[None].repeat(2, axis=0)
    paths = write_samples(pixels, spec_of(pixels), tmp_path, format="png", note={}, seed=1, names=("a", "b.c"))
    assert [path.name for path in paths] == ["a.png", "b.c.png"]
    assert all(path.exists() for path in paths)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "pgn"}, "unknown format 'pgn' .did you mean 'png'"),
        ({"labels": [1]}, "1 labels for 2 samples"),
        ({"labels": [0, 2]}, "label 2 does not exist: choose 0 to 1"),
        ({"labels": [0, -1]}, "label -1 does not exist"),
        ({"names": ["a", "a"]}, "1 different names for 2 samples"),
        ({"names": ["a", "../b"]}, "'../b' is no file name"),
        ({"pixels": ramp()}, "shape"),
        ({"pixels": ramp()[None][:0]}, "shape"),
        ({"pixels": ramp(np.int16)[None].repeat(2, 0)}, "int16"),
        ({"pixels": np.full((2, 4, 4, 1), np.nan, np.float32), "format": "tiff"}, "diverged"),
        ({"pixels": ramp(channels=2)[None].repeat(2, 0)}, "PNG holds 1 or 3 channels, not 2: choose --format tiff"),
        ({"pixels": ramp(channels=2)[None].repeat(2, 0), "format": "dicom"}, "2 channels of uint8"),
        ({"pixels": ramp(channels=3)[None].repeat(2, 0), "format": "nifti"}, "NIfTI holds grey"),
        ({"pixels": ramp(np.float32)[None].repeat(2, 0)}, "PNG holds 8 or 16 bits, not float32: choose --format tiff"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(tmp_path, change, words) -> None:
    arguments = {"pixels": ramp()[None].repeat(2, 0), "format": "png", **change}
    pixels, name = arguments.pop("pixels"), arguments.pop("format")
    spec = ImageSpec(1, HEIGHT, WIDTH, classes=("cat", "dog"))
    with pytest.raises(GanvasError, match=words) as caught:
        write_samples(pixels, spec, tmp_path / "out", format=name, note=NOTE, seed=1, **arguments)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.*"))


def test_an_unusable_folder_is_a_run_error_of_one_line(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(RunError, match="cannot be written") as caught:
            write_samples(ramp()[None], spec_of(ramp()), out, format="png", note={}, seed=1)
        assert "\n" not in str(caught.value)
    with pytest.raises(RunError, match="no such file"):
        write_image(tmp_path / "nowhere/a.png", ramp(), spec_of(ramp()), note={})


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path) -> None:
    """Real failed writes: a process that may write no more than 4 kB to a file."""
    path = tmp_path / "a.tiff"
    write_image(path, ramp(), spec_of(ramp()), note=NOTE)
    before = path.read_bytes()
    code = f"""
import json, resource, signal
import numpy as np
from pathlib import Path
from ganvas.kinds.image.writers import write_image
from ganvas.errors import RunError
from ganvas.kinds.image.spec import ImageSpec
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
pixels = np.random.default_rng(1).integers(0, 256, (200, 200, 1)).astype(np.uint8)
try:
    write_image(Path({json.dumps(str(path))}), pixels, ImageSpec(1, 200, 200), note={{}})
except RunError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert "a.tiff cannot be written (file too large)" in done.stdout
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tiff"]
