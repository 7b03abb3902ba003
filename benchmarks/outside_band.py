"""Is training ineffective while D is right in more than 90 % of cases?

A tutorial on GANs in radiology warns that training becomes ineffective once the error rate of a network lies beyond 10 or 90 %.
The runs of the chest X-ray study hold the answer: between two looks, in how far do samples come nearer to held-out radiographs
where D was nearly certain, and where it was not? `asleep`: the mean of D's loss in that stretch is below a tenth of
2 ln 2, at which D is right in more than 90 % of cases (`docs/health.md`). Stretches are compared between equal rounds; the
interval is a bootstrap over runs.

    python benchmarks/outside_band.py --out benchmarks/results/outside_band.json
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np

RUNS = Path(__file__).parent / "studies/xray-ablation/results.json"
CERTAIN = 0.1 * 2 * math.log(2)
ROUNDS = 2000  # of the bootstrap


def stretches(run: dict) -> list[tuple[int, float, float]]:
    """(last round, mean loss of D in the stretch, change of the distance's logarithm) between two looks of a run."""
    distance = {look["round"]: look["frechet"]["value"] for look in run["looks"]}
    found, before = [], None
    for point in run["checkpoints"]:
        if before is not None and {before["round"], point["round"]} <= set(distance):
            steps = point["rounds"] - before["rounds"]
            loss = (point["mean"] * point["rounds"] - before["mean"] * before["rounds"]) / steps
            found.append((point["round"], loss, math.log(distance[point["round"]] / distance[before["round"]])))
        before = point
    return found


def gap(runs: list[list[tuple[int, float, float]]]) -> tuple[float, float, float]:
    """(change a stretch asleep, awake, difference awake - asleep), mean over rounds at which there are both."""
    found: list[tuple[float, float]] = []
    rows = [row for run in runs for row in run]
    for last in sorted({row[0] for row in rows}):
        own = [(loss < CERTAIN, change) for number, loss, change in rows if number == last]
        asleep, awake = ([change for is_asleep, change in own if is_asleep is side] for side in (True, False))
        if len(asleep) > 1 and len(awake) > 1:
            found.append((float(np.mean(asleep)), float(np.mean(awake))))
    if not found:
        return (math.nan,) * 3
    asleep, awake = np.array(found).mean(axis=0)
    return float(asleep), float(awake), float(awake - asleep)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    study = json.loads(RUNS.read_text())
    runs = [stretches(run) for seeds in study["runs"].values() for run in seeds.values()]
    rng = np.random.default_rng(0)
    drawn = np.array([gap([runs[k] for k in rng.integers(0, len(runs), len(runs))]) for _ in range(ROUNDS)])
    low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
    names = ("asleep", "awake", "awake_minus_asleep")
    told = {
        name: {"value": round(value, 4), "low": round(float(low[k]), 4), "high": round(float(high[k]), 4)}
        for k, (name, value) in enumerate(zip(names, gap(runs), strict=True))
    }
    rows = [row for run in runs for row in run]
    result = {
        "what": "change of the log Frechet distance in 250 rounds, where D was nearly certain (asleep) and where not",
        "from": f"benchmarks/{RUNS.relative_to(Path(__file__).parent).as_posix()}",
        "certain": f"mean loss of D below {CERTAIN:.4f}, a tenth of 2 ln 2",
        "runs": len(runs), "stretches": len(rows), "asleep_stretches": sum(row[1] < CERTAIN for row in rows),
        **told,
        "command": "python benchmarks/outside_band.py --out benchmarks/results/outside_band.json",
    }  # fmt: skip
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
