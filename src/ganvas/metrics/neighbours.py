"""Exact nearest neighbours of features in bounded memory: what precision, recall, density, coverage and the audit stand on.

Squared distances of a block of pairs are |x|^2 + |y|^2 - 2 x.y, one matrix product in float32 (torch). That cancels where
points are close, so it only sorts out candidates: the distances that are returned or compared are taken again, as norms of
differences in float64. Identical points are at distance 0, and the same pair has the same distance wherever it is asked for.
Less than 200 MB of working memory, whatever the number of points. Brute force on purpose: trees do not help in hundreds of
dimensions. Not for approximate search.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import GanvasError
from ganvas.metrics.sets import feature_matrix

if TYPE_CHECKING:
    import torch

_BLOCK = 1024  # points on either side of a block of pairs: 1024 x 1024 float32 are 4 MB, which caches like
_NUMBERS = 2**23  # of the features of one side of a block: 32 MB in float32
_SPARE = 3  # candidates kept beyond k, so that rounding seldom reaches the k-th


def nearest(
    queries: Any, references: Any, k: int = 1, *, exclude_self: bool = False, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Distances (N, k), float64, and indices (N, k) of the `k` nearest references of every query, nearest first.

    queries: (N, d). references: (M, d). exclude_self: `queries` and `references` are the same set, and no point is its own
    neighbour (another point that equals it is). Distances are Euclidean, exact to float64. Of more points at the same distance
    than fit, any may be returned.
    Raises GanvasError for unequal widths, NaN or infinity, and a k above the number of references there are.
    """
    pairs = Pairs(queries, references, device=device)
    n, m = pairs.shape
    if exclude_self and n != m:
        raise GanvasError(f"exclude_self needs the same set twice, got sets of {n} and {m}")
    available = m - exclude_self
    if not 1 <= k <= available:
        raise GanvasError(f"k={k} neighbours of {available} other points: give k from 1 to {available}")
    kept = min(k + _SPARE, available)
    distances, indices = np.empty((n, k)), np.empty((n, k), dtype=np.int64)
    unsure = _search(pairs, np.arange(n), kept, exclude_self, distances, indices, symmetric=exclude_self)
    if len(unsure):  # rounding could hide a neighbour: these rows again in float64, and what is left pair by pair
        double = Pairs(queries, references, device=device, double=True)
        for row in _search(double, unsure, kept, exclude_self, distances, indices):
            others = np.delete(np.arange(m), row) if exclude_self else np.arange(m)
            apart = pairs.exact(np.full(len(others), row), others)
            order = np.argsort(apart, kind="stable")[:k]
            distances[row], indices[row] = apart[order], others[order]
    return distances, indices


def radii(points: Any, k: int, *, device: str = "cpu") -> np.ndarray:
    """Distance (N,) of every point to its k-th nearest other point of the same set."""
    radius: np.ndarray = nearest(points, points, k, exclude_self=True, device=device)[0][:, -1]
    return radius


