"""Maps of slices that are laid back into their volume: at the same place, whatever the size of the run; by `apply` too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.kinds import kind_of
from ganvas.kinds.facets import MapsBack
from ganvas.kinds.image.readers import read
from ganvas.kinds.image.resize import records_of
from ganvas.kinds.image.spec import ImageSpec
from ganvas.run.apply import apply
from ganvas.run.train import train

nibabel = pytest.importorskip("nibabel")
AFFINE = np.array([[0, -1.5, 0, 30], [1.5, 0, 0, -20], [0, 0, 4, 7], [0, 0, 0, 1]], float)  # axes swapped, one turned round


def volume_of(path: Path, shape: tuple[int, int, int] = (24, 36, 7)) -> np.ndarray:
    """A smooth volume, in which no two places are alike."""
    x, y, z = np.meshgrid(*(np.linspace(0, 1, side) for side in shape), indexing="ij")
    values = (40 + 90 * x + 70 * y * y + 30 * z).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), path)
    return values


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_what_is_laid_back_lies_where_it_was(tmp_path: Path, fit: str) -> None:
    kind = kind_of("image")
    assert isinstance(kind, MapsBack)
    values = volume_of(tmp_path / "head.nii.gz")
    slices = [picture.pixels for picture in read(tmp_path / "head.nii.gz")]
    maps = [records_of(one, (48, 48), fit)[0][..., 0].astype(np.float32) for one in slices]
    spec, settings = ImageSpec(1, 48, 48), {"fit": fit}
    (file,) = kind.map_back(maps, tmp_path / "head.nii.gz", tmp_path / "map", spec, settings, {"what": "test"})
    back = nibabel.load(file)
    found = back.get_fdata()
    assert found.shape == values.shape and np.allclose(back.affine, AFFINE)
    seen = found >= 0
    assert (found[~seen] == -1).all()
    assert seen.mean() == pytest.approx(24 / 36 if fit == "crop" else 1.0, abs=0.01)  # the square in the middle of each slice
    inner = seen.copy()
    inner[:2], inner[-2:], inner[:, :2], inner[:, -2:] = False, False, False, False
    assert np.abs(found - values)[inner].max() < 3


def test_pictures_lie_nowhere(tmp_path: Path) -> None:
    from PIL import Image

    kind = kind_of("image")
    assert isinstance(kind, MapsBack)
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    assert kind.map_back([np.zeros((8, 8))], tmp_path / "one.png", tmp_path / "map", ImageSpec(1, 8, 8), {}, {}) == []


def test_a_volume_that_is_scored_gets_a_map_in_its_own_space(tmp_path: Path) -> None:
    options: dict[str, Any] = {"budget": "1r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}
    volume_of(tmp_path / "head.nii.gz")
    train("anogan", tmp_path / "head.nii.gz", out=tmp_path / "run", config={"width": 4, "batch_size": 4}, size=16, **options)
    done = apply(tmp_path / "run", [tmp_path / "head.nii.gz"], out=tmp_path / "out", progress=False)
    file = tmp_path / "out" / "maps" / "head.nii.gz"
    assert str(file) in done["files"] and len(done["scores"]) == 7
    found = nibabel.load(file)
    assert found.shape == (24, 36, 7) and np.allclose(found.affine, AFFINE)
    with np.load(tmp_path / "out" / "maps" / "head-0003.npz") as kept:
        most = kept["map"].max()
    assert found.get_fdata()[:, :, 2].max() == pytest.approx(most, rel=0.2)
