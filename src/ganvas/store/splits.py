"""Which pictures belong together, and which are held out before training.

Near twins (copies, re-encodings, neighbouring frames) on both sides of a split make every measure of quality and of
memorisation look better than it is, so whole groups are held out. Not for cross-validation, and not for points.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

TWIN = 0.98
"""Correlation of 32x32 thumbnails from which two pictures count as near twins.

Measured: among 786 radiographs of different patients one pair lies above (an evident copy; the next is 0.970), among
3000 handwritten digits none (highest 0.977), while re-encoded, rescaled and brightened copies stay above 0.99.
"""

MOST = 50_000
"""Near twins are looked for among at most this many pictures: the search compares all pairs."""


def join(parent: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    """Unite the sets of `first[k]` and `second[k]` for all k, in place. `parent` (N,) int64 holds set numbers.

    A set's number is its smallest member. Vectorised hooking and pointer jumping (Shiloach and Vishkin 1982).
    """
    while True:
        a, b = parent[first], parent[second]
        open_ = a != b
        if not open_.any():
            return
        first, second, a, b = first[open_], second[open_], a[open_], b[open_]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while True:
            above = parent[parent]
            if (above == parent).all():
                break
            parent[:] = above


def twin_pairs(thumbs: np.ndarray, threshold: float = TWIN, seed: int = 0, most: int | None = None) -> np.ndarray:
    """Pairs (K, 2) int64, first < second, of unit vectors `thumbs` (N, D) whose product reaches `threshold`.

    Exact, in blocks of bounded memory: a projection onto k leading directions (by a randomised range finder, Halko et
    al. 2011) gives the upper bound p_i p_j + |rest_i| |rest_j| (Cauchy-Schwarz), itself a product of k + 1 numbers;
    only pairs whose bound reaches the threshold are compared in full. `most` stops after that many pairs.
    """
    found = []
    count = 0
    for pairs, _ in _blocks(thumbs, threshold, seed):
        found.append(pairs)
        count += len(pairs)
        if most is not None and count >= most:
            break
    return np.concatenate(found)[:most] if found else np.zeros((0, 2), np.int64)


def twin_sets(thumbs: np.ndarray, threshold: float = TWIN, seed: int = 0) -> np.ndarray:
    """Set numbers (N,) int64: pictures linked by near twins share a number. See `twin_pairs`."""
    parent = np.arange(len(thumbs), dtype=np.int64)
    for pairs, _ in _blocks(thumbs, threshold, seed):
        join(parent, pairs[:, 0], pairs[:, 1])
    return parent


def _blocks(thumbs: np.ndarray, threshold: float, seed: int, block: int = 2048) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (pairs (K, 2), correlations (K,)) block by block."""
    n = len(thumbs)
    if n < 2:
        return
    rng = np.random.default_rng(seed)
    known = thumbs[np.sort(rng.choice(n, min(n, 2000), replace=False))].astype(np.float32)
    guess = rng.standard_normal((known.shape[1], min(48, n, known.shape[1])), np.float32)
    for _ in range(2):
        guess = np.linalg.qr(known.T @ (known @ guess))[0]
    basis = guess
    short = np.empty((n, basis.shape[1] + 1), np.float32)
    for start in range(0, n, 4096):
        rows = thumbs[start : start + 4096].astype(np.float32)
        short[start : start + 4096, :-1] = rows @ basis
        kept = (short[start : start + 4096, :-1] ** 2).sum(axis=1)
        short[start : start + 4096, -1] = np.sqrt(np.clip((rows**2).sum(axis=1) - kept, 0, None))
    slack = 2e-3  # rounding of half-precision thumbnails must not hide a pair
    for top in range(0, n, block):
        left = short[top : top + block]
        for start in range(top, n, block):
            bound = left @ short[start : start + block].T
            i, j = np.nonzero(bound > threshold - slack)
            ahead = i + top < j + start
            i, j = i[ahead] + top, j[ahead] + start
            if not len(i):
                continue
            if len(i) > bound.size // 16:  # many candidates: one product is cheaper than gathering rows
                full = thumbs[top : top + block].astype(np.float32) @ thumbs[start : start + block].astype(np.float32).T
                values = full[i - top, j - start]
            else:
                values = np.empty(len(i), np.float32)
                for k in range(0, len(i), 4096):
                    a, b = thumbs[i[k : k + 4096]].astype(np.float32), thumbs[j[k : k + 4096]].astype(np.float32)
                    values[k : k + 4096] = np.einsum("nd,nd->n", a, b)
            sure = values >= threshold
            if sure.any():
                yield np.stack([i[sure], j[sure]], axis=1), values[sure]


