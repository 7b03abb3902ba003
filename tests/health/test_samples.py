"""What a few samples tell: collapse, repetition, players that do not move, and data without variety."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ganvas.game import Feed
from ganvas.health.samples import Stillness, Variety, data_findings, distances
from ganvas.kinds.image.spec import ImageSpec
from ganvas.store.records import Dataset, Field


def records(count: int = 64, seed: int = 0, spread: float = 1.0) -> np.ndarray:
    return (spread * np.random.default_rng(seed).standard_normal((count, 1, 12, 12))).astype(np.float32)


def seen(samples: list[np.ndarray], real: np.ndarray | None = None, tokens: bool = False) -> set[str]:
    variety = Variety(records(seed=99) if real is None else real, tokens)
    looks = enumerate(samples)
    return {kind for n, part in looks for kind, _, _ in variety.compare(part, 300 + 20 * n, 0.3)}


def test_distances_are_those_of_the_definition() -> None:
    x = np.random.default_rng(0).normal(100, 1, (5, 7))
    by_hand = np.sqrt(np.square(x[:, None] - x[None]).mean(axis=2))
    assert distances(x, False) == pytest.approx(by_hand, abs=1e-6)  # squares are subtracted
    symbols = np.array([[1, 2, 3, 4], [1, 2, 0, 0]])
    assert distances(symbols, True).tolist() == [[0, 0.5], [0.5, 0]]


def test_varied_samples_raise_nothing() -> None:
    assert seen([records(seed=n, spread=0.6) for n in range(5)]) == set()


def test_a_collapse_is_told_when_it_lasts() -> None:
    same = np.repeat(records(1), 64, axis=0) + 0.01 * records(seed=3)
    assert seen([same] * 3) == {"collapse"}
    assert seen([same, records(seed=1), same, same]) == set()


def test_repeated_samples_are_told() -> None:
    few = np.tile(records(8), (8, 1, 1, 1)) + 0.005 * records(seed=5)
    assert seen([few] * 3) == {"repeated samples"}
    assert seen([few] * 3, real=few) == set()  # the real ones repeat as well
    points = np.random.default_rng(1).normal(size=(64, 2))
    assert seen([points] * 3, real=np.random.default_rng(2).normal(size=(64, 2))) == set()


def test_symbols_are_compared_by_place() -> None:
    rng = np.random.default_rng(0)
    real = rng.integers(0, 9, (64, 12))
    assert seen([rng.integers(0, 9, (64, 12))] * 3, real=real, tokens=True) == set()
    assert "collapse" in seen([np.repeat(real[:1], 64, axis=0)] * 3, real=real, tokens=True)


def test_an_untrained_generator_is_given_time() -> None:
    variety, grey = Variety(records(seed=9), False), records(seed=3, spread=0.02)
    assert [variety.compare(grey, 10 * n, 0.01 * n) for n in range(9)] == [[]] * 9


def test_samples_that_are_one_and_the_same_are_told_early() -> None:
    variety, same = Variety(records(seed=9), False), np.zeros((64, 1, 12, 12), np.float32)
    said = [variety.compare(same, 10 * n, 0.01 * n) for n in range(4)]
    assert [bool(x) for x in said] == [False, False, True, True]


def test_samples_far_from_real_ones_differ() -> None:
    for samples, differs in ((records(seed=4), False), (records(seed=4) + 1.0, True)):
        variety = Variety(records(seed=9), False)
        for n in range(3):
            variety.compare(samples, n, 0.0)
        assert variety.differ() is differs


def test_a_player_that_moves_without_changing_its_weights() -> None:
    stillness = Stillness()
    both = {"generator", "discriminator"}
    said = []
    for n in range(6):
        marks = {"generator": [1.0, 2.0], "discriminator": [float(n), 1.0]}
        said.append({kind + seen[:9] for kind, seen, _ in stillness.compare(marks, both, 50 * n, 0.1)})
    assert said[:3] == [set()] * 3
    assert said[-1] == {"player does not movegenerator"}


def test_a_player_without_a_turn_may_rest() -> None:
    stillness = Stillness()
    for n in range(9):
        assert stillness.compare({"generator": [1.0]}, set(), 50 * n, 0.1) == []


@pytest.mark.parametrize(("different", "kind"), [(1, {"constant data"}), (20, {"repeated data"}), (100, set()), (200, set())])
def test_data_without_variety(different: int, kind: set[str]) -> None:
    values = np.random.default_rng(0).integers(0, 256, (different, 6, 6, 1), dtype=np.uint8)
    values = values[np.arange(200) % different]
    system: Any = SimpleNamespace(feeds=lambda: {"data": Feed()})
    every, spec = np.arange(200), ImageSpec(1, 6, 6)

    def found(fields: dict[str, Field]) -> set[str]:
        return {kind for kind, _, _ in data_findings(system, Dataset(fields, None, every, every < 0, "some", ""), 0)}

    assert found({"real": Field(spec, values)}) == kind
    photos = np.random.default_rng(1).integers(0, 256, (200, 6, 6, 1), dtype=np.uint8)
    paired = found({"garment": Field(spec, values), "photo": Field(spec, photos)})
    assert paired == kind - {"repeated data"}, "one garment on many photographs is no copy"
