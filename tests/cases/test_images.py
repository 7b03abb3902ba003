"""Cases of image files: what a format declares about its values is honoured, or refused by name; nothing is misread in silence.

Each test writes its files itself; the right answer is known pixel by pixel.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from image_files import dicom, lookup, no_data, one, png, tiff, volume
from PIL import Image, ImageCms
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

import toys
from ganvas.data.check import check
from ganvas.data.dataset import open_data
from ganvas.errors import DataError
from ganvas.kinds.image.readers import read
from ganvas.run.apply import apply
from ganvas.run.train import train

RAMP = np.arange(16 * 20).reshape(16, 20)
Put = Callable[[str, bytes], Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


# DICOM: bits

TWELVE = {"BitsStored": 12, "HighBit": 11}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=["plain", "rle"])
@pytest.mark.parametrize("high", [11, 13, 15])
def test_a_value_stands_below_its_high_bit(put: Put, high: int, syntax: UID) -> None:
    values = (RAMP * 12 % 4096).astype(np.uint16)
    picture = one(put("a.dcm", dicom(values << (high - 11), syntax, BitsStored=12, HighBit=high)))
    assert (picture.pixels[..., 0] == values).all()
    assert (picture.low, picture.high) == (0, 4095)


@pytest.mark.parametrize("high", [11, 15])
def test_signed_values_carry_the_sign_of_their_own_highest_bit(put: Put, high: int) -> None:
    values = (RAMP - 160).astype(np.int16)
    words = values.astype(np.uint16) << (high - 11) & (2 ** (high + 1) - 1)  # above the value: nothing, not its sign
    picture = one(put("a.dcm", dicom(words.astype(np.int16), BitsStored=12, HighBit=high)))
    assert (picture.pixels[..., 0] == values).all()


def test_overlays_in_the_bits_beside_the_value_are_left_out(put: Put) -> None:
    assert (one(put("above.dcm", dicom((RAMP | 0x9000).astype(np.uint16), **TWELVE))).pixels[..., 0] == RAMP).all()
    below = (RAMP << 4 | 5).astype(np.uint16)
    assert (one(put("below.dcm", dicom(below, BitsStored=12, HighBit=15))).pixels[..., 0] == RAMP).all()
    colour = np.stack([RAMP % 256 << 8] * 3, axis=2).astype(np.uint16)
    picture = one(put("colour.dcm", dicom(colour, BitsStored=8, HighBit=15)))
    assert (picture.pixels[..., 2] == RAMP % 256).all()
    assert picture.high == 255


def test_bits_that_cannot_be_are_refused_by_name(put: Put) -> None:
    for name, high, syntax in (
        ("low", 9, ExplicitVRLittleEndian),
        ("many", 16, ExplicitVRLittleEndian),
        ("jls", 15, JPEGLSLossless),
    ):
        with pytest.raises(DataError, match=f"HighBit {high}"):
            one(put(f"{name}.dcm", dicom(RAMP.astype(np.uint16), syntax, BitsStored=12, HighBit=high)))
    assert (one(put("none.dcm", dicom(RAMP.astype(np.uint16), BitsStored=12, HighBit=None))).pixels[..., 0] == RAMP).all()


# DICOM: padding

PADDING = np.zeros((16, 20), bool)
PADDING[:2] = True

PADDED: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "signed": (np.where(PADDING, -2000, RAMP).astype(np.int16), {"PixelPaddingValue": -2000}),
    "outside the stored bits": (np.where(PADDING, 63536, RAMP).astype(np.uint16), {**TWELVE, "PixelPaddingValue": 63536}),
    "a range": (
        np.where(PADDING, 4000 + RAMP % 50, RAMP).astype(np.uint16),
        {**TWELVE, "PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095},
    ),
    "a range downwards": (
        np.where(PADDING, 4000 + RAMP % 50, RAMP).astype(np.uint16),
        {**TWELVE, "PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4000},
    ),
    "eight bits": (np.where(PADDING, 255, RAMP % 200).astype(np.uint8), {"PixelPaddingValue": 255}),
    "inverted": (
        np.where(PADDING, 0, RAMP + 100).astype(np.uint16),
        {**TWELVE, "PixelPaddingValue": 0, "PhotometricInterpretation": "MONOCHROME1"},
    ),
    "the upper bits": (
        np.where(PADDING, 4095, RAMP).astype(np.uint16) << 4,
        {"BitsStored": 12, "HighBit": 15, "PixelPaddingValue": 4095},
    ),
}


@pytest.mark.parametrize("case", PADDED)
def test_padding_is_black_and_told(put: Put, case: str) -> None:
    stored, tags = PADDED[case]
    picture = one(put("a.dcm", dicom(stored, **tags)))
    values = picture.pixels[..., 0]
    assert (values[PADDING] == values[0, 0]).all()
    assert values[0, 0] <= values[~PADDING].min()
    expected = {"inverted": 4095 - RAMP - 100, "eight bits": RAMP % 200}.get(case, RAMP)
    assert (values[~PADDING] == expected[~PADDING]).all(), "the others are as they were"
    assert any("PixelPaddingValue" in text for text in picture.warnings)


def test_padding_does_not_set_black(tmp_path: Path) -> None:
    """Files of different windows: black is found from the values, of which padding is none."""
    for k in range(4):
        stored = np.where(PADDING, -2000, RAMP + k).astype(np.int16)
        tags = {"RescaleIntercept": -100, "RescaleSlope": 1, "WindowCenter": 100 + k, "WindowWidth": 200}
        (tmp_path / f"{k}.dcm").write_bytes(dicom(stored, PixelPaddingValue=-2000, PatientID=str(k), **tags))
    spec = open_data(tmp_path, progress=False).spec
    assert -61 <= spec.low <= -59  # the least of the values is 40 - 100


def test_nothing_but_padding_is_refused(put: Put) -> None:
    with pytest.raises(DataError, match="nothing but values without data"):
        one(put("a.dcm", dicom(np.full((16, 20), 7, np.uint8), PixelPaddingValue=7)))


# DICOM: values


@pytest.mark.parametrize("written", [-1024, 64512])
def test_a_table_for_hounsfield_units_is_applied(put: Put, written: int) -> None:
    """The first value of a VOI LUT may be negative, also where it is written without its sign."""
    table = lookup(np.arange(320) * 10, written & 0xFFFF, 12)
    table["LUTDescriptor"].VR = "US"
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1024, "VOILUTSequence": [table]}
    picture = one(put("a.dcm", dicom(RAMP.astype(np.uint16), **TWELVE, **tags)))
    assert (picture.pixels[..., 0] == RAMP * 10).all()
    assert (picture.low, picture.high) == (0, 4095)


def test_a_modality_table_is_applied(put: Put) -> None:
    table = lookup(np.arange(4096) * 16, 0, 16)
    table.ModalityLUTType = "US"
    picture = one(put("a.dcm", dicom(RAMP.astype(np.uint16), **TWELVE, ModalityLUTSequence=[table])))
    assert (picture.pixels[..., 0] == RAMP * 16).all()
    assert (picture.low, picture.high) == (0, 65535)


def test_what_a_header_may_not_say_is_refused_or_told(put: Put) -> None:
    with pytest.raises(DataError, match="RescaleSlope"):
        one(put("zero.dcm", dicom(RAMP.astype(np.uint16), RescaleSlope=0, RescaleIntercept=5)))
    with pytest.raises(DataError, match="YBR_PARTIAL_422"):
        one(put("partial.dcm", dicom(np.zeros((16, 20, 3), np.uint8), PhotometricInterpretation="YBR_PARTIAL_422")))
    tags = {"WindowCenter": 100, "WindowWidth": 51, "VOILUTFunction": "CUBIC"}
    picture = one(put("cubic.dcm", dicom(RAMP.astype(np.uint16), **TWELVE, **tags)))
    assert any("VOILUTFunction" in text for text in picture.warnings)
    assert (picture.low, picture.high) == (74.5, 124.5)


def test_planes_and_colours(put: Put) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
    planes = np.ascontiguousarray(np.moveaxis(colour, -1, 0))
    apart = dicom(colour, PlanarConfiguration=1, PixelData=planes.tobytes())
    assert (one(put("planar.dcm", apart)).pixels == colour).all()
    ybr = pydicom.pixels.convert_color_space(colour, "RGB", "YBR_FULL")
    again = one(put("ybr.dcm", dicom(ybr, PhotometricInterpretation="YBR_FULL"))).pixels
    assert np.abs(again.astype(int) - colour).max() <= 2
    names = ("Red", "Green", "Blue")
    tables: dict[str, Any] = {f"{name}PaletteColorLookupTableDescriptor": [256, 0, 16] for name in names}
    for k, name in enumerate(names):
        tables[f"{name}PaletteColorLookupTableData"] = (np.arange(256) * (50 * k + 100)).astype("<u2").tobytes()
    picture = one(put("palette.dcm", dicom((RAMP % 256).astype(np.uint8), PhotometricInterpretation="PALETTE COLOR", **tables)))
    assert (picture.pixels == np.stack([RAMP % 256 * n for n in (100, 150, 200)], axis=2)).all()


# TIFF: no data, scales, bits


@pytest.mark.parametrize(
    ("mark", "kind"),
    [(-9999, np.float32), (-32768, np.int16), (65535, np.uint16), (0, np.uint16), (-2147483648, np.int32),
     (-3.4028234663852886e38, np.float32), (float("nan"), np.float32), (float("nan"), np.float64)],
)  # fmt: skip
def test_missing_land_is_not_black(tmp_path: Path, mark: float, kind: Any) -> None:
    rng = np.random.default_rng(0)
    for k in range(20):
        land = (1500 + 300 * rng.random((32, 32))).astype(kind)
        land[:3] = mark
        (tmp_path / f"{k}.tif").write_bytes(tiff(land, no_data(str(mark))))
    data = open_data(tmp_path, progress=False)
    assert abs(data.spec.low - 1500) < 10
    assert abs(data.spec.high - 1800) < 10
    assert any("GDAL_NODATA" in note for note in data.notes)
    assert any("GDAL_NODATA" in warning for warning in check(tmp_path, progress=False).warnings)
    assert (np.asarray(data.values)[:, :3] < 1510).all()


def test_missing_parts_of_colour_are_those_missing_in_all_channels(put: Put) -> None:
    colour = np.stack([RAMP % 200 + 50, RAMP % 100 + 20, RAMP % 200 + 50], axis=2).astype(np.uint8)
    colour[:2] = 255
    colour[5, 5] = (255, 30, 60)  # not missing
    picture = one(put("a.tif", tiff(colour, no_data("255"), photometric="rgb")))
    assert (picture.pixels[:2] == 0).all()
    assert (picture.pixels[2:] == colour[2:]).all()


def test_marks_that_are_none_and_files_of_marks_alone_are_refused(put: Put) -> None:
    with pytest.raises(DataError, match="GDAL_NODATA that is no number"):
        one(put("word.tif", tiff(RAMP.astype(np.int16), no_data("none"))))
    with pytest.raises(DataError, match="nothing but values without data"):
        one(put("all.tif", tiff(np.full((9, 9), -1, np.int16), no_data("-1"))))
    with pytest.raises(DataError, match="NaN"):  # nothing declares it
        one(put("nan.tif", tiff(np.where(RAMP < 9, np.nan, RAMP).astype(np.float32))))


def test_a_mask_page_says_what_is_missing(put: Put) -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for _ in range(2):
            writer.write((RAMP % 200 + 9).astype(np.uint8))
            writer.write(RAMP >= 40, subfiletype=4, photometric="mask")
    pictures = list(read(put("a.tif", buffer.getvalue())))
    assert [picture.index for picture in pictures] == [0, 1]
    for picture in pictures:
        assert (picture.pixels[:2] == 0).all()
        assert (picture.pixels[2:, :, 0] == (RAMP % 200 + 9)[2:]).all()
        assert any("mask" in text for text in picture.warnings)


def test_scales_of_gdal_and_imagej_give_the_values_meant(put: Put) -> None:
    items = '<Item name="OFFSET" sample="0" role="offset">-10</Item><Item name="SCALE" sample="0" role="scale">0.5</Item>'
    data = tiff(RAMP.astype(np.int16), (42112, "s", 0, f"<GDALMetadata>{items}</GDALMetadata>"))
    assert (one(put("gdal.tif", data)).pixels[..., 0] == RAMP * 0.5 - 10).all()
    line = {"cf": 0, "c0": -32768.0, "c1": 1.0}  # how ImageJ keeps signed 16-bit values
    data = tiff((RAMP + 32000).astype(np.uint16), imagej=True, metadata=line)
    assert (one(put("imagej.tif", data)).pixels[..., 0] == RAMP - 768).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_odd_bits_keep_their_range_either_way_round(put: Put, bits: int, white_is_zero: bool) -> None:
    stored = (RAMP % 2**bits).astype(np.uint8 if bits < 8 else np.uint16)
    data = tiff(stored, bitspersample=bits, photometric="miniswhite" if white_is_zero else "minisblack")
    picture = one(put("a.tif", data))
    shown = (picture.pixels[..., 0] - picture.low) / (picture.high - picture.low)
    expected = stored / (2**bits - 1)
    assert shown == pytest.approx(1 - expected if white_is_zero else expected)


def test_the_first_pixel_may_be_the_lowest_bit(put: Put) -> None:
    for order, bits in ((1, "big"), (2, "little")):
        data = np.packbits(RAMP % 3 > 0, axis=1, bitorder=bits).tobytes()
        said = {256: 20, 257: 16, 258: 1, 259: 1, 262: 1, 266: order, 273: 8, 277: 1, 278: 16, 279: len(data)}
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in said.items())
        whole = struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(said)) + entries + b"\0" * 4
        assert (one(put(f"{bits}.tif", whole)).pixels[..., 0] == 255 * (RAMP % 3 > 0)).all()


def test_planes_apart_and_orientation(put: Put) -> None:
    colour = np.stack([RAMP % 256, RAMP % 100, RAMP % 50]).astype(np.uint8)
    picture = one(put("planes.tif", tiff(colour, photometric="rgb", planarconfig="separate")))
    assert (picture.pixels == np.moveaxis(colour, 0, -1)).all()
    picture = one(put("turned.tif", tiff((RAMP % 256).astype(np.uint8), (274, "H", 1, 6))))
    assert (picture.pixels[..., 0] == np.rot90(RAMP % 256, -1)).all()


def test_significant_bits_of_ome_say_what_is_white(put: Put) -> None:
    stack = np.stack([RAMP, RAMP + 9]).astype(np.uint16)
    options: dict[str, Any] = {"ome": True, "metadata": {"axes": "ZYX", "SignificantBits": 12}}
    pictures = list(read(put("a.ome.tif", tiff(stack, **options))))
    assert [picture.high for picture in pictures] == [4095, 4095]
    (wrong,) = {picture.high for picture in read(put("b.ome.tif", tiff(stack + 60000, **options)))}
    assert wrong == 65535


# TIFF: colours


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_alpha_is_applied_once(put: Put, kind: Any, planar: str) -> None:
    """Red under every degree of transparency, stored times alpha and straight, is the same picture on white."""
    top = int(np.iinfo(kind).max)
    alpha = np.linspace(0, top, 32 * 32).round().astype(kind).reshape(32, 32)
    none, full = np.zeros_like(alpha), np.full_like(alpha, top)
    for name, red, meaning in (("multiplied", alpha, "assocalpha"), ("straight", full, "unassalpha")):
        stored = np.stack([red, none, none, alpha], axis=2 if planar == "contig" else 0)
        picture = one(put(f"{name}.tif", tiff(stored, photometric="rgb", extrasamples=[meaning], planarconfig=planar)))
        assert (picture.pixels[..., 0] == top).all(), name
        for channel in (1, 2):
            assert np.abs(picture.pixels[..., channel].astype(int) - (top - alpha.astype(int))).max() <= 1, name
        assert picture.warnings == ("transparent pixels laid on white",)


def test_inverted_grey_does_not_invert_its_alpha(put: Put) -> None:
    stored = np.stack([RAMP % 256, np.full_like(RAMP, 255)], axis=2).astype(np.uint8)
    options: dict[str, Any] = {"photometric": "miniswhite", "planarconfig": "contig", "extrasamples": ["unassalpha"]}
    assert (one(put("a.tif", tiff(stored, **options))).pixels[..., 0] == 255 - RAMP % 256).all()


def test_alpha_beside_many_channels_is_no_channel(put: Put) -> None:
    stored = np.stack([RAMP % 256] * 5 + [np.full_like(RAMP, 255)], axis=2).astype(np.uint8)
    options: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "contig"}
    picture = one(put("a.tif", tiff(stored, extrasamples=["unspecified"] * 4 + ["unassalpha"], **options)))
    assert picture.pixels.shape == (16, 20, 5)


GREY = RAMP.astype(np.float32)
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "inverted floats": (lambda: tiff(GREY, photometric="miniswhite"), "MINISWHITE colours in float32"),
    "inverted signed": (lambda: tiff(RAMP.astype(np.int16), photometric="miniswhite"), "MINISWHITE colours in int16"),
    "float inks": (lambda: tiff(np.stack([GREY] * 4, 2), photometric="separated"), "SEPARATED colours in float32"),
    "complex": (lambda: tiff(GREY.astype(np.complex64)), "complex64"),
    "lab": (lambda: tiff(np.zeros((9, 9, 3), np.uint8), photometric="cielab"), "CIELAB"),
    "ybr": (lambda: tiff(np.zeros((9, 9, 3), np.uint8), photometric="ycbcr"), "YCbCr"),
    "other inks": (lambda: tiff(np.zeros((9, 9, 4), np.uint8), (332, "H", 1, 2), photometric="separated"), "not CMYK"),
    "inks and alpha": (
        lambda: tiff(np.zeros((9, 9, 5), np.uint8), photometric="separated", extrasamples=["unassalpha"]), "not CMYK"
    ),
    "float alpha": (
        lambda: tiff(np.stack([GREY / 320] * 4, 2), photometric="rgb", extrasamples=["unassalpha"]), "alpha in float32"
    ),
    "square roots": (lambda: tiff(RAMP.astype(np.uint16), (33445, "I", 1, 2)), "square roots"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_understood_is_refused_by_name(put: Put, case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(DataError, match=words) as caught:
        one(put("a.tif", make()))
    assert "\n" not in str(caught.value)


def test_colour_maps_of_eight_bits_and_of_one_bit(put: Put) -> None:
    ramp = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 7)])
    for factor in (1, 256, 257):  # the first: written without the factor that the standard asks for
        data = tiff((RAMP % 256).astype(np.uint8), photometric="palette", colormap=(ramp * factor).astype(np.uint16))
        assert (one(put(f"{factor}.tif", data)).pixels == ramp.T[RAMP % 256]).all()
    two = Image.fromarray((RAMP % 2).astype(np.uint8), "P")
    two.putpalette([10, 20, 30, 200, 150, 100])
    buffer = io.BytesIO()
    two.save(buffer, "TIFF", bits=1)
    assert (one(put("two.tif", buffer.getvalue())).pixels[0, :2] == [[10, 20, 30], [200, 150, 100]]).all()


# TIFF: stacks

STACK = np.repeat(np.arange(7, dtype=np.uint16) * 500, 20 * 24).reshape(7, 20, 24)


@pytest.mark.parametrize("options", [{"imagej": True, "truncate": True}, {"truncate": True}, {"imagej": True}, {}])
def test_all_slices_of_a_stack_are_read(put: Put, options: dict[str, Any]) -> None:
    pictures = list(read(put("a.tif", tiff(STACK, **options))))
    assert [picture.index for picture in pictures] == list(range(7))
    for k, picture in enumerate(pictures):
        assert picture.pixels.shape == (20, 24, 1)
        assert (picture.pixels == 500 * k).all()


def test_stacks_in_one_directory_of_colour_and_big_numbers(put: Put) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (4, 20, 24, 3), np.uint8)
    pictures = list(read(put("colour.tif", tiff(colour, imagej=True, truncate=True))))
    assert (np.stack([picture.pixels for picture in pictures]) == colour).all()
    for order in "<>":
        stack = STACK.astype(np.float32) / 7
        pictures = list(read(put("float.tif", tiff(stack, imagej=True, truncate=True, byteorder=order))))
        assert (np.stack([picture.pixels[..., 0] for picture in pictures]) == stack).all()


def test_a_stack_that_lost_its_slices_is_refused(put: Put) -> None:
    whole = tiff(STACK, imagej=True, truncate=True)
    with pytest.raises(DataError, match="says that it holds 7 pictures, but has one directory and 5"):
        list(read(put("a.tif", whole[: -2 * 20 * 24 * 2])))


@pytest.mark.parametrize("truncate", [False, True])
def test_channels_of_a_hyperstack_are_told(put: Put, truncate: bool) -> None:
    stack = np.arange(3 * 2 * 4, dtype=np.uint16).repeat(81).reshape(3, 2, 4, 9, 9)
    pictures = list(read(put("a.tif", tiff(stack, imagej=True, metadata={"axes": "TZCYX"}, truncate=truncate))))
    assert [int(picture.pixels[0, 0, 0]) for picture in pictures] == list(range(24))
    assert "each of its 4 channels is a picture of its own" in pictures[0].warnings


def test_smaller_copies_are_left_out(put: Put) -> None:
    pixels = (RAMP % 256).astype(np.uint8)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(pixels, subifds=2)
        writer.write(pixels[::2, ::2], subfiletype=1)
        writer.write(pixels[::4, ::4], subfiletype=1)
    assert (one(put("a.tif", buffer.getvalue())).pixels[..., 0] == pixels).all()


# PNG, JPEG, WebP


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_of_png_fill_the_range(put: Put, bits: int) -> None:
    picture = one(put("a.png", png(8, 2, bits, 0, bytes(range(17, 17 + bits)))))
    stored = np.unpackbits(np.arange(17, 17 + bits, dtype=np.uint8)).reshape(8, bits) @ (1 << np.arange(bits)[::-1])
    assert (picture.pixels[0, :, 0] == stored * 255 // (2**bits - 1)).all()
    assert picture.high == 255


def test_transparent_colours_and_significant_bits_of_png(put: Put) -> None:
    row = struct.pack(">4H", 0, 512, 1024, 65535)
    picture = one(put("a.png", png(4, 2, 16, 0, row, (b"sBIT", b"\x0c"), (b"tRNS", struct.pack(">H", 512)))))
    assert picture.pixels[0, :, 0].tolist() == [0, 65535, 1024, 65535]
    assert picture.warnings == ("transparent pixels laid on white",)


def test_gamma_and_profiles_other_than_srgb_are_told(put: Put) -> None:
    row = bytes(range(8))
    assert one(put("srgb.png", png(8, 2, 8, 0, row, (b"gAMA", struct.pack(">I", 45455))))).warnings == ()
    assert "gamma of 1," in one(put("linear.png", png(8, 2, 8, 0, row, (b"gAMA", struct.pack(">I", 100000))))).warnings[0]
    assert "cICP" in one(put("hdr.png", png(8, 2, 8, 0, row, (b"cICP", b"\x09\x10\0\1")))).warnings[0]
    image = Image.fromarray(np.stack([RAMP % 256] * 3, axis=2).astype(np.uint8))
    for space, told in (("sRGB", False), ("LAB", True)):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
        for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
            buffer = io.BytesIO()
            image.save(buffer, kind, icc_profile=profile)
            warnings = one(put(f"a.{kind.lower()}", buffer.getvalue())).warnings
            assert any("profile" in text for text in warnings) == told, (space, kind)


def test_inks_of_jpeg_with_and_without_the_mark_of_adobe(put: Put) -> None:
    """Adobe's files hold the inks inverted, and say so in APP14; without it they are as they are."""
    ink = Image.new("CMYK", (16, 16), (200, 0, 0, 0))
    buffer = io.BytesIO()
    ink.save(buffer, "JPEG", quality=100)
    data = buffer.getvalue()
    picture = one(put("adobe.jpg", data))
    assert np.abs(picture.pixels[8, 8].astype(int) - (55, 255, 255)).max() <= 2
    at = data.index(b"\xff\xee")
    (length,) = struct.unpack(">H", data[at + 2 : at + 4])
    inverse = Image.eval(ink, lambda value: 255 - value)
    buffer = io.BytesIO()
    inverse.save(buffer, "JPEG", quality=100)  # Pillow inverts: what lies in the file is the ink itself
    bare = buffer.getvalue()
    at = bare.index(b"\xff\xee")
    picture = one(put("bare.jpg", bare[:at] + bare[at + 2 + length :]))
    assert np.abs(picture.pixels[8, 8].astype(int) - (55, 255, 255)).max() <= 2


