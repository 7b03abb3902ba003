"""Volumes: NIfTI, DICOM series and arrays become records as they lie in space; values, affines and marks come through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.data import open_data
from ganvas.data.phantoms import make_phantom
from ganvas.data.phantoms.brain import INDEX
from ganvas.data.phantoms.brain_volumes import heads
from ganvas.errors import DataError, GanvasError, MixedData
from ganvas.kinds import kind_of
from ganvas.kinds.volume import features
from ganvas.kinds.volume.files import bundles, one_of
from ganvas.kinds.volume.resampling import at_side, shares
from ganvas.kinds.volume.spec import VolumeSpec

nibabel = pytest.importorskip("nibabel")
KIND: Any = kind_of("volume")
NOTE = {"run": "r"}


def opened(place: Path, **settings: Any) -> Any:
    options: dict[str, Any] = {"kinds": ("volume",), "progress": False, "heldout": 0.0, "cache": place.parent / "cache"}
    return open_data(place, **{**options, **settings})


def cubes(count: int, side: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, side), dtype=np.uint8)


def save(path: Path, volume: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def told(data: Any, words: str) -> bool:
    return any(words in note for note in data.notes)


# Space


def test_axes_are_superior_posterior_left_however_a_file_stores_them(tmp_path: Path) -> None:
    ramp = np.zeros((6, 8, 10), np.int16)  # right, anterior, superior
    ramp += (100 * np.arange(10)).astype(np.int16)
    ramp[:, 0] += 7  # at the back
    ramp[0] += 1  # on the left
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    save(tmp_path / "a.nii.gz", ramp, affine)
    scan = one_of([tmp_path / "a.nii.gz"])
    assert scan.values.shape == (10, 8, 6)
    assert scan.spacing == (3.0, 2.0, 1.0)
    assert scan.values[9, 4, 2] == 900
    assert (scan.values[0, -1, :-1] == 7).all() and scan.values[0, 3, -1] == 1
    turned = nibabel.as_closest_canonical(nibabel.load(tmp_path / "a.nii.gz"))
    other = turned.as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    nibabel.save(other, tmp_path / "b.nii.gz")
    again = one_of([tmp_path / "b.nii.gz"])
    assert np.array_equal(again.values, scan.values) and again.spacing == scan.spacing
    assert again.affine == pytest.approx(scan.affine)
    place = np.array(scan.affine).reshape(4, 4) @ [5, 7, 9, 1]  # column, row, slice: left, back, up
    assert place[:3] == pytest.approx([0, 0, 27])


@pytest.mark.parametrize("scale", [1, 2])
def test_what_is_made_of_a_file_lies_where_it_lay(scale: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 1000, (5, 6, 7)).astype(np.int16)
    affine = np.array([[0, -1.5, 0, 40], [-2.0, 0, 0, 10], [0, 0, 3.0, -20], [0, 0, 0, 1.0]])
    save(tmp_path / "scan.nii.gz", volume, affine)
    spec = VolumeSpec(16, 16, 0.0, 1000.0)
    (piece,) = KIND.read(tmp_path / "scan.nii.gz", spec, {"fit": None})
    large = piece.records[0].repeat(scale, 0).repeat(scale, 1).repeat(scale, 2)[None]
    own = KIND.resized(piece.spec, (1, *large.shape[1:]), piece.spec, scale)
    result = type(piece)(large, own)
    given: dict[str, Any] = {"format": "nifti", "depth": None, "settings": {"fit": None}, "scale": scale, "note": NOTE}
    (path,) = KIND.write_like([result], tmp_path / "out" / "scan", tmp_path / "scan.nii.gz", **given)
    back = nibabel.load(path)
    assert back.shape == tuple(scale * side for side in volume.shape)
    if scale == 1:
        assert np.allclose(back.affine, affine) and np.array_equal(np.asarray(back.dataobj), volume)
    corner = back.affine @ [-0.5, -0.5, -0.5, 1]  # the outer corner of the first voxel stays where it was
    assert corner == pytest.approx(affine @ [-0.5, -0.5, -0.5, 1])
    assert back.header["descrip"].item().startswith(b"SYNTHETIC")
    (other,) = KIND.write_like([result], tmp_path / "out" / "free", None, **given)
    apart = nibabel.load(other)  # without the file, by what is known of it
    assert nibabel.as_closest_canonical(apart).affine == pytest.approx(nibabel.as_closest_canonical(back).affine)


def series(folder: Path, volume: np.ndarray, order: list[int], **more: Any) -> None:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    own = generate_uid(entropy_srcs=[str(folder), str(more)])
    for number, place in enumerate(order):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(own), str(place)])
        ds = FileDataset(str(folder), {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.Modality, ds.PatientID, ds.SeriesInstanceUID = "CT", "somebody", own
        ds.Rows, ds.Columns = volume.shape[1:]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 0
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.PixelSpacing = [2.0, 2.0]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [-20.0, -30.0, 4.0 * place]
        ds.InstanceNumber = number + 1
        for key, value in more.items():
            setattr(ds, key, value)
        ds.PixelData = (volume[place].astype(np.int32) + 1024).astype(np.uint16).tobytes()
        pydicom.dcmwrite(folder / f"slice{number}.dcm", ds, enforce_file_format=True)


def test_a_folder_of_slices_is_a_volume_in_hounsfield_units(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(-1000, 2000, (8, 16, 16))
    series(tmp_path / "all" / "one", volume, [3, 0, 7, 1, 2, 6, 5, 4])
    scan = one_of(sorted((tmp_path / "all" / "one").iterdir()))
    assert np.array_equal(scan.values, volume), "in the order of places, not of names"
    assert scan.spacing == (4.0, 2.0, 2.0) and scan.absolute
    assert np.array(scan.affine).reshape(4, 4) @ [0, 0, 0, 1] == pytest.approx([20, 30, 0, 1])
    data = opened(tmp_path / "all", size=16)
    assert data.values.shape == (1, 16, 16, 16) and data.values.dtype == np.float32
    assert data.values.min() >= -1000 and data.values.max() <= 2000
    assert data.spec.spacing == pytest.approx((2.0, 2.0, 2.0))


def test_slices_that_make_no_volume_are_refused_by_name(tmp_path: Path) -> None:
    volume = np.zeros((4, 16, 16), int) + np.arange(4)[:, None, None]
    series(tmp_path / "two" / "mixed", volume, [0, 1])
    for file in (tmp_path / "two" / "mixed").iterdir():
        file.rename(file.with_name("a" + file.name))
    series(tmp_path / "two" / "mixed", volume, [2, 3], StudyID="x")
    with pytest.raises(DataError, match="mixed holds 2 series: put each into a folder of its own"):
        opened(tmp_path / "two", size=16)
    series(tmp_path / "lone" / "single", volume, [0])
    with pytest.raises(DataError, match="is a single slice"):
        opened(tmp_path / "lone", size=16)
    assert bundles(["a/1.dcm", "a/2", "b.nii.gz", "c.dcm", "x.npz"]) == ["a", "a", "b.nii.gz", "series", "x.npz"]


# One size


def test_resampling_keeps_means_places_and_proportions() -> None:
    ramp = np.broadcast_to(np.arange(12.0)[:, None, None], (12, 12, 12)).astype(np.float32)
    half, apart, done = at_side(ramp, 6, (1.0, 1.0, 1.0), "pad")
    assert half[:, 0, 0] == pytest.approx(np.arange(12.0).reshape(6, 2).mean(1)) and apart == (2.0, 2.0, 2.0)
    assert done == "areas"
    double, _, done = at_side(ramp, 24, (1.0, 1.0, 1.0), "pad")
    assert double[1:-1, 5, 5] == pytest.approx(np.arange(24)[1:-1] / 2 - 0.25, abs=1e-5), "no shift by half a voxel"
    assert done == "trilinear"
    flat = np.full((4, 12, 12), 5.0, np.float32)
    flat[0, 0, 0] = 1.0
    padded, apart, _ = at_side(flat, 12, (1.0, 1.0, 1.0), "pad")
    assert (padded[:4] == 1).all() and (padded[5:8, 3:, 3:] == 5).all() and apart == (1.0, 1.0, 1.0)
    cropped, apart, _ = at_side(flat, 12, (1.0, 1.0, 1.0), "crop")
    assert apart == pytest.approx((1 / 3,) * 3) and (cropped[2:] == 5).all()
    thick, apart, _ = at_side(flat, 12, (3.0, 1.0, 1.0), "pad")
    assert apart == (1.0, 1.0, 1.0) and (thick[4:] == 5).all(), "slices three times as thick fill the cube"
    assert shares(7, 3, 7.0).sum(1) == pytest.approx(1)


def test_volumes_are_brought_to_the_size_asked_for_and_that_is_told(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "all" / f"{number}.nii", cubes(1, 20, number)[0][:12], np.diag([1.0, 1, 1, 1]))
    with pytest.raises(MixedData, match="choose the side of a cube, as in --size 64"):
        opened(tmp_path / "all")
    data = opened(tmp_path / "all", size=16)
    assert data.values.shape == (3, 16, 16, 16)
    assert told(data, "brought to 16x16x16: means over the space") and told(data, "padded with their least value")
    assert told(opened(tmp_path / "all", size=32), "trilinear interpolation, which adds no detail")
    with pytest.raises(GanvasError, match="--size 4 does not fit volumes"):
        opened(tmp_path / "all", size=4)
    with pytest.raises(GanvasError, match="--fit patches is not for volumes"):
        opened(tmp_path / "all", size=16, fit="patches")


def test_values_beyond_the_range_keep_their_place(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(100, 20, (6, 16, 16, 16)).astype(np.float32)
    values[0, 3, 3, 3] = 900
    np.savez(tmp_path / "v.npz", volumes=values, labels=np.array(["a", "b"] * 3), spacing=np.array([2.0, 2, 2]))
    data = opened(tmp_path / "v.npz")
    assert data.spec.classes == ("a", "b") and data.spec.spacing == (2.0, 2.0, 2.0) and data.spec.format == "npz"
    assert data.spec.high < 200 and told(data, "percentiles")
    tensor = KIND.encode(np.asarray(data.values), data.spec, "cpu")
    assert tensor.max() > 5
    assert KIND.decode(tensor, data.spec)[0, 3, 3, 3] == pytest.approx(900, rel=1e-4)


def test_number_formats_that_are_mixed_become_floats(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    np.save(tmp_path / "all" / "a.npy", cubes(1)[0])
    np.save(tmp_path / "all" / "b.npy", (cubes(1, seed=1)[0].astype(np.int16) - 100))
    data = opened(tmp_path / "all")
    assert data.values.dtype == np.float32 and data.values.min() < 0
    assert told(data, "several number formats")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 5), np.uint8), "save volumes as"),
        (np.full((9, 9, 9), np.nan, np.float32), "NaN"),
        (np.zeros((2, 12, 12, 12), complex), "holds complex128"),
        (np.zeros((12, 12, 12, 3), np.uint8), "looks like channels"),
        (np.full((2, 9, 9, 9), 3.0, np.float32), "nothing to learn"),
    ],
)
def test_arrays_that_are_no_volumes_are_refused(array: np.ndarray, words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises(DataError, match=words):
        opened(tmp_path / "bad.npy")


def test_images_stay_the_default_of_such_files(tmp_path: Path) -> None:
    save(tmp_path / "all" / "a.nii", cubes(1, 16)[0], np.eye(4))
    assert opened(tmp_path / "all", kinds=()).spec.kind == "image"
    assert opened(tmp_path / "all").spec.kind == "volume"


# The phantom, and judging


def test_the_phantom_knows_its_tissues_and_its_lesions() -> None:
    made = make_phantom("brain-volumes", 6, 1, size=32)
    assert made.values.shape == (6, 32, 32, 32) and made.values.dtype == np.uint8
    assert np.array_equal(make_phantom("brain-volumes", 3, 1, size=32).values, made.values[:3])
    assert made.labels is not None and 0 < made.labels.sum() < 6
    for fact, mask, label in zip(made.facts, made.masks["lesion"], made.labels, strict=True):
        assert fact["lesion_voxels"] == (mask > 0).sum() and (label == 1) == bool(mask.any())
        assert 300 < fact["volumes_ml"]["white"] + fact["volumes_ml"]["grey"] < 1700
    tissue = next(iter(heads(1, 1, 32)))[2]
    t1 = made.values[0].astype(float)
    assert t1[tissue == INDEX["white"]].mean() > t1[tissue == INDEX["grey"]].mean() > t1[tissue == INDEX["fluid"]].mean()
    upper = tissue[16:]  # the crown, with air around it, the nose in front
    assert (upper[:, 0] == INDEX["air"]).all() and (upper[0] != INDEX["air"]).any()
    ct = make_phantom("brain-volumes:ct", 1, 1, size=32)
    assert ct.values.dtype == np.float32 and ct.values.min() < -900 and ct.values.max() > 600


def test_features_see_what_is_blurred_and_the_spectrum_says_how_much() -> None:
    from scipy.ndimage import gaussian_filter

    made = make_phantom("brain-volumes", 8, 2, size=32)
    blurred = np.rint(gaussian_filter(made.values.astype(float), (0, 1, 1, 1))).astype(np.uint8)
    sharp, soft = (features.radial_power(own, made.spec) for own in (made.values, blurred))
    assert features.spectrum_distance(sharp, sharp) == 0
    assert features.spectrum_distance(soft, sharp, 1) > 2 * features.spectrum_distance(soft, sharp) / 2 > 0.3
    assert features.detail(blurred, made.spec).mean() < 0.5 * features.detail(made.values, made.spec).mean()
    vectors = [KIND.vectors(own, made.spec) for own in (made.values, blurred)]
    assert vectors[0].shape == (8, 512 + 128)
    assert np.abs(vectors[1][:, 512:]).mean() < 0.6 * np.abs(vectors[0][:, 512:]).mean()
    side = (made.values, made.spec)
    found = KIND.measures((blurred, made.spec), side, side, 0)
    assert found["detail_spectrum"].value > found["detail_spectrum"].more["real"] == 0
    assert found["detail"].value < 0.5 and found["detail"].more["real"] == pytest.approx(1)
