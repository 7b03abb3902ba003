"""Did the generator copy its training data? Tests of samples against training records, with held-out real records as the null.

`audit` runs all of them on features, and on pixels where there are pixels, and ends in one verdict: `clear`, `suspect` or
`copies`. Every test compares what samples do with what real records do that the generator never saw, so that data which is
alike by nature (registered scans, icons of one house) does not look copied. Not a guarantee of privacy: differential privacy
comes from training, never from a test, and a test of N samples says nothing about a copy that appears once in a million.

The tests
- near copies: the distance to the nearest training record over that to the next one of another group (nearest-neighbour
  distance ratio). A copy has one record far nearer than all others; a blurred or average sample has not. The null: held-out
  records, and training records against the rest of the training data. Compared by Fisher's exact test at seven places of
  the null's lower tail (Bonferroni-corrected).
- noisy copies: what is left of a picture without its nearest training record. Of a copy under noise only noise is left, as
  strong at coarse as at fine scale; of another picture, even a near twin, structure is. The null: the same real records, given
  as much noise as the samples have.
- changes: the same comparison by what a kind of data looks through, such as the loudness of a sound (`recognition`): a copy is
  the same but for that.
- exact copies: samples that are a training record, up to rounding or but for such a change. One that is not in the held-out
  part as well is never `clear`. Held-out records that are twins of training records are no unseen ones, and are left out.
- nearness: the first test's comparison in the bulk, at 5 to 40 % of the null, for a generator whose samples all cling to
  single records, though blurred or noisy.
- DCR share: how often a sample lies nearer to the training data than to equally many held-out records; 0.5 by chance.
- membership inference: can training records be told from held-out ones by their distance to the nearest sample (Hilprecht
  et al. 2019, arXiv 1906.03006; Chen et al. 2020, arXiv 1909.03935)?
- AuthPct (Alaa et al. 2022, arXiv 2102.08921) and C_T (Meehan et al. 2020, arXiv 2004.05675) are reported beside.

DCR share and membership inference are judged by permutation: whole groups swap between training and held-out, within a class
when there are labels, and the observed number must lie outside what the swaps give.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ganvas.errors import GanvasError
from ganvas.metrics._nearest import Residual, Space, feature_distances, nearest_ratio, pixel_search
from ganvas.metrics._same import Same, same_records
from ganvas.metrics.measure import Measure
from ganvas.metrics.recognition import Recogniser, likest

RANKS = (0, 1, 2, 4, 8, 16, 32)  # how many null values lie beyond each place of comparison
NOISY_RANKS = (0, 4, 16, 32, 64, 128)  # the same of noisy copies, up to NOISY_SHARE of the null
NOISY_SHARE = 0.15
COPIES_BELOW = 1e-4  # corrected p-value of the near-copy and noisy-copy tests from which the verdict is `copies`
BULK = (0.05, 0.1, 0.2, 0.4)  # shares of the null at which nearness as a whole is compared
SUSPECT_BELOW = 3e-4  # of each of the seven tests: together about 2 false alarms in 1000 audits of unseen real records
LEAST_HELDOUT = 20
PERMUTATIONS = 2000
NULL_SHARE = 0.01  # quantile of the null under which a sample counts as a near copy
MOST = 2000  # samples, held-out records and training records (of the null) that are looked at; the search goes over all


@dataclass(frozen=True)
class Pair:
    """A sample, its nearest training record, and for comparison its nearest held-out record (in features): indices into
    the arrays that were audited."""

    sample: int
    record: int
    space: str
    ratio: float
    distance: float
    near_copy: bool
    heldout: int


@dataclass(frozen=True)
class Audit:
    """verdict: `clear`, `suspect` or `copies`. reason: one sentence a reader can check. measures: by name. pairs: the nearest
    first, at most 20, for human eyes. overlooked: what copies this audit could not have seen, in words."""

    verdict: str
    reason: str
    measures: dict[str, Measure]
    pairs: list[Pair]
    notes: tuple[str, ...] = ()
    tests: dict[str, float] = field(default_factory=dict)
    spaces: tuple[Space, ...] = ()
    overlooked: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON: verdict, reason, every measure, the p-values of the tests, and notes. Holds no record and no index."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "could_not_see": list(self.overlooked),
            **{name: measure.to_dict() for name, measure in self.measures.items()},
            "tests": self.tests,
            "notes": list(self.notes),
        }


def too_few(train: int, heldout: int, told: str = "") -> str | None:
    """Why so many real records cannot be audited against, and what to do; None where they can.

    told: of which records these are, as in `the class healthy`.
    """
    if min(train, heldout) >= LEAST_HELDOUT:
        return None
    total, least = train + heldout, 2 * LEAST_HELDOUT
    share = -(-100 * LEAST_HELDOUT // max(total, 1)) / 100
    advice = f"hold out more, as with --heldout {share:.2g}" if total >= 1.05 * least else f"{least} records are the least"
    return (
        f"{heldout:,} held-out and {train:,} training records{told}: the audit needs {LEAST_HELDOUT} of each, for without "
        f"unseen real records nothing can be called a copy; {advice}"
    )


def audit(
    generated: np.ndarray,
    train: np.ndarray,
    heldout: np.ndarray,
    *,
    features: str = "given",
    train_flipped: np.ndarray | None = None,
    heldout_flipped: np.ndarray | None = None,
    pictures: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    records: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    recogniser: Recogniser | None = None,
    overlooks: str = "",
    train_groups: np.ndarray | None = None,
    heldout_groups: np.ndarray | None = None,
    train_labels: np.ndarray | None = None,
    heldout_labels: np.ndarray | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Audit:
    """Audit samples against the records their generator was trained on.

    generated (N, d), train (T, d), heldout (H, d): features. train_flipped, heldout_flipped: features of the mirrored
    images, so that mirrored copies are found. pictures: the images behind the features, (n, h, w, c) in any units:
    (generated, train, heldout); with them the near-copy search also runs on pixels, under shifts, mirroring, brightness
    and contrast (`pixel_search`). records: those behind the features, (n, ...) in one spec; exact copies are equal in them.
    recogniser: how such records are known again after a change. overlooks: what changed copies are not, in words. groups: equal
    numbers mark records that belong together (a patient); one each when not given. labels: classes, kept in proportion by the
    permutations. seed: of the permutations and of C_T's cells.

    Raises GanvasError for fewer than 20 held-out records, 20 training records or 10 samples: no null, no verdict.
    """
    notes = []
    records = pictures if records is None else records
    if len(generated) > MOST or len(heldout) > MOST:
        notes.append(f"of {len(generated)} samples and {len(heldout)} held-out records at most {MOST} each were audited")
        g, h_ = (_some(len(part), MOST, seed) for part in (generated, heldout))
        found = audit(
            generated[g], train, heldout[h_], features=features, train_flipped=train_flipped,
            heldout_flipped=None if heldout_flipped is None else heldout_flipped[h_],
            pictures=None if pictures is None else (pictures[0][g], pictures[1], pictures[2][h_]),
            records=None if records is None else (records[0][g], records[1], records[2][h_]),
            recogniser=recogniser, overlooks=overlooks,
            train_groups=train_groups, heldout_groups=None if heldout_groups is None else heldout_groups[h_],
            train_labels=train_labels, heldout_labels=None if heldout_labels is None else heldout_labels[h_],
            seed=seed, device=device,
        )  # fmt: skip
        pairs = [replace(p, sample=int(g[p.sample]), heldout=int(h_[p.heldout])) for p in found.pairs]
        return replace(found, pairs=pairs, notes=(*notes, *found.notes))
    n, t, h = len(generated), len(train), len(heldout)
    if (lacking := too_few(t, h)) is not None:
        raise GanvasError(lacking)
    if n < 10:
        raise GanvasError(f"{n} samples are too few to audit: give 10 or more")
    groups = _groups(train_groups, heldout_groups, t, h)
    real, mirrored = np.concatenate([train, heldout]), None
    if train_flipped is not None and heldout_flipped is not None:
        mirrored = np.concatenate([train_flipped, heldout_flipped])
    to_real = feature_distances(generated, real, mirrored, device=device)
    # The null: every held-out record, and training records against the others.
    null = np.concatenate([_some(t, MOST, seed), np.arange(t, t + h)])
    inside = None if mirrored is None else mirrored[:t]
    among = feature_distances(real[null], train, inside, device=device)
    norm = float(np.sqrt(np.square(train - train.mean(axis=0), dtype=np.float64).sum(axis=1).mean()))
    marks = None if recogniser is None or records is None else recogniser.marks(records[1])
    same = same_records(to_real, among[-h:], norm, records, recogniser, marks, groups)
    unseen = np.flatnonzero(~same.heldout_in_train)
    if len(unseen) < h:
        told = f"{h - len(unseen)} of {h} held-out records are twins of training records, and so no unseen ones"
        if len(unseen) < LEAST_HELDOUT:
            raise GanvasError(
                f"{told}: {len(unseen)} are left, the audit needs {LEAST_HELDOUT}; hold out what is not trained on"
            )
        notes.append(f"{told}: they are left out")
        kept, rows = (
            np.concatenate([np.arange(t), t + unseen]),
            np.concatenate([np.arange(len(null) - h), len(null) - h + unseen]),
        )
        to_real, real, groups, among = to_real[:, kept], real[kept], groups[kept], among[rows]
        null = np.concatenate([null[: len(null) - h], np.arange(t, t + len(unseen))])
        heldout = heldout[unseen]
        heldout_labels = None if heldout_labels is None else heldout_labels[unseen]
        pictures = None if pictures is None else (*pictures[:2], pictures[2][unseen])
        h = len(unseen)
    ratios, _, nearest = nearest_ratio(among, groups[:t], excluded=groups[null])
    spaces = [Space("features", *nearest_ratio(to_real[:, :t], groups[:t]), ratios, nearest)]
    residual = None
    if pictures is not None:
        space, residual = pixel_search(*pictures, groups, null, seed=seed, device=device)
        spaces.append(space)
    if recogniser is not None and records is not None and marks is not None:
        spaces.append(_by_changes(recogniser, same, records[1], marks, groups[:t], null[: len(null) - h], unseen))

    measures: dict[str, Measure] = {}
    tests: dict[str, float] = {}
    protocol = f"{features}/n={n}/train={t}/heldout={h}"
    flagged = np.zeros(n, bool)
    for space in spaces:
        tests[f"near_copies_{space.name}"] = tail_excess(
            space.ratio, space.null, groups[space.nearest], groups[space.null_nearest]
        )
        if space.name != CHANGES:  # most records are like none but for a change: there is no bulk
            deep = [round(share * len(space.null)) for share in BULK]
            tests[f"nearness_{space.name}"] = tail_excess(
                space.ratio, space.null, groups[space.nearest], groups[space.null_nearest], deep
            )
        flagged |= space.ratio < _threshold(space)
    measures["near_copies"] = _near_copies(flagged, spaces, protocol, same, "" if recogniser is None else recogniser.changes)
    if residual is not None:
        places = [rank for rank in NOISY_RANKS if rank <= NOISY_SHARE * len(residual.null)]
        tests["noisy_copies"] = tail_excess(
            residual.samples, residual.null, groups[spaces[1].nearest], groups[spaces[1].null_nearest], places
        )
        measures["noisy_copies"] = _noisy_copies(residual, protocol)

    labels = None if train_labels is None or heldout_labels is None else np.concatenate([train_labels, heldout_labels])
    swaps = list(memberships(groups, t, labels, PERMUTATIONS, np.random.default_rng([seed, 0xDC2])))
    measures["dcr_share"], tests["dcr_share"] = dcr_share(to_real, t, swaps, protocol)
    membership, tests["membership"] = membership_inference(to_real.min(axis=0), t, swaps, protocol)
    measures |= membership
    measures["auth_pct"] = authenticity(to_real[:, :t], among[-h:], train, groups[:t], protocol, mirrored=inside)
    copying = data_copying(generated, train, heldout, seed=seed, protocol=protocol)
    if copying is not None:
        measures["c_t"] = copying
    verdict, reason = judge(measures, tests, n)
    if copying is None:
        notes.append("C_T is left out: it needs about 60 held-out records and 60 samples")
    pairs = [replace(p, heldout=int(unseen[p.heldout])) for p in _pairs(spaces, to_real[:, t:].argmin(axis=1))]
    few = f"fewer than {least_seen(n, len(null))} near copies among these {n} samples (exact ones are told one by one)"
    overlooked = (few, overlooks) if overlooks else (few,)
    return Audit(verdict, reason, measures, pairs, tuple(notes), tests, tuple(spaces), overlooked)


CHANGES = "changes"


def _by_changes(
    recogniser: Recogniser, same: Same, train: np.ndarray, marks: np.ndarray, groups: np.ndarray, chosen: np.ndarray,
    unseen: np.ndarray,
) -> Space:  # fmt: skip
    """The near-copy search by likeness. chosen: training records of the null; unseen: the held-out ones."""
    assert same.made is not None and same.unseen is not None
    own = likest(recogniser, train[chosen], train, marks, groups, groups[chosen])
    null = np.concatenate([own.ratio, same.unseen.ratio[unseen]])
    nearest = np.concatenate([own.index, same.unseen.index[unseen]])
    return Space(CHANGES, same.made.ratio, 1 - same.made.likeness, same.made.index, null, nearest)


def least_seen(n: int, null: int) -> int:
    """The least number of near copies among n samples that can become `suspect`, when each lies nearer than all of the null."""
    from scipy.stats import hypergeom

    places = sum(rank < null for rank in RANKS)
    for count in range(1, n + 1):
        if float(hypergeom.sf(count - 1, n + null, n, count)) * places < SUSPECT_BELOW:
            return count
    return n + 1


def judge(measures: dict[str, Measure], tests: dict[str, float], n: int) -> tuple[str, str]:
    """(verdict, reason) from the tests: `copies` on near copies beyond doubt, `suspect` on any test, else `clear`."""
    near, most = measures["near_copies"], {k: p for k, p in tests.items() if k.startswith("near_copies")}
    noisy = tests.get("noisy_copies", 1.0)
    name, p = min(most.items(), key=lambda item: item[1])
    where = f"but for {near.more['changes']}" if name.endswith(CHANGES) else name.rpartition("_")[2]
    exact = f", {near.more['exact']} of them exact" if near.more["exact"] else ""
    found = (
        f"{near.value:.0f} of {n} samples are near copies of a training record ({where}){exact}, where unseen real records "
        f"give about {near.more['expected']:.1f} (p = {p:.1g})"
    )
    if p < COPIES_BELOW:
        return "copies", found
    if noisy < COPIES_BELOW or (noisy < SUSPECT_BELOW <= p):
        count = measures["noisy_copies"]
        return "copies" if noisy < COPIES_BELOW else "suspect", (
            f"of {count.value:.0f} of {n} samples only noise is left when the nearest training record is taken away, "
            f"where unseen real records under such noise give about {count.more['expected']:.1f} (p = {noisy:.1g})"
        )
    if p < SUSPECT_BELOW:
        return "suspect", found
    if alone := near.more["exact"] + near.more["changed"] - near.more["also_heldout"]:
        but = f", {near.more['changed']} of them but for {near.more['changes']}" if near.more["changed"] else ""
        return "suspect", (
            f"{alone} of {n} samples are a training record up to rounding{but}, and no held-out one: look at the pairs"
        )
    if near.more["single"] and not near.more["single_null"]:
        return "suspect", (
            f"{near.more['single']} of {n} samples match a training record almost exactly, "
            "and no unseen real record does: look at the pairs"
        )
    name, p = min(((k, p) for k, p in tests.items() if k.startswith("nearness")), key=lambda item: item[1])
    if p < SUSPECT_BELOW:
        return "suspect", (
            f"the samples as a whole lie nearer to single training records ({name.partition('_')[2]}) than unseen real records "
            f"do (p = {p:.1g})"
        )
    share, auc = measures["dcr_share"], measures["mia_auc"]
    if tests["dcr_share"] < SUSPECT_BELOW and share.value > 0.5:
        return "suspect", (
            f"samples lie nearer to training than to held-out records in {share.value:.0%} of cases, 50 % by chance "
            f"(p = {tests['dcr_share']:.1g}); no sample is a near copy beyond chance"
        )
    if tests["membership"] < SUSPECT_BELOW and auc.value > 0.5:
        return "suspect", (
            f"the samples tell training from held-out records (AUC {auc.value:.2f}, 0.5 by chance, "
            f"p = {tests['membership']:.1g}); no sample is a near copy beyond chance"
        )
    return "clear", (
        f"{near.value:.0f} of {n} samples come as near to a training record as the nearest 1 % of unseen real records do "
        f"(expected {near.more['expected']:.1f}), and {share.value:.0%} lie nearer to training than to held-out records "
        "(50 % by chance)"
    )


def _some(count: int, most: int, seed: int) -> np.ndarray:
    """At most `most` of `count` indices, ascending."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, 0x50]).choice(count, most, replace=False))


