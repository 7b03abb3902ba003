"""The proof of `dcgan`: fitted to machine and budget, it gets twice as close to real radiographs as the standard settings."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ganvas.errors import GanvasError, RunError
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import distance_to_heldout, trained

COUNT = 1000
HELDOUT = 1000  # all there are
SIDE = 64
SHARE = 0.5
BEST_WIDTH, BEST_SHARE = 16, 0.8  # of the script at widths 16, 24, 32 and 64, seed 0, on the radiographs
SCRIPT = Path("benchmarks/proofs/baselines/pytorch_dcgan.py")
PHANTOM_COUNT = 800
BEST = f"baseline at width {BEST_WIDTH}"


def preset(task: Task) -> Outcome:
    """`ganvas train dcgan --data FOLDER --budget BUDGET`, no other option."""
    folder = _folder(task)
    run, facts = trained(task, "dcgan", data=str(folder))
    return _judged(folder, run.sample(COUNT, seed=10_000 + task.seed, depth=8), facts)


def standard(task: Task, width: int) -> Outcome:
    """The standard example's script at a width, for the seconds of the budget."""
    from ganvas.run.budget import parse_budget

    folder = _folder(task)
    script = next((p / SCRIPT for p in (Path.cwd(), Path(__file__).parents[3]) if (p / SCRIPT).is_file()), None)
    if script is None:
        raise GanvasError(f"the baseline is {SCRIPT.as_posix()}: run this in a checkout of ganvas, which holds it")
    seconds = parse_budget(task.budget).seconds
    made = task.folder / "samples.npz"
    words = ["--data", folder, "--width", width, "--seconds", seconds, "--seed", task.seed, "--samples", COUNT, "--out", made]
    if not made.exists():  # else the proof was stopped between drawing and judging
        done = subprocess.run([sys.executable, str(script), *map(str, words)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RunError(f"{script.name} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    with np.load(made, allow_pickle=False) as held:
        return _judged(folder, held["images"][..., None], json.loads(str(held["report"])))


def _judged(folder: Path, images: np.ndarray, facts: dict[str, object]) -> Outcome:
    from ganvas.data import open_data

    value, protocol, more = distance_to_heldout(open_data(folder, size=SIDE, progress=False), images, HELDOUT)
    return Outcome(value, protocol, more | facts, images[:64])


def _folder(task: Task) -> Path:
    """The folder of radiographs; of a phantom, written with a held-out part that both arms keep away from."""
    if not task.phantom:
        return Path(task.data)
    import shutil

    from ganvas.data.phantoms._files import write_phantom

    folder = task.folder / "data"
    if not (folder / "groups.csv").exists():
        shutil.rmtree(folder, ignore_errors=True)
        write_phantom(task.data, PHANTOM_COUNT, folder, seed=0, size=SIDE)
        shutil.rmtree(folder / "masks", ignore_errors=True)  # the script takes every picture it finds
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
        split = ("development-heldout", "train", "train", "train", "train")
        lines = [f"{file},{place},{split[place % 5]}" for place, file in enumerate(files)]
        (folder / "groups.csv").write_text("\n".join(["file,group,split", *lines]) + "\n")
    return folder


def met(rows: Sequence[Row]) -> bool:
    """The mean over seeds, against that of the baseline at both widths."""
    system, baseline, best = (statistics.fmean(row.values[name] for row in rows) for name in ("system", "baseline", BEST))
    return system <= SHARE * baseline and system <= BEST_SHARE * best


PROOF = Proof(
    claim="fitted to machine and budget, DCGAN makes radiographs much closer to real ones than the standard settings do",
    baseline=f"the standard PyTorch DCGAN example's settings at width 64 ({SCRIPT.as_posix()}), at equal seconds",
    metric="kernel distance of samples to the held-out part, at 64x64",
    direction=LOWER,
    mark=f"mean over seeds at most {SHARE} of the baseline's, and {BEST_SHARE} of that of the script at its best width",
    met=met,
    arms={
        "system": preset,
        "baseline": lambda task: standard(task, 64),
        BEST: lambda task: standard(task, BEST_WIDTH),
    },
    budget="10m",
    quick_budget="15s",
    real="chest-xray",
    phantom="chest",
)
