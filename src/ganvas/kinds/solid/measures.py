"""What is measured of solids: how much they overlap with shapes that nobody has learnt, and in how many pieces they are."""

from __future__ import annotations

import numpy as np

from ...metrics.measure import Measure
from ...metrics.pixels import normal_interval
from ..facets import Side

COMPARED = 500  # solids of a side whose overlaps are looked at
_BLOCK = 2**22  # voxels multiplied at once


def overlaps(solids: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair of voxel records: (N, M) float32, 0 to 1; of two empty ones 0."""
    one, other = (np.asarray(x).reshape(len(x), -1) for x in (solids, others))
    step = max(1, _BLOCK // one.shape[1])
    common = np.zeros((len(one), len(other)), np.float32)
    for i in range(0, len(one), step):
        rows = one[i : i + step].astype(np.float32)
        for j in range(0, len(other), step):
            common[i : i + step, j : j + step] = rows @ other[j : j + step].astype(np.float32).T
    sizes = [side.sum(1, dtype=np.float32) for side in (one, other)]
    result: np.ndarray = common / np.maximum(sizes[0][:, None] + sizes[1] - common, 1)
    return result


def pieces(solids: np.ndarray) -> np.ndarray:
    """How many parts each solid (N, side, side, side) has: (N,) int64. Voxels that share a face belong together."""
    from scipy.ndimage import label

    return np.array([label(solid)[1] for solid in np.asarray(solids)], np.int64)


def some_of(side: Side, most: int, seed: int) -> np.ndarray:
    """At most so many records of a side, always the same ones."""
    rows = np.random.default_rng([seed, 0x50]).permutation(len(side[0]))[:most]
    return np.asarray(side[0])[np.sort(rows)]


def measures(made: Side, train: Side, heldout: Side, seed: int) -> dict[str, Measure]:
    """Both ways between samples and the held-out part, and pieces; each with what as many training records have (`real`).

    overlap_of_samples: of each sample, intersection over union with the nearest held-out solid, mean: are samples like real
    ones? Blurred ones reach much too. overlap_of_heldout: of each held-out solid, with the nearest sample: are all kinds made?
    Both are left out where the sides differ. one_piece: share of samples in one piece.
    """
    samples, held = (some_of(side, COMPARED, seed) for side in (made, heldout))
    known = some_of(train, len(samples), seed)
    found = {}
    if samples.shape[1:] == held.shape[1:]:
        own, real = overlaps(samples, held), overlaps(known, held)
        for axis, key in ((1, "overlap_of_samples"), (0, "overlap_of_heldout")):
            nearest, sides = own.max(axis), ("samples", "heldout") if axis else ("heldout", "samples")
            ends = normal_interval(float(nearest.mean()), float(nearest.std(ddof=1) / np.sqrt(len(nearest))))
            protocol = f"iou of {sides[0]} with the nearest/n={len(samples)}/m={len(held)}/ref={sides[1]}"
            found[key] = Measure(float(nearest.mean()), protocol, *ends, {"real": float(real.max(axis).mean())})
    whole = pieces(samples)
    more = {"real": float((pieces(known) == 1).mean()), "median": float(np.median(whole))}
    found["one_piece"] = Measure(float((whole == 1).mean()), f"one piece/voxels joined by faces/n={len(samples)}", more=more)
    return found
