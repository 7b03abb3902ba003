"""The held-out part is a sample of the data: twins together, and in proportion to classes and to the sizes of groups."""

from __future__ import annotations

import numpy as np
import pytest

from ganvas.store.splits import hold_out

SEEDS = range(5)


def full_of_twins(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(records (N, 8), groups, labels): a third in groups of 2 to 24, of which each lies in a place of its own, away from the
    single ones; the second class has more of them."""
    rng = np.random.default_rng(seed)
    sizes = np.concatenate([np.ones(900, int), rng.choice([2, 2, 2, 3, 3, 4, 6, 6, 12], 120), [18, 18, 24]])
    groups = np.repeat(np.arange(len(sizes)), sizes)
    twin = sizes[groups] > 1
    records = rng.standard_normal((len(sizes), 8))[groups] + 0.1 * rng.standard_normal((len(groups), 8))
    records[twin] += 2.0
    labels = np.where(rng.random(len(sizes)) < np.where(sizes > 1, 0.7, 0.4), 1, 0)[groups]
    mixed = np.flatnonzero(sizes == 4)[:5]  # groups of two classes, as one picture in two houses
    labels[np.isin(groups, mixed)] = np.tile([0, 1], 2 * len(mixed))
    return records, groups, labels


@pytest.mark.parametrize("seed", SEEDS)
def test_the_held_out_part_is_like_the_rest_where_there_are_many_twins(seed: int) -> None:
    records, groups, labels = full_of_twins()
    out = hold_out(groups, labels, 0.2, seed)
    assert not np.isin(groups[out], groups[~out]).any(), "no group is divided"
    sizes = np.bincount(groups)[groups]
    twin = sizes > 1
    assert abs(twin[out].mean() - twin.mean()) < 0.03
    assert abs(out.mean() - 0.2) < 0.005
    for label in (0, 1):
        assert abs(out[labels == label].mean() - 0.2) < 0.02
    for low, high in ((1, 1), (2, 2), (3, 4), (6, 6), (12, 24)):
        own = (sizes >= low) & (sizes <= high)
        assert abs(out[own].sum() - 0.2 * own.sum()) <= max(12, 0.05 * own.sum()), (low, high)
    apart = np.abs(records[~out].mean(axis=0) - records[out].mean(axis=0)).mean()
    # As it was: of groups of several records first, until the share was full.
    order = np.random.default_rng(seed).permutation(np.unique(groups[twin]))
    before = np.isin(groups, order[np.cumsum(np.bincount(groups)[order]) <= 0.2 * len(groups)])
    unlike = np.abs(records[~before].mean(axis=0) - records[before].mean(axis=0)).mean()
    assert apart < 0.3 < 1.0 < unlike


def test_every_size_of_group_has_its_chance() -> None:
    _, groups, labels = full_of_twins()
    largest = np.flatnonzero(np.bincount(groups)[groups] == 24)[0]
    held = [hold_out(groups, labels, 0.2, seed)[largest] for seed in range(100)]
    assert 8 <= sum(held) <= 35, "the one group of 24 is held out about as often as others"


def test_many_small_classes_share_what_rounding_leaves() -> None:
    labels = np.repeat(np.arange(30), 3)
    out = hold_out(np.arange(90), labels, 0.2, 0)
    assert out.sum() == 18 and np.bincount(labels[out], minlength=30).max() == 1
    pairs = np.concatenate([np.repeat(np.arange(60), 2), 60 + np.arange(300)])
    labels = np.concatenate([np.repeat(np.arange(60) % 30, 2), np.arange(300) % 30])
    for seed in SEEDS:  # two pairs a class: in none of them is one due, in all together twelve are
        out = hold_out(pairs, labels, 0.2, seed)
        assert 10 <= len(np.unique(pairs[out][pairs[out] < 60])) <= 14
        assert 78 <= out.sum() <= 90 and np.bincount(labels[out]).max() <= 3


def test_a_group_larger_than_half_of_what_is_wanted_is_held_out_only_where_there_is_nothing_else() -> None:
    chain = np.concatenate([np.zeros(60, int), 1 + np.arange(240)])
    for seed in SEEDS:
        out = hold_out(chain, None, 0.2, seed)
        assert not out[:60].any() and out.sum() == 60
        assert hold_out(np.repeat(np.arange(5), 10), None, 0.2, seed).sum() == 10  # five patients: one of them
        assert hold_out(np.repeat(np.arange(10), 10), None, 0.2, seed).sum() == 20


def test_a_seed_gives_the_same_part_and_another_another() -> None:
    _, groups, labels = full_of_twins()
    first, again, other = (hold_out(groups, labels, 0.2, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
