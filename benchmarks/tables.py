"""Rows of `ctgan` beside those of the package `ctgan` by its authors' successors, in equal time; and a table of 100,000 rows.

    make bench-env                                           the package comes with the other tools that are compared with
    .bench/bin/python benchmarks/tables.py --data ROOT       five sets, three seeds, 30 seconds of one core each
    .bench/bin/python benchmarks/tables.py --large           memory and time of 25,000, 50,000 and 100,000 rows of 30 columns
    .bench/bin/python benchmarks/tables.py --data ROOT --sets wine --seconds 5 --seeds 7 --out trial.json

Both systems learn the same four fifths of the rows by their defaults (of ganvas, the preset `auto` for so long a run), one
thread, for so many seconds of a processor, of which finding the modes of the numbers is a part. The package has epochs, so
what an epoch takes is measured first, and not counted. It cannot learn a number that is missing: the mean takes its place, for
it alone; its numbers are rounded as the table's are, which ganvas does by itself. A Gaussian copula (that of the proof) takes
what it needs. 2,000 rows of each, or as many as there are to learn from, are judged by trees (`ganvas.kinds.table.judging`):
how well they are told from held-out rows (area under the ROC curve; 0.5: not at all), and how well the last column of words is
foretold in held-out rows by trees that learnt from made ones.

Mark, written down before the first run: on each set, in the mean over seeds, told from held-out rows no more surely than those
of the package, and at most 0.01 less useful. Memory: 100,000 rows take at most 1.2 times what 25,000 do above an idle process,
but for the table itself (4 bytes a cell). Writes benchmarks/results/tables.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equal_time import begun
from ganvas.data import open_data
from ganvas.doctor import machine, on_threads
from ganvas.inference.sampling import draw_samples
from ganvas.kinds import decode
from ganvas.kinds.table import judging
from ganvas.kinds.table.spec import NUMBER, TableSpec
from ganvas.proofs.ctgan import copula

RESULT = Path(__file__).parent / "results" / "tables.json"
SETS = ("adult", "breast-cancer", "diabetes", "heart", "wine")
COUNT, HELD, LOSS = 2_000, 5, 0.01
ROWS, COLUMNS, ROUNDS, GROWTH = (25_000, 50_000, 100_000), 30, 200, 1.2


def divided(source: Path, folder: Path, seed: int) -> Path:
    """A CSV with a column `split`, that of the seed."""
    with source.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    held = np.random.default_rng([seed, 0x7AB1]).permutation(len(rows)) % HELD == 0
    path = folder / f"{source.stem}-{seed}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow([*head, "split"])
        out.writerows([*row, "heldout" if own else "train"] for row, own in zip(rows, held, strict=True))
    return path


def by_ganvas(table: Path, seed: int, seconds: float, count: int) -> tuple[np.ndarray, dict[str, Any]]:
    """(rows, facts): the system, for so many seconds of a processor."""
    begin = time.process_time()
    made, engine = begun("ctgan", table, seed, seconds, {}, None)  # type: ignore[arg-type]
    while (spent := time.process_time() - begin) < seconds:
        engine.progress = spent / seconds
        engine.play_round()
        engine.settle()
    with engine.watching():
        drawn = torch.cat(list(draw_samples(made.made, count, seed=10_000 + seed)))
    return decode(drawn, made.dataset.spec), {"seconds": round(spent, 1), "rounds": engine.clock.round}


def by_package(train: np.ndarray, spec: TableSpec, seed: int, seconds: float, count: int) -> tuple[np.ndarray, dict[str, Any]]:
    """(rows, facts): the package `ctgan` by its defaults, for so many epochs as take these seconds."""
    import ctgan
    import pandas

    words = [name for name, type_ in zip(spec.names, spec.types, strict=True) if type_ != NUMBER]
    columns: dict[str, Any] = {}
    for k, name in enumerate(spec.names):
        column = train[:, k].astype(np.float64)
        if name in words:
            columns[name] = ["missing" if np.isnan(value) else f"v{int(value)}" for value in column]
        else:
            columns[name] = np.where(np.isnan(column), np.nanmean(column), column)
    frame = pandas.DataFrame(columns)

    def fitted(epochs: int) -> tuple[Any, float]:
        torch.manual_seed(seed)
        np.random.seed(seed)
        model, begin = ctgan.CTGAN(epochs=epochs, enable_gpu=False), time.process_time()
        model.fit(frame, words)
        return model, time.process_time() - begin

    fitted(1)  # the first is slower, whatever it learns
    first, more = fitted(1)[1], 2
    while (taken := fitted(1 + more)[1] - first) < 0.1 * seconds:
        more *= 3
    epochs = 1 + max(0, round((seconds - first) * more / taken))
    model, spent = fitted(epochs)
    if abs(spent / seconds - 1) > 0.1 and epochs > 1:
        epochs = max(1, round(epochs * (seconds - first) / max(spent - first, 1e-3)))
        model, spent = fitted(epochs)
    drawn = model.sample(count)
    made = []
    for name, decimals in zip(spec.names, spec.decimals, strict=True):
        if name in words:
            made.append(np.array([np.nan if own == "missing" else float(str(own)[1:]) for own in drawn[name]]))
        else:
            numbers = drawn[name].to_numpy(np.float64)
            made.append(np.round(numbers, decimals) if decimals >= 0 else numbers)
    return np.stack(made, 1), {"seconds": round(spent, 1), "epochs": epochs}


def judged(made: np.ndarray, train: np.ndarray, held: np.ndarray, spec: TableSpec) -> dict[str, Any]:
    target = judging.target_of(spec)
    useful = judging.usefulness(made, held, spec, target)
    return {"told": round(judging.detection(made, held, spec), 4), "useful": None if useful is None else round(useful, 4)}


def compared(source: Path, seed: int, seconds: float, folder: Path, found: dict[str, Any]) -> dict[str, Any]:
    """One set and seed: all arms but those that `found` has."""
    table = divided(source, folder, seed)
    dataset = open_data(table, kinds=("table",), progress=False)
    spec, values = dataset.spec, np.asarray(dataset.values)
    assert isinstance(spec, TableSpec)
    train, held = values[dataset.train_indices()], values[dataset.heldout_indices()]
    count = min(COUNT, len(train))
    found |= {"set": source.stem, "seed": seed, "asked": seconds, "rows": len(train), "heldout": len(held)}
    with on_threads(1):
        if "ganvas" not in found:
            rows, facts = by_ganvas(table, seed, seconds, count)
            found["ganvas"] = {**judged(rows, train, held, spec), **facts}
        if "package" not in found:
            rows, facts = by_package(train, spec, seed, seconds, count)
            found["package"] = {**judged(rows, train, held, spec), **facts}
    rows = copula(train, spec, count, np.random.default_rng(10_000 + seed))
    found["copula"] = judged(rows, train, held, spec)
    found["real"] = judged(train[:count], train, held, spec)
    return found


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds by set, and whether the mark is met there."""
    rows = []
    for name in dict.fromkeys(run["set"] for run in runs):
        own = [run for run in runs if run["set"] == name]
        row: dict[str, Any] = {"set": name, "seeds": len(own)}
        for arm in ("ganvas", "package", "copula", "real"):
            row[arm] = {key: round(statistics.fmean(run[arm][key] for run in own), 4) for key in ("told", "useful")}
        one, other = row["ganvas"], row["package"]
        row["met"] = one["told"] <= other["told"] and one["useful"] >= other["useful"] - LOSS
        rows.append(row)
        arms = "; ".join(
            f"{arm} {row[arm]['told']:.3f}, {row[arm]['useful']:.3f}" for arm in ("ganvas", "package", "copula", "real")
        )
        print(f"{name:<14} told from real, useful: {arms}  {'met' if row['met'] else 'NOT met'}", flush=True)
    return rows


