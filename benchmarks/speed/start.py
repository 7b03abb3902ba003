"""From `ganvas train` to the first round, on a folder of 10,000 images: this version beside an earlier one, in one run.

Each start is a process of its own, the two versions take turns. Timed from the call of `train` to the end of the first
round (imports are timed apart), with an empty cache and with a filled one; counted: how often the folder is walked. Preset,
precision, layout and threads are fixed, so that neither version measures the machine meanwhile.

Aim: with a filled cache, at most half of the time of version 2d14f6e, and one walk through the folder.

    git worktree add ../before 2d14f6e
    python benchmarks/speed/start.py --before ../before --out benchmarks/results/start_speed.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from ganvas.doctor import machine

CHILD = """
import os, sys, time
begun = time.perf_counter()
import json
import torch
from ganvas.engine import Engine
from ganvas.run.train import train
walks, walk = [], os.walk
def counted(place, *rest, **more):
    walks.append(str(place))
    return walk(place, *rest, **more)
os.walk = counted
class Enough(BaseException):
    pass
play = Engine.play_round
def once(self):
    play(self)
    raise Enough
Engine.play_round = once
called = time.perf_counter()
processor = time.process_time()
try:
    train("dcgan", sys.argv[1], out=sys.argv[2], size="32", budget="5r", preset="paper", precision="32", channels_last="off",
          threads=1, device="cpu", quiet=True, sample_every=0.0, watch="off", config={"width": 8, "batch_size": 8})
except Enough:
    pass
now = time.perf_counter()
found = {"imports": called - begun, "to_first_round": now - called, "walks": len(walks)}
found["processor"] = time.process_time() - processor
print("FOUND" + json.dumps(found), flush=True)
os._exit(0)
"""


def start(source: Path, data: Path, cache: Path, folder: Path) -> dict[str, float]:
    """One start of the version whose package lies in `source`."""
    env = {**os.environ, "PYTHONPATH": str(source), "GANVAS_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", CHILD, data, folder], env=env, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND")]
    if not lines:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(lines[0].removeprefix("FOUND"))
    return found


def images(folder: Path, count: int) -> None:
    """So many small PNG, flat: sub-folders would be classes."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(folder / f"{number:05d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="checkout of the earlier version")
    parser.add_argument("-n", "--count", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=5, help="starts of each version with a filled cache")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    sources = {"before": options.before.resolve() / "src", "now": Path(__file__).resolve().parents[2] / "src"}
    report: dict[str, object] = {"files": options.count}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        images(folder / "data", options.count)
        empty: dict[str, dict[str, float]] = {}
        filled: dict[str, list[dict[str, float]]] = {name: [] for name in sources}
        for name, source in sources.items():
            empty[name] = start(source, folder / "data", folder / f"cache-{name}", folder / f"run-{name}")
            print(name, "empty cache", empty[name], flush=True)
        for number in range(options.times):
            for name, source in sources.items():
                filled[name].append(start(source, folder / "data", folder / f"cache-{name}", folder / f"run-{name}-{number}"))
                print(name, "filled cache", filled[name][-1], flush=True)
        middle = {name: statistics.median(one["to_first_round"] for one in own) for name, own in filled.items()}
        report |= {"empty_cache": empty, "filled_cache": filled, "median_filled": middle}
        report["ratio_filled"] = round(middle["now"] / middle["before"], 3)
        report["ratio_empty"] = round(empty["now"]["to_first_round"] / empty["before"]["to_first_round"], 3)
        report["aim"] = "ratio_filled at most 0.5, one walk"
        report["met"] = report["ratio_filled"] <= 0.5 and all(one["walks"] == 1 for one in filled["now"])  # type: ignore[operator]
    report["command"] = "python benchmarks/speed/start.py --before ../before"
    report["machine"] = machine()
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({key: report[key] for key in ("median_filled", "ratio_filled", "ratio_empty", "met")}, indent=1))


if __name__ == "__main__":
    main()
