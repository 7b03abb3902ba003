"""Features gathered in pieces: every set metric gives what it gives for the whole, in any order."""

from __future__ import annotations

import numpy as np
import pytest

from ganvas.errors import GanvasError
from ganvas.metrics import (
    Collected,
    collected,
    different_bins,
    frechet_distance,
    kernel_distance,
    precision_recall_density_coverage,
)


def gathered(*parts: np.ndarray) -> Collected:
    made = Collected()
    for part in parts:
        made.update(part)
    return made


def test_features_come_back_whole_and_in_order(monkeypatch) -> None:
    monkeypatch.setattr(collected, "_CHUNK", 40)  # ten rows of four
    x = np.random.default_rng(0).normal(size=(57, 4)).astype(np.float32)
    made = Collected()
    assert len(made) == 0 and made.features.shape == (0, 0)
    for start, stop in ((0, 3), (3, 10), (10, 11), (11, 40), (40, 57)):
        made.update(x[start:stop])
        assert len(made) == stop
    assert made.features.dtype == np.float32
    np.testing.assert_array_equal(made.features, x)
    x[:] = 0  # what was gathered is a copy
    assert made.features.any()


def test_states_travel_and_merge() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 5)), rng.normal(size=(20, 5))
    first, second = Collected.from_state(gathered(x).state()), Collected.from_state(gathered(y).state())
    first.merge(second)
    first.merge(Collected.from_state(Collected().state()))
    np.testing.assert_array_equal(first.features, np.concatenate([x, y]))
    np.testing.assert_array_equal(second.features, y)


def test_merging_in_another_order_gives_the_same_metric() -> None:
    rng = np.random.default_rng(2)
    parts = [rng.normal(size=(n, 6)) for n in (40, 25, 60, 35)]
    reference = rng.normal(0.3, 1, size=(110, 6))  # smaller, so that precision and recall draw from the parts
    there, back = gathered(*parts), gathered(*parts[::-1])
    whole = np.concatenate(parts)

    fd = [made.compute(frechet_distance, reference, features="mine") for made in (there, back)]
    assert fd[0].value == pytest.approx(fd[1].value, rel=1e-6)
    assert fd[0].high == pytest.approx(fd[1].high, rel=1e-6)
    assert fd[0].value == pytest.approx(frechet_distance(whole, reference).value, rel=1e-6)
    assert fd[0].protocol == "fd/mine/n=160/m=110/ref=given"
    kd = [made.compute(kernel_distance, gathered(reference)).value for made in (there, back)]
    assert kd == pytest.approx([kernel_distance(whole, reference).value] * 2, rel=1e-6)
    balls = [made.compute(precision_recall_density_coverage, reference) for made in (there, back)]
    assert balls[0] == balls[1]
    assert there.compute(different_bins, reference) == back.compute(different_bins, reference)


def test_unlike_features_do_not_mix() -> None:
    made = gathered(np.zeros((3, 4)))
    with pytest.raises(GanvasError, match="cannot join those of 4"):
        made.update(np.zeros((3, 5)))
    with pytest.raises(GanvasError, match="float32 cannot join"):
        made.update(np.zeros((3, 4), np.float32))
    with pytest.raises(GanvasError, match="NaN"):
        made.update(np.full((3, 4), np.nan))
    assert len(made) == 3


def test_images_are_gathered_too_and_give_what_the_whole_set_gives() -> None:
    from ganvas.metrics import checkerboard_energy, diversity_ms_ssim

    images = np.random.default_rng(0).integers(0, 256, (40, 24, 24, 1), dtype=np.uint8)
    real = np.random.default_rng(1).integers(0, 256, (30, 24, 24, 1), dtype=np.uint8)
    whole, first, second = Collected(), Collected(), Collected()
    whole.update(images)
    first.update(images[:11])
    second.update(images[11:])
    second.merge(Collected.from_state(first.state()))
    assert second.features.shape == images.shape and second.features.dtype == np.uint8
    for metric in (diversity_ms_ssim, checkerboard_energy):
        merged, at_once = second.compute(metric, real, intervals=False), whole.compute(metric, real, intervals=False)
        assert merged.value == pytest.approx(at_once.value, abs=1e-6)
    with pytest.raises(GanvasError, match="24x24x1"):
        whole.update(images[:, :20])
