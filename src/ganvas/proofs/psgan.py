"""The proof of `psgan`: a texture made four times as large as its crops recurs as the real one does, far beyond any crop.

Two small textures, one that recurs and one that does not. Of the first, correlations at multiples of its period are looked at,
beyond what any crop shows. Of the second a part is kept back, and patches of what is made are compared with those of that part.
Beside `psgan` stand the same networks without waves (SGAN, Jetchev et al. 2016), samples of `dcgan` laid side by
side, and image quilting (Efros and Freeman 2001), restated here, which learns nothing: it copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.batches import Noise
from ganvas.kinds import decode
from ganvas.metrics.textures import patch_distance, periods, recurrence, seam
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained

SIDE, LARGE_SIDE = 32, 64  # of crops
TIMES = 4  # as large is what is made
MADE = 4  # pictures of each arm and texture
PATCH = 10
LATTICE, GRAIN = "recurring", "not recurring"
COMMON: dict[str, Any] = {
    "layers": 3, "kernel": 4, "width": 16, "batch_size": 16, "ema_half_life": 2_000.0,
    "generator_learning_rate": 5e-4, "discriminator_learning_rate": 2e-4,
}  # fmt: skip
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "system": ("psgan", COMMON | {"style_size": 0, "waves": 12, "wave_start": "spread", "local_size": 20}),
    "sgan": ("psgan", COMMON | {"style_size": 0, "waves": 0, "local_size": 32}),
    "baseline": ("dcgan", {"latent_size": 64, "width": 16, "batch_size": 16, "generator_last": "nearest",
                           "generator_learning_rate": 5e-4, "discriminator_learning_rate": 5e-4, "ema_half_life": 2_000.0}),
}  # fmt: skip
QUILTED = "quilting"
KEPT, WITHOUT, TILED = 0.7, 0.5, 0.6
FITS, SHOWS = 1.15, 1.3

Maker = Callable[[int], np.ndarray]
"""Number of a picture -> (H, W, C) uint8, `TIMES` as large as crops."""


# Textures


def textures(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(a texture that recurs, one that does not, a part of the latter that nobody learns from), (H, W, 3) uint8."""
    scale = 2 if task.large else 1
    if task.phantom:
        return wall(80 * scale), *_parted(grain(128 * scale))
    from PIL import Image

    with Image.open(Path(task.data) / "startile.png") as opened:  # 64x128, made to be laid side by side
        tile = opened.convert("RGB").resize((40 * scale, 20 * scale), Image.Resampling.BOX)
    with Image.open(Path(task.data) / "walnut.png") as opened:
        wood = np.asarray(opened.convert("RGB"))
    return np.tile(np.asarray(tile), (4, 2, 1)), *_parted(wood)


