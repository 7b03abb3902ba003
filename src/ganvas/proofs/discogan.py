"""The proof of `discogan`: two reconstructions find each picture's own partner, and reach all of the other domain.

Emoji of two houses: training sees other emoji of the one than of the other, so that no pair is among them. Emoji of which it
saw neither are drawn as the other house would, and looked for among a hundred of that house's own drawings. The controls are
the same networks and losses with one reconstruction in the place of two, and with none. Pictures are grey: emoji have so many
hues that an exchange of these is one to one as well, and was what a first look found.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganvas.batches import Noise
from ganvas.kinds import decode, encode
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.proofs._drawings import houses
from ganvas.proofs._judge import judge_of

SIDE, LARGE_SIDE = 32, 64
AMONG, GROUPS = 100, 2  # drawings among which the partner is looked for, and how many times so many
COMMON: dict[str, Any] = {
    "width": 16, "batch_size": 16, "learning_rate": 1e-3, "ema_half_life": 1000.0, "early_samples": 0,
}  # fmt: skip
LARGE: dict[str, Any] = {"early_samples": 200_000}
"""In the large form, over the defaults, which are the paper's."""
ONE = "one reconstruction"
TIMES = 1.2
OUTLINES = 1500  # drawn in the place of emoji


def arm(task: Task, reconstruction: str) -> Outcome:
    """Train, draw the held-out things of each house as the other would, and look for each one's partner among a hundred."""
    side = LARGE_SIDE if task.large and not task.phantom else SIDE
    first, second, kinds, part = outlines() if task.phantom else houses(Path(task.data), side)
    first, second = (grey(images) if images.shape[3] == 3 else images for images in (first, second))
    path = task.folder / "two.npz"
    if not path.exists():
        values = np.concatenate([first[part == 1], second[part == 2]])
        np.savez(path, images=values, labels=np.repeat([0, 1], [(part == 1).sum(), (part == 2).sum()]))
    common = (LARGE if task.large else COMMON) | {"reconstruction": reconstruction}
    run, facts = trained(task, "discogan", common, data=str(path), size=str(side), precision="32", threads=1)
    chosen = one_of_each(kinds, part == 0)[: AMONG * GROUPS]
    drawn = [translated(run, given[chosen], target) for given, target in ((first, 1), (second, 0))]
    found = [partners(made, true[chosen]) for made, true in zip(drawn, (second, first), strict=True)]
    before = [partners(given[chosen], true[chosen]) for given, true in ((first, second), (second, first))]
    judge = judge_of(np.concatenate([first[part > 0], second[part > 0]]), np.repeat([0, 1], (part > 0).sum()))
    back = [translated(run, made, target) for made, target in zip(drawn, (0, 1), strict=True)]
    more = {
        "found": [own for own, _ in found],
        "covered": [share for _, share in found],
        "looks_like_target": [float((judge(made) == target).mean()) for made, target in zip(drawn, (1, 0), strict=True)],
        "judge_on_heldout": [float((judge(real[chosen]) == k).mean()) for k, real in enumerate((first, second))],
        "error_of_return": [_apart(own, real[chosen]) for own, real in zip(back, (first, second), strict=True)],
        "inputs_found": [own for own, _ in before],
    }
    shown = np.concatenate([drawn[0][:18], drawn[1][:18]])  # nothing of the data itself
    protocol = f"top-1 among {AMONG}, nearest in normalised pixels, both ways/n={2 * len(chosen)}/at={side}x{side}"
    return Outcome(statistics.fmean(more["found"]), protocol, more | facts, shown)


