"""What ten minutes of two cores reach without naming a system, beside the standard DCGAN example: 64 pixels, held-out images.

    python benchmarks/ten_minutes.py --data ROOT                            all arms, sets and seeds, one after the other
    python benchmarks/ten_minutes.py --data ROOT --sets emoji --seeds 0 --arms picked script-64
    python benchmarks/ten_minutes.py --data ROOT --arms script-64 script-16 --by-rounds      beside other work, one core

Arms, each as a stranger would start it:
    picked        ganvas train --data SET --size 64 --budget 10m
    picked-6m     the same with --budget 6m, a fifth of the half hour below
    script-W      benchmarks/proofs/baselines/pytorch_dcgan.py at width W for 600 seconds (64 is the example's own)
    script-64-30m the same at width 64 for 1800 seconds; where it is kept (--work), script-64 is its state after 600
    before        ganvas train dcgan, with the ganvas of another checkout (--before): what its preset came to then
1,000 samples of each are compared with the held-out images of the seed's split, from which no arm learnt: kernel distance
times 1000, by two extractors. Run it on an idle machine. `--by-rounds` is for the script's arms where it is not: the speed on
idle cores is measured once (`speeds` in the result), and a run then has the rounds that its seconds would have bought there.

Marks, written down before the first run, of means over seeds and by both extractors: picked at most 0.3 of script-64 and at
most 0.6 of the script at its best width, and below `before`; picked-6m at most script-64-30m. Rows that are in the result
already are not made again. Writes benchmarks/results/ten_minutes.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from equal_time import distances
from ganvas.data import open_data
from ganvas.doctor import machine
from ganvas.kinds import decode, encode

HERE = Path(__file__).parent
RESULT, SCRIPT = HERE / "results" / "ten_minutes.json", HERE / "proofs" / "baselines" / "pytorch_dcgan.py"
SETS = ("chest-xray", "emoji")
SIDE, COUNT, SECONDS = 64, 1000, 600
FIFTH, HALF_HOUR, OF_HALF_HOUR = "picked-6m", "script-64-30m", 64
ARMS = ("picked", FIFTH, HALF_HOUR, "script-64", "script-16", "before")  # half an hour first: ten minutes are on its way
OF_EXAMPLE, OF_BEST = 0.3, 0.6
KEYS = ("distance", "by_another")


def started(words: list[Any], **environment: str) -> str:
    """What a command prints. Raises RuntimeError with its last line where it fails."""
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if done.returncode:
        raise RuntimeError(f"{words}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return done.stdout


def trained(data: Path, seed: int, budget: str, folder: Path, system: str = "", source: Path | None = None) -> dict[str, Any]:
    """One run of ganvas and its samples. system: empty leaves the choice to it. source: another checkout's `src`."""
    environment = {"PYTHONPATH": str(source)} if source else {}
    words = ["train", *([system] if system else []), "--data", data, "--size", SIDE, "--budget", budget, "--seed", seed]
    if not (folder / "run").exists():
        started(["-m", "ganvas", *words, "--out", folder / "run", "--quiet"], **environment)
    if not (folder / "made").exists():
        started(["-m", "ganvas", "sample", folder / "run", "-n", COUNT, "--out", folder / "made"], **environment)
    files = sorted((folder / "made").glob("sample-*.png"))
    if len(files) != COUNT:
        raise RuntimeError(f"{len(files)} samples in {folder / 'made'}")
    last = json.loads((folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    config = yaml.safe_load((folder / "run" / "config.yaml").read_text(encoding="utf-8"))
    facts = {"rounds": last.get("round"), "samples": last.get("samples"), "seconds": last.get("seconds")}
    facts |= {key: config[key] for key in ("system", "config")}  # and no paths of the machine
    return {"images": np.stack([np.atleast_3d(np.asarray(Image.open(file))) for file in files]), **facts}


def speed(width: int, data: Path, known: dict[str, float]) -> float:
    """Rounds a second of the script on both cores, measured once."""
    key = f"{data.name} {width}"
    if key not in known:
        known[key] = json.loads(started([SCRIPT, "--data", data, "--width", width, "--calibrate"]))["rounds_per_second"]
    return known[key]


def scripted(
    data: Path, left_out: list[str], seed: int, width: int, longer: bool, folder: Path, rate: float | None
) -> dict[str, Any]:  # fmt: skip
    """One run of the script. longer: of half an hour, which leaves what ten minutes came to beside its end; else those are
    taken from there if they are there. rate: rounds a second, where its time is counted in rounds."""
    limit, way, threads = (
        ("--seconds", SECONDS, {}) if rate is None else ("--rounds", round(rate * SECONDS), {"OMP_NUM_THREADS": "1"})
    )
    on_the_way = folder.with_name(f"{data.name}-{HALF_HOUR}-{seed}") / f"made-{way}.npz"
    made = folder / "made.npz" if longer or width != OF_HALF_HOUR or not on_the_way.exists() else on_the_way
    if not made.exists():
        (folder / "left-out.txt").write_text("\n".join(left_out), encoding="utf-8")
        words = [SCRIPT, "--data", data, "--leave-out", folder / "left-out.txt", "--width", width, "--seed", seed]
        asked = [limit, 3 * way, "--looks", way] if longer else [limit, way]
        started([*words, *asked, "--samples", COUNT, "--out", made], **threads)
    with np.load(made, allow_pickle=False) as held:
        images, report = held["images"], json.loads(str(held["report"]))
    return {"images": images if images.ndim == 4 else images[..., None], "by_rounds": rate is not None, **report}


def judged(
    arm: str, data: Path, seed: int, before: Path | None, rate: float | None, pictures: Path | None, work: Path
) -> dict[str, Any]:  # fmt: skip
    """One row: how near an arm's samples come to the held-out images of the seed's split."""
    dataset = open_data(data, size=SIDE, seed=seed, progress=False)
    heldout = dataset.heldout_indices()
    folder = work / f"{data.name}-{arm}-{seed}"  # what a run has left there is judged again, not trained again
    folder.mkdir(parents=True, exist_ok=True)
    if arm.startswith("script"):
        files, of = dataset.origins.files, dataset.origins.of
        left_out, width = [files[of[k]] for k in heldout], int(arm.split("-")[1])
        found = scripted(data, left_out, seed, width, arm == HALF_HOUR, folder, rate)
    elif arm == "before":
        if before is None:
            raise SystemExit("the arm before needs --before CHECKOUT")
        found = trained(data, seed, f"{SECONDS}s", folder, "dcgan", before / "src")
    else:
        found = trained(data, seed, "6m" if arm == FIFTH else f"{SECONDS}s", folder)
    chosen = np.sort(np.random.default_rng(0).permutation(heldout)[:COUNT])
    real = decode(encode(dataset.values[chosen], dataset.spec), dataset.spec, depth=8)
    images = found.pop("images")
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        rows = images[:64].reshape(8, 8, *images.shape[1:]).swapaxes(1, 2).reshape(8 * SIDE, 8 * SIDE, -1)
        Image.fromarray(rows.squeeze()).save(pictures / f"{data.name}-{arm}-{seed}.png")
    return {"data": data.name, "arm": arm, "seed": seed, **found, "heldout": len(real), **distances(images, real)}


def verdicts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each set and extractor: means over the seeds that both arms of a comparison have, and whether the marks are met."""
    found = []
    for data in dict.fromkeys(row["data"] for row in rows):
        for key in KEYS:
            of: dict[str, dict[int, float]] = {}
            for row in rows:
                if row["data"] == data:
                    of.setdefault(row["arm"], {})[row["seed"]] = row[key]
            widths = [arm for arm in of if arm.startswith("script") and arm != HALF_HOUR]
            best = min(widths, key=lambda arm: statistics.fmean(of[arm].values()), default="")
            asked = [("picked", "script-64", OF_EXAMPLE), ("picked", best, OF_BEST), ("picked", "before", 1.0)]
            for arm, other, most in [*asked, (FIFTH, HALF_HOUR, 1.0)]:
                seeds = sorted(set(of.get(arm, {})) & set(of.get(other, {})))
                if seeds:
                    ours, theirs = (statistics.fmean(of[name][seed] for seed in seeds) for name in (arm, other))
                    row = {"data": data, "by": key, "arm": arm, "of": other, "seeds": seeds}
                    row |= {"ours": round(ours, 1), "theirs": round(theirs, 1), "ratio": round(ours / theirs, 3)}
                    found.append({**row, "most": most, "met": ours <= most * theirs})
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the sets")
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--arms", nargs="*", default=ARMS)
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2))
    parser.add_argument("--before", type=Path, help="a checkout of another version")
    parser.add_argument("--by-rounds", action="store_true", help="count the time of the script's arms in rounds")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--pictures", type=Path, help="a folder for grids of 64 samples")
    parser.add_argument("--work", type=Path, help="a folder that keeps the runs (default: none is kept)")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp())

    def kept() -> dict[str, Any]:  # read anew each time: two may run at once, one of them by rounds
        held = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
        return {"machine": machine(), "seconds": SECONDS, "speeds": {}, "rows": []} | held

    for seed in options.seeds:
        for name in options.sets:
            for arm in options.arms:
                held = kept()
                if any((row["data"], row["arm"], row["seed"]) == (name, arm, seed) for row in held["rows"]):
                    continue
                scripts, rate = arm.startswith("script"), None
                if scripts and options.by_rounds:
                    rate = speed(int(arm.split("-")[1]), options.data / name, held["speeds"])
                begun = time.perf_counter()
                row = judged(arm, options.data / name, seed, options.before, rate, options.pictures, work)
                row["wall"] = round(time.perf_counter() - begun, 1)
                held = kept() | {"speeds": kept()["speeds"] | held["speeds"]}
                held["rows"].append(row)
                held["verdicts"] = verdicts(held["rows"])
                options.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
                print(json.dumps({key: value for key, value in row.items() if key != "config"}), flush=True)
                if not options.work:
                    shutil.rmtree(work)
    found = verdicts(kept()["rows"])
    for row in found:
        print(json.dumps(row))
    return int(not found or not all(row["met"] for row in found))


if __name__ == "__main__":
    raise SystemExit(main())
