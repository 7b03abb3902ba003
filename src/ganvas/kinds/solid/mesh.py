"""Triangles to voxels and back, and rays through triangles: the geometry of solids in numpy alone. Not for reading files.

Coordinates are in voxels: voxel (i, j, k) fills [i, i+1] x [j, j+1] x [k, k+1] along x, y and z.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FINE = 3  # rays across a voxel: parts down to a third of a voxel are met
RELAXATIONS, FREEDOM = 12, 0.3  # of `surface_net`: steps, and how far in voxels a vertex may move along each axis
_CANDIDATES = 2_000_000  # (ray, triangle) pairs looked at together
_ASIDE = (1.7e-4, 2.9e-4)  # rays run a little beside the middle of a pixel, where no edge of a regular mesh lies


class Hits(NamedTuple):
    """Where rays meet triangles. line: row * columns + column. depth: along the ray. face: index. weights: (K, 3), barycentric.
    sign: +1 where the ray enters a solid whose triangles are counter-clockwise seen from outside, -1 where it leaves."""

    line: np.ndarray
    depth: np.ndarray
    face: np.ndarray
    weights: np.ndarray
    sign: np.ndarray


def rays(triangles: np.ndarray, rows: int, columns: int) -> Hits:
    """Meet triangles (T, 3, 3) with the rays along the third axis through the pixels (i + 1/2, j + 1/2) of rows x columns."""
    corners = np.asarray(triangles, np.float64)
    low = np.ceil(corners[..., :2].min(1) - 0.5 - _ASIDE).clip(0).astype(np.int64)
    high = np.floor(corners[..., :2].max(1) - 0.5 - _ASIDE).clip(None, (rows - 1, columns - 1)).astype(np.int64)
    span = (high - low + 1).clip(0)
    counts = span[:, 0] * span[:, 1]
    pieces: list[tuple[np.ndarray, ...]] = []
    ends = np.cumsum(counts)
    first = 0
    while first < len(corners):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _CANDIDATES, "right")))
        own = counts[first:last]
        face = np.repeat(np.arange(first, last), own)
        place = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
        row, column = low[face, 0] + place // span[face, 1], low[face, 1] + place % span[face, 1]
        a, b, c = (corners[face, k] for k in range(3))
        px, py = row + 0.5 + _ASIDE[0] - a[:, 0], column + 0.5 + _ASIDE[1] - a[:, 1]
        bx, by, cx, cy = b[:, 0] - a[:, 0], b[:, 1] - a[:, 1], c[:, 0] - a[:, 0], c[:, 1] - a[:, 1]
        area = bx * cy - by * cx
        with np.errstate(divide="ignore", invalid="ignore"):
            second, third = (px * cy - py * cx) / area, (bx * py - by * px) / area
            hit = (second >= 0) & (third >= 0) & (second + third <= 1) & (area != 0)
        second, third = second[hit], third[hit]
        weights = np.stack([1 - second - third, second, third], 1)
        depth = (weights * corners[face[hit], :, 2]).sum(1)
        pieces.append(((row * columns + column)[hit], depth, face[hit], weights, -np.sign(area[hit]).astype(np.int64)))
        first = last
    if not pieces:
        return Hits(*(np.zeros(0, np.int64), np.zeros(0)), np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0, np.int64))
    return Hits(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))


def ears(corners: np.ndarray) -> list[tuple[int, int, int]]:
    """A flat polygon (N, 3), in order, as triangles of places in it, by cutting off one ear after another (Meisters 1975).

    A fan from one corner would cover the notches of a concave polygon. What is too crooked to have an ear left is cut as a fan.
    """
    ahead = np.roll(corners, -1, axis=0)
    normal = np.cross(corners, ahead).sum(0)  # Newell
    keep = [k for k in range(3) if k != int(np.abs(normal).argmax())]
    flat = corners[:, keep] - corners[:, keep].mean(0)
    x, y = flat.T
    if (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() < 0:
        flat = flat * np.array([1.0, -1.0])

    def turn(a: int, b: int, c: int) -> float:
        (ax, ay), (bx, by), (cx, cy) = flat[a], flat[b], flat[c]
        return float((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))

    left = list(range(len(corners)))
    found: list[tuple[int, int, int]] = []
    while len(left) > 3:
        for place in range(len(left)):
            a, b, c = left[place - 1], left[place], left[(place + 1) % len(left)]
            inside = (p for p in left if p not in (a, b, c))
            if turn(a, b, c) > 0 and not any(min(turn(a, b, p), turn(b, c, p), turn(c, a, p)) >= 0 for p in inside):
                break
        else:
            return found + [(left[0], left[k], left[k + 1]) for k in range(1, len(left) - 1)]
        found.append((a, b, c))
        del left[place]
    return [*found, (left[0], left[1], left[2])]


def single_sided(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The faces (T, 3), or the first half of each pair where every one is there twice, seen from either side.

    Such a mesh has no inside (all that one face enters the other leaves), but programs that draw write solids so.
    """
    corner = np.unique(vertices, axis=0, return_inverse=True)[1].reshape(-1)[faces]
    flat = (corner[:, 0] == corner[:, 1]) | (corner[:, 1] == corner[:, 2]) | (corner[:, 2] == corner[:, 0])
    turns = np.argsort(corner, axis=1)
    side = np.where((turns[:, 1] - turns[:, 0]) % 3 == 1, 1, -1)
    _, first, pair, count = np.unique(np.sort(corner, 1), axis=0, return_index=True, return_inverse=True, return_counts=True)
    sides = np.bincount(pair.reshape(-1), np.where(flat, 0, side), len(count))
    whole = ~flat[first]
    if not whole.any() or (sides[whole] != 0).any():
        return faces
    made: np.ndarray = faces[np.sort(first[whole])]
    return made


