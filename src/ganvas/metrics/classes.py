"""Numbers from a classifier or a clustering: a score like the Inception Score, the classes that are covered, NDB.

`classifier_score` looks at generated data alone. `class_coverage` compares how often each class is made with how often it
should be. `different_bins` does the same without labels, with clusters of real features for classes. All are blind to what
happens within a class, and none sees copies of training data. Not for modes of known mixtures in a plane: that is
`ganvas.metrics.points.count_modes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ganvas.errors import GanvasError
from ganvas.metrics.measure import Measure
from ganvas.metrics.sets import feature_pair, share_interval

SAMPLES_PER_CLASS = 5  # of one split of `classifier_score`, and 20 at least
SAMPLES_PER_BIN = 50  # real samples a bin of `different_bins` has on average
RESAMPLINGS = 2000


def classifier_score(
    probabilities: Any, *, classifier: str, splits: int = 10, seed: int = 0, intervals: bool = True
) -> Measure:
    """exp(mean KL(p(y|x) || p(y))) of the class probabilities of generated samples, the mean over splits.

    It is the Inception Score of Salimans et al. 2016 (arXiv 1606.03498) when `classifier`, whose name goes into the protocol,
    is the original Inception network, and has that name only then. From 1 (one prediction for all) to K (sure, and all K
    classes equally often). Samples are shuffled (from `seed`) and cut into `splits` parts; p(y) is the mean within a part,
    which biases small parts downwards: so a part must have at least 5 samples a class, and 20.

    probabilities: (N, K), rows that sum to 1. The 95 % interval is Student's t over the splits, which share no samples; it
    is of the score at this split size. The protocol reads `class-score/<classifier>/splits=10/n=N`. more: n, classes, std
    (over splits, what is commonly printed after the score).

    Raises GanvasError for rows that are no probabilities and for splits that are too small.
    """
    p = _probabilities(probabilities)
    n, k = p.shape
    least = max(20, SAMPLES_PER_CLASS * k)
    if splits < 1 or n // splits < least:
        raise GanvasError(
            f"{splits} splits of {n} samples are too small for {k} classes: a split needs at least {least}; add samples or "
            f"give splits={max(1, n // least)}"
        )
    order = np.random.default_rng(seed).permutation(n)
    scores = np.array([_score(p[part]) for part in np.array_split(order, splits)])
    value, std = float(scores.mean()), float(scores.std())
    low = high = None
    if intervals and splits > 1:
        from scipy.stats import t

        half = float(t.ppf(0.975, splits - 1)) * std / np.sqrt(splits - 1)
        low, high = max(1.0, value - half), min(float(k), value + half)
    more = {"n": n, "classes": k, "std": std}
    return Measure(value, f"class-score/{classifier}/splits={splits}/n={n}", low, high, more)


def class_coverage(
    generated: Any,
    classes: int,
    *,
    real: Any = None,
    least: int = 1,
    classifier: str = "given",
    reference: str = "given",
    seed: int = 0,
    intervals: bool = True,
) -> dict[str, Measure]:
    """How many classes generated data covers, and how far its class shares are from the real ones.

    generated: labels (N,) from 0 to classes - 1, or probabilities (N, classes), of which the largest counts. real: the same
    for real data; None: every class has the same share. least: samples that make a class covered (1 for Stacked MNIST,
    Srivastava et al. 2017; 20 and more where a classifier errs).

    covered: the number of classes with `least` samples. more: shares, the share of every class with its 95 % interval
    (Wilson) as [share, low, high]; real_shares; missing, the classes not covered; `expected_same`, the number N samples with
    the real shares would cover on average. It has no interval: a resampled set can only lose classes.
    kl: KL(generated || real) of the shares, in nats; infinite when a class is made that no real sample has.
    js: Jensen-Shannon divergence, in nats, from 0 to log 2. Of finite sets both come out too large, by about (classes - 1)/2N
    for kl. Value and 95 % interval are of the true divergence, which is not below 0: multinomial counts of both sets are drawn
    anew, what their mean lies above the observed divergence is taken off (Davison and Hinkley 1997, section 2.1.4), and the
    interval is the basic bootstrap's (the same, section 5.2). Where kl is infinite, or would be in half of the draws, it is
    left as observed, without an interval. more: observed, the divergence of the shares as they are, which papers print; n,
    classes.

    The protocol reads `classes/<classifier>/K/least=1/n=N/m=M/ref=<reference>`, and without `least` `class-kl/unbiased/...`
    (or `observed`) and `class-js/unbiased/...`; `m=uniform` without real data. Raises GanvasError for labels out of range and
    rows that are no probabilities.
    """
    if classes < 2 or least < 1:
        raise GanvasError(f"classes={classes}, least={least}: give 2 classes and 1 sample or more")
    made = _counts(generated, classes)
    n = int(made.sum())
    truth = None if real is None else _counts(real, classes)
    real_shares = np.full(classes, 1 / classes) if truth is None else truth / truth.sum()
    sizes = f"n={n}/m={'uniform' if truth is None else int(truth.sum())}/ref={reference}"

    from scipy.stats import binom

    shares = made / n
    covered = made >= least
    more: dict[str, Any] = {
        "n": n,
        "classes": classes,
        "shares": [[float(s), *share_interval(float(s), n)] for s in shares],
        "real_shares": [float(s) for s in real_shares],
        "missing": [int(c) for c in np.flatnonzero(~covered)],
        "expected_same": float(binom.sf(least - 1, n, real_shares).sum()),
    }
    found = {"covered": Measure(float(covered.sum()), f"classes/{classifier}/{classes}/least={least}/{sizes}", more=more)}

    rng = np.random.default_rng(seed)
    drawn_made, drawn_real = rng.multinomial(n, shares, RESAMPLINGS) / n, real_shares
    if truth is not None:
        drawn_real = rng.multinomial(int(truth.sum()), real_shares, RESAMPLINGS) / truth.sum()
    for name, divergence in (("kl", _kl), ("js", _js)):
        observed = value = float(divergence(shares, real_shares))
        low = high = None
        resampled = divergence(drawn_made, drawn_real)
        resampled = resampled[np.isfinite(resampled)]  # a rare class may be missing from a resampled reference
        known = np.isfinite(observed) and len(resampled) >= RESAMPLINGS / 2
        if known:
            above, value, below = (max(0.0, 2 * observed - end) for end in _ends(resampled))
            low, high = (min(above, value), max(below, value)) if intervals else (None, None)
        protocol = f"class-{name}/{'unbiased' if known else 'observed'}/{classifier}/{classes}/{sizes}"
        found[name] = Measure(value, protocol, low, high, {"n": n, "classes": classes, "observed": observed})
    return found


def _ends(resampled: np.ndarray) -> tuple[float, float, float]:
    """Upper end, mean and lower end of resampled numbers."""
    lower, upper = np.quantile(resampled, [0.025, 0.975])
    return float(upper), float(resampled.mean()), float(lower)


def different_bins(
    generated: Any,
    real: Any,
    *,
    bins: int = 100,
    level: float = 0.05,
    features: str = "given",
    reference: str = "given",
    seed: int = 0,
) -> Measure:
    """Share of statistically different bins: NDB/K of Richardson and Weiss 2018 (arXiv 1805.12462).

    The real features (M, d) are cut into `bins` clusters (k-means, from `seed`), the generated (N, d) go to the nearest
    centre, and a bin is different when a two-proportion z-test at `level` says so. At most one bin per 50 real samples is
    made; fewer than asked for are named in the protocol: `ndb/<features>/bins=K(asked=100)/level=0.05/n=N/m=M/ref=...`.

    Equal distributions give about `level`. The number grows with N and M at a fixed defect: compare at equal
    sizes. It has no interval, because the bins' counts depend on each other. more: n, m, bins, different (their number),
    `same_range` (95 % range of `different` when every bin differs with probability `level`), js (Jensen-Shannon divergence
    of the shares, nats), few_expected (bins with fewer than 5 samples expected in a set, where the test is unreliable).

    Raises GanvasError for unequal widths, NaN or infinity, fewer than 100 real or 5 generated samples, and less than 2 bins.
    """
    g, r = feature_pair(generated, real, least=5, what="NDB")
    if len(r) < 2 * SAMPLES_PER_BIN:
        raise GanvasError(f"NDB needs at least {2 * SAMPLES_PER_BIN} real samples, got {len(r)}; add samples")
    if bins < 2 or not 0 < level < 1:
        raise GanvasError(f"bins={bins}, level={level}: give 2 bins or more and a level between 0 and 1")
    from scipy.stats import binom, norm
    from sklearn.cluster import KMeans

    n, m = len(g), len(r)
    count = min(bins, m // SAMPLES_PER_BIN)
    # k-means takes one type of numbers; a centre of float32 features needs no more digits than they have.
    kind = np.result_type(g, r)
    clusters = KMeans(count, n_init=1, random_state=seed).fit(r.astype(kind, copy=False))
    made = np.bincount(clusters.predict(g.astype(kind, copy=False)), minlength=count)
    truth = np.bincount(clusters.labels_, minlength=count)
    pooled = (made + truth) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    gap = made / n - truth / m
    z = np.divide(gap, error, out=np.zeros(count), where=error > 0)
    different = int((2 * norm.sf(np.abs(z)) < level).sum())
    more = {
        "n": n,
        "m": m,
        "bins": count,
        "different": different,
        "expected_same": level,
        "same_range": [int(q) for q in binom.ppf([0.025, 0.975], count, level)],
        "js": float(_js(made / n, truth / m)),
        "few_expected": int((pooled * min(n, m) < 5).sum()),
    }
    asked = "" if count == bins else f"(asked={bins})"
    protocol = f"ndb/{features}/bins={count}{asked}/level={level:g}/n={n}/m={m}/ref={reference}"
    return Measure(different / count, protocol, more=more)


def _score(p: np.ndarray) -> float:
    """exp(mean KL(row || mean row)), with 0 log 0 = 0."""
    ratio = np.log(np.where(p > 0, p, 1)) - np.log(np.maximum(p.mean(axis=0), np.finfo(float).tiny))
    return max(1.0, float(np.exp((p * ratio).sum(axis=1).mean())))  # below by rounding alone


def _kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p || q) over the last axis, in nats, with 0 log 0 = 0; infinite where q lacks what p has."""
    from scipy.special import rel_entr

    made: np.ndarray = rel_entr(p, q).sum(axis=-1)
    return made


