"""Whether the number that a run tells of its best checkpoint holds when that checkpoint is judged again with other samples.

    python benchmarks/best_again.py
    python benchmarks/best_again.py --systems dcgan lsgan cgan --seeds 3 --budget 90s --data ROOT

Each system is trained with its preset `auto`, judged twelve times on its way. When it stops it tells the kernel distance of its
best checkpoint, with an interval (`best.again` of health.json), by samples that took no part in the choice. Here the checkpoint
is loaded and judged `AGAIN` times more, each time by as many other samples, against the same held-out records.

Mark, written down before the first run: in every run the mean of those lies within the interval that was told. Beside it
stands the number that the checkpoint was chosen by, which is flattered. Writes benchmarks/results/best_again.json.
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
from ganvas.data.dataset import open_data
from ganvas.doctor import machine
from ganvas.health.quality import OTHER_SEED, Quality
from ganvas.run.load import Run

RESULT = Path(__file__).parent / "results" / "best_again.json"
AGAIN = 5


def judged(system: str, data: str, seed: int, budget: str, folder: Path) -> dict[str, Any]:
    """What one run told of its best checkpoint, and what others samples of that say."""
    place = folder / f"{system}-{seed}"
    ganvas.train(
        system, data, out=place, budget=budget, seed=seed, quiet=True, sample_every=0.0, evaluations=12, evaluation_share=0.3,
        size="32", threads=1,
    )  # fmt: skip
    best = json.loads((place / "health.json").read_text(encoding="utf-8"))["best"]
    run = Run(place, which="best", device="cpu")
    quality = Quality(run.system, open_data(data, size=32, seed=seed, progress=False), seed)
    quality.count = best["count"] if "count" in best else int(str(best["protocol"]).split("n=")[1].split("/")[0].split(",")[0])
    with torch.no_grad():
        found = [quality.again(run.system, OTHER_SEED + 1 + k) for k in range(AGAIN)]
    told, values = best["again"], [own["value"] for own in found]
    mean = float(np.mean(values))
    return {
        "system": system, "seed": seed, "round": best["round"], "chosen_by": best["value"], "looks": len(quality.looks),
        "told": told["value"], "low": told["low"], "high": told["high"], "again": values, "mean": mean,
        "protocol": told["protocol"], "protocol_again": found[0]["protocol"], "holds": told["low"] <= mean <= told["high"],
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="*", default=["dcgan", "lsgan", "stylegan2"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", default="90s")
    parser.add_argument("--data", default="chest", help="a folder, or a phantom (default: chest)")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for system in options.systems:
            for seed in range(options.seeds):
                rows.append(judged(system, options.data, seed, options.budget, Path(folder)))
                row = rows[-1]
                print(
                    f"{system:<10} seed {seed}  chosen by {row['chosen_by']:.3f}  told {row['told']:.3f} [{row['low']:.3f}, "
                    f"{row['high']:.3f}]  again {row['mean']:.3f}  {'holds' if row['holds'] else 'DOES NOT HOLD'}",
                    flush=True,
                )
    held = sum(row["holds"] for row in rows)
    result = {"machine": machine(), "budget": options.budget, "data": Path(options.data).name, "held": held, "runs": rows}
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{held} of {len(rows)} hold")
    return int(held < len(rows))


if __name__ == "__main__":
    raise SystemExit(main())
