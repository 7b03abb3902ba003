"""Texture: pictures of any size of what a run learnt as a texture, seamless where wanted, one or several side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import MakesTextures
from ..config import knob
from ..errors import GanvasError
from . import Fields, Use, UseSays, Work

if TYPE_CHECKING:
    from torch import Tensor

    from ..batches import Noise
    from ..metrics.measure import Measure
    from ..store.records import Dataset

LEAST, MOST = 8, 8192  # pixels of a side
NUMBERS = 9999  # textures of a seed that can be asked for
STEP = 1_000_003  # between the seeds of pictures: their noise does not depend on how many are made
JUDGED = 4  # pictures that are measured, each of four crops a side


@dataclass(frozen=True)
class Options:
    count: int = knob(1, "how many", low=1)
    size: str = knob("512x512", "of the pictures, in pixels: one number, or height x width, as in 1024x1024")
    seamless: bool = knob(False, "opposite ends fit together: copies laid side by side show no border")
    pick: str = knob(
        "",
        "which of the textures of this seed: 3 is the third that -n makes; 3,17 goes over from the third on the left into the "
        "seventeenth (default: each in turn)",
    )


def run(work: Work, given: Fields, options: Options) -> Fields:
    """Pictures (1, C, H, W), one by one as they are asked for. Raises GanvasError for a size or numbers that cannot be."""
    height, width = size_of(work, options)
    return {work.main: drawn(work, options.count, height, width, options.seamless, picked(work, options.pick))}


def size_of(work: Work, options: Options) -> tuple[int, int]:
    """(height, width) wanted; of seamless pictures multiples of a cell."""
    words = options.size.lower().split("x")
    sides = [int(word) if word.isdecimal() else 0 for word in (words if len(words) > 1 else words * 2)]
    if len(sides) != 2 or not all(LEAST <= side <= MOST for side in sides):
        raise GanvasError(f"--size {options.size}: give one number from {LEAST} to {MOST}, or height and width as in 1024x1024")
    grain = work.system.grain
    if options.seamless and any(side % grain for side in sides):
        near = "x".join(str(max(1, round(side / grain)) * grain) for side in sides)
        raise GanvasError(
            f"--seamless needs sides that are multiples of {grain} pixels, a cell of the noise: take --size {near}"
        )
    return sides[0], sides[1]


def picked(work: Work, words: str) -> list[int]:
    """`3,17` -> [3, 17]; empty where nothing was picked."""
    parts = [word.strip() for word in words.split(",")] if words else []
    if any(not word.isdecimal() or not 1 <= int(word) <= NUMBERS for word in parts):
        raise GanvasError(f"--pick {words}: give numbers from 1 to {NUMBERS}, as in 3, or 3,17 for one that goes over")
    if parts and not work.system.styles:
        raise GanvasError(f"{work.name} was trained without styles, and makes one texture alone: leave --pick out")
    return [int(word) for word in parts]


def drawn(work: Work, count: int, height: int, width: int, seamless: bool, numbers: list[int]) -> Iterator[Tensor]:
    """One picture after the other; the first are the same whatever the count."""
    import torch

    from ..batches import Noise

    def noise(number: int, part: int) -> Noise:
        return Noise.seeded(work.seed + STEP * (2 * number + part), work.device, work.dtype)

    for place in range(1, count + 1):
        with torch.no_grad():
            styles = torch.cat([work.system.drawn_styles(1, noise(number, 0)) for number in numbers or [place]])
            yield work.system.texture(styles, height, width, noise(place, 1), seamless)


def tell(work: Work, options: Options) -> str:
    height, width = size_of(work, options)
    numbers = " into ".join(map(str, picked(work, options.pick)))
    return f"texture {numbers + ' ' if numbers else ''}of {height}x{width}{', seamless' if options.seamless else ''}"


def trials(work: Work) -> list[dict[str, Any]]:
    """Of the size of records; seamless where that can be; of several."""
    sides = work.spec.shape[1:]
    size = {"size": "x".join(map(str, sides))}
    if min(sides) < LEAST:
        return [{}]
    found = [size, {**size, "pick": "1,2"}] if work.system.styles else [size]
    return [*found, {**size, "seamless": True}] if not any(side % work.system.grain for side in sides) else found


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """Of pictures four times as large as the crops: whether they recur within a crop as the real ones do, and farther away than
    any crop reaches; whether seamless ones are."""
    from ..kinds import decode
    from ..metrics.measure import Measure
    from ..metrics.textures import autocorrelation, periods, seam

    sides = np.array(work.spec.shape[1:])
    rows = dataset.train_indices()
    rows = rows[np.random.default_rng(work.seed).permutation(len(rows))[:200]]
    reach = (int(sides[0]) // 2, int(sides[1]) // 2)
    real = np.mean([autocorrelation(np.asarray(dataset.values[row]), reach) for row in rows], 0)
    height, width = (int(-(-4 * side // work.system.grain) * work.system.grain) for side in sides)
    made = [decode(own, work.spec)[0] for own in drawn(work, JUDGED, height, width, True, [])]
    crops = [own[a : a + sides[0], b : b + sides[1]] for own in made for a, b in _corners(height, width, sides)]
    off = float(np.abs(np.mean([autocorrelation(own, reach) for own in crops], 0) - real).mean())
    far, most = int(sides.max() * 1.5), int(min(height, width) * 0.6)
    told = f"n={JUDGED}/{height}x{width}"
    return {
        "texture_correlation": Measure(off, f"mean error of the autocorrelation within half a crop/{told}"),
        "texture_far": Measure(
            float(np.mean([best for own in made for best, _ in periods(own, far, most)[:1]])),
            f"highest autocorrelation {far} to {most} px away/{told}",
        ),
        "texture_seam": Measure(float(np.mean([seam(own) for own in made])), f"steps across the ends, of large within/{told}"),
    }


def _corners(height: int, width: int, sides: np.ndarray) -> list[tuple[int, int]]:
    return [
        (a, b)
        for a in range(0, height - int(sides[0]) + 1, int(sides[0]))
        for b in range(0, width - int(sides[1]) + 1, int(sides[1]))
    ]


USE = Use(
    verb="texture",
    done="drawn",
    promise=MakesTextures,
    takes=(),
    Options=Options,
    order=12,
    run=run,
    tell=tell,
    trials=trials,
    measure=measure,
    says=UseSays(
        purpose="making a texture of any size, seamless where wanted",
        doing="making textures",
        example="ganvas apply RUN --as texture --size 1024x1024 --seamless --out FOLDER",
    ),
)
