"""Laying a part of one picture into another: files, sizes, depths, and what cannot be blended told in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganvas.errors import DataError, GanvasError
from ganvas.run.apply import apply
from ganvas.run.load import Run
from ganvas.run.train import train

FAST: dict[str, Any] = {"budget": "1r", "quiet": True, "sample_every": 0.0, "device": "cpu", "watch": "off"}
SMALL = {"width": 4, "code_size": 8, "batch_size": 4, "critic_turns": 1, "critic_burst": 0, "anew": False, "foreign": 0.5}
RNG = np.random.default_rng(0)


def trained(folder: Path, channels: int, dtype: Any = np.uint8) -> Path:
    """A run of one round on noise of 16 pixels a side."""
    top = np.iinfo(dtype).max
    shape = (24, 16, 16) if channels == 1 else (24, 16, 16, channels)
    np.savez(folder / "data.npz", images=np.random.default_rng(1).integers(0, top + 1, shape).astype(dtype))
    train("gp-gan", folder / "data.npz", out=folder / "run", config=SMALL, size=16, **FAST)
    return folder / "run"


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("colour"), 3)


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("grey"), 1, np.uint16)


def saved(path: Path, pixels: np.ndarray) -> str:
    Image.fromarray(pixels).save(path)
    return str(path)


def mask_of(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 255
    return mask


def smooth(height: int, width: int, level: int) -> np.ndarray:
    made = np.full((height, width, 3), level, np.uint8)
    made[..., 1] += (np.arange(width) % 32).astype(np.uint8)
    return made


@pytest.mark.parametrize("size", [(41, 67), (16, 16), (9, 120), (130, 64)])
def test_a_source_is_laid_in_at_any_size_and_far_away_the_picture_stays(
    colour: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    target, source, mask = smooth(*size, 60), smooth(*size, 180), mask_of(*size)
    given = {"source": saved(tmp_path / "boat.png", source), "mask": saved(tmp_path / "mask.png", mask)}
    photo = [saved(tmp_path / "harbour.png", target)]
    told = apply(colour, photo, verb="blend", fields=given, out=tmp_path / "o")
    made = np.asarray(Image.open(tmp_path / "o" / "harbour.png")).astype(int)
    assert told["verb"] == "blend" and made.shape == target.shape
    pasted = np.where(mask[..., None] > 0, source, target).astype(int)
    seam = [np.abs(np.diff(image[size[0] // 2], axis=0))[size[1] // 3 - 1].mean() for image in (made, pasted)]
    assert seam[0] < 0.5 * seam[1]
    if min(size) > 32:
        assert np.abs(made - target)[:3, :3].max() <= 3
    again = Run(colour).use("blend", target[None], source=source[None], mask=mask[None, ..., None])["real"]
    assert np.abs(again[0].astype(int) - made).max() == 0
    with pytest.raises(GanvasError, match="mask: records of .*, those of .* are of .*: give both in one size"):
        Run(colour).use("blend", target[None], source=source[None], mask=mask[None, :-4, :, None])
    with pytest.raises(GanvasError, match="mask: 3 records, of .* there are 2: give as many"):
        both, masks = (np.repeat(own[None], count, 0) for own, count in ((target, 2), (mask[..., None], 3)))
        Run(colour).use("blend", both, source=both, mask=masks)


def test_depth_is_kept_and_grey_meets_colour(grey: Path, colour: Path, tmp_path: Path) -> None:
    """A grey source beside a colour picture, and the other way round, are turned into each other with a note."""
    picture, mask = smooth(32, 40, 60), mask_of(32, 40)
    plain = saved(tmp_path / "plain.png", smooth(32, 40, 150)[..., 0])
    given = {"source": plain, "mask": saved(tmp_path / "mask.png", mask)}
    told = apply(colour, [saved(tmp_path / "a.png", picture)], verb="blend", fields=given, out=tmp_path / "a")
    assert np.asarray(Image.open(tmp_path / "a" / "a.png")).shape == (32, 40, 3)
    assert any("turned into colour" in note for note in told["notes"]), told["notes"]
    deep = saved(tmp_path / "deep.png", (smooth(32, 40, 60)[..., 0].astype(np.uint16) * 257))
    given["source"] = saved(tmp_path / "deeper.png", (smooth(32, 40, 150)[..., 0].astype(np.uint16) * 257))
    apply(grey, [deep], verb="blend", fields=given, out=tmp_path / "b")
    made = np.asarray(Image.open(tmp_path / "b" / "deep.png"))
    assert made.shape == (32, 40) and made.max() > 255


def test_a_part_at_the_edge_of_the_picture_is_blended(colour: Path, tmp_path: Path) -> None:
    mask = np.zeros((48, 40), np.uint8)
    mask[:20, :15] = 255
    given = {"source": saved(tmp_path / "s.png", smooth(48, 40, 180)), "mask": saved(tmp_path / "m.png", mask)}
    apply(colour, [saved(tmp_path / "t.png", smooth(48, 40, 60))], verb="blend", fields=given, out=tmp_path / "o")
    made = np.asarray(Image.open(tmp_path / "o" / "t.png")).astype(int)
    assert np.abs(np.diff(made[5], axis=0))[14].mean() < 60 and np.abs(made[-3:, -3:] - smooth(48, 40, 60)[-3:, -3:]).max() <= 3


@pytest.mark.parametrize(
    ("source", "mask", "told"),
    [
        (smooth(32, 40, 9), np.zeros((32, 40), np.uint8), "mask is black all over"),
        (smooth(32, 40, 9), np.full((32, 40), 255, np.uint8), "leaves nothing of the picture"),
        (smooth(32, 40, 9), mask_of(16, 40), "its mask is of 16x40, it is of 32x40: lay the mask on a canvas"),
        (smooth(64, 80, 9), mask_of(32, 40), "its source is of 64x80, it is of 32x40: lay the source on a canvas"),
        (None, mask_of(32, 40), "no source to blend with it: add  --with source=FILE"),
        (smooth(32, 40, 9), None, "no mask to blend with it"),
        (None, None, "no source and no mask"),
    ],
)
def test_what_cannot_be_blended_is_told_in_a_line(
    colour: Path, tmp_path: Path, source: np.ndarray | None, mask: np.ndarray | None, told: str
) -> None:
    given = {
        name: saved(tmp_path / f"{name}.png", own) for name, own in (("source", source), ("mask", mask)) if own is not None
    }
    with pytest.raises(DataError, match=told) as caught:
        apply(colour, [saved(tmp_path / "photo.png", smooth(32, 40, 50))], verb="blend", fields=given, out=tmp_path / "o")
    assert "\n" not in str(caught.value) and not (tmp_path / "o").exists()


def test_masks_of_two_values_and_soft_ones_count(colour: Path, tmp_path: Path) -> None:
    mask = mask_of(32, 40) // 255
    given = {"source": saved(tmp_path / "s.png", smooth(32, 40, 180)), "mask": saved(tmp_path / "m.png", mask)}
    photo = [saved(tmp_path / "t.png", smooth(32, 40, 60))]
    told = apply(colour, photo, verb="blend", fields=given, out=tmp_path / "a")
    assert any("1 counts as white" in note for note in told["notes"])
    made = {}
    for share in (80, 255):
        given["mask"] = saved(tmp_path / "m.png", mask * np.uint8(share))
        apply(colour, photo, verb="blend", fields=given, out=tmp_path / str(share), config={"colour_weight": 4.0})
        made[share] = np.asarray(Image.open(tmp_path / str(share) / "t.png"))[mask > 0].mean()
    assert made[255] - made[80] < 5, "two values are a mask"
    given["mask"] = saved(
        tmp_path / "m.png", np.where(mask_of(32, 40) > 0, 255, 0).astype(np.uint8) // 2 + mask_of(16, 20).max() // 255
    )
    with pytest.raises((DataError, GanvasError), match="leaves nothing"):
        apply(colour, photo, verb="blend", fields=given, out=tmp_path / "c")


def test_a_mask_that_is_grey_all_over_is_told(colour: Path, tmp_path: Path) -> None:
    mask = RNG.integers(0, 256, (32, 40)).astype(np.uint8)
    mask[0] = 0
    given = {"source": saved(tmp_path / "s.png", smooth(32, 40, 180)), "mask": saved(tmp_path / "m.png", mask)}
    told = apply(colour, [saved(tmp_path / "t.png", smooth(32, 40, 60))], verb="blend", fields=given, out=tmp_path / "o")
    assert any(note.startswith("t.png: 9") and "of its mask is grey" in note and "\n" not in note for note in told["notes"])


def test_metal_outside_the_mask_keeps_its_hounsfield_units(grey: Path, tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    from ganvas.kinds.image.readers import read
    from ganvas.kinds.image.spec import ImageSpec
    from ganvas.kinds.image.writers import write_dicom

    units = RNG.normal(0, 30, (48, 40, 1)).round().astype(np.float32)
    units[3, 4] = units[24, 20] = 9000.0  # outside the mask, and inside
    write_dicom(tmp_path / "slice.dcm", units, ImageSpec(1, 48, 40, 32, -160.0, 240.0), note={}, seed=0)
    plain = RNG.integers(90, 110, (48, 40)).astype(np.uint8)
    given = {"source": saved(tmp_path / "s.png", plain), "mask": saved(tmp_path / "m.png", mask_of(48, 40))}
    told = apply(grey, [tmp_path / "slice.dcm"], verb="blend", fields=given, out=tmp_path / "o")
    (made,) = read(tmp_path / "o" / "slice.dcm")
    assert made.pixels[3, 4] == 9000.0 and made.pixels[24, 20] <= made.high
    assert any("-" in note and "9000 are beyond the 12 bits" in note for note in told["notes"]), told["notes"]


@pytest.mark.slow
def test_a_run_is_judged_beside_pasting(colour: Path) -> None:
    from ganvas.evaluation.judge import evaluate

    np.savez(colour.parent / "more.npz", images=np.random.default_rng(3).integers(0, 256, (80, 16, 16, 3)).astype(np.uint8))
    train("gp-gan", colour.parent / "more.npz", out=colour.parent / "second", config=SMALL, size=16, **FAST)
    found = evaluate(colour.parent / "second", features="pixels", audit=False)
    assert {"input", "untrained"} <= found["anchors"].keys() and "blend_seam" in found