class Pairs:
    """All pairs of two sets (N, d) and (M, d): squared distances a block at a time, and exact distances of chosen pairs.

    scale: blocks are in units of scale^2. squares: squared norms of the points of both sets about a common centre, in the
    same unit. A squared distance of a block is off by at most error * (squares[0][i] + squares[1][j]).
    """

    def __init__(self, queries: Any, references: Any, *, device: str = "cpu", double: bool = False) -> None:
        import torch

        self._x, self._y = feature_matrix(queries), feature_matrix(references)
        d = self._x.shape[1]
        if d != self._y.shape[1]:
            raise GanvasError(f"features of {d} and {self._y.shape[1]} numbers cannot be compared; use one extractor")
        self.shape = len(self._x), len(self._y)
        self._device, self._type = device, np.float64 if double else np.float32
        # About a common centre and in units of their size the numbers use all digits of float32, and never overflow.
        # The centre is a float32 number and the unit a power of two: subtracting and dividing add no error of their own.
        self._centre = self._y.mean(axis=0, dtype=np.float64).astype(np.float32)
        squares = [self._squares(self._x), self._squares(self._y)]
        largest = max(float(s.max()) for s in squares)
        self.scale = 2.0 ** round(np.log2(largest) / 2) if largest else 1.0
        self.squares = [s / self.scale**2 for s in squares]
        # A sum of d products is off by d roundings at worst, and by more than 8 sqrt(d) practically never (Higham and
        # Mary 2019, theorem 2.4); 16 more cover the roundings of inputs, norms and sums.
        self.error = (min(d, 8 * np.sqrt(d)) + 16) * float(np.finfo(self._type).eps) / 2
        self._side = max(1, min(_BLOCK, _NUMBERS // d))
        self._torch = torch

    def _squares(self, points: np.ndarray) -> np.ndarray:
        made, step = np.empty(len(points)), max(1, _NUMBERS // 4 // points.shape[1])
        for start in range(0, len(points), step):
            part = np.subtract(points[start : start + step], self._centre, dtype=np.float64)
            made[start : start + step] = np.einsum("ij,ij->i", part, part)
        return made

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return self._torch.from_numpy(values.astype(self._type, copy=False)).to(self._device)

    def _scaled(self, points: np.ndarray) -> torch.Tensor:
        part = points.astype(self._type, copy=False) if points.dtype == np.float32 else points
        part = (part - self._centre).astype(self._type, copy=False)
        part /= self.scale
        return self._tensor(part)

    def row_blocks(self, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Indices of queries, all or `rows`, as many at a time as a block takes."""
        rows = np.arange(self.shape[0]) if rows is None else rows
        for start in range(0, len(rows), self._side):
            yield rows[start : start + self._side]

    def squared(self, rows: np.ndarray, first: int = 0) -> Iterator[tuple[int, torch.Tensor]]:
        """Squared distances of the queries `rows` to the references from `first` on, as (first of the block, block)."""
        x = self._scaled(self._x[rows])
        x_squares = self._tensor(self.squares[0][rows])[:, None]
        for start in range(first, self.shape[1], self._side):
            y = self._scaled(self._y[start : start + self._side])
            y_squares = self._tensor(self.squares[1][start : start + self._side])
            block = self._torch.addmm(y_squares, x, y.T, alpha=-2)
            block += x_squares
            yield start, block

    def exact(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Distances (P,) of P pairs: norms of differences in float64, in the unit of the features."""
        made, step = np.empty(len(rows)), max(1, _NUMBERS // 8 // self._x.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            gap = np.subtract(self._x[rows[part]], self._y[columns[part]], dtype=np.float64)
            # Divided before squaring, so that neither tiny nor huge numbers are lost.
            gap /= self.scale
            made[part] = np.sqrt(np.square(gap, out=gap).sum(axis=1)) * self.scale
        return made


def _search(
    pairs: Pairs,
    rows: np.ndarray,
    kept: int,
    exclude_self: bool,
    distances: np.ndarray,
    indices: np.ndarray,
    *,
    symmetric: bool = False,
) -> np.ndarray:
    """Fill in the nearest references of the queries `rows`; return the rows for which rounding might hide a nearer one.

    symmetric: `rows` are all points of one set, so a block of pairs serves its rows and its columns.
    """
    import torch

    k, unsure = distances.shape[1], []
    best = torch.full((pairs.shape[0], kept), float("inf"), dtype=torch.float64)  # holds the squares of either precision
    found = torch.zeros((pairs.shape[0], kept), dtype=torch.int64)

    def keep(points: np.ndarray, block: torch.Tensor, start: int) -> None:
        where = torch.from_numpy(points)
        values, places = torch.topk(block, min(kept, block.shape[1]), dim=1, largest=False, sorted=False)
        values = torch.cat([best[where], values.cpu().to(best.dtype)], dim=1)
        places = torch.cat([found[where], places.cpu() + start], dim=1)
        best[where], chosen = torch.topk(values, kept, dim=1, largest=False, sorted=False)
        found[where] = places.gather(1, chosen)

    for part in pairs.row_blocks(rows):
        first = int(part[0]) if symmetric else 0
        for start, block in pairs.squared(part, first):
            if exclude_self:
                here = np.flatnonzero((part >= start) & (part < start + block.shape[1]))
                block[torch.from_numpy(here), torch.from_numpy(part[here] - start)] = float("inf")
            keep(part, block, start)
            if symmetric and start > first:
                keep(np.arange(start, start + block.shape[1]), block.T, first)

    for part in pairs.row_blocks(rows):
        candidates = np.sort(found[torch.from_numpy(part)].numpy(), axis=1)  # so that equal distances keep the order of indices
        exact = pairs.exact(np.repeat(part, kept), candidates.ravel()).reshape(candidates.shape)
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        distances[part] = np.take_along_axis(exact, order, axis=1)
        indices[part] = np.take_along_axis(candidates, order, axis=1)
        if kept < pairs.shape[1] - exclude_self:
            # A point that is not a candidate has a computed square of `farthest` or more; its own norm is at most that of
            # the query plus their distance D, so D^2 (1 + 2 error) >= farthest - 3 error |x|^2.
            farthest = best[torch.from_numpy(part)].max(dim=1).values.numpy().astype(np.float64)
            least = (farthest - 3 * pairs.error * pairs.squares[0][part]) / (1 + 2 * pairs.error)
            last = distances[part, -1]
            unsure.append(part[(last > 0) & ((last / pairs.scale) ** 2 > least)])
    return np.concatenate(unsure) if unsure else np.empty(0, dtype=np.int64)
