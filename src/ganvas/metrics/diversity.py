"""How different two images of a set are, as a network sees it: perceptual distances and their mean over all pairs.

The distance is made as LPIPS is (Zhang et al. 2018, arXiv 1801.03924, equation 1, with all weights equal) on the feature
maps of the default extractor, so it is called `lpips-like` and never LPIPS: the network is EfficientNet-lite0, and no
human judgements went into it. At five depths the channels at each position are scaled to length 1; the squared
differences are summed over channels, averaged over positions, and averaged over depths: 0 for equal images, at most 4.

A set has more than one right diversity: noise has the highest. Compare with real pairs, of the same class.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import GanvasError
from ganvas.metrics.features import PROTOCOL, SIDE, Size, _height_width, _reader, at_once, extractor_network
from ganvas.metrics.measure import Measure
from ganvas.metrics.pixels import compared, normal_interval

if TYPE_CHECKING:
    import torch

    Images = np.ndarray | torch.Tensor

DEPTHS = (0, 2, 4, 10, 15)
"""Blocks of the network behind which it is read: 80, 40, 20, 10 and 5 positions a side, 16 to 320 channels."""

GROUPS = 20  # parts of a class that the jackknife leaves out in turn


def perceptual_distances(a: Images, b: Images, *, size: Size | None = None, batch: int = 32, device: str = "cpu") -> np.ndarray:
    """`lpips-like` distances of paired images, (N,) float64: that of a[i] and b[i].

    a, b: images as `ganvas.metrics.image_features` takes them, as many of one as of the other; `size` as there.
    Raises GanvasError for other images or unequal numbers.
    """
    if len(a) != len(b):
        raise GanvasError(f"{len(a)} and {len(b)} images cannot be paired: give as many of one as of the other")
    parts = zip(_embeddings(a, size, batch, device), _embeddings(b, size, batch, device), strict=True)
    return np.concatenate([np.zeros(0), *(((x - y) ** 2).sum(dim=1).double().cpu().numpy() for x, y in parts)])


def pairwise_diversity(
    generated: Images,
    real: Images | None = None,
    *,
    labels: Any = None,
    real_labels: Any = None,
    size: Size | None = None,
    most: int | None = 500,
    seed: int = 0,
    intervals: bool = True,
    batch: int = 32,
    device: str = "cpu",
    reference: str = "given",
) -> Measure:
    """Mean `lpips-like` distance over ALL pairs of a set, or of its classes: HIGHER is more diverse; right is what real has.

    generated, real: images as `ganvas.metrics.image_features` takes them. labels, real_labels: (N,) and (M,) classes; then
    only pairs within a class count, each class by its share of the images, and classes of fewer than 3 images are left
    out (`left_out`, `real_left_out` say how many images these are). size: the resolution of the run. most: images of a set
    that are looked at, drawn from `seed` when there are more.

    The distance is a squared Euclidean one, so the mean over all pairs is twice the variance and takes one pass: no pairs
    are drawn. intervals: 95 %, by leaving out a twentieth of each class in turn (grouped jackknife over images; below 20
    images, each in turn). The protocol reads `lpips-like/<features>/pairs=all/within=class|set/n=N/m=M/ref=<reference>`.

    more: where `real` is given, `real` with `real_low`, `real_high`, and `ratio` (generated / real; below 1: less diverse
    than real images) with `ratio_low`, `ratio_high`.

    Raises GanvasError for other images, labels for one set only, and sets without 3 images in any class.
    """
    if (labels is None) != (real_labels is None) and real is not None:
        raise GanvasError("labels were given for one set only: give labels and real_labels, or neither")
    sets = [(generated, labels)] if real is None else [(generated, labels), (real, real_labels)]
    found = [_diversity(*part, size, most, seed, batch, device) for part in sets]
    value, error, looked, left_out = found[0]
    at = "" if size is None else "/at={}x{}".format(*_height_width(size))
    base = "" if real is None else f"/m={found[1][2]}/ref={reference}"
    protocol = f"lpips-like/{PROTOCOL}{at}/pairs=all/within={'set' if labels is None else 'class'}/n={looked}{base}"
    more: dict[str, Any] = {} if real is None else compared((value, error), found[1][:2], intervals)
    if labels is not None:
        more["left_out"] = left_out
        if real is not None:
            more["real_left_out"] = found[1][3]
    if not intervals:
        return Measure(value, protocol, more=more)
    return Measure(value, protocol, *normal_interval(value, error), more)


def _diversity(
    images: Images, labels: Any, size: Size | None, most: int | None, seed: int, batch: int, device: str
) -> tuple[float, float, int, int]:
    """Mean over pairs, its standard error, images looked at, and images in classes too small to count."""
    kinds = np.zeros(len(images), np.int64) if labels is None else np.unique(np.asarray(labels), return_inverse=True)[1].ravel()
    if len(kinds) != len(images):
        raise GanvasError(f"{len(kinds)} labels for {len(images)} images: give one for each")
    order = np.random.default_rng([seed, 0xD1]).permutation(len(images))[:most]
    classes = [order[kinds[order] == kind] for kind in np.unique(kinds[order])]
    counted = [c for c in classes if len(c) >= 3]
    looked = sum(len(c) for c in counted)
    if not looked:
        raise GanvasError("a diversity needs 3 images (of one class where labels are given): give more images, or no labels")
    value = variance = 0.0
    for chosen in counted:
        mean, spread = _class_diversity(images, chosen, size, batch, device)
        value += mean * len(chosen) / looked
        variance += spread * (len(chosen) / looked) ** 2
    return value, math.sqrt(variance), looked, len(order) - looked


def _class_diversity(images: Images, chosen: np.ndarray, size: Size | None, batch: int, device: str) -> tuple[float, float]:
    """Mean squared distance over all pairs of the chosen images, and its jackknife variance."""
    import torch

    groups = min(GROUPS, len(chosen))
    member = torch.arange(len(chosen)) * groups // len(chosen)
    counts = torch.bincount(member, minlength=groups).double()
    sums, squares = None, torch.zeros(groups, dtype=torch.float64)
    start = 0
    for made in _embeddings(images, size, batch, device, chosen):
        own = member[start : start + len(made)]
        made = made.cpu()
        if sums is None:
            sums = torch.zeros(groups, made.shape[1], dtype=torch.float64)
        for group in own.unique():
            sums[group] += made[own == group].sum(dim=0, dtype=torch.float64)
        squares.index_add_(0, own, (made.double() ** 2).sum(dim=1))
        start += len(made)
    assert sums is not None  # three images or more are chosen
    # |sum over all|^2 and the like follow from the products of the groups' sums.
    products = sums @ sums.T
    total, all_products = squares.sum(), products.sum()
    whole = _mean_over_pairs(len(chosen), total, all_products)
    without = _mean_over_pairs(
        len(chosen) - counts, total - squares, all_products - 2 * products.sum(dim=1) + products.diagonal()
    )
    variance = (groups - 1) * without.var(correction=0)
    return float(whole), float(variance)


def _mean_over_pairs(count: Any, squares: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """Mean of |x - y|^2 over pairs, from the sum of |x|^2 and |sum of x|^2. Not below 0, where rounding would bring it."""
    return (2 * (squares - product / count) / (count - 1)).clamp(min=0)


def _embeddings(
    images: Images, size: Size | None, batch: int, device: str, chosen: np.ndarray | None = None
) -> Iterator[torch.Tensor]:
    """Vectors (n, 175 520) whose squared distance is the perceptual distance, batch by batch. Prepared as features are."""
    import torch
    from torch.nn import functional

    read = _reader(images)
    network = extractor_network(str(device))
    target = None if size is None else _height_width(size)
    at = np.arange(len(images)) if chosen is None else chosen
    batch = at_once(batch, device)
    for start in range(0, len(at), batch):
        with torch.no_grad(), torch.autocast(torch.device(device).type, enabled=False):
            part = read(images[at[start : start + batch]]).to(device)
            if part.shape[1] not in (1, 3):
                part = part.mean(dim=1, keepdim=True)
            for goal in (target, (SIDE, SIDE)):
                if goal is not None and tuple(part.shape[2:]) != goal:
                    part = functional.interpolate(part, size=goal, mode="bilinear", antialias=True)
            maps = part.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
            maps = network._swish(network._bn0(network._conv_stem(maps)))
            found = []
            for depth, block in enumerate(network._blocks[: DEPTHS[-1] + 1]):
                maps = block(maps)
                if depth in DEPTHS:
                    positions = maps.shape[2] * maps.shape[3]
                    unit = functional.normalize(maps, dim=1, eps=1e-10)
                    found.append(unit.flatten(1) / math.sqrt(positions * len(DEPTHS)))
            made = torch.cat(found, dim=1)
        yield made
