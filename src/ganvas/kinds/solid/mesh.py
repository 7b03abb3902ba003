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


def _squares(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The squares between inside and outside: corners (V, 3) int64, squares (Q, 4) of corners, counter-clockwise seen from
    outside, and the number of the voxel inside that each is a face of (Q,)."""
    inside = np.pad(voxels.astype(bool), 1)
    steps = np.eye(3, dtype=np.int64)
    found, owners = [], []
    for axis in range(3):
        u, v = steps[(axis + 1) % 3], steps[(axis + 2) % 3]
        one, other = np.moveaxis(inside, axis, 0)[:-1], np.moveaxis(inside, axis, 0)[1:]
        for where, turned in ((one & ~other, False), (other & ~one, True)):
            # The padded voxel p ends at the corner p of the grid along each axis.
            at = np.argwhere(np.moveaxis(where, 0, axis))
            ring = np.stack([at - u - v, at - v, at, at - u], 1)
            found.append(ring[:, ::-1] if turned else ring)
            owners.append(np.ravel_multi_index((at + turned * steps[axis]).T, inside.shape))
    flat = np.concatenate(found).reshape(-1, 3)
    keys, index = np.unique(np.ravel_multi_index((flat + 1).T, inside.shape), return_inverse=True)
    corners = np.stack(np.unravel_index(keys, inside.shape), 1) - 1
    return corners, index.reshape(-1, 4), np.concatenate(owners)


def _halved(squares: np.ndarray) -> np.ndarray:
    """Squares (Q, 4) as triangles (2 Q, 3)."""
    return np.concatenate([squares[:, [0, 1, 2]], squares[:, [0, 2, 3]]])


def cuboids(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The surface of voxels (D, H, W) as it is, in squares: vertices (V, 3) float64, triangles (T, 3), closed."""
    corners, squares, _ = _squares(voxels)
    return corners.astype(np.float64), _halved(squares)


def _edges(squares: np.ndarray) -> np.ndarray:
    """The number of each square's edges, from corner k to corner k + 1: (Q, 4), equal where two squares have one in common."""
    ends = np.sort(np.stack([squares, np.roll(squares, -1, 1)], 2), 2)
    return np.unique(ends[..., 0] * (squares.max(initial=0) + 1) + ends[..., 1], return_inverse=True)[1].reshape(-1, 4)


def _manifold(squares: np.ndarray, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squares (Q, 4) of corners as squares of vertices, each of which has one ring of squares around it; and (Q, 4) of edges
    the number of a vertex to be put in their middle, or -1.

    Where voxels touch at an edge alone, four squares have it in common: those of one voxel belong together. Corners become as
    many vertices as there are rings. Where both ends of such an edge still are one vertex, because the voxels are joined
    around it, a vertex in the middle for each pair keeps the pairs apart.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = squares.size
    edge = _edges(squares)
    touching = np.bincount(edge.reshape(-1))[edge] == 4
    pair = np.unique(np.where(touching, owners[:, None] + 1, 0) + edge * (owners.max(initial=0) + 2), return_inverse=True)[1]
    one, other = np.argsort(pair.reshape(-1), kind="stable").reshape(-1, 2).T  # the same edge, there and back
    place = np.arange(count).reshape(-1, 4)
    ahead = np.roll(place, -1, 1).reshape(-1)
    links = np.concatenate([one, ahead[one]]), np.concatenate([ahead[other], other])
    graph = coo_array((np.ones(len(links[0]), bool), links), (count, count))
    vertices = connected_components(graph, directed=False)[1].reshape(-1, 4)
    edge = _edges(vertices)
    shared = np.bincount(edge.reshape(-1), minlength=1)[edge] == 4
    middle = np.full(squares.shape, -1)
    middle[shared] = vertices.max(initial=-1) + 1 + np.unique(pair.reshape(-1, 4)[shared], return_inverse=True)[1]
    return vertices, middle


def surface_net(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A smooth surface of voxels (D, H, W): vertices (V, 3) float64, triangles (T, 3), outside counter-clockwise.

    Gibson 1998 ("Constrained Elastic Surface Nets"): one vertex at each corner between inside and outside, relaxed towards
    its neighbours but not out of its cell, so that the middle of every voxel stays on its side. It is a closed manifold
    (`_manifold`): every edge has two triangles, every vertex one ring of them. Empty for empty voxels.
    """
    corners, given, owners = _squares(voxels)
    squares, middle = _manifold(given, owners)
    beside, halved = np.roll(squares, -1, 1), middle >= 0
    rim = [
        np.stack([squares, beside], 2)[~halved],
        np.stack([squares, middle], 2)[halved],
        np.stack([middle, beside], 2)[halved],
    ]
    ends = np.concatenate(rim)
    square = np.concatenate([np.nonzero(~halved)[0], *(np.nonzero(halved)[0],) * 2])
    # A square with a vertex on an edge gets one in the middle too, and triangles around it.
    cut: np.ndarray = np.count_nonzero(halved, axis=1) > 0
    centre = max(squares.max(initial=-1), middle.max(initial=-1)) + np.cumsum(cut)
    fans = np.column_stack([centre[square], ends])[cut[square]]
    start = np.zeros((centre.max(initial=-1) + 1, 3))
    start[squares] = corners[given]
    start[middle[halved]] = (start[squares] + start[beside])[halved] / 2
    start[centre[cut]] = start[squares[cut]].mean(1)
    links = np.concatenate([ends, fans[:, :2]])
    place = _relaxed(start, np.concatenate([links[:, 0], links[:, 1]]), np.concatenate([links[:, 1], links[:, 0]]))
    return place, np.concatenate([_halved(squares[~cut]), fans])


def _relaxed(start: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Vertices (V, 3) on their way to the mean of their neighbours; a, b: (E,) the ends of edges, both ways."""
    if not len(start):
        return start
    degree = np.bincount(a, minlength=len(start))[:, None]
    freedom = np.full(start.shape, FREEDOM)
    freedom[(start == start.min(0)) | (start == start.max(0))] = 0.0  # the extent stays: feet stand flat
    place = start
    for _ in range(RELAXATIONS):
        mean = np.stack([np.bincount(a, place[b, k], len(start)) for k in range(3)], 1) / degree
        place = np.clip(place + 0.6 * (mean - place), start - freedom, start + freedom)
    return place


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), the mean of those of the triangles around, by area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(faces[:, k], across[:, axis], len(vertices))
    return total / np.linalg.norm(total, axis=1, keepdims=True).clip(1e-12)
