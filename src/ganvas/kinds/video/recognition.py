"""By what a clip is known again that begins some frames earlier or later, or is mirrored. Not for judging samples.

Two things must agree: the still picture behind a clip, and what moves before it, which is what is left when the mean over time
is taken off. Many clips share one of the two.
"""

from __future__ import annotations

import numpy as np

STILL, MOVING = 12, 12  # pixels a side of the small pictures that are compared
LARGEST_SHIFT = 4  # frames, and at most a quarter of the clip
FAINT = 1e-3  # of black to white: the deviation below which nothing moves, or a picture is of one colour


def shifts_of(frames: int) -> list[int]:
    """Frames by which a clip may begin later, none first."""
    most = min(LARGEST_SHIFT, frames // 4)
    return [0, *(step for k in range(1, most + 1) for step in (k, -k))]


def small(values: np.ndarray, white: float, side: int) -> np.ndarray:
    """Means over `side` x `side` blocks of grey frames: (N, T, H, W, C) -> (N, T, side, side) float32, 0 to 1."""
    import torch

    count, frames, height, width = values.shape[:4]
    grey = np.asarray(values, np.float32).mean(axis=4) / np.float32(white)
    flat = torch.from_numpy(grey.reshape(count * frames, 1, height, width))
    return torch.nn.functional.adaptive_avg_pool2d(flat, side).numpy().reshape(count, frames, side, side)


def _unit(flat: np.ndarray, least: float) -> np.ndarray:
    """Rows (..., D) less their mean, of length 1; 0 where they hardly differ."""
    flat = flat - flat.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(flat, axis=-1, keepdims=True)
    return np.where(length > least * np.sqrt(flat.shape[-1]), flat / np.maximum(length, 1e-12), 0).astype(np.float32)


def _moved(frames: np.ndarray, shift: int) -> np.ndarray:
    """Frames (N, T, ...) that begin so many later; 0 where there are none."""
    made = np.zeros_like(frames)
    if shift > 0:
        made[:, :-shift] = frames[:, shift:]
    elif shift < 0:
        made[:, -shift:] = frames[:, :shift]
    else:
        made[:] = frames
    return made


def marks(values: np.ndarray, white: float, changed: bool) -> np.ndarray:
    """(N, V, D) float32 of clips (N, T, H, W, C): the still picture and what moves, each half of the mark. changed: also of the
    clip mirrored, and of both begun earlier and later."""
    frames = small(values, white, STILL)
    made = []
    for mirrored in (False, True) if changed else (False,):
        own = frames[..., ::-1] if mirrored else frames
        behind = own.mean(axis=1, keepdims=True)
        still = _unit(behind.reshape(len(own), -1), FAINT)
        moving = (own - behind).reshape(len(own), own.shape[1], -1)
        for shift in shifts_of(own.shape[1]) if changed else [0]:
            flat = _unit(_moved(moving, shift).reshape(len(own), -1), FAINT)
            mark = np.concatenate([still, flat], axis=1)
            length = np.linalg.norm(mark, axis=1, keepdims=True)
            made.append(mark / np.where(length > 0, length, 1.0))
    return np.stack(made, axis=1).astype(np.float32)


def likeness(first: np.ndarray, second: np.ndarray, whites: tuple[float, float]) -> np.ndarray:
    """(P,) how alike pairs of clips (P, T, H, W, C) are in the best shift, mirrored or not: the lesser of the correlations
    of what is still and of what moves, over the frames that both have; 0 to 1."""
    one, other = (small(side, white, MOVING) for side, white in zip((first, second), whites, strict=True))
    best = np.zeros(len(one))
    frames = one.shape[1]
    for mirrored in (False, True):
        own = one[..., ::-1] if mirrored else one
        for shift in shifts_of(frames):
            a = own[:, max(0, shift) : frames + min(0, shift)]
            b = other[:, max(0, -shift) : frames + min(0, -shift)]
            best = np.maximum(best, _alike(a, b))
    return best.clip(0, 1)


def _alike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(P,) of frames (P, T, h, w) in step."""
    behind = [side.mean(axis=1, keepdims=True) for side in (a, b)]
    still = [_unit(side.reshape(len(side), -1), FAINT) for side in behind]
    moving = [_unit((side - own).reshape(len(side), -1), FAINT) for side, own in zip((a, b), behind, strict=True)]
    found = []
    for pair in (still, moving):
        there = [np.linalg.norm(side, axis=1) > 0 for side in pair]
        product = (pair[0] * pair[1]).sum(axis=1)
        found.append(np.where(there[0] | there[1], product, 1.0))  # neither has any: no difference
    nothing = ~(np.linalg.norm(still[0], axis=1) > 0) & ~(np.linalg.norm(moving[0], axis=1) > 0)
    result: np.ndarray = np.where(nothing, 0.0, np.minimum(*found))
    return result
