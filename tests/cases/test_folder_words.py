"""Cases of names: words for training and held out in any of their spellings and at any level, folds, names written alike.

In each layout the pictures to learn from are dark (50), those of the held-out part bright (200).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.data.dataset import Dataset, open_data
from ganvas.errors import DataError
from ganvas.store.listing import split_word

DARK, BRIGHT = 50, 200


def folders(root: Path, layout: dict[str, int], count: int = 6) -> Path:
    rng = np.random.default_rng(0)
    for name, level in layout.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            pixels = (level + rng.integers(-9, 10, (8, 8))).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{k}.png")
    return root


def opened(root: Path) -> Dataset:
    return open_data(root, heldout=0.2, progress=False)


def sides(train: str, held: str) -> dict[str, int]:
    return {train: DARK, held: BRIGHT}


def both(train: str, held: str) -> dict[str, int]:
    """With a place for the class."""
    return {place.format(c): level for place, level in sides(train, held).items() for c in ("ill", "well")}


PLAIN = [
    sides("train", "dev"), sides("train", "holdout"), sides("train", "hold_out"), sides("trainset", "testset"),
    sides("training set", "test set"), sides("Train_Images", "Test_Images"), sides("images-train", "images-val"),
    sides("imagesTr", "imagesTs"), sides("trainval", "test"), sides("train", "eval_set"), sides("TRAINING", "Hold-Out"),
    {"train": DARK, "dev": BRIGHT, "test": BRIGHT}, {"train": DARK, "unlabelled": DARK, "valid": BRIGHT},
]  # fmt: skip
CLASSED = [
    both("train/{}", "test/{}"), both("{}/train", "{}/test"), both("a/b/{}/train2017", "a/b/{}/val2017"),
    both("data/train/{}", "data/Validation/{}"),
]  # fmt: skip
UNLIKE = [
    both("train/{}", "test/{}") | {"unsorted/x": DARK},
    {"train/ill": DARK, "train/well": DARK, "test": BRIGHT},
    both("train/animals/{}", "test/animals/{}"),
]


@pytest.mark.parametrize("layout", [*PLAIN, *CLASSED, *UNLIKE], ids=lambda layout: " ".join(layout)[:40])
def test_what_is_named_as_held_out_is_never_trained_on(tmp_path: Path, layout: dict[str, int]) -> None:
    dataset = opened(folders(tmp_path, layout))
    values = np.asarray(dataset.values)
    assert values[dataset.train_indices()].max() < 100
    assert values[dataset.heldout_indices()].min() > 100
    assert dataset.declared_split
    assert dataset.spec.classes == (("ill", "well") if layout in CLASSED else ())
    assert any(note.startswith("split taken from the folders ") for note in dataset.notes)


def test_words_that_are_no_side() -> None:
    for word in ("images", "data", "set", "positive test", "train_old", "x", "", "contest", "labelsTr x", "dataset"):
        assert split_word(word) is None, word


@pytest.mark.parametrize("layout", ["fold_{}", "fold{}/ill fold{}/well", "cv-{}", "Split {}"])
def test_folds_are_no_classes(tmp_path: Path, layout: str) -> None:
    parts = [layout] if "/" not in layout else layout.split()
    made = {part.format(k): 60 + 40 * ("well" in part) for part in parts for k in (1, 2, 3)}
    dataset = opened(folders(tmp_path, made))
    assert dataset.spec.classes == (("ill", "well") if "/" in layout else ())
    assert any("are parts of a cross-validation" in note for note in dataset.notes)


def test_a_side_that_becomes_a_class_is_told(tmp_path: Path) -> None:
    """Trains beside buses are a class; a folder of training beside another word may be none."""
    dataset = opened(folders(tmp_path, {"train": 50, "bus": 90, "car": 150}))
    assert dataset.spec.classes == ("bus", "car", "train")
    assert any("the folder 'train' is taken for a class" in note for note in dataset.notes)


ALIKE = [
    ("Dog", "dog"), ("cat", "cat "), ("1", "01"), ("2", "2.0"), ("caf\u00e9", "cafe\u0301"), ("\ufb01n", "fin"),
]  # fmt: skip


@pytest.mark.parametrize("names", ALIKE)
def test_classes_that_differ_in_writing_alone_are_told(tmp_path: Path, names: tuple[str, str]) -> None:
    dataset = opened(folders(tmp_path, {names[0]: 50, names[1]: 90, "other": 150}))
    assert set(dataset.spec.classes) == {*names, "other"}
    (told,) = [note for note in dataset.notes if "differ only in how they are written" in note]
    assert all(f"'{name}'" in told for name in names)


def test_groups_that_differ_in_writing_alone_are_told(tmp_path: Path) -> None:
    """One patient as 1, 01 and 1.0, on both sides of the split: nothing can know it, so it is said."""
    folders(tmp_path, {".": 50})
    rows = [f"{k}.png,{('1', '01', '1.0')[k % 3]},{('train', 'test', 'train')[k % 3]}" for k in range(6)]
    (tmp_path / "groups.csv").write_text("\n".join(["file,group,split", *rows]))
    assert any("groups '01' and '1' and '1.0' differ only" in note for note in opened(tmp_path).notes)
    (tmp_path / "groups.csv").write_text("\n".join(["file,group,split", *(row.replace("1.0", "01") for row in rows)]))
    with pytest.raises(DataError, match="group '01' is on both sides"):
        opened(tmp_path)


def test_classes_whose_names_are_no_unicode(tmp_path: Path) -> None:
    """Latin-1 bytes of an old archive: the name is escaped, and can be written down."""
    folders(tmp_path, {"new": 50, "other": 150})
    (tmp_path / "new").rename(tmp_path / "caf\udce9")
    assert opened(tmp_path).spec.classes == (r"caf\udce9", "other")


def test_labels_with_line_breaks_are_read_as_they_are_written(tmp_path: Path) -> None:
    """RFC 4180: a cell in quotes may hold line breaks; other signs that end lines somewhere (U+2028) are letters of a name."""
    folders(tmp_path, {".": 50})
    names = ("x\ny", "x y", "a\u2028b")
    rows = [f'{k}.png,"{names[k % 3]}"' for k in range(6)]
    (tmp_path / "labels.csv").write_bytes("\r\n".join(["file,label", *rows]).encode())
    assert opened(tmp_path).spec.classes == ("a\u2028b", "x\ny", "x y")
