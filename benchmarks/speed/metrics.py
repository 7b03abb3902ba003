"""What the set metrics cost beside the usual way to the same numbers: time, and memory on top of the loaded data.

    make bench-env
    .bench/bin/python benchmarks/speed/metrics.py --out benchmarks/results/metrics_speed.json

Frechet distance of 5000 features of 2048 numbers: aim at most 1/5 of the time of `scipy.linalg.sqrtm` (pytorch-fid's way).
Precision, recall, density and coverage of 10 000 against 10 000 features of 1280 numbers, intervals included: aim at most 1/2
of the time and 1/4 of the memory of the `prdc` package. Every measurement has a process of its own, the two sides take turns,
and the figure is the median. Memory is the largest resident size less that of the process with its libraries warm and the
data loaded. The numbers of both sides must agree to 1e-4. Not a measure of feature extraction.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

AIMS = {"frechet": {"time": 1 / 5}, "prdc": {"time": 1 / 2, "memory": 1 / 4}}
THEIRS = {"frechet": "scipy sqrtm", "prdc": "prdc"}
AGREE = 1e-4


def frechet_ganvas(g: np.ndarray, r: np.ndarray) -> list[float]:
    from ganvas.metrics import frechet_distance

    return [frechet_distance(g, r, intervals=False).value]


def frechet_theirs(g: np.ndarray, r: np.ndarray) -> list[float]:
    from scipy.linalg import sqrtm

    m_g, m_r = g.mean(axis=0), r.mean(axis=0)
    s_g, s_r = np.cov(g, rowvar=False), np.cov(r, rowvar=False)
    gap = m_g - m_r
    return [float(gap @ gap + np.trace(s_g) + np.trace(s_r) - 2 * np.trace(sqrtm(s_g.dot(s_r)).real))]


def prdc_ganvas(g: np.ndarray, r: np.ndarray) -> list[float]:
    from ganvas.metrics import precision_recall_density_coverage

    return [measure.value for measure in precision_recall_density_coverage(g, r, k=5).values()]


def prdc_theirs(g: np.ndarray, r: np.ndarray) -> list[float]:
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(r, g, 5)
    return [float(found[name]) for name in ("precision", "recall", "density", "coverage")]


SIDES = {
    ("frechet", "ganvas"): frechet_ganvas,
    ("frechet", "theirs"): frechet_theirs,
    ("prdc", "ganvas"): prdc_ganvas,
    ("prdc", "theirs"): prdc_theirs,
}


def features(n: int, d: int, shift: float, seed: int) -> np.ndarray:
    """float32, of 64 directions that matter, noise, and a ReLU, about as a network's features are."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(0).normal(size=(64, d)).astype(np.float32) / 8
    made = (rng.normal(size=(n, 64)).astype(np.float32) + np.float32(shift)) @ mix
    made += 0.3 * rng.standard_normal(size=(n, d), dtype=np.float32)
    return np.maximum(made, 0, out=made)


def resident() -> float:
    """The largest resident size so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def child(metric: str, side: str, folder: Path) -> None:
    measured = SIDES[metric, side]
    small = np.random.default_rng(0).normal(size=(2, 64, 8)).astype(np.float32)
    measured(small[0], small[1])  # libraries loaded, threads started
    g, r = np.load(folder / "g.npy"), np.load(folder / "r.npy")
    before, begin = resident(), time.perf_counter()
    values = measured(g, r)
    seconds = time.perf_counter() - begin
    print(json.dumps({"values": values, "seconds": seconds, "memory_mb": resident() - before}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--frechet", type=int, nargs=2, default=[5000, 2048], metavar=("N", "D"))
    parser.add_argument("--prdc", type=int, nargs=2, default=[10_000, 1280], metavar=("N", "D"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], args.child[1], Path(args.child[2]))
        return

    from ganvas.doctor import machine

    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(args.threads))
    result: dict[str, Any] = {}
    for metric, (n, d) in (("frechet", args.frechet), ("prdc", args.prdc)):
        runs: dict[str, list[dict[str, Any]]] = {"ganvas": [], "theirs": []}
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / "g.npy", features(n, d, 0.1, 1))
            np.save(Path(folder) / "r.npy", features(n, d, 0.0, 2))
            for repeat in range(args.repeats):
                for side in ("ganvas", "theirs") if repeat % 2 else ("theirs", "ganvas"):
                    command = [sys.executable, __file__, "--child", metric, side, folder]
                    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
                    runs[side].append(json.loads(done.stdout.splitlines()[-1]))
                    print(f"{metric:8} {side:7} {runs[side][-1]}", flush=True)
        median = {
            side: {key: statistics.median(run[key] for run in done) for key in ("seconds", "memory_mb")}
            for side, done in runs.items()
        }
        values = [np.array(runs[side][0]["values"]) for side in ("ganvas", "theirs")]
        ratios = {
            "time": median["ganvas"]["seconds"] / median["theirs"]["seconds"],
            "memory": median["ganvas"]["memory_mb"] / max(median["theirs"]["memory_mb"], 1e-9),
        }
        difference = float(np.abs(values[0] / values[1] - 1).max())
        result[metric] = {
            "samples": n,
            "numbers": d,
            "against": THEIRS[metric],
            "median": median,
            "ratio": ratios,
            "aim": AIMS[metric],
            "difference": difference,
            "reached": difference <= AGREE and all(ratios[key] <= aim for key, aim in AIMS[metric].items()),
            "runs": runs,
        }
    result |= {
        "machine": machine(),
        "threads": args.threads,
        "versions": {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn", "prdc")},
        "command": ".bench/bin/python benchmarks/speed/metrics.py",
    }
    for metric in AIMS:
        found = result[metric]
        print(f"{metric}: {found['ratio']}, aim {found['aim']}, {'reached' if found['reached'] else 'NOT reached'}")
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
