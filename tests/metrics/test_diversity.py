"""Perceptual distances: what a distance must be, the mean over all pairs by its definition, honest errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganvas.errors import GanvasError
from ganvas.metrics.diversity import pairwise_diversity, perceptual_distances


def blobs(count: int, seed: int = 0, channels: int | None = None, spread: float = 1.0) -> np.ndarray:
    """Smooth random images (N, 32, 32) or (N, 32, 32, C) uint8; `spread` says how far they are from their mean."""
    rng = np.random.default_rng(seed)
    shape = (count, 6, 6) if channels is None else (count, 6, 6, channels)
    coarse = np.clip(128 + spread * 50 * rng.normal(size=shape), 0, 255)
    return np.repeat(np.repeat(coarse, 6, axis=1), 6, axis=2)[:, :32, :32].astype(np.uint8)


def test_distance_is_zero_for_equal_images_symmetric_and_grows_with_the_change() -> None:
    images = blobs(3)
    noisy = [np.clip(images + np.random.default_rng(1).normal(0, sd, images.shape), 0, 255).astype(np.uint8) for sd in (4, 40)]
    np.testing.assert_allclose(perceptual_distances(images, images), 0, atol=1e-9)
    little, much = (perceptual_distances(images, other) for other in noisy)
    assert (little > 0).all() and (little < much).all() and (much < 4).all()
    np.testing.assert_allclose(perceptual_distances(noisy[1], images), much, rtol=1e-5)


def test_batches_and_forms_of_images_change_nothing() -> None:
    a, b = blobs(5, 2), blobs(5, 3)
    expected = perceptual_distances(a, b)
    np.testing.assert_allclose(perceptual_distances(a, b, batch=2), expected, atol=1e-5)
    colour = [np.repeat(x[..., None], 3, axis=3) for x in (a, b)]
    np.testing.assert_allclose(perceptual_distances(*colour), expected, atol=1e-5)
    tensors = [torch.from_numpy(x.astype(np.float32))[:, None] / 127.5 - 1 for x in (a, b)]
    np.testing.assert_allclose(perceptual_distances(*tensors), expected, atol=1e-4)


def test_mean_over_all_pairs_is_what_the_name_says() -> None:
    images = blobs(7, 4)
    first, second = np.triu_indices(7, 1)
    distances = perceptual_distances(images[first], images[second])
    measure = pairwise_diversity(images, batch=3)
    assert measure.value == pytest.approx(distances.mean(), rel=1e-4)
    assert measure.protocol == "lpips-like/effnet-lite0/160/pairs=all/within=set/n=7"
    # Delete-one jackknife, by its definition.
    table = np.zeros((7, 7))
    table[first, second] = table[second, first] = distances
    without = [np.delete(np.delete(table, k, 0), k, 1).sum() / 30 for k in range(7)]
    error = np.sqrt(6 * np.var(without))
    assert (measure.high - measure.low) / 2 == pytest.approx(1.96 * error, rel=1e-3)


def test_pairs_stay_within_classes_and_small_classes_are_left_out() -> None:
    images = np.concatenate([np.repeat(blobs(1, 5 + k), 4, axis=0) for k in range(2)] + [blobs(2, 8)])
    labels = [0] * 4 + [1] * 4 + [2] * 2
    measure = pairwise_diversity(images, labels=labels)
    assert measure.value == pytest.approx(0, abs=1e-5)
    assert measure.more["left_out"] == 2
    assert measure.protocol.endswith("within=class/n=8")
    assert pairwise_diversity(images).value > 0.1


def test_ratio_tells_a_narrow_set_from_an_equal_one() -> None:
    real = blobs(16, 10)
    narrow = pairwise_diversity(np.repeat(blobs(3, 11), 5, axis=0), real, size=32, reference="train")
    assert narrow.more["ratio_high"] < 1
    assert narrow.protocol == "lpips-like/effnet-lite0/160/at=32x32/pairs=all/within=set/n=15/m=16/ref=train"
    collapsed = pairwise_diversity(np.repeat(blobs(1, 14), 4, axis=0), real[:6])
    assert collapsed.value == pytest.approx(0, abs=1e-5)
    assert 0 <= collapsed.more["ratio"] < collapsed.more["ratio_high"] < 0.01 or collapsed.more["ratio_high"] == 0
    equal = pairwise_diversity(blobs(16, 12), real)
    assert equal.more["ratio_low"] < 1 < equal.more["ratio_high"]
    assert equal.more["real_low"] < equal.more["real"] < equal.more["real_high"]


def test_no_more_than_asked_for_are_looked_at_and_nothing_else_changes() -> None:
    images = blobs(12, 13)
    before = torch.random.get_rng_state()
    some = pairwise_diversity(images, most=6, seed=1)
    assert some.protocol.endswith("/n=6")
    assert some == pairwise_diversity(images, most=6, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.is_grad_enabled()


def test_bad_input_is_one_line() -> None:
    images = blobs(3)
    with pytest.raises(GanvasError, match="cannot be paired"):
        perceptual_distances(images, images[:2])
    with pytest.raises(GanvasError, match="needs 3 images"):
        pairwise_diversity(images[:2])
    with pytest.raises(GanvasError, match="one set only"):
        pairwise_diversity(images, images, labels=[0, 0, 0])
    with pytest.raises(GanvasError, match="2 labels for 3 images"):
        pairwise_diversity(images, labels=[0, 0])
    with pytest.raises(GanvasError, match="images must"):
        pairwise_diversity(images.astype(float))
