"""What a table's spec learns of its rows beside their scale: the modes of numbers, their bounds and order, shares of values."""

from __future__ import annotations

import warnings

import numpy as np

from .spec import DATE, NUMBER, TableSpec

MOST_MODES = 10
LEAST_WEIGHT = 0.005  # of a mode that is kept
MOST_ROWS = 5_000  # that a mixture is fitted on: more change no mode that matters
LEAST_ROWS = 100  # that an order of two columns must hold in, so that it is no accident


def modes_of(values: np.ndarray, spec: TableSpec) -> tuple[tuple[tuple[float, float, float], ...], ...]:
    """(weight, mean, standard deviation) of up to 10 Gaussians a number, in standard deviations from the mean; none of others.

    A variational mixture with a Dirichlet process as its prior, which leaves modes empty that it does not need. Xu et al. 2019,
    section 4.2.
    """
    found = []
    for k, type_ in enumerate(spec.types):
        column = values[:, k].astype(np.float64)
        column = (column[~np.isnan(column)] - spec.centre[k]) / spec.scale[k]
        found.append(_mixture(column) if type_ == NUMBER and len(column) else ())
    return tuple(found)


def _mixture(column: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    rng = np.random.default_rng(0)
    if len(column) > MOST_ROWS:
        column = column[np.sort(rng.choice(len(column), MOST_ROWS, replace=False))]
    distinct = len(np.unique(column))
    if distinct < 2:
        return ((1.0, float(column[0]), 1.0),)
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    fit = BayesianGaussianMixture(
        n_components=min(MOST_MODES, distinct), weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=0.001, max_iter=100, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit.fit(column[:, None])
    weights, means = fit.weights_, fit.means_[:, 0]
    deviations = np.sqrt(fit.covariances_[:, 0, 0])
    kept = weights > LEAST_WEIGHT
    made = zip(weights[kept] / weights[kept].sum(), means[kept], deviations[kept], strict=True)
    return tuple((float(weight), float(mean), float(deviation)) for weight, mean, deviation in made)


def bounds_of(values: np.ndarray, spec: TableSpec) -> tuple[tuple[float, float], ...]:
    """(least, greatest) of numbers; (0, 0) of others, and of those that are always missing."""
    found = []
    for k, type_ in enumerate(spec.types):
        there = values[~np.isnan(values[:, k]), k]
        number = type_ == NUMBER and len(there)
        found.append((float(there.min()), float(there.max())) if number else (0.0, 0.0))
    return tuple(found)


def order_of(values: np.ndarray, spec: TableSpec) -> tuple[tuple[int, int], ...]:
    """Pairs of numbers of which the first is never above the second, in every row that has both, although their ranges overlap:
    a lower and an upper pressure, an admission and a discharge."""
    numbers = [k for k, type_ in enumerate(spec.types) if type_ == NUMBER]
    bounds, found = bounds_of(values, spec), []
    for first in numbers:
        for second in numbers:
            alike = (spec.decimals[first] == DATE) == (spec.decimals[second] == DATE)
            finer = spec.decimals[second] == -1 or spec.decimals[second] >= spec.decimals[first]  # else rounding may undo it
            if first == second or not alike or not finer or bounds[first][1] <= bounds[second][0]:
                continue
            one, other = values[:, first], values[:, second]
            if (one[:LEAST_ROWS] > other[:LEAST_ROWS]).any():  # NaN compares as False
                continue
            both = ~(np.isnan(one) | np.isnan(other))
            if both.sum() >= LEAST_ROWS and not (one > other).any() and (one < other).any():
                found.append((first, second))
    return tuple(found)


def shares_of(states: np.ndarray, spec: TableSpec) -> tuple[float, ...]:
    """Of each value of `spec.states` the share of rows (N, choices) that show it."""
    if not spec.states:
        return ()
    counts = np.bincount(states.ravel(), minlength=spec.states[-1].start + spec.states[-1].width)
    return tuple(float(share) for share in counts / max(1, len(states)))
