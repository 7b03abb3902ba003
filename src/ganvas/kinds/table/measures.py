"""What the field measures of tables: distances of columns, and of the correlations between them. Not for how real a row is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...metrics.measure import Measure
from ..facets import Pairs, Side
from . import judging
from .spec import NUMBER, TableSpec


def measures(made: Side, train: Side, heldout: Side, tensor: Callable[[np.ndarray, Any], np.ndarray]) -> dict[str, Measure]:
    """Distances of samples from the held-out part, with what training records have in their place (`real`).

    wasserstein: of each number, the 1-Wasserstein distance in standard deviations of the training data, the mean over columns.
    total_variation: half the summed differences of shares, of binary values and classes, a missing value being one more of them
    (of numbers, too, that may be missing). correlation: the mean absolute difference of the correlations between all places of
    the tensors. `more` has each column's own. detection, usefulness: see `judging`.
    """
    spec: TableSpec = train[1]
    sides = {name: np.asarray(side[0]) for name, side in (("made", made), ("train", train), ("heldout", heldout))}
    sizes = f"n={len(sides['made'])}/m={len(sides['heldout'])}/ref=heldout"
    found: dict[str, Measure] = {}

    def put(key: str, protocol: str, own: dict[str, float], real: dict[str, float]) -> None:
        if own:
            more: dict[str, Any] = {
                "real": float(np.mean(list(real.values()))),
                "columns": list(own),
                "each": list(own.values()),
            }
            found[key] = Measure(float(np.mean(list(own.values()))), f"{protocol}/{sizes}", more=more)

    apart: dict[str, dict[str, float]] = {"made": {}, "train": {}}
    shares: dict[str, dict[str, float]] = {"made": {}, "train": {}}
    for k, name in enumerate(spec.names):
        for side in apart:
            one, other = sides[side][:, k], sides["heldout"][:, k]
            if spec.types[k] == NUMBER:
                one_there, other_there = one[~np.isnan(one)], other[~np.isnan(other)]
                if len(one_there) and len(other_there):
                    apart[side][name] = wasserstein(one_there, other_there) / spec.scale[k]
            if spec.types[k] != NUMBER or spec.missing[k]:
                shares[side][name] = total_variation(one, other, 1 if spec.types[k] == NUMBER else len(spec.categories[k]))
    put("wasserstein", "wasserstein-1/in standard deviations, mean of numbers", apart["made"], apart["train"])
    put("total_variation", "total variation/mean of columns, missing as a category", shares["made"], shares["train"])
    tensors = {name: tensor(values, spec) for name, values in sides.items()}
    if spec.shape[0] > 1:
        gaps = {name: correlation_difference(tensors[name], tensors["heldout"]) for name in ("made", "train")}
        protocol = f"correlations/mean absolute difference of pairs of places/{sizes}"
        found["correlation"] = Measure(gaps["made"], protocol, more={"real": gaps["train"]})
    return found | judging.measures(sides["made"], sides["train"], sides["heldout"], spec)


def paired(made: np.ndarray, true: np.ndarray, spec: TableSpec) -> Pairs:
    """How near rows (N, columns) are to those they stand for.

    relative_error: the root mean square of the error of numbers, in standard deviations of the training data, where both are
    there. same_values: the share of binary values, classes and gaps (of numbers, too) that are as in the true row.
    """
    number = np.array([type_ == NUMBER for type_ in spec.types])
    gaps = np.array(spec.missing, bool)
    made, true = np.asarray(made, np.float64), np.asarray(true, np.float64)
    found: Pairs = {}
    if number.any():
        errors = np.square((made - true)[:, number] / np.array(spec.scale)[number])
        there = ~np.isnan(errors)
        with np.errstate(invalid="ignore"):
            mean = np.where(there, errors, 0.0).sum(axis=1) / there.sum(axis=1)
        found["relative_error"] = (np.sqrt(mean), "rmse/numbers in standard deviations")
    same = np.where(number, np.isnan(made) == np.isnan(true), (made == true) | (np.isnan(made) & np.isnan(true)))
    counted = ~number | gaps
    if counted.any():
        found["same_values"] = (same[:, counted].mean(axis=1), "share of values/missing as a category")
    return found


def wasserstein(one: np.ndarray, other: np.ndarray) -> float:
    """The 1-Wasserstein distance of two samples (N,), (M,): the area between their distribution functions."""
    one, other = np.sort(one.astype(np.float64)), np.sort(other.astype(np.float64))
    both = np.sort(np.concatenate([one, other]))
    below = [np.searchsorted(side, both[:-1], side="right") / len(side) for side in (one, other)]
    return float((np.abs(below[0] - below[1]) * np.diff(both)).sum())


def total_variation(one: np.ndarray, other: np.ndarray, categories: int) -> float:
    """Of two samples of indices, NaN being one more category; of numbers, categories 1: there or missing. 0 to 1."""

    def shares(values: np.ndarray) -> np.ndarray:
        gone = np.isnan(values)
        indices = np.where(gone, categories, 0 if categories == 1 else values).astype(int)
        return np.bincount(indices, minlength=categories + 1) / max(1, len(values))

    return float(np.abs(shares(one) - shares(other)).sum() / 2)


def correlation_difference(one: np.ndarray, other: np.ndarray) -> float:
    """The mean absolute difference of the correlations of all pairs of places of (N, D) and (M, D); constant ones count 0."""
    upper = np.triu_indices(one.shape[1], 1)

    def correlations(values: np.ndarray) -> np.ndarray:
        centred = values.astype(np.float64) - values.mean(0)
        length = np.sqrt((centred**2).sum(0))
        unit = centred / np.where(length > 1e-9, length, 1.0)
        found: np.ndarray = (unit.T @ unit)[upper]
        return found

    return float(np.abs(correlations(one) - correlations(other)).mean())
