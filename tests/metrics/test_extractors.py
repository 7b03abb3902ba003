"""Extractors: one protocol, the same features whatever the batch, a classifier that learns and is found again."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ganvas.errors import DataError, GanvasError, MissingExtra
from ganvas.metrics import extractors
from ganvas.metrics.extractors import (
    ClassifyingExtractor,
    Extractor,
    InceptionExtractor,
    PixelExtractor,
    find_extractor,
    train_classifier,
)
from ganvas.metrics.features import image_features


def shapes(count: int, seed: int = 0, size: tuple[int, int] = (32, 28)) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, 1) uint8 of a bright bar, lying (0), standing (1), or none (2), in noise; and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.normal(90, 25, (count, *size))
    for image, label in zip(images, labels, strict=True):
        at = int(rng.integers(6, min(size) - 8))
        if label == 0:
            image[at : at + 3] += 90
        elif label == 1:
            image[:, at : at + 3] += 90
    return np.rint(images.clip(0, 255)).astype(np.uint8)[..., None], labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("extractors")


@pytest.fixture(scope="module")
def classifier(folder: Path) -> extractors.ClassifierExtractor:
    return train_classifier(*shapes(150), cache=folder)


# All


def test_each_keeps_to_the_protocol(classifier: extractors.ClassifierExtractor) -> None:
    images, _ = shapes(5, 1)
    pixels = find_extractor("pixels", real=shapes(80, 2)[0])
    for extractor in (find_extractor("effnet", size=32), pixels, classifier):
        assert isinstance(extractor, Extractor)
        assert extractor.is_inception is False
        before = torch.random.get_rng_state()
        made = extractor.features(images)
        assert made.shape == (5, extractor.dimensions) and made.dtype == np.float32
        np.testing.assert_allclose(extractor.features(images[2:3])[0], made[2], atol=1e-4)
        np.testing.assert_array_equal(extractor.features(images), made)
        assert torch.equal(torch.random.get_rng_state(), before)
    assert isinstance(classifier, ClassifyingExtractor) and not isinstance(pixels, ClassifyingExtractor)


def test_the_default_is_image_features_by_its_name() -> None:
    images, _ = shapes(3)
    extractor = find_extractor("effnet", size=(24, 20), batch=2)
    assert extractor.name == "effnet-lite0/160/at=24x20"
    np.testing.assert_allclose(extractor.features(images), image_features(images, size=(24, 20)), atol=1e-4)


def test_unknown_names_and_missing_data_are_one_line() -> None:
    images, labels = shapes(6)
    for wrong, words in [
        (lambda: find_extractor("efnet"), "did you mean 'effnet'"),
        (lambda: find_extractor("pixels"), "real="),
        (lambda: find_extractor("classifier", real=images), "labels="),
        (lambda: find_extractor("inception", inception="nowhere.pth"), "nowhere.pth"),
        (lambda: PixelExtractor(images[:1]), "2 records or more"),
        (lambda: PixelExtractor(np.full((4, 2), np.nan)), "NaN"),
        (lambda: PixelExtractor(np.eye(4)).features(np.eye(3)), "3 numbers"),
        (lambda: train_classifier(images, labels * 0), "2 classes"),
        (lambda: train_classifier(images, labels[:5]), "5 labels"),
        (lambda: train_classifier(images, [0, 0, 0, 1, 1, 2]), "class 2 has 1 image"),
    ]:
        with pytest.raises(GanvasError, match=words):
            wrong()


# Pixels


def test_small_vectors_are_standardised_and_constants_only_centred() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 3)) * [1, 50, 0] + [2, -7, 3]
    extractor = PixelExtractor(real)
    made = extractor.features(real)
    np.testing.assert_allclose(made.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(made.std(axis=0), [1, 1, 0], atol=1e-5)
    assert extractor.name.startswith("raw-") and extractor.dimensions == 3
    np.testing.assert_array_equal(extractor.features(torch.from_numpy(real)), made)


def test_large_vectors_keep_their_distances_whatever_their_scale_and_what_is_unlike_all_is_far() -> None:
    rng = np.random.default_rng(1)
    real = rng.normal(size=(300, 20)) @ rng.normal(size=(20, 1000))  # only 20 directions are in use
    extractor = PixelExtractor(real)
    made = extractor.features(real).astype(np.float64)
    assert extractor.dimensions == 128 and extractor.name.startswith("random128-")
    assert (made**2).mean() == pytest.approx(1, rel=0.1)
    np.testing.assert_allclose(PixelExtractor(1000 * real).features(1000 * real), made, atol=1e-4)
    first, second = np.triu_indices(100, 1)
    distances = [np.sqrt(((x[first] - x[second]) ** 2).sum(axis=1)) for x in (real, made)]
    ratio = distances[1] / distances[0]
    assert np.abs(ratio / np.median(ratio) - 1).mean() < 0.1
    # Noise of the variance of real records, but along all 1000 directions: in 64 components of the real ones it was nearly 0.
    noise = extractor.features(rng.normal(size=(100, 1000)) * real.std())
    nearest = np.sqrt(((noise[:, None] - made[None]) ** 2).sum(axis=2)).min(axis=1)
    among = np.sqrt(((made[:100, None] - made[None, 100:]) ** 2).sum(axis=2)).min(axis=1)
    assert np.median(nearest) > 1.3 * np.median(among)
    assert PixelExtractor(real[:3]).dimensions == 128
    assert np.isfinite(PixelExtractor(np.ones((5, 100))).features(np.ones((5, 100)))).all()


def test_the_name_tells_the_fit_and_the_size() -> None:
    real = np.random.default_rng(2).normal(size=(50, 4))
    assert PixelExtractor(real).name == PixelExtractor(real.copy()).name != PixelExtractor(real[:49]).name
    images, _ = shapes(70)
    small = PixelExtractor(images, size=8)
    assert small.dimensions == 64 and small.name.endswith("/at=8x8")
    half = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1
    np.testing.assert_allclose(small.features(half), small.features(images), atol=1e-3)


# The classifier


def test_it_learns_and_says_how_well_on_images_it_never_saw(classifier: extractors.ClassifierExtractor) -> None:
    images, labels = shapes(120, 7)
    said = classifier.probabilities(images)
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-5)
    accuracy = (said.argmax(axis=1) == labels).mean()
    assert accuracy > 0.85
    assert classifier.facts["accuracy"] == pytest.approx(accuracy, abs=0.15)
    assert classifier.facts["held_out"] + classifier.facts["trained_on"] == 150
    assert 0.15 < classifier.facts["held_out"] / 150 < 0.25
    assert classifier.classes == ("0", "1", "2")


def test_it_is_found_again_and_anything_else_is_not(
    classifier: extractors.ClassifierExtractor, folder: Path, monkeypatch
) -> None:
    images, labels = shapes(150)
    (weights,) = (folder / "classifiers").glob("*.safetensors")
    assert '"accuracy"' in weights.with_suffix(".json").read_text()
    monkeypatch.setattr(extractors, "_trained", lambda *_: pytest.fail("trained again"))
    again = train_classifier(images.copy(), labels.copy(), cache=folder)
    assert again.name == classifier.name and again.facts == classifier.facts
    np.testing.assert_array_equal(again.features(images[:4]), classifier.features(images[:4]))
    brighter = images + 1
    for changed in [
        lambda: train_classifier(images, labels, cache=folder, seed=1),
        lambda: train_classifier(images, labels, cache=folder, size=16),
        lambda: train_classifier(images, labels, cache=folder, groups=labels * 0 + np.arange(150) // 2),
        lambda: train_classifier(images, labels[::-1], cache=folder),
        lambda: train_classifier(brighter, labels, cache=folder),
    ]:
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            changed()


def test_a_damaged_one_is_trained_anew_to_the_same_weights(
    classifier: extractors.ClassifierExtractor, folder: Path, tmp_path: Path
) -> None:
    (file,) = (folder / "classifiers").glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    (tmp_path / "classifiers").mkdir()
    (tmp_path / "classifiers" / file.name).write_bytes(content)
    notes: list[str] = []
    before = torch.random.get_rng_state()
    with torch.no_grad():
        again = train_classifier(*shapes(150), cache=tmp_path, notes=notes)
    assert again.name == classifier.name
    assert len(notes) == 1 and "damaged" in notes[0]
    assert torch.equal(torch.random.get_rng_state(), before)
    train_classifier(*shapes(150), cache=tmp_path, notes=notes)
    assert len(notes) == 1


def test_groups_stay_on_one_side(monkeypatch) -> None:
    images, labels = shapes(60)
    groups = np.arange(60) // 6
    seen = {}

    def stop(given: np.ndarray, kinds: np.ndarray, share: float, seed: int) -> np.ndarray:
        seen.update(groups=given, labels=kinds)
        raise KeyboardInterrupt

    monkeypatch.setattr("ganvas.store.splits.hold_out", stop)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(images, labels, groups=[f"patient {g}" for g in groups])
    assert len(np.unique(seen["groups"])) == 10
    assert all(len(np.unique(seen["groups"][groups == g])) == 1 for g in range(10))
    np.testing.assert_array_equal(seen["labels"], labels)


def test_other_channels_are_refused(classifier: extractors.ClassifierExtractor) -> None:
    with pytest.raises(GanvasError, match="3 channels"):
        classifier.features(np.zeros((2, 32, 28, 3), np.uint8))


# Inception


def test_without_weights_it_says_what_to_give(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(GanvasError, match="inception=PATH"):
        InceptionExtractor()


def test_without_torch_fidelity_it_is_the_extra_that_is_missing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.delitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", raising=False)
    file = tmp_path / "weights.pth"
    file.write_bytes(b"weights")
    with pytest.raises(MissingExtra, match=r"ganvas\[fid\]"):
        InceptionExtractor(file)


def test_a_wrong_file_is_refused_before_anything_in_it_runs(tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity", exc_type=ImportError)
    file = tmp_path / "weights.pth"
    torch.save({"layer": torch.zeros(2)}, file)
    with pytest.raises(DataError, match=r"weights\.pth"):
        InceptionExtractor(file)
