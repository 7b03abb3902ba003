"""How far samples come after how much training: measures systems and writes src/ganvas/systems/stages.json.

    python benchmarks/stages.py                              every system of images that is judged while it trains, 300 s each
    python benchmarks/stages.py --systems dcgan lsgan --seconds 900
    python benchmarks/stages.py --table                      make the table anew from what was measured, pages and proofs

`ganvas train` says from this table what may be expected of a budget. A system with its preset `auto` for a budget of so many
seconds of the processor is trained on the phantom `chest`, one thread, one seed, and its samples are compared with held-out
records, more often at the beginning: the kernel distance over that of the untrained network. A stage is reached when the
ratio, here and at all later looks, is at most

    outlines 0.6, recognisable 0.4, good 0.2

(radiographs by `dcgan`: a stranger recognised those at 0.3 to 0.4, and pictures at 0.15 are those of its proof). Samples are
records drawn from the data, so that stages compare over batches and networks.

Of other kinds the distance to an untrained network says little: points leave that far behind in a second, and are not good.
Their rows are what pages tell of what was seen (`PAGES`), and the samples after which the mark of a proof was met with every
seed, or was not. What was measured is kept in benchmarks/results/stages.json; --again measures it anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ganvas.data.phantoms import catalogue as phantoms
from ganvas.doctor import machine
from ganvas.registry import catalogue, find

HERE = Path(__file__).parent
RESULT, PROOFS = HERE / "results" / "stages.json", HERE / "proofs" / "results"
TABLE = HERE.parent / "src" / "ganvas" / "systems" / "stages.json"
BOUNDS = {"outlines": 0.6, "recognisable": 0.4, "good": 0.2}
LOOKS, SAMPLES = 14, 200
FOLLOWED = ("cgan", "dcgan", "gan", "lsgan", "stylegan2", "wgan-gp")
PHANTOM = "chest"
# (system, kind, data, samples that were seen, seconds, stage, page): what a page says was seen after that many; no stage: none.
PAGES: tuple[tuple[str, str, str, int, float, str, str], ...] = (
    ("wavegan", "sound", "spoken-digits", 126 * 80, 230.0, "outlines", "wavegan"),  # the course of loudness, and colour
    ("specgan", "sound", "drums", 300 * 16, 66.0, "outlines", "specgan"),  # strokes that begin, decay and differ
    ("specgan", "sound", "drums", 1500 * 16, 165.0, "recognisable", "specgan"),  # classes are recognised as those of real clips
    ("melgan", "sound", "spoken-digits", 600 * 8, 52.0, "recognisable", "melgan"),  # 2.5 dB from recordings of an unheard voice
    ("r3gan", "image", "emoji", 11_000 * 16, 693.0, "recognisable", "r3gan"),  # faces, people, hats at 64 pixels
    ("psgan", "image", "textures", 28_000, 150.0, "recognisable", "psgan"),  # ridges of one picture, 1024 pixels wide
    ("gan-cls", "image", "captioned-stamps", 2_400 * 32, 240.0, "outlines", "gan-cls"),
    ("cyclegan", "image", "brain", 8_000, 180.0, "outlines", "cyclegan"),  # the contrast, not its lesions
    ("midinet", "tune", "nottingham-midi", 800 * 64, 61.0, "outlines", "midinet"),  # rhythm, chords; leaps too wide
    ("stargan", "image", "cartoon-faces", 360 * 2 * 16, 92.1, "outlines", "stargan"),  # edits as asked, with grain
    ("deepremaster", "video", "game-characters", 900 * 4, 184.0, "outlines", "deepremaster"),  # colours; scratches, fainter
    ("mgan", "image", "photos", 2_000 * 2, 125.0, "outlines", "mgan"),  # strokes of many directions, things to be recognised
    ("patch-gan-3d", "volume", "brain-volumes", 500 * 8, 140.0, "outlines", "patch-gan-3d"),  # heads, under noise
    ("fomm", "video", "turning-faces", 900 * 8, 85.0, "outlines", "fomm"),  # heads turn the right way, not far enough
    ("mocogan", "video", "game-characters", 1_000 * 16, 45.7, "recognisable", "mocogan"),  # 16 pixels, with grain
    ("latent-gan-3d", "solid", "solids", 1_754 * 32, 360.0, "recognisable", "latent-gan-3d"),  # 45 % in one piece
)


def followed(system: str, data: str, seconds: float, seed: int = 0) -> dict[str, Any]:
    """One run, with the distance at LOOKS moments. Raises GanvasError for a system that cannot be judged."""
    import torch

    from ganvas.doctor import keep_memory, on_threads
    from ganvas.health.quality import Quality
    from ganvas.kinds import describe
    from ganvas.parallel import Processes
    from ganvas.run.opening import seated
    from ganvas.run.train import plan

    keep_memory()
    torch.manual_seed(seed)  # of the weights
    with tempfile.TemporaryDirectory() as folder:
        given = {"budget": f"{seconds:g}s", "threads": 1, "device": "cpu", "seed": seed}
        made = plan(system, data, given, {}, Path(folder) / "run", True, lambda text: None, None)
    with on_threads(1):
        one = Processes(torch.device("cpu"))
        engine = seated(made.made, made.dataset, made.settings, made.config.batch_size, one, seed=seed)
        quality = Quality(made.made, made.dataset, seed)
        quality.count = SAMPLES

        def look() -> float:
            with engine.watching():
                return float(quality.look(engine.clock.round, engine.clock.samples, 0.0)[0]["value"])

        untrained = look()
        marks = [seconds * 0.01 ** (1 - number / (LOOKS - 1)) for number in range(LOOKS)]
        looks, spent = [], 0.0
        for mark in marks:
            while spent < mark and not engine.over:
                engine.progress = spent / seconds
                begin = time.process_time()
                engine.play_round()
                spent += time.process_time() - begin
            engine.settle()
            looks.append({"seconds": round(spent, 2), "samples": engine.clock.samples, "value": look()})
            print(system, data, json.dumps({**looks[-1], "ratio": round(looks[-1]["value"] / untrained, 3)}), flush=True)
    return {
        "system": system, "kind": made.dataset.spec.kind, "data": data, "records": describe(made.dataset.spec),
        "config": dataclasses.asdict(made.config), "rounds": engine.clock.round, "protocol": quality.looks[-1]["protocol"],
        "untrained": untrained, "looks": looks, "machine": machine(),
    }  # fmt: skip


def row_of(run: dict[str, Any]) -> dict[str, Any]:
    """A row of the table from a run that was followed."""
    looks, reached = run["looks"], {}
    for stage, bound in BOUNDS.items():
        below = [look["value"] <= bound * run["untrained"] for look in looks]
        if below[-1]:
            first = len(below) - below[::-1].index(False) if False in below else 0
            reached[stage] = {"samples": looks[first]["samples"], "seconds": looks[first]["seconds"]}
    return {
        "system": run["system"], "kind": run["kind"], "data": f"{run['data']} ({run['records']})",
        "seen": looks[-1]["samples"], "seconds": looks[-1]["seconds"], "asked": list(BOUNDS), "reached": reached,
        "source": "benchmarks/results/stages.json", "command": f"python benchmarks/stages.py --systems {run['system']}",
    }  # fmt: skip


def row_of_page(system: str, kind: str, data: str, seen: int, seconds: float, stage: str, page: str) -> dict[str, Any]:
    """A row from what a page tells; without a stage the first one was not reached."""
    return {
        "system": system, "kind": kind, "data": data, "seen": seen, "seconds": seconds, "asked": [stage or next(iter(BOUNDS))],
        "reached": {stage: {"samples": seen, "seconds": seconds}} if stage else {}, "source": f"docs/systems/{page}.md",
        "command": "python benchmarks/stages.py --table",
    }  # fmt: skip


def row_of_proof(name: str) -> dict[str, Any] | None:
    """A row from the results of a system's proof, that of the most samples, and before it one that met its mark; None where it
    has none."""
    rows = []
    for path in sorted(PROOFS.glob(f"{name}*.json")):
        proof = json.loads(path.read_text(encoding="utf-8"))
        if proof["system"] != name:
            continue
        runs = [seed["more"]["system"] for seed in proof["seeds"]]
        if any("samples" not in run for run in runs):  # of an arm of several runs
            continue
        seen = max(int(run["samples"]) for run in runs)
        own = [run.get("processor_seconds") or run["seconds"] for run in runs]
        seconds = round(sum(own) / len(own), 1)
        met = {"proof": {"samples": seen, "seconds": seconds}} if proof["mark_met"] else {}
        data = proof["data"].removesuffix(" (phantom)")
        phantom = phantoms().get(data.partition(":")[0])
        rows.append(
            {
                "system": name, "kind": find(name).data[0] if phantom is None else phantom.kind, "data": data, "seen": seen,
                "seconds": seconds, "asked": ["proof"], "reached": met, "source": f"benchmarks/proofs/results/{path.name}",
                "command": proof["command"],
            }
        )  # fmt: skip
    return max(rows, key=lambda row: (bool(row["reached"]), row["seen"])) if rows else None


def write_table(kept: dict[str, Any]) -> None:
    """Rows of what was followed and what pages tell, and of the proofs of what neither says."""
    rows = [row_of(run) for _, run in sorted(kept["runs"].items())] + [row_of_page(*page) for page in PAGES]
    there = {(row["system"], row["kind"]) for row in rows}
    proofs = [row for name in sorted(catalogue()) if (row := row_of_proof(name)) is not None]
    rows += [row for row in proofs if (row["system"], row["kind"]) not in there]
    rows.sort(key=lambda row: (row["system"], row["kind"]))
    TABLE.write_text(json.dumps({"bounds": BOUNDS, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        told = ", ".join(f"{k} {v['samples']:,} ({v['seconds']:.0f} s)" for k, v in row["reached"].items()) or "none"
        print(f"{row['system']:<14} {row['data']:<50} seen {row['seen']:>10,}  {told}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="*", default=FOLLOWED, help="default: all of images")
    parser.add_argument("--seconds", type=float, default=300.0, help="of the processor, each (default 300)")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    kept: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {"runs": {}}
    for name in () if options.table else options.systems:
        if name not in kept["runs"] or options.again:
            kept["runs"][name] = followed(find(name).name, PHANTOM, options.seconds)
            RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    write_table(kept)
    return 0


if __name__ == "__main__":
    sys.exit(main())
