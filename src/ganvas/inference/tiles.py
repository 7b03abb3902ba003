"""Large records through a network in pieces: tiles that overlap, blended so that no seam shows.

For networks whose output at a place depends on its surroundings alone. Not for latents or scores, which see whole images.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one side, the last one flush with the end; neighbours share at least `overlap`."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def weights(length: int, tile: int, places: list[int]) -> Tensor:
    """(tiles, tile) how much each tile counts at its places: ramps over shared parts, 1 elsewhere; they sum to 1."""
    single = torch.zeros(len(places), length)
    for row, place in enumerate(places):
        before = places[row - 1] + tile - place if row else 0
        after = place + tile - places[row + 1] if row + 1 < len(places) else 0
        ramp = torch.ones(tile)
        # Half-open ramps: the tile's very border, where it knows least of its surroundings, counts least.
        if before > 0:
            ramp[:before] *= (torch.arange(before) + 0.5) / before
        if after > 0:
            ramp[tile - after :] *= ((torch.arange(after) + 0.5) / after).flip(0)
        single[row, place : place + tile] = ramp
    single /= single.sum(0)
    return torch.stack([single[row, place : place + tile] for row, place in enumerate(places)])


def tiled(
    function: Callable[..., Tensor],
    record: Tensor,
    *beside: Tensor,
    tile: int = 0,
    overlap: int = 32,
    multiple: int = 1,
    scale: int = 1,
    spread: int = 2,
    advance: Callable[[int], None] = lambda places: None,
) -> Tensor:
    """`function` over one record (1, ..., H, W) -> (1, ..., scale * H, scale * W), on the CPU.

    beside: further tensors, which are cut like the record and handed to `function` after it. tile: side of the pieces, 0 for
    the whole record at once. overlap: places that neighbours share. multiple: of what the sides given to `function` must be;
    records are continued by reflection up to it. spread: how many of the last axes are cut (2 for images, 1 for sounds).
    advance: told the places (pixels) done so far. Memory beyond one tile is that of the result.
    """
    lengths = tuple(record.shape[len(record.shape) - spread :])
    area = math.prod(lengths)
    whole = (slice(None),) * spread
    if not tile or all(length <= tile for length in lengths):
        made = _made(function, (record, *beside), whole, lengths, multiple, scale)
        advance(area)
        return made
    tile = max(multiple, tile // multiple * multiple)
    sides = [min(tile, length) for length in lengths]
    places = [starts(length, side, min(overlap, tile // 2)) for length, side in zip(lengths, sides, strict=True)]
    shares = [
        weights(length * scale, side * scale, [place * scale for place in own])
        for length, side, own in zip(lengths, sides, places, strict=True)
    ]
    result: Tensor | None = None
    for chosen in itertools.product(*(range(len(own)) for own in places)):
        begins = [own[k] for own, k in zip(places, chosen, strict=True)]
        part = tuple(slice(begin, begin + side) for begin, side in zip(begins, sides, strict=True))
        made = _made(function, (record, *beside), part, tuple(sides), multiple, scale)
        if result is None:
            result = torch.zeros(*made.shape[: made.dim() - spread], *(length * scale for length in lengths))
        for axis, (share, k) in enumerate(zip(shares, chosen, strict=True)):
            made = made * share[k].reshape(-1, *(1,) * (spread - 1 - axis))
        target = tuple(slice(begin * scale, (begin + side) * scale) for begin, side in zip(begins, sides, strict=True))
        result[_last(target)] += made
        advance(area // math.prod(len(own) for own in places))
    assert result is not None
    return result


def _made(
    function: Callable[..., Tensor], given: Sequence[Tensor], part: tuple[slice, ...], sides: tuple[int, ...], multiple: int,
    scale: int,
) -> Tensor:  # fmt: skip
    """`function` of a part of the given tensors, cut back to the sides of that part."""
    made = function(*(continued(own[_last(part)], multiple, len(sides)) for own in given))
    return made[_last(tuple(slice(0, side * scale) for side in sides))].float().cpu()


def _last(parts: tuple[slice, ...]) -> Any:
    """An index into the last axes."""
    return (..., *parts)


def continued(record: Tensor, multiple: int, spread: int) -> Tensor:
    """The record with its last axes raised to a multiple, at their ends, by reflection (by repetition where it is tiny)."""
    axes = range(record.dim() - spread, record.dim())
    more = {axis: -record.shape[axis] % multiple for axis in axes}
    reflected = all(more[axis] < record.shape[axis] for axis in axes)
    for axis, beyond in more.items():
        if beyond:
            length = record.shape[axis]
            place = torch.arange(length + beyond, device=record.device)
            outside = 2 * (length - 1) - place if reflected else torch.full_like(place, length - 1)
            record = record.index_select(axis, torch.where(place < length, place, outside))
    return record
