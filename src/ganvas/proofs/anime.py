"""The proof of `anime`: samples show the attributes that were asked for by name, and the penalty around real pictures keeps the
game from collapsing.

What samples show is read by a network that learnt from real pictures and their true table alone, and takes no part in training.
Collapse, as it was defined before any run: samples that are asked for the same attributes differ less than half as much as real
pictures that show the same.
"""

from __future__ import annotations

import csv
import functools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganvas.batches import Noise
from ganvas.kinds import decode
from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, distance_to_heldout, trained
from ganvas.proofs.stargan import COLUMNS, FACES, draw_faces, reader_of

SIDE, LARGE_SIDE = 24, 64
RIGHT = 0.80  # of attributes, which the mark asks for
COLLAPSED = 0.5  # of the differences between real pictures that show the same
SAMPLES, SHOWN = 300, 36
COMMON: dict[str, Any] = {
    "attributes": COLUMNS, "latent_size": 64, "width": 16, "blocks": 2, "doublings": 2, "discriminator_width": 16,
    "discriminator_blocks": 1, "adversarial_weight": 3.0, "penalty_weight": 2.0, "generator_learning_rate": 6e-3,
    "discriminator_learning_rate": 3e-3, "gradient_clip": 10.0, "ema_half_life": 2_000.0, "batch_size": 32,
}  # fmt: skip
"""As `auto`, with a block less: little more than a minute of one core."""
LARGE = COMMON | {
    "width": 64, "blocks": 16, "doublings": 3, "discriminator_width": 32, "discriminator_blocks": 2,
    "generator_learning_rate": 2e-4, "discriminator_learning_rate": 2e-4, "gradient_clip": 0.0,
}  # fmt: skip


def arm(task: Task, *, shuffled: bool = False, **settings: Any) -> Outcome:
    """Train, ask for what held-out pictures show, and let the reader say how much of it samples show."""
    root = draw_faces(task.folder / "faces") if task.phantom else Path(task.data)
    source = _table(root, task.folder / "data", task.seed if shuffled else None)
    config, side = (LARGE, LARGE_SIDE) if task.large else (COMMON, SIDE)
    run, facts = trained(task, "anime", config | settings, data=str(source), size=side, threads=1, precision="32")
    dataset = data_of(run)
    train, held = dataset.train_indices(), dataset.heldout_indices()
    reader = reader_of(f"anime {task.data}", lambda: (np.asarray(dataset.values[train]), true_of(dataset, train)))
    real, truth = np.asarray(dataset.values[held]), np.stack(list(true_of(dataset, held).values()), 1)
    asked = np.resize(truth, (SAMPLES, len(COLUMNS)))
    noise = Noise(torch.Generator().manual_seed(10_000 + task.seed))
    with torch.no_grad():
        pieces = [run.system.sample(len(part), noise, shown=part) for part in torch.from_numpy(asked).split(50)]
    made = np.concatenate([decode(piece, run.spec, 8) for piece in pieces])
    right = _agree(reader(made), asked)
    distance, protocol, more = distance_to_heldout(dataset, made, SAMPLES)
    spread = spread_inside(made, asked) / spread_inside(real, truth)
    more = more | facts | {
        "right": right, "distance": distance, "distance_protocol": protocol, "spread": spread, "collapsed": spread < COLLAPSED,
        "reader_right": _agree(reader(real), truth),
    }  # fmt: skip
    return Outcome(float(np.mean(list(right.values()))), f"reader=cnn/n={SAMPLES}/{side}px", more, made[:SHOWN])


def _agree(read: dict[str, np.ndarray], asked: np.ndarray) -> dict[str, float]:
    return {name: float((read[name] == asked[:, place]).mean()) for place, name in enumerate(COLUMNS)}


def spread_inside(images: np.ndarray, shown: np.ndarray) -> float:
    """Mean distance of two images (N, H, W, C) that show the same (N, K), root mean square over values."""
    from scipy.spatial.distance import pdist

    _, group = np.unique(shown, axis=0, return_inverse=True)
    flat = images.reshape(len(images), -1).astype(np.float64)
    found = [pdist(flat[group.ravel() == own]) / np.sqrt(flat.shape[1]) for own in range(int(group.max()) + 1)]
    return float(np.concatenate(found).mean())


def true_of(dataset: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What pictures show in truth, indices of values (N,)."""
    part = dataset.fields["attributes"]
    return {name: np.asarray(part.values[rows])[:, part.spec.names.index(f"true_{name}")].astype(np.int64) for name in COLUMNS}


def _table(root: Path, folder: Path, seed: int | None) -> Path:
    """The pictures and a table of what they show, twice: as it is told to the game, which with a seed is that of other pictures
    of the same part, and as it is (`true_...`)."""
    table = folder / f"{FACES}.csv"
    if table.exists():
        return table
    shutil.copytree(root / FACES, folder / FACES, dirs_exist_ok=True)
    with (root / f"{FACES}.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = [[row[name] for name in COLUMNS] for row in rows]
    if seed is not None:
        rng = np.random.default_rng(seed)
        for part in sorted({row["split"] for row in rows}):
            places = [place for place, row in enumerate(rows) if row["split"] == part]
            own = [told[place] for place in places]
            for place, other in zip(places, rng.permutation(len(places)), strict=True):
                told[place] = own[other]
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "split", *COLUMNS, *(f"true_{name}" for name in COLUMNS)])
        for row, words in zip(rows, told, strict=True):
            writer.writerow([row["file"], row["split"], *words, *(row[name] for name in COLUMNS)])
    return table


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] >= RIGHT and not row.more["system"]["collapsed"] and row.more["no penalty"]["collapsed"]
        for row in rows
    )


PROOF = Proof(
    claim="samples show the attributes that were asked for by name, and the penalty keeps the game from collapsing",
    baseline="the same game, whose table tells of each picture what another one shows",
    metric="share of attributes that samples show as asked for, as a reader of real pictures sees it, mean over attributes",
    direction=HIGHER,
    mark=(
        f"with every seed at least {RIGHT:.2f} and not collapsed, where the same seed without the penalty is collapsed: "
        f"samples asked for the same differ less than {COLLAPSED:g} times as much as real pictures that show the same"
    ),
    met=met,
    arms={
        "system": arm,
        "baseline": functools.partial(arm, shuffled=True),
        "no penalty": functools.partial(arm, penalty_weight=0.0),
    },
    budget="1400r",
    quick_budget="40r",
    large_budget="20000r",
    real="cartoon-faces",
    phantom="patterns",
    note="Without real data it trains on faces with attributes that it draws itself, in the place of the phantom.",
)
