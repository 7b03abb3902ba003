"""Whether the memorisation audit finds copies of training records, of every kind of data, and leaves others alone.

For each set real records are split by groups into a training part, a held-out part and unseen ones. The samples are unseen
real records, at most 200, of which a tenth are replaced: by none, by training records as they are, or by training records
changed in one way that their field allows (softer, later, in another key, turned ...). All goes through what `ganvas.evaluate`
does for its audit, without the other metrics. Repeated with other splits: copies with `--seeds` of them, the honest samples
with `--honest`.

A graph is one record: the sample is the graph learnt from with edges swapped at random, every degree kept, until none, a tenth,
90 % or all of them are left; 20 % of its edges are held out.

Aims: `suspect` or `copies` wherever something was planted, `clear` wherever nothing was. The kinds' rules of what a twin is
were made after trials on the sets themselves, not on these splits.

    python benchmarks/planted_kinds.py --data ROOT --first 100 --seeds 5 --honest 20 --out benchmarks/results/planted_kinds.json

Sets are written as they come; with `--sets` one or some of them are done, and those in the file stay.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import ganvas
from ganvas.data.dataset import Dataset
from ganvas.doctor import machine
from ganvas.evaluation.bench import Bench, extractor_of
from ganvas.evaluation.judge import plain
from ganvas.evaluation.sets import open_sets
from ganvas.evaluation.stages import Stages
from ganvas.kinds import kind_of
from ganvas.kinds.facets import Seen
from ganvas.specs import REAL
from ganvas.store.records import Field

SAMPLES, SHARE = 200, 0.1  # samples at most, and how many of them are copies
SHARES = (0.6, 0.2, 0.2)  # training, held out, unseen
NOTHING, EXACT = "nothing planted", "exact"

Change = Callable[[np.ndarray, Any, np.random.Generator, Dataset, np.ndarray], np.ndarray]
"""(records (n, ...), spec, rng, the whole set, their rows in it) -> the records, changed."""


def softer(records: np.ndarray, spec: Any, rng: np.random.Generator, *_: Any) -> np.ndarray:
    gain = 10 ** (rng.uniform(-24, -6, (len(records), 1, 1)) / 20)
    return (np.round(records * gain * 32767) / 32767).astype(np.float32)  # as a file of 16 bits holds it


def later(records: np.ndarray, spec: Any, rng: np.random.Generator, *_: Any) -> np.ndarray:
    made = np.zeros_like(records)
    for row, record in enumerate(records):
        by = int(rng.uniform(0.005, 0.05) * spec.rate)
        made[row, by:] = record[:-by]
    return made


def hissing(records: np.ndarray, spec: Any, rng: np.random.Generator, *_: Any) -> np.ndarray:
    level = np.sqrt(np.square(records).mean(axis=(1, 2), keepdims=True))
    return np.clip(records + 10 ** (-30 / 20) * level * rng.standard_normal(records.shape), -1, 1).astype(np.float32)


def jittered(records: np.ndarray, spec: Any, rng: np.random.Generator, *_: Any) -> np.ndarray:
    return np.asarray(records + 0.02 * np.asarray(spec.scale) * rng.standard_normal(records.shape), np.float32)


def begun_elsewhere(records: np.ndarray, spec: Any, rng: np.random.Generator, whole: Dataset, rows: np.ndarray) -> np.ndarray:
    """Excerpts of the same files that begin between their windows, where the next window follows without a gap."""
    values, stride = np.asarray(whole.values), spec.length // 4
    made = records.copy()
    for place, row in enumerate(rows):
        after = row + 1
        follows = after < len(values) and whole.groups[after] == whole.groups[row]
        if follows and np.array_equal(values[row, stride:], values[after, :-stride]):
            by = int(rng.integers(1, stride))
            made[place] = np.concatenate([values[row, by:], values[after, -stride : len(values[after]) - stride + by]])
    return made


def other_key(records: np.ndarray, spec: Any, rng: np.random.Generator, *_: Any) -> np.ndarray:
    index = {symbol: k for k, symbol in enumerate(spec.symbols)}
    made = records.copy()
    for row, record in enumerate(records):
        notes = [spec.symbols[k] for k in record]
        for steps in rng.permutation([*range(-6, 0), *range(1, 7)]):
            moved = [str(int(symbol) + steps) if symbol.isdigit() else symbol for symbol in notes]
            if all(symbol in index for symbol in moved):
                made[row] = [index[symbol] for symbol in moved]
                break
    return made


def one_other_symbol(records: np.ndarray, spec: Any, rng: np.random.Generator, *_: Any) -> np.ndarray:
    made = records.copy()
    for row, record in enumerate(records):
        places = [k for k, symbol in enumerate(record) if spec.symbols[symbol].strip() not in ("", "hold", "rest")]
        made[row, rng.choice(places)] = records[rng.integers(len(records)), rng.choice(places)]
    return made


def turned(records: np.ndarray, spec: Any, rng: np.random.Generator, *_: Any) -> np.ndarray:
    from ganvas.kinds.solid import recognition

    turns = recognition.turns()[1:]
    return np.stack([recognition.turned(record, turns[rng.integers(len(turns))]) for record in records])


def moved(records: np.ndarray, spec: Any, rng: np.random.Generator, *_: Any) -> np.ndarray:
    """To another place in the cube, as far as there is room."""
    made = np.zeros_like(records)
    for row, record in enumerate(records):
        own = record
        for axis in range(3):
            there = np.flatnonzero(record.any(axis=tuple(k for k in range(3) if k != axis)))
            own = np.roll(own, int(rng.integers(-there[0], record.shape[axis] - there[-1])), axis)
        made[row] = own
    return made


def chipped(records: np.ndarray, spec: Any, rng: np.random.Generator, *_: Any) -> np.ndarray:
    return np.where(rng.random(records.shape) < 0.005, 1 - records, records).astype(records.dtype)


def grainy(records: np.ndarray, spec: Any, rng: np.random.Generator, *_: Any) -> np.ndarray:
    noise = 0.05 * (spec.high - spec.low) * rng.standard_normal(records.shape)
    return np.clip(np.round(records + noise), 0, np.iinfo(records.dtype).max).astype(records.dtype)


def mirrored(records: np.ndarray, spec: Any, rng: np.random.Generator, *_: Any) -> np.ndarray:
    return np.ascontiguousarray(records[:, :, ::-1])


def aside(records: np.ndarray, spec: Any, rng: np.random.Generator, *_: Any) -> np.ndarray:
    return np.pad(records, ((0, 0), (3, 0), (0, 3), (0, 0)), mode="edge")[:, : records.shape[1], 3:]


SOUNDS: dict[str, Change] = {
    "softer by 6 to 24 dB": softer,
    "begun 5 to 50 ms later": later,
    "white noise 30 dB below": hissing,
}


@dataclass(frozen=True)
class Entry:
    """source: a folder or file below ROOT. kind: of its records. changes: in words, and how. options: of `open_data`. shares:
    where the usual ones leave too few records."""

    source: str
    kind: str
    changes: dict[str, Change]
    options: dict[str, Any] = field(default_factory=dict)
    shares: tuple[float, float, float] = SHARES


SETS: dict[str, Entry] = {
    "drums": Entry("drums", "sound", SOUNDS),
    "spoken digits": Entry("spoken-digits", "sound", SOUNDS, {"size": 4096}),
    "footsteps": Entry("footsteps", "sound", SOUNDS, shares=(0.34, 0.33, 0.33)),
    "instrument notes": Entry("instrument-notes", "sound", SOUNDS),
    "pump sensors": Entry(
        "skab",
        "series",
        {"begun between windows": begun_elsewhere, "white noise of 2 % of half the range": jittered},
        {"size": 60},
    ),
    "folk tunes": Entry("nottingham-midi", "tokens", {"in another key": other_key, "one symbol changed": one_other_symbol}),
    "quatrains": Entry("tang-quatrains/5-char.txt", "tokens", {"one character changed": one_other_symbol}),
    "chairs and monitors": Entry(
        "voxel-shapes", "solid", {"turned by right angles": turned, "moved": moved, "one voxel of 200 turned over": chipped}
    ),
    "chest radiographs": Entry(
        "chest-xray",
        "image",
        {"noise of 5 % of the range": grainy, "mirrored": mirrored, "shifted by 3 pixels": aside},
        {"size": 64},
    ),
}
GRAPH, CORA = "citation graph", "graphs/cora_ml.npz"
LEFT = {NOTHING: 0.0, "a tenth of the edges": 0.1, "one edge of ten swapped": 0.9, EXACT: 1.0}  # share that is not swapped


def opened(entry: Entry, root: Path) -> Dataset:
    """A set without a split of its own: that is dealt here."""
    source: Any = root / entry.source
    if entry.source == "voxel-shapes":  # bits, packed
        import tempfile

        packed = [np.load(path)["packed"] for path in sorted(source.glob("*.npz"))]
        parts = [np.unpackbits(own, axis=1).reshape(-1, 32, 32, 32) for own in packed]
        source = Path(tempfile.mkdtemp()) / "solids.npz"
        np.savez_compressed(source, solids=np.concatenate(parts))
    if entry.kind == "image":  # its groups.csv has a split as well, which would be taken
        import tempfile

        place = Path(tempfile.mkdtemp())
        for folder in source.iterdir():
            if folder.is_dir():
                (place / folder.name).symlink_to(folder)
        source = place
    found: Dataset = ganvas.open_data(source, heldout=0.0, progress=False, kinds=(entry.kind,), **entry.options)
    return found


def parts(dataset: Dataset, shares: tuple[float, float, float], seed: int) -> list[np.ndarray]:
    """Indices of the training, held-out and unseen records: whole groups, dealt at random."""
    groups = np.unique(dataset.groups)
    order = np.random.default_rng([seed, 0x91A]).permutation(groups)
    sizes = np.array([(dataset.groups == group).sum() for group in order])
    ends = np.cumsum(sizes) / sizes.sum()
    side = np.searchsorted(np.cumsum(shares)[:-1], ends - sizes / sizes.sum() / 2)
    return [np.flatnonzero(np.isin(dataset.groups, order[side == number])) for number in range(3)]


def taken(dataset: Dataset, rows: np.ndarray, name: str, heldout: np.ndarray | None = None) -> Dataset:
    return replace(
        dataset,
        fields={REAL: Field(dataset.spec, np.array(dataset.values[rows]))},
        labels=None if dataset.labels is None else dataset.labels[rows],
        groups=dataset.groups[rows],
        heldout=np.zeros(len(rows), bool) if heldout is None else heldout,
        source=name,
        declared_split=True,
        notes=(),
    )


def audited(samples: Dataset, real: Dataset, kind: str, seed: int) -> dict[str, Any]:
    """The audit of samples, in short."""
    sets = open_sets(replace(samples, labels=None), real, kind=kind, seed=seed, progress=False)
    name = "effnet" if isinstance(kind_of(kind), Seen) else "pixels"
    extractor = extractor_of(name, sets, None, seed, "cpu", sets.notes)
    sets.families = tuple(family for family in sets.families if family != "classes")  # the audit asks for no classifier
    audit = plain(Bench(sets, extractor, seed, "cpu", Stages(lambda text: None)).audit().to_dict())
    near = {key: audit["near_copies"][key] for key in ("value", "exact", "changed")} if "near_copies" in audit else {}
    return {
        "verdict": audit["verdict"],
        **near,
        "p": {name: float(f"{value:.2g}") for name, value in audit["tests"].items()},
        "reason": audit["reason"],
        "could_not_see": audit["could_not_see"],
        "train": len(sets.train),
        "heldout": len(sets.heldout),
        "samples": len(sets.generated),
    }


def judge(entry: Entry, dataset: Dataset, case: str, seed: int) -> dict[str, Any]:
    """The audit of one set of samples, in short."""
    rng = np.random.default_rng([seed, 0x9A7])
    train, held, unseen = parts(dataset, entry.shares, seed)
    samples = taken(dataset, rng.choice(unseen, min(SAMPLES, len(unseen)), replace=False), "samples")
    planted = 0
    if case != NOTHING:
        planted = max(1, round(SHARE * len(samples)))
        rows = rng.choice(train, planted, replace=False)
        copies = np.array(dataset.values[rows])
        if case != EXACT:
            copies = entry.changes[case](copies, dataset.spec, rng, dataset, rows)
        samples.values[rng.choice(len(samples), planted, replace=False)] = copies
    rows = np.concatenate([train, held])
    real = taken(dataset, rows, entry.source, np.arange(len(rows)) >= len(train))
    return {"planted": planted, **audited(samples, real, entry.kind, seed)}


def judge_graph(dataset: Dataset, case: str, seed: int) -> dict[str, Any]:
    """The audit of a graph that is near the one learnt from, or is not."""
    from ganvas.metrics.graphs import edge_overlap, rewired

    learnt = np.asarray(dataset.values[dataset.train_indices()])
    nodes = dataset.spec.nodes
    edges = rewired(learnt, nodes, overlap=LEFT[case], seed=seed) if LEFT[case] < 1 else learnt
    sample = taken(dataset, np.arange(len(edges)), "sample")
    sample.values[:] = edges
    return {"edge_overlap": round(edge_overlap(edges, learnt, nodes), 3), **audited(sample, dataset, "graph", seed)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sets", nargs="*", default=[*SETS, GRAPH])
    parser.add_argument("--seeds", type=int, default=5, help="how many splits with something planted")
    parser.add_argument("--honest", type=int, default=5, help="how many splits with nothing planted")
    parser.add_argument("--first", type=int, default=0, help="seed of the first split")
    options = parser.parse_args()
    before = json.loads(options.out.read_text()) if options.out is not None and options.out.exists() else {}
    splits = f"--first {options.first} --seeds {options.seeds} --honest {options.honest}"
    result: dict[str, Any] = {
        "what": "copies of training records planted among samples, and what the audit says of them",
        "aim": "suspect or copies wherever something was planted, clear wherever nothing was",
        "planted": f"{SHARE:.0%} of at most {SAMPLES} samples",
        "command": f"python benchmarks/planted_kinds.py --data ROOT {splits} --out benchmarks/results/planted_kinds.json",
        "sets": before.get("sets", {}),
        "machine": machine(),
    }
    for name in options.sets:
        begin = time.process_time()
        entry = Entry(CORA, "graph", {}) if name == GRAPH else SETS[name]
        dataset = opened(entry, options.data)
        cases = {}
        for case in LEFT if name == GRAPH else (NOTHING, EXACT, *entry.changes):
            rows = []
            for seed in range(options.first, options.first + (options.honest if case == NOTHING else options.seeds)):
                if name == GRAPH:
                    split = ganvas.open_data(options.data / CORA, heldout=0.2, seed=seed, progress=False, kinds=("graph",))
                    rows.append(judge_graph(split, case, seed))
                else:
                    rows.append(judge(entry, dataset, case, seed))
            verdicts = Counter(row["verdict"] for row in rows)
            met = set(verdicts) == {"clear"} if case == NOTHING else not verdicts.keys() - {"suspect", "copies"}
            cases[case] = {"verdicts": dict(verdicts), "met": met, "splits": rows}
            spent = time.process_time() - begin
            print(f"{name:<20} {case:<38} {dict(verdicts)} after {spent:.0f} s of processor time", flush=True)
        sizes = np.bincount(np.unique(dataset.groups, return_inverse=True)[1].reshape(-1))
        result["sets"][name] = {
            "source": entry.source,
            "kind": entry.kind,
            "records": len(dataset),
            "groups": len(sizes),
            "cases": cases,
            "met": all(case["met"] for case in cases.values()),
            "processor_seconds": round(time.process_time() - begin, 1),
        }
        result["met"] = all(own["met"] for own in result["sets"].values())
        if options.out is not None:
            options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
