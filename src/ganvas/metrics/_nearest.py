"""Where samples and real records lie nearest to the training data: on features, on pixels, and under noise.

`memorisation` makes tests of these numbers; nothing here gives a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

NO_MATCH = 1e6  # coarse over fine power where no record fits


@dataclass(frozen=True)
class Space:
    """What one way of measuring distance says about the nearest training records.

    ratio, distance: (N,) of the samples: distance to the nearest training record, and that over the next one of another
    group. nearest: (N,) index of that record in the training data. null, null_nearest: (K,) the same of real records.
    """

    name: str
    ratio: np.ndarray
    distance: np.ndarray
    nearest: np.ndarray
    null: np.ndarray
    null_nearest: np.ndarray


@dataclass(frozen=True)
class Residual:
    """What is left of a picture when its nearest training record is taken away: coarse power over fine power, 1 to NO_MATCH.

    Near 1 the rest has no more coarse structure than white noise, so the picture is that record under noise; the rest of two
    different pictures has 10 to 1000 times as much. samples: (N,). null: (K,) of real records with as much noise as the samples
    have.
    """

    samples: np.ndarray
    null: np.ndarray


@dataclass(frozen=True)
class _Match:
    """The nearest record of each query: ratio, distance and index as `nearest_ratio` has them (n,), and how the query lies
    over it: mirrored (n,) bool, then moved by shift (n, 2) 64ths of the side, rows and columns."""

    ratio: np.ndarray
    distance: np.ndarray
    nearest: np.ndarray
    mirrored: np.ndarray
    shift: np.ndarray


def feature_distances(
    queries: np.ndarray, references: np.ndarray, mirrored: np.ndarray | None = None, *, device: str = "cpu"
) -> np.ndarray:
    """Euclidean distances (N, R) float32, each the smaller of that to the record and that to its mirror image.

    Computed around the references' mean in float64 blocks, so that equal rows are at distance 0 to 1e-5 of their norm.
    """
    import torch

    centre = references.mean(axis=0, dtype=np.float64)
    q = torch.from_numpy(np.asarray(queries, np.float64) - centre).to(device)
    out = np.empty((len(queries), len(references)), np.float32)
    for number, side in enumerate((references, mirrored)):
        if side is None:
            continue
        r = torch.from_numpy(np.asarray(side, np.float64) - centre).to(device)
        norms = (r * r).sum(dim=1)
        for start in range(0, len(q), 1024):
            part = q[start : start + 1024]
            squares = (part * part).sum(dim=1)[:, None] + norms - 2 * part @ r.T
            found = squares.clamp_(min=0).sqrt_().float().cpu().numpy()
            place = out[start : start + 1024]
            np.copyto(place, found if number == 0 else np.minimum(place, found))
    return out


def nearest_ratio(
    distances: np.ndarray, groups: np.ndarray, excluded: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ratio, distance, index) of the nearest record: (N,) each, from distances (N, T) to records of groups (T,).

    ratio: the nearest distance over the next one of another group: near 0 for a copy, near 1 for a sample like many records.
    excluded (N,): a group that does not count for each query (its own). Two distances of 0
    have ratio 1: nothing tells them apart.
    """
    ratio, nearest, index = np.empty(len(distances)), np.empty(len(distances)), np.empty(len(distances), np.int64)
    for start in range(0, len(distances), 256):
        part = slice(start, start + 256)
        d = distances[part].astype(np.float64)
        if excluded is not None:
            d[excluded[part, None] == groups[None, :]] = np.inf
        index[part] = d.argmin(axis=1)
        nearest[part] = d[np.arange(len(d)), index[part]]
        d[groups[index[part]][:, None] == groups[None, :]] = np.inf
        ratio[part] = _ratio(nearest[part], d.min(axis=1))
    return ratio, nearest, index


