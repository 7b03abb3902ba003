"""Which uses of which systems can be ONNX graphs, what is free in them, and how far they are from ganvas.

    python benchmarks/graphs.py --out benchmarks/results/graphs.json [--systems dcgan cyclegan] [--uses sample] [--seconds 120]

Every system is made small, with fresh weights after one round, on tiny records of the first kind it takes; each of its uses is
exported as `ganvas export` does it, and tried with other records, as many others and, where sizes are free, another size. One
that says which settings it could be a graph with is tried with these as well, and `with` tells them. Of uses that are no
arithmetic on tensors throughout, `before` and `after` tell who does the rest. Those that take longer than `--seconds` of the
processor's time count as left out; `seconds` are such seconds. With `--systems` or `--uses` the rows of others stay.
"""

from __future__ import annotations

import argparse
import json
import signal
import tempfile
import time
from collections.abc import Sequence
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


def tried(name: str, seconds: int, uses: Sequence[str] = (), settings: dict[str, Any] | None = None) -> dict[str, Any]:
    subject = subject_of(name, settings)
    kinds = next(iter(subject.card.fields.values())) if subject.card.fields else subject.card.data
    engine = Case(subject, kinds[0]).board()
    engine.play_round()
    system = engine.system.eval()
    fields = system.spec if isinstance(system.spec, dict) else {REAL: system.spec}
    found: dict[str, Any] = {}
    for use in uses_of(system):
        if uses and use.verb not in uses:
            continue
        instead: dict[str, Any] = {}
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            with tempfile.TemporaryDirectory() as folder:
                work = Work(system, fields, name=name)
                options = next(iter(use.trials(work)), {}) if use.trials else {}
                graph = Graph(use, work, options)
                told = Onnx().write(graph, Path(folder) / "use.onnx")
            free = sorted({axis for axes in told.free.values() for axis in axes.values()})
            own: dict[str, Any] = {"graph": True, "difference": told.error, "free": free}
            rest = {"before": graph.before, "after": graph.after, "fixed": graph.fixed, "with": settings}
            own |= {key: value for key, value in rest.items() if value}
        except Untraceable as error:
            own, instead = {"graph": False, "why": str(error)}, getattr(error, "instead", {})
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        if instead and not settings:
            found[use.verb] = own | tried(name, seconds, (use.verb,), instead)[use.verb]
            continue
        found[use.verb] = own | {"seconds": round(time.process_time() - began, 1)}
        print(name, use.verb, found[use.verb], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--systems", nargs="*", default=list(catalogue()))
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--uses", nargs="*", default=[], help="verbs; none: every one")
    options = parser.parse_args()
    torch.set_num_threads(1)
    signal.signal(signal.SIGPROF, late)
    file = json.loads(options.out.read_text()) if options.out.exists() else {}
    before = file.get("systems", {})
    result: dict[str, Any] = {
        "command": "python benchmarks/graphs.py --out benchmarks/results/graphs.json",
        "machine": machine(),
    }
    for name in options.systems:
        kept = before.get(name, {}) if options.uses else {}
        before[name] = kept | tried(name, options.seconds, options.uses)
        every = [own for uses in before.values() for own in uses.values()]
        good = [own for own in every if own["graph"]]
        result |= {
            "systems": before, "uses": len(every), "graphs": len(good),
            "largest_difference": max((own["difference"] for own in good), default=None),
        } | ({"note": file["note"]} if "note" in file else {})  # fmt: skip
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
