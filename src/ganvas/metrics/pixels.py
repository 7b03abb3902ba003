"""Measures on pixels, without any extractor: intensities, grid artefacts, and how alike the images of a set are.

`intensity_distance` compares the histograms of intensities. `checkerboard_energy` looks for the grid that strided
transposed convolutions leave (Odena et al. 2016, "Deconvolution and checkerboard artifacts"). `diversity_ms_ssim` says how
alike two images of a set are (Odena et al. 2017, arXiv 1610.09585, section 4.2): a generator that has collapsed makes
images that are all alike. Not measures of what is shown: noise of the right histogram passes the first two and looks
wonderfully diverse to the third, so read them beside the feature distances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import GanvasError
from ganvas.metrics.features import _reader
from ganvas.metrics.measure import Measure
from ganvas.metrics.sets import NORMAL_95
from ganvas.metrics.spectrum import (
    bootstrap_means,
    divided_means,
    hann,
    resampled_counts,
    shifted_interval,
    unit_blocks,
    windowed,
)

if TYPE_CHECKING:
    import torch

    Images = np.ndarray | torch.Tensor

# Intensities


class IntensityHistogram:
    """Histogram of the intensities of a stream of images, a row a channel; whole numbers, so it merges exactly.

    bins: levels from the lowest to the highest value of the file type. 256 hold 8-bit images exactly; others are rounded
    to the nearest level.
    """

    def __init__(self, bins: int = 256) -> None:
        if bins < 2:
            raise GanvasError(f"bins {bins}: a histogram needs 2 or more")
        self.bins = bins
        self.images = 0
        self.counts: np.ndarray | None = None

    def update(self, images: Images) -> None:
        """Take images in, in any form that `intensity_distance` takes. Raises GanvasError for other channels."""
        if len(images):
            self._add(len(images), histograms(images, self.bins).sum(axis=0))

    def merge(self, other: IntensityHistogram) -> None:
        """Take in what another one has seen. Raises GanvasError when it has other channels or bins."""
        if other.bins != self.bins:
            raise GanvasError(f"histograms of {self.bins} and {other.bins} bins do not merge; make both with the same")
        if other.counts is not None:
            self._add(other.images, other.counts)

    def _add(self, images: int, counts: np.ndarray) -> None:
        if self.counts is None:
            self.counts = np.zeros_like(counts)
        _same_channels(len(self.counts), len(counts))
        self.images += images
        self.counts = self.counts + counts

    def shares(self) -> np.ndarray:
        """(C, bins): the share of pixels at each level. Raises GanvasError before the first image."""
        if self.counts is None:
            raise GanvasError("no images have been seen: a histogram needs at least 1")
        return np.asarray(self.counts / self.counts.sum(axis=1, keepdims=True))

    def compute(self, real: IntensityHistogram, *, reference: str = "given") -> Measure:
        """The value of `intensity_distance` without interval and chance, which need the single images.

        Raises GanvasError when either has seen no image, or when channels or bins differ.
        """
        mine, theirs = self.shares(), real.shares()
        _same_channels(len(mine), len(theirs))
        if self.bins != real.bins:
            raise GanvasError(f"histograms of {self.bins} and {real.bins} bins do not compare; make both with the same")
        gap = mine - theirs
        protocol = _intensity_protocol(self.bins, self.images, real.images, reference)
        return Measure(float(_transport(gap)), protocol, more=_intensity_details(gap, mine, theirs))

    def state(self) -> dict[str, np.ndarray]:
        """Plain arrays for `from_state`."""
        counts = np.zeros((0, self.bins), np.int64) if self.counts is None else self.counts
        return {"images": np.array(self.images, np.int64), "counts": counts}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> IntensityHistogram:
        """The inverse of `state`."""
        made = cls(state["counts"].shape[1])
        made.images = int(state["images"])
        made.counts = np.array(state["counts"], np.int64) if len(state["counts"]) else None
        return made


def intensity_distance(
    generated: Images,
    real: Images,
    *,
    bins: int = 256,
    intervals: bool = True,
    replicates: int = 1000,
    seed: int = 0,
    reference: str = "given",
) -> Measure:
    """1-Wasserstein distance of the intensities, in units of the range of the file type: 0 to 1, channels averaged.

    0.02 means: to make the histograms equal, intensities must be moved by 2 % of the range on average. It is the area
    between the two cumulative histograms. generated, real: images as `ganvas.metrics.image_features` takes them, equal
    in channels; sizes may differ. bins: levels, see `IntensityHistogram`; give 4096 for 16-bit files that use a small
    part of their range. intervals: 95 %, by bootstrap over the images. reference: what `real` is, for the protocol
    `intensity-w1/bins=256/n=N/m=M/ref=<reference>`.

    more: `total_variation` (half the sum of |differences| of the shares, 0 to 1, channels averaged; coarse levels or gaps
    in a histogram show here), `mean_shift` (generated - real mean intensity, in units of the range), `chance` (what random
    division of both sets together into two stays below in 95 of 100 cases).

    Raises GanvasError for other images, unequal channels, and fewer than 2 images in a set with intervals.
    """
    mine, theirs = (_shares_of_images(images, bins) for images in (generated, real))
    _same_channels(mine.shape[1], theirs.shape[1])
    n, m = len(mine), len(theirs)
    pooled, base = mine.mean(axis=0), theirs.mean(axis=0)
    gap = pooled - base
    value = float(_transport(gap))
    more = _intensity_details(gap, pooled, base)
    low = high = None
    if intervals:
        if min(n, m) < 2:
            raise GanvasError(f"an interval needs at least 2 images in each set, got {n} and {m}; give intervals=False")
        flat = [rows.reshape(len(rows), -1) for rows in (mine, theirs)]
        drawn = bootstrap_means(flat[0], replicates, seed) - bootstrap_means(flat[1], replicates, seed + 1)
        low, high = shifted_interval(value, _transport(drawn.reshape(-1, *gap.shape)), least=0.0)
        divided = divided_means(np.concatenate(flat), n, replicates, seed)
        more["chance"] = float(np.quantile(_transport(divided.reshape(-1, *gap.shape)), 0.95))
    return Measure(value, _intensity_protocol(bins, n, m, reference), low, high, more)


def histograms(images: Images, bins: int = 256) -> np.ndarray:
    """Counts (N, C, bins) int64 of the intensities of every image."""
    if bins < 2:
        raise GanvasError(f"bins {bins}: a histogram needs 2 or more")
    made = []
    for pixels in unit_blocks(images):
        n, channels = pixels.shape[:2]
        level = np.rint(pixels * (bins - 1)).astype(np.int64).clip(0, bins - 1)
        level += np.arange(n * channels).reshape(n, channels, 1, 1) * bins
        made.append(np.bincount(level.ravel(), minlength=n * channels * bins).reshape(n, channels, bins))
    if not made:
        raise GanvasError("the set of images is empty: a histogram needs at least 1")
    return np.concatenate(made)


def _shares_of_images(images: Images, bins: int) -> np.ndarray:
    counts = histograms(images, bins)
    return np.asarray(counts / counts.sum(axis=2, keepdims=True))


def _transport(gap: np.ndarray) -> np.ndarray:
    """Area under |cumulative differences| (..., C, bins), channels averaged, in units of the range."""
    return np.asarray(np.abs(gap.cumsum(axis=-1)[..., :-1]).sum(axis=-1).mean(axis=-1) / (gap.shape[-1] - 1))


def _intensity_details(gap: np.ndarray, generated: np.ndarray, real: np.ndarray) -> dict[str, Any]:
    levels = np.linspace(0, 1, gap.shape[1])
    shift = ((generated - real) @ levels).mean()
    return {"total_variation": float(np.abs(gap).sum(axis=1).mean() / 2), "mean_shift": float(shift)}


def _intensity_protocol(bins: int, n: int, m: int, reference: str) -> str:
    return f"intensity-w1/bins={bins}/n={n}/m={m}/ref={reference}"


def _same_channels(a: int, b: int) -> None:
    if a != b:
        raise GanvasError(f"images of {a} and {b} channels do not compare: convert both sets alike first")


# Checkerboards

SMALLEST_FOR_GRID = 24  # below, the surroundings of neighbouring harmonics overlap
_HARMONICS = ((0, 2), (2, 0), (2, 2), (0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (2, 1))  # in quarters of a cycle per pixel
_AROUND = (-4, -3, 3, 4)  # in coefficients of the window, which itself reaches to 2


def checkerboard_energy(
    images: Images,
    real: Images,
    *,
    intervals: bool = True,
    replicates: int = 1000,
    seed: int = 0,
    reference: str = "given",
) -> Measure:
    """How much more grid of 2 and 4 pixels there is in `images` than in `real`: ln(excess of images / excess of real).

    0 means as much grid as in real images, 0.7 twice as much, below 0 less. The excess of a set is the power at a grid
    frequency relative to the power around it (3 and 4 coefficients away along both axes), both summed over the images,
    averaged over the frequencies (1/2, 0), (0, 1/2), (1/2, 1/2) of period 2 and the six of period 4, in cycles per
    pixel: about 1 without a grid. The power is taken exactly there, whatever the size (Hann window, mean removed).

    images, real: as `ganvas.metrics.image_features` takes them, of one size, 24x24 or more. The artefact: Odena et al.
    2016, doi 10.23915/distill.00003. JPEG leaves a grid of 8 pixels in real images, whose harmonics are among these
    frequencies; then little can be seen. intervals: 95 %, by bootstrap over the images. The protocol reads
    `checkerboard/log-ratio/at=HxW/n=N/m=M/ref=<reference>`.

    more: `excess`, `real_excess`; `period_2`, `period_4`: the log ratios of the two families alone.
    Raises GanvasError for other images or sizes, images without any contrast, and fewer than 2 in a set with intervals.
    """
    sizes, powers = zip(*(_grid_powers(part) for part in (images, real)), strict=True)
    if sizes[0] != sizes[1]:
        raise GanvasError(
            f"images of {sizes[0][0]}x{sizes[0][1]} and {sizes[1][0]}x{sizes[1][1]}: bring both sets to one size by the "
            "same resizing first"
        )
    n, m = (len(part) for part in powers)
    excess = [_excess(part.mean(axis=0)) for part in powers]
    value = _log_ratio(*excess)
    low = high = None
    if intervals:
        if min(n, m) < 2:
            raise GanvasError(f"an interval needs at least 2 images in each set, got {n} and {m}; give intervals=False")
        drawn = [
            np.concatenate([np.tensordot(counts, part, 1) for counts in resampled_counts(len(part), replicates, seed + k)])
            for k, part in enumerate(powers)
        ]
        low, high = shifted_interval(value, np.log(_excess(drawn[0]).mean(axis=1) / _excess(drawn[1]).mean(axis=1)))
    more = {
        "excess": float(excess[0].mean()),
        "real_excess": float(excess[1].mean()),
        "period_2": _log_ratio(*(part[:3] for part in excess)),
        "period_4": _log_ratio(*(part[3:] for part in excess)),
    }
    height, width = sizes[0]
    return Measure(value, f"checkerboard/log-ratio/at={height}x{width}/n={n}/m={m}/ref={reference}", low, high, more)


def _grid_powers(images: Images) -> tuple[tuple[int, int], np.ndarray]:
    """Size, and for every image (N, 9, 2) the power at each harmonic and around it, channels summed."""
    size: tuple[int, int] | None = None
    made = []
    for pixels in unit_blocks(images):
        if size is None:
            size = (pixels.shape[2], pixels.shape[3])
            if min(size) < SMALLEST_FOR_GRID:
                raise GanvasError(f"a grid cannot be told from detail in images under {SMALLEST_FOR_GRID} pixels a side")
            window = hann(size)
        # Fourier sums at these very frequencies: 1/2 and 1/4 need not be among those of a transform of this size.
        rows, columns = (_waves(side) for side in size)
        amplitude = rows @ windowed(pixels, window) @ columns.T  # (n, C, 5 offsets x 3 or 4 frequencies, the same)
        power = (np.abs(amplitude) ** 2).sum(axis=1).reshape(len(pixels), 4, 5, 4, 5)
        per_harmonic = np.stack([power[:, down, :, across, :] for down, across in _HARMONICS], axis=1)
        around = (per_harmonic[:, :, 0, 1:].mean(axis=2) + per_harmonic[:, :, 1:, 0].mean(axis=2)) / 2
        made.append(np.stack([per_harmonic[:, :, 0, 0], around], axis=2))
    if size is None:
        raise GanvasError("the set of images is empty: checkerboard energy needs at least 1")
    powers = np.concatenate(made)
    if not powers[..., 1].any(axis=0).all():
        raise GanvasError("the images have no contrast at all, so there is nothing to compare a grid with")
    return size, powers


def _waves(side: int) -> np.ndarray:
    """Complex waves (20, side): frequencies 0, 1/4, 1/2 and -1/4 (index -1), each with its surroundings."""
    base = np.array([0, 0.25, 0.5, -0.25])[:, None]
    frequencies = (base + np.array([0, *_AROUND]) / side).ravel()
    return np.asarray(np.exp(-2j * np.pi * frequencies[:, None] * np.arange(side)))


def _excess(powers: np.ndarray) -> np.ndarray:
    return np.asarray(powers[..., 0] / powers[..., 1])


def _log_ratio(mine: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.log(mine.mean() / theirs.mean()))


# Structural similarity

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_BANDED = 512  # longest side that is blurred by a product of matrices: five times as fast as a convolution at 128, twice at 512


def scales_for(height: int, width: int) -> int:
    """Scales of MS-SSIM that an image has room for, up to 5: the 11-pixel window must fit into the smallest.

    Raises GanvasError under 11 pixels a side.
    """
    short = min(height, width)
    if short < _WINDOW:
        raise GanvasError(f"structural similarity needs images of {_WINDOW}x{_WINDOW} or more, got {height}x{width}")
    return min(len(_WEIGHTS), 1 + int(math.log2(short / _WINDOW)))


def ms_ssim(a: torch.Tensor, b: torch.Tensor, scales: int | None = None) -> torch.Tensor:
    """Multi-scale structural similarity of paired images, (N,) float32; 1 for equal ones.

    a, b: (N, C, H, W) float in [0, 1]. Wang, Simoncelli and Bovik 2003 (doi 10.1109/ACSSC.2003.1292216, equation 7):
    Gaussian window of 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03, halving by 2x2 means (an odd last row or column is
    left out), negative terms set to 0 before the powers; channels averaged. scales: by default `scales_for` the size;
    the first of the five weights, divided by their sum. Raises GanvasError when shapes differ or the images are too small.
    """
    import torch
    from torch.nn import functional

    if a.shape != b.shape or a.ndim != 4:
        raise GanvasError(f"paired images must have one shape (N, C, H, W), not {tuple(a.shape)} and {tuple(b.shape)}")
    channels, height, width = a.shape[1:]
    most = scales_for(height, width)
    count = most if scales is None else scales
    if not 1 <= count <= most:
        raise GanvasError(f"scales {count}: images of {height}x{width} have room for 1 to {most}")
    at = torch.arange(_WINDOW, dtype=torch.float32, device=a.device) - _WINDOW // 2
    bell = torch.exp(-(at**2) / (2 * _SIGMA**2))
    bell = bell / bell.sum()

    def blurred(x: torch.Tensor) -> torch.Tensor:
        if max(x.shape[2:]) > _BANDED:
            rows = bell.expand(channels, 1, 1, _WINDOW)
            return functional.conv2d(functional.conv2d(x, rows, groups=channels), rows.transpose(2, 3), groups=channels)
        return _banded(bell, x.shape[2]) @ x @ _banded(bell, x.shape[3]).T

    weights = torch.tensor(_WEIGHTS[:count], device=a.device)
    weights = weights / weights.sum()
    similarity = torch.ones(a.shape[:2], device=a.device)
    a, b = a.float(), b.float()
    for scale in range(count):
        mean_a, mean_b = blurred(a), blurred(b)
        variance_a, variance_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
        covariance = blurred(a * b) - mean_a * mean_b
        term = (2 * covariance + 0.03**2) / (variance_a + variance_b + 0.03**2)
        if scale == count - 1:  # luminance counts at the coarsest scale alone
            term = term * (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
        similarity = similarity * term.mean(dim=(2, 3)).clamp(min=0) ** weights[scale]
        a, b = functional.avg_pool2d(a, 2), functional.avg_pool2d(b, 2)
    return similarity.mean(dim=1)


def _banded(bell: torch.Tensor, side: int) -> torch.Tensor:
    """(side - 10, side): the matrix that blurs a column of so many pixels, where the window fits."""
    rows = bell.new_zeros(side - _WINDOW + 1, side)
    for k in range(_WINDOW):
        rows.diagonal(k)[:] = bell[k]
    return rows


def diversity_ms_ssim(
    images: Images,
    real: Images | None = None,
    *,
    labels: Any = None,
    real_labels: Any = None,
    pairs: int = 1000,
    seed: int = 0,
    intervals: bool = True,
    batch: int = 128,
    reference: str = "given",
) -> Measure:
    """Mean MS-SSIM of random pairs of `images`: 0 to 1, LOWER is more diverse; right is what real pairs have.

    images, real: as `ganvas.metrics.image_features` takes them, 11x11 or more, of one size. labels, real_labels: (N,) and
    (M,) class of each image: then pairs are drawn within a class only, each class by its share of the images. pairs: how
    many (`random_pairs`, from `seed`); all there are when there are fewer. intervals: 95 %, from a standard error over
    images: pairs that share an image are not independent (`mean_of_pairs`). The protocol reads
    `ms-ssim/scales=S/pairs=P/within=class|set/at=HxW/n=N/m=M/ref=<reference>`; small images have fewer than 5 scales
    (see `ms_ssim`), and numbers of other scales do not compare.

    more: `real` with `real_low`, `real_high`, and `ratio` (generated / real; above 1: images are more alike than real ones)
    with `ratio_low`, `ratio_high`, where `real` is given. Registered medical images are alike by nature, and noise is not:
    only the comparison with real pairs says anything.

    Raises GanvasError for images that are no images, too small, of two sizes, or without a pair in any class.
    """
    if (labels is None) != (real_labels is None) and real is not None:
        raise GanvasError("labels were given for one set only: give labels and real_labels, or neither")
    shape = _height_width(images)
    scales = scales_for(*shape)
    sets = [(images, labels)]
    if real is not None:
        if _height_width(real) != shape:
            raise GanvasError("images and real ones have different sizes: bring both sets to one size first")
        sets.append((real, real_labels))
    found = []
    for k, (part, classes) in enumerate(sets):
        first, second = random_pairs(len(part), labels=classes, pairs=pairs, seed=seed + k)
        found.append((mean_of_pairs(_similarities(part, first, second, scales, batch), first, second), len(first)))
    (value, error), count = found[0]
    within = "set" if labels is None else "class"
    base = "" if real is None else f"/m={len(real)}/ref={reference}"
    at = f"at={shape[0]}x{shape[1]}"
    protocol = f"ms-ssim/scales={scales}/pairs={count}/within={within}/{at}/n={len(images)}{base}"
    more = {} if real is None else compared((value, error), found[1][0], intervals)
    if not intervals:
        return Measure(value, protocol, more=more)
    return Measure(value, protocol, *normal_interval(value, error), more)


def random_pairs(count: int, *, labels: Any = None, pairs: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two index arrays: at most `pairs` different pairs of `count` images, within classes where labels (count,) are given.

    The images of a class are put in a circle in random order, and each is paired with its next neighbour, then with the
    one after that, and so on: all images take part equally often (but for the last round), and no pair comes twice.
    Raises GanvasError when no class has two images, for labels of another number, and for less than one pair.
    """
    if pairs < 1:
        raise GanvasError(f"pairs {pairs}: give 1 or more")
    kinds = np.zeros(count, np.int64) if labels is None else np.unique(np.asarray(labels), return_inverse=True)[1].ravel()
    if len(kinds) != count:
        raise GanvasError(f"{len(kinds)} labels for {count} images: give one for each")
    rng = np.random.default_rng([seed, 0x9A12])
    circles = [rng.permutation(np.flatnonzero(kinds == kind)) for kind in np.unique(kinds)]
    first: list[np.ndarray] = []
    second: list[np.ndarray] = []
    missing = pairs
    for step in range(1, max((len(c) for c in circles), default=0) // 2 + 1):
        # Half way round an even circle, each pair would come twice.
        ends = [(c[: len(c) // 2] if 2 * step == len(c) else c, np.roll(c, -step)) for c in circles if 2 * step <= len(c)]
        a = np.concatenate([own for own, _ in ends])
        b = np.concatenate([other[: len(own)] for own, other in ends])
        if len(a) > missing:
            chosen = np.sort(rng.permutation(len(a))[:missing])
            a, b = a[chosen], b[chosen]
        first.append(a)
        second.append(b)
        missing -= len(a)
        if not missing:
            break
    if not first:
        raise GanvasError(f"no two images to pair among {count} (within classes): give more images, or no labels")
    return np.concatenate(first), np.concatenate(second)


def mean_of_pairs(values: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Mean of values (P,) of pairs, and its standard error over images.

    Two pairs that share an image are correlated; the error counts every such couple once (Aronow, Samii and Assenova 2015,
    doi 10.1093/pan/mpv018, equation 6), and is that of a bootstrap over images without what resampling adds itself. NaN
    for a single pair.
    """
    value = float(values.mean())
    if len(values) < 2:
        return value, math.nan
    rest = values - value
    count = int(max(first.max(), second.max())) + 1
    sums = np.bincount(first, rest, count) + np.bincount(second, rest, count)
    own = float((rest**2).sum())
    images = int((np.bincount(first, minlength=count) + np.bincount(second, minlength=count) > 0).sum())
    # Few images: the estimate has a large spread, and may even fall below that of independent pairs.
    variance = max(float((sums**2).sum()) - own, own) / len(values) ** 2 * images / max(1, images - 1)
    return value, math.sqrt(variance)


def compared(mine: tuple[float, float], real: tuple[float, float], intervals: bool) -> dict[str, float]:
    """`real` and `ratio`, with intervals: from (value, standard error) of the generated and of the real pairs.

    The ratio is left out when the real value is 0, and an interval when an error is not known.
    """
    more = {"real": real[0]}
    errors = {"real": real[1]}
    if real[0] > 0:
        more["ratio"] = mine[0] / real[0]
        errors["ratio"] = math.hypot(mine[1], more["ratio"] * real[1]) / real[0]
    for name, error in errors.items():
        low, high = normal_interval(more[name], error)
        if intervals and low is not None and high is not None:
            more |= {f"{name}_low": low, f"{name}_high": high}
    return more


def normal_interval(value: float, error: float) -> tuple[float | None, float | None]:
    """The 95 % interval of a number that cannot be negative, from its standard error; (None, None) when that is NaN."""
    if math.isnan(error):
        return None, None
    return max(0.0, value - NORMAL_95 * error), value + NORMAL_95 * error


def _similarities(images: Images, first: np.ndarray, second: np.ndarray, scales: int, batch: int) -> np.ndarray:
    import torch

    read = _reader(images)
    made = []
    with torch.no_grad():
        for start in range(0, len(first), batch):
            a, b = ((read(images[side[start : start + batch]]) + 1) / 2 for side in (first, second))
            made.append(ms_ssim(a, b, scales).cpu().numpy())
    return np.concatenate(made).astype(np.float64)


def _height_width(images: Images) -> tuple[int, int]:
    _reader(images)  # raises for anything but images
    shape = images.shape[1:3] if isinstance(images, np.ndarray) else images.shape[2:]
    return int(shape[0]), int(shape[1])