def _groups(train: np.ndarray | None, heldout: np.ndarray | None, t: int, h: int) -> np.ndarray:
    if train is None or heldout is None:
        return np.arange(t + h)
    groups = np.unique(np.concatenate([np.asarray(train), np.asarray(heldout)]), return_inverse=True)[1]
    return np.asarray(groups)


def tail_excess(
    values: np.ndarray,
    null: np.ndarray,
    value_clusters: np.ndarray | None = None,
    null_clusters: np.ndarray | None = None,
    ranks: Sequence[int] = RANKS,
) -> float:
    """p-value, corrected for the places looked at: do more `values` than chance allows lie below the lower tail of `null`?

    At each place (just below the null value of a rank) the numbers below are compared as in Fisher's exact test, one-sided;
    the smallest p-value times the number of places is returned. Values of one cluster (those that point at the same
    training group) are not independent: numbers are divided by their design effect, sum of squared cluster sizes over the sum
    of sizes (Rao and Scott 1992), before they are compared. Without clusters, and with both drawn from one distribution, a
    result under p happens with probability at most p.
    """
    from scipy.stats import hypergeom

    own = np.arange(len(values)) if value_clusters is None else value_clusters
    other = np.arange(len(null)) if null_clusters is None else null_clusters
    order = np.argsort(null, kind="stable")
    places = [rank for rank in ranks if rank < len(null)]
    best = 1.0
    for rank in places:
        below = values < null[order[rank]]
        effect, null_effect = design_effect(own[below]), design_effect(other[order[:rank]])
        k, n = int(below.sum() / effect), round(len(values) / effect)
        r, m = math.ceil(rank / null_effect), round(len(null) / null_effect)
        # k values before the (r + 1)-th of the null: at least so many among the first k + r of all in order.
        best = min(best, float(hypergeom.sf(k - 1, n + m, n, k + r)))
    return min(1.0, best * len(places))


