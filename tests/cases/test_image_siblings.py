"""Siblings of the cases of images: what other headers, arrays and folders declare is honoured, told or refused by name.

Each expectation names the part of the format's specification that it is taken from.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from image_files import dicom, lookup, no_data, one, png, tiff, volume
from PIL import Image, ImageCms

from ganvas.data.dataset import open_data
from ganvas.errors import DataError
from ganvas.kinds.image.readers import read
from ganvas.store.records import Dataset

RAMP = np.arange(16 * 20).reshape(16, 20)
DEEP = RAMP.astype(np.uint16)
GREY = (RAMP % 256).astype(np.uint8)
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=2)
MISSING = np.zeros((16, 20), bool)
MISSING[:2] = True
TWELVE = {"BitsStored": 12, "HighBit": 11}
JPEG_LOSSLESS, JPEG_LS, JPEG_LS_NEAR, JPEG_2000 = (f"1.2.840.10008.1.2.4.{number}" for number in (70, 80, 81, 90))


def kept(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def item(**tags: Any) -> pydicom.Dataset:
    made = pydicom.Dataset()
    for name, value in tags.items():
        setattr(made, name, value)
    return made


def packed(stream: bytes, syntax: str, values: np.ndarray, **tags: Any) -> bytes:
    """A DICOM file whose one frame is `stream`; its header is that of `values`."""
    ds = pydicom.dcmread(io.BytesIO(dicom(values, **tags)))
    ds.PixelData = pydicom.encaps.encapsulate([stream])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


# DICOM

STREAMS: dict[str, tuple[str, Callable[[np.ndarray, int], bytes]]] = {
    "jpeg-ls": (JPEG_LS, lambda words, bits: imagecodecs.jpegls_encode(words)),
    "jpeg-ls near": (JPEG_LS_NEAR, lambda words, bits: imagecodecs.jpegls_encode(words)),
    "jpeg": (JPEG_LOSSLESS, lambda words, bits: imagecodecs.jpeg_encode(words, lossless=True, bitspersample=bits)),
    "jpeg 2000": (
        JPEG_2000, lambda words, bits: imagecodecs.jpeg2k_encode(words, codecformat="j2k", reversible=True, level=0)
    ),
}  # fmt: skip


@pytest.mark.parametrize("codec", STREAMS)
@pytest.mark.parametrize("bits", [12, 16])
def test_compressed_values_carry_their_sign(tmp_path: Path, codec: str, bits: int) -> None:
    """PS3.5 8.1.1 and 8.2: PixelRepresentation says that stored values are two's complement of BitsStored."""
    values = (RAMP - 160).astype(np.int16)
    syntax, encode = STREAMS[codec]
    stream = encode(values.view(np.uint16) & (2**bits - 1), bits)
    picture = one(kept(tmp_path / "a.dcm", packed(stream, syntax, values, BitsStored=bits, HighBit=bits - 1)))
    assert (picture.pixels[..., 0] == values).all()


@pytest.mark.parametrize("codec", ["jpeg-ls", "jpeg", "jpeg 2000"])
def test_overlays_beside_the_value_are_left_out_of_compressed_words(tmp_path: Path, codec: str) -> None:
    """PS3.5 8.1.2 (2004, retired): overlays lay in the bits of the word that the value does not use."""
    syntax, encode = STREAMS[codec]
    picture = one(kept(tmp_path / "a.dcm", packed(encode(DEEP | 0x9000, 16), syntax, DEEP, **TWELVE)))
    assert (picture.pixels[..., 0] == RAMP).all()
    padded = np.where(MISSING, 63536, DEEP).astype(np.uint16)  # some devices pad with a word outside the stored bits
    picture = one(kept(tmp_path / "b.dcm", packed(encode(padded, 16), syntax, DEEP, **TWELVE, PixelPaddingValue=63536)))
    assert (picture.pixels[~MISSING, 0] == RAMP[~MISSING]).all()
    assert (picture.pixels[MISSING] == 0).all()