def _js(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    middle = (p + q) / 2
    return (_kl(p, middle) + _kl(q, middle)) / 2


def _probabilities(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    p = np.asarray(values, dtype=np.float64)
    if p.ndim != 2 or len(p) == 0 or p.shape[1] < 2:
        raise GanvasError(f"class probabilities have shape (N, K) with K of 2 or more, not {p.shape}")
    if not ((p >= 0).all() and np.allclose(p.sum(axis=1), 1, atol=1e-4)):  # false for NaN as well
        raise GanvasError("class probabilities must be 0 or above and sum to 1 in every row; apply a softmax first")
    return p / p.sum(axis=1, keepdims=True)


def _counts(values: Any, classes: int) -> np.ndarray:
    """Samples of each class, from labels (N,) or probabilities (N, classes)."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    labels = np.asarray(values)
    if labels.ndim == 2:
        p = _probabilities(labels)
        if p.shape[1] != classes:
            raise GanvasError(f"probabilities of {p.shape[1]} classes, but classes={classes}")
        labels = p.argmax(axis=1)
    if labels.ndim != 1 or len(labels) == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise GanvasError(f"labels are integers (N,), not {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= classes:
        raise GanvasError(f"labels from {labels.min()} to {labels.max()}, but classes={classes}: give 0 to {classes - 1}")
    return np.bincount(labels, minlength=classes)
