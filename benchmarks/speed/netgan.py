"""Random walks over a graph: how many steps a second, vectorised as the stream of walks draws them, and in a Python loop.

Both walk the same graph (of the size of Cora-ML: 2810 nodes, about 8000 edges, a few nodes of many neighbours) in batches of
128 walks of 16 nodes, as training does, and in large ones; the loop walks one walk at a time over lists of neighbours. Aim: at
least a million steps a second on one core.

    python benchmarks/speed/netgan.py --out benchmarks/results/netgan_walks.json
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.data.phantoms import make_phantom
from ganvas.doctor import machine
from ganvas.kinds.graph.walks import Paths

NODES, EDGES, LENGTH = 2810, 7981, 16
AIM = 1_000_000
SECONDS = 1.0  # of a measurement, each taken three times


def rate(walk: Callable[[], int]) -> dict[str, float]:
    """Steps a second of three measurements: the median, the least and the most. walk: makes steps and says how many."""
    walk()
    found = []
    for _ in range(3):
        steps, begin = 0, time.perf_counter()
        while (spent := time.perf_counter() - begin) < SECONDS:
            steps += walk()
        found.append(steps / spent)
    low, middle, high = sorted(found)
    return {"steps_per_second": round(middle), "least": round(low), "most": round(high)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    edges = make_phantom("communities", EDGES, 0, size=NODES).values
    paths = Paths(edges, NODES)
    rng = np.random.default_rng(0)
    chooser = random.Random(0)
    neighbours: list[list[int]] = [paths.ends[a:b].tolist() for a, b in zip(paths.begins[:-1], paths.begins[1:], strict=True)]

    def vectorised(count: int) -> int:
        paths.walks(rng.integers(NODES, size=count), rng.random((count, LENGTH - 1)))
        return count * (LENGTH - 1)

    def second_order(count: int) -> int:
        paths.second_order(rng.integers(NODES, size=count), LENGTH, 0.5, 2.0, rng)
        return count * (LENGTH - 1)

    def loop(count: int) -> int:
        for _ in range(count):
            walk = [chooser.randrange(NODES)]
            while len(walk) < LENGTH:
                walk.append(chooser.choice(neighbours[walk[-1]]))
        return count * (LENGTH - 1)

    result: dict[str, Any] = {
        "graph": {"nodes": NODES, "edges": len(edges)},
        "walks of 16 nodes": {
            "vectorised, 128 at once": rate(lambda: vectorised(128)),
            "vectorised, 4096 at once": rate(lambda: vectorised(4096)),
            "vectorised, second order (p 0.5, q 2), 128 at once": rate(lambda: second_order(128)),
            "python loop": rate(lambda: loop(128)),
        },
        "machine": machine(),
    }
    rates = {name: found["steps_per_second"] for name, found in result["walks of 16 nodes"].items()}
    result["ratio"] = round(rates["vectorised, 128 at once"] / rates["python loop"], 1)
    result["aim"] = {"steps_per_second": AIM, "met": rates["vectorised, 128 at once"] >= AIM}
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
