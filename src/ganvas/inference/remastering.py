"""Films of any size through a system that learnt small ones: grey values are cleaned at the film's own size, piece by piece;
colours are found where frames are about as large as those that were learnt, and laid under the clean grey values. Not for
files.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from .colouring import chroma_of, grey, with_chroma
from .tiles import continued, tiled

LARGE = 1.5  # times the sides that were learnt: larger frames are coloured when made smaller
REACH = 32  # pixels that neighbouring tiles share at least
AROUND, FLAT = 2, 0.02  # pixels on each side, and the variance of grey values, under which chroma does not follow these


def coloured_size(height: int, width: int, learnt: tuple[int, int], multiple: int) -> tuple[int, int]:
    """Of frames of that size, the size at which they get their colours: multiples of `multiple`, of about their own aspect."""
    scale = min(height / learnt[0], width / learnt[1])
    scale = scale if scale > LARGE else 1.0
    found = (max(multiple, round(side / scale / multiple) * multiple) for side in (height, width))
    if scale == 1.0:
        found = (-(-side // multiple) * multiple for side in (height, width))
    down, across = found
    return down, across


def cleaned(function: Callable[[Tensor], Tensor], greys: Tensor, tile: int, multiple: int, lines: int = 0) -> Tensor:
    """`function` over grey clips (B, 1, T, H, W), one by one, in pieces of `tile` pixels (0: whole) -> the same shape.

    lines: shorter side, in pixels, that larger clips are brought to for it (0: none are). What it changed there is laid over
    the clips at their own size, which keep what is finer.
    """
    overlap, (height, width) = max(REACH, tile // 8), greys.shape[3:]
    scale = lines / min(height, width)
    made = []
    for clip in greys:
        given = clip if not 0 < scale < 1 else _sized(clip, round(scale * height), round(scale * width))
        own = tiled(function, given[None], tile=tile, overlap=overlap, multiple=multiple)[0].to(clip)
        made.append(own if given is clip else _laid_over(clip, own - given))
    return torch.stack(made)


def _laid_over(clip: Tensor, change: Tensor) -> Tensor:
    """A clip (1, T, H, W) with what was changed (1, T, h, w) at a smaller size; a frame at a time, which are large."""
    result = torch.empty_like(clip)
    for frame in range(clip.shape[1]):
        large = interpolate(change[:, frame, None], size=clip.shape[2:], mode="bicubic", align_corners=False)
        result[:, frame] = (clip[:, frame] + large[:, 0]).clamp(-1, 1)
    return result


def coloured(
    function: Callable[[Tensor, Tensor | None], Tensor], greys: Tensor, references: Tensor | None, learnt: tuple[int, int],
    multiple: int,
) -> Tensor:  # fmt: skip
    """`function` of clean grey clips and pictures (B, 3, K, h, w) -> clips in colour (B, 3, T, H, W) of the grey clips' size.

    learnt: (height, width) of training. Pictures are brought to the size at which colours are found.
    """
    height, width = greys.shape[3:]
    down, across = coloured_size(height, width, learnt, multiple)
    pictures = None if references is None else torch.stack([_sized(own, down, across) for own in references])
    if (down, across) == (-(-height // multiple) * multiple, -(-width // multiple) * multiple):
        return function(continued(greys, multiple, 2), pictures)[..., :height, :width]
    small = torch.stack([_sized(own, down, across) for own in greys])
    made = function(small, pictures)
    result = greys.new_empty(len(greys), 3, *greys.shape[2:])
    for record in range(len(greys)):  # a frame at a time: at its own size a frame is large
        for frame in range(greys.shape[2]):
            low, own = made[record, :, frame][None], greys[record, :, frame][None]
            result[record, :, frame] = with_chroma(own, followed(chroma_of(low), grey(low), own))[0]
    return result


def _sized(frames: Tensor, height: int, width: int) -> Tensor:
    """Frames (C, T, H, W) of another size."""
    if frames.shape[2:] == (height, width):
        return frames
    moved = interpolate(frames.transpose(0, 1), size=(height, width), mode="bilinear", align_corners=False, antialias=True)
    return moved.transpose(0, 1)


def followed(chroma: Tensor, small: Tensor, large: Tensor) -> Tensor:
    """Chroma (B, 2, h, w) of small grey images (B, 1, h, w) for large ones (B, 1, H, W), whose edges it follows.

    A guided filter (He, Sun and Tang 2010, "Guided Image Filtering"; 2015, "Fast Guided Filter", arXiv 1505.00996): in every
    small window chroma is a line of the grey value, and these lines are enlarged in the place of the chroma.
    """
    mean, chromas = _mean(small), _mean(chroma)
    variance = _mean(small * small) - mean * mean
    slope = (_mean(small * chroma) - mean * chromas) / (variance.clamp(min=0) + FLAT)
    lines = torch.cat([_mean(slope), _mean(chromas - slope * mean)], 1)
    lines = interpolate(lines, size=large.shape[2:], mode="bilinear", align_corners=False)
    return (lines[:, :2] * large + lines[:, 2:]).clamp(-1, 1)


def _mean(maps: Tensor) -> Tensor:
    """Over the pixels around each."""
    return avg_pool2d(pad(maps, (AROUND,) * 4, mode="replicate"), 2 * AROUND + 1, 1)
