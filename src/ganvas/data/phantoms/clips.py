"""Clips of one simple shape that moves before a still background: the action is the label, and where the shape is, is known.

For trying and judging systems that learn video. Not for teaching anything about physics: shapes fall, swing, circle and slide
smoothly, and nothing hides them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ganvas.data.phantoms import CLIP_CLASSES, PhantomData, Progress
from ganvas.errors import DataError
from ganvas.kinds.video.spec import VideoSpec

FRAMES, RATE = 16, 10
LARGEST = 256
SHAPES = ("disc", "square", "triangle")
SOFT = 0.5  # pixels over which an edge goes from shape to background


def _course(action: str, rng: np.random.Generator, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """The middle of the shape in every frame, (x, y) each (FRAMES,) from 0 (left, top) to 1. reach: half the shape's extent."""
    t = np.arange(FRAMES) / (FRAMES - 1)
    low, high = reach, 1 - reach
    if action == "falling":
        x = np.full(FRAMES, rng.uniform(low, high))
        return x, low + (high - low) * np.minimum(1, (t * rng.uniform(0.95, 1.3) + rng.uniform(0, 0.15)) ** 2)
    if action == "sliding":
        start, way = rng.uniform(low, low + 0.1), rng.uniform(0.5, high - low - 0.1)
        x = start + way * t
        return x if rng.random() < 0.5 else 1 - x, np.full(FRAMES, rng.uniform(low, high))
    if action == "swinging":  # a pendulum that hangs from above
        length, angle = rng.uniform(0.45, 0.6), rng.uniform(0.45, 0.65)
        phase = 2 * np.pi * (t * rng.uniform(0.9, 1.3) + rng.random())
        swing = angle * np.sin(phase)
        return 0.5 + length * np.sin(swing), 0.1 + rng.uniform(0.0, 0.1) + length * np.cos(swing)
    radius = rng.uniform(0.18, 0.5 - reach)
    turn = 2 * np.pi * (rng.random() + t * rng.uniform(0.7, 1.1) * rng.choice([-1, 1]))
    return 0.5 + radius * np.cos(turn), 0.5 + radius * np.sin(turn)


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Two tones from top to bottom, hills and some stones: (height, width, 3) float32, 0 to 1."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = (y + 0.5) / height, (x + 0.5) / width
    top, low, hill = (rng.uniform(a, b, 3) for a, b in ((0.45, 0.95), (0.35, 0.8), (0.1, 0.45)))
    made = top + (low - top) * y[..., None]
    line = 0.72 + 0.1 * np.sin(2 * np.pi * (x * rng.uniform(0.6, 1.6) + rng.random()))
    made = np.where((y > line)[..., None], hill, made)
    for _ in range(int(rng.integers(1, 4))):
        across, down, radius = rng.random(), rng.uniform(0.1, 0.9), rng.uniform(0.03, 0.09)
        made = np.where(((x - across) ** 2 + (y - down) ** 2 < radius**2)[..., None], rng.uniform(0.1, 0.9, 3), made)
    return made.astype(np.float32)


def _cover(shape: str, x: np.ndarray, y: np.ndarray, reach: float, height: int, width: int) -> np.ndarray:
    """How far the shape covers each pixel: (FRAMES, height, width), 0 to 1."""
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    side = min(height, width)
    # From its middle, in units of the shorter side.
    across = ((across + 0.5)[None] - (x * width)[:, None, None]) / side
    down = ((down + 0.5)[None] - (y * height)[:, None, None]) / side
    if shape == "disc":
        inside = reach - np.hypot(across, down)
    elif shape == "square":
        inside = 0.9 * reach - np.maximum(abs(across), abs(down))
    else:  # points up
        inside = np.minimum(0.7 * reach - down, (reach + down - 1.7 * abs(across)) / 1.97)
    return np.clip(0.5 + inside * side / (2 * SOFT), 0, 1)


def drawn(action: str, rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """A clip (FRAMES, height, width, 3) uint8, how far the shape covers each pixel (FRAMES, height, width), and its facts."""
    shape, reach = str(rng.choice(SHAPES)), float(rng.uniform(0.11, 0.17))
    behind = _background(rng, height, width)
    colour = rng.uniform(0, 1, 3)
    while np.abs(colour - behind.reshape(-1, 3).mean(axis=0)).max() < 0.45:  # to be seen
        colour = rng.uniform(0, 1, 3)
    x, y = _course(action, rng, reach)
    cover = _cover(shape, x, y, reach, height, width)
    clip = behind + cover[..., None] * (colour - behind)
    facts = {
        "action": action, "shape": shape, "reach": round(reach, 4), "colour": np.round(colour, 3).tolist(),
        "x": np.round(x, 4).tolist(), "y": np.round(y, 4).tolist(),
    }  # fmt: skip
    return np.rint(clip * 255).astype(np.uint8), cover, facts


def make(variant: str | None, n: int, seed: int, size: tuple[int, int], depth: int, progress: Progress | None) -> PhantomData:
    """`n` clips of 16 frames at 10 a second: the four actions in turn, or one of them.

    facts: action, shape, colour, half the extent (`reach`, of the shorter side) and the middle in each frame (`x`, `y`, 0 to 1
    from the left and from above). Raises DataError for sides out of range.
    """
    height, width = size
    if max(size) > LARGEST:
        raise DataError(f"phantom 'clips': the size must be 16 to {LARGEST} pixels a side, not {height}x{width}")
    values, facts = np.zeros((n, FRAMES, height, width, 3), np.uint8), []
    labels = np.arange(n, dtype=np.int64) % len(CLIP_CLASSES) if variant is None else np.zeros(n, np.int64)
    classes = CLIP_CLASSES if variant is None else (variant,)
    for index in range(n):
        values[index], _, known = drawn(classes[labels[index]], np.random.default_rng([seed, index, 0x71]), height, width)
        facts.append(known)
        if progress is not None:
            progress(index + 1, n)
    spec = VideoSpec(FRAMES, height, width, 3, RATE, classes=classes if variant is None else ())
    return PhantomData(values, labels, classes, facts=facts, spec=spec)
