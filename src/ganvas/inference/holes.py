"""Holes of any form and size through a network that fills holes in images of one size: each in a window that shows what is
around it, smaller where the hole is too large. Not for saying where holes are, nor for what is known, which is kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .membrane import grown, membrane

THIN = 0.25  # of a window may be missing where a hole is filled cell by cell: a long line, not a part of something large
THICK = 0.125  # of a window: what of a hole is farther from its edge is a part of its own, beside lines that run into it
FEW = 2  # cells in a row, into which nothing is cut: it waits for a view that holds it at once, and has no seam
TOGETHER = 8  # windows that go through the network at once


@dataclass(frozen=True)
class Box:
    """A part of an image: rows top .. bottom - 1, columns left .. right - 1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def rows(self) -> int:
        return self.bottom - self.top

    @property
    def columns(self) -> int:
        return self.right - self.left

    @property
    def where(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def with_(self, other: Box) -> Box:
        """The least box that holds both."""
        return Box(
            min(self.top, other.top), min(self.left, other.left), max(self.bottom, other.bottom), max(self.right, other.right)
        )


def filled(function: Callable[[Tensor, Tensor], Tensor], record: Tensor, mask: Tensor, window: tuple[int, int]) -> Tensor:
    """`function` over the holes of one image (1, C, H, W), mask (1, 1, H, W) from 0 to 1 -> (1, C, H, W).

    function: (images (B, C, h, w), holes (B, 1, h, w) of 0 and 1, where images are 0) -> images; (h, w) is `window`.
    mask: 1 where the image is missing; between 0 and 1 what was drawn and what is there are mixed in that share, and the
    network sees neither. Where it is 0 the image stays as it is. What is drawn is moved to meet what is around the hole,
    without a step (`membrane`).
    """
    result, known, hole = record.clone(), record.clone(), (mask > 0).to(record.dtype)
    missing = hole[0, 0].cpu().numpy() > 0
    plan = list(windows(missing, window))
    for start in range(0, len(plan), TOGETHER):
        part = plan[start : start + TOGETHER]
        small = [_reduced(known, hole, view, window) for _, view in part]
        drawn = function(torch.cat([images for images, _ in small]), torch.cat([holes for _, holes in small]))
        for (cell, view), own in zip(part, drawn, strict=True):
            size = (view.rows, view.columns)
            large = own[None] if size == window else interpolate(own[None], size=size, mode="bicubic", align_corners=False)
            here, lack = (x[:, :, *view.where] for x in (known, hole))
            reach = max(1, round(view.rows / window[0]))
            ring = grown(lack, reach) - lack
            inner = (slice(cell.top - view.top, cell.bottom - view.top), slice(cell.left - view.left, cell.right - view.left))
            met = (large + membrane(here - large, ring))[:, :, *inner].clamp(-1, 1)
            todo = hole[:, :, *cell.where] > 0
            before = record[:, :, *cell.where]
            mixed = before + mask[:, :, *cell.where] * (met - before)
            result[:, :, *cell.where] = torch.where(todo, mixed, result[:, :, *cell.where])
            # What was drawn is there for the cells that follow, which go on from it.
            known[:, :, *cell.where] = torch.where(todo, met, known[:, :, *cell.where])
            hole[:, :, *cell.where] = 0
    return result


def _reduced(record: Tensor, hole: Tensor, view: Box, window: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """What a window shows, and what of it is missing, at the size of training; what is missing does not run into the rest."""
    images, lack = (x[:, :, *view.where] for x in (record, hole))
    if (view.rows, view.columns) == window:
        return images * (1 - lack), lack
    both = (images * (1 - lack), 1 - lack)
    seen, part = (interpolate(x, size=window, mode="bilinear", align_corners=False, antialias=True) for x in both)
    holes = (part < 0.5).to(images.dtype)
    return seen / part.clamp(min=0.5) * (1 - holes), holes


def windows(missing: np.ndarray, window: tuple[int, int]) -> Iterator[tuple[Box, Box]]:
    """(cell, view) for all that is missing (H, W): the holes inside a cell are filled by looking at its view.

    A view is of the size of training, or a multiple of it where too much of that would be missing, at most the image. A hole
    that fits into the middle half of a view is filled at once, small ones near each other together; long ones cell by cell, and
    lines that run into something thick before it.
    """
    from scipy.ndimage import find_objects, label

    if not missing.any():
        return
    found, _ = label(missing, np.ones((3, 3)))
    scale, waiting = 1.0, []
    for number, where in enumerate(find_objects(found), start=1):
        box = Box(where[0].start, where[1].start, where[0].stop, where[1].stop)
        fits = box.rows <= window[0] // 2 and box.columns <= window[1] // 2
        waiting += [box] if fits else _apart(found[where] == number, box, THICK * min(window))
    total = np.pad(missing.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def share(box: Box) -> float:
        lack = total[box.bottom, box.right] - total[box.top, box.right] - total[box.bottom, box.left] + total[box.top, box.left]
        return float(lack) / max(1, box.rows * box.columns)

    while waiting:
        sides = [max(2, round(side * scale)) for side in window]
        whole = all(side >= length for side, length in zip(sides, missing.shape, strict=True))
        half = [max(1, side // 2) for side in sides] if not whole else list(missing.shape)
        later = []
        cells: list[Box] = []
        for box in waiting:
            fits = box.rows <= half[0] and box.columns <= half[1]
            parts = [box] if fits else [own for own in _cut(box, half) if share(own) > 0]
            long = box.rows > FEW * half[0] or box.columns > FEW * half[1]
            if fits or (long and all(share(_around(own, sides, missing.shape)) <= THIN for own in parts)):
                cells = _joined(cells, box, half) if fits else [*cells, *parts]
            else:
                later.append(box)
        for cell in cells:
            yield cell, _around(cell, sides, missing.shape)
        waiting, scale = later, scale * 1.5


def _apart(hole: np.ndarray, box: Box, thick: float) -> list[Box]:
    """The boxes of a hole's thin parts and of its thick ones, which have pixels farther than `thick` from its edge; its own box
    where it is all one or the other. hole: (rows, columns) of `box`."""
    from scipy.ndimage import distance_transform_edt, find_objects, label

    core = distance_transform_edt(np.pad(hole, 1))[1:-1, 1:-1] > thick
    if not core.any():
        return [box]
    near = hole & (distance_transform_edt(~core) <= 1.5 * thick)
    parts = []
    for own in (hole & ~near, near):
        for rows, columns in find_objects(label(own, np.ones((3, 3)))[0]):
            parts.append(Box(box.top + rows.start, box.left + columns.start, box.top + rows.stop, box.left + columns.stop))
    return parts


def _joined(cells: list[Box], box: Box, half: list[int]) -> list[Box]:
    """The cells with one more hole: in one that has room for it, else in a new one."""
    for place, cell in enumerate(cells):
        both = cell.with_(box)
        if both.rows <= half[0] and both.columns <= half[1]:
            return [*cells[:place], both, *cells[place + 1 :]]
    return [*cells, box]


def _cut(box: Box, half: list[int]) -> Iterator[Box]:
    """The box in pieces of at most those sides, about alike."""
    rows, columns = (
        np.linspace(first, last, -(-(last - first) // most) + 1).round().astype(int)
        for first, last, most in ((box.top, box.bottom, half[0]), (box.left, box.right, half[1]))
    )
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            yield Box(int(top), int(left), int(bottom), int(right))


def _around(cell: Box, sides: list[int], shape: tuple[int, ...]) -> Box:
    """The view of those sides with the cell in its middle, as far as the image reaches."""
    ends = []
    for first, last, side, length in zip((cell.top, cell.left), (cell.bottom, cell.right), sides, shape, strict=True):
        side = min(side, length)
        start = min(max(0, (first + last - side) // 2), length - side)
        ends.append((start, start + side))
    return Box(ends[0][0], ends[1][0], ends[0][1], ends[1][1])