# NIfTI


def head(folder: Path, **spacings: tuple[float, float, float]) -> Path:
    """Volumes whose voxels tell where they are."""
    folder.mkdir(exist_ok=True)
    x, y, z = np.meshgrid(*[np.arange(24)] * 3, indexing="ij")
    for name, spacing in spacings.items():
        values = (1000 + 10 * x + y + 3 * (z % 2) + ord(name)).astype(np.int16)
        (folder / f"{name}.nii").write_bytes(volume(values, spacing))
    return folder


def test_volumes_cut_along_different_axes_are_told(tmp_path: Path) -> None:
    mixed = head(tmp_path / "mixed", a=(1, 1, 3), b=(3, 1, 1), c=(1, 1, 1))
    data = open_data(mixed, progress=False)
    (note,) = [note for note in data.notes if "different axes" in note]
    assert "sagittal b.nii" in note
    assert "axial a.nii, c.nii" in note
    assert "--axis 2" in note
    assert note in check(mixed, progress=False).problems
    assert data.spec.axis is None
    chosen = open_data(mixed, axis=2, progress=False)
    assert not any("different axes" in note for note in chosen.notes)
    assert chosen.spec.axis == 2
    assert not any("different axes" in note for note in open_data(head(tmp_path / "one", a=(3, 1, 1)), progress=False).notes)