def test_doses_and_frames_are_scaled_as_each_declares(tmp_path: Path) -> None:
    """PS3.3 C.8.8.3: DoseGridScaling times the value is the dose; C.7.6.16.2.9: every frame has its own RescaleSlope."""
    dose = dicom(DEEP, SOPClassUID="1.2.840.10008.5.1.4.1.1.481.2", DoseGridScaling="0.5", DoseUnits="GY")
    assert (one(kept(tmp_path / "dose.dcm", dose)).pixels[..., 0] == RAMP * 0.5).all()
    frames = [item(PixelValueTransformationSequence=[item(RescaleSlope=s, RescaleIntercept="0")]) for s in ("1", "2")]
    tags = {"Rows": 16, "NumberOfFrames": 2, "PerFrameFunctionalGroupsSequence": frames}
    path = kept(tmp_path / "two.dcm", dicom(np.concatenate([DEEP, DEEP]), **TWELVE, **tags))
    assert [int(picture.pixels.max()) for picture in read(path)] == [319, 638]
    values = np.asarray(open_data(path, progress=False).values)
    assert (values[1] == 2 * values[0].astype(int)).all(), "rescaled values mean the same in both"


NO_PICTURES = {"1.2.840.10008.5.1.4.1.1.66.4": "Segmentation", "1.2.840.10008.5.1.4.1.1.30": "Parametric Map"}


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_objects_that_are_no_pictures_are_left_out_by_name(tmp_path: Path, kind: str) -> None:
    """PS3.3 A.51 and A.75: the pixels of a segmentation are segments, those of a map need a RealWorldValueMapping."""
    rng = np.random.default_rng(0)
    for k in range(4):
        kept(tmp_path / f"{k}.dcm", dicom(rng.integers(0, 256, (16, 20), np.uint8), PatientID=str(k)))
    kept(tmp_path / "other.dcm", dicom(GREY % 2, SOPClassUID=kind))
    data = open_data(tmp_path, progress=False)
    assert len(data.values) == 4
    assert any("other.dcm" in note and NO_PICTURES[kind] in note for note in data.notes)


def test_a_window_beyond_all_values_is_told(tmp_path: Path) -> None:
    for k in range(3):
        kept(tmp_path / f"{k}.dcm", dicom(DEEP + k, **TWELVE, WindowCenter=3000, WindowWidth=11, PatientID=str(k)))
    assert any("all values lie beyond" in note for note in open_data(tmp_path, progress=False).notes)


# What is declared and not applied is told. name -> (suffix, bytes, words of the warning)

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
ROW = bytes(range(8))


def bitmap(alpha: int, across: int = 2835, down: int = 2835) -> bytes:
    """2 x 2 pixels (30, 20, 10) of 32 bits under a BITMAPV4HEADER with a mask for alpha."""
    pixels = bytes([10, 20, 30, alpha]) * 4
    head = struct.pack("<IiiHHIIiiII", 108, 2, 2, 1, 32, 3, len(pixels), across, down, 0, 0)
    head += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(pixels), 0, 0, 14 + len(head)) + head + pixels


def turned(**codes: int) -> bytes:
    """A NIfTI volume whose qform and sform disagree on left and right, or whose sform and pixdim on the spacing."""
    image = nibabel.Nifti1Image(np.arange(9 * 10 * 4).reshape(9, 10, 4).astype(np.int16), None)
    image.header.set_sform(np.diag([1, 1, 1 if "qform" in codes else 3, 1.0]), 2)
    image.header.set_qform(np.diag([-1, 1, 1, 1.0]), codes.get("qform", 0))
    image.header["pixdim"][1:4] = 1
    return image.to_bytes()


