"""The audit on records whose truth is known: planted copies, unseen records, and closed forms of its tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import hypergeom

from ganvas.errors import GanvasError
from ganvas.metrics._nearest import Space
from ganvas.metrics._same import Same
from ganvas.metrics.memorisation import (
    _near_copies,
    audit,
    authenticity,
    data_copying,
    dcr_share,
    design_effect,
    feature_distances,
    membership_inference,
    memberships,
    nearest_ratio,
    pixel_search,
    tail_excess,
)


def records(count: int, seed: int, dimensions: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)


def pictures(count: int, seed: int, side: int = 32) -> np.ndarray:
    """Smooth random pictures, as unlike each other as scans of different people are."""
    rng = np.random.default_rng(seed)
    waves = np.arange(1, 5)
    out = np.zeros((count, side, side))
    y, x = np.mgrid[:side, :side] / side
    for k in waves:
        for j in waves:
            phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
            out += rng.standard_normal((count, 1, 1)) / (k + j) * np.cos(2 * np.pi * (k * x + j * y) + phase)
    low, high = out.min(axis=(1, 2), keepdims=True), out.max(axis=(1, 2), keepdims=True)
    return np.round(255 * (out - low) / (high - low)).astype(np.uint8)[..., None]


def swaps(t: int, h: int, count: int = 400) -> list[np.ndarray]:
    return list(memberships(np.arange(t + h), t, None, count, np.random.default_rng(0)))


def test_unseen_records_are_clear_and_copies_are_found() -> None:
    train, held = records(300, 0), records(100, 1)
    assert audit(records(200, 2), train, held).verdict == "clear"
    planted = records(200, 2)
    planted[:20] = train[:20] + 0.01 * records(20, 3)
    found = audit(planted, train, held)
    assert found.verdict == "copies"
    assert found.measures["near_copies"].more["single"] >= 15
    assert found.measures["near_copies"].more["exact"] == 0, "under noise they are near copies, not exact ones"
    assert {pair.record for pair in found.pairs} <= set(range(20)) and all(p.record == p.sample for p in found.pairs)
    assert len(found.pairs) == 20 and found.pairs[0].ratio <= found.pairs[-1].ratio


@pytest.mark.parametrize(("least", "counted"), [(0.2, 2), (0.05, 1), (0.024, 0)])
def test_a_single_match_counts_where_unseen_records_stay_far_from_it(least: float, counted: int) -> None:
    """Drums of one kit match at a ratio of 0.017, where the nearest unseen ones reach 0.024: no sign of a copy."""
    ratio = np.array([0.5, 0.015, 0.018])
    null = np.concatenate([[least], np.linspace(0.3, 0.9, 199)])
    space = Space("features", ratio, ratio, np.arange(3), null, np.arange(200))
    none = np.zeros(3, bool)
    found = _near_copies(none, [space], "test", Same(none, none, np.zeros(1, bool), none), "nothing")
    assert found.more["single"] == counted
    assert found.more["single_null"] == 0


def test_an_overfitted_generator_without_single_copies_is_suspect() -> None:
    # Samples spread around training records as widely as half of the distance between records: no sample is a near copy.
    train, held = records(400, 0, 4), records(400, 1, 4)
    made = np.repeat(train, 3, axis=0) + 0.25 * records(1200, 2, 4)
    found = audit(made, train, held)
    assert found.verdict in ("suspect", "copies")
    assert found.measures["dcr_share"].value > 0.6
    assert found.measures["mia_auc"].low > 0.5


def test_samples_that_all_cling_to_single_records_are_suspect_even_where_the_data_has_twins() -> None:
    # A fifth of the real records has a twin of another group, so near copies prove nothing; but all samples cling.
    pool = records(300, 0)
    train = np.concatenate([pool[:200], pool[:40] + 0.05 * records(40, 1)])
    held = np.concatenate([pool[200:280], pool[40:60] + 0.05 * records(20, 2)])
    found = audit(train[60:200] + 0.25 * records(140, 3), train, held)
    assert found.verdict in ("suspect", "copies") and found.tests["nearness_features"] < 3e-4


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_promised() -> None:
    verdicts = [audit(records(60, 3 * s), records(120, 3 * s + 1), records(60, 3 * s + 2), seed=s).verdict for s in range(40)]
    assert verdicts.count("clear") >= 39


def test_blurred_samples_near_everything_are_no_copies() -> None:
    train, held = records(300, 0), records(100, 1)
    found = audit(0.2 * records(200, 2), train, held)  # nearer to the training data than any real record is
    assert found.verdict == "clear"


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[:, :, ::-1],
        lambda x: np.roll(x, (2, -2), (1, 2)),
        lambda x: x // 2 + 60,
        lambda x: np.clip(x + 25 * np.random.default_rng(0).standard_normal(x.shape), 0, 255).astype(np.uint8),
    ],
    ids=["mirrored", "shifted", "paler", "noisy"],
)
def test_changed_copies_are_found_on_pixels(change) -> None:
    train, held, fresh = pictures(200, 0), pictures(80, 1), pictures(100, 2)
    groups = np.arange(280)
    made = fresh.copy()
    made[:30] = change(train[:30])
    space, _ = pixel_search(made, train, held, groups)
    assert (space.nearest[:30] == np.arange(30)).mean() > 0.9
    assert tail_excess(space.ratio, space.null) < 1e-6
    alone, _ = pixel_search(fresh, train, held, groups)
    assert tail_excess(alone.ratio, alone.null) > 0.01


def test_near_twins_in_the_real_data_are_no_alarm() -> None:
    # A tenth of all real records has a near twin of another group in the training data: then so may the samples.
    pool = records(360, 0)
    twin, other = pool + 0.01 * records(360, 1), pool + 0.01 * records(360, 2)
    train = np.concatenate([pool[:200], twin[:36]])
    held, made = np.concatenate([pool[200:272], other[:8]]), np.concatenate([pool[272:344], other[8:16]])
    found = audit(made, train, held)
    assert found.verdict == "clear" and not found.notes
    assert found.overlooked[0].startswith("fewer than ")


def test_exact_copies_are_never_clear_though_the_held_out_part_has_some() -> None:
    # Ten records of the held-out part are training records too (velocity layers of a drum): they are no unseen ones.
    train, held, made = records(200, 0), records(80, 1), records(200, 2)
    held[:10], made[:4] = train[50:60], train[:4]
    found = audit(made, train, held)
    near = found.measures["near_copies"].more
    assert found.verdict != "clear" and (near["exact"], near["also_heldout"]) == (4, 0)
    assert any("10 of 80 held-out records are twins of training records" in note for note in found.notes)
    assert found.measures["dcr_share"].protocol.endswith("heldout=70")
    also = records(200, 2)
    also[:4] = train[50:54]  # of which the held-out part has copies: nothing says where they are from
    found = audit(also, train, held)
    assert found.measures["near_copies"].more["also_heldout"] == 4
    one = records(200, 2)
    one[0] = train[0]
    found = audit(one, train, records(80, 1))
    assert found.verdict == "suspect" and "1 of 200 samples are a training record up to rounding" in found.reason
    with pytest.raises(GanvasError, match="12 are left, the audit needs 20; hold out what is not trained on"):
        audit(made, train, np.concatenate([train[:20], held[10:22]]))


def test_records_decide_what_is_exact_and_blank_ones_are_not() -> None:
    train, held, made = records(60, 0), records(40, 1), records(30, 2)
    made[:3] = train[:3]
    rows = [np.arange(len(part) * 20, dtype=np.float64).reshape(-1, 20) + 1e6 * k for k, part in enumerate((made, train, held))]
    assert audit(made, train, held, records=tuple(rows)).measures["near_copies"].more["exact"] == 0
    rows[0][:3] = rows[1][:3] * (1 + 1e-7)
    assert audit(made, train, held, records=tuple(rows)).measures["near_copies"].more["exact"] == 3
    rows[0][0] = rows[1][0] = 0.0
    assert audit(made, train, held, records=tuple(rows)).measures["near_copies"].more["exact"] == 2


def test_the_least_number_of_copies_that_is_seen_grows_with_a_small_null() -> None:
    from ganvas.metrics.memorisation import least_seen

    assert least_seen(200, 2000) < least_seen(200, 300) <= least_seen(200, 60)
    count = least_seen(100, 240)
    for copies, alarm in ((count, True), (count - 1, False)):
        values = np.where(np.arange(100) < copies, -1.0, 1000.0)
        assert (tail_excess(values, np.arange(240.0)) < 3e-4) == alarm


def test_the_same_sample_many_times_counts_once() -> None:
    train, held = records(100, 0), records(60, 1)
    made = np.concatenate([np.repeat(train[:1], 50, axis=0), records(50, 2)])
    assert audit(made, train, held).tests["near_copies_features"] > 1e-3
    assert audit(np.concatenate([train[:50], made[50:]]), train, held).tests["near_copies_features"] < 1e-8
    assert design_effect(np.array([1, 1, 1, 2])) == 2.5 and design_effect(np.arange(3)) == design_effect(np.zeros(0)) == 1


def test_equal_rows_are_at_distance_zero_and_mirrored_ones_count() -> None:
    a = 100 + records(20, 0)
    assert np.allclose(np.diag(feature_distances(a, a)), 0, atol=1e-4)
    b = records(20, 1) + 100
    both = feature_distances(a, b, a)
    assert np.allclose(np.diag(both), 0, atol=1e-4)
    assert np.allclose(feature_distances(a, b), np.linalg.norm(a[:, None] - b[None], axis=2), rtol=1e-4)


def test_nearest_ratio_leaves_out_groups() -> None:
    d = np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 5.0]], np.float32)
    ratio, distance, index = nearest_ratio(d, np.array([0, 1, 2]))
    assert ratio.tolist() == [0.5, 1.0] and distance.tolist() == [1.0, 0.0] and index.tolist() == [0, 0]
    assert nearest_ratio(d, np.array([7, 7, 2]))[0].tolist() == [0.25, 0.0]
    assert nearest_ratio(d, np.array([0, 1, 2]), excluded=np.array([0, 2]))[2].tolist() == [1, 0]


def test_tail_excess_is_fishers_exact_test() -> None:
    null = np.arange(100.0)
    values = np.concatenate([np.full(9, -1.0), np.arange(50, 91.0)])
    # 9 of 50 lie below all of 100: the nine smallest of 150 are all samples.
    exact = hypergeom.sf(8, 150, 50, 9)
    assert tail_excess(values, null, ranks=(0,)) == pytest.approx(exact)
    # Nine of one cluster count as one, of as many fewer samples.
    clusters = np.r_[np.zeros(9), np.arange(1, 42)]
    assert tail_excess(values, null, clusters, ranks=(0,)) == pytest.approx(hypergeom.sf(0, 106, 6, 1))
    chance = [tail_excess(a[:50], a[50:]) for a in np.random.default_rng(0).standard_normal((400, 150))]
    assert np.mean(np.array(chance) <= 0.05) <= 0.06


def test_dcr_share_is_the_mean_over_all_thinnings() -> None:
    rng = np.random.default_rng(0)
    t, h, n = 30, 10, 25
    d = rng.random((n, t + h)).astype(np.float32)
    found, p = dcr_share(d, t, swaps(t, h), "x")
    drawn = [(d[:, rng.choice(t, h, replace=False)].min(axis=1) < d[:, t:].min(axis=1)).mean() for _ in range(4000)]
    assert found.value == pytest.approx(np.mean(drawn), abs=0.01)
    assert found.low < found.value < found.high and 0.01 < p <= 1
    # The other way round, the held-out part is the larger one.
    other, _ = dcr_share(np.concatenate([d[:, t:], d[:, :t]], axis=1), h, swaps(h, t), "x")
    assert other.value == pytest.approx(1 - found.value, abs=1e-9)


def test_dcr_share_of_copies_and_of_held_out_copies() -> None:
    train, held = records(60, 0), records(60, 1)
    real = np.concatenate([train, held])
    assert dcr_share(feature_distances(train, real), 60, swaps(60, 60), "x")[0].value == 1.0
    share, p = dcr_share(feature_distances(held, real), 60, swaps(60, 60), "x")
    assert share.value == 0.0 and p > 0.5


def test_membership_inference_against_the_definition() -> None:
    from sklearn.metrics import roc_auc_score

    near = np.concatenate([np.random.default_rng(0).normal(0.8, 1, 80), np.random.default_rng(1).normal(1.4, 1, 40)])
    found, p = membership_inference(near, 80, swaps(80, 40), "x")
    assert found["mia_auc"].value == pytest.approx(roc_auc_score(np.arange(120) < 80, -near))
    assert found["mia_auc"].low < found["mia_auc"].value < found["mia_auc"].high
    assert p < 0.05
    perfect, _ = membership_inference(np.r_[np.zeros(80), np.ones(40)], 80, swaps(80, 40), "x")
    assert perfect["mia_auc"].value == 1.0 and perfect["mia_tpr_at_1_fpr"].value == 1.0
    assert perfect["mia_advantage"].value == 1.0


def test_swaps_keep_groups_sizes_and_classes() -> None:
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 4, 5, 6])
    labels = np.array([0, 0, 0, 0, 1, 1, 0, 0, 1, 1])
    order = np.argsort(np.isin(groups, (1, 4, 5)), kind="stable")  # these groups are held out
    groups, labels = groups[order], labels[order]
    t = 6
    seen = set()
    for member in memberships(groups, t, labels, 50, np.random.default_rng(0)):
        assert member.sum() == t
        for group in np.unique(groups):
            assert len(set(member[groups == group])) == 1
        assert np.bincount(labels[member], minlength=2).tolist() == np.bincount(labels[:t], minlength=2).tolist()
        seen.add(tuple(member))
    assert len(seen) > 3


def test_authenticity_of_copies_and_of_unseen_records() -> None:
    train, held = records(100, 0), records(50, 1)
    groups = np.arange(100)
    copies = train[:40] + 1e-3
    found = authenticity(feature_distances(copies, train), feature_distances(held, train), train, groups, "x")
    assert found.value == 0.0
    assert 30 < found.more["null"] <= 100
    far = authenticity(feature_distances(held + 50, train), feature_distances(held, train), train, groups, "x")
    assert far.value == 100.0


def test_data_copying_has_the_right_sign() -> None:
    train, held = records(300, 0, 8), records(150, 1, 8)
    copied = data_copying(train[:150] + 0.01 * records(150, 2, 8), train, held)
    under = data_copying(3 * records(150, 3, 8), train, held)
    fresh = data_copying(records(150, 4, 8), train, held)
    assert copied is not None and under is not None and fresh is not None
    assert copied.value < -5 and under.value > 5 and abs(fresh.value) < 3
    assert data_copying(records(10, 2), records(100, 0), records(50, 1)) is None


def test_large_sets_are_thinned_and_say_so(monkeypatch) -> None:
    monkeypatch.setattr("ganvas.metrics.memorisation.MOST", 50)
    train, held = records(120, 0), records(80, 1)
    made = np.concatenate([train[:90], records(10, 5)])
    found = audit(made, train, held)
    assert found.verdict == "copies" and "at most 50" in found.notes[0]
    assert all(pair.sample == pair.record for pair in found.pairs if pair.near_copy)


def test_too_few_records_are_refused() -> None:
    with pytest.raises(GanvasError, match="hold out more"):
        audit(records(50, 0), records(50, 1), records(10, 2))
    with pytest.raises(GanvasError, match="10 or more"):
        audit(records(5, 0), records(50, 1), records(50, 2))


def test_the_result_holds_no_record() -> None:
    found = audit(records(60, 0), records(100, 1), records(50, 2)).to_dict()
    assert {"verdict", "reason", "near_copies", "dcr_share", "mia_auc", "auth_pct"} <= found.keys()
    assert "pairs" not in found and "spaces" not in found


def noisy(images: np.ndarray, noise: float, seed: int = 9) -> np.ndarray:
    noise = 255 * noise * np.random.default_rng(seed).standard_normal(images.shape)
    return np.clip(np.round(images + noise), 0, 255).astype(np.uint8)


def with_twins() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(train, held-out, fresh) pictures of which every eighth has a twin of another group in the training part."""
    pool = pictures(480, 0)
    twin = np.clip(pool.astype(np.float64) + 0.1 * (pictures(480, 1).astype(np.float64) - 128), 0, 255).astype(np.uint8)
    fresh, held, apart = pool[:80], pool[80:160], pool[160:]
    return np.concatenate([apart, twin[:10], twin[80:90], twin[160:200]]), held, fresh