def design_effect(clusters: np.ndarray) -> float:
    """Sum of squared cluster sizes over the sum of sizes: 1 when every cluster has one member or there is none."""
    sizes = np.unique(clusters, return_counts=True)[1]
    return float((sizes**2).sum() / sizes.sum()) if len(sizes) else 1.0


def _threshold(space: Space) -> float:
    """The ratio under which one in a hundred real records lies."""
    return float(np.quantile(space.null, NULL_SHARE, method="lower"))


SINGLE = 0.02  # a ratio this small in any space: one record fits fifty times better than any other
APART = 3.0  # and so many times smaller than that of any unseen real record: where those come near to SINGLE, it says little


def _near_copies(flagged: np.ndarray, spaces: list[Space], protocol: str, same: Same, changes: str) -> Measure:
    """How many samples are nearer to one training record than real records are, in any space, and what chance gives.

    exact: samples that are a training record; changed: those that are one but for a change; also_heldout: those of both that
    are a held-out one as well. single: samples whose ratio is below SINGLE, far from that of unseen real records.
    """
    from scipy.stats import beta

    null = np.zeros(len(spaces[0].null), bool)
    single, single_null = np.zeros(len(flagged), bool), np.zeros(len(null), bool)
    for space in spaces:
        null |= space.null < _threshold(space)
        single |= space.ratio < min(SINGLE, float(space.null.min()) / APART)
        single_null |= space.null < SINGLE
    k, n = int(flagged.sum()), len(flagged)
    return Measure(
        float(k),
        f"near-copies/{'+'.join(s.name for s in spaces)}/{protocol}",
        float(n * beta.ppf(0.025, k, n - k + 1)) if k else 0.0,
        float(n * beta.ppf(0.975, k + 1, n - k)) if k < n else float(n),
        {
            "share": k / n,
            "expected": float(null.mean() * n),
            "exact": int((same.in_train & ~same.changed).sum()),
            "changed": int(same.changed.sum()),
            "also_heldout": int((same.in_train & same.in_heldout).sum()),
            "changes": changes,
            "single": int(single.sum()),
            "single_null": int(single_null.sum()),
            "distinct_records": len({int(s.nearest[i]) for s in spaces for i in np.flatnonzero(s.ratio < _threshold(s))}),
            "thresholds": {space.name: _threshold(space) for space in spaces},
        },
    )


