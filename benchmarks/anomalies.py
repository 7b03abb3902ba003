"""`anogan` with its preset `auto` on real images: does it tell unseen classes from the normal one, better than components?

    python benchmarks/anomalies.py --data datasets/ --budget 150s --seeds 3 --out benchmarks/results/anomalies.json

For each set one class is normal and learnt from; all held-out images are scored, and the area under the ROC curve is taken of
the other classes against held-out normal images. Beside stand the scores of the same run by other rules, the mean squared error
of 32 principal components of the normal training images, on images as they are and with mean and spread matched, and contrast
alone (the standard deviation of an image), which says how far levels give the classes away.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ganvas
from ganvas.batches import Noise
from ganvas.doctor import machine
from ganvas.kinds import encode
from ganvas.run.load import Run
from ganvas.run.opening import open_record_data

SETS = {"brain-mr": "notumor", "lung-ct": "other", "chest-xray": "no-finding"}
SIDE, COMPONENTS = 64, 32


def areas(scores: np.ndarray, labels: np.ndarray, normal: int, classes: tuple[str, ...]) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    found = {"all": round(float(roc_auc_score(labels != normal, scores)), 3)}
    for k, name in enumerate(classes):
        rows = (labels == k) | (labels == normal)
        if k != normal and (labels == k).any():
            found[name] = round(float(roc_auc_score(labels[rows] == k, scores[rows])), 3)
    return found


def scored(run: Run, images: torch.Tensor, rule: str) -> np.ndarray:
    import dataclasses

    system = run.system.eval()
    system.config = dataclasses.replace(system.config, score=rule)
    with torch.no_grad():
        parts = [system.anomaly(part, Noise.seeded(0))[0] for part in images.split(64)]
    return torch.cat(parts).numpy()


def judged(place: Path, normal: str, budget: str, seed: int) -> dict[str, Any]:
    from sklearn.decomposition import PCA

    with tempfile.TemporaryDirectory() as folder:
        ganvas.train(
            "anogan", place, out=Path(folder) / "run", budget=budget, seed=seed, size=str(SIDE), channels=1, threads=1,
            config={"normal": normal}, quiet=True, sample_every=0.0, watch="off",
        )  # fmt: skip
        run = Run(Path(folder) / "run")
        data = open_record_data(run.record)
        classes, labels = data.spec.classes, np.asarray(data.labels)
        own = classes.index(normal)
        train, held = (
            rows[labels[rows] == own] if k == 0 else rows
            for k, rows in enumerate((data.train_indices(), data.heldout_indices()))
        )
        known, unseen = (encode(np.asarray(data.values[rows]), data.spec) for rows in (train, held))
        scores = {f"anogan, {rule}": scored(run, unseen, rule) for rule in ("relative", "mean", "peak")}
        for told, change in (("as they are", lambda x: x), ("matched", run.system.usual.matched)):
            first, second = (change(x).flatten(1).numpy() for x in (known, unseen))
            model = PCA(COMPONENTS, random_state=0).fit(first)
            left = second - model.inverse_transform(model.transform(second))
            scores[f"{COMPONENTS} components, {told}"] = (left**2).mean(axis=1)
        scores["contrast alone"] = unseen.flatten(1).std(1).numpy()
        return {
            "normal": len(train),
            "held out": {name: int((labels[held] == k).sum()) for k, name in enumerate(classes)},
            "areas": {name: areas(own_scores, labels[held], own, classes) for name, own_scores in scores.items()},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--budget", default="150s")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "budget": options.budget, "sets": {name: {} for name in SETS}}
    for seed in range(options.seeds):
        for name, normal in SETS.items():
            if (options.data / name).exists():
                found = result["sets"][name][str(seed)] = judged(options.data / name, normal, options.budget, seed)
                print(name, seed, json.dumps(found["areas"], indent=1), flush=True)
                if options.out:
                    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