# 100,000 rows


def large_table(path: Path, count: int) -> None:
    """A CSV of 30 columns as registries have them: numbers with modes and gaps, a date, an id, 5,000 postcodes, a constant."""
    rng = np.random.default_rng(count)
    group = rng.integers(0, 5, count)
    columns: dict[str, Any] = {"id": [f"P{k:07d}" for k in range(count)]}
    columns["seen"] = [str(day) for day in np.datetime64("2015-01-01") + rng.integers(0, 3650, count)]
    columns["site"] = np.full(count, "north")
    columns["postcode"] = [f"{value:05d}" for value in (rng.zipf(1.3, count) % 5000)]
    for k in range(18):
        value = np.round(rng.normal(group * (1 + k % 4), 0.5 + 0.1 * k), 3)
        columns[f"value{k}"] = [
            "" if gone else str(own) for own, gone in zip(value, rng.random(count) < 0.02 * (k % 3), strict=True)
        ]
    for k in range(COLUMNS - len(columns)):
        columns[f"class{k}"] = [f"c{own}" for own in (group + (rng.random(count) < 0.2) * rng.integers(0, 4 + k, count))]
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(columns)
        out.writerows(zip(*columns.values(), strict=True))


def measured(words: list[str]) -> dict[str, Any]:
    """A command run by itself: its peak memory (MB), its seconds of a processor, what it said."""
    code = (
        "import resource, subprocess, sys, json; done = subprocess.run(sys.argv[1:], capture_output=True, text=True);"
        "own = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(json.dumps({'rc': done.returncode, 'peak': own.ru_maxrss, 'seconds': own.ru_utime + own.ru_stime, "
        "'told': done.stderr[-2000:]}))"
    )
    out = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    found = json.loads(out.stdout)
    if found["rc"]:
        raise SystemExit(f"{' '.join(words)} ended with {found['rc']}: {found['told']}")
    unit = 1024 if sys.platform != "darwin" else 1024**2
    return {"peak_mb": round(found["peak"] / unit, 1), "seconds": round(found["seconds"], 1)}