TOLD: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "dicom profile (PS3.3 C.11.15)": ("dcm", lambda: dicom(COLOUR, ICCProfile=PROFILE), "colour profile"),
    "dicom profile of a path (C.8.12.5)": (
        "dcm", lambda: dicom(COLOUR, OpticalPathSequence=[item(ICCProfile=PROFILE)]), "colour profile"
    ),
    "dicom aspect (C.7.6.3.1.7)": ("dcm", lambda: dicom(DEEP, PixelAspectRatio=[2, 1]), "not square (2 high to 1 wide)"),
    "dicom supplemental palette (C.8.17.2.1.2)": ("dcm", lambda: dicom(GREY, PixelPresentation="COLOR"), "palette"),
    "dicom localizer (C.8.2.1.1.1)": ("dcm", lambda: dicom(DEEP, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "localizer"),
    "tiff resolution (TIFF 6.0, 8)": ("tif", lambda: tiff(GREY, resolution=(204, 98)), "not square (2.08 high to 1 wide)"),
    "tiff transfer (20)": ("tif", lambda: tiff(GREY, (301, "H", 256, tuple(range(0, 65536, 256)))), "transfer function"),
    "tiff density (8)": ("tif", lambda: tiff(GREY, (291, "H", 256, tuple(range(256)))), "response curve"),
    "tiff channels": ("tif", lambda: tiff(np.stack([DEEP] * 4), metadata={"axes": "CYX"}), "4 channels"),
    "png aspect (pHYs)": ("png", lambda: png(8, 2, 8, 0, ROW, (b"pHYs", struct.pack(">IIB", 2, 1, 0))), "2 high to 1 wide"),
    "jpeg aspect (JFIF)": ("jpg", lambda: saved(Image.fromarray(GREY), "JPEG", dpi=(100, 200)), "1 high to 2 wide"),
    "bmp aspect": ("bmp", lambda: bitmap(255, 2000, 4000), "1 high to 2 wide"),
    "nifti intent 1002": ("nii", lambda: volume(np.ones((9, 10, 4), np.uint8), intent_code=1002), "its values are labels"),
    "nifti qform": ("nii", lambda: turned(qform=1), "qform and sform disagree"),
    "nifti pixdim": ("nii", lambda: turned(), "pixdim and sform disagree"),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_what_is_declared_and_not_applied_is_told(tmp_path: Path, case: str) -> None:
    suffix, make, words = TOLD[case]
    warnings = next(read(kept(tmp_path / f"a.{suffix}", make()))).warnings
    assert any(words in text for text in warnings), warnings


PLAIN: dict[str, tuple[str, Callable[[], bytes]]] = {
    "dicom": ("dcm", lambda: dicom(DEEP, PixelAspectRatio=[1, 1])),
    "tiff": ("tif", lambda: tiff(GREY, resolution=(300, 300))),
    "png": ("png", lambda: png(8, 2, 8, 0, ROW, (b"pHYs", struct.pack(">IIB", 2835, 2835, 1)))),
    "jpeg": ("jpg", lambda: saved(Image.fromarray(GREY), "JPEG", dpi=(72, 72))),
    "nifti": ("nii", lambda: volume(np.arange(360).reshape(9, 10, 4).astype(np.int16), (1, 1, 3))),
    "nifti of one slice": ("nii", lambda: volume(np.arange(90).reshape(9, 10).astype(np.int16), (1, 1, 3))),
}


@pytest.mark.parametrize("case", PLAIN)
def test_what_is_as_usual_is_not_told(tmp_path: Path, case: str) -> None:
    suffix, make = PLAIN[case]
    warnings = next(read(kept(tmp_path / f"a.{suffix}", make()))).warnings
    assert warnings == ()


def test_oblong_pixels_of_a_folder_are_told_with_their_spacing(tmp_path: Path) -> None:
    for k in range(3):
        kept(tmp_path / f"{k}.dcm", dicom(DEEP + k, PixelSpacing=[1, 3], PatientID=str(k)))
    assert any("pixels of 1 x 3 mm are not square" in note for note in open_data(tmp_path, progress=False).notes)


# Refused by name


def crushed() -> bytes:
    """What Xcode makes of a PNG: a chunk CgBI before all others; colours are in another order, and times alpha."""
    whole = png(8, 2, 8, 0, ROW)
    return (
        whole[:8] + struct.pack(">I", 4) + b"CgBI\x50\0\x20\6" + struct.pack(">I", zlib.crc32(b"CgBI\x50\0\x20\6")) + whole[8:]
    )


REFUSED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "inverted inks (TIFF 6.0, 16: DotRange)": (
        "tif", lambda: tiff(np.zeros((9, 9, 4), np.uint8), (336, "H", 2, (255, 0)), photometric="separated"), "DotRange"
    ),
    "png of iPhones": ("png", crushed, "CgBI"),
    "jpeg of 12 bits (T.81 B.2.2)": ("jpg", lambda: imagecodecs.jpeg8_encode(DEEP, bitspersample=12), "JPEG of 12 bits"),
    "lossless jpeg": ("jpg", lambda: imagecodecs.jpeg_encode(DEEP, lossless=True, bitspersample=16), "lossless JPEG of 16"),
    "jpeg-ls": ("jpg", lambda: imagecodecs.jpegls_encode(GREY), "JPEG-LS"),
    "dose of nothing": ("dcm", lambda: dicom(DEEP, DoseGridScaling="0"), "DoseGridScaling"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_read_is_refused_by_name(tmp_path: Path, case: str) -> None:
    suffix, make, words = REFUSED[case]
    with pytest.raises(DataError, match=words) as caught:
        one(kept(tmp_path / f"a.{suffix}", make()))
    assert "\n" not in str(caught.value)
    assert " at 0x" not in str(caught.value)


# Values without data, and ranges


def scaled(scale: float) -> tuple[int, str, int, str]:
    return 42112, "s", 0, f'<GDALMetadata><Item name="SCALE" sample="0" role="scale">{scale}</Item></GDALMetadata>'


LAND = (RAMP % 100 + 100).astype(np.float32)
MARKED: dict[str, tuple[np.ndarray, str, float, np.ndarray]] = {
    "six digits": (np.where(MISSING, np.finfo(np.float32).min, LAND).astype(np.float32), "-3.40282e+38", 1, LAND),
    "rounded beyond the type": (np.where(MISSING, np.finfo(np.float32).min, LAND).astype(np.float32), "-3.40283e+38", 1, LAND),
    "infinite": (np.where(MISSING, -np.inf, LAND).astype(np.float32), "-inf", 1, LAND),
    "turned by a scale": (np.where(MISSING, -9999, LAND).astype(np.int16), "-9999", -1, -LAND),
    "bytes with a scale": (np.where(MISSING, 255, LAND).astype(np.uint8), "255", 0.5, LAND * 0.5),
}


@pytest.mark.parametrize("case", MARKED)
def test_no_data_counts_as_the_least_of_the_values_meant(tmp_path: Path, case: str) -> None:
    """GDAL's GeoTIFF driver: the mark is text of any number of digits, and is compared before scale and offset."""
    stored, mark, scale, meant = MARKED[case]
    picture = one(kept(tmp_path / "a.tif", tiff(stored, no_data(mark), *([scaled(scale)] if scale != 1 else []))))
    assert picture.pixels[~MISSING, 0] == pytest.approx(meant[~MISSING])
    assert (picture.pixels[MISSING] == meant[~MISSING].min()).all()
    assert sum("GDAL_NODATA" in text for text in picture.warnings) == 1


def test_a_cal_max_of_nothing_declares_no_range(tmp_path: Path) -> None:
    """nifti1.h: cal_min and cal_max are used where they are not zero; -5 and 0 would show values from 0 up as white."""
    values = np.arange(360).reshape(9, 10, 4).astype(np.int16)
    assert np.isnan(next(read(kept(tmp_path / "a.nii", volume(values, cal_min=-5)))).high)
    assert next(read(kept(tmp_path / "b.nii", volume(values, cal_max=200)))).high == 200


def test_an_alpha_that_was_never_set_hides_nothing(tmp_path: Path) -> None:
    picture = one(kept(tmp_path / "a.bmp", bitmap(0)))
    assert (picture.pixels == (30, 20, 10)).all()
    assert picture.warnings == ("alpha channel dropped: it is 0 everywhere",)
    assert (one(kept(tmp_path / "b.bmp", bitmap(128))).pixels == (142, 137, 132)).all()


# Arrays

PICTURES = np.random.default_rng(0).integers(0, 256, (24, 16, 16), np.uint8)
HALVES = np.arange(24) % 2


def array(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "a.npz", **arrays)
    return folder / "a.npz"


def test_groups_and_split_of_an_array_file_are_those_of_its_rows(tmp_path: Path) -> None:
    sides = np.array(["train"] * 16 + ["test"] * 8)
    data = open_data(array(tmp_path, images=PICTURES, labels=HALVES, groups=np.arange(24) // 4, split=sides), progress=False)
    assert data.heldout.tolist() == [False] * 16 + [True] * 8
    data = open_data(array(tmp_path / "groups", images=PICTURES, groups=np.arange(24) // 4), progress=False)
    assert (data.groups == np.arange(24) // 4).all()
    assert 0 < data.heldout.sum() < 24


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"groups": np.arange(5)}, "24 pictures but 5 groups"),
        ({"split": np.array(["left"] * 24)}, "split 'left' in row 0"),
        ({"split": np.array(["test"] * 24)}, "every row out"),
        ({"groups": np.zeros(24, int), "split": np.array(["train"] * 9 + ["test"] * 15)}, "both sides of the split"),
        ({"labels": np.array(["a"] * 20 + [""] * 4)}, "empty text among its labels"),
        ({"labels": np.eye(2)[HALVES]}, "labels of float64"),
    ],
)  # fmt: skip
def test_columns_of_an_array_file_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        open_data(array(tmp_path, images=PICTURES, **arrays), progress=False)


def test_arrays_that_are_not_read_are_named(tmp_path: Path) -> None:
    given = array(tmp_path, images=PICTURES, labels=HALVES, y=HALVES, masks=PICTURES > 9)
    assert any("masks, y are not read, only 'images'" in note for note in open_data(given, progress=False).notes)
    np.save(tmp_path / "flat.npy", PICTURES.reshape(24, 256))
    notes = open_data(tmp_path / "flat.npy", progress=False).notes
    assert any("one picture of 24 x 256" in note for note in notes)


# Folders


def pictures(folder: Path, count: int = 4, seed: int = 0, *, maps: bool = False, suffix: str = "png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for k in range(count):
        pixels = rng.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels // 128 if maps else pixels).save(folder / f"{k}.{suffix}")


def opened(folder: Path) -> Dataset:
    return open_data(folder, cache=folder.parent / "cache", progress=False)


@pytest.mark.parametrize(
    ("shown", "mapped"),
    [("images", "labels"), ("image", "label"), ("images", "annotations"), ("imagesTr", "labelsTr"),
     ("train/images", "train/labels"), ("images/train", "labels/train"), ("JPEGImages", "SegmentationClass"), ("img", "gt")],
)  # fmt: skip
def test_maps_beside_their_pictures_are_no_class(tmp_path: Path, shown: str, mapped: str) -> None:
    pictures(tmp_path / "a" / shown)
    pictures(tmp_path / "a" / mapped, maps=True)
    data = opened(tmp_path / "a")
    assert len(data.values) == 4
    assert data.labels is None
    assert any(f"{mapped}/" in note and "left out" in note for note in data.notes)


def test_classes_called_label_or_test_stay_classes(tmp_path: Path) -> None:
    for names in (("label", "no-label"), ("labeled", "unlabeled"), ("test_positive", "test_negative")):
        for k, name in enumerate(names):
            pictures(tmp_path / names[0] / name, seed=k)
        assert opened(tmp_path / names[0]).spec.classes == tuple(sorted(names))


def test_what_was_left_out_is_told_each_time_as_it_is_then(tmp_path: Path) -> None:
    """Decoded pictures are kept: those opened without masks must not speak for those with, nor the other way round."""
    pictures(tmp_path / "a" / "images")
    assert not any("mask" in note for note in opened(tmp_path / "a").notes)
    pictures(tmp_path / "a" / "masks", maps=True)
    assert any("masks/0.png" in note for note in opened(tmp_path / "a").notes)


SPLITS: dict[str, tuple[dict[str, bool], tuple[str, ...]]] = {
    "words with images": ({"train_images": False, "test_images": True}, ()),
    "decathlon": ({"imagesTr": False, "imagesTs": True}, ()),
    "a third set of classes": (
        {"train/cat": False, "train/dog": False, "test/cat": True, "test/dog": True, "extra/cat": False}, ("cat", "dog")
    ),
    "below the classes": ({"cat/train": False, "cat/val": True, "dog/train": False, "dog/val": True}, ("cat", "dog")),
    "loose files": ({"train/cat": False, "train": False, "test/cat": True}, ()),
    "one folder of tests": ({".": False, "test": True}, ()),
    "tests without classes": ({"train/cat": False, "train/dog": False, "test": True}, ()),
}  # fmt: skip


@pytest.mark.parametrize("case", SPLITS)
def test_what_folders_hold_out_is_not_trained_on(tmp_path: Path, case: str) -> None:
    folders, classes = SPLITS[case]
    for seed, folder in enumerate(folders):
        pictures(tmp_path / "a" / folder, seed=seed)
    data = opened(tmp_path / "a")
    assert int(data.heldout.sum()) == 4 * sum(folders.values())
    assert data.spec.classes == classes
    assert any("split taken from the folders" in note for note in data.notes)


def test_a_folder_of_tests_that_is_trained_on_is_named(tmp_path: Path) -> None:
    for seed, folder in enumerate(("a", "b", "a/test")):
        pictures(tmp_path / "a" / folder, seed=seed)
    assert any("folder 'a/test' is trained on" in note for note in opened(tmp_path / "a").notes)


def test_names_that_look_alike_links_and_droppings(tmp_path: Path) -> None:
    pictures(tmp_path / "a" / "Cat", seed=1)
    pictures(tmp_path / "a" / "cat", seed=2)
    pictures(tmp_path / "a" / "cat" / "@eaDir" / "0.png", 1)  # small copies that a network disk makes
    pictures(tmp_path / "a" / "__MACOSX" / "cat", 1)
    (tmp_path / "a" / "cat" / "gone.png").symlink_to("/nowhere/gone.png")
    (tmp_path / "a" / "cat" / "loop").symlink_to(tmp_path / "a")
    data = opened(tmp_path / "a")
    assert len(data.values) == 8
    assert any("'Cat' and 'cat' differ in capitals" in note for note in data.notes)
    assert any("leads nowhere: cat/gone.png" in note for note in data.notes)


def test_labels_of_a_table_that_are_not_those_of_the_folders_are_told(tmp_path: Path) -> None:
    for seed, folder in enumerate("ab"):
        pictures(tmp_path / "a" / folder, seed=seed)
    for words, told in ((("a", "b"), False), (("x", "y"), True)):
        rows = "".join(f"{folder}/{k}.png,{word}\n" for folder, word in zip("ab", words, strict=True) for k in range(4))
        (tmp_path / "a" / "labels.csv").write_text("file,label\n" + rows)
        data = opened(tmp_path / "a")
        assert data.spec.classes == words
        assert any("not the folders a, b" in note for note in data.notes) == told


# Label maps

CLASSES = (RAMP // 80).astype(np.uint8)
TABLE = np.zeros((3, 256), np.uint16)
TABLE[:, :4] = np.array([[0, 255, 0, 9], [0, 0, 255, 9], [0, 0, 0, 9]]) * 257
NUMBERS: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "colour map": (tiff(CLASSES, photometric="palette", colormap=TABLE), (0, 1, 2, 3)),
    "grey colour map": (tiff(CLASSES, photometric="palette", colormap=np.stack([np.arange(256) * 170] * 3).astype(np.uint16)),
                        (0, 1, 2, 3)),
    "white is zero": (tiff(CLASSES, photometric="miniswhite"), (0, 1, 2, 3)),
    "one bit": (tiff(CLASSES > 1), (0, 1)),
    "no data": (tiff(np.where(MISSING, 255, CLASSES), no_data("255")), (0, 1, 2, 3, 255)),
    "scaled": (tiff(CLASSES, scaled(0.5)), (0, 1, 2, 3)),
    "of 32 bits": (tiff(CLASSES.astype(np.int32) * 1000), (0, 1000, 2000, 3000)),
}  # fmt: skip


@pytest.mark.parametrize("case", NUMBERS)
def test_label_maps_of_tiff_are_the_numbers_stored(tmp_path: Path, case: str) -> None:
    """As for PNG: what a class looks like, or that it means no data, does not change its number."""
    data, values = NUMBERS[case]
    for k in range(2):
        kept(tmp_path / f"{k}.tif", data)
    found = open_data(tmp_path, kinds=("label_map",), progress=False)
    assert found.spec.values == values
    assert any("GDAL_NODATA 255 is a class like any other" in note for note in found.notes) == (case == "no data")


def test_label_maps_that_are_not_what_they_seem_are_refused_or_told(tmp_path: Path) -> None:
    def maps(name: str, *files: bytes, suffix: str = "png") -> Dataset:
        for k, data in enumerate(files):
            kept(tmp_path / name / f"{k}.{suffix}", data)
        return open_data(tmp_path / name, kinds=("label_map",), progress=False)

    def indexed(*palette: int) -> bytes:
        image = Image.fromarray(CLASSES % 2, "P")
        image.putpalette(palette)
        return saved(image, "PNG")

    red_green, green_red = indexed(255, 0, 0, 0, 255, 0), indexed(0, 255, 0, 255, 0, 0)
    with pytest.raises(DataError, match="palette shows the value 0 as #00ff00, that of 0.png as #ff0000"):
        maps("palettes", red_green, green_red)
    (tmp_path / "palettes" / "classes.csv").write_text("value,class\n0,road\n1,sky\n")
    assert maps("palettes", red_green, green_red).spec.names == ("road", "sky")
    with pytest.raises(DataError, match="compressed by JPEG, which changes values"):
        maps("lossy", tiff(CLASSES * 60, compression="jpeg"), suffix="tif")
    soft = np.linspace(0, 255, 320).astype(np.uint8).reshape(16, 20)
    assert any("many for classes" in note for note in maps("soft", saved(Image.fromarray(soft), "PNG")).notes)
    two = (np.arange(9 * 10 * 4 * 2).reshape(9, 10, 4, 2) % 3).astype(np.uint8)
    assert any("only the first is read" in note for note in maps("volumes", volume(two), suffix="nii").notes)


# Read rightly at first sight; each stands for a rule of its format


def directories(*pages: tuple[np.ndarray, dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for pixels, options in pages:
            writer.write(pixels, **options)
    return buffer.getvalue()


def test_old_marks_of_smaller_copies_are_known(tmp_path: Path) -> None:
    """TIFF 6.0, section 8: SubfileType (255), of which 2 is a reduced copy, before there was NewSubfileType."""
    small = {"extratags": [(255, "H", 1, 2, True)]}
    for name, pages in (("after", ((GREY, {}), (GREY[::2, ::2], small))), ("before", ((GREY[::2, ::2], small), (GREY, {})))):
        assert (one(kept(tmp_path / f"{name}.tif", directories(*pages))).pixels[..., 0] == GREY).all()


@pytest.mark.parametrize(("predictor", "kind"), [(2, "u1"), (2, "u2"), (2, "i2"), (3, "f4"), (3, "f2")])
@pytest.mark.parametrize("order", "<>")
def test_predictors_are_undone(tmp_path: Path, predictor: int, kind: str, order: str) -> None:
    data = tiff((RAMP % 200).astype(kind), predictor=predictor, compression="deflate", byteorder=order)
    assert (one(kept(tmp_path / "a.tif", data)).pixels[..., 0] == RAMP % 200).all()


def test_modality_tables_windows_and_padding_of_one_file(tmp_path: Path) -> None:
    """PS3.3 C.11.2: of window and table either may be used, the window here; C.7.5.1.1.2: padding is of stored values."""
    both = dicom(DEEP, **TWELVE, WindowCenter=[100, 300], WindowWidth=[51, 600], VOILUTSequence=[lookup(RAMP.ravel(), 0, 12)])
    picture = one(kept(tmp_path / "a.dcm", both))
    assert (picture.low, picture.high) == (74.5, 124.5)
    table = lookup(np.arange(4096) * 16, 0, 16)
    table.ModalityLUTType = "US"
    padded = np.where(MISSING, 4095, DEEP).astype(np.uint16)
    picture = one(kept(tmp_path / "b.dcm", dicom(padded, **TWELVE, PixelPaddingValue=4095, ModalityLUTSequence=[table])))
    assert (picture.pixels[~MISSING, 0] == RAMP[~MISSING] * 16).all()
    assert (picture.pixels[MISSING] == RAMP[~MISSING].min() * 16).all()
