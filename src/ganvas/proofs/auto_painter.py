"""The proof of `auto-painter`: a dab of colour colours the region around it, and another colour is taken as readily.

Cartoon faces, whose regions are flat: which pixels belong to a dab is known from the true picture. One dab in each of the
largest regions; all else is left to the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganvas.data import open_data
from ganvas.inference.colouring import lines, spread
from ganvas.kinds import decode, encode
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.proofs.stargan import draw_faces

FACES = "avataaars"
FLOOD = "flood"
SIDE, LARGE_SIDE = 64, 128
COMMON: dict[str, Any] = {
    "source": "lines", "width": 16, "dropout": 0.0, "perceptual_weight": 0.0, "learning_rate": 1e-3, "ema_half_life": 500.0,
    "batch_size": 8,
}  # fmt: skip
LARGE = COMMON | {"width": 64, "learning_rate": 2e-4, "dropout": 0.5}
MOST, REGIONS = 200, 3  # pictures, and the largest regions of each
FLAT = 12  # grey values that channels of one region may differ by from its dab
LEAST = 40  # pixels of a region
REACH = 2  # of a dab, in pixels from its middle
HUE = 40  # grey values between the channels of a colour that has a hue
AT_MOST = 0.6  # of the error without hints
AT_DAB = 3.0  # percent of the range
TAKEN = 0.6  # of regions that another hue was asked for
SETTINGS = {"fit": "crop", "threads": 1, "precision": "32"}
SHOWN = 6


def painted(task: Task, config: dict[str, Any], hinted: bool = True) -> Outcome:
    """Train, and colour."""
    common = LARGE if task.large else COMMON
    source, side = _source(task)
    run, facts = trained(task, "auto-painter", common | config, data=source, size=str(side), **SETTINGS)

    def paint(lines: np.ndarray, hints: np.ndarray) -> np.ndarray:
        given: dict[str, Any] = {"hints": hints} if hinted else {}
        made: np.ndarray = run.use("colourise", lines, **given)["real"]
        return made

    return _judged(task, paint, facts)


def flooded(task: Task) -> Outcome:
    """What needs no training: dabs run to the lines, and all else stays white."""

    def paint(lines: np.ndarray, hints: np.ndarray) -> np.ndarray:
        drawn, dabs = (torch.from_numpy(own).permute(0, 3, 1, 2).float() / 127.5 - 1 for own in (lines, hints))
        where = (dabs[:, 3:] > 0).float()
        ran = spread(torch.cat([dabs[:, :3] * where, 2 * where - 1], 1), drawn[:, :1], 2 * drawn.shape[3])
        made = torch.where(ran[:, 3:] > -1, ran[:, :3], drawn)
        return np.asarray(((made + 1) * 127.5).round().permute(0, 2, 3, 1).byte())

    return _judged(task, paint, {})


def _judged(task: Task, paint: Callable[[np.ndarray, np.ndarray], np.ndarray], facts: dict[str, Any]) -> Outcome:
    """Colour the lines of held-out faces with a dab in each large region, of its colour, and then of another in the largest."""
    source, side = _source(task)
    dataset = open_data(source, size=side, fit="crop", seed=task.seed, progress=False)
    held = np.sort(np.random.default_rng(0).permutation(dataset.heldout_indices())[:MOST])
    true = np.asarray(dataset.values[held])
    dabs, regions = dabbed(true)
    other, asked = recoloured(dabs, regions)
    with torch.no_grad():
        drawn = decode(lines(encode(true, dataset.spec), torch.zeros(len(true))).expand(-1, 3, -1, -1), dataset.spec)
    made, changed = (paint(drawn, hints).astype(float) for hints in (dabs, other))
    errors = np.abs(made - true).mean(-1) / 2.55
    inside, at = regions > 0, dabs[..., 3] > 0
    taken, away = [], []
    for image, colour in asked.items():
        own = (regions[image] == 1) & ~at[image]
        got, was = changed[image][own].mean(0), true[image][own].mean(0)
        away.append(float(np.abs(changed[image][own] - colour).mean()) / 2.55)
        taken.append(float(np.abs(got - colour).mean() < np.abs(got - was).mean()))
    more = {
        "own": float(errors[inside & ~at].mean()),
        "other": float(np.mean(away)),
        "at_dab": float(errors[at].mean()),
        "elsewhere": float(errors[~inside].mean()),
        "taken": float(np.mean(taken)),
        "pictures": len(held),
        "others": len(taken),
    }
    given, swapped = (np.where(at[..., None], hints[..., :3], drawn) for hints in (dabs, other))
    grid = np.stack([np.asarray(own)[:SHOWN].round().astype(np.uint8) for own in (given, made, true, swapped, changed)], 1)
    protocol = f"mean of own and other/percent of the range/n={len(held)}/{side}px"
    return Outcome((more["own"] + more["other"]) / 2, protocol, more | facts, grid.reshape(-1, *grid.shape[2:]))


def _source(task: Task) -> tuple[str, int]:
    root = Path(task.data)
    if task.phantom:
        root = task.folder / "faces"
        if not root.exists():
            draw_faces(root)
    return str(root / FACES), LARGE_SIDE if task.large else SIDE


def dabbed(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, 3) of 8 bits -> (hints (N, H, W, 4): a dab in each of the largest flat regions but white ones; regions
    (N, H, W): 1, 2 ... for the pixels of each, 0 elsewhere). A dab lies where its region is widest.
    """
    from scipy.ndimage import distance_transform_edt, label

    hints = np.zeros((*images.shape[:3], 4), np.uint8)
    regions = np.zeros(images.shape[:3], np.int64)
    for image, hint, region in zip(images.astype(int), hints, regions, strict=True):
        coarse = image // 16
        number = 0
        codes = coarse[..., 0] * 256 + coarse[..., 1] * 16 + coarse[..., 2]
        parts = []
        for code in np.unique(codes):
            own, count = label(codes == code)
            parts += [own == k for k in range(1, count + 1)]
        for part in sorted(parts, key=lambda own: -int(own.sum())):
            if part.sum() < LEAST or number == REGIONS:
                break
            depth = distance_transform_edt(part)
            y, x = np.unravel_index(int(depth.argmax()), depth.shape)
            if depth[y, x] <= REACH or image[y, x].min() > 240:
                continue
            number += 1
            flat = part & (np.abs(image - image[y, x]).max(-1) <= FLAT)
            region[flat] = number
            square = slice(y - REACH, y + REACH + 1), slice(x - REACH, x + REACH + 1)
            hint[square] = (*image[y, x], 255)
    return hints, regions