def noisy_copies(made: np.ndarray, train: np.ndarray, held: np.ndarray) -> float:
    groups = np.arange(len(train) + len(held))
    space, residual = pixel_search(made, train, held, groups)
    assert residual is not None
    return tail_excess(residual.samples, residual.null, groups[space.nearest], groups[space.null_nearest], (0, 4, 16, 32))


def test_copies_under_noise_are_found_where_near_copies_prove_nothing() -> None:
    train, held, fresh = with_twins()
    made = fresh.copy()
    made[:10] = noisy(train[20:30], 0.1)  # in place of those that have twins
    space, _ = pixel_search(made, train, held, np.arange(len(train) + len(held)))
    assert tail_excess(space.ratio, space.null) > 1e-3
    assert noisy_copies(made, train, held) < 1e-4
    moved = np.pad(train[20:30, :, ::-1], ((0, 0), (2, 0), (0, 2), (0, 0)), mode="edge")[:, :32, 2:]
    made[:10] = noisy((0.8 * moved).astype(np.uint8), 0.05)
    assert noisy_copies(made, train, held) < 1e-4


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1, 0.4])
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_noise_alone_makes_no_copies(noise: float, share: float) -> None:
    train, held, fresh = with_twins()
    some = slice(None, None, round(1 / share))  # of those with twins and of the others alike
    made = fresh.copy()
    made[some] = noisy(fresh[some], noise)
    assert noisy_copies(made, train, held) > 1e-2


