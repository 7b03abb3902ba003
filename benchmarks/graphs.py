"""Which uses of which systems can be ONNX graphs, what is free in them, and how far they are from ganvas.

    python benchmarks/graphs.py --out benchmarks/results/graphs.json [--systems dcgan cyclegan] [--seconds 120]

Every system is made small, with fresh weights after one round, on tiny records of the first kind it takes; each of its uses is
exported as `ganvas export` does it, and tried with other records, as many others and, where sizes are free, another size.
Those that take longer than `--seconds` of this machine's clock count as left out.
"""

from __future__ import annotations

import argparse
import json
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from ganvas.doctor import machine
from ganvas.export.graphs import Onnx
from ganvas.export.tracing import Graph, Untraceable
from ganvas.registry import catalogue
from ganvas.specs import REAL
from ganvas.testing.boards import Case, subject_of
from ganvas.uses import Work, uses_of


def late(*_: Any) -> None:
    raise Untraceable("it takes too long")


def tried(name: str, seconds: int) -> dict[str, Any]:
    subject = subject_of(name)
    kinds = next(iter(subject.card.fields.values())) if subject.card.fields else subject.card.data
    engine = Case(subject, kinds[0]).board()
    engine.play_round()
    system = engine.system.eval()
    fields = system.spec if isinstance(system.spec, dict) else {REAL: system.spec}
    found = {}
    for use in uses_of(system):
        began = time.perf_counter()
        signal.alarm(seconds)
        try:
            with tempfile.TemporaryDirectory() as folder:
                work = Work(system, fields, name=name)
                options = next(iter(use.trials(work)), {}) if use.trials else {}
                told = Onnx().write(Graph(use, work, options), Path(folder) / "use.onnx")
            free = sorted({axis for axes in told.free.values() for axis in axes.values()})
            own: dict[str, Any] = {"graph": True, "difference": told.error, "free": free}
        except Untraceable as error:
            own = {"graph": False, "why": str(error)}
        finally:
            signal.alarm(0)
        found[use.verb] = own | {"seconds": round(time.perf_counter() - began, 1)}
        print(name, use.verb, found[use.verb], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--systems", nargs="*", default=list(catalogue()))
    parser.add_argument("--seconds", type=int, default=120)
    options = parser.parse_args()
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, late)
    before = json.loads(options.out.read_text())["systems"] if options.out.exists() else {}
    result: dict[str, Any] = {
        "command": "python benchmarks/graphs.py --out benchmarks/results/graphs.json",
        "machine": machine(),
    }
    for name in options.systems:
        before[name] = tried(name, options.seconds)
        every = [own for uses in before.values() for own in uses.values()]
        good = [own for own in every if own["graph"]]
        result |= {
            "systems": before, "uses": len(every), "graphs": len(good),
            "largest_difference": max((own["difference"] for own in good), default=None),
        }  # fmt: skip
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
