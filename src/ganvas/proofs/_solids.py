"""What the proofs on solids share: how near samples come to shapes that nobody has learnt, and in how many pieces they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Outcome

COUNT = 500  # samples; as many held-out shapes at most
PICTURED = 36


def judged(dataset: Any, solids: np.ndarray, facts: dict[str, Any]) -> Outcome:
    """Both ways between samples and held-out shapes, and how near samples come to training shapes.

    value: mean of fidelity (of each sample, the overlap with the nearest held-out shape) and recall (of each held-out shape,
    that with the nearest sample). covered: share of held-out shapes that are the nearest of some sample, over the same share
    for as many training shapes. copied: share of samples nearer to a training shape than 95 % of held-out shapes are.
    pieces: median number of connected parts; one_piece: share of samples that are one (voxels that share a face are connected).
    """
    from ganvas.kinds.solid.kind import render
    from ganvas.kinds.solid.measures import overlaps, pieces

    rng = np.random.default_rng(0)
    held = np.asarray(dataset.values[np.sort(rng.permutation(dataset.heldout_indices())[:COUNT])])
    train = np.asarray(dataset.values[dataset.train_indices()])
    real = train[np.sort(rng.permutation(len(train))[: len(solids)])]
    between = overlaps(solids, held)
    floor = overlaps(real, held)
    novel = overlaps(solids, train).max(1)
    count = pieces(solids)
    near = overlaps(held, train).max(1)
    covered, usual = (len(np.unique(table.argmax(1)[table.max(1) > 0])) / len(held) for table in (between, floor))
    fidelity, recall = float(between.max(1).mean()), float(between.max(0).mean())
    more = {
        "fidelity": fidelity,
        "recall": recall,
        "training_shapes": float((floor.max(1).mean() + floor.max(0).mean()) / 2),
        "covered": covered / usual,
        "copied": float((novel > np.quantile(near, 0.95)).mean()),
        "nearest_training": float(novel.mean()),
        "nearest_training_of_heldout": float(near.mean()),
        "pieces": float(np.median(count)),
        "one_piece": float((count == 1).mean()),
        "one_piece_of_heldout": float((pieces(held) == 1).mean()),
        "empty": float((solids.reshape(len(solids), -1).max(1) == 0).mean()),
    }
    pictures = np.stack([render(solid) for solid in solids[rng.permutation(len(solids))[:PICTURED]]])
    protocol = f"iou/{solids.shape[1]}^3/n={len(solids)}/m={len(held)}/both ways/ref=heldout"
    return Outcome((fidelity + recall) / 2, protocol, more | facts, pictures)
