"""How textures compare: what recurs at which distance, whether ends fit together, and how far apart sets of patches are.

Pictures are (H, W, C) of any depth. Not for pictures of things, where places differ in meaning.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import maximum_filter


def autocorrelation(picture: np.ndarray, reach: tuple[int, int]) -> np.ndarray:
    """(R, 2 C + 1) correlations of a picture's brightness with itself, R of 0 .. reach[0] rows down, C columns to either side;
    [0, C] is the place itself, 1. Each lag counts by the pixels that it has. A plain picture gives 0 beside that."""
    grey = picture.astype(np.float64).mean(2)
    grey -= grey.mean()
    height, width = grey.shape
    down, across = min(reach[0], height - 1), min(reach[1], width - 1)
    shape = (height + down + 1, width + across + 1)
    product = np.fft.irfft2(np.abs(np.fft.rfft2(grey, shape)) ** 2, shape)
    lags = np.arange(-across, across + 1)
    pixels = (height - np.arange(down + 1))[:, None] * (width - np.abs(lags))[None]
    found = product[: down + 1][:, lags] / pixels
    power = found[0, across]
    if not power > 0:
        found[:], found[0, across] = 0, 1
        return found
    return np.asarray(found / power)


def periods(picture: np.ndarray, least: int, most: int) -> list[tuple[float, tuple[int, int]]]:
    """(correlation, lag in rows and columns) of the lag of `least` to `most` pixels at which a picture is most like itself, and
    of the best one that lies more than 30 degrees beside it: peaks, not flanks of one. Fewer where there are none."""
    found = autocorrelation(picture, (most, most))
    across = found.shape[1] // 2
    rows, columns = np.mgrid[: len(found), -across : across + 1]
    distance = np.hypot(rows, columns)
    whole = np.concatenate([found[:0:-1, ::-1], found])  # the other half, for peaks beside the middle row
    peaks = (whole == maximum_filter(whole, 3))[len(found) - 1 :] & (distance >= least) & (distance <= most)
    chosen: list[tuple[float, tuple[int, int]]] = []
    while peaks.any() and len(chosen) < 2:
        place = np.unravel_index(int(np.where(peaks, found, -np.inf).argmax()), found.shape)
        lag = (int(rows[place]), int(columns[place]))
        chosen.append((float(found[place]), lag))
        peaks &= np.abs(rows * lag[1] - columns * lag[0]) > 0.5 * distance * np.hypot(*lag)
    return chosen


def recurrence(picture: np.ndarray, lag: tuple[int, int], least: int, most: int) -> float:
    """Mean over the multiples of a lag, from `least` to `most` pixels away, of the highest correlation within 1 pixel and 6 %
    of them: 1 is exact recurrence."""
    found, length = autocorrelation(picture, (2 * most, 2 * most)), float(np.hypot(*lag))
    middle, peaks = found.shape[1] // 2, []
    for times in range(math.ceil(least / length), int(most // length) + 1):
        slack = 1 + int(0.06 * times * length)
        row, column = times * lag[0], times * lag[1] + middle
        top, left = max(0, row - slack), max(0, column - slack)
        peaks.append(float(found[top : row + slack + 1, left : column + slack + 1].max()))
    return float(np.mean(peaks)) if peaks else 0.0


def seam(picture: np.ndarray, tile: int = 0) -> float:
    """Steps from the last row and column to the first ones, of those across a row or column within that has large ones (19 of
    20 have smaller ones): at most about 1 where copies laid side by side show no border. The larger of both directions.

    tile: side of tiles that a picture is made of, whose borders are looked at instead of its ends.
    """
    values = picture.astype(np.float64)
    found = []
    for axis in (0, 1):
        steps = np.abs(np.diff(values, axis=axis)).mean((1 - axis, 2))
        if tile:
            borders = np.arange(tile - 1, len(steps), tile)
            if not len(borders):
                continue
            ends, within = steps[borders].mean(), np.delete(steps, borders)
        else:
            ends, within = np.abs(values.take(0, axis) - values.take(-1, axis)).mean(), steps
        found.append(float(ends / max(np.quantile(within, 0.95), 1e-12)))
    return max(found, default=0.0)


def patch_distance(made: np.ndarray, real: np.ndarray, side: int, *, count: int = 2000, directions: int = 128) -> float:
    """Sliced Wasserstein distance of random patches (side x side) of two pictures of one depth, per value of a patch: the mean
    over random directions of how far sorted projections are apart (Rabin et al. 2011), by the root of a direction's length."""
    rng = np.random.default_rng(0)

    def cut(picture: np.ndarray) -> np.ndarray:
        tops = rng.integers(0, picture.shape[0] - side + 1, count)
        lefts = rng.integers(0, picture.shape[1] - side + 1, count)
        found = [picture[a : a + side, b : b + side].ravel() for a, b in zip(tops, lefts, strict=True)]
        return np.stack(found).astype(np.float64)

    first, second = cut(made), cut(real)
    lines = rng.normal(size=(first.shape[1], directions))
    lines /= np.linalg.norm(lines, axis=0)
    return float(np.abs(np.sort(first @ lines, 0) - np.sort(second @ lines, 0)).mean())


def oriented(picture: np.ndarray, lengths: tuple[int, ...] = (4, 8, 16), turns: int = 6) -> np.ndarray:
    """(H, W, len(lengths) * turns): how strongly the brightness of a picture waves at each place, by the length of waves in
    pixels and their direction; in its own units, whatever the phase. Log-Gabor filters with a raised cosine of angles."""
    grey = picture.astype(np.float64).mean(2)
    edge = 2 * max(lengths)
    spectrum = np.fft.fft2(np.pad(grey - grey.mean(), edge, mode="symmetric"))
    down, across = np.fft.fftfreq(spectrum.shape[0])[:, None], np.fft.fftfreq(spectrum.shape[1])[None]
    radius, angle = np.hypot(down, across), np.arctan2(down, across)
    radius[0, 0] = 1e-9
    found = []
    for length in lengths:
        ring = np.exp(-(np.log(radius * length) ** 2) / (2 * 0.35**2))
        for turn in range(turns):
            # One side of the spectrum alone: what comes back is complex, and its size does not wave.
            apart = np.abs((angle - math.pi * turn / turns + math.pi) % (2 * math.pi) - math.pi)
            side = np.where(apart < math.pi / turns, 0.5 + 0.5 * np.cos(apart * turns), 0.0)
            found.append(np.abs(np.fft.ifft2(2 * spectrum * ring * side))[edge:-edge, edge:-edge])
    return np.stack(found, -1)


def oriented_distance(made: np.ndarray, real: np.ndarray, *, count: int = 4000, directions: int = 64) -> float:
    """Sliced Wasserstein distance of what `oriented` finds at random places of two pictures, each filter by its spread over the
    real one: how far fine drawing differs in strength, size, direction and in what of it comes together. Colours and shades of
    large areas have no part in it."""
    rng = np.random.default_rng(0)

    def places(picture: np.ndarray) -> np.ndarray:
        values = oriented(picture).reshape(-1, 18)
        return values[rng.integers(0, len(values), count)]

    first, second = places(made), places(real)
    spread = second.std(0) + 1e-9
    lines = rng.normal(size=(first.shape[1], directions))
    lines /= np.linalg.norm(lines, axis=0)
    return float(np.abs(np.sort(first / spread @ lines, 0) - np.sort(second / spread @ lines, 0)).mean())
