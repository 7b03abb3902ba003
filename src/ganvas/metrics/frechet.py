"""Frechet distance of two sets of features: of the normal distributions with their means and covariances.

    |mean_a - mean_b|^2 + Tr(S_a) + Tr(S_b) - 2 Tr((S_a S_b)^(1/2))

(Dowson and Landau 1982; for Inception features this is the FID of Heusel et al. 2017, arXiv 1706.08500.) No matrix square
root is taken. With factors A, B such that S_a = A^T A and S_b = B^T B, the last trace is the sum of the singular values of
A B^T. For a set of more samples than numbers the factor is the Cholesky factor of its covariance (d x d); for a smaller set
it is the centred samples themselves (n x d), so that a small set costs n^2 d instead of d^3. All in float64.

The distance of finite sets is biased upwards, by about c/N with a c that depends on the distributions: compare numbers of
the same N only. `frechet_extrapolated` removes most of the bias. Not for sets of d samples or fewer, where the covariance
has not its full rank and the bias is most of the number: it is computed, said (`full_rank`), and the kernel distance is the
number to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ganvas.errors import GanvasError
from ganvas.metrics.measure import Measure
from ganvas.metrics.sets import feature_matrix, feature_pair

GROUPS = 20
LEAST = 4
SIZES = 15
SAMPLES_PER_NUMBER = 4  # of the extrapolation: see `frechet_extrapolated`
ADVICE = (
    "fewer samples than numbers in a feature vector, so the covariance has not its full rank: read the kernel distance (kid)"
)


class FeatureMoments:
    """Mean and covariance of features, gathered a batch at a time: all a Frechet distance needs of a set.

    Batches and partial sums are combined by the formula of Chan, Golub and LeVeque (1983) in float64, so the order of
    updates and merges changes results in the last digits only. Memory is d^2 numbers, however many samples.
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean = np.zeros(0)
        self.scatter = np.zeros((0, 0))  # sum of (x - mean)(x - mean)^T

    def update(self, features: Any) -> None:
        """Add features (N, d). Raises GanvasError for another d than before, NaN or infinity."""
        matrix = feature_matrix(features)
        step = max(1, 2**22 // matrix.shape[1])  # 32 MB of float64 at a time
        for start in range(0, len(matrix), step):
            part = matrix[start : start + step].astype(np.float64)
            mean = part.mean(axis=0)
            part -= mean
            self._add(len(part), mean, part.T @ part)

    def merge(self, other: FeatureMoments) -> None:
        """Add what another accumulator gathered."""
        if other.n:
            self._add(other.n, other.mean, other.scatter)

    def _add(self, n: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        if not self.n:
            self.n, self.mean, self.scatter = n, mean.copy(), scatter.copy()
            return
        if mean.shape != self.mean.shape:
            raise GanvasError(f"features of {len(mean)} numbers cannot join those of {len(self.mean)}; use one extractor")
        total, apart = self.n + n, mean - self.mean
        self.scatter += scatter
        self.scatter += np.outer(apart * (self.n * n / total), apart)
        self.mean = self.mean + apart * (n / total)
        self.n = total

    @property
    def covariance(self) -> np.ndarray:
        """The unbiased covariance (d, d). Raises GanvasError below 2 samples."""
        if self.n < 2:
            raise GanvasError(f"a covariance needs at least 2 samples, got {self.n}")
        made: np.ndarray = self.scatter / (self.n - 1)
        return made

    def state(self) -> dict[str, np.ndarray]:
        """Plain arrays for `from_state`, in another process say."""
        return {"n": np.array(self.n), "mean": self.mean.copy(), "scatter": self.scatter.copy()}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> FeatureMoments:
        """The accumulator whose `state` this is."""
        made = cls()
        made.n = int(state["n"])
        made.mean = np.array(state["mean"], dtype=np.float64)
        made.scatter = np.array(state["scatter"], dtype=np.float64)
        return made

    def compute(self, other: FeatureMoments, *, features: str = "given", reference: str = "given") -> Measure:
        """Frechet distance to the reference `other`, as `frechet_distance` without an interval: moments have none."""
        for gathered in (self, other):
            if gathered.n < LEAST:
                raise GanvasError(f"a Frechet distance needs at least {LEAST} samples in each set, got {self.n} and {other.n}")
        if self.mean.shape != other.mean.shape:
            raise GanvasError(
                f"features of {len(self.mean)} and {len(other.mean)} numbers cannot be compared; use one extractor"
            )
        means = _squared_gap(self.mean, other.mean)
        traces = float(np.trace(self.covariance) + np.trace(other.covariance))
        shared = _shared(_root(self.covariance), _root(other.covariance))
        return _measure(means, traces, shared, self.n, other.n, len(self.mean), features, reference)


def frechet_distance(a: Any, b: Any, *, features: str = "given", reference: str = "given", intervals: bool = True) -> Measure:
    """Frechet distance between set `a` (generated, (N, d)) and set `b` (reference, (M, d)), 0 or above.

    The 95 % interval is of the distance at these N and M, bias included. It comes from the delete-a-group jackknife: both
    sets are cut at random into 20 groups (fewer for small sets), the distance is taken 20 times with one group of each left
    out, and the spread of these around their own mean gives the standard error (Student's t with groups - 1 degrees of
    freedom). Every replicate has the same 19/20 of the samples, so the bias is common to them and does not enter; a bootstrap
    would repeat samples, lower the rank and double the bias. Near equal distributions the interval is conservative.

    The protocol reads `fd/<features>/n=N/m=M/ref=<reference>`. more: n, m, d, mean_term and covariance_term (their sum is
    the value), full_rank (N > d and M > d) and, when not, `advice`.

    Raises GanvasError for features of unequal width, NaN or infinity, and fewer than 4 samples in a set.
    """
    x, y = feature_pair(a, b, least=LEAST, what="a Frechet distance")
    parts = _distance(x, y)
    low = high = None
    if intervals:
        half = _jackknife(x, y)
        value = max(0.0, parts[0] + parts[1] - 2 * parts[2])
        low, high = max(0.0, value - half), value + half
    return _measure(*parts, len(x), len(y), x.shape[1], features, reference, low, high)


def frechet_extrapolated(
    a: Any,
    b: Any,
    *,
    features: str = "given",
    reference: str = "given",
    repetitions: int = 5,
    seed: int = 0,
    intervals: bool = True,
) -> Measure:
    """Frechet distance for N to infinity: the intercept of a straight line in 1/N (Chong and Forsyth 2020, arXiv 1911.07023).

    The distance is taken at 15 sizes, evenly spaced from the larger of 2 d and min(5000, N/10) up to N, the size of the
    smaller set; both sets are drawn down together, so that the bias of the reference goes as well (the paper keeps a
    reference of 50 000). Random subsets are drawn `repetitions` times from `seed`; the value is the mean intercept, which
    may be negative near 0 and is not clipped. The bias is straight in 1/N only while N is well above d: so at least
    4 d samples (and 40) are needed in each set.

    The 95 % interval adds two variances: of the mean intercept over repetitions (the drawing), and the jackknife variance of
    the distance at full size (the samples). To first order the second is that of the intercept: every subset's distance,
    averaged over draws, depends on a sample in the same way, and the weights of an intercept add up to 1.

    The protocol reads `fd-infinity/<features>/n=N/m=M/sizes=LOW-HIGH/ref=<reference>`. more: n, m, d, slope (the
    distance at size N is about value + slope/N) and full_size (the distance at the largest size).

    Raises GanvasError as `frechet_distance` does, below the least size, and for fewer than 2 repetitions.
    """
    x, y = feature_pair(a, b, least=LEAST, what="a Frechet distance")
    d, size = x.shape[1], min(len(x), len(y))
    least = max(40, SAMPLES_PER_NUMBER * d)
    if size < least:
        raise GanvasError(
            f"an extrapolated Frechet distance of {d} numbers needs at least {least} samples in each set, got {len(x)} and "
            f"{len(y)}: add samples, or read the kernel distance (kid)"
        )
    if repetitions < 2:
        raise GanvasError(f"repetitions {repetitions}: give 2 or more")
    sizes = np.linspace(max(2 * d, min(5000, size // 10), 8), size, SIZES).astype(int)
    rng = np.random.default_rng(seed)
    intercepts, slopes, full = np.zeros(repetitions), np.zeros(repetitions), np.zeros(repetitions)
    for repetition in range(repetitions):
        values = []
        for count in sizes:
            means, traces, shared = _distance(x[rng.permutation(len(x))[:count]], y[rng.permutation(len(y))[:count]])
            values.append(means + traces - 2 * shared)
        slopes[repetition], intercepts[repetition] = np.polyfit(1 / sizes, values, 1)
        full[repetition] = values[-1]
    value, low, high = float(intercepts.mean()), None, None
    if intervals:
        half = float(np.hypot(_jackknife(x, y), _student(repetitions - 1) * intercepts.std(ddof=1) / np.sqrt(repetitions)))
        low, high = value - half, value + half
    protocol = f"fd-infinity/{features}/n={len(x)}/m={len(y)}/sizes={sizes[0]}-{sizes[-1]}/ref={reference}"
    more = {"n": len(x), "m": len(y), "d": d, "slope": float(slopes.mean()), "full_size": float(full.mean())}
    return Measure(value, protocol, low, high, more)


def _measure(
    means: float,
    traces: float,
    shared: float,
    n: int,
    m: int,
    d: int,
    features: str,
    reference: str,
    low: float | None = None,
    high: float | None = None,
) -> Measure:
    value = max(0.0, means + traces - 2 * shared)
    more: dict[str, Any] = {"n": n, "m": m, "d": d, "mean_term": means, "covariance_term": value - means}
    more["full_rank"] = min(n, m) > d
    if not more["full_rank"]:
        more["advice"] = ADVICE
    return Measure(value, f"fd/{features}/n={n}/m={m}/ref={reference}", low, high, more)


def _squared_gap(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a - b) ** 2).sum())


def _distance(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """|mean_x - mean_y|^2, Tr(S_x) + Tr(S_y), Tr((S_x S_y)^(1/2)) of two sets of samples."""
    (mean_x, trace_x, root_x), (mean_y, trace_y, root_y) = _summary(x), _summary(y)
    return _squared_gap(mean_x, mean_y), trace_x + trace_y, _shared(root_x, root_y)


def _summary(samples: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Mean, trace of the covariance, and a factor of it, of a set of samples."""
    if len(samples) > samples.shape[1]:
        moments = FeatureMoments()
        moments.update(samples)
        covariance = moments.covariance
        return moments.mean, float(np.trace(covariance)), _root(covariance)
    mean = samples.mean(axis=0, dtype=np.float64)
    centred = (samples - mean) / np.sqrt(len(samples) - 1)
    return mean, float((centred**2).sum()), centred


def _root(covariance: np.ndarray) -> np.ndarray:
    """A factor R with R^T R = covariance: from Cholesky, or from eigenvectors where the covariance is singular."""
    try:
        upper: np.ndarray = np.linalg.cholesky(covariance).T
        return upper
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
        root: np.ndarray = (vectors[:, kept] * np.sqrt(values[kept])).T
        return root


def _shared(root_a: np.ndarray, root_b: np.ndarray) -> float:
    """Tr((S_a S_b)^(1/2)), from factors of both: the sum of the singular values of root_a root_b^T.

    Small products are decomposed as they are; large ones through the eigenvalues of their symmetric square, in a third of
    the time, at the price of about 1e-8 of the largest singular value each.
    """
    product = root_a @ root_b.T
    if min(product.shape) == 0:
        return 0.0
    if min(product.shape) <= 256:
        return float(np.linalg.svd(product, compute_uv=False).sum())
    square = product @ product.T if len(product) <= product.shape[1] else product.T @ product
    return float(np.sqrt(np.clip(np.linalg.eigvalsh(square), 0, None)).sum())


def _jackknife(x: np.ndarray, y: np.ndarray) -> float:
    """Half the width of the 95 % interval of the distance of x and y (see `frechet_distance`)."""
    groups = min(GROUPS, min(len(x), len(y)) // 2)
    values = []
    for (mean_x, trace_x, root_x), (mean_y, trace_y, root_y) in zip(_leave_out(x, groups), _leave_out(y, groups), strict=True):
        values.append(_squared_gap(mean_x, mean_y) + trace_x + trace_y - 2 * _shared(root_x, root_y))
    return float(_student(groups - 1) * np.sqrt((groups - 1) * np.var(values)))


def _leave_out(samples: np.ndarray, groups: int) -> Iterator[tuple[np.ndarray, float, np.ndarray]]:
    """`_summary` of the set without one of `groups` random groups, for each group in turn."""
    group_of = np.random.default_rng(0).permutation(len(samples)) % groups
    if len(samples) - np.bincount(group_of).max() <= samples.shape[1]:
        for group in range(groups):
            yield _summary(samples[group_of != group])
        return
    whole = FeatureMoments()
    whole.update(samples)
    for group in range(groups):
        part = FeatureMoments()
        part.update(samples[group_of == group])
        rest = whole.n - part.n
        mean = (whole.n * whole.mean - part.n * part.mean) / rest
        apart = part.mean - mean
        scatter = whole.scatter - part.scatter  # Chan's formula backwards: one pass over the set, not one a group
        scatter -= np.outer(apart * (rest * part.n / whole.n), apart)
        scatter /= rest - 1
        yield mean, float(np.trace(scatter)), _root(scatter)


def _student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t distribution."""
    from scipy.special import stdtrit  # scipy.stats takes two seconds to load

    return float(stdtrit(freedom, 0.975))
