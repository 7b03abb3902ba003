"""Looks at the kernel distance: what a series of looks says, and one look at a real system."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import toys
from ganvas.config import build_config
from ganvas.data.dataset import open_data
from ganvas.errors import GanvasError
from ganvas.health.quality import Quality
from ganvas.registry import load_system


@pytest.fixture(scope="module")
def quality() -> Quality:
    points = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    dataset = open_data(points, heldout=0.5, seed=0)
    system: Any = load_system("gan")[2]
    return Quality(system(dataset.spec, build_config(system.Config, toys.SMALL)).eval(), dataset, 0)


def told(quality: Quality, values: list[float], half: float = 0.01, nearer: float = 0.5) -> set[str]:
    """Everything said along looks with these values and intervals, taken at every 1000 samples."""
    quality.looks, found = [], set()
    for number, value in enumerate(values, 1):
        place: dict[str, Any] = {"round": number, "samples": 1000 * number, "seconds": float(number)}
        chance = 0.0 if nearer > 0.5 else 0.5
        quality.looks.append(
            {**place, "value": value, "low": value - half, "high": value + half, "nearer": nearer, "chance": chance}
        )
        found |= {kind for kind, _, _ in quality.findings()}
    return found


def test_progress_is_no_plateau(quality: Quality) -> None:
    falling = [1.0 * 0.8**n for n in range(20)]
    assert told(quality, falling[:12]) == set()
    assert told(quality, [1 - 0.04 * n for n in range(20)]) == set()


def test_a_plateau_is_told_and_the_best_is_known(quality: Quality) -> None:
    values = [1.0, 0.5, 0.2, 0.1, 0.102, 0.098, 0.101, 0.1, 0.103] + [0.1] * 9
    assert told(quality, values[:12]) == set(), "it has not lasted"
    assert told(quality, values) == {"plateau"}
    assert quality.best is not None
    assert quality.best["value"] == 0.098
    assert told(quality, values[:6]) == set(), "too few looks"


def test_slow_progress_within_the_noise_of_neighbours_is_no_plateau(quality: Quality) -> None:
    """Half the distance in twice the time: what radiographs showed for half an hour."""
    rng = np.random.default_rng(0)
    falling = [30 / (n + 5) * 0.01 + rng.normal(0, 0.002) for n in range(60)]
    assert told(quality, falling[:40], half=0.008) == set()
    flat = [0.02 + 0.1 * 0.7**n + rng.normal(0, 0.002) for n in range(60)]
    assert told(quality, flat, half=0.008) == {"plateau"}


def test_quality_that_stood_still_and_moved_on_is_no_plateau(quality: Quality) -> None:
    """What radiographs without augmentation showed: samples in thousands, no trend from 12 to 44, and a third less at 72."""
    values = [0.235, 0.151, 0.147, 0.143, 0.144, 0.145, 0.152, 0.151, 0.143, 0.142, 0.130, 0.145, 0.121]
    samples = [4, 12, 16, 20, 26, 29, 35, 41, 44, 51, 61, 63, 72]
    told(quality, values, half=0.018)
    for look, at in zip(quality.looks, samples, strict=True):
        look["samples"] = 1000 * at
    looks = quality.looks
    assert not any(quality.settled() for quality.looks in (looks[:n] for n in range(len(looks) + 1)))


def test_a_fall_is_told_when_it_lasts(quality: Quality) -> None:
    assert told(quality, [1.0, 0.3, 0.1, 0.9, 0.11]) == set()
    assert told(quality, [1.0, 0.3, 0.1, 0.9, 0.9]) == {"quality fell"}
    assert told(quality, [1.0, 0.3, 0.1, 0.9, 0.9], half=0.5) == set()


def test_memorisation_is_told_when_it_lasts(quality: Quality) -> None:
    assert told(quality, [0.1, 0.1], nearer=0.8) == {"memorisation"}
    assert told(quality, [0.1, 0.1], nearer=0.5) == set()


def test_copies_of_training_records_lie_nearer_to_them_and_unseen_records_do_not(quality: Quality) -> None:
    quality.looks, quality.count, quality._real = [], 100, None
    entry, drawn = quality.look(1, 1, 1.0)
    assert drawn.shape == (100, 2)
    assert entry["protocol"].endswith("/n=100/m=100/ref=heldout")
    assert entry["low"] < entry["value"] < entry["high"]
    assert quality._real is not None
    heldout, train = quality._real
    copied = quality._nearer(train, heldout, train)
    assert copied["nearer"] == 1.0
    assert copied["chance"] < 0.002
    unseen = np.random.default_rng(5).normal(size=(100, 2)) / heldout.std()
    assert quality._nearer(unseen.astype(np.float32), heldout, train)["chance"] > 0.002


def test_a_look_repeats_to_the_bit_and_its_state_goes_on(quality: Quality) -> None:
    quality.looks, quality.count, quality._real = [], 60, None
    first, again = quality.look(1, 1, 1.0)[0], quality.look(1, 1, 1.0)[0]
    assert first == again
    state = quality.state()
    quality.restore({"count": None, "looks": []})
    quality.restore(state)
    assert quality.looks == [first, again]


def test_what_cannot_be_judged_is_refused(quality: Quality) -> None:
    with pytest.raises(GanvasError, match="samples of this system are not judged"):
        Quality(SimpleNamespace(domains=lambda: ()), quality.dataset, 0)
    few = open_data(np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32), heldout=0.2, seed=0)
    with pytest.raises(GanvasError, match=r"10 held-out records are too few .*--heldout"):
        Quality(quality.system, few, 0)
