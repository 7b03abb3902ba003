"""The example of a detector around a classifier of crops: what it pastes is what it says, overlaps and comparisons are right,
and it runs with a run of two rounds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from ganvas.run.train import train

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "find_signs.py"
COLOURS = {"red": (230, 20, 20), "blue": (20, 20, 230)}


@pytest.fixture(scope="module")
def example() -> ModuleType:
    found = importlib.util.spec_from_file_location("find_signs", EXAMPLE)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["find_signs"] = module  # dataclasses look their module up
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def streets(example: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and blue signs, several of each, two views a sign; grey photographs."""
    folder = tmp_path_factory.mktemp("streets")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / "signs" / name).mkdir(parents=True)
        for sign in range(5):
            for view, side in enumerate((20, 40)):
                Image.new("RGB", (side, side), colour).save(folder / "signs" / name / f"{sign}_{view}.png")
    (folder / "photos").mkdir()
    for number in range(5):
        grey = rng.integers(60, 190, (70, 90, 1), dtype=np.uint8).repeat(3, 2)
        Image.fromarray(grey).save(folder / "photos" / f"{number}.png")
    example.paste(folder / "signs", folder / "photos", folder / "out", pictures=3)
    return folder / "out"


def test_what_is_pasted_lies_where_the_table_says_and_its_signs_are_not_learnt(example: ModuleType, streets: Path) -> None:
    boxes = example.read(streets / "pictures" / "boxes.csv")
    assert len(boxes) >= 3
    for box in boxes:
        photo = example.opened(streets / "pictures" / box.picture)
        inside = photo[box.top : box.top + box.side, box.left : box.left + box.side]
        assert (inside == COLOURS[box.name]).all()
    assert len(list((streets / "crops" / "nothing").iterdir())) == 4 * 24
    assert len(list((streets / "crops").glob("[rb]*/*.png"))) == 2 * 8  # two of ten signs are apart


def test_overlaps_and_what_was_found_are_counted(example: ModuleType) -> None:
    box = example.Box
    assert box("a", 0, 0, 10, "x").overlap(box("a", 0, 0, 10, "x")) == 1
    assert box("a", 0, 0, 10, "x").overlap(box("a", 5, 0, 10, "x")) == pytest.approx(50 / 150)
    assert box("a", 0, 0, 10, "x").overlap(box("a", 20, 20, 10, "x")) == 0
    true = [box("a", 0, 0, 14, "x"), box("a", 50, 50, 30, "y"), box("b", 0, 0, 16, "x")]
    found = [box("a", 1, 1, 14, "x"), box("a", 52, 50, 30, "x"), box("b", 60, 60, 14, "x"), box("a", 0, 40, 14, "y")]
    told = example.compared(found, true)
    assert told["small"] == {"signs": 2, "found": 1, "named rightly": 1}
    assert told["large"] == {"signs": 1, "found": 1, "named rightly": 0}
    assert told["false alarms a picture"] == 1.0


def test_it_runs_with_a_run_mended_and_not(example: ModuleType, streets: Path, tmp_path: Path) -> None:
    config = {"width": 4, "units": 8, "batch_size": 8, "pretrained": False, "blocks": 1}
    train(
        "perceptual-gan", streets / "crops", out=tmp_path / "run", config=config, size=32, budget="2r", quiet=True, watch="off",
        sample_every=0.0, device="cpu",
    )  # fmt: skip
    for plain in (False, True):
        boxes = example.find(tmp_path / "run", streets / "pictures", tmp_path / f"out-{plain}", least=0.0, plain=plain)
        assert boxes == example.read(tmp_path / f"out-{plain}" / "boxes.csv")
        assert {box.name for box in boxes} <= set(COLOURS) and len(boxes) > 3
        for one in boxes:
            others = [own for own in boxes if own is not one and own.picture == one.picture]
            assert all(one.overlap(other) <= example.OVERLAP for other in others)
    assert len(list((tmp_path / "out-True").glob("*.png"))) == 3