def test_applying_cuts_volumes_as_training_did(tmp_path: Path) -> None:
    run = simple(tmp_path, "score", head(tmp_path / "train", a=(3, 1, 1), b=(3, 1, 1)))
    (tmp_path / "c.nii").write_bytes(volume(np.arange(24 * 24 * 10).reshape(24, 24, 10).astype(np.int16), (1, 1, 3)))
    assert len(list(read(tmp_path / "c.nii"))) == 10, "alone it would be cut axially"
    assert len(apply(run, [tmp_path / "c.nii"], out=tmp_path / "out", device="cpu")["scores"]) == 24


@pytest.mark.parametrize("order", "<>")
def test_numbers_of_either_byte_order_and_a_scale(put: Put, order: str) -> None:
    values = np.arange(9 * 10 * 4).reshape(9, 10, 4).astype(f"{order}i2")
    image = nibabel.Nifti1Image(values, np.diag([1, 1, 3, 1.0]), nibabel.Nifti1Header(endianness=order))
    image.set_data_dtype(values.dtype)
    pictures = list(read(put("a.nii", image.to_bytes())))
    assert (np.stack([p.pixels[::-1, ::-1, 0].T for p in pictures], axis=2) == values).all()


def test_what_volumes_do_not_say_is_told_or_refused(put: Put) -> None:
    values = np.arange(9 * 10 * 4).reshape(9, 10, 4)
    assert "no qform, no sform" in next(read(put("lost.nii", volume(values.astype(np.int16), affine=None)))).warnings[0]
    colour = np.zeros((9, 10, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(DataError, match="holds RGB voxels"):
        list(read(put("colour.nii", volume(colour))))
    assert "only the first" in next(read(put("four.nii", volume(np.zeros((9, 10, 4, 2), np.int16))))).warnings[0]


# Arrays


def test_a_colour_array_with_channels_first_is_told(put: Put) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 16, 20), np.uint8))
    assert "image[None]" in next(read(put("a.npy", buffer.getvalue()))).warnings[0]


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [(RAMP % 100 - 50, -50, 49), ((RAMP % 100 - 50).astype(np.int8), -50, 49), (RAMP * 1e3, 0, 319e3), (RAMP > 160, 0, 255)],
)
def test_arrays_of_any_numbers(tmp_path: Path, values: np.ndarray, low: float, high: float) -> None:
    np.save(tmp_path / "a.npy", np.stack([np.roll(values, k, axis=1) for k in range(20)]))
    spec = open_data(tmp_path, progress=False).spec
    assert spec.low == pytest.approx(low, abs=0.01 * (high - low))
    assert spec.high == pytest.approx(high, abs=0.01 * (high - low))


