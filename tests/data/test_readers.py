"""Every format, depth and channel count through `ganvas.kinds.image.readers`, and every refusal in one line."""

from __future__ import annotations

import hashlib
import io
import logging
import math
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_files import HEIGHT, UIDS, WIDTH, dicom, every_kind, nifti, npy, npz, pillow, ramp, tiff

from ganvas.errors import DataError, GanvasError
from ganvas.kinds.image.readers import Picture, read, readable
from ganvas.kinds.points.files import read_points


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def only(put: Callable[[str, bytes], Path]) -> Callable[[str, bytes], Picture]:
    def read_one(name: str, data: bytes) -> Picture:
        (picture,) = read(put(name, data))
        return picture

    return read_one


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, bits: int, colour: int, raw: bytes, extra: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


# Everyday pictures


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_png_and_tiff_keep_depth_and_values(only, dtype, channels, suffix) -> None:
    pixels = ramp(dtype, channels)
    data = bytes(imagecodecs.png_encode(pixels.squeeze())) if suffix == "png" else tiff(pixels.squeeze())
    picture = only(f"a.{suffix}", data)
    assert picture.pixels.dtype == dtype
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert (picture.depth, picture.low, picture.high) == (8 * pixels.itemsize, 0.0, float(np.iinfo(dtype).max))
    assert picture.warnings == ()


def test_interlaced_png_reads_as_pillow_reads_it(only) -> None:
    pixels = ramp(channels=3, height=19, width=21)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    raw = b"".join(b"\0" + row.tobytes() for left, top, across, down in passes for row in pixels[top::down, left::across])
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 21, 19, 8, 2, 0, 0, 1))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    np.testing.assert_array_equal(only("a.png", data).pixels, pixels)


@pytest.mark.parametrize(("kind", "suffix"), [("BMP", "bmp"), ("GIF", "gif"), ("PNG", "png")])
def test_grey_stays_grey(only, kind, suffix) -> None:
    picture = only(f"a.{suffix}", pillow(Image.fromarray(ramp()[..., 0]), kind))
    np.testing.assert_array_equal(picture.pixels, ramp())


def test_lossless_webp_and_bmp_keep_colours(only) -> None:
    image = Image.fromarray(ramp(channels=3))
    np.testing.assert_array_equal(only("a.webp", pillow(image, "WEBP", lossless=True)).pixels, ramp(channels=3))
    np.testing.assert_array_equal(only("a.bmp", pillow(image, "BMP")).pixels, ramp(channels=3))


def test_jpeg_reads_as_pillow_reads_it(only) -> None:
    data = pillow(Image.fromarray(ramp(channels=3)), "JPEG")
    np.testing.assert_array_equal(only("a.jpg", data).pixels, np.asarray(Image.open(io.BytesIO(data))))


def test_palette_becomes_rgb_or_grey_when_all_of_it_is_grey(only) -> None:
    image = Image.fromarray(ramp(channels=3)).quantize(16)
    for kind, suffix in (("PNG", "png"), ("GIF", "gif"), ("TIFF", "tif")):
        picture = only(f"a.{suffix}", pillow(image, kind))
        np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    grey = Image.fromarray(ramp()[..., 0]).convert("P")
    grey.putpalette([255 - value for value in range(256) for _ in range(3)])
    for kind, suffix in (("PNG", "png"), ("BMP", "bmp"), ("TIFF", "tif")):
        np.testing.assert_array_equal(only(f"b.{suffix}", pillow(grey, kind)).pixels, 255 - ramp())


def test_one_bit_is_black_and_white(only) -> None:
    image = Image.fromarray(ramp()[..., 0] > 100)
    for kind, suffix in (("PNG", "png"), ("BMP", "bmp"), ("TIFF", "tif")):
        picture = only(f"a.{suffix}", pillow(image, kind))
        np.testing.assert_array_equal(picture.pixels[..., 0], np.asarray(image) * np.uint8(255))


def test_opaque_alpha_is_dropped_and_real_alpha_laid_on_white(only) -> None:
    pixels = ramp(channels=4)
    picture = only("a.png", pillow(Image.fromarray(pixels), "PNG"))
    white = Image.new("RGBA", (WIDTH, HEIGHT), "white")
    expected = np.asarray(Image.alpha_composite(white, Image.fromarray(pixels)).convert("RGB"))
    assert np.abs(picture.pixels.astype(int) - expected).max() <= 1
    assert picture.warnings == ("transparent pixels laid on white",)
    pixels[..., 3] = 255
    for kind, suffix in (("PNG", "png"), ("TIFF", "tif")):
        opaque = only(f"b.{suffix}", pillow(Image.fromarray(pixels), kind))
        np.testing.assert_array_equal(opaque.pixels, pixels[..., :3])
        assert opaque.warnings == ("alpha channel dropped: it is opaque everywhere",)