def is_closed(vertices: np.ndarray, faces: np.ndarray) -> bool:
    """Whether every edge is passed as often in one direction as in the other: then inside and outside are well defined.

    Vertices at one place count as one, as in STL, which has no shared ones.
    """
    _, same = np.unique(vertices, axis=0, return_inverse=True)
    corner = same.reshape(-1)[faces]
    ends = np.concatenate([corner[:, [0, 1]], corner[:, [1, 2]], corner[:, [2, 0]]])
    ends = ends[ends[:, 0] != ends[:, 1]]
    forward = ends[:, 0] < ends[:, 1]
    key = np.sort(ends, 1)[:, 0] * len(vertices) + np.sort(ends, 1)[:, 1]
    _, edge = np.unique(key, return_inverse=True)
    return bool((np.bincount(edge.reshape(-1), np.where(forward, 1, -1)) == 0).all()) if len(edge) else False


def fitted(vertices: np.ndarray, side: int) -> np.ndarray:
    """Vertices moved and scaled, by one factor, into a cube of `side` voxels with a margin of side / 32 (at least 1).

    The longest extent fills the cube up to the margin; the others lie in the middle, moved to whole voxels.
    Raises ValueError when the vertices have no extent.
    """
    margin = max(1, round(side / 32))
    low, extent = vertices.min(0), np.ptp(vertices, axis=0)
    if not extent.max() > 0:
        raise ValueError("no extent")
    scale = (side - 2 * margin) / extent.max()
    return (vertices - low) * scale + np.floor((side - extent * scale) / 2 + 1e-6)