def _parted(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cut = picture.shape[1] * 5 // 8
    return picture[:, :cut], picture[:, cut:]


def wall(side: int, seed: int = 0) -> np.ndarray:
    """Bricks, each of its own tone, with grain: a lattice whose columns are 2/9 of 96 pixels apart, in rows of 11."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side].astype(float)
    course = np.floor(rows / 11).astype(int)
    along = columns / (96 * 2 / 9) + 0.5 * (course % 2)
    brick = np.floor(along).astype(int)
    tone = rng.normal(size=(course.max() + 1, brick.max() + 1))[course, brick]
    mortar = (rows % 11 < 2) | ((along % 1) * (96 * 2 / 9) < 2.5)
    shade = np.where(mortar, 205.0, 110.0 + 14 * tone) + rng.normal(0, 8, (side, side))
    made = shade[..., None] * np.where(mortar[..., None], [1.0, 0.98, 0.94], [1.15, 0.72, 0.6])
    return np.asarray(made.clip(0, 255).round(), np.uint8)


def grain(side: int, seed: int = 1) -> np.ndarray:
    """Blots: smoothed noise, cut."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    level = gaussian_filter(rng.normal(size=(side, side)), 2.0, mode="wrap")
    tone = 1 / (1 + np.exp(-4 * level / level.std()))
    made = (60 + 130 * tone + rng.normal(0, 5, (side, side)))[..., None] * np.array([1.0, 0.8, 0.6])
    return np.asarray(made.clip(0, 255).round(), np.uint8)


# Image quilting


def quilted(source: np.ndarray, height: int, width: int, block: int, seed: int) -> np.ndarray:
    """Blocks of a picture beside each other (Efros, Freeman 2001, "Image Quilting for Texture Synthesis and Transfer"): each is
    one of those that fit what is there already within a tenth of the best, cut along the path on which both differ least."""
    rng, lap = np.random.default_rng(seed), max(2, block // 6)
    step = block - lap
    down, across = -(-(height - lap) // step), -(-(width - lap) // step)
    made = np.zeros((down * step + lap, across * step + lap, source.shape[2]))
    views = np.lib.stride_tricks.sliding_window_view(source.astype(np.float64), (block, block), (0, 1)).transpose(0, 1, 3, 4, 2)
    views = views.reshape(-1, block, block, source.shape[2])
    for row in range(down):
        for column in range(across):
            top, left = row * step, column * step
            there = made[top : top + block, left : left + block]
            known = np.zeros((block, block), bool)
            known[:lap] |= row > 0
            known[:, :lap] |= column > 0
            if not known.any():
                there[:] = views[rng.integers(len(views))]
                continue
            errors = ((views[:, known] - there[known]) ** 2).sum((1, 2))
            good = np.flatnonzero(errors <= 1.1 * errors.min() + 1e-9)
            chosen = views[rng.choice(good)]
            gap = ((chosen - there) ** 2).sum(2)
            taken = np.ones((block, block), bool)
            if column:
                taken[:, :lap] &= _beyond(gap[:, :lap])
            if row:
                taken[:lap] &= _beyond(gap[:lap].T).T
            there[taken] = chosen[taken]
    return made[:height, :width].round().astype(np.uint8)


def _beyond(errors: np.ndarray) -> np.ndarray:
    """(length, lap) bool: places at and right of the cheapest path from the first row to the last."""
    cost = errors.copy()
    for row in range(1, len(cost)):
        before = np.pad(cost[row - 1], 1, constant_values=np.inf)
        cost[row] += np.minimum(np.minimum(before[:-2], before[1:-1]), before[2:])
    path = [int(cost[-1].argmin())]
    for row in range(len(cost) - 2, -1, -1):
        low = max(0, path[-1] - 1)
        path.append(low + int(cost[row, low : path[-1] + 2].argmin()))
    return np.arange(errors.shape[1])[None] >= np.array(path[::-1])[:, None]


# Arms


def learnt(task: Task, arm: str) -> Outcome:
    """Train on crops of each texture; pictures of any size, or samples side by side."""
    name, config = ARMS[arm]
    side = LARGE_SIDE if task.large else SIDE
    if task.large:
        config = config | {"width": 48} | ({"layers": 4} if name == "psgan" else {})
    facts: dict[str, Any] = {}

    def maker(which: str, source: np.ndarray) -> tuple[Maker, float]:
        from dataclasses import replace

        from PIL import Image

        folder = task.folder / which.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(source).save(folder / "texture.png")
        own = replace(task, folder=folder)
        settings: dict[str, Any] = {"size": str(side), "fit": "crops", "heldout": 0.0, "threads": 1, "precision": "32"}
        run, told = trained(own, name, config, data=str(folder / "texture.png"), **settings)
        facts.update({f"{which} {key}": value for key, value in told.items()})
        system = run.system

        def made(number: int, seamless: bool = False) -> np.ndarray:
            import torch

            noise = Noise.seeded(1000 * task.seed + number)
            with torch.no_grad():
                if name == "dcgan":
                    tiles = decode(system.sample(TIMES**2, noise), run.spec)
                    return _side_by_side(tiles)
                styles = system.drawn_styles(1, noise)
                return decode(system.texture(styles, TIMES * side, TIMES * side, noise, seamless), run.spec)[0]

        tiled = name == "dcgan"
        return made, float(np.mean([seam(made(k), side) if tiled else seam(made(k, seamless=True)) for k in range(MADE)]))

    return _judged(task, maker, facts)


def quilting(task: Task) -> Outcome:
    side = LARGE_SIDE if task.large else SIDE

    def maker(which: str, source: np.ndarray) -> tuple[Maker, float]:
        def made(number: int) -> np.ndarray:
            return quilted(source, TIMES * side, TIMES * side, side * 3 // 4, 1000 * task.seed + number)

        return made, float(np.mean([seam(made(k)) for k in range(MADE)]))

    return _judged(task, maker, {})


def _side_by_side(tiles: np.ndarray) -> np.ndarray:
    count, height, width, channels = tiles.shape
    sheet = tiles.reshape(TIMES, TIMES, height, width, channels).transpose(0, 2, 1, 3, 4)
    return sheet.reshape(TIMES * height, TIMES * width, channels)


def _judged(task: Task, maker: Callable[[str, np.ndarray], tuple[Maker, float]], facts: dict[str, Any]) -> Outcome:
    side = LARGE_SIDE if task.large else SIDE
    lattice, source, held = textures(task)
    known = periods(lattice, side // 4, side // 2)
    recurring, _ = maker(LATTICE, lattice)
    pictures = [recurring(k) for k in range(MADE)]
    kept = float(np.mean([recurrence(own, lag, side, 3 * side) / true for own in pictures for true, lag in known]))
    plain, ends = maker(GRAIN, source)
    others = [plain(k) for k in range(MADE)]
    more = {
        "seam": ends,
        "patches": float(np.mean([patch_distance(own, held, PATCH) for own in others])),
        "patches_real": patch_distance(source, held, PATCH),
        "spectrum": float(np.mean([spectrum_gap(own, held) for own in others])),
        "spectrum_real": spectrum_gap(source, held),
        "copied": copied(others, source),
        "periods": [[*lag, round(true, 3)] for true, lag in known],
    }
    protocol = (
        f"mean correlation at multiples of two periods {side} to {3 * side} px away, within 1 px and 6 %, by that of the real "
        f"one at these periods/n={MADE} of {TIMES * side} px"
    )
    return Outcome(kept, protocol, more | facts, np.stack([*pictures[:2], *others[:2]]))


def spectrum_gap(made: np.ndarray, real: np.ndarray, piece: int = 32) -> float:
    """Mean difference of the powers of pieces by distance from the middle of the spectrum, in decibels."""

    def rings(picture: np.ndarray) -> np.ndarray:
        grey = picture.astype(np.float64).mean(2)
        window = np.outer(np.hanning(piece), np.hanning(piece))
        places = [(a, b) for a in range(0, grey.shape[0] - piece + 1, 8) for b in range(0, grey.shape[1] - piece + 1, 8)]
        power = np.mean([np.abs(np.fft.fft2((own - own.mean()) * window)) ** 2
                         for own in (grey[a : a + piece, b : b + piece] for a, b in places)], 0)  # fmt: skip
        along = np.fft.fftfreq(piece) * piece
        ring = np.hypot(along[:, None], along[None]).round().astype(int)
        return np.array([power[ring == k].mean() for k in range(1, piece // 2)])

    return float(np.abs(10 * np.log10(rings(made) / rings(real))).mean())


def copied(pictures: Sequence[np.ndarray], source: np.ndarray, side: int = 12) -> float:
    """Share of patches that stand in the source as they are, to within 3 levels (root of the mean square)."""
    views = np.lib.stride_tricks.sliding_window_view(source.astype(np.float32), (side, side), (0, 1))
    known = views.reshape(views.shape[0] * views.shape[1], -1)
    squares = (known**2).sum(1)
    rng, patches = np.random.default_rng(0), []
    for picture in pictures:
        for a, b in rng.integers(0, min(picture.shape[:2]) - side + 1, (50, 2)):
            patches.append(picture[a : a + side, b : b + side].astype(np.float32).transpose(2, 0, 1).ravel())
    asked = np.stack(patches)
    nearest = (squares[:, None] - 2 * known @ asked.T + (asked**2).sum(1)).min(0) / known.shape[1]
    return float((nearest <= 9.0).mean())


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] >= KEPT
        and row.values["sgan"] <= WITHOUT * row.values["system"]
        and row.values["baseline"] <= TILED * row.values["system"]
        and row.more["system"]["seam"] <= FITS
        and row.more["baseline"]["seam"] >= SHOWS
        for row in rows
    )


PROOF = Proof(
    claim="a texture learnt from small crops, made four times as large, recurs as the real one does far beyond any crop, "
    "and seamlessly",
    baseline="samples of dcgan laid side by side, after as many rounds",
    metric="correlation at multiples of the period beyond a crop, of that of the real texture at its period",
    direction=HIGHER,
    mark=(
        f"with every seed at least {KEPT}, the same networks without waves (sgan) at most {WITHOUT} times as much, and the "
        f"samples side by side at most {TILED} times; steps across the ends of seamless pictures of the texture that does not "
        f"recur at most {FITS} times large ones within, and across the borders of tiles at least {SHOWS} times"
    ),
    met=met,
    arms={
        "system": lambda task: learnt(task, "system"),
        "baseline": lambda task: learnt(task, "baseline"),
        "sgan": lambda task: learnt(task, "sgan"),
        QUILTED: quilting,
    },
    budget="2500r",
    quick_budget="40r",
    large_budget="20000r",
    real="textures",
    phantom="patterns",
)
