"""Low dose of other kinds: windows without a Hounsfield scale, fewer counts of PET, less of a contrast agent.

    python benchmarks/low_dose.py --data ROOT                 all, one seed each; ROOT holds `lung-ct`
    python benchmarks/low_dose.py --kinds pet agent           of phantoms alone

`dose-gan` with a discriminator and without learns as in its proof (`rounds`, one thread) and is put to records it never saw.

lung-4, lung-10: 8-bit lung windows, taken for -1350 to 150 HU over 350 mm; a quarter and a tenth of the dose by scikit-image.
pet: the phantom's `brain:pet` at a quarter of its counts, drawn on lines and projected back by scikit-image.
agent: heads in T1 before and after a contrast agent, which lights up lesions that take it up; a tenth of the agent and noise
in the place of all of it, learnt as pairs of two channels.

psnr: of what was made, dB. spectrum: distance of radial log spectra to those of full dose. Of agent also: of lesions that light
up, in how many the mean enhancement is within a quarter ("kept"), and in how many slices without one 12 pixels do ("invented").
`times ten`: ten times the difference of low dose, which needs no learning.

Results: benchmarks/results/low_dose.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULT = Path(__file__).parent / "results" / "low_dose.json"
LUNG = {"black": -1350.0, "white": 150.0, "field": 350.0}
WITH, WITHOUT = "dose-gan", "squared error"
AGENT, LIGHT, GRAIN = 0.1, 70.0, 3.0  # share of the agent; grey values that all of it adds; noise of a picture
LEAST = 12  # pixels of a lesion or a spot that is counted


def scanned(density: np.ndarray, dose: float, size: float, millimetres: float, rng: np.random.Generator, emitted: bool) -> Any:
    """Slices (N, H, W) of density 1 = water, or of activity, at a share of the dose: counts on lines, by scikit-image."""
    from skimage.transform import iradon, radon

    from ganvas.networks.projections import KEPT, REFERENCE_MM, WATER_PER_MM

    views, per_pixel = 120, WATER_PER_MM * millimetres
    variance = (size * per_pixel) ** 2 * 12 * views / (np.pi**2 * KEPT)
    reference, turns, made = WATER_PER_MM * REFERENCE_MM, np.arange(views) * (180 / views), []
    for picture in density:
        path = np.maximum(radon(picture * per_pixel, turns, circle=False), 0)
        if emitted:
            each = variance / reference  # of a line whose sum is 1
            apart = rng.poisson(path * dose / each) * each / dose - path
        else:
            counts = rng.poisson(dose / variance * np.exp(reference - path))
            apart = -np.log(np.maximum(counts, 1) * variance / dose) + reference - path
        made.append(picture + iradon(np.sqrt(1 - dose) * apart, turns, output_size=len(picture), circle=False) / per_pixel)
    return np.stack(made)


def lungs(root: str | None, dose: float, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, dict[str, Any]]:
    """({field: records to learn from}, low and full of unseen ones, settings)."""
    from ganvas.data import open_data

    data = open_data(Path(root or "") / "lung-ct", size=128, seed=seed, progress=False)
    held = np.sort(np.random.default_rng(seed).permutation(data.heldout_indices())[:40])
    full, known = np.asarray(data.values[held]), np.asarray(data.values[data.train_indices()])
    span = LUNG["white"] - LUNG["black"]
    density = np.maximum(1 + (LUNG["black"] + full[..., 0] / 255 * span) / 1000, 0) * (full[..., 0] > 0)
    low = (scanned(density, dose, 0.02, LUNG["field"] / 128, np.random.default_rng(seed), False) - density) * 1000 / span * 255
    low = np.rint(np.clip(full[..., 0] + low, 0, 255)).astype(np.uint8)[..., None]
    return {"images": known}, low, full, {**LUNG, "dose": dose, "noise": 20.0}


def pet(root: str | None, dose: float, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, dict[str, Any]]:
    from ganvas.data.phantoms import make_phantom

    values = np.asarray(make_phantom("brain:pet", 360, seed, size=64).values)
    full = values[320:]
    low = scanned(full[..., 0] / 255, dose, 0.015, 218 / 64, np.random.default_rng(seed), True)
    settings = {"scan": "pet", "dose": dose, "noise": 15.0, "field": 218.0}
    return {"images": values[:320]}, np.rint(np.clip(low * 255, 0, 255)).astype(np.uint8)[..., None], full, settings


def agent(root: str | None, dose: float, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, dict[str, Any]]:
    """Two channels: after the agent, and before it."""
    from ganvas.data.phantoms import make_phantom

    made, rng = make_phantom("brain:t1", 400, seed, size=64), np.random.default_rng(seed)
    lit = [bool(fact["lesion"] and fact["lesion"]["enhancing"]) for fact in made.facts or []]
    before = np.asarray(made.values)[..., 0].astype(float) * 0.7
    more = (made.masks["lesion"] > 0) * np.array(lit)[:, None, None] * LIGHT
    pairs = []
    for share in (dose, 1.0):
        after = before + share * more + rng.normal(0, GRAIN, before.shape)
        pairs.append(np.rint(np.clip(np.stack([after, before], -1), 0, 255)).astype(np.uint8))
    low, full = pairs
    settings = {"black": 0.0, "white": 255.0, "noise": 20.0, "dose": 0.5}
    return {"full": full[:320], "low": low[:320]}, low[320:], full[320:], settings


KINDS: dict[str, tuple[Callable[..., Any], float]] = {
    "lung-4": (lungs, 0.25), "lung-10": (lungs, 0.1), "pet": (pet, 0.25), "agent": (agent, AGENT),
}  # fmt: skip


def measured(own: np.ndarray, full: np.ndarray, kind: str) -> dict[str, float]:
    from scipy import ndimage

    from ganvas.metrics import spectrum_distance

    own, full = own[..., :1], full[..., :1] if kind != "agent" else full
    error = (own.astype(float) - full[..., :1]) ** 2
    told = {
        "psnr": float(-10 * np.log10(error.mean() / 255**2)),
        "spectrum": spectrum_distance(own, full[..., :1], intervals=False).value,
    }
    if kind == "agent":
        wanted, found = (image.astype(float) - full[..., 1] for image in (full[..., 0], own[..., 0]))
        masks = ndimage.uniform_filter(wanted, (0, 3, 3)) > LIGHT / 2
        places = [k for k in range(len(masks)) if masks[k].sum() >= LEAST]
        shares = np.array([found[k][masks[k]].mean() / wanted[k][masks[k]].mean() for k in places])
        spots = ndimage.uniform_filter(found, (0, 3, 3)) > LIGHT / 2
        none = [k for k in range(len(masks)) if not masks[k].any()]
        told |= {
            "lesions": len(places),
            "kept": float((abs(shares - 1) <= 0.25).mean()),
            "invented": float(np.mean([spots[k].sum() >= LEAST for k in none])),
        }
    return told


def learnt(
    known: dict[str, np.ndarray], low: np.ndarray, settings: dict[str, Any], weight: float, seed: int, rounds: int
) -> Any:
    import ganvas
    from ganvas.proofs.dose_gan import COMMON

    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "data.npz", allow_pickle=False, **known)
        ganvas.train(
            "dose-gan", Path(folder) / "data.npz", out=Path(folder) / "run", budget=f"{rounds}r", seed=seed, threads=1,
            config={**COMMON, **settings, "adversarial_weight": weight}, precision="32", channels_last="off", quiet=True,
            sample_every=0.0, watch="off", heldout=0.0,
        )  # fmt: skip
        run = ganvas.load(Path(folder) / "run")
        made = run.use("denoise", low)
    return next(iter(made.values()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=400)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ganvas.doctor import machine
    from ganvas.proofs.dose_gan import ADVERSARIAL

    rows = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    for kind in options.kinds:
        draw, dose = KINDS[kind]
        known, low, full, settings = draw(options.data, dose, options.seed)
        found, begin = {"low dose": measured(low, full, kind)}, time.process_time()
        for name, weight in ((WITH, ADVERSARIAL), (WITHOUT, 0.0)):
            found[name] = measured(learnt(known, low, settings, weight, options.seed, options.rounds), full, kind)
        if kind == "agent":
            times = full[..., 1] + (low[..., 0].astype(float) - low[..., 1]) / AGENT
            found["times ten"] = measured(np.clip(times, 0, 255)[..., None].astype(np.uint8), full, kind)
        row = {"kind": kind, "seed": options.seed, "rounds": options.rounds, "found": found}
        row["processor_seconds"] = round(time.process_time() - begin, 1)
        rows = [own for own in rows if (own["kind"], own["seed"]) != (kind, options.seed)] + [row]
        for name, told in found.items():
            print(kind, name, json.dumps({key: round(value, 3) for key, value in told.items()}), flush=True)
        RESULT.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
