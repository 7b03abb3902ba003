"""From files of each kind to samples of the same kind: train, resume and sample through the public interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.errors import GanvasError
from ganvas.kinds.image.readers import read
from ganvas.run.draw import draw
from ganvas.run.train import train

TINY = {"width": 4, "batch_size": 8, "latent_size": 8}
COUNT = 24


def smooth(shape: tuple[int, ...], top: int, dtype: Any) -> np.ndarray:
    """Soft random blobs: something a network could learn."""
    rng = np.random.default_rng(0)
    n, h, w = shape[:3]
    y, x = np.mgrid[0:h, 0:w]
    images = [np.exp(-((x - rng.uniform(0, w)) ** 2 + (y - rng.uniform(0, h)) ** 2) / (h * w / 8)) for _ in range(n)]
    made = np.stack(images)
    if len(shape) == 4:
        made = made[..., None] * rng.uniform(0.3, 1, (n, 1, 1, shape[3]))
    return (made * top).astype(dtype)


def tiff16(folder: Path) -> Path:
    import tifffile

    for i, image in enumerate(smooth((COUNT, 96, 64), 65535, np.uint16)):
        tifffile.imwrite(folder / f"scan-{i}.tif", image)
    return folder


def rgb_png(folder: Path) -> Path:
    from PIL import Image

    for i, image in enumerate(smooth((COUNT, 32, 32, 3), 255, np.uint8)):
        Image.fromarray(image).save(folder / f"picture-{i}.png")
    return folder


def dicom(folder: Path) -> Path:
    pytest.importorskip("pydicom")
    from ganvas.kinds.image.spec import ImageSpec
    from ganvas.kinds.image.writers import write_samples

    spec = ImageSpec(1, 48, 40, 16, 0.0, 65535.0, spacing=(0.5, 0.6))
    write_samples(smooth((COUNT, 48, 40, 1), 65535, np.uint16), spec, folder, format="dicom", note={}, seed=1)
    return folder


def nifti(folder: Path) -> Path:
    nibabel = pytest.importorskip("nibabel")
    volume = smooth((COUNT, 40, 36), 900, np.float32).transpose(1, 2, 0)
    image = nibabel.Nifti1Image(volume, np.diag([1.5, 1.25, 3.0, 1.0]))
    nibabel.save(image, folder / "volume.nii.gz")
    return folder / "volume.nii.gz"


CASES = {
    "16-bit grey TIFF 96x64": (tiff16, (96, 64, 1), np.uint16, "tiff"),
    "RGB PNG": (rgb_png, (32, 32, 3), np.uint8, "png"),
    "DICOM": (dicom, (48, 40, 1), np.uint16, "dicom"),
    "NIfTI": (nifti, None, np.float32, "nifti"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_trains_resumes_and_samples_in_the_same_depth_and_shape(name: str, tmp_path: Path) -> None:
    make, shape, dtype, format = CASES[name]
    source = tmp_path / "source"
    source.mkdir()
    data = make(source)
    run = tmp_path / "run"
    # One volume is one patient: nothing of it can be held out without splitting it.
    result = train("dcgan", data, out=run, config=TINY, budget="2r", quiet=True, sample_every=0)
    assert result["rounds"] == 2
    assert train(resume=run, budget="4r", quiet=True)["rounds"] == 4
    drawn = draw(run, count=5, out=tmp_path / "drawn", device="cpu")
    assert drawn["format"] == format
    pictures = [p for f in drawn["files"] for p in read(Path(f))]
    original = next(iter(read(next(iter(sorted(source.iterdir())))))).pixels
    assert len(pictures) == 5
    for picture in pictures:
        assert picture.pixels.shape == (shape or original.shape)
        assert picture.pixels.dtype == original.dtype == dtype
    if format in ("dicom", "nifti"):
        assert pictures[0].spacing == pytest.approx(next(iter(read(next(iter(sorted(source.iterdir())))))).spacing, rel=1e-4)


def test_formats_are_called_by_several_names_everywhere_alike(tmp_path: Path) -> None:
    from ganvas.data.phantoms._files import write_phantom
    from ganvas.kinds import format_named, kind_names, kind_of
    from ganvas.kinds.facets import Aliased

    for name in kind_names():
        kind = kind_of(name)
        assert [format_named(kind, one.upper()) for one in kind.formats] == list(kind.formats)
        if isinstance(kind, Aliased):
            assert not set(kind.format_aliases) & set(kind.formats)
            assert {format_named(kind, other) for other in kind.format_aliases} <= set(kind.formats)
    image = kind_of("image")
    given = ("tif", ".TIF", "jpeg", "dcm", "nii", "nii.gz")
    assert [format_named(image, one) for one in given] == ["tiff", "tiff", "jpg", "dicom", "nifti", "nifti"]
    with pytest.raises(GanvasError, match=r"--format 'tfi' is not served for images.*; formats: png, tiff"):
        format_named(image, "tfi")
    files = write_phantom("chest", 2, tmp_path / "out", format="tif", size=32)
    assert {file.suffix for file in files if file.suffix not in (".jsonl", ".png")} == {".tiff"}
