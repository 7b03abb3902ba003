"""What is settled before a run begins, and before its data is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganvas.errors import DataError, GanvasError
from ganvas.kinds.image.spec import ImageSpec
from ganvas.memory.board import describe
from ganvas.registry import load_system
from ganvas.run.resolving import suit_layout
from ganvas.run.settings import build_settings
from ganvas.run.train import train
from ganvas.shapes import shapes_only


def broken(folder: Path) -> Path:
    folder.mkdir()
    for suffix in ("npy", "wav", "png"):
        (folder / f"broken.{suffix}").write_bytes(b"nothing that could be read")
    return folder


@pytest.mark.parametrize(
    ("system", "size", "told"),
    [
        ("gan-3d", "24", "16, 32 or 64 voxels a side, not 24"),
        ("latent-gan-3d", "24x24", "16, 32, 64 or 128 voxels a side, not 24"),
        ("wavegan", "32", "clips of 32 samples are too short"),
        ("dcgan", "4", "images of 4x4 are too small"),
    ],
)
def test_a_size_that_the_system_cannot_take_is_refused_before_data_is_read_or_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, size: str, told: str
) -> None:
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))
    data = broken(tmp_path / "data")
    with pytest.raises(GanvasError, match=told):
        train(system, data, size=size, budget="1r", out=tmp_path / "run")
    phantom = {"gan-3d": "solids", "latent-gan-3d": "solids", "wavegan": "words", "dcgan": "chest"}[system]
    with pytest.raises(GanvasError, match=told):
        train(system, phantom, size=size, budget="1r", out=tmp_path / "run")
    with pytest.raises(GanvasError, match=told):
        describe(system, data=phantom, size=size)
    assert not (tmp_path / "cache").exists()


def test_where_the_data_decides_a_size_is_not_refused_before_it(tmp_path: Path) -> None:
    """cgan needs classes, which no size gives it: what is wrong with the files is what the user is told."""
    with pytest.raises(DataError, match="broken"):
        train("cgan", broken(tmp_path / "data"), size="32", budget="1r", out=tmp_path / "run")


@pytest.mark.parametrize(
    ("system", "config", "suited"),
    [
        ("dcgan", {"width": 64, "batch_size": 64}, "on"),
        ("cyclegan", {"width": 8, "batch_size": 8}, "off"),  # InstanceNorm
        ("pix2pix", {"width": 64, "batch_size": 1}, "off"),  # 45 million weights, 16,384 pixels
        ("pix2pix", {"width": 16, "batch_size": 4}, "on"),
    ],
)
def test_channels_last_is_taken_back_where_it_does_not_pay_and_nobody_asked(system: str, config: dict, suited: str) -> None:
    _, _, system_class = load_system(system)
    image = ImageSpec(3, 128, 128, classes=("a", "b"))
    with shapes_only():
        made = system_class({"photo": image, "map": image} if system == "pix2pix" else image, system_class.Config(**config))
    chosen = build_settings({"data": "x", "device": "cpu", "channels_last": "on"})
    assert suit_layout(chosen, "auto", made).channels_last == suited
    assert suit_layout(chosen, "on", made).channels_last == "on"
