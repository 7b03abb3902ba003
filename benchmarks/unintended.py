"""Does the rate of unintended findings hold what is true? Planted sets from the chest phantom, whose truth is known.

    python benchmarks/unintended.py --out benchmarks/results/unintended.json [--repeats 10] [--n 1000]

A detector is trained on the phantom once. Then, over repeats with fresh records: (1) honest samples of every class;
(2) samples of class `normal` in which 5, 10 and 30 % show a nodule or an effusion; (3) samples in which a tenth shows a
combination that the phantom's rules forbid; (4) samples asked for a finding that a tenth of them lacks. Passed when, for each
of the four, the corrected 95 % intervals hold the truth in at least 9 of 10 cases: a right interval misses one in twenty, and
as all cases share the images on which the detector's errors were measured, misses come together. The raw rates' intervals
stand beside. A simulation with shares alone then tells how often the interval itself, of one label and of five put together,
holds the truth.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from ganvas.data.phantoms.chest import CLASSES, FINDINGS, RULES, make
from ganvas.evaluation.findings.unintended import _together, chest_detector, chest_unintended, corrected_rate

SHARES = (0.05, 0.1, 0.3)
LEAST = 0.9


def planted(n: int, seed: int, kind: str, finding: str, share: float) -> tuple[np.ndarray, np.ndarray, float]:
    """(images, classes asked for, true share): a `share` of the records carries the error `kind`, the others are honest."""
    if kind == "honest":
        made = make(None, n, seed)
        return made.values, made.labels, 0.0
    wrong = np.zeros(n, bool)
    wrong[: round(share * n)] = True
    shown = np.zeros((n, len(FINDINGS)), bool)
    asked = np.zeros(n, np.int64)
    columns = [FINDINGS.index(name) for name in finding.split("+")]
    if kind == "unintended":
        shown[np.ix_(wrong, columns)] = True
    elif kind == "impossible":  # asked for the first finding, which all show; the wrong ones show the second too
        asked[:] = 1 + columns[0]
        shown[:, columns[0]] = True
        shown[np.ix_(wrong, columns)] = True
    else:  # missing
        asked[:] = 1 + columns[0]
        shown[~wrong, columns[0]] = True
    return make(None, n, seed, findings=shown).values, asked, float(wrong.mean())


def cases(kinds: list[tuple[str, str, float]], n: int, repeats: int, options: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for kind, finding, share in kinds:
        for repeat in range(repeats):
            values, asked, truth = planted(n, 1000 + repeat, kind, finding, share)
            found = chest_unintended(values, asked, **options)
            keys = list(found) if kind == "honest" else [kind, f"{kind}_{finding}"]
            for key in keys:
                measure = found[key]
                known = measure.low is not None
                rows.append({
                    "kind": kind, "finding": finding, "truth": truth, "repeat": repeat, "key": key,
                    "raw": measure.more["raw"]["value"], "false_alarms": measure.more.get("false_alarms", {}).get("value"),
                    "sensitivity": measure.more.get("sensitivity", {}).get("value"),
                    "value": measure.value if known else None, "low": measure.low, "high": measure.high,
                    "holds": bool(measure.low <= truth <= measure.high) if known else None,
                    "raw_holds": bool(measure.more["raw"]["low"] <= truth <= measure.more["raw"]["high"]),
                })  # fmt: skip
        print(summary(rows[-repeats * len(keys) :], finding or "-"), flush=True)
    return rows


def summary(rows: list[dict[str, Any]], finding: str) -> str:
    lines = []
    for key in dict.fromkeys(row["key"] for row in rows):
        own = [row for row in rows if row["key"] == key]
        given = [row for row in own if row["holds"] is not None]
        shown = f"{np.mean([r['value'] for r in given]):.3f} [{np.mean([r['low'] for r in given]):.3f}, " if given else "none ["
        shown += f"{np.mean([r['high'] for r in given]):.3f}]" if given else "]"
        lines.append(
            f"{own[0]['kind']:10} {finding:23} is {own[0]['truth']:.3f}  {key:36} raw {np.mean([r['raw'] for r in own]):.3f}  "
            f"corrected {shown}  holds {sum(r['holds'] for r in given)}/{len(given)} of {len(own)}"
        )
    return "\n".join(lines)


def simulated(repeats: int, seed: int = 0) -> list[dict[str, Any]]:
    """How often the interval holds the truth when the shares are binomial: one label, and five put together."""
    rng = np.random.default_rng(seed)
    rows = []
    for truth in (0.0, 0.05, 0.1, 0.3):
        for hit, spared in ((0.4, 0.98), (0.8, 0.99), (0.95, 0.99)):
            for labels in (1, 5):
                n, held = 1000 // labels, (100, 300)
                holds = 0
                for _ in range(repeats):
                    parts = []
                    for _ in range(labels):
                        rate = rng.binomial(n, truth * hit + (1 - truth) * (1 - spared)) / n
                        sensitivity, specificity = rng.binomial(held[0], hit) / held[0], rng.binomial(held[1], spared) / held[1]
                        parts.append((1 / labels, corrected_rate(rate, n, sensitivity, held[0], specificity, held[1])))
                    if any(found is None for _, found in parts):
                        continue
                    _, low, high = _together(parts)
                    holds += max(low, 0.0) <= truth <= high
                rows.append(
                    {"truth": truth, "sensitivity": hit, "specificity": spared, "labels": labels, "holds": holds / repeats}
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the figures")
    parser.add_argument("--repeats", type=int, default=10, help="fresh sets of each case")
    parser.add_argument("--n", type=int, default=1000, help="samples in a set")
    parser.add_argument("--images", type=int, default=8000, help="phantom images the detector is made from")
    parser.add_argument("--cache", type=Path, help="cache folder (default: the user's)")
    given = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    options: dict[str, Any] = {"images": given.images, "cache": given.cache}
    begun = time.process_time()
    detector = chest_detector(64, count=given.images, cache=given.cache)
    making = time.process_time() - begun
    print(json.dumps(detector.facts, indent=1), flush=True)

    kinds = [("honest", "", 0.0)]
    kinds += [("unintended", name, share) for name in ("nodule", "effusion") for share in SHARES]
    rules = ["+".join(name for name in FINDINGS if name in rule) for rule in RULES]
    kinds += [("impossible", rule, 0.1) for rule in rules]
    kinds += [("missing", name, 0.1) for name in FINDINGS]
    begun = time.process_time()
    rows = cases(kinds, given.n, given.repeats, options)
    simulation = simulated(2000)

    def held(chosen: list[dict[str, Any]]) -> dict[str, Any]:
        judged = [row["holds"] for row in chosen if row["holds"] is not None]
        return {
            "cases": len(chosen),
            "corrected": len(judged),
            "share_held": float(np.mean(judged)) if judged else None,
            "share_held_uncorrected": float(np.mean([row["raw_holds"] for row in chosen])),
        }

    by_kind = {kind: held([row for row in rows if row["kind"] == kind]) for kind in dict.fromkeys(row["kind"] for row in rows)}
    figures = {
        "by_kind": by_kind, "simulation": simulation, "least_share_held": LEAST,
        "passed": all(kind["share_held"] is not None and kind["share_held"] >= LEAST for kind in by_kind.values()),
        "detector": detector.facts | {"name": detector.name, "seconds_of_processor": round(making, 1)},
        "seconds_of_judging": round(time.process_time() - begun, 1), "classes": CLASSES, "cases": rows,
        "command": f"python benchmarks/unintended.py --out {given.out.name} --repeats {given.repeats} --n {given.n} "
                   f"--images {given.images}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }  # fmt: skip
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(by_kind, indent=1))
    print(f"{'passed' if figures['passed'] else 'FAILED'}: {given.out}")
    raise SystemExit(0 if figures["passed"] else 1)


if __name__ == "__main__":
    main()
