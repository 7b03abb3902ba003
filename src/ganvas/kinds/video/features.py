"""What clips are judged by: how frames look, by the extractor of pictures, and how they move. Not for knowing copies again."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..facets import Side
from .recognition import small
from .spec import VideoSpec

TYPE = "frames+motion"
SIDE, BLOCKS, STRETCHES = 32, 4, 4
LOOKS = 14.0  # mean length of the extractor's features of a frame
ENERGY, FLOW, STILLNESS = 6.0, 0.8, 0.12  # so that what moves weighs as much as what is seen, by the phantom
MOVES = 0.02  # of black to white: the deviation over time from which a pixel does not stand still
AT_ONCE = 64


def vectors(values: np.ndarray, spec: VideoSpec) -> np.ndarray:
    """(N, D) float32 of clips (N, T, H, W, C): the mean of the extractor's features of two frames (an eighth and seven
    eighths in), beside `motion`."""
    from ...metrics import image_features

    values = np.asarray(values)
    frames = values.shape[1]
    pair = [frames // 8, frames - 1 - frames // 8]
    seen = [image_features(np.ascontiguousarray(values[:, place]), size=(spec.height, spec.width)) for place in pair]
    parts = [motion(values[start : start + AT_ONCE], spec.white) for start in range(0, len(values), AT_ONCE)]
    return np.concatenate([np.mean(seen, axis=0) / LOOKS, np.concatenate(parts)], axis=1).astype(np.float32)


def motion(values: np.ndarray, white: float) -> np.ndarray:
    """(N, D): in each of 4x4 blocks and stretches of time how much changes from frame to frame and which way it moves (least
    squares of the brightness constraint; Lucas and Kanade 1981), and which share of each block stands still throughout."""
    grey = small(values, white, SIDE)
    count, frames = grey.shape[:2]
    change = np.diff(grey, axis=1)
    middle = (grey[:, 1:] + grey[:, :-1]) / 2
    down, across = np.gradient(middle, axis=(2, 3))
    energy = np.sqrt(_blocks(np.abs(change)))
    slope = _blocks(down**2 + across**2) + 1e-4
    flow = [np.tanh(4 * _blocks(-change * own) / slope) for own in (down, across)]
    still = (grey.std(axis=1) < MOVES).astype(np.float32)
    still = still.reshape(count, BLOCKS, SIDE // BLOCKS, BLOCKS, SIDE // BLOCKS).mean(axis=(2, 4))
    parts = (energy * ENERGY / 8, *(own * FLOW / 8 for own in flow), still * STILLNESS * 4 / BLOCKS)
    return np.concatenate([part.reshape(count, -1) for part in parts], axis=1).astype(np.float32)


def _blocks(change: np.ndarray) -> np.ndarray:
    """Means of (N, T, side, side) over stretches of time and blocks: (N, stretches, 4, 4)."""
    count, frames = change.shape[:2]
    edges = np.linspace(0, frames, min(STRETCHES, frames) + 1).round().astype(int)
    parts = [change[:, a:b].mean(axis=1) for a, b in pairwise(edges.tolist())]
    cells = SIDE // BLOCKS
    return np.stack(parts, axis=1).reshape(count, len(parts), BLOCKS, cells, BLOCKS, cells).mean(axis=(3, 5))


def moving_share(values: np.ndarray, white: float) -> np.ndarray:
    """(N,) the share of a clip's pixels that do not stand still."""
    return (small(values, white, SIDE).std(axis=1) >= MOVES).reshape(len(values), -1).mean(axis=1)


def change_of(values: np.ndarray, white: float) -> np.ndarray:
    """(N,) mean change of a pixel from frame to frame, of black to white."""
    return np.abs(np.diff(small(values, white, SIDE), axis=1)).reshape(len(values), -1).mean(axis=1)


def measures(made: Side, train: Side, heldout: Side, seed: int) -> dict[str, object]:
    """motion: change from frame to frame; moving: share of pixels that do not stand still; each with that of held-out clips
    (`real`)."""
    from ...metrics.measure import Measure
    from ...metrics.sets import mean_interval

    found: dict[str, object] = {}
    for key, take, what in (
        ("motion", change_of, "mean change of a pixel from frame to frame"),
        ("moving", moving_share, f"share of pixels whose deviation over time is {MOVES:g} of black to white or more"),
    ):
        own, real = (take(np.asarray(side[0]), side[1].white) for side in (made, heldout))
        value, low, high = mean_interval(own)
        found[key] = Measure(value, f"{what}/n={len(own)}", low, high, {"real": float(real.mean())})
    return found


def paired(made: np.ndarray, true: np.ndarray, white: float) -> dict[str, tuple[np.ndarray, str]]:
    """Of pairs of clips (N, T, H, W, C): PSNR in dB, and by how much errors of pixels change from frame to frame, in levels
    of 255; a still error, such as a tint, does not flicker. One clip at a time: they are large."""
    found: dict[str, list[float]] = {"psnr": [], "flicker": []}
    for one, other in zip(made, true, strict=True):
        error = (one.astype(np.float32) - other) / white
        found["psnr"].append(10 * np.log10(1 / max(float(np.mean(error.astype(np.float64) ** 2)), 1e-10)))
        found["flicker"].append(255 * float(np.abs(np.diff(error, axis=0)).mean()))
    told = {"psnr": "psnr/all channels and frames/dB", "flicker": "change of the error from frame to frame/levels of 255"}
    return {name: (np.array(values), told[name]) for name, values in found.items()}