@pytest.mark.parametrize("kind", ["noise", "flat", "mean", "grid"])
def test_pictures_like_no_record_are_no_copies_under_noise(kind: str) -> None:
    train, held, fresh = with_twins()
    flat = np.full((80, 32, 32, 1), 90, np.uint8)
    sign = (np.indices((32, 32)).sum(axis=0) % 2 * 2 - 1)[None, :, :, None]
    made = {
        "noise": noisy(flat, 0.2),
        "flat": flat,
        "mean": noisy(np.broadcast_to(train.mean(axis=0), (80, 32, 32, 1)), 0.05),
        "grid": np.clip(fresh.astype(np.int64) + 40 * sign, 0, 255).astype(np.uint8),
    }[kind]
    assert noisy_copies(made, train, held) > 1e-2


def test_the_rest_of_a_copy_is_white_and_small_pictures_have_none() -> None:
    train, held, fresh = pictures(100, 0, 64), pictures(40, 1, 64), pictures(40, 2, 64)
    made = np.concatenate([noisy(train[:20], 0.05), fresh[20:]])
    _, residual = pixel_search(made, train, held, np.arange(140))
    assert residual is not None
    assert residual.samples[:20].max() < 2 < 10 < np.median(residual.null) and residual.samples[20:].min() > 5
    assert np.isfinite(residual.null).all() and residual.null.min() >= 1
    small = [part[:, ::8, ::8] for part in (made, train, held)]
    assert pixel_search(*small, np.arange(140))[1] is None


def test_the_verdict_names_copies_under_noise() -> None:
    train, held, fresh = with_twins()
    made = np.concatenate([noisy(train[20:40], 0.1), fresh[20:]])
    # Features that see nothing of it.
    found = audit(records(80, 2), records(len(train), 0), records(80, 1), pictures=(made, train, held))
    assert found.verdict == "copies" and "only noise is left" in found.reason
    noisy_ones = found.measures["noisy_copies"]
    assert noisy_ones.value > 10 > noisy_ones.more["expected"]