def _ratio(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """first / second; 1 where there is no second, or where it is 0 too: nothing tells the two apart."""
    sound = np.isfinite(second) & (second > 0)
    return np.where(sound, np.maximum(first, 0) / np.where(sound, second, 1.0), 1.0)


_SIDE, _WINDOW, _STEPS, _REACH = 16, 12, 4, 8  # of the shrunk picture, of what is compared; steps a pixel, steps of a shift
_LEAST = 16  # pixels of a side under which no residual is looked at
_FLOOR = 1e-5  # power, as a share of a picture's structure, below which rounding decides
_CANDIDATES = 16  # training records a query is aligned with in quarter pixels


def pixel_search(
    generated: np.ndarray,
    train: np.ndarray,
    heldout: np.ndarray,
    groups: np.ndarray,
    null: np.ndarray | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
) -> tuple[Space, Residual | None]:
    """The near-copy search on pixels: distance 1 - r, r the correlation of two pictures at the best shift and mirroring.

    Beside it, of pictures of 16 pixels a side or more, what is left when the nearest record is taken away (`Residual`).

    Images (n, h, w, c) in any units; colours are averaged. Pictures are shrunk to 16x16, so that noise and fine detail do not
    count; a window of 12x12 of the query moves by up to an eighth of the side, plain and mirrored left-right; correlation
    takes out brightness and contrast. Steps of half a pixel find 16 candidates, steps of a quarter align with these.
    groups: (T + H,), training first. null: indices of the real records (of T + H) that the null is made of; all by default.
    seed: which sample's noise each record of the null is given.
    """
    import torch

    t = len(train)
    real = torch.cat([_smooth(part) for part in (train, heldout)])
    chosen = np.arange(len(groups)) if null is None else null
    centre = _windows(real[:t], 0)[:, 0].to(device)
    other = _search(real[chosen], centre, groups[:t], groups[chosen], device)
    found = _search(_smooth(generated), centre, groups[:t], None, device)
    space = Space("pixels", found.ratio, found.distance, found.nearest, other.ratio, other.nearest)
    side = min(_SIDE * _STEPS, *generated.shape[1:3], *train.shape[1:3])
    if side < _LEAST:
        return space, None
    samples = _Rest.of(_averaged([generated], np.arange(len(generated)), side), found, train)
    real_ones = _Rest.of(_averaged([train, heldout], chosen, side), other, train)
    return space, _residual(samples, found.ratio, real_ones, other.ratio, seed)


def _search(queries: Any, centre: Any, groups: np.ndarray, excluded: np.ndarray | None, device: str) -> _Match:
    """The nearest of the windows `centre` (T, 144) to each of queries (n, 64, 64)."""
    import torch

    found: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(queries), 64):
        part = queries[start : start + 64]
        windows = torch.cat([_windows(part), _windows(part.flip(2))], dim=1).to(device)
        side = 2 * _REACH + 1
        halves = windows.reshape(len(part), 2, side, side, -1)[:, :, ::2, ::2].flatten(1, 3)
        best = halves[:, 0] @ centre.T
        for k in range(1, halves.shape[1]):
            torch.maximum(best, halves[:, k] @ centre.T, out=best)
        own = None if excluded is None else excluded[start : start + 64]
        if own is not None:
            best[torch.from_numpy(own[:, None] == groups[None, :]).to(device)] = -2.0
        candidates = best.topk(min(_CANDIDATES, len(centre)), dim=1).indices
        aligned, how = torch.bmm(windows, centre[candidates].transpose(1, 2)).max(dim=1)
        d, place = 1 - aligned.cpu().numpy().astype(np.float64), candidates.cpu().numpy()
        kept = groups[place]
        if own is not None:  # records of the own group are candidates where there are few others
            d[own[:, None] == kept] = np.inf
        nearest = d.argmin(axis=1)
        rows = np.arange(len(d))
        first = d[rows, nearest]
        d[kept == kept[rows, nearest][:, None]] = np.inf
        mirrored, down, right = np.unravel_index(how.cpu().numpy()[rows, nearest], (2, side, side))
        shift = np.stack([down, right], axis=1) - _REACH
        found.append((_ratio(first, d.min(axis=1)), first, place[rows, nearest], mirrored == 1, shift))
    return _Match(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _smooth(images: np.ndarray) -> Any:
    """Pictures (n, 64, 64) float32 whose every fourth pixel, from any one on, is the picture shrunk to 16x16."""
    import torch
    from torch.nn import functional

    fine = _shrunk(images, _SIDE * _STEPS)[:, None]
    ramp = torch.tensor([1.0, 2, 3, 4, 3, 2, 1]) / 16
    kernel = torch.outer(ramp, ramp)[None, None]
    return functional.conv2d(functional.pad(fine, (3, 3, 3, 3), mode="replicate"), kernel)[:, 0]


def _windows(pictures: Any, reach: int = _REACH) -> Any:
    """Windows of pictures (n, 64, 64) at shifts of up to `reach` quarter pixels in both directions, (n, shifts, 144).

    They have no mean and norm 1; a flat one becomes zeros.
    """
    from torch.nn import functional

    span = (_WINDOW - 1) * _STEPS + 1
    first = (pictures.shape[-1] - span) // 2 - reach
    part = pictures[:, None, first : first + span + 2 * reach, first : first + span + 2 * reach]
    cut = functional.unfold(part, _WINDOW, dilation=_STEPS).transpose(1, 2)
    centred = cut - cut.mean(dim=-1, keepdim=True)
    norm = centred.norm(dim=-1, keepdim=True)
    # A window whose spread is a millionth of its level is flat but for rounding.
    flat = norm <= 1e-6 * _WINDOW * cut.abs().amax(dim=-1, keepdim=True)
    return (centred / norm.clamp(min=1e-30)).masked_fill(flat, 0.0)


def _shrunk(images: np.ndarray, side: int) -> Any:
    """Pictures (n, side, side) float32, antialiased, colours averaged."""
    import torch
    from torch.nn import functional

    out = []
    for start in range(0, len(images), 512):
        part = (
            torch.from_numpy(np.asarray(images[start : start + 512], np.float32)).permute(0, 3, 1, 2).mean(dim=1, keepdim=True)
        )
        out.append(functional.interpolate(part, size=(side, side), mode="bilinear", antialias=True)[:, 0])
    return torch.cat(out)


@dataclass(frozen=True)
class _Rest:
    """Powers (n,) in units of the picture's structure, NaN where it is flat.

    coarse, fine: of what is left without the nearest record. own: of the picture itself at fine scale. places: how many
    coefficients make the coarse power.
    """

    coarse: np.ndarray
    fine: np.ndarray
    own: np.ndarray
    places: int

    @staticmethod
    def of(pictures: np.ndarray, match: _Match, train: np.ndarray) -> _Rest:
        """Of square pictures (n, side, side) and the training images (T, h, w, c).

        The record's middle (3/4 of the side) is compared with the picture where the search on pixels has put it, and, as noise
        misleads that by a step, unshifted, plain and mirrored; brightness and contrast are fitted and the best of the three
        taken.
        """
        side = pictures.shape[1]
        size = side * 3 // 4
        margin = (side - size) // 2
        found = []
        for start in range(0, len(pictures), 256):
            part = slice(start, start + 256)
            plain = pictures[part]
            record = _centred(_crop(_averaged([train], match.nearest[part], side), size, np.full((len(plain), 2), margin)))
            norm = (record * record).sum(axis=(1, 2), keepdims=True)
            turned = np.where(match.mirrored[part, None, None], plain[:, :, ::-1], plain)
            moved = np.clip(margin + np.rint(match.shift[part] * (side / (_SIDE * _STEPS))).astype(int), 0, side - size)
            best, rest, least = None, None, None
            for picture, corner in ((turned, moved), (plain, margin), (plain[:, :, ::-1], margin)):
                cut = _centred(_crop(picture, size, np.broadcast_to(corner, (len(plain), 2))))
                contrast = (cut * record).sum(axis=(1, 2), keepdims=True) / np.where(norm > 0, norm, 1.0)
                left = cut - np.maximum(contrast, 0) * record
                power = (left * left).sum(axis=(1, 2), keepdims=True)
                if best is None or rest is None or least is None:
                    best, rest, least = cut, left, power
                    continue
                better = power < least
                best, rest = np.where(better, cut, best), np.where(better, left, rest)
                least = np.minimum(power, least)
            assert best is not None and rest is not None
            found.append((*_powers(rest), *_powers(best)))
        coarse, fine, all_coarse, own = (np.concatenate(parts).astype(np.float64) for parts in zip(*found, strict=True))
        structure = np.maximum(all_coarse - own, 1e-3 * all_coarse)
        structure[all_coarse <= 1e-9 * (pictures.astype(np.float64) ** 2).mean(axis=(1, 2))] = np.nan
        return _Rest(coarse / structure, fine / structure, own / structure, (size // 4) ** 2 - 1)


def _residual(samples: _Rest, ratio: np.ndarray, real: _Rest, real_ratio: np.ndarray, seed: int) -> Residual:
    """Coarse over fine power, of the samples and of real records given the samples' noise.

    Noise makes the rest of any two pictures look white. So each real record is given the fine power by which a sample, drawn
    at random, exceeds it: white noise adds that to its rest at both scales, and at the coarse one by a noncentral
    chi-square law. Under 1 nothing is told apart: grain of fine scale only would look like more than a copy. A sample counts
    only where one record fits it better than one fits the middle real record, so that averages of many are no copies.
    """
    rng = np.random.default_rng([seed, 0x2E57])
    limit = float(np.median(real_ratio))
    n = samples.places
    noise = np.maximum(rng.choice(samples.own, len(real.own)) - real.own, _FLOOR)
    flat = np.isnan(noise)
    noise[flat] = _FLOOR
    coarse = noise / n * rng.noncentral_chisquare(n, n * np.where(flat, 0.0, real.coarse) / noise)
    white, null = (samples.coarse + _FLOOR) / (samples.fine + _FLOOR), coarse / (real.fine + noise)
    white[np.isnan(white) | (ratio > limit)] = NO_MATCH
    null[np.isnan(null) | (real_ratio > limit)] = NO_MATCH
    return Residual(np.clip(white, 1, NO_MATCH), np.clip(null, 1, NO_MATCH))


def _powers(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(coarse, fine) power a coefficient of the cosine transform of pictures (n, s, s); equal for white noise.

    Coarse: the mean over frequencies below a quarter of the highest. Fine: the smaller of two medians, above half the highest
    and between, so that neither a regular grid nor grain of one scale counts as noise.
    """
    from scipy.fft import dctn

    size = pictures.shape[1]
    power = np.square(dctn(pictures, axes=(1, 2), norm="ortho"))
    step = np.maximum(*np.indices((size, size)))
    low, high = (step < size // 4) & (step > 0), step >= size // 2
    medians = [np.median(power[:, band], axis=1) for band in (high, ~low & ~high & (step > 0))]
    return power[:, low].mean(axis=1), np.minimum(*medians) / _MEDIAN


_MEDIAN = 0.4549  # of the chi-square law with one degree of freedom, whose mean is 1


def _centred(pictures: np.ndarray) -> np.ndarray:
    return np.asarray(pictures - pictures.mean(axis=(1, 2), keepdims=True))


def _crop(pictures: np.ndarray, size: int, corner: np.ndarray) -> np.ndarray:
    """Squares (n, size, size) of pictures (n, s, s), each from its own corner (n, 2)."""
    along = np.arange(size)
    rows, columns = corner[:, :1] + along, corner[:, 1:] + along
    return pictures[np.arange(len(pictures))[:, None, None], rows[:, :, None], columns[:, None, :]]


def _averaged(parts: list[np.ndarray], rows: np.ndarray, side: int) -> np.ndarray:
    """Pictures (n, side, side) float32: the given rows of all parts in order, colours averaged, shrunk by means over areas.

    Areas, for they leave white noise white where overlapping filters do not.
    """
    import torch
    from torch.nn import functional

    starts = np.cumsum([0, *(len(part) for part in parts)])
    out = np.empty((len(rows), side, side), np.float32)
    for start in range(0, len(rows), 64):
        chosen = rows[start : start + 64]
        of = np.searchsorted(starts, chosen, side="right") - 1
        images = np.stack([parts[k][row - starts[k]] for k, row in zip(of, chosen, strict=True)]).astype(np.float32)
        flat = torch.from_numpy(images.mean(axis=3))[:, None]
        out[start : start + 64] = functional.adaptive_avg_pool2d(flat, side)[:, 0].numpy()
    return out
