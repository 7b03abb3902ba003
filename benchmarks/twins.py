"""Whether the held-out part is like the rest: the share of its records that have twins, and what real records score against it.

    python benchmarks/twins.py --data datasets/ --out benchmarks/results/twins.json

For each set and split seed: the share of records with a twin (another record of the same group) in the whole set and in the
held-out part, whether a group lies on both sides, and the kernel distance of training records to the held-out part, as
`ganvas evaluate` prints it for the anchor `real`. Marks, written first: the two shares within 0.05 of each other with every
seed, no group on both sides, and the anchor `real` below 0.02.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.data import open_data
from ganvas.doctor import machine
from ganvas.metrics import feature_protocol, image_features, kernel_distance

SETS = {"emoji": 32, "brain-mr": 64}
NEAR, REAL = 0.05, 0.02
MOST = 600  # records of a side that are compared


def row(source: Path, side: int, seed: int) -> dict[str, Any]:
    """What one split shows."""
    data = open_data(source, size=side, seed=seed, progress=False)
    groups, number = np.unique(data.groups, return_inverse=True)
    twin = np.bincount(number.reshape(-1))[number.reshape(-1)] > 1
    held = data.heldout_indices()
    both = np.intersect1d(data.groups[held], data.groups[data.train_indices()])
    rng = np.random.default_rng(seed)
    parts = (data.train_indices(), held)
    count = min(MOST, len(held))
    train, unseen = (image_features(data.values[np.sort(rng.permutation(part)[:count])], size=(side, side)) for part in parts)
    found = kernel_distance(
        train, unseen, intervals=False, features=feature_protocol((side, side)), reference="heldout"
    )  # fmt: skip
    return {
        "seed": seed,
        "records": len(data.values),
        "groups": len(groups),
        "twins": float(twin.mean()),
        "twins_heldout": float(twin[held].mean()),
        "on_both_sides": len(both),
        "real": found.value,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "twins.json")
    options = parser.parse_args()
    table: dict[str, Any] = {}
    for name, side in SETS.items():
        rows = [row(options.data / name, side, seed) for seed in range(options.seeds)]
        met = all(
            abs(own["twins"] - own["twins_heldout"]) <= NEAR and not own["on_both_sides"] and own["real"] < REAL for own in rows
        )
        table[name] = {"met": met, "seeds": rows}
        for own in rows:
            print(name, json.dumps(own), flush=True)
    options.out.write_text(json.dumps({"marks": {"near": NEAR, "real": REAL}, "machine": machine(), "sets": table}, indent=1))


if __name__ == "__main__":
    main()
