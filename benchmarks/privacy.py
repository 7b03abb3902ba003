"""What differential privacy costs in quality, and what it hides: handwritten digits without it, with epsilon 8 and with 2.

DCGAN without BatchNorm in D learns three quarters of 8,000 digits of 16 pixels, the same rounds in every arm; the rest is held
out. Of each run:

- the epsilon spent, and what Opacus' own accountants say, told of its steps one by one;
- the kernel distance (EfficientNet features) of 1,000 samples to 1,000 held-out digits, and that of 1,000 training digits;
- how well training records can be told from held-out ones (AUC; one half: not at all): by the distance of their pixels to the
  nearest of 2,000 samples (Chen et al. 2020, GAN-Leaks, arXiv 1909.03935), and by D itself, which who has the whole run can ask
  (the record that D finds more real is taken for one that was learnt from: Hayes et al. 2019, LOGAN, arXiv 1705.07663).

With `--few` it learns 200 of 400 digits for 2,000 rounds of 64: so few, seen so often, that a network can learn them by heart
and attacks find something, which is what privacy is to prevent.

Rows that are in the file already are left out, so it goes on where it was stopped. About 10 minutes of a core.

    python benchmarks/privacy.py --data ../shared/data/mnist/mnist.npz --out benchmarks/results/privacy.json
    python benchmarks/privacy.py --few --data ../shared/data/mnist/mnist.npz --out benchmarks/results/privacy_few.json
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import ganvas
from ganvas.files import write_json

ARMS = ("inf", "8", "2")
SEEDS = (0, 1, 2)
ROUNDS, SIZE, HELDOUT = 300, 16, 0.25
FEW = {"records": 400, "rounds": 2000, "heldout": 0.5, "batch_size": 64}
JUDGED, NEAR = 1000, 2000  # samples by which quality and membership are judged
CLIP = 0.5
CONFIG: dict[str, Any] = {
    "discriminator_batch_norm": False,
    "width": 16,
    "batch_size": 256,
    "augment": (),
    "discriminator_learning_rate": 5e-4,
    "generator_learning_rate": 5e-4,
    "ema_half_life": 5000.0,
}


def auc(higher: np.ndarray, lower: np.ndarray) -> float:
    """Share of pairs of which the first is larger, ties half."""
    both = np.concatenate([higher, lower])
    ranks = np.unique(both, return_inverse=True, return_counts=True)
    middle = np.cumsum(ranks[2]) - (ranks[2] - 1) / 2
    total = middle[ranks[1].reshape(-1)][: len(higher)].sum()
    return float((total - len(higher) * (len(higher) + 1) / 2) / (len(higher) * len(lower)))


def judged(run: Path) -> dict[str, Any]:
    """Kernel distance, and the AUC of membership by samples and by D."""
    import torch

    from ganvas.kinds import encode
    from ganvas.metrics.extractors import find_extractor
    from ganvas.metrics.kernel import kernel_distance
    from ganvas.run.load import read_run
    from ganvas.run.opening import open_record_data

    data, opened = open_record_data(read_run(run)), ganvas.load(run)
    train, held = data.train_indices(), data.heldout_indices()
    samples = np.asarray(opened.sample(NEAR))
    features = find_extractor("effnet", size=(SIZE, SIZE)).features
    reference = features(data.values[held[:JUDGED]])
    distance = kernel_distance(features(samples[:JUDGED]), reference, features="effnet", reference="heldout")
    best = kernel_distance(features(data.values[train[:JUDGED]]), reference, features="effnet", reference="heldout")
    made = samples.reshape(NEAR, -1).astype(np.float32)

    def nearest(rows: np.ndarray) -> np.ndarray:
        real = data.values[rows].reshape(len(rows), -1).astype(np.float32)
        return (np.square(real).sum(1)[:, None] - 2 * real @ made.T + np.square(made).sum(1)[None]).min(axis=1)

    def words(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            parts = [encode(data.values[own], data.spec) for own in np.array_split(rows, 20)]
            return np.concatenate([opened.system.discriminator(part).flatten() for part in parts])

    return {
        "kernel_distance": {key: round(getattr(distance, key), 5) for key in ("value", "low", "high")},
        "of_training_records": round(best.value, 5),
        "membership_by_samples": round(auc(-nearest(train), -nearest(held)), 4),
        "membership_by_discriminator": round(auc(words(train), words(held)), 4),
    }


def some(data: str, folder: Path) -> str:
    """An .npz of FEW digits, the same for every seed."""
    with np.load(data) as held:
        images = held["images"]
    chosen = np.random.default_rng(0).permutation(len(images))[: FEW["records"]]
    np.savez(folder / "few.npz", images=images[np.sort(chosen)])
    return str(folder / "few.npz")


def played(arm: str, seed: int, data: str, folder: Path, few: bool) -> dict[str, Any]:
    """One run, judged."""
    rounds, heldout = (FEW["rounds"], FEW["heldout"]) if few else (ROUNDS, HELDOUT)
    config = {**CONFIG, "batch_size": FEW["batch_size"]} if few else CONFIG
    private = None if arm == "inf" else f"epsilon={arm},clip={CLIP}"
    began = time.process_time()
    run = ganvas.train(
        "dcgan", data, out=folder, config=config, size=SIZE, heldout=heldout, budget=f"{rounds}r", seed=seed, split_seed=0,
        threads=1, precision="32", watch="off", sample_every=0, privacy=private, quiet=True,
    )  # fmt: skip
    row = {"arm": arm, "seed": seed, "rounds": run["rounds"], "processor_seconds": round(time.process_time() - began, 1)}
    row |= judged(folder) | {"privacy": run["privacy"]}
    if run["privacy"] is not None:
        row["opacus"] = counted(run["privacy"])
    return row


def counted(spent: dict[str, Any]) -> dict[str, float]:
    """What Opacus' accountants say, told of every step: by Renyi divergences, and by the privacy loss itself (tighter)."""
    from opacus.accountants import PRVAccountant, RDPAccountant

    found = {}
    for name, accountant in (("rdp", RDPAccountant()), ("prv", PRVAccountant())):
        for _ in range(spent["steps"]):
            accountant.step(noise_multiplier=spent["noise"], sample_rate=spent["rate"])
        found[name] = round(float(accountant.get_epsilon(delta=spent["delta"])), 4)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--runs", type=Path, help="folder to keep the runs in (default: they are thrown away)")
    parser.add_argument("--few", action="store_true", help="200 digits, for long")
    given = parser.parse_args()
    settings: dict[str, Any] = {"rounds": ROUNDS, "size": SIZE, "clip": CLIP, **CONFIG, **(FEW if given.few else {})}
    rows = json.loads(given.out.read_text())["runs"] if given.out.exists() else []
    for seed in given.seeds:
        for arm in ARMS:
            if any(row["arm"] == arm and row["seed"] == seed for row in rows):
                continue
            place = given.runs or Path(tempfile.mkdtemp())
            folder = place / f"{arm}-{seed}"
            shutil.rmtree(folder, ignore_errors=True)
            place.mkdir(parents=True, exist_ok=True)
            rows.append(played(arm, seed, some(given.data, place) if given.few else given.data, folder, given.few))
            print(json.dumps(rows[-1]), flush=True)
            write_json(given.out, {"settings": settings, "runs": rows})
            if given.runs is None:
                shutil.rmtree(place)


if __name__ == "__main__":
    main()
