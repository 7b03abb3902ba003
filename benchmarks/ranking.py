"""Whether each number of `ganvas evaluate` puts real records before half-trained samples, and these before worthless ones.

    python benchmarks/ranking.py --data datasets/ --budget 60s --out benchmarks/results/ranking.json

For each set the system of its kind is trained for a short time, `--samples` of its samples are judged against the held-out part
without an audit, and the anchors of that evaluation are put beside: `real` (training records), `untrained` and, of what is no
picture, `noise` (random values). A number that has a better way is in order if real records are no worse than half-trained
ones, and these better than untrained ones and noise; `misleading` is what the evaluation itself no longer calls better. Sets
that are not there are left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import ganvas
from ganvas.doctor import machine
from ganvas.evaluation.anchors import badness
from ganvas.evaluation.table import ROWS, ZERO, lines

SETS = {
    "quatrains": ("seqgan", "tang-quatrains"),
    "tunes": ("seqgan", "nottingham-midi"),
    "drums": ("wavegan", "drums"),
    "spoken digits": ("wavegan", "spoken-digits"),
    "footsteps": ("wavegan", "footsteps"),
    "valves": ("mad-gan", "skab"),
    "chairs": ("latent-gan-3d", "voxel-shapes/chair.npz"),
    "monitors": ("latent-gan-3d", "voxel-shapes/monitor.npz"),
    "60 chairs": ("latent-gan-3d", "voxel-shapes/chair.npz"),
}
"""Name -> (system, source below --data)."""


def source_of(name: str, place: Path, folder: Path) -> Path:
    """Where ganvas reads the set: voxels that are packed as bits are unpacked to a file of their own."""
    if place.suffix != ".npz":
        return place
    with np.load(place) as held:
        solids = np.unpackbits(held["packed"], axis=1).reshape(-1, 32, 32, 32)
    solids = solids[:60] if name.startswith("60") else solids
    np.savez_compressed(folder / "solids.npz", solids=solids)
    return folder / "solids.npz"


def judged(name: str, system: str, place: Path, budget: str, samples: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        source = source_of(name, place, Path(folder))
        ganvas.train(system, source, out=Path(folder) / "run", budget=budget, quiet=True, sample_every=0.0, watch="off")
        found = ganvas.evaluate(Path(folder) / "run", count=samples, audit=False, which="last")
    print(f"\n== {name}: {system}, {budget}", *lines(found), sep="\n", flush=True)
    rows = {}
    for key, (_, better) in ROWS.items():
        sides = {"real": found["anchors"]["real"], "half-trained": found, **found["anchors"]}
        bad = {side: badness(own, key, better) for side, own in sides.items()}
        if bad["half-trained"] is None or bad["real"] is None:
            continue
        values = {side: own.get(key, {}).get("value") for side, own in sides.items() if side != "linear"}
        last = [bad[side] for side in ("untrained", "noise") if bad.get(side) is not None]
        rows[key] = {
            **values,
            "better": better,
            "real before all": all(bad["real"] < other for other in last),
            "in order": bad["real"] <= bad["half-trained"] and all(bad["half-trained"] < other for other in last),
            "misleading": key in found["misleading"],
        }
        if better == ZERO:
            rows[key]["in order"] = rows[key]["real before all"]
    return {"system": system, "protocol": found["protocol"], "metrics": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--only", nargs="*", default=list(SETS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "budget": options.budget, "samples": options.samples, "sets": {}}
    for name in options.only:
        system, source = SETS[name]
        if (options.data / source).exists():
            result["sets"][name] = judged(name, system, options.data / source, options.budget, options.samples)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    for name, own in result["sets"].items():
        wrong = [key for key, row in own["metrics"].items() if not row["real before all"]]
        told = [key for key in wrong if own["metrics"][key]["misleading"]]
        print(f"{name}: worthless anchors win or tie {wrong}, no longer called better {told}")


if __name__ == "__main__":
    main()
