"""Large images through a network in pieces: tiles that overlap, blended so that no seam shows.

For networks whose output at a place depends on its surroundings alone. Not for latents or scores, which see whole images.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad


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
    function: Callable[[Tensor], Tensor],
    image: Tensor,
    *,
    tile: int = 0,
    overlap: int = 32,
    multiple: int = 1,
    scale: int = 1,
    advance: Callable[[int], None] = lambda pixels: None,
) -> Tensor:
    """`function` over one image (1, C, H, W) -> (1, C', scale * H, scale * W), on the CPU.

    tile: side of the pieces, 0 for the whole image at once. overlap: pixels that neighbours share. multiple: of what the
    sides given to `function` must be; images are continued by reflection up to it. advance: told the pixels done so far.
    Memory beyond one tile is that of the result.
    """
    height, width = image.shape[2:]
    if not tile or (height <= tile and width <= tile):
        made = function(_continued(image, multiple))[:, :, : height * scale, : width * scale].float().cpu()
        advance(height * width)
        return made
    tile = max(multiple, tile // multiple * multiple)
    overlap = min(overlap, tile // 2)
    sides = min(tile, height), min(tile, width)
    rows, columns = starts(height, sides[0], overlap), starts(width, sides[1], overlap)
    down, across = (
        weights(length * scale, side * scale, [p * scale for p in places])
        for length, side, places in ((height, sides[0], rows), (width, sides[1], columns))
    )
    result: Tensor | None = None
    for i, top in enumerate(rows):
        for k, left in enumerate(columns):
            piece = image[:, :, top : top + sides[0], left : left + sides[1]]
            made = function(_continued(piece, multiple))[:, :, : sides[0] * scale, : sides[1] * scale].float().cpu()
            if result is None:
                result = torch.zeros(1, made.shape[1], height * scale, width * scale)
            made = made * down[i][:, None] * across[k][None, :]
            y, x = top * scale, left * scale
            result[:, :, y : y + made.shape[2], x : x + made.shape[3]] += made
            advance(height * width // (len(rows) * len(columns)))
    assert result is not None
    return result


def _continued(image: Tensor, multiple: int) -> Tensor:
    """The image with its sides raised to a multiple, below and on the right, by reflection (by repetition where it is tiny)."""
    height, width = image.shape[2:]
    below, right = -height % multiple, -width % multiple
    if not below and not right:
        return image
    return pad(image, (0, right, 0, below), mode="reflect" if below < height and right < width else "replicate")
