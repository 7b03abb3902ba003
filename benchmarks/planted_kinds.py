"""Whether the memorisation audit finds copies of training records in data that is no images, and leaves others alone.

For each kind real records are split by groups into a training part, a held-out part and unseen ones (60, 20 and 20 %). The
samples are 200 unseen real records, of which in three cases 0, or 20 are replaced: by training records, or by training records
under slight noise. All goes through `ganvas.evaluate`, as a user's samples would. Repeated with other splits.

A graph is one record: the sample is the graph learnt from with edges swapped at random, every degree kept, until none, 90 % or
all of them are left (`nothing planted`, `under noise`, `exact`); 20 % of its edges are held out.

Aims: the verdict `copies` wherever something was planted, `clear` wherever nothing was. The features of sound, series and
solids were made to bear slight noise after trials on the splits 0 to 2; the result kept is of others.

    python benchmarks/planted_kinds.py --data ROOT --first 3 --seeds 4 --out benchmarks/results/planted_kinds.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import ganvas
from ganvas.data.dataset import Dataset
from ganvas.doctor import machine

SAMPLES, PLANTED = 200, 20
SHARES = (0.6, 0.2, 0.2)  # training, held out, unseen


@dataclass(frozen=True)
class Entry:
    """source: a folder or file below ROOT, or a phantom. options: of `open_data`. noisy: records under slight noise, None where
    there is nothing of that sort; noise: in words."""

    source: str
    noisy: Callable[[np.ndarray, Any, np.random.Generator], np.ndarray] | None
    noise: str
    options: dict[str, Any] = field(default_factory=dict)


def hissing(records: np.ndarray, spec: Any, rng: np.random.Generator) -> np.ndarray:
    level = np.sqrt(np.square(records).mean(axis=(1, 2), keepdims=True))
    return np.clip(records + 0.03 * level * rng.standard_normal(records.shape), -1, 1).astype(np.float32)


def jittered(records: np.ndarray, spec: Any, rng: np.random.Generator) -> np.ndarray:
    made: np.ndarray = (records + 0.02 * np.asarray(spec.scale) * rng.standard_normal(records.shape)).astype(np.float32)
    return made


def chipped(records: np.ndarray, spec: Any, rng: np.random.Generator) -> np.ndarray:
    made: np.ndarray = np.where(rng.random(records.shape) < 0.005, 1 - records, records).astype(records.dtype)
    return made


KINDS: dict[str, Entry] = {
    "sound": Entry("spoken-digits", hissing, "white noise 30 dB below each recording", {"size": 4096}),
    "series": Entry("skab", jittered, "white noise of 2 % of half of each quantity's range", {"size": 60}),
    "solid": Entry("solids", chipped, "one voxel of 200 turned over", {"phantom_count": 1000}),
    # Real poems come in versions that differ in a character or two: a copy with one changed is no stranger than these.
    "tokens": Entry("tang-quatrains/5-char.txt", None, ""),
    "tokens, melodies": Entry("nottingham-midi", None, ""),
}
"""Kinds of many records, with a name for the data where a kind has several; a graph is judged as a whole."""
GRAPH = "graphs/cora_ml.npz"
LEFT = {"nothing planted": 0.0, "under noise": 0.9, "exact": 1.0}  # share of the edges that are not swapped


def parts(dataset: Dataset, seed: int) -> list[np.ndarray]:
    """Indices of the training, held-out and unseen records: whole groups, dealt at random."""
    groups = np.unique(dataset.groups)
    order = np.random.default_rng([seed, 0x91A]).permutation(groups)
    sizes = np.array([(dataset.groups == group).sum() for group in order])
    ends = np.cumsum(sizes) / sizes.sum()
    side = np.searchsorted(np.cumsum(SHARES)[:-1], ends - sizes / sizes.sum() / 2)
    return [np.flatnonzero(np.isin(dataset.groups, order[side == number])) for number in range(3)]


def taken(dataset: Dataset, rows: np.ndarray, name: str, heldout: np.ndarray | None = None) -> Dataset:
    labels = None if dataset.labels is None else dataset.labels[rows]
    held = np.zeros(len(rows), bool) if heldout is None else heldout
    values = np.asarray(dataset.values[rows])
    return replace(
        dataset,
        values=values,
        labels=labels,
        groups=dataset.groups[rows],
        heldout=held,
        source=name,
        declared_split=True,
        notes=(),
    )


def judge(kind: str, entry: Entry, dataset: Dataset, case: str, seed: int) -> dict[str, Any]:
    """The audit of one set of samples, in short."""
    rng = np.random.default_rng([seed, 0x9A7])
    train, held, unseen = parts(dataset, seed)
    samples = taken(dataset, rng.choice(unseen, min(SAMPLES, len(unseen)), replace=False), "samples")
    if case != "nothing planted":
        copied = np.asarray(dataset.values[rng.choice(train, PLANTED, replace=False)])
        if case == "under noise" and entry.noisy is not None:
            copied = entry.noisy(copied, dataset.spec, rng)
        samples.values[rng.choice(len(samples), PLANTED, replace=False)] = copied
    rows = np.concatenate([train, held])
    real = taken(dataset, rows, entry.source, np.arange(len(rows)) >= len(train))
    found = ganvas.evaluate(replace(samples, labels=None), real, anchors=False, kind=kind, seed=seed)
    audit = found["memorisation"]
    assert found["real"]["train"] == len(train) and found["fake"]["n"] == len(samples)
    return {
        "verdict": audit["verdict"],
        "near_copies": audit["near_copies"]["value"],
        "expected": round(audit["near_copies"]["expected"], 2),
        "exact": audit["near_copies"]["exact"],
        "p": {name: float(f"{value:.2g}") for name, value in audit["tests"].items()},
        "reason": audit["reason"],
        "samples": len(samples),
        "train": len(train),
        "heldout": len(held),
        "features": found["features"]["name"],
    }


def judge_graph(dataset: Dataset, case: str, seed: int) -> dict[str, Any]:
    """The audit of a graph that is near the one learnt from, or is not."""
    from ganvas.metrics.graphs import edge_overlap, rewired

    learnt = np.asarray(dataset.values[dataset.train_indices()])
    nodes = dataset.spec.nodes  # type: ignore[union-attr]
    edges = rewired(learnt, nodes, overlap=LEFT[case], seed=seed) if LEFT[case] < 1 else learnt
    sample = taken(dataset, np.arange(len(edges)), "sample")
    sample.values[:] = edges
    found = ganvas.evaluate(replace(sample, labels=None), dataset, anchors=False, kind="graph", seed=seed)
    audit = found["memorisation"]
    return {
        "verdict": audit["verdict"],
        "edge_overlap": round(edge_overlap(edges, learnt, nodes), 3),
        "p": {name: float(f"{value:.2g}") for name, value in audit["tests"].items()},
        "reason": audit["reason"],
        "edges": len(learnt),
        "heldout": len(dataset.heldout_indices()),
        "features": found["features"]["name"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--kinds", nargs="*", default=[*KINDS, "graph"])
    parser.add_argument("--seeds", type=int, default=3, help="how many splits")
    parser.add_argument("--first", type=int, default=0, help="seed of the first split")
    options = parser.parse_args()
    begin = time.process_time()
    result: dict[str, Any] = {
        "what": "copies of training records planted among samples, and what the audit says of them",
        "aim": "copies wherever something was planted, clear wherever nothing was",
        "planted": f"{PLANTED} of {SAMPLES}",
        "kinds": {},
    }
    for kind in options.kinds:
        whole = kind == "graph"
        entry = Entry(GRAPH, None, "one edge of ten swapped") if whole else KINDS[kind]
        name, kind = kind, kind.partition(",")[0]
        folder = options.data / entry.source
        source = folder if folder.exists() else entry.source
        dataset = ganvas.open_data(source, heldout=0.0, progress=False, kinds=(kind,), **entry.options)
        cases = {}
        for case, expected in (("nothing planted", "clear"), ("exact", "copies"), ("under noise", "copies")):
            if case == "under noise" and entry.noisy is None and not whole:
                continue
            seeds = range(options.first, options.first + options.seeds)
            if whole:
                split = {n: ganvas.open_data(source, heldout=0.2, seed=n, progress=False, kinds=(kind,)) for n in seeds}
                rows = [judge_graph(split[seed], case, seed) for seed in seeds]
            else:
                rows = [judge(kind, entry, dataset, case, seed) for seed in seeds]
            verdicts = [row["verdict"] for row in rows]
            cases[case] = {"expected": expected, "verdicts": verdicts, "met": set(verdicts) == {expected}, "splits": rows}
            print(name, case, verdicts, flush=True)
        result["kinds"][name] = {
            "source": entry.source,
            "features": cases["exact"]["splits"][0]["features"],
            "noise": entry.noise,
            "records": len(dataset),
            "groups": len(np.unique(dataset.groups)),
            "cases": cases,
            "met": all(case["met"] for case in cases.values()),
        }
    result["met"] = all(kind["met"] for kind in result["kinds"].values())
    result["processor_seconds"] = round(time.process_time() - begin, 1)
    splits = f"--first {options.first} --seeds {options.seeds}"
    result["command"] = f"python benchmarks/planted_kinds.py --data ROOT {splits} --out benchmarks/results/planted_kinds.json"
    result["machine"] = machine()
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
