"""Rounds a second of every system on this machine's devices: the processor, the GPU, and what a GPU adds.

    python benchmarks/devices.py [--data DATA] [--systems dcgan,srgan] [--rounds 100] [--processor]

Each system trains on a phantom (pix2pix and gan-cls on real pairs, from --data) through `ganvas train`, with the settings of
its preset `auto` for an hour on that device, once for `few` rounds and once for `few` + `rounds`; the rate is that of the
rounds between. Modes: `32`, `bf16` (bf16-mixed), `bf16 last` (with channels_last), `32 free` (--deterministic off), and
`cpu` where asked for. Writes results/devices.json. Not for how good anything is.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from ganvas.doctor import machine
from ganvas.registry import catalogue
from ganvas.run.train import train

FEW = 24
MODES: dict[str, dict[str, Any]] = {
    "32": {"device": "cuda", "precision": "32", "channels_last": "off"},
    "32 free": {"device": "cuda", "precision": "32", "channels_last": "off", "deterministic": "off"},
    "bf16": {"device": "cuda", "precision": "bf16-mixed", "channels_last": "off"},
    "bf16 last": {"device": "cuda", "precision": "bf16-mixed", "channels_last": "on"},
}
DATA = {
    "anogan": "chest", "mad-gan": "sensors", "netgan": "communities", "srgan": "chest", "gan-3d": "solids",
    "latent-gan-3d": "solids", "wavegan": "words", "cgan": "chest", "dcgan": "chest", "gan": "patterns", "lsgan": "chest",
    "stylegan2": "chest", "wgan-gp": "chest", "seqgan": "melodies", "cyclegan": "brain", "pix2pix": "facades",
    "gan-cls": "captioned-stamps",
}  # fmt: skip
"""Phantoms, and real data below --data for systems that learn from pairs."""


def source(name: str, root: Path | None) -> str:
    """What a system trains on."""
    data = DATA.get(name, "chest")
    return str(root / data) if root is not None and (root / data).exists() else data


def rate(system: str, data: str, rounds: int, settings: dict[str, Any]) -> dict[str, float]:
    """Rounds a second, between the first few and the last; the peak of memory."""
    seconds, peak = [], 0
    for count in (FEW, FEW + rounds):
        with tempfile.TemporaryDirectory() as folder:
            out, budget = Path(folder) / "run", f"{count}r"
            found = train(system, data, out=out, budget=budget, quiet=True, sample_every=0.0, **settings)
            seconds.append(found["seconds"])
            lines = (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()
            peak = max([peak, *(json.loads(line).get("memory", 0) or 0 for line in lines if line.strip())])
    return {"rounds_a_second": rounds / max(seconds[1] - seconds[0], 1e-9), "seconds": seconds[1], "memory": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default=",".join(catalogue()))
    parser.add_argument("--data", type=Path, help="folder of real data sets")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--processor", action="store_true", help="the processor too")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "devices.json")
    options = parser.parse_args()
    modes = MODES | ({"cpu": {"device": "cpu", "precision": "32"}} if options.processor else {})
    table: dict[str, Any] = {}
    root = options.data
    for name in options.systems.split(","):
        table[name] = {}
        for mode, settings in modes.items():
            try:
                table[name][mode] = rate(name, source(name, root), options.rounds, settings)
                told = f"{table[name][mode]['rounds_a_second']:8.1f} rounds/s {table[name][mode]['memory'] / 2**20:7.0f} MB"
            except Exception as error:  # one that cannot is a finding, not the end
                table[name][mode] = {"error": f"{type(error).__name__}: {error}"[:300]}
                told = table[name][mode]["error"]
            print(f"{name:14s} {mode:10s} {told}", file=sys.stderr, flush=True)
            options.out.write_text(json.dumps({"machine": machine(), "rounds": options.rounds, "systems": table}, indent=1))


if __name__ == "__main__":
    main()
