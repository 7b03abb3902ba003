"""Systems that make images, with presets `auto`, in equal time of a processor: how near samples come to held-out records.

    python benchmarks/equal_time.py --data ROOT                         the four sets, the five systems, three seeds
    python benchmarks/equal_time.py --data ROOT --sets emoji --systems dcgan r3gan --seconds 600
    python benchmarks/equal_time.py --data ROOT --sets emoji --systems lsgan --set lsgan.width=24 --seeds 7 --out trial.json
    python benchmarks/equal_time.py --data ROOT --systems dcgan r3gan --seeds 0 --seconds 600 --rounds 9000

Each preset is told a budget of so many seconds, as by `ganvas train NAME --data PATH --size 64 --budget 5m`. Time is measured
in rounds of `dcgan`, 30 a second or as many for the whole as `--rounds` says: before each run the two play in turns, on one
core, and what one round of the system costs in rounds of dcgan says how many make up the time, so that a busy machine changes
nothing. Then 500 samples are compared with the held-out part by two extractors, of which neither took part in any training:
kernel distance, times 1000.

Mark, written down before the first run: at most 1.5 times the distance of `dcgan` in the mean over seeds, on each set, by the
default extractor. What falls short of it, `ganvas train` has to say before it starts (benchmarks/stages.py). `dcgan:fcc`
is a preset by name. Runs that are in the result already are not made again. Writes benchmarks/results/equal_time.json, and from
it src/ganvas/systems/nearness.json, by which `ganvas train --data PATH` chooses a system.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from ganvas.doctor import keep_memory, machine, on_threads
from ganvas.drawing import save_picture
from ganvas.inference.sampling import draw_samples
from ganvas.kinds import decode, encode, kind_of
from ganvas.metrics import image_features, kernel_distance
from ganvas.parallel import Processes
from ganvas.proofs._perceptual import perceptual_features
from ganvas.run.opening import seated
from ganvas.run.train import plan

RESULT = Path(__file__).parent / "results" / "equal_time.json"
TABLE = Path(__file__).parents[1] / "src" / "ganvas" / "systems" / "nearness.json"
SETS = ("brain-mr", "emoji", "skin-lesions/images", "chest-xray")
SYSTEMS = ("dcgan", "r3gan", "lsgan", "wgan-gp", "stylegan2")
BASE = "dcgan"
SIDE, COUNT, BOUND = 64, 500, 1.5
ROUNDS_A_SECOND = 30  # of dcgan at width 16, on an idle core
TURNS, IN_TURN = 12, 6  # of measuring, and rounds in one


def distances(made: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Kernel distances of images to real ones, times 1000, by the name of the extractor."""
    size = (made.shape[1], made.shape[2])
    first = kernel_distance(
        image_features(made, size=size),
        image_features(real, size=size),
        intervals=False,
        features="effnet",
        reference="heldout",
    )
    second = kernel_distance(
        perceptual_features(made), perceptual_features(real), intervals=False, features="other", reference="heldout"
    )
    return {"distance": round(1000 * first.value, 1), "by_another": round(1000 * second.value, 1)}


