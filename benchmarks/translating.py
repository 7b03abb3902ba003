"""What `cyclegan` makes of unseen pictures with its preset `auto`, beside leaving them as they are.

    python benchmarks/translating.py --data ROOT
    python benchmarks/translating.py --data ROOT --sets emoji --seeds 7 --set learning_rate=2e-4 --out trial.json

Three tasks at 64 pixels: emoji of one house into the other, cartoon faces of one style into the other, street scenes at dusk
(one drive) into day. Each run has so many seconds of one core, counted in rounds. Then unseen pictures of either side are
translated, and compared with unseen ones of the other: kernel distance by two extractors that took no part, times 1000, beside
that of the untouched pictures, and of these with the target's colours by one linear map (`ganvas.kinds.image.colours`).

Mark, written down before the first run: by the default extractor, in the mean over seeds, nearer than the untouched pictures in
every task and both ways. Runs that are in the result are not made again. Writes benchmarks/results/translating.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from equal_time import begun, distances
from ganvas.batches import Noise
from ganvas.doctor import keep_memory, machine, on_threads
from ganvas.drawing import save_picture
from ganvas.kinds import decode, encode, kind_of

RESULT = Path(__file__).parent / "results" / "translating.json"
SETS = ("emoji", "cartoon-faces", "dusk-day")
MOST, SHOWN = 400, 8
DUSK = "0001TP"


def prepared(name: str, root: Path, folder: Path) -> tuple[Path, str]:
    """(a folder with one sub-folder for each side, the size to train at)."""
    if name != "dusk-day":
        place = folder / name
        sides = ("google", "twitter") if name == "emoji" else ("avataaars", "adventurer")
        for side in sides:
            shutil.copytree(root / name / side, place / side)
        return place, "64"
    place = folder / name
    with (root / "street-scenes" / "pairs.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    lines = ["file,group,split"]
    for side in ("dusk", "day"):
        files = sorted(row["photo"] for row in rows if (row["drive"] == DUSK) == (side == "dusk"))
        (place / side).mkdir(parents=True)
        for number, file in enumerate(files):  # frames of a drive look alike: the last fifth of each side in one piece
            name = Path(file).name
            shutil.copyfile(root / "street-scenes" / file, place / side / name)
            lines.append(f"{side}/{name},{side}{number},{'train' if number < 0.8 * len(files) else 'development-heldout'}")
    (place / "groups.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place, "48x64"


def run(name: str, root: Path, seed: int, seconds: float, overrides: dict[str, Any], picture: Path | None) -> dict[str, Any]:
    """One run on one thread, and its translations of unseen pictures beside the untouched ones."""
    keep_memory()
    with tempfile.TemporaryDirectory() as folder, on_threads(1):
        data, size = prepared(name, root, Path(folder))
        made, engine = begun("cyclegan", data, seed, seconds, overrides, size)
        spent = 0.0
        while spent < seconds and not engine.over:
            engine.progress = spent / seconds
            begin = time.process_time()
            engine.play_round()
            spent += time.process_time() - begin
        engine.settle()
        dataset = made.dataset
        spec, kind = dataset.spec, kind_of(dataset.spec.kind)
        parts = dataset.heldout_indices(), dataset.train_indices()
        sides, seen = ([np.asarray(dataset.values[rows[dataset.labels[rows] == side]]) for side in (0, 1)] for rows in parts)
        sides = [side[:MOST] for side in sides]
    found: dict[str, Any] = {}
    strips = []
    for first, second in ((0, 1), (1, 0)):
        with engine.watching():
            parts = encode(sides[first], spec).split(32)
            noise = Noise(torch.Generator().manual_seed(0))
            changed = torch.cat([made.made.translate(part, second, noise) for part in parts])
        images = decode(changed, spec)
        way = f"{spec.classes[first]} to {spec.classes[second]}"
        others = {
            "made": images,
            "untouched": sides[first],
            "colours": kind.likened(sides[first], seen[first], seen[second], spec),
        }
        found[way] = {what: distances(those, sides[second]) for what, those in others.items()}
        chosen = np.linspace(0, len(images) - 1, SHOWN).astype(int)
        strips += [sides[first][chosen], images[chosen]]
    if picture is not None:
        save_picture(picture, kind.grid(np.concatenate(strips), spec, columns=SHOWN))
    return {"seed": seed, "rounds": engine.clock.round, "unseen": [len(side) for side in sides], "ways": found}


def table(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each task and way: the distance made and untouched, means over seeds."""
    rows = []
    for name in dict.fromkeys(run["task"] for run in runs):
        own = [run for run in runs if run["task"] == name]
        for way in own[0]["ways"]:
            row: dict[str, Any] = {"task": name, "way": way, "seeds": len(own)}
            for by in ("distance", "by_another"):
                for what in ("made", "untouched", "colours"):
                    row[f"{what} {by}"] = round(statistics.fmean(run["ways"][way][what][by] for run in own), 1)
            rows.append({**row, "nearer": row["made distance"] < row["untouched distance"]})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the sets")
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2))
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--set", nargs="*", default=(), help="other settings, for trials: NAME=VALUE")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--pictures", type=Path, help="a folder for strips of unseen pictures and what became of them")
    options = parser.parse_args()
    overrides = {name: yaml.safe_load(value) for name, _, value in (text.partition("=") for text in options.set)}
    kept = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {"runs": []}
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    known = {(run["task"], run["seed"], run["seconds"]) for run in kept["runs"]}
    for seed in options.seeds:
        for name in options.sets:
            if (name, seed, options.seconds) in known:
                continue
            picture = options.pictures / f"{name}-{seed}.png" if options.pictures else None
            found = run(name, options.data, seed, options.seconds, overrides, picture)
            kept["runs"].append({"task": name, "seconds": options.seconds, **found})
            kept["machine"], kept["table"] = machine(), table(kept["runs"])
            options.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            print(json.dumps(kept["runs"][-1]), flush=True)
    for row in kept["table"]:
        print(
            f"{row['task']:<14} {row['way']:<26} made {row['made distance']:7.1f}  untouched {row['untouched distance']:7.1f}"
            f"  colours {row['colours distance']:7.1f}"
        )
    return int(not all(row["nearer"] for row in kept["table"]))


if __name__ == "__main__":
    raise SystemExit(main())