def hold_out(groups: np.ndarray, labels: np.ndarray | None, share: float, seed: int) -> np.ndarray:
    """Which records are held out: (N,) bool. Whole groups only, about `share` of every label, the same for a seed.

    groups (N,) int64; labels (N,) int64 or None. The held-out part is like the rest: of groups of every size the share is held
    out. Groups are gone through from large to small, those of a size in random order, and one is held out as soon as what is
    due of its labels, and of all together, exceeds a share of its size that is drawn once (systematic sampling with a random
    start, Cochran 1977, chapter 8); single records fill what is missing, label by label. A group of more than half of what is
    wanted stays in training where there are enough others: a held-out part of one group would be no sample.
    At least one group is left for training and, if `share` > 0 and there are two groups or more, one is held out as
    soon as `share` of the records comes to half a record or more.
    """
    n = len(groups)
    out = np.zeros(n, bool)
    if not share or n < 2 or share * n < 0.5:
        return out
    rng = np.random.default_rng([seed, 0x5711])
    kinds = np.zeros(n, np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    classes = int(kinds.max()) + 1
    number, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    if len(sizes) < 2:
        return out
    missing = share * np.bincount(kinds, minlength=classes)
    chosen = np.zeros(len(sizes), bool)
    order = np.argsort(number, kind="stable")
    ends = np.cumsum(sizes)
    large = sizes > share * n / 2
    if sizes[~large].sum() < 2 * share * n:
        large[:] = False
    several = np.flatnonzero((sizes > 1) & ~large)
    several = several[rng.permutation(len(several))]
    due, threshold = np.zeros(classes), rng.uniform()
    for group in several[np.argsort(-sizes[several], kind="stable")]:
        present, counts = np.unique(kinds[order[ends[group] - sizes[group] : ends[group]]], return_counts=True)
        due[present] += share * counts
        wins = _lacking(due[present], threshold) - _lacking(due[present] - counts, threshold)
        wins += due.sum() - threshold * sizes[group]
        if wins > 0 and np.abs(missing[present] - counts).sum() < np.abs(missing[present]).sum():
            chosen[group] = True
            due[present] -= counts
            missing[present] -= counts
    single = np.flatnonzero(sizes == 1)
    kind_of = kinds[order[ends[single] - 1]]
    shuffled = rng.permutation(len(single))
    # Rounded in turn, so that the halves of many small classes do not all fall to one side; the sum is rounded as usual.
    turn = rng.permutation(classes)
    wanted = np.cumsum(np.maximum(missing[turn], 0))
    rest = wanted[-1] % 1
    start = rng.uniform(0, 1 - rest) if rest < 0.5 else rng.uniform(1 - rest, 1)
    steps = np.floor(wanted + start).astype(np.int64)
    for kind, count in zip(turn, np.diff(steps, prepend=0), strict=True):
        chosen[single[shuffled[kind_of[shuffled] == kind][:count]]] = True
    if not chosen.any():  # small classes or large groups: the smallest group is better than no held-out part
        smallest = np.flatnonzero(sizes == sizes.min())
        chosen[rng.choice(smallest)] = True
    if chosen.all():
        chosen[np.argmax(sizes)] = False
    return chosen[number]


def _lacking(due: np.ndarray, threshold: float) -> float:
    """The loss of what is due (or, below 0, too much), which is least where a quantile `threshold` is (pinball loss)."""
    return float(np.where(due > 0, (1 - threshold) * due, -threshold * due).sum())


def told_of_twins(linked: int, count: int, threshold: float) -> str:
    """What a note says of pictures that were put into sets of near twins."""
    return (
        f"{linked} of {count} pictures are near twins of others (correlation {threshold:g} or more): twins stay on one side of "
        "the split"
    )


def with_fewer_links(thumbs: np.ndarray, seed: int, most_share: float = 0.2) -> tuple[np.ndarray, float]:
    """Near-twin sets, and the threshold used: raised above `TWIN` while one chain of twins holds over `most_share`.

    Similar pictures form chains (frames of a film, one icon in many tints); a chain of everything could not be split.
    """
    sets = np.arange(len(thumbs), dtype=np.int64)
    threshold = TWIN
    for threshold in (TWIN, 0.99, 0.995, 0.999):
        sets = twin_sets(thumbs, threshold, seed)
        largest = int(np.bincount(sets, minlength=1).max()) if len(sets) else 0
        if largest <= max(2, most_share * len(thumbs)):
            break
    return sets, threshold
