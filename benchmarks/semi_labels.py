"""`semi-gan` with 10, 50 and 100 labels: errors of digits, against the same classifier on the labels alone; arms of its proof.

    python benchmarks/semi_labels.py --data datasets/ --seeds 3

Each arm is the proof's (`ganvas.proofs.semi_gan`): 1,500 rounds of batches of 100, 14 pixels, other labelled digits with each
seed. The hundred labels are those of the proof, made again. Results: benchmarks/results/semi_labels.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from ganvas.doctor import machine
from ganvas.proofs import Task
from ganvas.proofs.semi_gan import PROOF, arm

RESULT = Path(__file__).parent / "results" / "semi_labels.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds mnist/")
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 50, 100])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", default=PROOF.budget)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for few in args.labels:
        for seed in range(args.seeds):
            row: dict[str, Any] = {"labels": few, "seed": seed}
            for name, weight in (("semi-gan", 1.0), ("labels alone", 0.0)):
                with tempfile.TemporaryDirectory() as folder:
                    task = Task(seed, str(args.data / "mnist"), False, Path(folder), args.budget, False, print, threads=1)
                    found = arm(task, weight, few)
                row[name] = round(found.value, 4)
                row[f"{name}, processor seconds"] = found.more["processor_seconds"]
            rows.append(row)
            print(json.dumps(row), flush=True)
            told = {"budget": args.budget, "machine": machine(), "rows": rows}
            args.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