def test_sixteen_bit_alpha_is_laid_on_white_exactly(only) -> None:
    pixels = np.full((2, 2, 4), 65535, np.uint16)
    pixels[0, 0] = (1000, 20000, 65535, 32768)
    pixels[0, 1, 3] = 0
    picture = only("a.png", bytes(imagecodecs.png_encode(pixels)))
    share = 32768 / 65535
    expected = [round(value * share + 65535 * (1 - share)) for value in (1000, 20000, 65535)]
    assert picture.pixels[0, 0].tolist() == expected
    assert picture.pixels[0, 1].tolist() == [65535] * 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tif")])
def test_exif_orientation_is_applied(only, orientation, kind, suffix) -> None:
    from PIL import ImageOps

    image = Image.fromarray(np.kron(ramp(channels=3, height=3, width=4), np.ones((8, 8, 1), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    data = pillow(image, kind, exif=exif, **options)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(only(f"a.{suffix}", data).pixels, np.asarray(expected))


def test_cmyk_and_animations_come_with_a_warning(only) -> None:
    image = Image.fromarray(ramp(channels=3))
    assert "CMYK" in only("a.jpg", pillow(image.convert("CMYK"), "JPEG")).warnings[0]
    for kind, suffix in (("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png")):
        data = pillow(image, kind, save_all=True, append_images=[image.rotate(180)])
        assert "only" in only(f"b.{suffix}", data).warnings[0]


def test_a_picture_is_told_by_its_bytes_not_its_suffix(only) -> None:
    assert only("a.png", pillow(Image.fromarray(ramp()[..., 0]), "BMP")).pixels.shape == (HEIGHT, WIDTH, 1)
    assert only("b.jpg", tiff(ramp(np.uint16)[..., 0])).depth == 16


# TIFF


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_keeps_one_to_eight_channels(only, channels, planar) -> None:
    pixels = ramp(np.uint16, channels)
    stored = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    data = tiff(stored, photometric="minisblack", planarconfig=planar) if channels > 1 else tiff(pixels[..., 0])
    np.testing.assert_array_equal(only("a.tif", data).pixels, pixels)


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits", "zstd", "lzma", "jpeg2000"])
def test_compressed_tiff_is_lossless(only, compression) -> None:
    pixels = ramp(np.uint16, 3, 40, 56)
    data = tiff(pixels, photometric="rgb", compression=compression, tile=(16, 16))
    np.testing.assert_array_equal(only("a.tif", data).pixels, pixels)


def test_every_page_is_a_picture_and_thumbnails_are_not(put) -> None:
    import tifffile

    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(ramp()[..., 0])
        writer.write(ramp(height=3, width=4)[..., 0], subfiletype=1)
        writer.write(ramp(np.uint16, height=5, width=6)[..., 0])
    pictures = list(read(put("a.tiff", buffer.getvalue())))
    assert [(p.index, p.depth, p.pixels.shape) for p in pictures] == [(0, 8, (HEIGHT, WIDTH, 1)), (1, 16, (5, 6, 1))]


def test_tiff_white_is_zero_few_bits_and_floats(only) -> None:
    np.testing.assert_array_equal(only("a.tif", tiff(ramp()[..., 0], photometric="miniswhite")).pixels, 255 - ramp())
    twelve = ramp(np.uint16) >> 4
    picture = only("b.tif", tiff(twelve[..., 0], bitspersample=12))
    np.testing.assert_array_equal(picture.pixels, twelve)
    assert (picture.depth, picture.low, picture.high) == (16, 0.0, 4095.0)
    picture = only("c.tif", tiff(ramp(np.float32)[..., 0] - np.float32(0.5)))
    assert picture.depth == 32
    assert math.isnan(picture.low)
    assert math.isnan(picture.high)
    np.testing.assert_array_equal(picture.pixels, ramp(np.float32) - np.float32(0.5))
    picture = only("d.tif", tiff(ramp(np.int16)[..., 0] - np.int16(5000)))
    np.testing.assert_array_equal(picture.pixels, ramp(np.int16).astype(np.float32) - 5000)


# Arrays


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 4),
    height=st.integers(9, 30),
    width=st.integers(9, 30),
    channels=st.integers(1, 8),
    dtype=st.sampled_from([np.uint8, np.uint16, ">u2", np.float32, np.float64, np.int16]),
    first=st.booleans(),
    packed=st.booleans(),
)
def test_arrays_of_any_shape_come_back(tmp_path, rows, height, width, channels, dtype, first, packed) -> None:
    images = np.stack([np.roll(ramp(dtype, channels, height, width), row) for row in range(rows)])
    stored = images.transpose(0, 3, 1, 2) if first else images
    path = tmp_path / ("a.npz" if packed else "a.npy")
    path.write_bytes(npz(images=stored.copy()) if packed else npy(stored))  # npy in Fortran order as well
    pictures = list(read(path))
    assert [picture.index for picture in pictures] == list(range(rows))
    for picture, expected in zip(pictures, images, strict=True):
        np.testing.assert_array_equal(picture.pixels, expected.astype(picture.pixels.dtype))
        assert picture.pixels.dtype == (np.dtype(dtype).newbyteorder("=") if np.dtype(dtype).kind == "u" else "f4")
        assert picture.depth == 8 * picture.pixels.itemsize
        assert math.isnan(picture.low) == (picture.depth == 32)


def test_npz_keys_and_labels(put) -> None:
    images = ramp(channels=3).transpose(2, 0, 1)
    for key in ("images", "x", "anything"):
        path = put("a.npz", npz(**{key: images, "labels": np.array([2, 0, 1])}))
        assert [picture.label for picture in read(path)] == [2, 0, 1]
    assert [p.label for p in read(put("b.npz", npz(x=images, y=np.array(["a", "b", "c"]))))] == ["a", "b", "c"]
    assert [p.label for p in read(put("c.npz", npz(images=images)))] == [None] * 3


def test_single_pictures_booleans_and_fortran_order(only) -> None:
    assert only("a.npy", npy(ramp()[..., 0])).pixels.shape == (HEIGHT, WIDTH, 1)
    assert only("b.npz", npz(x=ramp()[..., 0])).pixels.shape == (HEIGHT, WIDTH, 1)
    assert set(np.unique(only("c.npy", npy(ramp()[None, ..., 0] > 9)).pixels)) == {0, 255}
    np.testing.assert_array_equal(only("d.npy", npy(np.asfortranarray(ramp(channels=3)[None]))).pixels, ramp(channels=3))


def test_a_pickle_in_an_array_never_runs(put, tmp_path) -> None:
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        list(read(put("a.npy", buffer.getvalue())))
    with pytest.raises(DataError, match="Python objects"):
        list(read(put("b.npz", npz(images=np.array([Trap()], dtype=object)))))
    assert not (tmp_path / "sprung").exists()


# DICOM


def test_dicom_unsigned_values_range_spacing_and_hashed_patient(only) -> None:
    pixels = ramp(np.uint16) >> 4
    picture = only("a.dcm", dicom(pixels[..., 0], BitsStored=12, HighBit=11, PixelSpacing=[0.4, 0.7]))
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert (picture.depth, picture.low, picture.high, picture.spacing) == (16, 0.0, 4095.0, (0.4, 0.7))
    assert picture.group == hashlib.sha256(b"ganvas patient patient 7").hexdigest()[:12]
    assert only("b.dcm", dicom(pixels[..., 0], PatientID=None)).group is None
    assert only("c.dcm", dicom(pixels[..., 0], ImagerPixelSpacing=[0.1, 0.2])).spacing == (0.1, 0.2)


def test_dicom_rescale_gives_hounsfield_units(only) -> None:
    stored = ramp(np.uint16)[..., 0] >> 4
    tags = {"BitsStored": 12, "HighBit": 11, "RescaleSlope": "1", "RescaleIntercept": "-1024"}
    picture = only("a.dcm", dicom(stored, **tags))
    np.testing.assert_array_equal(picture.pixels[..., 0], stored.astype(np.float32) - 1024)
    assert (picture.depth, picture.low, picture.high) == (32, -1024.0, 3071.0)
    # Whole and not negative after rescale: stays 16 bits
    picture = only("b.dcm", dicom(stored, BitsStored=12, HighBit=11, RescaleSlope="2", RescaleIntercept="10"))
    np.testing.assert_array_equal(picture.pixels[..., 0], stored * 2 + 10)
    assert (picture.depth, picture.low, picture.high) == (16, 10.0, 8200.0)
    # A falling line swaps the ends of the range
    picture = only("c.dcm", dicom(ramp()[..., 0], RescaleSlope="-1", RescaleIntercept="255"))
    np.testing.assert_array_equal(picture.pixels, 255 - ramp())
    assert (picture.depth, picture.low, picture.high) == (8, 0.0, 255.0)
    # 16 signed bits declare nothing
    picture = only("d.dcm", dicom(ramp(np.int16)[..., 0] - np.int16(500)))
    assert picture.pixels.min() == -500
    assert math.isnan(picture.low)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT"])
def test_dicom_linear_window_maps_as_pydicom_maps(only, function) -> None:
    stored = ramp(np.uint16)[..., 0] >> 4
    tags = {"WindowCenter": "900", "WindowWidth": "1200", "VOILUTFunction": function}
    data = dicom(stored, BitsStored=12, HighBit=11, **tags)
    picture = only("a.dcm", data)
    mapped = np.clip((picture.pixels[..., 0] - picture.low) / (picture.high - picture.low), 0, 1) * 4095
    expected = pydicom.pixels.apply_windowing(stored, pydicom.dcmread(io.BytesIO(data)))
    np.testing.assert_allclose(mapped, expected, atol=1e-6)
    np.testing.assert_array_equal(picture.pixels[..., 0], stored)


def test_dicom_sigmoid_window_and_lut_are_applied(only) -> None:
    stored = ramp(np.uint16)[..., 0] >> 4
    data = dicom(stored, BitsStored=12, HighBit=11, WindowCenter=900, WindowWidth=1200, VOILUTFunction="SIGMOID")
    picture = only("a.dcm", data)
    expected = pydicom.pixels.apply_windowing(stored, pydicom.dcmread(io.BytesIO(data))) / 4095 * 65535
    np.testing.assert_allclose(picture.pixels[..., 0], expected, atol=0.51)
    assert (picture.low, picture.high) == (0.0, 65535.0)
    lut = pydicom.Dataset()
    lut.LUTDescriptor = [256, 0, 16]
    lut.LUTData = np.arange(256, dtype="<u2")[::-1].tobytes()
    lut["LUTData"].VR = "OW"
    picture = only("b.dcm", dicom(ramp()[..., 0], VOILUTSequence=[lut]))
    np.testing.assert_array_equal(picture.pixels, 255 - ramp())


def test_dicom_monochrome1_is_inverted_with_its_window(only) -> None:
    stored = ramp(np.uint16)[..., 0] >> 4
    tags = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1"}
    picture = only("a.dcm", dicom(stored, **tags))
    np.testing.assert_array_equal(picture.pixels[..., 0], 4095 - stored)
    assert (picture.low, picture.high) == (0.0, 4095.0)
    picture = only("b.dcm", dicom(stored, **tags, WindowCenter="1000.5", WindowWidth="1001"))
    assert (picture.low, picture.high) == (4095 - 1500, 4095 - 500)
    picture = only("c.dcm", dicom(stored, **tags, RescaleSlope="1", RescaleIntercept="-1024"))
    np.testing.assert_array_equal(picture.pixels[..., 0], 3071 - 1024 - (stored.astype(np.float32) - 1024))


def test_dicom_frames_with_their_own_window_and_spacing(put) -> None:
    frames = np.moveaxis(ramp(np.uint16, 3), -1, 0)
    groups = []
    for width in (100, 200, 300):
        window, measures, group = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        window.WindowCenter, window.WindowWidth = "500", str(width + 1)
        measures.PixelSpacing = [width / 100, 1.0]
        group.FrameVOILUTSequence, group.PixelMeasuresSequence = [window], [measures]
        groups.append(group)
    shared, rescale = pydicom.Dataset(), pydicom.Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = "1", "0"
    shared.PixelValueTransformationSequence = [rescale]
    tags = {"PerFrameFunctionalGroupsSequence": groups, "SharedFunctionalGroupsSequence": [shared]}
    pictures = list(read(put("a.dcm", dicom(frames, **tags))))
    assert [picture.index for picture in pictures] == [0, 1, 2]
    assert [picture.high - picture.low for picture in pictures] == [100, 200, 300]
    assert [picture.spacing for picture in pictures] == [(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]
    np.testing.assert_array_equal(np.stack([picture.pixels[..., 0] for picture in pictures]), frames)


COMPRESSED = {
    "rle": (UIDS.RLELossless, None),
    "jpeg lossless": (UIDS.JPEGLosslessSV1, lambda frame: imagecodecs.ljpeg_encode(frame)),
    "jpeg-ls": (UIDS.JPEGLSLossless, lambda frame: imagecodecs.jpegls_encode(frame)),
    "jpeg 2000": (UIDS.JPEG2000Lossless, lambda f: imagecodecs.jpeg2k_encode(f, codecformat="j2k", reversible=True)),
    "ht jpeg 2000": (UIDS.HTJ2KLossless, lambda frame: imagecodecs.htj2k_encode(frame)),
    "deflated": (UIDS.DeflatedExplicitVRLittleEndian, None),
}


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_compressed_dicom_is_exact_in_every_frame(put, name, dtype) -> None:
    syntax, encode = COMPRESSED[name]
    frames = np.moveaxis(ramp(dtype, 3, 24, 32), -1, 0).copy()
    pictures = list(read(put("a.dcm", dicom(frames, syntax, encode))))
    np.testing.assert_array_equal(np.stack([picture.pixels[..., 0] for picture in pictures]), frames)


@pytest.mark.parametrize("name", ["rle", "jpeg-ls", "jpeg 2000"])
def test_compressed_signed_and_colour_dicom(only, name) -> None:
    syntax, encode = COMPRESSED[name]
    signed = ramp(np.int16, 1, 24, 32)[..., 0] - np.int16(9000)
    # JPEG-LS streams are unsigned: signed values travel as their two's complement
    stored = encode if name != "jpeg-ls" else lambda frame: encode(frame.view(np.uint16))
    np.testing.assert_array_equal(only("a.dcm", dicom(signed, syntax, stored)).pixels[..., 0], signed)
    colour = ramp(np.uint8, 3, 24, 32)
    np.testing.assert_array_equal(only("b.dcm", dicom(colour, syntax, encode)).pixels, colour)


def test_pydicoms_own_files_decode_as_gdcm_decodes_them() -> None:
    """JPEG baseline in YBR and RGB, 12-bit, lossless, JPEG-LS, JPEG 2000: bit for bit what another decoder gives."""
    pytest.importorskip("gdcm")
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    compared = 0
    for path in sorted(folder.glob("*.dcm")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(path, force=True)
            syntax = getattr(ds, "file_meta", {}).get("TransferSyntaxUID")
            if syntax is None or not syntax.is_encapsulated or "PixelData" not in ds or ds.BitsAllocated > 16:
                continue
            try:
                decoder = pydicom.pixels.get_decoder(syntax)
                expected, _ = decoder.as_array(ds, raw=False, decoding_plugin="gdcm")
            except (RuntimeError, NotImplementedError, ValueError, AttributeError):
                continue  # gdcm cannot
        pictures = list(read(path))
        found = np.stack([picture.pixels for picture in pictures]).squeeze()
        rescale = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
        np.testing.assert_array_equal(found, expected.squeeze() * rescale[0] + rescale[1], err_msg=path.name)
        compared += 1
    assert compared >= 20


def test_dicom_without_suffix_or_with_a_uid_for_a_name(put) -> None:
    data = dicom(ramp()[..., 0])
    for name in ("IM000001", "1.2.840.113619.2.5", "scan.ima"):
        path = put(name, data)
        assert readable(path)
        assert next(iter(read(path))).pixels.shape == (HEIGHT, WIDTH, 1)
    assert not readable(put("LICENSE", b"text" * 99))


def test_dicom_warns_of_burned_in_text(only) -> None:
    assert "BurnedInAnnotation is YES" in only("a.dcm", dicom(ramp()[..., 0], BurnedInAnnotation="YES")).warnings[0]
    assert only("b.dcm", dicom(ramp()[..., 0], BurnedInAnnotation="NO")).warnings == ()


# NIfTI


def test_nifti_slices_stand_upright_whatever_the_orientation_of_the_file(put) -> None:
    """A volume stored in every one of the 48 orders and directions gives the same pictures."""
    volume = ramp(np.uint16, 7, 5, 6)  # (x to the right, y to the front, z up) = (5, 6, 7)
    affine = np.diag([0.5, 0.7, 3.0, 1.0])
    expected = [volume[::-1, ::-1, z].T for z in range(7)]
    image = nibabel.Nifti1Image(volume, affine)
    seen = 0
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        for flips in range(8):
            directions = [1 - 2 * (flips >> axis & 1) for axis in range(3)]
            turned = image.as_reoriented(np.array(list(zip(order, directions, strict=True)), float))
            turned.header.set_xyzt_units("mm")
            pictures = list(read(put("a.nii", turned.to_bytes())))
            assert pictures[0].spacing == pytest.approx((0.7, 0.5))
            np.testing.assert_array_equal([picture.pixels[..., 0] for picture in pictures], expected)
            seen += 1
    assert seen == 48


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_nifti_axis_and_spacing(put, axis) -> None:
    volume = ramp(np.uint16, 7, 5, 6)
    path = put("a.nii.gz", nifti(volume, np.diag([0.5, 0.7, 3.0, 1.0]), packed=True))
    pictures = list(read(path, axis=axis))
    assert len(pictures) == volume.shape[axis]
    spacing = {0: (3.0, 0.7), 1: (3.0, 0.5), 2: (0.7, 0.5)}[axis]
    assert pictures[0].spacing == pytest.approx(spacing)
    for picture in pictures:
        expected = volume.take(picture.index, axis)[::-1, ::-1].T
        np.testing.assert_array_equal(picture.pixels[..., 0], expected)


def test_nifti_default_axis_is_the_one_of_acquisition(put) -> None:
    volume = ramp(np.uint16, 7, 5, 6)
    for spacings, slices in (((1, 1, 1), 7), ((1, 4, 1), 6), ((5, 1, 1), 5), ((2, 2, 1), 7)):
        assert len(list(read(put("a.nii", nifti(volume, np.diag([*spacings, 1.0])))))) == slices


def test_nifti_values_and_ranges(put) -> None:
    def first(data: bytes) -> Picture:
        return next(iter(read(put("a.nii", data))))

    picture = first(nifti(ramp(np.uint8, 4)))
    assert (picture.depth, picture.low, picture.high) == (8, 0.0, 255.0)
    picture = first(nifti(ramp(np.int16, 4)))
    assert (picture.pixels.dtype, picture.depth) == (np.uint16, 16)
    assert math.isnan(picture.low)
    picture = first(nifti(ramp(np.int16, 4) - np.int16(1000)))
    assert (picture.pixels.dtype, picture.depth) == (np.float32, 32)
    volume = ramp(np.int16, 4)
    pictures = list(read(put("b.nii", nifti(volume, scl_slope=0.25, scl_inter=-7.0, cal_min=-5.0, cal_max=90.0))))
    found = np.stack([picture.pixels[..., 0] for picture in pictures], axis=-1)
    np.testing.assert_allclose(found, volume[::-1, ::-1].transpose(1, 0, 2) * 0.25 - 7.0)
    assert (pictures[0].low, pictures[0].high) == (-5.0, 90.0)


def test_nifti_of_several_volumes_gives_the_first_with_a_warning(put) -> None:
    volumes = ramp(np.uint8, 12).reshape(HEIGHT, WIDTH, 4, 3)
    for packed, name in ((False, "a.nii"), (True, "a.nii.gz")):
        pictures = list(read(put(name, nifti(volumes, packed=packed))))
        assert len(pictures) == 4
        assert pictures[0].warnings == ("holds 3 volumes: only the first is read",)
        np.testing.assert_array_equal(pictures[3].pixels[..., 0], volumes[::-1, ::-1, 3, 0].T)


def test_nifti_units_become_millimetres(put) -> None:
    image = nibabel.Nifti1Image(ramp(np.uint8, 4), np.diag([500.0, 250.0, 2000.0, 1.0]))
    image.header.set_xyzt_units("micron")
    assert next(iter(read(put("a.nii", image.to_bytes())))).spacing == pytest.approx((0.25, 0.5))


# Points


def test_points_with_and_without_header_and_separators(put) -> None:
    for text, names in (
        ("x,y\n1,2\n3.5,-4e2\n", ("x", "y")),
        ("1;2\n\n3.5;-4e2", ("x1", "x2")),
        ("\ufeffa\tb\r\n1\t2\r\n3.5\t-400\r\n", ("a", "b")),
        ("1 2\n  3.5   -400", ("x1", "x2")),
    ):
        points, found = read_points(put("a.csv", text.encode()))
        assert points.dtype == np.float32
        assert points.tolist() == [[1.0, 2.0], [3.5, -400.0]]
        assert found == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no points"),
        (b"x,y\n", "no points"),
        (b"x,y\n1,2\n3\n", "line 3"),
        (b"x,y\n1,2\n3,four\n", "'four' in line 3"),
        (b"x,y\n1,nan\n", "NaN"),
        (b"x,y\n1,1e99\n", "too large"),
        (b"\xff\xfe\x00", "CSV"),
    ],
)
def test_bad_points_name_the_line(put, text, words) -> None:
    with pytest.raises(DataError, match=words):
        read_points(put("a.csv", text))


# What is refused


def nan_volume() -> np.ndarray:
    volume = ramp(np.float32, 4)
    volume[2, 3, 1] = np.nan
    return volume


def npy_claim(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + bytes(100)


def tiff_loop() -> bytes:
    data = bytearray(tiff(ramp()[..., 0]))
    (first,) = struct.unpack_from("<I", data, 4)
    (tags,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * tags, first)
    return bytes(data)


def deflated_bomb() -> bytes:
    """A deflated DICOM of 100 kB that would swell to 100 MB."""
    data = dicom(np.zeros((3, 3), np.uint8), UIDS.DeflatedExplicitVRLittleEndian)
    (length,) = struct.unpack_from("<I", data, 140)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    private = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 100 << 20)  # one long element of zeros
    return data[: 144 + length] + packer.compress(private) + packer.compress(bytes(100 << 20)) + packer.flush()


def zip_bomb() -> bytes:
    buffer, head = io.BytesIO(), io.BytesIO()
    shape = (1, 4096, 2560, 8)
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive, archive.open("images.npy", "w") as member:
        member.write(head.getvalue())
        for _ in range(80):
            member.write(bytes(1 << 20))
    return buffer.getvalue()


GREY = pillow(Image.fromarray(ramp(height=64, width=64)[..., 0]), "PNG")
JPEG = pillow(Image.fromarray(ramp(height=64, width=64)[..., 0]), "JPEG")
DEEP = ramp(np.uint16)[..., 0]
NIFTI = nifti(ramp(np.uint16, 4), packed=True)

REFUSED: dict[str, tuple[str, bytes, str]] = {
    "zero bytes": ("a.png", b"", "is empty"),
    "zero bytes of dicom": ("a.dcm", b"", "is empty"),
    "text named png": ("a.png", b"this is no picture at all, just words", "no picture but text"),
    "html named jpg": ("a.jpg", b"<html><body>not found</body></html>", "no picture but text"),
    "noise named tif": ("a.tif", bytes(range(7, 250)), "no picture"),
    "cut jpeg": ("a.jpg", JPEG[: len(JPEG) // 2], "JPEG"),
    "cut png": ("a.png", GREY[: len(GREY) // 2], "cut off"),
    "png without end": ("a.png", GREY[:-12], "cut off"),
    "flipped png": ("a.png", GREY[:1000] + bytes([GREY[1000] ^ 1]) + GREY[1001:], "wrong checksum"),
    "png with rows missing": ("a.png", png(10, 10, 8, 0, bytes(11 * 5)), "before its picture does"),
    "png of wrong kind": ("a.png", png(10, 10, 3, 0, bytes(60)), "no known kind"),
    "png bomb": ("a.png", png(60000, 60000, 8, 2, bytes(100)), "megapixels"),
    "png of claims": ("a.png", png(15000, 15000, 8, 2, bytes(100)), "decompression bomb"),
    "png with two palettes": ("a.png", png(2, 2, 8, 3, bytes(6), chunk(b"PLTE", bytes(3)) * 2), "two PLTE"),
    "gif of claims": ("a.gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(40), "GIF|megapixels"),
    "bmp bomb": (
        "a.bmp",
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, 99999, 99999, 1, 24, 0, 0, 0, 0, 0, 0),
        "megapixels",
    ),
    "cut webp": ("a.webp", pillow(Image.fromarray(ramp(channels=3)), "WEBP")[:60], "WEBP"),
    "cut tiff": ("a.tif", tiff(ramp(np.uint16, 3, 64, 64))[:9000], "before its picture does"),
    "cut tiff jpeg": (
        "a.tif",
        tiff(ramp(np.uint8, 3, 64, 64), photometric="rgb", compression="jpeg")[:3000],
        "cut off",
    ),
    "tiff of nine channels": (
        "a.tif",
        tiff(ramp(channels=9), photometric="minisblack", planarconfig="contig"),
        "9 chan",
    ),
    "tiff of looping pages": ("a.tif", tiff_loop(), "back to themselves"),
    "tiff of complex": ("a.tif", tiff(ramp(np.float32)[..., 0].astype(np.complex64)), "complex64"),
    "tiff of nan": ("a.tif", tiff(nan_volume()[..., 1]), "NaN"),
    "tiff in lab": ("a.tif", pillow(Image.new("LAB", (9, 9)), "TIFF"), "CIELAB"),
    "npy of claims": ("a.npy", npy_claim((10**6, 1000, 1000)), "claims"),
    "npy of monstrous claims": ("a.npy", npy_claim((10**30, 10**30)), "claims"),
    "npy of negative size": ("a.npy", npy_claim((-5, 10, 10)), "shape"),
    "npy of nothing": ("a.npy", npy(np.zeros((0, 9, 9), np.uint8)), "no values"),
    "npy of words": ("a.npy", npy(np.array([["a", "b"]])), "<U1"),
    "npy of one axis": ("a.npy", npy(np.zeros(9, np.uint8)), r"\(9,\)"),
    "npy of points": ("a.npy", npy(np.zeros((99, 2))), "points belong"),
    "npy of one colour picture": ("a.npy", npy(np.zeros((64, 64, 3), np.uint8)), r"image\[None\]"),
    "npy without channels": ("a.npy", npy(np.zeros((2, 20, 20, 20), np.uint8)), "channels"),
    "npy either way": ("a.npy", npy(np.zeros((2, 3, 9, 3), np.uint8)), "channels"),
    "npy of infinity": ("a.npy", npy(np.full((1, 9, 9), np.inf)), "row 0"),
    "npy beyond float32": ("a.npy", npy(np.full((1, 9, 9), 2**40)), "2.24"),
    "npy text": ("a.npy", b"hello there, this is text", "npy"),
    "npz without images": ("a.npz", npz(a=DEEP, b=DEEP), "no array 'images' but a, b"),
    "npz with a wrong count of labels": ("a.npz", npz(x=DEEP[None], labels=np.arange(3)), "1 pictures but 3 labels"),
    "npz with float labels": ("a.npz", npz(x=DEEP[None], labels=np.array([0.5])), "labels of float64"),
    "cut npz": ("a.npz", npz(x=DEEP[None])[:-30], "npz"),
    "npz text": ("a.npz", b"hello there, this is text", "npz"),
    "zip bomb": ("a.npz", zip_bomb(), "decompression bomb"),
    "text named dcm": ("a.dcm", b"hello there" * 30, "not a DICOM"),
    "dicom without pixels": ("a.dcm", dicom(DEEP)[:300], "no pixels|DICOM"),
    "cut dicom": ("a.dcm", dicom(DEEP)[:-100], "before its pixels do"),
    "deflated dicom bomb": ("a.dcm", deflated_bomb(), "decompression bomb"),
    "dicom without rows": ("a.dcm", dicom(DEEP, Rows=None), "lacks the DICOM tag Rows"),
    "dicom without photometric": ("a.dcm", dicom(DEEP, PhotometricInterpretation=None), "PhotometricInterpretation"),
    "dicom of 32 bits": ("a.dcm", dicom(DEEP.astype(np.uint32)), "32 bits"),
    "dicom of odd colours": ("a.dcm", dicom(DEEP, PhotometricInterpretation="ARGB"), "neither grey nor RGB"),
    "dicom of claims": ("a.dcm", dicom(DEEP, Rows=65000, Columns=65000), "megapixels"),
    "dicom video": ("a.dcm", dicom(DEEP, UIDS.MPEG2MPML, lambda frame: bytes(64)), "MPEG2 .* no decoder"),
    "dicom of a damaged stream": (
        "a.dcm",
        dicom(DEEP, UIDS.JPEGLSLossless, lambda frame: imagecodecs.jpegls_encode(frame)[:-60]),
        "JPEG-LS .* do not decode",
    ),
    "dicom of a larger stream": (
        "a.dcm",
        dicom(DEEP, UIDS.JPEG2000Lossless, lambda frame: imagecodecs.jpeg2k_encode(np.tile(frame, 9))),
        "do not decode",
    ),
    "nifti of nan": ("a.nii.gz", nifti(nan_volume(), packed=True), "1 voxels that are NaN or infinite"),
    "nifti too large after rescale": (
        "a.nii",
        nifti(ramp(np.uint16, 4), scl_slope=1e35, scl_inter=0),
        "too large .slice 0",
    ),
    "nifti of infinite slope": ("a.nii", nifti(ramp(np.uint16, 4), scl_slope=np.inf), "infinite scl_slope"),
    "cut nifti": ("a.nii", nifti(ramp(np.uint16, 4))[:-10], "cut off"),
    "cut nifti gz": ("a.nii.gz", NIFTI[:-20], "before its voxels do"),
    "flipped nifti gz": ("a.nii.gz", NIFTI[:-6] + bytes([NIFTI[-6] ^ 1]) + NIFTI[-5:], "NIfTI"),
    "nifti text": ("a.nii", b"hello there" * 99, "not a NIfTI"),
    "nifti of complex": ("a.nii", nifti(ramp(np.float32, 4).astype(np.complex64)), "complex64"),
    "nifti pair": ("a.nii", nifti(ramp(np.uint8, 4)).replace(b"n+1\0", b"ni1\0"), "half of a header/image pair"),
    "svg": ("a.svg", b"<svg/>", "no kind that is read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_files_are_refused_in_one_line_that_names_them(put, case, capfd) -> None:
    name, data, words = REFUSED[case]
    path = put(name, data)
    with pytest.raises(DataError, match=words) as caught:
        list(read(path))
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable()
    assert ": " in message.split(str(path))[1]  # what is wrong, then what to do
    assert "patient" not in message
    assert capfd.readouterr() == ("", "")


def test_missing_files_folders_and_odd_names(tmp_path, put) -> None:
    with pytest.raises(DataError, match="does not exist"):
        list(read(tmp_path / "no.png"))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        list(read(tmp_path / "folder.png"))
    with pytest.raises(DataError) as caught:
        list(read(put("two\nlines\x1b[31m.png", b"text")))
    assert str(caught.value).isprintable()
    with pytest.raises(GanvasError, match="axis 3"):
        read(tmp_path / "a.nii", axis=3)


def test_reading_leaves_warnings_and_loggers_as_they_were(put) -> None:
    loggers = [logging.getLogger(name) for name in ("pydicom", "tifffile", "nibabel.global")]
    limit = Image.MAX_IMAGE_PIXELS
    filters = list(warnings.filters)
    for name, data in every_kind().items():
        reader = read(put(name, data))
        next(reader)
        assert list(warnings.filters) == filters  # while the caller has the word, too
        assert not any(logger.disabled for logger in loggers)
        list(reader)
    assert not any(logger.disabled for logger in loggers)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_reading_in_threads_gives_the_same(put) -> None:
    from concurrent.futures import ThreadPoolExecutor

    paths = [put(name, data) for name, data in every_kind().items()]
    filters = list(warnings.filters)

    def digest(path: Path) -> str:
        return hashlib.sha256(b"".join(picture.pixels.tobytes() for picture in read(path))).hexdigest()

    alone = [digest(path) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(digest, paths * 4)) == alone * 4
    assert list(warnings.filters) == filters


def test_without_pydicom_the_line_says_what_to_install(put) -> None:
    """In a process where the packages cannot be imported."""
    import subprocess
    import sys

    paths = [put("a.dcm", dicom(ramp()[..., 0])), put("a.nii", nifti(ramp(np.uint8, 4)))]
    code = f"""
import sys
sys.modules["pydicom"] = sys.modules["nibabel"] = None
from pathlib import Path
from ganvas.kinds.image.readers import read
from ganvas.errors import MissingExtra
for path in {[str(path) for path in paths]!r}:
    try:
        list(read(Path(path)))
    except MissingExtra as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("pip install 'ganvas[medical]'") == 2


def test_a_table_with_groups_under_another_name_is_told_of(tmp_path: Path) -> None:
    from PIL import Image

    from ganvas.store.listing import list_files

    rng = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "slices.csv").write_text("file,class,group,split\n0.png,a,g0,train\n")
    (tmp_path / "sizes.csv").write_text("file,width\n0.png,8\n")
    told = [note for note in list_files(tmp_path, suffixes=(".png",), noun="pictures").notes if "groups.csv" in note]
    assert len(told) == 1 and told[0].startswith("slices.csv has a column group and a column split")
    (tmp_path / "groups.csv").write_text("file,group\n" + "".join(f"{k}.png,g{k}\n" for k in range(4)))
    assert not [note for note in list_files(tmp_path, suffixes=(".png",), noun="pictures").notes if "groups.csv" in note]