def recoloured(hints: np.ndarray, regions: np.ndarray) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """The same hints, of which the first of each image has another hue (its channels change places): (hints, the new colours by
    the number of the image); images whose first dab has no hue keep it, and are left out."""
    made = hints.copy()
    asked: dict[int, np.ndarray] = {}
    for image, (hint, region) in enumerate(zip(made, regions, strict=True)):
        own = (region == 1) & (hint[..., 3] > 0)
        colours = hint[own][:, :3]
        if len(colours) and int(colours[0].max()) - int(colours[0].min()) > HUE:
            asked[image] = np.roll(colours[0], 1).astype(float)
            hint[own, :3] = asked[image]
    return made, asked


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] <= AT_MOST * row.values["baseline"]
        and row.more["system"]["at_dab"] <= AT_DAB
        and row.more["system"]["taken"] >= TAKEN
        for row in rows
    )


PROOF = Proof(
    claim="a dab of colour colours the region around it, and a colour that the picture never had is taken as readily",
    baseline="the same network without hints, at equal rounds",
    metric=(
        "error to the colours asked for in regions of held-out cartoon faces with a dab, outside of the dabs: mean of dabs of "
        "their own colours and of another hue, percent of the range (lower is better)"
    ),
    direction=LOWER,
    mark=(
        "with every seed at most 0.6 times the error without hints, at most 3 % at the dabs themselves, and of regions that "
        "another hue was asked for at least 60 % nearer to that than to their own"
    ),
    met=met,
    arms={
        "system": lambda task: painted(task, {}),
        "baseline": lambda task: painted(task, {"hints": 0}, hinted=False),
        FLOOD: flooded,
    },
    budget="1500r",
    quick_budget="60r",
    large_budget="20000r",
    phantom="patterns",
    real="cartoon-faces",
    note=(
        "Settings were chosen with a seed of none of the runs. Without real data it trains on faces that it draws itself, in "
        "the place of the phantom."
    ),
)
