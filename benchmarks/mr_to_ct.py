"""From MR to CT, and to PET: errors in the units of the target, by tissue, and what becomes of lesions.

    python benchmarks/mr_to_ct.py                     T1 to CT and T1 to PET of the phantom `brain`, 3 seeds each
    python benchmarks/mr_to_ct.py --targets ct --seeds 0 --rounds 300

`pix2pix` learns slices of 320 heads with pairs (64 pixels, width 16, one thread) and translates 80 heads that it never saw.
Beside it stand the best that grey levels alone can do, the mean of the target for each level of the MR slice, and the mean
target.
CT errors are in Hounsfield units, overall and where the true CT is air (below -400 HU), soft or bone (above 400 HU); and the
overlap (Dice) of bone; and of lesions with 12 pixels or more that differ from the brain around by 5 HU or more in the true CT,
how much of that difference is left, and in how many at least half of it ("kept"). Of PET: errors of the standardised uptake;
and of lesions with 12 pixels or more, in how many the mean uptake of made and true slices differs by at most a quarter
("kept"), and how much of the true excess over what is around is left. In slices without a lesion, spots of 12 pixels with an
uptake above nearly all true pixels of healthy slices ("invented").

Results: benchmarks/results/mr_to_ct.json; rows of targets and seeds that are not asked for stay as they are there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RESULT = Path(__file__).parent / "results" / "mr_to_ct.json"
SIDE, HEADS, UNSEEN = 64, 320, 80
COMMON: dict[str, Any] = {
    "width": 16, "batch_size": 8, "norm": "batch", "dropout": 0.0, "learning_rate": 5e-4, "ema_half_life": 1000.0,
}  # fmt: skip
LEAST = 12  # pixels of a lesion that is counted
SEEN = 5.0  # HU by which a lesion differs from the brain around, in the mean of its pixels
AIR, BRAIN, BONE = -400.0, 100.0, 400.0  # HU


def units(target: str, values: np.ndarray) -> np.ndarray:
    """8-bit values as Hounsfield units or standardised uptake."""
    from ganvas.data.phantoms._scanners import LOWEST_HU, SPAN_HU, SPAN_SUV

    share = np.asarray(values, np.float64) / 255
    return share * SPAN_HU + LOWEST_HU if target == "ct" else share * SPAN_SUV


def learnt(target: str, given: np.ndarray, true: np.ndarray, unseen: np.ndarray, seed: int, rounds: int) -> np.ndarray:
    """Slices (N, H, W, 1) that pix2pix makes of unseen MR slices."""
    import torch

    import ganvas
    from ganvas.batches import Noise
    from ganvas.kinds import decode, encode

    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "pairs.npz", map=given, photo=true)
        ganvas.train(
            "pix2pix", Path(folder) / "pairs.npz", out=Path(folder) / "run", config=COMMON, budget=f"{rounds}r", seed=seed,
            threads=1, precision="32", channels_last="off", quiet=True, sample_every=0.0, watch="off", heldout=0.0,
        )  # fmt: skip
        run = ganvas.load(Path(folder) / "run")
    noise, made = Noise(torch.Generator().manual_seed(seed)), []
    with torch.no_grad():
        for part in np.array_split(unseen, 5):
            shown = run.system.translate(encode(part, run.record.fields["map"]), None, noise)
            made.append(decode(shown, run.record.fields["photo"], 8))
    return np.concatenate(made)


def by_level(given: np.ndarray, true: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """The mean target of each grey level: all that can be had without looking at shapes."""
    total = np.bincount(given.ravel(), true.ravel().astype(float), 256)
    table = total / np.maximum(np.bincount(given.ravel(), minlength=256), 1)
    return table[unseen]


def excesses(values: np.ndarray, lesions: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """For each lesion that is counted, by how much its mean is above that of the pixels around. beside: which these may be."""
    from scipy import ndimage

    found = []
    for own, mask, other in zip(values, lesions, beside, strict=True):
        around = ndimage.binary_dilation(mask, iterations=4) & ~mask & other
        if mask.sum() >= LEAST and around.any():
            found.append(own[mask].mean() - own[around].mean())
    return np.array(found)


def of_ct(made: np.ndarray, true: np.ndarray, lesions: np.ndarray) -> dict[str, float]:
    error = np.abs(made - true)
    parts = {"air": true < AIR, "soft": (true >= AIR) & (true <= BONE), "bone": true > BONE}
    both = ((made > BONE) & parts["bone"]).sum()
    found = {"error_hu": float(error.mean())} | {f"error_hu_{name}": float(error[own].mean()) for name, own in parts.items()}
    found["bone_dice"] = float(2 * both / max(1, (made > BONE).sum() + parts["bone"].sum()))
    brain = (true >= 0) & (true <= BRAIN)  # no skull around a lesion at the edge
    excess = excesses(true, lesions, brain)
    seen = np.abs(excess) >= SEEN
    left = excesses(made, lesions, brain)[seen] / excess[seen]
    median = float(np.median(left)) if len(left) else float("nan")
    return found | {"lesions": int(seen.sum()), "kept": float((left >= 0.5).mean()), "excess_left": median}


def of_pet(made: np.ndarray, true: np.ndarray, lesions: np.ndarray) -> dict[str, float]:
    from scipy import ndimage

    found = {"error_suv": float(np.abs(made - true).mean())}
    kept, seen = 0, 0
    for own, real, mask in zip(made, true, lesions, strict=True):
        if mask.sum() >= LEAST:
            seen += 1
            kept += abs(own[mask].mean() / max(real[mask].mean(), 1e-6) - 1) <= 0.25
    excess = excesses(true, lesions, np.ones_like(lesions))
    seen_well = np.abs(excess) > 1
    left = excesses(made, lesions, np.ones_like(lesions))[seen_well] / excess[seen_well]
    median = float(np.median(left)) if len(left) else float("nan")
    healthy = ~lesions.any((1, 2))
    limit = np.percentile(true[healthy], 99.9)

    def spots(slices: np.ndarray) -> float:
        sizes = (np.bincount(ndimage.label(own > limit)[0].ravel())[1:] for own in slices)
        return float(np.mean([(own >= LEAST).any() for own in sizes]))

    found |= {"lesions": seen, "kept": kept / max(1, seen), "excess_left": median}
    return found | {"invented": spots(made[healthy]), "invented_in_true": spots(true[healthy])}


def compared(target: str, seed: int, rounds: int) -> dict[str, Any]:
    from ganvas.data.phantoms import make_phantom

    mr, wanted = (make_phantom(f"brain:{name}", HEADS + UNSEEN, seed, size=SIDE) for name in ("t1", target))
    given, true = np.asarray(mr.values), np.asarray(wanted.values)
    lesions = mr.masks["lesion"][HEADS:] > 0
    begin = time.process_time()
    made = learnt(target, given[:HEADS], true[:HEADS], given[HEADS:], seed, rounds)
    seconds = time.process_time() - begin
    sides = {
        "pix2pix": made,
        "by grey level": by_level(given[:HEADS], true[:HEADS], given[HEADS:]),
        "mean": np.broadcast_to(true[:HEADS].mean(0), true[HEADS:].shape),
    }
    truth = units(target, true[HEADS:])[..., 0]
    told = {}
    for name, own in sides.items():
        values = units(target, own)[..., 0]
        told[name] = of_ct(values, truth, lesions) if target == "ct" else of_pet(values, truth, lesions)
        print(target, seed, name, json.dumps({k: round(v, 3) for k, v in told[name].items()}), flush=True)
    return {"target": target, "seed": seed, "rounds": rounds, "processor_seconds": round(seconds, 1), "found": told}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="*", default=["ct", "pet"], choices=["ct", "pet"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=1200)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ganvas.doctor import machine

    rows = json.loads(RESULT.read_text(encoding="utf-8"))["rows"] if RESULT.exists() else []
    for target in options.targets:
        for seed in options.seeds:
            rows = [row for row in rows if (row["target"], row["seed"]) != (target, seed)]
            rows.append(compared(target, seed, options.rounds))
            kept = {"machine": machine(), "side": SIDE, "heads": HEADS, "unseen": UNSEEN, "rows": rows}
            RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