# What the values of a folder mean


def discs(count: int, labels: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:32, :32]
    made = []
    for _ in range(count):
        top, left, radius = rng.uniform(8, 24), rng.uniform(8, 24), rng.uniform(6, 9)
        inside = (row - top) ** 2 + (column - left) ** 2 < radius**2
        made.append((inside * (1 + (row + column) // 8 % labels)).astype(np.uint8))
    return made


@pytest.mark.parametrize("most", [1, 5, 33])
@pytest.mark.parametrize("kind", ["png", "nifti", "nifti of int16", "tiff of 16 bits", "npy"])
def test_labels_fill_black_to_white(tmp_path: Path, kind: str, most: int) -> None:
    maps = discs(40, most)
    for k, one_map in enumerate(maps):
        if kind == "png":
            Image.fromarray(one_map).save(tmp_path / f"{k}.png")
        elif kind == "npy":
            np.save(tmp_path / f"{k}.npy", one_map)
        elif kind == "tiff of 16 bits":
            tifffile.imwrite(tmp_path / f"{k}.tif", one_map.astype(np.uint16))
    if kind.startswith("nifti"):
        for k in (0, 1):
            values = np.stack(maps[20 * k : 20 * k + 20], axis=2).astype(np.int16 if "int16" in kind else np.uint8)
            (tmp_path / f"{k}.nii").write_bytes(volume(values))
    data = open_data(tmp_path, progress=False)
    assert data.spec.low == 0
    assert data.spec.high == max(one_map.max() for one_map in maps)
    if (kind, most) != ("nifti of int16", 1):  # 0 to 1 is what undeclared values are expected to be
        assert any("counts as white" in note or "as masks and maps of labels do" in note for note in data.notes)
    if kind != "nifti of int16":
        assert any("counts as white" in note for note in check(tmp_path, progress=False).notes)


def test_labels_next_to_each_other_beside_white_are_told(tmp_path: Path) -> None:
    for k, one_map in enumerate(discs(40, 2)):
        one_map[:3] = 255  # not to be looked at
        Image.fromarray(one_map).save(tmp_path / f"{k}.png")
    data = open_data(tmp_path, progress=False)
    assert (data.spec.low, data.spec.high) == (0, 255)
    assert any("(0, 1, 2, 255)" in note for note in data.notes)
    assert any("(0, 1, 2, 255)" in note for note in check(tmp_path, progress=False).notes)


def test_photographs_and_plain_masks_are_not_taken_for_labels(tmp_path: Path) -> None:
    for name, pictures in (("mask", [255 * one_map for one_map in discs(30)]), ("photo", list(toys.pictures(30, 32, 32)))):
        (tmp_path / name).mkdir()
        for k, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(tmp_path / name / f"{k}.png")
        data = open_data(tmp_path / name, progress=False)
        assert (data.spec.low, data.spec.high) == (0, 255)
        assert not any("labels" in note or "white" in note for note in data.notes)


def waves(folder: Path, scales: dict[str, tuple[float, float]]) -> Path:
    rng = np.random.default_rng(0)
    for name, (low, high) in scales.items():
        (folder / name).mkdir(parents=True)
        for k in range(3):
            x, y, z = np.meshgrid(*(np.linspace(-3, 3, n) for n in (32, 32, 8)), indexing="ij")
            a, b, c = rng.uniform(0.5, 2, 3)
            wave = np.sin(a * x + k) * np.cos(b * y) + 0.3 * np.sin(c * z)
            wave = (wave - wave.min()) / (wave.max() - wave.min())
            (folder / name / f"{k}.nii").write_bytes(volume((low + wave * (high - low)).astype(np.float32)))
    return folder


def test_classes_on_two_scales_are_told_with_both_ranges(tmp_path: Path) -> None:
    source = waves(tmp_path / "two", {"trainA": (-1000, 2000), "trainB": (0, 100)})
    for told in (open_data(source, progress=False).notes, check(source, progress=False).problems):
        (line,) = [line for line in told if "different scales" in line]
        numbers = [
            float(word.strip(",()")) for word in line.split() if word.strip(",()").lstrip("-").replace(".", "").isdigit()
        ]
        assert numbers[:2] == pytest.approx([-1000, 2000], abs=60)
        assert numbers[2:4] == pytest.approx([0, 100], abs=5)
    alike = waves(tmp_path / "alike", {"trainA": (0, 200), "trainB": (50, 200)})
    told = [*open_data(alike, progress=False).notes, *check(alike, progress=False).problems]
    assert not any("scales" in line for line in told)


# Putting to use


def simple(folder: Path, verb: str, data: Path, **settings: Any) -> Path:
    """A run of a system whose right result is known, for one round."""
    if not any(child.is_dir() for child in data.iterdir()):
        rows = "".join(f"{file.name},{('dark', 'light')[k % 2]}\n" for k, file in enumerate(sorted(data.iterdir())))
        (data / "labels.csv").write_text("file,label\n" + rows)
    return toys.simple_run(folder, verb, data, **settings)


def scene(seed: int, rows: int, columns: int) -> np.ndarray:
    """(H, W, 3) in 0 to 1."""
    small = np.random.default_rng(seed).integers(0, 256, (max(3, rows // 8), max(3, columns // 8), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((columns, rows), Image.Resampling.BICUBIC), np.float64) / 255


def test_twelve_bits_are_known_when_a_run_is_put_to_use(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "scenes").mkdir()
    for k in range(30):
        Image.fromarray((scene(k, 64, 64) * 255).round().astype(np.uint8)).save(tmp_path / "train" / f"{k}.png")
    for name, top in (("full", 65535), ("twelve", 4095)):
        tifffile.imwrite(
            tmp_path / "scenes" / f"{name}.tif", (scene(99, 40, 60) * top).round().astype(np.uint16), photometric="rgb"
        )
    run = tmp_path / "run"
    train("srgan", tmp_path / "train", out=run, budget="1r", size=32, quiet=True, sample_every=0.0, device="cpu")
    result = apply(run, [tmp_path / "scenes"], out=tmp_path / "out", device="cpu")
    full, twelve = (tifffile.imread(tmp_path / "out" / f"{name}.tiff").astype(float) for name in ("full", "twelve"))
    assert np.abs(full / 65535 - twelve / 4095).mean() < 0.01
    assert any("twelve.tif" in note and "4095 counts as white" in note for note in result["notes"])


@pytest.fixture(scope="module")
def deep_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that translates, on 16-bit pictures that fill their range."""
    folder = tmp_path_factory.mktemp("deep")
    (folder / "data").mkdir()
    for k in range(20):
        pixels = np.random.default_rng(k).integers(0, 65536, (8, 8)).astype(np.uint16)
        tifffile.imwrite(folder / "data" / f"{k:02d}.tif", pixels)
    return simple(folder, "translate", folder / "data")


def test_a_window_of_a_file_is_honoured_when_a_run_is_put_to_use(deep_run: Path, tmp_path: Path) -> None:
    """Light: black and white change places, so what was black tells which values it was."""
    values = (RAMP[:8, :8] * 10 + 100).astype(np.uint16)
    (tmp_path / "a.dcm").write_bytes(dicom(values, BitsStored=12, HighBit=11))
    (tmp_path / "b.dcm").write_bytes(dicom(values, WindowCenter=800.5, WindowWidth=1601))
    apply(deep_run, [tmp_path / "a.dcm", tmp_path / "b.dcm"], out=tmp_path / "out", to="light", device="cpu")
    for name, white in (("a", 4095), ("b", 1600)):
        made = np.rint(one(tmp_path / "out" / f"{name}.dcm").pixels[..., 0])
        assert np.abs(made - np.clip(white - values.astype(int), 0, white)).max() <= 1, name


def test_pictures_unlike_those_of_training_are_told(deep_run: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "twelve.tif", (RAMP[:8, :8] * 12).astype(np.uint16))
    result = apply(deep_run, [tmp_path / "twelve.tif"], out=tmp_path / "out", to="light", device="cpu")
    assert any("nearly black" in note and "65535" in note for note in result["notes"])


def test_warnings_of_a_file_are_told_when_a_run_is_put_to_use(deep_run: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", (RAMP[:8, :8] * 300).astype(np.uint16), extratags=[(*no_data("0"), True)])
    result = apply(deep_run, [tmp_path / "a.tif"], out=tmp_path / "out", to="light", device="cpu")
    assert any("a.tif: holds values without data (GDAL_NODATA 0)" in note for note in result["notes"])


def test_values_beyond_those_of_training_are_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for k in range(20):
        pixels = np.random.default_rng(k).integers(0, 4096, (8, 8)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "data" / f"{k:02d}.tif", pixels)
    run = simple(tmp_path, "translate", tmp_path / "data")
    tifffile.imwrite(tmp_path / "full.tif", (RAMP[:8, :8] * 300).astype(np.uint16))
    result = apply(run, [tmp_path / "full.tif"], out=tmp_path / "out", to="light", device="cpu")
    assert any("lie beyond 0 to 4095" in note for note in result["notes"])