def _noisy_copies(residual: Residual, protocol: str) -> Measure:
    """How many samples leave as white a rest as the whitest 2 % of real records under the samples' noise."""
    limit = np.quantile(residual.null, 0.02, method="lower")
    count, expected = int((residual.samples <= limit).sum()), float((residual.null <= limit).mean())
    n = len(residual.samples)
    return Measure(float(count), f"noisy-copies/{protocol}", None, None, {"share": count / n, "expected": expected * n})


def memberships(
    groups: np.ndarray, t: int, labels: np.ndarray | None, count: int, rng: np.random.Generator
) -> Sequence[np.ndarray]:
    """`count` random memberships (T + H,) bool, True for training, with whole groups swapped.

    Groups are exchanged among those of equal size and equal class mix, so that both parts keep their sizes and classes.
    """
    number = np.unique(groups, return_inverse=True)[1]
    is_train = np.zeros(number.max() + 1, bool)
    is_train[number[:t]] = True
    sizes = np.bincount(number)
    kinds = [sizes]
    if labels is not None:
        table = np.zeros((len(sizes), int(labels.max()) + 1), np.int64)
        np.add.at(table, (number, labels), 1)
        kinds += list(table.T)
    kind = np.unique(np.stack(kinds, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    pools = [np.flatnonzero(kind == k) for k in range(kind.max() + 1)]
    found = []
    for _ in range(count):
        swapped = is_train.copy()
        for pool in pools:
            swapped[pool] = is_train[rng.permutation(pool)]
        found.append(swapped[number])
    return found


def _p_value(observed: float, swapped: np.ndarray) -> float:
    """One-sided p-value of an observed number among those of random memberships.

    Counted; where no swap reaches the observed number, the normal tail, so that 1/(B + 1) is not the end of the scale.
    """
    from scipy.stats import norm

    spread, above = swapped.std(), int((swapped >= observed).sum())
    if not spread > 0:
        return 1.0
    counted = (above + 1) / (len(swapped) + 1)
    return counted if above else min(counted, float(norm.sf((observed - swapped.mean()) / spread)))


def dcr_share(to_real: np.ndarray, t: int, swaps: Sequence[np.ndarray], protocol: str) -> tuple[Measure, float]:
    """(share of samples nearer to training than to held-out records, p-value) from distances (N, T + H), training first.

    The larger part is thinned to the size of the smaller, not by drawing once but in expectation over all draws: with a
    records of the larger part nearer than the nearest of the smaller one, some of them are drawn with probability
    1 - C(L - a, S) / C(L, S). 0.5 by chance. The interval is binomial (Wilson) over the samples, the records being given; the
    p-value is that of the permutations.
    """
    from scipy.stats import binomtest

    n, r = to_real.shape
    h = r - t
    # Equal distances (of counts, of voxels) in random order: in their own, training records would come first.
    mixed = np.random.default_rng([0, 0x71E5]).permutation(r).astype(np.int32)
    order = mixed[np.argsort(to_real[:, mixed], axis=1, kind="stable")]
    chance = _drawn(max(t, h), min(t, h))
    flip = t < h  # then it is the held-out part that is thinned

    def share(member: np.ndarray, order: np.ndarray) -> float:
        smaller = (member if flip else ~member)[order]
        nearer = np.where(smaller.any(axis=1), smaller.argmax(axis=1), order.shape[1])
        found = float(chance[nearer].mean())
        return 1 - found if flip else found

    actual = np.arange(r) < t
    value = share(actual, order)
    # The swaps need no more: 1000 samples, and so many neighbours that one of the smaller part is surely among them.
    fewer = order[np.random.default_rng(0).permutation(n)[:1000], : min(max(t, h), max(64, 40 * r // min(t, h)))]
    swapped = np.array([share(member, fewer) for member in swaps])
    p = _p_value(share(actual, fewer), swapped)
    interval = binomtest(round(value * n), n).proportion_ci(method="wilson")
    null_low, null_high = np.quantile(swapped, (0.025, 0.975))
    more = {"expected": 0.5, "null_low": float(null_low), "null_high": float(null_high), "p": p}
    return Measure(value, f"dcr/{protocol}", float(interval.low), float(interval.high), more), p


def _drawn(large: int, small: int) -> np.ndarray:
    """(L + 1,): the probability that at least one of a given records is among `small` drawn from `large`, a = 0 to L."""
    a = np.arange(large)
    with np.errstate(divide="ignore"):
        steps = np.log(np.maximum(large - small - a, 0) / (large - a))
    return np.concatenate([[0.0], 1 - np.exp(np.cumsum(steps))])


def membership_inference(
    nearest: np.ndarray, t: int, swaps: Sequence[np.ndarray], protocol: str
) -> tuple[dict[str, Measure], float]:
    """({mia_auc, mia_tpr_at_1_fpr, mia_advantage}, p-value) from each real record's distance to the nearest sample.

    nearest (T + H,), training first: a record near a sample is guessed to be a member. The interval of the AUC is that of
    Hanley and McNeil 1982 (equation 1); the true positive rate at 1 % false positives has a binomial one.
    """
    from scipy.stats import binomtest, rankdata

    ranks = rankdata(-nearest.astype(np.float64))
    h = len(nearest) - t

    def auc(member: np.ndarray) -> float:
        return float((ranks[member].sum() - t * (t + 1) / 2) / (t * h))

    actual = np.arange(len(nearest)) < t
    value = auc(actual)
    swapped = np.array([auc(member) for member in swaps])
    p = _p_value(value, swapped)
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    spread = (value * (1 - value) + (t - 1) * (q1 - value**2) + (h - 1) * (q2 - value**2)) / (t * h)
    half = 1.959963984540054 * max(spread, 0.0) ** 0.5
    members, others = -nearest[:t], np.sort(-nearest[t:])
    bar = others[min(h - 1, int(np.ceil(0.99 * h)))]
    caught = int((members > bar).sum())
    rate = binomtest(caught, t).proportion_ci(method="wilson")
    edges = np.unique(-nearest)
    hit = 1 - np.searchsorted(np.sort(members), edges) / t
    false = 1 - np.searchsorted(others, edges) / h
    null_low, null_high = (float(edge) for edge in np.quantile(swapped, (0.025, 0.975)))
    return {
        "mia_auc": Measure(
            value,
            f"mia-auc/{protocol}",
            max(0.0, value - half),
            min(1.0, value + half),
            {"expected": 0.5, "null_low": null_low, "null_high": null_high, "p": p},
        ),
        "mia_tpr_at_1_fpr": Measure(
            caught / t, f"mia-tpr@fpr=0.01/{protocol}", float(rate.low), float(rate.high), {"expected": 0.01}
        ),
        "mia_advantage": Measure(float((hit - false).max(initial=0.0)), f"mia-advantage/{protocol}"),
    }, p


def authenticity(
    to_train: np.ndarray,
    null_to_train: np.ndarray,
    train: np.ndarray,
    groups: np.ndarray,
    protocol: str,
    *,
    mirrored: np.ndarray | None = None,
) -> Measure:
    """AuthPct: the percentage of samples further from their nearest training record than that record is from another.

    to_train (N, T), null_to_train (H, T): distances of samples and of held-out records. train (T, d), groups (T,). The next
    record of another group is meant, so that near twins do not hide copies. There is no fixed null: `null` is the same
    percentage of the held-out records. (Alaa et al. 2022, section 3.3.)
    """
    from scipy.stats import binomtest

    nearest, null_nearest = to_train.argmin(axis=1), null_to_train.argmin(axis=1)
    asked = np.unique(np.concatenate([nearest, null_nearest]))
    apart = np.full(len(train), np.inf)
    for start in range(0, len(asked), 512):
        part = asked[start : start + 512]
        d = feature_distances(train[part], train, mirrored)
        d[groups[part][:, None] == groups[None, :]] = np.inf
        apart[part] = d.min(axis=1)

    mine = apart[nearest] < to_train[np.arange(len(to_train)), nearest]
    null = apart[null_nearest] < null_to_train[np.arange(len(null_to_train)), null_nearest]
    interval = binomtest(int(mine.sum()), len(mine)).proportion_ci(method="wilson")
    return Measure(
        100 * float(mine.mean()),
        f"authpct/{protocol}",
        100 * float(interval.low),
        100 * float(interval.high),
        {"null": 100 * float(null.mean())},
    )


def data_copying(
    generated: np.ndarray, train: np.ndarray, heldout: np.ndarray, *, cells: int = 3, seed: int = 0, protocol: str = "given"
) -> Measure | None:
    """C_T (Meehan et al. 2020): do samples lie nearer to the training data than held-out records do? None with too few records.

    Features are projected to 64 principal components of the training data when there are more; cells are K-means of the
    training data; in each, the Mann-Whitney statistic of nearest-neighbour distances is standardised, and cells are averaged by
    their share of held-out records. Well below -3: copying; well above 3: samples lie further away than real data.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    if min(len(generated), len(heldout)) < 20 * cells:
        return None
    if train.shape[1] > 64 and len(train) > 64:
        basis = PCA(64, random_state=seed).fit(train)
        train, heldout, generated = basis.transform(train), basis.transform(heldout), basis.transform(generated)
    means = KMeans(cells, n_init=4, random_state=seed).fit(np.asarray(train, np.float64))
    near = {
        name: feature_distances(part, train).min(axis=1).astype(np.float64)
        for name, part in (("generated", generated), ("heldout", heldout))
    }
    cell_g, cell_h = means.predict(np.asarray(generated, np.float64)), means.predict(np.asarray(heldout, np.float64))
    total = weight = 0.0
    for cell in range(cells):
        g, h = near["generated"][cell_g == cell], near["heldout"][cell_h == cell]
        if len(g) < 20 or len(h) < 2:
            continue
        total += len(h) * _mann_whitney(g, h)
        weight += len(h)
    if not weight:
        return None
    return Measure(total / weight, f"c_t/cells={cells}/{protocol}", None, None, {"expected": 0.0, "flag_below": -3.0})


def _mann_whitney(a: np.ndarray, b: np.ndarray) -> float:
    """Z of the number of pairs with a > b, ties half: negative when `a` is the smaller (Meehan et al., equation 2)."""
    from scipy.stats import rankdata

    n, m = len(a), len(b)
    u = rankdata(np.concatenate([a, b]))[:n].sum() - n * (n + 1) / 2
    return float((u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))


def _pairs(spaces: list[Space], heldout: np.ndarray, most: int = 20) -> list[Pair]:
    """The nearest pairs by ratio, in units of each space's threshold; a training record appears once."""
    scale = np.stack([space.ratio / max(_threshold(space), 1e-12) for space in spaces])
    best = scale.argmin(axis=0)
    pairs: list[Pair] = []
    seen: set[int] = set()
    for sample in np.argsort(scale.min(axis=0), kind="stable"):
        space = spaces[best[sample]]
        if int(space.nearest[sample]) in seen:
            continue
        seen.add(int(space.nearest[sample]))
        ratio = float(space.ratio[sample])
        near = ratio < _threshold(space)
        place, distance = int(space.nearest[sample]), float(space.distance[sample])
        pairs.append(Pair(int(sample), place, space.name, ratio, distance, bool(near), int(heldout[sample])))
        if len(pairs) == most:
            break
    return pairs