def large(folder: Path) -> dict[str, Any]:
    """Memory and time by the number of rows: training, and 10,000 samples."""
    command = [sys.executable, "-m", "ganvas"]
    idle = measured([sys.executable, "-c", "import torch, ganvas.run.train, ganvas.kinds.table.kind"])["peak_mb"]
    rows = []
    for count in ROWS:
        table, run = folder / f"rows-{count}.csv", folder / f"run-{count}"
        large_table(table, count)
        trained = measured([*command, "train", "ctgan", "--data", str(table), "--budget", f"{ROUNDS}r", "--out", str(run)])
        drawn = measured([*command, "sample", str(run), "-n", "10000", "--out", str(folder / f"samples-{count}")])
        rows.append(
            {
                "rows": count,
                "columns": COLUMNS,
                "file_mb": round(table.stat().st_size / 1e6, 1),
                "train": trained,
                "sample": drawn,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    cells = [4 * row["rows"] * COLUMNS / 2**20 for row in (rows[0], rows[-1])]
    above = [row["train"]["peak_mb"] - idle - own for row, own in zip((rows[0], rows[-1]), cells, strict=True)]
    return {"idle_mb": idle, "rows": rows, "growth": round(above[1] / above[0], 3), "met": above[1] <= GROWTH * above[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder that holds `tables`")
    parser.add_argument("--large", action="store_true", help="measure 100,000 rows")
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2))
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    if not options.large and options.data is None:
        parser.error("give --data ROOT, or --large")
    kept: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {"runs": []}
    known = {(run["set"], run["seed"], run["asked"]): run for run in kept["runs"]}

    def save() -> None:
        kept["machine"] = machine()
        options.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")

    with tempfile.TemporaryDirectory() as folder:
        if options.large:
            kept["large"] = large(Path(folder))
            save()
            print(json.dumps({key: value for key, value in kept["large"].items() if key != "rows"}))
        if options.data is None:
            return 0
        for seed in options.seeds:
            for name in options.sets:
                own = known.get((name, seed, options.seconds), {})
                if {"ganvas", "package"} <= set(own):
                    continue
                if not own:
                    kept["runs"].append(own)
                compared(options.data / "tables" / f"{name}.csv", seed, options.seconds, Path(folder), own)
                print(json.dumps(own), flush=True)
                save()
    kept["table"] = summary([run for run in kept["runs"] if run["asked"] == options.seconds])
    kept["command"] = "python benchmarks/tables.py --data ROOT; python benchmarks/tables.py --large"
    save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