def voxelised(vertices: np.ndarray, faces: np.ndarray, side: int) -> tuple[np.ndarray, bool]:
    """A mesh in voxel coordinates as (side, side, side) uint8, and whether it was closed.

    Closed: a voxel is inside when its middle is (the winding number there is not 0, so parts may overlap and all
    triangles may be turned inside out); parts that lie between the middles, down to a third of a voxel, are kept as well.
    Else: the voxels that the surface passes, and all that they enclose.
    """
    grid = np.zeros((side, side, side), bool)
    triangles = vertices[faces]
    met = [rays(np.roll(triangles, -axis - 1, axis=2) * FINE, side * FINE, side * FINE) for axis in range(3)]
    closed = is_closed(vertices, faces) and all(
        (np.bincount(hits.line, hits.sign) == 0).all() for hits in met if len(hits.line)
    )
    for axis, hits in enumerate(met):
        # Seen along `axis`: axes (axis + 1, axis + 2, axis) of the grid.
        view = np.moveaxis(grid, ((axis + 1) % 3, (axis + 2) % 3, axis), (0, 1, 2))
        row, column = np.divmod(hits.line, side * FINE)
        depth = hits.depth / FINE
        if not closed:
            view[row // FINE, column // FINE, np.floor(depth).astype(np.int64).clip(0, side - 1)] = True
            continue
        order = np.lexsort((depth, hits.line))
        winding = np.cumsum(hits.sign[order])
        before = np.concatenate([[0], winding[:-1]])
        enters, leaves = order[(before == 0) & (winding != 0)], order[(before != 0) & (winding == 0)]
        first = np.ceil(depth[enters] - 0.5).astype(np.int64).clip(0, side)
        last = np.ceil(depth[leaves] - 0.5).astype(np.int64).clip(0, side)  # not included
        row, column = row[enters], column[enters]
        thin = last <= first
        middle = np.floor((depth[enters] + depth[leaves]) / 2).astype(np.int64).clip(0, side - 1)
        view[row[thin] // FINE, column[thin] // FINE, middle[thin]] = True
        central = ~thin & (row % FINE == FINE // 2) & (column % FINE == FINE // 2)
        length = (last - first)[central]
        along = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + np.repeat(first[central], length)
        view[np.repeat(row[central] // FINE, length), np.repeat(column[central] // FINE, length), along] = True
    if not closed:
        from scipy.ndimage import binary_fill_holes

        grid = binary_fill_holes(grid)
    return grid.astype(np.uint8), closed


def _quads(voxels: np.ndarray) -> np.ndarray:
    """The squares between inside and outside: their corners (Q, 4, 3), counter-clockwise seen from outside."""
    inside = np.pad(voxels.astype(bool), 1)
    steps = np.eye(3, dtype=np.int64)
    found = []
    for axis in range(3):
        u, v = steps[(axis + 1) % 3], steps[(axis + 2) % 3]
        one, other = np.moveaxis(inside, axis, 0)[:-1], np.moveaxis(inside, axis, 0)[1:]
        for where, turned in ((one & ~other, False), (other & ~one, True)):
            # The padded voxel p ends at the corner p of the grid along each axis.
            at = np.argwhere(np.moveaxis(where, 0, axis))
            ring = np.stack([at - u - v, at - v, at, at - u], 1)
            found.append(ring[:, ::-1] if turned else ring)
    return np.concatenate(found)


def cuboids(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The surface of voxels (D, H, W) as it is, in squares: vertices (V, 3) float64, triangles (T, 3), closed."""
    vertices, triangles, _ = _meshed(_quads(voxels))
    return vertices, triangles


def _meshed(quads: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vertices, triangles, squares) of the corners of squares."""
    flat = quads.reshape(-1, 3)
    size = flat.max(0) + 2 if len(flat) else np.ones(3, np.int64)
    keys, index = np.unique(np.ravel_multi_index((flat + 1).T, tuple(size + 1)), return_inverse=True)
    vertices = np.stack(np.unravel_index(keys, tuple(size + 1)), 1).astype(np.float64) - 1
    squares = index.reshape(-1, 4)
    return vertices, np.concatenate([squares[:, [0, 1, 2]], squares[:, [0, 2, 3]]]), squares


def surface_net(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A smooth closed surface of voxels (D, H, W): vertices (V, 3) float64, triangles (T, 3), outside counter-clockwise.

    Gibson 1998 ("Constrained Elastic Surface Nets"): one vertex at each corner between inside and outside, relaxed towards
    its neighbours but not out of its cell, so that the middle of every voxel stays on its side. Empty for empty voxels.
    """
    start, triangles, squares = _meshed(_quads(voxels))
    ends = np.concatenate([squares[:, [k, (k + 1) % 4]] for k in range(4)])
    a, b = np.concatenate([ends[:, 0], ends[:, 1]]), np.concatenate([ends[:, 1], ends[:, 0]])
    degree = np.bincount(a, minlength=len(start))[:, None]
    freedom = np.full(start.shape, FREEDOM)
    if len(start):
        freedom[(start == start.min(0)) | (start == start.max(0))] = 0.0  # the extent stays: feet stand flat
    place = start
    for _ in range(RELAXATIONS if len(start) else 0):
        mean = np.stack([np.bincount(a, place[b, k], len(start)) for k in range(3)], 1) / degree
        place = np.clip(place + 0.6 * (mean - place), start - freedom, start + freedom)
    return place, triangles


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), the mean of those of the triangles around, by area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(faces[:, k], across[:, axis], len(vertices))
    return total / np.linalg.norm(total, axis=1, keepdims=True).clip(1e-12)
