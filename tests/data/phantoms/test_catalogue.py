"""Asking for a phantom by text: names, variants, limits, and the same samples for the same request."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ganvas.data.phantoms import catalogue, is_phantom, make_phantom, truth
from ganvas.errors import DataError

EVERY = [name if name != "formula" else "formula:x**2" for name in catalogue()]


def test_catalogue_is_cheap() -> None:
    code = "import sys; from ganvas.data.phantoms import catalogue, is_phantom; catalogue(); is_phantom('chest'); "
    code += "print([m for m in ('numpy', 'torch', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("text", EVERY)
def test_same_request_same_samples_and_a_shorter_one_is_its_beginning(text: str) -> None:
    first, again, short = (make_phantom(text, n, 3, size=32) for n in (23, 23, 7))
    gaps = first.values.dtype.kind == "f"  # rows of a table may have some
    assert np.array_equal(first.values, again.values, equal_nan=gaps)
    assert np.array_equal(first.values[:7], short.values, equal_nan=gaps)
    assert not np.array_equal(first.values, make_phantom(text, 23, 4, size=32).values)
    assert first.facts[:7] == short.facts
    for name, mask in first.masks.items():
        assert np.array_equal(mask[:7], short.masks[name])
    if first.labels is not None:
        assert np.array_equal(first.labels[:7], short.labels)


@pytest.mark.parametrize("text", [name for name, phantom in catalogue().items() if phantom.kind == "image"])
@pytest.mark.parametrize(("size", "depth"), [((48, 32), 8), ((32, 56), 16), ((170, 170), 8)])
def test_images_come_in_the_shape_and_depth_asked_for(text: str, size: tuple[int, int], depth: int) -> None:
    made = make_phantom(text, 6, size=size, depth=depth)
    assert made.values.shape[:3] == (6, *size)
    assert made.values.shape[3] in (1, 3)
    assert made.values.dtype == (np.uint16 if depth == 16 else np.uint8)
    assert made.values.max() > 0.6 * (2**depth - 1)
    if depth == 16:
        assert len(np.unique(made.values)) > 1000
    assert (made.labels is None) == (not made.classes)
    if made.labels is not None:
        assert made.labels.dtype == np.int64
        assert set(made.labels.tolist()) <= set(range(len(made.classes)))
    assert len(made.facts) == 6
    json.dumps(made.facts)
    for mask in made.masks.values():
        assert mask.shape == (6, *size)
        assert mask.dtype == np.uint8
        assert set(np.unique(mask).tolist()) <= {0, 255}


@pytest.mark.parametrize("name", list(catalogue()))
def test_every_variant_is_served(name: str) -> None:
    for variant in catalogue()[name].variants:
        assert len(make_phantom(f"{name}:{variant}", 3, size=24).values) == 3


def test_progress_ends_at_what_was_asked_for() -> None:
    for text in EVERY:
        calls: list[tuple[int, int]] = []
        make_phantom(text, 41, size=16, progress=lambda made, asked, calls=calls: calls.append((made, asked)))
        assert calls[-1] == (41, 41)
        assert calls == sorted(calls)


def test_only_known_names_that_are_no_paths_are_phantoms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known = ("chest", "patterns:sine", "formula:1/0", "chest:nonsense", "formula:" + "x" * 5000)
    assert all(is_phantom(text) for text in known)
    assert not any(is_phantom(text) for text in ("", "chset", "scans/chest", "chest/", "Chest", "http://chest", "\0"))
    (tmp_path / "chest").mkdir()
    assert not is_phantom("chest")
    (tmp_path / "chest" / "config.yaml").write_text("ganvas: 0.1.0\n")
    assert not is_phantom("chest"), "a folder with such a file may be data"
    (tmp_path / "chest" / "checkpoints").mkdir()
    assert is_phantom("chest"), "a run that was called so is no data"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("chset", "did you mean 'chest'"),
        ("patterns:sin", "did you mean 'sine'"),
        ("chest:", "no variant ''"),
        ("gaussians:circle", "ring, grid"),
        ("formula", "formula:sin"),
        ("formula: ", "formula:sin"),
    ],
)
def test_unknown_names_and_variants_teach_the_right_one(text: str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        make_phantom(text, 5)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 0},
        {"n": -3},
        {"n": 2.0},
        {"n": True},
        {"seed": -1},
        {"seed": 0.5},
        {"size": 15},
        {"size": 4097},
        {"size": (64, 8)},
        {"size": (64, 64, 1)},
        {"size": "64"},
        {"depth": 12},
    ],
)
def test_numbers_out_of_range_are_refused_in_one_line(wrong: dict) -> None:
    with pytest.raises(DataError) as caught:
        make_phantom("chest", **({"n": 2} | wrong))
    assert "chest" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truth_never_repeats_the_samples_of_its_seed() -> None:
    for text in ("patterns:circle", "gaussians:grid", "formula:x**2"):
        made, true = make_phantom(text, 200, 0).values, truth(text, 200, 0)
        assert true.shape == made.shape
        assert true.dtype == np.float32
        assert not set(map(tuple, made.tolist())) & set(map(tuple, true.tolist()))
    with pytest.raises(DataError, match="no true points"):
        truth("chest", 5)