def begun(
    system: str, data: Path, seed: int, seconds: float, overrides: dict[str, Any], size: str = str(SIDE)
) -> tuple[Any, Any]:  # fmt: skip
    """(the plan of a run, its engine before the first round). system: a name, or NAME:PRESET."""
    torch.manual_seed(seed)  # of the weights
    name, _, preset = system.partition(":")
    given = {"preset": preset or "auto", "budget": f"{seconds:g}s", "size": size}
    given |= {"threads": 1, "device": "cpu", "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        made = plan(name, str(data), given, overrides, Path(folder) / "run", True, lambda text: None, None)
    one = Processes(torch.device("cpu"))
    return made, seated(made.made, made.dataset, made.settings, made.config.batch_size, one, seed=seed)


def cost_of(system: str, data: Path, seed: int, seconds: float, overrides: dict[str, Any]) -> float:
    """What a round costs in rounds of BASE as its preset would play it: the two in turns, the median over turns."""
    if system == BASE and not overrides:
        return 1.0
    engines = [begun(name, data, seed, seconds, own)[1] for name, own in ((system, overrides), (BASE, {}))]
    ratios = []
    for _ in range(TURNS):
        taken = []
        for engine in engines:
            begin = time.process_time()
            for _ in range(IN_TURN):
                engine.play_round()
            engine.settle()
            taken.append(time.process_time() - begin)
        ratios.append(taken[0] / taken[1])
    return statistics.median(ratios[1:])


def run(
    system: str, data: Path, seed: int, seconds: float, overrides: dict[str, Any], picture: Path | None,
    measure: Callable[[np.ndarray, np.ndarray], dict[str, float]] = distances, whole: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """One system for as long as dcgan takes `seconds`, and what its samples are worth by `measure`.

    whole: rounds of dcgan in that time; 0: ROUNDS_A_SECOND.
    """
    keep_memory()
    with on_threads(1):
        cost = cost_of(system, data, seed, seconds, overrides)
        made, engine = begun(system, data, seed, seconds, overrides)
        rounds, begin = round((whole or seconds * ROUNDS_A_SECOND) / cost), time.process_time()
        for number in range(rounds):
            engine.progress = number / rounds
            engine.play_round()
        engine.settle()
        spent = time.process_time() - begin
    dataset, rng = made.dataset, np.random.default_rng(0)
    real = dataset.values[np.sort(rng.permutation(dataset.heldout_indices())[:COUNT])]
    with engine.watching():
        drawn = torch.cat(list(draw_samples(made.made, COUNT, seed=10_000 + seed)))
    kind = kind_of(dataset.spec.kind)
    images, real = decode(drawn, dataset.spec, depth=8), decode(encode(real, dataset.spec), dataset.spec, depth=8)
    if picture is not None:
        save_picture(picture, kind.picture(images[:64], kind.screen(dataset.spec)))
    return {
        "system": system, "data": data.name, "seed": seed, "seconds": round(spent, 1), "rounds": engine.clock.round,
        "cost": round(cost, 3),
        "kind": dataset.spec.kind, "channels": dataset.spec.channels, "samples": engine.clock.samples,
        "config": dataclasses.asdict(made.config), "records": len(dataset.train_indices()),
        "heldout": len(real), **measure(images, real),
    }  # fmt: skip


def table(runs: list[dict[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
    """(lines to print, for each set and system: means over seeds, and what they are of those of BASE)."""
    lines, rows = [], []
    for data in dict.fromkeys(run["data"] for run in runs):
        of: dict[str, list[dict[str, Any]]] = {}
        for run in runs:
            if run["data"] == data:
                of.setdefault(run["system"], []).append(run)
        means = {
            name: {key: statistics.fmean(run[key] for run in own) for key in ("distance", "by_another")}
            for name, own in of.items()
        }
        for name, mean in means.items():
            ratios = {key: round(mean[key] / means[BASE][key], 2) for key in mean} if BASE in means else {}
            rows.append({
                "data": data, "system": name, "seeds": len(of[name]), **{key: round(value, 1) for key, value in mean.items()},
                "of_" + BASE: ratios, "within": ratios.get("distance", 0.0) <= BOUND,
            })  # fmt: skip
            each = " ".join(f"{run['distance']:.0f}" for run in of[name])
            lines.append(
                f"{data:<14} {name:<14} {mean['distance']:7.1f} ({each}) {ratios.get('distance', 0):5.2f} of {BASE};  "
                f"by another {mean['by_another']:7.1f} {ratios.get('by_another', 0):5.2f}"
            )
    return lines, rows


def nearness(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The table that systems are chosen by: of presets `auto`, means over the seeds that all systems of a set and time have."""
    sets: dict[tuple[str, float], dict[str, dict[int, dict[str, Any]]]] = {}
    for run in runs:
        if ":" not in run["system"]:
            sets.setdefault((run["data"], run["asked"]), {}).setdefault(run["system"], {})[run["seed"]] = run
    rows = []
    for (data, asked), of in sorted(sets.items()):
        seeds = sorted(set.intersection(*(set(own) for own in of.values())))
        for system, own in sorted(of.items()):
            means = [round(statistics.fmean(own[seed][key] for seed in seeds), 1) for key in ("distance", "by_another")]
            first = own[seeds[0]]
            facts = {"system": system, "kind": first["kind"], "data": data, "channels": first["channels"]}
            rows.append({**facts, "records": first["records"], "seconds": asked, "seeds": len(seeds), "distances": means})
    return {"command": "python benchmarks/equal_time.py --data ROOT", "rows": rows}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the sets")
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--systems", nargs="*", default=SYSTEMS)
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2))
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--rounds", type=int, default=0, help="of dcgan, that make up the time (default: 30 a second)")
    parser.add_argument("--set", nargs="*", default=(), help="other settings, for trials: SYSTEM.NAME=VALUE")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--pictures", type=Path, help="a folder for grids of 64 samples")
    options = parser.parse_args()
    changed: dict[str, dict[str, Any]] = {}
    for text in options.set:
        name, _, value = text.partition("=")
        system, _, knob = name.partition(".")
        changed.setdefault(system, {})[knob] = yaml.safe_load(value)
    kept = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {"runs": []}
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    known = {(run["data"], run["system"], run["seed"], run["asked"]) for run in kept["runs"]}
    for seed in options.seeds:
        for name in options.sets:
            for system in options.systems:
                data = options.data / name
                label = data.parent.name if data.name == "images" else data.name
                if (label, system, seed, options.seconds) in known:
                    continue
                picture = options.pictures / f"{label}-{system}-{seed}.png" if options.pictures else None
                found = run(
                    system, data, seed, options.seconds, changed.get(system, {}), picture, whole=options.rounds
                )  # fmt: skip
                kept["runs"].append({**found, "data": label, "asked": options.seconds})
                print(json.dumps({key: value for key, value in kept["runs"][-1].items() if key != "config"}), flush=True)
                kept["machine"], kept["bound"] = machine(), BOUND
                kept["table"] = table([own for own in kept["runs"] if own["asked"] == options.seconds])[1]
                options.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if options.out == RESULT:
        TABLE.write_text(json.dumps(nearness(kept["runs"]), indent=1) + "\n", encoding="utf-8")
    print("\n".join(table([own for own in kept["runs"] if own["asked"] == options.seconds])[0]))
    return int(any(not row["within"] for row in kept["table"]))


if __name__ == "__main__":
    raise SystemExit(main())
