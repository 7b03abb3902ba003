"""Blurry squares: how much of the edges of images lies on a regular grid, compared with real images.

Networks that enlarge by large steps draw squares of one colour each (Belmekki et al. 2022, figure 9): edges gather at every
p-th row and column, and between them there is little. `block_edges` measures that. Not for the fine pattern that uneven
transposed convolutions lay over a picture, which is `checkerboard_energy`: that measure looks at the frequencies of a grid,
where squares whose colours vary at will leave little once they are blurred, and this one is blind to a weak pattern.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import GanvasError
from ganvas.metrics.measure import Measure
from ganvas.metrics.spectrum import resampled_counts, shifted_interval, unit_blocks

if TYPE_CHECKING:
    import torch

    Images = np.ndarray | torch.Tensor

PERIOD = 8  # sees grids of 2, 4, 8 and 16 alike: every one of them has whole classes of rows to itself
TURNS = 3  # periods that an image has to hold, for its edges to be told from a grid
FAINT = 1e-9  # of the range of the file type: no edges at all


def block_edges(
    images: Images,
    real: Images,
    *,
    period: int = PERIOD,
    intervals: bool = True,
    replicates: int = 500,
    seed: int = 0,
    reference: str = "given",
) -> Measure:
    """How many times the real share of edges lies on a grid: 1 as in real images, up to `period` for flat squares.

    The edges of an image are the absolute differences of neighbouring pixels, averaged along rows (or columns) and channels,
    and divided by their mean over one period around, so that it does not matter where in the picture they lie. Their means at
    the `period` places within a period are compared with those of the real images; the value is the largest of these ratios,
    wherever the grid begins, averaged over rows and columns. Squares of s pixels, s dividing the period or a multiple of it,
    read s, at most `period`; real images against others of their kind read a little above 1, because the largest is taken:
    `more["chance"]` is what random division of both sets together into two stays below in 95 of 100 cases.

    images, real: as `ganvas.metrics.image_features` takes them, of one size, 3 periods a side or more. intervals: 95 %, by
    bootstrap over the images, and chance. The protocol reads `block-edges/ratio/period=8/at=HxW/n=N/m=M/ref=<reference>`.

    An image without any edges has no grid either, and counts as 1 everywhere.

    more: `chance`; `down` and `across`, the ratios at each place for rows and for columns, the first at the edge before pixel
    0. Raises GanvasError for other images or sizes, real images that are squares themselves, and fewer than 2 images in a set
    with intervals.
    """
    if period < 2:
        raise GanvasError(f"period {period}: a grid has one of 2 pixels or more")
    (size, mine), (other, theirs) = (_places(part, period) for part in (images, real))
    if size != other:
        raise GanvasError(
            f"images of {size[0]}x{size[1]} and {other[0]}x{other[1]}: bring both sets to one size by the same resizing first"
        )
    n, m = len(mine), len(theirs)
    means = [part.mean(axis=0) for part in (mine, theirs)]
    if not means[1].all():
        raise GanvasError(f"the real images are squares themselves, with no edges at some places of {period}: give others")
    value = float(_largest(*means))
    low = high = None
    ratios = zip(("down", "across"), means[0] / means[1], strict=True)
    more: dict[str, Any] = {name: [round(float(v), 4) for v in row] for name, row in ratios}
    if intervals:
        if min(n, m) < 2:
            raise GanvasError(f"an interval needs at least 2 images in each set, got {n} and {m}; give intervals=False")
        drawn = [_resampled(part, replicates, seed + k) for k, part in enumerate((mine, theirs))]
        low, high = shifted_interval(value, _largest(*drawn), least=0.0)
        rng = np.random.default_rng([seed, 0xD17])
        pooled = np.concatenate([mine, theirs])
        orders = (rng.permutation(n + m) for _ in range(replicates))
        split = [float(_largest(pooled[order[:n]].mean(axis=0), pooled[order[n:]].mean(axis=0))) for order in orders]
        more["chance"] = float(np.quantile(split, 0.95))
    height, width = size
    protocol = f"block-edges/ratio/period={period}/at={height}x{width}/n={n}/m={m}/ref={reference}"
    return Measure(value, protocol, low, high, more)


def _largest(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """(..., 2, period) twice -> (...): the largest ratio of places, averaged over both directions."""
    return np.asarray((mine / theirs).max(axis=-1).mean(axis=-1))


def _resampled(rows: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    flat = rows.reshape(len(rows), -1)
    drawn = [counts @ flat / len(flat) for counts in resampled_counts(len(flat), replicates, seed)]
    return np.concatenate(drawn).reshape(-1, *rows.shape[1:])


def _places(images: Images, period: int) -> tuple[tuple[int, int], np.ndarray]:
    """Size, and for every image (N, 2, period) how many times the edges around lie at each place; 1 without any."""
    size: tuple[int, int] | None = None
    made: list[np.ndarray] = []
    for pixels in unit_blocks(images):
        if size is None:
            size = (pixels.shape[2], pixels.shape[3])
            if min(size) < TURNS * period:
                raise GanvasError(
                    f"a grid of {period} pixels cannot be told from detail in images of {size[0]}x{size[1]}: the least is "
                    f"{TURNS * period} a side"
                )
        down = np.abs(np.diff(pixels, axis=2)).mean(axis=(1, 3))
        across = np.abs(np.diff(pixels, axis=3)).mean(axis=(1, 2))
        made.append(np.stack([_by_place(down, period), _by_place(across, period)], axis=1))
    if size is None:
        raise GanvasError("the set of images is empty: block edges need at least 1")
    return size, np.concatenate(made)


def _by_place(edges: np.ndarray, period: int) -> np.ndarray:
    """Edges (n, side - 1), the k-th before pixel k + 1 -> their means (n, period) at each place, over those around.

    Where there are none around, as in the blank border of a radiograph, nothing is taken in.
    """
    kernel = np.ones(period + 1 - period % 2) if period % 2 else np.r_[0.5, np.ones(period - 1), 0.5]
    kernel = kernel / kernel.sum()  # holds every place once
    around = np.apply_along_axis(np.convolve, 1, edges, kernel, "valid")
    reach = len(kernel) // 2
    middle = edges[:, reach : edges.shape[1] - reach]
    there = around > FAINT
    relative = np.divide(middle, around, out=np.zeros_like(middle), where=there)
    place = (np.arange(middle.shape[1]) + reach + 1) % period
    found = np.ones((len(edges), period))
    for k in range(period):
        count = there[:, place == k].sum(axis=1)
        np.divide(relative[:, place == k].sum(axis=1), count, out=found[:, k], where=count > 0)
    return found