def grey(images: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (N, H, W, 1), by what red, green and blue have in brightness (ITU-R 601)."""
    made: np.ndarray = (images @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)[..., None]
    return made


def translated(run: Any, images: np.ndarray, target: int) -> np.ndarray:
    """Images (N, H, W, C) uint8 as the class `target` would show them."""
    noise = Noise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        made = [run.system.translate(x, target, noise) for x in encode(images, run.spec).split(64)]
    drawn: np.ndarray = decode(torch.cat(made), run.spec, 8)
    return drawn


def partners(made: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """(share of made images whose own partner is the nearest of its hundred, share of the true ones that are nearest to any).

    Of images (N, H, W, C), in groups of a hundred. Each side is taken without its mean image and brought to one scale, as what
    all of a house have in common is no likeness. One for one the second is 1; at random about 0.63; into a few, small.
    """

    def ready(images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1).astype(np.float64)
        flat -= flat.mean(0)
        return flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9)

    found, covered = [], []
    for start in range(0, len(made), AMONG):
        own = slice(start, start + AMONG)
        nearest = (ready(made[own]) @ ready(true[own]).T).argmax(1)
        found.append(float((nearest == np.arange(len(nearest))).mean()))
        covered.append(len(np.unique(nearest)) / len(nearest))
    return statistics.fmean(found), statistics.fmean(covered)


def one_of_each(kinds: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The first place of every kind, in an order that is always the same. among: whether a place counts (N,)."""
    places = np.flatnonzero(among)
    _, first = np.unique(kinds[places], return_index=True)
    return np.random.default_rng(0).permutation(places[np.sort(first)])


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference in grey values."""
    return float(np.abs(one.astype(np.float64) - other).mean())


def outlines(count: int = OUTLINES) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Boxes of any place and shape in two looks, as `houses` gives emoji: filled and dark on light, bare edges light on
    dark. Every box is a kind of its own; a fifth is held out."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:SIDE, :SIDE]
    first, second = np.full((count, SIDE, SIDE, 1), 230, np.uint8), np.full((count, SIDE, SIDE, 1), 30, np.uint8)
    for own, other in zip(first, second, strict=True):
        (top, left), (high, wide) = rng.integers(9, SIDE - 9, 2), rng.integers(3, 9, 2)
        down, across = np.abs(row - top) - high, np.abs(column - left) - wide
        far = np.maximum(down, across)
        own[far <= 0] = 40
        other[(far <= 0) & (far > -2)] = 220
    place = np.arange(count)
    return first, second, place, np.digitize(place / count, [0.2, 0.6])


def met(rows: Sequence[Row]) -> bool:
    """With every seed far more partners than the GAN alone finds, and more of the target reached; in the mean, more partners
    than with one reconstruction."""
    reached = {name: [statistics.fmean(row.more[name]["covered"]) for row in rows] for name in ("system", "baseline")}
    every = all(row.values["system"] >= TIMES * row.values["baseline"] for row in rows)
    wider = all(own > other for own, other in zip(reached["system"], reached["baseline"], strict=True))
    means = (statistics.fmean(row.values[name] for row in rows) for name in ("system", ONE))
    return every and wider and next(means) > next(means)


PROOF = Proof(
    claim="two reconstructions, learnt without pairs, find each picture's own partner in the other domain, and reach all of it",
    baseline="the same networks and losses without reconstruction: two GANs that turn pictures into the other domain",
    metric=f"share of translations whose own partner is the nearest of {AMONG} drawings of the other house (higher is better)",
    direction=HIGHER,
    mark=(
        f"with every seed at least {TIMES} times the share that the GAN alone finds, and more of the other house's drawings "
        "nearest to any translation than with it; and in the mean over seeds more partners than with one reconstruction"
    ),
    met=met,
    arms={
        "system": lambda task: arm(task, "both"),
        "baseline": lambda task: arm(task, "none"),
        ONE: lambda task: arm(task, "first"),
    },
    budget="300r",
    quick_budget="30r",
    large_budget="6000r",
    phantom="chest",
    real="emoji",
    note=(
        "Held-out emoji, in grey, and the two halves of the others on which the two domains are trained, share no caption. "
        "Without the real data, boxes are drawn, filled in one domain and bare edges in the other."
    ),
)
