"""A few photographs of building fronts to learn from, and others to compare with, for proofs of learning from few images."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from . import Task

FEW = 200
MOST = 100  # that are compared with


def few_images(task: Task, side: int) -> tuple[str, np.ndarray]:
    """(a file of FEW images to learn from, others (N, side, side, C) uint8 that nobody learns from).

    Photographs of `facades` that its table names as for training, chosen once for all seeds, and those it names as held out;
    without the data, phantoms.
    """
    rng, few, held = np.random.default_rng(0), task.folder / "few.npz", task.folder / "held.npz"
    if not few.exists():
        if task.phantom:
            from ..data.dataset import open_data

            whole = open_data(task.data, size=side, phantom_count=FEW + MOST, heldout=0.0, progress=False)
            images = np.asarray(whole.values)
            known, others = images[:FEW], images[FEW:]
        else:
            with open(Path(task.data) / "pairs.csv", encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            folder = Path(task.data)
            names = {part: sorted(row["photo"] for row in rows if (row["split"] == "train") == part) for part in (True, False)}
            chosen = [names[True][place] for place in rng.permutation(len(names[True]))[:FEW]]
            known, others = (_read([folder / name for name in part], side) for part in (chosen, names[False][:MOST]))
        np.savez(held, images=others)
        np.savez(few, images=known)
    with np.load(held, allow_pickle=False) as kept:
        return str(few), kept["images"]


def _read(paths: list[Path], side: int) -> np.ndarray:
    from PIL import Image

    def read(path: Path) -> np.ndarray:
        with Image.open(path) as opened:
            return np.asarray(opened.convert("RGB").resize((side, side), Image.Resampling.BOX))

    return np.stack([read(path) for path in paths])
