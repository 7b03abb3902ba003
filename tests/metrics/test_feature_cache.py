"""Kept features: found again by content, never taken for others, safe when written twice or damaged."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ganvas.metrics.feature_cache import cached_features, content_key


class Means:
    """An extractor whose features are easily known: mean and standard deviation of each image. Counts its calls."""

    is_inception = False
    dimensions = 2

    def __init__(self, name: str = "means") -> None:
        self.name = name
        self.calls = 0

    def features(self, images: np.ndarray) -> np.ndarray:
        self.calls += 1
        flat = np.asarray(images, np.float64).reshape(len(images), -1)
        return np.stack([flat.mean(axis=1), flat.std(axis=1)], axis=1).astype(np.float32)


IMAGES = np.random.default_rng(0).integers(0, 256, (9, 8, 7, 3)).astype(np.uint8)


def test_second_time_comes_from_disk(tmp_path: Path) -> None:
    first, second = Means(), Means()
    made = cached_features(IMAGES, first, cache=tmp_path)
    again = cached_features(IMAGES.copy(), second, cache=tmp_path)
    assert (first.calls, second.calls) == (1, 0)
    np.testing.assert_array_equal(made, again)
    np.testing.assert_array_equal(made, Means().features(IMAGES))
    (file,) = (tmp_path / "features").iterdir()
    np.testing.assert_array_equal(np.load(file), made)  # an ordinary .npy file to others


def test_other_content_shape_type_or_extractor_is_another_file(tmp_path: Path) -> None:
    changed = IMAGES.copy()
    changed[-1, -1, -1, -1] ^= 1
    forms = [IMAGES, changed, IMAGES[:8], IMAGES.transpose(0, 2, 1, 3), IMAGES.astype(np.uint16)]
    for form in forms:
        np.testing.assert_array_equal(cached_features(form, Means(), cache=tmp_path), Means().features(form))
    cached_features(IMAGES, Means("other"), cache=tmp_path)
    assert len(list((tmp_path / "features").iterdir())) == len(forms) + 1


def test_a_given_key_stands_for_the_content(tmp_path: Path) -> None:
    extractor = Means()
    cached_features(IMAGES, extractor, key="data set 7, train", cache=tmp_path)
    cached_features(IMAGES, extractor, key="data set 7, train", cache=tmp_path)
    assert extractor.calls == 1
    notes: list[str] = []
    fewer = cached_features(IMAGES[:4], extractor, key="data set 7, train", cache=tmp_path, notes=notes)
    assert len(fewer) == 4 and "was `key` right" in notes[0]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_file_is_made_anew_and_said(tmp_path: Path, damage: str) -> None:
    made = cached_features(IMAGES, Means(), cache=tmp_path)
    (file,) = (tmp_path / "features").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes({"cut": content[:-9], "flip": content, "empty": b"", "text": b"no features at all"}[damage])
    notes: list[str] = []
    extractor = Means()
    np.testing.assert_array_equal(cached_features(IMAGES, extractor, cache=tmp_path, notes=notes), made)
    assert extractor.calls == 1 and len(notes) == 1 and "damaged" in notes[0] and str(file) in notes[0]
    assert cached_features(IMAGES, extractor, cache=tmp_path, notes=notes) is not None
    assert extractor.calls == 1 and len(notes) == 1


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "features").write_text("a file in the way")
    with pytest.warns(UserWarning, match="GANVAS_CACHE"):
        made = cached_features(IMAGES, Means(), cache=tmp_path)
    np.testing.assert_array_equal(made, Means().features(IMAGES))


def _work(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(30):
        time.sleep(float(rng.random()) * 1e-3)
        for file in list((folder / "features").glob("*.npy")):
            file.unlink(missing_ok=True)
        notes: list[str] = []
        made = cached_features(IMAGES, Means(), cache=folder, notes=notes)
        assert not notes
        np.testing.assert_array_equal(made, Means().features(IMAGES))


def test_two_processes_at_once_do_not_meet_half_a_file(tmp_path: Path) -> None:
    workers = [multiprocessing.get_context("fork").Process(target=_work, args=(tmp_path, seed)) for seed in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert not list((tmp_path / "features").glob(".*"))


def test_what_nobody_reads_is_removed_and_what_is_read_stays(tmp_path: Path) -> None:
    cached_features(IMAGES, Means("unread"), cache=tmp_path)
    cached_features(IMAGES, Means("read"), cache=tmp_path)
    long_ago = time.time() - 100 * 86400
    for file in (tmp_path / "features").iterdir():
        os.utime(file, (long_ago, long_ago))
    extractor = Means("read")
    cached_features(IMAGES, extractor, cache=tmp_path)
    cached_features(IMAGES, Means("new"), cache=tmp_path)
    assert extractor.calls == 0
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_content_key_reads_values_however_they_are_held(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    assert content_key(np.load(tmp_path / "images.npy", mmap_mode="r")) == content_key(IMAGES)
    assert content_key(torch.from_numpy(IMAGES)) == content_key(IMAGES)
    assert content_key(np.asfortranarray(IMAGES)) == content_key(IMAGES)
    assert content_key(IMAGES[:0]) != content_key(IMAGES)


def test_a_measure_is_made_once_for_the_same_content(tmp_path: Path) -> None:
    from ganvas.metrics import Measure
    from ganvas.metrics.feature_cache import cached_measure

    calls = []

    def make() -> Measure:
        calls.append(1)
        return Measure(0.5, "p/n=3", 0.4, 0.6, {"ratio": 1.25})

    images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    first = cached_measure(make, ["x", images], cache=tmp_path)
    assert cached_measure(make, ["x", images.copy()], cache=tmp_path) == first == make()
    assert len(calls) == 2
    assert cached_measure(make, ["x", images + 1], cache=tmp_path) == first and len(calls) == 3
    for file in (tmp_path / "measures").glob("*.json"):
        file.write_text("{")
    assert cached_measure(make, ["x", images], cache=tmp_path) == first and len(calls) == 4
