"""How long `ganvas evaluate` takes: 600 samples against real radiographs with everything on, first and second time.

Aims, written down before the run: under 90 s with an empty cache, under 15 s the second time, on 2 cores.

    python benchmarks/speed/evaluate.py --data ROOT/chest-xray --fake SAMPLES --out benchmarks/results/evaluate_speed.json

SAMPLES: a folder or .npz of at least 600 images. Each call is a process of its own, as a user starts it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ganvas.doctor import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fake", type=Path, required=True)
    parser.add_argument("-n", "--count", type=int, default=600)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        words = ["evaluate", args.fake, "--real", args.data, "-n", args.count, "--json", "--out", Path(folder) / "out"]
        for _ in range(2):
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "ganvas", *map(str, words)],
                env={**os.environ, "GANVAS_CACHE": folder},
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append(round(time.perf_counter() - started, 1))
            print(f"{seconds[-1]} s", flush=True)
        result = json.loads(done.stdout)
    report = {
        "first": seconds[0],
        "second": seconds[1],
        "aims": {"first": 90, "second": 15},
        "met": seconds[0] < 90 and seconds[1] < 15,
        "samples": result["fake"]["n"],
        "real": result["real"]["train"] + result["real"]["heldout"],
        "command": f"python benchmarks/speed/evaluate.py --data ROOT/{args.data.name} --fake SAMPLES -n {args.count}",
        "machine": machine(),
    }
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
